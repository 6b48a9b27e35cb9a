//! DestinationRule.

use super::forms::{
    COUNT, DURATION_KIND, EXPORT_TO, MATCH_LABELS, PERCENTAGE, PORT_NUMBER, Scope, count, duration,
    flag, held, identity, is_label, istio_kind, labels, percent, string, strings,
};
use super::pool::{
    CLIENT_TLS, CONNECTION_POOL, OUTLIER_DETECTION, client_tls, connection_pool, outlier_detection,
};
use crate::document::Document;
use crate::shape::{Field, Kind, Shape, TEXT_LIST, TEXT_MAP};
use crate::tree::Node;
use cloud::facts;
use cloud::istio::config::Labels;
use cloud::istio::config::{
    BalancePolicy, DestinationRule, HashAlgorithm, HashKey, LoadBalancer, PortPolicy,
    ProxyProtocol, RetryBudget, Subset, TrafficPolicy, Tunnel, TunnelMethod, Warmup,
};
use cloud::istio::locality::{Distribute, Failover, Locality, LocalitySetting, ZoneAwareSetting};
use std::collections::BTreeSet;

const NUMBER: Kind = Kind::Integer(0, i64::MAX);

static RING: Shape = Shape::new("RingHash", &[Field::modelled("minimumRingSize", NUMBER)]);
static MAGLEV: Shape = Shape::new("MagLev", &[Field::modelled("tableSize", NUMBER)]);
static COOKIE_ATTRIBUTE: Shape = Shape::new(
    "HTTPCookieAttribute",
    &[
        Field::modelled("name", Kind::Text).required(),
        Field::modelled("value", Kind::Text),
    ],
);
/// Why nothing depends on what browsers do with a cookie.
const NO_BROWSERS: &str = "users are no browsers";
static COOKIE: Shape = Shape::new(
    "HTTPCookie",
    &[
        Field::modelled("name", Kind::Text).required(),
        Field::ignored("path", Kind::Text, NO_BROWSERS),
        Field::modelled("ttl", DURATION_KIND),
        Field::ignored(
            "attributes",
            Kind::List(&Kind::Map(&COOKIE_ATTRIBUTE)),
            NO_BROWSERS,
        ),
    ],
);
static CONSISTENT_HASH: Shape = Shape::new(
    "ConsistentHashLB",
    &[
        Field::modelled("httpHeaderName", Kind::Text),
        Field::modelled("httpCookie", Kind::Map(&COOKIE)),
        Field::modelled("useSourceIp", Kind::Bool),
        Field::modelled("httpQueryParameterName", Kind::Text),
        Field::modelled("ringHash", Kind::Map(&RING)),
        Field::modelled("maglev", Kind::Map(&MAGLEV)),
        Field::modelled("minimumRingSize", NUMBER),
    ],
);
static DISTRIBUTE: Shape = Shape::new(
    "LocalityDistribute",
    &[
        Field::modelled("from", Kind::Text),
        Field::modelled("to", Kind::Keyed(&Kind::Integer(0, 100))),
    ],
);
static FAILOVER: Shape = Shape::new(
    "LocalityFailover",
    &[
        Field::modelled("from", Kind::Text),
        Field::modelled("to", Kind::Text),
    ],
);
pub(super) static LOCALITY: Shape = Shape::new(
    "LocalityLoadBalancerSetting",
    &[
        Field::modelled("distribute", Kind::List(&Kind::Map(&DISTRIBUTE))),
        Field::modelled("failover", Kind::List(&Kind::Map(&FAILOVER))),
        Field::modelled("failoverPriority", TEXT_LIST),
        Field::modelled("enabled", Kind::Bool),
    ],
);
pub(super) static ZONE_AWARE: Shape = Shape::new(
    "ZoneAwareLoadBalancerSetting",
    &[
        Field::modelled("enabled", Kind::Bool),
        Field::modelled("failover", Kind::List(&Kind::Map(&FAILOVER))),
        Field::modelled("failoverPriority", TEXT_LIST),
        Field::modelled("minClusterSize", COUNT),
    ],
);
static WARMUP: Shape = Shape::new(
    "WarmupConfiguration",
    &[
        Field::modelled("duration", DURATION_KIND).required(),
        Field::modelled("minimumPercent", PERCENTAGE),
        Field::modelled("aggression", Kind::Number(0.0, f64::MAX)),
    ],
);
static LOAD_BALANCER: Shape = Shape::new(
    "LoadBalancerSettings",
    &[
        Field::modelled(
            "simple",
            Kind::OneOf(&[
                "UNSPECIFIED",
                "LEAST_CONN",
                "RANDOM",
                "PASSTHROUGH",
                "ROUND_ROBIN",
                "LEAST_REQUEST",
            ]),
        ),
        Field::modelled("consistentHash", Kind::Map(&CONSISTENT_HASH)),
        Field::modelled("localityLbSetting", Kind::Map(&LOCALITY)),
        Field::modelled("zoneAwareLbSetting", Kind::Map(&ZONE_AWARE)),
        Field::modelled("warmupDurationSecs", DURATION_KIND),
        Field::modelled("warmup", Kind::Map(&WARMUP)),
        Field::ignored(
            "backendUtilization",
            Kind::Opaque,
            "istiod does not act on it",
        ),
    ],
);
static PORT_POLICY: Shape = Shape::new(
    "PortTrafficPolicy",
    &[
        Field::modelled("port", Kind::Map(&PORT_NUMBER)),
        Field::modelled("loadBalancer", Kind::Map(&LOAD_BALANCER)),
        Field::modelled("connectionPool", Kind::Map(&CONNECTION_POOL)),
        Field::modelled("outlierDetection", Kind::Map(&OUTLIER_DETECTION)),
        Field::modelled("tls", Kind::Map(&CLIENT_TLS)),
    ],
);
static TUNNEL: Shape = Shape::new(
    "TunnelSettings",
    &[
        held("protocol", Kind::Text),
        held("targetHost", Kind::Text).required(),
        held("targetPort", crate::shape::INTEGER).required(),
    ],
);
static PROXY_PROTOCOL: Shape = Shape::new(
    "ProxyProtocol",
    &[held("version", Kind::OneOf(&["V1", "V2"]))],
);
static RETRY_BUDGET: Shape = Shape::new(
    "RetryBudget",
    &[
        Field::modelled("percent", PERCENTAGE),
        Field::modelled("minRetryConcurrency", COUNT),
        held("budgetInterval", DURATION_KIND),
    ],
);
static TRAFFIC_POLICY: Shape = Shape::new(
    "TrafficPolicy",
    &[
        Field::modelled("loadBalancer", Kind::Map(&LOAD_BALANCER)),
        Field::modelled("connectionPool", Kind::Map(&CONNECTION_POOL)),
        Field::modelled("outlierDetection", Kind::Map(&OUTLIER_DETECTION)),
        Field::modelled("tls", Kind::Map(&CLIENT_TLS)),
        Field::modelled("portLevelSettings", Kind::List(&Kind::Map(&PORT_POLICY))),
        held("tunnel", Kind::Map(&TUNNEL)),
        held("proxyProtocol", Kind::Map(&PROXY_PROTOCOL)),
        Field::modelled("retryBudget", Kind::Map(&RETRY_BUDGET)),
    ],
);
static SUBSET: Shape = Shape::new(
    "IstioSubset",
    &[
        Field::modelled("name", Kind::Text).required(),
        Field::modelled("labels", TEXT_MAP),
        Field::modelled("trafficPolicy", Kind::Map(&TRAFFIC_POLICY)),
    ],
);
static SPEC: Shape = Shape::new(
    "DestinationRuleSpec",
    &[
        Field::modelled("host", Kind::Text).required(),
        Field::modelled("trafficPolicy", Kind::Map(&TRAFFIC_POLICY)),
        Field::modelled("subsets", Kind::List(&Kind::Map(&SUBSET))),
        EXPORT_TO,
        Field::modelled("workloadSelector", Kind::Map(&MATCH_LABELS)),
    ],
);
istio_kind!(DESTINATION_RULE, "DestinationRule", SPEC);

