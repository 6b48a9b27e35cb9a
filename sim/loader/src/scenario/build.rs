//! Puts the groups of a Scenario together.

use super::clusters::ClusterPlan;
use super::measures::Scope;
use super::names::{Names, short};
use super::timeline::Applied;
use super::traffic::Surroundings;
use super::{
    Reader, SCENARIO, behavior, clusters, entries, forms, measures, merge, places, provisioner,
    run, timeline, traffic, workloads,
};
use crate::assembly::{Assembly, Defaults, assemble};
use crate::checks;
use crate::diagnostic::{Code, Diagnostics};
use crate::document::Document;
use crate::kubernetes::Objects;
use crate::ledger::Ledger;
use crate::shape::{Account, check};
use crate::source::Span;
use crate::sources::Sources;
use crate::tree::{Entry, Node, Value};
use cloud::facts;
use cloud::scenario::{
    Arrivals, Change, ClusterId, NetworkModel, RateProfile, Scenario, ServiceKind, WorkloadId,
    WorkloadKind,
};
use engine::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Where the parts of a scenario are written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// Traffic, as in the scenario.
    pub(crate) traffic: Vec<Span>,
    /// Timeline, as in the scenario.
    pub(crate) timeline: Vec<Span>,
    /// Calls, by caller, step and position within the step.
    pub(crate) calls: BTreeMap<(ClusterId, WorkloadId, usize, usize), Span>,
    /// What is said about each workload, else the workload itself.
    pub(crate) workloads: BTreeMap<(ClusterId, WorkloadId), Span>,
    /// How the run goes.
    pub(crate) run: Span,
}

/// A scenario and its variants, each with its name.
pub(crate) type Found = (Option<Scenario>, Vec<(String, Scenario)>);

/// Reads all texts of `sources` and whatever their Scenario names.
pub(crate) fn load(
    sources: &mut Sources<'_>,
    ledger: &mut Ledger,
    diagnostics: &mut Diagnostics,
) -> Found {
    let (inputs, document) = open(sources, ledger, diagnostics);
    let mut builder = Builder {
        sources,
        ledger,
        inputs: &inputs,
        work_left: WORK_MAX,
    };
    let found = match &document {
        Some(document) => builder.said(document, diagnostics),
        None => (builder.unsaid(diagnostics), Vec::new()),
    };
    builder.only_one_scenario(document.as_ref(), diagnostics);
    found
}

/// What is found in manifests alone.
pub(crate) struct Survey {
    /// The cluster that the manifests make.
    pub(crate) assembly: Assembly,
    /// Where requests can enter.
    pub(crate) entries: Vec<entries::Entry>,
    /// A name for a scenario of them.
    pub(crate) name: String,
    /// Names of the files.
    pub(crate) manifests: Vec<String>,
}

/// Looks at the manifests handed in, whatever a Scenario among them says.
pub(crate) fn survey(
    sources: &mut Sources<'_>,
    ledger: &mut Ledger,
    diagnostics: &mut Diagnostics,
) -> Survey {
    let (inputs, _) = open(sources, ledger, diagnostics);
    let manifests = inputs.iter().map(|&position| &sources.files()[position]);
    let manifests: Vec<_> = manifests.map(|file| file.name.clone()).collect();
    let name = name_of_files(&manifests);
    let mut builder = Builder {
        sources,
        ledger,
        inputs: &inputs,
        work_left: WORK_MAX,
    };
    let mut reader = Reader::new(diagnostics);
    let spec = empty(Span::default());
    let plans = clusters::read(&spec, false, &mut reader);
    let (mut assemblies, _, entries) = builder.assemble(&spec, &plans, false, &mut reader);
    Survey {
        assembly: assemblies.remove(0),
        entries,
        name,
        manifests,
    }
}

/// Reads the files handed in, and finds the Scenario among them.
fn open(
    sources: &mut Sources<'_>,
    ledger: &mut Ledger,
    diagnostics: &mut Diagnostics,
) -> (Vec<usize>, Option<Document>) {
    let inputs: Vec<usize> = (0..sources.files().len()).collect();
    sources.read_documents(&inputs, ledger, diagnostics);
    let document = sources
        .documents(&inputs)
        .find(|document| is_scenario(document))
        .cloned();
    if let Some(document) = &document {
        sources.relative_to(document.file);
    }
    (inputs, document)
}

