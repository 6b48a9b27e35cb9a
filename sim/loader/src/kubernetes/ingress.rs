//! Ingress and IngressClass.
//!
//! Models: rules by host and path, default backends, the class. What istiod serves is read by
//! `crate::istio::ingress`.
//! Leaves out: TLS, annotations of single controllers, backends that are no services.
//! Sources: k8s.io/api networking/v1 types.go (1.36); kubernetes.io, Ingress.

use super::metadata::{API_VERSION, KIND, METADATA, Metadata, STATUS, text};
use super::workload::kind;
use crate::diagnostic::{Code, Diagnostics};
use crate::document::Document;
use crate::shape::{Field, Kind, PORT, Shape, TEXT_LIST};
use crate::source::Span;
use crate::tree::Node;
use crate::value::IntegerOrText;

/// The class of an Ingress before there were classes.
pub(crate) const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const ENCRYPTION: &str = "at istiod's gateways names of TLS tell servers apart; else encryption between users and proxies costs nothing, and certificates are taken to be valid";

static BACKEND_PORT: Shape = Shape::choice(
    "ServiceBackendPort",
    &[
        Field::modelled("number", PORT),
        Field::modelled("name", Kind::Text),
    ],
);
static BACKEND_SERVICE: Shape = Shape::new(
    "IngressServiceBackend",
    &[
        Field::modelled("name", Kind::Text).required(),
        Field::modelled("port", Kind::Map(&BACKEND_PORT)).required(),
    ],
);
static BACKEND: Shape = Shape::new(
    "IngressBackend",
    &[
        Field::modelled("service", Kind::Map(&BACKEND_SERVICE)),
        Field::approximated(
            "resource",
            Kind::Opaque,
            "answered with 500, or left out by istiod: only services answer requests",
        ),
    ],
);
static PATH: Shape = Shape::new(
    "HTTPIngressPath",
    &[
        Field::modelled("path", Kind::Text),
        Field::approximated(
            "pathType",
            Kind::OneOf(&["Exact", "Prefix", "ImplementationSpecific"]),
            "ImplementationSpecific counts as Prefix, but for istiod",
        )
        .required(),
        Field::modelled("backend", Kind::Map(&BACKEND)).required(),
    ],
);
static HTTP: Shape = Shape::new(
    "HTTPIngressRuleValue",
    &[Field::modelled("paths", Kind::List(&Kind::Map(&PATH))).required()],
);
static RULE: Shape = Shape::new(
    "IngressRule",
    &[
        Field::approximated(
            "host",
            Kind::Text,
            "a wildcard takes any number of labels, not just one",
        ),
        Field::modelled("http", Kind::Map(&HTTP)),
    ],
);
static TLS: Shape = Shape::new(
    "IngressTLS",
    &[
        Field::approximated("hosts", TEXT_LIST, ENCRYPTION),
        Field::approximated("secretName", Kind::Text, ENCRYPTION),
    ],
);
static INGRESS_SPEC: Shape = Shape::new(
    "IngressSpec",
    &[
        Field::modelled("ingressClassName", Kind::Text),
        Field::modelled("defaultBackend", Kind::Map(&BACKEND)),
        Field::modelled("rules", Kind::List(&Kind::Map(&RULE))),
        Field::approximated("tls", Kind::List(&Kind::Map(&TLS)), ENCRYPTION),
    ],
);
kind!(INGRESS, "Ingress", INGRESS_SPEC);

static CLASS_SPEC: Shape = Shape::new(
    "IngressClassSpec",
    &[
        Field::approximated(
            "controller",
            Kind::Text,
            "istiod takes what names it; every other controller is the same proxy",
        ),
        Field::ignored("parameters", Kind::Opaque, "they belong to the controller"),
    ],
);
kind!(INGRESS_CLASS, "IngressClass", CLASS_SPEC);

/// An IngressClass.
#[derive(Clone, Debug)]
pub struct IngressClass {
    /// How it is called.
    pub metadata: Metadata,
    /// Who serves it.
    pub controller: String,
    /// Whether ingresses without a class belong to it.
    pub is_default: bool,
}

impl IngressClass {
    /// Reads a checked document.
    pub(super) fn read(document: &Document) -> IngressClass {
        let marked = document
            .metadata
            .annotations
            .get("ingressclass.kubernetes.io/is-default-class");
        IngressClass {
            metadata: document.metadata.clone(),
            controller: text(document.spec(), "controller"),
            is_default: marked.is_some_and(|value| value == "true"),
        }
    }

