//! Timings of Kubernetes from a scenario's text to what a replication leaves behind, against
//! their closed forms: mean, least and greatest over many replications, whose phases are uniform.

use cloud::facts;
use cloud::record::{Reason, Record};
use cloud::{Options, compile};
use loader::{File, Library};

/// When the machines of the tests fail.
const FAULT_S: f64 = 20.0;
/// What a pod takes from its creation until it serves, as the tests describe it: from the
/// binding to the end of its start, and the scheduler and a watch before.
const START_S: f64 = 2.0;
/// Delays of API, watches, slices and syncs that are no part of a closed form.
const SLACK_S: f64 = 0.5;

/// What some replications of a scenario leave behind; it may use the shipped manifests.
fn records(spec: &str, replications: u32) -> Vec<Record> {
    records_with(spec, &crate::support::Project, replications)
}

/// The same of a scenario that finds its manifests in a library.
fn records_with(spec: &str, library: &dyn Library, replications: u32) -> Vec<Record> {
    let text = format!(
        "apiVersion: hybridsim.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: timings}}\nspec:\n{spec}"
    );
    let name = "scenarios/timings.yaml".to_owned();
    let loaded = loader::load(&[File { name, text }], library);
    let scenario = loaded
        .scenario
        .unwrap_or_else(|| panic!("{:#?}\n{spec}", loaded.diagnostics));
    let topology = compile(&scenario);
    let options = Options::default();
    crate::support::replicate(&topology, (7, replications), &options, |record| record)
}

/// Least, mean and greatest.
fn spread(values: &[f64]) -> [f64; 3] {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    [
        least,
        values.iter().sum::<f64>() / values.len() as f64,
        greatest,
    ]
}

/// Asserts that values are spread as a closed form says: hardly anything beyond its ends, which
/// are nearly reached, and the mean as near as `mean_within`.
fn assert_spread(what: &str, values: &[f64], [least, mean, greatest]: [f64; 3], mean_within: f64) {
    let found = spread(values);
    let near = 2.0;
    assert!(
        found[0] >= least && found[0] <= least + near,
        "{what}: least of {found:?} instead of {least}"
    );
    assert!(
        found[2] <= greatest && found[2] >= greatest - near,
        "{what}: greatest of {found:?} instead of {greatest}"
    );
    assert!(
        (found[1] - mean).abs() <= mean_within,
        "{what}: mean of {found:?} instead of {mean}"
    );
}

