//! kube-proxy's rules are, to the character, those that a real one wrote.
//!
//! The order of services in shared chains is free, so rules of those are compared as sets; in
//! the chains of one service the order counts.

use cloud::rules::{self, Input, Node, iptables};
use loader::File;
use loader::kubernetes::kube_proxy::{self, Overrides};
use loader::tree::Node as Tree;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Folders of recordings: the committed ones, and those of further folders.
pub(super) fn recordings() -> Vec<PathBuf> {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity");
    let further = std::env::var_os("HYBRIDSIM_PARITY").unwrap_or_default();
    let mut found = Vec::new();
    for root in std::iter::once(committed).chain(std::env::split_paths(&further)) {
        for folder in [root.join("kube-proxy"), root] {
            let listed = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let cases = listed.map(|entry| entry.path());
            found.extend(cases.filter(|path| path.join("node.txt").exists()));
        }
    }
    found.sort();
    found
}

pub(super) fn text(folder: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(folder.join(name)).ok()
}

/// The input of a recording: its manifests as seen from its node.
pub(super) fn input(folder: &Path) -> Input {
    let file = File {
        name: "manifests.yaml".to_owned(),
        text: text(folder, "manifests.yaml").expect("a recording has manifests"),
    };
    let known = kube_proxy::read(&[file]).expect("manifests are YAML");
    let node = text(folder, "node.txt").expect("a recording has a node");
    let node = kube_proxy::trees(&node, 0, &[]).expect("a node's text is YAML");
    let node = &node[0];
    let word = |key: &str| node.get(key).and_then(Tree::text).unwrap_or_default();
    let proxy = node.get("proxy").expect("a node says how its proxy is set");
    let flag = |key: &str, otherwise| proxy.get(key).and_then(Tree::bool).unwrap_or(otherwise);
    let mut configuration = kube_proxy::configuration(Some(proxy), &Overrides::default());
    configuration.masquerade_all = flag("masqueradeAll", false);
    configuration.localhost_node_ports = flag("localhostNodePorts", true);
    Input {
        configuration,
        node: Node {
            name: word("node").to_owned(),
            addresses: vec![word("nodeIP").parse().expect("an address")],
            zone: Some(word("zone").to_owned()).filter(|zone| !zone.is_empty()),
            pod_cidrs: word("podCIDR").parse().into_iter().collect(),
        },
        services: known.services,
        // The API server of the recordings was started with this range.
        service_cidrs: vec!["10.96.0.0/16".parse().expect("a range")],
        kubernetes_minor: 36,
    }
}

/// Chains in which the order of services is free.
const SHARED: [&str; 4] = [
    "KUBE-SERVICES",
    "KUBE-NODEPORTS",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-PROXY-FIREWALL",
];

/// The service of a rule in a shared chain, by its comment.
fn service(rule: &str) -> String {
    let comment = rule.split('"').nth(1).unwrap_or_default();
    comment.split(' ').next().unwrap_or_default().to_owned()
}

/// Chains with their rules, in an order that does not depend on that of services.
fn canonical(saved: &str) -> BTreeMap<String, Vec<String>> {
    let mut chains: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in saved.lines() {
        if let Some(declared) = line.strip_prefix(':') {
            let chain = declared.split(' ').next().expect("a name");
            chains.entry(chain.to_owned()).or_default();
        } else if let Some(rule) = line.strip_prefix("-A ") {
            let chain = rule.split(' ').next().expect("a name");
            chains
                .entry(chain.to_owned())
                .or_default()
                .push(rule.to_owned());
        }
    }
    for shared in SHARED {
        if let Some(rules) = chains.get_mut(shared) {
            // Stable, so that the rules of one service stay in their order.
            rules.sort_by_key(|rule| (rule.contains("must be the last rule"), service(rule)));
        }
    }
    chains
}

/// Where two texts differ, as lines of a diff.
fn differences(
    recorded: &BTreeMap<String, Vec<String>>,
    ours: &BTreeMap<String, Vec<String>>,
) -> Vec<String> {
    let names: BTreeSet<&String> = recorded.keys().chain(ours.keys()).collect();
    let differing = names
        .into_iter()
        .filter(|name| recorded.get(*name) != ours.get(*name));
    differing
        .map(|name| {
            format!(
                "{name}:\n- {:#?}\n+ {:#?}",
                recorded.get(name),
                ours.get(name)
            )
        })
        .collect()
}

