//! Faults: each only moves levers, one file per fault.
//!
//! A lever's position follows from the faults that are active, so it is back where it was,
//! exactly, once they have all ended, in whatever order. Parts read levers and know no faults.
//!
//! Of faults that hold at once, the factors multiply, the delays add, losses are independent,
//! the greatest error rate counts, and what drops packets wins over what refuses them.
//! Validated by: the property that all levers are at rest after any set of faults, in `tests`.

mod container;
mod control_plane;
mod dns_throttled;
mod failing;
mod link;
mod machine;
mod node;
mod pod_kill;
mod region_down;
mod slow;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use control_plane::ControlLevers;
pub(crate) use machine::MachineLevers;
pub(crate) use node::NodeLevers;

use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::scenario::{
    Action, ClusterId, Component, Fault, LinkChange, Packets, Place, WorkloadId,
};
use crate::topology::links::End;
use crate::topology::{PartitionKind, Topology};
use engine::{Duration, Time};

/// Everything that a fault can move in a partition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Levers {
    workloads: Vec<WorkloadLevers>,
    /// By node of this cluster.
    nodes: Vec<NodeLevers>,
    /// Of this cluster's control plane.
    pub(crate) control: ControlLevers,
    /// By partition: what lies between this one and that.
    links: Vec<LinkLevers>,
    /// Share of the cluster's DNS's capacity that is left.
    pub(crate) dns_capacity: f64,
    /// Of machines of its sites.
    pub(crate) machines: MachineLevers,
}

/// What a fault can do to a workload's pods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WorkloadLevers {
    /// Factor on own work.
    pub(crate) slow_factor: f64,
    /// Least probability of an own error.
    pub(crate) error_rate: f64,
    /// How long the memory of a container lasts, if it does not for ever.
    pub(crate) memory_lasts: Option<Duration>,
}

/// What a fault can do to a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LinkLevers {
    /// Nothing passes, and what becomes of it.
    barrier: Option<Packets>,
    /// Added to each one-way trip.
    pub(crate) delay: Duration,
    /// Loss on top of the link's own.
    pub(crate) loss: f64,
}

/// Whose levers are moved.
#[derive(Clone, Copy, Debug)]
struct Owner<'t> {
    topology: &'t Topology,
    partition: u16,
}

impl Levers {
    pub(crate) fn at_rest(topology: &Topology, partition: u16) -> Self {
        let cluster = Owner {
            topology,
            partition,
        }
        .cluster();
        let described = cluster.map(|cluster| topology.cluster(cluster));
        let workload = WorkloadLevers {
            slow_factor: 1.0,
            error_rate: 0.0,
            memory_lasts: None,
        };
        let link = LinkLevers {
            barrier: None,
            delay: Duration::ZERO,
            loss: 0.0,
        };
        Levers {
            workloads: vec![workload; described.map_or(0, |cluster| cluster.workloads.len())],
            nodes: vec![NodeLevers::AT_REST; described.map_or(0, |cluster| cluster.nodes.len())],
            control: ControlLevers::at_rest(),
            links: vec![link; topology.partitions.len()],
            dns_capacity: 1.0,
            machines: MachineLevers::at_rest(
                described.map_or(0, |cluster| cluster.sites.len()),
                link,
            ),
        }
    }

