//! What one replication left behind of a canary release.

use super::Sketch;
use crate::scenario::ClusterId;
use engine::Time;

/// A canary release.
#[derive(Clone, Debug)]
pub struct CanaryRecord {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Position of its entry on the timeline.
    pub entry: u32,
    /// When it was asked for at the API server; never if that was not possible.
    pub began: Option<Time>,
    /// When it was decided how it ends.
    pub judged: Option<Time>,
    /// When that was written.
    pub ended: Option<Time>,
    /// How it ended.
    pub outcome: CanaryOutcome,
    /// Steps that were done.
    pub steps: u32,
    /// Looks at it.
    pub looks: u32,
    /// Of these, those that could say nothing.
    pub inconclusive: u32,
    /// What users had from the stable version since it began.
    pub stable: VersionRecord,
    /// What they had from the canary.
    pub canary: VersionRecord,
}

/// How a canary release ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CanaryOutcome {
    /// It has not.
    #[default]
    Undecided,
    /// All requests go to the canary.
    Promoted,
    /// None do.
    RolledBack,
}

/// What a version's pods answered to users and to those who asked for them; copies do not count.
#[derive(Clone, Debug, Default)]
pub struct VersionRecord {
    /// Answers without an error.
    pub succeeded: u64,
    /// Answers with an error.
    pub failed: u64,
    /// How long those without an error took, at the pod.
    pub latency: Sketch,
}

impl VersionRecord {
    /// Answers of both kinds.
    pub fn answers(&self) -> u64 {
        self.succeeded + self.failed
    }
}
