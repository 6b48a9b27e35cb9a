//! Little's law as an exact audit, without any limit or steady state.
//!
//! What it models: over a window, the integral of the number present equals the time that all
//! visits spend inside the window, those included that began before it or end after it.
//! Both sides are integers of nanoseconds, so the difference is zero or something is lost.
//! Leaves out: nothing. Source: Little 1961; the finite-window form is elementary (exchange
//! the integral and the sum). Validated by a property test in `tests/promises/properties.rs`.

/// A stay: from its arrival to its departure, or still present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    /// When it began, nanoseconds.
    pub arrival_ns: u64,
    /// When it ended, nanoseconds; `None` while it lasts.
    pub departure_ns: Option<u64>,
}

impl Stay {
    /// Nanoseconds of the stay inside the window [start, end).
    #[must_use]
    pub fn within(&self, start_ns: u64, end_ns: u64) -> u64 {
        let from = self.arrival_ns.max(start_ns);
        let until = self.departure_ns.unwrap_or(u64::MAX).min(end_ns);
        until.saturating_sub(from)
    }
}

/// ∫N dt over the window minus the time that all stays spend in it, in nanoseconds: zero if
/// nothing was lost. `number_integral` is the accumulated ∫N dt in nanoseconds.
#[must_use]
pub fn little_residual(
    number_integral: u128,
    stays: impl IntoIterator<Item = Stay>,
    start_ns: u64,
    end_ns: u64,
) -> i128 {
    let inside: u128 = stays
        .into_iter()
        .map(|stay| u128::from(stay.within(start_ns, end_ns)))
        .sum();
    number_integral as i128 - inside as i128
}

/// The same from totals alone: the integral over [0, end] must equal the sum of departures'
/// instants minus the sum of arrivals' instants, with those still present departing at the
/// end. All in nanoseconds.
#[must_use]
pub fn little_residual_from_sums(
    number_integral: u128,
    arrival_sum: u128,
    departure_sum: u128,
    still_present: u64,
    end_ns: u64,
) -> i128 {
    let departures = departure_sum + u128::from(still_present) * u128::from(end_ns);
    number_integral as i128 - (departures as i128 - arrival_sum as i128)
}
