//! What changes Envoy's configuration by hand: EnvoyFilter, WasmPlugin, TrafficExtension; and
//! IstioOperator, which installs Istio.

use super::forms::{LABELS, MATCH_LABELS, Scope, istio_kind, string};
use super::installation;
use super::mesh::{MESH_CONFIG, minor};
use super::security::TARGET_REFERENCE;
use crate::diagnostic::Code;
use crate::document::Document;
use crate::kubernetes::metadata::text_map;
use crate::shape::{Field, Kind, Shape, TEXT_MAP};
use crate::tree::Node;
use crate::value::{QUANTITY, parse_quantity};
use cloud::istio::config::ProxyResources;
use std::collections::{BTreeMap, BTreeSet};

const BY_HAND: &str =
    "Envoy's configuration is simulated as istiod writes it, not as it is changed by hand";
const INSTALLED: &str = "how Istio's own pods run is not read from here";

const LIMITS: &str = "limits of rates for what sidecars take in, limits and the connect timeout of clusters, timeouts and retries of routes and the times of streams act; HS0143 tells of other patches";
static FILTER_PATCH: Shape = Shape::new(
    "EnvoyFilterPatch",
    &[
        Field::approximated("applyTo", Kind::Text, LIMITS),
        Field::approximated("match", Kind::Opaque, LIMITS),
        Field::approximated("patch", Kind::Opaque, LIMITS),
        Field::approximated("listener", Kind::Opaque, LIMITS),
    ],
);
static FILTER_SPEC: Shape = Shape::new(
    "EnvoyFilterSpec",
    &[
        Field::modelled("workloadSelector", Kind::Map(&LABELS)),
        Field::ignored(
            "targetRefs",
            Kind::List(&Kind::Map(&TARGET_REFERENCE)),
            BY_HAND,
        ),
        Field::approximated(
            "configPatches",
            Kind::List(&Kind::Map(&FILTER_PATCH)),
            LIMITS,
        ),
        Field::modelled("priority", crate::shape::INTEGER),
    ],
);
istio_kind!(ENVOY_FILTER, "EnvoyFilter", FILTER_SPEC);

static WASM_SPEC: Shape = Shape::new(
    "WasmPluginSpec",
    &[
        Field::ignored("selector", Kind::Map(&MATCH_LABELS), BY_HAND),
        Field::ignored("targetRef", Kind::Map(&TARGET_REFERENCE), BY_HAND),
        Field::ignored(
            "targetRefs",
            Kind::List(&Kind::Map(&TARGET_REFERENCE)),
            BY_HAND,
        ),
        Field::ignored("url", Kind::Text, BY_HAND),
        Field::ignored("sha256", Kind::Text, BY_HAND),
        Field::ignored("imagePullPolicy", Kind::Text, BY_HAND),
        Field::ignored("imagePullSecret", Kind::Text, BY_HAND),
        Field::ignored("verificationKey", Kind::Text, BY_HAND),
        Field::ignored("pluginConfig", Kind::Opaque, BY_HAND),
        Field::ignored("pluginName", Kind::Text, BY_HAND),
        Field::ignored("phase", Kind::Text, BY_HAND),
        Field::ignored("failStrategy", Kind::Text, BY_HAND),
        Field::ignored("priority", crate::shape::INTEGER, BY_HAND),
        Field::ignored("vmConfig", Kind::Opaque, BY_HAND),
        Field::ignored("match", Kind::Opaque, BY_HAND),
        Field::ignored("type", Kind::Text, BY_HAND),
    ],
);
istio_kind!(WASM_PLUGIN, "WasmPlugin", WASM_SPEC);

static EXTENSION_SPEC: Shape = Shape::new(
    "TrafficExtensionSpec",
    &[
        Field::ignored("selector", Kind::Map(&MATCH_LABELS), BY_HAND),
        Field::ignored(
            "targetRefs",
            Kind::List(&Kind::Map(&TARGET_REFERENCE)),
            BY_HAND,
        ),
        Field::ignored("phase", Kind::Text, BY_HAND),
        Field::ignored("priority", crate::shape::INTEGER, BY_HAND),
        Field::ignored("match", Kind::Opaque, BY_HAND),
        Field::ignored("wasm", Kind::Opaque, BY_HAND),
        Field::ignored("lua", Kind::Opaque, BY_HAND),
    ],
);
istio_kind!(TRAFFIC_EXTENSION, "TrafficExtension", EXTENSION_SPEC);

/// Which variables of istiod act.
const ENVIRONMENT: &str = "`ENABLE_NATIVE_SIDECARS`, `ENABLE_EXTERNAL_NAME_ALIAS` and `PILOT_ENABLE_ALPHA_GATEWAY_API` act, other variables do not";

