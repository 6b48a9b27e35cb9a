//! PodDisruptionBudget: how many pods an eviction must leave.
//!
//! Models: its selector, what it demands as a number or a percentage, and what may be done to
//! pods that are not ready.
//! Sources: k8s.io/api policy/v1 types.go (1.36); kubernetes/kubernetes pkg/apis/policy/validation,
//! pkg/controller/disruption.

use super::metadata::{API_VERSION, KIND, METADATA, Metadata, STATUS};
use super::rollout::amount;
use super::selector::{LABEL_SELECTOR, Selector};
use super::workload::kind;
use crate::diagnostic::{Code, Diagnostics};
use crate::document::Document;
use crate::shape::{Field, Kind, Shape};
use crate::tree::Node;
use crate::value::INTEGER_OR_PERCENT;
use cloud::scenario::{Amount, Demand, Unhealthy};

static BUDGET_SPEC: Shape = Shape::new(
    "PodDisruptionBudgetSpec",
    &[
        Field::modelled("selector", Kind::Map(&LABEL_SELECTOR)),
        Field::modelled("minAvailable", INTEGER_OR_PERCENT),
        Field::modelled("maxUnavailable", INTEGER_OR_PERCENT),
        Field::modelled(
            "unhealthyPodEvictionPolicy",
            Kind::OneOf(&["IfHealthyBudget", "AlwaysAllow"]),
        ),
    ],
);
kind!(BUDGET, "PodDisruptionBudget", BUDGET_SPEC);

/// How many pods may be missing.
#[derive(Clone, Debug)]
pub struct DisruptionBudget {
    /// How it is called.
    pub metadata: Metadata,
    /// Its pods; none without a selector.
    pub selector: Option<Selector>,
    /// What must stay; `None` was reported.
    pub demand: Option<Demand>,
    /// What may be done to pods that are not ready.
    pub unhealthy: Unhealthy,
}

impl DisruptionBudget {
    /// Reads a checked document.
    pub(super) fn read(document: &Document, diagnostics: &mut Diagnostics) -> DisruptionBudget {
        let at = |key: &str| document.root.at(&["spec", key]);
        DisruptionBudget {
            metadata: document.metadata.clone(),
            selector: at("selector").map(Selector::read),
            demand: demand(document, diagnostics),
            unhealthy: match at("unhealthyPodEvictionPolicy").and_then(Node::str) {
                Some("AlwaysAllow") => Unhealthy::AlwaysAllow,
                _ => Unhealthy::IfHealthyBudget,
            },
        }
    }
}

fn demand(document: &Document, diagnostics: &mut Diagnostics) -> Option<Demand> {
    let at = |key: &str| document.root.at(&["spec", key]);
    match (at("minAvailable"), at("maxUnavailable")) {
        (Some(_), Some(unavailable)) => {
            let message = "`minAvailable` and `maxUnavailable` exclude one another";
            diagnostics
                .report(Code::Conflict, unavailable.span, message)
                .help("remove one of the two");
            None
        }
        (Some(available), None) => share(available, diagnostics).map(Demand::MinAvailable),
        (None, Some(unavailable)) => share(unavailable, diagnostics).map(Demand::MaxUnavailable),
        (None, None) => {
            let message =
                "without `minAvailable` and `maxUnavailable` no ready pod is ever evicted";
            diagnostics
                .report(Code::UnsupportedValue, document.metadata.span, message)
                .help("it is treated as `maxUnavailable: 0`; set one of the two");
            Some(Demand::MaxUnavailable(Amount::Count(0)))
        }
    }
}

/// What a budget demands; more than everybody is reported.
fn share(node: &Node, diagnostics: &mut Diagnostics) -> Option<Amount> {
    let amount = amount(node, diagnostics)?;
    if let Amount::Percent(percent @ 101..) = amount {
        let message = format!("{percent}% are more than all pods");
        diagnostics
            .report(Code::OutOfRange, node.span, message)
            .help("write `0%` to `100%`");
        return None;
    }
    Some(amount)
}
