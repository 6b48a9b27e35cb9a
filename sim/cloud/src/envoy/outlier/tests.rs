//! Traces of ejections and returns, written out by hand from the rules.

use super::*;
use engine::{Seed, Stream};

fn at(seconds: f64) -> Time {
    Time::from_secs_f64(seconds)
}

/// A detector with what it has reported.
struct Trace {
    detector: OutlierDetector,
    happenings: Vec<Happening>,
}

impl Trace {
    fn of(settings: Settings, hosts: u32) -> Self {
        Trace {
            detector: OutlierDetector::new(settings, hosts),
            happenings: Vec::new(),
        }
    }

    fn draw() -> Draw {
        Stream::new(Seed::default(), "outlier").draw(0, 0)
    }

    fn tell(&mut self, host: u32, result: Result, seconds: f64) {
        let report = |happening| self.happenings.push(happening);
        self.detector
            .tell(host, result, at(seconds), &mut Trace::draw(), report);
    }

    fn statuses(&mut self, host: u32, statuses: &[u16], seconds: f64) {
        for &status in statuses {
            self.tell(host, Result::Status(status), seconds);
        }
    }

    fn sweep(&mut self, seconds: f64) {
        let report = |happening| self.happenings.push(happening);
        self.detector.sweep(at(seconds), &mut Trace::draw(), report);
    }

    fn take(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.happenings)
    }
}

fn lenient() -> Settings {
    Settings {
        percent_max: 100,
        ..Settings::default()
    }
}

#[test]
fn what_is_an_error_may_be_said() {
    let heard = |status, errors: &[u16]| Result::Status(status).by(errors);
    assert_eq!(heard(503, &[]), Result::Status(503));
    assert_eq!(heard(300, &[]), Result::Status(300));
    // Of RouterOutlierDetectionProcessTest: no match, a match, and both of a server's error.
    assert_eq!(heard(300, &[429]), Result::Status(200));
    assert_eq!(heard(300, &[429, 300]), Result::Status(500));
    assert_eq!(heard(503, &[503]), Result::Status(503));
    assert_eq!(heard(503, &[429]), Result::Status(200));
    assert_eq!(Result::TimedOut.by(&[429]), Result::TimedOut);
    let mut trace = Trace::of(lenient(), 4);
    for status in [429; 5] {
        trace.tell(0, Result::Status(status).by(&[429]), 0.0);
    }
    assert_eq!(trace.take(), [Ejected(0, ServerErrors)]);
}

use Cause::{FailureShare as Share, GatewayErrors, LocalFailures, ServerErrors};
use Happening::{Ejected, Observed, Overflowed, Returned};

#[test]
fn the_fifth_failure_in_a_row_ejects() {
    let mut trace = Trace::of(lenient(), 5);
    trace.statuses(0, &[500, 500, 500, 500, 200, 500, 500, 500, 500], 1.0);
    assert_eq!(trace.take(), []);
    trace.statuses(0, &[500], 1.0);
    assert_eq!(trace.take(), [Ejected(0, ServerErrors)]);
    // What still arrives from it changes nothing.
    trace.statuses(0, &[500; 7], 1.1);
    assert_eq!((trace.take(), trace.detector.out()), (vec![], 1));
}

#[test]
fn gateway_errors_are_counted_apart() {
    let mut trace = Trace::of(lenient(), 5);
    trace.statuses(0, &[503, 503, 503, 503, 503], 1.0);
    assert_eq!(
        trace.take(),
        [Observed(0, GatewayErrors), Ejected(0, ServerErrors)]
    );
    // Another server error in between starts the count of gateway errors anew.
    let mut settings = lenient();
    settings.gateway_errors = Detector {
        threshold: 3,
        enforcement: Enforcement::Enforced,
    };
    let mut trace = Trace::of(settings, 5);
    trace.statuses(0, &[502, 504, 500, 503], 1.0);
    assert_eq!(trace.take(), []);
    trace.statuses(1, &[502, 503, 504], 1.0);
    assert_eq!(trace.take(), [Ejected(1, GatewayErrors)]);
}

