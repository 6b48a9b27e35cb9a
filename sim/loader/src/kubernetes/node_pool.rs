//! NodePool of Karpenter: which machines it may order, what their nodes look like, and when they
//! may be taken away.
//!
//! Models: requirements, labels and taints of the nodes, `weight`, `limits`, consolidation, how
//! long a node must be calm before, and budgets by reason. Leaves out: what a NodeClass decides
//! (images, networks, disks), expiry, drift, schedules of budgets, and capacity that is kept
//! whether pods need it or not.
//! Sources: kubernetes-sigs/karpenter pkg/apis/crds/karpenter.sh_nodepools.yaml (v1, of 1.9) and
//! pkg/apis/v1 nodepool.go.
//! Validated by: the tests of the assembly, and a scenario from YAML to record.

use super::metadata::{API_VERSION, KIND, METADATA, Metadata, OBJECT_META, STATUS, text_map};
use super::node::{TAINT, taint};
use super::selector::requirement;
use crate::diagnostic::{Code, Diagnostics};
use crate::document::Document;
use crate::shape::{Field, Format, INTEGER, Kind, NATURAL, Shape, TEXT_LIST};
use crate::tree::Node as Tree;
use crate::value::{QUANTITY, parse_duration, parse_quantity};
use cloud::scenario::{
    Amount, Consolidates, Disruption, DisruptionReason, LabelOperator, LabelRequirement, Limits,
    NodePool as Rules, NodePoolBudget, Taint,
};
use engine::Duration;
use std::collections::BTreeMap;

const CLASSES: &str = "images, networks and disks of machines are not modelled";
const SCHEDULES: &str = "a run has no hours of the day: a budget with a schedule never bounds";
const LIVES: &str = "nodes live until consolidation or a fault ends them";

/// How long a node must be calm: no fractions, and nothing below a second.
static CALM: Format = Format {
    name: "a duration in whole seconds, minutes and hours, or `Never`",
    examples: "`0s`, `1h30m`, `Never`",
    pattern: "^(([0-9]+(s|m|h))+|Never)$",
    check: |text| match text {
        "Never" => Ok(()),
        _ if text.contains(|unit: char| !unit.is_ascii_digit() && !"smh".contains(unit)) => {
            Err("its units are `s`, `m` and `h`".to_owned())
        }
        _ => parse_duration(text).map(drop),
    },
};

/// How many nodes a budget lets go, or which share of them.
static BUDGET_NODES: Format = Format {
    name: "a number of nodes or a percentage up to 100",
    examples: "`\"5\"`, `20%`",
    pattern: "^((100|[0-9]{1,2})%|[0-9]+)$",
    check: |text| {
        let found = budget_nodes(text).map(drop);
        found.ok_or_else(|| "it is neither".to_owned())
    },
};

fn budget_nodes(text: &str) -> Option<Amount> {
    let whole = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    match text.strip_suffix('%') {
        Some(share) => whole(share)
            .filter(|&share| share <= 100)
            .map(Amount::Percent),
        None => whole(text).map(Amount::Count),
    }
}

