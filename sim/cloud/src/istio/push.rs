//! What a change means for proxies: which it concerns, and what of their configuration.
//!
//! Models: pushes as sets of changed objects, merged by union; which kinds of objects touch
//! clusters, endpoints, listeners and routes of sidecars and gateways; which proxies depend on
//! an object, by their scope and namespace; pushes of some services' endpoints against pushes of
//! all endpoints; the order in which types are sent; what a change of a service's endpoints is
//! worth: nothing, endpoints, or everything; the work of generating.
//! Approximated: the work is linear in what is sent; what the cache of istiod saves is left to
//! the caller, who knows whether another proxy of the same scope was served from it.
//! Leaves out: ztunnels, which scope by other means, and what waypoints are spared by theirs;
//! headless services, whose endpoint changes also count as changes of the service for listeners.
//! Sources: istio/istio pilot/pkg/xds/{cds,eds,lds,rds,proxy_dependencies}.go,
//! pilot/pkg/model/{sidecar,endpointshards}.go, pilot/pkg/xds/ads.go.
//! Validated by: the tables of kinds, below.

use crate::facts;
use engine::{Duration, Time};
use std::collections::BTreeSet;

/// Kinds of objects that istiod knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The endpoints of a service, and nothing else of it.
    Endpoints,
    /// A service, of Kubernetes or of a ServiceEntry.
    Service,
    /// A machine's entry, where it is not endpoints.
    WorkloadEntry,
    /// A group of machines.
    WorkloadGroup,
    /// A VirtualService, or routes of the Gateway API.
    VirtualService,
    /// A DestinationRule.
    DestinationRule,
    /// A Gateway.
    Gateway,
    /// A Sidecar.
    Sidecar,
    /// An EnvoyFilter.
    EnvoyFilter,
    /// A PeerAuthentication.
    PeerAuthentication,
    /// A RequestAuthentication.
    RequestAuthentication,
    /// An AuthorizationPolicy.
    AuthorizationPolicy,
    /// A Telemetry.
    Telemetry,
    /// A ProxyConfig.
    ProxyConfig,
    /// A Secret with a certificate.
    Secret,
}

/// A changed object. Namespaces and objects are numbers of the caller's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Changed {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: u32,
    /// The object among those of its kind.
    pub object: u32,
}

/// What is to be pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    changed: BTreeSet<Changed>,
    forced: bool,
    since: Time,
}

impl Push {
    /// A push of one change.
    pub fn of(changed: Changed, now: Time) -> Self {
        Push {
            changed: BTreeSet::from([changed]),
            forced: false,
            since: now,
        }
    }

    /// A push of everything to everybody, as after a change of the mesh's own configuration.
    pub fn forced(now: Time) -> Self {
        Push {
            changed: BTreeSet::new(),
            forced: true,
            since: now,
        }
    }

    /// Adds another: all of both, since the earlier.
    pub fn merge(&mut self, other: Push) {
        self.changed.extend(other.changed);
        self.forced |= other.forced;
        self.since = self.since.min(other.since);
    }

    /// What has changed.
    pub fn changed(&self) -> impl Iterator<Item = Changed> + '_ {
        self.changed.iter().copied()
    }

    /// Whether everybody gets everything.
    pub fn is_forced(&self) -> bool {
        self.forced
    }

    /// When the first of its changes came.
    pub fn since(&self) -> Time {
        self.since
    }

    /// Whether only endpoints have changed.
    pub fn is_endpoints_only(&self) -> bool {
        !self.forced
            && !self.changed.is_empty()
            && self.changed.iter().all(|it| it.kind == Kind::Endpoints)
    }

    /// What of this push concerns a proxy; `None` if nothing does.
    pub fn for_proxy(&self, proxy: &Dependencies<'_>) -> Option<Push> {
        if self.forced {
            return Some(self.clone());
        }
        let changed = self.changed.iter().filter(|it| proxy.depend_on(**it));
        let changed: BTreeSet<Changed> = changed.copied().collect();
        (!changed.is_empty()).then_some(Push {
            changed,
            forced: false,
            since: self.since,
        })
    }

    /// Which types of configuration a proxy gets, in the order in which they are sent. The push
    /// is what [`Push::for_proxy`] has left of it.
    pub fn types(&self, proxy: &Dependencies<'_>) -> Vec<Type> {
        let sent = |sent: &Type| {
            self.forced || self.changed.iter().any(|it| sent.is_touched_by(*it, proxy))
        };
        Type::IN_ORDER.into_iter().filter(sent).collect()
    }

    /// Which endpoints a proxy gets with it.
    pub fn endpoints(&self, root_namespace: u32) -> Endpoints {
        let is_partial = |it: &Changed| match it.kind {
            Kind::Endpoints | Kind::Service | Kind::DestinationRule => true,
            Kind::PeerAuthentication => it.namespace != root_namespace,
            _ => false,
        };
        if self.forced || !self.changed.iter().all(is_partial) {
            return Endpoints::All;
        }
        Endpoints::Of(self.changed.clone())
    }
}

