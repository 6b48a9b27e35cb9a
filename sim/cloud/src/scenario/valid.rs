//! What the types of a scenario cannot say.
//!
//! Whoever builds a scenario is responsible for it; [`crate::compile`] asserts it, so that a
//! wrong reference is found where it is made and not deep inside a run.

use super::{
    Action, Arrivals, Behavior, Canary, CanaryStep, Change, Cluster, ClusterId, Component,
    Discipline, Drain, Fault, NetworkModel, Place, Scenario, ServiceId, Template, TrafficSource,
    TrafficTarget, WorkloadId, WorkloadKind,
};

impl Scenario {
    /// Asserts that every reference leads somewhere and every number is in its range.
    ///
    /// # Panics
    /// If not, with a message that names the place.
    pub fn assert_valid(&self) {
        assert!(!self.clusters.is_empty(), "there is no cluster");
        assert!(
            self.network == NetworkModel::Modelled || self.clusters.len() == 1,
            "the ideal network has one cluster"
        );
        self.clusters.iter().for_each(assert_cluster);
        for name in &self.global_names {
            assert!(!name.answers.is_empty(), "{} has no candidates", name.host);
            for answer in &name.answers {
                self.assert_service(answer.cluster, answer.service, &name.host);
            }
            let check = &name.health_check;
            assert!(
                !check.interval.is_zero() && check.failures > 0 && check.successes > 0,
                "{} is not checked",
                name.host
            );
        }
        for link in &self.links {
            self.assert_place(&link.from);
            self.assert_place(&link.to);
        }
        self.assert_traffic();
        self.assert_timeline();
        assert!(!self.run.series_step.is_zero(), "a series needs steps");
    }

    fn assert_traffic(&self) {
        for traffic in &self.traffic {
            let name = &traffic.name;
            match traffic.source {
                TrafficSource::Users(users) => assert!(
                    users.index() < self.user_networks.len() || self.network == NetworkModel::Ideal,
                    "{name} comes from nowhere"
                ),
                TrafficSource::Workload(cluster, workload) => {
                    self.assert_workload(cluster, workload, name);
                }
                TrafficSource::Inside(cluster) => assert!(
                    cluster.index() < self.clusters.len() && self.network == NetworkModel::Ideal,
                    "{name} is inside a cluster without being a pod"
                ),
            }
            match traffic.target {
                TrafficTarget::Global(target) => assert!(
                    target.index() < self.global_names.len()
                        && self.network == NetworkModel::Modelled,
                    "{name} asks for an unknown name"
                ),
                TrafficTarget::Service {
                    cluster, service, ..
                } => self.assert_service(cluster, service, name),
            }
            assert!(traffic.clients > 0, "{name} has no clients");
            assert!(traffic.retry.attempts_max > 0, "{name} makes no attempt");
            if let Arrivals::Trace(instants) = &traffic.arrivals {
                assert!(instants.is_sorted(), "the trace of {name} is not ascending");
            }
        }
    }

    fn assert_timeline(&self) {
        for entry in &self.timeline {
            let name = &entry.label;
            match &entry.action {
                Action::Apply { cluster, changes } => {
                    for change in changes {
                        self.assert_change(*cluster, change, name);
                    }
                }
                Action::Fault { fault, .. } => self.assert_fault(fault, name),
            }
        }
        let times = self.timeline.iter().map(|entry| entry.at);
        assert!(times.is_sorted(), "the timeline is not in order");
    }

    fn assert_change(&self, cluster: ClusterId, change: &Change, name: &str) {
        match change {
            Change::Replicas(workload, _)
            | Change::Rollout(workload, _)
            | Change::Rollback(workload, _) => {
                self.assert_workload(cluster, *workload, name);
            }
            Change::Cordon(node)
            | Change::Uncordon(node)
            | Change::OutOfService(node)
            | Change::InService(node)
            | Change::Drain(Drain { node, .. }) => self.assert_node(cluster, *node, name),
            Change::DeletePods(workload, _) => self.assert_workload(cluster, *workload, name),
            Change::Template(workload, template) => {
                self.assert_workload(cluster, *workload, name);
                assert_template(&self.clusters[cluster.index()], template, name);
            }
            Change::Backends(service, backends) => {
                self.assert_service(cluster, *service, name);
                for &workload in backends {
                    self.assert_workload(cluster, workload, name);
                }
            }
            Change::Services(services) => {
                for &service in services {
                    self.assert_service(cluster, service, name);
                }
            }
            Change::Join(workload) => {
                self.assert_workload(cluster, *workload, name);
                let machines = self.clusters[cluster.index()].machines_of(*workload);
                let proxy = machines.and_then(|machines| machines.proxy.as_ref());
                assert!(proxy.is_some(), "{name}: nothing that could join");
            }
            Change::Istio(_) => assert!(
                self.clusters[cluster.index()].istio.is_some(),
                "{name}: the cluster has no Istio"
            ),
            Change::Canary(canary) => {
                assert!(
                    self.clusters[cluster.index()].mesh.is_some(),
                    "{name}: nobody acts on weights"
                );
                for version in [&canary.stable, &canary.canary] {
                    for &workload in &version.workloads {
                        self.assert_workload(cluster, workload, name);
                    }
                }
                assert_canary(canary, name);
            }
            Change::Routes(proxy, _) => assert!(
                proxy.index() < self.clusters[cluster.index()].proxies.len(),
                "{name}: no such proxy"
            ),
        }
    }

