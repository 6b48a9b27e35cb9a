//! Routes of requests.

use super::{Destination, HttpMatch, Percent, RetryOn, StringMatch};
use engine::Duration;

/// A route of requests.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpRoute {
    /// Its name, for reports.
    pub name: Option<String>,
    /// Which requests: one of these, or all if there are none.
    pub matches: Vec<HttpMatch>,
    /// What becomes of them.
    pub action: HttpAction,
    /// What their path and authority become on the way.
    pub rewrite: Option<Rewrite>,
    /// Time for a request with all its attempts; none is no limit.
    pub timeout: Option<Duration>,
    /// Further attempts; the mesh's if nothing is said.
    pub retries: Option<Retries>,
    /// Delays and errors by intent.
    pub fault: FaultInjection,
    /// Who gets copies.
    pub mirrors: Vec<Mirror>,
    /// Headers that change for all destinations.
    pub headers: HeaderChanges,
    /// Whether browsers' preflight requests are answered by the proxy.
    pub answers_preflights: bool,
}

impl HttpRoute {
    /// A route without anything on the way.
    pub fn plain(matches: Vec<HttpMatch>, action: HttpAction) -> HttpRoute {
        HttpRoute {
            name: None,
            matches,
            action,
            rewrite: None,
            timeout: None,
            retries: None,
            fault: FaultInjection::default(),
            mirrors: Vec::new(),
            headers: HeaderChanges::default(),
            answers_preflights: false,
        }
    }
}

/// What becomes of requests that take a route.
#[derive(Clone, Debug, PartialEq)]
pub enum HttpAction {
    /// They are sent on, by weight.
    Forward(Vec<HttpDestination>),
    /// Their sender is told to ask elsewhere.
    Redirect(Redirect),
    /// They are answered by the proxy.
    Respond {
        /// Status.
        status: u16,
        /// Bytes of the body.
        body_bytes: u64,
    },
    /// Another VirtualService, without hosts, says where they go.
    Delegate {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// A destination of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpDestination {
    /// Where.
    pub target: Target,
    /// Its share, relative to the sum over the route; one that stands alone takes all.
    pub weight: u32,
    /// Headers that change for this destination.
    pub headers: HeaderChanges,
}

/// What a share of requests meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A host.
    Host(Destination),
    /// A reference of the Gateway API that leads nowhere: answered with this status.
    Broken {
        /// Status.
        status: u16,
    },
}

/// How a path is matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UriMatch {
    /// As text.
    Text(StringMatch),
    /// This path and all below it, by path element (Gateway API); without a final slash.
    Below(String),
}

/// What path and authority become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// The path.
    pub uri: Option<UriRewrite>,
    /// The authority.
    pub authority: Option<String>,
}

/// What a path becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UriRewrite {
    /// The prefix that matched, or the whole path after an exact match, becomes this.
    Prefix(String),
    /// The whole path becomes this (Gateway API).
    Whole(String),
    /// What matches an RE2 expression is replaced.
    Regex {
        /// Expression.
        pattern: String,
        /// What takes its place.
        replacement: String,
    },
}

/// Where a sender is told to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// What the path becomes.
    pub uri: Option<UriRewrite>,
    /// What the authority becomes.
    pub authority: Option<String>,
    /// What the port becomes.
    pub port: Option<RedirectPort>,
    /// What the scheme becomes.
    pub scheme: Option<String>,
    /// Status: 301 unless something else is said.
    pub status: u16,
}

/// What the port of a redirect becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectPort {
    /// This one.
    Number(u16),
    /// The usual one of the scheme.
    OfScheme,
    /// That of the request.
    OfRequest,
}

/// Further attempts of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How many after the first; none switches them off.
    pub attempts: u32,
    /// Time for one attempt; that of the route if nothing is said.
    pub per_try_timeout: Option<Duration>,
    /// After which outcomes; the mesh's usual ones if nothing is said.
    pub retry_on: Option<RetryOn>,
    /// Whether other localities are tried.
    pub remote_localities: Option<bool>,
    /// Whether hosts that failed are left out.
    pub ignore_previous_hosts: Option<bool>,
    /// Base of the pause between attempts; Envoy's if nothing is said.
    pub backoff: Option<Duration>,
}

/// Delays and errors by intent: the delay first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultInjection {
    /// Delay.
    pub delay: Option<FaultDelay>,
    /// Error.
    pub abort: Option<FaultAbort>,
}

/// A delay by intent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultDelay {
    /// How long.
    pub lasts: Duration,
    /// Of how many requests.
    pub share: Percent,
}

/// An error by intent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultAbort {
    /// Which.
    pub with: AbortStatus,
    /// Of how many requests.
    pub share: Percent,
}

/// Status of an error by intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortStatus {
    /// An HTTP status.
    Http(u16),
    /// A gRPC status by its number.
    Grpc(u8),
}

/// Who gets copies of requests, whose answers nobody waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    /// Where they go.
    pub destination: Destination,
    /// Copies of how many requests.
    pub share: Percent,
}

/// How headers change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderChanges {
    /// Of requests.
    pub request: HeaderOperations,
    /// Of answers.
    pub response: HeaderOperations,
}

/// How headers of one direction change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderOperations {
    /// Those that get a value in place of another, by name.
    pub set: Vec<(String, String)>,
    /// Those that get one value more.
    pub add: Vec<(String, String)>,
    /// Those that are removed.
    pub remove: Vec<String>,
}
