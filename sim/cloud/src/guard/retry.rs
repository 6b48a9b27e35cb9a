//! Retries: the pause doubles with each further attempt up to its greatest value.
//!
//! Leaves out: jitter of the pause.

use crate::scenario::Retry;
use engine::Duration;

/// The pause before the next attempt after `attempts` have failed; `None` if there is none.
pub(crate) fn pause_before(retry: &Retry, attempts: u32) -> Option<Duration> {
    if attempts >= retry.attempts_max {
        return None;
    }
    let doublings = (attempts - 1).min(62);
    Some(
        retry
            .backoff
            .saturating_mul(1 << doublings)
            .min(retry.backoff_max.max(retry.backoff)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_greatest() {
        let retry = Retry {
            attempts_max: 5,
            backoff: Duration::from_millis(25),
            backoff_max: Duration::from_millis(80),
            budget: None,
        };
        let pauses: Vec<_> = (1..=5)
            .map(|attempts| pause_before(&retry, attempts))
            .collect();
        let milliseconds = |value| Some(Duration::from_millis(value));
        assert_eq!(
            pauses,
            [
                milliseconds(25),
                milliseconds(50),
                milliseconds(80),
                milliseconds(80),
                None
            ]
        );
        assert_eq!(pause_before(&Retry::NEVER, 1), None);
    }
}
