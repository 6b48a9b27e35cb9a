//! Small scenarios with outcomes worked out by hand, and properties over random ones.

mod ambient;
mod balancers;
mod canaries;
mod chains;
mod choice;
mod containers;
mod control;
mod datagrams;
mod execution;
mod flags;
mod gateways;
mod http2;
mod ideal;
mod indicators;
mod keys;
mod leaving;
mod localities;
mod machines;
mod mesh;
mod mesh_control;
mod names;
mod network;
mod nodes;
mod operations;
mod outages;
mod patches;
mod properties;
mod provisioning;
mod proxies;
mod proxy_containers;
mod regions;
mod rollouts;
mod scale;
pub(crate) mod scaling;
mod sidecars;
mod staleness;
mod streams;
mod waypoints;
mod zones;
mod ztunnel_certificates;
mod ztunnel_outages;
mod ztunnel_streams;

use crate::scenario::*;
use crate::{Options, compile, simulate};
use engine::{Distribution, Duration, Seed, Time};

/// A workload of `replicas` pods with `workers` each.
pub(crate) fn workload(
    name: &str,
    replicas: u32,
    workers: u32,
    service_time: Distribution,
) -> Workload {
    Workload {
        namespace: "default".into(),
        name: name.into(),
        kind: WorkloadKind::Inline,
        version: None,
        replicas,
        rollout: Rollout::of(WorkloadKind::Inline),
        template: Template {
            start_up: Duration::from_secs(2),
            ..Template::plain(Station::fifo(workers), Behavior::alone(service_time))
        },
    }
}

/// A ClusterIP service in front of one workload.
fn service(name: &str, backend: u32) -> Service {
    Service {
        namespace: "default".into(),
        name: name.into(),
        kind: ServiceKind::ClusterIp,
        ports: vec![ServicePort {
            name: None,
            port: 80,
            target_port: 80,
            node_port: None,
            transport: Transport::Tcp,
        }],
        backends: vec![WorkloadId(backend)],
        session_affinity: None,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
        distribution: None,
        publish_not_ready: false,
        given: GivenAddresses::default(),
        balance: Balance::Random,
    }
}

/// A call without timeout or retry.
fn call(service: u32) -> Call {
    Call {
        service: ServiceId(service),
        port: 0,
        probability: 1.0,
        repeat: 1,
        request_bytes: 0,
        attributes: Default::default(),
        protocol: Protocol::Http1Close,
        timeout: None,
        retry: Retry::NEVER,
        on_failure: OnFailure::Fail,
    }
}

/// A source inside the first cluster that asks its first service.
pub(crate) fn traffic(arrivals: Arrivals) -> Traffic {
    Traffic {
        name: "users".into(),
        source: TrafficSource::Inside(ClusterId(0)),
        target: TrafficTarget::Service {
            cluster: ClusterId(0),
            service: ServiceId(0),
            port: 0,
        },
        arrivals,
        timeout: None,
        retry: Retry::NEVER,
        protocol: Protocol::Http1Close,
        request_bytes: 0,
        attributes: RequestAttributes {
            host: "web".into(),
            path: "/".into(),
            method: "GET".into(),
            token: None,
            headers: Vec::new(),
        },
        clients: 1,
    }
}

/// A cluster with a service of the same position in front of each workload.
fn cluster(name: &str, region: &str, workloads: Vec<Workload>) -> Cluster {
    let services = workloads.iter().enumerate();
    Cluster {
        services: services
            .map(|(index, workload)| service(&workload.name, index as u32))
            .collect(),
        workloads,
        ..Cluster::empty(name, region, 33)
    }
}

