//! All objects of a cluster that istiod reads, and changes of them.

use super::{
    AuthorizationPolicy, DestinationRule, EnvoyFilter, Gateway, Identity, Labels, LimitDomain,
    MeshConfig, MeshNetworks, Namespace, PeerAuthentication, ProxyConfig, ProxyResources,
    RequestAuthentication, ServiceEntry, ServiceSettings, Sidecar, Telemetry, VirtualService,
    WaypointUse, WorkloadEntry, WorkloadGroup,
};
use crate::facts;
use crate::istio::version::Version;
use engine::Time;
use std::collections::BTreeMap;

/// Istio in a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Istio {
    /// Its release.
    pub version: Version,
    /// What holds for the whole mesh.
    pub mesh: MeshConfig,
    /// How networks reach one another.
    pub networks: MeshNetworks,
    /// CPU and memory of proxies whose pods do not say.
    pub proxy_resources: ProxyResources,
    /// Namespaces, by name.
    pub namespaces: Vec<Namespace>,
    /// What services say to it, by namespace and name; those that are not there say nothing.
    pub services: BTreeMap<(String, String), ServiceSettings>,
    /// What rate limit services limit.
    pub limits: Vec<LimitDomain>,
    /// Its objects.
    pub objects: Configuration,
}

impl Default for Istio {
    fn default() -> Self {
        Istio {
            version: Version::default(),
            mesh: MeshConfig::default(),
            networks: MeshNetworks::new(),
            proxy_resources: ProxyResources {
                cpu_request_milli: Some(facts::MESH_PROXY_CPU_REQUEST.value),
                cpu_limit_milli: Some(facts::MESH_PROXY_CPU_LIMIT.value),
                memory_request_bytes: Some(facts::MESH_PROXY_MEMORY_REQUEST.value),
                memory_limit_bytes: Some(facts::MESH_PROXY_MEMORY_LIMIT.value),
            },
            namespaces: Vec::new(),
            services: BTreeMap::new(),
            limits: Vec::new(),
            objects: Configuration::default(),
        }
    }
}

/// The label by which Kubernetes tells namespaces apart.
const NAME: &str = "kubernetes.io/metadata.name";

impl Istio {
    /// Whether it looks at a namespace: all, or those that a selector chooses.
    ///
    /// Approximated: ztunnels are told of pods of all namespaces.
    /// Source: istio/istio 86c9f01 pkg/kube/namespace/filter.go.
    pub fn looks_at(&self, namespace: &str) -> bool {
        let selectors = &self.mesh.discovery_selectors;
        if selectors.is_empty() {
            return true;
        }
        let known = self.namespaces.iter().find(|it| it.name == namespace);
        let mut labels = known.map_or_else(Labels::new, |it| it.labels.clone());
        labels.insert(NAME.to_owned(), namespace.to_owned());
        selectors.iter().any(|selector| selector.selects(&labels))
    }

    /// Whether it reads objects of a namespace: before 1.22 it did of all.
    pub fn reads_objects_of(&self, namespace: &str) -> bool {
        !self.version.scopes_objects() || self.looks_at(namespace)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $field:ident: $kind:ident;)*) => {
        /// Objects by kind, each sorted by namespace and name.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Configuration {
            $($(#[$doc])* pub $field: Vec<$kind>,)*
        }

        /// An object of any kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Object {
            $($(#[$doc])* $kind(Box<$kind>),)*
        }

        $(impl From<$kind> for Object {
            fn from(object: $kind) -> Object {
                Object::$kind(Box::new(object))
            }
        })*

        impl Object {
            /// How it is called.
            pub fn identity(&self) -> &Identity {
                match self {
                    $(Object::$kind(object) => &object.identity,)*
                }
            }

            /// Its kind.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Object::$kind(_) => stringify!($kind),)*
                }
            }

            fn identity_mut(&mut self) -> &mut Identity {
                match self {
                    $(Object::$kind(object) => &mut object.identity,)*
                }
            }
        }

        impl Configuration {
            /// Whether there is nothing.
            pub fn is_empty(&self) -> bool {
                $(self.$field.is_empty())&&*
            }

            /// All objects, kind by kind.
            pub fn objects(&self) -> Vec<Object> {
                let mut all = Vec::new();
                $(all.extend(self.$field.iter().cloned().map(Box::new).map(Object::$kind));)*
                all
            }

            /// Adds an object, or puts it in the place of the one with its kind, namespace and
            /// name, whose age it keeps.
            pub fn apply(&mut self, mut object: Object) {
                if let Some(created) = self.created(&object) {
                    object.identity_mut().created = created;
                }
                match object {
                    $(Object::$kind(object) => match position(&self.$field, &object.identity, |it| &it.identity) {
                        Ok(position) => self.$field[position] = *object,
                        Err(position) => self.$field.insert(position, *object),
                    },)*
                }
            }

            /// Keeps the objects of these namespaces.
            pub fn retain(&mut self, keeps: impl Fn(&str) -> bool) {
                $(self.$field.retain(|it| keeps(&it.identity.namespace));)*
            }

            /// Adds or replaces an object that is written during the run: a new one exists since
            /// `now`, unless it says since when.
            pub fn write(&mut self, mut object: Object, now: Time) {
                let created = &mut object.identity_mut().created;
                if let super::Created::At(_) = created {
                    *created = super::Created::At(now);
                }
                self.apply(object);
            }

            /// Since when the object exists that another would replace.
            fn created(&self, object: &Object) -> Option<super::Created> {
                match object {
                    $(Object::$kind(object) => {
                        let position = position(&self.$field, &object.identity, |it| &it.identity);
                        position.ok().map(|position| self.$field[position].identity.created)
                    })*
                }
            }
        }
    };
}

