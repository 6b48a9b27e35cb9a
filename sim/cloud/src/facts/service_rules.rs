//! What kube-proxy's rules cost: the first packet of a connection, and writing them.
//!
//! The chart of KEP-3866 gives 1, 50, 90 and 99 % quantiles of the first packet's round trip,
//! read off its vector picture to 2 µs.

use super::facts;
use engine::Duration;

/// The chart, and what was made of it.
const FITTED: &str = "fit of this project to kubernetes/enhancements keps/sig-network/3866-nftables-proxy/iptables-vs-nftables.svg: medians and 99 % quantiles of 5000, 10 000 and 30 000 services within 15 %";
/// The chart.
const CHART: &str =
    "kubernetes/enhancements keps/sig-network/3866-nftables-proxy/iptables-vs-nftables.svg";
/// The ends of a distribution of which the chart gives four quantiles.
const END: &str = "KEP-3866's chart starts at the 1 % quantile and ends at the 99 % quantile; the ends are set just beyond, so that they do not matter";
/// Timings of one set of services under one kube-proxy.
const THOUSAND: &str = "kube-proxy 1.36.2, iptables 1.8.9, nftables 1.0.6, 1000 services of 10 endpoints, 43 121 iptables lines";

facts! {
    // a new connection
    /// Least round trip of a first packet whose service is found in a map.
    SERVICE_MAP_ROUND_TRIP_MIN: Duration = Duration::from_nanos(9_900), "µs",
        "kubernetes.service-rules.map.min", "kube-proxy nftables", "1.33", Assumption, END;
    /// Its 1 % quantile.
    SERVICE_MAP_ROUND_TRIP_P01: Duration = Duration::from_micros(10), "µs",
        "kubernetes.service-rules.map.p01", "kube-proxy nftables", "1.33", Measurement, CHART;
    /// Its median.
    SERVICE_MAP_ROUND_TRIP_P50: Duration = Duration::from_micros(14), "µs",
        "kubernetes.service-rules.map.p50", "kube-proxy nftables", "1.33", Measurement, CHART;
    /// Its 90 % quantile.
    SERVICE_MAP_ROUND_TRIP_P90: Duration = Duration::from_micros(21), "µs",
        "kubernetes.service-rules.map.p90", "kube-proxy nftables", "1.33", Measurement, CHART;
    /// Its 99 % quantile.
    SERVICE_MAP_ROUND_TRIP_P99: Duration = Duration::from_micros(37), "µs",
        "kubernetes.service-rules.map.p99", "kube-proxy nftables", "1.33", Measurement, CHART;
    /// The greatest.
    SERVICE_MAP_ROUND_TRIP_MAX: Duration = Duration::from_micros(39), "µs",
        "kubernetes.service-rules.map.max", "kube-proxy nftables", "1.33", Assumption, END;
    /// What a rule costs that is still in the processor's cache.
    SERVICE_RULE_WARM_NANOS: f64 = 3.5, "ns",
        "kubernetes.service-rules.rule.warm", "kube-proxy iptables", "1.33", Assumption, FITTED;
    /// What a rule costs that is not.
    SERVICE_RULE_COLD_NANOS: f64 = 18.0, "ns",
        "kubernetes.service-rules.rule.cold", "kube-proxy iptables", "1.33", Assumption, FITTED;
    /// What a rule costs that is not, while others use the memory too.
    SERVICE_RULE_CONTENDED_NANOS: f64 = 26.0, "ns",
        "kubernetes.service-rules.rule.contended", "kube-proxy iptables", "1.33", Assumption, FITTED;
    /// Share of walks over warm rules, while all rules fit in the cache.
    SERVICE_RULES_WARM_SHARE: f64 = 0.33, "",
        "kubernetes.service-rules.warm-share", "kube-proxy iptables", "1.33", Assumption, FITTED;
    /// Rules that fit; with more of them the share of warm walks falls as their inverse.
    SERVICE_RULES_CACHED: f64 = 13_000.0, "rules",
        "kubernetes.service-rules.cached", "kube-proxy iptables", "1.33", Assumption, FITTED;
    /// Share of contended walks among those that are not warm.
    SERVICE_RULES_CONTENDED_SHARE: f64 = 0.38, "",
        "kubernetes.service-rules.contended-share", "kube-proxy iptables", "1.33", Assumption, FITTED;

    // writing rules
    /// A full sync of three services.
    IPTABLES_FULL_SYNC_SMALL: Duration = Duration::from_millis(160), "ms",
        "kubernetes.service-rules.sync.iptables.full.small", "kube-proxy iptables", "1.36",
        Measurement, "kube-proxy 1.36.2, iptables 1.8.9, 3 services: 0.13 to 0.19 s";
    /// A full sync of 1000 services with 10 endpoints each.
    IPTABLES_FULL_SYNC_THOUSAND: Duration = Duration::from_millis(6_500), "ms",
        "kubernetes.service-rules.sync.iptables.full.thousand", "kube-proxy iptables", "1.36",
        Measurement, THOUSAND;
    /// A partial sync of three services.
    IPTABLES_PARTIAL_SYNC_SMALL: Duration = Duration::from_millis(35), "ms",
        "kubernetes.service-rules.sync.iptables.partial.small", "kube-proxy iptables", "1.28 and later",
        Measurement, "kube-proxy 1.36.2, iptables 1.8.9, 3 services: 20 to 50 ms, the middle";
    /// A partial sync of 1000 services with 10 endpoints each.
    IPTABLES_PARTIAL_SYNC_THOUSAND: Duration = Duration::from_millis(124), "ms",
        "kubernetes.service-rules.sync.iptables.partial.thousand", "kube-proxy iptables", "1.36",
        Measurement, "kube-proxy 1.36.2, iptables 1.8.9, 1000 services of 10 endpoints: 86 to 162 ms, the middle";
    /// A full nftables sync of 1000 services with 10 endpoints each.
    NFTABLES_FULL_SYNC_THOUSAND: Duration = Duration::from_millis(430), "ms",
        "kubernetes.service-rules.sync.nftables.full.thousand", "kube-proxy nftables", "1.36",
        Measurement, THOUSAND;
    /// A partial one.
    NFTABLES_PARTIAL_SYNC_THOUSAND: Duration = Duration::from_millis(345), "ms",
        "kubernetes.service-rules.sync.nftables.partial.thousand", "kube-proxy nftables", "1.36",
        Measurement, "kube-proxy 1.36.2, nftables 1.0.6, 1000 services of 10 endpoints: 340 to 350 ms, the middle";
    /// A full nftables sync of 5006 services with 250 011 endpoints.
    NFTABLES_FULL_SYNC_MANY_ENDPOINTS: Duration = Duration::from_secs(795), "s",
        "kubernetes.service-rules.sync.nftables.full.many-endpoints", "kube-proxy nftables", "1.3x",
        Measurement, "kubernetes/kubernetes issue 135639: 13 min 15 s";
    /// A full nftables sync of 44 125 services with 44 152 endpoints.
    NFTABLES_FULL_SYNC_MANY_SERVICES: Duration = Duration::from_secs(1003), "s",
        "kubernetes.service-rules.sync.nftables.full.many-services", "kube-proxy nftables", "1.36.1",
        Measurement, "kubernetes/kubernetes issue 139513: 16 min 43 s";
    /// Exponent with which full nftables syncs grow, in services and in endpoints.
    NFTABLES_SYNC_GROWTH: f64 = 2.45, "",
        "kubernetes.service-rules.sync.nftables.growth", "kube-proxy nftables", "1.36", Assumption,
        "fit through 1000 services of 10 endpoints in 0.43 s (kube-proxy 1.36.2) and the two large clusters of kubernetes/kubernetes issues 135639 and 139513, within 2 % each";
    /// An nftables sync of hardly any rules.
    NFTABLES_SYNC_SMALL: Duration = Duration::from_millis(35), "ms",
        "kubernetes.service-rules.sync.nftables.small", "kube-proxy nftables", "1.36", Assumption,
        "as iptables takes with 3 services; not measured by itself";
    /// What a small change costs in ipvs, whatever there is.
    IPVS_SYNC: Duration = Duration::from_millis(2), "ms",
        "kubernetes.service-rules.sync.ipvs", "kube-proxy ipvs", "1.11 and later",
        Measurement, "kubernetes/community pull request 692: one rule of ipvs takes 2 ms with 1 service and with 20 000";
}
