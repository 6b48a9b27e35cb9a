//! Mutual TLS between proxies: what servers take, what clients send, and what comes of it.
//!
//! Models: PeerAuthentications of the mesh, of a namespace, of a workload and of a port, the
//! narrowest that says something first and of equal ones the oldest; TLS settings of
//! DestinationRules; automatic mutual TLS, which goes by the namespace's mode for a service and
//! by the workload's for an endpoint; what a connection of each kind meets at each server.
//! Approximated: TLS of an application's own passes a sidecar that takes plaintext, at ports that
//! are not said to carry HTTP, and counts as whatever the application makes of it.
//! Sources: istio/istio pilot/pkg/security/authn/policy_applier.go (ComposePeerAuthentication),
//! pilot/pkg/model/{authentication,push_context}.go, pilot/pkg/xds/endpoints/mtls_checker.go,
//! pilot/pkg/networking/core/cluster_tls.go.
//! Validated by: the tables of precedence and of outcomes, below.

use super::config::{Labels, PeerAuthentication};

/// What a server takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerMode {
    /// Plaintext only.
    Disable,
    /// Both.
    #[default]
    Permissive,
    /// Mutual TLS only.
    Strict,
}

/// All labels of a selector are among those of a workload.
pub fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector
        .iter()
        .all(|(name, value)| labels.get(name) == Some(value))
}

/// All PeerAuthentications, and the namespace whose ones are the mesh's.
#[derive(Clone, Copy, Debug)]
pub struct Policies<'a> {
    /// The objects.
    pub all: &'a [PeerAuthentication],
    /// The root namespace.
    pub root_namespace: &'a str,
}

impl<'a> Policies<'a> {
    fn oldest(
        &self,
        namespace: &str,
        counts: impl Fn(&PeerAuthentication) -> bool,
    ) -> Option<&'a PeerAuthentication> {
        let ours = self
            .all
            .iter()
            .filter(|it| it.identity.namespace == namespace);
        let ours = ours.filter(|it| counts(it));
        ours.min_by_key(|it| it.identity.age_order())
    }

    /// What holds for a namespace as a whole.
    pub fn of_namespace(&self, namespace: &str) -> ServerMode {
        let for_all = |of| self.oldest(of, |it| it.selector.is_empty());
        let own = for_all(namespace).and_then(|it| it.mode);
        let mesh = || for_all(self.root_namespace).and_then(|it| it.mode);
        own.or_else(mesh).unwrap_or_default()
    }

    /// What holds for a port of a workload. Policies of the root namespace never select
    /// workloads.
    pub fn of_port(&self, namespace: &str, labels: &Labels, port: u16) -> ServerMode {
        let of_namespace = self.of_namespace(namespace);
        if namespace == self.root_namespace {
            return of_namespace;
        }
        let own = self.oldest(namespace, |it| {
            !it.selector.is_empty() && selects(&it.selector, labels)
        });
        let Some(own) = own else { return of_namespace };
        let of_workload = own.mode.unwrap_or(of_namespace);
        own.ports
            .get(&port)
            .copied()
            .flatten()
            .unwrap_or(of_workload)
    }
}

/// What a DestinationRule says of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMode {
    /// Plaintext.
    Disable,
    /// TLS of which only the server shows a certificate.
    Simple,
    /// TLS with certificates of the user's own.
    Mutual,
    /// Mutual TLS with Istio's certificates.
    IstioMutual,
}

/// What a client's proxy sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Plaintext.
    Plaintext,
    /// Mutual TLS with Istio's certificates.
    IstioMutual,
    /// Other TLS.
    OtherTls,
}

impl Sent {
    /// What is sent where a DestinationRule says so.
    pub fn by_rule(rule: ClientMode) -> Sent {
        match rule {
            ClientMode::Disable => Sent::Plaintext,
            ClientMode::Simple | ClientMode::Mutual => Sent::OtherTls,
            ClientMode::IstioMutual => Sent::IstioMutual,
        }
    }
}

