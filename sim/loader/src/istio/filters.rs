//! Filters of routes of the Gateway API: headers, mirrors, redirects, rewrites, CORS.

use super::forms::{Scope, held, string, strings};
use super::mesh_route::{Backend, Found, LEFT_OUT, NO_COPIES, reference};
use super::route::NOT_FOLLOWED;
use crate::diagnostic::Code;
use crate::shape::{Field, INTEGER, Kind, PORT, Shape, TEXT_LIST};
use crate::tree::Node;
use cloud::istio::config::{
    HeaderChanges, HeaderOperations, Mirror, Percent, Redirect, RedirectPort, Rewrite, UriRewrite,
};

const BROWSERS: &str = "users are no browsers";
const ANSWERS: &str = "answers carry no headers that anything depends on";
const ACTING: &str = "act on routes of the mesh and of Gateways that istiod serves; at others they do not change where requests go";
const OF_RULES: &str =
    "istiod leaves a route out whose backends have other filters than of headers";
const EXTENSIONS: &str = "what extensions do is not simulated";

static HEADER: Shape = Shape::new(
    "HTTPHeader",
    &[
        Field::modelled("name", Kind::Text).required(),
        Field::modelled("value", Kind::Text).required(),
    ],
);
const HEADER_LIST: Kind = Kind::List(&Kind::Map(&HEADER));
static HEADER_FILTER: Shape = Shape::new(
    "HTTPHeaderFilter",
    &[
        Field::modelled("set", HEADER_LIST),
        Field::modelled("add", HEADER_LIST),
        Field::modelled("remove", TEXT_LIST),
    ],
);
static ANSWER_HEADER_FILTER: Shape = Shape::new(
    "HTTPAnswerHeaderFilter",
    &[
        Field::ignored("set", HEADER_LIST, ANSWERS),
        Field::ignored("add", HEADER_LIST, ANSWERS),
        Field::ignored("remove", TEXT_LIST, ANSWERS),
    ],
);
static REFERENCE: Shape = Shape::new(
    "BackendObjectReference",
    &[
        Field::modelled("group", Kind::Text),
        Field::modelled("kind", Kind::Text),
        Field::modelled("name", Kind::Text).required(),
        Field::modelled("namespace", Kind::Text),
        Field::modelled("port", PORT),
    ],
);
static FRACTION: Shape = Shape::new(
    "Fraction",
    &[
        Field::modelled("numerator", INTEGER).required(),
        Field::modelled("denominator", INTEGER),
    ],
);
static MIRROR: Shape = Shape::new(
    "HTTPRequestMirrorFilter",
    &[
        Field::modelled("backendRef", Kind::Map(&REFERENCE)).required(),
        Field::modelled("percent", Kind::Integer(0, 100)),
        Field::modelled("fraction", Kind::Map(&FRACTION)),
    ],
);
static PATH_MODIFIER: Shape = Shape::new(
    "HTTPPathModifier",
    &[
        Field::modelled(
            "type",
            Kind::OneOf(&["ReplaceFullPath", "ReplacePrefixMatch"]),
        )
        .required(),
        Field::modelled("replaceFullPath", Kind::Text),
        Field::modelled("replacePrefixMatch", Kind::Text),
    ],
);
static REDIRECT: Shape = Shape::new(
    "HTTPRequestRedirectFilter",
    &[
        Field::ignored("scheme", Kind::OneOf(&["http", "https"]), NOT_FOLLOWED),
        Field::ignored("hostname", Kind::Text, NOT_FOLLOWED),
        Field::ignored("path", Kind::Map(&PATH_MODIFIER), NOT_FOLLOWED),
        Field::ignored("port", PORT, NOT_FOLLOWED),
        Field::ignored("statusCode", Kind::Integer(300, 399), NOT_FOLLOWED),
    ],
);
static REWRITE: Shape = Shape::new(
    "HTTPURLRewriteFilter",
    &[
        Field::modelled("hostname", Kind::Text),
        Field::modelled("path", Kind::Map(&PATH_MODIFIER)),
    ],
);
static CORS: Shape = Shape::new(
    "HTTPCORSFilter",
    &[
        Field::ignored("allowOrigins", TEXT_LIST, BROWSERS),
        Field::ignored("allowCredentials", Kind::Bool, BROWSERS),
        Field::ignored("allowMethods", TEXT_LIST, BROWSERS),
        Field::ignored("allowHeaders", TEXT_LIST, BROWSERS),
        Field::ignored("exposeHeaders", TEXT_LIST, BROWSERS),
        Field::ignored("maxAge", INTEGER, BROWSERS),
    ],
);
const TYPE: Field = Field::modelled(
    "type",
    Kind::OneOf(&[
        "RequestHeaderModifier",
        "ResponseHeaderModifier",
        "RequestMirror",
        "RequestRedirect",
        "URLRewrite",
        "CORS",
        "ExternalAuth",
        "ExtensionRef",
    ]),
)
.required();
const REQUEST_HEADERS: Field = Field::modelled("requestHeaderModifier", Kind::Map(&HEADER_FILTER));
const ANSWER_HEADERS: Field = Field::ignored(
    "responseHeaderModifier",
    Kind::Map(&ANSWER_HEADER_FILTER),
    ANSWERS,
);
static FILTER: Shape = Shape::new(
    "HTTPRouteFilter",
    &[
        TYPE,
        REQUEST_HEADERS,
        ANSWER_HEADERS,
        Field::modelled("requestMirror", Kind::Map(&MIRROR)),
        Field::modelled("requestRedirect", Kind::Map(&REDIRECT)),
        Field::modelled("urlRewrite", Kind::Map(&REWRITE)),
        held("cors", Kind::Map(&CORS)),
        Field::ignored("externalAuth", Kind::Opaque, EXTENSIONS),
        Field::ignored("extensionRef", Kind::Opaque, EXTENSIONS),
    ],
);
const FILTER_KIND: Kind = Kind::Map(&FILTER);
/// `filters` of a rule.
pub(crate) const FILTERS: Field = Field::approximated("filters", Kind::List(&FILTER_KIND), ACTING);

