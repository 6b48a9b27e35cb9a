//! Waypoints at work: which requests pass them, what they do there, and what that costs.

use super::ambient::{ambient, policy};
use super::mesh::{destination, failed, identity, route, routes, rule, shares, versions, weights};
use super::network::run_without_jitter;
use super::sidecars::sidecar;
use super::*;
use crate::istio::authorization::Action as Verdict;
use crate::istio::config::{Server, *};
use crate::record::{Caller, Reason, Record};
use crate::scenario::{Action, Component};

/// `web` is reached through the waypoint, or not.
fn used(is_used: bool) -> Object {
    used_by(is_used, false)
}

/// The same, by gateways as well or not.
fn used_by(is_used: bool, is_for_gateways: bool) -> Object {
    let waypoint = is_used.then(|| WaypointName {
        namespace: "default".into(),
        name: "waypoint".into(),
    });
    Object::from(WaypointUse {
        identity: identity("web"),
        waypoint,
        is_for_gateways,
    })
}

/// As versions of `web`, in the ambient mesh as their client is, with a waypoint on a node of its
/// own.
fn through(mut objects: Vec<Object>, requests: u64) -> Scenario {
    if !objects
        .iter()
        .any(|it| matches!(it, Object::WaypointUse(_)))
    {
        objects.push(used(true));
    }
    let mut scenario = versions(objects, requests);
    let cluster = &mut scenario.clusters[0];
    cluster.ztunnel = ambient(true, true).clusters[0].ztunnel.clone();
    for workload in &mut cluster.workloads {
        workload.template.sidecar = None;
        workload.template.is_ambient = true;
    }
    cluster.workloads[0].template.service_account = "buyer".into();
    cluster.nodes.push(node("n3", 0));
    for (workload, node) in cluster.workloads.iter_mut().zip(["n1", "n2", "n2"]) {
        workload.template.placement.node_name = Some(node.to_owned());
    }
    let mut waypoint = workload("waypoint", 1, 1, milliseconds(0));
    let labels = &mut waypoint.template.placement.labels;
    labels.insert(GATEWAY_NAME.to_owned(), "waypoint".to_owned());
    waypoint.template.placement.node_name = Some("n3".to_owned());
    waypoint.template.service_account = "waypoint".into();
    waypoint.template.sidecar = sidecar().map(|sidecar| crate::scenario::Sidecar {
        role: Role::Waypoint,
        ..sidecar
    });
    cluster.workloads.push(waypoint);
    let mut service = service("waypoint", 3);
    service.ports[0].port = 15_008;
    service.ports[0].target_port = 15_008;
    cluster.services.push(service);
    scenario
}

/// All requests go to the second version.
fn to_second() -> Vec<Object> {
    let second = routes(vec![route(weights(&[("v2", 1)]))]);
    vec![rule(PortPolicy::default()), second]
}

/// A policy that is attached to something of this kind.
fn attached(kind: &str, name: &str, policy: Object) -> Object {
    let Object::AuthorizationPolicy(mut policy) = policy else {
        panic!("it is a policy");
    };
    let group = match kind {
        "Service" => "",
        _ => "gateway.networking.k8s.io",
    };
    policy.target = PolicyTarget::References(vec![TargetReference {
        group: group.into(),
        kind: kind.into(),
        name: name.into(),
    }]);
    Object::AuthorizationPolicy(policy)
}

const BUYER: Option<&str> = Some("cluster.local/ns/default/sa/buyer");
const WAYPOINT: Option<&str> = Some("cluster.local/ns/default/sa/waypoint");

fn passed(record: &Record) -> u64 {
    record.workloads[3].finished
}

