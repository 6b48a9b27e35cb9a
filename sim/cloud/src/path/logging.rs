//! What a sidecar writes into its access log about a request, for the meters.
//!
//! Models: the flags that Envoy sets, of the last attempt, with URX where its retries are used
//! up; DC and DR where the caller has left. Copies are not logged.
//! Approximated: who asked is known where a sidecar asks.
//! Sources: envoyproxy/envoy source/common/router/router.cc; [`crate::envoy::flags`].
//! Validated by: requests that go wrong in every way, in the crate's tests.

use super::call::Stage;
use super::passage::Passage;
use super::{Listener, Outcome, Owner};
use crate::domain::Domain;
use crate::envoy::flags::Flag;
use crate::envoy::retry::Verdict;
use crate::meter::{FlagKey, Observation};
use crate::record::{FlagRecord, Reason, Reporter};
use crate::scenario::ClusterId;
use crate::slab::Key;
use engine::Time;
use std::collections::BTreeMap;

impl Domain<'_> {
    /// Something has gone wrong with a request at its sidecar, if that still has it.
    pub(crate) fn flag(&mut self, key: Key, flag: Flag) {
        if let Some(passage) = self.passages.get_mut(key) {
            passage.flags.set(flag);
        }
    }

    /// The last attempt of a request has failed at its sidecar.
    pub(super) fn flag_attempt(
        &mut self,
        key: Key,
        outcome: Outcome,
        stage: Stage,
        verdict: Option<Verdict>,
    ) {
        let Err(reason) = outcome else { return };
        let flags = &mut self.passages[key].flags;
        match verdict {
            Some(Verdict::LimitExceeded) => flags.set(Flag::RetryLimitExceeded),
            Some(Verdict::Overflow) => flags.set(Flag::Overflow),
            Some(Verdict::After(_) | Verdict::Final) | None => {}
        }
        let unsent = stage == Stage::Queued;
        let cause = match reason {
            Reason::NoEndpoints => Some(Flag::NoHealthyUpstream),
            Reason::Refused | Reason::ConnectTimeout => Some(Flag::ConnectFailure),
            Reason::Overflow if unsent => Some(Flag::Overflow),
            Reason::NoCluster if stage.endpoint().is_none() => Some(Flag::NoCluster),
            Reason::Timeout => Some(Flag::RequestTimeout),
            Reason::Reset => Some(Flag::ConnectionTermination),
            // The upstream has answered.
            _ => None,
        };
        if let Some(cause) = cause {
            flags.set(cause);
        }
    }

    /// A request leaves a sidecar for whom it waits, or for nobody any more.
    pub(super) fn log_passage(&mut self, passage: &Passage, status: u16, now: Time) {
        let Some(to) = passage.reply else { return };
        let pod = &self.pods[passage.pod as usize];
        let own = (pod.workload, pod.revision);
        let is_here = to.partition == self.id;
        let key = match passage.listener {
            Listener::Outbound(_) | Listener::Edge(..) | Listener::Waypoint(_) => FlagKey {
                reporter: Reporter::Source,
                source: Some(own.0),
                service: passage.cluster().map_or(passage.service, |it| it.service).0,
                answered: self.pod_behind(passage).map(|pod| {
                    let pod = &self.pods[pod as usize];
                    (pod.workload, pod.revision)
                }),
            },
            _ => {
                let caller = self.calls.get(to.call).filter(|_| is_here);
                let caller = caller.filter(|call| matches!(call.owner, Owner::Passage(_)));
                FlagKey {
                    reporter: Reporter::Destination,
                    source: caller.map(|call| self.pods[call.client as usize].workload),
                    service: passage.service.0,
                    answered: Some(own),
                }
            }
        };
        let passed = Observation::Passed {
            key,
            arrived: passage.arrived,
            logged: (status, passage.flags),
        };
        self.meters.observe(now, passed);
    }

    /// The pod that a request was sent to last.
    fn pod_behind(&self, passage: &Passage) -> Option<u32> {
        let slot = passage.slot?;
        let sidecar = self.pods[slot.pod as usize].sidecar.as_ref()?;
        sidecar.pod_of(slot)
    }

    /// All that was logged, by versions.
    pub(crate) fn flag_records(&mut self, cluster: ClusterId) -> Vec<FlagRecord> {
        let mut records: BTreeMap<_, BTreeMap<_, u64>> = BTreeMap::new();
        for (key, counts) in self.meters.flag_counts() {
            let version = key.answered.and_then(|(workload, revision)| {
                let revisions = &self.workloads[workload.index()].controller.revisions;
                let labels = &revisions[revision as usize].template.placement.labels;
                labels.get("version").cloned()
            });
            let of = (key.reporter, key.source, key.service, version);
            let known = records.entry(of).or_default();
            for (logged, count) in counts {
                *known.entry(logged).or_default() += count;
            }
        }
        let records = records.into_iter();
        let record = |((reporter, source, service, version), counts)| FlagRecord {
            cluster,
            reporter,
            source,
            service,
            version,
            counts,
        };
        records.map(record).collect()
    }
}
