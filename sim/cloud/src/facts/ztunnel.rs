//! What ztunnel costs, and how it keeps its tunnels.

use super::facts;
use engine::Duration;

/// Defaults of ztunnel.
const CONFIG: &str = "istio/ztunnel 62d82653 src/config.rs";

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
    /// How long a ztunnel tries to open a tunnel.
    ZTUNNEL_CONNECT_TIMEOUT: Duration = Duration::from_secs(10), "s", "istio.ztunnel.connect-timeout", "Istio", "1.24 and later",
        Source, "istio/ztunnel 62d82653 src/proxy.rs, CONNECTION_TIMEOUT";
}
