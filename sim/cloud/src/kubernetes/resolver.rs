//! Looking a name up from a pod: which questions the resolver asks, and what a CoreDNS can take.
//!
//! Models: `dnsPolicy` and `dnsConfig`: the `resolv.conf` that a kubelet writes of them, with the
//! search list, `ndots`, `timeout`, `attempts`, `no-aaaa` and up to three name servers; the order
//! in which glibc tries names and servers, a question each for A and AAAA, repetition after a
//! timeout, and how many questions per second and how much memory an instance of CoreDNS answers
//! with.
//!
//! Approximated: a name server either knows the cluster's names or denies them; a lookup whose
//! question stays unanswered fails, without the last try of the name as it was given; a server
//! that denies the right name ends the lookup. Leaves out: TCP, truncated answers, the other
//! options of resolv.conf(5), the `autopath` plugin.
//! Sources: kubernetes/kubernetes v1.20.2 `pkg/kubelet/network/dns`, glibc `resolv/res_query.c`,
//! `resolv/res_send.c` and `resolv/res_init.c`, resolv.conf(5), coredns/deployment
//! `kubernetes/Scaling_CoreDNS.md`; [`crate::facts`].
//! Validated by: closed forms of questions per lookup, and CoreDNS's own table.

use crate::facts;
use engine::Duration;

/// Where a pod's resolver is set up from: `dnsPolicy`, as it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NamesFrom {
    /// The cluster: `ClusterFirst` with a network of its own, `ClusterFirstWithHostNet`.
    #[default]
    Cluster,
    /// The pod's node: `Default`, and `ClusterFirst` of pods in the network of their node.
    Node,
    /// Only what the pod says: `None`.
    Nowhere,
}

/// What a name server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The cluster's names.
    Cluster,
    /// Others: it denies the cluster's.
    Elsewhere,
}

/// How a pod's resolver is set up: `dnsPolicy`, and what `dnsConfig` adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodDns {
    /// What it begins with.
    pub names_from: NamesFrom,
    /// Name servers after those.
    pub servers: Vec<Server>,
    /// Domains to search after those.
    pub search: Vec<String>,
    /// `ndots`, where it says so.
    pub ndots: Option<u32>,
    /// `timeout`, where it says so.
    pub timeout: Option<Duration>,
    /// `attempts`, where it says so.
    pub attempts: Option<u32>,
    /// `no-aaaa`: it asks for addresses of IPv4 alone.
    pub no_aaaa: bool,
}

/// A pod's `resolv.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverConfig {
    /// Name servers, asked in order until one answers; at most three.
    pub servers: Vec<Server>,
    /// Domains tried in order.
    pub search: Vec<String>,
    /// Names with fewer dots are tried with the search list first.
    pub ndots: u32,
    /// How long the first server is waited for.
    pub timeout: Duration,
    /// How often all servers are asked.
    pub attempts: u32,
    /// Questions for one full name.
    pub questions_per_name: u32,
}

/// The full names that a lookup asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// How many.
    pub names: u32,
    /// Whether the last one is the name that is meant; else none is.
    pub is_found: bool,
}

impl ResolverConfig {
    /// What the kubelet writes for a pod of a namespace, on a node with these domains.
    pub fn of(pod: &PodDns, namespace: &str, domain: &str, of_node: &[String]) -> Self {
        let (servers, of_cluster, of_node, ndots) = match pod.names_from {
            NamesFrom::Cluster => (
                vec![Server::Cluster],
                vec![
                    format!("{namespace}.svc.{domain}"),
                    format!("svc.{domain}"),
                    domain.to_owned(),
                ],
                of_node,
                facts::RESOLVER_NDOTS.value,
            ),
            NamesFrom::Node => (
                vec![Server::Elsewhere],
                Vec::new(),
                of_node,
                facts::RESOLVER_NDOTS_PLAIN.value,
            ),
            NamesFrom::Nowhere => (
                Vec::new(),
                Vec::new(),
                &[][..],
                facts::RESOLVER_NDOTS_PLAIN.value,
            ),
        };
        let mut search: Vec<String> = Vec::new();
        for domain in of_cluster.iter().chain(of_node).chain(&pod.search) {
            if !search.contains(domain) {
                search.push(domain.clone());
            }
        }
        let mut servers = servers;
        servers.extend_from_slice(&pod.servers);
        servers.truncate(facts::RESOLVER_SERVERS_MAX.value as usize);
        let timeout = pod.timeout.unwrap_or(facts::RESOLVER_TIMEOUT.value);
        let attempts = pod.attempts.unwrap_or(facts::RESOLVER_ATTEMPTS.value);
        ResolverConfig {
            servers,
            search,
            ndots: pod
                .ndots
                .unwrap_or(ndots)
                .min(facts::RESOLVER_NDOTS_MAX.value),
            timeout: timeout.min(facts::RESOLVER_TIMEOUT_MAX.value),
            attempts: attempts.min(facts::RESOLVER_ATTEMPTS_MAX.value),
            questions_per_name: QUESTIONS_PER_NAME - u32::from(pod.no_aaaa),
        }
    }

