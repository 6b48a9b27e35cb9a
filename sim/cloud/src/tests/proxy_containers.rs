//! How the container of a proxy starts and ends beside that of its application.

use super::mesh::{failed, versions};
use super::network::run_without_jitter;
use super::nodes::at_end;
use super::operations::apply;
use super::*;
use crate::domain::{Domain, Phase};
use crate::facts;
use crate::istio::drain::NativeSidecars;
use crate::record::Reason;
use crate::scenario::{OnStop, PodChoice};

const CLUSTER: ClusterId = ClusterId(0);
const CLIENT: WorkloadId = WorkloadId(0);
const WEB: WorkloadId = WorkloadId(1);

/// The ways of putting a proxy beside an application.
#[derive(Clone, Copy)]
enum Way {
    Beside,
    Holding,
    Native,
}

fn put(scenario: &mut Scenario, way: Way) {
    let cluster = &mut scenario.clusters[0];
    let mesh = cluster.mesh.as_mut().unwrap();
    mesh.native_sidecars = match way {
        Way::Native => NativeSidecars::Enabled,
        Way::Beside | Way::Holding => NativeSidecars::Disabled,
    };
    for workload in &mut cluster.workloads {
        let sidecar = workload.template.sidecar.as_mut().unwrap();
        sidecar.settings.proxy.holds_application = Some(matches!(way, Way::Holding));
    }
}

fn delete_at(second: u64, workload: WorkloadId) -> TimelineEntry {
    apply(second, Change::DeletePods(workload, PodChoice::Drawn(1)))
}

/// Whether the first pod of a workload serves and its proxy runs, at an instant in seconds.
fn runs(scenario: &Scenario, workload: WorkloadId, at: f64) -> (bool, bool) {
    let mut scenario = scenario.clone();
    scenario.run.duration = Duration::from_secs_f64(at);
    at_end(&scenario, 0, |domain: &Domain<'_>| {
        let mut pods = domain.pods.iter();
        let pod = pods.find(|pod| pod.workload == workload).unwrap();
        let proxy = pod.sidecar.as_ref().unwrap();
        (pod.phase == Phase::Running, proxy.runs)
    })
}

#[test]
fn what_an_application_sends_before_its_proxy_runs_is_refused_unless_it_waits() {
    let refused = |way: Way| {
        let mut scenario = versions(Vec::new(), 1_000);
        put(&mut scenario, way);
        let kill = Fault::PodKill {
            cluster: CLUSTER,
            workload: CLIENT,
            count: 1,
        };
        scenario.timeline = vec![fault_at(2_000, kill, None)];
        let record = run_without_jitter(&scenario);
        assert!(record.traffic[0].succeeded > 500);
        failed(&record, Reason::Refused)
    };
    // A request every 10 ms, from the application's start until its proxy has been made, has
    // started, and has heard from istiod and had its certificate.
    let least = facts::CONTAINER_START.value + facts::SIDECAR_START_UP.value;
    let least = least.as_nanos() / 10_000_000;
    let count = refused(Way::Beside);
    assert!((least..least + 60).contains(&count), "{count} of {least}");
    assert_eq!(refused(Way::Holding), 0);
    assert_eq!(refused(Way::Native), 0);
}

#[test]
fn a_proxy_beside_an_application_drains_for_so_long_whatever_that_does() {
    let holds = |(way, patience, pre_stop): (Way, Patience, u64), ends: (f64, f64)| {
        let mut scenario = versions(Vec::new(), 1);
        put(&mut scenario, way);
        let web = &mut scenario.clusters[0].workloads[1].template;
        web.sidecar.as_mut().unwrap().patience = patience;
        web.termination.pre_stop = Duration::from_secs(pre_stop);
        web.termination.grace = Duration::from_secs(30);
        scenario.timeline = vec![delete_at(3, WEB)];
        // A kubelet hears of the end some milliseconds later.
        let at = |seconds: f64| runs(&scenario, WEB, 3.0 + seconds);
        let (application, proxy) = ends;
        assert!(
            at(application - 0.05).0 && !at(application + 0.3).0,
            "{ends:?}"
        );
        assert!(at(proxy - 0.05).1 && !at(proxy + 0.3).1, "{ends:?}");
    };
    let usual = Patience::default();
    // 5 s after the signal, which for the application comes after its hook.
    holds((Way::Beside, usual, 10), (10.0, 5.0));
    holds((Way::Holding, usual, 10), (10.0, 5.0));
    holds((Way::Beside, usual, 0), (0.0, 5.0));
    let longer = Patience::For(Duration::from_secs(20));
    holds((Way::Beside, longer, 10), (10.0, 20.0));
    // Never longer than the grace period.
    let longest = Patience::For(Duration::from_secs(100));
    holds((Way::Beside, longest, 10), (10.0, 30.0));
    // Nothing passes: the first look, a second after the least wait, finds that.
    let idle = Patience::UntilIdle(facts::SIDECAR_DRAIN_MIN.value);
    holds((Way::Beside, idle, 10), (10.0, 6.0));
    // A native one outlasts its application, and no longer.
    holds((Way::Native, usual, 10), (10.0, 10.0));
    holds((Way::Native, longer, 0), (0.0, 0.0));
}

