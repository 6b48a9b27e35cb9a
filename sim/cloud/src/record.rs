//! What one replication left behind: integer counts and histograms, so that adding them up
//! in any grouping gives the same numbers. Times are nanoseconds.

mod canary;
mod flags;
mod indicators;
mod proxies;

pub use canary::*;
pub use flags::*;
pub use indicators::*;
pub use proxies::*;

use crate::scenario::{ClusterId, TrafficId, WorkloadId};
use engine::{Duration, Time};
use hdrhistogram::Histogram;

/// Why a request or an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The caller gave up waiting.
    Timeout,
    /// The connection was refused, or reset while being set up.
    Refused,
    /// No answer to any SYN until the kernel gave up.
    ConnectTimeout,
    /// The service had no endpoint in the caller's view.
    NoEndpoints,
    /// The connection broke while the answer was awaited.
    Reset,
    /// A full queue turned the request away (HTTP 503).
    Overflow,
    /// The server answered with an error of its own (HTTP 500).
    ServerError,
    /// A call that the server depends on failed (HTTP 500).
    DependencyFailed,
    /// No route of the proxy took the request (HTTP 404).
    NoRoute,
    /// The proxy could not get an answer in time (HTTP 504).
    GatewayTimeout,
    /// The proxy could not reach its backend (HTTP 503).
    Unavailable,
    /// The cluster's DNS did not answer.
    NameUnresolved,
    /// The proxy was not told of the cluster that a route leads to (HTTP 503).
    NoCluster,
    /// A rule told the proxy to fail the request.
    Injected,
    /// A policy refused the request (HTTP 403).
    Forbidden,
    /// A limit of rates refused the request (HTTP 429).
    RateLimited,
    /// The request's token did not count (HTTP 401).
    Unauthenticated,
    /// The mesh lets nobody ask for hosts that it does not know (HTTP 502).
    Blocked,
}

impl Reason {
    /// Every reason, in the order of their discriminants.
    pub const ALL: [Reason; 18] = [
        Reason::Timeout,
        Reason::Refused,
        Reason::ConnectTimeout,
        Reason::NoEndpoints,
        Reason::Reset,
        Reason::Overflow,
        Reason::ServerError,
        Reason::DependencyFailed,
        Reason::NoRoute,
        Reason::GatewayTimeout,
        Reason::Unavailable,
        Reason::NameUnresolved,
        Reason::NoCluster,
        Reason::Injected,
        Reason::Forbidden,
        Reason::RateLimited,
        Reason::Unauthenticated,
        Reason::Blocked,
    ];

    /// The status that a proxy answers with for it, or passes on.
    pub fn status(self) -> u16 {
        match self {
            Reason::NoRoute => 404,
            Reason::Forbidden => 403,
            Reason::RateLimited => 429,
            Reason::Unauthenticated => 401,
            Reason::Blocked => 502,
            Reason::ServerError | Reason::DependencyFailed => 500,
            Reason::Timeout | Reason::GatewayTimeout => 504,
            Reason::Refused
            | Reason::ConnectTimeout
            | Reason::NoEndpoints
            | Reason::Reset
            | Reason::Overflow
            | Reason::Unavailable
            | Reason::NameUnresolved
            | Reason::NoCluster
            | Reason::Injected => 503,
        }
    }

    /// Short code; Envoy's response flag where one has the same meaning.
    pub fn code(self) -> &'static str {
        match self {
            Reason::Timeout => "UT",
            Reason::Refused => "UF",
            Reason::ConnectTimeout => "UF-timeout",
            Reason::NoEndpoints => "UH",
            Reason::Reset => "UC",
            Reason::Overflow => "UO",
            Reason::ServerError => "500",
            Reason::DependencyFailed => "500-dependency",
            Reason::NoRoute => "NR",
            Reason::GatewayTimeout => "504",
            Reason::Unavailable => "503",
            Reason::NameUnresolved => "DF",
            Reason::NoCluster => "NC",
            Reason::Injected => "FI",
            Reason::Forbidden => "403",
            Reason::RateLimited => "RL",
            Reason::Unauthenticated => "401",
            Reason::Blocked => "502",
        }
    }

    /// The reason in words.
    pub fn meaning(self) -> &'static str {
        match self {
            Reason::Timeout => "no answer within the caller's timeout",
            Reason::Refused => "connection refused",
            Reason::ConnectTimeout => "no answer to connection attempts",
            Reason::NoEndpoints => "service without endpoints",
            Reason::Reset => "connection broke before the answer",
            Reason::Overflow => "turned away by a full queue",
            Reason::ServerError => "server error",
            Reason::DependencyFailed => "server error because a call it depends on failed",
            Reason::NoRoute => "no route takes the request",
            Reason::GatewayTimeout => "gateway got no answer in time",
            Reason::Unavailable => "gateway could not reach its backend",
            Reason::NameUnresolved => "name not resolved by the cluster's DNS",
            Reason::NoCluster => "proxy does not know the cluster of its route",
            Reason::Injected => "failed on purpose by a rule",
            Reason::Forbidden => "refused by a policy",
            Reason::RateLimited => "refused by a rate limit",
            Reason::Unauthenticated => "token not accepted",
            Reason::Blocked => "host unknown to a mesh that lets nobody out",
        }
    }
}

