//! Situations at Istio's gateways: what is configured, what is asked, and who answers.
//!
//! The outcomes are those that Istio expects of itself, in istio/istio 86c9f01
//! pilot/pkg/networking/core/gateway_simulation_test.go, or follow from pilot/pkg/model/gateway.go
//! (mergeGateways) and pilot/pkg/networking/core/gateway.go of the same commit.

use crate::support::{Manifests, Mesh, faultless};
use cloud::record::Reason;
use cloud::scenario::TrafficTarget;
use cloud::{Options, compile, simulate};
use engine::Seed;
use loader::Code;

/// A request to the ingress gateway, as `port host path`, and what comes of it: who answers it, or
/// `404`, `refused`, `reset` or `redirect`.
type Asked<'a> = (&'a str, &'a str);

/// Services `a` and `b` of the namespace `default`, and `c` of `other`.
fn services() -> String {
    let service = |name: &str, namespace: &str| {
        format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: main, image: i}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
"
        )
    };
    [
        service("a", "default"),
        service("b", "default"),
        service("c", "other"),
    ]
    .concat()
}

/// A Gateway `namespace/name` with these servers.
fn gateway(name: &str, servers: &[String]) -> String {
    let (namespace, name) = name.split_once('/').expect("a namespace");
    let servers = servers.join(", ");
    format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{selector: {{istio: ingressgateway}}, servers: [{servers}]}}
---
"
    )
}

/// A server: its port, its protocol, its host and what it says of TLS.
fn server(port: u16, protocol: &str, host: &str, tls: &str) -> String {
    let called = protocol.to_lowercase();
    let tls = match tls {
        "" => String::new(),
        said => format!(", tls: {{{said}}}"),
    };
    format!(
        "{{port: {{number: {port}, name: {called}, protocol: {protocol}}}, hosts: [\"{host}\"]{tls}}}"
    )
}

