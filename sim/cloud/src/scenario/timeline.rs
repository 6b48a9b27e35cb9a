//! The timeline: what operators do, and what goes wrong.

use super::{
    Canary, ClusterId, Drain, Place, PodChoice, ProxyId, Rollout, Route, ServiceId, Template,
    WorkloadId, ZoneId,
};
use crate::istio::config::Object;
use engine::{Duration, Time};

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
    /// A workload's pods shall be again as they were before the last change of them, or in the
    /// revision of this number.
    Rollback(WorkloadId, Option<u32>),
    /// A node, by its position in the cluster, takes no new pods.
    Cordon(u32),
    /// It takes new pods again.
    Uncordon(u32),
    /// A node, by its position in the cluster, has the taint of one that will not come back.
    OutOfService(u32),
    /// It has it no longer.
    InService(u32),
    /// A node is emptied.
    Drain(Drain),
    /// Pods of a workload are deleted, whatever budgets say.
    DeletePods(WorkloadId, PodChoice),
    /// Which workloads back a service.
    Backends(ServiceId, Vec<WorkloadId>),
    /// A proxy's routes.
    Routes(ProxyId, Vec<Route>),
    /// Objects of Istio: new ones, and others in the place of those with their names.
    Istio(Vec<Object>),
    /// Services exist from now on.
    Services(Vec<ServiceId>),
    /// The machines of a workload are given Istio's proxy.
    Join(WorkloadId),
    /// A canary release begins.
    Canary(Box<Canary>),
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
    /// A cluster's istiod takes longer to generate what it tells proxies.
    IstiodSlow {
        /// The cluster.
        cluster: ClusterId,
        /// Factor on its work, at least 1.
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
    /// A machine of a site has no power.
    MachineDown {
        /// The cluster that it belongs to.
        cluster: ClusterId,
        /// The workload.
        workload: WorkloadId,
        /// Which of the workload's machines, from 0.
        number: u32,
        /// What happens to packets sent to it.
        packets: Packets,
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
    /// istiod.
    Istiod,
    /// The ztunnel of a node, by its position in the cluster.
    Ztunnel(u32),
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
