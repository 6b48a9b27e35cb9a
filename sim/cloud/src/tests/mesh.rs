//! Rules of Istio at work: what sidecars do with requests once istiod has told them.

use super::network::{pair, run_without_jitter};
use super::sidecars::sidecar;
use super::*;
use crate::istio::authentication::{ClientMode, ServerMode};
use crate::istio::certificate;
use crate::istio::config::*;
use crate::record::{Reason, Record};
use crate::scenario::{Action, Component};

pub(super) const SHOP: &str = "web.default.svc.cluster.local";

fn labels(version: &str) -> Labels {
    let label = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    [("app", "web"), ("version", version)].map(label).into()
}

pub(super) fn identity(name: &str) -> Identity {
    Identity {
        namespace: "default".into(),
        name: name.into(),
        created: Created::Before(0),
    }
}

pub(super) fn destination(subset: Option<&str>) -> crate::istio::config::Destination {
    crate::istio::config::Destination {
        host: SHOP.into(),
        subset: subset.map(str::to_owned),
        port: None,
    }
}

/// By weight to versions of `web`.
pub(super) fn weights(parts: &[(&str, u32)]) -> HttpAction {
    let parts = parts.iter().map(|&(subset, weight)| HttpDestination {
        target: Target::Host(destination(Some(subset))),
        weight,
        headers: HeaderChanges::default(),
    });
    HttpAction::Forward(parts.collect())
}

pub(super) fn routes(http: Vec<HttpRoute>) -> Object {
    Object::from(VirtualService {
        identity: identity("web"),
        hosts: vec![SHOP.into()],
        gateways: vec![GatewayName::Mesh],
        http,
        tls: Vec::new(),
        tcp: Vec::new(),
        export_to: ExportTo::Default,
        is_of_gateway_api: false,
    })
}

pub(super) fn route(action: HttpAction) -> HttpRoute {
    HttpRoute::plain(Vec::new(), action)
}

/// A rule for `web` with both versions as subsets.
pub(super) fn rule(common: PortPolicy) -> Object {
    let subset = |name: &str| Subset {
        name: name.into(),
        labels: labels(name),
        policy: Default::default(),
    };
    Object::from(DestinationRule {
        identity: identity("web"),
        host: SHOP.into(),
        policy: crate::istio::config::TrafficPolicy {
            common,
            ..Default::default()
        },
        subsets: vec![subset("v1"), subset("v2")],
        export_to: ExportTo::Default,
        selector: Labels::new(),
    })
}

/// One client, and two versions of `web` of one pod each that answer after 10 and after 20 ms;
/// one request every 10 ms from the first second on.
pub(super) fn versions(objects: Vec<Object>, requests: u64) -> Scenario {
    let mut scenario = pair();
    let arrivals: Vec<u64> = (0..requests).map(|at| 1_000 + 10 * at).collect();
    scenario.traffic[0].arrivals = at_milliseconds(&arrivals);
    scenario.traffic[0].attributes.host = SHOP.into();
    scenario.run.duration = Duration::from_millis(2_000 + 10 * requests);
    let cluster = &mut scenario.clusters[0];
    cluster.mesh = Some(Mesh::new(30));
    let mut second = cluster.workloads[1].clone();
    second.name = "web-v2".into();
    second.template.behavior.service_time = milliseconds(20);
    cluster.workloads.push(second);
    cluster.services[1].backends.push(WorkloadId(2));
    for (workload, version) in cluster.workloads.iter_mut().zip(["v0", "v1", "v2"]) {
        workload.template.sidecar = sidecar();
        workload.template.station = Station::fifo(64);
        workload.template.placement.labels = labels(version);
    }
    let mut istio = Istio::default();
    for object in objects {
        istio.objects.apply(object);
    }
    cluster.istio = Some(istio);
    scenario
}

/// Requests that each version has answered.
pub(super) fn shares(record: &Record) -> [u64; 2] {
    [1, 2].map(|workload: usize| record.workloads[workload].finished)
}

