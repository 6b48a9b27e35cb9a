//! Rules of nodes in a scenario: what its manifests say about kube-proxy and about Services.

use crate::cli::hybridsim;
use crate::support::load;
use cloud::rules::{Input, Mode, Scheduler, iptables};
use cloud::snapshot::Moment;
use engine::{Duration, Seed};
use loader::Loaded;
use loader::ledger::Standing;

/// As kubeadm keeps it, with some of it changed.
const KUBE_PROXY: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-proxy, namespace: kube-system}
data:
  config.conf: |-
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    bindAddress: 0.0.0.0
    clusterCIDR: 10.10.0.0/16
    detectLocalMode: ''
    healthzBindAddress: ''
    iptables: {masqueradeAll: true, masqueradeBit: 7, minSyncPeriod: 5s, syncPeriod: 1m}
    ipvs: {minSyncPeriod: 0s, scheduler: wrr}
    mode: ''
    nodePortAddresses: [172.18.0.0/16]
  kubeconfig.conf: ''
";

/// A scenario with a service on two nodes, with further documents and words about kube-proxy.
fn loaded(kube_proxy: &str, documents: &str) -> Loaded {
    let text = format!(
        "
apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {{name: rules}}
spec:
  clusters:
  - name: here
    kubernetes: '1.34'
    zones: [a]
    nodePools: [{{name: node, count: 2}}]
    kubeProxy: {kube_proxy}
  run: {{duration: 10s, warmup: 0s, seed: 1, replications: 1}}
  traffic: [{{name: users, from: local, to: web, arrivals: {{poisson: 1/s}}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web, image: web, resources: {{requests: {{cpu: 1, memory: 1Gi}}}}}}]}}
---
{documents}"
    );
    load("scenario.yaml", &text)
}

const WEB: &str = "---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, clusterIP: 10.96.7.7, selector: {app: web}, ports: [{port: 80, nodePort: 30080}]}
";

/// What the kube-proxy of the first node knows at the start.
fn known(loaded: &Loaded) -> Input {
    let scenario = loaded.scenario.as_ref();
    let scenario = scenario.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
    let topology = cloud::compile(scenario);
    let moment = Moment::new(
        &topology,
        Seed {
            master: 1,
            replication: 0,
        },
        Duration::ZERO,
    );
    moment.rules("here", "node-1").expect("the node is there")
}

/// The rules of the first node, without their order.
fn rules(loaded: &Loaded) -> Vec<String> {
    let tables = iptables::generate(&known(loaded));
    let text: String = tables.iter().map(iptables::save).collect();
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn assert_holds(rules: &[String], expected: &[&str]) {
    for rule in expected {
        let found = rules.iter().any(|line| line == rule);
        assert!(found, "{rule}\nis not among\n{}", rules.join("\n"));
    }
}

#[test]
fn what_kubeadm_keeps_for_kube_proxy_holds_in_a_scenario() {
    let loaded = loaded("{}", &format!("{KUBE_PROXY}{WEB}"));
    assert_holds(
        &rules(&loaded),
        &[
            "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x80/0x80",
            "-A KUBE-SERVICES -d 172.18.0.2/32 -m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\" -j KUBE-NODEPORTS",
        ],
    );
    let input = known(&loaded);
    assert_eq!(input.node.pod_cidrs, ["10.10.0.0/24".parse().unwrap()]);
    let configuration = input.configuration;
    assert_eq!(configuration.mode, Mode::Iptables);
    assert!(configuration.masquerade_all);
    assert_eq!(
        configuration.cluster_cidrs,
        ["10.10.0.0/16".parse().unwrap()]
    );
    let periods = (configuration.min_sync_period, configuration.sync_period);
    assert_eq!(periods, (Duration::from_secs(5), Duration::from_secs(60)));
    let document = loaded.ledger.documents.iter();
    let mut document = document.filter(|one| one.kind == "KubeProxyConfiguration");
    let account = &document.next().expect("it is accounted for").entries;
    let standing = |path: &str| account.iter().find(|entry| entry.path == path);
    for path in ["mode", "iptables.minSyncPeriod", "nodePortAddresses[]"] {
        let found = standing(path).map(|entry| entry.standing);
        assert_eq!(found, Some(Standing::Modelled), "{path}: {account:#?}");
    }
    assert_eq!(account.len(), 14);
}

#[test]
fn a_scenario_goes_before_its_manifests() {
    let loaded = loaded("{mode: ipvs}", &format!("{KUBE_PROXY}{WEB}"));
    let configuration = known(&loaded).configuration;
    let scheduler = Scheduler::WeightedRoundRobin;
    assert_eq!(configuration.mode, Mode::Ipvs { scheduler });
    assert_eq!(configuration.min_sync_period, Duration::ZERO);
    assert_eq!(configuration.masquerade_bit, 7);
}

/// A service for UDP, and how long kernels remember who asked.
const NAMES: &str = "---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
conntrack: {udpTimeout: 10s, udpStreamTimeout: 0s}
ipvs: {udpTimeout: 1m}
---
apiVersion: v1
kind: Service
metadata: {name: names}
spec:
  clusterIP: 10.96.7.8
  selector: {app: web}
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]
";

