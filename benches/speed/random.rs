//! One fast generator, used alike by the engine's models and by the references.

use std::convert::Infallible;

use rand_core::TryRng;
use rand_distr::{Distribution, Exp1};

/// xoshiro256++.
///
/// Source: D. Blackman and S. Vigna, "Scrambled linear pseudorandom number generators", ACM
/// Transactions on Mathematical Software 47 (2021).
#[derive(Clone)]
pub struct Random([u64; 4]);

impl Random {
    pub fn new() -> Self {
        Random([
            0x243f_6a88_85a3_08d3,
            0x1319_8a2e_0370_7344,
            0xa409_3822_299f_31d0,
            0x082e_fa98_ec4e_6c89,
        ])
    }

    #[inline]
    pub fn word(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.0 = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// Exponential with this mean, in whole units of the mean's.
    #[inline]
    pub fn exponential(&mut self, mean: f64) -> u64 {
        let standard: f64 = Exp1.sample(self);
        (standard * mean) as u64
    }
}

impl TryRng for Random {
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
