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
            include_str!("../../../scenarios/bookinfo/bookinfo.yaml"),
        ),
        (
            "bookinfo-ingress.yaml",
            include_str!("../../../scenarios/bookinfo/bookinfo-ingress.yaml"),
        ),
        (
            "bookinfo-gateway.yaml",
            include_str!("../../../scenarios/bookinfo/gateway-api/bookinfo-gateway.yaml"),
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
        include_str!("../../../scenarios/bookinfo/gateway-api/route-all-v1.yaml"),
    )]);
    read(&[(
        "a",
        include_str!("../../../scenarios/bookinfo/gateway-api/route-reviews-50-v3.yaml"),
    )]);
    read(&[(
        "a",
        include_str!("../../../scenarios/bookinfo/gateway-api/route-reviews-90-10.yaml"),
    )]);
    read(&[(
        "a",
        include_str!("../../../scenarios/bookinfo/gateway-api/route-reviews-v1.yaml"),
    )]);
    read(&[(
        "a",
        include_str!("../../../scenarios/bookinfo/gateway-api/route-reviews-v3.yaml"),
    )]);
}

#[test]
fn helloworld_is_read_whole() {
    let (objects, _) = read(&[(
        "helloworld.yaml",
        include_str!("../../../scenarios/helloworld/helloworld.yaml"),
    )]);
    assert_eq!(objects.workloads.len(), 2);
    assert_eq!(
        objects.workloads[0].template.placement.requests.cpu_milli,
        100
    );
}

#[test]
fn what_kubectl_prints_is_read_whole() {
    let (objects, ledger) = read(&[("cluster.yaml", include_str!("data/cluster.yaml"))]);
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
