//! Timeouts that are shorter than the work they wait for.

use super::Whole;
use crate::diagnostic::{Code, Diagnostics};
use crate::scenario::forms::show_duration;
use crate::source::Span;
use cloud::scenario::{ClusterId, Scenario, ServiceId, TrafficTarget, WorkloadId};
use engine::{Distribution, Duration, Seed, Stream};

/// Samples that a median is taken of: enough to tell twice as long from half as long.
const SAMPLES: u64 = 301;

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    let scenario = whole.scenario;
    for (traffic, span) in scenario.traffic.iter().zip(&whole.places.traffic) {
        let TrafficTarget::Service {
            cluster, service, ..
        } = traffic.target
        else {
            continue;
        };
        if let Some(timeout) = traffic.timeout {
            let waiting = format!("traffic `{}`", traffic.name);
            compare(
                scenario,
                cluster,
                service,
                timeout,
                &waiting,
                *span,
                diagnostics,
            );
        }
    }
    for (cluster, of) in scenario.clusters.iter().enumerate() {
        for (caller, workload) in of.workloads.iter().enumerate() {
            for (step, calls) in workload.template.behavior.steps.iter().enumerate() {
                for (position, call) in calls.calls.iter().enumerate() {
                    let at = (
                        ClusterId::from(cluster),
                        WorkloadId::from(caller),
                        step,
                        position,
                    );
                    let (Some(span), Some(timeout)) = (whole.places.calls.get(&at), call.timeout)
                    else {
                        continue;
                    };
                    let waiting = format!("`{}`", workload.name);
                    compare(
                        scenario,
                        at.0,
                        call.service,
                        timeout,
                        &waiting,
                        *span,
                        diagnostics,
                    );
                }
            }
        }
    }
}

/// Warns if every workload behind a service usually works for longer than somebody waits.
fn compare(
    scenario: &Scenario,
    cluster: ClusterId,
    service: ServiceId,
    timeout: Duration,
    waiting: &str,
    span: Span,
    diagnostics: &mut Diagnostics,
) {
    let of = &scenario.clusters[cluster.index()];
    let backends = of.services[service.index()].backends.iter();
    let fastest = backends
        .map(|backend| &of.workloads[backend.index()])
        .map(|workload| {
            (
                median(&workload.template.behavior.service_time),
                &workload.name,
            )
        })
        .min();
    if let Some((median, name)) = fastest
        && timeout < median
    {
        let message = format!(
            "{waiting} waits {} for `{name}`, whose own work takes longer more often than not",
            show_duration(timeout)
        );
        diagnostics
            .report(Code::TimeoutTooShort, span, message)
            .help(format!(
                "half of its service times are above about {}; most attempts will time out",
                show_duration(rounded(median))
            ));
    }
}

fn median(law: &Distribution) -> Duration {
    let stream = Stream::new(
        Seed {
            master: 0,
            replication: 0,
        },
        "median of a service time",
    );
    let mut samples: Vec<_> = (0..SAMPLES)
        .map(|draw| law.sample(&mut stream.draw(draw, 0)))
        .collect();
    samples.sort_unstable();
    samples[samples.len() / 2]
}

/// Two digits are all that a median of samples can say.
fn rounded(duration: Duration) -> Duration {
    let mut power = 1_u64;
    while duration.as_nanos() / power >= 100 {
        power *= 10;
    }
    Duration::from_nanos(duration.as_nanos() / power * power)
}