#[test]
fn a_first_request_passes_ztunnel_waypoint_and_ztunnel() {
    let mut objects = to_second();
    objects.push(used(true));
    let record = run_without_jitter(&through(objects, 1));
    assert_eq!(record.traffic[0].succeeded, 1);
    let bytes = 386 + 1_869;
    // It looks the name up; its ztunnel takes the connection and opens a tunnel: two round trips,
    // and the work of both ends; then a round trip asks for the connection inside.
    let lookup = 2_600_000 + 50_000;
    let tunnel = 200_000 + 200_000 + 800_000 + 300_000 + bytes + 200_000;
    let to_waypoint = 30_000 + 100_000 + 300_000;
    // The waypoint opens a connection of its own, and has its handshake with the ztunnel there.
    let line = 200_000 + 200_000 + 300_000 + 700_000 + bytes;
    let served = 100_000 + 30_000 + 20_000_000 + 20_000 + 100_000;
    let back = 200_000 + 100_000 + 20_000;
    let whole = lookup + tunnel + to_waypoint + line + served + back;
    assert_eq!(record.traffic[0].latency_sum_ns, whole);
}

#[test]
fn waypoints_keep_their_connections_to_pods() {
    let mut objects = to_second();
    objects.push(used(true));
    let first = run_without_jitter(&through(objects.clone(), 1)).traffic[0].latency_sum_ns;
    let mut scenario = through(objects, 1);
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000, 1_500]);
    // With one thread there is one pool.
    let sidecar = scenario.clusters[0].workloads[3].template.sidecar.as_mut();
    sidecar.unwrap().threads = 1;
    let both = run_without_jitter(&scenario).traffic[0].latency_sum_ns;
    // The second finds the name, the tunnel and the waypoint's connection.
    let warm = 50_000 + 200_000 + 430_000 + 20_250_000 + 320_000;
    assert_eq!(both, first + warm);
}

#[test]
fn routes_hold_at_waypoints_and_nowhere_else_in_the_ambient_mesh() {
    for (is_used, share) in [(true, 1_000..=1_000), (false, 437..=563)] {
        let mut objects = to_second();
        objects.push(used(is_used));
        let record = run_without_jitter(&through(objects, 1_000));
        assert_eq!(record.traffic[0].succeeded, 1_000);
        // Four standard deviations of a binomial of 1000 with a half are 63.
        assert!(share.contains(&shares(&record)[1]), "{:?}", shares(&record));
        assert_eq!(passed(&record), if is_used { 1_000 } else { 0 });
    }
}

#[test]
fn routes_of_other_namespaces_and_for_labels_of_callers_are_left_out() {
    let elsewhere = |mut object: Object| {
        if let Object::VirtualService(service) = &mut object {
            service.identity.namespace = "elsewhere".into();
        }
        object
    };
    let for_labels = |mut object: Object| {
        if let Object::VirtualService(service) = &mut object {
            service.http[0].matches = vec![HttpMatch {
                source: Source {
                    labels: [("app".to_owned(), "web".to_owned())].into(),
                    ..Source::default()
                },
                ..HttpMatch::default()
            }];
        }
        object
    };
    for change in [&elsewhere as &dyn Fn(Object) -> Object, &for_labels] {
        let objects = to_second().into_iter().map(change).collect();
        let record = run_without_jitter(&through(objects, 200));
        assert_eq!((record.traffic[0].succeeded, passed(&record)), (200, 200));
        let [first, second] = shares(&record);
        assert!(first > 50 && second > 50, "{first} {second}");
    }
}

#[test]
fn a_route_may_limit_the_time_of_requests_and_try_again() {
    let mut slow = routes(vec![route(weights(&[("v2", 1)]))]);
    if let Object::VirtualService(service) = &mut slow {
        service.http[0].timeout = Some(Duration::from_millis(15));
    }
    let record = run_without_jitter(&through(vec![rule(PortPolicy::default()), slow], 20));
    assert_eq!(failed(&record, Reason::GatewayTimeout), 20);
}

#[test]
fn policies_at_waypoints_know_clients_and_requests() {
    let web = |it| attached("Service", "web", it);
    for (case, policy, allowed) in [
        ("who may", web(policy(Verdict::Allow, BUYER, None)), true),
        (
            "who may not",
            web(policy(Verdict::Allow, WAYPOINT, None)),
            false,
        ),
        ("how", web(policy(Verdict::Allow, BUYER, Some("GET"))), true),
        (
            "how not",
            web(policy(Verdict::Allow, BUYER, Some("POST"))),
            false,
        ),
        (
            "denied",
            web(policy(Verdict::Deny, None, Some("GET"))),
            false,
        ),
        (
            "at the waypoint",
            attached("Gateway", "waypoint", policy(Verdict::Deny, BUYER, None)),
            false,
        ),
        (
            "at another service",
            attached("Service", "cart", policy(Verdict::Deny, BUYER, None)),
            true,
        ),
    ] {
        let record = run_without_jitter(&through(vec![policy], 10));
        let expected = if allowed { (10, 0) } else { (0, 10) };
        let met = (
            record.traffic[0].succeeded,
            failed(&record, Reason::Forbidden),
        );
        assert_eq!(met, expected, "{case}");
    }
}

