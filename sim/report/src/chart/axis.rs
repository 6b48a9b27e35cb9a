//! Axes: from quantities to pixels, with ticks at round places.

use crate::number::{clock, duration, share};

/// A scale between two values along pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    from: f64,
    to: f64,
    pixels: (i32, i32),
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Linear,
    Logarithmic,
}

/// A logarithmic scale is worth it from this ratio on.
const WIDE_RATIO: f64 = 8.0;

impl Axis {
    /// From `from` at the first pixel to `to` at the last one.
    pub fn linear(from: f64, to: f64, pixels: (i32, i32)) -> Self {
        let to = if to > from { to } else { from + 1.0 };
        Self {
            from,
            to,
            pixels,
            kind: Kind::Linear,
        }
    }

    /// For latencies: logarithmic where they differ much, else from zero.
    pub fn for_latency(values: impl Iterator<Item = f64>, pixels: (i32, i32)) -> Self {
        let positive = values.filter(|value| *value > 0.0 && value.is_finite());
        let (low, high) = positive.fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if high == 0.0 {
            return Self::linear(0.0, 1.0, pixels);
        }
        if high / low < WIDE_RATIO {
            return Self::linear(0.0, high * 1.08, pixels);
        }
        Self {
            from: libm::log10(low * 0.85),
            to: libm::log10(high * 1.2),
            pixels,
            kind: Kind::Logarithmic,
        }
    }

    /// The pixel of a value; beyond the ends, the end.
    pub fn at(&self, value: f64) -> i32 {
        let position = match self.kind {
            Kind::Linear => value,
            Kind::Logarithmic => libm::log10(value.max(1e-12)),
        };
        let along = ((position - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        let (first, last) = self.pixels;
        first + (along * f64::from(last - first)).round() as i32
    }

    /// Whether it grows by factors.
    pub fn is_logarithmic(&self) -> bool {
        self.kind == Kind::Logarithmic
    }

    /// Moments on the scenario's clock.
    pub fn clock_ticks(&self, most: usize) -> Vec<(f64, String)> {
        const STEPS: [f64; 22] = [
            0.001, 0.01, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0,
            1200.0, 1800.0, 3600.0, 7200.0, 14_400.0, 43_200.0, 86_400.0,
        ];
        let span = self.to - self.from;
        let fits = |step: &f64| span / step <= most as f64;
        let step = STEPS.into_iter().find(fits).unwrap_or(span);
        multiples(self.from, self.to, step)
            .map(|value| (value, clock(value)))
            .collect()
    }

    /// Latencies.
    pub fn latency_ticks(&self) -> Vec<(f64, String)> {
        let label = |value: f64| (value, tidy(duration(value)));
        if self.kind == Kind::Linear {
            let step = round_step((self.to - self.from) / 4.0);
            return multiples(self.from, self.to, step).map(label).collect();
        }
        let decades = self.to - self.from;
        let parts: &[f64] = match decades {
            decades if decades < 1.6 => &[1.0, 2.0, 5.0],
            decades if decades < 3.0 => &[1.0, 3.0],
            _ => &[1.0],
        };
        (-9..6)
            .flat_map(|exponent| parts.iter().map(move |part| part * power_of_ten(exponent)))
            .filter(|value| (self.from..=self.to).contains(&libm::log10(*value)))
            .map(label)
            .collect()
    }

    /// Shares in quarters of the axis.
    pub fn share_ticks(&self) -> Vec<(f64, String)> {
        (0..=4)
            .map(|quarter| self.from + (self.to - self.from) * f64::from(quarter) / 4.0)
            .map(|value| (value, tidy(share(value))))
            .collect()
    }
}

/// A label without the zeros that end its number: `50.0 %` becomes `50 %`.
fn tidy(text: String) -> String {
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            let number = number.trim_end_matches('0').trim_end_matches('.');
            format!("{number} {unit}")
        }
        _ => text,
    }
}

fn multiples(from: f64, to: f64, step: f64) -> impl Iterator<Item = f64> {
    let first = (from / step).ceil() as i64;
    let last = (to / step * (1.0 + 1e-9)).floor() as i64;
    (first..=last).map(move |index| index as f64 * step)
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_step(least: f64) -> f64 {
    let decade = power_of_ten(libm::log10(least).floor() as i32);
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|part| part * decade)
        .find(|step| *step >= least * (1.0 - 1e-9))
        .unwrap_or(10.0 * decade)
}

fn power_of_ten(exponent: i32) -> f64 {
    libm::pow(10.0, f64::from(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: Vec<(f64, String)>) -> String {
        let labels: Vec<String> = ticks.into_iter().map(|(_, label)| label).collect();
        labels.join(", ")
    }

    #[test]
    fn ticks_are_round() {
        let pixels = (0, 700);
        let time = Axis::linear(0.0, 480.0, pixels);
        assert_eq!(
            labels(time.clock_ticks(5)),
            "0 s, 2 min, 4 min, 6 min, 8 min"
        );
        let even = Axis::for_latency([0.05, 0.12].into_iter(), pixels);
        assert_eq!(labels(even.latency_ticks()), "0 s, 50 ms, 100 ms");
        let wide = Axis::for_latency([0.05, 2.0].into_iter(), pixels);
        assert_eq!(labels(wide.latency_ticks()), "100 ms, 300 ms, 1 s");
        let share = Axis::linear(0.99, 1.0, pixels);
        assert_eq!(
            labels(share.share_ticks()),
            "99 %, 99.25 %, 99.5 %, 99.75 %, 100 %"
        );
    }

    #[test]
    fn values_stay_on_the_axis() {
        let axis = Axis::for_latency([0.001, 10.0].into_iter(), (500, 100));
        for value in [0.0, 1e-9, 0.001, 0.1, 10.0, 1e9] {
            assert!((100..=500).contains(&axis.at(value)), "{value}");
        }
        assert!(axis.at(0.01) > axis.at(0.1));
        assert_eq!(Axis::for_latency(std::iter::empty(), (0, 10)).at(0.0), 0);
    }
}
