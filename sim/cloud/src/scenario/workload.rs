//! Workloads: where their pods may run, how one serves, and whom it calls.

use super::{CallAttributes, Resources, Rollout, ServiceId, Template, Toleration, Transport};
use engine::{Distribution, Duration};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A set of equal pods.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Namespace; with `kind` and `name` unique in its cluster.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// What keeps its pods.
    pub kind: WorkloadKind,
    /// The `version` label of its pods (`app.kubernetes.io/version` else), for reports.
    pub version: Option<String>,
    /// How many pods are wanted at the start; for a DaemonSet the scheduler decides.
    pub replicas: u32,
    /// How changed pods take the place of the others.
    pub rollout: Rollout,
    /// What its pods look like.
    pub template: Template,
}

/// What keeps a workload's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadKind {
    /// Deployment.
    Deployment,
    /// ReplicaSet without a Deployment.
    ReplicaSet,
    /// StatefulSet.
    StatefulSet,
    /// DaemonSet: one pod on each fitting node.
    DaemonSet,
    /// A bare Pod: nothing replaces it.
    Pod,
    /// Machines behind a selector-less Service, outside the cluster's nodes, in its first zone.
    External,
    /// Declared inline in the scenario; placed like a Deployment.
    Inline,
}

/// What decides where a pod may run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// Labels of the pods, for spreading and affinity.
    pub labels: BTreeMap<String, String>,
    /// Sum over containers of what they request.
    pub requests: Resources,
    /// `nodeName`, if the pod is bound by hand.
    pub node_name: Option<String>,
    /// Labels the node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Required node affinity: one of these terms must hold; empty means no demand.
    pub node_affinity: Vec<Vec<LabelRequirement>>,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// Topology spread constraints.
    pub spread: Vec<SpreadConstraint>,
    /// Required pod anti-affinity: topology keys in which no two pods with `labels` of
    /// the selector may share a domain.
    pub anti_affinity: Vec<AntiAffinity>,
}

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRequirement {
    /// Label key.
    pub key: String,
    /// How it compares.
    pub operator: LabelOperator,
    /// Values of the operator.
    pub values: Vec<String>,
}

impl LabelRequirement {
    /// Whether labels fulfil it.
    pub fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let among = value.is_some_and(|value| self.values.contains(value));
        let compared = || {
            let bound: i64 = self.values.first()?.parse().ok()?;
            Some(value?.parse::<i64>().ok()?.cmp(&bound))
        };
        match self.operator {
            LabelOperator::In => among,
            LabelOperator::NotIn => !among,
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
            LabelOperator::Gt => compared().is_some_and(|order| order.is_gt()),
            LabelOperator::Lt => compared().is_some_and(|order| order.is_lt()),
        }
    }
}

/// Operators of label requirements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelOperator {
    /// The value is among `values`.
    In,
    /// The value is absent or not among `values`.
    NotIn,
    /// The key exists.
    Exists,
    /// The key does not exist.
    DoesNotExist,
    /// The value, as an integer, is greater than the only one of `values`.
    Gt,
    /// The value, as an integer, is less than the only one of `values`.
    Lt,
}

/// One of a pod's `topologySpreadConstraints`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpreadConstraint {
    /// Node label whose values are the domains.
    pub topology_key: String,
    /// Greatest difference of matching pods between two domains, at least 1.
    pub skew_max: u32,
    /// Whether a pod stays Pending rather than break it (`DoNotSchedule`).
    pub required: bool,
    /// Labels of the pods that count.
    pub selector: BTreeMap<String, String>,
}

/// A required pod anti-affinity term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AntiAffinity {
    /// Node label whose values are the domains.
    pub topology_key: String,
    /// Labels of the pods to keep away from.
    pub selector: BTreeMap<String, String>,
}

/// How one pod (or one machine) serves requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Station {
    /// Who waits for whom.
    pub discipline: Discipline,
    /// How many requests may wait beyond those in service; `None` is unbounded.
    pub queue_max: Option<u32>,
}

impl Station {
    /// First come, first served by so many workers, with room for all who wait.
    pub fn fifo(workers: u32) -> Station {
        Station {
            discipline: Discipline::Fifo { workers },
            queue_max: None,
        }
    }
}

