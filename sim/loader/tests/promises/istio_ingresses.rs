//! Ingresses that istiod serves become what it makes of them.
//!
//! Names and the order of routes are those of istio/istio 86c9f01
//! pilot/pkg/config/kube/ingress/testdata.

use crate::collected::{gateways, routes};
use cloud::istio::config::{
    Gateway, GatewayName, HttpAction, ServerTlsMode, StringMatch, Target, UriMatch, VirtualService,
};
use cloud::istio::version::Version;
use hybridsim_loader::kubernetes::Objects;
use hybridsim_loader::{Code, Diagnostic};

fn read(text: &str) -> (Objects, Vec<Diagnostic>) {
    crate::collected::read(Version::default(), text)
}

fn codes(problems: &[Diagnostic]) -> Vec<Code> {
    problems.iter().map(|problem| problem.code).collect()
}

/// An Ingress of the namespace `shop`, served by istiod.
fn ingress(name: &str, spec: &str) -> String {
    format!(
        "---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}, namespace: shop, annotations: {{kubernetes.io/ingress.class: istio}}}}
spec: {{{spec}}}
"
    )
}

/// A path that leads to a port of the Service `web`.
fn path(written: &str, path_type: &str, port: u16) -> String {
    format!(
        "{{path: {written}, pathType: {path_type}, backend: {{service: {{name: web, port: {{number: {port}}}}}}}}}"
    )
}

fn rules(host: &str, paths: &[String]) -> String {
    format!(
        "rules: [{{host: \"{host}\", http: {{paths: [{}]}}}}]",
        paths.join(", ")
    )
}

/// What a route matches, and the port that it leads to.
fn shown(service: &VirtualService) -> Vec<(String, u16)> {
    let routes = service.http.iter().map(|route| {
        let what = match &route.matches[..] {
            [] => "all".to_owned(),
            [only] => match only.uri.as_ref().expect("a path") {
                UriMatch::Below(path) => format!("below {path}"),
                UriMatch::Text(StringMatch::Exact(path)) => format!("exactly {path}"),
                UriMatch::Text(StringMatch::Prefix(path)) => format!("from {path}"),
                other => panic!("{other:?}"),
            },
            more => panic!("{more:?}"),
        };
        let HttpAction::Forward(destinations) = &route.action else {
            panic!("{:?}", route.action);
        };
        let [only] = &destinations[..] else {
            panic!("one destination");
        };
        let Target::Host(to) = &only.target else {
            panic!("{:?}", only.target);
        };
        assert_eq!(to.host, "web.shop.svc.cluster.local");
        (what, to.port.expect("a port"))
    });
    routes.collect()
}

/// Names of Gateways that are there.
fn names(objects: &Objects) -> Vec<&str> {
    let all = gateways(objects).into_iter();
    all.map(|it| it.identity.name.as_str()).collect()
}

#[test]
fn the_longest_path_goes_first_and_an_exact_one_before_a_prefix() {
    let paths = [
        path("/path", "ImplementationSpecific", 4200),
        path("/sub/path", "ImplementationSpecific", 4201),
        path("/sub/path/", "ImplementationSpecific", 4202),
        path("/regex1.*", "ImplementationSpecific", 4203),
        path("/regex2*", "ImplementationSpecific", 4204),
        path("/regex3/*", "ImplementationSpecific", 4205),
        path("/sub/path", "Exact", 4206),
        path("/sub/path/", "Exact", 4207),
        path("/sub/path", "Prefix", 4208),
        path("/sub/path/", "Prefix", 4209),
        path("/*", "ImplementationSpecific", 4210),
        path("/", "Prefix", 4211),
    ];
    let (objects, problems) = read(&ingress("foo", &rules("foohost.bar.com", &paths)));
    assert_eq!(codes(&problems), []);
    let [service] = routes(&objects)[..] else {
        panic!("one VirtualService");
    };
    let found = shown(service);
    let found: Vec<_> = found
        .iter()
        .map(|(path, port)| (path.as_str(), *port))
        .collect();
    assert_eq!(
        found,
        [
            ("exactly /sub/path/", 4202),
            ("exactly /sub/path/", 4207),
            ("below /sub/path", 4209),
            ("exactly /sub/path", 4201),
            ("exactly /sub/path", 4206),
            ("below /sub/path", 4208),
            ("exactly /regex2*", 4204),
            ("below /regex1", 4203),
            ("below /regex3", 4205),
            ("exactly /path", 4200),
            ("from /", 4211),
            ("all", 4210),
        ]
    );
}

