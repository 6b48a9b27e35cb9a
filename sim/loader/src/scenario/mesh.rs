//! `istio` of a cluster: its service mesh.

use super::forms::{self, ISTIO_VERSION};
use super::reader::Reader;
use crate::assembly::MeshFrame;
use crate::diagnostic::Code;
use crate::shape::{Field, Kind, Shape, TEXT_LIST};
use crate::tree::Node;
use crate::value::{DURATION, parse_duration};
use cloud::facts;
use cloud::scenario::{RootCertificate, RootIssuer};
use engine::{Duration, Time};
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
        Field::modelled("ambientNamespaces", TEXT_LIST).doc(
            "Namespaces with the label `istio.io/dataplane-mode=ambient`, beside those whose \
             manifests carry it: ztunnels carry the connections of their pods.",
        ),
        Field::modelled("proxyCost", Kind::Format(&DURATION))
            .doc("CPU time of a sidecar for a request and its answer; ztunnels cost in proportion.")
            .default(|| {
                json!(format!(
                    "{}us",
                    facts::PROXY_CPU_PER_REQUEST.value.as_nanos() / 1_000
                ))
            }),
        Field::modelled("rootExpires", Kind::Format(&DURATION)).doc(
            "When the root of all certificates ends, from the start on; long after the run by \
             default.",
        ),
        Field::modelled("rootIssuer", Kind::OneOf(&["operator", "istiod"]))
            .doc(
                "Who made that root: an operator who plugged it in (`cacerts`), and does not renew \
                 it; or istiod, which does in the last fifth of its ten years.",
            )
            .default(|| json!("operator")),
    ],
)
.doc("Istio, as `istioctl install` sets it up: with sidecars, ztunnels, or both.");

/// Reads `istio`.
pub(super) fn read(node: Option<&Node>, reader: &mut Reader<'_>) -> Option<MeshFrame> {
    let node = node?;
    Some(MeshFrame {
        istio_minor: forms::read(node.get("version"), forms::parse_istio_minor)
            .unwrap_or_else(|| reader.fact(&facts::ISTIO_MINOR)),
        injected_namespaces: names(node, "injectedNamespaces"),
        ambient_namespaces: names(node, "ambientNamespaces"),
        proxy_cost: forms::read(node.get("proxyCost"), parse_duration)
            .unwrap_or_else(|| reader.fact(&facts::PROXY_CPU_PER_REQUEST)),
        root: root(node, reader),
    })
}

/// The root that may end within the run. Says so if it ends at once, or never.
fn root(node: &Node, reader: &mut Reader<'_>) -> Option<RootCertificate> {
    let until = node.get("rootExpires");
    if let (None, Some(issuer)) = (until, node.get("rootIssuer")) {
        let message = "`rootIssuer` says whose root it is, and nothing says when it ends";
        reader
            .diagnostics
            .report(Code::RootNeverEnds, issuer.span, message)
            .help("add `rootExpires`, or leave `rootIssuer` out");
    }
    let lasts = forms::read(until, parse_duration)?;
    if lasts == Duration::ZERO {
        let message = "a root that has ended leaves no sidecar with a certificate";
        reader
            .diagnostics
            .report(Code::OutOfRange, until?.span, message)
            .help("say how long after the start it ends, as `rootExpires: 2h`");
    }
    let issuer = match node.get("rootIssuer").and_then(Node::str) {
        Some("istiod") => RootIssuer::Istiod,
        _ => RootIssuer::Operator,
    };
    Some(RootCertificate {
        until: Time::ZERO.saturating_add(lasts),
        issuer,
    })
}

fn names(node: &Node, field: &str) -> Vec<String> {
    let listed = node.list(field).iter().filter_map(Node::str);
    listed.map(str::to_owned).collect()
}
