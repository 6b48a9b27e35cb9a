//! Canary releases: how controllers judge them, and what they can know.

use super::facts;
use engine::Duration;

/// Flagger's defaults.
const FLAGGER: &str = "fluxcd/flagger pkg/apis/flagger/v1beta1/canary.go";
/// Argo Rollouts' defaults.
const ARGO: &str = "argoproj/argo-rollouts pkg/apis/rollouts/v1alpha1/analysis_types.go";

facts! {
    /// How often a canary is looked at.
    CANARY_INTERVAL: Duration = Duration::from_secs(60), "s", "canary.analysis.interval",
        "Flagger", "0.1 and later", Source, FLAGGER;
    /// How many looks may condemn a canary that goes on.
    CANARY_FAILURE_LIMIT: u32 = 0, "", "canary.analysis.failure-limit", "Argo Rollouts",
        "0.7 and later", Source, ARGO;
    /// How often Prometheus reads the counters of a pod.
    METRICS_SCRAPE_INTERVAL: Duration = Duration::from_secs(15), "s",
        "canary.metrics.scrape-interval", "Prometheus", "as Istio installs it",
        Source, "istio/istio samples/addons/prometheus.yaml, global.scrape_interval";
    /// The probability to condemn a canary that is as good as the stable version.
    CANARY_SIGNIFICANCE: f64 = 0.05, "", "canary.analysis.significance", "canary analysis", "all",
        Assumption, "the usual level of tests; Kayenta's judge has a confidence of 0.98 for each metric";
    /// Answers of each version without which a look says nothing.
    CANARY_SAMPLE_MIN: u32 = 100, "", "canary.analysis.sample-min", "canary analysis", "all",
        Assumption, "a share of failures of 5 % then shows by five failures; ranks are normal from eight values on";
    /// By which share a canary may be slower.
    CANARY_LATENCY_TOLERANCE: f64 = 0.1, "", "canary.analysis.latency-tolerance",
        "canary analysis", "all", Assumption,
        "with many requests a test finds any difference, and nobody goes back for one of a few per cent";
}
