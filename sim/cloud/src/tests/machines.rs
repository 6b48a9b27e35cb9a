//! Machines of sites: how far they are, how a mesh knows them, and what becomes of them.

use super::mesh::identity;
use super::network::{pair, run_without_jitter};
use super::nodes::published;
use super::sidecars::sidecar;
use super::*;
use crate::Options;
use crate::domain::Domain;
use crate::facts;
use crate::istio::authentication::ServerMode;
use crate::istio::config::{
    Endpoint, EntryPort, ExportTo, Istio, Labels, Location, MachineCheck, MachineProbe, Object,
    OutboundMode, PeerAuthentication, Resolution, ServiceEntry, WorkloadEntry, WorkloadGroup,
};
use crate::istio::distribution::Word;
use crate::istio::locality::Distribution;
use crate::istio::protocol::Protocol as Carried;
use crate::kubernetes::probe::Probe;
use crate::record::{Reason, Record};
use crate::scenario::{
    Action, Component, LinkOverride, MachineProxy, Machines, Place, Site, SiteId,
};

const HOST: &str = "vm.corp";

fn labels() -> Labels {
    Labels::from([("app".to_owned(), "vm".to_owned())])
}

/// The pod asks this service by this name.
fn ask(scenario: &mut Scenario, service: u32, host: &str) {
    scenario.traffic[0].attributes.host = host.into();
    scenario.traffic[0].target = TrafficTarget::Service {
        cluster: ClusterId(0),
        service: ServiceId(service),
        port: 0,
    };
}

/// One pod that calls machines by their host, 8 ms there and back, at these milliseconds.
fn calling(count: u32, arrivals: &[u64], seconds: u64) -> Scenario {
    let mut scenario = pair();
    scenario.traffic[0].arrivals = at_milliseconds(arrivals);
    ask(&mut scenario, 2, HOST);
    scenario.run.duration = Duration::from_secs(seconds);
    scenario.links = vec![LinkOverride {
        from: Place::Site("datacentre".into()),
        to: Place::Cluster(ClusterId(0)),
        rtt: Some(Duration::from_millis(8)),
        jitter: None,
        bandwidth_bits: Some(u64::MAX),
        loss: None,
    }];
    let cluster = &mut scenario.clusters[0];
    let mut vm = workload("vm", count, 16, milliseconds(10));
    vm.kind = WorkloadKind::External;
    vm.template.placement.labels = labels();
    cluster.workloads.push(vm);
    let host = service(HOST, 2);
    cluster.services.push(Service {
        kind: ServiceKind::Host { is_known: true },
        ..host
    });
    cluster.sites = vec![Site {
        name: "datacentre".into(),
        region: "elsewhere".into(),
    }];
    cluster.machines = vec![Machines {
        workload: WorkloadId(2),
        site: SiteId(0),
        address: "10.20.0.11".parse().unwrap(),
        proxy: None,
        listens: Vec::new(),
    }];
    scenario
}

/// The same in a mesh, with these objects; the machines have a proxy if they are `joined`.
fn meshed(mut scenario: Scenario, joined: Option<bool>, objects: Vec<Object>) -> Scenario {
    let cluster = &mut scenario.clusters[0];
    cluster.mesh = Some(Mesh::new(30));
    cluster.workloads[0].template.sidecar = sidecar();
    cluster.workloads[2].template.sidecar = sidecar().filter(|_| joined.is_some());
    cluster.machines[0].proxy = joined.map(|runs_at_start| MachineProxy {
        group: Some(("default".into(), "vm".into())),
        runs_at_start,
    });
    let mut istio = Istio::default();
    objects
        .into_iter()
        .for_each(|object| istio.objects.apply(object));
    cluster.istio = Some(istio);
    scenario
}

