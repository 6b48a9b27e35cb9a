//! Istio's objects that contradict one another. istiod accepts them, and one of them counts.
//!
//! Sources: istio/istio pkg/config/analysis/analyzers/virtualservice/conflictingmeshgatewayhosts.go
//! (IST0109), analyzers/sidecar/defaultselector.go (IST0111); pilot/pkg/model/{destination_rule,
//! gateway}.go.
//! Validated by: tests/data/bad/91-istio-conflicts.yaml, tests/data/bad/183-servers-left-out.yaml.

use super::objects::Written;
use crate::diagnostic::{Code, Diagnostics};
use crate::source::Span;
use crate::tree::Node;
use cloud::facts;
use cloud::istio::config::{
    Audience, DestinationRule, ExportTo, Gateway, GatewayName, Identity, Labels, Object, Sidecar,
    TrafficPolicy, VirtualService,
};
use cloud::istio::host;
use cloud::istio::translate::merge::{self, Clash};
use std::collections::BTreeMap;

/// Reports objects of which only one counts.
pub(crate) fn check(written: &[Written], diagnostics: &mut Diagnostics) {
    check_routes(written, diagnostics);
    check_rules(written, diagnostics);
    check_sidecars(written, diagnostics);
    check_servers(written, diagnostics);
}

/// Servers of Gateways that ask for the same proxies: some have no place beside others.
fn check_servers(written: &[Written], diagnostics: &mut Diagnostics) {
    let mut by_selector: BTreeMap<&Labels, Vec<(&Gateway, &Written)>> = BTreeMap::new();
    for it in written {
        if let Object::Gateway(gateway) = &it.object
            && !gateway.is_of_gateway_api()
        {
            let same = by_selector.entry(&gateway.selector).or_default();
            same.push((gateway, it));
        }
    }
    for gateways in by_selector.values_mut() {
        gateways.sort_by_cached_key(|(gateway, _)| gateway.identity.age_order());
        let all = gateways.iter().map(|(gateway, _)| *gateway);
        for ((gateway, server), (other, _), clash) in merge::merged(all).left_out {
            let written = gateways
                .iter()
                .find(|(known, _)| std::ptr::eq(*known, gateway));
            let (_, written) = written.expect("one of these Gateways");
            let name = shown(&other.identity);
            let port = server.port;
            let (why, help) = match clash {
                Clash::Host => (
                    format!("has one of its hosts at port {port} already"),
                    "name each host of TLS, or that is redirected, in one server of a port",
                ),
                Clash::Port => (
                    format!("has port {port} for another protocol, or for all connections"),
                    "give each protocol a port of its own; the older Gateway has it",
                ),
            };
            let message = format!("istiod leaves this server out: `{name}` {why}");
            let mut servers = gateway.servers.iter();
            let position = servers.position(|it| std::ptr::eq(it, server));
            diagnostics
                .report(Code::ServerLeftOut, span_of(written, position), message)
                .help(help);
        }
    }
}

/// Where a server of a Gateway is written.
fn span_of(gateway: &Written, position: Option<usize>) -> Span {
    let spec = gateway.root.get("spec");
    let servers = spec.map_or(&[][..], |spec| spec.list("servers"));
    let server = position.and_then(|position| servers.get(position));
    server.map_or(gateway.root.span, |node| node.span)
}

/// Who may see an object, as far as conflicts go: everybody, or its own namespace.
fn audience(service: &VirtualService) -> Option<&str> {
    match &service.export_to {
        ExportTo::Only(audience) if !audience.contains(&Audience::Everybody) => {
            Some(&service.identity.namespace)
        }
        _ => None,
    }
}

/// Who sees a host's routes, and its full name.
type Host<'a> = (Option<&'a str>, String);
/// A VirtualService, and where it names the host.
type Speaker<'a> = (&'a VirtualService, Span);

/// VirtualServices for sidecars, by host.
fn check_routes(written: &[Written], diagnostics: &mut Diagnostics) {
    let mut by_host: BTreeMap<Host<'_>, Vec<Speaker<'_>>> = BTreeMap::new();
    for it in written {
        let Object::VirtualService(service) = &it.object else {
            continue;
        };
        let is_for_sidecars = service.gateways.contains(&GatewayName::Mesh);
        if service.is_of_gateway_api || !is_for_sidecars {
            continue;
        }
        let nodes = it
            .root
            .get("spec")
            .map_or(&[][..], |spec| spec.list("hosts"));
        for (host, node) in service.hosts.iter().zip(nodes) {
            let namespace = &service.identity.namespace;
            let host = host::complete(host, namespace, facts::MESH_TRUST_DOMAIN.value);
            let seen = by_host.entry((audience(service), host)).or_default();
            seen.push((service, node.span));
        }
    }
    let is_public = |(audience, _): &Host<'_>| audience.is_none();
    let public: Vec<_> = by_host.iter().filter(|(key, _)| is_public(key)).collect();
    for ((audience, host), private) in &by_host {
        let mut all = private.clone();
        if audience.is_some() {
            // A namespace sees what it keeps to itself, and what others show it.
            let same = public.iter().filter(|((_, other), _)| other == host);
            all.extend(same.flat_map(|(_, services)| services.iter().copied()));
        }
        report_routes(host, all, audience.is_some(), diagnostics);
    }
}

