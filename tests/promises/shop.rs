//! A shop in a mesh, as several promises run it.

use crate::support::{Manifests, Mesh, faultless};
use cloud::record::{Reason, Record};
use cloud::{Options, compile, simulate};
use engine::Seed;
use loader::Loaded;

/// A shop in a mesh: a browser asks `web`, in two versions, which asks `api`.
pub const SHOP: &str = "
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

/// What the browser asks of `web`, by path and with what else, `web`'s call of `api`, and what
/// else stands in the Scenario, with these manifests besides the shop's.
pub fn load(request: (&str, &str), call: &str, rest: &str, manifests: &str) -> Loaded {
    load_with("", request, (call, rest), manifests)
}

/// The same, with what further workloads do.
pub fn load_with(
    behavior: &str,
    (path, request): (&str, &str),
    (call, rest): (&str, &str),
    manifests: &str,
) -> Loaded {
    let spec = format!(
        "  behavior:
    web: {{serviceTime: 1ms, workers: unlimited, calls: [{{to: \"api:80\"{call}}}]}}
    api: {{serviceTime: 1ms, workers: unlimited}}
{behavior}  traffic:
    - {{name: users, from: browser, to: \"http://web{path}\", arrivals: {{constant: 20/s}}, timeout: none{request}}}
  run: {{duration: 10s, analysis: terminating, replications: 1}}
{rest}"
    );
    let manifests = Manifests(format!("{SHOP}{manifests}"));
    Mesh::default().load(&spec, &manifests)
}

/// What one replication leaves behind.
pub fn run(request: (&str, &str), call: &str, manifests: &str) -> Record {
    let scenario = faultless(load(request, call, "", manifests));
    simulate(&compile(&scenario), Seed::default(), &Options::default())
}

/// Requests of the browser that failed for a reason.
pub fn failed(record: &Record, reason: Reason) -> u64 {
    record.traffic[0].failures[reason as usize]
}

/// A service that proxies ask about requests.
pub fn asked_service(name: &str, port: u16) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: grpc, port: {port}, targetPort: {port}}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: [{{name: {name}, image: r}}]}}}}
---
"
    )
}