fn service_entry(endpoints: Vec<Endpoint>, selector: Option<Labels>) -> Object {
    Object::from(ServiceEntry {
        identity: identity("vm"),
        labels: Labels::new(),
        hosts: vec![HOST.into()],
        addresses: Vec::new(),
        ports: vec![EntryPort {
            number: 80,
            name: "http".into(),
            protocol: Carried::Http,
            target: 80,
        }],
        location: Location::Internal,
        resolution: Resolution::Static,
        endpoints,
        selector,
        subject_names: Vec::new(),
        export_to: ExportTo::Default,
        distribution: None,
    })
}

fn endpoint(number: u32, account: Option<&str>) -> Endpoint {
    Endpoint {
        address: format!("10.20.0.{}", 11 + number),
        labels: labels(),
        service_account: account.map(str::to_owned),
        ..Endpoint::default()
    }
}

fn workload_entry(number: u32, account: Option<&str>) -> Object {
    Object::from(WorkloadEntry {
        identity: identity(&format!("vm-{number}")),
        endpoint: endpoint(number, account),
    })
}

fn group(probe_seconds: Option<u64>) -> Object {
    let probe = |seconds| MachineProbe {
        check: MachineCheck::Tcp { port: 80 },
        probe: Probe {
            period: Duration::from_secs(seconds),
            ..crate::istio::machine::default_probe()
        },
    };
    Object::from(WorkloadGroup {
        identity: identity("vm"),
        labels: labels(),
        template: Endpoint {
            service_account: Some("vm".into()),
            ..Endpoint::default()
        },
        probe: probe_seconds.map(probe),
    })
}

