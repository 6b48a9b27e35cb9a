//! Sequences worked out by hand from the rules of the original.

use super::proposal::{PodSample, SamplePhase, Tolerance, Usage, propose};
use super::*;
use crate::scenario::{Metric, WorkloadId};
use engine::{Duration, Time};

const WINDOW: Duration = Duration::from_secs(15);

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

fn settings(minor: u32) -> Settings {
    Settings::of(minor)
}

/// A pod that has long been ready and uses this much of its 100 thousandths of a core.
fn busy(cpu_milli: u64, now: Time) -> PodSample {
    PodSample {
        phase: SamplePhase::Running,
        started: at(0),
        ready: true,
        ready_changed: at(2),
        cpu_request_milli: Some(100),
        usage: Some(Usage {
            cpu_milli,
            requests_milli: 10 * cpu_milli,
            taken: now,
            window: WINDOW,
        }),
    }
}

/// Pods in a notation of one letter each: digits use this many tenths of their request,
/// `P` is pending, `M` has no sample, `U` runs and is not ready, `L` leaves.
fn pods(notation: &str, now: Time) -> Vec<PodSample> {
    let pod = |letter: char| {
        let idle = busy(0, now);
        match letter {
            'P' => PodSample {
                phase: SamplePhase::Pending,
                usage: None,
                ..idle
            },
            'M' => PodSample {
                usage: None,
                ..idle
            },
            'U' => PodSample {
                started: now,
                ready: false,
                ready_changed: now,
                ..idle
            },
            'L' => PodSample {
                phase: SamplePhase::Leaving,
                ..busy(100, now)
            },
            digit => busy(10 * u64::from(digit.to_digit(36).expect("a digit")), now),
        }
    };
    notation.chars().map(pod).collect()
}

fn proposed(metric: Metric, notation: &str, replicas: u32) -> Option<u32> {
    let now = at(1_000);
    let tolerance = Tolerance { up: 0.1, down: 0.1 };
    let pods = pods(notation, now);
    let proposal = propose(&metric, &pods, replicas, now, &settings(33), tolerance);
    proposal.map(|proposal| proposal.replicas)
}

#[test]
fn one_metric_proposes_by_ratio() {
    let half = Metric::CpuUtilization(50);
    for (notation, replicas, wanted, why) in [
        ("555", 3, Some(3), "at the target"),
        (
            "566",
            3,
            Some(4),
            "56 % of 50 % is beyond the tolerance: 1.12 x 3",
        ),
        ("565", 3, Some(3), "53 % is within it"),
        ("aaa", 3, Some(6), "twice the target"),
        ("111", 3, Some(1), "a fifth of it"),
        (
            "aaaP",
            4,
            Some(6),
            "the pending pod counts as idle: 75 % over 4 pods",
        ),
        ("aaaU", 4, Some(6), "so does one that is not ready"),
        ("aPPP", 4, Some(4), "filling in turns the direction: 25 %"),
        (
            "111M",
            4,
            Some(3),
            "a missing pod counts in full: 32 % of 50 % of 4 pods is 2.56",
        ),
        (
            "666M",
            4,
            Some(4),
            "and as idle upwards, which turns the direction",
        ),
        ("aaaM", 4, Some(6), "1.5 x 4"),
        (
            "11P",
            3,
            Some(1),
            "downwards, pods set aside do not count: 0.2 x 2",
        ),
        ("aaaL", 4, Some(6), "what leaves does not count"),
        ("PPP", 3, None, "nothing is known"),
        ("MMM", 3, None, "nothing is known"),
        ("", 3, None, "there are no pods"),
    ] {
        assert_eq!(
            proposed(half, notation, replicas),
            wanted,
            "{notation}: {why}"
        );
    }
}

