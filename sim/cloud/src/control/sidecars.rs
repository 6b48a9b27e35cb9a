//! Containers of sidecars and gateways, as kubelets see them: when they count as ready.
//!
//! Models: a proxy that is ready once it has been told something and has a certificate, which its
//! kubelet finds out at the next of its probes, one a second from the container's start on; a pod
//! that is ready when its application and its proxy are. What was found is remembered until the
//! container ends.
//!
//! Approximated: the probe of readiness follows at once on that of the start; a proxy that waits
//! for istiod for longer than its probes bear is not started anew, which would change nothing.
//! Sources: [`crate::istio::readiness`]; kubernetes/kubernetes pkg/kubelet/prober.
//! Validated by: pods that start without istiod, in `tests/promises/outages.rs`.

use crate::domain::{Clock, Domain, Event};
use crate::istio::readiness;
use engine::Time;

impl Domain<'_> {
    /// A proxy may have become ready: its kubelet will find out.
    pub(super) fn sidecar_may_be_ready(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let Some(sidecar) = self.pods[pod as usize].sidecar.as_ref() else {
            return;
        };
        if !sidecar.listens() || sidecar.is_ready {
            return;
        }
        let period = readiness::startup_probe().period;
        let (now, since, starts) = (context.now(), sidecar.started, sidecar.starts);
        let probes = now.since(since).as_nanos().div_ceil(period.as_nanos());
        let at = since + period * probes;
        context.schedule(at, Event::SidecarReady { pod, starts });
    }

    /// A kubelet finds a proxy ready.
    pub(crate) fn sidecar_ready(&mut self, pod: u32, starts: u16, context: &mut Clock<'_, Self>) {
        let sidecar = self.pods[pod as usize].sidecar.as_mut();
        let Some(sidecar) = sidecar.filter(|it| it.starts == starts && !it.is_ready) else {
            return;
        };
        sidecar.is_ready = true;
        self.write_status(pod, context);
    }

    /// Whether nothing but its application can keep a pod from being ready.
    pub(super) fn has_ready_sidecar(&self, pod: u32) -> bool {
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        sidecar.is_none_or(|sidecar| sidecar.is_ready)
    }

    /// The sidecar of a pod has been ready for long.
    pub(super) fn sidecar_stands(&mut self, pod: u32, now: Time) {
        self.sidecar_knows_all(pod, now);
        if let Some(sidecar) = self.pods[pod as usize].sidecar.as_mut() {
            sidecar.is_ready = true;
        }
    }
}
