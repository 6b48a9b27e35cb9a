//! What proxies know: Sidecars, `exportTo`, listeners.

use super::*;
use crate::istio::config::{CaptureMode, EgressListener, OutboundPolicy};

fn mesh() -> Mesh {
    let mut mesh = Mesh::default();
    mesh.service("web", "shop", "http:80");
    mesh.service("db", "shop", "tcp:5432");
    mesh.service("mail", "edge", "http:80");
    mesh
}

fn sidecar(of: (&str, &str, i64), selector: Option<&str>, hosts: &[&str]) -> Sidecar {
    Sidecar {
        identity: identity(of.0, of.1, of.2),
        selector: selector.map(labels),
        ingress: Vec::new(),
        egress: vec![EgressListener {
            port: None,
            protocol: None,
            hosts: hosts.iter().map(|host| ServerHost::of(host)).collect(),
            left_out: Vec::new(),
            capture: CaptureMode::Default,
            bind: None,
        }],
        inbound_pool: None,
        outbound: None,
    }
}

/// Names of the services that a proxy knows.
fn known(mesh: &Mesh, namespace: &str, labels: &str) -> Vec<String> {
    let told = mesh.told(&proxy(namespace, labels));
    let services = told.scope().services.iter();
    let names = services.map(|&it| mesh.services[it as usize].host.split('.').next().unwrap());
    names.map(str::to_owned).collect()
}

#[test]
fn without_a_sidecar_everything_that_is_shown_is_known() {
    let mut mesh = mesh();
    assert_eq!(known(&mesh, "shop", ""), ["web", "db", "mail"]);
    mesh.services[2].export_to = ExportTo::Only(vec![Audience::OwnNamespace]);
    assert_eq!(known(&mesh, "shop", ""), ["web", "db"]);
    assert_eq!(known(&mesh, "edge", ""), ["web", "db", "mail"]);
    mesh.services[2].export_to = ExportTo::Only(vec![Audience::Nobody]);
    assert_eq!(known(&mesh, "edge", ""), ["web", "db"]);
}

#[test]
fn a_sidecar_lets_in_what_its_hosts_name() {
    let with = |hosts: &[&str]| {
        let mut mesh = mesh();
        mesh.objects.sidecars = vec![sidecar(("shop", "s", 0), None, hosts)];
        known(&mesh, "shop", "")
    };
    assert_eq!(with(&["./*"]), ["web", "db"]);
    assert_eq!(with(&["edge/*"]), ["mail"]);
    assert_eq!(with(&["*/web.shop.svc.cluster.local"]), ["web"]);
    assert_eq!(
        with(&["./db.shop.svc.cluster.local", "edge/*"]),
        ["db", "mail"]
    );
    assert_eq!(with(&["~/*"]), [""; 0]);
}

#[test]
fn a_sidecar_leaves_out_what_it_says() {
    let with = |hosts: &[&str], left_out: &[&str]| {
        let mut mesh = mesh();
        let mut sidecar = sidecar(("shop", "s", 0), None, hosts);
        let left_out = left_out.iter().map(|host| ServerHost::of(host));
        sidecar.egress[0].left_out = left_out.collect();
        mesh.objects.sidecars = vec![sidecar];
        known(&mesh, "shop", "")
    };
    assert_eq!(with(&["*/*"], &["edge/*"]), ["web", "db"]);
    assert_eq!(with(&["*/*"], &["./*"]), ["mail"]);
    assert_eq!(
        with(&["*/*"], &["/web.shop.svc.cluster.local"]),
        ["db", "mail"]
    );
    // A host of another namespace is another.
    let elsewhere = ["edge/web.shop.svc.cluster.local"];
    assert_eq!(with(&["*/*"], &elsewhere), ["web", "db", "mail"]);
    assert_eq!(with(&["./*", "edge/*"], &["/*"]), [""; 0]);
}