/// Reads a checked document.
pub(super) fn read(document: &Document, scope: &mut Scope<'_>) -> DestinationRule {
    let spec = document.spec();
    let host = string(spec, "host").unwrap_or_default();
    scope.check_host(
        &host,
        spec.get("host")
            .map_or(document.metadata.span, |node| node.span),
    );
    let mut names = BTreeSet::new();
    let subsets = spec.list("subsets").iter();
    let subsets = subsets
        .map(|node| {
            let name = string(node, "name").unwrap_or_default();
            if !is_label(&name) {
                let message = format!("`{name}` cannot be the name of a subset");
                scope.refuse(node.span, message, "names are letters, digits and dashes");
            } else if !names.insert(name.clone()) {
                let message = format!("the subset `{name}` is there twice");
                scope.refuse(node.span, message, "give each a name of its own");
            }
            Subset {
                name,
                labels: labels(node, "labels"),
                policy: policy(node.get("trafficPolicy"), scope),
            }
        })
        .collect();
    let selector = spec.get("workloadSelector");
    let export_to = scope.export_to(spec, false);
    let own = |entry: &Node| [Some("."), Some(scope.namespace.as_str())].contains(&entry.str());
    if selector.is_some() && !spec.list("exportTo").iter().all(own) {
        let message = "a rule with a `workloadSelector` cannot be exported to other namespaces";
        scope.refuse(
            spec.span,
            message,
            "write `exportTo: [\".\"]` or leave it out",
        );
    }
    DestinationRule {
        identity: identity(document),
        host,
        policy: policy(spec.get("trafficPolicy"), scope),
        subsets,
        export_to,
        selector: selector.map_or_else(Labels::new, |node| labels(node, "matchLabels")),
    }
}