static REQUIREMENT: Shape = Shape::new(
    "NodePoolRequirement",
    &[
        Field::approximated(
            "key",
            Kind::Text,
            "a label that the scenario's machines do not have is taken to fit",
        )
        .required(),
        Field::modelled(
            "operator",
            Kind::OneOf(&[
                "In",
                "NotIn",
                "Exists",
                "DoesNotExist",
                "Gt",
                "Lt",
                "Gte",
                "Lte",
            ]),
        )
        .required(),
        Field::modelled("values", TEXT_LIST),
        Field::ignored("minValues", INTEGER, "any choice of machines is enough"),
    ],
);
static CLASS: Shape = Shape::new(
    "NodeClassReference",
    &[
        Field::ignored("group", Kind::Text, CLASSES).required(),
        Field::ignored("kind", Kind::Text, CLASSES).required(),
        Field::ignored("name", Kind::Text, CLASSES).required(),
    ],
);
static TEMPLATE_SPEC: Shape = Shape::new(
    "NodeClaimTemplateSpec",
    &[
        Field::modelled("requirements", Kind::List(&Kind::Map(&REQUIREMENT))).required(),
        Field::modelled("taints", Kind::List(&Kind::Map(&TAINT))),
        Field::ignored(
            "startupTaints",
            Kind::List(&Kind::Map(&TAINT)),
            "`startUp` of the scenario's `nodePools` says how long pods are kept away",
        ),
        Field::ignored("nodeClassRef", Kind::Map(&CLASS), CLASSES).required(),
        Field::ignored("expireAfter", Kind::Text, LIVES),
        Field::ignored(
            "terminationGracePeriod",
            Kind::Text,
            "a node waits for its pods as long as their budgets ask for",
        ),
    ],
);
static TEMPLATE: Shape = Shape::new(
    "NodeClaimTemplate",
    &[
        Field::modelled("metadata", Kind::Map(&OBJECT_META)),
        Field::modelled("spec", Kind::Map(&TEMPLATE_SPEC)).required(),
    ],
);
static BUDGET: Shape = Shape::new(
    "NodePoolBudget",
    &[
        Field::modelled("nodes", Kind::Format(&BUDGET_NODES)).required(),
        Field::modelled(
            "reasons",
            Kind::List(&Kind::OneOf(&["Empty", "Underutilized", "Drifted"])),
        ),
        Field::approximated("schedule", Kind::Text, SCHEDULES),
        Field::ignored("duration", Kind::Text, SCHEDULES),
    ],
);
static DISRUPTION: Shape = Shape::new(
    "NodePoolDisruption",
    &[
        Field::modelled("consolidateAfter", Kind::Format(&CALM)),
        Field::approximated(
            "consolidationPolicy",
            Kind::OneOf(&["WhenEmpty", "WhenEmptyOrUnderutilized", "Balanced"]),
            "`Balanced` is taken as `WhenEmptyOrUnderutilized`",
        ),
        Field::modelled("budgets", Kind::List(&Kind::Map(&BUDGET))),
    ],
);
static LIMITS_REST: Field = Field::ignored(
    "*",
    Kind::Opaque,
    "only CPU, memory and the number of nodes are modelled",
);
static LIMITS: Shape = Shape::new(
    "NodePoolLimits",
    &[
        Field::approximated("cpu", Kind::Format(&QUANTITY), ALLOCATABLE),
        Field::approximated("memory", Kind::Format(&QUANTITY), ALLOCATABLE),
        Field::modelled("nodes", Kind::Format(&QUANTITY)),
    ],
)
.or_else(&LIMITS_REST);
const ALLOCATABLE: &str = "what pods may request of a machine counts as all that it has";
static SPEC: Shape = Shape::new(
    "NodePoolSpec",
    &[
        Field::modelled("template", Kind::Map(&TEMPLATE)).required(),
        Field::modelled("disruption", Kind::Map(&DISRUPTION)),
        Field::modelled("limits", Kind::Map(&LIMITS)),
        Field::modelled("weight", Kind::Integer(1, 100)),
        Field::ignored(
            "replicas",
            NATURAL,
            "machines come when pods need them; `count` of the scenario's `nodePools` are there",
        ),
    ],
);
/// Fields of a NodePool.
pub(super) static NODE_POOL: Shape = Shape::new(
    "NodePool",
    &[
        API_VERSION,
        KIND,
        METADATA,
        Field::modelled("spec", Kind::Map(&SPEC)).required(),
        STATUS,
    ],
);

/// What Karpenter may order.
#[derive(Clone, Debug)]
pub struct NodePool {
    /// How it is called.
    pub metadata: Metadata,
    /// What a machine must fulfil.
    pub requirements: Vec<LabelRequirement>,
    /// Labels of its nodes.
    pub labels: BTreeMap<String, String>,
    /// Taints of its nodes.
    pub taints: Vec<Taint>,
    /// The heaviest is tried first.
    pub weight: u32,
    /// How large its nodes may be together, and when they may be taken away.
    pub rules: Rules,
}

