//! Certificates of ztunnels: one for each service account that has pods on the node.
//!
//! Models: a certificate of a day, asked for as soon as the ztunnel is told of the first pod of
//! its account on the node, and shared by all of them; the next one is asked for at half its life, and where
//! istiod does not answer again after pauses that grow. Ztunnels before 1.28 give up the one that
//! they could not renew, later ones keep it to its end. With the last pod of an account its
//! certificate goes, and with a ztunnel all of them. Among ztunnels a certificate outlives its root: they
//! do not ask until when a root counts, as sidecars and waypoints do. Connections that stand are
//! not asked again.
//!
//! Approximated: at the start certificates are of any age up to half a life, each for itself; a
//! certificate is there as soon as it is asked for.
//! Sources: istio/ztunnel src/identity/manager.rs, src/cert_fetcher.rs, src/xds.rs,
//! src/tls/workload.rs; rustls-webpki src/trust_anchor.rs (of a root only name and key are kept);
//! [`crate::istio::certificate`].
//! Validated by: connections before and after certificates ran out, in the crate's tests.

use super::certificates::Credentials;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::istio::certificate::FetchPauses;
use crate::path::ztunnel;
use engine::{Draw, Stream, Time};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// What a ztunnel shows for the pods of one service account.
#[derive(Clone, Copy, Debug)]
struct Held {
    credentials: Credentials,
    /// When it asks for the next one.
    next: Time,
    pauses: FetchPauses,
}

impl Held {
    fn issued(credentials: Credentials) -> Self {
        Held {
            next: credentials.renewal(),
            credentials,
            pauses: FetchPauses::default(),
        }
    }
}

/// The certificates of a ztunnel, by service account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificates {
    held: BTreeMap<String, Held>,
}

impl Certificates {
    /// All of them are gone.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
    }

    /// The service accounts that it has some for, or asks for some.
    #[cfg(test)]
    pub(crate) fn accounts(&self) -> Vec<&str> {
        self.held.keys().map(String::as_str).collect()
    }
}

impl Domain<'_> {
    /// Ztunnels that there are from the start have certificates for the pods on their nodes.
    pub(super) fn start_ztunnel_certificates(&mut self, context: &mut Clock<'_, Self>) {
        let issued = Credentials::of_ztunnel(Time::ZERO);
        for pod in 0..self.pods.len() as u32 {
            let Some(node) = self.carrier(pod) else {
                continue;
            };
            let account = self.account(pod);
            let mut draw = self.account_draw(&account, node, Time::ZERO);
            let held = Held::issued(issued.of_any_age(&mut draw));
            let certificates = &mut self.ztunnel(node).certificates.held;
            if certificates.insert(account, held).is_none() {
                self.await_certificates(node, held.next, context);
            }
        }
    }

    /// The service account of a pod.
    fn account(&self, pod: u32) -> String {
        let account = &self.template(pod).service_account;
        format!("{}/{account}", self.standing(pod).namespace)
    }

    /// What the ztunnel of a node draws for an account.
    fn account_draw(&self, account: &str, node: u32, now: Time) -> Draw {
        let stream = Stream::new(self.seed, &format!("certificates of {account}"));
        stream.draw(u64::from(node), now.as_nanos())
    }

    /// Enters into the calendar when a ztunnel next asks, if that falls into the run.
    fn await_certificates(&mut self, node: u32, next: Time, context: &mut Clock<'_, Self>) {
        if next.since(Time::ZERO) <= self.topology.scenario.run.duration {
            let at = next.max(context.now());
            context.schedule(at, Event::ZtunnelCertificatesDue(node));
        }
    }

    /// The ztunnel of a pod's node needs a certificate for it, and asks unless it has done so.
    pub(super) fn want_certificate(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let Some(node) = self.carrier(pod) else {
            return;
        };
        let account = self.account(pod);
        let wanted = Held {
            credentials: Credentials::NONE,
            next: context.now(),
            pauses: FetchPauses::default(),
        };
        if let Entry::Vacant(place) = self.ztunnel(node).certificates.held.entry(account) {
            place.insert(wanted);
            self.ztunnel_certificates_due(node, context);
        }
    }

    /// A ztunnel asks for every certificate that is due.
    pub(crate) fn ztunnel_certificates_due(&mut self, node: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let answers = self.can_subscribe(ztunnel::number_of(node), now);
        let issued = answers.then(|| Credentials::of_ztunnel(now));
        let keeps = self.keeps_certificates();
        let mut certificates = std::mem::take(&mut self.ztunnel(node).certificates);
        for (account, held) in &mut certificates.held {
            if held.next > now {
                continue;
            }
            match issued {
                Some(issued) => *held = Held::issued(issued),
                None => {
                    if !keeps {
                        held.credentials = Credentials::NONE;
                    }
                    let mut draw = self.account_draw(account, node, now);
                    held.next = now + held.pauses.pause(now, &mut draw);
                }
            }
            self.await_certificates(node, held.next, context);
        }
        self.ztunnel(node).certificates = certificates;
    }

    /// Whether a ztunnel keeps the certificate that it could not renew.
    fn keeps_certificates(&self) -> bool {
        let translation = self.translation.as_ref().expect("ztunnels have an istiod");
        let minor = translation.version().minor();
        minor >= facts::ZTUNNEL_KEEPS_CERTIFICATES_FROM_MINOR.value
    }

    /// A pod is gone: if it was the last of its account on its node, so is their certificate.
    pub(super) fn drop_certificate(&mut self, pod: u32) {
        let Some(node) = self.carrier(pod) else {
            return;
        };
        let account = self.account(pod);
        let is_there = |other: u32| {
            let state = &self.pods[other as usize];
            other != pod && !state.released && self.carrier(other) == Some(node)
        };
        let mut others = (0..self.pods.len() as u32).filter(|&other| is_there(other));
        if !others.any(|other| self.account(other) == account) {
            self.ztunnel(node).certificates.held.remove(&account);
        }
    }

    /// Whether the ztunnel of its node can show who a pod is.
    pub(super) fn is_certified_by_ztunnel(&self, pod: u32, now: Time) -> bool {
        let Some(node) = self.carrier(pod) else {
            return false;
        };
        let ztunnel = self.nodes[node as usize].ztunnel.as_ref();
        let ztunnel = ztunnel.filter(|ztunnel| !ztunnel.unheard.contains(&pod));
        let held = ztunnel.and_then(|it| it.certificates.held.get(&self.account(pod)));
        held.is_some_and(|held| held.credentials.is_valid(now))
    }
}
