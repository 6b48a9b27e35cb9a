//! The one shape in which every measured or computed number leaves this crate.
//!
//! Models: a value, the interval that belongs to it where one can be given, and how both came
//! about. Leaves out: units (they belong to the quantity, not to its estimate) and the
//! confidence (one per study, kept beside the study). Not-a-number is refused: whoever has
//! nothing to say holds an `Option<Estimate>`. Validated by unit and property tests.

use serde::Serialize;

/// How an [`Estimate`] and its interval came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Student's t over independent replications.
    StudentT,
    /// Pooled centre, spread of the same statistic over replications (sections).
    Sectioning,
    /// Exact binomial interval on pooled counts.
    ClopperPearson,
    /// Known without error: the interval is the value itself.
    Exact,
    /// A value for which no interval can be given.
    PointOnly,
}

/// A value with its interval, in the unit of the quantity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The estimate itself; never not-a-number.
    pub value: f64,
    /// Lower end of the interval; `None` if none can be given.
    pub low: Option<f64>,
    /// Upper end of the interval; `None` if none can be given.
    pub high: Option<f64>,
    /// Observations behind it: replications for most methods, trials for
    /// [`Method::ClopperPearson`]; stops at `u32::MAX`.
    pub samples: u32,
    /// How the interval was made.
    pub method: Method,
}

impl Estimate {
    /// A value without an interval, from one sample.
    ///
    /// # Panics
    /// If `value` is not a number.
    #[must_use]
    pub fn point(value: f64) -> Self {
        Self::point_of(value, 1)
    }

    /// A value known without error, from `samples` observations that all agree or that are
    /// the whole population.
    ///
    /// # Panics
    /// If `value` is not a number.
    #[must_use]
    pub fn exact(value: f64, samples: u32) -> Self {
        Self::between(value, value, value, samples, Method::Exact)
    }

    /// What is said where nothing was observed: zero from no samples, without an interval.
    #[must_use]
    pub fn nothing() -> Self {
        Self::point_of(0.0, 0)
    }

    /// Half the width of the interval; `None` without an interval.
    #[must_use]
    pub fn half_width(&self) -> Option<f64> {
        Some((self.high? - self.low?) / 2.0)
    }

    /// Half the width of the interval over the size of the value; `None` without an interval,
    /// and at value zero unless the interval is zero wide too (then 0).
    #[must_use]
    pub fn relative_half_width(&self) -> Option<f64> {
        let half_width = self.half_width()?;
        if half_width == 0.0 {
            return Some(0.0);
        }
        (self.value != 0.0).then(|| half_width / self.value.abs())
    }

    /// A value without an interval, from `samples` observations.
    pub(crate) fn point_of(value: f64, samples: u32) -> Self {
        assert!(!value.is_nan(), "an estimate must be a number");
        Self {
            value,
            low: None,
            high: None,
            samples,
            method: Method::PointOnly,
        }
    }

    /// A value with an interval around it; ends that rounding put on the wrong side of the
    /// value are moved onto it.
    pub(crate) fn between(value: f64, low: f64, high: f64, samples: u32, method: Method) -> Self {
        assert!(
            !value.is_nan() && !low.is_nan() && !high.is_nan(),
            "an estimate and the ends of its interval must be numbers"
        );
        Self {
            value,
            low: Some(low.min(value)),
            high: Some(high.max(value)),
            samples,
            method,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths() {
        let estimate = Estimate::between(-4.0, -5.0, -3.0, 10, Method::StudentT);
        assert_eq!(estimate.half_width(), Some(1.0));
        assert_eq!(estimate.relative_half_width(), Some(0.25));
        assert_eq!(Estimate::point(3.0).half_width(), None);
        assert_eq!(Estimate::exact(0.0, 4).relative_half_width(), Some(0.0));
        let around_zero = Estimate::between(0.0, -1.0, 1.0, 10, Method::StudentT);
        assert_eq!(around_zero.relative_half_width(), None);
    }

    #[test]
    #[should_panic(expected = "must be a number")]
    fn not_a_number_is_refused() {
        let _ = Estimate::point(f64::NAN);
    }
}
