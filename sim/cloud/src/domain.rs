//! One partition of the simulation: a cluster, a user network, or the global DNS.
//!
//! Its parts are spread over the rooms `path`, `control` and `fault`, each of which adds
//! methods; here is what they share: the closed set of events, and the state.

mod build;
mod pod;

pub(crate) use pod::{Phase, Pod};

use crate::balance;
use crate::control::api::{Api, Client};
use crate::control::autoscaler::AutoscalerState;
use crate::control::balancer::Balancer;
use crate::control::budgets::BudgetState;
use crate::control::canaries::CanaryState;
use crate::control::controllers::ControllerState;
use crate::control::dns::NameState;
use crate::control::enrolment::{Enrolments, Step};
use crate::control::istiod::{Istiod, Told};
use crate::control::keys;
use crate::control::kube_proxy::KubeProxy;
use crate::control::leader::Leader;
use crate::control::machines::Machine;
use crate::control::nodes::{Heartbeat, NodeLifecycle};
use crate::control::provisioner::ProvisionerState;
use crate::control::pulls::NodeImages;
use crate::control::registry::Registry;
use crate::control::service_controller::ServiceController;
use crate::control::sidecars;
use crate::control::subscriptions;
use crate::control::taken_in::TakenIn;
use crate::control::translation::Translation;
use crate::envoy::flags::Flag;
use crate::envoy::pool::Action;
use crate::fault::Levers;
use crate::guard::RetryBudget;
use crate::meter::Meters;
use crate::path::checkpoint::Checkpoints;
use crate::path::choice::{Affinities, Schedules, Selections};
use crate::path::connection::Pools;
use crate::path::flow::Flows;
use crate::path::leaving::{Leaving, Unlinked};
use crate::path::link::{Packet, Parcel, Wire};
use crate::path::name_service::NameService;
use crate::path::passage::Passage;
use crate::path::proxy::ProxyState;
use crate::path::request::Source;
use crate::path::route::Ways;
use crate::path::service::RequestArrival;
use crate::path::sidecar::SidecarStreams;
use crate::path::users::Resolver;
use crate::path::ztunnel::{ZtunnelState, ZtunnelStreams};
use crate::path::{Call, CallRef, Plan, Target, Task};
use crate::rules::Mode;
use crate::scenario::{
    Behavior, ClusterId, GlobalNameId, NetworkModel, ProxyId, ServiceId, WorkloadId,
};
use crate::slab::{Key, Slab};
use crate::snapshot::journal::Journal;
use crate::topology::Topology;
use crate::topology::scheduler::Scheduler;
use crate::view::{EndpointLog, View};
use engine::{Context, Duration, PartitionId, Seed, Stream, Time};
use std::collections::BTreeMap;
use std::ops::Range;

/// The engine as a partition sees it.
pub(crate) type Clock<'c, D> = Context<'c, D>;