    /// The levers under these faults.
    fn under<'f>(
        faults: impl Iterator<Item = &'f Fault>,
        topology: &Topology,
        partition: u16,
    ) -> Self {
        let mut levers = Levers::at_rest(topology, partition);
        let owner = Owner {
            topology,
            partition,
        };
        for fault in faults {
            match fault {
                Fault::PodKill { .. } | Fault::ContainerCrash { .. } | Fault::Hang { .. } => {}
                Fault::OutOfMemory {
                    cluster,
                    workload,
                    after,
                } => container::shorten_memory(&mut levers, owner, *cluster, *workload, *after),
                Fault::NodeDown {
                    cluster,
                    node,
                    packets,
                } => node::turn_off(&mut levers, owner, *cluster, *node, *packets),
                Fault::ZoneDown {
                    cluster,
                    zone,
                    packets,
                } => node::turn_off_zone(&mut levers, owner, *cluster, *zone, *packets),
                Fault::RegionDown { region, packets } => {
                    region_down::pull(&mut levers, owner, region, *packets);
                    machine::lose_region(&mut levers, owner, region, *packets);
                }
                Fault::Link { from, to, change } => {
                    link::pull(&mut levers, owner, from, to, *change);
                    machine::pull_links(&mut levers, owner, (from, to), *change);
                }
                Fault::MachineDown {
                    cluster,
                    workload,
                    number,
                    packets,
                } => {
                    let machine = (*workload, *number);
                    machine::turn_off(&mut levers, owner, *cluster, machine, *packets);
                }
                Fault::Slow {
                    cluster,
                    workload,
                    factor,
                } => slow::pull(&mut levers, owner, *cluster, *workload, *factor),
                Fault::Failing {
                    cluster,
                    workload,
                    error_rate,
                } => failing::pull(&mut levers, owner, *cluster, *workload, *error_rate),
                Fault::KubeletDown { cluster, .. }
                | Fault::NodePartition { cluster, .. }
                | Fault::NodeSlow { cluster, .. }
                | Fault::RegistryDown { cluster }
                | Fault::ApiServerDown { cluster, .. }
                | Fault::ApiServerSlow { cluster, .. }
                | Fault::IstiodSlow { cluster, .. }
                | Fault::EtcdDown { cluster, .. }
                | Fault::ComponentDown { cluster, .. }
                | Fault::Frozen { cluster, .. } => {
                    if owner.is(*cluster) {
                        levers.pull_inside(fault);
                    }
                }
                Fault::DnsThrottled { cluster, capacity } => {
                    dns_throttled::pull(&mut levers, owner, *cluster, *capacity);
                }
            }
        }
        levers
    }

    /// Moves what a fault inside this cluster moves.
    fn pull_inside(&mut self, fault: &Fault) {
        match *fault {
            Fault::KubeletDown { node, .. } => {
                self.control.down.insert(Component::Kubelet(node));
            }
            Fault::NodePartition { node, .. } => self.nodes[node as usize].cut_off = true,
            Fault::NodeSlow {
                node,
                cpu_factor,
                disk_factor,
                ..
            } => {
                let node = &mut self.nodes[node as usize];
                node.cpu_factor *= cpu_factor;
                node.disk_factor *= disk_factor;
            }
            Fault::RegistryDown { .. } => self.control.registry_down = true,
            Fault::ApiServerDown { count, .. } => {
                let down = &mut self.control.api_servers_down;
                *down = down.saturating_add(count);
            }
            Fault::ApiServerSlow { factor, .. } => self.control.api_slow_factor *= factor,
            Fault::IstiodSlow { factor, .. } => self.control.istiod_slow_factor *= factor,
            Fault::EtcdDown { count, .. } => {
                self.control.etcd_down = self.control.etcd_down.saturating_add(count);
            }
            Fault::ComponentDown { component, .. } => {
                self.control.down.insert(component);
            }
            Fault::Frozen { component, .. } => {
                self.control.frozen.insert(component);
            }
            _ => unreachable!("other faults do not stay inside a cluster"),
        }
    }

    pub(crate) fn workload(&self, workload: WorkloadId) -> WorkloadLevers {
        self.workloads[workload.index()]
    }

    /// What becomes of packets sent to a node, if it cannot be reached.
    pub(crate) fn node(&self, node: u32) -> Option<Packets> {
        let levers = &self.nodes[node as usize];
        match levers.cut_off {
            true => Some(Packets::Dropped),
            false => levers.off,
        }
    }

    /// Whether a node has no power.
    pub(crate) fn is_off(&self, node: u32) -> bool {
        self.nodes[node as usize].off.is_some()
    }

    /// How slow a node is.
    pub(crate) fn speed(&self, node: u32) -> NodeLevers {
        self.nodes[node as usize]
    }

    /// How many times longer work takes on a node, or outside of all.
    pub(crate) fn cpu_factor(&self, node: Option<u32>) -> f64 {
        let levers = node.and_then(|node| self.nodes.get(node as usize));
        levers.map_or(1.0, |levers| levers.cpu_factor)
    }

    /// How long a node takes for what is this much work at other times.
    pub(crate) fn slowed(&self, node: Option<u32>, work: Duration) -> Duration {
        let factor = self.cpu_factor(node);
        if factor == 1.0 {
            return work;
        }
        work.mul_f64(factor)
    }

    /// What becomes of packets sent to a partition, if nothing passes.
    pub(crate) fn barrier(&self, to: u16) -> Option<Packets> {
        self.links[usize::from(to)].barrier
    }

    pub(crate) fn link(&self, to: u16) -> LinkLevers {
        self.links[usize::from(to)]
    }
}

