//! Real manifests are read without an error and without an unknown field.

use hybridsim_loader::diagnostic::Diagnostics;
use hybridsim_loader::kubernetes::Objects;
use hybridsim_loader::ledger::Standing;
use hybridsim_loader::{File, Ledger, Severity, document};

/// The objects of some texts; fails on errors, warnings and unknown fields.
fn read(texts: &[(&str, &str)]) -> (Objects, Ledger) {
    let files: Vec<_> = texts
        .iter()
        .map(|(name, text)| File {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    let (mut ledger, mut diagnostics) = (Ledger::default(), Diagnostics::default());
    let documents = document::read(&files, &mut ledger, &mut diagnostics);
    let objects = Objects::collect(&documents, &mut diagnostics);
    let serious: Vec<_> = diagnostics
        .finish(&files)
        .into_iter()
        .filter(|found| found.severity != Severity::Note)
        .map(|found| format!("{}:{} {}", found.file, found.line, found.message))
        .collect();
    assert_eq!(serious, [""; 0]);
    (objects, ledger)
}

#[test]
fn bookinfo_is_read_whole() {
    let (objects, ledger) = read(&[
        (
            "bookinfo.yaml",
            include_str!("../../../../scenarios/bookinfo/bookinfo.yaml"),
        ),
        (
            "bookinfo-ingress.yaml",
            include_str!("../../../../scenarios/bookinfo/bookinfo-ingress.yaml"),
        ),
        (
            "bookinfo-gateway.yaml",
            include_str!("../../../../scenarios/bookinfo/gateway-api/bookinfo-gateway.yaml"),
        ),
    ]);
    let names: Vec<_> = objects
        .workloads
        .iter()
        .map(|workload| workload.metadata.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "details-v1",
            "productpage-v1",
            "ratings-v1",
            "reviews-v1",
            "reviews-v2",
            "reviews-v3"
        ]
    );
    let services: Vec<_> = objects
        .services
        .iter()
        .map(|service| service.metadata.name.as_str())
        .collect();
    assert_eq!(services, ["details", "productpage", "ratings", "reviews"]);
    assert_eq!(objects.ingresses[0].routes.len(), 5);
    assert_eq!(objects.routes[0].rules[0].matches.len(), 5);
    assert_eq!(ledger.counts()[Standing::Unknown as usize], 0);
    // Six service accounts and ten objects in the first file, two in the second and third each.
    assert!(ledger.documents.len() >= 16);
}

#[test]
fn the_routes_of_bookinfo_are_read_whole() {
    read(&[(
        "a",
        include_str!("../../../../scenarios/bookinfo/gateway-api/route-all-v1.yaml"),
    )]);
    read(&[(
        "a",
        include_str!("../../../../scenarios/bookinfo/gateway-api/route-reviews-50-v3.yaml"),
    )]);
    read(&[(
        "a",
        include_str!("../../../../scenarios/bookinfo/gateway-api/route-reviews-90-10.yaml"),
    )]);
    read(&[(
        "a",
        include_str!("../../../../scenarios/bookinfo/gateway-api/route-reviews-v1.yaml"),
    )]);
    read(&[(
        "a",
        include_str!("../../../../scenarios/bookinfo/gateway-api/route-reviews-v3.yaml"),
    )]);
}

#[test]
fn helloworld_is_read_whole() {
    let (objects, _) = read(&[(
        "helloworld.yaml",
        include_str!("../../../../scenarios/helloworld/helloworld.yaml"),
    )]);
    assert_eq!(objects.workloads.len(), 2);
    assert_eq!(
        objects.workloads[0].template.placement.requests.cpu_milli,
        100
    );
}

#[test]
fn what_kubectl_prints_is_read_whole() {
    let (objects, ledger) = read(&[("cluster.yaml", include_str!("../data/cluster.yaml"))]);
    assert_eq!(ledger.counts()[Standing::Unknown as usize], 0);
    let web = &objects.workloads[1];
    assert_eq!((web.metadata.name.as_str(), web.replicas), ("web", 3));
    // The init container asks for more CPU than the container and the sidecar together.
    let requests = web.template.placement.requests;
    assert_eq!(
        (requests.cpu_milli, requests.memory_bytes),
        (1000, (256 + 32) << 20)
    );
    assert_eq!(web.template.cpu_limit_milli, Some(1000));
    assert_eq!(
        web.template.placement.anti_affinity[0].selector["app"],
        "web"
    );
    assert_eq!(web.template.placement.labels["tier"], "front");
    assert!(!web.template.placement.spread[0].required);
    assert_eq!(objects.autoscalers[0].replicas, (3, 10));
    assert_eq!(objects.budgets.len(), 1);
    assert_eq!(objects.nodes[0].zone(), Some("us-west-2a"));
    // Endpoints that are pods follow from the selector.
    assert!(objects.slices[0].addresses.is_empty());
}

/// The only autoscaler of a text, and how many fields of it have each standing.
fn autoscaler(
    spec: &str,
) -> (
    hybridsim_loader::kubernetes::autoscaler::Autoscaler,
    [u64; 4],
) {
    let text = format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: web}}\nspec:\n  scaleTargetRef: {{kind: Deployment, name: web}}\n  maxReplicas: 9\n{spec}"
    );
    let (mut objects, ledger) = read(&[("a", &text)]);
    (objects.autoscalers.remove(0), ledger.counts())
}