/// Whether a service's endpoints in a recording depend on chance: two slices disagree.
pub(super) fn depends_on_chance(folder: &Path) -> bool {
    text(folder, "node.txt").is_some_and(|node| node.contains("nondeterministic"))
}

#[test]
fn iptables_writes_what_kube_proxy_wrote() {
    let mut compared = 0;
    for folder in recordings() {
        if depends_on_chance(&folder) {
            continue;
        }
        let tables = iptables::generate(&input(&folder));
        for table in &tables {
            assert_eq!(table.flaws(), Vec::<String>::new(), "{folder:?}");
            let Some(recorded) = text(&folder, &format!("iptables-{}.txt", table.name)) else {
                continue;
            };
            let found = differences(&canonical(&recorded), &canonical(&iptables::save(table)));
            assert!(found.is_empty(), "{folder:?}\n{}", found.join("\n"));
            compared += 1;
        }
    }
    assert!(compared >= 51, "{compared} tables were compared");
}

/// Endpoints by service in the chains of a saved nat table.
fn endpoints(saved: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in saved.lines().filter(|line| line.starts_with("-A KUBE-SV")) {
        let comment = line.split('"').nth(1).unwrap_or_default();
        if let Some((service, address)) = comment.split_once(" -> ") {
            let address = address.split(':').next().expect("an address");
            let name = service.rsplit('/').next().expect("a name").to_owned();
            found.entry(name).or_default().insert(address.to_owned());
        }
    }
    found
}

#[test]
fn where_slices_disagree_one_of_the_recorded_outcomes_comes_out() {
    let mut compared = 0;
    for folder in recordings()
        .into_iter()
        .filter(|one| depends_on_chance(one))
    {
        let [nat, ..] = iptables::generate(&input(&folder));
        let ours = endpoints(&iptables::save(&nat));
        let mut outcomes: BTreeMap<String, Vec<BTreeSet<String>>> = BTreeMap::new();
        let recorded = endpoints(&text(&folder, "iptables-nat.txt").unwrap_or_default());
        for (name, set) in recorded {
            outcomes.entry(name).or_default().push(set);
        }
        for line in text(&folder, "repeats.txt").unwrap_or_default().lines() {
            let mut name = String::new();
            for word in line.split_whitespace() {
                if let Some(service) = word.strip_suffix(':') {
                    name = service.to_owned();
                    outcomes
                        .entry(name.clone())
                        .or_default()
                        .push(BTreeSet::new());
                } else if let Some(set) = outcomes.get_mut(&name).and_then(|all| all.last_mut()) {
                    set.insert(word.to_owned());
                }
            }
        }
        for (name, set) in &ours {
            assert!(outcomes[name].contains(set), "{folder:?} {name}: {set:?}");
            compared += 1;
        }
    }
    assert!(compared >= 4, "{compared} services were compared");
}

#[test]
fn health_checks_answer_what_kube_proxy_answered() {
    let mut compared = 0;
    for folder in recordings() {
        let input = input(&folder);
        for name in ["healthcheck-iptables.txt", "healthcheck-nftables.txt"] {
            let recorded = text(&folder, name).unwrap_or_default();
            for answer in recorded.split("## ").skip(1) {
                let service = answer.lines().next().expect("a service").trim();
                let service = input
                    .services
                    .iter()
                    .find(|one| service == format!("{}/{}", one.namespace, one.name));
                let service = service.expect("a service of the manifests");
                let (status, local) = rules::health_check(service, &input.node.name)
                    .expect("a service with a health-check port");
                assert!(
                    answer.contains(&format!("HTTP/1.1 {status} ")),
                    "{folder:?}"
                );
                let weight = format!("X-Load-Balancing-Endpoint-Weight: {local}");
                assert!(
                    answer.lines().any(|line| line.trim() == weight),
                    "{folder:?}"
                );
                let count = format!("\"localEndpoints\": {local},");
                assert!(answer.contains(&count), "{folder:?}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 13, "{compared} answers were compared");
}
