//! Callers that give up: which proxies let go, when, and what they log of it.

use super::flags::{logged, row};
use super::mesh::{http_pool, route, routes, rule, versions, weights};
use super::network::run_without_jitter;
use super::sidecars::sidecar;
use super::*;
use crate::istio::config::HttpPool;
use crate::record::{Reason, Record, Reporter};

/// Requests to a version that answers after 20 ms, from a client that waits for 15 ms.
fn impatient(http: HttpPool, requests: u64) -> Scenario {
    let policy = http_pool(http);
    let to_second = routes(vec![route(weights(&[("v2", 100)]))]);
    let mut scenario = versions(vec![rule(policy), to_second], requests);
    scenario.traffic[0].timeout = Some(Duration::from_millis(15));
    scenario
}

fn both_sides(record: &Record) -> [Vec<(String, u16, String, u64)>; 2] {
    [Reporter::Source, Reporter::Destination].map(|reporter| logged(record, reporter))
}

#[test]
fn proxy_after_proxy_lets_go_of_what_a_client_gave_up() {
    let record = run_without_jitter(&impatient(HttpPool::default(), 10));
    let gone = vec![row("v2", 0, "DC", 10)];
    assert_eq!(both_sides(&record), [gone.clone(), gone]);
    assert_eq!(record.traffic[0].failures[Reason::Timeout as usize], 10);
    // The application works on.
    assert_eq!(record.workloads[2].finished, 10);
}

#[test]
fn streams_of_http2_are_reset_and_flagged_so_since_envoy_1_30() {
    let upgraded = HttpPool {
        h2_upgrade: Some(true),
        ..HttpPool::default()
    };
    for (minor, flag) in [(22, "DR"), (21, "-")] {
        let mut scenario = impatient(upgraded, 10);
        scenario.clusters[0].mesh = Some(Mesh::new(minor));
        let record = run_without_jitter(&scenario);
        let at_client = vec![row("v2", 0, "DC", 10)];
        let at_server = vec![row("v2", 0, flag, 10)];
        assert_eq!(both_sides(&record), [at_client, at_server], "1.{minor}");
    }
}

#[test]
fn limits_count_no_more_what_was_given_up() {
    // One request at a time: the second comes when the client has left the first, and well before
    // that is answered.
    let mut scenario = impatient(
        HttpPool {
            requests_max: Some(1),
            ..HttpPool::default()
        },
        1,
    );
    scenario.clusters[0].workloads[2]
        .template
        .behavior
        .service_time = milliseconds(500);
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 1_100]);
    let [source, destination] = both_sides(&run_without_jitter(&scenario));
    assert_eq!(source, [row("v2", 0, "DC", 2)]);
    assert_eq!(destination, [row("v2", 0, "DC", 2)]);
    // A client that waits lets the limit turn the second away.
    scenario.traffic[0].timeout = None;
    let [source, _] = both_sides(&run_without_jitter(&scenario));
    assert_eq!(source, [row("v2", 200, "-", 1), row("v2", 503, "UO", 1)]);
}

#[test]
fn threads_pass_over_what_waits_for_nobody() {
    // A thread takes 10 ms for a request: of five at once it has had one and is at the second when
    // their callers leave, no later than after 15 ms; the answer to the first finds nobody.
    let mut scenario = impatient(HttpPool::default(), 1);
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000; 5]);
    let template = &mut scenario.clusters[0].workloads[2].template;
    let mut slow = sidecar().unwrap();
    slow.threads = 1;
    slow.costs.request = milliseconds(10);
    slow.costs.handshake_server = milliseconds(0);
    slow.costs.resumption = milliseconds(0);
    template.sidecar = Some(slow);
    let record = run_without_jitter(&scenario);
    let [_, destination] = both_sides(&record);
    assert_eq!(destination, [row("v2", 0, "DC", 5)]);
    assert_eq!(record.sidecars[2].busy_ns, 20_000_000);
    assert_eq!(record.workloads[2].arrived, 1);
}

#[test]
fn a_client_that_dies_leaves_as_well() {
    let mut scenario = impatient(HttpPool::default(), 1);
    scenario.traffic[0].timeout = None;
    scenario.clusters[0].workloads[2]
        .template
        .behavior
        .service_time = milliseconds(500);
    let kill = Fault::PodKill {
        cluster: ClusterId(0),
        workload: WorkloadId(0),
        count: 1,
    };
    scenario.timeline = vec![fault_at(1_100, kill, None)];
    let [_, destination] = both_sides(&run_without_jitter(&scenario));
    assert_eq!(destination, [row("v2", 0, "DC", 1)]);
}

#[test]
fn nothing_is_kept_of_a_request_whose_caller_was_gone_when_it_came() {
    // The client's machine is cut off at some instant of these, and the client gives up right
    // after it: at some of them while its request is under way, and the news of that stays behind.
    // What the proxy there keeps for a caller is looked at when the replication ends.
    for microseconds in (4_000..6_000).step_by(10) {
        let mut scenario = impatient(HttpPool::default(), 1);
        let workloads = scenario.clusters[0].workloads.iter_mut();
        for (workload, node) in workloads.zip(["n1", "n2", "n2"]) {
            workload.template.placement.node_name = Some(node.to_owned());
        }
        let cut = Fault::NodePartition {
            cluster: ClusterId(0),
            node: 0,
        };
        let mut fault = fault_at(1_000, cut, None);
        fault.at += Duration::from_micros(microseconds);
        scenario.timeline = vec![fault];
        scenario.traffic[0].timeout = Some(Duration::from_micros(microseconds + 5));
        run_without_jitter(&scenario);
    }
}