/// A VirtualService `namespace/name` for a host at a Gateway.
fn routes(name: &str, host: &str, gateway: &str, said: &str) -> String {
    let (namespace, name) = name.split_once('/').expect("a namespace");
    format!(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{hosts: [\"{host}\"], gateways: [{gateway}], {said}}}
---
"
    )
}

/// A route of requests, below a prefix.
fn http(prefix: &str, to: &str) -> String {
    format!(
        "http: [{{match: [{{uri: {{prefix: {prefix}}}}}], route: [{{destination: {{host: {to}}}}}]}}]"
    )
}

/// A route of connections.
fn tcp(to: &str) -> String {
    format!("tcp: [{{route: [{{destination: {{host: {to}, port: {{number: 80}}}}}}]}}]")
}

/// A route of encrypted connections for a name.
fn tls(name: &str, more: &str, to: &str) -> String {
    format!(
        "tls: [{{match: [{{sniHosts: [\"{name}\"]{more}}}], route: [{{destination: {{host: {to}, port: {{number: 80}}}}}}]}}]"
    )
}

/// What comes of ten requests, which all fare alike.
fn outcome(manifests: &str, asked: &str) -> String {
    let [port, host, path] = asked.split(' ').collect::<Vec<_>>()[..] else {
        panic!("port, host and path: {asked}");
    };
    let spec = format!(
        "  users: [{{name: people, region: local}}]
  behavior:
    a: {{serviceTime: 1ms, workers: unlimited}}
    b: {{serviceTime: 1ms, workers: unlimited}}
    other/c: {{serviceTime: 1ms, workers: unlimited}}
  traffic:
    - {{name: people, from: people, to: \"http://istio-ingressgateway.istio-system:{port}{path}\", arrivals: {{constant: 10/s}}, timeout: 1s}}
  run: {{duration: 3s, analysis: terminating, replications: 1}}
"
    );
    let mesh = Mesh {
        istio: "version: \"1.30\", injectedNamespaces: [default, other]",
        ..Mesh::default()
    };
    let all = Manifests(format!("{}{manifests}", services()));
    let mut scenario = faultless(mesh.load(&spec, &all));
    scenario.traffic[0].attributes.host = host.to_owned();
    let record = simulate(&compile(&scenario), Seed::default(), &Options::default());
    let traffic = &record.traffic[0];
    let failed = |reason: Reason| traffic.failures[reason as usize];
    let total = traffic.succeeded + traffic.failures.iter().sum::<u64>();
    assert!((29..=30).contains(&total), "{asked}: {total}");
    let workloads = scenario.clusters[0].workloads.iter();
    let mut served = workloads
        .zip(&record.workloads)
        .filter(|(workload, found)| workload.name != "istio-ingressgateway" && found.finished > 0);
    let found = match served.next() {
        Some((workload, _)) => &workload.name,
        None if traffic.succeeded == total => "redirect",
        None if failed(Reason::NoRoute) == total => "404",
        None if failed(Reason::Refused) == total => "refused",
        None if failed(Reason::Reset) == total => "reset",
        None => panic!("{asked}: {:?}", traffic.failures),
    };
    assert!(served.next().is_none(), "{asked}: one alone answers");
    found.to_owned()
}

fn check(what: &str, manifests: &[String], asked: &[Asked<'_>]) {
    let manifests = manifests.concat();
    for (request, expected) in asked {
        let found = outcome(&manifests, request);
        assert_eq!(found, *expected, "{what}: {request}\n{manifests}");
    }
}

const ENDS_TLS: &str = "mode: SIMPLE, credentialName: test";
const PASSES_ON: &str = "mode: PASSTHROUGH";
const EDGE: &str = "default/edge";

#[test]
fn servers_for_http_take_what_some_route_takes() {
    // TestHTTPGateway
    let plain = gateway(EDGE, &[server(80, "HTTP", "foo.bar", "")]);
    let bound = routes("default/all", "*", "edge", &http("/page", "a"));
    check(
        "no virtual services",
        std::slice::from_ref(&plain),
        &[("80 foo.bar /", "404"), ("443 foo.bar /", "refused")],
    );
    check(
        "a route for every host at a server for one",
        &[plain, bound],
        &[
            ("80 foo.bar /", "404"),
            ("80 bad.bar /page", "404"),
            ("80 foo.bar /page", "a"),
        ],
    );
    let wide = gateway(EDGE, &[server(80, "HTTP", "*.example.com", "")]);
    let first = routes("default/a", "a.example.com", "edge", &http("/", "a"));
    let second = routes("default/b", "b.example.com", "edge", &http("/", "b"));
    check(
        "hosts of their own",
        &[wide, first, second],
        &[
            ("80 a.example.com /", "a"),
            ("80 b.example.com /", "b"),
            ("80 c.example.com /", "404"),
        ],
    );
}

#[test]
fn plain_requests_are_redirected_and_others_are_not() {
    // TestHTTPGateway, "httpsRedirect ..."
    let redirecting = gateway(EDGE, &[server(80, "HTTP", "x.com", "httpsRedirect: true")]);
    let route = routes("default/a", "x.com", "edge", &http("/", "a"));
    let asked = &[("80 x.com /", "redirect")];
    check("without routes", std::slice::from_ref(&redirecting), asked);
    check("with routes", &[redirecting.clone(), route.clone()], asked);
    let beside = gateway("default/second", &[server(80, "HTTP", "x.com", "")]);
    check(
        "beside a server that does not",
        &[redirecting, beside, route.clone()],
        asked,
    );
    let tls = format!("httpsRedirect: true, {ENDS_TLS}");
    let over_tls = gateway(EDGE, &[server(443, "HTTPS", "x.com", &tls)]);
    check("over TLS", &[over_tls, route], &[("443 x.com /", "a")]);
}

#[test]
fn the_older_gateway_says_what_a_port_carries() {
    // TestGatewayConflicts; of equal age the one whose name comes first is the older.
    let tcp_server = [server(80, "TCP", "foo.bar", "")];
    let http_server = [server(80, "HTTP", "foo.bar", "")];
    let by_tcp = routes(
        "istio-system/a",
        "*",
        "gateway",
        &tcp("a.default.svc.cluster.local"),
    );
    let of_system = gateway("istio-system/gateway", &tcp_server);
    check(
        "two for TCP, the other first",
        &[
            of_system.clone(),
            gateway("alpha/gateway", &tcp_server),
            by_tcp.clone(),
        ],
        &[("80 foo.bar /", "refused")],
    );
    check(
        "two for TCP, the other last",
        &[of_system, gateway("zeta/gateway", &tcp_server), by_tcp],
        &[("80 foo.bar /", "a")],
    );
    let route = routes("default/a", "foo.bar", "alpha, beta", &http("/", "a"));
    check(
        "TCP before HTTP",
        &[
            gateway("default/alpha", &tcp_server),
            gateway("default/beta", &http_server),
            route.clone(),
        ],
        &[("80 foo.bar /", "refused")],
    );
    check(
        "HTTP before TCP",
        &[
            gateway("default/alpha", &http_server),
            gateway("default/beta", &tcp_server),
            route,
        ],
        &[("80 foo.bar /", "a")],
    );
}

#[test]
fn namespaces_of_hosts_tell_gateways_apart() {
    // TestGatewayConflicts, "multiple wildcards with virtual service disambiguator"
    let first = gateway(
        "default/alpha",
        &[server(80, "HTTP", "default/*.x.com", "")],
    );
    let second = gateway("default/beta", &[server(80, "HTTP", "other/*.x.com", "")]);
    let own = routes("default/own", "a.x.com", "default/alpha", &http("/", "a"));
    let other = routes("other/own", "c.x.com", "default/beta", &http("/", "c"));
    let strange = routes(
        "other/strange",
        "no.x.com",
        "default/alpha",
        &http("/", "c"),
    );
    check(
        "namespaces",
        &[first, second, own, other, strange],
        &[
            ("80 a.x.com /", "a"),
            ("80 c.x.com /", "c"),
            ("80 no.x.com /", "404"),
        ],
    );
}

#[test]
fn connections_take_the_first_route_that_is_meant() {
    // buildGatewayNetworkFiltersFromTCPRoutes, buildGatewayNetworkFiltersFromTLSRoutes
    let ended = gateway(EDGE, &[server(443, "TLS", "x.com", ENDS_TLS)]);
    let by_name = routes("default/named", "x.com", "edge", &tls("x.com", "", "a"));
    check(
        "routes of TLS where TLS ends",
        &[ended.clone(), by_name.clone()],
        &[("443 x.com /", "refused")],
    );
    let plain = routes("default/plain", "x.com", "edge", &tcp("b"));
    check(
        "routes of TCP where TLS ends",
        &[ended, by_name.clone(), plain.clone()],
        &[("443 x.com /", "b")],
    );
    let passed = gateway(EDGE, &[server(443, "TLS", "x.com", PASSES_ON)]);
    check(
        "routes of TCP where TLS is passed on",
        &[passed.clone(), plain],
        &[("443 x.com /", "refused")],
    );
    // TestGatewayConflicts, "duplicate tls virtual service"
    let again = routes("default/other", "x.com", "edge", &tls("x.com", "", "b"));
    check(
        "a name twice",
        &[passed.clone(), by_name, again],
        &[("443 x.com /", "a")],
    );
    let more = ", sourceLabels: {app: nobody}, destinationSubnets: [10.0.0.0/8]";
    let asks = routes("default/asks", "x.com", "edge", &tls("x.com", more, "a"));
    check(
        "gateways do not ask for labels and addresses",
        &[passed.clone(), asks],
        &[("443 x.com /", "a")],
    );
    let elsewhere = routes(
        "default/port",
        "x.com",
        "edge",
        &tls("x.com", ", port: 80", "a"),
    );
    check(
        "another port",
        &[passed, elsewhere],
        &[("443 x.com /", "refused")],
    );
}

#[test]
fn the_narrowest_name_of_a_port_takes_a_connection() {
    let both = gateway(
        EDGE,
        &[
            server(443, "TLS", "*.x.com", PASSES_ON),
            server(443, "HTTPS", "*", ENDS_TLS),
        ],
    );
    let passed = tls("*.x.com", "", "b");
    let wide = routes("default/wide", "*.x.com", "edge", &passed);
    let narrow = routes(
        "default/www",
        "www.x.com",
        "edge",
        &tls("www.x.com", "", "a"),
    );
    let rest = routes("other/rest", "*", "default/edge", &http("/", "c"));
    check(
        "narrow, wide, and all others",
        &[both.clone(), wide, narrow.clone(), rest.clone()],
        &[
            ("443 www.x.com /", "a"),
            ("443 api.x.com /", "b"),
            ("443 y.com /", "c"),
        ],
    );
    check(
        "a name that nothing passes on falls to the other server",
        &[both, narrow, rest],
        &[("443 www.x.com /", "a"), ("443 api.x.com /", "c")],
    );
    let of_mesh = server(443, "HTTPS", "in.x.com", "mode: ISTIO_MUTUAL");
    let inner = gateway("default/an-older", &[of_mesh]);
    let outer = gateway(EDGE, &[server(443, "HTTPS", "x.com", ENDS_TLS)]);
    let all = routes("default/all", "*", "edge", &http("/", "a"));
    check(
        "users have no certificate of the mesh",
        &[inner, outer, all],
        &[("443 in.x.com /", "refused"), ("443 x.com /", "a")],
    );
}

#[test]
fn a_host_of_tls_is_taken_once_at_a_port() {
    // mergeGateways, CheckDuplicates: the whole server is left out.
    let first = gateway("default/alpha", &[server(443, "HTTPS", "x.com", ENDS_TLS)]);
    let second = gateway("default/beta", &[server(443, "HTTPS", "x.com", ENDS_TLS)]);
    let late = routes("default/late", "x.com", "beta", &http("/", "b"));
    let early = routes("default/early", "x.com", "alpha", &http("/", "a"));
    check(
        "routes of the younger alone",
        &[first.clone(), second.clone(), late.clone()],
        &[("443 x.com /", "404")],
    );
    check(
        "routes of both",
        &[first, second, late, early],
        &[("443 x.com /", "a")],
    );
}

/// An Ingress `name` of the namespace `default` that istiod serves.
fn ingress(name: &str, spec: &str) -> String {
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}, annotations: {{kubernetes.io/ingress.class: istio}}}}
spec: {{{spec}}}
---
"
    )
}

/// A rule for a host, of paths with their types and services.
fn rule(host: &str, paths: &[(&str, &str, &str)]) -> String {
    let paths = paths.iter().map(|(path, path_type, to)| {
        format!(
            "{{path: {path}, pathType: {path_type}, backend: {{service: {{name: {to}, port: {{name: http}}}}}}}}"
        )
    });
    let paths = paths.collect::<Vec<_>>().join(", ");
    format!("{{host: \"{host}\", http: {{paths: [{paths}]}}}}")
}

#[test]
fn ingresses_are_routes_at_the_gateway() {
    // pilot/pkg/config/kube/ingress; elements of paths as in TranslateRouteMatch.
    let paths = [
        ("/", "Prefix", "a"),
        ("/shop/", "Prefix", "b"),
        ("/shop/a", "Exact", "a"),
        ("/any/*", "ImplementationSpecific", "b"),
        ("/one", "ImplementationSpecific", "b"),
    ];
    let spec = format!("rules: [{}]", rule("x.com", &paths));
    check(
        "paths and their types",
        &[ingress("edge", &spec)],
        &[
            ("80 x.com /", "a"),
            ("80 x.com /shop", "b"),
            ("80 x.com /shop/b", "b"),
            ("80 x.com /shops", "a"),
            ("80 x.com /shop/a", "a"),
            ("80 x.com /any/thing", "b"),
            ("80 x.com /one", "b"),
            ("80 x.com /one/more", "a"),
            ("80 y.com /", "404"),
            ("443 x.com /", "refused"),
        ],
    );
    let wide = format!(
        "defaultBackend: {{service: {{name: a, port: {{number: 80}}}}}}, rules: [{}]",
        rule("*.x.com", &[("/shop", "Prefix", "a")])
    );
    check(
        "wide hosts take names of any length, and nobody the default backend",
        &[ingress("edge", &wide)],
        &[
            ("80 a.x.com /shop", "a"),
            ("80 a.b.x.com /shop", "a"),
            ("80 a.x.com /", "404"),
            ("80 y.com /", "404"),
        ],
    );
    let of = |to: &str, tls: &str| {
        let rule = rule("x.com", &[(&format!("/{to}"), "Prefix", to)]);
        format!("{tls}rules: [{rule}]")
    };
    let tls = "tls: [{hosts: [x.com], secretName: x}], ";
    check(
        "of two for one host the gateway of the first has the routes of both",
        &[
            ingress("alpha", &of("a", tls)),
            ingress("beta", &of("b", "")),
        ],
        &[
            ("80 x.com /a", "a"),
            ("80 x.com /b", "b"),
            ("443 x.com /b", "b"),
        ],
    );
    check(
        "and the servers of the second have none",
        &[
            ingress("alpha", &of("a", "")),
            ingress("beta", &of("b", tls)),
        ],
        &[
            ("80 x.com /b", "b"),
            ("443 x.com /a", "404"),
            ("443 x.com /b", "404"),
        ],
    );
    let own = routes("default/own", "x.com", "default/edge", &http("/a", "b"));
    check(
        "beside a Gateway of Istio's own",
        &[
            gateway(EDGE, &[server(80, "HTTP", "*", "")]),
            own,
            ingress("alpha", &of("a", "")),
        ],
        &[("80 x.com /a", "a")],
    );
}

#[test]
fn users_ask_a_gateway_by_the_hosts_of_its_routes() {
    let spec = "  users: [{name: people, region: local}]
  traffic:
    - {name: people, from: people, to: \"http://shop.x.com/a\", arrivals: {constant: 10/s}, timeout: 1s}
  run: {duration: 1s, analysis: terminating, replications: 1}
";
    let mesh = Mesh {
        istio: "version: \"1.30\", injectedNamespaces: [default, other]",
        ..Mesh::default()
    };
    let paths = rule("*.x.com", &[("/a", "Prefix", "a")]);
    let edge = ingress("edge", &format!("rules: [{paths}]"));
    let scenario = faultless(mesh.load(spec, &Manifests(services() + &edge)));
    let traffic = &scenario.traffic[0];
    let TrafficTarget::Service {
        cluster,
        service,
        port,
    } = traffic.target
    else {
        panic!("{:?}", traffic.target);
    };
    let asked = &scenario.clusters[cluster.index()].services[service.index()];
    assert_eq!(asked.name, "istio-ingressgateway");
    assert_eq!(asked.ports[port as usize].port, 80);
    assert_eq!(traffic.attributes.host, "shop.x.com");
    let record = simulate(&compile(&scenario), Seed::default(), &Options::default());
    assert_eq!(record.traffic[0].failures.iter().sum::<u64>(), 0);
    let elsewhere = spec.replace("shop.x.com", "y.com");
    let loaded = mesh.load(&elsewhere, &Manifests(services() + &edge));
    let mut told = loaded.diagnostics.iter();
    assert!(told.any(|it| it.code == Code::HostNotServed));
}
