//! Machines that are ordered for pods, and that go when they are not needed.

use super::control::scale;
use super::nodes::{at_end, fleet};
use super::*;
use crate::control::machines::Machine;
use crate::domain::Domain;

/// A machine of so many cores with 4 GiB for each.
fn machine(name: &str, cores: u64) -> Node {
    Node {
        allocatable: Resources {
            cpu_milli: 1_000 * cores,
            memory_bytes: cores << 32,
        },
        ..node(name, 0)
    }
}

/// A machine of four cores with two pods of 1.5 cores each; pools of machines of these sizes,
/// four of each, that take 100 s to boot and 20 s to start up.
fn provisioned(kind: ProvisionerKind, pools: &[(u64, f64)], seconds: u64) -> Scenario {
    let mut scenario = fleet(1, 33, seconds);
    let cluster = &mut scenario.clusters[0];
    let mut described = Provisioner {
        kind,
        pools: Vec::new(),
        node_pools: vec![NodePool::default()],
    };
    for &(cores, price) in pools {
        let first = cluster.nodes.len() as u32;
        for number in 0..4 {
            let name = format!("pool-{cores}-{number}");
            cluster.nodes.push(machine(&name, cores));
        }
        described.pools.push(MachinePool {
            name: format!("pool-{cores}"),
            nodes: first..first + 4,
            count: 0,
            count_min: 0,
            price,
            boot: Distribution::constant(Duration::from_secs(100)),
            start_up: Duration::from_secs(20),
            node_pool: 0,
        });
    }
    cluster.provisioner = Some(described);
    let web = &mut cluster.workloads[0];
    web.replicas = 2;
    web.template.placement.requests = Resources {
        cpu_milli: 1_500,
        memory_bytes: 1 << 30,
    };
    scenario
}

fn autoscaled(seconds: u64) -> Scenario {
    provisioned(ProvisionerKind::ClusterAutoscaler, &[(4, 1.0)], seconds)
}

/// The machines at the end of a run that is cut off at a second.
fn machines(scenario: &Scenario, replication: u32, second: u64) -> Vec<Machine> {
    let mut scenario = scenario.clone();
    scenario.run.duration = Duration::from_secs(second);
    at_end(&scenario, replication, |domain| {
        domain.nodes.iter().map(|node| node.machine).collect()
    })
}

/// Pods on each node.
fn pods(domain: &Domain<'_>) -> Vec<usize> {
    domain.nodes.iter().map(|node| node.pods.len()).collect()
}

fn ready(domain: &Domain<'_>) -> usize {
    domain.pods.iter().filter(|pod| pod.ready).count()
}

#[test]
fn a_scan_orders_machines_for_pods_that_wait() {
    let mut scenario = autoscaled(200);
    scenario.timeline = vec![scale(30, 6)];
    let count = 200;
    let delays: Vec<f64> = (0..count)
        .map(|replication| {
            // Two of 1.5 cores fit on each: two machines for four pods.
            let all = machines(&scenario, replication, 51);
            let Machine::Coming(ordered) = all[1] else {
                panic!("{all:?}");
            };
            // The second may be a scan later: a ReplicaSet's pods come one after the other.
            assert!(matches!(all[2], Machine::Coming(_)), "{all:?}");
            assert_eq!(all[3..], [Machine::Absent; 2]);
            ordered.as_secs_f64() - 30.0
        })
        .collect();
    // Scans are 10 s apart, and pods wait some hundredths of a second after the change.
    let mean = delays.iter().sum::<f64>() / f64::from(count);
    let least = delays.iter().copied().fold(f64::MAX, f64::min);
    let greatest = delays.iter().copied().fold(0.0, f64::max);
    assert!((0.03..0.4).contains(&least), "{least}");
    assert!((9.7..10.1).contains(&greatest), "{greatest}");
    // Standard error: 10 / sqrt(12 * 200) = 0.2 s.
    assert!((mean - 5.04).abs() < 0.8, "{mean}");
}

