//! Gateway: what the proxies at the edge listen for.

use super::{Identity, Labels, ServerTls, ServerTlsMode};
use crate::istio::protocol::Protocol;

/// A Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// How it is called.
    pub identity: Identity,
    /// Labels of the pods that are its proxies.
    pub selector: Labels,
    /// The only namespace whose pods are: so with what istiod makes of Gateways of the Gateway API,
    /// and of ListenerSets that belong to these.
    pub only_in: Option<String>,
    /// What they listen for.
    pub servers: Vec<Server>,
}

impl Gateway {
    /// Whether istiod makes it of something of the Gateway API.
    pub fn is_of_gateway_api(&self) -> bool {
        self.only_in.is_some()
    }
}

/// What a proxy at the edge listens for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name, for reports.
    pub name: Option<String>,
    /// Port.
    pub port: u16,
    /// Name of the port.
    pub port_name: String,
    /// What it carries.
    pub protocol: Protocol,
    /// Address that it binds to, if not all.
    pub bind: Option<String>,
    /// Hosts, as `namespace/host` with wildcards.
    pub hosts: Vec<ServerHost>,
    /// Encryption.
    pub tls: Option<ServerTls>,
}

impl Server {
    /// Whether the name of TLS tells it from others of its port; servers for HTTP never are, whatever
    /// they say of TLS.
    pub fn is_told_apart(&self) -> bool {
        self.tls.is_some() && !self.protocol.is_http()
    }

    /// Whether it passes encrypted connections on.
    pub fn passes_on(&self) -> bool {
        let mode = self.tls.as_ref().map(|tls| tls.mode);
        self.is_told_apart()
            && matches!(
                mode,
                Some(ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough)
            )
    }

    /// Whether it routes requests one by one.
    pub fn carries_requests(&self) -> bool {
        let decrypted = self.protocol.decrypted();
        decrypted.is_http() && !self.passes_on()
    }
}

/// A host that a server takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHost {
    /// Namespaces of VirtualServices that may bind to it.
    pub namespace: HostNamespace,
    /// The host, with or without wildcard.
    pub host: String,
}

/// The part of a host before its slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostNamespace {
    /// None, or `*`.
    Any,
    /// `.`: that of the object itself.
    Own,
    /// `~`: none at all (Sidecar).
    None,
    /// This one.
    Named(String),
}

impl ServerHost {
    /// Reads `host` or `namespace/host`.
    pub fn of(text: &str) -> ServerHost {
        let (namespace, host) = match text.split_once('/') {
            None => (HostNamespace::Any, text),
            Some(("*" | "", host)) => (HostNamespace::Any, host),
            Some((".", host)) => (HostNamespace::Own, host),
            Some(("~", host)) => (HostNamespace::None, host),
            Some((namespace, host)) => (HostNamespace::Named(namespace.to_owned()), host),
        };
        ServerHost {
            namespace,
            host: host.to_owned(),
        }
    }
}
