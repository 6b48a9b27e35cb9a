//! DaemonSets: which of their pods a rolling update replaces next.
//!
//! Models: one look of the DaemonSet controller at a rolling update: old pods that are not
//! available go at once, of the others as many as `maxUnavailable` leaves room for.
//! Leaves out: `maxSurge` above zero, `OnDelete`.
//! Sources: kubernetes/kubernetes pkg/controller/daemon (update.go).
//! Validated by: the tests below.

/// The pod of a node that should have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// There is none, or it is stopping.
    Absent,
    /// Of the revision before.
    Old {
        /// Whether it serves.
        available: bool,
    },
    /// Of the revision to come to.
    New {
        /// Whether it serves.
        available: bool,
    },
}

/// Which pods to delete (as positions), if at most so many may be unavailable.
pub fn replace(daemons: &[Daemon], unavailable_max: u32) -> Vec<usize> {
    let mut unavailable = 0;
    let mut gone = Vec::new();
    let mut candidates = Vec::new();
    for (position, daemon) in daemons.iter().enumerate() {
        match daemon {
            Daemon::Absent | Daemon::New { available: false } => unavailable += 1,
            Daemon::New { available: true } => {}
            Daemon::Old { available: false } => {
                unavailable += 1;
                gone.push(position);
            }
            Daemon::Old { available: true } => candidates.push(position),
        }
    }
    let room = unavailable_max.saturating_sub(unavailable) as usize;
    gone.extend(candidates.into_iter().take(room));
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Daemon = Daemon::Old { available: true };
    const NEW: Daemon = Daemon::New { available: true };

    #[test]
    fn one_pod_at_a_time() {
        assert_eq!(replace(&[OLD, OLD, OLD], 1), [0]);
        assert_eq!(replace(&[Daemon::Absent, OLD, OLD], 1), []);
        assert_eq!(
            replace(&[Daemon::New { available: false }, OLD, OLD], 1),
            []
        );
        assert_eq!(replace(&[NEW, OLD, OLD], 1), [1]);
        assert_eq!(replace(&[NEW, OLD, OLD], 2), [1, 2]);
        assert_eq!(replace(&[NEW, NEW, NEW], 1), []);
    }

    #[test]
    fn an_old_pod_that_does_not_serve_goes_at_once() {
        let idle = Daemon::Old { available: false };
        assert_eq!(replace(&[idle, OLD, idle], 1), [0, 2]);
        assert_eq!(replace(&[idle, OLD, OLD], 2), [0, 1]);
    }
}