#[test]
fn averages_fill_in_missing_pods_at_the_target() {
    for (metric, notation, replicas, wanted, why) in [
        (Metric::CpuAverage(50), "aa", 2, Some(4), "twice the target"),
        (
            Metric::CpuAverage(50),
            "11M",
            3,
            Some(2),
            "(10 + 10 + 50) / 3 = 23 of 50, of 3 pods",
        ),
        (
            Metric::RequestsAverage(0.5),
            "aaU",
            3,
            Some(4),
            "requests count although it is not ready",
        ),
        (
            Metric::RequestsAverage(0.5),
            "aaP",
            3,
            Some(4),
            "a pending pod answers nothing: 666 of 500",
        ),
    ] {
        assert_eq!(
            proposed(metric, notation, replicas),
            wanted,
            "{notation}: {why}"
        );
    }
}

#[test]
fn a_pod_counts_once_it_is_ready_and_its_sample_is_of_that_time() {
    let now = at(1_000);
    let settings = settings(33);
    let tolerance = Tolerance { up: 0.1, down: 0.1 };
    // (started, ready, changed, sample taken) in seconds; the window is 15 s.
    for (started, ready, changed, taken, counts) in [
        (900, true, 950, 990, true),
        (900, true, 980, 990, false), // the sample began before it was ready
        (900, false, 900, 990, false),
        (600, true, 999, 990, true), // past the five minutes the sample's age is no matter
        (600, false, 620, 990, false), // never ready: it turned within 30 s of its start
        (600, false, 700, 990, true), // was ready once
    ] {
        let mut pods = pods("55", now);
        pods.push(PodSample {
            started: at(started),
            ready,
            ready_changed: at(changed),
            usage: Some(Usage {
                cpu_milli: 200,
                requests_milli: 0,
                taken: at(taken),
                window: WINDOW,
            }),
            ..busy(0, now)
        });
        let metric = Metric::CpuUtilization(50);
        let proposal = propose(&metric, &pods, 3, now, &settings, tolerance).unwrap();
        // (50 + 50 + 200) / 300 is twice the target; without the third nothing changes.
        assert_eq!(
            proposal.replicas,
            if counts { 6 } else { 3 },
            "{started} {changed}"
        );
    }
}

#[test]
fn a_pod_without_a_request_makes_utilization_unknown() {
    let now = at(1_000);
    let mut pods = pods("aa", now);
    pods[1].cpu_request_milli = None;
    let tolerance = Tolerance { up: 0.1, down: 0.1 };
    let ask = |metric| propose(&metric, &pods, 2, now, &settings(33), tolerance);
    assert_eq!(ask(Metric::CpuUtilization(50)), None);
    assert!(ask(Metric::CpuAverage(50)).is_some());
}

fn bounds(behavior: Option<ScalingBehavior>) -> Autoscaler {
    Autoscaler {
        namespace: "shop".into(),
        name: "web".into(),
        workload: WorkloadId(0),
        replicas_min: 1,
        replicas_max: 100,
        metrics: vec![Metric::CpuUtilization(50)],
        behavior,
    }
}

/// What a sequence of syncs decides: (seconds, tenths of its request that each pod uses,
/// replicas after the sync). Every pod is ready at once.
fn follow(bounds: &Autoscaler, minor: u32, start: u32, syncs: &[(u64, char, u32)]) {
    let mut memory = Memory::default();
    let mut replicas = start;
    for &(second, digit, expected) in syncs {
        let now = at(second);
        let notation: String = (0..replicas).map(|_| digit).collect();
        let pods = pods(&notation, now);
        let decision = decide(bounds, &settings(minor), &mut memory, replicas, &pods, now);
        replicas = decision.rescale.map_or(replicas, |(to, _)| to);
        assert_eq!(replicas, expected, "at {second} s");
    }
}

#[test]
fn without_behavior_it_doubles_at_most_and_falls_after_five_minutes() {
    let spike = [
        (1_000, 'z', 4),  // 7 wanted, at most max(2 x 1, 4)
        (1_015, 'z', 8),  // 28 wanted, at most 2 x 4
        (1_030, '5', 16), // 8 wanted, but 28 is remembered: it raises replicas still
        (1_045, '5', 28),
        (1_060, '1', 28),
        (1_315, '1', 28), // the 28 is exactly five minutes old
        (1_316, '1', 16), // at second 1045, 16 pods were at their target
        (1_346, '1', 6),
    ];
    follow(&bounds(None), 33, 1, &spike);
    let calm = [
        (1_000, '5', 10),
        (1_015, '1', 10), // 2 wanted
        (1_300, '1', 10), // the 10 of second 1000 is exactly five minutes old
        (1_301, '1', 2),
    ];
    follow(&bounds(None), 33, 10, &calm);
}

