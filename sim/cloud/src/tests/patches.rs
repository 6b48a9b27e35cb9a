//! EnvoyFilters at work: how long streams may take, and clusters with other limits.

use super::flags::{logged, row};
use super::mesh::{identity, route, routes, rule, versions, weights};
use super::network::run_without_jitter;
use super::*;
use crate::istio::config::*;
use crate::record::{Reason, Record, Reporter};

/// Requests to a version that answers after 20 ms, under an EnvoyFilter.
fn patched(context: PatchContext, change: PatchChange, requests: u64) -> Scenario {
    let filter = EnvoyFilter {
        identity: identity("by-hand"),
        selector: Labels::new(),
        local: Vec::new(),
        service: None,
        actions: Vec::new(),
        patches: vec![EnvoyPatch { context, change }],
    };
    let to_second = routes(vec![route(weights(&[("v2", 100)]))]);
    let objects = vec![rule(PortPolicy::default()), to_second, filter.into()];
    versions(objects, requests)
}

fn both_sides(record: &Record) -> [Vec<(String, u16, String, u64)>; 2] {
    [Reporter::Source, Reporter::Destination].map(|reporter| logged(record, reporter))
}

fn within(milliseconds: u64) -> Option<Duration> {
    Some(Duration::from_millis(milliseconds))
}

#[test]
fn streams_that_idle_or_last_for_too_long_are_answered_with_504() {
    let limits = |idle, lasting| PatchChange::Streams(StreamLimits { idle, lasting });
    for (change, flag) in [
        (limits(within(15), None), "SI"),
        (limits(None, within(15)), "DT"),
        (limits(within(16), within(15)), "DT"),
    ] {
        // At the client's sidecar, which lets the other one go.
        let scenario = patched(PatchContext::SidecarOutbound, change.clone(), 10);
        let record = run_without_jitter(&scenario);
        let here = vec![row("v2", 504, flag, 10)];
        assert_eq!(both_sides(&record), [here, vec![row("v2", 0, "DC", 10)]]);
        let failures = &record.traffic[0].failures;
        assert_eq!(failures[Reason::GatewayTimeout as usize], 10);
        // At the server's, whose application works on.
        let scenario = patched(PatchContext::SidecarInbound, change, 10);
        let record = run_without_jitter(&scenario);
        let there = vec![row("v2", 504, flag, 10)];
        assert_eq!(both_sides(&record), [vec![row("v2", 504, "-", 10)], there]);
        assert_eq!(record.workloads[2].finished, 10);
    }
    // Zero is no limit, and patches of gateways are not for sidecars.
    for (context, change) in [
        (PatchContext::Any, limits(within(0), within(0))),
        (PatchContext::Gateway, limits(within(15), None)),
    ] {
        let record = run_without_jitter(&patched(context, change, 10));
        let fine = vec![row("v2", 200, "-", 10)];
        assert_eq!(both_sides(&record), [fine.clone(), fine]);
    }
}

#[test]
fn clusters_take_the_limits_of_patches() {
    let one_request = ClusterPatch {
        limits: Some(PatchedLimits {
            requests: Some(1),
            ..PatchedLimits::default()
        }),
        ..ClusterPatch::default()
    };
    let logged_for = |matches: ClusterMatch, change: ClusterPatch| {
        let change = PatchChange::Clusters(matches, change);
        let mut scenario = patched(PatchContext::Any, change, 1);
        scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 1_005]);
        logged(&run_without_jitter(&scenario), Reporter::Source)
    };
    let all = ClusterMatch::default();
    let one_too_many = [row("v2", 200, "-", 1), row("v2", 503, "UO", 1)];
    assert_eq!(logged_for(all.clone(), one_request), one_too_many);
    let others = ClusterMatch {
        subset: Some("v1".into()),
        ..all.clone()
    };
    assert_eq!(logged_for(others, one_request), [row("v2", 200, "-", 2)]);
    // TLS alone takes longer than this, at each of three attempts.
    let hasty = ClusterPatch {
        connect_timeout: within(1),
        ..ClusterPatch::default()
    };
    assert_eq!(logged_for(all, hasty), [row("v2", 503, "URX,UF", 2)]);
}
