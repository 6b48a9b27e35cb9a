//! Autoscaling of pods by the HorizontalPodAutoscaler.

use super::facts;
use engine::Duration;

/// Where the HorizontalPodAutoscaler's defaults are.
const HPA: &str = "kubernetes/kubernetes v1.20.2 pkg/controller/podautoscaler/config and pkg/apis/autoscaling/v2beta2/defaults.go; the same values in autoscaling/v2";

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
    /// Greatest age of the kubelet's own sample when metrics-server reads it.
    METRICS_KUBELET_PERIOD: Duration = Duration::from_secs(10), "s",
        "kubernetes.kubelet.metrics-period", "kubelet", "all",
        Source, "google/cadvisor housekeeping interval in kubernetes/kubernetes pkg/kubelet/cadvisor: 10 s, up to 15 s while nothing changes";
}
