//! The ideal network: queues alone.

use super::*;
use crate::record::Reason;
use engine::Distribution;

fn exponential(mean: f64) -> Distribution {
    Distribution::exponential(mean).unwrap()
}

#[test]
fn two_requests_at_one_worker_wait_for_each_other() {
    let web = workload("web", 1, 1, milliseconds(10));
    let record = run(&ideal(
        vec![web],
        at_milliseconds(&[0, 4, 100]),
        Duration::from_secs(1),
    ));
    let users = &record.traffic[0];
    // 10 alone, 6 waiting and 10 in service, 10 alone.
    assert_eq!(users.latency_sum_ns, 36_000_000);
    assert_eq!((users.sent, users.succeeded, users.in_flight), (3, 3, 0));
    let web = &record.workloads[0];
    assert_eq!(web.wait_sum_ns, 6_000_000);
    assert_eq!((web.started, web.waited), (3, 1));
    assert_eq!(web.busy_ns, 30_000_000);
    assert_eq!(web.in_system_ns, 36_000_000);
    assert_eq!(record.events, 6);
}

#[test]
fn a_full_queue_turns_requests_away() {
    let mut web = workload("web", 1, 1, milliseconds(10));
    web.template.station.queue_max = Some(1);
    let record = run(&ideal(
        vec![web],
        at_milliseconds(&[0, 1, 2]),
        Duration::from_secs(1),
    ));
    let users = &record.traffic[0];
    assert_eq!(users.failures[Reason::Overflow as usize], 1);
    assert_eq!(users.latency_sum_ns, 29_000_000);
    assert_eq!(record.workloads[0].rejected, 1);
}

#[test]
fn steps_follow_each_other_and_their_calls_run_together() {
    let mut web = workload("web", 1, 1, milliseconds(10));
    web.template.behavior.steps = vec![
        Step {
            calls: vec![call(1), call(2)],
        },
        Step {
            calls: vec![call(1)],
        },
    ];
    let fast = workload("fast", 1, 1, milliseconds(5));
    let slow = workload("slow", 1, 1, milliseconds(20));
    let record = run(&ideal(
        vec![web, fast, slow],
        at_milliseconds(&[0]),
        Duration::from_secs(1),
    ));
    assert_eq!(record.traffic[0].latency_sum_ns, 35_000_000);
    assert_eq!(
        record.workloads[0].busy_ns, 35_000_000,
        "the worker is held"
    );
}

#[test]
fn an_impatient_user_retries_and_the_work_goes_on() {
    let web = workload("web", 1, 1, milliseconds(30));
    let mut scenario = ideal(vec![web], at_milliseconds(&[0]), Duration::from_secs(1));
    scenario.traffic[0].timeout = Some(Duration::from_millis(20));
    scenario.traffic[0].retry = Retry {
        attempts_max: 2,
        backoff: Duration::from_millis(15),
        backoff_max: Duration::from_millis(15),
        budget: None,
    };
    let record = run(&scenario);
    // Given up at 20 and at 55; the second attempt began service at 35 after all.
    let users = &record.traffic[0];
    assert_eq!(users.failures[Reason::Timeout as usize], 1);
    assert_eq!(users.attempts, 2);
    assert_eq!(record.workloads[0].busy_ns, 60_000_000);
}

#[test]
fn a_closed_user_thinks_between_requests() {
    let arrivals = Arrivals::Closed {
        users: 1,
        think: milliseconds(40),
    };
    let web = workload("web", 1, 1, milliseconds(10));
    let record = run(&ideal(vec![web], arrivals, Duration::from_millis(1_000)));
    assert_eq!(record.traffic[0].succeeded, 20);
}

#[test]
fn an_m_m_2_queue_waits_as_erlang_says() {
    let web = workload("web", 1, 2, exponential(1.0));
    let arrivals = Arrivals::Poisson(RateProfile::Constant(1.4));
    let mut scenario = ideal(vec![web], arrivals, Duration::from_secs(400_000));
    scenario.run.series_step = Duration::from_secs(4_000);
    let record = run(&scenario);
    let web = &record.workloads[0];
    // Erlang C for two servers at 0.7 each: 0.98 / 1.7; mean wait that over 0.6.
    let waited = web.waited as f64 / web.started as f64;
    assert!((waited - 0.98 / 1.7).abs() < 0.01, "{waited}");
    let wait = web.wait_sum_ns as f64 / web.started as f64 / 1e9;
    assert!((wait - 0.98 / 1.7 / 0.6).abs() < 0.05, "{wait}");
}

#[test]
fn processor_sharing_does_not_care_for_the_law_of_the_work() {
    let mut web = workload("web", 1, 1, milliseconds(700));
    web.template.station.discipline = Discipline::ProcessorSharing { cpu_milli: 1_000 };
    let arrivals = Arrivals::Poisson(RateProfile::Constant(1.0));
    let mut scenario = ideal(vec![web], arrivals, Duration::from_secs(200_000));
    scenario.run.series_step = Duration::from_secs(4_000);
    let record = run(&scenario);
    let web = &record.workloads[0];
    let sojourn = web.sojourn_sum_ns as f64 / web.finished as f64 / 1e9;
    assert!((sojourn - 0.7 / 0.3).abs() < 0.05, "{sojourn}");
}

#[test]
fn a_workload_that_calls_itself_may_be_killed() {
    let mut web = workload("web", 3, 2, exponential(0.1));
    web.template.behavior.steps = vec![Step {
        calls: vec![Call {
            probability: 0.4,
            timeout: Some(Duration::from_secs(1)),
            ..call(0)
        }],
    }];
    let arrivals = Arrivals::Closed {
        users: 12,
        think: exponential(0.1),
    };
    let mut scenario = ideal(vec![web], arrivals, Duration::from_secs(60));
    let kill = Fault::PodKill {
        cluster: ClusterId(0),
        workload: WorkloadId(0),
        count: 2,
    };
    scenario.timeline = (1..12)
        .map(|time| fault_at(5_000 * time, kill.clone(), None))
        .collect();
    let record = run(&scenario);
    assert!(record.workloads[0].lost > 0);
    assert!(record.traffic[0].failures[Reason::Reset as usize] > 0);
    assert!(record.traffic[0].in_flight <= 12);
}

#[test]
fn paced_users_ask_at_regular_instants_or_as_soon_as_they_can() {
    let paced = |users, service_ms| {
        let arrivals = Arrivals::Paced {
            users,
            period: Duration::from_millis(10),
            together: true,
            jitter: 0.0,
        };
        let web = workload("web", 1, 1, milliseconds(service_ms));
        let record = run(&ideal(vec![web], arrivals, Duration::from_millis(995)));
        let users = &record.traffic[0];
        (users.succeeded, users.latency_sum_ns / 1_000_000)
    };
    // Both ask at once, every time: one waits for the other.
    let (answered, latency) = paced(2, 3);
    assert!((196..=200).contains(&answered), "{answered}");
    assert_eq!(latency, u128::from(answered / 2 * (3 + 6)));
    // A server that takes longer than the pace is asked without a pause, and every answer is
    // five milliseconds later than the one before, as counted from when it was meant to start.
    let (answered, latency) = paced(1, 15);
    assert!((65..=66).contains(&answered), "{answered}");
    let late: u64 = (0..answered).map(|number| 15 + 5 * number).sum();
    assert_eq!(latency, u128::from(late));
}
