//! `canary` on the timeline: a release step by step, with its judgement.
//!
//! Its words are those of Argo Rollouts (`steps`, `setWeight`, `failureLimit`) and, for
//! thresholds, of `expect`.

mod measures;
mod route;

pub(super) use measures::{measure, release};

use super::forms::{self, SHARE};
use super::names::Names;
use super::reader::Reader;
use super::timeline::CLUSTER;
use crate::diagnostic::Code;
use crate::istio::forms::{string_match, value_match};
use crate::shape::{Field, Format, Kind, NATURAL, Shape};
use crate::tree::Node;
use crate::value::DURATION;
use cloud::facts;
use cloud::istio::config::{HttpMatch, Percent, UriMatch};
use cloud::scenario::{
    Canary, CanaryAnalysis, CanaryStep, Change, ClusterId, Comparator, Looks, Truth,
};
use route::{are_apart, route, version};
use serde_json::json;
use std::collections::BTreeSet;

/// A quantile of latencies, as measures name it.
static QUANTILE: Format = Format {
    name: "a quantile",
    examples: "`p50`, `p99`, `p99.9`",
    pattern: r"^p[0-9]{2}(\.[0-9]+)?$",
    check: |text| match forms::parse_quantile(text) {
        Some(p) if p > 0.0 && p < 1.0 && text.len() >= 3 => Ok(()),
        _ => Err("it is not `p` and a percentage of two digits or more".to_owned()),
    },
};

static TEXT_MATCH: Shape = Shape::new(
    "CanaryTextMatch",
    &[
        Field::modelled("exact", Kind::Text).doc("The whole text."),
        Field::modelled("prefix", Kind::Text).doc("How it begins."),
        Field::modelled("regex", Kind::Text).doc("An RE2 expression for the whole of it."),
    ],
);
static HEADER_MATCH: Shape = Shape::new(
    "CanaryHeaderMatch",
    &[
        Field::modelled("headerName", Kind::Text)
            .required()
            .doc("Name of the header."),
        Field::modelled("headerValue", Kind::Map(&TEXT_MATCH))
            .required()
            .doc("Its value."),
    ],
);
static HEADER_ROUTE: Shape = Shape::new(
    "CanaryHeaderRoute",
    &[
        Field::modelled("name", Kind::Text)
            .required()
            .doc("Name of the part of the route that this step manages."),
        Field::modelled("match", Kind::List(&Kind::Map(&HEADER_MATCH)))
            .doc("Headers that a request must have to go to the canary, all of them; without any the part is removed."),
    ],
);
static MIRROR_MATCH: Shape = Shape::new(
    "CanaryMirrorMatch",
    &[
        Field::modelled("method", Kind::Map(&TEXT_MATCH)),
        Field::modelled("path", Kind::Map(&TEXT_MATCH)),
        Field::modelled("headers", Kind::Keyed(&Kind::Map(&TEXT_MATCH))),
    ],
);
static MIRROR_ROUTE: Shape = Shape::new(
    "CanaryMirrorRoute",
    &[
        Field::modelled("name", Kind::Text)
            .required()
            .doc("Name of the part of the route that this step manages."),
        Field::modelled("percentage", Kind::Number(0.0, 100.0))
            .doc("Of how many requests the canary gets a copy; without this and `match` the part is removed."),
        Field::modelled("match", Kind::List(&Kind::Map(&MIRROR_MATCH)))
            .doc("Of which requests: one of these; of all by default."),
    ],
);
static STEP: Shape = Shape::choice(
    "CanaryStep",
    &[
        Field::modelled("setWeight", Kind::Integer(0, 100))
            .doc("So many of a hundred requests go to the canary."),
        Field::modelled("pause", Kind::Format(&DURATION))
            .doc("Nothing is done for so long; the canary is judged."),
        Field::modelled("setHeaderRoute", Kind::Map(&HEADER_ROUTE))
            .doc("Requests with certain headers go to the canary, whatever its weight."),
        Field::modelled("setMirrorRoute", Kind::Map(&MIRROR_ROUTE))
            .doc("The canary gets copies of requests, whose answers nobody sees."),
    ],
)
.doc("A step of a canary release.");
static SUCCESS_RATE: Shape = Shape::new(
    "CanarySuccessRate",
    &[Field::modelled("atLeast", Kind::Format(&SHARE))
        .required()
        .doc("The share of answers without error below which it fails.")],
);
static LATENCY: Shape = Shape::new(
    "CanaryLatency",
    &[
        Field::modelled("quantile", Kind::Format(&QUANTILE))
            .doc("Which quantile `atMost` is of.")
            .default(|| json!("p99")),
        Field::modelled("atMost", Kind::Format(&DURATION))
            .doc("The latency above which it fails, and above which users count as harmed."),
        Field::modelled("tolerance", Kind::Format(&SHARE))
            .doc("By which share it may be slower than the stable version.")
            .default(|| json!(facts::CANARY_LATENCY_TOLERANCE.value)),
    ],
);
static ANALYSIS: Shape = Shape::new(
    "CanaryAnalysis",
    &[
        Field::modelled("interval", Kind::Format(&DURATION))
            .doc("How often it is looked at; a pause ends with a look.")
            .default(|| json!("1m")),
        Field::modelled("scrapeInterval", Kind::Format(&DURATION))
            .doc("How often the counters of its pods are read.")
            .default(|| json!("15s")),
        Field::modelled("successRate", Kind::Map(&SUCCESS_RATE))
            .doc("A threshold for its success rate; none by default."),
        Field::modelled("latency", Kind::Map(&LATENCY)).doc("A threshold for its latency, and what is tolerated."),
        Field::modelled("compare", Kind::List(&Kind::OneOf(&["failures", "latency"])))
            .doc("In what it must not be worse than the stable version at the same time.")
            .default(|| json!(["failures", "latency"])),
        Field::modelled("significance", Kind::Format(&SHARE))
            .doc("Greatest probability to condemn a canary that is as good as the stable version.")
            .default(|| json!(facts::CANARY_SIGNIFICANCE.value)),
        Field::modelled("looks", Kind::OneOf(&["corrected", "uncorrected"]))
            .doc("Whether that holds for the release, whose tests share it, or for each test: then many looks condemn many good versions.")
            .default(|| json!("corrected")),
        Field::modelled("minimumSample", NATURAL)
            .doc("Answers of each version without which a look says nothing, and the release waits.")
            .default(|| json!(facts::CANARY_SAMPLE_MIN.value)),
        Field::modelled("failureLimit", NATURAL)
            .doc("How many looks may condemn a canary that goes on.")
            .default(|| json!(facts::CANARY_FAILURE_LIMIT.value)),
        Field::modelled("startingStep", NATURAL)
            .doc("The step, from 0, before which nobody looks.")
            .default(|| json!(0)),
    ],
)
.doc("How a canary is judged; `{}` takes all defaults.");
pub(super) static CANARY: Shape = Shape::new(
    "Canary",
    &[
        Field::modelled("route", Kind::Text)
            .required()
            .doc("A VirtualService, or an HTTPRoute of the mesh, that leads to both versions."),
        Field::modelled("stable", Kind::Text)
            .required()
            .doc("The version that is there: a subset, or a service, among what the route leads to."),
        Field::modelled("canary", Kind::Text)
            .required()
            .doc("The one that comes, likewise."),
        Field::modelled("steps", Kind::List(&Kind::Map(&STEP)))
            .required()
            .doc("What is done, one after the other; after the last one all requests go to the canary."),
        Field::modelled("analysis", Kind::Map(&ANALYSIS))
            .doc("How it is judged on the way; without it nobody looks, and it is promoted."),
        Field::modelled("truth", Kind::OneOf(&["good", "bad"]))
            .doc("What the new version is, so that wrong verdicts can be counted."),
        CLUSTER,
    ],
)
.doc("A canary release by weights of a route, as Argo Rollouts and Flagger do it.");

