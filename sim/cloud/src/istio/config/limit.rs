//! EnvoyFilters, as far as they limit rates or patch what `patch.rs` says, and what a rate limit
//! service counts.

use super::common::whole;
use super::{EnvoyPatch, Identity, Labels};
use engine::Duration;
use std::cmp::Ordering;

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

/// A limit that each proxy keeps for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalLimit {
    /// Where it stands.
    pub place: FilterPlace,
    /// At which port of the workload; at all others without a limit of their own if nothing is
    /// said.
    pub port: Option<u16>,
    /// The bucket of all requests.
    pub bucket: TokenBucket,
    /// Whether that also holds for requests that have a bucket of their own.
    pub counts_all: bool,
    /// Buckets of some requests.
    pub descriptors: Vec<LocalDescriptor>,
    /// What tells which these are; what routes say of them if nothing is said.
    pub actions: Vec<LimitActions>,
    /// Of how many requests out of a million it refuses what finds no token.
    pub enforced_millionths: u32,
}

/// A bucket of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    /// Most tokens.
    pub tokens_max: u32,
    /// Tokens that come at each interval, at least one.
    pub tokens_per_fill: u32,
    /// That interval.
    pub fill_interval: Duration,
}

impl TokenBucket {
    /// Whether tokens come more slowly or faster than to another one.
    fn compare_rate(&self, other: &TokenBucket) -> Ordering {
        let rate = |of: &TokenBucket, beside: &TokenBucket| {
            u128::from(of.tokens_per_fill) * u128::from(beside.fill_interval.as_nanos())
        };
        rate(self, other).cmp(&rate(other, self))
    }
}

/// What a bucket of a local limit is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalDescriptor {
    /// Keys and values that tell of a request, all of them.
    pub parts: Descriptor,
    /// Their bucket.
    pub bucket: TokenBucket,
}

/// Keys and values that tell of a request.
pub type Descriptor = Vec<(String, String)>;

impl LocalLimit {
    /// The buckets that a request takes a token from, one after the other as long as it finds
    /// one: those of what is told of it, the slowest first, and that of all. Each with its
    /// number, from 1 on; that of all has 0.
    ///
    /// Source: envoyproxy/envoy 016c0c80 source/extensions/filters/common/local_ratelimit.
    pub fn buckets(&self, told: &[Descriptor]) -> Vec<(u32, TokenBucket)> {
        let all = (1..).zip(&self.descriptors);
        let own = all.filter(|(_, descriptor)| told.contains(&descriptor.parts));
        let mut buckets: Vec<(u32, TokenBucket)> =
            own.map(|(number, of)| (number, of.bucket)).collect();
        buckets.sort_by(|(_, left), (_, right)| left.compare_rate(right));
        if self.counts_all || buckets.is_empty() {
            buckets.push((0, self.bucket));
        }
        buckets
    }
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

/// What is told of each request: all of it, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitActions {
    /// At which port of the workload; at all if nothing is said.
    pub port: Option<u16>,
    /// Whether it stands at routes: then what stands at their virtual hosts is not told.
    pub is_of_route: bool,
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
    /// The same where headers match, or where they do not.
    Matching {
        /// What it is called.
        key: String,
        /// Its value.
        value: String,
        /// All of them.
        headers: Vec<HeaderTest>,
        /// Whether they have to match.
        is_expected: bool,
    },
    /// The address that the request says it comes from.
    RemoteAddress,
}

impl LimitPart {
    /// What it is called.
    pub fn key(&self) -> &str {
        match self {
            LimitPart::Header { key, .. }
            | LimitPart::Fixed { key, .. }
            | LimitPart::Matching { key, .. } => key,
            LimitPart::RemoteAddress => "remote_address",
        }
    }
}

/// What a header has to be.
///
/// Source: envoyproxy/envoy api/envoy/config/route/v3/route_components.proto, `HeaderMatcher`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderTest {
    /// Its name in small letters, or `:path`, `:authority` or `:method`.
    pub name: String,
    /// What its value has to be.
    pub value: HeaderValue,
    /// Whether it must not be so. A header that is not there is neither.
    pub is_inverted: bool,
}

/// What the value of a header has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    /// Anything, if it has to be there, or else nothing.
    Present(bool),
    /// Like this, whatever the case of letters if that is said.
    Text(TextTest, bool),
}

/// What a text has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextTest {
    /// This.
    Exact(String),
    /// What begins so.
    Prefix(String),
    /// What ends so.
    Suffix(String),
    /// What holds this.
    Contains(String),
    /// What matches this RE2 expression as a whole; nothing if it cannot be read.
    Regex(String),
}

