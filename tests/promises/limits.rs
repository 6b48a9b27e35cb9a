//! Limits of rates, as users write them: how many requests pass, and what becomes of the others.

use crate::shop::{asked_service, failed, load, run};
use crate::support::faultless;
use cloud::record::Reason;
use cloud::{Options, compile, simulate};
use engine::Seed;

/// A filter with one patch at the inbound side of `web`, laid out as in istio.io's tasks.
fn envoy_filter(name: &str, (kind, place): (&str, &str), operation: &str, value: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata:
  name: {name}
  namespace: istio-system
spec:
  workloadSelector:
    labels:
      app: web
  configPatches:
    - applyTo: {kind}
      match:
        context: SIDECAR_INBOUND
        {place}
      patch:
        operation: {operation}
        value:
{value}
---
"
    )
}

/// Among the filters of HTTP connections.
const HTTP_FILTERS: &str = "listener:
          filterChain:
            filter:
              name: \"envoy.filters.network.http_connection_manager\"";

/// The filter of istio.io's task about rate limits, for `web`, with so many tokens each minute.
pub fn local_limit(tokens: u32, rest: &str) -> String {
    let value = format!(
        "          name: envoy.filters.http.local_ratelimit
          typed_config:
            \"@type\": type.googleapis.com/udpa.type.v1.TypedStruct
            type_url: type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
            value:
              stat_prefix: http_local_rate_limiter
              token_bucket:
                max_tokens: {tokens}
                tokens_per_fill: {tokens}
                fill_interval: 60s
{rest}"
    );
    let place = ("HTTP_FILTER", HTTP_FILTERS);
    envoy_filter("filter-local-ratelimit-svc", place, "INSERT_BEFORE", &value)
}

pub const ENFORCED: &str = "
              filter_enabled:
                runtime_key: local_rate_limit_enabled
                default_value:
                  numerator: 100
                  denominator: HUNDRED
              filter_enforced:
                runtime_key: local_rate_limit_enforced
                default_value:
                  numerator: 100
                  denominator: HUNDRED
              response_headers_to_add:
                - append: false
                  header:
                    key: x-local-rate-limit
                    value: 'true'
";

#[test]
fn a_local_limit_lets_so_many_through_each_proxy() {
    // A token comes every 10 s; two hundred requests come within 10 s.
    let record = run(("", ""), "", &local_limit(6, ENFORCED));
    assert_eq!(record.traffic[0].succeeded, 6);
    assert_eq!(failed(&record, Reason::RateLimited), 194);
    let more = local_limit(6, ENFORCED).replace("numerator: 100", "numerator: 0");
    let loaded = load(("", ""), "", "", &more);
    let told = loaded.diagnostics.iter().map(|told| told.code);
    assert!(
        told.into_iter()
            .any(|code| code == loader::Code::LimitWithoutEffect)
    );
    // Two pods have a bucket each.
    let two = local_limit(6, ENFORCED)
        + "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-2}
spec:
  selector: {matchLabels: {app: web, version: v2}}
  template: {metadata: {labels: {app: web, version: v2}}, spec: {containers: [{name: web, image: w}]}}
";
    let record = run(("", ""), "", &two);
    assert_eq!(record.traffic[0].succeeded, 12);
}