/// Reads a release; anything that cannot be is reported.
pub(super) fn read(
    body: &Node,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<(ClusterId, Change)> {
    let cluster = names.the_cluster(body, body.span, reader)?;
    let steps = steps(body, reader);
    let analysis = match body.get("analysis") {
        Some(node) => Some(analysis(node, steps.as_deref(), reader)?),
        None => None,
    };
    let route = route(body, cluster, names, reader)?;
    let stable = version("stable", body, &route, reader);
    let canary = version("canary", body, &route, reader);
    let (stable, canary) = (stable?, canary?);
    are_apart(body, &stable, &canary, reader)?;
    let change = Change::Canary(Box::new(Canary {
        route: forms::text(body, "route")?.to_owned(),
        services: route.services(),
        parts: route.parts,
        stable,
        canary,
        steps: steps?,
        analysis,
        truth: forms::text(body, "truth").map(|truth| match truth {
            "good" => Truth::Good,
            _ => Truth::Bad,
        }),
    }));
    Some((cluster, change))
}

/// Its steps; `None` if there are none, which is reported.
fn steps(body: &Node, reader: &mut Reader<'_>) -> Option<Vec<CanaryStep>> {
    body.get("steps")?;
    let written = body.list("steps");
    if written.is_empty() {
        let span = body.get("steps").map_or(body.span, |node| node.span);
        reader
            .diagnostics
            .report(Code::CanarySteps, span, "the release has no steps")
            .help("begin with `- setWeight: 1` and `- pause: 2m`");
        return None;
    }
    let steps: Option<Vec<CanaryStep>> = written.iter().map(step).collect();
    let steps = steps?;
    let pauses = |step: &CanaryStep| matches!(step, CanaryStep::Pause(_));
    if !steps.iter().any(pauses) {
        let message = "the release never pauses, so nobody can look at the canary";
        let span = body.get("steps").map_or(body.span, |node| node.span);
        reader
            .diagnostics
            .report(Code::CanarySteps, span, message)
            .help("put `- pause: 2m` between the weights");
        return None;
    }
    Some(steps)
}

/// One of them; a wrong one was reported with its form.
fn step(node: &Node) -> Option<CanaryStep> {
    if let Some(weight) = forms::count(node, "setWeight") {
        return (weight <= 100).then_some(CanaryStep::SetWeight(weight));
    }
    if let Some(lasts) = forms::duration(node, "pause") {
        return Some(CanaryStep::Pause(lasts));
    }
    if let Some(node) = node.get("setHeaderRoute") {
        let headers = node.list("match").iter();
        let headers: Option<_> = headers
            .map(|node| {
                let name = forms::text(node, "headerName")?.to_ascii_lowercase();
                Some((name, value_match(node.get("headerValue")?)))
            })
            .collect();
        let matched = HttpMatch {
            headers: headers?,
            ..HttpMatch::default()
        };
        let is_any = !node.list("match").is_empty();
        return Some(CanaryStep::SetHeaderRoute {
            name: forms::text(node, "name")?.to_owned(),
            matches: is_any.then_some(matched).into_iter().collect(),
        });
    }
    mirror(node.get("setMirrorRoute")?)
}

fn mirror(node: &Node) -> Option<CanaryStep> {
    let matches: Vec<HttpMatch> = node.list("match").iter().map(mirror_match).collect();
    let said = node.get("percentage").and_then(Node::number);
    let share = match (said, matches.is_empty()) {
        (Some(percentage), _) => Some(Percent::new(percentage)?),
        (None, false) => Some(Percent::ALL),
        (None, true) => None,
    };
    Some(CanaryStep::SetMirrorRoute {
        name: forms::text(node, "name")?.to_owned(),
        matches,
        share,
    })
}

fn mirror_match(node: &Node) -> HttpMatch {
    let headers = node.get("headers").map_or(&[][..], Node::entries).iter();
    let headers = headers.map(|entry| (entry.key.to_ascii_lowercase(), value_match(&entry.value)));
    HttpMatch {
        uri: string_match(node.get("path")).map(UriMatch::Text),
        method: string_match(node.get("method")),
        headers: headers.collect(),
        ..HttpMatch::default()
    }
}

fn analysis(
    node: &Node,
    steps: Option<&[CanaryStep]>,
    reader: &mut Reader<'_>,
) -> Option<CanaryAnalysis> {
    let starting_step = forms::count(node, "startingStep").unwrap_or(0);
    if steps.is_some_and(|steps| starting_step as usize >= steps.len()) {
        let span = node.get("startingStep").map_or(node.span, |node| node.span);
        let message = format!("there is no step {starting_step}");
        reader
            .diagnostics
            .report(Code::CanarySteps, span, message)
            .help("steps are counted from 0");
        return None;
    }
    let interval = positive(node, "interval", &facts::CANARY_INTERVAL, reader)?;
    let scrape_interval = positive(
        node,
        "scrapeInterval",
        &facts::METRICS_SCRAPE_INTERVAL,
        reader,
    )?;
    let latency = node.get("latency");
    let of_latency = |key| latency.and_then(|node| node.get(key));
    let compare = node.get("compare").map(|node| {
        let written = node.items().iter().filter_map(Node::str);
        let compared: BTreeSet<Comparator> = written
            .map(|text| match text {
                "failures" => Comparator::Failures,
                _ => Comparator::Latency,
            })
            .collect();
        compared.into_iter().collect()
    });
    Some(CanaryAnalysis {
        interval,
        scrape_interval,
        success_rate_min: node
            .get("successRate")
            .and_then(|node| forms::read(node.get("atLeast"), forms::parse_share)),
        latency_max: latency.and_then(|node| {
            let quantile = forms::text(node, "quantile").unwrap_or("p99");
            Some((
                forms::parse_quantile(quantile)?,
                forms::duration(node, "atMost")?,
            ))
        }),
        comparisons: compare.unwrap_or_else(|| vec![Comparator::Failures, Comparator::Latency]),
        latency_tolerance: forms::read(of_latency("tolerance"), forms::parse_share)
            .unwrap_or_else(|| reader.fact(&facts::CANARY_LATENCY_TOLERANCE)),
        significance: forms::read(node.get("significance"), forms::parse_share)
            .unwrap_or_else(|| reader.fact(&facts::CANARY_SIGNIFICANCE)),
        looks: match forms::text(node, "looks") {
            Some("uncorrected") => Looks::Uncorrected,
            _ => Looks::Corrected,
        },
        sample_min: forms::count(node, "minimumSample")
            .unwrap_or_else(|| reader.fact(&facts::CANARY_SAMPLE_MIN))
            .into(),
        failure_limit: forms::count(node, "failureLimit")
            .unwrap_or_else(|| reader.fact(&facts::CANARY_FAILURE_LIMIT)),
        starting_step,
    })
}

/// A time that passes.
fn positive(
    node: &Node,
    key: &str,
    usual: &facts::Fact<engine::Duration>,
    reader: &mut Reader<'_>,
) -> Option<engine::Duration> {
    let Some(written) = node.get(key) else {
        return Some(reader.fact(usual));
    };
    let lasts = forms::duration(node, key)?;
    if lasts.is_zero() {
        reader
            .diagnostics
            .report(
                Code::OutOfRange,
                written.span,
                "nothing is done without pause",
            )
            .help("looks and readings take some time: leave it out for the default");
        return None;
    }
    Some(lasts)
}
