//! What EnvoyFilters change of what istiod writes: clusters, routes, and how long streams may take.
//!
//! Source: istio/istio pilot/pkg/networking/core/envoyfilter.

use super::RetryOn;
use engine::Duration;

/// A patch of an EnvoyFilter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvoyPatch {
    /// Where it holds.
    pub context: PatchContext,
    /// What it changes.
    pub change: PatchChange,
}

/// In which configuration a patch holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchContext {
    /// Of sidecars and of gateways.
    Any,
    /// Of sidecars, for what they take in.
    SidecarInbound,
    /// Of sidecars, for what their applications ask.
    SidecarOutbound,
    /// Of gateways.
    Gateway,
}

/// What a patch changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatchChange {
    /// Clusters that match.
    Clusters(ClusterMatch, ClusterPatch),
    /// How long streams may take that a proxy is asked by.
    Streams(StreamLimits),
    /// Routes that match.
    Routes(PatchedRoutes, RoutePatch),
    /// Retries of hosts that match, which count where a route has none.
    Hosts(PatchedRoutes, RetryPatch),
}

/// Which clusters; all if nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterMatch {
    /// The one of this name, whatever else is said.
    pub name: Option<String>,
    /// Those of this host.
    pub service: Option<String>,
    /// Those of this port.
    pub port: Option<u16>,
    /// Those of this subset.
    pub subset: Option<String>,
}

/// What becomes of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterPatch {
    /// How long making a connection may take.
    pub connect_timeout: Option<Duration>,
    /// Limits in place of those that istiod writes.
    pub limits: Option<PatchedLimits>,
}

/// Limits that replace those that istiod writes: what is not said is as Envoy has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PatchedLimits {
    /// Connections to all hosts.
    pub connections: Option<u32>,
    /// Requests that wait for a connection.
    pub pending: Option<u32>,
    /// Active requests.
    pub requests: Option<u32>,
    /// Retries.
    pub retries: Option<u32>,
}

/// Which routes; all if nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchedRoutes {
    /// Those of the configuration of this name.
    pub configuration: Option<String>,
    /// Those of the configuration of this port.
    pub port: Option<u16>,
    /// Those of the gateway's server of this name.
    pub server: Option<String>,
    /// Those of this Gateway, with its namespace.
    pub gateway: Option<String>,
    /// Those of the host of this name.
    pub host: Option<String>,
    /// Those of the host that answers to this.
    pub domain: Option<String>,
    /// Those of this name.
    pub route: Option<String>,
}

/// What becomes of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutePatch {
    /// Time for a request with all its attempts; zero is no limit.
    pub timeout: Option<Duration>,
    /// How long its streams may take, whatever others may.
    pub limits: StreamLimits,
    /// Further attempts.
    pub retries: Option<RetryPatch>,
}

/// What becomes of further attempts. A zero is not there for who merges, so that nothing here
/// switches off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryPatch {
    /// How many after the first.
    pub attempts: Option<u32>,
    /// After which outcomes, in place of those that are there.
    pub on: Option<RetryOn>,
    /// Statuses to retry on.
    pub status_codes: Vec<u16>,
    /// Whether these take the place of those that are there, or come to them.
    pub replaces_codes: bool,
    /// Time for one attempt; zero is no limit.
    pub per_try_timeout: Option<Duration>,
    /// Base of the pause between attempts.
    pub backoff: Option<Duration>,
    /// Greatest range of that pause.
    pub max_backoff: Option<Duration>,
    /// Whether hosts that failed are left out.
    pub avoids_previous_hosts: bool,
    /// In how many draws.
    pub host_selection_attempts: Option<u32>,
}

/// How long streams may take, where that is said; zero is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamLimits {
    /// Without anything that comes or goes on them (`stream_idle_timeout`).
    pub idle: Option<Duration>,
    /// Altogether (`max_stream_duration`).
    pub lasting: Option<Duration>,
}

impl StreamLimits {
    /// These limits where they say something, and `others` elsewhere.
    #[must_use]
    pub fn over(self, others: StreamLimits) -> StreamLimits {
        StreamLimits {
            idle: self.idle.or(others.idle),
            lasting: self.lasting.or(others.lasting),
        }
    }
}
