//! The promises of the assembly, from manifests to positions.

mod mesh;

use super::*;
use crate::document;
use crate::kubernetes::kube_proxy::Overrides;
use crate::ledger::Ledger;
use crate::source::File;
use cloud::istio::config::Object;
use cloud::istio::version::Version;
use cloud::scenario::{PathMatch, WorkloadKind};
use engine::Distribution;
use engine::Duration;

/// What a test looks at.
struct Assembled {
    assembly: Assembly,
    told: Vec<String>,
}

/// Assembles manifests; each text after the first is applied on top of those before.
fn assembled(texts: &[&str]) -> Assembled {
    assembled_in(None, texts)
}

/// The same in a cluster with this mesh.
fn assembled_in(mesh: Option<MeshFrame>, texts: &[&str]) -> Assembled {
    let files: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| File {
            name: format!("{number}.yaml"),
            text: (*text).to_owned(),
        })
        .collect();
    let (mut ledger, mut diagnostics) = (Ledger::default(), Diagnostics::default());
    let documents = document::read(&files, &mut ledger, &mut diagnostics);
    let mut stages = Vec::new();
    let mut current: Vec<&document::Document> = Vec::new();
    for file in 0..files.len() {
        let own: Vec<_> = documents
            .iter()
            .filter(|document| document.file as usize == file)
            .collect();
        current = crate::kubernetes::apply(&current, &own);
        // What is described twice within one file is told, not applied.
        let release = mesh.as_ref().map(|mesh| Version::new(mesh.istio_minor));
        let objects = Objects::collect_in(
            release,
            if file == 0 { own } else { current.clone() },
            &mut diagnostics,
        );
        stages.push(objects);
    }
    let defaults = Defaults {
        station: Station::fifo(1),
        behavior: Behavior {
            response_bytes: 1,
            ..Behavior::alone(Distribution::constant(Duration::from_millis(1)))
        },
    };
    let frame = Frame {
        name: "cluster".to_owned(),
        region: "local".to_owned(),
        kubernetes_minor: 33,
        zones: vec!["a".to_owned()],
        provisioner: None,
        dns: cloud::scenario::ClusterDns::default(),
        kube_proxy: Overrides::default(),
        nodes: Vec::new(),
        mesh,
        sites: Vec::new(),
        machines: Vec::new(),
    };
    let assembly = assemble(&frame, &stages, &[], &defaults, &mut diagnostics);
    let told = diagnostics
        .finish(&files)
        .into_iter()
        .filter(|found| !matches!(found.code, Code::NoRequests))
        .map(|found| {
            let help = found
                .help
                .map(|help| format!(" / {help}"))
                .unwrap_or_default();
            format!(
                "{} {}:{} {}{help}",
                found.code.id(),
                found.line,
                found.column,
                found.message
            )
        })
        .collect();
    Assembled { assembly, told }
}

impl Assembled {
    fn cluster(&self) -> &Cluster {
        &self.assembly.cluster
    }

    fn service(&self, name: &str) -> &Service {
        self.cluster()
            .services
            .iter()
            .find(|service| service.name == name)
            .expect("the service is there")
    }

    /// Names of the workloads behind a service.
    fn backends(&self, name: &str) -> Vec<&str> {
        let backends = &self.service(name).backends;
        backends
            .iter()
            .map(|id| self.cluster().workloads[id.index()].name.as_str())
            .collect()
    }

    /// `namespace/name:port` of what a name leads to, or why it leads nowhere.
    fn resolve(&self, namespace: &str, address: &str) -> String {
        match self.assembly.resolve(namespace, address) {
            Ok(found) => {
                let service = &self.cluster().services[found.service.index()];
                let port = service.ports[found.port as usize].port;
                let mark = if found.names_one_pod { "*" } else { "" };
                format!("{}/{}:{port}{mark}", service.namespace, service.name)
            }
            Err(Unresolved { message, help }) => {
                format!("{message} / {}", help.unwrap_or_default())
            }
        }
    }

