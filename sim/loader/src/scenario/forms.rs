//! Forms of values that only a Scenario has: rates, shares, sizes, bandwidths, taints, versions.

use crate::shape::Format;
use crate::tree::Node;
use crate::value::{parse_decimal, parse_duration, parse_percent, parse_quantity};
use cloud::scenario::{Taint, TaintEffect};
use engine::Duration;

/// Requests per time.
pub(crate) static RATE: Format = Format {
    name: "a rate",
    examples: "`300/s`, `20/m`, `1.5` (per second)",
    pattern: r"^[0-9]+(\.[0-9]+)?(/(s|m|h))?$",
    check: |text| parse_rate(text).map(drop),
};

/// A part of a whole.
pub(crate) static SHARE: Format = Format {
    name: "a share",
    examples: "`1%`, `0.01`",
    pattern: r"^([0-9]+(\.[0-9]+)?%|[01](\.[0-9]+)?|\.[0-9]+)$",
    check: |text| parse_share(text).map(drop),
};

/// Bytes of a payload.
pub(crate) static SIZE: Format = Format {
    name: "a size",
    examples: "`4kB`, `4KiB`, `512` (bytes)",
    pattern: r"^[0-9]+(\.[0-9]+)?([kKMGT]i?)?B?$",
    check: |text| parse_size(text).map(drop),
};

/// Bits per second.
pub(crate) static BANDWIDTH: Format = Format {
    name: "a bandwidth",
    examples: "`100Mbit`, `1Gbit` (per second)",
    pattern: r"^[0-9]+(\.[0-9]+)?[kMGT]?bit$",
    check: |text| parse_bandwidth(text).map(drop),
};

/// A taint as `kubectl taint` takes it.
pub(crate) static TAINT: Format = Format {
    name: "a taint",
    examples: "`dedicated=gpu:NoSchedule`, `spot:PreferNoSchedule`",
    pattern: r"^[^=:]+(=[^=:]*)?:(NoSchedule|PreferNoSchedule|NoExecute)$",
    check: |text| parse_taint(text).map(drop),
};

/// A minor version of Kubernetes.
pub(crate) static KUBERNETES_VERSION: Format = Format {
    name: "a version of Kubernetes",
    examples: "`\"1.33\"`",
    pattern: r"^v?1\.[0-9]{1,2}(\.[0-9]+)?$",
    check: |text| parse_kubernetes_minor(text).map(drop),
};

/// A minor version of Istio.
pub(crate) static ISTIO_VERSION: Format = Format {
    name: "a version of Istio",
    examples: "`\"1.30\"`",
    pattern: r"^v?1\.[0-9]{1,2}(\.[0-9]+)?$",
    check: |text| parse_istio_minor(text).map(drop),
};

/// What a measure is compared with: a duration, a share, a rate or a number.
pub(crate) static AMOUNT: Format = Format {
    name: "a duration, a share, a rate or a number",
    examples: "`300ms`, `99.9%`, `250/s`, `1.2`",
    pattern: r"^[0-9.]+.*$",
    check: |text| parse_amount(text).map(drop),
};

/// An amount with what its unit says about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Amount {
    /// A bare number.
    Number(f64),
    /// A duration, in seconds.
    Duration(f64),
    /// A percentage, as a share.
    Share(f64),
    /// A rate, per second.
    Rate(f64),
}

/// Requests per second.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    if text.starts_with('-') {
        return Err("it is negative".to_owned());
    }
    let (number, per) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match per.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("what stands after `/` is none of s, m, h".to_owned()),
    };
    let value = parse_decimal(number.trim()).ok_or("its number cannot be read")?;
    if value > 1e9 {
        return Err("it is more than a thousand million requests".to_owned());
    }
    Ok(value / seconds)
}

