//! The control plane of a mesh in time: what proxies hear of it, and what their certificates are
//! worth.

use super::mesh::{
    SHOP, identity, route, routes, rule, shares, single_requests, versions, weights,
};
use super::network::run_without_jitter;
use super::*;
use crate::facts;
use crate::istio::config::*;
use crate::record::Record;
use crate::scenario::{Action, Component, RootCertificate, RootIssuer, TimelineEntry};

const CLUSTER: ClusterId = ClusterId(0);

fn at(milliseconds: u64) -> Time {
    Time::ZERO + Duration::from_millis(milliseconds)
}

/// Every request on a connection of its own.
fn short_connections() -> Object {
    rule(single_requests())
}

fn apply_at(milliseconds: u64, objects: Vec<Object>) -> TimelineEntry {
    TimelineEntry {
        at: at(milliseconds),
        label: "written".into(),
        action: Action::Apply {
            cluster: CLUSTER,
            changes: vec![Change::Istio(objects)],
        },
    }
}

fn istiod_down() -> Fault {
    Fault::ComponentDown {
        cluster: CLUSTER,
        component: Component::Istiod,
    }
}

/// Everything to one version of `web`.
fn all_to(version: &str) -> Object {
    routes(vec![route(weights(&[(version, 100)]))])
}

fn with_root(scenario: &mut Scenario, until: Time, issuer: RootIssuer) {
    let mesh = scenario.clusters[0].mesh.as_mut().unwrap();
    mesh.root = Some(RootCertificate { until, issuer });
}

#[test]
fn when_the_root_ends_connections_that_stand_go_on_and_new_ones_fail() {
    let run = |rule: Object| {
        let mut scenario = versions(vec![rule], 100);
        with_root(&mut scenario, at(1_505), RootIssuer::Operator);
        run_without_jitter(&scenario).traffic[0].succeeded
    };
    // Of the requests of each 10 ms from 1 s on the last 49 come too late.
    assert_eq!(run(short_connections()), 51);
    assert_eq!(run(rule(PortPolicy::default())), 100);
}

#[test]
fn istiod_renews_its_own_root_unless_it_is_down() {
    let hour = 3_600_000;
    let run = |issuer, outage: Option<u64>| {
        let mut scenario = versions(vec![short_connections()], 1);
        scenario.traffic[0].arrivals = at_milliseconds(&[hour, 3 * hour]);
        scenario.run.duration = Duration::from_millis(3 * hour + 1_000);
        with_root(&mut scenario, at(2 * hour), issuer);
        scenario.timeline = outage
            .map(|lasts| fault_at(0, istiod_down(), Some(lasts)))
            .into_iter()
            .collect();
        run_without_jitter(&scenario).traffic[0].succeeded
    };
    assert_eq!(run(RootIssuer::Operator, None), 1);
    assert_eq!(run(RootIssuer::Istiod, None), 2);
    // Down until after the last of the checks that would have come in time.
    assert_eq!(
        run(RootIssuer::Istiod, Some(2 * hour)),
        2,
        "renewed when it is back"
    );
    assert_eq!(run(RootIssuer::Istiod, Some(3 * hour)), 1);
}

#[test]
fn objects_of_istio_are_refused_while_no_istiod_answers() {
    let run = |of_gateway_api: bool| {
        let mut changed = all_to("v2");
        if let Object::VirtualService(service) = &mut changed {
            service.is_of_gateway_api = of_gateway_api;
        }
        let objects = vec![rule(PortPolicy::default()), all_to("v1")];
        let mut scenario = versions(objects, 300);
        scenario.timeline = vec![
            fault_at(1_200, istiod_down(), Some(800)),
            apply_at(1_500, vec![changed]),
        ];
        run_without_jitter(&scenario)
    };
    assert_eq!(shares(&run(false)), [300, 0]);
    // A route of the Gateway API is stored, and told once istiod is back.
    let [first, second] = shares(&run(true));
    assert_eq!(first + second, 300);
    assert!(first >= 100 && second > 0, "{first} {second}");
}

/// Requests that still went the old way after a new route was written at 2 s.
fn old_way(change: impl FnOnce(&mut Scenario)) -> u64 {
    let objects = vec![rule(PortPolicy::default()), all_to("v1")];
    let mut scenario = versions(objects, 1_000);
    scenario.timeline = vec![apply_at(2_000, vec![all_to("v2")])];
    change(&mut scenario);
    let record: Record = run_without_jitter(&scenario);
    let [first, second] = shares(&record);
    assert_eq!(first + second, 1_000);
    first - 100
}

#[test]
fn a_slow_api_server_tells_istiod_late() {
    let soon = old_way(|_| {});
    let late = old_way(|scenario| {
        let slow = Fault::ApiServerSlow {
            cluster: CLUSTER,
            factor: 21.0,
        };
        scenario.timeline.insert(0, fault_at(1_500, slow, None));
    });
    let more = Duration::from_millis(10 * (late - soon)).as_secs_f64();
    let (write, watch) = (facts::API_WRITE_DELAY.value, facts::WATCH_DELAY.value);
    let exact = 20.0 * (write + watch).as_secs_f64();
    assert!((more - exact).abs() <= 0.01, "{more} {exact}");
}

