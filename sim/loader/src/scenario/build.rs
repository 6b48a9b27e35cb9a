//! Puts the groups of a Scenario together.

use super::clusters::ClusterPlan;
use super::measures::Scope;
use super::names::Names;
use super::timeline::Applied;
use super::traffic::Surroundings;
use super::{
    Reader, applies, clusters, described, entries, forms, limits, machines, measures, places,
    provisioner, run, timeline, titles, traffic, variants, workloads,
};
use crate::assembly::{Assembly, assemble};
use crate::checks;
use crate::diagnostic::{Code, Diagnostics};
use crate::document::Document;
use crate::kubernetes::{Objects, apply};
use crate::ledger::Ledger;
use crate::source::Span;
use crate::sources::Sources;
use crate::tree::{Entry, Node, Value};
use cloud::istio::version::Version;
use cloud::scenario::{Arrivals, ClusterId, NetworkModel, RateProfile, Scenario, WorkloadId};
use engine::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Where the parts of a scenario are written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// Traffic, as in the scenario.
    pub(crate) traffic: Vec<Span>,
    /// Timeline, as in the scenario.
    pub(crate) timeline: Vec<Span>,
    /// When entries of the timeline happen that are in error otherwise, and where.
    pub(crate) unread: Vec<(Time, Span)>,
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
    let name = titles::name_of_files(&manifests);
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
        let name = titles::scenario_name(document, diagnostics);
        let nothing = empty(root.span);
        let spec = root.get("spec").unwrap_or(&nothing);
        let scenario = self.build(spec, name.clone(), None, diagnostics);
        let mut variants = Vec::new();
        for (variant, patch) in variants::patches(spec, diagnostics) {
            let before = diagnostics.count();
            let patched = variants::patched(root, spec, patch, diagnostics);
            let name = format!("{name}-{variant}");
            if let Some(scenario) = self.build(&patched, name, Some(&variant), diagnostics) {
                variants.push((variant.clone(), scenario));
            }
            diagnostics.annotate_new(before, &format!(" (in variant `{variant}`)"));
        }
        variants::check_variants(spec, diagnostics);
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
        let name = titles::name_of_files(&names.collect::<Vec<_>>());
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
        if !limits::within_limits(spec, diagnostics) {
            return None;
        }
        let mut reader = Reader::new(diagnostics);
        let reader = &mut reader;
        let ideal = forms::text(spec, "network") == Some("ideal");
        let mut plans = clusters::read(spec, ideal, reader);
        machines::add(spec, &mut plans, reader);
        workloads::check_clusters(spec, &plans, reader);
        if ideal {
            limits::check_ideal(spec, &plans, reader);
        }
        let (mut assemblies, mut applied, found) = self.assemble(spec, &plans, ideal, reader);
        let mut written = Places {
            run: spec.get("run").map_or(spec.span, |run| run.span),
            ..Places::default()
        };
        described::describe(
            spec,
            &mut assemblies,
            &mut applied,
            ideal,
            &mut written,
            reader,
        );
        let assumed = entries::assume_traffic(spec, &found, &mut assemblies, reader);
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
        written.unread = timeline.unread;
        let timeline = timeline.said;
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
        limits::check_nodes(&scenario, &plans, reader);
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
        let defaults = described::defaults();
        let applies = applies::read(spec, plans, reader);
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
            let mesh = plan.frame.mesh.as_ref();
            let mesh = mesh.map(|mesh| Version::new(mesh.istio_minor));
            let mut stages = vec![Objects::collect_in(mesh, base, reader.diagnostics)];
            for (_, files) in &own {
                let applied = self.sources.documents(files);
                let applied: Vec<_> = applied.filter(|document| !is_scenario(document)).collect();
                now = apply(&now, &applied);
                let stage = Objects::collect_in(mesh, now.clone(), reader.diagnostics);
                stages.push(stage);
            }
            let inline = workloads::of_cluster(spec, plan, ideal, reader);
            let assembly = assemble(&plan.frame, &stages, &inline, &defaults, reader.diagnostics);
            for ((apply, _), changes) in own.iter().zip(&assembly.changes) {
                if changes.is_empty() {
                    applies::nothing_changes(apply, reader);
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

/// A map without entries.
fn empty(span: Span) -> Node {
    Node {
        span,
        value: Value::Mapping(Vec::<Entry>::new()),
    }
}
