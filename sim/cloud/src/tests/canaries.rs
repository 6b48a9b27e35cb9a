//! Canary releases: when weights move, who is condemned, and what outages and copies do to them.

use super::mesh::{SHOP, route, routes, rule, shares, versions, weights};
use super::network::run_without_jitter;
use super::*;
use crate::istio::config::{HttpMatch, Percent, PortPolicy, StringMatch, ValueMatch};
use crate::record::{CanaryOutcome, CanaryRecord, Record};
use crate::simulate::replicate;
use engine::Execution;

fn version(subset: &str, workload: u32) -> Version {
    Version {
        name: subset.into(),
        destination: crate::istio::config::Destination {
            host: SHOP.into(),
            subset: Some(subset.into()),
            port: None,
        },
        workloads: vec![WorkloadId(workload)],
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn at(milliseconds: u64) -> Time {
    Time::ZERO + Duration::from_millis(milliseconds)
}

fn pause(count: u64) -> CanaryStep {
    CanaryStep::Pause(seconds(count))
}

/// Looks every 2 s, at counters that are read every second.
fn analysis() -> CanaryAnalysis {
    CanaryAnalysis {
        interval: seconds(2),
        scrape_interval: seconds(1),
        success_rate_min: None,
        latency_max: None,
        comparisons: vec![Comparator::Failures, Comparator::Latency],
        latency_tolerance: 0.0,
        significance: 0.05,
        looks: Looks::Corrected,
        sample_min: 20,
        failure_limit: 0,
        starting_step: 0,
    }
}

/// A release from the second 2 on, of a second version that is as fast as the first, to which
/// 100 requests come in a second.
fn release(steps: Vec<CanaryStep>, requests: u64) -> Scenario {
    let at_start = routes(vec![route(weights(&[("v1", 100), ("v2", 0)]))]);
    let mut scenario = versions(vec![rule(PortPolicy::default()), at_start], requests);
    let workloads = &mut scenario.clusters[0].workloads;
    let work = Distribution::exponential(0.01).expect("a law");
    for workload in &mut workloads[1..] {
        workload.template.behavior.service_time = work.clone();
    }
    let canary = Canary {
        route: "web".into(),
        services: vec![("default".into(), "web".into())],
        parts: Vec::new(),
        stable: version("v1", 1),
        canary: version("v2", 2),
        steps,
        analysis: None,
        truth: None,
    };
    scenario.timeline = vec![TimelineEntry {
        at: at(2_000),
        label: "release".into(),
        action: Action::Apply {
            cluster: ClusterId(0),
            changes: vec![Change::Canary(Box::new(canary))],
        },
    }];
    scenario
}

fn described(scenario: &mut Scenario) -> &mut Canary {
    let Action::Apply { changes, .. } = &mut scenario.timeline[0].action else {
        panic!("an operation");
    };
    let Change::Canary(canary) = &mut changes[0] else {
        panic!("a canary");
    };
    canary
}

fn judged(mut scenario: Scenario, analysis: CanaryAnalysis) -> Scenario {
    described(&mut scenario).analysis = Some(analysis);
    scenario
}

fn errors(scenario: &mut Scenario, workload: usize, rate: f64) {
    let workload = &mut scenario.clusters[0].workloads[workload];
    workload.template.behavior.error_rate = rate;
}

fn canary(record: &Record) -> &CanaryRecord {
    &record.canaries[0]
}

/// How many of so many replications end so.
fn count(scenario: &Scenario, replications: u32, outcome: CanaryOutcome) -> usize {
    let topology = compile(scenario);
    let outcomes = (0..replications).map(|replication| {
        let seed = Seed {
            master: 7,
            replication,
        };
        simulate(&topology, seed, &Options::default()).canaries[0].outcome
    });
    outcomes.filter(|found| *found == outcome).count()
}

#[test]
fn the_split_follows_the_steps_once_sidecars_are_told() {
    let steps = vec![CanaryStep::SetWeight(100), pause(1)];
    let record = run_without_jitter(&release(steps, 400));
    let [before, after] = shares(&record);
    assert_eq!(before + after, 400);
    // Two writes and two watches, 100 ms of calm at istiod, and a push: of the requests of each
    // 10 ms from the first second on those until 2.1 s take the old way at least.
    assert!((111..=118).contains(&before), "{before}");
    let found = canary(&record);
    assert_eq!((found.outcome, found.steps), (CanaryOutcome::Promoted, 2));
    let began = found.began.expect("it was asked for");
    let judged = found.judged.expect("it was promoted");
    assert!(began > at(2_000) && began < at(2_020), "{began:?}");
    // After the write of the weight and a second of pause.
    assert!(judged.since(began) > seconds(1) && judged.since(began) < Duration::from_millis(1_020));
    assert!(found.ended.expect("that was written") > judged);
}

#[test]
fn weights_come_to_sidecars_by_istiod_watch_however_slow_it_is() {
    let slow = |from: u64, factor: f64| {
        let steps = vec![CanaryStep::SetWeight(100), pause(2)];
        let mut scenario = release(steps, 400);
        let cluster = ClusterId(0);
        let fault = Fault::ApiServerSlow { cluster, factor };
        let position = usize::from(from > 2_000);
        let fault = fault_at(from, fault, Some(10_000));
        scenario.timeline.insert(position, fault);
        shares(&run_without_jitter(&scenario))[0]
    };
    // The operator's write, the controller's watch, its write and istiod's watch, of 5 ms each,
    // take twenty times as long, istiod and its push as long as ever: 380 ms are 38 requests more
    // than the 111 to 118 of an ordinary release.
    let before = slow(1_000, 20.0);
    assert!((149..=156).contains(&before), "{before}");
    // The weight is written 15 ms after the release was asked for. What is on its way to istiod
    // when the API server becomes slow is not lost: it comes 50 ms later.
    let before = slow(2_017, 10.0);
    assert!((115..=123).contains(&before), "{before}");
}

#[test]
fn weights_are_shares() {
    let steps = vec![CanaryStep::SetWeight(10), pause(40)];
    let [_, after] = shares(&run_without_jitter(&release(steps, 4_000)));
    // Of 3,888 requests a tenth; four standard deviations are 75.
    assert!((310..=465).contains(&after), "{after}");
}

#[test]
fn nothing_moves_while_the_api_server_is_down() {
    let steps = vec![
        CanaryStep::SetWeight(20),
        pause(1),
        CanaryStep::SetWeight(50),
        pause(1),
    ];
    let mut scenario = release(steps, 1_500);
    let without = run_without_jitter(&scenario);
    let outage = Fault::ApiServerDown {
        cluster: ClusterId(0),
        count: 3,
    };
    scenario.timeline.push(fault_at(2_500, outage, Some(5_000)));
    let with = run_without_jitter(&scenario);
    let ended = |record: &Record| canary(record).ended.expect("it ends");
    assert!(ended(&without) < at(4_200), "{:?}", ended(&without));
    // The pause is over when the API server is back; the second one begins then.
    assert!(ended(&with) > at(8_500), "{:?}", ended(&with));
    // A fifth of the requests of the outage went to the canary, not half of them or all.
    let moved = shares(&without)[1] - shares(&with)[1];
    assert!(moved > 330, "{moved}");
    assert_eq!(with.traffic[0].succeeded, 1_500);
}

#[test]
fn a_bad_canary_is_rolled_back_and_the_route_is_as_before() {
    let steps = vec![CanaryStep::SetWeight(50), pause(20)];
    let mut scenario = judged(release(steps, 2_000), analysis());
    errors(&mut scenario, 2, 0.3);
    let topology = compile(&scenario);
    let simulation = replicate(&topology, Seed::default(), &Options::default());
    let mut domains = simulation.into_partitions();
    let translation = domains[0].translation.as_ref().expect("a mesh");
    let newest = translation.newest();
    assert_eq!(newest, 2, "a weight, and back");
    assert_eq!(translation.objects(newest), translation.objects(0));
    let found = &domains[0].canary_records()[0];
    assert_eq!(found.outcome, CanaryOutcome::RolledBack);
    let took = found.judged.unwrap().since(found.began.unwrap());
    // Looks after 2, 4, 6 s, at what was read between readings of each second.
    assert!(took < seconds(5), "{took}");
    assert!(found.canary.failed > 20 && found.stable.failed == 0);
}

#[test]
fn steps_and_verdicts_are_events() {
    let steps = vec![CanaryStep::SetWeight(50), pause(20)];
    let mut scenario = judged(release(steps, 2_000), analysis());
    errors(&mut scenario, 2, 0.3);
    let snapshot = crate::snapshot::at(&compile(&scenario), Seed::default(), seconds(20));
    let events = snapshot.clusters[0].events.iter();
    let of_release = events.filter(|event| event.object == "Rollout/web");
    let told: Vec<_> = of_release.map(|event| (event.kind, event.reason)).collect();
    assert_eq!(
        told,
        [
            ("Normal", "RolloutStepCompleted"),
            ("Warning", "AnalysisRunFailed"),
            ("Warning", "RolloutAborted"),
        ]
    );
}

#[test]
fn a_slow_canary_is_found_by_its_latencies() {
    let steps = vec![CanaryStep::SetWeight(50), pause(15)];
    let mut scenario = judged(release(steps, 2_000), analysis());
    let slow = Distribution::exponential(0.03).expect("a law");
    scenario.clusters[0].workloads[2]
        .template
        .behavior
        .service_time = slow;
    let record = run_without_jitter(&scenario);
    assert_eq!(canary(&record).outcome, CanaryOutcome::RolledBack);
    // Not if only failures are looked at.
    described(&mut scenario).analysis = Some(CanaryAnalysis {
        comparisons: vec![Comparator::Failures],
        ..analysis()
    });
    let record = run_without_jitter(&scenario);
    assert_eq!(canary(&record).outcome, CanaryOutcome::Promoted);
}

#[test]
fn too_small_a_sample_holds_a_release() {
    let steps = vec![CanaryStep::SetWeight(1), pause(2)];
    let scenario = judged(release(steps, 1_000), analysis());
    let record = run_without_jitter(&scenario);
    // One request a second: 20 are not there before the end.
    let found = canary(&record);
    assert_eq!((found.outcome, found.steps), (CanaryOutcome::Undecided, 1));
    assert!(found.looks >= 3 && found.inconclusive == found.looks);
}

#[test]
fn good_versions_are_condemned_no_more_often_than_the_level_says() {
    let steps = vec![CanaryStep::SetWeight(50), pause(8)];
    let mut scenario = judged(release(steps, 900), analysis());
    for workload in [1, 2] {
        errors(&mut scenario, workload, 0.05);
    }
    // Of 400 at most 20 are expected, with a standard deviation of 4.4.
    let wrong = count(&scenario, 400, CanaryOutcome::RolledBack);
    assert!(wrong <= 33, "{wrong}");
    // Four looks with two tests each, every one of them at that level, condemn many more.
    described(&mut scenario).analysis = Some(CanaryAnalysis {
        looks: Looks::Uncorrected,
        ..analysis()
    });
    let wrong = count(&scenario, 400, CanaryOutcome::RolledBack);
    assert!(wrong > 35, "{wrong}");
}

#[test]
fn the_larger_the_sample_the_more_bad_versions_are_found() {
    let found = |weight, lasts| {
        let steps = vec![CanaryStep::SetWeight(weight), pause(lasts)];
        let mut scenario = judged(release(steps, 200 + 100 * lasts), analysis());
        errors(&mut scenario, 1, 0.02);
        errors(&mut scenario, 2, 0.10);
        count(&scenario, 24, CanaryOutcome::RolledBack)
    };
    let (few, some, many) = (found(20, 4), found(50, 4), found(50, 12));
    assert!(
        few + 4 <= some && some < many && many >= 22,
        "{few} {some} {many}"
    );
}

#[test]
fn copies_condemn_a_canary_and_harm_nobody() {
    let steps = vec![
        CanaryStep::SetMirrorRoute {
            name: "shadow".into(),
            matches: Vec::new(),
            share: Percent::new(50.0),
        },
        pause(20),
    ];
    let mut scenario = judged(release(steps, 2_000), analysis());
    errors(&mut scenario, 2, 0.3);
    let record = run_without_jitter(&scenario);
    let found = canary(&record);
    assert_eq!(found.outcome, CanaryOutcome::RolledBack);
    assert_eq!(found.canary.answers(), 0, "users had none of it");
    assert!(shares(&record)[1] > 50, "though it worked");
    assert_eq!(record.traffic[0].succeeded, 2_000);
}

#[test]
fn requests_with_a_header_go_to_the_canary_whatever_the_weight() {
    let is_insider = HttpMatch {
        headers: [(
            "x-insider".to_owned(),
            ValueMatch::Is(StringMatch::Exact("yes".into())),
        )]
        .into(),
        ..HttpMatch::default()
    };
    let header = |matches| CanaryStep::SetHeaderRoute {
        name: "insiders".into(),
        matches,
    };
    let steps = vec![
        header(vec![is_insider]),
        pause(3),
        header(Vec::new()),
        pause(30),
    ];
    let mut scenario = release(steps, 1_000);
    assert_eq!(shares(&run_without_jitter(&scenario)), [1_000, 0]);
    let headers = &mut scenario.traffic[0].attributes.headers;
    headers.push(("x-insider".into(), "yes".into()));
    let [_, insiders] = shares(&run_without_jitter(&scenario));
    // For three seconds.
    assert!((295..=305).contains(&insiders), "{insiders}");
}

#[test]
fn looks_past_the_failure_limit_condemn() {
    let steps = vec![CanaryStep::SetWeight(50), pause(20)];
    let took = |failure_limit| {
        let analysis = CanaryAnalysis {
            failure_limit,
            success_rate_min: Some(0.9),
            comparisons: Vec::new(),
            ..analysis()
        };
        let mut scenario = judged(release(steps.clone(), 2_000), analysis);
        errors(&mut scenario, 2, 0.5);
        let record = run_without_jitter(&scenario);
        let found = canary(&record);
        assert_eq!(found.outcome, CanaryOutcome::RolledBack);
        found.judged.unwrap().since(found.began.unwrap())
    };
    assert_eq!(took(2) - took(0), seconds(4), "two looks more");
}

#[test]
fn a_release_is_the_same_however_it_is_run() {
    let steps = vec![CanaryStep::SetWeight(50), pause(6)];
    let mut scenario = judged(release(steps, 800), analysis());
    errors(&mut scenario, 2, 0.2);
    // A second partition, so that there is something to run beside.
    scenario.user_networks = vec![UserNetwork {
        name: "users".into(),
        region: "elsewhere".into(),
        resolvers: 1,
        addresses: None,
    }];
    let mut users = scenario.traffic[0].clone();
    users.name = "users from outside".into();
    users.source = TrafficSource::Users(UserNetworkId(0));
    users.clients = 10;
    scenario.clusters[0].services[1].kind = ServiceKind::LoadBalancer;
    scenario.traffic.push(users);
    let topology = compile(&scenario);
    let run = |execution| {
        let options = Options {
            execution,
            ..Options::default()
        };
        simulate(&topology, Seed::default(), &options)
    };
    let alone = run(Execution::Sequential);
    assert_eq!(canary(&alone).outcome, CanaryOutcome::RolledBack);
    assert_eq!(run(Execution::Windows).digest, alone.digest);
    #[cfg(feature = "threads")]
    for threads in [2, 4] {
        let threads = std::num::NonZeroUsize::new(threads).unwrap();
        assert_eq!(run(Execution::Threads(threads)).digest, alone.digest);
    }
}

#[test]
fn a_release_of_another_route_changes_nothing() {
    let steps = vec![CanaryStep::SetWeight(100), pause(1)];
    let mut scenario = release(steps, 300);
    described(&mut scenario).services = vec![("default".into(), "other".into())];
    assert_eq!(shares(&run_without_jitter(&scenario)), [300, 0]);
}
