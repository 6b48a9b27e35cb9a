//! Which pods and services of a mesh are carried by what.

use super::*;

#[test]
fn labels_decide_which_pods_get_a_sidecar_and_annotations_what_it_is_like() {
    let deployment = |namespace: &str, name: &str, metadata: &str| {
        format!(
            "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: main, image: main, resources: {{requests: {{cpu: 200m, memory: 64Mi}}}}}}]}}
"
        )
        .replace(&format!("metadata: {{labels: {{app: {name}}}}}"), metadata)
    };
    let text = [
        "apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
"
        .to_owned(),
        deployment("shop", "plain", "metadata: {labels: {app: plain}}"),
        deployment(
            "shop",
            "refuses",
            "metadata: {labels: {app: refuses, sidecar.istio.io/inject: 'false'}}",
        ),
        deployment(
            "shop",
            "large",
            "metadata: {labels: {app: large}, annotations: {sidecar.istio.io/proxyCPU: 500m, sidecar.istio.io/proxyCPULimit: 3500m}}",
        ),
        deployment("elsewhere", "outside", "metadata: {labels: {app: outside}}"),
        deployment(
            "elsewhere",
            "asks",
            "metadata: {labels: {app: asks, sidecar.istio.io/inject: 'true'}}",
        ),
        deployment("labelled", "later", "metadata: {labels: {app: later}}"),
    ]
    .concat();
    let mesh = MeshFrame {
        istio_minor: 30,
        injected_namespaces: vec!["labelled".to_owned()],
        ambient_namespaces: Vec::new(),
        proxy_cost: Duration::from_micros(200),
        root: None,
    };
    let looks = |mesh| {
        let found = assembled_in(mesh, &[&text]);
        let workloads = found.cluster().workloads.iter();
        let mut looks: Vec<String> = workloads
            .map(|workload| {
                let template = &workload.template;
                let sidecar = template.sidecar.as_ref();
                format!(
                    "{}: {} threads, {}m {}Mi",
                    workload.name,
                    sidecar.map_or(0, |sidecar| sidecar.threads),
                    template.placement.requests.cpu_milli,
                    template.placement.requests.memory_bytes >> 20,
                )
            })
            .collect();
        looks.sort();
        looks
    };
    assert_eq!(
        looks(Some(mesh)),
        [
            "asks: 2 threads, 300m 192Mi",
            "large: 4 threads, 700m 64Mi",
            "later: 2 threads, 300m 192Mi",
            "outside: 0 threads, 200m 64Mi",
            "plain: 2 threads, 300m 192Mi",
            "refuses: 0 threads, 200m 64Mi",
        ]
    );
    let without = looks(None);
    assert!(
        without
            .iter()
            .all(|look| look.contains(": 0 threads, 200m"))
    );
}

#[test]
fn labels_decide_which_pods_ztunnels_carry() {
    let deployment = |namespace: &str, name: &str, labels: &str, host_network: bool| {
        format!(
            "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}{labels}}}}}
    spec: {{hostNetwork: {host_network}, containers: [{{name: main, image: main}}]}}
"
        )
    };
    let text = [
        "apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
"
        .to_owned(),
        deployment("shop", "plain", "", false),
        deployment("shop", "out", ", istio.io/dataplane-mode: none", false),
        deployment(
            "shop",
            "injected",
            ", sidecar.istio.io/inject: 'true'",
            false,
        ),
        deployment("shop", "host", "", true),
        deployment("elsewhere", "outside", "", false),
        deployment(
            "elsewhere",
            "asks",
            ", istio.io/dataplane-mode: ambient",
            false,
        ),
        deployment("labelled", "later", "", false),
    ]
    .concat();
    let mesh = MeshFrame {
        istio_minor: 30,
        injected_namespaces: Vec::new(),
        ambient_namespaces: vec!["labelled".to_owned()],
        proxy_cost: Duration::from_micros(200),
        root: None,
    };
    let found = assembled_in(Some(mesh), &[&text]);
    let workloads = found.cluster().workloads.iter();
    let carried = workloads.filter(|workload| workload.template.is_ambient);
    let mut names: Vec<_> = carried.map(|workload| workload.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["asks", "later", "plain"]);
    let ztunnel = found.cluster().ztunnel.as_ref();
    assert_eq!(ztunnel.map(|ztunnel| ztunnel.threads), Some(2));
    assert_eq!(assembled_in(None, &[&text]).cluster().ztunnel, None);
}

