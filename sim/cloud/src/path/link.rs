//! Links: how long it takes to get from one place to another, and what gets lost on the way.
//!
//! Models: a propagation delay, an exponential jitter added to each one-way trip, the time to
//! put the bytes on the wire behind those that are still waiting for it (one queue per
//! sending node within a cluster, and one per direction between two partitions), and loss as
//! TCP shows it: a lost segment of data is sent again after a retransmission timeout that
//! doubles, a lost SYN or its answer is for the client's own timer to notice, and so is a lost
//! datagram. What is sent
//! over a link that is cut is sent again at the same pace until the link is back.
//!
//! Approximated: a payload is lost or kept as a whole, whatever its number of segments; slow
//! start is left out; what is under way when a link is cut still arrives.
//! Leaves out: packets out of order, congestion by traffic that is not simulated.
//! Sources: RFC 6298; [`crate::facts`].
//! Validated by: latencies computed by hand in the crate's tests.

use super::flow::Datagram;
use super::leaving::Leaving;
use super::service::RequestArrival;
use super::tunnel::Letter;
use super::{CallRef, Endpoint, Identity, Outcome};
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::scenario::{ClusterId, GlobalNameId, Packets, ServiceId, SiteId, TrafficId};
use crate::slab::Key;
use crate::topology::links::{Level, Link};
use engine::{Duration, PartitionId, Time};

/// The source address of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Address {
    /// A pod of a partition.
    Pod(u16, u32),
    /// One of a traffic source's clients.
    Client(TrafficId, u32),
}

/// Where a SYN goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// An entry from outside: a service and the position of its port.
    Entry(ServiceId, u32),
    /// A pod that was already chosen.
    Endpoint(Endpoint),
}

/// Everything that travels.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Packet {
    /// Asks for a connection.
    Syn {
        from: CallRef,
        address: Address,
        identity: Identity,
        goal: Goal,
        /// How often it was sent before.
        sent: u8,
    },
    /// Grants one.
    Connected { to: CallRef, endpoint: Endpoint },
    /// Denies one, or says that nobody takes a datagram.
    Refused { to: CallRef },
    /// Something between the two ends of a tunnel.
    Tunnel(Letter),
    /// Asks a proxy to encrypt a new connection.
    Hello {
        from: CallRef,
        identity: Identity,
        endpoint: Endpoint,
    },
    /// Agrees, and shows a certificate.
    Welcome { to: CallRef, endpoint: Endpoint },
    /// A request on a connection.
    Request(RequestArrival),
    /// Who sent it waits for its answer no longer.
    Leaving(Leaving),
    /// Its answer.
    Response {
        to: CallRef,
        outcome: Outcome,
        bytes: u64,
        /// Whether the server closes the connection.
        closing: bool,
    },
    /// The connection broke.
    Reset { to: CallRef },
    /// A datagram that asks.
    Datagram(Datagram),
    /// One that answers.
    AnswerDatagram {
        to: CallRef,
        endpoint: Endpoint,
        outcome: Outcome,
        bytes: u64,
    },
    /// All connections to a pod are closed by its side.
    Closed {
        cluster: ClusterId,
        pod: u32,
        restarts: u32,
    },
    /// A resolver asks the global DNS.
    Query {
        name: GlobalNameId,
        resolver: u32,
        number: u64,
    },
    /// The answer: position of the candidate, and since when the DNS answers so.
    Answer {
        name: GlobalNameId,
        resolver: u32,
        answer: u32,
        changed: Time,
    },
    /// The global DNS checks a candidate.
    Check {
        name: GlobalNameId,
        answer: u32,
        number: u64,
    },
    /// What came of it.
    Checked {
        name: GlobalNameId,
        answer: u32,
        number: u64,
        healthy: bool,
    },
}

/// What tells the trips of one attempt apart when jitter and loss are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leg {
    /// A SYN.
    Syn,
    /// Its answer.
    SynAnswer,
    /// A request.
    Request,
    /// A response.
    Response,
    /// A proxy's wish to encrypt.
    Hello,
    /// Its answer.
    Welcome,
    /// A datagram that asks.
    Datagram,
    /// One that answers.
    AnswerDatagram,
    /// Anything else.
    Other,
}

impl Leg {
    fn number(self) -> u64 {
        match self {
            Leg::Syn => 0x1_0000_0000,
            Leg::SynAnswer => 0x2_0000_0000,
            Leg::Request => 0x3_0000_0000,
            Leg::Response => 0x4_0000_0000,
            Leg::Other => 0x5_0000_0000,
            Leg::Hello => 0x6_0000_0000,
            Leg::Welcome => 0x7_0000_0000,
            Leg::Datagram => 0x8_0000_0000,
            Leg::AnswerDatagram => 0x9_0000_0000,
        }
    }