pub(super) fn failed(record: &Record, reason: Reason) -> u64 {
    record.traffic[0].failures[reason as usize]
}

/// A policy with this pool of requests.
pub(super) fn http_pool(http: HttpPool) -> PortPolicy {
    PortPolicy {
        connection_pool: Some(ConnectionPool {
            http,
            ..ConnectionPool::default()
        }),
        ..PortPolicy::default()
    }
}

/// Every request on a connection of its own.
pub(super) fn single_requests() -> PortPolicy {
    http_pool(HttpPool {
        requests_per_connection_max: Some(1),
        ..HttpPool::default()
    })
}

/// One connection, for which two may wait.
pub(super) fn small_pool() -> PortPolicy {
    PortPolicy {
        connection_pool: Some(ConnectionPool {
            tcp: TcpPool {
                connections_max: Some(1),
                ..TcpPool::default()
            },
            http: HttpPool {
                pending_max: Some(2),
                ..HttpPool::default()
            },
        }),
        ..PortPolicy::default()
    }
}

#[test]
fn requests_are_split_as_written() {
    let split = routes(vec![route(weights(&[("v1", 90), ("v2", 10)]))]);
    let objects = vec![rule(PortPolicy::default()), split];
    let [first, second] = shares(&run_without_jitter(&versions(objects, 4_000)));
    assert_eq!(first + second, 4_000);
    // Four standard deviations of a binomial of 4000 with 0.1 are 76.
    assert!((324..=476).contains(&second), "{second}");
}

#[test]
fn a_new_route_holds_once_a_sidecar_was_told() {
    let to = |version| routes(vec![route(weights(&[(version, 100)]))]);
    let mut scenario = versions(vec![rule(PortPolicy::default()), to("v1")], 200);
    scenario.timeline = vec![TimelineEntry {
        at: Time::ZERO + Duration::from_secs(2),
        label: "a new route".into(),
        action: Action::Apply {
            cluster: ClusterId(0),
            changes: vec![Change::Istio(vec![to("v2")])],
        },
    }];
    let [first, second] = shares(&run_without_jitter(&scenario));
    // Written at 2 s; the watch takes a moment, istiod waits for 100 ms of calm, and the push
    // takes another: of the requests of each 10 ms those until 2.1 s take the old way at least.
    assert_eq!(first + second, 200);
    assert!((111..=116).contains(&first), "{first}");
}

#[test]
fn a_route_without_its_cluster_answers_503() {
    let split = routes(vec![route(weights(&[("v3", 100)]))]);
    let objects = vec![rule(PortPolicy::default()), split];
    let record = run_without_jitter(&versions(objects, 10));
    assert_eq!(failed(&record, Reason::NoCluster), 10);
    assert_eq!(shares(&record), [0, 0]);
}

#[test]
fn headers_that_were_taken_over_decide() {
    let is_jason = HttpMatch {
        headers: [(
            "end-user".to_owned(),
            ValueMatch::Is(StringMatch::Exact("jason".into())),
        )]
        .into(),
        ..HttpMatch::default()
    };
    let test = HttpRoute::plain(vec![is_jason], weights(&[("v2", 100)]));
    let objects = vec![
        rule(PortPolicy::default()),
        routes(vec![test, route(weights(&[("v1", 100)]))]),
    ];
    for (forwarded, expected) in [(Vec::new(), [10, 0]), (vec!["end-user".into()], [0, 10])] {
        let mut scenario = versions(objects.clone(), 10);
        // A browser asks the client, and the client asks `web`.
        let cluster = &mut scenario.clusters[0];
        let calls = &mut cluster.workloads[0].template.behavior.steps[0].calls;
        calls[0].attributes = std::sync::Arc::new(CallAttributes {
            forwarded,
            ..CallAttributes::default()
        });
        let browser = workload("browser", 1, 4, milliseconds(0));
        cluster.workloads.push(browser);
        scenario.traffic[0].source = TrafficSource::Workload(ClusterId(0), WorkloadId(3));
        scenario.traffic[0].target = TrafficTarget::Service {
            cluster: ClusterId(0),
            service: ServiceId(0),
            port: 0,
        };
        let headers = &mut scenario.traffic[0].attributes.headers;
        headers.push(("end-user".into(), "jason".into()));
        let record = run_without_jitter(&scenario);
        assert_eq!(record.traffic[0].succeeded, 10);
        assert_eq!(shares(&record), expected);
    }
}

