//! What a kind looks like, written down once: from the same static tables come type checks,
//! warnings about unknown fields, the ledger, and the JSON Schema.

mod check;
mod nearest;
mod schema;

pub use check::{Account, check};
pub use nearest::nearest;
pub use schema::json_schema;

/// A map with known fields.
#[derive(Debug)]
pub struct Shape {
    /// Its name in messages and in the JSON Schema, unique.
    pub name: &'static str,
    /// One line about it.
    pub doc: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
    /// What any other key is, where the keys are free but some of them mean more.
    pub rest: Option<&'static Field>,
    /// Whether exactly one of the fields must be there.
    pub exactly_one: bool,
}

/// A field of a [`Shape`].
#[derive(Debug)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What becomes of it. No field below acts more than this one.
    pub status: Status,
    /// One line about it; may be empty where the product documents it.
    pub doc: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// What it is if it is not there, for editors and skeletons.
    pub default: Option<fn() -> serde_json::Value>,
}

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It acts as it does in the product.
    Modelled,
    /// It acts in a simpler way, namely so.
    Approximated(&'static str),
    /// It has no influence, for this reason.
    Ignored(&'static str),
}

impl Status {
    /// What becomes of a field below one of which `outer` holds.
    pub fn within(self, outer: Status) -> Status {
        match (outer, self) {
            (Status::Ignored(_), Status::Ignored(_))
            | (Status::Approximated(_), Status::Approximated(_) | Status::Ignored(_))
            | (Status::Modelled, _) => self,
            _ => outer,
        }
    }
}

/// What a field takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A string.
    Text,
    /// A string or a number that is read as its text: `1.33` and `"1.33"` alike.
    Word,
    /// A boolean.
    Bool,
    /// An integer within bounds, both included.
    Integer(i64, i64),
    /// A number within bounds, both included.
    Number(f64, f64),
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// Text, or a bare number, of a form of its own.
    Format(&'static Format),
    /// A map with known fields.
    Map(&'static Shape),
    /// A map with free keys and such values.
    Keyed(&'static Kind),
    /// A list of such items.
    List(&'static Kind),
    /// The first of these that takes the form of the value (scalar, list, map).
    Either(&'static [Kind]),
    /// Anything; counted as one, not looked into.
    Opaque,
}

/// A form of text, such as a quantity.
#[derive(Debug)]
pub struct Format {
    /// What it is called in messages, with its article.
    pub name: &'static str,
    /// What it looks like.
    pub examples: &'static str,
    /// Regular expression for editors.
    pub pattern: &'static str,
    /// Why a text is none, or nothing.
    pub check: fn(&str) -> Result<(), String>,
}

/// Any integer.
pub const INTEGER: Kind = Kind::Integer(i64::MIN, i64::MAX);
/// An integer from zero.
pub const NATURAL: Kind = Kind::Integer(0, i32::MAX as i64);
/// A port number.
pub const PORT: Kind = Kind::Integer(1, 65_535);
/// A map from strings to strings.
pub const TEXT_MAP: Kind = Kind::Keyed(&Kind::Text);
/// A list of strings.
pub const TEXT_LIST: Kind = Kind::List(&Kind::Text);

impl Shape {
    /// A map with these fields.
    pub const fn new(name: &'static str, fields: &'static [Field]) -> Shape {
        Shape {
            name,
            doc: "",
            fields,
            rest: None,
            exactly_one: false,
        }
    }

    /// A map with exactly one of these fields.
    pub const fn choice(name: &'static str, fields: &'static [Field]) -> Shape {
        Shape {
            name,
            doc: "",
            fields,
            rest: None,
            exactly_one: true,
        }
    }

    /// Allows any other key, with such a value; the name of the field is not used.
    pub const fn or_else(self, rest: &'static Field) -> Shape {
        Shape {
            rest: Some(rest),
            ..self
        }
    }

    /// Says what it is.
    pub const fn doc(self, doc: &'static str) -> Shape {
        Shape { doc, ..self }
    }

    /// A field by its key.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Field {
    /// A field that acts as it does in the product.
    pub const fn modelled(name: &'static str, kind: Kind) -> Field {
        Field {
            name,
            kind,
            status: Status::Modelled,
            doc: "",
            required: false,
            default: None,
        }
    }

    /// A field that acts in a simpler way.
    pub const fn approximated(name: &'static str, kind: Kind, how: &'static str) -> Field {
        Field {
            name,
            kind,
            status: Status::Approximated(how),
            doc: "",
            required: false,
            default: None,
        }
    }

    /// A field without influence.
    pub const fn ignored(name: &'static str, kind: Kind, why: &'static str) -> Field {
        Field {
            name,
            kind,
            status: Status::Ignored(why),
            doc: "",
            required: false,
            default: None,
        }
    }

    /// Demands the field.
    pub const fn required(self) -> Field {
        Field {
            required: true,
            ..self
        }
    }

    /// Says what it is if it is not there.
    pub const fn default(self, default: fn() -> serde_json::Value) -> Field {
        Field {
            default: Some(default),
            ..self
        }
    }

    /// Says what it is for.
    pub const fn doc(self, doc: &'static str) -> Field {
        Field { doc, ..self }
    }
}