    /// Whether what is lost on it is sent again by those who send it.
    fn is_mended(self) -> bool {
        use Leg::{AnswerDatagram, Datagram, Syn, SynAnswer};
        !matches!(self, Syn | SynAnswer | Datagram | AnswerDatagram)
    }
}

/// A place within a cluster, or on one of its sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// `None` for machines outside the cluster's nodes.
    pub(crate) node: Option<u32>,
    pub(crate) zone: u32,
    /// `None` inside of the cluster.
    pub(crate) site: Option<SiteId>,
}

impl Spot {
    /// Where packets from outside come in.
    pub(crate) const BORDER: Spot = Spot {
        node: None,
        zone: 0,
        site: None,
    };

    fn level(self, other: Spot) -> Level {
        if self.node.is_some() && self.node == other.node {
            Level::SameNode
        } else if self.zone == other.zone {
            Level::SameZone
        } else {
            Level::ZoneToZone
        }
    }
}

/// A wire that sends one thing after the other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wire {
    free_at: Time,
}

impl Wire {
    /// Time until so many bytes have left if they queue now.
    fn send(&mut self, now: Time, bytes: u64, bandwidth_bits: u64) -> Duration {
        self.free_at = self.free_at.max(now) + transmission(bytes, bandwidth_bits);
        self.free_at.since(now)
    }
}

fn transmission(bytes: u64, bandwidth_bits: u64) -> Duration {
    let nanos = u128::from(bytes) * 8 * 1_000_000_000 / u128::from(bandwidth_bits.max(1));
    Duration::from_nanos(nanos as u64)
}

/// The wait before data are sent again for the `tries`-th time (from 0).
fn retransmission_wait(round_trip: Duration, tries: u32) -> Duration {
    let first = facts::TCP_RETRANSMISSION_TIMEOUT_MIN.value.max(round_trip);
    first
        .saturating_mul(1 << tries.min(40))
        .min(facts::TCP_RETRANSMISSION_TIMEOUT_MAX.value)
}

/// A packet that waits for its link to come back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parcel {
    packet: Packet,
    /// Where it goes on to, unless it has arrived.
    onward: Option<(Onward, Identity)>,
    tries: u32,
}

/// Where a packet that waits goes on to.
#[derive(Clone, Copy, Debug)]
enum Onward {
    /// To another partition.
    Partition(u16),
    /// From one place of this partition to another, of which one is a site.
    Spot(Spot, Spot),
}

