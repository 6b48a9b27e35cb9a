//! `behavior`: what a manifest cannot say about a workload: how long its work takes, how many
//! requests it serves at a time, and whom it calls.

use super::clients::{self, Client};
use super::distribution::{self, DISTRIBUTION};
use super::forms::{self, SHARE, SIZE};
use super::names::Names;
use super::reader::Reader;
use crate::diagnostic::Code;
use crate::shape::{Field, Format, Kind, Shape, TEXT_MAP};
use crate::source::Span;
use crate::tree::Node;
use crate::value::{DURATION, parse_quantity};
use cloud::facts;
use cloud::scenario::{
    Allowed, Behavior, Call, CallAttributes, ClusterId, Discipline, OnFailure, OnStop, Station,
    Step, Template, WorkloadId,
};
use engine::{Distribution, Duration};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A number of workers.
static WORKERS: Format = Format {
    name: "a number of workers",
    examples: "`16`, `unlimited`",
    pattern: r"^(unlimited|[1-9][0-9]*)$",
    check: |text| parse_workers(text).map(drop),
};

fn parse_workers(text: &str) -> Result<u32, String> {
    if text == "unlimited" {
        return Ok(u32::MAX);
    }
    match text.parse() {
        Ok(0) => Err("nobody would serve anything".to_owned()),
        Ok(workers) => Ok(workers),
        Err(_) => Err("it is no whole number".to_owned()),
    }
}

/// CPU that all requests share.
static CPU: Format = Format {
    name: "an amount of CPU",
    examples: "`500m`, `2`, `limit` (the containers' own limit)",
    pattern: r"^(limit|[0-9]+(\.[0-9]+)?m?)$",
    check: |text| parse_cpu(text).map(drop),
};

pub(super) static BEHAVIOR: Shape = Shape::new(
    "Behavior",
    &[
        SERVICE_TIME,
        WORKERS_FIELD,
        CPU_FIELD,
        QUEUE,
        CALLS,
        ERROR_RATE,
        RESPONSE_SIZE,
        ASYNCHRONOUS,
        ALLOWS,
        START_UP,
        ON_STOP,
        Field::modelled("images", Kind::Keyed(&Kind::Map(&OF_IMAGE)))
            .doc("What pods made from an image do otherwise, by the image's name as the manifests write it: a rollout of another image then mixes both."),
    ],
)
.doc("What a pod of a workload does with requests.");
static OF_IMAGE: Shape = Shape::new(
    "BehaviorOfImage",
    &[
        SERVICE_TIME,
        WORKERS_FIELD,
        CPU_FIELD,
        QUEUE,
        CALLS,
        ERROR_RATE,
        RESPONSE_SIZE,
        ASYNCHRONOUS,
        START_UP,
        ON_STOP,
    ],
)
.doc("What a pod made from an image does otherwise than the other pods of its workload.");

const START_UP: Field = Field::modelled("startUp", Kind::Format(&DURATION))
    .doc("From being bound to a node until the application serves. A pod of a manifest without a readinessProbe counts as ready before, as soon as its container runs; by default it serves then too.")
    .default(|| json!(forms::show_duration(facts::POD_START_UP.value)));
const ON_STOP: Field = Field::modelled("onStop", Kind::OneOf(&["drain", "exit"]))
    .doc("What the application does when it is told to stop: finish what it has begun, or exit at once.")
    .default(|| json!("drain"));

pub(super) const SERVICE_TIME: Field = Field::modelled("serviceTime", DISTRIBUTION)
    .doc("Own work per request, without calls to others.")
    .default(|| {
        json!({"lognormal": {
            "mean": forms::show_duration(facts::SERVICE_TIME.value),
            "cv": facts::SERVICE_TIME_VARIATION.value,
        }})
    });
pub(super) const WORKERS_FIELD: Field = Field::modelled("workers", Kind::Format(&WORKERS))
    .doc("Requests that one pod serves at a time, first come, first served.")
    .default(|| json!(facts::WORKERS.value));
pub(super) const CPU_FIELD: Field = Field::modelled("cpu", Kind::Format(&CPU))
    .doc("Instead of `workers`: all requests of a pod share this CPU, each at most one core.");
pub(super) const QUEUE: Field = Field::modelled("queue", Kind::Integer(0, i32::MAX as i64))
    .doc("Most requests that may wait in one pod; unbounded by default, more are refused (503).");
