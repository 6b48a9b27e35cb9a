//! What pods count of their answers: at the sidecar where there is one, else in the application.
//!
//! Models: how many there were with and without an error, and how long those without one took
//! from the request's arrival at the pod; a proxy says of a copy that it is one.
//! Leaves out: requests that never got to a pod, or whose pod died.
//! Sources: istio/istio standard metrics with `reporter="destination"`.
//! Validated by: canary releases that are judged by it, in the crate's tests.

use super::{CallRef, Owner};
use crate::domain::Domain;
use crate::path::passage::Passage;
use engine::{Duration, Time};

impl Domain<'_> {
    /// A pod has answered a call, with an error or after so long.
    #[inline]
    pub(super) fn note_answer(
        &mut self,
        pod: u32,
        (asked_by, latency): (CallRef, Option<Duration>),
        now: Time,
    ) {
        // Nobody else reads it.
        if !self.canaries.is_empty() {
            let is_copy = self.is_of_copy(asked_by);
            self.count_for_canaries(pod, latency, is_copy, now);
        }
    }

    /// Whether a call that asks a pod was made for a copy.
    fn is_of_copy(&self, call: CallRef) -> bool {
        let call = (call.partition == self.id).then(|| self.calls.get(call.call));
        match call.flatten().map(|call| call.owner) {
            Some(Owner::Passage(key)) => self.passages.get(key).is_some_and(Passage::is_copy),
            _ => false,
        }
    }
}