#[test]
fn servers_see_the_waypoint() {
    // Such policies are enforced by the ztunnel of the server.
    for (principal, succeeded) in [(WAYPOINT, 10), (BUYER, 0)] {
        let objects = vec![policy(Verdict::Allow, principal, None)];
        let record = run_without_jitter(&through(objects, 10));
        assert_eq!(record.traffic[0].succeeded, succeeded, "{principal:?}");
        assert_eq!(passed(&record), 10);
    }
    let record = run_without_jitter(&through(Vec::new(), 10));
    let mut served = record.calls.iter().filter(|call| {
        let answered = call.key.answered.map(|(workload, _)| workload.index());
        matches!(answered, Some(1 | 2))
    });
    let waypoint = Caller::Workload(ClusterId(0), WorkloadId(3));
    assert!(served.all(|call| call.key.caller == waypoint));
}

#[test]
fn who_has_no_ztunnel_passes_waypoints_by() {
    for has_sidecar in [false, true] {
        let deny = attached("Service", "web", policy(Verdict::Deny, None, Some("GET")));
        let mut scenario = through(vec![deny], 10);
        let client = &mut scenario.clusters[0].workloads[0].template;
        client.is_ambient = false;
        client.sidecar = sidecar().filter(|_| has_sidecar);
        let record = run_without_jitter(&scenario);
        assert_eq!((record.traffic[0].succeeded, passed(&record)), (10, 0));
    }
}

#[test]
fn ztunnels_use_waypoints_from_when_they_were_told() {
    let run = |is_dark: bool| {
        let mut scenario = through(vec![used(false)], 1_000);
        scenario.timeline = vec![TimelineEntry {
            at: Time::ZERO + Duration::from_secs(3),
            label: "a waypoint".into(),
            action: Action::Apply {
                cluster: ClusterId(0),
                changes: vec![Change::Istio(vec![used(true)])],
            },
        }];
        if is_dark {
            let fault = Fault::ComponentDown {
                cluster: ClusterId(0),
                component: Component::Istiod,
            };
            scenario
                .timeline
                .insert(0, fault_at(2_000, fault, Some(4_000)));
        }
        let record = run_without_jitter(&scenario);
        // A waypoint whose stream comes back later than ztunnels hear of it knows no route until then.
        let least = if is_dark { 600 } else { 1_000 };
        assert!(record.traffic[0].succeeded >= least);
        passed(&record)
    };
    // 800 requests come after 3 s, and 500 after 6 s, when istiod is back.
    let told = run(false);
    assert!((740..800).contains(&told), "{told}");
    let told = run(true);
    assert!((380..500).contains(&told), "{told}");
}

#[test]
fn a_waypoint_counts_once_it_has_served_and_is_missed_from_then_on() {
    // Nobody asks one that is not there yet.
    let mut scenario = through(Vec::new(), 1_000);
    scenario.clusters[0].workloads[3].replicas = 0;
    let record = run_without_jitter(&scenario);
    assert_eq!((record.traffic[0].succeeded, passed(&record)), (1_000, 0));
    // Requests fail while its only pod is replaced, which takes two seconds.
    let mut scenario = through(Vec::new(), 1_000);
    let kill = Fault::PodKill {
        cluster: ClusterId(0),
        workload: WorkloadId(3),
        count: 1,
    };
    scenario.timeline = vec![fault_at(3_000, kill, None)];
    let record = run_without_jitter(&scenario);
    let (first, last) = record.traffic[0].failing[0];
    let outage = last.saturating_since(first).as_secs_f64();
    assert!((1.9..4.0).contains(&outage), "{outage}");
    assert_eq!(
        record.traffic[0].succeeded + failed(&record, Reason::Reset),
        1_000
    );
}

