//! Opening a connection: from a name to an address to a handshake.
//!
//! Models: a lookup of the name where the client does not know it, the choice of a pod by the
//! rules of the client's node or by the entry of another cluster, and one round trip; the first
//! SYN pays for the rules that it passes. Lost SYNs are sent again on Linux's schedule, until the
//! caller or the kernel gives up.
//!
//! Approximated: names of another cluster's services cost no lookup, nor do any at machines of
//! sites. Leaves out: TLS.
//! Sources: Linux's TCP; [`crate::facts`].
//! Validated by: latencies computed by hand in the crate's tests.

use super::call::Stage;
use super::choice::Choice;
use super::flow::Peer;
use super::link::{Goal, Packet, Spot};
use super::{CallRef, Endpoint, Target};
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::record::Reason;
use crate::rules::Door;
use crate::scenario::{ClusterId, ServiceId, ServiceKind};
use crate::slab::Key;
use engine::Duration;

/// The wait after a SYN that was sent `sent` times before; `None` if it was the last.
fn syn_wait(sent: u32) -> Option<Duration> {
    let linear = facts::TCP_SYN_LINEAR_TIMEOUTS.value;
    if sent > facts::TCP_SYN_RETRIES.value + linear {
        return None;
    }
    let doublings = sent.saturating_sub(linear);
    Some(facts::TCP_SYN_TIMEOUT.value * (1 << doublings))
}

