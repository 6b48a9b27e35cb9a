//! Gateways: which VirtualServices bind to which servers.

use super::*;

fn server(port: u16, protocol: Protocol, hosts: &[&str]) -> Server {
    Server {
        name: None,
        port,
        port_name: "p".to_owned(),
        protocol,
        bind: None,
        hosts: hosts.iter().map(|host| ServerHost::of(host)).collect(),
        tls: None,
    }
}

fn encrypted(mode: ServerTlsMode, redirects_to_https: bool) -> Option<ServerTls> {
    Some(ServerTls {
        redirects_to_https,
        mode,
        subject_names: Vec::new(),
        names_certificate: true,
    })
}

fn mesh(servers: Vec<Server>) -> Mesh {
    let mut mesh = Mesh::default();
    mesh.service("web", "shop", "http:8000");
    mesh.service("db", "shop", "tls:5432");
    mesh.objects.gateways = vec![Gateway {
        identity: identity("edge", "front", 0),
        selector: labels("istio=ingress"),
        only_in: None,
        servers,
    }];
    mesh
}

fn bound(of: (&str, &str, i64), hosts: &[&str], http: Vec<HttpRoute>) -> VirtualService {
    VirtualService {
        gateways: vec![GatewayName::of("edge/front", "shop")],
        ..virtual_service(of, hosts, http)
    }
}

fn to_web() -> HttpRoute {
    forward(vec![to("web", None, 0)])
}

/// Where a request for a host and path goes, at a port.
fn target(mesh: &Mesh, port: u16, host: &str, path: &str) -> String {
    let told = mesh.told_as(&proxy("edge", "istio=ingress"), Role::Gateway);
    let Some(edge) = told.scope().edge(port, None) else {
        return "no port".to_owned();
    };
    let tables = &told.compiler.tables;
    let headers = no_headers();
    let request = get(host, path, &headers);
    let found = edge.table.find(&tables.directory, "edge", host);
    let mut routes = found
        .into_iter()
        .flat_map(|it| tables.hosts[it as usize].routes.iter());
    match routes
        .find(|it| it.conditions.matches(&request))
        .map(|it| &it.action)
    {
        Some(Action::Forward { choices, .. }) => match choices[0].to {
            To::Cluster(name) => told.name(name),
            To::Nowhere(status) => status.to_string(),
        },
        Some(Action::Redirect(redirect)) => format!("redirect {}", redirect.status),
        Some(Action::Respond { status, .. }) => format!("respond {status}"),
        None => "no route".to_owned(),
    }
}

const WEB_HOST: &str = "web.shop.svc.cluster.local";
const WEB: &str = "outbound|8000||web.shop.svc.cluster.local";

#[test]
fn hosts_of_server_and_route_have_to_meet() {
    let mut mesh = mesh(vec![server(80, Protocol::Http, &["*.example.com"])]);
    let route = bound(
        ("shop", "a", 1),
        &["www.example.com", "other.org"],
        vec![to_web()],
    );
    mesh.objects.virtual_services = vec![route];
    assert_eq!(target(&mesh, 80, "www.example.com", "/"), WEB);
    assert_eq!(target(&mesh, 80, "api.example.com", "/"), "no route");
    assert_eq!(target(&mesh, 80, "other.org", "/"), "no route");
    assert_eq!(target(&mesh, 81, "www.example.com", "/"), "no port");
    // A wildcard of the route is narrowed to the server's host.
    mesh.objects.virtual_services[0].hosts = vec!["*".to_owned()];
    assert_eq!(target(&mesh, 80, "api.example.com", "/"), WEB);
    assert_eq!(target(&mesh, 80, "other.org", "/"), "no route");
}

#[test]
fn a_gateway_of_the_gateway_api_has_its_proxies_in_one_namespace() {
    let mut mesh = mesh(vec![server(80, Protocol::Http, &["*"])]);
    mesh.objects.virtual_services = vec![bound(("shop", "a", 1), &["x.com"], vec![to_web()])];
    let mut served = |only: Option<&str>| {
        mesh.objects.gateways[0].only_in = only.map(str::to_owned);
        ["edge", "shop"].map(|namespace| {
            let told = mesh.told_as(&proxy(namespace, "istio=ingress"), Role::Gateway);
            told.scope().edge(80, None).is_some()
        })
    };
    assert_eq!(served(Some("edge")), [true, false]);
    // That of a ListenerSet is not its own.
    assert_eq!(served(Some("shop")), [false, true]);
    assert_eq!(served(None), [true, true]);
}