    /// The routes of the only proxy, one line each.
    fn routes(&self) -> Vec<String> {
        assert_eq!(self.cluster().proxies.len(), 1);
        self.shown(&self.cluster().proxies[0].routes)
    }

    fn shown(&self, routes: &[Route]) -> Vec<String> {
        let backend = |backend: &RouteBackend| match backend.service {
            Some(id) => {
                let service = &self.cluster().services[id.index()];
                format!(
                    "{}:{}x{}",
                    service.name, service.ports[backend.port as usize].port, backend.weight
                )
            }
            None => format!("nobodyx{}", backend.weight),
        };
        let route = |route: &Route| {
            let RouteMatch {
                hosts,
                path,
                headers,
                method,
            } = &route.matches;
            let path = match path {
                PathMatch::Any => "any".to_owned(),
                PathMatch::Exact(path) => format!("={path}"),
                PathMatch::Prefix(path) => format!("{path}/*"),
            };
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| format!(" {name}={value}"))
                .collect();
            let method = method
                .as_deref()
                .map(|method| format!(" {method}"))
                .unwrap_or_default();
            let host = hosts.join(",");
            let backends: Vec<_> = route.backends.iter().map(backend).collect();
            format!(
                "{host} {path}{method}{} -> {}",
                headers.concat(),
                backends.join(" ")
            )
        };
        routes.iter().map(route).collect()
    }
}

use cloud::scenario::RouteMatch;

/// A Deployment with the labels `app` and perhaps more, which declares the ports `http` 8080 and 9090.
fn deployment(name: &str, labels: &str, replicas: u32) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: {replicas}\n  selector: {{matchLabels: {{{labels}}}}}\n  template:\n    metadata: {{labels: {{{labels}}}}}\n    spec:\n      containers:\n      - name: main\n        ports: [{{name: http, containerPort: 8080}}, {{containerPort: 9090}}]\n"
    )
}

