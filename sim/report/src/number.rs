//! Numbers for people: units that fit, digits that the interval deserves, never a bare "100 %".
//!
//! A margin keeps one significant digit, or two if it starts with 1 or 2, and its value as many
//! decimals; a value without a margin keeps three significant digits. Shares keep two digits of whichever is smaller, the
//! share or its complement, so that 99.9 % and 99.99 % never look alike.

use cloud::summary::{TrafficSummary, Unit};
use stats::{Estimate, Method};

/// Most decimals ever printed.
const DECIMALS_MAX: usize = 6;
/// Most significant digits of a value, however small its margin.
const SIGNIFICANT_MAX: i32 = 5;
/// An interval this much longer on one side is told by its ends rather than by ±.
const LOPSIDED: f64 = 0.1;
/// What stands where nothing was measured.
pub(crate) const NOTHING: &str = "–";
/// What stands where no honest interval can be given.
pub(crate) const NO_MARGIN: &str = "± ?";

/// A figure with its interval, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    /// The value with its unit: `214 ms`.
    pub value: String,
    /// The interval: `± 3`, `[98.52, 98.90]`, `± ?`, or empty where the value says it all.
    pub margin: String,
    /// Both on one line: `214 ± 3 ms`.
    pub inline: String,
}

impl Figure {
    fn bare(value: String) -> Self {
        Self {
            inline: value.clone(),
            value,
            margin: String::new(),
        }
    }

    fn nothing() -> Self {
        Self::bare(NOTHING.to_owned())
    }

    fn with_margin(value: &str, margin: String, unit: &str) -> Self {
        let inline = if margin.starts_with('±') && margin != NO_MARGIN {
            format!("{value} {margin}{unit}")
        } else {
            format!("{value}{unit} {margin}")
        };
        Self {
            value: format!("{value}{unit}"),
            margin,
            inline,
        }
    }
}

/// A unit, and how many of it make one of the quantity's own.
#[derive(Clone, Copy)]
struct Scale {
    per_one: f64,
    name: &'static str,
}

/// Decimal exponent of a number after rounding to `digits` significant ones.
fn exponent(value: f64, digits: usize) -> i32 {
    let text = format!("{value:.*e}", digits.saturating_sub(1));
    let (_, exponent) = text.split_once('e').unwrap_or(("", "0"));
    exponent.parse().unwrap_or(0)
}

/// Decimals that show `digits` significant digits of a value.
fn decimals(value: f64, digits: usize) -> usize {
    if value == 0.0 {
        return 0;
    }
    let wanted = digits as i32 - 1 - exponent(value, digits);
    usize::try_from(wanted).unwrap_or(0).min(DECIMALS_MAX)
}

/// Decimals that a margin deserves.
fn margin_decimals(margin: f64) -> usize {
    match format!("{margin:.1e}").as_bytes().first() {
        Some(b'1' | b'2') => decimals(margin, 2),
        _ => decimals(margin, 1),
    }
}

/// A number with groups of three digits.
fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) if rest.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) => ("-", rest),
        Some(rest) => ("", rest),
        None => ("", &*text),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (digits, String::new()),
    };
    let mut groups = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            groups.push(',');
        }
        groups.push(digit);
    }
    format!("{sign}{groups}{fraction}")
}

/// A count of things.
pub(crate) fn count(value: u64) -> String {
    grouped(value as f64, 0)
}

/// `1 request`, `2 requests`.
pub(crate) fn counted(value: u64, one: &str) -> String {
    match value {
        1 => format!("1 {one}"),
        _ => format!("{} {one}s", count(value)),
    }
}

/// A number with three significant digits, without the zeros that end it.
pub(crate) fn plain(value: f64) -> String {
    trimmed(grouped(value, decimals(value, 3)))
}

fn trimmed(text: String) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn time_scale(seconds: f64) -> Scale {
    let size = seconds.abs();
    // Rounding to three digits must not reach the next unit: 999.6 µs is 1.00 ms.
    let (per_one, name) = if size == 0.0 || size >= 0.9995 {
        (1.0, " s")
    } else if size >= 0.9995e-3 {
        (1e3, " ms")
    } else {
        (1e6, " µs")
    };
    Scale { per_one, name }
}

/// A latency or wait: `214 ms`, `21.4 ms`, `2.14 s`.
pub(crate) fn duration(seconds: f64) -> String {
    let scale = time_scale(seconds);
    let value = seconds * scale.per_one;
    format!("{}{}", grouped(value, decimals(value, 3)), scale.name)
}