    /// How long a server is waited for: twice as long as the one before, shared among them all
    /// from the second on; whole seconds, at least one.
    pub fn patience(&self, server: u32) -> Duration {
        if server == 0 {
            return self.timeout;
        }
        let doubled = (self.timeout.as_secs_f64() as u64) << server;
        Duration::from_secs((doubled / self.servers.len() as u64).max(1))
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
        self.asked(name, full).names
    }

    /// What a lookup asks for when only `full` exists, and whoever knows it.
    pub fn asked(&self, name: &str, full: &str) -> Asked {
        let candidates = self.candidates(name);
        let found = candidates.iter().position(|candidate| candidate == full);
        // The first server that answers is believed.
        let found = found.filter(|_| self.servers.first() == Some(&Server::Cluster));
        Asked {
            names: found.map_or(candidates.len(), |position| position + 1) as u32,
            is_found: found.is_some(),
        }
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
        ResolverConfig::of(&PodDns::default(), "shop", DOMAIN, &of_node)
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
    }

    #[test]
    fn what_a_pod_says_comes_after_what_its_policy_gives() {
        let of_node = ["example.net".to_owned()];
        let said = PodDns {
            servers: vec![Server::Elsewhere; 3],
            search: vec!["svc.cluster.local".to_owned(), "corp".to_owned()],
            ndots: Some(20),
            ..PodDns::default()
        };
        let of = |names_from| {
            let said = PodDns {
                names_from,
                ..said.clone()
            };
            ResolverConfig::of(&said, "shop", DOMAIN, &of_node)
        };
        let cluster = of(NamesFrom::Cluster);
        assert_eq!(
            cluster.search,
            [
                "shop.svc.cluster.local",
                "svc.cluster.local",
                "cluster.local",
                "example.net",
                "corp",
            ]
        );
        use Server::{Cluster, Elsewhere};
        assert_eq!(cluster.servers, [Cluster, Elsewhere, Elsewhere]);
        assert_eq!((cluster.ndots, cluster.attempts), (15, 2));
        let node = of(NamesFrom::Node);
        assert_eq!(node.search, ["example.net", "svc.cluster.local", "corp"]);
        assert_eq!(node.servers, [Elsewhere; 3]);
        let nowhere = of(NamesFrom::Nowhere);
        assert_eq!(nowhere.search, ["svc.cluster.local", "corp"]);
        // Without a word of `ndots` only the cluster's five hold.
        let plain = |names_from| {
            let said = PodDns {
                names_from,
                ..PodDns::default()
            };
            ResolverConfig::of(&said, "shop", DOMAIN, &of_node).ndots
        };
        assert_eq!(
            [NamesFrom::Cluster, NamesFrom::Node, NamesFrom::Nowhere].map(plain),
            [5, 1, 1]
        );
    }

    #[test]
    fn names_of_services_are_found_through_the_first_server_alone() {
        let full = "cart.shop.svc.cluster.local";
        // (policy, servers and search list that it adds, name, names asked, found)
        for (names_from, server, search, name, names, is_found) in [
            (NamesFrom::Cluster, None, "", "cart", 1, true),
            (NamesFrom::Node, None, "", "cart", 1, false),
            (NamesFrom::Node, None, "", full, 1, false),
            (NamesFrom::Node, Some(Server::Cluster), "", full, 1, false),
            (
                NamesFrom::Nowhere,
                Some(Server::Cluster),
                "",
                "cart",
                1,
                false,
            ),
            (NamesFrom::Nowhere, Some(Server::Cluster), "", full, 1, true),
            (
                NamesFrom::Nowhere,
                Some(Server::Cluster),
                "shop.svc.cluster.local",
                "cart",
                1,
                true,
            ),
            // With one dot enough the name is tried as it is first.
            (
                NamesFrom::Nowhere,
                Some(Server::Cluster),
                "svc.cluster.local",
                "cart.shop",
                2,
                true,
            ),
            (
                NamesFrom::Nowhere,
                Some(Server::Elsewhere),
                "shop.svc.cluster.local",
                "cart",
                2,
                false,
            ),
        ] {
            let said = PodDns {
                names_from,
                servers: server.into_iter().collect(),
                search: Some(search.to_owned())
                    .filter(|search| !search.is_empty())
                    .into_iter()
                    .collect(),
                ..PodDns::default()
            };
            let config = ResolverConfig::of(&said, "shop", DOMAIN, &[]);
            assert_eq!(
                config.asked(name, full),
                Asked { names, is_found },
                "{said:?} {name}"
            );
        }
    }

    #[test]
    fn later_servers_are_waited_for_by_glibcs_rule() {
        let waits = |servers: usize, timeout| {
            let said = PodDns {
                names_from: NamesFrom::Nowhere,
                servers: vec![Server::Cluster; servers],
                timeout: Some(Duration::from_secs(timeout)),
                ..PodDns::default()
            };
            let config = ResolverConfig::of(&said, "shop", DOMAIN, &[]);
            let waits = (0..servers as u32).map(|server| config.patience(server));
            waits.map(|wait| wait.as_secs_f64()).collect::<Vec<_>>()
        };
        assert_eq!(waits(1, 5), [5.0]);
        assert_eq!(waits(2, 5), [5.0, 5.0]);
        assert_eq!(waits(3, 5), [5.0, 3.0, 6.0]);
        assert_eq!(waits(3, 1), [1.0, 1.0, 1.0]);
        assert_eq!(waits(1, 60), [30.0]);
    }
}