/// A Service with the port 80.
fn service(name: &str, spec: &str) -> String {
    format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

#[test]
fn selectors_and_named_ports_find_their_pods() {
    let text = deployment("web-v2", "app: web, version: v2", 2)
        + &deployment("web-v1", "app: web, version: v1", 1)
        + &deployment("db", "app: db", 1)
        + &service(
            "web",
            "{selector: {app: web}, ports: [{name: a, port: 80, targetPort: http}, {name: b, port: 81, targetPort: 9090}]}",
        )
        + &service(
            "one",
            "{selector: {app: web, version: v2}, ports: [{port: 80, targetPort: 8080}], sessionAffinity: ClientIP, type: LoadBalancer, externalTrafficPolicy: Local}",
        );
    let found = assembled(&[&text]);
    assert_eq!(found.told, [""; 0]);
    assert_eq!(found.backends("web"), ["web-v1", "web-v2"]);
    let targets: Vec<_> = found
        .service("web")
        .ports
        .iter()
        .map(|port| port.target_port)
        .collect();
    assert_eq!(targets, [8080, 9090]);
    let one = found.service("one");
    assert_eq!(found.backends("one"), ["web-v2"]);
    assert_eq!(one.kind, ServiceKind::LoadBalancer);
    assert_eq!(one.external_policy, cloud::scenario::TrafficPolicy::Local);
    assert_eq!(one.session_affinity, Some(Duration::from_secs(10_800)));
    let versions: Vec<_> = found
        .cluster()
        .workloads
        .iter()
        .map(|workload| workload.version.as_deref())
        .collect();
    assert_eq!(versions, [None, Some("v1"), Some("v2")]);
}

#[test]
fn the_order_of_documents_does_not_show() {
    let parts = [
        deployment("web", "app: web", 2),
        deployment("db", "app: db", 1),
        service("web", "{selector: {app: web}, ports: [{port: 80}]}"),
        service("db", "{selector: {app: db}, ports: [{port: 80}]}"),
    ];
    let forward = assembled(&[&parts.concat()]);
    let backward: String = parts.iter().rev().cloned().collect();
    assert_eq!(
        forward.assembly.cluster,
        assembled(&[&backward]).assembly.cluster
    );
}

#[test]
fn what_leads_nowhere_is_told_with_what_is_near() {
    let text = deployment("web", "app: web", 1)
        + &service("typo", "{selector: {app: wbe}, ports: [{port: 80}]}")
        + &service(
            "named",
            "{selector: {app: web}, ports: [{port: 80, targetPort: htttp}]}",
        )
        + &service(
            "number",
            "{selector: {app: web}, ports: [{port: 80, targetPort: 8081}]}",
        )
        + &service("empty", "{ports: [{port: 80}]}")
        + "---\napiVersion: v1\nkind: Service\nmetadata: {name: other, namespace: shop}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n";
    let found = assembled(&[&text]);
    assert_eq!(
        found.told,
        [
            "HS0105 18:8 the selector (app=wbe) of `typo` matches no workload in namespace `default` / `web` has `app: web`",
            "HS0106 23:38 no container declares a port named `htttp` / did you mean `http`?",
            "HS0112 28:38 no container declares port 8081 / declared are 8080, 9090",
            "HS0107 32:18 `empty` has neither a selector nor addresses / add a selector, or an EndpointSlice with the label `kubernetes.io/service-name`",
            "HS0105 38:8 the selector (app=web) of `other` matches no workload in namespace `shop` / `web` has these labels, but in namespace `default`",
        ]
    );
}

#[test]
fn a_selector_must_match_its_own_template() {
    let text = deployment("web", "app: web", 1).replace("labels: {app: web}", "labels: {app: wep}");
    assert_eq!(
        assembled(&[&text]).told,
        [
            "HS0104 7:28 the selector (app=web) does not match the labels of the template / give `spec.template.metadata.labels` every label of the selector; they are on line 9"
        ]
    );
}

#[test]
fn duplicates_are_told() {
    let text = deployment("web", "app: web", 1) + &deployment("web", "app: web", 2);
    assert_eq!(
        assembled(&[&text]).told,
        [
            "HS0103 17:18 Deployment `default/web` is described twice / the first description is on line 4; remove one of the two"
        ]
    );
}

#[test]
fn names_resolve_as_in_a_pod() {
    let text = deployment("web", "app: web", 1)
        + &service(
            "web",
            "{selector: {app: web}, ports: [{name: http, port: 8000, targetPort: 8080}]}",
        )
        + &service(
            "two",
            "{selector: {app: web}, ports: [{name: a, port: 80, targetPort: 8080}, {name: b, port: 81, targetPort: 9090}]}",
        )
        + &service(
            "alias",
            "{type: ExternalName, externalName: web.default.svc.cluster.local}",
        )
        + &service("outside", "{type: ExternalName, externalName: example.com}")
        + "---\napiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: data}\nspec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}\n---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db, namespace: data}\nspec:\n  replicas: 2\n  serviceName: db\n  selector: {matchLabels: {app: db}}\n  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db}]}}\n";
    let found = assembled(&[&text]);
    assert_eq!(found.told, [""; 0]);
    let cases = [
        ("default", "web:8000", "default/web:8000"),
        ("default", "web:http", "default/web:8000"),
        ("default", "WEB", "default/web:8000"),
        ("data", "web.default:8000", "default/web:8000"),
        ("data", "web.default.svc:8000", "default/web:8000"),
        (
            "data",
            "web.default.svc.cluster.local:8000",
            "default/web:8000",
        ),
        (
            "data",
            "web.default.svc.cluster.local.:8000",
            "default/web:8000",
        ),
        (
            "data",
            "web:8000",
            "no service is called `web` / did you mean `web.default`?",
        ),
        (
            "data",
            "web.:8000",
            "no service is called `web` / did you mean `web.default`?",
        ),
        (
            "default",
            "wbe:8000",
            "no service is called `wbe` / did you mean `web`?",
        ),
        (
            "default",
            "web:80",
            "`web` has no port `80` / it has 8000 (http)",
        ),
        ("default", "two", "default/two:80"),
        ("default", "alias:8000", "default/web:8000"),
        (
            "default",
            "outside:80",
            "`outside` stands for `example.com`, which is no service of the cluster / what lies outside of clusters is not modelled in this release",
        ),
        ("data", "db-1.db:5432", "data/db:5432*"),
        ("default", "db-0.db.data:5432", "data/db:5432*"),
        (
            "default",
            "db-2.db.data:5432",
            "no service is called `db-2.db.data` / ",
        ),
    ];
    for (namespace, address, expected) in cases {
        assert_eq!(
            found.resolve(namespace, address),
            expected,
            "{address} in {namespace}"
        );
    }
}

#[test]
fn addresses_written_by_hand_are_machines() {
    let text = service("legacy", "{ports: [{name: db, port: 5432}]}")
        + "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: legacy-1, labels: {kubernetes.io/service-name: legacy}}\naddressType: IPv4\nports: [{name: db, port: 15432}]\nendpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}, {addresses: [10.0.0.3], conditions: {ready: false}}]\n"
        + &service("old", "{ports: [{port: 80}]}")
        + "---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: old}\nsubsets: [{addresses: [{ip: 10.0.0.9}], ports: [{port: 8080}]}]\n";
    let found = assembled(&[&text]);
    assert_eq!(found.told, [""; 0]);
    let machines: Vec<_> = found
        .cluster()
        .workloads
        .iter()
        .map(|workload| (workload.kind, workload.name.as_str(), workload.replicas))
        .collect();
    assert_eq!(
        machines,
        [
            (WorkloadKind::External, "legacy", 2),
            (WorkloadKind::External, "old", 1)
        ]
    );
    assert_eq!(found.service("legacy").ports[0].target_port, 15432);
    assert_eq!(found.service("old").ports[0].target_port, 8080);
}

fn backends() -> String {
    let port = "{selector: {app: web}, ports: [{port: 80, targetPort: http}]}";
    deployment("web", "app: web", 1)
        + &["a", "b", "c", "d"]
            .map(|name| service(name, port))
            .concat()
}

#[test]
fn ingresses_are_tried_in_their_order() {
    let text = backends()
        + "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\nspec:\n  defaultBackend: {service: {name: d, port: {number: 80}}}\n  rules:\n  - http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: c, port: {number: 80}}}}]}\n  - host: '*.example.com'\n    http: {paths: [{path: /x, pathType: Prefix, backend: {service: {name: b, port: {number: 80}}}}]}\n  - host: Shop.example.com\n    http:\n      paths:\n      - {path: /cart, pathType: Prefix, backend: {service: {name: a, port: {number: 80}}}}\n      - {path: /cart, pathType: Exact, backend: {service: {name: b, port: {number: 80}}}}\n      - {path: /cart/items/, pathType: ImplementationSpecific, backend: {service: {name: c, port: {number: 81}}}}\n";
    let found = assembled(&[&text]);
    assert_eq!(
        found.routes(),
        [
            "shop.example.com /cart/items/* -> nobodyx1",
            "shop.example.com =/cart -> b:80x1",
            "shop.example.com /cart/* -> a:80x1",
            "*.example.com /x/* -> b:80x1",
            " any -> c:80x1",
            " any -> d:80x1",
        ]
    );
    assert_eq!(
        found.told,
        ["HS0108 49:73 the service `c` has no port 81 / it has 80"]
    );
    let proxy = &found.cluster().proxies[0];
    let workload = &found.cluster().workloads[proxy.workload.index()];
    assert_eq!((workload.name.as_str(), workload.replicas), ("ingress", 2));
    assert!(
        found.assembly.origins[proxy.workload.index()].is_proxy
            && workload.template.behavior.asynchronous
    );
    assert_eq!(found.service("ingress").kind, ServiceKind::LoadBalancer);
    assert_eq!(found.assembly.assumptions.len(), 1);
}

#[test]
fn a_controller_among_the_manifests_is_the_proxy() {
    let controller = deployment(
        "nginx",
        "app.kubernetes.io/name: ingress-nginx, app.kubernetes.io/component: controller",
        3,
    ) + &service(
        "entry",
        "{type: LoadBalancer, selector: {app.kubernetes.io/name: ingress-nginx}, ports: [{port: 80, targetPort: http}]}",
    );
    let text = backends()
        + &controller
        + "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\nspec: {ingressClassName: nginx, defaultBackend: {service: {name: a, port: {number: 80}}}}\n---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: nginx}\nspec: {controller: k8s.io/ingress-nginx}\n";
    let found = assembled(&[&text]);
    assert_eq!(found.told, [""; 0]);
    let proxy = &found.cluster().proxies[0];
    assert_eq!(proxy.name, "nginx");
    assert_eq!(
        found.cluster().workloads[proxy.workload.index()].name,
        "nginx"
    );
    assert_eq!(
        found.cluster().services[proxy.service.index()].name,
        "entry"
    );
}

const GATEWAY: &str = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n  gatewayClassName: envoy\n  listeners:\n  - {name: open, port: 80, protocol: HTTP}\n  - {name: own, port: 443, protocol: HTTPS, hostname: '*.example.com'}\n";

fn route(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

#[test]
fn routes_of_gateways_are_tried_in_their_order() {
    let text = backends()
        + GATEWAY
        + &route(
            "z",
            "{parentRefs: [{name: g, sectionName: open}], rules: [{matches: [{path: {type: PathPrefix, value: /cart/}}, {path: {type: Exact, value: /cart}}, {method: POST}, {headers: [{name: User, value: x}, {name: Team, value: t}]}, {headers: [{name: User, value: x}]}], backendRefs: [{name: a, port: 80, weight: 9}, {name: b, port: 80}]}]}",
        )
        + &route(
            "b",
            "{parentRefs: [{name: g, sectionName: own}], hostnames: [shop.example.com, example.org], rules: [{backendRefs: [{name: c, port: 80}]}]}",
        )
        + &route(
            "a",
            "{parentRefs: [{name: g, sectionName: own}], rules: [{backendRefs: [{name: d, port: 80, weight: 0}], timeouts: {request: 0s, backendRequest: 2s}}]}",
        )
        + &route(
            "x",
            "{parentRefs: [{name: g, sectionName: open}], rules: [{matches: [{path: {value: /cart}}], backendRefs: [{name: d, port: 80}]}]}",
        );
    let found = assembled(&[&text]);
    assert_eq!(found.told, [""; 0]);
    assert_eq!(
        found.routes(),
        [
            "shop.example.com any -> c:80x1",
            "*.example.com any -> d:80x0",
            " =/cart -> a:80x9 b:80x1",
            " /cart/* -> d:80x1",
            " /cart/* -> a:80x9 b:80x1",
            " any POST -> a:80x9 b:80x1",
            " any team=t user=x -> a:80x9 b:80x1",
            " any user=x -> a:80x9 b:80x1",
        ]
    );
    let proxy = &found.cluster().proxies[0];
    assert_eq!(proxy.name, "default/g");
    assert_eq!(proxy.routes[1].timeout, Some(Duration::from_secs(2)));
    let ports: Vec<_> = found
        .service("g-envoy")
        .ports
        .iter()
        .map(|port| port.port)
        .collect();
    assert_eq!(ports, [80, 443]);
}

#[test]
fn routes_that_lead_nowhere_are_told() {
    let text = backends()
        + GATEWAY
        + &route(
            "a",
            "{parentRefs: [{name: gg}, {kind: Service, group: '', name: a}, {name: g, sectionName: own}], hostnames: [example.org], rules: [{backendRefs: [{name: aa, port: 80}, {name: a}]}]}",
        )
        + &route(
            "b",
            "{parentRefs: [{name: g, port: 80}], rules: [{backendRefs: [{name: x, kind: Bucket, group: x.io, port: 80}, {name: a, port: 80}]}, {matches: [{queryParams: [{name: a, value: b}]}]}]}",
        );
    let found = assembled(&[&text]);
    assert_eq!(
        found.told,
        [
            "HS0110 42:5 no route attaches to the listener `own` of `g`",
            "HS0109 47:21 there is no gateway `gg` in namespace `default`",
            "HS0109 47:70 no listener of the gateway `g` takes this route / compare `sectionName`, `port` and host names with those of its listeners",
            "HS0108 47:149 the backend `aa.default.svc.cluster.local` does not exist / requests that are sent there are answered with an error (500)",
            "HS0108 47:171 the backend names no port / istiod leaves the whole route out: give its `port`",
            "HS0108 52:66 the backend is no Service / requests that are sent there are answered with an error (500)",
            "HS0115 52:148 no request can meet this match: requests carry no query parameters",
        ]
    );
    assert_eq!(found.routes(), [" any -> nobodyx1 a:80x1"]);
}

#[test]
fn applied_routes_of_the_mesh_become_changes_and_are_taken_back() {
    let parents = |names: &[&str]| {
        let parents: Vec<_> = names
            .iter()
            .map(|name| format!("{{group: '', kind: Service, name: {name}}}"))
            .collect();
        let spec = format!(
            "{{parentRefs: [{}], rules: [{{backendRefs: [{{name: a, port: 80}}]}}]}}",
            parents.join(", ")
        );
        route("r", &spec)
    };
    let start = backends() + &parents(&["a", "b"]);
    let found = assembled(&[&start, &parents(&["b"]), &parents(&["b"])]);
    let Change::Istio(changed) = &found.assembly.changes[0][0] else {
        panic!("something is said to Istio");
    };
    let looks: Vec<_> = changed
        .iter()
        .map(|object| match object {
            Object::VirtualService(it) => (it.identity.name.as_str(), it.hosts.len()),
            other => panic!("a {}", other.kind()),
        })
        .collect();
    assert_eq!(
        looks,
        [
            ("r-0-istio-autogenerated-k8s-gateway", 1),
            ("r-1-istio-autogenerated-k8s-gateway", 0),
        ]
    );
    assert!(found.assembly.changes[1].is_empty());
}

#[test]
fn applied_manifests_become_changes() {
    let start = deployment("web-v1", "app: web, version: v1", 4)
        + &service(
            "web",
            "{selector: {app: web}, ports: [{port: 80, targetPort: http}]}",
        )
        + GATEWAY
        + &route(
            "r",
            "{parentRefs: [{name: g}], rules: [{backendRefs: [{name: web, port: 80}]}]}",
        );
    let canary = deployment("web-v2", "app: web, version: v2", 1);
    let rest = deployment("web-v1", "app: web, version: v1", 0)
        + &route("r", "{parentRefs: [{name: g}], rules: [{backendRefs: []}]}");
    let found = assembled(&[&start, &canary, &rest]);
    let replicas: Vec<_> = found
        .cluster()
        .workloads
        .iter()
        .map(|workload| (workload.name.as_str(), workload.replicas))
        .collect();
    assert_eq!(replicas, [("g-envoy", 2), ("web-v1", 4), ("web-v2", 0)]);
    assert_eq!(found.backends("web"), ["web-v1"]);
    let web = found
        .cluster()
        .services
        .iter()
        .position(|service| service.name == "web")
        .unwrap();
    assert_eq!(
        found.assembly.changes[0],
        [
            Change::Replicas(WorkloadId(2), 1),
            Change::Backends(ServiceId::from(web), vec![WorkloadId(1), WorkloadId(2)]),
        ]
    );
    assert_eq!(found.assembly.changes[1].len(), 2);
    assert_eq!(
        found.assembly.changes[1][0],
        Change::Replicas(WorkloadId(1), 0)
    );
    let Change::Routes(_, routes) = &found.assembly.changes[1][1] else {
        panic!("routes change")
    };
    assert_eq!(found.shown(routes), ["*.example.com any -> ", " any -> "]);
}

#[test]
fn nodes_of_the_manifests_replace_those_of_the_frame() {
    let node = |name: &str, zone: &str| {
        format!(
            "---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{topology.kubernetes.io/zone: {zone}}}}}\nspec: {{taints: [{{key: k, effect: NoSchedule}}]}}\nstatus: {{allocatable: {{cpu: 3920m, memory: 12Gi, pods: '58'}}, nodeInfo: {{}}}}\n"
        )
    };
    let text = node("n2", "z2")
        + &node("n1", "z1")
        + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {nodeName: n3, containers: [{name: c}]}\n";
    let found = assembled(&[&text]);
    assert_eq!(found.cluster().zones, ["z1", "z2"]);
    let nodes: Vec<_> = found
        .cluster()
        .nodes
        .iter()
        .map(|node| {
            (
                node.name.as_str(),
                node.zone.0,
                node.allocatable.cpu_milli,
                node.pods_max,
            )
        })
        .collect();
    assert_eq!(nodes, [("n1", 0, 3920, 58), ("n2", 1, 3920, 58)]);
    assert_eq!(
        found.told,
        ["HS0118 16:18 `p` is bound to the node `n3`, which does not exist"]
    );
}

#[test]
fn pods_of_a_controller_are_counted_with_it() {
    let text = deployment("web", "app: web", 1)
        + "---\napiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web-1, ownerReferences: [{kind: Deployment, name: web, controller: true}]}\nspec:\n  selector: {matchLabels: {app: web}}\n  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-1-x, ownerReferences: [{kind: ReplicaSet, name: web-1, controller: true}]}\nspec: {containers: [{name: c}]}\n";
    let found = assembled(&[&text]);
    assert_eq!(found.cluster().workloads.len(), 1);
    assert_eq!(found.told.len(), 2, "{:?}", found.told);
}

#[test]
fn patterns_of_ingresses_count_as_prefixes() {
    let path = |path: &str, kind: &str| {
        format!(
            "{{path: '{path}', pathType: {kind}, backend: {{service: {{name: a, port: {{number: 80}}}}}}}}"
        )
    };
    let paths = [
        path("/api(/|$)(.*)", "ImplementationSpecific"),
        path("/", "ImplementationSpecific"),
        path("x", "Prefix"),
    ];
    let text = backends()
        + &format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: i}}\nspec: {{rules: [{{http: {{paths: [{}]}}}}]}}\n",
            paths.join(", ")
        );
    let found = assembled(&[&text]);
    assert_eq!(found.routes()[0], " /api/* -> a:80x1");
    let told: Vec<_> = found
        .told
        .iter()
        .map(|told| told.split_once(' ').unwrap().0)
        .collect();
    assert_eq!(told, ["HS0115", "HS0013"]);
}

