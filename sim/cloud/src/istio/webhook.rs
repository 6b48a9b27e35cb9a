//! What the API server asks istiod: to inject sidecars into new pods, and whether Istio's own
//! objects are valid.
//!
//! Models: which webhook a new pod meets, by its labels and its namespace's, for one revision
//! and for the default one; what istiod decides about it then; that pods are refused while no
//! istiod of that revision answers; that objects of Istio are let through unseen until an istiod
//! has shown that it refuses a bad one, and are refused for good from then on while none answers.
//! Leaves out: selectors in the injection configuration; other webhooks of the cluster.
//! Sources: istio/istio manifests/charts/istio-control/istio-discovery/templates/
//! mutatingwebhook.yaml, pkg/kube/inject/inject.go, pkg/webhooks/validation/controller.
//! Validated by: the tables of labels and of outages, below.

use std::collections::BTreeMap;

/// Labels, by name.
pub type Labels = BTreeMap<String, String>;

/// An installation of istiod, as its injection webhooks see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// Its name, or the tag that points to it; empty for the default revision.
    pub name: String,
    /// Whether namespaces and pods without any label are injected, by the default revision.
    pub injects_unlabelled: bool,
}

/// A pod that is to be created.
#[derive(Clone, Copy, Debug)]
pub struct NewPod<'a> {
    /// Its namespace's name.
    pub namespace: &'a str,
    /// Its namespace's labels.
    pub namespace_labels: &'a Labels,
    /// Its own labels.
    pub labels: &'a Labels,
    /// Its annotation `sidecar.istio.io/inject`, which its label outweighs.
    pub annotation: Option<&'a str>,
    /// Whether it lives in its node's network.
    pub has_host_network: bool,
}

/// Namespaces that are never injected.
const SYSTEM_NAMESPACES: [&str; 4] = [
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "local-path-storage",
];
const INJECT: &str = "sidecar.istio.io/inject";
const INJECTION: &str = "istio-injection";
const REVISION: &str = "istio.io/rev";

impl NewPod<'_> {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    fn namespace_label(&self, name: &str) -> Option<&str> {
        self.namespace_labels.get(name).map(String::as_str)
    }

    /// Whether one of a revision's webhooks selects it, so that the API server asks.
    pub fn is_asked_of(&self, revision: &Revision) -> bool {
        let is_default = revision.name.is_empty();
        let named = if is_default {
            "default"
        } else {
            &revision.name
        };
        let refuses = self.label(INJECT) == Some("false");
        let injection = self.namespace_label(INJECTION);
        let pinned = self.namespace_label(REVISION);
        let of_pod = self.label(REVISION);
        let is_unlabelled = injection.is_none() && pinned.is_none();

        let by_revision_of_namespace = pinned == Some(named) && injection.is_none() && !refuses;
        let by_revision_of_pod = is_unlabelled && of_pod == Some(named) && !refuses;
        let by_namespace = is_default && injection == Some("enabled") && !refuses;
        let by_pod =
            is_default && is_unlabelled && of_pod.is_none() && self.label(INJECT) == Some("true");
        let by_itself = is_default
            && revision.injects_unlabelled
            && is_unlabelled
            && !SYSTEM_NAMESPACES.contains(&self.namespace)
            && self.label(INJECT).is_none()
            && of_pod.is_none();
        by_revision_of_namespace || by_revision_of_pod || by_namespace || by_pod || by_itself
    }

    /// What istiod decides when it is asked.
    fn is_wanted(&self) -> bool {
        if self.has_host_network || SYSTEM_NAMESPACES.contains(&self.namespace) {
            return false;
        }
        !matches!(self.label(INJECT).or(self.annotation), Some("false"))
    }
}

/// Whether any istiod of a revision answers the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One does.
    Given,
    /// None does.
    Missing,
}

/// What becomes of a new pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is created as it is.
    Plain,
    /// It gets a sidecar of this revision, by its place in the list.
    Injected(usize),
    /// It is not created: the webhook had to be asked, and did not answer.
    Refused,
}

/// What becomes of a new pod, given all revisions and whether each answers.
pub fn admit(pod: NewPod<'_>, revisions: &[(Revision, Answer)]) -> Admission {
    let asked = revisions.iter().enumerate();
    let mut asked = asked.filter(|(_, (revision, _))| pod.is_asked_of(revision));
    let mut admission = Admission::Plain;
    if asked
        .clone()
        .any(|(_, (_, answer))| *answer == Answer::Missing)
    {
        return Admission::Refused;
    }
    if let Some((index, _)) = asked.next()
        && pod.is_wanted()
    {
        admission = Admission::Injected(index);
    }
    admission
}

/// The webhook that checks Istio's objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validation {
    fails_closed: bool,
}

/// What becomes of an object of Istio that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is stored.
    Stored,
    /// istiod has refused it.
    Invalid,
    /// Nobody answered for it.
    Unanswered,
}

impl Validation {
    /// An istiod has tried a bad object, as it does until one is refused.
    pub fn try_bad_object(&mut self, answer: Answer) {
        self.fails_closed |= answer == Answer::Given;
    }