/// Queueing discipline of a station.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Discipline {
    /// First come, first served by this many workers.
    Fifo {
        /// Number of workers, at least 1; `u32::MAX` stands for unlimited.
        workers: u32,
    },
    /// All requests share the CPU; each gets at most one core.
    ProcessorSharing {
        /// CPU in thousandths of a core, at least 1.
        cpu_milli: u64,
    },
}

/// What one pod does with a request: first its own work, then its steps in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior {
    /// Own work per request.
    pub service_time: Distribution,
    /// Calls to others, one step after the other; the calls of one step run in parallel.
    pub steps: Vec<Step>,
    /// Probability that the own work ends in an error (HTTP 500), between 0 and 1.
    pub error_rate: f64,
    /// Size of a response.
    pub response_bytes: u64,
    /// Whether a worker is free for others while calls are out.
    pub asynchronous: bool,
    /// What it lets through of requests that proxies ask it about: all if nothing is said.
    pub allows: Vec<Allowed>,
}

/// Requests that are let through: those that have all of this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// What their path begins with.
    pub path: String,
    /// Headers; names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Behavior {
    /// Own work and an empty answer, without calls or errors.
    pub fn alone(service_time: Distribution) -> Behavior {
        Behavior {
            service_time,
            steps: Vec::new(),
            error_rate: 0.0,
            response_bytes: 0,
            asynchronous: false,
            allows: Vec::new(),
        }
    }

    /// Whether a request that it is asked about is let through.
    pub fn lets_through<'a>(&self, path: &str, header: impl Fn(&str) -> Option<&'a str>) -> bool {
        let has = |(name, value): &(String, String)| header(name) == Some(value.as_str());
        let is_it = |it: &Allowed| path.starts_with(&it.path) && it.headers.iter().all(has);
        self.allows.is_empty() || self.allows.iter().any(is_it)
    }
}

/// Calls that run in parallel; the step ends when all have ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// At least one.
    pub calls: Vec<Call>,
}

/// A call from one workload to a service of its cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Whom.
    pub service: ServiceId,
    /// Which port of it (position in [`Service::ports`](super::Service::ports)).
    pub port: u32,
    /// Probability that the call is made at all.
    pub probability: f64,
    /// How many times in a row, at least 1.
    pub repeat: u32,
    /// Size of the request.
    pub request_bytes: u64,
    /// What routes match on.
    pub attributes: Arc<CallAttributes>,
    /// How connections are used.
    pub protocol: Protocol,
    /// How long the caller waits for one attempt.
    pub timeout: Option<Duration>,
    /// What it does about failures.
    pub retry: Retry,
    /// What happens to the caller when the call has failed for good.
    pub on_failure: OnFailure,
}

/// What happens to the caller when a call has failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The caller's own request fails (HTTP 500) and its later steps are skipped.
    Fail,
    /// The caller answers without it.
    Ignore,
}

/// Retries of a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// Attempts in all, at least 1.
    pub attempts_max: u32,
    /// Pause before the first retry; doubles with each further one.
    pub backoff: Duration,
    /// Greatest pause.
    pub backoff_max: Duration,
    /// Retries per request that a client allows itself on average; `None` is without bound.
    pub budget: Option<f64>,
}

impl Retry {
    /// One attempt, no retry.
    pub const NEVER: Retry = Retry {
        attempts_max: 1,
        backoff: Duration::ZERO,
        backoff_max: Duration::ZERO,
        budget: None,
    };
}

/// How a client uses connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 with keep-alive: one request at a time per connection, idle ones are kept.
    Http1 {
        /// An idle connection older than this is closed by the client.
        idle_timeout: Duration,
    },
    /// HTTP/1.1 without keep-alive: a connection per request.
    Http1Close,
    /// HTTP/2: all requests of a client to a target share one connection.
    Http2,
    /// UDP: a datagram asks and a datagram answers, without a connection.
    Udp(Socket),
}

impl Protocol {
    /// What carries it.
    pub fn transport(self) -> Transport {
        match self {
            Protocol::Udp(_) => Transport::Udp,
            Protocol::Http1 { .. } | Protocol::Http1Close | Protocol::Http2 => Transport::Tcp,
        }
    }
}

/// What datagrams are sent from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    /// One for all requests of a client to a target, for as long as the client lives: the source
    /// port stays the same.
    Kept,
    /// A new one for each attempt, with a new source port.
    PerAttempt,
}
