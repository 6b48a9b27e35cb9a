//! What Istio assumes where its configuration says nothing.

use super::facts;
use engine::Duration;

/// Where the defaults of MeshConfig and of proxies are set.
const MESH: &str = "istio/istio 86c9f01 pkg/config/mesh/mesh.go, DefaultMeshConfig";
/// Where the defaults of the installation are set.
const VALUES: &str =
    "istio/istio 86c9f01 manifests/charts/istio-control/istio-discovery/values.yaml, global.proxy";

facts! {
    /// Release of Istio where nothing is said: 1.x.
    ISTIO_MINOR: u32 = 30, "", "istio.version", "Istio", "0.1",
        Assumption, "the newest release with its Envoy's release read in istio/proxy (release-1.30)";
    /// By how much Envoy's minor release exceeds Istio's.
    ISTIO_ENVOY_OFFSET: u32 = 8, "", "istio.envoy-offset", "Istio", "1.18 and later",
        Source, "istio/proxy branch release-1.30 pins Envoy 1.38; the same distance is assumed for other releases";
    /// First release whose proxies may discover themselves, and route by zone.
    ISTIO_SELF_DISCOVERY_FROM_MINOR: u32 = 31, "", "istio.self-discovery-from-minor", "Istio", "1.31 and later",
        Source, "istio/istio releasenotes/notes/zone-aware-load-balancing.yaml, in 1.31.0-alpha.0 and later";
    /// First release that reads TLSRoutes, and takes listeners for TLS, without
    /// `PILOT_ENABLE_ALPHA_GATEWAY_API`; TLSRoutes act where a listener ends TLS since then as well.
    ISTIO_TLS_ROUTE_FROM_MINOR: u32 = 30, "", "istio.gateway-api.tls-route-from-minor", "istiod", "all",
        Source, "istio/istio release-1.29 and release-1.30 pilot/pkg/config/kube/gateway/controller.go, conversion.go (listenerProtocolToIstio), conditions.go; releasenotes/notes/55728.yaml, tls-protocol-gateway-no-alpha-gate.yaml";
    /// First release that reads TCPRoutes, and takes listeners for TCP, likewise.
    ISTIO_TCP_ROUTE_FROM_MINOR: u32 = 31, "", "istio.gateway-api.tcp-route-from-minor", "istiod", "all",
        Source, "istio/istio release-1.30 and release-1.31 pilot/pkg/config/kube/gateway/controller.go, conversion.go (listenerProtocolToIstio)";
    /// First release that reads Istio's objects only in namespaces which `discoverySelectors` choose.
    ISTIO_SCOPED_OBJECTS_FROM_MINOR: u32 = 22, "", "istio.scoped-objects-from-minor", "istiod", "all",
        Source, "istio/istio 86c9f01 releasenotes/notes/enable-enhanced-scope.yaml, 51399.yaml (ENABLE_ENHANCED_RESOURCE_SCOPING; profiles for 1.20 and 1.21 turn it off)";
    /// First release that takes Services of type ExternalName for other names of what they stand for.
    ISTIO_EXTERNAL_NAME_ALIAS_FROM_MINOR: u32 = 21, "", "istio.external-name-alias-from-minor", "istiod", "all",
        Documentation, "istio.io, upgrade notes of 1.20 and 1.21 (ExternalName support changes)";
    /// First release that takes names without a dot in routes of the Gateway API as they are written.
    ISTIO_GATEWAY_API_HOSTS_AS_WRITTEN_FROM_MINOR: u32 = 19, "", "istio.gateway-api.hosts-as-written-from-minor", "istiod", "all",
        Source, "istio/istio release-1.18 and release-1.19 pilot/pkg/model/virtualservice.go (resolveVirtualServiceShortnames); since release-1.30 virtualservice_controller.go (mergeVirtualServices)";
    /// First release whose Gateways may name a second certificate at a listener, or none.
    ISTIO_SEVERAL_CERTIFICATES_FROM_MINOR: u32 = 27, "", "istio.gateway-api.several-certificates-from-minor", "istiod", "all",
        Source, "istio/istio release-1.26 and release-1.27 pilot/pkg/config/kube/gateway/conversion.go (buildTLS); releasenotes/notes/36181-gateway-rsa-ecdsa.yaml";
    /// First release that reads ListenerSets; XListenerSets no longer.
    ISTIO_LISTENER_SET_FROM_MINOR: u32 = 30, "", "istio.gateway-api.listener-set-from-minor", "istiod", "all",
        Source, "istio/istio release-1.29 and release-1.30 pilot/pkg/config/kube/gateway/controller.go";
    /// First release that reads XListenerSets where `PILOT_ENABLE_ALPHA_GATEWAY_API` says so.
    ISTIO_X_LISTENER_SET_FROM_MINOR: u32 = 27, "", "istio.gateway-api.x-listener-set-from-minor", "istiod", "all",
        Source, "istio/istio release-1.26 and release-1.27 pilot/pkg/config/kube/gateway/controller.go";
    /// First release whose Gateways choose namespaces of ListenerSets by labels: before, nobody's may
    /// attach where they say so.
    ISTIO_LISTENER_SET_SELECTOR_FROM_MINOR: u32 = 29, "", "istio.gateway-api.listener-set-selector-from-minor", "istiod", "all",
        Source, "istio/istio 90b77e376d1 (namespaceAcceptedByAllowListeners), on release-1.29 and later";
    /// First release that leaves out listeners which contradict others of their Gateway.
    ISTIO_LISTENERS_SETTLED_FROM_MINOR: u32 = 31, "", "istio.gateway-api.listeners-settled-from-minor", "istiod", "all",
        Source, "istio/istio 1.30.3 and 1.31.0-rc.0 pilot/pkg/config/kube/gateway/controller.go (GatewayListenerConflictCollection); releasenotes/notes/listenerset-conflict-resolution.yaml";
    /// First release whose Sidecars leave hosts out of those that they let in.
    ISTIO_SIDECAR_EXCLUSION_FROM_MINOR: u32 = 31, "", "istio.sidecar.exclusion-from-minor", "istiod", "all",
        Source, "istio/istio 4c3c712e pilot/pkg/model/sidecar.go, in release-1.31 and not in release-1.30; releasenotes/notes/60139.yaml";
    /// First release whose TLSRoutes take no more names than their listener; 1.26 has no fix.
    ISTIO_TLS_ROUTE_NARROWED_FROM_MINOR: u32 = 27, "", "istio.gateway-api.tls-route-narrowed-from-minor", "istiod", "all",
        Source, "istio/istio 40e67a4847 (constrainTLSRoutesToListenerHost), on release-1.27 and later";
    /// First release in which `withoutHeaders` takes a header that is not there as empty.
    ISTIO_MISSING_HEADER_EMPTY_FROM_MINOR: u32 = 22, "", "istio.route.missing-header-empty-from-minor", "istiod", "all",
        Source, "istio/istio b552bd382c, on release-1.22 and later; releasenotes/notes/49537.yaml";
    /// First release whose waypoints route connections that are not HTTP.
    ISTIO_WAYPOINT_CONNECTIONS_FROM_MINOR: u32 = 26, "", "istio.waypoint.connections-from-minor", "istiod", "all",
        Source, "istio/istio release-1.26 pilot/pkg/networking/core/listener_waypoint.go (getWaypointTCPRoutes)";
    /// How long making a connection may take.
    MESH_CONNECT_TIMEOUT: Duration = Duration::from_secs(10), "s", "istio.mesh.connect-timeout",
        "istiod", "1.5 and later", Source, MESH;
    /// Pause before a name that could not be resolved is asked for again.
    MESH_DNS_REFRESH: Duration = Duration::from_secs(60), "s", "istio.mesh.dns-refresh",
        "istiod", "1.18 and later", Source, MESH;
    /// Fewest points of a hash ring where nothing is said.
    MESH_RING_SIZE: u64 = 1024, "", "istio.mesh.ring-size", "istiod", "all", Source,
        "istio/istio 86c9f01 pilot/pkg/networking/core/cluster_traffic_policy.go, ApplyRingHashLoadBalancer";
    /// How long Envoy drains a listener.
    MESH_DRAIN: Duration = Duration::from_secs(45), "s", "istio.mesh.drain", "istiod",
        "1.5 and later", Source, MESH;
    /// Trust domain.
    MESH_TRUST_DOMAIN: &'static str = "cluster.local", "", "istio.mesh.trust-domain", "istiod",
        "all", Source, MESH;
    /// Namespace of what holds for all namespaces.
    MESH_ROOT_NAMESPACE: &'static str = "istio-system", "", "istio.mesh.root-namespace", "istiod",
        "all", Source, MESH;
    /// CPU that an injected proxy requests.
    MESH_PROXY_CPU_REQUEST: u64 = 100, "m", "istio.proxy.cpu-request", "Istio", "1.5 and later",
        Source, VALUES;
    /// CPU that it may use.
    MESH_PROXY_CPU_LIMIT: u64 = 2000, "m", "istio.proxy.cpu-limit", "Istio", "1.5 and later",
        Source, VALUES;
    /// Memory that it requests.
    MESH_PROXY_MEMORY_REQUEST: u64 = 128 << 20, "B", "istio.proxy.memory-request", "Istio",
        "1.5 and later", Source, VALUES;
    /// Memory that it may use.
    MESH_PROXY_MEMORY_LIMIT: u64 = 1 << 30, "B", "istio.proxy.memory-limit", "Istio",
        "1.5 and later", Source, VALUES;
}