#[test]
fn ports_for_udp_have_rules_of_their_own_and_flows_are_remembered_as_long_as_is_said() {
    let found = loaded("{}", &format!("{WEB}{NAMES}"));
    let rules = rules(&found);
    let of_udp = "-d 10.96.7.8/32 -p udp -m comment --comment \"default/names:dns cluster IP\" -m udp --dport 53";
    let of_tcp = "-d 10.96.7.8/32 -p tcp -m comment --comment \"default/names:dns-tcp cluster IP\" -m tcp --dport 53";
    for part in [of_udp, of_tcp] {
        assert!(rules.iter().any(|rule| rule.contains(part)), "{rules:#?}");
    }
    let seconds = |lone, stream| (Duration::from_secs(lone), Duration::from_secs(stream));
    let configuration = known(&found).configuration;
    assert_eq!(configuration.udp_timeouts(), seconds(10, 120));
    let found = loaded("{mode: ipvs}", &format!("{WEB}{NAMES}"));
    let configuration = known(&found).configuration;
    assert_eq!(configuration.udp_timeouts(), seconds(60, 60));
}

#[test]
fn a_configuration_that_kube_proxy_refuses_is_refused() {
    let document = "
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: userspace
iptables: {minSyncPeriod: 31s}
ipvs: {scheduler: fo}
nodePortAddresses: [eth0]
clusterCIDR: 10.0.0.0
";
    let found = loaded("{}", &format!("{document}---{document}{WEB}")).diagnostics;
    let told: Vec<_> = found
        .iter()
        .map(|one| (one.line, one.message.as_str()))
        .collect();
    for expected in [
        (28, "`mode` cannot be `userspace`"),
        (
            29,
            "`iptables.minSyncPeriod` is longer than the `syncPeriod`",
        ),
        (30, "`fo` is treated as `rr`"),
        (31, "`eth0` is no range of addresses"),
        (
            32,
            "`clusterCIDR` takes ranges of addresses, and `10.0.0.0` is none: `10.0.0.0` is no address with a number of bits",
        ),
        (
            34,
            "a cluster has one KubeProxyConfiguration, and this is the second",
        ),
    ] {
        assert!(told.contains(&expected), "{expected:?} {told:#?}");
    }
}

const ASKS: &str = "---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  clusterIP: 10.96.7.7
  externalIPs: [198.51.100.7]
  externalTrafficPolicy: Local
  healthCheckNodePort: 31999
  loadBalancerSourceRanges: [203.0.113.0/24]
  selector: {app: web}
  ports: [{port: 80, nodePort: 30080}]
