//! Which endpoints of a service port a node's traffic may go to: the one place that decides it.

/// What an endpoint's hints say about the choosing node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// There are none.
    Absent,
    /// They name others.
    Others,
    /// They name the node, or its zone.
    Ours,
}

/// An endpoint as a node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Takes new traffic.
    pub ready: bool,
    /// Answers.
    pub serving: bool,
    /// On its way out.
    pub terminating: bool,
    /// On this node.
    pub local: bool,
    /// Its hints for zones; `Ours` only if the node's zone is known.
    pub zone: Hint,
    /// Its hints for nodes.
    pub node: Hint,
}

impl Seen {
    fn last_resort(&self) -> bool {
        self.serving && self.terminating
    }
}

/// What a service asks of the selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Some traffic may go to any node.
    pub cluster: bool,
    /// Some traffic must stay on the node.
    pub local: bool,
    /// Minor version of Kubernetes: hints for nodes count from 1.34, terminating endpoints are a
    /// last resort from 1.26.
    pub kubernetes_minor: u32,
}

/// Positions of the chosen endpoints, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// For traffic that may go anywhere.
    pub cluster: Vec<usize>,
    /// For traffic that must stay on the node.
    pub local: Vec<usize>,
    /// Whether there is a usable endpoint anywhere.
    pub any: bool,
}

impl Selection {
    /// All that this node can reach, ascending.
    pub fn reachable(&self) -> Vec<usize> {
        let mut all = [&self.cluster[..], &self.local].concat();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Whether endpoints on their way out get new traffic where there are no others.
pub fn has_last_resort(kubernetes_minor: u32) -> bool {
    kubernetes_minor >= 26
}

/// Chooses among the endpoints of one service port.
pub fn select(endpoints: &[Seen], demand: Demand) -> Selection {
    let fallback = has_last_resort(demand.kubernetes_minor);
    let positions = |test: &dyn Fn(&Seen) -> bool| -> Vec<usize> {
        (0..endpoints.len())
            .filter(|&at| test(&endpoints[at]))
            .collect()
    };
    let or_last_resort = |chosen: Vec<usize>, local: bool| {
        if chosen.is_empty() && fallback {
            positions(&|seen| seen.last_resort() && (seen.local || !local))
        } else {
            chosen
        }
    };
    let mut selection = Selection::default();
    if demand.cluster {
        let by_hints = hints_that_count(endpoints, demand.kubernetes_minor);
        let ready = positions(&|seen| seen.ready && by_hints(seen));
        selection.cluster = or_last_resort(ready, false);
    }
    if demand.local {
        selection.local = or_last_resort(positions(&|seen| seen.ready && seen.local), true);
    }
    selection.any = endpoints
        .iter()
        .any(|seen| seen.ready || (fallback && seen.last_resort()));
    selection
}

/// Hints count if every ready endpoint has some and one names us; those for nodes go first.
fn hints_that_count(endpoints: &[Seen], kubernetes_minor: u32) -> fn(&Seen) -> bool {
    let count = |hint: &dyn Fn(&Seen) -> Hint| {
        let mut ready = endpoints.iter().filter(|seen| seen.ready);
        ready.clone().all(|seen| hint(seen) != Hint::Absent)
            && ready.any(|seen| hint(seen) == Hint::Ours)
    };
    if kubernetes_minor >= 34 && count(&|seen| seen.node) {
        |seen| seen.node == Hint::Ours
    } else if count(&|seen| seen.zone) {
        |seen| seen.zone == Hint::Ours
    } else {
        |_| true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: Seen = Seen {
        ready: true,
        serving: true,
        terminating: false,
        local: false,
        zone: Hint::Absent,
        node: Hint::Absent,
    };
    const LEAVING: Seen = Seen {
        ready: false,
        terminating: true,
        ..READY
    };
    const BOTH: Demand = Demand {
        cluster: true,
        local: true,
        kubernetes_minor: 36,
    };

    #[test]
    fn terminating_endpoints_are_a_last_resort() {
        assert_eq!(select(&[LEAVING, READY], BOTH).cluster, [1]);
        assert_eq!(select(&[LEAVING, LEAVING], BOTH).cluster, [0, 1]);
        let old = Demand {
            kubernetes_minor: 25,
            ..BOTH
        };
        assert!(!select(&[LEAVING], old).any);
    }

    #[test]
    fn hints_count_only_if_all_have_them_and_one_is_ours() {
        let ours = Seen {
            zone: Hint::Ours,
            ..READY
        };
        let others = Seen {
            zone: Hint::Others,
            ..READY
        };
        assert_eq!(select(&[ours, others], BOTH).cluster, [0]);
        assert_eq!(select(&[ours, READY], BOTH).cluster, [0, 1]);
        assert_eq!(select(&[others, others], BOTH).cluster, [0, 1]);
    }

    #[test]
    fn local_traffic_falls_back_on_the_node_alone() {
        let here = Seen {
            local: true,
            ..LEAVING
        };
        let chosen = select(&[READY, here], BOTH);
        assert_eq!((chosen.cluster, chosen.local), (vec![0], vec![1]));
    }
}
