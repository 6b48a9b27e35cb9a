//! Which endpoints a service's clients reach: hints, traffic policies and the last resort.

use super::control::entry;
use super::*;
use crate::domain::Domain;
use crate::path::Identity;
use crate::path::choice::Choice;
use crate::path::link::Address;
use crate::rules::Door;
use crate::topology::PartitionKind;
use crate::view::EndpointSet;
use std::collections::BTreeMap;

/// A cluster of three zones with two nodes each, and eight pods behind a service.
fn three_zones(distribution: Option<TrafficDistribution>) -> Scenario {
    let mut scenario = entry();
    let cluster = &mut scenario.clusters[0];
    cluster.zones = vec!["a".into(), "b".into(), "c".into()];
    cluster.kubernetes_minor = 35;
    let node = cluster.nodes[0].clone();
    cluster.nodes = (0..6)
        .map(|number| Node {
            name: format!("n{}", number + 1),
            zone: ZoneId(number / 2),
            ..node.clone()
        })
        .collect();
    cluster.services[0].distribution = distribution;
    cluster.workloads[0].replicas = 8;
    scenario
}

/// The partition of the first cluster, with the pods of the first service where `nodes` says.
fn domain<'t>(topology: &'t crate::Topology, nodes: &[u32]) -> Domain<'t> {
    let partitions = &topology.partitions;
    let cluster = PartitionKind::Cluster(ClusterId(0));
    let id = partitions.iter().position(|kind| *kind == cluster).unwrap();
    let seed = Seed::default();
    let plan = crate::simulate::measure_plan(topology, seed, &Options::default());
    let mut domain = Domain::new(topology, id as u16, seed, plan);
    for (pod, node) in domain.pods.iter_mut().zip(nodes) {
        pod.node = Some(*node);
        pod.zone = node / 2;
    }
    domain
}

/// Pods that a node's new connections reach, with how many of 8000 each gets.
fn reached(domain: &mut Domain<'_>, node: u32, door: Door) -> Result<BTreeMap<u32, u32>, Choice> {
    let mut counts = BTreeMap::new();
    for request in 0..8_000 {
        let identity = Identity { request, branch: 0 };
        let client = Address::Pod(0, request as u32);
        let (service, now) = (ServiceId(0), Time::ZERO);
        match domain.choose_endpoint(Some(node), service, client, door, identity, now) {
            Choice::Pod(pod) => *counts.entry(pod).or_default() += 1,
            other => return Err(other),
        }
    }
    Ok(counts)
}

/// Pods that are reached, if each gets its share up to four standard errors.
fn equal_shares(counts: Result<BTreeMap<u32, u32>, Choice>) -> Vec<u32> {
    let counts = counts.expect("there are endpoints");
    let share = 1.0 / counts.len() as f64;
    let error = (8_000.0 * share * (1.0 - share)).sqrt();
    for count in counts.values() {
        let off = (f64::from(*count) - 8_000.0 * share).abs();
        assert!(off <= 4.0 * error, "{counts:?}");
    }
    counts.into_keys().collect()
}

const EVERYWHERE: [u32; 8] = [0, 0, 1, 2, 3, 3, 4, 0];

