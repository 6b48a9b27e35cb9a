//! How far Istio's proxies were behind, the stalest workloads first.

use super::{Style, table};
use crate::number::{duration, duration_figure, number_figure, plain, share, share_figure};
use crate::tell;
use cloud::summary::{ProxySummary, Summary};

const HEADER: [&str; 7] = [
    "proxies of",
    "pods",
    "updates",
    "behind",
    "lag",
    "at most",
    "stalest",
];
/// More rows than this are left to the CSV.
const ROWS_MAX: usize = 12;

pub(super) fn section(summary: &Summary, style: Style) -> Option<String> {
    let stalest = tell::stalest(summary);
    if stalest.is_empty() {
        return None;
    }
    let rows = stalest.iter().take(ROWS_MAX);
    let rows = rows.map(|proxies| row(proxies, style)).collect();
    let remark = match stalest.len() {
        0..=ROWS_MAX => "share of their time, and by how much over all of it".to_owned(),
        all => format!("the {ROWS_MAX} stalest of {all}"),
    };
    Some(format!(
        "{}\n{}",
        style.heading("Proxies behind what holds", &remark),
        table(&HEADER, rows, 1, style)
    ))
}

fn row(proxies: &ProxySummary, style: Style) -> Vec<String> {
    vec![
        tell::proxies(proxies),
        plain(proxies.proxies),
        style.cell(number_figure(&proxies.updates)),
        style.cell(share_figure(&proxies.behind)),
        style.cell(duration_figure(&proxies.lag_mean)),
        duration(proxies.lag_max),
        share(proxies.stalest.behind),
    ]
}