/// A moment or length on the scenario's clock: `45 s`, `2 min 30 s`, `1 h 5 min`.
pub(crate) fn clock(seconds: f64) -> String {
    if seconds < 60.0 {
        let scale = time_scale(seconds);
        return format!("{}{}", plain(seconds * scale.per_one), scale.name);
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    [(hours, "h"), (minutes, "min"), (rest, "s")]
        .iter()
        .filter(|(amount, _)| *amount > 0)
        .map(|(amount, unit)| format!("{amount} {unit}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A latency with its interval.
pub(crate) fn duration_figure(estimate: &Estimate) -> Figure {
    figure(estimate, time_scale(estimate.value))
}

/// A rate per second with its interval.
pub(crate) fn rate_figure(estimate: &Estimate) -> Figure {
    let scale = Scale {
        per_one: 1.0,
        name: "/s",
    };
    figure(estimate, scale)
}

/// A pure number with its interval.
pub(crate) fn number_figure(estimate: &Estimate) -> Figure {
    let scale = Scale {
        per_one: 1.0,
        name: "",
    };
    figure(estimate, scale)
}

/// A share that may well be all, such as a utilization, with its interval.
pub(crate) fn share_figure(estimate: &Estimate) -> Figure {
    let scale = Scale {
        per_one: 100.0,
        name: " %",
    };
    figure(estimate, scale)
}

fn figure(estimate: &Estimate, scale: Scale) -> Figure {
    if estimate.samples == 0 {
        return Figure::nothing();
    }
    let value = estimate.value * scale.per_one;
    let (Some(low), Some(high)) = (estimate.low, estimate.high) else {
        let text = grouped(value, decimals(value, 3));
        return Figure::with_margin(&text, NO_MARGIN.to_owned(), scale.name);
    };
    let (low, high) = (low * scale.per_one, high * scale.per_one);
    let half_width = (high - low) / 2.0;
    if value == 0.0 && estimate.method == Method::ClopperPearson {
        return Figure::bare(format!(
            "≤ {}{}",
            grouped(high, decimals(high, 2)),
            scale.name
        ));
    }
    if half_width == 0.0 {
        return Figure::with_margin(&plain(value), "± 0".to_owned(), scale.name);
    }
    let most = (SIGNIFICANT_MAX - 1 - exponent(value.abs().max(half_width), 3)).max(0);
    let shown = margin_decimals(half_width).min(most as usize);
    let text = grouped(value, shown);
    if (high - value - (value - low)).abs() > LOPSIDED * (high - low) {
        let margin = format!("[{}, {}]", grouped(low, shown), grouped(high, shown));
        return Figure::with_margin(&text, margin, scale.name);
    }
    // A margin below the last digit shown is told as that digit, never as zero.
    let least = 1.0 / 10_u64.pow(shown as u32) as f64;
    let margin = grouped(half_width.max(least), shown);
    Figure::with_margin(&text, format!("± {margin}"), scale.name)
}

/// Decimals of a percentage that show two digits of the smaller of the share and its complement.
fn share_decimals(share: f64) -> usize {
    let smaller = share.min(1.0 - share).max(0.0) * 100.0;
    if smaller == 0.0 {
        return 0;
    }
    decimals(smaller, 2).max(1)
}

/// Cuts a percentage after `decimals` digits, downwards or upwards.
fn percent_towards(share: f64, decimals: usize, up: bool) -> String {
    let scale = 10_u64.pow(decimals as u32) as f64;
    let steps = share * 100.0 * scale;
    // A share that is a whole number of steps up to rounding stays where it is, unless it
    // would become all.
    let nearest = steps.round();
    let cut = if share < 1.0 && !up && nearest >= 100.0 * scale {
        100.0 * scale - 1.0
    } else if (steps - nearest).abs() < 1e-6 {
        nearest
    } else if up {
        steps.ceil()
    } else {
        steps.floor()
    };
    format!("{:.decimals$}", cut / scale)
}

/// A share as a percentage: `98.7 %`, `99.987 %`; `100 %` only of all there is.
pub(crate) fn share(value: f64) -> String {
    let decimals = share_decimals(value);
    let text = format!("{:.decimals$}", value * 100.0);
    if value < 1.0 && text.starts_with("100") {
        return format!("{} %", percent_towards(value, decimals, false));
    }
    format!("{text} %")
}

/// The share of requests answered without error. Nothing failed: the bound that so many
/// requests allow, as `≥ 99.98 %`.
pub(crate) fn availability_figure(traffic: &TrafficSummary, confidence: f64) -> Figure {
    let ended = traffic.requests.saturating_sub(traffic.in_flight);
    if ended > 0 && traffic.succeeded == ended && traffic.availability.low.is_none() {
        let low = 1.0 - stats::rule_of_three(ended, confidence);
        return at_least(low);
    }
    availability_of(&traffic.availability)
}

fn at_least(low: f64) -> Figure {
    if low <= 0.0 {
        return Figure::nothing();
    }
    Figure::bare(format!(
        "≥ {} %",
        percent_towards(low, share_decimals(low), false)
    ))
}

fn at_most(high: f64) -> Figure {
    if high >= 1.0 {
        return Figure::nothing();
    }
    let bound = percent_towards(high, share_decimals(high), true);
    Figure::bare(format!("≤ {bound} %"))
}

fn availability_of(estimate: &Estimate) -> Figure {
    if estimate.samples == 0 {
        return Figure::nothing();
    }
    if estimate.value >= 1.0 {
        return match estimate.low {
            Some(low) => at_least(low),
            None => Figure::bare("no failure seen".to_owned()),
        };
    }
    if let (true, Some(high)) = (
        estimate.value == 0.0,
        estimate.high.filter(|high| *high > 0.0),
    ) {
        return at_most(high);
    }
    let value = share(estimate.value);
    let (Some(low), Some(high)) = (estimate.low, estimate.high) else {
        return Figure::with_margin(value.trim_end_matches(" %"), NO_MARGIN.to_owned(), " %");
    };
    let shown = share_decimals(estimate.value);
    let high = match percent_towards(high, shown, true) {
        text if text.starts_with("100") => "<100".to_owned(),
        text => text,
    };
    let margin = format!("[{}, {high}]", percent_towards(low, shown, false));
    Figure::with_margin(value.trim_end_matches(" %"), margin, " %")
}

/// What was found, in its unit.
pub(crate) fn found(found: Option<&Estimate>, unit: Unit) -> String {
    let Some(estimate) = found else {
        return "nothing measured".to_owned();
    };
    match unit {
        Unit::Share => availability_of(estimate),
        Unit::Time => duration_figure(estimate),
        Unit::Rate => rate_figure(estimate),
        Unit::Count => number_figure(estimate),
    }
    .inline
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(value: f64, low: f64, high: f64) -> Estimate {
        Estimate {
            value,
            low: Some(low),
            high: Some(high),
            samples: 20,
            method: Method::StudentT,
        }
    }

    #[test]
    fn durations_choose_their_unit() {
        let cases = [
            (0.0, "0 s"),
            (250e-9, "0.250 µs"),
            (41.26e-6, "41.3 µs"),
            (999.6e-6, "1.00 ms"),
            (0.0214, "21.4 ms"),
            (0.214, "214 ms"),
            (0.9996, "1.00 s"),
            (12.345, "12.3 s"),
            (1234.5, "1,234 s"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn clocks_read_as_people_say() {
        let cases = [
            (0.0, "0 s"),
            (0.5, "500 ms"),
            (45.0, "45 s"),
            (150.0, "2 min 30 s"),
            (1200.0, "20 min"),
            (3900.0, "1 h 5 min"),
            (7200.0, "2 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(clock(seconds), text);
        }
    }

    #[test]
    fn margins_decide_the_digits() {
        let cases = [
            ((0.214, 0.2109, 0.2171), "214 ± 3 ms"),
            ((0.214, 0.114, 0.314), "214 ± 100 ms"),
            ((0.000_12, 0.000_11, 0.000_13), "120 ± 10 µs"),
            ((74.13, 71.8, 76.46), "74.1 ± 2.3 s"),
            ((0.123_456_7, 0.123_456_6, 0.123_456_8), "123.46 ± 0.01 ms"),
            ((0.05, 0.0, 0.2), "50 ms [0, 200]"),
            ((3.0, 3.0, 3.0), "3 ± 0 s"),
        ];
        for ((value, low, high), text) in cases {
            assert_eq!(duration_figure(&estimate(value, low, high)).inline, text);
        }
    }

    #[test]
    fn what_has_no_interval_says_so() {
        assert_eq!(duration_figure(&Estimate::point(0.82)).inline, "820 ms ± ?");
        let nothing = Estimate {
            samples: 0,
            ..Estimate::point(0.0)
        };
        assert_eq!(duration_figure(&nothing).inline, "–");
    }

    #[test]
    fn what_never_happened_has_a_bound() {
        let never = Estimate {
            method: Method::ClopperPearson,
            ..estimate(0.0, 0.0, 0.000_001_4)
        };
        assert_eq!(share_figure(&never).inline, "≤ 0.00014 %");
    }

    #[test]
    fn shares_keep_their_nines() {
        let cases = [
            (0.0, "0 %"),
            (0.5, "50.0 %"),
            (0.9871, "98.7 %"),
            (0.99871, "99.87 %"),
            (0.999_987, "99.9987 %"),
            (0.999_999_999_9, "99.999999 %"),
            (1.0, "100 %"),
            (0.0012, "0.12 %"),
        ];
        for (value, text) in cases {
            assert_eq!(share(value), text);
        }
    }

    #[test]
    fn no_share_below_one_reads_as_all() {
        for nines in 1..16 {
            let value = 1.0 - power_of_ten(-nines);
            assert!(!share(value).starts_with("100"), "{value}");
            let found = availability_of(&estimate(value, value, 1.0)).inline;
            assert!(!found.contains(" 100"), "{found}");
        }
    }

    fn power_of_ten(exponent: i32) -> f64 {
        format!("1e{exponent}").parse().unwrap()
    }

    #[test]
    fn availability_is_an_interval_or_a_bound() {
        let cases = [
            ((0.9871, 0.9852, 0.989), "98.7 % [98.5, 98.9]"),
            ((0.9995, 0.999, 1.0), "99.950 % [99.900, <100]"),
            ((1.0, 0.999_812, 1.0), "≥ 99.981 %"),
            ((0.0, 0.0, 0.000_313), "≤ 0.032 %"),
            ((0.0, 0.0, 0.0), "0 % [0, 0]"),
        ];
        for ((value, low, high), text) in cases {
            assert_eq!(availability_of(&estimate(value, low, high)).inline, text);
        }
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "request"), "1 request");
        assert_eq!(counted(12_000, "request"), "12,000 requests");
    }
}