/// Counts per [`Reason`].
pub type FailureCounts = [u64; Reason::ALL.len()];

/// What one replication left behind.
#[derive(Clone, Debug)]
pub struct Record {
    /// Number of the replication.
    pub replication: u32,
    /// Digest of everything that happened: order of events and results.
    pub digest: u64,
    /// Events executed.
    pub events: u64,
    /// Start of what counts (the warm-up's end).
    pub from: Time,
    /// End of the run.
    pub until: Time,
    /// Per traffic source.
    pub traffic: Vec<TrafficRecord>,
    /// Per workload, by cluster and then by id.
    pub workloads: Vec<WorkloadRecord>,
    /// The same of their sidecars, where they have any.
    pub sidecars: Vec<WorkloadRecord>,
    /// Per kind of hop, in ascending order of keys.
    pub calls: Vec<CallRecord>,
    /// What sidecars logged, per source, service and version.
    pub flags: Vec<FlagRecord>,
    /// Per kind of view and place.
    pub views: Vec<ViewRecord>,
    /// Per proxy of Istio, by cluster.
    pub proxies: Vec<ProxyRecord>,
    /// Per cluster and service-level indicator of Kubernetes.
    pub indicators: Vec<IndicatorRecord>,
    /// Per canary release, in the order of the timeline.
    pub canaries: Vec<CanaryRecord>,
    /// Per ztunnel, by cluster and then by node.
    pub ztunnels: Vec<ZtunnelRecord>,
}

/// What one traffic source saw. Only requests whose intended start lies in the measured
/// time count.
#[derive(Clone, Debug)]
pub struct TrafficRecord {
    /// Requests started.
    pub sent: u64,
    /// Answered without error.
    pub succeeded: u64,
    /// Failed, by the reason of the last attempt.
    pub failures: FailureCounts,
    /// Without an answer at the end of the run.
    pub in_flight: u64,
    /// Attempts made for them.
    pub attempts: u64,
    /// Latency of those answered without error, from the intended start.
    pub latency: Histogram<u64>,
    /// Sum of the same, exact.
    pub latency_sum_ns: u128,
    /// Over time by intended start, one per series step.
    pub steps: Vec<StepRecord>,
    /// Intended starts of failed requests, merged into stretches: (first, last) with no two
    /// stretches closer than the quiet time of `facts`.
    pub failing: Vec<(Time, Time)>,
}

/// One step of a traffic source's time series.
#[derive(Clone, Debug, Default)]
pub struct StepRecord {
    /// Requests started.
    pub sent: u64,
    /// Of these, answered without error.
    pub succeeded: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Attempts made for those that ended.
    pub attempts: u64,
    /// Sum of the latencies of those answered, exact.
    pub latency_sum_ns: u128,
    /// Latencies of those answered.
    pub latency: Sketch,
}

