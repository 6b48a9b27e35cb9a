//! Routes of the Gateway API for Services become what istiod makes of them.

use cloud::istio::config::{
    HttpAction, HttpMatch, HttpRoute, Object, Percent, RetryCondition, StringMatch, Target,
    UriMatch, UriRewrite, ValueMatch, VirtualService,
};
use engine::Duration;
use hybridsim_loader::diagnostic::Diagnostics;
use hybridsim_loader::kubernetes::Objects;
use hybridsim_loader::{Code, Diagnostic, File, Ledger, document};

fn read(text: &str) -> (Vec<VirtualService>, Vec<Diagnostic>) {
    let files = [File {
        name: "test.yaml".to_owned(),
        text: text.to_owned(),
    }];
    let (mut ledger, mut diagnostics) = (Ledger::default(), Diagnostics::default());
    let documents = document::read(&files, &mut ledger, &mut diagnostics);
    let objects = Objects::collect(&documents, &mut diagnostics);
    let written = objects.istio.written.into_iter();
    let services = written.filter_map(|written| match written.object {
        Object::VirtualService(service) => Some(*service),
        _ => None,
    });
    (services.collect(), diagnostics.finish(&files))
}

/// A route with these parents and rules, and services that it may lead to.
fn route(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: {name}, namespace: shop}}
spec: {spec}
"
    )
}

fn service(name: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}
"
    )
}

/// The only VirtualService of a text without problems.
fn only(text: &str) -> VirtualService {
    let (mut services, problems) = read(text);
    let told: Vec<_> = problems.iter().map(|found| &found.message).collect();
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(services.len(), 1);
    services.remove(0)
}

/// Hosts with weights.
fn shares(route: &HttpRoute) -> Vec<(String, u32)> {
    let HttpAction::Forward(destinations) = &route.action else {
        panic!("it forwards");
    };
    let share = |target: &Target| match target {
        Target::Host(it) => format!("{}:{}", it.host, it.port.unwrap_or(0)),
        Target::Broken { status } => status.to_string(),
    };
    destinations
        .iter()
        .map(|it| (share(&it.target), it.weight))
        .collect()
}

#[test]
fn the_split_of_bookinfo_is_a_virtual_service() {
    let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../scenarios/bookinfo/gateway-api/route-reviews-90-10.yaml");
    let split = only(&std::fs::read_to_string(sample).unwrap());
    assert_eq!(split.hosts, ["reviews.default.svc.cluster.local"]);
    assert!(split.is_of_gateway_api);
    let reviews = |version: u32| format!("reviews-v{version}.default.svc.cluster.local:9080");
    assert_eq!(shares(&split.http[0]), [(reviews(1), 90), (reviews(2), 10)]);
    let expected = HttpMatch {
        uri: Some(UriMatch::Below(String::new())),
        source: cloud::istio::config::Source {
            port: Some(9080),
            ..Default::default()
        },
        ..HttpMatch::default()
    };
    assert_eq!(split.http[0].matches, [expected]);
    assert_eq!(split.http[0].timeout, None);
    assert_eq!(split.http[0].retries, None);
}

