//! Label selectors: which pods are meant.
//!
//! Models: `matchLabels` and `matchExpressions` of a workload, whole. Where the simulation takes
//! labels only (spreading, affinity), an expression with one value counts as that label and
//! others are left out, which is reported.

use super::metadata::{text, text_map};
use crate::diagnostic::{Code, Diagnostics};
use crate::shape::{Field, Kind, Shape, TEXT_LIST, TEXT_MAP};
use crate::tree::Node;
use cloud::scenario::{LabelOperator, LabelRequirement};
use std::collections::BTreeMap;

/// Operators of node selectors; label selectors have the first four.
const OPERATORS: &[&str] = &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];

/// One requirement.
pub(super) static REQUIREMENT: Shape = Shape::new(
    "LabelSelectorRequirement",
    &[
        Field::modelled("key", Kind::Text).required(),
        Field::modelled("operator", Kind::OneOf(OPERATORS)).required(),
        Field::modelled("values", TEXT_LIST),
    ],
);

/// A selector that is modelled whole.
pub(crate) static LABEL_SELECTOR: Shape = Shape::new(
    "LabelSelector",
    &[
        Field::modelled("matchLabels", TEXT_MAP),
        Field::modelled("matchExpressions", Kind::List(&Kind::Map(&REQUIREMENT))),
    ],
);

/// A selector of which the simulation takes labels only.
pub(super) static LABELS_ONLY: Shape = Shape::new(
    "LabelSelectorByLabels",
    &[
        Field::modelled("matchLabels", TEXT_MAP),
        Field::approximated(
            "matchExpressions",
            Kind::List(&Kind::Opaque),
            "an expression with one value counts as that label, others are left out",
        ),
    ],
);

/// A label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Labels that must be there.
    pub labels: BTreeMap<String, String>,
    /// What else must hold.
    pub requirements: Vec<LabelRequirement>,
}

impl Selector {
    /// Reads a checked selector.
    pub fn read(node: &Node) -> Selector {
        Selector {
            labels: text_map(node.get("matchLabels")),
            requirements: node
                .list("matchExpressions")
                .iter()
                .filter_map(requirement)
                .collect(),
        }
    }

    /// Whether it selects something with these labels.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        selects(&self.labels, labels)
            && self
                .requirements
                .iter()
                .all(|requirement| holds(requirement, labels))
    }

    /// The labels that it demands; what cannot be said by labels is reported and left out.
    pub fn as_labels(
        &self,
        node: &Node,
        diagnostics: &mut Diagnostics,
    ) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        for LabelRequirement {
            key,
            operator,
            values,
        } in &self.requirements
        {
            match (operator, values.as_slice()) {
                (LabelOperator::In, [value]) => {
                    labels.insert(key.clone(), value.clone());
                }
                _ => {
                    let message =
                        format!("the expression about `{key}` is left out: only labels count here");
                    diagnostics.report(Code::UnsupportedValue, node.span, message);
                }
            }
        }
        labels
    }
}

/// Whether all labels of a selector are among those of a pod.
pub fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

fn holds(requirement: &LabelRequirement, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&requirement.key);
    let among = value.is_some_and(|value| requirement.values.contains(value));
    let number = |text: &String| text.parse::<i64>().ok();
    let bound = requirement.values.first().and_then(number);
    match requirement.operator {
        LabelOperator::In => among,
        LabelOperator::NotIn => !among,
        LabelOperator::Exists => value.is_some(),
        LabelOperator::DoesNotExist => value.is_none(),
        LabelOperator::Gt => value
            .and_then(number)
            .zip(bound)
            .is_some_and(|(value, bound)| value > bound),
        LabelOperator::Lt => value
            .and_then(number)
            .zip(bound)
            .is_some_and(|(value, bound)| value < bound),
    }
}

/// Reads a checked requirement.
pub(super) fn requirement(node: &Node) -> Option<LabelRequirement> {
    let operator = match node.get("operator")?.str()? {
        "In" => LabelOperator::In,
        "NotIn" => LabelOperator::NotIn,
        "Exists" => LabelOperator::Exists,
        "DoesNotExist" => LabelOperator::DoesNotExist,
        "Gt" => LabelOperator::Gt,
        "Lt" => LabelOperator::Lt,
        _ => return None,
    };
    let values = node
        .list("values")
        .iter()
        .filter_map(|value| value.str().map(str::to_owned))
        .collect();
    Some(LabelRequirement {
        key: text(node, "key"),
        operator,
        values,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_match_as_kubernetes_says() {
        let labels = |text: &str| -> BTreeMap<String, String> {
            text.split(' ')
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, value)| (key.into(), value.into()))
                .collect()
        };
        let pod = labels("app=web tier=2");
        assert!(selects(&labels("app=web"), &pod));
        assert!(selects(&labels(""), &pod));
        assert!(!selects(&labels("app=web zone=a"), &pod));
        let cases = [
            (LabelOperator::In, "app", "web,db", true),
            (LabelOperator::NotIn, "app", "web", false),
            (LabelOperator::NotIn, "none", "web", true),
            (LabelOperator::Exists, "app", "", true),
            (LabelOperator::DoesNotExist, "app", "", false),
            (LabelOperator::Gt, "tier", "1", true),
            (LabelOperator::Lt, "tier", "1", false),
        ];
        for (operator, key, values, expected) in cases {
            let values = values.split(',').map(str::to_owned).collect();
            let requirement = LabelRequirement {
                key: key.to_owned(),
                operator,
                values,
            };
            let selector = Selector {
                requirements: vec![requirement],
                ..Selector::default()
            };
            assert_eq!(selector.matches(&pod), expected, "{operator:?} {key}");
        }
    }
}