#[test]
fn pods_come_to_a_machine_when_it_has_booted_and_started_up() {
    let mut scenario = autoscaled(165);
    scenario.timeline = vec![scale(30, 6)];
    for replication in 0..10 {
        let Machine::Coming(ordered) = machines(&scenario, replication, 45)[1] else {
            panic!("it was ordered");
        };
        at_end(&scenario, replication, |domain| {
            assert_eq!(pods(domain), [2, 2, 2, 0, 0]);
            // 100 s, the registration, and 20 s; then its scheduling, its kubelet's watch,
            // 2 s, and what that kubelet needs to see and say so.
            let opened = ordered + Duration::from_secs(120);
            let Machine::There(since) = domain.nodes[1].machine else {
                panic!("it is there");
            };
            assert_eq!(since, opened + Duration::from_millis(5));
            for &pod in &domain.nodes[1].pods {
                let took = domain.pods[pod as usize].ready_since.since(since);
                let took = took.as_secs_f64();
                assert!((2.015..3.1).contains(&took), "{took}");
            }
        });
    }
}

#[test]
fn empty_machines_go_after_ten_minutes() {
    let mut scenario = autoscaled(1_000);
    scenario.timeline = vec![scale(30, 6), scale(300, 2)];
    for replication in 0..5 {
        // Empty within 2 s, seen within 10 s, ten minutes and up to a scan, and the taint's 5 s.
        let there = |second| {
            let all = machines(&scenario, replication, second);
            all.iter().filter(|machine| machine.runs()).count()
        };
        assert_eq!(there(900), 3);
        assert_eq!(there(930), 1);
    }
    at_end(&scenario, 0, |domain| assert_eq!(ready(domain), 2));
}

/// Two machines of the pool at the start, instead of another, with one small pod on each.
fn two_half_empty(count_min: u32) -> Scenario {
    let mut scenario = autoscaled(650);
    let cluster = &mut scenario.clusters[0];
    cluster.nodes.remove(0);
    let pool = &mut cluster.provisioner.as_mut().unwrap().pools[0];
    pool.nodes = 0..4;
    pool.count = 2;
    pool.count_min = count_min;
    cluster.workloads[0].template.placement.requests.cpu_milli = 500;
    scenario
}

#[test]
fn one_of_two_machines_goes_and_its_pods_move() {
    let scenario = two_half_empty(0);
    at_end(&scenario, 0, |domain| {
        let running: Vec<_> = domain
            .nodes
            .iter()
            .map(|node| node.machine.runs())
            .collect();
        assert_eq!(running, [false, true, false, false]);
        assert_eq!(pods(domain), [0, 2, 0, 0]);
        assert_eq!(ready(domain), 2);
    });
    // Nobody was asked to go before ten minutes had passed.
    let mut early = scenario.clone();
    early.run.duration = Duration::from_secs(600);
    at_end(&early, 0, |domain| assert_eq!(pods(domain), [1, 1, 0, 0]));
    at_end(&two_half_empty(2), 0, |domain| {
        assert_eq!(pods(domain), [1, 1, 0, 0]);
    });
}

#[test]
fn a_budget_keeps_a_machine() {
    let mut scenario = two_half_empty(0);
    let budget = |at_least| DisruptionBudget {
        namespace: "default".into(),
        name: "web".into(),
        workloads: vec![WorkloadId(0)],
        demand: Demand::MinAvailable(Amount::Count(at_least)),
        unhealthy: Unhealthy::IfHealthyBudget,
    };
    scenario.clusters[0].budgets = vec![budget(2)];
    at_end(&scenario, 0, |domain| {
        assert_eq!(pods(domain), [1, 1, 0, 0])
    });
    scenario.clusters[0].budgets = vec![budget(1)];
    at_end(&scenario, 0, |domain| {
        assert_eq!(pods(domain), [0, 2, 0, 0])
    });
}

#[test]
fn a_machine_that_never_comes_is_given_up_after_a_quarter_of_an_hour() {
    let mut scenario = autoscaled(1_200);
    let pool = &mut scenario.clusters[0].provisioner.as_mut().unwrap().pools[0];
    pool.boot = Distribution::constant(Duration::from_secs(10_000));
    scenario.timeline = vec![scale(30, 3)];
    for replication in 0..5 {
        let coming = |second| {
            matches!(
                machines(&scenario, replication, second)[1],
                Machine::Coming(_)
            )
        };
        assert!(coming(45) && coming(929));
        // Its group pauses for five minutes.
        assert!(!coming(951) && !coming(1_200));
    }
}

