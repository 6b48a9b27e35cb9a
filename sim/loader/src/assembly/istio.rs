//! Istio in a cluster: what it holds at the start, and what each `apply` changes of it.

use crate::kubernetes::Objects;
use cloud::istio::config::{Configuration, Istio, Namespace, Object};
use cloud::istio::version::Version;
use cloud::scenario::Change;

/// Istio at the first stage; none if no stage says anything to it.
pub(super) fn of_start(stages: &[Objects]) -> Option<Istio> {
    if stages.iter().all(|objects| objects.istio.is_empty()) {
        return None;
    }
    let said = &stages[0].istio;
    let base = Istio::default();
    let namespaces = stages[0].namespaces.iter();
    Some(Istio {
        version: said.minor.map_or(base.version, Version::new),
        mesh: said.mesh.clone().unwrap_or(base.mesh),
        networks: said.networks.clone(),
        proxy_resources: said.proxy_resources.unwrap_or(base.proxy_resources),
        namespaces: namespaces
            .map(|metadata| Namespace {
                name: metadata.name.clone(),
                labels: metadata.labels.clone(),
            })
            .collect(),
        objects: configuration(&stages[0]),
    })
}

fn configuration(stage: &Objects) -> Configuration {
    let mut configuration = Configuration::default();
    for written in &stage.istio.written {
        configuration.apply(written.object.clone());
    }
    configuration
}

/// The objects that one stage has and the stage before it has not, or has with other contents.
pub(super) fn changes(before: &Objects, after: &Objects) -> Option<Change> {
    let held = |object: &Object| before.istio.written.iter().any(|it| it.object == *object);
    let objects = after.istio.written.iter().map(|written| &written.object);
    let changed: Vec<Object> = objects.filter(|object| !held(object)).cloned().collect();
    (!changed.is_empty()).then_some(Change::Istio(changed))
}
