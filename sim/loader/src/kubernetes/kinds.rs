//! Which kinds there are, under which `apiVersion`, and what becomes of them.

use super::{
    autoscaler, budget, connection_routes, gateway, ingress, kube_proxy, listener, namespace, node,
    node_pool, service, workload,
};
use crate::diagnostic::{Code, Diagnostics};
use crate::istio;
use crate::shape::{Shape, nearest};
use crate::source::Span;

/// A kind that is read.
#[derive(Debug)]
pub struct KnownKind {
    /// Its name.
    pub kind: &'static str,
    /// What `apiVersion` may be; the first is the one to use.
    pub api_versions: &'static [&'static str],
    /// What older releases served, with other fields.
    pub removed: &'static [&'static str],
    /// Its fields.
    pub shape: &'static Shape,
    /// Whether its objects belong to a namespace.
    pub namespaced: bool,
    /// Whether its objects have `metadata`, and so a name.
    pub named: bool,
}

/// Kinds that are read: Kubernetes', then Istio's, each sorted by name.
pub static KNOWN: &[KnownKind] = &[
    namespaced("DaemonSet", &["apps/v1"], &workload::DAEMON_SET)
        .removed(&["extensions/v1beta1", "apps/v1beta2"]),
    namespaced("Deployment", &["apps/v1"], &workload::DEPLOYMENT).removed(&[
        "extensions/v1beta1",
        "apps/v1beta1",
        "apps/v1beta2",
    ]),
    namespaced(
        "EndpointSlice",
        &["discovery.k8s.io/v1"],
        &service::ENDPOINT_SLICE,
    )
    .removed(&["discovery.k8s.io/v1beta1"]),
    namespaced("Endpoints", &["v1"], &service::ENDPOINTS),
    namespaced("Gateway", GATEWAY_API, &gateway::GATEWAY).removed(GATEWAY_API_REMOVED),
    namespaced("GatewayClass", GATEWAY_API, &gateway::GATEWAY_CLASS)
        .removed(GATEWAY_API_REMOVED)
        .of_the_cluster(),
    namespaced(
        "GRPCRoute",
        &["gateway.networking.k8s.io/v1"],
        &gateway::GRPC_ROUTE,
    )
    .removed(GATEWAY_API_REMOVED),
    namespaced("HTTPRoute", GATEWAY_API, &gateway::HTTP_ROUTE).removed(GATEWAY_API_REMOVED),
    namespaced(
        "HorizontalPodAutoscaler",
        &["autoscaling/v2", "autoscaling/v1"],
        &autoscaler::AUTOSCALER,
    )
    .removed(&["autoscaling/v2beta1", "autoscaling/v2beta2"]),
    namespaced("Ingress", &["networking.k8s.io/v1"], &ingress::INGRESS)
        .removed(&["extensions/v1beta1", "networking.k8s.io/v1beta1"]),
    namespaced(
        "IngressClass",
        &["networking.k8s.io/v1"],
        &ingress::INGRESS_CLASS,
    )
    .removed(&["networking.k8s.io/v1beta1"])
    .of_the_cluster(),
    namespaced(
        "KubeProxyConfiguration",
        &["kubeproxy.config.k8s.io/v1alpha1"],
        &kube_proxy::KUBE_PROXY_CONFIGURATION,
    )
    .of_a_program(),
    namespaced(
        "ListenerSet",
        &["gateway.networking.k8s.io/v1"],
        &listener::LISTENER_SET,
    ),
    namespaced("Namespace", &["v1"], &namespace::NAMESPACE).of_the_cluster(),
    namespaced("Node", &["v1"], &node::NODE).of_the_cluster(),
    namespaced("NodePool", &["karpenter.sh/v1"], &node_pool::NODE_POOL)
        .removed(&["karpenter.sh/v1beta1"])
        .of_the_cluster(),
    namespaced("Pod", &["v1"], &workload::POD),
    namespaced("PodDisruptionBudget", &["policy/v1"], &budget::BUDGET).removed(&["policy/v1beta1"]),
    namespaced("ReferenceGrant", GATEWAY_API, &gateway::REFERENCE_GRANT)
        .removed(GATEWAY_API_REMOVED),
    namespaced("ReplicaSet", &["apps/v1"], &workload::REPLICA_SET)
        .removed(&["extensions/v1beta1", "apps/v1beta2"]),
    namespaced(
        "Scenario",
        &["hybridsim.dev/v1alpha1"],
        &crate::scenario::SCENARIO,
    )
    .of_the_cluster(),
    namespaced("Service", &["v1"], &service::SERVICE),
    namespaced("StatefulSet", &["apps/v1"], &workload::STATEFUL_SET)
        .removed(&["apps/v1beta1", "apps/v1beta2"]),
    namespaced(
        "TCPRoute",
        &[
            "gateway.networking.k8s.io/v1",
            "gateway.networking.k8s.io/v1alpha2",
        ],
        &connection_routes::TCP_ROUTE,
    ),
    namespaced(
        "TLSRoute",
        &[
            "gateway.networking.k8s.io/v1",
            "gateway.networking.k8s.io/v1alpha3",
            "gateway.networking.k8s.io/v1alpha2",
        ],
        &connection_routes::TLS_ROUTE,
    ),
    namespaced(
        "XListenerSet",
        &["gateway.networking.x-k8s.io/v1alpha1"],
        &listener::X_LISTENER_SET,
    ),
    namespaced(
        "AuthorizationPolicy",
        ISTIO_SECURITY,
        &istio::security::AUTHORIZATION_POLICY,
    ),
    namespaced(
        "DestinationRule",
        ISTIO_NETWORKING,
        &istio::destination_rule::DESTINATION_RULE,
    ),
    namespaced("Gateway", ISTIO_NETWORKING, &istio::gateway::GATEWAY),
    namespaced(
        "EnvoyFilter",
        &["networking.istio.io/v1alpha3"],
        &istio::by_hand::ENVOY_FILTER,
    ),
    namespaced(
        "IstioOperator",
        &["install.istio.io/v1alpha1"],
        &istio::by_hand::ISTIO_OPERATOR,
    ),
    namespaced(
        "PeerAuthentication",
        ISTIO_SECURITY,
        &istio::security::PEER_AUTHENTICATION,
    ),
    namespaced(
        "ProxyConfig",
        &["networking.istio.io/v1beta1"],
        &istio::proxy::PROXY_CONFIG,
    ),
    namespaced(
        "RequestAuthentication",
        ISTIO_SECURITY,
        &istio::security::REQUEST_AUTHENTICATION,
    ),
    namespaced(
        "ServiceEntry",
        ISTIO_NETWORKING,
        &istio::service_entry::SERVICE_ENTRY,
    ),
    namespaced("Sidecar", ISTIO_NETWORKING, &istio::sidecar::SIDECAR),
    namespaced("Telemetry", ISTIO_TELEMETRY, &istio::telemetry::TELEMETRY),
    namespaced(
        "TrafficExtension",
        ISTIO_EXTENSIONS,
        &istio::by_hand::TRAFFIC_EXTENSION,
    ),
    namespaced(
        "VirtualService",
        ISTIO_NETWORKING,
        &istio::virtual_service::VIRTUAL_SERVICE,
    ),
    namespaced("WasmPlugin", ISTIO_EXTENSIONS, &istio::by_hand::WASM_PLUGIN),
    namespaced(
        "WorkloadEntry",
        ISTIO_NETWORKING,
        &istio::service_entry::WORKLOAD_ENTRY,
    ),
    namespaced(
        "WorkloadGroup",
        ISTIO_NETWORKING,
        &istio::service_entry::WORKLOAD_GROUP,
    ),
];

