//! What a study found: estimates with intervals, ready to be told.
//!
//! Built from records by [`crate::summarize`]; the report room only reads it. Durations are
//! in seconds, shares between 0 and 1, rates per second.

mod canary;
mod proxies;

pub use canary::CanarySummary;
pub use proxies::{ProxySummary, Spread, StalestProxy};

use serde::Serialize;
use stats::Estimate;

/// Everything a report says.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Name of the scenario.
    pub scenario: String,
    /// Its question.
    pub question: Option<String>,
    /// Master seed.
    pub seed: u64,
    /// Replications that count.
    pub replications: u32,
    /// Whether the study was stopped before it had all its replications.
    pub interrupted: bool,
    /// Whether the asked precision was reached; `None` where none was asked.
    pub precision_reached: Option<bool>,
    /// `terminating` or `steady-state`.
    pub analysis: &'static str,
    /// Simulated seconds per replication, warm-up included.
    pub duration_s: f64,
    /// Discarded seconds at the start of each replication.
    pub warm_up_s: f64,
    /// How the warm-up was found: `none`, `given`, `mser-5` or `mser-5: run too short`.
    pub warm_up_method: &'static str,
    /// Confidence of all intervals.
    pub confidence: f64,
    /// Hexadecimal digest of everything that happened in all replications.
    pub digest: String,
    /// Events executed in all replications.
    pub events: u64,
    /// Traffic sources, and `all` together as the last one if there are several.
    pub traffic: Vec<TrafficSummary>,
    /// Workloads.
    pub workloads: Vec<WorkloadSummary>,
    /// The proxies beside them, where there are some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sidecars: Vec<WorkloadSummary>,
    /// Ztunnels, where there are some at work.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ztunnels: Vec<ZtunnelSummary>,
    /// Calls, per source, destination, version and zone pair.
    pub calls: Vec<CallSummary>,
    /// What sidecars logged of requests, per side, source, service, version, status and flags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<FlagSummary>,
    /// Views of the control plane's state.
    pub views: Vec<ViewSummary>,
    /// How far Istio's proxies were behind, by workload, where there are some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proxies: Vec<ProxySummary>,
    /// How long each fault was felt by each traffic source.
    pub recovery: Vec<RecoverySummary>,
    /// How canary releases ended, and what they cost, where there are some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub canaries: Vec<CanarySummary>,
    /// Objectives and expectations, judged.
    pub verdicts: Vec<Verdict>,
    /// What the scenario asks for besides.
    pub measures: Vec<MeasureSummary>,
    /// What happened when, as on the timeline, for marks in plots.
    pub marks: Vec<Mark>,
    /// What was simulated.
    pub topology: TopologySummary,
    /// The facts leaned on.
    pub facts: Vec<FactUse>,
    /// What was assumed or approximated, in sentences.
    pub assumptions: Vec<String>,
}

/// What one traffic source saw.
#[derive(Clone, Debug, Serialize)]
pub struct TrafficSummary {
    /// Name of the source.
    pub name: String,
    /// Requests counted, all replications.
    pub requests: u64,
    /// Answered without error, all replications.
    pub succeeded: u64,
    /// Failures by reason, all replications, most frequent first.
    pub failures: Vec<Failure>,
    /// Still on their way at the end, all replications.
    pub in_flight: u64,
    /// Share answered without error.
    pub availability: Estimate,
    /// Answered without error, per second.
    pub throughput: Estimate,
    /// Attempts per request.
    pub attempts: Estimate,
    /// Latency of requests answered without error, from the intended start.
    pub latency: Latency,
    /// Over time, a point per step.
    pub series: Vec<SeriesPoint>,
    /// Latency by ascending probability, denser towards one.
    pub percentile_curve: Vec<CurvePoint>,
}

/// A point of a percentile curve.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CurvePoint {
    /// Probability, inside (0, 1).
    pub probability: f64,
    /// Latency not exceeded with it, seconds.
    pub latency: f64,
    /// Lower and upper end of its interval; `None` if none can be given.
    pub interval: Option<(f64, f64)>,
}

/// A reason to fail and how often it was met.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Short code, as of Envoy's response flags where there is one.
    pub reason: &'static str,
    /// In words.
    pub meaning: &'static str,
    /// Requests that ended so.
    pub count: u64,
}

/// Latency in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    /// Mean.
    pub mean: Estimate,
    /// Median.
    pub p50: Estimate,
    /// 90 % quantile.
    pub p90: Estimate,
    /// 95 % quantile.
    pub p95: Estimate,
    /// 99 % quantile.
    pub p99: Estimate,
    /// 99.9 % quantile.
    pub p999: Estimate,
    /// Greatest seen.
    pub max: f64,
}

