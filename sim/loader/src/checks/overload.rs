//! Workloads that are offered more than all their pods can serve.

use super::Whole;
use super::flow::{self, Flows};
use crate::diagnostic::{Code, Diagnostics};
use crate::scenario::names::short;
use cloud::scenario::{ClusterId, Discipline, WorkloadId};

pub(super) fn check(whole: &Whole<'_>, flows: &Flows, diagnostics: &mut Diagnostics) {
    for (&(cluster, workload), &rate) in &flows.rates {
        if let Some(load) = Load::of(whole, flows, (cluster, workload), rate)
            && load.offered() >= load.capacity
        {
            let span = whole.places.workloads.get(&(cluster, workload)).copied();
            diagnostics
                .report(Code::Overload, span, load.message(whole))
                .help(load.arithmetic());
        }
    }
}

/// What a workload is offered and what it can do, in workers (or cores).
struct Load {
    cluster: ClusterId,
    workload: WorkloadId,
    rate: f64,
    seconds: f64,
    replicas: u32,
    each: f64,
    unit: &'static str,
    capacity: f64,
}

impl Load {
    /// `None` if it has as many workers as it likes, or no pods at all.
    fn of(
        whole: &Whole<'_>,
        flows: &Flows,
        at: (ClusterId, WorkloadId),
        rate: f64,
    ) -> Option<Load> {
        let (cluster, workload) = at;
        let scenario = whole.scenario;
        let described = &scenario.clusters[cluster.index()].workloads[workload.index()];
        let replicas = flow::replicas(scenario, cluster, workload);
        let (each, unit, seconds) = match described.template.station.discipline {
            Discipline::Fifo { workers: u32::MAX } => return None,
            Discipline::Fifo { workers } => (
                f64::from(workers),
                "workers",
                flows.holding_seconds.get(&at).copied()?,
            ),
            // Waiting for calls costs no CPU.
            Discipline::ProcessorSharing { cpu_milli } => (
                cpu_milli as f64 / 1000.0,
                "cores",
                described.template.behavior.service_time.mean(),
            ),
        };
        (replicas > 0).then(|| Load {
            cluster,
            workload,
            rate,
            seconds,
            replicas,
            each,
            unit,
            capacity: f64::from(replicas) * each,
        })
    }

    fn offered(&self) -> f64 {
        self.rate * self.seconds
    }

    fn message(&self, whole: &Whole<'_>) -> String {
        let of = &whole.scenario.clusters[self.cluster.index()];
        let workload = &of.workloads[self.workload.index()];
        let place = match whole.scenario.clusters.len() {
            1 => String::new(),
            _ => format!(" in cluster {}", of.name),
        };
        let outcome = match workload.template.station.queue_max {
            None => "it will queue without bound",
            Some(_) => "its queues overflow",
        };
        format!(
            "`{}`{place} is offered work for {} {} and has {} of them: {outcome}",
            short(&workload.namespace, &workload.name),
            amount(self.offered()),
            self.unit,
            amount(self.capacity),
        )
    }

    fn arithmetic(&self) -> String {
        format!(
            "{}/s × {} each = {} {}, against {} per pod × {} = {}",
            amount(self.rate),
            time(self.seconds),
            amount(self.offered()),
            self.unit,
            amount(self.each),
            pods(self.replicas),
            amount(self.capacity),
        )
    }
}

fn pods(count: u32) -> String {
    match count {
        1 => "1 pod".to_owned(),
        _ => format!("{count} pods"),
    }
}

/// Three digits.
fn amount(value: f64) -> String {
    let digits = match value {
        _ if value.is_infinite() => return "endlessly many".to_owned(),
        _ if value >= 100.0 => 0,
        _ if value >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        _ if seconds.is_infinite() => "endlessly long".to_owned(),
        _ if seconds >= 1.0 => format!("{} s", amount(seconds)),
        _ if seconds >= 1e-3 => format!("{} ms", amount(seconds * 1e3)),
        _ => format!("{} us", amount(seconds * 1e6)),
    }
}
