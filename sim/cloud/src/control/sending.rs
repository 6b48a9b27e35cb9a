//! What istiod sends a proxy in a push: which types of its configuration, and how much it is.
//!
//! Models: pushes of endpoints alone, and of configuration; what is out of a sidecar's scope, or
//! is a policy of another namespace, is not sent to it, while a gateway hears of everything but
//! Sidecars; of clusters only those whose services or rules have changed, since proxies ask for
//! differences; endpoints of all clusters with changes that may touch all; of a gateway a listener
//! for each port, and a configuration of routes for each that carries requests.
//!
//! Approximated: each cluster counts all endpoints of its service, whatever its subset leaves of
//! them; a ztunnel that asks for everything gets no policies; an object that the scope hides
//! because of `exportTo` counts as seen unless a Sidecar names what is seen; what istiod's cache
//! saves is not taken off.
//! Leaves out: `PILOT_FILTER_GATEWAY_CLUSTER_CONFIG`, which is off unless somebody says otherwise:
//! gateways get the clusters of all that their namespace sees.
//! Sources: [`crate::istio::push`]; istio/istio pilot/pkg/networking/core/cluster.go
//! (BuildDeltaClusters) and gateway.go, pilot/pkg/xds/proxy_dependencies.go,
//! pilot/pkg/features/experimental.go (FilterGatewayClusterConfig).
//! Validated by: volumes counted by hand, in the crate's tests.

use crate::domain::Domain;
use crate::facts;
use crate::istio::host;
use crate::istio::push::{Changed, Dependencies, Endpoints, Kind, Push, Role, Type, Volume};
use crate::path::ztunnel;
use crate::scenario::ServiceId;
use crate::view::View;
use std::collections::BTreeSet;

/// Whether ztunnels are told of changes of a kind.
pub(super) fn is_for_ztunnels(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Endpoints | Kind::PeerAuthentication | Kind::AuthorizationPolicy
    )
}

