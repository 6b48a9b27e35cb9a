//! Which facts a run leaned on: those that the description took its defaults from, and those
//! that the model itself uses in a scenario of its kind.

use crate::facts;
use crate::scenario::{NetworkModel, Scenario, ServiceKind};
use crate::summary::FactUse;
use std::collections::BTreeSet;

/// Beginnings of identifiers, and when the model uses the facts that begin so.
type Leaning = (&'static str, fn(&Scenario) -> bool);

const LEANINGS: [Leaning; 23] = [
    ("default.quiet-time", has_timeline),
    ("dns.cluster-", is_modelled),
    ("kubernetes.api.", changes),
    ("kubernetes.controller.", changes),
    ("kubernetes.endpointslice.", changes),
    ("kubernetes.kube-proxy.", changes),
    ("kubernetes.kubelet.", changes),
    ("kubernetes.node.lease-", changes),
    (
        "kubernetes.node.monitor-grace-period.from-1.32",
        changes_from_1_32,
    ),
    (
        "kubernetes.node.monitor-grace-period.until-1.31",
        changes_until_1_31,
    ),
    ("kubernetes.node.monitor-period", changes),
    ("kubernetes.node.un", changes),
    ("kubernetes.scheduler.", is_modelled),
    ("kubernetes.watch.", changes),
    ("load-balancer.", has_load_balancer),
    ("network.global-dns.", has_global_name),
    ("network.loss", is_modelled),
    ("network.same-node.", is_modelled),
    ("network.same-zone.", is_modelled),
    ("network.user-access.", has_users),
    ("network.wide-area.", is_wide),
    ("network.zone-to-zone.", has_zones),
    ("tcp.", is_modelled),
];

fn is_modelled(scenario: &Scenario) -> bool {
    scenario.network == NetworkModel::Modelled
}

fn has_timeline(scenario: &Scenario) -> bool {
    !scenario.timeline.is_empty()
}

fn changes(scenario: &Scenario) -> bool {
    is_modelled(scenario) && has_timeline(scenario)
}

fn any_minor(scenario: &Scenario, holds: impl Fn(u32) -> bool) -> bool {
    scenario
        .clusters
        .iter()
        .any(|cluster| holds(cluster.kubernetes_minor))
}

fn changes_from_1_32(scenario: &Scenario) -> bool {
    changes(scenario) && any_minor(scenario, |minor| minor >= 32)
}

fn changes_until_1_31(scenario: &Scenario) -> bool {
    changes(scenario) && any_minor(scenario, |minor| minor < 32)
}

fn has_load_balancer(scenario: &Scenario) -> bool {
    let services = scenario
        .clusters
        .iter()
        .flat_map(|cluster| &cluster.services);
    changes(scenario)
        && services
            .into_iter()
            .any(|s| s.kind == ServiceKind::LoadBalancer)
}

fn has_global_name(scenario: &Scenario) -> bool {
    !scenario.global_names.is_empty()
}

fn has_users(scenario: &Scenario) -> bool {
    is_modelled(scenario) && !scenario.user_networks.is_empty()
}

fn has_zones(scenario: &Scenario) -> bool {
    is_modelled(scenario)
        && scenario
            .clusters
            .iter()
            .any(|cluster| cluster.zones.len() > 1)
}

/// Whether anything crosses between partitions.
fn is_wide(scenario: &Scenario) -> bool {
    is_modelled(scenario) && scenario.clusters.len() + scenario.user_networks.len() > 1
}

/// The tables that the distances between the scenario's regions stand in.
fn region_tables(scenario: &Scenario) -> BTreeSet<&'static str> {
    let clusters = scenario.clusters.iter().map(|cluster| &cluster.region);
    let users = scenario.user_networks.iter().map(|network| &network.region);
    let places: Vec<&String> = clusters.chain(users).collect();
    let mut tables = BTreeSet::new();
    if is_wide(scenario) {
        for (index, one) in places.iter().enumerate() {
            let others = places[index + 1..].iter();
            let apart = others.filter(|other| !facts::same_region(one, other));
            tables.extend(apart.map(|other| facts::region_round_trip(one, other).1));
        }
    }
    tables
}

/// The facts, ascending by identifier.
pub(super) fn facts(scenario: &Scenario) -> Vec<FactUse> {
    let used_by_model = |id: &str| {
        LEANINGS
            .iter()
            .any(|(start, used)| id.starts_with(start) && used(scenario))
    };
    let tables = region_tables(scenario);
    facts::all()
        .into_iter()
        .filter(|row| {
            scenario.facts.contains(&row.id) || tables.contains(row.id) || used_by_model(row.id)
        })
        .map(|row| FactUse {
            id: row.id,
            value: row.value,
            grade: row.grade.name(),
            citation: row.citation,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaning_names_a_fact() {
        let facts = facts::all();
        for (start, _) in LEANINGS {
            assert!(
                facts.iter().any(|row| row.id.starts_with(start)),
                "no fact {start}"
            );
        }
    }
}
