//! UDP: datagrams, the flows that kernels remember, and what kube-proxies do about them.

use super::network::{pair, run_without_jitter};
use super::nodes::at_end;
use super::*;
use crate::domain::{Domain, Phase};
use crate::record::{Reason, Record};
use std::collections::BTreeSet;

const CLUSTER: ClusterId = ClusterId(0);
const WEB: WorkloadId = WorkloadId(1);

/// The pair of the network's tests over UDP.
fn over_udp(socket: Socket) -> Scenario {
    let mut scenario = pair();
    scenario.clusters[0].services[1].ports[0].transport = Transport::Udp;
    scenario.traffic[0].protocol = Protocol::Udp(socket);
    scenario.traffic[0].timeout = Some(Duration::from_millis(100));
    scenario
}

fn pod_kill(at: u64) -> TimelineEntry {
    let (cluster, workload) = (CLUSTER, WEB);
    let count = 1;
    let fault = Fault::PodKill {
        cluster,
        workload,
        count,
    };
    fault_at(at, fault, None)
}

/// The kube-proxies of both machines stand still.
fn frozen(at: u64, lasts: Option<u64>) -> [TimelineEntry; 2] {
    [0, 1].map(|node| {
        let component = Component::KubeProxy(node);
        let cluster = CLUSTER;
        fault_at(at, Fault::Frozen { cluster, component }, lasts)
    })
}

fn failed(record: &Record, reason: Reason) -> u64 {
    record.traffic[0].failures[reason as usize]
}

/// Pods that web's flows of the client's machine go to.
fn flows(domain: &Domain<'_>) -> Vec<u32> {
    let node = domain.pods[0].node.expect("the client stands on a node");
    domain.nodes[node as usize].flows.pods()
}

#[test]
fn a_datagram_and_its_answer_cost_one_round_trip() {
    let mut scenario = over_udp(Socket::Kept);
    scenario.run.duration = Duration::from_secs(60);
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 2_000, 50_000]);
    let record = run_without_jitter(&scenario);
    // Lookup 2.6 ms, there and back 0.2 ms, service 10 ms; then the socket knows its address.
    let latency = 12_800_000 + 2 * 10_200_000;
    assert_eq!(record.traffic[0].latency_sum_ns, latency);
    scenario.traffic[0].protocol = Protocol::Udp(Socket::PerAttempt);
    let record = run_without_jitter(&scenario);
    // A new socket asks for the name again, once the answer is too old.
    assert_eq!(record.traffic[0].latency_sum_ns, latency + 2_600_000);
}

#[test]
fn datagrams_pass_sidecars_by() {
    let mut scenario = over_udp(Socket::Kept);
    scenario.clusters[0].mesh = Some(Mesh::new(30));
    for workload in &mut scenario.clusters[0].workloads {
        workload.template.sidecar = Some(Sidecar {
            role: Role::Sidecar,
            threads: 2,
            settings: Default::default(),
            patience: Default::default(),
            listens: Vec::new(),
            costs: ProxyCosts {
                request: milliseconds(1),
                response: milliseconds(1),
                handshake_client: milliseconds(1),
                handshake_server: milliseconds(1),
                resumption: milliseconds(1),
            },
        });
    }
    let record = run_without_jitter(&scenario);
    assert_eq!(record.traffic[0].latency_sum_ns, 12_800_000);
}

#[test]
fn what_finds_no_room_is_lost() {
    let mut scenario = over_udp(Socket::Kept);
    let station = &mut scenario.clusters[0].workloads[1].template.station;
    station.discipline = Discipline::Fifo { workers: 1 };
    station.queue_max = Some(0);
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 2_000, 2_001]);
    let record = run_without_jitter(&scenario);
    assert_eq!(record.traffic[0].succeeded, 2);
    assert_eq!(failed(&record, Reason::Timeout), 1);
}

#[test]
fn a_service_without_endpoints_refuses_datagrams_at_once() {
    let mut scenario = over_udp(Socket::Kept);
    scenario.clusters[0].services[1].backends.clear();
    let record = run_without_jitter(&scenario);
    assert_eq!(failed(&record, Reason::NoEndpoints), 1);
}

#[test]
fn a_container_between_two_lives_refuses_and_a_pod_that_is_gone_is_silent() {
    let mut scenario = over_udp(Socket::Kept);
    scenario.timeline = frozen(500, None).into();
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 2_100, 4_000]);
    let crash = Fault::ContainerCrash {
        cluster: CLUSTER,
        workload: WEB,
        count: 1,
    };
    let mut crashed = scenario.clone();
    crashed.timeline.push(fault_at(2_090, crash, None));
    let record = run_without_jitter(&crashed);
    // The new container has the address of the old one, and answers within a second or two.
    assert_eq!(failed(&record, Reason::Refused), 1);
    scenario.timeline.push(pod_kill(2_090));
    let record = run_without_jitter(&scenario);
    assert_eq!(record.traffic[0].succeeded, 1);
    assert_eq!(failed(&record, Reason::Timeout), 2);
}