kinds! {
    /// VirtualServices, and routes of the Gateway API for services and Istio's gateways.
    virtual_services: VirtualService;
    /// DestinationRules.
    destination_rules: DestinationRule;
    /// Gateways.
    gateways: Gateway;
    /// ServiceEntries.
    service_entries: ServiceEntry;
    /// WorkloadEntries.
    workload_entries: WorkloadEntry;
    /// WorkloadGroups.
    workload_groups: WorkloadGroup;
    /// Sidecars.
    sidecars: Sidecar;
    /// PeerAuthentications.
    peer_authentications: PeerAuthentication;
    /// RequestAuthentications.
    request_authentications: RequestAuthentication;
    /// AuthorizationPolicies.
    authorization_policies: AuthorizationPolicy;
    /// ProxyConfigs.
    proxy_configs: ProxyConfig;
    /// Telemetries.
    telemetries: Telemetry;
    /// EnvoyFilters that limit rates.
    envoy_filters: EnvoyFilter;
    /// Services that are reached through waypoints.
    waypoint_uses: WaypointUse;
}

/// Where an object stands or belongs.
fn position<T>(
    objects: &[T],
    wanted: &Identity,
    identity: impl Fn(&T) -> &Identity,
) -> Result<usize, usize> {
    objects.binary_search_by(|object| {
        let identity = identity(object);
        (&identity.namespace, &identity.name).cmp(&(&wanted.namespace, &wanted.name))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Created;
    use super::*;
    use crate::istio::authentication::ServerMode;
    use engine::Duration;

    #[test]
    fn a_changed_object_keeps_its_place_and_age() {
        let policy = |name: &str, created, mode| {
            Object::PeerAuthentication(Box::new(PeerAuthentication {
                identity: Identity {
                    namespace: "shop".to_owned(),
                    name: name.to_owned(),
                    created,
                },
                selector: Default::default(),
                mode: Some(mode),
                ports: Default::default(),
            }))
        };
        let later = Created::At(Time::ZERO.saturating_add(Duration::from_secs(60)));
        let now = Time::ZERO.saturating_add(Duration::from_secs(90));
        let mut objects = Configuration::default();
        assert!(objects.is_empty());
        objects.apply(policy("b", Created::Before(7), ServerMode::Permissive));
        objects.apply(policy("a", later, ServerMode::Permissive));
        objects.apply(policy("b", later, ServerMode::Strict));
        assert_eq!(
            objects.objects(),
            [
                policy("a", later, ServerMode::Permissive),
                policy("b", Created::Before(7), ServerMode::Strict),
            ]
        );
        // What is written during the run is as old as that, and what was there stays as it is.
        objects.write(
            policy("c", Created::At(Time::ZERO), ServerMode::Strict),
            now,
        );
        objects.write(
            policy("a", Created::At(Time::ZERO), ServerMode::Strict),
            now,
        );
        let ages: Vec<_> = objects
            .objects()
            .iter()
            .map(|it| it.identity().created)
            .collect();
        assert_eq!(ages, [later, Created::Before(7), Created::At(now)]);
    }
}
