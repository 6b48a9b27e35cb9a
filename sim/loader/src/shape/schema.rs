//! The JSON Schema of a shape, for editors.

use super::{Field, Kind, Shape};
use serde_json::{Map, Value, json};

/// JSON Schema (draft 2020-12) of a shape, with the shapes that it refers to under `$defs`.
pub fn json_schema(shape: &'static Shape) -> Value {
    let mut writer = Writer {
        definitions: Map::new(),
    };
    writer.define(shape);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": shape.name,
        "$ref": reference(shape),
        "$defs": writer.definitions,
    })
}

fn reference(shape: &Shape) -> String {
    format!("#/$defs/{}", shape.name)
}

struct Writer {
    definitions: Map<String, Value>,
}

impl Writer {
    fn define(&mut self, shape: &'static Shape) {
        if self.definitions.contains_key(shape.name) {
            return;
        }
        // The place is taken first, because shapes may contain themselves.
        self.definitions.insert(shape.name.to_owned(), Value::Null);
        let properties: Map<String, Value> = shape
            .fields
            .iter()
            .map(|field| (field.name.to_owned(), self.field(field)))
            .collect();
        let mut schema = json!({
            "type": "object",
            "properties": properties,
            "additionalProperties": shape.rest.map_or(json!(false), |rest| self.field(rest)),
        });
        let required: Vec<_> = shape
            .fields
            .iter()
            .filter(|field| field.required)
            .map(|field| field.name)
            .collect();
        if !shape.doc.is_empty() {
            schema["description"] = json!(shape.doc);
        }
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        if shape.exactly_one {
            schema["minProperties"] = json!(1);
            schema["maxProperties"] = json!(1);
        }
        self.definitions.insert(shape.name.to_owned(), schema);
    }

    fn field(&mut self, field: &'static Field) -> Value {
        let mut schema = self.kind(&field.kind);
        if !field.doc.is_empty() {
            schema["description"] = json!(field.doc);
        }
        if let Some(default) = field.default {
            schema["default"] = default();
        }
        schema
    }

    fn kind(&mut self, kind: &'static Kind) -> Value {
        match kind {
            Kind::Text => json!({"type": "string"}),
            Kind::Word => json!({"type": ["string", "number"]}),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::Integer(least, greatest) => {
                let mut schema = json!({"type": "integer"});
                if *least > i64::MIN {
                    schema["minimum"] = json!(least);
                }
                if *greatest < i64::MAX {
                    schema["maximum"] = json!(greatest);
                }
                schema
            }
            Kind::Number(least, greatest) => {
                let mut schema = json!({"type": "number"});
                if least.is_finite() {
                    schema["minimum"] = json!(least);
                }
                if greatest.is_finite() {
                    schema["maximum"] = json!(greatest);
                }
                schema
            }
            Kind::OneOf(values) => json!({"enum": values}),
            Kind::Format(format) => {
                let text = json!({"type": "string", "pattern": format.pattern});
                match ["0", "1"].map(|number| (format.check)(number).is_ok()) {
                    [_, true] => json!({"anyOf": [text, {"type": "number"}]}),
                    [true, false] => json!({"anyOf": [text, {"const": 0}]}),
                    [false, false] => text,
                }
            }
            Kind::Map(shape) => {
                self.define(shape);
                json!({"$ref": reference(shape)})
            }
            Kind::Keyed(inner) => {
                json!({"type": "object", "additionalProperties": self.kind(inner)})
            }
            Kind::List(inner) => json!({"type": "array", "items": self.kind(inner)}),
            Kind::Either(kinds) => {
                let kinds: Vec<_> = kinds.iter().map(|kind| self.kind(kind)).collect();
                json!({"anyOf": kinds})
            }
            Kind::Opaque => json!({}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{PORT, TEXT_LIST};

    static TREE: Shape = Shape::new(
        "Tree",
        &[
            Field::modelled("port", PORT).required().doc("Where."),
            Field::modelled("below", Kind::Either(&[Kind::Map(&TREE), TEXT_LIST])),
        ],
    )
    .doc("A tree.");

    #[test]
    fn a_shape_that_contains_itself_is_written_once() {
        assert_eq!(
            json_schema(&TREE),
            json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": "Tree",
                "$ref": "#/$defs/Tree",
                "$defs": {"Tree": {
                    "type": "object",
                    "description": "A tree.",
                    "properties": {
                        "port": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "Where."},
                        "below": {"anyOf": [
                            {"$ref": "#/$defs/Tree"},
                            {"type": "array", "items": {"type": "string"}},
                        ]},
                    },
                    "additionalProperties": false,
                    "required": ["port"],
                }},
            })
        );
    }
}
