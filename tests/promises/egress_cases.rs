//! What leaves the mesh: by sidecars that begin TLS, and through egress gateways, as istio.io's
//! tasks about egress set it up, and Istio's own tests.
//!
//! Sources: istio/istio 86c9f01 tests/integration/pilot/common/routing.go (tlsOriginationCases,
//! TestExternalService), tests/integration/security (egress_gateway_origination_test.go,
//! TestAuthz_EgressGateway); istio.io, tasks egress-tls-origination, egress-gateway,
//! egress-gateway-tls-origination and wildcard-egress-hosts. Configuration and words are our own.

use crate::cases::{Ask, World, object, served, token, workload};

const RULE: &str = "networking/DestinationRule";
const ENTRY: &str = "networking/ServiceEntry";
const SERVICE: &str = "networking/VirtualService";
const GATEWAY: &str = "networking/Gateway";

/// `client` in the mesh, an egress gateway, and a host outside that takes requests at port 80 and
/// TLS at port 443.
fn outside(manifests: &str) -> World {
    let installation = "
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: installed, namespace: istio-system}
spec:
  components:
    egressGateways: [{name: istio-egressgateway, enabled: true}]
---
";
    let closed = object(
        "networking/Sidecar",
        "default",
        "{outboundTrafficPolicy: {mode: REGISTRY_ONLY}}",
    );
    let mut world = World::new(
        [
            workload("client", "", ""),
            installation.to_owned(),
            closed,
            manifests.to_owned(),
        ]
        .concat(),
    );
    world.more = "  sites: [{name: outside}]
  machines:
    cnn: {site: outside, address: 10.9.0.1, host: edition.cnn.com, ports: [80, 443], serviceTime: 1ms}
    politics: {site: outside, address: 10.9.0.2, host: politics.cnn.com, ports: [80, 443], serviceTime: 1ms}
"
    .to_owned();
    world
}

fn plain() -> Ask<'static> {
    Ask::new("client", "edition.cnn.com:80")
}

fn encrypted() -> Ask<'static> {
    Ask::new("client", "edition.cnn.com:443")
}

const KNOWN: &str = "{hosts: [edition.cnn.com], ports: [{number: 80, name: http-port, protocol: HTTP}, {number: 443, name: https-port, protocol: HTTPS}], resolution: DNS}";

#[test]
fn hosts_outside_are_known_or_not() {
    // The gateway's own service has a port 80, where requests say whom they mean.
    outside("").check(&[(plain(), "502"), (encrypted(), "reset")]);
    outside(&object(ENTRY, "cnn", KNOWN)).check(&[(plain(), "cnn"), (encrypted(), "cnn")]);
}

#[test]
fn sidecars_begin_tls() {
    // egress-tls-origination; tlsOriginationCases "DNS"
    let entry = "{hosts: [edition.cnn.com], ports: [{number: 80, name: http-port, protocol: HTTP, targetPort: 443}, {number: 443, name: https-port, protocol: HTTPS}], resolution: DNS}";
    let rule = "{host: edition.cnn.com, trafficPolicy: {portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]}}";
    outside(&(object(ENTRY, "cnn", entry) + &object(RULE, "cnn", rule)))
        .check(&[(plain(), "cnn"), (encrypted(), "cnn")]);
    // "NONE"
    let none = entry.replace("DNS", "NONE");
    outside(&(object(ENTRY, "cnn", &none) + &object(RULE, "cnn", rule))).check(&[(plain(), "cnn")]);
    // "Redirect NONE"
    let none = KNOWN.replace("DNS", "NONE");
    let to_tls = "{hosts: [edition.cnn.com], http: [{route: [{destination: {host: edition.cnn.com, port: {number: 443}}}]}]}";
    let rule = "{host: edition.cnn.com, trafficPolicy: {tls: {mode: SIMPLE}}}";
    outside(
        &(object(ENTRY, "cnn", &none)
            + &object(SERVICE, "cnn", to_tls)
            + &object(RULE, "cnn", rule)),
    )
    .check(&[(plain(), "cnn")]);
}

