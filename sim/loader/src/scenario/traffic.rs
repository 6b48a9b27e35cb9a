//! `traffic`: who sends requests, from where, to whom, when, and how patiently.

use super::arrivals::{self, ARRIVALS};
use super::clients::{self, Client};
use super::forms;
use super::names::{Address, Names, named};
use super::places;
use super::reader::Reader;
use crate::diagnostic::Code;
use crate::shape::{Field, Kind, Shape};
use crate::source::Span;
use crate::sources::Sources;
use crate::tree::Node;
use cloud::facts;
use cloud::scenario::{
    Arrivals, ClusterId, GlobalName, GlobalNameId, Protocol, RequestAttributes, ServiceId,
    ServiceKind, ServicePort, Traffic, TrafficSource, TrafficTarget, UserNetwork, UserNetworkId,
    WorkloadId,
};
use serde_json::json;

pub(super) static TRAFFIC: Shape = Shape::new(
    "Traffic",
    &[
        Field::modelled("name", Kind::Text).required().doc("Unique among traffic sources."),
        Field::modelled("from", Kind::Text).doc(
            "Where it sits: a place of `users`, a region (its users then are a place of that name), or a workload.",
        ),
        Field::modelled("to", Kind::Text)
            .required()
            .doc("Whom it asks: `http://shop.example.com/cart`, `http://web.shop:8080/`, or `web:8080`."),
        Field::modelled("cluster", Kind::Text)
            .doc("Whose service `to` names, where several clusters have it."),
        Field::modelled("arrivals", Kind::Map(&ARRIVALS)).doc("When requests start."),
        clients::TIMEOUT,
        clients::RETRIES,
        clients::PROTOCOL,
        clients::IDLE_TIMEOUT,
        clients::REQUEST_SIZE,
        clients::METHOD,
        clients::HEADERS,
        clients::TOKEN,
        Field::modelled("clients", Kind::Integer(1, 100_000_000))
            .doc("Distinct client addresses behind the source.")
            .default(|| json!(facts::CLIENTS.value)),
    ],
)
.doc("A source of requests.");

/// Places of users and global names, which traffic may add to.
pub(super) struct Surroundings {
    /// Places that the Scenario declares: what traffic adds must not depend on its order.
    pub(super) declared: Vec<UserNetwork>,
    /// All places.
    pub(super) users: Vec<UserNetwork>,
    pub(super) global_names: Vec<GlobalName>,
}