impl Domain<'_> {
    /// From a name to an address.
    pub(super) fn resolve(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let call = &self.calls[key];
        let client = call.client;
        match self.plans[call.plan as usize].target {
            Target::Service(cluster, service) if Some(cluster) == self.cluster => {
                if self.pods[client as usize].site.is_some() {
                    return self.resolve_on_site(key, service, context);
                }
                let known_until = self.lookups.get(&(client, service));
                if known_until.is_some_and(|&until| until > context.now()) {
                    return self.connect(key, context);
                }
                self.look_up(key, service, context);
            }
            Target::Service(_, service) => {
                let port = self.plans[call.plan as usize].port;
                self.dial(key, Goal::Entry(service, port), context);
            }
            Target::Global(name) => self.resolve_globally(key, name, context),
            Target::Backend(_) => unreachable!("backends are addresses"),
        }
    }

    /// A machine of a site asks its own name servers, which answer at once and know what is known
    /// outside of clusters: names of hosts, and addresses of load balancers and nodes. Where a
    /// sidecar answers, it knows all that the mesh knows.
    fn resolve_on_site(&mut self, key: Key, service: ServiceId, context: &mut Clock<'_, Self>) {
        let call = &self.calls[key];
        let (client, port) = (call.client, self.plans[call.plan as usize].port);
        let has_sidecar = self.pods[client as usize].has_sidecar();
        if has_sidecar && self.captures_outbound(client, service, port) {
            return self.connect(key, context);
        }
        let cluster = self.cluster.expect("machines belong to clusters");
        let described = &self.topology.cluster(cluster).services[service.index()];
        match described.kind {
            ServiceKind::LoadBalancer | ServiceKind::NodePort => {
                let port = self.plans[self.calls[key].plan as usize].port;
                self.dial(key, Goal::Entry(service, port), context);
            }
            ServiceKind::Host { is_known: true } => self.connect(key, context),
            _ => self.connection_failed(key, Reason::NameUnresolved, context),
        }
    }

    /// A pod knows a service's address.
    pub(super) fn name_found(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let call = &self.calls[key];
        if let Target::Service(_, service) = self.plans[call.plan as usize].target {
            let ttl = self.name_service.ttl;
            if !ttl.is_zero() {
                let until = context.now() + ttl;
                self.lookups.insert((call.client, service), until);
            }
        }
        self.connect(key, context);
    }

    /// From the address of a service of this cluster to a pod, by the rules of the client's
    /// node, and on to the handshake.
    pub(super) fn connect(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let call = &self.calls[key];
        let (client, identity, plan) = (call.client, call.work(), call.plan);
        let Target::Service(cluster, service) = self.plans[call.plan as usize].target else {
            return;
        };
        if let Some(socket) = self.socket(key) {
            return self.address_found(key, socket, (cluster, service), context);
        }
        if !call.owner.is_sidecar()
            && self.captures_outbound(client, service, self.plans[plan as usize].port)
            && let Some(sidecar) = &self.pods[client as usize].sidecar
        {
            if !sidecar.listens() {
                return self.connection_failed(key, Reason::Refused, context);
            }
            if let Some(listener) = self.outbound(client) {
                return self.connect_to_sidecar(key, service, listener, context);
            }
        }
        let described = &self.topology.cluster(cluster).services[service.index()];
        let node = self.pods[client as usize].node;
        let carrier = self.carrier_of(key);
        let is_headless = described.kind.is_headless();
        // A host outside has an address of its own for those who reach it through a waypoint.
        let is_through = |node| self.waypoint_for(node, service).is_some();
        let is_host = matches!(described.kind, ServiceKind::Host { .. });
        let has_address = |node: &u32| !is_headless || is_host && is_through(*node);
        if let Some(node) = carrier.filter(has_address) {
            return self.carry_connection(key, node, None, context);
        }
        let choice = if is_headless {
            self.choose_address(service, identity)
        } else {
            let address = self.address(key);
            let now = context.now();
            self.choose_endpoint(node, service, address, Door::Cluster, identity, now)
        };
        match choice {
            Choice::Pod(pod) => {
                let endpoint = Endpoint {
                    port: self.plans[self.calls[key].plan as usize].port,
                    ..self.endpoint(pod, service, None)
                };
                if let Some(node) = carrier {
                    return self.carry_connection(key, node, Some(endpoint), context);
                }
                let rules = self.rules_passed(node, service, identity);
                self.calls[key].stage = Stage::Dialling(Some(Goal::Endpoint(endpoint)));
                self.send_syn(key, 0, rules, context);
            }
            Choice::Refuse => {
                self.connection_failed(key, Reason::NoEndpoints, context);
            }
            Choice::Drop => {
                self.calls[key].stage = Stage::Dialling(None);
                self.await_syn_answer(key, 0, context);
            }
        }
    }

    /// The handshake begins; over UDP there is none.
    pub(crate) fn dial(&mut self, key: Key, goal: Goal, context: &mut Clock<'_, Self>) {
        if let (Some(socket), Goal::Entry(service, _)) = (self.socket(key), goal) {
            let peer = Peer::Entry(ClusterId(u32::from(self.destination(key))), service);
            return self.open_socket(key, socket, peer, context);
        }
        if let Goal::Endpoint(endpoint) = goal
            && let Some(node) = self.carrier_of(key)
        {
            return self.carry_connection(key, node, Some(endpoint), context);
        }
        self.calls[key].stage = Stage::Dialling(Some(goal));
        self.send_syn(key, 0, Duration::ZERO, context);
    }

    /// A ztunnel has found the pod, which takes no tunnels.
    pub(super) fn dial_plainly(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        self.send_syn(key, 0, Duration::ZERO, context);
    }

    /// Sends a SYN, which spends a time in the rules of its node.
    fn send_syn(&mut self, key: Key, sent: u8, rules: Duration, context: &mut Clock<'_, Self>) {
        let address = self.address(key);
        let call = &self.calls[key];
        let Stage::Dialling(Some(goal)) = call.stage else {
            return;
        };
        let identity = call.work();
        let packet = Packet::Syn {
            from: self.reference(key),
            address,
            identity,
            goal,
            sent,
        };
        let client = call.client;
        let trip = identity.part(u64::from(sent));
        match goal {
            Goal::Endpoint(endpoint) => {
                let between = (self.spot(client), self.spot(endpoint.pod));
                self.carry(rules, between, packet, trip, context);
            }
            Goal::Entry(..) => {
                let to = self.destination(key);
                if to == self.id {
                    let between = (self.spot(client), Spot::BORDER);
                    self.carry(Duration::ZERO, between, packet, trip, context);
                } else {
                    self.send_out(to, Duration::ZERO, packet, trip, context);
                }
            }
        }
        self.await_syn_answer(key, sent, context);
    }

    /// The partition that a dialling call looks for an entry in.
    fn destination(&self, key: Key) -> u16 {
        let call = &self.calls[key];
        match self.plans[call.plan as usize].target {
            Target::Service(cluster, _) => cluster.0 as u16,
            Target::Global(_) => call.resolved.0 as u16,
            Target::Backend(_) => self.id,
        }
    }

    fn await_syn_answer(&mut self, key: Key, sent: u8, context: &mut Clock<'_, Self>) {
        let attempt = self.calls[key].attempt;
        match syn_wait(u32::from(sent)) {
            Some(wait) => {
                let class = context.timer_class(wait);
                let event = Event::SynTimedOut {
                    attempt,
                    sent,
                    call: key,
                };
                context.arm(class, event);
            }
            None => self.connection_failed(key, Reason::ConnectTimeout, context),
        }
    }

    /// No answer to a SYN in time.
    pub(crate) fn syn_timed_out(
        &mut self,
        key: Key,
        attempt: u16,
        sent: u8,
        context: &mut Clock<'_, Self>,
    ) {
        let Some(call) = self.calls.get(key) else {
            return;
        };
        if call.attempt != attempt {
            return;
        }
        match call.stage {
            Stage::Dialling(Some(_)) if syn_wait(u32::from(sent) + 1).is_some() => {
                // The kernel knows the connection by now.
                self.send_syn(key, sent + 1, Duration::ZERO, context);
            }
            Stage::Dialling(_) => self.await_syn_answer(key, sent + 1, context),
            _ => {}
        }
    }

    /// A connection was refused, or a datagram.
    pub(crate) fn refused(&mut self, to: CallRef, context: &mut Clock<'_, Self>) {
        let waits = |stage: &Stage| matches!(stage, Stage::Dialling(_) | Stage::Sent(_));
        if self.awaits(to) && waits(&self.calls[to.call].stage) {
            self.connection_failed(to.call, Reason::Refused, context);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syns_follow_linux_and_end_after_131_seconds() {
        let waits: Vec<_> = (0..).map_while(syn_wait).collect();
        let seconds: Vec<_> = waits
            .iter()
            .map(|wait| wait.as_nanos() / 1_000_000_000)
            .collect();
        assert_eq!(seconds, [1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 64]);
        assert_eq!(seconds.iter().sum::<u64>(), 131);
    }
}
