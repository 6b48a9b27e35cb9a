//! How much of a run's start to discard.
//!
//! What it models: MSER-5, which cuts where the standard error of what remains is least,
//! to be applied to the **average over replications** ([`average_series`]); on a single run
//! it picks a low stretch and ruins coverage. Use the truncation on fresh replications.
//! Leaves out: Welch's graphical method (a plot's business). Sources: White 1997; White,
//! Cobb and Spratt 2000; Hoad and Robinson 2011. It can fail on transients that look like a
//! fluid limit (Wang and Glynn 2016). Validated against exact rational vectors in
//! `tests/promises/oracles.rs`.

/// Observations per batch, the 5 of MSER-5.
const BATCH: usize = 5;
/// Batches that the unrestricted minimum must keep.
const BATCHES_KEPT_MIN: usize = 10;

/// Where MSER-5 cuts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mser5 {
    /// Observations to discard from the start.
    pub truncation: usize,
    /// Σ(Z_i − Z̄)²/m² over the m batch means Z that are kept.
    pub statistic: f64,
    /// Whether the unrestricted minimum lies in the second half, or there are too few batches
    /// to tell: lengthen the run.
    pub too_short: bool,
}

/// MSER-5 with at most half of the batches discarded (d ≤ k/2).
#[must_use]
pub fn mser5(series: &[f64]) -> Mser5 {
    mser5_within(series, |batches| batches / 2)
}

/// MSER-5 that may discard all but the last ten batches; for the alarm and for study.
#[must_use]
pub fn mser5_unrestricted(series: &[f64]) -> Mser5 {
    mser5_within(series, |batches| batches - BATCHES_KEPT_MIN)
}

fn mser5_within(series: &[f64], discarded_max: impl Fn(usize) -> usize) -> Mser5 {
    let statistics = mser_statistics(series);
    let batches = statistics.len();
    if batches < BATCHES_KEPT_MIN {
        return Mser5 {
            truncation: 0,
            statistic: statistics.first().copied().unwrap_or(0.0),
            too_short: true,
        };
    }
    let least_within = |max: usize| {
        (1..=max).fold(0, |best, d| {
            if statistics[d] < statistics[best] {
                d
            } else {
                best
            }
        })
    };
    let cut = least_within(discarded_max(batches));
    Mser5 {
        truncation: cut * BATCH,
        statistic: statistics[cut],
        too_short: least_within(batches - BATCHES_KEPT_MIN) > batches / 2,
    }
}

/// The statistic after discarding d batches, for every d; a last partial batch is left out.
fn mser_statistics(series: &[f64]) -> Vec<f64> {
    let batch_means: Vec<f64> = series
        .chunks_exact(BATCH)
        .map(|batch| batch.iter().sum::<f64>() / BATCH as f64)
        .collect();
    let mut statistics = vec![0.0; batch_means.len()];
    // From the end, so that Welford's update makes all of them in one pass.
    let (mut kept, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for (d, value) in batch_means.iter().enumerate().rev() {
        kept += 1.0;
        let distance = value - mean;
        mean += distance / kept;
        squares += distance * (value - mean);
        statistics[d] = squares / (kept * kept);
    }
    statistics
}

/// Mean per index over replications, as long as the shortest one.
#[must_use]
pub fn average_series(series: &[Vec<f64>]) -> Vec<f64> {
    let length = series.iter().map(Vec::len).min().unwrap_or(0);
    (0..length)
        .map(|index| series.iter().map(|run| run[index]).sum::<f64>() / series.len() as f64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_cut_off() {
        let series: Vec<f64> = (0..500_u32)
            .map(|i| {
                if i < 100 {
                    0.0
                } else {
                    10.0 + f64::from(i % 7)
                }
            })
            .collect();
        let cut = mser5(&series);
        assert!((100..=110).contains(&cut.truncation), "{cut:?}");
        assert!(!cut.too_short);
    }

    #[test]
    fn a_late_step_says_too_short() {
        let series: Vec<f64> = (0..500_u32)
            .map(|i| {
                if i < 350 {
                    0.0
                } else {
                    10.0 + f64::from(i % 7)
                }
            })
            .collect();
        let cut = mser5(&series);
        assert!(cut.too_short && cut.truncation <= 250, "{cut:?}");
        assert!((350..=360).contains(&mser5_unrestricted(&series).truncation));
    }

    #[test]
    fn constant_and_short_series() {
        assert_eq!(mser5(&[3.0; 200]).truncation, 0);
        assert!(!mser5(&[3.0; 200]).too_short);
        assert!(mser5(&[3.0; 49]).too_short);
        assert!(mser5(&[]).too_short);
    }

    #[test]
    fn averages_stop_at_the_shortest() {
        let average = average_series(&[vec![1.0, 2.0, 3.0], vec![3.0, 4.0]]);
        assert_eq!(average, [2.0, 3.0]);
        assert!(average_series(&[]).is_empty());
    }
}
