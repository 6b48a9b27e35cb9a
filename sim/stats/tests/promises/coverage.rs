//! A nominal 95 % interval covers the truth in 95 % of studies: M/M/1 by Lindley's recursion,
//! apart from any simulator, each study judged as the simulator's own would be.

use hdrhistogram::Histogram;
use stats::closed_forms::single_server::Mm1;
use stats::{average_series, controlled_interval, mean_interval, mser5, quantile_interval};

/// Studies per row; at 95 % their share of hits has a standard error of 1.1 points.
const STUDIES: u64 = 400;
const REPLICATIONS: u64 = 20;
/// Allowed distance from 95 %.
const DISTANCE: f64 = 0.025;

/// SplitMix64 (Steele, Lea and Flood 2014): apart from the engine's generator too.
struct Uniform(u64);

impl Uniform {
    fn new(study: u64, replication: u64) -> Self {
        let mut generator = Self(study * 1_000_003 + replication);
        // Neighbouring seeds are decorrelated by one output.
        Self(generator.word())
    }

    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn exponential(&mut self) -> f64 {
        // In (0, 1]: 53 bits, shifted by one.
        let unit = ((self.word() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        -libm::log(unit)
    }
}

/// Waits of the first customers to an empty M/M/1 with μ = 1.
fn waits(load: f64, mut random: Uniform, mut each: impl FnMut(usize, f64), count: usize) {
    let mut wait = 0.0_f64;
    for index in 0..count {
        each(index, wait);
        wait = (wait + random.exponential() - random.exponential() / load).max(0.0);
    }
}

fn covered(hits: u64) -> bool {
    (hits as f64 / STUDIES as f64 - 0.95).abs() <= DISTANCE
}

/// How many studies of `discarded` + `counted` customers per replication hold the true mean
/// wait, and its true p99.
fn hits(load: f64, discarded: usize, counted: usize) -> (u64, u64) {
    let queue = Mm1 {
        arrival_rate: load,
        service_rate: 1.0,
    };
    let (mut mean_hits, mut quantile_hits) = (0, 0);
    for study in 0..STUDIES {
        let mut means = Vec::new();
        let mut histograms = Vec::new();
        for replication in 0..REPLICATIONS {
            let mut sum = 0.0;
            let mut histogram = Histogram::<u64>::new(3).unwrap();
            let each = |index: usize, wait: f64| {
                if index >= discarded {
                    sum += wait;
                    histogram.record((wait * 1e9) as u64).unwrap();
                }
            };
            let random = Uniform::new(study, replication);
            waits(load, random, each, discarded + counted);
            means.push(sum / counted as f64);
            histograms.push(histogram);
        }
        let mean = mean_interval(&means, 0.95);
        mean_hits += u64::from(holds(&mean, queue.wait_mean()));
        let p99 = quantile_interval(&histograms, 0.99, 0.95, 1e-9).unwrap();
        quantile_hits += u64::from(holds(&p99, queue.wait_quantile(0.99)));
    }
    (mean_hits, quantile_hits)
}

#[test]
fn mean_and_p99_cover_at_half_load() {
    let (mean, p99) = hits(0.5, 200, 5_200);
    assert!(covered(mean), "mean: {mean} of {STUDIES}");
    assert!(covered(p99), "p99: {p99} of {STUDIES}");
}

#[test]
fn mean_and_p99_cover_at_four_fifths_load() {
    let (mean, p99) = hits(0.8, 1_000, 20_000);
    assert!(covered(mean), "mean: {mean} of {STUDIES}");
    assert!(covered(p99), "p99: {p99} of {STUDIES}");
}

/// A p99 would need ten times this length.
#[test]
fn the_mean_covers_at_nine_tenths_load() {
    let (mean, _) = hits(0.9, 2_000, 10_000);
    assert!(covered(mean), "mean: {mean} of {STUDIES}");
}

/// What a queue's server had to do goes along with how long customers waited.
#[test]
fn a_controlled_mean_covers_and_is_narrower() {
    let (load, discarded, counted) = (0.8, 1_000, 20_000);
    let queue = Mm1 {
        arrival_rate: load,
        service_rate: 1.0,
    };
    let (mut hits, mut widths, mut plain_widths) = (0, 0.0, 0.0);
    for study in 0..STUDIES {
        let replications = 0..REPLICATIONS;
        let (means, drifts): (Vec<f64>, Vec<f64>) = replications
            .map(|replication| {
                let mut random = Uniform::new(study + 20_000, replication);
                let (mut wait, mut sum, mut drift) = (0.0_f64, 0.0, 0.0);
                for index in 0..discarded + counted {
                    let step = random.exponential() - random.exponential() / load;
                    if index >= discarded {
                        (sum, drift) = (sum + wait, drift + step);
                    }
                    wait = (wait + step).max(0.0);
                }
                (sum / f64::from(counted), drift / f64::from(counted))
            })
            .unzip();
        let expected = 1.0 - 1.0 / load;
        let controlled = controlled_interval(&means, &drifts, expected, 0.95);
        hits += u64::from(holds(&controlled, queue.wait_mean()));
        widths += controlled.half_width().unwrap();
        plain_widths += mean_interval(&means, 0.95).half_width().unwrap();
    }
    assert!(covered(hits), "{hits} of {STUDIES}");
    // Of the variance of a mean number in the system, 2(1 + ρ)/(ρ(1 − ρ)²) of its square per unit
    // of time, 2/(ρ(1 − ρ)²) goes along with the load: 1 in 1 + ρ. √(1 − 1/1.8) = 0.67.
    let narrower = widths / plain_widths;
    assert!((0.6..0.8).contains(&narrower), "{narrower}");
}

fn holds(estimate: &stats::Estimate, truth: f64) -> bool {
    estimate.low.unwrap() <= truth && truth <= estimate.high.unwrap()
}

/// MSER-5 chosen on the average of one set of replications and used on another.
#[test]
fn warm_up_found_on_pilots_leaves_coverage_whole() {
    let (load, count) = (0.8, 4_000);
    let truth = Mm1 {
        arrival_rate: load,
        service_rate: 1.0,
    }
    .wait_mean();
    let series = |study: u64, replication: u64| {
        let mut values = vec![0.0; count];
        let each = |index: usize, wait: f64| values[index] = wait;
        waits(load, Uniform::new(study, replication), each, count);
        values
    };
    let (mut hits, mut alarms) = (0, 0);
    for study in 0..STUDIES {
        let study = study + 10_000;
        let pilots: Vec<Vec<f64>> = (0..10).map(|pilot| series(study, 1_000 + pilot)).collect();
        let cut = mser5(&average_series(&pilots));
        alarms += u64::from(cut.too_short);
        let means: Vec<f64> = (0..REPLICATIONS)
            .map(|replication| {
                let kept = &series(study, replication)[cut.truncation..];
                kept.iter().sum::<f64>() / kept.len() as f64
            })
            .collect();
        hits += u64::from(holds(&mean_interval(&means, 0.95), truth));
    }
    assert!(covered(hits), "{hits} of {STUDIES}, {alarms} alarms");
    assert!(
        alarms < STUDIES / 10,
        "{alarms} runs of {STUDIES} called too short"
    );
}
