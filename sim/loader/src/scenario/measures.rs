//! `objectives` and `expect`: what was promised to users, and what the author says comes out.

use super::canary;
use super::flags::{self, FLAG};
use super::forms::{self, AMOUNT, Amount};
use super::indicators::{self, CALLS, SERVICE, STATISTIC};
use super::names::{Names, named};
use super::reader::Reader;
use super::timeline;
use crate::diagnostic::Code;
use crate::shape::{Field, Kind, Shape};
use crate::source::Span;
use crate::tree::Node;
use crate::value::DURATION;
use cloud::scenario::{
    Action, Comparison, Expectation, Measure, Objective, Quantity, Traffic, TrafficId,
};
use engine::Time;

/// Everything that can be measured.
const MEASURES: &[&str] = &[
    "availability",
    "mean",
    "p50",
    "p75",
    "p90",
    "p95",
    "p99",
    "p99.9",
    "p99.99",
    "throughput",
    "attempts",
    "utilization",
    "wait",
    "recovery",
    "networkProgrammingLatency",
    "podStartupLatency",
    "apiCallLatency",
    "flagged",
    // Of canary releases.
    "canaryPromoted",
    "canaryRolledBack",
    "canaryUndecided",
    "wrongVerdicts",
    "timeToDetect",
    "usersHarmed",
    "errorBudgetSpent",
];

const AN_AMOUNT: Kind = Kind::Format(&AMOUNT);
const TRAFFIC: Field =
    Field::modelled("traffic", Kind::Text).doc("Of which traffic; of all together by default.");
const FROM: Field =
    Field::modelled("from", Kind::Format(&DURATION)).doc("Only what starts from then on.");
const UNTIL: Field =
    Field::modelled("until", Kind::Format(&DURATION)).doc("Only what starts before then.");
const NAME: Field = Field::modelled("measure", Kind::OneOf(MEASURES))
    .required()
    .doc("What is measured.");
const WORKLOAD: Field = Field::modelled("workload", Kind::Text)
    .doc("Of which workload: `utilization`, `wait`, `podStartupLatency`; who asks: `flagged`.");
const CLUSTER: Field = Field::modelled("cluster", Kind::Text)
    .doc("In which cluster; in all by default, or where the name is the only one.");
const CANARY: Field = Field::modelled("canary", Kind::Word)
    .doc("Of which canary release: name of a timeline entry, or its position as written, from 0; the only one by default.");
const FAULT: Field = Field::modelled("fault", Kind::Word)
    .doc("For `recovery`: name of a timeline entry, or its position as written, from 0.");

pub(super) static OBJECTIVE: Shape = Shape::new(
    "Objective",
    &[
        Field::modelled("availability", AN_AMOUNT)
            .doc("At least this share is answered without error."),
        Field::modelled("mean", AN_AMOUNT).doc("Latencies are at most this on average."),
        Field::modelled("p50", AN_AMOUNT).doc("Half of the latencies are at most this."),
        Field::modelled("p75", AN_AMOUNT).doc("75 % of the latencies are at most this."),
        Field::modelled("p90", AN_AMOUNT).doc("90 % of the latencies are at most this."),
        Field::modelled("p95", AN_AMOUNT).doc("95 % of the latencies are at most this."),
        Field::modelled("p99", AN_AMOUNT).doc("99 % of the latencies are at most this."),
        Field::modelled("p99.9", AN_AMOUNT).doc("99.9 % of the latencies are at most this."),
        Field::modelled("p99.99", AN_AMOUNT).doc("99.99 % of the latencies are at most this."),
        Field::modelled("throughput", AN_AMOUNT).doc("At least this many are answered per second."),
        TRAFFIC,
        FROM,
        UNTIL,
    ],
)
.doc("A promise to users: one measure and its bound.");