fn policy(node: Option<&Node>, scope: &mut Scope<'_>) -> TrafficPolicy {
    let Some(node) = node else {
        return TrafficPolicy::default();
    };
    if node.entries().is_empty() {
        let help = "give it a field, or remove it";
        scope.refuse(node.span, "`trafficPolicy` says nothing", help);
    }
    if node.get("tunnel").is_some() && node.get("proxyProtocol").is_some() {
        let message = "`tunnel` and `proxyProtocol` exclude one another";
        scope.refuse(node.span, message, "remove one of the two");
    }
    let mut ports = Vec::new();
    for setting in node.list("portLevelSettings") {
        if setting.get("port").is_none() {
            scope.refuse(
                setting.span,
                "the setting of a port lacks `port`",
                "write `port: {number: 80}`",
            );
        }
        if ["loadBalancer", "connectionPool", "outlierDetection", "tls"]
            .iter()
            .all(|key| setting.get(key).is_none())
        {
            let help = "give it a field, or remove it";
            scope.refuse(setting.span, "the setting of a port says nothing", help);
        }
        if let Some(port) = scope.port(setting.at(&["port", "number"])) {
            ports.push((port, port_policy(setting, scope)));
        }
    }
    TrafficPolicy {
        common: port_policy(node, scope),
        ports,
        tunnel: node.get("tunnel").and_then(|node| tunnel(node, scope)),
        proxy_protocol: node.get("proxyProtocol").map(|node| {
            match node.get("version").and_then(Node::str) {
                Some("V2") => ProxyProtocol::V2,
                _ => ProxyProtocol::V1,
            }
        }),
        retry_budget: node.get("retryBudget").map(|node| RetryBudget {
            percent: node.get("percent").and_then(Node::number),
            concurrency_min: count(node, "minRetryConcurrency"),
            interval: duration(node, "budgetInterval"),
        }),
    }
}

fn port_policy(node: &Node, scope: &mut Scope<'_>) -> PortPolicy {
    let outlier = node.get("outlierDetection");
    PortPolicy {
        load_balancer: node
            .get("loadBalancer")
            .map(|node| load_balancer(node, outlier.is_some(), scope)),
        connection_pool: node
            .get("connectionPool")
            .map(|node| connection_pool(node, scope)),
        outlier_detection: outlier.map(|node| outlier_detection(node, scope)),
        tls: node.get("tls").map(|node| client_tls(node, scope)),
    }
}

fn tunnel(node: &Node, scope: &mut Scope<'_>) -> Option<Tunnel> {
    let method = match node.get("protocol").and_then(Node::str) {
        None | Some("" | "CONNECT") => TunnelMethod::Connect,
        Some("POST") => TunnelMethod::Post,
        Some(other) => {
            let message = format!("`{other}` is no way to ask for a tunnel");
            scope.refuse(node.span, message, "write CONNECT or POST");
            return None;
        }
    };
    let host = string(node, "targetHost")?;
    scope.check_host(&host, node.span);
    Some(Tunnel {
        method,
        host,
        port: scope.port(node.get("targetPort"))?,
    })
}

