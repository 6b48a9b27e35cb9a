//! What a client does to protect itself: pure state machines that know no event queue.

mod retry;

pub(crate) use retry::pause_before;
