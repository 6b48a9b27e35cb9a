//! Kubernetes' control plane in time: leases and evictions, leader election, watches, writes,
//! the pacing of kube-proxy, and what clients may ask for.

use super::facts;
use engine::Duration;

/// Where the node lifecycle controller keeps its constants.
const NODE_LIFECYCLE: &str = "kubernetes/kubernetes v1.20.2 pkg/controller/nodelifecycle, its options and scheduler/rate_limited_queue.go";

/// Where leader election keeps its constants.
const LEADER_ELECTION: &str = "kubernetes/client-go tools/leaderelection/leaderelection.go; kubernetes/kubernetes v1.20.2 staging/src/k8s.io/component-base/config/v1alpha1/defaults.go";

/// Where watches are kept up.
const REFLECTOR: &str = "kubernetes/client-go tools/cache/reflector.go";

/// Where kube-proxy's runner lives.
const RUNNER: &str = "kubernetes/kubernetes v1.30.5 pkg/proxy/iptables/proxier.go, pkg/proxy/apis/config/v1alpha1/defaults.go";

/// Where EndpointSlices are retried.
const SLICE_CONTROLLER: &str =
    "kubernetes/kubernetes v1.20.2 pkg/controller/endpointslice/endpointslice_controller.go";

/// What was recorded of the EndpointSlice controller.
const SLICE_RECORDING: &str = "kube-controller-manager 1.36.2: patch reply to slice event, 34 samples (tests/parity/controllers/endpointslice-delay.jsonl)";

/// Where etcd's timers are.
const ETCD: &str = "etcd-io/etcd embed/config.go, as vendored by kubernetes/kubernetes v1.20.2";