/// One step of a time series: means over replications.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SeriesPoint {
    /// Start of the step.
    pub time_s: f64,
    /// Intended starts per second.
    pub rate: f64,
    /// Share answered without error of the requests started in the step; `None` if none started.
    pub availability: Option<f64>,
    /// Least and greatest availability over replications in which some started.
    pub availability_range: Option<(f64, f64)>,
    /// Median latency of those answered, pooled.
    pub p50: Option<f64>,
    /// 99 % quantile, pooled.
    pub p99: Option<f64>,
}

/// What the ztunnel of a node did.
#[derive(Clone, Debug, Serialize)]
pub struct ZtunnelSummary {
    /// Cluster.
    pub cluster: String,
    /// Node.
    pub node: String,
    /// Busy share of its threads.
    pub utilization: Estimate,
    /// Wait for a thread, of connections, requests, answers and handshakes, in seconds.
    pub wait_mean: Estimate,
    /// Its 99 % quantile.
    pub wait_p99: Estimate,
    /// Connections that pods of its node opened, per second.
    pub opened: Estimate,
    /// Connections to pods of its node, per second.
    pub taken: Estimate,
    /// Tunnels that it opened, per second.
    pub tunnels: Estimate,
}

/// What one workload did.
#[derive(Clone, Debug, Serialize)]
pub struct WorkloadSummary {
    /// Cluster.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Version label.
    pub version: Option<String>,
    /// Pods wanted at the start.
    pub replicas: u32,
    /// Pods that found no node at the start.
    pub pending: u32,
    /// Busy share of its workers (of its CPU under processor sharing).
    pub utilization: Estimate,
    /// Requests in its pods, waiting or in service, mean over time, all pods together.
    pub in_system: Estimate,
    /// Wait before service, mean.
    pub wait_mean: Estimate,
    /// Wait before service, 95 % quantile.
    pub wait_p95: Estimate,
    /// Wait before service, 99 % quantile.
    pub wait_p99: Estimate,
    /// Share of requests that waited.
    pub waited: Estimate,
    /// Time in the station, waiting and worker held, mean.
    pub sojourn_mean: Estimate,
    /// Time in the station, 99 % quantile.
    pub sojourn_p99: Estimate,
    /// Variance of the time in the station, seconds squared.
    pub sojourn_variance: Estimate,
    /// Requests that arrived, per second.
    pub arrivals: Estimate,
    /// Share of arrivals turned away by a full queue.
    pub rejected: Estimate,
    /// Busy share over time: (seconds, share).
    pub utilization_series: Vec<(f64, f64)>,
}

/// What one kind of hop did.
#[derive(Clone, Debug, Serialize)]
pub struct CallSummary {
    /// Traffic source, or `cluster/namespace/workload` of the caller.
    pub source: String,
    /// Zone of the caller; empty for users.
    pub source_zone: String,
    /// `cluster/namespace/workload` of the pod that answered, or the service if none did.
    pub destination: String,
    /// Version of that workload.
    pub version: Option<String>,
    /// Zone of that pod; empty if none answered.
    pub destination_zone: String,
    /// Attempts, all replications.
    pub attempts: u64,
    /// Attempts answered without error.
    pub succeeded: u64,
    /// Failures by reason.
    pub failures: Vec<Failure>,
    /// Mean latency of successful attempts, seconds.
    pub latency_mean: f64,
    /// 99 % quantile, pooled.
    pub latency_p99: f64,
}

/// What sidecars logged of requests from one workload to one version of a service.
#[derive(Clone, Debug, Serialize)]
pub struct FlagSummary {
    /// Whose sidecars: of the `source` or of the `destination`.
    pub reporter: &'static str,
    /// `cluster/namespace/workload` of the caller; `unknown` if no sidecar called.
    pub source: String,
    /// `cluster/namespace/service`.
    pub destination: String,
    /// The label `version` of the pod that it was sent to.
    pub version: Option<String>,
    /// HTTP status; 0 if the caller went away.
    pub status: u16,
    /// Envoy's response flags, `-` if none is set.
    pub flags: String,
    /// What they mean.
    pub meaning: String,
    /// Requests, all replications.
    pub count: u64,
    /// Share of all requests of this reporter, source, destination and version.
    pub share: f64,
}

