//! Whom a Service's clients are sent to, of all its endpoints.

/// `trafficDistribution`: which endpoints a client should rather go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficDistribution {
    /// Those in its zone (`PreferSameZone`).
    SameZone,
    /// Those on its node, else those in its zone (`PreferSameNode`).
    SameNode,
    /// Those in its zone (`PreferClose`, as it was called first).
    Close,
}
