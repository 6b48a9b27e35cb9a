//! The validated description of what to simulate: ids instead of names in every
//! reference, illegal states unrepresentable where Rust's types allow it.
//!
//! Must never know how it was written down: no YAML, no file, no line number.
//! [`Scenario::assert_valid`] states what the types cannot say; whoever builds a
//! scenario (the loader, a test) is responsible for it.

mod dns;
mod indicator;
mod operations;
mod provisioner;
mod scaling;
mod service_rules;
mod spreading;
mod template;
mod valid;

pub use crate::kubernetes::probe::Probes;
pub use dns::*;
pub use indicator::*;
pub use operations::*;
pub use provisioner::*;
pub use scaling::*;
pub use service_rules::*;
pub use spreading::*;
pub use template::*;

use engine::{Distribution, Duration, Time};
use std::collections::BTreeMap;

/// Declares a dense index with its own type, so that a node is never taken for a pod.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);
        impl $name {
            /// The index as a slice position.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
        impl From<usize> for $name {
            fn from(index: usize) -> Self {
                $name(u32::try_from(index).expect("an id fits 32 bits"))
            }
        }
    )*};
}

ids! {
    /// A cluster: index into [`Scenario::clusters`].
    ClusterId;
    /// A user network: index into [`Scenario::user_networks`].
    UserNetworkId;
    /// A name answered by the global DNS: index into [`Scenario::global_names`].
    GlobalNameId;
    /// A traffic source: index into [`Scenario::traffic`].
    TrafficId;
    /// A workload: index into the `workloads` of its [`Cluster`].
    WorkloadId;
    /// A service: index into the `services` of its [`Cluster`].
    ServiceId;
    /// An L7 proxy: index into the `proxies` of its [`Cluster`].
    ProxyId;
    /// A zone: index into the `zones` of its [`Cluster`].
    ZoneId;
}

/// Everything a run depends on, apart from the seed and the replication number.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Short name: letters, digits and dashes.
    pub name: String,
    /// What the scenario asks, in a sentence.
    pub question: Option<String>,
    /// Whether hops cost time.
    pub network: NetworkModel,
    /// The clusters, at least one.
    pub clusters: Vec<Cluster>,
    /// Where users sit.
    pub user_networks: Vec<UserNetwork>,
    /// Names that a global DNS answers with clusters' entries.
    pub global_names: Vec<GlobalName>,
    /// What is known better than the defaults in `facts` about links.
    pub links: Vec<LinkOverride>,
    /// Who sends requests.
    pub traffic: Vec<Traffic>,
    /// Operations and faults, ordered by time.
    pub timeline: Vec<TimelineEntry>,
    /// What is to be told besides what is told of every run.
    pub measures: Vec<Measure>,
    /// What users were promised.
    pub objectives: Vec<Objective>,
    /// What the author of the scenario says will come out.
    pub expectations: Vec<Expectation>,
    /// How long, how often, and how to analyse it.
    pub run: RunPlan,
    /// What was assumed because nothing said otherwise, for the user to read.
    pub assumptions: Vec<String>,
    /// Identifiers of the facts whose defaults went into this description.
    pub facts: Vec<&'static str>,
}

/// Whether hops cost time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkModel {
    /// Links have delay, jitter, bandwidth and loss; connections are set up and pooled.
    Modelled,
    /// Hops are free and there are no connections: each request is balanced on its own by
    /// its service's [`Balance`]. For teaching and for queueing theory. One cluster only.
    Ideal,
}

/// A Kubernetes cluster: its own partition of the simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Unique among clusters.
    pub name: String,
    /// Where it stands, as `provider/region` or a free name; decides link defaults.
    pub region: String,
    /// Kubernetes minor version, 33 for 1.33; decides version-dependent defaults.
    pub kubernetes_minor: u32,
    /// Names of the zones, at least one.
    pub zones: Vec<String>,
    /// The machines, at least one unless the network is ideal.
    pub nodes: Vec<Node>,
    /// Deployments and their kin, bare pods, machines behind selector-less services.
    pub workloads: Vec<Workload>,
    /// Services.
    pub services: Vec<Service>,
    /// L7 proxies: an ingress controller or a gateway, each a workload with routes.
    pub proxies: Vec<Proxy>,
    /// HorizontalPodAutoscalers.
    pub autoscalers: Vec<Autoscaler>,
    /// PodDisruptionBudgets.
    pub budgets: Vec<DisruptionBudget>,
    /// What adds machines and takes them away, if anything does.
    pub provisioner: Option<Provisioner>,
    /// The cluster's DNS.
    pub dns: ClusterDns,
    /// What its kube-proxies write.
    pub service_rules: ServiceRules,
}

