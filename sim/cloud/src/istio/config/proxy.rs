//! What holds for single proxies: `defaultConfig` of the mesh, ProxyConfig objects of the mesh
//! and of the namespace, the annotation `proxy.istio.io/config`, and ProxyConfig objects that
//! select the pod, each over the one before.
//!
//! Source: istio/istio pilot/pkg/model/proxy_config.go, EffectiveProxyConfig.
//! Validated by: the tests below.

use super::{Identity, InterceptionMode, Labels, MachineProbe, Percent};
use crate::facts;
use crate::istio::authentication::selects;
use engine::Duration;
use std::collections::BTreeMap;

/// A ProxyConfig object; what it says holds for pods that start after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    /// How it is called.
    pub identity: Identity,
    /// Whose proxies: all of the namespace if empty, or of the mesh in the root namespace.
    pub selector: Labels,
    /// Worker threads.
    pub concurrency: Option<u32>,
    /// Environment variables of the proxy.
    pub environment: BTreeMap<String, String>,
}

impl ProxyConfig {
    fn settings(&self) -> ProxySettings {
        ProxySettings {
            concurrency: self.concurrency,
            environment: self.environment.clone(),
            ..ProxySettings::default()
        }
    }
}

/// What holds for a proxy; what is not said is as the next wider setting says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProxySettings {
    /// Worker threads; zero is as many as the node has CPUs.
    pub concurrency: Option<u32>,
    /// How long Envoy drains a listener.
    pub drain: Option<Duration>,
    /// How long a proxy that was told to stop waits before it does.
    pub termination_drain: Option<Duration>,
    /// Whether the application starts after the proxy.
    pub holds_application: Option<bool>,
    /// How connections are captured.
    pub interception: Option<InterceptionMode>,
    /// Share of requests that are traced.
    pub tracing_share: Option<Percent>,
    /// Environment variables (`proxyMetadata`): keys are merged.
    pub environment: BTreeMap<String, String>,
    /// How the agent of a machine probes its application.
    pub readiness_probe: Option<MachineProbe>,
    /// Whether keys are used by special instructions of the CPU.
    pub has_private_key_provider: Option<bool>,
    /// For which place its timeouts are set.
    pub connection_profile: Option<ConnectionProfile>,
    /// How many proxies in front of a gateway are to be believed about whom they were asked by.
    pub trusted_proxies: Option<u32>,
}

/// For which place timeouts of a proxy are set (`connectionSettings.profile`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionProfile {
    /// Inside the mesh.
    Sidecar,
    /// At its edge.
    Edge,
}

impl ProxySettings {
    /// Whether the proxy wants to know of its likes (`ISTIO_META_ENABLE_SELF_DISCOVERY`).
    pub fn asks_for_likes(&self) -> bool {
        self.switches_on("ISTIO_META_ENABLE_SELF_DISCOVERY")
    }

    /// Whether the proxy answers its application's questions for names
    /// (`ISTIO_META_DNS_CAPTURE`).
    pub fn captures_names(&self) -> bool {
        self.switches_on("ISTIO_META_DNS_CAPTURE")
    }

    fn switches_on(&self, variable: &str) -> bool {
        let said = self.environment.get(variable);
        said.is_some_and(|said| said == "true")
    }

    /// These settings where they say something, and `wider` otherwise.
    #[must_use]
    pub fn over(self, wider: &ProxySettings) -> ProxySettings {
        let mut environment = wider.environment.clone();
        environment.extend(self.environment);
        ProxySettings {
            concurrency: self.concurrency.or(wider.concurrency),
            drain: self.drain.or(wider.drain),
            termination_drain: self.termination_drain.or(wider.termination_drain),
            holds_application: self.holds_application.or(wider.holds_application),
            interception: self.interception.or(wider.interception),
            tracing_share: self.tracing_share.or(wider.tracing_share),
            environment,
            readiness_probe: self
                .readiness_probe
                .or_else(|| wider.readiness_probe.clone()),
            has_private_key_provider: self
                .has_private_key_provider
                .or(wider.has_private_key_provider),
            connection_profile: self.connection_profile.or(wider.connection_profile),
            trusted_proxies: self.trusted_proxies.or(wider.trusted_proxies),
        }
    }

