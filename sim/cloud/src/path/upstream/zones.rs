//! Zones, as a proxy that knows its likes sees them.
//!
//! Models: a proxy with `ISTIO_META_ENABLE_SELF_DISCOVERY` is told of the pods of its own workload
//! and revision in its region, as endpoints of its service. Envoy then spreads requests by zone
//! in all clusters whose places have no weights of their own, but for those where
//! `zoneAwareLbSetting` switches that off.
//!
//! Approximated: of several services of a workload the one whose name comes first counts, not the
//! oldest. Leaves out: likes in other clusters.
//! Sources: istio/istio pilot/pkg/xds/endpoints/endpoint_builder.go (isSelfDiscoveryCluster),
//! pilot/pkg/model/context.go (LocalService), pilot/pkg/networking/core/loadbalancer, all of 1.31;
//! [`crate::envoy::zone`].
//! Validated by: shares of zones worked out by hand in the crate's tests.

use super::Upstream;
use crate::domain::Domain;
use crate::envoy::hosts::Localities;
use crate::istio::locality::Locality;
use crate::istio::translate::place::Assignment;
use crate::istio::translate::registry::Health;
use crate::scenario::{Role, ServiceId};
use std::collections::BTreeMap;

/// Where a proxy and its likes stand.
#[derive(Clone, Debug)]
pub(super) struct Likes {
    own: Locality,
    by_place: BTreeMap<Locality, u32>,
}

impl Domain<'_> {
    /// The service as whose endpoints a pod's proxy is told of its likes, if it is.
    pub(super) fn service_of_likes(&self, pod: u32) -> Option<ServiceId> {
        let version = self.translation.as_ref()?.version();
        let sidecar = self.template(pod).sidecar.as_ref()?;
        let discovers = version.discovers_likes() && sidecar.settings.proxy.asks_for_likes();
        if !discovers || sidecar.role == Role::Waypoint {
            return None;
        }
        let described = &self.topology.cluster(self.cluster?).services;
        let workload = self.pods[pod as usize].workload;
        let own = self.workloads[workload.index()].services.iter().copied();
        own.min_by_key(|service| {
            let service = &described[service.index()];
            (&service.name, &service.namespace)
        })
    }

    /// The likes of a pod's proxy that stands in a place, by a version of their service.
    pub(super) fn likes(&self, pod: u32, of: (ServiceId, u32), own: &Locality) -> Likes {
        let kind = |pod: u32| {
            let state = &self.pods[pod as usize];
            (state.workload, state.revision)
        };
        let endpoints = self.endpoints_of(of.0, of.1);
        let is_like = |endpoint: &&crate::istio::translate::registry::Endpoint| {
            endpoint.health == Health::Ready
                && endpoint.locality.region == own.region
                && kind(endpoint.workload) == kind(pod)
        };
        let mut by_place = BTreeMap::new();
        for like in endpoints.iter().filter(is_like) {
            *by_place.entry(like.locality.clone()).or_default() += 1;
        }
        Likes {
            own: own.clone(),
            by_place,
        }
    }
}

impl Upstream {
    /// The number of each group of hosts among the places of its priority. With likes the first of
    /// the first priority is the proxy's own, and the balancers route by zone.
    pub(super) fn number_places(&mut self, told: &Assignment, likes: Option<&Likes>) -> Vec<u32> {
        let hosts_min = self.told.zone_hosts_min();
        let Some((likes, hosts_min)) = likes.zip(hosts_min) else {
            let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
            let groups = told.groups.iter();
            return groups
                .map(|group| {
                    let count = counts.entry(group.priority).or_default();
                    *count += 1;
                    *count - 1
                })
                .collect();
        };
        let mut places = vec![&likes.own];
        let mut place_of = |locality| {
            let known = places.iter().position(|place| *place == locality);
            known.unwrap_or_else(|| {
                places.push(locality);
                places.len() - 1
            }) as u32
        };
        let groups = told.groups.iter();
        let numbers = groups.map(|group| place_of(&group.locality)).collect();
        likes.by_place.keys().for_each(|place| {
            place_of(place);
        });
        let callers = places.iter().map(|place| likes.by_place.get(place));
        self.settings.localities = Localities::ZoneAware {
            callers: callers.map(|count| count.copied().unwrap_or(0)).collect(),
            hosts_min,
        };
        numbers
    }
}
