//! The shipped scenarios load without errors, whatever the order of what they hold.

use hybridsim_loader::{Code, File, Library, Loaded, Severity, load, render};
use std::path::Path;

/// Reads from the folder of the project.
struct Folder;

impl Library for Folder {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let whole = root.join(path);
        let mut names = Vec::new();
        if whole.is_dir() {
            for entry in std::fs::read_dir(&whole).map_err(|error| error.to_string())? {
                let name = entry.map_err(|error| error.to_string())?.file_name();
                let name = name.to_string_lossy().into_owned();
                if name.ends_with(".yaml") {
                    names.push(format!("{path}/{name}"));
                }
            }
            names.sort();
        } else {
            names.push(path.to_owned());
        }
        names
            .into_iter()
            .map(|name| {
                let text = std::fs::read_to_string(root.join(&name));
                text.map(|text| File { name, text })
                    .map_err(|error| error.to_string())
            })
            .collect()
    }
}

fn load_file(name: &str) -> Loaded {
    let files = Folder.read(name).unwrap();
    load(&files, &Folder)
}

/// Errors and warnings as text.
fn told(loaded: &Loaded, worst: Severity) -> String {
    let found = loaded.diagnostics.iter();
    found
        .filter(|found| found.severity <= worst)
        .map(|found| render(found, &loaded.files, false))
        .collect()
}

