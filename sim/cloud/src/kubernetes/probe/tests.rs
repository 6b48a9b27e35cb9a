use super::*;
use engine::{Seed, Stream};

fn at(milliseconds: u64) -> Time {
    Time::ZERO + Duration::from_millis(milliseconds)
}

/// A container whose kubelet knows at once that it runs.
fn noticed_at_once(
    probes: Probes,
    phase: Time,
    since: Time,
    condition: Condition,
) -> (Prober, Option<Verdict>) {
    Prober::new(probes, phase, since, since, condition)
}

fn readiness(probe: Probe) -> Probes {
    Probes {
        readiness: Some(probe),
        ..Probes::default()
    }
}

/// Seconds from a change at 100 s to each verdict after it.
fn verdicts_after(prober: &mut Prober, condition: Condition, count: usize) -> Vec<(f64, Verdict)> {
    let changed = at(100_000);
    prober.set_condition(condition, changed);
    let mut told = Vec::new();
    while let Some(now) = prober.turns_at() {
        let verdict = prober.turn(now).expect("its time has come");
        told.push(((now - changed).as_secs_f64(), verdict));
        if told.len() == count {
            break;
        }
    }
    told
}

/// Mean, least and greatest time to the first verdict, over phases of the grid.
fn detection(probe: Probe, condition: Condition) -> (f64, f64, f64) {
    let period = probe.period.as_nanos();
    let phases = 10_000;
    let times: Vec<f64> = (0..phases)
        .map(|phase| {
            // Middles of equal parts of the period.
            let phase = Time::from_nanos((2 * phase + 1) * period / (2 * phases));
            let (mut prober, ready) =
                noticed_at_once(readiness(probe), phase, phase, Condition::Healthy);
            assert_eq!(ready, Some(Verdict::Ready));
            let told = verdicts_after(&mut prober, condition, 1);
            assert_eq!(told[0].1, Verdict::NotReady);
            told[0].0
        })
        .collect();
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    (mean, least, times.iter().copied().fold(0.0, f64::max))
}

#[test]
fn failures_are_found_after_their_threshold_of_probes() {
    for (failures, period) in [(3, 10), (1, 10), (5, 2), (3, 1)] {
        let probe = Probe {
            period: Duration::from_secs(period),
            failure_threshold: failures,
            ..Probe::default()
        };
        for (condition, timeout) in [(Condition::Failing, 0.0), (Condition::Hanging, 1.0)] {
            let (mean, least, greatest) = detection(probe, condition);
            let (failures, period) = (f64::from(failures), period as f64);
            let step = period / 10_000.0;
            let exact = (failures - 0.5) * period + timeout;
            assert!((mean - exact).abs() < 1e-6, "{mean} {exact}");
            assert!((least - (exact - period / 2.0)).abs() <= step, "{least}");
            assert!(
                (greatest - (exact + period / 2.0)).abs() <= step,
                "{greatest}"
            );
        }
    }
}

#[test]
fn a_short_failure_between_two_probes_is_not_seen() {
    let (mut prober, _) = noticed_at_once(
        readiness(Probe::default()),
        at(0),
        at(0),
        Condition::Healthy,
    );
    for (now, condition) in [
        (41_000, Condition::Failing),
        (49_999, Condition::Healthy),
        // Two probes fail, the third answers.
        (55_000, Condition::Failing),
        (79_000, Condition::Healthy),
    ] {
        prober.set_condition(condition, at(now));
    }
    assert_eq!(prober.turns_at(), None);
    assert!(prober.is_ready());
    let told = verdicts_after(&mut prober, Condition::Failing, 2);
    assert_eq!(told, [(20.0, Verdict::NotReady)]);
}

#[test]
fn a_hung_container_that_answers_again_is_believed_at_once() {
    let (mut prober, _) = noticed_at_once(
        readiness(Probe::default()),
        at(0),
        at(0),
        Condition::Healthy,
    );
    let told = verdicts_after(&mut prober, Condition::Hanging, 1);
    assert_eq!(told, [(21.0, Verdict::NotReady)]);
    // In the middle of the probe that begins at 130 s.
    prober.set_condition(Condition::Healthy, at(130_500));
    assert_eq!(prober.turns_at(), Some(at(130_500)));
    assert_eq!(prober.turn(at(130_500)), Some(Verdict::Ready));
    assert_eq!(prober.turns_at(), None);
}

#[test]
fn a_slow_start_waits_for_the_grid() {
    // The pod came to the node at 3 s, its container runs from 5.5 s on, answers from 16 s on.
    let (mut prober, ready) = noticed_at_once(
        readiness(Probe::default()),
        at(3_000),
        at(5_500),
        Condition::Failing,
    );
    assert_eq!(ready, None);
    prober.set_condition(Condition::Healthy, at(16_000));
    assert_eq!(prober.turns_at(), Some(at(23_000)));
    assert_eq!(prober.turn(at(23_000)), Some(Verdict::Ready));
}

