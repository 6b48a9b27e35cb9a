//! Rates over time: value, maximum, integral and its inverse.

use crate::scenario::RateProfile;
use engine::Time;

/// Requests per second at an instant.
pub(crate) fn rate_at(profile: &RateProfile, at: Time) -> f64 {
    match profile {
        RateProfile::Constant(rate) => *rate,
        RateProfile::Piecewise(points) => piecewise_at(points, at),
        RateProfile::Sinusoid {
            mean,
            amplitude,
            period,
        } => {
            // Reduce to one period in integers first: the angle stays small and exact.
            let phase = (at.as_nanos() % period.as_nanos()) as f64 / period.as_nanos() as f64;
            mean + amplitude * libm::sin(2.0 * core::f64::consts::PI * phase)
        }
    }
}

fn piecewise_at(points: &[(Time, f64)], at: Time) -> f64 {
    let after = points.partition_point(|(time, _)| *time <= at);
    if after == 0 {
        return points[0].1;
    }
    let (from, low) = points[after - 1];
    match points.get(after) {
        None => low,
        Some(&(to, high)) => {
            let share = at.since(from).as_secs_f64() / to.since(from).as_secs_f64();
            low + (high - low) * share
        }
    }
}

/// The greatest rate there ever is.
pub(super) fn greatest(profile: &RateProfile) -> f64 {
    match profile {
        RateProfile::Constant(rate) => *rate,
        RateProfile::Piecewise(points) => points.iter().map(|point| point.1).fold(0.0, f64::max),
        RateProfile::Sinusoid {
            mean, amplitude, ..
        } => mean + amplitude,
    }
}

/// Whether nothing can come after `at`.
pub(super) fn ends_before(profile: &RateProfile, at: Time) -> bool {
    match profile {
        RateProfile::Constant(rate) => *rate <= 0.0,
        RateProfile::Piecewise(points) => points
            .last()
            .is_none_or(|&(time, rate)| at > time && rate <= 0.0),
        RateProfile::Sinusoid { .. } => false,
    }
}

/// The instant at which the integral of the rate reaches `number` plus a phase in (0, 1].
pub(super) fn evenly_spaced(
    profile: &RateProfile,
    number: u64,
    phase: impl FnOnce() -> f64,
) -> Option<Time> {
    let target = number as f64 + (1.0 - phase());
    match profile {
        RateProfile::Constant(rate) if *rate > 0.0 => Some(Time::from_secs_f64(target / rate)),
        RateProfile::Constant(_) => None,
        RateProfile::Piecewise(points) => piecewise_inverse(points, target),
        RateProfile::Sinusoid { .. } => sinusoid_inverse(profile, target),
    }
}

fn piecewise_inverse(points: &[(Time, f64)], target: f64) -> Option<Time> {
    // Before the first point the rate is that of the first point.
    let mut at = 0.0;
    let mut rate = points[0].1;
    let mut left = target;
    for &(time, next_rate) in points {
        let end = time.as_secs_f64();
        let width = end - at;
        let area = width * (rate + next_rate) / 2.0;
        if width > 0.0 && left <= area {
            return Some(Time::from_secs_f64(
                at + within_ramp(rate, next_rate, width, left),
            ));
        }
        left -= area.max(0.0);
        at = end;
        rate = next_rate;
    }
    (rate > 0.0).then(|| Time::from_secs_f64(at + left / rate))
}

/// How far into a ramp from `low` to `high` over `width` its area reaches `area`.
fn within_ramp(low: f64, high: f64, width: f64, area: f64) -> f64 {
    let slope = (high - low) / width;
    if slope.abs() < 1e-12 {
        return area / low;
    }
    // The root of slope/2 x^2 + low x - area that is stable for a falling ramp too.
    let root = libm::sqrt((low * low + 2.0 * slope * area).max(0.0));
    2.0 * area / (low + root)
}

fn sinusoid_inverse(profile: &RateProfile, target: f64) -> Option<Time> {
    let RateProfile::Sinusoid {
        mean,
        amplitude,
        period,
    } = profile
    else {
        return None;
    };
    if *mean <= 0.0 {
        return None;
    }
    let period = period.as_secs_f64();
    let whole_periods = libm::floor(target / (mean * period));
    let rest = target - whole_periods * mean * period;
    let omega = 2.0 * core::f64::consts::PI / period;
    let integral = |t: f64| mean * t + amplitude / omega * (1.0 - libm::cos(omega * t));
    let (mut low, mut high) = (0.0, period);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if integral(middle) < rest {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(Time::from_secs_f64(whole_periods * period + high))
}