/// Paths of the scenarios, in whatever folder; the manifests that they use are left out.
fn shipped() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut folders, mut found) = (vec!["scenarios".to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        let files = Folder.read(&folder).unwrap().into_iter();
        found.extend(
            files
                .filter(|file| file.text.lines().any(|line| line == "kind: Scenario"))
                .map(|file| file.name),
        );
        for entry in std::fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_dir() {
                folders.push(format!("{folder}/{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    assert!(found.len() > 3, "the folder is found");
    found.sort();
    found
}

/// Scenarios whose mistake is their story: what `check` says of it.
const MISTAKES: [(&str, Code); 3] = [
    ("scenarios/mesh/bad-route.yaml", Code::SubsetNotFound),
    ("scenarios/mesh/root-expiry.yaml", Code::RootEnds),
    ("scenarios/mesh/waypoint.yaml", Code::AmbientWithoutWaypoint),
];

#[test]
fn every_shipped_scenario_loads_without_errors_and_warnings() {
    let mut problems = String::new();
    for name in shipped() {
        let mut loaded = load_file(&name);
        for (_, code) in MISTAKES.iter().filter(|(of, _)| *of == name) {
            let before = loaded.diagnostics.len();
            loaded.diagnostics.retain(|found| found.code != *code);
            assert!(
                loaded.diagnostics.len() < before,
                "{name} is told of {code:?}"
            );
        }
        problems += &told(&loaded, Severity::Warning);
        if loaded.scenario.is_none() {
            problems += &format!("{name} yields no scenario\n");
        }
    }
    assert_eq!(problems, "");
}

#[test]
fn shipped_manifests_run_without_a_scenario_and_say_what_they_assume() {
    let loaded = load_file("scenarios/bookinfo/bookinfo.yaml");
    let scenario = loaded.scenario.expect("nothing is wrong");
    assert_eq!(scenario.name, "bookinfo");
    let asked: Vec<_> = scenario
        .traffic
        .iter()
        .map(|traffic| traffic.name.as_str())
        .collect();
    assert_eq!(asked, ["details", "productpage", "ratings", "reviews"]);
    let said = scenario.assumptions.join("\n");
    for part in [
        "Which service calls which cannot be seen",
        "given a load balancer",
        "100 per second",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(scenario.facts.contains(&"default.service-time"));

    let through_ingress = [
        "scenarios/bookinfo/bookinfo.yaml",
        "scenarios/bookinfo/bookinfo-ingress.yaml",
    ];
    let files: Vec<_> = through_ingress
        .iter()
        .flat_map(|name| Folder.read(name).unwrap())
        .collect();
    let scenario = load(&files, &Folder).scenario.expect("nothing is wrong");
    let asked: Vec<_> = scenario
        .traffic
        .iter()
        .map(|traffic| traffic.name.as_str())
        .collect();
    assert_eq!(
        asked,
        ["productpage"],
        "the only way in is through the proxy"
    );
}

#[test]
fn skeletons_load_and_describe_every_workload() {
    for path in ["bookinfo", "helloworld", "shop", "canary/app.yaml"] {
        let files = Folder.read(&format!("scenarios/{path}")).unwrap();
        let skeleton = hybridsim_loader::init(&files, &Folder);
        let name = "skeleton.yaml".to_owned();
        let loaded = load(
            &[File {
                name,
                text: skeleton.clone(),
            }],
            &Folder,
        );
        assert_eq!(told(&loaded, Severity::Error), "", "{skeleton}");
        let scenario = loaded.scenario.expect("no errors");
        assert!(!scenario.traffic.is_empty(), "{skeleton}");
        let assumed = scenario.assumptions.join("\n");
        assert!(
            !assumed.contains("do with a request"),
            "{assumed}\n{skeleton}"
        );
    }
}

#[test]
fn a_skeleton_reads_well() {
    let files = Folder.read("scenarios/helloworld/helloworld.yaml").unwrap();
    insta::assert_snapshot!(hybridsim_loader::init(&files, &Folder));
}

/// A tree as JSON, as a YAML-aware editor sees it.
fn as_json(node: &hybridsim_loader::tree::Node) -> serde_json::Value {
    use hybridsim_loader::tree::{ScalarKind, Value};
    match &node.value {
        Value::Scalar(_, ScalarKind::Null) => serde_json::Value::Null,
        Value::Scalar(_, ScalarKind::Bool(value)) => (*value).into(),
        Value::Scalar(_, ScalarKind::Integer(value)) => (*value).into(),
        Value::Scalar(_, ScalarKind::Float(value)) => (*value).into(),
        Value::Scalar(text, ScalarKind::String) => text.clone().into(),
        Value::Sequence(items) => items.iter().map(as_json).collect(),
        Value::Mapping(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), as_json(&entry.value)))
            .collect(),
    }
}

fn parsed(text: &str) -> serde_json::Value {
    let mut diagnostics = hybridsim_loader::diagnostic::Diagnostics::default();
    let budget = hybridsim_loader::tree::Budget::default();
    as_json(&hybridsim_loader::tree::parse(text, 0, budget, &mut diagnostics)[0])
}

#[test]
fn the_json_schema_accepts_shipped_scenarios_and_refuses_wrong_ones() {
    let schema = hybridsim_loader::json_schema();
    let validator = jsonschema::draft202012::new(&schema).expect("it is a schema");
    for name in shipped() {
        let text = &Folder.read(&name).unwrap()[0].text;
        let problems: Vec<_> = validator
            .iter_errors(&parsed(text))
            .map(|problem| format!("{name}: {problem} at {}", problem.instance_path()))
            .collect();
        assert_eq!(problems, [""; 0]);
    }
    let head = "apiVersion: hybridsim.dev/v1alpha1\nkind: Scenario\nmetadata: {name: x}\n";
    for wrong in [
        "spec: {netwrok: ideal}",
        "spec: {network: perfect}",
        "spec: {run: {duration: soon}}",
        "spec: {timeline: [{at: 1s, fault: {slow: {workload: a, factor: 2}, pod-kill: {workload: a}}}]}",
        "spec: {traffic: [{name: a}]}",
        "spec: {workloads: {a: {serviceTime: {lognormal: {median: 1}}}}}",
    ] {
        assert!(
            !validator.is_valid(&parsed(&format!("{head}{wrong}\n"))),
            "{wrong}"
        );
    }
    assert!(validator.is_valid(&parsed(&format!("{head}spec: {{network: ideal}}\n"))));
}

/// The same Scenario with every list and map turned around whose order means nothing.
fn turned_around(mut scenario: serde_json::Value) -> String {
    let spec = scenario["spec"]
        .as_object_mut()
        .expect("a scenario has a spec");
    for key in ["clusters", "manifests", "users", "dns", "traffic"] {
        if let Some(list) = spec.get_mut(key).and_then(|list| list.as_array_mut()) {
            list.reverse();
        }
    }
    for key in ["workloads", "behavior"] {
        if let Some(map) = spec.get_mut(key).and_then(|map| map.as_object_mut()) {
            *map = map.clone().into_iter().rev().collect();
        }
    }
    scenario.to_string()
}

#[test]
fn the_order_of_independent_entries_never_shows() {
    for name in shipped() {
        let text = turned_around(parsed(&Folder.read(&name).unwrap()[0].text));
        let turned = load(
            &[File {
                name: name.clone(),
                text,
            }],
            &Folder,
        );
        assert_eq!(told(&turned, Severity::Error), "", "{name}");
        let straight = load_file(&name);
        assert_eq!(turned.scenario, straight.scenario, "{name}");
        assert_eq!(turned.variants, straight.variants, "{name}");
    }
}

#[test]
fn measures_name_indicators_of_kubernetes() {
    use cloud::scenario::{ClusterId, Indicator, Measure, Quantity, ServiceId, Statistic};
    let text = r"
apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {name: indicators}
spec:
  workloads: {web: {}, db: {}}
  traffic: [{name: users, to: 'web:80', arrivals: {poisson: 10/s}}]
  measures:
    - {measure: networkProgrammingLatency}
    - {measure: networkProgrammingLatency, service: web, statistic: p50}
    - {measure: apiCallLatency, cluster: cluster, statistic: mean, from: 10s, until: 20s}
  expect:
    - {measure: apiCallLatency, calls: reading, statistic: p99.9, atMost: 1s}
    - {measure: podStartupLatency, workload: db, atMost: 5s}
";
    let file = File {
        name: "indicators.yaml".to_owned(),
        text: text.to_owned(),
    };
    let scenario = load(&[file], &Folder).scenario.expect("nothing is wrong");
    let web = scenario.clusters[0]
        .services
        .iter()
        .position(|service| service.name == "web");
    let web = ServiceId::from(web.unwrap());
    let here = Some(ClusterId(0));
    let at = |seconds| engine::Time::ZERO + engine::Duration::from_secs(seconds);
    let quantity = |cluster, indicator, statistic| Measure {
        quantity: Quantity::Indicator(cluster, indicator, statistic),
        window: None,
    };
    let asked = [
        quantity(
            None,
            Indicator::NetworkProgramming(None),
            Statistic::Quantile(0.99),
        ),
        quantity(
            here,
            Indicator::NetworkProgramming(Some(web)),
            Statistic::Quantile(0.5),
        ),
        Measure {
            window: Some((at(10), at(20))),
            ..quantity(here, Indicator::ApiMutating, Statistic::Mean)
        },
    ];
    assert_eq!(scenario.measures, asked);
    assert_eq!(
        scenario.expectations[0].measure,
        quantity(None, Indicator::ApiRead, Statistic::Quantile(0.999))
    );
    let mut workloads = scenario.clusters[0].workloads.iter();
    let db = workloads.position(|workload| workload.name == "db");
    let db = Indicator::PodStartup(db.map(cloud::scenario::WorkloadId::from));
    assert_eq!(
        scenario.expectations[1].measure,
        quantity(here, db, Statistic::Quantile(0.99))
    );
}

/// The fault that an entry of the timeline stands for, in a cluster of three nodes and zones.
fn fault(text: &str) -> cloud::scenario::Fault {
    let text = format!(
        "apiVersion: hybridsim.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: one}}\nspec:\n  workloads: {{web: {{replicas: 3}}}}\n  traffic: [{{name: users, to: 'web:80', arrivals: {{poisson: 10/s}}}}]\n  run: {{duration: 5m}}\n  timeline: [{{at: 1m, fault: {{{text}}}}}]\n"
    );
    let name = "one.yaml".to_owned();
    let loaded = load(&[File { name, text }], &Folder);
    assert_eq!(told(&loaded, Severity::Warning), "");
    let scenario = loaded.scenario.expect("no errors");
    scenario.assert_valid();
    match &scenario.timeline[0].action {
        cloud::scenario::Action::Fault { fault, .. } => fault.clone(),
        other => panic!("{other:?} is no fault"),
    }
}

#[test]
fn every_part_of_kubernetes_can_fail_by_name() {
    use cloud::scenario::{ClusterId, Component, Fault, Packets, ZoneId};
    let cluster = ClusterId(0);
    let down = |component| Fault::ComponentDown { cluster, component };
    let frozen = |component| Fault::Frozen { cluster, component };
    let workload = cloud::scenario::WorkloadId(0);
    let cases = [
        (
            "container-crash: {workload: web, count: 2}",
            Fault::ContainerCrash {
                cluster,
                workload,
                count: 2,
            },
        ),
        (
            "oom-loop: {workload: web, after: 90s, for: 3m}",
            Fault::OutOfMemory {
                cluster,
                workload,
                after: engine::Duration::from_secs(90),
            },
        ),
        (
            "hang: {workload: web, for: 1m}",
            Fault::Hang {
                cluster,
                workload,
                count: 1,
            },
        ),
        (
            "image-registry-down: {for: 1m}",
            Fault::RegistryDown { cluster },
        ),
        (
            "kubelet-down: {node: node-2, for: 1m}",
            Fault::KubeletDown { cluster, node: 1 },
        ),
        (
            "node-partition: {node: node-3}",
            Fault::NodePartition { cluster, node: 2 },
        ),
        (
            "node-slow: {node: node-1, cpu: 4}",
            Fault::NodeSlow {
                cluster,
                node: 0,
                cpu_factor: 4.0,
                disk_factor: 1.0,
            },
        ),
        (
            "node-slow: {node: node-1, disk: 2.5}",
            Fault::NodeSlow {
                cluster,
                node: 0,
                cpu_factor: 1.0,
                disk_factor: 2.5,
            },
        ),
        (
            "zone-down: {zone: c, packets: refused}",
            Fault::ZoneDown {
                cluster,
                zone: ZoneId(2),
                packets: Packets::Refused,
            },
        ),
        (
            "api-server-down: {}",
            Fault::ApiServerDown { cluster, count: 3 },
        ),
        (
            "api-server-down: {count: 1}",
            Fault::ApiServerDown { cluster, count: 1 },
        ),
        (
            "api-server-slow: {factor: 20}",
            Fault::ApiServerSlow {
                cluster,
                factor: 20.0,
            },
        ),
        (
            "etcd-quorum-loss: {}",
            Fault::EtcdDown { cluster, count: 2 },
        ),
        (
            "controller-manager-down: {}",
            down(Component::ControllerManager),
        ),
        ("scheduler-down: {for: 10s}", down(Component::Scheduler)),
        (
            "frozen: {component: scheduler}",
            frozen(Component::Scheduler),
        ),
        (
            "frozen: {component: controller-manager}",
            frozen(Component::ControllerManager),
        ),
        (
            "frozen: {component: kubelet, node: node-1}",
            frozen(Component::Kubelet(0)),
        ),
        (
            "frozen: {component: kube-proxy, node: node-3}",
            frozen(Component::KubeProxy(2)),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(fault(text), expected, "{text}");
    }
}

#[test]
fn pools_with_a_greatest_size_are_the_provisioners() {
    use cloud::scenario::ProvisionerKind;
    let text = r"
apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {name: growing}
spec:
  clusters:
    - name: east
      zones: [a, b]
      nodePools:
        - {name: web, min: 1, max: 4, cpu: 4, boot: 2m, startUp: 20s, price: 2}
        - {name: base, count: 2}
        - {name: large, max: 2, count: 1, cpu: 16}
      provisioner: {kind: cluster-autoscaler}
  workloads: {web: {}}
  traffic: [{name: users, to: 'web:80', arrivals: {poisson: 10/s}}]
";
    let file = File {
        name: "growing.yaml".to_owned(),
        text: text.to_owned(),
    };
    let scenario = load(&[file], &Folder).scenario.expect("nothing is wrong");
    let cluster = &scenario.clusters[0];
    let names: Vec<_> = (0..)
        .zip(&cluster.nodes)
        .map(|(at, node)| (node.name.as_str(), cluster.has_at_start(at)))
        .collect();
    assert_eq!(
        names,
        [
            ("base-1", true),
            ("base-2", true),
            ("large-1", true),
            ("large-2", false),
            ("web-1", true),
            ("web-2", false),
            ("web-3", false),
            ("web-4", false),
        ]
    );
    let provisioner = cluster.provisioner.as_ref().expect("it has one");
    assert_eq!(provisioner.kind, ProvisionerKind::ClusterAutoscaler);
    let [large, web] = &provisioner.pools[..] else {
        panic!("two pools have a greatest size");
    };
    assert_eq!(
        (large.nodes.clone(), large.count, large.count_min),
        (2..4, 1, 0)
    );
    assert_eq!((web.nodes.clone(), web.count, web.count_min), (4..8, 1, 1));
    assert_eq!((large.price, web.price), (16.0, 2.0));
    // Three to four minutes are usual.
    assert_eq!((large.boot.mean(), web.boot.mean()), (210.0, 120.0));
    assert_eq!(web.start_up, engine::Duration::from_secs(20));
}
