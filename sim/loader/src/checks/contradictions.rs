//! Faults that hold at once although one leaves the other nothing to act on.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use crate::scenario::forms::show_duration;
use cloud::facts;
use cloud::scenario::{Action, ClusterId, Component, Fault, LinkChange, Scenario};
use engine::Time;

/// A fault with the time in which it holds.
struct Held<'a> {
    fault: &'a Fault,
    from: Time,
    until: Time,
    position: usize,
}

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    let scenario = whole.scenario;
    let mut active: Vec<Held<'_>> = Vec::new();
    for (position, entry) in scenario.timeline.iter().enumerate() {
        let Action::Fault { fault, lasts } = &entry.action else {
            continue;
        };
        active.retain(|held| held.until > entry.at);
        let clash = active.iter().find(|held| {
            leaves_nothing(held.fault, fault, scenario)
                || leaves_nothing(fault, held.fault, scenario)
        });
        if let Some(held) = clash {
            let other = &scenario.timeline[held.position].label;
            let message = format!("`{}` contradicts `{other}`", entry.label);
            let help = format!(
                "`{other}` holds from {} {}; let one end before the other begins",
                show_duration(held.from.since(Time::ZERO)),
                match held.until {
                    Time::MAX => "to the end".to_owned(),
                    until => format!("to {}", show_duration(until.since(Time::ZERO))),
                }
            );
            let span = whole.places.timeline.get(position).copied();
            diagnostics
                .report(Code::FaultsContradict, span, message)
                .help(help);
        }
        active.push(Held {
            fault,
            from: entry.at,
            until: lasts.map_or(Time::MAX, |lasts| entry.at.saturating_add(lasts)),
            position,
        });
    }
}

/// Whether under the first fault there is nothing that the second could act on.
fn leaves_nothing(first: &Fault, second: &Fault, scenario: &Scenario) -> bool {
    if let Some((cluster, node)) = powered_node(second)
        && takes_power(first, cluster, node, scenario)
    {
        return true;
    }
    match (first, second) {
        (Fault::ApiServerDown { cluster, count }, Fault::ApiServerSlow { cluster: other, .. }) => {
            cluster == other && *count >= facts::CONTROL_PLANE_MEMBERS.value
        }
        (
            Fault::ComponentDown {
                cluster,
                component: Component::Istiod,
            },
            Fault::IstiodSlow { cluster: other, .. },
        ) => cluster == other,
        (
            Fault::DnsThrottled { cluster, capacity },
            Fault::DnsThrottled {
                cluster: other,
                capacity: left,
            },
        ) => cluster == other && *capacity == 0.0 && *left > 0.0,
        (
            Fault::KubeletDown { cluster, node },
            Fault::Frozen {
                cluster: other,
                component: Component::Kubelet(frozen),
            },
        ) => (cluster, node) == (other, frozen),
        (
            Fault::ComponentDown { cluster, component },
            Fault::Frozen {
                cluster: other,
                component: frozen,
            },
        ) => (cluster, component) == (other, frozen),
        (
            Fault::Link {
                from,
                to,
                change: LinkChange::Cut,
            },
            Fault::Link {
                from: other_from,
                to: other_to,
                change: LinkChange::Delay(_) | LinkChange::Loss(_),
            },
        ) => (from, to) == (other_from, other_to) || (from, to) == (other_to, other_from),
        _ => false,
    }
}

/// The machine that a fault finds with power, to take it or to do something else to it.
fn powered_node(fault: &Fault) -> Option<(ClusterId, u32)> {
    match *fault {
        Fault::NodeDown { cluster, node, .. }
        | Fault::KubeletDown { cluster, node }
        | Fault::NodePartition { cluster, node }
        | Fault::NodeSlow { cluster, node, .. }
        | Fault::Frozen {
            cluster,
            component: Component::Kubelet(node) | Component::KubeProxy(node),
        }
        | Fault::ComponentDown {
            cluster,
            component: Component::Ztunnel(node),
        } => Some((cluster, node)),
        _ => None,
    }
}

fn takes_power(fault: &Fault, cluster: ClusterId, node: u32, scenario: &Scenario) -> bool {
    match *fault {
        Fault::NodeDown {
            cluster: of,
            node: down,
            ..
        } => (of, down) == (cluster, node),
        Fault::ZoneDown {
            cluster: of, zone, ..
        } => {
            let nodes = &scenario.clusters[cluster.index()].nodes;
            of == cluster && nodes[node as usize].zone == zone
        }
        _ => false,
    }
}
