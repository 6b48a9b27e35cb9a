//! Whatever the text, reading it ends soon and never panics.

use cloud::scenario::{Behavior, Station};
use engine::{Distribution, Duration};
use hybridsim_loader::assembly::{Defaults, Frame, assemble};
use hybridsim_loader::diagnostic::Diagnostics;
use hybridsim_loader::kubernetes::Objects;
use hybridsim_loader::kubernetes::kube_proxy::Overrides;
use hybridsim_loader::{File, Ledger, Nothing, document, load, render};
use proptest::prelude::*;

/// Reads texts all the way to a cluster, and shows every problem.
fn read(texts: &[String]) {
    let files: Vec<_> = texts
        .iter()
        .map(|text| File {
            name: "f.yaml".to_owned(),
            text: text.clone(),
        })
        .collect();
    for found in load(&files, &Nothing).diagnostics {
        assert!(!render(&found, &files, true).is_empty());
        assert!(found.line >= 1 || found.span.is_none());
    }
    let (mut ledger, mut diagnostics) = (Ledger::default(), Diagnostics::default());
    let documents = document::read(&files, &mut ledger, &mut diagnostics);
    let objects = Objects::collect(&documents, &mut diagnostics);
    let frame = Frame {
        name: "cluster".to_owned(),
        region: "local".to_owned(),
        kubernetes_minor: 33,
        zones: vec!["a".to_owned()],
        provisioner: None,
        dns: cloud::scenario::ClusterDns::default(),
        kube_proxy: Overrides::default(),
        nodes: Vec::new(),
        mesh: None,
        sites: Vec::new(),
        machines: Vec::new(),
    };
    let defaults = Defaults {
        station: Station::fifo(1),
        behavior: Behavior {
            response_bytes: 1,
            ..Behavior::alone(Distribution::constant(Duration::from_millis(1)))
        },
    };
    let assembly = assemble(&frame, &[objects], &[], &defaults, &mut diagnostics);
    for service in &assembly.cluster.services {
        let address = format!("{}.{}", service.name, service.namespace);
        assembly.resolve("default", &address).ok();
    }
    diagnostics.finish(&files);
}

/// Texts that use most of what is read.
const SEEDS: &[&str] = &[
    include_str!("../../../../scenarios/bookinfo/bookinfo.yaml"),
    include_str!("../../../../scenarios/bookinfo/bookinfo-ingress.yaml"),
    include_str!("../../../../scenarios/bookinfo/gateway-api/bookinfo-gateway.yaml"),
    include_str!("../../../../scenarios/bookinfo/gateway-api/route-reviews-90-10.yaml"),
    include_str!("../data/cluster.yaml"),
    include_str!("../../../../scenarios/queue.yaml"),
    include_str!("../../../../scenarios/tandem.yaml"),
    include_str!("../../../../scenarios/closed.yaml"),
    include_str!("../../../../scenarios/region-loss.yaml"),
    include_str!("../../../../scenarios/slow-dependency.yaml"),
];

/// Pieces that are likely to hurt.
const PIECES: &[&str] = &[
    "\n---\n",
    "- ",
    ": ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "<<: *a\n",
    "|\n",
    ">\n",
    "'",
    "\"",
    "#",
    "\t",
    "? ",
    "!!str ",
    "%YAML 1.2\n",
    "...\n",
    "null",
    "yes",
    "0644",
    "1e999",
    "-1",
    "99999999999999999999",
    "é\u{feff}\u{2028}",
    "\0",
    "\r",
    "spec:",
    "items:",
    "kind: List\n",
    "metadata:",
    "replicas: ",
    "0s",
    "1e18/s",
    "-5%",
    "500y",
    "0",
];

/// Cuts, repeats and moves parts of a text, and puts pieces into it.
fn mutated() -> impl Strategy<Value = String> {
    let edit = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        0..4_u8,
        0..PIECES.len(),
    );
    (0..SEEDS.len(), prop::collection::vec(edit, 1..6)).prop_map(|(seed, edits)| {
        let mut letters: Vec<char> = SEEDS[seed].chars().collect();
        for (from, length, kind, piece) in edits {
            let from = from.index(letters.len().max(1)).min(letters.len());
            let until = (from + length.index(200)).min(letters.len());
            match kind {
                0 => drop(letters.drain(from..until)),
                1 => {
                    let part = letters[from..until].to_vec();
                    letters.splice(from..from, part);
                }
                2 => drop(letters.splice(from..from, PIECES[piece].chars())),
                _ => {
                    let part: Vec<char> = letters.drain(from..until).collect();
                    letters.extend(part);
                }
            }
        }
        letters.into_iter().collect()
    })
}

// `PROPTEST_CASES=100000` makes a long run of it.
proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_manifests(text in mutated()) {
        read(&[text]);
    }

    #[test]
    fn pieces_in_any_order(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60)) {
        read(&[pieces.concat()]);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(&[String::from_utf8_lossy(&bytes).into_owned()]);
    }

    #[test]
    fn any_letters(text in "\\PC{0,200}") {
        read(&[text]);
    }
}

#[test]
fn every_seed_cut_at_any_place() {
    for seed in SEEDS {
        let places = seed.char_indices().map(|(place, _)| place);
        for place in places.step_by(23) {
            read(&[seed[..place].to_owned(), seed[place..].to_owned()]);
        }
    }
}
