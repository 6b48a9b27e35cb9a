//! How peers reach one another, encrypted or not, in situations that Istio's own tests describe.
//!
//! The outcomes are those that istio/istio 86c9f01 expects in tests/integration/security: its
//! reachability_test.go (R); its functions are named where they are followed. Configuration and
//! words are our own.

use crate::cases::{Ask, NAKED, World, object, served, service, workload};

const PEERS: &str = "security/PeerAuthentication";
const RULE: &str = "networking/DestinationRule";

/// A mode for the mesh, a rule for every host, and what comes of `a`, in the mesh or not, asking
/// `web`, in the mesh or not, at ports of HTTP and TCP.
#[test]
fn peers_reach_one_another_as_both_sides_say() {
    // R, TestReachability
    let peers = |mode: &str| match mode {
        "" => String::new(),
        mode => object(
            PEERS,
            "istio-system/default",
            &format!("{{mtls: {{mode: {mode}}}}}"),
        ),
    };
    let rule = |mode: &str| match mode {
        "" => String::new(),
        mode => object(
            RULE,
            "istio-system/default",
            &format!("{{host: \"*\", trafficPolicy: {{tls: {{mode: {mode}}}}}}}"),
        ),
    };
    let all = [
        workload("a", "", ""),
        workload("bare", NAKED, ""),
        served("web", "http:80 tcp:82 https:83 auto:84"),
        workload("naked", NAKED, "") + &service("naked", "http:80 tcp:82 https:83 auto:84", ""),
        workload("head", "", "") + &service("head", "http:80 tcp:82 auto:84", "clusterIP: None, "),
    ]
    .concat();
    let ports = ["80", "82", "84"];
    for (name, configuration, succeeds) in [
        (
            "global strict",
            peers("STRICT") + &rule("ISTIO_MUTUAL"),
            [true, false, false, true],
        ),
        (
            "global permissive",
            peers("PERMISSIVE") + &rule("ISTIO_MUTUAL"),
            [true, true, false, true],
        ),
        (
            "global disabled",
            peers("DISABLE") + &rule("DISABLE"),
            [true, true, true, true],
        ),
        (
            "plaintext to permissive",
            peers("PERMISSIVE") + &rule("DISABLE"),
            [true, true, true, true],
        ),
        (
            "automatic strict",
            peers("STRICT"),
            [true, false, true, true],
        ),
        (
            "automatic disabled",
            peers("DISABLE"),
            [true, true, true, true],
        ),
        (
            "nothing but a rule",
            rule("ISTIO_MUTUAL"),
            [true, true, false, true],
        ),
        (
            "passthrough",
            object(
                RULE,
                "istio-system/p",
                "{host: \"*\", trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}}",
            ),
            [true, true, true, true],
        ),
        (
            "ports override",
            object(
                PEERS,
                "web",
                "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {1080: {mode: DISABLE}, 1082: {mode: DISABLE}, 1084: {mode: DISABLE}}}",
            ),
            [true, true, true, true],
        ),
    ] {
        let world = World::new(all.clone() + &configuration);
        let mut wrong = Vec::new();
        for (position, (from, to)) in [
            ("a", "web"),
            ("bare", "web"),
            ("a", "naked"),
            ("bare", "naked"),
        ]
        .into_iter()
        .enumerate()
        {
            for port in ports {
                let host = format!("{to}:{port}");
                let found = world.outcome(&Ask::new(from, &host));
                if (found == to) != succeeds[position] {
                    wrong.push(format!("{name}: {from} {host} {found}"));
                }
            }
        }
        for port in ports {
            let host = format!("head:{port}");
            let found = world.outcome(&Ask::new("a", &host));
            if found != "head" {
                wrong.push(format!("{name}: a {host} {found}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

#[test]
fn workloads_move_into_the_mesh_version_by_version() {
    // R, TestReachability, "migration ..."
    let version = |name: &str, inject: &str| {
        format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: web, version: {name}}}}}
  template:
    metadata: {{labels: {{app: web, version: {name}, sidecar.istio.io/inject: \"{inject}\"}}}}
    spec: {{containers: [{{name: main, image: i}}]}}
---
"
        )
    };
    let route = "{hosts: [web], http: [{match: [{uri: {prefix: /new}}], route: [{destination: {host: web, subset: new}}]}, {route: [{destination: {host: web, subset: old}}]}]}";
    for (tls, new, old) in [
        ("", "new", "old"),
        ("DISABLE", "503 UC", "old"),
        ("ISTIO_MUTUAL", "new", "503 URX,UF"),
    ] {
        let policy = match tls {
            "" => String::new(),
            mode => format!(", trafficPolicy: {{tls: {{mode: {mode}}}}}"),
        };
        let rule = format!(
            "{{host: web, subsets: [{{name: new, labels: {{version: new}}{policy}}}, {{name: old, labels: {{version: old}}{policy}}}]{policy}}}"
        );
        let world = World::new(
            [
                workload("a", "", ""),
                version("new", "true"),
                version("old", "false"),
                service("web", "http:80", ""),
                object(PEERS, "default", "{mtls: {mode: STRICT}}"),
                object("networking/VirtualService", "web", route),
                object(RULE, "web", &rule),
            ]
            .concat(),
        );
        let to = |path| Ask::new("a", "web.default:80").path(path);
        world.check(&[(to("/new"), new), (to("/old"), old)]);
    }
}
