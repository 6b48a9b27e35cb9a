//! kube-proxy's rules: what a node's kernel is told about Services.
//!
//! From Services, EndpointSlices and a node's settings to the rules of that node, as kube-proxy
//! writes them. Must never know the event queue: plain values in, plain values out.

mod input;

pub use input::{
    Configuration, DetectLocal, Endpoint, Input, IpvsScheduler, Mode, Node, Policy, Port, Protocol,
    Service,
};
