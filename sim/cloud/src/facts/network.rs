//! Links, TCP, HTTP connections and the DNS.

use super::facts;
use engine::Duration;

facts! {
    // links within a cluster
    /// Round trip between two pods of one node.
    SAME_NODE_RTT: Duration = Duration::from_micros(50), "µs", "network.same-node.rtt", "Linux veth", "all",
        Assumption, "20 to 60 µs is commonly seen between network namespaces; no primary figure found";
    /// Round trip between two nodes of one zone.
    SAME_ZONE_RTT: Duration = Duration::from_micros(200), "µs", "network.same-zone.rtt", "cloud networks", "2024",
        Assumption, "IBM Cloud documents 0.1 ms within a zone; pod networks with overlays show 99 % quantiles of 0.06 to 0.15 ms; virtual machines and pod networking add to that";
    /// Round trip between two zones of one region.
    ZONE_TO_ZONE_RTT: Duration = Duration::from_millis(1), "ms", "network.zone-to-zone.rtt", "cloud networks", "2018 to 2024",
        Assumption, "within AWS's measured 0.25 to 3.37 ms over all pairs (xkyle.com, Measuring AWS Region and AZ Latency), below Azure's documented 2 ms";
    /// Mean of the jitter added to each one-way trip within a node.
    SAME_NODE_JITTER: Duration = Duration::from_micros(5), "µs", "network.same-node.jitter", "Linux veth", "all",
        Assumption, "a tenth of the round trip";
    /// The same within a zone.
    SAME_ZONE_JITTER: Duration = Duration::from_micros(20), "µs", "network.same-zone.jitter", "cloud networks", "2024",
        Assumption, "a tenth of the round trip";
    /// The same between zones.
    ZONE_TO_ZONE_JITTER: Duration = Duration::from_micros(50), "µs", "network.zone-to-zone.jitter", "cloud networks", "2024",
        Assumption, "a twentieth of the round trip; relative jitter falls with distance";
    /// Bits per second between two pods of one node.
    SAME_NODE_BANDWIDTH: u64 = 35_500_000_000, "bit/s", "network.same-node.bandwidth", "netperf on Google Cloud", "2016",
        Measurement, "kubernetes/perf-tests network/benchmarks/netperf README: TCP on one virtual machine, 35.5 Gbit/s";
    /// Bits per second between two nodes of one zone.
    SAME_ZONE_BANDWIDTH: u64 = 10_700_000_000, "bit/s", "network.same-zone.bandwidth", "netperf on Google Cloud", "2016",
        Measurement, "kubernetes/perf-tests network/benchmarks/netperf README: TCP between virtual machines, 10.7 Gbit/s";
    /// Bits per second between two nodes of different zones.
    ZONE_TO_ZONE_BANDWIDTH: u64 = 10_000_000_000, "bit/s", "network.zone-to-zone.bandwidth", "cloud networks", "2024",
        Assumption, "the network interface of a common machine is the bottleneck within a region";
    /// Probability that a packet is lost on a healthy link.
    LOSS: f64 = 0.0, "", "network.loss", "cloud networks", "all",
        Assumption, "providers promise at most 0.1 % (PacketFabric service-level agreement); no measured default found";

    // links between partitions
    /// Round trip between a user's access network and the region it is nearest to.
    USER_ACCESS_RTT: Duration = Duration::from_millis(10), "ms", "network.user-access.rtt", "fixed broadband", "2020s",
        Assumption, "last mile and metropolitan network of a fixed line; mobile networks take several times as long";
    /// Mean jitter of each one-way trip between partitions.
    WIDE_AREA_JITTER: Duration = Duration::from_micros(270), "µs", "network.wide-area.jitter", "AWS, Azure, Google Cloud", "2022",
        Measurement, "skyplane-project/skyplane latency data, 8010 rows: standard deviation of the round trip, median 0.38 ms, which two exponential one-way trips of mean 0.38/sqrt(2) give";
    /// Bits per second between two partitions.
    WIDE_AREA_BANDWIDTH: u64 = 5_000_000_000, "bit/s", "network.wide-area.bandwidth", "AWS, Google Cloud", "2022",
        Measurement, "skyplane-project/skyplane throughput data: 64 connections between two virtual machines in different regions reach 3.6 (AWS) and 5.0 Gbit/s (Google Cloud) at the median; a cluster with many machines reaches more";
    /// Round trip to the global DNS's nearest server, and from its checkers to a cluster.
    GLOBAL_DNS_RTT: Duration = Duration::from_millis(20), "ms", "network.global-dns.rtt", "anycast DNS", "2020s",
        Assumption, "anycast servers and checkers of large providers stand in most metropolitan areas";

    // TCP
    /// First wait for the answer to a SYN.
    TCP_SYN_TIMEOUT: Duration = Duration::from_secs(1), "s", "tcp.syn-timeout", "Linux", "3.1 and later",
        Source, "torvalds/linux include/net/tcp.h TCP_TIMEOUT_INIT; RFC 6298 section 2.1";
    /// How many SYNs are sent again at doubling waits, after those of
    /// [`TCP_SYN_LINEAR_TIMEOUTS`]: at 1, 2, 3, 4, 5, 7, 11, 19, 35 and 67 s after the first
    /// SYN in all. The connection is given up 131 s after it.
    TCP_SYN_RETRIES: u32 = 6, "", "tcp.syn-retries", "Linux", "3.7 and later",
        Documentation, "torvalds/linux Documentation/networking/ip-sysctl.rst, tcp_syn_retries";
    /// How many SYNs are sent again before that, each after the first wait.
    TCP_SYN_LINEAR_TIMEOUTS: u32 = 4, "", "tcp.syn-linear-timeouts", "Linux", "6.5 and later",
        Source, "torvalds/linux net/ipv4/tcp_timer.c, tcp_write_timeout adds tcp_syn_linear_timeouts to tcp_syn_retries; Documentation/networking/ip-sysctl.rst";
    /// Least wait for an acknowledgement before data are sent again.
    TCP_RETRANSMISSION_TIMEOUT_MIN: Duration = Duration::from_millis(200), "ms", "tcp.retransmission-timeout-min", "Linux", "all",
        Source, "torvalds/linux include/net/tcp.h TCP_RTO_MIN (HZ/5)";
    /// Greatest wait for an acknowledgement before data are sent again.
    TCP_RETRANSMISSION_TIMEOUT_MAX: Duration = Duration::from_secs(120), "s", "tcp.retransmission-timeout-max", "Linux", "all",
        Source, "torvalds/linux include/net/tcp.h TCP_RTO_MAX (120 HZ)";
    /// How often unacknowledged data are sent again before the connection is given up.
    TCP_RETRIES: u32 = 15, "", "tcp.retries", "Linux", "all",
        Documentation, "torvalds/linux Documentation/networking/ip-sysctl.rst, tcp_retries2";

    // UDP
    /// How long a kernel remembers a flow of UDP that was not answered, or is young.
    UDP_LONE_TIMEOUT: Duration = Duration::from_secs(30), "s", "udp.conntrack-timeout", "Linux", "all",
        Source, "torvalds/linux net/netfilter/nf_conntrack_proto_udp.c udp_timeouts; nf_conntrack_udp_timeout of nf_conntrack-sysctl.rst";
    /// How long it remembers one that goes both ways.
    UDP_STREAM_TIMEOUT: Duration = Duration::from_secs(120), "s", "udp.conntrack-stream-timeout", "Linux", "4.20 and later; 180 s before",
        Source, "torvalds/linux net/netfilter/nf_conntrack_proto_udp.c udp_timeouts; nf_conntrack_udp_timeout_stream of nf_conntrack-sysctl.rst";
    /// From which age on a flow that was answered counts as such.
    UDP_STREAM_AGE: Duration = Duration::from_secs(2), "s", "udp.conntrack-stream-age", "Linux", "5.1 and later",
        Source, "torvalds/linux net/netfilter/nf_conntrack_proto_udp.c nf_conntrack_udp_packet, stream_ts";
    /// How long IPVS remembers any flow of UDP.
    UDP_IPVS_TIMEOUT: Duration = Duration::from_secs(300), "s", "udp.ipvs-timeout", "Linux", "all",
        Source, "torvalds/linux net/netfilter/ipvs/ip_vs_proto_udp.c udp_timeouts, IP_VS_UDP_S_NORMAL";

    // TLS
    /// Size of the first message of a client that wants to encrypt.
    TLS_CLIENT_HELLO_BYTES: u64 = 517, "bytes", "tls.client-hello", "BoringSSL", "1.3",
        Assumption, "a ClientHello of TLS 1.3 with one key share and server name, padded as RFC 7685 allows";
    /// Size of what a server answers with one certificate.
    TLS_SERVER_FLIGHT_BYTES: u64 = 2500, "bytes", "tls.server-flight", "BoringSSL", "1.3",
        Assumption, "ServerHello, a certificate of RSA 2048 under one intermediate, a signature, a request for the client's";

    // HTTP
    /// How long an idle keep-alive connection is kept by a client.
    HTTP_IDLE_TIMEOUT: Duration = Duration::from_secs(90), "s", "http.idle-timeout", "Go net/http", "1.7 and later",
        Source, "golang/go src/net/http/transport.go, DefaultTransport.IdleConnTimeout";
    /// Size of a request that says nothing else, headers included.
    HTTP_REQUEST_BYTES: u64 = 1024, "bytes", "http.request", "hybridsim", "0.1",
        Assumption, "a GET with a browser's headers; istio.io's performance tests also use 1 kB";
    /// Size of a response that says nothing else, headers included.
    HTTP_RESPONSE_BYTES: u64 = 4096, "bytes", "http.response", "hybridsim", "0.1",
        Assumption, "a small JSON document or page";
    /// How long a client waits for an answer if it says nothing else.
    HTTP_CLIENT_TIMEOUT: Duration = Duration::from_secs(10), "s", "http.client-timeout", "hybridsim", "0.1",
        Assumption, "long enough to see queues, short enough that a person would have gone";
    /// First pause before a retry, if retries are asked for without a pause.
    HTTP_RETRY_BACKOFF: Duration = Duration::from_millis(25), "ms", "http.retry-backoff", "Envoy", "all",
        Documentation, "envoyproxy.io, router filter: base interval of 25 ms";
    /// Greatest such pause.
    HTTP_RETRY_BACKOFF_MAX: Duration = Duration::from_millis(250), "ms", "http.retry-backoff-max", "Envoy", "all",
        Documentation, "envoyproxy.io, router filter: ten times the base interval";

    // DNS
    /// How long resolvers keep an answer of a global name.
    DNS_TTL: Duration = Duration::from_secs(60), "s", "dns.ttl", "Amazon Route 53", "2025",
        Documentation, "AWS Route 53 developer guide, values specific for failover records: 60 s or less for records with health checks";
    /// Time between two checks of a candidate.
    DNS_CHECK_INTERVAL: Duration = Duration::from_secs(30), "s", "dns.check-interval", "Amazon Route 53", "2025",
        Documentation, "AWS Route 53 developer guide, values of health checks: standard 30 s, fast 10 s; counted there from the end of a check, here from its start";
    /// How long a check waits for the connection and the answer.
    DNS_CHECK_TIMEOUT: Duration = Duration::from_secs(4), "s", "dns.check-timeout", "Amazon Route 53", "2025",
        Documentation, "AWS Route 53 developer guide, how Route 53 determines health: four seconds to connect (and two more to answer, which is left out)";
    /// Failures in a row that take a candidate out.
    DNS_CHECK_FAILURES: u32 = 3, "", "dns.check-failures", "Amazon Route 53", "2025",
        Documentation, "AWS Route 53 developer guide, values of health checks: failure threshold 3";
    /// Successes in a row that bring it back.
    DNS_CHECK_SUCCESSES: u32 = 3, "", "dns.check-successes", "Amazon Route 53", "2025",
        Documentation, "AWS Route 53 developer guide: the failure threshold holds in both directions";
    /// How long a cluster's own DNS lets pods keep an answer.
    CLUSTER_DNS_TTL: Duration = Duration::from_secs(30), "s", "dns.cluster-ttl", "CoreDNS as a Kubernetes addon", "1.11 and later",
        Source, "kubernetes/kubernetes v1.20.2 cluster/addons/dns/coredns: ttl 30, cache 30";
    /// How long one question to the cluster's own DNS takes.
    CLUSTER_DNS_LOOKUP: Duration = Duration::from_micros(2_600), "µs", "dns.cluster-lookup", "CoreDNS", "1.x",
        Documentation, "coredns/deployment kubernetes/Scaling_CoreDNS.md: 2.6 ms mean for internal names at 33 669 questions/s on 2 vCPU, an upper end";
    /// Caching resolvers that the users of a network are spread over.
    DNS_RESOLVERS: u32 = 20, "", "dns.resolvers", "hybridsim", "0.1",
        Assumption, "a few resolvers for each of the large access providers of a region";
}
