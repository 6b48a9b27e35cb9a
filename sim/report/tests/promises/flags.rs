//! Response flags: what went wrong is shown, the most frequent first; what went well only in
//! tables that hold everything.

use crate::support;
use cloud::summary::{FlagSummary, Summary};
use hybridsim_report::{Style, csv, terminal};

fn row(
    version: Option<&str>,
    (status, flags): (u16, &str),
    (count, share): (u64, f64),
) -> FlagSummary {
    FlagSummary {
        reporter: "source",
        source: "east/shop/cart".to_owned(),
        destination: "east/shop/web".to_owned(),
        version: version.map(str::to_owned),
        status,
        flags: flags.to_owned(),
        meaning: "why".to_owned(),
        count,
        share,
    }
}

fn flagged() -> Summary {
    let mut summary = support::shop();
    summary.flags = vec![
        row(Some("v1"), (200, "-"), (980, 0.98)),
        row(Some("v1"), (503, "URX,UF"), (20, 0.02)),
        row(None, (503, "UH"), (50, 1.0)),
    ];
    summary
}

#[test]
fn a_terminal_shows_what_went_wrong() {
    let style = Style {
        width: 120,
        colour: false,
    };
    let text = terminal(&flagged(), style);
    let from = text.find("Response flags").expect("a section of its own");
    let section: Vec<&str> = text[from..].lines().skip(3).take(2).collect();
    let words = section
        .iter()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!(
        words.collect::<Vec<_>>(),
        [
            "source east/shop/cart east/shop/web 503 UH 50 (100 %)",
            "source east/shop/cart east/shop/web v1 503 URX,UF 20 (2.0 %)",
        ]
    );
}

#[test]
fn a_table_holds_everything() {
    let tables = csv(&flagged());
    let (_, text) = tables
        .iter()
        .find(|(file, _)| *file == "flags.csv")
        .expect("a table");
    let expected = "reporter,source,destination,version,status,flags,requests,share
source,east/shop/cart,east/shop/web,v1,200,-,980,0.98
source,east/shop/cart,east/shop/web,v1,503,\"URX,UF\",20,0.02
source,east/shop/cart,east/shop/web,,503,UH,50,1
";
    assert_eq!(text, expected);
    let without = csv(&support::shop());
    assert!(without.iter().all(|(file, _)| *file != "flags.csv"));
}
