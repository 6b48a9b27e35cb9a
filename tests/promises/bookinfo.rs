//! Bookinfo's samples of routing, unmodified, on its unmodified manifests: requests are split, sent
//! by user, delayed and failed as written.

use cloud::record::{Reason, Record};
use cloud::scenario::{ClusterId, Scenario, ServiceId, TrafficTarget};
use cloud::{Options, compile, simulate};
use engine::Seed;
use loader::File;

const REQUESTS: u64 = 4_000;

/// Bookinfo in a mesh, with these samples applied: jason and others ask for pages by turns.
fn scenario(samples: &[&str]) -> Scenario {
    scenario_with(samples, "", "")
}

/// The same with what else stands at the page's call of the reviews, and other objects.
fn scenario_with(samples: &[&str], call: &str, objects: &str) -> Scenario {
    let samples = samples
        .iter()
        .map(|sample| format!(", scenarios/bookinfo/networking/{sample}.yaml"));
    let samples: String = samples.collect();
    let text = format!(
        "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {{name: bookinfo-samples}}
spec:
  clusters:
    - name: cluster
      region: local
      zones: [a]
      kubernetes: \"1.33\"
      nodePools: [{{name: node, count: 3, cpu: 8, memory: 16Gi}}]
      manifests: [scenarios/bookinfo/bookinfo.yaml, scenarios/bookinfo/networking/destination-rule-all.yaml{samples}]
      istio: {{version: \"1.30\", injectedNamespaces: [default]}}
  behavior:
    productpage-v1:
      serviceTime: 1ms
      workers: unlimited
      calls:
        - {{to: \"details:9080\", forwardHeaders: [end-user], onFailure: ignore}}
        - {{to: \"reviews:9080\", forwardHeaders: [end-user]{call}}}
    details-v1: {{serviceTime: 1ms, workers: unlimited}}
    ratings-v1: {{serviceTime: 1ms, workers: unlimited}}
    reviews-v1: {{serviceTime: 1ms, workers: unlimited}}
    reviews-v2: {{serviceTime: 1ms, workers: unlimited, calls: [{{to: \"ratings:9080\", forwardHeaders: [end-user]}}]}}
    reviews-v3: {{serviceTime: 1ms, workers: unlimited, calls: [{{to: \"ratings:9080\", forwardHeaders: [end-user]}}]}}
  workloads: {{browser: {{}}}}
  traffic:
    - {{name: jason, from: browser, to: \"productpage:9080\", headers: {{end-user: jason}}, arrivals: {{constant: 50/s}}, timeout: none}}
    - {{name: others, from: browser, to: \"productpage:9080\", arrivals: {{constant: 50/s}}, timeout: none}}
  run: {{duration: 50s, analysis: terminating, replications: 1}}
{objects}"
    );
    let file = File {
        name: "bookinfo-samples.yaml".to_owned(),
        text,
    };
    let loaded = loader::load(&[file], &crate::support::Project);
    let told = loaded.diagnostics;
    loaded.scenario.unwrap_or_else(|| panic!("{told:#?}"))
}

fn run(samples: &[&str]) -> (Scenario, Record) {
    let scenario = scenario(samples);
    let record = simulate(&compile(&scenario), Seed::default(), &Options::default());
    (scenario, record)
}

/// The shares of the three versions of the reviews.
fn shares((scenario, record): &(Scenario, Record)) -> [f64; 3] {
    let served = ["reviews-v1", "reviews-v2", "reviews-v3"].map(|name| {
        let workloads = scenario.clusters[0].workloads.iter();
        let mut workloads = workloads.zip(&record.workloads);
        let (_, found) = workloads
            .find(|(workload, _)| workload.name == name)
            .expect("a version of the reviews");
        found.finished
    });
    let all: u64 = served.iter().sum();
    assert!(all >= REQUESTS, "{all} pages");
    served.map(|count| count as f64 / all as f64)
}

#[test]
fn reviews_are_split_as_each_sample_says() {
    // Half of the readers are jason, whom some samples send elsewhere.
    let cases: [(&str, [f64; 3]); 7] = [
        ("virtual-service-all-v1", [1.0, 0.0, 0.0]),
        ("virtual-service-reviews-v3", [0.0, 0.0, 1.0]),
        ("virtual-service-reviews-50-v3", [0.5, 0.0, 0.5]),
        ("virtual-service-reviews-80-20", [0.8, 0.2, 0.0]),
        ("virtual-service-reviews-90-10", [0.9, 0.1, 0.0]),
        ("virtual-service-reviews-test-v2", [0.5, 0.5, 0.0]),
        ("virtual-service-reviews-jason-v2-v3", [0.0, 0.5, 0.5]),
    ];
    for (sample, expected) in cases {
        let shares = shares(&run(&[sample]));
        for (share, expected) in shares.iter().zip(expected) {
            // Four standard deviations of a binomial of 4000 and more.
            let error: f64 = 4.0 * f64::sqrt(expected * (1.0 - expected) / REQUESTS as f64);
            assert!(
                (share - expected).abs() <= error + 0.001,
                "{sample}: {shares:?}"
            );
        }
    }
}

#[test]
fn faults_hit_whom_they_are_meant_for() {
    let through_v2 = "virtual-service-reviews-jason-v2-v3";
    let (_, record) = run(&[through_v2, "virtual-service-ratings-test-delay"]);
    let [jason, others] = [0, 1].map(|source: usize| {
        let traffic = &record.traffic[source];
        traffic.latency_sum_ns as f64 / traffic.succeeded as f64 / 1e9
    });
    assert!((7.0..7.1).contains(&jason), "{jason} s");
    assert!(others < 0.05, "{others} s");
    let (_, record) = run(&[through_v2, "virtual-service-ratings-test-abort"]);
    let [jason, others] = [0, 1].map(|source: usize| &record.traffic[source]);
    assert_eq!(jason.succeeded, 0);
    let failed = jason.failures[Reason::DependencyFailed as usize];
    assert!(failed >= REQUESTS / 2, "{:?}", jason.failures);
    assert_eq!(others.failures.iter().sum::<u64>(), 0);
}

/// istio.io's task about timeouts of requests: the ratings are 2 s late and the reviews have half a
/// second, but the page asks for them twice.
#[test]
fn a_route_gives_up_before_its_service_does() {
    let objects = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ratings}
spec:
  hosts: [ratings]
  http:
    - fault: {delay: {percentage: {value: 100}, fixedDelay: 2s}}
      route: [{destination: {host: ratings, subset: v1}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http: [{route: [{destination: {host: reviews, subset: v2}}], timeout: 0.5s}]
";
    let call = ", onFailure: ignore, retries: {attempts: 1, backoff: 1ms}, timeout: none";
    let scenario = scenario_with(&[], call, objects);
    let record = simulate(&compile(&scenario), Seed::default(), &Options::default());
    for traffic in &record.traffic {
        assert!(traffic.failures.iter().all(|count| *count == 0));
        let mean = traffic.latency_sum_ns as f64 / traffic.succeeded as f64 / 1e9;
        assert!((1.0..1.05).contains(&mean), "{mean} s");
    }
    let logged = record.flags.iter().flat_map(|it| &it.counts);
    let late =
        logged.filter(|((status, flags), _)| (*status, flags.to_string()) == (504, "UT".into()));
    // Each page asks twice, but for those that are under way at the end.
    let late: u64 = late.map(|(_, count)| count).sum();
    assert!(late >= 2 * REQUESTS, "{late} requests given up");
}

/// The same pages for users outside, through the gateway that an installation brings.
#[test]
fn pages_come_through_bookinfos_own_gateway() {
    let mut scenario = scenario(&["bookinfo-gateway", "virtual-service-reviews-90-10"]);
    let cluster = &scenario.clusters[0];
    let position = |name: &str| {
        let mut services = cluster.services.iter();
        ServiceId::from(
            services
                .position(|service| service.name == name)
                .expect("it is there"),
        )
    };
    let target = |service, port| TrafficTarget::Service {
        cluster: ClusterId(0),
        service,
        port,
    };
    let gateway = position("istio-ingressgateway");
    let edge = cluster
        .workloads
        .iter()
        .position(|workload| workload.name == "istio-ingressgateway");
    let edge = edge.expect("the gateway is installed");
    for traffic in &mut scenario.traffic {
        // The second of the gateway's ports is that for HTTP.
        traffic.target = target(gateway, 1);
        traffic.attributes.host = "bookinfo.example".to_owned();
        traffic.attributes.path = "/productpage".to_owned();
    }
    let record = simulate(&compile(&scenario), Seed::default(), &Options::default());
    assert_eq!(record.workloads[edge].finished, REQUESTS + 1_000);
    let failed: u64 = record.traffic.iter().flat_map(|it| &it.failures).sum();
    assert_eq!(failed, 0);
    let [first, second, third] = shares(&(scenario.clone(), record));
    // Four standard deviations of a tenth of 5000.
    assert!((second - 0.1).abs() < 0.017, "{first} {second} {third}");
    assert_eq!(third, 0.0);
    for traffic in &mut scenario.traffic {
        traffic.attributes.path = "/admin".to_owned();
    }
    let record = simulate(&compile(&scenario), Seed::default(), &Options::default());
    let missing: u64 = record
        .traffic
        .iter()
        .map(|it| it.failures[Reason::NoRoute as usize])
        .sum();
    assert_eq!(missing, REQUESTS + 1_000, "no route has this path");
}
