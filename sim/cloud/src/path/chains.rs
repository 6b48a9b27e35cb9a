//! Connections that outlive the configuration that let them in.
//!
//! Models: a connection keeps the filter chain that took it. Once a proxy is told another one for
//! that port, requests on connections of the former are still let in by it, and answered with the
//! wish to close them, which closes those of HTTP; after `drainDuration` all of them are gone.
//! Connections at ports whose chain stays the same are left alone.
//!
//! Approximated: a proxy notices with its next connection or request that its chains were
//! replaced, and counts from when it was told; what comes on a connection that waited longer than
//! it drains is taken as if on a new one, without the handshake; limits of rates of a former chain
//! count on with those of the present one. When the time to drain is over, Envoy cuts off what is
//! still under way, and connections without HTTP: here requests go on, and such connections are
//! guarded anew.
//! Leaves out: chains of what applications send, which policies do not touch; waypoints.
//! Sources: envoyproxy/envoy source/common/listener_manager/listener_manager_impl.cc
//! (in-place filter chain updates); istio/istio pkg/envoy/proxy.go, which asks for
//! `--drain-strategy immediate`; an Envoy 1.40.0 whose listener was changed under open connections:
//! 200 with `connection: close` where a new connection got 403 or was reset, idle connections
//! closed when the time to drain was over, with what was under way on them, those of an equal chain
//! untouched.
//! Validated by: who is let in on old and new connections, in the crate's tests.

use super::sidecar::SidecarState;
use super::{Endpoint, Listener};
use crate::control::taken_in::{TableNumber, Taker};
use crate::domain::Domain;
use crate::istio::translate::inbound::InboundTable;
use engine::{Duration, Time};
use std::sync::Arc;

/// What a proxy took in before, and until when connections of that time drain.
#[derive(Clone, Debug, Default)]
pub(super) struct FormerChains(Vec<(TableNumber, Time)>);

impl FormerChains {
    /// The number of the present chains.
    fn present(&self) -> u32 {
        self.0.len() as u32
    }
}

impl SidecarState {
    /// What it takes in from now on; connections that it took before have so long to drain.
    pub(super) fn take_in(&mut self, told: (TableNumber, Arc<InboundTable>), drain: Duration) {
        let Some((former, before)) = self.taken_in.replace(told.clone()) else {
            return;
        };
        let are_chains = former.is_of_sidecar() && told.0.is_of_sidecar();
        if are_chains && before != told.1 {
            let drained = self.configured + drain;
            self.former_chains.0.push((former, drained));
        }
    }
}

/// How a connection stands to the chain that took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChainState {
    /// It counts.
    Present,
    /// It has been replaced, and lets in what comes on its connections for a while.
    Draining(TableNumber),
    /// It has been replaced, and has drained.
    Drained,
}

/// Whether a connection is taken by chains that may be replaced under it.
fn has_chains(endpoint: Endpoint) -> bool {
    matches!(endpoint.listener, Listener::Inbound(_) | Listener::Edge(..))
}

impl Domain<'_> {
    /// The number of the chains that take a connection now; 0 where nothing replaces them.
    pub(super) fn present_chains(&mut self, endpoint: Endpoint) -> u32 {
        if !has_chains(endpoint) {
            return 0;
        }
        self.inbound_table(Taker::Sidecar, endpoint.pod);
        let sidecar = self.pods[endpoint.pod as usize].sidecar.as_ref();
        sidecar.map_or(0, |sidecar| sidecar.former_chains.present())
    }

    /// How a connection stands to the chain that took it.
    pub(super) fn chain_state(&mut self, endpoint: Endpoint, now: Time) -> ChainState {
        let sidecar = self.pods[endpoint.pod as usize].sidecar.as_ref();
        let former = sidecar.and_then(|it| it.former_chains.0.get(endpoint.chains as usize));
        let Some(&(number, drained)) = former.filter(|_| has_chains(endpoint)) else {
            return ChainState::Present;
        };
        let port = self.target_port(endpoint);
        let former = self.table(number, endpoint.pod);
        let (_, present) = self.inbound_table(Taker::Sidecar, endpoint.pod);
        match former.has_chain_of(&present, port) {
            true => ChainState::Present,
            false if now < drained => ChainState::Draining(number),
            false => ChainState::Drained,
        }
    }

    /// Whether the chain that took a connection still lets in what comes on it, and no other one.
    pub(super) fn drains_chain(&mut self, endpoint: Endpoint, now: Time) -> bool {
        matches!(self.chain_state(endpoint, now), ChainState::Draining(_))
    }

    /// Whether the answer to what came on a connection is its last, as the chain that took it is
    /// no longer there.
    pub(super) fn ends_with_chain(&mut self, endpoint: Endpoint, now: Time) -> bool {
        self.chain_state(endpoint, now) != ChainState::Present && self.reads_requests(endpoint)
    }

    /// Whether what comes on a connection is read as HTTP.
    fn reads_requests(&mut self, endpoint: Endpoint) -> bool {
        if let Listener::Edge(..) = endpoint.listener {
            return self.reads_at_edge_port(endpoint);
        }
        let port = self.target_port(endpoint);
        let (_, table) = self.inbound_table(Taker::Sidecar, endpoint.pod);
        table.reads_http(port)
    }
}
