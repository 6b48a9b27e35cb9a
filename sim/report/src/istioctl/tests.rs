//! Whole tables of sidecars described by hand.

use super::*;
use cloud::snapshot::{
    ChainSnapshot, HostSnapshot, ListenerSnapshot, PathSnapshot, ProxySnapshot, RouteSnapshot,
    TargetCluster, To, UpstreamSnapshot,
};
use engine::Time;
use std::net::{IpAddr, Ipv4Addr};

fn cluster(host: &str, subset: Option<&str>, port: u16) -> UpstreamSnapshot {
    UpstreamSnapshot {
        host: host.to_owned(),
        port: Some(port),
        subset: subset.map(str::to_owned),
        direction: Some("outbound"),
        kind: "EDS",
        destination_rule: Some("web.shop".to_owned()),
        settings: String::new(),
    }
}

fn route(name: &str, host: &str, path: PathSnapshot) -> RouteSnapshot {
    RouteSnapshot {
        name: name.to_owned(),
        virtual_host: host.to_owned(),
        domains: vec![
            "web.shop.svc.cluster.local".to_owned(),
            "web".to_owned(),
            "web.shop.svc".to_owned(),
            "web.shop".to_owned(),
            "10.96.0.7".to_owned(),
        ],
        path,
        virtual_service: Some("web.shop".to_owned()),
        clusters: vec![TargetCluster {
            name: Some("outbound|80||web.shop.svc.cluster.local".to_owned()),
            weight: 1,
        }],
        settings: String::new(),
    }
}

fn chain(to: To) -> ChainSnapshot {
    ChainSnapshot {
        server_names: Vec::new(),
        transport: None,
        applications: &[],
        ranges: Vec::new(),
        port: None,
        to,
    }
}

fn endpoint(last: u8, is_left_out: bool) -> HostSnapshot {
    HostSnapshot {
        address: IpAddr::V4(Ipv4Addr::new(10, 244, 0, last)),
        port: 8_080,
        is_healthy: true,
        is_left_out,
        cluster: "outbound|80||web.shop.svc.cluster.local".to_owned(),
        through: None,
    }
}

