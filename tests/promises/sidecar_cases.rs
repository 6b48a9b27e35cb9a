//! What sidecars do in situations that Istio's own tests describe: who answers, or with which
//! failure.
//!
//! The situations and their outcomes follow istio/istio 86c9f01:
//! pilot/pkg/networking/core/sidecar_simulation_test.go (S), serviceentry_simulation_test.go (E).
//! Configuration and words are our own. A pod `client` asks what machines outside of the cluster
//! or pods serve; the one who served is told by the requests that arrived there.

use crate::support::{Manifests, Mesh, faultless};
use cloud::record::{Reason, WorkloadRecord};
use cloud::{Options, compile, simulate};
use engine::Seed;
use loader::Loaded;

/// Requests of each source of traffic.
const REQUESTS: u64 = 8;

fn pod(name: &str, namespace: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}, sidecar.istio.io/inject: \"true\"}}}}
    spec: {{containers: [{{name: main, image: i}}]}}
---
"
    )
}

/// A Service in front of pods of its name; `ports` as `name:number`.
fn service(name: &str, ports: &str, more: &str) -> String {
    let port = |(name, number): (&str, &str)| format!("{{name: {name}, port: {number}}}");
    let ports = ports.split(' ').filter_map(|it| it.split_once(':'));
    let ports: Vec<String> = ports.map(port).collect();
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{{more}selector: {{app: {name}}}, ports: [{ports}]}}
---
",
        ports = ports.join(", ")
    )
}

/// A host outside of the mesh, at one port.
fn entry(host: &str, port: u16, protocol: &str, addresses: &str) -> String {
    let said = match protocol {
        "" => String::new(),
        _ => format!(", protocol: {protocol}"),
    };
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}-{port}}}
spec: {{hosts: [{host}], addresses: [{addresses}], location: MESH_EXTERNAL, resolution: DNS, ports: [{{name: p, number: {port}{said}}}]}}
---
",
        name = host.replace('.', "-"),
    )
}

/// A rule of any kind.
fn rule(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "\napiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n"
    )
}

/// A scenario in which `client` asks each of the targets.
fn world(manifests: &str, unknown: &str, targets: &[&str]) -> Loaded {
    let traffic: Vec<String> = targets
        .iter()
        .map(|target| {
            format!("    - {{name: \"{target}\", from: client, to: \"http://{target}/\", arrivals: {{constant: 2/s}}, timeout: 1s}}\n")
        })
        .collect();
    let spec = format!(
        "  sites: [{{name: outside}}]
  machines:
    a: {{site: outside, address: 10.9.0.1, host: a.example, ports: [80, 81, 82, 83, 443], serviceTime: 1ms}}
    b: {{site: outside, address: 10.9.1.1, host: b.example, ports: [80, 81, 82, 83, 443], serviceTime: 1ms}}
  traffic:
{traffic}  run: {{duration: 4s, analysis: terminating, replications: 1}}
",
        traffic = traffic.concat()
    );
    let mode = rule(
        "Sidecar",
        "default",
        &format!("{{outboundTrafficPolicy: {{mode: {unknown}}}}}"),
    );
    let all = format!("{}{manifests}{mode}", pod("client", "default"));
    let mesh = Mesh {
        istio: "version: \"1.30\"",
        ..Mesh::default()
    };
    mesh.load(&spec, &Manifests(all))
}

/// Who answered all requests, or why none was answered.
fn outcome(manifests: &str, unknown: &str, target: &str) -> String {
    let scenario = faultless(world(manifests, unknown, &[target]));
    let record = simulate(&compile(&scenario), Seed::default(), &Options::default());
    let of = &record.traffic[0];
    let mut reasons = Reason::ALL.into_iter();
    if let Some(reason) = reasons.find(|it| of.failures[*it as usize] == REQUESTS) {
        return format!("{reason:?}");
    }
    assert_eq!(of.succeeded, REQUESTS, "not all fare alike at {target}");
    let name = |it: &WorkloadRecord| {
        let cluster = &scenario.clusters[it.cluster.index()];
        cluster.workloads[it.workload.index()].name.clone()
    };
    let mut answering = record.workloads.iter().filter(|it| it.arrived == REQUESTS);
    name(answering.next().expect("somebody answered"))
}

/// Asks each target in a world, and compares who answered or what failed.
fn all(manifests: &str, unknown: &str, expected: &[(&str, &str)]) {
    for (target, answer) in expected {
        let found = outcome(manifests, unknown, target);
        assert_eq!(&found, answer, "{target} with {unknown}\n{manifests}");
    }
}

const ONLY: &str = "REGISTRY_ONLY";
const ANY: &str = "ALLOW_ANY";