impl NodePool {
    /// Reads a checked document.
    pub(super) fn read(document: &Document, diagnostics: &mut Diagnostics) -> NodePool {
        let at = |path: &[&str]| document.root.at(path);
        let items = |key| at(&["spec", "template", "spec", key]).map_or(&[][..], Tree::items);
        let limit = |key| {
            let text = at(&["spec", "limits", key])?.text()?;
            parse_quantity(text).ok()
        };
        let weight = at(&["spec", "weight"]).and_then(Tree::integer);
        for node in items("requirements") {
            check_requirement(node, diagnostics);
        }
        NodePool {
            metadata: document.metadata.clone(),
            requirements: items("requirements")
                .iter()
                .filter_map(requirement_of_machine)
                .collect(),
            labels: text_map(at(&["spec", "template", "metadata", "labels"])),
            taints: items("taints").iter().filter_map(taint).collect(),
            weight: weight
                .and_then(|weight| weight.try_into().ok())
                .unwrap_or(0),
            rules: Rules {
                limits: Limits {
                    cpu_milli: limit("cpu").map(|cpu| cpu.milli()),
                    memory_bytes: limit("memory").map(|memory| memory.whole()),
                    nodes: limit("nodes").map(|nodes| nodes.whole()),
                },
                disruption: disruption(at(&["spec", "disruption"]), diagnostics),
            },
        }
    }
}

/// One requirement; an inclusive bound of a whole number is the exclusive one beside it.
fn requirement_of_machine(node: &Tree) -> Option<LabelRequirement> {
    let (operator, step) = match node.get("operator")?.str()? {
        "Gte" => (LabelOperator::Gt, -1),
        "Lte" => (LabelOperator::Lt, 1),
        _ => return requirement(node),
    };
    let bound: i64 = node.list("values").first()?.text()?.parse().ok()?;
    Some(LabelRequirement {
        key: node.get("key")?.str()?.to_owned(),
        operator,
        values: vec![bound.saturating_add(step).to_string()],
    })
}

/// What the API server says to a requirement.
fn check_requirement(node: &Tree, diagnostics: &mut Diagnostics) {
    let values = node.list("values");
    let number = |value: &Tree| value.text().is_some_and(|text| text.parse::<u32>().is_ok());
    let Some(operator) = node.get("operator").and_then(Tree::str) else {
        return;
    };
    let complaint = match operator {
        "In" if values.is_empty() => "needs at least one value",
        "Gt" | "Lt" | "Gte" | "Lte" if values.len() != 1 || !values.iter().all(number) => {
            "needs one value, a whole number"
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => "takes no values",
        _ => return,
    };
    let message = format!("a requirement with `{operator}` {complaint}");
    diagnostics.report(Code::WrongValue, node.span, message);
}

fn disruption(node: Option<&Tree>, diagnostics: &mut Diagnostics) -> Disruption {
    let word = |key| node.and_then(|node| node.get(key)).and_then(Tree::str);
    let default = Disruption::default();
    let budgets = node.map_or(&[][..], |node| node.list("budgets"));
    for budget in budgets {
        if budget.get("schedule").is_some() != budget.get("duration").is_some() {
            let message = "`schedule` and `duration` of a budget go together";
            diagnostics.report(Code::MissingField, budget.span, message);
        }
    }
    let always = budgets
        .iter()
        .filter(|budget| budget.get("schedule").is_none());
    Disruption {
        consolidates: match (word("consolidateAfter"), word("consolidationPolicy")) {
            (Some("Never"), _) => Consolidates::Never,
            (_, Some("WhenEmpty")) => Consolidates::Empty,
            _ => default.consolidates,
        },
        after: word("consolidateAfter")
            .and_then(|text| parse_duration(text).ok())
            .unwrap_or(Duration::ZERO),
        budgets: match node.and_then(|node| node.get("budgets")) {
            Some(_) => always.filter_map(budget_of).collect(),
            None => default.budgets,
        },
    }
}

fn budget_of(node: &Tree) -> Option<NodePoolBudget> {
    let reason = |node: &Tree| {
        Some(match node.str()? {
            "Empty" => DisruptionReason::Empty,
            "Underutilized" => DisruptionReason::Underutilized,
            _ => DisruptionReason::Drifted,
        })
    };
    Some(NodePoolBudget {
        nodes: budget_nodes(node.get("nodes")?.text()?)?,
        reasons: node.list("reasons").iter().filter_map(reason).collect(),
    })
}