#[test]
fn servers_may_take_routes_of_some_namespaces_only() {
    let with = |host: &str| {
        let mut mesh = mesh(vec![server(80, Protocol::Http, &[host])]);
        mesh.objects.virtual_services = vec![bound(("shop", "a", 1), &["x.com"], vec![to_web()])];
        target(&mesh, 80, "x.com", "/")
    };
    assert_eq!(with("*/x.com"), WEB);
    assert_eq!(with("shop/x.com"), WEB);
    assert_eq!(with("bank/x.com"), "no route");
    assert_eq!(with("./x.com"), "no route");
}

#[test]
fn routes_for_one_host_are_put_together() {
    let under = |path: &str, status| {
        let said = HttpMatch {
            uri: Some(UriMatch::Text(StringMatch::Prefix(path.to_owned()))),
            ..HttpMatch::default()
        };
        let action = HttpAction::Respond {
            status,
            body_bytes: 0,
        };
        HttpRoute::plain(vec![said], action)
    };
    let mut mesh = mesh(vec![server(80, Protocol::Http, &["*"])]);
    // The older takes everything, and yet the newer is asked first for what is its own.
    mesh.objects.virtual_services = vec![
        bound(("shop", "new", 2), &["x.com"], vec![under("/a", 201)]),
        bound(("shop", "old", 1), &["x.com"], vec![to_web()]),
    ];
    assert_eq!(target(&mesh, 80, "x.com", "/a"), "respond 201");
    assert_eq!(target(&mesh, 80, "x.com", "/b"), WEB);
    // Of two for one path the older counts.
    let older = bound(("shop", "oldest", 0), &["x.com"], vec![under("/a", 202)]);
    mesh.objects.virtual_services.push(older);
    assert_eq!(target(&mesh, 80, "x.com", "/a"), "respond 202");
}

#[test]
fn each_host_of_a_port_is_redirected_for_itself() {
    let mut redirecting = server(80, Protocol::Http, &["web.com", "*.org"]);
    redirecting.tls = encrypted(ServerTlsMode::Passthrough, true);
    let plain = server(80, Protocol::Http, &["*"]);
    let mut mesh = mesh(vec![plain, redirecting]);
    let everywhere = bound(("shop", "web", 1), &["*", "plain.org"], vec![to_web()]);
    mesh.objects.virtual_services = vec![everywhere];
    let told = mesh.told_as(&proxy("edge", "istio=ingress"), Role::Gateway);
    let edge = told.scope().edge(80, None).unwrap();
    let redirects = |host| edge.redirects(host);
    assert!(redirects("web.com") && redirects("any.org"));
    assert!(!redirects("other.com"));
    // What a redirecting server shares with a VirtualService redirects as well.
    assert!(redirects("plain.org"));
}

#[test]
fn encrypted_servers_are_told_apart_by_name_and_may_pass_connections_on() {
    let mut redirecting = server(80, Protocol::Http, &["web.com"]);
    redirecting.tls = encrypted(ServerTlsMode::Passthrough, true);
    let mut web = server(443, Protocol::Https, &["web.com"]);
    web.tls = encrypted(ServerTlsMode::Simple, false);
    let mut db = server(443, Protocol::Tls, &["db.com"]);
    db.tls = encrypted(ServerTlsMode::Passthrough, false);
    let mut mesh = mesh(vec![redirecting, web, db]);
    let mut passed = bound(("shop", "db", 1), &["db.com"], Vec::new());
    passed.tls = vec![TlsRoute {
        matches: vec![TlsMatch {
            sni_hosts: vec!["db.com".to_owned()],
            ..TlsMatch::default()
        }],
        destinations: vec![WeightedDestination {
            destination: destination("db", None),
            weight: 0,
        }],
    }];
    mesh.objects.virtual_services = vec![passed, bound(("shop", "web", 2), &["*"], vec![to_web()])];
    let told = mesh.told_as(&proxy("edge", "istio=ingress"), Role::Gateway);
    let scope = told.scope();
    let plain = scope.edge(80, None).unwrap();
    let redirects = ["web.com", "web.com:80", "db.com"].map(|host| plain.redirects(host));
    assert_eq!(redirects, [true, true, false]);
    let web = scope.edge(443, Some("web.com")).unwrap();
    assert_eq!(
        (web.tls, web.chains.len()),
        (Some(ServerTlsMode::Simple), 0)
    );
    assert_eq!(web.table.others.len(), 1);
    let db = scope.edge(443, Some("db.com")).unwrap();
    let anywhere = "203.0.113.1".parse().unwrap();
    assert!(Chain::taking(&db.chains, anywhere, Some("db.com")).is_some());
    assert!(Chain::taking(&db.chains, anywhere, Some("web.com")).is_none());
    // A gateway takes the only port of a service.
    let To::Cluster(name) = db.chains[0].choices[0].to else {
        panic!("it leads to a cluster");
    };
    assert_eq!(told.name(name), "outbound|5432||db.shop.svc.cluster.local");
    assert!(scope.edge(443, Some("other.com")).is_none());
}

