//! Bookinfo's own gateway of the Gateway API, unmodified: istiod makes a gateway for it and takes its
//! route for a VirtualService.

use crate::cli::inspect;
use cloud::record::Reason;
use cloud::scenario::{Scenario, ServiceKind};
use cloud::{Options, compile, simulate};
use engine::Seed;
use loader::File;

const PAGES: u64 = 1_000;

/// Bookinfo in a mesh behind its gateway, with these manifests beside; readers outside ask for a
/// path.
fn scenario(manifests: &[&str], path: &str) -> Scenario {
    let manifests = manifests
        .iter()
        .map(|sample| format!(", scenarios/bookinfo/{sample}.yaml"));
    let manifests: String = manifests.collect();
    let text = format!(
        "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {{name: bookinfo-gateway-api}}
spec:
  clusters:
    - name: cluster
      region: aws/us-west-2
      zones: [a]
      kubernetes: \"1.33\"
      nodePools: [{{name: node, count: 3, cpu: 8, memory: 16Gi}}]
      manifests: [scenarios/bookinfo/bookinfo.yaml, scenarios/bookinfo/gateway-api/bookinfo-gateway.yaml{manifests}]
      istio: {{version: \"1.30\", injectedNamespaces: [default]}}
  users: [{{name: readers, region: aws/us-west-2}}]
  behavior:
    productpage-v1: {{serviceTime: 1ms, workers: unlimited, calls: [{{to: \"reviews:9080\"}}]}}
    details-v1: {{serviceTime: 1ms, workers: unlimited}}
    ratings-v1: {{serviceTime: 1ms, workers: unlimited}}
    reviews-v1: {{serviceTime: 1ms, workers: unlimited}}
    reviews-v2: {{serviceTime: 1ms, workers: unlimited}}
    reviews-v3: {{serviceTime: 1ms, workers: unlimited}}
  traffic:
    - {{name: pages, from: readers, to: \"http://bookinfo-gateway-istio:80{path}\", arrivals: {{constant: 50/s}}, timeout: none}}
  run: {{duration: 20s, analysis: terminating, replications: 1}}
"
    );
    let file = File {
        name: "bookinfo-gateway-api.yaml".to_owned(),
        text,
    };
    let loaded = loader::load(&[file], &crate::support::Project);
    let told = loaded.diagnostics;
    loaded.scenario.unwrap_or_else(|| panic!("{told:#?}"))
}

/// How many requests each workload has finished, by its name, and how many had no route.
fn served(scenario: Scenario) -> (impl Fn(&str) -> u64, u64) {
    let record = simulate(&compile(&scenario), Seed::default(), &Options::default());
    let traffic = &record.traffic[0];
    let missing = traffic.failures[Reason::NoRoute as usize];
    assert_eq!(traffic.failures.iter().sum::<u64>(), missing);
    let workloads = scenario.clusters[0].workloads.iter();
    let finished: Vec<(String, u64)> = workloads
        .zip(&record.workloads)
        .map(|(workload, found)| (workload.name.clone(), found.finished))
        .collect();
    let of = move |name: &str| {
        let mut finished = finished.iter();
        finished
            .find(|(known, _)| known == name)
            .expect("it is there")
            .1
    };
    (of, missing)
}

/// Whether this is all pages, but for the last that may still be on its way.
fn is_all(count: u64) -> bool {
    (PAGES - 1..=PAGES).contains(&count)
}

#[test]
fn istiod_makes_a_deployment_and_a_service_for_a_gateway() {
    let scenario = scenario(&[], "/productpage");
    let cluster = &scenario.clusters[0];
    let mut services = cluster.services.iter();
    let service = services
        .find(|service| service.name == "bookinfo-gateway-istio")
        .expect("a Service");
    assert_eq!(service.kind, ServiceKind::LoadBalancer);
    let ports: Vec<_> = service
        .ports
        .iter()
        .map(|it| (it.name.as_deref(), it.port, it.target_port))
        .collect();
    let expected = [
        (Some("status-port"), 15_021, 15_021),
        (Some("http"), 80, 80),
    ];
    assert_eq!(ports, expected);
    let [backend] = service.backends[..] else {
        panic!("one Deployment");
    };
    let workload = &cluster.workloads[backend.index()];
    assert_eq!(workload.name, "bookinfo-gateway-istio");
    assert_eq!(workload.replicas, 1);
    let labels = &workload.template.placement.labels;
    let name = &labels["gateway.networking.k8s.io/gateway-name"];
    assert_eq!(name, "bookinfo-gateway");
    assert!(cluster.proxies.is_empty(), "no proxy of another kind");
}

#[test]
fn pages_come_through_it_and_other_paths_have_no_route() {
    let (of, missing) = served(scenario(&[], "/productpage"));
    assert_eq!(missing, 0);
    assert!(is_all(of("bookinfo-gateway-istio")) && is_all(of("productpage-v1")));
    let (of, missing) = served(scenario(&[], "/productpages"));
    assert!(is_all(of("bookinfo-gateway-istio")) && is_all(missing));
    assert_eq!(of("productpage-v1"), 0);
    // A prefix takes whole parts of a path.
    let (_, missing) = served(scenario(&[], "/static/main.css"));
    assert_eq!(missing, 0);
    let (_, missing) = served(scenario(&[], "/statics"));
    assert!(is_all(missing));
}

#[test]
fn routes_of_the_mesh_act_behind_it() {
    let samples = ["bookinfo-versions", "gateway-api/route-reviews-90-10"];
    let (of, missing) = served(scenario(&samples, "/productpage"));
    assert_eq!(missing, 0);
    let [first, second] = ["reviews-v1", "reviews-v2"].map(of);
    assert!(is_all(first + second));
    // Four standard deviations of a tenth of 1000.
    assert!((62..=138).contains(&second), "{second}");
}

#[test]
fn inspect_shows_it() {
    let of_gateway = |part: &str| {
        let pod = ["--proxy", "bookinfo-gateway-istio"];
        let variant = ["--variant", "gateway-api"];
        let shown = [part, "mesh/bookinfo-gateway", "--at", "9s"];
        inspect(&[&shown[..], &pod, &variant].concat())
    };
    assert_eq!(
        of_gateway("listeners"),
        "\
ADDRESSES PORT MATCH DESTINATION
0.0.0.0   80   ALL   Route: http.80
"
    );
    let routes = of_gateway("routes");
    let routes: Vec<Vec<&str>> = routes
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    // The most specific first, as the Gateway API has it; the names are istiod's.
    let paths = [
        "/productpage",
        "/logout",
        "/login",
        "PathPrefix:/api/v1/products",
        "PathPrefix:/static",
    ];
    let owner = "bookinfo-0-istio-autogenerated-k8s-gateway.default";
    let rows = paths.map(|path| vec!["http.80", "*:80", "*", path, owner]);
    assert_eq!(routes[1..], rows);
    let clusters = of_gateway("clusters");
    assert!(clusters.contains("productpage.default.svc.cluster.local"));
    assert!(!clusters.contains("inbound"), "it has no application");
}

/// A route at Istio's ingress gateway, all of it to the first of two versions.
const BY_ISTIO: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: ['*']
  gateways: [edge]
  http: [{route: [{destination: {host: web, subset: v1}, weight: 100}, {destination: {host: web, subset: v2}, weight: 0}]}]
";

/// The same by the Gateway API, whose versions are services.
const BY_GATEWAY_API: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: v1
kind: Service
metadata: {name: web-v1}
spec: {selector: {app: web, version: v1}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web-v2}
spec: {selector: {app: web, version: v2}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: web-v1, port: 80, weight: 100}, {name: web-v2, port: 80, weight: 0}]}]}
";

/// How many requests of 10 s before a release to half and 20 s after each version has answered.
fn released(manifests: &str, gateway: &str, [stable, canary]: [&str; 2]) -> [u64; 2] {
    let text = format!(
        "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {{name: release}}
spec:
  clusters:
    - name: cluster
      region: aws/us-west-2
      zones: [a]
      kubernetes: \"1.33\"
      nodePools: [{{name: node, count: 3, cpu: 8, memory: 16Gi}}]
      manifests: [scenarios/mesh/web/versions.yaml]
      istio: {{version: \"1.30\", injectedNamespaces: [default]}}
  users: [{{name: users, region: aws/us-west-2}}]
  behavior:
    web-v1: {{serviceTime: 1ms, workers: unlimited}}
    web-v2: {{serviceTime: 1ms, workers: unlimited}}
  traffic: [{{name: all, from: users, to: \"http://{gateway}:80/\", arrivals: {{constant: 100/s}}, timeout: none}}]
  timeline:
    - {{at: 10s, canary: {{route: web, stable: {stable}, canary: {canary}, steps: [{{setWeight: 50}}, {{pause: 20s}}]}}}}
  run: {{duration: 30s, analysis: terminating, replications: 1}}
---{manifests}"
    );
    let file = File {
        name: "release.yaml".to_owned(),
        text,
    };
    let loaded = loader::load(&[file], &crate::support::Project);
    let told = loaded.diagnostics;
    let scenario = loaded.scenario.unwrap_or_else(|| panic!("{told:#?}"));
    let (of, missing) = served(scenario);
    assert_eq!(missing, 0);
    ["web-v1", "web-v2"].map(of)
}

#[test]
fn a_release_shifts_users_at_the_gateway() {
    let by_istio = released(BY_ISTIO, "istio-ingressgateway.istio-system", ["v1", "v2"]);
    let by_gateway_api = released(BY_GATEWAY_API, "edge-istio", ["web-v1", "web-v2"]);
    for [first, second] in [by_istio, by_gateway_api] {
        // The last may still be on its way.
        assert!((2_999..=3_000).contains(&(first + second)));
        // Half of 2000, by four standard deviations, and less by what comes until the gateway has
        // been told.
        assert!((880..=1_090).contains(&second), "{second}");
    }
}
