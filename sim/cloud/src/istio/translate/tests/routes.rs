//! Routes: order, conflicts, delegates, matches, retries.

use super::super::route;
use super::*;
use crate::envoy::retry::{self as envoy, Cut, Outcome, RetryPolicy, Sent};
use engine::Duration;

fn shop() -> Mesh {
    let mut mesh = Mesh::default();
    mesh.service("web", "shop", "http:80");
    mesh.service("api", "shop", "http:8080 http-admin:80");
    mesh
}

fn told(virtual_services: Vec<VirtualService>) -> Told {
    let mut mesh = shop();
    mesh.objects.virtual_services = virtual_services;
    mesh.told(&proxy("shop", "app=web"))
}

fn simple(of: (&str, &str, i64), hosts: &[&str], target: &str) -> VirtualService {
    virtual_service(of, hosts, vec![forward(vec![to(target, None, 0)])])
}

fn web(told: &Told) -> Vec<String> {
    told.shares(80, &get("web", "/", &no_headers()))
}

fn cluster(port: u16, name: &str) -> String {
    format!("1/1 outbound|{port}||{name}.shop.svc.cluster.local")
}

#[test]
fn names_may_be_short_as_far_as_a_resolver_completes_them() {
    let told = told(Vec::new());
    for name in [
        "web",
        "web.shop",
        "web.shop.svc",
        "web.shop.svc.cluster.local",
        "WEB:80",
        "10.96.0.1",
    ] {
        assert_eq!(
            told.shares(80, &get(name, "/", &no_headers())),
            [cluster(80, "web")],
            "{name}"
        );
    }
    assert_eq!(
        told.shares(80, &get("web.edge", "/", &no_headers())),
        ["no route"]
    );
    assert_eq!(
        told.shares(8080, &get("api", "/", &no_headers())),
        [cluster(8080, "api")]
    );
}

#[test]
fn of_two_for_one_host_the_older_counts() {
    let old = simple(("shop", "z", 1), &["web"], "api");
    let new = simple(("shop", "a", 2), &["web"], "web");
    assert_eq!(web(&told(vec![new, old])), [cluster(80, "api")]);
}

#[test]
fn private_ones_count_before_public_ones() {
    let public = simple(("shop", "a", 1), &["web"], "api");
    let private = VirtualService {
        export_to: ExportTo::Only(vec![Audience::OwnNamespace]),
        ..simple(("shop", "b", 2), &["web"], "web")
    };
    assert_eq!(web(&told(vec![public, private])), [cluster(80, "web")]);
}

#[test]
fn routes_of_the_gateway_api_count_in_their_own_namespace_first() {
    let service = "web.shop.svc.cluster.local";
    let of_gateway_api = |of: (&str, &str, i64), target: &str| VirtualService {
        is_of_gateway_api: true,
        ..simple(of, &[service], target)
    };
    let asked = |namespace: &str, routes: Vec<VirtualService>| {
        let mut mesh = shop();
        mesh.objects.virtual_services = routes;
        let told = mesh.told(&proxy(namespace, ""));
        told.shares(80, &get(service, "/", &no_headers()))
    };
    let producer = of_gateway_api(("shop", "a", 1), "api.shop.svc.cluster.local");
    let consumer = of_gateway_api(("edge", "b", 2), service);
    let both = vec![producer.clone(), consumer.clone()];
    assert_eq!(asked("edge", both), [cluster(80, "web")]);
    let as_virtual_service = VirtualService {
        is_of_gateway_api: false,
        ..consumer.clone()
    };
    assert_eq!(
        asked("edge", vec![producer, as_virtual_service]),
        [cluster(80, "api")]
    );
    // Neither the service's namespace nor the client's.
    let away = of_gateway_api(("edge", "b", 2), "api.shop.svc.cluster.local");
    assert_eq!(asked("far", vec![away]), [cluster(80, "web")]);
}

