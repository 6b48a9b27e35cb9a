//! Looking a name up from a pod: which questions the resolver asks, and what a CoreDNS can take.
//!
//! Models: the search list of `dnsPolicy: ClusterFirst` with its `ndots`, the order in which
//! glibc tries names, a question each for A and AAAA, repetition after a timeout, and how many
//! questions per second and how much memory an instance of CoreDNS answers with.
//!
//! Approximated: one name server; a lookup whose question stays unanswered fails, without the
//! last try of the name as it was given. Leaves out: TCP, truncated answers, the `autopath`
//! plugin.
//! Sources: kubernetes/kubernetes v1.20.2 `pkg/kubelet/network/dns`, glibc `resolv/res_query.c`,
//! resolv.conf(5), coredns/deployment `kubernetes/Scaling_CoreDNS.md`; [`crate::facts`].
//! Validated by: closed forms of questions per lookup, and CoreDNS's own table.

use crate::facts;
use engine::Duration;

/// A pod's `resolv.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverConfig {
    /// Domains tried in order.
    pub search: Vec<String>,
    /// Names with fewer dots are tried with the search list first.
    pub ndots: u32,
}

impl ResolverConfig {
    /// What the kubelet writes under `ClusterFirst`: three domains of the cluster, then the
    /// node's own.
    pub fn cluster_first(namespace: &str, domain: &str, of_node: &[String]) -> Self {
        let mut search = vec![
            format!("{namespace}.svc.{domain}"),
            format!("svc.{domain}"),
            domain.to_owned(),
        ];
        search.extend_from_slice(of_node);
        ResolverConfig {
            search,
            ndots: facts::RESOLVER_NDOTS.value,
        }
    }

    /// The full names that are asked for in turn until one exists, without trailing dots.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{name}.{domain}"));
        let dots = name.matches('.').count() as u32;
        if dots >= self.ndots {
            std::iter::once(name.to_owned()).chain(searched).collect()
        } else {
            searched.chain([name.to_owned()]).collect()
        }
    }

    /// How many full names a lookup asks for when only `full` exists; all of them if none does.
    pub fn names_asked(&self, name: &str, full: &str) -> u32 {
        let candidates = self.candidates(name);
        let found = candidates.iter().position(|candidate| candidate == full);
        found.map_or(candidates.len(), |position| position + 1) as u32
    }
}

/// Questions for one full name: A and AAAA.
pub const QUESTIONS_PER_NAME: u32 = 2;

/// How a pod's program writes the name of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameForm {
    /// `service` in its own namespace, `service.namespace` else.
    #[default]
    Short,
    /// `service.namespace`.
    Namespaced,
    /// `service.namespace.svc`.
    Svc,
    /// `service.namespace.svc.cluster.local`, without a dot at its end.
    Full,
    /// The same with the dot: the search list is not used.
    Absolute,
}

impl NameForm {
    /// The name of a service as written by a program in a pod of `from`.
    pub fn write(self, service: &str, namespace: &str, from: &str, domain: &str) -> String {
        match self {
            NameForm::Short if namespace == from => service.to_owned(),
            NameForm::Short | NameForm::Namespaced => format!("{service}.{namespace}"),
            NameForm::Svc => format!("{service}.{namespace}.svc"),
            NameForm::Full => format!("{service}.{namespace}.svc.{domain}"),
            NameForm::Absolute => format!("{service}.{namespace}.svc.{domain}."),
        }
    }
}

/// How long an unanswered question is waited for until the lookup fails.
pub fn gives_up_after() -> Duration {
    facts::RESOLVER_TIMEOUT.value * u64::from(facts::RESOLVER_ATTEMPTS.value)
}

/// Questions per second that an instance of CoreDNS answers with this much CPU.
pub fn capacity(cpu_milli: u64) -> f64 {
    f64::from(facts::COREDNS_QUESTIONS_PER_CPU.value) * cpu_milli as f64 / 1000.0
}

