//! istiod down, slow or cut off: what works and what breaks, at ten seconds, an hour, thirteen
//! hours and a day of the outage. Expectations come from Istio's and Envoy's rules.

use crate::support::{Mesh, faultless};
use cloud::record::{Caller, Reason, Record, TrafficRecord};
use cloud::scenario::{Scenario, WorkloadId};
use cloud::snapshot::{self, PodSnapshot};
use cloud::{Options, compile, simulate};
use engine::{Duration, Seed};
use loader::{File, Library};

mod ambient;

/// Ages of the outage at which it is looked at, in seconds.
const AGES: [u64; 4] = [10, 3_600, 13 * 3_600, 24 * 3_600];
/// When the outage begins.
const DARK: u64 = 60;
/// How long each look asks.
const LOOK: u64 = 10;

/// Which way istiod is away.
const DOWN: &str = "istiod-down: {}";
/// It is there and does nothing, as if nothing passed between it and everybody.
const CUT_OFF: &str = "frozen: {component: istiod}";

/// A Deployment, with or without sidecars.
fn deployment(name: &str, app: &str, replicas: u32, has_sidecar: bool) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {app}, is: {name}}}}}
  template:
    metadata: {{labels: {{app: {app}, is: {name}, sidecar.istio.io/inject: \"{has_sidecar}\"}}}}
    spec: {{containers: [{{name: main, image: i}}]}}
---
"
    )
}

fn service(name: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
"
    )
}

/// What is tried again towards `web`, and how many requests a connection carries.
fn rules(attempts: u32, requests_per_connection: u32) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web}}
spec:
  hosts: [web]
  http: [{{route: [{{destination: {{host: web}}}}], retries: {{attempts: {attempts}}}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: web}}
spec:
  host: web
  trafficPolicy: {{connectionPool: {{http: {{maxRequestsPerConnection: {requests_per_connection}}}}}}}
---
"
    )
}

