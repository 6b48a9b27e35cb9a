//! Sidecars: every hop through them, worked out by hand.

use super::network::{pair, run_without_jitter};
use super::*;
use crate::istio::config::{
    BalancePolicy, ConnectionPool, HttpPool, Istio, LoadBalancer, PodSettings, PortPolicy, TcpPool,
};
use crate::record::{Caller, Reason, Record, ViewKind};

fn microseconds(count: u64) -> Distribution {
    Distribution::constant(Duration::from_micros(count))
}

/// Two threads that take 300 µs for a request and 200 µs for an answer.
pub(super) fn sidecar() -> Option<Sidecar> {
    Some(Sidecar {
        role: Role::Sidecar,
        threads: 2,
        settings: PodSettings::default(),
        patience: Patience::default(),
        listens: Vec::new(),
        costs: ProxyCosts {
            request: microseconds(300),
            response: microseconds(200),
            handshake_client: microseconds(700),
            handshake_server: microseconds(800),
            resumption: microseconds(50),
        },
    })
}

/// As the pair of the network's tests, with sidecars at one of them or at both.
fn meshed(client: bool, web: bool) -> Scenario {
    let mut scenario = pair();
    scenario.clusters[0].mesh = Some(Mesh::new(30));
    let workloads = &mut scenario.clusters[0].workloads;
    workloads[0].template.sidecar = sidecar().filter(|_| client);
    workloads[1].template.sidecar = sidecar().filter(|_| web);
    scenario
}

/// What two sidecars agree on before the first request: one round trip, the work of both, and
/// 517 and 2500 bytes at 10.7 Gbit/s.
const ENCRYPTION_NS: u128 = 200_000 + 1_500_000 + 386 + 1_869;

/// The same where both know each other from an earlier connection.
const RESUMPTION_NS: u128 = ENCRYPTION_NS - 1_400_000;

#[test]
fn a_request_and_its_answer_pass_two_sidecars() {
    // Lookup 2.6 ms, handshake 0.2 ms, there and back 0.2 ms, service 10 ms; each sidecar 0.5 ms.
    for (client, web, passed) in [
        (false, false, 0),
        (true, false, 1),
        (false, true, 1),
        (true, true, 2),
    ] {
        let record = run_without_jitter(&meshed(client, web));
        assert_eq!(record.traffic[0].succeeded, 1);
        let encrypted = if passed == 2 { ENCRYPTION_NS } else { 0 };
        assert_eq!(
            record.traffic[0].latency_sum_ns,
            13_000_000 + passed * 500_000 + encrypted,
            "{passed} sidecars"
        );
        let finished = record.sidecars.iter().map(|sidecar| sidecar.finished);
        assert_eq!(u128::from(finished.sum::<u64>()), passed);
    }
}

#[test]
fn handshakes_keep_the_threads_of_both_sides_busy() {
    let record = run_without_jitter(&meshed(true, true));
    let busy = record.sidecars.iter().map(|sidecar| sidecar.busy_ns);
    assert_eq!(busy.collect::<Vec<_>>(), [1_200_000, 1_300_000]);
}

#[test]
fn a_sidecar_keeps_connections_that_its_application_does_not() {
    let mut scenario = meshed(true, true);
    let threads = |scenario: &mut Scenario, count| {
        let workload = &mut scenario.clusters[0].workloads[0];
        workload.template.sidecar.as_mut().unwrap().threads = count;
    };
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 2_000]);
    threads(&mut scenario, 1);
    let record = run_without_jitter(&scenario);
    let first = 14_000_000 + ENCRYPTION_NS;
    assert_eq!(record.traffic[0].latency_sum_ns, first + 11_200_000);
    // Each thread keeps its own: with many, the second connection of the application ends at
    // another one, and what the first thread agreed on with the other sidecar helps it.
    threads(&mut scenario, 200);
    let record = run_without_jitter(&scenario);
    let second = 11_400_000 + RESUMPTION_NS;
    assert_eq!(record.traffic[0].latency_sum_ns, first + second);
}

