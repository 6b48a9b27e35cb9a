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
    metadata: {{labels: {{app: {name}, apart: \"true\"}}}}
    spec:
      containers: [{{name: main, image: i}}]
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            - {{labelSelector: {{matchLabels: {{apart: \"true\"}}}}, topologyKey: kubernetes.io/hostname}}
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

/// A Deployment in the ambient mesh or not.
fn ambient_deployment(name: &str, app: &str, replicas: u32, is_ambient: bool) -> String {
    let mode = if is_ambient { "ambient" } else { "none" };
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {app}, is: {name}}}}}
  template:
    metadata: {{labels: {{app: {app}, is: {name}, istio.io/dataplane-mode: {mode}}}}}
    spec: {{containers: [{{name: main, image: i}}]}}
---
"
    )
}

#[test]
fn pods_that_are_gone_keep_their_share_of_connections_at_every_age() {
    let spec = format!(
        "{BEHAVIOR}  traffic:\n{}  timeline:\n{}    - {{at: {DARK}s, delete-pod: {{workload: web}}}}\n{}",
        looks("browser", 20).replace("timeout: none", "timeout: none, protocol: http1-close"),
        outage(DOWN),
        to_the_end()
    );
    let manifests = [
        ambient_deployment("browser", "browser", 1, true),
        ambient_deployment("web", "web", 2, false),
        service("web"),
    ];
    let scenario = ambient_mesh(30, 3, &spec, &manifests.concat());
    let record = record(&scenario, 0);
    for source in &record.traffic {
        // Four standard deviations of 200 connections, of which nobody tries one again.
        let share = (source.sent - source.succeeded) as f64 / source.sent as f64;
        assert!((share - 0.5).abs() < 0.15, "{share}");
    }
}

#[test]
fn new_pods_are_made_at_every_age_and_take_part_in_nothing() {
    // No webhook stands in their way, and kubelets find them ready.
    for kind in [DOWN, CUT_OFF] {
        let spec = format!(
            "{WITH_LATE}  traffic:\n{}  timeline:\n{}    - {{at: {DARK}s, scale: {{workload: late, replicas: 1}}}}\n{}",
            looks("plain", 20).replace("timeout: none", "timeout: none, protocol: http1-close"),
            outage(kind),
            to_the_end()
        );
        let manifests = [
            ambient_deployment("plain", "plain", 1, false),
            ambient_deployment("web", "web", 1, false),
            ambient_deployment("late", "web", 0, true),
            service("web"),
        ];
        let scenario = ambient_mesh(30, 3, &spec, &manifests.concat());
        assert!(pods(&scenario, "late", DARK + AGES[0])[0].ready, "{kind}");
        let record = record(&scenario, 0);
        // Nodes' rules send half of what comes from outside of the mesh there.
        for source in &record.traffic {
            let reset = source.failures[Reason::Reset as usize];
            assert_eq!(reset, source.sent - source.succeeded, "{kind}");
            let share = reset as f64 / source.sent as f64;
            assert!((share - 0.5).abs() < 0.15, "{kind} {share}");
        }
        let late = workload(&scenario, "late");
        assert_eq!(record.workloads[late.index()].arrived, 0, "{kind}");
    }
}

#[test]
fn machines_that_start_again_are_out_of_the_mesh_until_istiod_is_back() {
    for kind in [DOWN, CUT_OFF] {
        for age in AGES {
            // Its ztunnel tries again within 15 s.
            let spec = restarted(kind, age, (16, 60), "timeout: none, protocol: http1-close");
            let manifests = [
                spread("browser", 3),
                ambient_deployment("web", "shop", 1, false),
                "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: shop}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
"
                .to_owned(),
            ];
            let scenario = ambient_mesh(30, 3, &spec, &manifests.concat());
            let record = record(&scenario, 0);
            let [during, after] = during_and_after(&scenario, &record);
            let refused = during.failures[Reason::Refused as usize];
            let failed = during.sent - during.succeeded;
            assert_eq!((refused, failed), (30, 30), "{kind} {age}");
            assert_eq!(after.succeeded, after.sent, "{kind} {age}");
        }
    }
}
