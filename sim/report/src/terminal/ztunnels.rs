//! How busy ztunnels were, the busiest first where there are many.

use super::{INDENT, Style, table, wrapped};
use crate::number::{duration_figure, rate_figure, share_figure};
use crate::tell::clean;
use cloud::summary::{Summary, ZtunnelSummary};

const HEADER: [&str; 7] = [
    "node", "busy", "wait", "wait p99", "opened", "taken", "tunnels",
];
/// More rows than this hide what matters.
const ROWS_MAX: usize = 16;

pub(super) fn section(summary: &Summary, style: Style) -> Option<String> {
    let mut ztunnels: Vec<&ZtunnelSummary> = summary.ztunnels.iter().collect();
    if ztunnels.is_empty() {
        return None;
    }
    let left_out = ztunnels.len().saturating_sub(ROWS_MAX);
    if left_out > 0 {
        ztunnels.sort_by(|a, b| b.utilization.value.total_cmp(&a.utilization.value));
        ztunnels.truncate(ROWS_MAX);
    }
    let rows = ztunnels.into_iter().map(|ztunnel| row(ztunnel, style));
    let remark = "wait for a thread; connections of pods there and to them, and tunnels, opened";
    let mut lines = vec![
        style.heading("Ztunnels", remark),
        table(&HEADER, rows.collect(), 1, style),
    ];
    if left_out > 0 {
        let rest = format!("The busiest; {left_out} more are in the report (`--out DIR`).");
        lines.push(wrapped(&rest, INDENT, style));
    }
    Some(lines.join("\n"))
}

fn row(ztunnel: &ZtunnelSummary, style: Style) -> Vec<String> {
    let mut row = vec![clean(&format!("{}/{}", ztunnel.cluster, ztunnel.node))];
    row.push(style.cell(share_figure(&ztunnel.utilization)));
    let waits = [&ztunnel.wait_mean, &ztunnel.wait_p99];
    row.extend(waits.map(|estimate| style.cell(duration_figure(estimate))));
    let rates = [&ztunnel.opened, &ztunnel.taken, &ztunnel.tunnels];
    row.extend(rates.map(|estimate| style.cell(rate_figure(estimate))));
    row
}
