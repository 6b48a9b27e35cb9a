//! What Istio's objects refer to and is not there. istiod accepts all of it; what happens then is
//! said in each message.
//!
//! Left out: hosts and subsets that only another cluster has.

use super::aliases::Aliases;
use super::forms::string;
use super::installation::Component;
use super::objects::Written;
use crate::diagnostic::{Code, Diagnostics, Severity};
use crate::kubernetes::Objects;
use crate::kubernetes::service::Addressing;
use crate::shape::nearest;
use crate::source::Span;
use crate::tree::Node;
use crate::value::IntegerOrText;
use cloud::facts;
use cloud::istio::authentication::{ClientMode, Policies, ServerMode};
use cloud::istio::config::{
    AuthorizationPolicy, DestinationRule, Gateway, GatewayName, HttpAction, Labels, Object,
    PeerAuthentication, ProviderKind, Resolution, Target, VirtualService,
};
use cloud::istio::{authentication, host};
use std::collections::{BTreeMap, BTreeSet};

/// What a set of objects has to offer to references.
struct Known<'a> {
    objects: &'a Objects,
    /// Full names of services and hosts of ServiceEntries.
    hosts: Vec<String>,
    /// Services that stand for others.
    aliases: Aliases<'a>,
    rules: Vec<(&'a DestinationRule, String)>,
    peer_authentications: Vec<PeerAuthentication>,
    root_namespace: &'a str,
}

/// Reports references to nothing. `brought` are gateways that no manifest contains.
pub(crate) fn check(objects: &Objects, brought: &[&Component], diagnostics: &mut Diagnostics) {
    let written = &objects.istio.written;
    let known = Known::of(objects);
    for written in written {
        let namespace = written.object.identity().namespace.as_str();
        match &written.object {
            Object::VirtualService(service) => {
                known.check_route(written, namespace, diagnostics);
                known.check_originals(service, written, diagnostics);
            }
            Object::DestinationRule(rule) => known.check_rule(rule, written, diagnostics),
            Object::Gateway(gateway) => {
                known.check_gateway(gateway, brought, written, diagnostics);
            }
            Object::AuthorizationPolicy(policy) => {
                check_provider(policy, objects, written, diagnostics);
            }
            _ => {}
        }
    }
}

/// A provider that the mesh does not have.
fn check_provider(
    policy: &AuthorizationPolicy,
    objects: &Objects,
    written: &Written,
    diagnostics: &mut Diagnostics,
) {
    let Some(name) = &policy.provider else {
        return;
    };
    let providers = objects.istio.mesh.iter().flat_map(|mesh| &mesh.providers);
    let mut known = providers.filter(|it| matches!(it.kind, ProviderKind::Authorization(_)));
    if known.all(|provider| provider.name != *name) {
        let message = format!("the mesh has no provider `{name}` that decides about requests");
        diagnostics
            .report(Code::ProviderNotFound, written.span, message)
            .help("add it to `extensionProviders` of the mesh's configuration");
    }
}

/// Destinations of a VirtualService's routes, mirrors among them.
fn destinations(spec: &Node) -> impl Iterator<Item = &Node> {
    let routes = ["http", "tls", "tcp"].into_iter();
    let routes = routes.flat_map(|key| spec.list(key));
    routes.flat_map(|route| {
        let listed = route.list("mirrors").iter().chain(route.list("route"));
        let listed = listed.filter_map(|node| node.get("destination"));
        listed.chain(route.get("mirror"))
    })
}

/// A host as it is called everywhere, written in a namespace.
pub(super) fn full(text: &str, namespace: &str) -> String {
    host::complete(text, namespace, facts::MESH_TRUST_DOMAIN.value)
}