#[test]
fn what_two_sidecars_agreed_on_serves_their_next_connection() {
    // Every request on a connection of its own: how many of these resume shows in the work of
    // both sidecars, where that is dearer.
    let resumptions = |pods: u32, at: &[u64]| {
        let work = |resumption| {
            let mut scenario = meshed(true, true);
            let end = at.last().expect("a request") + 2_000;
            scenario.run.duration = Duration::from_millis(end);
            scenario.traffic[0].arrivals = at_milliseconds(at);
            let workloads = &mut scenario.clusters[0].workloads;
            workloads[1].replicas = pods;
            for workload in workloads {
                let sidecar = workload.template.sidecar.as_mut().unwrap();
                sidecar.threads = 1;
                sidecar.costs.resumption = microseconds(resumption);
            }
            let mut istio = Istio::default();
            istio.objects.apply(super::mesh::rule(PortPolicy {
                load_balancer: Some(LoadBalancer {
                    policy: Some(BalancePolicy::RoundRobin),
                    ..LoadBalancer::default()
                }),
                ..super::mesh::single_requests()
            }));
            scenario.clusters[0].istio = Some(istio);
            let record = run_without_jitter(&scenario);
            let busy = record.sidecars.iter().map(|sidecar| sidecar.busy_ns);
            busy.sum::<u128>()
        };
        (work(60) - work(50)) / 20_000
    };
    assert_eq!(resumptions(1, &[1_000, 2_000, 3_000]), 2);
    let of_two = resumptions(2, &[1_000, 2_000, 3_000]);
    assert_eq!(of_two, 0, "the last session is with the other pod");
    // At 2 s two connections are opened at once, and the first takes the session.
    assert_eq!(resumptions(1, &[1_000, 2_000, 2_000]), 1);
    let after_renewals = resumptions(1, &[1_000, 13 * 3_600_000]);
    assert_eq!(after_renewals, 0, "both have other certificates");
}

#[test]
fn connections_of_sidecars_end_when_idle_or_old() {
    // A sidecar's connection is at hand for the requests of 2 and 9 s, unless it ended by then.
    let latencies = |pool: ConnectionPool| {
        let mut scenario = meshed(true, true);
        scenario.run.duration = Duration::from_secs(12);
        scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 2_000, 9_000]);
        let workload = &mut scenario.clusters[0].workloads[0];
        workload.template.sidecar.as_mut().unwrap().threads = 1;
        let mut istio = Istio::default();
        istio.objects.apply(super::mesh::rule(PortPolicy {
            connection_pool: Some(pool),
            ..PortPolicy::default()
        }));
        scenario.clusters[0].istio = Some(istio);
        run_without_jitter(&scenario).traffic[0].latency_sum_ns
    };
    let all_kept = latencies(ConnectionPool::default());
    let anew = 200_000 + RESUMPTION_NS;
    let http = |seconds| HttpPool {
        idle_timeout: Some(Duration::from_secs(seconds)),
        ..HttpPool::default()
    };
    let tcp = |idle: u64, lifetime| TcpPool {
        idle_timeout: Some(Duration::from_secs(idle)),
        lifetime,
        ..TcpPool::default()
    };
    let pool = |tcp, http| ConnectionPool { tcp, http };
    assert_eq!(latencies(pool(TcpPool::default(), http(8))), all_kept);
    let idle = latencies(pool(TcpPool::default(), http(6)));
    assert_eq!(idle, all_kept + anew);
    let of_tcp = latencies(pool(tcp(6, None), HttpPool::default()));
    assert_eq!(of_tcp, all_kept + anew, "where HTTP says nothing");
    assert_eq!(latencies(pool(tcp(6, None), http(8))), all_kept);
    let old = Some(Duration::from_millis(900));
    let old = latencies(pool(tcp(0, old), HttpPool::default()));
    assert_eq!(old, all_kept + 2 * anew);
}

#[test]
fn a_thread_does_one_thing_at_a_time() {
    let mut scenario = meshed(false, true);
    let sidecar = scenario.clusters[0].workloads[1].template.sidecar.as_mut();
    sidecar.unwrap().threads = 1;
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 1_000]);
    let record = run_without_jitter(&scenario);
    // The second request waits for the first one's 0.3 ms, and both answers come with 0.3 ms
    // between them.
    let latency = record.traffic[0].latency_sum_ns;
    assert_eq!(latency, 13_500_000 + 13_800_000);
}

