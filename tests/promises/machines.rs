//! Machines of sites, from what is written of them to what their mesh knows.

use crate::cli::{hybridsim, inspect};
use crate::support::{load, record};

/// The lines of a table about a client's sidecar that hold a text, without what is padding.
fn of_client(scenario: &str, part: &str, at: &str, text: &str) -> Vec<String> {
    let pods = inspect(&["pods", scenario, "--at", at]);
    let client = pods.lines().find_map(|line| {
        let name = line.split(' ').next()?;
        name.starts_with("client-").then_some(name)
    });
    let client = client.expect("there is a client");
    let table = inspect(&[part, scenario, "--proxy", client, "--at", at]);
    let lines = table.lines().filter(|line| line.contains(text));
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn a_sidecar_knows_machines_and_pods_behind_a_service() {
    let scenario = "scenarios/mesh/vm-migration.yaml";
    let machines = of_client(scenario, "endpoints", "10s", "|vm|orders");
    let cluster = "outbound|80|vm|orders.default.svc.cluster.local";
    let expected = [11, 12].map(|number| format!("10.20.0.{number}:8080 HEALTHY OK {cluster}"));
    assert_eq!(machines, expected);
    let all = of_client(scenario, "endpoints", "10s", "|80||orders");
    assert_eq!(all.len(), 6, "{all:?}");
}

#[test]
fn a_machine_without_power_is_an_endpoint_until_its_entry_is_removed() {
    let scenario = "scenarios/mesh/vm-health.yaml";
    let known = |at| {
        let lines = of_client(scenario, "endpoints", at, "ledger.corp");
        let addresses = lines.iter().map(|line| line.split(' ').next());
        let addresses = addresses.flatten().map(str::to_owned);
        addresses.collect::<Vec<_>>()
    };
    let (first, second) = ("10.20.0.11:8080", "10.20.0.12:8080");
    assert_eq!(known("20s"), [first, second]);
    assert_eq!(known("139s"), [first, second], "its keep-alives are missed");
    assert_eq!(known("141s"), [second]);
    assert_eq!(known("192s"), [first, second], "it is back, and checked");
    let clusters = of_client(scenario, "clusters", "20s", "ledger.corp");
    assert_eq!(clusters, ["ledger.corp 8080 - outbound EDS"]);
}

/// Runs a scenario whose expectations all have to be met.
fn meets_its_expectations(scenario: &str) {
    let output = hybridsim(&["run", scenario]);
    let told = String::from_utf8_lossy(&output.stdout);
    let missed: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("missed"))
        .collect();
    assert_eq!(missed, [""; 0]);
    assert!(output.status.success(), "{told}");
}

#[test]
fn hosts_are_known_by_wildcard_by_name_and_from_when_they_are_applied() {
    meets_its_expectations("tests/data/hosts/scenario.yaml");
}

#[test]
fn hosts_are_asked_through_the_waypoint_of_their_entry_by_the_addresses_that_they_have() {
    meets_its_expectations("tests/data/waypoint-hosts/scenario.yaml");
}

/// How many requests of each source succeed.
fn succeeded(text: &str) -> Vec<u64> {
    let record = record(text);
    record.traffic.iter().map(|it| it.succeeded).collect()
}

#[test]
fn machines_are_asked_at_the_ports_of_their_entries() {
    let text = include_str!("../data/fields/machine-ports.yaml");
    assert_eq!(succeeded(text), [20, 20, 20]);
    // Nobody listens where nothing says another port than the client's.
    let plain = text
        .replace(", ports: {http: 9000}", "")
        .replace(", ports: {http: 9001}", "")
        .replace(", targetPort: 9002", "");
    assert_eq!(succeeded(&plain), [0, 0, 0]);
    // Ports of an entry are found by the names of the service's.
    let other = text.replace("ports: {http: 9001}", "ports: {web: 9001}");
    // `entered` is the first by name.
    assert_eq!(succeeded(&other), [0, 20, 20]);
    // Machines that do not say where they listen take all that comes.
    let open = ["9000", "9001", "9002"].iter().fold(plain, |text, port| {
        text.replace(&format!("ports: [{port}], "), "")
    });
    assert_eq!(succeeded(&open), [20, 20, 20]);
}

#[test]
fn serviceentries_of_one_host_bring_each_its_ports_and_machines() {
    let text = include_str!("../data/fields/shared-host.yaml");
    // Each machine listens at the port of its own entry alone, so that nobody asks the other one.
    assert_eq!(succeeded(text), [20, 20]);
    // What finds its endpoints in another way, is for others or has other labels brings no port.
    let written =
        "  location: MESH_INTERNAL\n  resolution: STATIC\n  endpoints: [{address: 10.20.0.21}]";
    let by_name = (written, &*written.replace("STATIC", "DNS"));
    let shown = (written, &*format!("  exportTo: [.]\n{written}"));
    let labelled = ("{name: write}", "{name: write, labels: {team: a}}");
    for (old, new) in [by_name, shown, labelled] {
        assert!(text.contains(old));
        let told = load("shared-host.yaml", &text.replace(old, new)).diagnostics;
        let codes: Vec<&str> = told.iter().map(|it| it.code.id()).collect();
        for code in ["HS0161", "HS0204"] {
            assert!(codes.contains(&code), "{codes:?}: {new}");
        }
    }
}