#[test]
fn what_is_not_shown_does_not_count() {
    let elsewhere = VirtualService {
        export_to: ExportTo::Only(vec![Audience::OwnNamespace]),
        ..simple(
            ("edge", "a", 1),
            &["web.shop.svc.cluster.local"],
            "api.shop.svc.cluster.local",
        )
    };
    assert_eq!(web(&told(vec![elsewhere.clone()])), [cluster(80, "web")]);
    let shown = VirtualService {
        export_to: ExportTo::Default,
        ..elsewhere
    };
    assert_eq!(web(&told(vec![shown])), [cluster(80, "api")]);
}

#[test]
fn an_exact_host_counts_before_a_wildcard_and_a_longer_one_before_a_shorter() {
    let all = simple(("shop", "a", 1), &["*"], "api");
    let ours = simple(("shop", "b", 2), &["*.shop.svc.cluster.local"], "web");
    let exact = simple(("shop", "c", 3), &["web"], "api");
    assert_eq!(web(&told(vec![all.clone()])), [cluster(80, "api")]);
    assert_eq!(
        web(&told(vec![all.clone(), ours.clone()])),
        [cluster(80, "web")]
    );
    assert_eq!(web(&told(vec![all, ours, exact])), [cluster(80, "api")]);
}

#[test]
fn a_subset_that_nobody_defines_is_an_unknown_cluster() {
    let lost = virtual_service(
        ("shop", "a", 1),
        &["web"],
        vec![forward(vec![to("web", Some("v9"), 0)])],
    );
    assert_eq!(
        web(&told(vec![lost])),
        ["1/1 outbound|80|v9|web.shop.svc.cluster.local (unknown)"]
    );
}

#[test]
fn a_destination_without_a_port_is_asked_at_the_port_that_was_asked_for() {
    let to_api = simple(("shop", "a", 1), &["web"], "api");
    assert_eq!(web(&told(vec![to_api.clone()])), [cluster(80, "api")]);
    let mut mesh = shop();
    mesh.services[1].ports.truncate(1);
    mesh.objects.virtual_services = vec![to_api];
    // Although the service has another port only.
    assert_eq!(
        web(&mesh.told(&proxy("shop", ""))),
        ["1/1 outbound|80||api.shop.svc.cluster.local (unknown)"]
    );
}

#[test]
fn weights_of_zero_fall_out_and_the_rest_is_relative() {
    let http = forward(vec![
        to("web", None, 0),
        to("api", None, 3),
        to("web", None, 1),
    ]);
    let split = virtual_service(("shop", "a", 1), &["web"], vec![http]);
    assert_eq!(
        web(&told(vec![split])),
        [
            "3/4 outbound|80||api.shop.svc.cluster.local",
            "1/4 outbound|80||web.shop.svc.cluster.local"
        ]
    );
}

/// A route for requests that match.
fn when(said: HttpMatch, target: &str) -> HttpRoute {
    HttpRoute::plain(vec![said], HttpAction::Forward(vec![to(target, None, 0)]))
}

fn taken(said: HttpMatch, path: &str, headers: &BTreeMap<String, String>) -> bool {
    let routes = vec![when(said, "api"), forward(vec![to("web", None, 0)])];
    let told = told(vec![virtual_service(("shop", "a", 1), &["web"], routes)]);
    told.shares(80, &get("web", path, headers)) == [cluster(80, "api")]
}

