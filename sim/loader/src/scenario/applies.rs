//! Every `apply` of the timeline, in the order in which they happen.

use super::clusters::ClusterPlan;
use super::forms;
use super::reader::Reader;
use crate::diagnostic::Code;
use crate::source::Span;
use crate::tree::Node;
use engine::Time;

/// One of them.
pub(super) struct Apply {
    /// When.
    at: Time,
    /// Position in the text.
    pub(super) written: usize,
    /// Position of the cluster.
    pub(super) cluster: usize,
    /// What is applied.
    pub(super) path: String,
    /// Where that is written.
    pub(super) span: Span,
}

/// Reads them, in the order in which they happen.
pub(super) fn read(spec: &Node, plans: &[ClusterPlan], reader: &mut Reader<'_>) -> Vec<Apply> {
    let mut applies = Vec::new();
    for (written, node) in spec.list("timeline").iter().enumerate() {
        let (Some(path), Some(at)) = (node.get("apply"), forms::duration(node, "at")) else {
            continue;
        };
        let cluster = match node
            .get("cluster")
            .and_then(|name| Some((name.str()?, name.span)))
        {
            Some((name, span)) => {
                let position = plans.iter().position(|plan| plan.frame.name == name);
                if position.is_none() {
                    let message = format!("there is no cluster `{name}`");
                    let known = plans.iter().map(|plan| plan.frame.name.as_str());
                    reader.unknown(Code::UnknownCluster, span, message, known);
                }
                position
            }
            None if plans.len() == 1 => Some(0),
            None => {
                reader
                    .diagnostics
                    .report(
                        Code::AmbiguousName,
                        node.span,
                        "`apply` does not say to which cluster",
                    )
                    .help("add `cluster:`; for several clusters write several entries");
                None
            }
        };
        if let (Some(cluster), Some(name)) = (cluster, path.str()) {
            applies.push(Apply {
                at: Time::ZERO.saturating_add(at),
                written,
                cluster,
                path: name.to_owned(),
                span: path.span,
            });
        }
    }
    applies.sort_by_key(|apply| apply.at);
    applies
}

pub(super) fn nothing_changes(apply: &Apply, reader: &mut Reader<'_>) {
    let message = format!("applying `{}` changes nothing that is modelled", apply.path);
    reader
        .diagnostics
        .report(Code::NothingChanges, apply.span, message)
        .help("replicas, pod templates, new workloads, what services select, and routes take effect at a time");
}