impl Cluster {
    /// One of a single zone that holds nothing yet.
    pub fn empty(name: &str, region: &str, kubernetes_minor: u32) -> Cluster {
        Cluster {
            name: name.to_owned(),
            region: region.to_owned(),
            kubernetes_minor,
            zones: vec!["a".to_owned()],
            nodes: Vec::new(),
            workloads: Vec::new(),
            services: Vec::new(),
            proxies: Vec::new(),
            autoscalers: Vec::new(),
            budgets: Vec::new(),
            provisioner: None,
            dns: ClusterDns::default(),
            service_rules: ServiceRules::default(),
        }
    }

    /// Whether a machine exists at the start: others may be ordered by the provisioner.
    pub fn has_at_start(&self, node: u32) -> bool {
        let mut pools = self.provisioner.iter().flat_map(|all| &all.pools);
        let pool = pools.find(|pool| pool.nodes.contains(&node));
        pool.is_none_or(|pool| node - pool.nodes.start < pool.count)
    }
}

/// A machine of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Unique in its cluster.
    pub name: String,
    /// Its zone.
    pub zone: ZoneId,
    /// What pods may request from it (allocatable).
    pub allocatable: Resources,
    /// Most pods it may hold.
    pub pods_max: u32,
    /// Labels, for selectors and spreading.
    pub labels: BTreeMap<String, String>,
    /// Taints, for tolerations.
    pub taints: Vec<Taint>,
    /// Cordoned: takes no new pods.
    pub unschedulable: bool,
}

/// CPU and memory, as requested or as available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU in thousandths of a core.
    pub cpu_milli: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
}

/// A taint of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value, empty if none.
    pub value: String,
    /// What it does to pods that do not tolerate it.
    pub effect: TaintEffect,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaintEffect {
    /// New pods stay away.
    NoSchedule,
    /// New pods stay away if they can.
    PreferNoSchedule,
    /// New pods stay away and running ones leave.
    NoExecute,
}

/// A toleration of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toleration {
    /// Key; `None` tolerates every taint.
    pub key: Option<String>,
    /// Value to equal; `None` means that the key's existence is enough.
    pub value: Option<String>,
    /// Effect; `None` means every effect.
    pub effect: Option<TaintEffect>,
    /// `tolerationSeconds`: how long a taint that evicts is borne; `None` is for ever.
    pub lasts: Option<Duration>,
}

impl Toleration {
    /// Whether it is about a taint.
    pub fn covers(&self, taint: &Taint) -> bool {
        let key = self.key.as_ref().is_none_or(|key| *key == taint.key);
        let value = self
            .value
            .as_ref()
            .is_none_or(|value| *value == taint.value);
        let effect = self.effect.is_none_or(|effect| effect == taint.effect);
        key && value && effect
    }
}

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
        }
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
    /// Which port of it (position in [`Service::ports`]).
    pub port: u32,
    /// Probability that the call is made at all.
    pub probability: f64,
    /// How many times in a row, at least 1.
    pub repeat: u32,
    /// Size of the request.
    pub request_bytes: u64,
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
}

/// A Service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Namespace; with `name` unique in its cluster.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Type.
    pub kind: ServiceKind,
    /// Ports; empty only for headless services.
    pub ports: Vec<ServicePort>,
    /// Workloads whose pods are its endpoints, ascending.
    pub backends: Vec<WorkloadId>,
    /// `sessionAffinity: ClientIP` with its timeout.
    pub session_affinity: Option<Duration>,
    /// `internalTrafficPolicy`.
    pub internal_policy: TrafficPolicy,
    /// `externalTrafficPolicy`.
    pub external_policy: TrafficPolicy,
    /// `trafficDistribution`.
    pub distribution: Option<TrafficDistribution>,
    /// `publishNotReadyAddresses`.
    pub publish_not_ready: bool,
    /// How requests are spread over endpoints when there are no connections
    /// ([`NetworkModel::Ideal`]); kube-proxy otherwise picks at random per connection.
    pub balance: Balance,
}

