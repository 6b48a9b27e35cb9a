//! Routes of requests: which one takes a request, and what becomes of it.

use super::delegates::Merged;
use crate::envoy::retry as envoy;
use crate::facts;
use crate::istio::authentication::selects;
use crate::istio::authorization::Token;
use crate::istio::config::common::whole;
use crate::istio::config::{
    FaultInjection, GatewayName, HeaderChanges, HttpAction, HttpDestination, HttpMatch, HttpRoute,
    Labels, Percent, Redirect, Retries, RetryCondition, RetryOn, Rewrite, Source, StreamLimits,
    StringMatch, Target, UriMatch, ValueMatch,
};
use crate::istio::version::Version;
use engine::Duration;
use regex::Regex;
use std::collections::BTreeMap;

/// A request, as routes look at it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Method.
    pub method: &'a str,
    /// Scheme.
    pub scheme: &'a str,
    /// Host, with its port if the client says it.
    pub authority: &'a str,
    /// Path with query.
    pub path: &'a str,
    /// Headers, by names in small letters.
    pub headers: &'a BTreeMap<String, String>,
    /// What the proxy that routes has found in a token that counts.
    pub token: Option<&'a Token>,
}

impl<'a> Request<'a> {
    /// A header by its name in small letters, or what Envoy has instead of one.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        match name {
            ":path" => Some(self.path),
            ":authority" | "host" => Some(self.authority),
            ":method" => Some(self.method),
            ":scheme" => Some(self.scheme),
            name => self.headers.get(name).map(String::as_str),
        }
    }
}

/// A test of a text.
#[derive(Clone, Debug)]
enum Text {
    Present,
    Exact(String),
    Prefix(String),
    Below(String),
    /// The whole text; nothing matches an expression that cannot be read.
    Regex(Option<Regex>),
}

impl Text {
    fn of(text: &StringMatch) -> Self {
        match text {
            StringMatch::Exact(text) => Text::Exact(text.clone()),
            StringMatch::Prefix(text) => Text::Prefix(text.clone()),
            StringMatch::Regex(text) => Text::Regex(whole(text)),
        }
    }

    fn of_value(value: &ValueMatch) -> Self {
        match value {
            ValueMatch::Present => Text::Present,
            ValueMatch::Is(text) => Text::of(text),
        }
    }

    fn lower(self) -> Self {
        match self {
            Text::Exact(text) => Text::Exact(text.to_lowercase()),
            Text::Prefix(text) => Text::Prefix(text.to_lowercase()),
            Text::Below(text) => Text::Below(text.to_lowercase()),
            other => other,
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Text::Present => true,
            Text::Exact(exact) => text == exact,
            Text::Prefix(start) => text.starts_with(start.as_str()),
            Text::Below(path) => {
                let rest = text.strip_prefix(path.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Text::Regex(regex) => regex.as_ref().is_some_and(|regex| regex.is_match(text)),
        }
    }
}

/// What a request must be to take a route: all of it.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    path: Option<Text>,
    ignores_case: bool,
    scheme: Option<Text>,
    method: Option<Text>,
    authority: Option<Text>,
    headers: Vec<(Subject, Text)>,
    without_headers: Vec<(Subject, Text)>,
    /// Whether a header that must not be so counts as empty if it is not there.
    takes_missing_as_empty: bool,
    query: Vec<(String, Text)>,
}

impl Conditions {
    fn of(said: &HttpMatch, version: Version) -> Self {
        let subjects = |values: &BTreeMap<String, ValueMatch>| {
            let values = values.iter();
            values
                .map(|(name, value)| (Subject::named(name), Text::of_value(value)))
                .collect()
        };
        let query = said.query.iter();
        let path = said.uri.as_ref().map(|uri| match uri {
            UriMatch::Text(text) => Text::of(text),
            UriMatch::Below(path) => Text::Below(path.clone()),
        });
        Conditions {
            path: if said.ignores_uri_case {
                path.map(Text::lower)
            } else {
                path
            },
            ignores_case: said.ignores_uri_case,
            scheme: said.scheme.as_ref().map(Text::of),
            method: said.method.as_ref().map(Text::of),
            authority: said.authority.as_ref().map(Text::of),
            headers: subjects(&said.headers),
            without_headers: subjects(&said.without_headers),
            takes_missing_as_empty: version.takes_missing_headers_as_empty(),
            query: query
                .map(|(name, value)| (name.clone(), Text::of_value(value)))
                .collect(),
        }
    }

