//! CSV files are rectangular, bring their numbers back and survive every name.

use crate::support;
use hybridsim_report::csv;

fn table(name: &str, summary: &cloud::summary::Summary) -> String {
    let tables = csv(summary);
    let (_, text) = tables.iter().find(|(file, _)| *file == name).unwrap();
    text.clone()
}

fn head(text: &str, lines: usize) -> String {
    text.lines().take(lines).collect::<Vec<_>>().join("\n")
}

#[test]
fn tables_begin_as_told() {
    let summary = support::shop();
    insta::assert_snapshot!(
        ["summary.csv", "series.csv", "calls.csv", "workloads.csv"]
            .map(|file| format!("{file}\n{}", head(&table(file, &summary), 4)))
            .join("\n\n")
    );
}

#[test]
fn releases_have_a_table_where_there_are_some() {
    let text = table("canaries.csv", &support::releases());
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows.len(), 3);
    assert!(rows[1].starts_with("new prices,america,prices,v1,v2,bad,1,18,1,0.05,"));
    assert!(rows[2].starts_with("new colours,america,prices,v1,v2,,20,0,0,,,,,,,"));
    let tables = csv(&support::shop());
    assert!(tables.iter().all(|(file, _)| *file != "canaries.csv"));
}

#[test]
fn ztunnels_have_a_table_where_there_are_some() {
    let text = table("ztunnels.csv", &support::ambient());
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows.len(), 2);
    assert!(rows[1].starts_with("america,a-1,0.25,"), "{}", rows[1]);
    let tables = csv(&support::shop());
    assert!(tables.iter().all(|(file, _)| *file != "ztunnels.csv"));
}

#[test]
fn every_row_has_every_column() {
    for summary in [
        support::releases(),
        support::ambient(),
        support::hostile(),
        support::silence(),
    ] {
        for (file, text) in csv(&summary) {
            let mut reader = ::csv::Reader::from_reader(text.as_bytes());
            let columns = reader.headers().unwrap().len();
            for record in reader.records() {
                assert_eq!(record.unwrap().len(), columns, "{file}");
            }
        }
    }
}

#[test]
fn numbers_come_back_exactly() {
    let summary = support::shop();
    let text = table("series.csv", &summary);
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let rates: Vec<f64> = reader
        .records()
        .map(|record| record.unwrap()[2].parse().unwrap())
        .collect();
    let expected: Vec<f64> = summary
        .traffic
        .iter()
        .flat_map(|traffic| traffic.series.iter().map(|point| point.rate))
        .collect();
    assert_eq!(rates, expected);
}

#[test]
fn what_was_not_measured_is_empty() {
    let text = table("summary.csv", &support::silence());
    assert!(
        text.contains("traffic,frankfurt,latency p99,s,,,,0,point-only"),
        "{text}"
    );
}

#[test]
fn no_name_is_a_formula() {
    let mut summary = support::shop();
    summary.traffic[0].name = "=HYPERLINK(\"x\")".to_owned();
    assert!(table("series.csv", &summary).contains("\"'=HYPERLINK(\"\"x\"\")\",0,"));
}
