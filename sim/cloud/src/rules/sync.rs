//! How long a node's kube-proxy takes to write its rules.
//!
//! Models: syncs by mode, number of services and of endpoints, full or partial, through the
//! timings that are known: straight lines between them, in the number of rules.
//! Approximated: rules are counted as four for a service and four for an endpoint in iptables,
//! which gives the 43 121 lines of 1000 services with 10 endpoints to 3 %; in nftables one power
//! of services and of endpoints goes through the three clusters that are known, of different
//! releases and machines; a partial nftables sync is to a full one as it is with 1000 services;
//! ipvs takes the same always.
//! Leaves out: the processor, other than by what a caller multiplies; ipvs's first sync.
//! Sources: [`crate::facts`].
//! Validated by: the timings themselves, in this file's tests.

use super::Mode;
use crate::facts;
use crate::kubernetes::runner::Extent;
use engine::Duration;

/// Lines of iptables for so many services and endpoints, about.
fn lines(services: u32, endpoints: u32) -> f64 {
    4.0 * (f64::from(services) + f64::from(endpoints))
}

/// How long a sync takes on a machine at rest.
pub fn duration(mode: Mode, services: u32, endpoints: u32, extent: Extent) -> Duration {
    match (mode, extent) {
        (Mode::Iptables, Extent::Full) => iptables(
            lines(services, endpoints),
            lines(1_000, 10_000),
            facts::IPTABLES_FULL_SYNC_SMALL.value,
            facts::IPTABLES_FULL_SYNC_THOUSAND.value,
        ),
        // Only what all services share is written in any case.
        (Mode::Iptables, Extent::Partial) => iptables(
            f64::from(services),
            1_000.0,
            facts::IPTABLES_PARTIAL_SYNC_SMALL.value,
            facts::IPTABLES_PARTIAL_SYNC_THOUSAND.value,
        ),
        (Mode::Nftables, Extent::Full) => nftables(services, endpoints),
        (Mode::Nftables, Extent::Partial) => {
            let full = facts::NFTABLES_FULL_SYNC_THOUSAND.value.as_secs_f64();
            let share = facts::NFTABLES_PARTIAL_SYNC_THOUSAND.value.as_secs_f64() / full;
            nftables(services, endpoints).mul_f64(share)
        }
        (Mode::Ipvs { .. }, _) => facts::IPVS_SYNC.value,
    }
}

/// A straight line from the timing of hardly any rules through that of many.
fn iptables(size: f64, measured_size: f64, small: Duration, measured: Duration) -> Duration {
    let growth = measured.as_secs_f64() - small.as_secs_f64();
    Duration::from_secs_f64(small.as_secs_f64() + growth * size / measured_size)
}

/// Services and endpoints of the two large clusters whose syncs are known.
const MANY_SERVICES: (u32, u32) = (44_125, 44_152);
const MANY_ENDPOINTS: (u32, u32) = (5_006, 250_011);

fn nftables(services: u32, endpoints: u32) -> Duration {
    let grown = |count: u32, known: u32, took: Duration| {
        let ratio = f64::from(count) / f64::from(known);
        took.as_secs_f64() * libm::pow(ratio, facts::NFTABLES_SYNC_GROWTH.value)
    };
    let by_services = facts::NFTABLES_FULL_SYNC_MANY_SERVICES.value;
    let by_endpoints = facts::NFTABLES_FULL_SYNC_MANY_ENDPOINTS.value;
    Duration::from_secs_f64(
        facts::NFTABLES_SYNC_SMALL.value.as_secs_f64()
            + grown(services, MANY_SERVICES.0, by_services)
            + grown(endpoints, MANY_ENDPOINTS.1, by_endpoints),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Scheduler;

    #[test]
    fn syncs_take_what_was_measured() {
        use Extent::{Full, Partial};
        use Mode::{Iptables, Nftables};
        let cases = [
            (Iptables, 3, 6, Full, 0.16),
            (Iptables, 1_000, 10_000, Full, 6.5),
            (Iptables, 3, 6, Partial, 0.035),
            (Iptables, 1_000, 10_000, Partial, 0.124),
            (Nftables, 1_000, 10_000, Full, 0.43),
            (Nftables, 1_000, 10_000, Partial, 0.345),
            (Nftables, MANY_SERVICES.0, MANY_SERVICES.1, Full, 1003.0),
            (Nftables, MANY_ENDPOINTS.0, MANY_ENDPOINTS.1, Full, 795.0),
        ];
        for (mode, services, endpoints, extent, seconds) in cases {
            let found = duration(mode, services, endpoints, extent).as_secs_f64();
            assert!(
                (found / seconds - 1.0).abs() < 0.05,
                "{mode:?} {services} {extent:?}: {found} s against {seconds} s"
            );
        }
    }

    #[test]
    fn ipvs_takes_the_same_for_any_number() {
        let mode = Mode::Ipvs {
            scheduler: Scheduler::RoundRobin,
        };
        let [few, many] =
            [1, 20_000].map(|services| duration(mode, services, 8 * services, Extent::Partial));
        assert_eq!(few, many);
    }
}
