//! What routes make of requests that they send on: headers, path and authority.
//!
//! Models: headers that a destination and its route remove, set and add, in Envoy's order: those
//! of one destination among several come before the route's, those of a lone one after; the
//! authority that a header sets or a rewrite says, the route's before the destination's; the path
//! behind what matched, whole, or by an expression, without its query; the path as it was in a
//! header.
//! Approximated: a header that is added to another is the same header with both values, as
//! Envoy compares them.
//! Leaves out: commands (`%...%`) in values, which stand as they are written; headers of answers.
//! Sources: istio/istio pilot/pkg/networking/core/route/route.go; envoyproxy/envoy
//! source/common/router/{config_impl,header_parser}.cc.
//! Validated by: the tests below, and requests that meet policies behind them in `tests`.

use super::route::Path;
use crate::istio::config::{HeaderOperations, Rewrite, UriRewrite};
use regex::Regex;
use std::collections::BTreeMap;

/// The header with the path as it was.
const ORIGINAL_PATH: &str = "x-envoy-original-path";

/// The parts of a request that routes change.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Changing {
    /// Host, with its port if the client says it.
    pub authority: String,
    /// Path with query.
    pub path: String,
    /// Headers, by names in small letters.
    pub headers: BTreeMap<String, String>,
}

/// Whether a route leads to one destination, or to some by weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destinations {
    /// One.
    One,
    /// Several.
    Several,
}

/// What a route to one of its destinations changes.
#[derive(Clone, Copy, Debug)]
pub struct Changes<'a> {
    /// Headers, for all destinations.
    pub route: &'a HeaderOperations,
    /// Headers, for this one.
    pub destination: &'a HeaderOperations,
    /// How many there are.
    pub destinations: Destinations,
    /// Path and authority.
    pub rewrite: Option<&'a Rewrite>,
    /// What the path had to be.
    pub matched: Path<'a>,
}

impl Changing {
    /// Changes it.
    pub fn apply(&mut self, changes: Changes<'_>) {
        let (of_route, of_destination) = (changes.route, changes.destination);
        // A lone destination's operations are appended to the route's: all removals come first.
        if changes.destinations == Destinations::One {
            self.remove(of_route);
            self.remove(of_destination);
            self.put(of_route);
            self.put(of_destination);
        } else {
            for operations in [of_destination, of_route] {
                self.remove(operations);
                self.put(operations);
            }
        }
        let authority = changes
            .rewrite
            .and_then(|rewrite| rewrite.authority.as_deref())
            .or_else(|| said_authority(of_route))
            .or_else(|| said_authority(of_destination));
        if let Some(authority) = authority {
            self.authority = authority.to_owned();
        }
        if let Some(uri) = changes.rewrite.and_then(|rewrite| rewrite.uri.as_ref()) {
            let (path, query) = split(&self.path);
            let now = format!("{}{query}", rewritten(path, changes.matched, uri));
            let before = std::mem::replace(&mut self.path, now);
            self.headers.insert(ORIGINAL_PATH.to_owned(), before);
        }
    }

    fn remove(&mut self, operations: &HeaderOperations) {
        for name in &operations.remove {
            self.headers.remove(&name.to_lowercase());
        }
    }

    fn put(&mut self, operations: &HeaderOperations) {
        let headers = |list: &[(String, String)]| -> Vec<(String, String)> {
            let all = list.iter().filter(|(name, _)| !is_internal(name));
            all.map(|(name, value)| (name.to_lowercase(), value.clone()))
                .collect()
        };
        self.headers.extend(headers(&operations.set));
        for (name, value) in headers(&operations.add) {
            let known = self.headers.entry(name).or_default();
            match known.is_empty() {
                true => *known = value,
                false => *known = format!("{known},{value}"),
            }
        }
    }
}

/// Names that stand for parts of a request that are no headers.
fn is_internal(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}

/// The authority that operations set: one that is set counts before one that is added.
fn said_authority(operations: &HeaderOperations) -> Option<&str> {
    let is_authority =
        |name: &str| name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host");
    let all = operations.set.iter().chain(&operations.add);
    let mut named = all.filter(|(name, _)| is_authority(name));
    named.next().map(|(_, value)| value.as_str())
}

/// A path and its query, with the question mark.
fn split(path: &str) -> (&str, &str) {
    path.split_at(path.find('?').unwrap_or(path.len()))
}

/// What becomes of a path that matched so.
fn rewritten(path: &str, matched: Path<'_>, to: &UriRewrite) -> String {
    let behind = |start: &str| path.get(start.len()..).unwrap_or_default();
    match (to, matched) {
        (UriRewrite::Whole(whole), _) => whole.clone(),
        (
            UriRewrite::Regex {
                pattern,
                replacement,
            },
            _,
        ) => replaced(path, pattern, replacement),
        // With a prefix by path elements nothing but a stroke is in its place.
        (UriRewrite::Prefix(to), Path::Below(start)) if to == "/" => {
            let rest = behind(start);
            format!("/{}", rest.strip_prefix('/').unwrap_or(rest))
        }
        (UriRewrite::Prefix(to), Path::Below(start) | Path::Begins(start)) => {
            format!("{to}{}", behind(start))
        }
        (UriRewrite::Prefix(to), Path::Is(_) | Path::Matches(_)) => to.clone(),
    }
}

