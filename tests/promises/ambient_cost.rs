//! The report of what the ambient mesh costs is what the model says, beside what was published.

use crate::proxy_cost::{HEAD, PROBABILITIES, latencies, loaded, row};
use crate::support::{scenario, updating};
use cloud::scenario::Scenario;

/// A client and a server on two machines, as where the cost of sidecars is measured, and a
/// machine for a waypoint.
fn measured(connections: u32, istio: &str, waypoint: &str) -> Scenario {
    scenario(&format!(
        "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {{name: ambient-cost}}
spec:
  clusters:
    - name: cluster
      region: local
      zones: [a]
      kubernetes: '1.33'
      nodePools: [{{name: node, count: 3, cpu: 4, memory: 16Gi}}]
      {istio}
{}{waypoint}",
        loaded(&format!("connections: {connections}, rate: 1000/s"))
    ))
}

const AMBIENT: &str = "istio: {version: '1.24', ambientNamespaces: [default]}";

const WAYPOINT: &str = "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
---
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {istio.io/use-waypoint: waypoint}}
";

/// The chart of Istio 1.22 at 1000 requests per second: connections, and milliseconds at 90 and
/// 99 % without a mesh, with ztunnels, and with a waypoint between them.
const CHART_1_22: [(u32, [[f64; 2]; 3]); 4] = [
    (2, [[0.16, 0.20], [0.25, 0.33], [0.58, 0.75]]),
    (4, [[0.16, 0.20], [0.26, 0.34], [0.56, 0.69]]),
    (16, [[0.16, 0.21], [0.30, 0.38], [0.57, 0.72]]),
    (64, [[0.16, 0.21], [0.33, 0.41], [0.56, 0.71]]),
];

/// Client, server and waypoint stand on these machines.
fn placed(mut scenario: Scenario, waypoint: &str) -> Scenario {
    let places = [
        ("client", "node-1"),
        ("server", "node-2"),
        ("waypoint", waypoint),
    ];
    for workload in &mut scenario.clusters[0].workloads {
        let mut places = places.iter();
        let place = places.find(|(name, _)| *name == workload.name);
        workload.template.placement.node_name = place.map(|(_, node)| (*node).to_owned());
    }
    scenario
}

/// What the model adds, and what was published, of one way to carry the requests.
struct Way {
    text: String,
    residuals: Vec<f64>,
}

fn way(alone: &[[f64; 3]], published: usize, build: impl Fn(u32) -> Scenario) -> Way {
    let (mut text, mut residuals) = (String::from(HEAD), Vec::new());
    for ((connections, chart), alone) in CHART_1_22.iter().zip(alone) {
        let model = latencies(&build(*connections));
        for (at, quantile) in [(0, 1), (1, 2)] {
            let published = 1e3 * (chart[published][at] - chart[0][at]);
            let added = model[quantile] - alone[quantile];
            let what = format!("{connections} connections");
            row(&mut text, &what, PROBABILITIES[quantile], added, published);
            residuals.push(added / published - 1.0);
        }
    }
    Way { text, residuals }
}

#[test]
fn the_committed_report_of_the_ambient_mesh_is_what_the_model_says() {
    let of = |connections, istio, waypoint, on| placed(measured(connections, istio, waypoint), on);
    let alone: Vec<_> = CHART_1_22
        .iter()
        .map(|(connections, _)| latencies(&of(*connections, "", "", "")))
        .collect();
    let ztunnels = way(&alone, 1, |connections| of(connections, AMBIENT, "", ""));
    let near = way(&alone, 2, |it| of(it, AMBIENT, WAYPOINT, "node-1"));
    let apart = way(&alone, 2, |it| of(it, AMBIENT, WAYPOINT, "node-3"));
    let micros = |fact: engine::Duration| fact.as_nanos() / 1_000;
    let per_ztunnel = micros(cloud::facts::ZTUNNEL_CPU_PER_REQUEST.value);
    let per_waypoint = micros(cloud::facts::WAYPOINT_CPU_PER_REQUEST.value);
    let text = format!(
        "# What the ambient mesh costs\n\n\
         Written by `UPDATE_GOLDENS=1 cargo test --test promises ambient_cost`.\n\n\
         A client and a server on two machines, 1000 requests of 1 kB per second over connections\n\
         that are kept. What the mesh adds to the quantiles of latency is compared, since the\n\
         machines differ: those of the chart answer in 0.16 ms without a mesh, those of the model in\n\
         0.3 ms.\n\n\
         Nothing here is fitted to the chart. CPU times are those documented for Istio 1.24 ({per_ztunnel} µs\n\
         of a ztunnel and {per_waypoint} µs of a waypoint for a request and its answer); which share of them\n\
         comes before a request is sent on, and how much they vary, is what was fitted for sidecars\n\
         of 2020 ([proxy-cost.md](proxy-cost.md)). A connection and a handshake cost what is assumed\n\
         (`hybridsim facts`), and do not show here: connections are kept.\n\n\
         Source of the chart: istio/istio.io e6765a40, content/en/docs/ops/deployment/\n\
         performance-and-scalability, release 1.22. Whether the generator's requests come at once\n\
         is not said; here they are spread.\n\n\
         ## Two ztunnels (layer 4)\n\n{}\n\
         ## A waypoint between them (layer 7)\n\n\
         Where the waypoint stood is not published. On the machine of the client it adds its work;\n\
         on a machine of its own it adds a round trip of 0.2 ms as well, which is more than the\n\
         whole answer takes on the machines of the chart. All connections of a client share one\n\
         tunnel, whose requests one thread of the waypoint serves: a quarter of its time is taken,\n\
         and the model lets requests wait for it for longer than the chart does.\n\n\
         On the client's machine:\n\n{}\n\
         On a machine of its own:\n\n{}",
        ztunnels.text, near.text, apart.text
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/reports/ambient-cost.md");
    if updating() {
        std::fs::write(path, &text).expect("the report can be written");
    }
    let committed = std::fs::read_to_string(path).expect("the report is committed");
    assert_eq!(committed, text, "write it anew with UPDATE_GOLDENS=1");
    let within = |way: &Way, bound: f64| way.residuals.iter().all(|off| off.abs() < bound);
    assert!(within(&ztunnels, 0.5), "{:?}", ztunnels.residuals);
    assert!(within(&near, 0.6), "{:?}", near.residuals);
}
