//! Certificates as clocks: when they are renewed, when they run out, and who is left.
//!
//! Models: a workload's certificate of 24 h whose agent asks for the next one at half its life,
//! give or take a hundredth of it; that of a ztunnel, which asks at half its life exactly, and the
//! pauses between its tries in vain;
//! which share of a fleet has none left after an outage of some length; the root that istiod
//! signs itself, looked at every hour and renewed, with the same key, in the last fifth of its
//! life; which handshakes succeed.
//! Approximated: a new root reaches its proxies with their next push, as the caller models it;
//! clocks of machines agree.
//! Leaves out: roots from outside, whose renewal is the business of their owners; revocation.
//! Sources: istio/istio security/pkg/nodeagent/cache/secretcache.go (rotateTime), sds/sdsservice.go,
//! security/pkg/pki/ca/selfsignedcarootcertrotator.go, security/pkg/util/certutil.go; istio/ztunnel
//! src/identity/manager.rs, src/tls/certificate.rs.
//! Validated by: bounds and means over many draws, and the closed form, below.

use crate::facts;
use engine::{Draw, Duration, Time};

/// A certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// From when on it counts.
    pub from: Time,
    /// Until when.
    pub until: Time,
}

impl Certificate {
    /// One issued now for so long. That its root may end before it does not shorten it.
    pub fn issue(now: Time, lifetime: Duration) -> Self {
        Certificate {
            from: now,
            until: now.saturating_add(lifetime),
        }
    }

    /// Whether it counts at an instant.
    pub fn is_valid(&self, now: Time) -> bool {
        self.from <= now && now <= self.until
    }

    /// When its agent asks for the next one.
    pub fn renewal(&self, draw: &mut Draw) -> Time {
        let jitter = facts::ISTIO_CERTIFICATE_JITTER.value * (2.0 * draw.uniform() - 1.0);
        let grace = (facts::ISTIO_CERTIFICATE_GRACE.value + jitter).clamp(0.0, 1.0);
        self.from + self.until.since(self.from).mul_f64(1.0 - grace)
    }

    /// When the ztunnel that has it asks for the next one.
    pub fn renewal_by_ztunnel(&self) -> Time {
        let share = facts::ZTUNNEL_CERTIFICATE_RENEWAL.value;
        self.from + self.until.since(self.from).mul_f64(share)
    }
}

/// Pauses of a ztunnel that asks for a certificate in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchPauses {
    /// How many times in a row it has asked.
    failures: u32,
    /// When it did so first.
    since: Option<Time>,
}

impl FetchPauses {
    /// It has asked once more, now: how long until the next time.
    pub fn pause(&mut self, now: Time, draw: &mut Draw) -> Duration {
        let longest = facts::ZTUNNEL_CERTIFICATE_PAUSE_MAX.value;
        let since = *self.since.get_or_insert(now);
        let doublings = 1u64.checked_shl(self.failures).unwrap_or(u64::MAX);
        let usual = facts::ZTUNNEL_CERTIFICATE_PAUSE_FIRST.value;
        let usual = usual.saturating_mul(doublings).min(longest);
        self.failures = self.failures.saturating_add(1);
        let jitter = facts::ZTUNNEL_CERTIFICATE_PAUSE_JITTER.value * (2.0 * draw.uniform() - 1.0);
        let pause = usual.mul_f64(1.0 + jitter);
        match now.since(since) + pause <= facts::ZTUNNEL_CERTIFICATE_PAUSES_GROW.value {
            true => pause,
            false => longest,
        }
    }
}

/// What two ends of a new connection show each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The end's own certificate.
    pub own: Certificate,
    /// The root that signed it.
    pub root: Certificate,
}

/// Whether a handshake succeeds now: each end's certificate, and the root it hangs from, count.
/// Connections that stand are not asked again.
pub fn shake_hands(now: Time, client: Shown, server: Shown) -> bool {
    [client, server]
        .iter()
        .all(|end| end.own.is_valid(now) && end.root.is_valid(now))
}

/// The share of a fleet without a valid certificate after an outage of istiod of this length,
/// if renewals were spread evenly before: none up to half a life, all after a whole one.
pub fn expired_share(outage: Duration) -> f64 {
    let lifetime = facts::ISTIO_CERTIFICATE_LIFETIME.value.as_secs_f64();
    let grace = facts::ISTIO_CERTIFICATE_GRACE.value * lifetime;
    ((outage.as_secs_f64() - grace) / (lifetime - grace)).clamp(0.0, 1.0)
}

/// The root that istiod signs itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// The one in force.
    pub certificate: Certificate,
}

impl Root {
    /// A root made now.
    pub fn new(now: Time, lifetime: Duration) -> Self {
        Root {
            certificate: Certificate::issue(now, lifetime),
        }
    }

