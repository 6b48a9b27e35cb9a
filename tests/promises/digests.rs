//! Same bytes: twice, on any number of threads, with every pending-event structure, whatever the
//! order of documents; and a golden digest for each scenario that ships.

use cloud::{Options, compile, simulate};
use engine::{Execution, QueueKind, Seed};
use std::num::NonZeroUsize;

/// Two regions, global DNS, faults of every kind, calls, retries.
const TWO_REGIONS: &str = include_str!("../data/two-regions.yaml");

fn digest(text: &str, queue: QueueKind, execution: Execution) -> u64 {
    let scenario = crate::support::scenario(text);
    let options = Options {
        queue,
        execution,
        ..Options::default()
    };
    simulate(
        &compile(&scenario),
        Seed {
            master: 1,
            replication: 3,
        },
        &options,
    )
    .digest
}

#[test]
fn the_digest_depends_neither_on_threads_nor_on_the_queue() {
    let expected = digest(TWO_REGIONS, QueueKind::Auto, Execution::Sequential);
    for queue in QueueKind::ALL {
        assert_eq!(
            digest(TWO_REGIONS, queue, Execution::Sequential),
            expected,
            "{queue:?}"
        );
    }
    assert_eq!(
        digest(TWO_REGIONS, QueueKind::Auto, Execution::Windows),
        expected,
        "windows"
    );
    for threads in [1, 2, 3, 8] {
        let execution = Execution::Threads(NonZeroUsize::new(threads).expect("not zero"));
        assert_eq!(
            digest(TWO_REGIONS, QueueKind::Auto, execution),
            expected,
            "{threads} threads"
        );
    }
}

#[test]
fn the_digest_does_not_depend_on_the_order_of_independent_entries() {
    let expected = digest(TWO_REGIONS, QueueKind::Auto, Execution::Sequential);
    let (head, tail) = TWO_REGIONS
        .split_once("  # first\n")
        .expect("the marks are there");
    let (first, tail) = tail
        .split_once("  # second\n")
        .expect("the marks are there");
    let (second, rest) = tail.split_once("  # end\n").expect("the marks are there");
    // Lists of clusters and of traffic, and mappings, each with two entries between marks.
    assert!(!first.is_empty() && !second.is_empty());
    let shuffled = format!("{head}{second}{first}{rest}");
    assert_ne!(shuffled, TWO_REGIONS);
    assert_eq!(
        digest(&shuffled, QueueKind::Auto, Execution::Sequential),
        expected
    );
}
