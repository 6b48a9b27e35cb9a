//! Several clusters behind the global DNS.

use super::*;
use crate::record::{Reason, Record};

fn lose_east(packets: Packets) -> Scenario {
    let mut scenario = two_regions();
    scenario.run.duration = Duration::from_secs(120);
    scenario.timeline = vec![fault_at(
        30_000,
        Fault::RegionDown {
            region: "one".into(),
            packets,
        },
        Some(30_000),
    )];
    scenario
}

fn served(record: &Record, cluster: u32) -> u64 {
    let calls = record.calls.iter();
    calls
        .filter(|call| {
            call.key
                .service
                .is_some_and(|(at, _)| at == ClusterId(cluster))
        })
        .map(|call| call.succeeded)
        .sum()
}

#[test]
fn users_follow_the_global_dns_and_come_back() {
    let record = run(&lose_east(Packets::Dropped));
    let users = &record.traffic[0];
    assert!(served(&record, 0) > 2_000 && served(&record, 1) > 500);
    // All failures lie between the loss and the last resolver's forgetting: at most one
    // interval to the first failing check, two more intervals, the timeout, and the TTL.
    let (first, last) = (users.failing[0].0, users.failing.last().unwrap().1);
    let seconds = |time: Time| time.as_secs_f64();
    assert!((29.9..31.0).contains(&seconds(first)), "{first}");
    assert!(
        (40.0..30.0 + 15.0 + 2.0 + 20.2).contains(&seconds(last)),
        "{last}"
    );
    assert_eq!(users.failing.len(), 1);
    assert!(users.failures[Reason::Timeout as usize] > 300);
}

#[test]
fn refused_packets_fail_fast() {
    let record = run(&lose_east(Packets::Refused));
    let users = &record.traffic[0];
    assert!(users.failures[Reason::Refused as usize] > 300);
    // Only answers that were still to leave the region are missed for longer.
    assert!(users.failures[Reason::Timeout as usize] < 10);
}

#[test]
fn without_a_fault_everybody_is_served_by_the_first() {
    let mut scenario = two_regions();
    scenario.timeline.clear();
    let record = run(&scenario);
    let users = &record.traffic[0];
    assert_eq!(users.failures.iter().sum::<u64>(), 0);
    assert_eq!(served(&record, 1), 0);
    // Two round trips of 20 ms, 10 ms of service, jitter and hops inside.
    let mean = users.latency_sum_ns as f64 / users.succeeded as f64 / 1e6;
    assert!((50.0..53.0).contains(&mean), "{mean} ms");
}

#[test]
fn recovery_takes_what_the_closed_form_says() {
    let mut scenario = lose_east(Packets::Dropped);
    scenario.run.duration = Duration::from_secs(90);
    scenario.timeline[0] = fault_at(
        30_000,
        Fault::RegionDown {
            region: "one".into(),
            packets: Packets::Dropped,
        },
        None,
    );
    scenario.user_networks[0].resolvers = 1;
    let topology = compile(&scenario);
    let replications = 300;
    let recovery = |replication| {
        let seed = Seed {
            master: 5,
            replication,
        };
        let record = simulate(&topology, seed, &Options::default());
        let last = record.traffic[0]
            .failing
            .last()
            .expect("the loss is felt")
            .1;
        last.as_secs_f64() - 30.0
    };
    let values: Vec<f64> = (0..replications).map(recovery).collect();
    // Phase U(0, 5), two further checks 5 s apart, 2 s timeout, rest of the TTL U(0, 20).
    let mean = values.iter().sum::<f64>() / f64::from(replications);
    let standard_error = (25.0 / 12.0 + 400.0 / 12.0_f64).sqrt() / f64::from(replications).sqrt();
    assert!((mean - 24.5).abs() < 3.0 * standard_error, "{mean}");
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(0.0, f64::max);
    assert!(least > 12.0 && greatest < 37.0, "{least} to {greatest}");
}