#[test]
fn a_container_that_answers_when_it_starts_is_ready_at_once() {
    let (prober, ready) = noticed_at_once(
        readiness(Probe::default()),
        at(3_000),
        at(5_500),
        Condition::Healthy,
    );
    assert_eq!((ready, prober.turns_at()), (Some(Verdict::Ready), None));
    // Unless it asks to be left alone for a while.
    let patient = Probe {
        initial_delay: Duration::from_secs(9),
        ..Probe::default()
    };
    let (prober, ready) =
        noticed_at_once(readiness(patient), at(3_000), at(5_500), Condition::Healthy);
    assert_eq!((ready, prober.turns_at()), (None, Some(at(23_000))));
}

#[test]
fn a_startup_probe_holds_the_others_back() {
    let probes = Probes {
        startup: Some(Probe {
            period: Duration::from_secs(5),
            failure_threshold: 30,
            ..Probe::default()
        }),
        readiness: Some(Probe::default()),
        liveness: Some(Probe::default()),
    };
    let (mut prober, ready) = noticed_at_once(probes, at(0), at(2_000), Condition::Failing);
    assert_eq!(ready, None);
    assert!(!prober.is_ready());
    // The thirtieth failure of the probes at 5, 10, … s.
    assert_eq!(prober.turns_at(), Some(at(150_000)));
    let told = verdicts_after(&mut prober.clone(), Condition::Healthy, 3);
    assert_eq!(told, [(0.0, Verdict::Ready)]);
    let told = verdicts_after(&mut prober, Condition::Failing, 1);
    assert_eq!(told, [(50.0, Verdict::NeverStarted)]);
}

#[test]
fn what_is_not_live_is_told_before_what_is_not_ready() {
    let probes = Probes {
        startup: None,
        readiness: Some(Probe::default()),
        liveness: Some(Probe::default()),
    };
    let (mut prober, _) = noticed_at_once(probes, at(0), at(0), Condition::Healthy);
    let told = verdicts_after(&mut prober, Condition::Failing, 2);
    assert_eq!(told, [(20.0, Verdict::NotLive), (20.0, Verdict::NotReady)]);
    // A container that is stopping is no longer tested for life.
    let (mut prober, _) = noticed_at_once(probes, at(0), at(0), Condition::Healthy);
    prober.stop();
    let told = verdicts_after(&mut prober, Condition::Failing, 2);
    assert_eq!(told, [(20.0, Verdict::NotReady)]);
}

/// Probe by probe: what the count must agree with. Conditions are constant from each of the
/// given milliseconds on; nothing hangs.
fn probe_by_probe(probe: Probe, phase: u64, changes: &[(u64, bool)], end: u64) -> Vec<(u64, bool)> {
    let (mut last, mut run, mut verdict) = (true, 0, true);
    let mut told = Vec::new();
    let mut now = phase;
    while now <= end {
        let passed = changes.iter().take_while(|(at, _)| *at <= now);
        let good = passed.last().is_none_or(|(_, good)| *good);
        run = if good == last { run + 1 } else { 1 };
        last = good;
        let threshold = match good {
            true => probe.success_threshold,
            false => probe.failure_threshold,
        };
        if run >= threshold && verdict != good {
            verdict = good;
            told.push((now, good));
        }
        now += probe.period.as_nanos() / 1_000_000;
    }
    told
}

#[test]
fn counting_ahead_agrees_with_every_probe() {
    let stream = Stream::new(Seed::default(), "random conditions");
    let mut changes_seen = 0;
    for case in 0..2_000 {
        let mut draw = stream.draw(case, 0);
        let probe = Probe {
            period: Duration::from_millis(u64::from(draw.below(3_000)) + 1),
            success_threshold: draw.below(3) + 1,
            failure_threshold: draw.below(4) + 1,
            ..Probe::default()
        };
        let phase = u64::from(draw.below(1_000));
        let mut now = phase;
        let mut good = true;
        let changes: Vec<_> = (0..20)
            .map(|_| {
                now += u64::from(draw.below(5_000)) + 1;
                good = !good;
                (now, good)
            })
            .collect();
        let end = now + 20_000;
        let condition = Condition::Healthy;
        let mut worker = Worker::new(probe, at(phase), at(phase), Some(true), condition);
        let mut told = Vec::new();
        let mut turns = |worker: &mut Worker, before: u64| {
            while let Some(time) = worker.turns_at().filter(|&time| time < at(before)) {
                worker.turn(time);
                told.push((time.as_nanos() / 1_000_000, worker.verdict == Some(true)));
            }
        };
        for &(time, good) in &changes {
            turns(&mut worker, time);
            let condition = match good {
                true => Condition::Healthy,
                false => Condition::Failing,
            };
            worker.set_condition(condition, at(time));
        }
        turns(&mut worker, end + 1);
        assert_eq!(
            told,
            probe_by_probe(probe, phase, &changes, end),
            "case {case}"
        );
        changes_seen += told.len();
    }
    assert!(changes_seen > 5_000, "{changes_seen}");
}
