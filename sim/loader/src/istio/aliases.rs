//! Services that are other names, as destinations of routes.
//!
//! Models: since 1.21 istiod leads what a route sends to a Service of type ExternalName to the host
//! that it stands for, at the destination's port, the Service's only one, or the one that was asked;
//! if nothing is known of that host, requests get 503 (NC). A name that stands for one that stands
//! for a third leads nowhere.
//!
//! Approximated: before 1.21 such Services were hosts of their own; here they lead nowhere then, as
//! where `ENABLE_EXTERNAL_NAME_ALIAS` is false.
//! Sources: istio/istio 86c9f01 pilot/pkg/networking/core/route/route.go (GetDestinationCluster),
//! releasenotes/notes/external-name-on.yaml; istio.io, upgrade notes of 1.21.
//! Validated by: who answers, in `routing_cases` of the tests of promises.

use super::objects::Written;
use super::references::full;
use crate::kubernetes::service::{Addressing, Service};
use cloud::facts;
use cloud::istio::config::{Destination, HttpAction, Object, Target, VirtualService};
use cloud::istio::host;
use std::collections::BTreeMap;

/// The names of Services that stand for others, in full, with their only ports.
#[derive(Clone, Debug, Default)]
pub(super) struct Aliases<'a>(BTreeMap<String, (&'a str, Option<u16>)>);

impl<'a> Aliases<'a> {
    pub(super) fn of(services: &'a [Service]) -> Self {
        let aliases = services.iter().filter_map(|service| {
            let Addressing::ExternalName(target) = &service.addressing else {
                return None;
            };
            let metadata = &service.metadata;
            let domain = facts::MESH_TRUST_DOMAIN.value;
            let name = host::service(&metadata.name, &metadata.namespace, domain);
            let port = match service.ports.as_slice() {
                [only] => Some(only.port),
                _ => None,
            };
            Some((name, (target.as_str(), port)))
        });
        Aliases(aliases.collect())
    }

    /// What a host stands for, asked in a namespace.
    pub(super) fn target(&self, written: &str, namespace: &str) -> Option<&'a str> {
        self.find(written, namespace).map(|(target, _)| target)
    }

    fn find(&self, written: &str, namespace: &str) -> Option<(&'a str, Option<u16>)> {
        self.0.get(&full(written, namespace)).copied()
    }

    /// Leads routes to what the names stand for.
    pub(super) fn lead(&self, written: &mut [Written]) {
        for written in written {
            let Object::VirtualService(service) = &mut written.object else {
                continue;
            };
            let namespace = service.identity.namespace.clone();
            for destination in destinations(service) {
                if let Some((target, port)) = self.find(&destination.host, &namespace) {
                    destination.host = target.to_owned();
                    destination.port = destination.port.or(port);
                }
            }
        }
    }
}

/// Everything that routes of a VirtualService send to, copies among it.
fn destinations(service: &mut VirtualService) -> impl Iterator<Item = &mut Destination> {
    let http = service.http.iter_mut().flat_map(|route| {
        let forward = match &mut route.action {
            HttpAction::Forward(all) => all.as_mut_slice(),
            _ => &mut [],
        };
        let forward = forward.iter_mut().filter_map(|it| match &mut it.target {
            Target::Host(destination) => Some(destination),
            Target::Broken { .. } => None,
        });
        let mirrors = route.mirrors.iter_mut();
        forward.chain(mirrors.map(|it| &mut it.destination))
    });
    let tls = service.tls.iter_mut();
    let tls = tls.flat_map(|route| route.destinations.iter_mut());
    let tcp = service.tcp.iter_mut();
    let tcp = tcp.flat_map(|route| route.destinations.iter_mut());
    http.chain(tls.chain(tcp).map(|it| &mut it.destination))
}
