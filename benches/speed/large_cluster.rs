//! What a large cluster costs: 5,000 nodes, 150,000 pods and 10,000 services as texts, read,
//! compiled and left alone for an hour; and what a request costs beside many services and nodes
//! that have nothing to do with it.

use std::fmt::Write;

use cloud::scenario::Scenario;
use cloud::{Options, Topology, compile, simulate};
use engine::{Duration, Seed};
use loader::{File, Nothing};

use crate::measure::{Figure, Runner, Target, allocated_at_most, timed};

const NODES: u32 = 5_000;
const SERVICES: u32 = 10_000;
const PODS: u32 = 150_000;

const BYTES_MAX: f64 = (1_u64 << 30) as f64;
const REQUESTS_PER_ROUND: u64 = 1_000_000;
const REQUESTS_PER_SECOND: u64 = 100_000;
/// A cost that grows by half is a speed of two thirds.
const SPEED_LEAST: f64 = 1.0 / 1.5;

pub fn figures(runner: &mut Runner) {
    whole(runner);
    request(runner, "request_10_services", 10, 10);
    request(runner, "request_10000_services", 10, 10_000);
    request(runner, "request_5000_nodes", 5_000, 10);
}

/// Reads, compiles and runs the whole cluster. A reference is the time or memory that it may
/// take, so that a ratio above 1 is too much.
fn whole(runner: &mut Runner) {
    let figure = |name, unit, reference, target| Figure {
        name,
        unit,
        reference,
        target,
    };
    let at_most = Target::ValueAtMost;
    let figures = [
        figure("read_5000_nodes", "s", "5_s", at_most(5.0)),
        figure(
            "read_5000_nodes_bytes",
            "bytes",
            "1_GiB",
            at_most(BYTES_MAX),
        ),
        figure("compile_5000_nodes", "s", "5_s", at_most(5.0)),
        figure(
            "compile_5000_nodes_bytes",
            "bytes",
            "1_GiB",
            at_most(BYTES_MAX),
        ),
        figure("idle_hour_5000_nodes", "s", "60_s", at_most(60.0)),
        figure(
            "idle_hour_5000_nodes_bytes",
            "bytes",
            "1_GiB",
            at_most(BYTES_MAX),
        ),
        figure(
            "idle_hour_5000_nodes_events",
            "events/node",
            "100",
            Target::Reported,
        ),
    ];
    let names = figures.iter().map(|figure| figure.name);
    if runner.is_alone() || !names.clone().any(|name| runner.wants(name)) {
        return;
    }
    let text = cluster(NODES, SERVICES, PODS, 1)
        + "  traffic: [{name: callers, from: caller, to: 'called:80', arrivals: {poisson: 1/s}}]
  run: {duration: 1h, analysis: terminating}\n";
    let (mut scenario, seconds, bytes) = measured(|| read(&text));
    // Without any source in the text, one would be assumed for every service.
    scenario.traffic.clear();
    runner.report(&figures[0], seconds, seconds / 5.0);
    runner.report(&figures[1], bytes, bytes / BYTES_MAX);
    let ((), seconds, bytes) = measured(|| {
        let _ = ready(&scenario);
    });
    runner.report(&figures[2], seconds, seconds / 5.0);
    runner.report(&figures[3], bytes, bytes / BYTES_MAX);
    let topology = compile(&scenario);
    let (record, seconds, bytes) =
        measured(|| simulate(&topology, Seed::default(), &Options::default()));
    runner.report(&figures[4], seconds, seconds / 60.0);
    runner.report(&figures[5], bytes, bytes / BYTES_MAX);
    let events = record.events as f64 / f64::from(NODES);
    runner.report(&figures[6], events, events / 100.0);
}

/// From a scenario to a first instant: the topology, and partitions that are ready to run.
fn ready(scenario: &Scenario) -> Topology {
    let mut scenario = scenario.clone();
    scenario.run.duration = Duration::from_nanos(1);
    let topology = compile(&scenario);
    simulate(&topology, Seed::default(), &Options::default());
    topology
}

/// The result of an action, the seconds it took and the most bytes it held at once beyond what
/// was there before.
fn measured<T>(action: impl FnOnce() -> T) -> (T, f64, f64) {
    let mut result = None;
    let mut seconds = 0.0;
    let bytes = allocated_at_most(|| {
        seconds = timed(|| result = Some(action())).as_secs_f64();
    });
    (result.expect("it ran"), seconds, bytes as f64)
}

