//! Names of the cluster's own DNS, as a pod's resolver finds them.
//!
//! Models: the search path of `dnsPolicy: ClusterFirst` with the cluster domain
//! `cluster.local`, services, pods of StatefulSets and pods with `hostname` and `subdomain`,
//! ExternalName. The name of a single pod leads to its whole service, which is told.
//! Sources: kubernetes.io, DNS for Services and Pods.

use super::workloads::HostNames;
use super::{Positions, ServiceKey, View};
use crate::shape::nearest;
use cloud::scenario::{Service, ServiceId, ServiceKind};
use std::collections::BTreeMap;

/// What a name and a port lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The service.
    pub service: ServiceId,
    /// Position of its port.
    pub port: u32,
    /// Whether the name means a single pod of the service.
    pub names_one_pod: bool,
}

/// Why a name leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// What is wrong.
    pub message: String,
    /// What may have been meant.
    pub help: Option<String>,
}

/// The names of a cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    services: BTreeMap<ServiceKey, ServiceId>,
    /// Hosts outside of the cluster, of any namespace.
    hosts: BTreeMap<String, ServiceId>,
    aliases: BTreeMap<ServiceKey, String>,
    /// Names of single pods below those of services.
    pods: BTreeMap<ServiceKey, Vec<HostNames>>,
}

/// Longest chain of names that stand for names.
const ALIASES_MAX: usize = 8;

const DOMAIN: &str = "svc.cluster.local";

impl Names {
    pub(super) fn new(views: &[View], positions: &Positions) -> Names {
        let mut names = Names {
            services: positions.services.clone(),
            ..Names::default()
        };
        for view in views {
            let outside = view.services.iter();
            let outside = outside.filter(|(_, it)| matches!(it.kind, ServiceKind::Host { .. }));
            for (key, _) in outside {
                let id = positions.services[key];
                names.hosts.entry(key.1.clone()).or_insert(id);
            }
            names.aliases.extend(view.aliases.clone());
            for ((namespace, ..), workload) in &view.workloads {
                if let Some(hosts) = &workload.host_names {
                    let service = (namespace.clone(), hosts.service.clone());
                    names.pods.entry(service).or_default().push(hosts.clone());
                }
            }
        }
        names
    }

