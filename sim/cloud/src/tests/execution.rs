//! However a replication is run, the same comes out.

use super::*;
use engine::{Execution, QueueKind};

fn eventful() -> Scenario {
    let mut scenario = two_regions();
    scenario.run.duration = Duration::from_secs(60);
    scenario.timeline = vec![
        fault_at(
            5_000,
            Fault::PodKill {
                cluster: ClusterId(1),
                workload: WorkloadId(0),
                count: 1,
            },
            None,
        ),
        fault_at(
            10_000,
            Fault::RegionDown {
                region: "one".into(),
                packets: Packets::Dropped,
            },
            Some(20_000),
        ),
        fault_at(
            15_000,
            Fault::Slow {
                cluster: ClusterId(1),
                workload: WorkloadId(0),
                factor: 3.0,
            },
            Some(10_000),
        ),
        fault_at(
            40_000,
            Fault::NodeDown {
                cluster: ClusterId(0),
                node: 0,
                packets: Packets::Refused,
            },
            Some(10_000),
        ),
    ];
    scenario
}

#[test]
fn every_queue_and_every_execution_gives_the_same_digest() {
    let topology = compile(&eventful());
    let digest = |queue, execution| {
        let options = Options {
            queue,
            execution,
            ..Options::default()
        };
        let record = simulate(&topology, Seed::default(), &options);
        assert!(record.traffic[0].succeeded > 1_000);
        assert!(record.traffic[0].sent > record.traffic[0].succeeded);
        (record.digest, record.events)
    };
    let expected = digest(QueueKind::Auto, Execution::Sequential);
    for queue in QueueKind::ALL {
        for execution in [Execution::Sequential, Execution::Windows] {
            assert_eq!(
                digest(queue, execution),
                expected,
                "{queue:?} {execution:?}"
            );
        }
    }
    #[cfg(feature = "threads")]
    for threads in [1, 2, 3, 8] {
        let threads = std::num::NonZeroUsize::new(threads).unwrap();
        let execution = Execution::Threads(threads);
        assert_eq!(
            digest(QueueKind::Auto, execution),
            expected,
            "{threads} threads"
        );
    }
}

#[test]
fn another_replication_or_seed_gives_another_digest() {
    let topology = compile(&eventful());
    let digest = |master, replication| {
        let seed = Seed {
            master,
            replication,
        };
        simulate(&topology, seed, &Options::default()).digest
    };
    assert_eq!(digest(1, 0), digest(1, 0));
    assert_ne!(digest(1, 0), digest(1, 1));
    assert_ne!(digest(1, 0), digest(2, 0));
}

#[test]
fn a_further_source_leaves_the_draws_of_the_others_alone() {
    let web = workload("web", 1, u32::MAX, Distribution::exponential(0.1).unwrap());
    let arrivals = Arrivals::Poisson(RateProfile::Constant(5.0));
    let alone = ideal(vec![web], arrivals, Duration::from_secs(100));
    let mut together = alone.clone();
    let mut others = together.traffic[0].clone();
    others.name = "others".into();
    together.traffic.insert(0, others);
    let (alone, together) = (run(&alone), run(&together));
    // With unlimited workers nobody waits, so the same requests have the same latencies.
    assert_eq!(
        alone.traffic[0].latency_sum_ns,
        together.traffic[1].latency_sum_ns
    );
    assert_ne!(
        together.traffic[0].latency_sum_ns,
        together.traffic[1].latency_sum_ns
    );
}
