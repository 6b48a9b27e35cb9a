//! Memory that Envoy allocates for what it knows.
//!
//! Models: clusters with their statistics, once and again in each worker thread; their hosts;
//! listeners for HTTP and for TCP, likewise; what a proxy of Istio holds before it knows anything.
//! Leaves out: connections and what they buffer, routes beyond the first of a listener, and what
//! the allocator keeps for later.
//! Sources: the facts `envoy.memory`.
//! Validated by: a published proxy of 2,500 clusters and 32 threads that nothing here is fitted
//! to, in the tests below; Bookinfo's, in the tests of the program.

use crate::facts;
use serde::Serialize;

/// What a proxy knows, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Worker threads.
    pub threads: u64,
    /// Clusters.
    pub clusters: u64,
    /// Hosts of all clusters.
    pub hosts: u64,
    /// Listeners that take HTTP.
    pub http_listeners: u64,
    /// Listeners that take TCP alone.
    pub tcp_listeners: u64,
}

/// What one kind of thing needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Share {
    /// What it is.
    pub what: &'static str,
    /// How many there are.
    pub count: u64,
    /// Bytes for each, in all threads together.
    pub each_bytes: u64,
}

impl Share {
    /// Bytes for all.
    pub fn bytes(&self) -> u64 {
        self.count * self.each_bytes
    }
}

impl Known {
    /// What all of it needs, kind by kind.
    pub fn shares(&self) -> [Share; 4] {
        let share = |what, count, once: u64, in_each_thread: u64| Share {
            what,
            count,
            each_bytes: once + self.threads * in_each_thread,
        };
        [
            share(
                "clusters",
                self.clusters,
                facts::ENVOY_CLUSTER_BYTES.value,
                facts::ENVOY_CLUSTER_THREAD_BYTES.value,
            ),
            share("hosts", self.hosts, facts::ENVOY_HOST_BYTES.value, 0),
            share(
                "HTTP listeners",
                self.http_listeners,
                facts::ENVOY_HTTP_LISTENER_BYTES.value,
                facts::ENVOY_HTTP_LISTENER_THREAD_BYTES.value,
            ),
            share(
                "TCP listeners",
                self.tcp_listeners,
                facts::ENVOY_TCP_LISTENER_BYTES.value,
                facts::ENVOY_TCP_LISTENER_THREAD_BYTES.value,
            ),
        ]
    }

    /// Bytes for all of it.
    pub fn bytes(&self) -> u64 {
        self.shares().iter().map(Share::bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// envoyproxy/envoy issue 18376 tells of a proxy with 2,500 clusters of one host each and a
    /// listener, on 32 threads, that uses 256.5 MB without any connection.
    #[test]
    fn a_proxy_of_many_clusters_needs_what_was_published_of_one() {
        let known = Known {
            threads: 32,
            clusters: 2500,
            hosts: 2500,
            http_listeners: 1,
            tcp_listeners: 0,
        };
        let off = known.bytes() as f64 / 256.5e6 - 1.0;
        assert!(off.abs() < 0.10, "{off}");
    }

    #[test]
    fn threads_add_to_clusters_and_listeners_but_not_to_hosts() {
        let known = |threads| Known {
            threads,
            clusters: 1,
            hosts: 1,
            http_listeners: 1,
            tcp_listeners: 1,
        };
        assert_eq!(known(2).bytes() - known(1).bytes(), 1850 + 1350 + 1450);
        assert_eq!(Known::default().bytes(), 0);
    }
}
