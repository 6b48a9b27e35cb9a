//! `users`, `dns`, `links`: where users sit, what names lead them where, how far apart things are.

use super::forms::{self, BANDWIDTH, SHARE};
use super::names::{Address, Names, named};
use super::reader::Reader;
use crate::diagnostic::Code;
use crate::shape::{Field, Format, Kind, Shape};
use crate::source::Span;
use crate::tree::Node;
use crate::value::DURATION;
use cloud::facts;
use cloud::istio::authentication::selects;
use cloud::istio::config::GatewayName;
use cloud::scenario::{
    Cluster, ClusterId, DnsPolicy, GlobalAnswer, GlobalName, HealthCheck, LinkOverride, Place,
    ServiceId, ServiceKind, UserNetwork, UserNetworkId, WorkloadId,
};
use ipnet::Ipv4Net;
use serde_json::json;

/// A range of addresses.
static RANGE: Format = Format {
    name: "a range of addresses",
    examples: "`203.0.113.0/24`",
    pattern: r"^[0-9.]+/[0-9]+$",
    check: |text| match text.parse::<Ipv4Net>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("`{text}` is no address with a number of bits")),
    },
};

pub(super) static USERS: Shape = Shape::new(
    "Users",
    &[
        Field::modelled("name", Kind::Text)
            .required()
            .doc("Unique among places of users."),
        Field::modelled("region", Kind::Text)
            .doc("Where they sit, as a cluster's region; their access network comes on top.")
            .default(|| json!(facts::REGION.value)),
        Field::modelled("resolvers", Kind::Integer(1, 100_000))
            .doc("Caching DNS resolvers that they are spread over; each keeps its own answers.")
            .default(|| json!(facts::DNS_RESOLVERS.value)),
        Field::modelled("addresses", Kind::Format(&RANGE)).doc(
            "Where their addresses lie: of a service with `loadBalancerSourceRanges` only those in them get in, and policies that ask for addresses decide by them. Without it all get in, and policies see addresses that are nobody's.",
        ),
    ],
)
.doc("A place outside of the clusters where users sit.");

pub(super) static DNS: Shape = Shape::new(
    "GlobalName",
    &[
        Field::modelled("host", Kind::Text)
            .required()
            .doc("The name that users ask for."),
        Field::modelled("policy", Kind::OneOf(&["failover", "latency", "weighted"]))
            .doc("Whom a healthy answer names: the first, the nearest, or one by weight.")
            .default(|| json!("latency")),
        Field::modelled("ttl", Kind::Format(&DURATION))
            .doc("How long resolvers keep an answer.")
            .default(|| json!(forms::show_duration(facts::DNS_TTL.value))),
        Field::modelled("answers", Kind::List(&Kind::Map(&ANSWER)))
            .doc("Candidates; by default the entry of every cluster that serves the host."),
        Field::modelled("healthCheck", Kind::Map(&HEALTH_CHECK))
            .doc("How candidates are checked from outside."),
    ],
)
.doc("A name that a global DNS answers with the entry of a healthy cluster.");

static ANSWER: Shape = Shape::new(
    "GlobalAnswer",
    &[
        Field::modelled("cluster", Kind::Text)
            .required()
            .doc("The cluster."),
        Field::modelled("service", Kind::Text).doc(
            "Its entry, a LoadBalancer or NodePort service; by default that which serves the host.",
        ),
        Field::modelled("weight", Kind::Integer(0, 1_000_000))
            .doc("Weight under `policy: weighted`.")
            .default(|| json!(1)),
    ],
);

static HEALTH_CHECK: Shape = Shape::new(
    "HealthCheck",
    &[
        Field::modelled("interval", Kind::Format(&DURATION))
            .doc("Time between two checks of one candidate.")
            .default(|| json!(forms::show_duration(facts::DNS_CHECK_INTERVAL.value))),
        Field::modelled("timeout", Kind::Format(&DURATION))
            .doc("A check without an answer for this long has failed.")
            .default(|| json!(forms::show_duration(facts::DNS_CHECK_TIMEOUT.value))),
        Field::modelled("failures", Kind::Integer(1, 1_000))
            .doc("Failures in a row that take a candidate out.")
            .default(|| json!(facts::DNS_CHECK_FAILURES.value)),
        Field::modelled("successes", Kind::Integer(1, 1_000))
            .doc("Successes in a row that bring it back.")
            .default(|| json!(facts::DNS_CHECK_SUCCESSES.value)),
    ],
);

