//! Fields of a Gateway and its listeners.

use super::selector::LABEL_SELECTOR;
use crate::istio::forms::CERTIFICATES;
use crate::shape::{Field, Kind, PORT, Shape, TEXT_MAP};

const ISTIO_ALONE: &str = "acts on Gateways that istiod serves and on waypoints; other classes take routes of every namespace";
const ENDED: &str = "ended by Gateways that istiod serves; costs nothing at those of other classes";
const MAY_NAME: &str = "Gateways that istiod serves ask whether they may name it; Secrets are taken to be there and valid";
const MADE: &str =
    "acts on what istiod makes for a Gateway; other controllers' has labels of its own";

static NAMESPACES: Shape = Shape::new(
    "RouteNamespaces",
    &[
        Field::approximated(
            "from",
            Kind::OneOf(&["All", "Selector", "Same"]),
            ISTIO_ALONE,
        ),
        Field::approximated("selector", Kind::Map(&LABEL_SELECTOR), ISTIO_ALONE),
    ],
);
static ROUTE_KIND: Shape = Shape::new(
    "RouteGroupKind",
    &[
        Field::approximated("group", Kind::Text, ISTIO_ALONE),
        Field::approximated("kind", Kind::Text, ISTIO_ALONE).required(),
    ],
);
static ALLOWED: Shape = Shape::new(
    "AllowedRoutes",
    &[
        Field::approximated("namespaces", Kind::Map(&NAMESPACES), ISTIO_ALONE),
        Field::approximated("kinds", Kind::List(&Kind::Map(&ROUTE_KIND)), ISTIO_ALONE),
    ],
);
static CERTIFICATE: Shape = Shape::new(
    "SecretObjectReference",
    &[
        Field::modelled("group", Kind::Text),
        Field::modelled("kind", Kind::Text),
        Field::modelled("name", Kind::Text).required(),
        Field::modelled("namespace", Kind::Text),
    ],
);
static TLS: Shape = Shape::new(
    "ListenerTLSConfig",
    &[
        Field::approximated("mode", Kind::OneOf(&["Terminate", "Passthrough"]), ENDED),
        Field::approximated(
            "certificateRefs",
            Kind::List(&Kind::Map(&CERTIFICATE)),
            MAY_NAME,
        ),
        Field::ignored("frontendValidation", Kind::Opaque, CERTIFICATES),
        Field::approximated("options", TEXT_MAP, ENDED),
    ],
);
static LISTENER: Shape = Shape::new(
    "Listener",
    &[
        Field::modelled("name", Kind::Text).required(),
        Field::modelled("hostname", Kind::Text),
        Field::modelled("port", PORT).required(),
        Field::approximated(
            "protocol",
            Kind::Text,
            "HTTPS counts as HTTP where istiod does not serve the Gateway; others take no HTTPRoutes, and HBONE is for waypoints",
        )
        .required(),
        Field::approximated("tls", Kind::Map(&TLS), ENDED),
        Field::approximated("allowedRoutes", Kind::Map(&ALLOWED), ISTIO_ALONE),
    ],
);
static ADDRESS: Shape = Shape::new(
    "GatewaySpecAddress",
    &[
        Field::approximated("type", Kind::Text, ISTIO_ALONE),
        Field::approximated("value", Kind::Text, ISTIO_ALONE),
    ],
);
static INFRASTRUCTURE: Shape = Shape::new(
    "GatewayInfrastructure",
    &[
        Field::approximated("labels", TEXT_MAP, MADE),
        Field::ignored("annotations", TEXT_MAP, "they mean nothing to proxies"),
        Field::ignored(
            "parametersRef",
            Kind::Opaque,
            "what a ConfigMap changes of the Deployment is not read",
        ),
    ],
);
/// `spec` of a Gateway.
pub(super) static GATEWAY_SPEC: Shape = Shape::new(
    "GatewaySpec",
    &[
        Field::approximated(
            "gatewayClassName",
            Kind::Text,
            "in a mesh Istio's classes are its gateway and its waypoint; every other class is the same proxy",
        )
        .required(),
        Field::modelled("listeners", Kind::List(&Kind::Map(&LISTENER))).required(),
        Field::approximated("addresses", Kind::List(&Kind::Map(&ADDRESS)), ISTIO_ALONE),
        Field::approximated("infrastructure", Kind::Map(&INFRASTRUCTURE), MADE),
        Field::ignored(
            "backendTLS",
            Kind::Opaque,
            "encryption inside the cluster costs nothing in this release",
        ),
        Field::ignored("tls", Kind::Opaque, CERTIFICATES),
        Field::ignored(
            "allowedListeners",
            Kind::Opaque,
            "listeners stand in their Gateway alone",
        ),
        Field::ignored(
            "defaultScope",
            Kind::Text,
            "routes attach to Gateways that they name",
        ),
    ],
);
