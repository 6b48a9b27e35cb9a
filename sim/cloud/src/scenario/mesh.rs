//! The service mesh of a cluster.

/// Istio, as it is installed in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mesh {
    /// Minor version, 30 for 1.30; decides defaults that changed over time.
    pub istio_minor: u32,
}