#[test]
fn ingresses_for_one_host_share_its_routes_at_the_gateway_of_the_oldest() {
    let of = |name: &str, path: &str| ingress(name, &rules("foohost.bar.com", &[path.to_owned()]));
    let text = [
        of("foo2", &path("/second", "ImplementationSpecific", 2)),
        of("foo", "{backend: {service: {name: web, port: {number: 1}}}, pathType: ImplementationSpecific}"),
    ]
    .concat();
    let (objects, problems) = read(&text);
    assert_eq!(codes(&problems), []);
    let [service] = routes(&objects)[..] else {
        panic!("one VirtualService");
    };
    assert_eq!(
        (
            service.identity.namespace.as_str(),
            service.identity.name.as_str()
        ),
        (
            "shop",
            "foohost-bar-com-foo-istio-autogenerated-k8s-ingress"
        )
    );
    let gateway = GatewayName::Object {
        namespace: "istio-system".to_owned(),
        name: "foo-istio-autogenerated-k8s-ingress-shop".to_owned(),
    };
    assert_eq!(service.gateways, [gateway]);
    let expected = [("exactly /second".to_owned(), 2), ("all".to_owned(), 1)];
    assert_eq!(shown(service), expected);
    assert_eq!(
        names(&objects),
        [
            "foo-istio-autogenerated-k8s-ingress-shop",
            "foo2-istio-autogenerated-k8s-ingress-shop"
        ]
    );
}

#[test]
fn sections_of_tls_are_servers_and_what_istiod_cannot_take_is_told() {
    let spec = "defaultBackend: {service: {name: web, port: {number: 80}}},
  tls: [{hosts: [a.corp], secretName: a}, {hosts: [b.corp]}, {secretName: c}],
  rules: [{host: none.corp}, {http: {paths: [
    {path: /file, pathType: Prefix, backend: {resource: {kind: Bucket, name: b}}},
    {path: /named, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}},
    {path: /lost, pathType: Prefix, backend: {service: {name: web, port: {name: https}}}},
    {path: /gone, pathType: Exact, backend: {service: {name: web, port: {number: 81}}}}]}}]";
    let service = "---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 8080}]}
";
    let (objects, problems) = read(&(ingress("foo", spec) + service));
    let left_out = codes(&problems)
        .iter()
        .filter(|it| **it == Code::IngressLeftOut)
        .count();
    // The default backend, the section without a Secret, the rule without paths, the Bucket and the
    // port without a name.
    assert_eq!(left_out, 5, "{problems:#?}");
    let missing = problems.iter().find(|it| it.code == Code::BackendNotFound);
    let missing = missing.expect("a port that is not there");
    assert_eq!(
        missing.message,
        "the service `web` has no port 81: requests get 503 (NC)"
    );
    let [gateway] = gateways(&objects)[..] else {
        panic!("one Gateway");
    };
    let servers: Vec<_> = gateway
        .servers
        .iter()
        .map(|it| {
            let mode = it.tls.as_ref().map(|tls| tls.mode);
            (
                it.port,
                it.port_name.as_str(),
                it.hosts[0].host.as_str(),
                mode,
            )
        })
        .collect();
    let simple = Some(ServerTlsMode::Simple);
    assert_eq!(
        servers,
        [
            (443, "https-443-ingress-foo-shop-0", "a.corp", simple),
            (443, "https-443-ingress-foo-shop-2", "*", simple),
            (80, "http-80-ingress-foo-shop", "*", None),
        ]
    );
    let [service] = routes(&objects)[..] else {
        panic!("one VirtualService");
    };
    assert_eq!(service.hosts, ["*"]);
    let expected = [
        ("below /named".to_owned(), 8080),
        ("exactly /gone".to_owned(), 81),
    ];
    assert_eq!(shown(service), expected);
}

