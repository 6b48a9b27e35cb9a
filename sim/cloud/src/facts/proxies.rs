//! What proxies cost.

use super::facts;
use engine::Duration;

facts! {
    /// CPU time of a sidecar for a request and its answer, of 1 kB, with the default telemetry.
    PROXY_CPU_PER_REQUEST: Duration = Duration::from_micros(200), "s", "istio.proxy.cpu-per-request", "Istio", "1.24",
        Documentation, "istio.io ops/deployment/performance-and-scalability at istio/istio.io 2e453e8d: 0.20 vCPU at 1000 requests per second";
    /// Share of it that is spent before the request is sent on.
    PROXY_CPU_REQUEST_SHARE: f64 = 0.5, "", "istio.proxy.cpu-request-share", "Istio", "1.6 and later",
        Assumption, "with it the runs of August 2020 come out (reports/proxy-cost.md)";
    /// Its standard deviation over its mean, from one request to the next.
    PROXY_CPU_VARIATION: f64 = 0.5, "", "istio.proxy.cpu-variation", "Istio", "1.6 and later",
        Assumption, "with it the runs of August 2020 come out (reports/proxy-cost.md)";
    /// CPU time of either side of a handshake of mutual TLS.
    PROXY_CPU_PER_HANDSHAKE: Duration = Duration::from_millis(1), "s", "istio.proxy.cpu-per-handshake", "Istio", "all, RSA 2048",
        Assumption, "istio.io blog 2022 cryptomb-privatekeyprovider: 1673 handshakes per second at a gateway, which is 1.2 ms of two threads; both sides sign";
    /// The same where both know each other from an earlier connection.
    PROXY_CPU_PER_RESUMPTION: Duration = Duration::from_micros(100), "s", "istio.proxy.cpu-per-resumption", "Istio", "all",
        Assumption, "no certificate is shown, signed for or checked (RFC 8446, 2.2); a key exchange of some tens of microseconds and the sealing of a ticket remain";
    /// Worker threads of a sidecar without a limit of CPU, which decides them otherwise.
    PROXY_THREADS: u32 = 2, "", "istio.proxy.threads", "Istio", "all",
        Source, "istio/istio 86c9f01f pilot/cmd/pilot-agent/config/config.go; manifests/charts/istio-control/istio-discovery/values.yaml";
}
