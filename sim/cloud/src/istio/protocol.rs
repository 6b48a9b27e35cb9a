//! What a port carries, as Istio decides it.
//!
//! Models: `appProtocol` before the name of the port, the prefix of the name before its dash,
//! ports whose servers speak first; everything else is found out from the first bytes.
//! Source: istio/istio 86c9f01 pkg/config/kube/conversion.go, pkg/config/protocol/instance.go.
//! Validated by: the cases below, from the rules.

/// What a port carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// gRPC.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// HTTP/1.1.
    Http,
    /// A proxy that the application asks itself.
    HttpProxy,
    /// HTTP/2.
    Http2,
    /// HTTPS: opaque but for the name that the client asks for.
    Https,
    /// Anything.
    Tcp,
    /// TLS: opaque but for the name that the client asks for.
    Tls,
    /// UDP: proxies leave it alone.
    Udp,
    /// MongoDB.
    Mongo,
    /// Redis.
    Redis,
    /// MySQL.
    Mysql,
    /// Not said: each connection shows it by its first bytes.
    Sniffed,
}

/// Ports whose servers speak first, so that there are no first bytes to look at: SMTP, DNS,
/// MySQL, MongoDB.
const SERVERS_SPEAK_FIRST: [u16; 4] = [25, 53, 3306, 27017];

const NAMES: [(&str, Protocol); 12] = [
    ("tcp", Protocol::Tcp),
    ("udp", Protocol::Udp),
    ("grpc", Protocol::Grpc),
    ("grpc-web", Protocol::GrpcWeb),
    ("http", Protocol::Http),
    ("http_proxy", Protocol::HttpProxy),
    ("http2", Protocol::Http2),
    ("https", Protocol::Https),
    ("tls", Protocol::Tls),
    ("mongo", Protocol::Mongo),
    ("redis", Protocol::Redis),
    ("mysql", Protocol::Mysql),
];

impl Protocol {
    /// Reads a protocol as Istio's own objects name it, whatever its case.
    pub fn of(text: &str) -> Option<Protocol> {
        let found = NAMES
            .iter()
            .find(|(name, _)| text.eq_ignore_ascii_case(name));
        found.map(|(_, protocol)| *protocol)
    }

    /// What a port of a Service carries.
    pub fn of_port(
        port: u16,
        name: Option<&str>,
        app_protocol: Option<&str>,
        is_udp: bool,
    ) -> Protocol {
        if is_udp {
            return Protocol::Udp;
        }
        match app_protocol {
            Some("kubernetes.io/h2c") => return Protocol::Http2,
            Some("kubernetes.io/ws") => return Protocol::Http,
            Some("kubernetes.io/wss") => return Protocol::Https,
            _ => {}
        }
        let name = app_protocol.or(name).unwrap_or_default();
        let grpc_web = name
            .get(..8)
            .is_some_and(|start| start.eq_ignore_ascii_case("grpc-web"));
        if grpc_web {
            return Protocol::GrpcWeb;
        }
        let prefix = name.split('-').next().unwrap_or_default();
        match Protocol::of(prefix) {
            Some(protocol) => protocol,
            None if SERVERS_SPEAK_FIRST.contains(&port) => Protocol::Tcp,
            None => Protocol::Sniffed,
        }
    }

    /// Whether its requests are routed one by one.
    pub fn is_http(self) -> bool {
        matches!(
            self,
            Protocol::Http
                | Protocol::Http2
                | Protocol::HttpProxy
                | Protocol::Grpc
                | Protocol::GrpcWeb
        )
    }

    /// Whether its requests share connections as streams.
    pub fn is_http2(self) -> bool {
        matches!(self, Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb)
    }

    /// Whether its clients encrypt by themselves, and say which name they ask for.
    pub fn is_tls(self) -> bool {
        matches!(self, Protocol::Https | Protocol::Tls)
    }

    /// What is left once a gateway has decrypted it.
    #[must_use]
    pub fn decrypted(self) -> Protocol {
        match self {
            Protocol::Https => Protocol::Http,
            Protocol::Tls => Protocol::Tcp,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_port_decides() {
        let named = |name| Protocol::of_port(8080, Some(name), None, false);
        assert_eq!(named("http"), Protocol::Http);
        assert_eq!(named("HTTP2-api"), Protocol::Http2);
        assert_eq!(named("grpc-web-api"), Protocol::GrpcWeb);
        assert_eq!(named("grpc-web"), Protocol::GrpcWeb);
        assert_eq!(named("grpc"), Protocol::Grpc);
        assert_eq!(named("tcp-db"), Protocol::Tcp);
        assert_eq!(named("mysql"), Protocol::Mysql);
        assert_eq!(named("httpfoo"), Protocol::Sniffed);
        assert_eq!(named("web-http"), Protocol::Sniffed);
        assert_eq!(
            Protocol::of_port(8080, None, None, false),
            Protocol::Sniffed
        );
        assert_eq!(Protocol::of_port(3306, None, None, false), Protocol::Tcp);
        assert_eq!(
            Protocol::of_port(3306, Some("http"), None, false),
            Protocol::Http
        );
        assert_eq!(
            Protocol::of_port(53, Some("http"), None, true),
            Protocol::Udp
        );
    }

    #[test]
    fn the_protocol_of_the_application_goes_before_the_name() {
        let both = |protocol| Protocol::of_port(80, Some("http"), Some(protocol), false);
        assert_eq!(both("tcp"), Protocol::Tcp);
        assert_eq!(both("kubernetes.io/h2c"), Protocol::Http2);
        assert_eq!(both("kubernetes.io/ws"), Protocol::Http);
        assert_eq!(both("kubernetes.io/wss"), Protocol::Https);
        assert_eq!(both("example.com/own"), Protocol::Sniffed);
        // As the name of a port it means nothing.
        let named = Protocol::of_port(80, Some("kubernetes.io/h2c"), None, false);
        assert_eq!(named, Protocol::Sniffed);
    }

    #[test]
    fn protocols_know_how_they_are_routed() {
        assert!(Protocol::Grpc.is_http() && Protocol::Grpc.is_http2());
        assert!(Protocol::Http.is_http() && !Protocol::Http.is_http2());
        assert!(Protocol::Https.is_tls() && !Protocol::Https.is_http());
        assert_eq!(Protocol::Https.decrypted(), Protocol::Http);
        assert_eq!(Protocol::Tls.decrypted(), Protocol::Tcp);
        assert_eq!(Protocol::Mongo.decrypted(), Protocol::Mongo);
    }
}