/// A traffic source before places and global names have their ids.
pub(super) struct Said {
    pub(super) span: Span,
    name: String,
    source: Source,
    target: Target,
    arrivals: Arrivals,
    client: Client,
    attributes: RequestAttributes,
    clients: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Users(String),
    Workload(ClusterId, WorkloadId),
    Inside(ClusterId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Global(String),
    Service(ClusterId, ServiceId, u32),
}

/// Reads all traffic, sorted by name.
pub(super) fn read(
    spec: &Node,
    names: &Names<'_>,
    around: &mut Surroundings,
    sources: &mut Sources<'_>,
    reader: &mut Reader<'_>,
) -> Vec<Said> {
    let mut all: Vec<_> = spec
        .list("traffic")
        .iter()
        .filter_map(|node| one(node, names, around, sources, reader))
        .collect();
    all.sort_by(|left, right| left.name.cmp(&right.name));
    reader.unique(
        "traffic sources",
        all.iter().map(|said| (said.name.as_str(), said.span)),
    );
    all
}

fn one(
    node: &Node,
    names: &Names<'_>,
    around: &mut Surroundings,
    sources: &mut Sources<'_>,
    reader: &mut Reader<'_>,
) -> Option<Said> {
    let arrivals = arrivals::read(node.get("arrivals"), sources, reader);
    let client = Client::read(node, names.ideal, reader);
    let (name, span) = named(node, "name")?;
    let (to, to_span) = named(node, "to")?;
    let url = Url::parse(to, to_span, reader)?;
    let cluster = names.cluster(node, reader).ok()?;
    let from = match named(node, "from") {
        Some((from, span)) => Some(origin(from, span, names, around, reader)?),
        None => None,
    };
    let asked = Asked {
        url: &url,
        span: to_span,
        cluster,
        from: from.as_ref(),
    };
    let target = asked.target(names, around, reader)?;
    let target = asked.over(client.protocol, target, names, around, reader)?;
    // Proxies know a service by the names that stand for it too.
    let host = asked
        .stood_for(names)
        .map_or(url.host.to_lowercase(), |service| {
            format!("{}.{}.svc.cluster.local", service.name, service.namespace)
        });
    let source = match from {
        Some(source) => source,
        None => default_source(&target, node.span, names, around, reader)?,
    };
    Some(Said {
        span,
        name: name.to_owned(),
        source,
        target,
        arrivals: arrivals?,
        client,
        attributes: RequestAttributes {
            host,
            path: url.path.to_owned(),
            method: clients::method(node),
            headers: clients::headers(node),
            token: clients::token(node, url.path, reader),
        },
        clients: forms::count(node, "clients").unwrap_or_else(|| reader.fact(&facts::CLIENTS)),
    })
}

/// Gives traffic its ids; places and names are sorted by then.
pub(super) fn finish(all: Vec<Said>, around: &Surroundings) -> Vec<Traffic> {
    all.into_iter()
        .filter_map(|said| {
            let source = match said.source {
                Source::Users(name) => {
                    let position = around.users.iter().position(|place| place.name == name)?;
                    TrafficSource::Users(UserNetworkId::from(position))
                }
                Source::Workload(cluster, workload) => TrafficSource::Workload(cluster, workload),
                Source::Inside(cluster) => TrafficSource::Inside(cluster),
            };
            let target = match said.target {
                Target::Global(host) => {
                    let mut known = around.global_names.iter();
                    let position = known.position(|known| known.host == host)?;
                    TrafficTarget::Global(GlobalNameId::from(position))
                }
                Target::Service(cluster, service, port) => TrafficTarget::Service {
                    cluster,
                    service,
                    port,
                },
            };
            Some(Traffic {
                name: said.name,
                source,
                target,
                arrivals: said.arrivals,
                timeout: said.client.timeout,
                retry: said.client.retry,
                protocol: said.client.protocol,
                request_bytes: said.client.request_bytes,
                attributes: said.attributes,
                clients: said.clients,
            })
        })
        .collect()
}

/// The parts of `to`.
struct Url<'t> {
    host: &'t str,
    port: Option<&'t str>,
    path: &'t str,
}

impl<'t> Url<'t> {
    fn parse(text: &'t str, span: Span, reader: &mut Reader<'_>) -> Option<Url<'t>> {
        let rest = match text.split_once("://") {
            None => text,
            Some(("http", rest)) => rest,
            Some(("https", rest)) => {
                let message = "`https` is treated like `http`: handshakes of TLS take no time";
                reader
                    .diagnostics
                    .report(Code::UnsupportedValue, span, message)
                    .help("write `http` to say the same without this note");
                rest
            }
            Some((scheme, _)) => {
                let message = format!("`{scheme}` is no scheme that traffic can use");
                reader
                    .diagnostics
                    .report(Code::WrongValue, span, message)
                    .help("write `http://host/path`, or `service:port`");
                return None;
            }
        };
        let has_path = |(_, after): (&str, &str)| after.contains('/');
        if rest.len() == text.len() && text.split_once(':').is_some_and(has_path) {
            let message = format!("`{text}` has a path, and no scheme before it");
            reader
                .diagnostics
                .report(Code::WrongValue, span, message)
                .help(format!("write `http://{text}`"));
            return None;
        }
        // `namespace/service:port` has a slash too, but no scheme.
        let (authority, path) = match rest.find('/') {
            Some(at) if rest.len() < text.len() => rest.split_at(at),
            _ => (rest, "/"),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        if host.is_empty() {
            let message = format!("`{text}` names no host");
            reader
                .diagnostics
                .report(Code::WrongValue, span, message)
                .help("write `http://host/path`, or `service:port`");
            return None;
        }
        Some(Url { host, port, path })
    }
}