    /// What `host` or `host:port` leads to, asked in a namespace.
    pub(super) fn resolve(
        &self,
        namespace: &str,
        address: &str,
        services: &[Service],
    ) -> Result<Destination, Unresolved> {
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        };
        let (service, names_one_pod) = self.host(namespace, &host.to_ascii_lowercase(), 0)?;
        let port = find_port(&services[service.index()], port)?;
        Ok(Destination {
            service,
            port,
            names_one_pod,
        })
    }

    fn host(
        &self,
        namespace: &str,
        host: &str,
        aliases: usize,
    ) -> Result<(ServiceId, bool), Unresolved> {
        for candidate in candidates(namespace, host) {
            let labels: Vec<&str> = candidate.split('.').collect();
            match labels.as_slice() {
                [service, namespace] => {
                    let key = ((*namespace).to_owned(), (*service).to_owned());
                    if let Some(&id) = self.services.get(&key) {
                        return Ok((id, false));
                    }
                    if let Some(target) = self.aliases.get(&key) {
                        return self.alias(host, target, aliases);
                    }
                }
                [pod, service, namespace] => {
                    let key = ((*namespace).to_owned(), (*service).to_owned());
                    let known = self
                        .pods
                        .get(&key)
                        .is_some_and(|names| names.iter().any(|names| names.contains(pod)));
                    if let (true, Some(&id)) = (known, self.services.get(&key)) {
                        return Ok((id, true));
                    }
                }
                _ => {}
            }
        }
        let outside = host.trim_end_matches('.');
        let own = (namespace.to_owned(), outside.to_owned());
        let own = self.services.get(&own).filter(|_| outside.contains('.'));
        if let Some(&id) = own.or_else(|| self.hosts.get(outside)) {
            return Ok((id, false));
        }
        Err(self.not_found(namespace, host))
    }

    /// The service that a name stands for which is the name of another.
    pub(super) fn stood_for(&self, namespace: &str, host: &str) -> Option<ServiceId> {
        let host = host.to_ascii_lowercase();
        let alias = candidates(namespace, &host)
            .into_iter()
            .find_map(|candidate| {
                let (service, namespace) = candidate.split_once('.')?;
                let key = (namespace.to_owned(), service.to_owned());
                let alias = self.aliases.get(&key);
                let is_service = self.services.contains_key(&key);
                (is_service || alias.is_some()).then_some(alias)
            });
        let (service, _) = self.alias(&host, alias??, 0).ok()?;
        Some(service)
    }

    fn alias(
        &self,
        host: &str,
        target: &str,
        aliases: usize,
    ) -> Result<(ServiceId, bool), Unresolved> {
        if aliases >= ALIASES_MAX {
            return Err(Unresolved {
                message: format!("`{host}` stands for a circle of names"),
                help: None,
            });
        }
        let absolute = format!("{}.", target.trim_end_matches('.').to_ascii_lowercase());
        self.host("", &absolute, aliases + 1)
            .map_err(|_| Unresolved {
                message: format!(
                    "`{host}` stands for `{target}`, which is no service of the cluster"
                ),
                help: Some(
                    "what lies outside of clusters is not modelled in this release".to_owned(),
                ),
            })
    }

    fn not_found(&self, namespace: &str, host: &str) -> Unresolved {
        let message = format!("no service is called `{}`", host.trim_end_matches('.'));
        let name = host.split('.').next().unwrap_or_default();
        let elsewhere = self.services.keys().find(|(_, service)| service == name);
        let own = self
            .services
            .keys()
            .filter(|(of, _)| of == namespace)
            .map(|(_, service)| service.as_str());
        let help = match (elsewhere, nearest(name, own)) {
            (Some((of, service)), _) => Some(format!("did you mean `{service}.{of}`?")),
            (None, Some(near)) => Some(format!("did you mean `{near}`?")),
            (None, None) => None,
        };
        Unresolved { message, help }
    }
}

/// What a resolver asks for, in turn, without the cluster's domain; names outside of it are
/// left out.
fn candidates(namespace: &str, host: &str) -> Vec<String> {
    let absolute = host.strip_suffix('.');
    let tried = match absolute {
        Some(absolute) => vec![absolute.to_owned()],
        None => vec![
            format!("{host}.{namespace}.{DOMAIN}"),
            format!("{host}.{DOMAIN}"),
            format!("{host}.cluster.local"),
            host.to_owned(),
        ],
    };
    let inside = |name: String| {
        name.strip_suffix(DOMAIN)?
            .strip_suffix('.')
            .map(str::to_owned)
    };
    tried.into_iter().filter_map(inside).collect()
}

fn find_port(service: &Service, port: Option<&str>) -> Result<u32, Unresolved> {
    let ports = &service.ports;
    let position = match port {
        None => match ports.iter().position(|port| port.port == 80) {
            _ if ports.len() == 1 => Some(0),
            http => http,
        },
        Some(text) => ports.iter().position(|port| {
            let number = text.parse::<u16>().ok();
            let direct = service.kind.is_headless() && number == Some(port.target_port);
            number == Some(port.port) || port.name.as_deref() == Some(text) || direct
        }),
    };
    let known = ports.iter().map(|port| match &port.name {
        Some(name) => format!("{} ({name})", port.port),
        None => port.port.to_string(),
    });
    let known = known.collect::<Vec<_>>().join(", ");
    let help = if known.is_empty() {
        None
    } else {
        Some(format!("it has {known}"))
    };
    match (position, port) {
        (Some(position), _) => Ok(position as u32),
        (None, Some(port)) => Err(Unresolved {
            message: format!("`{}` has no port `{port}`", service.name),
            help,
        }),
        (None, None) => Err(Unresolved {
            message: format!("`{}` needs a port", service.name),
            help,
        }),
    }
}
