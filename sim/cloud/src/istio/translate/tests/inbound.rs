//! What sidecars take in.

use super::super::inbound::{Inbound, InboundTable, Named, inbound};
use super::super::rules::Rules;
use super::*;
use crate::istio::authentication::ServerMode;
use crate::istio::authorization::{Action as PolicyAction, Rule};
use crate::istio::config::{CaptureMode, IngressListener};

fn mesh() -> Mesh {
    let mut mesh = Mesh::default();
    mesh.service("web", "shop", "http:80 tcp-db:5432");
    mesh.service("old-web", "shop", "tcp:80");
    mesh.services[1].created = Created::Before(-1);
    mesh
}

fn table(mesh: &Mesh) -> InboundTable {
    let named = |service, port, target| Named {
        service,
        port,
        target,
    };
    let named = [named(0, 0, 8080), named(0, 1, 5432), named(1, 0, 8080)];
    let rules = Rules::new(&mesh.world());
    inbound(
        &mesh.world(),
        Some(&rules),
        &proxy("shop", "app=web"),
        &named,
    )
}

fn strict_but(port: u16, mode: ServerMode) -> PeerAuthentication {
    PeerAuthentication {
        identity: identity("shop", "web", 0),
        selector: labels("app=web"),
        mode: Some(ServerMode::Strict),
        ports: BTreeMap::from([(port, Some(mode))]),
    }
}

#[test]
fn ports_are_those_of_services_and_the_oldest_says_what_they_carry() {
    let table = table(&mesh());
    let ports: Vec<(u16, Protocol, Option<u32>)> = table
        .ports
        .iter()
        .map(|it| (it.port, it.protocol, it.service))
        .collect();
    assert_eq!(
        ports,
        [
            (5432, Protocol::Tcp, Some(0)),
            (8080, Protocol::Tcp, Some(1))
        ]
    );
    assert_eq!(table.find(80), None);
}

#[test]
fn each_port_takes_what_its_policy_takes() {
    let mut mesh = mesh();
    assert_eq!(table(&mesh).mode(8080), ServerMode::Permissive);
    mesh.objects.peer_authentications = vec![strict_but(9000, ServerMode::Disable)];
    let table = table(&mesh);
    let modes = [5432, 8080, 9000, 9001].map(|port| table.mode(port));
    let strict = ServerMode::Strict;
    assert_eq!(modes, [strict, strict, ServerMode::Disable, strict]);
}

#[test]
fn a_sidecar_may_list_its_ports() {
    let mut mesh = mesh();
    mesh.version = Version::new(32);
    let mut pool = ConnectionPool::default();
    pool.tcp.connections_max = Some(9);
    mesh.objects.sidecars = vec![Sidecar {
        identity: identity("shop", "s", 0),
        selector: None,
        ingress: vec![IngressListener {
            port: 9080,
            protocol: Protocol::Http,
            name: "http".to_owned(),
            capture: CaptureMode::Default,
            default_endpoint: Some("127.0.0.1:8080".to_owned()),
            tls: None,
            pool: None,
        }],
        egress: Vec::new(),
        inbound_pool: Some(pool.clone()),
        outbound: None,
    }];
    let table = table(&mesh);
    let [only] = table.ports.as_slice() else {
        panic!("one port is listed");
    };
    let Inbound {
        port,
        application,
        pool: found,
        retries,
        ..
    } = only;
    assert_eq!(
        (*port, application.as_deref()),
        (9080, Some("127.0.0.1:8080"))
    );
    assert_eq!(*found, Some(pool));
    // Since 1.24 a sidecar tries its application again where that has seen nothing yet.
    assert_eq!(retries.as_ref().map(|it| it.attempts), Some(2));
}

#[test]
fn a_workload_is_guarded_by_its_policies() {
    let mut mesh = mesh();
    assert!(table(&mesh).guard.is_empty());
    mesh.objects.authorization_policies = vec![AuthorizationPolicy {
        identity: identity("shop", "nobody", 0),
        target: PolicyTarget::Selected(labels("app=web")),
        action: PolicyAction::Deny,
        provider: None,
        rules: vec![Rule::default()],
        is_dry_run: false,
    }];
    assert!(!table(&mesh).guard.is_empty());
    mesh.objects.authorization_policies[0].is_dry_run = true;
    assert!(table(&mesh).guard.is_empty());
}
