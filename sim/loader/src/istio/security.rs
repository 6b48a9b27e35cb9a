//! PeerAuthentication, RequestAuthentication and AuthorizationPolicy.

use super::forms::{
    DURATION_KIND, MATCH_LABELS, Scope, duration, flag, identity, istio_kind, labels, string,
    strings,
};
use crate::document::Document;
use crate::kubernetes::metadata::text;
use crate::shape::{Field, Kind, Shape, TEXT_LIST};
use crate::tree::Node;
use cloud::istio::authentication::ServerMode;
use cloud::istio::authorization::{Action, Condition, Operation, Rule, Source, Values};
use cloud::istio::config::{
    AuthorizationPolicy, PeerAuthentication, PolicyTarget, RequestAuthentication, TargetReference,
    TokenIssuer, TokenPlace,
};

const PAYLOAD: &str = "the header is there, and what it says is not told";
const KEYS: &str = "istiod fetches keys from services of the cluster; keys elsewhere are there, and none of them change";

pub(super) static TARGET_REFERENCE: Shape = Shape::new(
    "PolicyTargetReference",
    &[
        Field::modelled("group", Kind::Text),
        Field::modelled("kind", Kind::Text).required(),
        Field::modelled("name", Kind::Text).required(),
        Field::modelled("namespace", Kind::Text),
    ],
);
/// Fields that say whom a policy is for.
pub(super) const SELECTOR: Field = Field::modelled("selector", Kind::Map(&MATCH_LABELS));
pub(super) const TARGET_REF: Field = Field::modelled("targetRef", Kind::Map(&TARGET_REFERENCE));
const REFERENCE: Kind = Kind::Map(&TARGET_REFERENCE);
pub(super) const TARGET_REFS: Field = Field::modelled("targetRefs", Kind::List(&REFERENCE));

