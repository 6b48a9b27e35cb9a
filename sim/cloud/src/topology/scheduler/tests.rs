use super::*;
use crate::scenario::{
    AntiAffinity, Balance, Behavior, GivenAddresses, LabelOperator, LabelRequirement, Node,
    Placement, Service, ServiceKind, SpreadConstraint, Station, Taint, TaintEffect, Template,
    Toleration, TrafficPolicy, Workload, ZoneId,
};
use engine::{Distribution, Duration};
use proptest::prelude::*;
use std::collections::BTreeMap;

const GIB: u64 = 1 << 30;
const ZONE: &str = labels::ZONE;
const HOSTNAME: &str = labels::HOSTNAME;

fn strings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    pairs.iter().map(owned).collect()
}

fn resources(cpu_milli: u64, memory_bytes: u64) -> Resources {
    Resources {
        cpu_milli,
        memory_bytes,
    }
}

/// A node of 4 cores and 16 GiB.
fn node(name: &str, zone: u32) -> Node {
    Node {
        name: name.to_owned(),
        zone: ZoneId(zone),
        allocatable: resources(4000, 16 * GIB),
        pods_max: 110,
        labels: BTreeMap::new(),
        taints: Vec::new(),
        unschedulable: false,
    }
}

fn workload(name: &str, requests: Resources) -> Workload {
    Workload {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        kind: WorkloadKind::Deployment,
        version: None,
        replicas: 1,
        rollout: crate::scenario::Rollout::of(crate::scenario::WorkloadKind::Deployment),
        template: Template {
            placement: Placement {
                labels: strings(&[("app", name)]),
                requests,
                ..Placement::default()
            },
            ..Template::plain(
                Station::fifo(1),
                Behavior::alone(Distribution::constant(Duration::from_millis(1))),
            )
        },
    }
}

fn cluster(nodes: Vec<Node>, workloads: Vec<Workload>) -> Cluster {
    Cluster {
        zones: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
        nodes,
        workloads,
        ..Cluster::empty("cluster", "aws/us-east-1", 33)
    }
}

fn three_zones() -> Vec<Node> {
    vec![node("one", 0), node("two", 1), node("three", 2)]
}

fn taint(key: &str, value: &str, effect: TaintEffect) -> Taint {
    Taint {
        key: key.to_owned(),
        value: value.to_owned(),
        effect,
    }
}

fn spread(key: &str, skew_max: u32, app: &str) -> SpreadConstraint {
    SpreadConstraint {
        topology_key: key.to_owned(),
        skew_max,
        required: true,
        selector: strings(&[("app", app)]),
    }
}

fn avoid(key: &str, app: &str) -> AntiAffinity {
    AntiAffinity {
        topology_key: key.to_owned(),
        selector: strings(&[("app", app)]),
    }
}

/// Places pods of the workloads in this order; a failure is its message.
fn placements(cluster: &Cluster, pods: &[u32]) -> Vec<Result<u32, String>> {
    let mut scheduler = Scheduler::new(cluster);
    let place = |&pod: &u32| {
        let placed = scheduler.place(WorkloadId(pod));
        placed.map_err(|unschedulable| unschedulable.to_string())
    };
    pods.iter().map(place).collect()
}

fn nodes_of(cluster: &Cluster, pods: &[u32]) -> Vec<u32> {
    let placed = placements(cluster, pods).into_iter();
    placed.map(|node| node.expect("it fits")).collect()
}

fn message(cluster: &Cluster) -> String {
    placements(cluster, &[0]).remove(0).unwrap_err()
}

#[test]
fn pods_without_rules_are_spread_over_nodes_and_zones() {
    let web = workload("web", resources(500, GIB));
    assert_eq!(
        nodes_of(&cluster(three_zones(), vec![web.clone()]), &[0; 6]),
        [0, 1, 2, 0, 1, 2]
    );
    // Two nodes of zone a and one of zone b. Second pod: node 1 has 0 pods on itself and 1 in
    // its zone, ln 4 + 2 + 4 = 7; node 2 has none, 6; node 0 has 1 and 1, ln 5 + ln 4 + 6 = 9.
    let nodes = vec![node("one", 0), node("two", 0), node("three", 1)];
    assert_eq!(nodes_of(&cluster(nodes, vec![web]), &[0; 3]), [0, 2, 1]);
}

