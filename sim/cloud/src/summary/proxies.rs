//! How far proxies were behind.

use serde::Serialize;
use stats::Estimate;

/// How far the proxies of a workload, or the ztunnels of a cluster, were behind what held that
/// concerned them.
#[derive(Clone, Debug, Serialize)]
pub struct ProxySummary {
    /// Cluster.
    pub cluster: String,
    /// Namespace of the workload; empty for ztunnels.
    pub namespace: String,
    /// The workload, or `ztunnel`.
    pub name: String,
    /// `sidecar`, `gateway`, `waypoint` or `ztunnel`.
    pub kind: &'static str,
    /// Proxies per replication, those that came and went among them.
    pub proxies: f64,
    /// Updates that each took in.
    pub updates: Estimate,
    /// Share of their time in which they were behind.
    pub behind: Estimate,
    /// How that share spreads over all proxies of all replications.
    pub spread: Spread,
    /// Seconds by which they lagged, mean over time, with nothing where they did not.
    pub lag_mean: Estimate,
    /// The same, greatest.
    pub lag_max: f64,
    /// The one that was behind for the greatest share of its time.
    pub stalest: StalestProxy,
}

/// Quantiles.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// Least.
    pub least: f64,
    /// 10 % quantile.
    pub p10: f64,
    /// Median.
    pub median: f64,
    /// 90 % quantile.
    pub p90: f64,
    /// Greatest.
    pub greatest: f64,
}

/// The stalest proxy of several.
#[derive(Clone, Debug, Serialize)]
pub struct StalestProxy {
    /// Its pod, or the node of a ztunnel.
    pub name: String,
    /// In this replication.
    pub replication: u32,
    /// Share of its time in which it was behind.
    pub behind: f64,
    /// Its greatest lag, in seconds.
    pub lag_max: f64,
}
