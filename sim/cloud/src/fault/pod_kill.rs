//! Pods die at once. Not a lever: nothing brings the same pods back, their controllers
//! replace them, and bare pods stay away.

use crate::domain::{Clock, Domain, Phase};
use crate::scenario::WorkloadId;
use engine::Stream;

impl Domain<'_> {
    /// Kills so many of a workload's running pods, drawn at random.
    pub(super) fn kill_pods(
        &mut self,
        workload: WorkloadId,
        count: u32,
        context: &mut Clock<'_, Self>,
    ) {
        let Some(cluster) = self.cluster else {
            return;
        };
        let described = &self.topology.cluster(cluster).workloads[workload.index()];
        let name = format!("pods killed of {}/{}", described.namespace, described.name);
        let mut draw = Stream::new(self.seed, &name).draw(context.now().as_nanos(), 0);
        let pods = self.workloads[workload.index()].pods.iter().copied();
        let mut running: Vec<u32> = pods
            .filter(|&pod| self.pods[pod as usize].phase == Phase::Running)
            .collect();
        for _ in 0..count.min(running.len() as u32) {
            let chosen = draw.below(running.len() as u32);
            let pod = running.swap_remove(chosen as usize);
            self.kill_pod(pod, context);
        }
    }

    fn kill_pod(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        self.pod_dies(pod, context);
        self.announce_closing(pod, context);
        self.release(pod, context);
    }
}
