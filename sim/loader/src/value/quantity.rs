//! Kubernetes quantities: `500m`, `2`, `1.5Gi`, `12e6`.
//!
//! Source: k8s.io/apimachinery/pkg/api/resource/quantity.go: a signed decimal number with a
//! binary suffix (Ki to Ei), a decimal suffix (n to E), or a decimal exponent; what is finer
//! than 1e-9 is rounded up.

use crate::shape::Format;

/// A quantity.
pub static QUANTITY: Format = Format {
    name: "a quantity",
    examples: "`500m`, `2`, `1.5`, `64Mi`, `2Gi`",
    pattern: r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$",
    check: |text| parse_quantity(text).map(drop),
};

/// An amount, exactly, in units of 1e-9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    nano: i128,
}

impl Quantity {
    /// In thousandths, rounded up; zero if negative.
    pub fn milli(self) -> u64 {
        self.rounded_up(1_000_000)
    }

    /// In whole units, rounded up; zero if negative.
    pub fn whole(self) -> u64 {
        self.rounded_up(1_000_000_000)
    }

    fn rounded_up(self, unit: i128) -> u64 {
        u64::try_from((self.nano.max(0) + unit - 1) / unit).unwrap_or(u64::MAX)
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.nano < 0
    }
}

/// Reads a quantity.
pub fn parse_quantity(text: &str) -> Result<Quantity, String> {
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let end = unsigned
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err("a number is missing".to_owned());
    }
    if fraction.contains('.') {
        return Err("it has two points".to_owned());
    }
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let mantissa: i128 = if digits.is_empty() {
        0
    } else {
        digits.parse().map_err(|_| too_great())?
    };
    let (factor, exponent) = scale(suffix)?;
    let nano = scaled(mantissa, factor, exponent + 9 - fraction.len() as i32)?;
    Ok(Quantity {
        nano: if negative { -nano } else { nano },
    })
}

/// The factor and the power of ten that a suffix stands for.
fn scale(suffix: &str) -> Result<(i128, i32), String> {
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(power) = binary.iter().position(|name| *name == suffix) {
        return Ok((1 << (10 * (power + 1)), 0));
    }
    let exponent = match suffix {
        "" => 0,
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        _ => suffix
            .strip_prefix(['e', 'E'])
            .filter(|digits| digits.len() <= 4)
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| format!("its suffix `{suffix}` is unknown"))?,
    };
    Ok((1, exponent))
}

/// `mantissa * factor * 10^exponent`, rounded up.
fn scaled(mantissa: i128, factor: i128, exponent: i32) -> Result<i128, String> {
    let value = mantissa.checked_mul(factor).ok_or_else(too_great)?;
    if value == 0 {
        return Ok(0);
    }
    let power = 10_i128.checked_pow(exponent.unsigned_abs());
    if exponent >= 0 {
        return power
            .and_then(|power| value.checked_mul(power))
            .ok_or_else(too_great);
    }
    Ok(power.map_or(1, |power| (value - 1) / power + 1))
}

fn too_great() -> String {
    "it is too great".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_exact() {
        let cases: &[(&str, u64, u64)] = &[
            ("500m", 500, 1),
            ("2", 2000, 2),
            ("0.1", 100, 1),
            (".5", 500, 1),
            ("1.", 1000, 1),
            ("1.5Gi", 1_610_612_736_000, 1_610_612_736),
            ("1Ki", 1_024_000, 1024),
            ("1k", 1_000_000, 1000),
            ("12e6", 12_000_000_000, 12_000_000),
            ("1E3", 1_000_000, 1000),
            ("1E", u64::MAX, 1_000_000_000_000_000_000),
            ("1e-3", 1, 1),
            ("100n", 1, 1),
            ("0", 0, 0),
            ("-5", 0, 0),
            ("0.0000000001", 1, 1),
            ("+1", 1000, 1),
        ];
        for (text, milli, whole) in cases {
            let quantity = parse_quantity(text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
            assert_eq!(quantity.whole(), *whole, "{text}");
            if *milli != u64::MAX {
                assert_eq!(quantity.milli(), *milli, "{text}");
            }
        }
        for bad in [
            "",
            "m",
            "1.2.3",
            "1ki",
            "1KB",
            "1 Gi",
            "ten",
            "1e",
            "1e99999",
            "--1",
            "1K",
            "9".repeat(60).as_str(),
        ] {
            assert!(parse_quantity(bad).is_err(), "{bad}");
        }
    }
}
