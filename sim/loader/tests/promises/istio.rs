//! Istio's samples and objects are read whole, and become what they mean.

use cloud::istio::authentication::ServerMode;
use cloud::istio::config::{
    AbortStatus, Created, Destination, GatewayName, HttpAction, Object, Percent, Resolution,
    ServerTlsMode, Target, UriMatch,
};
use cloud::istio::config::{OutboundMode, StringMatch, ValueMatch};
use engine::Duration;
use hybridsim_loader::diagnostic::Diagnostics;
use hybridsim_loader::kubernetes::Objects;
use hybridsim_loader::ledger::Standing;
use hybridsim_loader::{Code, Diagnostic, File, Ledger, document};
use std::path::{Path, PathBuf};

fn read(name: &str, text: &str) -> (Objects, Ledger, Vec<Diagnostic>) {
    let files = [File {
        name: name.to_owned(),
        text: text.to_owned(),
    }];
    let (mut ledger, mut diagnostics) = (Ledger::default(), Diagnostics::default());
    let documents = document::read(&files, &mut ledger, &mut diagnostics);
    let objects = Objects::collect(&documents, &mut diagnostics);
    (objects, ledger, diagnostics.finish(&files))
}

/// The objects of a text without any problems.
fn objects(text: &str) -> Vec<Object> {
    let (objects, _, problems) = read("test.yaml", text);
    let told: Vec<_> = problems.iter().map(|found| &found.message).collect();
    assert!(told.is_empty(), "{told:?}");
    objects
        .istio
        .written
        .into_iter()
        .map(|written| written.object)
        .collect()
}

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../scenarios")
        .join(path)
}

fn sample(path: &str) -> String {
    std::fs::read_to_string(shipped(path)).expect("the sample is shipped")
}

