//! Bookinfo with its routing samples.

use super::*;
use engine::Duration;

fn bookinfo() -> Mesh {
    let mut mesh = Mesh::default();
    for (name, versions) in [
        ("productpage", &["v1"][..]),
        ("reviews", &["v1", "v2", "v3"]),
        ("ratings", &["v1", "v2", "v2-mysql", "v2-mysql-vm"]),
        ("details", &["v1", "v2"]),
    ] {
        let service = mesh.service(name, "default", "http:9080");
        for version in versions {
            mesh.endpoint(service, &format!("app={name} version={version}"), "eu/a");
        }
        mesh.objects
            .destination_rules
            .push(destination_rule(("default", name, 0), name, versions));
    }
    mesh
}

fn with(http: Vec<HttpRoute>, host: &str) -> Told {
    let mut mesh = bookinfo();
    mesh.objects
        .virtual_services
        .push(virtual_service(("default", host, 0), &[host], http));
    mesh.told(&proxy("default", "app=productpage version=v1"))
}

fn reviews(told: &Told, headers: &BTreeMap<String, String>) -> Vec<String> {
    told.shares(9080, &get("reviews:9080", "/reviews/0", headers))
}

fn subset(version: &str) -> String {
    format!("outbound|9080|{version}|reviews.default.svc.cluster.local")
}

/// A route for requests that say who their user is.
fn for_user(user: &str, destinations: Vec<HttpDestination>) -> HttpRoute {
    let value = ValueMatch::Is(StringMatch::Exact(user.to_owned()));
    let said = HttpMatch {
        headers: BTreeMap::from([("end-user".to_owned(), value)]),
        ..HttpMatch::default()
    };
    HttpRoute::plain(vec![said], HttpAction::Forward(destinations))
}

fn user(name: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("end-user".to_owned(), name.to_owned())])
}

#[test]
fn all_goes_to_the_first_version() {
    let told = with(vec![forward(vec![to("reviews", Some("v1"), 0)])], "reviews");
    assert_eq!(
        reviews(&told, &no_headers()),
        [format!("1/1 {}", subset("v1"))]
    );
    assert_eq!(told.hosts(&subset("v1")).len(), 1);
    // Others have no VirtualService: all of their versions.
    assert_eq!(
        told.shares(9080, &get("ratings", "/", &no_headers())),
        ["1/1 outbound|9080||ratings.default.svc.cluster.local"]
    );
    assert_eq!(
        told.hosts("outbound|9080||ratings.default.svc.cluster.local")
            .len(),
        4
    );
}

#[test]
fn shares_are_as_written() {
    for (first, second) in [(90, 10), (80, 20), (50, 50)] {
        let routes = vec![
            to("reviews", Some("v1"), first),
            to("reviews", Some("v3"), second),
        ];
        let told = with(vec![forward(routes)], "reviews");
        assert_eq!(
            reviews(&told, &no_headers()),
            [
                format!("{first}/100 {}", subset("v1")),
                format!("{second}/100 {}", subset("v3"))
            ]
        );
    }
}

#[test]
fn jason_sees_another_version() {
    let routes = vec![
        for_user("jason", vec![to("reviews", Some("v2"), 0)]),
        forward(vec![to("reviews", Some("v3"), 0)]),
    ];
    let told = with(routes, "reviews");
    assert_eq!(
        reviews(&told, &user("jason")),
        [format!("1/1 {}", subset("v2"))]
    );
    assert_eq!(
        reviews(&told, &user("ann")),
        [format!("1/1 {}", subset("v3"))]
    );
    assert_eq!(
        reviews(&told, &no_headers()),
        [format!("1/1 {}", subset("v3"))]
    );
}

#[test]
fn jason_waits_and_nobody_else() {
    let mut delayed = for_user("jason", vec![to("ratings", Some("v1"), 0)]);
    delayed.fault.delay = Some(FaultDelay {
        lasts: Duration::from_secs(7),
        share: Percent::ALL,
    });
    let told = with(
        vec![delayed, forward(vec![to("ratings", Some("v1"), 0)])],
        "ratings",
    );
    let delay = |headers: &BTreeMap<String, String>| {
        let route = told.route(9080, &get("ratings", "/ratings/0", headers));
        route.unwrap().fault.delay.map(|delay| delay.lasts)
    };
    assert_eq!(delay(&user("jason")), Some(Duration::from_secs(7)));
    assert_eq!(delay(&no_headers()), None);
}

#[test]
fn a_gateway_takes_the_pages_of_bookinfo_and_nothing_else() {
    let mut mesh = bookinfo();
    let gateway = GatewayName::of("bookinfo-gateway", "default");
    let uri = |uri| HttpMatch {
        uri: Some(UriMatch::Text(uri)),
        ..HttpMatch::default()
    };
    let exact = |text: &str| uri(StringMatch::Exact(text.to_owned()));
    let prefix = |text: &str| uri(StringMatch::Prefix(text.to_owned()));
    let matches = vec![
        exact("/productpage"),
        prefix("/static"),
        exact("/login"),
        exact("/logout"),
        prefix("/api/v1/products"),
    ];
    let to_page = HttpDestination {
        target: Target::Host(Destination {
            port: Some(9080),
            ..destination("productpage", None)
        }),
        ..to("productpage", None, 0)
    };
    let route = HttpRoute::plain(matches, HttpAction::Forward(vec![to_page]));
    mesh.objects.virtual_services.push(VirtualService {
        gateways: vec![gateway],
        ..virtual_service(("default", "bookinfo", 0), &["*"], vec![route])
    });
    mesh.objects.gateways.push(Gateway {
        identity: identity("default", "bookinfo-gateway", 0),
        selector: labels("istio=ingressgateway"),
        only_in: None,
        servers: vec![Server {
            name: None,
            port: 8080,
            port_name: "http".to_owned(),
            protocol: Protocol::Http,
            bind: None,
            hosts: vec![ServerHost::of("*")],
            tls: None,
        }],
    });
    let told = mesh.told_as(
        &proxy("istio-system", "istio=ingressgateway"),
        Role::Gateway,
    );
    let edge = told.scope().edge(8080, None).unwrap();
    let tables = &told.compiler.tables;
    let host = edge
        .table
        .find(&tables.directory, "istio-system", "shop.example");
    let routes = &tables.hosts[host.unwrap() as usize].routes;
    let headers = no_headers();
    let taken = |path| {
        let request = get("shop.example", path, &headers);
        let route = routes.iter().find(|it| it.conditions.matches(&request));
        route.map(|route| match &route.action {
            Action::Forward { choices, .. } => match choices[0].to {
                To::Cluster(name) => told.name(name),
                To::Nowhere(status) => status.to_string(),
            },
            other => format!("{other:?}"),
        })
    };
    let page = Some("outbound|9080||productpage.default.svc.cluster.local".to_owned());
    assert_eq!(taken("/productpage?u=normal"), page);
    assert_eq!(taken("/static/style.css"), page);
    assert_eq!(taken("/api/v1/products/0"), page);
    assert_eq!(taken("/productpage/x"), None);
    assert_eq!(taken("/"), None);
    // A sidecar does not see a VirtualService that is for a gateway.
    let told = mesh.told(&proxy("default", ""));
    assert_eq!(
        told.shares(9080, &get("productpage", "/", &headers)),
        ["1/1 outbound|9080||productpage.default.svc.cluster.local"]
    );
}