fn load_balancer(node: &Node, has_outliers: bool, scope: &mut Scope<'_>) -> LoadBalancer {
    let (locality, zone_aware) = (
        node.get("localityLbSetting"),
        node.get("zoneAwareLbSetting"),
    );
    if locality.is_some() && zone_aware.is_some() {
        let message = "`localityLbSetting` and `zoneAwareLbSetting` exclude one another";
        scope.refuse(node.span, message, "remove one of the two");
    }
    let hash = node.get("consistentHash");
    if hash.is_some() && node.get("simple").is_some() {
        let message = "`simple` and `consistentHash` exclude one another";
        scope.refuse(node.span, message, "remove one of the two");
    }
    let simple = match node.get("simple").and_then(Node::str) {
        Some("RANDOM") => Some(BalancePolicy::Random),
        Some("PASSTHROUGH") => Some(BalancePolicy::Passthrough),
        Some("ROUND_ROBIN") => Some(BalancePolicy::RoundRobin),
        Some("LEAST_REQUEST" | "LEAST_CONN") => Some(BalancePolicy::LeastRequest),
        _ => None,
    };
    LoadBalancer {
        policy: hash.map(|node| consistent_hash(node, scope)).or(simple),
        locality: locality.map(|node| locality_setting(node, Some(has_outliers), scope)),
        zone_aware: zone_aware.map(|node| zone_aware_setting(node, has_outliers, scope)),
        warmup: warmup(node, scope),
    }
}

fn warmup(node: &Node, scope: &mut Scope<'_>) -> Option<Warmup> {
    let old = duration(node, "warmupDurationSecs").map(|lasts| Warmup {
        lasts,
        percent_min: None,
        aggression: None,
    });
    let Some(node) = node.get("warmup") else {
        return old;
    };
    let aggression = node.get("aggression").and_then(Node::number);
    if aggression.is_some_and(|aggression| aggression <= 0.0) {
        scope.refuse(
            node.span,
            "`aggression` must be greater than 0",
            "1 grows in proportion",
        );
    }
    Some(Warmup {
        lasts: scope.duration(node, "duration")?,
        percent_min: percent(node, "minimumPercent"),
        aggression,
    })
}

fn consistent_hash(node: &Node, scope: &mut Scope<'_>) -> BalancePolicy {
    let number = |node: &Node, key: &str| {
        let number = node.get(key).and_then(Node::integer)?;
        u64::try_from(number).ok()
    };
    let old = number(node, "minimumRingSize").filter(|size| *size > 0);
    let (ring, maglev) = (node.get("ringHash"), node.get("maglev"));
    if let Some(at) = node.get("minimumRingSize") {
        let help = "use `ringHash: {minimumRingSize: ...}`";
        scope.warn(at.span, "`minimumRingSize` is deprecated here", help);
        if ring.is_some() || maglev.is_some() {
            let message = "`minimumRingSize` excludes `ringHash` and `maglev`";
            scope.refuse(at.span, message, "remove it");
        }
    }
    let keys = [
        "httpHeaderName",
        "httpCookie",
        "useSourceIp",
        "httpQueryParameterName",
    ];
    if keys.iter().filter(|key| node.get(key).is_some()).count() > 1 {
        let help = format!("give one of {}", keys.join(", "));
        scope.refuse(node.span, "only one thing can be hashed", &help);
    }
    let key = if let Some(name) = string(node, "httpHeaderName") {
        HashKey::Header(name.to_ascii_lowercase())
    } else if let Some(cookie) = node.get("httpCookie") {
        HashKey::Cookie {
            name: string(cookie, "name").unwrap_or_default(),
            path: string(cookie, "path"),
            ttl: duration(cookie, "ttl"),
        }
    } else if flag(node, "useSourceIp") == Some(true) {
        HashKey::SourceAddress
    } else if let Some(name) = string(node, "httpQueryParameterName") {
        HashKey::QueryParameter(name)
    } else {
        HashKey::Nothing
    };
    let size = || ring.and_then(|node| number(node, "minimumRingSize"));
    let algorithm = match maglev {
        Some(node) => HashAlgorithm::Maglev {
            slots: slots(node, number(node, "tableSize").unwrap_or(0), scope),
        },
        None => HashAlgorithm::Ring {
            size_min: old.or_else(size).unwrap_or(facts::MESH_RING_SIZE.value),
        },
    };
    BalancePolicy::ConsistentHash { key, algorithm }
}

