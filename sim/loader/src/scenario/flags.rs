//! Response flags of sidecars, as measures name them.

use super::forms;
use super::indicators::the_service;
use super::names::Names;
use super::reader::Reader;
use crate::diagnostic::Code;
use crate::shape::{Field, Kind};
use crate::tree::Node;
use cloud::envoy::flags::Flag;
use cloud::scenario::{FlagFilter, Quantity};

/// Flags that sidecars of a scenario set.
const FLAGS: &[&str] = &[
    "UH", "UF", "UO", "UC", "UT", "NR", "NC", "URX", "DC", "DI", "FI", "RL", "UAEX", "DR", "SI",
    "DT", "RLSE",
];

pub(super) const FLAG: Field = Field::modelled("flag", Kind::OneOf(FLAGS))
    .doc("Which of Envoy's response flags: `flagged`, the share of requests that sidecars log with it, those of who asks, or for `RL`, `UAEX`, `RLSE` and `DR` of who is asked.");

/// The share of requests with a flag.
pub(super) fn quantity(
    node: &Node,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> Option<Quantity> {
    let Some(letters) = forms::text(node, "flag") else {
        reader
            .diagnostics
            .report(Code::MissingField, node.span, "`flagged` needs a flag")
            .help("say which, as `flag: UO`");
        return None;
    };
    let flag = Flag::of(letters)?;
    if let Some(key) = ["from", "until"]
        .into_iter()
        .find(|key| node.get(key).is_some())
    {
        let message = format!("`flagged` is counted over the whole run, not by `{key}`");
        reader
            .diagnostics
            .report(Code::Conflict, node.span, message)
            .help("leave the window out");
        return None;
    }
    let source = match node.get("workload") {
        Some(_) => Some(names.the_workload(node, reader)?),
        None => None,
    };
    let cluster = names.cluster(node, reader).ok()?;
    let service = match node.get("service") {
        Some(_) => Some(the_service(node, cluster, names, reader)?),
        None => None,
    };
    Some(Quantity::Flagged(FlagFilter {
        flag,
        source,
        service,
    }))
}
