use super::*;
use crate::random::{Seed, Stream};

type Made = Result<Distribution, DistributionError>;

fn laws(unit: f64) -> Vec<(&'static str, Made)> {
    let value = Duration::from_secs_f64(3.0 * unit);
    vec![
        ("constant", Ok(Distribution::constant(value))),
        ("exponential", Distribution::exponential(2.0 * unit)),
        (
            "lognormal by median",
            Distribution::lognormal_from_median(unit, 5.0 * unit),
        ),
        (
            "lognormal by mean",
            Distribution::lognormal_from_mean(2.0 * unit, 0.8),
        ),
        ("gamma below 1", Distribution::gamma(unit, 1.7)),
        ("gamma of 1", Distribution::gamma(unit, 1.0)),
        ("gamma above 1", Distribution::gamma(unit, 0.4)),
        ("Weibull", Distribution::weibull(0.7, unit)),
        ("Pareto", Distribution::pareto(6.5, unit)),
        (
            "bounded Pareto",
            Distribution::bounded_pareto(1.1, unit, 50.0 * unit),
        ),
        (
            "bounded Pareto of shape 1",
            Distribution::bounded_pareto(1.0, unit, 50.0 * unit),
        ),
        (
            "bounded Pareto of shape 2",
            Distribution::bounded_pareto(2.0, unit, 50.0 * unit),
        ),
        ("uniform", Distribution::uniform(unit, 4.0 * unit)),
        (
            "hyperexponential",
            Distribution::hyperexponential(vec![(0.9, unit), (0.1, 20.0 * unit)]),
        ),
        (
            "balanced",
            Distribution::hyperexponential_balanced(unit, 2.0),
        ),
        (
            "empirical",
            Distribution::empirical(vec![(7.0 * unit, 1.0), (unit, 3.0), (2.0 * unit, 6.0)]),
        ),
    ]
}

fn stream(name: &str) -> Stream {
    let seed = Seed {
        master: 42,
        replication: 0,
    };
    Stream::new(seed, name)
}

/// The mean of `values` in standard errors from `exact`.
fn deviation(values: &[f64], exact: f64) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean) * (value - mean));
    let error = libm::sqrt(squares.sum::<f64>() / count / count);
    (mean - exact) / error.max(1e-9 * exact)
}

#[test]
fn samples_have_the_exact_first_two_moments() {
    for (name, law) in laws(0.01) {
        let law = law.unwrap();
        let stream = stream(name);
        let samples: Vec<f64> = (0..400_000)
            .map(|number| law.sample(&mut stream.draw(number, 0)).as_secs_f64())
            .collect();
        let z = deviation(&samples, law.mean());
        assert!(z.abs() < 4.65, "mean of {name}: {z} standard errors");
        let squares: Vec<f64> = samples.iter().map(|x| x * x).collect();
        let z = deviation(&squares, law.second_moment());
        assert!(
            z.abs() < 4.65,
            "second moment of {name}: {z} standard errors"
        );
    }
}

#[test]
fn moments_are_those_of_the_parameters() {
    let lognormal = Distribution::lognormal_from_mean(2.0, 0.5).unwrap();
    assert!((lognormal.mean() - 2.0).abs() < 1e-14);
    assert!((lognormal.second_moment() - 5.0).abs() < 1e-14);
    let balanced = Distribution::hyperexponential_balanced(3.0, 4.0).unwrap();
    assert!((balanced.mean() - 3.0).abs() < 1e-14);
    assert!((balanced.second_moment() - 9.0 * 17.0).abs() < 1e-12);
    let heavy = Distribution::pareto(1.0, 1.0).unwrap();
    assert!(heavy.mean().is_infinite() && heavy.second_moment().is_infinite());
}

#[test]
fn percentiles_are_those_of_the_parameters() {
    let law = Distribution::lognormal_from_median(0.004, 0.030).unwrap();
    let stream = stream("percentiles");
    let samples = (0..100_000).map(|number| law.sample(&mut stream.draw(number, 0)));
    let samples: Vec<Duration> = samples.collect();
    let share_above = |limit: Duration| {
        samples.iter().filter(|&&sample| sample > limit).count() as f64 / samples.len() as f64
    };
    assert!((share_above(Duration::from_millis(4)) - 0.5).abs() < 4.65 * 0.00159);
    assert!((share_above(Duration::from_millis(30)) - 0.01).abs() < 4.65 * 0.000_315);
}

/// A million seconds is 10^15 nanoseconds, so a sample shows nearly all bits of its float: another
/// mathematics library, or another generator, would show here.
#[test]
fn golden_samples() {
    let mut found = String::new();
    for (name, law) in laws(1e6) {
        let law = law.unwrap();
        let mut draw = stream(name).draw(7, 1);
        let samples: Vec<u64> = (0..3).map(|_| law.sample(&mut draw).as_nanos()).collect();
        // Many draws, so that rare branches are taken.
        let sum = (0..100_000).fold(0u64, |sum, _| {
            sum.rotate_left(1) ^ law.sample(&mut draw).as_nanos()
        });
        found += &format!("{name}: {samples:?} {sum:#x}\n");
    }
    assert_eq!(found, GOLDEN);
}

