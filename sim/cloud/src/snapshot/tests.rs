//! Snapshots around the loss of a node.

use super::*;
use crate::compile;
use crate::domain::Domain;
use crate::scenario::{
    Action, Change, ClusterId, Fault, Image, NetworkModel, Packets, PullPolicy, Scenario,
    ServiceKind, TimelineEntry, WorkloadId,
};
use crate::simulate::{Options, run_until, start};
use crate::tests::scaling::scaled;
use crate::tests::{fault_at, two_regions};
use std::collections::BTreeSet;

fn snapshot(scenario: &Scenario, at_seconds: u64) -> ClusterSnapshot {
    let seed = Seed {
        master: 1,
        replication: 0,
    };
    let mut snapshot = at(&compile(scenario), seed, Duration::from_secs(at_seconds));
    snapshot.clusters.remove(0)
}

#[test]
fn endpoints_are_the_pods_at_their_addresses() {
    let cluster = snapshot(&two_regions(), 0);
    let service = &cluster.services[0];
    let addresses: Vec<_> = service
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.address.to_string(), endpoint.node.as_deref()))
        .collect();
    assert_eq!(
        addresses,
        [
            ("10.244.0.2".to_owned(), Some("n1")),
            ("10.244.1.2".to_owned(), Some("n2"))
        ]
    );
    assert_eq!(cluster.known(0, 0), service.endpoints);
    assert!(service.has_pods && service.load_balancer_ips.len() == 1);
}

#[test]
fn a_snapshot_of_the_ideal_network_has_no_nodes() {
    let mut scenario = two_regions();
    scenario.network = NetworkModel::Ideal;
    scenario.clusters.truncate(1);
    scenario.clusters[0].nodes.clear();
    scenario.clusters[0].services[0].kind = ServiceKind::ClusterIp;
    scenario.global_names.clear();
    scenario.user_networks.clear();
    scenario.links.clear();
    scenario.traffic.clear();
    let cluster = snapshot(&scenario, 5);
    assert!(cluster.nodes.is_empty());
    assert_eq!(cluster.services[0].endpoints.len(), 2);
}

#[test]
fn being_looked_at_changes_nothing() {
    let mut scenario = two_regions();
    let down = Fault::NodeDown {
        cluster: ClusterId(0),
        node: 0,
        packets: Packets::Dropped,
    };
    scenario.timeline = vec![fault_at(20_000, down, Some(70_000))];
    let topology = compile(&scenario);
    let seed = Seed::default();
    let end = Time::ZERO + scenario.run.duration;
    let options = Options::default();
    let digest = |journal: bool| {
        let mut domains = start(&topology, seed, &options);
        if journal {
            domains.iter_mut().for_each(Domain::keep_journal);
        }
        run_until(domains, &topology, &options, end).digest()
    };
    assert_eq!(digest(true), digest(false));
}

