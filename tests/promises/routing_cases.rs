//! Requests that take routes, in situations that Istio's own tests describe.
//!
//! The outcomes are those that istio/istio 86c9f01 expects in
//! tests/integration/pilot/common/routing.go; its functions are named where they are followed.
//! Configuration and words are our own.

use crate::cases::{Ask, NAKED, World, object, served, service, token, workload};

const SERVICE: &str = "networking/VirtualService";
const GATEWAY: &str = "networking/Gateway";
const PEERS: &str = "security/PeerAuthentication";

/// `client` beside `web`, with routes of `web`.
fn routed(routes: &str) -> World {
    let spec = format!("{{hosts: [web], http: [{routes}]}}");
    let client = workload("client", "", "");
    World::new(client + &served("web", "http:80") + &object(SERVICE, "web", &spec))
}

fn asked() -> Ask<'static> {
    Ask::new("client", "web:80")
}

const TO_WEB: &str = "route: [{destination: {host: web}}]";

#[test]
fn redirects_and_answers_of_proxies() {
    let world = routed(&format!(
        "{{match: [{{uri: {{exact: /foo}}}}], redirect: {{uri: /new/path}}}}, {{match: [{{uri: {{exact: /new/path}}}}], {TO_WEB}}}"
    ));
    world.check(&[
        (asked().path("/foo?key=value"), "answer"),
        (asked().path("/new/path?key=value"), "web"),
        (asked().path("/other"), "404 NR"),
    ]);
}

#[test]
fn headers_are_matched_by_whatever_they_are_called() {
    let of = |name: &str, value: &str| {
        routed(&format!(
            "{{match: [{{headers: {{{name}: {{exact: {value}}}}}}}], {TO_WEB}}}"
        ))
    };
    let absurd = "a!#$%&'*+-.^_`|~z";
    of(&format!("\"{absurd}\""), "why").check(&[
        (asked(), "404 NR"),
        (asked().headers(&[(absurd, "why")]), "web"),
    ]);
    of("\":method\"", "GET").check(&[
        (asked().method("POST"), "404 NR"),
        (asked().method("GET"), "web"),
    ]);
    of("\":authority\"", "web").check(&[(asked(), "web"), (asked().host("web:80"), "404 NR")]);
    of("\":path\"", "/a?b=c").check(&[
        (asked().path("/a"), "404 NR"),
        (asked().path("/a?b=c"), "web"),
    ]);
    of("\":scheme\"", "http").check(&[(asked(), "web")]);
}

#[test]
fn headers_that_must_not_be_there() {
    let of = |test: &str| {
        routed(&format!(
            "{{match: [{{withoutHeaders: {{end-user: {test}}}}}], {TO_WEB}, fault: {{abort: {{percentage: {{value: 100}}, httpStatus: 403}}}}}}, {{{TO_WEB}}}"
        ))
    };
    let somebody = asked().headers(&[("end-user", "jason")]);
    let other = asked().headers(&[("end-user", "other")]);
    let empty = asked().headers(&[("end-user", "")]);
    let refused = "403 FI";
    of("{exact: jason}").check(&[
        (somebody.clone(), "web"),
        (other, refused),
        (asked(), refused),
    ]);
    of("{regex: \"*\"}").check(&[
        (somebody.clone(), "web"),
        (empty.clone(), "web"),
        (asked(), refused),
    ]);
    // One that is not there counts as empty, and so matches.
    of("{regex: \".*\"}").check(&[(somebody.clone(), "web"), (empty, "web"), (asked(), "web")]);
    of("{prefix: \"\"}").check(&[(somebody.clone(), "web"), (asked(), "web")]);
    of("{}").check(&[(somebody, "web"), (asked(), refused)]);
    // Until 1.21 such a match took nothing without the header.
    let old = World {
        istio: "version: \"1.21\", injectedNamespaces: [default]".to_owned(),
        ..of("{exact: jason}")
    };
    old.check(&[(asked(), "web")]);
}

