//! What the page's template prints: every figure already in words.

use crate::number::{
    Figure, availability_figure, clock, count, counted, duration, duration_figure, found,
    number_figure, plain, rate_figure, share, share_figure,
};
use crate::tell;
use cloud::summary::{
    CallSummary, CanarySummary, Failure, FlagSummary, MeasureSummary, ProxySummary,
    RecoverySummary, Summary, TrafficSummary, Verdict, ViewSummary, WorkloadSummary,
    ZtunnelSummary,
};
use minijinja::value::Serde;
use minijinja::{Value, context};

/// Everything but pictures and extras.
pub(super) fn values(summary: &Summary) -> Value {
    context! {
        scenario => tell::clean(&summary.scenario),
        question => summary.question.as_deref().map(tell::clean),
        verdict_counts => tell::verdict_counts(summary),
        verdicts => list(tell::verdicts(summary), verdict),
        cards => list(tell::groups(summary), |traffic| card(summary, traffic)),
        warnings => tell::warnings(summary),
        extent => tell::extent(summary),
        confidence => format!("{} %", plain(100.0 * summary.confidence)),
        users => list(&summary.traffic, |traffic| users(summary, traffic)),
        failing => list(
            tell::groups(summary).iter().filter(|traffic| !traffic.failures.is_empty()),
            failing,
        ),
        workloads => list(&summary.workloads, workload),
        sidecars => list(&summary.sidecars, workload),
        ztunnels => list(&summary.ztunnels, ztunnel),
        measures => list(&summary.measures, measure),
        canaries => list(&summary.canaries, canary),
        recovery => list(&summary.recovery, |each| recovery(summary, each)),
        hops => counted(summary.calls.len() as u64, "row"),
        calls => list(&summary.calls, call),
        flags => list(tell::flagged(summary), flag),
        views => list(&summary.views, view),
        proxies => list(tell::stalest(summary), proxies),
        facts => Value::from(Serde(&summary.facts)),
        foundations => tell::foundations(summary),
        assumptions => summary.assumptions.clone(),
        seed => summary.seed.to_string(),
        digest => summary.digest.clone(),
        replications => count(summary.replications.into()),
        events => count(summary.events),
        duration => clock(summary.duration_s),
        warm_up => clock(summary.warm_up_s),
        warm_up_method => summary.warm_up_method,
        analysis => summary.analysis,
    }
}

fn list<T>(things: impl IntoIterator<Item = T>, tell: impl FnMut(T) -> Value) -> Vec<Value> {
    things.into_iter().map(tell).collect()
}

fn figure(figure: Figure) -> Value {
    context! { value => figure.value, margin => figure.margin }
}

fn verdict(verdict: &Verdict) -> Value {
    context! {
        outcome => tell::outcome(verdict.outcome),
        kind => verdict.kind,
        statement => tell::clean(&verdict.statement),
        because => verdict.because.clone(),
        found => found(verdict.found.as_ref(), verdict.unit),
    }
}

fn measure(measure: &MeasureSummary) -> Value {
    context! {
        statement => tell::clean(&measure.statement),
        found => found(measure.found.as_ref(), measure.unit),
    }
}

/// The answer for one group of users, for the first screen.
fn card(summary: &Summary, traffic: &TrafficSummary) -> Value {
    let felt = summary
        .recovery
        .iter()
        .filter(|recovery| recovery.traffic == traffic.name)
        .filter_map(|recovery| {
            let after = duration_figure(recovery.recovery.as_ref()?).inline;
            Some(context! { fault => recovery.fault.clone(), after => after })
        });
    context! {
        name => traffic.name.clone(),
        requests => count(traffic.requests),
        availability => figure(availability_figure(traffic, summary.confidence)),
        p50 => figure(duration_figure(&traffic.latency.p50)),
        p99 => figure(duration_figure(&traffic.latency.p99)),
        felt => felt.collect::<Vec<_>>(),
    }
}

fn failures(failures: &[Failure], of: u64) -> Vec<Value> {
    list(failures, |failure| {
        context! {
            reason => failure.reason,
            meaning => failure.meaning,
            count => count(failure.count),
            share => share(failure.count as f64 / of.max(1) as f64),
        }
    })
}

fn users(summary: &Summary, traffic: &TrafficSummary) -> Value {
    let latency = &traffic.latency;
    let latencies = [
        latency.mean,
        latency.p50,
        latency.p90,
        latency.p95,
        latency.p99,
        latency.p999,
    ];
    context! {
        name => traffic.name.clone(),
        requests => count(traffic.requests),
        availability => figure(availability_figure(traffic, summary.confidence)),
        throughput => figure(rate_figure(&traffic.throughput)),
        attempts => figure(number_figure(&traffic.attempts)),
        latencies => list(latencies, |estimate| figure(duration_figure(&estimate))),
        max => if traffic.succeeded > 0 { duration(latency.max) } else { String::new() },
    }
}

/// Why requests of a group failed.
fn failing(traffic: &TrafficSummary) -> Value {
    context! {
        name => traffic.name.clone(),
        in_flight => count(traffic.in_flight),
        failures => failures(&traffic.failures, traffic.requests),
    }
}

fn workload(workload: &WorkloadSummary) -> Value {
    let times = [
        workload.wait_mean,
        workload.wait_p99,
        workload.sojourn_mean,
        workload.sojourn_p99,
    ];
    context! {
        name => tell::workload_path(workload),
        version => workload.version.clone(),
        replicas => workload.replicas,
        pending => workload.pending,
        utilization => figure(share_figure(&workload.utilization)),
        arrivals => figure(rate_figure(&workload.arrivals)),
        in_system => figure(number_figure(&workload.in_system)),
        waited => figure(share_figure(&workload.waited)),
        rejected => figure(share_figure(&workload.rejected)),
        times => list(times, |estimate| figure(duration_figure(&estimate))),
    }
}

