//! How far proxies are behind: since when something holds that concerns them and that they do not
//! act on.
//!
//! Models: a proxy is behind from the instant at which something that concerns it is written in
//! its cluster's API server until it acts on that; how far is the age of the oldest of what it
//! does not act on. What concerns a proxy is what istiod would send it: endpoints and objects in
//! the scope of a sidecar, everything for a gateway, endpoints and policies for a ztunnel. A
//! proxy that has not been told anything yet acts on nothing, and is not behind.
//!
//! It is looked at when a proxy takes something in, ends, or the run does: requests cost nothing.
//! Approximated: what concerns a proxy is told by what istiod knows at that time; what a policy's
//! or an endpoint's writer still keeps to itself counts from when it is written.
//! Sources: [`crate::istio::push`]; [`super::sending`].
//! Validated by: shares and lags in closed form, in the crate's tests.

use super::sending::is_for_ztunnels;
use crate::domain::Domain;
use crate::istio::push::{Changed, Kind, Push};
use crate::meter::Observation;
use crate::path::ztunnel;
use crate::record::{ProxyKey, ProxyRecord};
use crate::scenario::ClusterId;
use engine::Time;

impl Domain<'_> {
    /// A proxy acts from now on on what it was told.
    pub(crate) fn proxy_acts(&mut self, proxy: u32, now: Time) {
        self.meters.observe(now, Observation::ProxyActs(proxy));
    }

    /// A proxy is about to take in what it is told.
    pub(crate) fn proxy_takes_in(&mut self, proxy: u32, now: Time) {
        if self.count_behind(proxy, now) {
            self.meters.observe(now, Observation::ProxyTookIn(proxy));
        }
    }

    /// A proxy acts no more.
    pub(crate) fn proxy_ends(&mut self, proxy: u32, now: Time) {
        self.count_behind(proxy, now);
        self.meters.observe(now, Observation::ProxyEnds(proxy));
    }

    /// Counts until now; says whether the proxy is behind.
    fn count_behind(&mut self, proxy: u32, now: Time) -> bool {
        let behind_since = match ztunnel::node_of(proxy) {
            Some(node) => self.ztunnel_behind_since(node),
            None => self.sidecar_behind_since(proxy),
        };
        let acted = Observation::ProxyActed {
            proxy,
            behind_since,
        };
        self.meters.observe(now, acted);
        behind_since.is_some()
    }

    /// When the first was written of what concerns the proxy of a pod and has not been taken in.
    fn sidecar_behind_since(&mut self, pod: u32) -> Option<Time> {
        let sidecar = self.pods[pod as usize].sidecar.as_ref()?;
        let (position, generation) = (sidecar.view.position(), sidecar.generation);
        let endpoints = (position..self.endpoint_log.len()).find_map(|position| {
            let publication = *self.endpoint_log.publication(position)?;
            let changed = Changed {
                kind: Kind::Endpoints,
                namespace: 0,
                object: publication.service.0,
            };
            let push = Push::of(changed, publication.published);
            self.concerns(pod, &push).then_some(publication.published)
        });
        let objects = self.objects_after(generation);
        let objects = objects.into_iter().find_map(|(changed, written)| {
            let push = Push::of(changed, written);
            self.concerns(pod, &push).then_some(written)
        });
        endpoints.into_iter().chain(objects).min()
    }

    /// The same of the ztunnel of a node.
    fn ztunnel_behind_since(&self, node: u32) -> Option<Time> {
        let (generation, view) = self.nodes[node as usize].ztunnel.as_ref()?.knows();
        let mut publications = (view.position()..self.endpoint_log.len())
            .filter_map(|position| self.endpoint_log.publication(position));
        let endpoints = publications.find(|publication| !publication.is_for_istiod);
        let endpoints = endpoints.map(|publication| publication.published);
        let objects = self.objects_after(generation).into_iter();
        let mut policies = objects.filter(|(changed, _)| is_for_ztunnels(changed.kind));
        let policies = policies.next().map(|(_, written)| written);
        endpoints.into_iter().chain(policies).min()
    }

    /// What of Istio's objects was written after a generation, and when.
    fn objects_after(&self, generation: u32) -> Vec<(Changed, Time)> {
        let Some(translation) = &self.translation else {
            return Vec::new();
        };
        let later = generation + 1..=translation.newest();
        let written = later.flat_map(|it| {
            let written = translation.written(it);
            let changed = translation.changed(it - 1, it);
            changed.map(move |changed| (changed, written))
        });
        written.collect()
    }

    /// How far each proxy of this cluster was behind, at the end of the run.
    pub(crate) fn proxy_records(&mut self, cluster: ClusterId, until: Time) -> Vec<ProxyRecord> {
        for proxy in self.meters.acting_proxies() {
            self.count_behind(proxy, until);
        }
        let numbers = self.numbers_of_pods();
        let counts = self.meters.proxy_counts().into_iter();
        let mut records: Vec<ProxyRecord> = counts
            .map(|(proxy, counts)| ProxyRecord {
                cluster,
                proxy: match ztunnel::node_of(proxy) {
                    Some(node) => ProxyKey::Ztunnel(node),
                    None => ProxyKey::OfPod {
                        workload: self.pods[proxy as usize].workload,
                        revision: self.pods[proxy as usize].revision,
                        number: numbers[proxy as usize],
                    },
                },
                acted: counts.acted,
                behind: counts.behind,
                lag_twice_ns2: counts.lag_twice_ns2,
                lag_max: counts.lag_max,
                updates: counts.updates,
            })
            .collect();
        records.sort_by_key(|record| record.proxy);
        records
    }

    /// The ordinal of each pod, or as which of its workload it was created.
    pub(crate) fn numbers_of_pods(&self) -> Vec<u32> {
        let mut created = vec![0; self.workloads.len()];
        let pods = self.pods.iter().map(|pod| {
            let created = &mut created[pod.workload.index()];
            *created += 1;
            pod.ordinal.unwrap_or(*created - 1)
        });
        pods.collect()
    }
}
