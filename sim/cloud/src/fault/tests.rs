//! All levers are at rest after any set of faults.

use super::Levers;
use crate::Options;
use crate::scenario::{
    ClusterId, Component, Fault, LinkChange, Packets, Place, UserNetworkId, WorkloadId, ZoneId,
};
use crate::simulate::replicate;
use crate::tests::{fault_at, two_regions};
use engine::{Duration, Seed};
use proptest::prelude::*;

/// Faults of machines and of the control plane of one of two clusters.
fn faults_inside() -> impl Strategy<Value = Fault> {
    let cluster = (0u32..2).prop_map(ClusterId);
    let component = prop_oneof![
        Just(Component::ControllerManager),
        Just(Component::Scheduler),
        (0u32..2).prop_map(Component::Kubelet),
        (0u32..2).prop_map(Component::KubeProxy),
    ];
    let packets = prop_oneof![Just(Packets::Dropped), Just(Packets::Refused)];
    let (zone, workload) = (ZoneId(0), WorkloadId(0));
    let kinds = (0..13, 0u32..2, 1u32..4, 1.0f64..5.0);
    (cluster, kinds, component, packets).prop_map(
        move |(cluster, (kind, node, count, factor), component, packets)| match kind {
            0 => Fault::NodePartition { cluster, node },
            1 => Fault::NodeSlow {
                cluster,
                node,
                cpu_factor: factor,
                disk_factor: factor,
            },
            2 => Fault::ZoneDown {
                cluster,
                zone,
                packets,
            },
            3 => Fault::ApiServerDown { cluster, count },
            4 => Fault::ApiServerSlow { cluster, factor },
            5 => Fault::EtcdDown { cluster, count },
            6 => Fault::ComponentDown { cluster, component },
            7 => Fault::KubeletDown { cluster, node },
            8 => Fault::RegistryDown { cluster },
            9 => Fault::Hang {
                cluster,
                workload,
                count,
            },
            10 => Fault::ContainerCrash {
                cluster,
                workload,
                count,
            },
            11 => Fault::OutOfMemory {
                cluster,
                workload,
                after: Duration::from_millis(u64::from(count) * 100),
            },
            _ => Fault::Frozen { cluster, component },
        },
    )
}

/// Every kind of fault that ends, in the world of [`two_regions`].
pub(crate) fn faults() -> impl Strategy<Value = Fault> {
    prop_oneof![faults_between(), faults_inside()]
}

fn faults_between() -> impl Strategy<Value = Fault> {
    let packets = prop_oneof![Just(Packets::Dropped), Just(Packets::Refused)];
    let cluster = (0u32..2).prop_map(ClusterId);
    let place = prop_oneof![
        cluster.clone().prop_map(Place::Cluster),
        Just(Place::Users(UserNetworkId(0))),
        Just(Place::Region("one".into())),
    ];
    let change = prop_oneof![
        Just(LinkChange::Cut),
        (1u64..100).prop_map(|count| LinkChange::Delay(Duration::from_millis(count))),
        (0.01f64..0.9).prop_map(LinkChange::Loss),
    ];
    let workload = WorkloadId(0);
    prop_oneof![
        (cluster.clone(), 0u32..2, packets.clone()).prop_map(|(cluster, node, packets)| {
            Fault::NodeDown {
                cluster,
                node,
                packets,
            }
        }),
        packets.prop_map(|packets| Fault::RegionDown {
            region: "one".into(),
            packets,
        }),
        (place.clone(), place, change).prop_map(|(from, to, change)| Fault::Link {
            from,
            to,
            change
        }),
        (cluster.clone(), 0.1f64..10.0).prop_map(move |(cluster, factor)| Fault::Slow {
            cluster,
            workload,
            factor,
        }),
        (cluster.clone(), 0.0f64..1.0)
            .prop_map(|(cluster, capacity)| Fault::DnsThrottled { cluster, capacity }),
        (cluster, 0.0f64..1.0).prop_map(move |(cluster, error_rate)| Fault::Failing {
            cluster,
            workload,
            error_rate,
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_levers_are_at_rest_when_all_faults_have_ended(
        timeline in prop::collection::vec((faults(), 0u64..900, 1u64..1000), 1..6),
    ) {
        let mut scenario = two_regions();
        scenario.run.duration = Duration::from_secs(2);
        scenario.timeline = timeline
            .into_iter()
            .map(|(fault, at, lasts)| fault_at(at, fault, Some(lasts)))
            .collect();
        scenario.timeline.sort_by_key(|entry| entry.at);
        let topology = crate::compile(&scenario);
        for domain in replicate(&topology, Seed::default(), &Options::default()).partitions() {
            prop_assert_eq!(&domain.levers, &Levers::at_rest(&topology, domain.id));
        }
    }
}

#[test]
fn faults_that_hold_at_once_add_up() {
    let topology = crate::compile(&two_regions());
    let slow = Fault::Slow {
        cluster: ClusterId(0),
        workload: WorkloadId(0),
        factor: 3.0,
    };
    let refusing = Fault::RegionDown {
        region: "one".into(),
        packets: Packets::Refused,
    };
    let cut = Fault::Link {
        from: Place::Cluster(ClusterId(0)),
        to: Place::Users(UserNetworkId(0)),
        change: LinkChange::Cut,
    };
    let under =
        |faults: &[&Fault], partition| Levers::under(faults.iter().copied(), &topology, partition);
    let twice = under(&[&slow, &slow], 0).workload(WorkloadId(0));
    assert_eq!(twice.slow_factor, 9.0);
    let (cluster, users, dns) = (0, 2, 3);
    assert_eq!(
        under(&[&refusing], users).barrier(cluster),
        Some(Packets::Refused)
    );
    assert_eq!(
        under(&[&refusing], dns).barrier(cluster),
        Some(Packets::Refused)
    );
    assert_eq!(
        under(&[&refusing], cluster).barrier(users),
        Some(Packets::Dropped)
    );
    assert_eq!(
        under(&[&refusing, &cut], users).barrier(cluster),
        Some(Packets::Dropped)
    );
    assert_eq!(under(&[&refusing, &cut], users).barrier(1), None);
}