impl Domain<'_> {
    /// Where a pod runs.
    pub(crate) fn spot(&self, pod: u32) -> Spot {
        let pod = &self.pods[pod as usize];
        Spot {
            node: pod.node,
            zone: pod.zone,
            site: pod.site,
        }
    }

    /// Where a node stands.
    pub(crate) fn node_spot(&self, node: u32) -> Spot {
        Spot {
            node: Some(node),
            zone: self.nodes[node as usize].zone,
            site: None,
        }
    }

    /// The trip from one place of this cluster to another; `None` if a segment that nobody
    /// sends again (`leg`) is lost.
    pub(crate) fn trip_inside(
        &mut self,
        now: Time,
        from: Spot,
        to: Spot,
        bytes: u64,
        identity: Identity,
        leg: Leg,
    ) -> Option<Duration> {
        if from.site != to.site {
            return self.trip_to_site(now, from, to, bytes, identity, leg);
        }
        let level = from.level(to);
        let link = self.topology.links.within(level);
        let sending = match (level, from.node) {
            (Level::SameNode, _) | (_, None) => transmission(bytes, link.bandwidth_bits),
            (_, Some(node)) => self.nodes[node as usize]
                .wire
                .send(now, bytes, link.bandwidth_bits),
        };
        let travelling = self.travel(&link, link.loss, identity, leg)?;
        Some(sending + travelling)
    }

    /// The trip between the cluster and a site, or between two sites; sites have wires of their
    /// own, which nobody waits for.
    fn trip_to_site(
        &mut self,
        now: Time,
        from: Spot,
        to: Spot,
        bytes: u64,
        identity: Identity,
        leg: Leg,
    ) -> Option<Duration> {
        let cluster = self.cluster.expect("sites belong to clusters");
        let link = self.topology.links.of_site(cluster, from.site, to.site);
        let levers = self.levers.machines.link(from.site, to.site);
        let (delay, loss) = levers.map_or((Duration::ZERO, 0.0), |it| (it.delay, it.loss));
        let loss = 1.0 - (1.0 - link.loss) * (1.0 - loss);
        let sending = match from.node {
            None => transmission(bytes, link.bandwidth_bits),
            Some(node) => self.nodes[node as usize]
                .wire
                .send(now, bytes, link.bandwidth_bits),
        };
        Some(sending + delay + self.travel(&link, loss, identity, leg)?)
    }

    /// What becomes of packets between two places of this partition, if nothing passes.
    fn barrier_between(&self, from: Spot, to: Spot) -> Option<Packets> {
        let levers = self.levers.machines.link(from.site, to.site);
        levers
            .filter(|_| from.site != to.site)
            .and_then(|it| it.barrier())
    }

    /// Carries a packet from one place of this partition to another, beside what it takes on the
    /// way to the first or from the second; over a link that is cut data are sent again until it
    /// is back.
    pub(super) fn carry(
        &mut self,
        beside: Duration,
        between: (Spot, Spot),
        packet: Packet,
        identity: Identity,
        context: &mut Clock<'_, Self>,
    ) {
        self.carry_after((0, beside), between, packet, identity, context);
    }

    fn carry_after(
        &mut self,
        (tries, beside): (u32, Duration),
        (from, to): (Spot, Spot),
        packet: Packet,
        identity: Identity,
        context: &mut Clock<'_, Self>,
    ) {
        if self.barrier_between(from, to).is_none() {
            let (bytes, leg) = packet.size_and_leg();
            let delay = self.trip_inside(context.now(), from, to, bytes, identity, leg);
            if let Some(delay) = delay {
                self.post(beside + delay, packet, context);
            }
            return;
        }
        if !packet.is_data() || tries == facts::TCP_RETRIES.value {
            return;
        }
        let parcel = self.parcels.insert(Parcel {
            packet,
            onward: Some((Onward::Spot(from, to), identity)),
            tries,
        });
        let cluster = self.cluster.expect("sites belong to clusters");
        let link = self.topology.links.of_site(cluster, from.site, to.site);
        let wait = retransmission_wait(link.one_way * 2, tries);
        context.after(wait, Event::Resend(parcel));
    }

    /// Propagation, jitter and what loss costs.
    fn travel(&self, link: &Link, loss: f64, identity: Identity, leg: Leg) -> Option<Duration> {
        let mut time = link.one_way;
        if link.jitter_mean.is_zero() && loss <= 0.0 {
            return Some(time);
        }
        let part = identity.part(leg.number());
        let mut draw = self.jitter.draw(part.request, part.branch);
        if !link.jitter_mean.is_zero() {
            time += link.jitter_mean.mul_f64(draw.exponential());
        }
        let mut tries = 0;
        while loss > 0.0 && draw.chance(loss) {
            if !leg.is_mended() || tries == facts::TCP_RETRIES.value {
                return None;
            }
            time += retransmission_wait(link.one_way * 2, tries);
            tries += 1;
        }
        Some(time)
    }

    /// Lets a packet arrive in this partition after `delay`.
    pub(crate) fn post(&mut self, delay: Duration, packet: Packet, context: &mut Clock<'_, Self>) {
        let parcel = self.parcels.insert(Parcel {
            packet,
            onward: None,
            tries: 0,
        });
        context.after(delay, Event::Delivered(parcel));
    }

    /// A packet has crossed this partition.
    pub(crate) fn delivered(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let parcel = self.parcels.remove(key).expect("a parcel arrives once");
        self.take_in(parcel.packet, context);
    }

    /// Sends a packet to another partition; `inside` is what it takes to get to the border.
    pub(crate) fn send_out(
        &mut self,
        to: u16,
        inside: Duration,
        packet: Packet,
        identity: Identity,
        context: &mut Clock<'_, Self>,
    ) {
        match self.levers.barrier(to) {
            None => self.send_over(to, inside, packet, identity, context),
            Some(Packets::Dropped) => {
                self.park(to, packet, identity, 0, context);
            }
            Some(Packets::Refused) => self.bounce(to, inside, packet, context),
        }
    }

    fn send_over(
        &mut self,
        to: u16,
        inside: Duration,
        packet: Packet,
        identity: Identity,
        context: &mut Clock<'_, Self>,
    ) {
        let (bytes, leg) = packet.size_and_leg();
        let mut time = inside + self.levers.link(to).delay;
        match (self.topology.end(self.id), self.topology.end(to)) {
            (Some(here), Some(there)) => {
                let link = self.topology.links.between(here, there);
                let loss = 1.0 - (1.0 - link.loss) * (1.0 - self.levers.link(to).loss);
                let Some(travelling) = self.travel(&link, loss, identity, leg) else {
                    return;
                };
                let wire = &mut self.wires[usize::from(to)];
                time += travelling + wire.send(context.now(), bytes, link.bandwidth_bits);
            }
            _ => time += facts::GLOBAL_DNS_RTT.value / 2,
        }
        context.send(PartitionId(to), time, packet);
    }

    /// Data that cannot pass are sent again until they can; a SYN has its own timer, questions of
    /// the DNS are asked anew, and datagrams are lost.
    fn park(
        &mut self,
        to: u16,
        packet: Packet,
        identity: Identity,
        tries: u32,
        context: &mut Clock<'_, Self>,
    ) {
        if !packet.is_data() || tries == facts::TCP_RETRIES.value {
            return;
        }
        let parcel = self.parcels.insert(Parcel {
            packet,
            onward: Some((Onward::Partition(to), identity)),
            tries,
        });
        let round_trip = self.topology.one_way(self.id, to) * 2;
        let wait = retransmission_wait(round_trip, tries);
        context.after(wait, Event::Resend(parcel));
    }

    /// The time has come to send parked data again.
    pub(crate) fn resend(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let parcel = self.parcels.remove(key).expect("a parcel is parked once");
        let Some((to, identity)) = parcel.onward else {
            return;
        };
        if matches!(parcel.packet, Packet::Request(request) if !self.awaits(request.from)) {
            return;
        }
        let (packet, tries) = (parcel.packet, parcel.tries + 1);
        let to = match to {
            Onward::Partition(to) => to,
            Onward::Spot(from, to) => {
                let after = (tries, Duration::ZERO);
                return self.carry_after(after, (from, to), packet, identity, context);
            }
        };
        match self.levers.barrier(to) {
            None => self.send_over(to, Duration::ZERO, packet, identity, context),
            Some(_) => self.park(to, packet, identity, tries, context),
        }
    }

    /// Something at the other side refuses what is sent to a place that is down.
    fn bounce(&mut self, to: u16, inside: Duration, packet: Packet, context: &mut Clock<'_, Self>) {
        let round_trip = (inside + self.topology.one_way(self.id, to)) * 2;
        let answer = match packet {
            Packet::Syn { from, .. } | Packet::Datagram(Datagram { from, .. }) => {
                Packet::Refused { to: from }
            }
            Packet::Hello { from, .. } | Packet::Request(RequestArrival { from, .. }) => {
                Packet::Reset { to: from }
            }
            Packet::Check {
                name,
                answer,
                number,
            } => Packet::Checked {
                name,
                answer,
                number,
                healthy: false,
            },
            _ => return,
        };
        self.post(round_trip, answer, context);
    }
}

