//! What holds for all inputs.

use hdrhistogram::Histogram;
use proptest::prelude::*;
use stats::little::{Stay, little_residual, little_residual_from_sums};

fn histogram(values: &[u64]) -> Histogram<u64> {
    let mut histogram = Histogram::new(3).unwrap();
    values
        .iter()
        .for_each(|&value| histogram.record(value).unwrap());
    histogram
}

/// ∫N dt over [start, end) by sweeping instants, independent of the audit's own sum.
fn integral(stays: &[Stay], start: u64, end: u64) -> u128 {
    (start..end)
        .map(|instant| {
            let present = stays.iter().filter(|stay| {
                stay.arrival_ns <= instant && stay.departure_ns.is_none_or(|at| at > instant)
            });
            present.count() as u128
        })
        .sum()
}

proptest! {
    #[test]
    fn littles_law_is_an_identity(
        raw in prop::collection::vec((0_u64..60, prop::option::of(0_u64..60)), 0..20),
        start in 0_u64..30,
        width in 1_u64..30,
    ) {
        let stays: Vec<Stay> = raw
            .iter()
            .map(|&(arrival_ns, length)| Stay {
                arrival_ns,
                departure_ns: length.map(|length| arrival_ns + length),
            })
            .collect();
        let number = integral(&stays, start, start + width);
        prop_assert_eq!(little_residual(number, stays.iter().copied(), start, start + width), 0);
        prop_assert_eq!(little_residual(number + 1, stays, start, start + width), 1);
    }

    #[test]
    fn littles_law_from_sums(raw in prop::collection::vec((0_u64..40, 0_u64..60), 0..20)) {
        let end = 50;
        let stays: Vec<Stay> = raw
            .iter()
            .map(|&(arrival_ns, length)| Stay {
                arrival_ns,
                departure_ns: (arrival_ns + length <= end).then_some(arrival_ns + length),
            })
            .collect();
        let number = integral(&stays, 0, end);
        let arrivals: u128 = stays.iter().map(|stay| u128::from(stay.arrival_ns)).sum();
        let departures: u128 =
            stays.iter().filter_map(|stay| stay.departure_ns).map(u128::from).sum();
        let present = stays.iter().filter(|stay| stay.departure_ns.is_none()).count() as u64;
        prop_assert_eq!(
            little_residual_from_sums(number, arrivals, departures, present, end),
            0
        );
    }

    #[test]
    fn intervals_hold_their_values(values in prop::collection::vec(-1e6_f64..1e6, 2..40)) {
        let estimate = stats::mean_interval(&values, 0.95);
        let (low, high) = (estimate.low.unwrap(), estimate.high.unwrap());
        prop_assert!(low <= estimate.value && estimate.value <= high);
        let wider = stats::mean_interval(&values, 0.99);
        prop_assert!(wider.low.unwrap() <= low && wider.high.unwrap() >= high);
    }

    #[test]
    fn shares_stay_within_bounds_and_are_never_certain(
        counts in prop::collection::vec((0_u64..50, 0_u64..50), 2..20),
    ) {
        let successes: Vec<u64> = counts.iter().map(|&(good, _)| good).collect();
        let totals: Vec<u64> = counts.iter().map(|&(good, bad)| good + bad).collect();
        let estimate = stats::share_interval(&successes, &totals, 0.95);
        let (low, high) = (estimate.low.unwrap(), estimate.high.unwrap());
        prop_assert!(0.0 <= low && low <= estimate.value);
        prop_assert!(estimate.value <= high && high <= 1.0);
        prop_assert!(high > low, "certainty from {estimate:?}");
    }

    #[test]
    fn the_order_of_replications_does_not_move_quantiles(
        runs in prop::collection::vec(prop::collection::vec(1_u64..1_000_000, 120..140), 2..6),
        p in 0.45_f64..0.55,
    ) {
        let forward: Vec<_> = runs.iter().map(|run| histogram(run)).collect();
        let backward: Vec<_> = forward.iter().rev().cloned().collect();
        let a = stats::quantile_interval(&forward, p, 0.95, 1.0).unwrap();
        let b = stats::quantile_interval(&backward, p, 0.95, 1.0).unwrap();
        prop_assert_eq!(a.value, b.value);
        prop_assert!((a.high.unwrap() - b.high.unwrap()).abs() <= 1e-9 * a.high.unwrap());
        prop_assert!(a.low.unwrap() <= a.value && a.value <= a.high.unwrap());
    }

    #[test]
    fn clopper_pearson_holds_wilson_s_centre(trials in 1_u64..5_000, share in 0.0_f64..1.0) {
        let successes = (share * trials as f64) as u64;
        let (low, high) = stats::clopper_pearson(successes, trials, 0.95);
        let observed = successes as f64 / trials as f64;
        prop_assert!(low <= observed && observed <= high);
        let (score_low, score_high) = stats::wilson(successes, trials, 0.95);
        prop_assert!(score_low <= observed && observed <= score_high);
    }

    #[test]
    fn quantiles_invert_their_laws(degrees in 1_u32..200, p in 0.001_f64..0.999) {
        let degrees = f64::from(degrees);
        let t = stats::student_t_quantile(degrees, p);
        prop_assert!((stats::student_t_cdf(degrees, t) - p).abs() < 1e-12);
        let x = stats::gamma_quantile(degrees, p);
        prop_assert!((stats::gamma_cdf(degrees, x) - p).abs() < 1e-11);
    }
}
