//! StatefulSets: the order in which their pods come, go and change.
//!
//! Models: one look of the StatefulSet controller under both pod management policies, and a
//! rolling update from the highest ordinal down to the partition: one pod at a time under
//! either policy, or as many as `maxUnavailable` leaves room for, where the release counts it.
//! A pod is replaced only once its object has vanished: until then the ordinal is taken.
//! Leaves out: volume claims, `OnDelete`.
//! Sources: kubernetes/kubernetes pkg/controller/statefulset (stateful_set_control.go).
//! Validated by: the sequences of rollouts and scalings worked out by hand, below.

/// Whether ordinals wait for each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodManagement {
    /// Each waits until all below it are ready; they go in reverse.
    #[default]
    OrderedReady,
    /// All at once.
    Parallel,
}

/// The pod of an ordinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// There is none.
    Absent,
    /// It starts, or has stopped to be ready.
    NotReady {
        /// The revision it was made from.
        revision: u32,
    },
    /// It is available.
    Ready {
        /// The revision it was made from.
        revision: u32,
    },
    /// Its object is there until its node has let it go.
    Terminating,
}

/// What the controller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Creates the pod of an ordinal from a revision.
    Create {
        /// Which.
        ordinal: u32,
        /// From what.
        revision: u32,
    },
    /// Deletes the pod of an ordinal.
    Delete {
        /// Which.
        ordinal: u32,
    },
}

/// What a StatefulSet asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Pods.
    pub replicas: u32,
    /// Whether they wait for each other.
    pub management: PodManagement,
    /// Ordinals below stay at the revision before.
    pub partition: u32,
    /// The revision before.
    pub current: u32,
    /// The revision to come to.
    pub update: u32,
    /// Pods that may be unavailable during an update; `None` where the release goes one by one.
    pub unavailable_max: Option<u32>,
}

/// One look at a StatefulSet whose members these are, by ordinal.
pub fn look(wanted: Wanted, members: &[Member]) -> Vec<Action> {
    let mut actions = Vec::new();
    let ordered = wanted.management == PodManagement::OrderedReady;
    let member = |ordinal: u32| {
        members
            .get(ordinal as usize)
            .copied()
            .unwrap_or(Member::Absent)
    };
    for ordinal in 0..wanted.replicas {
        let revision = match ordinal < wanted.partition {
            true => wanted.current,
            false => wanted.update,
        };
        let is_ready = match member(ordinal) {
            Member::Absent => {
                actions.push(Action::Create { ordinal, revision });
                false
            }
            Member::Ready { .. } => true,
            Member::NotReady { .. } | Member::Terminating => false,
        };
        if ordered && !is_ready {
            return actions;
        }
    }
    // Of those too many, the highest goes first.
    let too_many = (wanted.replicas..members.len() as u32).rev();
    for ordinal in too_many.filter(|&ordinal| member(ordinal) != Member::Absent) {
        let goes = member(ordinal) != Member::Terminating;
        if goes {
            actions.push(Action::Delete { ordinal });
        }
        if ordered {
            return actions;
        }
    }
    match wanted.unavailable_max {
        None => actions.extend(update(wanted, member)),
        Some(most) => actions.extend(update_several(wanted, most, member)),
    }
    actions
}

/// The pods that a rolling update replaces next, if at most so many may be unavailable: whoever
/// is not available takes of that number, whatever its revision.
fn update_several(wanted: Wanted, most: u32, member: impl Fn(u32) -> Member) -> Vec<Action> {
    let is_available = |ordinal: &u32| matches!(member(*ordinal), Member::Ready { .. });
    let available = (0..wanted.replicas).filter(is_available).count() as u32;
    let room = most.saturating_sub(wanted.replicas - available);
    let is_old = |ordinal: &u32| match member(*ordinal) {
        Member::Ready { revision } | Member::NotReady { revision } => revision != wanted.update,
        Member::Absent | Member::Terminating => false,
    };
    let old = (wanted.partition..wanted.replicas).rev().filter(is_old);
    old.take(room as usize)
        .map(|ordinal| Action::Delete { ordinal })
        .collect()
}

