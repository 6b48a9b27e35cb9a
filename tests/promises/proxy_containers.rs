//! How the container of a proxy starts and ends beside its application's, as settings of the mesh
//! say it.

use crate::shop::failed;
use crate::support::Manifests;
use cloud::record::Reason;
use cloud::{Options, compile, facts, simulate};
use engine::Seed;
use loader::File;

/// A pod that asks ten times a second is deleted, runs on for 20 s because of its hook, and has
/// another beside it that asks as often.
const WORLD: &str = r#"
apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {name: proxy-containers}
spec:
  clusters:
    - name: cluster
      region: local
      kubernetes: "1.33"
      nodePools: [{name: node, count: 2, cpu: 8, memory: 16Gi}]
      istio: {version: "1.30", injectedNamespaces: [default]}
  behavior: {web: {serviceTime: 5ms}, client: {onStop: drain}}
  traffic:
    - {name: calls, from: client, to: "web:80", arrivals: {constant: 20/s}, timeout: 1s, protocol: http1-close}
  timeline: [{at: 3s, delete-pod: {workload: client}}]
  run: {duration: 30s, analysis: terminating, replications: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: client}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client}}
    spec:
      containers: [{name: client, image: client, lifecycle: {preStop: {sleep: {seconds: 20}}}}]
---
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: istio, namespace: istio-system}
spec:
  components: {pilot: {k8s: {env: [{name: ENABLE_NATIVE_SIDECARS, value: "false"}]}}}
"#;

/// How many requests are refused because their pod's proxy does not run.
fn refused(settings: &str) -> u64 {
    let text = format!("{WORLD}  meshConfig: {{defaultConfig: {{{settings}}}}}\n");
    let file = File {
        name: "proxy-containers.yaml".to_owned(),
        text,
    };
    let loaded = loader::load(&[file], &Manifests(String::new()));
    let says = &loaded.diagnostics;
    let scenario = loaded
        .scenario
        .unwrap_or_else(|| panic!("{settings}: {says:#?}"));
    let record = simulate(&compile(&scenario), Seed::default(), &Options::default());
    failed(&record, Reason::Refused)
}

#[test]
fn an_application_waits_for_its_proxy_where_the_mesh_says_so() {
    const LONG: &str = "terminationDrainDuration: 25s";
    let hold = |hold: bool| refused(&format!("{LONG}, holdApplicationUntilProxyStarts: {hold}"));
    assert_eq!(hold(true), 0);
    // Ten a second, from the application's start until its proxy has been made and has started; a
    // little later it has heard from istiod and had its certificate.
    let least = facts::CONTAINER_START.value + facts::SIDECAR_START_UP.value;
    let least = least.as_nanos() / 100_000_000;
    let count = hold(false);
    assert!(
        (least..least + 6).contains(&count),
        "{count}, at least {least}"
    );
}

#[test]
fn a_proxy_drains_for_as_long_as_its_settings_say() {
    let drains = |settings: &str| {
        let settings = format!("holdApplicationUntilProxyStarts: true, {settings}");
        refused(&settings)
    };
    // Of the 20 s that the application has left, ten requests of each that its proxy has not.
    for (settings, lasts) in [
        ("terminationDrainDuration: 12s", 12),
        // The first look is a second after the least wait, and finds that nothing passes.
        (
            "proxyMetadata: {EXIT_ON_ZERO_ACTIVE_CONNECTIONS: \"true\"}",
            6,
        ),
        (
            "proxyMetadata: {EXIT_ON_ZERO_ACTIVE_CONNECTIONS: \"true\", MINIMUM_DRAIN_DURATION: 12s}",
            13,
        ),
        // Without the other it means nothing: five seconds, as ever.
        ("proxyMetadata: {MINIMUM_DRAIN_DURATION: 12s}", 5),
    ] {
        let (count, expected) = (drains(settings), 10 * (20 - lasts));
        assert!(
            count.abs_diff(expected) <= 1,
            "{settings}: {count} of {expected}"
        );
    }
}