/// The ConfigMap of an istiod; others are read over.
pub static ISTIO_CONFIG_MAP: KnownKind = namespaced("ConfigMap", &["v1"], &istio::mesh::CONFIG_MAP);

/// The ConfigMap of a rate limit service.
pub(crate) static RATE_LIMIT_CONFIG_MAP: KnownKind =
    namespaced("ConfigMap", &["v1"], &istio::limits::CONFIG_MAP);

const ISTIO_NETWORKING: &[&str] = &[
    "networking.istio.io/v1",
    "networking.istio.io/v1beta1",
    "networking.istio.io/v1alpha3",
];
const ISTIO_SECURITY: &[&str] = &["security.istio.io/v1", "security.istio.io/v1beta1"];
const ISTIO_TELEMETRY: &[&str] = &["telemetry.istio.io/v1", "telemetry.istio.io/v1alpha1"];
const ISTIO_EXTENSIONS: &[&str] = &["extensions.istio.io/v1alpha1"];
const GATEWAY_API: &[&str] = &[
    "gateway.networking.k8s.io/v1",
    "gateway.networking.k8s.io/v1beta1",
];
const GATEWAY_API_REMOVED: &[&str] = &["gateway.networking.k8s.io/v1alpha2"];

/// A kind whose objects belong to a namespace.
const fn namespaced(
    kind: &'static str,
    api_versions: &'static [&'static str],
    shape: &'static Shape,
) -> KnownKind {
    KnownKind {
        kind,
        api_versions,
        removed: &[],
        shape,
        namespaced: true,
        named: true,
    }
}