#[test]
fn timeouts_retries_and_mirrors_are_istios() {
    let rule = |more: &str| {
        only(&route(
            "HTTPRoute",
            "web",
            &format!(
                "{{parentRefs: [{{group: '', kind: Service, name: web}}], rules: [{{{more}, backendRefs: [{{name: web, port: 80}}]}}]}}"
            ),
        ))
        .http
        .remove(0)
    };
    let found = rule(
        "timeouts: {request: 2s, backendRequest: 500ms}, retry: {attempts: 3, codes: [500, 503], backoff: 40ms}",
    );
    assert_eq!(found.timeout, Some(Duration::from_secs(2)));
    let retries = found.retries.expect("retries");
    assert_eq!(retries.attempts, 3);
    assert_eq!(retries.per_try_timeout, Some(Duration::from_millis(500)));
    assert_eq!(retries.backoff, Some(Duration::from_millis(40)));
    let on = retries.retry_on.expect("conditions");
    assert_eq!(on.status_codes, [500, 503]);
    assert!(on.conditions.contains(&RetryCondition::ConnectFailure));
    // Without retries one attempt is all there is.
    let found = rule("timeouts: {request: 2s, backendRequest: 500ms}");
    assert_eq!(found.timeout, Some(Duration::from_millis(500)));
    assert_eq!(rule("timeouts: {request: 0s}").timeout, None);
    assert_eq!(rule("retry: {codes: [500]}").retries.unwrap().attempts, 2);
    let off = rule("retry: {attempts: 0, codes: [500]}").retries.unwrap();
    assert_eq!((off.attempts, off.retry_on), (0, None));
    let found = rule(
        "filters: [{type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}, fraction: {numerator: 1, denominator: 8}}}, \
         {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2/}}}]",
    );
    let mirror = &found.mirrors[0];
    assert_eq!(mirror.destination.host, "copy.shop.svc.cluster.local");
    assert_eq!(mirror.share, Percent::new(12.5).unwrap());
    let uri = found.rewrite.expect("a rewrite").uri;
    assert_eq!(uri, Some(UriRewrite::Prefix("/v2".to_owned())));
}

#[test]
fn the_most_specific_match_comes_first_and_the_older_route_before_the_younger() {
    let parents = "parentRefs: [{group: '', kind: Service, name: web}]";
    let to = |name: &str| format!("backendRefs: [{{name: {name}, port: 80}}]");
    let older = route(
        "HTTPRoute",
        "z",
        &format!(
            "{{{parents}, rules: [{{matches: [{{path: {{value: /}}}}, {{path: {{type: Exact, value: /a}}}}], {}}}, {{matches: [{{path: {{value: /longer}}}}], {}}}]}}",
            to("first"),
            to("second")
        ),
    )
    .replace("name: z,", "name: z, creationTimestamp: '2020-01-01T00:00:00Z',");
    let younger = route(
        "HTTPRoute",
        "a",
        &format!(
            "{{{parents}, rules: [{{{}}}, {{matches: [{{path: {{value: /longer}}, headers: [{{name: User, value: x}}]}}], {}}}]}}",
            to("third"),
            to("fourth")
        ),
    );
    let both = only(&(older + &younger));
    assert_eq!(both.identity.name, "z-0-istio-autogenerated-k8s-gateway");
    let order: Vec<_> = both
        .http
        .iter()
        .map(|route| shares(route)[0].0.split('.').next().unwrap().to_owned())
        .collect();
    assert_eq!(order, ["first", "fourth", "second", "first", "third"]);
    let header = ValueMatch::Is(StringMatch::Exact("x".to_owned()));
    assert_eq!(both.http[1].matches[0].headers["user"], header);
}

#[test]
fn each_port_of_a_parent_has_routes_of_its_own() {
    let spec = "{parentRefs: [{group: '', kind: Service, name: web, port: 80}, {group: '', kind: Service, name: web, port: 81}], rules: [{backendRefs: [{name: web, port: 80}]}]}";
    let (services, problems) = read(&route("HTTPRoute", "web", spec));
    assert!(problems.is_empty(), "{problems:?}");
    let ports: Vec<_> = services
        .iter()
        .map(|it| it.http[0].matches[0].source.port)
        .collect();
    assert_eq!(ports, [Some(80), Some(81)]);
    assert_ne!(services[0].identity.name, services[1].identity.name);
}