impl Domain<'_> {
    /// Whether something of a push is for a proxy.
    pub(super) fn concerns(&mut self, pod: u32, push: &Push) -> bool {
        self.part_of(pod, push).is_some()
    }

    /// What a push holds for the ztunnel of a node: pods of the services that have changed, and
    /// policies; where it asks for everything, pods of all services, or of those that have changed
    /// since it was told of them, if its release says which those are.
    pub(crate) fn volume_for_ztunnel(&self, node: u32, push: &Push) -> Volume {
        let Some(istiod) = &self.istiod else {
            return Volume::default();
        };
        let known = |service| istiod.view.endpoints(&self.endpoint_log, service).len() as u32;
        let mut volume = Volume::default();
        if push.is_forced() {
            let services = match self.kept_by_ztunnel(node) {
                None => (0..self.services.len()).map(ServiceId::from).collect(),
                Some(kept) => self.services_since(kept, istiod.view),
            };
            volume.resources = services.len() as u32;
            volume.endpoints = services.into_iter().map(known).sum();
            return volume;
        }
        for changed in push.changed() {
            match changed.kind {
                Kind::Endpoints => volume.endpoints += known(ServiceId(changed.object)),
                kind if is_for_ztunnels(kind) => volume.resources += 1,
                _ => {}
            }
        }
        volume
    }

    /// Up to where a ztunnel that comes back knows endpoints, as it tells istiod.
    fn kept_by_ztunnel(&self, node: u32) -> Option<View> {
        let translation = self.translation.as_ref()?;
        let ztunnel = self.nodes[node as usize].ztunnel.as_ref()?;
        let tells = ztunnel.is_configured && translation.version().sends_ztunnels_what_they_lack();
        tells.then_some(ztunnel.view)
    }

    /// Services whose endpoints have changed from one view to another.
    fn services_since(&self, known: View, newer: View) -> BTreeSet<ServiceId> {
        let published = known.position()..newer.position();
        let published = published.filter_map(|at| self.endpoint_log.publication(at));
        published.map(|publication| publication.service).collect()
    }

    /// What of a push is for a proxy, of which types, and the proxy's scope; `None` if nothing is.
    fn part_of(&mut self, pod: u32, push: &Push) -> Option<(Push, Vec<Type>, u32)> {
        let generation = self.istiod.as_ref()?.generation;
        let number = self.scope_of(pod, generation);
        let standing = self.standing(pod).namespace;
        let role = self.role(pod);
        let translation = self.translation.as_ref()?;
        let scope = &translation.tables(generation).scopes[number as usize];
        let sees = |changed: Changed| {
            let limits = scope.sidecar.is_some();
            match changed.kind {
                Kind::Endpoints if role == Role::Sidecar => {
                    scope.services.binary_search(&changed.object).is_ok()
                }
                Kind::DestinationRule if limits => {
                    let rules = translation.news(changed.object).host();
                    let mut services = scope.services.iter();
                    services.any(|it| {
                        host::is_subset(&translation.service_in(generation, *it).host, rules)
                    })
                }
                Kind::VirtualService if limits => {
                    let place = translation.place(generation, changed.object);
                    place.is_some_and(|place| scope.virtual_services.contains(&place))
                }
                _ => true,
            }
        };
        let seen: BTreeSet<Changed> = push
            .changed()
            .filter(|changed| sees(*changed))
            .map(|changed| match changed.kind {
                Kind::Endpoints => Changed {
                    kind: Kind::Service,
                    ..changed
                },
                _ => changed,
            })
            .collect();
        let root_namespace = translation.root_namespace();
        let proxy = Dependencies {
            role,
            namespace: translation.namespace(standing),
            root_namespace,
            scope: &seen,
            own: &BTreeSet::new(),
        };
        let push = push.for_proxy(&proxy)?;
        let types = push.types(&proxy);
        Some((push, types, number))
    }

    /// How much is generated of a push for a proxy.
    pub(super) fn volume(&mut self, pod: u32, push: &Push) -> Volume {
        if let Some(node) = ztunnel::node_of(pod) {
            return self.volume_for_ztunnel(node, push);
        }
        let Some((push, types, scope)) = self.part_of(pod, push) else {
            return Volume::default();
        };
        let (Some(istiod), Some(translation)) = (&self.istiod, &self.translation) else {
            return Volume::default();
        };
        let generation = istiod.generation;
        let scope = &translation.tables(generation).scopes[scope as usize];
        let has = |wanted: Type| types.contains(&wanted);
        let touched = |service: u32| {
            push.changed().any(|changed| match changed.kind {
                Kind::Endpoints => changed.object == service,
                Kind::DestinationRule | Kind::Service => {
                    let host = translation.news(changed.object).host();
                    host::is_subset(&translation.service_in(generation, service).host, host)
                }
                _ => false,
            })
        };
        let is_delta = translation.version().minor() >= facts::ISTIO_DELTA_FROM_MINOR.value;
        let by_service = |it: Changed| {
            matches!(
                it.kind,
                Kind::Endpoints | Kind::Service | Kind::DestinationRule
            )
        };
        let only_some = is_delta && !push.is_forced() && push.changed().all(by_service);
        let all_endpoints = push.endpoints(translation.root_namespace()) == Endpoints::All;
        let mut volume = Volume::default();
        for &cluster in &scope.clusters {
            let service = translation.cluster(generation, cluster).service;
            if has(Type::Clusters) && (!only_some || touched(service)) {
                volume.resources += 1;
            }
            if has(Type::Endpoints) && (all_endpoints || touched(service)) {
                let known = istiod
                    .view
                    .endpoints(&self.endpoint_log, ServiceId(service));
                volume.endpoints += known.len() as u32;
            }
        }
        let (listeners, routes) = match self.is_gateway(pod) {
            true => scope.edge_resources(),
            // One more takes everything in.
            false => (scope.listeners.len() as u32 + 1, scope.tables.len() as u32),
        };
        if has(Type::Listeners) {
            volume.resources += listeners;
        }
        if has(Type::Routes) {
            volume.resources += routes;
        }
        volume
    }

    /// The scope that a proxy has in a generation.
    fn scope_of(&mut self, pod: u32, generation: u32) -> u32 {
        let sidecar = self.pods[pod as usize].sidecar.as_ref();
        if let Some((known, view)) = sidecar.and_then(|sidecar| sidecar.told)
            && known == generation
        {
            return view.scope;
        }
        let proxy = self.standing(pod).proxy();
        let role = self.role(pod);
        let translation = self.translation.as_mut().expect("a mesh translates");
        translation.view(generation, (&proxy, role)).scope
    }
}