/// Three pods on three machines, one of which loses its power; asked from a fourth.
fn a_lost_node(minor: u32, rate: u32, seconds: u32) -> String {
    format!(
        "
  clusters:
    - name: cluster
      zones: [a]
      kubernetes: \"1.{minor}\"
      nodePools:
        - {{name: web, count: 3, labels: {{role: web}}}}
        - {{name: client, count: 1, labels: {{role: client}}}}
      manifests: [kubernetes/web/]
  behavior: {{web: {{serviceTime: 1ms, workers: 16, startUp: {START_S}s}}}}
  traffic:
    - {{name: callers, from: client, to: \"web:80\", arrivals: {{constant: {rate}/s}}, timeout: 1s, protocol: http1-close}}
  timeline: [{{at: {FAULT_S}s, fault: {{node-down: {{node: web-2}}}}}}]
  run: {{duration: {seconds}s, seriesStep: 1s}}
"
    )
}

/// Versions and their grace periods.
const GRACES: [(u32, f64); 4] = [(28, 40.0), (31, 40.0), (32, 50.0), (36, 50.0)];

#[test]
fn endpoints_of_a_dead_node_go_at_the_grace_period() {
    for (minor, grace) in GRACES {
        let records = records(&a_lost_node(minor, 10, 80), 400);
        let over: Vec<f64> = records
            .iter()
            .map(|record| {
                let failing = record.traffic[0].failing.last();
                failing.expect("the loss is felt").1.as_secs_f64() - FAULT_S
            })
            .collect();
        // The last request that fails begins up to some tenths of a second before the end: one
        // in three is sent to the dead endpoint, ten a second.
        let form = [grace - 10.0 - SLACK_S, grace - 2.5, grace + 5.0 + SLACK_S];
        // Standard error: sqrt((100 + 25) / 12 / 400) = 0.16 s.
        assert_spread(&format!("1.{minor}"), &over, form, 0.7);
    }
}

/// Seconds from the fault until each of the lost pods of the only workload that is asked
/// anything is replaced.
fn replaced(record: &Record, pods: u32, lost: u32) -> Vec<f64> {
    let mut asked = record.workloads.iter();
    let asked = asked.find(|workload| workload.arrived > 0);
    let steps = &asked.expect("somebody is asked").capacity_steps_ns;
    let whole = steps[0] as f64;
    let from = FAULT_S as usize;
    let after = &steps[from..];
    let serving = |capacity: &u128| f64::from(pods) * *capacity as f64 / whole;
    let first = serving(&after[0]);
    assert!(
        (first - f64::from(pods - lost)).abs() < 1e-9,
        "{first} of {pods} pods are left of {lost} lost"
    );
    (1..=lost)
        .map(|number| {
            let level = f64::from(pods - lost + number);
            let below = after
                .iter()
                .map(|capacity| (level - serving(capacity)).clamp(0.0, 1.0));
            below.sum()
        })
        .collect()
}

#[test]
fn a_dead_pod_is_replaced_after_its_toleration() {
    let toleration = facts::UNREACHABLE_TOLERATION.value.as_secs_f64();
    let taint_most = facts::NODE_NO_EXECUTE_DELAY_MAX.value.as_secs_f64();
    for (minor, grace) in [(31, 40.0), (32, 50.0)] {
        let records = records(&a_lost_node(minor, 1, 410), 400);
        let over: Vec<f64> = records
            .iter()
            .map(|record| replaced(record, 3, 1)[0])
            .collect();
        let fixed = toleration + START_S;
        let form = [
            grace - 10.0 + fixed,
            grace - 2.5 + taint_most / 2.0 + fixed,
            grace + 5.0 + taint_most + fixed + SLACK_S,
        ];
        assert_spread(&format!("1.{minor}"), &over, form, 0.8);
    }
}

/// Pods on as many machines of the first zone, the first of which lose their power; a second
/// zone with three machines is what the pods may go to.
fn a_disrupted_zone(nodes: u32, lost: u32, seconds: u32) -> String {
    let width = nodes.to_string().len();
    let faults: Vec<String> = (1..=lost)
        .map(|node| format!("{{at: {FAULT_S}s, fault: {{node-down: {{node: a-{node:0width$}}}}}}}"))
        .collect();
    format!(
        "
  clusters:
    - name: cluster
      zones: [a, b]
      kubernetes: \"1.36\"
      nodePools:
        - {{name: a, count: {nodes}, zones: [a]}}
        - {{name: b, count: 3, zones: [b], taints: [\"reserve=yes:PreferNoSchedule\"]}}
  workloads: {{web: {{replicas: {nodes}, workers: 1, serviceTime: 1ms, startUp: {START_S}s}}}}
  traffic: [{{name: own, from: web, to: \"web:80\", arrivals: {{constant: 1/s}}, timeout: 1s}}]
  timeline: [{}]
  run: {{duration: {seconds}s, seriesStep: 1s}}
",
        faults.join(", ")
    )
}

#[test]
fn zones_are_emptied_at_the_rate_of_their_mode() {
    // (nodes, lost, seconds between two machines; none if no more are emptied than were found
    // lost before the others)
    let cases = [
        (12, 4, Some(10.0)),
        (4, 4, Some(10.0)),
        (5, 3, None),
        (52, 40, Some(100.0)),
    ];
    for (nodes, lost, between) in cases {
        let seconds = 20 + 400 + 30 * u32::from(lost < 10) + 300 * u32::from(lost > 10);
        for record in records(&a_disrupted_zone(nodes, lost, seconds), 10) {
            let end = f64::from(seconds) - FAULT_S;
            let over = replaced(&record, nodes, lost);
            let done: Vec<f64> = over.into_iter().filter(|&at| at < end - 0.5).collect();
            let Some(between) = between else {
                assert!(done.len() < lost as usize, "{lost} of {nodes}: {done:?}");
                continue;
            };
            let expected = (lost as usize).min(1 + ((end - 360.0) / between) as usize);
            assert!(done.len() >= expected, "{lost} of {nodes}: {done:?}");
            for pair in done.windows(2) {
                // A machine may be found lost up to 15 s after another, and a pod's start
                // depends on its kubelet's phase.
                let apart = pair[1] - pair[0];
                assert!(
                    apart > between - 1.5 && apart < between + 17.0,
                    "{lost} of {nodes}: {done:?}"
                );
            }
        }
    }
}

/// What a caller with these settings of a pod's DNS gets, who looks the service up each time, and
/// `more` of the scenario.
fn lookups(dns: &str, pod: &str, more: &str) -> Record {
    let spec = format!(
        "
  clusters:
    - name: cluster
      zones: [a]
      nodePools:
        - {{name: web, count: 3, labels: {{role: web}}}}
        - {{name: client, count: 1, labels: {{role: client}}}}
      dns: {{ttl: 0s, {dns}}}
      manifests: [kubernetes/web/web.yaml]
  behavior: {{web: {{serviceTime: 1ms, workers: 16}}}}
  traffic:
    - {{name: callers, from: caller, to: \"web:80\", arrivals: {{constant: 5/s}}, timeout: 20s, protocol: http1-close}}
  run: {{duration: 20s}}
{more}---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: caller}}
spec:
  selector: {{matchLabels: {{app: caller}}}}
  template:
    metadata: {{labels: {{app: caller}}}}
    spec:
      {pod}
      nodeSelector: {{role: client}}
      containers: [{{name: caller, image: caller, resources: {{requests: {{cpu: 1, memory: 1Gi}}}}}}]
"
    );
    records(&spec, 1).remove(0)
}

/// Mean latency of its calls, in seconds.
fn latency_s(dns: &str, pod: &str) -> f64 {
    let callers = &lookups(dns, pod, "").traffic[0];
    let lost: u64 = callers.failures.iter().sum();
    assert_eq!(lost, 0, "{dns} {pod}");
    callers.latency_sum_ns as f64 / callers.succeeded as f64 / 1e9
}

#[test]
fn a_lookup_takes_a_round_for_each_name_that_it_asks_for() {
    let plain = "dnsPolicy: ClusterFirst";
    let once = latency_s("names: absolute", plain);
    let round = facts::CLUSTER_DNS_LOOKUP.value.as_secs_f64();
    let ndots = "dnsConfig: {options: [{name: ndots, value: \"2\"}]}";
    let none = "dnsPolicy: None, dnsConfig: {nameservers: [10.96.0.10], searches: [corp.example, svc.cluster.local]}";
    let none = &none.replace(", dnsConfig", "\n      dnsConfig");
    let host = "hostNetwork: true\n      dnsPolicy: ClusterFirstWithHostNet";
    // The names that glibc tries until it comes to the right one: under `ndots: 5` with the
    // three domains of the cluster and those of the nodes; with four dots and `ndots: 2` the
    // name as it is first; one after a domain of the pod's own.
    for (dns, pod, asked) in [
        ("names: short", plain, 1),
        ("names: namespaced", plain, 2),
        ("names: svc", plain, 3),
        ("names: full", plain, 4),
        ("names: full, nodeDomains: 2", plain, 6),
        ("names: absolute, nodeDomains: 2", plain, 1),
        ("names: full, nodeDomains: 2", ndots, 1),
        ("names: svc", ndots, 4),
        ("names: namespaced", none, 3),
        ("names: full", none, 1),
        ("names: full", host, 4),
    ] {
        let found = 1.0 + (latency_s(dns, pod) - once) / round;
        assert!(
            (found - f64::from(asked)).abs() < 0.01,
            "{dns} {pod}: {found} names instead of {asked}"
        );
    }
}

#[test]
fn pods_that_ask_the_servers_of_their_node_find_no_service() {
    let unresolved = Reason::NameUnresolved as usize;
    let servers =
        "dnsPolicy: None\n      dnsConfig: {searches: [default.svc.cluster.local], nameservers";
    for (pod, finds) in [
        ("hostNetwork: true", false),
        ("dnsPolicy: Default", false),
        (
            "hostNetwork: true\n      dnsPolicy: ClusterFirstWithHostNet",
            true,
        ),
        (&format!("{servers}: [8.8.8.8, 10.96.0.10]}}"), false),
        (&format!("{servers}: [10.96.0.10, 8.8.8.8]}}"), true),
    ] {
        let callers = &lookups("names: short", pod, "").traffic[0];
        let (found, lost) = (callers.succeeded > 0, callers.failures[unresolved] > 0);
        assert_eq!((found, lost), (finds, !finds), "{pod}");
    }
}

#[test]
fn a_silent_dns_is_waited_for_as_the_pod_says() {
    // Nobody answers from the start on: each request fails after attempts times the timeout.
    let silence = "  timeline: [{at: 0s, fault: {dns-down: {}}}]\n";
    let options = |timeout: u32, attempts: u32| {
        format!(
            "dnsConfig: {{options: [{{name: timeout, value: \"{timeout}\"}}, {{name: attempts, value: \"{attempts}\"}}]}}"
        )
    };
    for (timeout, attempts) in [(1, 1), (1, 3), (2, 2), (5, 2)] {
        let record = lookups("names: short", &options(timeout, attempts), silence);
        let callers = &record.traffic[0];
        assert_eq!(callers.succeeded, 0);
        // Five requests a second; those that had time to fail in 20 s.
        let failed = callers.failures[Reason::NameUnresolved as usize];
        let expected = 5 * (20 - u64::from(timeout * attempts));
        assert!(
            failed.abs_diff(expected) <= 5,
            "{timeout} s, {attempts} times: {failed} instead of {expected}"
        );
    }
}

#[test]
fn replicas_follow_the_recommendations_worked_out_by_hand() {
    // 108 requests a second of 50 ms are 5.4 cores; at a target of half a core a pod that is
    // 10.8 pods. Four may be added at a time, so 8 come first, then 11. From 400 s on 1.9 cores
    // are 3.8 pods, the least of the last 300 s counts, and 4 are the fewest.
    let spec = "
  clusters:
    - name: cluster
      zones: [a]
      nodePools:
        - {name: web, count: 6, cpu: 8, labels: {role: web}}
        - {name: client, count: 1, labels: {role: client}}
      manifests: [kubernetes/hpa-step/, kubernetes/web/client.yaml]
  behavior: {web: {serviceTime: 50ms, cpu: 2, startUp: 2s}}
  traffic:
    - name: callers
      from: client
      to: \"web:80\"
      arrivals: {process: constant, schedule: [{at: 400s, rate: 108/s}, {at: 400s, rate: 38/s}]}
      timeout: 4s
      protocol: http1-close
  run: {duration: 800s, seriesStep: 1s}
";
    for record in records(spec, 20) {
        let course = levels(&record, 4);
        let ups: Vec<u32> = course.iter().take(3).map(|level| level.1).collect();
        assert_eq!(ups, [4, 8, 11], "{course:?}");
        // A sync every 15 s, and metrics that are up to 30 s old at the start.
        assert!(
            course[1].0 < 50 && course[2].0 - course[1].0 <= 32,
            "{course:?}"
        );
        let fall = &course[3..];
        assert!((685..=740).contains(&fall[0].0), "{course:?}");
        assert_eq!(fall.last().map(|level| level.1), Some(4), "{course:?}");
        let falls = fall.windows(2).all(|pair| pair[0].1 > pair[1].1);
        assert!(falls, "{course:?}");
    }
}

/// Numbers of pods of the only workload that is asked anything, which had so many at the start:
/// since which second, and how many, where that held for five seconds at least.
fn levels(record: &Record, at_start: u32) -> Vec<(usize, u32)> {
    let mut asked = record.workloads.iter();
    let asked = asked.find(|workload| workload.arrived > 0);
    let steps = &asked.expect("somebody is asked").capacity_steps_ns;
    let pods = |capacity: &u128| f64::from(at_start) * *capacity as f64 / steps[0] as f64;
    let mut levels: Vec<(usize, u32)> = Vec::new();
    for (second, held) in steps.windows(5).enumerate() {
        let number = pods(&held[0]).round();
        let holds = held
            .iter()
            .all(|capacity| (pods(capacity) - number).abs() < 1e-9);
        if holds && levels.last().is_none_or(|last| last.1 != number as u32) {
            levels.push((second, number as u32));
        }
    }
    levels
}

/// A workload whose pods are labelled `app: web`, behind a service of that name, and a pod that
/// may call it.
fn with_service_and_client(path: &str, workload: &str) -> Vec<File> {
    let text = format!(
        "apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: client}}
spec: {{containers: [{{name: client, image: client, resources: {{requests: {{cpu: 10m, memory: 10Mi}}}}}}]}}
---{workload}"
    );
    let name = format!("{path}.yaml");
    vec![File { name, text }]
}

/// A cluster whose machines of four cores, up to `max` of them and two there at the start, one in
/// each zone, are ordered by Karpenter as these NodePools say; four pods of a core each run on the
/// one whose label and taint they ask for, and more come and go.
fn karpenter_orders(max: u32, node_pools: &str, timeline: &str, seconds: u32) -> Record {
    let spec = format!(
        "
  clusters:
    - name: cluster
      zones: [a, b]
      nodePools:
        - {{name: cloud, min: 2, max: {max}, cpu: 4, memory: 16Gi, boot: 60s}}
        - {{name: client, count: 1, labels: {{role: client}}}}
      provisioner: {{kind: karpenter}}
      manifests: [kubernetes/web/client.yaml]
  behavior: {{web: {{serviceTime: 1ms, workers: 16, startUp: 2s}}}}
  traffic:
    - {{name: callers, from: client, to: \"web:80\", arrivals: {{constant: 5/s}}, timeout: 1s, protocol: http1-close}}
  timeline: [{timeline}]
  run: {{duration: {seconds}s, seriesStep: 1s}}
{node_pools}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  selector: {{app: web}}
  ports: [{{port: 80}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 4
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      nodeSelector: {{role: web}}
      tolerations: [{{key: dedicated, operator: Exists}}]
      containers: [{{name: web, image: web, resources: {{requests: {{cpu: 1, memory: 1Gi}}}}, ports: [{{containerPort: 80}}]}}]
"
    );
    records(&spec, 1).remove(0)
}

/// A NodePool of the machines in zone a, with `role: web` and a taint.
fn node_pool(name: &str, spec: &str) -> String {
    format!(
        "---
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {{name: {name}}}
spec:
  template:
    metadata: {{labels: {{role: web}}}}
    spec:
      nodeClassRef: {{group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}}
      taints: [{{key: dedicated, value: web, effect: NoSchedule}}]
      requirements: [{{key: topology.kubernetes.io/zone, operator: In, values: [a]}}]
{spec}
"
    )
}

#[test]
fn a_node_pool_bounds_which_machines_karpenter_orders() {
    // Five machines in each zone.
    let ready = |limits: &str| {
        let pool = node_pool("web", &format!("  limits: {limits}"));
        let grow = "{at: 20s, scale: {workload: web, replicas: 24}}";
        let course = levels(&karpenter_orders(10, &pool, grow, 150), 4);
        assert_eq!(course.first(), Some(&(0, 4)), "{limits}: {course:?}");
        let (second, pods) = *course.last().expect("pods run");
        let in_time = pods == 4 || (80..100).contains(&second);
        assert!(in_time, "{limits}: {course:?}");
        pods
    };
    assert_eq!(ready("{cpu: 8}"), 8);
    assert_eq!(ready("{memory: 48Gi}"), 12);
    // A batch counts the nodes before it only.
    assert_eq!(ready("{nodes: 1, cpu: 100}"), 4);
    assert_eq!(ready("{nodes: 2}"), 20);
    assert_eq!(ready("{}"), 20);
}

#[test]
fn a_full_node_pool_leaves_machines_to_a_lighter_one() {
    // The one at the start and one more are of the first, two of the second.
    let pools = node_pool("first", "  weight: 10\n  limits: {cpu: 8}")
        + &node_pool("second", "  weight: 5\n  limits: {cpu: 8}");
    let grow = "{at: 20s, scale: {workload: web, replicas: 24}}";
    let course = levels(&karpenter_orders(10, &pools, grow, 150), 4);
    assert_eq!(course.last().map(|level| level.1), Some(16), "{course:?}");
}

#[test]
fn machines_go_when_their_node_pool_lets_them() {
    // Eight pods on two machines shrink to two at 120 s: one machine can go, and with it the pods
    // on it come anew. Whether they do shows in the seconds in which fewer than two are ready.
    let moved = |disruption: &str| {
        let pool = node_pool("web", &format!("  disruption: {disruption}"));
        let timeline = "{at: 20s, scale: {workload: web, replicas: 8}}, \
            {at: 120s, scale: {workload: web, replicas: 0}}, \
            {at: 300s, scale: {workload: web, replicas: 1}}";
        let course = levels(&karpenter_orders(4, &pool, timeline, 420), 4);
        let back = course.iter().rev().find(|level| level.1 == 1);
        back.expect("one pod comes at last").0
    };
    // With a machine left the pod starts at once, else it waits a minute for one.
    let at_once = 302..310;
    let anew = 360..375;
    let kept = "{consolidateAfter: Never}";
    let budget = "{consolidateAfter: 0s, budgets: [{nodes: \"0\", reasons: [Empty]}]}";
    let other = "{consolidateAfter: 0s, budgets: [{nodes: \"0\", reasons: [Underutilized]}, {nodes: 100%}]}";
    for (disruption, when) in [
        (kept, &at_once),
        (
            "{consolidateAfter: 5m, consolidationPolicy: WhenEmpty}",
            &at_once,
        ),
        (
            "{consolidateAfter: 1m, consolidationPolicy: WhenEmpty, budgets: [{nodes: 100%}]}",
            &anew,
        ),
        (budget, &at_once),
        (other, &anew),
    ] {
        let second = moved(disruption);
        assert!(when.contains(&second), "{disruption}: {second}");
    }
}

/// One Deployment of so many pods behind a service, and who asks it; `old` is there at the start
/// and `new` is applied.
struct Rollout {
    pods: u32,
}

impl Library for Rollout {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        let version = path.rsplit('/').next().unwrap_or_default();
        let pods = self.pods;
        let text = format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {pods}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
        - name: web
          image: web:{version}
          ports: [{{containerPort: 8080}}]
          resources: {{requests: {{cpu: 10m, memory: 10Mi}}}}
          readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}
"
        );
        Ok(with_service_and_client(path, &text))
    }
}

#[test]
fn a_rollout_from_yaml_never_lacks_more_pods_than_it_may() {
    let spec = "
  clusters: [{name: cluster, zones: [a], manifests: [old]}]
  behavior: {web: {serviceTime: 1ms, workers: 4, startUp: 3s}}
  traffic: [{name: callers, from: client, to: \"web:80\", arrivals: {constant: 5/s}, timeout: 1s, protocol: http1-close}]
  timeline: [{at: 20s, apply: new}]
  run: {duration: 150s, seriesStep: 100ms}
";
    // A quarter, rounded down, may be missing; a quarter, rounded up, may be too many.
    for (pods, missing_most, beyond_most) in [
        (1, 0, 1),
        (2, 0, 1),
        (3, 0, 1),
        (4, 1, 1),
        (5, 1, 2),
        (7, 1, 2),
        (10, 2, 3),
    ] {
        for record in records_with(spec, &Rollout { pods }, 5) {
            let mut asked = record.workloads.iter();
            let web = asked.find(|workload| workload.arrived > 0).expect("it is");
            let steps = &web.capacity_steps_ns;
            let serving: Vec<f64> = steps
                .iter()
                .map(|&capacity| f64::from(pods) * capacity as f64 / steps[0] as f64)
                .collect();
            let [least, _, greatest] = spread(&serving);
            let (fewest, most) = (pods - missing_most, pods + beyond_most);
            assert!(least >= f64::from(fewest) - 1e-9, "{least} of {pods} serve");
            assert!(
                least < f64::from(pods) || greatest > f64::from(pods),
                "nothing moves"
            );
            assert!(
                greatest > f64::from(fewest) && greatest <= f64::from(most) + 1.0,
                "{greatest} of {pods} serve"
            );
            let end = serving.last().copied().expect("there are steps");
            assert!(
                (end - f64::from(pods)).abs() < 1e-9,
                "{end} of {pods} at the end"
            );
        }
    }
}

/// Four pods of a StatefulSet; with the manifest `new` the last one alone changes its image.
struct CanaryByPartition;

impl Library for CanaryByPartition {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        let version = path.rsplit('/').next().unwrap_or_default();
        let text = format!(
            "
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: web}}
spec:
  serviceName: web
  replicas: 4
  selector: {{matchLabels: {{app: web}}}}
  updateStrategy: {{rollingUpdate: {{partition: 3}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
        - name: web
          image: web:{version}
          ports: [{{containerPort: 8080}}]
          resources: {{requests: {{cpu: 10m, memory: 10Mi}}}}
          readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}
"
        );
        Ok(with_service_and_client(path, &text))
    }
}

#[test]
fn pods_do_what_their_image_does_whatever_the_others_are_made_from() {
    let spec = "
  clusters: [{name: cluster, zones: [a], manifests: [old]}]
  behavior: {web: {serviceTime: 1ms, workers: 4, images: {\"web:new\": {errorRate: 100%}}}}
  traffic: [{name: callers, from: client, to: \"web:80\", arrivals: {constant: 20/s}, timeout: 1s, protocol: http1-close}]
  timeline: [{at: 20s, apply: new}]
  run: {duration: 120s, seriesStep: 1s}
";
    for record in records_with(spec, &CanaryByPartition, 5) {
        let failures = &record.traffic[0].failures;
        let errors = failures[Reason::ServerError as usize];
        // One connection in four from when the new pod serves, within some seconds: of 1800 to
        // 2000 requests 450 to 500, with a standard deviation of 19.
        assert!((375..575).contains(&errors), "{failures:?}");
    }
}

/// A service of so many pods with a probe every ten seconds, if with any, the third failure of
/// which counts.
struct Probed {
    replicas: u32,
    probe: Option<&'static str>,
}

impl Library for Probed {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        let replicas = self.replicas;
        let probe = self.probe.map(|probe| {
            format!("{probe}: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 10, timeoutSeconds: 1, failureThreshold: 3}}")
        });
        let probe = probe.unwrap_or_default();
        let text = format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 10
      containers:
        - name: web
          image: web
          resources: {{requests: {{cpu: 10m, memory: 10Mi}}}}
          {probe}
"
        );
        Ok(with_service_and_client(path, &text))
    }
}

#[test]
fn a_startup_probe_holds_traffic_back_until_its_next_probe_succeeds() {
    let spec = format!(
        "
  clusters: [{{name: cluster, zones: [a], manifests: [all]}}]
  behavior: {{web: {{serviceTime: 1ms, workers: 100, startUp: 4s}}}}
  traffic: [{{name: callers, from: client, to: \"web:80\", arrivals: {{constant: 20/s}}, timeout: 500ms, protocol: http1-close}}]
  timeline: [{{at: {FAULT_S}s, fault: {{container-crash: {{workload: web}}}}}}]
  run: {{duration: 60s, seriesStep: 1s}}
"
    );
    let failing = |probe| -> Vec<f64> {
        let records = records_with(&spec, &Probed { replicas: 1, probe }, 300);
        let last = |record: &Record| record.traffic[0].failing.last().copied();
        let ends = records
            .iter()
            .map(|record| last(record).expect("a crash is felt"));
        ends.map(|(_, end)| end.as_secs_f64() - FAULT_S).collect()
    };
    // The only pod serves when it has started, or after the next probe of its grid.
    let without = failing(None);
    let with = failing(Some("startupProbe"));
    let longer: Vec<f64> = with
        .iter()
        .zip(&without)
        .map(|(one, other)| one - other)
        .collect();
    // Standard error: 10 / sqrt(12 * 300) = 0.17 s.
    assert_spread(
        "startupProbe",
        &longer,
        [-SLACK_S, 5.0, 10.0 + 2.0 * SLACK_S],
        1.0,
    );
}

#[test]
fn an_excluded_node_is_no_backend() {
    // The only other node loses its power: whoever is a backend answers before and after.
    let answered = |version: &str, value: &str| {
        let spec = format!(
            "
  clusters:
    - name: cluster
      zones: [a]
      kubernetes: \"{version}\"
      nodePools:
        - {{name: other, count: 1}}
        - {{name: own, count: 1, labels: {{role: web, node.kubernetes.io/exclude-from-external-load-balancers: \"{value}\"}}}}
  users: [{{name: users}}]
  behavior: {{web: {{serviceTime: 1ms}}}}
  traffic: [{{name: callers, from: users, to: \"web:80\", arrivals: {{constant: 20/s}}, timeout: 500ms, protocol: http1-close}}]
  timeline: [{{at: 20s, fault: {{node-down: {{node: other-1}}}}}}]
  run: {{duration: 80s, seriesStep: 1s}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{type: LoadBalancer, selector: {{app: web}}, ports: [{{port: 80}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      nodeSelector: {{role: web}}
      containers: [{{name: web, image: web, ports: [{{containerPort: 80}}]}}]
"
        );
        let users = records(&spec, 1).remove(0).traffic.remove(0);
        users.succeeded
    };
    // Twenty in each of the first twenty seconds; if the node with the pod is a backend then also
    // half of those until checks find the other lost, 17 to 25 s later, and all from then on.
    for (version, value, least, most) in [
        ("1.33", "true", 390, 410),
        ("1.33", "false", 390, 410),
        ("1.34", "true", 390, 410),
        ("1.34", "false", 1_300, 1_480),
    ] {
        let succeeded = answered(version, value);
        assert!(
            (least..=most).contains(&succeeded),
            "{version} {value}: {succeeded}"
        );
    }
}

#[test]
fn probes_find_an_application_that_hangs_within_their_threshold_of_periods() {
    let spec = format!(
        "
  clusters: [{{name: cluster, zones: [a], manifests: [all]}}]
  behavior: {{web: {{serviceTime: 1ms, workers: 1000}}}}
  traffic: [{{name: callers, from: client, to: \"web:80\", arrivals: {{constant: 20/s}}, timeout: 500ms, protocol: http1-close}}]
  timeline: [{{at: {FAULT_S}s, fault: {{hang: {{workload: web}}}}}}]
  run: {{duration: 80s, seriesStep: 1s}}
"
    );
    let (period, failures, timeout, grace) = (10.0, 3.0, 1.0, 10.0);
    let [least, mean, greatest] =
        [failures - 1.0, failures - 0.5, failures].map(|periods| periods * period + timeout);
    // What readiness finds is out of the rules at once; what liveness finds has its grace, which
    // somebody who hangs uses up, and a second until its kubelet sees that it is gone.
    for (probe, after, seen) in [("readinessProbe", 0.0, 0.0), ("livenessProbe", grace, 1.0)] {
        let records = records_with(
            &spec,
            &Probed {
                replicas: 3,
                probe: Some(probe),
            },
            300,
        );
        let over: Vec<f64> = records
            .iter()
            .map(|record| {
                let failing = record.traffic[0].failing.last();
                failing.expect("the fault is felt").1.as_secs_f64() - FAULT_S
            })
            .collect();
        let form = [
            least + after - SLACK_S,
            mean + after + seen / 2.0,
            greatest + after + seen + SLACK_S,
        ];
        // Standard error: 10 / sqrt(12 * 300) = 0.17 s.
        assert_spread(probe, &over, form, 0.7);
    }
}