#[test]
fn a_route_is_let_in_while_one_of_its_hosts_is_not_left_out() {
    let with = |left_out: &[&str]| {
        let mut mesh = mesh();
        let mut sidecar = sidecar(("shop", "s", 0), None, &["*/*"]);
        let left_out = left_out.iter().map(|host| ServerHost::of(host));
        sidecar.egress[0].left_out = left_out.collect();
        mesh.objects.sidecars = vec![sidecar];
        let route = forward(vec![to("web", None, 0)]);
        let hosts = ["drop.com", "keep.com"];
        mesh.objects.virtual_services =
            vec![virtual_service(("shop", "a", 1), &hosts, vec![route])];
        let told = mesh.told(&proxy("shop", ""));
        told.scope().virtual_services.len()
    };
    assert_eq!(with(&[]), 1);
    assert_eq!(with(&["/drop.com"]), 1);
    assert_eq!(with(&["/drop.com", "shop/keep.com"]), 0);
    assert_eq!(with(&["/drop.com", "edge/keep.com"]), 1);
}

/// Clusters that a proxy knows of a service, by their ports.
fn ports_of(mesh: &Mesh, service: &str) -> Vec<u16> {
    let told = mesh.told(&proxy("shop", ""));
    let clusters = told.scope().clusters.iter();
    let named = clusters.map(|&it| {
        &told.compiler.tables.names[told.compiler.tables.clusters[it as usize].name as usize]
    });
    let own = named.filter(|name| name.host.starts_with(service));
    own.map(|name| name.port).collect()
}

#[test]
fn a_listener_knows_services_by_its_port_and_routes_by_those_that_they_name() {
    let mut mesh = Mesh::default();
    mesh.service("web", "shop", "http:80 http:81 http:82");
    mesh.service("mail", "edge", "http:80 http:81 http:82");
    let listener = |port, protocol, hosts: &[&str]| {
        let mut own = sidecar(("shop", "s", 0), None, hosts).egress.remove(0);
        own.port = port;
        own.protocol = protocol;
        own
    };
    let mut with = |egress, ports: &[Option<u16>]| {
        let mut own = sidecar(("shop", "s", 0), None, &[]);
        own.egress = egress;
        mesh.objects.sidecars = vec![own];
        let destinations = ports.iter().map(|&port| HttpDestination {
            target: Target::Host(Destination {
                host: "mail.edge.svc.cluster.local".to_owned(),
                subset: None,
                port,
            }),
            ..to("mail", None, 1)
        });
        let route = forward(destinations.collect());
        mesh.objects.virtual_services = match ports {
            [] => Vec::new(),
            _ => vec![virtual_service(("shop", "a", 1), &["web"], vec![route])],
        };
        (ports_of(&mesh, "web"), ports_of(&mesh, "mail"))
    };
    let own = |port| listener(Some(port), None, &["./*"]);
    let rest = || listener(None, None, &["./*"]);
    let all = vec![80, 81, 82];
    assert_eq!(with(vec![own(80)], &[]), (vec![80], vec![]));
    assert_eq!(with(vec![own(80), own(82)], &[]), (vec![80, 82], vec![]));
    assert_eq!(with(vec![own(80), rest()], &[]), (all.clone(), vec![]));
    let asked = listener(Some(3128), Some(Protocol::HttpProxy), &["./*"]);
    assert_eq!(with(vec![asked], &[]), (all.clone(), vec![]));
    // What routes lead to.
    assert_eq!(with(vec![rest()], &[Some(81)]), (all.clone(), vec![81]));
    assert_eq!(with(vec![rest()], &[Some(81), Some(82)]).1, [81, 82]);
    assert_eq!(with(vec![rest()], &[Some(81), None]).1, all);
    assert_eq!(with(vec![rest()], &[Some(90)]).1, []);
    assert_eq!(with(vec![own(80)], &[Some(81)]).1, [80]);
    assert_eq!(with(vec![own(81)], &[None]), (vec![81], vec![81]));
}

#[test]
fn one_sidecar_holds_the_narrowest_first() {
    let mut mesh = mesh();
    let root = sidecar(("istio-system", "all", 0), None, &["./*"]);
    mesh.objects.sidecars = vec![root];
    assert_eq!(known(&mesh, "shop", "app=web"), ["web", "db"]);
    let of_namespace = sidecar(("shop", "all", 5), None, &["edge/*"]);
    mesh.objects.sidecars.push(of_namespace);
    assert_eq!(known(&mesh, "shop", "app=web"), ["mail"]);
    let of_web = sidecar(("shop", "web", 9), Some("app=web"), &["*/*"]);
    mesh.objects.sidecars.push(of_web);
    assert_eq!(known(&mesh, "shop", "app=web"), ["web", "db", "mail"]);
    assert_eq!(known(&mesh, "shop", "app=db"), ["mail"]);
}