/// Type of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// A virtual address that kube-proxy translates.
    ClusterIp,
    /// `clusterIP: None`: the name answers with the pods' addresses and the client picks.
    Headless,
    /// ClusterIp, and a port on every node.
    NodePort,
    /// NodePort, and a load balancer in front of the nodes.
    LoadBalancer,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name, if any.
    pub name: Option<String>,
    /// Port of the service.
    pub port: u16,
    /// Port of the pods.
    pub target_port: u16,
    /// Port on the nodes.
    pub node_port: Option<u16>,
}

/// Whether traffic may leave the node it arrived at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficPolicy {
    /// Every ready endpoint of the cluster.
    Cluster,
    /// Only endpoints of the node itself; none there means the packet is dropped.
    Local,
}

/// How one endpoint is chosen among several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Uniformly at random.
    Random,
    /// In turn.
    RoundRobin,
    /// The least loaded of this many drawn at random with replacement (at least 2).
    LeastRequest {
        /// How many are drawn.
        choices: u32,
    },
    /// The least loaded of all, ties at random.
    ShortestQueue,
}

/// An L7 proxy (ingress controller or gateway): the workload that does the work, the
/// service users reach it by, and its routes.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    /// Namespace and name as the user knows it: of the Gateway, or of the IngressClass.
    pub name: String,
    /// The pods that proxy.
    pub workload: WorkloadId,
    /// The LoadBalancer service in front of them.
    pub service: ServiceId,
    /// Routes in order of precedence: the first whose match holds is taken.
    pub routes: Vec<Route>,
    /// How it spreads requests over a backend's endpoints.
    pub balance: Balance,
}

/// A route of a proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Which requests it takes.
    pub matches: RouteMatch,
    /// Where they go, by weight. Empty, or all weights zero: answered with 500.
    pub backends: Vec<RouteBackend>,
    /// Time for the whole request including retries.
    pub timeout: Option<Duration>,
}

/// Which requests a route takes: all of what is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteMatch {
    /// Host names; `*.example.com` takes every host below; empty takes all.
    pub hosts: Vec<String>,
    /// Path.
    pub path: PathMatch,
    /// Headers that must be equal; names in lower case.
    pub headers: Vec<(String, String)>,
    /// Method, in capitals.
    pub method: Option<String>,
}

/// How a path is matched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PathMatch {
    /// Every path.
    #[default]
    Any,
    /// Exactly this one.
    Exact(String),
    /// This one and all below it, by path element.
    Prefix(String),
}

/// A backend of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteBackend {
    /// The service; `None` stands for a reference that does not resolve (answered with 500).
    pub service: Option<ServiceId>,
    /// Position of its port.
    pub port: u32,
    /// Weight.
    pub weight: u32,
}

/// A place where users sit: its own partition of the simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserNetwork {
    /// Unique among user networks.
    pub name: String,
    /// Region, as of a cluster.
    pub region: String,
    /// Caching resolvers its users are spread over, at least 1; each keeps its own answers.
    pub resolvers: u32,
}

/// A name that the global DNS answers with the entry of a healthy cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalName {
    /// Host name.
    pub host: String,
    /// The candidates, at least one.
    pub answers: Vec<GlobalAnswer>,
    /// How the DNS picks among healthy candidates.
    pub policy: DnsPolicy,
    /// How long resolvers keep an answer.
    pub ttl: Duration,
    /// How candidates are checked.
    pub health_check: HealthCheck,
}

/// A candidate answer of a global name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalAnswer {
    /// The cluster.
    pub cluster: ClusterId,
    /// The entry: a LoadBalancer or NodePort service of it.
    pub service: ServiceId,
    /// Weight, for [`DnsPolicy::Weighted`].
    pub weight: u32,
}

/// How a global DNS picks among healthy candidates. With none healthy it answers as if all were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsPolicy {
    /// The first healthy one in the given order.
    Failover,
    /// The healthy one with the smallest round trip from the asking user network.
    Latency,
    /// At random by weight, drawn at each answer.
    Weighted,
}

/// Health checking of a global name's candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Time between two checks of one candidate.
    pub interval: Duration,
    /// A check without an answer for this long has failed.
    pub timeout: Duration,
    /// Failures in a row that make a candidate unhealthy.
    pub failures: u32,
    /// Successes in a row that make it healthy again.
    pub successes: u32,
}