facts! {
    // kube-proxy
    /// When a failed sync is tried again.
    KUBE_PROXY_SYNC_PERIOD: Duration = Duration::from_secs(30), "s",
        "kubernetes.kube-proxy.sync-period", "kube-proxy iptables, nftables", "1.20 and later", Source, RUNNER;
    /// A sync comes at least so often, and rewrites everything.
    KUBE_PROXY_FULL_SYNC_PERIOD: Duration = Duration::from_secs(3600), "s",
        "kubernetes.kube-proxy.full-sync-period", "kube-proxy iptables, nftables", "1.20 and later", Source, RUNNER;
    /// Syncs that may follow each other at once.
    KUBE_PROXY_SYNC_BURST: u32 = 2, "", "kubernetes.kube-proxy.sync-burst", "kube-proxy", "1.33 and earlier",
        Source, "kubernetes/kubernetes v1.30.5 pkg/util/async/bounded_frequency_runner.go";
    /// Minor version from which syncs have no burst.
    KUBE_PROXY_SPACED_FROM_MINOR: u32 = 34, "", "kubernetes.kube-proxy.spaced-from-minor", "kube-proxy", "1.34 and later",
        Assumption, "pkg/proxy/runner waits after each run and was found on 1.36.2 by its distances; 1.30.5 has the burst; the release between is not known exactly";
    /// From a kube-proxy's start to its lists being there.
    KUBE_PROXY_START_UP: Duration = Duration::from_millis(600), "ms",
        "kubernetes.kube-proxy.start-up", "kube-proxy", "1.36",
        Measurement, "kube-proxy 1.36.2: 0.8 s from process start to the end of the first full sync, of which the sync took 0.13 to 0.19 s";

    // node lifecycle
    /// Nodes per second that are tainted for eviction in a zone that is well.
    NODE_EVICTION_RATE: f64 = 0.1, "per s", "kubernetes.node.eviction-rate",
        "kube-controller-manager", "all", Source, NODE_LIFECYCLE;
    /// The same in a large zone most of whose nodes are lost; in a small one nothing is evicted.
    NODE_EVICTION_RATE_SECONDARY: f64 = 0.01, "per s", "kubernetes.node.eviction-rate-secondary",
        "kube-controller-manager", "all", Source, NODE_LIFECYCLE;
    /// Nodes above which a zone counts as large.
    NODE_EVICTION_LARGE_ZONE: u32 = 50, "", "kubernetes.node.eviction-large-zone",
        "kube-controller-manager", "all", Source, NODE_LIFECYCLE;
    /// Share of lost nodes from which a zone counts as disrupted.
    NODE_ZONE_UNHEALTHY_SHARE: f64 = 0.55, "", "kubernetes.node.zone-unhealthy-share",
        "kube-controller-manager", "all", Source, NODE_LIFECYCLE;
    /// So many lost nodes are never a disruption of their zone.
    NODE_ZONE_UNHEALTHY_MIN: u32 = 2, "", "kubernetes.node.zone-unhealthy-min",
        "kube-controller-manager", "all", Source, NODE_LIFECYCLE;
    /// How often the queue of nodes to be tainted is polled.
    NODE_EVICTION_POLL: Duration = Duration::from_millis(100), "ms",
        "kubernetes.node.eviction-poll", "kube-controller-manager", "all", Source, NODE_LIFECYCLE;
    /// Greatest delay of the NoExecute taint beyond that.
    NODE_NO_EXECUTE_DELAY_MAX: Duration = Duration::from_millis(1_300), "ms",
        "kubernetes.node.no-execute-delay-max", "kube-controller-manager", "1.36",
        Measurement, "kube-controller-manager 1.36.2, 16 losses of one node per zone: 0.06 to 1.39 s after the node is unknown, mean 0.69 s";
    /// From a node being marked unknown to its NoSchedule taint.
    NODE_NO_SCHEDULE_DELAY: Duration = Duration::from_millis(90), "ms",
        "kubernetes.node.no-schedule-delay", "kube-controller-manager", "1.36",
        Measurement, "kube-controller-manager 1.36.2, 34 node losses: median 90 ms, 17 ms to 0.57 s";
    /// From the end of the toleration to the deletion of the pod.
    TAINT_DELETION_DELAY: Duration = Duration::from_millis(58), "ms",
        "kubernetes.node.taint-deletion-delay", "kube-controller-manager", "1.36",
        Measurement, "kube-controller-manager 1.36.2, toleration of 30 s: deleted after 30.015 to 30.32 s, median 30.058 s, 28 pods";
    /// How often the pod garbage collector looks.
    POD_GC_PERIOD: Duration = Duration::from_secs(20), "s",
        "kubernetes.pod-gc.period", "kube-controller-manager", "all",
        Source, "kubernetes/kubernetes pkg/controller/podgc/gc_controller.go, gcCheckPeriod";
    /// How long a node must be gone before its pods are removed by force.
    POD_GC_QUARANTINE: Duration = Duration::from_secs(40), "s",
        "kubernetes.pod-gc.quarantine", "kube-controller-manager", "1.18 and later",
        Source, "kubernetes/kubernetes pkg/controller/podgc/gc_controller.go, quarantineTime";
    /// How often a kubelet looks whether its node's status has to be written.
    NODE_STATUS_UPDATE_PERIOD: Duration = Duration::from_secs(10), "s",
        "kubernetes.node.status-update-period", "kubelet", "all",
        Source, "kubernetes/kubelet config/v1beta1/types.go, nodeStatusUpdateFrequency";
    /// Greatest pause of a kubelet between two attempts to renew its lease.
    NODE_LEASE_RETRY_MAX: Duration = Duration::from_secs(7), "s",
        "kubernetes.node.lease-retry-max", "kubelet", "1.17 and later",
        Source, "kubernetes/kubernetes v1.20.2 staging/src/k8s.io/component-helpers/apimachinery/lease/controller.go, maxBackoff";

    // leader election
    /// How long a standby waits for a leader it has not heard of.
    LEADER_LEASE_DURATION: Duration = Duration::from_secs(15), "s",
        "kubernetes.leader.lease-duration", "kube-controller-manager, kube-scheduler", "all", Source, LEADER_ELECTION;
    /// How long a leader tries to renew before it gives up.
    LEADER_RENEW_DEADLINE: Duration = Duration::from_secs(10), "s",
        "kubernetes.leader.renew-deadline", "kube-controller-manager, kube-scheduler", "all", Source, LEADER_ELECTION;
    /// Pause between two tries.
    LEADER_RETRY_PERIOD: Duration = Duration::from_secs(2), "s",
        "kubernetes.leader.retry-period", "kube-controller-manager, kube-scheduler", "all", Source, LEADER_ELECTION;
    /// A standby waits up to this share longer.
    LEADER_JITTER: f64 = 1.2, "", "kubernetes.leader.jitter",
        "kube-controller-manager, kube-scheduler", "all", Source, LEADER_ELECTION;
    /// Control-plane machines of a cluster: one leader, the others stand by.
    CONTROL_PLANE_MEMBERS: u32 = 3, "", "kubernetes.control-plane.members", "hybridsim", "0.1",
        Assumption, "the fewest that keep etcd's quorum when one is lost";
    /// From a controller's process start, or its election, to its work.
    CONTROLLER_START_UP: Duration = Duration::from_secs(2), "s",
        "kubernetes.controller.start-up", "kube-controller-manager, kube-scheduler", "all",
        Assumption, "informers list everything before the first decision; seconds in a cluster of ordinary size";
    /// How long a controller's process lives that does not reach the API server at its start.
    CONTROLLER_START_FAILURE: Duration = Duration::from_secs(1), "s",
        "kubernetes.controller.start-failure", "kube-controller-manager, kube-scheduler", "all",
        Assumption, "it exits as soon as it cannot read the configuration of authentication";
    /// A container that has run so long starts with the shortest pause again.
    RESTART_BACKOFF_RESET: Duration = Duration::from_secs(600), "s",
        "kubernetes.pod.restart-backoff-reset", "kubelet", "all",
        Source, "kubernetes/client-go util/flowcontrol/backoff.go: an entry expires after twice the greatest pause";

    // watches
    /// First pause before a broken watch is opened again.
    WATCH_BACKOFF: Duration = Duration::from_millis(800), "ms",
        "kubernetes.watch.backoff", "client-go", "1.20 and later", Source, REFLECTOR;
    /// Greatest such pause, before its jitter.
    WATCH_BACKOFF_MAX: Duration = Duration::from_secs(30), "s",
        "kubernetes.watch.backoff-max", "client-go", "1.20 and later", Source, REFLECTOR;
    /// Pauses are up to this share longer.
    WATCH_BACKOFF_JITTER: f64 = 1.0, "", "kubernetes.watch.backoff-jitter", "client-go", "1.20 and later", Source, REFLECTOR;
    /// After so long without trouble the first pause is the shortest again.
    WATCH_BACKOFF_RESET: Duration = Duration::from_secs(120), "s",
        "kubernetes.watch.backoff-reset", "client-go", "1.20 and later", Source, REFLECTOR;
    /// How long a connection may be silent before it is pinged.
    API_CONNECTION_IDLE: Duration = Duration::from_secs(30), "s",
        "kubernetes.api.connection-idle", "client-go", "1.20 and later",
        Source, "comment in kubernetes/kubernetes pkg/controller/nodelifecycle/node_lifecycle_controller.go: HTTP/2 ping after 30 s";
    /// How long the answer to that ping is awaited.
    API_CONNECTION_PING_TIMEOUT: Duration = Duration::from_secs(15), "s",
        "kubernetes.api.connection-ping-timeout", "client-go", "1.20 and later",
        Source, "comment in kubernetes/kubernetes pkg/controller/nodelifecycle/node_lifecycle_controller.go: closed after 15 s more";

    // API server and etcd
    /// How long etcd's followers wait for their leader; each waits up to twice as long.
    ETCD_ELECTION_TIMEOUT: Duration = Duration::from_secs(1), "s",
        "etcd.election-timeout", "etcd", "3.4 and later", Source, ETCD;

    // what clients may ask for
    /// Requests per second of the controller manager, over a burst.
    CONTROLLER_MANAGER_QPS: f64 = 20.0, "per s", "kubernetes.client.controller-manager.qps",
        "kube-controller-manager", "all", Documentation, "kubernetes.io, kube-controller-manager --kube-api-qps (default 20)";
    /// Its burst.
    CONTROLLER_MANAGER_BURST: u32 = 30, "", "kubernetes.client.controller-manager.burst",
        "kube-controller-manager", "all", Documentation, "kubernetes.io, kube-controller-manager --kube-api-burst (default 30)";
    /// Requests per second of the scheduler, over a burst.
    SCHEDULER_QPS: f64 = 50.0, "per s", "kubernetes.client.scheduler.qps",
        "kube-scheduler", "all", Documentation, "kubernetes.io, KubeSchedulerConfiguration clientConnection (default qps 50)";
    /// Its burst.
    SCHEDULER_BURST: u32 = 100, "", "kubernetes.client.scheduler.burst",
        "kube-scheduler", "all", Documentation, "kubernetes.io, KubeSchedulerConfiguration clientConnection (default burst 100)";
    /// Requests per second of a kubelet, over a burst.
    KUBELET_QPS: f64 = 50.0, "per s", "kubernetes.client.kubelet.qps",
        "kubelet", "1.27 and later", Source, "kubernetes/kubelet config/v1beta1/types.go, kubeAPIQPS";
    /// Its burst.
    KUBELET_BURST: u32 = 100, "", "kubernetes.client.kubelet.burst",
        "kubelet", "1.27 and later", Source, "kubernetes/kubelet config/v1beta1/types.go, kubeAPIBurst";
    /// The same before they were raised, and of kube-proxy to this day.
    CLIENT_QPS: f64 = 5.0, "per s", "kubernetes.client.qps",
        "kube-proxy; kubelet 1.26 and earlier", "all",
        Source, "kubernetes/kubernetes v1.30.5 pkg/proxy/apis/config/v1alpha1/defaults.go; the kubelet's change in 1.27 is from memory of its changelog";
    /// Its burst.
    CLIENT_BURST: u32 = 10, "", "kubernetes.client.burst",
        "kube-proxy; kubelet 1.26 and earlier", "all",
        Source, "kubernetes/kubernetes v1.30.5 pkg/proxy/apis/config/v1alpha1/defaults.go, clientConnection";

    // EndpointSlices
    /// Most endpoints in one slice.
    ENDPOINT_SLICE_ENDPOINTS_MAX: u32 = 100, "", "kubernetes.endpointslice.endpoints-max",
        "kube-controller-manager", "1.21 and later", Source, SLICE_CONTROLLER;
    /// First pause before a failed update of a service's slices is tried again.
    ENDPOINT_SLICE_RETRY: Duration = Duration::from_secs(1), "s",
        "kubernetes.endpointslice.retry", "kube-controller-manager", "1.21 and later", Source, SLICE_CONTROLLER;
    /// Greatest such pause.
    ENDPOINT_SLICE_RETRY_MAX: Duration = Duration::from_secs(100), "s",
        "kubernetes.endpointslice.retry-max", "kube-controller-manager", "1.21 and later", Source, SLICE_CONTROLLER;
    /// Least delay from a pod's status to its slice.
    ENDPOINT_SLICE_DELAY_MIN: Duration = Duration::from_micros(1_300), "ms",
        "kubernetes.endpointslice.delay-min", "kube-controller-manager", "1.36", Measurement, SLICE_RECORDING;
    /// The delay that one in four stays below.
    ENDPOINT_SLICE_DELAY_P25: Duration = Duration::from_micros(8_700), "ms",
        "kubernetes.endpointslice.delay-p25", "kube-controller-manager", "1.36", Measurement, SLICE_RECORDING;
    /// The delay that nine of ten stay below.
    ENDPOINT_SLICE_DELAY_P90: Duration = Duration::from_millis(17), "ms",
        "kubernetes.endpointslice.delay-p90", "kube-controller-manager", "1.36", Measurement, SLICE_RECORDING;
    /// The delay that 97 of 100 stay below.
    ENDPOINT_SLICE_DELAY_P97: Duration = Duration::from_millis(27), "ms",
        "kubernetes.endpointslice.delay-p97", "kube-controller-manager", "1.36", Measurement, SLICE_RECORDING;
    /// Greatest delay.
    ENDPOINT_SLICE_DELAY_MAX: Duration = Duration::from_micros(106_400), "ms",
        "kubernetes.endpointslice.delay-max", "kube-controller-manager", "1.36", Measurement, SLICE_RECORDING;
    /// Share of updates in a burst that find the controller's own view too old.
    ENDPOINT_SLICE_RACE_SHARE: f64 = 1.0 / 30.0, "", "kubernetes.endpointslice.race-share",
        "kube-controller-manager", "1.36",
        Measurement, "kube-controller-manager 1.36.2: 1 of 30 updates in bursts of five came about 1 s late, its log: informer cache is out of date";
    /// Updates closer than this to the one before are a burst.
    ENDPOINT_SLICE_BURST_GAP: Duration = Duration::from_secs(1), "s",
        "kubernetes.endpointslice.burst-gap", "kube-controller-manager", "1.36",
        Assumption, "updates 1.6 s apart were never late, those within 0.9 s were at times";
}