/// What becomes of requests every 200 ms whose only pod is killed after 10 s and replaced.
fn replaced(socket: Socket, minor: u32) -> Record {
    let mut scenario = over_udp(socket);
    scenario.clusters[0].kubernetes_minor = minor;
    scenario.run.duration = Duration::from_secs(30);
    scenario.traffic[0].arrivals =
        at_milliseconds(&(5..140).map(|at| 200 * at + 1).collect::<Vec<_>>());
    scenario.timeline = vec![pod_kill(10_000)];
    run_without_jitter(&scenario)
}

#[test]
fn a_flow_follows_the_rules_from_the_sync_on_that_forgets_it() {
    let counts = |record: &Record| {
        let reasons = [Reason::Timeout, Reason::NoEndpoints];
        (
            record.traffic[0].succeeded,
            reasons.map(|reason| failed(record, reason)),
        )
    };
    // Up to 1.31 a flow is forgotten with its endpoint: it fares as those do that ask anew.
    let fresh = counts(&replaced(Socket::PerAttempt, 31));
    assert!(fresh.1[0] > 0 && fresh.1[1] > 5, "{fresh:?}");
    assert_eq!(counts(&replaced(Socket::Kept, 31)), fresh);
    // Since 1.32 it is lost until there is another endpoint, and nobody says so.
    let (succeeded, [timeouts, refused]) = counts(&replaced(Socket::Kept, 32));
    let (_, [few, many]) = counts(&replaced(Socket::PerAttempt, 32));
    assert_eq!((refused, timeouts), (0, few + many));
    assert_eq!(succeeded, fresh.0);
}

#[test]
fn a_flow_is_lost_for_as_long_as_its_kube_proxy_stands_still() {
    let mut scenario = over_udp(Socket::Kept);
    scenario.clusters[0].workloads[1].replicas = 2;
    scenario.run.duration = Duration::from_secs(400);
    scenario.traffic[0].arrivals =
        at_milliseconds(&(1..390).map(|at| 1_000 * at).collect::<Vec<_>>());
    scenario.timeline = frozen(5_000, Some(295_000)).into();
    scenario.timeline.push(pod_kill(10_000));
    let fails = |socket| {
        let mut scenario = scenario.clone();
        scenario.traffic[0].protocol = Protocol::Udp(socket);
        (0..6).map(move |replication| {
            let seed = Seed {
                replication,
                ..Seed::default()
            };
            let record = simulate(&compile(&scenario), seed, &Options::default());
            failed(&record, Reason::Timeout)
        })
    };
    // One of two pods is gone for 290 s: its flows lose everything, others nothing.
    let kept: BTreeSet<u64> = fails(Socket::Kept).collect();
    assert!(
        kept.iter().all(|lost| [0, 290, 291].contains(lost)),
        "{kept:?}"
    );
    assert!(kept.len() > 1, "{kept:?}");
    // Half of those that ask anew: a standard deviation of 8.5.
    for lost in fails(Socket::PerAttempt) {
        assert!((111..=180).contains(&lost), "{lost}");
    }
}

/// Zones of the pods that got requests after the first minute: of two pods in two zones.
fn zones(mut scenario: Scenario, gap: u64) -> usize {
    let cluster = &mut scenario.clusters[0];
    cluster.zones = vec!["a".into(), "b".into()];
    cluster.nodes[1].zone = ZoneId(1);
    cluster.workloads[1].replicas = 2;
    let mut at = 1_000;
    let mut instants = vec![at, at + 25_000];
    at += 25_000;
    for _ in 0..30 {
        at += gap;
        instants.push(at);
    }
    scenario.run.duration = Duration::from_millis(at + 1_000);
    scenario.traffic[0].arrivals = at_milliseconds(&instants);
    let record = run_without_jitter(&scenario);
    let web = |key: &crate::record::CallKey| key.answered.filter(|(workload, _)| *workload == WEB);
    let zones: BTreeSet<_> = record
        .calls
        .iter()
        .filter_map(|call| web(&call.key))
        .collect();
    zones.len()
}

#[test]
fn a_stream_is_forgotten_two_minutes_after_its_last_datagram() {
    let scenario = over_udp(Socket::Kept);
    assert_eq!(zones(scenario.clone(), 119_900), 1);
    assert_eq!(zones(scenario.clone(), 120_100), 2);
    let mut said = scenario.clone();
    let rules = &mut said.clusters[0].service_rules;
    rules.configuration.udp.stream = Some(Duration::from_secs(40));
    assert_eq!(zones(said, 40_100), 2);
    let mut ipvs = scenario;
    let scheduler = crate::rules::Scheduler::RoundRobin;
    ipvs.clusters[0].service_rules.configuration.mode = ProxyMode::Ipvs { scheduler };
    assert_eq!(zones(ipvs.clone(), 299_900), 1);
    assert_eq!(zones(ipvs, 300_100), 2);
}

#[test]
fn a_flow_without_answers_is_forgotten_after_half_a_minute() {
    let mut scenario = over_udp(Socket::Kept);
    let hang = Fault::Hang {
        cluster: CLUSTER,
        workload: WEB,
        count: 2,
    };
    scenario.timeline = vec![fault_at(500, hang, None)];
    assert_eq!(zones(scenario.clone(), 29_900), 1);
    assert_eq!(zones(scenario, 30_100), 2);
}

