//! The validated description of what to simulate: ids instead of names in every
//! reference, illegal states unrepresentable where Rust's types allow it.
//!
//! Must never know how it was written down: no YAML, no file, no line number.
//! [`Scenario::assert_valid`] states what the types cannot say; whoever builds a
//! scenario (the loader, a test) is responsible for it.

mod canary;
mod cluster;
mod dns;
mod indicator;
mod judgement;
mod machine;
mod mesh;
mod operations;
mod place;
mod provisioner;
mod run;
mod scaling;
mod service;
mod service_rules;
mod sidecar;
mod spreading;
mod template;
mod timeline;
mod traffic;
mod valid;
mod workload;
mod ztunnel;

pub use crate::kubernetes::probe::Probes;
pub use canary::*;
pub use cluster::*;
pub use dns::*;
pub use indicator::*;
pub use judgement::*;
pub use machine::*;
pub use mesh::*;
pub use operations::*;
pub use place::*;
pub use provisioner::*;
pub use run::*;
pub use scaling::*;
pub use service::*;
pub use service_rules::*;
pub use sidecar::*;
pub use spreading::*;
pub use template::*;
pub use timeline::*;
pub use traffic::*;
pub use workload::*;
pub use ztunnel::*;

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
    /// A site: index into the `sites` of its [`Cluster`].
    SiteId;
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