#[test]
fn methods_of_grpc_are_paths() {
    let spec = "{parentRefs: [{group: '', kind: Service, name: web}], rules: [\
        {matches: [{method: {service: shop.Cart, method: Add}}], backendRefs: [{name: web, port: 80}]}, \
        {matches: [{method: {service: shop.Cart}}], backendRefs: [{name: web, port: 80}]}, \
        {matches: [{method: {method: Get}}], backendRefs: [{name: web, port: 80, weight: 0}]}, \
        {backendRefs: [{name: web, port: 80}]}]}";
    let routes = only(&route("GRPCRoute", "web", spec)).http;
    let uris: Vec<_> = routes
        .iter()
        .map(|it| it.matches.first().and_then(|it| it.uri.clone()))
        .collect();
    let text = |text| Some(UriMatch::Text(text));
    assert_eq!(
        uris,
        [
            text(StringMatch::Exact("/shop.Cart/Add".to_owned())),
            text(StringMatch::Prefix("/shop.Cart/".to_owned())),
            text(StringMatch::Regex("/[^/]+/Get".to_owned())),
            None,
        ]
    );
    let refused = HttpAction::Respond {
        status: 500,
        body_bytes: 0,
    };
    assert_eq!(routes[2].action, refused);
}

#[test]
fn hosts_of_service_entries_are_parents_too() {
    let entry = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: payments, namespace: shop}
