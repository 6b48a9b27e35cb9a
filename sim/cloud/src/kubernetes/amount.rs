//! Counts and percentages (`IntOrString`), and how they round.
//!
//! Sources: kubernetes/apimachinery pkg/util/intstr. Validated by: the tests below.

/// A number of pods, as written: a count, or a share of the pods wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Count(u32),
    /// So many hundredths of the whole.
    Percent(u32),
}

impl Amount {
    /// How many of `whole` these are, a part of one counting as one.
    pub fn rounded_up(self, whole: u32) -> u32 {
        match self {
            Amount::Count(count) => count,
            Amount::Percent(percent) => share(percent, whole, 99),
        }
    }

    /// How many of `whole` these are, a part of one counting as none.
    pub fn rounded_down(self, whole: u32) -> u32 {
        match self {
            Amount::Count(count) => count,
            Amount::Percent(percent) => share(percent, whole, 0),
        }
    }
}

/// Hundredths of `whole`, with something added before the division.
fn share(percent: u32, whole: u32, added: u64) -> u32 {
    let hundredths = u64::from(percent) * u64::from(whole) + added;
    u32::try_from(hundredths / 100).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stay_and_shares_round_as_they_are_told() {
        let quarter = Amount::Percent(25);
        let both = |amount: Amount, whole| (amount.rounded_up(whole), amount.rounded_down(whole));
        assert_eq!(both(Amount::Count(7), 3), (7, 7));
        let quarters: Vec<_> = [0, 1, 3, 4, 5, 10].map(|whole| both(quarter, whole)).into();
        assert_eq!(quarters, [(0, 0), (1, 0), (1, 0), (1, 1), (2, 1), (3, 2)]);
        assert_eq!(both(Amount::Percent(u32::MAX), u32::MAX).0, u32::MAX);
    }
}
