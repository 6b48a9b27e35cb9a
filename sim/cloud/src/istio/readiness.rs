//! When a sidecar is ready.
//!
//! Models: the agent's answer to the kubelet's probes: clusters and listeners have each been
//! accepted once, Envoy is live and its workers have started; each of the two is remembered for
//! good, so that an istiod that goes later makes nobody unready; the probes of the injected
//! container.
//! Exact: the conditions. When the kubelet probes is the business of `kubernetes::probe`.
//! Sources: istio/istio pilot/cmd/pilot-agent/status/ready/probe.go, the injection template.
//! Validated by: the traces below.

use crate::facts;
use crate::kubernetes::probe::Probe;

/// What an agent sees of its Envoy at a probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Clusters from istiod were accepted at least once.
    pub has_clusters: bool,
    /// Listeners were.
    pub has_listeners: bool,
    /// Envoy is live and its workers run.
    pub is_live: bool,
}

/// What the agent remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    was_configured: bool,
    was_live: bool,
}

impl Readiness {
    /// Whether a probe succeeds now.
    pub fn probe(&mut self, seen: Seen) -> bool {
        self.was_configured |= seen.has_clusters && seen.has_listeners;
        if !self.was_configured {
            return false;
        }
        self.was_live |= seen.is_live;
        self.was_live
    }
}

/// The probe that holds the application's start back, where it waits for the sidecar.
pub fn startup_probe() -> Probe {
    Probe {
        period: facts::SIDECAR_STARTUP_PERIOD.value,
        timeout: facts::SIDECAR_PROBE_TIMEOUT.value,
        failure_threshold: facts::SIDECAR_STARTUP_FAILURES_MAX.value,
        ..Probe::default()
    }
}

/// The probe that the pod's readiness hangs on.
pub fn readiness_probe() -> Probe {
    Probe {
        period: facts::SIDECAR_READINESS_PERIOD.value,
        timeout: facts::SIDECAR_PROBE_TIMEOUT.value,
        failure_threshold: facts::SIDECAR_READINESS_FAILURES_MAX.value,
        ..Probe::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Duration;

    fn seen(has_clusters: bool, has_listeners: bool, is_live: bool) -> Seen {
        Seen {
            has_clusters,
            has_listeners,
            is_live,
        }
    }

    #[test]
    fn a_sidecar_needs_clusters_listeners_and_life() {
        for bits in 0..7 {
            let one = seen(bits & 1 > 0, bits & 2 > 0, bits & 4 > 0);
            assert!(!Readiness::default().probe(one), "{one:?}");
        }
        assert!(Readiness::default().probe(seen(true, true, true)));
    }

    #[test]
    fn what_was_once_is_remembered() {
        let mut readiness = Readiness::default();
        assert!(!readiness.probe(seen(true, true, false)));
        // Without configuration life does not count yet, with it either order does.
        assert!(readiness.probe(seen(false, false, true)));
        assert!(readiness.probe(seen(false, false, false)));
    }

    #[test]
    fn a_sidecar_without_istiod_fails_its_startup_after_ten_minutes() {
        let probe = startup_probe();
        assert_eq!(
            probe.period * u64::from(probe.failure_threshold),
            Duration::from_secs(600)
        );
        assert_eq!(readiness_probe().period, Duration::from_secs(15));
    }
}