fn ztunnel(ztunnel: &ZtunnelSummary) -> Value {
    let times = [ztunnel.wait_mean, ztunnel.wait_p99];
    let rates = [ztunnel.opened, ztunnel.taken, ztunnel.tunnels];
    context! {
        name => tell::clean(&format!("{}/{}", ztunnel.cluster, ztunnel.node)),
        utilization => figure(share_figure(&ztunnel.utilization)),
        times => list(times, |estimate| figure(duration_figure(&estimate))),
        rates => list(rates, |estimate| figure(rate_figure(&estimate))),
    }
}

fn canary(canary: &CanarySummary) -> Value {
    let range = canary.detection_range;
    context! {
        name => tell::clean(&canary.name),
        route => format!("{}, {} to {}", canary.route, canary.stable, canary.canary),
        truth => canary.truth,
        outcomes => tell::outcomes(canary),
        wrong => canary.wrong.as_ref().map(|estimate| figure(share_figure(estimate))),
        detection => canary.detection.as_ref().map(|estimate| figure(duration_figure(estimate))),
        range => range.map(|(low, high)| format!("{} to {}", duration(low), duration(high))),
        looks => figure(number_figure(&canary.looks)),
        requests => figure(number_figure(&canary.requests)),
        failed => figure(number_figure(&canary.failed)),
        slow => figure(number_figure(&canary.slow)),
        harmed => figure(number_figure(&canary.harmed)),
        budget => canary.budget_spent.as_ref().map(|estimate| figure(share_figure(estimate))),
    }
}

fn recovery(summary: &Summary, recovery: &RecoverySummary) -> Value {
    let ends = recovery
        .range
        .map(|(low, high)| format!("{} to {}", duration(low), duration(high)));
    context! {
        fault => recovery.fault.clone(),
        traffic => recovery.traffic.clone(),
        felt => format!("{} of {}", recovery.felt, summary.replications),
        after => recovery.recovery.as_ref().map(|estimate| figure(duration_figure(estimate))),
        range => ends,
    }
}

fn call(call: &CallSummary) -> Value {
    let answered = call.succeeded > 0;
    context! {
        source => call.source.clone(),
        source_zone => call.source_zone.clone(),
        destination => call.destination.clone(),
        version => call.version.clone(),
        destination_zone => call.destination_zone.clone(),
        attempts => count(call.attempts),
        failed => count(call.failures.iter().map(|failure| failure.count).sum()),
        failures => failures(&call.failures, call.attempts),
        mean => if answered { duration(call.latency_mean) } else { String::new() },
        p99 => if answered { duration(call.latency_p99) } else { String::new() },
    }
}

fn flag(row: &FlagSummary) -> Value {
    context! {
        reporter => row.reporter,
        source => row.source.clone(),
        destination => row.destination.clone(),
        version => row.version.clone(),
        status => row.status,
        flags => row.flags.clone(),
        meaning => row.meaning.clone(),
        requests => count(row.count),
        share => share(row.share),
    }
}

fn view(view: &ViewSummary) -> Value {
    let applied = view.updates > 0;
    context! {
        kind => view.kind,
        place => view.place.clone(),
        updates => count(view.updates),
        mean => if applied { duration(view.staleness_mean) } else { String::new() },
        max => if applied { duration(view.staleness_max) } else { String::new() },
    }
}

fn proxies(proxies: &ProxySummary) -> Value {
    let stalest = &proxies.stalest;
    context! {
        name => tell::proxies(proxies),
        kind => proxies.kind,
        proxies => plain(proxies.proxies),
        updates => figure(number_figure(&proxies.updates)),
        behind => figure(share_figure(&proxies.behind)),
        median => share(proxies.spread.median),
        p90 => share(proxies.spread.p90),
        lag_mean => figure(duration_figure(&proxies.lag_mean)),
        lag_max => duration(proxies.lag_max),
        stalest => tell::clean(&stalest.name),
        stalest_behind => share(stalest.behind),
        stalest_lag => duration(stalest.lag_max),
        replication => stalest.replication,
    }
}

/// How many fields have each standing, and those that do not act as they do in the product;
/// nothing if there is no ledger.
pub(super) fn ledger(ledger: &serde_json::Value) -> Option<Value> {
    let documents = ledger.get("documents")?.as_array()?;
    let mut counts = [
        ("modelled", 0),
        ("approximated", 0),
        ("ignored", 0),
        ("unknown", 0),
    ];
    let mut rows = Vec::new();
    for document in documents {
        let text = |key: &str| document.get(key).and_then(serde_json::Value::as_str);
        let entries = document
            .get("entries")
            .and_then(serde_json::Value::as_array);
        for entry in entries.into_iter().flatten() {
            let standing = entry.get("standing").and_then(serde_json::Value::as_str);
            let times = entry.get("count").and_then(serde_json::Value::as_u64);
            for (name, total) in &mut counts {
                if standing == Some(*name) {
                    *total += times.unwrap_or(1);
                }
            }
            if standing != Some("modelled") {
                rows.push(context! {
                    file => text("file"),
                    kind => text("kind"),
                    name => text("name"),
                    entry => Value::from(Serde(entry)),
                });
            }
        }
    }
    let counts = counts.map(|(name, total)| format!("{} {name}", count(total)));
    Some(context! {
        documents => counted(documents.len() as u64, "document"),
        counts => counts.join(", "),
        rows => rows,
    })
}