/// The filter without a bucket, and what is merged into the routes of a port of `web`.
fn limited_port(port: u16, value: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: web-limits}}
spec:
  workloadSelector: {{labels: {{app: web}}}}
  configPatches:
    - applyTo: HTTP_FILTER
      match: {{context: SIDECAR_INBOUND}}
      patch:
        operation: INSERT_BEFORE
        value:
          name: envoy.filters.http.local_ratelimit
          typed_config: {{value: {{stat_prefix: http_local_rate_limiter}}}}
    - applyTo: HTTP_ROUTE
      match:
        context: SIDECAR_INBOUND
        routeConfiguration: {{vhost: {{name: \"inbound|http|{port}\", route: {{action: ANY}}}}}}
      patch:
        operation: MERGE
        value:{value}
---
"
    )
}

#[test]
fn a_limit_of_a_port_holds_there() {
    for (port, succeeded) in [(8080, 3), (9080, 200)] {
        let filter = limited_port(
            port,
            "
          typed_per_filter_config:
            envoy.filters.http.local_ratelimit:
              value:
                token_bucket: {max_tokens: 3, tokens_per_fill: 1, fill_interval: 60s}
                filter_enabled: {default_value: {numerator: 100, denominator: HUNDRED}}
                filter_enforced: {default_value: {numerator: 100, denominator: HUNDRED}}",
        );
        let record = run(("", ""), "", &filter);
        assert_eq!(record.traffic[0].succeeded, succeeded, "{port}");
    }
}

/// The rate limit service of istio.io's task, before `web`.
fn global_limit(denies: bool) -> String {
    let service = asked_service("ratelimit", 8081);
    let before_the_router = format!(
        "{HTTP_FILTERS}
              subFilter:
                name: \"envoy.filters.http.router\""
    );
    let filter = format!(
        "          name: envoy.filters.http.ratelimit
          typed_config:
            \"@type\": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit
            domain: ratelimit
            failure_mode_deny: {denies}
            timeout: 10s
            rate_limit_service:
              grpc_service:
                envoy_grpc:
                  cluster_name: outbound|8081||ratelimit.default.svc.cluster.local
                  authority: ratelimit.default.svc.cluster.local
              transport_api_version: V3"
    );
    let of_all_routes = "routeConfiguration:
          vhost:
            name: \"\"
            route:
              action: ANY";
    let actions = "          rate_limits:
            - actions:
              - request_headers:
                  header_name: \":path\"
                  descriptor_key: \"PATH\"";
    let asks = ("HTTP_FILTER", before_the_router.as_str());
    let asks = envoy_filter("filter-ratelimit", asks, "INSERT_BEFORE", &filter);
    let tells = ("VIRTUAL_HOST", of_all_routes);
    let tells = envoy_filter("filter-ratelimit-svc", tells, "MERGE", actions);
    format!(
        "{service}
apiVersion: v1
kind: ConfigMap
metadata:
  name: ratelimit-config
data:
  config.yaml: |
    domain: ratelimit
    descriptors:
      - key: PATH
        value: \"/productpage\"
        rate_limit:
          unit: second
          requests_per_unit: 3
      - key: PATH
        rate_limit:
          unit: minute
          requests_per_unit: 100
---{asks}{tells}"
    )
}

#[test]
fn a_global_limit_counts_in_windows_for_all_proxies() {
    let record = run(("/productpage", ""), "", &global_limit(true));
    // Three in each of the ten seconds.
    assert_eq!(record.traffic[0].succeeded, 30);
    assert_eq!(failed(&record, Reason::RateLimited), 170);
    let record = run(("/cart", ""), "", &global_limit(true));
    assert_eq!(record.traffic[0].succeeded, 100);
}

#[test]
fn a_rate_limit_service_that_is_not_there_fails_open_or_not() {
    for (denies, succeeded) in [(true, 0), (false, 200)] {
        let limit = global_limit(denies).replace(
            "kind: Deployment\nmetadata: {name: ratelimit}\nspec:",
            "kind: Deployment\nmetadata: {name: ratelimit}\nspec:\n  replicas: 0",
        );
        let record = run(("/productpage", ""), "", &limit);
        assert_eq!(record.traffic[0].succeeded, succeeded);
        assert_eq!(failed(&record, Reason::ServerError), 200 - succeeded);
    }
}

/// Limits of `web`'s port by what is told of requests: an own bucket for carts, and one for each
/// caller of a kind.
fn limits_by_descriptor(rest: &str) -> String {
    let value = format!(
        "
          route:
            rate_limits:
              - actions: [{{remote_address: {{}}}}]
              - actions:
                  - header_value_match:
                      descriptor_value: cart
                      headers: [{{name: \":path\", string_match: {{prefix: /CART, ignore_case: true}}}}]
          typed_per_filter_config:
            envoy.filters.http.local_ratelimit:
              stat_prefix: limits
              token_bucket: {{max_tokens: 50, tokens_per_fill: 50, fill_interval: 600s}}
              filter_enabled: {{default_value: {{numerator: 100, denominator: HUNDRED}}}}
              filter_enforced: {{default_value: {{numerator: 100, denominator: HUNDRED}}}}
              descriptors:
                - entries: [{{key: header_match, value: cart}}]
                  token_bucket: {{max_tokens: 10, tokens_per_fill: 10, fill_interval: 600s}}
{rest}"
    );
    limited_port(8080, &value)
}

#[test]
fn local_limits_have_buckets_for_what_is_told_of_requests() {
    let cases = [
        // Two hundred requests in ten seconds, before any bucket gets a token.
        ("/cart/items", "", 10),
        ("/orders", "", 50),
        // A bucket of its own alone does not count in that of all, which nobody else asks.
        (
            "/cart/items",
            "              always_consume_default_token_bucket: false",
            10,
        ),
        // What the limit itself says goes before what routes say.
        (
            "/cart/items",
            "              rate_limits: [{actions: [{generic_key: {descriptor_value: all}}]}]",
            50,
        ),
    ];
    for (path, rest, succeeded) in cases {
        let record = run((path, ""), "", &limits_by_descriptor(rest));
        assert_eq!(record.traffic[0].succeeded, succeeded, "{path} {rest}");
        assert_eq!(failed(&record, Reason::RateLimited), 200 - succeeded);
    }
}

#[test]
fn a_part_that_is_not_known_is_told() {
    let of_limit = "              rate_limits: [{actions: [{source_cluster: {}}]}]";
    let whole = limits_by_descriptor("");
    let bucket =
        "              token_bucket: {max_tokens: 50, tokens_per_fill: 50, fill_interval: 600s}\n";
    for (filter, told) in [
        (whole.clone(), 0),
        (whole.replace("remote_address", "source_cluster"), 1),
        (limits_by_descriptor(of_limit), 1),
        // Envoy refuses a route whose limit has no bucket.
        (whole.replace(bucket, ""), 1),
    ] {
        let loaded = load(("/cart", ""), "", "", &filter);
        let codes = loaded.diagnostics.iter().map(|told| told.code);
        let found = codes.filter(|code| *code == loader::Code::FilterByHand);
        assert_eq!(found.count(), told, "{filter}");
    }
}

#[test]
fn a_rate_limit_service_counts_each_address_by_itself() {
    let by_path = "
            - actions:
              - request_headers:
                  header_name: \":path\"
                  descriptor_key: \"PATH\"";
    let by_address = "
            - actions:
              - remote_address: {}";
    let limit = global_limit(true).replace(by_path, by_address).replace(
        "      - key: PATH
        rate_limit:
          unit: minute
          requests_per_unit: 100",
        "      - key: remote_address
        rate_limit:
          unit: minute
          requests_per_unit: 30",
    );
    let scaled = "  timeline: [{at: 0s, scale: {workload: browser, replicas: 2}}]\n";
    for (rest, succeeded) in [("", 30), (scaled, 60)] {
        let scenario = faultless(load(("/", ""), "", rest, &limit));
        let record = simulate(&compile(&scenario), Seed::default(), &Options::default());
        assert_eq!(record.traffic[0].succeeded, succeeded, "{rest}");
    }
}