/// The speed of requests in a cluster of so many nodes and services, as a ratio to that of ten
/// of each.
fn request(runner: &mut Runner, name: &'static str, nodes: u32, services: u32) {
    let figure = Figure {
        name,
        unit: "Mrequests/s",
        reference: "request_10_services",
        target: match (nodes, services) {
            (10, 10) => Target::Reported,
            _ => Target::RatioAtLeast(SPEED_LEAST),
        },
    };
    if !runner.wants(name) {
        return;
    }
    let mut large = Calls::new(nodes, services);
    if runner.alone(&mut |requests| large.run(requests)) {
        return;
    }
    let mut small = Calls::new(10, 10);
    runner.compare(
        &figure,
        REQUESTS_PER_ROUND,
        &mut |requests| large.run(requests),
        &mut |requests| small.run(requests),
    );
}

/// A cluster in which somebody calls a service.
struct Calls {
    scenario: Scenario,
    /// Compiled for so many requests.
    topology: Option<(u64, Topology)>,
    seed: Seed,
}

impl Calls {
    fn new(nodes: u32, services: u32) -> Self {
        let text = cluster(nodes, services, nodes, 10)
            + &format!(
                "  traffic: [{{name: callers, from: caller, to: 'called:80', arrivals: \
                 {{poisson: {REQUESTS_PER_SECOND}/s}}, protocol: http1}}]
  behavior: {{called: {{serviceTime: 1ms, workers: unlimited}}}}
  run: {{duration: 1s, analysis: terminating}}\n"
            );
        Calls {
            scenario: read(&text),
            topology: None,
            seed: Seed::default(),
        }
    }

    fn run(&mut self, requests: u64) {
        let known = self.topology.take();
        let (_, topology) = self.topology.insert(match known {
            Some((for_requests, topology)) if for_requests == requests => (requests, topology),
            _ => {
                let duration = Duration::from_secs(1) / REQUESTS_PER_SECOND * requests;
                self.scenario.run.duration = duration;
                (requests, compile(&self.scenario))
            }
        });
        let record = simulate(topology, self.seed, &Options::default());
        let traffic = &record.traffic[0];
        assert_eq!(traffic.failures.iter().sum::<u64>(), 0, "nothing fails");
        assert!(traffic.succeeded > requests * 9 / 10, "everybody is served");
        self.seed.replication += 1;
    }
}

fn read(text: &str) -> Scenario {
    let file = File {
        name: "large.yaml".into(),
        text: text.into(),
    };
    let loaded = loader::load(&[file], &Nothing);
    loaded.scenario.unwrap_or_else(|| {
        let problem = &loaded.diagnostics[0];
        panic!("{}", loader::render(problem, &loaded.files, false))
    })
}

/// A Scenario of one cluster with so many nodes in three zones, and as many Deployments as
/// services, which share `pods` among them; and, with `called` pods, a service that is called.
fn cluster(nodes: u32, services: u32, pods: u32, called: u32) -> String {
    let mut text = String::new();
    for service in 0..services {
        let replicas = pods / services + u32::from(service < pods % services);
        deployment(&mut text, &format!("app-{service}"), replicas);
    }
    if called > 0 {
        deployment(&mut text, "called", called);
        deployment(&mut text, "caller", 1);
    }
    write!(
        text,
        "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {{name: large}}
spec:
  clusters:
    - name: cluster
      region: aws/eu-central-1
      zones: [a, b, c]
      kubernetes: '1.33'
      nodePools: [{{name: node, count: {nodes}, cpu: 32, memory: 128Gi}}]
"
    )
    .expect("a string takes everything");
    text
}

/// A Deployment with probes, and its Service.
fn deployment(text: &mut String, name: &str, replicas: u32) {
    write!(
        text,
        "apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{port: 80, targetPort: 8080}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
        - name: main
          image: registry.example.com/{name}:1.0
          ports: [{{containerPort: 8080}}]
          resources: {{requests: {{cpu: 500m, memory: 1Gi}}}}
          readinessProbe: {{httpGet: {{path: /ready, port: 8080}}, periodSeconds: 5}}
          livenessProbe: {{httpGet: {{path: /live, port: 8080}}, periodSeconds: 10}}
---
"
    )
    .expect("a string takes everything");
}