#[test]
fn the_emptiest_node_wins_by_share_not_by_amount() {
    // 1 core and 1 GiB: the small node keeps 75 % and 93 % (84), the large one 93 % and 98 % (95).
    let mut nodes = vec![node("small", 0), node("large", 0)];
    nodes[1].allocatable = resources(16_000, 64 * GIB);
    let pod = workload("pod", resources(1000, GIB));
    assert_eq!(nodes_of(&cluster(nodes, vec![pod]), &[0]), [1]);
}

#[test]
fn balance_decides_between_nodes_that_keep_the_same_share_free() {
    // A bare pod of 1 core and 4 GiB without a service has no spread. Beside 1000m and 1 GiB on
    // node 0 it uses 50 % and 31.25 %: 59 free, 90 balanced. Beside 800m and 4 GiB on node 1 it
    // uses 45 % and 50 %: (55 + 50) / 2 = 52 free, 97 balanced. 149 each: node 0 comes first.
    // With 700m on node 1 it is (57 + 50) / 2 = 53 and 96: 149 again; with 600m, (60 + 50) / 2
    // = 55 and 95: 150, so node 1 wins.
    for (cpu, expected) in [(800, 0), (700, 0), (600, 1)] {
        let pinned = |name: &str, node: &str, requests| {
            let mut workload = workload(name, requests);
            workload.template.placement.node_name = Some(node.to_owned());
            workload
        };
        let mut pod = workload("pod", resources(1000, 4 * GIB));
        pod.kind = WorkloadKind::Pod;
        let workloads = vec![
            pinned("left", "left", resources(1000, GIB)),
            pinned("right", "right", resources(cpu, 4 * GIB)),
            pod,
        ];
        let nodes = vec![node("left", 0), node("right", 0)];
        assert_eq!(
            nodes_of(&cluster(nodes, workloads), &[0, 1, 2]),
            [0, 1, expected],
            "{cpu}m beside it"
        );
    }
}

#[test]
fn taints_to_be_avoided_outweigh_what_is_left() {
    let mut nodes = vec![node("avoided", 0), node("full", 0)];
    nodes[0].taints = vec![taint("spot", "", TaintEffect::PreferNoSchedule)];
    let mut filler = workload("filler", resources(2000, 8 * GIB));
    filler.template.placement.node_name = Some("full".to_owned());
    let pod = workload("pod", resources(100, GIB));
    let mut tolerant = workload("tolerant", resources(100, GIB));
    tolerant.template.placement.tolerations = vec![Toleration {
        key: Some("spot".to_owned()),
        value: None,
        effect: None,
        lasts: None,
    }];
    let cluster = cluster(nodes, vec![filler, pod, tolerant]);
    assert_eq!(nodes_of(&cluster, &[0, 1, 2]), [1, 1, 0]);
}

#[test]
fn what_does_not_fit_says_so_as_kube_scheduler_does() {
    let mut nodes = three_zones();
    nodes[0].taints = vec![taint("gpu", "yes", TaintEffect::NoSchedule)];
    let web = workload("web", resources(5000, GIB));
    assert_eq!(
        message(&cluster(nodes.clone(), vec![web])),
        "0/3 nodes are available: 1 node(s) had untolerated taint {gpu: yes}, 2 Insufficient cpu."
    );
    nodes[1].unschedulable = true;
    nodes[2].pods_max = 0;
    let large = workload("large", resources(5000, 17 * GIB));
    assert_eq!(
        message(&cluster(nodes, vec![large])),
        "0/3 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 Too many pods, \
         1 node(s) had untolerated taint {gpu: yes}, 1 node(s) were unschedulable."
    );
    assert_eq!(
        message(&cluster(Vec::new(), vec![workload("web", resources(1, 1))])),
        "no nodes available to schedule pods"
    );
}

