//! The data plane: requests, calls and their attempts, stations, connections, links.
//!
//! A *call* is the client's side of one hop: its attempts, its connection, its patience. A
//! *task* is the server's side of one attempt: its place at a pod, its own work, the calls it
//! makes. Everything a call or a task acts on is a view; nothing here knows a control plane.
//!
//! Leaves out: TLS handshakes, HTTP/2 flow control, message fragmentation.

pub(crate) mod admission;
mod answers;
pub(crate) mod attributes;
pub(crate) mod call;
mod callers;
mod chains;
pub(crate) mod checkpoint;
pub(crate) mod choice;
pub(crate) mod connection;
mod edge;
mod encryption;
pub(crate) mod flow;
mod handshake;
mod hearing;
pub(crate) mod leaving;
pub(crate) mod link;
mod logging;
pub(crate) mod name_service;
pub(crate) mod passage;
pub(crate) mod proxy;
pub(crate) mod request;
pub(crate) mod route;
pub(crate) mod service;
pub(crate) mod sharing;
pub(crate) mod sidecar;
pub(crate) mod station;
mod stream;
pub(crate) mod tunnel;
pub(crate) mod upstream;
pub(crate) mod usage;
pub(crate) mod users;
mod waypoint;
pub(crate) mod ztunnel;
mod ztunnel_admission;
mod ztunnel_outage;

use crate::record::Caller;
use crate::record::Reason;
use crate::scenario::{
    CallAttributes, ClusterId, GlobalNameId, OnFailure, Protocol, Retry, ServiceId, Traffic,
    TrafficId, TrafficSource, TrafficTarget, WorkloadId,
};
use crate::slab::Key;
use engine::{Duration, Time};
use std::sync::Arc;

/// What became of an attempt, a call or a request.
pub(crate) type Outcome = Result<(), Reason>;

/// The address of everything that is drawn for one piece of work: the request it belongs to
/// and the branch of that request's tree of calls. It depends on names and counts only, never
/// on the order of events, so the same work meets the same draws in every architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Which request, of all sources.
    pub(crate) request: u64,
    /// Which branch of it.
    pub(crate) branch: u64,
}

impl Identity {
    /// The part of this work that `part` numbers.
    pub(crate) fn part(self, part: u64) -> Identity {
        Identity {
            request: self.request,
            branch: mix(self.branch ^ part.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        }
    }
}

/// A bijection under which neighbours part: the finaliser of SplitMix64 (Steele, Lea and
/// Flood 2014).
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// Whom a call asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// A service of a cluster by its name.
    Service(ClusterId, ServiceId),
    /// A global name.
    Global(GlobalNameId),
    /// An endpoint of a service of the own cluster, past its virtual address, as proxies do.
    Backend(ServiceId),
}

/// Everything about a call that is known before it is made.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Who calls, for the meters.
    pub(crate) caller: Caller,
    /// Whether the client is a pod of this partition.
    pub(crate) from_pod: bool,
    /// Whose attributes routes match on.
    pub(crate) traffic: Option<TrafficId>,
    /// What they match on where the caller is a workload.
    pub(crate) attributes: Option<Arc<CallAttributes>>,
    pub(crate) target: Target,
    /// Position of the port that is asked among the service's.
    pub(crate) port: u32,
    pub(crate) probability: f64,
    pub(crate) repeat: u32,
    pub(crate) request_bytes: u64,
    pub(crate) protocol: Protocol,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Retry,
    pub(crate) on_failure: OnFailure,
}

/// Where the call that an attempt belongs to is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CallRef {
    /// Partition of the caller.
    pub(crate) partition: u16,
    /// Number of the attempt: answers to earlier ones come too late.
    pub(crate) attempt: u16,
    /// The call.
    pub(crate) call: Key,
}

/// A user who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) traffic: TrafficId,
    /// Which user of a closed population.
    pub(crate) user: Option<u32>,
    /// When the request was meant to start.
    pub(crate) intended: Time,
}

/// The user behind a request, and behind everything that is asked because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    pub(crate) traffic: TrafficId,
    /// Which of the source's clients.
    pub(crate) client: u32,
    /// What was asked last, as the sidecars of this partition changed it.
    pub(crate) asked: attributes::Asked,
}

impl Origin {
    /// What decides which headers are taken over from it.
    pub(crate) fn behind(self) -> (TrafficId, attributes::Asked) {
        (self.traffic, self.asked)
    }

    /// As a partition sees what another one sent, whose numbers are not its own.
    pub(crate) fn seen_from(self, sender: u16, receiver: u16) -> Origin {
        match sender == receiver {
            true => self,
            false => Origin {
                asked: attributes::Asked::BY_USER,
                ..self
            },
        }
    }
}

/// Who waits for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A user.
    User(Asker),
    /// A task of this partition.
    Task(Key),
    /// A request on its way through a sidecar of this partition.
    Passage(Key),
    /// A sidecar that opens a connection.
    Line(upstream::Line),
}

impl Owner {
    /// Whether it is a sidecar, rather than an application or a user.
    pub(crate) fn is_sidecar(self) -> bool {
        matches!(self, Owner::Passage(_) | Owner::Line(_))
    }
}

/// Whom a task answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The client that it is connected to.
    Call(CallRef),
    /// The sidecar beside it.
    Passage(Key),
    /// Whoever sent it a datagram.
    Datagram(flow::Sender),
}