fn look<T>(scenario: &Scenario, look: impl FnOnce(&Domain<'_>) -> T) -> T {
    let topology = compile(scenario);
    let simulation = crate::simulate::replicate(&topology, Seed::default(), &Options::default());
    look(simulation.partitions().next().expect("there is a cluster"))
}

fn down(number: u32) -> Fault {
    Fault::MachineDown {
        cluster: ClusterId(0),
        workload: WorkloadId(2),
        number,
        packets: Packets::Dropped,
    }
}

fn cut() -> Fault {
    Fault::Link {
        from: Place::Site("datacentre".into()),
        to: Place::Cluster(ClusterId(0)),
        change: LinkChange::Cut,
    }
}

fn failed(record: &Record, reason: Reason) -> u64 {
    record.traffic[0].failures[reason as usize]
}

#[test]
fn a_machine_is_as_far_as_its_site() {
    let record = run_without_jitter(&calling(1, &[1_000], 5));
    // Lookup 2.6 ms, handshake, request and response 8 ms each, service 10 ms.
    assert_eq!(record.traffic[0].latency_sum_ns, 28_600_000);
}

#[test]
fn what_a_cut_swallows_is_sent_again() {
    let mut scenario = calling(1, &[1_000], 10);
    // The SYN is lost at 1002.6 ms and 2002.6 ms, and the third gets through.
    scenario.timeline = vec![fault_at(1_000, cut(), Some(1_500))];
    let record = run_without_jitter(&scenario);
    assert_eq!(record.traffic[0].latency_sum_ns, 2_028_600_000);
    // A request that is out when the link is cut is answered late: its answer is sent again.
    scenario.timeline = vec![fault_at(1_015, cut(), Some(300))];
    let record = run_without_jitter(&scenario);
    assert_eq!(record.traffic[0].succeeded, 1);
    let late = record.traffic[0].latency_sum_ns;
    assert!((300_000_000..800_000_000).contains(&late), "{late}");
}

#[test]
fn a_machine_without_power_swallows_what_is_sent() {
    let mut scenario = calling(1, &[1_000, 9_000], 15);
    scenario.traffic[0].timeout = Some(Duration::from_secs(3));
    scenario.timeline = vec![fault_at(500, down(0), Some(5_000))];
    let record = run_without_jitter(&scenario);
    assert_eq!(failed(&record, Reason::Timeout), 1);
    assert_eq!(record.traffic[0].succeeded, 1);
}

#[test]
fn annotations_of_entries_say_which_endpoints_are_preferred() {
    let told = |minor: u32| {
        let Object::ServiceEntry(mut entry) = service_entry(vec![endpoint(0, None)], None) else {
            panic!("a ServiceEntry");
        };
        entry.distribution = Some(Word::SameZone);
        let mut scenario = meshed(calling(1, &[1_000], 2), None, vec![Object::from(*entry)]);
        scenario.clusters[0].mesh = Some(Mesh::new(minor));
        look(&scenario, |domain| {
            let translation = domain.translation.as_ref().expect("a mesh");
            let host = translation.service_in(translation.newest(), 2);
            let by_ztunnels = translation.preferred_by_ztunnels(ServiceId(2));
            (host.distribution, by_ztunnels)
        })
    };
    // Releases before 1.27 know the word `PreferClose` alone.
    assert_eq!(told(26), (Distribution::Any, Distribution::Any));
    let same_zone = Distribution::PreferSameZone;
    assert_eq!(told(27), (same_zone, same_zone));
}

#[test]
fn a_host_is_passed_on_or_blocked_unless_an_entry_names_it() {
    let listed = || vec![service_entry(vec![endpoint(0, None)], None)];
    let run = |objects, mode| {
        let mut scenario = meshed(calling(1, &[1_000], 5), None, objects);
        let istio = scenario.clusters[0].istio.as_mut().unwrap();
        istio.mesh.outbound = mode;
        run_without_jitter(&scenario)
    };
    let passed = run(Vec::new(), OutboundMode::AllowAny);
    assert_eq!(passed.traffic[0].succeeded, 1);
    let blocked = run(Vec::new(), OutboundMode::RegistryOnly);
    assert_eq!(blocked.traffic[0].succeeded, 0);
    let known = run(listed(), OutboundMode::RegistryOnly);
    assert_eq!(known.traffic[0].succeeded, 1);
}

#[test]
fn mutual_tls_goes_by_what_the_entry_says() {
    let run = |account, joined: bool, mode: Option<ServerMode>| {
        let mut objects = vec![
            service_entry(Vec::new(), Some(labels())),
            workload_entry(0, account),
        ];
        objects.extend(mode.map(|mode| {
            Object::from(PeerAuthentication {
                identity: identity("default"),
                selector: Labels::new(),
                mode: Some(mode),
                ports: Default::default(),
            })
        }));
        let scenario = meshed(calling(1, &[1_000], 5), joined.then_some(true), objects);
        run_without_jitter(&scenario).traffic[0].succeeded == 1
    };
    assert!(run(None, false, None), "plaintext to a plain machine");
    assert!(!run(Some("vm"), false, None), "TLS to a plain machine");
    assert!(run(Some("vm"), true, None), "TLS to a proxy");
    assert!(
        run(None, true, None),
        "plaintext to a proxy that takes both"
    );
    let strict = Some(ServerMode::Strict);
    assert!(!run(None, true, strict), "plaintext to a strict proxy");
    assert!(run(None, false, strict), "a plain machine knows no policy");
}

#[test]
fn a_service_selects_machines_for_sidecars_alone() {
    let arrivals: Vec<u64> = (0..200).map(|at| 1_000 + 20 * at).collect();
    let shares = |has_sidecar: bool| {
        let objects = vec![workload_entry(0, None)];
        let mut scenario = meshed(calling(1, &arrivals, 10), None, objects);
        ask(&mut scenario, 1, super::mesh::SHOP);
        let cluster = &mut scenario.clusters[0];
        cluster.workloads[0].template.sidecar = sidecar().filter(|_| has_sidecar);
        let said = crate::istio::config::ServiceSettings {
            selector: labels(),
            ..Default::default()
        };
        let istio = cluster.istio.as_mut().unwrap();
        istio
            .services
            .insert(("default".into(), "web".into()), said);
        let record = run_without_jitter(&scenario);
        [1, 2].map(|workload: usize| record.workloads[workload].finished)
    };
    assert_eq!(shares(false), [200, 0], "kube-proxy knows no WorkloadEntry");
    let [pods, machines] = shares(true);
    // Four standard deviations of a binomial of 200 with 1/2 are 28.
    assert!((72..=128).contains(&machines), "{pods} {machines}");
}

#[test]
fn a_machine_registers_and_is_forgotten_after_a_grace() {
    let objects = || vec![service_entry(Vec::new(), Some(labels())), group(None)];
    let mut scenario = meshed(calling(2, &[], 200), Some(true), objects());
    scenario.timeline = vec![fault_at(10_000, down(0), Some(100_000))];
    let write = facts::API_WRITE_DELAY.value.as_secs_f64();
    // istiod misses keep-alives for 40 s, and waits 10 s; the machine connects again by a round
    // trip of 8 ms after its power is back.
    let expected = [60.0 + write, 110.008 + write];
    let found = look(&scenario, published);
    assert_eq!(found.len(), 2, "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
    // A cut that is shorter than the patience of keep-alives ends no stream.
    scenario.timeline = vec![fault_at(10_000, cut(), Some(39_000))];
    assert_eq!(look(&scenario, published), [0.0; 0]);
}

#[test]
fn without_istiod_nobody_is_removed_before_the_sweep() {
    let objects = vec![service_entry(Vec::new(), Some(labels())), group(Some(5))];
    let mut scenario = meshed(calling(2, &[], 3_000), Some(true), objects);
    let istiod = Fault::ComponentDown {
        cluster: ClusterId(0),
        component: Component::Istiod,
    };
    scenario.timeline = vec![
        fault_at(5_000, istiod, Some(100_000)),
        fault_at(10_000, down(0), None),
    ];
    let found = look(&scenario, published);
    // The entry of a machine that died meanwhile is swept once it is 45 minutes old: the sweeps
    // come every 100 s.
    assert_eq!(found.len(), 1, "{found:?}");
    assert!((2_800.0..2_801.0).contains(&found[0]), "{found:?}");
}

#[test]
fn a_machine_whose_application_stands_is_out_of_service() {
    let objects = vec![service_entry(Vec::new(), Some(labels())), group(Some(5))];
    let mut scenario = meshed(calling(1, &[], 60), Some(true), objects);
    let hang = Fault::Hang {
        cluster: ClusterId(0),
        workload: WorkloadId(2),
        count: 1,
    };
    scenario.timeline = vec![fault_at(10_000, hang, Some(20_000))];
    let found = look(&scenario, published);
    // A check within 5 s, which is kept waiting for 1 s; the next one after the end succeeds.
    assert_eq!(found.len(), 2, "{found:?}");
    assert!((11.0..16.1).contains(&found[0]), "{found:?}");
    assert!((30.0..35.1).contains(&found[1]), "{found:?}");
    let entries = look(&scenario, |domain| {
        domain.endpoint_log.newest(ServiceId(2)).entries.len()
    });
    assert_eq!(entries, 1);
}

#[test]
fn a_machine_that_joins_is_an_endpoint_and_speaks_mutual_tls() {
    let objects = vec![service_entry(Vec::new(), Some(labels())), group(None)];
    let mut scenario = meshed(calling(1, &[1_000, 8_000], 12), Some(false), objects);
    scenario.timeline = vec![TimelineEntry {
        at: Time::ZERO + Duration::from_secs(5),
        label: "join".into(),
        action: Action::Apply {
            cluster: ClusterId(0),
            changes: vec![Change::Join(WorkloadId(2))],
        },
    }];
    let record = run_without_jitter(&scenario);
    // Before it joins, the ServiceEntry has nobody.
    assert_eq!(record.traffic[0].failures.iter().sum::<u64>(), 1);
    assert_eq!(record.traffic[0].succeeded, 1);
    let finished: u64 = record.sidecars.iter().map(|it| it.finished).sum();
    assert_eq!(finished, 3, "the second request passes both");
}
