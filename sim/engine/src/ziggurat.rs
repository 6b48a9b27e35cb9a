//! Standard exponential and normal variates by the ziggurat method: mostly one random word, one
//! multiplication and one comparison.
//!
//! Source: G. Marsaglia and W. W. Tsang, "The Ziggurat Method for Generating Random Variables",
//! Journal of Statistical Software 5 (2000), with 256 layers. The tables are computed by the
//! compiler, in arithmetic alone, so no platform has others; the rare rejections use `libm`.
//!
//! Validated by the areas of the layers and by chi-square tests against the exact laws.

use rand_core::Rng;

use crate::random::{open_unit, unit};

const LAYERS: usize = 256;

/// Widths of the layers from the bottom up, and the density there. Width 0 is that of a rectangle
/// with the area of the bottom layer, tail included.
struct Table {
    width: [f64; LAYERS + 1],
    density: [f64; LAYERS + 1],
}

/// A decreasing density with value 1 at 0.
#[derive(Clone, Copy)]
enum Density {
    Exponential,
    HalfNormal,
}

const EXPONENTIAL_TAIL: f64 = 7.697_117_470_131_05;
const EXPONENTIAL_AREA: f64 = 0.003_949_659_822_581_556;
const NORMAL_TAIL: f64 = 3.654_152_885_361_009;
const NORMAL_AREA: f64 = 0.004_928_673_233_974_658;

static EXPONENTIAL: Table = table(Density::Exponential, EXPONENTIAL_TAIL, EXPONENTIAL_AREA);
static NORMAL: Table = table(Density::HalfNormal, NORMAL_TAIL, NORMAL_AREA);

/// An exponential variate with mean 1.
#[inline]
pub(crate) fn exponential<R: Rng + ?Sized>(random: &mut R) -> f64 {
    let bits = random.next_u64();
    let layer = (bits & 0xff) as usize;
    let x = open_unit(bits) * EXPONENTIAL.width[layer];
    if x < EXPONENTIAL.width[layer + 1] {
        return x;
    }
    exponential_rarely(random, layer, x)
}

#[cold]
fn exponential_rarely<R: Rng + ?Sized>(random: &mut R, mut layer: usize, mut x: f64) -> f64 {
    let table = &EXPONENTIAL;
    loop {
        if x < table.width[layer + 1] {
            return x;
        }
        if layer == 0 {
            // Beyond the tail the law starts anew.
            return EXPONENTIAL_TAIL - libm::log(open_unit(random.next_u64()));
        }
        if table.height(layer, unit(random.next_u64())) < libm::exp(-x) {
            return x;
        }
        let bits = random.next_u64();
        layer = (bits & 0xff) as usize;
        x = open_unit(bits) * table.width[layer];
    }
}

/// A normal variate with mean 0 and variance 1.
#[inline]
pub(crate) fn normal<R: Rng + ?Sized>(random: &mut R) -> f64 {
    loop {
        let bits = random.next_u64();
        let layer = (bits & 0xff) as usize;
        // Bit 8 is used neither by the layer nor by the uniform.
        let sign = if bits & 0x100 == 0 { 1.0 } else { -1.0 };
        let x = open_unit(bits) * NORMAL.width[layer];
        if x < NORMAL.width[layer + 1] {
            return sign * x;
        }
        if layer == 0 {
            return sign * normal_tail(random);
        }
        if NORMAL.height(layer, unit(random.next_u64())) < libm::exp(-0.5 * x * x) {
            return sign * x;
        }
    }
}

/// Source: G. Marsaglia, "Generating a variable from the tail of the normal distribution",
/// Technometrics 6 (1964).
#[cold]
fn normal_tail<R: Rng + ?Sized>(random: &mut R) -> f64 {
    loop {
        let x = -libm::log(open_unit(random.next_u64())) / NORMAL_TAIL;
        let y = -libm::log(open_unit(random.next_u64()));
        if 2.0 * y > x * x {
            return NORMAL_TAIL + x;
        }
    }
}

impl Table {
    /// A height within `layer`, `share` of the way down from its top.
    fn height(&self, layer: usize, share: f64) -> f64 {
        let (bottom, top) = (self.density[layer], self.density[layer + 1]);
        top + (bottom - top) * share
    }
}

const fn table(density: Density, tail: f64, area: f64) -> Table {
    let mut table = Table {
        width: [0.0; LAYERS + 1],
        density: [0.0; LAYERS + 1],
    };
    table.width[0] = area / density.at(tail);
    table.width[1] = tail;
    let mut layer = 1;
    while layer < LAYERS {
        let width = table.width[layer];
        table.density[layer] = density.at(width);
        if layer + 1 < LAYERS {
            table.width[layer + 1] = density.inverse(table.density[layer] + area / width);
        }
        layer += 1;
    }
    table.density[0] = density.at(table.width[0]);
    table.density[LAYERS] = 1.0;
    table
}

