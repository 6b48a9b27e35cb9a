//! `run`: how long, how often, and how to analyse it.

use super::forms::{self, SHARE};
use super::reader::Reader;
use crate::diagnostic::Code;
use crate::shape::{Field, Format, Kind, Shape};
use crate::tree::Node;
use crate::value::{DURATION, parse_duration};
use cloud::facts;
use cloud::scenario::{Analysis, Replications, RunPlan};
use engine::Duration;
use serde_json::json;

/// Most replications.
const REPLICATIONS_MAX: i64 = 1_000_000;
/// Most steps of a time series: more would fill the memory.
const SERIES_STEPS_MAX: u64 = 100_000;

/// What is discarded.
static WARM_UP: Format = Format {
    name: "a duration, `auto` or `none`",
    examples: "`30s`, `auto`, `none`",
    pattern: r"^(auto|none|0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d))+)$",
    check: |text| parse_warm_up(text).map(drop),
};

pub(super) static RUN: Shape = Shape::new(
    "Run",
    &[
        Field::modelled("duration", Kind::Format(&DURATION))
            .doc("Simulated time of one replication, warm-up included.")
            .default(|| json!(forms::show_duration(facts::RUN_DURATION.value))),
        Field::modelled("analysis", Kind::OneOf(&["terminating", "steady-state"])).doc(
            "Whether the start counts. Terminating by default where a timeline, a trace or a changing rate tells a story, else steady-state.",
        ),
        Field::modelled("warmup", Kind::Format(&WARM_UP))
            .doc("What a steady-state analysis discards; `auto` finds out on pilot runs.")
            .default(|| json!("auto")),
        Field::modelled("seed", Kind::Integer(0, i64::MAX))
            .doc("Same seed, same numbers.")
            .default(|| json!(facts::SEED.value)),
        Field::modelled("confidence", Kind::Format(&SHARE))
            .doc("Confidence of all intervals.")
            .default(|| json!(facts::CONFIDENCE.value)),
        Field::modelled(
            "replications",
            Kind::Either(&[Kind::Integer(1, REPLICATIONS_MAX), Kind::Map(&REPLICATIONS)]),
        )
        .doc("How many, or as many as a precision takes.")
        .default(|| json!(facts::REPLICATIONS_MIN.value)),
        Field::modelled("seriesStep", Kind::Format(&DURATION))
            .doc("Width of a step of every time series; by default so that there are some 240."),
    ],
)
.doc("How long, how often, and how to analyse it.");

static REPLICATIONS: Shape = Shape::new(
    "Replications",
    &[
        Field::modelled("min", Kind::Integer(1, REPLICATIONS_MAX))
            .doc("At least this many; intervals need two.")
            .default(|| json!(facts::REPLICATIONS_MIN.value)),
        Field::modelled("max", Kind::Integer(1, REPLICATIONS_MAX))
            .doc("At most this many.")
            .default(|| json!(facts::REPLICATIONS_MAX.value)),
        Field::modelled("precision", Kind::Format(&SHARE))
            .doc("Stop when the mean latency of each traffic source is known to this relative half-width."),
    ],
);

enum WarmUp {
    Auto,
    Fixed(Duration),
}

fn parse_warm_up(text: &str) -> Result<WarmUp, String> {
    match text {
        "auto" => Ok(WarmUp::Auto),
        "none" => Ok(WarmUp::Fixed(Duration::ZERO)),
        _ => parse_duration(text).map(WarmUp::Fixed),
    }
}

/// Reads a checked `run`. `story` says whether something changes over time.
pub(super) fn read(node: Option<&Node>, story: bool, reader: &mut Reader<'_>) -> RunPlan {
    let nothing = Node {
        span: crate::source::Span::default(),
        value: crate::tree::Value::Mapping(Vec::new()),
    };
    let node = node.unwrap_or(&nothing);
    let duration = duration(node, reader);
    RunPlan {
        duration,
        analysis: analysis(node, story, reader),
        seed: match node.get("seed").and_then(Node::integer) {
            Some(seed) => seed.unsigned_abs(),
            None => reader.fact(&facts::SEED),
        },
        replications: replications(node, reader),
        series_step: series_step(node, duration, reader),
        confidence: confidence(node, reader),
    }
}

fn duration(node: &Node, reader: &mut Reader<'_>) -> Duration {
    match forms::duration(node, "duration") {
        None => reader.fact(&facts::RUN_DURATION),
        Some(duration) if duration.is_zero() => {
            let span = node.get("duration").map_or(node.span, |node| node.span);
            reader
                .diagnostics
                .report(Code::OutOfRange, span, "a run must take some time")
                .help("write how long, as `duration: 5m`");
            facts::RUN_DURATION.value
        }
        Some(duration) => duration,
    }
}

