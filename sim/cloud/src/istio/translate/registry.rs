//! What istiod knows when it translates: services, their endpoints, who asks.

use crate::istio::config::{
    Configuration, Created, ExportTo, Labels, Location, MeshConfig, Resolution,
};
use crate::istio::locality::{Distribution, Locality};
use crate::istio::network::Gateways;
use crate::istio::protocol::Protocol;
use crate::istio::version::Version;
use ipnet::IpNet;
use std::net::IpAddr;

/// A service of the registry: one of Kubernetes, or a host of a ServiceEntry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its full name in small letters, or a wildcard.
    pub host: String,
    /// Its namespace.
    pub namespace: String,
    /// Since when it exists.
    pub created: Created,
    /// Addresses that stand for it; none if it is headless.
    pub addresses: Vec<IpAddr>,
    /// Ranges of addresses that a ServiceEntry says stand for it.
    pub ranges: Vec<IpNet>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// How its endpoints are found; headless services are [`Resolution::None`].
    pub resolution: Resolution,
    /// Whether its endpoints belong to the mesh.
    pub location: Location,
    /// Who may see it.
    pub export_to: ExportTo,
    /// Whom its clients prefer.
    pub distribution: Distribution,
    /// Whether unready endpoints count (`publishNotReadyAddresses`).
    pub publishes_unready: bool,
    /// Whether ServiceEntries describe it, and no Service of Kubernetes.
    pub is_of_entry: bool,
}

impl Service {
    /// Whether its name stands for addresses of pods, which sidecars know one by one.
    pub fn is_headless(&self) -> bool {
        !self.is_of_entry && self.addresses.is_empty() && self.resolution == Resolution::None
    }
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Port.
    pub number: u16,
    /// Name.
    pub name: String,
    /// What it carries.
    pub protocol: Protocol,
}

/// How an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Ready.
    Ready,
    /// Not ready.
    Unready,
    /// On its way out.
    Terminating,
}

/// An endpoint of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A number of the caller's own: its pod or machine.
    pub workload: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its port for each of the service's, if it has one.
    pub targets: Vec<Option<u16>>,
    /// Its labels, with those of its place.
    pub labels: Labels,
    /// Where it stands.
    pub locality: Locality,
    /// Its cluster, by a number of the caller's own.
    pub cluster: u32,
    /// Its network, likewise.
    pub network: Option<u32>,
    /// Its namespace.
    pub namespace: String,
    /// Its weight.
    pub weight: u32,
    /// How it is.
    pub health: Health,
    /// Whether a sidecar stands before it.
    pub has_sidecar: bool,
}

/// A proxy that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Its namespace.
    pub namespace: String,
    /// Its labels, with those of its place.
    pub labels: Labels,
    /// Where it stands.
    pub locality: Locality,
    /// Its cluster.
    pub cluster: u32,
    /// Its network.
    pub network: Option<u32>,
}

/// All that istiod knows but for endpoints.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// Services.
    pub services: &'a [Service],
    /// Objects of Istio.
    pub objects: &'a Configuration,
    /// What holds for the mesh.
    pub mesh: &'a MeshConfig,
    /// Domain of the cluster's names, as `cluster.local`.
    pub domain: &'a str,
    /// Gateways between networks.
    pub gateways: &'a Gateways,
    /// The release.
    pub version: Version,
}
