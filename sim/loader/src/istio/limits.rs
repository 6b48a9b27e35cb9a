//! Limits of rates: EnvoyFilters with Envoy's filters for them, and the ConfigMap of a rate limit
//! service.
//!
//! Models: `envoy.filters.http.local_ratelimit` for all requests that a sidecar takes in, or for
//! one of its ports by a patch of routes; `envoy.filters.http.ratelimit`, its cluster and its
//! descriptors; those of local limits; what is in `patches.rs` and `route_patches.rs`. Leaves out:
//! limits of what an application asks, and every other patch, which is told.
//! Sources: istio.io, the task about rate limits; envoyproxy/envoy
//! api/envoy/extensions/filters/http; envoyproxy/ratelimit README.
//! Validated by: requests under unmodified manifests of the task.

use super::forms::{Scope, duration, identity, labels, string};
use super::{patches, route_patches};
use crate::diagnostic::Code;
use crate::document::Document;
use crate::kubernetes::metadata::{API_VERSION, KIND, METADATA, STATUS};
use crate::shape::{Field, Kind, Shape};
use crate::tree::{Node, Value};
use cloud::facts;
use cloud::istio::config::{
    EnvoyFilter, FilterPlace, HeaderTest, HeaderValue, LimitActions, LimitDescriptor, LimitDomain,
    LimitPart, LimitService, LocalDescriptor, LocalLimit, Quota, TextTest, TokenBucket,
};
use engine::Duration;
use std::collections::BTreeMap;

const LOCAL: &str = "envoy.filters.http.local_ratelimit";
const GLOBAL: &str = "envoy.filters.http.ratelimit";
const MILLION: f64 = 1e6;

static LIMIT: Shape = Shape::new(
    "RateLimitPolicy",
    &[
        Field::modelled("unit", Kind::Text).required(),
        Field::modelled("requests_per_unit", super::forms::COUNT),
        Field::modelled("unlimited", Kind::Bool),
        Field::ignored("name", Kind::Text, "names of limits decide nothing"),
        Field::ignored(
            "replaces",
            Kind::Opaque,
            "limits do not replace one another here",
        ),
    ],
);
static DESCRIPTOR_KIND: Kind = Kind::Map(&DESCRIPTOR);
static DESCRIPTOR: Shape = Shape::new(
    "RateLimitDescriptor",
    &[
        Field::modelled("key", Kind::Text).required(),
        Field::modelled("value", Kind::Word),
        Field::modelled("rate_limit", Kind::Map(&LIMIT)),
        Field::modelled("descriptors", Kind::List(&DESCRIPTOR_KIND)),
        Field::ignored("shadow_mode", Kind::Bool, "every limit is enforced"),
        Field::ignored(
            "detailed_metric",
            Kind::Bool,
            "the service's own metrics are not simulated",
        ),
    ],
);
static DOMAIN: Shape = Shape::new(
    "RateLimitDomain",
    &[
        Field::modelled("domain", Kind::Text).required(),
        Field::modelled("descriptors", Kind::List(&DESCRIPTOR_KIND)),
    ],
);
static TEXT_OR_DOMAIN: Kind = Kind::Either(&[Kind::Map(&DOMAIN), Kind::Text]);
/// The ConfigMap of a rate limit service, with its texts taken for what they hold.
pub(crate) static CONFIG_MAP: Shape = Shape::new(
    "RateLimitConfigMap",
    &[
        API_VERSION,
        KIND,
        METADATA,
        Field::modelled("data", Kind::Keyed(&TEXT_OR_DOMAIN)),
        Field::ignored(
            "immutable",
            Kind::Bool,
            "a ConfigMap does not change in a run",
        ),
        STATUS,
    ],
);

/// Whether a text is the configuration of a rate limit service.
pub(crate) fn is_domain(text: &str) -> bool {
    let begins = |start: &str| text.lines().any(|line| line.starts_with(start));
    begins("domain:") && begins("descriptors:")
}

/// Whether a document is the ConfigMap of a rate limit service.
pub(crate) fn is_config_map(kind: &str, root: &Node) -> bool {
    let data = root.get("data").map_or(&[][..], Node::entries);
    let mut texts = data.iter().filter_map(|entry| entry.value.str());
    kind == "ConfigMap" && texts.any(is_domain)
}

