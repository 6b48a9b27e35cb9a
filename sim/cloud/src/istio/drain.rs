//! How a sidecar or gateway goes.
//!
//! Models: an agent that is told to stop drains Envoy and ends it after 5 s; one that is to wait
//! for open connections looks for them every second after a least wait, and gives up after five
//! looks in a row without an answer; a native sidecar that drains from the pod's first moment of
//! termination, is told to stop when the applications are gone, and then ends at once.
//! Exact: each step. The kubelet's kill at the end of the grace period comes on top.
//! Sources: istio/istio pkg/envoy/agent.go, pilot/pkg/features/pilot.go.
//! Validated by: traces worked out by hand, below.

use crate::facts;
use engine::Duration;

/// How the sidecar is put into its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// A container like the application's: stopped together with it.
    Beside,
    /// An init container that restarts: started before the application, stopped after it.
    Native,
}

/// What istiod is told of native sidecars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeSidecars {
    /// What its version does.
    Unsaid,
    /// Always.
    Enabled,
    /// Never.
    Disabled,
}

/// How an istiod of this minor version injects sidecars into a cluster of that one.
pub fn placement(said: NativeSidecars, istio_minor: u32, kubernetes_minor: u32) -> Placement {
    let by_itself = istio_minor >= facts::NATIVE_SIDECARS_FROM_MINOR.value
        && kubernetes_minor >= facts::NATIVE_SIDECARS_FROM_KUBERNETES_MINOR.value;
    match said {
        NativeSidecars::Enabled => Placement::Native,
        NativeSidecars::Unsaid if by_itself => Placement::Native,
        NativeSidecars::Unsaid | NativeSidecars::Disabled => Placement::Beside,
    }
}

/// How long an agent drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// So long.
    For(Duration),
    /// At least so long, and then until no connection is open.
    UntilIdle(Duration),
}

impl Default for Patience {
    fn default() -> Self {
        Patience::For(facts::SIDECAR_DRAIN.value)
    }
}

/// What the agent does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It waits so long and then ends Envoy.
    ExitAfter(Duration),
    /// It waits so long and then looks for open connections.
    LookAfter(Duration),
}

/// An agent on its way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Looks in a row that have failed.
    errors: u32,
}

impl Exit {
    /// The agent is told to stop. One that has been told to drain before goes at once.
    pub fn begin(patience: Patience, has_drained: bool) -> (Self, Next) {
        let next = match patience {
            _ if has_drained => Next::ExitAfter(Duration::ZERO),
            Patience::For(wait) => Next::ExitAfter(wait),
            Patience::UntilIdle(least) => {
                Next::LookAfter(least + facts::SIDECAR_CONNECTIONS_CHECK.value)
            }
        };
        (Exit::default(), next)
    }

    /// It has looked: so many connections are open, or Envoy did not answer.
    pub fn look(&mut self, open: Option<u32>) -> Next {
        self.errors = match open {
            Some(_) => 0,
            None => self.errors + 1,
        };
        let gives_up = self.errors >= facts::SIDECAR_CONNECTIONS_ERRORS_MAX.value;
        if open == Some(0) || gives_up {
            Next::ExitAfter(Duration::ZERO)
        } else {
            Next::LookAfter(facts::SIDECAR_CONNECTIONS_CHECK.value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many seconds the agent ends Envoy, by what each look finds.
    fn ends_after(patience: Patience, looks: &[Option<u32>]) -> f64 {
        let (mut exit, mut next) = Exit::begin(patience, false);
        let mut looks = looks.iter().copied();
        let mut waited = Duration::ZERO;
        loop {
            match next {
                Next::ExitAfter(wait) => return (waited + wait).as_secs_f64(),
                Next::LookAfter(wait) => {
                    waited += wait;
                    next = exit.look(looks.next().unwrap());
                }
            }
        }
    }

    const UNTIL_IDLE: Patience = Patience::UntilIdle(Duration::from_secs(5));

    #[test]
    fn an_agent_drains_for_five_seconds() {
        assert_eq!(ends_after(Patience::default(), &[]), 5.0);
        assert_eq!(
            Exit::begin(Patience::default(), true).1,
            Next::ExitAfter(Duration::ZERO)
        );
    }

    #[test]
    fn an_agent_may_wait_for_its_connections() {
        assert_eq!(ends_after(UNTIL_IDLE, &[Some(0)]), 6.0);
        assert_eq!(ends_after(UNTIL_IDLE, &[Some(9), Some(3), Some(0)]), 8.0);
    }

    #[test]
    fn five_looks_in_vain_are_enough() {
        let vain = None;
        assert_eq!(ends_after(UNTIL_IDLE, &[vain; 5]), 10.0);
        // One answer starts the count over.
        let mixed = [vain, vain, Some(1), vain, vain, vain, vain, vain];
        assert_eq!(ends_after(UNTIL_IDLE, &mixed), 13.0);
    }

    #[test]
    fn sidecars_are_native_where_both_sides_know_them() {
        let unsaid = |istio, kubernetes| placement(NativeSidecars::Unsaid, istio, kubernetes);
        assert_eq!(unsaid(26, 33), Placement::Beside);
        assert_eq!(unsaid(27, 32), Placement::Beside);
        assert_eq!(unsaid(27, 33), Placement::Native);
        assert_eq!(
            placement(NativeSidecars::Enabled, 20, 28),
            Placement::Native
        );
        assert_eq!(
            placement(NativeSidecars::Disabled, 30, 35),
            Placement::Beside
        );
    }
}
