//! A partition at the start of a replication, from the topology's tables.

use super::{BehaviorState, Domain, NodeState, Phase, ServiceState, WorkloadState};
use crate::balance;
use crate::control::api::Api;
use crate::control::autoscaler::AutoscalerState;
use crate::control::balancer::Balancer;
use crate::control::canaries::CanaryState;
use crate::control::controllers::ControllerState;
use crate::control::dns::NameState;
use crate::control::enrolment::Enrolments;
use crate::control::istiod::Istiod;
use crate::control::kube_proxy::KubeProxy;
use crate::control::leader::Leader;
use crate::control::machines::Machine;
use crate::control::nodes::{Heartbeat, NodeLifecycle};
use crate::control::provisioner::ProvisionerState;
use crate::control::pulls::NodeImages;
use crate::control::registry::Registry;
use crate::control::service_controller::ServiceController;
use crate::control::taken_in::TakenIn;
use crate::control::translation::Translation;
use crate::facts;
use crate::fault::Levers;
use crate::kubernetes::slices;
use crate::meter::{MeasurePlan, Meters};
use crate::path::Plan;
use crate::path::checkpoint::Checkpoints;
use crate::path::choice::{Affinities, Schedules, Selections};
use crate::path::connection::Pools;
use crate::path::flow::Flows;
use crate::path::leaving::Unlinked;
use crate::path::link::Wire;
use crate::path::name_service::NameService;
use crate::path::proxy::ProxyState;
use crate::path::request::Source;
use crate::path::route::Ways;
use crate::path::sidecar::SidecarStreams;
use crate::path::ztunnel::{ZtunnelState, ZtunnelStreams};
use crate::scenario::{
    Behavior, ClusterId, NetworkModel, ProxyId, ServiceId, ServiceKind, TrafficId, TrafficSource,
    WorkloadId,
};
use crate::slab::Slab;
use crate::topology::{PartitionKind, Topology};
use crate::view::{EndpointLog, View};
use engine::{Duration, Seed, Stream, Time};
use std::collections::BTreeMap;

