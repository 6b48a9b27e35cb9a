//! Encryption between sidecars: the handshake of mutual TLS on a new connection, where the
//! sidecar was told to begin one.
//!
//! Models: TLS 1.3: one round trip after TCP's; a thread of each side works for it, the taker
//! before it answers and the opener before it sends its first request, with which its own
//! certificate travels. A sidecar keeps the newest session of each cluster, whichever pod it was
//! with, and offers it once: the same proxy there takes it, unless one of the two has another
//! certificate since, and then no certificates are shown or checked. Ztunnels take none. Where the
//! application chooses the pod, as behind a headless service, mutual TLS is begun if every pod takes
//! it.
//!
//! Approximated: the ticket is there with the connection; a resumed handshake is as many bytes; a
//! sidecar's own work on a connection to a pod that its application chose takes no time.
//! Leaves out: sessions of clients outside of the mesh; what encryption adds to each byte is part
//! of the costs of a request.
//! Sources: RFC 8446; istio/istio pilot/pkg/model/push_context.go (BestEffortInferServiceMTLSMode);
//! envoyproxy/envoy source/common/tls/client_context_impl.cc,
//! server_context_impl.cc (one key per context, single use, no key without a certificate's
//! context); istio/ztunnel src/tls/certificate.rs; [`crate::facts`].
//! Validated by: latencies computed by hand in the crate's tests.

use super::attributes::Asked;
use super::call::Stage;
use super::link::{Address, Packet};
use super::route::{Lead, LeftToClient};
use super::service::Fate;
use super::sidecar::Job;
use super::upstream::Line;
use super::{CallRef, Endpoint, Identity, Listener, Owner, ztunnel};
use crate::domain::{Clock, Domain};
use crate::istio::authentication::{Outcome, Sent};
use crate::istio::translate::tables::without_port;
use crate::scenario::ServiceId;
use crate::slab::Key;
use engine::Time;

/// What a sidecar keeps of an encrypted connection, so that the next one needs no proof.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pod: u32,
    /// How often the proxy there had started.
    starts: u16,
    since: Time,
}