#[test]
fn tolerations_match_by_key_value_and_effect() {
    let mut nodes = vec![node("one", 0)];
    nodes[0].taints = vec![taint("gpu", "yes", TaintEffect::NoSchedule)];
    let tolerating = |key: Option<&str>, value: Option<&str>, effect| {
        let mut web = workload("web", resources(100, GIB));
        web.template.placement.tolerations = vec![Toleration {
            key: key.map(str::to_owned),
            value: value.map(str::to_owned),
            effect,
            lasts: None,
        }];
        placements(&cluster(nodes.clone(), vec![web]), &[0])[0].is_ok()
    };
    assert!(tolerating(None, None, None));
    assert!(tolerating(Some("gpu"), None, Some(TaintEffect::NoSchedule)));
    assert!(tolerating(Some("gpu"), Some("yes"), None));
    assert!(!tolerating(Some("gpu"), Some("no"), None));
    assert!(!tolerating(Some("cpu"), None, None));
    assert!(!tolerating(None, None, Some(TaintEffect::NoExecute)));
}

#[test]
fn selectors_affinity_and_names_choose_nodes() {
    let mut nodes = three_zones();
    nodes[1].labels = strings(&[("disk", "ssd"), ("generation", "7")]);
    let with = |change: &dyn Fn(&mut Placement)| {
        let mut web = workload("web", resources(100, GIB));
        change(&mut web.template.placement);
        placements(&cluster(nodes.clone(), vec![web]), &[0]).remove(0)
    };
    let requirement = |key: &str, operator, values: &[&str]| LabelRequirement {
        key: key.to_owned(),
        operator,
        values: values.iter().map(|&value| value.to_owned()).collect(),
    };
    let term = |requirement: LabelRequirement| {
        with(&|placement| placement.node_affinity = vec![vec![requirement.clone()]])
    };
    assert_eq!(
        with(&|placement| placement.node_selector = strings(&[("disk", "ssd")])),
        Ok(1)
    );
    assert_eq!(
        with(&|placement| placement.node_selector = strings(&[(ZONE, "c")])),
        Ok(2)
    );
    assert_eq!(
        with(&|placement| placement.node_name = Some("three".to_owned())),
        Ok(2)
    );
    assert_eq!(term(requirement("disk", LabelOperator::Exists, &[])), Ok(1));
    assert_eq!(
        term(requirement("generation", LabelOperator::Gt, &["6"])),
        Ok(1)
    );
    assert_eq!(
        term(requirement(HOSTNAME, LabelOperator::NotIn, &["one", "two"])),
        Ok(2)
    );
    assert_eq!(
        term(requirement("generation", LabelOperator::Lt, &["7"])),
        Err(
            "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."
                .to_owned()
        )
    );
    assert_eq!(
        with(&|placement| placement.node_affinity = vec![Vec::new()]),
        Err(
            "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."
                .to_owned()
        )
    );
    assert_eq!(
        with(&|placement| placement.node_name = Some("four".to_owned())),
        Err("0/3 nodes are available: 3 node(s) didn't match the requested node name.".to_owned())
    );
}

#[test]
fn required_spread_keeps_the_skew_and_counts_only_its_pods() {
    let mut web = workload("web", resources(1500, GIB));
    web.template.placement.spread = vec![spread(ZONE, 1, "web")];
    let nodes = vec![node("one", 0), node("two", 1)];
    // Two pods of 1.5 cores fill a node of 4 cores, and the zones take turns.
    let placed = placements(&cluster(nodes.clone(), vec![web.clone()]), &[0; 5]);
    assert_eq!(placed[..4], [Ok(0), Ok(1), Ok(0), Ok(1)]);
    assert_eq!(
        placed[4],
        Err("0/2 nodes are available: 2 Insufficient cpu.".to_owned())
    );
    // With zone b full of others, the second pod of zone a would make a skew of 2.
    let mut filler = workload("filler", resources(4000, GIB));
    filler.template.placement.node_name = Some("two".to_owned());
    let placed = placements(&cluster(nodes, vec![web, filler]), &[1, 0, 0]);
    assert_eq!(placed[..2], [Ok(1), Ok(0)]);
    assert_eq!(
        placed[2],
        Err(
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match pod topology \
             spread constraints."
                .to_owned()
        )
    );
}

