//! Whom a sidecar lets in to its application.
//!
//! Models: what the sidecar was told of its own pod: connections without mutual TLS are closed
//! at ports that demand it, as soon as a request comes on them; requests are refused with 403 by
//! AuthorizationPolicies, which know the client by its certificate and the request by its host,
//! path, method and headers. Connections that a pod's annotations keep from its sidecar pass it
//! by, in either direction.
//!
//! Approximated: a connection from outside of the cluster comes to the first port of its
//! service, and what is asked on it is that of its traffic source. Leaves out: tokens, so rules
//! about them never match; providers, who refuse nobody.
//! Sources: [`crate::istio::authentication`], [`crate::istio::authorization`].
//! Validated by: who gets in and who does not, in the crate's tests.

use super::attributes::{Asked, Attributes};
use super::edge::Takes;
use super::service::RequestArrival;
use super::{Endpoint, Listener, Owner};
use crate::control::translation::pod_address;
use crate::domain::Domain;
use crate::istio::authentication::{self, Outcome, Sent, Server, ServerMode};
use crate::istio::authorization::{self, Answer};
use crate::istio::config::InterceptionMode;
use crate::istio::protocol::Protocol;
use crate::istio::translate::inbound::{InboundTable, Named};
use crate::scenario::{ServiceId, WorkloadId};
use crate::slab::Key;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Requests that meet the same answer at the same port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Admitted {
    generation: u32,
    /// Workload and revision of the pod.
    pod: (WorkloadId, u32),
    service: ServiceId,
    port: u32,
    /// The workload that asks, if it shows who it is.
    client: Option<WorkloadId>,
    asked: Asked,
}

/// Who may enter, as far as it was asked.
pub(crate) type Admissions = BTreeMap<Admitted, bool>;

