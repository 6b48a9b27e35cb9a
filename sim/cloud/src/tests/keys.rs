//! Keys of tokens: what requests meet while istiod cannot fetch them.

use super::mesh::{identity, route, routes, rule, versions, weights};
use super::network::run_without_jitter;
use super::sidecars::sidecar;
use super::*;
use crate::istio::authentication::ServerMode;
use crate::istio::authorization::Token;
use crate::istio::config::*;
use crate::record::Reason;
use crate::scenario::{Action, Component, Presented};
use std::collections::BTreeMap;

const CLUSTER: ClusterId = ClusterId(0);
/// Who has the keys.
const LOGIN: WorkloadId = WorkloadId(3);

/// A request with a token every 10 ms from the first second on, for ten seconds: `web` wants keys
/// of a workload that has this many pods.
fn with_tokens(pods: u32, timeline: Vec<TimelineEntry>) -> Scenario {
    let issuer = TokenIssuer {
        issuer: "login".into(),
        audiences: Vec::new(),
        keys_uri: Some("http://login.default/keys".into()),
        forwards_token: false,
        claim_headers: Vec::new(),
        payload_header: None,
        places: Vec::new(),
        lists: Vec::new(),
        timeout: None,
        lacks_keys: false,
    };
    let wanted = Object::from(RequestAuthentication {
        identity: identity("tokens"),
        target: PolicyTarget::Everybody,
        issuers: vec![issuer],
    });
    let objects = vec![rule(PortPolicy::default()), to_first(), wanted];
    let mut scenario = versions(objects, 1_000);
    let cluster = &mut scenario.clusters[0];
    let mut login = cluster.workloads[1].clone();
    login.name = "login".into();
    login.replicas = pods;
    login.template.sidecar = None;
    login.template.placement.labels = Labels::new();
    cluster.workloads.push(login);
    let mut service = cluster.services[1].clone();
    service.name = "login".into();
    service.backends = vec![LOGIN];
    cluster.services.push(service);
    scenario.traffic[0].attributes.token = Some(Presented {
        token: Token {
            issuer: "login".into(),
            subject: "somebody".into(),
            audiences: Vec::new(),
            presenter: String::new(),
            claims: BTreeMap::new(),
        },
        is_valid: true,
    });
    scenario.timeline = timeline;
    scenario
}

fn to_first() -> Object {
    routes(vec![route(weights(&[("v1", 100)]))])
}

fn apply_at(milliseconds: u64, change: Change) -> TimelineEntry {
    TimelineEntry {
        at: Time::ZERO + Duration::from_millis(milliseconds),
        label: "change".into(),
        action: Action::Apply {
            cluster: CLUSTER,
            changes: vec![change],
        },
    }
}

fn pods_at(milliseconds: u64, pods: u32) -> TimelineEntry {
    apply_at(milliseconds, Change::Replicas(LOGIN, pods))
}

/// Something that makes istiod tell proxies of more than endpoints, and changes nothing.
fn push_at(milliseconds: u64) -> TimelineEntry {
    apply_at(milliseconds, Change::Istio(vec![to_first()]))
}

fn restart_at(milliseconds: u64) -> TimelineEntry {
    let down = Fault::ComponentDown {
        cluster: CLUSTER,
        component: Component::Istiod,
    };
    fault_at(milliseconds, down, Some(500))
}

/// How many of the requests were refused for their token.
fn refused(scenario: &Scenario) -> u64 {
    let record = run_without_jitter(scenario);
    let traffic = &record.traffic[0];
    let refused = traffic.failures[Reason::Unauthenticated as usize];
    assert_eq!(traffic.succeeded + refused, 1_000);
    refused
}

#[test]
fn tokens_count_where_istiod_has_found_their_keys() {
    assert_eq!(refused(&with_tokens(1, Vec::new())), 0);
    // Nobody is at the source, and nobody looks again: that it comes up is news of endpoints.
    assert_eq!(refused(&with_tokens(0, Vec::new())), 1_000);
    assert_eq!(refused(&with_tokens(0, vec![pods_at(2_000, 1)])), 1_000);
    // The next time that proxies are told of more, which takes a tenth of a second and a bit.
    let found = refused(&with_tokens(0, vec![pods_at(2_000, 1), push_at(8_000)]));
    assert!((711..=715).contains(&found), "{found}");
}

#[test]
fn a_search_looks_every_second_for_a_while() {
    // The search begins with what istiod is told 111 ms after the write, and finds nothing; the
    // source comes up before the try of a later second, and calm is awaited once more.
    let timeline = vec![push_at(2_000), pods_at(2_500, 1)];
    let found = refused(&with_tokens(0, timeline));
    assert!(
        [221, 321, 421]
            .iter()
            .any(|late| (found as i64 - late).abs() <= 4),
        "{found}"
    );
    // Tries later than five seconds after the first are in vain, and then it is over.
    let timeline = vec![push_at(1_500), pods_at(6_400, 1)];
    assert_eq!(refused(&with_tokens(0, timeline)), 1_000);
}

#[test]
fn an_istiod_that_has_ended_knows_no_keys() {
    // Keys that are there stay while their source is away, until istiod starts anew.
    let away = pods_at(2_000, 0);
    assert_eq!(refused(&with_tokens(1, vec![away.clone()])), 0);
    assert_eq!(refused(&with_tokens(1, vec![restart_at(5_000)])), 0);
    let lost = refused(&with_tokens(1, vec![away, restart_at(5_000)]));
    assert!((300..=550).contains(&lost), "{lost}");
}

#[test]
fn a_source_that_takes_mutual_tls_alone_gives_istiod_no_keys() {
    for (mode, expected) in [(ServerMode::Permissive, 0), (ServerMode::Strict, 1_000)] {
        let mut scenario = with_tokens(1, Vec::new());
        let cluster = &mut scenario.clusters[0];
        cluster.workloads[3].template.sidecar = sidecar();
        let istio = cluster.istio.as_mut().expect("a mesh");
        istio.objects.apply(super::mesh::peer_authentication(mode));
        assert_eq!(refused(&scenario), expected);
    }
}