#[test]
fn the_default_policies_add_four_or_double_in_fifteen_seconds() {
    let behavior = ScalingBehavior {
        up: ScalingRules::default_up(),
        down: ScalingRules::default_down(),
    };
    let syncs = [
        (1_000, 'z', 5),  // 1 + 4
        (1_010, 'z', 5),  // the four of ten seconds ago are all there may be
        (1_015, 'z', 10), // 5 x 2 is more than 5 + 4
        (1_030, 'z', 20),
        (1_045, '5', 20),
        (1_060, '1', 20), // 4 wanted, but 20 and more were within five minutes
        (1_344, '1', 20), // the 20 of second 1045 still holds
        (1_345, '1', 4),  // a quarter left at once: 100 % may go
    ];
    follow(&bounds(Some(behavior)), 33, 1, &syncs);
}

#[test]
fn policies_of_pods_and_percent_with_each_choice() {
    let policies = vec![
        ScalingPolicy {
            amount: Amount::Count(2),
            period: Duration::from_secs(60),
        },
        ScalingPolicy {
            amount: Amount::Percent(10),
            period: Duration::from_secs(60),
        },
    ];
    let rules = |select| ScalingRules {
        stabilization: Duration::ZERO,
        select,
        policies: policies.clone(),
        tolerance: None,
    };
    for (select, up, down) in [
        // From 40: +2 or +10 % = 44; -2 or -10 % = 36.
        (SelectPolicy::Max, 44, 36),
        (SelectPolicy::Min, 42, 38),
        (SelectPolicy::Disabled, 40, 40),
    ] {
        let behavior = ScalingBehavior {
            up: rules(select),
            down: rules(select),
        };
        let bounds = bounds(Some(behavior));
        follow(&bounds, 33, 40, &[(1_000, 'z', up), (1_015, 'z', up)]);
        follow(&bounds, 33, 40, &[(1_000, '1', down), (1_015, '1', down)]);
    }
    // A minute later the next step follows, from where it is then.
    let behavior = ScalingBehavior {
        up: rules(SelectPolicy::Max),
        down: rules(SelectPolicy::Max),
    };
    let steps = [
        (1_000, '1', 36),
        (1_059, '1', 36),
        (1_060, '1', 32),
        (1_120, '1', 28),
    ];
    follow(&bounds(Some(behavior)), 33, 40, &steps);
}

#[test]
fn a_window_upwards_takes_the_least_of_it() {
    let behavior = ScalingBehavior {
        up: ScalingRules {
            stabilization: Duration::from_secs(60),
            ..ScalingRules::default_up()
        },
        down: ScalingRules::default_down(),
    };
    let syncs = [
        (1_000, '5', 4),
        (1_015, 'a', 4), // 8 wanted; 4 was within a minute
        (1_030, 'a', 4),
        (1_045, 'a', 4),
        (1_060, 'a', 8), // the 4 of second 1000 is a minute old
    ];
    follow(&bounds(Some(behavior)), 33, 4, &syncs);
}

#[test]
fn bounds_come_before_metrics() {
    let now = at(1_000);
    let mut bounds = bounds(None);
    (bounds.replicas_min, bounds.replicas_max) = (3, 6);
    for (replicas, expected) in [
        (0, None), // scaled to zero by hand: autoscaling is off
        (1, Some((3, Reason::BelowMinimum))),
        (9, Some((6, Reason::AboveMaximum))),
    ] {
        let mut memory = Memory::default();
        let decision = decide(&bounds, &settings(33), &mut memory, replicas, &[], now);
        assert_eq!(decision.rescale, expected);
        assert!(decision.measured.is_empty());
    }
    follow(&bounds, 33, 4, &[(1_000, 'z', 6)]);
    follow(&bounds, 33, 4, &[(1_000, '5', 4), (1_301, '0', 3)]);
}

