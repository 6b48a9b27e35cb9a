//! The chain again, as a scenario that the cloud model runs: what a request costs in the
//! simulator itself. A hop is a station that takes half a millisecond of everybody.

use cloud::record::Record;
use cloud::scenario::{
    Analysis, Arrivals, Balance, Behavior, Call, Cluster, ClusterId, GivenAddresses, NetworkModel,
    OnFailure, Protocol, RateProfile, Replications, RequestAttributes, Retry, Rollout, RunPlan,
    Scenario, Service, ServiceId, ServiceKind, ServicePort, Station, Step, Template, Traffic,
    TrafficPolicy, TrafficSource, TrafficTarget, Transport, Workload, WorkloadId, WorkloadKind,
};
use cloud::{Options, compile, simulate};
use engine::{Distribution, Duration, Seed};

use crate::chain::{
    ARRIVAL_MEAN_NANOS, EVENTS_PER_REQUEST, HOP_NANOS, SERVICE_MEAN_NANOS, WORKERS,
    assert_sojourn_mean,
};
use crate::chain_reference::Reference;
use crate::measure::{Figure, Runner, Target};

const REQUESTS_PER_ROUND: u64 = 200_000;

pub fn figures(runner: &mut Runner) {
    let figure = |name, unit, reference| Figure {
        name,
        unit,
        reference,
        target: Target::Reported,
    };
    let speed = figure("cloud_chain", "Mrequests/s", "hand-coded_loop");
    if !runner.wants(speed.name) {
        return;
    }
    let mut seed = Seed::default();
    let mut total = Total::default();
    let mut cloud = |requests: u64| {
        let topology = compile(&scenario(requests));
        total.add(&simulate(&topology, seed, &Options::default()));
        seed.replication += 1;
    };
    if runner.alone(&mut cloud) {
        return;
    }
    let mut reference = Reference::new();
    let by_hand = &mut |requests| reference.run(requests);
    let speeds = runner.compare(&speed, REQUESTS_PER_ROUND, &mut cloud, by_hand);
    assert_sojourn_mean(total.latency_ns as f64 / total.requests as f64);

    let events = total.events as f64 / total.requests as f64;
    let count = figure("cloud_chain_events", "events/request", "hand-coded_loop");
    runner.report(&count, events, events / EVENTS_PER_REQUEST);
    let nanos = 1e3 / speeds.ours / events;
    let nanos_by_hand = 1e3 / speeds.theirs / EVENTS_PER_REQUEST;
    let cost = figure("cloud_chain_nanos", "ns/event", "hand-coded_loop");
    runner.report(&cost, nanos, nanos / nanos_by_hand);
}

#[derive(Default)]
struct Total {
    requests: u64,
    latency_ns: u128,
    events: u64,
}

impl Total {
    fn add(&mut self, record: &Record) {
        let traffic = &record.traffic[0];
        self.requests += traffic.succeeded;
        self.latency_ns += traffic.latency_sum_ns;
        self.events += record.events;
    }
}

fn scenario(requests: u64) -> Scenario {
    let work = || Distribution::exponential(SERVICE_MEAN_NANOS / 1e9).expect("a positive mean");
    let hop = || Distribution::constant(Duration::from_nanos(HOP_NANOS));
    let stations = [
        ("first", WORKERS, work()),
        ("to-second", u32::MAX, hop()),
        ("second", WORKERS, work()),
        ("to-third", u32::MAX, hop()),
        ("third", WORKERS, work()),
    ];
    let count = stations.len();
    let workloads = stations.into_iter().enumerate();
    let workloads: Vec<Workload> = workloads
        .map(|(index, (name, workers, service_time))| {
            let onward = (index + 1 < count).then_some(index + 1);
            workload(name, workers, service_time, onward)
        })
        .collect();
    let services = workloads.iter().enumerate();
    let cluster = Cluster {
        services: services
            .map(|(index, workload)| service(&workload.name, WorkloadId::from(index)))
            .collect(),
        workloads,
        ..Cluster::empty("cluster", "local", 33)
    };
    let duration = Duration::from_nanos((requests as f64 * ARRIVAL_MEAN_NANOS) as u64);
    Scenario {
        name: "chain".into(),
        question: None,
        network: NetworkModel::Ideal,
        clusters: vec![cluster],
        user_networks: Vec::new(),
        global_names: Vec::new(),
        links: Vec::new(),
        traffic: vec![traffic()],
        timeline: Vec::new(),
        measures: Vec::new(),
        objectives: Vec::new(),
        expectations: Vec::new(),
        run: RunPlan {
            duration,
            analysis: Analysis::Terminating,
            seed: 0,
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

/// A station that hands each request on without waiting for what becomes of it there.
fn workload(
    name: &str,
    workers: u32,
    service_time: Distribution,
    onward: Option<usize>,
) -> Workload {
    let steps = onward.map(|service| Step {
        calls: vec![call(ServiceId::from(service))],
    });
    let behavior = Behavior {
        steps: steps.into_iter().collect(),
        asynchronous: true,
        ..Behavior::alone(service_time)
    };
    Workload {
        namespace: "default".into(),
        name: name.into(),
        kind: WorkloadKind::Inline,
        version: None,
        replicas: 1,
        rollout: Rollout::of(WorkloadKind::Inline),
        template: Template::plain(Station::fifo(workers), behavior),
    }
}

fn call(service: ServiceId) -> Call {
    Call {
        service,
        port: 0,
        probability: 1.0,
        repeat: 1,
        request_bytes: 0,
        attributes: Default::default(),
        protocol: Protocol::Http2,
        timeout: None,
        retry: Retry::NEVER,
        on_failure: OnFailure::Fail,
    }
}

fn service(name: &str, backend: WorkloadId) -> Service {
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
        backends: vec![backend],
        session_affinity: None,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
        distribution: None,
        publish_not_ready: false,
        given: GivenAddresses::default(),
        balance: Balance::Random,
    }
}

fn traffic() -> Traffic {
    Traffic {
        name: "requests".into(),
        source: TrafficSource::Inside(ClusterId(0)),
        target: TrafficTarget::Service {
            cluster: ClusterId(0),
            service: ServiceId(0),
            port: 0,
        },
        arrivals: Arrivals::Poisson(RateProfile::Constant(1e9 / ARRIVAL_MEAN_NANOS)),
        timeout: None,
        retry: Retry::NEVER,
        protocol: Protocol::Http2,
        request_bytes: 0,
        attributes: RequestAttributes {
            host: "first".into(),
            path: "/".into(),
            method: "GET".into(),
            token: None,
            headers: Vec::new(),
        },
        clients: 1,
    }
}