    /// What the path must be.
    pub fn path(&self) -> Path<'_> {
        match &self.path {
            None | Some(Text::Present) => Path::Begins("/"),
            Some(Text::Exact(path)) => Path::Is(path),
            Some(Text::Prefix(start)) => Path::Begins(start),
            Some(Text::Below(path)) if path.is_empty() => Path::Begins("/"),
            Some(Text::Below(path)) => Path::Below(path),
            Some(Text::Regex(regex)) => {
                let whole = regex.as_ref().map_or("", Regex::as_str);
                let bare = whole.strip_prefix("^(?:");
                Path::Matches(bare.and_then(|it| it.strip_suffix(")$")).unwrap_or(whole))
            }
        }
    }

    /// Whether everything matches.
    pub fn is_catch_all(&self) -> bool {
        let all_paths = match &self.path {
            None => true,
            Some(Text::Prefix(start)) => start == "/",
            Some(Text::Below(path)) => path.is_empty(),
            Some(Text::Regex(Some(regex))) => regex.as_str() == "^(?:.*)$",
            Some(_) => false,
        };
        let others = [&self.scheme, &self.method, &self.authority];
        all_paths
            && others.iter().all(|it| it.is_none())
            && self.headers.is_empty()
            && self.without_headers.is_empty()
            && self.query.is_empty()
    }

    /// Whether a request has nothing that passes a test.
    fn is_without(&self, request: &Request<'_>, of: &Subject, test: &Text) -> bool {
        match of {
            Subject::Header(name) if !matches!(test, Text::Present) => {
                let value = request.header(name);
                let missing = self.takes_missing_as_empty.then_some("");
                value.or(missing).is_some_and(|value| !test.matches(value))
            }
            _ => !of.passes(request, test),
        }
    }

    /// Whether a request matches.
    pub fn matches(&self, request: &Request<'_>) -> bool {
        let (path, query) = request.path.split_once('?').unwrap_or((request.path, ""));
        let path_matches = |test: &Text| {
            if self.ignores_case {
                test.matches(&path.to_lowercase())
            } else {
                test.matches(path)
            }
        };
        let parameter = |name: &String, test: &Text| {
            let mut pairs = query
                .split('&')
                .map(|it| it.split_once('=').unwrap_or((it, "")));
            let found = pairs.find(|(key, _)| key == name);
            found.is_some_and(|(_, value)| test.matches(value))
        };
        let is = |test: &Option<Text>, text| test.as_ref().is_none_or(|test| test.matches(text));
        self.path.as_ref().is_none_or(path_matches)
            && is(&self.scheme, request.scheme)
            && is(&self.method, request.method)
            && is(&self.authority, request.authority)
            && self
                .headers
                .iter()
                .all(|(of, test)| of.passes(request, test))
            && self
                .without_headers
                .iter()
                .all(|(of, test)| self.is_without(request, of, test))
            && self.query.iter().all(|(name, test)| parameter(name, test))
    }
}

/// What a test is about.
#[derive(Clone, Debug)]
enum Subject {
    /// A header, by its name in small letters.
    Header(String),
    /// A claim of a token, by its name as conditions of policies write it.
    Claim(String),
}

/// What stands for a claim in place of a header's name, before the name of the claim.
const CLAIMS: &str = "@request.auth.claims";

