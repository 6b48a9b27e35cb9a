//! `connectionPool`, `outlierDetection` and `tls`: what policies of hosts, of the mesh and of
//! sidecars share.

use super::forms::{
    CERTIFICATES, COUNT, DURATION_KIND, Scope, count, duration, flag, held, positive, string,
    strings,
};
use crate::shape::{Field, Kind, Shape, TEXT_LIST};
use crate::tree::Node;
use cloud::istio::authentication::ClientMode;
use cloud::istio::config::{
    ClientTls, ConnectionPool, Http2Keepalive, HttpPool, OutlierDetection, TcpKeepalive, TcpPool,
};
use engine::Duration;

pub(super) static KEEPALIVE: Shape = Shape::new(
    "TcpKeepalive",
    &[
        held("probes", COUNT),
        held("time", DURATION_KIND),
        held("interval", DURATION_KIND),
    ],
);
static TCP: Shape = Shape::new(
    "ConnectionPoolTCP",
    &[
        Field::modelled("maxConnections", COUNT),
        Field::modelled("connectTimeout", DURATION_KIND),
        held("tcpKeepalive", Kind::Map(&KEEPALIVE)),
        Field::modelled("maxConnectionDuration", DURATION_KIND),
        Field::modelled("idleTimeout", DURATION_KIND),
    ],
);
static HTTP2_KEEPALIVE: Shape = Shape::new(
    "ConnectionKeepalive",
    &[
        held("interval", DURATION_KIND),
        held("timeout", DURATION_KIND),
    ],
);
static HTTP: Shape = Shape::new(
    "ConnectionPoolHTTP",
    &[
        Field::modelled("http1MaxPendingRequests", COUNT),
        Field::modelled("http2MaxRequests", COUNT),
        Field::modelled("maxRequestsPerConnection", COUNT),
        Field::modelled("maxRetries", COUNT),
        Field::modelled("idleTimeout", DURATION_KIND),
        Field::modelled(
            "h2UpgradePolicy",
            Kind::OneOf(&["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]),
        ),
        Field::modelled("useClientProtocol", Kind::Bool),
        Field::modelled("maxConcurrentStreams", COUNT),
        held("http2KeepAlive", Kind::Map(&HTTP2_KEEPALIVE)),
    ],
);
pub(super) static CONNECTION_POOL: Shape = Shape::new(
    "ConnectionPoolSettings",
    &[
        Field::modelled("tcp", Kind::Map(&TCP)),
        Field::modelled("http", Kind::Map(&HTTP)),
    ],
);

/// What is said of how long connections to an application may take to come up.
const INSIDE: &str = "connections inside a pod come up at once, or are refused at once";
static INBOUND_TCP: Shape = Shape::new(
    "InboundConnectionPoolTCP",
    &[
        Field::modelled("maxConnections", COUNT),
        Field::ignored("connectTimeout", DURATION_KIND, INSIDE),
        held("tcpKeepalive", Kind::Map(&KEEPALIVE)),
        Field::modelled("maxConnectionDuration", DURATION_KIND),
        Field::modelled("idleTimeout", DURATION_KIND),
    ],
);
static INBOUND_HTTP: Shape = Shape::new(
    "InboundConnectionPoolHTTP",
    &[
        Field::modelled("http1MaxPendingRequests", COUNT),
        Field::modelled("http2MaxRequests", COUNT),
        Field::modelled("maxRequestsPerConnection", COUNT),
        Field::modelled("maxRetries", COUNT),
        Field::modelled("idleTimeout", DURATION_KIND),
        Field::ignored(
            "h2UpgradePolicy",
            Kind::OneOf(&["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]),
            "Istio upgrades no connections to applications",
        ),
        Field::modelled("useClientProtocol", Kind::Bool),
        Field::modelled("maxConcurrentStreams", COUNT),
        held("http2KeepAlive", Kind::Map(&HTTP2_KEEPALIVE)),
    ],
);
/// Connections of a sidecar to its application.
pub(super) static INBOUND_POOL: Shape = Shape::new(
    "InboundConnectionPoolSettings",
    &[
        Field::modelled("tcp", Kind::Map(&INBOUND_TCP)),
        Field::modelled("http", Kind::Map(&INBOUND_HTTP)),
    ],
);

pub(super) static OUTLIER_DETECTION: Shape = Shape::new(
    "OutlierDetection",
    &[
        Field::modelled("consecutiveErrors", COUNT),
        Field::modelled("splitExternalLocalOriginErrors", Kind::Bool),
        Field::modelled("consecutiveLocalOriginFailures", COUNT),
        Field::modelled("consecutiveGatewayErrors", COUNT),
        Field::modelled("consecutive5xxErrors", COUNT),
        Field::modelled("interval", DURATION_KIND),
        Field::modelled("baseEjectionTime", DURATION_KIND),
        Field::modelled("maxEjectionPercent", Kind::Integer(0, 100)),
        Field::modelled("minHealthPercent", Kind::Integer(0, 100)),
        Field::modelled(
            "outlierDetectionHttpErrorCodes",
            Kind::List(&Kind::Integer(100, 599)),
        ),
    ],
);

pub(super) static CLIENT_TLS: Shape = Shape::new(
    "ClientTLSSettings",
    &[
        Field::modelled(
            "mode",
            Kind::OneOf(&["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]),
        ),
        Field::ignored("clientCertificate", Kind::Text, CERTIFICATES),
        Field::ignored("privateKey", Kind::Text, CERTIFICATES),
        Field::ignored("caCertificates", Kind::Text, CERTIFICATES),
        Field::ignored("credentialName", Kind::Text, CERTIFICATES),
        held("subjectAltNames", TEXT_LIST),
        Field::modelled("sni", Kind::Text),
        held("insecureSkipVerify", Kind::Bool),
        Field::ignored("caCrl", Kind::Text, CERTIFICATES),
    ],
);

/// Reads `tcpKeepalive`.
pub(super) fn keepalive(node: &Node) -> TcpKeepalive {
    TcpKeepalive {
        probes: positive(node, "probes"),
        time: duration(node, "time"),
        interval: duration(node, "interval"),
    }
}

/// Reads `connectionPool`.
pub(super) fn connection_pool(node: &Node, scope: &mut Scope<'_>) -> ConnectionPool {
    if node.get("tcp").is_none() && node.get("http").is_none() {
        let help = "give `tcp` or `http`, or remove it";
        scope.refuse(node.span, "`connectionPool` says nothing", help);
    }
    ConnectionPool {
        tcp: node
            .get("tcp")
            .map_or_else(TcpPool::default, |node| tcp(node, scope)),
        http: node
            .get("http")
            .map_or_else(HttpPool::default, |node| http(node, scope)),
    }
}

fn tcp(node: &Node, scope: &mut Scope<'_>) -> TcpPool {
    TcpPool {
        connections_max: positive(node, "maxConnections"),
        connect_timeout: scope.duration(node, "connectTimeout"),
        keepalive: node.get("tcpKeepalive").map(keepalive),
        lifetime: scope.duration(node, "maxConnectionDuration"),
        idle_timeout: match duration(node, "idleTimeout") {
            Some(Duration::ZERO) => Some(Duration::ZERO),
            _ => scope.duration(node, "idleTimeout"),
        },
    }
}

fn http(node: &Node, scope: &mut Scope<'_>) -> HttpPool {
    let uses_client_protocol = flag(node, "useClientProtocol").unwrap_or_default();
    let h2_upgrade = match node.get("h2UpgradePolicy").and_then(Node::str) {
        Some("UPGRADE") => Some(true),
        Some("DO_NOT_UPGRADE") => Some(false),
        _ => None,
    };
    if uses_client_protocol && h2_upgrade == Some(true) {
        let message = "`useClientProtocol` and `h2UpgradePolicy: UPGRADE` exclude one another";
        scope.refuse(node.span, message, "remove one of the two");
    }
    let keepalive = node.get("http2KeepAlive");
    if let Some(keepalive) = keepalive {
        for key in ["interval", "timeout"] {
            if keepalive.get(key).is_none() {
                let message = format!("`http2KeepAlive` lacks `{key}`");
                scope.refuse(keepalive.span, message, "it takes `interval` and `timeout`");
            }
        }
    }
    HttpPool {
        pending_max: positive(node, "http1MaxPendingRequests"),
        requests_max: positive(node, "http2MaxRequests"),
        requests_per_connection_max: positive(node, "maxRequestsPerConnection"),
        retries_max: positive(node, "maxRetries"),
        idle_timeout: scope.duration(node, "idleTimeout"),
        h2_upgrade,
        uses_client_protocol,
        streams_max: positive(node, "maxConcurrentStreams"),
        http2_keepalive: keepalive.map(|node| Http2Keepalive {
            interval: scope.duration(node, "interval"),
            timeout: scope.duration(node, "timeout"),
        }),
    }
}

/// Reads `outlierDetection`.
pub(super) fn outlier_detection(node: &Node, scope: &mut Scope<'_>) -> OutlierDetection {
    let old = positive(node, "consecutiveErrors");
    if let Some(node) = node.get("consecutiveErrors") {
        let help = "use `consecutive5xxErrors` or `consecutiveGatewayErrors`";
        scope.warn(node.span, "`consecutiveErrors` is deprecated", help);
    }
    let splits = flag(node, "splitExternalLocalOriginErrors").unwrap_or_default();
    let local = positive(node, "consecutiveLocalOriginFailures");
    if let Some(node) = node.get("consecutiveLocalOriginFailures")
        && local.is_some()
        && !splits
    {
        let message = "`consecutiveLocalOriginFailures` counts only with `splitExternalLocalOriginErrors: true`";
        scope.refuse(node.span, message, "set it, or remove the limit");
    }
    let codes = node.list("outlierDetectionHttpErrorCodes").iter();
    OutlierDetection {
        consecutive_5xx: count(node, "consecutive5xxErrors"),
        // The old limit is one of gateway errors, as istiod translates it.
        consecutive_gateway_errors: count(node, "consecutiveGatewayErrors").or(old),
        consecutive_local_failures: local,
        splits_local_failures: splits,
        interval: scope.duration(node, "interval"),
        ejection_base: scope.duration(node, "baseEjectionTime"),
        ejection_percent_max: positive(node, "maxEjectionPercent"),
        health_percent_min: count(node, "minHealthPercent").unwrap_or(0),
        error_codes: codes
            .filter_map(|code| u16::try_from(code.integer()?).ok())
            .collect(),
    }
}

/// Reads `tls` of a client.
pub(super) fn client_tls(node: &Node, scope: &mut Scope<'_>) -> ClientTls {
    let mode = match node.get("mode").and_then(Node::str) {
        Some("SIMPLE") => ClientMode::Simple,
        Some("MUTUAL") => ClientMode::Mutual,
        Some("ISTIO_MUTUAL") => ClientMode::IstioMutual,
        _ => ClientMode::Disable,
    };
    let says = |key: &str| string(node, key).is_some();
    let files = ["clientCertificate", "privateKey", "caCertificates"];
    if mode == ClientMode::IstioMutual {
        for key in files
            .into_iter()
            .chain(["credentialName"])
            .filter(|key| says(key))
        {
            let message = format!("`{key}` has no place in mode ISTIO_MUTUAL");
            scope.refuse(node.span, message, "Istio's own certificates are used");
        }
    }
    if mode == ClientMode::Mutual && !says("credentialName") {
        for key in ["clientCertificate", "privateKey"]
            .into_iter()
            .filter(|key| !says(key))
        {
            let message = format!("mode MUTUAL lacks `{key}`");
            scope.refuse(node.span, message, "or name a secret by `credentialName`");
        }
    }
    if says("credentialName") && files.into_iter().any(says) {
        let message = "`credentialName` and files exclude one another";
        scope.refuse(node.span, message, "remove one of the two");
    }
    ClientTls {
        mode,
        sni: string(node, "sni"),
        subject_names: strings(node, "subjectAltNames"),
        skips_verification: flag(node, "insecureSkipVerify").unwrap_or_default(),
    }
}