static BACKEND_FILTER: Shape = Shape::new(
    "HTTPBackendFilter",
    &[
        TYPE,
        REQUEST_HEADERS,
        ANSWER_HEADERS,
        Field::ignored("requestMirror", Kind::Map(&MIRROR), OF_RULES),
        Field::ignored("requestRedirect", Kind::Map(&REDIRECT), OF_RULES),
        Field::ignored("urlRewrite", Kind::Map(&REWRITE), OF_RULES),
        Field::ignored("cors", Kind::Map(&CORS), OF_RULES),
        Field::ignored("externalAuth", Kind::Opaque, OF_RULES),
        Field::ignored("extensionRef", Kind::Opaque, OF_RULES),
    ],
);
const BACKEND_FILTER_KIND: Kind = Kind::Map(&BACKEND_FILTER);
/// `filters` of a backend.
pub(crate) const BACKEND_FILTERS: Field =
    Field::approximated("filters", Kind::List(&BACKEND_FILTER_KIND), ACTING);

/// What filters do.
#[derive(Debug, Default)]
pub(super) struct Filters {
    pub(super) headers: HeaderChanges,
    pub(super) mirrors: Vec<Mirror>,
    /// Where each of them goes.
    pub(super) mirrored: Vec<Backend>,
    pub(super) redirect: Option<Redirect>,
    pub(super) rewrite: Option<Rewrite>,
    pub(super) answers_preflights: bool,
    /// Whether a mirror leads nowhere.
    pub(super) loses_mirror: bool,
    /// Whether istiod leaves the route out because of one of them.
    pub(super) is_refused: bool,
}

/// Reads the filters of a rule or of a backend.
pub(super) fn read(node: &Node, scope: &mut Scope<'_>) -> Filters {
    let mut filters = Filters::default();
    for node in node.list("filters") {
        let of = |key: &str| node.get(key);
        match node.get("type").and_then(Node::str).unwrap_or_default() {
            "RequestHeaderModifier" => {
                filters.headers.request = operations(of("requestHeaderModifier"));
            }
            "ResponseHeaderModifier" => {
                filters.headers.response = operations(of("responseHeaderModifier"));
            }
            "RequestMirror" => {
                let said = of("requestMirror");
                match said.and_then(|node| mirror(node, scope)) {
                    Some((mirror, backend)) => {
                        filters.mirrors.push(mirror);
                        filters.mirrored.push(backend);
                    }
                    None => filters.loses_mirror = true,
                }
            }
            "RequestRedirect" => filters.redirect = of("requestRedirect").map(redirect),
            "URLRewrite" => filters.rewrite = of("urlRewrite").and_then(rewrite),
            "CORS" => filters.answers_preflights = true,
            other => {
                filters.is_refused = true;
                let message = format!("istiod does not know the filter `{other}`");
                scope
                    .diagnostics
                    .report(Code::IstioWarns, node.span, message)
                    .help(LEFT_OUT);
            }
        }
    }
    filters
}

