//! Connections that outlive what let them in.

use super::mesh::{failed, identity, peer_authentication, versions};
use super::network::run_without_jitter;
use super::operations::apply;
use super::*;
use crate::istio::authentication::ServerMode;
use crate::istio::authorization::Action;
use crate::istio::config::*;
use crate::record::{Reason, Record};

/// A client without a sidecar asks at these times over one connection; at 2 s sidecars that take
/// everything are about to be told something else.
fn run(change: Object, drain: Option<Duration>, arrivals: &[u64]) -> Record {
    let mut scenario = versions(vec![peer_authentication(ServerMode::Permissive)], 0);
    let cluster = &mut scenario.clusters[0];
    cluster.workloads[0].template.sidecar = None;
    for workload in &mut cluster.workloads[1..] {
        let sidecar = workload.template.sidecar.as_mut();
        sidecar.expect("servers have one").settings.proxy.drain = drain;
    }
    scenario.traffic[0].arrivals = at_milliseconds(arrivals);
    scenario.traffic[0].protocol = Protocol::Http1 {
        idle_timeout: Duration::from_secs(90),
    };
    scenario.run.duration = Duration::from_secs(2 + arrivals.last().expect("some") / 1_000);
    scenario.timeline = vec![apply(2, Change::Istio(vec![change]))];
    run_without_jitter(&scenario)
}

/// From 1.0 s to 3.9 s.
fn often() -> Vec<u64> {
    (0..30).map(|at| 1_000 + 100 * at).collect()
}

fn nobody_may() -> Object {
    Object::from(AuthorizationPolicy {
        identity: identity("nobody"),
        target: PolicyTarget::Everybody,
        action: Action::Allow,
        provider: None,
        is_dry_run: false,
        rules: Vec::new(),
    })
}

#[test]
fn a_connection_is_let_in_once_more_by_what_took_it() {
    // Told between 2.1 and 2.2 s: what comes at 2.2 s comes on the connection of before.
    let strict = run(peer_authentication(ServerMode::Strict), None, &often());
    assert_eq!(strict.traffic[0].succeeded, 13);
    assert_eq!(failed(&strict, Reason::Reset), 17);
    let denied = run(nobody_may(), None, &often());
    assert_eq!(denied.traffic[0].succeeded, 13);
    assert_eq!(failed(&denied, Reason::Forbidden), 17);
}

#[test]
fn a_connection_that_has_drained_is_let_in_no_more() {
    let strict = || peer_authentication(ServerMode::Strict);
    for (drain, succeeded) in [(None, 1), (Some(Duration::from_secs(90)), 2)] {
        let record = run(strict(), drain, &[1_000, 60_000]);
        assert_eq!(record.traffic[0].succeeded, succeeded, "{drain:?}");
    }
}

#[test]
fn what_changes_at_another_port_closes_nothing() {
    let elsewhere = Object::from(PeerAuthentication {
        identity: identity("strict"),
        selector: [("app".to_owned(), "web".to_owned())].into(),
        mode: Some(ServerMode::Permissive),
        ports: [(9_999, Some(ServerMode::Strict))].into(),
    });
    // A new connection would show in latencies.
    let taken = |change| {
        let record = run(change, None, &often());
        assert_eq!(record.traffic[0].succeeded, 30);
        record.traffic[0].latency_sum_ns
    };
    let calm = taken(peer_authentication(ServerMode::Permissive));
    assert_eq!(taken(elsewhere), calm);
    assert_ne!(taken(peer_authentication(ServerMode::Disable)), calm);
}
