//! What names in a Scenario stand for: clusters, workloads, services and their ports.

use super::forms;
use super::reader::Reader;
use crate::assembly::Assembly;
use crate::diagnostic::Code;
use crate::source::Span;
use crate::tree::Node;
use cloud::scenario::{
    Cluster, ClusterId, Protocol, Service, ServiceId, ServicePort, Transport, Workload, WorkloadId,
    WorkloadKind,
};

/// The assembled clusters, by name.
pub(crate) struct Names<'a> {
    /// What every cluster is made of.
    pub(crate) assemblies: &'a [Assembly],
    /// The clusters themselves.
    pub(crate) clusters: Vec<&'a Cluster>,
    /// Whether hops are free.
    pub(crate) ideal: bool,
}

/// A service as a program may address it, and perhaps its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address<'t> {
    pub(crate) name: &'t str,
    pub(crate) namespace: Option<&'t str>,
    /// Number or name.
    pub(crate) port: Option<&'t str>,
}

impl<'t> Address<'t> {
    /// Reads `service`, `service:port`, `namespace/service:port`, `service.namespace:port` and
    /// the longer names up to `service.namespace.svc.cluster.local`.
    pub(crate) fn parse(text: &'t str) -> Option<Address<'t>> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let (namespace, name) = match host.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => {
                let host = host.strip_suffix('.').unwrap_or(host);
                let host = host.strip_suffix(".cluster.local").unwrap_or(host);
                let host = host.strip_suffix(".svc").unwrap_or(host);
                match host.split_once('.') {
                    Some((name, namespace)) => (Some(namespace), name),
                    None => (None, host),
                }
            }
        };
        let plain = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|letter| letter.is_ascii_alphanumeric() || b"-_".contains(&letter))
        };
        let fits = plain(name) && namespace.is_none_or(plain) && port.is_none_or(plain);
        fits.then_some(Address {
            name,
            namespace,
            port,
        })
    }
}

/// `namespace/name`, or the bare name in the default namespace.
pub(crate) fn short(namespace: &str, name: &str) -> String {
    match namespace {
        "default" => name.to_owned(),
        _ => format!("{namespace}/{name}"),
    }
}

/// Name of a kind of workload, as Kubernetes writes it.
pub(crate) fn kind_name(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Deployment => "Deployment",
        WorkloadKind::ReplicaSet => "ReplicaSet",
        WorkloadKind::StatefulSet => "StatefulSet",
        WorkloadKind::DaemonSet => "DaemonSet",
        WorkloadKind::Pod => "Pod",
        WorkloadKind::External => "External",
        WorkloadKind::Inline => "Inline",
    }
}

/// Whether `reference`, `[cluster/][[kind/]namespace/]name`, can mean this workload.
fn means(reference: &str, cluster: &str, workload: &Workload) -> bool {
    let local = |reference: &str| {
        let mut parts = reference.rsplit('/');
        parts.next() == Some(workload.name.as_str())
            && parts.next().is_none_or(|part| part == workload.namespace)
            && parts
                .next()
                .is_none_or(|part| part.eq_ignore_ascii_case(kind_name(workload.kind)))
            && parts.next().is_none()
    };
    let qualified = reference
        .strip_prefix(cluster)
        .and_then(|rest| rest.strip_prefix('/'));
    local(reference) || qualified.is_some_and(local)
}

impl<'a> Names<'a> {
    /// The names of these clusters.
    pub(crate) fn new(assemblies: &'a [Assembly], ideal: bool) -> Self {
        Names {
            assemblies,
            clusters: assemblies
                .iter()
                .map(|assembly| &assembly.cluster)
                .collect(),
            ideal,
        }
    }

