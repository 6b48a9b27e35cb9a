//! Simulated time: unsigned integer nanoseconds since the start of the run.
//!
//! There is no float in the clock. A real number of seconds is rounded once, half to even, when
//! it becomes a [`Duration`]; from then on arithmetic is exact and overflow is an assertion.

use core::fmt;
use core::iter::Sum;
use core::ops::{Add, AddAssign, Div, Mul, Sub};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A point of simulated time, in nanoseconds since the start of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

/// A length of simulated time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(u64);

impl Time {
    /// The start of every run.
    pub const ZERO: Time = Time(0);
    /// The last representable instant, some 584 years after the start.
    pub const MAX: Time = Time(u64::MAX);

    /// The instant `nanos` nanoseconds after the start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The instant `seconds` after the start, rounded half to even; saturates at [`Time::MAX`].
    ///
    /// # Panics
    /// If `seconds` is negative or not a number.
    #[must_use]
    pub fn from_secs_f64(seconds: f64) -> Time {
        Time(Duration::from_secs_f64(seconds).0)
    }

    /// Seconds since the start, for reports and statistics.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        Duration(self.0).as_secs_f64()
    }

    /// How long after `earlier` this instant is.
    ///
    /// # Panics
    /// If `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Time) -> Duration {
        assert!(earlier <= self, "{earlier} is not before {self}");
        Duration(self.0 - earlier.0)
    }

    /// How long after `earlier` this instant is, or zero if it is not.
    #[must_use]
    pub const fn saturating_since(self, earlier: Time) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved by `duration`, or [`Time::MAX`] if that is beyond the clock.
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(duration.0))
    }
}

impl Duration {
    /// No time at all.
    pub const ZERO: Duration = Duration(0);
    /// The longest duration; also "never" where a link is absent.
    pub const MAX: Duration = Duration(u64::MAX);

    /// So many nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Duration {
        Duration(nanos)
    }

    /// So many microseconds.
    ///
    /// # Panics
    /// On overflow.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Duration {
        Duration::from_units(micros, 1_000)
    }

    /// So many milliseconds.
    ///
    /// # Panics
    /// On overflow.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Duration {
        Duration::from_units(millis, 1_000_000)
    }

    /// So many seconds.
    ///
    /// # Panics
    /// On overflow.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Duration {
        Duration::from_units(seconds, NANOS_PER_SECOND)
    }

    const fn from_units(count: u64, nanos_per_unit: u64) -> Duration {
        match count.checked_mul(nanos_per_unit) {
            Some(nanos) => Duration(nanos),
            None => panic!("duration overflows 64-bit nanoseconds"),
        }
    }

    /// A real number of seconds, rounded half to even to nanoseconds; saturates at
    /// [`Duration::MAX`].
    ///
    /// # Panics
    /// If `seconds` is negative, infinite or not a number.
    #[must_use]
    pub fn from_secs_f64(seconds: f64) -> Duration {
        assert!(
            seconds.is_finite() && seconds >= 0.0,
            "{seconds} s is not a duration"
        );
        Duration(round_half_even(seconds * NANOS_PER_SECOND as f64))
    }

    /// A real number of nanoseconds that is not negative, rounded half to even; saturates.
    #[inline]
    pub(crate) fn from_nanos_f64(nanos: f64) -> Duration {
        debug_assert!(nanos >= 0.0, "{nanos} ns is not a duration");
        Duration(round_half_even(nanos))
    }

    /// Nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds, for reports and statistics.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / NANOS_PER_SECOND as f64
    }

    /// Whether this is [`Duration::ZERO`].
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// `factor` times as long, at most [`Duration::MAX`].
    #[must_use]
    pub const fn saturating_mul(self, factor: u64) -> Duration {
        Duration(self.0.saturating_mul(factor))
    }

    /// The sum, at most [`Duration::MAX`].
    #[must_use]
    pub const fn saturating_add(self, other: Duration) -> Duration {
        Duration(self.0.saturating_add(other.0))
    }

    /// The difference, at least zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Duration) -> Duration {
        Duration(self.0.saturating_sub(other.0))
    }

    /// `factor` times as long, rounded half to even; saturates at [`Duration::MAX`].
    ///
    /// # Panics
    /// If `factor` is negative, infinite or not a number.
    #[must_use]
    pub fn mul_f64(self, factor: f64) -> Duration {
        assert!(
            factor.is_finite() && factor >= 0.0,
            "{factor} is not a factor of a duration"
        );
        Duration(round_half_even(self.0 as f64 * factor))
    }
}

