//! One field of a rule against one request.

use super::Values;
use crate::istio::range;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Where a request comes from and goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The address that the connection comes from.
    pub source: IpAddr,
    /// The address that the request says it comes from, or the same.
    pub remote: IpAddr,
    /// The address that the connection goes to.
    pub destination: IpAddr,
}

impl Addresses {
    /// Those that nobody asks for.
    pub const UNASKED: Addresses = Addresses {
        source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        remote: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
}

/// A request or connection, as the server's proxy sees it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The client's identity, as `cluster.local/ns/shop/sa/web`; none without mutual TLS.
    pub principal: Option<&'a str>,
    /// The address that the connection comes from.
    pub source: IpAddr,
    /// The address that the request says it comes from, or the same.
    pub remote: IpAddr,
    /// The workload's address.
    pub destination: IpAddr,
    /// The workload's port.
    pub port: u16,
    /// The name that the client asked for in TLS.
    pub server_name: Option<&'a str>,
    /// What HTTP adds, on ports that are HTTP.
    pub http: Option<Http<'a>>,
}

/// What HTTP says.
#[derive(Clone, Copy, Debug)]
pub struct Http<'a> {
    /// Method.
    pub method: &'a str,
    /// Host, with its port if the client says it.
    pub host: &'a str,
    /// Path, with its query.
    pub path: &'a str,
    /// Headers, by names in small letters.
    pub headers: &'a BTreeMap<String, String>,
    /// A token that a RequestAuthentication has found valid.
    pub token: Option<&'a Token>,
}

/// A valid token.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    /// Who issued it.
    pub issuer: String,
    /// Whom it is about.
    pub subject: String,
    /// Whom it is for.
    pub audiences: Vec<String>,
    /// Who presents it.
    pub presenter: String,
    /// Its other claims: those of `a` in `b` by `b][a`, as conditions write them.
    pub claims: BTreeMap<String, Vec<String>>,
}

impl Token {
    /// The values of a claim, by its name as conditions write it.
    pub fn values(&self, claim: &str) -> &[String] {
        fn one(text: &String) -> &[String] {
            match text.is_empty() {
                true => &[],
                false => std::slice::from_ref(text),
            }
        }
        match claim {
            "iss" => one(&self.issuer),
            "sub" => one(&self.subject),
            "azp" => one(&self.presenter),
            "aud" => &self.audiences,
            other => self.claims.get(other).map_or(&[], Vec::as_slice),
        }
    }
}

/// What a field that a port cannot answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// Its rule never matches.
    NeverMatches,
    /// It is as if it were not there.
    IsIgnored,
}

/// A text with a star at either end, or nothing but a star.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Present,
    Exact(String),
    Prefix(String),
    Suffix(String),
}

impl Pattern {
    fn parse(text: &str) -> Self {
        if text == "*" {
            Pattern::Present
        } else if let Some(end) = text.strip_prefix('*') {
            Pattern::Suffix(end.to_owned())
        } else if let Some(start) = text.strip_suffix('*') {
            Pattern::Prefix(start.to_owned())
        } else {
            Pattern::Exact(text.to_owned())
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Pattern::Present => !text.is_empty(),
            Pattern::Exact(exact) => text == exact,
            Pattern::Prefix(start) => text.starts_with(start.as_str()),
            Pattern::Suffix(end) => text.ends_with(end.as_str()),
        }
    }
}

/// One value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Principal(Pattern),
    Namespace(String),
    ServiceAccount(String, String),
    TrustDomain(String),
    SourceIp(IpNet),
    RemoteIp(IpNet),
    DestinationIp(IpNet),
    Port(u16),
    ServerName(Pattern),
    Host(Pattern),
    Method(Pattern),
    Path(Pattern),
    Template(Vec<String>),
    Header(String, Pattern),
    RequestPrincipal(Pattern, Pattern),
    Audience(Pattern),
    Presenter(Pattern),
    Claim(String, Pattern),
    /// A value that cannot be read.
    Unreadable,
}

impl Test {
    pub(super) fn principal(value: &str) -> Test {
        Test::Principal(Pattern::parse(value))
    }

    pub(super) fn namespace(value: &str) -> Test {
        Test::Namespace(value.to_owned())
    }

    pub(super) fn service_account(value: &str, namespace: &str) -> Test {
        let (namespace, name) = value.split_once('/').unwrap_or((namespace, value));
        Test::ServiceAccount(namespace.to_owned(), name.to_owned())
    }

    pub(super) fn trust_domain(value: &str) -> Test {
        Test::TrustDomain(value.to_owned())
    }

    pub(super) fn source_ip(value: &str) -> Test {
        range::read(value).map_or(Test::Unreadable, Test::SourceIp)
    }

