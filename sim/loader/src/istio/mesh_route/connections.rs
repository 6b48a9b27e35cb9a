//! TCPRoutes and TLSRoutes: where connections go that are not read as requests.
//!
//! Models: a VirtualService for each listener, of a TLSRoute for each of its names that are among
//! the listener's, and for each host of a Service or ServiceEntry; weights; rules without weight
//! and backends that lead nowhere, whose connections are closed; ReferenceGrants at Gateways.
//! Sources: istio/istio 86c9f01 pilot/pkg/config/kube/gateway/route_collections.go
//! (TCPRouteCollection, TLSRouteCollection) and conversion.go (convertTCPRoute, convertTLSRoute,
//! buildTCPDestination).
//! Validated by: `tests/promises/istio_connections.rs`.

use super::attach::{Busy, Known, hosts, listeners};
use super::head::{Head, report_missing};
use super::{Backend, Found, Parent, reference, weight};
use crate::diagnostic::Diagnostics;
use crate::document::Document;
use crate::istio::api_gateway::Served;
use crate::istio::forms::Scope;
use crate::istio::objects::Written;
use crate::istio::reads::Reads;
use crate::tree::Node;
use cloud::istio::config::{
    Destination, GatewayName, Source, TcpMatch, TcpRoute, TlsMatch, TlsRoute, VirtualService,
    WeightedDestination,
};
use cloud::istio::host;

const CLOSED: &str = "connections that are sent there are closed";

/// A TCPRoute or TLSRoute.
#[derive(Clone, Debug)]
pub(in crate::istio) struct ConnectionRoute {
    head: Head,
    rules: Vec<Rule>,
}

/// Where connections go, by weight.
#[derive(Clone, Debug)]
struct Rule {
    backends: Vec<(Backend, WeightedDestination)>,
}

/// A place where a route counts.
struct Place<'a> {
    gateway: GatewayName,
    /// The host of its VirtualService there.
    host: String,
    /// Names that clients ask for.
    names: Vec<String>,
    parent: &'a Parent,
}

/// Reads a checked TCPRoute or TLSRoute, if istiod reads it and any of its parents is istiod's.
pub(in crate::istio) fn read(
    document: &Document,
    (served, reads): (&Served, Reads),
    scope: &mut Scope<'_>,
) -> Option<ConnectionRoute> {
    if !reads.routes(document.kind.kind, document.metadata.span, scope) {
        return None;
    }
    let head = Head::read(document, served, scope)?;
    let rules = document.spec().list("rules").iter();
    let rules = rules.map(|node| rule(node, scope));
    Some(ConnectionRoute {
        rules: rules.collect(),
        head,
    })
}

fn rule(node: &Node, scope: &mut Scope<'_>) -> Rule {
    let counting = node.list("backendRefs").iter();
    let backends = counting.filter(|node| weight(node) > 0).map(|node| {
        let found = reference(node, CLOSED, scope);
        let backend = Backend::of(node, &scope.namespace, &found);
        let destination = WeightedDestination {
            destination: match found {
                Found::Host(to) => to,
                Found::Nowhere | Found::Refused => nobody(),
            },
            weight: weight(node),
        };
        (backend, destination)
    });
    Rule {
        backends: backends.collect(),
    }
}

/// What istiod writes for a backend that leads nowhere: proxies have no such cluster.
fn nobody() -> Destination {
    Destination {
        host: String::new(),
        subset: None,
        port: None,
    }
}

/// What istiod writes for a rule whose backends have no weight: likewise.
fn weightless() -> WeightedDestination {
    WeightedDestination {
        destination: Destination {
            host: "internal.cluster.local".to_owned(),
            subset: Some("zero-weight".to_owned()),
            port: Some(u16::MAX),
        },
        weight: 0,
    }
}

impl ConnectionRoute {
    fn is_tls(&self) -> bool {
        self.head.kind == "TLSRoute"
    }

    /// The VirtualServices that it stands for.
    pub(in crate::istio) fn written(
        &self,
        entries: &[Written],
        known: &Known<'_>,
        busy: &mut Busy,
        diagnostics: &mut Diagnostics,
    ) -> Vec<Written> {
        self.check(known, diagnostics);
        let parents = self.head.parents.iter();
        let places: Vec<Place<'_>> = parents
            .flat_map(|parent| match parent.kind.has_listeners() {
                true => self.at_gateway(parent, known, busy, diagnostics),
                false => self.in_mesh(parent, entries, known, diagnostics),
            })
            .collect();
        let services = places.iter().zip(0_u32..);
        let services = services.filter(|(place, _)| !self.is_refused(place, known));
        let services = services.map(|(place, number)| self.virtual_service(place, number, known));
        services.map(|service| self.head.written(service)).collect()
    }

