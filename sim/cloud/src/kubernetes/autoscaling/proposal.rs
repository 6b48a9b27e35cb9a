//! How many replicas one metric asks for.
//!
//! Pods that are being deleted or have failed do not count. Pending pods are set aside, and
//! for CPU also those that are not ready yet; pods without a sample are missing. What is set
//! aside or missing is filled in so that it damps the change, never so that it turns it.

use super::Settings;
use crate::scenario::Metric;
use engine::{Duration, Time};

impl Metric {
    fn is_cpu(self) -> bool {
        !matches!(self, Metric::RequestsAverage(_))
    }

    /// How Kubernetes names it in events.
    pub fn name(self) -> &'static str {
        match self {
            Metric::CpuUtilization(_) => "cpu resource utilization (percentage of request)",
            Metric::CpuAverage(_) => "cpu resource",
            Metric::RequestsAverage(_) => "pods metric requests-per-second",
        }
    }
}

/// A pod as the autoscaler's caches show it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PodSample {
    /// What becomes of it.
    pub phase: SamplePhase,
    /// When its kubelet took it on.
    pub started: Time,
    /// Whether it is ready.
    pub ready: bool,
    /// Since when that is so.
    pub ready_changed: Time,
    /// CPU that it requests, in thousandths of a core; `None` if it requests none.
    pub cpu_request_milli: Option<u64>,
    /// The newest sample of it.
    pub usage: Option<Usage>,
}

/// What becomes of a pod, as far as autoscaling cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamplePhase {
    /// No container of it runs.
    Pending,
    /// It runs.
    Running,
    /// Being deleted, or failed.
    Leaving,
}

/// What a pod used over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// CPU, in thousandths of a core.
    pub cpu_milli: u64,
    /// Requests per second, in thousandths.
    pub requests_milli: u64,
    /// End of the window.
    pub taken: Time,
    /// Its length.
    pub window: Duration,
}

/// How far from the target is no reason to scale, as shares of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Upwards.
    pub up: f64,
    /// Downwards.
    pub down: f64,
}

impl Tolerance {
    /// Whether a ratio to the target is near enough. Since 1.33 the two bounds are compared
    /// and not the distance; at the upper bound itself that makes a difference of one rounding.
    fn holds(self, ratio: f64, minor: u32) -> bool {
        if minor >= 33 {
            1.0 - self.down <= ratio && ratio <= 1.0 + self.up
        } else {
            (1.0 - ratio).abs() <= self.up
        }
    }
}

/// What one metric asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Replicas.
    pub replicas: u32,
    /// The measured value: percent, thousandths of a core, or thousandths of a request.
    pub measured: u64,
}

/// A pod's use and request, in the metric's unit.
#[derive(Clone, Copy, Debug)]
struct Entry {
    usage: u64,
    request: u64,
}

/// The pods, sorted by what is known of them.
#[derive(Debug, Default)]
struct Groups {
    counted: Vec<Entry>,
    /// Requests of those set aside.
    unready: Vec<u64>,
    /// Requests of those without a sample.
    missing: Vec<u64>,
}

/// How many replicas `metric` asks for; `None` if it cannot be computed.
pub fn propose(
    metric: &Metric,
    pods: &[PodSample],
    replicas: u32,
    now: Time,
    settings: &Settings,
    tolerance: Tolerance,
) -> Option<Proposal> {
    let mut groups = group(*metric, pods, now, settings)?;
    let (ratio, measured) = ratio(*metric, &groups.counted)?;
    let keep = Proposal { replicas, measured };
    let near = |ratio| tolerance.holds(ratio, settings.minor);
    let up_with_unready = !groups.unready.is_empty() && ratio > 1.0;
    if !up_with_unready && groups.missing.is_empty() {
        let wanted = ceil(ratio, groups.counted.len());
        return Some(if near(ratio) {
            keep
        } else {
            Proposal {
                replicas: wanted,
                measured,
            }
        });
    }
    fill(*metric, ratio, &mut groups);
    let (damped, _) = self::ratio(*metric, &groups.counted)?;
    let turned = (ratio < 1.0 && damped > 1.0) || (ratio > 1.0 && damped < 1.0);
    let wanted = ceil(damped, groups.counted.len());
    let against = (damped < 1.0 && wanted > replicas) || (damped > 1.0 && wanted < replicas);
    Some(if near(damped) || turned || against {
        keep
    } else {
        Proposal {
            replicas: wanted,
            measured,
        }
    })
}

