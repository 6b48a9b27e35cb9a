//! What a canary release writes into a route.
//!
//! Models: the two versions share what they had together; whatever else the route leads to keeps
//! its share. Routes by header and copies are parts of their own in front of the others, as the
//! managed routes of Argo Rollouts.
//! Approximated: a part with copies of requests that do not match anything in particular is one
//! for each part of the route.
//! Sources: argoproj/argo-rollouts rollout/trafficrouting/istio/istio.go.
//! Validated by: the tests below.

use crate::facts;
use crate::istio::config::{
    Destination, HeaderChanges, HttpAction, HttpDestination, HttpMatch, HttpRoute, Mirror, Percent,
    Target, VirtualService,
};
use crate::istio::host;
use crate::scenario::{Canary, CanaryStep};

/// Who gets what share.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Split {
    /// The canary's, of a hundred.
    pub(crate) weight: u32,
    /// Requests that go to it whatever the weight, by name.
    headers: Vec<(String, Vec<HttpMatch>)>,
    /// Requests of which it gets copies, by name.
    mirrors: Vec<(String, Vec<HttpMatch>, Percent)>,
}

impl Split {
    /// Nothing but a weight.
    pub(crate) fn plain(weight: u32) -> Self {
        Split {
            weight,
            ..Split::default()
        }
    }

    /// After a step.
    pub(crate) fn after(&self, step: &CanaryStep) -> Split {
        let mut split = self.clone();
        match step {
            CanaryStep::SetWeight(weight) => split.weight = *weight,
            CanaryStep::Pause(_) => {}
            CanaryStep::SetHeaderRoute { name, matches } => {
                split.headers.retain(|(other, _)| other != name);
                if !matches.is_empty() {
                    split.headers.push((name.clone(), matches.clone()));
                }
            }
            CanaryStep::SetMirrorRoute {
                name,
                matches,
                share,
            } => {
                split.mirrors.retain(|(other, ..)| other != name);
                if let Some(share) = share {
                    split.mirrors.push((name.clone(), matches.clone(), *share));
                }
            }
        }
        split
    }
}

/// The names of all parts that a release may put into its route.
fn managed(canary: &Canary) -> impl Iterator<Item = &str> {
    canary.steps.iter().filter_map(|step| match step {
        CanaryStep::SetHeaderRoute { name, .. } | CanaryStep::SetMirrorRoute { name, .. } => {
            Some(name.as_str())
        }
        CanaryStep::SetWeight(_) | CanaryStep::Pause(_) => None,
    })
}

/// A VirtualService with this split in the place of any other.
pub(crate) fn rewritten(
    service: &VirtualService,
    canary: &Canary,
    split: &Split,
) -> VirtualService {
    let namespace = service.identity.namespace.as_str();
    let is_managed =
        |route: &HttpRoute| managed(canary).any(|name| route.name.as_deref() == Some(name));
    let mut own: Vec<HttpRoute> = service
        .http
        .iter()
        .filter(|route| !is_managed(route))
        .cloned()
        .collect();
    let mut first = Vec::new();
    for route in &mut own {
        let is_meant = canary.parts.is_empty()
            || route
                .name
                .as_ref()
                .is_some_and(|name| canary.parts.contains(name));
        if !is_meant || !leads_to_versions(route, canary, namespace) {
            continue;
        }
        set_weight(
            route,
            canary,
            split.weight,
            namespace,
            service.is_of_gateway_api,
        );
        first.extend(managed_routes(route, canary, split));
    }
    first.append(&mut own);
    VirtualService {
        http: first,
        ..service.clone()
    }
}

/// Whether a destination is a version's.
fn is_at(target: &Target, version: &Destination, namespace: &str) -> bool {
    let Target::Host(destination) = target else {
        return false;
    };
    let full = host::complete(&destination.host, namespace, facts::CLUSTER_DOMAIN.value);
    full == version.host && destination.subset == version.subset
}

