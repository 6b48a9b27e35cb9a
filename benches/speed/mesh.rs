//! What a mesh costs: a request that passes a gateway and three sidecars, and what istiod translates
//! for a thousand of them.

use std::fmt::Write;

use cloud::istio::config::Configuration;
use cloud::istio::config::MeshConfig;
use cloud::istio::locality::Locality;
use cloud::istio::network::Gateways;
use cloud::istio::push::Role;
use cloud::istio::translate::Compiler;
use cloud::istio::translate::registry::{Endpoint, Health, Proxy, Service, ServicePort, World};
use cloud::istio::version::Version;
use cloud::scenario::Scenario;
use cloud::{Options, compile, simulate};
use engine::{Duration, Seed};
use loader::{File, Nothing};
use std::net::{IpAddr, Ipv4Addr};

use crate::measure::{Figure, Runner, Target, timed};

const PROXIES: u32 = 1_000;
const REQUESTS: u64 = 400_000;
const REQUESTS_PER_SECOND: u64 = 20_000;

pub fn figures(runner: &mut Runner) {
    request(runner);
    translation(runner);
}

/// The speed of requests of users through a gateway to an application and on to a second, through
/// the sidecars of both: encrypted, routed, balanced, with retries and outlier detection armed.
fn request(runner: &mut Runner) {
    let figure = |name, unit, reference, target| Figure {
        name,
        unit,
        reference,
        target,
    };
    let speed = figure(
        "mesh_request",
        "Mrequests/s",
        "0.5_Mrequests/s",
        Target::RatioAtLeast(1.0),
    );
    if !runner.wants(speed.name) {
        return;
    }
    let mut seed = Seed::default();
    let scenario = read(&application());
    let mut run = |requests: u64| {
        let mut scenario = scenario.clone();
        scenario.run.duration = Duration::from_secs(1) / REQUESTS_PER_SECOND * requests;
        let record = simulate(&compile(&scenario), seed, &Options::default());
        let users = &record.traffic[0];
        assert_eq!(users.failures.iter().sum::<u64>(), 0, "nothing fails");
        assert!(users.succeeded > requests * 9 / 10, "everybody is served");
        seed.replication += 1;
        (users.succeeded as f64, record.events as f64)
    };
    if runner.alone(&mut |requests: u64| {
        run(requests);
    }) {
        return;
    }
    run(REQUESTS);
    let mut rounds: Vec<(f64, f64)> = Vec::new();
    for _ in 0..5 {
        let mut counted = (0.0, 0.0);
        let seconds = timed(|| counted = run(REQUESTS)).as_secs_f64();
        rounds.push((counted.0 / seconds, counted.1 / counted.0));
    }
    rounds.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (median, events) = rounds[rounds.len() / 2];
    runner.report(&speed, median / 1e6, median / 5e5);
    let told = |name, unit| figure(name, unit, "12_visits", Target::Reported);
    let count = told("mesh_request_events", "events/request");
    runner.report(&count, events, events / 12.0);
    let nanos = 1e9 / median / events;
    let cost = told("mesh_request_nanos", "ns/event");
    runner.report(&cost, nanos, nanos / (1e9 / 5e5 / 12.0));
}

