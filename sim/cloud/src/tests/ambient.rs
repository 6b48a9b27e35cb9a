//! The ambient mesh: every hop through ztunnels, worked out by hand.

use super::mesh::{SHOP, identity, peer_authentication};
use super::network::{pair, run_without_jitter};
use super::sidecars::sidecar;
use super::*;
use crate::istio::authentication::ServerMode;
use crate::istio::authorization::{Action as Verdict, Operation, Rule, Source, Values};
use crate::istio::config::{AuthorizationPolicy, Istio, Object, PolicyTarget};
use crate::record::{Reason, Record};
use crate::scenario::Component;

fn microseconds(count: u64) -> Distribution {
    Distribution::constant(Duration::from_micros(count))
}

/// 30 µs for a request, 20 for an answer, 50 for a connection, 300 for a handshake; bytes are
/// free.
fn ztunnel() -> Ztunnel {
    Ztunnel {
        threads: 2,
        costs: ZtunnelCosts {
            request: microseconds(30),
            response: microseconds(20),
            connection: microseconds(50),
            handshake: microseconds(300),
            bits_per_second: u64::MAX,
        },
    }
}

/// As the pair of the network's tests, with its client and its `web` in the ambient mesh or not.
pub(super) fn ambient(client: bool, web: bool) -> Scenario {
    let mut scenario = pair();
    let cluster = &mut scenario.clusters[0];
    cluster.mesh = Some(Mesh::new(30));
    cluster.ztunnel = Some(ztunnel());
    cluster.workloads[0].template.is_ambient = client;
    cluster.workloads[1].template.is_ambient = web;
    scenario
}

pub(super) fn keep_alive(scenario: &mut Scenario) {
    scenario.traffic[0].protocol = Protocol::Http1 {
        idle_timeout: Duration::from_secs(60),
    };
}

fn with_objects(mut scenario: Scenario, objects: Vec<Object>) -> Scenario {
    let mut istio = Istio::default();
    for object in objects {
        istio.objects.apply(object);
    }
    scenario.clusters[0].istio = Some(istio);
    scenario
}

fn failed(record: &Record, reason: Reason) -> u64 {
    record.traffic[0].failures[reason as usize]
}

/// Opening a tunnel: TCP and TLS take a round trip each, both ends work for the handshake, and
/// 517 and 2500 bytes take their time at 10.7 Gbit/s.
const TUNNEL_NS: u128 = 400_000 + 600_000 + 386 + 1_869;
/// Asking for a connection inside: a round trip and the work of both ends.
const CONNECT_NS: u128 = 200_000 + 100_000;
/// A request there and back, 10 ms of service, and each of two ztunnels twice.
const REQUEST_NS: u128 = 10_200_000 + 100_000;
const LOOKUP_NS: u128 = 2_600_000;

#[test]
fn a_first_request_opens_a_tunnel_and_a_connection_inside() {
    let record = run_without_jitter(&ambient(true, true));
    assert_eq!(record.traffic[0].succeeded, 1);
    assert_eq!(
        record.traffic[0].latency_sum_ns,
        LOOKUP_NS + TUNNEL_NS + CONNECT_NS + REQUEST_NS
    );
}

#[test]
fn outside_of_the_mesh_connections_are_as_they_were() {
    // Only the one ztunnel works: for the connection of its client before it is opened, for the
    // connection that its pod is sent while the grant travels.
    for (client, web, extra) in [
        (false, false, 0),
        (true, false, 100_000),
        (false, true, 50_000),
    ] {
        let record = run_without_jitter(&ambient(client, web));
        let latency = record.traffic[0].latency_sum_ns;
        assert_eq!(latency, 13_000_000 + extra, "{client} {web}");
    }
}

#[test]
fn further_connections_share_the_tunnel_until_it_was_idle_for_five_minutes() {
    let mut scenario = ambient(true, true);
    scenario.run.duration = Duration::from_secs(700);
    let latency = |count: usize| {
        let mut scenario = scenario.clone();
        let instants = [1_000, 2_000, 301_000, 602_000];
        scenario.traffic[0].arrivals = at_milliseconds(&instants[..count]);
        run_without_jitter(&scenario).traffic[0].latency_sum_ns
    };
    let first = LOOKUP_NS + TUNNEL_NS + CONNECT_NS + REQUEST_NS;
    let inside = LOOKUP_NS + CONNECT_NS + REQUEST_NS;
    assert_eq!(latency(1), first);
    // Names are looked up again after 30 s only.
    assert_eq!(latency(2), first + inside - LOOKUP_NS);
    assert_eq!(latency(3), first + 2 * inside - LOOKUP_NS);
    assert_eq!(latency(4), 2 * first + 2 * inside - LOOKUP_NS);
}