#[test]
fn faults_end_requests_before_they_are_sent() {
    let fault = |said: &str, matched: &str| {
        routed(&format!(
            "{{{matched}{TO_WEB}, fault: {{abort: {{percentage: {{value: 100}}, {said}}}}}}}, {{{TO_WEB}}}"
        ))
    };
    fault("httpStatus: 418", "").check(&[(asked(), "418 FI")]);
    fault("grpcStatus: UNAVAILABLE", "").check(&[(asked(), "503 FI")]);
    fault("httpStatus: 418", "match: [{uri: {regex: \".*\"}}], ").check(&[(asked(), "418 FI")]);
}

#[test]
fn rewritten_requests_arrive_rewritten() {
    // What arrives is told by a policy that lets nothing else in.
    let policy = |what: &str| {
        object(
            "security/AuthorizationPolicy",
            "web",
            &format!("{{selector: {{matchLabels: {{app: web}}}}, rules: [{{{what}}}]}}"),
        )
    };
    let check = |route: &str, path: &'static str, arrives: &str| {
        let client = workload("client", "", "");
        let spec = format!("{{hosts: [web], http: [{route}]}}");
        let all = client + &served("web", "http:80") + &object(SERVICE, "web", &spec);
        let world = World::new(all.clone() + &policy(arrives));
        world.check(&[(asked().path(path), "web")]);
    };
    let host = |said: &str| format!("to: [{{operation: {{hosts: [\"{said}\"]}}}}]");
    let path = |said: &str| format!("to: [{{operation: {{paths: [\"{said}\"]}}}}]");
    let header = |name: &str, value: &str| {
        format!("when: [{{key: \"request.headers[{name}]\", values: [\"{value}\"]}}]")
    };
    let with = |headers: &str| format!("{{{TO_WEB}, headers: {{request: {{{headers}}}}}}}");
    check(&with("add: {custom: a}"), "/", &header("custom", "a"));
    check(&with("set: {x-custom: a}"), "/", &header("x-custom", "a"));
    check(&with("set: {\":authority\": mine}"), "/", &host("mine"));
    let of_one = |name: &str| {
        format!(
            "{{destination: {{host: web}}, weight: 50, headers: {{request: {{set: {{{name}: mine}}}}}}}}"
        )
    };
    check(
        &format!("{{route: [{}]}}", of_one("Host")),
        "/",
        &host("mine"),
    );
    check(
        &format!("{{route: [{}]}}", of_one("\":authority\"")),
        "/",
        &host("mine"),
    );
    check(
        &format!("{{route: [{0}, {0}]}}", of_one("Host")),
        "/",
        &host("mine"),
    );
    check(
        &format!(
            "{{route: [{}], headers: {{request: {{set: {{\":authority\": ours}}}}}}}}",
            of_one("Host")
        ),
        "/",
        &host("ours"),
    );
    check(
        &format!(
            "{{route: [{}, {{destination: {{host: web}}, weight: 50}}], headers: {{request: {{set: {{\":authority\": ours}}}}}}}}",
            of_one("Host")
        ),
        "/",
        &host("ours"),
    );
    check(
        &format!("{{match: [{{uri: {{exact: /foo}}}}], rewrite: {{uri: /new/path}}, {TO_WEB}}}"),
        "/foo?key=value",
        &path("/new/path"),
    );
    check(
        &format!("{{rewrite: {{authority: new}}, {TO_WEB}}}"),
        "/",
        &host("new"),
    );
}

#[test]
fn several_services_may_stand_before_the_same_pods() {
    let again = |name: &str, port: u16, target: u16| {
        format!(
            "
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: web}}, ports: [{{name: http, port: {port}, targetPort: {target}}}]}}
---
"
        )
    };
    let all = workload("client", "", "") + &served("web", "http:80");
    let world = World::new(
        [
            all,
            again("one", 80, 1080),
            again("two", 80, 9000),
            again("three", 12345, 1080),
            again("four", 12346, 9001),
        ]
        .concat(),
    );
    world.check(&[
        (asked(), "web"),
        (Ask::new("client", "one:80"), "web"),
        (Ask::new("client", "two:80"), "web"),
        (Ask::new("client", "three:12345"), "web"),
        (Ask::new("client", "four:12346"), "web"),
    ]);
}