/// The Gateway of istio.io's task, at a port.
fn gateway(port: u16, protocol: &str, tls: &str) -> String {
    object(
        GATEWAY,
        "egress",
        &format!(
            "{{selector: {{istio: egressgateway}}, servers: [{{port: {{number: {port}, name: p, protocol: {protocol}}}, hosts: [edition.cnn.com]{tls}}}]}}"
        ),
    )
}

/// Sends what the mesh asks to the gateway at a port, and what comes there on.
fn through(kind: &str, matched: (&str, &str), (port, subset): (u16, &str), on: u16) -> String {
    let (at_mesh, at_gateway) = matched;
    object(SERVICE, "through", &format!("{{hosts: [edition.cnn.com], gateways: [egress, mesh], {kind}: [
      {{match: [{{gateways: [mesh], {at_mesh}}}], route: [{{destination: {{host: istio-egressgateway.istio-system.svc.cluster.local{subset}, port: {{number: {port}}}}}, weight: 100}}]}},
      {{match: [{{gateways: [egress], {at_gateway}}}], route: [{{destination: {{host: edition.cnn.com, port: {{number: {on}}}}}, weight: 100}}]}}]}}"))
}

fn is_passed(world: &World, ask: &Ask<'_>) -> bool {
    let (scenario, record) = world.record(ask);
    let mut all = scenario.clusters[0].workloads.iter().zip(&record.workloads);
    all.any(|(workload, found)| workload.name == "istio-egressgateway" && found.arrived == 4)
}

fn check_passed(what: &str, manifests: &[String], ask: &Ask<'_>) {
    let world = outside(&manifests.concat());
    let found = world.outcome(ask);
    assert_eq!(found, "cnn", "{what}");
    assert!(is_passed(&world, ask), "{what}: through the gateway");
}

const SUBSET: &str = ", subset: cnn";

#[test]
fn egress_gateways_pass_on() {
    let known = object(ENTRY, "cnn", KNOWN);
    let subset = |tls: &str| {
        object(
            RULE,
            "egress",
            &format!(
                "{{host: istio-egressgateway.istio-system.svc.cluster.local, subsets: [{{name: cnn{tls}}}]}}"
            ),
        )
    };
    check_passed(
        "plain requests",
        &[
            known.clone(),
            gateway(80, "HTTP", ""),
            subset(""),
            through("http", ("port: 80", "port: 80"), (80, SUBSET), 80),
        ],
        &plain(),
    );
    check_passed(
        "TLS of the application",
        &[
            known.clone(),
            gateway(443, "TLS", ", tls: {mode: PASSTHROUGH}"),
            subset(""),
            through(
                "tls",
                (
                    "port: 443, sniHosts: [edition.cnn.com]",
                    "port: 443, sniHosts: [edition.cnn.com]",
                ),
                (443, SUBSET),
                443,
            ),
        ],
        &encrypted(),
    );
    // egress-gateway-tls-origination
    let mutual = subset(
        ", trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}, portLevelSettings: [{port: {number: 80}, tls: {mode: ISTIO_MUTUAL, sni: edition.cnn.com}}]}",
    );
    let begins = object(
        RULE,
        "begins",
        "{host: edition.cnn.com, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}, portLevelSettings: [{port: {number: 443}, tls: {mode: SIMPLE}}]}}",
    );
    check_passed(
        "TLS that the gateway begins",
        &[
            known.clone(),
            gateway(80, "HTTPS", ", tls: {mode: ISTIO_MUTUAL}"),
            mutual,
            through("http", ("port: 80", "port: 80"), (80, SUBSET), 443),
            begins.clone(),
        ],
        &plain(),
    );
    // egress_gateway_origination_test.go
    let mutual = subset(
        ", trafficPolicy: {portLevelSettings: [{port: {number: 443}, tls: {mode: ISTIO_MUTUAL, sni: edition.cnn.com}}]}",
    );
    check_passed(
        "the same at another port",
        &[
            known,
            gateway(443, "HTTPS", ", tls: {mode: ISTIO_MUTUAL}"),
            mutual,
            through("http", ("port: 80", "port: 443"), (443, SUBSET), 443),
            begins,
        ],
        &plain(),
    );
}

