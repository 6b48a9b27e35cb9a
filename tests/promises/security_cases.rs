//! Who is let in, in situations that Istio's own tests describe.
//!
//! The outcomes are those that istio/istio 86c9f01 expects in tests/integration/security: its
//! authz_test.go (A) and jwt_test.go (J); their functions are named where they are followed.
//! Configuration and words are our own.

use crate::cases::{Ask, World, object, served, token, workload};
use cloud::scenario::Presented;

const POLICY: &str = "security/AuthorizationPolicy";
const PEERS: &str = "security/PeerAuthentication";
const TOKENS: &str = "security/RequestAuthentication";
const RULE: &str = "networking/DestinationRule";

/// A policy for the pods of `web`.
fn policy(name: &str, action: &str, rules: &str) -> String {
    let spec =
        format!("{{selector: {{matchLabels: {{app: web}}}}, action: {action}, rules: [{rules}]}}");
    object(POLICY, name, &spec)
}

/// `default/a` and `other/b` beside `web`, with mutual TLS only.
fn strict(policies: &str) -> World {
    let mode = "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}}";
    World::new(
        [
            workload("a", "", ""),
            workload("other/b", "", ""),
            served("web", "http:80 http2:81 tcp:82 grpc:83"),
            object(PEERS, "web", mode),
            policies.to_owned(),
        ]
        .concat(),
    )
}

fn ask(from: &'static str, port: &str) -> Ask<'static> {
    let to = match port {
        "http" => "web.default:80",
        "http2" => "web.default:81",
        "tcp" => "web.default:82",
        _ => "web.default:83",
    };
    let asked = Ask::new(from, to);
    match port {
        "grpc" => asked.path("/proto.Echo/Echo").method("POST"),
        _ => asked,
    }
}

fn get(from: &'static str, path: &'static str) -> Ask<'static> {
    ask(from, "http").path(path)
}

/// What is allowed to whom, at each kind of port.
fn allowing(source: &str) -> String {
    let of = |ports: &str, more: &str| {
        format!(
            "{{to: [{{operation: {{ports: [{ports}]{more}}}}}], from: [{{source: {{{source}}}}}]}}"
        )
    };
    policy(
        "web",
        "ALLOW",
        &[
            of("\"1080\", \"1081\"", ", paths: [/allow], methods: [GET]"),
            of("\"1083\"", ", paths: [/proto.Echo/Echo], methods: [POST]"),
            of("\"1082\"", ""),
        ]
        .join(", "),
    )
}

#[test]
fn sources_are_told_apart_at_every_kind_of_port() {
    // A, TestAuthz_Principal, TestAuthz_ServiceAccount, TestAuthz_Namespace
    for source in [
        "principals: [cluster.local/ns/default/sa/a]",
        "serviceAccounts: [default/a]",
        "namespaces: [default]",
    ] {
        strict(&allowing(source)).check(&[
            (ask("a", "grpc"), "web"),
            (ask("a", "tcp"), "web"),
            (get("a", "/allow"), "web"),
            (get("a", "/allow?param=value"), "web"),
            (get("a", "/deny"), "403"),
            (ask("a", "http2").path("/allow"), "web"),
            (ask("other/b", "grpc"), "403"),
            (ask("other/b", "tcp"), "403"),
            (get("other/b", "/allow"), "403"),
            (get("other/b", "/deny?param=value"), "403"),
        ]);
    }
}

#[test]
fn trust_domains_are_told_apart() {
    let of = |path: &str, source: &str| {
        format!("{{to: [{{operation: {{paths: [{path}]}}}}], from: [{{source: {{{source}}}}}]}}")
    };
    let rules = [
        of("/allow", "trustDomains: [cluster.local]"),
        of("/deny", "trustDomains: [bad.example.com]"),
        of("/not", "notTrustDomains: [cluster.local]"),
        of("/not-bad", "notTrustDomains: [bad.example.com]"),
    ];
    strict(&policy("web", "ALLOW", &rules.join(", "))).check(&[
        (get("a", "/allow"), "web"),
        (get("a", "/deny"), "403"),
        (get("a", "/not"), "403"),
        (get("other/b", "/not-bad"), "web"),
    ]);
}

