//! Versioned views: what a data-plane element knows of a service's endpoints.
//!
//! A cluster keeps one log of published endpoint sets, which all its elements share; the
//! [`View`] of each is a position in that log, and of every service it knows the version that was
//! the newest there. A position never goes back. A view does not know who published.

use crate::scenario::ServiceId;
use engine::Time;

/// The endpoints of a service as published at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndpointSet {
    /// Pods that are ready, ascending.
    pub(crate) pods: Vec<u32>,
    /// Pods that serve on their way out, ascending.
    pub(crate) leaving: Vec<u32>,
    /// Numbers of endpoints that stand in no EndpointSlice, which istiod alone knows, ascending.
    pub(crate) entries: Vec<u32>,
    /// When the world changed so that this set was needed.
    pub(crate) changed: Time,
}

impl EndpointSet {
    fn len(&self) -> usize {
        self.pods.len() + self.leaving.len()
    }
}

/// One entry of the log: a service got a new version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publication {
    pub(crate) service: ServiceId,
    pub(crate) published: Time,
    pub(crate) changed: Time,
    /// Whether it is about what istiod alone knows.
    pub(crate) is_for_istiod: bool,
}

/// Everything a cluster's API server has published about endpoints.
#[derive(Debug)]
pub(crate) struct EndpointLog {
    versions: Vec<Vec<Version>>,
    publications: Vec<Publication>,
    /// Endpoints of all services' newest sets.
    endpoints: usize,
}

/// A version of a service's endpoints.
#[derive(Debug)]
struct Version {
    set: EndpointSet,
    /// Position in the log from which on it is known.
    known_from: usize,
}

impl EndpointLog {
    /// Starts with one version per service, known to everyone.
    pub(crate) fn new(initial: Vec<Vec<u32>>) -> Self {
        EndpointLog {
            endpoints: initial.iter().map(Vec::len).sum(),
            versions: initial
                .into_iter()
                .map(|pods| {
                    let set = EndpointSet {
                        pods,
                        leaving: Vec::new(),
                        entries: Vec::new(),
                        changed: Time::ZERO,
                    };
                    vec![Version { set, known_from: 0 }]
                })
                .collect(),
            publications: Vec::new(),
        }
    }

    /// What istiod knows of a service from the start, beside its pods.
    pub(crate) fn begin(&mut self, service: ServiceId, entries: Vec<u32>) {
        self.versions[service.index()][0].set.entries = entries;
    }

    /// The newest set of a service.
    pub(crate) fn newest(&self, service: ServiceId) -> &EndpointSet {
        self.version(service, self.newest_version(service))
    }

    /// Publishes a set, unless it equals the newest one. Says whether it did.
    pub(crate) fn publish(&mut self, service: ServiceId, set: EndpointSet, now: Time) -> bool {
        let newest = self.newest(service);
        let is_for_istiod = (&newest.pods, &newest.leaving) == (&set.pods, &set.leaving);
        if is_for_istiod && newest.entries == set.entries {
            return false;
        }
        self.endpoints -= newest.len();
        self.endpoints += set.len();
        self.publications.push(Publication {
            service,
            published: now,
            changed: set.changed,
            is_for_istiod,
        });
        self.versions[service.index()].push(Version {
            set,
            known_from: self.publications.len(),
        });
        true
    }

    /// How many endpoints all services have.
    pub(crate) fn endpoints(&self) -> u32 {
        self.endpoints as u32
    }

    /// A version of a service's set.
    pub(crate) fn version(&self, service: ServiceId, version: u32) -> &EndpointSet {
        &self.versions[service.index()][version as usize].set
    }

    /// The number of the newest version of a service's set.
    pub(crate) fn newest_version(&self, service: ServiceId) -> u32 {
        self.versions[service.index()].len() as u32 - 1
    }

    /// How many publications there were.
    pub(crate) fn len(&self) -> usize {
        self.publications.len()
    }

    /// A publication by position.
    pub(crate) fn publication(&self, position: usize) -> Option<&Publication> {
        self.publications.get(position)
    }
}

/// What one element knows; at first, the first version of each service.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View {
    position: usize,
}

impl View {
    /// One that has come to a position of the log.
    pub(crate) fn at(position: usize) -> Self {
        View { position }
    }

    /// The ready endpoints that this element knows.
    pub(crate) fn endpoints<'l>(&self, log: &'l EndpointLog, service: ServiceId) -> &'l [u32] {
        &log.version(service, self.version(log, service)).pods
    }

    /// The version of a service's set that this element acts on.
    pub(crate) fn version(&self, log: &EndpointLog, service: ServiceId) -> u32 {
        let mut versions = log.versions[service.index()].iter();
        // Elements are seldom far behind: the newest are looked at first.
        let known = versions.rposition(|version| version.known_from <= self.position);
        known.expect("everybody knows the first version") as u32
    }

    /// Whether this element knows the newest version of a service.
    pub(crate) fn is_current(&self, log: &EndpointLog, service: ServiceId) -> bool {
        self.version(log, service) == log.newest_version(service)
    }

    /// How far in the log this element is.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Applies every publication before a position of the log, and calls `applied` for each.
    pub(crate) fn advance(
        &mut self,
        log: &EndpointLog,
        position: usize,
        mut applied: impl FnMut(&Publication),
    ) {
        while self.position < position {
            let publication = log.publication(self.position);
            applied(publication.expect("nobody knows more than was published"));
            self.position += 1;
        }
    }

    /// Applies every publication up to `knows`, and calls `applied` for each.
    pub(crate) fn catch_up(
        &mut self,
        log: &EndpointLog,
        knows: Time,
        mut applied: impl FnMut(&Publication),
    ) {
        while let Some(publication) = log.publication(self.position) {
            if publication.published > knows {
                break;
            }
            applied(publication);
            self.position += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_lags_and_never_goes_back() {
        let service = ServiceId(0);
        let mut log = EndpointLog::new(vec![vec![0, 1]]);
        let mut view = View::default();
        let at = Time::from_nanos;
        let set = |pods: &[u32], leaving: &[u32], changed| EndpointSet {
            pods: pods.to_vec(),
            leaving: leaving.to_vec(),
            entries: Vec::new(),
            changed: at(changed),
        };
        assert!(log.publish(service, set(&[1], &[0], 5), at(10)));
        let same = set(&[1], &[0], 6);
        assert!(!log.publish(service, same, at(11)), "nothing new");
        assert!(log.publish(service, set(&[1, 2], &[0], 15), at(20)));
        view.catch_up(&log, at(10), |_| ());
        assert_eq!(view.endpoints(&log, service), [1]);
        assert!(!view.is_current(&log, service));
        view.catch_up(&log, at(5), |_| ());
        assert_eq!(
            view.endpoints(&log, service),
            [1],
            "what is known is not forgotten"
        );
        let mut ages = Vec::new();
        view.catch_up(&log, at(30), |publication| ages.push(publication.changed));
        assert_eq!(ages, [at(15)]);
        assert_eq!(view.endpoints(&log, service), [1, 2]);
    }
}