/// Everything that can happen inside a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// The next request of an open source starts.
    Arrival(u32),
    /// A user of a closed population has thought.
    Thought { source: u32, user: u32 },
    /// A worker has done a request's own work.
    Served(Key),
    /// A thread of a sidecar has done a piece of work.
    ThreadDone { pod: u32, thread: u8, starts: u16 },
    /// The next completion under processor sharing.
    Shared { pod: u32, generation: u32 },
    /// A caller's patience with an attempt ends.
    TimedOut { attempt: u16, call: Key },
    /// The pause before an attempt is over.
    Retry(Key),
    /// The cluster's DNS answers a pod.
    Resolved { attempt: u16, call: Key },
    /// A SYN has gone unanswered.
    SynTimedOut { attempt: u16, sent: u8, call: Key },
    /// A packet arrives.
    Delivered(Key),
    /// A parked packet is sent again.
    Resend(Key),

    /// The EndpointSlice controller writes.
    EndpointsDue(ServiceId),
    /// A proxy's watch brings news.
    ProxyInformed(ProxyId),
    /// A node begins to rewrite its rules.
    SyncBegins { node: u32, number: u32 },
    /// A node's new rules are in force.
    SyncEnds { node: u32, number: u32 },
    /// A kube-proxy that has started gets its lists.
    ListsArrive { node: u32, number: u32 },
    /// istiod's watch brings news.
    IstiodInformed,
    /// istiod looks whether all is calm.
    IstiodLooks,
    /// A push for a sidecar, or for the ztunnel that has this number, is generated: all that was
    /// published before a position.
    PushGenerated { pod: u32, told: Told },
    /// It has arrived.
    SidecarTold { pod: u32, told: Told },
    /// A push has nothing for a sidecar.
    SidecarSpared { pod: u32, told: Told },
    /// A sidecar asks for its next certificate.
    CertificateDue { pod: u32, starts: u16 },
    /// istiod looks whether its root has to be renewed.
    RootChecked,
    /// A request that is delayed on purpose goes on.
    Delayed(Key),
    /// The time that a route gives a request is over.
    RouteTimedOut(Key),
    /// The time of a request at a proxy is up.
    Overdue { passage: Key, flag: Flag },
    /// A sidecar sweeps through the hosts of a cluster.
    Swept {
        pod: u32,
        starts: u16,
        upstream: u32,
    },
    /// It looks for connections to a cluster that are idle for too long.
    LinesLooked { pod: u32, upstream: u32 },
    /// Its threads hear how these are.
    ThreadsHear {
        pod: u32,
        starts: u16,
        upstream: u32,
        priority: u16,
    },
    /// A client's watch is open again.
    Reopened { client: Client, number: u32 },
    /// A client can do what it could not.
    Resumed(Client),
    /// A leader exits unless it could renew its lease.
    LeaderGivesUp { which: u8, number: u32 },
    /// A new leader begins.
    LeaderElected { which: u8, number: u32 },
    /// A load balancer checks a node.
    NodeChecked { balancer: u32, node: u32 },
    /// The check has gone unanswered.
    NodeCheckFails { balancer: u32, node: u32 },
    /// The set of nodes has changed for load balancers.
    NodeSetChanges,
    /// Load balancers are told which nodes there are.
    BalancersTold,
    /// The global DNS checks a candidate.
    Check { name: GlobalNameId, answer: u32 },
    /// A check has gone unanswered.
    CheckTimedOut { name: u16, answer: u16, number: u64 },

    /// A workload's pods are looked at by what keeps their number.
    ControllerLooks(WorkloadId),
    /// A Deployment's ReplicaSets are looked at.
    DeploymentLooks(WorkloadId),
    /// A new pod is to be bound.
    PodScheduled(u32),
    /// Something in the life of a pod falls due.
    PodWakes(u32),
    /// What a kubelet has found out about a pod is written.
    PodStatus(u32),
    /// A kubelet hears that a pod is to end.
    PodStops(u32),
    /// A pod's end is written.
    PodDeleted(u32),
    /// A pass looks whether a silent node is lost.
    NodeLost { node: u32, number: u32 },
    /// Its pods are not ready.
    PodsUnready { node: u32, number: u32 },
    /// It takes no new pods.
    NodeTainted { node: u32, number: u32 },
    /// All nodes have been looked at.
    PassEnds,
    /// A zone's queue of nodes to be emptied is polled.
    TaintDue(u32),
    /// Pods that tolerate so much are deleted.
    NodeEvicted {
        node: u32,
        number: u32,
        stay_seconds: u32,
    },
    /// Pods of a node out of service that tolerate so much are deleted.
    Expelled { node: u32, stay: Duration },
    /// The pod garbage collector looks.
    Collection,
    /// A kubelet is heard again.
    NodeHeard { node: u32, number: u32 },
    /// A drain asks for the eviction of a pod.
    Evicted { pod: u32, entry: u32, change: u32 },
    /// A disruption budget is counted.
    BudgetCounted(u32),
    /// A rollout may have stood still for too long.
    ProgressDue(WorkloadId),
    /// A kubelet's pull of an image ends.
    ImagePulled { node: u32, number: u32 },
    /// A kubelet tries again to pull a pod's image.
    PullRetried(u32),
    /// A container has used up its memory.
    OutOfMemory(u32),
    /// The provisioner looks at pods and nodes.
    ProvisionerLooks,
    /// Karpenter's batch of pods is complete.
    BatchCloses { number: u32 },
    /// A machine that was ordered runs.
    MachineBoots { node: u32, number: u32 },
    /// A new node takes pods.
    NodeOpens { node: u32, number: u32 },
    /// The pods of a node that is to go are asked to.
    NodeDrains { node: u32, number: u32 },
    /// A changed object is written.
    Written(u32),
    /// metrics-server reads the pods.
    MetricsRead,
    /// An autoscaler looks.
    AutoscalerSyncs(u32),
    /// It has written the replicas of a workload.
    Scaled { workload: WorkloadId, replicas: u32 },
    /// The controller of canary releases turns to one.
    CanaryWakes { canary: u32, number: u32 },
    /// What it wrote into a route is written.
    CanaryWritten { canary: u32, number: u32 },
    /// A fault of the timeline begins.
    FaultBegins(u32),
    /// It ends.
    FaultEnds(u32),
    /// Something happens to a machine with Istio's proxy.
    Enrolled { machine: u32, step: Step },
    /// istiod looks through the entries of machines.
    EntriesSwept,
    /// A thread of a node's ztunnel has done a piece of work.
    ZtunnelDone { node: u32, thread: u8, starts: u16 },
    /// Something happens to a proxy's stream to istiod.
    Streamed {
        proxy: u32,
        number: u32,
        step: subscriptions::Step,
    },
    /// A kubelet finds a pod's proxy ready.
    SidecarReady { pod: u32, starts: u16 },
    /// A node's ztunnel may have to ask for certificates.
    ZtunnelCertificatesDue(u32),
    /// A ztunnel waits no longer to be told of the pod that opens a connection.
    PodUnheardOf(CallRef),
    /// Something happens to the container of a pod's proxy.
    SidecarSteps {
        pod: u32,
        starts: u16,
        step: sidecars::Step,
    },
    /// An operator asks for what an entry of the timeline changes.
    Submitted(u32),
    /// istiod tries again to fetch keys of tokens.
    KeysSought(keys::Try),
    /// A sidecar tries again to hand a request to its application.
    HandedIn(Key),
}

