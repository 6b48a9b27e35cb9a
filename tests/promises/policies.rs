//! Policies of sidecars, as users write them: what requests meet under unmodified manifests.

use cloud::record::{Reason, Record};
use cloud::{Options, compile, simulate};
use engine::Seed;
use loader::{Diagnostic, File, Library, Loaded, Severity};

/// A shop in a mesh: a browser asks `web`, in two versions, which asks `api`.
const SHOP: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: browser}
spec:
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
  selector: {matchLabels: {app: web, version: v1}}
  template: {metadata: {labels: {app: web, version: v1}}, spec: {containers: [{name: web, image: w}]}}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {selector: {app: api}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  selector: {matchLabels: {app: api, version: v1}}
  template: {metadata: {labels: {app: api, version: v1}}, spec: {containers: [{name: api, image: a}]}}
---
";

/// Manifests in place of files.
pub struct Manifests(pub String);

impl Library for Manifests {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        let name = path.to_owned();
        let text = self.0.clone();
        Ok(vec![File { name, text }])
    }
}

/// What the browser asks of `web`, by path and with what else, `web`'s call of `api`, and what
/// else stands in the Scenario, with these manifests besides the shop's.
pub fn load((path, request): (&str, &str), call: &str, rest: &str, manifests: &str) -> Loaded {
    let text = format!(
        "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {{name: policies}}
spec:
  clusters:
    - name: cluster
      region: local
      zones: [a]
      kubernetes: \"1.33\"
      nodePools: [{{name: node, count: 3, cpu: 8, memory: 16Gi}}]
      manifests: [shop.yaml]
      istio: {{version: \"1.30\", injectedNamespaces: [default]}}
  behavior:
    web: {{serviceTime: 1ms, workers: unlimited, calls: [{{to: \"api:80\"{call}}}]}}
    api: {{serviceTime: 1ms, workers: unlimited}}
  traffic:
    - {{name: users, from: browser, to: \"http://web{path}\", arrivals: {{constant: 20/s}}, timeout: none{request}}}
  run: {{duration: 10s, analysis: terminating, replications: 1}}
{rest}"
    );
    let file = File {
        name: "policies.yaml".to_owned(),
        text,
    };
    loader::load(&[file], &Manifests(format!("{SHOP}{manifests}")))
}

/// What one replication leaves behind.
pub fn run(request: (&str, &str), call: &str, manifests: &str) -> Record {
    let loaded = load(request, call, "", manifests);
    let told = loaded.diagnostics;
    let is_wrong = |it: &Diagnostic| it.severity == Severity::Error;
    assert!(!told.iter().any(is_wrong), "{told:#?}");
    let scenario = loaded.scenario.expect("a text without problems");
    simulate(&compile(&scenario), Seed::default(), &Options::default())
}

/// Requests of the browser that failed for a reason.
fn failed(record: &Record, reason: Reason) -> u64 {
    record.traffic[0].failures[reason as usize]
}

/// Lets in what has this path and this header.
fn guard(app: &str, path: &str, header: &str) -> String {
    format!(
        "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: {app}}}
spec:
  selector: {{matchLabels: {{app: {app}}}}}
  rules:
    - to: [{{operation: {{paths: [{path}]}}}}]
      when: [{{key: \"request.headers[stage]\", values: [{header}]}}]
---
"
    )
}

#[test]
fn policies_behind_a_route_see_what_it_changed() {
    let route = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http:
    - match: [{uri: {prefix: /shop}}]
      rewrite: {uri: /v2}
      headers: {request: {set: {stage: canary}}}
      route: [{destination: {host: web}}]
    - route: [{destination: {host: web}}]
---
";
    let behind = guard("web", "/v2/cart", "canary");
    let before = guard("web", "/shop/cart", "canary");
    for (path, policy, refused) in [
        ("/shop/cart", &behind, 0),
        ("/other", &behind, 200),
        ("/shop/cart", &before, 200),
    ] {
        let record = run((path, ""), "", &format!("{route}{policy}"));
        assert_eq!(failed(&record, Reason::Forbidden), refused, "{path}");
        assert_eq!(record.traffic[0].succeeded, 200 - refused, "{path}");
    }
}

#[test]
fn applications_hand_on_headers_that_a_route_has_set() {
    let route = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{group: \"\", kind: Service, name: web, port: 80}]
  rules:
    - filters:
        - type: RequestHeaderModifier
          requestHeaderModifier: {set: [{name: Stage, value: canary}], remove: [secret]}
      backendRefs: [{name: web, port: 80}]
---
";
    let manifests = format!("{route}{}", guard("api", "/", "canary"));
    for (call, succeeded) in [
        ("", 0),
        (", forwardHeaders: [stage]", 200),
        (", forwardHeaders: [secret]", 0),
    ] {
        let record = run(("", ", headers: {secret: canary}"), call, &manifests);
        assert_eq!(record.traffic[0].succeeded, succeeded, "{call}");
        assert_eq!(
            failed(&record, Reason::DependencyFailed),
            200 - succeeded,
            "{call}"
        );
    }
}

#[test]
fn expectations_ask_for_response_flags() {
    let route = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http:
    - fault: {abort: {httpStatus: 503, percentage: {value: 100}}}
      route: [{destination: {host: web}}]
";
    let expect = "  expect:
    - {measure: flagged, flag: FI, workload: browser, service: web, atLeast: 100%}
    - {measure: flagged, flag: FI, service: api, atLeast: 1%}
    - {measure: flagged, flag: UO, atMost: 0%}
";
    let loaded = load(("", ""), "", expect, route);
    let scenario = loaded.scenario.expect("a text without problems");
    let topology = compile(&scenario);
    let record = simulate(&topology, Seed::default(), &Options::default());
    let summary = cloud::summarize(&topology, &[record], &cloud::WarmUp::NONE);
    let found = summary.verdicts.iter().map(|verdict| {
        let found = verdict.found.as_ref().map(|found| found.value);
        (verdict.statement.as_str(), found)
    });
    let expected = [
        (
            "requests from cluster/default/browser to cluster/default/web with FI at least 100 %",
            Some(1.0),
        ),
        // Nobody got so far as to ask it.
        ("requests to cluster/default/api with FI at least 1 %", None),
        ("requests with UO at most 0 %", Some(0.0)),
    ];
    assert_eq!(found.collect::<Vec<_>>(), expected);
    let rows: Vec<_> = summary
        .flags
        .iter()
        .map(|row| (row.status, row.flags.as_str(), row.count))
        .collect();
    assert_eq!(rows, [(503, "FI", 200)]);
}
