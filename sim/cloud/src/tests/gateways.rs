//! Gateways at work: what comes to a port of theirs, and where it goes from there.

use super::mesh::{identity, route, rule, versions, weights};
use super::network::run_without_jitter;
use super::sidecars::sidecar;
use super::*;
use crate::istio::authentication::ClientMode;
use crate::istio::config::{Server, *};
use crate::istio::protocol::Protocol;
use crate::record::{Reason, Record};
use crate::scenario::Action;

/// Host of the gateway's service.
const EDGE: &str = "edge.default.svc.cluster.local";

fn server(port: u16, host: &str, mode: Option<ServerTlsMode>) -> Server {
    Server {
        name: None,
        port,
        port_name: format!("port-{port}"),
        protocol: match mode {
            None => Protocol::Http,
            Some(ServerTlsMode::Passthrough) => Protocol::Tls,
            Some(_) => Protocol::Https,
        },
        bind: None,
        hosts: vec![ServerHost::of(host)],
        tls: mode.map(|mode| ServerTls {
            redirects_to_https: false,
            mode,
            subject_names: Vec::new(),
            names_certificate: mode != ServerTlsMode::IstioMutual,
        }),
    }
}

fn gateway(servers: Vec<Server>) -> Object {
    Object::from(Gateway {
        identity: identity("edge"),
        selector: [("app".to_owned(), "edge".to_owned())].into(),
        only_in: None,
        servers,
    })
}

/// Routes for a host that bind to the gateway.
fn routed(host: &str, http: Vec<HttpRoute>) -> Object {
    Object::from(VirtualService {
        identity: identity("routes"),
        hosts: vec![host.to_owned()],
        gateways: vec![GatewayName::Object {
            namespace: "default".into(),
            name: "edge".into(),
        }],
        http,
        tls: Vec::new(),
        tcp: Vec::new(),
        export_to: ExportTo::Default,
        is_of_gateway_api: false,
    })
}

fn to_first() -> Vec<HttpRoute> {
    vec![route(weights(&[("v1", 1)]))]
}

/// A client without a sidecar that asks `shop.example` at a port of a gateway's service, in front
/// of the two versions of `web`.
pub(super) fn entered(port: u32, objects: Vec<Object>, requests: u64) -> Scenario {
    let mut scenario = versions(objects, requests);
    let traffic = &mut scenario.traffic[0];
    traffic.attributes.host = "shop.example".into();
    traffic.target = TrafficTarget::Service {
        cluster: ClusterId(0),
        service: ServiceId(2),
        port,
    };
    let cluster = &mut scenario.clusters[0];
    cluster.workloads[0].template.sidecar = None;
    let mut edge = workload("edge", 1, 1, milliseconds(0));
    let labels = &mut edge.template.placement.labels;
    labels.insert("app".to_owned(), "edge".to_owned());
    // On a node of its own.
    cluster.nodes.push(node("n3", 0));
    edge.template.placement.node_name = Some("n3".to_owned());
    edge.template.sidecar = sidecar().map(|sidecar| crate::scenario::Sidecar {
        role: Role::Gateway,
        ..sidecar
    });
    cluster.workloads.push(edge);
    let mut service = service("edge", 3);
    service.ports = [(80, 8_080), (443, 8_443), (9_000, 9_000)]
        .map(|(port, target_port)| ServicePort {
            name: None,
            port,
            target_port,
            node_port: None,
            transport: Transport::Tcp,
        })
        .into();
    cluster.services.push(service);
    scenario
}

fn served(record: &Record) -> [u64; 3] {
    [1, 2, 3].map(|workload: usize| record.workloads[workload].finished)
}

fn failed(record: &Record, reason: Reason) -> u64 {
    record.traffic[0].failures[reason as usize]
}

/// Everything in front of `web`'s two versions, through a plain server on this port.
fn open(port: u16) -> Vec<Object> {
    let servers = vec![server(port, "*", None)];
    let rule = rule(PortPolicy::default());
    vec![gateway(servers), rule, routed("shop.example", to_first())]
}

#[test]
fn a_request_passes_a_gateway_and_the_sidecar_behind_it() {
    let record = run_without_jitter(&entered(0, open(80), 1));
    assert_eq!(record.traffic[0].succeeded, 1);
    // Only the first version is asked; the gateway's own row is that of its proxy.
    assert_eq!(served(&record), [1, 0, 1]);
    let busy = u128::from(record.workloads[3].busy_ns as u64);
    // 500 µs for the request and its answer, and 700 µs for the connection that it opens.
    assert_eq!(busy, 500_000 + 700_000);
    let warm = 10_000_000 + 2 * 500_000 + 2 * 200_000;
    // It looks the name up, and two connections are opened: the second is encrypted, by one
    // round trip more, 1.5 ms of work, and 517 and 2500 bytes at 10.7 Gbit/s.
    let cold = 2_600_000 + 200_000 + 200_000 + 200_000 + 1_500_000 + 386 + 1_869;
    let rules = record.traffic[0].latency_sum_ns - warm - cold;
    assert!(rules < 10_000, "{rules} ns in the rules of a node");
}

