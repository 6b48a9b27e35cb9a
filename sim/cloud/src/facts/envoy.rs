//! Envoy's own defaults, and those that Istio writes into its configuration.

use super::facts;
use engine::Duration;

/// Where the load balancers' defaults are set.
const LOAD_BALANCERS: &str = "envoyproxy/envoy source/extensions/load_balancing_policies, api/envoy/config/cluster/v3/cluster.proto";
/// Where outlier detection's defaults are set.
const OUTLIER: &str = "envoyproxy/envoy source/common/upstream/outlier_detection_impl.h";
/// Where the limits' defaults are set.
const BREAKERS: &str = "envoyproxy/envoy api/envoy/config/cluster/v3/circuit_breaker.proto, source/common/upstream/upstream_impl.cc";
/// What listeners and clusters need of memory.
const MEMORY: &str = "envoyproxy/envoy issue 4196: allocations with one worker thread, August 2018";

facts! {
    // priorities
    /// How far a priority's healthy share is stretched before traffic spills to the next.
    ENVOY_OVERPROVISIONING: u32 = 140, "%", "envoy.balancer.overprovisioning", "Envoy", "all",
        Source, "envoyproxy/envoy source/common/upstream/upstream_impl.h, kDefaultOverProvisioningFactor";
    /// Below this share of healthy hosts all hosts of a priority are used.
    ENVOY_PANIC_THRESHOLD: u32 = 50, "%", "envoy.balancer.panic-threshold", "Envoy", "all",
        Source, LOAD_BALANCERS;
    /// The same where Istio configures outlier detection.
    ISTIO_PANIC_THRESHOLD: u32 = 0, "%", "istio.balancer.panic-threshold", "Istio", "all",
        Source, "istio/istio pilot/pkg/networking/core/cluster_traffic_policy.go: minHealthPercent is 0 unless set";

    // balancers
    /// Hosts that LEAST_REQUEST samples for one pick.
    ENVOY_LEAST_REQUEST_CHOICES: u32 = 2, "", "envoy.balancer.least-request-choices", "Envoy", "all",
        Source, LOAD_BALANCERS;
    /// Power to which active requests lower a weight of LEAST_REQUEST.
    ENVOY_LEAST_REQUEST_BIAS: f64 = 1.0, "", "envoy.balancer.least-request-bias", "Envoy", "all",
        Source, LOAD_BALANCERS;
    /// Least points on a ring.
    ENVOY_RING_MIN: u64 = 1024, "", "envoy.balancer.ring-min", "Envoy", "all",
        Source, LOAD_BALANCERS;
    /// Most points on a ring.
    ENVOY_RING_MAX: u64 = 8 * 1024 * 1024, "", "envoy.balancer.ring-max", "Envoy", "all",
        Source, LOAD_BALANCERS;
    /// Slots of a Maglev table, a prime.
    ENVOY_MAGLEV_TABLE: u64 = 65_537, "", "envoy.balancer.maglev-table", "Envoy", "all",
        Source, LOAD_BALANCERS;
    /// Least share of its weight that a host in slow start has.
    ENVOY_SLOW_START_MIN: f64 = 0.1, "", "envoy.balancer.slow-start-min", "Envoy", "all",
        Source, "envoyproxy/envoy source/extensions/load_balancing_policies/common/load_balancer_impl.cc: 10 %";
    /// How steeply weights grow in slow start; one is a straight line.
    ENVOY_SLOW_START_AGGRESSION: f64 = 1.0, "", "envoy.balancer.slow-start-aggression", "Envoy", "all",
        Source, "envoyproxy/envoy source/extensions/load_balancing_policies/common/load_balancer_impl.cc";
    /// Pre-picks of a weighted schedule are taken modulo this number.
    ENVOY_SCHEDULE_PICKS: u32 = 429_496_729, "", "envoy.balancer.schedule-picks", "Envoy", "1.30 and later",
        Source, "envoyproxy/envoy source/common/upstream/edf_scheduler.h, createWithPicks";
    /// Healthy hosts that zone-aware routing needs at least.
    ENVOY_ZONE_ROUTING_HOSTS_MIN: u32 = 6, "", "envoy.balancer.zone-routing-hosts-min", "Envoy", "all",
        Source, LOAD_BALANCERS;
    /// How long changes of health are gathered before workers hear of them.
    ENVOY_UPDATE_MERGE_WINDOW: Duration = Duration::from_secs(1), "s",
        "envoy.cluster.update-merge-window", "Envoy", "1.5 and later",
        Source, "envoyproxy/envoy source/common/upstream/cluster_manager_impl.cc scheduleUpdate; measured on 1.40 with 0, 1 and 3 s";

    // memory
    /// Memory of a cluster without hosts, its statistics included.
    ENVOY_CLUSTER_BYTES: u64 = 40_577, "B", "envoy.memory.cluster", "Envoy", "1.20 and later",
        Source, "envoyproxy/envoy test/integration/stats_integration_test.cc, MemoryLargeClusterSize: exact value of 2021-08-18, the last one written there";
    /// The same in each worker thread.
    ENVOY_CLUSTER_THREAD_BYTES: u64 = 1850, "B", "envoy.memory.cluster-thread", "Envoy", "all",
        Measurement, MEMORY;
    /// Memory of a host of a cluster, its statistics included.
    ENVOY_HOST_BYTES: u64 = 1380, "B", "envoy.memory.host", "Envoy", "1.14 and later",
        Source, "envoyproxy/envoy test/integration/stats_integration_test.cc, MemoryLargeHostSizeWithStats: exact value of 2020-04-02, the last one written there";
    /// Memory of a listener that takes HTTP, with one route.
    ENVOY_HTTP_LISTENER_BYTES: u64 = 63_000, "B", "envoy.memory.http-listener", "Envoy", "all",
        Measurement, MEMORY;
    /// The same in each worker thread.
    ENVOY_HTTP_LISTENER_THREAD_BYTES: u64 = 1350, "B", "envoy.memory.http-listener-thread", "Envoy", "all",
        Measurement, MEMORY;
    /// Memory of a listener that takes TCP alone.
    ENVOY_TCP_LISTENER_BYTES: u64 = 18_000, "B", "envoy.memory.tcp-listener", "Envoy", "all",
        Measurement, MEMORY;
    /// The same in each worker thread.
    ENVOY_TCP_LISTENER_THREAD_BYTES: u64 = 1450, "B", "envoy.memory.tcp-listener-thread", "Envoy", "all",
        Measurement, MEMORY;
    /// Resident memory of a proxy of Istio before it knows anything: its program, its agent and
    /// its extensions.
    ISTIO_PROXY_EMPTY_BYTES: u64 = 55_000_000, "B", "istio.memory.empty-proxy", "Istio", "1.6 and later",
        Assumption, "the middle of the 50 to 70 MB of istio/istio issue 26605 (Istio 1.6.7, Bookinfo), less what Bookinfo's configuration allocates";

    // limits of rates
    /// From 1.this on tokens of local rate limits come steadily, not at the ends of intervals.
    ENVOY_STEADY_LIMIT_FROM_MINOR: u32 = 31, "", "envoy.rate-limit.steady-from-minor", "Envoy", "all",
        Source, "envoyproxy/envoy changelogs/1.31.0.yaml, local_ratelimit";
    /// How long a rate limit service may take to answer.
    ENVOY_RATE_LIMIT_TIMEOUT: Duration = Duration::from_millis(20), "s", "envoy.rate-limit.timeout", "Envoy", "all",
        Source, "envoyproxy/envoy api/envoy/extensions/filters/http/ratelimit/v3/rate_limit.proto";
    /// How long a provider that Istio configures may take to decide about a request.
    ISTIO_AUTHORIZATION_TIMEOUT: Duration = Duration::from_secs(600), "s", "istio.authorization.timeout", "Istio", "all",
        Source, "istio/api mesh/v1alpha1/config.proto, EnvoyExternalAuthorizationHttpProvider";

    // outlier detection
    /// Time between two sweeps.
    ENVOY_OUTLIER_INTERVAL: Duration = Duration::from_secs(10), "s", "envoy.outlier.interval", "Envoy", "all",
        Source, OUTLIER;
    /// First time out of a host.
    ENVOY_OUTLIER_BASE_EJECTION: Duration = Duration::from_secs(30), "s", "envoy.outlier.base-ejection-time", "Envoy", "all",
        Source, OUTLIER;
    /// Longest time out of a host, unless the first is longer.
    ENVOY_OUTLIER_MAX_EJECTION: Duration = Duration::from_secs(300), "s", "envoy.outlier.max-ejection-time", "Envoy", "all",
        Source, OUTLIER;
    /// Share of a cluster's hosts that may be out.
    ENVOY_OUTLIER_MAX_PERCENT: u32 = 10, "%", "envoy.outlier.max-ejection-percent", "Envoy", "all",
        Source, OUTLIER;
    /// Server errors in a row that eject.
    ENVOY_OUTLIER_CONSECUTIVE: u32 = 5, "", "envoy.outlier.consecutive-failures", "Envoy", "all",
        Source, OUTLIER;
    /// Hosts with enough requests that success rates need.
    ENVOY_OUTLIER_HOSTS_MIN: u32 = 5, "", "envoy.outlier.hosts-min", "Envoy", "all",
        Source, OUTLIER;
    /// Requests of an interval that make a host's success rate count.
    ENVOY_OUTLIER_SUCCESS_RATE_VOLUME: u32 = 100, "", "envoy.outlier.success-rate-volume", "Envoy", "all",
        Source, OUTLIER;
    /// Standard deviations below the mean at which a success rate ejects, in thousandths.
    ENVOY_OUTLIER_SUCCESS_RATE_FACTOR: u32 = 1_900, "", "envoy.outlier.success-rate-factor", "Envoy", "all",
        Source, OUTLIER;
    /// Share of failures that ejects, where that is enforced.
    ENVOY_OUTLIER_FAILURE_PERCENT: u32 = 85, "%", "envoy.outlier.failure-percent", "Envoy", "all",
        Source, OUTLIER;
    /// Requests of an interval that make a host's share of failures count.
    ENVOY_OUTLIER_FAILURE_VOLUME: u32 = 50, "", "envoy.outlier.failure-volume", "Envoy", "all",
        Source, OUTLIER;
    /// First release in which the host that would go counts against the greatest share.
    ENVOY_OUTLIER_STRICT_FROM_MINOR: u32 = 28, "", "envoy.outlier.strict-from-minor", "Envoy", "1.28 and later",
        Source, "envoyproxy/envoy changelogs/1.28.0.yaml and source/common/upstream/outlier_detection_impl.cc, ejectHost; before, the host that would go was not counted";
    /// First release that may be told to eject one host always.
    ENVOY_OUTLIER_ALWAYS_ONE_FROM_MINOR: u32 = 31, "", "envoy.outlier.always-one-from-minor", "Envoy", "1.31 and later",
        Source, "envoyproxy/envoy changelogs/1.31.0.yaml, always_eject_one_host";

    // retries
    /// Range of the first pause before a retry.
    ENVOY_RETRY_BASE: Duration = Duration::from_millis(25), "ms", "envoy.retry.base-interval", "Envoy", "all",
        Source, "envoyproxy/envoy source/common/router/retry_state_impl.cc";
    /// The greatest range is this many times the first.
    ENVOY_RETRY_MAX_FACTOR: u32 = 10, "", "envoy.retry.max-interval-factor", "Envoy", "all",
        Source, "envoyproxy/envoy source/common/router/retry_state_impl.cc";
    /// Retries of a route that wants them and does not say how many.
    ENVOY_RETRIES: u32 = 1, "", "envoy.retry.retries", "Envoy", "all",
        Source, "envoyproxy/envoy source/common/router/config_impl.cc, RetryPolicyImpl";
    /// Further picks if a retry's host is not wanted.
    ENVOY_HOST_SELECTIONS: u32 = 1, "", "envoy.retry.host-selections", "Envoy", "all",
        Source, "envoyproxy/envoy source/common/router/config_impl.cc, host_selection_max_attempts";
    /// Share of active requests that may be retries under a budget.
    ENVOY_RETRY_BUDGET_PERCENT: f64 = 20.0, "%", "envoy.retry.budget-percent", "Envoy", "1.13 and later",
        Source, "envoyproxy/envoy source/common/upstream/resource_manager_impl.h";
    /// Retries that a budget always allows.
    ENVOY_RETRY_BUDGET_MIN: u32 = 3, "", "envoy.retry.budget-min", "Envoy", "1.13 and later",
        Source, "envoyproxy/envoy source/common/upstream/resource_manager_impl.h";
    /// How long a route waits for the whole response.
    ENVOY_ROUTE_TIMEOUT: Duration = Duration::from_secs(15), "s", "envoy.route.timeout", "Envoy", "all",
        Source, "envoyproxy/envoy source/common/router/config_impl.h, DEFAULT_ROUTE_TIMEOUT_MS; Istio disables it";
    /// Where a sidecar takes what its application sends.
    ISTIO_OUTBOUND_PORT: u32 = 15_001, "", "istio.port.outbound", "Istio", "all",
        Source, "istio/istio pkg/config/mesh/mesh.go, ProxyListenPort";
    /// Where a sidecar takes what others send to its application.
    ISTIO_INBOUND_PORT: u32 = 15_006, "", "istio.port.inbound", "Istio", "all",
        Source, "istio/istio pkg/config/mesh/mesh.go, ProxyInboundListenPort";
    /// Retries of a route under Istio.
    ISTIO_RETRIES: u32 = 2, "", "istio.retry.retries", "Istio", "1.1 and later",
        Source, "istio/istio pilot/pkg/networking/core/route/retry/retry.go";
    /// Further picks if a retry would go to a host that failed, under Istio.
    ISTIO_HOST_SELECTIONS: u32 = 5, "", "istio.retry.host-selections", "Istio", "1.1 and later",
        Source, "istio/istio pilot/pkg/networking/core/route/retry/retry.go, previous_hosts";
    /// First release that does not retry answers of 503 by itself.
    ISTIO_NO_RETRY_OF_503_FROM_MINOR: u32 = 24, "", "istio.retry.no-503-from-minor", "Istio", "1.24 and later",
        Source, "istio/istio pilot/pkg/networking/core/route/retry/retry.go; change notes of 1.24";
    /// Failed attempts after which priorities are chosen anew, with `retryRemoteLocalities`.
    ISTIO_RETRY_PRIORITY_FREQUENCY: u32 = 2, "", "istio.retry.priority-update-frequency", "Istio", "all",
        Source, "istio/istio pilot/pkg/networking/core/route/retry/retry.go, previous_priorities";

    // limits
    /// Connections to a cluster's hosts.
    ENVOY_CONNECTIONS_MAX: u32 = 1_024, "", "envoy.breaker.connections-max", "Envoy", "all",
        Source, BREAKERS;
    /// Requests that wait for a connection.
    ENVOY_PENDING_MAX: u32 = 1_024, "", "envoy.breaker.pending-max", "Envoy", "all",
        Source, BREAKERS;
    /// Requests that a cluster's hosts hold.
    ENVOY_REQUESTS_MAX: u32 = 1_024, "", "envoy.breaker.requests-max", "Envoy", "all",
        Source, BREAKERS;
    /// Retries under way.
    ENVOY_RETRIES_MAX: u32 = 3, "", "envoy.breaker.retries-max", "Envoy", "all",
        Source, BREAKERS;
    /// Each of these limits under Istio.
    ISTIO_BREAKER_MAX: u32 = u32::MAX, "", "istio.breaker.max", "Istio", "all",
        Source, "istio/istio pilot/pkg/networking/core/cluster_traffic_policy.go, getDefaultCircuitBreakerThresholds";
    /// Streams of one HTTP/2 connection.
    ENVOY_STREAMS_MAX: u32 = 1_024, "", "envoy.pool.streams-max", "Envoy", "1.36 and later",
        Source, "envoyproxy/envoy changelogs/1.36.0.yaml";
    /// The same before.
    ENVOY_STREAMS_MAX_BEFORE: u32 = (1 << 31) - 1, "", "envoy.pool.streams-max-before", "Envoy", "up to 1.35",
        Source, "envoyproxy/envoy changelogs/1.36.0.yaml";
    /// First release with the smaller limit of streams.
    ENVOY_STREAMS_MAX_FROM_MINOR: u32 = 36, "", "envoy.pool.streams-max-from-minor", "Envoy", "1.36 and later",
        Source, "envoyproxy/envoy changelogs/1.36.0.yaml";
    /// First release that flags requests whose caller has reset the stream.
    ENVOY_REMOTE_RESET_FLAG_FROM_MINOR: u32 = 30, "", "envoy.flags.remote-reset-from-minor", "Envoy", "1.30 and later",
        Source, "envoyproxy/envoy changelogs/1.30.0.yaml; before, onResetStream in source/common/http/conn_manager_impl.cc sets no flag";
    /// First release that takes tokens which count out of query parameters as well.
    ENVOY_TOKEN_LEAVES_QUERY_FROM_MINOR: u32 = 31, "", "envoy.tokens.leave-query-from-minor", "Envoy", "1.31 and later",
        Source, "envoyproxy/envoy changelogs/1.31.0.yaml, jwt_authn_remove_jwt_from_query_params";
    /// Connections that one event may open at most.
    ENVOY_CONNECTS_PER_EVENT: u32 = 3, "", "envoy.pool.connects-per-event", "Envoy", "1.15 and later",
        Source, "envoyproxy/envoy source/common/conn_pool/conn_pool_base.cc, tryCreateNewConnections";
    /// How long a connection may take to come up, TLS included.
    ENVOY_CONNECT_TIMEOUT: Duration = Duration::from_secs(5), "s", "envoy.pool.connect-timeout", "Envoy", "all",
        Source, "envoyproxy/envoy source/common/upstream/upstream_impl.cc";
    /// The same under Istio.
    ISTIO_CONNECT_TIMEOUT: Duration = Duration::from_secs(10), "s", "istio.pool.connect-timeout", "Istio", "all",
        Source, "istio/istio pkg/config/mesh/mesh.go, DefaultMeshConfig";
    /// How long a connection without requests is kept.
    ENVOY_IDLE_TIMEOUT: Duration = Duration::from_secs(3_600), "s", "envoy.pool.idle-timeout", "Envoy", "all",
        Source, "envoyproxy/envoy source/common/upstream/upstream_impl.cc, idle_timeout";
    /// How long a connection that is only handed on may carry nothing.
    ENVOY_TCP_IDLE_TIMEOUT: Duration = Duration::from_secs(3_600), "s", "envoy.tcp.idle-timeout", "Envoy", "all",
        Source, "envoyproxy/envoy source/common/tcp_proxy/tcp_proxy.cc, idle_timeout";
}
