//! Runs one replication and gathers what it left behind.

use crate::audit;
use crate::domain::Domain;
use crate::facts;
use crate::meter::MeasurePlan;
use crate::record::Record;
use crate::topology::Topology;
use engine::{Duration, Execution, Lookahead, QueueKind, Seed, Simulation, Time};

/// How to run a replication. Only `warm_up` changes what comes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What holds the pending events.
    pub queue: QueueKind,
    /// In which way partitions are run.
    pub execution: Execution,
    /// What starts earlier does not count.
    pub warm_up: Duration,
}

/// Runs one replication.
///
/// # Panics
/// If the books do not balance at the end; the message names seed and replication.
pub fn simulate(topology: &Topology, seed: Seed, options: &Options) -> Record {
    let simulation = replicate(topology, seed, options);
    let plan = measure_plan(topology, seed, options);
    let mut record = Record {
        replication: seed.replication,
        digest: simulation.digest(),
        events: simulation.events(),
        from: plan.from,
        until: plan.until,
        traffic: Vec::new(),
        workloads: Vec::new(),
        sidecars: Vec::new(),
        calls: Vec::new(),
        flags: Vec::new(),
        views: Vec::new(),
        proxies: Vec::new(),
        indicators: Vec::new(),
        canaries: Vec::new(),
        ztunnels: Vec::new(),
    };
    let mut domains = simulation.into_partitions();
    audit::close(&mut domains, &mut record);
    record.digest = audit::digest(&record);
    record
}

/// Runs the partitions of one replication to the end.
pub(crate) fn replicate<'t>(
    topology: &'t Topology,
    seed: Seed,
    options: &Options,
) -> Simulation<Domain<'t>> {
    let domains = start(topology, seed, options);
    run_until(
        domains,
        topology,
        options,
        Time::ZERO + topology.scenario.run.duration,
    )
}

/// The partitions of a replication at its start.
pub(crate) fn start<'t>(topology: &'t Topology, seed: Seed, options: &Options) -> Vec<Domain<'t>> {
    let plan = measure_plan(topology, seed, options);
    (0..topology.partitions.len())
        .map(|partition| Domain::new(topology, partition as u16, seed, plan))
        .collect()
}

/// Runs the partitions of a replication from its start to an instant.
pub(crate) fn run_until<'t>(
    domains: Vec<Domain<'t>>,
    topology: &Topology,
    options: &Options,
    instant: Time,
) -> Simulation<Domain<'t>> {
    let lookahead = Lookahead::matrix(topology.lookahead.clone());
    let mut simulation = Simulation::new(domains, lookahead, options.queue);
    simulation.run(instant, options.execution);
    simulation
}

pub(crate) fn measure_plan(topology: &Topology, seed: Seed, options: &Options) -> MeasurePlan {
    let run = &topology.scenario.run;
    MeasurePlan {
        seed,
        from: Time::ZERO + options.warm_up,
        until: Time::ZERO + run.duration,
        step: run.series_step,
        quiet: facts::QUIET_TIME.value,
    }
}
