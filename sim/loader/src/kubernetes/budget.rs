//! PodDisruptionBudget: read and kept, not acted on in this release.
//! Sources: k8s.io/api policy/v1 types.go (1.36).

use super::metadata::{API_VERSION, KIND, METADATA, Metadata, STATUS};
use super::selector::Selector;
use super::workload::kind;
use crate::document::Document;
use crate::shape::{Field, Kind, Shape};
use crate::value::{INTEGER_OR_PERCENT, IntegerOrText};

const EVICTIONS: &str = "kept; a later release models evictions";

static BUDGET_SPEC: Shape = Shape::new(
    "PodDisruptionBudgetSpec",
    &[
        Field::ignored("selector", Kind::Opaque, EVICTIONS),
        Field::ignored("minAvailable", INTEGER_OR_PERCENT, EVICTIONS),
        Field::ignored("maxUnavailable", INTEGER_OR_PERCENT, EVICTIONS),
        Field::ignored(
            "unhealthyPodEvictionPolicy",
            Kind::OneOf(&["IfHealthyBudget", "AlwaysAllow"]),
            EVICTIONS,
        ),
    ],
);
kind!(BUDGET, "PodDisruptionBudget", BUDGET_SPEC);

/// How many pods may be missing.
#[derive(Clone, Debug)]
pub struct DisruptionBudget {
    /// How it is called.
    pub metadata: Metadata,
    /// Its pods.
    pub selector: Selector,
    /// Fewest pods that must be there.
    pub min_available: Option<IntegerOrText>,
    /// Most pods that may be missing.
    pub max_unavailable: Option<IntegerOrText>,
}

impl DisruptionBudget {
    /// Reads a checked document.
    pub(super) fn read(document: &Document) -> DisruptionBudget {
        let at = |key: &str| document.root.at(&["spec", key]);
        DisruptionBudget {
            metadata: document.metadata.clone(),
            selector: at("selector").map(Selector::read).unwrap_or_default(),
            min_available: at("minAvailable").and_then(IntegerOrText::read),
            max_unavailable: at("maxUnavailable").and_then(IntegerOrText::read),
        }
    }
}