static AMOUNTS: Shape = Shape::new(
    "ProxyAmounts",
    &[
        Field::modelled("cpu", Kind::Format(&QUANTITY)),
        Field::modelled("memory", Kind::Format(&QUANTITY)),
    ],
);
static RESOURCES: Shape = Shape::new(
    "ProxyResources",
    &[
        Field::modelled("requests", Kind::Map(&AMOUNTS)),
        Field::modelled("limits", Kind::Map(&AMOUNTS)),
    ],
);
/// What is not read of an installation.
pub(super) static OTHER: Field = Field::ignored("", Kind::Opaque, INSTALLED);
static PROXY_VALUES: Shape = Shape::new(
    "IstioProxyValues",
    &[Field::modelled("resources", Kind::Map(&RESOURCES))],
)
.or_else(&OTHER);
static GLOBAL_VALUES: Shape = Shape::new(
    "IstioGlobalValues",
    &[Field::modelled("proxy", Kind::Map(&PROXY_VALUES))],
)
.or_else(&OTHER);
static ISTIOD_VALUES: Shape = Shape::new(
    "IstiodValues",
    &[Field::approximated("env", TEXT_MAP, ENVIRONMENT)],
)
.or_else(&OTHER);
static VARIABLE: Shape = Shape::new(
    "IstiodVariable",
    &[
        Field::approximated("name", Kind::Text, ENVIRONMENT),
        Field::approximated("value", Kind::Word, ENVIRONMENT),
        Field::ignored("valueFrom", Kind::Opaque, INSTALLED),
    ],
);
static ISTIOD_CONTAINER: Shape = Shape::new(
    "IstiodContainer",
    &[Field::modelled("env", Kind::List(&Kind::Map(&VARIABLE)))],
)
.or_else(&OTHER);
static ISTIOD: Shape = Shape::new(
    "IstiodComponent",
    &[Field::modelled("k8s", Kind::Map(&ISTIOD_CONTAINER))],
)
.or_else(&OTHER);
static COMPONENTS: Shape = Shape::new(
    "IstioComponents",
    &[
        Field::modelled("pilot", Kind::Map(&ISTIOD)),
        Field::modelled(
            "ingressGateways",
            Kind::List(&Kind::Map(&installation::COMPONENT)),
        ),
        Field::modelled(
            "egressGateways",
            Kind::List(&Kind::Map(&installation::COMPONENT)),
        ),
    ],
)
.or_else(&OTHER);
static VALUES: Shape = Shape::new(
    "IstioValues",
    &[
        Field::modelled("pilot", Kind::Map(&ISTIOD_VALUES)),
        Field::modelled("global", Kind::Map(&GLOBAL_VALUES)),
        Field::modelled("meshConfig", Kind::Map(&MESH_CONFIG)),
        Field::modelled("gateways", Kind::Map(&installation::GATEWAYS)),
    ],
)
.or_else(&OTHER);
static OPERATOR_SPEC: Shape = Shape::new(
    "IstioOperatorSpec",
    &[
        Field::ignored("profile", Kind::Text, INSTALLED),
        Field::ignored("installPackagePath", Kind::Text, INSTALLED),
        Field::ignored("hub", Kind::Text, INSTALLED),
        Field::approximated("tag", Kind::Word, "its minor release counts"),
        Field::ignored("namespace", Kind::Text, INSTALLED),
        Field::modelled("revision", Kind::Text),
        Field::ignored("defaultRevision", Kind::Bool, INSTALLED),
        Field::ignored("compatibilityVersion", Kind::Word, INSTALLED),
        Field::modelled("meshConfig", Kind::Map(&MESH_CONFIG)),
        Field::modelled("components", Kind::Map(&COMPONENTS)),
        Field::ignored("addonComponents", Kind::Opaque, INSTALLED),
        Field::modelled("values", Kind::Map(&VALUES)),
        Field::ignored("unvalidatedValues", Kind::Opaque, INSTALLED),
    ],
);
istio_kind!(ISTIO_OPERATOR, "IstioOperator", OPERATOR_SPEC);

/// Says what a filter by hand cannot do here.
pub(super) fn warn(document: &Document, patches: &[&Node], scope: &mut Scope<'_>) {
    let patches = patches.iter();
    let places: BTreeSet<_> = patches.filter_map(|node| string(node, "applyTo")).collect();
    let kind = document.kind.kind;
    let what = match places.len() {
        0 => String::new(),
        _ => format!(" to {}", places.into_iter().collect::<Vec<_>>().join(", ")),
    };
    let name = &document.metadata.name;
    let message = format!("what the {kind} `{name}` does{what} is not simulated");
    scope
        .diagnostics
        .report(Code::FilterByHand, document.metadata.span, message)
        .help("proxies behave as without it; limits and faults have fields of their own in Istio's objects");
}

/// The MeshConfig that an IstioOperator writes.
pub(super) fn mesh(document: &Document) -> Option<&Node> {
    let spec = document.spec();
    spec.get("meshConfig")
        .or_else(|| spec.at(&["values", "meshConfig"]))
}

/// The release that it installs, if its tag says.
pub(super) fn release(document: &Document) -> Option<u32> {
    minor(document.spec().get("tag")?.text()?)
}

/// The revision that it installs, if it is not the default one.
pub(super) fn revision(document: &Document) -> Option<String> {
    string(document.spec(), "revision").filter(|name| name != "default")
}

/// Environment variables that it gives to istiod.
pub(super) fn environment(document: &Document) -> BTreeMap<String, String> {
    let spec = document.spec();
    let mut all = text_map(spec.at(&["values", "pilot", "env"]));
    let pilot = spec.at(&["components", "pilot", "k8s"]);
    for variable in pilot.map_or(&[][..], |node| node.list("env")) {
        let text = |key: &str| variable.get(key)?.text().map(str::to_owned);
        if let (Some(name), Some(value)) = (text("name"), text("value")) {
            all.insert(name, value);
        }
    }
    all
}

/// CPU and memory of proxies, where it says.
pub(super) fn resources(document: &Document) -> Option<ProxyResources> {
    let node = document
        .spec()
        .at(&["values", "global", "proxy", "resources"])?;
    let read = |kind: &str, key: &str| parse_quantity(node.at(&[kind, key])?.text()?).ok();
    Some(ProxyResources {
        cpu_request_milli: read("requests", "cpu").map(|amount| amount.milli()),
        cpu_limit_milli: read("limits", "cpu").map(|amount| amount.milli()),
        memory_request_bytes: read("requests", "memory").map(|amount| amount.whole()),
        memory_limit_bytes: read("limits", "memory").map(|amount| amount.whole()),
    })
}