pub(super) static EXPECTATION: Shape = Shape::new(
    "Expectation",
    &[
        NAME,
        TRAFFIC,
        WORKLOAD,
        CLUSTER,
        FAULT,
        CANARY,
        STATISTIC,
        SERVICE,
        CALLS,
        FLAG,
        FROM,
        UNTIL,
        Field::modelled("atMost", AN_AMOUNT).doc("The greatest value that is right."),
        Field::modelled("atLeast", AN_AMOUNT).doc("The least value that is right."),
        Field::modelled("between", Kind::List(&AN_AMOUNT))
            .doc("Least and greatest value that are right."),
        Field::modelled("because", Kind::Text).doc("Why, for whoever finds it missed."),
        Field::modelled("variant", Kind::Text).doc("Only of this variant."),
    ],
)
.doc("What the author says comes out: a measure and a bound.");

pub(super) static MEASURE: Shape = Shape::new(
    "Measure",
    &[
        NAME, TRAFFIC, WORKLOAD, CLUSTER, FAULT, CANARY, STATISTIC, SERVICE, CALLS, FLAG, FROM,
        UNTIL,
    ],
)
.doc("A measure that is to be told, without a bound.");

/// What measures may refer to.
pub(super) struct Scope<'a> {
    pub(super) names: &'a Names<'a>,
    pub(super) traffic: &'a [Traffic],
    pub(super) timeline: &'a [timeline::Said],
    pub(super) end: Time,
}

/// In what a measure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Share,
    /// A share that may be more than all.
    Multiple,
    Seconds,
    PerSecond,
    Number,
}

fn unit(measure: &str) -> Unit {
    match measure {
        "availability" | "utilization" | "flagged" => Unit::Share,
        "canaryPromoted" | "canaryRolledBack" | "canaryUndecided" | "wrongVerdicts" => Unit::Share,
        "errorBudgetSpent" => Unit::Multiple,
        "usersHarmed" => Unit::Number,
        "throughput" => Unit::PerSecond,
        "attempts" => Unit::Number,
        _ => Unit::Seconds,
    }
}

/// Which values of a measure are the good ones.
fn more_is_better(measure: &str) -> bool {
    matches!(measure, "availability" | "throughput")
}

/// Reads objectives.
pub(super) fn objectives(
    spec: &Node,
    scope: &Scope<'_>,
    reader: &mut Reader<'_>,
) -> Vec<Objective> {
    spec.list("objectives")
        .iter()
        .filter_map(|node| objective(node, scope, reader))
        .collect()
}

fn objective(node: &Node, scope: &Scope<'_>, reader: &mut Reader<'_>) -> Option<Objective> {
    let given: Vec<_> = node
        .entries()
        .iter()
        .filter(|entry| MEASURES.contains(&entry.key.as_str()))
        .collect();
    let &[entry] = &given[..] else {
        let message = format!("an objective has one measure, not {}", given.len());
        reader
            .diagnostics
            .report(Code::NotExactlyOne, node.span, message)
            .help("write one objective for each, as `{availability: 99.9%}` and `{p99: 300ms}`");
        return None;
    };
    let bound = amount(&entry.value, &entry.key, reader)?;
    Some(Objective {
        measure: Measure {
            quantity: quantity(&entry.key, node, scope, reader)?,
            window: window(node, scope, reader)?,
        },
        comparison: if more_is_better(&entry.key) {
            Comparison::AtLeast(bound)
        } else {
            Comparison::AtMost(bound)
        },
    })
}

/// Reads what is to be told besides.
pub(super) fn asked(spec: &Node, scope: &Scope<'_>, reader: &mut Reader<'_>) -> Vec<Measure> {
    spec.list("measures")
        .iter()
        .filter_map(|node| {
            let (measure, _) = named(node, "measure")?;
            Some(Measure {
                quantity: quantity(measure, node, scope, reader)?,
                window: window(node, scope, reader)?,
            })
        })
        .collect()
}

/// Reads the expectations of one variant; `None` stands for the scenario itself, whose
/// expectations hold for it alone if they name no variant.
pub(super) fn expectations(
    spec: &Node,
    variant: Option<&str>,
    scope: &Scope<'_>,
    reader: &mut Reader<'_>,
) -> Vec<(Expectation, Span)> {
    spec.list("expect")
        .iter()
        .filter(|node| forms::text(node, "variant") == variant)
        .filter_map(|node| Some((expectation(node, scope, reader)?, node.span)))
        .collect()
}

