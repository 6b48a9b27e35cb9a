//! Gateway of Istio.

use super::forms::{
    CERTIFICATES, Scope, flag, held, identity, istio_kind, labels, protocol, string, strings,
};
use crate::document::Document;
use crate::shape::{Field, Kind, Shape, TEXT_LIST, TEXT_MAP};
use crate::tree::Node;
use cloud::istio::config::{Gateway, Server, ServerHost, ServerTls, ServerTlsMode};
use cloud::istio::protocol::Protocol;
use std::collections::BTreeSet;

const VERSIONS: Kind = Kind::OneOf(&["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]);
const CIPHERS: &str = "ciphers and versions of TLS are not told apart";

static PORT: Shape = Shape::new(
    "IstioPort",
    &[
        Field::modelled("number", crate::shape::INTEGER).required(),
        Field::modelled("protocol", Kind::Text).required(),
        Field::ignored("name", Kind::Text, "a name for people").required(),
        Field::ignored("targetPort", crate::shape::INTEGER, "Istio does not use it"),
    ],
);
static CERTIFICATE: Shape = Shape::new(
    "TLSCertificate",
    &[
        Field::ignored("serverCertificate", Kind::Text, CERTIFICATES),
        Field::ignored("privateKey", Kind::Text, CERTIFICATES),
        Field::ignored("caCertificates", Kind::Text, CERTIFICATES),
    ],
);
pub(super) static SERVER_TLS: Shape = Shape::new(
    "ServerTLSSettings",
    &[
        Field::modelled("httpsRedirect", Kind::Bool),
        Field::modelled(
            "mode",
            Kind::OneOf(&[
                "PASSTHROUGH",
                "SIMPLE",
                "MUTUAL",
                "AUTO_PASSTHROUGH",
                "ISTIO_MUTUAL",
                "OPTIONAL_MUTUAL",
            ]),
        ),
        Field::ignored("serverCertificate", Kind::Text, CERTIFICATES),
        Field::ignored("privateKey", Kind::Text, CERTIFICATES),
        Field::ignored("caCertificates", Kind::Text, CERTIFICATES),
        Field::ignored("caCrl", Kind::Text, CERTIFICATES),
        Field::ignored("credentialName", Kind::Text, CERTIFICATES),
        Field::ignored("credentialNames", TEXT_LIST, CERTIFICATES),
        Field::ignored("caCertCredentialName", Kind::Text, CERTIFICATES),
        Field::ignored(
            "tlsCertificates",
            Kind::List(&Kind::Map(&CERTIFICATE)),
            CERTIFICATES,
        ),
        Field::ignored("subjectAltNames", TEXT_LIST, CERTIFICATES),
        Field::ignored("verifyCertificateSpki", TEXT_LIST, CERTIFICATES),
        Field::ignored("verifyCertificateHash", TEXT_LIST, CERTIFICATES),
        Field::ignored("minProtocolVersion", VERSIONS, CIPHERS),
        Field::ignored("maxProtocolVersion", VERSIONS, CIPHERS),
        Field::ignored("cipherSuites", TEXT_LIST, CIPHERS),
        Field::ignored("ecdhCurves", TEXT_LIST, CIPHERS),
        Field::ignored("insecureSkipVerify", Kind::Bool, CERTIFICATES),
    ],
);
static SERVER: Shape = Shape::new(
    "IstioServer",
    &[
        Field::modelled("port", Kind::Map(&PORT)).required(),
        held("bind", Kind::Text),
        Field::modelled("hosts", TEXT_LIST).required(),
        Field::modelled("tls", Kind::Map(&SERVER_TLS)),
        Field::ignored("defaultEndpoint", Kind::Text, "Istio does not use it"),
        Field::ignored("name", Kind::Text, "a name for people"),
    ],
);
static SPEC: Shape = Shape::new(
    "IstioGatewaySpec",
    &[
        Field::modelled("servers", Kind::List(&Kind::Map(&SERVER))),
        Field::modelled("selector", TEXT_MAP),
    ],
);
istio_kind!(GATEWAY, "IstioGateway", SPEC);

/// Reads a checked document.
pub(super) fn read(document: &Document, scope: &mut Scope<'_>) -> Gateway {
    let spec = document.spec();
    let name = &document.metadata.name;
    if name.contains('.') {
        let message = format!("a gateway cannot be called `{name}`");
        scope.refuse(document.metadata.span, message, "its name has no dots");
    }
    if spec.list("servers").is_empty() {
        let help = "give `servers` with a port and hosts";
        scope.refuse(document.metadata.span, "the gateway has no servers", help);
    }
    let mut names = BTreeSet::new();
    let servers = spec.list("servers").iter();
    let servers = servers
        .filter_map(|node| {
            let name = node
                .at(&["port", "name"])
                .and_then(Node::str)
                .unwrap_or_default();
            if !name.is_empty() && !names.insert(name) {
                let message = format!("two servers call their port `{name}`");
                scope.refuse(node.span, message, "give each port a name of its own");
            }
            server(node, scope)
        })
        .collect();
    Gateway {
        identity: identity(document),
        selector: labels(spec, "selector"),
        only_in: None,
        servers,
    }
}

fn server(node: &Node, scope: &mut Scope<'_>) -> Option<Server> {
    let port = node.get("port")?;
    if node.list("hosts").is_empty() {
        scope.refuse(node.span, "the server takes no hosts", "`*` takes all");
    }
    for host in node.list("hosts") {
        let text = host.str().unwrap_or_default();
        let name = text.split_once('/').map_or(text, |(_, name)| name);
        scope.check_host(name, host.span);
    }
    let carried = protocol(port, "protocol");
    if carried.is_none() {
        let text = string(port, "protocol").unwrap_or_default();
        let message = format!("`{text}` is no protocol");
        let help = "it takes HTTP, HTTP2, HTTPS, GRPC, GRPC-WEB, MONGO, REDIS, MYSQL, TCP or TLS";
        scope.refuse(port.span, message, help);
    }
    if port
        .get("targetPort")
        .is_some_and(|node| node.integer() != Some(0))
    {
        let message = "`targetPort` has no effect on gateways";
        scope.refuse(
            port.span,
            message,
            "the Service of the gateway maps its ports",
        );
    }
    let carried = carried.unwrap_or(Protocol::Tcp);
    check_tls(node, carried, scope);
    Some(Server {
        name: string(node, "name"),
        port: scope.port(port.get("number"))?,
        port_name: string(port, "name").unwrap_or_default(),
        protocol: carried,
        bind: string(node, "bind"),
        hosts: strings(node, "hosts")
            .iter()
            .map(|host| ServerHost::of(host))
            .collect(),
        tls: node.get("tls").map(|node| server_tls(node, scope)),
    })
}

fn check_tls(node: &Node, carried: Protocol, scope: &mut Scope<'_>) {
    let tls = node.get("tls");
    if carried.is_tls() && tls.is_none() {
        let help = "add `tls` with a `mode`";
        scope.refuse(node.span, "a server for HTTPS or TLS needs `tls`", help);
    }
    let Some(tls) = tls.filter(|_| !carried.is_tls()) else {
        return;
    };
    let redirects = flag(tls, "httpsRedirect") == Some(true);
    let mode = tls.get("mode").and_then(Node::str);
    let plain = mode.is_none_or(|mode| mode == "PASSTHROUGH");
    if !carried.is_http() {
        let message = "a server for connections that are not TLS cannot have `tls`";
        scope.refuse(tls.span, message, "set the protocol to TLS or HTTPS");
    } else if !plain || string(tls, "serverCertificate").is_some() {
        let message = "a server for plain HTTP cannot encrypt";
        scope.refuse(tls.span, message, "set the protocol to HTTPS");
    }
    if redirects && !carried.is_http() {
        let message = "`httpsRedirect` counts for HTTP alone";
        scope.warn(tls.span, message, "remove it");
    }
}

/// Reads `tls` of a server.
pub(super) fn server_tls(node: &Node, scope: &mut Scope<'_>) -> ServerTls {
    let mode = match node.get("mode").and_then(Node::str) {
        Some("SIMPLE") => ServerTlsMode::Simple,
        Some("MUTUAL") => ServerTlsMode::Mutual,
        Some("AUTO_PASSTHROUGH") => ServerTlsMode::AutoPassthrough,
        Some("ISTIO_MUTUAL") => ServerTlsMode::IstioMutual,
        Some("OPTIONAL_MUTUAL") => ServerTlsMode::OptionalMutual,
        _ => ServerTlsMode::Passthrough,
    };
    let by_file =
        string(node, "serverCertificate").is_some() && string(node, "privateKey").is_some();
    let by_secret =
        string(node, "credentialName").is_some() || !node.list("credentialNames").is_empty();
    let by_list = !node.list("tlsCertificates").is_empty();
    let names_certificate = by_file || by_secret || by_list;
    let needs = [
        ServerTlsMode::Simple,
        ServerTlsMode::Mutual,
        ServerTlsMode::OptionalMutual,
    ];
    if needs.contains(&mode) && !names_certificate {
        let message = "this mode needs a certificate";
        let help = "name a secret by `credentialName`, or files";
        scope.refuse(node.span, message, help);
    }
    if mode == ServerTlsMode::IstioMutual && names_certificate {
        let message = "mode ISTIO_MUTUAL takes no certificate";
        scope.refuse(node.span, message, "Istio's own certificates are used");
    }
    if [by_file, by_secret, by_list]
        .iter()
        .filter(|by| **by)
        .count()
        > 1
    {
        let message = "the certificate is named in several ways";
        scope.refuse(node.span, message, "leave one of them");
    }
    ServerTls {
        redirects_to_https: flag(node, "httpsRedirect").unwrap_or_default(),
        mode,
        subject_names: strings(node, "subjectAltNames"),
        names_certificate,
    }
}
