//! What annotations of pods and services say to Istio arrives where it acts.

use cloud::istio::config::{
    Audience, ExportTo, Included, InterceptionMode, PodSettings, ProxyResources,
};
use cloud::istio::distribution::Word;
use cloud::istio::protocol::Protocol;
use cloud::scenario::{Scenario, Sidecar};
use engine::Duration;
use hybridsim_loader::ledger::Standing;
use hybridsim_loader::{Code, Diagnostic, File, Library, load};

/// Nothing is read besides what is given.
struct Nothing;

impl Library for Nothing {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        Err(format!("there is no `{path}`"))
    }
}

const SCENARIO: &str = "
apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {name: pods}
spec:
  clusters: [{name: c, region: local, zones: [a], nodePools: [{name: pool, count: 2, cpu: 8, memory: 32Gi}], istio: {injectedNamespaces: [default]}}]
  traffic: [{name: users, from: caller, to: 'web:80', arrivals: {poisson: 10/s}}]
  workloads: {caller: {}}
  run: {duration: 10s}
---
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {networking.istio.io/exportTo: 'shop,.', networking.istio.io/traffic-distribution: preferclose}}
spec:
  selector: {app: web}
  ports: [{name: http-web, port: 80, targetPort: 8080}, {name: http-raw, port: 81, targetPort: 8081, appProtocol: tcp}, {name: raw, port: 82, targetPort: 8082, appProtocol: kubernetes.io/h2c}]
";

fn pod(annotations: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: {{app: web}}
  annotations: {annotations}
spec:
  containers: [{{name: web, image: web, resources: {{requests: {{cpu: 1, memory: 1Gi}}}}, ports: [{{containerPort: 8080}}, {{containerPort: 8081}}, {{containerPort: 8082}}]}}]
"
    )
}

fn loaded(text: &str) -> (Option<Scenario>, Vec<Diagnostic>) {
    let files = [File {
        name: "test.yaml".to_owned(),
        text: text.to_owned(),
    }];
    let loaded = load(&files, &Nothing);
    (loaded.scenario, loaded.diagnostics)
}

/// The sidecar of a pod with these annotations, beside other documents.
fn sidecar(annotations: &str, more: &str) -> Sidecar {
    let text = SCENARIO.to_owned() + &pod(annotations) + more;
    let (scenario, told) = loaded(&text);
    let scenario = scenario.unwrap_or_else(|| panic!("{told:#?}"));
    let mut workloads = scenario.clusters[0].workloads.iter();
    let web = workloads.find(|it| it.name == "web").expect("a pod");
    web.template.sidecar.clone().expect("a sidecar")
}