/// Whether a part of a route leads to one of the versions.
pub(crate) fn leads_to_versions(route: &HttpRoute, canary: &Canary, namespace: &str) -> bool {
    let HttpAction::Forward(destinations) = &route.action else {
        return false;
    };
    let versions = [&canary.stable.destination, &canary.canary.destination];
    destinations.iter().any(|destination| {
        let mut versions = versions.into_iter();
        versions.any(|version| is_at(&destination.target, version, namespace))
    })
}

/// The two versions share what they have together, by `weight` of a hundred for the canary.
fn set_weight(
    route: &mut HttpRoute,
    canary: &Canary,
    weight: u32,
    namespace: &str,
    is_of_gateway_api: bool,
) {
    let HttpAction::Forward(destinations) = &mut route.action else {
        return;
    };
    let [stable, new] = [&canary.stable.destination, &canary.canary.destination];
    let is = |it: &HttpDestination, version| is_at(&it.target, version, namespace);
    let of_versions = |it: &HttpDestination| is(it, stable) || is(it, new);
    let alone = destinations.iter().all(of_versions);
    let together = match alone {
        true => 1,
        false => destinations
            .iter()
            .filter(|it| of_versions(it))
            .map(|it| it.weight)
            .sum(),
    };
    let port = destinations
        .iter()
        .find(|it| of_versions(it))
        .and_then(port);
    for (version, share) in [(stable, 100 - weight), (new, weight)] {
        let share = share * together;
        match destinations.iter_mut().find(|it| is(it, version)) {
            Some(found) => found.weight = share,
            None => destinations.push(HttpDestination {
                target: Target::Host(Destination {
                    port,
                    ..version.clone()
                }),
                weight: share,
                headers: HeaderChanges::default(),
            }),
        }
    }
    if !alone {
        let others = destinations.iter_mut().filter(|it| !of_versions(it));
        others.for_each(|it| it.weight *= 100);
    }
    // istiod leaves out backends without a weight, and one that stands alone takes all.
    if is_of_gateway_api {
        destinations.retain(|it| it.weight > 0);
    }
}

fn port(destination: &HttpDestination) -> Option<u16> {
    match &destination.target {
        Target::Host(destination) => destination.port,
        Target::Broken { .. } => None,
    }
}

