//! RING_HASH: hosts as points on a ring, and the next point from a key's hash on.
//!
//! Models: the number of points, scaled so that the lightest host has a whole number of them;
//! names of points, `address_number`; the search; the step along the ring when a retry does not
//! want the host that it finds. Exact but for points of equal hash, whose order Envoy leaves to
//! its sort.
//! Leaves out: MurmurHash2.
//! Sources: envoyproxy/envoy source/extensions/load_balancing_policies/ring_hash.
//! Validated by: the ring of Envoy's unit test, below, and 600 recorded keys.

use super::hash;
use super::weights::Normalised;

/// Bounds on the number of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// At least so many.
    pub min: u64,
    /// At most so many.
    pub max: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    hash: u64,
    host: u32,
}

/// A ring of hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    points: Vec<Point>,
}

impl Ring {
    /// The ring of these hosts, in this order; `key` is the address that a host's points are
    /// named after.
    pub fn new<'a>(hosts: &[Normalised], size: Size, key: impl Fn(u32) -> &'a str) -> Self {
        let least = hosts.iter().map(|host| host.weight).fold(1.0, f64::min);
        let scale = ((least * size.min as f64).ceil() / least).min(size.max as f64);
        let mut points = Vec::with_capacity(if hosts.is_empty() {
            0
        } else {
            scale.ceil() as usize
        });
        let (mut current, mut target) = (0.0, 0.0);
        for host in hosts {
            target += scale * host.weight;
            let mut number = 0u64;
            while current < target {
                points.push(Point {
                    hash: hash::of(&format!("{}_{number}", key(host.host))),
                    host: host.host,
                });
                number += 1;
                current += 1.0;
            }
        }
        points.sort_by_key(|point| point.hash);
        Ring { points }
    }

    /// The host of a hash, as the `attempt`-th choice from 0; `None` of an empty ring.
    pub fn choose(&self, hash: u64, attempt: u32) -> Option<u32> {
        if self.points.is_empty() {
            return None;
        }
        let found = self.points.partition_point(|point| point.hash < hash);
        let index = (found % self.points.len() + attempt as usize) % self.points.len();
        Some(self.points[index].host)
    }

    /// How many points a host has.
    pub fn points_of(&self, host: u32) -> usize {
        let points = self.points.iter();
        points.filter(|point| point.host == host).count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::weights;
    use super::*;

    /// The six hosts of test/extensions/load_balancing_policies/ring_hash/ring_hash_lb_test.cc.
    fn ring() -> Ring {
        let keys: Vec<String> = (90..96).map(|port| format!("127.0.0.1:{port}")).collect();
        let hosts = weights::normalise(&[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)], 1.0);
        let size = Size {
            min: 12,
            max: 8 << 20,
        };
        Ring::new(&hosts, size, |host| &keys[host as usize])
    }

    #[test]
    fn the_ring_is_that_of_envoys_unit_test() {
        let points: Vec<_> = ring()
            .points
            .iter()
            .map(|point| (point.host, point.hash))
            .collect();
        let expected = [
            (4, 833_437_586_790_550_860),
            (2, 928_266_305_478_181_108),
            (0, 1_033_482_794_131_418_490),
            (5, 3_551_244_743_356_806_947),
            (3, 3_851_675_632_748_031_481),
            (1, 5_583_722_120_771_150_861),
            (1, 6_311_230_543_546_372_928),
            (3, 7_700_377_290_971_790_572),
            (5, 13_144_177_310_400_110_813),
            (2, 13_444_792_449_719_432_967),
            (4, 15_516_499_411_664_133_160),
            (0, 16_117_243_373_044_804_889),
        ];
        assert_eq!(points, expected);
    }

    #[test]
    fn the_first_point_that_is_not_below_is_taken_and_the_ring_wraps() {
        let ring = ring();
        let at = |hash| ring.choose(hash, 0).unwrap();
        assert_eq!([at(0), at(833_437_586_790_550_860)], [4, 4]);
        assert_eq!(at(833_437_586_790_550_861), 2);
        assert_eq!(at(u64::MAX), 4);
        // A retry that does not want the first goes on along the ring.
        assert_eq!([ring.choose(0, 1), ring.choose(0, 2)], [Some(2), Some(0)]);
        assert_eq!(ring.choose(0, 12), Some(4));
    }

    #[test]
    fn points_follow_weights() {
        let counts = |weights: &[(u32, u32)], size| -> Vec<usize> {
            let hosts = weights::normalise(weights, 1.0);
            let ring = Ring::new(&hosts, size, |host| ["a", "b", "c"][host as usize]);
            let hosts = 0..weights.len() as u32;
            hosts.map(|host| ring.points_of(host)).collect()
        };
        let size = |min, max| Size { min, max };
        // The lightest gets a whole number: 128 of 1024 at weights 1, 2, 5.
        assert_eq!(
            counts(&[(0, 1), (1, 2), (2, 5)], size(1024, 8 << 20)),
            [128, 256, 640]
        );
        assert_eq!(
            counts(&[(0, 1), (1, 1), (2, 1)], size(1024, 8 << 20)),
            [342; 3]
        );
        // A greatest size cuts; halves go to those that come first.
        assert_eq!(counts(&[(0, 1), (1, 1)], size(5, 5)), [3, 2]);
        assert_eq!(counts(&[], size(5, 5)), [0; 0]);
    }
}