/// What filters of a backend do: nothing if istiod leaves their route out, as with all that change
/// more than headers.
pub(super) fn of_backend(node: &Node, scope: &mut Scope<'_>) -> Option<HeaderChanges> {
    let mut headers = HeaderChanges::default();
    for node in node.list("filters") {
        let of = |key: &str| operations(node.get(key));
        match node.get("type").and_then(Node::str).unwrap_or_default() {
            "RequestHeaderModifier" => headers.request = of("requestHeaderModifier"),
            "ResponseHeaderModifier" => headers.response = of("responseHeaderModifier"),
            other => {
                let message = format!("istiod knows no filter `{other}` at a backend");
                scope
                    .diagnostics
                    .report(Code::IstioWarns, node.span, message)
                    .help(format!("{LEFT_OUT}: write the filter at the rule"));
                return None;
            }
        }
    }
    Some(headers)
}

/// Of several entries for one header the first counts.
fn operations(node: Option<&Node>) -> HeaderOperations {
    let Some(node) = node else {
        return HeaderOperations::default();
    };
    let pairs = |key: &str| {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for node in node.list(key) {
            let name = string(node, "name")
                .unwrap_or_default()
                .to_ascii_lowercase();
            if !pairs.iter().any(|(known, _)| *known == name) {
                pairs.push((name, string(node, "value").unwrap_or_default()));
            }
        }
        pairs
    };
    HeaderOperations {
        set: pairs("set"),
        add: pairs("add"),
        remove: strings(node, "remove"),
    }
}

/// A mirror, and where it leads; nothing if it leads nowhere.
fn mirror(node: &Node, scope: &mut Scope<'_>) -> Option<(Mirror, Backend)> {
    let to = node.get("backendRef")?;
    let found = reference(to, NO_COPIES, scope);
    let backend = Backend::of(to, &scope.namespace, &found);
    let Found::Host(destination) = found else {
        return None;
    };
    let number = |node: &Node, key: &str| node.get(key).and_then(Node::number);
    let share = match (node.get("fraction"), number(node, "percent")) {
        (Some(fraction), _) => {
            let of = number(fraction, "denominator").unwrap_or(100.0);
            100.0 * number(fraction, "numerator").unwrap_or(0.0) / of
        }
        (None, Some(percent)) => percent,
        (None, None) => 100.0,
    };
    let Some(share) = Percent::new(share) else {
        scope
            .diagnostics
            .report(Code::OutOfRange, node.span, "the fraction is no share")
            .help("give a numerator of at most the denominator");
        return None;
    };
    Some((Mirror { destination, share }, backend))
}

fn path(node: &Node) -> Option<UriRewrite> {
    let node = node.get("path")?;
    match node.get("type").and_then(Node::str) {
        Some("ReplaceFullPath") => {
            let whole = string(node, "replaceFullPath").unwrap_or_default();
            Some(UriRewrite::Whole(whole))
        }
        _ => {
            let prefix = string(node, "replacePrefixMatch").unwrap_or_default();
            Some(UriRewrite::Prefix(match prefix.trim_end_matches('/') {
                "" => "/".to_owned(),
                prefix => prefix.to_owned(),
            }))
        }
    }
}

fn redirect(node: &Node) -> Redirect {
    let scheme = string(node, "scheme");
    let number = node.get("port").and_then(Node::integer);
    let number = number.and_then(|port| u16::try_from(port).ok());
    let derived = if scheme.is_some() {
        RedirectPort::OfScheme
    } else {
        RedirectPort::OfRequest
    };
    let status = node.get("statusCode").and_then(Node::integer);
    Redirect {
        uri: path(node),
        authority: string(node, "hostname"),
        port: Some(number.map_or(derived, RedirectPort::Number)),
        scheme,
        // What the API server writes where nothing is said.
        status: status
            .and_then(|status| u16::try_from(status).ok())
            .unwrap_or(302),
    }
}

fn rewrite(node: &Node) -> Option<Rewrite> {
    let rewrite = Rewrite {
        uri: path(node),
        authority: string(node, "hostname"),
    };
    (rewrite != Rewrite::default()).then_some(rewrite)
}
