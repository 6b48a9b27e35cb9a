//! Response flags: requests that go wrong in every way, and what sidecars log of them.

use super::mesh::{peer_authentication, route, routes, rule, small_pool, versions, weights};
use super::network::run_without_jitter;
use super::*;
use crate::istio::authentication::{ClientMode, ServerMode};
use crate::istio::config::*;
use crate::record::{Record, Reporter};

/// What sidecars of one side logged of requests to `web`: version, status, flags and how many.
pub(super) fn logged(record: &Record, reporter: Reporter) -> Vec<(String, u16, String, u64)> {
    let records = record.flags.iter().filter(|it| it.reporter == reporter);
    let rows = records.flat_map(|record| {
        let version = record.version.clone().unwrap_or_default();
        let counts = record.counts.iter();
        counts.map(move |((status, flags), count)| {
            (version.clone(), *status, flags.to_string(), *count)
        })
    });
    rows.collect()
}

pub(super) fn row(
    version: &str,
    status: u16,
    flags: &str,
    count: u64,
) -> (String, u16, String, u64) {
    (version.to_owned(), status, flags.to_owned(), count)
}

/// Ten requests to the second version, under a route.
fn to_second(change: impl FnOnce(&mut HttpRoute)) -> Scenario {
    let mut http = route(weights(&[("v2", 100)]));
    change(&mut http);
    versions(vec![rule(PortPolicy::default()), routes(vec![http])], 10)
}

fn source(scenario: &Scenario) -> Vec<(String, u16, String, u64)> {
    logged(&run_without_jitter(scenario), Reporter::Source)
}

#[test]
fn what_goes_well_has_no_flag_at_either_side() {
    let record = run_without_jitter(&to_second(|_| {}));
    for reporter in [Reporter::Source, Reporter::Destination] {
        assert_eq!(logged(&record, reporter), [row("v2", 200, "-", 10)]);
    }
}

#[test]
fn routes_are_flagged_by_what_they_do() {
    let to_nobody = |http: &mut HttpRoute| http.action = weights(&[("v3", 100)]);
    assert_eq!(source(&to_second(to_nobody)), [row("", 503, "NC", 10)]);
    let elsewhere = |http: &mut HttpRoute| {
        http.matches = vec![HttpMatch {
            method: Some(StringMatch::Exact("POST".into())),
            ..HttpMatch::default()
        }];
    };
    assert_eq!(source(&to_second(elsewhere)), [row("", 404, "NR", 10)]);
    let aborts = |http: &mut HttpRoute| {
        http.fault.abort = Some(FaultAbort {
            with: AbortStatus::Http(418),
            share: Percent::ALL,
        });
    };
    assert_eq!(source(&to_second(aborts)), [row("", 418, "FI", 10)]);
    let delays = |http: &mut HttpRoute| {
        http.fault.delay = Some(FaultDelay {
            lasts: Duration::from_millis(5),
            share: Percent::ALL,
        });
    };
    assert_eq!(source(&to_second(delays)), [row("v2", 200, "DI", 10)]);
}

#[test]
fn who_waits_too_long_is_flagged_here_and_gone_there() {
    let record = run_without_jitter(&to_second(|http| {
        http.timeout = Some(Duration::from_millis(15));
    }));
    assert_eq!(
        logged(&record, Reporter::Source),
        [row("v2", 504, "UT", 10)]
    );
    assert_eq!(
        logged(&record, Reporter::Destination),
        [row("v2", 0, "DC", 10)]
    );
}

#[test]
fn hosts_that_are_not_there_or_fail_are_flagged_by_how() {
    let mut scenario = to_second(|_| {});
    scenario.clusters[0].workloads[2].replicas = 0;
    assert_eq!(source(&scenario), [row("", 503, "UH", 10)]);
    let under = |mode, client| {
        let policy = PortPolicy {
            tls: Some(ClientTls {
                mode: client,
                sni: None,
                subject_names: Vec::new(),
                skips_verification: false,
            }),
            ..PortPolicy::default()
        };
        let to_second = routes(vec![route(weights(&[("v2", 100)]))]);
        versions(vec![peer_authentication(mode), rule(policy), to_second], 10)
    };
    let plaintext = under(ServerMode::Strict, ClientMode::Disable);
    assert_eq!(source(&plaintext), [row("v2", 503, "UC", 10)]);
    // Connections that fail are tried again, by default twice.
    let encrypted = under(ServerMode::Disable, ClientMode::IstioMutual);
    assert_eq!(source(&encrypted), [row("v2", 503, "URX,UF", 10)]);
}

#[test]
fn a_full_pool_is_flagged() {
    let pool = small_pool();
    let to_second = routes(vec![route(weights(&[("v2", 100)]))]);
    let mut scenario = versions(vec![rule(pool), to_second], 1);
    // Two wait for the connection that is being opened, and the others are turned away.
    let threads = &mut scenario.clusters[0].workloads[0].template;
    threads.sidecar.as_mut().unwrap().threads = 1;
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000; 5]);
    let expected = [row("v2", 200, "-", 2), row("v2", 503, "UO", 3)];
    assert_eq!(source(&scenario), expected);
}

#[test]
fn what_waits_for_a_connection_that_dies_gets_another() {
    let to_second = routes(vec![route(weights(&[("v2", 100)]))]);
    let mut scenario = versions(vec![rule(small_pool()), to_second], 1);
    let threads = &mut scenario.clusters[0].workloads[0].template;
    threads.sidecar.as_mut().unwrap().threads = 1;
    // One is inside when the pod dies, and one waits for its connection. The news that the first is
    // lost comes when another connection has its number, on which the second is refused.
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 1_001]);
    let kill = Fault::PodKill {
        cluster: ClusterId(0),
        workload: WorkloadId(2),
        count: 1,
    };
    scenario.timeline = vec![fault_at(1_010, kill, None)];
    let expected = [row("v2", 503, "UC", 1), row("v2", 503, "URX,UF", 1)];
    assert_eq!(source(&scenario), expected);
}

#[test]
fn a_sidecar_flags_what_becomes_of_its_application() {
    // The second version dies with one request inside, and the next finds nobody behind the sidecar,
    // which since 1.24 tries twice more. Up to 1.23 the client's sidecar does so for each.
    for (minor, flags, count) in [(23, "UF", 5), (24, "URX,UF", 1)] {
        becomes_of_application(minor, (flags, count));
    }
}

fn becomes_of_application(minor: u32, (flags, count): (&str, u64)) {
    let mut scenario = to_second(|_| {});
    scenario.clusters[0].mesh = Some(Mesh::new(minor));
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 1_050]);
    let crash = Fault::ContainerCrash {
        cluster: ClusterId(0),
        workload: WorkloadId(2),
        count: 1,
    };
    scenario.timeline = vec![fault_at(1_010, crash, None)];
    let record = run_without_jitter(&scenario);
    let there = logged(&record, Reporter::Destination);
    assert_eq!(there.len(), 2);
    for row in [row("v2", 503, flags, count), row("v2", 503, "UC", 1)] {
        assert!(there.contains(&row), "{there:?}");
    }
    // To the client's sidecar these are answers.
    let here = logged(&record, Reporter::Source);
    let retried = if minor < 24 { "URX" } else { "-" };
    assert_eq!(here, [row("v2", 503, retried, 2)]);
}