pub(super) static LINK: Shape = Shape::new(
    "Link",
    &[
        Field::modelled("from", Kind::Text)
            .required()
            .doc("One end: a cluster, a place of users, a site, or a region."),
        Field::modelled("to", Kind::Text)
            .required()
            .doc("The other end."),
        Field::modelled("rtt", Kind::Format(&DURATION)).doc("Round trip."),
        Field::modelled("jitter", Kind::Format(&DURATION))
            .doc("Mean of what comes on top of each one-way trip (exponential)."),
        Field::modelled("bandwidth", Kind::Format(&BANDWIDTH)).doc("In each direction."),
        Field::modelled("loss", Kind::Format(&SHARE)).doc("Share of packets lost, per direction."),
    ],
)
.doc("What is known better than the defaults about the link between two places, both directions.");

/// Places of users, with where they are written.
pub(super) fn users(spec: &Node, reader: &mut Reader<'_>) -> Vec<(UserNetwork, Span)> {
    let places: Vec<_> = spec
        .list("users")
        .iter()
        .filter_map(|node| {
            let (name, span) = named(node, "name")?;
            let region = match named(node, "region") {
                Some((region, span)) => {
                    super::traffic::note_unknown_region(region, span, reader);
                    region.to_owned()
                }
                None => reader.fact(&facts::REGION).to_owned(),
            };
            let resolvers = forms::count(node, "resolvers")
                .unwrap_or_else(|| reader.fact(&facts::DNS_RESOLVERS));
            let network = UserNetwork {
                name: name.to_owned(),
                region,
                resolvers,
                addresses: addresses(node),
            };
            Some((network, span))
        })
        .collect();
    reader.unique(
        "places of users",
        places
            .iter()
            .map(|(place, span)| (place.name.as_str(), *span)),
    );
    places
}

fn addresses(node: &Node) -> Option<Ipv4Net> {
    forms::text(node, "addresses")?.parse().ok()
}

/// A place of users that nobody declared.
pub(super) fn assumed_users(name: &str, region: &str, reader: &mut Reader<'_>) -> UserNetwork {
    UserNetwork {
        name: name.to_owned(),
        region: region.to_owned(),
        resolvers: reader.fact(&facts::DNS_RESOLVERS),
        addresses: None,
    }
}

