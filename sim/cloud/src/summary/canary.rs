//! What a study found of canary releases.

use serde::Serialize;
use stats::Estimate;

/// A canary release over all replications.
#[derive(Clone, Debug, Serialize)]
pub struct CanarySummary {
    /// As on the timeline.
    pub name: String,
    /// Cluster.
    pub cluster: String,
    /// The route whose weights it moves.
    pub route: String,
    /// The version that was there.
    pub stable: String,
    /// The one that came.
    pub canary: String,
    /// What its author knows of the new version: `good` or `bad`.
    pub truth: Option<&'static str>,
    /// Replications in which all requests went to the canary in the end.
    pub promoted: u32,
    /// Those in which they went back to the stable version.
    pub rolled_back: u32,
    /// Those in which neither had happened at the end of the run.
    pub undecided: u32,
    /// Share of replications whose verdict was not the truth; `None` if that was not said.
    pub wrong: Option<Estimate>,
    /// Seconds from its start to the decision to roll back, over the replications in which it
    /// was made; `None` if there are none.
    pub detection: Option<Estimate>,
    /// Least and greatest over replications.
    pub detection_range: Option<(f64, f64)>,
    /// Looks of the controller in a replication.
    pub looks: Estimate,
    /// Of these, those that could say nothing.
    pub inconclusive: Estimate,
    /// Requests of users that the canary answered in a replication.
    pub requests: Estimate,
    /// Requests that failed because of it in a replication: more than would have with the share
    /// of failures that the stable version had.
    pub failed: Estimate,
    /// Requests that were slow because of it, likewise.
    pub slow: Estimate,
    /// Both.
    pub harmed: Estimate,
    /// Failures because of it as a share of those that the promised availability allows for in
    /// the whole run; `None` if there is no such promise.
    pub budget_spent: Option<Estimate>,
}