#[test]
fn what_is_denied_is_denied_whatever_else_is_allowed() {
    // A, TestAuthz_DenyPrincipal, TestAuthz_DenyNamespace
    let everywhere = object(
        POLICY,
        "istio-system/deny",
        "{action: DENY, rules: [{to: [{operation: {ports: [\"1080\", \"1081\"], paths: [\"/global-deny*\"], notPaths: [/global-deny/allow]}}]}]}",
    );
    for source in [
        "principals: [cluster.local/ns/other/sa/b]",
        "namespaces: [other]",
    ] {
        let of = |ports: &str, more: &str| {
            format!(
                "{{to: [{{operation: {{ports: [{ports}]{more}}}}}], from: [{{source: {{{source}}}}}]}}"
            )
        };
        let rules = [
            of(
                "\"1080\", \"1081\"",
                ", paths: [\"/deny*\"], notPaths: [/deny/allow], methods: [GET]",
            ),
            of("\"1083\"", ", paths: [/proto.Echo/Echo], methods: [POST]"),
            of("\"1082\"", ""),
        ];
        let world = strict(&(policy("web", "DENY", &rules.join(", ")) + &everywhere));
        world.check(&[
            (ask("a", "grpc"), "web"),
            (ask("a", "tcp"), "web"),
            (ask("other/b", "grpc"), "403"),
            (ask("other/b", "tcp"), "403"),
            (get("a", "/deny"), "web"),
            (get("other/b", "/deny?param=value"), "403"),
            (get("other/b", "/deny/allow?param=value"), "web"),
            (get("other/b", "/allow"), "web"),
            (get("a", "/global-deny"), "403"),
            (get("a", "/global-deny/allow?param=value"), "web"),
            (ask("a", "http2").path("/global-deny"), "403"),
        ]);
    }
}

#[test]
fn what_is_not_said_is_let_in_or_kept_out() {
    // A, TestAuthz_NotNamespace, TestAuthz_NotMethod, TestAuthz_NotPort
    strict(&policy(
        "web",
        "DENY",
        "{from: [{source: {notNamespaces: [default]}}]}",
    ))
    .check(&[
        (ask("a", "http"), "web"),
        (ask("a", "tcp"), "web"),
        (ask("other/b", "http"), "403"),
        (ask("other/b", "tcp"), "403"),
    ]);
    strict(&policy(
        "web",
        "ALLOW",
        "{to: [{operation: {notMethods: [PUT]}}]}",
    ))
    .check(&[
        (ask("a", "http"), "web"),
        (ask("a", "http").method("PUT"), "403"),
    ]);
    strict(&policy(
        "web",
        "ALLOW",
        "{to: [{operation: {notPorts: [\"1081\"]}}]}",
    ))
    .check(&[(ask("a", "http"), "web"), (ask("a", "http2"), "403")]);
}

#[test]
fn plaintext_has_no_principal() {
    // A, TestAuthz_DenyPlaintext
    let all = [
        object(PEERS, "all", "{mtls: {mode: PERMISSIVE}}"),
        object(
            RULE,
            "all",
            "{host: \"*.default.svc.cluster.local\", trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}",
        ),
        policy(
            "web",
            "DENY",
            "{from: [{source: {notPrincipals: [\"*\"]}}]}",
        ),
        object(
            RULE,
            "other/web",
            "{host: web.default.svc.cluster.local, trafficPolicy: {tls: {mode: DISABLE}}}",
        ),
        workload("a", "", ""),
        workload("other/b", "", ""),
        served("web", "http:80 http2:81 tcp:82 grpc:83"),
    ];
    World::new(all.concat()).check(&[
        (ask("a", "http"), "web"),
        (ask("a", "tcp"), "web"),
        (ask("other/b", "http"), "403"),
        (ask("other/b", "grpc"), "403"),
        (ask("other/b", "tcp"), "403"),
    ]);
}

