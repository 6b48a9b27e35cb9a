//! Waypoints: what istiod makes for a Gateway of the class `istio-waypoint`, and which services are
//! reached through which.
//!
//! Models: labels of services and ServiceEntries over those of their namespace; what the waypoint
//! speaks for and whom its listener admits; whether gateways go that way as well. Clients ask a
//! host of a ServiceEntry through a waypoint from 1.25 on, by
//! its own address or by one that istiod gives it where it resolves to anything.
//! Leaves out: labels of pods, of WorkloadEntries and of GatewayClasses; `parametersRef`.
//! Sources: istio/istio pilot/pkg/serviceregistry/ambient/waypoints.go, manifests/charts/
//! istio-control/istio-discovery/files/waypoint.yaml; `cloud::facts`.

use super::services::ServiceView;
use super::workloads::{WorkloadView, key};
use super::{Inline, MeshFrame, Notes, View, sidecars};
use crate::diagnostic::{Code, Diagnostics};
use crate::istio::objects::Written;
use crate::kubernetes::gateway::{Admits, Gateway};
use crate::kubernetes::service::Addressing;
use crate::kubernetes::{Metadata, Objects};
use crate::source::Span;
use crate::tree::Node;
use cloud::facts;
use cloud::istio::config::{
    Created, GATEWAY_NAME, Identity, Object, PodSettings, Resolution, ServiceEntry, WaypointName,
    WaypointUse,
};
use cloud::scenario::{
    Resources, Role, ServiceKind, ServicePort, TrafficDistribution, Transport, WorkloadKind,
};
use engine::Time;
use std::collections::BTreeMap;

const USE: &str = "istio.io/use-waypoint";
const USE_NAMESPACE: &str = "istio.io/use-waypoint-namespace";
const SPEAKS_FOR: &str = "istio.io/waypoint-for";
const CANARY: &str = "istio.io/use-waypoint-canary";
const INGRESS: &str = "istio.io/ingress-use-waypoint";

/// The port of tunnels.
const HBONE: u16 = 15_008;

type Labels = BTreeMap<String, String>;

/// Adds the waypoints of a stage.
pub(super) fn install(view: &mut View, objects: &Objects, mesh: &MeshFrame, notes: &mut Notes) {
    for gateway in objects.gateways.iter().filter(|it| it.is_waypoint()) {
        let Metadata {
            namespace, name, ..
        } = &gateway.metadata;
        let workload_key = key(namespace, name, WorkloadKind::Deployment);
        if !view.workloads.contains_key(&workload_key) {
            let workload = bare(gateway, notes);
            view.workloads.insert(workload_key.clone(), workload);
        }
        let usual = facts::PROXY_CPU_PER_REQUEST.value;
        let scale = mesh.proxy_cost.as_secs_f64() / usual.as_secs_f64();
        let cost = notes.fact(&facts::WAYPOINT_CPU_PER_REQUEST).mul_f64(scale);
        let costs = sidecars::costs_of(cost, notes);
        if let Some(workload) = view.workloads.get_mut(&workload_key) {
            let settings =
                sidecars::settings(&PodSettings::default(), (namespace, workload), objects);
            sidecars::stand_alone(workload, (Role::Waypoint, costs), settings, notes);
        }
        let port = ServicePort {
            name: Some("mesh".to_owned()),
            port: HBONE,
            target_port: HBONE,
            node_port: None,
            transport: Transport::Tcp,
        };
        let span = gateway.metadata.span;
        let bare = ServiceView::bare(ServiceKind::ClusterIp, vec![port], workload_key, span);
        let service = ServiceView {
            distribution: Some(TrafficDistribution::SameZone),
            ..bare
        };
        let service_key = (namespace.clone(), name.clone());
        view.services.entry(service_key).or_insert(service);
    }
}