#[test]
fn a_request_outlives_a_proxy_that_waits_for_it_or_ends_last() {
    let run = |way: Way, patience: Patience| {
        let mut scenario = versions(Vec::new(), 1);
        put(&mut scenario, way);
        scenario.traffic[0].arrivals = at_milliseconds(&[2_900]);
        scenario.run.duration = Duration::from_secs(40);
        for workload in &mut scenario.clusters[0].workloads {
            workload.template.termination.pre_stop = Duration::from_secs(25);
            workload.template.sidecar.as_mut().unwrap().patience = patience;
        }
        for web in [1, 2] {
            let web = &mut scenario.clusters[0].workloads[web].template;
            web.behavior.service_time = milliseconds(10_000);
        }
        scenario.timeline = vec![delete_at(3, CLIENT)];
        let record = run_without_jitter(&scenario);
        let traffic = &record.traffic[0];
        (traffic.succeeded, failed(&record, Reason::Reset))
    };
    let usual = Patience::default();
    assert_eq!(run(Way::Beside, usual), (0, 1));
    assert_eq!(run(Way::Native, usual), (1, 0));
    let until_idle = Patience::UntilIdle(facts::SIDECAR_DRAIN_MIN.value);
    assert_eq!(run(Way::Beside, until_idle), (1, 0));
    let long = Patience::For(Duration::from_secs(20));
    assert_eq!(run(Way::Beside, long), (1, 0));
}

#[test]
fn the_last_answer_of_an_application_passes_its_native_proxy() {
    let mut scenario = versions(Vec::new(), 1);
    put(&mut scenario, Way::Native);
    scenario.traffic[0].arrivals = at_milliseconds(&[2_900]);
    scenario.run.duration = Duration::from_secs(10);
    for web in [1, 2] {
        let web = &mut scenario.clusters[0].workloads[web].template;
        web.behavior.service_time = milliseconds(1_000);
        web.termination.on_stop = OnStop::Drain;
    }
    scenario.timeline = vec![delete_at(3, WEB), delete_at(3, WorkloadId(2))];
    // The application ends with its answer, which is on its way through the proxy then.
    assert_eq!(run_without_jitter(&scenario).traffic[0].succeeded, 1);
}

#[test]
fn a_proxy_that_drains_asks_its_clients_to_go() {
    // A client without a proxy keeps one connection, in some replications to the pod that is
    // deleted at 3 s and serves on for 20 s.
    let mut scenario = versions(Vec::new(), 1_000);
    put(&mut scenario, Way::Native);
    scenario.clusters[0].workloads[0].template.sidecar = None;
    let arrivals: Vec<u64> = (10..110).map(|tenths| 100 * tenths).collect();
    scenario.traffic[0].arrivals = at_milliseconds(&arrivals);
    scenario.traffic[0].protocol = Protocol::Http1 {
        idle_timeout: Duration::from_secs(60),
    };
    let web = &mut scenario.clusters[0].workloads[1].template;
    web.termination.pre_stop = Duration::from_secs(20);
    scenario.timeline = vec![delete_at(3, WEB)];
    let topology = compile(&scenario);
    let mut seen = 0;
    for replication in 0..8 {
        let seed = Seed {
            master: 1,
            replication,
        };
        let record = simulate(&topology, seed, &Options::default());
        assert_eq!(record.traffic[0].succeeded, 100);
        // Twenty requests come before that; more go there while rules still lead there, which is
        // for two seconds or three.
        let finished = record.workloads[1].finished;
        assert!(finished < 60, "{finished}");
        seen += u32::from(finished >= 20);
    }
    assert!(seen > 0);
}

#[test]
fn a_proxy_that_has_drained_takes_no_new_connections() {
    let listens = |way: Way, drain: Option<Duration>, seconds: u64| {
        let mut scenario = versions(Vec::new(), 1);
        put(&mut scenario, way);
        let web = &mut scenario.clusters[0].workloads[1].template;
        web.termination.pre_stop = Duration::from_secs(100);
        web.termination.grace = Duration::from_secs(100);
        let sidecar = web.sidecar.as_mut().unwrap();
        sidecar.patience = Patience::For(Duration::from_secs(90));
        sidecar.settings.proxy.drain = drain;
        scenario.timeline = vec![delete_at(3, WEB)];
        scenario.run.duration = Duration::from_secs(3 + seconds);
        at_end(&scenario, 0, |domain: &Domain<'_>| {
            let mut pods = domain.pods.iter();
            let pod = pods.find(|pod| pod.workload == WEB).unwrap();
            pod.listens(Time::ZERO + Duration::from_secs(3 + seconds))
        })
    };
    assert!(listens(Way::Beside, None, 44) && !listens(Way::Beside, None, 46));
    let short = Some(Duration::from_millis(7_900));
    assert!(listens(Way::Beside, short, 6) && !listens(Way::Beside, short, 8));
    // A native one goes on as long as its application.
    assert!(listens(Way::Native, None, 46));
}

#[test]
fn a_gateway_drains_before_it_goes() {
    let mut scenario = super::gateways::entered(0, Vec::new(), 1);
    let gateway = scenario.clusters[0].workloads.iter().position(|workload| {
        let sidecar = workload.template.sidecar.as_ref();
        sidecar.is_some_and(|sidecar| sidecar.role == Role::Gateway)
    });
    let gateway = WorkloadId::from(gateway.unwrap());
    scenario.timeline = vec![delete_at(3, gateway)];
    assert!(runs(&scenario, gateway, 2.9).1);
    assert!(runs(&scenario, gateway, 7.9).1);
    assert!(!runs(&scenario, gateway, 8.3).1);
}