    pub(super) fn remote_ip(value: &str) -> Test {
        range::read(value).map_or(Test::Unreadable, Test::RemoteIp)
    }

    pub(super) fn destination_port(value: &str) -> Test {
        value.parse().map_or(Test::Unreadable, Test::Port)
    }

    pub(super) fn host(value: &str) -> Test {
        Test::Host(Pattern::parse(&value.to_ascii_lowercase()))
    }

    pub(super) fn method(value: &str) -> Test {
        Test::Method(Pattern::parse(value))
    }

    pub(super) fn path(value: &str) -> Test {
        if value.contains("{*}") || value.contains("{**}") {
            Test::Template(value.split('/').map(str::to_owned).collect())
        } else {
            Test::Path(Pattern::parse(value))
        }
    }

    /// The subject begins after the last stroke, since an issuer may be a URL.
    pub(super) fn request_principal(value: &str) -> Test {
        let both = |issuer, subject| {
            Test::RequestPrincipal(Pattern::parse(issuer), Pattern::parse(subject))
        };
        match value.rsplit_once('/') {
            Some((issuer, subject)) => both(issuer, subject),
            None if value == "*" => both("*", "*"),
            None if value.starts_with('*') => both("*", value),
            None if value.ends_with('*') => both(value, "*"),
            None => both(value, ""),
        }
    }

    /// Whether a range holds where a request comes from.
    pub(super) fn holds(&self, addresses: Addresses) -> bool {
        match self {
            Test::SourceIp(range) => range.contains(&addresses.source),
            Test::RemoteIp(range) => range.contains(&addresses.remote),
            Test::DestinationIp(range) => range.contains(&addresses.destination),
            _ => false,
        }
    }

    /// `None` if only HTTP could answer and this is not HTTP, or if the value is unreadable.
    fn matches(&self, asked: &Asked<'_>) -> Option<bool> {
        let principal = asked.principal;
        let http = || asked.http;
        let token = || http().map(|http| http.token);
        Some(match self {
            Test::Principal(pattern) => principal.is_some_and(|it| pattern.matches(it)),
            Test::Namespace(namespace) => {
                principal.is_some_and(|it| matches_namespace(it, namespace))
            }
            Test::ServiceAccount(namespace, name) => {
                principal.is_some_and(|it| account(it) == Some((namespace, name)))
            }
            Test::TrustDomain(domain) => principal
                .and_then(|it| it.split('/').next())
                .is_some_and(|it| matches_stars(it, domain)),
            Test::SourceIp(range) => range.contains(&asked.source),
            Test::RemoteIp(range) => range.contains(&asked.remote),
            Test::DestinationIp(range) => range.contains(&asked.destination),
            Test::Port(port) => asked.port == *port,
            Test::ServerName(pattern) => asked.server_name.is_some_and(|it| pattern.matches(it)),
            Test::Host(pattern) => pattern.matches(&http()?.host.to_ascii_lowercase()),
            Test::Method(pattern) => pattern.matches(http()?.method),
            Test::Path(pattern) => pattern.matches(without_query(http()?.path)),
            Test::Template(template) => matches_template(without_query(http()?.path), template),
            Test::Header(name, pattern) => {
                let value = http()?.headers.get(name);
                value.is_some_and(|it| pattern.matches(it))
            }
            Test::RequestPrincipal(issuer, subject) => token()?
                .is_some_and(|it| issuer.matches(&it.issuer) && subject.matches(&it.subject)),
            Test::Audience(pattern) => {
                token()?.is_some_and(|it| it.audiences.iter().any(|it| pattern.matches(it)))
            }
            Test::Presenter(pattern) => token()?.is_some_and(|it| pattern.matches(&it.presenter)),
            Test::Claim(name, pattern) => {
                let values = token()?.map_or(&[][..], |it| it.values(name));
                values.iter().any(|it| pattern.matches(it))
            }
            Test::Unreadable => return None,
        })
    }
}

/// What follows `/ns/` in an identity, against a name with stars anywhere.
fn matches_namespace(principal: &str, namespace: &str) -> bool {
    let mut parts = principal.split('/').skip_while(|it| *it != "ns").skip(1);
    parts.next().is_some_and(|it| matches_stars(it, namespace))
}

fn matches_stars(text: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return text == pattern;
    };
    let Some(text) = text.strip_prefix(start) else {
        return false;
    };
    (0..=text.len()).any(|from| text.get(from..).is_some_and(|it| matches_stars(it, rest)))
}

/// Namespace and service account of an identity.
fn account(principal: &str) -> Option<(&str, &str)> {
    let after = |name| {
        let mut parts = principal.split('/').skip_while(move |it| *it != name);
        parts.nth(1)
    };
    Some((after("ns")?, after("sa")?))
}

