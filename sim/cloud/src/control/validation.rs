//! Istio's objects on their way into the API server, which asks istiod about each.
//!
//! Models: a webhook that fails closed, as it does once an istiod has shown that it refuses a bad
//! object: without istiod nothing of Istio can be written, and what was refused is not tried
//! again. Objects of the Gateway API, Ingresses and labels are not asked about. What is stored goes
//! over istiod's watch.
//! Sources: [`crate::istio::webhook`].
//! Validated by: the table of outages, in the crate's tests.

use crate::domain::{Clock, Domain};
use crate::istio::config::Object;
use crate::istio::webhook::{Answer, Validation, Verdict};

impl Domain<'_> {
    /// Somebody writes objects of Istio.
    pub(super) fn write_istio(&mut self, objects: &[Object], context: &mut Clock<'_, Self>) {
        let mut webhook = Validation::default();
        // Long before the start.
        webhook.try_bad_object(Answer::Given);
        let answer = match self.istiod_answers(context.now()) {
            true => Answer::Given,
            false => Answer::Missing,
        };
        let stored = |object: &&Object| {
            // What is invalid does not get into a scenario.
            is_checked_elsewhere(object) || webhook.write(true, answer) == Verdict::Stored
        };
        let stored: Vec<Object> = objects.iter().filter(stored).cloned().collect();
        let Some(translation) = self.translation.as_mut().filter(|_| !stored.is_empty()) else {
            return;
        };
        translation.write(&stored, context.now());
        self.istiod_hears(context);
        self.registry_changed(context);
        self.groups_changed(&stored, context);
    }
}

/// Whether an object stands for one that is checked without istiod: one of the Gateway API, an
/// Ingress, or a label of a service.
fn is_checked_elsewhere(object: &Object) -> bool {
    match object {
        Object::VirtualService(service) => service.is_made(),
        Object::Gateway(gateway) => gateway.is_made(),
        Object::WaypointUse(_) => true,
        _ => false,
    }
}
