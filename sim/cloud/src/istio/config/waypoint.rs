//! Waypoints: which service is reached through which.

use super::{Identity, PolicyTarget, TargetReference};
use crate::istio::host;

/// The label that pods of a Gateway of the Gateway API carry.
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// The class of Gateways that are waypoints.
pub const WAYPOINT_CLASS: &str = "istio-waypoint";

/// What labels of a service and of its namespace come to: `istio.io/use-waypoint` and others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaypointUse {
    /// The service; for a host of a ServiceEntry the name is that host.
    pub identity: Identity,
    /// The waypoint that it is reached through, if it still is.
    pub waypoint: Option<WaypointName>,
    /// Whether gateways go through it as well: `istio.io/ingress-use-waypoint`.
    pub is_for_gateways: bool,
}

impl WaypointUse {
    /// The host of the service.
    pub fn host(&self, domain: &str) -> String {
        match self.identity.name.contains('.') {
            // Names of Services have no dots.
            true => self.identity.name.clone(),
            false => host::service(&self.identity.name, &self.identity.namespace, domain),
        }
    }
}

/// A waypoint, and its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaypointName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// A waypoint on behalf of one of its services, as policies look at it.
#[derive(Clone, Copy, Debug)]
pub struct OnBehalf<'a> {
    /// The waypoint.
    pub waypoint: &'a WaypointName,
    /// The service.
    pub service: &'a Identity,
    /// The namespace whose policies count everywhere.
    pub root_namespace: &'a str,
}

impl PolicyTarget {
    /// Whether a policy of a namespace holds at a waypoint for a service: there policies are
    /// attached, and never selected by labels.
    pub fn is_attached(&self, namespace: &str, on: OnBehalf<'_>) -> bool {
        let PolicyTarget::References(references) = self else {
            return false;
        };
        references.iter().any(|it| it.names(namespace, on))
    }
}

impl TargetReference {
    fn names(&self, namespace: &str, on: OnBehalf<'_>) -> bool {
        match (self.group.as_str(), self.kind.as_str()) {
            ("" | "core", "Service") => {
                (namespace, &self.name) == (&on.service.namespace, &on.service.name)
            }
            (GATEWAY_API, "Gateway") => {
                (namespace, &self.name) == (&on.waypoint.namespace, &on.waypoint.name)
            }
            (GATEWAY_API, "GatewayClass") => {
                (namespace, self.name.as_str()) == (on.root_namespace, WAYPOINT_CLASS)
            }
            _ => false,
        }
    }
}

const GATEWAY_API: &str = "gateway.networking.k8s.io";

#[cfg(test)]
mod tests {
    use super::super::Created;
    use super::*;
    use engine::Time;

    #[test]
    fn policies_hold_at_waypoints_that_they_are_attached_to() {
        let waypoint = WaypointName {
            namespace: "edge".into(),
            name: "waypoint".into(),
        };
        let service = Identity {
            namespace: "shop".into(),
            name: "web".into(),
            created: Created::At(Time::ZERO),
        };
        let on = OnBehalf {
            waypoint: &waypoint,
            service: &service,
            root_namespace: "istio-system",
        };
        let to = |group: &str, kind: &str, name: &str| {
            PolicyTarget::References(vec![TargetReference {
                group: group.into(),
                kind: kind.into(),
                name: name.into(),
            }])
        };
        for (target, of, holds) in [
            (to("", "Service", "web"), "shop", true),
            (to("", "Service", "web"), "edge", false),
            (to("", "Service", "cart"), "shop", false),
            (to(GATEWAY_API, "Gateway", "waypoint"), "edge", true),
            (to(GATEWAY_API, "Gateway", "waypoint"), "shop", false),
            (
                to(GATEWAY_API, "GatewayClass", WAYPOINT_CLASS),
                "istio-system",
                true,
            ),
            (
                to(GATEWAY_API, "GatewayClass", WAYPOINT_CLASS),
                "edge",
                false,
            ),
            (PolicyTarget::Everybody, "edge", false),
            (PolicyTarget::Selected(Default::default()), "edge", false),
        ] {
            assert_eq!(target.is_attached(of, on), holds, "{target:?} of {of}");
        }
    }
}
