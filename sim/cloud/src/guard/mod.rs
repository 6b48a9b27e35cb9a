//! What a client does to protect itself: pure state machines that know no event queue.

mod budget;
mod retry;

pub(crate) use budget::RetryBudget;
pub(crate) use retry::pause_before;
