//! Charts and pages are well formed, self-contained, deterministic and inside their frames.

use crate::support;
use cloud::summary::Summary;
use hybridsim_report::{charts, html};

fn page(summary: &Summary) -> String {
    html(summary, &support::extras())
}

fn all() -> [Summary; 6] {
    [
        support::shop(),
        support::queue(),
        support::silence(),
        support::hostile(),
        support::crowd(),
        support::proxies(40),
    ]
}

fn names(summary: &Summary) -> Vec<String> {
    charts(summary).into_iter().map(|(name, _)| name).collect()
}

/// The tags of a document: name and the text between the angle brackets.
fn tags(svg: &str) -> impl Iterator<Item = (&str, &str)> {
    svg.split('<').skip(1).map(|rest| {
        let (inside, _) = rest.split_once('>').expect("every tag ends");
        let end = inside.find([' ', '\n', '/']).unwrap_or(inside.len());
        (&inside[..end], inside)
    })
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

#[test]
fn charts_exist_where_there_is_something_to_show() {
    let everything = [
        "over-time.svg",
        "recovery.svg",
        "percentiles.svg",
        "utilization.svg",
        "topology.svg",
    ];
    assert_eq!(names(&support::shop()), everything);
    let silent = ["over-time.svg", "utilization.svg", "topology.svg"];
    assert_eq!(names(&support::silence()), silent);
    let mut empty = support::silence();
    empty.traffic[0].series.clear();
    empty.workloads.clear();
    empty.topology.clusters.clear();
    assert!(names(&empty).is_empty());
}

#[test]
fn charts_are_well_formed() {
    for (name, svg) in all().iter().flat_map(charts) {
        let mut open = Vec::new();
        for (tag, inside) in tags(&svg) {
            if tag.is_empty() {
                let closed = inside.trim_start_matches('/');
                assert_eq!(open.pop(), Some(closed), "{name}");
            } else if !inside.ends_with('/') {
                open.push(tag);
            }
        }
        assert!(open.is_empty(), "{name}: {open:?}");
    }
}

#[test]
fn charts_stay_inside_their_frames() {
    for (name, svg) in all().iter().flat_map(charts) {
        let (_, head) = tags(&svg).next().unwrap();
        let size: Vec<f64> = attribute(head, "viewBox")
            .unwrap()
            .split(' ')
            .map(|number| number.parse().unwrap())
            .collect();
        let inside = |x: f64, y: f64| {
            assert!(
                (0.0..=size[2]).contains(&x) && (0.0..=size[3]).contains(&y),
                "{name}: {x}, {y} of {size:?}"
            );
        };
        let number = |tag, name| attribute(tag, name).map(|value| value.parse::<f64>().unwrap());
        for (tag, text) in tags(&svg) {
            if let (Some(x), Some(y)) = (number(text, "x"), number(text, "y")) {
                inside(x, y);
                let (width, height) = (number(text, "width"), number(text, "height"));
                inside(x + width.unwrap_or(0.0), y + height.unwrap_or(0.0));
            }
            for point in attribute(text, "points")
                .unwrap_or_default()
                .split_whitespace()
            {
                let (x, y) = point.split_once(',').unwrap();
                inside(x.parse().unwrap(), y.parse().unwrap());
            }
            assert!(
                !text.contains("NaN") && !text.contains("inf"),
                "{name}: {tag}"
            );
        }
    }
}

#[test]
fn text_ends_before_the_edge() {
    for (name, svg) in all().iter().flat_map(charts) {
        for piece in svg.split("<text").skip(1) {
            let (head, rest) = piece.split_once('>').unwrap();
            let text = rest.split_once("</text>").unwrap().0.trim();
            let text = ["&lt;", "&gt;", "&amp;", "&quot;", "&apos;"]
                .iter()
                .fold(text.to_owned(), |text, entity| text.replace(entity, "x"));
            let head = format!(" {head}");
            let number = |name| attribute(&head, name).unwrap().parse::<f64>().unwrap();
            let width = 0.5 * number("font-size") * text.chars().count() as f64;
            let (left, right) = match attribute(&head, "text-anchor") {
                Some("end") => (number("x") - width, number("x")),
                Some("middle") => (number("x") - width / 2.0, number("x") + width / 2.0),
                _ => (number("x"), number("x") + width),
            };
            assert!(left >= 0.0 && right <= 6400.0, "{name}: {text}");
        }
    }
}

#[test]
fn the_same_summary_gives_the_same_bytes() {
    assert!(page(&support::shop()) == page(&support::shop()));
    assert!(charts(&support::crowd()) == charts(&support::crowd()));
}

#[test]
fn nothing_comes_from_elsewhere() {
    for summary in all() {
        let page = page(&summary);
        for forbidden in [
            "<script", "<link", "<img", " src=", " href=", "@import", "url(",
        ] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }
}

#[test]
fn names_are_text_and_nothing_else() {
    let summary = support::hostile();
    let page = page(&summary);
    assert!(page.contains("&lt;script&gt;alert("), "names are shown");
    assert!(page.contains("{{7*7}}"), "names are not templates");
    let pictures = charts(&summary);
    for text in pictures.iter().map(|(_, svg)| svg).chain([&page]) {
        assert!(!text.contains("<script"));
        let control = |character: char| character.is_control() && character != '\n';
        assert!(!text.contains(control));
    }
}

#[test]
fn the_answer_stands_before_everything_else() {
    let page = page(&support::shop());
    let places: Vec<usize> = [
        "What do its users see",
        "Answer: 1 missed, 1 undecided, 2 met",
        "≥ 99.9982 %",
        "<dt>over after</dt><dd>46 ± 3 s",
        "<svg",
        "<h2>Users</h2>",
        "<h2>Provenance</h2>",
    ]
    .iter()
    .map(|part| {
        page.find(part)
            .unwrap_or_else(|| panic!("{part} is missing"))
    })
    .collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn assumptions_and_ignored_fields_are_shown() {
    let page = page(&support::shop());
    for part in [
        "Access networks of users add 10 ms of round trip.",
        "default.workers",
        "memory does not run out",
        "did you mean `strategy`?",
        "2 modelled, 2 approximated, 2 ignored, 2 unknown",
        "hybridsim run region-loss.yaml --seed 42",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let mut extras = support::extras();
    extras.ledger = serde_json::Value::Null;
    assert!(!html(&support::shop(), &extras).contains("Fields of the manifests"));
}
