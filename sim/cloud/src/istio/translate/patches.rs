//! What patches of EnvoyFilters make of a proxy's configuration.
//!
//! Models: filters of the root namespace come before those of the proxy's own, smaller priorities
//! before greater ones, older filters before younger ones, and what comes later counts; a patch
//! holds in the configuration of its context. What becomes of routes is in `route_patches.rs`.
//! Source: istio/istio pilot/pkg/model/envoyfilter.go, pilot/pkg/networking/core/envoyfilter.
//! Validated by: the tests below.

use super::cluster::{Cluster, ClusterName};
use super::route_patches::RoutePatches;
use crate::envoy::breaker::Thresholds;
use crate::istio::authentication::selects;
use crate::istio::config::{
    ClusterMatch, ClusterPatch, EnvoyFilter, Labels, PatchChange, PatchContext, StreamLimits,
};
use crate::istio::push::Role;

/// The patches that hold for a proxy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patches {
    /// What it takes in: from others, and at a gateway from everybody.
    pub inbound: StreamLimits,
    /// What its application asks.
    pub outbound: StreamLimits,
    /// Routes of what it takes in.
    pub routes_inbound: RoutePatches,
    /// Routes of what its application asks, and of gateways.
    pub routes_outbound: RoutePatches,
    clusters: Vec<(ClusterMatch, ClusterPatch)>,
}

impl Patches {
    /// Those of all filters that hold for a proxy of a namespace, with these labels.
    pub fn of(
        filters: &[EnvoyFilter],
        (namespace, labels): (&str, &Labels),
        role: Role,
        root_namespace: &str,
    ) -> Patches {
        let is_near = |it: &&EnvoyFilter| {
            let of = it.identity.namespace.as_str();
            (of == root_namespace || of == namespace) && selects(&it.selector, labels)
        };
        let mut ours: Vec<&EnvoyFilter> = filters.iter().filter(is_near).collect();
        ours.sort_by_cached_key(|it| {
            let is_own = it.identity.namespace != root_namespace;
            (is_own, it.priority, it.identity.age_order())
        });
        let mut all = Patches::default();
        for patch in ours.iter().flat_map(|it| &it.patches) {
            let (inbound, outbound) = match (role, patch.context) {
                (Role::Sidecar, PatchContext::Any) => (true, true),
                (Role::Sidecar, PatchContext::SidecarInbound) => (true, false),
                (Role::Sidecar, PatchContext::SidecarOutbound) => (false, true),
                (Role::Gateway, PatchContext::Any | PatchContext::Gateway) => (true, true),
                (Role::Sidecar | Role::Gateway | Role::Waypoint, _) => (false, false),
            };
            match &patch.change {
                PatchChange::Streams(limits) => {
                    if inbound {
                        all.inbound = limits.over(all.inbound);
                    }
                    if outbound {
                        all.outbound = limits.over(all.outbound);
                    }
                }
                PatchChange::Clusters(matches, change) if outbound => {
                    all.clusters.push((matches.clone(), *change));
                }
                PatchChange::Clusters(..) => {}
                PatchChange::Routes(matches, change) => {
                    let sides = all.route_patches(inbound, outbound);
                    sides.for_each(|side| side.routes.push((matches.clone(), change.clone())));
                }
                PatchChange::Hosts(matches, change) => {
                    let sides = all.route_patches(inbound, outbound);
                    sides.for_each(|side| side.hosts.push((matches.clone(), change.clone())));
                }
            }
        }
        all
    }

    fn route_patches(
        &mut self,
        inbound: bool,
        outbound: bool,
    ) -> impl Iterator<Item = &mut RoutePatches> {
        let inbound = inbound.then_some(&mut self.routes_inbound);
        inbound
            .into_iter()
            .chain(outbound.then_some(&mut self.routes_outbound))
    }

    /// A cluster as the proxy is told of it.
    pub fn apply(&self, name: &ClusterName, cluster: &Cluster) -> Cluster {
        let mut patched = cluster.clone();
        let ours = self
            .clusters
            .iter()
            .filter(|(matches, _)| matches.takes(name));
        for (_, change) in ours {
            if let Some(timeout) = change.connect_timeout {
                patched.connect_timeout = timeout;
            }
            if let Some(said) = change.limits {
                let usual = Thresholds::default();
                patched.limits = Thresholds {
                    connections: said.connections.unwrap_or(usual.connections),
                    pending: said.pending.unwrap_or(usual.pending),
                    requests: said.requests.unwrap_or(usual.requests),
                    retries: said.retries.unwrap_or(usual.retries),
                    budget: None,
                };
            }
        }
        patched
    }
}

