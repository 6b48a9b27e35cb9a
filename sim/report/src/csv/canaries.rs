//! canaries.csv: one row per canary release, each estimate with its interval.

use super::{Table, maybe, name, number};
use cloud::summary::CanarySummary;
use stats::Estimate;

pub(super) const TABLE: Table = Table {
    file: "canaries.csv",
    header: &[
        "release",
        "cluster",
        "route",
        "stable",
        "canary",
        "truth",
        "promoted",
        "rolled_back",
        "undecided",
        "wrong",
        "wrong_low",
        "wrong_high",
        "detection_s",
        "detection_low_s",
        "detection_high_s",
        "looks",
        "looks_low",
        "looks_high",
        "inconclusive",
        "inconclusive_low",
        "inconclusive_high",
        "requests",
        "requests_low",
        "requests_high",
        "failed",
        "failed_low",
        "failed_high",
        "slow",
        "slow_low",
        "slow_high",
        "harmed",
        "harmed_low",
        "harmed_high",
        "budget_spent",
        "budget_spent_low",
        "budget_spent_high",
    ],
    rows: |summary| summary.canaries.iter().map(row).collect(),
    stands_empty: false,
};

fn row(canary: &CanarySummary) -> Vec<String> {
    let mut row = vec![
        name(&canary.name),
        name(&canary.cluster),
        name(&canary.route),
        name(&canary.stable),
        name(&canary.canary),
        canary.truth.unwrap_or_default().to_owned(),
        canary.promoted.to_string(),
        canary.rolled_back.to_string(),
        canary.undecided.to_string(),
    ];
    let estimates: [Option<&Estimate>; 9] = [
        canary.wrong.as_ref(),
        canary.detection.as_ref(),
        Some(&canary.looks),
        Some(&canary.inconclusive),
        Some(&canary.requests),
        Some(&canary.failed),
        Some(&canary.slow),
        Some(&canary.harmed),
        canary.budget_spent.as_ref(),
    ];
    for estimate in estimates {
        row.extend(match estimate.filter(|estimate| estimate.samples > 0) {
            Some(estimate) => [
                number(estimate.value),
                maybe(estimate.low),
                maybe(estimate.high),
            ],
            None => Default::default(),
        });
    }
    row
}
