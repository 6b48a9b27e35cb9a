//! istiod: what sidecars know of endpoints.
//!
//! Models: a watch of the API server, whose news reach every sidecar.
//! Approximated: sidecars learn what istiod learns at once.
//! Sources: istio/istio pilot; [`crate::facts`].
//! Validated by: requests of sidecars that act on an old view, in the crate's tests.

use super::api::Client;
use crate::domain::{Clock, Domain};
use crate::meter::Observation;
use crate::record::ViewKind;
use crate::view::View;

/// The mesh of a cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mesh {
    /// What its sidecars know.
    pub(crate) view: View,
}

impl Domain<'_> {
    /// istiod hears of what was published one watch delay ago.
    pub(crate) fn istiod_informed(&mut self, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let knows = self.heard_until(Client::Istiod, now);
        let kind = ViewKind::Sidecar;
        let meters = &mut self.meters;
        let Some(mesh) = &mut self.mesh else {
            return;
        };
        mesh.view
            .catch_up(&self.endpoint_log, knows, |publication| {
                let changed = publication.changed;
                meters.observe(now, Observation::ViewApplied { kind, changed });
            });
    }
}
