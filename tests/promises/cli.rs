//! The command line: exit codes, the two streams, and what a newcomer types first.

use std::path::Path;
use std::process::{Command, Output};

pub(crate) fn hybridsim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hybridsim"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the program starts")
}

/// What `hybridsim inspect` prints with these arguments.
///
/// # Panics
/// With what it tells, if it fails.
pub(crate) fn inspect(arguments: &[&str]) -> String {
    let output = hybridsim(&[&["inspect"], arguments].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).expect("text")
}

fn code(arguments: &[&str]) -> i32 {
    hybridsim(arguments)
        .status
        .code()
        .expect("no signal ended it")
}

fn json(arguments: &[&str]) -> serde_json::Value {
    let output = hybridsim(arguments);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{arguments:?}: {error}\n{}",
            String::from_utf8_lossy(&output.stdout)
        )
    })
}

/// A short run of a small scenario.
const QUEUE: [&str; 4] = ["run", "queue", "--replications", "3"];

#[test]
fn a_run_prints_a_table_and_ends_with_zero() {
    let output = hybridsim(&[&QUEUE[..], &["--duration", "1200s"]].concat());
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("digest") && text.contains("±"), "{text}");
}

#[test]
fn a_json_document_stands_alone_and_carries_the_digest() {
    let arguments = [&QUEUE[..], &["--duration", "1200s", "--json"]].concat();
    let document = json(&arguments);
    let digest = document["digest"].as_str().expect("a digest").to_owned();
    assert_eq!(
        json(&[&arguments[..], &["--threads", "3"]].concat())["digest"],
        digest.as_str()
    );
    let other = json(&[&arguments[..], &["--seed", "43"]].concat());
    assert_ne!(other["digest"], digest.as_str());
}

#[test]
fn every_printing_command_has_json() {
    for arguments in [
        &["list", "--json"][..],
        &["facts", "--json"],
        &["schema", "--json"],
        &["check", "scenarios/bookinfo/bookinfo.yaml", "--json"],
        &["check", "--explain", "HS0001", "--json"],
        &["init", "scenarios/bookinfo/bookinfo.yaml", "--json"],
        &["completions", "bash", "--json"],
    ] {
        assert!(!json(arguments).is_null(), "{arguments:?}");
    }
}

#[test]
fn shipped_scenarios_of_a_folder_have_two_names() {
    let listed = json(&["list", "--json"]);
    let listed = listed.as_array().expect("a list");
    let names: Vec<_> = listed.iter().map(|row| row["name"].as_str()).collect();
    assert!(names.contains(&Some("kubernetes/canary-by-pods")));
    assert!(names.contains(&Some("queue")));
    assert!(!names.contains(&Some("kubernetes/web/web")), "a manifest");
    let short = ["--duration", "3m", "--replications", "2", "--json"];
    let digest = |name| json(&[&["run", name], &short[..]].concat())["digest"].clone();
    assert_eq!(
        digest("kubernetes/canary-by-pods"),
        digest("canary-by-pods")
    );
    let text = hybridsim(&["list"]).stdout;
    let text = String::from_utf8(text).expect("text");
    assert!(text.contains("\nkubernetes/\n\nkubernetes/"), "{text}");
}

