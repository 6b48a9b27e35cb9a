//! A ztunnel that is away.
//!
//! Models: with a node's ztunnel every connection of its pods breaks, in either direction, those
//! inside of tunnels and others; what it had in hand is lost. While it is away nobody listens on
//! behalf of these pods: connections that they open, and connections to them, are refused; where
//! another ztunnel has taken the connection, it breaks. It comes back without tunnels, and takes
//! connections once istiod has told it what it knows ([`crate::control::ztunnels`]). Applications run on, and what they
//! answer on connections that have broken reaches nobody.
//! Leaves out: an upgrade, in which the old process hands over to the new one.
//! Sources: istio/istio architecture/ambient/ztunnel-cni-lifecycle.md (sockets of the pods' own
//! network namespaces belong to the process).
//! Validated by: who is reset and who is refused, in the crate's tests.

use super::Reply;
use super::call::Stage;
use super::link::{Address, Packet};
use super::ztunnel::Job;
use crate::domain::{Clock, Domain};
use crate::record::Reason;

impl Domain<'_> {
    /// Whether the ztunnel of a node is away, or has not been told anything yet.
    pub(super) fn ztunnel_is_down(&self, node: u32) -> bool {
        let ztunnel = self.nodes[node as usize].ztunnel.as_ref();
        !ztunnel.is_some_and(|ztunnel| ztunnel.takes_connections())
    }

    /// A ztunnel ends at once, and every connection that it carries breaks.
    pub(crate) fn ztunnel_ends(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        if self.nodes[node as usize].ztunnel.is_none() {
            return;
        }
        self.ztunnel_runs_no_more(node, context.now());
        let pods = 0..self.pods.len() as u32;
        let carried: Vec<u32> = pods
            .filter(|&pod| self.carrier(pod) == Some(node))
            .collect();
        for &pod in &carried {
            self.pools.cut(Address::Pod(self.id, pod));
            let restarts = self.pods[pod as usize].incarnation();
            self.announce_closing(pod, restarts, context);
        }
        for pod in carried {
            self.cut_off_tasks(pod, context);
            self.cut_off_calls(pod, context);
        }
    }

    /// Those who wait for an application hear that their connections broke.
    fn cut_off_tasks(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let tasks = self.tasks.iter().filter(|(_, task)| task.pod == pod);
        let waiting = tasks.filter_map(|(_, task)| match task.reply {
            Reply::Call(to) => Some((to, task.service, task.entry, task.identity)),
            Reply::Passage(_) | Reply::Datagram(_) => None,
        });
        let waiting: Vec<_> = waiting.collect();
        for (to, service, entry, identity) in waiting {
            let endpoint = self.endpoint(pod, service, entry);
            self.send_back(to, endpoint, Packet::Reset { to }, identity, context);
        }
    }

    /// What an application asks on connections that broke has failed.
    fn cut_off_calls(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let calls = self.calls.iter();
        let of_it =
            calls.filter(|(_, call)| call.client == pod && self.plans[call.plan as usize].from_pod);
        let keys: Vec<_> = of_it.map(|(key, _)| self.reference(key)).collect();
        for to in keys {
            if !self.awaits(to) || self.carrier_of(to.call).is_none() {
                continue;
            }
            match self.calls[to.call].stage {
                Stage::Dialling(_) => self.connection_failed(to.call, Reason::Reset, context),
                _ => {
                    self.tell_of_leaving(to.call, context);
                    self.reset(to, context);
                }
            }
        }
    }

    /// Something is asked of a ztunnel that is away.
    pub(super) fn refuse_job(&mut self, job: Job, context: &mut Clock<'_, Self>) {
        match job {
            Job::Outbound { to, .. } if self.awaits(to) => {
                self.connection_failed(to.call, Reason::Refused, context);
            }
            Job::Send { request, .. } => self.reset(request.from, context),
            // Whoever waits for it has been told.
            _ => {}
        }
    }
}
