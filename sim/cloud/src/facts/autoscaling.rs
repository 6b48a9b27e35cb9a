//! Autoscaling: of pods by the HorizontalPodAutoscaler, of nodes by the cluster autoscaler and
//! Karpenter.

use super::facts;
use engine::Duration;

/// Where the HorizontalPodAutoscaler's defaults are.
const HPA: &str = "kubernetes/kubernetes v1.20.2 pkg/controller/podautoscaler/config and pkg/apis/autoscaling/v2beta2/defaults.go; the same values in autoscaling/v2";

/// Where the cluster autoscaler's flags are listed.
const CLUSTER_AUTOSCALER: &str = "kubernetes/autoscaler cluster-autoscaler/FAQ.md, table of flags";

/// Where Karpenter's options are.
const KARPENTER: &str =
    "kubernetes-sigs/karpenter pkg/operator/options/options.go, pkg/apis/v1/nodepool.go";

facts! {
    // HorizontalPodAutoscaler
    /// Time between two syncs of an autoscaler.
    HPA_SYNC_PERIOD: Duration = Duration::from_secs(15), "s",
        "kubernetes.hpa.sync-period", "kube-controller-manager", "1.12 and later", Source, HPA;
    /// Share of the target that is no reason to scale.
    HPA_TOLERANCE: f64 = 0.1, "", "kubernetes.hpa.tolerance",
        "kube-controller-manager", "all", Source, HPA;
    /// How long after its start a pod's CPU counts only once it is ready.
    HPA_CPU_INITIALIZATION_PERIOD: Duration = Duration::from_secs(300), "s",
        "kubernetes.hpa.cpu-initialization-period", "kube-controller-manager", "1.12 and later", Source, HPA;
    /// How long after its start a pod that turned unready was never ready.
    HPA_INITIAL_READINESS_DELAY: Duration = Duration::from_secs(30), "s",
        "kubernetes.hpa.initial-readiness-delay", "kube-controller-manager", "1.12 and later", Source, HPA;
    /// How long recommendations hold replicas up.
    HPA_SCALE_DOWN_STABILIZATION: Duration = Duration::from_secs(300), "s",
        "kubernetes.hpa.scale-down.stabilization", "kube-controller-manager", "1.12 and later", Source, HPA;
    /// How long recommendations hold replicas down.
    HPA_SCALE_UP_STABILIZATION: Duration = Duration::ZERO, "s",
        "kubernetes.hpa.scale-up.stabilization", "kube-controller-manager", "1.18 and later", Source, HPA;
    /// Period of the default policies.
    HPA_POLICY_PERIOD: Duration = Duration::from_secs(15), "s",
        "kubernetes.hpa.policy-period", "kube-apiserver", "1.18 and later", Source, HPA;
    /// Pods that the default policies may add in a period.
    HPA_SCALE_UP_PODS: u32 = 4, "pods", "kubernetes.hpa.scale-up.pods",
        "kube-apiserver", "1.18 and later", Source, HPA;
    /// Percent that the default policies may add in a period.
    HPA_SCALE_UP_PERCENT: u32 = 100, "%", "kubernetes.hpa.scale-up.percent",
        "kube-apiserver", "1.18 and later", Source, HPA;
    /// Percent that the default policy may take away in a period.
    HPA_SCALE_DOWN_PERCENT: u32 = 100, "%", "kubernetes.hpa.scale-down.percent",
        "kube-apiserver", "1.18 and later", Source, HPA;
    /// CPU utilization that an autoscaler without metrics aims at, in percent.
    HPA_CPU_UTILIZATION_PERCENT: u32 = 80, "%", "kubernetes.hpa.cpu-utilization",
        "kube-apiserver", "all", Source, HPA;
    /// Time between two samples of a pod by metrics-server, and the window of each.
    METRICS_RESOLUTION: Duration = Duration::from_secs(15), "s",
        "kubernetes.metrics-server.resolution", "metrics-server", "0.5 and later",
        Source, "kubernetes-sigs/metrics-server manifests/base/deployment.yaml, --metric-resolution=15s (the flag's own default is 60 s)";
    /// How long a container must have run to be sampled without an earlier reading.
    METRICS_FRESH_CONTAINER_MIN: Duration = Duration::from_secs(10), "s",
        "kubernetes.metrics-server.fresh-container-min", "metrics-server", "0.6 and later",
        Source, "kubernetes-sigs/metrics-server pkg/storage/pod.go, freshContainerMinMetricsResolution";
    /// Greatest age of the kubelet's own sample when metrics-server reads it.
    METRICS_KUBELET_PERIOD: Duration = Duration::from_secs(10), "s",
        "kubernetes.kubelet.metrics-period", "kubelet", "all",
        Source, "google/cadvisor housekeeping interval in kubernetes/kubernetes pkg/kubelet/cadvisor: 10 s, up to 15 s while nothing changes";

    // cluster autoscaler
    /// Time between two scans.
    CLUSTER_AUTOSCALER_SCAN_INTERVAL: Duration = Duration::from_secs(10), "s",
        "cluster-autoscaler.scan-interval", "cluster autoscaler", "1.0 and later", Documentation, CLUSTER_AUTOSCALER;
    /// How long a node may take to come.
    CLUSTER_AUTOSCALER_PROVISION_TIME_MAX: Duration = Duration::from_secs(900), "s",
        "cluster-autoscaler.provision-time-max", "cluster autoscaler", "1.0 and later", Documentation, CLUSTER_AUTOSCALER;
    /// First pause of a group that did not deliver.
    CLUSTER_AUTOSCALER_BACKOFF: Duration = Duration::from_secs(300), "s",
        "cluster-autoscaler.backoff", "cluster autoscaler", "1.0 and later", Documentation, CLUSTER_AUTOSCALER;
    /// Longest such pause.
    CLUSTER_AUTOSCALER_BACKOFF_MAX: Duration = Duration::from_secs(1_800), "s",
        "cluster-autoscaler.backoff-max", "cluster autoscaler", "1.0 and later", Documentation, CLUSTER_AUTOSCALER;
    /// After this long without a failure the first pause holds again.
    CLUSTER_AUTOSCALER_BACKOFF_RESET: Duration = Duration::from_secs(10_800), "s",
        "cluster-autoscaler.backoff-reset", "cluster autoscaler", "1.0 and later", Documentation, CLUSTER_AUTOSCALER;
    /// How long a node is unneeded before it goes.
    CLUSTER_AUTOSCALER_UNNEEDED_TIME: Duration = Duration::from_secs(600), "s",
        "cluster-autoscaler.unneeded-time", "cluster autoscaler", "1.0 and later", Documentation, CLUSTER_AUTOSCALER;
    /// A node whose requests reach this share is needed.
    CLUSTER_AUTOSCALER_UTILIZATION_THRESHOLD: f64 = 0.5, "",
        "cluster-autoscaler.utilization-threshold", "cluster autoscaler", "1.0 and later", Documentation, CLUSTER_AUTOSCALER;
    /// How long no node goes after one was added.
    CLUSTER_AUTOSCALER_DELAY_AFTER_ADD: Duration = Duration::from_secs(600), "s",
        "cluster-autoscaler.delay-after-add", "cluster autoscaler", "1.0 and later", Documentation, CLUSTER_AUTOSCALER;
    /// Empty nodes that go at once.
    CLUSTER_AUTOSCALER_EMPTY_BULK: u32 = 10, "nodes",
        "cluster-autoscaler.empty-bulk", "cluster autoscaler", "1.0 and later", Documentation, CLUSTER_AUTOSCALER;
    /// How long a pod may refuse to be evicted before its node is kept.
    CLUSTER_AUTOSCALER_EVICTION_TIME_MAX: Duration = Duration::from_secs(120), "s",
        "cluster-autoscaler.eviction-time-max", "cluster autoscaler", "1.0 and later", Documentation, CLUSTER_AUTOSCALER;
    /// From a node's taint to the first eviction.
    CLUSTER_AUTOSCALER_TAINT_DELAY: Duration = Duration::from_secs(5), "s",
        "cluster-autoscaler.taint-delay", "cluster autoscaler", "1.24 and later", Documentation, CLUSTER_AUTOSCALER;
    /// Least time from the order of a node to its being Ready.
    NODE_BOOT_MIN: Duration = Duration::from_secs(180), "s",
        "cluster-autoscaler.node-boot-min", "Google Compute Engine", "2020s",
        Documentation, "kubernetes/autoscaler cluster-autoscaler/FAQ.md: 3 to 4 minutes from the request to a schedulable node on GCE; on Amazon EKS 3 to 5 are reported";
    /// Greatest such time.
    NODE_BOOT_MAX: Duration = Duration::from_secs(240), "s",
        "cluster-autoscaler.node-boot-max", "Google Compute Engine", "2020s",
        Documentation, "kubernetes/autoscaler cluster-autoscaler/FAQ.md: 3 to 4 minutes from the request to a schedulable node on GCE";

    // Karpenter
    /// A batch closes when no pod came for this long.
    KARPENTER_BATCH_IDLE: Duration = Duration::from_secs(1), "s",
        "karpenter.batch-idle", "Karpenter", "0.30 and later", Source, KARPENTER;
    /// A batch closes after this long.
    KARPENTER_BATCH_MAX: Duration = Duration::from_secs(10), "s",
        "karpenter.batch-max", "Karpenter", "0.30 and later", Source, KARPENTER;
    /// Time between two looks at what could be consolidated.
    KARPENTER_CONSOLIDATION_PERIOD: Duration = Duration::from_secs(10), "s",
        "karpenter.consolidation-period", "Karpenter", "1.0 and later", Source, KARPENTER;
    /// Percent of the nodes that may be disrupted at once.
    KARPENTER_BUDGET_PERCENT: u32 = 10, "%",
        "karpenter.budget", "Karpenter", "1.0 and later", Source, KARPENTER;
    /// How long Karpenter takes no note of further pods that come to a node or are deleted.
    KARPENTER_POD_EVENT_PAUSE: Duration = Duration::from_secs(10), "s",
        "karpenter.pod-event-pause", "Karpenter", "1.0 and later",
        Source, "kubernetes-sigs/karpenter pkg/controllers/nodeclaim/podevents/controller.go: dedupeTimeout";
    /// How long a machine may take to come.
    KARPENTER_REGISTRATION_TIMEOUT: Duration = Duration::from_secs(900), "s",
        "karpenter.registration-timeout", "Karpenter", "1.0 and later",
        Source, "kubernetes-sigs/karpenter pkg/controllers/nodeclaim/lifecycle/liveness.go: registration within 15 min";
    /// How long a new node is kept for the pods that it was ordered for.
    KARPENTER_NOMINATION: Duration = Duration::from_secs(20), "s",
        "karpenter.nomination", "Karpenter", "0.30 and later",
        Assumption, "a node is nominated for its pods for twice the longest batch, as its state package is remembered to do";
    /// Least time from the order of a machine to its being Ready.
    KARPENTER_BOOT_MIN: Duration = Duration::from_secs(40), "s",
        "karpenter.node-boot-min", "Amazon EC2", "2020s",
        Assumption, "less than 60 s is claimed for nodes that Karpenter launches without a group; reports reach 5 minutes";
    /// Greatest such time.
    KARPENTER_BOOT_MAX: Duration = Duration::from_secs(75), "s",
        "karpenter.node-boot-max", "Amazon EC2", "2020s",
        Assumption, "less than 60 s is claimed for nodes that Karpenter launches without a group; reports reach 5 minutes";
}
