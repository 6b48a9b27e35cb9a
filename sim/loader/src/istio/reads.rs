//! What istiod reads of the Gateway API, by its release and its environment.
//!
//! Models: TLSRoutes and listeners for TLS since 1.30, TCPRoutes and listeners for TCP since 1.31,
//! and before where `PILOT_ENABLE_ALPHA_GATEWAY_API` says so; ListenerSets since 1.30, and from 1.27
//! until then XListenerSets where it says so.
//! Sources: istio/istio release-1.25 to release-1.31 pilot/pkg/config/kube/gateway/controller.go
//! and conversion.go (listenerProtocolToIstio), pkg/config/schema/collections/extras.go.
//! Validated by: `tests/promises/istio_connections.rs` and `tests/promises/istio_listener_sets.rs`.

use super::by_hand;
use super::forms::Scope;
use super::parents::ParentKind;
use crate::diagnostic::Code;
use crate::document::Document;
use crate::source::Span;
use cloud::facts;
use cloud::istio::protocol::Protocol;
use cloud::istio::version::Version;

/// The variable of istiod's environment that lets it read what is not final.
const ALPHA: &str = "PILOT_ENABLE_ALPHA_GATEWAY_API";

/// What istiod reads of the Gateway API.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reads {
    /// The release.
    pub(super) version: Version,
    /// Whether it was told to read what is not final.
    is_alpha: bool,
}

impl Reads {
    /// What an istiod reads by its release, and by its environment as documents say it.
    pub(crate) fn of(version: Version, documents: &[&Document]) -> Reads {
        let installed = documents
            .iter()
            .filter(|it| it.kind.kind == "IstioOperator");
        let mut said = installed.filter_map(|it| by_hand::environment(it).remove(ALPHA));
        // The last that says it counts, as with everything else of its environment.
        let is_true = |text: String| ["1", "t", "T", "true", "TRUE", "True"].contains(&&*text);
        Reads {
            version,
            is_alpha: said.next_back().is_some_and(is_true),
        }
    }

    /// Whether it takes listeners for a protocol.
    pub(super) fn listeners(self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tls => self.is_alpha || self.version.reads_tls_routes(),
            Protocol::Tcp => self.is_alpha || self.version.reads_tcp_routes(),
            _ => true,
        }
    }

    /// Whether it reads routes of a kind; says so if it does not.
    pub(super) fn routes(self, kind: &str, span: Span, scope: &mut Scope<'_>) -> bool {
        let (protocol, since) = match kind {
            "TLSRoute" => (Protocol::Tls, facts::ISTIO_TLS_ROUTE_FROM_MINOR.value),
            "TCPRoute" => (Protocol::Tcp, facts::ISTIO_TCP_ROUTE_FROM_MINOR.value),
            _ => return true,
        };
        let is_read = self.listeners(protocol);
        if !is_read {
            self.report(&format!("reads no {kind}s"), since, span, scope);
        }
        is_read
    }

    /// Whether it reads ListenerSets of a kind; says so if it does not.
    pub(super) fn listener_sets(self, kind: ParentKind, span: Span, scope: &mut Scope<'_>) -> bool {
        let final_from = facts::ISTIO_LISTENER_SET_FROM_MINOR.value;
        let first_from = facts::ISTIO_X_LISTENER_SET_FROM_MINOR.value;
        let minor = self.version.minor();
        let is_read = match kind {
            ParentKind::XListenerSet => self.is_alpha && (first_from..final_from).contains(&minor),
            _ => minor >= final_from,
        };
        if !is_read {
            let help = match kind {
                ParentKind::XListenerSet if (first_from..final_from).contains(&minor) => {
                    format!("set {ALPHA}: \"true\" under `values.pilot.env` of an IstioOperator")
                }
                ParentKind::XListenerSet => {
                    format!("use Istio 1.{final_from} or later, and write a ListenerSet")
                }
                _ => format!("use Istio 1.{final_from} or later"),
            };
            let message = format!("istiod 1.{minor} reads no {}s", kind.name());
            let found = scope
                .diagnostics
                .report(Code::NotReadByRelease, span, message);
            found.help(help);
        }
        is_read
    }

    /// Says that istiod of this release does not do something, and since which one it does.
    pub(super) fn report(self, what: &str, since: u32, span: Span, scope: &mut Scope<'_>) {
        let message = format!("istiod 1.{} {what}", self.version.minor());
        let help = format!(
            "use Istio 1.{since} or later, or set {ALPHA}: \"true\" under `values.pilot.env` of an IstioOperator"
        );
        let found = scope
            .diagnostics
            .report(Code::NotReadByRelease, span, message);
        found.help(help);
    }
}