const GOLDEN: &str = "\
constant: [3000000000000000, 3000000000000000, 3000000000000000] 0xa5c8e7d6a5c8e7d6
exponential: [239016220291087, 172377700600646, 1276727274395606] 0x2205fc16df00b7f8
lognormal by median: [932563710955525, 673113741030184, 781600844999590] 0xfb8d5c773eb32487
lognormal by mean: [1563734820555229, 1114277966815276, 2179649304511571] 0x9faf105217c1a841
gamma below 1: [108749442160417, 95911622971806, 1750911915106810] 0x7df2ccb45eb45d1c
gamma of 1: [543563214439864, 427168062096121, 210788110361058] 0x523bfacc393b2956
gamma above 1: [940428066984693, 1478917615058898, 519367973187768] 0x71a7a5faa3c3fef0
Weibull: [1669095733203259, 336449135231391, 929517149988293] 0x289e9b38b69dda5d
Pareto: [1163855502089307, 1026577228849869, 1264210516104571] 0x371d973fa6c00e1d
bounded Pareto: [1887364936560777, 1084521160695426, 1090744067404706] 0x7661dc75d5f8ace0
bounded Pareto of shape 1: [1700193991560076, 4971642352562719, 1653734998204576] 0xcbbec3e9e9275cdc
bounded Pareto of shape 2: [2712545637894580, 1033317032166401, 1432760423053631] 0x39556690f1bae5e6
uniform: [1491900540927986, 1501871409726014, 1696076936766174] 0xedbba3e4e8f8045d
hyperexponential: [9269633988083548, 705947314992366, 439338966797689] 0xff0b4b5a084b9fa
balanced: [91931194953248, 46291141019559, 65362571416626] 0xc845844a1f485724
empirical: [1000000000000000, 1000000000000000, 2000000000000000] 0xd2b24ef07155759
";

#[test]
fn samples_saturate() {
    let law = Distribution::pareto(1e-3, 1.0).unwrap();
    let stream = stream("saturate");
    let longest = (0..100)
        .map(|number| law.sample(&mut stream.draw(number, 0)))
        .max();
    assert_eq!(longest, Some(Duration::MAX));
}

#[test]
fn the_bounds_of_a_bounded_law_hold() {
    let law = Distribution::bounded_pareto(0.1, 1.0, 2.0).unwrap();
    let stream = stream("bounds");
    for number in 0..10_000 {
        let sample = law.sample(&mut stream.draw(number, 0));
        assert!((Duration::from_secs(1)..=Duration::from_secs(2)).contains(&sample));
    }
}

#[test]
fn impossible_parameters_are_errors_that_say_why() {
    let cases = [
        (
            Distribution::exponential(0.0),
            "the mean must be positive, but is 0",
        ),
        (
            Distribution::exponential(f64::NAN),
            "the mean must be positive, but is NaN",
        ),
        (
            Distribution::lognormal_from_median(0.03, 0.004),
            "the 99th percentile (0.004) must be greater than the median (0.03); without any \
             spread, use a constant",
        ),
        (
            Distribution::lognormal_from_mean(1.0, -1.0),
            "the coefficient of variation must be positive, but is -1",
        ),
        (
            Distribution::gamma(1.0, 0.0),
            "the coefficient of variation must be positive, but is 0",
        ),
        (
            Distribution::weibull(f64::INFINITY, 1.0),
            "the shape must be positive, but is inf",
        ),
        (
            Distribution::pareto(1.0, 0.0),
            "the least value must be positive, but is 0",
        ),
        (
            Distribution::bounded_pareto(1.0, 2.0, 2.0),
            "the greatest value (2) must be greater than the least value (2); without any spread, \
             use a constant",
        ),
        (
            Distribution::uniform(-1.0, 1.0),
            "the low value must not be negative, but is -1",
        ),
        (
            Distribution::hyperexponential(vec![(0.5, 1.0), (0.4, 2.0)]),
            "the probabilities must sum to 1, but sum to 0.9",
        ),
        (
            Distribution::hyperexponential(vec![]),
            "at least one branch is needed",
        ),
        (
            Distribution::hyperexponential_balanced(1.0, 0.5),
            "the coefficient of variation of a hyperexponential law is at least 1, but is 0.5; use \
             a gamma or lognormal law for less",
        ),
        (
            Distribution::empirical(vec![]),
            "at least one value is needed",
        ),
        (
            Distribution::empirical(vec![(1.0, 0.0)]),
            "the weight must be positive, but is 0",
        ),
    ];
    for (made, expected) in cases {
        assert_eq!(made.unwrap_err().to_string(), expected);
    }
}