impl Domain<'_> {
    /// What the sidecar of a pod was told to take in.
    fn inbound_table(&mut self, pod: u32) -> Arc<InboundTable> {
        let state = &self.pods[pod as usize];
        let sidecar = state.sidecar.as_ref().expect("a sidecar that takes in");
        let key = (sidecar.generation, state.workload, state.revision);
        if let Some((known, table)) = &sidecar.taken_in
            && *known == key
        {
            return table.clone();
        }
        let translation = self.translation.as_ref().expect("a mesh translates");
        let table = translation.known_inbound(&key);
        let table = table.unwrap_or_else(|| {
            let named = self.named_ports(pod);
            let proxy = self.standing(pod).proxy();
            let translation = self.translation.as_mut().expect("a mesh translates");
            translation.inbound(key, &proxy, &named)
        });
        let sidecar = self.pods[pod as usize].sidecar.as_mut();
        sidecar.expect("a sidecar that takes in").taken_in = Some((key, table.clone()));
        table
    }

    /// Ports of a pod that services name.
    pub(crate) fn named_ports(&self, pod: u32) -> Vec<Named> {
        let cluster = self.cluster.expect("pods stand in clusters");
        let services = (0..).zip(&self.topology.cluster(cluster).services);
        let workload = self.pods[pod as usize].workload;
        let mut behind = self.workloads[workload.index()].services.clone();
        if self.has_registry() {
            behind.extend(self.services_of_entries(pod));
        }
        let services = services.filter(|(number, _)| behind.contains(&ServiceId(*number)));
        let named = services.flat_map(|(service, described)| {
            let ports = (0..).zip(&described.ports);
            ports.map(move |(port, described)| Named {
                service,
                port,
                target: described.target_port,
            })
        });
        named.collect()
    }

    /// The port of the pod that an endpoint stands for.
    pub(super) fn target_port(&self, endpoint: Endpoint) -> u16 {
        let cluster = self.cluster.expect("endpoints stand in clusters");
        let described = &self.topology.cluster(cluster).services[endpoint.service.index()];
        let port = described.ports.get(endpoint.port as usize);
        port.map_or(0, |port| port.target_port)
    }

    /// Whether a connection that an application opens to a service goes through its sidecar.
    pub(super) fn captures_outbound(&self, pod: u32, service: ServiceId, port: u32) -> bool {
        let Some(sidecar) = &self.template(pod).sidecar else {
            return false;
        };
        let translation = self.translation.as_ref().expect("a mesh translates");
        let described = translation.service(service.0);
        let address = described.addresses.first().copied();
        let port = described.ports.get(port as usize);
        let settings = &sidecar.settings;
        settings.interception != Some(InterceptionMode::None)
            && settings.capture.takes_outbound(
                address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                port.map_or(0, |port| port.number),
            )
    }

    /// Whether a connection to a pod goes through its sidecar.
    pub(super) fn captures_inbound(&self, endpoint: Endpoint) -> bool {
        let Some(sidecar) = &self.template(endpoint.pod).sidecar else {
            return false;
        };
        let settings = &sidecar.settings;
        settings.interception != Some(InterceptionMode::None)
            && settings.capture.takes_inbound(self.target_port(endpoint))
    }

    /// What becomes of a connection on which this is sent.
    pub(super) fn meeting(&mut self, sent: Sent, endpoint: Endpoint) -> Outcome {
        let server = match (endpoint.listener, self.carrier(endpoint.pod)) {
            (Listener::Inbound(_), _) => Server::Sidecar(self.mode(endpoint)),
            (Listener::Edge(_, takes), _) => return takes.meets(Some(sent)),
            // A ztunnel takes what a sidecar does.
            (_, Some(node)) => Server::Sidecar(self.mode_at(node, endpoint)),
            (Listener::Application | Listener::Outbound(_), None) => Server::Application,
        };
        authentication::meet(sent, server)
    }

    fn mode(&mut self, endpoint: Endpoint) -> ServerMode {
        let port = self.target_port(endpoint);
        self.inbound_table(endpoint.pod).mode(port)
    }

    /// Whether a sidecar closes a connection over what comes on it.
    pub(super) fn closes_on(&mut self, endpoint: Endpoint) -> bool {
        match endpoint.listener {
            Listener::Edge(_, takes) => !endpoint.secured && takes != Takes::Anything,
            _ => !endpoint.secured && self.mode(endpoint) == ServerMode::Strict,
        }
    }

    /// Whether a sidecar lets a request in.
    pub(super) fn admits(&mut self, request: &RequestArrival) -> bool {
        let endpoint = request.endpoint;
        let table = self.inbound_table(endpoint.pod);
        if table.guard.is_empty() {
            return true;
        }
        let call = self.call_behind(request);
        let client = call.map(|call| self.calls[call].client);
        let shown = match endpoint.listener {
            Listener::Edge(_, takes) => takes == Takes::Mesh,
            _ => endpoint.secured,
        };
        let client = client.filter(|_| shown);
        let client = client.map(|pod| self.pods[pod as usize].workload);
        let asked = self.asked_by(request);
        let pod = &self.pods[endpoint.pod as usize];
        let sidecar = pod.sidecar.as_ref().expect("a sidecar that takes in");
        let key = Admitted {
            generation: sidecar.generation,
            pod: (pod.workload, pod.revision),
            service: endpoint.service,
            port: endpoint.port,
            client,
            asked,
        };
        if let Some(known) = self.admissions.get(&key) {
            return *known;
        }
        let admitted = self.decide(&table, endpoint, client, asked);
        self.admissions.insert(key, admitted);
        admitted
    }

    fn decide(
        &self,
        table: &InboundTable,
        endpoint: Endpoint,
        client: Option<WorkloadId>,
        asked: Asked,
    ) -> bool {
        let port = self.target_port(endpoint);
        let protocol = table.find(port).map_or(Protocol::Tcp, |it| it.protocol);
        let attributes = self.ways.attributed.get(asked);
        let is_http = protocol.is_http() || protocol == Protocol::Sniffed;
        let principal = client.map(|client| self.principal(client));
        let address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let asked = authorization::Asked {
            principal: principal.as_deref(),
            source: address,
            remote: address,
            destination: IpAddr::V4(pod_address(endpoint.pod)),
            port,
            server_name: None,
            http: attributes.filter(|_| is_http).map(Attributes::http),
        };
        let verdict = table.guard.decide(&asked, |_| Answer::Allow);
        verdict.lets_through()
    }

    /// What the certificates of a workload say.
    pub(super) fn principal(&self, workload: WorkloadId) -> String {
        let cluster = self.cluster.expect("workloads stand in clusters");
        let described = &self.topology.cluster(cluster).workloads[workload.index()];
        let translation = self.translation.as_ref().expect("a mesh translates");
        format!(
            "{}/ns/{}/sa/{}",
            translation.trust_domain(),
            described.namespace,
            described.template.service_account,
        )
    }

    /// The call of a request, if its caller is of this partition and still there.
    fn call_behind(&self, request: &RequestArrival) -> Option<Key> {
        let call = (request.from.partition == self.id).then_some(request.from.call);
        call.filter(|&call| self.calls.get(call).is_some())
    }

    /// What a request asks.
    pub(super) fn asked_by(&mut self, request: &RequestArrival) -> Asked {
        let service = request.endpoint.service;
        let call = self.call_behind(request);
        let Some(call) = call.map(|call| &self.calls[call]) else {
            return self.unpassed(None, service, (request.traffic, request.origin));
        };
        match (call.owner, call.origin) {
            (Owner::Passage(_), Some(origin)) => origin.asked,
            _ => {
                let (plan, of) = (call.plan, (call.traffic, call.origin));
                self.unpassed(Some(plan), service, of)
            }
        }
    }
}