#[test]
fn pods_that_end_do_not_count_for_spread_and_keep_their_room() {
    let mut web = workload("web", resources(100, GIB));
    web.template.placement.spread = vec![spread("topology.kubernetes.io/zone", 1, "web")];
    let cluster = cluster(three_zones(), vec![web]);
    let mut scheduler = Scheduler::new(&cluster);
    let mut place = || scheduler.place(WorkloadId(0));
    let placed: Vec<u32> = (0..6).map(|_| place().expect("it fits")).collect();
    // The first zone is lost, and its two pods are told to end: the other zones may not have
    // two pods more than it has.
    let zone = |node: u32| cluster.nodes[node as usize].zone;
    let of_first = placed.iter().filter(|&&node| zone(node) == zone(placed[0]));
    let lost: Vec<u32> = of_first.copied().collect();
    assert_eq!(lost.len(), 2);
    for &node in &lost {
        scheduler.end(node, WorkloadId(0));
        scheduler.set_available(node, false);
    }
    assert!(scheduler.place(WorkloadId(0)).is_err());
    for &node in &lost {
        scheduler.release_ended(node, WorkloadId(0));
        scheduler.set_available(node, true);
    }
    let again = scheduler.place(WorkloadId(0)).expect("the zone is back");
    assert_eq!(zone(again), zone(placed[0]));
}

#[test]
fn a_node_without_the_label_of_a_required_spread_is_out() {
    let mut nodes = vec![node("one", 0), node("two", 1)];
    nodes[0].labels = strings(&[("rack", "r1")]);
    let mut web = workload("web", resources(100, GIB));
    web.template.placement.spread = vec![spread("rack", 1, "web")];
    let cluster = cluster(nodes, vec![web]);
    // With one domain there is nothing to differ from.
    assert_eq!(nodes_of(&cluster, &[0; 3]), [0, 0, 0]);
    let mut scheduler = Scheduler::new(&cluster);
    scheduler.set_available(0, false);
    assert_eq!(
        scheduler.place(WorkloadId(0)).unwrap_err().to_string(),
        "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints \
         (missing required label), 1 node(s) had untolerated taint \
         {node.kubernetes.io/unreachable: }."
    );
}

#[test]
fn preferred_spread_gives_way_to_nothing_but_room() {
    let mut web = workload("web", resources(1000, GIB));
    web.template.placement.spread = vec![SpreadConstraint {
        required: false,
        ..spread(ZONE, 1, "web")
    }];
    let mut nodes = vec![node("one", 0), node("two", 1)];
    nodes[1].allocatable.cpu_milli = 2000;
    // The zones take turns until zone b is full.
    assert_eq!(
        nodes_of(&cluster(nodes, vec![web]), &[0; 6]),
        [0, 1, 0, 1, 0, 0]
    );
}

