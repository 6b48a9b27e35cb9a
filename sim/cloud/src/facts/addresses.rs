//! What a cluster shows of itself where nothing says otherwise: the addresses that it gives out,
//! and how long it tells of what has happened. Addresses decide where a policy asks for them.

use super::facts;
use engine::Duration;

facts! {
    /// How long an event is kept after it was seen last.
    EVENT_TTL: Duration = Duration::from_secs(3_600), "s", "kubernetes.events.ttl", "kube-apiserver", "all",
        Documentation, "kubernetes.io, kube-apiserver, --event-ttl, default 1h0m0s";
    /// Range of the pods' addresses.
    POD_RANGE: &'static str = "10.244.0.0/16", "", "kubernetes.addresses.pods", "flannel and kind", "all",
        Documentation, "flannel-io/flannel kube-flannel.yml, Network; kind.sigs.k8s.io, podSubnet";
    /// Range of the pods' addresses where the nodes of a cluster are too many for the other.
    POD_RANGE_LARGE: &'static str = "10.128.0.0/9", "", "kubernetes.addresses.pods-large", "hybridsim", "0.1",
        Assumption, "what auto mode networks of Google Cloud leave free of subnets begins here; room for 32 768 nodes";
    /// Bits of a pod's address that say its node, where its pods have room in the rest.
    NODE_MASK_BITS: u32 = 24, "bits", "kubernetes.addresses.node-mask", "kube-controller-manager", "all",
        Documentation, "kubernetes.io, kube-controller-manager, --node-cidr-mask-size-ipv4, default 24";
    /// Range of the services' addresses.
    SERVICE_RANGE: &'static str = "10.96.0.0/12", "", "kubernetes.addresses.services", "kubeadm", "all",
        Source, "kubernetes/kubernetes cmd/kubeadm/app/apis/kubeadm/v1beta3/defaults.go, DefaultServicesSubnet";
    /// Addresses at the start of that range that are kept for services that ask for one.
    SERVICE_RANGE_KEPT: u32 = 256, "addresses", "kubernetes.addresses.services-kept", "kube-apiserver", "1.26 and later",
        Documentation, "kubernetes.io, Service ClusterIP allocation: min(max(16, size / 16), 256) addresses";
    /// First port that a service may have on every node.
    NODE_PORT_FIRST: u32 = 30_000, "", "kubernetes.addresses.node-port-first", "kube-apiserver", "all",
        Documentation, "kubernetes.io, Service, --service-node-port-range, default 30000-32767";
    /// How many such ports there are.
    NODE_PORT_COUNT: u32 = 2_768, "ports", "kubernetes.addresses.node-port-count", "kube-apiserver", "all",
        Documentation, "kubernetes.io, Service, --service-node-port-range, default 30000-32767";
    /// Range of the nodes' addresses.
    NODE_RANGE: &'static str = "172.18.0.0/16", "", "kubernetes.addresses.nodes", "hybridsim", "0.1",
        Assumption, "what the first user-defined Docker network, on which kind puts its nodes, has by default";
    /// Range of load balancers' addresses.
    LOAD_BALANCER_RANGE: &'static str = "198.18.0.0/15", "", "kubernetes.addresses.load-balancers", "hybridsim", "0.1",
        Assumption, "RFC 2544: set aside for benchmarks, so that none of them is anybody's";
    /// Range of machines outside of clusters.
    MACHINE_RANGE: &'static str = "192.0.2.0/24", "", "kubernetes.addresses.machines", "hybridsim", "0.1",
        Assumption, "RFC 5737: set aside for documentation, so that none of them is anybody's";
    /// Range of users whose network does not say where its addresses lie.
    USER_RANGE: &'static str = "203.0.113.0/24", "", "kubernetes.addresses.users", "hybridsim", "0.1",
        Assumption, "RFC 5737: set aside for documentation, so that none of them is anybody's";
    /// Range of the addresses from which clusters ask others, one for each cluster.
    CLUSTER_EXIT_RANGE: &'static str = "198.51.100.0/24", "", "kubernetes.addresses.exits", "hybridsim", "0.1",
        Assumption, "RFC 5737: set aside for documentation, so that none of them is anybody's";
}
