//! Which port of a pod a port of a service leads to.

use super::{WorkloadKey, WorkloadView};
use crate::diagnostic::{Code, Diagnostics, Severity};
use crate::kubernetes::service;
use crate::shape::nearest;
use crate::value::IntegerOrText;
use cloud::scenario::ServicePort;
use std::collections::BTreeSet;

/// The ports of a service whose pods are those of `backends`.
pub(super) fn resolve(
    service: &service::Service,
    backends: &[(&WorkloadKey, &WorkloadView)],
    diagnostics: &mut Diagnostics,
) -> Vec<ServicePort> {
    service
        .ports
        .iter()
        .map(|port| ServicePort {
            name: port.name.clone(),
            port: port.port,
            target_port: match &port.target {
                IntegerOrText::Integer(number) => by_number(*number, port, backends, diagnostics),
                IntegerOrText::Text(name) => by_name(name, port, backends, diagnostics),
            },
            node_port: port.node_port,
            transport: port.transport,
        })
        .collect()
}

fn by_number(
    number: i64,
    port: &service::ServicePort,
    backends: &[(&WorkloadKey, &WorkloadView)],
    diagnostics: &mut Diagnostics,
) -> u16 {
    let Ok(number) = u16::try_from(number) else {
        let message = format!("the target port {number} is no port number");
        diagnostics.report(Code::OutOfRange, port.span, message);
        return port.port;
    };
    // Who declares nothing at all tells nothing by not declaring this one.
    let declared: BTreeSet<_> = backends
        .iter()
        .flat_map(|(_, view)| view.ports.iter().map(|port| port.number))
        .collect();
    if !declared.is_empty() && !declared.contains(&number) {
        let listed: Vec<_> = declared.iter().map(u16::to_string).collect();
        diagnostics
            .report(
                Code::PortNotDeclared,
                port.span,
                format!("no container declares port {number}"),
            )
            .help(format!("declared are {}", listed.join(", ")));
    }
    number
}

/// The number that the pods give to a name. Pods may differ in it; the first one's counts.
fn by_name(
    name: &str,
    port: &service::ServicePort,
    backends: &[(&WorkloadKey, &WorkloadView)],
    diagnostics: &mut Diagnostics,
) -> u16 {
    let number = |view: &WorkloadView| {
        view.ports
            .iter()
            .find(|port| port.name.as_deref() == Some(name))
            .map(|port| port.number)
    };
    let found: BTreeSet<u16> = backends
        .iter()
        .filter_map(|(_, view)| number(view))
        .collect();
    let without = backends.iter().find(|(_, view)| number(view).is_none());
    let Some(&first) = found.first() else {
        if !backends.is_empty() {
            let known = backends
                .iter()
                .flat_map(|(_, view)| &view.ports)
                .filter_map(|port| port.name.as_deref());
            let message = format!("no container declares a port named `{name}`");
            let problem = diagnostics.report(Code::PortNotFound, port.span, message);
            match nearest(name, known) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help("give the container port this name, or use its number"),
            };
        }
        return port.port;
    };
    if let Some(((_, workload, _), _)) = without {
        let message = format!(
            "`{workload}` declares no port named `{name}`: its pods get no requests, but are counted on here"
        );
        diagnostics
            .report(Code::PortNotFound, port.span, message)
            .severity(Severity::Warning);
    }
    if found.len() > 1 {
        let message = format!("pods give `{name}` different numbers; {first} stands for all");
        diagnostics.report(Code::UnsupportedValue, port.span, message);
    }
    first
}
