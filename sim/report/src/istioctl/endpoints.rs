//! `istioctl proxy-config endpoints`.

use super::Row;
use cloud::snapshot::HostSnapshot;

pub(super) const HEADINGS: &[&str] = &["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"];

pub(super) fn rows(endpoints: &[HostSnapshot]) -> Vec<Row> {
    let mut sorted: Vec<&HostSnapshot> = endpoints.iter().collect();
    // Addresses stand in the order of their texts.
    sorted.sort_by_cached_key(|it| {
        let address = format!("{}{}", it.through.unwrap_or_default(), it.address);
        (address, it.port, it.cluster.clone())
    });
    sorted.into_iter().map(row).collect()
}

fn row(endpoint: &HostSnapshot) -> Row {
    let status = match endpoint.is_healthy {
        true => "HEALTHY",
        false => "UNHEALTHY",
    };
    let check = match endpoint.is_left_out {
        true => "FAILED",
        false => "OK",
    };
    let through = endpoint.through.unwrap_or_default();
    Row {
        cells: vec![
            format!("{through}{}:{}", endpoint.address, endpoint.port),
            status.to_owned(),
            check.to_owned(),
            endpoint.cluster.clone(),
        ],
        settings: String::new(),
    }
}