#[test]
fn a_tunnel_carries_a_hundred_connections_and_then_another_is_opened() {
    // Requests that take ten seconds come every ten milliseconds, each on a connection of its own.
    let run = |instants: &[u64]| {
        let mut scenario = ambient(true, true);
        for workload in &mut scenario.clusters[0].workloads {
            workload.template.station = Station::fifo(1_000);
        }
        let web = &mut scenario.clusters[0].workloads[1];
        web.template.behavior.service_time = milliseconds(10_000);
        scenario.traffic[0].arrivals = at_milliseconds(instants);
        scenario.run.duration = Duration::from_secs(100);
        let record = run_without_jitter(&scenario);
        assert_eq!(record.traffic[0].succeeded as usize, instants.len());
        // The name is known for 30 s.
        record.traffic[0].latency_sum_ns - LOOKUP_NS
    };
    let request = CONNECT_NS + REQUEST_NS + 9_990_000_000;
    let every = |count: u64, from: u64| (0..count).map(move |number| from + 10 * number);
    let hundred: Vec<u64> = every(100, 1_000).collect();
    assert_eq!(run(&hundred), TUNNEL_NS + 100 * request);
    let more: Vec<u64> = every(103, 1_000).collect();
    assert_eq!(run(&more), 2 * TUNNEL_NS + 103 * request);
    // Not more than a hundred are inside at a time; but one that was full is not used again.
    let later: Vec<u64> = every(99, 1_000).chain(every(99, 15_000)).collect();
    assert_eq!(run(&later), TUNNEL_NS + 198 * request);
    let full: Vec<u64> = every(100, 1_000).chain(every(1, 15_000)).collect();
    assert_eq!(run(&full), 2 * TUNNEL_NS + 101 * request);
}

#[test]
fn connections_that_come_at_once_wait_for_one_tunnel() {
    let mut scenario = ambient(true, true);
    scenario.clusters[0].workloads[1].template.station = Station::fifo(8);
    scenario.clusters[0].ztunnel.as_mut().unwrap().threads = 8;
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 1_000, 1_000]);
    let record = run_without_jitter(&scenario);
    let each = LOOKUP_NS + TUNNEL_NS + CONNECT_NS + REQUEST_NS;
    assert_eq!(record.traffic[0].latency_sum_ns, 3 * each);
}

#[test]
fn ztunnels_tell_how_busy_they_were_and_what_they_carried() {
    let record = run_without_jitter(&ambient(true, true));
    let told: Vec<_> = record
        .ztunnels
        .iter()
        .map(|it| {
            (
                it.node, it.busy_ns, it.begun, it.opened, it.taken, it.tunnels,
            )
        })
        .collect();
    // A connection, a handshake, a request and an answer at either end.
    let work = 50_000 + 300_000 + 30_000 + 20_000;
    assert_eq!(told, [(0, work, 4, 1, 0, 1), (1, work, 4, 0, 1, 0)]);
    // Two threads for five seconds, unless it is away.
    let capacity = |scenario: &Scenario| {
        let record = run_without_jitter(scenario);
        [0, 1].map(|node: usize| record.ztunnels[node].capacity_ns / 1_000_000)
    };
    let mut scenario = ambient(true, true);
    assert_eq!(capacity(&scenario), [10_000, 10_000]);
    let away = Fault::ComponentDown {
        cluster: ClusterId(0),
        component: Component::Ztunnel(1),
    };
    scenario.timeline = vec![fault_at(2_000, away, Some(1_500))];
    assert_eq!(capacity(&scenario), [10_000, 7_000]);
    // One thread: the second of two connections at once waits for the first.
    let mut scenario = ambient(true, false);
    scenario.clusters[0].ztunnel.as_mut().unwrap().threads = 1;
    scenario.clusters[0].workloads[1].template.station = Station::fifo(8);
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 2_000, 2_000]);
    let waited = &run_without_jitter(&scenario).ztunnels[0];
    assert_eq!((waited.wait_sum_ns, waited.opened), (50_000, 3));
}