impl KnownKind {
    const fn removed(self, removed: &'static [&'static str]) -> KnownKind {
        KnownKind { removed, ..self }
    }

    const fn of_the_cluster(self) -> KnownKind {
        KnownKind {
            namespaced: false,
            ..self
        }
    }

    /// A file that a program reads, which is no object of the API.
    const fn of_a_program(self) -> KnownKind {
        KnownKind {
            named: false,
            ..self.of_the_cluster()
        }
    }
}

/// Why NodeClasses are read over.
const MACHINES: &str = "images, networks and disks of machines are not modelled; `nodePools` of the Scenario say what the cloud offers";

/// Kinds that are read over: API group, kind (`*` for all of the group), reason.
static IGNORED: &[(&str, &str, &str)] = &[
    (
        "",
        "ServiceAccount",
        "identities do not change where requests go",
    ),
    (
        "",
        "ConfigMap",
        "what programs read does not show in their manifests' behavior",
    ),
    (
        "",
        "Secret",
        "what programs read does not show in their manifests' behavior",
    ),
    ("", "PersistentVolume", "storage is not modelled"),
    ("", "PersistentVolumeClaim", "storage is not modelled"),
    ("", "LimitRange", "defaults of requests are not filled in"),
    ("", "ResourceQuota", "quotas are not enforced"),
    (
        "",
        "ReplicationController",
        "use a Deployment; bare replication controllers are not modelled",
    ),
    ("", "Event", "a record of the past"),
    (
        "",
        "PodTemplate",
        "has no influence until something uses it",
    ),
    ("", "Binding", "an operation, not a state"),
    ("", "ComponentStatus", "a record of the past"),
    ("apps", "ControllerRevision", "a record of the past"),
    ("batch", "*", "batch work is not modelled"),
    ("storage.k8s.io", "*", "storage is not modelled"),
    (
        "rbac.authorization.k8s.io",
        "*",
        "access rights do not change where requests go",
    ),
    (
        "apiextensions.k8s.io",
        "*",
        "definitions of kinds have no influence by themselves",
    ),
    (
        "apiregistration.k8s.io",
        "*",
        "extensions of the API server are not modelled",
    ),
    (
        "admissionregistration.k8s.io",
        "*",
        "admission is not modelled: manifests count as they are written",
    ),
    (
        "coordination.k8s.io",
        "*",
        "leases are kept by the model of the nodes themselves",
    ),
    ("scheduling.k8s.io", "*", "pods do not preempt one another"),
    ("node.k8s.io", "*", "runtimes are not told apart"),
    (
        "networking.k8s.io",
        "NetworkPolicy",
        "network policies are not enforced",
    ),
    (
        "networking.k8s.io",
        "*",
        "addresses are not modelled one by one",
    ),
    (
        "policy",
        "*",
        "security policies do not change where requests go",
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        "*",
        "the API server is not modelled request by request",
    ),
    ("resource.k8s.io", "*", "devices are not modelled"),
    (
        "certificates.k8s.io",
        "*",
        "certificates do not change where requests go",
    ),
    (
        "internal.apiserver.k8s.io",
        "*",
        "the API server is not modelled request by request",
    ),
    (
        "kustomize.config.k8s.io",
        "*",
        "a recipe, not an object: render it with `kubectl kustomize`",
    ),
    ("metrics.k8s.io", "*", "a record of the past"),
    (
        "gateway.networking.k8s.io",
        "UDPRoute",
        "datagrams go to services past gateways; istiod does not read it either",
    ),
    (
        "gateway.networking.k8s.io",
        "*",
        "this kind of the Gateway API is not modelled in this release",
    ),
    (
        "gateway.networking.x-k8s.io",
        "*",
        "experimental kinds of the Gateway API are not modelled",
    ),
    (
        "sailoperator.io",
        "*",
        "a later release models service meshes",
    ),
    ("linkerd.io", "*", "a later release models service meshes"),
    (
        "policy.linkerd.io",
        "*",
        "a later release models service meshes",
    ),
    (
        "split.smi-spec.io",
        "*",
        "a later release models service meshes",
    ),
    (
        "chaos-mesh.org",
        "*",
        "a later release reads Chaos Mesh experiments; write `timeline` in the Scenario for now",
    ),
    (
        "core.kubefed.io",
        "*",
        "a later release models federation across clusters",
    ),
    (
        "types.kubefed.io",
        "*",
        "a later release models federation across clusters",
    ),
    (
        "multiclusterdns.kubefed.io",
        "*",
        "a later release models federation across clusters",
    ),
    (
        "multicluster.x-k8s.io",
        "*",
        "a later release models services across clusters",
    ),
    (
        "tsb.tetrate.io",
        "*",
        "a later release models management planes",
    ),
    ("keda.sh", "*", "a later release models autoscalers"),
    (
        "autoscaling.k8s.io",
        "*",
        "a later release models autoscalers",
    ),
    (
        "karpenter.sh",
        "NodeClaim",
        "a record of a machine that was ordered: Node objects count",
    ),
    ("karpenter.sh", "*", "NodePools say what Karpenter orders"),
    ("karpenter.k8s.aws", "*", MACHINES),
    ("karpenter.azure.com", "*", MACHINES),
    ("karpenter.k8s.gcp", "*", MACHINES),
    ("karpenter.kwok.sh", "*", MACHINES),
    (
        "cert-manager.io",
        "*",
        "certificates do not change where requests go",
    ),
    (
        "monitoring.coreos.com",
        "*",
        "monitoring does not change where requests go",
    ),
];

