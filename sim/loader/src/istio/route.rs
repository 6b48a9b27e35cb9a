//! `http` of a VirtualService.

use super::forms::{
    COUNT, DURATION_KIND, PERCENT, STRING_MATCH, Scope, duration, flag, held, string, string_match,
    strings, value_match,
};
use super::virtual_service::{
    ANY_INTEGER, DESTINATION, HTTP_MATCH, check_weights, destination, source, weight,
};
use crate::kubernetes::metadata::text_map;
use crate::shape::{Field, Kind, Shape, TEXT_LIST, TEXT_MAP};
use crate::source::Span;
use crate::tree::Node;
use cloud::istio::config::{
    AbortStatus, FaultAbort, FaultDelay, FaultInjection, HeaderChanges, HeaderOperations,
    HttpAction, HttpDestination, HttpMatch, HttpRoute, Mirror, Redirect, RedirectPort, Retries,
    RetryOn, Rewrite, StringMatch, Target, UriMatch, UriRewrite, ValueMatch,
};
use std::collections::BTreeMap;

const HEADERS: &str = "answers carry no headers that anything depends on";
const BROWSERS: &str = "users are no browsers";

static HEADER_OPERATIONS: Shape = Shape::new(
    "HeaderOperations",
    &[
        Field::modelled("set", TEXT_MAP),
        Field::modelled("add", TEXT_MAP),
        Field::modelled("remove", TEXT_LIST),
    ],
);
static HEADER_CHANGES: Shape = Shape::new(
    "IstioHeaders",
    &[
        Field::modelled("request", Kind::Map(&HEADER_OPERATIONS)),
        Field::ignored("response", Kind::Map(&RESPONSE_OPERATIONS), HEADERS),
    ],
);
static RESPONSE_OPERATIONS: Shape = Shape::new(
    "ResponseHeaderOperations",
    &[
        Field::ignored("set", TEXT_MAP, HEADERS),
        Field::ignored("add", TEXT_MAP, HEADERS),
        Field::ignored("remove", TEXT_LIST, HEADERS),
    ],
);
static HTTP_DESTINATION: Shape = Shape::new(
    "HTTPRouteDestination",
    &[
        Field::modelled("destination", Kind::Map(&DESTINATION)).required(),
        Field::modelled("weight", ANY_INTEGER),
        Field::modelled("headers", Kind::Map(&HEADER_CHANGES)),
    ],
);
/// Why it does not matter where a redirect leads to.
pub(super) const NOT_FOLLOWED: &str = "redirects are answers, which nobody follows";
static REDIRECT: Shape = Shape::new(
    "HTTPRedirect",
    &[
        Field::ignored("uri", Kind::Text, NOT_FOLLOWED),
        Field::ignored("authority", Kind::Text, NOT_FOLLOWED),
        Field::ignored("port", ANY_INTEGER, NOT_FOLLOWED),
        Field::ignored(
            "derivePort",
            Kind::OneOf(&["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]),
            NOT_FOLLOWED,
        ),
        Field::ignored("scheme", Kind::Text, NOT_FOLLOWED),
        Field::ignored("redirectCode", ANY_INTEGER, NOT_FOLLOWED),
        Field::ignored("prefixRewrite", Kind::Text, NOT_FOLLOWED),
    ],
);
static BODY: Shape = Shape::new(
    "HTTPBody",
    &[
        Field::modelled("string", Kind::Text),
        Field::modelled("bytes", Kind::Text),
    ],
);
static DIRECT_RESPONSE: Shape = Shape::new(
    "HTTPDirectResponse",
    &[
        Field::modelled("status", ANY_INTEGER).required(),
        Field::modelled("body", Kind::Map(&BODY)),
    ],
);
static DELEGATE: Shape = Shape::new(
    "Delegate",
    &[
        Field::modelled("name", Kind::Text),
        Field::modelled("namespace", Kind::Text),
    ],
);
static REGEX_REWRITE: Shape = Shape::new(
    "RegexRewrite",
    &[
        Field::modelled("match", Kind::Text),
        Field::modelled("rewrite", Kind::Text),
    ],
);
static REWRITE: Shape = Shape::new(
    "HTTPRewrite",
    &[
        Field::modelled("uri", Kind::Text),
        Field::modelled("authority", Kind::Text),
        Field::modelled("uriRegexRewrite", Kind::Map(&REGEX_REWRITE)),
    ],
);
pub(super) static RETRY: Shape = Shape::new(
    "HTTPRetry",
    &[
        Field::modelled("attempts", ANY_INTEGER),
        Field::modelled("perTryTimeout", DURATION_KIND),
        Field::modelled("retryOn", Kind::Word),
        Field::modelled("retryRemoteLocalities", Kind::Bool),
        Field::modelled("retryIgnorePreviousHosts", Kind::Bool),
        Field::modelled("backoff", DURATION_KIND),
    ],
);
static DELAY: Shape = Shape::new(
    "HTTPFaultDelay",
    &[
        Field::modelled("percent", Kind::Integer(0, 100)),
        Field::modelled("fixedDelay", DURATION_KIND),
        held("exponentialDelay", DURATION_KIND),
        Field::modelled("percentage", Kind::Map(&PERCENT)),
    ],
);
static ABORT: Shape = Shape::new(
    "HTTPFaultAbort",
    &[
        Field::modelled("httpStatus", ANY_INTEGER),
        Field::modelled("grpcStatus", Kind::Text),
        held("http2Error", Kind::Text),
        Field::modelled("percentage", Kind::Map(&PERCENT)),
    ],
);
static FAULT: Shape = Shape::new(
    "HTTPFaultInjection",
    &[
        Field::modelled("delay", Kind::Map(&DELAY)),
        Field::modelled("abort", Kind::Map(&ABORT)),
    ],
);
static MIRROR: Shape = Shape::new(
    "HTTPMirrorPolicy",
    &[
        Field::modelled("destination", Kind::Map(&DESTINATION)).required(),
        Field::modelled("percentage", Kind::Map(&PERCENT)),
    ],
);
static CORS: Shape = Shape::new(
    "CorsPolicy",
    &[
        Field::ignored("allowOrigin", TEXT_LIST, BROWSERS),
        Field::ignored(
            "allowOrigins",
            Kind::List(&Kind::Map(&STRING_MATCH)),
            BROWSERS,
        ),
        Field::ignored("allowMethods", TEXT_LIST, BROWSERS),
        Field::ignored("allowHeaders", TEXT_LIST, BROWSERS),
        Field::ignored("exposeHeaders", TEXT_LIST, BROWSERS),
        Field::ignored("maxAge", DURATION_KIND, BROWSERS),
        Field::ignored("allowCredentials", Kind::Bool, BROWSERS),
        Field::ignored(
            "unmatchedPreflights",
            Kind::OneOf(&["UNSPECIFIED", "FORWARD", "IGNORE"]),
            BROWSERS,
        ),
    ],
);
pub(super) static HTTP_ROUTE: Shape = Shape::new(
    "IstioHTTPRoute",
    &[
        Field::modelled("name", Kind::Text),
        Field::modelled("match", Kind::List(&Kind::Map(&HTTP_MATCH))),
        Field::modelled("route", Kind::List(&Kind::Map(&HTTP_DESTINATION))),
        Field::modelled("redirect", Kind::Map(&REDIRECT)),
        Field::modelled("directResponse", Kind::Map(&DIRECT_RESPONSE)),
        Field::modelled("delegate", Kind::Map(&DELEGATE)),
        Field::modelled("rewrite", Kind::Map(&REWRITE)),
        Field::modelled("timeout", DURATION_KIND),
        Field::modelled("retries", Kind::Map(&RETRY)),
        Field::modelled("fault", Kind::Map(&FAULT)),
        Field::modelled("mirror", Kind::Map(&DESTINATION)),
        Field::modelled("mirrors", Kind::List(&Kind::Map(&MIRROR))),
        Field::modelled("mirrorPercent", COUNT),
        // The same by its other name.
        Field::modelled("mirror_percent", COUNT),
        Field::modelled("mirrorPercentage", Kind::Map(&PERCENT)),
        held("corsPolicy", Kind::Map(&CORS)),
        Field::modelled("headers", Kind::Map(&HEADER_CHANGES)),
    ],
);

/// Reads all routes, and says which can never be taken.
pub(super) fn http_routes(spec: &Node, is_delegate: bool, scope: &mut Scope<'_>) -> Vec<HttpRoute> {
    let nodes = spec.list("http");
    let routes: Vec<_> = nodes
        .iter()
        .map(|node| http_route(node, is_delegate, scope))
        .collect();
    for (position, (route, node)) in routes.iter().zip(nodes).enumerate() {
        if let Some(earlier) = routes[..position].iter().position(takes_all) {
            let message = format!("no request gets to this route: route {earlier} takes all");
            scope.warn(node.span, message, "put the route without matches last");
            continue;
        }
        let taken = |matched| {
            routes[..position]
                .iter()
                .any(|route| route.matches.contains(matched))
        };
        if !route.matches.is_empty() && route.matches.iter().all(taken) {
            let message = "no request gets to this route: earlier ones have the same matches";
            scope.warn(node.span, message, "the first route that matches is taken");
        }
    }
    routes
}

fn takes_all(route: &HttpRoute) -> bool {
    route.matches.is_empty()
}

fn http_route(node: &Node, is_delegate: bool, scope: &mut Scope<'_>) -> HttpRoute {
    check_conflicts(node, is_delegate, scope);
    let matches: Vec<_> = node
        .list("match")
        .iter()
        .map(|node| http_match(node, scope))
        .collect();
    let action = action(node, scope);
    HttpRoute {
        name: string(node, "name"),
        matches,
        action,
        rewrite: node.get("rewrite").map(|node| rewrite(node, scope)),
        timeout: match duration(node, "timeout") {
            Some(lasts) if lasts.is_zero() => None,
            _ => scope.duration(node, "timeout"),
        },
        retries: node.get("retries").map(|node| retries(node, scope)),
        fault: node
            .get("fault")
            .map_or_else(FaultInjection::default, |node| fault(node, scope)),
        mirrors: mirrors(node, scope),
        headers: node.get("headers").map(header_changes).unwrap_or_default(),
        answers_preflights: node.get("corsPolicy").is_some(),
    }
}

/// What excludes what.
fn check_conflicts(node: &Node, is_delegate: bool, scope: &mut Scope<'_>) {
    let has = |key: &str| node.get(key).is_some();
    let mut exclude = |first: &str, second: &str| {
        if has(first) && has(second) {
            let message = format!("`{first}` and `{second}` exclude one another");
            scope.refuse(node.span, message, "remove one of the two");
        }
    };
    for (first, seconds) in [
        ("delegate", &["route", "redirect"][..]),
        ("redirect", &["route", "fault", "rewrite", "directResponse"]),
        ("directResponse", &["route", "fault", "rewrite"]),
        ("mirror", &["mirrors"]),
    ] {
        seconds.iter().for_each(|second| exclude(first, second));
    }
    if is_delegate && has("delegate") {
        let message = "a VirtualService without hosts cannot delegate further";
        scope.refuse(node.span, message, "give it hosts, or routes of its own");
    }
    let does_something = ["route", "redirect", "directResponse", "delegate"]
        .into_iter()
        .any(has);
    if !does_something {
        let help = "give `route`, `redirect`, `directResponse` or `delegate`";
        scope.refuse(node.span, "the route does nothing", help);
    }
}

fn http_match(node: &Node, scope: &mut Scope<'_>) -> HttpMatch {
    for key in ["scheme", "method", "authority"] {
        if let Some(StringMatch::Prefix(prefix)) = string_match(node.get(key))
            && prefix.is_empty()
        {
            let message = format!("`{key}` matches an empty prefix");
            scope.refuse(node.span, message, "leave it out to match everything");
        }
    }
    for key in ["uri", "scheme", "method", "authority"] {
        if let (Some(StringMatch::Regex(regex)), Some(at)) =
            (string_match(node.get(key)), node.get(key))
        {
            check_regex(&regex, at.span, scope);
        }
    }
    let values = |key: &str, lower: bool| -> BTreeMap<String, ValueMatch> {
        let entries = node.get(key).map_or(&[][..], Node::entries).iter();
        entries
            .map(|entry| {
                // What stands for a claim of a token keeps its letters.
                let name = if lower && !entry.key.starts_with('@') {
                    entry.key.to_ascii_lowercase()
                } else {
                    entry.key.clone()
                };
                (name, value_match(&entry.value))
            })
            .collect()
    };
    HttpMatch {
        name: string(node, "name"),
        uri: string_match(node.get("uri")).map(UriMatch::Text),
        ignores_uri_case: flag(node, "ignoreUriCase").unwrap_or_default(),
        scheme: string_match(node.get("scheme")),
        method: string_match(node.get("method")),
        authority: string_match(node.get("authority")),
        headers: values("headers", true),
        without_headers: values("withoutHeaders", true),
        query: values("queryParams", false),
        source: source(node, scope),
    }
}

fn check_regex(regex: &str, span: Span, scope: &mut Scope<'_>) {
    if regex.is_empty() {
        scope.refuse(span, "the expression is empty", "`.*` matches everything");
    } else if regex.len() > 1024 {
        let help = "istiod takes up to 1024 characters";
        scope.refuse(span, "the expression is too long", help);
    }
}

fn action(node: &Node, scope: &mut Scope<'_>) -> HttpAction {
    if let Some(node) = node.get("delegate") {
        return HttpAction::Delegate {
            namespace: string(node, "namespace").unwrap_or_else(|| scope.namespace.clone()),
            name: string(node, "name").unwrap_or_default(),
        };
    }
    if let Some(redirect) = node.get("redirect") {
        return HttpAction::Redirect(read_redirect(redirect, node, scope));
    }
    if let Some(response) = node.get("directResponse") {
        let body = response.get("body");
        let text = body.and_then(|body| body.get("string").or_else(|| body.get("bytes")));
        return HttpAction::Respond {
            status: status(response, "status", 200..=599, scope).unwrap_or(503),
            body_bytes: text.and_then(Node::str).map_or(0, |text| text.len() as u64),
        };
    }
    check_weights(node, scope);
    let destinations = node.list("route").iter();
    let destinations = destinations.filter_map(|node| {
        Some(HttpDestination {
            target: Target::Host(destination(node.get("destination")?, scope)),
            weight: weight(node, scope),
            headers: node.get("headers").map(header_changes).unwrap_or_default(),
        })
    });
    HttpAction::Forward(destinations.collect())
}

/// A status within a range; another is refused.
fn status(
    node: &Node,
    key: &str,
    range: std::ops::RangeInclusive<u16>,
    scope: &mut Scope<'_>,
) -> Option<u16> {
    let at = node.get(key)?;
    let number = at.integer()?;
    let status = u16::try_from(number)
        .ok()
        .filter(|status| range.contains(status));
    if status.is_none() {
        let message = format!("`{key}` cannot be {number}");
        let help = format!("it takes {} to {}", range.start(), range.end());
        scope.refuse(at.span, message, &help);
    }
    status
}

fn read_redirect(node: &Node, route: &Node, scope: &mut Scope<'_>) -> Redirect {
    let (uri, prefix) = (string(node, "uri"), string(node, "prefixRewrite"));
    if uri.is_some() && prefix.is_some() {
        let message = "`uri` and `prefixRewrite` exclude one another";
        scope.refuse(node.span, message, "remove one of the two");
    }
    let mut matches = route
        .list("match")
        .iter()
        .filter_map(|node| node.get("uri"));
    if prefix.is_some() && matches.any(|uri| uri.get("prefix").is_none()) {
        let message = "`prefixRewrite` needs matches by `uri.prefix`";
        scope.refuse(node.span, message, "match by prefix, or give `uri`");
    }
    if [
        "uri",
        "prefixRewrite",
        "authority",
        "port",
        "derivePort",
        "scheme",
    ]
    .iter()
    .all(|key| node.get(key).is_none())
    {
        let help = "give `uri`, `authority`, `scheme` or a port";
        scope.refuse(node.span, "the redirect leads back to the same place", help);
    }
    let scheme = string(node, "scheme");
    if scheme
        .as_deref()
        .is_some_and(|scheme| !["http", "https"].contains(&scheme))
    {
        scope.refuse(
            node.span,
            "`scheme` must be `http` or `https`",
            "write one of them",
        );
    }
    let derived = match node.get("derivePort").and_then(Node::str) {
        Some("FROM_REQUEST_PORT") => Some(RedirectPort::OfRequest),
        Some(_) => Some(RedirectPort::OfScheme),
        None => None,
    };
    let port = scope.port(node.get("port")).map(RedirectPort::Number);
    Redirect {
        uri: uri
            .map(UriRewrite::Whole)
            .or(prefix.map(UriRewrite::Prefix)),
        authority: string(node, "authority"),
        port: port.or(derived),
        scheme,
        status: status(node, "redirectCode", 300..=399, scope).unwrap_or(301),
    }
}

fn rewrite(node: &Node, scope: &mut Scope<'_>) -> Rewrite {
    let uri = string(node, "uri").map(UriRewrite::Prefix);
    let regex = node.get("uriRegexRewrite");
    if uri.is_some() && regex.is_some() {
        let message = "`uri` and `uriRegexRewrite` exclude one another";
        scope.refuse(node.span, message, "remove one of the two");
    }
    let authority = string(node, "authority");
    if uri.is_none() && regex.is_none() && authority.is_none() {
        let help = "give `uri`, `uriRegexRewrite` or `authority`";
        scope.refuse(node.span, "`rewrite` changes nothing", help);
    }
    let regex = regex.map(|node| UriRewrite::Regex {
        pattern: string(node, "match").unwrap_or_default(),
        replacement: string(node, "rewrite").unwrap_or_default(),
    });
    Rewrite {
        uri: uri.or(regex),
        authority,
    }
}

/// What `retryOn` may name.
const CONDITIONS: &[&str] = &[
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// Reads `retries`.
pub(super) fn retries(node: &Node, scope: &mut Scope<'_>) -> Retries {
    let attempts = node.get("attempts").and_then(Node::integer).unwrap_or(0);
    if attempts < 0 {
        scope.refuse(
            node.span,
            "`attempts` cannot be negative",
            "0 switches retries off",
        );
    }
    let more = ["perTryTimeout", "retryOn", "retryRemoteLocalities"];
    if attempts == 0 && more.iter().any(|key| node.get(key).is_some()) {
        let message = "`attempts` is 0, which switches retries off, and yet more is said of them";
        scope.refuse(node.span, message, "give `attempts`, or nothing else");
    }
    let on = node.get("retryOn");
    let text = on.and_then(Node::text).filter(|text| !text.is_empty());
    if let (Some(text), Some(on)) = (text, on) {
        for name in text.split(',') {
            let is_code = name
                .parse()
                .is_ok_and(|code: u16| (100..600).contains(&code));
            if !is_code && !CONDITIONS.contains(&name) {
                let message = format!("`{name}` is no condition to retry on");
                let near = crate::shape::nearest(name.trim(), CONDITIONS.iter().copied());
                let help = match near {
                    Some(known) => format!("did you mean `{known}`? no blanks between them"),
                    None => format!("it takes {}, and statuses", CONDITIONS.join(", ")),
                };
                scope.refuse(on.span, message, &help);
            }
        }
    }
    Retries {
        attempts: u32::try_from(attempts).unwrap_or(0),
        per_try_timeout: scope.duration(node, "perTryTimeout"),
        retry_on: text.map(RetryOn::of),
        remote_localities: flag(node, "retryRemoteLocalities"),
        ignore_previous_hosts: flag(node, "retryIgnorePreviousHosts"),
        backoff: scope.duration(node, "backoff"),
    }
}

/// gRPC statuses by their numbers.
const GRPC: &[&str] = &[
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

fn fault(node: &Node, scope: &mut Scope<'_>) -> FaultInjection {
    if node.get("delay").is_none() && node.get("abort").is_none() {
        scope.refuse(
            node.span,
            "`fault` has neither delay nor abort",
            "give one of them",
        );
    }
    FaultInjection {
        delay: node.get("delay").and_then(|node| delay(node, scope)),
        abort: node.get("abort").and_then(|node| abort(node, scope)),
    }
}

fn delay(node: &Node, scope: &mut Scope<'_>) -> Option<FaultDelay> {
    if let Some(node) = node.get("exponentialDelay") {
        let message = "`exponentialDelay` is not supported by Istio";
        scope.refuse(node.span, message, "use `fixedDelay`");
    }
    let old = super::forms::percent(node, "percent");
    let share = match (node.get("percentage"), old) {
        (None, Some(old)) => old,
        (percentage, _) => scope.share(percentage),
    };
    Some(FaultDelay {
        lasts: scope.duration(node, "fixedDelay")?,
        share,
    })
}

fn abort(node: &Node, scope: &mut Scope<'_>) -> Option<FaultAbort> {
    let share = scope.share(node.get("percentage"));
    let grpc = string(node, "grpcStatus");
    if node.get("http2Error").is_some() {
        let message = "`http2Error` is not supported by Istio";
        scope.refuse(node.span, message, "use `httpStatus` or `grpcStatus`");
    } else if node.get("httpStatus").is_none() && grpc.is_none() {
        let message = "the abort has no status, so nothing is aborted";
        scope.warn(node.span, message, "give `httpStatus` or `grpcStatus`");
    }
    if let Some(name) = grpc {
        let number = GRPC.iter().position(|known| *known == name);
        if number.is_none() {
            let message = format!("`{name}` is no gRPC status");
            scope.refuse(node.span, message, &format!("it takes {}", GRPC.join(", ")));
        }
        let with = AbortStatus::Grpc(u8::try_from(number?).ok()?);
        return Some(FaultAbort { with, share });
    }
    let with = AbortStatus::Http(status(node, "httpStatus", 200..=600, scope)?);
    Some(FaultAbort { with, share })
}

fn mirrors(node: &Node, scope: &mut Scope<'_>) -> Vec<Mirror> {
    let deprecated = ["mirrorPercent", "mirror_percent"];
    let deprecated = deprecated.into_iter().find(|key| node.get(key).is_some());
    if let Some(old) = deprecated.and_then(|key| node.get(key)) {
        let message = "`mirrorPercent` is deprecated";
        scope.warn(old.span, message, "use `mirrorPercentage`");
    }
    let old = deprecated.and_then(|key| super::forms::percent(node, key));
    let single = node.get("mirror").map(|mirror| Mirror {
        destination: destination(mirror, scope),
        share: match (node.get("mirrorPercentage"), old) {
            (None, Some(old)) => old,
            (percentage, _) => scope.share(percentage),
        },
    });
    let list = node.list("mirrors").iter().filter_map(|node| {
        Some(Mirror {
            destination: destination(node.get("destination")?, scope),
            share: scope.share(node.get("percentage")),
        })
    });
    let list: Vec<_> = list.collect();
    single.into_iter().chain(list).collect()
}

/// How headers change.
pub(super) fn header_changes(node: &Node) -> HeaderChanges {
    let operations = |key: &str| {
        let node = node.get(key)?;
        let map = |key: &str| text_map(node.get(key)).into_iter().collect();
        Some(HeaderOperations {
            set: map("set"),
            add: map("add"),
            remove: strings(node, "remove"),
        })
    };
    HeaderChanges {
        request: operations("request").unwrap_or_default(),
        response: operations("response").unwrap_or_default(),
    }
}