#[test]
fn failed_connections_count_as_answers_unless_split() {
    let mut trace = Trace::of(lenient(), 5);
    for result in [Result::ConnectFailed, Result::TimedOut, Result::Reset] {
        trace.tell(0, result, 1.0);
    }
    trace.statuses(0, &[500, 500], 1.0);
    assert_eq!(trace.take(), [Ejected(0, ServerErrors)]);
    let mut trace = Trace::of(
        Settings {
            split: true,
            ..lenient()
        },
        5,
    );
    for _ in 0..4 {
        trace.tell(0, Result::ConnectFailed, 1.0);
    }
    trace.statuses(0, &[500; 4], 1.0);
    assert_eq!(trace.take(), []);
    trace.tell(0, Result::TimedOut, 1.0);
    assert_eq!(trace.take(), [Ejected(0, LocalFailures)]);
    for result in [
        Result::ConnectFailed,
        Result::Connected,
        Result::ConnectFailed,
    ] {
        trace.tell(1, result, 1.0);
    }
    assert_eq!(
        trace.detector.monitors[1].local_failures, 1,
        "a connection starts anew"
    );
}

#[test]
fn a_stream_that_is_cut_counts_as_a_failed_connection() {
    let settings = Settings {
        gateway_errors: Detector {
            threshold: 3,
            enforcement: Enforcement::Enforced,
        },
        ..lenient()
    };
    let mut trace = Trace::of(settings, 5);
    for _ in 0..3 {
        trace.tell(0, Result::Reset, 1.0);
    }
    assert_eq!(trace.take(), [Ejected(0, GatewayErrors)]);
    let split = Settings {
        split: true,
        ..lenient()
    };
    let mut trace = Trace::of(split, 5);
    for _ in 0..20 {
        trace.tell(0, Result::Connected, 1.0);
        trace.tell(0, Result::Reset, 1.0);
    }
    assert_eq!(trace.take(), [], "each request got its connection");
    for _ in 0..4 {
        trace.tell(0, Result::Reset, 1.0);
    }
    assert_eq!(trace.take(), [Ejected(0, LocalFailures)]);
}

#[test]
fn the_cap_depends_on_the_version() {
    let ejected = |cap, percent_max, hosts: u32| -> u32 {
        let settings = Settings {
            cap,
            percent_max,
            ..Settings::default()
        };
        let mut trace = Trace::of(settings, hosts);
        (0..hosts).for_each(|host| trace.statuses(host, &[500; 5], 1.0));
        trace.detector.out()
    };
    // Since 1.28 the default of 10 % ejects nobody of fewer than ten hosts.
    for (percent, hosts, expected) in [
        (10, 5, 0),
        (10, 9, 0),
        (10, 10, 1),
        (33, 3, 0),
        (34, 3, 1),
        (50, 5, 2),
        (100, 5, 5),
    ] {
        assert_eq!(
            ejected(Cap::WithNext, percent, hosts),
            expected,
            "{percent} {hosts}"
        );
    }
    for (percent, hosts, expected) in [(10, 5, 1), (0, 5, 1), (50, 5, 2), (20, 10, 2)] {
        assert_eq!(
            ejected(Cap::WithNextButFirst, percent, hosts),
            expected,
            "{percent} {hosts}"
        );
    }
    // Before, those that were out already counted, and the next one did not.
    for (percent, hosts, expected) in [(0, 5, 0), (10, 5, 1), (50, 5, 3), (20, 10, 2), (25, 10, 3)]
    {
        assert_eq!(
            ejected(Cap::WithoutNext, percent, hosts),
            expected,
            "{percent} {hosts}"
        );
    }
    assert_eq!(Cap::of_minor(27, false), Cap::WithoutNext);
    assert_eq!(Cap::of_minor(28, true), Cap::WithNext);
    assert_eq!(Cap::of_minor(31, true), Cap::WithNextButFirst);
    assert_eq!(Cap::of_minor(31, false), Cap::WithNext);
}

#[test]
fn every_trigger_above_the_cap_is_counted_and_starts_anew() {
    let mut trace = Trace::of(Settings::default(), 5);
    trace.statuses(0, &[500; 12], 1.0);
    assert_eq!(trace.take(), [Overflowed(0, ServerErrors); 2]);
}