/// What becomes of a document.
#[derive(Clone, Copy, Debug)]
pub enum Treatment {
    /// It is checked against its shape and used.
    Read(&'static KnownKind),
    /// It is entered into the ledger as a whole.
    ReadOver(&'static str),
    /// Its `apiVersion` is wrong; the problem is reported.
    Refused,
}

/// Decides about a document, and reports an `apiVersion` that does not fit its kind.
pub fn classify(
    api_version: &str,
    kind: &str,
    span: Span,
    diagnostics: &mut Diagnostics,
) -> Treatment {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let Some(known) = KNOWN
        .iter()
        .find(|known| known.kind == kind && meant(known, api_version, group))
    else {
        return Treatment::ReadOver(unknown(api_version, group, kind, span, diagnostics));
    };
    if known.api_versions.contains(&api_version) {
        return Treatment::Read(known);
    }
    let right = known.api_versions[0];
    if known.removed.contains(&api_version) {
        let message = format!("{kind} is no longer served as `{api_version}`");
        diagnostics
            .report(Code::RemovedApiVersion, span, message)
            .help(format!("use `{right}`, and mind that its fields differ"));
    } else {
        let message = format!("{kind} is not served as `{api_version}`");
        diagnostics
            .report(Code::WrongApiVersion, span, message)
            .help(format!("use `{right}`"));
    }
    Treatment::Refused
}

/// Whether a document of a known kind's name means that kind, although its `apiVersion` may be
/// wrong, and not another group's kind of the same name.
fn meant(known: &KnownKind, api_version: &str, group: &str) -> bool {
    let group_of = |version: &str| {
        version
            .split_once('/')
            .map_or(String::new(), |(group, _)| group.to_owned())
    };
    let served = known.api_versions.iter().chain(known.removed);
    let another = group.contains('.') && !served.clone().any(|version| group_of(version) == group);
    known.api_versions.contains(&api_version) || !another || group.ends_with(".k8s.io")
}

/// The reason for reading over a kind that is not known.
fn unknown(
    api_version: &str,
    group: &str,
    kind: &str,
    span: Span,
    diagnostics: &mut Diagnostics,
) -> &'static str {
    let belongs =
        |(of, name, _): &&(&str, &str, &str)| *of == group && (*name == kind || *name == "*");
    if let Some((.., reason)) = IGNORED.iter().find(belongs) {
        // Of what changes where requests go somebody should hear without asking the ledger.
        if reason.starts_with("a later release") {
            let message = format!("{kind} (`{api_version}`) is read over: {reason}");
            diagnostics.report(Code::KindIgnored, span, message);
        }
        return reason;
    }
    let message = format!("{kind} (`{api_version}`) is read over");
    let found = diagnostics.report(Code::KindIgnored, span, message);
    // A group of its own has kinds of its own; only Kubernetes' names can be misspelt.
    let ours = !group.contains('.') || group.ends_with(".k8s.io") || group == "hybridsim.dev";
    let known = nearest(kind, KNOWN.iter().map(|known| known.kind)).filter(|_| ours);
    if let Some(known) = known {
        found.help(format!("did you mean `{known}`?"));
    }
    "the kind is not known to this release"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Kind, Status};
    use std::collections::BTreeMap;