/// Hosts that nobody describes, at ports of a described one that has no address (S,
/// TestPassthroughTraffic).
#[test]
fn without_an_address_an_entry_takes_what_its_port_cannot_tell_apart() {
    let known = [
        entry("b.example", 80, "HTTP", ""),
        entry("b.example", 81, "", ""),
        entry("b.example", 82, "TCP", ""),
        entry("b.example", 83, "TLS", ""),
        entry("b.example", 443, "HTTPS", ""),
    ];
    for (manifests, port, blocked, passed) in [
        // Requests say whom they mean.
        (&known[0], 80, "Blocked", "a"),
        (&known[1], 81, "Blocked", "a"),
        // Nothing else does.
        (&known[2], 82, "b", "b"),
        // The name that a client of TLS asks for does, and here there is none.
        (&known[3], 83, "Reset", "a"),
        (&known[4], 443, "Reset", "a"),
    ] {
        let (a, b) = (format!("a.example:{port}"), format!("b.example:{port}"));
        all(manifests, ONLY, &[(&a, blocked), (&b, "b")]);
        all(manifests, ANY, &[(&a, passed), (&b, "b")]);
    }
}

/// The same with an address: nothing but requests is taken that goes elsewhere (S,
/// TestPassthroughTraffic).
#[test]
fn with_an_address_an_entry_takes_its_own() {
    for (protocol, blocked) in [
        ("HTTP", "Blocked"),
        ("", "Reset"),
        ("TCP", "Reset"),
        ("TLS", "Reset"),
    ] {
        let known = entry("b.example", 82, protocol, "1.2.3.4");
        let of = |answer| [("a.example:82", answer), ("b.example:82", "b")];
        all(&known, ONLY, &of(blocked));
        all(&known, ANY, &of("a"));
    }
}

/// Two entries at one port (E, TestServiceEntry; listener.go, mergeTCPFilterChains).
#[test]
fn entries_share_a_port_as_far_as_something_tells_them_apart() {
    let both = |protocols: [&str; 2], addresses: [&str; 2]| {
        let a = entry("a.example", 82, protocols[0], addresses[0]);
        a + &entry("b.example", 82, protocols[1], addresses[1])
    };
    let own = [("a.example:82", "a"), ("b.example:82", "b")];
    all(&both(["TLS", "TLS"], ["", ""]), ONLY, &own);
    all(&both(["HTTP", "TCP"], ["", ""]), ONLY, &own);
    all(
        &both(["TCP", "TCP"], ["1.1.1.1", "2.2.2.2, 1.1.1.1"]),
        ONLY,
        &own,
    );
    // Of two that nothing tells apart the first takes all.
    let first = [("a.example:82", "a"), ("b.example:82", "a")];
    all(&both(["TCP", "TCP"], ["", ""]), ONLY, &first);
}

/// Ranges of addresses: the narrower counts (E, TestServiceEntry).
#[test]
fn entries_may_stand_for_ranges() {
    let ranged = |host: &str, range: &str| {
        let said = entry(host, 82, "TCP", range);
        said.replace("resolution: DNS", "resolution: NONE")
    };
    let both = ranged("a.example", "10.9.0.0/16") + &ranged("b.example", "10.9.1.0/24");
    all(&both, ONLY, &[("a.example:82", "a"), ("b.example:82", "b")]);
}

/// `tls` routes hold for the names that clients ask for, and leave others to nobody (tls.go,
/// buildSidecarOutboundTLSFilterChainOpts).
#[test]
fn routes_of_tls_go_by_the_name_that_is_asked_for() {
    let known = entry("a.example", 443, "TLS", "1.1.1.1") + &entry("b.example", 443, "TLS", "");
    let routed = |hosts: &str, name: &str| {
        let spec = format!(
            "{{hosts: [{hosts}], tls: [{{match: [{{sniHosts: [{name}]}}], route: [{{destination: {{host: b.example}}}}]}}]}}"
        );
        format!("{known}{}", rule("VirtualService", "v", &spec))
    };
    let own = ("b.example:443", "b");
    all(&known, ONLY, &[("a.example:443", "a"), own]);
    let exact = routed("a.example", "a.example");
    all(&exact, ONLY, &[("a.example:443", "b"), own]);
    let wildcard = routed("\"*.example\"", "\"*.example\"");
    all(&wildcard, ONLY, &[("a.example:443", "b"), own]);
    let other = routed("a.example, c.example", "c.example");
    all(&other, ONLY, &[("a.example:443", "Reset"), own]);
    // What is not encrypted goes by `tcp` routes, whatever `tls` ones say.
    let plain = entry("a.example", 82, "TCP", "") + &entry("b.example", 82, "TCP", "3.3.3.3");
    let spec = "{hosts: [a.example], tls: [{match: [{sniHosts: [a.example]}], route: [{destination: {host: b.example}}]}]}";
    let plain = plain + &rule("VirtualService", "v", spec);
    all(&plain, ONLY, &[("a.example:82", "a")]);
}