/// What is known better than the defaults about the link between two places.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkOverride {
    /// One end.
    pub from: Place,
    /// The other end; the override holds in both directions.
    pub to: Place,
    /// Round trip.
    pub rtt: Option<Duration>,
    /// Mean of the exponential jitter added to each one-way trip.
    pub jitter: Option<Duration>,
    /// Bits per second.
    pub bandwidth_bits: Option<u64>,
    /// Probability that a packet is lost, per direction.
    pub loss: Option<f64>,
}

/// One end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A region by name: every cluster and user network in it.
    Region(String),
    /// A cluster.
    Cluster(ClusterId),
    /// A user network.
    Users(UserNetworkId),
}

/// A source of requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// Unique among traffic sources.
    pub name: String,
    /// Where it sits.
    pub source: TrafficSource,
    /// Whom it asks.
    pub target: TrafficTarget,
    /// When requests start.
    pub arrivals: Arrivals,
    /// How long a user waits for an answer to one attempt; `None` waits for ever.
    pub timeout: Option<Duration>,
    /// What a user does about failures.
    pub retry: Retry,
    /// How connections are used.
    pub protocol: Protocol,
    /// Size of a request.
    pub request_bytes: u64,
    /// What routes match on.
    pub attributes: RequestAttributes,
    /// Distinct client addresses behind the source, at least 1; each connection belongs to one.
    pub clients: u32,
}

/// Where a traffic source sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficSource {
    /// In a user network.
    Users(UserNetworkId),
    /// In a pod of a workload: each request starts at one of its ready pods, in turn.
    Workload(ClusterId, WorkloadId),
    /// In the partition of the cluster itself, at no distance ([`NetworkModel::Ideal`]).
    Inside(ClusterId),
}

/// Whom a traffic source asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficTarget {
    /// A global name, resolved through the resolver of the user network.
    Global(GlobalNameId),
    /// One service of one cluster.
    Service {
        /// The cluster.
        cluster: ClusterId,
        /// The service: LoadBalancer or NodePort when asked from outside.
        service: ServiceId,
        /// Position of its port.
        port: u32,
    },
}

/// What routes match on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestAttributes {
    /// Host name.
    pub host: String,
    /// Path, with its leading slash.
    pub path: String,
    /// Method, in capitals.
    pub method: String,
    /// Headers; names in lower case.
    pub headers: Vec<(String, String)>,
}

/// When requests start.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// A Poisson process with a rate that may change.
    Poisson(RateProfile),
    /// Evenly spaced requests at a rate that may change; the phase is drawn.
    Constant(RateProfile),
    /// Independent gaps from one distribution.
    Renewal(Distribution),
    /// A Poisson process whose rate switches between two values at random.
    Modulated {
        /// Requests per second in each state.
        rates: [f64; 2],
        /// Mean time in each state.
        sojourns: [Duration; 2],
    },
    /// A fixed number of users; each waits for its answer, thinks, and asks again.
    Closed {
        /// How many users.
        users: u32,
        /// Time between an answer and the next request.
        think: Distribution,
    },
    /// Requests at given instants after the start, ascending.
    Trace(Vec<Time>),
}

/// A rate over time, in requests per second.
#[derive(Clone, Debug, PartialEq)]
pub enum RateProfile {
    /// The same at all times.
    Constant(f64),
    /// Straight lines between points (time, rate), ascending in time; constant outside.
    /// Two points at one time are a step.
    Piecewise(Vec<(Time, f64)>),
    /// `mean + amplitude * sin(2 pi (t / period))`, never below zero.
    Sinusoid {
        /// Mean rate.
        mean: f64,
        /// Amplitude, at most the mean.
        amplitude: f64,
        /// Period.
        period: Duration,
    },
}

/// Something that happens at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelineEntry {
    /// When.
    pub at: Time,
    /// What, as the user wrote it, for reports.
    pub label: String,
    /// What.
    pub action: Action,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The API server of a cluster accepts a changed object.
    Apply {
        /// The cluster.
        cluster: ClusterId,
        /// The changes, in the order of their documents.
        changes: Vec<Change>,
    },
    /// A lever moves and comes back.
    Fault {
        /// Which.
        fault: Fault,
        /// How long it lasts; `None` lasts to the end.
        lasts: Option<Duration>,
    },
}