status: {loadBalancer: {ingress: [{ip: 198.51.100.9, ipMode: VIP}, {ip: 198.51.100.8, ipMode: Proxy}]}}
";

#[test]
fn what_a_service_asks_for_is_in_the_rules() {
    let loaded = loaded("{}", ASKS);
    let input = known(&loaded);
    let service = &input.services[0];
    assert_eq!(service.health_check_node_port, Some(31_999));
    let rules = rules(&loaded);
    let chain = |prefix: &str| {
        let mut names = rules.iter().filter_map(|line| line.strip_prefix(':'));
        let found = names.find(|line| line.starts_with(prefix));
        let found = found.unwrap_or_else(|| panic!("{prefix} is not among {rules:#?}"));
        found.split(' ').next().unwrap().to_owned()
    };
    let (service, outside, firewall) = (chain("KUBE-SVC-"), chain("KUBE-EXT-"), chain("KUBE-FW-"));
    let to = |address: &str, comment: &str, chain: &str| {
        format!(
            "-A KUBE-SERVICES -d {address}/32 -p tcp -m comment --comment \"default/web {comment}\" -m tcp --dport 80 -j {chain}"
        )
    };
    let expected = [
        to("10.96.7.7", "cluster IP", &service),
        to("198.51.100.7", "external IP", &outside),
        to("198.51.100.9", "loadbalancer IP", &firewall),
        format!("-A {firewall} -s 203.0.113.0/24 -m comment --comment \"default/web loadbalancer IP\" -j {outside}"),
        format!("-A KUBE-NODEPORTS -p tcp -m comment --comment \"default/web\" -m tcp --dport 30080 -j {outside}"),
        "-A KUBE-NODEPORTS -p tcp -m comment --comment \"default/web health check node port\" -m tcp --dport 31999 -j ACCEPT".to_owned(),
        "-A KUBE-PROXY-FIREWALL -d 198.51.100.9/32 -p tcp -m comment --comment \"default/web traffic not accepted by KUBE-FW-PLACE\" -m tcp --dport 80 -j DROP"
            .replace("KUBE-FW-PLACE", &firewall),
    ];
    assert_holds(&rules, &expected.each_ref().map(String::as_str));
    assert!(!rules.iter().any(|rule| rule.contains("198.51.100.8")));
}

#[test]
fn addresses_that_cannot_be_are_told() {
    let wrong = "---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.7.300, externalIPs: [there], selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: one}
spec: {clusterIP: 10.96.7.8, healthCheckNodePort: 31000, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: two}
spec: {clusterIP: 10.96.7.8, loadBalancerSourceRanges: [10.0.0.0], selector: {app: web}, ports: [{port: 80}]}
";
    let found = loaded("{}", wrong).diagnostics;
    let told: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
    for expected in [
        "`10.96.7.300` is no address",
        "`there` is no address",
        "`10.0.0.0` is no address with a number of bits",
        "`healthCheckNodePort` is for `type: LoadBalancer` with `externalTrafficPolicy: Local`",
        "the Service `one` has the clusterIP 10.96.7.8 too",
    ] {
        assert!(
            told.iter().any(|one| one.contains(expected)),
            "{expected} {told:#?}"
        );
    }
}

/// What is printed of a node whose kube-proxy is in nftables mode, under `inspect` and a part.
fn of_nftables(part: &str) -> String {
    let text = "
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 172.18.0.2}]}
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
";
    let file = format!("{}/of-nftables-{part}.yaml", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&file, text).expect("the directory is for tests");
    let output = hybridsim(&["inspect", part, &file, "--node", "n1"]);
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn rules_of_another_mode_say_that_they_are_not_there() {
    let said = "# kube-proxy is in nftables mode on n1, so that these rules are not there: they are what it would write in iptables mode\n";
    let printed = of_nftables("iptables");
    assert!(printed.starts_with(said), "{printed}");
    assert!(printed.contains("\n*nat\n"), "{printed}");
    assert!(!of_nftables("nftables").starts_with('#'));
}
