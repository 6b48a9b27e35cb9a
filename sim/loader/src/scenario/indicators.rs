//! Kubernetes' own service-level indicators, as measures name them.

use super::forms;
use super::names::{Address, Names, named};
use super::reader::Reader;
use crate::diagnostic::Code;
use crate::shape::{Field, Kind};
use crate::tree::Node;
use cloud::scenario::{ClusterId, Indicator, Quantity, ServiceId, Statistic};
use serde_json::json;

/// What can be told of an indicator.
const STATISTICS: &[&str] = &["mean", "p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99"];

pub(super) const STATISTIC: Field = Field::modelled("statistic", Kind::OneOf(STATISTICS))
    .doc("Of Kubernetes' indicators (`networkProgrammingLatency`, `podStartupLatency`, `apiCallLatency`): what of them.")
    .default(|| json!("p99"));
pub(super) const SERVICE: Field = Field::modelled("service", Kind::Text)
    .doc("Of which service: `networkProgrammingLatency`, `flagged`; of all by default.");
pub(super) const CALLS: Field = Field::modelled("calls", Kind::OneOf(&["mutating", "reading"]))
    .doc("Of which calls to the API server: `apiCallLatency`.")
    .default(|| json!("mutating"));

/// Whether a measure is one of Kubernetes' indicators.
pub(super) fn is_indicator(measure: &str) -> bool {
    matches!(
        measure,
        "networkProgrammingLatency" | "podStartupLatency" | "apiCallLatency"
    )
}

/// What of which indicator is asked for.
pub(super) fn quantity(
    measure: &str,
    node: &Node,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<Quantity> {
    let mut cluster = names.cluster(node, reader).ok()?;
    let indicator = match measure {
        "networkProgrammingLatency" if node.get("service").is_some() => {
            let (of, service) = the_service(node, cluster, names, reader)?;
            cluster = Some(of);
            Indicator::NetworkProgramming(Some(service))
        }
        "networkProgrammingLatency" => Indicator::NetworkProgramming(None),
        "podStartupLatency" if node.get("workload").is_some() => {
            let (of, workload) = names.the_workload(node, reader)?;
            cluster = Some(of);
            Indicator::PodStartup(Some(workload))
        }
        "podStartupLatency" => Indicator::PodStartup(None),
        _ if forms::text(node, "calls") == Some("reading") => Indicator::ApiRead,
        _ => Indicator::ApiMutating,
    };
    Some(Quantity::Indicator(cluster, indicator, statistic(node)?))
}

fn statistic(node: &Node) -> Option<Statistic> {
    Some(match forms::text(node, "statistic").unwrap_or("p99") {
        "mean" => Statistic::Mean,
        quantile => Statistic::Quantile(forms::parse_quantile(quantile)?),
    })
}

/// The service under the key `service`; anything but exactly one is reported.
pub(super) fn the_service(
    node: &Node,
    cluster: Option<ClusterId>,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<(ClusterId, ServiceId)> {
    let (reference, span) = named(node, "service")?;
    let address = Address::parse(reference);
    let in_cluster = names
        .clusters()
        .filter(|(id, _)| cluster.is_none_or(|cluster| cluster == *id));
    let all = in_cluster.flat_map(|(id, of)| {
        let services = of.services.iter().enumerate();
        services.map(move |(position, service)| ((id, ServiceId::from(position)), service))
    });
    let found: Vec<_> = all
        .clone()
        .filter(|(_, service)| {
            address.as_ref().is_some_and(|address| {
                let mut namespace = address.namespace.iter();
                address.name == service.name && namespace.all(|given| *given == service.namespace)
            })
        })
        .collect();
    match found[..] {
        [(only, _)] => Some(only),
        [] => {
            let message = format!("there is no service `{reference}`");
            let known = all.map(|(_, service)| service.name.as_str());
            reader.unknown(Code::UnknownService, span, message, known);
            None
        }
        _ => {
            let message = format!("`{reference}` can mean {} services", found.len());
            reader
                .diagnostics
                .report(Code::AmbiguousName, span, message)
                .help("write `namespace/name`, and `cluster:` where there are several");
            None
        }
    }
}