/// Where traffic comes from, by what `from` says.
fn origin(
    from: &str,
    span: Span,
    names: &Names<'_>,
    around: &mut Surroundings,
    reader: &mut Reader<'_>,
) -> Option<Source> {
    let workloads = names.matching(from, None);
    let place = around.users.iter().any(|place| place.name == from);
    let region = !names.ideal && (from.contains('/') || is_region(from, names));
    match (place, &workloads[..]) {
        (true, _) if names.ideal => {}
        (true, _) => return Some(Source::Users(from.to_owned())),
        (false, &[(cluster, workload)]) => return Some(Source::Workload(cluster, workload)),
        (false, []) if region => {
            let network = places::assumed_users(from, from, reader);
            if !is_region(from, names) {
                note_unknown_region(from, span, reader);
            }
            around.users.push(network);
            return Some(Source::Users(from.to_owned()));
        }
        (false, []) => {}
        (false, several) => {
            let full: Vec<_> = several
                .iter()
                .map(|at| format!("`{}`", names.full_name(*at)))
                .collect();
            let message = format!("`{from}` can mean {} workloads", several.len());
            reader
                .diagnostics
                .report(Code::AmbiguousName, span, message)
                .help(format!("write one of {}", full.join(", ")));
            return None;
        }
    }
    if names.ideal {
        let message = format!("`from: {from}` names no workload");
        reader
            .diagnostics
            .report(Code::IdealNetwork, span, message)
            .help(
                "with `network: ideal` there are no places: leave `from` out, or name a workload",
            );
        return None;
    }
    let message = format!("`from: {from}` is no place of users, no workload and no region");
    let workloads = names
        .workloads()
        .map(|(.., workload)| workload.name.as_str());
    let known: Vec<_> = around
        .users
        .iter()
        .map(|place| place.name.as_str())
        .chain(workloads)
        .collect();
    let name = from.to_owned();
    let help = crate::shape::nearest(&name, known).map_or_else(
        || "write a region with its provider, as `aws/eu-central-1`, or declare the place under `users`".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    reader
        .diagnostics
        .report(Code::UnknownPlace, span, message)
        .help(help);
    None
}

fn is_region(name: &str, names: &Names<'_>) -> bool {
    let mut clusters = names.clusters.iter();
    clusters.any(|cluster| cluster.region == name) || is_known_region(name)
}

/// Whether distances to a region are known, with or without its provider.
fn is_known_region(name: &str) -> bool {
    facts::known_regions().any(|region| facts::same_region(region, name))
}

/// Says so if a region is named with its provider and distances to it are not known. A bare name
/// is a place of its own, and meant to be.
pub(super) fn note_unknown_region(name: &str, span: Span, reader: &mut Reader<'_>) {
    if !name.contains('/') || is_known_region(name) {
        return;
    }
    let message = format!("no table of distances knows the region `{name}`");
    let help = match crate::shape::nearest(name, facts::known_regions()) {
        Some(near) => format!("did you mean `{near}`? Else set its distances under `links`"),
        None => "it is taken to be far from everything; set its distances under `links`".to_owned(),
    };
    reader
        .diagnostics
        .report(Code::UnknownRegion, span, message)
        .help(help);
}

/// What `to` asks for, and from where.
struct Asked<'u> {
    url: &'u Url<'u>,
    span: Span,
    cluster: Option<ClusterId>,
    from: Option<&'u Source>,
}

