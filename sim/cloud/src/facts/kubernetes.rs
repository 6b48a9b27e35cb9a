//! Kubernetes: control plane, kube-proxy, scheduler, and the checks of load balancers.

use super::{Fact, facts};
use engine::Duration;

/// Release that the controllers' constants were read in.
const KUBERNETES_1_20: &str =
    "kubernetes/kubernetes v1.20.2, pkg/controller, pkg/kubelet, pkg/scheduler";

/// Where the nodes of load balancers are picked.
const SERVICE_CONTROLLER: &str =
    "kubernetes/cloud-provider v0.36.1 controllers/service/controller.go: stableNodeSetPredicates";

/// Where the scheduler's plugins get their weights.
const SCHEDULER_WEIGHTS: &str = "kubernetes/kubernetes pkg/scheduler/apis/config/v1/default_plugins.go, the same in 1.23 and 1.35";

/// How many nodes the scheduler looks at.
const SCHEDULER_SAMPLING: &str = "kubernetes/kubernetes pkg/scheduler/schedule_one.go, numFeasibleNodesToFind; kubernetes.io, Scheduler Performance Tuning";

facts! {
    /// Minor version of a cluster that does not say its own.
    KUBERNETES_MINOR: u32 = 33, "", "kubernetes.minor-version", "hybridsim", "0.1",
        Assumption, "every default of this list holds for it; the last of them to change did so in 1.32";

    // kube-proxy
    /// Least time between the end of one sync of a node's rules and the start of the next.
    KUBE_PROXY_MIN_SYNC_PERIOD: Duration = Duration::from_secs(1), "s",
        "kubernetes.kube-proxy.min-sync-period", "kube-proxy iptables, nftables", "1.20 and later",
        Source, "kubernetes/kubernetes v1.30.5 pkg/proxy/apis/config/v1alpha1/defaults.go; back-to-back syncs measured 1.000 to 1.002 s apart on 1.36.2";
    /// Bit of a packet's mark that asks for masquerading.
    KUBE_PROXY_MASQUERADE_BIT: u32 = 14, "", "kubernetes.kube-proxy.masquerade-bit", "kube-proxy", "all",
        Source, "kubernetes/kubernetes v1.30.5 pkg/proxy/apis/config/v1alpha1/defaults.go";
    /// With more endpoints than this, over all service ports, rules lose their comments.
    KUBE_PROXY_LARGE_CLUSTER_ENDPOINTS: u32 = 1000, "endpoints",
        "kubernetes.kube-proxy.large-cluster-endpoints", "kube-proxy iptables", "1.24 and later",
        Source, "kubernetes/kubernetes v1.30.5 pkg/proxy/iptables/proxier.go, largeClusterEndpointsThreshold";
    /// How long `sessionAffinity: ClientIP` remembers a client.
    SESSION_AFFINITY_TIMEOUT: Duration = Duration::from_secs(10_800), "s",
        "kubernetes.service.session-affinity-timeout", "Kubernetes Service", "all",
        Documentation, "kubernetes.io, Virtual IPs and Service Proxies, session stickiness timeout";
    /// How many clients each list of netfilter's `recent` module remembers.
    RECENT_SOURCES: u64 = 100, "",
        "kubernetes.kube-proxy.recent-sources", "Linux netfilter", "all",
        Source, "torvalds/linux net/netfilter/xt_recent.c, ip_list_tot";

    // EndpointSlices and watches
    /// From a pod's change of readiness to the changed EndpointSlice.
    ENDPOINT_SLICE_DELAY: Duration = Duration::from_millis(11), "ms",
        "kubernetes.endpointslice.delay", "kube-controller-manager", "1.21 and later",
        Measurement, "kube-controller-manager 1.36.2: pod status patch to slice event, 20 samples, median 11 ms, 90 % 17 ms, greatest 106 ms";
    /// From a write at the API server to a watcher holding it.
    WATCH_DELAY: Duration = Duration::from_millis(5), "ms",
        "kubernetes.watch.delay", "kube-apiserver", "all",
        Assumption, "patch reply to slice event takes at least 1.3 ms on 1.36.2, which holds one watch and one write; 5 ms leaves room for a loaded API server";
    /// How long the API server takes to accept a write.
    API_WRITE_DELAY: Duration = Duration::from_millis(5), "ms",
        "kubernetes.api.write-delay", "kube-apiserver, etcd", "all",
        Assumption, "far below the service-level objective of 1 s (kubernetes/community sig-scalability/slos/slos.md); one etcd commit on SSD takes milliseconds";

    /// How long the API server takes to answer a read of one object.
    API_READ_DELAY: Duration = Duration::from_millis(3), "ms",
        "kubernetes.api.read-delay", "kube-apiserver, etcd", "all",
        Assumption, "a read that wants the newest asks etcd's leader and commits nothing: less than a write";

    // nodes
    /// How often a kubelet renews its node's lease.
    NODE_LEASE_RENEW_INTERVAL: Duration = Duration::from_secs(10), "s",
        "kubernetes.node.lease-renew-interval", "kubelet", "1.17 and later",
        Source, "kubernetes/kubelet config/v1beta1/types.go: lease of 40 s, renewed at a quarter of it";
    /// How often the node lifecycle controller looks at all nodes.
    NODE_MONITOR_PERIOD: Duration = Duration::from_secs(5), "s",
        "kubernetes.node.monitor-period", "kube-controller-manager", "all",
        Source, "kubernetes/kubernetes v1.20.2 staging/src/k8s.io/cloud-provider, --node-monitor-period";
    /// How long a node may be silent before it counts as lost; see [`node_monitor_grace_period`].
    NODE_MONITOR_GRACE_PERIOD_UNTIL_31: Duration = Duration::from_secs(40), "s",
        "kubernetes.node.monitor-grace-period.until-1.31", "kube-controller-manager", "1.31 and earlier",
        Source, "kubernetes/kubernetes v1.20.2, --node-monitor-grace-period";
    /// The same since it was raised.
    NODE_MONITOR_GRACE_PERIOD_FROM_32: Duration = Duration::from_secs(50), "s",
        "kubernetes.node.monitor-grace-period.from-1.32", "kube-controller-manager", "1.32 and later",
        Documentation, "kubernetes CHANGELOG-1.32, pull request 126287";
    /// How long pods stay bound to an unreachable node (toleration that admission adds).
    UNREACHABLE_TOLERATION: Duration = Duration::from_secs(300), "s",
        "kubernetes.node.unreachable-toleration", "kube-apiserver", "all",
        Source, "kubernetes/kubernetes v1.20.2 plugin/pkg/admission/defaulttolerationseconds";
    /// From a node being marked unknown to its pods being marked not ready.
    NODE_UNKNOWN_TO_PODS_NOT_READY: Duration = Duration::from_millis(37), "ms",
        "kubernetes.node.unknown-to-pods-not-ready", "kube-controller-manager", "1.20 and later",
        Measurement, "kube-controller-manager 1.36.2, 34 node losses: median 37 ms, greatest 0.32 s";
    /// CPU of a node that no manifest describes, in thousandths of a core.
    NODE_CPU_MILLI: u64 = 4000, "thousandths of a core", "kubernetes.node.cpu", "hybridsim", "0.1",
        Assumption, "a common general-purpose machine (as AWS m-family xlarge: 4 vCPU, 16 GiB)";
    /// Memory of such a node.
    NODE_MEMORY_BYTES: u64 = 16 << 30, "bytes", "kubernetes.node.memory", "hybridsim", "0.1",
        Assumption, "a common general-purpose machine (as AWS m-family xlarge: 4 vCPU, 16 GiB)";
    /// Number of such nodes in a cluster that does not say.
    NODE_COUNT: u32 = 3, "", "kubernetes.node.count", "hybridsim", "0.1",
        Assumption, "the smallest cluster that survives the loss of a node and fills three zones";
    /// Most pods on a node.
    NODE_PODS_MAX: u32 = 110, "", "kubernetes.node.pods-max", "kubelet", "all",
        Source, "kubernetes/kubelet config/v1beta1/types.go, maxPods";

    // pods
    /// From being created to being bound to a node.
    SCHEDULING_DELAY: Duration = Duration::from_millis(10), "ms",
        "kubernetes.scheduler.delay", "kube-scheduler", "1.7 and later",
        Measurement, "kubernetes issue 56053: created to scheduled on an idle cluster, median 10 ms, 99 % 27 ms";
    /// From being bound to a node to being ready, for a pod whose image is there and which has
    /// no probe that says otherwise.
    POD_START_UP: Duration = Duration::from_millis(2_000), "ms",
        "kubernetes.pod.start-up", "kubelet", "1.20 and later",
        Measurement, "start-up medians of 1.4 to 2.9 s (kubernetes issue 3954) and 1.88 s (arktos issue 652, 5000 nodes); image pulls and slow applications come on top";
    /// From a controller's wish for a pod to the pod object.
    REPLACEMENT_DELAY: Duration = Duration::from_millis(20), "ms",
        "kubernetes.controller.replacement-delay", "kube-controller-manager", "all",
        Assumption, "a watch, a work-queue turn and a write; rollouts of bare control planes (1.36.2) replace pods within tens of milliseconds";
    /// First pause before a crashed container is started again.
    RESTART_BACKOFF: Duration = Duration::from_secs(10), "s",
        "kubernetes.pod.restart-backoff", "kubelet", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/kubelet: 10 s, doubling";
    /// Greatest such pause.
    RESTART_BACKOFF_MAX: Duration = Duration::from_secs(300), "s",
        "kubernetes.pod.restart-backoff-max", "kubelet", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/kubelet: at most 300 s";
    /// How long a pod that is asked to stop may take.
    TERMINATION_GRACE_PERIOD: Duration = Duration::from_secs(30), "s",
        "kubernetes.pod.termination-grace-period", "Kubernetes Pod", "all",
        Source, "kubernetes/kubernetes v1.30.5 pkg/apis/core/v1/defaults.go";
    /// Time between two readiness probes.
    PROBE_PERIOD: Duration = Duration::from_secs(10), "s",
        "kubernetes.probe.period", "kubelet", "all",
        Source, "kubernetes/kubernetes v1.30.5 pkg/apis/core/v1/defaults.go";
    /// How long the kubelet's own view of its containers lags behind.
    PLEG_RELIST_PERIOD: Duration = Duration::from_secs(1), "s",
        "kubernetes.kubelet.relist-period", "kubelet", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/kubelet/kubelet.go, plegRelistPeriod";

    // scheduler
    /// What scoring counts for a pod that requests no CPU, in thousandths of a core.
    SCHEDULER_CPU_MILLI_UNSET: u64 = 100, "thousandths of a core",
        "kubernetes.scheduler.cpu-unset", "kube-scheduler", "all", Source, KUBERNETES_1_20;
    /// What scoring counts for a pod that requests no memory.
    SCHEDULER_MEMORY_BYTES_UNSET: u64 = 200 << 20, "bytes",
        "kubernetes.scheduler.memory-unset", "kube-scheduler", "all", Source, KUBERNETES_1_20;
    /// With fewer nodes all are looked at, and never are fewer nodes enough.
    SCHEDULER_NODES_LEAST: u32 = 100, "nodes", "kubernetes.scheduler.nodes-least",
        "kube-scheduler", "1.12 and later", Source, SCHEDULER_SAMPLING;
    /// Share of a small cluster's nodes that is enough to choose among.
    SCHEDULER_NODES_PERCENT: u32 = 50, "%", "kubernetes.scheduler.nodes-percent",
        "kube-scheduler", "1.14 and later", Source, SCHEDULER_SAMPLING;
    /// With each so many nodes that share is one hundredth less.
    SCHEDULER_NODES_PER_PERCENT: u32 = 125, "nodes", "kubernetes.scheduler.nodes-per-percent",
        "kube-scheduler", "1.14 and later", Source, SCHEDULER_SAMPLING;
    /// Least share of a cluster's nodes that is enough to choose among.
    SCHEDULER_NODES_PERCENT_LEAST: u32 = 5, "%", "kubernetes.scheduler.nodes-percent-least",
        "kube-scheduler", "1.14 and later", Source, SCHEDULER_SAMPLING;
    /// Weight of preferring nodes with much left (NodeResourcesFit, LeastAllocated).
    SCHEDULER_WEIGHT_LEAST_ALLOCATED: u64 = 1, "", "kubernetes.scheduler.weight.least-allocated",
        "kube-scheduler", "1.23 and later", Source,
        SCHEDULER_WEIGHTS;
    /// Weight of balancing CPU against memory (NodeResourcesBalancedAllocation).
    SCHEDULER_WEIGHT_BALANCED_ALLOCATION: u64 = 1, "", "kubernetes.scheduler.weight.balanced-allocation",
        "kube-scheduler", "1.23 and later", Source,
        SCHEDULER_WEIGHTS;
    /// Weight of staying away from PreferNoSchedule taints (TaintToleration).
    SCHEDULER_WEIGHT_TAINT_TOLERATION: u64 = 3, "", "kubernetes.scheduler.weight.taint-toleration",
        "kube-scheduler", "1.23 and later", Source,
        SCHEDULER_WEIGHTS;
    /// Weight of spreading over domains (PodTopologySpread).
    SCHEDULER_WEIGHT_TOPOLOGY_SPREAD: u64 = 2, "", "kubernetes.scheduler.weight.topology-spread",
        "kube-scheduler", "1.23 and later", Source,
        SCHEDULER_WEIGHTS;
    /// Skew over nodes of the constraint for pods without constraints of their own.
    SCHEDULER_DEFAULT_SKEW_NODE: u32 = 3, "", "kubernetes.scheduler.default-skew.node",
        "kube-scheduler", "1.20 and later", Source, KUBERNETES_1_20;
    /// Skew over zones of the constraint for pods without constraints of their own.
    SCHEDULER_DEFAULT_SKEW_ZONE: u32 = 5, "", "kubernetes.scheduler.default-skew.zone",
        "kube-scheduler", "1.20 and later", Source, KUBERNETES_1_20;

    // load balancers
    /// Time between two checks of a node by a load balancer.
    LOAD_BALANCER_CHECK_INTERVAL: Duration = Duration::from_secs(8), "s",
        "load-balancer.check-interval", "Google Cloud load balancers", "Kubernetes 1.10 and later",
        Source, "kubernetes/legacy-cloud-providers gce/gce.go, gceHcCheckIntervalSeconds; other clouds: 10 to 30 s";
    /// How long such a check waits.
    LOAD_BALANCER_CHECK_TIMEOUT: Duration = Duration::from_secs(1), "s",
        "load-balancer.check-timeout", "Google Cloud load balancers", "Kubernetes 1.10 and later",
        Source, "kubernetes/legacy-cloud-providers gce/gce.go, gceHcTimeoutSeconds";
    /// Failures in a row that take a node out.
    LOAD_BALANCER_CHECK_FAILURES: u32 = 3, "", "load-balancer.check-failures",
        "Google Cloud load balancers", "Kubernetes 1.10 and later",
        Source, "kubernetes/legacy-cloud-providers gce/gce.go, gceHcUnhealthyThreshold";
    /// Successes in a row that bring it back.
    LOAD_BALANCER_CHECK_SUCCESSES: u32 = 1, "", "load-balancer.check-successes",
        "Google Cloud load balancers", "Kubernetes 1.10 and later",
        Source, "kubernetes/legacy-cloud-providers gce/gce.go, gceHcHealthyThreshold";

    /// Label of nodes that load balancers are not told of.
    LOAD_BALANCER_EXCLUSION: &'static str = "node.kubernetes.io/exclude-from-external-load-balancers", "",
        "load-balancer.exclusion", "service controller", "1.19 and later",
        Source, SERVICE_CONTROLLER;
    /// Minor version since which its value counts: `false` excludes nobody.
    LOAD_BALANCER_EXCLUSION_VALUE_MINOR: u32 = 34, "", "load-balancer.exclusion-value-minor",
        "service controller", "1.34 and later",
        Source, "kubernetes/cloud-provider v0.33.0 and v0.34.0 controllers/service/controller.go: nodeIncludedPredicate";

    // L7 proxies
    /// What an ingress controller or gateway spends on one request.
    L7_PROXY_SERVICE_TIME: Duration = Duration::from_micros(250), "µs",
        "l7-proxy.service-time", "Envoy", "1.5 to 1.30",
        Measurement, "CPU per request per proxy of 0.15 to 0.29 ms at 1 kB over HTTP/1.1, from istio.io performance tables; rises with TLS and access logs";
    /// Worker threads of such a proxy.
    L7_PROXY_WORKERS: u32 = 2, "", "l7-proxy.workers", "Envoy under Istio", "1.0 and later",
        Documentation, "istio.io, Performance and Scalability: proxies with 2 worker threads";
    /// Replicas of such a proxy.
    L7_PROXY_REPLICAS: u32 = 2, "", "l7-proxy.replicas", "hybridsim", "0.1",
        Assumption, "the fewest that survive the loss of one";
    /// CPU that such a proxy requests, in thousandths of a core.
    L7_PROXY_CPU_MILLI: u64 = 100, "thousandths of a core", "l7-proxy.cpu-request", "ingress-nginx, Istio gateways", "all",
        Documentation, "kubernetes/ingress-nginx and istio/istio Helm charts request 100m";
    /// Memory that such a proxy requests.
    L7_PROXY_MEMORY_BYTES: u64 = 128 << 20, "bytes", "l7-proxy.memory-request", "Istio gateways", "all",
        Documentation, "istio/istio Helm chart of the gateway requests 128Mi (kubernetes/ingress-nginx: 90Mi)";
}

/// How long a node may be silent before it counts as lost, in Kubernetes 1.`minor`.
pub fn node_monitor_grace_period(minor: u32) -> &'static Fact<Duration> {
    if minor >= 32 {
        &NODE_MONITOR_GRACE_PERIOD_FROM_32
    } else {
        &NODE_MONITOR_GRACE_PERIOD_UNTIL_31
    }
}
