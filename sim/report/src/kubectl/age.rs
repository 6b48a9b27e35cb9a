//! Ages in the way of Kubernetes: few figures, and finer ones the younger.

use engine::Time;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// How long ago something was. Objects keep whole seconds of when it was.
pub(super) fn since(now: Time, then: Time) -> String {
    let whole = then.as_nanos() / 1_000_000_000;
    let whole = Time::from_nanos(whole * 1_000_000_000);
    human(now.saturating_since(whole).as_nanos() / 1_000_000_000)
}

/// A number of seconds, as `HumanDuration` writes it.
pub(super) fn human(seconds: u64) -> String {
    let minutes = seconds / MINUTE;
    let hours = seconds / HOUR;
    let days = seconds / DAY;
    match () {
        () if seconds < 2 * MINUTE => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % MINUTE, "s"),
        () if minutes < 3 * 60 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => two(days, "d", hours % 24, "h"),
        () if seconds < 2 * YEAR => format!("{days}d"),
        () if seconds < 8 * YEAR => two(seconds / YEAR, "y", days % 365, "d"),
        () => format!("{}y", seconds / YEAR),
    }
}

/// A number and, unless it is none, what is left in the next smaller unit.
fn two(great: u64, unit: &str, rest: u64, smaller: &str) -> String {
    match rest {
        0 => format!("{great}{unit}"),
        _ => format!("{great}{unit}{rest}{smaller}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_those_of_human_duration() {
        let cases = [
            (0, "0s"),
            (70, "70s"),
            (119, "119s"),
            (120, "2m"),
            (330, "5m30s"),
            (599, "9m59s"),
            (600, "10m"),
            (637, "10m"),
            (3 * HOUR - 1, "179m"),
            (3 * HOUR, "3h"),
            (3 * HOUR + MINUTE, "3h1m"),
            (8 * HOUR - 1, "7h59m"),
            (8 * HOUR, "8h"),
            (8 * HOUR + 59 * MINUTE, "8h"),
            (2 * DAY - 1, "47h"),
            (2 * DAY, "2d"),
            (2 * DAY + 3 * HOUR, "2d3h"),
            (8 * DAY - 1, "7d23h"),
            (8 * DAY, "8d"),
            (8 * DAY + 23 * HOUR, "8d"),
            (2 * YEAR - 1, "729d"),
            (2 * YEAR, "2y"),
            (2 * YEAR + 23 * HOUR, "2y"),
            (2 * YEAR + DAY, "2y1d"),
            (8 * YEAR - 1, "7y364d"),
            (8 * YEAR, "8y"),
            (8 * YEAR + 364 * DAY, "8y"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(human(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn what_was_created_within_a_second_is_as_old_as_its_begin() {
        let at = Time::from_secs_f64;
        assert_eq!(since(at(60.0), at(55.7)), "5s");
        assert_eq!(since(at(55.9), at(55.7)), "0s");
        assert_eq!(since(at(56.0), at(55.7)), "1s");
    }
}