#[test]
fn without_a_distribution_all_endpoints_get_their_share() {
    let topology = compile(&three_zones(None));
    let mut domain = domain(&topology, &EVERYWHERE);
    let all = equal_shares(reached(&mut domain, 5, Door::Cluster));
    assert_eq!(all, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_zone_keeps_its_traffic() {
    let topology = compile(&three_zones(Some(TrafficDistribution::SameZone)));
    let mut domain = domain(&topology, &EVERYWHERE);
    let of = |domain: &mut Domain<'_>, node| equal_shares(reached(domain, node, Door::Cluster));
    assert_eq!(of(&mut domain, 1), [0, 1, 2, 7]);
    assert_eq!(of(&mut domain, 5), [6]);
}

#[test]
fn a_node_keeps_its_traffic_or_its_zone_does() {
    let topology = compile(&three_zones(Some(TrafficDistribution::SameNode)));
    let mut domain = domain(&topology, &EVERYWHERE);
    let of = |domain: &mut Domain<'_>, node| equal_shares(reached(domain, node, Door::Cluster));
    assert_eq!(of(&mut domain, 3), [4, 5]);
    assert_eq!(of(&mut domain, 5), [6], "from its zone");
    assert_eq!(of(&mut domain, 4), [6], "its own");
}

#[test]
fn a_zone_without_endpoints_goes_to_all() {
    let topology = compile(&three_zones(Some(TrafficDistribution::SameZone)));
    let mut domain = domain(&topology, &[0, 0, 1, 2, 3, 3, 2, 0]);
    let all = equal_shares(reached(&mut domain, 5, Door::Cluster));
    assert_eq!(all, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn old_releases_know_no_distribution() {
    let mut scenario = three_zones(Some(TrafficDistribution::SameZone));
    scenario.clusters[0].kubernetes_minor = 30;
    let topology = compile(&scenario);
    let mut domain = domain(&topology, &EVERYWHERE);
    assert_eq!(
        equal_shares(reached(&mut domain, 5, Door::Cluster)).len(),
        8
    );
}

#[test]
fn endpoints_on_their_way_out_are_a_last_resort() {
    let mut scenario = three_zones(None);
    scenario.clusters[0].services[0].external_policy = TrafficPolicy::Local;
    let topology = compile(&scenario);
    let mut domain = domain(&topology, &EVERYWHERE);
    let mut publish = |pods: &[u32], leaving: &[u32]| {
        let set = EndpointSet {
            pods: pods.to_vec(),
            entries: Vec::new(),
            leaving: leaving.to_vec(),
            changed: Time::ZERO,
        };
        domain.endpoint_log.publish(ServiceId(0), set, Time::ZERO);
        for node in &mut domain.nodes {
            node.view.catch_up(&domain.endpoint_log, Time::ZERO, |_| ());
        }
        let balancer = Door::Balancer { allowed: true };
        [(0, Door::Cluster), (0, balancer), (1, balancer)].map(|(node, door)| {
            let counts = reached(&mut domain, node, door);
            counts.map(|all| all.into_keys().collect())
        })
    };
    let pods = |pods: &[u32]| Ok::<Vec<u32>, Choice>(pods.to_vec());
    assert_eq!(
        publish(&[0, 3], &[1, 2]),
        [pods(&[0, 3]), pods(&[0]), pods(&[2])],
        "node 1 has none but one on its way out"
    );
    assert_eq!(
        publish(&[], &[1, 2]),
        [pods(&[1, 2]), pods(&[1]), pods(&[2])]
    );
    assert_eq!(
        publish(&[3], &[]),
        [pods(&[3]), Err(Choice::Drop), Err(Choice::Drop)]
    );
    assert_eq!(publish(&[], &[]), [const { Err(Choice::Refuse) }; 3]);
}

#[test]
fn schedulers_of_ipvs_choose_in_their_ways() {
    use crate::rules::{Mode, Scheduler};
    let reached_by = |scheduler| {
        let mut scenario = three_zones(None);
        scenario.clusters[0].service_rules.configuration.mode = Mode::Ipvs { scheduler };
        let topology = compile(&scenario);
        reached(&mut domain(&topology, &EVERYWHERE), 5, Door::Cluster).unwrap()
    };
    let in_turn = reached_by(Scheduler::RoundRobin);
    assert!(in_turn.values().all(|count| *count == 1_000), "{in_turn:?}");
    // Nobody stays, so that the last to come, the first of the list, has as few connections as any.
    let idle = reached_by(Scheduler::LeastConnection);
    assert_eq!(idle, BTreeMap::from([(7, 8_000)]));
    let by_source = reached_by(Scheduler::SourceHashing);
    assert!(by_source.values().all(|count| (900..1_100).contains(count)));
    assert_eq!(reached_by(Scheduler::DestinationHashing).len(), 1);
    assert_eq!(reached_by(Scheduler::MaglevHashing).len(), 8);
}

#[test]
fn source_ranges_let_in_whom_they_hold() {
    // Of 1,000 users half have addresses in the half that is let in: 16 is a standard deviation.
    for (addresses, ranges, least, most) in [
        (None, "192.0.2.0/24", 1_000, 1_000),
        (Some("203.0.113.0/24"), "203.0.0.0/16", 1_000, 1_000),
        (Some("203.0.113.0/24"), "192.0.2.0/24", 0, 0),
        (Some("203.0.113.0/24"), "203.0.113.128/25", 430, 570),
    ] {
        let mut scenario = two_regions();
        scenario.user_networks[0].addresses = addresses.map(|range| range.parse().unwrap());
        for cluster in &mut scenario.clusters {
            cluster.services[0].given.source_ranges = vec![ranges.parse().unwrap()];
        }
        let traffic = &mut scenario.traffic[0];
        traffic.clients = 1_000;
        traffic.timeout = Some(Duration::from_secs(5));
        traffic.arrivals = at_milliseconds(&(0..1_000).map(|n| 2_000 + 50 * n).collect::<Vec<_>>());
        let users = &run(&scenario).traffic[0];
        assert!(
            (least..=most).contains(&users.succeeded),
            "{ranges} {}",
            users.succeeded
        );
        let failed: u64 = users.failures.iter().sum();
        assert_eq!(users.succeeded + failed, 1_000, "{addresses:?}");
    }
}
