//! Operations of the timeline, and the budgets that they respect, from text to the scenario.

use cloud::scenario::{
    Action, Amount, BarePods, Change, Demand, DisruptionBudget, Drain, OnStop, PodChoice, Scenario,
    Template, Unhealthy, WorkloadId,
};
use engine::Duration;
use hybridsim_loader::{File, Library, Severity, load, render};

/// Holds the StatefulSet below with another image.
struct Later;

impl Library for Later {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        let text = STATEFUL_SET.replace("image: postgres", "image: postgres:17");
        let name = path.to_owned();
        Ok(vec![File { name, text }])
    }
}

const STATEFUL_SET: &str = "---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 3
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db, tier: back}}
    spec:
      containers:
      - {name: db, image: postgres, resources: {requests: {cpu: 100m, memory: 64Mi}}}
";

/// What becomes of a timeline beside a StatefulSet, three nodes, and further documents; nothing
/// may be wrong with it.
fn loaded(timeline: &str, more: &str) -> Scenario {
    loaded_with("{}", timeline, more)
}

/// The same, with what the StatefulSet's pods do.
fn loaded_with(behavior: &str, timeline: &str, more: &str) -> Scenario {
    let scenario = format!(
        "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {{name: operations}}
spec:
  workloads: {{web: {{}}}}
  behavior: {{db: {behavior}}}
  traffic: [{{name: users, to: 'web:80', arrivals: {{poisson: 10/s}}}}]
  run: {{duration: 10m}}
  timeline: {timeline}
"
    );
    let file = File {
        name: "operations.yaml".to_owned(),
        text: format!("{scenario}{STATEFUL_SET}{more}"),
    };
    let loaded = load(&[file], &Later);
    let told: String = loaded
        .diagnostics
        .iter()
        .filter(|found| found.severity <= Severity::Warning)
        .map(|found| render(found, &loaded.files, false))
        .collect();
    assert_eq!(told, "");
    let scenario = loaded.scenario.expect("no errors");
    scenario.assert_valid();
    scenario
}

fn position(scenario: &Scenario, name: &str) -> WorkloadId {
    let mut workloads = scenario.clusters[0].workloads.iter();
    WorkloadId::from(
        workloads
            .position(|workload| workload.name == name)
            .unwrap(),
    )
}

#[test]
fn operations_are_asked_of_the_api_server() {
    let scenario = loaded(
        "
    - {at: 1m, cordon: {node: node-1}}
    - {at: 2m, uncordon: {node: node-1}}
    - {at: 3m, drain: {node: node-2}}
    - {at: 4m, drain: {node: node-3, gracePeriod: 5s, force: true, timeout: 2m}}
    - {at: 5m, delete-pod: {workload: web}}
    - {at: 6m, delete-pod: {workload: db, count: 2}}
    - {at: 7m, delete-pod: {workload: db, ordinal: 2}}
    - {at: 8m, scale: {workload: db, replicas: 5}}",
        "",
    );
    let (web, db) = (position(&scenario, "web"), position(&scenario, "db"));
    let expected = [
        ("cordon node-1", Change::Cordon(0)),
        ("uncordon node-1", Change::Uncordon(0)),
        (
            "drain node-2",
            Change::Drain(Drain {
                node: 1,
                grace: None,
                bare: BarePods::Refuse,
                timeout: None,
            }),
        ),
        (
            "drain node-3 within 5s, giving up after 2m by force",
            Change::Drain(Drain {
                node: 2,
                grace: Some(Duration::from_secs(5)),
                bare: BarePods::Evict,
                timeout: Some(Duration::from_secs(120)),
            }),
        ),
        (
            "delete-pod web",
            Change::DeletePods(web, PodChoice::Drawn(1)),
        ),
        (
            "delete-pod db, pods: 2",
            Change::DeletePods(db, PodChoice::Drawn(2)),
        ),
        (
            "delete-pod db, number 2",
            Change::DeletePods(db, PodChoice::Ordinal(2)),
        ),
        ("scale db to 5", Change::Replicas(db, 5)),
    ];
    for (entry, (label, change)) in scenario.timeline.iter().zip(&expected) {
        assert_eq!(entry.label, *label);
        let Action::Apply { changes, .. } = &entry.action else {
            panic!("{label} is no operation");
        };
        assert_eq!(changes, std::slice::from_ref(change), "{label}");
    }
    assert_eq!(scenario.timeline.len(), expected.len());
}

#[test]
fn what_an_apply_changed_can_be_rolled_back() {
    let scenario = loaded(
        "
    - {at: 1m, apply: later.yaml}
    - {at: 2m, rollback: {workload: db}}",
        "",
    );
    let db = position(&scenario, "db");
    let changes = scenario.timeline.iter().map(|entry| match &entry.action {
        Action::Apply { changes, .. } => changes.clone(),
        Action::Fault { .. } => panic!("{} is a fault", entry.label),
    });
    let [applied, undone] = &changes.collect::<Vec<_>>()[..] else {
        panic!("there are two entries");
    };
    let [Change::Template(of, template)] = &applied[..] else {
        panic!("{applied:?}");
    };
    let image = template.image.as_ref().map(|image| image.name.as_str());
    assert_eq!((*of, image), (db, Some("postgres:17")));
    assert_eq!(undone[..], [Change::Rollback(db, None)]);
    assert_eq!(scenario.timeline[1].label, "rollback db");
}