/// What a client knows of a server when it settles how to speak to it.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// What a DestinationRule says, if it says something.
    pub rule: Option<ClientMode>,
    /// Whether the mesh uses mutual TLS by itself: the default.
    pub automatic: bool,
    /// Whether the service is outside of the mesh.
    pub is_external: bool,
    /// What holds for the service's namespace.
    pub of_namespace: ServerMode,
    /// Whether the endpoint has a sidecar.
    pub has_sidecar: bool,
    /// What holds for the endpoint's port.
    pub of_port: ServerMode,
}

/// What a client's proxy sends to an endpoint.
pub fn sent(known: Known) -> Sent {
    if let Some(rule) = known.rule {
        return Sent::by_rule(rule);
    }
    let of_service =
        known.automatic && !known.is_external && known.of_namespace != ServerMode::Disable;
    if of_service && known.has_sidecar && known.of_port != ServerMode::Disable {
        Sent::IstioMutual
    } else {
        Sent::Plaintext
    }
}

/// Who stands at the server's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The application itself.
    Application,
    /// A sidecar.
    Sidecar(ServerMode),
    /// A sidecar at a port that is said to carry HTTP, so that it reads requests.
    Reader(ServerMode),
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It works in plaintext: the server knows no identity.
    Plaintext,
    /// It works with mutual TLS: both ends know each other.
    Mutual,
    /// The application is handed TLS, and makes of it what it can.
    ApplicationTls,
    /// A strict sidecar closes it: its client sees a reset, a proxy answers 503 UC.
    Reset,
    /// The handshake fails: a proxy answers 503 UF.
    HandshakeFails,
}

