//! Policies that ask for addresses: whom they let in, from manifests.
//!
//! Users come to a gateway `edge`, which leads to `web`, which asks `api`. Each has a node of its
//! own: pods of `edge` are in 10.244.0.0/24, of `web` in 10.244.1.0/24, of `api` in 10.244.2.0/24, and
//! nodes in 172.18.0.0/16. Users are in 192.0.2.64/26.

use crate::support::{Manifests, Mesh, faultless};
use cloud::record::Reason;
use cloud::{Options, compile, simulate};
use engine::Seed;
use loader::Loaded;

fn deployment(name: &str, node: u32, labels: &str, annotations: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}{labels}}}, annotations: {{{annotations}}}}}
    spec: {{nodeName: node-{node}, containers: [{{name: main, image: i}}]}}
---
"
    )
}

/// The gateway's own words, the annotations of its pod, and whether the rest is in the mesh by
/// sidecars or by ztunnels.
struct World<'a> {
    service: &'a str,
    annotations: &'a str,
    mode: &'a str,
    /// What else the service of `api` is called.
    labels: &'a str,
    /// What else stands at `web`'s call.
    call: &'a str,
    /// What else stands at the users' requests.
    request: &'a str,
    /// What else stands at the users.
    users: &'a str,
}

const WORLD: World<'_> = World {
    service: "externalTrafficPolicy: Local, ",
    annotations: "",
    mode: ", sidecar.istio.io/inject: \"true\"",
    labels: "",
    call: "",
    request: "",
    users: ", addresses: 192.0.2.64/26",
};

const AMBIENT: &str = ", istio.io/dataplane-mode: ambient";