fn analysis(node: &Node, story: bool, reader: &mut Reader<'_>) -> Analysis {
    let said = forms::text(node, "analysis");
    let warm_up = forms::read(node.get("warmup"), parse_warm_up);
    if said == Some("terminating") && matches!(&warm_up, Some(warm_up) if !is_none(warm_up)) {
        let span = node.get("warmup").map_or(node.span, |node| node.span);
        reader
            .diagnostics
            .report(
                Code::Conflict,
                span,
                "a terminating analysis has no warm-up: all of it counts",
            )
            .help("remove `warmup`, or write `analysis: steady-state`");
    }
    let steady = match said {
        Some(said) => said == "steady-state",
        None => node.get("warmup").is_some() || !story,
    };
    match (steady, warm_up) {
        (false, _) => Analysis::Terminating,
        (true, Some(WarmUp::Fixed(warm_up))) => Analysis::SteadyState {
            warm_up: Some(warm_up),
        },
        (true, _) => Analysis::SteadyState { warm_up: None },
    }
}

fn is_none(warm_up: &WarmUp) -> bool {
    matches!(warm_up, WarmUp::Fixed(Duration::ZERO))
}

fn replications(node: &Node, reader: &mut Reader<'_>) -> Replications {
    let Some(said) = node.get("replications") else {
        let count = reader.fact(&facts::REPLICATIONS_MIN);
        return Replications {
            min: count,
            max: count,
            precision: None,
        };
    };
    if let Some(count) = said.integer().and_then(|count| u32::try_from(count).ok()) {
        return Replications {
            min: count,
            max: count,
            precision: None,
        };
    }
    let min = forms::count(said, "min").unwrap_or_else(|| reader.fact(&facts::REPLICATIONS_MIN));
    let max =
        forms::count(said, "max").unwrap_or_else(|| reader.fact(&facts::REPLICATIONS_MAX).max(min));
    let precision = forms::read(said.get("precision"), forms::parse_share);
    if min > max {
        let message = format!("at least {min} replications are more than at most {max}");
        reader
            .diagnostics
            .report(Code::OutOfRange, said.span, message)
            .help("raise `max`, or lower `min`");
    }
    if precision == Some(0.0) {
        reader
            .diagnostics
            .report(
                Code::OutOfRange,
                said.span,
                "no number of replications reaches a precision of zero",
            )
            .help("write a relative half-width, as `precision: 2%`");
    }
    Replications {
        min,
        max: max.max(min),
        // Without a precision there is nothing to stop before the most.
        precision,
    }
}

fn series_step(node: &Node, duration: Duration, reader: &mut Reader<'_>) -> Duration {
    let Some(step) = forms::duration(node, "seriesStep") else {
        let steps = u64::from(reader.fact(&facts::SERIES_STEPS));
        let least = reader.fact(&facts::SERIES_STEP_MIN);
        return round_up(Duration::from_nanos(duration.as_nanos() / steps)).max(least);
    };
    let steps = duration.as_nanos() / step.as_nanos().max(1);
    if step.is_zero() || steps > SERIES_STEPS_MAX {
        let span = node.get("seriesStep").map_or(node.span, |node| node.span);
        let message = format!("a time series can have at most {SERIES_STEPS_MAX} steps");
        reader
            .diagnostics
            .report(Code::OutOfRange, span, message)
            .help("make the step longer, or leave it out");
        return duration;
    }
    step
}

/// The next longer duration that is 1, 2 or 5 times a power of ten nanoseconds.
fn round_up(step: Duration) -> Duration {
    let mut power = 1_u64;
    loop {
        for factor in [1, 2, 5] {
            if power.saturating_mul(factor) >= step.as_nanos() {
                return Duration::from_nanos(power.saturating_mul(factor));
            }
        }
        power = power.saturating_mul(10);
    }
}

fn confidence(node: &Node, reader: &mut Reader<'_>) -> f64 {
    let Some(confidence) = forms::read(node.get("confidence"), forms::parse_share) else {
        return reader.fact(&facts::CONFIDENCE);
    };
    if !(0.5..1.0).contains(&confidence) {
        let span = node.get("confidence").map_or(node.span, |node| node.span);
        let message = format!(
            "intervals cannot have a confidence of {}%",
            confidence * 100.0
        );
        reader
            .diagnostics
            .report(Code::OutOfRange, span, message)
            .help("write at least 50% and less than 100%, commonly 95%");
        return facts::CONFIDENCE.value;
    }
    confidence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_numbers() {
        let round = |millis| round_up(Duration::from_millis(millis));
        assert_eq!(round(1250), Duration::from_secs(2));
        assert_eq!(round(2000), Duration::from_secs(2));
        assert_eq!(round(2001), Duration::from_secs(5));
        assert_eq!(round(7), Duration::from_millis(10));
        assert_eq!(round_up(Duration::MAX), Duration::MAX);
    }
}