impl Subject {
    /// What a name of a header stands for: `@request.auth.claims.a.b` and
    /// `@request.auth.claims[a][b]` for the claim `b` in `a`.
    fn named(name: &str) -> Self {
        let claim = || {
            let (start, rest) = name.split_at_checked(CLAIMS.len())?;
            if !start.eq_ignore_ascii_case(CLAIMS) {
                return None;
            }
            let dotted = rest.strip_prefix('.').map(|path| path.replace('.', "]["));
            let bracketed = || rest.strip_prefix('[')?.strip_suffix(']').map(str::to_owned);
            dotted.or_else(bracketed).filter(|path| !path.is_empty())
        };
        claim().map_or_else(|| Subject::Header(name.to_lowercase()), Subject::Claim)
    }

    fn passes(&self, request: &Request<'_>, test: &Text) -> bool {
        match self {
            Subject::Header(name) => {
                let value = request.header(name);
                value.is_some_and(|value| test.matches(value))
            }
            Subject::Claim(name) => {
                let values = request.token.map_or(&[][..], |token| token.values(name));
                values.iter().any(|value| test.matches(value))
            }
        }
    }
}

/// What a path must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path<'a> {
    /// This.
    Is(&'a str),
    /// It begins so.
    Begins(&'a str),
    /// This, or below it by path element.
    Below(&'a str),
    /// An expression.
    Matches(&'a str),
}

/// What becomes of requests that take a route.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// They go to clusters, by weight.
    Forward {
        /// Clusters.
        choices: Vec<Choice>,
        /// Sum of the weights.
        total: u64,
    },
    /// Their sender is told to ask elsewhere.
    Redirect(Redirect),
    /// The proxy answers.
    Respond {
        /// Status.
        status: u16,
        /// Bytes of the body.
        body_bytes: u64,
    },
}

/// A cluster with its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Where.
    pub to: To,
    /// Share, relative to the sum.
    pub weight: u32,
    /// Headers that change on the way.
    pub headers: HeaderChanges,
}

/// Where requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// To the cluster with this number of a name: 503 NC if the proxy does not know it.
    Cluster(u32),
    /// Nowhere: they are answered with this status.
    Nowhere(u16),
}

/// Further attempts of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many after the first.
    pub attempts: u32,
    /// After which outcomes.
    pub on: RetryOn,
    /// Time for one attempt; the route's if nothing is said.
    pub per_try_timeout: Option<Duration>,
    /// Whether hosts that failed are left out, if others can be found in so many draws.
    pub avoids_previous_hosts: bool,
    /// How many draws that are.
    pub host_selection_attempts: u32,
    /// Whether other priorities are tried.
    pub remote_localities: bool,
    /// Base of the pause; Envoy's if nothing is said.
    pub backoff: Option<Duration>,
    /// Its greatest range; ten times the base if nothing is said.
    pub max_backoff: Option<Duration>,
}

/// A route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name, for reports.
    pub name: Option<String>,
    /// Which requests take it.
    pub conditions: Conditions,
    /// What becomes of them.
    pub action: Action,
    /// Time for a request with all its attempts; none is no limit.
    pub timeout: Option<Duration>,
    /// How long its streams may take, where an EnvoyFilter says so.
    pub limits: StreamLimits,
    /// Further attempts; none if they are switched off.
    pub retries: Option<RetryPolicy>,
    /// Delays and errors by intent.
    pub fault: FaultInjection,
    /// Who gets copies, and of how many requests, by numbers of cluster names.
    pub mirrors: Vec<(u32, Percent)>,
    /// What path and authority become.
    pub rewrite: Option<Rewrite>,
    /// Headers that change for all destinations.
    pub headers: HeaderChanges,
}

/// Retries that hold if a route says nothing, or what it says over that.
pub fn retries(said: Option<&Retries>, version: Version, is_hashed: bool) -> Option<RetryPolicy> {
    let mut on =
        RetryOn::of("connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes");
    if version.retries_unavailable_by_default() {
        on.status_codes.push(503);
    }
    let default = RetryPolicy {
        attempts: facts::ISTIO_RETRIES.value,
        on,
        per_try_timeout: None,
        avoids_previous_hosts: !is_hashed,
        host_selection_attempts: facts::ISTIO_HOST_SELECTIONS.value,
        remote_localities: false,
        backoff: None,
        max_backoff: None,
    };
    let Some(said) = said else {
        return Some(default);
    };
    (said.attempts > 0).then(|| RetryPolicy {
        attempts: said.attempts,
        on: said.retry_on.clone().unwrap_or(default.on),
        per_try_timeout: said.per_try_timeout,
        avoids_previous_hosts: said
            .ignore_previous_hosts
            .unwrap_or(default.avoids_previous_hosts),
        remote_localities: said.remote_localities.unwrap_or(false),
        backoff: said.backoff,
        ..default
    })
}

