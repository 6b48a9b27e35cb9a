//! Durations as Go writes them: `250us`, `5ms`, `1h30m`, `1.5s`.

use crate::shape::Format;
use engine::Duration;

/// A duration.
pub static DURATION: Format = Format {
    name: "a duration",
    examples: "`250us`, `5ms`, `30s`, `1h30m`",
    pattern: r"^(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d))+)$",
    check: |text| parse_duration(text).map(drop),
};

const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Reads a duration, exactly to the nanosecond (what is finer is cut off).
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.starts_with(['-', '\u{2212}']) {
        return Err("it is negative".to_owned());
    }
    let (mut rest, mut total) = (text, 0_u64);
    while !rest.is_empty() {
        let digits = rest
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|letter: char| letter.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let part = part_nanoseconds(number, unit)?;
        total = total.checked_add(part).ok_or_else(too_long)?;
        rest = tail;
    }
    Ok(Duration::from_nanos(total))
}

fn part_nanoseconds(number: &str, unit: &str) -> Result<u64, String> {
    if number.is_empty() {
        return Err("a number is missing".to_owned());
    }
    if unit.is_empty() {
        return Err("the unit is missing".to_owned());
    }
    let (_, scale) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or("its unit is none of ns, us, ms, s, m, h, d")?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole
        .parse()
        .map_err(|_| "its number cannot be read".to_owned())?;
    // Digits beyond the eighteenth are far below a nanosecond even for days.
    let fraction = &fraction[..fraction.len().min(18)];
    let digits: u128 = fraction
        .parse()
        .map_err(|_| "its number cannot be read".to_owned())?;
    let fine = digits * u128::from(*scale) / 10_u128.pow(fraction.len() as u32);
    whole
        .checked_mul(*scale)
        .and_then(|nanoseconds| nanoseconds.checked_add(fine as u64))
        .ok_or_else(too_long)
}

fn too_long() -> String {
    "it is longer than 500 years".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        let cases = [
            ("0", 0),
            ("250us", 250_000),
            ("5ms", 5_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            ("0.1ms", 100_000),
            ("1.000000001s", 1_000_000_001),
            ("2d", 172_800_000_000_000),
            ("3µs", 3_000),
        ];
        for (text, nanoseconds) in cases {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_nanos(nanoseconds)),
                "{text}"
            );
        }
        for bad in [
            "",
            "5",
            "ms",
            "-1s",
            "1x",
            "1.2.3s",
            "99999999999999999999s",
            "600000d",
            "1 s",
            "1.s",
            "1.s5",
            "é",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_duration("-1m"), Err("it is negative".to_owned()));
    }
}
