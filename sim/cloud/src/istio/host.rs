//! Host names as Istio compares them.
//!
//! Models: how short names become full, how wildcards match, which of several hosts is the most
//! specific.
//! Sources: istio/istio 86c9f01 pilot/pkg/model/config.go (ResolveShortnameToFQDN),
//! pkg/config/host/name.go, pkg/config/host/names.go (MostSpecificHostMatch).
//! Validated by: the cases below, from the rules.

use std::cmp::Ordering;
use std::net::IpAddr;

/// A host as an object in `namespace` means it: a name without a dot is a service of that
/// namespace; everything else is full already.
pub fn complete(host: &str, namespace: &str, domain: &str) -> String {
    if host.is_empty() || host == "*" || host.contains('.') || host.parse::<IpAddr>().is_ok() {
        return host.to_owned();
    }
    service(host, namespace, domain)
}

/// Full name of a service.
pub fn service(name: &str, namespace: &str, domain: &str) -> String {
    format!("{name}.{namespace}.svc.{domain}")
}

/// The host without its wildcard, if it has one: `*.example.com` is `.example.com`.
fn wildcard(host: &str) -> Option<&str> {
    host.strip_prefix('*')
}

/// Whether two hosts, each with or without wildcard, have a name in common.
pub fn matches(left: &str, right: &str) -> bool {
    match (wildcard(left), wildcard(right)) {
        (Some(left), Some(right)) => left.ends_with(right) || right.ends_with(left),
        (Some(left), None) => right.ends_with(left),
        (None, Some(right)) => left.ends_with(right),
        (None, None) => left == right,
    }
}

/// Whether all names of `part` are names of `whole`.
pub fn is_subset(part: &str, whole: &str) -> bool {
    match (wildcard(part), wildcard(whole)) {
        (_, Some(whole)) => wildcard(part).unwrap_or(part).ends_with(whole),
        (Some(_), None) => false,
        (None, None) => part == whole,
    }
}

/// The narrower of two hosts, if one includes the other.
pub fn narrower<'a>(left: &'a str, right: &'a str) -> Option<&'a str> {
    match (is_subset(left, right), is_subset(right, left)) {
        (true, _) => Some(left),
        (_, true) => Some(right),
        _ => None,
    }
}

/// Orders hosts as istiod does: names before wildcards, longer wildcards before shorter ones,
/// then by text.
pub fn specificity(left: &str, right: &str) -> Ordering {
    let key = |host: &str| (host.starts_with('*'), usize::MAX - host.len());
    match (wildcard(left), wildcard(right)) {
        (Some(_), Some(_)) => key(left).cmp(&key(right)).then_with(|| left.cmp(right)),
        (None, None) => left.cmp(right),
        _ => key(left).0.cmp(&key(right).0),
    }
}

/// The most specific of hosts that includes all of `needle`: itself, or the longest wildcard.
pub fn most_specific<'a>(
    needle: &str,
    hosts: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let including = hosts.into_iter().filter(|host| is_subset(needle, host));
    including.min_by(|left, right| specificity(left, right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_belong_to_the_namespace_of_who_writes_them() {
        let complete = |host| complete(host, "shop", "cluster.local");
        assert_eq!(complete("reviews"), "reviews.shop.svc.cluster.local");
        // A dot is enough to count as full, which surprises people.
        assert_eq!(complete("reviews.shop"), "reviews.shop");
        assert_eq!(complete("*"), "*");
        assert_eq!(complete("*.com"), "*.com");
        assert_eq!(complete("10.0.0.1"), "10.0.0.1");
        assert_eq!(complete("2001:db8::1"), "2001:db8::1");
        assert_eq!(complete(""), "");
    }

    #[test]
    fn of_two_hosts_the_narrower_is_what_they_have_in_common() {
        assert_eq!(narrower("a.com", "*.com"), Some("a.com"));
        assert_eq!(narrower("*", "*.com"), Some("*.com"));
        assert_eq!(narrower("a.com", "a.com"), Some("a.com"));
        assert_eq!(narrower("a.com", "*.org"), None);
    }

    #[test]
    fn wildcards_match_whole_suffixes() {
        assert!(matches("*", "a.com"));
        assert!(matches("*.com", "a.com"));
        assert!(matches("*.a.com", "*.com"));
        assert!(!matches("*.a.com", "a.com"));
        assert!(!matches("a.com", "b.com"));
        assert!(is_subset("*.a.com", "*.com"));
        assert!(!is_subset("*.com", "*.a.com"));
        assert!(!is_subset("*.com", "a.com"));
        assert!(is_subset("a.com", "a.com"));
    }

    #[test]
    fn the_most_specific_host_counts() {
        let hosts = ["*", "*.com", "*.shop.com", "www.shop.com"];
        let find = |needle| most_specific(needle, hosts);
        assert_eq!(find("www.shop.com"), Some("www.shop.com"));
        assert_eq!(find("api.shop.com"), Some("*.shop.com"));
        assert_eq!(find("*.shop.com"), Some("*.shop.com"));
        assert_eq!(find("a.com"), Some("*.com"));
        assert_eq!(find("a.org"), Some("*"));
        assert_eq!(most_specific("a.org", ["b.org"]), None);
        let mut sorted = ["*", "b.com", "*.com", "a.com", "*.a.com"];
        sorted.sort_by(|left, right| specificity(left, right));
        assert_eq!(sorted, ["a.com", "b.com", "*.a.com", "*.com", "*"]);
    }
}