#[test]
fn several_metrics_take_the_greatest_and_an_unknown_one_forbids_to_shrink() {
    let now = at(1_000);
    let mut bounds = bounds(Some(ScalingBehavior {
        up: ScalingRules::default_up(),
        down: ScalingRules {
            stabilization: Duration::ZERO,
            ..ScalingRules::default_down()
        },
    }));
    bounds.metrics = vec![Metric::CpuUtilization(50), Metric::RequestsAverage(0.25)];
    let decision = |notation: &str, request: Option<u64>| {
        let mut pods = pods(notation, now);
        pods.iter_mut()
            .for_each(|pod| pod.cpu_request_milli = request);
        decide(
            &bounds,
            &settings(33),
            &mut Memory::default(),
            2,
            &pods,
            now,
        )
    };
    // 50 % and 500 of 250: the second asks for 4.
    let both = decision("55", Some(100));
    assert_eq!(both.rescale, Some((4, Reason::AboveTarget(1))));
    assert_eq!(both.measured, [Some(50), Some(500)]);
    assert_eq!(
        decision("55", None).rescale,
        Some((4, Reason::AboveTarget(1)))
    );
    // Down to one replica by both; not with one unknown.
    assert_eq!(
        decision("11", Some(100)).rescale,
        Some((1, Reason::BelowTarget))
    );
    assert_eq!(decision("11", None).rescale, None);
    assert_eq!(decision("MM", Some(100)).rescale, None);
}

#[test]
fn the_tolerance_is_the_objects_own_from_1_35_on() {
    let behavior = |tolerance| ScalingBehavior {
        up: ScalingRules {
            tolerance,
            ..ScalingRules::default_up()
        },
        down: ScalingRules::default_down(),
    };
    let narrow = bounds(Some(behavior(Some(0.0))));
    // 60 % is 1.09 of the target: within the controller's tenth.
    let mut bounds = narrow.clone();
    bounds.metrics = vec![Metric::CpuUtilization(55)];
    for (minor, wanted) in [(33, 10), (34, 10), (35, 11), (36, 11)] {
        follow(&bounds, minor, 10, &[(1_000, '6', wanted)]);
    }
    // At the upper bound itself, 1.1, the distance is 0.1 and a rounding: beyond it until 1.32.
    let mut edge = narrow;
    edge.behavior = None;
    edge.metrics = vec![Metric::CpuUtilization(50)];
    for (minor, wanted) in [(32, 22), (33, 20)] {
        let now = at(1_000);
        let mut pods = pods("55555555555555555555", now);
        for pod in &mut pods {
            pod.usage.as_mut().expect("it has a sample").cpu_milli = 55;
        }
        let decision = decide(
            &edge,
            &settings(minor),
            &mut Memory::default(),
            20,
            &pods,
            now,
        );
        assert_eq!(
            decision.rescale.map_or(20, |(to, _)| to),
            wanted,
            "1.{minor}"
        );
    }
}

#[test]
fn a_restarted_controller_begins_with_the_replicas_it_finds() {
    let bounds = bounds(None);
    let now = at(1_000);
    let mut memory = Memory::default();
    let idle = pods("1111111111", now);
    let decision = decide(&bounds, &settings(33), &mut memory, 10, &idle, now);
    assert_eq!(
        decision.rescale, None,
        "ten were found, and hold for five minutes"
    );
    // It restarts just before they would have fallen: five more minutes.
    memory = Memory::default();
    for (second, expected) in [(1_299, None), (1_599, None), (1_600, Some(2))] {
        let decision = decide(&bounds, &settings(33), &mut memory, 10, &idle, at(second));
        assert_eq!(
            decision.rescale.map(|(to, _)| to),
            expected,
            "at {second} s"
        );
    }
}