/// A scenario of one cluster without a network.
pub(crate) fn ideal(workloads: Vec<Workload>, arrivals: Arrivals, duration: Duration) -> Scenario {
    Scenario {
        name: "test".into(),
        question: None,
        network: NetworkModel::Ideal,
        clusters: vec![cluster("cluster", "local", workloads)],
        user_networks: Vec::new(),
        global_names: Vec::new(),
        links: Vec::new(),
        traffic: vec![traffic(arrivals)],
        timeline: Vec::new(),
        measures: Vec::new(),
        objectives: Vec::new(),
        expectations: Vec::new(),
        run: RunPlan {
            duration,
            analysis: Analysis::Terminating,
            seed: 1,
            replications: Replications {
                min: 2,
                max: 2,
                precision: None,
            },
            series_step: Duration::from_secs(1),
            confidence: 0.95,
        },
        assumptions: Vec::new(),
        facts: Vec::new(),
    }
}

/// A machine of 4 cores in a zone.
fn node(name: &str, zone: u32) -> Node {
    Node {
        name: name.into(),
        zone: ZoneId(zone),
        allocatable: Resources {
            cpu_milli: 4_000,
            memory_bytes: 16 << 30,
        },
        pods_max: 110,
        labels: Default::default(),
        taints: Vec::new(),
        unschedulable: false,
    }
}

/// Two equal clusters `east` and `west` in regions `one` and `two`, each with two nodes and two
/// pods of `web` behind a load balancer; users in region `three`, 10 ms from `east` and 30 ms
/// from `west`; a global name that fails over from `east` to `west`.
pub(crate) fn two_regions() -> Scenario {
    let arrivals = Arrivals::Poisson(RateProfile::Constant(50.0));
    let mut scenario = ideal(Vec::new(), arrivals, Duration::from_secs(100));
    scenario.network = NetworkModel::Modelled;
    scenario.clusters = [("east", "one"), ("west", "two")]
        .map(|(name, region)| {
            let web = workload("web", 2, 4, Distribution::exponential(0.01).unwrap());
            let mut cluster = cluster(name, region, vec![web]);
            cluster.nodes = vec![node("n1", 0), node("n2", 0)];
            cluster.services[0].kind = ServiceKind::LoadBalancer;
            cluster
        })
        .into();
    scenario.user_networks = vec![UserNetwork {
        name: "users".into(),
        region: "three".into(),
        resolvers: 5,
        addresses: None,
    }];
    let link = |cluster, one_way: u64| LinkOverride {
        from: Place::Users(UserNetworkId(0)),
        to: Place::Cluster(ClusterId(cluster)),
        rtt: Some(Duration::from_millis(2 * one_way)),
        jitter: None,
        bandwidth_bits: None,
        loss: None,
    };
    scenario.links = vec![link(0, 10), link(1, 30)];
    let answer = |cluster| GlobalAnswer {
        cluster: ClusterId(cluster),
        service: ServiceId(0),
        weight: 1,
    };
    scenario.global_names = vec![GlobalName {
        host: "shop".into(),
        answers: vec![answer(0), answer(1)],
        policy: DnsPolicy::Failover,
        ttl: Duration::from_secs(20),
        health_check: HealthCheck {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            failures: 3,
            successes: 3,
        },
    }];
    let users = &mut scenario.traffic[0];
    users.source = TrafficSource::Users(UserNetworkId(0));
    users.target = TrafficTarget::Global(GlobalNameId(0));
    users.timeout = Some(Duration::from_secs(1));
    users.clients = 100;
    scenario
}

/// A fault at a millisecond, for so many of them.
pub(crate) fn fault_at(at: u64, fault: Fault, lasts: Option<u64>) -> TimelineEntry {
    TimelineEntry {
        at: Time::ZERO + Duration::from_millis(at),
        label: "fault".into(),
        action: Action::Fault {
            fault,
            lasts: lasts.map(Duration::from_millis),
        },
    }
}

/// Requests at these milliseconds.
fn at_milliseconds(instants: &[u64]) -> Arrivals {
    let times = instants.iter();
    Arrivals::Trace(
        times
            .map(|&at| Time::ZERO + Duration::from_millis(at))
            .collect(),
    )
}

fn milliseconds(count: u64) -> Distribution {
    Distribution::constant(Duration::from_millis(count))
}

fn run(scenario: &Scenario) -> crate::record::Record {
    let seed = Seed {
        master: 1,
        replication: 0,
    };
    simulate(&compile(scenario), seed, &Options::default())
}
