//! The global DNS: which clusters it believes healthy, and what it answers.
//!
//! Models: each candidate of a name is checked at an interval with its own phase, by a
//! message that crosses the network as any other; a check without an answer within its
//! timeout has failed; so many failures in a row take a candidate out, so many successes bring
//! it back. With no candidate healthy it answers as if all were.
//!
//! Approximated: one checker per candidate, where real services ask several and vote; a check
//! asks whether the entry leads to a pod that accepts connections, and costs that pod
//! nothing; changes reach all servers of the DNS at once.
//! Sources: AWS Route 53 developer guide; [`crate::facts`].
//! Validated by: the recovery from a region's loss against its closed form: phase of the
//! check, plus the further failures at its interval, plus its timeout, plus what is left of
//! the TTL.

use crate::domain::{Clock, Domain, Event};
use crate::meter::Observation;
use crate::path::Identity;
use crate::path::choice::Choice;
use crate::path::link::Packet;
use crate::path::service::Fate;
use crate::record::ViewKind;
use crate::scenario::{DnsPolicy, GlobalNameId, ServiceId};
use crate::topology::Topology;
use engine::{Draw, Duration, Stream, Time};

/// What the DNS believes of one candidate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    healthy: bool,
    /// Checks in a row that said otherwise.
    contrary: u32,
    /// When the first of those was sent.
    changed: Time,
    /// Checks sent.
    sent: u64,
    /// The newest check whose result is known.
    known: u64,
}

/// A name at the DNS.
#[derive(Clone, Debug)]
pub(crate) struct NameState {
    candidates: Vec<Candidate>,
    /// When what is answered changed last.
    changed: Time,
    stream: Stream,
}

impl NameState {
    pub(crate) fn new(candidates: usize, stream: Stream) -> Self {
        let candidate = Candidate {
            healthy: true,
            contrary: 0,
            changed: Time::ZERO,
            sent: 0,
            known: 0,
        };
        NameState {
            candidates: vec![candidate; candidates],
            changed: Time::ZERO,
            stream,
        }
    }
}