    /// What holds for the proxy of a pod with these labels, whose annotation says `own`.
    #[must_use]
    pub fn effective(
        own: &ProxySettings,
        (namespace, labels): (&str, &Labels),
        objects: &[ProxyConfig],
        (root_namespace, mesh): (&str, &ProxySettings),
    ) -> ProxySettings {
        // Of several objects of one width the older counts.
        let merged = |of: &str, fits: &dyn Fn(&ProxyConfig) -> bool| {
            let mut found: Vec<_> = objects
                .iter()
                .filter(|it| it.identity.namespace == of && fits(it))
                .collect();
            found.sort_by_cached_key(|it| it.identity.age_order());
            let nothing = ProxySettings::default();
            found
                .into_iter()
                .fold(nothing, |all, it| all.over(&it.settings()))
        };
        let for_all = |it: &ProxyConfig| it.selector.is_empty();
        let for_it = |it: &ProxyConfig| !it.selector.is_empty() && selects(&it.selector, labels);
        let wide = merged(root_namespace, &for_all).over(mesh);
        let of_namespace = if namespace == root_namespace {
            wide
        } else {
            merged(namespace, &for_all).over(&wide)
        };
        let of_pod = merged(namespace, &for_it).over(own);
        of_pod.over(&of_namespace)
    }

    /// Worker threads of a proxy that may use so much CPU, on a node with so many CPUs.
    ///
    /// Without a number of its own it has as many as its CPU limit rounded up (pilot-agent
    /// determines it so), and as many as the node's CPUs if there is no limit.
    pub fn threads(&self, cpu_limit_milli: Option<u64>, node_cpus: u32) -> u32 {
        match (self.concurrency, cpu_limit_milli) {
            (Some(threads), _) if threads > 0 => threads,
            (None, Some(milli)) => u32::try_from(milli.div_ceil(1000))
                .unwrap_or(u32::MAX)
                .max(1),
            _ => node_cpus.max(1),
        }
    }

    /// How long Envoy drains a listener: whole seconds, as it is told.
    pub fn drain(&self) -> Duration {
        let drain = self.drain.unwrap_or(facts::MESH_DRAIN.value);
        Duration::from_secs(drain.as_nanos() / 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearer_settings_count_and_environments_are_merged() {
        let environment = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect()
        };
        let mesh = ProxySettings {
            concurrency: Some(2),
            holds_application: Some(true),
            environment: environment(&[("A", "1"), ("B", "1")]),
            ..ProxySettings::default()
        };
        let pod = ProxySettings {
            concurrency: Some(4),
            environment: environment(&[("B", "2")]),
            ..ProxySettings::default()
        };
        let both = pod.over(&mesh);
        assert_eq!(both.concurrency, Some(4));
        assert_eq!(both.holds_application, Some(true));
        assert_eq!(both.environment, environment(&[("A", "1"), ("B", "2")]));
        assert_eq!(both.drain(), Duration::from_secs(45));
    }

    #[test]
    fn objects_that_select_a_pod_count_before_its_annotation_and_this_before_the_rest() {
        let said = |concurrency| ProxySettings {
            concurrency: Some(concurrency),
            ..ProxySettings::default()
        };
        let object = |namespace: &str, name: &str, app: Option<&str>, concurrency| ProxyConfig {
            identity: Identity {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                created: super::super::Created::Before(0),
            },
            selector: app
                .map(|app| ("app".to_owned(), app.to_owned()))
                .into_iter()
                .collect(),
            concurrency: Some(concurrency),
            environment: BTreeMap::new(),
        };
        let labels: Labels = [("app".to_owned(), "web".to_owned())].into();
        let threads = |own: &ProxySettings, objects: &[ProxyConfig]| {
            let mesh = said(1);
            let pod = ("shop", &labels);
            let all = ProxySettings::effective(own, pod, objects, ("istio-system", &mesh));
            all.concurrency
        };
        let nothing = ProxySettings::default();
        let root = object("istio-system", "a", None, 2);
        let namespace = object("shop", "a", None, 3);
        let other = object("shop", "b", Some("api"), 9);
        let workload = object("shop", "c", Some("web"), 5);
        let younger = object("shop", "d", Some("web"), 6);
        assert_eq!(threads(&nothing, &[]), Some(1));
        let mut objects = vec![root];
        assert_eq!(threads(&nothing, &objects), Some(2));
        objects.extend([namespace, other]);
        assert_eq!(threads(&nothing, &objects), Some(3));
        assert_eq!(threads(&said(4), &objects), Some(4));
        objects.extend([younger, workload]);
        assert_eq!(threads(&said(4), &objects), Some(5));
    }

    #[test]
    fn threads_follow_the_limit() {
        let said = |concurrency| ProxySettings {
            concurrency,
            ..ProxySettings::default()
        };
        assert_eq!(said(None).threads(Some(2000), 16), 2);
        assert_eq!(said(None).threads(Some(2100), 16), 3);
        assert_eq!(said(None).threads(None, 16), 16);
        assert_eq!(said(Some(0)).threads(Some(2000), 16), 16);
        assert_eq!(said(Some(5)).threads(Some(2000), 16), 5);
    }
}