/// What one workload's pods did in the measured time.
#[derive(Clone, Debug)]
pub struct WorkloadRecord {
    /// Cluster.
    pub cluster: ClusterId,
    /// Workload.
    pub workload: WorkloadId,
    /// Requests that arrived at its pods.
    pub arrived: u64,
    /// Requests that left its pods, answered in any way.
    pub finished: u64,
    /// Requests turned away by a full queue.
    pub rejected: u64,
    /// Requests lost because their pod died.
    pub lost: u64,
    /// Requests that began service (for means over waits).
    pub started: u64,
    /// Of these, how many had to wait.
    pub waited: u64,
    /// Waits before service of those that began service; nothing if none did.
    pub wait: Option<Histogram<u64>>,
    /// Sum of the same, exact.
    pub wait_sum_ns: u128,
    /// Time from arrival until the pod was done with the request; nothing if it never was.
    pub sojourn: Option<Histogram<u64>>,
    /// Sum of the same, exact.
    pub sojourn_sum_ns: u128,
    /// Sum of the squares in square nanoseconds, exact, for the variance.
    pub sojourn_square_sum_ns2: u128,
    /// Integral over time of the number of requests in its pods.
    pub in_system_ns: u128,
    /// Integral over time of busy workers (of used CPU, in cores, under processor sharing).
    pub busy_ns: u128,
    /// Integral over time of workers there were (of CPU, in cores). Zero if unlimited.
    pub capacity_ns: u128,
    /// Busy integral per series step, from the start of the run.
    pub busy_steps_ns: Vec<u128>,
    /// Capacity integral per series step.
    pub capacity_steps_ns: Vec<u128>,
    /// Waits of requests that began service, per series step of their arrival.
    pub wait_steps: Vec<WaitStep>,
}

/// What a node's ztunnel did in the measured time.
#[derive(Clone, Debug)]
pub struct ZtunnelRecord {
    /// Cluster.
    pub cluster: ClusterId,
    /// Position of its node in the cluster.
    pub node: u32,
    /// Integral over time of busy threads.
    pub busy_ns: u128,
    /// Integral over time of threads there were.
    pub capacity_ns: u128,
    /// Pieces of work that a thread turned to: connections, requests, answers, handshakes.
    pub begun: u64,
    /// Waits of those for a thread; nothing if there were none.
    pub wait: Option<Histogram<u64>>,
    /// Sum of the same, exact.
    pub wait_sum_ns: u128,
    /// Connections that pods of its node opened.
    pub opened: u64,
    /// Connections to pods of its node, in tunnels or not.
    pub taken: u64,
    /// Tunnels that it opened.
    pub tunnels: u64,
}

/// Waits of the requests that arrived in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitStep {
    /// Requests that began service.
    pub started: u64,
    /// Sum of their waits.
    pub wait_sum_ns: u128,
}

/// Who called, in a [`CallRecord`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// A traffic source.
    Traffic(TrafficId),
    /// A pod of a workload (also of a proxy).
    Workload(ClusterId, WorkloadId),
}

/// Which hop a [`CallRecord`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallKey {
    /// Who called.
    pub caller: Caller,
    /// Zone of the caller's pod (position in its cluster); `None` for users.
    pub caller_zone: Option<u32>,
    /// Cluster and service that were called; `None` if the name was not resolved in time.
    pub service: Option<(ClusterId, u32)>,
    /// Workload and zone of the pod that the attempt was sent to, if one was chosen.
    pub answered: Option<(WorkloadId, u32)>,
}

/// What one kind of hop did in the measured time.
#[derive(Clone, Debug)]
pub struct CallRecord {
    /// Which hop.
    pub key: CallKey,
    /// Attempts that ended.
    pub attempts: u64,
    /// Answered without error.
    pub succeeded: u64,
    /// Failed, by reason.
    pub failures: FailureCounts,
    /// Sum of the latencies of those answered.
    pub latency_sum_ns: u128,
    /// Latencies of those answered.
    pub latency: Sketch,
}

/// Kinds of views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ViewKind {
    /// A node's service rules.
    KubeProxy,
    /// An L7 proxy's endpoints.
    L7Proxy,
    /// A load balancer's healthy nodes.
    LoadBalancer,
    /// The global DNS's healthy clusters.
    GlobalDns,
    /// A resolver's cached answers.
    Resolver,
    /// A sidecar's endpoints.
    Sidecar,
    /// A ztunnel's endpoints.
    Ztunnel,
}

impl ViewKind {
    /// Name for reports.
    pub fn name(self) -> &'static str {
        match self {
            ViewKind::KubeProxy => "kube-proxy",
            ViewKind::L7Proxy => "l7 proxy",
            ViewKind::LoadBalancer => "load balancer",
            ViewKind::GlobalDns => "global dns",
            ViewKind::Resolver => "resolver",
            ViewKind::Sidecar => "sidecar",
            ViewKind::Ztunnel => "ztunnel",
        }
    }
}

