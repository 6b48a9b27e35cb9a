//! How busy workloads were, the busiest first where there are many.

use super::{INDENT, Style, table, wrapped};
use crate::number::{count, duration_figure, share_figure};
use crate::tell::workload_path;
use cloud::summary::{Summary, WorkloadSummary};

const HEADER: [&str; 6] = ["workload", "pods", "busy", "wait", "wait p99", "time p99"];
/// More rows than this hide what matters.
const ROWS_MAX: usize = 16;

pub(super) fn section(summary: &Summary, style: Style) -> Option<String> {
    let remark = "wait before service; time from arrival to answer at a pod";
    list(&summary.workloads, ("Workloads", remark), style)
}

/// The same of the proxies beside them.
pub(super) fn sidecars(summary: &Summary, style: Style) -> Option<String> {
    let remark = "wait for a thread; time from a request to its answer, with what lies behind";
    list(&summary.sidecars, ("Sidecars", remark), style)
}

fn list(all: &[WorkloadSummary], heading: (&str, &str), style: Style) -> Option<String> {
    let mut workloads: Vec<&WorkloadSummary> = all.iter().collect();
    if workloads.is_empty() {
        return None;
    }
    let left_out = workloads.len().saturating_sub(ROWS_MAX);
    if left_out > 0 {
        workloads.sort_by(|a, b| b.utilization.value.total_cmp(&a.utilization.value));
        workloads.truncate(ROWS_MAX);
    }
    let rows = workloads
        .into_iter()
        .map(|workload| row(workload, style))
        .collect();
    let mut lines = vec![
        style.heading(heading.0, heading.1),
        table(&HEADER, rows, 1, style),
    ];
    if left_out > 0 {
        let rest = format!("The busiest; {left_out} more are in the report (`--out DIR`).");
        lines.push(wrapped(&rest, INDENT, style));
    }
    Some(lines.join("\n"))
}

fn row(workload: &WorkloadSummary, style: Style) -> Vec<String> {
    let pods = match workload.pending {
        0 => count(workload.replicas.into()),
        pending => format!("{}\n{pending} pending", workload.replicas),
    };
    let mut row = vec![workload_path(workload), pods];
    row.push(style.cell(share_figure(&workload.utilization)));
    row.extend(
        [
            &workload.wait_mean,
            &workload.wait_p99,
            &workload.sojourn_p99,
        ]
        .map(|estimate| style.cell(duration_figure(estimate))),
    );
    row
}
