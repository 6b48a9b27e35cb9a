//! Canary releases: a new version gets its share of the requests step by step, and somebody
//! judges it on the way.

use super::WorkloadId;
use crate::istio::config::{Destination, HttpMatch, Percent};
use engine::Duration;

/// A canary release: what operators ask a controller for.
#[derive(Clone, Debug, PartialEq)]
pub struct Canary {
    /// The route, as it was written.
    pub route: String,
    /// Namespace and name of each VirtualService that holds it. Routes of the Gateway API are
    /// those that istiod makes of them.
    pub services: Vec<(String, String)>,
    /// Names of its parts that count; all that lead to one of the versions if empty.
    pub parts: Vec<String>,
    /// The version that is there.
    pub stable: Version,
    /// The one that comes.
    pub canary: Version,
    /// What is done, one after the other.
    pub steps: Vec<CanaryStep>,
    /// How it is judged, if it is.
    pub analysis: Option<CanaryAnalysis>,
    /// What the author knows of the new version.
    pub truth: Option<Truth>,
}

/// One of the two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// How it was written.
    pub name: String,
    /// Where its requests go; the host in full.
    pub destination: Destination,
    /// Whose pods those are, ascending.
    pub workloads: Vec<WorkloadId>,
}

/// A step of a canary release.
#[derive(Clone, Debug, PartialEq)]
pub enum CanaryStep {
    /// So many of a hundred requests go to the canary.
    SetWeight(u32),
    /// Nothing is done for so long; the canary is judged.
    Pause(Duration),
    /// Requests that match go to the canary, whatever the weights say; none do if there are no
    /// matches.
    SetHeaderRoute {
        /// Its name.
        name: String,
        /// What a request must be: one of these.
        matches: Vec<HttpMatch>,
    },
    /// The canary gets copies.
    SetMirrorRoute {
        /// Its name.
        name: String,
        /// Of which requests: one of these, or all if there are none.
        matches: Vec<HttpMatch>,
        /// Of how many of them; the route goes if nothing is said.
        share: Option<Percent>,
    },
}

/// How a canary is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct CanaryAnalysis {
    /// How often.
    pub interval: Duration,
    /// How often the pods' counters are read.
    pub scrape_interval: Duration,
    /// It fails if a smaller share of its answers is without error.
    pub success_rate_min: Option<f64>,
    /// It fails if this quantile of its latencies, inside (0, 1), is greater.
    pub latency_max: Option<(f64, Duration)>,
    /// In what it must not be worse than the stable version.
    pub comparisons: Vec<Comparator>,
    /// By which share it may be slower.
    pub latency_tolerance: f64,
    /// Greatest probability to condemn a canary that is as good as the stable version.
    pub significance: f64,
    /// Whether that holds for the release or for each test.
    pub looks: Looks,
    /// Answers of each version without which nothing is said.
    pub sample_min: u64,
    /// How many looks may find it failing.
    pub failure_limit: u32,
    /// The step, from 0, with which it begins.
    pub starting_step: u32,
}

/// In what a canary is compared with the stable version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comparator {
    /// The share of failures, by Fisher's exact test.
    Failures,
    /// Latencies of answers without error, by their ranks.
    Latency,
}

/// What the significance is of: whoever looks often finds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    /// Of the release: all tests that it may take share it in equal parts (Bonferroni).
    Corrected,
    /// Of each test.
    Uncorrected,
}

/// What a version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It should be promoted.
    Good,
    /// It should be rolled back.
    Bad,
}

impl Canary {
    /// How many looks its pauses have room for.
    pub fn looks_planned(&self) -> u64 {
        let Some(analysis) = &self.analysis else {
            return 0;
        };
        let first = analysis.starting_step as usize;
        let pauses = self.steps.iter().skip(first);
        let looks = pauses.map(|step| match step {
            CanaryStep::Pause(lasts) => {
                let interval = analysis.interval.as_nanos().max(1);
                lasts.as_nanos().div_ceil(interval).max(1)
            }
            _ => 0,
        });
        looks.sum()
    }

    /// How long it takes at least.
    pub fn lasts_at_least(&self) -> Duration {
        let pauses = self.steps.iter().filter_map(|step| match step {
            CanaryStep::Pause(lasts) => Some(*lasts),
            _ => None,
        });
        pauses.fold(Duration::ZERO, Duration::saturating_add)
    }
}

impl CanaryAnalysis {
    /// The probability up to which a test is believed, where so many looks are planned.
    pub fn level(&self, looks_planned: u64) -> f64 {
        // A look that condemns is one that must be repeated, as long as the limit allows it.
        let looks = looks_planned + u64::from(self.failure_limit);
        let tests = looks.max(1) * self.comparisons.len().max(1) as u64;
        match self.looks {
            Looks::Corrected => self.significance / tests as f64,
            Looks::Uncorrected => self.significance,
        }
    }
}

/// What is told of canary releases over replications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanaryMeasure {
    /// Share of replications in which it was promoted.
    Promoted,
    /// In which it was rolled back.
    RolledBack,
    /// In which neither had happened at the end.
    Undecided,
    /// In which the verdict was not the truth.
    WrongVerdicts,
    /// From its start to the decision to roll it back, where that was made.
    TimeToDetect,
    /// Requests that failed or were slow because of it.
    UsersHarmed,
    /// Share of what may fail that failed because of it.
    ErrorBudgetSpent,
}
