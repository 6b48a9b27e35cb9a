//! Endpoints: who counts, where they come, and what is sent to them.

use super::super::place::Behind;
use super::*;
use crate::istio::authentication::{Sent, ServerMode};
use crate::istio::network::Gateway as NetworkGateway;

const DB: &str = "outbound|5432||db.shop.svc.cluster.local";

fn shop() -> Mesh {
    let mut mesh = Mesh::default();
    mesh.service("db", "shop", "tcp:5432");
    mesh
}

fn with_outliers(mesh: &mut Mesh) {
    let mut rule = destination_rule(("shop", "db", 0), "db", &[]);
    rule.policy.common.outlier_detection = Some(OutlierDetection::default());
    mesh.objects.destination_rules = vec![rule];
}

#[test]
fn unready_and_leaving_endpoints_are_not_told() {
    let mut mesh = shop();
    mesh.endpoint(0, "", "eu/a");
    mesh.endpoint(0, "", "eu/a").health = Health::Unready;
    mesh.endpoint(0, "", "eu/a").health = Health::Terminating;
    let count = |mesh: &Mesh| mesh.told(&proxy("shop", "")).hosts(DB).len();
    assert_eq!(count(&mesh), 1);
    mesh.services[0].publishes_unready = true;
    assert_eq!(count(&mesh), 2);
    mesh.version = Version::new(24);
    assert_eq!(count(&mesh), 3);
    let told = mesh.told(&proxy("shop", ""));
    assert_eq!(told.cluster(DB).panic_percent, Some(0));
}

#[test]
fn nearer_endpoints_come_first_where_outliers_are_detected() {
    let mut mesh = shop();
    for place in ["eu/a", "eu/b", "us/a"] {
        mesh.endpoint(0, "", place);
    }
    let priorities = |mesh: &Mesh| {
        let hosts = mesh.told(&proxy("shop", "")).hosts(DB);
        hosts.iter().map(|it| it.0).collect::<Vec<u32>>()
    };
    assert_eq!(priorities(&mesh), [0, 0, 0]);
    with_outliers(&mut mesh);
    assert_eq!(priorities(&mesh), [0, 1, 2]);
}

#[test]
fn mutual_tls_goes_to_sidecars_whose_policies_take_it() {
    let mut mesh = shop();
    mesh.endpoint(0, "app=one", "eu/a");
    mesh.endpoint(0, "app=two", "eu/a").has_sidecar = false;
    mesh.endpoint(0, "app=three", "eu/a");
    mesh.objects.peer_authentications = vec![PeerAuthentication {
        identity: identity("shop", "three", 0),
        selector: labels("app=three"),
        mode: Some(ServerMode::Disable),
        ports: BTreeMap::new(),
    }];
    let sent = |mesh: &Mesh| {
        let hosts = mesh.told(&proxy("shop", "")).hosts(DB);
        hosts.iter().map(|it| it.2.sent).collect::<Vec<Sent>>()
    };
    assert_eq!(
        sent(&mesh),
        [Sent::IstioMutual, Sent::Plaintext, Sent::Plaintext]
    );
    mesh.config.auto_mutual_tls = false;
    assert_eq!(sent(&mesh), [Sent::Plaintext; 3]);
}

#[test]
fn another_network_is_behind_its_gateway() {
    let mut mesh = shop();
    mesh.endpoint(0, "", "eu/a").network = Some(1);
    for _ in 0..3 {
        let endpoint = mesh.endpoint(0, "", "us/a");
        (endpoint.network, endpoint.cluster) = (Some(2), 1);
    }
    let west = NetworkGateway {
        network: 2,
        cluster: 1,
        address: 7,
    };
    mesh.gateways = Gateways::new(vec![west]);
    with_outliers(&mut mesh);
    let mut client = proxy("shop", "");
    client.network = Some(1);
    let hosts = mesh.told(&client).hosts(DB);
    let hosts: Vec<(u32, u32, Behind)> = hosts
        .iter()
        .map(|(priority, _, host)| (*priority, host.weight, host.behind))
        .collect();
    // The gateway stands where its endpoints stand.
    assert_eq!(
        hosts,
        [
            (0, 1, Behind::Endpoint(0, 5432)),
            (1, 3, Behind::Gateway(west))
        ]
    );
}

#[test]
fn some_hosts_stay_in_their_cluster() {
    let mut mesh = shop();
    mesh.endpoint(0, "", "eu/a");
    mesh.endpoint(0, "", "eu/a").cluster = 1;
    let count = |mesh: &Mesh| mesh.told(&proxy("shop", "")).hosts(DB).len();
    assert_eq!(count(&mesh), 2);
    mesh.config.cluster_local_hosts = vec!["*.shop.svc.cluster.local".to_owned()];
    assert_eq!(count(&mesh), 1);
}

#[test]
fn changed_endpoints_are_compiled_anew_for_all_who_have_been_told() {
    let mut mesh = shop();
    mesh.endpoint(0, "", "eu/a");
    let mut told = mesh.told(&proxy("shop", ""));
    assert_eq!(told.hosts(DB).len(), 1);
    mesh.endpoint(0, "", "eu/a");
    told.compiler
        .endpoints_changed(&mesh.world(), &mesh.endpoints, 0);
    assert_eq!(told.hosts(DB).len(), 2);
}