#[test]
fn policies_hold_where_they_select() {
    // A, TestAuthz_WorkloadSelector
    let of = |name: &str, labels: &str, path: &str| {
        let selector = match labels {
            "" => String::new(),
            said => format!("selector: {{matchLabels: {{{said}}}}}, "),
        };
        object(
            POLICY,
            name,
            &format!("{{{selector}rules: [{{to: [{{operation: {{paths: [{path}]}}}}]}}]}}"),
        )
    };
    let all = [
        of("web", "app: web", "/web"),
        of("bad", "app: web, foo: bla", "/bad"),
        of("all", "", "/all-default"),
        of("other/all", "", "/all-other"),
        of("istio-system/web", "app: web", "/system-web"),
        of("istio-system/api", "app: api", "/system-api"),
    ];
    strict(&all.concat()).check(&[
        (get("a", "/web"), "web"),
        (get("a", "/bad"), "403"),
        (get("a", "/all-default"), "web"),
        (get("a", "/all-other"), "403"),
        (get("a", "/system-web"), "web"),
        (get("a", "/system-api"), "403"),
    ]);
}

#[test]
fn paths_are_matched_by_templates() {
    // A, TestAuthz_PathPrecedence, TestAuthz_PathTemplating
    let both = policy(
        "deny",
        "DENY",
        "{to: [{operation: {paths: [/allow/admin]}}]}",
    ) + &policy(
        "allow",
        "ALLOW",
        "{to: [{operation: {paths: [\"/allow*\"]}}]}",
    );
    strict(&both).check(&[
        (get("a", "/allow/admin"), "403"),
        (get("a", "/allow/admin?param=value"), "403"),
        (get("a", "/allow?param=value"), "web"),
    ]);
    let templates = "{to: [{operation: {paths: [\"/allow/admin/{**}\", \"/foo/{*}/bar/{**}\", \"/store/{**}/cart\"]}}]}";
    strict(&policy("web", "ALLOW", templates)).check(&[
        (get("a", "/allow/admin/"), "web"),
        (get("a", "/allow/admin"), "403"),
        (get("a", "/allow/user/"), "403"),
        (get("a", "/allow/admin?param=value"), "403"),
        (get("a", "/allow"), "403"),
        (get("a", "/allow/admin/temp"), "web"),
        (get("a", "/allow/admin/foo/temp.txt"), "web"),
        (get("a", "/foo/buzz/bar/bat.txt"), "web"),
        (get("a", "/foo/buzz/bar/bat/fuzz.txt"), "web"),
        (get("a", "/foo/bar/bat.txt"), "403"),
        (get("a", "/foo//bar/bat.txt"), "403"),
        (get("a", "/store//cart"), "web"),
        (get("a", "/store/cart"), "403"),
        (get("a", "/store/foo/cart"), "web"),
        (get("a", "/store/foo/bar/cart"), "web"),
    ]);
}

#[test]
fn paths_are_made_plain_before_they_are_looked_at() {
    // A, TestAuthz_PathNormalization
    strict(&policy(
        "web",
        "ALLOW",
        "{to: [{operation: {paths: [\"/public*\"], methods: [GET]}}]}",
    ))
    .check(&[
        (get("a", "/public"), "web"),
        (get("a", "/public/../public"), "web"),
        (get("a", "/private"), "403"),
        (get("a", "/public/../private"), "403"),
        (get("a", "/public/./../private"), "403"),
        (get("a", "/public/%2E%2E/private"), "403"),
        (get("a", "/public/%2e/%2e%2e/private"), "403"),
    ]);
}

