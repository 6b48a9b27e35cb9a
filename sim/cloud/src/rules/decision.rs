//! What a node does with a new connection to a service port, in a few comparisons.
//!
//! Models: what the rules of the iptables mode come to, chain by chain, for every address of a
//! service and every kind of client: which endpoints may be chosen, whether the node puts its
//! own address in place of the client's, what is refused and what is dropped. Which endpoint of
//! those is up to the mode.
//! Approximated: the other modes decide the same; in nftables and ipvs mode a few clients that
//! find no endpoint are refused where iptables lets them pass.
//! Sources: kubernetes/kubernetes v1.30.5 pkg/proxy/iptables/proxier.go.
//! Validated by: walks over the generated rules of random worlds, in `iptables/walk/tests.rs`.

use super::Standing;

/// At which of its addresses a service port is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Its cluster address.
    Cluster,
    /// One of its external addresses.
    External,
    /// One of its load balancer's addresses.
    Balancer {
        /// Whether the source ranges of the service let the client in.
        allowed: bool,
    },
    /// Its port of a node.
    NodePort {
        /// Whether that address of the node takes such traffic.
        open: bool,
    },
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Whether the node takes it for one of its pods.
    pub known: bool,
    /// Where it is.
    pub place: Place,
}

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Beyond an interface of the node: its pods are there too.
    Interface,
    /// A process of the node, which calls another address than the node's.
    Process,
    /// A process of the node, which calls its own node.
    Itself,
}

/// How clients that are not known to be pods are treated at the cluster address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masquerade {
    /// Everybody's address is replaced.
    All,
    /// That of clients which are not pods.
    Others,
    /// Nobody's, since pods cannot be told.
    None,
}

/// What a node does with a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// On to an endpoint.
    Endpoint {
        /// One of the selection's local list, rather than of that for the cluster.
        local: bool,
        /// The node's address takes the place of the client's.
        masquerade: bool,
    },
    /// Refused at once.
    Refuse,
    /// Dropped.
    Drop,
    /// Not of any service's concern.
    Untouched,
}

/// Decides about a new connection.
pub fn decide(standing: Standing, door: Door, client: Client, masquerade: Masquerade) -> Decision {
    match door {
        Door::Cluster if standing.has_internal => Decision::Endpoint {
            local: standing.internal_local,
            masquerade: match masquerade {
                Masquerade::All => true,
                Masquerade::Others => !client.known,
                Masquerade::None => false,
            },
        },
        Door::Cluster => refusal(standing),
        Door::Balancer { allowed: false } if standing.any => Decision::Drop,
        Door::NodePort { open: false } if standing.has_external => Decision::Untouched,
        Door::NodePort { open: false } => refusal(standing),
        _ if standing.any => from_outside(standing, client),
        // Packets that a process sends elsewhere meet no rule which refuses them.
        _ if client.place == Place::Process => Decision::Untouched,
        _ => refusal(standing),
    }
}

/// At an address that outsiders may call, if there is any endpoint.
fn from_outside(standing: Standing, client: Client) -> Decision {
    if !standing.external_local {
        return Decision::Endpoint {
            local: false,
            masquerade: true,
        };
    }
    if client.known || client.place != Place::Interface {
        return Decision::Endpoint {
            local: false,
            masquerade: !client.known,
        };
    }
    if standing.has_external {
        return Decision::Endpoint {
            local: true,
            masquerade: false,
        };
    }
    refusal(standing)
}

fn refusal(standing: Standing) -> Decision {
    if standing.any {
        Decision::Drop
    } else {
        Decision::Refuse
    }
}