    /// istiod looks at a root of this lifetime, as it does once an hour. Returns whether it has
    /// renewed the root; one that has run out already is renewed as well.
    pub fn check(&mut self, now: Time, lifetime: Duration) -> bool {
        let grace = lifetime.mul_f64(facts::ISTIO_ROOT_GRACE.value);
        let is_due = now.saturating_add(grace) > self.certificate.until;
        if is_due {
            *self = Root::new(now, lifetime);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Seed, Stream};

    fn at(hours: u64) -> Time {
        Time::ZERO + Duration::from_secs(3600 * hours)
    }

    fn day(from: Time) -> Certificate {
        Certificate::issue(from, facts::ISTIO_CERTIFICATE_LIFETIME.value)
    }

    #[test]
    fn certificates_are_renewed_at_half_their_life() {
        let stream = Stream::new(Seed::default(), "renewal");
        let renewals = (0..20_000).map(|proxy| {
            let renewal = day(at(100)).renewal(&mut stream.draw(proxy, 0));
            renewal.since(at(100)).as_secs_f64() / 3600.0
        });
        let renewals: Vec<f64> = renewals.collect();
        let mean = renewals.iter().sum::<f64>() / 20_000.0;
        let least = renewals.iter().copied().fold(f64::MAX, f64::min);
        let greatest = renewals.iter().copied().fold(0.0, f64::max);
        assert!((mean - 12.0).abs() < 0.005, "{mean}");
        assert!((11.76..11.761).contains(&least), "{least}");
        assert!((12.239..=12.24).contains(&greatest), "{greatest}");
    }

    #[test]
    fn pauses_of_ztunnels_double_from_a_second_up_to_150_and_stay_there() {
        let stream = Stream::new(Seed::default(), "fetches");
        for ztunnel in 0..1_000 {
            let mut draw = stream.draw(ztunnel, 0);
            let (mut now, mut pauses) = (at(1), FetchPauses::default());
            for usual in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0] {
                let pause = pauses.pause(now, &mut draw);
                let share = pause.as_secs_f64() / usual;
                assert!((0.8..=1.2).contains(&share), "{share} of {usual} s");
                now += pause;
            }
            // 255 s, give or take a fifth; 15 min are over after at most six more.
            for _ in 0..6 {
                now += pauses.pause(now, &mut draw);
            }
            let pause = pauses.pause(now, &mut draw);
            assert_eq!(pause, Duration::from_secs(150));
        }
    }

    #[test]
    fn an_outage_costs_nobody_a_certificate_before_half_a_life_and_everybody_after_a_whole_one() {
        let hours = |hours: f64| expired_share(Duration::from_secs_f64(hours * 3600.0));
        assert_eq!(
            [1.0, 12.0, 13.0, 18.0, 24.0, 30.0].map(hours),
            [0.0, 0.0, 1.0 / 12.0, 0.5, 1.0, 1.0]
        );
    }

    #[test]
    fn a_fleet_loses_its_certificates_as_the_closed_form_says() {
        // Each proxy renews over and over; the outage begins at hour 100.
        let stream = Stream::new(Seed::default(), "fleet");
        let outage = at(100);
        let mut left = Vec::new();
        for proxy in 0..4000 {
            let mut draw = stream.draw(proxy, 0);
            let first = Time::ZERO + Duration::from_secs_f64(12.0 * 3600.0 * draw.uniform());
            let mut certificate = day(first);
            loop {
                let renewal = certificate.renewal(&mut draw);
                if renewal >= outage {
                    break;
                }
                certificate = day(renewal);
            }
            left.push(certificate);
        }
        for hours in [1, 11, 13, 15, 18, 21, 23, 25] {
            let now = at(100 + hours);
            let expired = left.iter().filter(|it| !it.is_valid(now)).count() as f64 / 4000.0;
            let exact = expired_share(now.since(outage));
            assert!(
                (expired - exact).abs() < 0.025,
                "{hours} h: {expired} {exact}"
            );
        }
    }

    #[test]
    fn the_root_is_renewed_in_the_last_fifth_of_its_life() {
        let lifetime = Duration::from_secs(3600 * 100);
        let mut root = Root::new(at(0), lifetime);
        let renewed = (0..200).filter(|hour| root.check(at(*hour), lifetime));
        // Past 80 h at the check of hour 81, and then past 161 h.
        assert_eq!(renewed.collect::<Vec<u64>>(), [81, 162]);
    }

    #[test]
    fn a_dead_root_stops_new_connections_and_so_does_either_end() {
        let root = Root::new(at(0), Duration::from_secs(3600 * 10)).certificate;
        let shown = |from| Shown {
            own: day(at(from)),
            root,
        };
        assert!(shake_hands(at(9), shown(5), shown(8)));
        assert!(!shake_hands(at(11), shown(5), shown(8)));
        assert!(!shake_hands(at(7), shown(5), shown(8)));
        let lasting = Shown {
            root: Root::new(at(0), facts::ISTIO_ROOT_LIFETIME.value).certificate,
            ..shown(5)
        };
        assert!(shake_hands(at(29), lasting, lasting));
        assert!(!shake_hands(at(30), lasting, lasting));
    }
}
