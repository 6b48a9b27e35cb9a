//! Which pods get a sidecar, and what it is like.

use super::workloads::{Role, WorkloadView, key};
use super::{Frame, MeshFrame, Notes, View, istio};
use crate::diagnostic::{Code, Diagnostics};
use crate::istio::annotations::PodNotes;
use crate::kubernetes::Objects;
use crate::value::parse_duration;
use cloud::facts;
use cloud::istio::config::{MeshConfig, Object, PodSettings, ProxySettings};
use cloud::istio::webhook::{Admission, Answer, Labels, NewPod, Revision, admit};
use cloud::scenario::{self, Patience, ProxyCosts, Sidecar, WorkloadKind};
use engine::Duration;
use std::collections::BTreeMap;

/// Gives each pod that the webhook would inject its sidecar.
pub(super) fn inject(
    view: &mut View,
    objects: &Objects,
    mesh: &MeshFrame,
    notes: &mut Notes,
    diagnostics: &mut Diagnostics,
) {
    let mut namespaces: BTreeMap<&str, Labels> = BTreeMap::new();
    for namespace in &objects.namespaces {
        namespaces.insert(&namespace.name, namespace.labels.clone());
    }
    for name in &mesh.injected_namespaces {
        let labels = namespaces.entry(name).or_default();
        labels.insert("istio-injection".to_owned(), "enabled".to_owned());
    }
    let revisions = revisions(objects, diagnostics);
    let unlabelled = Labels::new();
    let silent = PodNotes::default();
    for (key, workload) in &mut view.workloads {
        if workload.sidecar.is_some() {
            continue; // The installation brings it.
        }
        let namespace = &key.0;
        let said = objects.istio.pods.get(key).unwrap_or(&silent);
        let serves = workload.role == Role::Server && workload.kind != WorkloadKind::External;
        let pod = NewPod {
            namespace,
            namespace_labels: namespaces.get(namespace.as_str()).unwrap_or(&unlabelled),
            labels: &workload.placement.labels,
            annotation: said.settings.inject.as_deref(),
            has_host_network: workload.has_host_network,
        };
        if serves && matches!(admit(pod, &revisions), Admission::Injected(_)) {
            for (span, message) in &said.refused {
                diagnostics
                    .report(Code::IstioRefuses, *span, message)
                    .help("the injection webhook refuses pods with this annotation");
            }
            let settings = settings(&said.settings, (namespace, workload), objects);
            if said.is_gateway {
                let costs = costs(mesh, notes);
                stand_alone(workload, (scenario::Role::Gateway, costs), settings, notes);
            } else {
                add(workload, settings, (mesh, objects), notes);
            }
        }
    }
}

/// Gives machines that join the mesh their proxy, which takes every connection.
pub(super) fn give_machines(
    view: &mut View,
    objects: &Objects,
    (frame, mesh): (&Frame, &MeshFrame),
    notes: &mut Notes,
) {
    let silent = PodSettings::default();
    for machines in frame.machines.iter().filter(|it| it.proxy.is_some()) {
        let key = key(&machines.namespace, &machines.name, WorkloadKind::External);
        if let Some(workload) = view.workloads.get_mut(&key) {
            let settings = settings(&silent, (&machines.namespace, workload), objects);
            add(workload, settings, (mesh, objects), notes);
        }
    }
}

/// The revisions that are there; tells namespaces that ask for another one.
fn revisions(objects: &Objects, diagnostics: &mut Diagnostics) -> Vec<(Revision, Answer)> {
    let named = objects.istio.revisions.iter();
    let named = named.map(|name| Revision {
        name: name.clone(),
        ..Revision::default()
    });
    let all: Vec<Revision> = [Revision::default()].into_iter().chain(named).collect();
    for namespace in &objects.namespaces {
        let asked = namespace.labels.get("istio.io/rev");
        let Some(asked) = asked.filter(|asked| *asked != "default") else {
            continue;
        };
        if !all.iter().any(|revision| revision.name == *asked) {
            let message = format!(
                "no istiod has the revision `{asked}`, so pods of `{}` get no sidecar",
                namespace.name
            );
            diagnostics
                .report(Code::IstioWarns, namespace.span, message)
                .help("add the IstioOperator with this `revision`, or label it `istio-injection: enabled`");
        }
    }
    all.into_iter().map(|it| (it, Answer::Given)).collect()
}

