//! Fields of a Gateway and its listeners, and of ListenerSets (`istio/listener_sets.rs`).
//!
//! Sources: kubernetes-sigs/gateway-api v1.6, apis/v1 gateway_types.go and listenerset_types.go,
//! apisx/v1alpha1 xlistenerset_types.go.

use super::metadata::{API_VERSION, KIND, METADATA, STATUS};
use super::selector::LABEL_SELECTOR;
use super::workload::kind;
use crate::istio::forms::CERTIFICATES;
use crate::shape::{Field, Kind, PORT, Shape, TEXT_MAP};

const ISTIO_ALONE: &str = "acts on Gateways that istiod serves and on waypoints; other classes take routes of every namespace";
const ENDED: &str = "ended by Gateways that istiod serves; costs nothing at those of other classes";
const MAY_NAME: &str = "Gateways that istiod serves ask whether they may name it; Secrets are taken to be there and valid";
const SERVED_ALONE: &str =
    "acts on Gateways that istiod serves; those of other classes have no listeners of ListenerSets";
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
const NAME: Field = Field::modelled("name", Kind::Text).required();
const HOSTNAME: Field = Field::modelled("hostname", Kind::Text);
const NUMBER: Field = Field::modelled("port", PORT);
const PROTOCOL: Field = Field::approximated(
    "protocol",
    Kind::Text,
    "HTTPS counts as HTTP where istiod does not serve the Gateway; others take no HTTPRoutes, and HBONE is for waypoints",
)
.required();
const ENCRYPTION: Field = Field::approximated("tls", Kind::Map(&TLS), ENDED);
const ALLOWED_ROUTES: Field =
    Field::approximated("allowedRoutes", Kind::Map(&ALLOWED), ISTIO_ALONE);
static LISTENER: Shape = Shape::new(
    "Listener",
    &[
        NAME,
        HOSTNAME,
        NUMBER.required(),
        PROTOCOL,
        ENCRYPTION,
        ALLOWED_ROUTES,
    ],
);
static X_LISTENER: Shape = Shape::new(
    "XListenerEntry",
    &[NAME, HOSTNAME, NUMBER, PROTOCOL, ENCRYPTION, ALLOWED_ROUTES],
);
static PARENT: Shape = Shape::new(
    "ParentGatewayReference",
    &[
        Field::modelled("group", Kind::Text),
        Field::modelled("kind", Kind::Text),
        Field::modelled("name", Kind::Text).required(),
        Field::modelled("namespace", Kind::Text),
    ],
);
const PARENT_OF_SET: Field =
    Field::approximated("parentRef", Kind::Map(&PARENT), SERVED_ALONE).required();
static LISTENER_SET_SPEC: Shape = Shape::new(
    "ListenerSetSpec",
    &[
        PARENT_OF_SET,
        Field::modelled("listeners", Kind::List(&Kind::Map(&LISTENER))).required(),
    ],
);
kind!(LISTENER_SET, "ListenerSet", LISTENER_SET_SPEC);
static X_LISTENER_SET_SPEC: Shape = Shape::new(
    "XListenerSetSpec",
    &[
        PARENT_OF_SET,
        Field::modelled("listeners", Kind::List(&Kind::Map(&X_LISTENER))).required(),
    ],
);
kind!(X_LISTENER_SET, "XListenerSet", X_LISTENER_SET_SPEC);
static ALLOWED_SETS_OF: Shape = Shape::new(
    "ListenerNamespaces",
    &[
        Field::modelled("from", Kind::OneOf(&["All", "None", "Same", "Selector"])),
        Field::modelled("selector", Kind::Map(&LABEL_SELECTOR)),
    ],
);
static ALLOWED_SETS: Shape = Shape::new(
    "AllowedListeners",
    &[Field::modelled("namespaces", Kind::Map(&ALLOWED_SETS_OF))],
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
        Field::approximated("allowedListeners", Kind::Map(&ALLOWED_SETS), SERVED_ALONE),
        Field::ignored(
            "defaultScope",
            Kind::Text,
            "routes attach to Gateways that they name",
        ),
    ],
);