fn is_scenario(document: &Document) -> bool {
    document.kind.kind == "Scenario"
}

struct Builder<'b, 'a> {
    sources: &'b mut Sources<'a>,
    ledger: &'b mut Ledger,
    /// Files that were handed in: their manifests belong to every cluster.
    inputs: &'b [usize],
    /// How many documents may still be read into clusters, each time counted.
    work_left: usize,
}

/// Documents times clusters times stages times variants: some seconds of work.
const WORK_MAX: usize = 1_000_000;

impl Builder<'_, '_> {
    /// What a Scenario says, and its variants.
    fn said(&mut self, document: &Document, diagnostics: &mut Diagnostics) -> Found {
        let root = &document.root;
        let name = scenario_name(document, diagnostics);
        let nothing = empty(root.span);
        let spec = root.get("spec").unwrap_or(&nothing);
        let scenario = self.build(spec, name.clone(), None, diagnostics);
        let mut variants = Vec::new();
        for (variant, patch) in patches(spec, diagnostics) {
            let before = diagnostics.count();
            let patched = patched(root, spec, patch, diagnostics);
            let name = format!("{name}-{variant}");
            if let Some(scenario) = self.build(&patched, name, Some(&variant), diagnostics) {
                variants.push((variant.clone(), scenario));
            }
            diagnostics.annotate_new(before, &format!(" (in variant `{variant}`)"));
        }
        check_variants(spec, diagnostics);
        (scenario, variants)
    }

    /// The scenario of somebody who has manifests and no Scenario.
    fn unsaid(&mut self, diagnostics: &mut Diagnostics) -> Option<Scenario> {
        let anything = self.sources.documents(self.inputs).next();
        let Some(first) = anything else {
            // What cannot be read may well have been something.
            if !diagnostics.has_errors() {
                let message = "the files hold nothing to simulate";
                diagnostics
                    .report(Code::NothingToSimulate, None, message)
                    .help("name manifests with workloads and services, or a file with a Scenario");
            }
            return None;
        };
        let names = self.sources.files().iter().map(|file| file.name.clone());
        let name = name_of_files(&names.collect::<Vec<_>>());
        self.build(
            &empty(Span::start_of_file(first.file)),
            name,
            None,
            diagnostics,
        )
    }

    /// Reports every Scenario but the one that counts.
    fn only_one_scenario(&self, counts: Option<&Document>, diagnostics: &mut Diagnostics) {
        let Some(counts) = counts else {
            return;
        };
        let all: Vec<usize> = (0..self.sources.files().len()).collect();
        for document in self.sources.documents(&all) {
            let same = document.file == counts.file && document.root.span == counts.root.span;
            if is_scenario(document) && !same {
                let line = counts.root.span.line;
                let file = &self.sources.files()[counts.file as usize].name;
                let span = document.metadata.span;
                diagnostics
                    .report(Code::ManyScenarios, span, "there is more than one Scenario")
                    .help(format!("the first one is in {file} on line {line}; run them one by one, or make one a variant of the other"));
            }
        }
    }

