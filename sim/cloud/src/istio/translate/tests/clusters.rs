//! Clusters: which DestinationRule holds, and what it says.

use super::super::cluster::{Balance, Discovery, Spoken};
use super::*;
use crate::istio::authentication::ClientMode;
use engine::Duration;

const REVIEWS: &str = "outbound|9080||reviews.shop.svc.cluster.local";

fn shop() -> Mesh {
    let mut mesh = Mesh::default();
    mesh.service("reviews", "shop", "http:9080 tcp-db:5432 udp:53");
    mesh
}

/// A rule for the whole host that allows so many connections.
fn rule(of: (&str, &str, i64), host: &str, connections: u32) -> DestinationRule {
    let mut rule = destination_rule(of, host, &[]);
    rule.policy.common.connection_pool = Some(pool(connections));
    rule
}

fn pool(connections: u32) -> ConnectionPool {
    let mut pool = ConnectionPool::default();
    pool.tcp.connections_max = Some(connections);
    pool
}

/// How many connections a proxy of a namespace may have to reviews.
fn connections(rules: Vec<DestinationRule>, namespace: &str) -> u32 {
    let mut mesh = shop();
    mesh.objects.destination_rules = rules;
    let told = mesh.told(&proxy(namespace, "app=web"));
    told.cluster(REVIEWS).limits.connections
}

const NO_LIMIT: u32 = u32::MAX;

#[test]
fn nothing_said_is_no_limit() {
    let told = shop().told(&proxy("shop", ""));
    let cluster = told.cluster(REVIEWS);
    let limits = cluster.limits;
    assert_eq!(
        [
            limits.connections,
            limits.pending,
            limits.requests,
            limits.retries
        ],
        [NO_LIMIT; 4]
    );
    assert_eq!(cluster.connect_timeout, Duration::from_secs(10));
    assert_eq!(cluster.balance, Balance::LeastRequest);
    assert_eq!(cluster.spoken, Spoken::Http1);
    assert_eq!(
        (cluster.outlier.clone(), cluster.panic_percent),
        (None, None)
    );
}

#[test]
fn each_port_but_udp_and_each_subset_is_a_cluster() {
    let mut mesh = shop();
    mesh.objects.destination_rules = vec![destination_rule(("shop", "r", 0), "reviews", &["v1"])];
    assert_eq!(
        mesh.told(&proxy("shop", "")).clusters(),
        [
            "outbound|5432|v1|reviews.shop.svc.cluster.local",
            "outbound|5432||reviews.shop.svc.cluster.local",
            "outbound|9080|v1|reviews.shop.svc.cluster.local",
            REVIEWS,
        ]
    );
}

#[test]
fn own_rules_count_before_those_of_the_service_and_these_before_the_roots() {
    let full = host("reviews", "shop");
    let own = || rule(("edge", "own", 9), &full, 1);
    let of_service = || rule(("shop", "its", 9), "reviews", 2);
    let root = || rule(("istio-system", "all", 0), &full, 3);
    assert_eq!(connections(vec![root(), of_service(), own()], "edge"), 1);
    assert_eq!(connections(vec![root(), of_service()], "edge"), 2);
    assert_eq!(connections(vec![root()], "edge"), 3);
    assert_eq!(connections(vec![own()], "other"), NO_LIMIT);
}

#[test]
fn rules_are_seen_by_whom_they_are_shown_to() {
    let shown = |audience: Vec<Audience>| DestinationRule {
        export_to: ExportTo::Only(audience),
        ..rule(("shop", "its", 0), "reviews", 2)
    };
    let private = vec![shown(vec![Audience::OwnNamespace])];
    assert_eq!(connections(private.clone(), "shop"), 2);
    assert_eq!(connections(private, "edge"), NO_LIMIT);
    let named = vec![shown(vec![Audience::Namespace("edge".to_owned())])];
    assert_eq!(connections(named.clone(), "edge"), 2);
    // Shown to another alone, it does not hold at home.
    assert_eq!(connections(named, "shop"), NO_LIMIT);
}

