//! Means that are told more exactly by a companion whose mean is known.
//!
//! What it models: one value per replication beside one *control*, such as how busy a server was,
//! whose expectation is known. Where the control came out too high by chance, so did what goes
//! along with it: the estimate is what the least-squares line through the replications says at
//! the control's expectation, Ȳ − b(X̄ − μ), with Student's t of n − 2 degrees and the standard
//! error of a line at a point. At a correlation ρ the variance shrinks by 1 − ρ². Leaves out:
//! several controls at once. Sources: Lavenberg and Welch, A Perspective on the Use of Control
//! Variables, Management Science 27, 1981; Law, Simulation Modeling and Analysis, 11.4. Validated
//! by a line worked out by hand, below, and by coverage in `tests/promises/coverage.rs`.

use crate::distribution::student_t_quantile;
use crate::estimate::{Estimate, Method};
use crate::interval::mean_interval;
use crate::sample::mean;

/// Mean of `values` where `controls`, of the same replications, have the mean `expected`. As
/// [`mean_interval`] from fewer than three values, or if the control never varies.
///
/// # Panics
/// If the lengths differ, a value is not a number or `confidence` is not inside (0, 1).
#[must_use]
pub fn controlled_interval(
    values: &[f64],
    controls: &[f64],
    expected: f64,
    confidence: f64,
) -> Estimate {
    assert_eq!(values.len(), controls.len(), "each value needs its control");
    let plain = || mean_interval(values, confidence);
    let (Some(centre), Some(middle)) = (mean(values), mean(controls)) else {
        return plain();
    };
    let pairs = || {
        let both = values.iter().zip(controls);
        both.map(|(value, control)| (value - centre, control - middle))
    };
    let spread: f64 = pairs().map(|(_, control)| control * control).sum();
    if values.len() < 3 || spread == 0.0 {
        return plain();
    }
    let together: f64 = pairs().map(|(value, control)| value * control).sum();
    let slope = together / spread;
    let residual_squares: f64 = pairs()
        .map(|(value, control)| value - slope * control)
        .map(|residual| residual * residual)
        .sum();
    let (count, distance) = (values.len() as f64, expected - middle);
    let degrees = count - 2.0;
    let variance = residual_squares / degrees * (1.0 / count + distance * distance / spread);
    let quantile = student_t_quantile(degrees, 1.0 - (1.0 - confidence) / 2.0);
    let half_width = quantile * libm::sqrt(variance);
    let value = centre + slope * distance;
    let samples = u32::try_from(values.len()).unwrap_or(u32::MAX);
    Estimate::between(
        value,
        value - half_width,
        value + half_width,
        samples,
        Method::StudentT,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_worked_out_by_hand() {
        // Means 5 and 3, Σx² = 10 and Σxy = 20 around them: the slope is 2, and at 2 the line says
        // 3. Residuals 1, -1, 0, -1 and 1: their squares add up to 4.
        let values = [2.0, 2.0, 5.0, 6.0, 10.0];
        let controls = [1.0, 2.0, 3.0, 4.0, 5.0];
        let found = controlled_interval(&values, &controls, 2.0, 0.95);
        assert!((found.value - 3.0).abs() < 1e-12, "{found:?}");
        // t of 3 degrees is 3.182446; the standard error is √(4/3 · (1/5 + 1/10)).
        let expected = 3.182_446_305 * libm::sqrt(0.4);
        let half_width = found.half_width().unwrap();
        assert!((half_width - expected).abs() < 1e-6, "{found:?}");
        assert_eq!(found.samples, 5);
    }

    #[test]
    fn what_cannot_be_controlled_is_a_mean() {
        let values = [1.0, 2.0, 6.0];
        let plain = mean_interval(&values, 0.95);
        assert_eq!(controlled_interval(&values, &[4.0; 3], 5.0, 0.95), plain);
        let few = controlled_interval(&values[..2], &[1.0, 2.0], 5.0, 0.95);
        assert_eq!(few, mean_interval(&values[..2], 0.95));
        assert_eq!(controlled_interval(&[], &[], 5.0, 0.95).samples, 0);
    }
}