#[test]
fn karpenter_orders_the_cheapest_machine_for_a_batch() {
    let pools = [(2, 1.0), (8, 3.5), (16, 8.0)];
    let mut scenario = provisioned(ProvisionerKind::Karpenter, &pools, 200);
    scenario.timeline = vec![scale(30, 6)];
    for replication in 0..10 {
        let all = machines(&scenario, replication, 45);
        let ordered: Vec<_> = (0..all.len())
            .filter(|&node| matches!(all[node], Machine::Coming(_)))
            .collect();
        // Four pods of 1.5 cores: one of eight cores.
        assert_eq!(ordered, [5]);
        let Machine::Coming(at) = all[5] else {
            panic!("it was ordered");
        };
        // A second after the last pod.
        let delay = at.as_secs_f64() - 30.0;
        assert!((1.06..1.08).contains(&delay), "{delay}");
    }
    at_end(&scenario, 0, |domain| assert_eq!(ready(domain), 6));
}

#[test]
fn karpenter_takes_away_what_is_empty_and_replaces_what_is_too_large() {
    let pools = [(2, 1.0), (8, 3.5)];
    let mut scenario = provisioned(ProvisionerKind::Karpenter, &pools, 330);
    scenario.timeline = vec![scale(30, 6), scale(300, 2)];
    let running = |domain: &Domain<'_>| -> Vec<usize> {
        let nodes = (0..domain.nodes.len()).filter(|&node| domain.nodes[node].machine.runs());
        nodes.collect()
    };
    at_end(&scenario, 0, |domain| assert_eq!(running(domain), [0]));
    // One pod is left on the large machine: two cores are enough for it.
    scenario.timeline = vec![scale(30, 6), scale(300, 3)];
    at_end(&scenario, 0, |domain| {
        assert_eq!(running(domain), [0, 5]);
        assert_eq!(domain.nodes[5].machine, Machine::Leaving { drains: None });
        assert!(matches!(domain.nodes[1].machine, Machine::Coming(_)));
    });
    scenario.run.duration = Duration::from_secs(450);
    at_end(&scenario, 0, |domain| {
        assert_eq!(running(domain), [0, 1]);
        assert_eq!((pods(domain)[0], pods(domain)[1]), (2, 1));
        assert_eq!(ready(domain), 3);
    });
}

#[test]
fn without_its_provisioner_a_cluster_does_not_grow() {
    let mut scenario = autoscaled(200);
    let fault = Fault::ComponentDown {
        cluster: ClusterId(0),
        component: Component::Provisioner,
    };
    let down = fault_at(20_000, fault, Some(80_000));
    scenario.timeline = vec![down, scale(30, 6)];
    for replication in 0..10 {
        assert_eq!(machines(&scenario, replication, 116)[1], Machine::Absent);
        // Its lease and its start take 17 to 26 s.
        let Machine::Coming(at) = machines(&scenario, replication, 140)[1] else {
            panic!("it was ordered");
        };
        assert!((117.0..136.0).contains(&at.as_secs_f64()), "{at:?}");
    }
}

#[test]
fn a_machine_that_boots_in_an_outage_registers_after_it() {
    let mut scenario = autoscaled(300);
    let fault = Fault::ApiServerDown {
        cluster: ClusterId(0),
        count: 3,
    };
    scenario.timeline = vec![scale(30, 6), fault_at(120_000, fault, Some(80_000))];
    for replication in 0..5 {
        let at = |second| machines(&scenario, replication, second)[1];
        assert!(matches!(at(199), Machine::Booted(_)), "{:?}", at(199));
        assert!(matches!(at(219), Machine::Starting(_)), "{:?}", at(219));
        assert!(matches!(at(221), Machine::There(_)), "{:?}", at(221));
    }
}

