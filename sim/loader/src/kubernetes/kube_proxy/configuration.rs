//! KubeProxyConfiguration: what an administrator sets about kube-proxy.
//!
//! Models: the mode, its periods, its scheduler, and every field that shows in a node's rules.
//! How long UDP flows are remembered; zero leaves the kernel's own.
//! Leaves out: limits of connection tracking, the process's own ports and logs.
//! Sources: k8s.io/kube-proxy config/v1alpha1 types.go (1.36); kubernetes/kubernetes v1.30.5
//! pkg/proxy/apis/config/v1alpha1/defaults.go and validation.
//! Validated by: what kubeadm writes, below.

use super::{string, strings, truth};
use crate::diagnostic::{Code, Diagnostics};
use crate::kubernetes::metadata::{API_VERSION, KIND};
use crate::shape::{Field, Format, Kind, NATURAL, Shape, TEXT_LIST};
use crate::tree::Node as Tree;
use crate::value::{DURATION, parse_duration};
use cloud::facts;
use cloud::rules::{Configuration, DetectLocal, Mode, NodePortAddresses, Scheduler, UdpTimeouts};
use engine::Duration;
use ipnet::IpNet;

const PERIOD: Kind = Kind::Format(&DURATION);
const BIT: Kind = Kind::Integer(0, 31);
const PROCESS: &str = "the process's own affair";
const API_TRAFFIC: &str = "its calls to the API server meet no limit of its own";
const TABLE: &str = "the table of connections has room for all of them";
const TCP_ENTRY: &str = "connections are tracked for as long as they last";
const WINDOWS: &str = "nodes run Linux";
const RESYNC: &str = "the lists are not told again; a full sync comes every hour";

/// A range of addresses; several are separated by commas.
static RANGES: Format = Format {
    name: "ranges of addresses",
    examples: "`10.244.0.0/16`, `10.244.0.0/16,fd00:10:244::/56`",
    pattern: r"^([0-9a-fA-F.:]+/[0-9]+(,[0-9a-fA-F.:]+/[0-9]+)*)?$",
    check: |text| {
        let wrong = |part: &&str| part.parse::<IpNet>().is_err();
        let parts = text.split(',').filter(|part| !part.is_empty());
        match parts.map(str::trim).find(wrong) {
            Some(part) => Err(format!("`{part}` is no address with a number of bits")),
            None => Ok(()),
        }
    },
};

static CLIENT_CONNECTION: Shape = Shape::new(
    "ClientConnectionConfiguration",
    &[
        Field::ignored("kubeconfig", Kind::Text, PROCESS),
        Field::ignored("acceptContentTypes", Kind::Text, PROCESS),
        Field::ignored("contentType", Kind::Text, PROCESS),
        Field::ignored("qps", Kind::Number(f64::MIN, f64::MAX), API_TRAFFIC),
        Field::ignored("burst", NATURAL, API_TRAFFIC),
    ],
);
static IPTABLES: Shape = Shape::new(
    "KubeProxyIPTablesConfiguration",
    &[
        Field::modelled("masqueradeBit", BIT),
        Field::modelled("masqueradeAll", Kind::Bool),
        Field::modelled("localhostNodePorts", Kind::Bool),
        Field::modelled("syncPeriod", PERIOD),
        Field::modelled("minSyncPeriod", PERIOD),
    ],
);
static IPVS: Shape = Shape::new(
    "KubeProxyIPVSConfiguration",
    &[
        Field::modelled("syncPeriod", PERIOD),
        Field::modelled("minSyncPeriod", PERIOD),
        Field::modelled("scheduler", Kind::Text),
        Field::ignored(
            "excludeCIDRs",
            TEXT_LIST,
            "nobody else writes rules of ipvs",
        ),
        Field::ignored("strictARP", Kind::Bool, "addresses are found without ARP"),
        Field::ignored("tcpTimeout", PERIOD, TCP_ENTRY),
        Field::ignored("tcpFinTimeout", PERIOD, TCP_ENTRY),
        Field::modelled("udpTimeout", PERIOD),
    ],
);
static NFTABLES: Shape = Shape::new(
    "KubeProxyNFTablesConfiguration",
    &[
        Field::modelled("masqueradeBit", BIT),
        Field::modelled("masqueradeAll", Kind::Bool),
        Field::modelled("syncPeriod", PERIOD),
        Field::modelled("minSyncPeriod", PERIOD),
    ],
);
static DETECT_LOCAL: Shape = Shape::new(
    "DetectLocalConfiguration",
    &[
        Field::modelled("bridgeInterface", Kind::Text),
        Field::modelled("interfaceNamePrefix", Kind::Text),
    ],
);
static CONNTRACK: Shape = Shape::new(
    "KubeProxyConntrackConfiguration",
    &[
        Field::ignored("max", NATURAL, TABLE),
        Field::ignored("maxPerCore", NATURAL, TABLE),
        Field::ignored("min", NATURAL, TABLE),
        Field::ignored("tcpEstablishedTimeout", PERIOD, TCP_ENTRY),
        Field::ignored("tcpCloseWaitTimeout", PERIOD, TCP_ENTRY),
        Field::ignored("tcpBeLiberal", Kind::Bool, TCP_ENTRY),
        Field::modelled("udpTimeout", PERIOD),
        Field::modelled("udpStreamTimeout", PERIOD),
    ],
);