/// A table without the blanks that stand before empty cells at the end of a line.
fn printed(tables: &ProxyTables, part: Part) -> String {
    let text = proxy_config(tables, part);
    let lines = text.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

#[test]
fn clusters_stand_by_host_subset_and_port() {
    let passthrough = UpstreamSnapshot {
        port: None,
        direction: None,
        kind: "ORIGINAL_DST",
        destination_rule: None,
        ..cluster("PassthroughCluster", None, 0)
    };
    let tables = ProxyTables {
        clusters: vec![
            cluster("web.shop", Some("v2"), 80),
            cluster("web.shop", None, 443),
            cluster("web.shop", None, 80),
            passthrough,
        ],
        ..ProxyTables::default()
    };
    let expected = "\
SERVICE FQDN           PORT     SUBSET     DIRECTION     TYPE             DESTINATION RULE
PassthroughCluster     -        -          -             ORIGINAL_DST
web.shop               80       -          outbound      EDS              web.shop
web.shop               443      -          outbound      EDS              web.shop
web.shop               80       v2         outbound      EDS              web.shop
";
    let text = printed(&tables, Part::Clusters);
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn chains_show_what_they_take_and_where_they_lead() {
    let listener = |last: u8, port, chains| ListenerSnapshot {
        address: Some(IpAddr::V4(Ipv4Addr::new(10, 96, 0, last))),
        port,
        chains,
    };
    let named = ChainSnapshot {
        server_names: vec!["a.example".to_owned(), "b.example".to_owned()],
        transport: Some("tls"),
        applications: &["istio-peer-exchange", "istio"],
        ranges: vec!["10.1.0.0/16".to_owned()],
        port: Some(99),
        ..chain(To::Cluster(None))
    };
    let tables = ProxyTables {
        listeners: vec![
            listener(9, 443, vec![chain(To::Nothing)]),
            listener(
                10,
                80,
                vec![chain(To::Cluster(Some("outbound|80||web".to_owned())))],
            ),
            listener(
                9,
                80,
                vec![
                    named,
                    chain(To::Cluster(Some("PassthroughCluster".to_owned()))),
                    ChainSnapshot {
                        port: Some(80),
                        ..chain(To::Routes("80".to_owned()))
                    },
                ],
            ),
        ],
        ..ProxyTables::default()
    };
    let expected = "\
ADDRESSES  PORT MATCH                                                                    DESTINATION
10.96.0.10 80   ALL                                                                      Cluster: outbound|80||web
10.96.0.9  80   Addr: *:80                                                               Route: 80
10.96.0.9  80   ALL                                                                      PassthroughCluster
10.96.0.9  80   SNI: a.example,b.example; Trans: tls; App: TCP TLS; Addr: 10.1.0.0/16:99 Cluster:
10.96.0.9  443  ALL                                                                      Non-HTTP/Non-TCP
";
    let text = printed(&tables, Part::Listeners);
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn routes_stand_by_number_and_name_the_shortest_domains() {
    let only = RouteSnapshot {
        domains: vec!["*".to_owned()],
        virtual_service: None,
        ..route("80", "block_all", PathSnapshot::Begins("/".to_owned()))
    };
    let tables = ProxyTables {
        routes: vec![
            only,
            route("9080", "web:9080", PathSnapshot::Is("/cart".to_owned())),
            route("80", "web:80", PathSnapshot::Below("/cart".to_owned())),
            route("80", "web:80", PathSnapshot::Matches("/[a-z]+".to_owned())),
        ],
        ..ProxyTables::default()
    };
    let expected = "\
NAME     VHOST NAME     DOMAINS                       MATCH                VIRTUAL SERVICE
80       web:80         web, web.shop + 1 more...     PathPrefix:/cart     web.shop
80       web:80         web, web.shop + 1 more...     regex /[a-z]+        web.shop
80       block_all      *                             /*
9080     web:9080       web, web.shop + 1 more...     /cart                web.shop
";
    let text = printed(&tables, Part::Routes);
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn what_is_not_known_yet_goes_comes_or_means_something_else() {
    let told = ProxyTables {
        clusters: vec![cluster("web.shop", None, 80), cluster("old.shop", None, 80)],
        endpoints: vec![endpoint(2, true), endpoint(3, false)],
        ..ProxyTables::default()
    };
    let mut proxy = ProxySnapshot {
        told_of: Time::ZERO,
        newest: Time::from_secs_f64(5.0),
        held: told.clone(),
        told,
        threads: 2,
        memory_limit_bytes: None,
    };
    assert_eq!(difference(&proxy), None);
    proxy.held.clusters[0].settings = "others".to_owned();
    proxy.held.clusters.pop();
    proxy.held.endpoints.push(endpoint(10, false));
    let text = difference(&proxy).expect("they differ");
    let expected = "\
clusters
  SERVICE FQDN     PORT     SUBSET     DIRECTION     TYPE     DESTINATION RULE
- old.shop         80       -          outbound      EDS      web.shop
~ web.shop         80       -          outbound      EDS      web.shop
endpoints
  ENDPOINT             STATUS      OUTLIER CHECK     CLUSTER
+ 10.244.0.10:8080     HEALTHY     OK                outbound|80||web.shop.svc.cluster.local
";
    assert_eq!(text, expected, "\n{text}");
    let document = difference_document(&proxy);
    let changed = &document["difference"]["clusters"]["changed"];
    assert_eq!(changed[0]["service_fqdn"], "web.shop");
}

#[test]
fn endpoints_that_failed_are_shown() {
    let tables = ProxyTables {
        endpoints: vec![endpoint(3, false), endpoint(2, true)],
        ..ProxyTables::default()
    };
    let expected = "\
ENDPOINT            STATUS      OUTLIER CHECK     CLUSTER
10.244.0.2:8080     HEALTHY     FAILED            outbound|80||web.shop.svc.cluster.local
10.244.0.3:8080     HEALTHY     OK                outbound|80||web.shop.svc.cluster.local
";
    assert_eq!(printed(&tables, Part::Endpoints), expected);
}