#[test]
fn spread_scores_are_those_of_kube_scheduler() {
    // Expected numbers from kubernetes/kubernetes (Apache-2.0),
    // pkg/scheduler/framework/plugins/podtopologyspread/scoring_test.go.
    // Four nodes, two in each zone; pods that run on them; candidates; their scores.
    let check = |keys: &[&str], skew, pods: [u32; 4], candidates: &[usize], scores: &[u64]| {
        let mut web = workload("web", resources(0, 0));
        web.template.placement.spread = keys
            .iter()
            .map(|key| SpreadConstraint {
                required: false,
                ..spread(key, skew, "web")
            })
            .collect();
        let nodes = [("a", 0), ("b", 0), ("x", 1), ("y", 1)];
        let nodes = nodes.map(|(name, zone)| node(name, zone));
        let mut scheduler = Scheduler::new(&cluster(nodes.to_vec(), vec![web]));
        for (node, &pods) in pods.iter().enumerate() {
            (0..pods).for_each(|_| scheduler.bind(node, WorkloadId(0)));
        }
        assert_eq!(
            scheduler.spread_scores(&scheduler.classes[0], candidates),
            scores,
            "{keys:?} {skew} {pods:?}"
        );
    };
    let all = &[0, 1, 2, 3];
    check(&[HOSTNAME], 1, [0, 0, 0, 0], all, &[100; 4]);
    check(&[HOSTNAME], 1, [2, 1, 0, 3], all, &[20, 60, 100, 0]);
    check(&[HOSTNAME], 2, [2, 1, 0, 3], all, &[33, 66, 100, 16]);
    check(&[HOSTNAME], 3, [4, 3, 2, 1], all, &[44, 66, 77, 100]);
    check(&[HOSTNAME], 1, [4, 2, 1, 3], &[0, 1, 2], &[33, 83, 100]);
    check(&[ZONE], 1, [4, 2, 1, 3], &[0, 1, 2], &[75, 75, 100]);
    check(&[ZONE, HOSTNAME], 1, [2, 1, 2, 4], &[0, 2], &[100, 63]);
}

#[test]
fn anti_affinity_holds_in_both_directions_and_within_its_namespace() {
    let mut shy = workload("shy", resources(100, GIB));
    shy.template.placement.anti_affinity = vec![avoid(HOSTNAME, "web")];
    let web = workload("web", resources(100, GIB));
    let mut foreign = workload("web", resources(100, GIB));
    foreign.namespace = "other".to_owned();
    let cluster = cluster(vec![node("one", 0)], vec![shy, web, foreign]);
    let rejected = |reason: &str| Err(format!("0/1 nodes are available: 1 node(s) {reason}."));
    assert_eq!(
        placements(&cluster, &[1, 0]),
        [Ok(0), rejected("didn't match pod anti-affinity rules")]
    );
    assert_eq!(
        placements(&cluster, &[0, 1]),
        [
            Ok(0),
            rejected("didn't satisfy existing pods anti-affinity rules")
        ]
    );
    assert_eq!(placements(&cluster, &[2, 0, 2]), [Ok(0), Ok(0), Ok(0)]);
}

#[test]
fn one_replica_per_zone_by_anti_affinity_to_itself() {
    let mut database = workload("database", resources(100, GIB));
    database.template.placement.anti_affinity = vec![avoid(ZONE, "database")];
    let nodes = vec![node("one", 0), node("two", 0), node("three", 1)];
    let placed = placements(&cluster(nodes, vec![database]), &[0; 3]);
    assert_eq!(placed[..2], [Ok(0), Ok(2)]);
    assert_eq!(
        placed[2],
        Err("0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.".to_owned())
    );
}

#[test]
fn a_daemon_set_runs_once_on_each_node_it_may_use() {
    let mut nodes = three_zones();
    nodes[0].unschedulable = true;
    nodes[1].taints = vec![taint("gpu", "yes", TaintEffect::NoSchedule)];
    let mut agent = workload("agent", resources(100, GIB));
    agent.kind = WorkloadKind::DaemonSet;
    let cluster = cluster(nodes, vec![agent]);
    let mut scheduler = Scheduler::new(&cluster);
    // Its pods tolerate a cordon, but not somebody's own taint.
    assert_eq!(scheduler.daemon_nodes(WorkloadId(0)), [0, 2]);
    assert_eq!(scheduler.place(WorkloadId(0)), Ok(0));
    assert_eq!(scheduler.place(WorkloadId(0)), Ok(2));
    assert_eq!(
        scheduler.place(WorkloadId(0)).unwrap_err().to_string(),
        "0/3 nodes are available: 1 node(s) had untolerated taint {gpu: yes}, 2 node(s) didn't \
         match Pod's node affinity/selector."
    );
    scheduler.release(0, WorkloadId(0));
    assert_eq!(scheduler.place(WorkloadId(0)), Ok(0));
}