    fn build(
        &mut self,
        spec: &Node,
        name: String,
        variant: Option<&str>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Scenario> {
        if !within_limits(spec, diagnostics) {
            return None;
        }
        let mut reader = Reader::new(diagnostics);
        let reader = &mut reader;
        let ideal = forms::text(spec, "network") == Some("ideal");
        let plans = clusters::read(spec, ideal, reader);
        workloads::check_clusters(spec, &plans, reader);
        if ideal {
            check_ideal(spec, &plans, reader);
        }
        let (mut assemblies, mut applied, found) = self.assemble(spec, &plans, ideal, reader);
        let mut written = Places {
            run: spec.get("run").map_or(spec.span, |run| run.span),
            ..Places::default()
        };
        describe(
            spec,
            &mut assemblies,
            &mut applied,
            ideal,
            &mut written,
            reader,
        );
        let assumed = assume_traffic(spec, &found, &mut assemblies, reader);
        let assumed = entries::as_traffic(&assumed, spec.span);
        let asked = if spec.get("traffic").is_some() {
            spec
        } else {
            &assumed
        };

        let names = Names::new(&assemblies, ideal);
        let declared: Vec<_> = places::users(spec, reader)
            .into_iter()
            .map(|(place, _)| place)
            .collect();
        let mut around = Surroundings {
            users: declared.clone(),
            declared,
            global_names: places::global_names(spec, &names, reader)
                .into_iter()
                .map(|(name, _)| name)
                .collect(),
        };
        let traffic = traffic::read(asked, &names, &mut around, self.sources, reader);
        around
            .users
            .sort_by(|left, right| left.name.cmp(&right.name));
        around.users.dedup();
        around
            .global_names
            .sort_by(|left, right| left.host.cmp(&right.host));
        around
            .global_names
            .dedup_by(|left, right| left.host == right.host);
        written.traffic = traffic.iter().map(|said| said.span).collect();
        let traffic = traffic::finish(traffic, &around);

        let links = places::links(spec, &names, &around.users, reader);
        let timeline = timeline::read(spec, &names, &around.users, &applied, reader);
        written.timeline = timeline.iter().map(|said| said.span).collect();
        let changes = traffic
            .iter()
            .any(|traffic| changes_over_time(&traffic.arrivals));
        let story = !spec.list("timeline").is_empty() || changes;
        let run = run::read(spec.get("run"), story, reader);
        let scope = Scope {
            names: &names,
            traffic: &traffic,
            timeline: &timeline,
            end: Time::ZERO.saturating_add(run.duration),
        };
        let asked_for = measures::asked(spec, &scope, reader);
        let objectives = measures::objectives(spec, &scope, reader);
        let expectations = measures::expectations(spec, variant, &scope, reader);
        let timeline = timeline.into_iter().map(|said| said.entry).collect();
        let facts: BTreeSet<_> = assemblies
            .iter()
            .flat_map(|assembly| assembly.facts.iter().copied())
            .chain(reader.facts())
            .collect();
        let mut assumptions: Vec<_> = assemblies
            .iter()
            .flat_map(|assembly| assembly.assumptions.iter().cloned())
            .collect();
        assumptions.append(&mut reader.assumptions);
        // Sorted, so that the order of independent entries never shows.
        assumptions.sort();
        assumptions.dedup();
        let scenario = Scenario {
            name,
            question: forms::text(spec, "question").map(str::to_owned),
            network: if ideal {
                NetworkModel::Ideal
            } else {
                NetworkModel::Modelled
            },
            clusters: assemblies
                .into_iter()
                .map(|assembly| assembly.cluster)
                .collect(),
            user_networks: around.users,
            global_names: around.global_names,
            links,
            traffic,
            timeline,
            measures: asked_for,
            objectives,
            expectations: expectations
                .into_iter()
                .map(|(expectation, _)| expectation)
                .collect(),
            run,
            assumptions,
            facts: facts.into_iter().collect(),
        };
        check_nodes(&scenario, &plans, reader);
        provisioner::check(&scenario, &plans, reader);
        checks::run(&scenario, &written, reader.diagnostics);
        Some(scenario)
    }

    /// Every cluster with its manifests, what each `apply` changes, and the entries found.
    fn assemble(
        &mut self,
        spec: &Node,
        plans: &[ClusterPlan],
        ideal: bool,
        reader: &mut Reader<'_>,
    ) -> (Vec<Assembly>, Applied, Vec<entries::Entry>) {
        let defaults = defaults();
        let applies = applies(spec, plans, reader);
        let (mut assemblies, mut applied) = (Vec::new(), Applied::new());
        let mut bases = Vec::new();
        for (position, plan) in plans.iter().enumerate() {
            let mut files = self.inputs.to_vec();
            for (path, span) in &plan.manifests {
                files.extend(self.read(path, *span, reader));
            }
            let own: Vec<_> = applies
                .iter()
                .filter(|apply| apply.cluster == position)
                .map(|apply| (apply, self.read(&apply.path, apply.span, reader)))
                .collect();
            files.sort_unstable();
            files.dedup();
            let mut base: Vec<_> = self
                .sources
                .documents(&files)
                .filter(|document| !is_scenario(document))
                .collect();
            let cost = base.len() * (own.len() + 1);
            if cost > self.work_left {
                let message = format!("{cost} documents more are too many for one Scenario");
                reader
                    .diagnostics
                    .report(Code::OverBudget, plan.span, message)
                    .help("manifests count once for each cluster, `apply` and variant: use fewer of these");
                base.clear();
            }
            self.work_left -= base.len() * (own.len() + 1);
            let mut now = base.clone();
            let mut stages = vec![Objects::collect(base, reader.diagnostics)];
            for (_, files) in &own {
                now = overlaid(now, self.sources.documents(files));
                stages.push(Objects::collect(now.clone(), reader.diagnostics));
            }
            let inline = workloads::of_cluster(spec, plan, ideal, reader);
            let assembly = assemble(&plan.frame, &stages, &inline, &defaults, reader.diagnostics);
            for ((apply, _), changes) in own.iter().zip(&assembly.changes) {
                if changes.is_empty() {
                    nothing_changes(apply, reader);
                }
                applied.insert(apply.written, (ClusterId::from(position), changes.clone()));
            }
            assemblies.push(assembly);
            bases.push(files);
        }
        let documents: Vec<Vec<&Document>> = bases
            .iter()
            .map(|files| self.sources.documents(files).collect())
            .collect();
        let found = entries::find(&assemblies, &documents);
        (assemblies, applied, found)
    }

    /// Reads manifests at a path; none if they cannot be read.
    fn read(&mut self, path: &str, span: Span, reader: &mut Reader<'_>) -> Vec<usize> {
        let found = self
            .sources
            .open(path, span, reader.diagnostics)
            .unwrap_or_default();
        self.sources
            .read_documents(&found, self.ledger, reader.diagnostics);
        found
    }
}

/// An `apply` of the timeline.
struct Apply {
    at: Time,
    /// Position in the text.
    written: usize,
    cluster: usize,
    path: String,
    span: Span,
}

/// All of them, in the order in which they happen.
fn applies(spec: &Node, plans: &[ClusterPlan], reader: &mut Reader<'_>) -> Vec<Apply> {
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

fn nothing_changes(apply: &Apply, reader: &mut Reader<'_>) {
    let message = format!("applying `{}` changes nothing that is modelled", apply.path);
    reader
        .diagnostics
        .report(Code::NothingChanges, apply.span, message)
        .help("replicas, pod templates, new workloads, what services select, and routes take effect at a time");
}

/// The objects of a cluster after more are applied: those of the same kind and name are replaced.
fn overlaid<'d>(
    mut now: Vec<&'d Document>,
    applied: impl Iterator<Item = &'d Document>,
) -> Vec<&'d Document> {
    fn identity(document: &Document) -> (&str, &str, &str) {
        let metadata = &document.metadata;
        (document.kind.kind, &metadata.namespace, &metadata.name)
    }
    for document in applied.filter(|document| !is_scenario(document)) {
        let mut known = now.iter_mut();
        match known.find(|known| identity(known) == identity(document)) {
            Some(known) => *known = document,
            None => now.push(document),
        }
    }
    now
}

