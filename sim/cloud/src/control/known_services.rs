//! Services as istiod knows them: those of Kubernetes, and hosts of ServiceEntries.
//!
//! A service exists from when it is written; a host outside of the cluster is a service while a
//! ServiceEntry names it.
//!
//! Approximated: a host has all ports from the start that its ServiceEntries have at any time; those
//! that none has yet lead to nobody.
//! Validated by: who is asked of machines and hosts, in `tests/promises/machines.rs`.

use super::standing::nth_of;
use crate::facts;
use crate::istio::config::{
    Audience, Configuration, Created, ExportTo, Istio, Location, Resolution, ServiceEntry,
    ServiceSettings,
};
use crate::istio::distribution::{Word, Words};
use crate::istio::host;
use crate::istio::locality::Distribution;
use crate::istio::protocol::Protocol;
use crate::istio::range;
use crate::istio::translate::registry::{Service, ServicePort};
use crate::scenario::{self, ServiceKind, TrafficDistribution, Transport};
use engine::Time;
use std::net::IpAddr;

/// What is written about whom the clients of a service prefer.
pub(super) fn words(istio: &Istio, service: &scenario::Service) -> Words {
    if let ServiceKind::Host { .. } = service.kind {
        let entries = entries_of(&istio.objects, service);
        let oldest = entries.first();
        return oldest.map_or_else(Words::default, |entry| words_of_entry(istio, entry));
    }
    let name = (service.namespace.clone(), service.name.clone());
    Words {
        field: service.distribution.map(|said| match said {
            TrafficDistribution::Close => Word::Close,
            TrafficDistribution::SameZone => Word::SameZone,
            TrafficDistribution::SameNode => Word::SameNode,
        }),
        service: istio.services.get(&name).and_then(|said| said.distribution),
        namespace: word_of_namespace(istio, &service.namespace),
    }
}

fn words_of_entry(istio: &Istio, entry: &ServiceEntry) -> Words {
    Words {
        field: None,
        service: entry.distribution,
        namespace: word_of_namespace(istio, &entry.identity.namespace),
    }
}

fn word_of_namespace(istio: &Istio, name: &str) -> Option<Word> {
    let mut namespaces = istio.namespaces.iter();
    namespaces
        .find(|namespace| namespace.name == name)?
        .distribution
}

/// The ServiceEntries that describe a host, the oldest first.
fn entries_of<'a>(
    objects: &'a Configuration,
    described: &scenario::Service,
) -> Vec<&'a ServiceEntry> {
    let host = (described.name.as_str(), described.namespace.as_str());
    ServiceEntry::of_host(objects.service_entries.iter(), host)
}

/// A service of a cluster as istiod knows it. Where nothing says its address, it is one that no
/// other has: what it is decides nothing.
pub(super) fn described(
    service: &scenario::Service,
    number: u32,
    said: ServiceSettings,
) -> Service {
    let given = service.given.cluster_ip;
    let address = given.unwrap_or_else(|| nth_of(facts::SERVICE_RANGE.value, number));
    let has_address = !service.kind.is_headless();
    let ports = service.ports.iter().map(|port| ServicePort {
        number: port.port,
        name: port.name.clone().unwrap_or_default(),
        protocol: match port.transport {
            Transport::Udp => Protocol::Udp,
            _ => said.protocol(port.port, port.name.as_deref()),
        },
    });
    Service {
        host: match service.kind {
            ServiceKind::Host { .. } => service.name.to_lowercase(),
            _ => host::service(
                &service.name,
                &service.namespace,
                facts::CLUSTER_DOMAIN.value,
            ),
        },
        namespace: service.namespace.clone(),
        created: Created::At(Time::ZERO),
        addresses: has_address
            .then_some(IpAddr::V4(address))
            .into_iter()
            .collect(),
        ranges: Vec::new(),
        ports: ports.collect(),
        resolution: match service.kind {
            ServiceKind::Headless | ServiceKind::Host { .. } => Resolution::None,
            _ => Resolution::Static,
        },
        location: Location::Internal,
        export_to: said.export_to,
        distribution: Distribution::Any,
        publishes_unready: service.publish_not_ready,
        is_of_entry: matches!(service.kind, ServiceKind::Host { .. }),
    }
}

/// A service that does not exist: it keeps its number, and nobody knows it by name or is told of
/// it.
pub(super) fn absent(service: &Service) -> Service {
    Service {
        host: String::new(),
        addresses: Vec::new(),
        ports: Vec::new(),
        export_to: ExportTo::Only(vec![Audience::Nobody]),
        ..service.clone()
    }
}

/// A host as the ServiceEntries that name it describe it: of the oldest is what is not about ports.
pub(super) fn host_of_entries(
    istio: &Istio,
    described: &scenario::Service,
    service: &Service,
    objects: &Configuration,
) -> Service {
    let entries = entries_of(objects, described);
    let Some(&entry) = entries.first() else {
        return absent(service);
    };
    let ports = service.ports.iter().map(|port| {
        let mut said = entries.iter().flat_map(|entry| &entry.ports);
        let said = said.find(|said| said.number == port.number);
        said.map_or_else(
            || port.clone(),
            |said| ServicePort {
                number: said.number,
                name: said.name.clone(),
                protocol: said.protocol,
            },
        )
    });
    let (addresses, ranges) = range::split(&entry.addresses);
    Service {
        created: entry.identity.created,
        addresses,
        ranges,
        ports: ports.collect(),
        resolution: entry.resolution,
        location: entry.location,
        export_to: entry.export_to.clone(),
        distribution: words_of_entry(istio, entry).for_envoys(istio.version),
        ..service.clone()
    }
}
