//! What only shows in the whole: each check of an assembled scenario in a file of its own.
//!
//! Checks see ids and places, never YAML; what they report is almost always a warning, because
//! the scenario can be simulated. A check that finds an error says why it cannot be.

mod addresses;
mod after_the_end;
mod applications;
mod canaries;
mod certificates;
mod contradictions;
mod cycles;
mod endpoints;
mod entries;
mod flow;
mod hosts;
mod names;
mod operations;
mod overload;
mod plaintext;
mod precision;
mod recovery;
mod scaled_twice;
mod timeouts;
mod warm_up;
mod zones;

use crate::diagnostic::Diagnostics;
use crate::scenario::Places;
use cloud::scenario::Scenario;

/// Everything a check looks at.
pub(crate) struct Whole<'a> {
    /// The scenario, with every id in range.
    pub(crate) scenario: &'a Scenario,
    /// Where its parts are written.
    pub(crate) places: &'a Places,
}

/// Runs every check.
pub(crate) fn run(scenario: &Scenario, places: &Places, diagnostics: &mut Diagnostics) {
    let whole = Whole { scenario, places };
    addresses::check(&whole, diagnostics);
    after_the_end::check(&whole, diagnostics);
    applications::check(&whole, diagnostics);
    certificates::check(&whole, diagnostics);
    canaries::check_routes(&whole, diagnostics);
    canaries::check_ends(&whole, diagnostics);
    contradictions::check(&whole, diagnostics);
    scaled_twice::check(&whole, diagnostics);
    operations::check(&whole, diagnostics);
    warm_up::check(&whole, diagnostics);
    names::check(&whole, diagnostics);
    precision::check(&whole, diagnostics);
    plaintext::check(&whole, diagnostics);
    hosts::check(&whole, diagnostics);
    recovery::check(&whole, diagnostics);
    timeouts::check(&whole, diagnostics);
    zones::check(&whole, diagnostics);
    // What requests do can be followed only where calls form no circle.
    if let Some(callees_first) = cycles::callees_first(&whole, diagnostics) {
        let flows = flow::follow(&whole, &callees_first);
        overload::check(&whole, &flows, diagnostics);
        endpoints::check(&whole, &flows, diagnostics);
        canaries::check_samples(&whole, &flows, diagnostics);
    }
}
