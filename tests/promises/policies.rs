//! Policies of sidecars, as users write them: what requests meet under unmodified manifests.

use cloud::record::{Reason, Record};
use cloud::{Options, compile, simulate};
use engine::Seed;
use loader::{Diagnostic, File, Library, Loaded, Severity};

/// A shop in a mesh: a browser asks `web`, in two versions, which asks `api`.
const SHOP: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: browser}
spec:
  selector: {matchLabels: {app: browser}}
  template: {metadata: {labels: {app: browser}}, spec: {containers: [{name: browser, image: b}]}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web, version: v1}}
  template: {metadata: {labels: {app: web, version: v1}}, spec: {containers: [{name: web, image: w}]}}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {selector: {app: api}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  selector: {matchLabels: {app: api, version: v1}}
  template: {metadata: {labels: {app: api, version: v1}}, spec: {containers: [{name: api, image: a}]}}
---
";

/// Manifests in place of files.
pub struct Manifests(pub String);

impl Library for Manifests {
    fn read(&self, path: &str) -> Result<Vec<File>, String> {
        let name = path.to_owned();
        let text = self.0.clone();
        Ok(vec![File { name, text }])
    }
}

/// What the browser asks of `web`, by path and with what else, `web`'s call of `api`, and what
/// else stands in the Scenario, with these manifests besides the shop's.
pub fn load(request: (&str, &str), call: &str, rest: &str, manifests: &str) -> Loaded {
    load_with("", request, (call, rest), manifests)
}

/// The same, with what further workloads do.
fn load_with(
    behavior: &str,
    (path, request): (&str, &str),
    (call, rest): (&str, &str),
    manifests: &str,
) -> Loaded {
    let text = format!(
        "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {{name: policies}}
spec:
  clusters:
    - name: cluster
      region: local
      zones: [a]
      kubernetes: \"1.33\"
      nodePools: [{{name: node, count: 3, cpu: 8, memory: 16Gi}}]
      manifests: [shop.yaml]
      istio: {{version: \"1.30\", injectedNamespaces: [default]}}
  behavior:
    web: {{serviceTime: 1ms, workers: unlimited, calls: [{{to: \"api:80\"{call}}}]}}
    api: {{serviceTime: 1ms, workers: unlimited}}
{behavior}  traffic:
    - {{name: users, from: browser, to: \"http://web{path}\", arrivals: {{constant: 20/s}}, timeout: none{request}}}
  run: {{duration: 10s, analysis: terminating, replications: 1}}
{rest}"
    );
    let file = File {
        name: "policies.yaml".to_owned(),
        text,
    };
    loader::load(&[file], &Manifests(format!("{SHOP}{manifests}")))
}

/// What one replication leaves behind.
pub fn run(request: (&str, &str), call: &str, manifests: &str) -> Record {
    let loaded = load(request, call, "", manifests);
    let told = loaded.diagnostics;
    let is_wrong = |it: &Diagnostic| it.severity == Severity::Error;
    assert!(!told.iter().any(is_wrong), "{told:#?}");
    let scenario = loaded.scenario.expect("a text without problems");
    simulate(&compile(&scenario), Seed::default(), &Options::default())
}

/// Requests of the browser that failed for a reason.
fn failed(record: &Record, reason: Reason) -> u64 {
    record.traffic[0].failures[reason as usize]
}

/// Lets in what has this path and this header.
fn guard(app: &str, path: &str, header: &str) -> String {
    format!(
        "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: {app}}}
spec:
  selector: {{matchLabels: {{app: {app}}}}}
  rules:
    - to: [{{operation: {{paths: [{path}]}}}}]
      when: [{{key: \"request.headers[stage]\", values: [{header}]}}]
---
"
    )
}

#[test]
fn policies_behind_a_route_see_what_it_changed() {
    let route = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http:
    - match: [{uri: {prefix: /shop}}]
      rewrite: {uri: /v2}
      headers: {request: {set: {stage: canary}}}
      route: [{destination: {host: web}}]
    - route: [{destination: {host: web}}]
---
";
    let behind = guard("web", "/v2/cart", "canary");
    let before = guard("web", "/shop/cart", "canary");
    for (path, policy, refused) in [
        ("/shop/cart", &behind, 0),
        ("/other", &behind, 200),
        ("/shop/cart", &before, 200),
    ] {
        let record = run((path, ""), "", &format!("{route}{policy}"));
        assert_eq!(failed(&record, Reason::Forbidden), refused, "{path}");
        assert_eq!(record.traffic[0].succeeded, 200 - refused, "{path}");
    }
}

#[test]
fn applications_hand_on_headers_that_a_route_has_set() {
    let route = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{group: \"\", kind: Service, name: web, port: 80}]
  rules:
    - filters:
        - type: RequestHeaderModifier
          requestHeaderModifier: {set: [{name: Stage, value: canary}], remove: [secret]}
      backendRefs: [{name: web, port: 80}]
---
";
    let manifests = format!("{route}{}", guard("api", "/", "canary"));
    for (call, succeeded) in [
        ("", 0),
        (", forwardHeaders: [stage]", 200),
        (", forwardHeaders: [secret]", 0),
    ] {
        let record = run(("", ", headers: {secret: canary}"), call, &manifests);
        assert_eq!(record.traffic[0].succeeded, succeeded, "{call}");
        assert_eq!(
            failed(&record, Reason::DependencyFailed),
            200 - succeeded,
            "{call}"
        );
    }
}

#[test]
fn expectations_ask_for_response_flags() {
    let route = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http:
    - fault: {abort: {httpStatus: 503, percentage: {value: 100}}}
      route: [{destination: {host: web}}]
";
    let expect = "  expect:
    - {measure: flagged, flag: FI, workload: browser, service: web, atLeast: 100%}
    - {measure: flagged, flag: FI, service: api, atLeast: 1%}
    - {measure: flagged, flag: UO, atMost: 0%}
";
    let loaded = load(("", ""), "", expect, route);
    let scenario = loaded.scenario.expect("a text without problems");
    let topology = compile(&scenario);
    let record = simulate(&topology, Seed::default(), &Options::default());
    let summary = cloud::summarize(&topology, &[record], &cloud::WarmUp::NONE);
    let found = summary.verdicts.iter().map(|verdict| {
        let found = verdict.found.as_ref().map(|found| found.value);
        (verdict.statement.as_str(), found)
    });
    let expected = [
        (
            "requests from cluster/default/browser to cluster/default/web with FI at least 100 %",
            Some(1.0),
        ),
        // Nobody got so far as to ask it.
        ("requests to cluster/default/api with FI at least 1 %", None),
        ("requests with UO at most 0 %", Some(0.0)),
    ];
    assert_eq!(found.collect::<Vec<_>>(), expected);
    let rows: Vec<_> = summary
        .flags
        .iter()
        .map(|row| (row.status, row.flags.as_str(), row.count))
        .collect();
    assert_eq!(rows, [(503, "FI", 200)]);
}

/// The filter of istio.io's task about rate limits, for `web`, with so many tokens each minute.
fn local_limit(tokens: u32, rest: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata:
  name: filter-local-ratelimit-svc
  namespace: istio-system
spec:
  workloadSelector:
    labels:
      app: web
  configPatches:
    - applyTo: HTTP_FILTER
      match:
        context: SIDECAR_INBOUND
        listener:
          filterChain:
            filter:
              name: \"envoy.filters.network.http_connection_manager\"
      patch:
        operation: INSERT_BEFORE
        value:
          name: envoy.filters.http.local_ratelimit
          typed_config:
            \"@type\": type.googleapis.com/udpa.type.v1.TypedStruct
            type_url: type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
            value:
              stat_prefix: http_local_rate_limiter
              token_bucket:
                max_tokens: {tokens}
                tokens_per_fill: {tokens}
                fill_interval: 60s
{rest}
---
"
    )
}

const ENFORCED: &str = "
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

#[test]
fn a_limit_of_a_port_holds_there() {
    for (port, succeeded) in [(8080, 3), (9080, 200)] {
        let filter = format!(
            "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: filter-local-ratelimit-svc}}
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
        value:
          typed_per_filter_config:
            envoy.filters.http.local_ratelimit:
              value:
                token_bucket: {{max_tokens: 3, tokens_per_fill: 1, fill_interval: 60s}}
                filter_enabled: {{default_value: {{numerator: 100, denominator: HUNDRED}}}}
                filter_enforced: {{default_value: {{numerator: 100, denominator: HUNDRED}}}}
"
        );
        let record = run(("", ""), "", &filter);
        assert_eq!(record.traffic[0].succeeded, succeeded, "{port}");
    }
}

/// A service that proxies ask about requests.
fn asked_service(name: &str, port: u16) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: grpc, port: {port}, targetPort: {port}}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: [{{name: {name}, image: r}}]}}}}
---
"
    )
}

/// The rate limit service of istio.io's task, before `web`.
fn global_limit(denies: bool) -> String {
    let service = asked_service("ratelimit", 8081);
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
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata:
  name: filter-ratelimit
  namespace: istio-system
spec:
  workloadSelector:
    labels:
      app: web
  configPatches:
    - applyTo: HTTP_FILTER
      match:
        context: SIDECAR_INBOUND
        listener:
          filterChain:
            filter:
              name: \"envoy.filters.network.http_connection_manager\"
              subFilter:
                name: \"envoy.filters.http.router\"
      patch:
        operation: INSERT_BEFORE
        value:
          name: envoy.filters.http.ratelimit
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
              transport_api_version: V3
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata:
  name: filter-ratelimit-svc
  namespace: istio-system
spec:
  workloadSelector:
    labels:
      app: web
  configPatches:
    - applyTo: VIRTUAL_HOST
      match:
        context: SIDECAR_INBOUND
        routeConfiguration:
          vhost:
            name: \"\"
            route:
              action: ANY
      patch:
        operation: MERGE
        value:
          rate_limits:
            - actions:
              - request_headers:
                  header_name: \":path\"
                  descriptor_key: \"PATH\"
---
"
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

/// A provider before `web`, and what it lets through.
fn provider(options: &str) -> String {
    let service = asked_service("ext-authz", 8000);
    format!(
        "{service}
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data:
  mesh: |
    extensionProviders:
    - name: sample-ext-authz-http
      envoyExtAuthzHttp:
        service: ext-authz.default.svc.cluster.local
        port: 8000
        includeRequestHeadersInCheck: [x-ext-authz]
{options}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: ext-authz}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  action: CUSTOM
  provider: {{name: sample-ext-authz-http}}
  rules: [{{to: [{{operation: {{paths: [/headers]}}}}]}}]
---
"
    )
}

const PROVIDER: &str =
    "    ext-authz: {serviceTime: 1ms, allows: [{headers: {X-Ext-Authz: allow}}]}\n";

/// Runs with a provider that lets through what says so.
fn run_with_provider(request: (&str, &str), manifests: &str) -> Record {
    let loaded = load_with(PROVIDER, request, ("", ""), manifests);
    let told = loaded.diagnostics;
    let scenario = loaded.scenario.unwrap_or_else(|| panic!("{told:#?}"));
    simulate(&compile(&scenario), Seed::default(), &Options::default())
}

#[test]
fn a_provider_is_asked_about_what_its_policy_matches() {
    let allow = ", headers: {x-ext-authz: allow}";
    for (path, headers, refused) in [
        ("/headers", allow, 0),
        ("/headers", "", 200),
        ("/ip", "", 0),
    ] {
        let record = run_with_provider((path, headers), &provider(""));
        assert_eq!(
            failed(&record, Reason::Forbidden),
            refused,
            "{path} {headers}"
        );
        assert_eq!(
            record.traffic[0].succeeded,
            200 - refused,
            "{path} {headers}"
        );
        let flagged = record.flags.iter().flat_map(|it| &it.counts);
        let flagged = flagged.filter(|((_, flags), _)| flags.to_string() == "UAEX");
        assert_eq!(flagged.map(|(_, count)| count).sum::<u64>(), refused);
    }
}

#[test]
fn a_provider_that_is_not_there_fails_open_or_with_its_status() {
    for (options, reason, refused) in [
        ("", Reason::Forbidden, 200),
        ("        failOpen: true", Reason::Forbidden, 0),
        ("        statusOnError: \"503\"", Reason::Unavailable, 200),
    ] {
        let manifests = provider(options).replace("metadata: {name: ext-authz}\nspec:\n  selector: {matchLabels: {app: ext-authz}}", "metadata: {name: ext-authz}\nspec:\n  replicas: 0\n  selector: {matchLabels: {app: ext-authz}}");
        let record = run_with_provider(("/headers", ""), &manifests);
        assert_eq!(failed(&record, reason), refused, "{options}");
        assert_eq!(record.traffic[0].succeeded, 200 - refused, "{options}");
    }
}

/// Takes tokens of one issuer before `app`, and demands them there or not.
fn tokens(app: &str, options: &str, demanded: bool) -> String {
    let policy = format!(
        "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: {app}}}
spec:
  selector: {{matchLabels: {{app: {app}}}}}
  rules:
    - from: [{{source: {{requestPrincipals: [\"testing@secure.istio.io/testing@secure.istio.io\"]}}}}]
      when: [{{key: \"request.auth.claims[groups]\", values: [group1]}}]
---
"
    );
    format!(
        "
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: {app}}}
spec:
  selector: {{matchLabels: {{app: {app}}}}}
  jwtRules:
    - issuer: testing@secure.istio.io
      jwksUri: https://raw.githubusercontent.com/istio/istio/release-1.30/security/tools/jwt/samples/jwks.json
{options}
---
{}",
        if demanded { policy.as_str() } else { "" }
    )
}

fn token(issuer: &str, more: &str) -> String {
    format!(
        ", token: {{issuer: {issuer}, subject: testing@secure.istio.io, claims: {{groups: [group1, group2]}}{more}}}"
    )
}

#[test]
fn tokens_are_checked_where_somebody_asks_for_them() {
    let own = "testing@secure.istio.io";
    let audience = "      audiences: [shop]";
    for (options, demanded, token, reason, refused) in [
        ("", false, String::new(), Reason::Unauthenticated, 0),
        ("", true, String::new(), Reason::Forbidden, 200),
        ("", true, token(own, ""), Reason::Forbidden, 0),
        (
            "",
            false,
            token(own, ", valid: false"),
            Reason::Unauthenticated,
            200,
        ),
        ("", false, token("others", ""), Reason::Unauthenticated, 200),
        (audience, false, token(own, ""), Reason::Forbidden, 200),
        (
            audience,
            false,
            token(own, ", audiences: [shop]"),
            Reason::Forbidden,
            0,
        ),
    ] {
        let record = run(("", &token), "", &tokens("web", options, demanded));
        let case = format!("{options} {demanded} {token}");
        assert_eq!(failed(&record, reason), refused, "{case}");
        assert_eq!(record.traffic[0].succeeded, 200 - refused, "{case}");
    }
}

#[test]
fn a_token_goes_on_if_sidecar_and_application_hand_it_on() {
    let forwards = "      forwardOriginalToken: true";
    let handed_on = ", forwardHeaders: [authorization]";
    let carried = token("testing@secure.istio.io", "");
    for (options, call, succeeded) in [
        (forwards, handed_on, 200),
        (forwards, "", 0),
        ("", handed_on, 0),
    ] {
        let manifests = tokens("web", options, false) + &tokens("api", "", true);
        let record = run(("", &carried), call, &manifests);
        assert_eq!(record.traffic[0].succeeded, succeeded, "{options} {call}");
    }
}

/// A mesh of this release, and manifests, under a spec of its own.
fn mesh(minor: u32, spec: &str, manifests: &str) -> cloud::scenario::Scenario {
    let text = format!(
        "apiVersion: hybridsim.dev/v1alpha1
kind: Scenario
metadata: {{name: mesh}}
spec:
  clusters:
    - name: cluster
      region: local
      zones: [a, b]
      kubernetes: \"1.33\"
      nodePools: [{{name: node, count: 4, cpu: 16, memory: 64Gi}}]
      manifests: [shop.yaml]
      istio: {{version: \"1.{minor}\", injectedNamespaces: [default]}}
{spec}"
    );
    let file = File {
        name: "mesh.yaml".to_owned(),
        text,
    };
    let loaded = loader::load(&[file], &Manifests(manifests.to_owned()));
    let told = loaded.diagnostics;
    loaded.scenario.unwrap_or_else(|| panic!("{told:#?}"))
}

#[test]
fn buckets_refuse_the_share_that_queueing_theory_says() {
    // The rows TB2 and TB3 of the closed forms: a hundred tokens at the end of each second, and
    // Poisson arrivals. Who finds the bucket empty is one of more than a hundred in a second.
    let filter = local_limit(100, ENFORCED).replace("fill_interval: 60s", "fill_interval: 1s");
    let (seconds, minor) = (600, 22);
    for (rate, exact) in [
        (90.0, 0.008_331_918_340_554_204),
        (100.0, 0.039_860_996_809_147_135),
    ] {
        let spec = format!(
            "  behavior: {{web: {{serviceTime: 0s, workers: unlimited}}}}
  traffic: [{{name: users, from: browser, to: \"web:80\", arrivals: {{poisson: {rate}/s}}, timeout: none}}]
  run: {{duration: {seconds}s, analysis: terminating, replications: 1}}
"
        );
        let scenario = mesh(minor, &spec, &format!("{SHOP}{filter}"));
        let record = simulate(&compile(&scenario), Seed::default(), &Options::default());
        let refused = failed(&record, Reason::RateLimited) as f64 / record.traffic[0].sent as f64;
        // The number too many in a second has a standard deviation of at most 0.6 of a Poisson
        // number's.
        let error = 0.6 * f64::sqrt(rate / f64::from(seconds)) / rate;
        assert!(
            (refused - exact).abs() < 4.0 * error,
            "{refused} {exact} {error}"
        );
    }
}

/// A service `web` with a rule that leaves out at once what fails so often in a row.
fn outliers(consecutive: u32) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: web}}
spec:
  host: web
  trafficPolicy:
    outlierDetection:
      consecutive5xxErrors: {consecutive}
      interval: 1h
      baseEjectionTime: 10h
      maxEjectionPercent: 100
---
"
    )
}

#[test]
fn a_pod_is_left_out_after_as_many_requests_as_runs_of_errors_take() {
    // The rows CONSEC-0.5-5 and CONSEC-0.9-5: (q^-k - 1) / (1 - q) requests on average. They come
    // so slowly that threads hear at once who is left out.
    for (errors, exact, requests) in [(0.5, 62.0, 800), (0.9, 6.935_087_808_430_287, 60)] {
        let spec = format!(
            "  behavior: {{web: {{serviceTime: 1ms, workers: unlimited, errorRate: {errors}}}}}
  traffic: [{{name: users, from: browser, to: \"web:80\", arrivals: {{constant: 1/s}}, timeout: none}}]
  run: {{duration: {requests}s, analysis: terminating, replications: 1}}
"
        );
        let scenario = mesh(30, &spec, &format!("{SHOP}{}", outliers(5)));
        let topology = compile(&scenario);
        let web = scenario.clusters[0]
            .workloads
            .iter()
            .position(|it| it.name == "web");
        let web = web.expect("a workload of the manifests");
        let finished =
            crate::support::replicate(&topology, (1, 300), &Options::default(), |record| {
                record.workloads[web].finished as f64
            });
        let count = finished.len() as f64;
        let mean = finished.iter().sum::<f64>() / count;
        let squares = finished
            .iter()
            .map(|it| (it - mean) * (it - mean))
            .sum::<f64>();
        let error = (squares / (count - 1.0) / count).sqrt();
        assert!((mean - exact).abs() < 4.0 * error, "{mean} {exact} {error}");
        assert!(error < 0.1 * exact);
    }
}

/// Pods behind `web` in a zone.
fn pods_in(name: &str, replicas: u32, zone: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web, is: {name}}}}}
  template:
    metadata: {{labels: {{app: web, is: {name}}}}}
    spec:
      nodeSelector: {{topology.kubernetes.io/zone: {zone}}}
      containers: [{{name: web, image: w}}]
---
"
    )
}

#[test]
fn a_zone_with_seven_of_ten_healthy_pods_keeps_98_percent() {
    // The row PRIO-70: min(100, floor(140 * 0.7)).
    let service = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: browser}
spec:
  selector: {matchLabels: {app: browser}}
  template:
    metadata: {labels: {app: browser}}
    spec:
      nodeSelector: {topology.kubernetes.io/zone: a}
      containers: [{name: browser, image: b}]
---
";
    let manifests = [
        service.to_owned(),
        pods_in("near", 7, "a"),
        pods_in("failing", 3, "a"),
        pods_in("far", 4, "b"),
        outliers(1),
    ];
    let spec = "  behavior:
    near: {serviceTime: 1ms, workers: unlimited}
    far: {serviceTime: 1ms, workers: unlimited}
    failing: {serviceTime: 1ms, workers: unlimited, errorRate: 100%}
  traffic: [{name: users, from: browser, to: \"web:80\", arrivals: {constant: 200/s}, timeout: none}]
  run: {duration: 110s, analysis: terminating, replications: 1}
";
    let scenario = mesh(30, spec, &manifests.concat());
    let options = Options {
        warm_up: engine::Duration::from_secs(10),
        ..Options::default()
    };
    let record = simulate(&compile(&scenario), Seed::default(), &options);
    let finished = |name: &str| {
        let mut workloads = scenario.clusters[0].workloads.iter().zip(&record.workloads);
        let found = workloads.find(|(workload, _)| workload.name == name);
        found.expect("a workload of the manifests").1.finished
    };
    assert_eq!(finished("failing"), 0, "all have been left out before");
    let (near, far) = (finished("near") as f64, finished("far") as f64);
    let share = near / (near + far);
    // Four standard deviations of a binomial of 20 000 with 0.98.
    assert!((share - 0.98).abs() < 0.004, "{share}");
}
