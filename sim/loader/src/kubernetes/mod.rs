//! Kubernetes objects: what each kind looks like, and what is kept of it.

pub mod kinds;
pub mod metadata;
mod namespace;

pub use metadata::Metadata;
