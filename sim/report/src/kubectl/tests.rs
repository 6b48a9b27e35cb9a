//! Whole tables of clusters described by hand.

use super::*;
use cloud::snapshot::{EndpointSnapshot, NodeSnapshot, PortSnapshot, ServiceSnapshot};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

fn node(name: &str, ready: bool, unschedulable: bool, roles: &[&str]) -> NodeSnapshot {
    NodeSnapshot {
        name: name.to_owned(),
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        ready,
        unschedulable,
        created: Time::ZERO,
        address: Ipv4Addr::new(172, 18, 0, 2),
        pod_range: "10.244.0.0/24".to_owned(),
        stale: BTreeMap::new(),
    }
}

fn service(namespace: &str, name: &str, pods: u8) -> ServiceSnapshot {
    let endpoint = |number| EndpointSnapshot {
        address: Ipv4Addr::new(10, 244, 1, number),
        pod: format!("{name}-{number}"),
        node: Some("n1".to_owned()),
    };
    ServiceSnapshot {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        kind: "ClusterIP",
        cluster_ip: Some(Ipv4Addr::new(10, 96, 7, 1)),
        load_balancer_ip: None,
        ports: vec![port(80, None)],
        selector: [("app", name), ("tier", "front")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        created: Time::ZERO,
        endpoints: (2..2 + pods).map(endpoint).collect(),
        has_pods: pods > 0,
    }
}

fn port(port: u16, node_port: Option<u16>) -> PortSnapshot {
    PortSnapshot {
        name: None,
        port,
        target_port: 8_080,
        node_port,
    }
}

fn cluster() -> ClusterSnapshot {
    ClusterSnapshot {
        name: "east".to_owned(),
        kubernetes_minor: 33,
        nodes: vec![
            node("worker-1", true, false, &[]),
            node("control", true, true, &["control-plane", "etcd"]),
            node("worker-2", false, false, &[]),
        ],
        services: vec![service("shop", "web", 5), service("data", "db", 2)],
    }
}

fn printed(resource: Resource, namespaces: Namespaces<'_>, width: Width) -> Option<String> {
    let now = Time::from_secs_f64(330.0);
    kubectl(&cluster(), now, resource, namespaces, width)
}

fn assert_prints(resource: Resource, namespaces: Namespaces<'_>, width: Width, expected: &str) {
    let text = printed(resource, namespaces, width).expect("something is printed");
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn nodes_have_no_namespace_and_are_sorted_by_name() {
    let expected = "\
NAME       STATUS                     ROLES                AGE     VERSION
control    Ready,SchedulingDisabled   control-plane,etcd   5m30s   v1.33.0
worker-1   Ready                      <none>               5m30s   v1.33.0
worker-2   NotReady                   <none>               5m30s   v1.33.0
";
    let namespaces = Namespaces::One("default");
    assert_prints(Resource::Nodes, namespaces, Width::Usual, expected);
}

#[test]
fn three_endpoints_are_named_and_the_others_counted() {
    let expected = "\
NAME   ENDPOINTS                                                     AGE
web    10.244.1.2:8080,10.244.1.3:8080,10.244.1.4:8080 + 2 more...   5m30s
";
    let namespaces = Namespaces::One("shop");
    assert_prints(Resource::Endpoints, namespaces, Width::Wide, expected);
}

#[test]
fn several_namespaces_have_a_column() {
    let expected = "\
NAMESPACE   NAME   TYPE        CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE     SELECTOR
data        db     ClusterIP   10.96.7.1    <none>        80/TCP    5m30s   app=db,tier=front
shop        web    ClusterIP   10.96.7.1    <none>        80/TCP    5m30s   app=web,tier=front
";
    assert_prints(Resource::Services, Namespaces::All, Width::Wide, expected);
}

#[test]
fn a_namespace_without_objects_prints_nothing() {
    let namespaces = Namespaces::One("elsewhere");
    assert_eq!(printed(Resource::Services, namespaces, Width::Usual), None);
}

#[test]
fn services_show_what_they_have_and_what_they_lack() {
    let mut cluster = cluster();
    cluster.services[0].kind = "LoadBalancer";
    cluster.services[0].load_balancer_ip = Some(Ipv4Addr::new(198, 18, 0, 1));
    cluster.services[0].ports = vec![port(80, Some(30_080)), port(443, Some(31_443))];
    cluster.services[1].namespace = "shop".to_owned();
    cluster.services[1].cluster_ip = None;
    cluster.services[1].ports.clear();
    let print = |resource| {
        let now = Time::from_secs_f64(5.0);
        kubectl(&cluster, now, resource, Namespaces::All, Width::Usual).expect("there are some")
    };
    let expected = "\
NAME   TYPE           CLUSTER-IP   EXTERNAL-IP   PORT(S)                      AGE
db     ClusterIP      None         <none>        <none>                       5s
web    LoadBalancer   10.96.7.1    198.18.0.1    80:30080/TCP,443:31443/TCP   5s
";
    assert_eq!(print(Resource::Services), expected);
    let expected = "\
NAME   ENDPOINTS                                                     AGE
db     10.244.1.2,10.244.1.3                                         5s
web    10.244.1.2:8080,10.244.1.3:8080,10.244.1.4:8080 + 7 more...   5s
";
    assert_eq!(print(Resource::Endpoints), expected);
}

#[test]
fn nobody_behind_a_service_is_none_and_nobody_ready_is_blank() {
    let mut cluster = cluster();
    cluster.services[0].endpoints.clear();
    cluster.services[1].endpoints.clear();
    cluster.services[1].has_pods = false;
    cluster.services[1].namespace = "shop".to_owned();
    let now = Time::from_secs_f64(5.0);
    let namespaces = Namespaces::All;
    let text = kubectl(&cluster, now, Resource::Endpoints, namespaces, Width::Usual);
    let expected = "\
NAME   ENDPOINTS   AGE
db     <none>      5s
web                5s
";
    assert_eq!(text.as_deref(), Some(expected));
}