impl RetryPolicy {
    /// The same as Envoy acts on it.
    pub fn for_envoy(&self) -> envoy::RetryPolicy {
        let known = self.on.conditions.iter();
        let known = known.filter_map(|condition| envoy::RetryOn::named(condition.name()));
        let on = known.fold(envoy::RetryOn::NEVER, |all, condition| all | condition);
        let base = self.backoff.unwrap_or(facts::ENVOY_RETRY_BASE.value);
        let usual = base.saturating_mul(u64::from(facts::ENVOY_RETRY_MAX_FACTOR.value));
        let frequency = facts::ISTIO_RETRY_PRIORITY_FREQUENCY.value;
        envoy::RetryPolicy {
            retries: self.attempts,
            status_codes: self.on.status_codes.clone(),
            base,
            max: self.max_backoff.unwrap_or(usual),
            per_try_timeout: self.per_try_timeout,
            previous_hosts: self.avoids_previous_hosts,
            host_selections: self.host_selection_attempts,
            previous_priorities: self.remote_localities.then_some(frequency),
            ..envoy::RetryPolicy::on(on)
        }
    }
}

/// Retries of a sidecar towards its own application.
pub fn inbound_retries(version: Version) -> Option<RetryPolicy> {
    version.retries_inbound_resets().then(|| RetryPolicy {
        attempts: facts::ISTIO_RETRIES.value,
        on: RetryOn {
            conditions: vec![RetryCondition::ResetBeforeRequest],
            ..RetryOn::default()
        },
        per_try_timeout: None,
        avoids_previous_hosts: false,
        host_selection_attempts: 1,
        remote_localities: false,
        backoff: None,
        max_backoff: None,
    })
}

/// Who routes: what decides which matches of a VirtualService count.
#[derive(Clone, Copy, Debug)]
pub struct Router<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its labels.
    pub labels: &'a Labels,
    /// For which gateway.
    pub gateway: &'a GatewayName,
    /// At which port.
    pub port: u16,
}

impl Router<'_> {
    /// Whether a match counts here.
    pub fn is_meant(&self, source: &Source) -> bool {
        if source.port.is_some_and(|port| port != self.port) {
            return false;
        }
        if !source.gateways.is_empty() {
            return source.gateways.contains(self.gateway);
        }
        self.is_from(source)
    }

    /// The same of a match of TCP or TLS, where all that it says has to hold: of HTTP, a match that
    /// names gateways does not ask for labels and namespaces.
    pub fn is_meant_by_connection(&self, source: &Source) -> bool {
        self.is_meant(source) && self.is_from(source)
    }

    /// The same of a match of TCP or TLS at a gateway, where it is not looked at who asks.
    pub fn is_meant_at_gateway(&self, source: &Source) -> bool {
        source.port.is_none_or(|port| port == self.port)
            && (source.gateways.is_empty() || source.gateways.contains(self.gateway))
    }

    fn is_from(&self, source: &Source) -> bool {
        let of_namespace = source
            .namespace
            .as_deref()
            .is_none_or(|it| it == self.namespace);
        of_namespace && selects(&source.labels, self.labels)
    }
}

/// What routes need to know of the rest.
pub trait Lookup {
    /// The number of a cluster's name for a destination, seen from this port.
    fn name(&mut self, destination: &crate::istio::config::Destination, port: u16) -> u32;
    /// Whether the host's rule chooses by hash.
    fn is_hashed(&self, destination: &crate::istio::config::Destination) -> bool;
    /// Retries of routes that do not say.
    fn default_retries(&self) -> Option<&Retries>;
    /// The release.
    fn version(&self) -> Version;
}

