//! How far proxies are behind, in closed form.

use super::ambient;
use super::mesh::{SHOP, identity, route, routes, versions, weights};
use super::network::run_without_jitter;
use super::*;
use crate::facts;
use crate::istio::config::*;
use crate::record::{ProxyKey, ProxyRecord, Record};
use crate::scenario::{Action, Component, TimelineEntry};
use engine::Execution;

const CLUSTER: ClusterId = ClusterId(0);
const CLIENT: WorkloadId = WorkloadId(0);
const FIRST: WorkloadId = WorkloadId(1);

fn route_at(milliseconds: u64, version: &str) -> TimelineEntry {
    let object = routes(vec![route(weights(&[(version, 100)]))]);
    TimelineEntry {
        at: Time::ZERO + Duration::from_millis(milliseconds),
        label: "written".into(),
        action: Action::Apply {
            cluster: CLUSTER,
            changes: vec![Change::Istio(vec![object])],
        },
    }
}

/// The client on one node, both versions of `web` on another; a new route every five seconds.
fn changes(count: u64) -> Scenario {
    let mut scenario = versions(Vec::new(), 1);
    let workloads = scenario.clusters[0].workloads.iter_mut();
    for (workload, node) in workloads.zip(["n1", "n2", "n2"]) {
        workload.template.placement.node_name = Some(node.to_owned());
    }
    let entries = (0..count).map(|number| route_at(2_000 + 5_000 * number, "v1"));
    scenario.timeline = entries.collect();
    scenario.run.duration = Duration::from_secs(5 * count);
    scenario
}

fn of(record: &Record, workload: WorkloadId) -> Vec<ProxyRecord> {
    let is_it = |proxy: &&ProxyRecord| match proxy.proxy {
        ProxyKey::OfPod { workload: of, .. } => of == workload,
        ProxyKey::Ztunnel(_) => false,
    };
    record.proxies.iter().filter(is_it).copied().collect()
}

/// Square seconds.
fn lag_integral(proxy: &ProxyRecord) -> f64 {
    proxy.lag_twice_ns2 as f64 * 0.5e-18
}

#[test]
fn a_proxy_that_hears_late_of_each_change_is_behind_for_that_share() {
    let record = run_without_jitter(&changes(20));
    assert_eq!(record.proxies.len(), 3);
    // A watch, the calm that istiod waits for, and the way to the proxy; what is generated for
    // three proxies takes less than a millisecond each.
    let waits = facts::WATCH_DELAY.value * 2 + facts::ISTIOD_DEBOUNCE_AFTER.value;
    for proxy in &record.proxies {
        assert_eq!(proxy.updates, 20);
        assert_eq!(proxy.acted, Duration::from_secs(100));
        let delay = proxy.lag_max;
        assert!(delay > waits && delay < waits + Duration::from_millis(3));
        // Delay by period, and half of the delay in that time.
        let (share, expected) = (
            proxy.behind.as_secs_f64() / 100.0,
            delay.as_secs_f64() / 5.0,
        );
        assert!((share / expected - 1.0).abs() < 1e-3, "{share} {expected}");
        let mean = lag_integral(proxy) / 100.0;
        let expected = share * delay.as_secs_f64() / 2.0;
        assert!((mean / expected - 1.0).abs() < 2e-3, "{mean} {expected}");
    }
}

#[test]
fn a_proxy_that_is_cut_off_is_behind_from_the_first_change_on() {
    let run = |seconds: u64| {
        let mut scenario = changes(2);
        let cut = Fault::NodePartition {
            cluster: CLUSTER,
            node: 0,
        };
        scenario.timeline.insert(0, fault_at(1_000, cut, None));
        scenario.run.duration = Duration::from_secs(seconds);
        run_without_jitter(&scenario)
    };
    // Written from 2 s on; what is written later makes it no younger.
    for seconds in [12, 22] {
        let record = run(seconds);
        let [client] = of(&record, CLIENT)[..] else {
            panic!("one proxy: {:?}", record.proxies);
        };
        let since = Duration::from_secs(seconds - 2) - facts::API_WRITE_DELAY.value;
        assert_eq!((client.behind, client.lag_max), (since, since));
        assert_eq!(client.updates, 0);
        let exact = since.as_secs_f64() * since.as_secs_f64() / 2.0;
        assert!((lag_integral(&client) - exact).abs() < 1e-9);
        let [web] = of(&record, FIRST)[..] else {
            panic!("one proxy: {:?}", record.proxies);
        };
        assert_eq!(web.updates, 2);
    }
}

