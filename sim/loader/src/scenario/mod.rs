//! The `Scenario` kind: what it looks like, and how it becomes a [`cloud::scenario::Scenario`].
//!
//! Each file of this folder is a group of keys: its shape tables, and how its values are read.
//! `build` puts the groups together, in the order in which names come to stand for something:
//! clusters and their manifests, workloads and what they do, places, traffic, timeline, measures.

mod applies;
mod arrivals;
mod behavior;
mod build;
mod canary;
mod clients;
mod clusters;
mod described;
mod distribution;
mod dns;
pub(crate) mod entries;
mod faults;
mod flags;
pub(crate) mod forms;
mod indicators;
mod limits;
mod machines;
mod measures;
mod merge;
mod mesh;
pub(crate) mod names;
mod operations;
pub(crate) mod places;
mod provisioner;
mod reader;
mod run;
mod service_rules;
mod timeline;
mod titles;
mod traffic;
mod variants;
mod workloads;

pub(crate) use build::{Places, Survey, load, survey};

use crate::kubernetes::metadata::{API_VERSION, KIND, METADATA};
use crate::shape::{Field, Kind, Shape, TEXT_LIST};
use reader::Reader;
use serde_json::json;

/// A Scenario.
pub static SCENARIO: Shape = Shape::new(
    "Scenario",
    &[
        API_VERSION,
        KIND,
        METADATA,
        Field::modelled("spec", Kind::Map(&SPEC))
            .required()
            .doc("What to simulate."),
    ],
)
.doc("What manifests cannot say: clusters, behavior, traffic, faults, and how to measure.");

static SPEC: Shape = Shape::new(
    "ScenarioSpec",
    &[
        Field::modelled("question", Kind::Text).doc("What the scenario asks, in a sentence."),
        Field::modelled("network", Kind::OneOf(&["modelled", "ideal"]))
            .doc("Whether hops cost time; `ideal` is for queueing studies.")
            .default(|| json!("modelled")),
        Field::modelled("clusters", Kind::List(&Kind::Map(&clusters::CLUSTER)))
            .doc("The clusters; by default one that is called `cluster`."),
        Field::modelled("manifests", TEXT_LIST)
            .doc("Files and folders of manifests for every cluster."),
        Field::modelled("workloads", Kind::Keyed(&Kind::Map(&workloads::WORKLOAD)))
            .doc("Services without manifests, by name."),
        Field::modelled("sites", Kind::List(&Kind::Map(&machines::SITE)))
            .doc("Places outside of the clusters where machines stand."),
        Field::modelled("machines", Kind::Keyed(&Kind::Map(&machines::MACHINES)))
            .doc("Machines on sites, by name: what they do, and whether they belong to a mesh."),
        Field::modelled("behavior", Kind::Keyed(&Kind::Map(&behavior::BEHAVIOR))).doc(
            "What workloads of the manifests do, by `name`, `namespace/name` or `kind/namespace/name`, with `cluster/` in front for one cluster alone.",
        ),
        Field::modelled("users", Kind::List(&Kind::Map(&places::USERS)))
            .doc("Places where users sit; traffic `from` a region needs none."),
        Field::modelled("dns", Kind::List(&Kind::Map(&places::DNS)))
            .doc("Names that lead users to one of several clusters."),
        Field::modelled("links", Kind::List(&Kind::Map(&places::LINK)))
            .doc("Distances that are known better than the tables."),
        Field::modelled("traffic", Kind::List(&Kind::Map(&traffic::TRAFFIC)))
            .doc("Who sends requests; by default somebody at every entry of the manifests."),
        Field::modelled("timeline", Kind::List(&Kind::Map(&timeline::ENTRY)))
            .doc("Operations and faults."),
        Field::modelled("measures", Kind::List(&Kind::Map(&measures::MEASURE)))
            .doc("What to tell besides what every report tells."),
        Field::modelled("objectives", Kind::List(&Kind::Map(&measures::OBJECTIVE)))
            .doc("What users were promised."),
        Field::modelled("expect", Kind::List(&Kind::Map(&measures::EXPECTATION)))
            .doc("What the author says comes out."),
        Field::modelled("variants", Kind::List(&Kind::Map(&VARIANT)))
            .doc("Changes of this Scenario to compare with it."),
        Field::modelled("run", Kind::Map(&run::RUN))
            .doc("How long, how often, and how to analyse it."),
    ],
);

static VARIANT: Shape = Shape::new(
    "Variant",
    &[
        Field::modelled("name", Kind::Text)
            .required()
            .doc("Unique among variants."),
        Field::modelled("patch", Kind::Opaque).required().doc(
            "A JSON merge patch on `spec`: maps are merged, lists are replaced, null removes.",
        ),
    ],
);
