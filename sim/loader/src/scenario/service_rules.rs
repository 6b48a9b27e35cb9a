//! `kubeProxy` of a cluster: how its nodes' rules find endpoints, and which rules stand there
//! beside those of the services that are described.

use super::forms;
use crate::kubernetes::kube_proxy::scheduler;
use crate::shape::{Field, Kind, Shape};
use crate::tree::Node;
use cloud::scenario::{ProxyMode, ServiceRules};
use serde_json::json;

const SCHEDULERS: Kind = Kind::OneOf(&["rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "dh", "mh"]);

pub(super) static KUBE_PROXY: Shape = Shape::new(
    "KubeProxy",
    &[
        Field::modelled("mode", Kind::OneOf(&["iptables", "ipvs", "nftables"]))
            .doc("Chains that are read rule by rule, the kernel's load balancer, or maps.")
            .default(|| json!("iptables")),
        Field::modelled("scheduler", SCHEDULERS)
            .doc("How ipvs chooses an endpoint; of no effect in other modes.")
            .default(|| json!("rr")),
        Field::modelled("otherServices", Kind::Integer(0, 1_000_000))
            .doc("Service ports of the cluster that nobody here calls; their rules are passed by.")
            .default(|| json!(0)),
    ],
)
.doc("What a cluster's kube-proxies write.");

/// Reads `kubeProxy`, or takes what holds without it.
pub(super) fn read(node: Option<&Node>) -> ServiceRules {
    let mode = match node.and_then(|node| forms::text(node, "mode")) {
        Some("nftables") => ProxyMode::Nftables,
        Some("ipvs") => ProxyMode::Ipvs {
            scheduler: scheduler(node.and_then(|node| forms::text(node, "scheduler"))),
        },
        _ => ProxyMode::Iptables,
    };
    ServiceRules {
        mode,
        other_services: node
            .and_then(|node| forms::count(node, "otherServices"))
            .unwrap_or(0),
    }
}
