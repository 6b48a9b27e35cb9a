//! EnvoyFilters, as far as they limit rates or patch what `patch.rs` says, and what a rate limit
//! service counts.

use super::{EnvoyPatch, Identity, Labels};
use engine::Duration;

/// An EnvoyFilter that limits what its proxies let in, or changes what they are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvoyFilter {
    /// How it is called.
    pub identity: Identity,
    /// Whose proxies: all of the namespace if empty, or of the mesh in the root namespace.
    pub selector: Labels,
    /// The greater, the later its patches are applied.
    pub priority: i32,
    /// Limits of each proxy by itself.
    pub local: Vec<LocalLimit>,
    /// The service that counts for all proxies.
    pub service: Option<LimitService>,
    /// What that is told of requests.
    pub actions: Vec<LimitActions>,
    /// What is changed of what istiod writes.
    pub patches: Vec<EnvoyPatch>,
}

/// Where a filter stands among those that decide whether a request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterPlace {
    /// Before Istio's own policies.
    First,
    /// After them.
    Last,
}

/// A bucket of tokens in each proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalLimit {
    /// Where it stands.
    pub place: FilterPlace,
    /// At which port of the workload; at all others without a limit of their own if nothing is
    /// said.
    pub port: Option<u16>,
    /// Most tokens.
    pub tokens_max: u32,
    /// Tokens that come at each interval, at least one.
    pub tokens_per_fill: u32,
    /// That interval.
    pub fill_interval: Duration,
    /// Of how many requests out of a million it refuses what finds no token.
    pub enforced_millionths: u32,
}

/// A rate limit service, as proxies ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitService {
    /// Where the filter stands.
    pub place: FilterPlace,
    /// Host of the service.
    pub host: String,
    /// Port of the service.
    pub port: u16,
    /// Which of its sets of limits.
    pub domain: String,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Whether requests are refused when there is none.
    pub denies_on_failure: bool,
}

/// What a rate limit service is told of each request: all of it, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitActions {
    /// At which port of the workload; at all if nothing is said.
    pub port: Option<u16>,
    /// Parts of a descriptor, in order.
    pub parts: Vec<LimitPart>,
}

/// A part of a descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitPart {
    /// The value of a header, or of `:path`, `:authority` or `:method`.
    Header {
        /// Its name in small letters.
        name: String,
        /// What it is called.
        key: String,
        /// Whether the part alone is left out where there is no such header.
        is_optional: bool,
    },
    /// Always the same.
    Fixed {
        /// What it is called.
        key: String,
        /// Its value.
        value: String,
    },
}

/// A set of limits of a rate limit service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitDomain {
    /// Its name.
    pub name: String,
    /// What is limited.
    pub descriptors: Vec<LimitDescriptor>,
}

/// What a rate limit service counts together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitDescriptor {
    /// Key of a part.
    pub key: String,
    /// Its value; each value by itself if nothing is said.
    pub value: Option<String>,
    /// The limit, if the descriptor may end here.
    pub limit: Option<Quota>,
    /// What the next part may be.
    pub descriptors: Vec<LimitDescriptor>,
}

/// So many requests in each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Length of a window.
    pub unit: Duration,
    /// Most requests in it.
    pub requests: u32,
}

impl LimitDomain {
    /// The limit of what has these parts: an exact value counts before any.
    pub fn quota(&self, parts: &[(String, String)]) -> Option<Quota> {
        let mut level = &self.descriptors;
        let mut found = None;
        for (key, value) in parts {
            let of_key = || level.iter().filter(|it| it.key == *key);
            let exact = of_key().find(|it| it.value.as_ref() == Some(value));
            let descriptor = exact.or_else(|| of_key().find(|it| it.value.is_none()))?;
            found = descriptor.limit;
            level = &descriptor.descriptors;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(key: &str, value: Option<&str>, requests: u32) -> LimitDescriptor {
        let quota = Quota {
            unit: Duration::from_secs(60),
            requests,
        };
        LimitDescriptor {
            key: key.into(),
            value: value.map(str::to_owned),
            limit: (requests > 0).then_some(quota),
            descriptors: Vec::new(),
        }
    }

    #[test]
    fn an_exact_value_counts_before_any_and_only_the_last_part_has_a_limit() {
        let inner = LimitDescriptor {
            descriptors: vec![descriptor("method", Some("POST"), 7)],
            ..descriptor("tenant", None, 0)
        };
        let domain = LimitDomain {
            name: "shop".into(),
            descriptors: vec![
                descriptor("PATH", None, 100),
                descriptor("PATH", Some("/productpage"), 1),
                inner,
            ],
        };
        let quota = |parts: &[(&str, &str)]| {
            let parts = parts.iter();
            let parts: Vec<_> = parts
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect();
            domain.quota(&parts).map(|quota| quota.requests)
        };
        assert_eq!(quota(&[("PATH", "/productpage")]), Some(1));
        assert_eq!(quota(&[("PATH", "/other")]), Some(100));
        assert_eq!(quota(&[("tenant", "a"), ("method", "POST")]), Some(7));
        assert_eq!(quota(&[("tenant", "a"), ("method", "GET")]), None);
        assert_eq!(quota(&[("tenant", "a")]), None);
        assert_eq!(quota(&[("PATH", "/productpage"), ("method", "POST")]), None);
    }
}