#[test]
fn a_server_counts_for_the_port_of_the_service_or_of_the_pod() {
    for (port, position, succeeded) in [(80, 0, 5), (8_080, 0, 5), (443, 1, 5), (9_001, 2, 0)] {
        let record = run_without_jitter(&entered(position, open(port), 5));
        assert_eq!(record.traffic[0].succeeded, succeeded, "{port}");
        // Nobody listens where no server is.
        assert_eq!(failed(&record, Reason::Refused), 5 - succeeded, "{port}");
    }
}

#[test]
fn hosts_and_paths_without_a_route_are_answered_with_404() {
    let mut to_path = to_first();
    to_path[0].matches = vec![HttpMatch {
        uri: Some(UriMatch::Text(StringMatch::Prefix("/cart".into()))),
        ..HttpMatch::default()
    }];
    for (host, routes, path, missing) in [
        ("shop.example", to_first(), "/", 0),
        ("*.example", to_first(), "/", 0),
        ("other.example", to_first(), "/", 5),
        ("shop.example", to_path.clone(), "/cart/1", 0),
        ("shop.example", to_path, "/", 5),
    ] {
        let servers = vec![server(80, "*", None)];
        let rule = rule(PortPolicy::default());
        let objects = vec![gateway(servers), rule, routed(host, routes)];
        let mut scenario = entered(0, objects, 5);
        scenario.traffic[0].attributes.path = path.into();
        let record = run_without_jitter(&scenario);
        assert_eq!(failed(&record, Reason::NoRoute), missing, "{host} {path}");
        assert_eq!(record.traffic[0].succeeded, 5 - missing, "{host} {path}");
    }
}

#[test]
fn a_gateway_ends_tls() {
    let latency = |mode| {
        let servers = vec![server(443, "shop.example", mode)];
        let rule = rule(PortPolicy::default());
        let objects = vec![gateway(servers), rule, routed("shop.example", to_first())];
        let record = run_without_jitter(&entered(1, objects, 1));
        assert_eq!(record.traffic[0].succeeded, 1, "{mode:?}");
        record.traffic[0].latency_sum_ns
    };
    let plain = latency(None);
    // A round trip, 800 µs of the gateway's work, and the bytes of both greetings.
    let encrypted = 200_000 + 800_000 + 386 + 1_869;
    assert_eq!(latency(Some(ServerTlsMode::Simple)), plain + encrypted);
    // What is passed on is for the application to decrypt.
    let servers = vec![server(443, "shop.example", Some(ServerTlsMode::Simple))];
    let objects = vec![gateway(servers), routed("shop.example", to_first())];
    let mut scenario = entered(1, objects, 5);
    scenario.traffic[0].attributes.host = "other.example".into();
    let record = run_without_jitter(&scenario);
    assert_eq!(failed(&record, Reason::Reset), 5, "no server has its name");
}

#[test]
fn plain_requests_may_be_sent_to_tls() {
    let mut plain = server(80, "*", None);
    plain.tls = Some(ServerTls {
        redirects_to_https: true,
        mode: ServerTlsMode::Passthrough,
        subject_names: Vec::new(),
        names_certificate: false,
    });
    let objects = vec![gateway(vec![plain]), routed("shop.example", to_first())];
    let record = run_without_jitter(&entered(0, objects, 5));
    // They are answered at the gateway.
    assert_eq!(record.traffic[0].succeeded, 5);
    assert_eq!(served(&record), [0, 0, 5]);
}

#[test]
fn a_gateway_for_the_mesh_takes_certificates_of_the_mesh() {
    let run = |has_sidecar: bool, tls: Option<ClientMode>| {
        let servers = vec![server(443, "*", Some(ServerTlsMode::IstioMutual))];
        let to_edge = Object::from(DestinationRule {
            identity: identity("edge"),
            host: EDGE.into(),
            policy: crate::istio::config::TrafficPolicy {
                common: PortPolicy {
                    tls: tls.map(|mode| ClientTls {
                        mode,
                        sni: None,
                        subject_names: Vec::new(),
                        skips_verification: false,
                    }),
                    ..PortPolicy::default()
                },
                ..Default::default()
            },
            subsets: Vec::new(),
            export_to: ExportTo::Default,
            selector: Labels::new(),
        });
        let rule = rule(PortPolicy::default());
        let objects = vec![gateway(servers), to_edge, rule, routed("*", to_first())];
        let mut scenario = entered(1, objects, 5);
        scenario.traffic[0].attributes.host = EDGE.into();
        if has_sidecar {
            scenario.clusters[0].workloads[0].template.sidecar = sidecar();
        }
        run_without_jitter(&scenario).traffic[0].succeeded
    };
    assert_eq!(run(true, Some(ClientMode::IstioMutual)), 5);
    assert_eq!(run(true, None), 0, "pods of gateways do not ask for it");
    assert_eq!(
        run(false, None),
        0,
        "without a sidecar there is no certificate"
    );
}

