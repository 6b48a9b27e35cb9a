//! Ingresses that istiod serves: each becomes a Gateway, and each host a VirtualService.
//!
//! Models: which Ingresses it takes, by annotation, class and `ingressControllerMode`; routes in
//! their order, those of several Ingresses for one host put together at the Gateway of the oldest;
//! TLS by name; the gateway's pods by `ingressSelector` or `ingressService`.
//! Leaves out: what istiod writes into `status`; that K8S_INGRESS_NS calls the Gateways otherwise.
//! Sources: istio/istio 86c9f01 pilot/pkg/config/kube/ingress (ingress.go, gateways.go,
//! virtualservices.go), pilot/pkg/bootstrap/configcontroller.go,
//! pilot/pkg/networking/core/route/route.go (TranslateRouteMatch).
//! Validated by: `tests/promises/istio_ingresses.rs`.

use super::forms::{identity, string, strings};
use super::installation;
use super::objects::Written;
use crate::diagnostic::{Code, Diagnostics, Severity};
use crate::document::Document;
use crate::kubernetes::ingress::{CLASS_ANNOTATION, IngressClass, check_absolute};
use crate::kubernetes::metadata::text;
use crate::kubernetes::service::Service;
use crate::source::Span;
use crate::tree::Node;
use cloud::facts;
use cloud::istio::config::{
    Created, Destination, ExportTo, Gateway, GatewayName, HttpAction, HttpDestination, HttpMatch,
    HttpRoute, Identity, IngressMode, IngressSettings, Labels, OF_INGRESSES, Object, Server,
    ServerHost, ServerTls, ServerTlsMode, StringMatch, Target, UriMatch, VirtualService,
};
use cloud::istio::host;
use cloud::istio::protocol::Protocol;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What istiod calls itself in an IngressClass.
const CONTROLLER: &str = "istio.io/ingress-controller";

/// istiod does not say when it made them, which makes them older than everything written.
const ALWAYS: Created = Created::Before(i64::MIN);