#[test]
fn an_application_that_restarts_leaves_its_sidecar_to_answer() {
    let mut scenario = meshed(true, true);
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 1_500]);
    let crash = Fault::ContainerCrash {
        cluster: ClusterId(0),
        workload: WorkloadId(1),
        count: 1,
    };
    scenario.timeline = vec![fault_at(1_005, crash, None)];
    let record = run_without_jitter(&scenario);
    let failures = record.traffic[0].failures;
    // The request inside is lost with the application, the next finds nobody behind the
    // sidecar: both callers are told so at once.
    assert_eq!(failures.iter().sum::<u64>(), 2);
    assert_eq!(failures[Reason::Unavailable as usize], 2);
    assert_eq!(record.sidecars[1].finished, 2);
}

/// Attempts of sidecars whose connection was refused.
fn refused_by_web(record: &Record) -> u64 {
    let calls = record.calls.iter();
    let to_web = calls.filter(|call| call.key.caller != Caller::Traffic(TrafficId(0)));
    to_web
        .map(|call| call.failures[Reason::Refused as usize])
        .sum()
}

#[test]
fn a_sidecar_sends_to_a_pod_that_is_gone_until_istiod_has_told_it() {
    let mut scenario = meshed(true, true);
    scenario.clusters[0].workloads[1].replicas = 2;
    // Every millisecond one request, around the death of one of two pods.
    let instants: Vec<u64> = (900..1_100).collect();
    scenario.traffic[0].arrivals = at_milliseconds(&instants);
    scenario.clusters[0].workloads[1].template.station = Station::fifo(64);
    let kill = Fault::PodKill {
        cluster: ClusterId(0),
        workload: WorkloadId(1),
        count: 1,
    };
    scenario.timeline = vec![fault_at(1_000, kill, None)];
    let record = run_without_jitter(&scenario);
    let users = &record.traffic[0];
    let refused = refused_by_web(&record);
    assert!(refused > 5, "{refused} attempts");
    let lost = users.failures[Reason::Unavailable as usize];
    assert!((1..=20).contains(&lost), "{lost} requests");
    assert!(users.succeeded > 100);
    let view = record
        .views
        .iter()
        .find(|view| view.kind == ViewKind::Sidecar);
    assert!(view.unwrap().updates >= 1);
}

#[test]
fn a_refused_connection_is_tried_again_at_another_pod() {
    let mut scenario = meshed(true, true);
    let cluster = &mut scenario.clusters[0];
    cluster.workloads[1].replicas = 4;
    cluster.workloads[1].template.station = Station::fifo(64);
    scenario.traffic[0].arrivals = at_milliseconds(&(900..1_200).collect::<Vec<_>>());
    let kill = Fault::PodKill {
        cluster: ClusterId(0),
        workload: WorkloadId(1),
        count: 1,
    };
    scenario.timeline = vec![fault_at(1_000, kill, None)];
    let record = run_without_jitter(&scenario);
    let users = &record.traffic[0];
    let refused = refused_by_web(&record);
    // The sidecar runs into the pod that is gone again and again until istiod tells it, and turns
    // to another each time: only what was under way when the pod died is lost.
    assert!(refused > 5, "{refused} refused");
    let lost = users.failures.iter().sum::<u64>();
    assert!(lost <= 8, "{users:?}");
}

#[test]
fn requests_go_to_the_pod_with_fewer_of_them() {
    let mut scenario = meshed(true, true);
    let cluster = &mut scenario.clusters[0];
    let mut slow = cluster.workloads[1].clone();
    slow.name = "slow".into();
    slow.template.behavior.service_time = milliseconds(50);
    slow.template.station = Station::fifo(64);
    cluster.workloads[1].replicas = 3;
    cluster.workloads[1].template.station = Station::fifo(64);
    cluster.workloads.push(slow);
    cluster.services[1].backends = vec![WorkloadId(1), WorkloadId(2)];
    scenario.traffic[0].arrivals = Arrivals::Closed {
        users: 32,
        think: milliseconds(0),
    };
    scenario.run.duration = Duration::from_secs(20);
    let record = run_without_jitter(&scenario);
    let slow = record.workloads[2].finished as f64;
    let share = slow / (slow + record.workloads[1].finished as f64);
    // A running Envoy gave the slow one of four 0.106 to 0.119 with the same load.
    assert!((0.09..0.14).contains(&share), "{share}");
}