#[test]
fn a_name_of_several_scenarios_is_answered_with_their_whole_names() {
    let output = hybridsim(&["check", "keep-alive-skew"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).expect("text");
    let names: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
    assert_eq!(
        names,
        ["kubernetes/keep-alive-skew", "mesh/keep-alive-skew"]
    );
    for name in names {
        assert_eq!(code(&["check", name]), 0, "{name}");
    }
}

#[test]
fn bad_input_ends_with_two() {
    assert_eq!(code(&["run", "no-such-file.yaml"]), 2);
    assert_eq!(code(&["check", "no-such-file.yaml"]), 2);
    assert_eq!(code(&["check", "--explain", "HS9999"]), 2);
    assert_eq!(code(&["run", "--no-such-flag"]), 2);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.yaml");
    std::fs::write(
        &path,
        "apiVersion: hybridsim.dev/v1alpha1\nkind: Scenario\nspec: {trafic: []}",
    )
    .expect("written");
    let output = hybridsim(&["run", path.to_str().expect("a path")]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(
        text.contains("bad.yaml:3:") && text.contains("traffic"),
        "{text}"
    );
}

#[test]
fn a_missed_objective_counts_only_under_the_gate() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("slow.yaml");
    std::fs::write(
        &path,
        "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {name: slow}
spec:
  network: ideal
  workloads: {server: {workers: 1, serviceTime: {exponential: 1s}}}
  traffic: [{name: users, to: \"server:80\", arrivals: {poisson: 0.5/s}}]
  objectives: [{mean: 10ms}]
  run: {duration: 2000s}
",
    )
    .expect("written");
    let path = path.to_str().expect("a path");
    assert_eq!(code(&["run", path]), 0);
    assert_eq!(code(&["run", path, "--gate"]), 1);
}

#[test]
fn out_writes_every_kind_of_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a path");
    assert_eq!(
        code(&[&QUEUE[..], &["--duration", "1200s", "--out", path]].concat()),
        0
    );
    for name in ["report.html", "report.json", "summary.csv", "series.csv"] {
        let length = std::fs::metadata(Path::new(path).join(name)).map(|meta| meta.len());
        assert!(length.unwrap_or(0) > 100, "{name}");
    }
}

#[test]
fn manifests_alone_run_with_stated_assumptions() {
    let document = json(&[
        "run",
        "scenarios/bookinfo/bookinfo.yaml",
        "--duration",
        "20s",
        "--replications",
        "2",
        "--json",
    ]);
    let assumptions = document["assumptions"].as_array().expect("a list");
    assert!(!assumptions.is_empty());
}

#[test]
fn what_init_writes_loads_without_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifests = folder.path().join("bookinfo.yaml");
    std::fs::copy(root.join("scenarios/bookinfo/bookinfo.yaml"), manifests).expect("copied");
    let output = Command::new(env!("CARGO_BIN_EXE_hybridsim"))
        .args(["init", "bookinfo.yaml"])
        .current_dir(folder.path())
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(0));
    let path = folder.path().join("scenario.yaml");
    std::fs::write(&path, output.stdout).expect("written");
    assert_eq!(code(&["check", path.to_str().expect("a path")]), 0);
}

#[test]
fn a_node_s_rules_are_printed_in_both_modes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("shop.yaml");
    let text = "\
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 10.60.0.11}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.1.2, ports: [{port: 80}]}
";
    std::fs::write(&path, text).expect("the file can be written");
    let path = path.to_str().expect("a plain path");
    let printed = |part, node| {
        let output = hybridsim(&["inspect", part, path, "--node", node]);
        (
            output.status.code(),
            String::from_utf8(output.stdout).expect("text"),
        )
    };
    let (code, listing) = printed("nftables", "n1");
    assert_eq!(code, Some(0));
    assert!(listing.contains("10.96.1.2 . tcp . 80 comment \"shop/web\" : goto reject-chain"));
    let (code, saved) = printed("iptables", "n1");
    assert_eq!(code, Some(0));
    assert!(
        saved.contains("-A KUBE-SERVICES -d 10.96.1.2/32 -p tcp"),
        "{saved}"
    );
    assert_eq!(printed("nftables", "n2"), (Some(2), String::new()));
}

#[test]
fn a_packet_is_followed_from_rule_to_rule() {
    let printed = |arguments: &[&str]| {
        let output = hybridsim(&[&["inspect"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let at = ["bookinfo", "--at", "20s"];
    let route = ["route", "--from", "productpage", "--to", "reviews:9080"];
    let text = printed(&[&route[..], &at].concat());
    let rules = [
        "*nat",
        "-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES # rule 1",
        "--comment \"default/reviews:http cluster IP\" -m tcp --dport 9080 -j KUBE-SVC-",
        "-j DNAT --to-destination 10.244.",
        "*filter",
        "-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD",
        "-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING",
        "with its own source",
        "one of 3 endpoints that are equally likely",
    ];
    let mut rest = text.as_str();
    for rule in rules {
        let found = rest.find(rule);
        let at = found.unwrap_or_else(|| panic!("no {rule} in\n{rest}"));
        rest = &rest[at + rule.len()..];
    }
    // The rules that it met are those that the node has.
    let node = text.split(" on ").nth(1).expect("a node");
    let node = node.split(' ').next().expect("its name");
    let saved = printed(&[&["iptables", "--node", node][..], &at].concat());
    for rule in text.lines().filter(|line| line.starts_with("-A")) {
        let rule = rule.split(" # ").next().expect("the rule itself");
        assert!(saved.lines().any(|line| line == rule), "{rule}");
    }
}