/// A VirtualService that binds to the gateway and sends connections to `db`, and those of TLS to
/// `safe`, where they ask for one of these names.
fn for_connections(
    of: (&str, &str, i64),
    hosts: &[&str],
    names: Option<&[&str]>,
) -> VirtualService {
    let to = |host| WeightedDestination {
        destination: destination(host, None),
        weight: 0,
    };
    let mut service = bound(of, hosts, Vec::new());
    match names {
        None => {
            service.tcp = vec![TcpRoute {
                matches: Vec::new(),
                destinations: vec![to("db.shop.svc.cluster.local")],
            }];
        }
        Some(names) => {
            let said = TlsMatch {
                sni_hosts: names.iter().map(|name| (*name).to_owned()).collect(),
                ..TlsMatch::default()
            };
            service.tls = vec![TlsRoute {
                matches: vec![said],
                destinations: vec![to("safe.shop.svc.cluster.local")],
            }];
        }
    }
    service
}

/// Where a connection goes that asks for a name at a port.
fn connected(mesh: &Mesh, port: u16, name: &str) -> String {
    let told = mesh.told_as(&proxy("edge", "istio=ingress"), Role::Gateway);
    let Some(first) = told.scope().edge(port, None) else {
        return "refused".to_owned();
    };
    let edge = match first.is_plain() {
        true => Some(first),
        false => told.scope().edge(port, Some(name)),
    };
    let anywhere = "203.0.113.1".parse().unwrap();
    let chain = edge.and_then(|edge| Chain::taking(&edge.chains, anywhere, Some(name)));
    let lead = chain.map(|chain| chain.choices[0].to);
    match lead {
        Some(To::Cluster(name)) => told.name(name),
        Some(To::Nowhere(status)) => status.to_string(),
        None => "closed".to_owned(),
    }
}

const DB: &str = "outbound|5432||db.shop.svc.cluster.local";
const SAFE: &str = "outbound|8443||safe.shop.svc.cluster.local";

fn with_safe(servers: Vec<Server>, services: Vec<VirtualService>) -> Mesh {
    let mut mesh = mesh(servers);
    mesh.service("safe", "shop", "tls:8443");
    mesh.objects.virtual_services = services;
    mesh
}

#[test]
fn connections_take_the_first_route_of_what_their_server_carries() {
    let tcp = || for_connections(("shop", "tcp", 1), &["*"], None);
    let tls = |names: &[&str]| for_connections(("shop", "tls", 2), &["*"], Some(names));
    let open = server(9_000, Protocol::Tcp, &["*"]);
    let mesh = with_safe(vec![open.clone()], vec![tls(&["*"]), tcp()]);
    assert_eq!(connected(&mesh, 9_000, "any.com"), DB);
    // Nobody listens where nothing is routed.
    let mesh = with_safe(vec![open], vec![tls(&["*"])]);
    assert_eq!(connected(&mesh, 9_000, "any.com"), "refused");
    let mut past = server(9_000, Protocol::Tls, &["*"]);
    past.tls = encrypted(ServerTlsMode::Passthrough, false);
    let mesh = with_safe(vec![past], vec![tcp(), tls(&["a.com", "*.b.com"])]);
    for (name, expected) in [
        ("a.com", SAFE),
        ("x.y.b.com", SAFE),
        ("b.com", "closed"),
        ("any.com", "closed"),
    ] {
        assert_eq!(connected(&mesh, 9_000, name), expected, "{name}");
    }
}

