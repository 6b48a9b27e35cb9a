//! Outlier detection: hosts that fail are left out for a while.
//!
//! Models: counters of server errors, gateway errors and, where told apart, failures of the
//! connection in a row, each of which triggers as it reaches its threshold; the cap on hosts that
//! are out, by Envoy's version; times out that grow with each ejection, are let in at sweeps
//! only, and shrink by one step at each sweep that finds the host in and an interval after its
//! return; success rates and shares of failures over an interval, at sweeps. A detector that is
//! not enforced still counts, takes its turn at the cap, and resets its counter.
//! Approximated: an ejection is decided as the answer arrives; Envoy's workers post it to the
//! main thread, some microseconds later.
//! Leaves out: enforcement with a probability between none and always; monitors by extension;
//! active health checks that let a host back in.
//! Sources: envoyproxy/envoy source/common/upstream/outlier_detection_impl.cc; changelogs of
//! 1.28 and 1.31.
//! Validated by: traces written out by hand, below, and recordings of ejections and returns.

use crate::facts;
use engine::{Draw, Duration, Time};

/// Settings of a cluster's detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Time between sweeps.
    pub interval: Duration,
    /// Time out, times the number of ejections.
    pub base: Duration,
    /// Longest time out.
    pub max: Duration,
    /// Up to so much is added to a time out.
    pub jitter: Duration,
    /// Percentage of hosts that may be out.
    pub percent_max: u32,
    /// How they are counted.
    pub cap: Cap,
    /// Server errors in a row.
    pub server_errors: Detector,
    /// Gateway errors in a row.
    pub gateway_errors: Detector,
    /// Failures of the connection in a row, where they are told apart.
    pub local_failures: Detector,
    /// Failures of the connection are not counted as answers.
    pub split: bool,
    /// Success rates far below the others'.
    pub success_rate: SuccessRate,
    /// Shares of failures.
    pub failure_share: FailureShare,
}

/// What is held against the greatest share before a host goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cap {
    /// The hosts that are out and the one that would go: since 1.28.
    WithNext,
    /// The hosts that are out, so that one more than the share goes, and so at least one.
    WithoutNext,
    /// As in `WithNext`, but if nobody is out one always goes.
    WithNextButFirst,
}

impl Cap {
    /// As in Envoy 1.`minor`, told to eject one host always or not.
    pub fn of_minor(minor: u32, always_one: bool) -> Self {
        if minor < facts::ENVOY_OUTLIER_STRICT_FROM_MINOR.value {
            Cap::WithoutNext
        } else if always_one && minor >= facts::ENVOY_OUTLIER_ALWAYS_ONE_FROM_MINOR.value {
            Cap::WithNextButFirst
        } else {
            Cap::WithNext
        }
    }
}

/// What becomes of a host that a detector finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// It is only counted.
    Observed,
    /// It is ejected.
    Enforced,
}

/// A count of failures in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detector {
    /// How many trigger.
    pub threshold: u32,
    /// What they trigger.
    pub enforcement: Enforcement,
}

/// Success rates that lie far below the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuccessRate {
    /// Hosts with enough requests that it needs.
    pub hosts_min: u32,
    /// Requests of an interval that are enough.
    pub volume: u32,
    /// Standard deviations below the mean, in thousandths.
    pub factor: u32,
    /// What happens to those below.
    pub enforcement: Enforcement,
}

/// Shares of failures that are too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureShare {
    /// Hosts with enough requests that it needs.
    pub hosts_min: u32,
    /// Requests of an interval that are enough.
    pub volume: u32,
    /// The percentage.
    pub percent: u32,
    /// What happens to those that reach it.
    pub enforcement: Enforcement,
}

impl Default for Settings {
    /// Envoy's defaults since 1.28.
    fn default() -> Self {
        let consecutive = |enforcement| Detector {
            threshold: facts::ENVOY_OUTLIER_CONSECUTIVE.value,
            enforcement,
        };
        Settings {
            interval: facts::ENVOY_OUTLIER_INTERVAL.value,
            base: facts::ENVOY_OUTLIER_BASE_EJECTION.value,
            max: facts::ENVOY_OUTLIER_MAX_EJECTION.value,
            jitter: Duration::ZERO,
            percent_max: facts::ENVOY_OUTLIER_MAX_PERCENT.value,
            cap: Cap::WithNext,
            server_errors: consecutive(Enforcement::Enforced),
            gateway_errors: consecutive(Enforcement::Observed),
            local_failures: consecutive(Enforcement::Enforced),
            split: false,
            success_rate: SuccessRate {
                hosts_min: facts::ENVOY_OUTLIER_HOSTS_MIN.value,
                volume: facts::ENVOY_OUTLIER_SUCCESS_RATE_VOLUME.value,
                factor: facts::ENVOY_OUTLIER_SUCCESS_RATE_FACTOR.value,
                enforcement: Enforcement::Enforced,
            },
            failure_share: FailureShare {
                hosts_min: facts::ENVOY_OUTLIER_HOSTS_MIN.value,
                volume: facts::ENVOY_OUTLIER_FAILURE_VOLUME.value,
                percent: facts::ENVOY_OUTLIER_FAILURE_PERCENT.value,
                enforcement: Enforcement::Observed,
            },
        }
    }
}