    /// All clusters with their ids.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = (ClusterId, &'a Cluster)> + Clone {
        let assemblies = self.assemblies.iter().enumerate();
        assemblies.map(|(position, assembly)| (ClusterId::from(position), &assembly.cluster))
    }

    /// All workloads with their ids.
    pub(crate) fn workloads(
        &self,
    ) -> impl Iterator<Item = (ClusterId, WorkloadId, &'a Workload)> + Clone {
        self.clusters().flat_map(|(cluster, of)| {
            let ids = of.workloads.iter().enumerate();
            ids.map(move |(position, workload)| (cluster, WorkloadId::from(position), workload))
        })
    }

    /// The cluster under the key `cluster`. `Err` if it is unknown, which is reported;
    /// `Ok(None)` if none is named.
    pub(super) fn cluster(
        &self,
        node: &Node,
        reader: &mut Reader<'_>,
    ) -> Result<Option<ClusterId>, ()> {
        let Some(at) = node.get("cluster") else {
            return Ok(None);
        };
        let name = at.str().ok_or(())?;
        match self.clusters().find(|(_, cluster)| cluster.name == name) {
            Some((id, _)) => Ok(Some(id)),
            None => {
                let message = format!("there is no cluster `{name}`");
                let known = self.clusters.iter().map(|cluster| cluster.name.as_str());
                reader.unknown(Code::UnknownCluster, at.span, message, known);
                Err(())
            }
        }
    }

    /// The cluster under the key `cluster`, or the only one; anything else is reported.
    pub(super) fn the_cluster(
        &self,
        node: &Node,
        span: Span,
        reader: &mut Reader<'_>,
    ) -> Option<ClusterId> {
        match self.cluster(node, reader) {
            Err(()) => None,
            Ok(Some(cluster)) => Some(cluster),
            Ok(None) if self.clusters.len() == 1 => Some(ClusterId(0)),
            Ok(None) => {
                self.say_which(span, "the cluster is not named", reader);
                None
            }
        }
    }

    fn say_which(&self, span: Span, message: &str, reader: &mut Reader<'_>) {
        let names: Vec<_> = self
            .clusters
            .iter()
            .map(|cluster| format!("`{}`", cluster.name))
            .collect();
        reader
            .diagnostics
            .report(Code::AmbiguousName, span, message)
            .help(format!("add `cluster:`, one of {}", names.join(", ")));
    }

    /// A machine of a site by its workload's name and its number from 1, or by the name alone if
    /// there is only one.
    pub(super) fn machine(&self, name: &str) -> Option<(ClusterId, WorkloadId, u32)> {
        self.workloads().find_map(|(cluster, id, workload)| {
            self.clusters[cluster.index()].machines_of(id)?;
            if name == workload.name && workload.replicas == 1 {
                return Some((cluster, id, 0));
            }
            let number = name.strip_prefix(&workload.name)?.strip_prefix('-')?;
            let number = number.parse::<u32>().ok()?.checked_sub(1)?;
            (number < workload.replicas).then_some((cluster, id, number))
        })
    }

    /// All workloads that a reference can mean.
    pub(super) fn matching(
        &self,
        reference: &str,
        cluster: Option<ClusterId>,
    ) -> Vec<(ClusterId, WorkloadId)> {
        self.workloads()
            .filter(|(at, _, workload)| {
                cluster.is_none_or(|cluster| cluster == *at)
                    && means(reference, &self.clusters[at.index()].name, workload)
            })
            .map(|(cluster, id, _)| (cluster, id))
            .collect()
    }

    /// Reports a reference to a workload that does not exist.
    pub(super) fn unknown_workload(&self, reference: &str, span: Span, reader: &mut Reader<'_>) {
        let message = format!("there is no workload `{reference}`");
        let known = self
            .workloads()
            .map(|(.., workload)| workload.name.as_str());
        reader.unknown(Code::UnknownWorkload, span, message, known);
    }

    /// The only workload that the value under `workload` means; anything else is reported.
    pub(super) fn the_workload(
        &self,
        node: &Node,
        reader: &mut Reader<'_>,
    ) -> Option<(ClusterId, WorkloadId)> {
        let at = node.get("workload")?;
        let reference = at.str()?;
        let cluster = self.cluster(node, reader).ok()?;
        let found = self.matching(reference, cluster);
        match found[..] {
            [only] => Some(only),
            [] => {
                self.unknown_workload(reference, at.span, reader);
                None
            }
            _ => {
                let names: Vec<_> = found
                    .iter()
                    .map(|at| format!("`{}`", self.full_name(*at)))
                    .collect();
                let message = format!("`{reference}` can mean {} workloads", found.len());
                reader
                    .diagnostics
                    .report(Code::AmbiguousName, at.span, message)
                    .help(format!("write one of {}", names.join(", ")));
                None
            }
        }
    }

    /// A name of a workload that no other one can be meant by.
    pub(crate) fn full_name(&self, (cluster, workload): (ClusterId, WorkloadId)) -> String {
        let of = self.clusters[cluster.index()];
        let workload = &of.workloads[workload.index()];
        let alone = |reference: &str| self.matching(reference, None).len() == 1;
        let local = [
            workload.name.clone(),
            format!("{}/{}", workload.namespace, workload.name),
            format!(
                "{}/{}/{}",
                kind_name(workload.kind),
                workload.namespace,
                workload.name
            ),
        ];
        let qualified = local.clone().map(|name| format!("{}/{name}", of.name));
        local
            .into_iter()
            .chain(qualified)
            .find(|name| alone(name))
            .unwrap_or_else(|| workload.name.clone())
    }

    /// A service of a cluster by its address, seen from a namespace.
    pub(crate) fn find_service(
        &self,
        cluster: ClusterId,
        address: Address<'_>,
        from: &str,
    ) -> Option<(ServiceId, &'a Service)> {
        let services = &self.clusters[cluster.index()].services;
        let namespace = address.namespace.unwrap_or(from);
        let position = services
            .iter()
            .position(|service| service.name == address.name && service.namespace == namespace)?;
        Some((ServiceId::from(position), &services[position]))
    }

    /// Service and position of the port that a workload calls; anything else is reported.
    pub(super) fn called(
        &self,
        (cluster, caller): (ClusterId, WorkloadId),
        text: &str,
        span: Span,
        reader: &mut Reader<'_>,
    ) -> Option<(ServiceId, u32)> {
        let of = self.clusters[cluster.index()];
        let from = &of.workloads[caller.index()].namespace;
        let plain = text.strip_prefix("http://").unwrap_or(text);
        let plain = plain.strip_suffix('/').unwrap_or(plain);
        self.resolve(cluster, from, plain, span, reader)
    }

    /// The service that a name stands for, where it is the name of another service.
    pub(super) fn stood_for(
        &self,
        cluster: ClusterId,
        namespace: &str,
        host: &str,
    ) -> Option<&cloud::scenario::Service> {
        self.assemblies[cluster.index()].stood_for(namespace, host)
    }

    /// What an address leads to in a cluster, asked in a namespace; nothing is reported.
    pub(super) fn resolve(
        &self,
        cluster: ClusterId,
        namespace: &str,
        address: &str,
        span: Span,
        reader: &mut Reader<'_>,
    ) -> Option<(ServiceId, u32)> {
        // `namespace/service:port` is how this project's own lists name a service.
        let dotted = match address.split_once('/') {
            Some((namespace, rest)) => match rest.split_once(':') {
                Some((name, port)) => format!("{name}.{namespace}:{port}"),
                None => format!("{rest}.{namespace}"),
            },
            None => address.to_owned(),
        };
        match self.assemblies[cluster.index()].resolve(namespace, &dotted) {
            Ok(found) => {
                if found.names_one_pod {
                    let message = "the name of one pod leads to all pods of its service";
                    reader
                        .diagnostics
                        .report(Code::UnsupportedValue, span, message)
                        .help("name the service itself to say the same without this note");
                }
                Some((found.service, found.port))
            }
            Err(problem) => {
                let of = self.clusters[cluster.index()];
                let message = format!("{}{}", problem.message, self.within(of));
                let names: Vec<_> = of
                    .services
                    .iter()
                    .take(8)
                    .map(|service| format!("`{}`", short(&service.namespace, &service.name)))
                    .collect();
                let help = problem.help.unwrap_or_else(|| match names.len() {
                    0 => "there are no services at all: add manifests, or declare `workloads`"
                        .to_owned(),
                    _ => format!("services are {}", names.join(", ")),
                });
                reader
                    .diagnostics
                    .report(Code::UnknownService, span, message)
                    .help(help);
                None
            }
        }
    }

    /// The port that a protocol goes to: of those with one number, the one for what carries it.
    /// Anything else is reported.
    pub(super) fn for_protocol(
        &self,
        cluster: ClusterId,
        (service, port): (ServiceId, u32),
        protocol: Protocol,
        span: Span,
        reader: &mut Reader<'_>,
    ) -> Option<u32> {
        let service = &self.clusters[cluster.index()].services[service.index()];
        let Some(asked) = service.ports.get(port as usize) else {
            return Some(port);
        };
        let carrier = protocol.transport();
        if asked.transport == carrier {
            return Some(port);
        }
        let twin = |other: &ServicePort| other.port == asked.port && other.transport == carrier;
        if let Some(twin) = service.ports.iter().position(twin) {
            return Some(twin as u32);
        }
        let message = format!(
            "port {} of `{}` is for {}, and this is sent over {}",
            asked.port,
            short(&service.namespace, &service.name),
            asked.transport.written(),
            carrier.written()
        );
        let help = match asked.transport {
            Transport::Tcp => {
                "leave `protocol: udp` out, or say `protocol: UDP` at the port of the Service"
            }
            Transport::Udp => "write `protocol: udp`, or `udp-close` for a new socket each time",
            Transport::Sctp => "nothing is sent over SCTP: name another port",
        };
        reader
            .diagnostics
            .report(Code::WrongTransport, span, message)
            .help(help);
        None
    }

    /// ` in cluster x`, where there are several.
    pub(crate) fn within(&self, cluster: &Cluster) -> String {
        if self.clusters.len() > 1 {
            format!(" in cluster {}", cluster.name)
        } else {
            String::new()
        }
    }
}

/// The text under a key with its place.
pub(super) fn named<'n>(node: &'n Node, key: &str) -> Option<(&'n str, Span)> {
    Some((forms::text(node, key)?, node.get(key)?.span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_in_all_the_forms_a_pod_may_use() {
        let parse = |text| {
            Address::parse(text).map(|address| (address.name, address.namespace, address.port))
        };
        assert_eq!(parse("reviews"), Some(("reviews", None, None)));
        assert_eq!(parse("reviews:9080"), Some(("reviews", None, Some("9080"))));
        assert_eq!(
            parse("shop/reviews:http"),
            Some(("reviews", Some("shop"), Some("http")))
        );
        for long in [
            "reviews.shop",
            "reviews.shop.svc",
            "reviews.shop.svc.cluster.local",
            "reviews.shop.svc.cluster.local.",
        ] {
            assert_eq!(parse(long), Some(("reviews", Some("shop"), None)), "{long}");
        }
        for bad in ["", ":80", "a b", "a:", "www.shop.example.com", "a/b/c"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