/// Everything to the second version, under a route.
pub(super) fn to_second(change: impl FnOnce(&mut HttpRoute)) -> Vec<Object> {
    let mut http = route(weights(&[("v2", 100)]));
    change(&mut http);
    vec![rule(PortPolicy::default()), routes(vec![http])]
}

#[test]
fn a_request_has_the_time_of_its_route() {
    let under = |limit| {
        let objects = to_second(|http| http.timeout = limit);
        run_without_jitter(&versions(objects, 1))
    };
    let alone = under(None).traffic[0].latency_sum_ns as u64;
    // Not counted: the lookup, and the work of the caller's sidecar before and after.
    let counted = Duration::from_nanos(alone - 2_600_000 - 300_000 - 200_000);
    let one = Duration::from_nanos(1);
    assert_eq!(under(Some(counted + one)).traffic[0].succeeded, 1);
    let late = under(Some(counted - one));
    assert_eq!(failed(&late, Reason::GatewayTimeout), 1);
    assert_eq!(shares(&late), [0, 1], "the pod knows nothing of it");
}

/// Three more attempts after an error, each of which may take so long.
fn three_retries(milliseconds: u64) -> Retries {
    Retries {
        attempts: 3,
        per_try_timeout: Some(Duration::from_millis(milliseconds)),
        retry_on: Some(RetryOn::of("5xx")),
        remote_localities: None,
        ignore_previous_hosts: None,
        backoff: None,
    }
}

#[test]
fn attempts_have_a_time_of_their_own_and_are_made_again() {
    let objects = to_second(|http| http.retries = Some(three_retries(10)));
    let record = run_without_jitter(&versions(objects, 1));
    assert_eq!(failed(&record, Reason::GatewayTimeout), 1);
    let calls = record.calls.iter();
    let of_sidecar = calls.filter(|call| call.key.service == Some((ClusterId(0), 1)));
    let late: u64 = of_sidecar
        .map(|call| call.failures[Reason::Timeout as usize])
        .sum();
    assert_eq!(late, 4);
    assert_eq!(shares(&record), [0, 4], "each attempt is worked on");
}

#[test]
fn the_time_of_an_attempt_begins_with_its_connection() {
    // The second waits some 10 ms for the only connection, and then takes 20 ms itself.
    let mut http = route(weights(&[("v2", 100)]));
    http.retries = Some(three_retries(25));
    let objects = vec![rule(small_pool()), routes(vec![http])];
    let record = run_without_jitter(&versions(objects, 2));
    assert_eq!(record.traffic[0].succeeded, 2);
    assert!(record.traffic[0].latency.max() > 30_000_000);
    assert_eq!(shares(&record), [0, 2], "nothing is tried again");
}

#[test]
fn faults_are_injected_before_a_request_is_sent() {
    let abort = FaultAbort {
        with: AbortStatus::Http(500),
        share: Percent::new(25.0).unwrap(),
    };
    let objects = to_second(|http| http.fault.abort = Some(abort));
    let record = run_without_jitter(&versions(objects, 1_000));
    let aborted = failed(&record, Reason::Injected);
    // Four standard deviations are 55.
    assert!((195..=305).contains(&aborted), "{aborted}");
    assert_eq!(shares(&record), [0, 1_000 - aborted]);
    let delay = FaultDelay {
        lasts: Duration::from_millis(50),
        share: Percent::ALL,
    };
    let latency = |delay| {
        let objects = to_second(|http| {
            http.fault.delay = delay;
            // A delay on purpose does not count against it.
            http.timeout = Some(Duration::from_millis(40));
        });
        run_without_jitter(&versions(objects, 1)).traffic[0].latency_sum_ns
    };
    assert_eq!(latency(Some(delay)), latency(None) + 50_000_000);
}

