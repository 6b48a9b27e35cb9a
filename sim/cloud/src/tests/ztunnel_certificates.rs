//! What ztunnels' certificates are worth, with and without istiod.

use super::ambient::ambient;
use super::network::run_without_jitter;
use super::nodes::at_end;
use super::operations::apply;
use super::*;
use crate::record::{Reason, Record};
use crate::scenario::{Component, RootCertificate, RootIssuer};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

fn down(component: Component) -> Fault {
    let cluster = ClusterId(0);
    Fault::ComponentDown { cluster, component }
}

/// Requests at these instants, so far from each other that each opens a tunnel, while istiod is
/// away from the start until an hour and a bit, or for good.
fn without_istiod(minor: u32, until: Option<u64>, instants: &[u64]) -> Scenario {
    let mut scenario = ambient(true, true);
    scenario.clusters[0].mesh = Some(Mesh::new(minor));
    scenario.traffic[0].arrivals = at_milliseconds(instants);
    scenario.run.duration = Duration::from_millis(26 * HOUR);
    scenario.timeline = vec![fault_at(0, down(Component::Istiod), until)];
    scenario
}

/// Requests that succeeded, and those whose connection broke.
fn told(record: &Record) -> [u64; 2] {
    let users = &record.traffic[0];
    let reset = users.failures[Reason::Reset as usize];
    assert_eq!(users.succeeded + reset, users.sent);
    [users.succeeded, reset]
}

#[test]
fn certificates_last_from_half_a_life_to_a_whole_one_without_istiod() {
    let run =
        |minor, instants: &[u64]| told(&run_without_jitter(&without_istiod(minor, None, instants)));
    // They are up to twelve hours old when istiod goes, and count for a day.
    let late = 24 * HOUR + MINUTE;
    assert_eq!(run(30, &[1_000, 11 * HOUR, 12 * HOUR - MINUTE]), [3, 0]);
    assert_eq!(run(30, &[late, late + HOUR]), [0, 2]);
    // Before 1.28 a ztunnel gives up what it cannot renew, at half a life.
    assert_eq!(run(28, &[12 * HOUR - MINUTE, late]), [1, 1]);
    assert_eq!(run(27, &[1_000, 12 * HOUR + MINUTE, late]), [1, 2]);
}

#[test]
fn connections_in_tunnels_that_stand_outlive_certificates() {
    // Each opens a connection of its own, inside of a tunnel that is never idle for five minutes.
    let instants: Vec<u64> = (1..380).map(|number| 4 * MINUTE * number).collect();
    for minor in [27, 30] {
        let record = run_without_jitter(&without_istiod(minor, None, &instants));
        assert_eq!(told(&record), [379, 0], "{minor}");
    }
}

#[test]
fn ztunnels_ask_again_within_150_seconds_once_istiod_is_back() {
    let back = 25 * HOUR;
    let instants = [back - 1_000, back + 1, back + 151_000];
    let record = run_without_jitter(&without_istiod(30, Some(back), &instants));
    assert_eq!(told(&record), [1, 2]);
}

#[test]
fn certificates_outlive_their_root_among_ztunnels_and_are_not_renewed_after_it() {
    let run = |has_sidecar: bool| {
        let mut scenario = without_istiod(30, None, &[1_000, 3 * HOUR, 26 * HOUR]);
        scenario.run.duration = Duration::from_millis(27 * HOUR);
        scenario.timeline.clear();
        if has_sidecar {
            let client = &mut scenario.clusters[0].workloads[0].template;
            client.is_ambient = false;
            client.sidecar = super::sidecars::sidecar();
        }
        scenario.clusters[0].mesh.as_mut().unwrap().root = Some(RootCertificate {
            until: Time::ZERO + Duration::from_millis(2 * HOUR),
            issuer: RootIssuer::Operator,
        });
        run_without_jitter(&scenario).traffic[0].succeeded
    };
    assert_eq!(run(false), 2);
    // A sidecar asks.
    assert_eq!(run(true), 1);
}

#[test]
fn pods_of_an_account_share_a_certificate_that_goes_with_the_last_of_them() {
    let mut scenario = ambient(true, true);
    scenario.run.duration = Duration::from_secs(100);
    let cluster = &mut scenario.clusters[0];
    cluster.nodes.truncate(1);
    cluster.workloads[1].template.service_account = "web".into();
    cluster.workloads[1].replicas = 2;
    let held = |scenario: &Scenario| {
        at_end(scenario, 0, |domain| {
            let ztunnel = domain.nodes[0].ztunnel.as_ref().unwrap();
            let accounts = ztunnel.certificates.accounts();
            accounts.into_iter().map(str::to_owned).collect::<Vec<_>>()
        })
    };
    assert_eq!(held(&scenario), ["default/default", "default/web"]);
    let scale = |replicas, at| {
        let change = Change::Replicas(WorkloadId(1), replicas);
        apply(at, change)
    };
    scenario.timeline = vec![scale(1, 10)];
    assert_eq!(held(&scenario), ["default/default", "default/web"]);
    scenario.timeline = vec![scale(0, 10)];
    assert_eq!(held(&scenario), ["default/default"]);
    scenario.timeline = vec![scale(0, 10), scale(1, 60)];
    assert_eq!(held(&scenario), ["default/default", "default/web"]);
}
