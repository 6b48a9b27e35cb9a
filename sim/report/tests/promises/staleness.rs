//! How far proxies were behind: the stalest first, and no more than can be read at once.

use crate::support;
use hybridsim_report::{Style, charts, csv, html, terminal};

#[test]
fn a_terminal_shows_the_stalest_workloads() {
    let style = Style {
        width: 120,
        colour: false,
    };
    let text = terminal(&support::proxies(40), style);
    let from = text.find("Proxies behind").expect("a section of its own");
    let section: Vec<&str> = text[from..].split("\n\n").next().unwrap().lines().collect();
    assert!(section[0].ends_with("the 12 stalest of 39"), "{section:?}");
    assert_eq!(section.len(), 3 + 12);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let first = words(section[3]);
    assert!(
        first.starts_with("america/shop/web-39 1,000 39 ± 4"),
        "{first}"
    );
    assert!(first.ends_with("12.5 s 78.0 %"), "{first}");
}

#[test]
fn nothing_is_told_where_nothing_changed() {
    let style = Style {
        width: 80,
        colour: false,
    };
    let summary = support::proxies(1);
    assert!(!terminal(&summary, style).contains("Proxies behind"));
    assert!(!html(&summary, &support::extras()).contains("Proxies behind"));
    let has_chart = |summary| {
        let charts = charts(summary);
        charts.iter().any(|(name, _)| name == "staleness.svg")
    };
    assert!(!has_chart(&summary));
    assert!(has_chart(&support::proxies(2)));
}

#[test]
fn a_table_has_a_row_for_each_workload() {
    let tables = csv(&support::proxies(40));
    let (_, text) = tables
        .iter()
        .find(|(file, _)| *file == "staleness.csv")
        .expect("a table of its own");
    assert_eq!(text.lines().count(), 1 + 40);
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers().unwrap().clone();
    let row = reader.records().nth(10).unwrap().unwrap();
    let field = |name: &str| &row[columns.iter().position(|it| it == name).unwrap()];
    assert_eq!(field("workload"), "web-10");
    assert_eq!(field("behind"), "0.1");
    assert_eq!(field("behind_p90"), "0.15000000000000002");
    assert_eq!(field("stalest"), "web-10-5d8f7-x2k9q");
    let tables = csv(&support::shop());
    assert!(tables.iter().all(|(file, _)| *file != "staleness.csv"));
}

#[test]
fn a_chart_has_room_for_many() {
    let charts = charts(&support::proxies(200));
    let (_, chart) = charts
        .iter()
        .find(|(name, _)| name == "staleness.svg")
        .expect("a chart of its own");
    assert_eq!(chart.matches("america/shop/web-").count(), 24);
}