#[test]
fn what_routes_lead_to_is_known_as_well() {
    let mut mesh = mesh();
    mesh.objects.sidecars = vec![sidecar(("shop", "s", 0), None, &["./*"])];
    let to_mail = to("mail.edge.svc.cluster.local", None, 0);
    let route = forward(vec![to_mail]);
    mesh.objects.virtual_services = vec![virtual_service(("shop", "a", 1), &["web"], vec![route])];
    assert_eq!(known(&mesh, "shop", ""), ["web", "db", "mail"]);
    let told = mesh.told(&proxy("shop", ""));
    assert_eq!(
        told.shares(80, &get("web", "/", &no_headers())),
        ["1/1 outbound|80||mail.edge.svc.cluster.local"]
    );
}

#[test]
fn of_services_with_one_name_ours_counts_else_the_oldest() {
    let mut mesh = mesh();
    for (namespace, created) in [("shop", 9), ("edge", 5)] {
        let number = mesh.service("x", namespace, "http:80");
        mesh.services[number].host = "example.com".to_owned();
        mesh.services[number].created = Created::Before(created);
    }
    let which = |namespace: &str| {
        let told = mesh.told(&proxy(namespace, ""));
        let services = told.scope().services.iter();
        let found = services.filter(|&&it| mesh.services[it as usize].host == "example.com");
        found.copied().collect::<Vec<u32>>()
    };
    assert_eq!(which("shop"), [3]);
    assert_eq!(which("edge"), [4]);
    assert_eq!(which("other"), [4]);
}

#[test]
fn proxies_that_know_the_same_share_it() {
    let mut mesh = mesh();
    let world = |mesh: &Mesh, labels: [&str; 2]| {
        let mut compiler = Compiler::new(&mesh.world());
        let view = |compiler: &mut Compiler, labels: &str| {
            let proxy = proxy("shop", labels);
            compiler.view(&mesh.world(), &mesh.endpoints, &proxy, Role::Sidecar)
        };
        let [left, right] = labels.map(|labels| view(&mut compiler, labels));
        left == right
    };
    assert!(world(&mesh, ["app=web", "app=db"]));
    mesh.objects.sidecars = vec![sidecar(("shop", "w", 0), Some("app=web"), &["./*"])];
    assert!(!world(&mesh, ["app=web", "app=db"]));
    assert!(world(&mesh, ["app=web x=1", "app=web x=2"]));
}

#[test]
fn connections_are_taken_by_address_or_by_port() {
    let mut mesh = mesh();
    let told = mesh.told(&proxy("shop", ""));
    let db = mesh.services[1].addresses[0];
    let other: IpAddr = "203.0.113.9".parse().unwrap();
    let scope = told.scope();
    let chain = |address, port| match scope.outbound(None, address, port) {
        Outbound::Listener(listener) => listener.chains.first().map_or_else(
            || "http".to_owned(),
            |chain| match chain.choices[0].to {
                To::Cluster(name) => told.name(name),
                To::Nowhere(status) => status.to_string(),
            },
        ),
        Outbound::Passthrough => "passthrough".to_owned(),
        Outbound::BlackHole => "black hole".to_owned(),
    };
    assert_eq!(chain(db, 5432), "outbound|5432||db.shop.svc.cluster.local");
    assert_eq!(chain(other, 5432), "passthrough");
    // HTTP is told apart by what requests say, wherever they go.
    assert_eq!(chain(other, 80), "http");
    mesh.config.outbound = OutboundMode::RegistryOnly;
    let told = mesh.told(&proxy("shop", ""));
    assert!(matches!(
        told.scope().outbound(None, other, 5432),
        Outbound::BlackHole
    ));
    let mut said = sidecar(("shop", "s", 0), None, &["*/*"]);
    said.outbound = Some(OutboundPolicy {
        mode: OutboundMode::AllowAny,
        egress_proxy: None,
    });
    mesh.objects.sidecars = vec![said];
    let told = mesh.told(&proxy("shop", ""));
    assert!(matches!(
        told.scope().outbound(None, other, 5432),
        Outbound::Passthrough
    ));
}

