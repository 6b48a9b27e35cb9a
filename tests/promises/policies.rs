//! Policies of sidecars, as users write them: what requests meet under unmodified manifests.

use crate::shop::{asked_service, failed, load, load_with, run};
use cloud::record::{Reason, Record};
use cloud::{Options, compile, simulate};
use engine::Seed;

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
fn tokens_are_found_where_their_rule_looks() {
    let bare = token("testing@secure.istio.io", "");
    let in_header = |header: &str| format!("{bare}, headers: {{{header}}}");
    let of_header = "      fromHeaders: [{name: X-Token, prefix: \"JWT \"}]";
    let of_parameter = "      fromParams: [t]";
    let of_cookie = "      fromCookies: [session]";
    for (options, path, more, refused) in [
        ("", "/", bare.clone(), None),
        ("", "/?access_token={token}", bare.clone(), None),
        (
            "",
            "/",
            in_header("x-token: \"JWT {token}\""),
            Some(Reason::Forbidden),
        ),
        (of_header, "/", in_header("x-token: \"JWT {token}\""), None),
        (of_header, "/", bare.clone(), Some(Reason::Forbidden)),
        (
            of_header,
            "/",
            ", headers: {x-token: JWT abc}".to_owned(),
            Some(Reason::Unauthenticated),
        ),
        (of_parameter, "/?t={token}", bare.clone(), None),
        (
            of_parameter,
            "/?access_token={token}",
            bare.clone(),
            Some(Reason::Forbidden),
        ),
        (
            of_cookie,
            "/",
            in_header("cookie: \"a=b; session={token}\""),
            None,
        ),
        (of_cookie, "/", bare.clone(), Some(Reason::Forbidden)),
    ] {
        let record = run((path, &more), "", &tokens("web", options, true));
        let case = format!("{options} {path} {more}");
        let expected = if refused.is_some() { 0 } else { 200 };
        assert_eq!(record.traffic[0].succeeded, expected, "{case}");
        if let Some(reason) = refused {
            assert_eq!(failed(&record, reason), 200, "{case}");
        }
    }
}

#[test]
fn a_token_goes_on_in_the_header_in_which_it_stands() {
    let carried = token("testing@secure.istio.io", "") + ", headers: {x-token: \"{token}\"}";
    let from = "      fromHeaders: [{name: x-token}]";
    let forwards = format!("{from}\n      forwardOriginalToken: true");
    for (options, call, succeeded) in [
        (forwards.as_str(), ", forwardHeaders: [x-token]", 200),
        (forwards.as_str(), ", forwardHeaders: [authorization]", 0),
        (from, ", forwardHeaders: [x-token]", 0),
    ] {
        let manifests = tokens("web", options, false) + &tokens("api", from, true);
        let record = run(("/", &carried), call, &manifests);
        assert_eq!(record.traffic[0].succeeded, succeeded, "{options} {call}");
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