/// What a request or a connection tells of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Result {
    /// The host answered with this status.
    Status(u16),
    /// A connection could not be made.
    ConnectFailed,
    /// The host did not answer in time.
    TimedOut,
    /// The stream was cut before an answer; Envoy does not tell this from a failed connection.
    Reset,
    /// A request has got a connection, be it new or not.
    Connected,
}

impl Result {
    /// What a detector hears where only these statuses are errors: of another that the host
    /// succeeded, of one that is no server's a server error. Without any it hears what there is.
    ///
    /// Source: envoyproxy/envoy test/common/router (RouterOutlierDetectionProcessTest) of
    /// `error_matcher`.
    pub fn by(self, errors: &[u16]) -> Result {
        match self {
            Result::Status(status) if !errors.is_empty() => {
                let is_error = errors.contains(&status);
                Result::Status(match is_error {
                    true => status.max(500),
                    false => 200,
                })
            }
            other => other,
        }
    }
}

/// Which detector found a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Server errors in a row.
    ServerErrors,
    /// Gateway errors in a row.
    GatewayErrors,
    /// Failures of the connection in a row.
    LocalFailures,
    /// A success rate far below the others'.
    SuccessRate,
    /// A share of failures that is too large.
    FailureShare,
}

/// What the detector did to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It is out.
    Ejected(u32, Cause),
    /// It would be out if the detector were enforced.
    Observed(u32, Cause),
    /// It would be out if not too many were.
    Overflowed(u32, Cause),
    /// It is back.
    Returned(u32),
}

/// Requests of an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Volume {
    all: u32,
    good: u32,
}

impl Volume {
    fn count(&mut self, good: bool) {
        self.all += 1;
        self.good += u32::from(good);
    }

    fn success_percent(self) -> f64 {
        f64::from(self.good) * 100.0 / f64::from(self.all)
    }
}

/// What is known of one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Monitor {
    server_errors: u32,
    gateway_errors: u32,
    local_failures: u32,
    answers: Volume,
    connections: Volume,
    /// When it was ejected, and what its time out has on top, while it is out.
    out: Option<(Time, Duration)>,
    returned: Option<Time>,
    /// How many times the base the next time out is long, less one.
    multiplier: u32,
    ejections: u32,
}

/// The detector of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierDetector {
    settings: Settings,
    monitors: Vec<Monitor>,
    out: u32,
}

impl OutlierDetector {
    /// A detector over so many hosts, none of which is out.
    pub fn new(settings: Settings, hosts: u32) -> Self {
        OutlierDetector {
            settings,
            monitors: vec![Monitor::default(); hosts as usize],
            out: 0,
        }
    }

    /// Time between sweeps.
    pub fn interval(&self) -> Duration {
        self.settings.interval
    }

    /// Whether a host is out.
    pub fn is_out(&self, host: u32) -> bool {
        self.monitors[host as usize].out.is_some()
    }

    /// Whether failures of the connection are told apart, so that connections count.
    pub fn splits(&self) -> bool {
        self.settings.split
    }

    /// How many are out.
    pub fn out(&self) -> u32 {
        self.out
    }

    /// How often a host was ejected.
    pub fn ejections(&self, host: u32) -> u32 {
        self.monitors[host as usize].ejections
    }

    /// Hosts are added and removed: for each of the new ones, which of the old it was, if any.
    /// What was known of those that stay is kept.
    pub fn renumber(&mut self, origins: &[Option<u32>]) {
        let known = |origin: &Option<u32>| {
            origin.map_or_else(Monitor::default, |host| self.monitors[host as usize])
        };
        self.monitors = origins.iter().map(known).collect();
        let out = self.monitors.iter().filter(|monitor| monitor.out.is_some());
        self.out = out.count() as u32;
    }

