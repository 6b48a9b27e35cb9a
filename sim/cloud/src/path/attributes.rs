//! What is asked, as proxies see it: by numbers, so that requests carry no texts.
//!
//! Models: method, authority, path, headers of requests as they leave a sidecar, after what its
//! route changed. Requests of one kind that take one way share them, so they are made once.
//!
//! Approximated: an application without a sidecar hands on the headers of the request that
//! reached the last one with a sidecar, and so does what asks in another cluster with those of
//! the user.
//! Validated by: requests that meet routes and policies behind changes, in the crate's tests.

use crate::envoy::paths::PathRules;
use crate::istio::authorization::{self, Token};
use crate::istio::config::{HeaderTest, LimitPart};
use crate::istio::translate::rewrite::Changing;
use crate::istio::translate::route::Request;
use crate::scenario::Presented;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attributes {
    pub(super) method: String,
    /// The token that it carries.
    pub(super) token: Option<Presented>,
    /// What the proxy that has it, and that routes it, has found in a token that counts.
    pub(super) shown: Option<Token>,
    /// What routes may change.
    pub(super) said: Changing,
}

impl Attributes {
    /// As routes look at it, which came by this scheme.
    pub(super) fn request<'a>(&'a self, scheme: &'a str) -> Request<'a> {
        Request {
            method: &self.method,
            scheme,
            authority: &self.said.authority,
            path: &self.said.path,
            headers: &self.said.headers,
            token: self.shown.as_ref(),
        }
    }

    /// As AuthorizationPolicies see it, with a token that counts.
    pub(super) fn http<'a>(&'a self, token: Option<&'a Token>) -> authorization::Http<'a> {
        authorization::Http {
            method: &self.method,
            host: &self.said.authority,
            path: &self.said.path,
            headers: &self.said.headers,
            token,
        }
    }

    /// A proxy makes its path plain.
    pub(super) fn make_plain(&mut self, rules: PathRules) {
        self.said.path = rules.apply(&self.said.path);
    }

    /// Whether a browser asks whether it may ask.
    pub(super) fn is_preflight(&self) -> bool {
        let says = |name| self.said.headers.get(name).is_some_and(|it| !it.is_empty());
        self.method == "OPTIONS" && says("origin") && says("access-control-request-method")
    }

    /// A header by its name in small letters, or what Envoy has instead of one.
    fn header(&self, name: &str) -> Option<&str> {
        self.request(PLAIN).header(name)
    }

    /// A part of what limits of rates are told of it, which comes from an address; nothing where
    /// it is not there.
    pub(super) fn part(&self, part: &LimitPart, remote: IpAddr) -> Option<(String, String)> {
        let value = match part {
            LimitPart::Fixed { value, .. } => value.clone(),
            LimitPart::Header { name, .. } => self.header(name)?.to_owned(),
            LimitPart::Matching {
                value,
                headers,
                is_expected,
                ..
            } => {
                let holds = |test: &HeaderTest| test.holds(self.header(&test.name));
                (headers.iter().all(holds) == *is_expected).then(|| value.clone())?
            }
            LimitPart::RemoteAddress => remote.to_string(),
        };
        Some((part.key().to_owned(), value))
    }

    /// As a copy is sent: Envoy marks its authority.
    fn shadow(&self) -> Attributes {
        let mut shadow = self.clone();
        let authority = &self.said.authority;
        shadow.said.authority = match authority.split_once(':') {
            Some((host, port)) => format!("{host}{SHADOW}:{port}"),
            None => format!("{authority}{SHADOW}"),
        };
        shadow
    }
}

const SHADOW: &str = "-shadow";

/// The scheme of requests that come in plaintext, or from a sidecar's own application.
pub(super) const PLAIN: &str = "http";
/// The scheme of requests that come over TLS which a gateway ends.
pub(super) const ENCRYPTED: &str = "https";

/// The number of what was asked, among those of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asked(pub(super) u32);

impl Asked {
    /// What the user asked, whom no sidecar has stood behind yet.
    pub(crate) const BY_USER: Asked = Asked(u32::MAX);

    /// Where it is remembered.
    pub(super) fn spread(self) -> u32 {
        self.0
    }
}

/// Everything that was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributed {
    all: Vec<Attributes>,
    known: BTreeMap<Attributes, u32>,
}

impl Attributed {
    /// What a number stands for; nothing for what the user asked.
    pub(super) fn get(&self, asked: Asked) -> Option<&Attributes> {
        self.all.get(asked.0 as usize)
    }

    /// The number of this.
    pub(super) fn number(&mut self, attributes: Attributes) -> Asked {
        if let Some(known) = self.known.get(&attributes) {
            return Asked(*known);
        }
        let number = self.all.len() as u32;
        self.all.push(attributes.clone());
        self.known.insert(attributes, number);
        Asked(number)
    }

    /// The number of a copy of this.
    pub(super) fn shadow(&mut self, asked: Asked) -> Asked {
        match self.get(asked).map(Attributes::shadow) {
            Some(shadow) => self.number(shadow),
            None => asked,
        }
    }
}