/// What a workload's pods share.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadState<'t> {
    /// Draws of service times and own errors.
    pub(crate) service_times: Stream,
    /// Draws of whether calls are made.
    pub(crate) calls: Stream,
    /// Draws of its sidecars.
    pub(crate) sidecars: SidecarStreams,
    /// Pods wanted.
    pub(crate) replicas: u32,
    /// Pods whose objects exist, oldest first.
    pub(crate) pods: Vec<u32>,
    /// Of these, those that found no node.
    pub(crate) pending: Vec<u32>,
    /// Services that it stands behind.
    pub(crate) services: Vec<ServiceId>,
    /// What its controllers know.
    pub(crate) controller: ControllerState<'t>,
}

/// A behaviour with its calls as plans.
#[derive(Clone, Debug)]
pub(crate) struct BehaviorState<'t> {
    pub(crate) described: &'t Behavior,
    /// Plans of each step.
    pub(crate) steps: Vec<Range<u32>>,
    /// The proxy that it routes for, instead of steps.
    pub(crate) proxy: Option<ProxyId>,
}

/// A service at work.
#[derive(Clone, Debug)]
pub(crate) struct ServiceState<'t> {
    pub(crate) backends: &'t [WorkloadId],
    /// Draws of endpoints.
    pub(crate) stream: Stream,
    /// Draws of its place among the rules of a node.
    pub(crate) places: Stream,
    /// Draws of how warm those rules are.
    pub(crate) warmth: Stream,
    /// Since when its endpoints have to change.
    pub(crate) changed: Option<Time>,
    /// When they changed last.
    pub(crate) published: Option<Time>,
    /// Its EndpointSlices.
    pub(crate) slices: Vec<Vec<u32>>,
    /// Draws of the controller's delays.
    pub(crate) slice_delays: Stream,
    /// How often the controller took it up.
    pub(crate) slice_updates: u64,
    /// Ready pods, on the ideal network.
    pub(crate) ready: Vec<u32>,
    /// Whose turn it is, on the ideal network.
    pub(crate) turn: balance::Turn,
}

