//! What an installation of Istio brings: the gateways of its profiles.
//!
//! Sources: istio/istio manifests/charts/gateways and manifests/profiles.

use cloud::facts;
use cloud::istio::config::Labels;
use cloud::scenario::ServiceKind;

/// The namespace of what an installation brings.
pub(crate) const NAMESPACE: &str = "istio-system";

/// Where gateways say whether they are ready.
pub(crate) const STATUS_PORT: u16 = facts::ISTIO_GATEWAY_STATUS_PORT.value as u16;

/// A gateway of a profile.
pub(crate) struct Known {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its label `istio`.
    pub(crate) istio: &'static str,
    /// How it is reached.
    pub(crate) service: ServiceKind,
    /// Name, port, and port of the pods.
    pub(crate) ports: &'static [(&'static str, u16, u16)],
}

/// The gateways of the profiles.
pub(crate) const KNOWN: [Known; 2] = [
    Known {
        name: "istio-ingressgateway",
        istio: "ingressgateway",
        service: ServiceKind::LoadBalancer,
        ports: &[
            ("status-port", STATUS_PORT, STATUS_PORT),
            ("http2", 80, 8_080),
            ("https", 443, 8_443),
            ("tcp-istiod", 15_012, 15_012),
            ("tls", 15_443, 15_443),
        ],
    },
    Known {
        name: "istio-egressgateway",
        istio: "egressgateway",
        service: ServiceKind::ClusterIp,
        ports: &[("http2", 80, 8_080), ("https", 443, 8_443)],
    },
];

impl Known {
    /// Labels of its pods.
    pub(crate) fn labels(&self) -> Labels {
        let pairs = [("app", self.name), ("istio", self.istio)];
        let owned = pairs.map(|(label, value)| (label.to_owned(), value.to_owned()));
        owned.into()
    }
}