#[test]
fn a_balancer_keeps_its_machines_in_an_outage_and_gets_no_new_ones() {
    let mut scenario = autoscaled(300);
    scenario.clusters[0].services[0].kind = ServiceKind::LoadBalancer;
    let fault = Fault::ApiServerDown {
        cluster: ClusterId(0),
        count: 3,
    };
    scenario.timeline = vec![scale(30, 6), fault_at(120_000, fault, Some(80_000))];
    for replication in 0..5 {
        let healthy = |second| {
            let mut scenario = scenario.clone();
            scenario.run.duration = Duration::from_secs(second);
            at_end(&scenario, replication, |domain| {
                domain.balancers[0].healthy().to_vec()
            })
        };
        // It boots within 145 s; two checks in a row, ten seconds apart, make it healthy.
        assert_eq!(healthy(199), [0], "booted, and unknown");
        assert!(healthy(260).contains(&1));
    }
}

#[test]
fn daemons_come_to_new_machines_and_take_their_room() {
    let mut scenario = autoscaled(200);
    let cluster = &mut scenario.clusters[0];
    let mut agent = workload("agent", 0, 1, milliseconds(1));
    agent.kind = WorkloadKind::DaemonSet;
    agent.template.placement.requests.cpu_milli = 1_000;
    cluster.workloads.push(agent);
    scenario.timeline = vec![scale(30, 6)];
    at_end(&scenario, 0, |domain| {
        // Three cores are left for two pods of 1.5.
        assert_eq!(pods(domain), [3, 3, 3, 0, 0]);
        assert_eq!(domain.workloads[1].pods.len(), 3);
        assert_eq!(ready(domain), 9);
    });
    // With a thousandth of a core more for each it is one.
    scenario.clusters[0].workloads[1]
        .template
        .placement
        .requests
        .cpu_milli = 1_001;
    at_end(&scenario, 0, |domain| {
        assert_eq!(pods(domain), [2, 2, 2, 2, 2]);
        // The first machine had no room for its own.
        assert_eq!(domain.workloads[0].pending.len(), 0);
        assert_eq!(domain.workloads[1].pending.len(), 1);
    });
}

#[test]
fn machines_that_do_not_exist_are_not_counted() {
    let mut scenario = autoscaled(10);
    scenario.clusters[0].workloads[0].replicas = 3;
    let topology = compile(&scenario);
    let [(_, why)] = &topology.clusters[0].pending[..] else {
        panic!("one pod finds no node");
    };
    assert_eq!(
        why.to_string(),
        "0/1 nodes are available: 1 Insufficient cpu."
    );
}

#[test]
fn daemons_of_a_machine_that_goes_are_collected_after_the_quarantine() {
    let mut scenario = autoscaled(1_000);
    let mut agent = workload("agent", 0, 1, milliseconds(1));
    agent.kind = WorkloadKind::DaemonSet;
    agent.template.placement.requests.cpu_milli = 500;
    scenario.clusters[0].workloads.push(agent);
    scenario.timeline = vec![scale(30, 6), scale(300, 2)];
    let agents = |second, replication| {
        let mut scenario = scenario.clone();
        scenario.run.duration = Duration::from_secs(second);
        at_end(&scenario, replication, |domain| {
            let agents = &domain.workloads[1].pods;
            let agents = agents.iter().map(|&pod| &domain.pods[pod as usize]);
            let there = domain.nodes.iter().filter(|node| node.machine.runs());
            let ready = agents.clone().filter(|pod| pod.ready).count();
            (there.count(), agents.count(), ready)
        })
    };
    for replication in 0..5 {
        // Two machines have gone between 900 s and 930 s: a pass sees that within 20 s, and the
        // second one after it collects what was left of them.
        assert_eq!(agents(930, replication), (1, 3, 3));
        assert_eq!(agents(939, replication), (1, 3, 3));
        assert_eq!(agents(991, replication), (1, 1, 1));
    }
}