/// What holds for a pod: its annotations over ProxyConfigs and the mesh's settings.
pub(super) fn settings(
    said: &PodSettings,
    (namespace, workload): (&str, &WorkloadView),
    objects: &Objects,
) -> PodSettings {
    let written = objects.istio.written.iter();
    let configs = written.filter_map(|written| match &written.object {
        Object::ProxyConfig(config) => Some((**config).clone()),
        _ => None,
    });
    let configs: Vec<_> = configs.collect();
    let usual = MeshConfig::default();
    let mesh = objects.istio.mesh.as_ref().unwrap_or(&usual);
    let pod = (namespace, &workload.placement.labels);
    let wide = (mesh.root_namespace.as_str(), &mesh.proxy);
    PodSettings {
        proxy: ProxySettings::effective(&said.proxy, pod, &configs, wide),
        ..said.clone()
    }
}

/// The pods of a workload are gateways or waypoints: their only container is the proxy, and what
/// it requests is theirs.
pub(super) fn stand_alone(
    workload: &mut WorkloadView,
    (role, costs): (scenario::Role, ProxyCosts),
    settings: PodSettings,
    notes: &mut Notes,
) {
    let limit = workload.cpu_limit_milli;
    let threads = threads(&settings, limit, notes);
    workload.role = Role::Gateway;
    workload.sidecar = Some(Sidecar {
        role,
        threads,
        costs,
        patience: patience(&settings.proxy, notes),
        settings,
        listens: Vec::new(),
    });
}

/// How many threads a proxy has.
fn threads(settings: &PodSettings, cpu_limit_milli: Option<u64>, notes: &mut Notes) -> u8 {
    // How many CPUs its node has is not known here; as many threads as usual stand for them.
    let unlimited = match (settings.proxy.concurrency, cpu_limit_milli) {
        (None, Some(_)) => 1,
        _ => notes.fact(&facts::PROXY_THREADS),
    };
    let threads = settings.proxy.threads(cpu_limit_milli, unlimited);
    threads.clamp(1, u32::from(u8::MAX)) as u8
}

/// How long a proxy drains when it is told to stop.
fn patience(settings: &ProxySettings, notes: &mut Notes) -> Patience {
    notes.facts.insert(facts::SIDECAR_START_UP.id);
    let said = |name: &str| settings.environment.get(name).map(String::as_str);
    // What Go takes for true.
    let is_true = |text: &str| ["1", "t", "T", "true", "TRUE", "True"].contains(&text);
    if said("EXIT_ON_ZERO_ACTIVE_CONNECTIONS").is_some_and(is_true) {
        let least = said("MINIMUM_DRAIN_DURATION").and_then(|text| parse_duration(text).ok());
        return Patience::UntilIdle(least.unwrap_or_else(|| notes.fact(&facts::SIDECAR_DRAIN_MIN)));
    }
    let drain = settings.termination_drain;
    Patience::For(drain.unwrap_or_else(|| notes.fact(&facts::SIDECAR_DRAIN)))
}

/// What the work of a proxy costs.
pub(super) fn costs(mesh: &MeshFrame, notes: &mut Notes) -> ProxyCosts {
    costs_of(mesh.proxy_cost, notes)
}

/// The same where a request and its answer take so long.
pub(super) fn costs_of(per_request: Duration, notes: &mut Notes) -> ProxyCosts {
    for fact in [
        facts::PROXY_CPU_REQUEST_SHARE.id,
        facts::PROXY_CPU_VARIATION.id,
        facts::PROXY_CPU_PER_HANDSHAKE.id,
        facts::PROXY_CPU_PER_RESUMPTION.id,
    ] {
        notes.facts.insert(fact);
    }
    ProxyCosts::of(per_request)
}

/// The sidecar, and what it requests of the node.
fn add(
    workload: &mut WorkloadView,
    mut settings: PodSettings,
    (mesh, objects): (&MeshFrame, &Objects),
    notes: &mut Notes,
) {
    for fact in [
        facts::MESH_PROXY_CPU_REQUEST.id,
        facts::MESH_PROXY_CPU_LIMIT.id,
        facts::MESH_PROXY_MEMORY_REQUEST.id,
        facts::MESH_PROXY_MEMORY_LIMIT.id,
    ] {
        notes.facts.insert(fact);
    }
    let resources = settings
        .resources
        .or(istio::proxy_resources(&objects.istio));
    settings.resources = resources;
    let threads = threads(&settings, resources.cpu_limit_milli, notes);
    let requests = &mut workload.placement.requests;
    requests.cpu_milli += resources.cpu_request_milli.unwrap_or(0);
    requests.memory_bytes += resources.memory_request_bytes.unwrap_or(0);
    workload.sidecar = Some(Sidecar {
        role: scenario::Role::Sidecar,
        threads,
        costs: costs(mesh, notes),
        patience: patience(&settings.proxy, notes),
        settings,
        listens: workload.ports.iter().map(|port| port.number).collect(),
    });
}