#[test]
fn threads_do_one_thing_at_a_time() {
    let mut scenario = ambient(true, false);
    scenario.clusters[0].ztunnel.as_mut().unwrap().threads = 1;
    scenario.clusters[0].workloads[1].template.station = Station::fifo(8);
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 2_000, 2_000]);
    let record = run_without_jitter(&scenario);
    // The names are known for the second and the third, of which one waits 50 µs with its
    // connection; its request and its answer find the thread free.
    let latency = record.traffic[0].latency_sum_ns;
    assert_eq!(latency, 13_100_000 + 2 * 10_500_000 + 50_000);
}

/// `web` of two versions of one pod each, in the ambient mesh as the client is; a request every
/// 10 ms.
pub(super) fn versions(requests: u64, objects: Vec<Object>) -> Scenario {
    let mut scenario = with_objects(ambient(true, true), objects);
    let instants: Vec<u64> = (0..requests).map(|at| 1_000 + 10 * at).collect();
    scenario.traffic[0].arrivals = at_milliseconds(&instants);
    scenario.traffic[0].attributes.host = SHOP.into();
    scenario.run.duration = Duration::from_millis(2_000 + 10 * requests);
    let cluster = &mut scenario.clusters[0];
    cluster.workloads[1].template.behavior.service_time = milliseconds(1);
    let mut second = cluster.workloads[1].clone();
    second.name = "web-v2".into();
    cluster.workloads.push(second);
    cluster.services[1].backends.push(WorkloadId(2));
    for workload in &mut cluster.workloads {
        workload.template.station = Station::fifo(64);
    }
    scenario
}

fn shares(record: &Record) -> [u64; 2] {
    [1, 2].map(|workload: usize| record.workloads[workload].finished)
}

#[test]
fn a_pod_is_picked_once_for_each_connection() {
    let mut scenario = versions(4_000, Vec::new());
    let [first, second] = shares(&run_without_jitter(&scenario));
    assert_eq!(first + second, 4_000);
    // Four standard deviations of a binomial of 4000 with a half are 126.
    assert!((1_874..=2_126).contains(&second), "{second}");
    keep_alive(&mut scenario);
    let [first, second] = shares(&run_without_jitter(&scenario));
    assert_eq!(first.max(second), 4_000, "one connection, one pod");
}

#[test]
fn the_nearest_pods_are_picked_as_the_service_prefers() {
    let mut scenario = versions(200, Vec::new());
    let cluster = &mut scenario.clusters[0];
    cluster.kubernetes_minor = 34;
    // The client and the first version on n1, the second on n2.
    cluster.services[1].distribution = Some(TrafficDistribution::SameNode);
    let on = |workload: &mut Workload, node: &str| {
        workload.template.placement.node_name = Some(node.into());
    };
    on(&mut cluster.workloads[0], "n1");
    on(&mut cluster.workloads[1], "n1");
    on(&mut cluster.workloads[2], "n2");
    assert_eq!(shares(&run_without_jitter(&scenario)), [200, 0]);
    // Until 1.26 only `PreferClose` was a word.
    for (minor, distribution) in [(26, Some(TrafficDistribution::SameNode)), (30, None)] {
        let cluster = &mut scenario.clusters[0];
        cluster.mesh.as_mut().unwrap().istio_minor = minor;
        cluster.services[1].distribution = distribution;
        let [first, second] = shares(&run_without_jitter(&scenario));
        assert!(first > 50 && second > 50, "{first} {second}");
    }
}

#[test]
fn a_ztunnel_picks_a_pod_that_is_gone_until_istiod_has_told_it() {
    let run = |is_dark: bool| {
        let mut scenario = versions(1_000, Vec::new());
        let down = Fault::ComponentDown {
            cluster: ClusterId(0),
            component: Component::Istiod,
        };
        let kill = Fault::PodKill {
            cluster: ClusterId(0),
            workload: WorkloadId(1),
            count: 1,
        };
        scenario.timeline = vec![fault_at(3_000, kill, None)];
        if is_dark {
            scenario
                .timeline
                .insert(0, fault_at(2_000, down, Some(4_000)));
        }
        let record = run_without_jitter(&scenario);
        let (first, last) = record.traffic[0].failing[0];
        (failed(&record, Reason::Reset), last.saturating_since(first))
    };
    // Half of the connections are for the pod that is gone, until a push has come some tenths of
    // a second later; without istiod, until the ztunnel has it back: it tries 10 ms after 2 s, and
    // after pauses that double, at 7.11 s, and istiod takes one stream every 29 ms.
    let (resets, outage) = run(false);
    assert!((2..60).contains(&resets), "{resets}");
    assert!(outage < Duration::from_millis(1_000), "{outage:?}");
    let (resets, outage) = run(true);
    // Four standard deviations of 411 with a half are 41.
    assert!((165..247).contains(&resets), "{resets}");
    assert!((3.9..4.2).contains(&outage.as_secs_f64()), "{outage:?}");
}

