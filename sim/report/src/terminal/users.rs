//! What users got: availability, latency, and why requests failed.

use super::{INDENT, Style, table, wrapped};
use crate::number::{availability_figure, count, duration_figure, plain, share};
use crate::tell::extent;
use cloud::summary::{Summary, TrafficSummary};

const HEADER: [&str; 6] = ["users", "requests", "availability", "mean", "p50", "p99"];

pub(super) fn section(summary: &Summary, style: Style) -> Option<String> {
    let rows = summary
        .traffic
        .iter()
        .map(|traffic| row(traffic, summary.confidence, style))
        .collect();
    let remark = format!(
        "{}, intervals at {} %",
        extent(summary),
        plain(100.0 * summary.confidence)
    );
    let mut lines = vec![style.heading("What users got", "")];
    lines.push(wrapped(&remark, INDENT, style));
    lines.push(table(&HEADER, rows, 1, style));
    lines.extend(failures(summary, style));
    Some(lines.join("\n"))
}

fn row(traffic: &TrafficSummary, confidence: f64, style: Style) -> Vec<String> {
    let latency = &traffic.latency;
    let mut row = vec![traffic.name.clone(), count(traffic.requests)];
    row.push(style.cell(availability_figure(traffic, confidence)));
    row.extend(
        [&latency.mean, &latency.p50, &latency.p99]
            .map(|estimate| style.cell(duration_figure(estimate))),
    );
    row
}

/// Reasons per source that saw any; the row for all together repeats them and is left out.
fn failures(summary: &Summary, style: Style) -> Vec<String> {
    crate::tell::groups(summary)
        .iter()
        .filter(|traffic| !traffic.failures.is_empty())
        .map(|traffic| {
            let reasons = traffic.failures.iter().map(|failure| {
                let of_all = failure.count as f64 / traffic.requests.max(1) as f64;
                format!(
                    "{} {} ({}, {})",
                    count(failure.count),
                    failure.meaning,
                    share(of_all),
                    failure.reason
                )
            });
            let reasons = reasons.collect::<Vec<_>>().join("; ");
            wrapped(
                &format!("{} failed: {reasons}", traffic.name),
                INDENT,
                style,
            )
        })
        .collect()
}
