//! Namespace.

use super::metadata::{API_VERSION, KIND, METADATA, STATUS};
use crate::shape::{Field, Kind, Shape};

/// Fields of a Namespace.
pub(super) static NAMESPACE: Shape = Shape::new(
    "Namespace",
    &[
        API_VERSION,
        KIND,
        METADATA,
        Field::ignored("spec", Kind::Opaque, "holds nothing but finalizers"),
        STATUS,
    ],
);