#[test]
fn bare_pods_of_one_service_are_spread_among_each_other() {
    let pods = ["one", "two"].map(|name| {
        let mut pod = workload(name, resources(0, 0));
        pod.kind = WorkloadKind::Pod;
        pod
    });
    let mut cluster = cluster(vec![node("one", 0), node("two", 0)], pods.to_vec());
    cluster.nodes[1].allocatable = resources(400, GIB);
    // 100m and 200 MiB weigh 2 % of the large node and 22 % of the small one: alone, both
    // pods stay on the large one.
    assert_eq!(nodes_of(&cluster, &[0, 1]), [0, 0]);
    cluster.services = vec![Service {
        namespace: "default".to_owned(),
        name: "pods".to_owned(),
        kind: ServiceKind::Headless,
        ports: Vec::new(),
        backends: vec![WorkloadId(0), WorkloadId(1)],
        session_affinity: None,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
        distribution: None,
        publish_not_ready: false,
        given: GivenAddresses::default(),
        balance: Balance::Random,
    }];
    assert_eq!(nodes_of(&cluster, &[0, 1]), [0, 1]);
}

#[test]
#[should_panic(expected = "machines outside the cluster are not placed")]
fn machines_are_not_placed() {
    let mut machine = workload("machine", resources(0, 0));
    machine.kind = WorkloadKind::External;
    nodes_of(&cluster(three_zones(), vec![machine]), &[0]);
}

#[test]
#[should_panic(expected = "no pod of")]
fn what_is_not_there_cannot_be_released() {
    let web = workload("web", resources(0, 0));
    Scheduler::new(&cluster(three_zones(), vec![web])).release(0, WorkloadId(0));
}

prop_compose! {
    fn any_node()(
        zone in 0..3_u32,
        cpu in 1..8_u64,
        memory in 1..8_u64,
        pods_max in 0..6_u32,
        tainted in prop::option::weighted(0.2, prop::sample::select(vec![
            TaintEffect::NoSchedule, TaintEffect::PreferNoSchedule, TaintEffect::NoExecute,
        ])),
        unschedulable in prop::bool::weighted(0.1),
    ) -> Node {
        Node {
            allocatable: resources(cpu * 500, memory * GIB),
            pods_max,
            taints: tainted.map(|effect| taint("k", "v", effect)).into_iter().collect(),
            unschedulable,
            ..node("", zone)
        }
    }
}

prop_compose! {
    fn any_workload()(
        app in prop::sample::select(vec!["a", "b"]),
        cpu in 0..4_u64,
        memory in 0..4_u64,
        spread_key in prop::option::of(prop::sample::select(vec![ZONE, HOSTNAME])),
        skew_max in 1..3_u32,
        required in any::<bool>(),
        avoided in prop::option::weighted(0.3, (
            prop::sample::select(vec![ZONE, HOSTNAME]),
            prop::sample::select(vec!["a", "b"]),
        )),
        tolerant in any::<bool>(),
    ) -> Workload {
        let mut workload = workload(app, resources(cpu * 300, memory * GIB));
        let placement = &mut workload.template.placement;
        placement.spread = spread_key
            .map(|key| SpreadConstraint { required, ..spread(key, skew_max, app) })
            .into_iter()
            .collect();
        placement.anti_affinity = avoided.map(|(key, app)| avoid(key, app)).into_iter().collect();
        if tolerant {
            placement.tolerations = vec![Toleration { key: None, value: None, effect: None, lasts: None }];
        }
        workload
    }
}