impl<'t> Domain<'t> {
    /// A partition at the start of a replication.
    pub(crate) fn new(
        topology: &'t Topology,
        id: u16,
        seed: Seed,
        plan: MeasurePlan,
    ) -> Domain<'t> {
        let scenario = &topology.scenario;
        let kind = topology.partitions[usize::from(id)];
        let cluster = match kind {
            PartitionKind::Cluster(cluster) => Some(cluster),
            _ => None,
        };
        let workloads = cluster.map_or(0, |cluster| topology.cluster(cluster).workloads.len());
        let described = cluster.map(|cluster| topology.cluster(cluster));
        let minor = described.map_or(0, |cluster| cluster.kubernetes_minor);
        let zones = described.map_or(0, |cluster| cluster.zones.len());
        let nodes = described.into_iter().flat_map(|cluster| {
            let nodes = (0..).zip(&cluster.nodes);
            nodes.filter(|(position, _)| cluster.has_at_start(*position))
        });
        let nodes = nodes.map(|(_, node)| node.zone.0);
        let provisioned = described
            .filter(|_| scenario.network == NetworkModel::Modelled)
            .is_some_and(|cluster| cluster.provisioner.is_some());
        let dns = cluster.map(|cluster| topology.cluster(cluster).dns);
        let dns = dns.unwrap_or_default();
        let place = topology.partition_name(id);
        let stream = |what: &str| Stream::new(seed, &format!("{what} of {place}"));
        let mut domain = Domain {
            topology,
            seed,
            id,
            cluster,
            meters: Meters::new(plan, scenario.traffic.len(), workloads),
            journal: None,
            faults: Vec::new(),
            levers: Levers::at_rest(topology, id),
            sources: Vec::new(),
            source_of_traffic: vec![u32::MAX; scenario.traffic.len()],
            plans: Vec::new(),
            calls: Slab::new(),
            retry_budgets: BTreeMap::new(),
            pools: Pools::default(),
            parcels: Slab::new(),
            wires: vec![Wire::default(); topology.partitions.len()],
            jitter: stream("jitter"),
            resolvers: BTreeMap::new(),
            behaviors: Vec::new(),
            workloads: Vec::new(),
            pods: Vec::new(),
            tasks: Slab::new(),
            passages: Slab::new(),
            pool_actions: Vec::new(),
            unlinked: Unlinked::default(),
            outbound_plans: BTreeMap::new(),
            ways: Ways::default(),
            taken_in: TakenIn::default(),
            checkpoints: Checkpoints::default(),
            services: Vec::new(),
            service_ports: described.map_or(0, |cluster| {
                let services = cluster.services.iter();
                let ruled = services.filter(|service| !service.kind.is_headless());
                let described: u32 = ruled.map(|service| service.ports.len() as u32).sum();
                described + cluster.service_rules.other_services
            }),
            endpoint_log: EndpointLog::new(Vec::new()),
            selections: Selections::default(),
            affinities: Affinities::default(),
            pods_came: BTreeMap::new(),
            user_addresses: scenario
                .user_networks
                .iter()
                .map(|users| Stream::new(seed, &format!("addresses of users {}", users.name)))
                .collect(),
            schedules: Schedules::default(),
            name_service: NameService::new(&dns, stream("questions")),
            lookups: BTreeMap::new(),
            nodes: Vec::new(),
            api: Api::new(stream("API server"), minor),
            leaders: Leader::all(stream("leaders"), provisioned),
            lifecycle: NodeLifecycle::new(stream("node lifecycle"), minor, zones, nodes),
            kubelets: stream("kubelets"),
            uids: stream("uids"),
            scheduler: None,
            balancers: Vec::new(),
            service_controller: ServiceController::default(),
            autoscalers: Vec::new(),
            budgets: Vec::new(),
            provisioner: provisioned.then(|| ProvisionerState::new(stream("machines"))),
            metrics_age: Duration::ZERO,
            istiod: described
                .and_then(|cluster| cluster.mesh.as_ref())
                .map(Istiod::new),
            registry: Registry::default(),
            enrolments: Enrolments::new(stream("enrolments")),
            ztunnels: described
                .and_then(|cluster| cluster.ztunnel.as_ref())
                .filter(|_| scenario.network == NetworkModel::Modelled)
                .map(|_| ZtunnelStreams::new(stream)),
            translation: described
                .filter(|cluster| cluster.mesh.is_some())
                .map(Translation::new),
            canaries: cluster.map_or_else(Vec::new, |cluster| CanaryState::all(scenario, cluster)),
            proxies: Vec::new(),
            outstanding: BTreeMap::new(),
            names: Vec::new(),
        };
        domain.add_sources(kind);
        match kind {
            PartitionKind::Cluster(cluster) => domain.add_cluster(cluster),
            PartitionKind::Users(_) => {}
            PartitionKind::GlobalDns => domain.add_names(),
        }
        domain
    }

    /// The traffic sources that sit in this partition.
    fn add_sources(&mut self, kind: PartitionKind) {
        let scenario = &self.topology.scenario;
        for (index, traffic) in scenario.traffic.iter().enumerate() {
            let home = match traffic.source {
                TrafficSource::Users(_) if scenario.network == NetworkModel::Ideal => {
                    PartitionKind::Cluster(ClusterId(0))
                }
                TrafficSource::Users(users) => PartitionKind::Users(users),
                TrafficSource::Workload(cluster, _) | TrafficSource::Inside(cluster) => {
                    PartitionKind::Cluster(cluster)
                }
            };
            if home != kind {
                continue;
            }
            let id = TrafficId::from(index);
            let plan = self.plans.len() as u32;
            self.plans.push(Plan::of_traffic(id, traffic));
            self.source_of_traffic[index] = self.sources.len() as u32;
            self.sources.push(Source::new(id, traffic, plan, self.seed));
        }
    }

    fn add_cluster(&mut self, id: ClusterId) {
        let topology = self.topology;
        let described = topology.cluster(id);
        let plan = &topology.clusters[id.index()];
        self.scheduler = Some(plan.scheduler.clone());
        let mut replicas = vec![0; described.workloads.len()];
        let placed = plan.pods.iter().map(|pod| pod.workload);
        for workload in placed.chain(plan.pending.iter().map(|(workload, _)| *workload)) {
            replicas[workload.index()] += 1;
        }
        for (index, workload) in described.workloads.iter().enumerate() {
            let id = WorkloadId::from(index);
            let name = format!(
                "{}/{:?}/{}/{}",
                described.name, workload.kind, workload.namespace, workload.name
            );
            let stream = |what: &str| Stream::new(self.seed, &format!("{what} of {name}"));
            self.workloads.push(WorkloadState {
                service_times: stream("service times"),
                calls: stream("calls"),
                sidecars: SidecarStreams::new(stream),
                replicas: replicas[index],
                pods: Vec::new(),
                pending: Vec::new(),
                services: Vec::new(),
                controller: ControllerState::new(workload.rollout),
            });
            self.add_revision(id, &workload.template, id);
            self.settle(id);
        }
        for pod in &plan.pods {
            self.establish_pod(pod.workload, pod.node);
        }
        for (workload, _) in &plan.pending {
            self.add_pending_pod(*workload);
        }
        self.enrol_at_start();
        let autoscalers = described.autoscalers.iter();
        self.autoscalers = autoscalers.map(|_| AutoscalerState::new()).collect();
        self.add_budgets();
        self.add_services(id);
        self.add_nodes(id);
        for (index, proxy) in described.proxies.iter().enumerate() {
            let name = format!("backends of {}/{}", described.name, proxy.name);
            let stream = Stream::new(self.seed, &name);
            self.proxies.push(ProxyState::new(stream));
            self.set_routes(ProxyId::from(index), &proxy.routes);
        }
    }

    fn add_services(&mut self, id: ClusterId) {
        let topology = self.topology;
        let described = topology.cluster(id);
        for (index, service) in described.services.iter().enumerate() {
            let name = format!("{}/{}/{}", described.name, service.namespace, service.name);
            let mut ready = Vec::new();
            for workload in &service.backends {
                let backend = &mut self.workloads[workload.index()];
                backend.services.push(ServiceId::from(index));
                let pods = backend.pods.iter().copied();
                ready.extend(pods.filter(|&pod| self.pods[pod as usize].ready));
            }
            ready.sort_unstable();
            self.services.push(ServiceState {
                backends: &service.backends,
                stream: Stream::new(self.seed, &format!("endpoints of {name}")),
                places: Stream::new(self.seed, &format!("places of {name}")),
                warmth: Stream::new(self.seed, &format!("warmth of {name}")),
                changed: None,
                published: None,
                slices: Vec::new(),
                slice_delays: Stream::new(self.seed, &format!("slices of {name}")),
                slice_updates: 0,
                ready,
                turn: balance::Turn::default(),
            });
        }
        for service in &mut self.services {
            let ready = service.ready.iter().copied().collect();
            slices::pack(&mut service.slices, ready, |_| false);
        }
        let initial = self.services.iter().map(|service| service.ready.clone());
        self.endpoint_log = EndpointLog::new(initial.collect());
        self.start_registry();
    }

    fn add_nodes(&mut self, id: ClusterId) {
        let described = self.topology.cluster(id);
        if self.is_ideal() {
            return;
        }
        let name = format!("phases of {}", described.name);
        let phases = Stream::new(self.seed, &name);
        for (index, node) in described.nodes.iter().enumerate() {
            let mut draw = phases.draw(index as u64, 0);
            let mut phase = |period: Duration| Time::ZERO + period.mul_f64(draw.uniform());
            let renewed = phase(facts::NODE_LEASE_RENEW_INTERVAL.value);
            let full = phase(facts::KUBE_PROXY_FULL_SYNC_PERIOD.value);
            self.nodes.push(NodeState {
                zone: node.zone.0,
                cordoned: node.unschedulable,
                out_of_service: false,
                images: NodeImages::default(),
                view: View::default(),
                kube_proxy: KubeProxy::settled(described, Time::ZERO, full),
                flows: Flows::default(),
                heartbeat: Heartbeat::new(renewed),
                machine: match described.has_at_start(index as u32) {
                    true => Machine::There(Time::ZERO),
                    false => Machine::Absent,
                },
                machine_number: 0,
                ztunnel: described
                    .ztunnel
                    .as_ref()
                    .map(|it| Box::new(ZtunnelState::new(it))),
                wire: Wire::default(),
                pods: Vec::new(),
                pods_moved: Time::ZERO,
            });
        }
        for pod in 0..self.pods.len() as u32 {
            if let Some(node) = self.pods[pod as usize].node {
                let image = &self.template(pod).image;
                let node = &mut self.nodes[node as usize];
                node.pods.push(pod);
                image.iter().for_each(|image| node.images.add(image));
            }
        }
        for (index, service) in described.services.iter().enumerate() {
            if service.kind == ServiceKind::LoadBalancer {
                let service = ServiceId::from(index);
                let nodes = 0..self.nodes.len() as u32;
                let known = nodes.map(|node| {
                    let passes = self.has_machine(node) && self.has_local_duty(service, node);
                    (self.is_balanced(node), passes)
                });
                let balancer = Balancer::new(service, known);
                self.balancers.push(balancer);
            }
        }
    }

    fn add_names(&mut self) {
        for name in &self.topology.scenario.global_names {
            let stream = Stream::new(self.seed, &format!("checks of {}", name.host));
            self.names.push(NameState::new(name.answers.len(), stream));
        }
    }

    /// Adds a behaviour with plans for its calls and gives its position.
    pub(crate) fn add_behavior(&mut self, workload: WorkloadId, described: &'t Behavior) -> u32 {
        let cluster = self.cluster.expect("workloads run in clusters");
        let steps = described
            .steps
            .iter()
            .map(|step| {
                let first = self.plans.len() as u32;
                let plans = step.calls.iter();
                self.plans
                    .extend(plans.map(|call| Plan::of_call(cluster, workload, call)));
                first..self.plans.len() as u32
            })
            .collect();
        self.behaviors.push(BehaviorState {
            described,
            steps,
            proxy: self.proxy_of(workload),
        });
        self.behaviors.len() as u32 - 1
    }

    /// One of a workload's running pods, by turn.
    pub(crate) fn running_pod(&self, workload: WorkloadId, turn: u32) -> Option<u32> {
        let pods = &self.workloads[workload.index()].pods;
        let running = |pod: &&u32| self.pods[**pod as usize].phase == Phase::Running;
        let count = pods.iter().filter(running).count() as u32;
        let position = turn.checked_rem(count)?;
        pods.iter().filter(running).nth(position as usize).copied()
    }
}