#[test]
fn copies_are_worked_on_and_nobody_waits_for_them() {
    let objects = |mirrors| {
        let mut http = route(weights(&[("v1", 100)]));
        http.mirrors = mirrors;
        vec![rule(PortPolicy::default()), routes(vec![http])]
    };
    let all = Mirror {
        destination: destination(Some("v2")),
        share: Percent::ALL,
    };
    let with = run_without_jitter(&versions(objects(vec![all.clone()]), 50));
    let without = run_without_jitter(&versions(objects(Vec::new()), 50));
    assert_eq!((shares(&with), shares(&without)), ([50, 50], [50, 0]));
    assert_eq!(with.traffic[0].succeeded, 50);
    // Some are under way when the run ends, or their sender dies.
    let mut scenario = versions(objects(vec![all.clone()]), 50);
    scenario.run.duration = Duration::from_millis(1_495);
    assert_eq!(shares(&run_without_jitter(&scenario))[0], 49);
    let kill = Fault::PodKill {
        cluster: ClusterId(0),
        workload: WorkloadId(0),
        count: 1,
    };
    scenario.timeline = vec![fault_at(1_250, kill, None)];
    let half_way = run_without_jitter(&scenario).traffic[0].succeeded;
    assert!((20..=26).contains(&half_way), "{half_way}");
    let half = Mirror {
        share: Percent::new(50.0).unwrap(),
        ..all
    };
    let [_, copies] = shares(&run_without_jitter(&versions(objects(vec![half]), 1_000)));
    assert!((437..=563).contains(&copies), "{copies}");
}

#[test]
fn a_pod_that_fails_is_left_out_and_comes_back() {
    let outlier = |percent| PortPolicy {
        outlier_detection: Some(OutlierDetection {
            consecutive_5xx: Some(5),
            interval: Some(Duration::from_secs(1)),
            ejection_base: Some(Duration::from_secs(3)),
            ejection_percent_max: percent,
            ..OutlierDetection::default()
        }),
        load_balancer: Some(LoadBalancer {
            policy: Some(BalancePolicy::RoundRobin),
            ..LoadBalancer::default()
        }),
        ..PortPolicy::default()
    };
    let run = |percent| {
        let mut scenario = versions(vec![rule(outlier(percent))], 1_000);
        scenario.clusters[0].workloads[2]
            .template
            .behavior
            .error_rate = 1.0;
        run_without_jitter(&scenario)
    };
    // Half of two may be left out: after 5 failures in a row, until the first sweep 3 s later,
    // then after 5 more for 6 s. Of the second time, within a second of the return, threads hear
    // a second late: half of 100 requests fail meanwhile.
    let record = run(Some(50));
    let failures = failed(&record, Reason::ServerError);
    assert!((56..=64).contains(&failures), "{failures}");
    // Ten percent of two are none.
    let record = run(None);
    assert_eq!(failed(&record, Reason::ServerError), 500);
}

#[test]
fn a_full_pool_turns_requests_away() {
    let pool = small_pool();
    let mut scenario = versions(vec![rule(pool)], 1);
    scenario.clusters[0].services[1].backends = vec![WorkloadId(2)];
    // All at once, from one thread: while the connection is being opened two wait for it, and
    // the others are turned away.
    let threads = &mut scenario.clusters[0].workloads[0].template;
    threads.sidecar.as_mut().unwrap().threads = 1;
    scenario.traffic[0].arrivals = at_milliseconds(&[1_000; 5]);
    let record = run_without_jitter(&scenario);
    assert_eq!(record.traffic[0].succeeded, 2);
    assert_eq!(failed(&record, Reason::Overflow), 3);
}