impl LinkLevers {
    /// What becomes of what is sent, if nothing passes.
    pub(crate) fn barrier(&self) -> Option<Packets> {
        self.barrier
    }

    fn change(&mut self, change: LinkChange) {
        match change {
            LinkChange::Cut => self.block(Packets::Dropped),
            LinkChange::Delay(delay) => self.delay += delay,
            LinkChange::Loss(loss) => self.loss = 1.0 - (1.0 - self.loss) * (1.0 - loss),
        }
    }

    fn block(&mut self, packets: Packets) {
        self.barrier = Some(stronger(self.barrier, packets));
    }
}

/// Of two ways to treat packets, the one that says less.
fn stronger(one: Option<Packets>, other: Packets) -> Packets {
    match (one, other) {
        (Some(Packets::Dropped), _) | (_, Packets::Dropped) => Packets::Dropped,
        _ => Packets::Refused,
    }
}

impl Owner<'_> {
    fn cluster(&self) -> Option<ClusterId> {
        match self.topology.partitions[usize::from(self.partition)] {
            PartitionKind::Cluster(cluster) => Some(cluster),
            _ => None,
        }
    }

    fn is(&self, cluster: ClusterId) -> bool {
        self.cluster() == Some(cluster)
    }

    /// The partitions there are, by number.
    fn all(&self) -> impl Iterator<Item = u16> + use<> {
        0..self.topology.partitions.len() as u16
    }
}

/// Whether a place means a partition.
fn means(topology: &Topology, place: &Place, partition: u16) -> bool {
    let scenario = &topology.scenario;
    match (place, topology.end(partition)) {
        (Place::Cluster(place), Some(End::Cluster(cluster))) => *place == cluster,
        (Place::Users(place), Some(End::Users(users))) => *place == users,
        (Place::Region(region), Some(End::Cluster(cluster))) => {
            facts::same_region(region, &scenario.clusters[cluster.index()].region)
        }
        (Place::Region(region), Some(End::Users(users))) => {
            facts::same_region(region, &scenario.user_networks[users.index()].region)
        }
        _ => false,
    }
}

impl Domain<'_> {
    /// Enters the timeline into the calendar.
    pub(crate) fn start_timeline(&mut self, context: &mut Clock<'_, Self>) {
        let topology = self.topology;
        for (index, entry) in (0u32..).zip(&topology.scenario.timeline) {
            match &entry.action {
                Action::Apply { cluster, .. } if self.cluster == Some(*cluster) => {
                    context.schedule(entry.at, Event::Submitted(index));
                }
                Action::Apply { .. } => {}
                Action::Fault { lasts, .. } => {
                    context.schedule(entry.at, Event::FaultBegins(index));
                    if let Some(lasts) = lasts {
                        let end = entry.at.saturating_add(*lasts);
                        if end < Time::MAX {
                            context.schedule(end, Event::FaultEnds(index));
                        }
                    }
                }
            }
        }
    }

    /// A fault begins.
    pub(crate) fn fault_begins(&mut self, entry: u32, context: &mut Clock<'_, Self>) {
        self.faults.push(entry);
        self.move_levers(context);
        let topology = self.topology;
        if let Action::Fault { fault, .. } = &topology.scenario.timeline[entry as usize].action {
            self.strike(entry, fault, context);
        }
    }

    /// A fault ends.
    pub(crate) fn fault_ends(&mut self, entry: u32, context: &mut Clock<'_, Self>) {
        self.faults.retain(|&active| active != entry);
        self.move_levers(context);
        self.release_hung(entry, context);
    }

    /// Brings all levers to where the active faults want them; the control plane notices.
    fn move_levers(&mut self, context: &mut Clock<'_, Self>) {
        let timeline = &self.topology.scenario.timeline;
        let faults =
            self.faults
                .iter()
                .filter_map(|&entry| match &timeline[entry as usize].action {
                    Action::Fault { fault, .. } => Some(fault),
                    Action::Apply { .. } => None,
                });
        let levers = Levers::under(faults, self.topology, self.id);
        let before = std::mem::replace(&mut self.levers, levers);
        if self.cluster.is_some() && !self.is_ideal() {
            self.control_plane_moved(&before, context);
        }
        self.memory_moved(&before, context);
        self.machines_moved(&before, context);
    }
}
