//! Limits at the server's side, as users write them: how many requests a sidecar lets its
//! application have, what becomes of the others, and where the application listens.

use crate::support::{Manifests, Mesh, faultless};
use cloud::record::{Reason, Record, Reporter};
use cloud::{Options, compile, simulate};
use engine::Seed;

/// Two browsers, and a server with one thread in its sidecar.
const WORLD: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: browser}
spec:
  replicas: 2
  selector: {matchLabels: {app: browser}}
  template: {metadata: {labels: {app: browser}}, spec: {containers: [{name: browser, image: b}]}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {proxy.istio.io/config: \"concurrency: 1\"}}
    spec: {containers: [{name: web, image: w, ports: [{containerPort: 8080}, {containerPort: 9090}]}]}
---
";

/// What comes within a second of a hundred requests, of which the last ten are then with the
/// server, which needs 95 ms for each.
fn run(protocol: &str, manifests: &str) -> Record {
    run_to("http://web", protocol, manifests)
}

fn run_to(to: &str, protocol: &str, manifests: &str) -> Record {
    let spec = format!(
        "  behavior: {{web: {{serviceTime: 95ms, workers: unlimited}}}}
  traffic:
    - {{name: users, from: browser, to: \"{to}\", protocol: {protocol}, arrivals: {{constant: 100/s}}, timeout: none}}
  run: {{duration: 1s, analysis: terminating, replications: 1}}
"
    );
    let manifests = Manifests(format!("{WORLD}{manifests}"));
    let loaded = Mesh::default().load(&spec, &manifests);
    let scenario = faultless(loaded);
    simulate(&compile(&scenario), Seed::default(), &Options::default())
}

/// How many requests the sidecars of one side logged, by status and flags.
fn logged(record: &Record, reporter: Reporter) -> Vec<(u16, String, u64)> {
    let of_side = record.flags.iter().filter(|it| it.reporter == reporter);
    let rows = of_side.flat_map(|it| &it.counts);
    rows.map(|((status, flags), count)| (*status, flags.to_string(), *count))
        .collect()
}

/// How many of them had these.
fn count(record: &Record, reporter: Reporter, of: (u16, &str)) -> u64 {
    let rows = logged(record, reporter).into_iter();
    let ours = rows.filter(|(status, flags, _)| (*status, flags.as_str()) == of);
    ours.map(|(_, _, count)| count).sum()
}

fn sidecar(spec: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: web}}
spec:
  workloadSelector: {{labels: {{app: web}}}}
{spec}
---
"
    )
}

const TWO_AND_THREE: &str = "{tcp: {maxConnections: 2}, http: {http1MaxPendingRequests: 3}}";

#[test]
fn a_sidecar_lets_its_application_have_so_many_requests() {
    assert_eq!(run("http1", "").traffic[0].succeeded, 90);
    let ingress = format!(
        "  ingress: [{{port: {{number: 8080, name: http, protocol: HTTP}}, connectionPool: {TWO_AND_THREE}}}]"
    );
    for spec in [
        format!("  inboundConnectionPool: {TWO_AND_THREE}"),
        // What is said of the port goes before what is said of all.
        format!("{ingress}\n  inboundConnectionPool: {{http: {{http2MaxRequests: 1}}}}"),
    ] {
        let record = run("http1", &sidecar(&spec));
        // Each of two connections carries one request for 95 ms, again and again, and three wait
        // behind these.
        let succeeded = record.traffic[0].succeeded;
        assert!((18..=20).contains(&succeeded), "{spec}: {succeeded}");
        let rows = logged(&record, Reporter::Destination);
        let expected = [
            (200, "-".to_owned(), succeeded),
            (503, "UO".to_owned(), 95 - succeeded),
        ];
        assert_eq!(rows, expected, "{spec}");
        // Clients have an answer, of somebody else's making.
        let rows = logged(&record, Reporter::Source);
        assert!(
            rows.iter().all(|(_, flags, _)| !flags.contains("UO")),
            "{rows:?}"
        );
    }
}

#[test]
fn streams_share_a_connection_where_the_protocol_of_clients_is_kept() {
    let upgraded = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec: {host: web, trafficPolicy: {connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}}
---
";
    let pool = |kept: bool| {
        let limited = sidecar(&format!(
            "  inboundConnectionPool: {{tcp: {{maxConnections: 1}}, http: {{http1MaxPendingRequests: 1, useClientProtocol: {kept}}}}}"
        ));
        format!("{upgraded}{limited}")
    };
    assert_eq!(run("http2", &pool(true)).traffic[0].succeeded, 90);
    let one_by_one = run("http2", &pool(false)).traffic[0].succeeded;
    assert!((9..=10).contains(&one_by_one), "{one_by_one}");
}

#[test]
fn rules_for_everybody_limit_servers_as_well() {
    let rule = |selector: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: web}}