/// The pods of a waypoint that the manifests do not contain.
fn bare(gateway: &Gateway, notes: &mut Notes) -> WorkloadView {
    let Metadata {
        namespace,
        name,
        span,
        ..
    } = &gateway.metadata;
    let replicas = notes.fact(&facts::WAYPOINT_REPLICAS);
    notes.assumptions.insert(format!(
        "`{namespace}/{name}`: {replicas} replica of a waypoint, as istiod makes it for the Gateway"
    ));
    let mut workload = WorkloadView::bare(WorkloadKind::Deployment, replicas, *span);
    workload.placement.labels = [(GATEWAY_NAME.to_owned(), name.clone())].into();
    workload.placement.requests = Resources {
        cpu_milli: notes.fact(&facts::WAYPOINT_CPU_REQUEST_MILLI),
        memory_bytes: notes.fact(&facts::WAYPOINT_MEMORY_REQUEST_BYTES),
    };
    workload.cpu_limit_milli = Some(notes.fact(&facts::WAYPOINT_CPU_LIMIT_MILLI));
    workload.service_account = Some(name.clone());
    workload
}

/// Something that clients may reach through a waypoint.
struct Asked<'a> {
    namespace: &'a str,
    /// A Service, or a host of a ServiceEntry.
    name: String,
    labels: Labels,
    /// Whether it has an address of its own, by which waypoints know it.
    has_address: bool,
    span: Option<Span>,
}

/// Services and hosts of a stage.
fn all_asked<'a>(objects: &'a Objects, inline: &'a [Inline], minor: u32) -> Vec<Asked<'a>> {
    let written = objects.services.iter().map(|service| Asked {
        namespace: &service.metadata.namespace,
        name: service.metadata.name.clone(),
        labels: service.metadata.labels.clone(),
        has_address: !matches!(
            service.addressing,
            Addressing::Headless | Addressing::ExternalName(_)
        ),
        span: Some(service.metadata.span),
    });
    let declared = inline.iter().map(|it| Asked {
        namespace: "default",
        name: it.name.clone(),
        labels: Labels::new(),
        has_address: true,
        span: None,
    });
    let hosts = objects.istio.written.iter().flat_map(move |written| {
        let entry = match &written.object {
            Object::ServiceEntry(entry) => Some(entry),
            _ => None,
        };
        entry.into_iter().flat_map(move |entry| {
            entry.hosts.iter().map(move |host| Asked {
                namespace: &entry.identity.namespace,
                name: host.to_lowercase(),
                labels: labels_of(written),
                has_address: has_address(entry, host, minor),
                span: Some(written.span),
            })
        })
    });
    written.chain(declared).chain(hosts).collect()
}

/// Whether clients find a host of a ServiceEntry at an address of its own.
fn has_address(entry: &ServiceEntry, host: &str, minor: u32) -> bool {
    let is_given = entry.resolution != Resolution::None && !host.starts_with('*');
    let has_address = !entry.addresses.is_empty() || is_given;
    has_address && minor >= facts::AMBIENT_NAMES_FROM_MINOR.value
}

/// Labels of an object of Istio's.
fn labels_of(written: &Written) -> Labels {
    let labels = written.root.at(&["metadata", "labels"]);
    let entries = labels.map_or(&[][..], Node::entries).iter();
    entries
        .filter_map(|entry| Some((entry.key.clone(), entry.value.str()?.to_owned())))
        .collect()
}

/// Which services of a stage are reached through a waypoint.
pub(super) fn uses(objects: &Objects, inline: &[Inline], minor: u32) -> Vec<WaypointUse> {
    let known = Known::of(objects);
    let all = all_asked(objects, inline, minor).into_iter();
    let used = all.filter_map(|it| {
        let waypoint = known.used(&it)?;
        Some(WaypointUse {
            is_for_gateways: known.is_for_gateways(&it, minor),
            identity: Identity {
                namespace: it.namespace.to_owned(),
                name: it.name,
                created: Created::At(Time::ZERO),
            },
            waypoint: Some(waypoint),
        })
    });
    used.collect()
}

/// What a stage has of waypoints, with what the stage before it had and this one has not taken
/// back.
pub(super) fn objects(before: Option<&[WaypointUse]>, now: &[WaypointUse]) -> Vec<Object> {
    let before = before.unwrap_or_default().iter();
    let kept = |used: &WaypointUse| now.iter().any(|it| it.identity == used.identity);
    let ended = before.filter(|used| !kept(used)).map(|used| WaypointUse {
        waypoint: None,
        ..used.clone()
    });
    let all = now.iter().cloned().chain(ended);
    all.map(Object::from).collect()
}

