//! The modelled network, hop by hop.

use super::*;
use crate::record::{Reason, Record};
use crate::topology::Topology;

/// Two nodes, one pod of `web` (10 ms) called by one pod of `client` (service time 0) over
/// HTTP/1.1 without keep-alive.
pub(super) fn pair() -> Scenario {
    let mut client = workload("client", 1, 4, milliseconds(0));
    client.template.behavior.steps = vec![Step {
        calls: vec![call(1)],
    }];
    let web = workload("web", 1, 4, milliseconds(10));
    let mut scenario = ideal(
        vec![client, web],
        at_milliseconds(&[1_000]),
        Duration::from_secs(5),
    );
    scenario.network = NetworkModel::Modelled;
    // A node's rules are for `web` alone: none comes before its own.
    scenario.clusters[0].services[0].kind = ServiceKind::Headless;
    scenario.clusters[0].nodes = vec![node("n1", 0), node("n2", 0)];
    let source = TrafficSource::Workload(ClusterId(0), WorkloadId(0));
    scenario.traffic[0].source = source;
    scenario.traffic[0].target = TrafficTarget::Service {
        cluster: ClusterId(0),
        service: ServiceId(1),
        port: 0,
    };
    scenario
}

fn without_jitter(scenario: &Scenario) -> Topology {
    let mut topology = compile(scenario);
    topology.links = topology.links.clone().without_jitter();
    topology
}

pub(super) fn run_without_jitter(scenario: &Scenario) -> Record {
    simulate(
        &without_jitter(scenario),
        Seed::default(),
        &Options::default(),
    )
}

#[test]
fn a_new_connection_costs_a_lookup_and_a_round_trip() {
    let record = run_without_jitter(&pair());
    // Lookup 2.6 ms, handshake 0.2 ms, request and response 0.2 ms, service 10 ms; the two
    // pods are on different nodes of one zone.
    assert_eq!(record.traffic[0].latency_sum_ns, 13_000_000);
    assert_eq!(record.traffic[0].succeeded, 1);
}

#[test]
fn a_new_connection_pays_for_the_rules_that_it_passes() {
    const SERVICES: u64 = 10_000;
    const REQUESTS: u64 = 100;
    const SEEDS: u32 = 40;
    let mut scenario = pair();
    let arrivals: Vec<u64> = (0..REQUESTS).map(|at| 1_000 + 20 * at).collect();
    scenario.traffic[0].arrivals = at_milliseconds(&arrivals);
    let alone = run_without_jitter(&scenario).traffic[0].latency_sum_ns;
    let web = scenario.clusters[0].services[1].clone();
    let others = (1..SERVICES).map(|at| Service {
        name: format!("other-{at}"),
        backends: Vec::new(),
        ..web.clone()
    });
    scenario.clusters[0].services.extend(others);
    let topology = without_jitter(&scenario);
    let extra: Vec<f64> = (0..SEEDS)
        .map(|replication| {
            let seed = Seed {
                replication,
                ..Seed::default()
            };
            let record = simulate(&topology, seed, &Options::default());
            (record.traffic[0].latency_sum_ns - alone) as f64 / REQUESTS as f64
        })
        .collect();
    // One order of the rules holds for a whole run: from none passed to all.
    let nanos = 0.33 * 3.5 + 0.67 * (0.62 * 18.0 + 0.38 * 26.0);
    let places = extra.iter().map(|extra| extra / nanos / SERVICES as f64);
    assert!(places.clone().fold(f64::INFINITY, f64::min) < 0.25);
    assert!(places.clone().fold(0.0, f64::max) > 0.75);
    // Uniform: the mean of forty is a half, with a standard error of 0.046.
    let mean = places.sum::<f64>() / f64::from(SEEDS);
    assert!((mean - 0.5).abs() < 0.16, "{mean}");
}

