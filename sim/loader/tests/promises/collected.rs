//! What a cluster with a mesh holds by its manifests.

use cloud::istio::config::{Gateway, Object, VirtualService};
use cloud::istio::version::Version;
use hybridsim_loader::diagnostic::Diagnostics;
use hybridsim_loader::kubernetes::Objects;
use hybridsim_loader::{Diagnostic, File, Ledger, document};

/// What it holds with Istio of this release, and what is told of it.
pub fn read(version: Version, text: &str) -> (Objects, Vec<Diagnostic>) {
    let files = [File {
        name: "test.yaml".to_owned(),
        text: text.to_owned(),
    }];
    let (mut ledger, mut diagnostics) = (Ledger::default(), Diagnostics::default());
    let documents = document::read(&files, &mut ledger, &mut diagnostics);
    let objects = Objects::collect_in(Some(version), &documents, &mut diagnostics);
    (objects, diagnostics.finish(&files))
}

/// Gateways of Istio, those that istiod makes among them.
pub fn gateways(objects: &Objects) -> Vec<&Gateway> {
    let written = objects.istio.written.iter();
    let gateways = written.filter_map(|written| match &written.object {
        Object::Gateway(gateway) => Some(&**gateway),
        _ => None,
    });
    gateways.collect()
}

/// VirtualServices likewise.
pub fn routes(objects: &Objects) -> Vec<&VirtualService> {
    let written = objects.istio.written.iter();
    let routes = written.filter_map(|written| match &written.object {
        Object::VirtualService(service) => Some(&**service),
        _ => None,
    });
    routes.collect()
}