/// Who serves an Ingress of a cluster with a mesh.
enum Serving {
    Istiod,
    /// Somebody else, if anybody.
    Others,
    /// Nobody: a kind of problem, what it is, and what helps.
    Nobody(Code, String, &'static str),
}

fn serving(document: &Document, classes: &[IngressClass], settings: &IngressSettings) -> Serving {
    let annotation = document.metadata.annotations.get(CLASS_ANNOTATION);
    // The API server gives the default class to an Ingress that asks for none.
    let of_field = string(document.spec(), "ingressClassName").or_else(|| {
        let default = IngressClass::default_of(classes).filter(|_| annotation.is_none());
        default.map(|class| class.metadata.name.clone())
    });
    let is_it = |class: &&IngressClass| Some(&class.metadata.name) == of_field.as_ref();
    let class = classes.iter().find(is_it);
    let is_asked = match (annotation, class) {
        (Some(name), _) => *name == settings.class,
        (None, Some(class)) => class.controller == CONTROLLER,
        (None, None) => settings.mode == IngressMode::Default,
    };
    let name = &settings.class;
    match (settings.mode, is_asked) {
        (IngressMode::Off, true) => Serving::Nobody(
            Code::IngressLeftOut,
            "istiod serves no Ingress: `ingressControllerMode` of the mesh is OFF".to_owned(),
            "leave it out, or say STRICT",
        ),
        (_, true) => Serving::Istiod,
        (_, false)
            if annotation.is_none() && class.is_none() && of_field.as_ref() == Some(name) =>
        {
            Serving::Nobody(
                Code::IngressClassNotFound,
                format!("no manifest defines the class `{name}`, by which istiod would know it"),
                "add an IngressClass with `controller: istio.io/ingress-controller`, or use the annotation `kubernetes.io/ingress.class`",
            )
        }
        (_, false) => Serving::Others,
    }
}

/// Takes those out of a cluster's Ingresses that istiod serves, and makes its objects of them; what
/// nobody serves is told and taken out too.
pub(crate) fn take(
    ingresses: &mut Vec<&Document>,
    classes: &[IngressClass],
    (settings, services): (&IngressSettings, &[Service]),
    diagnostics: &mut Diagnostics,
) -> Vec<Written> {
    let mut taken: Vec<&Document> = Vec::new();
    ingresses.retain(|document| match serving(document, classes, settings) {
        Serving::Istiod => {
            taken.push(document);
            false
        }
        Serving::Others => true,
        Serving::Nobody(code, why, help) => {
            let at = document.spec().get("ingressClassName");
            let span = at.map_or(document.metadata.span, |node| node.span);
            let found = diagnostics.report(code, span, why);
            found.help(help);
            false
        }
    });
    // Of rules for one host those of the oldest go first.
    taken.sort_by_cached_key(|document| {
        let Identity {
            namespace,
            name,
            created,
        } = identity(document);
        (created, name, namespace)
    });
    let gateways: Vec<Written> = taken
        .iter()
        .map(|document| written(document, gateway(document, settings, diagnostics)))
        .collect();
    let mut hosts: BTreeMap<String, (&Document, Vec<Ranked>)> = BTreeMap::new();
    for document in taken {
        if let Some(node) = document.spec().get("defaultBackend") {
            let help = "write a VirtualService for the host `*`";
            left_out(node.span, "the default backend", help, diagnostics);
        }
        for rule in document.spec().list("rules") {
            if rule.get("http").is_none() {
                let help = "give it `http` with `paths`";
                left_out(rule.span, "a rule without paths", help, diagnostics);
                continue;
            }
            let host = string(rule, "host").map_or("*".to_owned(), |host| host.to_lowercase());
            let (_, all) = hosts.entry(host).or_insert((document, Vec::new()));
            let paths = rule.at(&["http", "paths"]).map_or(&[][..], Node::items);
            let namespace = &document.metadata.namespace;
            all.extend(
                paths
                    .iter()
                    .filter_map(|path| ranked(path, namespace, services, diagnostics)),
            );
        }
    }
    // Without routes nobody asks a VirtualService.
    let routed = hosts.into_iter().filter(|(_, (_, all))| !all.is_empty());
    let services = routed.map(|(host, (document, routes))| {
        written(document, virtual_service(document, host, routes))
    });
    gateways.into_iter().chain(services).collect()
}

fn left_out(span: Span, what: &str, help: &str, diagnostics: &mut Diagnostics) {
    let message = format!("istiod leaves out {what}");
    diagnostics
        .report(Code::IngressLeftOut, span, message)
        .help(help);
}

fn written(document: &Document, object: impl Into<Object>) -> Written {
    Written {
        object: object.into(),
        span: document.metadata.span,
        root: document.root.clone(),
    }
}

/// Namespace and name of the Gateway that an Ingress becomes.
fn gateway_name(document: &Document) -> (String, String) {
    let name = &document.metadata.name;
    let namespace = &document.metadata.namespace;
    (
        installation::NAMESPACE.to_owned(),
        format!("{name}-{OF_INGRESSES}-{namespace}"),
    )
}

fn gateway(
    document: &Document,
    settings: &IngressSettings,
    diagnostics: &mut Diagnostics,
) -> Gateway {
    let (namespace, name) = gateway_name(document);
    let own = &document.metadata;
    let server = |port, protocol: Protocol, port_name, hosts: &[String], tls| Server {
        name: None,
        port,
        port_name,
        protocol,
        bind: None,
        hosts: hosts.iter().map(|host| ServerHost::of(host)).collect(),
        tls,
    };
    let everybody = || vec!["*".to_owned()];
    let mut servers = Vec::new();
    for (position, node) in document.spec().list("tls").iter().enumerate() {
        if string(node, "secretName").is_none() {
            let help = "name the Secret of the certificate in `secretName`";
            left_out(node.span, "TLS without a certificate", help, diagnostics);
            continue;
        }
        let hosts = strings(node, "hosts");
        let hosts = if hosts.is_empty() { everybody() } else { hosts };
        let called = format!(
            "https-443-ingress-{}-{}-{position}",
            own.name, own.namespace
        );
        let tls = ServerTls {
            redirects_to_https: false,
            mode: ServerTlsMode::Simple,
            subject_names: Vec::new(),
            names_certificate: true,
        };
        servers.push(server(443, Protocol::Https, called, &hosts, Some(tls)));
    }
    let called = format!("http-80-ingress-{}-{}", own.name, own.namespace);
    servers.push(server(80, Protocol::Http, called, &everybody(), None));
    Gateway {
        identity: Identity {
            namespace,
            name,
            created: ALWAYS,
        },
        selector: selector(settings),
        only_in: None,
        servers,
    }
}

/// Labels of the gateway's pods. The Service of the installation's own gateway is not called like
/// its pods.
fn selector(settings: &IngressSettings) -> Labels {
    let usual = &installation::KNOWN[0];
    let name = match (settings.selector.as_str(), settings.service.as_str()) {
        ("", service) if service.is_empty() || service == usual.name => usual.istio,
        ("", service) => service,
        (selector, _) => selector,
    };
    [("istio".to_owned(), name.to_owned())].into()
}

/// A route with its place: the longest path first, and an exact one before a prefix.
type Ranked = ((Reverse<usize>, bool), HttpRoute);

/// The route of a path; none if its backend is none for istiod.
fn ranked(
    node: &Node,
    namespace: &str,
    services: &[Service],
    diagnostics: &mut Diagnostics,
) -> Option<Ranked> {
    let destination = destination(node.get("backend")?, namespace, services, diagnostics)?;
    let path = text(node, "path");
    let uri = match text(node, "pathType").as_str() {
        "Exact" => Some(StringMatch::Exact(path)),
        "Prefix" => Some(StringMatch::Prefix(path)),
        _ => by_form(&path),
    };
    if let Some(path) = node.get("path") {
        check_absolute(path, &text(node, "pathType"), diagnostics);
    }
    let rank = match &uri {
        Some(StringMatch::Exact(path)) => (Reverse(path.len()), false),
        Some(StringMatch::Prefix(path)) => (Reverse(path.len()), true),
        _ => (Reverse(0), true),
    };
    let uri = uri.map(|uri| match uri {
        // By elements of the path, as the Ingress means it.
        StringMatch::Prefix(path) if path != "/" => {
            UriMatch::Below(path.strip_suffix('/').unwrap_or(&path).to_owned())
        }
        other => UriMatch::Text(other),
    });
    let matches = uri.map(|uri| HttpMatch {
        uri: Some(uri),
        ..HttpMatch::default()
    });
    let forward = HttpAction::Forward(vec![HttpDestination {
        target: Target::Host(destination),
        weight: 100,
        headers: Default::default(),
    }]);
    Some((
        rank,
        HttpRoute::plain(matches.into_iter().collect(), forward),
    ))
}

/// What istiod takes a path for where its type leaves that to it; nothing takes all.
fn by_form(path: &str) -> Option<StringMatch> {
    if ["", "*", "/*", ".*"].contains(&path) {
        return None;
    }
    let prefix = path.strip_suffix(".*").or_else(|| path.strip_suffix("/*"));
    Some(match prefix {
        Some(prefix) => StringMatch::Prefix(prefix.to_owned()),
        None => StringMatch::Exact(path.to_owned()),
    })
}

fn destination(
    node: &Node,
    namespace: &str,
    services: &[Service],
    diagnostics: &mut Diagnostics,
) -> Option<Destination> {
    let Some(service) = node.get("service") else {
        let help = "name a `service`";
        left_out(node.span, "a backend that is no Service", help, diagnostics);
        return None;
    };
    let name = text(service, "name");
    let mut known = services.iter();
    let known = known.find(|it| it.metadata.namespace == namespace && it.metadata.name == name);
    let number = service.at(&["port", "number"]).and_then(Node::integer);
    let port = match number.and_then(|number| u16::try_from(number).ok()) {
        Some(number) => number,
        None => {
            let called = service.at(&["port", "name"]).and_then(Node::str)?;
            let mut ports = known.iter().flat_map(|it| &it.ports);
            let found = ports.find(|port| port.name.as_deref() == Some(called));
            let Some(found) = found else {
                let what = format!("a path whose Service `{name}` has no port named `{called}`");
                let help = "name one that the Service has";
                left_out(node.span, &what, help, diagnostics);
                return None;
            };
            found.port
        }
    };
    let full = host::service(&name, namespace, facts::MESH_TRUST_DOMAIN.value);
    // Manifests of routes alone refer to services that are somewhere else.
    let is_there = known.map(|it| it.ports.iter().any(|known| known.port == port));
    if !services.is_empty() && is_there != Some(true) {
        let message = match is_there {
            Some(_) => format!("the service `{name}` has no port {port}: requests get 503 (NC)"),
            None => format!("the backend `{full}` does not exist: requests get 503 (NC)"),
        };
        diagnostics
            .report(Code::BackendNotFound, node.span, message)
            .severity(Severity::Warning)
            .help("the Service has to be in the namespace of the Ingress");
    }
    Some(Destination {
        host: full,
        subset: None,
        port: Some(port),
    })
}

fn virtual_service(document: &Document, host: String, mut routes: Vec<Ranked>) -> VirtualService {
    // Stable: equal ones stay as they are written.
    routes.sort_by_key(|(rank, _)| *rank);
    let own = &document.metadata;
    let (namespace, gateway) = gateway_name(document);
    VirtualService {
        identity: Identity {
            namespace: own.namespace.clone(),
            name: format!("{}-{}-{OF_INGRESSES}", host.replace('.', "-"), own.name),
            created: ALWAYS,
        },
        hosts: vec![host],
        gateways: vec![GatewayName::Object {
            namespace,
            name: gateway,
        }],
        http: routes.into_iter().map(|(_, route)| route).collect(),
        tls: Vec::new(),
        tcp: Vec::new(),
        export_to: ExportTo::Default,
        is_of_gateway_api: false,
    }
}
