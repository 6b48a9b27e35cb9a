//! Versioned views: what a data-plane element knows of a service's endpoints.
//!
//! A cluster keeps one log of published endpoint sets; each element's [`View`] is a position
//! in that log plus, per service, the version it acts on. Applying an older version is a
//! no-op, so a view never goes back. A view does not know who published.

use crate::scenario::ServiceId;
use engine::Time;

/// The endpoints of a service as published at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndpointSet {
    /// Pods that are ready, ascending.
    pub(crate) pods: Vec<u32>,
    /// Pods that serve on their way out, ascending.
    pub(crate) leaving: Vec<u32>,
    /// When the world changed so that this set was needed.
    pub(crate) changed: Time,
}

/// One entry of the log: a service got a new version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publication {
    pub(crate) service: ServiceId,
    pub(crate) version: u32,
    pub(crate) published: Time,
    pub(crate) changed: Time,
}

/// Everything a cluster's API server has published about endpoints.
#[derive(Debug)]
pub(crate) struct EndpointLog {
    versions: Vec<Vec<EndpointSet>>,
    publications: Vec<Publication>,
}

impl EndpointLog {
    /// Starts with one version per service, known to everyone.
    pub(crate) fn new(initial: Vec<Vec<u32>>) -> Self {
        EndpointLog {
            versions: initial
                .into_iter()
                .map(|pods| {
                    vec![EndpointSet {
                        pods,
                        leaving: Vec::new(),
                        changed: Time::ZERO,
                    }]
                })
                .collect(),
            publications: Vec::new(),
        }
    }

    /// The newest set of a service.
    pub(crate) fn newest(&self, service: ServiceId) -> &EndpointSet {
        let versions = &self.versions[service.index()];
        &versions[versions.len() - 1]
    }

    /// Publishes a set, unless it equals the newest one. Says whether it did.
    pub(crate) fn publish(&mut self, service: ServiceId, set: EndpointSet, now: Time) -> bool {
        let newest = self.newest(service);
        if (&newest.pods, &newest.leaving) == (&set.pods, &set.leaving) {
            return false;
        }
        let changed = set.changed;
        let versions = &mut self.versions[service.index()];
        let version = versions.len() as u32;
        versions.push(set);
        self.publications.push(Publication {
            service,
            version,
            published: now,
            changed,
        });
        true
    }

    /// A version of a service's set.
    pub(crate) fn version(&self, service: ServiceId, version: u32) -> &EndpointSet {
        &self.versions[service.index()][version as usize]
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

/// What one element knows.
#[derive(Clone, Debug)]
pub(crate) struct View {
    position: usize,
    versions: Vec<u32>,
}

impl View {
    /// Knows the first version of each of `services`.
    pub(crate) fn new(services: usize) -> Self {
        View {
            position: 0,
            versions: vec![0; services],
        }
    }

    /// The ready endpoints that this element knows.
    pub(crate) fn endpoints<'l>(&self, log: &'l EndpointLog, service: ServiceId) -> &'l [u32] {
        &log.versions[service.index()][self.versions[service.index()] as usize].pods
    }

    /// The version of a service's set that this element acts on.
    pub(crate) fn version(&self, service: ServiceId) -> u32 {
        self.versions[service.index()]
    }

    /// Whether this element knows the newest version of a service.
    pub(crate) fn is_current(&self, log: &EndpointLog, service: ServiceId) -> bool {
        self.versions[service.index()] as usize + 1 == log.versions[service.index()].len()
    }

    /// How far in the log this element is.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Applies a version; an older one than known is ignored.
    pub(crate) fn apply(&mut self, service: ServiceId, version: u32) {
        let known = &mut self.versions[service.index()];
        *known = (*known).max(version);
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
            self.apply(publication.service, publication.version);
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
        let mut view = View::new(1);
        let at = Time::from_nanos;
        let set = |pods: &[u32], leaving: &[u32], changed| EndpointSet {
            pods: pods.to_vec(),
            leaving: leaving.to_vec(),
            changed: at(changed),
        };
        assert!(log.publish(service, set(&[1], &[0], 5), at(10)));
        let same = set(&[1], &[0], 6);
        assert!(!log.publish(service, same, at(11)), "nothing new");
        assert!(log.publish(service, set(&[1, 2], &[0], 15), at(20)));
        view.catch_up(&log, at(10), |_| ());
        assert_eq!(view.endpoints(&log, service), [1]);
        view.apply(service, 0);
        assert_eq!(
            view.endpoints(&log, service),
            [1],
            "older versions are ignored"
        );
        let mut ages = Vec::new();
        view.catch_up(&log, at(30), |publication| ages.push(publication.changed));
        assert_eq!(ages, [at(15)]);
        assert_eq!(view.endpoints(&log, service), [1, 2]);
    }
}
