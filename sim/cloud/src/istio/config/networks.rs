//! `meshNetworks`: which endpoints are on which network, and how to get there.

use std::collections::BTreeMap;

/// Networks by name.
pub type MeshNetworks = BTreeMap<String, Network>;

/// A network: its endpoints reach one another by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Which endpoints are on it.
    pub endpoints: Vec<NetworkEndpoints>,
    /// How to get there from others.
    pub gateways: Vec<NetworkGateway>,
}

/// Endpoints of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkEndpoints {
    /// With an address in this range.
    Range(String),
    /// Of the cluster with this name.
    Registry(String),
}

/// A way into a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkGateway {
    /// Who takes connections.
    pub address: GatewayAddress,
    /// Port.
    pub port: u16,
    /// Where it stands.
    pub locality: Option<String>,
}

/// Who takes connections into a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayAddress {
    /// A service, by its full name.
    Service(String),
    /// An address or a name.
    Address(String),
}