    /// The one that ingresses without a class belong to.
    pub(crate) fn default_of(classes: &[IngressClass]) -> Option<&IngressClass> {
        classes.iter().find(|class| class.is_default)
    }
}

/// An Ingress.
#[derive(Clone, Debug)]
pub struct Ingress {
    /// How it is called.
    pub metadata: Metadata,
    /// Its class, from the field or the old annotation.
    pub class: Option<String>,
    /// Its routes, the default backend among them.
    pub routes: Vec<IngressRoute>,
    /// Where the class, or else the name, is written.
    pub class_span: Span,
}

/// A path of an Ingress.
#[derive(Clone, Debug)]
pub struct IngressRoute {
    /// Host; `None` takes all.
    pub host: Option<String>,
    /// Path; `None` takes all.
    pub path: Option<String>,
    /// Whether the path must be equal.
    pub exact: bool,
    /// Service and port; `None` if the backend is no service.
    pub backend: Option<(String, IntegerOrText)>,
    /// Where the backend is written.
    pub span: Span,
}

impl Ingress {
    /// Reads a checked document.
    pub(super) fn read(document: &Document, diagnostics: &mut Diagnostics) -> Ingress {
        let spec = document.root.get("spec");
        let of = |key: &str| spec.and_then(|spec| spec.get(key));
        let class = of("ingressClassName");
        let annotation = document.metadata.annotations.get(CLASS_ANNOTATION).cloned();
        let rules = of("rules")
            .map_or(&[][..], Node::items)
            .iter()
            .flat_map(|rule| rule_routes(rule, diagnostics))
            .collect::<Vec<_>>();
        let default = of("defaultBackend").map(|node| IngressRoute {
            host: None,
            path: None,
            exact: false,
            backend: backend(node),
            span: node.span,
        });
        Ingress {
            metadata: document.metadata.clone(),
            class: class.and_then(Node::str).map(str::to_owned).or(annotation),
            routes: rules.into_iter().chain(default).collect(),
            class_span: class.map_or(document.metadata.span, |class| class.span),
        }
    }
}

fn rule_routes(rule: &Node, diagnostics: &mut Diagnostics) -> Vec<IngressRoute> {
    let host = rule
        .get("host")
        .and_then(Node::str)
        .filter(|host| !host.is_empty());
    let paths = rule.at(&["http", "paths"]).map_or(&[][..], Node::items);
    paths
        .iter()
        .filter_map(|path| {
            let node = path.get("backend")?;
            Some(IngressRoute {
                host: host.map(str::to_ascii_lowercase),
                path: path
                    .get("path")
                    .and_then(|value| path_text(value, &text(path, "pathType"), diagnostics)),
                exact: text(path, "pathType") == "Exact",
                backend: backend(node),
                span: node.span,
            })
        })
        .collect()
}

/// A path that says what it stands for is absolute.
pub(crate) fn check_absolute(node: &Node, path_type: &str, diagnostics: &mut Diagnostics) {
    let is_absolute = node.str().is_none_or(|path| path.starts_with('/'));
    if path_type != "ImplementationSpecific" && !is_absolute {
        diagnostics.report(Code::WrongValue, node.span, "the path must begin with `/`");
    }
}

/// The path of a rule. Some controllers take patterns where the type leaves it to them; what
/// stands before the pattern counts.
fn path_text(node: &Node, path_type: &str, diagnostics: &mut Diagnostics) -> Option<String> {
    let path = node.str().filter(|path| !path.is_empty())?;
    if path_type != "ImplementationSpecific" {
        check_absolute(node, path_type, diagnostics);
        return Some(path.to_owned());
    }
    let plain = path
        .split(['(', '[', '*', '?', '^', '$', '|', '+', '\\'])
        .next()
        .unwrap_or_default();
    if plain.len() < path.len() {
        let message = format!("the pattern counts as the prefix `{plain}`");
        diagnostics.report(Code::UnsupportedValue, node.span, message);
    }
    Some(plain.to_owned()).filter(|plain| !plain.is_empty())
}

fn backend(node: &Node) -> Option<(String, IntegerOrText)> {
    let service = node.get("service")?;
    let port = service.get("port")?;
    Some((
        text(service, "name"),
        IntegerOrText::read(port.get("number").or_else(|| port.get("name"))?)?,
    ))
}