#[test]
fn pods_of_another_image_do_what_is_said_of_it() {
    let scenario = loaded_with(
        "{serviceTime: 5ms, workers: 4, images: {'postgres:17': {serviceTime: 50ms, errorRate: 5%, onStop: exit}}}",
        "
    - {at: 1m, apply: later.yaml}",
        "",
    );
    let db = position(&scenario, "db");
    let Action::Apply { changes, .. } = &scenario.timeline[0].action else {
        panic!("an apply is no fault");
    };
    let [Change::Template(of, after)] = &changes[..] else {
        panic!("{changes:?}");
    };
    assert_eq!(*of, db);
    let before = &scenario.clusters[0].workloads[db.index()].template;
    let told = |template: &Template| {
        let behavior = &template.behavior;
        let mean = behavior.service_time.mean();
        (mean, behavior.error_rate, template.termination.on_stop)
    };
    assert_eq!(told(before), (0.005, 0.0, OnStop::Drain));
    assert_eq!(told(after), (0.05, 0.05, OnStop::Exit));
    // What is not said of the image holds as for the others.
    assert_eq!(before.station, after.station);
}

#[test]
fn histories_and_pauses_are_read_and_applied() {
    let scenario = loaded(
        "
    - {at: 1m, apply: later.yaml}
    - {at: 2m, rollback: {workload: db, toRevision: 1}}",
        "  revisionHistoryLimit: 1
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: front}
spec:
  paused: true
  revisionHistoryLimit: 0
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec:
      containers:
      - {name: front, image: front, resources: {requests: {cpu: 100m, memory: 64Mi}}}
",
    );
    let rollout = |name| scenario.clusters[0].workloads[position(&scenario, name).index()].rollout;
    assert_eq!(
        (rollout("db").history_max, rollout("db").paused),
        (1, false)
    );
    assert_eq!(
        (rollout("front").history_max, rollout("front").paused),
        (0, true)
    );
    assert_eq!(scenario.timeline[1].label, "rollback db to revision 1");
}

#[test]
fn budgets_cover_the_pods_that_they_select() {
    let budget = |name: &str, spec: &str| {
        format!(
            "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"
        )
    };
    let more = [
        budget(
            "a",
            "selector: {matchLabels: {app: db}}, maxUnavailable: 25%",
        ),
        budget(
            "b",
            "selector: {matchExpressions: [{key: tier, operator: In, values: [back, front]}]}, minAvailable: 2, unhealthyPodEvictionPolicy: AlwaysAllow",
        ),
        budget("c", "selector: {}"),
    ];
    let scenario = loaded("[]", &more.concat());
    let db = position(&scenario, "db");
    let expected = [
        (
            "a",
            Demand::MaxUnavailable(Amount::Percent(25)),
            Unhealthy::IfHealthyBudget,
        ),
        (
            "b",
            Demand::MinAvailable(Amount::Count(2)),
            Unhealthy::AlwaysAllow,
        ),
        (
            "c",
            Demand::MaxUnavailable(Amount::Count(0)),
            Unhealthy::IfHealthyBudget,
        ),
    ];
    let expected = expected.map(|(name, demand, unhealthy)| DisruptionBudget {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        workloads: vec![db],
        demand,
        unhealthy,
    });
    assert_eq!(scenario.clusters[0].budgets, expected);
}