impl World<'_> {
    fn load(&self, policy: &str) -> Loaded {
        let annotations = format!("inject.istio.io/templates: gateway{}", self.annotations);
        let edge = ", sidecar.istio.io/inject: \"true\"";
        let manifests = [
            deployment("edge", 1, edge, &annotations),
            deployment("web", 2, self.mode, ""),
            deployment("api", 3, self.mode, ""),
        ]
        .concat();
        let service = |name: &str, labels: &str, more: &str| {
            format!(
                "
apiVersion: v1
kind: Service
metadata: {{name: {name}{labels}}}
spec: {{{more}selector: {{app: {name}}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
"
            )
        };
        let balanced = format!("type: LoadBalancer, {}", self.service);
        let services = [
            service("edge", "", &balanced),
            service("web", "", ""),
            service("api", self.labels, ""),
        ]
        .concat();
        let routes = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {app: edge}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [\"*\"]
  gateways: [edge]
  http: [{route: [{destination: {host: web, port: {number: 80}}}]}]
---
";
        let spec = format!(
            "  users: [{{name: people, region: local{users}}}]
  behavior:
    web: {{serviceTime: 1ms, workers: unlimited, calls: [{{to: \"api:80\"{call}}}]}}
    api: {{serviceTime: 1ms, workers: unlimited}}
  traffic:
    - {{name: people, from: people, to: \"http://edge\", clients: 50, arrivals: {{constant: 20/s}}, timeout: none{request}}}
  run: {{duration: 5s, analysis: terminating, replications: 1}}
",
            users = self.users,
            call = self.call,
            request = self.request,
        );
        let all = format!("{manifests}{services}{routes}{policy}");
        let mesh = Mesh {
            istio: "version: \"1.30\"",
            ..Mesh::default()
        };
        mesh.load(&spec, &Manifests(all))
    }

    /// How many requests of 100 come through, and how many are refused where users see it.
    fn served(&self, policy: &str) -> [u64; 2] {
        let scenario = faultless(self.load(policy));
        let record = simulate(&compile(&scenario), Seed::default(), &Options::default());
        let of = &record.traffic[0];
        [of.succeeded, of.failures[Reason::Forbidden as usize]]
    }

    /// Whether a policy at `app` with this condition, which alone lets in, does so.
    fn lets_in(&self, app: &str, key: &str, ranges: &str) -> bool {
        let policy = allow(app, &format!("when: [{{key: {key}, values: [{ranges}]}}]"));
        match self.served(&policy)[0] {
            0 => false,
            100 => true,
            some => panic!("{some} of 100 are let in at {app} by {key} of {ranges}"),
        }
    }

    /// The codes of what is told of a policy.
    fn codes(&self, policy: &str) -> Vec<String> {
        let told = self.load(policy).diagnostics;
        told.iter().map(|it| it.code.id().to_owned()).collect()
    }
}

fn allow(app: &str, rule: &str) -> String {
    format!(
        "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: {app}}}
spec:
  selector: {{matchLabels: {{app: {app}}}}}
  rules: [{{{rule}}}]
"
    )
}

const USERS: &str = "192.0.2.64/26";
const NODES: &str = "172.18.0.0/16";
const EDGE: &str = "10.244.0.0/24";
const WEB: &str = "10.244.1.0/24";
const API: &str = "10.244.2.0/24";

#[test]
fn sidecars_see_the_pod_that_connects() {
    for (app, source) in [("web", EDGE), ("api", WEB)] {
        for range in [USERS, NODES, EDGE, WEB, API] {
            assert_eq!(
                WORLD.lets_in(app, "source.ip", range),
                range == source,
                "{app} {range}"
            );
        }
    }
    assert!(WORLD.lets_in("web", "destination.ip", WEB));
    assert!(!WORLD.lets_in("web", "destination.ip", API));
}

#[test]
fn pods_of_one_workload_go_by_their_own_addresses() {
    let condition = format!("when: [{{key: destination.ip, values: [{WEB}]}}]");
    // One on each node, beside that of `web`: two of four are in its range.
    let policy = allow("web", &condition)
        + "---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: everywhere}
spec:
  selector: {matchLabels: {app: web, tier: everywhere}}
  template:
    metadata: {labels: {app: web, tier: everywhere, sidecar.istio.io/inject: \"true\"}}
    spec: {containers: [{name: main, image: i}]}
";
    let [served, refused] = WORLD.served(&policy);
    assert_eq!(served + refused, 100);
    assert!((38..=62).contains(&served), "{served} of 100");
}

#[test]
fn fields_of_sources_ask_as_conditions_do() {
    let asked = |field: &str, range: &str| {
        let rule = format!("from: [{{source: {{{field}: [{range}]}}}}]");
        WORLD.served(&allow("web", &rule))
    };
    assert_eq!(asked("ipBlocks", EDGE), [100, 0]);
    assert_eq!(asked("notIpBlocks", EDGE), [0, 100]);
    assert_eq!(asked("remoteIpBlocks", EDGE), [0, 100]);
    assert_eq!(asked("remoteIpBlocks", USERS), [100, 0]);
    assert_eq!(asked("notRemoteIpBlocks", USERS), [0, 100]);
}

#[test]
fn gateways_see_users_where_the_node_keeps_their_addresses() {
    let by_node = World {
        service: "",
        ..WORLD
    };
    for (world, source) in [(&WORLD, USERS), (&by_node, NODES)] {
        for range in [USERS, NODES] {
            for key in ["source.ip", "remote.ip"] {
                let is = world.lets_in("edge", key, range);
                assert_eq!(is, range == source, "{key} {range}");
            }
            // The gateway tells the next one whom it was asked by.
            let is = world.lets_in("web", "remote.ip", range);
            assert_eq!(is, range == source, "{range}");
        }
    }
}

#[test]
fn each_user_is_asked_by_an_address_of_their_own() {
    let policy = allow(
        "edge",
        "when: [{key: source.ip, values: [192.0.2.64/27, 192.0.2.96/28]}]",
    );
    let [served, refused] = WORLD.served(&policy);
    // Three quarters of 50 users, of whom each asks about twice: four standard deviations.
    assert_eq!(served + refused, 100);
    assert!((50..=97).contains(&served), "{served}");
}

#[test]
fn applications_tell_of_users_if_they_hand_the_header_on() {
    assert!(WORLD.lets_in("api", "remote.ip", WEB));
    let hands_on = World {
        call: ", forwardHeaders: [x-forwarded-for]",
        ..WORLD
    };
    assert!(hands_on.lets_in("api", "remote.ip", USERS));
    assert!(hands_on.lets_in("api", "source.ip", WEB));
    let makes_up = World {
        call: ", headers: {x-forwarded-for: 198.51.100.7}",
        ..WORLD
    };
    assert!(makes_up.lets_in("api", "remote.ip", "198.51.100.7"));
}

#[test]
fn gateways_believe_as_many_proxies_as_they_are_told() {
    let said = ", headers: {x-forwarded-for: \"1.1.1.1, 2.2.2.2\"}";
    for (trusted, remote) in [(0, USERS), (1, "2.2.2.2"), (2, "1.1.1.1"), (3, USERS)] {
        let annotations = format!(
            ", proxy.istio.io/config: '{{\"gatewayTopology\": {{\"numTrustedProxies\": {trusted}}}}}'"
        );
        let world = World {
            annotations: &annotations,
            request: said,
            ..WORLD
        };
        for range in [USERS, "2.2.2.2", "1.1.1.1"] {
            let is = world.lets_in("edge", "remote.ip", range);
            assert_eq!(is, range == remote, "{trusted} {range}");
        }
        assert!(world.lets_in("edge", "source.ip", USERS));
        // Sidecars take the last: what the gateway has added.
        assert!(world.lets_in("web", "remote.ip", USERS));
    }
}

#[test]
fn ztunnels_and_waypoints_see_the_pods_whose_connections_are_carried() {
    let ambient = World {
        mode: AMBIENT,
        ..WORLD
    };
    for range in [WEB, EDGE, NODES] {
        let is = ambient.lets_in("api", "source.ip", range);
        assert_eq!(is, range == WEB, "{range}");
    }
    // Ztunnels do not look into requests: such a rule never allows.
    assert!(!ambient.lets_in("api", "remote.ip", WEB));
    let waypoint = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, labels: {istio.io/waypoint-for: service}}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---";
    let ambient = World {
        labels: ", labels: {istio.io/use-waypoint: waypoint}",
        ..ambient
    };
    for key in ["source.ip", "remote.ip"] {
        for range in [WEB, API, NODES] {
            let policy = format!(
                "{waypoint}
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: attached}}
spec:
  targetRefs: [{{kind: Service, group: \"\", name: api}}]
  rules: [{{when: [{{key: {key}, values: [{range}]}}]}}]
"
            );
            let served = ambient.served(&policy)[0];
            assert_eq!(served, if range == WEB { 100 } else { 0 }, "{key} {range}");
        }
    }
}

#[test]
fn who_asks_for_addresses_that_nobody_sees_is_told() {
    let by_node = World {
        service: "",
        ..WORLD
    };
    let nowhere = World { users: "", ..WORLD };
    let asks = allow("edge", "when: [{key: source.ip, values: [192.0.2.0/24]}]");
    let asks_web = allow("web", "when: [{key: remote.ip, values: [192.0.2.0/24]}]");
    let does_not = allow("edge", "to: [{operation: {methods: [GET]}}]");
    let has = |world: &World<'_>, policy: &str, code: &str| {
        world.codes(policy).iter().any(|it| it == code)
    };
    assert!(has(&by_node, &asks, "HS0173"));
    assert!(!has(&WORLD, &asks, "HS0173") && !has(&by_node, &does_not, "HS0173"));
    assert!(has(&nowhere, &asks, "HS0172") && has(&nowhere, &asks_web, "HS0172"));
    assert!(!has(&WORLD, &asks, "HS0172") && !has(&nowhere, &does_not, "HS0172"));
    // They are somewhere in a range that is set aside.
    assert!(nowhere.lets_in("edge", "source.ip", "203.0.113.0/24"));
}
