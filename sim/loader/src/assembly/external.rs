//! Machines behind a service without a selector: their addresses are written by hand in
//! EndpointSlices or Endpoints. Each address is a machine of its own.

use super::workloads::{WorkloadView, key};
use super::{View, WorkloadKey};
use crate::diagnostic::{Code, Diagnostics};
use crate::kubernetes::service::{Service, Slice};
use crate::value::IntegerOrText;
use cloud::scenario::{ServicePort, WorkloadKind};
use std::collections::BTreeSet;

/// Adds the machines of a service, and says where its ports lead.
pub(super) fn add(
    view: &mut View,
    service: &Service,
    slices: &[Slice],
    diagnostics: &mut Diagnostics,
) -> (Vec<ServicePort>, BTreeSet<WorkloadKey>) {
    let metadata = &service.metadata;
    let slices: Vec<_> = slices
        .iter()
        .filter(|slice| {
            slice.metadata.namespace == metadata.namespace && slice.service == metadata.name
        })
        .collect();
    let addresses: BTreeSet<_> = slices.iter().flat_map(|slice| &slice.addresses).collect();
    let ports = ports(service, &slices, diagnostics);
    if addresses.is_empty() {
        // The API server's own service, whose addresses the cluster writes itself.
        if metadata.name != "kubernetes" {
            let message = format!("`{}` has neither a selector nor addresses", metadata.name);
            diagnostics
                .report(Code::NoEndpoints, metadata.span, message)
                .help("add a selector, or an EndpointSlice with the label `kubernetes.io/service-name`");
        }
        return (ports, BTreeSet::new());
    }
    let key = key(&metadata.namespace, &metadata.name, WorkloadKind::External);
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    let mut machines = WorkloadView::bare(WorkloadKind::External, count, metadata.span);
    machines.placement.labels.clone_from(&metadata.labels);
    view.workloads.insert(key.clone(), machines);
    (ports, BTreeSet::from([key]))
}

/// The ports of the service; the slices say where they lead, by name.
fn ports(service: &Service, slices: &[&Slice], diagnostics: &mut Diagnostics) -> Vec<ServicePort> {
    let known: Vec<_> = slices.iter().flat_map(|slice| &slice.ports).collect();
    if service.ports.is_empty() {
        let mut ports: Vec<_> = known
            .iter()
            .map(|port| ServicePort {
                name: port.name.clone(),
                port: port.number,
                target_port: port.number,
                node_port: None,
                transport: port.transport,
            })
            .collect();
        ports.sort_by(|left, right| {
            let key = |port: &ServicePort| (port.port, port.name.clone(), port.transport);
            key(left).cmp(&key(right))
        });
        ports.dedup();
        return ports;
    }
    service
        .ports
        .iter()
        .map(|port| {
            let own = match port.target {
                IntegerOrText::Integer(number) => u16::try_from(number).unwrap_or(port.port),
                IntegerOrText::Text(_) => port.port,
            };
            let target = known
                .iter()
                .find(|known| known.name == port.name)
                .map(|known| known.number);
            if target.is_none() && !known.is_empty() {
                let name = port
                    .name
                    .as_deref()
                    .map_or("without a name".to_owned(), |name| {
                        format!("named `{name}`")
                    });
                let message = format!(
                    "no EndpointSlice of `{}` has a port {name}",
                    service.metadata.name
                );
                diagnostics.report(Code::PortNotFound, port.span, message);
            }
            ServicePort {
                name: port.name.clone(),
                port: port.port,
                target_port: target.unwrap_or(own),
                node_port: port.node_port,
                transport: port.transport,
            }
        })
        .collect()
}