/// Files by name.
struct Files(Vec<(&'static str, String)>);

impl Library for Files {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        let found = self.0.iter().find(|(name, _)| *name == path);
        let (name, text) = found.ok_or("there is no such file")?;
        let (name, text) = ((*name).to_owned(), text.clone());
        Ok(vec![File { name, text }])
    }
}

/// A mesh, the rest of its spec, what it begins with, and what is applied later as `later.yaml`.
fn mesh(spec: &str, manifests: &str, later: &str) -> Scenario {
    let istio = "version: \"1.30\", injectedNamespaces: [default]";
    mesh_of(istio, 3, spec, manifests, later)
}

/// The same, of so many machines, and of this `istio`.
fn mesh_of(istio: &str, machines: u32, spec: &str, manifests: &str, later: &str) -> Scenario {
    let mesh = Mesh {
        kubernetes: "1.32",
        nodes: (machines, "cpu: 16, memory: 64Gi"),
        istio,
        ..Mesh::default()
    };
    let files = Files(vec![
        ("manifests.yaml", manifests.to_owned()),
        ("later.yaml", later.to_owned()),
    ]);
    faultless(mesh.load(spec, &files))
}

/// Traffic at each age, one source per age, of so many requests a second.
fn looks(from: &str, rate: u32) -> String {
    let source = |age: u64| {
        let (begin, end) = (DARK + age, DARK + age + LOOK);
        format!(
            "    - {{name: {from}-after-{age}, from: {from}, to: \"web:80\", timeout: none, arrivals: {{process: constant, schedule: [{{at: 0s, rate: 0/s}}, {{at: {begin}s, rate: 0/s}}, {{at: {begin}s, rate: {rate}/s}}, {{at: {end}s, rate: {rate}/s}}, {{at: {end}s, rate: 0/s}}]}}}}\n"
        )
    };
    AGES.map(source).concat()
}

fn run_for(seconds: u64) -> String {
    format!("  run: {{duration: {seconds}s, analysis: terminating, replications: 1}}\n")
}

/// A run that ends after the last look.
fn to_the_end() -> String {
    run_for(DARK + AGES[3] + 2 * LOOK)
}

const BEHAVIOR: &str = "  behavior:
    web: {serviceTime: 1ms, workers: unlimited}
";
/// The same, where there is a workload `late`.
const WITH_LATE: &str = "  behavior:
    web: {serviceTime: 1ms, workers: unlimited}
    late: {serviceTime: 1ms, workers: unlimited}
";

fn outage(kind: &str) -> String {
    format!("    - {{at: {DARK}s, fault: {{{kind}}}}}\n")
}

/// An outage of so many seconds.
fn outage_for(kind: &str, seconds: u64) -> String {
    let (name, body) = kind.split_once(": {").expect("a fault and what it says");
    let comma = if body == "}" { "" } else { ", " };
    format!("    - {{at: {DARK}s, fault: {{{name}: {{for: {seconds}s{comma}{body}}}}}\n")
}

fn record(scenario: &Scenario, replication: u32) -> Record {
    let seed = Seed {
        replication,
        ..Seed::default()
    };
    simulate(&compile(scenario), seed, &Options::default())
}

/// Shares of failed requests at each age, over so many replications.
fn failed(scenario: &Scenario, replications: u32) -> [f64; 4] {
    let records: Vec<Record> = (0..replications).map(|it| record(scenario, it)).collect();
    [0, 1, 2, 3].map(|source| {
        let sum = |count: fn(&Record, usize) -> u64| -> u64 {
            records.iter().map(|record| count(record, source)).sum()
        };
        let sent = sum(|record, source| record.traffic[source].sent);
        let succeeded = sum(|record, source| record.traffic[source].succeeded);
        assert!(sent > 0);
        (sent - succeeded) as f64 / sent as f64
    })
}

fn workload(scenario: &Scenario, name: &str) -> WorkloadId {
    let mut all = scenario.clusters[0].workloads.iter();
    let position = all.position(|workload| workload.name == name);
    WorkloadId::from(position.expect("a workload of the manifests"))
}

/// Pods of a workload whose API server holds them, `seconds` after the start.
fn pods(scenario: &Scenario, name: &str, seconds: u64) -> Vec<PodSnapshot> {
    let at = Duration::from_secs(seconds);
    let snapshot = snapshot::at(&compile(scenario), Seed::default(), at);
    let pods = snapshot.clusters.into_iter().flat_map(|it| it.pods);
    pods.filter(|pod| pod.name.starts_with(&format!("{name}-")))
        .collect()
}

#[test]
fn connections_that_stand_outlive_their_certificates() {
    // One asks every 20 s, so that nothing is closed for being idle for an hour.
    for kind in [DOWN, CUT_OFF] {
        let traffic = "  traffic: [{name: steady, from: browser, to: \"web:80\", timeout: none, arrivals: {constant: 3/m}}]\n";
        let spec = format!(
            "{BEHAVIOR}{traffic}  timeline:\n{}{}",
            outage(kind),
            to_the_end()
        );
        let manifests = [
            deployment("browser", "browser", 1, true),
            deployment("web", "web", 1, true),
            service("web"),
        ];
        let record = record(&mesh(&spec, &manifests.concat(), ""), 0);
        let steady = &record.traffic[0];
        assert_eq!(steady.succeeded, steady.sent, "{kind}");
        assert!(steady.sent > 4_000);
    }
}

#[test]
fn new_connections_fail_as_certificates_run_out() {
    // None before half a life of 24 h, all after a whole one; at 13 h a twelfth of the proxies has
    // none, and a connection needs both ends. With Istio's two retries another server is found.
    let share = |attempts| {
        let spec = format!(
            "{BEHAVIOR}  traffic:\n{}  timeline:\n{}{}",
            looks("browser", 40),
            outage(DOWN),
            to_the_end()
        );
        let manifests = [
            deployment("browser", "browser", 40, true),
            deployment("web", "web", 40, true),
            service("web"),
            rules(attempts, 1),
        ];
        failed(&mesh(&spec, &manifests.concat(), ""), 10)
    };
    let expired = 1.0 / 12.0;
    let [soon, hour, morning, day] = share(0);
    assert_eq!([soon, hour, day], [0.0, 0.0, 1.0]);
    let exact = 1.0 - (1.0 - expired) * (1.0 - expired);
    // Three standard deviations of 400 clients, 400 servers and 4,000 requests.
    assert!((morning - exact).abs() < 0.06, "{morning} {exact}");
    let [soon, hour, morning, day] = share(2);
    assert_eq!([soon, hour, day], [0.0, 0.0, 1.0]);
    let exact = expired + (1.0 - expired) * expired * expired * expired;
    assert!((morning - exact).abs() < 0.045, "{morning} {exact}");
}

/// Attempts of a workload's pods, and of their sidecars, that came to nothing.
fn vain_attempts(scenario: &Scenario, record: &Record, name: &str) -> u64 {
    let asking = workload(scenario, name);
    let calls = record.calls.iter();
    let own = calls.filter(|it| matches!(it.key.caller, Caller::Workload(_, it) if it == asking));
    own.flat_map(|call| call.failures).sum()
}

#[test]
fn new_pods_get_no_requests_from_sidecars_at_any_age() {
    // `late` has no sidecar, so that it can start; it stands behind `web` from +5 s on.
    let run = |client: &str, has_sidecar: bool, kind: &str| {
        let spec = format!(
            "{WITH_LATE}  traffic:\n{}  timeline:\n{}    - {{at: {DARK}s, scale: {{workload: late, replicas: 1}}}}\n{}",
            looks(client, 20),
            outage(kind),
            to_the_end()
        );
        let manifests = [
            deployment(client, "client", 1, has_sidecar),
            deployment("web", "web", 1, false),
            deployment("late", "web", 0, false),
            service("web"),
        ];
        let scenario = mesh(&spec, &manifests.concat(), "");
        let record = record(&scenario, 0);
        for source in &record.traffic {
            assert_eq!(source.succeeded, source.sent, "{client} {kind}");
        }
        let late = workload(&scenario, "late");
        record.workloads[late.index()].arrived
    };
    for kind in [DOWN, CUT_OFF] {
        assert_eq!(run("browser", true, kind), 0, "{kind}");
        // Nodes' rules know it: what goes past the mesh finds it, once a connection is opened anew.
        assert!(run("plain", false, kind) > 0, "{kind}");
    }
}

#[test]
fn pods_that_are_gone_keep_their_share_of_tries_at_every_age() {
    let run = |attempts_again: u32| {
        let spec = format!(
            "{BEHAVIOR}  traffic:\n{}  timeline:\n{}    - {{at: {DARK}s, delete-pod: {{workload: web}}}}\n{}",
            looks("browser", 20),
            outage(DOWN),
            to_the_end()
        );
        let manifests = [
            deployment("browser", "browser", 1, true),
            deployment("web", "web", 2, false),
            service("web"),
            rules(attempts_again, 1),
        ];
        let scenario = mesh(&spec, &manifests.concat(), "");
        let record = record(&scenario, 0);
        let sent: u64 = record.traffic.iter().map(|it| it.sent).sum();
        let bad = vain_attempts(&scenario, &record, "browser");
        let shares = [0, 1, 2, 3].map(|source: usize| {
            let source = &record.traffic[source];
            (source.sent - source.succeeded) as f64 / source.sent as f64
        });
        (shares, bad as f64 / sent as f64)
    };
    // Half of the tries go to the pod that is gone. Four standard deviations of 200 requests.
    let (shares, bad) = run(0);
    for share in shares {
        assert!((share - 0.5).abs() < 0.15, "{shares:?}");
    }
    assert!((bad - 0.5).abs() < 0.08, "{bad}");
    // Tried again at the other nobody notices.
    let (shares, bad) = run(2);
    assert_eq!(shares, [0.0; 4]);
    assert!(bad > 0.4, "{bad}");
}

#[test]
fn pods_that_want_a_sidecar_are_refused_at_every_age_and_others_are_not() {
    let scenario = |kind: &str| {
        let spec = format!(
            "{WITH_LATE}  traffic:\n{}  timeline:\n{}    - {{at: {DARK}s, scale: {{workload: web, replicas: 3}}}}\n    - {{at: {DARK}s, scale: {{workload: late, replicas: 2}}}}\n{}",
            looks("late", 1),
            outage_for(kind, AGES[3] + 60),
            run_for(DARK + AGES[3] + 3_600)
        );
        let manifests = [
            deployment("web", "web", 1, true),
            deployment("late", "late", 1, false),
            service("web"),
        ];
        mesh(&spec, &manifests.concat(), "")
    };
    for kind in [DOWN, CUT_OFF] {
        let scenario = scenario(kind);
        for age in AGES {
            let injected = pods(&scenario, "web", DARK + age);
            assert_eq!(injected.len(), 1, "{kind} {age}");
            assert_eq!(pods(&scenario, "late", DARK + age).len(), 2, "{kind} {age}");
        }
        // Its controller's pauses have grown to 1000 s.
        let after = pods(&scenario, "web", DARK + AGES[3] + 60 + 1_000 + 30);
        assert_eq!(after.len(), 3, "{kind}");
        assert!(
            after
                .iter()
                .all(|pod| pod.ready && pod.sidecar_ready == Some(true))
        );
    }
}

/// Everything for `web` goes to `other`.
const ISTIO_ROUTE: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http: [{route: [{destination: {host: late}}]}]
";
const GATEWAY_API_ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{group: \"\", kind: Service, name: web, port: 80}]
  rules: [{backendRefs: [{name: late, port: 80}]}]
";

#[test]
fn istios_objects_are_refused_at_every_age_and_the_gateway_apis_wait() {
    for (later, comes) in [(ISTIO_ROUTE, false), (GATEWAY_API_ROUTE, true)] {
        for age in AGES {
            let back = DARK + age + 60;
            let traffic = |name: &str, from: u64| {
                format!(
                    "    - {{name: {name}, from: browser, to: \"web:80\", timeout: none, arrivals: {{process: constant, schedule: [{{at: 0s, rate: 0/s}}, {{at: {from}s, rate: 0/s}}, {{at: {from}s, rate: 2/s}}, {{at: {0}s, rate: 2/s}}, {{at: {0}s, rate: 0/s}}]}}}}\n",
                    from + 20
                )
            };
            let spec = format!(
                "{WITH_LATE}  traffic:\n{}{}  timeline:\n{}    - {{at: {}s, apply: later.yaml}}\n{}",
                traffic("during", DARK + age + 5),
                traffic("after", back + 40),
                outage_for(DOWN, age + 60),
                DARK + age,
                run_for(back + 70)
            );
            let manifests = [
                deployment("browser", "browser", 1, true),
                deployment("web", "web", 1, false),
                deployment("late", "late", 1, false),
                service("web"),
                service("late"),
            ];
            let scenario = mesh(&spec, &manifests.concat(), later);
            let record = record(&scenario, 0);
            let sent = |source: usize| record.traffic[source].sent;
            let arrived = |name| record.workloads[workload(&scenario, name).index()].arrived;
            // Nothing holds before istiod is back and has told the sidecar.
            let expected = match comes {
                true => [sent(0), sent(1)],
                false => [sent(0) + sent(1), 0],
            };
            assert_eq!([arrived("web"), arrived("late")], expected, "{age} {later}");
        }
    }
}

/// A machine loses its power for 20 s at an age of an outage that lasts for ten minutes more.
/// `browser` asks for half a minute from two minutes later on, and so long after the outage; then
/// the run goes on until its end, counted from that of the outage. `how` it asks is YAML.
fn restarted(kind: &str, age: u64, (wait, end): (u64, u64), how: &str) -> String {
    let (off, back) = (DARK + age, DARK + age + 600);
    let asks = |name: &str, from: u64| {
        format!(
            "    - {{name: {name}, from: browser, to: \"web:80\", {how}, arrivals: {{process: constant, schedule: [{{at: 0s, rate: 0/s}}, {{at: {from}s, rate: 0/s}}, {{at: {from}s, rate: 3/s}}, {{at: {0}s, rate: 3/s}}, {{at: {0}s, rate: 0/s}}]}}}}\n",
            from + 30
        )
    };
    format!(
        "{BEHAVIOR}  traffic:\n{}{}  timeline:\n{}    - {{at: {off}s, fault: {{node-down: {{node: node-1, for: 20s}}}}}}\n{}",
        asks("during", off + 120),
        asks("after", back + wait),
        outage_for(kind, age + 600),
        run_for(back + end)
    )
}

/// What came of the sources `during` and `after`.
fn during_and_after<'a>(scenario: &Scenario, record: &'a Record) -> [&'a TrafficRecord; 2] {
    ["during", "after"].map(|name| {
        let mut sources = scenario.traffic.iter().zip(&record.traffic);
        let found = sources.find(|(source, _)| source.name == name);
        found.expect("a source").1
    })
}

#[test]
fn proxies_that_start_again_know_nothing_until_istiod_is_back() {
    // A machine loses its power for 20 s at each age; its pods start again.
    for kind in [DOWN, CUT_OFF] {
        for age in AGES {
            let (off, back) = (DARK + age, DARK + age + 600);
            let spec = restarted(kind, age, (90, 150), "timeout: none");
            let manifests = [
                deployment("browser", "browser", 3, true),
                deployment("web", "web", 3, false),
                service("web"),
            ];
            let scenario = mesh(&spec, &manifests.concat(), "");
            let ready = |seconds| {
                let pods = pods(&scenario, "browser", seconds);
                let states = pods.iter().map(|pod| (pod.node.clone(), pod.sidecar_ready));
                let mut states: Vec<(String, bool)> = states
                    .map(|(node, ready)| (node.expect("bound"), ready.expect("has a sidecar")))
                    .collect();
                states.sort();
                states
                    .into_iter()
                    .map(|(_, ready)| ready)
                    .collect::<Vec<_>>()
            };
            assert_eq!(ready(off - 1), [true; 3], "{kind} {age}");
            assert_eq!(ready(off + 120), [false, true, true], "{kind} {age}");
            // Within a pause of 30 s of its proxy, and another of its agent.
            assert_eq!(ready(back + 70), [true; 3], "{kind} {age}");
            let record = record(&scenario, 0);
            let [during, after] = during_and_after(&scenario, &record);
            // An application beside a proxy that knows nothing finds nobody at the proxy's port.
            let refused = during.failures[Reason::Refused as usize];
            assert_eq!(
                (refused, during.sent - during.succeeded),
                (30, 30),
                "{kind} {age}"
            );
            assert_eq!(after.succeeded, after.sent, "{kind} {age}");
        }
    }
}

#[test]
fn a_slow_istiod_tells_everything_late_and_refuses_nobody() {
    // A push of all that there is takes 500 µs and 20 µs for each resource; the factor makes more
    // than 50 s of it.
    let spec = format!(
        "{WITH_LATE}  traffic:\n{}  timeline:\n{}    - {{at: {DARK}s, apply: later.yaml}}\n    - {{at: {DARK}s, scale: {{workload: web, replicas: 3}}}}\n{}",
        looks("browser", 20),
        outage("istiod-slow: {factor: 100000}"),
        to_the_end()
    );
    let manifests = [
        deployment("browser", "browser", 1, true),
        deployment("web", "web", 1, true),
        deployment("late", "late", 1, false),
        service("web"),
        service("late"),
    ];
    let scenario = mesh(&spec, &manifests.concat(), ISTIO_ROUTE);
    let record = record(&scenario, 0);
    let arrived = |name| record.workloads[workload(&scenario, name).index()].arrived;
    // At ten seconds nobody knows of the new route, an hour later everybody does.
    let sent: Vec<u64> = record.traffic.iter().map(|source| source.sent).collect();
    assert_eq!(arrived("web"), sent[0]);
    assert_eq!(arrived("late"), sent[1] + sent[2] + sent[3]);
    // Certificates are no matter of pushes: at 13 h and 24 h all succeeds.
    for source in &record.traffic {
        assert_eq!(source.succeeded, source.sent);
    }
    assert_eq!(pods(&scenario, "web", DARK + AGES[0]).len(), 3);
    let ready = |seconds| {
        let pods = pods(&scenario, "web", seconds);
        pods.iter()
            .filter(|pod| pod.sidecar_ready == Some(true))
            .count()
    };
    // New proxies wait for theirs as well.
    assert_eq!([ready(DARK + 40), ready(DARK + AGES[1])], [1, 3]);
}
