//! Workload controllers and kubelets: how pods come, are probed, and go.

use super::facts;
use engine::Duration;

/// Where the defaults of the core API are set.
const CORE_DEFAULTS: &str = "kubernetes/kubernetes v1.30.5 pkg/apis/core/v1/defaults.go";

facts! {
    /// Service account of pods that name none.
    SERVICE_ACCOUNT: &'static str = "default", "", "kubernetes.pod.service-account", "kube-apiserver", "all",
        Source, "kubernetes/kubernetes plugin/pkg/admission/serviceaccount/admission.go, DefaultServiceAccountName";
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

    // images
    /// Bytes of an image that a node pulls and unpacks each second.
    IMAGE_PULL_RATE: f64 = 5e7, "B/s",
        "kubernetes.image.pull-rate", "kubelet, containerd", "all",
        Assumption, "compressed layers of a registry in the same region come and are unpacked at some tens of megabytes per second; unpacking bounds it, not the network";
    /// Size of an image that does not say.
    IMAGE_BYTES: u64 = 100_000_000, "B",
        "kubernetes.image.size", "container images", "all",
        Assumption, "the compressed size of a usual application on a slim base";
    /// How long a kubelet and its registry take to agree on what has to be pulled.
    IMAGE_CHECK: Duration = Duration::from_millis(500), "ms",
        "kubernetes.image.check", "kubelet, containerd", "all",
        Assumption, "token, manifest and configuration: three round trips to a registry over TLS and its own work";
    /// First pause after a pull that has failed.
    IMAGE_PULL_BACKOFF: Duration = Duration::from_secs(10), "s",
        "kubernetes.image.pull-backoff", "kubelet", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/kubelet/kubelet.go: the image back-off is that of containers, 10 s doubling";
    /// Greatest such pause.
    IMAGE_PULL_BACKOFF_MAX: Duration = Duration::from_secs(300), "s",
        "kubernetes.image.pull-backoff-max", "kubelet", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/kubelet/kubelet.go, MaxContainerBackOff";

    // operators
    /// How long a drain waits before it asks again for an eviction that a budget forbids.
    EVICTION_RETRY: Duration = Duration::from_secs(5), "s",
        "kubectl.drain.retry", "kubectl", "all",
        Source, "kubernetes/kubectl pkg/drain/drain.go: 5 s after a 429";
    /// How long a pod that was evicted counts as disrupted if nobody sees it go.
    EVICTION_SEEN_WITHIN: Duration = Duration::from_secs(120), "s",
        "kubernetes.disruption.deletion-timeout", "kube-controller-manager", "all",
        Source, "kubernetes/kubernetes pkg/controller/disruption/disruption.go, DeletionTimeout";

    // controllers
    /// Surge, and pods that may be unavailable, of a rolling update that does not say.
    ROLLING_UPDATE_PERCENT: u32 = 25, "%", "kubernetes.deployment.rolling-update-share",
        "Kubernetes Deployment", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/apis/apps/v1/defaults.go";
    /// Pods that a rolling update of a DaemonSet or StatefulSet replaces at once, if it does not
    /// say.
    SET_UNAVAILABLE_MAX: u32 = 1, "", "kubernetes.set.unavailable-max",
        "Kubernetes DaemonSet, StatefulSet", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/apis/apps/v1/defaults.go; KEP-961";
    /// First minor version in which a StatefulSet's `maxUnavailable` counts.
    STATEFUL_SET_UNAVAILABLE_FROM_MINOR: u32 = 35, "", "kubernetes.statefulset.unavailable-from-minor",
        "kube-controller-manager", "alpha from 1.24",
        Source, "kubernetes/kubernetes pkg/features/kube_features.go, MaxUnavailableStatefulSet (beta and on in 1.35)";
    /// Former revisions that a Deployment, StatefulSet or DaemonSet keeps, if it does not say.
    REVISION_HISTORY_MAX: u32 = 10, "", "kubernetes.revision-history-max",
        "Kubernetes Deployment, StatefulSet, DaemonSet", "apps/v1",
        Source, "kubernetes/kubernetes v1.20.2 pkg/apis/apps/v1/defaults.go";
    /// How long a rollout may stand still before it counts as failed.
    PROGRESS_DEADLINE: Duration = Duration::from_secs(600), "s",
        "kubernetes.deployment.progress-deadline", "Kubernetes Deployment", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/apis/apps/v1/defaults.go";
    /// First pause of a controller whose work on an object failed; doubles each time.
    CONTROLLER_RETRY_FIRST: Duration = Duration::from_millis(5), "ms", "kubernetes.controller.retry-first",
        "kube-controller-manager", "all", Source, "kubernetes/client-go util/workqueue/default_rate_limiters.go, DefaultControllerRateLimiter";
    /// Its greatest pause.
    CONTROLLER_RETRY_MAX: Duration = Duration::from_secs(1_000), "s", "kubernetes.controller.retry-max",
        "kube-controller-manager", "all", Source, "kubernetes/client-go util/workqueue/default_rate_limiters.go, DefaultControllerRateLimiter";
    /// Most pods that one look of a controller creates or deletes.
    CONTROLLER_BURST: u32 = 500, "", "kubernetes.controller.burst-replicas",
        "kube-controller-manager", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/controller/replicaset, BurstReplicas";
    /// How long after a failed sync of a pod its kubelet looks again, if nothing else happens.
    POD_RESYNC_AFTER_FAILURE: Duration = Duration::from_secs(10), "s",
        "kubernetes.kubelet.resync-after-failure", "kubelet", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/kubelet/kubelet.go, backOffPeriod";
}
