//! What hybridsim itself assumes where neither manifests nor scenario say anything.

use super::facts;
use engine::Duration;

facts! {
    // names
    /// Region of a cluster that does not say where it stands.
    REGION: &'static str = "local", "", "default.region", "hybridsim", "0.1",
        Assumption, "a place of its own, at the fallback distance from every other";

    // workloads
    /// Mean service time of a workload that nobody described.
    SERVICE_TIME: Duration = Duration::from_millis(5), "ms", "default.service-time", "hybridsim", "0.1",
        Assumption, "a request to a small service with its data at hand; measure and set it, results scale with it";
    /// Its coefficient of variation (standard deviation over mean) under a lognormal law.
    SERVICE_TIME_VARIATION: f64 = 1.0, "", "default.service-time-variation", "hybridsim", "0.1",
        Assumption, "as spread as an exponential law, with the long tail that services show";
    /// Requests that one pod serves at a time.
    WORKERS: u32 = 16, "", "default.workers", "hybridsim", "0.1",
        Assumption, "of the order of common thread pools (gunicorn: 2 to 4 per core; Tomcat: up to 200)";
    /// Replicas of a workload that does not say.
    REPLICAS: u32 = 1, "", "default.replicas", "Kubernetes Deployment", "all",
        Documentation, "kubernetes.io API reference, DeploymentSpec.replicas defaults to 1";
    /// How many candidates the choice by least requests draws.
    LEAST_REQUEST_CHOICES: u32 = 2, "", "default.least-request-choices", "Envoy", "all",
        Documentation, "envoyproxy.io API reference, LeastRequestLbConfig.choice_count defaults to 2";

    // traffic
    /// Requests per second of traffic that nobody described.
    RATE: f64 = 100.0, "requests/s", "default.rate", "hybridsim", "0.1",
        Assumption, "enough to see failures within a minute, little enough for a small cluster";
    /// Distinct client addresses behind a traffic source.
    CLIENTS: u32 = 1000, "", "default.clients", "hybridsim", "0.1",
        Assumption, "enough that affinity and connection reuse spread as they do for a crowd";

    /// Retries that a client with a budget may do at once.
    RETRY_BUDGET_MAX: f64 = 10.0, "retries", "default.retry-budget-max", "hybridsim", "0.1",
        Documentation, "grpc/proposal A6: maxTokens of the example of retryThrottling";

    // runs
    /// Simulated time of a run that does not say.
    RUN_DURATION: Duration = Duration::from_secs(300), "s", "default.duration", "hybridsim", "0.1",
        Assumption, "long against every delay of pods, proxies and health checks except evictions";
    /// Steps of a time series over the whole run.
    SERIES_STEPS: u32 = 240, "", "default.series-steps", "hybridsim", "0.1",
        Assumption, "as many as a plot of usual width can show";
    /// Shortest step of a time series.
    SERIES_STEP_MIN: Duration = Duration::from_millis(100), "ms", "default.series-step-min", "hybridsim", "0.1",
        Assumption, "finer steps hold too few requests to say anything";
    /// Fewest replications.
    REPLICATIONS_MIN: u32 = 8, "", "default.replications-min", "hybridsim", "0.1",
        Assumption, "Student's t with 7 degrees of freedom widens intervals by a fifth, more replications gain little";
    /// Most replications when a precision is asked for.
    REPLICATIONS_MAX: u32 = 64, "", "default.replications-max", "hybridsim", "0.1",
        Assumption, "eight times the fewest: intervals up to three times as narrow";
    /// Master seed.
    SEED: u64 = 42, "", "default.seed", "hybridsim", "0.1",
        Assumption, "any number will do; a fixed one makes runs repeatable";
    /// Confidence of intervals.
    CONFIDENCE: f64 = 0.95, "", "default.confidence", "hybridsim", "0.1",
        Assumption, "the convention of simulation textbooks (Law, Simulation Modeling and Analysis)";
    /// Failures of one traffic source closer than this belong to one stretch of failing.
    QUIET_TIME: Duration = Duration::from_secs(5), "s", "default.quiet-time", "hybridsim", "0.1",
        Assumption, "longer than the pause between two users who meet the same dead endpoint, shorter than a recovery";
}
