//! Properties over random small scenarios. The books are balanced by assertions at the end of
//! every run; here are scenarios that try to upset them.

use super::*;
use proptest::prelude::*;
use proptest::strategy::Strategy;

fn protocols() -> impl Strategy<Value = Protocol> {
    prop_oneof![
        Just(Protocol::Http1Close),
        Just(Protocol::Http2),
        Just(Protocol::Udp(Socket::Kept)),
        Just(Protocol::Udp(Socket::PerAttempt)),
        (1u64..3_000).prop_map(|milliseconds| Protocol::Http1 {
            idle_timeout: Duration::from_millis(milliseconds)
        }),
    ]
}

fn disciplines() -> impl Strategy<Value = Discipline> {
    prop_oneof![
        (1u32..4).prop_map(|workers| Discipline::Fifo { workers }),
        Just(Discipline::Fifo { workers: u32::MAX }),
        (200u64..3_000).prop_map(|cpu_milli| Discipline::ProcessorSharing { cpu_milli }),
    ]
}

/// Everything that can go wrong, at once or for a while.
fn faults() -> impl Strategy<Value = Fault> {
    let kill = (0u32..2, 0u32..2, 1u32..3).prop_map(|(cluster, workload, count)| Fault::PodKill {
        cluster: ClusterId(cluster),
        workload: WorkloadId(workload),
        count,
    });
    prop_oneof![1 => kill, 14 => crate::fault::tests::faults()]
}

/// Two regions in which `web` calls `data`, under six faults and a change of scale.
fn scenarios() -> impl Strategy<Value = Scenario> {
    let times = prop::collection::vec((faults(), 0u64..20_000, 1u64..10_000), 6);
    let behavior = (
        disciplines(),
        disciplines(),
        any::<bool>(),
        prop::option::of(0u32..5),
        0.0f64..0.2,
    );
    let client = (protocols(), protocols(), 1u32..4, 1u32..3, any::<bool>());
    (times, behavior, client, 0u32..4).prop_map(|(faults, behavior, client, replicas)| {
        let (at_web, at_data, asynchronous, queue_max, error_rate) = behavior;
        let (from_users, between, attempts_max, repeat, closed) = client;
        let mut scenario = two_regions();
        scenario.run.duration = Duration::from_secs(25);
        for cluster in &mut scenario.clusters {
            let mut data = workload("data", 2, 2, Distribution::exponential(0.02).unwrap());
            data.template.station.discipline = at_data;
            data.template.behavior.error_rate = error_rate;
            cluster.workloads.push(data);
            cluster.services.push(service("data", 1));
            let web = &mut cluster.workloads[0];
            web.template.station.discipline = at_web;
            web.template.station.queue_max = queue_max;
            web.template.behavior.asynchronous = asynchronous;
            let ask = Call {
                protocol: between,
                repeat,
                timeout: Some(Duration::from_millis(200)),
                ..call(1)
            };
            web.template.behavior.steps = vec![Step {
                calls: vec![ask.clone(), ask],
            }];
        }
        let users = &mut scenario.traffic[0];
        users.protocol = from_users;
        users.retry = Retry {
            attempts_max,
            backoff: Duration::from_millis(10),
            backoff_max: Duration::from_millis(50),
            budget: None,
        };
        if closed {
            users.arrivals = Arrivals::Closed {
                users: 20,
                think: Distribution::exponential(0.3).unwrap(),
            };
        }
        let faults = faults.into_iter();
        scenario.timeline = faults
            .map(|(fault, at, lasts)| fault_at(at, fault, Some(lasts)))
            .collect();
        scenario.timeline.push(TimelineEntry {
            at: Time::ZERO + Duration::from_secs(12),
            label: "scale".into(),
            action: Action::Apply {
                cluster: ClusterId(0),
                changes: vec![Change::Replicas(WorkloadId(0), replicas)],
            },
        });
        scenario.timeline.sort_by_key(|entry| entry.at);
        scenario
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_books_balance_whatever_happens(scenario in scenarios(), seed: u64) {
        let seed = Seed { master: seed, replication: 0 };
        let topology = compile(&scenario);
        let record = simulate(&topology, seed, &Options::default());
        let users = &record.traffic[0];
        let ended = users.succeeded + users.failures.iter().sum::<u64>();
        prop_assert_eq!(users.sent, ended + users.in_flight);
        prop_assert!(users.sent > 100);
        for workload in &record.workloads {
            let left = workload.finished + workload.rejected + workload.lost;
            prop_assert!(workload.arrived >= left);
            prop_assert!(workload.started >= workload.finished);
        }
        let windows = Options { execution: engine::Execution::Windows, ..Options::default() };
        prop_assert_eq!(simulate(&topology, seed, &windows).digest, record.digest);
    }

    #[test]
    fn more_workers_never_hurt(seed: u64, workers in 1u32..4, rate in 0.5f64..2.0) {
        // Requests stop coming in time for all of them to be served: the same ones are compared.
        let stop = Time::ZERO + Duration::from_secs(200);
        let total_wait = |workers| {
            let web = workload("web", 1, workers, Distribution::exponential(0.5).unwrap());
            let profile = RateProfile::Piecewise(vec![(Time::ZERO, rate), (stop, rate), (stop, 0.0)]);
            let arrivals = Arrivals::Poisson(profile);
            let scenario = ideal(vec![web], arrivals, Duration::from_secs(1_000));
            let seed = Seed { master: seed, replication: 0 };
            let record = simulate(&compile(&scenario), seed, &Options::default());
            assert_eq!(record.traffic[0].in_flight, 0);
            record.workloads[0].wait_sum_ns
        };
        prop_assert!(total_wait(workers + 1) <= total_wait(workers));
    }
}