/// What becomes of what a client sends to a server.
pub fn meet(sent: Sent, server: Server) -> Outcome {
    use ServerMode::*;
    match (sent, server) {
        // It finds no request in it, or has no way for it.
        (Sent::OtherTls, Server::Reader(_)) => Outcome::HandshakeFails,
        (_, Server::Reader(mode)) => meet(sent, Server::Sidecar(mode)),
        (Sent::Plaintext, Server::Application | Server::Sidecar(Disable | Permissive)) => {
            Outcome::Plaintext
        }
        (Sent::Plaintext, Server::Sidecar(Strict)) => Outcome::Reset,
        (Sent::IstioMutual, Server::Sidecar(Permissive | Strict)) => Outcome::Mutual,
        (Sent::IstioMutual, Server::Application | Server::Sidecar(Disable)) => {
            Outcome::HandshakeFails
        }
        (Sent::OtherTls, Server::Application | Server::Sidecar(Disable | Permissive)) => {
            Outcome::ApplicationTls
        }
        (Sent::OtherTls, Server::Sidecar(Strict)) => Outcome::HandshakeFails,
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::{Created, Identity};
    use super::ServerMode::*;
    use super::*;
    use std::collections::BTreeMap;

    fn labels(app: &str) -> Labels {
        Labels::from([("app".to_owned(), app.to_owned())])
    }

    fn policy(namespace: &str, created: i64, mode: Option<ServerMode>) -> PeerAuthentication {
        PeerAuthentication {
            identity: Identity {
                namespace: namespace.to_owned(),
                name: format!("policy-{created}"),
                created: Created::Before(created),
            },
            selector: Labels::new(),
            mode,
            ports: BTreeMap::new(),
        }
    }

    fn for_app(policy: PeerAuthentication, app: &str) -> PeerAuthentication {
        PeerAuthentication {
            selector: labels(app),
            ..policy
        }
    }

    fn mode(all: &[PeerAuthentication], port: u16) -> ServerMode {
        let policies = Policies {
            all,
            root_namespace: "istio-system",
        };
        policies.of_port("shop", &labels("web"), port)
    }

    #[test]
    fn the_narrowest_policy_that_says_something_counts() {
        let mesh = policy("istio-system", 9, Some(Strict));
        let namespace = policy("shop", 9, Some(Disable));
        let silent = policy("shop", 9, None);
        let workload = for_app(policy("shop", 9, Some(Permissive)), "web");
        assert_eq!(mode(&[], 80), Permissive);
        assert_eq!(mode(std::slice::from_ref(&mesh), 80), Strict);
        assert_eq!(mode(&[mesh.clone(), namespace.clone()], 80), Disable);
        assert_eq!(mode(&[mesh.clone(), silent.clone()], 80), Strict);
        assert_eq!(mode(&[mesh.clone(), namespace, workload], 80), Permissive);
        let silent_of_workload = for_app(silent, "web");
        assert_eq!(mode(&[mesh.clone(), silent_of_workload], 80), Strict);
        let other = for_app(policy("shop", 9, Some(Disable)), "db");
        assert_eq!(mode(&[mesh.clone(), other], 80), Strict);
        let in_root = for_app(policy("istio-system", 1, Some(Disable)), "web");
        assert_eq!(mode(&[mesh, in_root], 80), Strict);
    }

    #[test]
    fn of_equal_policies_the_oldest_counts() {
        let old = policy("shop", 1, Some(Strict));
        let new = policy("shop", 2, Some(Disable));
        assert_eq!(mode(&[new.clone(), old.clone()], 80), Strict);
        let old = for_app(old, "web");
        assert_eq!(mode(&[for_app(new, "web"), old], 80), Strict);
    }

    #[test]
    fn ports_outweigh_their_workload() {
        let mut workload = for_app(policy("shop", 1, Some(Strict)), "web");
        workload.ports = BTreeMap::from([(9000, Some(Disable)), (9001, None)]);
        let all = [workload];
        assert_eq!(
            [80, 9000, 9001].map(|port| mode(&all, port)),
            [Strict, Disable, Strict]
        );
        // Ports of a policy for a whole namespace do not count.
        let mut namespace = policy("shop", 1, Some(Strict));
        namespace.ports = BTreeMap::from([(9000, Some(Disable))]);
        assert_eq!(mode(&[namespace], 9000), Strict);
    }

    fn known() -> Known {
        Known {
            rule: None,
            automatic: true,
            is_external: false,
            of_namespace: Permissive,
            has_sidecar: true,
            of_port: Permissive,
        }
    }

    #[test]
    fn automatic_tls_goes_by_sidecar_namespace_and_port() {
        assert_eq!(sent(known()), Sent::IstioMutual);
        let plain = [
            Known {
                has_sidecar: false,
                ..known()
            },
            Known {
                automatic: false,
                ..known()
            },
            Known {
                is_external: true,
                ..known()
            },
            Known {
                of_port: Disable,
                ..known()
            },
            // The namespace says no, the workload yes: the service's clients send plaintext.
            Known {
                of_namespace: Disable,
                of_port: Strict,
                ..known()
            },
        ];
        assert_eq!(plain.map(sent), [Sent::Plaintext; 5]);
    }

    #[test]
    fn a_rule_outweighs_what_is_known_of_the_server() {
        let rule = |mode| {
            sent(Known {
                rule: Some(mode),
                has_sidecar: false,
                ..known()
            })
        };
        assert_eq!(rule(ClientMode::IstioMutual), Sent::IstioMutual);
        assert_eq!(rule(ClientMode::Simple), Sent::OtherTls);
        assert_eq!(rule(ClientMode::Mutual), Sent::OtherTls);
        assert_eq!(rule(ClientMode::Disable), Sent::Plaintext);
    }

    #[test]
    fn each_kind_of_connection_meets_its_fate() {
        let servers = [
            Server::Application,
            Server::Sidecar(Disable),
            Server::Sidecar(Permissive),
            Server::Sidecar(Strict),
        ];
        let fates = |sent| servers.map(|server| meet(sent, server));
        use Outcome::*;
        assert_eq!(
            fates(Sent::Plaintext),
            [Plaintext, Plaintext, Plaintext, Reset]
        );
        assert_eq!(
            fates(Sent::IstioMutual),
            [HandshakeFails, HandshakeFails, Mutual, Mutual]
        );
        assert_eq!(
            fates(Sent::OtherTls),
            [
                ApplicationTls,
                ApplicationTls,
                ApplicationTls,
                HandshakeFails
            ]
        );
        let readers = [Disable, Permissive, Strict].map(Server::Reader);
        let fates = |sent| readers.map(|reader| meet(sent, reader));
        assert_eq!(fates(Sent::Plaintext), [Plaintext, Plaintext, Reset]);
        assert_eq!(fates(Sent::IstioMutual), [HandshakeFails, Mutual, Mutual]);
        assert_eq!(fates(Sent::OtherTls), [HandshakeFails; 3]);
    }
}