#[test]
fn hosts_return_at_sweeps_and_stay_out_longer_each_time() {
    // Ejected at 0.8 s for 30 s: the sweep at 30 s is 0.8 s too early.
    let mut trace = Trace::of(lenient(), 5);
    trace.statuses(0, &[500; 5], 0.8);
    (1..=3).for_each(|sweep| trace.sweep(10.0 * f64::from(sweep)));
    assert_eq!(trace.take(), [Ejected(0, ServerErrors)]);
    trace.sweep(40.0);
    assert_eq!(trace.take(), [Returned(0)]);
    // 60 s from 40.8 s.
    trace.statuses(0, &[500; 5], 40.8);
    (5..=10).for_each(|sweep| trace.sweep(10.0 * f64::from(sweep)));
    assert_eq!(trace.take(), [Ejected(0, ServerErrors)]);
    trace.sweep(110.0);
    assert_eq!(trace.take(), [Returned(0)]);
    assert_eq!(trace.detector.ejections(0), 2);
}

#[test]
fn times_out_are_capped_and_forgiven_step_by_step() {
    // Base 3 s, at most 10 s, sweeps each second; the host fails as soon as it is back.
    let settings = Settings {
        interval: Duration::from_secs(1),
        base: Duration::from_secs(3),
        max: Duration::from_secs(10),
        ..lenient()
    };
    let mut trace = Trace::of(settings, 5);
    let mut lengths = Vec::new();
    let mut since = 0.0;
    trace.statuses(0, &[500; 5], since);
    let mut second = 0.0;
    while lengths.len() < 6 {
        second += 1.0;
        trace.sweep(second);
        if !trace.detector.is_out(0) {
            lengths.push(second - since);
            since = second;
            trace.statuses(0, &[500; 5], second);
        }
    }
    assert_eq!(lengths, [3.0, 6.0, 9.0, 10.0, 10.0, 10.0]);
    // The multiplier has grown to 5 (5 x 3 is not below 10 + 3). Back at `until`, it shrinks
    // from the sweep an interval later on.
    let until = second + 10.0;
    while second < until {
        second += 1.0;
        trace.sweep(second);
    }
    assert!(!trace.detector.is_out(0));
    let multipliers: Vec<u32> = (1..=6)
        .map(|sweep| {
            trace.sweep(second + f64::from(sweep));
            trace.detector.monitors[0].multiplier
        })
        .collect();
    assert_eq!(multipliers, [4, 3, 2, 1, 0, 0]);
}

#[test]
fn jitter_lengthens_times_out() {
    let settings = Settings {
        jitter: Duration::from_secs(30),
        ..lenient()
    };
    let mut detector = OutlierDetector::new(settings, 200);
    let stream = Stream::new(Seed::default(), "jitter");
    for host in 0..200 {
        for _ in 0..5 {
            let mut draw = stream.draw(u64::from(host), 0);
            detector.tell(host, Result::Status(500), at(0.0), &mut draw, |_| {});
        }
    }
    let mut left = Vec::new();
    for sweep in 1..=6 {
        detector.sweep(at(10.0 * f64::from(sweep)), &mut Trace::draw(), |_| {});
        left.push(detector.out());
    }
    assert_eq!((left[0], left[1], left[5]), (200, 200, 0));
    assert!(
        (100..160).contains(&left[3]),
        "two thirds are left at 40 s: {left:?}"
    );
}

#[test]
fn success_rates_far_below_the_others_eject() {
    let rates = [(0, 50.0), (1, 100.0), (2, 100.0), (3, 100.0), (4, 100.0)];
    assert!((success_rate_threshold(&rates, 1_900) - 52.0).abs() < 1e-9);
    let mut trace = Trace::of(lenient(), 5);
    for host in 0..5u32 {
        for request in 0..100 {
            let fails = host == 0 && request % 2 == 0;
            trace.statuses(host, &[if fails { 500 } else { 200 }], 1.0);
        }
    }
    trace.sweep(10.0);
    assert_eq!(trace.take(), [Ejected(0, Cause::SuccessRate)]);
    // What was counted before the sweep does not count again.
    trace.sweep(20.0);
    assert_eq!(trace.take(), []);
}

