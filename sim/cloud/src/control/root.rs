//! The root that all certificates of a mesh hang from, and who still believes istiod.
//!
//! Models: a root that was plugged in and ends one day; istiod's own, at which it looks every
//! hour and which it renews in the last fifth of its life, with the same key: who is told of
//! the new one believes old certificates on. With the root istiod's own certificate ends: the API
//! server asks its webhooks in vain, and proxies that have no stream to it get none.
//!
//! Approximated: istiod was started at any instant of the hour before the run. Leaves out:
//! intermediate certificates, which may end before their root; several roots at once.
//! Sources: [`crate::istio::certificate`]; istio/istio security/pkg/pki/ca.
//! Validated by: roots that end and that are renewed in time, in the crate's tests.

use super::api::Client;
use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::istio::certificate::Root;
use crate::istio::push::Push;
use crate::scenario::{Component, RootIssuer};
use engine::{Stream, Time};

impl Domain<'_> {
    /// When istiod first looks at its root, if it may have to renew it within the run.
    pub(crate) fn start_root(&mut self, context: &mut Clock<'_, Self>) {
        let cluster = self.cluster.map(|cluster| self.topology.cluster(cluster));
        let Some((cluster, mesh)) = cluster.and_then(|it| Some((it, it.mesh.as_ref()?))) else {
            return;
        };
        if mesh
            .root
            .is_some_and(|root| root.issuer == RootIssuer::Istiod)
        {
            let stream = Stream::new(self.seed, &format!("root of {}", cluster.name));
            let phase = stream.draw(0, 0).uniform();
            let first = facts::ISTIO_ROOT_CHECK.value.mul_f64(phase);
            context.after(first, Event::RootChecked);
        }
    }

    /// istiod looks at its root.
    pub(crate) fn root_checked(&mut self, context: &mut Clock<'_, Self>) {
        context.after(facts::ISTIO_ROOT_CHECK.value, Event::RootChecked);
        let now = context.now();
        // A new root is kept in a Secret.
        if !self.works(Client::Istiod) {
            return;
        }
        let istiod = self.istiod.as_mut().expect("it looks at its root");
        let mut root = Root::new(Time::ZERO, facts::ISTIO_ROOT_LIFETIME.value);
        root.certificate.until = istiod.root_until;
        if root.check(now, facts::ISTIO_ROOT_LIFETIME.value) {
            istiod.root_until = root.certificate.until;
            self.push(&Push::forced(now), context);
            self.streams_come_back(context);
        }
    }

    /// Until when the root counts that istiod knows.
    pub(super) fn root_until(&self) -> Time {
        let istiod = self.istiod.as_ref();
        istiod.map_or(Time::MAX, |istiod| istiod.root_until)
    }

    /// Whether istiod answers whoever asks it anew, and is believed.
    pub(super) fn istiod_answers(&self, now: Time) -> bool {
        !self.levers.control.stands(Component::Istiod) && now <= self.root_until()
    }
}
