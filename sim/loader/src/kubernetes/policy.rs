//! HorizontalPodAutoscaler and PodDisruptionBudget: read and kept, not acted on in this release.
//! Sources: k8s.io/api autoscaling/v2, autoscaling/v1 and policy/v1 types.go (1.36).

use super::metadata::{API_VERSION, KIND, METADATA, Metadata, STATUS, text};
use super::pod::natural;
use super::selector::Selector;
use super::workload::kind;
use crate::document::Document;
use crate::shape::{Field, Kind, NATURAL, Shape};

use crate::value::{INTEGER_OR_PERCENT, IntegerOrText};

const SCALERS: &str = "kept; a later release models autoscalers";
const EVICTIONS: &str = "kept; a later release models evictions";

static TARGET: Shape = Shape::new(
    "CrossVersionObjectReference",
    &[
        Field::ignored("apiVersion", Kind::Text, SCALERS),
        Field::ignored("kind", Kind::Text, SCALERS).required(),
        Field::ignored("name", Kind::Text, SCALERS).required(),
    ],
);
static AUTOSCALER_SPEC: Shape = Shape::new(
    "HorizontalPodAutoscalerSpec",
    &[
        Field::ignored("scaleTargetRef", Kind::Map(&TARGET), SCALERS).required(),
        Field::ignored("minReplicas", NATURAL, SCALERS),
        Field::ignored("maxReplicas", NATURAL, SCALERS).required(),
        Field::ignored("metrics", Kind::Opaque, SCALERS),
        Field::ignored("behavior", Kind::Opaque, SCALERS),
        Field::ignored("targetCPUUtilizationPercentage", NATURAL, SCALERS),
    ],
);
kind!(AUTOSCALER, "HorizontalPodAutoscaler", AUTOSCALER_SPEC);

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

/// What an autoscaler is told.
#[derive(Clone, Debug)]
pub struct Autoscaler {
    /// How it is called.
    pub metadata: Metadata,
    /// Kind and name of what it scales.
    pub target: (String, String),
    /// Fewest and most replicas.
    pub replicas: (u32, u32),
}

impl Autoscaler {
    /// Reads a checked document.
    pub(super) fn read(document: &Document) -> Autoscaler {
        let at = |path: &[&str]| document.root.at(path);
        let target = at(&["spec", "scaleTargetRef"]);
        let of = |key| target.map(|target| text(target, key)).unwrap_or_default();
        let count = |key| natural(at(&["spec", key]));
        let least = count("minReplicas").unwrap_or(1);
        Autoscaler {
            metadata: document.metadata.clone(),
            target: (of("kind"), of("name")),
            replicas: (least, count("maxReplicas").unwrap_or(least)),
        }
    }
}

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
