//! Which endpoints of a service its clients should rather go to, as each release reads it.
//!
//! Models: the field `trafficDistribution` of a Service counts before the annotation
//! `networking.istio.io/traffic-distribution` of the Service, and that before the namespace's; a
//! ServiceEntry has the annotations alone;
//! which words and which of these places each release knows, for Envoys and for ztunnels.
//! Sources: istio/istio 86c9f01 pilot/pkg/model/service.go GetTrafficDistribution and the same of
//! release-1.23 to release-1.31, pilot/pkg/serviceregistry/kube/conversion.go,
//! pilot/pkg/serviceregistry/kube/controller/ambient/services.go; releasenotes/notes
//! traffic-distribution.yaml, 55848.yaml.
//! Validated by: the words of each release, below.

use super::locality::Distribution;
use super::version::Version;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// `PreferClose`.
    Close,
    /// `PreferSameZone`.
    SameZone,
    /// `PreferSameNode`.
    SameNode,
    /// Something that means nothing.
    Unknown,
}

impl Word {
    /// What an annotation says, whatever its case; nothing if it is empty.
    pub fn of_annotation(text: &str) -> Option<Word> {
        Some(match text.to_lowercase().as_str() {
            "" => return None,
            "preferclose" => Word::Close,
            "prefersamezone" => Word::SameZone,
            "prefersamenode" => Word::SameNode,
            _ => Word::Unknown,
        })
    }

    fn meaning(self) -> Distribution {
        match self {
            Word::Close | Word::SameZone => Distribution::PreferSameZone,
            Word::SameNode => Distribution::PreferSameNode,
            Word::Unknown => Distribution::Any,
        }
    }
}

/// What is written about a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// In the field `trafficDistribution`.
    pub field: Option<Word>,
    /// In the Service's annotation.
    pub service: Option<Word>,
    /// In the annotation of its namespace.
    pub namespace: Option<Word>,
}

impl Words {
    /// What Envoys are told of it.
    pub fn for_envoys(self, version: Version) -> Distribution {
        let first = |all: &[Option<Word>]| all.iter().flatten().next().copied();
        match version.minor() {
            0..25 => Distribution::Any,
            25..27 if [self.field, self.service].contains(&Some(Word::Close)) => {
                Distribution::PreferSameSubzone
            }
            25..27 => Distribution::Any,
            27..30 => first(&[self.field, self.service]).map_or(Distribution::Any, Word::meaning),
            _ => first(&[self.field, self.service, self.namespace])
                .map_or(Distribution::Any, Word::meaning),
        }
    }

    /// What ztunnels are told of it.
    pub fn for_ztunnels(self, version: Version) -> Distribution {
        let said = match version.minor() {
            0..23 => None,
            23 => self.field,
            24..27 => self.field.or(self.service),
            _ => return self.for_envoys(version),
        };
        match said {
            Some(Word::Close) => Distribution::PreferSameSubzone,
            _ => Distribution::Any,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(words: [&str; 3]) -> Words {
        let [field, service, namespace] = words.map(Word::of_annotation);
        Words {
            field,
            service,
            namespace,
        }
    }

    #[test]
    fn sidecars_know_the_words_of_their_release() {
        let told = |minor, words| written(words).for_envoys(Version::new(minor));
        let close = ["PreferClose", "", ""];
        assert_eq!(told(24, close), Distribution::Any);
        assert_eq!(told(25, close), Distribution::PreferSameSubzone);
        assert_eq!(told(26, close), Distribution::PreferSameSubzone);
        assert_eq!(told(27, close), Distribution::PreferSameZone);
        for (word, meaning) in [
            ("PreferSameZone", Distribution::PreferSameZone),
            ("PreferSameNode", Distribution::PreferSameNode),
        ] {
            assert_eq!(told(26, [word, "", ""]), Distribution::Any);
            assert_eq!(told(27, [word, "", ""]), meaning);
            assert_eq!(told(27, ["", word, ""]), meaning);
        }
    }

    #[test]
    fn the_field_counts_before_the_annotations_and_the_service_before_its_namespace() {
        let told = |minor, words| written(words).for_envoys(Version::new(minor));
        let all = ["PreferSameNode", "preferclose", "preferclose"];
        assert_eq!(told(30, all), Distribution::PreferSameNode);
        let annotations = ["", "prefersamenode", "PreferClose"];
        assert_eq!(told(30, annotations), Distribution::PreferSameNode);
        let namespace = ["", "", "PreferClose"];
        assert_eq!(told(29, namespace), Distribution::Any);
        assert_eq!(told(30, namespace), Distribution::PreferSameZone);
        // A word that means nothing ends the search.
        let unknown = ["", "Nearby", "PreferClose"];
        assert_eq!(told(30, unknown), Distribution::Any);
    }

    #[test]
    fn ztunnels_knew_it_before_sidecars() {
        let told = |minor, words| written(words).for_ztunnels(Version::new(minor));
        let (field, annotation) = (["PreferClose", "", ""], ["", "PreferClose", ""]);
        assert_eq!(told(22, field), Distribution::Any);
        assert_eq!(told(23, field), Distribution::PreferSameSubzone);
        assert_eq!(told(23, annotation), Distribution::Any);
        assert_eq!(told(24, annotation), Distribution::PreferSameSubzone);
        let node = ["PreferSameNode", "PreferClose", ""];
        assert_eq!(told(24, node), Distribution::Any, "the field outweighs");
        assert_eq!(told(27, node), Distribution::PreferSameNode);
    }
}