/// A node at work.
#[derive(Clone, Debug)]
pub(crate) struct NodeState<'t> {
    pub(crate) zone: u32,
    /// Takes no new pods because somebody said so.
    pub(crate) cordoned: bool,
    /// Has the taint of a node that will not come back.
    pub(crate) out_of_service: bool,
    pub(crate) images: NodeImages<'t>,
    /// What its kube-proxy knows.
    pub(crate) view: View,
    pub(crate) kube_proxy: KubeProxy,
    /// UDP flows that its kernel remembers.
    pub(crate) flows: Flows,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) machine: Machine,
    /// How often it was ordered or given up: what is scheduled counts only for this time.
    pub(crate) machine_number: u32,
    /// What carries the connections of pods of the ambient mesh.
    pub(crate) ztunnel: Option<Box<ZtunnelState>>,
    /// Its way out to other nodes.
    pub(crate) wire: Wire,
    /// Pods bound to it whose objects exist, oldest first.
    pub(crate) pods: Vec<u32>,
    /// When Karpenter last noted that a pod had come or was deleted.
    pub(crate) pods_moved: Time,
}

/// A partition at work.
pub(crate) struct Domain<'t> {
    pub(crate) topology: &'t Topology,
    pub(crate) seed: Seed,
    pub(crate) id: u16,
    /// The cluster, if it is one.
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) meters: Meters,
    /// What is kept for those who look at a replication, if anybody does.
    pub(crate) journal: Option<Box<Journal>>,
    /// Timeline entries of the faults that hold.
    pub(crate) faults: Vec<u32>,
    pub(crate) levers: Levers,

    pub(crate) sources: Vec<Source<'t>>,
    /// Position in `sources` of each traffic source, if it is here.
    pub(crate) source_of_traffic: Vec<u32>,
    pub(crate) plans: Vec<Plan>,
    pub(crate) calls: Slab<Call>,
    /// What clients with a budget may still retry, by plan and client.
    pub(crate) retry_budgets: BTreeMap<(u32, u32), RetryBudget>,
    pub(crate) pools: Pools,
    /// Packets under way in this partition, or waiting to leave it.
    pub(crate) parcels: Slab<Parcel>,
    /// The way out to each partition.
    pub(crate) wires: Vec<Wire>,
    /// Draws of jitter and loss.
    pub(crate) jitter: Stream,
    pub(crate) resolvers: BTreeMap<(GlobalNameId, u32), Resolver>,

    pub(crate) behaviors: Vec<BehaviorState<'t>>,
    pub(crate) workloads: Vec<WorkloadState<'t>>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) tasks: Slab<Task>,
    pub(crate) passages: Slab<Passage>,
    /// What follows from what happened to a pool; empty in between.
    pub(crate) pool_actions: Vec<Action>,
    /// Requests at proxies that their callers cannot name.
    pub(crate) unlinked: Unlinked,
    /// What the sidecars of a workload do with requests, by whom they ask and how long for.
    pub(crate) outbound_plans: BTreeMap<(WorkloadId, Target, u32, Option<Duration>), u32>,
    /// Which ways requests take through sidecars.
    pub(crate) ways: Ways,
    /// What proxies take in for pods.
    pub(crate) taken_in: TakenIn,
    /// What requests have to pass at sidecars.
    pub(crate) checkpoints: Checkpoints,
    pub(crate) services: Vec<ServiceState<'t>>,
    /// Ports of services that nodes have rules for.
    pub(crate) service_ports: u32,
    pub(crate) endpoint_log: EndpointLog,
    /// Endpoints that count, as nodes see them.
    pub(crate) selections: Selections,
    pub(crate) affinities: Affinities,
    /// Pods that have come to each node so far.
    pub(crate) pods_came: BTreeMap<Option<u32>, u32>,
    /// Draws of the addresses of each network's users.
    pub(crate) user_addresses: Vec<Stream>,
    pub(crate) schedules: Schedules,
    pub(crate) name_service: NameService,
    /// Until when a pod knows the address of a service.
    pub(crate) lookups: BTreeMap<(u32, ServiceId), Time>,
    pub(crate) nodes: Vec<NodeState<'t>>,
    pub(crate) api: Api,
    pub(crate) leaders: Vec<Leader>,
    pub(crate) lifecycle: NodeLifecycle,
    /// Draws of when kubelets look at their containers.
    pub(crate) kubelets: Stream,
    /// Draws of pods' UIDs.
    pub(crate) uids: Stream,
    pub(crate) scheduler: Option<Scheduler>,
    /// By service, ascending.
    pub(crate) balancers: Vec<Balancer>,
    pub(crate) service_controller: ServiceController,
    pub(crate) autoscalers: Vec<AutoscalerState>,
    pub(crate) budgets: Vec<BudgetState>,
    pub(crate) provisioner: Option<ProvisionerState>,
    /// How much older the metrics are than they say.
    pub(crate) metrics_age: Duration,
    pub(crate) istiod: Option<Istiod>,
    /// Endpoints that istiod alone knows.
    pub(crate) registry: Registry,
    /// Machines with Istio's proxy.
    pub(crate) enrolments: Enrolments,
    /// Draws of its ztunnels, if it has any.
    pub(crate) ztunnels: Option<ZtunnelStreams>,
    /// What istiod makes of its objects.
    pub(crate) translation: Option<Translation>,
    /// Canary releases of the timeline.
    pub(crate) canaries: Vec<CanaryState<'t>>,
    pub(crate) proxies: Vec<ProxyState<'t>>,
    /// Requests in flight from a proxy's pod to an endpoint.
    pub(crate) outstanding: BTreeMap<(u32, u32), u32>,

    pub(crate) names: Vec<NameState>,
}