    /// All shapes below one, by name.
    fn collect(shape: &'static Shape, found: &mut BTreeMap<&'static str, &'static Shape>) {
        if let Some(known) = found.insert(shape.name, shape) {
            assert!(
                std::ptr::eq(known, shape),
                "two shapes are called {}",
                shape.name
            );
            return;
        }
        for field in shape.fields.iter().chain(shape.rest) {
            collect_kind(&field.kind, found);
        }
    }

    fn collect_kind(kind: &'static Kind, found: &mut BTreeMap<&'static str, &'static Shape>) {
        match kind {
            Kind::Map(shape) => collect(shape, found),
            Kind::Keyed(inner) | Kind::List(inner) => collect_kind(inner, found),
            Kind::Either(kinds) => kinds.iter().for_each(|kind| collect_kind(kind, found)),
            _ => {}
        }
    }

    #[test]
    fn tables_are_whole() {
        let mut found = BTreeMap::new();
        for known in KNOWN {
            collect(known.shape, &mut found);
            for (field, expected) in [
                ("apiVersion", true),
                ("kind", true),
                ("metadata", known.named),
            ] {
                assert_eq!(
                    known.shape.field(field).is_some(),
                    expected,
                    "{} lacks {field}",
                    known.kind
                );
            }
        }
        assert!(found.len() > 50);
        for shape in found.values() {
            let mut names: Vec<_> = shape.fields.iter().map(|field| field.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(
                names.len(),
                shape.fields.len(),
                "{} names a field twice",
                shape.name
            );
            for field in shape.fields {
                if let Status::Approximated(note) | Status::Ignored(note) = field.status {
                    assert!(
                        !note.is_empty(),
                        "{}.{} says nothing",
                        shape.name,
                        field.name
                    );
                }
            }
        }
    }

    #[test]
    fn every_version_is_served_as_it_should() {
        let mut diagnostics = Diagnostics::default();
        for known in KNOWN {
            for version in known.api_versions {
                let treatment = classify(version, known.kind, Span::default(), &mut diagnostics);
                assert!(
                    matches!(treatment, Treatment::Read(read) if std::ptr::eq(read, known)),
                    "{version} {}",
                    known.kind
                );
            }
        }
        assert!(!diagnostics.has_errors());
        for known in KNOWN {
            for version in known.removed {
                let treatment = classify(version, known.kind, Span::default(), &mut diagnostics);
                assert!(
                    matches!(treatment, Treatment::Refused),
                    "{version} {}",
                    known.kind
                );
            }
        }
        // Another group's kinds of the same name are not meant.
        for (version, kind) in [
            ("networking.example.com/v1", "Gateway"),
            ("serving.knative.dev/v1", "Service"),
        ] {
            let treatment = classify(version, kind, Span::default(), &mut diagnostics);
            assert!(
                matches!(treatment, Treatment::ReadOver(_)),
                "{version} {kind}"
            );
        }
    }
}
