//! `retryOn`: after which outcomes another attempt is made.

/// After which outcomes another attempt is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryOn {
    /// Conditions, in their order without repetition.
    pub conditions: Vec<RetryCondition>,
    /// Codes of [`RetryCondition::RetriableStatusCodes`].
    pub status_codes: Vec<u16>,
    /// What Envoy does not know and passes over.
    pub unknown: Vec<String>,
}

/// A condition of Envoy's `x-envoy-retry-on` and `x-envoy-retry-grpc-on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryCondition {
    /// Any 5xx, and no answer at all.
    ServerError,
    /// 502, 503 or 504.
    GatewayError,
    /// No answer: disconnected, reset, or timed out while waiting.
    Reset,
    /// Reset before the request was sent.
    ResetBeforeRequest,
    /// No connection.
    ConnectFailure,
    /// Limited by Envoy's rate limit.
    EnvoyRatelimited,
    /// 409.
    Retriable4xx,
    /// A stream refused by HTTP/2.
    RefusedStream,
    /// One of a list of codes.
    RetriableStatusCodes,
    /// One of a list of headers in the answer.
    RetriableHeaders,
    /// An HTTP/3 failure after the connection was made.
    Http3PostConnectFailure,
    /// gRPC status 1.
    Cancelled,
    /// gRPC status 4.
    DeadlineExceeded,
    /// gRPC status 13.
    Internal,
    /// gRPC status 8.
    ResourceExhausted,
    /// gRPC status 14.
    Unavailable,
}

const NAMES: [(&str, RetryCondition); 16] = [
    ("5xx", RetryCondition::ServerError),
    ("gateway-error", RetryCondition::GatewayError),
    ("reset", RetryCondition::Reset),
    ("reset-before-request", RetryCondition::ResetBeforeRequest),
    ("connect-failure", RetryCondition::ConnectFailure),
    ("envoy-ratelimited", RetryCondition::EnvoyRatelimited),
    ("retriable-4xx", RetryCondition::Retriable4xx),
    ("refused-stream", RetryCondition::RefusedStream),
    (
        "retriable-status-codes",
        RetryCondition::RetriableStatusCodes,
    ),
    ("retriable-headers", RetryCondition::RetriableHeaders),
    (
        "http3-post-connect-failure",
        RetryCondition::Http3PostConnectFailure,
    ),
    ("cancelled", RetryCondition::Cancelled),
    ("deadline-exceeded", RetryCondition::DeadlineExceeded),
    ("internal", RetryCondition::Internal),
    ("resource-exhausted", RetryCondition::ResourceExhausted),
    ("unavailable", RetryCondition::Unavailable),
];

impl RetryCondition {
    /// Its name.
    pub fn name(self) -> &'static str {
        let mut names = NAMES.iter();
        let known = names.find(|(_, condition)| *condition == self);
        known.expect("every condition has a name").0
    }
}

impl RetryOn {
    /// Reads the text as istiod and Envoy do: numbers are status codes, and imply
    /// `retriable-status-codes`.
    pub fn of(text: &str) -> RetryOn {
        let mut retry_on = RetryOn::default();
        let parts = text.split(',').map(str::trim);
        for part in parts.filter(|part| !part.is_empty()) {
            let code = part.parse().ok().filter(|code| (100..600).contains(code));
            let known = NAMES.iter().find(|(name, _)| *name == part);
            match (code, known) {
                (Some(code), _) => retry_on.status_codes.push(code),
                (None, Some((_, condition))) => retry_on.conditions.push(*condition),
                (None, None) => retry_on.unknown.push(part.to_owned()),
            }
        }
        if !retry_on.status_codes.is_empty() {
            retry_on
                .conditions
                .push(RetryCondition::RetriableStatusCodes);
        }
        retry_on.conditions.sort_unstable();
        retry_on.conditions.dedup();
        retry_on
    }

    /// Whether a condition is among them.
    pub fn includes(&self, condition: RetryCondition) -> bool {
        self.conditions.contains(&condition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_status_codes() {
        let retry_on = RetryOn::of("connect-failure, 503,unavailable,,429,nonsense");
        assert_eq!(
            retry_on.conditions,
            [
                RetryCondition::ConnectFailure,
                RetryCondition::RetriableStatusCodes,
                RetryCondition::Unavailable
            ]
        );
        assert_eq!(retry_on.status_codes, [503, 429]);
        assert_eq!(retry_on.unknown, ["nonsense"]);
        assert!(!RetryOn::of("5xx").includes(RetryCondition::RetriableStatusCodes));
    }
}
