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
        priority: 0,
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
        // At the server's, whose application works on, and whose routes say that streams may last.
        let scenario = patched(PatchContext::SidecarInbound, change.clone(), 10);
        let record = run_without_jitter(&scenario);
        if change == limits(None, within(15)) {
            let fine = vec![row("v2", 200, "-", 10)];
            assert_eq!(both_sides(&record), [fine.clone(), fine]);
            continue;
        }
        let flag = if flag == "DT" { "SI" } else { flag };
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

#[test]
fn routes_take_the_timeouts_and_retries_of_patches() {
    let routed = |change: RoutePatch| PatchChange::Routes(PatchedRoutes::default(), change);
    let timeout = |milliseconds| {
        routed(RoutePatch {
            timeout: within(milliseconds),
            ..RoutePatch::default()
        })
    };
    let logged_by_both =
        |context, change| both_sides(&run_without_jitter(&patched(context, change, 10)));
    let fine = vec![row("v2", 200, "-", 10)];
    // At the client's sidecar, which lets the other one go; at the server's, whose application
    // works on; and nowhere, since it would take longer.
    let late = vec![row("v2", 504, "UT", 10)];
    assert_eq!(
        logged_by_both(PatchContext::SidecarOutbound, timeout(15)),
        [late.clone(), vec![row("v2", 0, "DC", 10)]]
    );
    assert_eq!(
        logged_by_both(PatchContext::SidecarInbound, timeout(15)),
        [vec![row("v2", 504, "-", 10)], late]
    );
    for context in [PatchContext::SidecarOutbound, PatchContext::SidecarInbound] {
        let both = logged_by_both(context, timeout(40));
        assert_eq!(both, [fine.clone(), fine.clone()]);
    }
    // Each attempt takes 20 ms and may take 15: one after the first instead of two, and a pause of
    // at most 5 ms between them.
    let hasty = RetryPatch {
        attempts: Some(1),
        on: Some(RetryOn::of("5xx")),
        per_try_timeout: within(15),
        backoff: within(5),
        ..RetryPatch::default()
    };
    let change = routed(RoutePatch {
        retries: Some(hasty),
        ..RoutePatch::default()
    });
    let record = run_without_jitter(&patched(PatchContext::SidecarOutbound, change, 10));
    let [ours, theirs] = both_sides(&record);
    assert_eq!(ours, [row("v2", 504, "URX,UT", 10)]);
    let given_up: Vec<u64> = theirs.iter().map(|it| it.3).collect();
    assert!(theirs.iter().all(|it| *it == row("v2", 0, "DC", it.3)));
    assert_eq!(given_up.iter().sum::<u64>(), 20);
}

#[test]
fn what_a_route_says_of_streams_counts_before_what_its_listener_says() {
    let limits = |idle, lasting| StreamLimits { idle, lasting };
    let logged_with = |context, of_listener, of_route| {
        let mut scenario = patched(context, PatchChange::Streams(of_listener), 10);
        let change = RoutePatch {
            limits: of_route,
            ..RoutePatch::default()
        };
        let istio = scenario.clusters[0].istio.as_mut().expect("a mesh");
        istio.objects.envoy_filters[0].patches.push(EnvoyPatch {
            context,
            change: PatchChange::Routes(PatchedRoutes::default(), change),
        });
        let record = run_without_jitter(&scenario);
        let reporter = match context {
            PatchContext::SidecarInbound => Reporter::Destination,
            _ => Reporter::Source,
        };
        logged(&record, reporter)
    };
    for context in [PatchContext::SidecarOutbound, PatchContext::SidecarInbound] {
        let none = StreamLimits::default();
        let with = |listener, route| logged_with(context, listener, route);
        let (idle, lasting) = (limits(within(15), None), limits(None, within(15)));
        assert_eq!(
            with(idle, limits(within(0), None)),
            [row("v2", 200, "-", 10)]
        );
        assert_eq!(
            with(idle, limits(within(40), None)),
            [row("v2", 200, "-", 10)]
        );
        assert_eq!(
            with(limits(within(40), None), idle),
            [row("v2", 504, "SI", 10)]
        );
        assert_eq!(with(none, idle), [row("v2", 504, "SI", 10)]);
        assert_eq!(with(none, lasting), [row("v2", 504, "DT", 10)]);
        let by_listener = match context {
            PatchContext::SidecarInbound => row("v2", 200, "-", 10),
            _ => row("v2", 504, "DT", 10),
        };
        assert_eq!(with(lasting, none), [by_listener]);
        assert_eq!(
            with(lasting, limits(None, within(40))),
            [row("v2", 200, "-", 10)]
        );
    }
}