spec: {{host: web, {selector}trafficPolicy: {{connectionPool: {{http: {{http2MaxRequests: 4}}}}}}}}
---
"
        )
    };
    let overflows = |manifests: &str| {
        let record = run("http1", manifests);
        count(&record, Reporter::Destination, (503, "UO"))
    };
    // Two clients have four requests each under way, of which the server takes four.
    assert!(overflows(&rule("")) > 20);
    // A rule for some clients does not count for their servers.
    let selector = "workloadSelector: {matchLabels: {app: browser}}, ";
    assert_eq!(overflows(&rule(selector)), 0);
    // What the Sidecar says counts in its place.
    let wide = sidecar("  inboundConnectionPool: {http: {http2MaxRequests: 100}}");
    assert_eq!(overflows(&format!("{}{wide}", rule(""))), 0);
    // A rule that the Sidecar does not let in is not known.
    let apart = sidecar("  egress: [{hosts: [istio-system/*]}]");
    assert_eq!(overflows(&format!("{}{apart}", rule(""))), 0);
}

#[test]
fn an_application_is_found_where_it_listens() {
    for (endpoint, succeeded) in [
        ("127.0.0.1:9090", 90),
        ("0.0.0.0:8080", 90),
        ("unix:///run/web.sock", 90),
        // Without an address connections go where they came for.
        (":8000", 90),
        ("127.0.0.1:8000", 0),
    ] {
        let spec = format!(
            "  ingress: [{{port: {{number: 8080, name: http, protocol: HTTP}}, defaultEndpoint: \"{endpoint}\"}}]"
        );
        let record = run("http1", &sidecar(&spec));
        assert_eq!(record.traffic[0].succeeded, succeeded, "{endpoint}");
        let flagged = count(&record, Reporter::Destination, (503, "URX,UF"));
        // Clients try again what was refused there.
        assert_eq!(flagged > 0, succeeded == 0, "{endpoint}");
    }
}

#[test]
fn retries_at_an_application_are_limited() {
    let run = |limit: &str| {
        let spec = format!(
            "  ingress: [{{port: {{number: 8080, name: http, protocol: HTTP}}, defaultEndpoint: \"127.0.0.1:8000\"{limit}}}]"
        );
        let record = run("http1", &sidecar(&spec));
        count(&record, Reporter::Destination, (503, "UO,UF"))
    };
    assert_eq!(run(""), 0);
    assert!(run(", connectionPool: {http: {maxRetries: 1}}") > 0);
}

/// A port of the server that carries no HTTP, with this policy for its whole host.
fn raw(policy: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: raw}}
spec: {{selector: {{app: web}}, ports: [{{name: tcp, port: 5432, targetPort: 8080}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: raw}}
spec: {{host: raw, trafficPolicy: {{{policy}}}}}
---
"
    )
}

#[test]
fn connections_of_tcp_break_when_their_time_is_up() {
    let broken = |to: &str, policy: &str| {
        let record = run_to(to, "http1", &raw(policy));
        let traffic = &record.traffic[0];
        let resets = traffic.failures[Reason::Reset as usize];
        assert_eq!(resets, traffic.failures.iter().sum::<u64>(), "{policy}");
        let too_old = count(&record, Reporter::Source, (503, "DT"));
        (traffic.succeeded, resets, too_old)
    };
    let tcp = "raw:5432";
    // Ninety requests have their answer within the second, which comes after 95 ms.
    let usual = broken(tcp, "connectionPool: {tcp: {idleTimeout: 1h}}");
    assert_eq!((usual.1, usual.2), (0, 0));
    assert!((89..=91).contains(&usual.0), "{usual:?}");
    // Nothing comes or goes while the server works.
    let idle = broken(tcp, "connectionPool: {tcp: {idleTimeout: 50ms}}");
    assert_eq!((idle.0, idle.2), (0, 0));
    assert!((93..=96).contains(&idle.1), "{idle:?}");
    assert_eq!(
        broken(tcp, "connectionPool: {tcp: {idleTimeout: 0s}}"),
        usual
    );
    // Connections of 300 ms carry three requests, and end with a fourth.
    let lasting = broken(tcp, "connectionPool: {tcp: {maxConnectionDuration: 300ms}}");
    assert!((15..=40).contains(&lasting.1), "{lasting:?}");
    assert_eq!(lasting.1, lasting.2);
    // Only what is said of the whole host counts, whatever is said of HTTP.
    let of_port =
        "portLevelSettings: [{port: {number: 5432}, connectionPool: {tcp: {idleTimeout: 50ms}}}]";
    assert_eq!(broken(tcp, of_port), usual);
    let of_http = "connectionPool: {http: {idleTimeout: 50ms, maxRequestsPerConnection: 1}}";
    assert_eq!(broken(tcp, of_http), usual);
    // Requests of HTTP are waited for.
    let http = raw("connectionPool: {tcp: {idleTimeout: 50ms, maxConnectionDuration: 300ms}}");
    let http = http.replace("name: tcp, port", "name: http, port");
    let record = run_to("http://raw:5432", "http1", &http);
    assert_eq!(record.traffic[0].failures.iter().sum::<u64>(), 0);
}