    /// A host told something; `report` is called for each thing that the detectors do, gateway
    /// errors first.
    pub fn tell(
        &mut self,
        host: u32,
        result: Result,
        now: Time,
        draw: &mut Draw,
        mut report: impl FnMut(Happening),
    ) {
        let status = match (self.settings.split, result) {
            (_, Result::Status(status)) => Some(status),
            (true, Result::Connected) => {
                self.count_local(host, true, now, draw, &mut report);
                None
            }
            (true, Result::ConnectFailed | Result::TimedOut | Result::Reset) => {
                self.count_local(host, false, now, draw, &mut report);
                None
            }
            (false, Result::Connected) => None,
            (false, Result::ConnectFailed | Result::Reset) => Some(503),
            (false, Result::TimedOut) => Some(504),
        };
        if let Some(status) = status {
            self.count_status(host, status, now, draw, &mut report);
        }
    }

    fn count_status(
        &mut self,
        host: u32,
        status: u16,
        now: Time,
        draw: &mut Draw,
        report: &mut impl FnMut(Happening),
    ) {
        let settings = self.settings;
        let monitor = &mut self.monitors[host as usize];
        let failed = status / 100 == 5;
        monitor.answers.count(!failed);
        if !failed {
            monitor.server_errors = 0;
            monitor.gateway_errors = 0;
            return;
        }
        monitor.gateway_errors = match status {
            502..=504 => monitor.gateway_errors + 1,
            _ => 0,
        };
        monitor.server_errors += 1;
        let (server, gateway) = (monitor.server_errors, monitor.gateway_errors);
        if gateway > 0 && gateway == settings.gateway_errors.threshold {
            self.trigger(host, Cause::GatewayErrors, now, draw, report);
        }
        if server == settings.server_errors.threshold {
            self.trigger(host, Cause::ServerErrors, now, draw, report);
        }
    }

    fn count_local(
        &mut self,
        host: u32,
        good: bool,
        now: Time,
        draw: &mut Draw,
        report: &mut impl FnMut(Happening),
    ) {
        let monitor = &mut self.monitors[host as usize];
        monitor.connections.count(good);
        if good {
            monitor.local_failures = 0;
            return;
        }
        monitor.local_failures += 1;
        if monitor.local_failures == self.settings.local_failures.threshold {
            self.trigger(host, Cause::LocalFailures, now, draw, report);
        }
    }

    /// Failures in a row have reached their threshold.
    fn trigger(
        &mut self,
        host: u32,
        cause: Cause,
        now: Time,
        draw: &mut Draw,
        report: &mut impl FnMut(Happening),
    ) {
        if self.is_out(host) {
            return;
        }
        self.eject(host, cause, now, draw, report);
        let monitor = &mut self.monitors[host as usize];
        match cause {
            Cause::ServerErrors => monitor.server_errors = 0,
            Cause::GatewayErrors => monitor.gateway_errors = 0,
            Cause::LocalFailures => monitor.local_failures = 0,
            Cause::SuccessRate | Cause::FailureShare => {}
        }
    }

    /// Whether one more may go.
    fn may_eject(&self) -> bool {
        let hosts = self.monitors.len() as f64;
        let percent_max = f64::from(self.settings.percent_max.min(100));
        let counted = 100.0 * f64::from(self.out + 1) / hosts <= percent_max;
        match self.settings.cap {
            Cap::WithNext => counted,
            Cap::WithNextButFirst => self.out == 0 || counted,
            Cap::WithoutNext => 100.0 * f64::from(self.out) / hosts < percent_max,
        }
    }

    fn eject(
        &mut self,
        host: u32,
        cause: Cause,
        now: Time,
        draw: &mut Draw,
        report: &mut impl FnMut(Happening),
    ) {
        if !self.may_eject() {
            report(Happening::Overflowed(host, cause));
            return;
        }
        let enforcement = match cause {
            Cause::ServerErrors => self.settings.server_errors.enforcement,
            Cause::GatewayErrors => self.settings.gateway_errors.enforcement,
            Cause::LocalFailures => self.settings.local_failures.enforcement,
            Cause::SuccessRate => self.settings.success_rate.enforcement,
            Cause::FailureShare => self.settings.failure_share.enforcement,
        };
        if enforcement == Enforcement::Observed {
            report(Happening::Observed(host, cause));
            return;
        }
        let Settings {
            base, max, jitter, ..
        } = self.settings;
        let milliseconds = (jitter.as_nanos() / 1_000_000) as u32;
        let extra = match milliseconds {
            0 => 0,
            most => draw.below(most + 1),
        };
        let monitor = &mut self.monitors[host as usize];
        monitor.out = Some((now, Duration::from_millis(u64::from(extra))));
        monitor.ejections += 1;
        if base.saturating_mul(u64::from(monitor.multiplier)) < max.saturating_add(base) {
            monitor.multiplier += 1;
        }
        self.out += 1;
        report(Happening::Ejected(host, cause));
    }

