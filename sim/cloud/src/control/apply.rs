//! Applying changed objects: from the API server to controllers and proxies.
//!
//! Models: a write that takes its time; replica counts, changed pods and backends then go
//! their way through controllers and endpoints, routes reach proxies one watch later. What
//! cannot be written is written when it can be, in the order in which it was asked for.
//! Sources: [`crate::facts`].
//! Validated by: scaling up and down, rollouts, and a canary by weights, in the crate's tests.

use crate::domain::{Clock, Domain, Event};
use crate::scenario::{Action, Change, ServiceId, WorkloadId};

impl Domain<'_> {
    /// An operator asks for a change.
    pub(crate) fn submitted(&mut self, entry: u32, context: &mut Clock<'_, Self>) {
        context.after(self.operator_write(context.now()), Event::Written(entry));
    }

    /// The API server has written the changes of a timeline entry.
    pub(crate) fn written(&mut self, entry: u32, context: &mut Clock<'_, Self>) {
        if !self.is_ideal() && !self.is_writable() {
            return self.api.write_later(entry);
        }
        let topology = self.topology;
        let Action::Apply { changes, .. } = &topology.scenario.timeline[entry as usize].action
        else {
            return;
        };
        for (position, change) in changes.iter().enumerate() {
            match change {
                Change::Replicas(workload, replicas) => {
                    self.workloads[workload.index()].replicas = *replicas;
                    self.reconcile(*workload, context);
                }
                Change::Template(workload, template) => {
                    self.change_pods(*workload, template, (entry, position as u32), context);
                }
                Change::Rollout(workload, rollout) => {
                    self.change_rollout(*workload, *rollout, context);
                }
                Change::Cordon(node) => self.cordon(*node, true, context),
                Change::Uncordon(node) => self.cordon(*node, false, context),
                Change::OutOfService(node) => self.put_out_of_service(*node, true, context),
                Change::InService(node) => self.put_out_of_service(*node, false, context),
                Change::Drain(drain) => {
                    self.drain(drain, (entry, position as u32), context);
                }
                Change::DeletePods(workload, choice) => {
                    self.delete_chosen(*workload, *choice, context);
                }
                Change::Rollback(workload, to) => self.roll_back(*workload, *to, context),
                Change::Backends(service, backends) => {
                    self.services[service.index()].backends = backends;
                    self.stand_behind(*service, backends);
                    self.endpoints_changed(*service, context);
                }
                Change::Istio(objects) => self.write_istio(objects, context),
                Change::Services(services) => {
                    if let Some(translation) = &mut self.translation {
                        translation.exist(services, context.now());
                        self.istiod_hears(context);
                    }
                }
                Change::Join(workload) => self.join_machines(*workload, context),
                Change::Canary(_) => self.canary_begins((entry, position as u32), context),
                Change::Routes(proxy, routes) => {
                    let written = (context.now(), routes.as_slice());
                    self.proxies[proxy.index()].written.push(written);
                    self.proxy_hears(*proxy, context);
                }
            }
        }
    }

    /// These workloads stand behind a service now, and no others: what becomes of their pods
    /// concerns it.
    fn stand_behind(&mut self, service: ServiceId, backends: &[WorkloadId]) {
        for (workload, state) in (0..).map(WorkloadId).zip(&mut self.workloads) {
            match (
                backends.contains(&workload),
                state.services.binary_search(&service),
            ) {
                (true, Err(position)) => state.services.insert(position, service),
                (false, Ok(position)) => {
                    state.services.remove(position);
                }
                _ => {}
            }
        }
        if self.translation.is_some() {
            self.backends_moved();
        }
    }
}