/// The pods' statuses and readiness, and the reasons of all events, in their order.
fn told(cluster: &ClusterSnapshot) -> (Vec<(&'static str, bool)>, Vec<&'static str>) {
    let pods = cluster.pods.iter().map(|pod| (pod.status, pod.ready));
    let events = cluster.events.iter().map(|event| event.reason);
    (pods.collect(), events.collect())
}

#[test]
fn a_pod_without_room_is_pending_and_says_why() {
    let mut scenario = two_regions();
    scenario.clusters[0].workloads[0]
        .template
        .placement
        .requests
        .cpu_milli = 3_000;
    scenario.clusters[0].workloads[0].replicas = 3;
    let cluster = snapshot(&scenario, 5);
    let running = ("Running", true);
    let (pods, events) = told(&cluster);
    assert_eq!(pods, [running, running, ("Pending", false)]);
    assert_eq!(events, ["FailedScheduling"]);
    let event = &cluster.events[0];
    assert_eq!(event.kind, "Warning");
    assert_eq!(
        event.message,
        "0/2 nodes are available: 2 Insufficient cpu."
    );
    assert_eq!(cluster.pods[2].address, None);
    let deployment = &cluster.deployments[0];
    assert_eq!((deployment.desired, deployment.ready), (3, 2));
    assert_eq!(deployment.available, 2);
}

#[test]
fn a_rollout_has_two_replica_sets_and_its_events() {
    let mut scenario = two_regions();
    let mut changed = scenario.clusters[0].workloads[0].template.clone();
    changed.behavior.response_bytes = 1;
    scenario.timeline = vec![TimelineEntry {
        at: Time::from_secs_f64(10.0),
        label: "release".into(),
        action: Action::Apply {
            cluster: ClusterId(0),
            changes: vec![Change::Template(WorkloadId(0), Box::new(changed))],
        },
    }];
    let cluster = snapshot(&scenario, 60);
    let sets: Vec<_> = cluster
        .replica_sets
        .iter()
        .map(|set| (set.desired, set.current, set.ready))
        .collect();
    assert_eq!(sets, [(0, 0, 0), (2, 2, 2)]);
    assert!(cluster.replica_sets[1].created > Time::from_secs_f64(10.0));
    let names: BTreeSet<_> = cluster.replica_sets.iter().map(|set| &set.name).collect();
    assert_eq!(names.len(), 2);
    let scalings: Vec<_> = cluster
        .events
        .iter()
        .filter(|event| event.reason == "ScalingReplicaSet")
        .map(|event| {
            event
                .message
                .split(' ')
                .skip(5)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    assert_eq!(
        scalings,
        ["from 0 to 1", "from 2 to 1", "from 1 to 2", "from 1 to 0"]
    );
    let killed = cluster
        .events
        .iter()
        .filter(|event| event.reason == "Killing");
    assert!(
        killed
            .clone()
            .all(|event| event.message == "Stopping container web")
    );
    assert_eq!(killed.count(), 2);
}

#[test]
fn an_autoscaler_shows_what_it_measured() {
    let points = vec![(Time::ZERO, 10.0)];
    let scenario = scaled(points, Duration::from_secs(120));
    let cluster = snapshot(&scenario, 0);
    assert_eq!(cluster.autoscalers[0].replicas, 0);
    assert_eq!(cluster.autoscalers[0].targets[0].measured, None);
    let cluster = snapshot(&scenario, 120);
    let scaler = &cluster.autoscalers[0];
    assert!(scaler.replicas > 0 && scaler.targets[0].measured.is_some());
}

#[test]
fn a_container_without_memory_is_killed_and_backs_off() {
    let mut scenario = two_regions();
    let fault = Fault::OutOfMemory {
        cluster: ClusterId(0),
        workload: WorkloadId(0),
        after: Duration::from_secs(5),
    };
    scenario.timeline = vec![fault_at(10_000, fault, None)];
    let at = |seconds| snapshot(&scenario, seconds);
    // The first kill, at 15 s, is answered by a restart at once; the second waits.
    let first = at(18);
    assert_eq!(
        (first.pods[0].status, first.pods[0].restarts),
        ("Running", 1)
    );
    assert_eq!(first.pods[0].restarted, Some(Time::from_secs_f64(15.0)));
    let (pods, _) = told(&at(25));
    assert!(pods.contains(&("OOMKilled", false)), "{pods:?}");
    let later = at(90);
    assert!(
        later
            .pods
            .iter()
            .any(|pod| pod.status == "CrashLoopBackOff")
    );
    let backing_off = later
        .events
        .iter()
        .filter(|event| event.reason == "BackOff");
    let message = "Back-off restarting failed container web in pod web-";
    assert!(
        backing_off
            .clone()
            .all(|event| event.message.starts_with(message))
    );
    assert!(backing_off.clone().all(|event| event.count > 1) && backing_off.count() > 0);
}

#[test]
fn an_image_is_pulled_or_waited_for() {
    let mut scenario = two_regions();
    let mut changed = scenario.clusters[0].workloads[0].template.clone();
    changed.image = Some(Image {
        name: "registry.example.com/web:2".into(),
        bytes: 200_000_000,
        policy: PullPolicy::IfNotPresent,
    });
    let release = TimelineEntry {
        at: Time::from_secs_f64(10.0),
        label: "release".into(),
        action: Action::Apply {
            cluster: ClusterId(0),
            changes: vec![Change::Template(WorkloadId(0), Box::new(changed))],
        },
    };
    let away = Fault::RegistryDown {
        cluster: ClusterId(0),
    };
    scenario.timeline = vec![fault_at(5_000, away, Some(60_000)), release];
    let waiting = snapshot(&scenario, 60);
    let (pods, events) = told(&waiting);
    assert!(pods.contains(&("ImagePullBackOff", false)), "{pods:?}");
    assert!(
        events.contains(&"Pulling") && events.contains(&"Failed"),
        "{events:?}"
    );
    let pulled = snapshot(&scenario, 99);
    let message = pulled
        .events
        .iter()
        .find(|event| event.message.starts_with("Successfully pulled"))
        .map(|event| event.message.as_str())
        .expect("it was pulled in the end");
    assert!(
        message.contains("image \"registry.example.com/web:2\" in "),
        "{message}"
    );
    assert!(
        message.ends_with(" Image size: 200000000 bytes."),
        "{message}"
    );
}

#[test]
fn durations_are_written_as_go_does() {
    let written = |milliseconds| events::go_duration(Duration::from_millis(milliseconds));
    assert_eq!(written(0), "0s");
    assert_eq!(written(950), "950ms");
    assert_eq!(written(2_513), "2.513s");
    assert_eq!(written(62_000), "1m2s");
}