prop_compose! {
    fn any_cluster()(
        mut nodes in prop::collection::vec(any_node(), 1..7),
        mut workloads in prop::collection::vec(any_workload(), 1..5),
    ) -> Cluster {
        for (index, node) in nodes.iter_mut().enumerate() {
            node.name = format!("node-{index}");
        }
        for (index, workload) in workloads.iter_mut().enumerate() {
            workload.name = format!("workload-{index}");
        }
        cluster(nodes, workloads)
    }
}

/// A pod that was placed: its workload and its node.
type Placed = (usize, usize);

/// Places pods, releases some in between, and checks the rules after every placement.
fn play(cluster: &Cluster, steps: &[(usize, bool)]) -> (Scheduler, Vec<Placed>) {
    let mut scheduler = Scheduler::new(cluster);
    let mut placed: Vec<Placed> = Vec::new();
    for &(choice, places) in steps {
        if places || placed.is_empty() {
            let workload = choice % cluster.workloads.len();
            if let Ok(node) = scheduler.place(WorkloadId::from(workload)) {
                assert_rules_hold(cluster, &placed, (workload, node as usize));
                placed.push((workload, node as usize));
            }
        } else {
            let (workload, node) = placed.swap_remove(choice % placed.len());
            scheduler.release(node as u32, WorkloadId::from(workload));
        }
    }
    (scheduler, placed)
}

fn domain<'a>(cluster: &'a Cluster, key: &str, node: usize) -> &'a str {
    let node = &cluster.nodes[node];
    if key == ZONE {
        &cluster.zones[node.zone.index()]
    } else {
        &node.name
    }
}

fn assert_rules_hold(cluster: &Cluster, placed: &[Placed], (workload, node): Placed) {
    let own = &cluster.workloads[workload].template.placement;
    let tolerant = !own.tolerations.is_empty();
    let target = &cluster.nodes[node];
    assert!(tolerant || !target.unschedulable, "cordoned");
    let soft = |taint: &Taint| taint.effect == TaintEffect::PreferNoSchedule;
    assert!(tolerant || target.taints.iter().all(soft), "tainted");
    let matching = |selector: &BTreeMap<String, String>, domain_of: &dyn Fn(usize) -> bool| {
        placed
            .iter()
            .filter(|(other, at)| {
                let labels = &cluster.workloads[*other].template.placement.labels;
                labels["app"] == selector["app"] && domain_of(*at)
            })
            .count()
    };
    for constraint in own.spread.iter().filter(|constraint| constraint.required) {
        let key = constraint.topology_key.as_str();
        let count = |other: usize| {
            let here = domain(cluster, key, other);
            matching(&constraint.selector, &|at| domain(cluster, key, at) == here)
        };
        let least = (0..cluster.nodes.len()).map(count).min().unwrap_or(0);
        assert!(
            count(node) + 1 - least <= constraint.skew_max as usize,
            "skewed"
        );
    }
    for (other, at) in placed {
        let theirs = &cluster.workloads[*other].template.placement;
        for (rule, labels) in own
            .anti_affinity
            .iter()
            .map(|rule| (rule, &theirs.labels))
            .chain(theirs.anti_affinity.iter().map(|rule| (rule, &own.labels)))
        {
            let same = domain(cluster, &rule.topology_key, *at)
                == domain(cluster, &rule.topology_key, node);
            assert!(!same || labels["app"] != rule.selector["app"], "too close");
        }
    }
}

#[test]
fn so_many_nodes_are_enough_to_choose_among() {
    // Computed by hand from kubernetes.io, Scheduler Performance Tuning: all below 100, then
    // 50 % less one hundredth for each 125 nodes, but never below 5 % nor below 100 nodes.
    let expected = [
        (0, 0),
        (99, 99),
        (100, 100),
        (250, 120),
        (1_000, 420),
        (5_000, 500),
        (6_000, 300),
        (15_000, 750),
    ];
    for (nodes, enough) in expected {
        assert_eq!(sampling::enough(nodes), enough, "{nodes} nodes");
    }
}