/// The slots of a table: a prime below 5000011.
fn slots(node: &Node, slots: u64, scope: &mut Scope<'_>) -> Option<u64> {
    const SLOTS_END: u64 = 5_000_011;
    let is_prime = slots > 1
        && (2..)
            .take_while(|n| n * n <= slots)
            .all(|n| !slots.is_multiple_of(n));
    if slots >= SLOTS_END || !is_prime {
        let message = format!("a table of {slots} slots is not possible");
        let help = "`tableSize` is a prime number below 5000011, as 65537";
        scope.refuse(node.span, message, help);
        return None;
    }
    Some(slots)
}

/// Reads `localityLbSetting`; of the mesh, whose outlier detection nobody knows.
pub(super) fn locality_setting(
    node: &Node,
    has_outliers: Option<bool>,
    scope: &mut Scope<'_>,
) -> LocalitySetting {
    let labels = strings(node, "failoverPriority");
    let has = |key: &str| !node.list(key).is_empty();
    if has("distribute") && has("failover") {
        let message = "`distribute` and `failover` exclude one another";
        scope.refuse(node.span, message, "remove one of the two");
    }
    let places = [
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "topology.istio.io/subzone",
    ];
    if has("failover") && labels.iter().any(|label| places.contains(&label.as_str())) {
        let message =
            "`failover` and the labels of places in `failoverPriority` exclude one another";
        scope.refuse(node.span, message, "remove one of the two");
    }
    check_failover(node, has_outliers, scope);
    let distribute = node.list("distribute").iter();
    LocalitySetting {
        enabled: flag(node, "enabled").unwrap_or(true),
        distribute: distribute.map(|node| distribution(node, scope)).collect(),
        failover: failover(node),
        failover_priority: labels,
    }
}

fn distribution(node: &Node, scope: &mut Scope<'_>) -> Distribute {
    let to: Vec<_> = node
        .get("to")
        .map_or(&[][..], Node::entries)
        .iter()
        .collect();
    let share = |value: &Node| value.integer().and_then(|share| u32::try_from(share).ok());
    let shares: Vec<u32> = to
        .iter()
        .map(|entry| share(&entry.value).unwrap_or(0))
        .collect();
    if shares.contains(&0) {
        scope.refuse(
            node.span,
            "a locality cannot have a share of 0",
            "leave it out instead",
        );
    }
    let sum: u32 = shares.iter().sum();
    if sum != 100 {
        let message = format!("the shares of localities sum to {sum}, not 100");
        scope.refuse(
            node.span,
            message,
            "these are percentages: let them sum to 100",
        );
    }
    let from = string(node, "from").unwrap_or_default();
    Distribute {
        from: Locality::parse(&from),
        to: to
            .iter()
            .zip(shares)
            .map(|(entry, share)| (Locality::parse(&entry.key), share))
            .collect(),
    }
}

fn failover(node: &Node) -> Vec<Failover> {
    let entries = node.list("failover").iter();
    entries
        .map(|node| Failover {
            from: string(node, "from").unwrap_or_default(),
            to: string(node, "to").unwrap_or_default(),
        })
        .collect()
}

fn check_failover(node: &Node, has_outliers: Option<bool>, scope: &mut Scope<'_>) {
    for entry in node.list("failover") {
        let ends = ["from", "to"].map(|key| string(entry, key).unwrap_or_default());
        if ends[0] == ends[1] {
            scope.refuse(
                entry.span,
                "a region cannot stand in for itself",
                "name another region",
            );
        }
        if ends.iter().any(|end| end.contains(['/', '*'])) {
            let message = "`failover` takes regions alone";
            scope.refuse(entry.span, message, "leave out zones and wildcards");
        }
    }
    let says = !node.list("failover").is_empty() || !node.list("failoverPriority").is_empty();
    if says && has_outliers == Some(false) {
        let message = "without `outlierDetection` nothing fails over";
        scope.warn(node.span, message, "add it to the same policy");
    }
}

/// Reads `zoneAwareLbSetting`.
pub(super) fn zone_aware_setting(
    node: &Node,
    has_outliers: bool,
    scope: &mut Scope<'_>,
) -> ZoneAwareSetting {
    check_failover(node, Some(has_outliers), scope);
    ZoneAwareSetting {
        enabled: flag(node, "enabled").unwrap_or(true),
        failover: failover(node),
        failover_priority: strings(node, "failoverPriority"),
        endpoints_min: count(node, "minClusterSize"),
    }
}
