//! A study says what its replications say, however it is carried out.

use cloud::scenario::{
    Analysis, Arrivals, Balance, Behavior, Cluster, ClusterId, GivenAddresses, NetworkModel, Node,
    Protocol, RateProfile, Replications, RequestAttributes, Resources, Retry, Rollout, RunPlan,
    Scenario, Service, ServiceId, ServiceKind, ServicePort, Station, Template, Traffic,
    TrafficPolicy, TrafficSource, TrafficTarget, Transport, UserNetwork, UserNetworkId, Workload,
    WorkloadId, WorkloadKind, ZoneId,
};
use engine::{Distribution, Duration, QueueKind};
use hybridsim::study::{self, Phase, Progress, Study, StudyError, StudyOptions, Unwatched};
use stats::Estimate;
use stats::closed_forms::single_server::Mm1;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

const LOAD: f64 = 0.8;

/// M/M/1 at 80 % load: one pod with one worker, a service second on average.
fn queue() -> Scenario {
    let workload = Workload {
        namespace: "default".into(),
        name: "web".into(),
        kind: WorkloadKind::Inline,
        version: None,
        replicas: 1,
        rollout: Rollout::of(WorkloadKind::Inline),
        template: Template::plain(
            Station::fifo(1),
            Behavior::alone(Distribution::exponential(1.0).unwrap()),
        ),
    };
    Scenario {
        name: "queue".into(),
        question: None,
        network: NetworkModel::Ideal,
        clusters: vec![Cluster {
            workloads: vec![workload],
            services: vec![service()],
            ..Cluster::empty("cluster", "local", 33)
        }],
        user_networks: Vec::new(),
        global_names: Vec::new(),
        links: Vec::new(),
        traffic: vec![traffic()],
        timeline: Vec::new(),
        measures: Vec::new(),
        objectives: Vec::new(),
        expectations: Vec::new(),
        run: RunPlan {
            duration: Duration::from_secs(20_000),
            analysis: Analysis::SteadyState { warm_up: None },
            seed: 42,
            replications: Replications {
                min: 10,
                max: 60,
                precision: None,
            },
            series_step: Duration::from_secs(100),
            confidence: 0.95,
        },
        assumptions: Vec::new(),
        facts: Vec::new(),
    }
}