/// Which endpoints are generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoints {
    /// Those of all clusters that the proxy watches.
    All,
    /// Those of clusters that these changes touch.
    Of(BTreeSet<Changed>),
}

/// What kind of proxy it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Beside an application.
    Sidecar,
    /// On its own, where the mesh begins or ends.
    Gateway,
    /// On its own, between ztunnels.
    Waypoint,
}

impl Role {
    /// Whether it is the only container of its pod.
    pub fn is_alone(self) -> bool {
        self != Role::Sidecar
    }
}

/// What a proxy depends on.
#[derive(Clone, Copy, Debug)]
pub struct Dependencies<'a> {
    /// What it is.
    pub role: Role,
    /// Its namespace.
    pub namespace: u32,
    /// The namespace whose policies count everywhere.
    pub root_namespace: u32,
    /// The objects in its scope, of the kinds that scopes tell apart: services (and with them
    /// their endpoints), VirtualServices, DestinationRules, its Sidecar, PeerAuthentications.
    pub scope: &'a BTreeSet<Changed>,
    /// Services whose endpoints it is among: their changes always concern it.
    pub own: &'a BTreeSet<Changed>,
}

impl Dependencies<'_> {
    fn depend_on(&self, changed: Changed) -> bool {
        if self.own.contains(&changed) {
            return true;
        }
        let service = Changed {
            kind: Kind::Service,
            ..changed
        };
        let in_scope = || match changed.kind {
            Kind::Endpoints => self.scope.contains(&service),
            _ => self.scope.contains(&changed),
        };
        match (self.role, changed.kind) {
            (Role::Gateway | Role::Waypoint, Kind::Sidecar)
            | (Role::Sidecar | Role::Waypoint, Kind::Gateway) => false,
            (Role::Gateway | Role::Waypoint, Kind::Service) => in_scope(),
            (Role::Gateway | Role::Waypoint, _) => true,
            (Role::Sidecar, kind) => match kind {
                Kind::EnvoyFilter
                | Kind::AuthorizationPolicy
                | Kind::RequestAuthentication
                | Kind::Telemetry => self.is_ours(changed),
                Kind::Endpoints
                | Kind::Service
                | Kind::VirtualService
                | Kind::DestinationRule
                | Kind::Sidecar
                | Kind::PeerAuthentication => in_scope(),
                _ => true,
            },
        }
    }

    fn is_ours(&self, changed: Changed) -> bool {
        [self.namespace, self.root_namespace].contains(&changed.namespace)
    }
}

/// Types of configuration that are sent to proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// CDS.
    Clusters,
    /// EDS.
    Endpoints,
    /// LDS.
    Listeners,
    /// RDS.
    Routes,
    /// SDS.
    Secrets,
}

impl Type {
    /// All, as they are sent one after the other: what is named before what names it.
    pub const IN_ORDER: [Type; 5] = [
        Type::Clusters,
        Type::Endpoints,
        Type::Listeners,
        Type::Routes,
        Type::Secrets,
    ];

    /// Whether a change of this object may change this type.
    fn is_touched_by(self, changed: Changed, proxy: &Dependencies<'_>) -> bool {
        use Kind::*;
        match self {
            Type::Clusters => match changed.kind {
                Gateway => proxy.role == Role::Gateway,
                Service | VirtualService | DestinationRule | Sidecar | EnvoyFilter
                | PeerAuthentication => true,
                _ => false,
            },
            Type::Endpoints => matches!(
                changed.kind,
                Endpoints
                    | Service
                    | WorkloadEntry
                    | DestinationRule
                    | EnvoyFilter
                    | PeerAuthentication
            ),
            Type::Listeners => match changed.kind {
                Gateway => proxy.role == Role::Gateway,
                PeerAuthentication => proxy.is_ours(changed),
                WorkloadGroup | WorkloadEntry | Secret | ProxyConfig | Endpoints => false,
                _ => true,
            },
            Type::Routes => match changed.kind {
                Gateway => proxy.role == Role::Gateway,
                Service | VirtualService | DestinationRule | Sidecar | EnvoyFilter => true,
                _ => false,
            },
            Type::Secrets => changed.kind == Secret,
        }
    }
}