/// Reads all sets of limits of the ConfigMap.
pub(super) fn domains(document: &Document) -> Vec<LimitDomain> {
    let data = document.root.get("data").map_or(&[][..], Node::entries);
    let data = data.iter().map(|entry| &entry.value);
    let domain = |node: &Node| {
        Some(LimitDomain {
            name: string(node, "domain")?,
            descriptors: descriptors(node),
        })
    };
    data.filter_map(domain).collect()
}

fn descriptors(node: &Node) -> Vec<LimitDescriptor> {
    let nodes = node.list("descriptors").iter();
    let descriptor = |node: &Node| LimitDescriptor {
        key: string(node, "key").unwrap_or_default(),
        value: node.get("value").and_then(Node::text).map(str::to_owned),
        limit: node.get("rate_limit").and_then(quota),
        descriptors: descriptors(node),
    };
    nodes.map(descriptor).collect()
}

fn quota(node: &Node) -> Option<Quota> {
    if node.get("unlimited").and_then(Node::bool) == Some(true) {
        return None;
    }
    let seconds = match string(node, "unit")?.to_lowercase().as_str() {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return None,
    };
    Some(Quota {
        unit: Duration::from_secs(seconds),
        requests: super::forms::count(node, "requests_per_unit").unwrap_or(0),
    })
}

/// What one patch does.
enum Patch {
    /// Inserts a filter, with a limit of its own or without; whether that is all.
    Local(Option<LocalLimit>, FilterPlace, bool),
    /// Limits routes of a port, or says what limits are told of requests to it.
    Routes(RoutePatch),
    Service(LimitService),
    /// Describes a cluster that others name.
    Cluster,
    /// Changes what istiod writes.
    Change(Box<patches::Read>),
}

/// What a patch does to routes.
struct RoutePatch {
    limit: Option<LocalLimit>,
    actions: Vec<LimitActions>,
    /// Whether that is all.
    is_all: bool,
}

/// Reads an EnvoyFilter: what it limits or changes, if it does, and the patches that are not
/// simulated.
pub(super) fn read<'a>(
    document: &'a Document,
    scope: &mut Scope<'_>,
) -> (Option<EnvoyFilter>, Vec<&'a Node>) {
    let spec = document.spec();
    let mut filter = EnvoyFilter {
        identity: identity(document),
        selector: spec
            .get("workloadSelector")
            .map(|node| labels(node, "labels"))
            .unwrap_or_default(),
        priority: spec
            .get("priority")
            .and_then(Node::integer)
            .and_then(|priority| i32::try_from(priority).ok())
            .unwrap_or_default(),
        local: Vec::new(),
        service: None,
        actions: Vec::new(),
        patches: Vec::new(),
    };
    let patches = spec.list("configPatches");
    let clusters = clusters(patches);
    let (mut place, mut left_out, mut routes) = (None, Vec::new(), Vec::new());
    for node in patches {
        match patch(node, &clusters, scope) {
            Some(Patch::Local(limit, at, is_all)) => {
                place = Some(at);
                filter.local.extend(limit);
                left_out.extend((!is_all).then_some(node));
            }
            Some(Patch::Routes(read)) => {
                filter.actions.extend(read.actions);
                routes.extend(read.limit.map(|limit| (limit, node)));
                left_out.extend((!read.is_all).then_some(node));
            }
            Some(Patch::Service(service)) => filter.service = Some(service),
            Some(Patch::Cluster) => {}
            Some(Patch::Change(read)) => {
                filter.patches.extend(read.patch);
                left_out.extend((!read.is_all).then_some(node));
            }
            None => left_out.push(node),
        }
    }
    for (limit, node) in routes {
        match place {
            Some(place) => filter.local.push(LocalLimit { place, ..limit }),
            None => without_effect(
                node,
                "no patch of the EnvoyFilter inserts the filter",
                scope,
            ),
        }
    }
    let limits = !filter.local.is_empty() || filter.service.is_some() || !filter.actions.is_empty();
    let acts = limits || !filter.patches.is_empty();
    (acts.then_some(filter), left_out)
}

