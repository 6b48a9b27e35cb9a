//! What labels and annotations of pods and namespaces say to Istio.

use super::{ExportTo, Labels, ProxySettings};
use crate::istio::distribution::Word;
use crate::istio::protocol::Protocol;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels: `istio-injection`, `istio.io/rev`, `istio.io/dataplane-mode`, and those that
    /// discovery selectors ask for.
    pub labels: Labels,
    /// `networking.istio.io/traffic-distribution` of its services that say nothing themselves.
    pub distribution: Option<Word>,
}

/// What annotations of a pod say about its proxy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodSettings {
    /// `sidecar.istio.io/inject` as an annotation, which the label outweighs.
    pub inject: Option<String>,
    /// Which connections go through the proxy.
    pub capture: Capture,
    /// CPU and memory of the proxy.
    pub resources: ProxyResources,
    /// `sidecar.istio.io/interceptionMode`.
    pub interception: Option<InterceptionMode>,
    /// `sidecar.istio.io/nativeSidecar`: whether the proxy is an init container that keeps
    /// running.
    pub is_native: Option<bool>,
    /// `proxy.istio.io/config`.
    pub proxy: ProxySettings,
}

/// What a service says to Istio beside what Kubernetes reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSettings {
    /// What ports carry that say so by `appProtocol`, by their numbers.
    pub protocols: BTreeMap<u16, Protocol>,
    /// `networking.istio.io/exportTo`: who may see it.
    pub export_to: ExportTo,
    /// Labels by which it selects pods, and WorkloadEntries as well.
    pub selector: Labels,
    /// `networking.istio.io/traffic-distribution`.
    pub distribution: Option<Word>,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        ServiceSettings {
            protocols: BTreeMap::new(),
            export_to: ExportTo::Default,
            selector: Labels::new(),
            distribution: None,
        }
    }
}

impl ServiceSettings {
    /// What a port of TCP carries: what `appProtocol` says, or else its name.
    pub fn protocol(&self, port: u16, name: Option<&str>) -> Protocol {
        let said = self.protocols.get(&port).copied();
        said.unwrap_or_else(|| Protocol::of_port(port, name, None, false))
    }
}

/// CPU and memory of a proxy; what is not said is as the mesh says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyResources {
    /// `sidecar.istio.io/proxyCPU`, in thousandths of a core.
    pub cpu_request_milli: Option<u64>,
    /// `sidecar.istio.io/proxyCPULimit`, in thousandths of a core.
    pub cpu_limit_milli: Option<u64>,
    /// `sidecar.istio.io/proxyMemory`.
    pub memory_request_bytes: Option<u64>,
    /// `sidecar.istio.io/proxyMemoryLimit`.
    pub memory_limit_bytes: Option<u64>,
}

impl ProxyResources {
    /// What the container of an injected proxy gets. One request or limit that a pod sets takes
    /// all of the mesh's away, as the injection template does.
    #[must_use]
    pub fn or(self, mesh: ProxyResources) -> ProxyResources {
        if self == ProxyResources::default() {
            mesh
        } else {
            self
        }
    }
}

/// How connections come to a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterceptionMode {
    /// By iptables' REDIRECT: the application does not see where they come from.
    #[default]
    Redirect,
    /// By TPROXY.
    Tproxy,
    /// Not by themselves.
    None,
}

/// Which connections go through the proxy (`traffic.sidecar.istio.io/...`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// `includeOutboundIPRanges`: addresses whose connections do.
    pub outbound_ranges: Included<IpNet>,
    /// `excludeOutboundIPRanges`: those whose do not.
    pub outbound_ranges_excluded: Vec<IpNet>,
    /// `includeOutboundPorts`: ports whose connections do, whatever their address.
    pub outbound_ports: Vec<u16>,
    /// `excludeOutboundPorts`: those whose do not.
    pub outbound_ports_excluded: Vec<u16>,
    /// `includeInboundPorts`: ports of the pod whose connections do.
    pub inbound_ports: Included<u16>,
    /// `excludeInboundPorts`: those whose do not.
    pub inbound_ports_excluded: Vec<u16>,
}