/// A share between 0 and 1.
pub(crate) fn parse_share(text: &str) -> Result<f64, String> {
    let value = if text.ends_with('%') {
        parse_percent(text)?
    } else {
        parse_decimal(text).ok_or("its number cannot be read")?
    };
    if value > 1.0 {
        return Err("it is more than the whole".to_owned());
    }
    Ok(value)
}

/// Bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix('B').unwrap_or(text);
    let number = match number.strip_suffix("Ki") {
        Some(kibi) => format!("{kibi}Ki"),
        // `KB` is a common way to write `kB`.
        None => number.replace('K', "k"),
    };
    let quantity = parse_quantity(&number)?;
    if quantity.is_negative() {
        return Err("it is negative".to_owned());
    }
    match quantity.whole() {
        bytes if bytes > 1 << 40 => Err("it is more than a tebibyte".to_owned()),
        bytes => Ok(bytes),
    }
}

/// Bits per second.
pub(crate) fn parse_bandwidth(text: &str) -> Result<u64, String> {
    let number = text
        .strip_suffix("/s")
        .unwrap_or(text)
        .strip_suffix("bit")
        .ok_or("its unit is none of bit, kbit, Mbit, Gbit")?;
    let quantity = parse_quantity(number.trim())?;
    if quantity.is_negative() || quantity.whole() == 0 {
        return Err("it is not positive".to_owned());
    }
    Ok(quantity.whole())
}

/// A taint.
pub(crate) fn parse_taint(text: &str) -> Result<Taint, String> {
    let (label, effect) = text
        .rsplit_once(':')
        .ok_or("its effect is missing after `:`")?;
    let effect = match effect {
        "NoSchedule" => TaintEffect::NoSchedule,
        "PreferNoSchedule" => TaintEffect::PreferNoSchedule,
        "NoExecute" => TaintEffect::NoExecute,
        _ => {
            return Err("its effect is none of NoSchedule, PreferNoSchedule, NoExecute".to_owned());
        }
    };
    let (key, value) = label.split_once('=').unwrap_or((label, ""));
    if key.is_empty() {
        return Err("its key is missing".to_owned());
    }
    Ok(Taint {
        key: key.to_owned(),
        value: value.to_owned(),
        effect,
    })
}

/// The minor version: 33 for `1.33` and for `v1.33.2`.
pub(crate) fn parse_kubernetes_minor(text: &str) -> Result<u32, String> {
    minor_of(text, 16, 99)
}

fn minor_of(text: &str, least: u32, greatest: u32) -> Result<u32, String> {
    let rest = text
        .strip_prefix('v')
        .unwrap_or(text)
        .strip_prefix("1.")
        .ok_or("it does not begin with `1.`")?;
    let minor = rest.split('.').next().unwrap_or_default();
    match minor.parse() {
        Ok(minor) if (least..=greatest).contains(&minor) => Ok(minor),
        Ok(_) => Err(format!(
            "minor versions from {least} to {greatest} are known"
        )),
        Err(_) => Err("its minor version cannot be read".to_owned()),
    }
}

/// The minor version: 30 for `1.30` and for `v1.30.1`.
pub(crate) fn parse_istio_minor(text: &str) -> Result<u32, String> {
    minor_of(text, 14, 32)
}

/// A duration, a share, a rate or a number.
pub(crate) fn parse_amount(text: &str) -> Result<Amount, String> {
    if let Some(value) = parse_decimal(text) {
        return Ok(Amount::Number(value));
    }
    if text.ends_with('%') {
        return parse_percent(text).map(Amount::Share);
    }
    if text.contains('/') {
        return parse_rate(text).map(Amount::Rate);
    }
    parse_duration(text).map(|duration| Amount::Duration(duration.as_secs_f64()))
}

/// 0.999 for `p99.9`, without the rounding of a division.
pub(crate) fn parse_quantile(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('p')?.replace('.', "");
    format!("0.{digits}").parse().ok()
}