#[test]
fn what_does_not_concern_a_proxy_makes_it_no_older() {
    // The client sees nothing but itself: not the pods of `web`, one of which dies and is
    // replaced, and no route to them.
    let mut scenario = changes(1);
    let itself = EgressListener {
        port: None,
        protocol: None,
        hosts: vec![ServerHost {
            namespace: HostNamespace::Own,
            host: "client.default.svc.cluster.local".into(),
        }],
        left_out: Vec::new(),
        capture: CaptureMode::Default,
        bind: None,
    };
    let scope = crate::istio::config::Sidecar {
        identity: identity("scope"),
        selector: Some([("version".to_owned(), "v0".to_owned())].into()),
        ingress: Vec::new(),
        egress: vec![itself],
        inbound_pool: None,
        outbound: None,
    };
    let istio = scenario.clusters[0].istio.as_mut().unwrap();
    istio.objects.apply(Object::from(scope));
    let kill = Fault::PodKill {
        cluster: CLUSTER,
        workload: FIRST,
        count: 1,
    };
    scenario.timeline.push(fault_at(10_000, kill, None));
    scenario.run.duration = Duration::from_secs(30);
    assert!(scenario.clusters[0].services[1].name == SHOP.split('.').next().unwrap());
    let record = run_without_jitter(&scenario);
    let [client] = of(&record, CLIENT)[..] else {
        panic!("one proxy: {:?}", record.proxies);
    };
    assert_eq!((client.updates, client.behind), (0, Duration::ZERO));
    let [second] = of(&record, WorkloadId(2))[..] else {
        panic!("one proxy: {:?}", record.proxies);
    };
    assert!(second.updates >= 2, "a route, and pods: {second:?}");
    // The proxy that died, and the one in its place, which acts once it was told.
    let first = of(&record, FIRST);
    assert_eq!(first.len(), 2, "{first:?}");
    assert_eq!(first[0].acted, Duration::from_secs(10));
    assert!(first[1].acted < Duration::from_secs(20));
}

#[test]
fn ztunnels_are_behind_on_pods_and_policies_but_not_on_routes() {
    let updates = |entry: TimelineEntry| {
        let mut scenario = ambient::versions(1, Vec::new());
        scenario.timeline = vec![entry];
        scenario.run.duration = Duration::from_secs(5);
        let record = run_without_jitter(&scenario);
        let ztunnels = record.proxies.iter();
        let ztunnels = ztunnels.filter(|proxy| matches!(proxy.proxy, ProxyKey::Ztunnel(_)));
        let counts: Vec<u64> = ztunnels.map(|proxy| proxy.updates).collect();
        assert_eq!(counts.len(), 2, "one on each node");
        counts
    };
    let kill = Fault::PodKill {
        cluster: CLUSTER,
        workload: FIRST,
        count: 1,
    };
    assert_eq!(updates(route_at(2_000, "v1")), [0, 0]);
    assert!(
        updates(fault_at(2_000, kill, None))
            .iter()
            .all(|&it| it > 0)
    );
}

#[test]
fn whoever_waits_for_istiod_is_behind_all_the_while() {
    let mut scenario = changes(1);
    let down = Fault::ComponentDown {
        cluster: CLUSTER,
        component: Component::Istiod,
    };
    let kill = Fault::PodKill {
        cluster: CLUSTER,
        workload: FIRST,
        count: 1,
    };
    scenario.timeline = vec![
        fault_at(1_000, down, Some(60_000)),
        fault_at(2_000, kill, None),
    ];
    scenario.run.duration = Duration::from_secs(61);
    let record = run_without_jitter(&scenario);
    let [client] = of(&record, CLIENT)[..] else {
        panic!("one proxy: {:?}", record.proxies);
    };
    // The pod that died is gone from its service's endpoints within some seconds.
    assert_eq!(client.behind, client.lag_max);
    let lag = client.lag_max.as_secs_f64();
    assert!((50.0..59.0).contains(&lag), "{lag}");
}

#[test]
fn every_execution_gives_the_same_ages() {
    let mut scenario = changes(4);
    let kill = Fault::PodKill {
        cluster: CLUSTER,
        workload: FIRST,
        count: 1,
    };
    scenario.timeline.push(fault_at(18_000, kill, None));
    let topology = compile(&scenario);
    let ages = |execution| {
        let options = Options {
            execution,
            ..Options::default()
        };
        simulate(&topology, Seed::default(), &options).proxies
    };
    let expected = ages(Execution::Sequential);
    assert!(expected.iter().all(|proxy| proxy.updates > 0));
    assert_eq!(ages(Execution::Windows), expected);
    #[cfg(feature = "threads")]
    for threads in [1, 2, 3] {
        let threads = std::num::NonZeroUsize::new(threads).unwrap();
        assert_eq!(ages(Execution::Threads(threads)), expected);
    }
}