impl Domain<'_> {
    /// A sidecar keeps what it agreed on with another one.
    pub(super) fn keep_session(&mut self, line: Line, endpoint: Endpoint, now: Time) {
        let sidecar = self.pods[endpoint.pod as usize].sidecar.as_ref();
        let (true, Some(starts)) = (endpoint.secured, sidecar.map(|it| it.starts)) else {
            return;
        };
        if let Some(upstream) = self.upstream(line.slot.pod, line.slot.upstream) {
            upstream.session = Some(Session {
                pod: endpoint.pod,
                starts,
                since: now,
            });
        }
    }

    /// Whether the session that a sidecar kept, and now spends, is with the one that it greets.
    fn resumes(&mut self, line: Line, endpoint: Endpoint) -> bool {
        let upstream = self.upstream(line.slot.pod, line.slot.upstream);
        let Some(kept) = upstream.and_then(|upstream| upstream.session.take()) else {
            return false;
        };
        let still_shows = |pod: u32| {
            let sidecar = self.pods[pod as usize].sidecar.as_ref();
            sidecar.filter(|it| it.credentials.stand_since(kept.since))
        };
        let client = still_shows(line.slot.pod);
        let server = still_shows(endpoint.pod).filter(|it| it.starts == kept.starts);
        kept.pod == endpoint.pod && client.is_some() && server.is_some()
    }

    /// What becomes of a connection that is open: sidecars send what they were told to, and both
    /// have to show certificates that count.
    pub(super) fn meets(&mut self, key: Key, endpoint: Endpoint, now: Time) -> Outcome {
        let sent = match self.calls[key].owner {
            Owner::Line(line) => Some(self.spoken(line).unwrap_or(Sent::Plaintext)),
            Owner::Passage(passage) => self.sent_past(passage),
            _ => None,
        };
        let Some(sent) = sent else {
            return match endpoint.listener {
                Listener::Edge(_, takes) => takes.meets(None),
                _ => Outcome::Plaintext, // Whether that is taken shows with the first request.
            };
        };
        let outcome = self.meeting(sent, endpoint);
        let both = [self.calls[key].client, endpoint.pod];
        match outcome {
            Outcome::Mutual if !both.into_iter().all(|pod| self.is_certified(pod, now)) => {
                Outcome::HandshakeFails
            }
            outcome => outcome,
        }
    }

    /// What a sidecar sends to whom its application has connected to, where that is not passed on
    /// as it is: to all alike what its rule says, or mutual TLS if every endpoint that it was told
    /// of takes it.
    fn sent_past(&mut self, passage: Key) -> Option<Sent> {
        let state = &self.passages[passage];
        let Some(Lead::Past(Some(LeftToClient { number, service }))) = state.lead else {
            return None;
        };
        let (pod, generation) = (state.pod, self.ways.at(state.way).generation);
        let (proxy, role) = (self.standing(pod).proxy(), self.role(pod));
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        let told = &sidecar.expect("a sidecar that sends").view;
        let version = told.version(&self.endpoint_log, service);
        let mut translation = self.translation.take().expect("a mesh translates");
        let view = translation.view(generation, (&proxy, role));
        let rule = translation.cluster(generation, number).tls;
        let sent = rule.map(Sent::by_rule).or_else(|| {
            let of = (generation, number, view.viewer, (service, version));
            let assignment = translation.assignment(of, || self.endpoints_of(service, version));
            let mut hosts = assignment.groups.iter().flat_map(|group| &group.hosts);
            let first = hosts.next()?.sent;
            hosts.all(|host| host.sent == first).then_some(first)
        });
        self.translation = Some(translation);
        sent.filter(|sent| *sent != Sent::Plaintext)
    }

    /// The name that a new connection asks for should it be encrypted: applications and users the
    /// host, sidecars with mutual TLS of the mesh the name of their cluster, unless a rule says
    /// another. Nobody knows what applications ask inside of a sidecar's plaintext, or a sidecar with
    /// other TLS before it has been asked itself, nor who asks from another cluster.
    pub(super) fn name_asked(
        &mut self,
        (from, address): (CallRef, Address),
        service: ServiceId,
    ) -> Option<String> {
        let opener = self.calls.get(from.call);
        let asked = match (opener.filter(|_| from.partition == self.id), address) {
            (None, Address::Pod(..)) => return None,
            (None, Address::Client(traffic, _)) => {
                self.unpassed(None, service, (Some(traffic), None))
            }
            (Some(call), _) => match call.owner {
                Owner::Line(line) => return self.name_of_upstream(line),
                Owner::Passage(passage) => {
                    if self.sent_past(passage).is_some() {
                        return self.name_of_lead(passage);
                    }
                    self.ways.at(self.passages.get(passage)?.way).asked
                }
                Owner::User(_) | Owner::Task(_) => {
                    let (plan, of) = (call.plan, (call.traffic, call.origin));
                    self.unpassed(Some(plan), service, of)
                }
            },
        };
        self.host_asked(asked)
    }

    /// The host that is asked.
    pub(super) fn host_asked(&self, asked: Asked) -> Option<String> {
        let attributes = self.ways.attributed.get(asked)?;
        Some(without_port(&attributes.said.authority).to_owned())
    }

    /// The name by which a sidecar asks in TLS for the cluster that a passage leads to.
    pub(super) fn name_of_lead(&self, passage: Key) -> Option<String> {
        let passage = self.passages.get(passage)?;
        let number = match passage.lead? {
            Lead::Cluster(cluster) => cluster.number,
            Lead::Past(cluster) => cluster?.number,
            Lead::Nowhere(_) => return None,
        };
        let way = self.ways.at(passage.way);
        let translation = self.translation.as_ref().expect("a mesh translates");
        let cluster = translation.cluster(way.generation, number);
        let name = translation.server_name(way.generation, cluster);
        name.or_else(|| self.host_asked(way.asked))
    }

    /// The same, for the cluster of a connection of its own, whatever it will be asked.
    fn name_of_upstream(&mut self, line: Line) -> Option<String> {
        self.spoken(line).filter(|sent| *sent != Sent::Plaintext)?;
        let sidecar = self.pods[line.slot.pod as usize].sidecar.as_ref()?;
        let (generation, cluster) = sidecar.upstream_told(line.slot.upstream)?;
        let translation = self.translation.as_ref().expect("a mesh translates");
        translation.server_name(generation, cluster)
    }

    /// A sidecar wishes to encrypt.
    pub(super) fn greet(&mut self, to: CallRef, endpoint: Endpoint, context: &mut Clock<'_, Self>) {
        let resumes = match self.calls[to.call].owner {
            Owner::Line(line) => self.resumes(line, endpoint),
            _ => false,
        };
        let endpoint = Endpoint {
            resumes,
            ..endpoint
        };
        let call = &mut self.calls[to.call];
        call.stage = Stage::Securing(endpoint);
        let (client, identity) = (call.client, call.work());
        let packet = Packet::Hello {
            from: to,
            identity,
            endpoint,
        };
        self.send_to(endpoint, client, packet, identity, context);
    }

    /// Somebody wishes to encrypt a connection with a sidecar of this cluster.
    pub(crate) fn take_hello(
        &mut self,
        from: CallRef,
        identity: Identity,
        endpoint: Endpoint,
        context: &mut Clock<'_, Self>,
    ) {
        match self.fate(endpoint) {
            Fate::Dropped => {}
            Fate::Refused => {
                let broken = Packet::Reset { to: from };
                self.send_back(from, endpoint, broken, identity, context);
            }
            Fate::Served => {
                if let Some(node) = self.carrier(endpoint.pod) {
                    let job = ztunnel::Job::GreetedBySidecar {
                        from,
                        identity,
                        endpoint,
                    };
                    return self.hand(node, job, context);
                }
                let job = Job::Greeted {
                    from,
                    identity,
                    endpoint,
                };
                let thread = endpoint.listener.thread();
                self.give(endpoint.pod, thread, job, context);
            }
        }
    }

    /// A sidecar has agreed.
    pub(super) fn agree(
        &mut self,
        to: CallRef,
        identity: Identity,
        endpoint: Endpoint,
        context: &mut Clock<'_, Self>,
    ) {
        let packet = Packet::Welcome { to, endpoint };
        self.send_back(to, endpoint, packet, identity, context);
    }

    /// The sidecar that a connection was opened to has agreed: it is checked.
    pub(crate) fn welcomed(
        &mut self,
        to: CallRef,
        endpoint: Endpoint,
        context: &mut Clock<'_, Self>,
    ) {
        if !self.awaits(to) || !matches!(self.calls[to.call].stage, Stage::Securing(_)) {
            return;
        }
        let call = &self.calls[to.call];
        let Owner::Line(line) = call.owner else {
            return self.secured(to, endpoint, context); // Of whose work nothing is known.
        };
        let (pod, identity) = (line.slot.pod, call.work());
        let thread = self.thread_of(line.slot);
        let job = Job::Welcomed {
            to,
            identity,
            endpoint,
        };
        self.give(pod, thread, job, context);
    }

    /// Both sides have proven who they are.
    pub(super) fn secured(
        &mut self,
        to: CallRef,
        endpoint: Endpoint,
        context: &mut Clock<'_, Self>,
    ) {
        if self.awaits(to) && matches!(self.calls[to.call].stage, Stage::Securing(_)) {
            let secured = true;
            let endpoint = Endpoint {
                secured,
                ..endpoint
            };
            self.established(to, endpoint, context);
        }
    }
}