fn without_effect(node: &Node, why: &str, scope: &mut Scope<'_>) {
    let message = format!("the limit never acts: {why}");
    scope
        .diagnostics
        .report(Code::LimitWithoutEffect, node.span, message)
        .help("the task about rate limits at istio.io shows filters that act");
}

/// Clusters that patches add, by name: host and port.
fn clusters(patches: &[Node]) -> BTreeMap<String, (String, u16)> {
    let added = patches.iter().filter_map(|node| {
        let value = node.at(&["patch", "value"])?;
        let endpoints = value
            .at(&["load_assignment", "endpoints"])?
            .items()
            .first()?;
        let endpoint = endpoints.list("lb_endpoints").first()?;
        let address = endpoint.at(&["endpoint", "address", "socket_address"])?;
        let port = address.get("port_value").and_then(Node::integer)?;
        let host = string(address, "address")?;
        Some((string(value, "name")?, (host, u16::try_from(port).ok()?)))
    });
    added.collect()
}

/// A cluster by its name: one that istiod writes, or one that a patch adds.
fn cluster(name: &str, added: &BTreeMap<String, (String, u16)>) -> Option<(String, u16)> {
    if let Some(added) = added.get(name) {
        return Some(added.clone());
    }
    let mut parts = name.split('|');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("outbound"), Some(port), Some(""), Some(host)) => {
            Some((host.to_owned(), port.parse().ok()?))
        }
        _ => None,
    }
}

fn patch(
    node: &Node,
    clusters: &BTreeMap<String, (String, u16)>,
    scope: &mut Scope<'_>,
) -> Option<Patch> {
    let value = node.at(&["patch", "value"])?;
    let context = node.at(&["match", "context"]).and_then(Node::str);
    let is_inbound = matches!(context, None | Some("ANY" | "SIDECAR_INBOUND"));
    match node.get("applyTo").and_then(Node::str)? {
        "CLUSTER" => {
            let name = string(value, "name");
            match name.is_some_and(|name| clusters.contains_key(&name)) {
                true => Some(Patch::Cluster),
                false => patches::clusters(node, scope).map(changes),
            }
        }
        "NETWORK_FILTER" => patches::streams(node, scope).map(changes),
        "HTTP_FILTER" if is_inbound => match string(value, "name")?.as_str() {
            LOCAL => {
                let place = place(node);
                let said = config(value.get("typed_config")?);
                let limit = local(node, said, scope);
                let limit = limit.map(|limit| LocalLimit { place, ..limit });
                let is_all = all_known(said.list("rate_limits"));
                Some(Patch::Local(limit, place, is_all))
            }
            GLOBAL => {
                let config = config(value.get("typed_config")?);
                Some(Patch::Service(service(place(node), config, clusters)?))
            }
            _ => None,
        },
        part @ ("HTTP_ROUTE" | "VIRTUAL_HOST") => {
            let is_of_routes = part == "HTTP_ROUTE";
            let name = node
                .at(&["match", "routeConfiguration", "vhost", "name"])
                .and_then(Node::str);
            let port = name.and_then(|name| name.strip_prefix("inbound|http|"));
            let port = port.and_then(|port| port.parse::<u16>().ok());
            let own = value.at(&["typed_per_filter_config", LOCAL]).map(config);
            let told = match is_of_routes {
                true => value.at(&["route", "rate_limits"]),
                false => value.get("rate_limits"),
            };
            if own.is_none() && told.is_none() {
                let read = match is_of_routes {
                    true => route_patches::routes(node, scope),
                    false => route_patches::hosts(node, scope),
                };
                return read.map(changes);
            }
            if !is_inbound {
                own?;
                let why = "routes with limits stand in the context SIDECAR_INBOUND";
                without_effect(node, why, scope);
                return Some(Patch::Routes(RoutePatch {
                    limit: None,
                    actions: Vec::new(),
                    is_all: true,
                }));
            }
            let limit = own.and_then(|own| local(node, own, scope));
            let told = told.map_or(&[][..], Node::items);
            // Envoy refuses a route whose limit has no bucket.
            let is_whole = |own: &Node| bucket(own).is_some() && all_known(own.list("rate_limits"));
            Some(Patch::Routes(RoutePatch {
                limit: limit.map(|limit| LocalLimit { port, ..limit }),
                actions: limit_actions(told, port, is_of_routes),
                is_all: all_known(told) && own.is_none_or(is_whole),
            }))
        }
        _ => None,
    }
}

