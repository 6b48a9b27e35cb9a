//! PeerAuthentication, RequestAuthentication and AuthorizationPolicy: who may ask whom.

use super::{Identity, Labels};
use crate::istio::authentication::ServerMode;
use crate::istio::authorization::{Action, Rule};
use engine::Duration;
use std::collections::BTreeMap;

/// A PeerAuthentication: whether plain connections are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAuthentication {
    /// How it is called.
    pub identity: Identity,
    /// Whose: all of the namespace if empty, or of the mesh in the root namespace.
    pub selector: Labels,
    /// For all ports; as the next wider policy says if nothing is said.
    pub mode: Option<ServerMode>,
    /// For single ports of the pods.
    pub ports: BTreeMap<u16, Option<ServerMode>>,
}

/// Whom a policy is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyTarget {
    /// All pods of its namespace, or of the mesh in the root namespace.
    Everybody,
    /// Pods with these labels there.
    Selected(Labels),
    /// Gateways, waypoints or services.
    References(Vec<TargetReference>),
}

/// An object that a policy is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetReference {
    /// Group of its kind, empty for core.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// An AuthorizationPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationPolicy {
    /// How it is called.
    pub identity: Identity,
    /// Whom it is for.
    pub target: PolicyTarget,
    /// What it does with requests that match.
    pub action: Action,
    /// Name of the provider that is asked, in the mesh's configuration.
    pub provider: Option<String>,
    /// Requests match if one of these does; none do if there are none.
    pub rules: Vec<Rule>,
    /// Whether it only reports (`istio.io/dry-run`).
    pub is_dry_run: bool,
}

/// A RequestAuthentication: which tokens count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestAuthentication {
    /// How it is called.
    pub identity: Identity,
    /// Whom it is for.
    pub target: PolicyTarget,
    /// Issuers: a token of another, or a bad one, is refused; a request without is not.
    pub issuers: Vec<TokenIssuer>,
}

/// Where a token may stand in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// In a header.
    Header {
        /// Its name, in lower case.
        name: String,
        /// What stands before the token.
        prefix: String,
    },
    /// In a query parameter.
    Parameter(String),
    /// In a cookie.
    Cookie(String),
}

/// Whose tokens count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenIssuer {
    /// Issuer.
    pub issuer: String,
    /// Audiences of which a token must name one, if any are given.
    pub audiences: Vec<String>,
    /// Where keys are fetched from; in place or found by the issuer otherwise.
    pub keys_uri: Option<String>,
    /// Where it is looked for; where Envoy does by itself if nothing is said.
    pub places: Vec<TokenPlace>,
    /// Whether the token is sent on.
    pub forwards_token: bool,
    /// Headers that say what claims of a token say, each with the claim's name, dots between the
    /// names of nested ones.
    pub claim_headers: Vec<(String, String)>,
    /// Header with all that a token says.
    pub payload_header: Option<String>,
    /// Claims whose texts are lists with blanks between, besides those that always are.
    pub lists: Vec<String>,
    /// How long fetching the keys may take.
    pub timeout: Option<Duration>,
    /// Whether istiod could not fetch them: no token of the issuer counts.
    pub lacks_keys: bool,
}

impl TokenIssuer {
    /// Where its tokens are looked for: where it says, or as RFC 6750 has it.
    pub fn places(&self) -> impl Iterator<Item = TokenPlace> {
        let usual = match self.places.is_empty() {
            true => vec![
                TokenPlace::Header {
                    name: "authorization".to_owned(),
                    prefix: "Bearer ".to_owned(),
                },
                TokenPlace::Parameter("access_token".to_owned()),
            ],
            false => Vec::new(),
        };
        self.places.iter().cloned().chain(usual)
    }
}