/// An endpoint of a service as istiod compares it with the one it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Address and port.
    pub key: (u32, u16),
    /// Whether it is ready.
    pub is_healthy: bool,
    /// Everything else that proxies are told: labels, locality, weight, as one number.
    pub details: u64,
    /// The service account that its workload runs under.
    pub account: u32,
}

/// What a change of a service's endpoints in one cluster is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// Nothing is pushed.
    Nothing,
    /// Endpoints are pushed.
    Endpoints,
    /// Everything is: the service is new, or other identities stand behind it.
    Everything,
}

/// What it is worth that the endpoints of a service in a cluster are now these. `before` is
/// `None` if the service has not been seen in any cluster.
///
/// Endpoints that go down to none never make a full push, or a pod that crashes over and over
/// would make two with each crash. New endpoints that are not ready are kept in silence.
pub fn worth(before: Option<&[Seen]>, now: &[Seen]) -> Worth {
    if now.is_empty() {
        return Worth::Endpoints;
    }
    let Some(before) = before else {
        return Worth::Everything;
    };
    let accounts = |seen: &[Seen]| -> BTreeSet<u32> { seen.iter().map(|it| it.account).collect() };
    if accounts(before) != accounts(now) {
        return Worth::Everything;
    }
    let find = |among: &[Seen], key| among.iter().find(|it| it.key == key).cloned();
    let is_news = |it: &Seen| match find(before, it.key) {
        Some(old) => old != *it,
        None => it.is_healthy,
    };
    let is_gone = |it: &Seen| find(now, it.key).is_none();
    if before.is_empty() || now.iter().any(is_news) || before.iter().any(is_gone) {
        Worth::Endpoints
    } else {
        Worth::Nothing
    }
}

/// What is generated for one proxy in one push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Clusters, listeners and route configurations that are built anew.
    pub resources: u32,
    /// Endpoints in what is sent.
    pub endpoints: u32,
}