/// Who takes a connection at a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// Its application.
    Application,
    /// This thread of its sidecar, from others.
    Inbound(u8),
    /// This thread of its sidecar, from the application beside it.
    Outbound(u8),
    /// This thread of a gateway, at a port that takes this.
    Edge(u8, edge::Takes),
    /// This thread of a waypoint, on behalf of the service that is asked.
    Waypoint(u8),
}

impl Listener {
    /// The thread of the sidecar.
    pub(crate) fn thread(self) -> u8 {
        match self {
            Listener::Application => panic!("applications have workers"),
            Listener::Inbound(thread)
            | Listener::Outbound(thread)
            | Listener::Edge(thread, _)
            | Listener::Waypoint(thread) => thread,
        }
    }
}

/// The client's side of a hop.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) owner: Owner,
    /// Position among the partition's plans.
    pub(crate) plan: u32,
    /// Address of the client within its partition: its pod, or which of the source's clients.
    pub(crate) client: u32,
    pub(crate) identity: Identity,
    /// Attempts begun in the present repetition.
    pub(crate) attempts: u16,
    /// Attempts begun in all; numbers the present one.
    pub(crate) attempt: u16,
    /// Repetitions to come.
    pub(crate) repeats_left: u32,
    /// Start of the present attempt.
    pub(crate) started: Time,
    pub(crate) stage: call::Stage,
    pub(crate) request_bytes: u64,
    /// Whose attributes routes match on.
    pub(crate) traffic: Option<TrafficId>,
    pub(crate) origin: Option<Origin>,
    /// The cluster that a global name led to.
    pub(crate) resolved: ClusterId,
    /// Size of the answer.
    pub(crate) answer_bytes: u64,
    /// What the present attempt is at the proxy of this partition that has it.
    pub(crate) passage: Option<Key>,
}

/// The server's side of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// Whom to answer.
    pub(crate) reply: Reply,
    pub(crate) identity: Identity,
    pub(crate) pod: u32,
    /// The service it was asked through.
    pub(crate) service: ServiceId,
    /// The node through which its connection entered the cluster.
    pub(crate) entry: Option<u32>,
    pub(crate) request_bytes: u64,
    /// Whose attributes routes match on.
    pub(crate) traffic: Option<TrafficId>,
    pub(crate) origin: Option<Origin>,
    /// Position among the partition's behaviours.
    pub(crate) behavior: u32,
    pub(crate) arrived: Time,
    /// Size of the answer.
    pub(crate) answer_bytes: u64,
    /// Whether its own work ends in an error; known when it starts.
    pub(crate) fails: bool,
    pub(crate) holds_worker: bool,
    /// The step whose calls are out.
    pub(crate) step: u16,
    /// Calls of that step that are out.
    pub(crate) open: u16,
    /// Why it will fail, once a call it needs has failed.
    pub(crate) failed: Option<Reason>,
}

/// A workload as an endpoint was known when it was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) cluster: ClusterId,
    pub(crate) service: ServiceId,
    pub(crate) workload: WorkloadId,
    /// Position in its cluster.
    pub(crate) zone: u32,
    pub(crate) pod: u32,
    /// How often that pod had been restarted.
    pub(crate) restarts: u32,
    /// Who took the connection there; known once there is one.
    pub(crate) listener: Listener,
    /// The node through which the connection entered the cluster.
    pub(crate) entry: Option<u32>,
    /// Position of its port among the service's.
    pub(crate) port: u32,
    /// Whether both ends of the connection have shown who they are.
    pub(crate) secured: bool,
    /// Whether that goes by what they kept of an earlier connection.
    pub(crate) resumes: bool,
    /// The number of the tunnel that carries the connection, among those of the client's ztunnel;
    /// 0 if none does.
    pub(crate) tunnel: u32,
    /// The number of the filter chains that took the connection, among those that the proxy there
    /// has had.
    pub(crate) chains: u32,
}

impl Plan {
    /// What a traffic source asks.
    pub(crate) fn of_traffic(id: TrafficId, traffic: &Traffic) -> Plan {
        Plan {
            caller: Caller::Traffic(id),
            from_pod: matches!(traffic.source, TrafficSource::Workload(..)),
            traffic: Some(id),
            attributes: None,
            port: match traffic.target {
                TrafficTarget::Global(_) => 0,
                TrafficTarget::Service { port, .. } => port,
            },
            target: match traffic.target {
                TrafficTarget::Global(name) => Target::Global(name),
                TrafficTarget::Service {
                    cluster, service, ..
                } => Target::Service(cluster, service),
            },
            probability: 1.0,
            repeat: 1,
            request_bytes: traffic.request_bytes,
            protocol: traffic.protocol,
            timeout: traffic.timeout,
            retry: traffic.retry,
            on_failure: OnFailure::Fail,
        }
    }

    /// What a workload asks another.
    pub(crate) fn of_call(
        cluster: ClusterId,
        workload: WorkloadId,
        call: &crate::scenario::Call,
    ) -> Plan {
        Plan {
            caller: Caller::Workload(cluster, workload),
            from_pod: true,
            traffic: None,
            attributes: Some(call.attributes.clone()),
            port: call.port,
            target: Target::Service(cluster, call.service),
            probability: call.probability,
            repeat: call.repeat,
            request_bytes: call.request_bytes,
            protocol: call.protocol,
            timeout: call.timeout,
            retry: call.retry,
            on_failure: call.on_failure,
        }
    }
}