#[test]
fn what_istiod_waits_to_push_waits_for_istiod() {
    // It has heard of the route, and would wait for calm until 2.1 s.
    let from = 2_060;
    let frozen = old_way(|scenario| {
        let frozen = Fault::Frozen {
            cluster: CLUSTER,
            component: Component::Istiod,
        };
        scenario.timeline.push(fault_at(from, frozen, Some(2_000)));
    });
    // There is calm enough once it goes on, and the push takes some milliseconds.
    assert!((206..=209).contains(&frozen), "{frozen}");
    // The next istiod tells everything to those who come back to it, after a pause.
    let ended = old_way(|scenario| {
        let down = fault_at(from, istiod_down(), Some(2_000));
        scenario.timeline.push(down);
    });
    assert!((209..800).contains(&ended), "{ended}");
}

#[test]
fn a_slow_istiod_takes_as_many_times_longer_for_what_it_sends() {
    let factor = 1_000.0;
    let slow = |cluster: fn(&mut Scenario)| {
        move |scenario: &mut Scenario| {
            let slow = Fault::IstiodSlow {
                cluster: CLUSTER,
                factor,
            };
            scenario.timeline.insert(0, fault_at(1_500, slow, None));
            cluster(scenario);
        }
    };
    let soon = old_way(|_| {});
    let more = |change: fn(&mut Scenario)| 10 * (old_way(slow(change)) - soon);
    // A route changes clusters, listeners and routes, not endpoints: 4 clusters of two services
    // and two subsets, 2 listeners and the one that takes in, 1 table of routes. A thousand times
    // 500 µs + 8 x 20 µs.
    let all = more(|_| {});
    assert!((650..=670).contains(&all), "{all}");
    // A Sidecar that names `web` alone hides the client's own service: three clusters and one
    // listener are left.
    let scoped = more(|scenario| {
        let web = EgressListener {
            port: None,
            protocol: None,
            hosts: vec![ServerHost {
                namespace: HostNamespace::Own,
                host: SHOP.into(),
            }],
            left_out: Vec::new(),
            capture: CaptureMode::Default,
            bind: None,
        };
        let istio = scenario.clusters[0].istio.as_mut().unwrap();
        istio
            .objects
            .apply(Object::from(crate::istio::config::Sidecar {
                identity: identity("scope"),
                selector: None,
                ingress: Vec::new(),
                egress: vec![web],
                inbound_pool: None,
                outbound: None,
            }));
    });
    assert!((610..=630).contains(&scoped), "{scoped} of {all}");
}

#[test]
fn a_pod_behind_another_service_takes_in_what_that_one_names() {
    use crate::istio::authorization::{Action as Verdict, Operation, Rule, Values};
    let allow = Object::from(AuthorizationPolicy {
        identity: identity("allow"),
        target: PolicyTarget::Everybody,
        action: Verdict::Allow,
        provider: None,
        is_dry_run: false,
        rules: vec![Rule {
            to: vec![Operation {
                paths: Values {
                    any: vec!["/".into()],
                    none: Vec::new(),
                },
                ..Operation::default()
            }],
            ..Rule::default()
        }],
    });
    let mut scenario = versions(vec![allow], 400);
    let cluster = &mut scenario.clusters[0];
    // Only as HTTP a request has a path. The second version takes requests at another port, which
    // no service of its own names so, and then stands behind the service that all ask.
    cluster.services[1].backends = vec![WorkloadId(1)];
    cluster.services.push(Service {
        backends: vec![WorkloadId(2)],
        ports: vec![ServicePort {
            name: Some("http".into()),
            target_port: 81,
            ..cluster.services[1].ports[0].clone()
        }],
        ..service("old", 2)
    });
    cluster.services[1].ports[0].name = Some("http".into());
    let mut early = scenario.traffic[0].clone();
    early.name = "early".into();
    early.target = TrafficTarget::Service {
        cluster: ClusterId(0),
        service: ServiceId(2),
        port: 0,
    };
    early.arrivals = at_milliseconds(&[500, 600, 700]);
    early.attributes.host = "old.default.svc.cluster.local".into();
    scenario.traffic.push(early);
    scenario.timeline = vec![TimelineEntry {
        at: at(2_000),
        label: "moved".into(),
        action: Action::Apply {
            cluster: ClusterId(0),
            changes: vec![Change::Backends(ServiceId(1), vec![WorkloadId(2)])],
        },
    }];
    let record = run_without_jitter(&scenario);
    let succeeded = |traffic: usize| record.traffic[traffic].succeeded;
    assert_eq!((succeeded(1), succeeded(0)), (3, 400));
    assert!(shares(&record)[1] > 250);
}
