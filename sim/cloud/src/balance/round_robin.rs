//! In turn.

/// Whose turn it is next.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn {
    next: u32,
}

impl Turn {
    /// Starts somewhere, so that many choosers do not march in step.
    pub(crate) fn starting_at(next: u32) -> Self {
        Turn { next }
    }

    pub(super) fn choose(&mut self, endpoints: u32) -> u32 {
        let chosen = self.next % endpoints;
        self.next = chosen + 1;
        chosen
    }
}