impl Asked<'_> {
    fn target(
        &self,
        names: &Names<'_>,
        around: &mut Surroundings,
        reader: &mut Reader<'_>,
    ) -> Option<Target> {
        let host = self.url.host.to_lowercase();
        let outside = !names.ideal && !matches!(self.from, Some(Source::Workload(..)));
        let mut global = around.global_names.iter();
        if outside && self.cluster.is_none() && global.any(|known| known.host == host) {
            return Some(Target::Global(host));
        }
        if let Some(target) = self.service(names, reader) {
            let Target::Service(cluster, service, _) = target.as_ref()? else {
                return target;
            };
            if outside && !places::reachable(names, *cluster, *service, self.span, reader) {
                return None;
            }
            return target;
        }
        if let Some(found) = self.host_of_workload(&host, names, reader) {
            return found;
        }
        self.through_proxy(&host, outside, names, around, reader)
    }

    /// A host outside of clusters that a workload asks for, or a service by a name that stands for
    /// it: `None` if there is none of its name.
    fn host_of_workload(
        &self,
        host: &str,
        names: &Names<'_>,
        reader: &mut Reader<'_>,
    ) -> Option<Option<Target>> {
        let Some(Source::Workload(cluster, workload)) = self.from else {
            return None;
        };
        let of = names.clusters[cluster.index()];
        let is_host = |service: &cloud::scenario::Service| {
            matches!(service.kind, ServiceKind::Host { .. }) && service.name == host
        };
        if !of.services.iter().any(is_host) {
            self.stood_for(names)?;
        }
        let port = self
            .url
            .port
            .map_or(String::new(), |port| format!(":{port}"));
        let namespace = &of.workloads[workload.index()].namespace;
        let whole = format!("{host}{port}");
        let found = names.resolve(*cluster, namespace, &whole, self.span, reader);
        Some(found.map(|(service, port)| Target::Service(*cluster, service, port)))
    }

    /// The service that the name stands for which a workload asks for, if it is that of another.
    fn stood_for<'n>(&self, names: &'n Names<'_>) -> Option<&'n cloud::scenario::Service> {
        let Some(Source::Workload(cluster, workload)) = self.from else {
            return None;
        };
        let of = names.clusters[cluster.index()];
        let namespace = &of.workloads[workload.index()].namespace;
        names.stood_for(*cluster, namespace, self.url.host)
    }

    /// The same target with the ports that a protocol goes to.
    fn over(
        &self,
        protocol: Protocol,
        target: Target,
        names: &Names<'_>,
        around: &Surroundings,
        reader: &mut Reader<'_>,
    ) -> Option<Target> {
        let mut for_protocol =
            |cluster, port| names.for_protocol(cluster, port, protocol, self.span, reader);
        match &target {
            Target::Service(cluster, service, port) => {
                let port = for_protocol(*cluster, (*service, *port))?;
                return Some(Target::Service(*cluster, *service, port));
            }
            Target::Global(host) => {
                let mut known = around.global_names.iter();
                let answers = &known.find(|name| name.host == *host)?.answers;
                for answer in answers {
                    let of = names.clusters[answer.cluster.index()];
                    let ports = &of.services[answer.service.index()].ports;
                    let number = self.url.port.and_then(|port| port.parse().ok());
                    let meant = |port: &ServicePort| {
                        let is_meant = number.is_none_or(|number: u16| port.port == number);
                        is_meant && port.transport == protocol.transport()
                    };
                    let position = ports.iter().position(meant).unwrap_or(0) as u32;
                    for_protocol(answer.cluster, (answer.service, position))?;
                }
            }
        }
        Some(target)
    }

    /// The clusters that may be meant.
    fn clusters(&self, names: &Names<'_>) -> Vec<ClusterId> {
        match (self.cluster, self.from) {
            (Some(cluster), _) => vec![cluster],
            (None, Some(Source::Workload(cluster, _))) => vec![*cluster],
            _ => names.clusters().map(|(id, _)| id).collect(),
        }
    }

    /// A service by its own name: `None` if there is none of it, `Some(None)` if it was reported.
    fn service(&self, names: &Names<'_>, reader: &mut Reader<'_>) -> Option<Option<Target>> {
        let address = Address {
            port: self.url.port,
            ..Address::parse(self.url.host)?
        };
        let namespace = match self.from {
            Some(Source::Workload(cluster, workload)) => {
                let of = names.clusters[cluster.index()];
                of.workloads[workload.index()].namespace.as_str()
            }
            _ => "default",
        };
        let found: Vec<_> = self
            .clusters(names)
            .into_iter()
            .filter_map(|cluster| {
                let (id, service) = names
                    .find_service(cluster, address, namespace)
                    .or_else(|| only_of_name(names, cluster, address))?;
                Some((cluster, id, service))
            })
            .collect();
        match found[..] {
            [] => None,
            [(cluster, _, service)] => {
                let port = address
                    .port
                    .map_or(String::new(), |port| format!(":{port}"));
                let whole = format!("{}.{}{port}", service.name, service.namespace);
                let found = names.resolve(cluster, namespace, &whole, self.span, reader);
                Some(found.map(|(service, port)| Target::Service(cluster, service, port)))
            }
            _ => {
                let clusters: Vec<_> = found
                    .iter()
                    .map(|(cluster, ..)| format!("`{}`", names.clusters[cluster.index()].name))
                    .collect();
                let message = format!("several clusters have a service `{}`", address.name);
                reader
                    .diagnostics
                    .report(Code::AmbiguousName, self.span, message)
                    .help(format!("add `cluster:`, one of {}", clusters.join(", ")));
                Some(None)
            }
        }
    }

    /// The entry that serves a host; several of them stand behind a global name.
    fn through_proxy(
        &self,
        host: &str,
        outside: bool,
        names: &Names<'_>,
        around: &mut Surroundings,
        reader: &mut Reader<'_>,
    ) -> Option<Target> {
        let mut serving = places::entries_of(host, names);
        let clusters = self.clusters(names);
        serving.retain(|answer| clusters.contains(&answer.cluster));
        match serving[..] {
            [] => {
                let gateways = clusters.iter().filter_map(|&cluster| {
                    let of = names.clusters[cluster.index()];
                    Some((cluster, places::at_gateway_of_istio(of, host)?))
                });
                match gateways.collect::<Vec<_>>()[..] {
                    [only] => self.behind(only, names, reader),
                    _ => {
                        self.nobody(host, names, around, reader);
                        None
                    }
                }
            }
            [only] => self.behind((only.cluster, only.service), names, reader),
            _ if outside => {
                reader.assume(format!(
                    "`{host}` is served by {} clusters and nothing under `dns` says which one answers: the nearest healthy one was assumed.",
                    serving.len()
                ));
                let name = places::assumed_global_name(host, serving, reader);
                around.global_names.push(name);
                Some(Target::Global(host.to_owned()))
            }
            _ => None,
        }
    }

    /// A service, at the port that is asked for.
    fn behind(
        &self,
        (cluster, service): (ClusterId, ServiceId),
        names: &Names<'_>,
        reader: &mut Reader<'_>,
    ) -> Option<Target> {
        let service = &names.clusters[cluster.index()].services[service.index()];
        let port = self.url.port;
        let port = port.map_or(String::new(), |port| format!(":{port}"));
        let whole = format!("{}.{}{port}", service.name, service.namespace);
        let (service, port) = names.resolve(cluster, "default", &whole, self.span, reader)?;
        Some(Target::Service(cluster, service, port))
    }

    fn nobody(
        &self,
        host: &str,
        names: &Names<'_>,
        around: &Surroundings,
        reader: &mut Reader<'_>,
    ) {
        let mut known: Vec<&str> = around
            .global_names
            .iter()
            .map(|name| name.host.as_str())
            .collect();
        for (_, cluster) in names.clusters() {
            known.extend(cluster.services.iter().map(|service| service.name.as_str()));
            let routes = cluster.proxies.iter().flat_map(|proxy| &proxy.routes);
            known.extend(routes.flat_map(|route| route.matches.hosts.iter().map(String::as_str)));
        }
        let message = format!("`{host}` is no service, and no entry serves it as a host");
        reader.unknown(Code::HostNotServed, self.span, message, known.into_iter());
    }
}

