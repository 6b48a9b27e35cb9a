//! Names inside a cluster: the resolver of a pod, and CoreDNS.

use super::facts;
use engine::Duration;

/// Where CoreDNS's sizes were measured.
const SCALING_COREDNS: &str = "coredns/deployment kubernetes/Scaling_CoreDNS.md";

facts! {
    /// Names with fewer dots than this are tried with the search list first.
    RESOLVER_NDOTS: u32 = 5, "", "kubernetes.dns.ndots", "kubelet", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/kubelet/network/dns/dns.go, options ndots:5 under ClusterFirst";
    /// The same where nobody says so: in a node's own settings and under `dnsPolicy: None`.
    RESOLVER_NDOTS_PLAIN: u32 = 1, "", "dns.resolver.ndots", "glibc", "all",
        Documentation, "resolv.conf(5): ndots, default 1";
    /// Greatest `ndots`.
    RESOLVER_NDOTS_MAX: u32 = 15, "", "dns.resolver.ndots-max", "glibc", "all",
        Documentation, "resolv.conf(5): ndots, silently capped to 15";
    /// Name servers that a resolver uses, and that a pod may have.
    RESOLVER_SERVERS_MAX: u32 = 3, "", "dns.resolver.servers-max", "glibc and kubelet", "all",
        Documentation, "resolv.conf(5): MAXNS, 3; kubernetes.io, DNS for Services and Pods: at most 3 nameservers";
    /// Domains that a pod may search.
    RESOLVER_SEARCH_MAX: u32 = 32, "", "kubernetes.dns.search-max", "kube-apiserver", "1.28 and later",
        Documentation, "kubernetes.io, DNS for Services and Pods: at most 32 search domains, 2048 characters";
    /// How long a resolver waits for an answer.
    RESOLVER_TIMEOUT: Duration = Duration::from_secs(5), "s", "dns.resolver.timeout", "glibc", "all",
        Documentation, "resolv.conf(5): timeout, RES_TIMEOUT, 5 s";
    /// How often it asks the same question.
    RESOLVER_ATTEMPTS: u32 = 2, "", "dns.resolver.attempts", "glibc", "all",
        Documentation, "resolv.conf(5): attempts, RES_DFLRETRY, 2";
    /// Longest wait.
    RESOLVER_TIMEOUT_MAX: Duration = Duration::from_secs(30), "s", "dns.resolver.timeout-max", "glibc", "all",
        Documentation, "resolv.conf(5): timeout, silently capped to 30";
    /// Most times.
    RESOLVER_ATTEMPTS_MAX: u32 = 5, "", "dns.resolver.attempts-max", "glibc", "all",
        Documentation, "resolv.conf(5): attempts, silently capped to 5";
    /// Questions per second that CoreDNS answers with one processor.
    COREDNS_QUESTIONS_PER_CPU: u32 = 16_834, "questions/s", "dns.coredns.questions-per-cpu", "CoreDNS", "1.x",
        Measurement, "coredns/deployment kubernetes/Scaling_CoreDNS.md: 33 669 questions/s at 2 vCPU, bound by CPU; its 6 733 external lookups/s are five questions each, 33 667 at the server";
    /// Memory of a CoreDNS that knows nothing, in millions of bytes; one more for each
    /// thousand pods and services.
    COREDNS_BASE_MEGABYTES: u32 = 54, "MB", "dns.coredns.memory-base", "CoreDNS", "1.x",
        Documentation, SCALING_COREDNS;
    /// Memory of a question that CoreDNS has not answered yet.
    COREDNS_BYTES_PER_QUESTION: u32 = 2_000, "bytes", "dns.coredns.memory-per-question", "CoreDNS", "1.x",
        Documentation, "coredns/coredns plugin/forward/README.md, max_concurrent: about 2 kB for each concurrent query";
    /// Replicas of CoreDNS in a cluster that does not say.
    COREDNS_REPLICAS: u32 = 2, "", "dns.coredns.replicas", "kubeadm", "1.13 and later",
        Source, "kubernetes/kubernetes cmd/kubeadm/app/phases/addons/dns: two replicas";
    /// CPU that one of them may use, in thousandths of a core.
    COREDNS_CPU_MILLI: u64 = 1_000, "thousandths of a core", "dns.coredns.cpu", "hybridsim", "0.1",
        Assumption, "the addon requests 100m and sets no limit; one processor is what a busy node leaves it, and what many providers allow";
    /// Memory that one of them may use.
    COREDNS_MEMORY_BYTES: u64 = 170 << 20, "bytes", "dns.coredns.memory-limit", "CoreDNS as a Kubernetes addon", "1.11 and later",
        Source, "kubernetes/kubernetes v1.20.2 cluster/addons/dns/coredns: limit 170Mi";
    /// Domain of a cluster.
    CLUSTER_DOMAIN: &'static str = "cluster.local", "", "kubernetes.dns.domain", "kubelet", "all",
        Documentation, "kubernetes.io, DNS for Services and Pods";
}