    /// Whether objects are refused while nobody answers.
    pub fn fails_closed(self) -> bool {
        self.fails_closed
    }

    /// What becomes of an object that istiod finds valid or not.
    pub fn write(self, is_valid: bool, answer: Answer) -> Verdict {
        match answer {
            Answer::Given if is_valid => Verdict::Stored,
            Answer::Given => Verdict::Invalid,
            Answer::Missing if self.fails_closed => Verdict::Unanswered,
            Answer::Missing => Verdict::Stored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        let pairs = text.split_whitespace().filter_map(|it| it.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn revision(name: &str) -> Revision {
        Revision {
            name: name.to_owned(),
            injects_unlabelled: false,
        }
    }

    /// Which of the default revision and `canary` a pod in a namespace is injected by.
    fn injected(namespace: &str, pod: &str) -> &'static str {
        let revisions = [
            (revision(""), Answer::Given),
            (revision("canary"), Answer::Given),
        ];
        let pod = NewPod {
            namespace: "shop",
            namespace_labels: &labels(namespace),
            labels: &labels(pod),
            annotation: None,
            has_host_network: false,
        };
        match admit(pod, &revisions) {
            Admission::Injected(0) => "default",
            Admission::Injected(_) => "canary",
            Admission::Plain => "no",
            Admission::Refused => unreachable!("both answer"),
        }
    }

    #[test]
    fn labels_decide_who_injects() {
        assert_eq!(injected("", ""), "no");
        assert_eq!(injected("istio-injection=enabled", ""), "default");
        assert_eq!(injected("istio-injection=disabled", ""), "no");
        assert_eq!(
            injected("istio-injection=enabled", "sidecar.istio.io/inject=false"),
            "no"
        );
        assert_eq!(injected("", "sidecar.istio.io/inject=true"), "default");
        assert_eq!(
            injected("istio-injection=disabled", "sidecar.istio.io/inject=true"),
            "no"
        );
        assert_eq!(injected("istio.io/rev=canary", ""), "canary");
        assert_eq!(injected("istio.io/rev=default", ""), "default");
        assert_eq!(injected("istio.io/rev=old", ""), "no");
        assert_eq!(injected("", "istio.io/rev=canary"), "canary");
        assert_eq!(
            injected("", "istio.io/rev=canary sidecar.istio.io/inject=true"),
            "canary"
        );
        assert_eq!(
            injected("istio.io/rev=canary", "sidecar.istio.io/inject=false"),
            "no"
        );
        // The older label outweighs a revision on the namespace.
        assert_eq!(
            injected("istio-injection=enabled istio.io/rev=canary", ""),
            "default"
        );
        // A pod's revision does not count in a namespace that is labelled.
        assert_eq!(
            injected("istio-injection=enabled", "istio.io/rev=canary"),
            "default"
        );
    }

    #[test]
    fn some_pods_are_asked_for_and_left_alone() {
        let enabled = labels("istio-injection=enabled");
        let none = Labels::new();
        let pod = NewPod {
            namespace: "shop",
            namespace_labels: &enabled,
            labels: &none,
            annotation: None,
            has_host_network: false,
        };
        let decide = |pod, answer| admit(pod, &[(revision(""), answer)]);
        let in_network_of_node = NewPod {
            has_host_network: true,
            ..pod
        };
        let annotated = NewPod {
            annotation: Some("false"),
            ..pod
        };
        for pod in [in_network_of_node, annotated] {
            assert_eq!(decide(pod, Answer::Given), Admission::Plain);
            // The API server does not know that.
            assert_eq!(decide(pod, Answer::Missing), Admission::Refused);
        }
    }

    #[test]
    fn without_istiod_pods_that_need_it_are_refused_and_others_are_not() {
        let enabled = labels("istio-injection=enabled");
        let none = Labels::new();
        let pod = |namespace_labels| NewPod {
            namespace: "shop",
            namespace_labels,
            labels: &none,
            annotation: None,
            has_host_network: false,
        };
        let down = [(revision(""), Answer::Missing)];
        assert_eq!(admit(pod(&enabled), &down), Admission::Refused);
        assert_eq!(admit(pod(&none), &down), Admission::Plain);
        let canary = [
            (revision(""), Answer::Given),
            (revision("canary"), Answer::Missing),
        ];
        assert_eq!(admit(pod(&enabled), &canary), Admission::Injected(0));
        let pinned = labels("istio.io/rev=canary");
        assert_eq!(admit(pod(&pinned), &canary), Admission::Refused);
    }

    #[test]
    fn validation_fails_closed_once_it_has_worked() {
        let mut validation = Validation::default();
        assert_eq!(validation.write(false, Answer::Missing), Verdict::Stored);
        validation.try_bad_object(Answer::Missing);
        assert!(!validation.fails_closed());
        validation.try_bad_object(Answer::Given);
        assert_eq!(validation.write(true, Answer::Missing), Verdict::Unanswered);
        assert_eq!(validation.write(true, Answer::Given), Verdict::Stored);
        assert_eq!(validation.write(false, Answer::Given), Verdict::Invalid);
    }
}