/// Whether the flow of a pod on its way out, which serves for a minute, is with its successor.
fn has_left(mode: ProxyMode, after: f64) -> bool {
    let mut scenario = over_udp(Socket::Kept);
    let cluster = &mut scenario.clusters[0];
    cluster.service_rules.configuration.mode = mode;
    let template = &mut cluster.workloads[1].template;
    template.termination.pre_stop = Duration::from_secs(60);
    template.termination.grace = Duration::from_secs(90);
    scenario.traffic[0].arrivals =
        at_milliseconds(&(1..200).map(|at| 500 * at).collect::<Vec<_>>());
    let changes = vec![Change::DeletePods(WEB, PodChoice::Drawn(1))];
    let cluster = CLUSTER;
    scenario.timeline = vec![TimelineEntry {
        at: Time::ZERO + Duration::from_secs(20),
        label: "delete".into(),
        action: Action::Apply { cluster, changes },
    }];
    scenario.run.duration = Duration::from_secs_f64(20.0 + after);
    at_end(&scenario, 0, |domain| {
        assert_eq!(domain.pods[1].phase == Phase::Running, after < 60.0);
        flows(domain) == [2]
    })
}

#[test]
fn ipvs_takes_flows_from_a_pod_on_its_way_out_and_the_other_modes_do_not() {
    let scheduler = crate::rules::Scheduler::RoundRobin;
    assert!(has_left(ProxyMode::Ipvs { scheduler }, 30.0));
    for mode in [ProxyMode::Iptables, ProxyMode::Nftables] {
        assert!(!has_left(mode, 55.0));
        assert!(has_left(mode, 65.0));
    }
}

#[test]
fn a_kube_proxy_that_starts_cleans_what_it_has_not_seen_come() {
    for (minor, kept) in [(31, 0), (33, 1)] {
        let mut scenario = over_udp(Socket::Kept);
        scenario.clusters[0].kubernetes_minor = minor;
        scenario.timeline = [0, 1]
            .map(|node| {
                let component = Component::KubeProxy(node);
                let cluster = CLUSTER;
                let down = Fault::ComponentDown { cluster, component };
                fault_at(2_000, down, Some(5_000))
            })
            .into();
        scenario.run.duration = Duration::from_secs(20);
        // The older one takes all services for new: its flows are forgotten for nothing.
        assert_eq!(at_end(&scenario, 0, flows).len(), kept, "1.{minor}");
    }
}

/// Users over UDP of a load balancer, through a link that loses a share.
fn from_outside(loss: f64) -> Scenario {
    let mut scenario = two_regions();
    scenario.global_names.clear();
    scenario.links[0].loss = Some(loss);
    let users = &mut scenario.traffic[0];
    users.arrivals = Arrivals::Constant(RateProfile::Constant(50.0));
    users.protocol = Protocol::Udp(Socket::Kept);
    users.target = TrafficTarget::Service {
        cluster: CLUSTER,
        service: ServiceId(0),
        port: 0,
    };
    scenario
}

#[test]
fn lost_datagrams_stay_lost() {
    let record = run(&from_outside(0.3));
    let users = &record.traffic[0];
    let lost = failed(&record, Reason::Timeout) as f64 / users.sent as f64;
    // 1 - 0.7^2, with five standard deviations of 5000 requests.
    assert!((lost - 0.51).abs() < 0.036, "{lost}");
    assert!(users.latency.max() < 200_000_000, "nothing is sent again");
}

#[test]
fn a_user_keeps_node_and_pod() {
    let scenario = from_outside(0.0);
    let flows = at_end(&scenario, 0, |domain| {
        let nodes = domain.nodes.iter();
        nodes
            .map(|node| node.flows.pods().len())
            .collect::<Vec<_>>()
    });
    // 100 users, each at one of two nodes: binomial, with a standard deviation of 5.
    assert_eq!(flows.iter().sum::<usize>(), 100, "{flows:?}");
    assert!(flows[0].abs_diff(50) <= 25, "{flows:?}");
}

#[test]
fn a_socket_keeps_the_cluster_that_its_name_led_to() {
    let last_failure = |socket| {
        let mut scenario = two_regions();
        scenario.traffic[0].protocol = Protocol::Udp(socket);
        let down = Fault::RegionDown {
            region: "one".into(),
            packets: Packets::Dropped,
        };
        scenario.timeline = vec![fault_at(20_000, down, None)];
        let record = run(&scenario);
        let (from, until) = record.traffic[0].failing[0];
        assert!((from.as_secs_f64() - 20.0).abs() < 0.2, "{from:?}");
        until.as_secs_f64()
    };
    // Found by the third check, 5 s apart, and 2 s later; then answers are used for up to 20 s.
    let moved = last_failure(Socket::PerAttempt);
    assert!((32.0..58.0).contains(&moved), "{moved}");
    // Whoever asks in the last second is still waiting at the end.
    assert!(last_failure(Socket::Kept) > 98.5);
}
