//! Keys by which proxies check tokens, as istiod fetches them.
//!
//! Models: keys that are not there when a proxy is told of them are asked for once, and then by a
//! search of its own: at once and again after each pause, as often as a search may, but that all
//! its tries share one timeout; after the last one the search has ended, and the next proxy that
//! is told begins another. Keys that are there stay: what goes wrong later changes nothing.
//! Leaves out: keys that change, and that istiod looks for that every 20 minutes; keys that are
//! forgotten after a week without a look that went well.
//! Source: istio/istio 86c9f01 pilot/pkg/model/jwks_resolver.go (GetPublicKey, refresh,
//! getRemoteContentWithRetry); in this form since 1.15.
//! Validated by: the tests below, and requests with tokens in the crate's tests.

use crate::facts;
use engine::Duration;

/// How keys of a source stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// Nobody has asked for them, or a search for them has ended.
    #[default]
    Missing,
    /// They are searched for.
    Sought,
    /// They are there.
    Held,
}

/// Whether a try of a search, by its number from 0, comes before the search's time is up.
pub fn is_in_time(attempt: u32, timeout: Duration) -> bool {
    facts::ISTIOD_KEYS_PAUSE.value * u64::from(attempt) < timeout
}

/// How long after a try in vain the next one follows, if one does.
pub fn pause_after(attempt: u32) -> Option<Duration> {
    (attempt < facts::ISTIOD_KEYS_RETRIES.value).then_some(facts::ISTIOD_KEYS_PAUSE.value)
}

/// The host and port of a source.
pub fn address(uri: &str) -> Option<(&str, u16)> {
    let (scheme, rest) = uri.split_once("://")?;
    let usual = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = rest.split(['/', '?']).next()?;
    match authority.rsplit_once(':') {
        None => Some((authority, usual)),
        Some((host, port)) => Some((host, port.parse().ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_takes_seven_seconds_and_can_find_something_in_its_first_five() {
        let timeout = facts::ISTIOD_KEYS_TIMEOUT.value;
        let (mut attempt, mut at, mut useful) = (0, Duration::ZERO, Vec::new());
        loop {
            if is_in_time(attempt, timeout) {
                useful.push(at.as_secs_f64());
            }
            match pause_after(attempt) {
                Some(pause) => (attempt, at) = (attempt + 1, at + pause),
                None => break,
            }
        }
        assert_eq!(at, Duration::from_secs(7));
        assert_eq!(useful, [0.0, 1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn sources_have_a_host_and_a_port() {
        assert_eq!(address("https://a.com/keys"), Some(("a.com", 443)));
        assert_eq!(address("http://login.auth"), Some(("login.auth", 80)));
        assert_eq!(
            address("http://login.auth:8080/certs?a=b"),
            Some(("login.auth", 8080))
        );
        assert_eq!(address("login.auth/keys"), None);
    }
}
