//! Istio's control plane: istiod, its agents beside the proxies, certificates, machines.

use super::facts;
use engine::Duration;

/// The features of istiod that are about speed.
const TUNING: &str = "istio/istio pilot/pkg/features/tuning.go";
/// What looks for keys of tokens.
const JWKS: &str = "istio/istio pilot/pkg/model/jwks_resolver.go";
/// The agent that runs beside each Envoy.
const AGENT: &str = "istio/istio pkg/envoy/agent.go";
/// Periods of certificates.
const SECURITY: &str = "istio/istio security/pkg/cmd/constants.go";
/// What the injected container looks like.
const INJECTION: &str = "istio/istio manifests/charts/istio-control/istio-discovery/values.yaml";
/// The gateways of the profiles.
const GATEWAYS: &str = "istio/istio manifests/charts/gateways/istio-ingress/values.yaml";
/// Health checks of machines.
const MACHINES: &str = "istio/istio pkg/istio-agent/health/health_check.go";

facts! {
    // gateways
    /// Replicas that the gateways of an installation begin with.
    ISTIO_GATEWAY_REPLICAS: u32 = 1, "", "istio.gateway.replicas", "Istio", "1.0 and later",
        Source, GATEWAYS;
    /// CPU that one requests.
    ISTIO_GATEWAY_CPU_REQUEST_MILLI: u64 = 100, "thousandths of a core",
        "istio.gateway.cpu-request", "Istio", "1.0 and later", Source, GATEWAYS;
    /// CPU that one may use.
    ISTIO_GATEWAY_CPU_LIMIT_MILLI: u64 = 2_000, "thousandths of a core",
        "istio.gateway.cpu-limit", "Istio", "1.0 and later", Source, GATEWAYS;
    /// Memory that one requests.
    ISTIO_GATEWAY_MEMORY_REQUEST_BYTES: u64 = 128 << 20, "bytes",
        "istio.gateway.memory-request", "Istio", "1.0 and later", Source, GATEWAYS;

    /// The fewest replicas that their autoscaler leaves.
    ISTIO_GATEWAY_REPLICAS_MIN: u32 = 1, "", "istio.gateway.replicas-min", "Istio", "1.0 and later",
        Source, GATEWAYS;
    /// The most that it makes.
    ISTIO_GATEWAY_REPLICAS_MAX: u32 = 5, "", "istio.gateway.replicas-max", "Istio", "1.0 and later",
        Source, GATEWAYS;
    /// The use of CPU, as a share of what they request, that it aims at.
    ISTIO_GATEWAY_CPU_UTILIZATION_PERCENT: u32 = 80, "%", "istio.gateway.cpu-utilization", "Istio",
        "1.0 and later", Source, GATEWAYS;
    /// Where gateways say whether they are ready.
    ISTIO_GATEWAY_STATUS_PORT: u32 = 15_021, "", "istio.gateway.status-port", "Istio", "1.6 and later",
        Source, GATEWAYS;

    // debounce
    /// How long istiod waits for calm after a change before it pushes.
    ISTIOD_DEBOUNCE_AFTER: Duration = Duration::from_millis(100), "ms",
        "istio.debounce.after", "istiod", "1.0 and later", Source, TUNING;
    /// How long it waits at most, looked at whenever the wait for calm is over.
    ISTIOD_DEBOUNCE_MAX: Duration = Duration::from_secs(10), "s",
        "istio.debounce.max", "istiod", "1.0 and later", Source, TUNING;

    // keys of tokens
    /// How long istiod may take to fetch keys of tokens, all tries of a search together.
    ISTIOD_KEYS_TIMEOUT: Duration = Duration::from_secs(5), "s", "istio.keys.timeout", "istiod",
        "1.21 and later", Source, "istio/istio pilot/pkg/security/authn/policy_applier.go";
    /// How long it waits after a try in vain.
    ISTIOD_KEYS_PAUSE: Duration = Duration::from_secs(1), "s", "istio.keys.pause", "istiod",
        "1.5 and later", Source, JWKS;
    /// How many tries follow the first of a search.
    ISTIOD_KEYS_RETRIES: u32 = 7, "", "istio.keys.retries", "istiod", "1.5 and later", Source, JWKS;

    // pushes and streams
    /// Pushes at once, and new streams per second, of an istiod without processors.
    ISTIOD_LIMIT_BASE: u32 = 15, "", "istio.istiod.limit-base", "istiod", "1.21 and later",
        Source, TUNING;
    /// How many more each processor allows.
    ISTIOD_LIMIT_PER_PROCESSOR: u32 = 5, "", "istio.istiod.limit-per-processor", "istiod",
        "1.21 and later", Source, TUNING;
    /// Where both limits end.
    ISTIOD_LIMIT_MAX: u32 = 100, "", "istio.istiod.limit-max", "istiod", "1.21 and later",
        Source, TUNING;
    /// Pushes at once before they followed the processors.
    ISTIOD_PUSHES_MAX_BEFORE_1_21: u32 = 100, "", "istio.istiod.pushes-max.until-1.20", "istiod",
        "until 1.20", Documentation, "istio.io 1.21 change notes: PILOT_PUSH_THROTTLE was 100";
    /// New streams per second before they followed the processors.
    ISTIOD_STREAMS_BEFORE_1_21: u32 = 25, "/s", "istio.istiod.streams-rate.until-1.20", "istiod",
        "until 1.20", Documentation,
        "istio.io 1.21 change notes: PILOT_MAX_REQUESTS_PER_SECOND was 25";
    /// The first minor version whose limits follow the processors.
    ISTIOD_LIMITS_FROM_MINOR: u32 = 21, "", "istio.istiod.limits-from-minor", "istiod", "all",
        Documentation, "istio.io 1.21 change notes, automatic PILOT_PUSH_THROTTLE";
    /// Processors of an istiod that does not say.
    ISTIOD_PROCESSORS: u32 = 4, "", "istio.istiod.processors", "istiod", "all",
        Assumption, "istiod has no limit of CPU by default and so sees all processors of its node; usual nodes have four";
    /// Work of a processor for one push to one proxy, whatever it holds.
    ISTIOD_PUSH_COST: Duration = Duration::from_micros(500), "µs",
        "istio.generation.push", "istiod", "1.19 and later",
        Assumption, "scoping, queueing and sending of one push take a few tenths of a millisecond of the profile of a busy istiod";
    /// Work for one generated cluster, listener or route configuration.
    ISTIOD_RESOURCE_COST: Duration = Duration::from_micros(20), "µs",
        "istio.generation.resource", "istiod", "1.19 and later",
        Assumption, "building and encoding a message of one to two kilobytes; encoding of protocol buffers dominates profiles of istiod";
    /// Work for one endpoint that is sent.
    ISTIOD_ENDPOINT_COST: Duration = Duration::from_nanos(650), "µs",
        "istio.generation.endpoint", "istiod", "1.19",
        Measurement, "Azure AKS istio-scale: 15 processors kept up with 15,000 proxies of one service under churn, pushed every 10 s: 10 ms of a processor for 15,000 endpoints";

    /// The first minor version whose proxies are told only what has changed (delta xDS).
    ISTIO_DELTA_FROM_MINOR: u32 = 22, "", "istio.istiod.delta-from-minor", "istiod", "all",
        Documentation, "istio.io 1.22 change notes, ISTIO_DELTA_XDS";
    /// The first minor version whose ztunnels say what they have when they come back, and are sent
    /// the rest.
    ISTIO_ZTUNNEL_DELTA_FROM_MINOR: u32 = 31, "", "istio.istiod.ztunnel-delta-from-minor", "istiod",
        "all", Source, "istio/istio 82dc8d6815 pilot/pkg/xds/workload.go, releasenotes/notes/wds-reconnect-version-skip.yaml";
    /// How long istiod lets a new stream wait for its turn before it turns it away.
    ISTIOD_STREAM_WAIT_MAX: Duration = Duration::from_secs(1), "s", "istio.stream.wait-max",
        "istiod", "1.10 and later", Source,
        "istio/istio pilot/pkg/xds/discovery.go, WaitForRequestLimit";

    // streams
    /// After this age istiod asks a proxy to connect anew.
    ISTIOD_STREAM_AGE: Duration = Duration::from_secs(1800), "s", "istio.stream.age-max",
        "istiod", "1.1 and later", Source,
        "istio/istio manifests/charts/istio-control/istio-discovery/values.yaml, keepaliveMaxServerConnectionAge";
    /// By which share that age varies to either side.
    ISTIOD_STREAM_AGE_JITTER: f64 = 0.1, "", "istio.stream.age-jitter", "grpc-go", "all",
        Source, "grpc/grpc-go internal/transport/http2_server.go, getJitter";
    /// How much longer such a stream may last.
    ISTIOD_STREAM_AGE_GRACE: Duration = Duration::from_secs(10), "s", "istio.stream.age-grace",
        "istiod", "all", Source, "istio/istio pkg/keepalive/options.go";
    /// After so long without a word either end asks whether the other lives.
    ISTIO_KEEPALIVE_PERIOD: Duration = Duration::from_secs(30), "s",
        "istio.stream.keepalive-period", "istiod, pilot-agent", "all",
        Source, "istio/istio pkg/keepalive/options.go";
    /// How long it waits for the answer.
    ISTIO_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10), "s",
        "istio.stream.keepalive-timeout", "istiod, pilot-agent", "all",
        Source, "istio/istio pkg/keepalive/options.go";
    /// Bound of Envoy's first pause before it connects again.
    ENVOY_RECONNECT_BASE: Duration = Duration::from_millis(500), "ms",
        "istio.stream.reconnect-base", "Envoy", "1.28 and later",
        Source, "envoyproxy/envoy envoy/config/subscription_factory.h";
    /// Bound of its later ones.
    ENVOY_RECONNECT_MAX: Duration = Duration::from_secs(30), "s",
        "istio.stream.reconnect-max", "Envoy", "1.28 and later",
        Source, "envoyproxy/envoy envoy/config/subscription_factory.h";
    /// How long istiod waits for a remote cluster before it is ready without it.
    ISTIOD_REMOTE_CLUSTER_TIMEOUT: Duration = Duration::from_secs(30), "s",
        "istio.istiod.remote-cluster-timeout", "istiod", "1.5 and later",
        Source, "istio/istio pilot/pkg/features/pilot.go, PILOT_REMOTE_CLUSTER_TIMEOUT";

    // certificates
    /// Life of a workload's certificate.
    ISTIO_CERTIFICATE_LIFETIME: Duration = Duration::from_secs(86_400), "s",
        "istio.certificate.lifetime", "istiod", "1.4 and later", Source, SECURITY;
    /// Share of it before the end at which its agent asks for the next one.
    ISTIO_CERTIFICATE_GRACE: f64 = 0.5, "", "istio.certificate.grace-share", "pilot-agent",
        "1.5 and later", Source, "istio/istio pilot/cmd/pilot-agent/options/options.go, SECRET_GRACE_PERIOD_RATIO";
    /// By how much of its life that varies to either side.
    ISTIO_CERTIFICATE_JITTER: f64 = 0.01, "", "istio.certificate.grace-jitter", "pilot-agent",
        "1.21 and later", Source, "istio/istio pilot/cmd/pilot-agent/options/options.go, SECRET_GRACE_PERIOD_RATIO_JITTER";
    /// Life of the root that istiod signs itself.
    ISTIO_ROOT_LIFETIME: Duration = Duration::from_secs(3650 * 86_400), "s",
        "istio.certificate.root-lifetime", "istiod", "1.3 and later", Source, SECURITY;
    /// How often istiod looks whether the root has to be renewed.
    ISTIO_ROOT_CHECK: Duration = Duration::from_secs(3600), "s",
        "istio.certificate.root-check", "istiod", "1.3 and later", Source, SECURITY;
    /// Share of the root's life before its end at which it is renewed.
    ISTIO_ROOT_GRACE: f64 = 0.2, "", "istio.certificate.root-grace-share", "istiod",
        "1.3 and later", Source, SECURITY;

    // the sidecar's container
    /// From the start of a proxy's container until its Envoy asks istiod.
    SIDECAR_START_UP: Duration = Duration::from_millis(500), "ms", "istio.sidecar.start-up",
        "pilot-agent", "all", Assumption, "nothing published fits";
    /// From the end of the last application of a pod until its native sidecar hears that it is to
    /// stop: the runtime reports the end to the kubelet, which asks it to stop the next.
    NEXT_CONTAINER_STOP: Duration = Duration::from_millis(10), "ms", "kubernetes.kubelet.next-container-stop",
        "kubelet", "1.29 and later", Assumption, "nothing published fits; kubernetes/kubernetes pkg/kubelet/kuberuntime/kuberuntime_termination_order.go says that it waits for nothing else";
    /// How long a stopping agent drains before it ends Envoy.
    SIDECAR_DRAIN: Duration = Duration::from_secs(5), "s", "istio.sidecar.drain", "pilot-agent",
        "1.1 and later", Source, AGENT;
    /// How long it waits before it looks for open connections, if told to wait for them.
    SIDECAR_DRAIN_MIN: Duration = Duration::from_secs(5), "s", "istio.sidecar.drain-min",
        "pilot-agent", "1.12 and later", Source, AGENT;
    /// How often it looks for them then.
    SIDECAR_CONNECTIONS_CHECK: Duration = Duration::from_secs(1), "s",
        "istio.sidecar.connections-check", "pilot-agent", "1.12 and later", Source, AGENT;
    /// Looks in a row without an answer after which it gives up.
    SIDECAR_CONNECTIONS_ERRORS_MAX: u32 = 5, "", "istio.sidecar.connections-errors-max",
        "pilot-agent", "1.12 and later", Source, AGENT;
    /// How often the kubelet asks a starting sidecar.
    SIDECAR_STARTUP_PERIOD: Duration = Duration::from_secs(1), "s",
        "istio.sidecar.startup-period", "Istio", "1.20 and later", Source, INJECTION;
    /// How many failures it bears.
    SIDECAR_STARTUP_FAILURES_MAX: u32 = 600, "", "istio.sidecar.startup-failures-max", "Istio",
        "1.20 and later", Source, INJECTION;
    /// How often it asks a sidecar that has started.
    SIDECAR_READINESS_PERIOD: Duration = Duration::from_secs(15), "s",
        "istio.sidecar.readiness-period", "Istio", "1.20 and later", Source, INJECTION;
    /// Failures in a row that make the sidecar, and its pod, unready.
    SIDECAR_READINESS_FAILURES_MAX: u32 = 4, "", "istio.sidecar.readiness-failures-max", "Istio",
        "1.20 and later", Source, INJECTION;
    /// How long each question waits for its answer.
    SIDECAR_PROBE_TIMEOUT: Duration = Duration::from_secs(3), "s",
        "istio.sidecar.probe-timeout", "Istio", "all", Source, INJECTION;
    /// The minor version of Istio from which sidecars are native where the cluster knows them.
    NATIVE_SIDECARS_FROM_MINOR: u32 = 27, "", "istio.sidecar.native-from-minor", "istiod", "all",
        Documentation, "istio.io 1.27 change notes, ENABLE_NATIVE_SIDECARS";
    /// The minor version of Kubernetes from which all nodes know native sidecars for good.
    NATIVE_SIDECARS_FROM_KUBERNETES_MINOR: u32 = 33, "",
        "istio.sidecar.native-from-kubernetes-minor", "istiod", "1.27 and later",
        Source, "istio/istio pilot/pkg/features/pilot.go, ENABLE_NATIVE_SIDECARS auto";

    // machines
    /// How long the entry of a machine that left stays.
    WORKLOAD_ENTRY_GRACE: Duration = Duration::from_secs(10), "s",
        "istio.workload-entry.grace", "istiod", "1.8 and later",
        Source, "istio/istio pilot/pkg/features/pilot.go, PILOT_WORKLOAD_ENTRY_GRACE_PERIOD";
    /// How often istiod looks through all entries, in such periods.
    WORKLOAD_ENTRY_SWEEP: u32 = 10, "", "istio.workload-entry.sweep-graces", "istiod",
        "1.8 and later", Source, "istio/istio pilot/pkg/autoregistration/controller.go";
    /// Entries that it clears away per second.
    WORKLOAD_ENTRY_CLEANUP_RATE: u32 = 20, "/s", "istio.workload-entry.cleanup-rate", "istiod",
        "1.8 and later", Source, "istio/istio pilot/pkg/autoregistration/controller.go, cleanupLimit";
    /// Ages of a stream after which an entry counts as forgotten although it says connected.
    WORKLOAD_ENTRY_AGES: f64 = 1.5, "", "istio.workload-entry.forgotten-ages", "istiod",
        "1.12 and later", Source, "istio/istio pilot/pkg/autoregistration/controller.go, maxConnectionAge";
    /// How often a machine's agent checks its application.
    MACHINE_PROBE_PERIOD: Duration = Duration::from_secs(10), "s",
        "istio.machine-probe.period", "pilot-agent", "1.8 and later", Source, MACHINES;
    /// How long a check waits for its answer.
    MACHINE_PROBE_TIMEOUT: Duration = Duration::from_secs(1), "s",
        "istio.machine-probe.timeout", "pilot-agent", "1.8 and later", Source, MACHINES;
    /// Successes in a row that make it healthy.
    MACHINE_PROBE_SUCCESSES: u32 = 1, "", "istio.machine-probe.success-threshold", "pilot-agent",
        "1.8 and later", Source, MACHINES;
    /// Failures in a row that make it unhealthy.
    MACHINE_PROBE_FAILURES: u32 = 1, "", "istio.machine-probe.failure-threshold", "pilot-agent",
        "1.8 and later", Source,
        "istio/istio pkg/istio-agent/health/health_check.go, fillInDefaults; the comment of istio/api says 3";
}
