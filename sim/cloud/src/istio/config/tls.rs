//! Encryption: what clients of an endpoint do, and what servers of a gateway do.

use crate::istio::authentication::ClientMode;

/// What a client does (`ClientTLSSettings`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// In which way.
    pub mode: ClientMode,
    /// Name that it asks for.
    pub sni: Option<String>,
    /// Names of which the server's certificate must bear one, if any are given.
    pub subject_names: Vec<String>,
    /// Whether the server's certificate is not checked.
    pub skips_verification: bool,
}

/// What a server of a gateway does (`ServerTLSSettings`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// Whether plain requests are told to ask again encrypted.
    pub redirects_to_https: bool,
    /// In which way it encrypts.
    pub mode: ServerTlsMode,
    /// Names of which a client's certificate must bear one, if any are given.
    pub subject_names: Vec<String>,
    /// Whether it names a certificate: by file or by secret.
    pub names_certificate: bool,
}

/// How a server of a gateway encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerTlsMode {
    /// Connections are passed on as they are, by the name that the client asks for.
    Passthrough,
    /// It shows a certificate.
    Simple,
    /// Both show certificates.
    Mutual,
    /// Connections are passed on, and the name itself says where.
    AutoPassthrough,
    /// Both show Istio's certificates.
    IstioMutual,
    /// It shows a certificate, and the client may.
    OptionalMutual,
}
