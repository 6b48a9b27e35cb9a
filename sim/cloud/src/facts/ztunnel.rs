//! What ztunnel costs, how it keeps its tunnels, and what waypoints are like.

use super::facts;
use engine::Duration;

/// Defaults of ztunnel.
const CONFIG: &str = "istio/ztunnel 62d82653 src/config.rs";
/// Its certificates.
const IDENTITY: &str = "istio/ztunnel 62d82653 src/identity/manager.rs";
/// What istiod makes for a waypoint.
const WAYPOINT: &str = "istio/istio 86c9f01f manifests/charts/istio-control/istio-discovery/files/waypoint.yaml and values.yaml";

facts! {
    /// CPU time of a ztunnel for a request and its answer, of 1 kB.
    ZTUNNEL_CPU_PER_REQUEST: Duration = Duration::from_micros(60), "s", "istio.ztunnel.cpu-per-request", "Istio", "1.24",
        Documentation, "istio.io ops/deployment/performance-and-scalability at istio/istio.io 2e453e8d: 0.06 vCPU at 1000 requests per second, on the machines of istio.proxy.cpu-per-request";
    /// CPU time of a ztunnel for a connection that it takes or passes on.
    ZTUNNEL_CPU_PER_CONNECTION: Duration = Duration::from_micros(60), "s", "istio.ztunnel.cpu-per-connection", "Istio", "1.24",
        Assumption, "as much as a request and its answer: a connection is a request with an answer inside its tunnel";
    /// CPU time of either side for the handshake of a tunnel.
    ZTUNNEL_CPU_PER_HANDSHAKE: Duration = Duration::from_micros(300), "s", "istio.ztunnel.cpu-per-handshake", "Istio", "1.24",
        Assumption, "certificates of ztunnel are ECDSA P-256 (istio/ztunnel 62d82653 src/tls/csr.rs): a signature, two verifications and a key exchange of some tens of microseconds each";
    /// Bits that a thread of a ztunnel encrypts and passes on in a second.
    ZTUNNEL_BITS_PER_SECOND: u64 = 28_600_000_000, "bit/s", "istio.ztunnel.bits-per-second", "Istio", "1.26",
        Documentation, "istio.io blog 2025 ambient-performance: one stream of iperf from node to node, 28.6 Gbit/s";
    /// Worker threads of a ztunnel.
    ZTUNNEL_THREADS: u32 = 2, "", "istio.ztunnel.threads", "Istio", "1.24 and later",
        Source, CONFIG;
    /// How long a tunnel that carries no new connection is kept for the next one.
    ZTUNNEL_POOL_TIMEOUT: Duration = Duration::from_secs(300), "s", "istio.ztunnel.pool-timeout", "Istio", "1.24 and later",
        Source, CONFIG;
    /// The most connections that a tunnel carries at once: it is not used again after that.
    ZTUNNEL_TUNNEL_CONNECTIONS_MAX: u32 = 100, "", "istio.ztunnel.tunnel-connections-max", "Istio", "1.24 and later",
        Source, "istio/ztunnel 62d82653 src/config.rs, POOL_MAX_STREAMS_PER_CONNECTION; src/proxy/pool.rs, maybe_checkin_conn";
    /// How long a ztunnel tries to open a tunnel.
    ZTUNNEL_CONNECT_TIMEOUT: Duration = Duration::from_secs(10), "s", "istio.ztunnel.connect-timeout", "Istio", "1.24 and later",
        Source, "istio/ztunnel 62d82653 src/proxy.rs, CONNECTION_TIMEOUT";

    /// The pause before it connects to istiod again; the next ones are twice as long each.
    ZTUNNEL_RECONNECT_FIRST: Duration = Duration::from_millis(10), "ms", "istio.ztunnel.reconnect-first", "Istio", "1.24 and later",
        Source, "istio/ztunnel 62d82653 src/xds/client.rs, INITIAL_BACKOFF";
    /// The longest of these pauses.
    ZTUNNEL_RECONNECT_MAX: Duration = Duration::from_secs(15), "s", "istio.ztunnel.reconnect-max", "Istio", "1.24 and later",
        Source, "istio/ztunnel 62d82653 src/xds/client.rs, MAX_BACKOFF";
    /// How long a connection of a pod waits until its ztunnel has been told of that pod.
    ZTUNNEL_WORKLOAD_PATIENCE: Duration = Duration::from_secs(5), "s", "istio.ztunnel.workload-patience", "Istio", "1.24 and later",
        Source, "istio/ztunnel 62d82653 src/proxy.rs, get_workload";

    /// How long its certificates count.
    ZTUNNEL_CERTIFICATE_LIFETIME: Duration = Duration::from_secs(24 * 3_600), "s", "istio.ztunnel.certificate-lifetime", "Istio", "1.24 and later",
        Source, "istio/ztunnel 62d82653 src/config.rs, SECRET_TTL";
    /// After which share of its life it asks for the next one.
    ZTUNNEL_CERTIFICATE_RENEWAL: f64 = 0.5, "", "istio.ztunnel.certificate-renewal", "Istio", "1.24 and later",
        Source, "istio/ztunnel 62d82653 src/tls/certificate.rs, refresh_at";
    /// The pause before it asks again after it has asked in vain; the next ones are twice as long each.
    ZTUNNEL_CERTIFICATE_PAUSE_FIRST: Duration = Duration::from_secs(1), "s", "istio.ztunnel.certificate-pause-first", "Istio", "1.24 and later",
        Source, IDENTITY;
    /// The longest of these pauses.
    ZTUNNEL_CERTIFICATE_PAUSE_MAX: Duration = Duration::from_secs(150), "s", "istio.ztunnel.certificate-pause-max", "Istio", "1.24 and later",
        Source, IDENTITY;
    /// By which share of itself each differs, either way.
    ZTUNNEL_CERTIFICATE_PAUSE_JITTER: f64 = 0.2, "", "istio.ztunnel.certificate-pause-jitter", "Istio", "1.24 and later",
        Source, IDENTITY;
    /// After how long in vain every pause is the longest one, exactly.
    ZTUNNEL_CERTIFICATE_PAUSES_GROW: Duration = Duration::from_secs(15 * 60), "s", "istio.ztunnel.certificate-pauses-grow", "Istio", "1.24 and later",
        Documentation, "crate backoff 0.4, default of max_elapsed_time, after which next_backoff gives none";
    /// The first minor version that keeps a certificate that it could not renew.
    ZTUNNEL_KEEPS_CERTIFICATES_FROM_MINOR: u32 = 28, "", "istio.ztunnel.keeps-certificates-from-minor", "Istio", "all",
        Source, "istio/ztunnel 41ee0127, which no tag before 1.28 contains; istio/istio issue 56452";

    /// The first minor version in which a namespace's label sends gateways through waypoints, as that
    /// of a service does from 1.24 on.
    ISTIO_INGRESS_WAYPOINT_NAMESPACES_FROM_MINOR: u32 = 25, "", "istio.waypoint.ingress-namespaces-from-minor", "Istio", "all",
        Source, "istio/istio 3b1d8130, which 1.25.0 is the first to contain";
    /// The first minor version in which ztunnels answer what pods of the ambient mesh ask of names:
    /// with addresses by which they know hosts of ServiceEntries.
    AMBIENT_NAMES_FROM_MINOR: u32 = 25, "", "istio.ambient.names-from-minor", "Istio", "all",
        Source, "istio/istio manifests/charts/istio-cni/values.yaml, dnsCapture: false in 1.24.0, true in 1.25.0";

    /// CPU time of a waypoint for a request and its answer, of 1 kB, with the default telemetry.
    WAYPOINT_CPU_PER_REQUEST: Duration = Duration::from_micros(250), "s", "istio.waypoint.cpu-per-request", "Istio", "1.24",
        Documentation, "istio.io ops/deployment/performance-and-scalability at istio/istio.io 2e453e8d: 0.25 vCPU at 1000 requests per second, on the machines of istio.proxy.cpu-per-request";
    /// Pods that istiod makes for a waypoint.
    WAYPOINT_REPLICAS: u32 = 1, "", "istio.waypoint.replicas", "Istio", "1.24 and later",
        Source, WAYPOINT;
    /// CPU that one requests.
    WAYPOINT_CPU_REQUEST_MILLI: u64 = 100, "thousandths of a core", "istio.waypoint.cpu-request", "Istio", "1.24 and later",
        Source, WAYPOINT;
    /// CPU that one may use.
    WAYPOINT_CPU_LIMIT_MILLI: u64 = 2_000, "thousandths of a core", "istio.waypoint.cpu-limit", "Istio", "1.24 and later",
        Source, WAYPOINT;
    /// Memory that one requests.
    WAYPOINT_MEMORY_REQUEST_BYTES: u64 = 128 << 20, "bytes", "istio.waypoint.memory-request", "Istio", "1.24 and later",
        Source, WAYPOINT;
}
