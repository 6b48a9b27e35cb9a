//! What `hybridsim inspect` says of a sidecar of Bookinfo, before, while and after istiod tells it of
//! new rules.

use crate::cli::{self, hybridsim};

const SCENARIO: &str = "tests/data/inspect/mesh/scenario.yaml";

/// What `inspect` prints with these arguments; blanks at the ends of lines, which stand before
/// empty cells, are left out.
fn inspect(arguments: &str) -> String {
    let (part, rest) = arguments.split_once(' ').expect("a part is named");
    let rest: Vec<&str> = rest.split(' ').collect();
    let text = cli::inspect(&[&[part, SCENARIO], rest.as_slice()].concat());
    let lines = text.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

fn assert_prints(arguments: &str, expected: &str) {
    let text = inspect(arguments);
    assert_eq!(text, expected, "{arguments:?}:\n{text}");
}

#[test]
fn clusters_of_a_sidecar_have_their_rules() {
    assert_prints(
        "clusters --proxy productpage-v1 --at 9s",
        "\
SERVICE FQDN                              PORT     SUBSET     DIRECTION     TYPE             DESTINATION RULE
                                          9080     -          inbound       ORIGINAL_DST
BlackHoleCluster                          -        -          -             STATIC
InboundPassthroughCluster                 -        -          -             ORIGINAL_DST
PassthroughCluster                        -        -          -             ORIGINAL_DST
browser.default.svc.cluster.local         80       -          outbound      EDS
details.default.svc.cluster.local         9080     -          outbound      EDS              details.default
details.default.svc.cluster.local         9080     v1         outbound      EDS              details.default
productpage.default.svc.cluster.local     9080     -          outbound      EDS
ratings.default.svc.cluster.local         9080     -          outbound      EDS
reviews.default.svc.cluster.local         9080     -          outbound      EDS              reviews.default
reviews.default.svc.cluster.local         9080     v2         outbound      EDS              reviews.default
reviews.default.svc.cluster.local         9080     v3         outbound      EDS              reviews.default
",
    );
}

#[test]
fn listeners_of_a_sidecar_stand_at_the_addresses_of_services() {
    assert_prints(
        "listeners --proxy productpage-v1.default --at 9s",
        "\
ADDRESSES      PORT  MATCH                                                                                           DESTINATION
10.102.115.220 80    Trans: raw_buffer; App: http/1.1,h2c                                                            Route: browser.default.svc.cluster.local:80
10.102.115.220 80    ALL                                                                                             Cluster: outbound|80||browser.default.svc.cluster.local
0.0.0.0        9080  Trans: raw_buffer; App: http/1.1,h2c                                                            Route: 9080
0.0.0.0        9080  ALL                                                                                             PassthroughCluster
0.0.0.0        15001 ALL                                                                                             PassthroughCluster
0.0.0.0        15001 Addr: *:15001                                                                                   Non-HTTP/Non-TCP
0.0.0.0        15006 Addr: *:15006                                                                                   Non-HTTP/Non-TCP
0.0.0.0        15006 Trans: tls; App: istio-http/1.0,istio-http/1.1,istio-h2; Addr: 0.0.0.0/0                        InboundPassthroughCluster
0.0.0.0        15006 Trans: raw_buffer; App: http/1.1,h2c; Addr: 0.0.0.0/0                                           InboundPassthroughCluster
0.0.0.0        15006 Trans: tls; App: TCP TLS; Addr: 0.0.0.0/0                                                       InboundPassthroughCluster
0.0.0.0        15006 Trans: raw_buffer; Addr: 0.0.0.0/0                                                              InboundPassthroughCluster
0.0.0.0        15006 Trans: tls; Addr: 0.0.0.0/0                                                                     InboundPassthroughCluster
0.0.0.0        15006 Trans: tls; App: istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2; Addr: *:9080 Cluster: inbound|9080||
0.0.0.0        15006 Trans: raw_buffer; Addr: *:9080                                                                 Cluster: inbound|9080||
",
    );
}

#[test]
fn a_gateway_listens_for_its_servers_and_routes_what_binds_to_it() {
    let of_gateway = |part: &str| {
        let pod = ["--proxy", "istio-ingressgateway", "-n", "istio-system"];
        let shown = [part, "mesh/bookinfo-gateway", "--at", "9s"];
        cli::inspect(&[&shown[..], &pod].concat())
    };
    assert_eq!(
        of_gateway("listeners"),
        "\
ADDRESSES PORT MATCH DESTINATION
0.0.0.0   8080 ALL   Route: http.8080
"
    );
    let routes = of_gateway("routes");
    let routes: Vec<Vec<&str>> = routes
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let paths = [
        "/productpage",
        "/static*",
        "/login",
        "/logout",
        "/api/v1/products*",
    ];
    let rows = paths.map(|path| vec!["http.8080", "*:8080", "*", path, "bookinfo.default"]);
    assert_eq!(routes[1..], rows);
    assert!(
        !of_gateway("clusters").contains("inbound"),
        "it has no application"
    );
}

#[test]
fn routes_of_a_sidecar_follow_virtual_services_once_it_was_told() {
    assert_prints(
        "routes --proxy productpage-v1 -n default --at 12s",
        "\
NAME                                     VHOST NAME                                     DOMAINS                                          MATCH           VIRTUAL SERVICE
9080                                     details.default.svc.cluster.local:9080         details, details.default + 1 more...             /*
9080                                     productpage.default.svc.cluster.local:9080     productpage, productpage.default + 1 more...     /*
9080                                     ratings.default.svc.cluster.local:9080         ratings, ratings.default + 1 more...             /*
9080                                     reviews.default.svc.cluster.local:9080         reviews, reviews.default + 1 more...             /reviews/0*     reviews.default
9080                                     reviews.default.svc.cluster.local:9080         reviews, reviews.default + 1 more...             /*              reviews.default
InboundPassthroughCluster                inbound|http|0                                 *                                                /*
browser.default.svc.cluster.local:80     browser.default.svc.cluster.local:80           *                                                /*
inbound|9080||                           inbound|http|9080                              *                                                /*
",
    );
}

#[test]
fn endpoints_of_a_sidecar_are_pods_and_one_that_failed_is_left_out() {
    assert_prints(
        "endpoints --proxy productpage-v1 --at 9s",
        "\
ENDPOINT            STATUS      OUTLIER CHECK     CLUSTER
10.244.0.2:80       HEALTHY     OK                outbound|80||browser.default.svc.cluster.local
10.244.0.3:9080     HEALTHY     OK                outbound|9080||productpage.default.svc.cluster.local
10.244.0.4:9080     HEALTHY     OK                outbound|9080||reviews.default.svc.cluster.local
10.244.0.5:9080     HEALTHY     OK                outbound|9080|v3|reviews.default.svc.cluster.local
10.244.0.5:9080     HEALTHY     OK                outbound|9080||reviews.default.svc.cluster.local
10.244.1.2:9080     HEALTHY     OK                outbound|9080|v1|details.default.svc.cluster.local
10.244.1.2:9080     HEALTHY     FAILED            outbound|9080||details.default.svc.cluster.local
10.244.1.3:9080     HEALTHY     OK                outbound|9080||ratings.default.svc.cluster.local
10.244.1.4:9080     HEALTHY     OK                outbound|9080|v2|reviews.default.svc.cluster.local
10.244.1.4:9080     HEALTHY     OK                outbound|9080||reviews.default.svc.cluster.local
",
    );
}

#[test]
fn a_push_under_way_is_what_the_sidecar_does_not_know() {
    assert_prints(
        "config-diff --proxy productpage-v1 --at 10100ms",
        "\
clusters
  SERVICE FQDN                          PORT     SUBSET     DIRECTION     TYPE     DESTINATION RULE
~ details.default.svc.cluster.local     9080     -          outbound      EDS      details.default
~ details.default.svc.cluster.local     9080     v1         outbound      EDS      details.default
- ratings.default.svc.cluster.local     9080     -          outbound      EDS
+ ratings.default.svc.cluster.local     9080     -          outbound      EDS      ratings.default
+ ratings.default.svc.cluster.local     9080     v1         outbound      EDS      ratings.default
routes
  NAME     VHOST NAME                                 DOMAINS                                  MATCH           VIRTUAL SERVICE
- 9080     reviews.default.svc.cluster.local:9080     reviews, reviews.default + 1 more...     /*
+ 9080     reviews.default.svc.cluster.local:9080     reviews, reviews.default + 1 more...     /reviews/0*     reviews.default
+ 9080     reviews.default.svc.cluster.local:9080     reviews, reviews.default + 1 more...     /*              reviews.default
endpoints
  ENDPOINT            STATUS      OUTLIER CHECK     CLUSTER
+ 10.244.1.3:9080     HEALTHY     OK                outbound|9080|v1|ratings.default.svc.cluster.local
",
    );
    assert_prints("config-diff --proxy productpage-v1 --at 9s", "nothing\n");
    assert_prints("config-diff --proxy productpage-v1 --at 12s", "nothing\n");
}

#[test]
fn documents_hold_what_tables_show() {
    let text = inspect("endpoints --proxy productpage-v1 --at 9s -o json");
    let document: serde_json::Value = serde_json::from_str(&text).expect("one document");
    let endpoints = document["endpoints"].as_array().expect("a list");
    let out = endpoints.iter().filter(|it| it["is_left_out"] == true);
    let out: Vec<_> = out.map(|it| it["cluster"].as_str()).collect();
    let details = "outbound|9080||details.default.svc.cluster.local";
    assert_eq!(out, [Some(details)]);
    let text = inspect("config-diff --proxy productpage-v1 --at 10100ms -o json");
    let document: serde_json::Value = serde_json::from_str(&text).expect("one document");
    assert_eq!(document["told_of_s"], 0.0);
    let clusters = &document["difference"]["clusters"];
    assert_eq!(clusters["added"][1]["subset"], "v1");
    assert_eq!(
        clusters["changed"][0]["destination_rule"],
        "details.default"
    );
}

/// Bookinfo's sidecars took 50 to 70 MB (istio/istio issue 26605).
#[test]
fn the_memory_of_a_sidecar_follows_from_what_it_knows() {
    let text = inspect("memory --proxy productpage-v1 --at 9s -o json");
    let document: serde_json::Value = serde_json::from_str(&text).expect("one document");
    let memory = &document["memory"];
    let bytes = |value: &serde_json::Value| value.as_u64().expect("bytes");
    let rows = memory["shares"].as_array().expect("a list");
    let sum: u64 = rows.iter().map(|row| bytes(&row["bytes"])).sum();
    assert_eq!(bytes(&memory["bytes"]), sum);
    assert!((50_000_000..70_000_000).contains(&sum), "{sum}");
    assert_eq!(memory["limit_bytes"], 1 << 30);
    let clusters = inspect("clusters --proxy productpage-v1 --at 9s")
        .lines()
        .count()
        - 1;
    let row = rows.iter().find(|row| row["what"] == "clusters");
    assert_eq!(row.expect("clusters")["count"], clusters);
}

#[test]
fn the_way_through_a_node_says_that_a_sidecar_takes_another() {
    let way = inspect("route --from browser --to reviews:9080 --at 9s");
    let first = way.lines().next().expect("a remark");
    assert!(first.starts_with("# the sidecar of browser-"), "{first}");
}

#[test]
fn pods_that_are_not_there_or_have_no_sidecar_are_told() {
    let refused = |scenario: &str, pod: &str| {
        let output = hybridsim(&[
            "inspect",
            "endpoints",
            scenario,
            "--proxy",
            pod,
            "--at",
            "9s",
        ]);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).expect("text")
    };
    let told = refused(SCENARIO, "nobody");
    assert!(
        told.contains("no pod is called nobody; there are browser-"),
        "{told}"
    );
    let told = refused(SCENARIO, "details-v1.elsewhere");
    assert!(
        told.contains("no pod is called details-v1.elsewhere"),
        "{told}"
    );
    let told = refused("tests/data/inspect/scenario.yaml", "db-0");
    assert!(
        told.contains("no sidecar runs in a pod of cluster east"),
        "{told}"
    );
}

/// The words of the rows that `inspect` prints of a waypoint, without addresses of pods.
fn of_waypoint(part: &str) -> Vec<String> {
    let scenario = "tests/data/waypoint/scenario.yaml";
    let arguments = [
        "inspect", part, scenario, "--proxy", "waypoint", "--at", "9s",
    ];
    let output = hybridsim(&arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let text = String::from_utf8(output.stdout).expect("text");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().skip(1).map(words).collect()
}

#[test]
fn a_waypoint_has_clusters_chains_and_routes_of_what_is_reached_through_it() {
    let web = "web.default.svc.cluster.local";
    let clusters = of_waypoint("clusters");
    let own =
        |port: u16, subset: &str| format!("{web} {port} {subset} inbound-vip EDS web.default");
    let expected = [
        "connect_originate - - - ORIGINAL_DST".to_owned(),
        "encap - - - STATIC".to_owned(),
        "main_internal - - - STATIC".to_owned(),
        own(80, "http"),
        own(80, "http/v1"),
        own(80, "http/v2"),
        own(90, "tcp"),
        own(90, "tcp/v1"),
        own(90, "tcp/v2"),
    ];
    assert_eq!(clusters, expected);
    // One for tunnels, and one inside that leads where a route alone takes everything.
    let listeners = of_waypoint("listeners");
    let expected = [
        format!("0 ALL Cluster: inbound-vip|90|tcp|{web}"),
        format!("0 ALL Cluster: inbound-vip|80|http/v1|{web}"),
        "0.0.0.0 15008 ALL Cluster: main_internal".to_owned(),
    ];
    assert_eq!(listeners, expected);
    let routes = of_waypoint("routes");
    let route = format!("inbound-vip|80|http|{web} inbound|http|80 * /* web.default");
    assert_eq!(routes, [route]);
    let endpoints = of_waypoint("endpoints");
    let mut clusters: Vec<&str> = endpoints
        .iter()
        .map(|row| {
            let tunnel = row.strip_prefix("envoy://connect_originate/");
            let row = tunnel.expect("a tunnel leads there");
            row.rsplit(' ').next().expect("a cluster")
        })
        .collect();
    clusters.sort_unstable();
    let of = |port: u16, subset: &str| format!("inbound-vip|{port}|{subset}|{web}");
    let all = [
        of(80, "http"),
        of(80, "http"),
        of(80, "http/v1"),
        of(80, "http/v2"),
        of(90, "tcp"),
        of(90, "tcp"),
        of(90, "tcp/v1"),
        of(90, "tcp/v2"),
    ];
    let mut all: Vec<&str> = all.iter().map(String::as_str).collect();
    all.sort_unstable();
    assert_eq!(clusters, all);
}