#[test]
fn names_of_encrypted_connections_are_taken_once_and_the_narrowest_counts() {
    let mut past = server(443, Protocol::Tls, &["*"]);
    past.tls = encrypted(ServerTlsMode::Passthrough, false);
    let mut other = for_connections(("shop", "new", 2), &["*"], Some(&["a.com", "b.com"]));
    other.tls[0].destinations[0].destination = destination("db", None);
    let older = for_connections(("shop", "old", 1), &["*"], Some(&["*.com", "a.com"]));
    let mesh = with_safe(vec![past.clone()], vec![other, older.clone()]);
    // One of its names is taken, so the newer has none.
    assert_eq!(connected(&mesh, 443, "b.com"), SAFE);
    let mut narrow = for_connections(("shop", "new", 2), &["*"], Some(&["b.com"]));
    narrow.tls[0].destinations[0].destination = destination("db", None);
    let mesh = with_safe(vec![past], vec![narrow, older]);
    assert_eq!(connected(&mesh, 443, "b.com"), DB);
    assert_eq!(connected(&mesh, 443, "c.com"), SAFE);
}

#[test]
fn tls_that_a_gateway_ends_leads_where_routes_of_tcp_say() {
    let mut ended = server(443, Protocol::Tls, &["*.com"]);
    ended.tls = encrypted(ServerTlsMode::Simple, false);
    let tcp = for_connections(("shop", "tcp", 1), &["*"], None);
    let mesh = with_safe(vec![ended.clone()], vec![tcp]);
    assert_eq!(connected(&mesh, 443, "a.com"), DB);
    assert_eq!(connected(&mesh, 443, "a.org"), "closed");
    // Routes of TLS act there where a TLSRoute says them, since 1.30.
    let mut said = for_connections(("shop", "tls", 1), &["*"], Some(&["a.com"]));
    let mut mesh = with_safe(vec![ended], vec![said.clone()]);
    assert_eq!(connected(&mesh, 443, "a.com"), "refused");
    said.is_of_gateway_api = true;
    mesh.objects.virtual_services = vec![said];
    assert_eq!(connected(&mesh, 443, "a.com"), SAFE);
    mesh.version = Version::new(29);
    assert_eq!(connected(&mesh, 443, "a.com"), "refused");
}

#[test]
fn names_without_a_dot_of_the_gateway_api_stand_for_themselves() {
    let mut mesh = mesh(vec![server(80, Protocol::Http, &["*"])]);
    mesh.objects.virtual_services = vec![VirtualService {
        is_of_gateway_api: true,
        ..bound(
            ("shop", "a", 1),
            &["shop"],
            vec![forward(vec![to(WEB_HOST, None, 0)])],
        )
    }];
    assert_eq!(target(&mesh, 80, "shop", "/"), WEB);
    let full = "shop.shop.svc.cluster.local";
    assert_eq!(target(&mesh, 80, full, "/"), "no route");
    // A backend may be a host by its whole name only.
    mesh.objects.virtual_services[0].http = vec![to_web()];
    assert_eq!(target(&mesh, 80, "shop", "/"), "outbound|80||web (unknown)");
    mesh.version = Version::new(18);
    assert_eq!(target(&mesh, 80, "shop", "/"), "no route");
    assert_eq!(target(&mesh, 80, full, "/"), WEB);
    // Istio's own VirtualServices name Services of their namespace.
    mesh.version = Version::new(30);
    mesh.objects.virtual_services[0].is_of_gateway_api = false;
    assert_eq!(target(&mesh, 80, full, "/"), WEB);
}

#[test]
fn of_servers_that_contradict_one_another_at_a_port_the_first_counts() {
    let open = server(9_000, Protocol::Tcp, &["*"]);
    let web = server(9_000, Protocol::Http, &["*"]);
    let mut ended = server(9_000, Protocol::Https, &["*"]);
    ended.tls = encrypted(ServerTlsMode::Simple, false);
    let first = |servers: Vec<Server>| {
        let tcp = for_connections(("shop", "tcp", 1), &["*"], None);
        let mesh = with_safe(
            servers,
            vec![tcp, bound(("shop", "web", 2), &["*"], vec![to_web()])],
        );
        let told = mesh.told_as(&proxy("edge", "istio=ingress"), Role::Gateway);
        let edges = told.scope().edges.iter();
        edges.map(|edge| edge.name.clone()).collect::<Vec<_>>()
    };
    let name = |protocol: &str| vec![protocol.to_owned()];
    let raw = "https.9000.p.front.edge";
    assert_eq!(
        first(vec![open.clone(), web.clone(), ended.clone()]),
        name(raw)
    );
    assert_eq!(first(vec![web, open.clone(), ended]), name("http.9000"));
    assert_eq!(first(vec![open.clone(), open]), name(raw));
}