fn report_routes(
    host: &str,
    mut all: Vec<Speaker<'_>>,
    is_private: bool,
    diagnostics: &mut Diagnostics,
) {
    // What a namespace keeps to itself counts before what others show it.
    all.sort_by_cached_key(|(service, _)| {
        (audience(service).is_none(), service.identity.age_order())
    });
    let Some(((first, _), others)) = all.split_first() else {
        return;
    };
    for (other, span) in others {
        let message = format!(
            "`{}` speaks of `{host}` as `{}` does, and the latter counts{}",
            shown(&other.identity),
            shown(&first.identity),
            if is_private {
                format!(" in namespace `{}`", first.identity.namespace)
            } else {
                String::new()
            }
        );
        diagnostics
            .report(Code::RoutesConflict, *span, message)
            .help("put the routes for a host into one VirtualService (istioctl says IST0109)");
    }
}

fn shown(identity: &Identity) -> String {
    format!("{}/{}", identity.namespace, identity.name)
}

/// DestinationRules of a namespace for one host: the first policy counts, and the first subset
/// of a name.
fn check_rules(written: &[Written], diagnostics: &mut Diagnostics) {
    let mut rules: Vec<(&DestinationRule, &Written)> = written
        .iter()
        .filter_map(|it| match &it.object {
            Object::DestinationRule(rule) => Some((&**rule, it)),
            _ => None,
        })
        .collect();
    rules.sort_by_cached_key(|(rule, _)| rule.identity.age_order());
    let full = |rule: &DestinationRule| {
        let namespace = &rule.identity.namespace;
        host::complete(&rule.host, namespace, facts::MESH_TRUST_DOMAIN.value)
    };
    for (position, (rule, it)) in rules.iter().enumerate() {
        let are_merged = |older: &&(&DestinationRule, &Written)| {
            let (older, _) = older;
            older.identity.namespace == rule.identity.namespace
                && older.selector == rule.selector
                && older.export_to == rule.export_to
                && full(older) == full(rule)
        };
        let older = rules[..position].iter().filter(are_merged);
        let older: Vec<&DestinationRule> = older.map(|(older, _)| *older).collect();
        let says_something = |it: &&&DestinationRule| it.policy != TrafficPolicy::default();
        let policy = it.root.at(&["spec", "trafficPolicy"]);
        if let (Some(policy), Some(first)) = (policy, older.iter().find(says_something)) {
            let name = shown(&first.identity);
            let message = format!("the policy has no effect: that of `{name}` counts for the host");
            diagnostics
                .report(Code::IstioWarns, policy.span, message)
                .help("of DestinationRules for one host the older one's policy counts");
        }
        let nodes = it
            .root
            .at(&["spec", "subsets"])
            .map_or(&[][..], Node::items);
        for (subset, node) in rule.subsets.iter().zip(nodes) {
            let has_it = |it: &&&DestinationRule| {
                let mut subsets = it.subsets.iter();
                subsets.any(|other| other.name == subset.name)
            };
            if let Some(first) = older.iter().find(has_it) {
                let name = shown(&first.identity);
                let message = format!("`{name}` has defined the subset `{}` before", subset.name);
                diagnostics
                    .report(Code::IstioWarns, node.span, message)
                    .help("of subsets with one name the older rule's counts");
            }
        }
    }
}

/// Sidecars of a namespace for the same pods.
fn check_sidecars(written: &[Written], diagnostics: &mut Diagnostics) {
    let mut for_all: BTreeMap<&str, Vec<(&Sidecar, &Written)>> = BTreeMap::new();
    for it in written {
        if let Object::Sidecar(sidecar) = &it.object
            && sidecar.selector.is_none()
        {
            let same = for_all.entry(&sidecar.identity.namespace).or_default();
            same.push((sidecar, it));
        }
    }
    for (namespace, mut all) in for_all {
        all.sort_by_cached_key(|(sidecar, _)| sidecar.identity.age_order());
        for (_, other) in all.iter().skip(1) {
            let name = &all[0].0.identity.name;
            let message =
                format!("namespace `{namespace}` has the Sidecar `{name}` for all pods already");
            diagnostics
                .report(Code::IstioWarns, other.span, message)
                .help("the older one counts; give one of them a `workloadSelector`");
        }
    }
}
