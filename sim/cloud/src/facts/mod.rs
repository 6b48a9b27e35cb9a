//! Every default number of the simulator: value, unit, product and version range, where it
//! comes from, and how good that evidence is. No literal default lives anywhere else.
//!
//! Must never know anything else: a fact does not say who uses it.
//!
//! A file of this folder is one list; [`all`] sees every fact because the list that declares
//! the statics also declares their rows.

mod addresses;
mod autoscaling;
mod canaries;
mod cluster_dns;
mod control_plane;
mod defaults;
mod envoy;
mod istio;
mod istio_config;
mod kubernetes;
mod network;
mod pods;
mod proxies;
mod regions;
mod service_rules;
mod ztunnel;

pub use addresses::*;
pub use autoscaling::*;
pub use canaries::*;
pub use cluster_dns::*;
pub use control_plane::*;
pub use defaults::*;
pub use envoy::*;
pub use istio::*;
pub use istio_config::*;
pub use kubernetes::*;
pub use network::*;
pub use pods::*;
pub use proxies::*;
pub use regions::*;
pub use service_rules::*;
pub use ztunnel::*;

use engine::Duration;

/// A number with its evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fact<T: 'static> {
    /// Stable identifier, as `kubernetes.kube-proxy.min-sync-period`.
    pub id: &'static str,
    /// The value.
    pub value: T,
    /// Its unit for people; empty for counts.
    pub unit: &'static str,
    /// What it is a fact of.
    pub product: &'static str,
    /// Versions it holds for.
    pub versions: &'static str,
    /// Public source, or the reasoning behind an assumption.
    pub citation: &'static str,
    /// How good the evidence is.
    pub grade: Grade,
}

/// How good the evidence of a fact is, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Read in the product's source code.
    Source,
    /// Read in the product's documentation.
    Documentation,
    /// Measured on a running system.
    Measurement,
    /// Chosen because nothing better is known.
    Assumption,
}

impl Grade {
    /// Name for reports.
    pub fn name(self) -> &'static str {
        match self {
            Grade::Source => "source",
            Grade::Documentation => "documentation",
            Grade::Measurement => "measurement",
            Grade::Assumption => "assumption",
        }
    }
}

/// A fact as text, for lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactRow {
    /// Stable identifier.
    pub id: &'static str,
    /// Value with its unit.
    pub value: String,
    /// What it is a fact of.
    pub product: &'static str,
    /// Versions it holds for.
    pub versions: &'static str,
    /// Public source, or the reasoning behind an assumption.
    pub citation: &'static str,
    /// How good the evidence is.
    pub grade: Grade,
}

/// All facts, ascending by identifier.
pub fn all() -> Vec<FactRow> {
    let mut rows = [
        addresses::rows(),
        autoscaling::rows(),
        canaries::rows(),
        cluster_dns::rows(),
        control_plane::rows(),
        defaults::rows(),
        envoy::rows(),
        istio::rows(),
        istio_config::rows(),
        kubernetes::rows(),
        network::rows(),
        pods::rows(),
        proxies::rows(),
        regions::rows(),
        service_rules::rows(),
        ztunnel::rows(),
    ]
    .concat();
    rows.sort_by_key(|row| row.id);
    rows
}

/// The fact with this identifier, if there is one.
pub fn find(id: &str) -> Option<FactRow> {
    all().into_iter().find(|row| row.id == id)
}

/// What a fact may hold: something that can be shown in its unit.
pub trait FactValue {
    /// The value as text, with its unit.
    fn show(&self, unit: &str) -> String;
}

/// A number and its unit, without a trailing blank when there is no unit.
fn with_unit(number: String, unit: &str) -> String {
    match unit {
        "" => number,
        _ => format!("{number} {unit}"),
    }
}

impl FactValue for Duration {
    fn show(&self, unit: &str) -> String {
        let nanos_per_unit = match unit {
            "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            _ => panic!("a duration is shown in µs, ms or s, not in {unit:?}"),
        };
        with_unit((self.as_nanos() as f64 / nanos_per_unit).to_string(), unit)
    }
}

macro_rules! shown_by_display {
    ($($type:ty),*) => {$(
        impl FactValue for $type {
            fn show(&self, unit: &str) -> String {
                with_unit(self.to_string(), unit)
            }
        }
    )*};
}
shown_by_display!(u32, u64, f64, &'static str);

impl<T> Fact<T>
where
    T: FactValue,
{
    fn row(&self) -> FactRow {
        FactRow {
            id: self.id,
            value: self.value.show(self.unit),
            product: self.product,
            versions: self.versions,
            citation: self.citation,
            grade: self.grade,
        }
    }
}

/// Declares a list of facts and the `rows` function that shows them all.
macro_rules! facts {
    ($(
        $(#[$doc:meta])*
        $name:ident: $type:ty = $value:expr, $unit:literal, $id:literal,
        $product:literal, $versions:literal, $grade:ident, $citation:expr;
    )*) => {
        $(
            $(#[$doc])*
            pub static $name: crate::facts::Fact<$type> = crate::facts::Fact {
                id: $id,
                value: $value,
                unit: $unit,
                product: $product,
                versions: $versions,
                citation: $citation,
                grade: crate::facts::Grade::$grade,
            };
        )*

        /// All facts of this file.
        pub(super) fn rows() -> Vec<crate::facts::FactRow> {
            vec![$($name.row()),*]
        }
    };
}
use facts;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_unique_and_ascending() {
        let listed = all();
        assert!(listed.len() > 70, "{} facts", listed.len());
        for pair in listed.windows(2) {
            assert!(pair[0].id < pair[1].id, "{} twice", pair[0].id);
        }
    }

    #[test]
    fn every_fact_says_where_it_comes_from() {
        for row in all() {
            assert!(
                row.id
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c)),
                "{}",
                row.id
            );
            assert!(row.citation.len() > 20, "{} has no citation", row.id);
            assert!(!row.value.is_empty() && !row.product.is_empty() && !row.versions.is_empty());
        }
    }

    #[test]
    fn values_are_shown_in_their_units() {
        let value = |id| find(id).unwrap().value;
        assert_eq!(value("kubernetes.kube-proxy.min-sync-period"), "1 s");
        assert_eq!(value("kubernetes.endpointslice.delay"), "11 ms");
        assert_eq!(value("network.same-node.rtt"), "50 µs");
        assert_eq!(value("tcp.syn-retries"), "6");
    }

    #[test]
    fn the_grace_period_depends_on_the_version() {
        assert_eq!(node_monitor_grace_period(31).value, Duration::from_secs(40));
        assert_eq!(node_monitor_grace_period(32).value, Duration::from_secs(50));
    }
}
