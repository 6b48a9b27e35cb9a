//! How many requests reach each workload, and how long each keeps a worker at least, when nothing
//! fails and nobody waits.
//!
//! Leaves out: retries, timeouts, errors, faults, network delays, and closed populations, which
//! slow down by themselves. Latency-based DNS counts as the nearest cluster, failover as the first.

use super::Whole;
use crate::scenario::places::takes_host;
use cloud::facts;
use cloud::scenario::{
    Action, Arrivals, Call, Change, Cluster, ClusterId, DnsPolicy, GlobalName, PathMatch,
    RateProfile, RequestAttributes, Route, RouteMatch, Scenario, ServiceId, Step, TrafficId,
    TrafficSource, TrafficTarget, WorkloadId, WorkloadKind,
};
use engine::Duration;
use std::collections::BTreeMap;

/// What reaches where.
#[derive(Debug, Default)]
pub(super) struct Flows {
    /// Requests per second at each workload that any reach.
    pub(super) rates: BTreeMap<(ClusterId, WorkloadId), f64>,
    /// Mean seconds for which a request keeps a worker at least: own work, and calls it waits for.
    pub(super) holding_seconds: BTreeMap<(ClusterId, WorkloadId), f64>,
    /// Services on the way, with whoever asks them.
    pub(super) asked: BTreeMap<(ClusterId, ServiceId), Asker>,
    /// Traffic that no route takes.
    pub(super) without_route: Vec<TrafficId>,
}

/// Who asks a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// A traffic source, perhaps through a proxy.
    Traffic(TrafficId),
    /// A workload, by step and position within the step.
    Call(WorkloadId, usize, usize),
}

/// Follows all traffic through the call graph. `callees_first` orders each cluster's workloads.
pub(super) fn follow(whole: &Whole<'_>, callees_first: &[Vec<WorkloadId>]) -> Flows {
    let scenario = whole.scenario;
    let mut flows = Flows::default();
    for position in 0..scenario.traffic.len() {
        flows.enter(scenario, TrafficId::from(position));
    }
    for (position, order) in callees_first.iter().enumerate() {
        let cluster = ClusterId::from(position);
        for &workload in order.iter().rev() {
            flows.pass_on(scenario, cluster, workload);
        }
        for &workload in order {
            let seconds = holding(scenario, cluster, workload, &flows.holding_seconds);
            flows.holding_seconds.insert((cluster, workload), seconds);
        }
    }
    flows
}

impl Flows {
    /// The requests of a traffic source, up to the first workloads, or through a proxy to those
    /// behind it.
    fn enter(&mut self, scenario: &Scenario, id: TrafficId) {
        let traffic = &scenario.traffic[id.index()];
        let rate = mean_rate(&traffic.arrivals, scenario.run.duration).unwrap_or(0.0);
        for (cluster, service, share) in targets(scenario, id) {
            let rate = rate * share;
            self.service(scenario, cluster, service, rate, Asker::Traffic(id));
            let of = &scenario.clusters[cluster.index()];
            let Some(proxy) = of.proxies.iter().find(|proxy| proxy.service == service) else {
                continue;
            };
            let Some(route) = route(&proxy.routes, &traffic.attributes) else {
                self.without_route.push(id);
                continue;
            };
            let total: f64 = route
                .backends
                .iter()
                .map(|backend| f64::from(backend.weight))
                .sum();
            for backend in route.backends.iter().filter(|backend| backend.weight > 0) {
                if let Some(service) = backend.service {
                    let rate = rate * f64::from(backend.weight) / total;
                    self.service(scenario, cluster, service, rate, Asker::Traffic(id));
                }
            }
        }
    }

    /// Spreads requests over the pods of a service.
    fn service(
        &mut self,
        scenario: &Scenario,
        cluster: ClusterId,
        service: ServiceId,
        rate: f64,
        asker: Asker,
    ) {
        self.asked.entry((cluster, service)).or_insert(asker);
        let of = &scenario.clusters[cluster.index()];
        for (workload, share) in shares(of, cluster, service, scenario) {
            *self.rates.entry((cluster, workload)).or_insert(0.0) += rate * share;
        }
    }

