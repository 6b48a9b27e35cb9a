//! Many services and many proxies: what is equal is compiled once.

use super::*;

/// So many services, each in a namespace of its own, with three endpoints, a rule and a route.
fn large(services: usize) -> Mesh {
    let mut mesh = Mesh::default();
    for number in 0..services {
        let namespace = format!("team-{number}");
        let service = mesh.service("api", &namespace, "http:80");
        for endpoint in 0..3 {
            mesh.endpoint(service, &format!("version=v{}", endpoint % 2), "eu/a");
        }
        let of = (namespace.as_str(), "api", number as i64);
        let rule = destination_rule(of, "api", &["v0", "v1"]);
        mesh.objects.destination_rules.push(rule);
        let split = forward(vec![to("api", Some("v0"), 90), to("api", Some("v1"), 10)]);
        let route = virtual_service(of, &["api"], vec![split]);
        mesh.objects.virtual_services.push(route);
    }
    mesh
}

#[test]
fn what_is_equal_for_all_namespaces_is_compiled_once() {
    let mesh = large(40);
    let mut compiler = Compiler::new(&mesh.world());
    for number in 0..40 {
        let proxy = proxy(&format!("team-{number}"), "app=api");
        compiler.view(&mesh.world(), &mesh.endpoints, &proxy, Role::Sidecar);
    }
    let tables = &compiler.tables;
    assert_eq!(tables.scopes.len(), 40);
    assert_eq!(tables.viewers.len(), 1);
    // Three clusters and one host for each service, whoever asks.
    assert_eq!(tables.clusters.len(), 3 * 40);
    assert_eq!(tables.assignments.len(), 3 * 40);
    assert_eq!(tables.hosts.len(), 40);
    let scope = &tables.scopes[17];
    assert_eq!((scope.clusters.len(), scope.tables.len()), (120, 1));
    assert_eq!(scope.tables[0].services.len(), 40);
}