pub(super) const CALLS: Field = Field::modelled("calls", Kind::List(&CALL_ENTRY))
    .doc("Calls to other services, one step after the other.");
pub(super) const ERROR_RATE: Field = Field::modelled("errorRate", Kind::Format(&SHARE))
    .doc("Share of requests that end in an error (500).")
    .default(|| json!(0));
pub(super) const RESPONSE_SIZE: Field = Field::modelled("responseSize", Kind::Format(&SIZE))
    .doc("Size of a response.")
    .default(|| json!(facts::HTTP_RESPONSE_BYTES.value));
pub(super) const ASYNCHRONOUS: Field = Field::modelled("asynchronous", Kind::Bool)
    .doc("Whether a worker is free for others while calls are out.")
    .default(|| json!(false));

static ALLOWED_KIND: Kind = Kind::Map(&ALLOWED);
const ALLOWS: Field = Field::modelled("allows", Kind::List(&ALLOWED_KIND))
    .doc("As a provider of CUSTOM AuthorizationPolicies: which of the requests that proxies ask it about it lets through; all by default.");
static ALLOWED: Shape = Shape::new(
    "Allowed",
    &[
        Field::modelled("path", Kind::Text).doc("What their path begins with."),
        Field::modelled("headers", TEXT_MAP).doc("Headers that they have."),
    ],
)
.doc("Requests that are let through: those with all of this.");

/// Which requests a provider lets through.
fn allowed(node: &Node) -> Allowed {
    Allowed {
        path: forms::text(node, "path").unwrap_or_default().to_owned(),
        headers: clients::headers(node),
    }
}

static CALL_ENTRY: Kind = Kind::Either(&[Kind::Text, Kind::Map(&CALL)]);

static CALL: Shape = Shape::new(
    "Call",
    &[
        Field::modelled("to", Kind::Text)
            .doc("Service and port, as `reviews:9080`, `reviews.shop:http` or with a full name."),
        Field::modelled("parallel", Kind::List(&CALL_ENTRY))
            .doc("Instead of `to`: calls that run at the same time; the step ends with the last."),
        Field::modelled("probability", Kind::Format(&SHARE))
            .doc("How often the call is made at all.")
            .default(|| json!(1)),
        Field::modelled("repeat", Kind::Integer(1, 10_000))
            .doc("How many times in a row.")
            .default(|| json!(1)),
        clients::REQUEST_SIZE,
        clients::TIMEOUT,
        clients::RETRIES,
        clients::PROTOCOL,
        clients::IDLE_TIMEOUT,
        Field::modelled("path", Kind::Text)
            .doc("Path, for routes that match on it.")
            .default(|| json!("/")),
        clients::METHOD,
        clients::HEADERS,
        clients::TOKEN,
        Field::modelled("forwardHeaders", Kind::List(&Kind::Text)).doc(
            "Headers that it takes over from the request that it works on, as applications do that know of traces or of users.",
        ),
        Field::modelled("onFailure", Kind::OneOf(&["fail", "ignore"]))
            .doc("Whether the caller's own request fails when the call has failed for good.")
            .default(|| json!("fail")),
    ],
)
.doc("A call to another service.");

/// CPU: thousandths of a core, or the limit of the workload's own containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cpu {
    Limit,
    Milli(u64),
}

fn parse_cpu(text: &str) -> Result<Cpu, String> {
    if text == "limit" {
        return Ok(Cpu::Limit);
    }
    match parse_quantity(text)? {
        cpu if cpu.is_negative() || cpu.milli() == 0 => Err("it is not positive".to_owned()),
        cpu => Ok(Cpu::Milli(cpu.milli())),
    }
}

/// How a pod serves when nobody says.
pub(crate) fn default_station(reader: &mut Reader<'_>) -> Station {
    Station {
        discipline: Discipline::Fifo {
            workers: reader.fact(&facts::WORKERS),
        },
        queue_max: None,
    }
}

/// What a pod does when nobody says.
pub(crate) fn default_behavior(reader: &mut Reader<'_>) -> Behavior {
    let mean = reader.fact(&facts::SERVICE_TIME).as_secs_f64();
    let variation = reader.fact(&facts::SERVICE_TIME_VARIATION);
    Behavior {
        service_time: Distribution::lognormal_from_mean(mean, variation)
            .expect("the default of the facts is a law"),
        steps: Vec::new(),
        error_rate: 0.0,
        response_bytes: reader.fact(&facts::HTTP_RESPONSE_BYTES),
        asynchronous: false,
        allows: Vec::new(),
    }
}