/// What every workload does until somebody says otherwise.
fn defaults() -> Defaults {
    // Whether the facts count as leaned on is decided where nothing else is said.
    let mut nobody = Diagnostics::default();
    let mut reader = Reader::new(&mut nobody);
    Defaults {
        station: behavior::default_station(&mut reader),
        behavior: behavior::default_behavior(&mut reader),
    }
}

/// Gives workloads what `workloads` and `behavior` say about them, also as `apply` changes them.
fn describe(
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

/// Where somebody who names no traffic sends requests.
fn assume_traffic(
    spec: &Node,
    found: &[entries::Entry],
    assemblies: &mut [Assembly],
    reader: &mut Reader<'_>,
) -> Vec<entries::Entry> {
    if let Some(said) = spec.get("traffic") {
        if matches!(&said.value, Value::Sequence(items) if items.is_empty()) {
            no_traffic(said.span, reader);
        }
        return Vec::new();
    }
    if found.is_empty() {
        no_traffic(spec.span, reader);
    }
    for entry in found {
        reader.assume(format!(
            "No traffic is described: requests to {} were assumed, because {}.",
            entry.to, entry.what
        ));
        if let Some((cluster, service)) = entry.opened {
            let service = &mut assemblies[cluster.index()].cluster.services[service.index()];
            service.kind = ServiceKind::LoadBalancer;
            reader.assume(format!(
                "Service {} was given a load balancer, so that users reach it.",
                service.name
            ));
        }
    }
    found.to_vec()
}

fn no_traffic(span: Span, reader: &mut Reader<'_>) {
    // Whoever made other mistakes may not have made this one.
    if reader.diagnostics.has_errors() {
        return;
    }
    let message = "nobody sends requests, and nothing is found to send them to";
    reader
        .diagnostics
        .report(Code::NoTraffic, span, message)
        .help("add services with workloads behind them, and say under `traffic` who asks whom");
}

/// Pods need nodes where hops cost time.
fn check_nodes(scenario: &Scenario, plans: &[ClusterPlan], reader: &mut Reader<'_>) {
    for (cluster, plan) in scenario.clusters.iter().zip(plans) {
        if cluster.nodes.is_empty() && scenario.network == NetworkModel::Modelled {
            let message = format!("cluster `{}` has no nodes", cluster.name);
            reader
                .diagnostics
                .report(Code::NoNodes, plan.span, message)
                .help("leave `nodePools` out for a few common machines, or give a pool a `count`");
        }
    }
}

/// What the ideal network has no room for.
fn check_ideal(spec: &Node, plans: &[ClusterPlan], reader: &mut Reader<'_>) {
    for key in ["users", "dns", "links"] {
        if let Some(entry) = spec.entry(key) {
            let message = format!("`network: ideal` has no `{key}`");
            reader
                .diagnostics
                .report(Code::IdealNetwork, entry.key_span, message)
                .help("remove it, or remove `network: ideal`");
        }
    }
    if let Some(second) = plans.get(1) {
        reader
            .diagnostics
            .report(
                Code::IdealNetwork,
                second.span,
                "`network: ideal` has one cluster",
            )
            .help("keep one cluster, or remove `network: ideal`");
    }
}

fn changes_over_time(arrivals: &Arrivals) -> bool {
    match arrivals {
        Arrivals::Poisson(profile) | Arrivals::Constant(profile) => {
            !matches!(profile, RateProfile::Constant(_))
        }
        Arrivals::Trace(_) => true,
        Arrivals::Renewal(_)
        | Arrivals::Modulated { .. }
        | Arrivals::Closed { .. }
        | Arrivals::Paced { .. } => false,
    }
}

/// Name and patch of each variant, in the order of the text.
fn patches<'n>(spec: &'n Node, diagnostics: &mut Diagnostics) -> Vec<(String, &'n Node)> {
    let mut variants: Vec<(String, &Node)> = Vec::new();
    for node in spec.list("variants") {
        let (Some(name), Some(patch)) = (node.get("name"), node.get("patch")) else {
            continue;
        };
        let Some(text) = name.str() else {
            continue;
        };
        if plain_name(text) != text {
            let message = format!("`{text}` cannot be the name of a variant");
            diagnostics
                .report(Code::InvalidName, name.span, message)
                .help("use lower-case letters, digits and `-`");
        }
        if variants.iter().any(|(known, _)| known == text) {
            let message = format!("two variants are called `{text}`");
            diagnostics
                .report(Code::DuplicateName, name.span, message)
                .help("give each a name of its own");
            continue;
        }
        variants.push((text.to_owned(), patch));
    }
    variants
}

