//! `provisioner` of a cluster, and the fields of its node pools that may grow.

use super::clusters::ClusterPlan;
use super::distribution::{self, DISTRIBUTION};
use super::forms;
use super::reader::Reader;
use crate::diagnostic::Code;
use crate::shape::{Field, Kind, Shape};
use crate::tree::Node;
use crate::value::DURATION;
use cloud::facts;
use cloud::scenario::{MachinePool, NodePool, Provisioner, ProvisionerKind, Scenario};
use engine::{Distribution, Duration};
use serde_json::json;
use std::ops::Range;

pub(super) static PROVISIONER: Shape = Shape::new(
    "Provisioner",
    &[
        Field::modelled("kind", Kind::OneOf(&["cluster-autoscaler", "karpenter"]))
            .required()
            .doc("Which: it orders machines of the node pools that have a `max`."),
    ],
)
.doc("What orders machines for pods that found none, and takes them away.");

pub(super) const MIN: Field = Field::modelled("min", Kind::Integer(0, 10_000))
    .doc("Fewest machines that the cluster autoscaler leaves.")
    .default(|| json!(0));
pub(super) const MAX: Field = Field::modelled("max", Kind::Integer(1, 10_000))
    .doc("Most machines that the cluster's `provisioner` orders, for each NodePool that takes them; `count` of them, by default `min`, are there at the start.");
pub(super) const BOOT: Field = Field::modelled("boot", DISTRIBUTION)
    .doc("From the order for a machine until its node is Ready; by default 3 to 4 minutes, and 40 to 75 s for Karpenter.");
pub(super) const START_UP: Field = Field::modelled("startUp", Kind::Format(&DURATION))
    .doc("From then until its start-up taint is lifted.")
    .default(|| json!("0s"));
pub(super) const PRICE: Field = Field::modelled("price", Kind::Number(0.0, 1e9))
    .doc("What a machine costs, in any unit; Karpenter compares. By default its cores.");

/// How many machines a pool has: at the start, and at most.
pub(super) fn counts(pool: &Node, reader: &mut Reader<'_>) -> (u32, u32) {
    let said = forms::count(pool, "count");
    let Some(most) = forms::count(pool, "max") else {
        let count = said.unwrap_or_else(|| reader.fact(&facts::NODE_COUNT));
        return (count, count);
    };
    let least = forms::count(pool, "min").unwrap_or(0);
    (said.unwrap_or(least).min(most), most)
}

/// A pool can neither begin with more machines than it may have, nor keep as many.
fn check_counts(pool: &Node, reader: &mut Reader<'_>) {
    let Some(most) = forms::count(pool, "max") else {
        return;
    };
    for key in ["min", "count"] {
        if let Some(count) = forms::count(pool, key).filter(|count| *count > most) {
            let message = format!("a pool of at most {most} machines has no {count}");
            let span = pool.get(key).map_or(pool.span, |node| node.span);
            reader
                .diagnostics
                .report(Code::OutOfRange, span, message)
                .help(format!("raise `max`, or lower `{key}`"));
        }
    }
}

/// Reads the provisioner of a cluster whose pools have these machines.
pub(super) fn read(
    cluster: &Node,
    pools: &[(&Node, Range<u32>)],
    reader: &mut Reader<'_>,
) -> Option<Provisioner> {
    for (pool, _) in pools {
        check_counts(pool, reader);
    }
    let mut growing = pools.iter().filter(|(pool, _)| pool.get("max").is_some());
    let Some(described) = cluster.get("provisioner") else {
        if let Some((pool, _)) = growing.next() {
            let message = "nothing would order machines of this pool";
            reader
                .diagnostics
                .report(Code::MissingField, pool.span, message)
                .help(
                    "add `provisioner: {kind: cluster-autoscaler}` to the cluster, or remove `max`",
                );
        }
        return None;
    };
    let kind = match forms::text(described, "kind")? {
        "karpenter" => ProvisionerKind::Karpenter,
        _ => ProvisionerKind::ClusterAutoscaler,
    };
    let pools: Vec<MachinePool> = growing
        .map(|(pool, nodes)| machine_pool(pool, nodes.clone(), kind, reader))
        .collect();
    if pools.is_empty() {
        let message = "the provisioner has no pool to order machines of";
        reader
            .diagnostics
            .report(Code::MissingField, described.span, message)
            .help("give one of the `nodePools` a `max`");
        return None;
    }
    Some(Provisioner {
        kind,
        pools,
        node_pools: vec![NodePool::default()],
    })
}

fn machine_pool(
    pool: &Node,
    nodes: Range<u32>,
    kind: ProvisionerKind,
    reader: &mut Reader<'_>,
) -> MachinePool {
    let boot = distribution::read(pool.get("boot"), reader);
    let cores = forms::read(pool.get("cpu"), crate::value::parse_quantity)
        .map_or(facts::NODE_CPU_MILLI.value, |cpu| cpu.milli());
    MachinePool {
        name: forms::text(pool, "name").unwrap_or_default().to_owned(),
        count: counts(pool, reader).0,
        count_min: forms::count(pool, "min")
            .unwrap_or(0)
            .min(nodes.len() as u32),
        nodes,
        price: pool
            .get("price")
            .and_then(Node::number)
            .unwrap_or(cores as f64 / 1e3),
        boot: boot.unwrap_or_else(|| usual_boot(kind, reader)),
        start_up: forms::duration(pool, "startUp").unwrap_or(Duration::ZERO),
        node_pool: 0,
    }
}

fn usual_boot(kind: ProvisionerKind, reader: &mut Reader<'_>) -> Distribution {
    let (least, most) = match kind {
        ProvisionerKind::ClusterAutoscaler => (&facts::NODE_BOOT_MIN, &facts::NODE_BOOT_MAX),
        ProvisionerKind::Karpenter => (&facts::KARPENTER_BOOT_MIN, &facts::KARPENTER_BOOT_MAX),
    };
    let (least, most) = (reader.fact(least), reader.fact(most));
    Distribution::uniform(least.as_secs_f64(), most.as_secs_f64())
        .expect("the facts are in their order")
}

/// Node objects among the manifests leave no pool to order machines of.
pub(super) fn check(scenario: &Scenario, plans: &[ClusterPlan], reader: &mut Reader<'_>) {
    for (cluster, plan) in scenario.clusters.iter().zip(plans) {
        if plan.frame.provisioner.is_some() && cluster.provisioner.is_none() {
            let message = format!(
                "the Node objects of cluster `{}` replace its pools",
                cluster.name
            );
            reader
                .diagnostics
                .report(Code::Conflict, plan.span, message)
                .help("remove the Node objects, or `provisioner`");
        }
    }
}
