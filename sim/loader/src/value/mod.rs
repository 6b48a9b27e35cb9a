//! Forms of text that stand for values: quantities, durations, percentages.

mod duration;
mod quantity;

pub use duration::{DURATION, parse_duration};
pub use quantity::{QUANTITY, Quantity, parse_quantity};

use crate::shape::{Format, Kind};
use crate::tree::Node;

/// An integer or a name, as a `targetPort` is.
pub const INTEGER_OR_TEXT: Kind = Kind::Either(&[crate::shape::INTEGER, Kind::Text]);

/// An integer or a percentage, as `maxUnavailable` is.
pub const INTEGER_OR_PERCENT: Kind = Kind::Either(&[crate::shape::NATURAL, Kind::Format(&PERCENT)]);

/// What [`INTEGER_OR_TEXT`] takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IntegerOrText {
    /// A number.
    Integer(i64),
    /// A name.
    Text(String),
}

impl IntegerOrText {
    /// Reads a checked node.
    pub fn read(node: &Node) -> Option<IntegerOrText> {
        match node.integer() {
            Some(number) => Some(IntegerOrText::Integer(number)),
            None => node.str().map(|text| IntegerOrText::Text(text.to_owned())),
        }
    }
}

/// A percentage such as `25%`.
pub static PERCENT: Format = Format {
    name: "a percentage",
    examples: "`25%`",
    pattern: r"^[0-9]+(\.[0-9]+)?%$",
    check: |text| parse_percent(text).map(drop),
};

/// The share that a percentage stands for: 0.25 for `25%`.
pub fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text
        .strip_suffix('%')
        .ok_or("it does not end in `%`")?
        .trim_end();
    let value = parse_decimal(number).ok_or("what stands before `%` is no number")?;
    if value > 1e9 {
        Err("it is too great".to_owned())
    } else {
        Ok(value / 100.0)
    }
}

/// A plain decimal number without sign or exponent.
pub fn parse_decimal(text: &str) -> Option<f64> {
    let fits = text.len() <= 40
        && text.bytes().any(|letter| letter.is_ascii_digit())
        && text
            .bytes()
            .all(|letter| letter.is_ascii_digit() || letter == b'.');
    if fits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages() {
        assert_eq!(parse_percent("25%"), Ok(0.25));
        assert_eq!(parse_percent("0.5%"), Ok(0.005));
        for bad in ["25", "%", "-1%", "1e3%", "..%"] {
            assert!(parse_percent(bad).is_err(), "{bad}");
        }
    }
}