/// A change of desired state.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A workload's replica count.
    Replicas(WorkloadId, u32),
    /// What a workload's pods look like: those of a controller are replaced by new ones.
    Template(WorkloadId, Box<Template>),
    /// How changed pods of a workload take the place of the others.
    Rollout(WorkloadId, Rollout),
    /// A workload's pods shall be again as they were before the last change of them.
    Rollback(WorkloadId),
    /// A node, by its position in the cluster, takes no new pods.
    Cordon(u32),
    /// It takes new pods again.
    Uncordon(u32),
    /// A node is emptied.
    Drain(Drain),
    /// Pods of a workload are deleted, whatever budgets say.
    DeletePods(WorkloadId, PodChoice),
    /// Which workloads back a service.
    Backends(ServiceId, Vec<WorkloadId>),
    /// A proxy's routes.
    Routes(ProxyId, Vec<Route>),
}

/// A fault: it only moves levers.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// This many pods of a workload die at once; nothing restores the same pods, their
    /// controller replaces them.
    PodKill {
        /// The cluster.
        cluster: ClusterId,
        /// The workload.
        workload: WorkloadId,
        /// How many, drawn at random.
        count: u32,
    },
    /// The containers of this many pods of a workload end at once; their kubelets start them
    /// again.
    ContainerCrash {
        /// The cluster.
        cluster: ClusterId,
        /// The workload.
        workload: WorkloadId,
        /// How many, drawn at random.
        count: u32,
    },
    /// Containers of a workload run out of memory again and again: the kernel kills each so long
    /// after the fault began or the container started.
    OutOfMemory {
        /// The cluster.
        cluster: ClusterId,
        /// The workload.
        workload: WorkloadId,
        /// How long its memory lasts.
        after: Duration,
    },
    /// The applications of this many pods of a workload stop to answer, each until its container
    /// is started again or the fault ends.
    Hang {
        /// The cluster.
        cluster: ClusterId,
        /// The workload.
        workload: WorkloadId,
        /// How many, drawn at random.
        count: u32,
    },
    /// The image registry of a cluster does not answer.
    RegistryDown {
        /// The cluster.
        cluster: ClusterId,
    },
    /// A machine stops; its pods come back with it unless they were replaced.
    NodeDown {
        /// The cluster.
        cluster: ClusterId,
        /// Position of the node in the cluster.
        node: u32,
        /// What happens to packets sent to it.
        packets: Packets,
    },
    /// Everything in a region is out of reach.
    RegionDown {
        /// Name of the region.
        region: String,
        /// What happens to packets sent to it.
        packets: Packets,
    },
    /// A link changes, in both directions.
    Link {
        /// One end.
        from: Place,
        /// The other end.
        to: Place,
        /// How.
        change: LinkChange,
    },
    /// A workload's own work takes longer.
    Slow {
        /// The cluster.
        cluster: ClusterId,
        /// The workload.
        workload: WorkloadId,
        /// Factor on the service time, positive.
        factor: f64,
    },
    /// A workload answers with errors.
    Failing {
        /// The cluster.
        cluster: ClusterId,
        /// The workload.
        workload: WorkloadId,
        /// Probability of an error, replacing its own where greater.
        error_rate: f64,
    },
    /// A node's kubelet stands still; its containers run on.
    KubeletDown {
        /// The cluster.
        cluster: ClusterId,
        /// Position of the node in the cluster.
        node: u32,
    },
    /// A node reaches nothing and nothing reaches it; its containers run on.
    NodePartition {
        /// The cluster.
        cluster: ClusterId,
        /// Position of the node in the cluster.
        node: u32,
    },
    /// A node's CPU or disk is slow.
    NodeSlow {
        /// The cluster.
        cluster: ClusterId,
        /// Position of the node in the cluster.
        node: u32,
        /// Factor on the work of its pods, at least 1.
        cpu_factor: f64,
        /// Factor on image pulls and container starts, at least 1.
        disk_factor: f64,
    },
    /// All machines of a zone stop.
    ZoneDown {
        /// The cluster.
        cluster: ClusterId,
        /// The zone.
        zone: ZoneId,
        /// What happens to packets sent to them.
        packets: Packets,
    },
    /// So many of a cluster's API servers are down.
    ApiServerDown {
        /// The cluster.
        cluster: ClusterId,
        /// How many; at least as many as there are stands for all.
        count: u32,
    },
    /// A cluster's API server answers slowly.
    ApiServerSlow {
        /// The cluster.
        cluster: ClusterId,
        /// Factor on its latencies, at least 1.
        factor: f64,
    },
    /// So many members of a cluster's etcd are down.
    EtcdDown {
        /// The cluster.
        cluster: ClusterId,
        /// How many; without a majority left nothing is written.
        count: u32,
    },
    /// A part of the control plane is down.
    ComponentDown {
        /// The cluster.
        cluster: ClusterId,
        /// Which.
        component: Component,
    },
    /// The clock of a part stands still: it does nothing until the fault ends.
    Frozen {
        /// The cluster.
        cluster: ClusterId,
        /// Which.
        component: Component,
    },
    /// The cluster's DNS does its work slower, or not at all.
    DnsThrottled {
        /// The cluster.
        cluster: ClusterId,
        /// Share of its capacity that is left; zero is down.
        capacity: f64,
    },
}