    /// Whether istiod leaves it out at a place because of a backend.
    fn is_refused(&self, place: &Place<'_>, known: &Known<'_>) -> bool {
        let is_at_gateway = place.gateway != GatewayName::Mesh;
        let mut backends = self.rules.iter().flat_map(|rule| &rule.backends);
        backends.any(|(backend, _)| self.head.is_refused_for(backend, is_at_gateway, known))
    }

    fn at_gateway<'a>(
        &self,
        parent: &'a Parent,
        known: &Known<'_>,
        busy: &mut Busy,
        diagnostics: &mut Diagnostics,
    ) -> Vec<Place<'a>> {
        let own = self.names();
        let mut places = Vec::new();
        for (gateway, listener) in listeners(&self.head, parent, known, busy, diagnostics) {
            let names = match self.is_tls() && known.reads.version.narrows_tls_routes() {
                true => listener.names_of(&own),
                false => own.clone(),
            };
            places.extend(names.iter().map(|host| Place {
                gateway: gateway.generated(listener),
                host: host.clone(),
                names: names.clone(),
                parent,
            }));
        }
        places
    }

    fn in_mesh<'a>(
        &self,
        parent: &'a Parent,
        entries: &[Written],
        known: &Known<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Vec<Place<'a>> {
        let all = hosts(parent, entries, known, diagnostics);
        // Without names of its own clients ask for those of the parent.
        let names = match self.head.hostnames.as_slice() {
            [] => &all,
            own => own,
        };
        let places = all.iter().map(|of| Place {
            gateway: GatewayName::Mesh,
            host: of.clone(),
            names: match names {
                [only] => vec![only.clone()],
                several => {
                    let several = several.iter().filter(|name| host::matches(of, name));
                    several.cloned().collect()
                }
            },
            parent,
        });
        places.collect()
    }

    fn names(&self) -> Vec<String> {
        match self.head.hostnames.as_slice() {
            [] => vec!["*".to_owned()],
            names => names.to_vec(),
        }
    }

    fn virtual_service(&self, place: &Place<'_>, number: u32, known: &Known<'_>) -> VirtualService {
        let is_at_gateway = place.gateway != GatewayName::Mesh;
        let port = place.parent.port.filter(|_| !is_at_gateway);
        let source = Source {
            port,
            ..Source::default()
        };
        let rules = self.rules.iter();
        let all = rules.map(|rule| (rule, self.destinations(rule, is_at_gateway, known)));
        let (mut tls, mut tcp) = (Vec::new(), Vec::new());
        for (rule, destinations) in all {
            match self.is_tls() {
                // Nobody takes a route of TLS without a name.
                true if rule.backends.is_empty() => {}
                true => tls.push(TlsRoute {
                    matches: vec![TlsMatch {
                        sni_hosts: place.names.clone(),
                        destination_subnets: Vec::new(),
                        source: source.clone(),
                    }],
                    destinations,
                }),
                false => tcp.push(TcpRoute {
                    matches: port
                        .map(|_| TcpMatch {
                            source: source.clone(),
                            ..TcpMatch::default()
                        })
                        .into_iter()
                        .collect(),
                    destinations,
                }),
            }
        }
        let kind = if self.is_tls() { "tls" } else { "tcp" };
        let which = format!("{kind}-{number}");
        VirtualService {
            tls,
            tcp,
            ..self
                .head
                .generated(&which, place.gateway.clone(), place.host.clone())
        }
    }

    fn destinations(
        &self,
        rule: &Rule,
        is_at_gateway: bool,
        known: &Known<'_>,
    ) -> Vec<WeightedDestination> {
        if rule.backends.is_empty() {
            return vec![weightless()];
        }
        let all = rule.backends.iter().map(|(backend, said)| {
            let is_denied = is_at_gateway && self.head.denied(backend, known).is_some();
            WeightedDestination {
                destination: match is_denied {
                    true => nobody(),
                    false => said.destination.clone(),
                },
                weight: said.weight,
            }
        });
        all.collect()
    }

    /// Reports backends that lead nowhere.
    fn check(&self, known: &Known<'_>, diagnostics: &mut Diagnostics) {
        let is_at_gateway = self.head.is_at_gateway();
        for (backend, said) in self.rules.iter().flat_map(|rule| &rule.backends) {
            let host = &said.destination.host;
            report_missing(host, backend, known, CLOSED, diagnostics);
            if is_at_gateway {
                let help = "connections that a Gateway sends there are closed";
                self.head.report_denied(backend, known, help, diagnostics);
            }
        }
    }
}