impl<'a> Known<'a> {
    fn of(objects: &'a Objects) -> Known<'a> {
        let services = objects.services.iter();
        let services =
            services.filter(|service| !matches!(service.addressing, Addressing::ExternalName(_)));
        let services = services.map(|service| {
            let metadata = &service.metadata;
            host::service(
                &metadata.name,
                &metadata.namespace,
                facts::MESH_TRUST_DOMAIN.value,
            )
        });
        let written = objects.istio.written.iter();
        let entries = written.clone().filter_map(|written| match &written.object {
            Object::ServiceEntry(entry) => Some(entry.hosts.clone()),
            _ => None,
        });
        let rules = written.filter_map(|written| match &written.object {
            Object::DestinationRule(rule) => {
                Some((&**rule, full(&rule.host, &rule.identity.namespace)))
            }
            _ => None,
        });
        let policies = objects.istio.written.iter();
        let policies = policies.filter_map(|written| match &written.object {
            Object::PeerAuthentication(policy) => Some((**policy).clone()),
            _ => None,
        });
        let mesh = objects.istio.mesh.as_ref();
        Known {
            objects,
            hosts: services.chain(entries.flatten()).collect(),
            aliases: objects.istio.aliases(&objects.services),
            rules: rules.collect(),
            peer_authentications: policies.collect(),
            root_namespace: mesh.map_or(facts::MESH_ROOT_NAMESPACE.value, |mesh| {
                mesh.root_namespace.as_str()
            }),
        }
    }

    /// Manifests of Istio alone refer to services that are somewhere else.
    fn has_services(&self) -> bool {
        !self.objects.services.is_empty()
    }

    fn has_host(&self, wanted: &str) -> bool {
        self.hosts.iter().any(|known| host::matches(known, wanted))
    }

    fn check_route(&self, written: &Written, namespace: &str, diagnostics: &mut Diagnostics) {
        let Some(spec) = written.root.get("spec") else {
            return;
        };
        self.check_gateways(spec, namespace, diagnostics);
        for node in destinations(spec) {
            self.check_destination(node, namespace, diagnostics);
        }
    }

    /// Hosts that a gateway is to send requests to and of which it knows no endpoints.
    fn check_originals(
        &self,
        service: &VirtualService,
        written: &Written,
        diagnostics: &mut Diagnostics,
    ) {
        let namespace = service.identity.namespace.as_str();
        let spec = written.root.get("spec");
        let hosts: BTreeSet<&str> = hosts_at_gateways(service).collect();
        for host in hosts {
            let wanted = full(host, namespace);
            let objects = self.objects.istio.written.iter();
            let mut entries = objects.filter_map(|it| match &it.object {
                Object::ServiceEntry(entry) => Some(entry),
                _ => None,
            });
            let is_original = entries.any(|entry| {
                entry.resolution == Resolution::None
                    && entry.endpoints.is_empty()
                    && entry.selector.is_none()
                    && entry.hosts.contains(&wanted)
            });
            if is_original {
                let is_it = |node: &&Node| string(node, "host").as_deref() == Some(host);
                let node = spec.into_iter().flat_map(destinations).find(is_it);
                let message =
                    format!("at a gateway `{wanted}` has no endpoints: requests get 503 (UH)");
                let span = node.map_or(written.span, |node| node.span);
                diagnostics
                    .report(Code::OriginalAtGateway, span, message)
                    .help("give its ServiceEntry `resolution: DNS`, or STATIC with `endpoints`");
            }
        }
    }

    /// Whether some route leads to a subset of a host.
    fn is_routed(&self, host: &str, subset: &str) -> bool {
        let written = self.objects.istio.written.iter();
        let mut routes = written.filter(|it| matches!(it.object, Object::VirtualService(_)));
        routes.any(|it| {
            let namespace = it.object.identity().namespace.as_str();
            let spec = it.root.get("spec");
            spec.into_iter().flat_map(destinations).any(|node| {
                let to = string(node, "host").map(|to| full(&to, namespace));
                to.is_some_and(|to| host::is_subset(&to, host))
                    && string(node, "subset").as_deref() == Some(subset)
            })
        })
    }

    fn check_destination(&self, node: &Node, namespace: &str, diagnostics: &mut Diagnostics) {
        let Some(written) = string(node, "host") else {
            return;
        };
        let written_for = self.aliases.target(&written, namespace);
        let wanted = full(written_for.unwrap_or(&written), namespace);
        if self.has_services() && !self.has_host(&wanted) {
            let message = match written_for {
                Some(_) => format!(
                    "`{written}` stands for `{wanted}`, and there is no such host: requests get 503 (NC)"
                ),
                None => format!("there is no host `{wanted}`: requests get 503 (NC)"),
            };
            let known = self.hosts.iter().map(String::as_str);
            let found = diagnostics.report(Code::IstioHostNotFound, node.span, message);
            match nearest(&wanted, known) {
                Some(near) => found.help(format!("did you mean `{near}`?")),
                None => found.help("add a Service or a ServiceEntry"),
            };
            return;
        }
        let Some(subset) = string(node, "subset") else {
            return;
        };
        let rules = self
            .rules
            .iter()
            .filter(|(_, host)| host::is_subset(&wanted, host));
        let subsets: Vec<_> = rules
            .flat_map(|(rule, _)| &rule.subsets)
            .map(|it| it.name.as_str())
            .collect();
        if subsets.contains(&subset.as_str()) {
            return;
        }
        let span = node.get("subset").map_or(node.span, |node| node.span);
        let message = format!("`{written}` has no subset `{subset}`: requests get 503 (NC)");
        let found = diagnostics.report(Code::SubsetNotFound, span, message);
        match nearest(&subset, subsets.iter().copied()) {
            Some(near) => found.help(format!("did you mean `{near}`?")),
            None if subsets.is_empty() => found.help("add a DestinationRule that defines it"),
            None => found.help(format!("there are {}", subsets.join(", "))),
        };
    }

    fn check_gateways(&self, spec: &Node, namespace: &str, diagnostics: &mut Diagnostics) {
        for node in spec.list("gateways") {
            let text = node.str().unwrap_or_default();
            let GatewayName::Object { namespace, name } = GatewayName::of(text, namespace) else {
                continue;
            };
            let mut objects = self.objects.istio.written.iter();
            let is_there = objects.any(|written| {
                let identity = written.object.identity();
                matches!(written.object, Object::Gateway(_))
                    && (&identity.namespace, &identity.name) == (&namespace, &name)
            });
            if !is_there {
                let message = format!("there is no gateway `{namespace}/{name}`");
                diagnostics
                    .report(Code::GatewayNotFound, node.span, message)
                    .help("a gateway of another namespace is called `namespace/name`");
            }
        }
    }

    fn check_rule(&self, rule: &DestinationRule, written: &Written, diagnostics: &mut Diagnostics) {
        let wanted = full(&rule.host, &rule.identity.namespace);
        if !self.has_services() {
            return;
        }
        if !self.has_host(&wanted) {
            let at = written.root.at(&["spec", "host"]);
            let message = format!("there is no host `{wanted}`, so the rule is for nobody");
            let span = at.map_or(written.span, |node| node.span);
            let found = diagnostics.report(Code::IstioHostNotFound, span, message);
            match nearest(&wanted, self.hosts.iter().map(String::as_str)) {
                Some(near) => found.help(format!("did you mean `{near}`?")),
                None => found.help("add a Service or a ServiceEntry"),
            };
            return;
        }
        let Some(pods) = self.selected(&wanted) else {
            return;
        };
        self.check_encryption(rule, written, &pods, diagnostics);
        let nodes = written
            .root
            .at(&["spec", "subsets"])
            .map_or(&[][..], Node::items);
        for (subset, node) in rule.subsets.iter().zip(nodes) {
            let is_empty = !pods
                .iter()
                .any(|(_, labels)| authentication::selects(&subset.labels, labels));
            if is_empty && self.is_routed(&wanted, &subset.name) {
                let message = format!(
                    "no pod of `{}` has the labels of the subset `{}`: requests get 503 (UH)",
                    rule.host, subset.name
                );
                diagnostics
                    .report(Code::SubsetNotFound, node.span, message)
                    .help("labels of a subset are compared with those of pods");
            }
        }
    }

    /// A rule that lets sidecars send plaintext to pods that take mutual TLS only.
    fn check_encryption(
        &self,
        rule: &DestinationRule,
        written: &Written,
        pods: &[(&str, &BTreeMap<String, String>)],
        diagnostics: &mut Diagnostics,
    ) {
        let tls = rule.policy.common.tls.as_ref();
        if tls.is_none_or(|tls| tls.mode != ClientMode::Disable) || pods.is_empty() {
            return;
        }
        let policies = Policies {
            all: &self.peer_authentications,
            root_namespace: self.root_namespace,
        };
        // No port has the number zero, so this is what holds for ports of which nothing is said.
        let is_strict = |(namespace, labels): &(&str, &BTreeMap<String, String>)| {
            policies.of_port(namespace, labels, 0) == ServerMode::Strict
        };
        if pods.iter().all(is_strict) {
            let at = written.root.at(&["spec", "trafficPolicy", "tls"]);
            let span = at.map_or(written.span, |node| node.span);
            let message = format!(
                "sidecars send plaintext to `{}`, whose pods take mutual TLS only: requests get 503 (UC)",
                rule.host
            );
            diagnostics
                .report(Code::PlaintextToStrict, span, message)
                .help("use ISTIO_MUTUAL, or leave `tls` out (istioctl says IST0113)");
        }
    }

    /// Namespaces and labels of the pods of a service; nothing if it is none, or if it does not select.
    fn selected(&self, wanted: &str) -> Option<Vec<(&str, &BTreeMap<String, String>)>> {
        let mut services = self.objects.services.iter();
        let service = services.find(|service| {
            let metadata = &service.metadata;
            let name = host::service(
                &metadata.name,
                &metadata.namespace,
                facts::MESH_TRUST_DOMAIN.value,
            );
            name == wanted
        })?;
        let selector = service
            .selector
            .as_ref()
            .filter(|selector| !selector.is_empty())?;
        let namespace = service.metadata.namespace.as_str();
        let mut selected = self.pods(selector, Some(namespace));
        selected.extend(self.entries(selector, namespace));
        Some(selected)
    }

    /// WorkloadEntries with these labels, which a service selects as well.
    fn entries(&self, selector: &Labels, namespace: &str) -> Vec<(&str, &Labels)> {
        let written = self.objects.istio.written.iter();
        let found = written.filter_map(|written| match &written.object {
            Object::WorkloadEntry(entry)
                if entry.identity.namespace == namespace
                    && authentication::selects(selector, &entry.endpoint.labels) =>
            {
                Some((entry.identity.namespace.as_str(), &entry.endpoint.labels))
            }
            // What its machines register has the labels of both.
            Object::WorkloadGroup(group)
                if group.identity.namespace == namespace
                    && authentication::selects(selector, &group.labels) =>
            {
                Some((group.identity.namespace.as_str(), &group.labels))
            }
            _ => None,
        });
        found.collect()
    }

    /// Pods with these labels, of a namespace or of all: their namespaces and labels.
    fn pods(
        &self,
        selector: &Labels,
        namespace: Option<&str>,
    ) -> Vec<(&str, &BTreeMap<String, String>)> {
        let workloads = self.objects.workloads.iter();
        let there = workloads.filter(|workload| {
            namespace.is_none_or(|namespace| workload.metadata.namespace == namespace)
        });
        let pods = there.map(|workload| {
            let namespace = workload.metadata.namespace.as_str();
            (namespace, &workload.template.placement.labels)
        });
        pods.filter(|(_, labels)| authentication::selects(selector, labels))
            .collect()
    }

    fn check_gateway(
        &self,
        gateway: &Gateway,
        brought: &[&Component],
        written: &Written,
        diagnostics: &mut Diagnostics,
    ) {
        if gateway.is_of_gateway_api() {
            return; // istiod makes what serves it, or an address names it.
        }
        let pods = self.pods(&gateway.selector, None);
        let brought = brought.iter();
        let brought = brought.filter(|it| authentication::selects(&gateway.selector, &it.labels));
        let brought: Vec<_> = brought.flat_map(|it| &it.ports).collect();
        if pods.is_empty() && brought.is_empty() {
            let message = format!(
                "no pod has the labels {} that the gateway selects",
                shown(&gateway.selector)
            );
            diagnostics
                .report(Code::GatewayNotServed, written.span, message)
                .severity(Severity::Note)
                .help("add the Deployment and the Service of the gateway");
            return;
        }
        let services = self.objects.services.iter();
        let leading: Vec<_> = services
            .filter(|service| {
                let selector = service.selector.as_ref();
                selector.is_some_and(|selector| {
                    !selector.is_empty()
                        && pods
                            .iter()
                            .any(|(_, pod)| authentication::selects(selector, pod))
                })
            })
            .collect();
        let nodes = written
            .root
            .at(&["spec", "servers"])
            .map_or(&[][..], Node::items);
        for node in nodes {
            let port = node.at(&["port", "number"]);
            let Some(number) = port.and_then(Node::integer) else {
                continue;
            };
            // A number that no Service has is opened as it is, which is what Services lead to.
            let mut ports = leading.iter().flat_map(|service| &service.ports);
            let mut brought = brought.iter();
            let is_brought =
                brought.any(|it| [it.port, it.target].map(i64::from).contains(&number));
            let is_led_to = ports.any(|it| {
                i64::from(it.port) == number || it.target == IntegerOrText::Integer(number)
            });
            if !is_brought && !is_led_to {
                let span: Span = port.map_or(node.span, |node| node.span);
                let message = format!("no Service leads to port {number} of the gateway's pods");
                diagnostics
                    .report(Code::GatewayNotServed, span, message)
                    .help("nobody can connect; add the port to the Service of the gateway");
            }
        }
    }
}

/// Hosts that routes of a VirtualService lead to at a gateway.
fn hosts_at_gateways(service: &VirtualService) -> impl Iterator<Item = &str> {
    let is_gateway = |name: &GatewayName| matches!(name, GatewayName::Object { .. });
    let own = service.gateways.iter().any(is_gateway);
    let of = move |said: &[GatewayName]| own && (said.is_empty() || said.iter().any(is_gateway));
    let http = service.http.iter().filter(move |route| {
        let mut matches = route.matches.iter();
        route.matches.is_empty() || matches.any(|it| of(&it.source.gateways))
    });
    let http = http.filter(move |_| own).flat_map(|route| {
        let forward = match &route.action {
            HttpAction::Forward(destinations) => destinations.as_slice(),
            _ => &[],
        };
        forward.iter().filter_map(|it| match &it.target {
            Target::Host(destination) => Some(destination.host.as_str()),
            Target::Broken { .. } => None,
        })
    });
    let tls = service.tls.iter().filter(move |route| {
        let mut matches = route.matches.iter();
        matches.any(|it| of(&it.source.gateways))
    });
    let tls = tls.flat_map(|route| &route.destinations);
    let tcp = service.tcp.iter().filter(move |route| {
        let mut matches = route.matches.iter();
        own && (route.matches.is_empty() || matches.any(|it| of(&it.source.gateways)))
    });
    let tcp = tcp.flat_map(|route| &route.destinations);
    http.chain(tls.chain(tcp).map(|it| it.destination.host.as_str()))
}

fn shown(selector: &Labels) -> String {
    let pairs: Vec<_> = selector
        .iter()
        .map(|(key, value)| format!("`{key}: {value}`"))
        .collect();
    pairs.join(", ")
}