/// Rounds a non-negative number to the nearest integer, ties to even.
///
/// Adding 2^52 to a lesser number leaves no place for a fraction, so the sum is rounded to an
/// integer as IEEE 754 rounds every sum: half to even. From 2^52 on a float is an integer already,
/// and from 2^64 on the cast saturates.
#[inline]
fn round_half_even(value: f64) -> u64 {
    const NO_FRACTION: f64 = (1u64 << 52) as f64;
    if value < NO_FRACTION {
        return (value + NO_FRACTION).to_bits() - NO_FRACTION.to_bits();
    }
    value as u64
}

impl Add<Duration> for Time {
    type Output = Time;
    #[inline]
    fn add(self, duration: Duration) -> Time {
        Time(
            self.0
                .checked_add(duration.0)
                .expect("time overflows 64-bit nanoseconds"),
        )
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

impl Add for Duration {
    type Output = Duration;
    fn add(self, other: Duration) -> Duration {
        Duration(
            self.0
                .checked_add(other.0)
                .expect("duration overflows 64-bit nanoseconds"),
        )
    }
}

impl AddAssign for Duration {
    fn add_assign(&mut self, other: Duration) {
        *self = *self + other;
    }
}

impl Sub for Duration {
    type Output = Duration;
    fn sub(self, other: Duration) -> Duration {
        Duration(
            self.0
                .checked_sub(other.0)
                .expect("a duration cannot be negative"),
        )
    }
}

impl Mul<u64> for Duration {
    type Output = Duration;
    fn mul(self, factor: u64) -> Duration {
        Duration::from_units(self.0, factor)
    }
}

impl Div<u64> for Duration {
    type Output = Duration;
    fn div(self, divisor: u64) -> Duration {
        Duration(self.0 / divisor)
    }
}

impl Sum for Duration {
    fn sum<I: Iterator<Item = Duration>>(durations: I) -> Duration {
        durations.fold(Duration::ZERO, Add::add)
    }
}

impl fmt::Display for Time {
    /// Seconds with all nine decimals: exact.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0 / NANOS_PER_SECOND, self.0 % NANOS_PER_SECOND);
        write!(formatter, "{seconds}.{nanos:09}s")
    }
}

impl fmt::Display for Duration {
    /// The largest unit that is at least one, with the decimals it takes to be exact.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, nanos_per_unit, digits) = match self.0 {
            0 => return formatter.write_str("0s"),
            1..1_000 => ("ns", 1, 0),
            1_000..1_000_000 => ("us", 1_000, 3),
            1_000_000..NANOS_PER_SECOND => ("ms", 1_000_000, 6),
            _ => ("s", NANOS_PER_SECOND, 9),
        };
        write!(formatter, "{}", self.0 / nanos_per_unit)?;
        let rest = self.0 % nanos_per_unit;
        if rest > 0 {
            let decimals = format!("{rest:0digits$}");
            write!(formatter, ".{}", decimals.trim_end_matches('0'))?;
        }
        formatter.write_str(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_half_to_even() {
        for (nanos, expected) in [
            (0.5, 0),
            (1.5, 2),
            (2.5, 2),
            (2.500_001, 3),
            (3.49, 3),
            (4_503_599_627_370_495.5, 1 << 52),
        ] {
            assert_eq!(round_half_even(nanos), expected, "{nanos}");
        }
        assert_eq!(Duration::from_secs_f64(1.5e-3), Duration::from_micros(1500));
        assert_eq!(Duration::from_secs_f64(1e300), Duration::MAX);
        assert_eq!(Duration::from_nanos(3).mul_f64(0.5).as_nanos(), 2);
    }

    #[test]
    fn arithmetic_is_exact_and_displays() {
        let later = Time::from_nanos(5) + Duration::from_nanos(7);
        assert_eq!(later - Time::from_nanos(2), Duration::from_nanos(10));
        assert_eq!(Time::ZERO.saturating_since(later), Duration::ZERO);
        assert_eq!(later.to_string(), "0.000000012s");
        assert_eq!(Duration::from_micros(1_250).to_string(), "1.25ms");
        assert_eq!(Duration::ZERO.to_string(), "0s");
        let sum: Duration = [Duration::from_secs(1), Duration::from_millis(5)]
            .into_iter()
            .sum();
        assert_eq!(sum.to_string(), "1.005s");
    }

    #[test]
    #[should_panic(expected = "is not before")]
    fn an_earlier_time_is_not_since_a_later_one() {
        let _ = Time::ZERO.since(Time::from_nanos(1));
    }

    #[test]
    #[should_panic(expected = "overflows")]
    fn the_clock_does_not_wrap() {
        let _ = Time::MAX + Duration::from_nanos(1);
    }
}