/// What is said about one workload.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) station: Station,
    pub(crate) behavior: Behavior,
    pub(crate) start_up: Option<Duration>,
    pub(crate) on_stop: OnStop,
    /// Where each call is written: step, position within the step, place.
    pub(crate) calls: Vec<(usize, usize, Span)>,
}

impl Said {
    /// Gives a template what was said.
    pub(crate) fn describe(&self, template: &mut Template) {
        template.station = self.station.clone();
        template.behavior = self.behavior.clone();
        template.start_up = self.start_up.unwrap_or(template.start_up);
        template.termination.on_stop = self.on_stop;
    }
}

/// What is said about a workload, and about single images of it.
#[derive(Clone, Debug)]
pub(crate) struct SaidOfAll {
    pub(crate) said: Said,
    /// By the image's name, with the place of the name.
    pub(crate) images: BTreeMap<String, (Span, Said)>,
}

impl SaidOfAll {
    /// What was said about pods of a template.
    pub(crate) fn of(&self, template: &Template) -> &Said {
        let image = template.image.as_ref();
        let of_image = image.and_then(|image| self.images.get(&image.name));
        of_image.map_or(&self.said, |(_, said)| said)
    }
}

/// Reads what is said about a workload; what is not said stays as it is.
pub(super) fn read(
    node: &Node,
    at: (ClusterId, WorkloadId),
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> SaidOfAll {
    let assembly = &names.assemblies[at.0.index()];
    let base = &assembly.cluster.workloads[at.1.index()];
    let origin = &assembly.origins[at.1.index()];
    if !origin.is_proxy {
        lean_on_defaults(node, reader);
    }
    let unsaid = Said {
        station: base.template.station.clone(),
        behavior: Behavior {
            steps: Vec::new(),
            ..base.template.behavior.clone()
        },
        start_up: None,
        on_stop: OnStop::Drain,
        calls: Vec::new(),
    };
    let said = beyond(&unsaid, node, at, names, reader);
    let images = node.get("images").map_or(&[][..], Node::entries);
    let images = images.iter().map(|entry| {
        let of_image = beyond(&said, &entry.value, at, names, reader);
        (entry.key.clone(), (entry.key_span, of_image))
    });
    SaidOfAll {
        images: images.collect(),
        said,
    }
}

/// What `node` says beyond what was said before.
fn beyond(
    before: &Said,
    node: &Node,
    at: (ClusterId, WorkloadId),
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Said {
    let (steps, calls) = match node.get("calls") {
        Some(_) => steps(node, at, names, reader),
        None => (before.behavior.steps.clone(), before.calls.clone()),
    };
    let service_time = distribution::read(node.get("serviceTime"), reader);
    let cpu_limit_milli = names.assemblies[at.0.index()].origins[at.1.index()].cpu_limit_milli;
    let behavior = Behavior {
        service_time: service_time.unwrap_or_else(|| before.behavior.service_time.clone()),
        steps,
        error_rate: forms::read(node.get("errorRate"), forms::parse_share)
            .unwrap_or(before.behavior.error_rate),
        response_bytes: forms::read(node.get("responseSize"), forms::parse_size)
            .unwrap_or(before.behavior.response_bytes),
        asynchronous: node
            .get("asynchronous")
            .and_then(Node::bool)
            .unwrap_or(before.behavior.asynchronous),
        allows: match node.get("allows") {
            Some(node) => node.items().iter().map(allowed).collect(),
            None => before.behavior.allows.clone(),
        },
    };
    Said {
        station: station(node, &before.station, cpu_limit_milli, reader),
        behavior,
        start_up: forms::duration(node, "startUp").or(before.start_up),
        on_stop: match forms::text(node, "onStop") {
            Some("exit") => OnStop::Exit,
            Some(_) => OnStop::Drain,
            None => before.on_stop,
        },
        calls,
    }
}

/// Remembers the facts that stand in for what is not said.
fn lean_on_defaults(node: &Node, reader: &mut Reader<'_>) {
    if node.get("serviceTime").is_none() {
        reader.fact(&facts::SERVICE_TIME);
        reader.fact(&facts::SERVICE_TIME_VARIATION);
    }
    if node.get("workers").is_none() && node.get("cpu").is_none() {
        reader.fact(&facts::WORKERS);
    }
    if node.get("responseSize").is_none() {
        reader.fact(&facts::HTTP_RESPONSE_BYTES);
    }
}

fn station(
    node: &Node,
    base: &Station,
    cpu_limit: Option<u64>,
    reader: &mut Reader<'_>,
) -> Station {
    if let (Some(cpu), true) = (node.entry("cpu"), node.get("workers").is_some()) {
        let message = "`cpu` and `workers` exclude one another";
        reader
            .diagnostics
            .report(Code::Conflict, cpu.key_span, message)
            .help(
                "`workers` serve one request each at full speed; under `cpu` all requests share it",
            );
    }
    let discipline = match forms::read(node.get("cpu"), parse_cpu) {
        Some(Cpu::Milli(cpu_milli)) => Some(Discipline::ProcessorSharing { cpu_milli }),
        Some(Cpu::Limit) => limit(node, cpu_limit, reader),
        None => workers(node),
    };
    Station {
        discipline: discipline.unwrap_or(base.discipline),
        queue_max: forms::count(node, "queue").or(base.queue_max),
    }
}

fn workers(node: &Node) -> Option<Discipline> {
    let workers = forms::read(node.get("workers"), parse_workers)?;
    Some(Discipline::Fifo { workers })
}

fn limit(node: &Node, cpu_limit: Option<u64>, reader: &mut Reader<'_>) -> Option<Discipline> {
    match cpu_limit {
        Some(cpu_milli) if cpu_milli > 0 => Some(Discipline::ProcessorSharing { cpu_milli }),
        _ => {
            let span = node.get("cpu").map_or(node.span, |cpu| cpu.span);
            let message = "`cpu: limit` needs containers with a CPU limit, and these have none";
            reader
                .diagnostics
                .report(Code::NoCpuLimit, span, message)
                .help("set `resources.limits.cpu` in the manifest, or write the CPU here");
            None
        }
    }
}

type Steps = (Vec<Step>, Vec<(usize, usize, Span)>);

fn steps(
    node: &Node,
    at: (ClusterId, WorkloadId),
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Steps {
    let (mut steps, mut places) = (Vec::new(), Vec::new());
    for entry in node.list("calls") {
        let parallel = entry.get("parallel").is_some();
        let single = [entry];
        let entries: Vec<&Node> = if parallel {
            if entry.get("to").is_some() {
                both(entry, reader);
            }
            entry.list("parallel").iter().collect()
        } else {
            single.to_vec()
        };
        let mut calls = Vec::new();
        for entry in entries {
            if let Some(call) = call(entry, at, names, reader) {
                places.push((steps.len(), calls.len(), entry.span));
                calls.push(call);
            }
        }
        if !calls.is_empty() {
            steps.push(Step { calls });
        }
    }
    (steps, places)
}

fn both(entry: &Node, reader: &mut Reader<'_>) {
    let message = "a step of `calls` has `to` or `parallel`, not both";
    reader
        .diagnostics
        .report(Code::Conflict, entry.span, message)
        .help("make it two steps, or move the single call into `parallel`");
}

fn call(
    entry: &Node,
    at: (ClusterId, WorkloadId),
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<Call> {
    let to = if entry.text().is_some() {
        entry
    } else if let Some(to) = entry.get("to") {
        to
    } else {
        let message = "a call lacks `to`";
        reader
            .diagnostics
            .report(Code::MissingField, entry.span, message)
            .help("name a service and its port, as `to: \"reviews:9080\"`");
        return None;
    };
    let (service, port) = names.called(at, to.str()?, to.span, reader)?;
    let client = Client::read(entry, names.ideal, reader);
    let forwarded = entry.list("forwardHeaders").iter().filter_map(Node::str);
    let port = names.for_protocol(at.0, (service, port), client.protocol, to.span, reader)?;
    let path = forms::text(entry, "path").unwrap_or("/");
    Some(Call {
        service,
        port,
        probability: forms::read(entry.get("probability"), forms::parse_share).unwrap_or(1.0),
        repeat: forms::count(entry, "repeat").unwrap_or(1),
        request_bytes: client.request_bytes,
        attributes: Arc::new(CallAttributes {
            path: path.to_owned(),
            method: clients::method(entry),
            headers: clients::headers(entry),
            token: clients::token(entry, path, reader),
            forwarded: forwarded.map(str::to_lowercase).collect(),
        }),
        protocol: client.protocol,
        timeout: client.timeout,
        retry: client.retry,
        on_failure: match forms::text(entry, "onFailure") {
            Some("ignore") => OnFailure::Ignore,
            _ => OnFailure::Fail,
        },
    })
}