/// The service of a name without its namespace, where only one namespace has it.
fn only_of_name<'a>(
    names: &Names<'a>,
    cluster: ClusterId,
    address: Address<'_>,
) -> Option<(ServiceId, &'a cloud::scenario::Service)> {
    if address.namespace.is_some() {
        return None;
    }
    let services = names.clusters[cluster.index()].services.iter().enumerate();
    let mut found = services.filter(|(_, service)| service.name == address.name);
    match (found.next(), found.next()) {
        (Some((position, service)), None) => Some((ServiceId::from(position), service)),
        _ => None,
    }
}

/// Where traffic comes from that does not say: the only place of users, the one in the region of
/// the cluster that is asked, or a place assumed there.
fn default_source(
    target: &Target,
    span: Span,
    names: &Names<'_>,
    around: &mut Surroundings,
    reader: &mut Reader<'_>,
) -> Option<Source> {
    let cluster = match target {
        Target::Service(cluster, ..) => *cluster,
        Target::Global(host) => {
            let mut known = around.global_names.iter();
            known.find(|name| name.host == *host)?.answers[0].cluster
        }
    };
    if names.ideal {
        return Some(Source::Inside(cluster));
    }
    let region = &names.clusters[cluster.index()].region;
    let near: Vec<_> = around
        .declared
        .iter()
        .filter(|place| place.region == *region)
        .map(|place| place.name.clone())
        .collect();
    match (&around.declared[..], &near[..]) {
        ([only], _) => Some(Source::Users(only.name.clone())),
        (_, [only]) => Some(Source::Users(only.clone())),
        ([], _) => {
            reader.assume(format!(
                "Nothing says where users sit: in the region of the cluster they ask ({region})."
            ));
            let network = places::assumed_users(region, region, reader);
            around.users.push(network);
            Some(Source::Users(region.clone()))
        }
        (places, _) => {
            let places: Vec<_> = places
                .iter()
                .map(|place| format!("`{}`", place.name))
                .collect();
            reader
                .diagnostics
                .report(
                    Code::AmbiguousName,
                    span,
                    "traffic does not say where it comes from",
                )
                .help(format!("add `from:`, one of {}", places.join(", ")));
            None
        }
    }
}
