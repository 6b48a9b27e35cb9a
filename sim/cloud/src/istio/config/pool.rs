//! Connections to endpoints, and when an endpoint is left out. Policies are merged field by
//! field with the mesh's, so that what is not said stays open.

use engine::Duration;

/// Connections to endpoints (`connectionPool`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionPool {
    /// Of any kind.
    pub tcp: TcpPool,
    /// That carry HTTP.
    pub http: HttpPool,
}

/// Connections of any kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpPool {
    /// Most of them.
    pub connections_max: Option<u32>,
    /// How long making one may take.
    pub connect_timeout: Option<Duration>,
    /// Probes of idle ones.
    pub keepalive: Option<TcpKeepalive>,
    /// How long one lives.
    pub lifetime: Option<Duration>,
    /// How long one may carry nothing; zero is for ever.
    pub idle_timeout: Option<Duration>,
}

/// Probes of idle connections; the operating system's if nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// Unanswered probes that end it.
    pub probes: Option<u32>,
    /// How long it is idle before the first.
    pub time: Option<Duration>,
    /// Pause between probes.
    pub interval: Option<Duration>,
}

/// Connections that carry HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpPool {
    /// Most requests that wait for a connection (`http1MaxPendingRequests`).
    pub pending_max: Option<u32>,
    /// Most requests at once (`http2MaxRequests`).
    pub requests_max: Option<u32>,
    /// Most requests over one connection; 1 ends keep-alive.
    pub requests_per_connection_max: Option<u32>,
    /// Most retries at once.
    pub retries_max: Option<u32>,
    /// How long a connection may have no request.
    pub idle_timeout: Option<Duration>,
    /// Whether HTTP/1.1 becomes HTTP/2 between proxies; the mesh's if nothing is said.
    pub h2_upgrade: Option<bool>,
    /// Whether the client's protocol is kept.
    pub uses_client_protocol: bool,
    /// Most streams of one HTTP/2 connection at once.
    pub streams_max: Option<u32>,
    /// Pings of HTTP/2 connections.
    pub http2_keepalive: Option<Http2Keepalive>,
}

/// Pings of HTTP/2 connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Http2Keepalive {
    /// Pause between pings.
    pub interval: Option<Duration>,
    /// How long an answer may take.
    pub timeout: Option<Duration>,
}

/// When an endpoint is left out (`outlierDetection`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutlierDetection {
    /// 5xx in a row; zero switches it off.
    pub consecutive_5xx: Option<u32>,
    /// 502, 503 and 504 in a row; zero switches it off.
    pub consecutive_gateway_errors: Option<u32>,
    /// Failures to connect in a row, where these count apart.
    pub consecutive_local_failures: Option<u32>,
    /// Whether failures to connect count apart from errors of endpoints.
    pub splits_local_failures: bool,
    /// Pause between sweeps.
    pub interval: Option<Duration>,
    /// How long an endpoint is left out the first time.
    pub ejection_base: Option<Duration>,
    /// Most endpoints that may be left out, in percent; zero is taken for what is not said.
    pub ejection_percent_max: Option<u32>,
    /// Healthy endpoints, in percent, below which all get requests; none if nothing is said.
    pub health_percent_min: u32,
    /// Codes that count as errors beside 5xx.
    pub error_codes: Vec<u16>,
}

/// Retries that are allowed at once, as a share of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RetryBudget {
    /// Of active and waiting requests, in percent.
    pub percent: Option<f64>,
    /// So many in any case.
    pub concurrency_min: Option<u32>,
    /// Over which requests count as active; only those of the moment if nothing is said.
    pub interval: Option<Duration>,
}