#[test]
fn autoscalers_are_read_with_what_the_api_server_fills_in() {
    use cloud::scenario::{Amount, Metric, ScalingPolicy, ScalingRules, SelectPolicy};
    use engine::Duration;

    let (plain, _) = autoscaler("");
    assert_eq!(plain.replicas, (1, 9));
    assert_eq!(plain.metrics, [Metric::CpuUtilization(80)]);
    assert_eq!(plain.behavior, None);

    let (old, _) = autoscaler("  targetCPUUtilizationPercentage: 55\n");
    assert_eq!(old.metrics, [Metric::CpuUtilization(55)]);

    let (whole, counts) = autoscaler(
        "  minReplicas: 0
  metrics:
  - {type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 250m}}}
  - {type: ContainerResource, containerResource: {container: web, name: cpu, target: {type: Utilization, averageUtilization: 70}}}
  - {type: Pods, pods: {metric: {name: http_requests_per_second}, target: {type: AverageValue, averageValue: 12500m}}}
  behavior:
    scaleUp: {stabilizationWindowSeconds: 30, selectPolicy: Min, tolerance: 50m}
    scaleDown: {policies: [{type: Percent, value: 10, periodSeconds: 60}, {type: Pods, value: 2, periodSeconds: 20}]}
",
    );
    assert_eq!(whole.replicas, (1, 9));
    assert_eq!(
        whole.metrics,
        [
            Metric::CpuAverage(250),
            Metric::CpuUtilization(70),
            Metric::RequestsAverage(12.5)
        ]
    );
    let behavior = whole.behavior.expect("it says how fast it may move");
    let default = ScalingRules::default_up();
    assert_eq!(
        behavior.up,
        ScalingRules {
            stabilization: Duration::from_secs(30),
            select: SelectPolicy::Min,
            tolerance: Some(0.05),
            ..default
        }
    );
    let policy = |amount, seconds| ScalingPolicy {
        amount,
        period: Duration::from_secs(seconds),
    };
    assert_eq!(
        behavior.down.policies,
        [
            policy(Amount::Percent(10), 60),
            policy(Amount::Count(2), 20)
        ]
    );
    // `behavior` without a window takes that of the controller.
    assert_eq!(behavior.down.stabilization, Duration::from_secs(300));
    assert_eq!(counts[Standing::Ignored as usize], 0, "{counts:?}");
}