/// A gateway, a shop that it leads to and a store that the shop asks, both with sidecars.
fn application() -> String {
    let mut text = EDGE.to_owned();
    for name in ["shop", "store"] {
        write!(
            text,
            "apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: 20
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}, version: v1}}}}
    spec: {{containers: [{{name: main, image: \"{name}:1\", ports: [{{containerPort: 80}}], resources: {{requests: {{cpu: 500m, memory: 1Gi}}}}}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}}}
spec:
  host: {name}
  trafficPolicy: {{outlierDetection: {{consecutive5xxErrors: 5}}}}
  subsets: [{{name: v1, labels: {{version: v1}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: [{name}]
  http: [{{route: [{{destination: {{host: {name}, subset: v1}}}}], timeout: 10s, retries: {{attempts: 2, perTryTimeout: 5s}}}}]
---
"
        )
        .expect("a string takes everything");
    }
    text + "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {name: mesh}
spec:
  clusters:
    - name: cluster
      region: aws/eu-central-1
      zones: [a]
      kubernetes: '1.33'
      nodePools: [{name: node, count: 4, cpu: 32, memory: 128Gi}]
      istio: {version: '1.30', injectedNamespaces: [default]}
  users: [{name: users, region: aws/eu-central-1}]
  behavior:
    shop: {serviceTime: 1ms, workers: unlimited, calls: [{to: 'store:80', protocol: http1}]}
    store: {serviceTime: 1ms, workers: unlimited}
  traffic: [{name: callers, from: users, to: 'http://edge.default:80/', arrivals: {poisson: 20000/s}, protocol: http1}]
  run: {duration: 1s, analysis: terminating}
"
}

/// A gateway of twenty pods with all requests for the shop.
const EDGE: &str = "apiVersion: v1
kind: Service
metadata: {name: edge}
spec: {type: LoadBalancer, selector: {app: edge}, ports: [{name: http2, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: edge}
spec:
  replicas: 20
  selector: {matchLabels: {app: edge}}
  template:
    metadata: {labels: {app: edge}, annotations: {inject.istio.io/templates: gateway}}
    spec: {containers: [{name: istio-proxy, image: auto, resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {cpu: '2', memory: 1Gi}}}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {selector: {app: edge}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: ['*']
  gateways: [edge]
  http: [{route: [{destination: {host: shop, subset: v1}}], timeout: 10s, retries: {attempts: 2, perTryTimeout: 5s}}]
---
";

fn read(text: &str) -> Scenario {
    let file = File {
        name: "mesh.yaml".into(),
        text: text.into(),
    };
    let loaded = loader::load(&[file], &Nothing);
    loaded.scenario.unwrap_or_else(|| {
        let problem = &loaded.diagnostics[0];
        panic!("{}", loader::render(problem, &loaded.files, false))
    })
}

/// The time in which istiod translates what a thousand sidecars, each in a namespace of its own,
/// are told of a thousand services.
fn translation(runner: &mut Runner) {
    let figure = Figure {
        name: "mesh_1000",
        unit: "s",
        reference: "2_s",
        target: Target::ValueAtMost(2.0),
    };
    if runner.is_alone() || !runner.wants(figure.name) {
        return;
    }
    let services: Vec<Service> = (0..PROXIES).map(service).collect();
    let endpoints: Vec<Vec<Endpoint>> = (0..PROXIES).map(|at| vec![endpoint(at)]).collect();
    let (objects, mesh, gateways) = (
        Configuration::default(),
        MeshConfig::default(),
        Gateways::default(),
    );
    let world = World {
        services: &services,
        objects: &objects,
        mesh: &mesh,
        domain: "cluster.local",
        gateways: &gateways,
        version: Version::new(30),
    };
    let seconds = timed(|| {
        let mut compiler = Compiler::new(&world);
        for number in 0..PROXIES {
            compiler.view(&world, &endpoints, &proxy(number), Role::Sidecar);
        }
        assert_eq!(compiler.tables.clusters.len(), PROXIES as usize, "shared");
    });
    let seconds = seconds.as_secs_f64();
    runner.report(&figure, seconds, seconds / 2.0);
}

fn namespace(number: u32) -> String {
    format!("team-{number}")
}

fn address(network: u8, number: u32) -> IpAddr {
    let [.., high, low] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, network, high, low))
}

fn place() -> Locality {
    Locality::parse("eu/a")
}

fn service(number: u32) -> Service {
    use cloud::istio::config::{Created, ExportTo, Location, Resolution};
    use cloud::istio::locality::Distribution;
    use cloud::istio::protocol::Protocol;
    let namespace = namespace(number);
    Service {
        host: format!("api.{namespace}.svc.cluster.local"),
        namespace,
        created: Created::Before(i64::from(number)),
        addresses: vec![address(96, number)],
        ranges: Vec::new(),
        is_of_entry: false,
        ports: vec![ServicePort {
            number: 80,
            name: "http".into(),
            protocol: Protocol::Http,
        }],
        resolution: Resolution::Static,
        location: Location::Internal,
        export_to: ExportTo::Default,
        distribution: Distribution::Any,
        publishes_unready: false,
    }
}

fn endpoint(number: u32) -> Endpoint {
    Endpoint {
        workload: number,
        address: address(1, number),
        targets: vec![Some(80)],
        labels: [("app".to_owned(), "api".to_owned())].into(),
        locality: place(),
        cluster: 0,
        network: None,
        namespace: namespace(number),
        weight: 1,
        health: Health::Ready,
        has_sidecar: true,
    }
}

fn proxy(number: u32) -> Proxy {
    Proxy {
        namespace: namespace(number),
        labels: [("app".to_owned(), "api".to_owned())].into(),
        locality: place(),
        cluster: 0,
        network: None,
    }
}