    /// What a workload calls for the requests that reach it.
    fn pass_on(&mut self, scenario: &Scenario, cluster: ClusterId, workload: WorkloadId) {
        let Some(&rate) = self.rates.get(&(cluster, workload)) else {
            return;
        };
        let of = &scenario.clusters[cluster.index()];
        for (step, calls) in of.workloads[workload.index()]
            .template
            .behavior
            .steps
            .iter()
            .enumerate()
        {
            for (position, call) in calls.calls.iter().enumerate() {
                let rate = rate * call.probability * f64::from(call.repeat);
                let asker = Asker::Call(workload, step, position);
                self.service(scenario, cluster, call.service, rate, asker);
            }
        }
    }
}

/// How requests to a service spread over its workloads: by numbers of pods.
fn shares(
    of: &Cluster,
    cluster: ClusterId,
    service: ServiceId,
    scenario: &Scenario,
) -> Vec<(WorkloadId, f64)> {
    let backends = &of.services[service.index()].backends;
    let pods: Vec<_> = backends
        .iter()
        .map(|&backend| (backend, replicas(scenario, cluster, backend)))
        .collect();
    let total: f64 = pods.iter().map(|(_, pods)| f64::from(*pods)).sum();
    pods.into_iter()
        .filter(|(_, pods)| *pods > 0)
        .map(|(backend, pods)| (backend, f64::from(pods) / total))
        .collect()
}

/// The most pods that a workload is given at any time, by the timeline or by an autoscaler; of a
/// DaemonSet, one on each node.
pub(super) fn replicas(scenario: &Scenario, cluster: ClusterId, workload: WorkloadId) -> u32 {
    let of = &scenario.clusters[cluster.index()];
    let changed = scenario
        .timeline
        .iter()
        .filter_map(|entry| match &entry.action {
            Action::Apply {
                cluster: at,
                changes,
            } if *at == cluster => Some(changes),
            _ => None,
        });
    let changed = changed.flatten().filter_map(|change| match change {
        Change::Replicas(at, replicas) if *at == workload => Some(*replicas),
        _ => None,
    });
    let described = &of.workloads[workload.index()];
    let at_start = match described.kind {
        WorkloadKind::DaemonSet => of.nodes.len() as u32,
        _ => described.replicas,
    };
    let autoscalers = of.autoscalers.iter();
    let scaled = autoscalers
        .filter(|autoscaler| autoscaler.workload == workload)
        .map(|autoscaler| autoscaler.replicas_max);
    changed.chain(scaled).fold(at_start, u32::max)
}

/// How long a request keeps a worker at least, given the same for those that are called. What an
/// asynchronous callee waits for is left out, which keeps the result a lower bound.
fn holding(
    scenario: &Scenario,
    cluster: ClusterId,
    workload: WorkloadId,
    known: &BTreeMap<(ClusterId, WorkloadId), f64>,
) -> f64 {
    let of = &scenario.clusters[cluster.index()];
    let behavior = &of.workloads[workload.index()].template.behavior;
    let own = behavior.service_time.mean();
    if behavior.asynchronous {
        return own;
    }
    let call = |call: &Call| {
        let answer: f64 = shares(of, cluster, call.service, scenario)
            .into_iter()
            .map(|(backend, share)| share * known.get(&(cluster, backend)).copied().unwrap_or(0.0))
            .sum();
        call.probability * f64::from(call.repeat) * answer
    };
    // The mean of the longest is at least the longest of the means.
    let step = |step: &Step| step.calls.iter().map(call).fold(0.0, f64::max);
    own + behavior.steps.iter().map(step).sum::<f64>()
}

/// Services that traffic asks, with shares.
fn targets(scenario: &Scenario, id: TrafficId) -> Vec<(ClusterId, ServiceId, f64)> {
    let traffic = &scenario.traffic[id.index()];
    match traffic.target {
        TrafficTarget::Service {
            cluster, service, ..
        } => vec![(cluster, service, 1.0)],
        TrafficTarget::Global(name) => {
            let name = &scenario.global_names[name.index()];
            let one = |position: usize| {
                let answer = &name.answers[position];
                vec![(answer.cluster, answer.service, 1.0)]
            };
            match name.policy {
                DnsPolicy::Failover => one(0),
                DnsPolicy::Latency => one(nearest(scenario, traffic.source, name)),
                DnsPolicy::Weighted => {
                    let total: u32 = name.answers.iter().map(|answer| answer.weight).sum();
                    let share = |weight: u32| f64::from(weight) / f64::from(total.max(1));
                    let answers = name.answers.iter();
                    answers
                        .map(|answer| (answer.cluster, answer.service, share(answer.weight)))
                        .collect()
                }
            }
        }
    }
}