/// A host that is no service is known where a service shares its port (S, TestSidecarRoutes,
/// "import only a unknown service route").
#[test]
fn hosts_of_routes_need_a_listener() {
    let spec =
        "{hosts: [a.example], http: [{route: [{destination: {host: web, port: {number: 80}}}]}]}";
    let route = rule("VirtualService", "v", spec);
    let web = pod("web", "default") + &service("web", "tcp:80", "");
    all(&(web + &route), ANY, &[("a.example:80", "a")]);
    let web = pod("web", "default") + &service("web", "http:80", "");
    all(&(web + &route), ANY, &[("a.example:80", "web")]);
    // At port 80 even if the other hosts of the VirtualService are elsewhere.
    let route = route.replace("[a.example]", "[a.example, api]");
    let web = pod("web", "default") + &service("web", "http:80", "");
    let api = pod("api", "default") + &service("api", "http:81", "");
    all(&(web + &api + &route), ANY, &[("a.example:80", "web")]);
}

/// Headless services whose ports are not HTTP are known by their pods, and take nothing else (S,
/// TestHeadlessServices, TestHeadlessServiceListenerShape).
#[test]
fn headless_services_take_what_goes_to_their_pods() {
    let db = pod("db", "default") + &service("db", "tcp:82 web:83", "clusterIP: None, ");
    let own = [("db:82", "db"), ("db:83", "db")];
    all(&db, ONLY, &own);
    all(
        &db,
        ONLY,
        &[("a.example:82", "Reset"), ("a.example:83", "Reset")],
    );
    all(&db, ANY, &[("a.example:82", "a"), ("a.example:83", "a")]);
    // Beside HTTP at the same port.
    let web = pod("web", "default") + &service("web", "http:82", "");
    all(&(db + &web), ONLY, &[("db:82", "db"), ("web:82", "web")]);
}

/// TLS of no mesh at ports of the mesh (S, TestInbound).
#[test]
fn a_port_of_http_takes_no_tls_of_others() {
    let web = pod("web", "default") + &service("web", "http:80 tcp:81 web:82", "");
    for (mode, http, others) in [
        ("DISABLE", "Unavailable", "web"),
        ("PERMISSIVE", "Unavailable", "web"),
        ("STRICT", "Unavailable", "Unavailable"),
    ] {
        let policy = rule(
            "PeerAuthentication",
            "p",
            &format!("{{mtls: {{mode: {mode}}}}}"),
        )
        .replace("networking", "security");
        let tls = rule(
            "DestinationRule",
            "web",
            "{host: web, trafficPolicy: {tls: {mode: SIMPLE}}}",
        );
        let manifests = format!("{web}{policy}{tls}");
        all(
            &manifests,
            ANY,
            &[("web:80", http), ("web:81", others), ("web:82", others)],
        );
    }
}

/// Egress listeners take what goes to where they stand, as what they say that it is.
#[test]
fn egress_listeners_stand_where_they_say() {
    let web = pod("web", "default") + &service("web", "http:80", "");
    for (said, web_gets, a_gets) in [
        (
            "port: {number: 80, protocol: HTTP, name: p}",
            "web",
            "Blocked",
        ),
        ("port: {number: 80, protocol: TCP, name: p}", "web", "Reset"),
        (
            "port: {number: 80, protocol: HTTP, name: p}, bind: 10.99.9.9",
            "Reset",
            "Reset",
        ),
        (
            "port: {number: 80, protocol: HTTP, name: p}, captureMode: NONE",
            "Reset",
            "Reset",
        ),
    ] {
        let sidecar = format!(
            "{ONLY}}}, egress: [{{{said}, hosts: ['./*']}}], workloadSelector: {{labels: {{app: client}}"
        );
        all(
            &web,
            &sidecar,
            &[("web:80", web_gets), ("a.example:80", a_gets)],
        );
    }
}

/// Egress listeners with a port trim services to it (pilot/pkg/model/sidecar.go,
/// serviceMatchingListenerPort), those that routes lead to as well.
#[test]
fn egress_listeners_know_services_by_their_port() {
    let services = [
        pod("web", "default") + &service("web", "http:80", ""),
        pod("api", "default") + &service("api", "http:80 http-admin:81", ""),
    ];
    let to = |port| {
        let spec = format!(
            "{{hosts: [web], http: [{{route: [{{destination: {{host: api, port: {{number: {port}}}}}}}]}}]}}"
        );
        services.concat() + &rule("VirtualService", "web", &spec)
    };
    let with = |egress: &str| {
        format!("{ONLY}}}, egress: [{egress}], workloadSelector: {{labels: {{app: client}}")
    };
    let of_port = with("{port: {number: 80, protocol: HTTP, name: p}, hosts: ['./*']}");
    let of_none = with("{hosts: ['./web.default.svc.cluster.local']}");
    for (egress, port, answer) in [
        (&of_port, 80, "api"),
        (&of_port, 81, "NoCluster"),
        // What a route leads to is known at its port, though nothing lets it in.
        (&of_none, 81, "api"),
    ] {
        all(&to(port), egress, &[("web:80", answer)]);
    }
}
