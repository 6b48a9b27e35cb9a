//! Pods die at once. Not a lever: nothing brings the same pods back, their controllers
//! replace them, and bare pods stay away.

use crate::domain::{Clock, Domain};

impl Domain<'_> {
    /// A pod dies with its object.
    pub(super) fn kill_pod(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let life = self.pods[pod as usize].incarnation();
        self.pod_dies(pod, context);
        self.announce_closing(pod, life, context);
        self.release(pod, context);
    }
}
