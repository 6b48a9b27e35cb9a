//! Small scenarios with outcomes worked out by hand, and properties over random ones.

mod ideal;

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
        placement: Placement::default(),
        start_up: Duration::from_secs(2),
        station: Station {
            discipline: Discipline::Fifo { workers },
            queue_max: None,
        },
        behavior: Behavior {
            service_time,
            steps: Vec::new(),
            error_rate: 0.0,
            response_bytes: 0,
            asynchronous: false,
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
        }],
        backends: vec![WorkloadId(backend)],
        session_affinity: None,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
        publish_not_ready: false,
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
            headers: Vec::new(),
        },
        clients: 1,
    }
}

/// A cluster with a service of the same position in front of each workload.
fn cluster(name: &str, region: &str, workloads: Vec<Workload>) -> Cluster {
    let services = workloads.iter().enumerate();
    Cluster {
        name: name.into(),
        region: region.into(),
        kubernetes_minor: 33,
        zones: vec!["a".into()],
        nodes: Vec::new(),
        services: services
            .map(|(index, workload)| service(&workload.name, index as u32))
            .collect(),
        workloads,
        proxies: Vec::new(),
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