/// Routes of a VirtualService for a router, up to the first that takes everything.
pub fn routes(it: &Merged, router: Router<'_>, lookup: &mut impl Lookup) -> Vec<Route> {
    let mut routes = Vec::new();
    let everything = [HttpMatch::default()];
    for http in &it.http {
        let matches: &[HttpMatch] = if http.matches.is_empty() {
            &everything
        } else {
            &http.matches
        };
        for said in matches.iter().filter(|said| router.is_meant(&said.source)) {
            let route = route(http, said, router.port, lookup);
            let is_last = route.conditions.is_catch_all();
            routes.push(route);
            if is_last {
                return routes;
            }
        }
    }
    routes
}

fn route(http: &HttpRoute, said: &HttpMatch, port: u16, lookup: &mut impl Lookup) -> Route {
    let name = match (&http.name, &said.name) {
        (Some(http), Some(said)) => Some(format!("{http}.{said}")),
        (http, said) => http.clone().or_else(|| said.clone()),
    };
    let action = match &http.action {
        HttpAction::Forward(destinations) => forward(destinations, port, lookup),
        HttpAction::Redirect(redirect) => Action::Redirect(redirect.clone()),
        HttpAction::Respond { status, body_bytes } => Action::Respond {
            status: *status,
            body_bytes: *body_bytes,
        },
        HttpAction::Delegate { .. } => unreachable!("what is delegated has been merged"),
    };
    let is_hashed = match &http.action {
        HttpAction::Forward(only) if only.len() == 1 => match &only[0].target {
            Target::Host(destination) => lookup.is_hashed(destination),
            Target::Broken { .. } => false,
        },
        _ => false,
    };
    let said_retries = http.retries.as_ref().or(lookup.default_retries());
    let retries = retries(said_retries, lookup.version(), is_hashed);
    let mirrors = http.mirrors.iter().filter(|it| it.share.millionths() > 0);
    Route {
        name,
        conditions: Conditions::of(said, lookup.version()),
        action,
        timeout: http.timeout.filter(|timeout| !timeout.is_zero()),
        limits: StreamLimits::default(),
        retries,
        fault: http.fault.clone(),
        mirrors: mirrors
            .map(|mirror| (lookup.name(&mirror.destination, port), mirror.share))
            .collect(),
        rewrite: http.rewrite.clone(),
        headers: http.headers.clone(),
    }
}

fn forward(destinations: &[HttpDestination], port: u16, lookup: &mut impl Lookup) -> Action {
    let is_alone = destinations.len() == 1;
    let counts = destinations.iter().filter(|it| is_alone || it.weight > 0);
    let choices: Vec<Choice> = counts
        .map(|it| Choice {
            to: match &it.target {
                Target::Host(destination) => To::Cluster(lookup.name(destination, port)),
                Target::Broken { status } => To::Nowhere(*status),
            },
            weight: if is_alone { 1 } else { it.weight },
            headers: it.headers.clone(),
        })
        .collect();
    Action::Forward {
        total: choices.iter().map(|it| u64::from(it.weight)).sum(),
        choices,
    }
}

/// The route of connections that are not read as requests.
pub fn of_connections(choices: Vec<Choice>) -> Route {
    Route {
        name: None,
        conditions: Conditions::default(),
        action: Action::Forward {
            total: choices.iter().map(|it| u64::from(it.weight)).sum(),
            choices,
        },
        timeout: None,
        limits: StreamLimits::default(),
        retries: None,
        fault: FaultInjection::default(),
        mirrors: Vec::new(),
        rewrite: None,
        headers: HeaderChanges::default(),
    }
}

/// The route of a host that no VirtualService speaks of.
pub fn plain(name: u32, lookup: &impl Lookup, is_hashed: bool) -> Route {
    let only = Choice {
        to: To::Cluster(name),
        weight: 1,
        headers: HeaderChanges::default(),
    };
    Route {
        retries: retries(lookup.default_retries(), lookup.version(), is_hashed),
        ..of_connections(vec![only])
    }
}
