//! The JSON document is one, versioned, complete and stable.

use crate::support;
use hybridsim_report::json;
use serde_json::Value;

fn parsed(summary: &cloud::summary::Summary) -> Value {
    serde_json::from_str(&json(summary, &support::extras())).unwrap()
}

#[test]
fn keys_stand_in_their_order() {
    let document = parsed(&support::shop());
    let keys: Vec<&str> = document
        .as_object()
        .unwrap()
        .keys()
        .map(|key| &**key)
        .collect();
    insta::assert_snapshot!(keys.join(" "));
}

#[test]
fn the_head_says_where_it_comes_from() {
    let text = json(&support::shop(), &support::extras());
    let head: Vec<&str> = text.lines().take(20).collect();
    insta::assert_snapshot!(head.join("\n"));
}

#[test]
fn estimates_keep_their_intervals() {
    let summary = support::shop();
    let document = parsed(&summary);
    let p99 = &document["traffic"][1]["latency"]["p99"];
    let estimate = summary.traffic[1].latency.p99;
    assert_eq!(p99["value"].as_f64(), Some(estimate.value));
    assert_eq!(p99["low"].as_f64(), estimate.low);
    assert_eq!(p99["high"].as_f64(), estimate.high);
    assert_eq!(p99["method"], "sectioning");
}

#[test]
fn the_same_summary_gives_the_same_bytes() {
    let write = || json(&support::hostile(), &support::extras());
    assert_eq!(write(), write());
    assert!(write().ends_with("}\n"));
}

#[test]
fn not_a_number_becomes_null() {
    let mut summary = support::shop();
    summary.traffic[0].latency.max = f64::NAN;
    assert_eq!(
        parsed(&summary)["traffic"][0]["latency"]["max"],
        Value::Null
    );
}
