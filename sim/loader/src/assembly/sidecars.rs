//! Which pods get a sidecar, and what it is like.

use super::workloads::{Role, WorkloadView};
use super::{MeshFrame, Notes, View};
use crate::kubernetes::Objects;
use crate::value::{Quantity, parse_quantity};
use cloud::facts;
use cloud::istio::config::ProxyResources;
use cloud::istio::webhook::{Admission, Answer, Labels, NewPod, Revision, admit};
use cloud::scenario::{ProxyCosts, Sidecar, WorkloadKind};
use std::collections::BTreeMap;

/// Gives each pod that the webhook would inject its sidecar.
pub(super) fn inject(view: &mut View, objects: &Objects, mesh: &MeshFrame, notes: &mut Notes) {
    let mut namespaces: BTreeMap<&str, Labels> = BTreeMap::new();
    for namespace in &objects.namespaces {
        namespaces.insert(&namespace.name, namespace.labels.clone());
    }
    for name in &mesh.injected_namespaces {
        let labels = namespaces.entry(name).or_default();
        labels.insert("istio-injection".to_owned(), "enabled".to_owned());
    }
    let revisions = [(Revision::default(), Answer::Given)];
    let unlabelled = Labels::new();
    for ((namespace, ..), workload) in &mut view.workloads {
        let serves = workload.role == Role::Server && workload.kind != WorkloadKind::External;
        let pod = NewPod {
            namespace,
            namespace_labels: namespaces.get(namespace.as_str()).unwrap_or(&unlabelled),
            labels: &workload.placement.labels,
            annotation: annotation(workload, "inject"),
            has_host_network: workload.has_host_network,
        };
        if serves && matches!(admit(pod, &revisions), Admission::Injected(_)) {
            add(workload, mesh, notes);
        }
    }
}

fn annotation<'w>(workload: &'w WorkloadView, name: &str) -> Option<&'w str> {
    let key = format!("sidecar.istio.io/{name}");
    workload.annotations.get(&key).map(String::as_str)
}

/// The sidecar, and what it requests of the node.
fn add(workload: &mut WorkloadView, mesh: &MeshFrame, notes: &mut Notes) {
    let amount = |name| annotation(workload, name).and_then(|text| parse_quantity(text).ok());
    let said = ProxyResources {
        cpu_request_milli: amount("proxyCPU").map(Quantity::milli),
        cpu_limit_milli: amount("proxyCPULimit").map(Quantity::milli),
        memory_request_bytes: amount("proxyMemory").map(Quantity::whole),
        memory_limit_bytes: amount("proxyMemoryLimit").map(Quantity::whole),
    };
    let resources = said.or(ProxyResources {
        cpu_request_milli: Some(notes.fact(&facts::MESH_PROXY_CPU_REQUEST)),
        cpu_limit_milli: Some(notes.fact(&facts::MESH_PROXY_CPU_LIMIT)),
        memory_request_bytes: Some(notes.fact(&facts::MESH_PROXY_MEMORY_REQUEST)),
        memory_limit_bytes: Some(notes.fact(&facts::MESH_PROXY_MEMORY_LIMIT)),
    });
    let threads = resources.cpu_limit_milli.map_or_else(
        || notes.fact(&facts::PROXY_THREADS),
        |limit| limit.div_ceil(1_000).clamp(1, u64::from(u8::MAX)) as u32,
    );
    let requests = &mut workload.placement.requests;
    requests.cpu_milli += resources.cpu_request_milli.unwrap_or(0);
    requests.memory_bytes += resources.memory_request_bytes.unwrap_or(0);
    for fact in [
        facts::PROXY_CPU_REQUEST_SHARE.id,
        facts::PROXY_CPU_VARIATION.id,
        facts::PROXY_CPU_PER_HANDSHAKE.id,
    ] {
        notes.facts.insert(fact);
    }
    workload.sidecar = Some(Sidecar {
        threads: threads as u8,
        costs: ProxyCosts::of(mesh.proxy_cost),
    });
}