#[test]
fn names_that_stand_for_others() {
    // externalNameCases: mutual TLS shows that nobody is asked past the proxies.
    let alias = |name: &str, ports: &str| {
        format!(
            "
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{type: ExternalName, externalName: web.default.svc.cluster.local{ports}}}
---
"
        )
    };
    let ports = ", ports: [{name: http, port: 80, targetPort: 1080}]";
    let strict = object(PEERS, "strict", "{mtls: {mode: STRICT}}");
    let world = World::new(
        [
            workload("client", "", ""),
            served("web", "http:80 auto:81 tcp:82"),
            alias("bare", ""),
            alias("ported", ports),
            strict,
        ]
        .concat(),
    );
    world.check(&[
        (Ask::new("client", "bare:80"), "web"),
        (Ask::new("client", "bare:81"), "web"),
        (Ask::new("client", "bare:82"), "web"),
        (
            Ask::new("client", "ported.default.svc.cluster.local:80"),
            "web",
        ),
    ]);
}

#[test]
fn namespaces_that_nobody_looks_at_are_outside() {
    // pkg/kube/namespace/filter.go
    let labelled = "
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {mesh: joined}}
---
";
    let answer =
        "{hosts: [web.default.svc.cluster.local], http: [{directResponse: {status: 200}}]}";
    let check = |minor: u32, said: &str, expected: [&str; 2]| {
        let installation = format!(
            "
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {{name: installed, namespace: istio-system}}
spec: {{meshConfig: {{{said}}}}}
---
"
        );
        let mut world = World::new(
            [
                installation,
                labelled.to_owned(),
                workload("client", "", ""),
                served("web", "http:80"),
                served("other/far", "http:80"),
                object(SERVICE, "other/web", answer),
            ]
            .concat(),
        );
        world.istio = format!("version: \"1.{minor}\", injectedNamespaces: [default]");
        let far = Ask::new("client", "far.other:80");
        world.check(&[(asked(), expected[0]), (far, expected[1])]);
    };
    let only = "outboundTrafficPolicy: {mode: REGISTRY_ONLY}";
    let by_label = "discoverySelectors: [{matchLabels: {mesh: joined}}]";
    let by_name = "discoverySelectors: [{matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [default]}]}]";
    check(30, only, ["answer", "far"]);
    check(30, by_label, ["web", "far"]);
    check(30, &format!("{by_label}, {only}"), ["web", "502"]);
    check(30, &format!("{by_name}, {only}"), ["web", "502"]);
    // Objects were read everywhere.
    check(21, &format!("{by_label}, {only}"), ["answer", "502"]);
}

