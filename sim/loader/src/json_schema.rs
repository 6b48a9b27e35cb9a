//! The JSON Schema of the Scenario kind, for editors that check and complete while one writes.

use crate::scenario::SCENARIO;
use crate::shape;
use serde_json::{Value, json};

/// JSON Schema (draft 2020-12) of a Scenario, from the same tables that it is read by.
pub fn json_schema() -> Value {
    let mut schema = shape::json_schema(&SCENARIO);
    let of_scenario = &mut schema["$defs"][SCENARIO.name]["properties"];
    for (key, value) in [
        ("apiVersion", "hybridsim.dev/v1alpha1"),
        ("kind", "Scenario"),
    ] {
        of_scenario[key] = json!({"const": value});
    }
    schema
}