/// The work of one processor of istiod for one push to one proxy.
pub fn work(volume: Volume) -> Duration {
    facts::ISTIOD_PUSH_COST.value
        + facts::ISTIOD_RESOURCE_COST.value * u64::from(volume.resources)
        + facts::ISTIOD_ENDPOINT_COST.value * u64::from(volume.endpoints)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: u32 = 0;

    fn changed(kind: Kind, namespace: u32, object: u32) -> Changed {
        Changed {
            kind,
            namespace,
            object,
        }
    }

    fn types(role: Role, kind: Kind, namespace: u32) -> Vec<Type> {
        let it = changed(kind, namespace, 1);
        let none = BTreeSet::new();
        let mut scope = BTreeSet::from([it]);
        scope.insert(changed(Kind::Service, namespace, 1));
        let proxy = Dependencies {
            role,
            namespace: 7,
            root_namespace: ROOT,
            scope: &scope,
            own: &none,
        };
        let push = Push::of(it, Time::ZERO).for_proxy(&proxy);
        push.map_or(Vec::new(), |push| push.types(&proxy))
    }

    #[test]
    fn kinds_touch_their_types_in_order() {
        use Type::*;
        let sidecar = |kind| types(Role::Sidecar, kind, 7);
        assert_eq!(sidecar(Kind::Endpoints), [Endpoints]);
        assert_eq!(
            sidecar(Kind::Service),
            [Clusters, Endpoints, Listeners, Routes]
        );
        assert_eq!(sidecar(Kind::VirtualService), [Clusters, Listeners, Routes]);
        assert_eq!(
            sidecar(Kind::DestinationRule),
            [Clusters, Endpoints, Listeners, Routes]
        );
        assert_eq!(sidecar(Kind::AuthorizationPolicy), [Listeners]);
        assert_eq!(
            sidecar(Kind::PeerAuthentication),
            [Clusters, Endpoints, Listeners]
        );
        assert_eq!(sidecar(Kind::Gateway), []);
        assert_eq!(sidecar(Kind::Secret), [Secrets]);
        assert_eq!(
            types(Role::Gateway, Kind::Gateway, 7),
            [Clusters, Listeners, Routes]
        );
        assert_eq!(types(Role::Gateway, Kind::Sidecar, 7), []);
    }

    #[test]
    fn policies_of_other_namespaces_concern_nobody_here() {
        assert_eq!(types(Role::Sidecar, Kind::AuthorizationPolicy, 8), []);
        assert_eq!(
            types(Role::Sidecar, Kind::AuthorizationPolicy, ROOT),
            [Type::Listeners]
        );
        // A server's mode is the business of its clients, but not of their listeners.
        assert_eq!(
            types(Role::Sidecar, Kind::PeerAuthentication, 8),
            [Type::Clusters, Type::Endpoints]
        );
    }

    #[test]
    fn what_is_out_of_scope_is_not_pushed() {
        let scope = BTreeSet::from([changed(Kind::Service, 7, 1)]);
        let own = BTreeSet::from([changed(Kind::Service, 7, 3)]);
        let proxy = Dependencies {
            role: Role::Sidecar,
            namespace: 7,
            root_namespace: ROOT,
            scope: &scope,
            own: &own,
        };
        let mut push = Push::of(changed(Kind::Endpoints, 7, 1), Time::ZERO);
        push.merge(Push::of(changed(Kind::Endpoints, 7, 2), Time::ZERO));
        push.merge(Push::of(changed(Kind::Service, 7, 3), Time::ZERO));
        let left = push.for_proxy(&proxy).unwrap();
        let left: Vec<Changed> = left.changed().collect();
        assert_eq!(
            left,
            [changed(Kind::Endpoints, 7, 1), changed(Kind::Service, 7, 3)]
        );
        let other = Push::of(changed(Kind::VirtualService, 7, 1), Time::ZERO);
        assert_eq!(other.for_proxy(&proxy), None);
        assert!(Push::forced(Time::ZERO).for_proxy(&proxy).is_some());
    }

    #[test]
    fn endpoints_of_some_services_or_of_all() {
        let push = |kind, namespace| Push::of(changed(kind, namespace, 1), Time::ZERO);
        let is_partial = |push: Push| push.endpoints(ROOT) != Endpoints::All;
        assert!(is_partial(push(Kind::Endpoints, 7)));
        assert!(is_partial(push(Kind::DestinationRule, 7)));
        assert!(is_partial(push(Kind::PeerAuthentication, 7)));
        assert!(!is_partial(push(Kind::PeerAuthentication, ROOT)));
        assert!(!is_partial(push(Kind::EnvoyFilter, 7)));
        let mut both = push(Kind::Endpoints, 7);
        both.merge(push(Kind::VirtualService, 7));
        assert!(!is_partial(both));
        assert!(!is_partial(Push::forced(Time::ZERO)));
    }

    #[test]
    fn changes_of_endpoints_are_worth_what_istiod_says() {
        let seen = |host, is_healthy, account| Seen {
            key: (host, 80),
            is_healthy,
            details: 0,
            account,
        };
        let one = [seen(1, true, 5)];
        assert_eq!(worth(None, &one), Worth::Everything);
        assert_eq!(worth(Some(&one), &one), Worth::Nothing);
        assert_eq!(worth(Some(&one), &[]), Worth::Endpoints);
        assert_eq!(worth(None, &[]), Worth::Endpoints);
        let two = [seen(1, true, 5), seen(2, true, 5)];
        assert_eq!(worth(Some(&one), &two), Worth::Endpoints);
        assert_eq!(worth(Some(&two), &one), Worth::Endpoints);
        let unready = [seen(1, true, 5), seen(2, false, 5)];
        assert_eq!(worth(Some(&one), &unready), Worth::Nothing);
        assert_eq!(worth(Some(&unready), &two), Worth::Endpoints);
        assert_eq!(worth(Some(&one), &[seen(1, true, 6)]), Worth::Everything);
    }

    #[test]
    fn a_push_of_many_endpoints_takes_milliseconds() {
        let volume = Volume {
            resources: 0,
            endpoints: 15_000,
        };
        let milliseconds = work(volume).as_secs_f64() * 1e3;
        assert!((10.0..10.5).contains(&milliseconds), "{milliseconds}");
    }
}
