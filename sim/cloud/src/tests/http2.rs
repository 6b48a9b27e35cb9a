//! What sidecars speak to each other, by the handshakes that their connections cost.

use super::mesh::{http_pool, route, routes, rule, versions, weights};
use super::network::run_without_jitter;
use super::*;
use crate::istio::config::HttpPool;

/// How long the client's only thread works for five requests at once to one pod: 0.5 ms for each
/// of them, and 0.7 ms for each connection.
fn busy_for_five(http: HttpPool, change: impl FnOnce(&mut Scenario)) -> u64 {
    let policy = http_pool(http);
    let to_second = routes(vec![route(weights(&[("v2", 100)]))]);
    let mut scenario = versions(vec![rule(policy), to_second], 1);
    let client = &mut scenario.clusters[0].workloads[0].template;
    client.sidecar.as_mut().unwrap().threads = 1;
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000; 5]);
    change(&mut scenario);
    let record = run_without_jitter(&scenario);
    assert_eq!(record.traffic[0].succeeded, 5);
    u64::try_from(record.sidecars[0].busy_ns).unwrap()
}

fn connections(count: u64) -> u64 {
    5 * 500_000 + count * 700_000
}

#[test]
fn upgraded_requests_share_a_connection_up_to_its_streams() {
    let nothing = |_: &mut Scenario| {};
    let plain = HttpPool::default();
    assert_eq!(busy_for_five(plain, nothing), connections(5));
    let upgraded = HttpPool {
        h2_upgrade: Some(true),
        ..plain
    };
    assert_eq!(busy_for_five(upgraded, nothing), connections(1));
    let pairs = HttpPool {
        streams_max: Some(2),
        ..upgraded
    };
    assert_eq!(busy_for_five(pairs, nothing), connections(3));
    // The mesh upgrades what rules say nothing about, where a port is known to carry HTTP, and
    // leaves alone what they do not want.
    let by_mesh = |name: Option<&str>| {
        let name = name.map(str::to_owned);
        move |scenario: &mut Scenario| {
            let cluster = &mut scenario.clusters[0];
            cluster.istio.as_mut().unwrap().mesh.h2_upgrade = true;
            cluster.services[1].ports[0].name = name;
        }
    };
    let http = Some("http-web");
    assert_eq!(busy_for_five(plain, by_mesh(http)), connections(1));
    assert_eq!(busy_for_five(plain, by_mesh(None)), connections(5));
    let unwanted = HttpPool {
        h2_upgrade: Some(false),
        ..plain
    };
    assert_eq!(busy_for_five(unwanted, by_mesh(http)), connections(5));
}

#[test]
fn clusters_may_speak_what_their_clients_do() {
    let kept = HttpPool {
        uses_client_protocol: true,
        ..HttpPool::default()
    };
    let by_http2 = |name: &str| {
        let name = Some(name.to_owned()).filter(|name| !name.is_empty());
        move |scenario: &mut Scenario| {
            scenario.traffic[0].protocol = crate::scenario::Protocol::Http2;
            scenario.clusters[0].services[1].ports[0].name = name;
        }
    };
    let nothing = |_: &mut Scenario| {};
    // Said by a rule.
    assert_eq!(busy_for_five(kept, nothing), connections(5));
    assert_eq!(busy_for_five(kept, by_http2("http-web")), connections(1));
    // A port that says nothing of what it carries does so by itself.
    let usual = HttpPool::default();
    assert_eq!(busy_for_five(usual, by_http2("")), connections(1));
    assert_eq!(busy_for_five(usual, by_http2("http-web")), connections(5));
}

#[test]
fn ports_called_after_http2_or_grpc_need_no_upgrade() {
    for (name, count) in [("http-web", 5), ("http2-web", 1), ("grpc", 1)] {
        let named = |scenario: &mut Scenario| {
            scenario.clusters[0].services[1].ports[0].name = Some(name.into());
        };
        let busy = busy_for_five(HttpPool::default(), named);
        assert_eq!(busy, connections(count), "{name}");
    }
}