/// Memory that an instance of CoreDNS needs to know this many pods and services.
pub fn memory_bytes(pods: u64, services: u64) -> u64 {
    const MEGABYTE: u64 = 1_000_000;
    let thousandths = (pods + services) * MEGABYTE / 1000;
    thousandths + u64::from(facts::COREDNS_BASE_MEGABYTES.value) * MEGABYTE
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = "cluster.local";

    fn config(of_node: &[&str]) -> ResolverConfig {
        let of_node: Vec<_> = of_node.iter().map(|&domain| domain.to_owned()).collect();
        ResolverConfig::cluster_first("shop", DOMAIN, &of_node)
    }

    #[test]
    fn names_are_tried_in_glibcs_order() {
        let config = config(&["example.net"]);
        assert_eq!(
            config.candidates("cart"),
            [
                "cart.shop.svc.cluster.local",
                "cart.svc.cluster.local",
                "cart.cluster.local",
                "cart.example.net",
                "cart",
            ]
        );
        assert_eq!(config.candidates("cart.shop.svc.cluster.local.").len(), 1);
        // Five dots are enough to be tried first as they are.
        assert_eq!(config.candidates("a.b.c.d.e.f")[0], "a.b.c.d.e.f");
        assert_eq!(config.candidates("a.b.c.d.e")[4], "a.b.c.d.e");
    }

    #[test]
    fn questions_per_lookup_follow_from_the_form_of_the_name() {
        // (name, full name that exists, names asked with none and with one domain of the node)
        for (name, full, bare, with_node) in [
            ("cart", "cart.shop.svc.cluster.local", 1, 1),
            ("cart.shop", "cart.shop.svc.cluster.local", 2, 2),
            ("cart.shop.svc", "cart.shop.svc.cluster.local", 3, 3),
            (
                "cart.shop.svc.cluster.local",
                "cart.shop.svc.cluster.local",
                4,
                5,
            ),
            (
                "cart.shop.svc.cluster.local.",
                "cart.shop.svc.cluster.local",
                1,
                1,
            ),
            ("bank.pay", "bank.pay.svc.cluster.local", 2, 2),
            ("example.com", "example.com", 4, 5),
            ("example.com.", "example.com", 1, 1),
            ("a.b.c.d.example.com", "a.b.c.d.example.com", 1, 1),
            ("nothing", "", 4, 5),
        ] {
            assert_eq!(config(&[]).names_asked(name, full), bare, "{name}");
            let with = config(&["example.net"]).names_asked(name, full);
            assert_eq!(with, with_node, "{name} with a domain of the node");
        }
    }

    #[test]
    fn forms_of_a_name_cost_between_one_and_four_names() {
        let config = config(&[]);
        let asked = |form: NameForm, namespace: &str| {
            let name = form.write("cart", namespace, "shop", DOMAIN);
            config.names_asked(&name, &format!("cart.{namespace}.svc.{DOMAIN}"))
        };
        for (form, own, other) in [
            (NameForm::Short, 1, 2),
            (NameForm::Namespaced, 2, 2),
            (NameForm::Svc, 3, 3),
            (NameForm::Full, 4, 4),
            (NameForm::Absolute, 1, 1),
        ] {
            assert_eq!(
                (asked(form, "shop"), asked(form, "pay")),
                (own, other),
                "{form:?}"
            );
        }
    }

    #[test]
    fn corednss_own_table_comes_out() {
        // One instance on two processors: 33669 questions for names that take one question;
        // names outside, behind four search domains, take five: 6733 lookups.
        let questions = capacity(2000);
        let external = config(&["example.net"]).names_asked("infoblox.com", "infoblox.com");
        assert!((questions / 33_669.0 - 1.0).abs() < 0.001, "{questions}");
        let lookups = questions / f64::from(external);
        assert!((lookups / 6_733.0 - 1.0).abs() < 0.001, "{lookups}");
        // (pods + services) / 1000 + 54 MB: 5,000 nodes' worth.
        assert_eq!(memory_bytes(150_000, 8_200), 212_200_000);
        assert_eq!(gives_up_after(), Duration::from_secs(10));
    }
}