#[test]
fn a_kept_connection_costs_neither() {
    let mut scenario = pair();
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 2_000, 4_000]);
    scenario.traffic[0].protocol = Protocol::Http1 {
        idle_timeout: Duration::from_millis(1_500),
    };
    let record = run_without_jitter(&scenario);
    // The second request finds the connection, the third finds it too old; both know the name.
    assert_eq!(
        record.traffic[0].latency_sum_ns,
        13_000_000 + 10_200_000 + 10_400_000
    );
}

#[test]
fn bytes_take_their_time_on_the_wire() {
    let mut scenario = pair();
    scenario.traffic[0].request_bytes = 10_700_000 / 8;
    let record = run_without_jitter(&scenario);
    // A thousandth of a second at 10.7 Gbit/s.
    assert_eq!(record.traffic[0].latency_sum_ns, 14_000_000);
}

#[test]
fn a_service_without_endpoints_refuses_at_once() {
    let mut scenario = pair();
    scenario.clusters[0].services[1].backends.clear();
    let record = run_without_jitter(&scenario);
    assert_eq!(record.traffic[0].failures[Reason::NoEndpoints as usize], 1);
}

#[test]
fn http2_shares_one_connection() {
    let mut scenario = pair();
    scenario.clusters[0].workloads[1].replicas = 2;
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 1_001, 1_002, 2_000]);
    scenario.traffic[0].protocol = Protocol::Http2;
    let record = run_without_jitter(&scenario);
    // The chosen pod is on the client's own node, a round trip of 0.05 ms away. The second and
    // third wait for the first one's lookup and handshake, and with it for the rule that chooses
    // between two endpoints: half of one on average, at 3.5, 18 or 26 ns.
    let rules =
        record.traffic[0].latency_sum_ns - (12_700_000 + 11_700_000 + 10_700_000 + 10_050_000);
    assert!([3 * 2, 3 * 9, 3 * 13].contains(&rules), "{rules}");
    let answered: Vec<_> = record
        .calls
        .iter()
        .filter(|call| call.succeeded > 0)
        .collect();
    assert_eq!(answered.len(), 1);
}

#[test]
fn local_policy_drops_where_the_node_has_no_endpoint() {
    let mut scenario = pair();
    scenario.clusters[0].services[1].internal_policy = TrafficPolicy::Local;
    scenario.traffic[0].timeout = Some(Duration::from_secs(2));
    let record = run_without_jitter(&scenario);
    assert_eq!(record.traffic[0].failures[Reason::Timeout as usize], 1);
}

#[test]
fn connections_choose_each_endpoint_alike_and_affinity_sticks() {
    let mut scenario = pair();
    scenario.clusters[0].workloads[1].replicas = 4;
    scenario.clusters[0].workloads[1]
        .template
        .station
        .discipline = Discipline::Fifo { workers: u32::MAX };
    let arrivals = Arrivals::Constant(RateProfile::Constant(1_000.0));
    scenario.traffic[0].arrivals = arrivals;
    let mut endpoints = std::collections::BTreeMap::new();
    let topology = without_jitter(&scenario);
    let simulation = crate::simulate::replicate(&topology, Seed::default(), &Options::default());
    let domain = simulation.partitions().next().unwrap();
    for (_, task) in domain.tasks.iter() {
        *endpoints.entry(task.pod).or_insert(0) += 1;
    }
    assert_eq!(endpoints.len(), 4, "{endpoints:?}");
    scenario.clusters[0].services[1].session_affinity = Some(Duration::from_secs(1));
    let topology = without_jitter(&scenario);
    let simulation = crate::simulate::replicate(&topology, Seed::default(), &Options::default());
    let domain = simulation.partitions().next().unwrap();
    let first = domain.tasks.iter().next().unwrap().1.pod;
    assert!(domain.tasks.iter().count() > 5);
    assert!(domain.tasks.iter().all(|(_, task)| task.pod == first));
}