#[test]
fn samples_are_read_whole() {
    let folders = [
        ("bookinfo/networking", 21),
        ("bookinfo/gateway-api", 6),
        ("bookinfo/policy", 1),
        ("helloworld", 2),
        ("multicluster", 3),
    ];
    for (folder, expected) in folders {
        let mut seen = 0;
        for entry in std::fs::read_dir(shipped(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            seen += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            let (_, ledger, problems) = read(path.to_str().unwrap(), &text);
            assert_eq!(ledger.counts()[Standing::Unknown as usize], 0, "{path:?}");
            assert!(
                ledger
                    .documents
                    .iter()
                    .all(|document| !document.entries.is_empty())
            );
            // istioctl tells of it too (IST0130): both routes of the sample take everything.
            let is_told = path.ends_with("fault-injection-details-v1.yaml");
            let expected = |code| match code {
                Code::FilterByHand | Code::KindIgnored | Code::NoRequests => true,
                Code::IstioWarns => is_told,
                _ => false,
            };
            assert_eq!(
                problems.iter().any(|found| found.code == Code::IstioWarns),
                is_told
            );
            let unexpected: Vec<_> = problems
                .iter()
                .filter(|found| !expected(found.code))
                .map(|found| &found.message)
                .collect();
            assert!(unexpected.is_empty(), "{path:?}: {unexpected:?}");
        }
        assert_eq!(seen, expected, "{folder}");
    }
}

#[test]
fn a_split_by_weight_is_read() {
    let all = objects(&sample(
        "bookinfo/networking/virtual-service-reviews-80-20.yaml",
    ));
    let [Object::VirtualService(service)] = &all[..] else {
        panic!("one VirtualService");
    };
    assert_eq!(service.hosts, ["reviews"]);
    assert_eq!(service.gateways, [GatewayName::Mesh]);
    assert_eq!(service.identity.namespace, "default");
    let HttpAction::Forward(destinations) = &service.http[0].action else {
        panic!("it forwards");
    };
    let shares: Vec<_> = destinations
        .iter()
        .map(|destination| (destination.target.clone(), destination.weight))
        .collect();
    let to = |subset: &str| {
        Target::Host(Destination {
            host: "reviews".to_owned(),
            subset: Some(subset.to_owned()),
            port: None,
        })
    };
    assert_eq!(shares, [(to("v1"), 80), (to("v2"), 20)]);
}

#[test]
fn faults_and_headers_are_read() {
    let all = objects(&sample(
        "bookinfo/networking/virtual-service-ratings-test-delay.yaml",
    ));
    let [Object::VirtualService(service)] = &all[..] else {
        panic!("one VirtualService");
    };
    let delay = service.http[0].fault.delay.expect("a delay");
    assert_eq!(
        (delay.lasts, delay.share),
        (Duration::from_secs(7), Percent::ALL)
    );
    let wanted = ValueMatch::Is(StringMatch::Exact("jason".to_owned()));
    assert_eq!(service.http[0].matches[0].headers["end-user"], wanted);
    assert!(service.http[1].matches.is_empty());
    let all = objects(&sample(
        "bookinfo/networking/virtual-service-ratings-test-abort.yaml",
    ));
    let [Object::VirtualService(service)] = &all[..] else {
        panic!("one VirtualService");
    };
    let abort = service.http[0].fault.abort.expect("an abort");
    assert_eq!(abort.with, AbortStatus::Http(500));
}

#[test]
fn gateways_of_both_groups_stand_side_by_side() {
    let (objects, _, problems) = read(
        "both.yaml",
        "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers:
    - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [shop.example.com], tls: {mode: SIMPLE, credentialName: shop}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec:
  gatewayClassName: istio
  listeners: [{name: http, port: 80, protocol: HTTP}]
",
    );
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(objects.gateways.len(), 1);
    let Object::Gateway(gateway) = &objects.istio.written[0].object else {
        panic!("a gateway of Istio");
    };
    let tls = gateway.servers[0].tls.as_ref().expect("it encrypts");
    assert_eq!(tls.mode, ServerTlsMode::Simple);
}

#[test]
fn every_version_that_is_served_is_read_alike() {
    for version in ["v1", "v1beta1", "v1alpha3"] {
        let all = objects(&format!(
            "\
apiVersion: networking.istio.io/{version}
kind: ServiceEntry
metadata: {{name: apis, creationTimestamp: \"2026-08-22T20:00:18Z\"}}
spec:
  hosts: [api.example.com]
  ports: [{{number: 443, name: https, protocol: HTTPS}}]
  resolution: DNS
"
        ));
        let [Object::ServiceEntry(entry)] = &all[..] else {
            panic!("one ServiceEntry");
        };
        assert_eq!(entry.resolution, Resolution::Dns);
        assert_eq!(entry.ports[0].target, 443);
        assert_eq!(entry.identity.created, Created::Before(1_787_428_818));
    }
}

#[test]
fn every_kind_is_read_in_every_version_that_is_served() {
    const NETWORKING: &[&str] = &["v1", "v1beta1", "v1alpha3"];
    const SECURITY: &[&str] = &["v1", "v1beta1"];
    let kinds: [(&str, &[&str], &str, &str); 12] = [
        (
            "networking",
            NETWORKING,
            "VirtualService",
            "{hosts: [a], tcp: [{route: [{destination: {host: a}}]}]}",
        ),
        ("networking", NETWORKING, "DestinationRule", "{host: a}"),
        (
            "networking",
            NETWORKING,
            "Gateway",
            "{servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}",
        ),
        (
            "networking",
            NETWORKING,
            "ServiceEntry",
            "{hosts: [a.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}",
        ),
        (
            "networking",
            NETWORKING,
            "WorkloadEntry",
            "{address: 10.0.0.1, labels: {app: a}}",
        ),
        (
            "networking",
            NETWORKING,
            "WorkloadGroup",
            "{template: {serviceAccount: a, ports: {http: 80}}}",
        ),
        (
            "networking",
            NETWORKING,
            "Sidecar",
            "{egress: [{hosts: ['./*']}]}",
        ),
        (
            "networking",
            &["v1beta1"],
            "ProxyConfig",
            "{concurrency: 2}",
        ),
        (
            "security",
            SECURITY,
            "PeerAuthentication",
            "{mtls: {mode: STRICT}}",
        ),
        (
            "security",
            SECURITY,
            "RequestAuthentication",
            "{jwtRules: [{issuer: a, jwksUri: 'https://a.com/keys'}]}",
        ),
        (
            "security",
            SECURITY,
            "AuthorizationPolicy",
            "{action: ALLOW, rules: [{}]}",
        ),
        (
            "telemetry",
            &["v1", "v1alpha1"],
            "Telemetry",
            "{tracing: [{randomSamplingPercentage: 10}]}",
        ),
    ];
    for (group, versions, kind, spec) in kinds {
        for version in versions {
            let text = format!(
                "apiVersion: {group}.istio.io/{version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n"
            );
            let (objects, ledger, problems) = read("test.yaml", &text);
            let told: Vec<_> = problems.iter().map(|found| &found.message).collect();
            assert!(told.is_empty(), "{kind} {version}: {told:?}");
            assert_eq!(ledger.counts()[Standing::Unknown as usize], 0, "{kind}");
            let kinds: Vec<_> = objects
                .istio
                .written
                .iter()
                .map(|it| it.object.kind())
                .collect();
            assert_eq!(kinds, [kind], "{version}");
        }
    }
}

#[test]
fn modes_of_ports_and_of_the_mesh_are_read() {
    let all = objects(
        "\
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  mtls: {mode: STRICT}
  portLevelMtls: {8080: {mode: DISABLE}, 9090: {mode: UNSET}}
",
    );
    let [Object::PeerAuthentication(policy)] = &all[..] else {
        panic!("one policy");
    };
    assert_eq!(policy.mode, Some(ServerMode::Strict));
    assert_eq!(policy.ports[&8080], Some(ServerMode::Disable));
    assert_eq!(policy.ports[&9090], None);
}

#[test]
fn the_config_map_of_istiod_is_unfolded() {
    let (objects, ledger, problems) = read(
        "mesh.yaml",
        "\
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |-
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
    connectTimeout: 3s
    defaultConfig:
      concurrency: 4
      holdApplicationUntilProxyStarts: true
    defaultHttpRetryPolicy: {attempts: 0}
  meshNetworks: |-
    networks:
      east:
        endpoints: [{fromRegistry: east}]
        gateways: [{address: 1.2.3.4, port: 15443}]
",
    );
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(ledger.counts()[Standing::Unknown as usize], 0);
    let mesh = objects.istio.mesh.expect("a configuration of the mesh");
    assert_eq!(mesh.outbound, OutboundMode::RegistryOnly);
    assert_eq!(mesh.connect_timeout, Duration::from_secs(3));
    assert_eq!(mesh.proxy.concurrency, Some(4));
    assert_eq!(mesh.retries.map(|retries| retries.attempts), Some(0));
    assert!(mesh.auto_mutual_tls);
    assert_eq!(objects.istio.networks["east"].gateways[0].port, 15443);
}

#[test]
fn what_is_wrong_inside_of_the_config_map_is_told_at_its_place() {
    let (_, _, problems) = read(
        "mesh.yaml",
        "\
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |-
    conectTimeout: 3s
",
    );
    let told: Vec<_> = problems
        .iter()
        .map(|found| (found.code, found.line, found.help.as_deref()))
        .collect();
    assert_eq!(
        told,
        [(
            Code::UnknownField,
            5,
            Some("did you mean `connectTimeout`?")
        )]
    );
}

#[test]
fn an_operator_says_release_and_resources() {
    let (objects, _, problems) = read(
        "operator.yaml",
        "\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: install, namespace: istio-system}
spec:
  tag: 1.24.1
  meshConfig: {accessLogFile: /dev/stdout}
  values: {global: {meshID: mesh1, proxy: {resources: {requests: {cpu: 10m}}}}}
",
    );
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(objects.istio.minor, Some(24));
    let resources = objects.istio.proxy_resources.expect("resources");
    assert_eq!(resources.cpu_request_milli, Some(10));
    assert_eq!(
        objects.istio.mesh.expect("a mesh").access_log_file,
        "/dev/stdout"
    );
}

#[test]
fn weights_are_relative_and_their_sum_is_told() {
    let route = |first: &str, second: &str| {
        let text = format!(
            "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews}}
spec:
  hosts: [reviews]
  http:
    - match: [{{uri: {{prefix: /reviews}}}}]
      route:
        - {{destination: {{host: reviews, subset: v1}}{first}}}
        - {{destination: {{host: reviews, subset: v2}}{second}}}
"
        );
        let (objects, _, problems) = read("test.yaml", &text);
        let Object::VirtualService(service) = &objects.istio.written[0].object else {
            panic!("a VirtualService");
        };
        let uri = service.http[0].matches[0].uri.clone();
        assert_eq!(
            uri,
            Some(UriMatch::Text(StringMatch::Prefix("/reviews".to_owned())))
        );
        let told = problems
            .into_iter()
            .map(|found| (found.code, found.message));
        told.collect::<Vec<_>>()
    };
    assert!(route(", weight: 90", ", weight: 10").is_empty());
    let (code, message) = route(", weight: 90", ", weight: 30").remove(0);
    assert_eq!(code, Code::WeightsAreRelative);
    assert!(
        message.ends_with("the shares are 75.0 %, 25.0 %"),
        "{message}"
    );
    assert_eq!(route("", "").remove(0).0, Code::IstioRefuses);
    assert_eq!(
        route(", weight: -1", ", weight: 101").remove(0).0,
        Code::IstioRefuses
    );
}

#[test]
fn filters_by_hand_change_clusters_and_streams() {
    use cloud::istio::config::{
        ClusterMatch, ClusterPatch, EnvoyPatch, PatchChange, PatchContext, PatchedLimits,
        StreamLimits,
    };
    let text = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: by-hand, namespace: shop}
spec:
  configPatches:
    - applyTo: NETWORK_FILTER
      match:
        context: GATEWAY
        listener:
          filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}
      patch:
        operation: MERGE
        value:
          name: envoy.filters.network.http_connection_manager
          typed_config:
            \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
            stream_idle_timeout: 0s
            common_http_protocol_options: {maxStreamDuration: 90s}
    - applyTo: CLUSTER
      match:
        context: SIDECAR_OUTBOUND
        cluster: {service: web.shop.svc.cluster.local, portNumber: 80}
      patch:
        operation: MERGE_AND_REPLACE_LIST
        value:
          connect_timeout: 0.5s
          circuit_breakers:
            thresholds:
              - {priority: HIGH, max_requests: 9}
              - {max_requests: 5, maxRetries: 1}
";
    let written = objects(text);
    let [Object::EnvoyFilter(filter)] = written.as_slice() else {
        panic!("{written:?}");
    };
    let streams = PatchChange::Streams(StreamLimits {
        idle: Some(Duration::ZERO),
        lasting: Some(Duration::from_secs(90)),
    });
    let matches = ClusterMatch {
        service: Some("web.shop.svc.cluster.local".into()),
        port: Some(80),
        ..ClusterMatch::default()
    };
    let change = ClusterPatch {
        connect_timeout: Some(Duration::from_millis(500)),
        limits: Some(PatchedLimits {
            requests: Some(5),
            retries: Some(1),
            ..PatchedLimits::default()
        }),
    };
    let expected = [
        EnvoyPatch {
            context: PatchContext::Gateway,
            change: streams,
        },
        EnvoyPatch {
            context: PatchContext::SidecarOutbound,
            change: PatchChange::Clusters(matches, change),
        },
    ];
    assert_eq!(filter.patches, expected);
}

#[test]
fn filters_by_hand_change_routes() {
    use cloud::istio::config::{
        EnvoyPatch, PatchChange, PatchContext, PatchedRoutes, RetryOn, RetryPatch, RoutePatch,
        StreamLimits,
    };
    let text = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: by-hand, namespace: shop}
spec:
  priority: -5
  configPatches:
    - applyTo: HTTP_ROUTE
      match:
        context: GATEWAY
        routeConfiguration:
          portNumber: 443
          portName: https
          gateway: shop/edge
          vhost: {domainName: shop.example.com, route: {name: first, action: ROUTE}}
      patch:
        operation: MERGE_AND_REPLACE_LIST
        value:
          route:
            timeout: 0s
            idleTimeout: 90s
            max_stream_duration: {max_stream_duration: 5m}
            retry_policy:
              retry_on: 5xx,429,retriable-status-codes
              num_retries: 4
              per_try_timeout: 0.5s
              retry_back_off: {base_interval: 0.1s, max_interval: 2s}
              retriable_status_codes: [429]
              retry_host_predicate: [{name: envoy.retry_host_predicates.previous_hosts}]
              host_selection_retry_max_attempts: 3
    - applyTo: VIRTUAL_HOST
      match: {context: SIDECAR_OUTBOUND, routeConfiguration: {vhost: {name: 'web.shop.svc.cluster.local:80'}}}
      patch:
        operation: MERGE
        value: {retry_policy: {retry_on: reset, num_retries: 0}}
";
    let (read, _, problems) = read("test.yaml", text);
    let told: Vec<Code> = problems.iter().map(|found| found.code).collect();
    assert_eq!(told, [Code::PatchWithoutEffect; 2]);
    let [Object::EnvoyFilter(filter)] = [&read.istio.written[0].object] else {
        panic!("the filter is there");
    };
    let text = |text: &str| Some(text.to_owned());
    let edge = PatchedRoutes {
        port: Some(443),
        server: text("https"),
        gateway: text("shop/edge"),
        domain: text("shop.example.com"),
        route: text("first"),
        ..PatchedRoutes::default()
    };
    let retries = RetryPatch {
        attempts: Some(4),
        // Istio would take the number for a status, Envoy does not know it.
        on: Some(RetryOn::of("5xx,retriable-status-codes")),
        status_codes: vec![429],
        replaces_codes: true,
        per_try_timeout: Some(Duration::from_millis(500)),
        backoff: Some(Duration::from_millis(100)),
        max_backoff: Some(Duration::from_secs(2)),
        avoids_previous_hosts: true,
        host_selection_attempts: Some(3),
    };
    let change = RoutePatch {
        timeout: Some(Duration::ZERO),
        limits: StreamLimits {
            idle: Some(Duration::from_secs(90)),
            lasting: Some(Duration::from_secs(300)),
        },
        retries: Some(retries),
    };
    let host = PatchedRoutes {
        host: text("web.shop.svc.cluster.local:80"),
        ..PatchedRoutes::default()
    };
    let of_host = RetryPatch {
        on: Some(RetryOn::of("reset")),
        ..RetryPatch::default()
    };
    let expected = [
        EnvoyPatch {
            context: PatchContext::Gateway,
            change: PatchChange::Routes(edge, change),
        },
        EnvoyPatch {
            context: PatchContext::SidecarOutbound,
            change: PatchChange::Hosts(host, of_host),
        },
    ];
    assert_eq!(filter.patches, expected);
    assert_eq!(filter.priority, -5);
}