#[test]
fn labels_decide_which_waypoint_a_service_is_reached_through() {
    let namespace = |name: &str, labels: &str| {
        format!(
            "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{istio.io/dataplane-mode: ambient{labels}}}}}\n"
        )
    };
    let service = |name: &str, labels: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop, labels: {{app: web{labels}}}}}\nspec: {{selector: {{app: web}}, ports: [{{port: 80}}]}}\n"
        )
    };
    let waypoint = |namespace: &str, name: &str, more: &str, from: &str| {
        format!(
            "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: {namespace}{more}}}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{{name: mesh, port: 15008, protocol: HBONE, allowedRoutes: {{namespaces: {{from: {from}}}}}}}]
"
        )
    };
    let text = [
        namespace("shop", ", istio.io/use-waypoint: near"),
        namespace("edge", ""),
        waypoint("shop", "near", "", "Same"),
        waypoint(
            "shop",
            "pods",
            ", labels: {istio.io/waypoint-for: workload}",
            "Same",
        ),
        waypoint(
            "edge",
            "open",
            ", labels: {istio.io/waypoint-for: all}",
            "All",
        ),
        waypoint("edge", "shut", "", "Same"),
        service("inherits", ""),
        service("declines", ", istio.io/use-waypoint: none"),
        service("of-pods", ", istio.io/use-waypoint: pods"),
        service(
            "far",
            ", istio.io/use-waypoint: open, istio.io/use-waypoint-namespace: edge",
        ),
        service(
            "shut-out",
            ", istio.io/use-waypoint: shut, istio.io/use-waypoint-namespace: edge",
        ),
    ]
    .concat();
    let later = service("inherits", ", istio.io/use-waypoint: none");
    let mesh = MeshFrame {
        istio_minor: 30,
        injected_namespaces: Vec::new(),
        ambient_namespaces: Vec::new(),
        proxy_cost: Duration::from_micros(400),
        root: None,
    };
    let found = assembled_in(Some(mesh), &[&text, &later]);
    let cluster = found.cluster();
    let istio = cluster.istio.as_ref().expect("waypoints are Istio's");
    let uses = istio.objects.waypoint_uses.iter();
    let uses: Vec<_> = uses
        .map(|used| {
            let waypoint = used.waypoint.as_ref().expect("it is used");
            (used.identity.name.as_str(), waypoint.name.as_str())
        })
        .collect();
    assert_eq!(uses, [("far", "open"), ("inherits", "near")]);
    // Its Deployment and Service are there, twice as slow as usual as all proxies here.
    let is_near = |name: &str, namespace: &str| (name, namespace) == ("near", "shop");
    let mut workloads = cluster.workloads.iter();
    let near = workloads.find(|it| is_near(&it.name, &it.namespace));
    let template = &near.expect("istiod makes it").template;
    let proxy = template.sidecar.as_ref().expect("it is a proxy");
    assert_eq!(
        (proxy.role, proxy.threads),
        (cloud::scenario::Role::Waypoint, 2)
    );
    assert_eq!(
        proxy.costs,
        cloud::scenario::ProxyCosts::of(Duration::from_micros(500))
    );
    assert!(!template.is_ambient && template.service_account == "near");
    let mut services = cluster.services.iter();
    let service = services.find(|it| is_near(&it.name, &it.namespace));
    assert_eq!(service.expect("so is this").ports[0].port, 15_008);
    // A label that changes is told as a change.
    let changes = found.assembly.changes[0].iter();
    let mut told = changes.filter_map(|change| match change {
        Change::Istio(objects) => Some(objects.as_slice()),
        _ => None,
    });
    let Some([Object::WaypointUse(ended)]) = told.next() else {
        panic!("one service is reached another way");
    };
    assert_eq!(
        (ended.identity.name.as_str(), &ended.waypoint),
        ("inherits", &None)
    );
}

