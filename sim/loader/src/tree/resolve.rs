//! What a plain scalar means to Kubernetes.

/// What a scalar is taken for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScalarKind {
    /// Empty, `~`, `null`.
    Null,
    /// `true`, `yes`, `on`, `y` and their opposites.
    Bool(bool),
    /// Decimal, `0x`, `0o`, `0b`, or octal by a leading zero.
    Integer(i64),
    /// A number with a point, an exponent, or too great for an integer.
    Float(f64),
    /// Anything else, and everything in quotes or in a block.
    String,
}

/// Takes a plain scalar for what it is.
pub fn resolve(text: &str) -> ScalarKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => ScalarKind::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            ScalarKind::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            ScalarKind::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" => ScalarKind::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => ScalarKind::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => ScalarKind::Float(f64::NEG_INFINITY),
        _ if text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) => {
            integer(text)
                .map(ScalarKind::Integer)
                .or_else(|| float(text).map(ScalarKind::Float))
                .unwrap_or(ScalarKind::String)
        }
        _ => ScalarKind::String,
    }
}

fn integer(text: &str) -> Option<i64> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, &plain[..]),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

fn float(text: &str) -> Option<f64> {
    let plain = text.replace('_', "");
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && all_digits(exponent)
    });
    let has_digits = !(whole.is_empty() && fraction.is_empty());
    (has_digits && exponent_fits && all_digits(whole) && all_digits(fraction))
        .then(|| plain.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_kubernetes_takes_them_for() {
        let cases: &[(&str, ScalarKind)] = &[
            ("", ScalarKind::Null),
            ("~", ScalarKind::Null),
            ("yes", ScalarKind::Bool(true)),
            ("NO", ScalarKind::Bool(false)),
            ("on", ScalarKind::Bool(true)),
            ("truE", ScalarKind::String),
            ("0644", ScalarKind::Integer(420)),
            ("0o17", ScalarKind::Integer(15)),
            ("0x1F", ScalarKind::Integer(31)),
            ("0b101", ScalarKind::Integer(5)),
            ("-12", ScalarKind::Integer(-12)),
            ("1_000", ScalarKind::Integer(1000)),
            ("0", ScalarKind::Integer(0)),
            ("089", ScalarKind::Float(89.0)),
            ("1.10", ScalarKind::Float(1.1)),
            ("1e3", ScalarKind::Float(1000.0)),
            (".5", ScalarKind::Float(0.5)),
            ("1.2.3", ScalarKind::String),
            ("1e", ScalarKind::String),
            (".", ScalarKind::String),
            ("-", ScalarKind::String),
            ("2024-01-01", ScalarKind::String),
            ("12:30", ScalarKind::String),
            ("9223372036854775807", ScalarKind::Integer(i64::MAX)),
            ("-9223372036854775808", ScalarKind::Integer(i64::MIN)),
            (
                "9223372036854775808",
                ScalarKind::Float(9.223_372_036_854_776e18),
            ),
            ("100m", ScalarKind::String),
        ];
        for (text, expected) in cases {
            assert_eq!(resolve(text), *expected, "{text:?}");
        }
    }
}