#[test]
fn a_killed_pod_resets_its_requests_and_is_replaced() {
    let mut scenario = pair();
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 1_900, 6_000]);
    scenario.run.duration = Duration::from_secs(8);
    scenario.traffic[0].timeout = Some(Duration::from_millis(500));
    scenario.timeline = vec![fault_at(
        1_005,
        Fault::PodKill {
            cluster: ClusterId(0),
            workload: WorkloadId(1),
            count: 1,
        },
        None,
    )];
    let record = run_without_jitter(&scenario);
    let users = &record.traffic[0];
    // The first is reset at 1005; at 1900 every node knows that there is no endpoint; from
    // 3040 on there is one again; its kubelet notices within a second, and the rules follow
    // within another.
    assert_eq!(users.failures[Reason::Reset as usize], 1);
    assert_eq!(users.failures[Reason::NoEndpoints as usize], 1);
    assert_eq!(users.succeeded, 1);
    assert_eq!(record.workloads[1].lost, 1);
}

#[test]
fn a_dead_node_swallows_requests_until_the_grace_period_is_over() {
    let mut scenario = pair();
    scenario.run.duration = Duration::from_secs(120);
    scenario.traffic[0].arrivals = Arrivals::Constant(RateProfile::Constant(10.0));
    scenario.traffic[0].timeout = Some(Duration::from_millis(500));
    let topology = without_jitter(&scenario);
    let down = topology.clusters[0].pods[1].node.unwrap();
    scenario.timeline = vec![fault_at(
        10_000,
        Fault::NodeDown {
            cluster: ClusterId(0),
            node: down,
            packets: Packets::Dropped,
        },
        None,
    )];
    let record = run_without_jitter(&scenario);
    let users = &record.traffic[0];
    let timeouts = users.failures[Reason::Timeout as usize] as f64 / 10.0;
    // Grace 50 s less U(0, 10) plus U(0, 5), then endpoints and rules.
    assert!((40.0..56.5).contains(&timeouts), "{timeouts}");
    assert!(users.failures[Reason::NoEndpoints as usize] > 500);
}

#[test]
fn a_link_that_loses_everything_is_given_up_by_the_kernel() {
    let mut scenario = two_regions();
    scenario.links[0].loss = Some(1.0);
    let users = &mut scenario.traffic[0];
    users.arrivals = at_milliseconds(&[1_000]);
    users.timeout = None;
    users.target = TrafficTarget::Service {
        cluster: ClusterId(0),
        service: ServiceId(0),
        port: 0,
    };
    // Linux gives up 131 seconds after the first SYN.
    scenario.run.duration = Duration::from_millis(131_999);
    assert_eq!(run(&scenario).traffic[0].in_flight, 1);
    scenario.run.duration = Duration::from_millis(132_001);
    let record = run(&scenario);
    assert_eq!(
        record.traffic[0].failures[Reason::ConnectTimeout as usize],
        1
    );
}

#[test]
fn a_lost_syn_costs_a_second_and_lost_data_a_retransmission() {
    let mut scenario = two_regions();
    scenario.global_names.clear();
    scenario.links[0].loss = Some(0.1);
    let users = &mut scenario.traffic[0];
    users.arrivals = Arrivals::Constant(RateProfile::Constant(20.0));
    users.timeout = None;
    users.target = TrafficTarget::Service {
        cluster: ClusterId(0),
        service: ServiceId(0),
        port: 0,
    };
    let record = run(&scenario);
    let users = &record.traffic[0];
    let over = |milliseconds: u64| {
        let recorded = users.latency.iter_recorded();
        let slow = recorded.filter(|value| value.value_iterated_to() > milliseconds * 1_000_000);
        let count: u64 = slow.map(|value| value.count_since_last_iteration()).sum();
        count as f64 / users.succeeded as f64
    };
    // Four trips, each lost with a tenth: 1 - 0.9^4 are late, by 200 ms or more; 1 - 0.9^2 lose a
    // SYN or its answer and are late by a second. Five standard deviations of 2000 requests.
    assert!((over(200) - 0.344).abs() < 0.054, "{}", over(200));
    assert!((over(1_000) - 0.19).abs() < 0.044, "{}", over(1_000));
}