#[test]
fn matches_look_at_path_headers_and_query() {
    let none = no_headers();
    let uri = |uri| HttpMatch {
        uri: Some(uri),
        ..HttpMatch::default()
    };
    let text = |text| uri(UriMatch::Text(text));
    let exact = || text(StringMatch::Exact("/a".to_owned()));
    assert!(taken(exact(), "/a?x=1", &none) && !taken(exact(), "/a/", &none));
    let folded = HttpMatch {
        ignores_uri_case: true,
        ..exact()
    };
    assert!(taken(folded, "/A", &none) && !taken(exact(), "/A", &none));
    let prefix = || text(StringMatch::Prefix("/a".to_owned()));
    assert!(taken(prefix(), "/ab", &none) && !taken(prefix(), "/b", &none));
    let below = || uri(UriMatch::Below("/a".to_owned()));
    assert!(taken(below(), "/a/b", &none) && !taken(below(), "/ab", &none));
    let regex = |it: &str| text(StringMatch::Regex(it.to_owned()));
    assert!(taken(regex("/a/[0-9]+"), "/a/42", &none));
    // The whole path has to match; what cannot be read matches nothing.
    assert!(!taken(regex("/a"), "/a/42", &none) && !taken(regex("/a["), "/a[", &none));

    let version = |value: ValueMatch| BTreeMap::from([("version".to_owned(), value)]);
    let is_two = ValueMatch::Is(StringMatch::Exact("2".to_owned()));
    let two = BTreeMap::from([("version".to_owned(), "2".to_owned())]);
    let with = |headers| HttpMatch {
        headers,
        ..HttpMatch::default()
    };
    assert!(taken(with(version(is_two.clone())), "/", &two));
    assert!(!taken(with(version(is_two.clone())), "/", &none));
    assert!(taken(with(version(ValueMatch::Present)), "/", &two));
    let without = |without_headers| HttpMatch {
        without_headers,
        ..HttpMatch::default()
    };
    assert!(taken(without(version(is_two.clone())), "/", &none));
    assert!(!taken(without(version(is_two.clone())), "/", &two));
    let query = HttpMatch {
        query: version(is_two),
        ..HttpMatch::default()
    };
    assert!(taken(query.clone(), "/?a=1&version=2", &none) && !taken(query, "/?version=3", &none));
    let method = HttpMatch {
        method: Some(StringMatch::Exact("POST".to_owned())),
        ..HttpMatch::default()
    };
    assert!(!taken(method, "/", &none));
}

#[test]
fn matches_may_ask_who_routes() {
    let source = |source| HttpMatch {
        source,
        ..HttpMatch::default()
    };
    let none = no_headers();
    let app = |app: &str| {
        source(Source {
            labels: labels(&format!("app={app}")),
            ..Source::default()
        })
    };
    assert!(taken(app("web"), "/", &none) && !taken(app("db"), "/", &none));
    let namespace = |name: &str| {
        source(Source {
            namespace: Some(name.to_owned()),
            ..Source::default()
        })
    };
    assert!(taken(namespace("shop"), "/", &none) && !taken(namespace("edge"), "/", &none));
    let port = |port| {
        source(Source {
            port: Some(port),
            ..Source::default()
        })
    };
    assert!(taken(port(80), "/", &none) && !taken(port(81), "/", &none));
}

#[test]
fn nothing_comes_after_what_takes_everything() {
    let routes = vec![
        forward(vec![to("web", None, 0)]),
        forward(vec![to("api", None, 0)]),
    ];
    let told = told(vec![virtual_service(("shop", "a", 1), &["web"], routes)]);
    let route = told.route(80, &get("web", "/", &no_headers())).unwrap();
    assert!(route.conditions.is_catch_all());
    let hosts = &told.compiler.tables.hosts;
    let of_web = hosts
        .iter()
        .find(|it| it.virtual_service.is_some())
        .unwrap();
    assert_eq!(of_web.routes.len(), 1);
}

#[test]
fn hosts_that_are_no_services_are_known_at_port_80() {
    let told = told(vec![simple(("shop", "a", 1), &["example.com"], "api")]);
    let none = no_headers();
    assert_eq!(
        told.shares(80, &get("example.com", "/", &none)),
        [cluster(80, "api")]
    );
    assert_eq!(
        told.shares(8080, &get("example.com", "/", &none)),
        ["no route"]
    );
}

/// What a VirtualService of the root, with a path and a delegate, comes to.
fn delegated(outer: HttpMatch, inner: Vec<HttpMatch>) -> Vec<String> {
    let root = HttpRoute::plain(
        vec![outer],
        HttpAction::Delegate {
            namespace: "shop".to_owned(),
            name: "part".to_owned(),
        },
    );
    let part = HttpRoute::plain(inner, HttpAction::Forward(vec![to("api", None, 0)]));
    let told = told(vec![
        virtual_service(("shop", "root", 1), &["web"], vec![root]),
        virtual_service(("shop", "part", 2), &[], vec![part]),
    ]);
    let none = no_headers();
    ["/a", "/a/b", "/c"]
        .iter()
        .map(|path| told.shares(80, &get("web", path, &none)).join(" "))
        .collect()
}