fn without_query(path: &str) -> &str {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    &path[..end]
}

/// `{*}` stands for one segment that is not empty, `{**}` for one or more of any kind.
fn matches_template(path: &str, template: &[String]) -> bool {
    fn all(path: &[&str], template: &[String]) -> bool {
        match template.split_first() {
            None => path.is_empty(),
            Some((first, rest)) if first == "{**}" => {
                (1..=path.len()).any(|from| all(&path[from..], rest))
            }
            Some((first, rest)) => path.split_first().is_some_and(|(segment, path)| {
                let fits = first == segment || (first == "{*}" && !segment.is_empty());
                fits && all(path, rest)
            }),
        }
    }
    let path: Vec<&str> = path.split('/').collect();
    all(&path, template)
}

/// A field with its values made ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    any: Vec<Test>,
    none: Vec<Test>,
}

impl Field {
    /// `None` if it says nothing.
    pub(super) fn of(values: &Values, test: impl Fn(&str) -> Test) -> Option<Self> {
        let ready = |values: &[String]| values.iter().map(|it| test(it)).collect();
        let field = Field {
            any: ready(&values.any),
            none: ready(&values.none),
        };
        (!field.any.is_empty() || !field.none.is_empty()).then_some(field)
    }

    /// Those of its tests that ask where a request comes from.
    pub(super) fn ranges(&self) -> impl Iterator<Item = &Test> {
        let all = self.any.iter().chain(&self.none);
        all.filter(|test| {
            matches!(
                test,
                Test::SourceIp(_) | Test::RemoteIp(_) | Test::DestinationIp(_)
            )
        })
    }

    /// Whether it asks for the name that a client asks for in TLS.
    pub(super) fn asks_for_names(&self) -> bool {
        let mut all = self.any.iter().chain(&self.none);
        all.any(|test| matches!(test, Test::ServerName(_)))
    }

    /// The field of a condition; `None` if nobody knows its key.
    pub(super) fn of_key(key: &str, values: &Values, namespace: &str) -> Option<Self> {
        let bracketed = |start| {
            let rest = key.strip_prefix(start)?.strip_prefix('[')?;
            rest.strip_suffix(']')
        };
        let test: Box<dyn Fn(&str) -> Test> = match key {
            "source.ip" => Box::new(Test::source_ip),
            "remote.ip" => Box::new(Test::remote_ip),
            "source.namespace" => Box::new(Test::namespace),
            "source.serviceAccount" => Box::new(|it| Test::service_account(it, namespace)),
            "source.trustDomain" => Box::new(Test::trust_domain),
            "source.principal" => Box::new(Test::principal),
            "request.auth.principal" => Box::new(Test::request_principal),
            "request.auth.audiences" => Box::new(|it| Test::Audience(Pattern::parse(it))),
            "request.auth.presenter" => Box::new(|it| Test::Presenter(Pattern::parse(it))),
            "destination.ip" => {
                Box::new(|it| range::read(it).map_or(Test::Unreadable, Test::DestinationIp))
            }
            "destination.port" => Box::new(Test::destination_port),
            "connection.sni" => Box::new(|it| Test::ServerName(Pattern::parse(it))),
            _ => {
                if let Some(header) = bracketed("request.headers") {
                    let header = header.to_ascii_lowercase();
                    Box::new(move |it| Test::Header(header.clone(), Pattern::parse(it)))
                } else {
                    let claim = bracketed("request.auth.claims")?.to_owned();
                    Box::new(move |it| Test::Claim(claim.clone(), Pattern::parse(it)))
                }
            }
        };
        // A condition without values is refused by validation; it says nothing.
        Some(Field::of(values, test).unwrap_or(Field {
            any: Vec::new(),
            none: Vec::new(),
        }))
    }

    /// Whether it is about what is asked for, not about who asks.
    pub(super) fn is_about_what(&self) -> bool {
        let first = self.any.first().or(self.none.first());
        matches!(
            first,
            Some(Test::DestinationIp(_) | Test::Port(_) | Test::ServerName(_))
        )
    }

    /// Whether each of its values can be answered.
    pub(super) fn is_usable(&self, asked: &Asked<'_>) -> bool {
        let mut tests = self.any.iter().chain(&self.none);
        tests.all(|test| test.matches(asked).is_some())
    }

    /// Whether it matches; what cannot be answered is as if it were not there.
    pub(super) fn matches(&self, asked: &Asked<'_>) -> bool {
        let mut one_of = self
            .any
            .iter()
            .filter_map(|test| test.matches(asked))
            .peekable();
        let is_one = one_of.peek().is_none() || one_of.any(|it| it);
        is_one
            && !self
                .none
                .iter()
                .any(|test| test.matches(asked) == Some(true))
    }
}