    fn assert_fault(&self, fault: &Fault, name: &str) {
        match fault {
            Fault::PodKill {
                cluster, workload, ..
            }
            | Fault::ContainerCrash {
                cluster, workload, ..
            }
            | Fault::OutOfMemory {
                cluster, workload, ..
            }
            | Fault::Hang {
                cluster, workload, ..
            } => self.assert_workload(*cluster, *workload, name),
            Fault::NodeDown { cluster, node, .. }
            | Fault::KubeletDown { cluster, node }
            | Fault::NodePartition { cluster, node }
            | Fault::NodeSlow { cluster, node, .. } => self.assert_node(*cluster, *node, name),
            Fault::ZoneDown { cluster, zone, .. } => assert!(
                zone.index() < self.clusters[cluster.index()].zones.len(),
                "{name}: no such zone"
            ),
            Fault::ApiServerDown { cluster, .. }
            | Fault::ApiServerSlow { cluster, .. }
            | Fault::EtcdDown { cluster, .. }
            | Fault::RegistryDown { cluster } => assert!(
                cluster.index() < self.clusters.len(),
                "{name}: no such cluster"
            ),
            Fault::ComponentDown { cluster, component } | Fault::Frozen { cluster, component } => {
                match component {
                    Component::Kubelet(node) | Component::KubeProxy(node) => {
                        self.assert_node(*cluster, *node, name);
                    }
                    Component::ControllerManager | Component::Scheduler => {}
                    Component::Istiod => {
                        let cluster = &self.clusters[cluster.index()];
                        assert!(cluster.mesh.is_some(), "{name}: no mesh");
                    }
                    Component::Ztunnel(node) => {
                        self.assert_node(*cluster, *node, name);
                        let cluster = &self.clusters[cluster.index()];
                        assert!(cluster.ztunnel.is_some(), "{name}: no ztunnels");
                    }
                    Component::Provisioner => {
                        let cluster = &self.clusters[cluster.index()];
                        assert!(cluster.provisioner.is_some(), "{name}: no provisioner");
                    }
                }
            }
            Fault::IstiodSlow { cluster, .. } => {
                let cluster = &self.clusters[cluster.index()];
                assert!(cluster.mesh.is_some(), "{name}: no mesh");
            }
            Fault::RegionDown { .. } => {}
            Fault::Link { from, to, .. } => {
                self.assert_place(from);
                self.assert_place(to);
            }
            Fault::Slow {
                cluster,
                workload,
                factor,
            } => {
                self.assert_workload(*cluster, *workload, name);
                assert!(*factor > 0.0, "{name}: a factor is positive");
            }
            Fault::MachineDown {
                cluster,
                workload,
                number,
                ..
            } => {
                self.assert_workload(*cluster, *workload, name);
                let of = &self.clusters[cluster.index()];
                assert!(
                    of.machines_of(*workload).is_some()
                        && *number < of.workloads[workload.index()].replicas,
                    "{name}: no such machine"
                );
            }
            Fault::DnsThrottled { cluster, capacity } => assert!(
                cluster.index() < self.clusters.len() && (0.0..=1.0).contains(capacity),
                "{name}: no such DNS"
            ),
            Fault::Failing {
                cluster,
                workload,
                error_rate,
            } => {
                self.assert_workload(*cluster, *workload, name);
                assert_share(*error_rate, name);
            }
        }
    }

    fn assert_node(&self, cluster: ClusterId, node: u32, name: &str) {
        assert!(
            (node as usize) < self.clusters[cluster.index()].nodes.len(),
            "{name}: no such node"
        );
    }

    fn assert_place(&self, place: &Place) {
        match place {
            Place::Region(_) => {}
            Place::Site(name) => {
                let mut sites = self.clusters.iter().flat_map(|cluster| &cluster.sites);
                assert!(sites.any(|site| site.name == *name), "a link of no site");
            }
            Place::Cluster(cluster) => {
                assert!(
                    cluster.index() < self.clusters.len(),
                    "a link of no cluster"
                );
            }
            Place::Users(users) => {
                assert!(
                    users.index() < self.user_networks.len(),
                    "a link of no users"
                );
            }
        }
    }