fn nearest(scenario: &Scenario, source: TrafficSource, name: &GlobalName) -> usize {
    let TrafficSource::Users(place) = source else {
        return 0;
    };
    let from = &scenario.user_networks[place.index()].region;
    let distance = |position: &usize| {
        let cluster = name.answers[*position].cluster;
        let to = &scenario.clusters[cluster.index()].region;
        if facts::same_region(from, to) {
            Duration::ZERO
        } else {
            facts::region_round_trip(from, to).0
        }
    };
    (0..name.answers.len()).min_by_key(distance).unwrap_or(0)
}

/// The first route that takes a request.
pub(super) fn route<'r>(routes: &'r [Route], request: &RequestAttributes) -> Option<&'r Route> {
    routes.iter().find(|route| takes(&route.matches, request))
}

fn takes(matches: &RouteMatch, request: &RequestAttributes) -> bool {
    let path = match &matches.path {
        PathMatch::Any => true,
        PathMatch::Exact(path) => *path == request.path,
        PathMatch::Prefix(prefix) => below(prefix, &request.path),
    };
    let method = matches
        .method
        .as_ref()
        .is_none_or(|method| *method == request.method);
    path && method
        && takes_host(&matches.hosts, &request.host)
        && matches
            .headers
            .iter()
            .all(|header| request.headers.contains(header))
}

/// Whether a path is a prefix or below it, by path element; what follows `?` does not count.
fn below(prefix: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    match path.strip_prefix(prefix.trim_end_matches('/')) {
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

/// Requests per second on average over a run; `None` for closed populations.
pub(super) fn mean_rate(arrivals: &Arrivals, duration: Duration) -> Option<f64> {
    let seconds = duration.as_secs_f64();
    match arrivals {
        Arrivals::Poisson(profile) | Arrivals::Constant(profile) => Some(match profile {
            RateProfile::Constant(rate) => *rate,
            RateProfile::Sinusoid { mean, .. } => *mean,
            RateProfile::Piecewise(points) => piecewise_mean(points, seconds),
        }),
        Arrivals::Renewal(gap) => Some(1.0 / gap.mean()),
        Arrivals::Modulated { rates, sojourns } => {
            let times = sojourns.map(Duration::as_secs_f64);
            Some((rates[0] * times[0] + rates[1] * times[1]) / (times[0] + times[1]))
        }
        Arrivals::Trace(instants) => {
            let within = instants.iter().filter(|at| at.as_secs_f64() < seconds);
            Some(within.count() as f64 / seconds)
        }
        Arrivals::Closed { .. } => None,
        Arrivals::Paced { users, period, .. } => Some(f64::from(*users) / period.as_secs_f64()),
    }
}

/// Area below the straight lines, divided by the width.
fn piecewise_mean(points: &[(engine::Time, f64)], seconds: f64) -> f64 {
    let (mut at, mut rate, mut area) = (0.0, points[0].1, 0.0);
    for &(time, next) in points {
        let end = time.as_secs_f64();
        if end >= seconds {
            let width = seconds - at;
            let last = if end > at {
                rate + (next - rate) * width / (end - at)
            } else {
                rate
            };
            return (area + width * (rate + last) / 2.0) / seconds;
        }
        area += (end - at) * (rate + next) / 2.0;
        (at, rate) = (end, next);
    }
    (area + (seconds - at) * rate) / seconds
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Time;

    #[test]
    fn mean_rates_are_areas() {
        let at = Time::from_secs_f64;
        let ramp = [(at(0.0), 0.0), (at(10.0), 100.0)];
        assert_eq!(piecewise_mean(&ramp, 10.0), 50.0);
        assert_eq!(piecewise_mean(&ramp, 5.0), 25.0);
        assert_eq!(piecewise_mean(&ramp, 20.0), 75.0);
        let step = [(at(5.0), 10.0), (at(5.0), 30.0)];
        assert_eq!(piecewise_mean(&step, 10.0), 20.0);
    }

    #[test]
    fn prefixes_end_at_path_elements() {
        assert!(below("/api", "/api") && below("/api/", "/api/x?y") && below("/", "/x"));
        assert!(!below("/api", "/apis") && !below("/api", "/"));
    }
}