/// Waypoints and namespaces of a stage.
struct Known<'a> {
    gateways: Vec<&'a Gateway>,
    namespaces: BTreeMap<&'a str, &'a Labels>,
}

impl<'a> Known<'a> {
    fn of(objects: &'a Objects) -> Self {
        let gateways = objects.gateways.iter().filter(|it| it.is_waypoint());
        let namespaces = objects.namespaces.iter();
        Known {
            gateways: gateways.collect(),
            namespaces: namespaces
                .map(|it| (it.name.as_str(), &it.labels))
                .collect(),
        }
    }

    fn gateway(&self, [namespace, name]: &[&str; 2]) -> Option<&'a Gateway> {
        let mut gateways = self.gateways.iter().copied();
        gateways.find(|it| {
            (&it.metadata.namespace, &it.metadata.name)
                == (&namespace.to_string(), &name.to_string())
        })
    }

    /// The waypoint that something is reached through.
    fn used(&self, it: &Asked<'_>) -> Option<WaypointName> {
        let asked = self.asked(it.namespace, &it.labels)?;
        let is_itself = self.gateway(&[it.namespace, &it.name]).is_some();
        let is_host = it.name.contains('.');
        let spoken_for = !is_itself && self.refusal(&asked, it.namespace).is_none();
        (spoken_for && (it.has_address || !is_host)).then_some(asked)
    }

    /// Whether gateways are to go through its waypoint: its own label counts before that of the
    /// namespace.
    fn is_for_gateways(&self, it: &Asked<'_>, minor: u32) -> bool {
        let wide = self.namespaces.get(it.namespace).copied();
        let wide =
            wide.filter(|_| minor >= facts::ISTIO_INGRESS_WAYPOINT_NAMESPACES_FROM_MINOR.value);
        let mut labels = [Some(&it.labels), wide].into_iter().flatten();
        let said = labels.find_map(|labels| labels.get(INGRESS));
        said.is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The waypoint that an object of a namespace asks for: its own labels count before those of
    /// the namespace.
    fn asked(&self, namespace: &str, labels: &Labels) -> Option<WaypointName> {
        let wide = self.namespaces.get(namespace).copied();
        let labels = [Some(labels), wide]
            .into_iter()
            .flatten()
            .find(|it| it.contains_key(USE))?;
        let name = labels.get(USE).filter(|name| *name != "none")?;
        let of = labels.get(USE_NAMESPACE).map_or(namespace, String::as_str);
        Some(WaypointName {
            namespace: of.to_owned(),
            name: name.clone(),
        })
    }

    /// Why the waypoint that labels of a namespace ask for is not there for it.
    fn refused(&self, namespace: &str, labels: &Labels) -> Option<String> {
        let asked = labels
            .contains_key(USE)
            .then(|| self.asked(namespace, labels));
        self.refusal(&asked.flatten()?, namespace)
    }

    /// Why a waypoint does not speak for the services of a namespace.
    fn refusal(&self, asked: &WaypointName, namespace: &str) -> Option<String> {
        let WaypointName {
            namespace: of,
            name,
        } = asked;
        let Some(gateway) = self.gateway(&[of, name]) else {
            return Some(format!("there is no waypoint `{name}` in namespace `{of}`"));
        };
        let kind = gateway
            .metadata
            .labels
            .get(SPEAKS_FOR)
            .map_or("service", String::as_str);
        if !["service", "all"].contains(&kind) {
            return Some(format!(
                "the waypoint `{name}` speaks for `{kind}`, not for services"
            ));
        }
        let mut listeners = gateway.listeners.iter();
        let Some(listener) = listeners.find(|listener| listener.hbone) else {
            return Some(format!("the waypoint `{name}` has no listener for HBONE"));
        };
        let nothing = Labels::new();
        let admits = match &listener.admits {
            Admits::All => true,
            Admits::Same => of == namespace,
            Admits::Labelled(wanted) => {
                wanted.matches(self.namespaces.get(namespace).copied().unwrap_or(&nothing))
            }
        };
        (!admits).then(|| {
            format!(
                "the waypoint `{name}` of namespace `{of}` does not admit namespace `{namespace}`"
            )
        })
    }
}