#[test]
fn a_hash_keeps_a_client_with_its_pod() {
    let hash = PortPolicy {
        load_balancer: Some(LoadBalancer {
            policy: Some(BalancePolicy::ConsistentHash {
                key: HashKey::Header("x-user".into()),
                algorithm: HashAlgorithm::Ring { size_min: 1024 },
            }),
            ..LoadBalancer::default()
        }),
        ..PortPolicy::default()
    };
    let run = |value: &str| {
        let mut scenario = versions(vec![rule(hash.clone())], 300);
        let headers = &mut scenario.traffic[0].attributes.headers;
        headers.push(("x-user".into(), value.into()));
        shares(&run_without_jitter(&scenario))
    };
    let with_one = (0..8).map(|user| run(&format!("user-{user}")));
    let with_one: Vec<[u64; 2]> = with_one.collect();
    assert!(with_one.iter().all(|shares| shares.contains(&300)));
    assert!(with_one.iter().any(|shares| shares[0] == 300));
    assert!(with_one.iter().any(|shares| shares[1] == 300));
}

#[test]
fn what_nobody_knows_is_passed_on_or_blocked() {
    let run = |name: &str, mode| {
        let mut scenario = versions(Vec::new(), 10);
        scenario.traffic[0].attributes.host = "example.com".into();
        scenario.clusters[0].services[1].ports[0].name = Some(name.into());
        let istio = scenario.clusters[0].istio.as_mut().unwrap();
        istio.mesh.outbound = mode;
        run_without_jitter(&scenario)
    };
    let passed = run("http", OutboundMode::AllowAny);
    assert_eq!(passed.traffic[0].succeeded, 10);
    let blocked = run("http", OutboundMode::RegistryOnly);
    assert_eq!(failed(&blocked, Reason::Blocked), 10);
    // Where the first bytes decide, a service has routes of its own, for whatever name.
    let own = run("web", OutboundMode::RegistryOnly);
    assert_eq!(own.traffic[0].succeeded, 10);
}

pub(super) fn peer_authentication(mode: ServerMode) -> Object {
    Object::from(PeerAuthentication {
        identity: identity("strict"),
        selector: Labels::new(),
        mode: Some(mode),
        ports: Default::default(),
    })
}

#[test]
fn a_strict_sidecar_closes_what_comes_in_plaintext() {
    let run = |mode, client_has_sidecar: bool, rule: Option<ClientMode>| {
        let policy = PortPolicy {
            tls: rule.map(|mode| ClientTls {
                mode,
                sni: None,
                subject_names: Vec::new(),
                skips_verification: false,
            }),
            ..PortPolicy::default()
        };
        let objects = vec![peer_authentication(mode), self::rule(policy)];
        let mut scenario = versions(objects, 10);
        if !client_has_sidecar {
            scenario.clusters[0].workloads[0].template.sidecar = None;
        }
        run_without_jitter(&scenario)
    };
    for (mode, with, without) in [
        (ServerMode::Permissive, 10, 10),
        (ServerMode::Strict, 10, 0),
        (ServerMode::Disable, 10, 10),
    ] {
        assert_eq!(run(mode, true, None).traffic[0].succeeded, with, "{mode:?}");
        let plain = run(mode, false, None);
        assert_eq!(plain.traffic[0].succeeded, without, "{mode:?}");
        assert_eq!(failed(&plain, Reason::Reset), 10 - without, "{mode:?}");
    }
    // A rule that says otherwise than the server: an application sees 503 either way.
    for (mode, rule) in [
        (ServerMode::Strict, ClientMode::Disable),
        (ServerMode::Disable, ClientMode::IstioMutual),
    ] {
        let record = run(mode, true, Some(rule));
        assert_eq!(failed(&record, Reason::Unavailable), 10, "{mode:?}");
    }
}