fn expectation(node: &Node, scope: &Scope<'_>, reader: &mut Reader<'_>) -> Option<Expectation> {
    let (measure, _) = named(node, "measure")?;
    let comparison = comparison(node, measure, reader);
    let quantity = quantity(measure, node, scope, reader);
    Some(Expectation {
        because: forms::text(node, "because").map(str::to_owned),
        measure: Measure {
            quantity: quantity?,
            window: window(node, scope, reader)?,
        },
        comparison: comparison?,
    })
}

fn comparison(node: &Node, measure: &str, reader: &mut Reader<'_>) -> Option<Comparison> {
    let bound = |key: &str, reader: &mut Reader<'_>| match node.get(key) {
        Some(value) => amount(value, measure, reader).map(Some),
        None => Some(None),
    };
    let (most, least) = (bound("atMost", reader)?, bound("atLeast", reader)?);
    let between = node.get("between").map(Node::items);
    let comparison = match (most, least, between) {
        (Some(most), None, None) => Comparison::AtMost(most),
        (None, Some(least), None) => Comparison::AtLeast(least),
        (Some(most), Some(least), None) => Comparison::Between(least, most),
        (None, None, Some([least, most])) => Comparison::Between(
            amount(least, measure, reader)?,
            amount(most, measure, reader)?,
        ),
        _ => {
            reader
                .diagnostics
                .report(
                    Code::NotExactlyOne,
                    node.span,
                    "the expectation has no clear bound",
                )
                .help("give `atMost`, `atLeast`, or `between: [least, greatest]`");
            return None;
        }
    };
    if let Comparison::Between(least, most) = comparison
        && least > most
    {
        reader
            .diagnostics
            .report(
                Code::OutOfRange,
                node.span,
                "no value is between these bounds",
            )
            .help("write the least value first");
        return None;
    }
    Some(comparison)
}

/// A value in the unit of its measure; any other unit is reported.
fn amount(node: &Node, measure: &str, reader: &mut Reader<'_>) -> Option<f64> {
    let amount = forms::read(Some(node), forms::parse_amount)?;
    let (wanted, example) = match (unit(measure), amount) {
        (Unit::Seconds, Amount::Duration(value))
        | (Unit::PerSecond, Amount::Rate(value) | Amount::Number(value))
        | (Unit::Number, Amount::Number(value)) => return Some(value),
        (Unit::Share, Amount::Share(value) | Amount::Number(value)) if value <= 1.0 => {
            return Some(value);
        }
        (Unit::Multiple, Amount::Share(value) | Amount::Number(value)) => return Some(value),
        (Unit::Multiple, _) => ("a share", "150%"),
        (Unit::Share, _) => ("a share of at most 100%", "99.9%"),
        (Unit::Seconds, _) => ("a duration", "300ms"),
        (Unit::PerSecond, _) => ("a rate", "250/s"),
        (Unit::Number, _) => ("a bare number", "1.2"),
    };
    let text = node.text().unwrap_or_default();
    let message = format!("`{measure}` is {wanted}, which `{text}` is not");
    reader
        .diagnostics
        .report(Code::WrongMeasure, node.span, message)
        .help(format!("write it as `{example}`"));
    None
}

fn quantity(
    measure: &str,
    node: &Node,
    scope: &Scope<'_>,
    reader: &mut Reader<'_>,
) -> Option<Quantity> {
    if matches!(measure, "utilization" | "wait") {
        if node.get("workload").is_none() {
            let message = format!("`{measure}` needs a workload");
            reader
                .diagnostics
                .report(Code::MissingField, node.span, message)
                .help("say of which, as `workload: web`");
            return None;
        }
        let (cluster, workload) = scope.names.the_workload(node, reader)?;
        return Some(match measure {
            "wait" => Quantity::WaitMean(cluster, workload),
            _ => Quantity::Utilization(cluster, workload),
        });
    }
    if indicators::is_indicator(measure) {
        return indicators::quantity(measure, node, scope.names, reader);
    }
    if measure == "flagged" {
        return flags::quantity(node, scope.names, reader);
    }
    if let Some(measure) = canary::measure(measure) {
        let entry = canary::release(node, scope.timeline, reader)?;
        return Some(Quantity::Canary(entry, measure));
    }
    let traffic = traffic(node, scope, reader)?;
    Some(match measure {
        "availability" => Quantity::Availability(traffic),
        "mean" => Quantity::LatencyMean(traffic),
        "throughput" => Quantity::Throughput(traffic),
        "attempts" => Quantity::Attempts(traffic),
        "recovery" => recovery(traffic, node, scope, reader)?,
        _ => Quantity::LatencyQuantile(traffic, forms::parse_quantile(measure)?),
    })
}