#[test]
fn servers_of_a_port_are_told_apart_by_the_name_asked_for_in_tls() {
    // gateway.go (getSNIHostsForServer): the hosts of a server are names in TLS, whoever ends it.
    let servers = "{selector: {istio: egressgateway}, servers: [
      {port: {number: 443, name: https-first, protocol: HTTPS}, hosts: [www.company.com], tls: {mode: SIMPLE, credentialName: company}},
      {port: {number: 443, name: https-second, protocol: HTTPS}, hosts: [edition.cnn.com], tls: {mode: ISTIO_MUTUAL}}]}";
    let world = |tls: &str| {
        let rule = format!(
            "{{host: istio-egressgateway.istio-system.svc.cluster.local, trafficPolicy: {{portLevelSettings: [{{port: {{number: 443}}, tls: {{{tls}}}}}]}}}}"
        );
        outside(&[
            object(ENTRY, "cnn", KNOWN),
            object(GATEWAY, "egress", servers),
            object(RULE, "egress", &rule),
            object(RULE, "begins", "{host: edition.cnn.com, trafficPolicy: {portLevelSettings: [{port: {number: 443}, tls: {mode: SIMPLE}}]}}"),
            through("http", ("port: 80", "port: 443"), (443, ""), 443),
        ].concat())
    };
    let cases = [
        ("mode: ISTIO_MUTUAL, sni: edition.cnn.com", "cnn"),
        // The name of the sidecar's cluster is no server's.
        ("mode: ISTIO_MUTUAL", "503 URX,UF"),
        // Mutual TLS, of which the client has no certificate.
        ("mode: SIMPLE, sni: edition.cnn.com", "503 URX,UF"),
    ];
    for (tls, expected) in cases {
        assert_eq!(world(tls).outcome(&plain()), expected, "{tls}");
    }
}

#[test]
fn egress_gateways_pass_on_hosts_below_a_name() {
    // wildcard-egress-hosts: to one host that serves them all.
    let entry = "{hosts: [edition.cnn.com], ports: [{number: 443, name: https, protocol: HTTPS}], resolution: DNS}";
    let wide = "{hosts: [\"*.cnn.com\"], ports: [{number: 443, name: https, protocol: HTTPS}]}";
    let gateway = gateway(443, "TLS", ", tls: {mode: PASSTHROUGH}")
        .replace("[edition.cnn.com]", "[\"*.cnn.com\"]");
    let through = through(
        "tls",
        (
            "port: 443, sniHosts: [\"*.cnn.com\"]",
            "port: 443, sniHosts: [\"*.cnn.com\"]",
        ),
        (443, SUBSET),
        443,
    )
    .replace("hosts: [edition.cnn.com]", "hosts: [\"*.cnn.com\"]");
    let subset = object(
        RULE,
        "egress",
        "{host: istio-egressgateway.istio-system.svc.cluster.local, subsets: [{name: cnn}]}",
    );
    check_passed(
        "another name",
        &[
            object(ENTRY, "cnn", entry),
            object(ENTRY, "wide", wide),
            gateway,
            subset,
            through,
        ],
        &Ask::new("client", "politics.cnn.com:443"),
    );
}

#[test]
fn hosts_below_a_name_are_known_with_it() {
    let wide = "{hosts: [\"*.cnn.com\"], ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: https, protocol: HTTPS}]}";
    let politics = |port: &'static str| Ask::new("client", port);
    outside(&object(ENTRY, "wide", wide)).check(&[
        (plain(), "cnn"),
        (politics("politics.cnn.com:80"), "politics"),
        (politics("politics.cnn.com:443"), "politics"),
    ]);
}

