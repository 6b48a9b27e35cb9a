//! EnvoyFilters that change routes: how long requests may take, and whether they are tried again.
//!
//! Models: `MERGE` and `MERGE_AND_REPLACE_LIST` of HTTP_ROUTE, and of `retry_policy` in
//! VIRTUAL_HOST, which counts where routes have none. A MERGE passes over zeros, so that none of
//! them switches retries off; that is told, and so are retries of hosts whose routes have their own.
//! Leaves out: retries of what sidecars take in, and everything else, which is told.
//! Sources: istio/istio pilot/pkg/networking/core/envoyfilter/rc_patch.go, pkg/proto/merge;
//! envoyproxy/envoy api/envoy/config/route/v3/route_components.proto.
//! Validated by: manifests, and requests under them.

use super::forms::{Scope, count, string};
use super::patches::{Read, context, field, says_only, timeout};
use crate::diagnostic::Code;
use crate::tree::Node;
use cloud::istio::config::{
    EnvoyPatch, PatchChange, PatchContext, PatchedRoutes, RetryOn, RetryPatch, RoutePatch,
    StreamLimits,
};

/// A predicate of hosts that were tried.
const PREVIOUS_HOSTS: &str = "envoy.retry_host_predicates.previous_hosts";

/// Whether a patch merges, and whether lists of it take the place of others.
fn replaces_lists(node: &Node) -> Option<bool> {
    match node.at(&["patch", "operation"]).and_then(Node::str)? {
        "MERGE" => Some(false),
        "MERGE_AND_REPLACE_LIST" => Some(true),
        _ => None,
    }
}

/// Which routes; `None` if that is not simulated.
fn matches(node: &Node) -> Option<PatchedRoutes> {
    let Some(said) = node.get("match") else {
        return Some(PatchedRoutes::default());
    };
    if !says_only(said, &["context", "routeConfiguration"]) {
        return None;
    }
    let Some(said) = said.get("routeConfiguration") else {
        return Some(PatchedRoutes::default());
    };
    let host = said.get("vhost");
    let route = host.and_then(|host| host.get("route"));
    let action = route.and_then(|route| string(route, "action"));
    let text = |node: Option<&Node>, key: &str| {
        let text = string(node?, key);
        text.filter(|text| !text.is_empty())
    };
    matches!(action.as_deref(), None | Some("ANY" | "ROUTE")).then_some(PatchedRoutes {
        configuration: text(Some(said), "name"),
        port: count(said, "portNumber")
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port > 0),
        server: text(Some(said), "portName"),
        gateway: text(Some(said), "gateway"),
        host: text(host, "name"),
        domain: text(host, "domainName"),
        route: text(route, "name"),
    })
}

/// A patch of routes; `None` if nothing of it is simulated.
pub(super) fn routes(node: &Node, scope: &mut Scope<'_>) -> Option<Read> {
    let replaces = replaces_lists(node)?;
    let (context, matches) = (context(node)?, matches(node)?);
    let value = node.at(&["patch", "value"])?;
    let route = value.get("route")?;
    let lasting = field(route, "max_stream_duration");
    let mut retries = field(route, "retry_policy").map(|node| retries(node, replaces, scope));
    let mut is_all = retries.as_ref().is_none_or(|(_, is_all)| *is_all);
    if context == PatchContext::SidecarInbound && retries.take().is_some() {
        is_all = false;
    }
    let change = RoutePatch {
        timeout: timeout(route, "timeout"),
        limits: StreamLimits {
            idle: timeout(route, "idle_timeout"),
            lasting: lasting.and_then(|node| timeout(node, "max_stream_duration")),
        },
        retries: retries.map(|(retries, _)| retries),
    };
    if change == RoutePatch::default() {
        return None;
    }
    let known = [
        "timeout",
        "idle_timeout",
        "max_stream_duration",
        "retry_policy",
    ];
    Some(Read {
        patch: Some(EnvoyPatch {
            context,
            change: PatchChange::Routes(matches, change),
        }),
        is_all: is_all
            && says_only(value, &["route"])
            && says_only(route, &known)
            && lasting.is_none_or(|node| says_only(node, &["max_stream_duration"])),
    })
}

/// A patch of hosts; `None` if nothing of it is simulated.
pub(super) fn hosts(node: &Node, scope: &mut Scope<'_>) -> Option<Read> {
    let replaces = replaces_lists(node)?;
    let (context, matches) = (context(node)?, matches(node)?);
    let value = node.at(&["patch", "value"])?;
    let said = field(value, "retry_policy")?;
    if context == PatchContext::SidecarInbound {
        return None;
    }
    let message = "routes that istiod writes have retries of their own, which count before those \
                   of their host";
    scope
        .diagnostics
        .report(Code::PatchWithoutEffect, node.span, message)
        .help("patch HTTP_ROUTE; those of hosts count where a VirtualService says `attempts: 0`");
    let (retries, is_all) = retries(said, replaces, scope);
    Some(Read {
        patch: Some(EnvoyPatch {
            context,
            change: PatchChange::Hosts(matches, retries),
        }),
        is_all: is_all && says_only(value, &["retry_policy"]),
    })
}

/// Further attempts, and whether all that is said of them is simulated.
fn retries(node: &Node, replaces: bool, scope: &mut Scope<'_>) -> (RetryPatch, bool) {
    let number = |name: &str| field(node, name).and_then(|it| u32::try_from(it.integer()?).ok());
    let attempts = number("num_retries");
    if attempts == Some(0) {
        let message = "a MERGE passes over zeros: `num_retries: 0` changes nothing";
        scope
            .diagnostics
            .report(Code::PatchWithoutEffect, node.span, message)
            .help("say `retries: {attempts: 0}` in a VirtualService");
    }
    let backoff = field(node, "retry_back_off");
    let codes = field(node, "retriable_status_codes").map_or(&[][..], Node::items);
    let predicates = field(node, "retry_host_predicate").map_or(&[][..], Node::items);
    let mut predicates = predicates.iter().map(|it| string(it, "name"));
    let known = [
        "retry_on",
        "num_retries",
        "per_try_timeout",
        "retry_back_off",
        "retriable_status_codes",
        "retry_host_predicate",
        "host_selection_retry_max_attempts",
    ];
    let patch = RetryPatch {
        attempts: attempts.filter(|attempts| *attempts > 0),
        on: field(node, "retry_on")
            .and_then(Node::str)
            .filter(|text| !text.is_empty())
            .map(conditions),
        status_codes: codes
            .iter()
            .filter_map(|code| u16::try_from(code.integer()?).ok())
            .collect(),
        replaces_codes: replaces,
        per_try_timeout: timeout(node, "per_try_timeout"),
        backoff: backoff.and_then(|node| timeout(node, "base_interval")),
        max_backoff: backoff.and_then(|node| timeout(node, "max_interval")),
        avoids_previous_hosts: predicates.any(|name| name.as_deref() == Some(PREVIOUS_HOSTS)),
        host_selection_attempts: number("host_selection_retry_max_attempts")
            .filter(|draws| *draws > 0),
    };
    (patch, says_only(node, &known))
}

/// Envoy takes names alone: a number among them, which istiod would understand, says nothing to it.
fn conditions(text: &str) -> RetryOn {
    let names = text
        .split(',')
        .filter(|part| part.trim().parse::<u16>().is_err());
    RetryOn::of(&names.collect::<Vec<_>>().join(","))
}