/// `None` if it is unknown, `Some(None)` if none is named.
fn traffic(node: &Node, scope: &Scope<'_>, reader: &mut Reader<'_>) -> Option<Option<TrafficId>> {
    let Some((name, span)) = named(node, "traffic") else {
        return Some(None);
    };
    let mut known = scope.traffic.iter();
    match known.position(|traffic| traffic.name == name) {
        Some(position) => Some(Some(TrafficId::from(position))),
        None => {
            let message = format!("there is no traffic `{name}`");
            let known = scope.traffic.iter().map(|traffic| traffic.name.as_str());
            reader.unknown(Code::UnknownTraffic, span, message, known);
            None
        }
    }
}

fn recovery(
    traffic: Option<TrafficId>,
    node: &Node,
    scope: &Scope<'_>,
    reader: &mut Reader<'_>,
) -> Option<Quantity> {
    let traffic = match (traffic, scope.traffic.len()) {
        (Some(traffic), _) => traffic,
        (None, 1) => TrafficId(0),
        (None, _) => {
            reader
                .diagnostics
                .report(
                    Code::MissingField,
                    node.span,
                    "`recovery` needs a traffic source",
                )
                .help("say whose users, as `traffic: browsers`");
            return None;
        }
    };
    let is_fault = |said: &timeline::Said| matches!(said.entry.action, Action::Fault { .. });
    let mut faults = scope
        .timeline
        .iter()
        .enumerate()
        .filter(|(_, said)| is_fault(said));
    let Some((text, span)) = named(node, "fault") else {
        return match (faults.next(), faults.next()) {
            (Some((position, _)), None) => {
                Some(Quantity::Recovery(traffic, u32::try_from(position).ok()?))
            }
            _ => {
                reader
                    .diagnostics
                    .report(
                        Code::MissingField,
                        node.span,
                        "`recovery` needs a fault of the timeline",
                    )
                    .help("say from which, by its name or its position, as `fault: 0`");
                None
            }
        };
    };
    let found = faults
        .find(|(_, said)| said.name.as_deref() == Some(text) || said.written.to_string() == text);
    match found {
        Some((position, _)) => Some(Quantity::Recovery(traffic, u32::try_from(position).ok()?)),
        None => {
            let message = format!("the timeline has no fault `{text}`");
            let known: Vec<_> = scope
                .timeline
                .iter()
                .filter(|said| is_fault(said))
                .map(|said| {
                    said.name
                        .clone()
                        .unwrap_or_else(|| said.written.to_string())
                })
                .collect();
            reader.unknown(
                Code::UnknownFault,
                span,
                message,
                known.iter().map(String::as_str),
            );
            None
        }
    }
}

/// `None` if it is empty, which is reported.
#[allow(
    clippy::option_option,
    reason = "the outer one says whether there was a problem"
)]
fn window(node: &Node, scope: &Scope<'_>, reader: &mut Reader<'_>) -> Option<Option<(Time, Time)>> {
    let at = |key| forms::duration(node, key).map(|time| Time::ZERO.saturating_add(time));
    let (from, until) = (at("from"), at("until"));
    if from.is_none() && until.is_none() {
        return Some(None);
    }
    let (from, until) = (from.unwrap_or(Time::ZERO), until.unwrap_or(scope.end));
    if from >= until || from >= scope.end {
        reader
            .diagnostics
            .report(
                Code::EmptyWindow,
                node.span,
                "no request can start in this window of time",
            )
            .help("`from` must come before `until` and before the end of the run");
        return None;
    }
    Some(Some((from, until)))
}