/// The pod that a rolling update replaces next, if it waits for none.
fn update(wanted: Wanted, member: impl Fn(u32) -> Member) -> Option<Action> {
    for ordinal in (wanted.partition..wanted.replicas).rev() {
        match member(ordinal) {
            Member::Ready { revision } if revision == wanted.update => {}
            Member::Ready { .. } => return Some(Action::Delete { ordinal }),
            Member::NotReady { revision } if revision != wanted.update => {
                return Some(Action::Delete { ordinal });
            }
            Member::NotReady { .. } | Member::Terminating | Member::Absent => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: u32 = 0;
    const NEW: u32 = 1;

    fn wanted(replicas: u32, management: PodManagement, partition: u32) -> Wanted {
        Wanted {
            replicas,
            management,
            partition,
            current: OLD,
            update: NEW,
            unavailable_max: None,
        }
    }

    fn ready(revision: u32) -> Member {
        Member::Ready { revision }
    }

    /// The actions of each look until nothing is left to do; pods are gone, then ready, one
    /// look after they were asked to.
    fn looks(wanted: Wanted, mut members: Vec<Member>) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            let actions = look(wanted, &members);
            let coming = |member: &Member| !matches!(member, Member::Ready { .. } | Member::Absent);
            if actions.is_empty() && !members.iter().any(coming) {
                return told;
            }
            for member in &mut members {
                match *member {
                    Member::Terminating => *member = Member::Absent,
                    Member::NotReady { revision } => *member = ready(revision),
                    _ => {}
                }
            }
            let mut words = Vec::new();
            for action in actions {
                match action {
                    Action::Create { ordinal, revision } => {
                        let length = members.len().max(ordinal as usize + 1);
                        members.resize(length, Member::Absent);
                        members[ordinal as usize] = Member::NotReady { revision };
                        words.push(format!("+{ordinal}:{revision}"));
                    }
                    Action::Delete { ordinal } => {
                        members[ordinal as usize] = Member::Terminating;
                        words.push(format!("-{ordinal}"));
                    }
                }
            }
            if !words.is_empty() {
                told.push(words.join(" "));
            }
            assert!(told.len() < 100, "{told:?}");
        }
    }

    #[test]
    fn ordered_pods_come_one_by_one_and_go_in_reverse() {
        let ordered = PodManagement::OrderedReady;
        assert_eq!(
            looks(wanted(3, ordered, 0), vec![]),
            ["+0:1", "+1:1", "+2:1"]
        );
        let four = vec![ready(NEW); 4];
        assert_eq!(looks(wanted(1, ordered, 0), four), ["-3", "-2", "-1"]);
    }

    #[test]
    fn parallel_pods_come_and_go_at_once() {
        let parallel = PodManagement::Parallel;
        assert_eq!(looks(wanted(3, parallel, 0), vec![]), ["+0:1 +1:1 +2:1"]);
        let four = vec![ready(NEW); 4];
        assert_eq!(looks(wanted(1, parallel, 0), four), ["-3 -2 -1"]);
    }

    #[test]
    fn an_update_goes_from_the_highest_ordinal_down_to_the_partition() {
        for management in [PodManagement::OrderedReady, PodManagement::Parallel] {
            let told = looks(wanted(3, management, 1), vec![ready(OLD); 3]);
            assert_eq!(told, ["-2", "+2:1", "-1", "+1:1"]);
        }
    }

    #[test]
    fn several_pods_change_at_once_where_that_is_allowed() {
        let several = |most, management| Wanted {
            unavailable_max: Some(most),
            ..wanted(5, management, 1)
        };
        // In order they come back one by one, and nobody goes before all are back.
        let told = looks(several(2, PodManagement::OrderedReady), vec![ready(OLD); 5]);
        assert_eq!(told, ["-4 -3", "+3:1", "+4:1", "-2 -1", "+1:1", "+2:1"]);
        let told = looks(several(2, PodManagement::Parallel), vec![ready(OLD); 5]);
        assert_eq!(told, ["-4 -3", "+3:1 +4:1", "-2 -1", "+1:1 +2:1"]);
        let told = looks(several(1, PodManagement::Parallel), vec![ready(OLD); 5]);
        assert_eq!(
            told,
            ["-4", "+4:1", "-3", "+3:1", "-2", "+2:1", "-1", "+1:1"]
        );
    }

    #[test]
    fn who_is_not_available_takes_of_the_number() {
        let parallel = Wanted {
            unavailable_max: Some(2),
            ..wanted(4, PodManagement::Parallel, 0)
        };
        let waits = Member::NotReady { revision: NEW };
        let actions = look(parallel, &[ready(OLD), ready(OLD), ready(OLD), waits]);
        assert_eq!(actions, [Action::Delete { ordinal: 2 }]);
        let below = Member::NotReady { revision: OLD };
        let actions = look(parallel, &[below, ready(OLD), ready(OLD), waits]);
        assert_eq!(actions, []);
    }

    #[test]
    fn an_ordered_set_waits_for_a_pod_that_is_not_ready() {
        let members = [ready(OLD), Member::NotReady { revision: OLD }, ready(OLD)];
        assert_eq!(
            look(wanted(3, PodManagement::OrderedReady, 0), &members),
            []
        );
        let scaled = wanted(2, PodManagement::OrderedReady, 0);
        assert_eq!(look(scaled, &members), []);
        // Without order the update begins at the top whatever the others do.
        let actions = look(wanted(3, PodManagement::Parallel, 0), &members);
        assert_eq!(actions, [Action::Delete { ordinal: 2 }]);
    }

    #[test]
    fn an_ordinal_is_taken_until_its_object_has_vanished() {
        let members = [ready(NEW), Member::Terminating, ready(NEW)];
        for management in [PodManagement::OrderedReady, PodManagement::Parallel] {
            assert_eq!(look(wanted(3, management, 0), &members), []);
        }
        // A lost pod below the partition comes back as it was.
        let members = [Member::Absent, ready(NEW)];
        let actions = look(wanted(2, PodManagement::OrderedReady, 1), &members);
        let back = Action::Create {
            ordinal: 0,
            revision: OLD,
        };
        assert_eq!(actions, [back]);
    }
}