/// The value of a checked node in one of these forms; nothing if it was reported.
pub(crate) fn read<T>(node: Option<&Node>, parse: fn(&str) -> Result<T, String>) -> Option<T> {
    parse(node?.text()?).ok()
}

/// A duration under a key.
pub(crate) fn duration(node: &Node, key: &str) -> Option<Duration> {
    read(node.get(key), parse_duration)
}

/// A whole number under a key, at most what fits.
pub(crate) fn count(node: &Node, key: &str) -> Option<u32> {
    u32::try_from(node.get(key)?.integer()?).ok()
}

/// A string under a key.
pub(crate) fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key)?.text()
}

/// A duration as a Scenario writes it, in the largest unit that divides it.
pub(crate) fn show_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let units = [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ];
    let (unit, scale) = units
        .into_iter()
        .find(|(_, scale)| nanos != 0 && nanos.is_multiple_of(*scale))
        .unwrap_or(("s", 1));
    format!("{}{unit}", nanos / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_shares_sizes_and_bandwidths() {
        assert_eq!(parse_rate("300/s"), Ok(300.0));
        assert_eq!(parse_rate("30/m"), Ok(0.5));
        assert_eq!(parse_rate("1.5"), Ok(1.5));
        assert_eq!(parse_share("1%"), Ok(0.01));
        assert_eq!(parse_share("1"), Ok(1.0));
        assert_eq!(parse_size("4kB"), Ok(4000));
        assert_eq!(parse_size("4KB"), Ok(4000));
        assert_eq!(parse_size("4KiB"), Ok(4096));
        assert_eq!(parse_size("1MiB"), Ok(1 << 20));
        assert_eq!(parse_size("17"), Ok(17));
        assert_eq!(parse_bandwidth("1.5Gbit"), Ok(1_500_000_000));
        assert_eq!(parse_bandwidth("100Mbit/s"), Ok(100_000_000));
        assert_eq!(parse_kubernetes_minor("v1.33.2"), Ok(33));
        for bad in ["-1/s", "1/d", "x", "/s", "1e9"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
        for bad in ["101%", "1.01", "-1%", "x"] {
            assert!(parse_share(bad).is_err(), "{bad}");
        }
        for bad in ["-1", "4 kB", "9PB", "B"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        for bad in ["1Gb", "0bit", "bit", "-1bit"] {
            assert!(parse_bandwidth(bad).is_err(), "{bad}");
        }
        for bad in ["2.0", "1.x", "1.8"] {
            assert!(parse_kubernetes_minor(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn taints_and_amounts() {
        assert_eq!(
            parse_taint("a=b:NoExecute").map(|taint| taint.value),
            Ok("b".to_owned())
        );
        assert!(parse_taint("a=b").is_err() && parse_taint(":NoSchedule").is_err());
        assert_eq!(parse_amount("300ms"), Ok(Amount::Duration(0.3)));
        assert_eq!(parse_amount("99.9%"), Ok(Amount::Share(0.9990000000000001)));
        assert_eq!(parse_amount("20/s"), Ok(Amount::Rate(20.0)));
        assert_eq!(parse_amount("1.2"), Ok(Amount::Number(1.2)));
        assert!(parse_amount("soon").is_err());
    }

    #[test]
    fn quantiles_are_the_nearest_numbers() {
        assert_eq!(parse_quantile("p50"), Some(0.50));
        assert_eq!(parse_quantile("p99"), Some(0.99));
        assert_eq!(parse_quantile("p99.9"), Some(0.999));
        assert_eq!(parse_quantile("p99.99"), Some(0.9999));
        assert_eq!(parse_quantile("mean"), None);
    }

    #[test]
    fn durations_are_shown_as_they_are_read() {
        for text in ["250us", "5ms", "90s", "2m", "1h", "1500ms"] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }
        assert_eq!(show_duration(Duration::from_secs(300)), "5m");
        assert_eq!(show_duration(Duration::ZERO), "0s");
    }
}