fn ceil(ratio: f64, pods: usize) -> u32 {
    (ratio * pods as f64).ceil() as u32
}

/// Sorts pods; `None` if a pod's request is needed and it has none.
fn group(metric: Metric, pods: &[PodSample], now: Time, settings: &Settings) -> Option<Groups> {
    let mut groups = Groups::default();
    for pod in pods {
        if pod.phase == SamplePhase::Leaving {
            continue;
        }
        let request = match metric {
            Metric::CpuUtilization(_) => pod.cpu_request_milli.filter(|&milli| milli > 0)?,
            _ => 0,
        };
        match pod.usage {
            _ if pod.phase == SamplePhase::Pending => groups.unready.push(request),
            None => groups.missing.push(request),
            Some(usage) if metric.is_cpu() && set_aside(pod, usage, now, settings) => {
                groups.unready.push(request);
            }
            Some(usage) => groups.counted.push(Entry {
                usage: match metric {
                    Metric::RequestsAverage(_) => usage.requests_milli,
                    _ => usage.cpu_milli,
                },
                request,
            }),
        }
    }
    Some(groups)
}

/// Whether the CPU of a running pod says nothing yet: early on if it is not ready or the
/// sample reaches back before that, later if it was never ready.
fn set_aside(pod: &PodSample, usage: Usage, now: Time, settings: &Settings) -> bool {
    if pod.started + settings.cpu_initialization_period > now {
        !pod.ready || usage.taken < pod.ready_changed + usage.window
    } else {
        !pod.ready && pod.started + settings.initial_readiness_delay > pod.ready_changed
    }
}

/// Use over target, and what was measured; `None` if no pod was.
fn ratio(metric: Metric, entries: &[Entry]) -> Option<(f64, u64)> {
    let usage: u64 = entries.iter().map(|entry| entry.usage).sum();
    let (measured, target) = match metric {
        Metric::CpuUtilization(percent) => {
            let request: u64 = entries.iter().map(|entry| entry.request).sum();
            ((usage * 100).checked_div(request)?, u64::from(percent))
        }
        Metric::CpuAverage(target) => (usage.checked_div(entries.len() as u64)?, target),
        Metric::RequestsAverage(target) => {
            (usage.checked_div(entries.len() as u64)?, milli(target))
        }
    };
    Some((measured as f64 / target as f64, measured))
}

/// A rate in thousandths, as quantities are counted.
fn milli(rate: f64) -> u64 {
    (rate * 1000.0) as u64
}

/// Fills in pods that are missing or set aside, against the change.
fn fill(metric: Metric, ratio: f64, groups: &mut Groups) {
    for request in std::mem::take(&mut groups.missing) {
        let usage = match metric {
            Metric::CpuUtilization(percent) if ratio < 1.0 => {
                request * u64::from(percent.max(100)) / 100
            }
            Metric::CpuAverage(target) if ratio < 1.0 => target,
            Metric::RequestsAverage(target) if ratio < 1.0 => milli(target),
            // Upstream leaves them out at exactly 1, where they would count as nothing.
            Metric::CpuUtilization(_) if ratio == 1.0 => continue,
            _ => 0,
        };
        groups.counted.push(Entry { usage, request });
    }
    if ratio > 1.0 {
        let unready = std::mem::take(&mut groups.unready);
        let nothing = |request| Entry { usage: 0, request };
        groups.counted.extend(unready.into_iter().map(nothing));
    }
}