impl Domain<'_> {
    /// Whether hops are free.
    pub(crate) fn is_ideal(&self) -> bool {
        self.topology.scenario.network == NetworkModel::Ideal
    }

    /// Kubernetes minor version of this cluster.
    pub(crate) fn minor(&self) -> u32 {
        let cluster = self.cluster.expect("versions belong to clusters");
        self.topology.cluster(cluster).kubernetes_minor
    }

    /// How the kube-proxies of this cluster work.
    pub(crate) fn proxy_mode(&self) -> Mode {
        let cluster = self.cluster.expect("kube-proxies run in clusters");
        let rules = &self.topology.cluster(cluster).service_rules;
        rules.configuration.mode
    }

    /// What arrives is for the part that it concerns.
    pub(crate) fn take_in(&mut self, packet: Packet, context: &mut Clock<'_, Self>) {
        match packet {
            Packet::Syn {
                from,
                address,
                identity,
                goal,
                sent,
            } => self.take_syn(from, address, identity, goal, sent, context),
            Packet::Connected { to, endpoint } => self.connected(to, endpoint, context),
            Packet::Refused { to } => self.refused(to, context),
            Packet::Hello {
                from,
                identity,
                endpoint,
            } => self.take_hello(from, identity, endpoint, context),
            Packet::Welcome { to, endpoint } => self.welcomed(to, endpoint, context),
            Packet::Tunnel(letter) => self.take_letter(letter, context),
            Packet::Request(request) => self.take_request(request, context),
            Packet::Leaving(leaving) => self.hear_of_leaving(leaving, context),
            Packet::Response {
                to,
                outcome,
                bytes,
                closing,
            } => self.take_answer_back(to, outcome, bytes, closing, context),
            Packet::Reset { to } => self.reset(to, context),
            Packet::Datagram(datagram) => self.take_datagram(datagram, context),
            Packet::AnswerDatagram {
                to,
                endpoint,
                outcome,
                bytes,
            } => self.take_answer_datagram(to, endpoint, outcome, bytes, context),
            Packet::Closed {
                cluster,
                pod,
                restarts,
            } => self.forget_connections(cluster, pod, restarts),
            Packet::Answer {
                name,
                resolver,
                answer,
                changed,
            } => self.take_answer(name, resolver, answer, changed, context),
            Packet::Checked {
                name,
                answer,
                number,
                healthy,
            } => self.checked(name, answer, number, healthy, context),
            Packet::Query { .. } | Packet::Check { .. } => {
                unreachable!("questions come from other partitions")
            }
        }
    }
}

