//! Addressed randomness: a draw is a function of (seed, replication, stream name, counter), not of
//! what was drawn before. Adding a stream, or a draw, changes no other draw.
//!
//! Source: J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy
//! as 1, 2, 3" (SC 2011): Philox4x64 with 10 rounds. The key of a stream is a SipHash-2-4-128 of
//! master seed, replication and name. Validated by the known answers published with Random123.

use core::convert::Infallible;
use core::hash::Hasher;

use rand_core::TryRng;
use siphasher::sip128::{Hasher128, SipHasher24};

const MULTIPLIERS: [u64; 2] = [0xD2E7_470E_E14C_6C93, 0xCA5A_8263_9512_1157];
const WEYL: [u64; 2] = [0x9E37_79B9_7F4A_7C15, 0xBB67_AE85_84CA_A73B];
const ROUNDS: u32 = 10;

/// The block function Philox4x64-10: four random words for a counter under a key.
#[inline]
#[must_use]
pub fn philox4x64(mut counter: [u64; 4], mut key: [u64; 2]) -> [u64; 4] {
    for _ in 0..ROUNDS {
        let first = u128::from(counter[0]) * u128::from(MULTIPLIERS[0]);
        let second = u128::from(counter[2]) * u128::from(MULTIPLIERS[1]);
        counter = [
            (second >> 64) as u64 ^ counter[1] ^ key[0],
            second as u64,
            (first >> 64) as u64 ^ counter[3] ^ key[1],
            first as u64,
        ];
        key[0] = key[0].wrapping_add(WEYL[0]);
        key[1] = key[1].wrapping_add(WEYL[1]);
    }
    counter
}

/// What distinguishes one run from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seed {
    /// The seed that the user gave.
    pub master: u64,
    /// The replication under it, from 0.
    pub replication: u32,
}

/// A named source of draws, such as the service times of one workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stream {
    key: [u64; 2],
}

impl Stream {
    /// The stream `name` under `seed`. Distinct names give independent streams.
    #[must_use]
    pub fn new(seed: Seed, name: &str) -> Stream {
        let mut hasher = SipHasher24::new_with_keys(0, 0);
        // Little-endian bytes by hand: the integer methods of Hasher use the platform's order.
        hasher.write(&seed.master.to_le_bytes());
        hasher.write(&seed.replication.to_le_bytes());
        hasher.write(name.as_bytes());
        let (first, second) = hasher.finish128().as_u64();
        Stream {
            key: [first, second],
        }
    }

    /// The draw at address (`a`, `b`), for example (request, attempt).
    #[inline]
    #[must_use]
    pub fn draw(&self, a: u64, b: u64) -> Draw {
        Draw {
            key: self.key,
            address: [a, b],
            block: 0,
            words: [0; 4],
            used: 4,
        }
    }
}

/// Random words at one address: four a block, and as many blocks as are asked for.
///
/// It implements `rand_core`'s `Rng`, so that any distribution of the `rand` family samples
/// from it.
#[derive(Clone, Debug)]
pub struct Draw {
    key: [u64; 2],
    address: [u64; 2],
    block: u64,
    words: [u64; 4],
    used: u8,
}

impl Draw {
    /// The next 64 random bits.
    #[inline]
    pub fn word(&mut self) -> u64 {
        if self.used == 4 {
            let [a, b] = self.address;
            self.words = philox4x64([self.block, a, b, 0], self.key);
            self.block += 1;
            self.used = 0;
        }
        let word = self.words[usize::from(self.used & 3)];
        self.used += 1;
        word
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        unit(self.word())
    }

    /// Uniform in (0, 1): the middles of 2^52 equal intervals, so that a logarithm is finite and
    /// the two tails are alike.
    #[inline]
    pub fn open_uniform(&mut self) -> f64 {
        open_unit(self.word())
    }

    /// Exponential with mean one.
    #[inline]
    pub fn exponential(&mut self) -> f64 {
        crate::ziggurat::exponential(self)
    }

    /// Uniform in 0..`n`, without bias.
    ///
    /// Source: D. Lemire, "Fast random integer generation in an interval", ACM Transactions on
    /// Modeling and Computer Simulation 29 (2019).
    ///
    /// # Panics
    /// If `n` is zero.
    #[inline]
    pub fn below(&mut self, n: u32) -> u32 {
        assert!(n > 0, "nothing is below zero");
        let n = u64::from(n);
        loop {
            let product = u128::from(self.word()) * u128::from(n);
            let low = product as u64;
            // Fewer than n of 2^64 low words are in excess; the exact threshold needs a division.
            if low >= n || low >= n.wrapping_neg() % n {
                return (product >> 64) as u32;
            }
        }
    }

    /// True with probability `p`: never for 0 or less, always for 1 or more.
    #[inline]
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }
}

/// The upper 53 bits as a number in [0, 1).
#[inline]
pub(crate) fn unit(word: u64) -> f64 {
    const UNIT: f64 = 1.0 / (1u64 << 53) as f64;
    (word >> 11) as f64 * UNIT
}