/// A part of Kubernetes that runs by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// The cluster autoscaler or Karpenter.
    Provisioner,
    /// The kubelet of a node, by its position in the cluster.
    Kubelet(u32),
    /// The kube-proxy of a node, by its position in the cluster.
    KubeProxy(u32),
}

/// What happens to packets sent to something that is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packets {
    /// Nothing comes back: the sender waits for its timeouts.
    Dropped,
    /// A reset comes back after one round trip.
    Refused,
}

/// How a link changes under a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LinkChange {
    /// Nothing passes.
    Cut,
    /// Each one-way trip takes longer by this much.
    Delay(Duration),
    /// Packets are lost with this probability on top of the link's own.
    Loss(f64),
}

/// What users were promised.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// What is measured.
    pub measure: Measure,
    /// How it must compare.
    pub comparison: Comparison,
}

/// What the author of the scenario says will come out.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// Why, in the author's words.
    pub because: Option<String>,
    /// What is measured.
    pub measure: Measure,
    /// How it must compare.
    pub comparison: Comparison,
}

/// A measure that can be judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// Which quantity.
    pub quantity: Quantity,
    /// Only requests whose intended start lies in this window (start, end); whole run else.
    pub window: Option<(Time, Time)>,
}

/// A quantity. Traffic `None` stands for all traffic together. Durations are compared in seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum Quantity {
    /// Share of requests answered without error, 0 to 1.
    Availability(Option<TrafficId>),
    /// Mean latency of answered requests.
    LatencyMean(Option<TrafficId>),
    /// Latency quantile of answered requests, 0 < p < 1.
    LatencyQuantile(Option<TrafficId>, f64),
    /// Answered requests per second.
    Throughput(Option<TrafficId>),
    /// Busy share of a workload's workers, 0 to 1.
    Utilization(ClusterId, WorkloadId),
    /// Mean wait in a workload's queue.
    WaitMean(ClusterId, WorkloadId),
    /// Time from the start of a timeline entry's fault (position in the timeline) to the
    /// intended start of the last request that failed before its users were served again.
    Recovery(TrafficId, u32),
    /// Attempts per request.
    Attempts(Option<TrafficId>),
    /// A service-level indicator of Kubernetes, of one cluster or of all.
    Indicator(Option<ClusterId>, Indicator, Statistic),
}

/// How a measure must compare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Comparison {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
    /// Between the two, both included.
    Between(f64, f64),
}

/// How long, how often, and how to analyse it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunPlan {
    /// Simulated time of one replication, warm-up included.
    pub duration: Duration,
    /// What part of it counts.
    pub analysis: Analysis,
    /// Master seed.
    pub seed: u64,
    /// How many replications.
    pub replications: Replications,
    /// Width of a step of every time series.
    pub series_step: Duration,
    /// Confidence of all intervals, between 0 and 1.
    pub confidence: f64,
}

/// Whether the start counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Analysis {
    /// From the start to the end: a failover, a release, an outage.
    Terminating,
    /// The long run: what comes before `warm_up` is discarded.
    SteadyState {
        /// How much to discard; `None` lets MSER-5 decide on pilot replications.
        warm_up: Option<Duration>,
    },
}

/// How many replications.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replications {
    /// At least this many, 2 or more for an interval.
    pub min: u32,
    /// At most this many.
    pub max: u32,
    /// Stop between the two when each traffic source's mean latency is known to this
    /// relative half-width.
    pub precision: Option<f64>,
}