/// Names that the global DNS answers, with where they are written.
pub(super) fn global_names(
    spec: &Node,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Vec<(GlobalName, Span)> {
    let found: Vec<_> = spec
        .list("dns")
        .iter()
        .filter_map(|node| {
            let (host, span) = named(node, "host")?;
            Some((global_name(node, host, span, names, reader)?, span))
        })
        .collect();
    reader.unique(
        "global names",
        found.iter().map(|(name, span)| (name.host.as_str(), *span)),
    );
    found
}

/// Most candidates of a name: weights of so many add up without overflow.
const ANSWERS_MAX: usize = 1_000;

fn global_name(
    node: &Node,
    host: &str,
    span: Span,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<GlobalName> {
    let host = host.to_lowercase();
    let mut answers: Vec<_> = node
        .list("answers")
        .iter()
        .filter_map(|answer| global_answer(answer, &host, names, reader))
        .collect();
    if node.get("answers").is_none() {
        answers = entries_of(&host, names);
        if answers.is_empty() {
            let message = format!("no cluster has an entry that serves `{host}`");
            reader
                .diagnostics
                .report(Code::HostNotServed, span, message)
                .help("add an Ingress or HTTPRoute for it, or say `answers: [{cluster: …, service: …}]`");
        }
    }
    if answers.len() > ANSWERS_MAX {
        let message = format!(
            "`{host}` has {} candidates; at most {ANSWERS_MAX} are read",
            answers.len()
        );
        reader
            .diagnostics
            .report(Code::OverBudget, span, message)
            .help("name each cluster's entry once, and use `weight`");
        return None;
    }
    let mut name = assumed_global_name(&host, answers, reader);
    match forms::text(node, "policy") {
        Some("failover") => name.policy = DnsPolicy::Failover,
        Some("weighted") => name.policy = DnsPolicy::Weighted,
        _ => {}
    }
    name.ttl = forms::duration(node, "ttl").unwrap_or(name.ttl);
    if let Some(check) = node.get("healthCheck") {
        let told = &mut name.health_check;
        told.interval = forms::duration(check, "interval").unwrap_or(told.interval);
        told.timeout = forms::duration(check, "timeout").unwrap_or(told.timeout);
        told.failures = forms::count(check, "failures").unwrap_or(told.failures);
        told.successes = forms::count(check, "successes").unwrap_or(told.successes);
        if told.interval.is_zero() || told.timeout.is_zero() {
            let message = "interval and timeout of a health check must be positive";
            reader
                .diagnostics
                .report(Code::OutOfRange, check.span, message)
                .help("Route 53 checks every 30 s and waits 4 s");
        }
    }
    (!name.answers.is_empty()).then_some(name)
}

/// A global name with the policy and the times of somebody who did not say anything.
pub(super) fn assumed_global_name(
    host: &str,
    answers: Vec<GlobalAnswer>,
    reader: &mut Reader<'_>,
) -> GlobalName {
    GlobalName {
        host: host.to_owned(),
        answers,
        policy: DnsPolicy::Latency,
        ttl: reader.fact(&facts::DNS_TTL),
        health_check: HealthCheck {
            interval: reader.fact(&facts::DNS_CHECK_INTERVAL),
            timeout: reader.fact(&facts::DNS_CHECK_TIMEOUT),
            failures: reader.fact(&facts::DNS_CHECK_FAILURES),
            successes: reader.fact(&facts::DNS_CHECK_SUCCESSES),
        },
    }
}

fn global_answer(
    node: &Node,
    host: &str,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<GlobalAnswer> {
    let cluster = names.cluster(node, reader).ok()??;
    let service = match named(node, "service") {
        Some((text, span)) => entry_by_name(cluster, text, span, names, reader)?,
        None => match serving(cluster, host, names) {
            Some(service) => service,
            None => {
                let name = &names.clusters[cluster.index()].name;
                let message = format!("cluster {name} has no entry that serves `{host}`");
                reader
                    .diagnostics
                    .report(Code::HostNotServed, node.span, message)
                    .help("add an Ingress or HTTPRoute for it, or name a `service`");
                return None;
            }
        },
    };
    Some(GlobalAnswer {
        cluster,
        service,
        weight: forms::count(node, "weight").unwrap_or(1),
    })
}

/// A service by its address, or the entry of a proxy by the proxy's name.
fn entry_by_name(
    cluster: ClusterId,
    text: &str,
    span: Span,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<ServiceId> {
    let of = names.clusters[cluster.index()];
    let proxy = of
        .proxies
        .iter()
        .find(|proxy| proxy.name == text || proxy.name.rsplit('/').next() == Some(text));
    let named = Address::parse(text)
        .and_then(|address| names.find_service(cluster, address, "default"))
        .map(|(id, _)| id);
    let id = match (named, proxy) {
        (Some(id), _) => id,
        (None, Some(proxy)) => proxy.service,
        (None, None) => names.resolve(cluster, "default", text, span, reader)?.0,
    };
    reachable(names, cluster, id, span, reader).then_some(id)
}

/// Whether a service can be asked from outside; if not, it is reported.
pub(super) fn reachable(
    names: &Names<'_>,
    cluster: ClusterId,
    service: ServiceId,
    span: Span,
    reader: &mut Reader<'_>,
) -> bool {
    let service = &names.clusters[cluster.index()].services[service.index()];
    let is_open = is_open(&service.kind);
    if !is_open {
        let message = format!(
            "service `{}` cannot be reached from outside of its cluster",
            service.name
        );
        reader
            .diagnostics
            .report(Code::NotReachable, span, message)
            .help("make it `type: LoadBalancer`, ask a host that an Ingress or Gateway serves, or send the traffic `from:` a workload");
    }
    is_open
}

/// The entry of every cluster that serves a host.
pub(super) fn entries_of(host: &str, names: &Names<'_>) -> Vec<GlobalAnswer> {
    names
        .clusters()
        .filter_map(|(cluster, _)| {
            Some(GlobalAnswer {
                cluster,
                service: serving(cluster, host, names)?,
                weight: 1,
            })
        })
        .collect()
}

/// The service in front of the proxy of a cluster that has a route for a host.
pub(super) fn serving(cluster: ClusterId, host: &str, names: &Names<'_>) -> Option<ServiceId> {
    let proxies = &names.clusters[cluster.index()].proxies;
    let exact = proxies.iter().find(|proxy| {
        let mut routes = proxy.routes.iter();
        routes.any(|route| route.matches.hosts.iter().any(|known| known == host))
    });
    exact
        .or_else(|| {
            proxies.iter().find(|proxy| {
                let mut routes = proxy.routes.iter();
                routes.any(|route| takes_host(&route.matches.hosts, host))
            })
        })
        .map(|proxy| proxy.service)
}

/// The service in front of a gateway of Istio's at which some VirtualService has routes for a host.
pub(super) fn at_gateway_of_istio(of: &Cluster, host: &str) -> Option<ServiceId> {
    of.mesh.as_ref()?;
    let objects = &of.istio.as_ref()?.objects;
    let services = objects.virtual_services.iter();
    let speaking = services.filter(|it| !it.hosts.is_empty() && takes_host(&it.hosts, host));
    let mut names = speaking.flat_map(|it| &it.gateways);
    names.find_map(|name| {
        let GatewayName::Object { namespace, name } = name else {
            return None;
        };
        let mut gateways = objects.gateways.iter();
        let gateway =
            gateways.find(|it| (&it.identity.namespace, &it.identity.name) == (namespace, name))?;
        let is_its = |workload: &WorkloadId| {
            let workload = &of.workloads[workload.index()];
            let only_in = gateway.only_in.as_ref();
            selects(&gateway.selector, &workload.template.placement.labels)
                && only_in.is_none_or(|namespace| *namespace == workload.namespace)
        };
        let mut services = of.services.iter();
        let position = services
            .position(|service| is_open(&service.kind) && service.backends.iter().any(is_its))?;
        Some(ServiceId::from(position))
    })
}

/// Whether users can reach a service of this kind.
fn is_open(kind: &ServiceKind) -> bool {
    matches!(kind, ServiceKind::LoadBalancer | ServiceKind::NodePort)
}

/// Whether a route with these hosts takes a host.
pub(crate) fn takes_host(hosts: &[String], host: &str) -> bool {
    hosts.is_empty()
        || hosts.iter().any(|known| match known.strip_prefix('*') {
            Some(tail) => host.len() > tail.len() && host.ends_with(tail),
            None => known == host,
        })
}

/// Overrides of links.
pub(super) fn links(
    spec: &Node,
    names: &Names<'_>,
    users: &[UserNetwork],
    reader: &mut Reader<'_>,
) -> Vec<LinkOverride> {
    spec.list("links")
        .iter()
        .filter_map(|node| {
            let ends = (
                end(node, "from", names, users, reader),
                end(node, "to", names, users, reader),
            );
            Some(LinkOverride {
                from: ends.0?,
                to: ends.1?,
                rtt: forms::duration(node, "rtt"),
                jitter: forms::duration(node, "jitter"),
                bandwidth_bits: forms::read(node.get("bandwidth"), forms::parse_bandwidth),
                loss: forms::read(node.get("loss"), forms::parse_share),
            })
        })
        .collect()
}

/// One end of a link: a cluster, a place of users, or a region; anything else is reported.
pub(super) fn end(
    node: &Node,
    key: &str,
    names: &Names<'_>,
    users: &[UserNetwork],
    reader: &mut Reader<'_>,
) -> Option<Place> {
    let (name, span) = named(node, key)?;
    if let Some((cluster, _)) = names.clusters().find(|(_, cluster)| cluster.name == name) {
        return Some(Place::Cluster(cluster));
    }
    let sites = names.clusters.iter().flat_map(|cluster| &cluster.sites);
    if sites.clone().any(|site| site.name == name) {
        return Some(Place::Site(name.to_owned()));
    }
    if let Some(position) = users.iter().position(|place| place.name == name) {
        return Some(Place::Users(UserNetworkId::from(position)));
    }
    region(name, span, names, users, reader).map(Place::Region)
}

/// A region in which something stands; anything else is reported.
pub(super) fn region(
    name: &str,
    span: Span,
    names: &Names<'_>,
    users: &[UserNetwork],
    reader: &mut Reader<'_>,
) -> Option<String> {
    let regions = names.clusters.iter().map(|cluster| cluster.region.as_str());
    let sites = names.clusters.iter().flat_map(|cluster| &cluster.sites);
    let regions = regions.chain(users.iter().map(|place| place.region.as_str()));
    let mut regions = regions.chain(sites.clone().map(|site| site.region.as_str()));
    if regions.clone().any(|region| region == name) {
        return Some(name.to_owned());
    }
    let message = format!("there is no place `{name}`");
    let ends = names.clusters.iter().map(|cluster| cluster.name.as_str());
    let ends = ends.chain(users.iter().map(|place| place.name.as_str()));
    let ends = ends.chain(sites.map(|site| site.name.as_str()));
    let known: Vec<_> = regions.by_ref().chain(ends).collect();
    reader.unknown(Code::UnknownPlace, span, message, known.into_iter());
    None
}