#[test]
fn policies_know_clients_by_their_certificates() {
    use crate::istio::authorization::{Action, Operation, Rule, Source, Values};
    let any = |value: &str| Values {
        any: vec![value.to_owned()],
        none: Vec::new(),
    };
    let allow = |principal: &str, path: &str| {
        Object::from(AuthorizationPolicy {
            identity: identity("allow"),
            target: PolicyTarget::Everybody,
            action: Action::Allow,
            provider: None,
            is_dry_run: false,
            rules: vec![Rule {
                from: vec![Source {
                    principals: any(principal),
                    ..Source::default()
                }],
                to: vec![Operation {
                    paths: any(path),
                    ..Operation::default()
                }],
                when: Vec::new(),
            }],
        })
    };
    let run = |policy: Object, has_sidecar: bool| {
        let mut scenario = versions(vec![policy], 10);
        let client = &mut scenario.clusters[0].workloads[0].template;
        client.service_account = "buyer".into();
        if !has_sidecar {
            client.sidecar = None;
        }
        run_without_jitter(&scenario)
    };
    let buyer = "cluster.local/ns/default/sa/buyer";
    let cases = [
        (buyer, "/", true, 10),
        (buyer, "/admin", true, 0),
        ("cluster.local/ns/default/sa/seller", "/", true, 0),
        // Without its sidecar it shows nothing.
        (buyer, "/", false, 0),
    ];
    for (principal, path, has_sidecar, succeeded) in cases {
        let record = run(allow(principal, path), has_sidecar);
        let case = format!("{principal} {path} {has_sidecar}");
        assert_eq!(record.traffic[0].succeeded, succeeded, "{case}");
        assert_eq!(failed(&record, Reason::Forbidden), 10 - succeeded, "{case}");
    }
}

#[test]
fn pods_that_want_a_sidecar_are_refused_while_no_istiod_answers() {
    let run = |web_has_sidecar: bool| {
        let mut scenario = versions(Vec::new(), 3_000);
        let cluster = &mut scenario.clusters[0];
        // The one pod of the only version dies while istiod is down for 10 s.
        cluster.services[1].backends = vec![WorkloadId(1)];
        if !web_has_sidecar {
            cluster.workloads[1].template.sidecar = None;
        }
        let down = Fault::ComponentDown {
            cluster: ClusterId(0),
            component: Component::Istiod,
        };
        let kill = Fault::PodKill {
            cluster: ClusterId(0),
            workload: WorkloadId(1),
            count: 1,
        };
        scenario.timeline = vec![
            fault_at(2_000, down, Some(10_000)),
            fault_at(3_000, kill, None),
        ];
        let record = run_without_jitter(&scenario);
        let (first, last) = record.traffic[0].failing[0];
        (first, last.saturating_since(first))
    };
    // Without a sidecar of its own the pod is replaced after a start-up of some seconds, but of
    // the new address the caller's sidecar hears when istiod is back and it has found that: its
    // pauses have grown to at most 16 s by then.
    let (first, outage) = run(false);
    assert!(first >= Time::ZERO + Duration::from_millis(2_900));
    assert!((9.0..25.1).contains(&outage.as_secs_f64()), "{outage:?}");
    // With one it is not even created: the controller tries 5 ms x (2^n - 1) after the first time,
    // so 10.2 s after it, and the pod takes its start-up and up to a second until it is found ready.
    let (_, outage) = run(true);
    assert!((13.0..14.3).contains(&outage.as_secs_f64()), "{outage:?}");
}

