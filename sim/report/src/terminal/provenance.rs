//! What to know about the figures: warnings, what they stand on, and how to get them again.

use super::{INDENT, Paint, Style, wrapped};
use crate::number::{NO_MARGIN, count};
use crate::tell;
use cloud::summary::Summary;

pub(super) fn section(summary: &Summary, style: Style) -> Option<String> {
    let mut lines: Vec<String> = tell::warnings(summary)
        .iter()
        .map(|warning| {
            let text = wrapped(&format!("warning: {warning}"), "", style);
            text.replacen("warning:", &style.paint(Paint::Yellow, "warning:"), 1)
        })
        .collect();
    if lacks_intervals(summary) {
        let legend = format!("{NO_MARGIN} means: too few requests for an honest interval.");
        lines.push(wrapped(&legend, INDENT, style));
    }
    let foundations = format!(
        "Stands on {}: `--json` or `--out DIR` lists them.",
        tell::foundations(summary)
    );
    lines.push(wrapped(&foundations, INDENT, style));
    let again = format!(
        "seed {}, digest {}, {} events",
        summary.seed,
        summary.digest,
        count(summary.events)
    );
    lines.push(wrapped(&again, INDENT, style));
    Some(lines.join("\n"))
}

/// Whether the tables above print a value without an interval.
fn lacks_intervals(summary: &Summary) -> bool {
    let of_users = summary.traffic.iter().flat_map(|traffic| {
        let latency = &traffic.latency;
        [latency.mean, latency.p50, latency.p99]
    });
    let of_workloads = summary.workloads.iter().flat_map(|workload| {
        [
            workload.utilization,
            workload.wait_mean,
            workload.wait_p99,
            workload.sojourn_p99,
        ]
    });
    of_users
        .chain(of_workloads)
        .any(|estimate| estimate.samples > 0 && estimate.low.is_none())
}