/// What a look at the cluster after so many milliseconds gives.
fn after<R>(scenario: &Scenario, millisecond: u64, look: impl FnOnce(&Domain<'_>) -> R) -> R {
    let mut scenario = scenario.clone();
    scenario.run.duration = Duration::from_millis(millisecond);
    at_end(&scenario, 0, look)
}

/// The first millisecond of a range after which something holds that then goes on to hold.
fn since(
    scenario: &Scenario,
    mut range: std::ops::Range<u64>,
    holds: impl Fn(&Domain<'_>) -> bool,
) -> u64 {
    assert!(!after(scenario, range.start, &holds));
    assert!(after(scenario, range.end, &holds));
    while range.end - range.start > 1 {
        let middle = range.start.midpoint(range.end);
        match after(scenario, middle, &holds) {
            true => range.end = middle,
            false => range.start = middle,
        }
    }
    range.end
}

fn healthy(domain: &Domain<'_>) -> Vec<u32> {
    domain.balancers[0].healthy().to_vec()
}

#[test]
fn a_new_machine_is_a_backend_once_its_first_check_has_passed() {
    let mut scenario = autoscaled(300);
    scenario.clusters[0].services[0].kind = ServiceKind::LoadBalancer;
    scenario.timeline = vec![scale(30, 6)];
    let registered = since(&scenario, 30_000..200_000, |domain| {
        domain.nodes[1].machine.is_registered()
    });
    let told = since(&scenario, 30_000..200_000, |domain| {
        domain.balancers[0].knows(1)
    });
    // A watch of 5 ms.
    assert!(
        (4..=6).contains(&(told - registered)),
        "{told} {registered}"
    );
    let passed = since(&scenario, 30_000..200_000, |domain| {
        healthy(domain).contains(&1)
    });
    let first = at_end(&scenario, 0, |domain| {
        let told = Time::ZERO + Duration::from_millis(told);
        domain.checks(0, 1).after(told).as_secs_f64()
    });
    assert!(
        (first - passed as f64 / 1e3).abs() <= 0.001,
        "{first} {passed}"
    );
}

#[test]
fn karpenter_takes_a_node_from_its_balancer_before_it_empties_it() {
    // One pod stays on eight cores, which are replaced by two.
    let pools = [(2, 1.0), (8, 3.5)];
    let mut scenario = provisioned(ProvisionerKind::Karpenter, &pools, 450);
    scenario.clusters[0].services[0].kind = ServiceKind::LoadBalancer;
    scenario.timeline = vec![scale(30, 6), scale(300, 3)];
    let tainted = |domain: &Domain<'_>| !matches!(domain.nodes[5].machine, Machine::There(_));
    let drains = |domain: &Domain<'_>| {
        let machine = domain.nodes[5].machine;
        machine == Machine::Absent || matches!(machine, Machine::Leaving { drains: Some(_) })
    };
    let range = 300_000..450_000;
    let taint = since(&scenario, range.clone(), tainted);
    let drain = since(&scenario, range.clone(), drains);
    let gone = since(&scenario, range.clone(), |domain| {
        !healthy(domain).contains(&5)
    });
    // Tainted while the new machine comes, and a backend until the label is heard of.
    assert!(taint + 100_000 < drain, "{taint} {drain}");
    assert!((4..=6).contains(&(gone - drain)), "{gone} {drain}");
    let end = since(&scenario, range, |domain| {
        domain.nodes[5].machine == Machine::Absent
    });
    assert!(gone < end, "{gone} {end}");
}

#[test]
fn the_cluster_autoscalers_taint_alone_takes_no_node_from_its_balancer() {
    let mut scenario = two_half_empty(0);
    scenario.clusters[0].services[0].kind = ServiceKind::LoadBalancer;
    scenario.run.duration = Duration::from_secs(900);
    // The first machine is tainted, emptied five seconds later and gone soon after.
    let end = since(&scenario, 600_000..650_000, |domain| {
        domain.nodes[0].machine == Machine::Absent
    });
    assert_eq!(after(&scenario, end, healthy), [0, 1]);
    // Nobody is told of that yet: three checks 8 s apart and a timeout find it.
    let found = since(&scenario, end..end + 30_000, |domain| {
        healthy(domain) == [1]
    });
    let delay = found - end;
    assert!((17_000..=25_001).contains(&delay), "{delay} ms");
    // Its node is found lost after the grace period of 50 s, and missing within 5 s of that.
    let told = since(&scenario, end..end + 80_000, |domain| {
        !domain.balancers[0].knows(0)
    });
    let delay = told - end;
    assert!((40_000..=65_006).contains(&delay), "{delay} ms");
}