/// The upper 52 bits as the middle of one of 2^52 equal intervals of (0, 1).
#[inline]
pub(crate) fn open_unit(word: u64) -> f64 {
    const UNIT: f64 = 1.0 / (1u64 << 52) as f64;
    ((word >> 12) as f64 + 0.5) * UNIT
}

impl TryRng for Draw {
    type Error = Infallible;

    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.word() >> 32) as u32)
    }

    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.word())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.word().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_answers() {
        let cases = [
            (
                [0; 4],
                [0; 2],
                [
                    0x1655_4d9e_ca36_314c,
                    0xdb20_fe9d_672d_0fdc,
                    0xd7e7_72ce_e186_176b,
                    0x7e68_b68a_ec7b_a23b,
                ],
            ),
            (
                [u64::MAX; 4],
                [u64::MAX; 2],
                [
                    0x87b0_92c3_013f_e90b,
                    0x438c_3c67_be8d_0224,
                    0x9cc7_d7c6_9cd7_77b6,
                    0xa09c_aebf_594f_0ba0,
                ],
            ),
            (
                [
                    0x243f_6a88_85a3_08d3,
                    0x1319_8a2e_0370_7344,
                    0xa409_3822_299f_31d0,
                    0x082e_fa98_ec4e_6c89,
                ],
                [0x4528_21e6_38d0_1377, 0xbe54_66cf_34e9_0c6c],
                [
                    0xa528_f454_03e6_1d95,
                    0x38c7_2dbd_566e_9788,
                    0xa5a1_610e_72fd_18b5,
                    0x57bd_43b5_e52b_7fe6,
                ],
            ),
            (
                [3, 4, 5, 6],
                [1, 2],
                [
                    0x8fe5_89c1_e3af_7c9f,
                    0x0381_45b0_ab66_e2b8,
                    0x470d_c167_ada0_21e5,
                    0xc747_dda6_a6db_44d2,
                ],
            ),
        ];
        for (counter, key, expected) in cases {
            assert_eq!(philox4x64(counter, key), expected, "{counter:x?} {key:x?}");
        }
    }

    fn stream(name: &str) -> Stream {
        Stream::new(
            Seed {
                master: 42,
                replication: 1,
            },
            name,
        )
    }

    #[test]
    fn a_draw_depends_on_its_whole_address_and_on_nothing_else() {
        let mut draw = stream("a").draw(1, 2);
        let first: Vec<u64> = (0..9).map(|_| draw.word()).collect();
        let mut again = stream("a").draw(1, 2);
        assert_eq!(first, (0..9).map(|_| again.word()).collect::<Vec<_>>());
        let other_seed = Stream::new(
            Seed {
                master: 42,
                replication: 2,
            },
            "a",
        );
        let others = [
            stream("a").draw(2, 1),
            stream("b").draw(1, 2),
            other_seed.draw(1, 2),
        ];
        for mut other in others {
            assert_ne!(first[0], other.word());
        }
    }

    /// How many standard errors the share of equal bits is from a half.
    fn agreement(pairs: impl Iterator<Item = (u64, u64)>) -> f64 {
        let (mut equal, mut bits) = (0u32, 0u32);
        for (first, second) in pairs {
            equal += (first ^ second).count_zeros();
            bits += 64;
        }
        (f64::from(equal) - 0.5 * f64::from(bits)) / libm::sqrt(0.25 * f64::from(bits))
    }

    #[test]
    fn streams_and_neighbouring_addresses_are_independent() {
        let (first, second) = (stream("reviews"), stream("reviewt"));
        let word = |stream: Stream, a, b| stream.draw(a, b).word();
        let next = |stream: Stream, a| {
            let mut draw = stream.draw(a, 0);
            (draw.word(), draw.word())
        };
        let addresses = 0..20_000u64;
        let agreements = [
            agreement(
                addresses
                    .clone()
                    .map(|a| (word(first, a, 0), word(second, a, 0))),
            ),
            agreement(
                addresses
                    .clone()
                    .map(|a| (word(first, a, 0), word(first, a + 1, 0))),
            ),
            agreement(
                addresses
                    .clone()
                    .map(|a| (word(first, a, 0), word(first, a, 1))),
            ),
            agreement(
                addresses
                    .clone()
                    .map(|a| (word(first, a, 1), word(first, 1, a))),
            ),
            agreement(addresses.map(|a| next(first, a))),
        ];
        for (index, z) in agreements.into_iter().enumerate() {
            // The address (1, 1) is compared with itself: that alone shifts z by 0.06.
            assert!(z.abs() < 4.65, "pair {index}: {z}");
        }
    }

    #[test]
    fn uniform_and_below_are_uniform() {
        let mut draw = stream("uniform").draw(0, 0);
        let count = 100_000;
        let mean = (0..count).map(|_| draw.uniform()).sum::<f64>() / f64::from(count);
        assert!((mean - 0.5).abs() < 5.0 * 0.289 / f64::from(count).sqrt());
        let mut seen = [0u32; 7];
        for _ in 0..70_000 {
            seen[draw.below(7) as usize] += 1;
        }
        assert!(
            seen.iter().all(|&n| (9_500..10_500).contains(&n)),
            "{seen:?}"
        );
        assert!(!draw.chance(0.0) && draw.chance(1.0));
    }
}
