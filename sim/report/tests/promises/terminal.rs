//! The terminal report reads well, fits its width and says nothing twice.

use crate::support;
use hybridsim_report::{Style, terminal};

fn plain(width: usize) -> Style {
    Style {
        width,
        colour: false,
    }
}

#[test]
fn reads_at_80_columns() {
    insta::assert_snapshot!(terminal(&support::shop(), plain(80)));
}

#[test]
fn reads_at_120_columns() {
    insta::assert_snapshot!(terminal(&support::shop(), plain(120)));
}

#[test]
fn warns_about_a_short_run() {
    insta::assert_snapshot!(terminal(&support::queue(), plain(80)));
}

#[test]
fn has_nothing_to_say_about_silence() {
    insta::assert_snapshot!(terminal(&support::silence(), plain(80)));
}

#[test]
fn tells_how_releases_ended_and_whom_they_harmed() {
    let text = terminal(&support::releases(), plain(120));
    let lines: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("Canary releases"))
        .skip(1)
        .take(4)
        .map(str::trim)
        .collect();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(lines[0]).starts_with("release ended wrong verdicts time to detect"));
    assert_eq!(
        words(lines[2]),
        "new prices promoted 1, rolled back 18, undecided 1 5 % [0, 25] 94 ± 9 s 20.6 ± 2.1 134 ± 13 %"
    );
    assert_eq!(
        words(lines[3]),
        "new colours promoted 20 truth not said never 20.6 ± 2.1 no promise"
    );
}

#[test]
fn tells_how_busy_ztunnels_were() {
    let text = terminal(&support::ambient(), plain(120));
    let mut lines = text
        .lines()
        .skip_while(|line| !line.starts_with("Ztunnels"))
        .skip(1);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let header = lines.next().map(words);
    assert_eq!(
        header.as_deref(),
        Some("node busy wait wait p99 opened taken tunnels")
    );
    let row = lines.nth(1).map(words);
    let expected =
        "america/a-1 25.0 ± 0.5 % 12.0 ± 1.2 µs 150 ± 15 µs 120 ± 6/s 80 ± 4/s 0.50 ± 0.10/s";
    assert_eq!(row.as_deref(), Some(expected));
}

#[test]
fn fits_its_width() {
    let summaries = [
        support::shop(),
        support::queue(),
        support::silence(),
        support::crowd(),
        support::releases(),
        support::proxies(40),
    ];
    for summary in summaries {
        for width in [80, 100, 120, 200] {
            let text = terminal(&summary, plain(width));
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= width, "{longest} of {width} columns:\n{text}");
        }
    }
}

#[test]
fn colours_only_when_asked() {
    let summary = support::hostile();
    assert!(!terminal(&summary, plain(80)).contains('\u{1b}'));
    let coloured = terminal(
        &summary,
        Style {
            width: 80,
            colour: true,
        },
    );
    assert!(coloured.contains("\u{1b}[1;31m✗ missed"));
    assert!(
        !coloured.contains("\u{1b}[31m"),
        "a name brought its own colour"
    );
}

#[test]
fn never_claims_a_hundred_percent_availability() {
    for width in [80, 120] {
        let text = terminal(&support::shop(), plain(width));
        assert!(!text.contains("100 %"), "{text}");
        assert!(text.contains("≥ 99.99"), "{text}");
    }
}