    fn assert_workload(&self, cluster: ClusterId, workload: WorkloadId, name: &str) {
        let cluster = self.clusters.get(cluster.index());
        let workload = cluster.and_then(|cluster| cluster.workloads.get(workload.index()));
        assert!(workload.is_some(), "{name}: no such workload");
    }

    fn assert_service(&self, cluster: ClusterId, service: ServiceId, name: &str) {
        let cluster = self.clusters.get(cluster.index());
        let service = cluster.and_then(|cluster| cluster.services.get(service.index()));
        assert!(service.is_some(), "{name}: no such service");
    }
}

fn assert_share(share: f64, name: &str) {
    assert!(
        (0.0..=1.0).contains(&share),
        "{name}: {share} is not a share"
    );
}

fn assert_canary(canary: &Canary, name: &str) {
    let theirs = &canary.canary.workloads;
    let apart = canary
        .stable
        .workloads
        .iter()
        .all(|it| !theirs.contains(it));
    assert!(apart, "{name}: one workload is both versions");
    for step in &canary.steps {
        if let CanaryStep::SetWeight(weight) = step {
            assert!(*weight <= 100, "{name}: {weight} of a hundred");
        }
    }
    if let Some(analysis) = &canary.analysis {
        assert!(
            !analysis.interval.is_zero() && !analysis.scrape_interval.is_zero(),
            "{name}: looks take time"
        );
        assert_share(analysis.significance, name);
        assert!(analysis.latency_tolerance >= 0.0, "{name}: no tolerance");
    }
}

fn assert_cluster(cluster: &Cluster) {
    let name = &cluster.name;
    assert!(!cluster.zones.is_empty(), "{name} has no zone");
    for node in &cluster.nodes {
        assert!(
            node.zone.index() < cluster.zones.len(),
            "{} stands in no zone",
            node.name
        );
    }
    for pool in cluster.provisioner.iter().flat_map(|all| &all.pools) {
        let many = pool.nodes.len() as u32;
        assert!(
            many > 0 && pool.nodes.end as usize <= cluster.nodes.len(),
            "pool {} has no machines",
            pool.name
        );
        assert!(
            pool.count <= many && pool.count_min <= many && pool.price >= 0.0,
            "pool {} is impossible",
            pool.name
        );
    }
    for workload in &cluster.workloads {
        assert_template(cluster, &workload.template, &workload.name);
    }
    for service in &cluster.services {
        for backend in &service.backends {
            assert!(
                backend.index() < cluster.workloads.len(),
                "{} has an unknown backend",
                service.name
            );
        }
    }
    for machines in &cluster.machines {
        let workload = cluster.workloads.get(machines.workload.index());
        assert!(
            workload.is_some_and(|it| it.kind == WorkloadKind::External)
                && machines.site.index() < cluster.sites.len(),
            "{name} has machines that stand nowhere"
        );
    }
    for budget in &cluster.budgets {
        for workload in &budget.workloads {
            assert!(
                workload.index() < cluster.workloads.len(),
                "{} covers an unknown workload",
                budget.name
            );
        }
    }
    for proxy in &cluster.proxies {
        let backends = proxy.routes.iter().flat_map(|route| &route.backends);
        let mut services = backends.filter_map(|backend| backend.service);
        assert!(
            proxy.workload.index() < cluster.workloads.len()
                && services.all(|service| service.index() < cluster.services.len()),
            "{} leads nowhere",
            proxy.name
        );
    }
}

fn assert_template(cluster: &Cluster, template: &Template, name: &str) {
    match template.station.discipline {
        Discipline::Fifo { workers } => assert!(workers > 0, "{name} has no workers"),
        Discipline::ProcessorSharing { cpu_milli } => assert!(cpu_milli > 0, "{name} has no CPU"),
    }
    assert_behavior(cluster, &template.behavior, name);
    if let Some(sidecar) = &template.sidecar {
        assert!(sidecar.threads > 0, "the sidecar of {name} has no threads");
        assert!(
            cluster.mesh.is_some(),
            "{name} joins a mesh that is not there"
        );
    }
}

fn assert_behavior(cluster: &Cluster, behavior: &Behavior, name: &str) {
    assert_share(behavior.error_rate, name);
    for call in behavior.steps.iter().flat_map(|step| &step.calls) {
        assert!(
            call.service.index() < cluster.services.len(),
            "{name} calls an unknown service"
        );
        assert_share(call.probability, name);
        assert!(
            call.repeat > 0 && call.retry.attempts_max > 0,
            "{name} makes a call no times"
        );
    }
}