#[test]
fn copies_may_leave_the_mesh() {
    // mirror_test.go, TestMirroringExternalService
    let mirrored = "{hosts: [web], http: [{route: [{destination: {host: web}}], mirror: {host: edition.cnn.com, port: {number: 80}}}]}";
    let manifests =
        object(ENTRY, "cnn", KNOWN) + &served("web", "http:80") + &object(SERVICE, "web", mirrored);
    let (scenario, record) = outside(&manifests).record(&Ask::new("client", "web:80"));
    assert_eq!(record.traffic[0].succeeded, 4);
    let all = scenario.clusters[0].workloads.iter().zip(&record.workloads);
    let copied = all.filter(|(workload, _)| workload.name == "cnn");
    assert_eq!(copied.map(|(_, found)| found.arrived).sum::<u64>(), 4);
}

#[test]
fn egress_gateways_keep_out() {
    // A, TestAuthz_EgressGateway
    let manifests = [
        object("security/RequestAuthentication", "istio-system/default", "{jwtRules: [{issuer: one, jwks: '{}'}, {issuer: two, jwks: '{}'}]}"),
        object("security/AuthorizationPolicy", "istio-system/egress", "{selector: {matchLabels: {app: istio-egressgateway}}, rules: [
          {to: [{operation: {paths: [/allow], hosts: [www.company.com]}}]},
          {to: [{operation: {hosts: [a-only.com]}}], from: [{source: {principals: [cluster.local/ns/default/sa/client]}}]},
          {to: [{operation: {hosts: [jwt-only.com]}}], from: [{source: {requestPrincipals: [one/sub-1]}}]},
          {to: [{operation: {hosts: [jwt-and-a-only.com]}}], from: [{source: {requestPrincipals: [one/sub-1], principals: [cluster.local/ns/default/sa/client]}}]}]}"),
        object(GATEWAY, "istio-system/egress", "{selector: {istio: egressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [www.company.com]}, {port: {number: 443, name: https, protocol: HTTPS}, tls: {mode: ISTIO_MUTUAL}, hosts: [\"*\"]}]}"),
        object(SERVICE, "istio-system/one", "{hosts: [www.company.com], gateways: [egress, mesh], http: [
          {match: [{gateways: [mesh], port: 80}], route: [{destination: {host: istio-egressgateway.istio-system.svc.cluster.local, port: {number: 80}}}]},
          {match: [{gateways: [istio-system/egress], port: 80}], route: [{destination: {host: web.default.svc.cluster.local, port: {number: 80}}}]}]}"),
        object(SERVICE, "istio-system/two", "{hosts: [a-only.com, jwt-only.com, jwt-and-a-only.com], gateways: [egress, mesh], http: [
          {match: [{gateways: [mesh], port: 80}], route: [{destination: {host: istio-egressgateway.istio-system.svc.cluster.local, port: {number: 443}}}]},
          {match: [{gateways: [istio-system/egress], port: 443}], route: [{destination: {host: web.default.svc.cluster.local, port: {number: 80}}}]}]}"),
        object(RULE, "istio-system/egress", "{host: istio-egressgateway.istio-system.svc.cluster.local, trafficPolicy: {portLevelSettings: [{port: {number: 443}, tls: {mode: ISTIO_MUTUAL}}]}}"),
        workload("other/b", "", ""),
        served("web", "http:80"),
    ];
    let world = outside(&manifests.concat());
    let one = || token("one", "sub-1", &[]);
    let two = || token("two", "sub-2", &[]);
    let ask =
        |from: &'static str, host: &'static str| Ask::new(from, "edition.cnn.com:80").host(host);
    world.check(&[
        (ask("client", "www.company.com").path("/allow"), "web"),
        (ask("client", "www.company.com").path("/deny"), "403"),
        (ask("client", "a-only.com"), "web"),
        (ask("other/b", "a-only.com"), "403"),
        (ask("client", "jwt-only.com").token(one()), "web"),
        (ask("client", "jwt-only.com").token(two()), "403"),
        (ask("other/b", "jwt-only.com").token(one()), "web"),
        (ask("client", "jwt-and-a-only.com").token(one()), "web"),
        (ask("other/b", "jwt-and-a-only.com").token(one()), "403"),
        (ask("client", "jwt-and-a-only.com").token(two()), "403"),
    ]);
}
