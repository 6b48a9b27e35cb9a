//! Retry budgets: a client retries only as often as its own requests have paid for.
//!
//! Models: each request pays a share of a retry into its client's account, each retry takes a
//! whole one out; the account begins full and holds a few retries at most, so that single
//! failures are repeated at once and a storm is not.
//! Leaves out: time, by which some clients let their accounts run out or fill up.
//! Sources: grpc/proposal A6 (retry throttling); finagle's RetryBudget.
//! Validated by: the count of retries of a client whose every request fails.

use crate::facts;

/// What a client may still retry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryBudget {
    retries: f64,
}

impl RetryBudget {
    /// A full account.
    pub(crate) fn full() -> Self {
        RetryBudget {
            retries: facts::RETRY_BUDGET_MAX.value,
        }
    }

    /// A request pays its share in.
    pub(crate) fn pay(&mut self, share: f64) {
        self.retries = (self.retries + share).min(facts::RETRY_BUDGET_MAX.value);
    }

    /// Takes a retry out, if one is there.
    pub(crate) fn take(&mut self) -> bool {
        let enough = self.retries >= 1.0;
        if enough {
            self.retries -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_whose_every_request_fails_retries_its_share_and_what_it_had() {
        let mut budget = RetryBudget::full();
        let mut retries = 0;
        for _ in 0..1000 {
            budget.pay(0.125);
            retries += u32::from(budget.take());
        }
        assert_eq!(
            retries,
            10 + 125 - 1,
            "a full account takes no first payment"
        );
    }
}
