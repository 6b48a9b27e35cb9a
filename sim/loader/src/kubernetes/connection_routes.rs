//! Gateway API: TCPRoute and TLSRoute, which istiod alone reads (`istio/mesh_route/connections.rs`).
//!
//! Sources: kubernetes-sigs/gateway-api v1.6, apis/v1 tcproute_types.go and tlsroute_types.go.

use super::gateway::{ATTACHMENT, PARENT};
use super::metadata::{API_VERSION, KIND, METADATA, STATUS};
use super::workload::kind;
use crate::shape::{Field, Kind, PORT, Shape, TEXT_LIST};

const OF_ISTIO: &str =
    "Services, ServiceEntries and Gateways of Istio; other Gateways route HTTP only";

static BACKEND_REF: Shape = Shape::new(
    "BackendRef",
    &[
        Field::modelled("group", Kind::Text),
        Field::modelled("kind", Kind::Text),
        Field::modelled("namespace", Kind::Text),
        Field::modelled("name", Kind::Text).required(),
        Field::modelled("port", PORT),
        Field::modelled("weight", Kind::Integer(0, 1_000_000)),
    ],
);
static RULE: Shape = Shape::new(
    "ConnectionRouteRule",
    &[
        Field::ignored("name", Kind::Text, "text for people"),
        Field::modelled("backendRefs", Kind::List(&Kind::Map(&BACKEND_REF))).required(),
    ],
);
const PARENT_LIST: Kind = Kind::List(&Kind::Map(&PARENT));
const RULE_LIST: Kind = Kind::List(&Kind::Map(&RULE));
const PARENTS: Field = Field::approximated("parentRefs", PARENT_LIST, OF_ISTIO);
const DEFAULTS: Field = Field::ignored("useDefaultGateways", Kind::Text, ATTACHMENT);
static TCP_ROUTE_SPEC: Shape = Shape::new(
    "TCPRouteSpec",
    &[
        PARENTS,
        Field::modelled("rules", RULE_LIST).required(),
        DEFAULTS,
    ],
);
kind!(TCP_ROUTE, "TCPRoute", TCP_ROUTE_SPEC);
static TLS_ROUTE_SPEC: Shape = Shape::new(
    "TLSRouteSpec",
    &[
        PARENTS,
        Field::modelled("hostnames", TEXT_LIST),
        Field::modelled("rules", RULE_LIST).required(),
        DEFAULTS,
    ],
);
kind!(TLS_ROUTE, "TLSRoute", TLS_ROUTE_SPEC);