impl Density {
    const fn at(self, x: f64) -> f64 {
        match self {
            Density::Exponential => exp_of_minus(x),
            Density::HalfNormal => exp_of_minus(0.5 * x * x),
        }
    }

    const fn inverse(self, density: f64) -> f64 {
        match self {
            Density::Exponential => minus_log(density),
            Density::HalfNormal => square_root(2.0 * minus_log(density)),
        }
    }
}

const LOG_2: f64 = core::f64::consts::LN_2;

/// e^-x for x from 0 to some tens: a power of two times a Taylor series in |r| < 0.35.
const fn exp_of_minus(x: f64) -> f64 {
    let halvings = (x / LOG_2 + 0.5) as u32;
    let rest = halvings as f64 * LOG_2 - x;
    let mut sum = 1.0;
    let mut term = 20;
    while term > 0 {
        sum = 1.0 + sum * rest / term as f64;
        term -= 1;
    }
    sum / (1u64 << halvings) as f64
}

/// -ln(y) for 0 < y <= 1: a power of two and the series of the area hyperbolic tangent.
const fn minus_log(mut y: f64) -> f64 {
    let mut doublings = 0;
    while y < 0.7 {
        y *= 2.0;
        doublings += 1;
    }
    let ratio = (1.0 - y) / (1.0 + y);
    let mut sum = 0.0;
    let mut power = 41;
    while power > 0 {
        sum = sum * ratio * ratio + 1.0 / power as f64;
        power -= 2;
    }
    2.0 * ratio * sum + doublings as f64 * LOG_2
}

/// Newton's iteration from above.
const fn square_root(value: f64) -> f64 {
    let mut root = value + 1.0;
    let mut step = 0;
    while step < 40 {
        root = 0.5 * (root + value / root);
        step += 1;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Draw, Seed, Stream};

    #[test]
    fn layers_have_equal_areas() {
        for (table, area) in [(&EXPONENTIAL, EXPONENTIAL_AREA), (&NORMAL, NORMAL_AREA)] {
            for layer in 1..LAYERS {
                let height = table.density[layer + 1] - table.density[layer];
                let error = table.width[layer] * height / area - 1.0;
                assert!(error.abs() < 1e-11, "layer {layer}: {error}");
            }
        }
        for layer in 1..LAYERS {
            let exact = libm::exp(-EXPONENTIAL.width[layer]);
            assert!((EXPONENTIAL.density[layer] / exact - 1.0).abs() < 2e-15);
        }
    }

    /// Counts draws in bins of equal probability, by the exact distribution function.
    fn chi_square(sample: impl Fn(&mut Draw) -> f64, probability: impl Fn(f64) -> f64) -> f64 {
        const BINS: usize = 1_000;
        const PER_BIN: u32 = 2_000;
        let mut draw = Stream::new(Seed::default(), "chi-square").draw(0, 0);
        let mut counts = [0u32; BINS];
        for _ in 0..BINS as u32 * PER_BIN {
            let bin = probability(sample(&mut draw)) * BINS as f64;
            counts[(bin as usize).min(BINS - 1)] += 1;
        }
        let expected = f64::from(PER_BIN);
        let squares = counts.map(|count| {
            let excess = f64::from(count) - expected;
            excess * excess / expected
        });
        // Standardised: mean BINS - 1, variance twice that.
        let freedom = BINS as f64 - 1.0;
        (squares.iter().sum::<f64>() - freedom) / libm::sqrt(2.0 * freedom)
    }

    #[test]
    fn variates_follow_their_laws() {
        let z = chi_square(exponential, |x| -libm::expm1(-x));
        assert!(z.abs() < 4.65, "exponential: {z}");
        let z = chi_square(normal, |x| 0.5 * libm::erfc(-x / core::f64::consts::SQRT_2));
        assert!(z.abs() < 4.65, "normal: {z}");
    }

    #[test]
    fn tails_are_reached_as_often_as_they_should() {
        let count = 4_000_000;
        let mut draw = Stream::new(Seed::default(), "tails").draw(0, 0);
        let (mut far, mut sum, mut wide) = (0.0, 0.0, 0.0);
        for _ in 0..count {
            let x = exponential(&mut draw);
            if x > EXPONENTIAL_TAIL {
                far += 1.0;
                sum += x - EXPONENTIAL_TAIL;
            }
            wide += f64::from(u8::from(normal(&mut draw).abs() > NORMAL_TAIL));
        }
        let expected = f64::from(count) * libm::exp(-EXPONENTIAL_TAIL);
        assert!(
            (far - expected).abs() < 4.65 * libm::sqrt(expected),
            "{far}"
        );
        assert!((sum / far - 1.0).abs() < 4.65 / libm::sqrt(far));
        let expected =
            f64::from(count) * libm::erfc(NORMAL_TAIL * core::f64::consts::FRAC_1_SQRT_2);
        assert!(
            (wide - expected).abs() < 4.65 * libm::sqrt(expected),
            "{wide}"
        );
    }
}