#[test]
fn labels_of_hosts_and_for_gateways_count_as_those_of_services_do() {
    let text = |of_namespace: &str| {
        format!(
            "---
apiVersion: v1
kind: Namespace
metadata: {{name: shop, labels: {{istio.io/dataplane-mode: ambient, istio.io/use-waypoint: near{of_namespace}}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: near, namespace: shop}}
spec: {{gatewayClassName: istio-waypoint, listeners: [{{name: mesh, port: 15008, protocol: HBONE}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: plain, namespace: shop}}
spec: {{selector: {{app: web}}, ports: [{{port: 80}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: says, namespace: shop, labels: {{istio.io/ingress-use-waypoint: \"True\"}}}}
spec: {{selector: {{app: web}}, ports: [{{port: 80}}]}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: given, namespace: shop, labels: {{istio.io/ingress-use-waypoint: \"false\"}}}}
spec: {{hosts: [api.example.com], ports: [{{number: 80, name: http, protocol: HTTP}}], resolution: DNS}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: bare, namespace: shop}}
spec: {{hosts: [bare.example.com], ports: [{{number: 80, name: http, protocol: HTTP}}], resolution: NONE}}
"
        )
    };
    let uses = |minor, of_namespace| {
        let mesh = MeshFrame {
            istio_minor: minor,
            injected_namespaces: Vec::new(),
            ambient_namespaces: Vec::new(),
            proxy_cost: Duration::from_micros(400),
            root: None,
        };
        let found = assembled_in(Some(mesh), &[&text(of_namespace)]);
        let istio = found.cluster().istio.as_ref().expect("there is one");
        let uses = istio.objects.waypoint_uses.iter();
        let uses = uses.map(|used| (used.identity.name.clone(), used.is_for_gateways));
        uses.collect::<Vec<_>>()
    };
    let named = |name: &str, is_for_gateways| (name.to_owned(), is_for_gateways);
    let host = named("api.example.com", false);
    let usual = [named("plain", false), named("says", true)];
    // Before 1.25 nobody tells pods of the mesh an address of a host.
    assert_eq!(uses(24, ""), usual);
    let with_host = [vec![host.clone()], usual.to_vec()].concat();
    assert_eq!(uses(25, ""), with_host);
    let wide = ", istio.io/ingress-use-waypoint: \"true\"";
    assert_eq!(uses(24, wide), usual);
    let all = [host, named("plain", true), named("says", true)];
    assert_eq!(uses(30, wide), all);
}

#[test]
fn what_istiod_made_of_an_ingress_is_taken_back_with_it() {
    let ingress = |class: &str, host: &str| {
        format!(
            "---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: i, annotations: {{kubernetes.io/ingress.class: {class}}}}}
spec: {{rules: [{{host: {host}, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: a, port: {{number: 80}}}}}}}}]}}}}]}}
"
        )
    };
    let mesh = MeshFrame {
        istio_minor: 30,
        injected_namespaces: vec!["default".to_owned()],
        ambient_namespaces: Vec::new(),
        proxy_cost: Duration::from_micros(200),
        root: None,
    };
    let start = backends() + &ingress("istio", "x.com");
    let other = ingress("istio", "y.com");
    let away = ingress("nginx", "y.com");
    let found = assembled_in(Some(mesh), &[&start, &other, &away]);
    let changed = found.assembly.changes.iter().map(|stage| {
        let told = stage.iter().find_map(|change| match change {
            Change::Istio(changed) => Some(changed),
            _ => None,
        });
        let changed = told.expect("something is said to Istio");
        let looks = changed.iter().map(|object| match object {
            Object::VirtualService(it) => format!("{} {}", it.identity.name, it.http.len()),
            Object::Gateway(it) => format!("{} {}", it.identity.name, it.servers.len()),
            other => panic!("a {}", other.kind()),
        });
        looks.collect::<Vec<_>>()
    });
    let changed: Vec<_> = changed.collect();
    assert_eq!(
        changed[0],
        [
            "y-com-i-istio-autogenerated-k8s-ingress 1",
            "x-com-i-istio-autogenerated-k8s-ingress 0",
        ]
    );
    assert_eq!(
        changed[1],
        [
            "i-istio-autogenerated-k8s-ingress-default 0",
            "y-com-i-istio-autogenerated-k8s-ingress 0",
        ]
    );
}
