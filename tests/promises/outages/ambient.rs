//! The same of the ambient mesh, whose certificates and views are those of ztunnels.

use super::*;

/// A Deployment whose pods stand on machines of their own.
fn spread(name: &str, replicas: u32) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers: [{{name: main, image: i}}]
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            - {{labelSelector: {{matchExpressions: [{{key: app, operator: In, values: [browser, web]}}]}}, topologyKey: kubernetes.io/hostname}}
---
"
    )
}

/// `browser` and `web` on so many machines in all, where istiod of a minor version is away for good.
fn fleet(minor: u32, machines: u32, attempts: &str) -> Scenario {
    let spec = format!(
        "{BEHAVIOR}  traffic:\n{}  timeline:\n{}{}",
        looks("browser", 40).replace("timeout: none", attempts),
        outage(DOWN),
        to_the_end()
    );
    let manifests = [
        spread("browser", machines / 2),
        spread("web", machines / 2),
        service("web"),
    ];
    ambient_mesh(minor, machines, &spec, &manifests.concat())
}

fn ambient_mesh(minor: u32, machines: u32, spec: &str, manifests: &str) -> Scenario {
    let istio = format!("version: \"1.{minor}\", ambientNamespaces: [default]");
    mesh_of(&istio, machines, spec, manifests, "")
}

#[test]
fn new_tunnels_fail_as_certificates_of_ztunnels_run_out() {
    // As those of sidecars; but nobody tries again, so that both ends count each time.
    let share = |minor| {
        failed(
            &fleet(minor, 80, "timeout: none, protocol: http1-close"),
            10,
        )
    };
    let [soon, hour, morning, day] = share(30);
    assert_eq!([soon, hour, day], [0.0, 0.0, 1.0]);
    let both_last = |expired: f64| 1.0 - (1.0 - expired) * (1.0 - expired);
    // Three standard deviations of 400 clients, 400 servers and 4,000 requests.
    let exact = both_last(1.0 / 12.0);
    assert!((morning - exact).abs() < 0.06, "{morning} {exact}");
    // Before 1.28 what cannot be renewed is given up: a twelfth of them in each hour.
    let [soon, hour, morning, day] = share(27);
    assert!(soon < 0.01, "{soon}");
    let exact = both_last(1.0 / 12.0);
    assert!((hour - exact).abs() < 0.06, "{hour} {exact}");
    assert_eq!([morning, day], [1.0, 1.0]);
}
