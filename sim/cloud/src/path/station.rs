//! Stations: how a pod takes in requests, works on them and lets them go.
//!
//! Models: first come, first served by a number of workers, or processor sharing under a CPU
//! limit; bounded waiting; errors of its own; a worker that is held while the calls of its
//! request are out, unless the workload is asynchronous.
//!
//! Under processor sharing nothing waits: `queue_max` bounds the requests beyond one per
//! (begun) core, and calls that are out use no CPU.
//!
//! Sources: Kleinrock, Queueing Systems, volumes 1 and 2.
//! Validated by: the closed forms of M/M/c, M/M/c/K, M/G/1, M/G/1-PS and networks of them.

use super::service::RequestArrival;
use super::sharing::Sharing;
use super::{Outcome, Reply, Task};
use crate::domain::{Clock, Domain, Event, Phase};
use crate::meter::{Observation, StationId};
use crate::record::Reason;
use crate::scenario::Discipline;
use crate::slab::Key;
use std::collections::VecDeque;

/// The requests inside one pod.
#[derive(Clone, Debug)]
pub(crate) struct Station {
    server: Server,
    /// Most requests that may wait.
    queue_max: u32,
    /// Requests inside, in whatever state.
    pub(crate) present: u32,
    /// Of these, those whose own work is done by an application that does not answer.
    held: Vec<Key>,
}

#[derive(Clone, Debug)]
enum Server {
    Fifo {
        workers: u32,
        busy: u32,
        waiting: VecDeque<Key>,
    },
    Sharing(Sharing),
}

impl Station {
    pub(crate) fn new(station: &crate::scenario::Station) -> Self {
        Station {
            server: match station.discipline {
                Discipline::Fifo { workers } => Server::Fifo {
                    workers,
                    busy: 0,
                    waiting: VecDeque::new(),
                },
                Discipline::ProcessorSharing { cpu_milli } => {
                    Server::Sharing(Sharing::new(cpu_milli))
                }
            },
            queue_max: station.queue_max.unwrap_or(u32::MAX),
            present: 0,
            held: Vec::new(),
        }
    }

    /// What the station can do at most, in thousandths of a worker or core; zero if unlimited.
    pub(crate) fn capacity_milli(station: &crate::scenario::Station) -> i64 {
        match station.discipline {
            Discipline::Fifo { workers: u32::MAX } => 0,
            Discipline::Fifo { workers } => 1_000 * i64::from(workers),
            Discipline::ProcessorSharing { cpu_milli } => cpu_milli as i64,
        }
    }

    fn is_full(&self) -> bool {
        match &self.server {
            Server::Fifo {
                workers,
                busy,
                waiting,
            } => busy == workers && waiting.len() >= self.queue_max as usize,
            Server::Sharing(sharing) => {
                sharing.len() as u64 >= sharing.cores() + u64::from(self.queue_max)
            }
        }
    }

    /// Everything inside is lost. Gives back what was busy, in thousandths.
    pub(crate) fn clear(&mut self) -> i64 {
        self.present = 0;
        self.held.clear();
        match &mut self.server {
            Server::Fifo { busy, waiting, .. } => {
                waiting.clear();
                1_000 * i64::from(std::mem::take(busy))
            }
            Server::Sharing(sharing) => {
                let used = sharing.used_milli() as i64;
                sharing.clear();
                used
            }
        }
    }
}

