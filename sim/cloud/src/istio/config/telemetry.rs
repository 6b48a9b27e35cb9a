//! Telemetry: what proxies record. It matters for what a request costs them.

use super::{Identity, Percent, PolicyTarget};
use engine::Duration;

/// A Telemetry.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// How it is called.
    pub identity: Identity,
    /// Whom it is for.
    pub target: PolicyTarget,
    /// Traces.
    pub tracing: Vec<Tracing>,
    /// Metrics.
    pub metrics: Vec<Metrics>,
    /// Logs.
    pub access_logging: Vec<AccessLogging>,
}

/// On which side of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// On both.
    #[default]
    Both,
    /// By the proxy of who asks.
    Client,
    /// By the proxy of who answers.
    Server,
}

/// Traces.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracing {
    /// Where.
    pub side: Side,
    /// Names of providers; the mesh's if empty.
    pub providers: Vec<String>,
    /// Of how many requests; the mesh's if nothing is said.
    pub share: Option<Percent>,
    /// Whether spans are not reported; as wider objects say if nothing is said.
    pub is_disabled: Option<bool>,
}

/// Metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Names of providers; the mesh's if empty.
    pub providers: Vec<String>,
    /// Single metrics that are switched off or on again.
    pub overrides: Vec<MetricOverride>,
    /// Pause between two reports, for connections that last.
    pub reporting_interval: Option<Duration>,
}

/// Metrics that are switched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricOverride {
    /// Which one: `ALL_METRICS`, `REQUEST_COUNT`, ..., or the name of another.
    pub metric: String,
    /// Where.
    pub side: Side,
    /// Whether it is off; unchanged if nothing is said.
    pub is_disabled: Option<bool>,
}

/// Logs.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLogging {
    /// Where.
    pub side: Side,
    /// Names of providers; the mesh's if empty.
    pub providers: Vec<String>,
    /// Whether there are none; as wider objects say if nothing is said.
    pub is_disabled: Option<bool>,
    /// Which requests, as an expression.
    pub filter: Option<String>,
}
