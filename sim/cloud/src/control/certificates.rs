//! Certificates of sidecars: from when until when each can show who it is.
//!
//! Models: a certificate of a day with each start of a sidecar, which asks istiod for the next
//! one at half its life, give or take a hundredth; while no istiod answers, the one it has runs
//! on to its end. Once istiod is back, each that is overdue has asked again within its pause of
//! up to half a minute. A certificate counts as long as its root does. Connections that stand
//! are not asked again.
//!
//! Approximated: at the start certificates are of any age up to half a life, and an agent that
//! waits for istiod has reached its longest pause.
//! Sources: [`crate::istio::certificate`], [`crate::istio::stream`].
//! Validated by: a fleet without istiod against the closed form, in the crate's tests.

use crate::domain::{Clock, Domain, Event};
use crate::facts;
use crate::fault::Levers;
use crate::istio::certificate::Certificate;
use engine::{Draw, Time};

/// What a sidecar shows, and when it asks for the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Credentials {
    certificate: Option<Certificate>,
    renewal: Time,
    /// Until when the root counts that it knows.
    root_until: Time,
}

impl Credentials {
    /// None, and overdue.
    pub(crate) const NONE: Credentials = Credentials {
        certificate: None,
        renewal: Time::ZERO,
        root_until: Time::ZERO,
    };

    fn issued(now: Time, root_until: Time, draw: &mut Draw) -> Self {
        let lifetime = facts::ISTIO_CERTIFICATE_LIFETIME.value;
        let certificate = Certificate::issue(now, lifetime);
        Credentials {
            renewal: certificate.renewal(draw),
            certificate: Some(certificate),
            root_until,
        }
    }

    /// Those that a ztunnel is given, which does not ask until when a root counts.
    pub(super) fn of_ztunnel(now: Time) -> Self {
        let lifetime = facts::ZTUNNEL_CERTIFICATE_LIFETIME.value;
        let certificate = Certificate::issue(now, lifetime);
        Credentials {
            renewal: certificate.renewal_by_ztunnel(),
            certificate: Some(certificate),
            root_until: Time::MAX,
        }
    }

    /// What was issued at the start, as if its proxy had run for long.
    pub(super) fn of_any_age(self, draw: &mut Draw) -> Self {
        let age = self.renewal.since(Time::ZERO).mul_f64(draw.uniform());
        let earlier = |time: Time| Time::ZERO + time.since(Time::ZERO).saturating_sub(age);
        Credentials {
            certificate: self.certificate.map(|certificate| Certificate {
                until: earlier(certificate.until),
                ..certificate
            }),
            renewal: earlier(self.renewal),
            ..self
        }
    }

    /// When the next one is asked for.
    pub(super) fn renewal(&self) -> Time {
        self.renewal
    }

    /// It hears of a root.
    pub(crate) fn believe(&mut self, root_until: Time) {
        self.root_until = root_until;
    }

    /// Whether they are those of an earlier instant.
    pub(crate) fn stand_since(&self, earlier: Time) -> bool {
        self.certificate.is_some_and(|it| it.from <= earlier)
    }

    /// Whether there ever was a certificate: without one no listener is opened.
    pub(crate) fn has_any(&self) -> bool {
        self.certificate.is_some()
    }

    pub(super) fn is_valid(&self, now: Time) -> bool {
        now <= self.root_until && self.certificate.is_some_and(|it| it.is_valid(now))
    }
}

impl Domain<'_> {
    /// Sidecars that there are from the start have certificates.
    pub(crate) fn start_certificates(&mut self, context: &mut Clock<'_, Self>) {
        for pod in 0..self.pods.len() as u32 {
            if !self.pods[pod as usize].has_sidecar() {
                continue;
            }
            let mut draw = self.certificate_draw(pod, Time::ZERO);
            let root_until = self.root_until();
            if let Some(sidecar) = self.pods[pod as usize].sidecar.as_mut() {
                let issued = Credentials::issued(Time::ZERO, root_until, &mut draw);
                sidecar.credentials = issued.of_any_age(&mut draw);
            }
            self.await_renewal(pod, context);
        }
    }

    fn certificate_draw(&self, pod: u32, now: Time) -> Draw {
        let workload = self.pods[pod as usize].workload;
        let stream = &self.workloads[workload.index()].sidecars.certificates;
        stream.draw(u64::from(pod), now.as_nanos())
    }

    /// Enters a renewal into the calendar, if it falls into the run.
    fn await_renewal(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let Some(sidecar) = self.pods[pod as usize].sidecar.as_ref() else {
            return;
        };
        let at = sidecar.credentials.renewal.max(context.now());
        if at.since(Time::ZERO) <= self.topology.scenario.run.duration {
            let starts = sidecar.starts;
            context.schedule(at, Event::CertificateDue { pod, starts });
        }
    }

    /// A sidecar asks for a certificate, as it starts or because its own is half over.
    pub(crate) fn certificate_due(&mut self, pod: u32, starts: u16, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let istiod_answers = self.reaches_istiod(pod) && self.istiod_answers(now);
        let root_until = self.root_until();
        let mut draw = self.certificate_draw(pod, now);
        let sidecar = self.pods[pod as usize].sidecar.as_mut();
        let Some(sidecar) = sidecar.filter(|it| it.starts == starts) else {
            return;
        };
        if istiod_answers {
            sidecar.credentials = Credentials::issued(now, root_until, &mut draw);
            self.await_renewal(pod, context);
            self.sidecar_may_be_ready(pod, context);
        }
    }

    /// istiod may be reached again: whoever is overdue asks within its pause.
    pub(super) fn certificates_resumed(&mut self, before: &Levers, context: &mut Clock<'_, Self>) {
        let now = context.now();
        for pod in 0..self.pods.len() as u32 {
            let Some(sidecar) = &self.pods[pod as usize].sidecar else {
                continue;
            };
            let is_overdue = sidecar.runs && sidecar.credentials.renewal <= now;
            if is_overdue && self.reaches_istiod(pod) && !self.reaches_under(before, pod) {
                let starts = sidecar.starts;
                let pause = facts::ENVOY_RECONNECT_MAX.value;
                let pause = pause.mul_f64(self.certificate_draw(pod, now).uniform());
                context.after(pause, Event::CertificateDue { pod, starts });
            }
        }
    }

    /// Whether a pod's sidecar, or the ztunnel of its node, can show who it is.
    pub(crate) fn is_certified(&self, pod: u32, now: Time) -> bool {
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        let is_valid = sidecar.is_some_and(|sidecar| sidecar.credentials.is_valid(now));
        is_valid || self.is_certified_by_ztunnel(pod, now)
    }
}
