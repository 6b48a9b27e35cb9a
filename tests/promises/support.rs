//! What several promises need.

use cloud::scenario::Scenario;
use loader::{File, Loaded, Nothing};

/// Loads one text.
pub fn load(name: &str, text: &str) -> Loaded {
    let file = File {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    loader::load(&[file], &Nothing)
}

/// The scenario of a text that stands alone.
///
/// # Panics
/// With what the loader says, if it is none.
pub fn scenario(text: &str) -> Scenario {
    let loaded = load("scenario.yaml", text);
    loaded
        .scenario
        .unwrap_or_else(|| panic!("{:#?}\n{text}", loaded.diagnostics))
}