/// Fields of a KubeProxyConfiguration.
pub(in crate::kubernetes) static KUBE_PROXY_CONFIGURATION: Shape = Shape::new(
    "KubeProxyConfiguration",
    &[
        API_VERSION,
        KIND,
        Field::ignored(
            "featureGates",
            Kind::Opaque,
            "what a release does follows from its number",
        ),
        Field::ignored("clientConnection", Kind::Map(&CLIENT_CONNECTION), PROCESS),
        Field::ignored("logging", Kind::Opaque, PROCESS),
        Field::ignored(
            "hostnameOverride",
            Kind::Text,
            "nodes have the names they have",
        ),
        Field::ignored("bindAddress", Kind::Text, PROCESS),
        Field::ignored(
            "healthzBindAddress",
            Kind::Text,
            "balancers find it wherever it is",
        ),
        Field::ignored("metricsBindAddress", Kind::Text, PROCESS),
        Field::ignored("bindAddressHardFail", Kind::Bool, PROCESS),
        Field::ignored("enableProfiling", Kind::Bool, PROCESS),
        Field::ignored("showHiddenMetricsForVersion", Kind::Text, PROCESS),
        Field::modelled("mode", Kind::OneOf(&["", "iptables", "ipvs", "nftables"])),
        Field::modelled("iptables", Kind::Map(&IPTABLES)),
        Field::modelled("ipvs", Kind::Map(&IPVS)),
        Field::modelled("nftables", Kind::Map(&NFTABLES)),
        Field::ignored("winkernel", Kind::Opaque, WINDOWS),
        Field::modelled(
            "detectLocalMode",
            Kind::OneOf(&[
                "",
                "ClusterCIDR",
                "NodeCIDR",
                "BridgeInterface",
                "InterfaceNamePrefix",
            ]),
        ),
        Field::modelled("detectLocal", Kind::Map(&DETECT_LOCAL)),
        Field::approximated(
            "clusterCIDR",
            Kind::Format(&RANGES),
            "pods take their addresses from it, if it has room for all nodes",
        ),
        Field::modelled("nodePortAddresses", TEXT_LIST),
        Field::ignored("oomScoreAdj", Kind::Integer(-1_000, 1_000), PROCESS),
        Field::modelled("conntrack", Kind::Map(&CONNTRACK)),
        Field::ignored("configSyncPeriod", PERIOD, RESYNC),
        Field::ignored("portRange", Kind::Text, "of no effect since 1.26"),
        Field::ignored("udpIdleTimeout", PERIOD, "of no effect since 1.26"),
        Field::ignored("windowsRunAsService", Kind::Bool, WINDOWS),
    ],
);

/// What goes before a KubeProxyConfiguration: a Scenario's own words about a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The mode, in the words of the document.
    pub mode: Option<&'static str>,
    /// The scheduler of ipvs.
    pub scheduler: Option<Scheduler>,
    /// Service ports that nobody in the scenario calls.
    pub other_services: u32,
}

