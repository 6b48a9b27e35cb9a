//! Laws that limits, outlier detection and places follow, as theory gives them exactly.

use crate::limits::{ENFORCED, local_limit};
use crate::shop::{SHOP, failed};
use crate::support::{Manifests, Mesh, faultless, replicate};
use cloud::record::Reason;
use cloud::{Options, compile, simulate};
use engine::Seed;

/// A mesh of this release, and manifests, under a spec of its own.
fn mesh(minor: u32, spec: &str, manifests: &str) -> cloud::scenario::Scenario {
    let mesh = Mesh {
        zones: "a, b",
        nodes: (4, "cpu: 16, memory: 64Gi"),
        istio: &format!("version: \"1.{minor}\", injectedNamespaces: [default]"),
        ..Mesh::default()
    };
    faultless(mesh.load(spec, &Manifests(manifests.to_owned())))
}

#[test]
fn buckets_refuse_the_share_that_queueing_theory_says() {
    // The rows TB2 and TB3 of the closed forms: a hundred tokens at the end of each second, and
    // Poisson arrivals. Who finds the bucket empty is one of more than a hundred in a second.
    let filter = local_limit(100, ENFORCED).replace("fill_interval: 60s", "fill_interval: 1s");
    let (seconds, minor) = (600, 22);
    for (rate, exact) in [
        (90.0, 0.008_331_918_340_554_204),
        (100.0, 0.039_860_996_809_147_135),
    ] {
        let spec = format!(
            "  behavior: {{web: {{serviceTime: 0s, workers: unlimited}}}}
  traffic: [{{name: users, from: browser, to: \"web:80\", arrivals: {{poisson: {rate}/s}}, timeout: none}}]
  run: {{duration: {seconds}s, analysis: terminating, replications: 1}}
"
        );
        let scenario = mesh(minor, &spec, &format!("{SHOP}{filter}"));
        let record = simulate(&compile(&scenario), Seed::default(), &Options::default());
        let refused = failed(&record, Reason::RateLimited) as f64 / record.traffic[0].sent as f64;
        // The number too many in a second has a standard deviation of at most 0.6 of a Poisson
        // number's.
        let error = 0.6 * f64::sqrt(rate / f64::from(seconds)) / rate;
        assert!(
            (refused - exact).abs() < 4.0 * error,
            "{refused} {exact} {error}"
        );
    }
}

/// A service `web` with a rule that leaves out at once what fails so often in a row.
fn outliers(consecutive: u32) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: web}}
spec:
  host: web
  trafficPolicy:
    outlierDetection:
      consecutive5xxErrors: {consecutive}
      interval: 1h
      baseEjectionTime: 10h
      maxEjectionPercent: 100
---
"
    )
}

#[test]
fn a_pod_is_left_out_after_as_many_requests_as_runs_of_errors_take() {
    // The rows CONSEC-0.5-5 and CONSEC-0.9-5: (q^-k - 1) / (1 - q) requests on average. They come
    // so slowly that threads, which wait a second for further news, hear in time who is left out.
    // Eight times the mean are enough: what is cut off is less than a thousandth of the mean.
    for (errors, exact, seconds) in [(0.5, 62.0, 500), (0.9, 6.935_087_808_430_287, 60)] {
        let spec = format!(
            "  behavior: {{web: {{serviceTime: 1ms, workers: unlimited, errorRate: {errors}}}}}
  traffic: [{{name: users, from: browser, to: \"web:80\", arrivals: {{constant: 1/s}}, timeout: none}}]
  run: {{duration: {seconds}s, analysis: terminating, replications: 1}}
"
        );
        let scenario = mesh(30, &spec, &format!("{SHOP}{}", outliers(5)));
        let topology = compile(&scenario);
        let web = scenario.clusters[0]
            .workloads
            .iter()
            .position(|it| it.name == "web");
        let web = web.expect("a workload of the manifests");
        let finished = replicate(&topology, (1, 300), &Options::default(), |record| {
            record.workloads[web].finished as f64
        });
        let count = finished.len() as f64;
        let mean = finished.iter().sum::<f64>() / count;
        let squares = finished
            .iter()
            .map(|it| (it - mean) * (it - mean))
            .sum::<f64>();
        let error = (squares / (count - 1.0) / count).sqrt();
        assert!((mean - exact).abs() < 4.0 * error, "{mean} {exact} {error}");
        assert!(error < 0.1 * exact);
    }
}

/// Pods behind `web` in a zone.
fn pods_in(name: &str, replicas: u32, zone: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web, is: {name}}}}}
  template:
    metadata: {{labels: {{app: web, is: {name}}}}}
    spec:
      nodeSelector: {{topology.kubernetes.io/zone: {zone}}}
      containers: [{{name: web, image: w}}]
---
"
    )
}

#[test]
fn a_zone_with_seven_of_ten_healthy_pods_keeps_98_percent() {
    // The row PRIO-70: min(100, floor(140 * 0.7)).
    let service = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: browser}
spec:
  selector: {matchLabels: {app: browser}}
  template:
    metadata: {labels: {app: browser}}
    spec:
      nodeSelector: {topology.kubernetes.io/zone: a}
      containers: [{name: browser, image: b}]
---
";
    let manifests = [
        service.to_owned(),
        pods_in("near", 7, "a"),
        pods_in("failing", 3, "a"),
        pods_in("far", 4, "b"),
        outliers(1),
    ];
    let spec = "  behavior:
    near: {serviceTime: 1ms, workers: unlimited}
    far: {serviceTime: 1ms, workers: unlimited}
    failing: {serviceTime: 1ms, workers: unlimited, errorRate: 100%}
  traffic: [{name: users, from: browser, to: \"web:80\", arrivals: {constant: 200/s}, timeout: none}]
  run: {duration: 110s, analysis: terminating, replications: 1}
";
    let scenario = mesh(30, spec, &manifests.concat());
    let options = Options {
        warm_up: engine::Duration::from_secs(10),
        ..Options::default()
    };
    let record = simulate(&compile(&scenario), Seed::default(), &options);
    let finished = |name: &str| {
        let mut workloads = scenario.clusters[0].workloads.iter().zip(&record.workloads);
        let found = workloads.find(|(workload, _)| workload.name == name);
        found.expect("a workload of the manifests").1.finished
    };
    assert_eq!(finished("failing"), 0, "all have been left out before");
    let (near, far) = (finished("near") as f64, finished("far") as f64);
    let share = near / (near + far);
    // Four standard deviations of a binomial of 20 000 with 0.98.
    assert!((share - 0.98).abs() < 0.004, "{share}");
}