/// Every match of an RE2 expression, with its replacement, in which `\1` stands for a group. An
/// expression that cannot be read changes nothing.
fn replaced(path: &str, pattern: &str, replacement: &str) -> String {
    let Ok(regex) = Regex::new(pattern) else {
        return path.to_owned();
    };
    let mut with = String::new();
    let mut letters = replacement.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            ('$', _) => with.push_str("$$"),
            (_, true) => match letters.next() {
                Some(digit) if digit.is_ascii_digit() => {
                    with.push_str(&format!("${{{digit}}}"));
                }
                Some(other) => with.push(other),
                None => {}
            },
            (other, false) => with.push(other),
        }
    }
    regex.replace_all(path, with).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(to: &str) -> UriRewrite {
        UriRewrite::Prefix(to.to_owned())
    }

    #[test]
    fn paths_change_behind_what_matched() {
        for (path, matched, to, expected) in [
            (
                "/ratings/7",
                Path::Begins("/ratings"),
                prefix("/v1/bookRatings"),
                "/v1/bookRatings/7",
            ),
            // A route without a path matches `/`, and that is what becomes something else.
            ("/ratings", Path::Begins("/"), prefix("/api"), "/apiratings"),
            ("/ratings", Path::Is("/ratings"), prefix("/v2"), "/v2"),
            (
                "/ratings/7",
                Path::Matches("/ratings/.*"),
                prefix("/v2"),
                "/v2",
            ),
            ("/shop/cart", Path::Below("/shop"), prefix("/"), "/cart"),
            ("/shop", Path::Below("/shop"), prefix("/"), "/"),
            (
                "/shop/cart",
                Path::Below("/shop"),
                prefix("/store"),
                "/store/cart",
            ),
            (
                "/shop/cart",
                Path::Below("/shop"),
                UriRewrite::Whole("/x".into()),
                "/x",
            ),
        ] {
            assert_eq!(rewritten(path, matched, &to), expected, "{path} {to:?}");
        }
    }

    #[test]
    fn expressions_replace_every_match() {
        // The examples of Istio's reference.
        for (path, pattern, replacement, expected) in [
            (
                "/service/foo/v1/api",
                "^/service/([^/]+)(/.*)$",
                r"\2/instance/\1",
                "/v1/api/instance/foo",
            ),
            ("/xxx/one/yyy/one/zzz", "one", "two", "/xxx/two/yyy/two/zzz"),
            (
                "/xxx/one/yyy/one/zzz",
                "^(.*?)one(.*)$",
                r"\1two\2",
                "/xxx/two/yyy/one/zzz",
            ),
            ("/a", "a", "$1", "/$1"),
            ("/a", "(", "b", "/a"),
        ] {
            assert_eq!(replaced(path, pattern, replacement), expected, "{pattern}");
        }
    }

    fn operations(set: &[(&str, &str)], add: &[(&str, &str)], remove: &[&str]) -> HeaderOperations {
        let pairs = |list: &[(&str, &str)]| {
            let list = list.iter();
            list.map(|(name, value)| (name.to_string(), value.to_string()))
                .collect()
        };
        HeaderOperations {
            set: pairs(set),
            add: pairs(add),
            remove: remove.iter().map(|name| name.to_string()).collect(),
        }
    }

    fn changed(
        route: HeaderOperations,
        destination: HeaderOperations,
        destinations: Destinations,
    ) -> Changing {
        let mut request = Changing {
            authority: "web".into(),
            path: "/".into(),
            headers: [("a".to_owned(), "1".to_owned())].into(),
        };
        request.apply(Changes {
            route: &route,
            destination: &destination,
            destinations,
            rewrite: None,
            matched: Path::Begins("/"),
        });
        request
    }

    #[test]
    fn headers_are_removed_set_and_added_in_this_order() {
        let only = operations(&[("B", "2")], &[("a", "3"), ("c", "4")], &["A"]);
        let request = changed(only, HeaderOperations::default(), Destinations::One);
        let expected = [("a", "3"), ("b", "2"), ("c", "4")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(request.headers, expected.into());
        let added = operations(&[], &[("a", "2")], &[]);
        let request = changed(added, HeaderOperations::default(), Destinations::One);
        assert_eq!(request.headers["a"], "1,2");
    }

    #[test]
    fn the_route_speaks_last_over_several_destinations_and_first_over_one() {
        use Destinations::{One, Several};
        let changed = |(route, destination), how| changed(route, destination, how);
        let of = |value| operations(&[("a", value)], &[], &[]);
        let both = || (of("route"), of("destination"));
        assert_eq!(changed(both(), One).headers["a"], "destination");
        assert_eq!(changed(both(), Several).headers["a"], "route");
        let of = |value| operations(&[("Host", value)], &[], &[]);
        for how in [One, Several] {
            let request = changed((of("route"), of("destination")), how);
            assert_eq!(request.authority, "route");
            assert!(!request.headers.contains_key("host"));
        }
    }
}