/// Reads a KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), if there is one.
pub fn configuration(document: Option<&Tree>, overrides: &Overrides) -> Configuration {
    let standard = Configuration::default();
    let text = |path: &[&str]| document.map_or_else(String::new, |tree| string(tree, path));
    let said = text(&["mode"]);
    let scheduled = || scheduler(Some(&text(&["ipvs", "scheduler"])));
    let (mode, periods, masquerade) = match overrides.mode.unwrap_or(&said) {
        "nftables" => (Mode::Nftables, "nftables", "nftables"),
        "ipvs" => {
            let scheduler = overrides.scheduler.unwrap_or_else(scheduled);
            (Mode::Ipvs { scheduler }, "ipvs", "iptables")
        }
        _ => (Mode::Iptables, "iptables", "iptables"),
    };
    // Zero stands for the default; ipvs has none for the least distance of syncs.
    let period = |key| parse_duration(&text(&[periods, key])).unwrap_or(Duration::ZERO);
    let or = |period: Duration, default| match period.is_zero() {
        true => default,
        false => period,
    };
    let least = match mode {
        Mode::Ipvs { .. } => Duration::ZERO,
        _ => standard.min_sync_period,
    };
    let standard = Configuration {
        mode,
        min_sync_period: or(period("minSyncPeriod"), least),
        sync_period: or(period("syncPeriod"), standard.sync_period),
        ..standard
    };
    let Some(document) = document else {
        return standard;
    };
    let cluster_cidrs: Vec<IpNet> = text(&["clusterCIDR"])
        .split(',')
        .filter_map(|range| range.trim().parse().ok())
        .collect();
    let timeout = |path: &[&str]| {
        let said = parse_duration(&text(path)).ok();
        said.filter(|timeout| !timeout.is_zero())
    };
    let bit = document.at(&[masquerade, "masqueradeBit"]);
    let bit = bit.and_then(Tree::integer);
    let bit = bit.and_then(|bit| u8::try_from(bit).ok());
    Configuration {
        detect_local: detect_local(document, &cluster_cidrs),
        cluster_cidrs,
        masquerade_all: truth(document, &[masquerade, "masqueradeAll"]).unwrap_or(false),
        masquerade_bit: bit
            .filter(|bit| *bit < 32)
            .unwrap_or(standard.masquerade_bit),
        node_port_addresses: node_port_addresses(strings(document, &["nodePortAddresses"])),
        localhost_node_ports: truth(document, &["iptables", "localhostNodePorts"])
            .unwrap_or(standard.localhost_node_ports),
        udp: UdpTimeouts {
            lone: timeout(&["conntrack", "udpTimeout"]),
            stream: timeout(&["conntrack", "udpStreamTimeout"]),
            ipvs: timeout(&["ipvs", "udpTimeout"]),
        },
        ..standard
    }
}

/// The scheduler of a name; round robin where there is none.
pub fn scheduler(name: Option<&str>) -> Scheduler {
    match name.unwrap_or_default() {
        "wrr" => Scheduler::WeightedRoundRobin,
        "lc" => Scheduler::LeastConnection,
        "wlc" => Scheduler::WeightedLeastConnection,
        "sh" => Scheduler::SourceHashing,
        "dh" => Scheduler::DestinationHashing,
        "sed" => Scheduler::ShortestExpectedDelay,
        "nq" => Scheduler::NeverQueue,
        "mh" => Scheduler::MaglevHashing,
        _ => Scheduler::RoundRobin,
    }
}

/// Without a range of the cluster, pods cannot be told by it.
fn detect_local(document: &Tree, ranges: &[IpNet]) -> DetectLocal {
    let name = |key| string(document, &["detectLocal", key]);
    match string(document, &["detectLocalMode"]).as_str() {
        "NodeCIDR" => DetectLocal::NodeCidr,
        "BridgeInterface" => DetectLocal::BridgeInterface(name("bridgeInterface")),
        "InterfaceNamePrefix" => DetectLocal::InterfaceNamePrefix(name("interfaceNamePrefix")),
        _ if ranges.is_empty() => DetectLocal::None,
        _ => DetectLocal::ClusterCidr,
    }
}

fn node_port_addresses(texts: Vec<String>) -> NodePortAddresses {
    match &texts[..] {
        [] => NodePortAddresses::Default,
        [one] if one == "primary" => NodePortAddresses::Primary,
        ranges => NodePortAddresses::Networks(
            ranges
                .iter()
                .filter_map(|range| range.parse().ok())
                .collect(),
        ),
    }
}

