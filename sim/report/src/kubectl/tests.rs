//! Whole tables of clusters described by hand.

use super::*;
use cloud::snapshot::{
    AutoscalerSnapshot, EndpointSnapshot, EventSnapshot, NodeSnapshot, PodSnapshot, PortSnapshot,
    ServiceSnapshot, TargetSnapshot,
};
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
        load_balancer_ips: Vec::new(),
        external_ips: Vec::new(),
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
        protocol: "TCP",
        node_port,
    }
}

fn cluster() -> ClusterSnapshot {
    ClusterSnapshot {
        name: "east".to_owned(),
        kubernetes_minor: 33,
        is_answering: true,
        nodes: vec![
            node("worker-1", true, false, &[]),
            node("control", true, true, &["control-plane", "etcd"]),
            node("worker-2", false, false, &[]),
        ],
        services: vec![service("shop", "web", 5), service("data", "db", 2)],
        pods: Vec::new(),
        deployments: Vec::new(),
        replica_sets: Vec::new(),
        autoscalers: Vec::new(),
        events: Vec::new(),
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
fn addresses_outside_are_written_as_kubectl_writes_them() {
    let address = |last| Ipv4Addr::new(203, 0, 113, last);
    let written = |kind, balancer: &[Ipv4Addr], external: &[Ipv4Addr]| {
        let mut cluster = cluster();
        cluster.services.truncate(1);
        let service = &mut cluster.services[0];
        service.kind = kind;
        service.load_balancer_ips = balancer.to_vec();
        service.external_ips = external.to_vec();
        let now = Time::from_secs_f64(5.0);
        let table = kubectl(
            &cluster,
            now,
            Resource::Services,
            Namespaces::All,
            Width::Usual,
        );
        let row = table.unwrap().lines().nth(1).unwrap().to_owned();
        row.split_whitespace().nth(3).unwrap().to_owned()
    };
    let two = [address(1), address(2)];
    assert_eq!(written("LoadBalancer", &[], &[]), "<pending>");
    assert_eq!(written("LoadBalancer", &two, &[]), "203.0.113.1,2...");
    assert_eq!(
        written("LoadBalancer", &two[..1], &two[1..]),
        "203.0.113.1,203.0.113.2"
    );
    assert_eq!(written("ClusterIP", &[], &two), "203.0.113.1,203.0.113.2");
    assert_eq!(written("ClusterIP", &[], &[]), "<none>");
}

#[test]
fn services_show_what_they_have_and_what_they_lack() {
    let mut cluster = cluster();
    cluster.services[0].kind = "LoadBalancer";
    cluster.services[0].load_balancer_ips = vec![Ipv4Addr::new(198, 18, 0, 1)];
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

#[test]
fn pods_say_when_they_were_restarted_last() {
    let at = Time::from_secs_f64;
    let pod = |name: &str, status, ready, restarts, restarted| PodSnapshot {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        status,
        ready,
        sidecar_ready: None,
        restarts,
        restarted,
        created: at(30.0),
        node: ready.then(|| "n1".to_owned()),
        address: ready.then_some(Ipv4Addr::new(10, 244, 1, 3)),
    };
    let mut cluster = cluster();
    let meshed = PodSnapshot {
        sidecar_ready: Some(true),
        ..pod("web-3", "CrashLoopBackOff", false, 1, None)
    };
    cluster.pods = vec![
        meshed,
        pod("web-2", "CrashLoopBackOff", false, 3, Some(at(310.4))),
        pod("web-1", "Running", true, 0, None),
    ];
    let namespaces = Namespaces::One("shop");
    let text = kubectl(&cluster, at(330.0), Resource::Pods, namespaces, Width::Wide);
    let expected = "\
NAME    READY   STATUS             RESTARTS      AGE   IP           NODE     NOMINATED NODE   READINESS GATES
web-1   1/1     Running            0             5m    10.244.1.3   n1       <none>           <none>
web-2   0/1     CrashLoopBackOff   3 (20s ago)   5m    <none>       <none>   <none>           <none>
web-3   1/2     CrashLoopBackOff   1             5m    <none>       <none>   <none>           <none>
";
    assert_eq!(text.as_deref(), Some(expected));
}

#[test]
fn targets_have_the_form_of_their_version() {
    let target = |resource, percent, measured, target| TargetSnapshot {
        resource,
        percent,
        measured,
        target,
    };
    let mut cluster = cluster();
    cluster.autoscalers = vec![AutoscalerSnapshot {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        reference: "Deployment/web".to_owned(),
        targets: vec![
            target(Some("cpu"), true, Some(35), 80),
            target(Some("cpu"), false, None, 1_500),
            target(None, false, Some(2_000), 9_000),
        ],
        replicas_min: 2,
        replicas_max: 10,
        replicas: 3,
        created: Time::ZERO,
    }];
    let mut print = |minor, shown| {
        cluster.kubernetes_minor = minor;
        cluster.autoscalers[0].targets.truncate(shown);
        let now = Time::from_secs_f64(90.0);
        let resource = Resource::Autoscalers;
        kubectl(&cluster, now, resource, Namespaces::All, Width::Usual).expect("there is one")
    };
    let expected = "\
NAME   REFERENCE        TARGETS                                          MINPODS   MAXPODS   REPLICAS   AGE
web    Deployment/web   cpu: 35%/80%, cpu: <unknown>/1500m + 1 more...   2         10        3          90s
";
    assert_eq!(print(30, 3), expected);
    let expected = "\
NAME   REFERENCE        TARGETS   MINPODS   MAXPODS   REPLICAS   AGE
web    Deployment/web   35%/80%   2         10        3          90s
";
    assert_eq!(print(29, 1), expected);
}

#[test]
fn repeated_events_are_counted_in_the_order_of_their_last() {
    let at = Time::from_secs_f64;
    let event = |namespace: &str, first, last, count| EventSnapshot {
        namespace: namespace.to_owned(),
        kind: "Warning",
        reason: "Unhealthy",
        object: "Pod/web-1".to_owned(),
        message: "Readiness probe failed".to_owned(),
        source: "kubelet",
        first: at(first),
        last: at(last),
        count,
    };
    let mut cluster = cluster();
    cluster.events = vec![event("shop", 10.0, 10.0, 1), event("data", 258.0, 318.0, 3)];
    let text = kubectl(
        &cluster,
        at(330.0),
        Resource::Events,
        Namespaces::All,
        Width::Usual,
    );
    let expected = "\
NAMESPACE   LAST SEEN           TYPE      REASON      OBJECT      MESSAGE
shop        5m20s               Warning   Unhealthy   Pod/web-1   Readiness probe failed
data        12s (x3 over 72s)   Warning   Unhealthy   Pod/web-1   Readiness probe failed
";
    assert_eq!(text.as_deref(), Some(expected));
}
