//! What becomes of connections while a node's ztunnel is away.

use super::ambient::{keep_alive, versions};
use super::mesh::failed;
use super::network::run_without_jitter;
use super::sidecars::sidecar;
use super::*;
use crate::record::{Reason, Record};
use crate::scenario::Component;

/// A request every 10 ms from the first second on to `web` on the second node, of which the
/// client stands on the first, over connections that are kept; the ztunnel of a node is away
/// from the third second until the fifth.
fn without(node: u32) -> Scenario {
    let mut scenario = versions(1_000, Vec::new());
    keep_alive(&mut scenario);
    let cluster = &mut scenario.clusters[0];
    for (workload, node) in cluster.workloads.iter_mut().zip(["n1", "n2", "n2"]) {
        workload.template.placement.node_name = Some(node.to_owned());
    }
    cluster.nodes.push(super::node("n3", 0));
    let fault = Fault::ComponentDown {
        cluster: ClusterId(0),
        component: Component::Ztunnel(node),
    };
    scenario.timeline = vec![fault_at(3_000, fault, Some(2_000))];
    scenario
}

fn told(record: &Record) -> [u64; 3] {
    let failed = [Reason::Refused, Reason::Reset].map(|reason| failed(record, reason));
    [record.traffic[0].succeeded, failed[0], failed[1]]
}

#[test]
fn connections_fail_at_either_end_until_it_is_back() {
    // 200 requests come in two seconds, perhaps one of them at the instant that it begins, and one
    // more before istiod has told it everything. Nobody takes the client's connections; the ztunnel
    // of the client takes them, and cannot go on.
    let [succeeded, refused, reset] = told(&run_without_jitter(&without(0)));
    assert!(
        (199..=201).contains(&refused) && reset <= 1,
        "{refused} {reset}"
    );
    assert_eq!(succeeded + refused + reset, 1_000);
    let [succeeded, refused, reset] = told(&run_without_jitter(&without(1)));
    assert!((200..=201).contains(&reset), "{reset}");
    assert_eq!((succeeded + reset, refused), (1_000, 0));
    let record = run_without_jitter(&without(2));
    assert_eq!(told(&record), [1_000, 0, 0], "nothing goes through it");
}

#[test]
fn what_is_under_way_breaks_at_once_and_is_worked_on_to_no_end() {
    for node in [0, 1] {
        let mut scenario = without(node);
        // It would be answered after four seconds.
        scenario.traffic[0].arrivals = at_milliseconds(&[2_000]);
        scenario.run.duration = Duration::from_secs(20);
        for web in [1, 2] {
            let web = &mut scenario.clusters[0].workloads[web];
            web.template.behavior.service_time = milliseconds(4_000);
        }
        let record = run_without_jitter(&scenario);
        assert_eq!(told(&record), [0, 0, 1], "{node}");
        let served = [1, 2].map(|web: usize| record.workloads[web].finished);
        assert_eq!(served.iter().sum::<u64>(), 1, "{node}");
    }
}

#[test]
fn a_tunnel_is_opened_anew_once_it_is_back() {
    let latency = |node: u32| {
        let mut scenario = without(node);
        scenario.traffic[0].arrivals = at_milliseconds(&[2_000, 6_000]);
        run_without_jitter(&scenario).traffic[0].latency_sum_ns
    };
    // TCP and TLS take a round trip each, with 600 µs of work and 2255 ns for the bytes; asking
    // for the connection takes another, with 50 µs of work at either end.
    let anew = 400_000 + 600_000 + 2_255 + 200_000 + 100_000;
    for node in [0, 1] {
        assert_eq!(latency(node), latency(2) + anew, "{node}");
    }
}

#[test]
fn sidecars_find_it_away_as_well() {
    let mut scenario = without(1);
    let client = &mut scenario.clusters[0].workloads[0].template;
    client.is_ambient = false;
    client.sidecar = sidecar();
    let record = run_without_jitter(&scenario);
    let unavailable = failed(&record, Reason::Unavailable);
    // Each request is tried three times, with pauses of less than 0.1 s in all, so that the last
    // of them may find it back.
    assert!((185..=200).contains(&unavailable), "{unavailable}");
    assert_eq!(record.traffic[0].succeeded + unavailable, 1_000);
}