/// Schedulers that Linux has.
pub const SCHEDULERS: &[&str] = &["rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "dh", "mh"];

/// What kube-proxy would refuse to start with.
pub(in crate::kubernetes) fn validate(document: &Tree, diagnostics: &mut Diagnostics) {
    for section in ["iptables", "ipvs", "nftables"] {
        let at = |key| document.at(&[section, key]);
        let period = |key, default| {
            let read = at(key).and_then(|node| parse_duration(node.text()?).ok());
            read.filter(|period| !period.is_zero()).unwrap_or(default)
        };
        let longest = period("syncPeriod", facts::KUBE_PROXY_SYNC_PERIOD.value);
        if let Some(node) = at("minSyncPeriod")
            && period("minSyncPeriod", Duration::ZERO) > longest
        {
            let message = format!("`{section}.minSyncPeriod` is longer than the `syncPeriod`");
            diagnostics
                .report(Code::OutOfRange, node.span, message)
                .help(format!(
                    "write {longest} at most: kube-proxy does not start with more"
                ));
        }
    }
    let of_ipvs = document.at(&["ipvs", "scheduler"]);
    if let Some((node, name)) = of_ipvs.and_then(|node| Some((node, node.str()?)))
        && !name.is_empty()
        && !SCHEDULERS.contains(&name)
    {
        let message = format!("`{name}` is treated as `rr`");
        diagnostics
            .report(Code::UnsupportedValue, node.span, message)
            .help(format!("Linux has {}", SCHEDULERS.join(", ")));
    }
    for node in document.list("nodePortAddresses") {
        let text = node.text().unwrap_or_default();
        if text.parse::<IpNet>().is_err() && text != "primary" {
            let message = format!("`{text}` is no range of addresses");
            diagnostics
                .report(Code::WrongValue, node.span, message)
                .help("write ranges such as `10.0.0.0/8`, or `primary` alone");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::trees;
    use super::*;

    /// As kubeadm 1.33 writes it into the ConfigMap `kube-proxy`, shortened.
    const KUBEADM: &str = "\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
clusterCIDR: 10.244.0.0/16
conntrack: {maxPerCore: null, min: null, tcpBeLiberal: false, udpTimeout: 0s}
detectLocal: {bridgeInterface: '', interfaceNamePrefix: ''}
detectLocalMode: ''
iptables: {localhostNodePorts: null, masqueradeAll: false, masqueradeBit: null, minSyncPeriod: 0s, syncPeriod: 0s}
ipvs: {excludeCIDRs: null, minSyncPeriod: 0s, scheduler: '', strictARP: false, syncPeriod: 0s}
kind: KubeProxyConfiguration
mode: ''
nftables: {masqueradeAll: true, masqueradeBit: 3, minSyncPeriod: 5s, syncPeriod: 1m}
nodePortAddresses: null
";

    fn read(mode: Option<&'static str>) -> Configuration {
        let documents = trees(KUBEADM, 0, &[]).unwrap();
        let overrides = Overrides {
            mode,
            ..Overrides::default()
        };
        configuration(documents.first(), &overrides)
    }

    #[test]
    fn what_kubeadm_writes_stands_for_the_defaults() {
        let expected = Configuration {
            cluster_cidrs: vec!["10.244.0.0/16".parse().unwrap()],
            ..Configuration::default()
        };
        assert_eq!(read(None), expected);
    }

    #[test]
    fn each_mode_has_a_section_and_ipvs_masquerades_by_that_of_iptables() {
        let ipvs = read(Some("ipvs"));
        assert_eq!(ipvs.min_sync_period, Duration::ZERO);
        assert_eq!(ipvs.sync_period, Duration::from_secs(30));
        assert!(!ipvs.masquerade_all);
        let nftables = read(Some("nftables"));
        let periods = (nftables.min_sync_period, nftables.sync_period);
        assert_eq!(periods, (Duration::from_secs(5), Duration::from_secs(60)));
        assert_eq!(
            (nftables.masquerade_all, nftables.masquerade_bit),
            (true, 3)
        );
    }
}