/// Tells of labels that ask for what is not there, or is not simulated.
pub(super) fn check(objects: &Objects, minor: u32, diagnostics: &mut Diagnostics) {
    let known = Known::of(objects);
    for namespace in &objects.namespaces {
        let refused = known.refused(&namespace.name, &namespace.labels);
        tell_refusal(refused, namespace.span, diagnostics);
        let counts = minor >= facts::ISTIO_INGRESS_WAYPOINT_NAMESPACES_FROM_MINOR.value;
        let why = (!counts).then(|| "of a namespace it counts from Istio 1.25 on".to_owned());
        tell(&namespace.labels, why, namespace.span, diagnostics);
    }
    for it in all_asked(objects, &[], minor) {
        let Some(span) = it.span else {
            continue;
        };
        let refused = known.refused(it.namespace, &it.labels);
        let is_there = refused.is_none();
        tell_refusal(refused, span, diagnostics);
        let asks = it.labels.contains_key(USE) && known.asked(it.namespace, &it.labels).is_some();
        if asks && is_there && !it.has_address {
            let message = format!(
                "clients ask `{}` past any waypoint: it has no address",
                it.name
            );
            let help = match it.name.contains('.') {
                true => "give it `addresses`, or a `resolution` other than NONE with Istio 1.25",
                false => "waypoints are asked for addresses of Services; a headless one has none",
            };
            let found = diagnostics.report(Code::WaypointNeedsAddress, span, message);
            found.help(help);
        }
        let is_passed = known.used(&it).is_none();
        let why = is_passed.then(|| format!("`{}` is reached through no waypoint", it.name));
        tell(&it.labels, why, span, diagnostics);
    }
    for written in &objects.istio.written {
        if let Object::WorkloadEntry(entry) = &written.object
            && labels_of(written).contains_key(USE)
        {
            let message = format!(
                "`{}` asks for a waypoint of its own, and connections past a service go straight on",
                entry.identity.name
            );
            let found = diagnostics.report(Code::WaypointPassedBy, written.span, message);
            found.help("label the Service or ServiceEntry, which clients ask");
        }
    }
    for workload in &objects.workloads {
        let labels = &workload.template.placement.labels;
        if labels.contains_key(USE) {
            let message = format!(
                "pods of `{}` ask for a waypoint of their own, and connections past a service go straight on",
                workload.metadata.name
            );
            let found = diagnostics.report(Code::WaypointPassedBy, workload.metadata.span, message);
            found.help("label the Service, which clients ask");
        }
    }
    for gateway in &known.gateways {
        let kind = gateway.metadata.labels.get(SPEAKS_FOR).map(String::as_str);
        if let Some(kind @ ("workload" | "all")) = kind {
            let message = format!(
                "the waypoint speaks for `{kind}`, and connections to pods past a service go straight on"
            );
            let found = diagnostics.report(Code::WaypointPassedBy, gateway.metadata.span, message);
            found.help("what is asked of services is simulated");
        }
    }
}

fn tell_refusal(refused: Option<String>, span: Span, diagnostics: &mut Diagnostics) {
    if let Some(why) = refused {
        let found = diagnostics.report(Code::WaypointNotFound, span, why);
        found.help("istiod leaves the label aside: connections go straight on");
    }
}

/// Tells of labels without effect; of the one for gateways, why it has none.
fn tell(labels: &Labels, of_gateways: Option<String>, span: Span, diagnostics: &mut Diagnostics) {
    let of_canary = "all connections take the first waypoint".to_owned();
    for (label, why) in [(INGRESS, of_gateways), (CANARY, Some(of_canary))] {
        let is_said = labels.get(label).is_some_and(|value| value != "false");
        if let Some(why) = why.filter(|_| is_said) {
            let message = format!("`{label}` has no effect: {why}");
            let found = diagnostics.report(Code::WaypointPassedBy, span, message);
            found.help("gateways and clients go on as without it");
        }
    }
}
