//! `kubectl get services`.

use super::{NONE, Row, age, or_none, selector};
use cloud::snapshot::{ClusterSnapshot, PortSnapshot, ServiceSnapshot};
use engine::Time;
use std::net::Ipv4Addr;

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
    let ports: Vec<String> = service.ports.iter().map(port).collect();
    Row {
        namespace: Some(service.namespace.clone()),
        usual: vec![
            service.name.clone(),
            service.kind.to_owned(),
            cluster_ip.unwrap_or_else(|| "None".to_owned()),
            outside(service),
            or_none(ports.join(",")),
            age::since(now, service.created),
        ],
        wide: vec![selector(&service.selector)],
    }
}

/// Width of the addresses of a load balancer in the usual table.
const BALANCER_WIDTH: usize = 16;

fn outside(service: &ServiceSnapshot) -> String {
    let written = |addresses: &[Ipv4Addr]| {
        let texts: Vec<String> = addresses.iter().map(Ipv4Addr::to_string).collect();
        texts.join(",")
    };
    let mut balancer = written(&service.load_balancer_ips);
    if balancer.len() > BALANCER_WIDTH {
        balancer.truncate(BALANCER_WIDTH - 3);
        balancer.push_str("...");
    }
    match (balancer, written(&service.external_ips)) {
        (none, external) if none.is_empty() && !external.is_empty() => external,
        (balancer, external) if !external.is_empty() => format!("{balancer},{external}"),
        (none, _) if none.is_empty() && service.kind == "LoadBalancer" => "<pending>".to_owned(),
        (none, _) if none.is_empty() => NONE.to_owned(),
        (balancer, _) => balancer,
    }
}

fn port(port: &PortSnapshot) -> String {
    match port.node_port {
        Some(node_port) => format!("{}:{node_port}/{}", port.port, port.protocol),
        None => format!("{}/{}", port.port, port.protocol),
    }
}
