//! What a Scenario has no room for: lists without end, clusters without nodes, and places in the
//! ideal network.

use super::clusters::ClusterPlan;
use super::reader::Reader;
use crate::diagnostic::{Code, Diagnostics};
use crate::tree::Node;
use cloud::scenario::{NetworkModel, Scenario};

/// Whether no list is longer than what a person writes or a program reads in seconds.
pub(super) fn within_limits(spec: &Node, diagnostics: &mut Diagnostics) -> bool {
    const LIMITS: &[(&str, usize)] = &[
        ("clusters", 100),
        ("workloads", 10_000),
        ("behavior", 10_000),
        ("users", 1_000),
        ("dns", 1_000),
        ("links", 10_000),
        ("traffic", 1_000),
        ("timeline", 10_000),
        ("objectives", 1_000),
        ("expect", 10_000),
        ("variants", 100),
    ];
    let mut within = true;
    for (key, most) in LIMITS {
        let Some(entry) = spec.entry(key) else {
            continue;
        };
        let length = entry.value.entries().len().max(entry.value.items().len());
        if length > *most {
            let message = format!("`{key}` holds {length} entries; at most {most} are read");
            diagnostics
                .report(Code::OverBudget, entry.key_span, message)
                .help("describe many equal things as one with a greater count or rate");
            within = false;
        }
    }
    within
}

/// Pods need nodes where hops cost time.
pub(super) fn check_nodes(scenario: &Scenario, plans: &[ClusterPlan], reader: &mut Reader<'_>) {
    for (cluster, plan) in scenario.clusters.iter().zip(plans) {
        if cluster.nodes.is_empty() && scenario.network == NetworkModel::Modelled {
            let message = format!("cluster `{}` has no nodes", cluster.name);
            reader
                .diagnostics
                .report(Code::NoNodes, plan.span, message)
                .help("leave `nodePools` out for a few common machines, or give a pool a `count`");
        }
    }
}

/// What the ideal network has no room for.
pub(super) fn check_ideal(spec: &Node, plans: &[ClusterPlan], reader: &mut Reader<'_>) {
    for key in ["users", "dns", "links"] {
        if let Some(entry) = spec.entry(key) {
            let message = format!("`network: ideal` has no `{key}`");
            reader
                .diagnostics
                .report(Code::IdealNetwork, entry.key_span, message)
                .help("remove it, or remove `network: ideal`");
        }
    }
    if let Some(second) = plans.get(1) {
        reader
            .diagnostics
            .report(
                Code::IdealNetwork,
                second.span,
                "`network: ideal` has one cluster",
            )
            .help("keep one cluster, or remove `network: ideal`");
    }
}
