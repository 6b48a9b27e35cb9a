//! Machines with Istio's proxy: from joining a mesh to being an endpoint of it, and away again.
//!
//! Models: a proxy that starts when its machine joins, with a certificate of its own; a stream to
//! istiod, which ends with the machine's power, when nothing has passed its link for as long as
//! keep-alives wait, or with istiod; the WorkloadEntry that the stream creates out of its
//! WorkloadGroup, and its removal some time after the stream; health checks of the application by
//! the agent, of which only changes are told, so that a machine with a probe is no endpoint
//! before its first success. Without istiod nobody registers, nobody is removed, and health stays
//! as it was last written. A machine that comes back, or finds istiod again, reconnects within its
//! pause, is told everything, and tells its health once more.
//!
//! Approximated: the last keep-alive came just before a link was cut; a check fails where the
//! application stands or is gone, however slow it answers otherwise; a machine joins as soon as
//! istiod can be reached, and stays as it was until then; streams do not end of age.
//! Leaves out: the machine's bootstrap token, and what registering costs istiod.
//! Sources: [`crate::istio::registration`], [`crate::istio::machine`], [`crate::istio::stream`].
//! Validated by: instants of registration, health and removal worked out by hand, in the crate's
//! tests.

use super::istiod::Told;
use crate::domain::{Clock, Domain, Event, Phase};
use crate::facts;
use crate::fault::Levers;
use crate::istio::config::{Configuration, Endpoint, Object, WorkloadGroup};
use crate::istio::machine::{Checks, Health};
use crate::istio::registration::{self, Entry, entry_labels};
use crate::kubernetes::bucket::Bucket;
use crate::kubernetes::probe::Probe;
use crate::path::sidecar::SidecarState;
use crate::scenario::{Component, WorkloadId};
use engine::{Duration, Stream, Time};

/// The machines of a cluster that have a proxy.
#[derive(Clone, Debug)]
pub(crate) struct Enrolments {
    all: Vec<Enrolment>,
    /// What removals of entries wait for.
    removals: Bucket,
    /// How often istiod has started: whose entries are whose.
    istiod: u32,
    /// Draws of pauses before connecting again.
    stream: Stream,
}

/// A machine with a proxy.
#[derive(Clone, Debug)]
struct Enrolment {
    pod: u32,
    /// Namespace and name of the WorkloadGroup that it registers with.
    group: Option<(String, String)>,
    /// Since when its stream to istiod is open.
    connected: Option<Time>,
    /// Whether nothing passes between it and istiod, and how often that was so.
    is_parted: bool,
    partings: u32,
    /// How its entry is, if it has one.
    entry: Option<Entry>,
    checks: Checks,
    /// The health that its agent has found.
    health: Option<Health>,
    /// The health that stands in its entry.
    written: Option<Health>,
}

/// What happens to a machine with a proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Its stream begins, if istiod can be reached.
    Connects,
    /// istiod has waited in vain since the machine was parted from it for this time.
    Missed(u32),
    /// The grace of its entry is over.
    GraceEnds,
    /// Its entry is removed, if nobody is back.
    Removed,
    /// What was written of it is in force.
    Written,
    /// Its agent checks the application.
    Checked,
    /// A change of health reaches istiod.
    Told(Health),
}

impl Enrolments {
    /// Nobody has joined yet.
    pub(crate) fn new(stream: Stream) -> Self {
        Enrolments {
            all: Vec::new(),
            removals: registration::removals(),
            istiod: 0,
            stream,
        }
    }

    /// Whether no machine has a proxy.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn of_pod(&self, pod: u32) -> Option<&Enrolment> {
        self.all.iter().find(|enrolment| enrolment.pod == pod)
    }
}

impl Enrolment {
    fn new(pod: u32, group: Option<(String, String)>) -> Self {
        Enrolment {
            pod,
            group,
            connected: None,
            is_parted: false,
            partings: 0,
            entry: None,
            checks: Checks::default(),
            health: None,
            written: None,
        }
    }