/// How stale one kind of view was when it was brought up to date.
#[derive(Clone, Debug)]
pub struct ViewRecord {
    /// Kind.
    pub kind: ViewKind,
    /// Partition that holds it, as an index into the topology's partitions.
    pub partition: u32,
    /// Updates applied.
    pub updates: u64,
    /// Sum over updates of the time since the change.
    pub staleness_sum_ns: u128,
    /// Greatest.
    pub staleness_max: Duration,
}

/// A small histogram of durations: 32 buckets per power of two, so a value read back is at
/// most 1.6 % off; memory follows the range of what was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    first: u32,
    counts: Vec<u32>,
}

const SUB_BUCKET_BITS: u32 = 5;

impl Sketch {
    fn bucket(value: u64) -> u32 {
        let magnitude = 63 - (value | 1).leading_zeros();
        if magnitude < SUB_BUCKET_BITS {
            return value as u32;
        }
        let shift = magnitude - SUB_BUCKET_BITS;
        ((shift + 1) << SUB_BUCKET_BITS) + ((value >> shift) as u32 - (1 << SUB_BUCKET_BITS))
    }

    fn middle(bucket: u32) -> u64 {
        let octave = bucket >> SUB_BUCKET_BITS;
        if octave == 0 {
            return u64::from(bucket);
        }
        let shift = octave - 1;
        let low =
            u64::from((bucket & ((1 << SUB_BUCKET_BITS) - 1)) + (1 << SUB_BUCKET_BITS)) << shift;
        low + ((1u64 << shift) >> 1)
    }

    /// Adds one duration.
    pub fn record(&mut self, value: Duration) {
        self.add(Self::bucket(value.as_nanos()), 1);
    }

    fn add(&mut self, bucket: u32, count: u32) {
        if self.counts.is_empty() {
            self.first = bucket;
        }
        if bucket < self.first {
            let missing = (self.first - bucket) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = bucket;
        }
        let position = (bucket - self.first) as usize;
        if position >= self.counts.len() {
            self.counts.resize(position + 1, 0);
        }
        self.counts[position] += count;
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Sketch) {
        for (position, &count) in other.counts.iter().enumerate() {
            if count > 0 {
                self.add(other.first + position as u32, count);
            }
        }
    }

    /// How many durations were recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// The smallest recorded duration at or below which a share `p` lies, in nanoseconds;
    /// `None` if nothing was recorded.
    pub fn quantile_ns(&self, p: f64) -> Option<u64> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let rank = ((p * total as f64).ceil() as u64).clamp(1, total);
        let mut seen = 0;
        for (position, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= rank {
                return Some(Self::middle(self.first + position as u32));
            }
        }
        None
    }

    /// Durations as they are read back, in nanoseconds, each with how often it was recorded,
    /// ascending.
    pub fn values(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let counts = (self.first..).zip(&self.counts);
        counts
            .filter(|(_, count)| **count > 0)
            .map(|(bucket, count)| (Self::middle(bucket), u64::from(*count)))
    }

    /// How many of the recorded durations are read back as more than this.
    pub fn count_above(&self, limit: Duration) -> u64 {
        let values = self.values();
        let above = values.filter(|(value, _)| *value > limit.as_nanos());
        above.map(|(_, count)| count).sum()
    }

    /// Feeds the content to `digest`, bucket by bucket.
    pub(crate) fn digest(&self, mut digest: impl FnMut(u64)) {
        for (position, &count) in self.counts.iter().enumerate() {
            if count > 0 {
                digest(u64::from(self.first) + position as u64);
                digest(u64::from(count));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_sketch_keeps_every_value_within_two_percent(value in 0u64..1 << 50) {
            let mut sketch = Sketch::default();
            sketch.record(Duration::from_nanos(value));
            let read = sketch.quantile_ns(0.5).unwrap();
            prop_assert!(read.abs_diff(value) as f64 <= 0.016 * value as f64 + 0.5);
        }

        #[test]
        fn merging_sketches_is_recording_all(values in prop::collection::vec(0u64..1 << 40, 1..50), split in 0usize..50) {
            let split = split.min(values.len());
            let record = |values: &[u64]| {
                let mut sketch = Sketch::default();
                values.iter().for_each(|&value| sketch.record(Duration::from_nanos(value)));
                sketch
            };
            let mut left = record(&values[..split]);
            left.merge(&record(&values[split..]));
            let whole = record(&values);
            for p in [0.0, 0.1, 0.5, 0.9, 1.0] {
                prop_assert_eq!(left.quantile_ns(p), whole.quantile_ns(p));
            }
        }
    }
}
