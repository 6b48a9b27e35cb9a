//! What every format tells in the same words: the title, warnings, and who is a group of users.

use crate::number::{clock, count, counted};
use cloud::summary::{
    CanarySummary, FlagSummary, Outcome, ProxySummary, Summary, TrafficSummary, Verdict,
    WorkloadSummary,
};

/// A workload busier than this is told to be so in steady state.
const BUSY: f64 = 0.98;

/// Text on one line, without the control characters with which a name could move a cursor.
pub(crate) fn clean(text: &str) -> String {
    text.split(|character: char| character.is_control() || character.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Traffic sources without the last one that stands for all together.
pub(crate) fn groups(summary: &Summary) -> &[TrafficSummary] {
    match summary.traffic.as_slice() {
        [groups @ .., _all] if !groups.is_empty() => groups,
        all => all,
    }
}

/// Workloads with proxies that something was changed for, the stalest first.
pub(crate) fn stalest(summary: &Summary) -> Vec<&ProxySummary> {
    let concerned = |it: &&ProxySummary| it.updates.value > 0.0 || it.spread.greatest > 0.0;
    let mut stalest: Vec<_> = summary.proxies.iter().filter(concerned).collect();
    stalest.sort_by(|a, b| b.behind.value.total_cmp(&a.behind.value));
    stalest
}

/// `cluster/namespace/name`, or `cluster/ztunnel`.
pub(crate) fn proxies(proxies: &ProxySummary) -> String {
    match &*proxies.namespace {
        "" => format!("{}/{}", proxies.cluster, proxies.name),
        namespace => format!("{}/{namespace}/{}", proxies.cluster, proxies.name),
    }
}

/// `cluster/namespace/name`.
pub(crate) fn workload_path(workload: &WorkloadSummary) -> String {
    format!(
        "{}/{}/{}",
        workload.cluster, workload.namespace, workload.name
    )
}

/// `promoted 38, rolled back 2`: how a canary release ended.
pub(crate) fn outcomes(canary: &CanarySummary) -> String {
    let ends = [
        (canary.promoted, "promoted"),
        (canary.rolled_back, "rolled back"),
        (canary.undecided, "undecided"),
    ];
    let ends = ends.iter().filter(|(times, _)| *times > 0);
    let ends: Vec<String> = ends.map(|(times, end)| format!("{end} {times}")).collect();
    ends.join(", ")
}

/// A judgement in one word.
pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Met => "met",
        Outcome::Missed => "missed",
        Outcome::Undecided => "undecided",
    }
}

/// Verdicts, those that need attention first.
pub(crate) fn verdicts(summary: &Summary) -> Vec<&Verdict> {
    [Outcome::Missed, Outcome::Undecided, Outcome::Met]
        .into_iter()
        .flat_map(|outcome| {
            let same = move |verdict: &&Verdict| verdict.outcome == outcome;
            summary.verdicts.iter().filter(same)
        })
        .collect()
}

/// `1 missed, 1 undecided, 2 met`; empty without verdicts.
pub(crate) fn verdict_counts(summary: &Summary) -> String {
    [Outcome::Missed, Outcome::Undecided, Outcome::Met]
        .into_iter()
        .filter_map(|each| {
            let same = |verdict: &&Verdict| verdict.outcome == each;
            let times = summary.verdicts.iter().filter(same).count();
            (times > 0).then(|| format!("{times} {}", outcome(each)))
        })
        .collect::<Vec<_>>()
        .join(", ")
}

/// `20 replications of 8 min, terminating`.
pub(crate) fn extent(summary: &Summary) -> String {
    let warm_up = if summary.warm_up_s > 0.0 {
        format!(
            ", the first {} not counted ({})",
            clock(summary.warm_up_s),
            summary.warm_up_method
        )
    } else {
        String::new()
    };
    format!(
        "{} of {}, {}{warm_up}",
        counted(summary.replications.into(), "replication"),
        clock(summary.duration_s),
        summary.analysis
    )
}

/// What makes the figures less than they seem, most serious first.
pub(crate) fn warnings(summary: &Summary) -> Vec<String> {
    let mut warnings = Vec::new();
    if summary.interrupted {
        warnings.push(format!(
            "The study was interrupted: only {} count.",
            counted(summary.replications.into(), "replication")
        ));
    }
    if summary.replications == 1 {
        warnings.push(
            "One replication gives no intervals: ask for at least two, better twenty.".to_owned(),
        );
    }
    if summary.warm_up_method.contains("too short") {
        warnings.push(
            "The run is too short to tell where its warm-up ends: make `run.duration` longer."
                .to_owned(),
        );
    }
    if summary.precision_reached == Some(false) {
        warnings.push(format!(
            "The precision asked for was not reached with {}.",
            counted(summary.replications.into(), "replication")
        ));
    }
    warnings.extend(undecided(summary));
    warnings.extend(saturated(summary));
    warnings.extend(pending(summary));
    warnings
}

fn undecided(summary: &Summary) -> Option<String> {
    let undecided = |verdict: &&Verdict| verdict.outcome == Outcome::Undecided;
    match summary.verdicts.iter().filter(undecided).count() {
        0 => None,
        times => Some(format!(
            "{} undecided: more replications or a longer run narrow the intervals.",
            match times {
                1 => "1 verdict is".to_owned(),
                _ => format!("{times} verdicts are"),
            }
        )),
    }
}

fn saturated(summary: &Summary) -> impl Iterator<Item = String> {
    let steady = summary.analysis == "steady-state";
    summary
        .workloads
        .iter()
        .filter(move |workload| steady && workload.utilization.value >= BUSY)
        .map(|workload| {
            format!(
                "{} is busy all the time: its queue grows, and its waits depend on how long \
                 the run is.",
                workload_path(workload)
            )
        })
}

/// Pods without a node, once per cluster, workload and reason.
fn pending(summary: &Summary) -> Vec<String> {
    let mut reasons: Vec<(String, u64)> = Vec::new();
    for cluster in &summary.topology.clusters {
        for (workload, why) in &cluster.pending {
            let reason = format!("of {}/{workload} found no node: {why}.", cluster.name);
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, pods)) => *pods += 1,
                None => reasons.push((reason, 1)),
            }
        }
    }
    let sentence = |(reason, pods): (String, u64)| format!("{} {reason}", counted(pods, "pod"));
    reasons.into_iter().map(sentence).collect()
}

/// `12 facts, 3 of them assumptions, and 2 assumptions of this scenario`.
pub(crate) fn foundations(summary: &Summary) -> String {
    let assumed = summary
        .facts
        .iter()
        .filter(|fact| fact.grade == "assumption");
    let assumed = assumed.count() as u64;
    let of_them = match assumed {
        0 => String::new(),
        1 => " (1 of them an assumption)".to_owned(),
        _ => format!(" ({} of them assumptions)", count(assumed)),
    };
    format!(
        "{}{of_them} and {}",
        counted(summary.facts.len() as u64, "fact"),
        counted(summary.assumptions.len() as u64, "assumption")
    )
}

/// What sidecars logged of requests that did not go well, the most frequent first.
pub(crate) fn flagged(summary: &Summary) -> Vec<&FlagSummary> {
    let went_well = |row: &FlagSummary| row.flags == "-" && (200..400).contains(&row.status);
    let mut rows: Vec<_> = summary.flags.iter().filter(|row| !went_well(row)).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.count));
    rows
}