fn changes(read: patches::Read) -> Patch {
    Patch::Change(Box::new(read))
}

/// A filter that is inserted before Envoy's router stands behind Istio's policies.
fn place(node: &Node) -> FilterPlace {
    let path = [
        "match",
        "listener",
        "filterChain",
        "filter",
        "subFilter",
        "name",
    ];
    match node.at(&path).and_then(Node::str) {
        Some("envoy.filters.http.router" | "envoy.router") => FilterPlace::Last,
        _ => FilterPlace::First,
    }
}

/// A configuration, out of the struct that may hold it.
fn config(node: &Node) -> &Node {
    node.get("value").unwrap_or(node)
}

/// A limit, if there is a bucket and it is switched on.
fn local(patch: &Node, node: &Node, scope: &mut Scope<'_>) -> Option<LocalLimit> {
    let bucket = bucket(node)?;
    let enabled = share(node, "filter_enabled");
    let enforced = share(node, "filter_enforced");
    let enforced_millionths = (enabled * enforced * MILLION).round() as u32;
    if enforced_millionths == 0 {
        let why = "`filter_enabled` and `filter_enforced` are 0 % unless something else is said";
        without_effect(patch, why, scope);
        return None;
    }
    Some(LocalLimit {
        place: FilterPlace::First,
        port: None,
        bucket,
        counts_all: node
            .get("always_consume_default_token_bucket")
            .and_then(Node::bool)
            .unwrap_or(true),
        descriptors: local_descriptors(patch, node, scope),
        actions: limit_actions(node.list("rate_limits"), None, true),
        enforced_millionths,
    })
}

/// Buckets of some requests: one without entries is for none.
fn local_descriptors(patch: &Node, node: &Node, scope: &mut Scope<'_>) -> Vec<LocalDescriptor> {
    let descriptor = |node: &Node| {
        let entries = node.list("entries").iter();
        let entry = |node: &Node| {
            let value = node.get("value").and_then(Node::text);
            (
                string(node, "key").unwrap_or_default(),
                value.unwrap_or_default().to_owned(),
            )
        };
        Some(LocalDescriptor {
            parts: entries.map(entry).collect(),
            bucket: bucket(node)?,
        })
    };
    let said = node.list("descriptors");
    let known: Vec<LocalDescriptor> = said.iter().filter_map(descriptor).collect();
    if known.len() < said.len() {
        let why = "each descriptor needs a `token_bucket` with a `fill_interval`";
        without_effect(patch, why, scope);
    }
    known
}

/// The bucket of a limit or of a descriptor.
fn bucket(node: &Node) -> Option<TokenBucket> {
    let node = node.get("token_bucket")?;
    let count = |key: &str| super::forms::count(node, key);
    Some(TokenBucket {
        tokens_max: count("max_tokens").unwrap_or(1),
        tokens_per_fill: count("tokens_per_fill").unwrap_or(1).max(1),
        fill_interval: duration(node, "fill_interval").filter(|it| !it.is_zero())?,
    })
}

/// A runtime fraction: nothing is none.
fn share(node: &Node, key: &str) -> f64 {
    let Some(value) = node.at(&[key, "default_value"]) else {
        return 0.0;
    };
    let of = match value.get("denominator").and_then(Node::str) {
        Some("TEN_THOUSAND") => 10_000.0,
        Some("MILLION") => MILLION,
        _ => 100.0,
    };
    let numerator = value.get("numerator").and_then(Node::number);
    (numerator.unwrap_or(0.0) / of).clamp(0.0, 1.0)
}

fn service(
    place: FilterPlace,
    node: &Node,
    clusters: &BTreeMap<String, (String, u16)>,
) -> Option<LimitService> {
    let name = node.at(&[
        "rate_limit_service",
        "grpc_service",
        "envoy_grpc",
        "cluster_name",
    ])?;
    let (host, port) = cluster(name.str()?, clusters)?;
    Some(LimitService {
        place,
        host,
        port,
        domain: string(node, "domain").unwrap_or_default(),
        timeout: duration(node, "timeout").unwrap_or(facts::ENVOY_RATE_LIMIT_TIMEOUT.value),
        denies_on_failure: node
            .get("failure_mode_deny")
            .and_then(Node::bool)
            .unwrap_or_default(),
    })
}

