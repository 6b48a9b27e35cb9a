//! What a service port needs on a node, whichever mode writes it down.

use super::{Demand, Endpoint, Hint, Input, Node, Seen, Selection, Service, ServicePort, select};

/// How a service port stands on a node: enough to decide about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// There is a usable endpoint anywhere.
    pub any: bool,
    /// Clients of the cluster address stay on the node.
    pub internal_local: bool,
    /// Clients from outside stay on the node.
    pub external_local: bool,
    /// Clients of the cluster address have an endpoint.
    pub has_internal: bool,
    /// Clients from outside have an endpoint.
    pub has_external: bool,
}

impl Standing {
    /// From what there is, anywhere and on the node itself, and what the policies are.
    pub fn new(any: bool, here: bool, internal_local: bool, external_local: bool) -> Standing {
        Standing {
            any,
            internal_local,
            external_local,
            has_internal: any && (here || !internal_local),
            has_external: any && (here || !external_local),
        }
    }
}

/// What a service port needs on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Endpoints that count.
    pub selection: Selection,
    /// Clients from outside may come.
    pub external: bool,
    /// How it stands.
    pub standing: Standing,
    /// Some traffic may go to any node.
    pub uses_cluster: bool,
    /// Some traffic must stay on the node.
    pub uses_local: bool,
}

/// Decides what a service port needs on a node.
pub fn plan(input: &Input, service: &Service, port: &ServicePort) -> Plan {
    let external = port.node_port.is_some()
        || !service.load_balancer_ips.is_empty()
        || !service.external_ips.is_empty();
    let external_local = service.external_local && external;
    let demand = Demand {
        cluster: !service.internal_local || external,
        local: service.internal_local || external_local,
        kubernetes_minor: input.kubernetes_minor,
    };
    let seen: Vec<Seen> = port
        .endpoints
        .iter()
        .map(|endpoint| seen(endpoint, &input.node))
        .collect();
    let selection = select(&seen, demand);
    let here = !selection.local.is_empty();
    Plan {
        external,
        standing: Standing::new(selection.any, here, service.internal_local, external_local),
        uses_cluster: demand.cluster && !selection.cluster.is_empty(),
        uses_local: demand.local && !selection.local.is_empty(),
        selection,
    }
}

fn seen(endpoint: &Endpoint, node: &Node) -> Seen {
    let hint = |names: &[String], ours: Option<&String>| match names {
        [] => Hint::Absent,
        _ if ours.is_some_and(|ours| names.contains(ours)) => Hint::Ours,
        _ => Hint::Others,
    };
    Seen {
        ready: endpoint.ready,
        serving: endpoint.serving,
        terminating: endpoint.terminating,
        local: endpoint.node.as_ref() == Some(&node.name),
        zone: hint(&endpoint.zone_hints, node.zone.as_ref()),
        node: hint(&endpoint.node_hints, Some(&node.name)),
    }
}
