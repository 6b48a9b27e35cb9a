//! kube-proxy's rules on a node: from Services and EndpointSlices to netfilter's text.
//!
//! Models: the iptables mode's nat and filter tables to the character as 1.36 writes them, and
//! the nftables mode's table; endpoint selection by conditions, hints and traffic policies.
//! Approximated: of two slices that disagree about one address, the one whose name sorts last
//! counts; a real kube-proxy takes either at random.
//! Leaves out: rules of IPv6 services.
//! Sources: kubernetes/kubernetes v1.30.5 pkg/proxy; rules that kube-proxy 1.36.2 wrote.
//! Validated by: recordings of kube-proxy 1.36.2 in `tests/parity/kube-proxy`.
//!
//! Must never know: simulated time, requests. Only [`cost`] knows chance, by the draw it is handed.

mod compiled;
mod configuration;
mod conntrack;
pub mod cost;
mod decision;
mod health;
mod input;
pub mod iptables;
pub mod ipvs;
mod names;
pub mod nftables;
mod plan;
mod select;
pub mod sync;

pub use compiled::{Chosen, Compiled, Fate};
pub use configuration::{
    Configuration, DetectLocal, Mode, NodePortAddresses, Scheduler, UdpTimeouts,
};
pub use conntrack::{Cleaning, Connections, Entry, Flow, Stale};
pub use decision::{Client, Decision, Door, Masquerade, Place, decide};
pub use health::health_check;
pub use input::{Endpoint, Input, Node, Protocol, Service, ServicePort};
pub use plan::{Plan, Standing, plan};
pub use select::{Demand, Hint, Seen, Selection, has_last_resort, select};