#[test]
fn gateways_keep_out_by_host_path_and_address() {
    // A, TestAuthz_IngressGateway, TestAuthz_NotHost
    let edge = [
        object("networking/Gateway", "edge", "{selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*.web.com\"]}]}"),
        object("networking/VirtualService", "web", "{hosts: [\"*.web.com\"], gateways: [edge], http: [{route: [{destination: {host: web, port: {number: 80}}}]}]}"),
    ]
    .concat();
    let deny = "{action: DENY, selector: {matchLabels: {app: istio-ingressgateway}}, rules: [
      {to: [{operation: {hosts: [deny.web.com, \"*.suffix.web.com\", \"prefix.web.*\"]}}]},
      {to: [{operation: {hosts: [internal.web.com]}}, {operation: {paths: [/private]}}]}]}";
    let world = World::new(
        edge.clone() + &served("web", "http:80") + &object(POLICY, "istio-system/edge", deny),
    );
    let people = || Ask::new("people", "istio-ingressgateway.istio-system:80");
    world.check(&[
        (people().host("deny.web.com"), "403"),
        (people().host("DENY.web.COM"), "403"),
        (people().host("deny.suffix.web.com"), "403"),
        (people().host("Deny.Suffix.Web.Com"), "403"),
        (people().host("prefix.web.com"), "403"),
        (people().host("www.web.com"), "web"),
        (people().host("www.web.com").path("/private"), "403"),
        (people().host("www.web.com").path("/public"), "web"),
        (people().host("internal.web.com"), "403"),
    ]);
    let not = policy(
        "web",
        "ALLOW",
        "{to: [{operation: {notHosts: [deny.web.com]}}]}",
    );
    World::new(edge + &served("web", "http:80") + &not).check(&[
        (people().host("allow.web.com"), "web"),
        (people().host("deny.web.com"), "403"),
    ]);
}

#[test]
fn conditions_ask_for_whatever_is_known() {
    // A, TestAuthz_Conditions
    let of = |path: &str, key: &str, value: &str| {
        format!(
            "{{to: [{{operation: {{paths: [/{path}]}}}}], when: [{{key: \"{key}\", values: [\"{value}\"]}}]}}, {{to: [{{operation: {{paths: [/not-{path}]}}}}], when: [{{key: \"{key}\", notValues: [\"{value}\"]}}]}}"
        )
    };
    let rules = [
        of("header", "request.headers[x-foo]", "foo"),
        of("namespace", "source.namespace", "default"),
        of(
            "principal",
            "source.principal",
            "cluster.local/ns/default/sa/a",
        ),
        of("domain", "source.trustDomain", "cluster.local"),
        of("ip", "destination.ip", "10.244.0.0/16"),
        of("port", "destination.port", "1080"),
        of("sni", "connection.sni", "*.web.default.svc.cluster.local"),
        of("sni-bad", "connection.sni", "never-matched"),
    ];
    let world = strict(&policy("web", "ALLOW", &rules.join(", ")));
    world.check(&[
        (get("a", "/header").headers(&[("x-foo", "foo")]), "web"),
        (get("a", "/header").headers(&[("x-foo", "bar")]), "403"),
        (get("a", "/header"), "403"),
        (get("a", "/not-header").headers(&[("x-foo", "foo")]), "403"),
        (get("a", "/not-header").headers(&[("x-foo", "bar")]), "web"),
        (get("a", "/namespace"), "web"),
        (get("a", "/not-namespace"), "403"),
        (get("other/b", "/namespace"), "403"),
        (get("other/b", "/not-namespace"), "web"),
        (get("a", "/principal"), "web"),
        (get("other/b", "/principal"), "403"),
        (get("other/b", "/not-principal"), "web"),
        (get("a", "/domain"), "web"),
        (get("a", "/not-domain"), "403"),
        (get("a", "/ip"), "web"),
        (get("a", "/not-ip"), "403"),
        (get("a", "/port"), "web"),
        (get("a", "/not-port"), "403"),
        (get("a", "/sni"), "web"),
        (get("a", "/not-sni"), "403"),
        (get("a", "/sni-bad"), "403"),
        (get("a", "/not-sni-bad"), "web"),
        (get("a", "/other"), "403"),
    ]);
}

#[test]
fn gateways_keep_out_by_the_name_that_is_asked_for_in_tls() {
    let edge = [
        object(
            "networking/Gateway",
            "edge",
            "{selector: {istio: ingressgateway}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, tls: {mode: SIMPLE, credentialName: web}, hosts: [\"*.web.com\"]}]}",
        ),
        object(
            "networking/VirtualService",
            "web",
            "{hosts: [\"*.web.com\"], gateways: [edge], http: [{route: [{destination: {host: web, port: {number: 80}}}]}]}",
        ),
        object(
            POLICY,
            "istio-system/edge",
            "{action: DENY, selector: {matchLabels: {istio: ingressgateway}}, rules: [{when: [{key: connection.sni, values: [deny.web.com]}]}]}",
        ),
    ];
    let people = || Ask::new("people", "istio-ingressgateway.istio-system:443");
    World::new(edge.concat() + &served("web", "http:80")).check(&[
        (people().host("deny.web.com"), "403"),
        (people().host("deny.web.com:443"), "403"),
        (people().host("www.web.com"), "web"),
    ]);
}

fn with(issuer: &str, subject: &str, claims: &[(&str, &str)]) -> Presented {
    token(issuer, subject, claims)
}

#[test]
fn tokens_say_what_is_allowed() {
    // A, TestAuthz_JWT
    let tokens = object(
        TOKENS,
        "all",
        "{jwtRules: [{issuer: one, jwks: '{}'}, {issuer: two, jwks: '{}', spaceDelimitedClaims: [custom_scope]}]}",
    );
    let of = |path: &str, what: &str| {
        format!("{{to: [{{operation: {{paths: [{path}], methods: [GET]}}}}], {what}}}")
    };
    let claim = |name: &str, values: &str| {
        format!("when: [{{key: \"request.auth.claims{name}\", values: [{values}]}}]")
    };
    let rules = [
        of(
            "/token1",
            "from: [{source: {requestPrincipals: [one/sub-1]}}]",
        ),
        of("/token2", &claim("[groups]", "group-2")),
        of(
            "/token3",
            "from: [{source: {notRequestPrincipals: [one/sub-1]}}]",
        ),
        of("/any", "from: [{source: {requestPrincipals: [\"*\"]}}]"),
        of("/scope", &claim("[scope]", "append, write")),
        of("/otherscope", &claim("[scope]", "admin")),
        of("/custom", &claim("[custom_scope]", "admin")),
        of("/nested", &claim("[nested][key1]", "valueB")),
        of("/deep", &claim("[nested][nested-2][key1]", "valueA")),
        of(
            "\"*/audiences\"",
            "when: [{key: request.auth.audiences, values: [foo]}]",
        ),
        of(
            "\"*/presenter\"",
            "when: [{key: request.auth.presenter, values: [bar]}]",
        ),
    ];
    let world = strict(&(tokens + &policy("web", "ALLOW", &rules.join(", "))));
    let one = || {
        with(
            "one",
            "sub-1",
            &[
                ("nested][key1", "valueB"),
                ("nested][nested-2][key1", "valueA"),
            ],
        )
    };
    let two = || {
        with(
            "two",
            "sub-2",
            &[
                ("groups", "group-2"),
                ("scope", "read write"),
                ("custom_scope", "user admin"),
            ],
        )
    };
    let mut aud = one();
    aud.token.audiences = vec!["foo".to_owned()];
    world.check(&[
        (get("a", "/token1"), "403"),
        (get("a", "/token1").token(one()), "web"),
        (get("a", "/token2").token(one()), "403"),
        (get("a", "/token1").token(two()), "403"),
        (get("a", "/token2").token(two()), "web"),
        (get("a", "/token3").token(one()), "403"),
        (get("a", "/token3").token(two()), "web"),
        (get("a", "/any").token(one()), "web"),
        (get("a", "/any").token(two()), "web"),
        (get("a", "/any"), "403"),
        (get("a", "/scope").token(two()), "web"),
        (get("a", "/scope").token(one()), "403"),
        (get("a", "/otherscope").token(two()), "403"),
        (get("a", "/custom").token(two()), "web"),
        (get("a", "/custom").token(one()), "403"),
        (get("a", "/nested").token(one()), "web"),
        (get("a", "/nested").token(two()), "403"),
        (get("a", "/deep").token(one()), "web"),
        (get("a", "/x/audiences").token(aud), "web"),
        (get("a", "/x/presenter").token(one()), "403"),
    ]);
}

#[test]
fn tokens_are_looked_at_where_somebody_knows_their_issuer() {
    // J, TestRequestAuthentication
    let rules = |spec: &str| {
        object(
            TOKENS,
            "web",
            &format!("{{selector: {{matchLabels: {{app: web}}}}, jwtRules: [{spec}]}}"),
        )
    };
    let one = || with("one", "sub-1", &[]);
    let bad = || Presented {
        is_valid: false,
        ..one()
    };
    let preflight: &[(&str, &str)] = &[
        ("origin", "https://istio.io"),
        ("access-control-request-method", "POST"),
    ];
    strict(&rules(
        "{issuer: one, jwks: '{}'}, {issuer: two, jwks: '{}'}",
    ))
    .check(&[
        (get("a", "/").token(one()), "web"),
        (get("a", "/").token(with("two", "s", &[])), "web"),
        (get("a", "/").token(with("three", "s", &[])), "401"),
        (get("a", "/").token(bad()), "401"),
        (
            get("a", "/")
                .token(bad())
                .method("OPTIONS")
                .headers(preflight),
            "web",
        ),
        (
            get("a", "/")
                .token(bad())
                .method("OPTIONS")
                .headers(&preflight[1..]),
            "401",
        ),
        (get("a", "/"), "web"),
    ]);
    let for_whom = |audiences: &[&str], presented: Presented| {
        let mut presented = presented;
        presented.token.audiences = audiences.iter().map(|it| it.to_string()).collect();
        presented
    };
    let parts = object(
        TOKENS,
        "part1",
        "{selector: {matchLabels: {app: web}}, jwtRules: [{issuer: one, jwks: '{}', audiences: [foo]}, {issuer: two, jwks: '{}', audiences: [bar]}]}",
    ) + &object(
        TOKENS,
        "part2",
        "{selector: {matchLabels: {app: web}}, jwtRules: [{issuer: two, jwks: '{}'}]}",
    );
    strict(&parts).check(&[
        (get("a", "/").token(one()), "403"),
        (get("a", "/").token(for_whom(&["foo"], one())), "web"),
        (get("a", "/").token(with("two", "s", &[])), "web"),
    ]);
    let reversed = parts.replace("part1", "part3");
    strict(&reversed).check(&[(get("a", "/").token(with("two", "s", &[])), "web")]);
}

#[test]
fn gateways_ask_for_tokens() {
    // J, TestIngressRequestAuthentication
    let all = [
        object(TOKENS, "istio-system/default", "{jwtRules: [{issuer: one, jwks: '{}'}, {issuer: two, jwks: '{}'}]}"),
        object(POLICY, "istio-system/edge", "{selector: {matchLabels: {istio: ingressgateway}}, rules: [
          {to: [{operation: {hosts: [example.web.com]}}], from: [{source: {requestPrincipals: [one/sub-1]}}]},
          {to: [{operation: {hosts: [any.web.com]}}], from: [{source: {requestPrincipals: [\"*\"]}}]},
          {to: [{operation: {paths: [/healthz]}}]}]}"),
        object("networking/Gateway", "edge", "{selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*.web.com\"]}]}"),
        object("networking/VirtualService", "web", "{hosts: [\"*.web.com\"], gateways: [edge], http: [{route: [{destination: {host: web, port: {number: 80}}}]}]}"),
        workload("a", "", ""),
        served("web", "http:80"),
    ];
    let one = || with("one", "sub-1", &[]);
    let bad = || Presented {
        is_valid: false,
        ..one()
    };
    let people =
        |host: &'static str| Ask::new("people", "istio-ingressgateway.istio-system:80").host(host);
    World::new(all.concat()).check(&[
        (ask("a", "http").token(bad()), "401"),
        (ask("a", "http"), "web"),
        (people("example.web.com").path("/healthz"), "web"),
        (people("example.web.com"), "403"),
        (people("example.web.com").token(one()), "web"),
        (
            people("example.web.com").token(with("two", "sub-2", &[])),
            "403",
        ),
        (people("example.web.com").token(bad()), "401"),
        (
            people("any.web.com").token(with("two", "sub-2", &[])),
            "web",
        ),
        (people("any.web.com"), "403"),
        (people("other.web.com").token(one()), "403"),
    ]);
}

/// Providers before `web`, each with its own service.
fn provided(policies: &str) -> World {
    let mut world = World::new(
        [
            workload("a", "", ""),
            served("web", "http:80 tcp:82"),
            served("ext-http", "http:8000"),
            served("ext-grpc", "grpc:9000"),
            "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders:
    - name: ext-http
      envoyExtAuthzHttp: {service: ext-http.default.svc.cluster.local, port: 8000, includeRequestHeadersInCheck: [x-ext-authz]}
    - name: ext-grpc
      envoyExtAuthzGrpc: {service: ext-grpc.default.svc.cluster.local, port: 9000}
---
"
            .to_owned(),
            policies.to_owned(),
        ]
        .concat(),
    );
    world.behavior = "    ext-http: {allows: [{headers: {x-ext-authz: allow}}]}
    ext-grpc: {allows: [{headers: {x-ext-authz: allow}}]}
"
    .to_owned();
    world
}

fn custom(name: &str, provider: &str, rules: &str) -> String {
    let spec = format!(
        "{{selector: {{matchLabels: {{app: web}}}}, action: CUSTOM, provider: {{name: {provider}}}, rules: [{rules}]}}"
    );
    object(POLICY, name, &spec)
}

const ALLOW: &[(&str, &str)] = &[("x-ext-authz", "allow")];

#[test]
fn providers_decide_about_what_their_policy_names() {
    // A, TestAuthz_CustomServer
    for provider in ["ext-http", "ext-grpc"] {
        let rules = "{to: [{operation: {ports: [\"1080\"], paths: [/custom], methods: [GET]}}]}, {to: [{operation: {ports: [\"1082\"]}}]}";
        let world = provided(&custom("web", provider, rules));
        world.check(&[
            (get("a", "/custom").headers(ALLOW), "web"),
            (get("a", "/custom"), "403 UAEX"),
            (get("a", "/health").headers(ALLOW), "web"),
            (get("a", "/health"), "web"),
        ]);
    }
}

#[test]
fn one_provider_for_each_workload() {
    let both = custom(
        "api",
        "ext-http",
        "{to: [{operation: {paths: [\"/api*\"]}}]}",
    ) + &custom(
        "admin",
        "ext-grpc",
        "{to: [{operation: {paths: [\"/admin*\"]}}]}",
    );
    provided(&both).check(&[
        (get("a", "/api/users").headers(ALLOW), "403"),
        (get("a", "/admin/x").headers(ALLOW), "403"),
        (get("a", "/public"), "web"),
    ]);
}