/// How stale one kind of view was.
#[derive(Clone, Debug, Serialize)]
pub struct ViewSummary {
    /// Kind of view: `kube-proxy`, `l7 proxy`, `load balancer`, `global dns`, `resolver`.
    pub kind: &'static str,
    /// Cluster or user network.
    pub place: String,
    /// Updates applied, all replications.
    pub updates: u64,
    /// Seconds from the change to its being applied, mean.
    pub staleness_mean: f64,
    /// The same, greatest.
    pub staleness_max: f64,
}

/// How long a fault was felt.
#[derive(Clone, Debug, Serialize)]
pub struct RecoverySummary {
    /// Label of the fault.
    pub fault: String,
    /// Traffic source.
    pub traffic: String,
    /// Replications in which requests failed because of it, as far as can be told.
    pub felt: u32,
    /// Of these, where they still failed at the end of the run: recovery takes longer than told.
    pub unfinished: u32,
    /// Replications in which requests failed all along from before the fault: nothing can be
    /// told. They are not among those that felt it.
    pub unclear: u32,
    /// Seconds from the fault's start to the last failure, over the replications that felt it;
    /// `None` if none did; without an upper end if any is unfinished.
    pub recovery: Option<Estimate>,
    /// Least and greatest over replications.
    pub range: Option<(f64, f64)>,
    /// One value per replication that felt it, ascending.
    pub values: Vec<f64>,
}

/// An objective or expectation, judged.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Whether it is an `objective` or an `expectation`.
    pub kind: &'static str,
    /// In words: `p99 of browsers at most 300 ms`.
    pub statement: String,
    /// Why, in the author's words.
    pub because: Option<String>,
    /// What was found; `None` if nothing was measured.
    pub found: Option<Estimate>,
    /// Unit of what was found.
    pub unit: Unit,
    /// Judgement.
    pub outcome: Outcome,
}

/// A measure that a scenario asks for, without a bound to judge it by.
#[derive(Clone, Debug, Serialize)]
pub struct MeasureSummary {
    /// In words: `p99 of network programming latency`.
    pub statement: String,
    /// What was found; `None` if nothing was measured.
    pub found: Option<Estimate>,
    /// Unit of what was found.
    pub unit: Unit,
}

/// What a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A share between 0 and 1.
    Share,
    /// Seconds.
    Time,
    /// Per second.
    Rate,
    /// A pure number.
    Count,
}

/// Judgement on an interval: it may straddle the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The whole interval holds.
    Met,
    /// No part of the interval holds.
    Missed,
    /// The interval straddles the bound, or nothing was measured.
    Undecided,
}

/// A moment worth a mark.
#[derive(Clone, Debug, Serialize)]
pub struct Mark {
    /// When it starts.
    pub start_s: f64,
    /// When it ends, for faults that end.
    pub end_s: Option<f64>,
    /// As on the timeline.
    pub label: String,
}

/// What was simulated.
#[derive(Clone, Debug, Serialize)]
pub struct TopologySummary {
    /// Clusters.
    pub clusters: Vec<ClusterSummary>,
    /// User networks: name and region.
    pub user_networks: Vec<(String, String)>,
    /// Traffic sources and where they enter: traffic, user network or workload, cluster names.
    pub entries: Vec<(String, String, Vec<String>)>,
    /// Call graph per cluster: (cluster, caller workload, callee service, callee workloads),
    /// all but the cluster as `namespace/name`; routes of proxies count as calls.
    pub calls: Vec<(String, String, String, Vec<String>)>,
}

/// A cluster as simulated.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterSummary {
    /// Name.
    pub name: String,
    /// Region.
    pub region: String,
    /// Nodes.
    pub nodes: Vec<NodeSummary>,
    /// Pods without a node at the start, one entry each: the workload as `namespace/name`, and
    /// why.
    pub pending: Vec<(String, String)>,
}

/// A node as simulated.
#[derive(Clone, Debug, Serialize)]
pub struct NodeSummary {
    /// Name.
    pub name: String,
    /// Zone.
    pub zone: String,
    /// Pods on it at the start: workloads as `namespace/name`, one per pod.
    pub pods: Vec<String>,
    /// Requested share of its CPU.
    pub cpu_requested: f64,
}

/// A fact that the run leaned on.
#[derive(Clone, Debug, Serialize)]
pub struct FactUse {
    /// Identifier.
    pub id: &'static str,
    /// Value with its unit.
    pub value: String,
    /// Grade: `source`, `documentation`, `measurement` or `assumption`.
    pub grade: &'static str,
    /// Where it comes from.
    pub citation: &'static str,
}