/// A patched `spec`, checked like the one that it comes from.
fn patched(root: &Node, spec: &Node, patch: &Node, diagnostics: &mut Diagnostics) -> Node {
    let patched = merge::merge_patch(spec, patch);
    let mut whole = Node {
        span: root.span,
        value: Value::Mapping(
            root.entries()
                .iter()
                .filter(|entry| entry.key != "spec")
                .cloned()
                .collect(),
        ),
    };
    if let (Value::Mapping(entries), Some(entry)) = (&mut whole.value, root.entry("spec")) {
        entries.push(Entry {
            key: entry.key.clone(),
            key_span: entry.key_span,
            value: patched.clone(),
        });
    }
    check(&whole, &SCENARIO, &mut Account::default(), diagnostics);
    patched
}

/// Whether no list is longer than what a person writes or a program reads in seconds.
fn within_limits(spec: &Node, diagnostics: &mut Diagnostics) -> bool {
    const LIMITS: &[(&str, usize)] = &[
        ("clusters", 100),
        ("workloads", 10_000),
        ("behavior", 10_000),
        ("users", 1_000),
        ("dns", 1_000),
        ("links", 10_000),
        ("traffic", 1_000),
        ("timeline", 10_000),
        ("objectives", 1_000),
        ("expect", 10_000),
        ("variants", 100),
    ];
    let mut within = true;
    for (key, most) in LIMITS {
        let Some(entry) = spec.entry(key) else {
            continue;
        };
        let length = entry.value.entries().len().max(entry.value.items().len());
        if length > *most {
            let message = format!("`{key}` holds {length} entries; at most {most} are read");
            diagnostics
                .report(Code::OverBudget, entry.key_span, message)
                .help("describe many equal things as one with a greater count or rate");
            within = false;
        }
    }
    within
}

