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

    // controllers
    /// Most pods that one look of a controller creates or deletes.
    CONTROLLER_BURST: u32 = 500, "", "kubernetes.controller.burst-replicas",
        "kube-controller-manager", "all",
        Source, "kubernetes/kubernetes v1.20.2 pkg/controller/replicaset, BurstReplicas";
}
