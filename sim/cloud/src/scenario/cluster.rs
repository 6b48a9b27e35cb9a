//! Clusters and their machines.

use super::{
    Autoscaler, ClusterDns, DisruptionBudget, Machines, Mesh, Provisioner, Proxy, Service,
    ServiceId, ServiceRules, Site, Workload, WorkloadId, ZoneId, Ztunnel,
};
use crate::istio::config::Istio;
use engine::Duration;
use std::collections::BTreeMap;

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
    /// Its service mesh, if it has one.
    pub mesh: Option<Mesh>,
    /// Istio, if anything is said to it.
    pub istio: Option<Istio>,
    /// Places where machines stand that belong to it in some way.
    pub sites: Vec<Site>,
    /// These machines, by workload.
    pub machines: Vec<Machines>,
    /// Services that do not exist before a [`Change::Services`](super::Change::Services).
    pub later_services: Vec<ServiceId>,
    /// The ztunnels on its nodes, if its mesh has any.
    pub ztunnel: Option<Ztunnel>,
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
            mesh: None,
            istio: None,
            sites: Vec::new(),
            machines: Vec::new(),
            later_services: Vec::new(),
            ztunnel: None,
        }
    }

    /// The region as clouds label their machines: without the provider.
    pub(crate) fn region_label(&self) -> &str {
        let parts = self.region.split_once('/');
        parts.map_or(self.region.as_str(), |(_provider, region)| region)
    }

    /// What is special about a workload that consists of machines of a site.
    pub fn machines_of(&self, workload: WorkloadId) -> Option<&Machines> {
        let mut machines = self.machines.iter();
        machines.find(|machines| machines.workload == workload)
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