#[test]
fn connections_of_a_service_may_be_routed_too() {
    let mut mesh = mesh();
    mesh.service("new-db", "shop", "tcp:5432");
    let weighted = |host: &str, weight| WeightedDestination {
        destination: destination(host, None),
        weight,
    };
    let mut route = virtual_service(("shop", "a", 1), &["db"], Vec::new());
    route.tcp = vec![TcpRoute {
        matches: Vec::new(),
        destinations: vec![weighted("db", 80), weighted("new-db", 20)],
    }];
    mesh.objects.virtual_services = vec![route];
    let told = mesh.told(&proxy("shop", ""));
    let address = mesh.services[1].addresses[0];
    let Outbound::Listener(listener) = told.scope().outbound(None, address, 5432) else {
        panic!("a listener takes it");
    };
    let chain = Chain::taking(&listener.chains, address, None).unwrap();
    let weights: Vec<u32> = chain.choices.iter().map(|it| it.weight).collect();
    assert_eq!((weights, chain.total), (vec![80, 20], 100));
}

#[test]
fn connections_that_clients_encrypt_are_routed_by_the_names_that_they_ask_for() {
    let mut mesh = mesh();
    mesh.service("safe", "shop", "tls:8443");
    mesh.service("new-safe", "shop", "tls:8443");
    let address = mesh
        .services
        .iter()
        .find(|it| it.host.starts_with("safe."))
        .unwrap();
    let address = address.addresses[0];
    let to = |host: &str| {
        vec![WeightedDestination {
            destination: destination(host, None),
            weight: 0,
        }]
    };
    let asked = |name: &str, subnets: &[&str]| TlsMatch {
        sni_hosts: vec![name.to_owned()],
        destination_subnets: subnets.iter().map(|it| (*it).to_owned()).collect(),
        ..TlsMatch::default()
    };
    let mut route = virtual_service(("shop", "a", 1), &["safe"], Vec::new());
    // What is said of TCP is not for them.
    route.tcp = vec![TcpRoute {
        matches: Vec::new(),
        destinations: to("db"),
    }];
    let lead = |mesh: &Mesh, name: Option<&str>| {
        let told = mesh.told(&proxy("shop", ""));
        let Outbound::Listener(listener) = told.scope().outbound(None, address, 8443) else {
            panic!("a listener takes it");
        };
        let chain = Chain::taking(&listener.chains, address, name)?;
        match chain.choices[0].to {
            To::Cluster(name) => Some(told.name(name)),
            To::Nowhere(_) => None,
        }
    };
    mesh.objects.virtual_services = vec![route.clone()];
    let cluster = |host: &str| Some(format!("outbound|8443||{host}.shop.svc.cluster.local"));
    assert_eq!(lead(&mesh, Some("safe")), cluster("safe"));
    route.tls = vec![
        TlsRoute {
            matches: vec![asked("*.com", &[])],
            destinations: to("safe"),
        },
        TlsRoute {
            matches: vec![asked("a.com", &[])],
            destinations: to("new-safe"),
        },
    ];
    mesh.objects.virtual_services = vec![route.clone()];
    assert_eq!(lead(&mesh, Some("a.com")), cluster("new-safe"));
    assert_eq!(lead(&mesh, Some("b.com")), cluster("safe"));
    // Once something is said the rest is left to what is unknown.
    assert_eq!(lead(&mesh, Some("b.org")), None);
    assert_eq!(lead(&mesh, None), None);
    // A range counts before a name.
    route.tls.push(TlsRoute {
        matches: vec![asked("*", &["0.0.0.0/0"])],
        destinations: to("safe"),
    });
    mesh.objects.virtual_services = vec![route];
    assert_eq!(lead(&mesh, Some("a.com")), cluster("safe"));
}