spec: {hosts: [pay.example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
";
    let spec = "{parentRefs: [{group: networking.istio.io, kind: ServiceEntry, name: payments}], rules: [{backendRefs: [{group: networking.istio.io, kind: Hostname, name: pay.example.com, port: 80}], timeouts: {request: 1s}}]}";
    let found = only(&(entry.to_owned() + &route("HTTPRoute", "pay", spec)));
    assert_eq!(found.hosts, ["pay.example.com"]);
    assert_eq!(
        shares(&found.http[0]),
        [("pay.example.com:80".to_owned(), 1)]
    );
}

#[test]
fn what_is_not_there_is_told_and_answered_with_an_error() {
    let spec = "{parentRefs: [{group: '', kind: Service, name: web}, {group: '', kind: Service, name: wbe}], rules: [{backendRefs: [{name: web, port: 80, weight: 3}, {name: gone, port: 80}, {name: x, group: x.io, kind: Bucket, port: 80}]}]}";
    let (services, problems) = read(&(service("web") + &route("HTTPRoute", "web", spec)));
    let codes: Vec<_> = problems.iter().map(|found| found.code).collect();
    assert_eq!(
        codes,
        [
            Code::GatewayNotFound,
            Code::BackendNotFound,
            Code::BackendNotFound
        ]
    );
    assert_eq!(services.len(), 1);
    let web = "web.shop.svc.cluster.local:80".to_owned();
    assert_eq!(
        shares(&services[0].http[0]),
        [(web, 3), ("500".to_owned(), 1), ("500".to_owned(), 1)]
    );
}

#[test]
fn backends_take_no_filters_but_of_headers() {
    let read_with = |filter: &str| {
        let spec = format!(
            "{{parentRefs: [{{group: '', kind: Service, name: web}}], rules: [{{matches: [{{path: {{value: /a}}}}], backendRefs: [{{name: web, port: 80, filters: [{filter}]}}]}}, {{backendRefs: [{{name: web, port: 80}}]}}]}}"
        );
        let (services, problems) = read(&(service("web") + &route("HTTPRoute", "r", &spec)));
        let warns = problems.iter().filter(|it| it.code == Code::IstioWarns);
        let routes = services.iter().map(|service| service.http.len());
        (routes.sum::<usize>(), warns.count())
    };
    let headers =
        "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x, value: a}]}}";
    assert_eq!(read_with(headers), (2, 0));
    // The whole route is left out, its other rule with it.
    let rewrite = "{type: URLRewrite, urlRewrite: {hostname: x.example}}";
    let mirror = "{type: RequestMirror, requestMirror: {backendRef: {name: web, port: 80}}}";
    for filter in [rewrite, mirror] {
        assert_eq!(read_with(filter), (0, 1), "{filter}");
    }
}

/// How many routes there are for a route of this kind with two rules, of which one leads to this
/// backend and copies to that, and how often it is told that one leads nowhere.
fn with_backend(kind: &str, backend: &str, mirror: &str) -> (usize, usize) {
    let mirror = format!("{{type: RequestMirror, requestMirror: {{backendRef: {mirror}}}}}");
    let spec = format!(
        "{{parentRefs: [{{group: '', kind: Service, name: web}}], rules: [{{backendRefs: [{backend}], filters: [{mirror}]}}, {{backendRefs: [{{name: web, port: 80}}]}}]}}"
    );
    let (services, problems) = read(&(service("web") + &route(kind, "r", &spec)));
    let told = problems
        .iter()
        .filter(|it| it.code == Code::BackendNotFound);
    let routes = services.iter().map(|service| service.http.len());
    (routes.sum(), told.count())
}

const WEB: &str = "{name: web, port: 80}";

#[test]
fn a_backend_that_is_a_mistake_costs_the_whole_route() {
    for kind in ["HTTPRoute", "GRPCRoute"] {
        let with = |backend: &str| with_backend(kind, backend, WEB);
        assert_eq!(with(WEB), (2, 0));
        for mistake in [
            "{name: web}",
            "{name: web.shop, port: 80}",
            "{name: web.shop.svc.cluster.local, port: 80}",
            "{group: networking.istio.io, kind: Hostname, name: x.com, namespace: shop, port: 80}",
            "{group: networking.istio.io, kind: Hostname, name: x.com}",
            "{group: multicluster.x-k8s.io, kind: ServiceImport, name: web}",
        ] {
            assert_eq!(with(mistake), (0, 1), "{mistake}");
        }
        // What leads nowhere costs its share, and what has no weight nothing.
        assert_eq!(with("{name: gone, port: 80}"), (2, 1));
        assert_eq!(with("{name: x, group: x.io, kind: Bucket}"), (2, 1));
        assert_eq!(
            with("{name: web, port: 80}, {name: web, weight: 0}"),
            (2, 0)
        );
    }
}

#[test]
fn a_mirror_that_leads_nowhere_costs_a_route_of_grpc_alone() {
    for mirror in [
        "{name: web}",
        "{name: gone, port: 80}",
        "{name: x, group: x.io, kind: Bucket, port: 80}",
    ] {
        assert_eq!(with_backend("HTTPRoute", WEB, mirror), (2, 1), "{mirror}");
        assert_eq!(with_backend("GRPCRoute", WEB, mirror), (0, 1), "{mirror}");
    }
    let spec = "{parentRefs: [{group: '', kind: Service, name: web}], rules: [{backendRefs: [{name: web, port: 80}], filters: [{type: RequestMirror, requestMirror: {backendRef: {name: gone, port: 80}}}]}]}";
    let (services, _) = read(&(service("web") + &route("HTTPRoute", "r", spec)));
    assert!(services[0].http[0].mirrors.is_empty());
}

#[test]
fn parents_have_the_group_of_their_kind() {
    let with = |parent: &str| {
        let spec =
            format!("{{parentRefs: [{{{parent}, name: web}}], rules: [{{backendRefs: [{WEB}]}}]}}");
        let (services, problems) = read(&(service("web") + &route("HTTPRoute", "r", &spec)));
        let told = problems.iter().map(|found| found.code).collect::<Vec<_>>();
        (services.len(), told)
    };
    let taken = (1, Vec::new());
    assert_eq!(with("group: '', kind: Service"), taken);
    assert_eq!(with("group: core, kind: Service"), taken);
    let unknown = (0, vec![Code::GatewayNotFound]);
    for parent in [
        "kind: Service",
        "group: gateway.networking.k8s.io, kind: Service",
        "group: networking.istio.io, kind: Service",
        "kind: ServiceEntry",
        "group: '', kind: Gateway",
        "group: ''",
        "kind: Sidecar",
    ] {
        assert_eq!(with(parent), unknown, "{parent}");
    }
}