#[test]
fn a_gateway_acts_on_what_it_was_told() {
    let mut scenario = entered(0, open(80), 200);
    let changed = routed("shop.example", vec![route(weights(&[("v2", 1)]))]);
    write_at_2_s(&mut scenario, changed);
    let [first, second, _] = served(&run_without_jitter(&scenario));
    assert_eq!(first + second, 200);
    // 100 ms of calm and the way of the push after it was written at 2 s.
    assert!((111..=116).contains(&first), "{first}");
}

/// Something is written at 2 s.
fn write_at_2_s(scenario: &mut Scenario, object: Object) {
    scenario.timeline.push(TimelineEntry {
        at: Time::ZERO + Duration::from_secs(2),
        label: "written".into(),
        action: Action::Apply {
            cluster: ClusterId(0),
            changes: vec![Change::Istio(vec![object])],
        },
    });
}

#[test]
fn a_gateway_takes_endpoints_where_sidecars_go_to_whom_the_client_wanted() {
    let with = |policy: Option<BalancePolicy>, kind| {
        let mut objects = open(80);
        objects[1] = rule(PortPolicy {
            load_balancer: Some(LoadBalancer {
                policy,
                ..LoadBalancer::default()
            }),
            ..PortPolicy::default()
        });
        let mut scenario = entered(0, objects, 5);
        scenario.clusters[0].services[1].kind = kind;
        run_without_jitter(&scenario)
    };
    let headless = with(None, ServiceKind::Headless);
    assert_eq!(headless.traffic[0].succeeded, 5, "it has endpoints");
    let lost = with(Some(BalancePolicy::Passthrough), ServiceKind::ClusterIp);
    assert_eq!(failed(&lost, Reason::NoEndpoints), 5);
}

#[test]
fn a_gateway_hears_of_its_servers() {
    let mut scenario = entered(0, open(80), 200);
    write_at_2_s(
        &mut scenario,
        gateway(vec![server(80, "other.example", None)]),
    );
    let record = run_without_jitter(&scenario);
    let succeeded = record.traffic[0].succeeded;
    // As above: 100 ms of calm and the way of the push.
    assert!((111..=116).contains(&succeeded), "{succeeded}");
    assert_eq!(failed(&record, Reason::NoRoute), 200 - succeeded);
}

#[test]
fn pushes_to_gateways_hold_all_clusters_and_a_listener_for_each_port() {
    let old_way = |servers: Vec<Server>, factor: Option<f64>| {
        let rule = rule(PortPolicy::default());
        let objects = vec![gateway(servers), rule, routed("shop.example", to_first())];
        let mut scenario = entered(0, objects, 1_000);
        let slow = factor.map(|factor| TimelineEntry {
            at: Time::ZERO + Duration::from_millis(1_500),
            label: "slow".into(),
            action: Action::Fault {
                fault: Fault::IstiodSlow {
                    cluster: ClusterId(0),
                    factor,
                },
                lasts: None,
            },
        });
        scenario.timeline.extend(slow);
        let changed = routed("shop.example", vec![route(weights(&[("v2", 1)]))]);
        write_at_2_s(&mut scenario, changed);
        let [first, second, _] = served(&run_without_jitter(&scenario));
        assert_eq!(first + second, 1_000);
        first
    };
    let more = |servers: fn() -> Vec<Server>| {
        10 * (old_way(servers(), Some(1_000.0)) - old_way(servers(), None))
    };
    // A route changes clusters, listeners and routes: a cluster for each of the five ports of
    // three services and for two subsets, a listener, and its routes. A thousand times
    // 500 µs + 9 x 20 µs.
    let one = more(|| vec![server(80, "*", None)]);
    assert!((670..=690).contains(&one), "{one}");
    // Two servers of one port share a listener and its routes; one that is encrypted has its own,
    // and one that passes connections on is no listener without routes for them.
    let all = more(|| {
        vec![
            server(80, "*", None),
            server(80, "shop.example", None),
            server(443, "*", Some(ServerTlsMode::Simple)),
            server(9_000, "*", Some(ServerTlsMode::Passthrough)),
        ]
    });
    assert_eq!(all - one, 40);
}

#[test]
fn what_a_gateway_holds_is_lost_with_it() {
    let mut scenario = entered(0, open(80), 200);
    scenario.timeline = vec![TimelineEntry {
        at: Time::ZERO + Duration::from_millis(2_005),
        label: "the gateway dies".into(),
        action: Action::Fault {
            fault: Fault::PodKill {
                cluster: ClusterId(0),
                workload: WorkloadId(3),
                count: 1,
            },
            lasts: None,
        },
    }];
    let record = run_without_jitter(&scenario);
    let lost = failed(&record, Reason::Reset);
    assert_eq!(lost, 1, "a request every 10 ms, each takes 11.4 ms");
    assert!(failed(&record, Reason::Refused) > 0);
    let traffic = &record.traffic[0];
    let failures: u64 = traffic.failures.iter().sum();
    assert_eq!(traffic.succeeded + failures + traffic.in_flight, 200);
}