#[test]
fn annotations_say_which_connections_are_captured() {
    let PodSettings { capture, .. } = sidecar(
        "{traffic.sidecar.istio.io/excludeOutboundPorts: '3306, 27017', \
          traffic.sidecar.istio.io/includeOutboundIPRanges: '10.0.0.0/8', \
          traffic.sidecar.istio.io/includeInboundPorts: '8080,8081'}",
        "",
    )
    .settings;
    assert_eq!(capture.outbound_ports_excluded, [3306, 27017]);
    let ranges = Included::Only(vec!["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(capture.outbound_ranges, ranges);
    assert!(capture.takes_inbound(8080) && !capture.takes_inbound(8082));
    let all = sidecar("{traffic.sidecar.istio.io/includeInboundPorts: '*'}", "");
    assert_eq!(all.settings.capture.inbound_ports, Included::All);
    let none = sidecar("{traffic.sidecar.istio.io/includeInboundPorts: ''}", "");
    let nothing = Included::Only(Vec::new());
    assert_eq!(none.settings.capture.inbound_ports, nothing);
}

#[test]
fn annotations_say_what_a_proxy_is_like() {
    let found = sidecar(
        "{sidecar.istio.io/proxyMemoryLimit: 512Mi, sidecar.istio.io/interceptionMode: TPROXY, sidecar.istio.io/nativeSidecar: 'true'}",
        "",
    );
    let resources = ProxyResources {
        memory_limit_bytes: Some(512 << 20),
        ..ProxyResources::default()
    };
    assert_eq!(found.settings.resources, resources);
    let interception = found.settings.proxy.interception;
    assert_eq!(interception, Some(InterceptionMode::Tproxy));
    assert_eq!(found.settings.is_native, Some(true));
    let found = sidecar(
        "{proxy.istio.io/config: '{concurrency: 5, terminationDrainDuration: 30s, holdApplicationUntilProxyStarts: true}'}",
        "",
    );
    assert_eq!(found.threads, 5);
    let proxy = found.settings.proxy;
    assert_eq!(proxy.termination_drain, Some(Duration::from_secs(30)));
    assert_eq!(proxy.holds_application, Some(true));
}

#[test]
fn objects_and_the_mesh_say_the_rest() {
    let operator = "---
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: install, namespace: istio-system}
spec:
  meshConfig: {defaultConfig: {concurrency: 3, drainDuration: 7s}}
  values: {global: {proxy: {resources: {requests: {cpu: 250m}}}}}
";
    let found = sidecar("{}", operator);
    assert_eq!(found.threads, 3);
    assert_eq!(found.settings.proxy.drain(), Duration::from_secs(7));
    let config = "---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: web}
spec: {selector: {matchLabels: {app: web}}, concurrency: 6}
";
    let own = "{proxy.istio.io/config: 'concurrency: 4'}";
    assert_eq!(sidecar(own, operator).threads, 4);
    let both = operator.to_owned() + config;
    assert_eq!(sidecar(own, &both).threads, 6);
    // What the installation sets of CPU stands beside what it leaves as it is.
    let (scenario, _) = loaded(&(SCENARIO.to_owned() + &pod("{}") + operator));
    let scenario = scenario.unwrap();
    let mut workloads = scenario.clusters[0].workloads.iter();
    let web = workloads.find(|it| it.name == "web").unwrap();
    let requests = &web.template.placement.requests;
    assert_eq!(requests.cpu_milli, 1_250);
    assert_eq!(requests.memory_bytes, (1 << 30) + (128 << 20));
}

#[test]
fn services_say_what_their_ports_carry_and_who_sees_them() {
    let object = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec: {hosts: [web], http: [{route: [{destination: {host: web}}]}]}
";
    let (scenario, told) = loaded(&(SCENARIO.to_owned() + &pod("{}") + object));
    let scenario = scenario.unwrap_or_else(|| panic!("{told:#?}"));
    let istio = scenario.clusters[0].istio.as_ref().expect("Istio");
    let said = &istio.services[&("default".to_owned(), "web".to_owned())];
    assert_eq!(said.protocol(80, Some("http-web")), Protocol::Http);
    assert_eq!(said.protocol(81, Some("http-raw")), Protocol::Tcp);
    assert_eq!(said.protocol(82, Some("raw")), Protocol::Http2);
    let shop = Audience::Namespace("shop".to_owned());
    let seen = ExportTo::Only(vec![shop, Audience::OwnNamespace]);
    assert_eq!(said.export_to, seen);
    assert_eq!(said.distribution, Some(Word::Close));
}

#[test]
fn revisions_inject_what_asks_for_them() {
    let operator = |revision: &str| {
        format!(
            "---
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {{name: install, namespace: istio-system}}
spec: {{revision: {revision}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: shop, labels: {{istio.io/rev: canary}}}}
"
        )
    };
    let in_shop = pod("{}").replace("name: web\n", "name: web\n  namespace: shop\n");
    let service = "---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
";
    let look = |revision: &str| {
        let text = SCENARIO.replace("'web:80'", "'other.shop:80'");
        let text = text + &in_shop + service + &operator(revision);
        let (scenario, told) = loaded(&text);
        let scenario = scenario.unwrap_or_else(|| panic!("{told:#?}"));
        let mut workloads = scenario.clusters[0].workloads.iter();
        let web = workloads.find(|it| it.name == "web").expect("a pod");
        let warned = told.iter().any(|found| found.code == Code::IstioWarns);
        (web.template.sidecar.is_some(), warned)
    };
    assert_eq!(look("canary"), (true, false));
    assert_eq!(look("stable"), (false, true));
}

/// What the simulation reads of the pod's proxy and of the mesh, and how the ledger marks a field.
fn marked(document: &str, path: &str) -> (String, Standing) {
    let text = SCENARIO.to_owned() + &pod("{}") + document;
    let files = [File {
        name: "test.yaml".to_owned(),
        text,
    }];
    let loaded = load(&files, &Nothing);
    let told = &loaded.diagnostics;
    let scenario = loaded.scenario.unwrap_or_else(|| panic!("{told:#?}"));
    let cluster = &scenario.clusters[0];
    let mut workloads = cluster.workloads.iter();
    let web = workloads.find(|it| it.name == "web").expect("a pod");
    let sidecar = web.template.sidecar.as_ref().expect("a sidecar");
    let looks = format!(
        "{} {:?} {:?} {:?}",
        sidecar.threads,
        web.template.placement.requests,
        cluster.mesh.as_ref().map(|mesh| mesh.istio_minor),
        sidecar.settings,
    );
    let mut entries = loaded.ledger.documents.iter().flat_map(|it| &it.entries);
    let entry = entries.find(|entry| entry.path == path);
    let entry = entry.unwrap_or_else(|| panic!("{path} is not in the ledger"));
    (looks, entry.standing)
}

#[test]
fn what_an_installation_says_about_proxies_is_marked_as_acting_where_it_acts() {
    let operator = |spec: &str| {
        format!(
            "---
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {{name: install, namespace: istio-system}}
spec: {spec}
"
        )
    };
    let settings = |said: &str| operator(&format!("{{meshConfig: {{defaultConfig: {{{said}}}}}}}"));
    let resources = |said: &str| {
        operator(&format!(
            "{{values: {{global: {{proxy: {{resources: {{requests: {{{said}}}}}}}}}}}}}"
        ))
    };
    for (first, second, path) in [
        (
            settings("concurrency: 2"),
            settings("concurrency: 3"),
            "spec.meshConfig.defaultConfig.concurrency",
        ),
        (
            settings("proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}"),
            settings("proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'false'}"),
            "spec.meshConfig.defaultConfig.proxyMetadata.*",
        ),
        (
            resources("cpu: 100m"),
            resources("cpu: 200m"),
            "spec.values.global.proxy.resources.requests.cpu",
        ),
        (
            resources("memory: 128Mi"),
            resources("memory: 256Mi"),
            "spec.values.global.proxy.resources.requests.memory",
        ),
    ] {
        let ((one, standing), (other, _)) = (marked(&first, path), marked(&second, path));
        assert_ne!(one, other, "{path}");
        assert!(
            [Standing::Modelled, Standing::Approximated].contains(&standing),
            "{path} is marked as {standing:?}"
        );
    }
}