/// Two versions of `web` in a mesh, and a route in front of them.
const VERSIONS: &str = "---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: web-v1}
spec:
  selector: {version: v1}
  ports: [{name: http, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: web-v2}
spec:
  selector: {version: v2}
  ports: [{name: http, port: 80}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-v1}
spec:
  selector: {matchLabels: {version: v1}}
  template:
    metadata: {labels: {app: web, version: v1}}
    spec: {containers: [{name: web, image: web:1, ports: [{containerPort: 80}], resources: {requests: {cpu: 100m, memory: 64Mi}}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-v2}
spec:
  selector: {matchLabels: {version: v2}}
  template:
    metadata: {labels: {app: web, version: v2}}
    spec: {containers: [{name: web, image: web:2, ports: [{containerPort: 80}], resources: {requests: {cpu: 100m, memory: 64Mi}}}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec:
  host: web
  subsets: [{name: old, labels: {version: v1}}, {name: new, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: by-subset}
spec:
  hosts: [web]
  http: [{route: [{destination: {host: web, subset: old}, weight: 100}, {destination: {host: web, subset: new}, weight: 0}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: by-service}
spec:
  parentRefs: [{group: '', kind: Service, name: web, port: 80}]
  rules: [{backendRefs: [{name: web-v1, port: 80, weight: 1}, {name: web-v2, port: 80, weight: 0}]}]
";

/// The release on a timeline, and the facts that went into the scenario.
fn release(canary: &str) -> (cloud::scenario::Canary, Vec<&'static str>) {
    let scenario = format!(
        "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {{name: release}}
spec:
  clusters: [{{name: cluster, istio: {{injectedNamespaces: [default]}}}}]
  workloads: {{client: {{replicas: 1}}}}
  traffic: [{{name: calls, from: client, to: 'web:80', arrivals: {{poisson: 100/s}}}}]
  run: {{duration: 10m}}
  timeline: [{{at: 1m, canary: {canary}}}]
{VERSIONS}"
    );
    let name = "release.yaml".to_owned();
    let loaded = load(
        &[File {
            name,
            text: scenario,
        }],
        &Later,
    );
    let told: String = loaded
        .diagnostics
        .iter()
        .filter(|found| found.severity == Severity::Error)
        .map(|found| render(found, &loaded.files, false))
        .collect();
    assert_eq!(told, "");
    let scenario = loaded.scenario.expect("no errors");
    scenario.assert_valid();
    let Action::Apply { changes, .. } = &scenario.timeline[0].action else {
        panic!("an operation");
    };
    let Change::Canary(canary) = &changes[0] else {
        panic!("a release");
    };
    (
        (**canary).clone(),
        scenario
            .facts
            .into_iter()
            .filter(|id| id.starts_with("canary"))
            .collect(),
    )
}

#[test]
fn a_release_of_a_virtual_service_goes_from_subset_to_subset() {
    use cloud::istio::config::{Percent, StringMatch, ValueMatch};
    use cloud::scenario::{CanaryStep, Comparator, Looks, Truth};
    let (canary, facts) = release(
        "{route: by-subset, stable: old, canary: new, truth: bad, analysis: {}, steps: [
            {setHeaderRoute: {name: insiders, match: [{headerName: X-Insider, headerValue: {exact: 'yes'}}]}},
            {setMirrorRoute: {name: shadow, percentage: 25}}, {setMirrorRoute: {name: shadow}},
            {setWeight: 10}, {pause: 2m}]}",
    );
    assert_eq!(canary.services, [("default".into(), "by-subset".into())]);
    assert!(canary.parts.is_empty() && canary.truth == Some(Truth::Bad));
    let versions = [&canary.stable, &canary.canary].map(|version| {
        let destination = &version.destination;
        assert_eq!(destination.host, "web.default.svc.cluster.local");
        (destination.subset.as_deref(), version.workloads.len())
    });
    assert_eq!(versions, [(Some("old"), 1), (Some("new"), 1)]);
    assert_ne!(canary.stable.workloads, canary.canary.workloads);
    let CanaryStep::SetHeaderRoute { matches, .. } = &canary.steps[0] else {
        panic!("a header");
    };
    let value = ValueMatch::Is(StringMatch::Exact("yes".into()));
    assert_eq!(matches[0].headers["x-insider"], value);
    let mirror = |share| CanaryStep::SetMirrorRoute {
        name: "shadow".into(),
        matches: Vec::new(),
        share,
    };
    let pause = CanaryStep::Pause(Duration::from_secs(120));
    let steps = [
        mirror(Percent::new(25.0)),
        mirror(None),
        CanaryStep::SetWeight(10),
        pause,
    ];
    assert_eq!(canary.steps[1..], steps);
    let analysis = canary.analysis.expect("defaults");
    assert_eq!(analysis.interval, Duration::from_secs(60));
    assert_eq!(
        analysis.comparisons,
        [Comparator::Failures, Comparator::Latency]
    );
    assert_eq!(
        (analysis.looks, analysis.sample_min),
        (Looks::Corrected, 100)
    );
    assert_eq!(facts.len(), 6, "every default is told: {facts:?}");
}

#[test]
fn a_release_of_an_http_route_goes_from_service_to_service() {
    let (canary, facts) = release(
        "{route: by-service, stable: web-v1, canary: web-v2, steps: [{setWeight: 10}, {pause: 2m}],
          analysis: {interval: 30s, scrapeInterval: 5s, minimumSample: 50, failureLimit: 1, significance: 1%,
            looks: uncorrected, compare: [latency], successRate: {atLeast: 99%},
            latency: {quantile: p95, atMost: 300ms, tolerance: 5%}, startingStep: 1}}",
    );
    let (namespace, name) = &canary.services[0];
    assert_eq!(namespace, "default");
    assert!(name.starts_with("by-service-0"), "{name}");
    assert_eq!(canary.parts, ["default.by-service.0"]);
    let host = canary.canary.destination.host.as_str();
    assert_eq!(host, "web-v2.default.svc.cluster.local");
    assert_eq!(canary.canary.workloads.len(), 1);
    let analysis = canary.analysis.expect("it is said");
    assert_eq!(
        analysis.latency_max,
        Some((0.95, Duration::from_millis(300)))
    );
    assert_eq!(analysis.success_rate_min, Some(0.99));
    assert_eq!((analysis.failure_limit, analysis.starting_step), (1, 1));
    assert_eq!(
        (analysis.significance, analysis.latency_tolerance),
        (0.01, 0.05)
    );
    assert!(facts.is_empty(), "{facts:?}");
}
