//! Names of pods and ReplicaSets.
//!
//! Models: a ReplicaSet is called as its Deployment and a hash of its pods' template; a pod as
//! its ReplicaSet or DaemonSet and five characters drawn from an alphabet without vowels and
//! without digits that look like letters; the pods of a StatefulSet as it and their ordinal.
//! Approximated: the hash is one of names and revision, not of the template's fields; it has the
//! form of the real one.
//! Sources: kubernetes/kubernetes pkg/controller/controller_utils.go (ComputeHash),
//! k8s.io/apimachinery pkg/util/rand (String, SafeEncodeString), apiserver
//! pkg/storage/names/generate.go.
//! Validated by: the tests below.

use crate::scenario::{Cluster, Workload, WorkloadKind};
use engine::{Seed, Stream};

/// What generated names are made of.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// How many characters are drawn for a name.
const SUFFIX_LENGTH: usize = 5;
/// Longest generated name before its drawn characters.
const BASE_LENGTH_MAX: usize = 63 - SUFFIX_LENGTH;

/// The name of the pod of a workload of this cluster that was created as its `number`th, from 0.
pub(crate) fn of_pod(
    (cluster, workload): (&Cluster, &Workload),
    seed: Seed,
    (revision, number): (u32, u32),
) -> String {
    let kind = format!("{}/{:?}", cluster.name, workload.kind);
    let name = format!("{kind}/{}/{}", workload.namespace, workload.name);
    let suffixes = Stream::new(seed, &format!("names of {name}"));
    pod(workload, revision, number.into(), suffixes)
}

fn pod(workload: &Workload, revision: u32, number: u64, suffixes: Stream) -> String {
    let base = match workload.kind {
        WorkloadKind::Deployment | WorkloadKind::Inline => replica_set(workload, revision),
        WorkloadKind::ReplicaSet | WorkloadKind::DaemonSet => workload.name.clone(),
        WorkloadKind::StatefulSet => return numbered(workload, number),
        WorkloadKind::Pod | WorkloadKind::External if workload.replicas > 1 => {
            return numbered(workload, number);
        }
        WorkloadKind::Pod | WorkloadKind::External => return workload.name.clone(),
    };
    let base = format!("{base}-");
    let kept = base.len().min(BASE_LENGTH_MAX);
    format!("{}{}", &base[..kept], suffix(number, suffixes))
}

/// A workload's name and a number.
pub(super) fn numbered(workload: &Workload, number: u64) -> String {
    format!("{}-{number}", workload.name)
}

/// The name of a Deployment's ReplicaSet for a revision.
pub(super) fn replica_set(workload: &Workload, revision: u32) -> String {
    format!("{}-{}", workload.name, template_hash(workload, revision))
}

fn suffix(number: u64, suffixes: Stream) -> String {
    let mut draw = suffixes.draw(number, 0);
    let letters = (0..SUFFIX_LENGTH).map(|_| draw.below(ALPHABET.len() as u32));
    letters
        .map(|letter| char::from(ALPHABET[letter as usize]))
        .collect()
}

/// The label `pod-template-hash`.
pub(super) fn template_hash(workload: &Workload, revision: u32) -> String {
    let text = format!("{}/{}/{revision}", workload.namespace, workload.name);
    encode(&fnv_1a(text.as_bytes()).to_string())
}

/// Text in letters of the alphabet.
fn encode(text: &str) -> String {
    let letters = text.bytes();
    letters
        .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]))
        .collect()
}

/// Fowler, Noll and Vo's hash of 32 bits that Kubernetes takes of a template.
fn fnv_1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::workload;
    use engine::{Distribution, Seed};

    #[test]
    fn hashes_and_encodings_are_the_published_ones() {
        // From the authors' list of test vectors.
        assert_eq!(fnv_1a(b""), 0x811c_9dc5);
        assert_eq!(fnv_1a(b"a"), 0xe40c_292c);
        assert_eq!(fnv_1a(b"foobar"), 0xbf9c_f968);
        // Digits come out as those of a pod-template-hash do.
        assert_eq!(encode("0123456789"), "456789bcdf");
    }

    #[test]
    fn names_follow_the_kind_of_their_owner() {
        let mut web = workload("web", 2, 1, Distribution::constant(Default::default()));
        let suffixes = Stream::new(Seed::default(), "names");
        let mut name = |kind, number| {
            web.kind = kind;
            pod(&web, 0, number, suffixes)
        };
        let deployed = name(WorkloadKind::Deployment, 0);
        let (set, suffix) = deployed.rsplit_once('-').expect("three parts");
        let (deployment, hash) = set.rsplit_once('-').expect("three parts");
        assert_eq!(deployment, "web");
        assert!(
            hash.bytes().all(|byte| b"456789bcdf".contains(&byte)),
            "{hash}"
        );
        assert!(suffix.len() == 5 && suffix.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_ne!(deployed, name(WorkloadKind::Deployment, 1));
        assert_eq!(name(WorkloadKind::DaemonSet, 0), format!("web-{suffix}"));
        assert_eq!(name(WorkloadKind::StatefulSet, 1), "web-1");
        assert_eq!(name(WorkloadKind::Pod, 1), "web-1");
    }

    #[test]
    fn long_names_are_cut_before_what_is_drawn() {
        let long = "a".repeat(63);
        let mut web = workload(&long, 1, 1, Distribution::constant(Default::default()));
        web.kind = WorkloadKind::DaemonSet;
        let name = pod(&web, 0, 0, Stream::new(Seed::default(), "names"));
        assert_eq!(name.len(), 63);
    }
}
