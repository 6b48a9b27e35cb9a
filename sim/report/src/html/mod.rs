//! A report as one HTML page that needs nothing else: no script, no font, no picture from
//! elsewhere. The first screen answers the question.

mod page;

use crate::Extras;
use crate::chart::{CHARTS, dark_rules};
use crate::json::SCHEMA;
use cloud::summary::Summary;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value, context};

const TEMPLATE: &str = include_str!("report.html");
const STYLE: &str = include_str!("report.css");

/// The page. All text from the summary and the extras is escaped.
pub fn html(summary: &Summary, extras: &Extras) -> String {
    let figures: Vec<_> = CHARTS
        .iter()
        .filter_map(|chart| {
            let drawing = (chart.draw)(summary)?;
            Some(context! {
                name => chart.name,
                heading => chart.heading,
                caption => chart.caption,
                svg => drawing.inline(),
            })
        })
        .collect();
    let style = format!(
        "{STYLE}@media screen and (prefers-color-scheme:dark){{{}}}\n",
        dark_rules("figure svg ")
    );
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let values = context! {
        schema => SCHEMA,
        style => style,
        figures => figures,
        extras => Value::from(Serde(extras)),
        ledger => page::ledger(&extras.ledger),
        ..page::values(summary)
    };
    let page = environment
        .render_str(TEMPLATE, values)
        .expect("the template is part of the program and takes every summary");
    // No name may bring control characters into the page.
    page.chars()
        .filter(|character| *character == '\n' || !character.is_control())
        .collect()
}
