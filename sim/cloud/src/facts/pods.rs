//! Workload controllers and kubelets: how pods come, are probed, and go.

use super::facts;
use engine::Duration;

/// Where the defaults of the core API are set.
const CORE_DEFAULTS: &str = "kubernetes/kubernetes v1.30.5 pkg/apis/core/v1/defaults.go";

facts! {
    // probes
    /// How long a probe waits for an answer.
    PROBE_TIMEOUT: Duration = Duration::from_secs(1), "s",
        "kubernetes.probe.timeout", "kubelet", "all", Source, CORE_DEFAULTS;
    /// Successes in a row that turn a probe's verdict up.
    PROBE_SUCCESS_THRESHOLD: u32 = 1, "", "kubernetes.probe.success-threshold", "kubelet", "all",
        Source, CORE_DEFAULTS;
    /// Failures in a row that turn it down.
    PROBE_FAILURE_THRESHOLD: u32 = 3, "", "kubernetes.probe.failure-threshold", "kubelet", "all",
        Source, CORE_DEFAULTS;

    // kubelet
    /// From the kubelet hearing of a pod to its sandbox with an address.
    POD_SANDBOX: Duration = Duration::from_millis(700), "ms",
        "kubernetes.kubelet.sandbox", "kubelet, containerd", "1.20 and later",
        Assumption, "what is left of start-up medians of 1.4 s (kubernetes issue 3954, 3 pods per node) after scheduling, half a relist and the container; grows with many pods per node, which is left out";
    /// From an image that is there to a running container.
    CONTAINER_START: Duration = Duration::from_millis(300), "ms",
        "kubernetes.kubelet.container-start", "kubelet, containerd", "1.20 and later",
        Assumption, "creating and starting a container takes a few tenths of a second; see kubernetes.kubelet.sandbox for the sum";
    /// Least time between the signal to stop and the kill.
    TERMINATION_GRACE_PERIOD_MIN: Duration = Duration::from_secs(2), "s",
        "kubernetes.pod.termination-grace-period-min", "kubelet", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/kubelet/kuberuntime/kuberuntime_container.go, minimumGracePeriodInSeconds";

    // controllers
    /// Surge, and pods that may be unavailable, of a rolling update that does not say.
    ROLLING_UPDATE_PERCENT: u32 = 25, "%", "kubernetes.deployment.rolling-update-share",
        "Kubernetes Deployment", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/apis/apps/v1/defaults.go";
    /// Pods that a rolling update of a DaemonSet replaces at once, if it does not say.
    DAEMON_SET_UNAVAILABLE_MAX: u32 = 1, "", "kubernetes.daemonset.unavailable-max",
        "Kubernetes DaemonSet", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/apis/apps/v1/defaults.go";
    /// How long a rollout may stand still before it counts as failed.
    PROGRESS_DEADLINE: Duration = Duration::from_secs(600), "s",
        "kubernetes.deployment.progress-deadline", "Kubernetes Deployment", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/apis/apps/v1/defaults.go";
    /// Most pods that one look of a controller creates or deletes.
    CONTROLLER_BURST: u32 = 500, "", "kubernetes.controller.burst-replicas",
        "kube-controller-manager", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/controller/replicaset, BurstReplicas";
}
