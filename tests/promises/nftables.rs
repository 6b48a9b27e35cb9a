//! kube-proxy's nftables listing is, to the character, the one that a real one left behind.
//!
//! The order of services is free, and so is that of elements: sets, maps and chains are compared
//! by name, elements sorted. Rules inside a chain keep their order.

use crate::kube_proxy::{depends_on_chance, input, recordings, text};
use cloud::rules::nftables;
use std::collections::BTreeMap;

/// What every set, map and chain of a listing holds, by table and name.
fn canonical(listing: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut table, mut block) = (String::new(), String::new());
    for line in listing.lines() {
        let content = line.trim_start_matches('\t');
        match line.len() - content.len() {
            0 if content.starts_with("table ") => content.clone_into(&mut table),
            1 if content.ends_with('{') => {
                block = format!("{table} {content}");
                assert!(!found.contains_key(&block), "{block} comes twice");
                found.insert(block.clone(), Vec::new());
            }
            1 if content.starts_with("comment ") => {
                found.insert(table.clone(), vec![content.to_owned()]);
            }
            0 | 1 => {}
            _ => {
                let lines = found.get_mut(&block).expect("lines stand in blocks");
                lines.push(content.trim_start().to_owned());
            }
        }
    }
    found
        .into_iter()
        .map(|(name, lines)| (name, sorted_elements(lines)))
        .collect()
}

/// The lines of a block with its elements one to an entry, sorted.
fn sorted_elements(lines: Vec<String>) -> Vec<String> {
    let Some(at) = lines
        .iter()
        .position(|line| line.starts_with("elements = {"))
    else {
        return lines;
    };
    let (before, elements) = lines.split_at(at);
    let joined = elements.join(" ");
    let inside = joined
        .trim_start_matches("elements = {")
        .trim_end_matches('}');
    let mut elements: Vec<String> = inside.split(',').map(|one| one.trim().to_owned()).collect();
    elements.sort();
    [before.to_vec(), elements].concat()
}

#[test]
fn nftables_lists_what_kube_proxy_left_behind() {
    let mut compared = 0;
    for folder in recordings() {
        let Some(recorded) = text(&folder, "nft.txt") else {
            continue;
        };
        if depends_on_chance(&folder) {
            continue;
        }
        let tables = nftables::generate(&input(&folder));
        for table in &tables {
            assert_eq!(table.flaws(), Vec::<String>::new(), "{folder:?}");
        }
        let (recorded, ours) = (canonical(&recorded), canonical(&nftables::list(&tables)));
        for name in recorded.keys().chain(ours.keys()) {
            assert_eq!(recorded.get(name), ours.get(name), "{folder:?} {name}");
        }
        compared += 1;
    }
    assert!(compared >= 8, "{compared} listings were compared");
}

#[test]
fn elements_are_listed_in_the_order_of_the_kernel() {
    let blocks = |listing: &str| -> Vec<String> {
        let blocks = listing
            .split("\n\n")
            .map(|block| block.trim_end_matches(['}', '\n', '\t']));
        let fixed = blocks.filter(|block| block.contains("elements = {"));
        fixed.map(str::to_owned).collect()
    };
    for folder in recordings() {
        if let Some(recorded) = text(&folder, "nft.txt") {
            let ours = nftables::list(&nftables::generate(&input(&folder)));
            assert_eq!(blocks(&recorded), blocks(&ours), "{folder:?}");
        }
    }
}