#[test]
fn the_most_specific_host_counts() {
    let rules = vec![
        rule(("shop", "all", 0), "*", 1),
        rule(("shop", "ours", 1), "*.shop.svc.cluster.local", 2),
        rule(("shop", "it", 2), "reviews", 3),
    ];
    assert_eq!(connections(rules[..1].to_vec(), "shop"), 1);
    assert_eq!(connections(rules[..2].to_vec(), "shop"), 2);
    assert_eq!(connections(rules, "shop"), 3);
}

#[test]
fn rules_for_one_host_are_merged_the_older_first() {
    let mut old = destination_rule(("shop", "z", 1), "reviews", &["v1"]);
    old.subsets[0].labels = labels("version=old");
    let new = DestinationRule {
        subsets: destination_rule(("", "", 0), "", &["v1", "v2"]).subsets,
        ..rule(("shop", "a", 2), "reviews", 7)
    };
    let newest = rule(("shop", "b", 3), "reviews", 8);
    let mut mesh = shop();
    for label in ["old", "v1", "v2"] {
        mesh.endpoint(0, &format!("version={label}"), "eu");
    }
    mesh.objects.destination_rules = vec![new, newest, old];
    let told = mesh.told(&proxy("shop", ""));
    // The older says nothing for the whole host: the first that does counts.
    assert_eq!(told.cluster(REVIEWS).limits.connections, 7);
    let first = told.hosts("outbound|9080|v1|reviews.shop.svc.cluster.local");
    assert_eq!(first.len(), 1);
    assert_eq!(
        first[0].2.behind,
        super::super::place::Behind::Endpoint(0, 9080)
    );
    assert_eq!(
        told.hosts("outbound|9080|v2|reviews.shop.svc.cluster.local")
            .len(),
        1
    );
}

#[test]
fn rules_for_some_workloads_hold_for_them_in_their_namespace() {
    let for_web = DestinationRule {
        selector: labels("app=web"),
        ..rule(("shop", "web", 5), "reviews", 1)
    };
    let for_all = rule(("shop", "all", 0), "reviews", 2);
    let mut mesh = shop();
    mesh.objects.destination_rules = vec![for_web, for_all];
    let connections = |namespace, labels| {
        let told = mesh.told(&proxy(namespace, labels));
        told.cluster(REVIEWS).limits.connections
    };
    assert_eq!(connections("shop", "app=web"), 1);
    assert_eq!(connections("shop", "app=db"), 2);
    assert_eq!(connections("edge", "app=web"), 2);
}

#[test]
fn subsets_say_over_the_whole_part_by_part_and_ports_replace_all() {
    let mut rule = rule(("shop", "r", 0), "reviews", 100);
    rule.policy.common.outlier_detection = Some(OutlierDetection::default());
    rule.policy.ports = vec![(
        5432,
        PortPolicy {
            load_balancer: Some(LoadBalancer {
                policy: Some(BalancePolicy::RoundRobin),
                ..LoadBalancer::default()
            }),
            ..PortPolicy::default()
        },
    )];
    rule.subsets = destination_rule(("", "", 0), "", &["v1"]).subsets;
    rule.subsets[0].policy.common.connection_pool = Some(pool(5));
    let mut mesh = shop();
    mesh.objects.destination_rules = vec![rule];
    let told = mesh.told(&proxy("shop", ""));
    let whole = told.cluster(REVIEWS);
    assert_eq!(whole.limits.connections, 100);
    // Outlier detection switches panic off.
    assert_eq!(whole.panic_percent, Some(0));
    let subset = told.cluster("outbound|9080|v1|reviews.shop.svc.cluster.local");
    assert_eq!(subset.limits.connections, 5);
    assert!(subset.outlier.is_some());
    // What a port does not say is not said, whatever holds for the others.
    let port = told.cluster("outbound|5432||reviews.shop.svc.cluster.local");
    assert_eq!(port.balance, Balance::RoundRobin);
    assert_eq!(
        (port.limits.connections, port.outlier.clone()),
        (NO_LIMIT, None)
    );
    // A subset's part of it counts over the port's.
    let both = told.cluster("outbound|5432|v1|reviews.shop.svc.cluster.local");
    assert_eq!(
        (both.limits.connections, both.balance),
        (5, Balance::RoundRobin)
    );
}