impl Domain<'_> {
    /// Sets the checks of all candidates going, each at its own phase.
    pub(crate) fn start_checks(&mut self, context: &mut Clock<'_, Self>) {
        for name in 0..self.names.len() {
            let check = &self.topology.scenario.global_names[name].health_check;
            for answer in 0..self.names[name].candidates.len() as u32 {
                let mut draw = self.names[name].stream.draw(u64::MAX, u64::from(answer));
                let first = check.interval.mul_f64(draw.uniform());
                let name = GlobalNameId::from(name);
                context.after(first, Event::Check { name, answer });
            }
        }
    }

    /// The DNS checks a candidate.
    pub(crate) fn check(&mut self, name: GlobalNameId, answer: u32, context: &mut Clock<'_, Self>) {
        let described = &self.topology.scenario.global_names[name.index()];
        let check = &described.health_check;
        let candidate = &mut self.names[name.index()].candidates[answer as usize];
        candidate.sent += 1;
        let number = candidate.sent;
        context.after(check.interval, Event::Check { name, answer });
        let silence = Event::CheckTimedOut {
            name: name.0 as u16,
            answer: answer as u16,
            number,
        };
        context.after(check.timeout, silence);
        let packet = Packet::Check {
            name,
            answer,
            number,
        };
        let identity = Identity {
            request: u64::from(name.0) << 32 | u64::from(answer),
            branch: number,
        };
        let cluster = described.answers[answer as usize].cluster.0 as u16;
        self.send_out(cluster, Duration::ZERO, packet, identity, context);
    }

    /// The result of a check, or its timeout: whichever comes first counts.
    pub(crate) fn checked(
        &mut self,
        name: GlobalNameId,
        answer: u32,
        number: u64,
        passed: bool,
        context: &mut Clock<'_, Self>,
    ) {
        let now = context.now();
        let check = &self.topology.scenario.global_names[name.index()].health_check;
        let state = &mut self.names[name.index()];
        let candidate = &mut state.candidates[answer as usize];
        if number <= candidate.known {
            return;
        }
        candidate.known = number;
        if passed == candidate.healthy {
            candidate.contrary = 0;
            return;
        }
        if candidate.contrary == 0 {
            candidate.changed = now;
        }
        candidate.contrary += 1;
        let needed = if passed {
            check.successes
        } else {
            check.failures
        };
        if candidate.contrary < needed {
            return;
        }
        candidate.healthy = passed;
        candidate.contrary = 0;
        state.changed = candidate.changed;
        let applied = Observation::ViewApplied {
            kind: ViewKind::GlobalDns,
            changed: candidate.changed,
        };
        self.meters.observe(now, applied);
    }

    /// A resolver asks.
    pub(crate) fn take_query(
        &mut self,
        from: u16,
        name: GlobalNameId,
        resolver: u32,
        number: u64,
        context: &mut Clock<'_, Self>,
    ) {
        let state = &self.names[name.index()];
        let all_ill = state.candidates.iter().all(|candidate| !candidate.healthy);
        let eligible: Vec<u32> = (0..state.candidates.len() as u32)
            .filter(|&answer| all_ill || state.candidates[answer as usize].healthy)
            .collect();
        let address = (u64::from(from) << 32 | u64::from(resolver), number);
        let draw = state.stream.draw(address.0, address.1);
        let answer = pick(self.topology, from, name, &eligible, draw);
        let packet = Packet::Answer {
            name,
            resolver,
            answer,
            changed: state.changed,
        };
        let identity = Identity {
            request: address.0,
            branch: number,
        };
        self.send_out(from, Duration::ZERO, packet, identity, context);
    }

    /// A check arrives at the cluster: does the entry lead to a pod that takes connections?
    pub(crate) fn take_check(
        &mut self,
        from: u16,
        name: GlobalNameId,
        answer: u32,
        number: u64,
        context: &mut Clock<'_, Self>,
    ) {
        let described = &self.topology.scenario.global_names[name.index()];
        let service = described.answers[answer as usize].service;
        let identity = Identity {
            request: u64::MAX - u64::from(name.0),
            branch: number << 16 | u64::from(answer),
        };
        let fate = self.fate_of_entry(service, identity, context.now());
        if fate == Fate::Dropped {
            return;
        }
        let packet = Packet::Checked {
            name,
            answer,
            number,
            healthy: fate == Fate::Served,
        };
        self.send_out(from, Duration::ZERO, packet, identity, context);
    }

    fn fate_of_entry(&mut self, service: ServiceId, identity: Identity, now: Time) -> Fate {
        let node = self.entry_node(service, identity);
        // Checks come from an address of their own that no affinity remembers.
        let address = crate::path::link::Address::Pod(u16::MAX, u32::MAX);
        let door = self.door(service, address);
        match self.choose_endpoint(node, service, address, door, identity, now) {
            Choice::Pod(pod) => {
                let endpoint = self.endpoint(pod, service, node);
                self.fate(endpoint)
            }
            Choice::Refuse => Fate::Refused,
            Choice::Drop => Fate::Dropped,
        }
    }
}

/// The candidate that the DNS answers to partition `from`, out of those eligible.
pub(crate) fn pick(
    topology: &Topology,
    from: u16,
    name: GlobalNameId,
    eligible: &[u32],
    mut draw: Draw,
) -> u32 {
    let described = &topology.scenario.global_names[name.index()];
    let answers = &described.answers;
    match described.policy {
        DnsPolicy::Failover => eligible[0],
        DnsPolicy::Latency => {
            let distance = |answer: &&u32| {
                let cluster = answers[**answer as usize].cluster.0 as u16;
                topology.one_way(from, cluster)
            };
            let nearest = eligible.iter().min_by_key(distance);
            *nearest.expect("there is a candidate")
        }
        DnsPolicy::Weighted => {
            let weight = |answer: u32| u64::from(answers[answer as usize].weight);
            let total: u64 = eligible.iter().map(|&answer| weight(answer)).sum();
            let mut ticket = (draw.uniform() * total as f64) as u64;
            for &answer in eligible {
                if ticket < weight(answer) {
                    return answer;
                }
                ticket -= weight(answer);
            }
            eligible[0]
        }
    }
}
