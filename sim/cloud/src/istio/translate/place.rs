//! Endpoints of a cluster as a proxy is told of them: subset, health, mutual TLS, networks,
//! priorities and weights.

use super::cluster::{Cluster, is_external};
use super::registry::{Endpoint, Health, Proxy, World};
use super::rules::Rule;
use crate::istio::authentication::selects;
use crate::istio::authentication::{Known, Policies, Sent, ServerMode, sent};
use crate::istio::config::Labels;
use crate::istio::host;
use crate::istio::locality::{self, Group, Locality, Member, Viewer};
use crate::istio::network::{self, Gateway, Told};
use std::collections::BTreeMap;

/// Who stands behind an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// An endpoint, by its place among the service's, and its port.
    Endpoint(u32, u16),
    /// A gateway into another network.
    Gateway(Gateway),
}

/// A host of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Who it is.
    pub behind: Behind,
    /// Its weight.
    pub weight: u32,
    /// Whether it is ready.
    pub is_healthy: bool,
    /// What is sent to it.
    pub sent: Sent,
}

/// Hosts of one place and priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// Where they stand.
    pub locality: Locality,
    /// Their priority.
    pub priority: u32,
    /// The weight of the place.
    pub weight: u32,
    /// They.
    pub hosts: Vec<Host>,
}

/// All hosts of a cluster, as proxies of a place see them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// By place and priority.
    pub groups: Vec<Hosts>,
}

impl Assignment {
    /// How many hosts there are.
    pub fn len(&self) -> usize {
        self.groups.iter().map(|group| group.hosts.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is told of a cluster's endpoints to a proxy.
pub fn assignment(
    world: &World<'_>,
    cluster: &Cluster,
    rule: Option<&Rule>,
    endpoints: &[Endpoint],
    proxy: &Proxy,
) -> Assignment {
    let found = Found::new(world, cluster, rule, endpoints, proxy);
    let nothing = Labels::new();
    let groups = found.groups();
    let viewer = Viewer {
        locality: &proxy.locality,
        labels: &proxy.labels,
    };
    let labels = |member: u32| match found.hosts[member as usize].behind {
        Behind::Endpoint(endpoint, _) => &endpoints[endpoint as usize].labels,
        Behind::Gateway(_) => &nothing,
    };
    let groups = match &cluster.locality {
        Some(setting) => {
            locality::apply(groups, setting, viewer, cluster.outlier.is_some(), labels)
        }
        None => groups,
    };
    let groups = groups.into_iter().map(|group| Hosts {
        locality: group.locality,
        priority: group.priority,
        weight: group.weight,
        hosts: group
            .members
            .iter()
            .map(|member| found.hosts[member.endpoint as usize])
            .collect(),
    });
    Assignment {
        groups: groups.collect(),
    }
}

/// Hosts with their places, before these are ordered.
struct Found {
    hosts: Vec<Host>,
    places: Vec<Locality>,
}

impl Found {
    fn new(
        world: &World<'_>,
        cluster: &Cluster,
        rule: Option<&Rule>,
        endpoints: &[Endpoint],
        proxy: &Proxy,
    ) -> Self {
        let service = &world.services[cluster.service as usize];
        let subset = cluster
            .subset
            .and_then(|subset| rule?.subsets.get(subset as usize));
        let mut local_hosts = world.mesh.cluster_local_hosts.iter();
        let is_local = local_hosts.any(|it| host::is_subset(&service.host, it));
        let counts = |endpoint: &Endpoint| {
            let is_well = match endpoint.health {
                Health::Ready => true,
                Health::Unready => service.publishes_unready,
                Health::Terminating => {
                    service.publishes_unready && !world.version.hides_terminating_endpoints()
                }
            };
            is_well
                && !(is_local && endpoint.cluster != proxy.cluster)
                && subset.is_none_or(|subset| selects(&subset.labels, &endpoint.labels))
        };
        let policies = Policies {
            all: &world.objects.peer_authentications,
            root_namespace: &world.mesh.root_namespace,
        };
        let of_namespace = policies.of_namespace(&service.namespace);
        let mut by_place: BTreeMap<&Locality, Vec<(u32, u16, Sent)>> = BTreeMap::new();
        for (endpoint, index) in endpoints.iter().zip(0..) {
            let target = endpoint.targets.get(cluster.port as usize);
            let Some(target) = target.copied().flatten().filter(|_| counts(endpoint)) else {
                continue;
            };
            let of_port = match policies.all {
                [] => ServerMode::default(),
                _ => policies.of_port(&endpoint.namespace, &endpoint.labels, target),
            };
            let sent = sent(Known {
                rule: cluster.tls,
                automatic: world.mesh.auto_mutual_tls,
                is_external: is_external(service),
                of_namespace,
                has_sidecar: endpoint.has_sidecar,
                of_port,
            });
            let place = by_place.entry(&endpoint.locality).or_default();
            place.push((index, target, sent));
        }
        let mut found = Found {
            hosts: Vec::new(),
            places: Vec::new(),
        };
        for (place, members) in by_place {
            found.split(world, endpoints, proxy, place, &members);
        }
        found
    }

    /// Adds the endpoints of a place, or the gateways that lead to them.
    fn split(
        &mut self,
        world: &World<'_>,
        endpoints: &[Endpoint],
        proxy: &Proxy,
        place: &Locality,
        members: &[(u32, u16, Sent)],
    ) {
        let of = |(member, &(endpoint, _, sent)): (u32, &(u32, u16, Sent))| {
            let endpoint = &endpoints[endpoint as usize];
            network::Endpoint {
                endpoint: member,
                network: endpoint.network,
                cluster: endpoint.cluster,
                weight: endpoint.weight,
                is_mutual: sent == Sent::IstioMutual,
            }
        };
        let behind: Vec<network::Endpoint> = (0..).zip(members).map(of).collect();
        for told in world.gateways.split(proxy.network, &behind) {
            let host = match told {
                Told::Direct(member, weight) => {
                    let (endpoint, port, sent) = members[member as usize];
                    Host {
                        behind: Behind::Endpoint(endpoint, port),
                        weight: weight.max(1),
                        is_healthy: endpoints[endpoint as usize].health == Health::Ready,
                        sent,
                    }
                }
                Told::Through(gateway, weight) => Host {
                    behind: Behind::Gateway(gateway),
                    weight: weight.max(1),
                    is_healthy: true,
                    sent: Sent::IstioMutual,
                },
            };
            self.hosts.push(host);
            self.places.push(place.clone());
        }
    }

    /// Hosts by place, all of one priority.
    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (endpoint, (host, place)) in (0..).zip(self.hosts.iter().zip(&self.places)) {
            let weight = host.weight;
            let member = Member { endpoint, weight };
            match groups.last_mut().filter(|group| group.locality == *place) {
                Some(group) => {
                    group.weight = group.weight.saturating_add(weight);
                    group.members.push(member);
                }
                None => groups.push(Group {
                    locality: place.clone(),
                    priority: 0,
                    weight,
                    members: vec![member],
                }),
            }
        }
        groups
    }
}
