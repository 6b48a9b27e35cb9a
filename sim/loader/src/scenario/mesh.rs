//! `istio` of a cluster: its service mesh.

use super::forms::{self, ISTIO_VERSION};
use super::reader::Reader;
use crate::assembly::MeshFrame;
use crate::shape::{Field, Kind, Shape, TEXT_LIST};
use crate::tree::Node;
use crate::value::{DURATION, parse_duration};
use cloud::facts;
use serde_json::json;

pub(super) static ISTIO: Shape = Shape::new(
    "Istio",
    &[
        Field::modelled("version", Kind::Format(&ISTIO_VERSION))
            .doc("Version of Istio, in quotes; decides defaults that changed over time.")
            .default(|| json!(format!("1.{}", facts::ISTIO_MINOR.value))),
        Field::modelled("injectedNamespaces", TEXT_LIST).doc(
            "Namespaces with the label `istio-injection=enabled`, beside those whose manifests \
             carry it.",
        ),
        Field::modelled("proxyCost", Kind::Format(&DURATION))
            .doc("CPU time of a sidecar for a request and its answer.")
            .default(|| {
                json!(format!(
                    "{}us",
                    facts::PROXY_CPU_PER_REQUEST.value.as_nanos() / 1_000
                ))
            }),
    ],
)
.doc("Istio with sidecars, as `istioctl install` sets it up.");

/// Reads `istio`.
pub(super) fn read(node: Option<&Node>, reader: &mut Reader<'_>) -> Option<MeshFrame> {
    let node = node?;
    Some(MeshFrame {
        istio_minor: forms::read(node.get("version"), forms::parse_istio_minor)
            .unwrap_or_else(|| reader.fact(&facts::ISTIO_MINOR)),
        injected_namespaces: node
            .list("injectedNamespaces")
            .iter()
            .filter_map(Node::str)
            .map(str::to_owned)
            .collect(),
        proxy_cost: forms::read(node.get("proxyCost"), parse_duration)
            .unwrap_or_else(|| reader.fact(&facts::PROXY_CPU_PER_REQUEST)),
    })
}