fn service() -> Service {
    Service {
        namespace: "default".into(),
        name: "web".into(),
        kind: ServiceKind::ClusterIp,
        ports: vec![ServicePort {
            name: None,
            port: 80,
            target_port: 80,
            node_port: None,
            transport: Transport::Tcp,
        }],
        backends: vec![WorkloadId(0)],
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
        name: "users".into(),
        source: TrafficSource::Inside(ClusterId(0)),
        target: TrafficTarget::Service {
            cluster: ClusterId(0),
            service: ServiceId(0),
            port: 0,
        },
        arrivals: Arrivals::Poisson(RateProfile::Constant(LOAD)),
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

/// The same pod behind a load balancer, asked by users in another region: two partitions.
fn reached_from_afar() -> Scenario {
    let mut scenario = queue();
    scenario.network = NetworkModel::Modelled;
    scenario.user_networks = vec![UserNetwork {
        name: "far".into(),
        region: "aws/eu-central-1".into(),
        resolvers: 1,
        addresses: None,
    }];
    let cluster = &mut scenario.clusters[0];
    cluster.region = "aws/us-west-2".into();
    cluster.services[0].kind = ServiceKind::LoadBalancer;
    cluster.services[0].ports[0].node_port = Some(30_080);
    cluster.nodes = vec![Node {
        name: "node".into(),
        zone: ZoneId(0),
        allocatable: Resources {
            cpu_milli: 4_000,
            memory_bytes: 1 << 34,
        },
        pods_max: 110,
        labels: BTreeMap::new(),
        taints: Vec::new(),
        unschedulable: false,
    }];
    scenario.traffic[0].source = TrafficSource::Users(UserNetworkId(0));
    scenario
}

fn run(scenario: &Scenario, options: &StudyOptions) -> Study {
    study::run(scenario, options, &Unwatched).expect("the model keeps its rules")
}

fn json(study: &Study) -> String {
    serde_json::to_string(&study.summary).expect("a summary is plain data")
}

fn holds(estimate: &Estimate, truth: f64) -> bool {
    estimate.low.unwrap() <= truth && truth <= estimate.high.unwrap()
}

/// The intervals of 120 studies under different seeds hold the truth as often as they say: at
/// 95 % their share has a standard error of two points, and three of these are allowed.
#[test]
fn intervals_of_the_simulator_cover() {
    let mut scenario = queue();
    let truth = Mm1 {
        arrival_rate: 0.5,
        service_rate: 1.0,
    };
    scenario.traffic[0].arrivals = Arrivals::Poisson(RateProfile::Constant(truth.arrival_rate));
    scenario.run.duration = Duration::from_secs(10_800);
    scenario.run.analysis = Analysis::SteadyState {
        warm_up: Some(Duration::from_secs(400)),
    };
    let (mut mean, mut p99, mut number) = (0, 0, 0);
    let studies = 120;
    for seed in 0..studies {
        let options = StudyOptions {
            seed: Some(seed),
            ..StudyOptions::default()
        };
        let summary = run(&scenario, &options).summary;
        let latency = &summary.traffic[0].latency;
        mean += u64::from(holds(&latency.mean, truth.sojourn_mean()));
        p99 += u64::from(holds(&latency.p99, truth.sojourn_quantile(0.99)));
        number += u64::from(holds(&summary.workloads[0].in_system, truth.number_mean()));
    }
    for (hits, what) in [(mean, "mean"), (p99, "p99"), (number, "number")] {
        let share = hits as f64 / studies as f64;
        assert!((share - 0.95).abs() <= 0.06, "{what}: {share}");
    }
}

/// A few short replications: for promises about how a study is carried out.
fn short() -> StudyOptions {
    StudyOptions {
        duration: Some(Duration::from_secs(500)),
        replications: Some(5),
        ..StudyOptions::default()
    }
}

#[test]
fn a_study_in_the_long_run_finds_its_warm_up_and_its_length() {
    let mut scenario = queue();
    scenario.run.replications.precision = Some(0.05);
    let study = run(&scenario, &StudyOptions::default());
    let summary = &study.summary;
    assert_eq!(summary.analysis, "steady-state");
    assert!(summary.warm_up_method.starts_with("mser-5"));
    assert!(summary.warm_up_s <= summary.duration_s / 2.0);
    assert_eq!(summary.precision_reached, Some(true));
    assert!(
        (15..=60).contains(&summary.replications),
        "{}",
        summary.replications
    );
    let numbers: Vec<u32> = study
        .records
        .iter()
        .map(|record| record.replication)
        .collect();
    assert_eq!(numbers, (0..summary.replications).collect::<Vec<u32>>());
    let mean = summary.traffic[0].latency.mean;
    assert!(mean.relative_half_width().unwrap() <= 0.05);
    let truth = Mm1 {
        arrival_rate: LOAD,
        service_rate: 1.0,
    };
    // Half-widths are a bit more than two standard errors: allow four of these.
    let distance = (mean.value - truth.sojourn_mean()).abs();
    assert!(distance <= 2.0 * mean.half_width().unwrap(), "{mean:?}");
    let utilization = summary.workloads[0].utilization;
    assert!((utilization.value - LOAD).abs() <= 2.0 * utilization.half_width().unwrap());
}

#[test]
fn threads_and_queues_never_show() {
    let scenario = queue();
    let reference = run(&scenario, &short());
    assert_eq!(reference.records.len(), 5);
    for threads in [1, 2, 3, 8] {
        for queue in [QueueKind::Auto, QueueKind::Heap] {
            let options = StudyOptions {
                threads: NonZeroUsize::new(threads),
                queue,
                ..short()
            };
            assert_eq!(
                json(&run(&scenario, &options)),
                json(&reference),
                "{threads}"
            );
        }
    }
    let other = StudyOptions {
        seed: Some(43),
        ..short()
    };
    assert_ne!(
        run(&scenario, &other).summary.digest,
        reference.summary.digest
    );
}

#[test]
fn threads_inside_a_replication_never_show() {
    let scenario = reached_from_afar();
    let with = |threads| StudyOptions {
        replications: Some(2),
        threads: NonZeroUsize::new(threads),
        ..short()
    };
    let reference = run(&scenario, &with(1));
    // The way there and back, and a service second, at least.
    assert!(reference.summary.traffic[0].latency.mean.value > 1.1);
    assert_eq!(json(&run(&scenario, &with(4))), json(&reference));
    assert_eq!(json(&run(&scenario, &with(8))), json(&reference));
}

/// The warm-up comes from pilots, so a replayed replication may discard another start; what
/// happened in it is the same.
#[test]
fn one_replication_can_be_replayed() {
    let mut scenario = queue();
    scenario.run.analysis = Analysis::Terminating;
    let study = run(&scenario, &short());
    let options = StudyOptions {
        first_replication: 3,
        replications: Some(1),
        ..short()
    };
    let again = run(&scenario, &options);
    assert_eq!(again.records[0].replication, 3);
    assert_eq!(again.records[0].digest, study.records[3].digest);
}

#[test]
fn steps_add_up_to_totals() {
    let mut scenario = reached_from_afar();
    scenario.run.analysis = Analysis::Terminating;
    for record in run(&scenario, &short()).records {
        let (traffic, web) = (&record.traffic[0], &record.workloads[0]);
        assert_eq!((traffic.steps.len(), web.wait_steps.len()), (5, 5));
        let steps = traffic.steps.iter();
        assert_eq!(
            steps.clone().map(|step| step.sent).sum::<u64>(),
            traffic.sent
        );
        assert_eq!(
            steps.clone().map(|step| step.attempts).sum::<u64>(),
            traffic.attempts
        );
        assert_eq!(
            steps.clone().map(|step| step.succeeded).sum::<u64>(),
            traffic.succeeded
        );
        let latency_ns: u128 = steps.map(|step| step.latency_sum_ns).sum();
        assert_eq!(latency_ns, traffic.latency_sum_ns);
        let waits = web.wait_steps.iter();
        assert_eq!(
            waits.clone().map(|step| step.started).sum::<u64>(),
            web.started
        );
        assert_eq!(
            waits.map(|step| step.wait_sum_ns).sum::<u128>(),
            web.wait_sum_ns
        );
        assert_eq!(web.busy_steps_ns.len(), 5);
        let busy_ns: u128 = web.busy_steps_ns.iter().sum();
        // Each step is rounded down to nanoseconds.
        assert!(web.busy_ns - busy_ns <= 5, "{} {busy_ns}", web.busy_ns);
    }
}

/// Interrupts after so many measured replications.
struct Impatient {
    left: AtomicU32,
    planned: AtomicU32,
    interrupt: Arc<AtomicBool>,
}

impl Progress for Impatient {
    fn planned(&self, phase: Phase, replications: u32) {
        if phase == Phase::Measured {
            self.planned.store(replications, Ordering::Relaxed);
        }
    }

    fn ended(&self, phase: Phase, events: u64) {
        assert!(events > 0);
        if phase == Phase::Measured && self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.interrupt.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn an_interrupted_study_tells_what_it_has() {
    let options = StudyOptions {
        threads: NonZeroUsize::new(1),
        ..short()
    };
    let impatient = Impatient {
        left: AtomicU32::new(2),
        planned: AtomicU32::new(0),
        interrupt: options.interrupt.clone(),
    };
    let study = study::run(&queue(), &options, &impatient).unwrap();
    assert!(study.summary.interrupted);
    assert_eq!(study.summary.replications, 2);
    assert_eq!(impatient.planned.load(Ordering::Relaxed), 5);
    let whole = run(&queue(), &short());
    assert!(!whole.summary.interrupted);
    assert_eq!(study.records[1].digest, whole.records[1].digest);
}

#[test]
fn a_study_interrupted_at_once_is_empty() {
    let options = short();
    options.interrupt.store(true, Ordering::Relaxed);
    let study = run(&queue(), &options);
    assert!(study.summary.interrupted && study.records.is_empty());
    assert_eq!(study.summary.traffic[0].requests, 0);
}

#[test]
fn a_broken_model_says_how_to_see_it_again() {
    let mut scenario = queue();
    // Work must end before the clock does; the loader sees to that.
    let endless = engine::Distribution::constant(Duration::MAX);
    scenario.clusters[0].workloads[0]
        .template
        .behavior
        .service_time = endless;
    scenario.run.analysis = Analysis::Terminating;
    let error = study::run(&scenario, &short(), &Unwatched).unwrap_err();
    let StudyError::Broken(broken) = &error else {
        panic!("{error}");
    };
    assert_eq!((broken.seed, &*broken.scenario), (42, "queue"));
    let replay = format!(
        "hybridsim run queue.yaml --seed 42 --first-replication {} --replications 1 --threads 1 \
         --duration 500s",
        broken.replication
    );
    assert_eq!(broken.replay("queue.yaml"), replay);
    assert!(error.to_string().contains(&broken.message), "{error}");
}

#[test]
fn a_warm_up_as_long_as_the_run_is_refused() {
    let mut scenario = queue();
    scenario.run.analysis = Analysis::SteadyState {
        warm_up: Some(Duration::from_secs(500)),
    };
    let error = study::run(&scenario, &short(), &Unwatched).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a warm-up of 500s leaves nothing of a run of 500s to measure"
    );
}