impl HeaderTest {
    /// Whether a header is so, that has this value if it is there.
    pub fn holds(&self, found: Option<&str>) -> bool {
        match (&self.value, found) {
            (HeaderValue::Present(wanted), _) => (found.is_some() == *wanted) != self.is_inverted,
            (HeaderValue::Text(..), None) => false,
            (HeaderValue::Text(test, ignores_case), Some(found)) => {
                test.holds(found, *ignores_case) != self.is_inverted
            }
        }
    }
}

impl TextTest {
    /// Whether a text is so; expressions say by themselves which letters they take for the same.
    fn holds(&self, found: &str, ignores_case: bool) -> bool {
        let as_meant = |text: &str| match ignores_case {
            true => text.to_ascii_lowercase(),
            false => text.to_owned(),
        };
        match self {
            TextTest::Exact(text) => as_meant(found) == as_meant(text),
            TextTest::Prefix(text) => as_meant(found).starts_with(&as_meant(text)),
            TextTest::Suffix(text) => as_meant(found).ends_with(&as_meant(text)),
            TextTest::Contains(text) => as_meant(found).contains(&as_meant(text)),
            TextTest::Regex(text) => whole(text).is_some_and(|regex| regex.is_match(found)),
        }
    }
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

    fn bucket(tokens_max: u32, fill_seconds: u64) -> TokenBucket {
        TokenBucket {
            tokens_max,
            tokens_per_fill: tokens_max,
            fill_interval: Duration::from_secs(fill_seconds),
        }
    }

    #[test]
    fn the_slowest_bucket_is_asked_first_and_that_of_all_last() {
        let of = |value: &str, bucket| LocalDescriptor {
            parts: vec![("path".into(), value.into())],
            bucket,
        };
        let limit = LocalLimit {
            place: FilterPlace::First,
            port: None,
            bucket: bucket(100, 60),
            counts_all: true,
            descriptors: vec![of("/a", bucket(20, 10)), of("/b", bucket(30, 60))],
            actions: Vec::new(),
            enforced_millionths: 1_000_000,
        };
        let numbers = |limit: &LocalLimit, told: &[&str]| -> Vec<u32> {
            let told = told.iter();
            let told: Vec<Descriptor> = told
                .map(|value| vec![("path".into(), (*value).into())])
                .collect();
            let buckets = limit.buckets(&told);
            buckets.into_iter().map(|(number, _)| number).collect()
        };
        assert_eq!(numbers(&limit, &[]), [0]);
        assert_eq!(numbers(&limit, &["/c"]), [0]);
        assert_eq!(numbers(&limit, &["/a"]), [1, 0]);
        // Thirty a minute are fewer than twenty in ten seconds.
        assert_eq!(numbers(&limit, &["/a", "/b"]), [2, 1, 0]);
        let alone = LocalLimit {
            counts_all: false,
            ..limit
        };
        assert_eq!(numbers(&alone, &["/a"]), [1]);
        assert_eq!(numbers(&alone, &["/c"]), [0]);
    }

    #[test]
    fn a_header_that_is_not_there_only_fits_what_asks_whether_it_is() {
        let test = |value: HeaderValue, is_inverted| HeaderTest {
            name: "x".into(),
            value,
            is_inverted,
        };
        let holds = |value: HeaderValue, is_inverted| {
            let test = test(value, is_inverted);
            [None, Some("Web"), Some("api")].map(|found| test.holds(found))
        };
        let text = |test: TextTest| HeaderValue::Text(test, false);
        assert_eq!(
            holds(HeaderValue::Present(true), false),
            [false, true, true]
        );
        assert_eq!(
            holds(HeaderValue::Present(true), true),
            [true, false, false]
        );
        assert_eq!(
            holds(HeaderValue::Present(false), false),
            [true, false, false]
        );
        let exact = || TextTest::Exact("web".into());
        assert_eq!(holds(text(exact()), false), [false, false, false]);
        assert_eq!(holds(text(exact()), true), [false, true, true]);
        let any_case = |test| HeaderValue::Text(test, true);
        assert_eq!(holds(any_case(exact()), false), [false, true, false]);
        // That is said of texts, not of expressions.
        let expression = any_case(TextTest::Regex("[a-z]+".into()));
        assert_eq!(holds(expression, false), [false, false, true]);
        assert_eq!(
            holds(text(TextTest::Prefix("We".into())), false),
            [false, true, false]
        );
        assert_eq!(
            holds(text(TextTest::Suffix("pi".into())), false),
            [false, false, true]
        );
        assert_eq!(
            holds(text(TextTest::Contains("e".into())), false),
            [false, true, false]
        );
        assert_eq!(
            holds(text(TextTest::Regex("[a-z]+".into())), false),
            [false, false, true]
        );
        assert_eq!(
            holds(text(TextTest::Regex("(".into())), false),
            [false, false, false]
        );
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
