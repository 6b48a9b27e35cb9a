//! What `workloads` and `behavior` say about workloads, and what is assumed about the others.

use super::build::Places;
use super::names::{Names, short};
use super::reader::Reader;
use super::timeline::Applied;
use super::{behavior, forms, machines, workloads};
use crate::assembly::{Assembly, Defaults};
use crate::diagnostic::{Code, Diagnostics};
use crate::source::Span;
use crate::tree::Node;
use cloud::facts;
use cloud::scenario::{Change, ClusterId, WorkloadId, WorkloadKind};
use std::collections::{BTreeMap, BTreeSet};

/// What every workload does until somebody says otherwise.
pub(super) fn defaults() -> Defaults {
    // Whether the facts count as leaned on is decided where nothing else is said.
    let mut nobody = Diagnostics::default();
    let mut reader = Reader::new(&mut nobody);
    Defaults {
        station: behavior::default_station(&mut reader),
        behavior: behavior::default_behavior(&mut reader),
    }
}

/// Gives workloads what `workloads` and `behavior` say about them, also as `apply` changes them.
pub(super) fn describe(
    spec: &Node,
    assemblies: &mut [Assembly],
    applied: &mut Applied,
    ideal: bool,
    written: &mut Places,
    reader: &mut Reader<'_>,
) {
    let names = Names::new(assemblies, ideal);
    let described = described(spec, &names, reader);
    let said: Vec<_> = described
        .iter()
        .map(|(&at, description)| (at, behavior::read(description.node, at, &names, reader)))
        .collect();
    assume_behavior(&names, &described, reader);
    for (at, assembly) in names.clusters().map(|(id, _)| id).zip(names.assemblies) {
        for (position, origin) in assembly.origins.iter().enumerate() {
            written
                .workloads
                .insert((at, WorkloadId::from(position)), origin.span);
        }
    }
    for (at, description) in &described {
        written.workloads.insert(*at, description.span);
    }
    for ((cluster, workload), all) in said {
        let assembly = &mut assemblies[cluster.index()];
        let now = &mut assembly.cluster.workloads[workload.index()].template;
        let mut unused = all.images.clone();
        let mut used = BTreeSet::new();
        let later = applied.values_mut().filter(|(of, _)| *of == cluster);
        let later = later.flat_map(|(_, changes)| changes);
        let later = later.filter_map(|change| match change {
            Change::Template(of, template) if *of == workload => Some(&mut **template),
            _ => None,
        });
        for template in std::iter::once(now).chain(later) {
            all.of(template).describe(template);
            if let Some(image) = &template.image {
                unused.remove(&image.name);
                used.insert(image.name.clone());
            }
        }
        for (image, (span, _)) in &unused {
            let message = format!("no pod is ever made from the image `{image}`");
            let known = used.iter().map(String::as_str);
            reader.unknown(Code::UnknownImage, *span, message, known);
        }
        for (step, call, span) in all.said.calls {
            written.calls.insert((cluster, workload, step, call), span);
        }
    }
}

/// What is said about one workload, and how precisely it is named.
struct Description<'n> {
    node: &'n Node,
    span: Span,
    of_one_cluster: bool,
}

fn described<'n>(
    spec: &'n Node,
    names: &Names<'_>,
    reader: &mut Reader<'_>,
) -> BTreeMap<(ClusterId, WorkloadId), Description<'n>> {
    let mut described = BTreeMap::new();
    for (name, node, span) in workloads::entries(spec) {
        let inline = names.workloads().filter(|(.., workload)| {
            workload.kind == WorkloadKind::Inline && workload.name == name
        });
        for (cluster, workload, _) in inline {
            let description = Description {
                node,
                span,
                of_one_cluster: false,
            };
            described.insert((cluster, workload), description);
        }
    }
    for (name, node, span) in machines::entries(spec) {
        let of_name = names.workloads().filter(|(cluster, id, workload)| {
            let cluster = names.clusters[cluster.index()];
            workload.name == name && cluster.machines_of(*id).is_some()
        });
        for (cluster, workload, _) in of_name {
            let description = Description {
                node,
                span,
                of_one_cluster: false,
            };
            described.insert((cluster, workload), description);
        }
    }
    let all = spec.get("behavior").map_or(&[][..], Node::entries);
    for entry in all {
        let found = names.matching(&entry.key, None);
        if found.is_empty() {
            names.unknown_workload(&entry.key, entry.key_span, reader);
        }
        for pair in found.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let message = format!("`{}` can mean several workloads", entry.key);
            reader
                .diagnostics
                .report(Code::AmbiguousName, entry.key_span, message)
                .help(format!(
                    "write `{}` or `{}`",
                    names.full_name(pair[0]),
                    names.full_name(pair[1])
                ));
        }
        let clusters = names.clusters.iter();
        let of_one_cluster = clusters
            .filter(|cluster| entry.key.starts_with(&format!("{}/", cluster.name)))
            .any(|_| found.len() == 1 && names.clusters.len() > 1);
        for at in found {
            let description = Description {
                node: &entry.value,
                span: entry.key_span,
                of_one_cluster,
            };
            match described.get(&at) {
                Some(known) if known.of_one_cluster == of_one_cluster => {
                    let message = format!("`{}` is described twice", names.full_name(at));
                    reader
                        .diagnostics
                        .report(Code::DuplicateName, entry.key_span, message)
                        .help(format!(
                            "it is described on line {} already",
                            known.span.line
                        ));
                }
                Some(known) if known.of_one_cluster => {}
                _ => {
                    described.insert(at, description);
                }
            }
        }
    }
    described
}

/// States what was assumed about workloads that serve requests and that nobody described.
fn assume_behavior(
    names: &Names<'_>,
    described: &BTreeMap<(ClusterId, WorkloadId), Description<'_>>,
    reader: &mut Reader<'_>,
) {
    let mut unknown = BTreeSet::new();
    for (cluster, id, workload) in names.workloads() {
        let assembly = &names.assemblies[cluster.index()];
        let serves = assembly
            .cluster
            .services
            .iter()
            .any(|service| service.backends.contains(&id));
        if serves
            && !assembly.origins[id.index()].is_proxy
            && !described.contains_key(&(cluster, id))
        {
            unknown.insert(short(&workload.namespace, &workload.name));
        }
    }
    if unknown.is_empty() {
        return;
    }
    behavior::default_behavior(reader);
    behavior::default_station(reader);
    let unknown: Vec<_> = unknown.into_iter().collect();
    reader.assume(format!(
        "Nothing says what {} do with a request: service times of {} on average (lognormal, standard deviation {} times that), {} workers per pod and no calls to others were assumed. Which service calls which cannot be seen in manifests: say it under `behavior`.",
        unknown.join(", "),
        forms::show_duration(facts::SERVICE_TIME.value),
        facts::SERVICE_TIME_VARIATION.value,
        facts::WORKERS.value,
    ));
}
