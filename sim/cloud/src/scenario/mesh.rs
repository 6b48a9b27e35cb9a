//! The service mesh of a cluster.

use crate::istio::drain::NativeSidecars;
use engine::Time;

/// Istio, as it is installed in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mesh {
    /// Minor version, 30 for 1.30; decides defaults that changed over time.
    pub istio_minor: u32,
    /// The root of all certificates, if it may end within the run.
    pub root: Option<RootCertificate>,
    /// What istiod is told of native sidecars (`ENABLE_NATIVE_SIDECARS`).
    pub native_sidecars: NativeSidecars,
}

impl Mesh {
    /// A minor version as it comes, whose root outlasts every run.
    pub fn new(istio_minor: u32) -> Mesh {
        Mesh {
            istio_minor,
            root: None,
            native_sidecars: NativeSidecars::Unsaid,
        }
    }
}

/// The root that all certificates of a mesh hang from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootCertificate {
    /// Until when it counts.
    pub until: Time,
    /// Whose it is.
    pub issuer: RootIssuer,
}

/// Who made the root of a mesh, and renews it or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootIssuer {
    /// Its operator, who has plugged it in (the Secret `cacerts`): nobody renews it.
    Operator,
    /// istiod itself, which renews it in the last fifth of its life.
    Istiod,
}