#[test]
fn nobody_is_served_by_a_waypoint_itself() {
    let mut scenario = through(Vec::new(), 5);
    scenario.traffic[0].target = TrafficTarget::Service {
        cluster: ClusterId(0),
        service: ServiceId(2),
        port: 0,
    };
    let record = run_without_jitter(&scenario);
    assert_eq!(failed(&record, Reason::Refused), 5);
}

/// As before, asked by way of a gateway on a node of its own, whose service is the last.
fn entered(is_for_gateways: bool, mut objects: Vec<Object>) -> Scenario {
    objects.push(used_by(true, is_for_gateways));
    objects.push(Object::from(Gateway {
        identity: identity("edge"),
        selector: [("app".to_owned(), "edge".to_owned())].into(),
        only_in: None,
        servers: vec![Server {
            name: None,
            port: 80,
            port_name: "http".to_owned(),
            protocol: crate::istio::protocol::Protocol::Http,
            bind: None,
            hosts: vec![ServerHost::of("shop.example")],
            tls: None,
        }],
    }));
    let to_web = HttpDestination {
        target: Target::Host(destination(None)),
        weight: 1,
        headers: HeaderChanges::default(),
    };
    objects.push(Object::from(VirtualService {
        identity: identity("entry"),
        hosts: vec!["shop.example".to_owned()],
        gateways: vec![GatewayName::Object {
            namespace: "default".into(),
            name: "edge".into(),
        }],
        http: vec![route(HttpAction::Forward(vec![to_web]))],
        tls: Vec::new(),
        tcp: Vec::new(),
        export_to: ExportTo::Default,
        is_of_gateway_api: false,
    }));
    let mut scenario = through(objects, 100);
    let traffic = &mut scenario.traffic[0];
    traffic.attributes.host = "shop.example".into();
    traffic.target = TrafficTarget::Service {
        cluster: ClusterId(0),
        service: ServiceId(3),
        port: 0,
    };
    let cluster = &mut scenario.clusters[0];
    cluster.workloads[0].template.is_ambient = false;
    let mut edge = workload("edge", 1, 1, milliseconds(0));
    let labels = &mut edge.template.placement.labels;
    labels.insert("app".to_owned(), "edge".to_owned());
    edge.template.service_account = "edge".into();
    edge.template.sidecar = sidecar().map(|sidecar| crate::scenario::Sidecar {
        role: Role::Gateway,
        ..sidecar
    });
    cluster.nodes.push(node("n4", 0));
    edge.template.placement.node_name = Some("n4".to_owned());
    cluster.workloads.push(edge);
    cluster.services.push(service("edge", 4));
    scenario
}

#[test]
fn gateways_go_through_waypoints_where_the_service_says_so() {
    let run = |is_for_gateways, objects| {
        let record = run_without_jitter(&entered(is_for_gateways, objects));
        (record.traffic[0].succeeded, passed(&record))
    };
    assert_eq!(run(false, Vec::new()), (100, 0));
    assert_eq!(run(true, Vec::new()), (100, 100));
    // The waypoint knows the gateway by its tunnel.
    let only = |account: &str| {
        let principal = format!("cluster.local/ns/default/sa/{account}");
        let allow = policy(Verdict::Allow, Some(&principal), None);
        vec![attached("Service", "web", allow)]
    };
    assert_eq!(run(true, only("edge")), (100, 100));
    assert_eq!(run(true, only("buyer")).0, 0);
    // Who goes past the waypoint is asked by nobody.
    assert_eq!(run(false, only("buyer")), (100, 0));
}

#[test]
fn a_gateway_finds_nobody_where_the_waypoint_has_no_pods() {
    let mut scenario = entered(true, Vec::new());
    scenario.clusters[0].workloads[3].replicas = 0;
    let record = run_without_jitter(&scenario);
    assert_eq!(record.traffic[0].succeeded, 0);
    assert_eq!(failed(&record, Reason::Unavailable), 100);
}