    /// A sweep: hosts return, rates are looked at, multipliers shrink. `report` is called for
    /// each thing that it does.
    pub fn sweep(&mut self, now: Time, draw: &mut Draw, mut report: impl FnMut(Happening)) {
        for host in 0..self.monitors.len() as u32 {
            self.let_in(host, now, &mut report);
        }
        let answers = |monitor: &Monitor| monitor.answers;
        self.look_at_rates(answers, now, draw, &mut report);
        if self.settings.split {
            self.look_at_rates(|monitor| monitor.connections, now, draw, &mut report);
        }
        let interval = self.settings.interval;
        for monitor in &mut self.monitors {
            monitor.answers = Volume::default();
            monitor.connections = Volume::default();
            let settled = |returned: Time| now.saturating_since(returned) >= interval;
            if monitor.out.is_none() && monitor.returned.is_some_and(settled) {
                monitor.multiplier = monitor.multiplier.saturating_sub(1);
            }
        }
    }

    fn let_in(&mut self, host: u32, now: Time, report: &mut impl FnMut(Happening)) {
        let Settings { base, max, .. } = self.settings;
        let monitor = &mut self.monitors[host as usize];
        let Some((since, jitter)) = monitor.out else {
            return;
        };
        let time_out = base.saturating_mul(u64::from(monitor.multiplier)).min(max);
        if time_out.saturating_add(jitter) > now.saturating_since(since) {
            return;
        }
        monitor.out = None;
        monitor.returned = Some(now);
        monitor.server_errors = 0;
        monitor.gateway_errors = 0;
        monitor.local_failures = 0;
        self.out -= 1;
        report(Happening::Returned(host));
    }

    /// Compares the hosts' success rates, and each one's share of failures with the limit.
    fn look_at_rates(
        &mut self,
        volume: impl Fn(&Monitor) -> Volume,
        now: Time,
        draw: &mut Draw,
        report: &mut impl FnMut(Happening),
    ) {
        let Settings {
            success_rate,
            failure_share,
            ..
        } = self.settings;
        let hosts = self.monitors.len() as u32;
        if hosts < success_rate.hosts_min && hosts < failure_share.hosts_min {
            return;
        }
        let rates = |least: u32| -> Vec<(u32, f64)> {
            let numbered = self.monitors.iter().zip(0..);
            let known = numbered.filter(|(monitor, _)| monitor.out.is_none());
            known
                .map(|(monitor, host)| (host, volume(monitor)))
                .filter(|(_, volume)| volume.all > 0 && volume.all >= least)
                .map(|(host, volume)| (host, volume.success_percent()))
                .collect()
        };
        let (compared, counted) = (rates(success_rate.volume), rates(failure_share.volume));
        if !compared.is_empty() && compared.len() as u32 >= success_rate.hosts_min {
            let least = success_rate_threshold(&compared, success_rate.factor);
            for &(host, _) in compared.iter().filter(|&&(_, rate)| rate < least) {
                self.eject(host, Cause::SuccessRate, now, draw, report);
            }
        }
        if !counted.is_empty() && counted.len() as u32 >= failure_share.hosts_min {
            let percent = f64::from(failure_share.percent);
            for &(host, _) in counted.iter().filter(|&&(_, rate)| 100.0 - rate >= percent) {
                // Envoy would eject twice a host that both rules find; it is out already.
                if !self.is_out(host) {
                    self.eject(host, Cause::FailureShare, now, draw, report);
                }
            }
        }
    }
}

/// The success rate below which a host goes: so many standard deviations below the mean.
fn success_rate_threshold(rates: &[(u32, f64)], factor: u32) -> f64 {
    let count = rates.len() as f64;
    let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / count;
    let squares = rates.iter().map(|(_, rate)| (rate - mean) * (rate - mean));
    let deviation = (squares.sum::<f64>() / count).sqrt();
    mean - f64::from(factor) / 1000.0 * deviation
}

#[cfg(test)]
mod tests;