#[test]
fn delegates_route_what_is_left_to_them() {
    let prefix = |path: &str| HttpMatch {
        uri: Some(UriMatch::Text(StringMatch::Prefix(path.to_owned()))),
        ..HttpMatch::default()
    };
    let api = cluster(80, "api");
    let (api, no_route) = (api.as_str(), "no route");
    assert_eq!(delegated(prefix("/a"), Vec::new()), [api, api, no_route]);
    assert_eq!(
        delegated(prefix("/a"), vec![prefix("/a/b")]),
        [no_route, api, no_route]
    );
    // A delegate may not take more than it is given: its route falls out, and with its only
    // route the VirtualService, so that the host routes as if there was none.
    let plain = cluster(80, "web");
    assert_eq!(
        delegated(prefix("/a"), vec![prefix("/")]),
        [plain.as_str(); 3]
    );
}

#[test]
fn retries_change_with_the_release() {
    let retries = |minor, said: Option<Retries>| {
        let mut route = forward(vec![to("web", None, 0)]);
        route.retries = said;
        let mut mesh = shop();
        mesh.version = Version::new(minor);
        mesh.objects.virtual_services =
            vec![virtual_service(("shop", "a", 1), &["web"], vec![route])];
        let told = mesh.told(&proxy("shop", ""));
        let route = told.route(80, &get("web", "/", &no_headers()));
        route.unwrap().retries.clone()
    };
    let usual = retries(30, None).unwrap();
    assert_eq!((usual.attempts, usual.on.status_codes.len()), (2, 0));
    assert!(usual.on.includes(RetryCondition::ConnectFailure) && usual.avoids_previous_hosts);
    assert_eq!(retries(23, None).unwrap().on.status_codes, [503]);
    let said = |attempts| Retries {
        attempts,
        per_try_timeout: Some(Duration::from_secs(2)),
        retry_on: Some(RetryOn::of("5xx")),
        remote_localities: None,
        ignore_previous_hosts: Some(false),
        backoff: None,
    };
    let own = retries(30, Some(said(5))).unwrap();
    assert_eq!(own.attempts, 5);
    assert!(own.on.includes(RetryCondition::ServerError) && !own.avoids_previous_hosts);
    assert_eq!(retries(30, Some(said(0))), None);
}

#[test]
fn requests_with_a_key_are_retried_where_they_were() {
    let mut mesh = shop();
    let mut rule = destination_rule(("shop", "web", 0), "web", &[]);
    rule.policy.common.load_balancer = Some(LoadBalancer {
        policy: Some(BalancePolicy::ConsistentHash {
            key: HashKey::Header("user".to_owned()),
            algorithm: HashAlgorithm::Maglev { slots: None },
        }),
        ..LoadBalancer::default()
    });
    mesh.objects.destination_rules = vec![rule];
    let told = mesh.told(&proxy("shop", ""));
    let none = no_headers();
    let avoids = |host, port| {
        let route = told.route(port, &get(host, "/", &none)).unwrap();
        route.retries.as_ref().unwrap().avoids_previous_hosts
    };
    assert!(!avoids("web", 80) && avoids("api", 8080));
}

#[test]
fn istio_no_longer_retries_503_by_itself() {
    let usual = |minor| {
        let policy = route::retries(None, Version::new(minor), false);
        policy.unwrap().for_envoy()
    };
    let covers = |minor, outcome| usual(minor).covers(outcome);
    assert!(covers(23, Outcome::Status(503)));
    assert!(!covers(24, Outcome::Status(503)));
    for minor in [23, 24] {
        assert!(covers(
            minor,
            Outcome::Cut(Cut::ConnectFailure, Sent::Nothing)
        ));
        assert!(!covers(minor, Outcome::Cut(Cut::Remote, Sent::Begun)));
        assert!(!covers(minor, Outcome::Status(500)));
    }
    let policy = usual(24);
    assert_eq!((policy.retries, policy.host_selections), (2, 5));
    assert_eq!(
        policy,
        RetryPolicy {
            retries: 2,
            previous_hosts: true,
            host_selections: 5,
            ..RetryPolicy::on(envoy::RetryOn::listed(
                "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
            ))
        }
    );
}
