//! Waypoints: what istiod makes for a Gateway of the class `istio-waypoint`, and which services are
//! reached through which.
//!
//! Models: labels of services over those of their namespace; what the waypoint speaks for and
//! whom its listener admits.
//! Leaves out: labels of pods, of ServiceEntries and of GatewayClasses; `parametersRef`.
//! Sources: istio/istio pilot/pkg/serviceregistry/ambient/waypoints.go, manifests/charts/
//! istio-control/istio-discovery/files/waypoint.yaml; `cloud::facts`.

use super::services::ServiceView;
use super::workloads::{WorkloadView, key};
use super::{Inline, MeshFrame, Notes, View, sidecars};
use crate::diagnostic::{Code, Diagnostics};
use crate::kubernetes::gateway::{Admits, Gateway};
use crate::kubernetes::{Metadata, Objects};
use crate::source::Span;
use cloud::facts;
use cloud::istio::config::{
    Created, GATEWAY_NAME, Identity, Object, PodSettings, WaypointName, WaypointUse,
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

/// Which services of a stage are reached through a waypoint.
pub(super) fn uses(objects: &Objects, inline: &[Inline]) -> Vec<WaypointUse> {
    let known = Known::of(objects);
    let nothing = Labels::new();
    let declared = inline
        .iter()
        .map(|it| ("default", it.name.as_str(), &nothing));
    let written = objects.services.iter().map(|service| {
        let it = &service.metadata;
        (it.namespace.as_str(), it.name.as_str(), &it.labels)
    });
    let all = written
        .chain(declared)
        .filter_map(|(namespace, name, labels)| {
            let asked = known.asked(namespace, labels)?;
            let is_itself = known.gateway(&[namespace, name]).is_some();
            let spoken_for = !is_itself && known.refusal(&asked, namespace).is_none();
            spoken_for.then(|| WaypointUse {
                identity: Identity {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    created: Created::At(Time::ZERO),
                },
                waypoint: Some(asked),
            })
        });
    all.collect()
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
pub(super) fn check(objects: &Objects, diagnostics: &mut Diagnostics) {
    let known = Known::of(objects);
    let services = objects.services.iter().map(|service| &service.metadata);
    let namespaces = objects.namespaces.iter().map(|it| (it.name.as_str(), it));
    let all = namespaces.chain(services.map(|it| (it.namespace.as_str(), it)));
    for (namespace, it) in all {
        if it.labels.contains_key(USE)
            && let Some(asked) = known.asked(namespace, &it.labels)
            && let Some(why) = known.refusal(&asked, namespace)
        {
            let help = "istiod leaves the label aside: connections go straight on";
            let found = diagnostics.report(Code::WaypointNotFound, it.span, why);
            found.help(help);
        }
        tell(&it.labels, it.span, diagnostics);
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

fn tell(labels: &Labels, span: Span, diagnostics: &mut Diagnostics) {
    let told = [
        (
            INGRESS,
            "gateways go straight on to pods, past the waypoint",
        ),
        (CANARY, "all connections take the first waypoint"),
    ];
    for (label, message) in told {
        if labels.get(label).is_some_and(|value| value != "false") {
            let message = format!("`{label}` has no effect: {message}");
            let found = diagnostics.report(Code::WaypointPassedBy, span, message);
            found.help("the simulator leaves it out");
        }
    }
}
