//! `kubeProxy` of a cluster: how its nodes' rules find endpoints, and which rules stand there
//! beside those of the services that are described.

use super::forms;
use crate::kubernetes::kube_proxy::{Overrides, SCHEDULERS, scheduler};
use crate::shape::{Field, Kind, Shape};
use crate::tree::Node;
use serde_json::json;

const MODES: &[&str] = &["iptables", "ipvs", "nftables"];

pub(super) static KUBE_PROXY: Shape = Shape::new(
    "KubeProxy",
    &[
        Field::modelled("mode", Kind::OneOf(MODES))
            .doc("Chains that are read rule by rule, the kernel's load balancer, or maps; goes before a KubeProxyConfiguration among the manifests.")
            .default(|| json!("iptables")),
        Field::modelled("scheduler", Kind::OneOf(SCHEDULERS))
            .doc("How ipvs chooses an endpoint; of no effect in other modes.")
            .default(|| json!("rr")),
        Field::modelled("otherServices", Kind::Integer(0, 1_000_000))
            .doc("Service ports of the cluster that nobody here calls; their rules are passed by.")
            .default(|| json!(0)),
    ],
)
.doc("What a cluster's kube-proxies write, where it is not as a KubeProxyConfiguration among its manifests says.");

/// Reads `kubeProxy`, which goes before what manifests say.
pub(super) fn read(node: Option<&Node>) -> Overrides {
    let text = |key| node.and_then(|node| forms::text(node, key));
    Overrides {
        mode: text("mode").and_then(|mode| MODES.iter().copied().find(|known| *known == mode)),
        scheduler: text("scheduler").map(|name| scheduler(Some(name))),
        other_services: node
            .and_then(|node| forms::count(node, "otherServices"))
            .unwrap_or(0),
    }
}