impl engine::Partition for Domain<'_> {
    type Event = Event;
    type Message = Packet;

    fn start(&mut self, context: &mut Clock<'_, Self>) {
        self.start_keys();
        self.start_timeline(context);
        self.start_kube_proxies(context);
        self.start_checks(context);
        self.start_autoscalers(context);
        self.start_provisioner(context);
        self.start_certificates(context);
        self.start_ztunnels(context);
        self.start_subscriptions(context);
        self.start_enrolments(context);
        self.start_root(context);
        self.start_sources(context);
    }

    fn handle(&mut self, event: Event, context: &mut Clock<'_, Self>) {
        match event {
            Event::Arrival(source) => self.arrival(source, context),
            Event::Thought { source, user } => self.thought(source, user, context),
            Event::Served(task) => self.served(task, context),
            Event::ThreadDone {
                pod,
                thread,
                starts,
            } => self.thread_done(pod, thread, starts, context),
            Event::ZtunnelDone {
                node,
                thread,
                starts,
            } => self.ztunnel_done(node, (thread, starts), context),
            Event::Shared { pod, generation } => self.shared(pod, generation, context),
            Event::TimedOut { attempt, call } => self.timed_out(call, attempt, context),
            Event::Retry(call) => self.attempt(call, context),
            Event::Resolved { attempt, call } => self.resolved(call, attempt, context),
            Event::SynTimedOut {
                attempt,
                sent,
                call,
            } => self.syn_timed_out(call, attempt, sent, context),
            Event::Delivered(parcel) => self.delivered(parcel, context),
            Event::Resend(parcel) => self.resend(parcel, context),
            Event::EndpointsDue(service) => self.endpoints_due(service, context),
            Event::ProxyInformed(proxy) => self.proxy_informed(proxy, context),
            Event::SyncBegins { node, number } => self.sync_begins(node, number, context),
            Event::SyncEnds { node, number } => self.sync_ends(node, number, context),
            Event::ListsArrive { node, number } => self.lists_arrive(node, number, context),
            Event::IstiodInformed => self.istiod_informed(context),
            Event::IstiodLooks => self.istiod_looks(context),
            Event::PushGenerated { pod, told } => self.push_generated(pod, told, context),
            Event::SidecarTold { pod, told } => self.proxy_told(pod, told, context),
            Event::SidecarSpared { pod, told } => self.sidecar_spared(pod, told, context.now()),
            Event::CertificateDue { pod, starts } => self.certificate_due(pod, starts, context),
            Event::PodUnheardOf(to) => self.pod_unheard_of(to, context),
            Event::ZtunnelCertificatesDue(node) => self.ztunnel_certificates_due(node, context),
            Event::RootChecked => self.root_checked(context),
            Event::Delayed(passage) => self.send_on(passage, context),
            Event::RouteTimedOut(passage) => self.route_timed_out(passage, context),
            Event::Overdue { passage, flag } => self.overdue(passage, flag, context),
            Event::Swept {
                pod,
                starts,
                upstream,
            } => self.swept(pod, starts, upstream, context),
            Event::LinesLooked { pod, upstream } => self.lines_looked(pod, upstream, context),
            Event::ThreadsHear {
                pod,
                starts,
                upstream,
                priority,
            } => self.threads_hear(pod, starts, (upstream, priority), context.now()),
            Event::Reopened { client, number } => self.reopened(client, number, context),
            Event::Resumed(client) => self.resumed(client, context),
            Event::LeaderGivesUp { which, number } => {
                self.leader_gives_up(which, number, context.now());
            }
            Event::LeaderElected { which, number } => self.leader_elected(which, number, context),
            Event::NodeChecked { balancer, node } => self.check_node(balancer, node, context),
            Event::NodeCheckFails { balancer, node } => {
                self.node_check_ends(balancer, node, false, context.now());
            }
            Event::NodeSetChanges => self.balanced_nodes_changed(context),
            Event::BalancersTold => self.tell_balancers(context),
            Event::Check { name, answer } => self.check(name, answer, context),
            Event::CheckTimedOut {
                name,
                answer,
                number,
            } => {
                let name = GlobalNameId(u32::from(name));
                self.checked(name, u32::from(answer), number, false, context);
            }
            Event::NodeLost { node, number } => self.node_lost(node, number, context),
            Event::PodsUnready { node, number } => self.pods_unready(node, number, context),
            Event::NodeTainted { node, number } => self.node_tainted(node, number),
            Event::PassEnds => self.pass_ends(context),
            Event::TaintDue(zone) => self.taint_due(zone, context),
            Event::NodeEvicted {
                node,
                number,
                stay_seconds,
            } => {
                self.node_evicted(node, number, stay_seconds, context);
            }
            Event::Expelled { node, stay } => self.expelled(node, stay, context),
            Event::Collection => self.collect(context),
            Event::NodeHeard { node, number } => self.node_heard(node, number, context),
            Event::ControllerLooks(workload) => self.controller_looks(workload, context),
            Event::DeploymentLooks(workload) => self.deployment_looks(workload, context),
            Event::PodScheduled(pod) => self.schedule_pod(pod, context),
            Event::PodWakes(pod) => self.pod_wakes(pod, context),
            Event::PodStatus(pod) => self.pod_status_written(pod, context),
            Event::PodStops(pod) => self.pod_hears_of_end(pod, context),
            Event::PodDeleted(pod) => self.pod_deleted(pod, context),
            Event::Evicted { pod, entry, change } => self.evict(pod, (entry, change), context),
            Event::BudgetCounted(index) => self.budget_counted(index, context),
            Event::ProgressDue(workload) => self.progress_due(workload, context),
            Event::ImagePulled { node, number } => self.image_pulled(node, number, context),
            Event::PullRetried(pod) => self.pull_retried(pod, context),
            Event::OutOfMemory(pod) => self.out_of_memory(pod, context),
            Event::ProvisionerLooks => self.provisioner_looks(context),
            Event::BatchCloses { number } => self.batch_closes(number, context),
            Event::MachineBoots { node, number } => self.machine_boots(node, number, context),
            Event::NodeOpens { node, number } => self.node_opens(node, number, context),
            Event::NodeDrains { node, number } => self.node_drains(node, number, context),
            Event::Submitted(entry) => self.submitted(entry, context),
            Event::KeysSought(it) => self.keys_sought(it, context),
            Event::HandedIn(passage) => self.hand_in(passage, context),
            Event::Written(entry) => self.written(entry, context),
            Event::MetricsRead => self.metrics_read(context),
            Event::AutoscalerSyncs(position) => self.autoscaler_syncs(position, context),
            Event::Scaled { workload, replicas } => self.scaled(workload, replicas, context),
            Event::CanaryWakes { canary, number } => self.canary_wakes(canary, number, context),
            Event::CanaryWritten { canary, number } => {
                self.canary_written(canary, number, context);
            }
            Event::FaultBegins(entry) => self.fault_begins(entry, context),
            Event::FaultEnds(entry) => self.fault_ends(entry, context),
            Event::Enrolled { machine, step } => self.enrolled(machine, step, context),
            Event::EntriesSwept => self.entries_swept(context),
            Event::SidecarReady { pod, starts } => self.sidecar_ready(pod, starts, context),
            Event::SidecarSteps { pod, starts, step } => {
                self.sidecar_steps((pod, starts), step, context);
            }
            Event::Streamed {
                proxy,
                number,
                step,
            } => self.streamed((proxy, number), step, context),
        }
    }

    fn is_pointless(&self, event: &Event) -> bool {
        match *event {
            Event::TimedOut { attempt, call } | Event::SynTimedOut { attempt, call, .. } => {
                self.is_over(call, attempt)
            }
            Event::RouteTimedOut(passage) => self.is_through(passage),
            Event::Overdue { passage, .. } => self.is_never_overdue(passage),
            _ => false,
        }
    }

    fn receive(&mut self, from: PartitionId, packet: Packet, context: &mut Clock<'_, Self>) {
        match packet {
            Packet::Request(RequestArrival {
                identity,
                endpoint,
                bytes,
                ..
            }) => self.post_from_border((endpoint, bytes), identity, packet, context),
            Packet::Leaving(Leaving {
                identity, endpoint, ..
            }) => self.post_from_border((endpoint, 0), identity, packet, context),
            Packet::Query {
                name,
                resolver,
                number,
            } => self.take_query(from.0, name, resolver, number, context),
            Packet::Check {
                name,
                answer,
                number,
            } => self.take_check(from.0, name, answer, number, context),
            other => self.take_in(other, context),
        }
    }
}