/// What is told of requests by what is said; what is not known here tells nothing.
fn limit_actions(said: &[Node], port: Option<u16>, is_of_route: bool) -> Vec<LimitActions> {
    let told = said.iter().map(|node| LimitActions {
        port,
        is_of_route,
        parts: actions(node).unwrap_or_default(),
    });
    told.collect()
}

/// Whether all that is said tells something that is known here.
fn all_known(said: &[Node]) -> bool {
    said.iter().all(|node| actions(node).is_some())
}

/// What is told of a request; nothing if a part of it is not known here.
fn actions(node: &Node) -> Option<Vec<LimitPart>> {
    node.list("actions").iter().map(part).collect()
}

fn part(node: &Node) -> Option<LimitPart> {
    if let Some(header) = node.get("request_headers") {
        let name = string(header, "header_name")?.to_lowercase();
        return Some(LimitPart::Header {
            name,
            key: string(header, "descriptor_key")?,
            is_optional: header.get("skip_if_absent").and_then(Node::bool) == Some(true),
        });
    }
    if let Some(matching) = node.get("header_value_match") {
        let key = string(matching, "descriptor_key");
        let tests = matching.list("headers").iter().map(header_test);
        return Some(LimitPart::Matching {
            key: key.unwrap_or_else(|| "header_match".to_owned()),
            value: string(matching, "descriptor_value")?,
            headers: tests.collect::<Option<Vec<_>>>()?,
            is_expected: matching.get("expect_match").and_then(Node::bool) != Some(false),
        });
    }
    if node.get("remote_address").is_some() {
        return Some(LimitPart::RemoteAddress);
    }
    let fixed = node.get("generic_key")?;
    Some(LimitPart::Fixed {
        key: string(fixed, "descriptor_key").unwrap_or_else(|| "generic_key".to_owned()),
        value: string(fixed, "descriptor_value")?,
    })
}

/// What a header has to be; nothing if it is asked in a way that is not known here.
fn header_test(node: &Node) -> Option<HeaderTest> {
    let text = |node: &Node, [exact, prefix, suffix, contains, regex]: [&str; 5]| {
        let of = |key: &str| string(node, key);
        of(exact)
            .map(TextTest::Exact)
            .or_else(|| of(prefix).map(TextTest::Prefix))
            .or_else(|| of(suffix).map(TextTest::Suffix))
            .or_else(|| of(contains).map(TextTest::Contains))
            .or_else(|| string(node.get(regex)?, "regex").map(TextTest::Regex))
    };
    let value = match (
        node.get("string_match"),
        node.get("present_match").and_then(Node::bool),
    ) {
        (Some(node), _) => {
            let ignores_case = node.get("ignore_case").and_then(Node::bool) == Some(true);
            let keys = ["exact", "prefix", "suffix", "contains", "safe_regex"];
            HeaderValue::Text(text(node, keys)?, ignores_case)
        }
        (None, Some(is_there)) => HeaderValue::Present(is_there),
        (None, None) => {
            let keys = [
                "exact_match",
                "prefix_match",
                "suffix_match",
                "contains_match",
                "safe_regex_match",
            ];
            match text(node, keys) {
                Some(test) => HeaderValue::Text(test, false),
                // Without a test it is enough that it is there.
                None if node.entries().len() == 1 => HeaderValue::Present(true),
                None => return None,
            }
        }
    };
    Some(HeaderTest {
        name: string(node, "name")?.to_lowercase(),
        value,
        is_inverted: node.get("invert_match").and_then(Node::bool) == Some(true),
    })
}

/// Takes the texts of the ConfigMap for what they hold.
pub(crate) fn unfold(root: &mut Node, diagnostics: &mut crate::diagnostic::Diagnostics) {
    let Value::Mapping(fields) = &mut root.value else {
        return;
    };
    let data = fields.iter_mut().find(|entry| entry.key == "data");
    let Some(Value::Mapping(texts)) = data.map(|entry| &mut entry.value.value) else {
        return;
    };
    for entry in texts {
        if entry.value.str().is_some_and(is_domain) {
            super::mesh::take_text(entry, diagnostics);
        }
    }
}