#[test]
fn a_search_begins_where_the_last_one_ended() {
    let nodes = (0..300).map(|number| node(&format!("node-{number}"), 0));
    let web = workload("web", resources(100, 0));
    // 144 of 300 are enough: nodes 0 to 143, then 144 to 287, then 288 to 299 and 0 to 131.
    assert_eq!(
        nodes_of(&cluster(nodes.collect(), vec![web]), &[0; 3]),
        [0, 144, 1]
    );
}

#[test]
fn zones_take_turns_in_a_search() {
    let zones = [0, 0, 2, 1, 2].map(crate::scenario::ZoneId);
    let mut search = Search::new(zones.into_iter());
    assert_eq!(search.nodes().collect::<Vec<_>>(), [0, 2, 3, 1, 4]);
    search.advance(7);
    assert_eq!(search.nodes().collect::<Vec<_>>(), [3, 1, 4, 0, 2]);
}

proptest! {
    #[test]
    fn no_rule_is_broken_and_no_node_is_overcommitted(
        cluster in any_cluster(),
        steps in prop::collection::vec((0..100_usize, prop::bool::weighted(0.7)), 1..60),
    ) {
        let (scheduler, placed) = play(&cluster, &steps);
        for (index, node) in cluster.nodes.iter().enumerate() {
            let pods = placed.iter().filter(|(_, at)| *at == index);
            let mut used = Resources::default();
            for (workload, _) in pods.clone() {
                add(&mut used, cluster.workloads[*workload].template.placement.requests);
            }
            prop_assert!(used.cpu_milli <= node.allocatable.cpu_milli);
            prop_assert!(used.memory_bytes <= node.allocatable.memory_bytes);
            prop_assert!(pods.count() <= node.pods_max as usize);
            prop_assert_eq!(used, scheduler.nodes[index].requested);
        }
    }

    #[test]
    fn the_same_input_gives_the_same_placement(
        cluster in any_cluster(),
        steps in prop::collection::vec((0..100_usize, prop::bool::weighted(0.7)), 1..60),
    ) {
        prop_assert_eq!(play(&cluster, &steps), play(&cluster, &steps));
    }

    #[test]
    fn a_pod_released_and_placed_again_comes_back_to_its_node(
        cluster in any_cluster(),
        steps in prop::collection::vec((0..100_usize, prop::bool::weighted(0.7)), 1..60),
        workload in 0..4_usize,
    ) {
        let (mut scheduler, _) = play(&cluster, &steps);
        let workload = WorkloadId::from(workload % cluster.workloads.len());
        let before = scheduler.clone();
        if let Ok(node) = scheduler.place(workload) {
            let after = scheduler.clone();
            scheduler.release(node, workload);
            prop_assert_eq!(&scheduler, &before);
            prop_assert_eq!(scheduler.place(workload), Ok(node));
            prop_assert_eq!(&scheduler, &after);
        } else {
            prop_assert_eq!(&scheduler, &before);
        }
    }

    #[test]
    fn nothing_is_placed_on_an_unavailable_node(
        cluster in any_cluster(),
        down in 0..7_usize,
        pods in prop::collection::vec(0..100_usize, 1..30),
    ) {
        let down = (down % cluster.nodes.len()) as u32;
        let mut scheduler = Scheduler::new(&cluster);
        scheduler.set_available(down, false);
        for pod in pods {
            let workload = WorkloadId::from(pod % cluster.workloads.len());
            prop_assert_ne!(scheduler.place(workload), Ok(down));
        }
    }
}

#[test]
fn a_machine_may_have_as_much_memory_as_can_be_written() {
    let mut nodes = three_zones();
    nodes[1].allocatable.memory_bytes = u64::MAX;
    let cluster = cluster(nodes, vec![workload("a", resources(1000, 8 * GIB))]);
    assert_eq!(nodes_of(&cluster, &[0]), [1]);
}