#[test]
fn routes_lead_to_what_names_stand_for() {
    // route.go (GetDestinationCluster)
    let alias = |name: &str, target: &str, ports: &str| {
        format!(
            "
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{type: ExternalName, externalName: {target}{ports}}}
---
"
        )
    };
    let mut world = World::new(
        [
            workload("client", "", ""),
            served("web", "http:80"),
            served("legacy", "http:81"),
            alias("standing", "legacy.default.svc.cluster.local", ", ports: [{name: http, port: 81}]"),
            alias("bare", "legacy.default.svc.cluster.local", ""),
            alias("twice", "standing.default.svc.cluster.local", ", ports: [{name: http, port: 81}]"),
            alias("nowhere", "gone.default.svc.cluster.local", ""),
            object(SERVICE, "web", "{hosts: [web], http: [
              {match: [{uri: {prefix: /only-port}}], route: [{destination: {host: standing}}]},
              {match: [{uri: {prefix: /port}}], route: [{destination: {host: bare, port: {number: 81}}}]},
              {match: [{uri: {prefix: /twice}}], route: [{destination: {host: twice}}]},
              {match: [{uri: {prefix: /nowhere}}], route: [{destination: {host: nowhere}}]},
              {route: [{destination: {host: web}}]}]}"),
        ]
        .concat(),
    );
    world.check(&[
        (asked(), "web"),
        (asked().path("/only-port"), "legacy"),
        (asked().path("/port"), "legacy"),
        (asked().path("/twice"), "503 NC"),
        (asked().path("/nowhere"), "503 NC"),
    ]);
    // Before 1.21 only who opts in.
    world.istio = "version: \"1.20\", injectedNamespaces: [default]".to_owned();
    world.check(&[(asked().path("/only-port"), "503 NC")]);
    world.manifests += "
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: installed, namespace: istio-system}
spec: {values: {pilot: {env: {ENABLE_EXTERNAL_NAME_ALIAS: \"true\"}}}}
---
";
    world.check(&[(asked().path("/only-port"), "legacy")]);
}

#[test]
fn hosts_are_told_apart_with_and_without_ports() {
    let edge = "{selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*.example.com\"]}]}";
    let route = "{hosts: [\"*.example.com\"], gateways: [edge], http: [{route: [{destination: {host: web, port: {number: 80}}}]}]}";
    let world = World::new(
        [
            served("web", "http:80"),
            object(GATEWAY, "edge", edge),
            object(SERVICE, "web", route),
        ]
        .concat(),
    );
    let people = || Ask::new("people", "istio-ingressgateway.istio-system:80");
    world.check(&[
        (people().host("foo.example.com"), "web"),
        (people().host("foo.example.com:80"), "web"),
        (people().host("foo.example.com:12345"), "web"),
        (people().host("foo.bar"), "404 NR"),
    ]);
}

#[test]
fn hosts_of_headless_services() {
    let db = workload("db", "", "") + &service("db", "http:80 auto:81", "clusterIP: None, ");
    let strict = object(PEERS, "strict", "{mtls: {mode: STRICT}}");
    let world = World::new(workload("client", "", "") + &db + &strict);
    let names = [
        "db.default.svc.cluster.local",
        "db.default.svc",
        "db",
        "db:81",
        "db:12345",
        "some.db.default.svc.cluster.local:12345",
        "some.db.default.svc",
        "some.db",
        "some.db:12345",
    ];
    for to in ["db:80", "db:81"] {
        world.check(&names.map(|name| (Ask::new("client", to).host(name), "db")));
    }
}

#[test]
fn schemes_are_matched_at_gateways() {
    for (port, protocol, tls, scheme) in [
        (80, "HTTP", "", "http"),
        (
            443,
            "HTTPS",
            ", tls: {mode: SIMPLE, credentialName: cred}",
            "https",
        ),
    ] {
        let edge = format!(
            "{{selector: {{istio: ingressgateway}}, servers: [{{port: {{number: {port}, name: p, protocol: {protocol}}}, hosts: [\"web.example\"]{tls}}}]}}"
        );
        let route = format!(
            "{{hosts: [web.example], gateways: [edge], http: [{{match: [{{scheme: {{exact: {scheme}}}}}], route: [{{destination: {{host: web, port: {{number: 80}}}}}}]}}]}}"
        );
        let world = World::new(
            [
                served("web", "http:80"),
                object(GATEWAY, "edge", &edge),
                object(SERVICE, "web", &route),
            ]
            .concat(),
        );
        let to = format!("istio-ingressgateway.istio-system:{port}");
        world.check(&[(Ask::new("people", &to).host("web.example"), "web")]);
    }
}

#[test]
fn gateways_encrypt_anew() {
    // "HTTPS re-encrypt": what the rule of the gateway's namespace says.
    let edge = "{selector: {istio: ingressgateway}, servers: [{port: {number: 443, name: p, protocol: HTTPS}, hosts: [\"web.default.svc.cluster.local\"], tls: {mode: SIMPLE, credentialName: cred}}]}";
    let route = "{hosts: [web.default.svc.cluster.local], gateways: [edge], http: [{route: [{destination: {host: web.default.svc.cluster.local, port: {number: 443}}}]}]}";
    let tls = "{host: web.default.svc.cluster.local, trafficPolicy: {tls: {mode: SIMPLE, insecureSkipVerify: true}}}";
    let world = World::new(
        [
            served("web", "https:443"),
            object(GATEWAY, "edge", edge),
            object(SERVICE, "web", route),
            object("networking/DestinationRule", "istio-system/web", tls),
        ]
        .concat(),
    );
    world.check(&[(
        Ask::new("people", "istio-ingressgateway.istio-system:443")
            .host("web.default.svc.cluster.local"),
        "web",
    )]);
}

fn claims(nested: &str) -> Vec<(&str, &str)> {
    vec![("nested][key1", nested), ("nested][nested-2][key2", nested)]
}

#[test]
fn gateways_route_by_what_tokens_say() {
    // jwtClaimRoute
    let route = |conditions: &str| {
        let edge = "{selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}]}";
        let spec = format!(
            "{{hosts: [web.foo.bar], gateways: [edge], http: [{{match: [{{uri: {{prefix: /}}, {conditions}}}], route: [{{destination: {{host: web}}}}]}}]}}"
        );
        let rules = "{jwtRules: [{issuer: one, jwks: '{}', outputClaimToHeaders: [{header: x-jwt-nested-key, claim: nested.nested-2.key2}, {header: x-jwt-iss, claim: iss}, {header: x-jwt-wrong-header, claim: wrong}]}]}";
        World::new(
            [
                served("web", "http:80"),
                object(GATEWAY, "edge", edge),
                object(SERVICE, "web", &spec),
                object(
                    "security/RequestAuthentication",
                    "istio-system/default",
                    rules,
                ),
            ]
            .concat(),
        )
    };
    let people = || Ask::new("people", "istio-ingressgateway.istio-system:80").host("web.foo.bar");
    let with = |nested: &str| people().token(token("one", "sub-1", &claims(nested)));
    route("headers: {x-jwt-nested-key: {exact: valueC}, x-jwt-iss: {exact: one}}").check(&[
        (
            with("valueC").headers(&[("x-jwt-nested-key", "old")]),
            "web",
        ),
        (with("valueA"), "404 NR"),
    ]);
    route("headers: {x-jwt-wrong-header: {exact: mine}}").check(&[(
        with("valueC").headers(&[("x-jwt-wrong-header", "mine")]),
        "404 NR",
    )]);
    for name in [
        "@request.auth.claims.nested.key1",
        "@request.auth.claims[nested][key1]",
    ] {
        route(&format!("headers: {{\"{name}\": {{exact: valueA}}}}")).check(&[
            (with("valueA"), "web"),
            (with("valueB"), "404 NR"),
            (people(), "404 NR"),
            (
                people().headers(&[("request.auth.claims.nested.key1", "valueA")]),
                "404 NR",
            ),
        ]);
        route(&format!(
            "withoutHeaders: {{\"{name}\": {{exact: valueA}}}}"
        ))
        .check(&[(with("valueA"), "404 NR"), (with("valueB"), "web")]);
    }
    let sub = route("headers: {\"@request.auth.claims.sub\": {regex: \"(sub-1|sub-2)\"}}");
    let bad = |mut ask: Ask<'static>| {
        ask.token.as_mut().expect("a token").is_valid = false;
        ask
    };
    sub.check(&[(with("valueA"), "web"), (bad(with("valueA")), "401")]);
}

#[test]
fn names_lead_past_pods_that_no_proxy_stands_before() {
    let naked = workload("naked", NAKED, "") + &service("naked", "http:80 tcp:81", "");
    let world = World::new(workload("client", "", "") + &naked);
    world.check(&[
        (Ask::new("client", "naked:80"), "naked"),
        (Ask::new("client", "naked:81"), "naked"),
    ]);
}