#[test]
fn strict_ports_take_what_comes_through_tunnels_only() {
    for (mode, client, succeeded) in [
        (ServerMode::Permissive, true, 10),
        (ServerMode::Permissive, false, 10),
        (ServerMode::Strict, true, 10),
        (ServerMode::Strict, false, 0),
    ] {
        let mut scenario = versions(10, vec![peer_authentication(mode)]);
        scenario.clusters[0].workloads[0].template.is_ambient = client;
        let record = run_without_jitter(&scenario);
        assert_eq!(record.traffic[0].succeeded, succeeded, "{mode:?} {client}");
        assert_eq!(failed(&record, Reason::Reset), 10 - succeeded);
    }
}

pub(super) fn policy(action: Verdict, principal: Option<&str>, method: Option<&str>) -> Object {
    let any = |value: &str| Values {
        any: vec![value.to_owned()],
        none: Vec::new(),
    };
    let source = principal.map(|principal| Source {
        principals: any(principal),
        ..Source::default()
    });
    let operation = method.map(|method| Operation {
        methods: any(method),
        ..Operation::default()
    });
    Object::from(AuthorizationPolicy {
        identity: identity("policy"),
        target: PolicyTarget::Everybody,
        action,
        provider: None,
        is_dry_run: false,
        rules: vec![Rule {
            from: source.into_iter().collect(),
            to: operation.into_iter().collect(),
            when: Vec::new(),
        }],
    })
}

#[test]
fn policies_know_clients_by_their_tunnels_and_nothing_of_http() {
    let buyer = Some("cluster.local/ns/default/sa/buyer");
    let other = Some("cluster.local/ns/default/sa/seller");
    for (case, action, principal, method, is_ambient, succeeded) in [
        ("who may", Verdict::Allow, buyer, None, true, 10),
        ("who may not", Verdict::Allow, other, None, true, 0),
        ("who shows nothing", Verdict::Allow, buyer, None, false, 0),
        ("whom it denies", Verdict::Deny, buyer, None, true, 0),
        (
            "http never allows",
            Verdict::Allow,
            buyer,
            Some("GET"),
            true,
            0,
        ),
        (
            "http alone denies nobody",
            Verdict::Deny,
            None,
            Some("GET"),
            true,
            10,
        ),
    ] {
        let mut scenario = versions(10, vec![policy(action, principal, method)]);
        let client = &mut scenario.clusters[0].workloads[0].template;
        client.service_account = "buyer".into();
        client.is_ambient = is_ambient;
        let record = run_without_jitter(&scenario);
        assert_eq!(record.traffic[0].succeeded, succeeded, "{case}");
        assert_eq!(failed(&record, Reason::Reset), 10 - succeeded, "{case}");
    }
}

#[test]
fn ztunnels_and_sidecars_speak_to_each_other() {
    // STRICT, and only the buyer may: mutual TLS in either direction.
    let buyer = Some("cluster.local/ns/default/sa/buyer");
    let objects = || {
        let allow = policy(Verdict::Allow, buyer, None);
        vec![peer_authentication(ServerMode::Strict), allow]
    };
    for client_has_sidecar in [true, false] {
        let mut scenario = versions(10, objects());
        let workloads = &mut scenario.clusters[0].workloads;
        for (at, workload) in workloads.iter_mut().enumerate() {
            if (at == 0) == client_has_sidecar {
                workload.template.is_ambient = false;
                workload.template.sidecar = sidecar();
            }
        }
        workloads[0].template.service_account = "buyer".into();
        let record = run_without_jitter(&scenario);
        assert_eq!(record.traffic[0].succeeded, 10, "{client_has_sidecar}");
    }
}