    fn group<'o>(&self, objects: &'o Configuration) -> Option<&'o WorkloadGroup> {
        let (namespace, name) = self.group.as_ref()?;
        let mut groups = objects.workload_groups.iter();
        groups.find(|it| it.identity.namespace == *namespace && it.identity.name == *name)
    }
}

fn probe(group: &WorkloadGroup) -> Option<Probe> {
    group.probe.as_ref().map(|said| said.probe)
}

impl Domain<'_> {
    /// Machines that have a proxy from the start are known and in service.
    pub(crate) fn enrol_at_start(&mut self) {
        let Some(cluster) = self.cluster else {
            return;
        };
        for machines in &self.topology.cluster(cluster).machines {
            let Some(proxy) = machines.proxy.as_ref().filter(|proxy| proxy.runs_at_start) else {
                continue;
            };
            for pod in self.workloads[machines.workload.index()].pods.clone() {
                let mut enrolment = Enrolment::new(pod, proxy.group.clone());
                enrolment.connected = Some(Time::ZERO);
                if enrolment.group(self.istio_objects()).is_some() {
                    enrolment.entry = Some(Entry::create(0, Time::ZERO));
                }
                self.enrolments.all.push(enrolment);
                let machine = self.enrolments.all.len() as u32 - 1;
                if let Some(probe) = self.probe_of(machine) {
                    let enrolment = &mut self.enrolments.all[machine as usize];
                    while enrolment.health.is_none() {
                        enrolment.health = enrolment.checks.check(true, probe);
                    }
                    enrolment.written = enrolment.health;
                }
            }
        }
    }

    /// The agents of such machines go on checking, at an instant of their own.
    pub(crate) fn start_enrolments(&mut self, context: &mut Clock<'_, Self>) {
        for machine in 0..self.enrolments.all.len() as u32 {
            if let Some(probe) = self.probe_of(machine) {
                let mut draw = self.enrolments.stream.draw(u64::from(machine), 0);
                let wait = probe.period.mul_f64(draw.uniform());
                self.step_after(wait, machine, Step::Checked, context);
            }
        }
        let cluster = self.cluster.map(|cluster| self.topology.cluster(cluster));
        let mut proxies = cluster.iter().flat_map(|cluster| &cluster.machines);
        if proxies.any(|it| it.proxy.as_ref().is_some_and(|proxy| proxy.group.is_some())) {
            context.after(registration::sweep_period(), Event::EntriesSwept);
        }
    }

    /// The objects of Istio that there are now.
    fn istio_objects(&self) -> &Configuration {
        let translation = self.translation.as_ref().expect("a mesh translates");
        translation.objects(translation.newest())
    }

    fn probe_of(&self, machine: u32) -> Option<Probe> {
        let enrolment = &self.enrolments.all[machine as usize];
        enrolment.group(self.istio_objects()).and_then(probe)
    }

    fn step_after(&self, wait: Duration, machine: u32, step: Step, context: &mut Clock<'_, Self>) {
        context.after(wait, Event::Enrolled { machine, step });
    }

    /// What WorkloadEntries say that machines of a namespace have registered, where they are in
    /// service.
    pub(crate) fn registered<'a>(
        &'a self,
        objects: &'a Configuration,
        namespace: &'a str,
    ) -> impl Iterator<Item = (u32, Endpoint)> + 'a {
        self.enrolments.all.iter().filter_map(move |enrolment| {
            let group = enrolment.group(objects)?;
            let is_probed = probe(group).is_some();
            let serves = !is_probed || enrolment.written == Some(Health::Healthy);
            if group.identity.namespace != namespace || enrolment.entry.is_none() || !serves {
                return None;
            }
            let own = &self.template(enrolment.pod).placement.labels;
            let address = self.machine_address(enrolment.pod)?;
            let said = Endpoint {
                address: address.to_string(),
                labels: entry_labels(&group.template.labels, &group.labels, own),
                ..group.template.clone()
            };
            Some((enrolment.pod, said))
        })
    }

    /// Whether a pod or machine reaches istiod, under these levers.
    pub(super) fn reaches_under(&self, levers: &Levers, pod: u32) -> bool {
        !levers.control.stands(Component::Istiod) && self.is_joined_to_cluster(levers, pod)
    }

    /// Whether anything passes between a pod or machine and its cluster, under these levers.
    pub(super) fn is_joined_to_cluster(&self, levers: &Levers, pod: u32) -> bool {
        let Some((workload, number)) = self.machine_number(pod) else {
            let node = self.pods[pod as usize].node;
            return node.is_none_or(|node| levers.node(node).is_none());
        };
        let site = self.pods[pod as usize].site;
        let link = levers.machines.link(site, None);
        levers.machines.off(workload, number).is_none()
            && link.is_none_or(|link| link.barrier().is_none())
    }

    /// Whether a pod or machine reaches istiod.
    pub(crate) fn reaches_istiod(&self, pod: u32) -> bool {
        self.reaches_under(&self.levers, pod)
    }

    /// Whether what istiod says arrives at a sidecar.
    pub(crate) fn hears_istiod(&self, pod: u32) -> bool {
        let state = &self.pods[pod as usize];
        if state.site.is_none() {
            let sidecar = state.sidecar.as_ref();
            return sidecar.is_some_and(|sidecar| sidecar.subscription.is_open());
        }
        let enrolment = self.enrolments.of_pod(pod);
        enrolment.is_some_and(|it| it.connected.is_some() && !it.is_parted)
    }

    /// The machines of a workload are given a proxy.
    pub(crate) fn join_machines(&mut self, workload: WorkloadId, context: &mut Clock<'_, Self>) {
        let cluster = self.cluster.expect("machines belong to clusters");
        let machines = self.topology.cluster(cluster).machines_of(workload);
        let proxy = machines.and_then(|machines| machines.proxy.as_ref());
        let proxy = proxy.expect("machines that join have a proxy");
        for pod in self.workloads[workload.index()].pods.clone() {
            if self.enrolments.of_pod(pod).is_some() {
                continue;
            }
            let enrolment = Enrolment::new(pod, proxy.group.clone());
            self.enrolments.all.push(enrolment);
            let machine = self.enrolments.all.len() as u32 - 1;
            self.step_after(
                self.way_to_istiod(pod) * 2,
                machine,
                Step::Connects,
                context,
            );
            if let Some(probe) = self.probe_of(machine) {
                self.step_after(probe.initial_delay, machine, Step::Checked, context);
            }
        }
    }

    /// How long what a machine tells istiod is under way.
    fn way_to_istiod(&self, pod: u32) -> Duration {
        let cluster = self.cluster.expect("machines belong to clusters");
        let site = self.pods[pod as usize].site;
        let link = self.topology.links.of_site(cluster, site, None);
        link.one_way
    }

    /// Something happens to a machine with a proxy.
    pub(crate) fn enrolled(&mut self, machine: u32, step: Step, context: &mut Clock<'_, Self>) {
        let now = context.now();
        match step {
            Step::Connects => self.machine_connects(machine, context),
            Step::Missed(parting) => self.machine_missed(machine, parting, context),
            Step::GraceEnds => {
                let istiod_acts = !self.levers.control.stands(Component::Istiod);
                if self.is_forgotten(machine, now) && istiod_acts {
                    let wait = self.enrolments.removals.take(now);
                    let wait = wait + facts::API_WRITE_DELAY.value;
                    self.step_after(wait, machine, Step::Removed, context);
                }
            }
            Step::Removed => {
                if self.is_forgotten(machine, now) {
                    let enrolment = &mut self.enrolments.all[machine as usize];
                    (enrolment.entry, enrolment.written) = (None, None);
                    self.registry_changed(context);
                }
            }
            Step::Written => self.registry_changed(context),
            Step::Checked => self.machine_checked(machine, context),
            Step::Told(health) => {
                let istiod_acts = !self.levers.control.stands(Component::Istiod);
                let enrolment = &mut self.enrolments.all[machine as usize];
                if istiod_acts && enrolment.entry.is_some() {
                    enrolment.written = Some(health);
                    self.registry_changed(context);
                }
            }
        }
    }

    /// A machine opens its stream: it gets its proxy, if it waits for it, hears what istiod knows,
    /// and has an entry.
    fn machine_connects(&mut self, machine: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let pod = self.enrolments.all[machine as usize].pod;
        if !self.reaches_istiod(pod) || self.enrolments.all[machine as usize].connected.is_some() {
            return;
        }
        self.enrolments.all[machine as usize].connected = Some(now);
        self.give_proxy(pod, context);
        let told: Option<Told> = self.all_that_istiod_tells();
        if let Some(told) = told {
            self.sidecar_told(pod, told, now);
        }
        self.register_machine(machine, context);
    }

    /// The proxy of a machine starts, unless it has one.
    fn give_proxy(&mut self, pod: u32, context: &mut Clock<'_, Self>) {
        if self.pods[pod as usize].has_sidecar() {
            return;
        }
        let described = self.template(pod).sidecar.as_ref();
        let threads = described.expect("a machine that joins").threads;
        let before = self.pods[pod as usize].incarnation();
        let mut sidecar = Box::new(SidecarState::new(threads));
        sidecar.follow(before);
        self.pods[pod as usize].sidecar = Some(sidecar);
        if let Some(starts) = self.sidecar_starts(pod, context.now()) {
            self.sidecar_stands(pod, context.now());
            self.certificate_due(pod, starts, context);
        }
    }

    /// A machine that is connected has its entry written, and tells its health again.
    fn register_machine(&mut self, machine: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let istiod = self.enrolments.istiod;
        let enrolment = &self.enrolments.all[machine as usize];
        if enrolment.group(self.istio_objects()).is_none() {
            return;
        }
        let enrolment = &mut self.enrolments.all[machine as usize];
        match &mut enrolment.entry {
            Some(entry) => {
                entry.connect(istiod, now);
            }
            None => enrolment.entry = Some(Entry::create(istiod, now)),
        }
        let (pod, health) = (enrolment.pod, enrolment.health);
        let written = facts::API_WRITE_DELAY.value;
        self.step_after(written, machine, Step::Written, context);
        if let Some(health) = health {
            let wait = self.way_to_istiod(pod) + written;
            self.step_after(wait, machine, Step::Told(health), context);
        }
    }

    /// WorkloadGroups are written: who is connected and waits for one registers.
    pub(crate) fn groups_changed(&mut self, objects: &[Object], context: &mut Clock<'_, Self>) {
        let has_group = objects
            .iter()
            .any(|object| matches!(object, Object::WorkloadGroup(_)));
        for machine in 0..self.enrolments.all.len() as u32 {
            let enrolment = &self.enrolments.all[machine as usize];
            let waits = enrolment.connected.is_some() && enrolment.entry.is_none();
            if has_group && waits {
                self.register_machine(machine, context);
                if let Some(probe) = self.probe_of(machine) {
                    self.step_after(probe.initial_delay, machine, Step::Checked, context);
                }
            }
        }
    }

    /// istiod has heard nothing on a stream for too long.
    fn machine_missed(&mut self, machine: u32, parting: u32, context: &mut Clock<'_, Self>) {
        let now = context.now();
        let istiod_acts = !self.levers.control.stands(Component::Istiod);
        let istiod = self.enrolments.istiod;
        let enrolment = &mut self.enrolments.all[machine as usize];
        if !enrolment.is_parted || enrolment.partings != parting {
            return;
        }
        let Some(began) = enrolment.connected.take() else {
            return;
        };
        let entry = enrolment.entry.as_mut().filter(|_| istiod_acts);
        if entry.is_some_and(|entry| entry.disconnect(istiod, began, now)) {
            let grace = facts::WORKLOAD_ENTRY_GRACE.value;
            self.step_after(grace, machine, Step::GraceEnds, context);
        }
    }

    /// Whether the entry of a machine is to go.
    fn is_forgotten(&self, machine: u32, now: Time) -> bool {
        let enrolment = &self.enrolments.all[machine as usize];
        let age = facts::ISTIOD_STREAM_AGE.value;
        let entry = enrolment.entry.filter(|_| enrolment.connected.is_none());
        entry.is_some_and(|entry| entry.is_forgotten(now, age))
    }

    /// istiod looks through all entries.
    pub(crate) fn entries_swept(&mut self, context: &mut Clock<'_, Self>) {
        for machine in 0..self.enrolments.all.len() as u32 {
            self.enrolled(machine, Step::GraceEnds, context);
        }
        context.after(registration::sweep_period(), Event::EntriesSwept);
    }

    /// An agent checks the application beside it, and will again.
    fn machine_checked(&mut self, machine: u32, context: &mut Clock<'_, Self>) {
        let Some(probe) = self.probe_of(machine) else {
            return;
        };
        self.step_after(probe.period, machine, Step::Checked, context);
        let pod = self.enrolments.all[machine as usize].pod;
        if self.machine_off(pod).is_some() {
            return; // So is the agent.
        }
        let state = &self.pods[pod as usize];
        let stands = state.hung_by.is_some();
        let succeeds = state.phase == Phase::Running && !stands;
        let enrolment = &mut self.enrolments.all[machine as usize];
        let Some(health) = enrolment.checks.check(succeeds, probe) else {
            return;
        };
        enrolment.health = Some(health);
        if enrolment.connected.is_some() && !enrolment.is_parted {
            // An application that stands keeps its check waiting.
            let found = if stands {
                probe.timeout
            } else {
                Duration::ZERO
            };
            let wait = found + self.way_to_istiod(pod) + facts::API_WRITE_DELAY.value;
            self.step_after(wait, machine, Step::Told(health), context);
        }
    }

    /// Machines may have lost istiod, or found it again.
    pub(crate) fn enrolments_moved(&mut self, before: &Levers, context: &mut Clock<'_, Self>) {
        let stood = before.control.stands(Component::Istiod);
        if stood && !self.levers.control.stands(Component::Istiod) {
            self.enrolments.istiod += 1;
        }
        for machine in 0..self.enrolments.all.len() as u32 {
            let pod = self.enrolments.all[machine as usize].pod;
            match (self.reaches_under(before, pod), self.reaches_istiod(pod)) {
                (true, false) => self.machine_parts(machine, context),
                (false, true) => self.machine_is_back(machine, before, context),
                _ => {}
            }
        }
    }

    fn machine_parts(&mut self, machine: u32, context: &mut Clock<'_, Self>) {
        let pod = self.enrolments.all[machine as usize].pod;
        let is_off = self.machine_off(pod).is_some();
        let is_joined = self.is_joined_to_cluster(&self.levers, pod);
        let enrolment = &mut self.enrolments.all[machine as usize];
        enrolment.is_parted = true;
        enrolment.partings += 1;
        if is_off {
            (enrolment.checks, enrolment.health) = (Checks::default(), None);
        }
        if is_joined {
            // istiod is gone, and its streams with it.
            enrolment.connected = None;
        } else if enrolment.connected.is_some() {
            let parting = enrolment.partings;
            let patience =
                facts::ISTIO_KEEPALIVE_PERIOD.value + facts::ISTIO_KEEPALIVE_TIMEOUT.value;
            self.step_after(patience, machine, Step::Missed(parting), context);
        }
    }

    fn machine_is_back(&mut self, machine: u32, before: &Levers, context: &mut Clock<'_, Self>) {
        let pod = self.enrolments.all[machine as usize].pod;
        let number = self.machine_number(pod);
        let was_off = number
            .is_some_and(|(workload, number)| before.machines.off(workload, number).is_some());
        let enrolment = &mut self.enrolments.all[machine as usize];
        enrolment.is_parted = false;
        if enrolment.connected.is_some() && !was_off {
            return; // Its stream has outlived the interruption.
        }
        enrolment.connected = None;
        let pause = match was_off {
            true => Duration::ZERO,
            false => {
                let now = context.now().as_nanos();
                let mut draw = self.enrolments.stream.draw(u64::from(machine), now);
                facts::ENVOY_RECONNECT_MAX.value.mul_f64(draw.uniform())
            }
        };
        let wait = pause + self.way_to_istiod(pod) * 2;
        self.step_after(wait, machine, Step::Connects, context);
    }
}