/// What is taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Included<T> {
    /// Everything: `*`.
    All,
    /// These alone.
    Only(Vec<T>),
}

impl Default for Capture {
    fn default() -> Self {
        Capture {
            outbound_ranges: Included::All,
            outbound_ranges_excluded: Vec::new(),
            outbound_ports: Vec::new(),
            outbound_ports_excluded: Vec::new(),
            inbound_ports: Included::All,
            inbound_ports_excluded: Vec::new(),
        }
    }
}

impl Capture {
    /// Whether a connection that the application opens goes through its proxy, in the order of
    /// the rules: ports left out, ports taken in, addresses left out, addresses taken in.
    pub fn takes_outbound(&self, address: IpAddr, port: u16) -> bool {
        let lies_in = |ranges: &[IpNet]| ranges.iter().any(|range| range.contains(&address));
        if self.outbound_ports_excluded.contains(&port) {
            return false;
        }
        if self.outbound_ports.contains(&port) {
            return true;
        }
        !lies_in(&self.outbound_ranges_excluded)
            && match &self.outbound_ranges {
                Included::All => true,
                Included::Only(ranges) => lies_in(ranges),
            }
    }

    /// Whether a connection to a port of the pod goes through its proxy: ports left out count
    /// only where all are taken in.
    pub fn takes_inbound(&self, port: u16) -> bool {
        match &self.inbound_ports {
            Included::All => !self.inbound_ports_excluded.contains(&port),
            Included::Only(ports) => ports.contains(&port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_go_before_addresses() {
        let range = |text: &str| text.parse().unwrap();
        let capture = Capture {
            outbound_ranges: Included::Only(vec![range("10.0.0.0/8")]),
            outbound_ranges_excluded: vec![range("10.1.0.0/16")],
            outbound_ports: vec![443],
            outbound_ports_excluded: vec![5432],
            ..Capture::default()
        };
        let takes = |address: &str, port| capture.takes_outbound(address.parse().unwrap(), port);
        assert!(takes("10.0.0.1", 80));
        assert!(!takes("10.1.0.1", 80));
        assert!(takes("10.1.0.1", 443));
        assert!(!takes("10.0.0.1", 5432));
        assert!(!takes("192.168.0.1", 80));
        assert!(Capture::default().takes_outbound("192.168.0.1".parse().unwrap(), 80));
    }

    #[test]
    fn a_port_carries_what_is_said_of_it_before_what_it_is_called() {
        let said = ServiceSettings {
            protocols: BTreeMap::from([(80, Protocol::Tcp)]),
            ..ServiceSettings::default()
        };
        assert_eq!(said.protocol(80, Some("http")), Protocol::Tcp);
        assert_eq!(said.protocol(81, Some("http")), Protocol::Http);
        assert_eq!(said.protocol(82, None), Protocol::Sniffed);
    }

    #[test]
    fn inbound_ports_left_out_need_all_others() {
        let all_but = Capture {
            inbound_ports_excluded: vec![9090],
            ..Capture::default()
        };
        assert!(all_but.takes_inbound(80) && !all_but.takes_inbound(9090));
        let only = Capture {
            inbound_ports: Included::Only(vec![9090]),
            inbound_ports_excluded: vec![9090],
            ..Capture::default()
        };
        assert!(only.takes_inbound(9090) && !only.takes_inbound(80));
    }

    #[test]
    fn one_word_about_resources_takes_the_rest_of_the_mesh_away() {
        let mesh = ProxyResources {
            cpu_request_milli: Some(100),
            cpu_limit_milli: Some(2000),
            ..ProxyResources::default()
        };
        let pod = ProxyResources {
            cpu_request_milli: Some(10),
            ..ProxyResources::default()
        };
        assert_eq!(pod.or(mesh).cpu_limit_milli, None);
        assert_eq!(ProxyResources::default().or(mesh), mesh);
    }
}
