//! TCPRoutes and TLSRoutes at work: connections through gateways that istiod serves, and from
//! sidecars, go where they say.

use crate::cli::inspect;
use cloud::record::{Reason, Record};
use cloud::scenario::Scenario;
use cloud::{Options, compile, simulate};
use engine::Seed;
use loader::File;

/// Requests of each source.
const ASKED: u64 = 1_000;

/// Two databases, each with a port that clients encrypt by themselves, and a client in the mesh.
fn databases() -> String {
    let one = |name: &str| {
        format!(
            "---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: tcp, port: 5432}}, {{name: tls, port: 8443}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: [{{name: {name}, image: d}}]}}}}
"
        )
    };
    let client = "---
apiVersion: apps/v1
kind: Deployment
metadata: {name: client}
spec:
  selector: {matchLabels: {app: client}}
  template: {metadata: {labels: {app: client}}, spec: {containers: [{name: client, image: c}]}}
";
    one("old") + &one("new") + client
}

/// A source asks this, in a mesh of this release with these objects.
fn text(minor: u32, (from, to): (&str, &str), objects: &str) -> String {
    format!(
        "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {{name: connections}}
spec:
  clusters:
    - name: cluster
      region: aws/us-west-2
      zones: [a]
      kubernetes: \"1.33\"
      nodePools: [{{name: node, count: 3, cpu: 8, memory: 16Gi}}]
      istio: {{version: \"1.{minor}\", injectedNamespaces: [default]}}
  users: [{{name: people, region: aws/us-west-2}}]
  behavior: {{old: {{serviceTime: 1ms, workers: unlimited}}, new: {{serviceTime: 1ms, workers: unlimited}}}}
  traffic:
    - {{name: all, from: {from}, to: \"http://{to}\", protocol: http1-close, arrivals: {{constant: 50/s}}, timeout: none}}
  run: {{duration: 20s, analysis: terminating, replications: 1}}
---
{objects}{}",
        databases()
    )
}

/// How many requests each database has finished, and how many failed for a reason.
struct Served {
    old: u64,
    new: u64,
    record: Record,
}

impl Served {
    fn of(text: String) -> Served {
        let file = File {
            name: "connections.yaml".to_owned(),
            text,
        };
        let loaded = loader::load(&[file], &crate::support::Project);
        let told = loaded.diagnostics;
        let scenario: Scenario = loaded.scenario.unwrap_or_else(|| panic!("{told:#?}"));
        let record = simulate(&compile(&scenario), Seed::default(), &Options::default());
        let workloads = scenario.clusters[0].workloads.iter();
        let all = || workloads.clone().zip(&record.workloads);
        let of = |name: &str| {
            all()
                .find(|(it, _)| it.name == name)
                .expect("it is there")
                .1
        };
        let [old, new] = ["old", "new"].map(|name| of(name).finished);
        Served { old, new, record }
    }

    fn failed(&self, reason: Reason) -> u64 {
        self.record.traffic[0].failures[reason as usize]
    }

    /// Whether these and nothing else happened, but for the last that may be on its way.
    fn is(&self, old: u64, new: u64) -> bool {
        (self.old + 1 >= old && self.old <= old) && (self.new + 1 >= new && self.new <= new)
    }
}

/// Whether all but the last failed for this reason.
fn all_failed(served: &Served, reason: Reason) -> bool {
    (served.old, served.new) == (0, 0) && served.failed(reason) + 1 >= ASKED
}

fn gateway(listener: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec: {{gatewayClassName: istio, listeners: [{{name: raw, port: 9000, {listener}}}]}}
---
"
    )
}

fn route(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1alpha2
kind: {kind}
metadata: {{name: {name}}}
spec: {{{spec}}}
---
"
    )
}

const EDGE: (&str, &str) = ("people", "edge-istio.default:9000/");
const SPLIT: &str =
    "rules: [{backendRefs: [{name: old, port: 5432, weight: 3}, {name: new, port: 5432}]}]";

#[test]
fn connections_through_a_gateway_share_by_weight() {
    let objects = gateway("protocol: TCP")
        + &route(
            "TCPRoute",
            "db",
            &format!("parentRefs: [{{name: edge}}], {SPLIT}"),
        );
    let served = Served::of(text(31, EDGE, &objects));
    assert!(served.old + served.new + 1 >= ASKED);
    // A quarter, by four standard deviations.
    assert!((195..=305).contains(&served.new), "{}", served.new);
    // Without TCPRoutes, and so without a listener, nobody is there.
    let served = Served::of(text(30, EDGE, &objects));
    assert!(all_failed(&served, Reason::Refused));
    let served = Served::of(text(31, EDGE, &gateway("protocol: TCP")));
    assert!(all_failed(&served, Reason::Refused));
}

#[test]
fn connections_whose_backend_leads_nowhere_are_closed() {
    for backends in [
        "{name: old, port: 5432, weight: 0}",
        "{name: old, namespace: away, port: 5432}",
        "{name: none, port: 5432}",
    ] {
        let spec = format!("parentRefs: [{{name: edge}}], rules: [{{backendRefs: [{backends}]}}]");
        let objects = gateway("protocol: TCP") + &route("TCPRoute", "db", &spec);
        let served = Served::of(text(31, EDGE, &objects));
        assert!(all_failed(&served, Reason::NoCluster), "{backends}");
    }
}

#[test]
fn tls_that_passes_a_gateway_is_routed_by_the_name_that_is_asked_for() {
    let to = |name: &str, host: &str| {
        let spec = format!(
            "parentRefs: [{{name: edge}}], hostnames: ['{host}'], rules: [{{backendRefs: [{{name: {name}, port: 8443}}]}}]"
        );
        route("TLSRoute", name, &spec)
    };
    let past = "protocol: TLS, tls: {mode: Passthrough}, hostname: '*.default'";
    let wide = gateway(past) + &to("old", "*.default");
    let objects = wide.clone() + &to("new", "edge-istio.default");
    assert!(Served::of(text(30, EDGE, &wide)).is(ASKED, 0));
    assert!(Served::of(text(30, EDGE, &objects)).is(0, ASKED));
    // The listener is not for it, whatever the route says.
    let other = ("people", "edge-istio:9000/");
    let everything = gateway(past) + &to("old", "*");
    assert!(all_failed(
        &Served::of(text(30, other, &everything)),
        Reason::Reset
    ));
    // Before 1.30 istiod has to be told that it shall read them.
    let unread = Served::of(text(29, EDGE, &objects));
    assert!(all_failed(&unread, Reason::Refused));
}

#[test]
fn tls_that_a_gateway_ends_goes_on_by_tlsroutes_and_tcproutes() {
    let listener =
        "protocol: TLS, tls: {certificateRefs: [{name: db}]}, hostname: edge-istio.default";
    let spec = format!("parentRefs: [{{name: edge}}], {SPLIT}");
    for (kind, minor) in [("TLSRoute", 30), ("TCPRoute", 31)] {
        let objects = gateway(listener) + &route(kind, "db", &spec);
        let served = Served::of(text(minor, EDGE, &objects));
        assert!(served.old + served.new + 1 >= ASKED, "{kind}");
        assert!((195..=305).contains(&served.new), "{kind} {}", served.new);
        let other = ("people", "edge-istio:9000/");
        let served = Served::of(text(minor, other, &objects));
        assert!(all_failed(&served, Reason::Reset), "{kind}");
    }
}

#[test]
fn routes_whose_parent_is_a_service_act_at_its_clients() {
    let parent = "parentRefs: [{group: '', kind: Service, name: old}]";
    let to_new =
        |port: u16| format!("{parent}, rules: [{{backendRefs: [{{name: new, port: {port}}}]}}]");
    let with = |objects: &str, port: u16| {
        let to = format!("old.default.svc.cluster.local:{port}/");
        Served::of(text(31, ("client", &to), objects))
    };
    let tcp = route("TCPRoute", "db", &to_new(5_432));
    assert!(with(&tcp, 5_432).is(0, ASKED));
    // What clients encrypt is not for it, but for TLSRoutes.
    assert!(with(&tcp, 8_443).is(ASKED, 0));
    let tls = route("TLSRoute", "db", &to_new(8_443));
    assert!(with(&tls, 8_443).is(0, ASKED));
    assert!(with(&tls, 5_432).is(ASKED, 0));
    // Nobody asks for this name, and the rest is not routed.
    let other = route(
        "TLSRoute",
        "db",
        &format!("{}, hostnames: [other.example]", to_new(8_443)),
    );
    assert!(with(&other, 8_443).is(ASKED, 0));
}

#[test]
fn inspect_shows_listeners_of_connections() {
    let objects = gateway("protocol: TLS, tls: {mode: Passthrough}")
        + &route(
            "TLSRoute",
            "db",
            "parentRefs: [{name: edge}], hostnames: [db.example, '*.b.example'], rules: [{backendRefs: [{name: new, port: 8443}]}]",
        );
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("connections.yaml");
    std::fs::write(&path, text(31, EDGE, &objects)).expect("a place for the scenario");
    let path = path.to_str().expect("a path of letters");
    assert_eq!(
        inspect(&["listeners", path, "--at", "9s", "--proxy", "edge-istio"]),
        "\
ADDRESSES PORT MATCH                       DESTINATION
0.0.0.0   9000 SNI: db.example,*.b.example Cluster: outbound|8443||new.default.svc.cluster.local
"
    );
}