/// The parts that go before a part of the route.
fn managed_routes(base: &HttpRoute, canary: &Canary, split: &Split) -> Vec<HttpRoute> {
    let port = match &base.action {
        HttpAction::Forward(destinations) => destinations.iter().find_map(port),
        _ => None,
    };
    let new = Destination {
        port,
        ..canary.canary.destination.clone()
    };
    // As far as the part itself goes: the same port, gateway and clients.
    let source = base.matches.first().map(|it| it.source.clone());
    let source = source.unwrap_or_default();
    let within = |matches: &[HttpMatch]| -> Vec<HttpMatch> {
        let matches = matches.iter().cloned();
        let within = matches.map(|it| HttpMatch {
            source: source.clone(),
            ..it
        });
        within.collect()
    };
    let to_canary = HttpAction::Forward(vec![HttpDestination {
        target: Target::Host(new.clone()),
        weight: 100,
        headers: HeaderChanges::default(),
    }]);
    let headers = split.headers.iter().map(|(name, matches)| HttpRoute {
        name: Some(name.clone()),
        ..HttpRoute::plain(within(matches), to_canary.clone())
    });
    let mirrors = split
        .mirrors
        .iter()
        .map(|(name, matches, share)| HttpRoute {
            name: Some(name.clone()),
            mirrors: vec![Mirror {
                destination: new.clone(),
                share: *share,
            }],
            ..HttpRoute::plain(
                match matches.is_empty() {
                    true => base.matches.clone(),
                    false => within(matches),
                },
                base.action.clone(),
            )
        });
    headers.chain(mirrors).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::istio::config::{Created, ExportTo, GatewayName, Identity};
    use crate::scenario::Version;
    use engine::Duration;

    fn version(subset: &str) -> Version {
        Version {
            name: subset.into(),
            destination: destination("web.default.svc.cluster.local", Some(subset)),
            workloads: Vec::new(),
        }
    }

    fn destination(host: &str, subset: Option<&str>) -> Destination {
        Destination {
            host: host.into(),
            subset: subset.map(str::to_owned),
            port: None,
        }
    }

    fn canary(steps: Vec<CanaryStep>) -> Canary {
        Canary {
            route: "web".into(),
            services: Vec::new(),
            parts: Vec::new(),
            stable: version("v1"),
            canary: version("v2"),
            steps,
            analysis: None,
            truth: None,
        }
    }

    fn service(parts: &[(&str, Option<&str>, u32)]) -> VirtualService {
        let parts = parts.iter().map(|&(host, subset, weight)| HttpDestination {
            target: Target::Host(destination(host, subset)),
            weight,
            headers: HeaderChanges::default(),
        });
        VirtualService {
            identity: Identity {
                namespace: "default".into(),
                name: "web".into(),
                created: Created::Before(0),
            },
            hosts: vec!["web".into()],
            gateways: vec![GatewayName::Mesh],
            http: vec![HttpRoute::plain(
                Vec::new(),
                HttpAction::Forward(parts.collect()),
            )],
            tls: Vec::new(),
            tcp: Vec::new(),
            export_to: ExportTo::Default,
            is_of_gateway_api: false,
        }
    }

    /// Weights of each part's destinations.
    fn weights(service: &VirtualService) -> Vec<Vec<u32>> {
        let of = |route: &HttpRoute| match &route.action {
            HttpAction::Forward(to) => to.iter().map(|to| to.weight).collect(),
            _ => Vec::new(),
        };
        service.http.iter().map(of).collect()
    }

    #[test]
    fn two_versions_share_a_hundred() {
        let before = service(&[("web", Some("v1"), 100), ("web", Some("v2"), 0)]);
        let canary = canary(Vec::new());
        let after = rewritten(&before, &canary, &Split::plain(10));
        assert_eq!(weights(&after), [[90, 10]]);
        assert_eq!(rewritten(&after, &canary, &Split::plain(0)), before);
    }

    #[test]
    fn whatever_else_a_route_leads_to_keeps_its_share() {
        let before = service(&[
            ("web", Some("v1"), 70),
            ("web", Some("v2"), 10),
            ("other", None, 20),
        ]);
        let after = rewritten(&before, &canary(Vec::new()), &Split::plain(25));
        // Three quarters and one quarter of 80 %, and 20 %.
        assert_eq!(weights(&after), [[60 * 100, 20 * 100, 20 * 100]]);
    }

    #[test]
    fn a_backend_of_the_gateway_api_is_there_if_it_has_a_weight() {
        let mut before = service(&[("web", Some("v1"), 1)]);
        before.is_of_gateway_api = true;
        let canary = canary(Vec::new());
        let after = rewritten(&before, &canary, &Split::plain(1));
        assert_eq!(weights(&after), [[99, 1]]);
        let whole = rewritten(&after, &canary, &Split::plain(100));
        assert_eq!(weights(&whole), [[100]]);
        let back = rewritten(&whole, &canary, &Split::plain(0));
        assert!(leads_to_versions(&back.http[0], &canary, "default"));
        assert_eq!(weights(&back), [[100]]);
    }

    #[test]
    fn managed_parts_come_first_and_go() {
        let before = service(&[("web", Some("v1"), 100), ("web", Some("v2"), 0)]);
        let steps = vec![
            CanaryStep::SetHeaderRoute {
                name: "insiders".into(),
                matches: vec![HttpMatch::default()],
            },
            CanaryStep::SetMirrorRoute {
                name: "shadow".into(),
                matches: Vec::new(),
                share: Percent::new(35.0),
            },
            CanaryStep::Pause(Duration::from_secs(1)),
            CanaryStep::SetWeight(5),
        ];
        let canary = canary(steps);
        let split = canary
            .steps
            .iter()
            .fold(Split::default(), |split, step| split.after(step));
        let after = rewritten(&before, &canary, &split);
        assert_eq!(weights(&after), [vec![100], vec![95, 5], vec![95, 5]]);
        assert_eq!(after.http[1].mirrors.len(), 1);
        // Written again they are not doubled, and a plain split takes them away.
        assert_eq!(rewritten(&after, &canary, &split), after);
        assert_eq!(rewritten(&after, &canary, &Split::plain(0)), before);
    }
}