#[test]
fn what_grows_with_a_product_is_bounded() {
    let mut text = String::new();
    for number in 0..1_200 {
        text += &format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}, labels: {{app: web}}}}\nspec: {{containers: [{{name: c}}]}}\n"
        );
        text += &service(
            &format!("s{number}"),
            "{selector: {app: web}, ports: [{port: 80}]}",
        );
    }
    let found = assembled(&[&text]);
    assert!(
        found
            .told
            .iter()
            .any(|told| told.contains("services select more than")),
        "{:?}",
        &found.told[..3]
    );
    let found = assembled(&[&deployment("web", "app: web", 2_000_000)]);
    assert!(found.told[0].starts_with("HS0002"), "{:?}", found.told);
    let hosts = vec!["x.example.com"; 17].join(", ");
    let found = assembled(&[&(GATEWAY.to_owned()
        + &route(
            "r",
            &format!("{{hostnames: [{hosts}], parentRefs: [{{name: g}}], rules: [{{}}]}}"),
        ))]);
    assert_eq!(
        found.told,
        ["HS0014 14:19 `hostnames` holds 17 items; at most 16 are allowed"]
    );
}

#[test]
fn a_service_over_nothing_but_idle_workloads_is_told() {
    let text = deployment("web", "app: web", 0)
        + &service(
            "web",
            "{selector: {app: web}, ports: [{port: 80, targetPort: http}]}",
        );
    assert_eq!(
        assembled(&[&text]).told,
        ["HS0107 18:8 no workload behind `web` has a replica"]
    );
}
