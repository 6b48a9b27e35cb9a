//! `kubectl get services`.

use super::{NONE, Row, age, or_none, selector};
use cloud::snapshot::{ClusterSnapshot, PortSnapshot, ServiceSnapshot};
use engine::Time;

pub(super) const USUAL: &[&str] = &[
    "NAME",
    "TYPE",
    "CLUSTER-IP",
    "EXTERNAL-IP",
    "PORT(S)",
    "AGE",
];
pub(super) const WIDE: &[&str] = &["SELECTOR"];

pub(super) fn rows(cluster: &ClusterSnapshot, now: Time) -> Vec<Row> {
    let services = cluster.services.iter();
    services.map(|service| row(service, now)).collect()
}

fn row(service: &ServiceSnapshot, now: Time) -> Row {
    let cluster_ip = service.cluster_ip.map(|address| address.to_string());
    let balancer = service.load_balancer_ip.map(|address| address.to_string());
    let ports: Vec<String> = service.ports.iter().map(port).collect();
    Row {
        namespace: Some(service.namespace.clone()),
        usual: vec![
            service.name.clone(),
            service.kind.to_owned(),
            cluster_ip.unwrap_or_else(|| "None".to_owned()),
            balancer.unwrap_or_else(|| NONE.to_owned()),
            or_none(ports.join(",")),
            age::since(now, service.created),
        ],
        wide: vec![selector(&service.selector)],
    }
}

fn port(port: &PortSnapshot) -> String {
    match port.node_port {
        Some(node_port) => format!("{}:{node_port}/TCP", port.port),
        None => format!("{}/TCP", port.port),
    }
}
