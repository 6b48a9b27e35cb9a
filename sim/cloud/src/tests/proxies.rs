//! L7 proxies: every answer that is the proxy's own, and what it passes on.

use super::*;
use crate::record::{Reason, Record};

/// Users 10 ms away from one cluster, whose proxy routes `/shop` to `shop` and `/old` to a
/// reference that does not resolve.
fn shop() -> Scenario {
    let mut scenario = two_regions();
    scenario.clusters.truncate(1);
    scenario.global_names.clear();
    scenario.links.truncate(1);
    let cluster = &mut scenario.clusters[0];
    let mut gateway = workload("gateway", 1, 2, milliseconds(1));
    gateway.template.behavior.asynchronous = true;
    let mut web = workload("shop", 2, 1, milliseconds(10));
    web.template.behavior.response_bytes = 4_000;
    cluster.workloads = vec![gateway, web];
    cluster.services = vec![service("gateway", 0), service("shop", 1)];
    cluster.services[0].kind = ServiceKind::LoadBalancer;
    let route = |path: &str, service: Option<u32>| Route {
        matches: RouteMatch {
            path: PathMatch::Prefix(path.into()),
            ..RouteMatch::default()
        },
        backends: vec![RouteBackend {
            service: service.map(ServiceId),
            port: 0,
            weight: 1,
        }],
        timeout: Some(Duration::from_millis(50)),
    };
    cluster.proxies = vec![Proxy {
        name: "gateway".into(),
        workload: WorkloadId(0),
        service: ServiceId(0),
        routes: vec![route("/shop", Some(1)), route("/old", None)],
        balance: Balance::RoundRobin,
    }];
    let users = &mut scenario.traffic[0];
    users.target = TrafficTarget::Service {
        cluster: ClusterId(0),
        service: ServiceId(0),
        port: 0,
    };
    users.arrivals = at_milliseconds(&[1_000]);
    users.timeout = Some(Duration::from_secs(3));
    users.attributes.path = "/shop/cart".into();
    scenario
}

fn outcome(record: &Record) -> Result<(), Reason> {
    let users = &record.traffic[0];
    assert_eq!(users.sent, 1);
    match Reason::ALL
        .into_iter()
        .find(|&reason| users.failures[reason as usize] > 0)
    {
        Some(reason) => Err(reason),
        None => {
            assert_eq!(users.succeeded, 1);
            Ok(())
        }
    }
}

#[test]
fn a_request_passes_the_proxy_to_a_pod() {
    let record = run(&shop());
    assert_eq!(outcome(&record), Ok(()));
    // Two round trips of 20 ms, 1 ms in the proxy, 10 ms in the shop, hops within the cluster.
    let latency = record.traffic[0].latency_sum_ns as f64 / 1e6;
    assert!((51.0..56.0).contains(&latency), "{latency} ms");
    assert_eq!(record.workloads[0].finished, 1);
    assert_eq!(record.workloads[1].finished, 1);
}

#[test]
fn the_proxy_answers_for_itself() {
    let with = |change: &dyn Fn(&mut Scenario)| {
        let mut scenario = shop();
        change(&mut scenario);
        outcome(&run(&scenario))
    };
    let path = |path: &'static str| {
        move |scenario: &mut Scenario| scenario.traffic[0].attributes.path = path.into()
    };
    assert_eq!(with(&path("/blog")), Err(Reason::NoRoute));
    assert_eq!(with(&path("/old")), Err(Reason::ServerError));
    let no_weight = |scenario: &mut Scenario| {
        scenario.clusters[0].proxies[0].routes[0].backends[0].weight = 0;
    };
    assert_eq!(with(&no_weight), Err(Reason::ServerError));
    let no_endpoints = |scenario: &mut Scenario| scenario.clusters[0].services[1].backends.clear();
    assert_eq!(with(&no_endpoints), Err(Reason::Unavailable));
    let too_slow = |scenario: &mut Scenario| {
        scenario.clusters[0].workloads[1]
            .template
            .behavior
            .service_time = milliseconds(60);
    };
    assert_eq!(with(&too_slow), Err(Reason::GatewayTimeout));
    let failing = |scenario: &mut Scenario| {
        scenario.clusters[0].workloads[1]
            .template
            .behavior
            .error_rate = 1.0;
    };
    assert_eq!(with(&failing), Err(Reason::ServerError));
}

#[test]
fn requests_are_balanced_one_by_one_and_a_canary_gets_its_share() {
    let mut scenario = shop();
    let canary = workload("canary", 1, 1, milliseconds(10));
    let cluster = &mut scenario.clusters[0];
    cluster.workloads.push(canary);
    cluster.services.push(service("canary", 2));
    let mut routes = cluster.proxies[0].routes.clone();
    routes[0].backends[0].weight = 9;
    routes[0].backends.push(RouteBackend {
        service: Some(ServiceId(2)),
        port: 0,
        weight: 1,
    });
    scenario.traffic[0].arrivals = Arrivals::Poisson(RateProfile::Constant(20.0));
    scenario.timeline = vec![TimelineEntry {
        at: Time::ZERO + Duration::from_secs(50),
        label: "canary".into(),
        action: Action::Apply {
            cluster: ClusterId(0),
            changes: vec![Change::Routes(ProxyId(0), routes)],
        },
    }];
    let record = run(&scenario);
    let (shop, canary) = (record.workloads[1].finished, record.workloads[2].finished);
    // A tenth of the thousand requests of the second half, give or take four deviations.
    assert!((62..138).contains(&canary), "{canary}");
    assert!((1_650..2_100).contains(&shop), "{shop}");
    // They were written just before the API server went away for the rest of the time: the proxy
    // never hears of them.
    let fault = Fault::ApiServerDown {
        cluster: ClusterId(0),
        count: 3,
    };
    scenario.timeline.push(fault_at(50_007, fault, None));
    let record = run(&scenario);
    assert_eq!(record.workloads[2].finished, 0);
}
