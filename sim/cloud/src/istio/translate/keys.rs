//! What decides that two proxies know the same: which of their labels any object asks for.

use super::delegates::Merged;
use super::registry::World;
use super::rules::Rules;
use crate::istio::config::{BalancePolicy, HashKey, Labels, LoadBalancer};
use crate::istio::locality::Distribution;
use std::collections::BTreeSet;

/// Whether requests with one key go to one endpoint.
pub(super) fn is_hash(policy: Option<&BalancePolicy>) -> bool {
    matches!(policy, Some(BalancePolicy::ConsistentHash { key, .. }) if *key != HashKey::Nothing)
}

/// Those labels whose names are asked for.
pub(super) fn only(labels: &Labels, names: &BTreeSet<String>) -> Labels {
    let found = names.iter().filter_map(|name| labels.get_key_value(name));
    found
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

pub(super) fn depends_on_source(it: &Merged) -> bool {
    let mut matches = it.http.iter().flat_map(|route| &route.matches);
    matches.any(|it| !it.source.labels.is_empty() || it.source.namespace.is_some())
}

pub(super) fn scope_labels(virtual_services: &[Merged], rules: &Rules) -> BTreeSet<String> {
    let sources = virtual_services.iter().flat_map(|it| {
        let of_http = it.http.iter().flat_map(|route| &route.matches);
        let of_http = of_http.map(|it| &it.source);
        let of_tls = it.tls.iter().flat_map(|route| &route.matches);
        let of_tcp = it.tcp.iter().flat_map(|route| &route.matches);
        let others = of_tls
            .map(|it| &it.source)
            .chain(of_tcp.map(|it| &it.source));
        of_http.chain(others).map(|source| &source.labels)
    });
    let all = sources.chain(rules.select_workloads());
    all.flat_map(|labels| labels.keys().cloned()).collect()
}

/// What all DestinationRules say about the choice of endpoints.
fn load_balancers<'a>(world: &World<'a>) -> impl Iterator<Item = &'a LoadBalancer> {
    let rules = world.objects.destination_rules.iter();
    let policies = rules.flat_map(|rule| {
        let subsets = rule.subsets.iter().map(|subset| &subset.policy);
        std::iter::once(&rule.policy).chain(subsets)
    });
    policies.flat_map(|policy| {
        let ports = policy.ports.iter().map(|(_, policy)| policy);
        let all = std::iter::once(&policy.common).chain(ports);
        all.filter_map(|policy| policy.load_balancer.as_ref())
    })
}

/// Labels that failover compares: those of places always, others if a setting names them.
pub(super) fn viewer_labels(world: &World<'_>) -> BTreeSet<String> {
    let of_rules = load_balancers(world).flat_map(|it| {
        let locality = it.locality.iter().flat_map(|it| &it.failover_priority);
        let zone_aware = it.zone_aware.iter().flat_map(|it| &it.failover_priority);
        locality.chain(zone_aware)
    });
    let of_mesh = world.mesh.zone_aware.iter();
    let of_mesh = of_mesh.flat_map(|it| &it.failover_priority);
    let of_mesh = of_mesh.chain(&world.mesh.locality.failover_priority);
    let all = of_rules.chain(of_mesh);
    let mut names: BTreeSet<String> = all
        .map(|it| it.split('=').next().unwrap_or_default().to_owned())
        .collect();
    if world
        .services
        .iter()
        .any(|it| it.distribution != Distribution::Any)
    {
        names.insert("kubernetes.io/hostname".to_owned());
    }
    names.extend(
        [
            "topology.istio.io/network",
            "topology.kubernetes.io/region",
            "topology.kubernetes.io/zone",
            "topology.istio.io/subzone",
        ]
        .map(str::to_owned),
    );
    names
}

/// Whether any rule chooses endpoints by hash.
pub(super) fn has_hashes(world: &World<'_>) -> bool {
    load_balancers(world).any(|it| is_hash(it.policy.as_ref()))
}