impl Packet {
    /// Whether TCP sends it again until it arrives.
    fn is_data(&self) -> bool {
        matches!(
            self,
            Packet::Tunnel(_)
                | Packet::Hello { .. }
                | Packet::Welcome { .. }
                | Packet::Request(_)
                | Packet::Leaving(_)
                | Packet::Response { .. }
        )
    }

    /// Bytes on the wire, and which leg of an attempt it is.
    pub(super) fn size_and_leg(&self) -> (u64, Leg) {
        match self {
            Packet::Syn { .. } => (0, Leg::Syn),
            Packet::Connected { .. } | Packet::Refused { .. } => (0, Leg::SynAnswer),
            Packet::Tunnel(letter) => (letter.bytes(), Leg::Other),
            Packet::Hello { .. } => (facts::TLS_CLIENT_HELLO_BYTES.value, Leg::Hello),
            Packet::Welcome { .. } => (facts::TLS_SERVER_FLIGHT_BYTES.value, Leg::Welcome),
            Packet::Request(request) => (request.bytes, Leg::Request),
            // What delayed the request delays what follows it on its connection.
            Packet::Leaving(_) => (0, Leg::Request),
            Packet::Response { bytes, .. } => (*bytes, Leg::Response),
            Packet::Datagram(datagram) => (datagram.bytes, Leg::Datagram),
            Packet::AnswerDatagram { bytes, .. } => (*bytes, Leg::AnswerDatagram),
            _ => (0, Leg::Other),
        }
    }
}