impl ClusterMatch {
    fn takes(&self, cluster: &ClusterName) -> bool {
        if let Some(name) = &self.name {
            return *name == cluster.to_string();
        }
        let service = self.service.as_ref();
        service.is_none_or(|service| *service == cluster.host)
            && self.port.is_none_or(|port| port == cluster.port)
            && (self.subset.is_none() || self.subset == cluster.subset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::istio::config::{Created, EnvoyPatch, Identity};
    use engine::Duration;

    fn filter(namespace: &str, age: u64, context: PatchContext, idle: u64) -> EnvoyFilter {
        EnvoyFilter {
            identity: Identity {
                namespace: namespace.into(),
                name: format!("filter-{age}"),
                created: Created::Before(age as i64),
            },
            selector: Labels::new(),
            priority: 0,
            local: Vec::new(),
            service: None,
            actions: Vec::new(),
            patches: vec![EnvoyPatch {
                context,
                change: PatchChange::Streams(StreamLimits {
                    idle: Some(Duration::from_secs(idle)),
                    lasting: None,
                }),
            }],
        }
    }

    #[test]
    fn the_own_namespace_counts_before_the_root_and_the_younger_filter_before_the_older() {
        let filters = [
            filter("shop", 2, PatchContext::Any, 2),
            filter("shop", 1, PatchContext::Any, 1),
            filter("istio-system", 3, PatchContext::Any, 3),
            filter("other", 4, PatchContext::Any, 4),
        ];
        let idle = |count: usize| {
            let labels = Labels::new();
            let proxy = ("shop", &labels);
            let all = Patches::of(
                &filters[filters.len() - count..],
                proxy,
                Role::Sidecar,
                "istio-system",
            );
            all.inbound.idle.map(Duration::as_secs_f64)
        };
        assert_eq!(idle(1), None);
        assert_eq!(idle(2), Some(3.0));
        assert_eq!(idle(3), Some(1.0));
        assert_eq!(idle(4), Some(2.0));
    }

    #[test]
    fn a_greater_priority_counts_before_age() {
        let mut filters = [
            filter("shop", 1, PatchContext::Any, 1),
            filter("shop", 2, PatchContext::Any, 2),
        ];
        filters[0].priority = 1;
        let labels = Labels::new();
        let all = Patches::of(&filters, ("shop", &labels), Role::Sidecar, "istio-system");
        assert_eq!(all.inbound.idle, Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_patch_holds_in_its_context() {
        let both = |context, role| {
            let filters = [filter("shop", 1, context, 5)];
            let all = Patches::of(&filters, ("shop", &Labels::new()), role, "istio-system");
            (all.inbound.idle.is_some(), all.outbound.idle.is_some())
        };
        assert_eq!(both(PatchContext::Any, Role::Sidecar), (true, true));
        assert_eq!(
            both(PatchContext::SidecarInbound, Role::Sidecar),
            (true, false)
        );
        assert_eq!(
            both(PatchContext::SidecarOutbound, Role::Sidecar),
            (false, true)
        );
        assert_eq!(both(PatchContext::Gateway, Role::Sidecar), (false, false));
        assert_eq!(both(PatchContext::Gateway, Role::Gateway), (true, true));
        assert_eq!(both(PatchContext::Any, Role::Waypoint), (false, false));
    }

    #[test]
    fn clusters_match_by_name_or_by_all_that_is_said() {
        let cluster = ClusterName {
            host: "web.shop.svc.cluster.local".into(),
            port: 80,
            subset: Some("v1".into()),
        };
        let all = ClusterMatch::default();
        assert!(all.takes(&cluster));
        let service = ClusterMatch {
            service: Some(cluster.host.clone()),
            port: Some(80),
            ..all.clone()
        };
        assert!(service.takes(&cluster));
        let port = ClusterMatch {
            port: Some(81),
            ..service.clone()
        };
        assert!(!port.takes(&cluster));
        let subset = ClusterMatch {
            subset: Some("v2".into()),
            ..service
        };
        assert!(!subset.takes(&cluster));
        let named = ClusterMatch {
            name: Some("outbound|80|v1|web.shop.svc.cluster.local".into()),
            ..port
        };
        assert!(named.takes(&cluster));
    }
}