#[test]
fn without_istiod_certificates_run_out_within_a_day() {
    let hours = |hours: u64| Duration::from_secs(3_600 * hours);
    // Every request on a connection of its own, from one of 40 clients.
    let pool = single_requests();
    let mut scenario = versions(vec![rule(pool)], 1);
    scenario.clusters[0].workloads[0].replicas = 40;
    scenario.traffic[0].arrivals = Arrivals::Constant(RateProfile::Constant(0.1));
    scenario.run.duration = hours(28);
    scenario.run.series_step = hours(1);
    let down = Fault::ComponentDown {
        cluster: ClusterId(0),
        component: Component::Istiod,
    };
    // From the first hour to the 27th.
    scenario.timeline = vec![fault_at(3_600_000, down, Some(26 * 3_600_000))];
    let record = run_without_jitter(&scenario);
    let share = |hour: usize| {
        let step = &record.traffic[0].steps[hour];
        step.failed as f64 / step.sent as f64
    };
    // Nobody before half a day, everybody after a whole one, and some seconds after istiod is
    // back nobody. Between, a connection needs both ends.
    assert!((0..13).all(|hour| share(hour) == 0.0));
    let middle: Vec<f64> = (14..24).map(share).collect();
    assert!(
        middle.windows(2).all(|pair| pair[0] <= pair[1] + 0.05),
        "{middle:?}"
    );
    for hour in [16, 19, 22] {
        // Half an hour into the hour; clients alone lose so many, and their servers more.
        let outage = hours(hour as u64 - 1) + Duration::from_secs(1_800);
        let exact = certificate::expired_share(outage);
        assert!(share(hour) > exact - 0.2, "{hour}: {} {exact}", share(hour));
    }
    assert!((share(25) - 1.0).abs() < 1e-9 && (share(26) - 1.0).abs() < 1e-9);
    assert!(share(27) < 0.02, "{}", share(27));
}

#[test]
fn what_annotations_keep_from_a_sidecar_passes_it_by() {
    let run = |client: Capture, web: Capture| {
        let mut scenario = versions(Vec::new(), 20);
        for (workload, capture) in
            scenario.clusters[0]
                .workloads
                .iter_mut()
                .zip([client, web.clone(), web])
        {
            let sidecar = workload.template.sidecar.as_mut().unwrap();
            sidecar.settings.capture = capture;
        }
        let record = run_without_jitter(&scenario);
        assert_eq!(record.traffic[0].succeeded, 20);
        let passed = record.sidecars.iter().map(|sidecar| sidecar.finished);
        let passed: Vec<u64> = passed.collect();
        (passed[0], passed[1] + passed[2])
    };
    let all = Capture::default;
    let not_out = Capture {
        outbound_ports_excluded: vec![80],
        ..all()
    };
    let not_in = Capture {
        inbound_ports_excluded: vec![80],
        ..all()
    };
    assert_eq!(run(all(), all()), (20, 20));
    assert_eq!(run(not_out, all()), (0, 20));
    // A sidecar that was told to encrypt finds nobody to agree with: as with a real one, such a
    // port needs a rule that says so.
    let mut scenario = versions(Vec::new(), 20);
    for workload in &mut scenario.clusters[0].workloads[1..] {
        let sidecar = workload.template.sidecar.as_mut().unwrap();
        sidecar.settings.capture = not_in.clone();
    }
    let record = run_without_jitter(&scenario);
    assert_eq!(failed(&record, Reason::Unavailable), 20);
}

#[test]
fn a_pod_that_dies_takes_the_connections_of_sidecars_with_it() {
    let mut scenario = versions(Vec::new(), 300);
    let cluster = &mut scenario.clusters[0];
    cluster.workloads[0]
        .template
        .sidecar
        .as_mut()
        .unwrap()
        .threads = 8;
    let down = Fault::ComponentDown {
        cluster: ClusterId(0),
        component: Component::Istiod,
    };
    let kill = Fault::PodKill {
        cluster: ClusterId(0),
        workload: WorkloadId(2),
        count: 1,
    };
    // Nobody tells the caller, but none of its eight connections is there any more: new ones are
    // refused, and other pods are tried.
    scenario.timeline = vec![fault_at(1_500, down, None), fault_at(2_000, kill, None)];
    let record = run_without_jitter(&scenario);
    // What was under way is lost.
    let lost = record.traffic[0].failures.iter().sum::<u64>();
    assert!(lost <= 5, "{:?}", record.traffic[0].failures);
}