#[test]
fn what_a_subset_says_for_a_port_leaves_nothing_of_the_hosts() {
    let mut rule = rule(("shop", "r", 0), "reviews", 100);
    rule.policy.common.outlier_detection = Some(OutlierDetection::default());
    rule.subsets = destination_rule(("", "", 0), "", &["v1"]).subsets;
    let for_port = PortPolicy {
        connection_pool: Some(pool(5)),
        ..PortPolicy::default()
    };
    rule.subsets[0].policy.ports = vec![(9080, for_port)];
    let mut mesh = shop();
    mesh.objects.destination_rules = vec![rule];
    let told = mesh.told(&proxy("shop", ""));
    let subset = told.cluster("outbound|9080|v1|reviews.shop.svc.cluster.local");
    assert_eq!(
        (subset.limits.connections, subset.outlier.clone()),
        (5, None)
    );
    let other = told.cluster("outbound|5432|v1|reviews.shop.svc.cluster.local");
    assert_eq!(other.limits.connections, 100);
    assert!(other.outlier.is_some());
}

#[test]
fn policies_say_how_endpoints_are_chosen_and_spoken_to() {
    let with = |policy: BalancePolicy| {
        let mut rule = destination_rule(("shop", "r", 0), "reviews", &[]);
        rule.policy.common.load_balancer = Some(LoadBalancer {
            policy: Some(policy),
            ..LoadBalancer::default()
        });
        let mut mesh = shop();
        mesh.objects.destination_rules = vec![rule];
        let told = mesh.told(&proxy("shop", ""));
        let cluster = told.cluster(REVIEWS);
        (cluster.balance, cluster.discovery)
    };
    assert_eq!(
        with(BalancePolicy::Random),
        (Balance::Random, Discovery::Told)
    );
    assert_eq!(
        with(BalancePolicy::Passthrough),
        (Balance::Original, Discovery::Original)
    );
    let hashed = BalancePolicy::ConsistentHash {
        key: HashKey::SourceAddress,
        algorithm: HashAlgorithm::Ring { size_min: 1024 },
    };
    assert_eq!(with(hashed), (Balance::Ring(1024), Discovery::Told));

    let mut mesh = shop();
    mesh.services[0].resolution = Resolution::None;
    let discovery = |mesh: &Mesh, role| {
        let told = mesh.told_as(&proxy("shop", ""), role);
        told.cluster(REVIEWS).discovery
    };
    // Nobody connects to a gateway in order to reach somebody else.
    assert_eq!(discovery(&mesh, Role::Sidecar), Discovery::Original);
    assert_eq!(discovery(&mesh, Role::Gateway), Discovery::Told);
    let mut rule = destination_rule(("shop", "r", 0), "reviews", &[]);
    rule.policy.common.load_balancer = Some(LoadBalancer {
        policy: Some(BalancePolicy::Passthrough),
        ..LoadBalancer::default()
    });
    mesh.objects.destination_rules = vec![rule];
    assert_eq!(discovery(&mesh, Role::Sidecar), Discovery::Original);
    assert_eq!(discovery(&mesh, Role::Gateway), Discovery::Nowhere);

    let mut mesh = shop();
    mesh.config.h2_upgrade = true;
    let mut rule = destination_rule(("shop", "r", 0), "reviews", &[]);
    rule.policy.common.tls = Some(ClientTls {
        mode: ClientMode::Simple,
        sni: None,
        subject_names: Vec::new(),
        skips_verification: false,
    });
    rule.policy.retry_budget = Some(RetryBudget::default());
    mesh.objects.destination_rules = vec![rule];
    let told = mesh.told(&proxy("shop", ""));
    let cluster = told.cluster(REVIEWS);
    assert_eq!(cluster.spoken, Spoken::Http2);
    assert_eq!(cluster.tls, Some(ClientMode::Simple));
    let budget = cluster.limits.budget.unwrap();
    assert_eq!((budget.percent, budget.min), (20.0, 3));
    let bytes = told.cluster("outbound|5432||reviews.shop.svc.cluster.local");
    assert_eq!(bytes.spoken, Spoken::Bytes);
}