/// Who takes which of six Ingresses in a mesh of this configuration: those of istiod, and those of
/// others.
fn taken(mesh: &str) -> (Vec<String>, Vec<String>, Vec<Code>) {
    let one = |name: &str, annotations: &str, class: &str| {
        format!(
            "---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}, namespace: shop{annotations}}}
spec: {{{class}{}}}
",
            rules("a.corp", &[path("/", "Prefix", 80)])
        )
    };
    let class = |name: &str, controller: &str| {
        format!(
            "---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: {name}}}
spec: {{controller: {controller}}}
"
        )
    };
    let text = [
        class("mesh", "istio.io/ingress-controller"),
        class("nginx", "k8s.io/ingress-nginx"),
        one(
            "by-annotation",
            ", annotations: {kubernetes.io/ingress.class: istio}",
            "",
        ),
        one("by-class", "", "ingressClassName: mesh, "),
        one("by-name", "", "ingressClassName: istio, "),
        one("nginx", "", "ingressClassName: nginx, "),
        one(
            "nginx-annotation",
            ", annotations: {kubernetes.io/ingress.class: nginx}",
            "",
        ),
        one("silent", "", ""),
        format!(
            "---
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data: {{mesh: '{mesh}'}}
"
        ),
    ]
    .concat();
    let (objects, problems) = read(&text);
    let istiods = names(&objects);
    let short = istiods
        .iter()
        .map(|name| name.replace("-istio-autogenerated-k8s-ingress-shop", ""));
    let others = objects.ingresses.iter().map(|it| it.metadata.name.clone());
    (short.collect(), others.collect(), codes(&problems))
}

#[test]
fn annotation_class_and_mode_say_which_ingresses_istiod_serves() {
    let (istiods, others, told) = taken("{}");
    assert_eq!(istiods, ["by-annotation", "by-class"]);
    assert_eq!(others, ["nginx", "nginx-annotation", "silent"]);
    assert_eq!(told, [Code::IngressClassNotFound]);
    let (istiods, others, told) = taken("ingressControllerMode: DEFAULT");
    assert_eq!(istiods, ["by-annotation", "by-class", "by-name", "silent"]);
    assert_eq!(others, ["nginx", "nginx-annotation"]);
    assert_eq!(told, []);
    let (istiods, others, told) = taken("ingressControllerMode: \"OFF\"");
    assert_eq!(istiods, [] as [&str; 0]);
    assert_eq!(others, ["nginx", "nginx-annotation", "silent"]);
    assert_eq!(
        told,
        [
            Code::IngressLeftOut,
            Code::IngressLeftOut,
            Code::IngressClassNotFound
        ]
    );
    let (istiods, ..) = taken("ingressClass: nginx");
    assert_eq!(istiods, ["by-class", "nginx-annotation"]);
}

#[test]
fn the_default_class_counts_where_none_is_asked_for() {
    let text = "apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: mesh, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}
spec: {controller: istio.io/ingress-controller}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: silent, namespace: shop}
spec: {rules: []}
";
    let (objects, _) = read(text);
    assert_eq!(
        names(&objects),
        ["silent-istio-autogenerated-k8s-ingress-shop"]
    );
}

#[test]
fn the_mesh_says_whose_pods_serve() {
    let of = |mesh: &str| {
        let mesh = format!(
            "---
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data: {{mesh: '{mesh}'}}
"
        );
        let (objects, _) = read(&(ingress("foo", "rules: []") + &mesh));
        let [Gateway { selector, .. }] = gateways(&objects)[..] else {
            panic!("one Gateway");
        };
        selector["istio"].clone()
    };
    assert_eq!(of("{}"), "ingressgateway");
    assert_eq!(of("ingressService: istio-ingressgateway"), "ingressgateway");
    assert_eq!(of("ingressService: edge"), "edge");
    assert_eq!(
        of("{ingressService: edge, ingressSelector: front}"),
        "front"
    );
}