/// Reports expectations of variants that are not there.
fn check_variants(spec: &Node, diagnostics: &mut Diagnostics) {
    let known: Vec<&str> = spec
        .list("variants")
        .iter()
        .filter_map(|node| forms::text(node, "name"))
        .collect();
    let mut reader = Reader::new(diagnostics);
    for node in spec.list("expect") {
        let Some(at) = node.get("variant") else {
            continue;
        };
        let name = at.str().unwrap_or_default();
        if !known.contains(&name) {
            let message = format!("there is no variant `{name}`");
            reader.unknown(
                Code::UnknownVariant,
                at.span,
                message,
                known.iter().copied(),
            );
        }
    }
}

fn scenario_name(document: &Document, diagnostics: &mut Diagnostics) -> String {
    let name = &document.metadata.name;
    if name.is_empty() || plain_name(name) != *name {
        let shown: String = name.chars().take(60).collect();
        let message = match name.is_empty() {
            true => "the Scenario has no name".to_owned(),
            false => format!("`{shown}` cannot be the name of a Scenario"),
        };
        diagnostics
            .report(Code::InvalidName, document.metadata.span, message)
            .help("set `metadata.name` to lower-case letters, digits and `-`");
    }
    plain_name(name)
}

/// A name for what files hold: `bookinfo` for `samples/bookinfo.yaml`, `shop` for several files
/// that begin with `apps/shop/cart.yaml`.
fn name_of_files(files: &[String]) -> String {
    let first = files.first().map_or("", String::as_str);
    let named = match first.rsplit_once('/') {
        Some((folder, _)) if files.len() > 1 => folder,
        _ => first,
    };
    let last = named.rsplit('/').next().unwrap_or_default();
    plain_name(last.split('.').next().unwrap_or_default())
}

/// Letters, digits and dashes of a text.
fn plain_name(text: &str) -> String {
    let plain: String = text
        .to_lowercase()
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '-'
            }
        })
        .take(63)
        .collect();
    match plain.trim_matches('-') {
        "" => "scenario".to_owned(),
        plain => plain.to_owned(),
    }
}

/// A map without entries.
fn empty(span: Span) -> Node {
    Node {
        span,
        value: Value::Mapping(Vec::<Entry>::new()),
    }
}