impl Domain<'_> {
    /// A request reaches a pod that is alive.
    pub(crate) fn arrive(
        &mut self,
        request: RequestArrival,
        reply: Reply,
        context: &mut Clock<'_, Self>,
    ) -> Result<(), Reason> {
        let now = context.now();
        let endpoint = request.endpoint;
        let pod = &mut self.pods[endpoint.pod as usize];
        let workload = pod.workload;
        if pod.station.is_full() {
            self.meters
                .observe(now, Observation::Rejected(StationId::Application(workload)));
            return Err(Reason::Overflow);
        }
        pod.station.present += 1;
        pod.counters.request();
        let station = StationId::Application(workload);
        self.meters.observe(now, Observation::Arrived(station));
        let behavior = pod.behavior;
        let task = self.tasks.insert(Task {
            reply,
            identity: request.identity,
            pod: endpoint.pod,
            service: endpoint.service,
            entry: endpoint.entry,
            request_bytes: request.bytes,
            traffic: request.traffic,
            origin: request.origin,
            behavior,
            arrived: now,
            answer_bytes: self.behaviors[behavior as usize].described.response_bytes,
            fails: false,
            holds_worker: false,
            step: 0,
            open: 0,
            failed: None,
        });
        match &mut pod.station.server {
            Server::Fifo {
                workers,
                busy,
                waiting,
            } => {
                if busy == workers {
                    waiting.push_back(task);
                } else {
                    *busy += 1;
                    pod.counters.busy(1_000, now);
                    self.meters.observe(now, Observation::Busy(station, 1_000));
                    self.begin(task, context);
                }
            }
            Server::Sharing(_) => self.begin(task, context),
        }
        Ok(())
    }

    /// A request begins its own work.
    fn begin(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let task = self.tasks.get_mut(key).expect("a task begins once");
        let pod = &mut self.pods[task.pod as usize];
        let workload = pod.workload;
        let state = &self.workloads[workload.index()];
        let behavior = &self.behaviors[task.behavior as usize];
        let lever = self.levers.workload(workload);
        let mut draw = state
            .service_times
            .draw(task.identity.request, task.identity.branch);
        let mut work = behavior.described.service_time.sample(&mut draw);
        let machine = pod.node.filter(|_| !self.nodes.is_empty());
        let slow_factor = lever.slow_factor * self.levers.cpu_factor(machine);
        if slow_factor != 1.0 {
            work = work.mul_f64(slow_factor);
        }
        let error_rate = behavior.described.error_rate.max(lever.error_rate);
        task.fails = error_rate > 0.0 && draw.chance(error_rate);
        let arrived = task.arrived;
        let station = StationId::Application(workload);
        self.meters
            .observe(now, Observation::Started { station, arrived });
        match &mut pod.station.server {
            Server::Fifo { .. } => {
                task.holds_worker = true;
                context.after(work, Event::Served(key));
            }
            Server::Sharing(sharing) => {
                let before = sharing.used_milli() as i64;
                sharing.join(now, work, key);
                let change = sharing.used_milli() as i64 - before;
                pod.counters.busy(change, now);
                let pod = task.pod;
                self.meters.observe(now, Observation::Busy(station, change));
                self.await_completion(pod, context);
            }
        }
    }

    fn await_completion(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        let Server::Sharing(sharing) = &mut self.pods[pod as usize].station.server else {
            return;
        };
        if let Some((at, generation)) = sharing.next() {
            context.schedule(at, Event::Shared { pod, generation });
        }
    }

    /// A completion under processor sharing falls due.
    pub(crate) fn shared(&mut self, pod: u32, generation: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let state = &mut self.pods[pod as usize];
        let workload = state.workload;
        let Server::Sharing(sharing) = &mut state.station.server else {
            return;
        };
        let before = sharing.used_milli() as i64;
        let Some(task) = sharing.leave(now, generation) else {
            return;
        };
        let change = sharing.used_milli() as i64 - before;
        state.counters.busy(change, now);
        let station = StationId::Application(workload);
        self.meters.observe(now, Observation::Busy(station, change));
        self.await_completion(pod, context);
        self.served(task, context);
    }

    /// A request has done its own work.
    pub(crate) fn served(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let Some(task) = self.tasks.get(key) else {
            return; // Its pod died meanwhile.
        };
        let pod = &mut self.pods[task.pod as usize];
        if pod.hung_by.is_some() {
            return pod.station.held.push(key);
        }
        if task.fails {
            return self.finish(key, Err(Reason::ServerError), context);
        }
        let behavior = &self.behaviors[task.behavior as usize];
        if behavior.steps.is_empty() && behavior.proxy.is_none() {
            return self.finish(key, Ok(()), context);
        }
        let proxy = behavior.proxy;
        if behavior.described.asynchronous {
            self.free_worker(key, context);
        }
        match proxy {
            Some(proxy) => self.route(key, proxy, context),
            None => self.take_step(key, context),
        }
    }

    /// An application answers again: what it held goes on.
    pub(crate) fn answer_held(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        for key in std::mem::take(&mut self.pods[pod as usize].station.held) {
            self.served(key, context);
        }
    }

    /// A request leaves its pod.
    pub(crate) fn finish(&mut self, key: Key, outcome: Outcome, context: &mut Clock<'_, Self>) {
        self.free_worker(key, context);
        let now = context.now();
        let task = self.tasks.remove(key).expect("a task finishes once");
        let pod = &mut self.pods[task.pod as usize];
        pod.station.present -= 1;
        let drained = pod.phase == Phase::Terminating && pod.station.present == 0;
        let observation = Observation::Finished {
            station: StationId::Application(pod.workload),
            arrived: task.arrived,
            lost: false,
        };
        self.meters.observe(now, observation);
        self.answer(&task, outcome, context);
        if drained {
            self.pod_idle(task.pod, context);
        }
    }

    /// The worker of a request, if it holds one, turns to the next that waits.
    fn free_worker(&mut self, key: Key, context: &mut Clock<'_, Self>) {
        let task = self.tasks.get_mut(key).expect("a task inside its pod");
        if !std::mem::take(&mut task.holds_worker) {
            return;
        }
        let pod = &mut self.pods[task.pod as usize];
        let Server::Fifo { busy, waiting, .. } = &mut pod.station.server else {
            return;
        };
        match waiting.pop_front() {
            Some(next) => self.begin(next, context),
            None => {
                *busy -= 1;
                pod.counters.busy(-1_000, context.now());
                let station = StationId::Application(pod.workload);
                let observation = Observation::Busy(station, -1_000);
                self.meters.observe(context.now(), observation);
            }
        }
    }
}