#[test]
fn shares_of_failures_are_observed_by_default() {
    let mut settings = lenient();
    settings.success_rate.enforcement = Enforcement::Observed;
    settings.success_rate.volume = 1_000;
    settings.server_errors.threshold = 1_000;
    let fail = |trace: &mut Trace| {
        for host in 0..trace.detector.monitors.len() as u32 {
            let status = if host == 0 { 500 } else { 200 };
            trace.statuses(host, &[status; 50], 1.0);
        }
        trace.sweep(10.0);
        trace.take()
    };
    let gone = |happenings: Vec<Happening>| -> Vec<Happening> {
        happenings
            .into_iter()
            .filter(|happening| !matches!(happening, Overflowed(..)))
            .collect()
    };
    assert_eq!(
        gone(fail(&mut Trace::of(settings, 5))),
        [Observed(0, Share)]
    );
    settings.failure_share.enforcement = Enforcement::Enforced;
    assert_eq!(gone(fail(&mut Trace::of(settings, 5))), [Ejected(0, Share)]);
    // Fewer hosts with enough requests than it needs.
    assert_eq!(
        gone(fail(&mut Trace::of(settings, 4))),
        [] as [Happening; 0]
    );
}

#[test]
fn hosts_that_stay_keep_what_was_known_of_them() {
    let mut trace = Trace::of(lenient(), 3);
    trace.statuses(0, &[500; 5], 1.0);
    trace.statuses(1, &[500; 5], 1.0);
    trace.statuses(2, &[500; 4], 1.0);
    // The first goes, a new one comes, the other two change places.
    trace.detector.renumber(&[Some(2), Some(1), None]);
    assert_eq!(trace.detector.out(), 1);
    assert!(trace.detector.is_out(1) && !trace.detector.is_out(2));
    trace.take();
    trace.statuses(0, &[500], 2.0);
    assert_eq!(trace.take(), [Ejected(0, ServerErrors)]);
}

/// A detector that leaves hosts out for good after five errors in a row.
fn five_in_a_row() -> Trace {
    Trace::of(
        Settings {
            base: Duration::from_secs(3_600),
            ..lenient()
        },
        2,
    )
}

#[test]
fn a_host_that_fails_every_fifth_time_gets_thousands_of_requests() {
    // The row CONSEC-0.2-5 of the closed forms: (q^-k - 1) / (1 - q) requests on average, which
    // are as good as exponential.
    const EXACT: f64 = 3_905.0;
    let stream = Stream::new(Seed::default(), "errors");
    let runs = 400_u32;
    let mut told = 0_u64;
    for run in 0..runs {
        let mut trace = five_in_a_row();
        let mut draw = stream.draw(0, u64::from(run));
        while trace.happenings.is_empty() {
            let status = if draw.below(5) == 0 { 500 } else { 200 };
            trace.tell(0, Result::Status(status), 1.0);
            told += 1;
        }
        assert_eq!(trace.take(), [Ejected(0, ServerErrors)]);
    }
    let mean = told as f64 / f64::from(runs);
    let error = EXACT / f64::from(runs).sqrt();
    assert!((mean - EXACT).abs() < 4.0 * error, "{mean} {error}");
}

#[test]
fn a_dead_host_is_left_out_after_the_time_of_five_arrivals() {
    // The rows CONSEC-time and CONSEC-time-p99: Erlang's law of five arrivals at 20/s, whose
    // mean is a quarter of a second and whose 99 % quantile is 0.58 s.
    let stream = Stream::new(Seed::default(), "arrivals");
    let gap = engine::Distribution::exponential(0.05).unwrap();
    let runs = 4_000_u32;
    let times = (0..runs).map(|run| {
        let mut trace = five_in_a_row();
        let mut draw = stream.draw(0, u64::from(run));
        let mut now = Time::ZERO;
        while trace.happenings.is_empty() {
            now += gap.sample(&mut draw);
            trace.tell(0, Result::ConnectFailed, now.as_secs_f64());
        }
        now.as_secs_f64()
    });
    let times: Vec<f64> = times.collect();
    let mean = times.iter().sum::<f64>() / f64::from(runs);
    // The deviation is the mean over the root of five.
    let error = 0.25 / (5.0 * f64::from(runs)).sqrt();
    assert!((mean - 0.25).abs() < 4.0 * error, "{mean} {error}");
    let late = times.iter().filter(|time| **time > 0.580_231_278_973_859);
    let late = late.count() as f64 / f64::from(runs);
    let error = (0.01 * 0.99 / f64::from(runs)).sqrt();
    assert!((late - 0.01).abs() < 4.0 * error, "{late} {error}");
}