static MUTUAL_TLS: Shape = Shape::new(
    "MutualTLS",
    &[Field::modelled(
        "mode",
        Kind::OneOf(&["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]),
    )],
);
static PEER_SPEC: Shape = Shape::new(
    "PeerAuthenticationSpec",
    &[
        SELECTOR,
        Field::modelled("mtls", Kind::Map(&MUTUAL_TLS)),
        Field::modelled("portLevelMtls", Kind::Keyed(&Kind::Map(&MUTUAL_TLS))),
    ],
);
istio_kind!(PEER_AUTHENTICATION, "PeerAuthentication", PEER_SPEC);

static JWT_HEADER: Shape = Shape::new(
    "JWTHeader",
    &[
        Field::modelled("name", Kind::Text).required(),
        Field::modelled("prefix", Kind::Text),
    ],
);
static CLAIM: Shape = Shape::new(
    "ClaimToHeader",
    &[
        Field::modelled("header", Kind::Text).required(),
        Field::modelled("claim", Kind::Text).required(),
    ],
);
static JWT_RULE: Shape = Shape::new(
    "JWTRule",
    &[
        Field::modelled("issuer", Kind::Text),
        Field::modelled("audiences", TEXT_LIST),
        Field::approximated("jwksUri", Kind::Text, KEYS),
        // The same by its other name.
        Field::approximated("jwks_uri", Kind::Text, KEYS),
        Field::ignored(
            "jwks",
            Kind::Text,
            "tokens are valid or not, whatever their key",
        ),
        Field::modelled("fromHeaders", Kind::List(&Kind::Map(&JWT_HEADER))),
        Field::modelled("fromParams", TEXT_LIST),
        Field::modelled("fromCookies", TEXT_LIST),
        Field::approximated("outputPayloadToHeader", Kind::Text, PAYLOAD),
        Field::modelled("outputClaimToHeaders", Kind::List(&Kind::Map(&CLAIM))),
        Field::modelled("forwardOriginalToken", Kind::Bool),
        Field::approximated("timeout", DURATION_KIND, KEYS),
        Field::modelled("spaceDelimitedClaims", TEXT_LIST),
        Field::ignored(
            "presence",
            Kind::OneOf(&["OPTIONAL", "REQUIRED"]),
            "istiod does not act on it",
        ),
    ],
);
static REQUEST_SPEC: Shape = Shape::new(
    "RequestAuthenticationSpec",
    &[
        SELECTOR,
        TARGET_REF,
        TARGET_REFS,
        Field::modelled("jwtRules", Kind::List(&Kind::Map(&JWT_RULE))),
    ],
);
istio_kind!(
    REQUEST_AUTHENTICATION,
    "RequestAuthentication",
    REQUEST_SPEC
);

static SOURCE: Shape = Shape::new(
    "AuthorizationSource",
    &[
        Field::modelled("principals", TEXT_LIST),
        Field::modelled("notPrincipals", TEXT_LIST),
        Field::modelled("requestPrincipals", TEXT_LIST),
        Field::modelled("notRequestPrincipals", TEXT_LIST),
        Field::modelled("namespaces", TEXT_LIST),
        Field::modelled("notNamespaces", TEXT_LIST),
        Field::modelled("serviceAccounts", TEXT_LIST),
        Field::modelled("notServiceAccounts", TEXT_LIST),
        Field::modelled("ipBlocks", TEXT_LIST),
        Field::modelled("notIpBlocks", TEXT_LIST),
        Field::modelled("remoteIpBlocks", TEXT_LIST),
        Field::modelled("notRemoteIpBlocks", TEXT_LIST),
        Field::modelled("trustDomains", TEXT_LIST),
        Field::modelled("notTrustDomains", TEXT_LIST),
    ],
);
static OPERATION: Shape = Shape::new(
    "AuthorizationOperation",
    &[
        Field::modelled("hosts", TEXT_LIST),
        Field::modelled("notHosts", TEXT_LIST),
        Field::modelled("ports", TEXT_LIST),
        Field::modelled("notPorts", TEXT_LIST),
        Field::modelled("methods", TEXT_LIST),
        Field::modelled("notMethods", TEXT_LIST),
        Field::modelled("paths", TEXT_LIST),
        Field::modelled("notPaths", TEXT_LIST),
    ],
);
static FROM: Shape = Shape::new(
    "AuthorizationFrom",
    &[Field::modelled("source", Kind::Map(&SOURCE))],
);
static TO: Shape = Shape::new(
    "AuthorizationTo",
    &[Field::modelled("operation", Kind::Map(&OPERATION))],
);
static CONDITION: Shape = Shape::new(
    "AuthorizationCondition",
    &[
        Field::modelled("key", Kind::Text).required(),
        Field::modelled("values", TEXT_LIST),
        Field::modelled("notValues", TEXT_LIST),
    ],
);
static RULE: Shape = Shape::new(
    "AuthorizationRule",
    &[
        Field::modelled("from", Kind::List(&Kind::Map(&FROM))),
        Field::modelled("to", Kind::List(&Kind::Map(&TO))),
        Field::modelled("when", Kind::List(&Kind::Map(&CONDITION))),
    ],
);
static PROVIDER: Shape = Shape::new(
    "AuthorizationProvider",
    &[Field::modelled("name", Kind::Text)],
);
static POLICY_SPEC: Shape = Shape::new(
    "AuthorizationPolicySpec",
    &[
        SELECTOR,
        TARGET_REF,
        TARGET_REFS,
        Field::modelled("rules", Kind::List(&Kind::Map(&RULE))),
        Field::modelled("action", Kind::OneOf(&["ALLOW", "DENY", "AUDIT", "CUSTOM"])),
        Field::modelled("provider", Kind::Map(&PROVIDER)),
    ],
);
istio_kind!(AUTHORIZATION_POLICY, "AuthorizationPolicy", POLICY_SPEC);

/// Whom a policy is for: a selector and references exclude one another.
pub(super) fn target(document: &Document, scope: &mut Scope<'_>) -> PolicyTarget {
    let spec = document.spec();
    let selector = spec.get("selector").map(|node| labels(node, "matchLabels"));
    let references: Vec<_> = spec
        .get("targetRef")
        .into_iter()
        .chain(spec.list("targetRefs"))
        .collect();
    let both = spec.get("targetRef").is_some() && !spec.list("targetRefs").is_empty();
    if both || (selector.is_some() && !references.is_empty()) {
        let message = "`selector`, `targetRef` and `targetRefs` exclude one another";
        scope.refuse(document.metadata.span, message, "leave one of them");
    }
    const REFERENCES_MAX: usize = 16;
    if references.len() > REFERENCES_MAX {
        let message = format!("{} references are too many", references.len());
        scope.refuse(document.metadata.span, message, "istiod takes up to 16");
    }
    if !references.is_empty() {
        let read = |node: &&Node| TargetReference {
            group: string(node, "group").unwrap_or_default(),
            kind: string(node, "kind").unwrap_or_default(),
            name: string(node, "name").unwrap_or_default(),
        };
        return PolicyTarget::References(references.iter().map(read).collect());
    }
    match selector {
        Some(labels) if !labels.is_empty() => PolicyTarget::Selected(labels),
        _ => PolicyTarget::Everybody,
    }
}

fn mode(node: &Node) -> Option<ServerMode> {
    match node.get("mode").and_then(Node::str) {
        Some("DISABLE") => Some(ServerMode::Disable),
        Some("PERMISSIVE") => Some(ServerMode::Permissive),
        Some("STRICT") => Some(ServerMode::Strict),
        _ => None,
    }
}

/// Reads a checked PeerAuthentication.
pub(super) fn read_peer(document: &Document, scope: &mut Scope<'_>) -> PeerAuthentication {
    let spec = document.spec();
    let selector = spec
        .get("selector")
        .map(|node| labels(node, "matchLabels"))
        .unwrap_or_default();
    let ports = spec.get("portLevelMtls");
    if let Some(node) = ports {
        if selector.is_empty() {
            let message = "modes of ports need a selector";
            scope.refuse(
                node.span,
                message,
                "select the workload that has these ports",
            );
        }
        if node.entries().is_empty() {
            scope.refuse(node.span, "`portLevelMtls` names no port", "remove it");
        }
    }
    let mut modes = std::collections::BTreeMap::new();
    for entry in ports.map_or(&[][..], Node::entries) {
        match entry.key.parse::<u16>().ok().filter(|port| *port > 0) {
            Some(port) => {
                modes.insert(port, mode(&entry.value));
            }
            None => {
                let message = format!("`{}` is no port", entry.key);
                scope.refuse(entry.key_span, message, "ports are 1 to 65535");
            }
        }
    }
    PeerAuthentication {
        identity: identity(document),
        selector,
        mode: spec.get("mtls").and_then(mode),
        ports: modes,
    }
}

/// Reads a checked RequestAuthentication.
pub(super) fn read_request(document: &Document, scope: &mut Scope<'_>) -> RequestAuthentication {
    let rules = document.spec().list("jwtRules").iter();
    let issuers = rules
        .map(|node| {
            let keys_uri = string(node, "jwksUri").or_else(|| string(node, "jwks_uri"));
            if string(node, "issuer").is_none() && keys_uri.is_none() {
                let help = "give `issuer`, or `jwksUri` for tokens of any";
                scope.refuse(node.span, "the rule names no issuer", help);
            }
            if string(node, "jwksUri").is_some() && string(node, "jwks").is_some() {
                let message = "`jwks` and `jwksUri` exclude one another";
                scope.refuse(node.span, message, "remove one of the two");
            }
            TokenIssuer {
                issuer: string(node, "issuer").unwrap_or_default(),
                audiences: strings(node, "audiences"),
                keys_uri,
                places: places(node, scope),
                forwards_token: flag(node, "forwardOriginalToken").unwrap_or_default(),
                claim_headers: claim_headers(node),
                payload_header: string(node, "outputPayloadToHeader"),
                lists: strings(node, "spaceDelimitedClaims"),
                timeout: duration(node, "timeout"),
                lacks_keys: false,
            }
        })
        .collect();
    RequestAuthentication {
        identity: identity(document),
        target: target(document, scope),
        issuers,
    }
}

/// Where a rule looks for tokens.
fn places(node: &Node, scope: &mut Scope<'_>) -> Vec<TokenPlace> {
    let headers = node.list("fromHeaders").iter().map(|node| {
        let name = text(node, "name").to_lowercase();
        let prefix = text(node, "prefix");
        (node, TokenPlace::Header { name, prefix })
    });
    let texts = |key| node.list(key).iter().map(|node| (node, node.str()));
    let named = |(node, text): (_, Option<&str>)| (node, text.unwrap_or_default().to_owned());
    let parameters = texts("fromParams").map(named);
    let parameters = parameters.map(|(node, name)| (node, TokenPlace::Parameter(name)));
    let cookies = texts("fromCookies").map(named);
    let cookies = cookies.map(|(node, name)| (node, TokenPlace::Cookie(name)));
    let mut places = Vec::new();
    for (node, place) in headers.chain(parameters).chain(cookies) {
        let (TokenPlace::Header { name, .. }
        | TokenPlace::Parameter(name)
        | TokenPlace::Cookie(name)) = &place;
        if name.is_empty() {
            let help = "name a header, a parameter or a cookie";
            scope.refuse(node.span, "the place of tokens has no name", help);
        }
        places.push(place);
    }
    places
}

/// Headers that say what claims say.
fn claim_headers(node: &Node) -> Vec<(String, String)> {
    let said = node.list("outputClaimToHeaders").iter();
    said.filter_map(|node| Some((string(node, "header")?, string(node, "claim")?)))
        .collect()
}

/// Reads a checked AuthorizationPolicy.
pub(super) fn read_policy(document: &Document, scope: &mut Scope<'_>) -> AuthorizationPolicy {
    let spec = document.spec();
    let action = match spec.get("action").and_then(Node::str) {
        Some("DENY") => Action::Deny,
        Some("AUDIT") => Action::Audit,
        Some("CUSTOM") => Action::Custom,
        _ => Action::Allow,
    };
    let provider = spec.get("provider").and_then(|node| string(node, "name"));
    let span = document.metadata.span;
    let has_rules = spec.get("rules").is_some();
    if !has_rules && matches!(action, Action::Deny | Action::Custom) {
        let message = "without rules this policy never matches";
        scope.refuse(span, message, "`rules: [{}]` matches every request");
    }
    if action == Action::Custom && has_rules && provider.is_none() {
        scope.refuse(
            span,
            "CUSTOM needs a provider",
            "name one of the mesh's `extensionProviders`",
        );
    }
    if action != Action::Custom && spec.get("provider").is_some() {
        scope.refuse(span, "only CUSTOM takes a provider", "remove `provider`");
    }
    let rules = spec.list("rules").iter();
    let rules = rules.map(|node| rule(node, action, scope)).collect();
    let dry_run = document.metadata.annotations.get("istio.io/dry-run");
    AuthorizationPolicy {
        identity: identity(document),
        target: target(document, scope),
        action,
        provider,
        rules,
        is_dry_run: dry_run.is_some_and(|value| value == "true"),
    }
}

fn rule(node: &Node, action: Action, scope: &mut Scope<'_>) -> Rule {
    for key in ["from", "to"] {
        if node.get(key).is_some_and(|node| node.items().is_empty()) {
            let message = format!("`{key}` is empty");
            scope.refuse(node.span, message, "remove it to match everything");
        }
    }
    let inner = |outer: &'static str, key: &'static str, scope: &mut Scope<'_>| {
        let nodes = node.list(outer).iter();
        let nodes: Vec<_> = nodes
            .map(|node| {
                let said = node.get(key).filter(|node| !node.entries().is_empty());
                if said.is_none() {
                    let message = format!("`{outer}.{key}` says nothing");
                    scope.refuse(
                        node.span,
                        message,
                        &format!("remove `{outer}` to match everything"),
                    );
                }
                said
            })
            .collect();
        nodes.into_iter().flatten().collect::<Vec<_>>()
    };
    let sources = inner("from", "source", scope);
    let operations = inner("to", "operation", scope);
    for source in &sources {
        check_source(source, action, scope);
    }
    if action == Action::Deny {
        warn_tcp(node, &sources, &operations, scope);
    }
    let conditions = node.list("when").iter();
    Rule {
        from: sources.into_iter().map(source).collect(),
        to: operations
            .into_iter()
            .map(|node| operation(node, scope))
            .collect(),
        when: conditions.map(|node| condition(node, scope)).collect(),
    }
}

/// Fields of a source that an identity of mutual TLS answers.
const IDENTITIES: [&str; 10] = [
    "principals",
    "notPrincipals",
    "namespaces",
    "notNamespaces",
    "serviceAccounts",
    "notServiceAccounts",
    "trustDomains",
    "notTrustDomains",
    "requestPrincipals",
    "notRequestPrincipals",
];

/// The fields of a source that ask for its address.
const BLOCKS: [&str; 4] = [
    "ipBlocks",
    "notIpBlocks",
    "remoteIpBlocks",
    "notRemoteIpBlocks",
];

fn check_source(node: &Node, action: Action, scope: &mut Scope<'_>) {
    let has = |key: &str| !node.list(key).is_empty();
    let accounts = has("serviceAccounts") || has("notServiceAccounts");
    if accounts && IDENTITIES[..4].iter().any(|key| has(key)) {
        let message = "`serviceAccounts` excludes principals and namespaces";
        scope.refuse(node.span, message, "remove one of them");
    }
    if action == Action::Custom
        && let Some(key) = IDENTITIES.iter().find(|key| has(key))
    {
        let message = format!("CUSTOM cannot ask for `{key}`");
        scope.refuse(
            node.span,
            message,
            "let the provider decide about identities",
        );
    }
    for key in BLOCKS {
        for block in node.list(key) {
            let text = block.str().unwrap_or_default();
            if text.parse::<std::net::IpAddr>().is_err() && text.parse::<ipnet::IpNet>().is_err() {
                let message = format!("`{text}` is neither an address nor a range of them");
                scope.refuse(block.span, message, "write `10.0.0.1` or `10.0.0.0/8`");
            }
        }
    }
}

/// A DENY rule with nothing but fields of HTTP denies everything on other ports.
fn warn_tcp(rule: &Node, sources: &[&Node], operations: &[&Node], scope: &mut Scope<'_>) {
    let only_tokens = |node: &&Node| {
        let tcp = IDENTITIES[..6].iter().chain(&BLOCKS);
        tcp.into_iter().all(|key| node.list(key).is_empty())
    };
    let no_ports = |node: &&Node| node.list("ports").is_empty() && node.list("notPorts").is_empty();
    let from = !sources.is_empty() && operations.is_empty() && sources.iter().all(only_tokens);
    let to = !operations.is_empty() && operations.iter().all(no_ports);
    if from || to {
        let message = "on ports that are not HTTP this rule denies everything";
        scope.warn(rule.span, message, "add `ports` to its operations");
    }
}

fn values(node: &Node, any: &str, none: &str) -> Values {
    Values {
        any: strings(node, any),
        none: strings(node, none),
    }
}

fn source(node: &Node) -> Source {
    Source {
        principals: values(node, "principals", "notPrincipals"),
        request_principals: values(node, "requestPrincipals", "notRequestPrincipals"),
        namespaces: values(node, "namespaces", "notNamespaces"),
        service_accounts: values(node, "serviceAccounts", "notServiceAccounts"),
        trust_domains: values(node, "trustDomains", "notTrustDomains"),
        ip_blocks: values(node, "ipBlocks", "notIpBlocks"),
        remote_ip_blocks: values(node, "remoteIpBlocks", "notRemoteIpBlocks"),
    }
}

fn operation(node: &Node, scope: &mut Scope<'_>) -> Operation {
    for key in ["ports", "notPorts"] {
        for port in node.list(key) {
            let text = port.str().unwrap_or_default();
            if text.parse::<u16>().is_err() {
                let message = format!("`{text}` is no port");
                scope.refuse(port.span, message, "ports are numbers in quotes");
            }
        }
    }
    Operation {
        hosts: values(node, "hosts", "notHosts"),
        ports: values(node, "ports", "notPorts"),
        methods: values(node, "methods", "notMethods"),
        paths: values(node, "paths", "notPaths"),
    }
}

fn condition(node: &Node, scope: &mut Scope<'_>) -> Condition {
    let values = values(node, "values", "notValues");
    if values.any.is_empty() && values.none.is_empty() {
        let message = "the condition has no values";
        scope.refuse(node.span, message, "give `values` or `notValues`");
    }
    let key = string(node, "key").unwrap_or_default();
    Condition { key, values }
}
