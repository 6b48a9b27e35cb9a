//! What a recording says came out, against what came out of the rig over several replications.
//!
//! Shares are held against the mean of the replications, counts and times against their range:
//! both depend on where the proxy's indices began, which no recording tells.

mod ejections;
mod placements;

use crate::envoy::case::Case;
use crate::envoy::setup::{Log, Setup};
use cloud::envoy::hosts::{Host, Hosts, Policy};
use engine::{Duration, Time};
use serde_json::{Map, Value};

/// Fields of results that nothing is held against, and why not.
const LEFT_ASIDE: [(&str, &str); 17] = [
    ("rep", "the number of the repetition"),
    (
        "requests",
        "set by the load, or by how fast the machine was",
    ),
    ("n", "set by the load"),
    ("settled", "whether the harness waited"),
    ("hosts_in_config_order", "part of what was tried"),
    (
        "latency",
        "carries the noise of a busy machine, and so do its siblings",
    ),
    ("spawn_to_ready_s", "start of the process"),
    ("timeline", "the events, sampled"),
    (
        "first_pick_after_join_s",
        "depends on the phase of the turn alone",
    ),
    (
        "cx_overflow",
        "counts attempts to connect, which nobody notices",
    ),
    ("pending_overflow", "shows in the statuses"),
    ("cold_pool", "part of what was tried"),
    ("round", "the number of the round"),
    (
        "max_concurrent",
        "depends on how the machine shared its time",
    ),
    (
        "mirror_max_concurrent",
        "depends on how fast the machine was",
    ),
    ("cx_total", "held against the rig with the rounds"),
    ("flags_all", "the flags again, over all that was tried"),
];

/// How far shares, and shares of statuses, may lie apart.
struct Tolerance {
    share: f64,
    status: f64,
}

impl Tolerance {
    /// What a recording states: `+-1 pp`, `+-0.006`.
    fn stated(text: &str) -> Self {
        let mut tolerance = Tolerance {
            share: 0.001,
            status: f64::NAN,
        };
        for stated in text.split("+-").skip(1) {
            let number: String = stated
                .chars()
                .take_while(|&letter| letter.is_ascii_digit() || letter == '.')
                .collect();
            let unit = stated[number.len()..].trim_start();
            let Ok(number) = number.parse::<f64>() else {
                continue;
            };
            if unit.starts_with("pp") {
                tolerance.share = number / 100.0;
            } else if number < 0.1 && !unit.starts_with('s') {
                tolerance.status = number;
            }
        }
        if tolerance.status.is_nan() {
            tolerance.status = tolerance.share;
        }
        tolerance
    }
}

/// One result against the rig.
pub struct Comparison<'a> {
    case: Case<'a>,
    setup: &'a Setup,
    logs: &'a [Log],
    tolerance: Tolerance,
    /// What was compared, and how it differs if it does.
    pub figures: Vec<(String, Option<String>)>,
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl<'a> Comparison<'a> {
    /// Compares all fields of a result.
    pub fn of(case: Case<'a>, setup: &'a Setup, logs: &'a [Log]) -> Self {
        let stated = case.recording["tolerance"].as_str().unwrap_or_default();
        let mut comparison = Comparison {
            case,
            setup,
            logs,
            tolerance: Tolerance::stated(stated),
            figures: Vec::new(),
        };
        for (field, value) in case.result.as_object().into_iter().flatten() {
            comparison.field(field, value);
        }
        comparison
    }

    fn field(&mut self, field: &str, value: &Value) {
        let tried = self.case.tried(field) == Some(value) || field.ends_with("_fails_at_s");
        let known = if field.starts_with("latency") {
            "latency"
        } else {
            field
        };
        if tried || LEFT_ASIDE.iter().any(|(aside, _)| *aside == known) {
            return;
        }
        let entries = value.as_object();
        match field {
            "shares" | "host_shares" | "upstream" | "upstream_requests" => {
                self.hosts(field, entries)
            }
            "status" => self.statuses(entries),
            "flags" => self.flags(entries),
            "attempts" => self.attempts(entries),
            "first_picks" => self.first_picks(value.as_str().unwrap_or_default()),
            "lb_healthy_panic" => self.panic(value),
            "share_p0" => self.share_of_priority(field, value, 0),
            "share_p1" => self.share_of_priority(field, value, 1),
            "share_p2" => self.share_of_priority(field, value, 2),
            "no_host" => self.range(field, value, 0.0, |log| count_of_flag(log, "UH") as f64),
            "share_503" => self.share_of(field, value, |log| {
                share_of_finals(log, |flags| flags.contains("FI"))
            }),
            "share_delayed" if self.setup.faults.delay.is_none() => {}
            "share_delayed" => self.share_of(field, value, |log| {
                share_of_finals(log, |flags| flags.contains("DI"))
            }),
            "share_503_and_delayed" if self.setup.faults.delay.is_none() => {}
            "share_503_and_delayed" => self.share_of(field, value, |log| {
                share_of_finals(log, |flags| flags == "DI,FI")
            }),
            "main_upstream" => self.range(field, value, 0.0, |log| log.picks.len() as f64),
            "mirrored" => self.mirrored(value),
            "connections_opened" => self.connections(entries),
            "max_active_per_host" => self.most(entries),
            "max_concurrent_at_backend" => {
                self.range(field, value, 0.0, |log| {
                    f64::from(log.most.iter().copied().max().unwrap_or(0))
                });
            }
            "rounds" => self.rounds(value),
            "gap_ms" => self.gaps(entries),
            "events_t0_is_load_start" => self.events(value),
            "error_rate_per_5s" => self.error_rates(value),
            "failed_requests_before_first_quiet_period" => {
                self.range(field, value, 1.0, |log| before_quiet(&log.failures) as f64);
            }
            "stats" => self.stats(entries),
            "cm" => self.updates(entries),
            "key_to_host" => self.keys(entries),
            "share_of_new_host_per_second_since_first_pick" => self.new_host(value),
            _ if field.ends_with("_last_pick_after_s") => self.last_pick(field, value),
            _ => self.expect(field, false, || "is not understood".to_owned()),
        }
    }

    fn expect(&mut self, what: &str, agrees: bool, told: impl FnOnce() -> String) {
        self.figures.push((what.to_owned(), (!agrees).then(told)));
    }

    /// A share against the mean of the replications.
    fn share(&mut self, what: &str, recorded: f64, ours: &[f64], tolerance: f64) {
        let mean = mean(ours);
        let agrees = (recorded - mean).abs() <= tolerance + 1e-9;
        self.expect(what, agrees, || {
            format!("recorded {recorded}, ours {mean:.4} +- {tolerance}")
        });
    }

    fn share_of(&mut self, what: &str, value: &Value, ours: impl Fn(&Log) -> f64) {
        let ours: Vec<f64> = self.logs.iter().map(ours).collect();
        let tolerance = self.tolerance.share;
        self.share(what, value.as_f64().unwrap_or(f64::NAN), &ours, tolerance);
    }

    /// The share of the picks that went to a priority.
    fn share_of_priority(&mut self, what: &str, value: &Value, priority: u32) {
        let setup = self.setup;
        self.share_of(what, value, |log| {
            let of_priority = |host: u32| setup.upstreams[host as usize].host.priority == priority;
            let found = log.picks.iter().filter(|&&(_, host)| of_priority(host));
            found.count() as f64 / log.picks.len().max(1) as f64
        });
    }

    /// A figure against the range of the replications.
    fn range(&mut self, what: &str, value: &Value, slack: f64, ours: impl Fn(&Log) -> f64) {
        let ours: Vec<f64> = self.logs.iter().map(ours).collect();
        self.within(what, value, slack, &ours);
    }

    /// A figure against the range of ours.
    fn within(&mut self, what: &str, value: &Value, slack: f64, ours: &[f64]) {
        let recorded = value.as_f64().unwrap_or(f64::NAN);
        let low = ours.iter().copied().fold(f64::INFINITY, f64::min);
        let high = ours.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let agrees = low - slack <= recorded && recorded <= high + slack;
        self.expect(what, agrees, || {
            format!("recorded {recorded}, ours {low} to {high} +- {slack}")
        });
    }

    fn hosts(&mut self, field: &str, entries: Option<&Map<String, Value>>) {
        let entries = entries.cloned().unwrap_or_default();
        let total: f64 = entries.values().filter_map(Value::as_f64).sum();
        let keys = self.case.result["key_to_host"].as_object();
        for (name, value) in &entries {
            if keys.is_some() {
                // Each key is compared by itself.
                break;
            }
            let recorded = value.as_f64().unwrap_or(f64::NAN) / total;
            let ours: Vec<f64> = match name
                .strip_prefix('h')
                .and_then(|host| host.parse::<u32>().ok())
            {
                Some(host) if self.setup.upstreams.len() > host as usize => self
                    .logs
                    .iter()
                    .map(|log| {
                        let picks = log
                            .picks
                            .iter()
                            .filter(|&&(_, picked)| picked == host)
                            .count();
                        picks as f64 / log.picks.len().max(1) as f64
                    })
                    .collect(),
                _ => self
                    .logs
                    .iter()
                    .map(|log| share_of_finals(log, |flags| flags == "UH"))
                    .collect(),
            };
            let tolerance = self.tolerance.share;
            self.share(&format!("{field} {name}"), recorded, &ours, tolerance);
        }
    }

    fn statuses(&mut self, entries: Option<&Map<String, Value>>) {
        let entries = entries.cloned().unwrap_or_default();
        let total: f64 = entries.values().filter_map(Value::as_f64).sum();
        for (status, value) in &entries {
            let code: u16 = status.parse().unwrap_or(0);
            let count =
                |log: &Log| log.finals.iter().filter(|last| last.status == code).count() as f64;
            if self.setup.outlier.is_some() {
                if code < 500 {
                    continue;
                }
                self.range(&format!("status {status}"), value, 1.0, count);
                continue;
            }
            let ours: Vec<f64> = self
                .logs
                .iter()
                .map(|log| count(log) / log.finals.len().max(1) as f64)
                .collect();
            let tolerance = self.tolerance.status;
            self.share(
                &format!("status {status}"),
                value.as_f64().unwrap_or(0.0) / total,
                &ours,
                tolerance,
            );
        }
    }

    fn flags(&mut self, entries: Option<&Map<String, Value>>) {
        let entries = entries.cloned().unwrap_or_default();
        let total: f64 = entries.values().filter_map(Value::as_f64).sum();
        let name = |last: &crate::envoy::setup::Final| format!("{} {}", last.status, last.flags);
        for (told, value) in &entries {
            let words: Vec<&str> = told.split(' ').take(2).collect();
            let sought = words.join(" ");
            let ours: Vec<f64> = self
                .logs
                .iter()
                .map(|log| {
                    let found = log
                        .finals
                        .iter()
                        .filter(|last| name(last) == sought)
                        .count();
                    found as f64 / log.finals.len().max(1) as f64
                })
                .collect();
            let what = format!("flags {sought}");
            let recorded = value.as_f64().unwrap_or(0.0) / total;
            match self.slack_of_flags(total) {
                Some(slack) => self.within(&what, &Value::from(recorded), slack, &ours),
                None => self.share(&what, recorded, &ours, self.tolerance.status),
            }
        }
        let known: Vec<String> = entries
            .keys()
            .map(|told| told.split(' ').take(2).collect::<Vec<_>>().join(" "))
            .collect();
        let stranger = self
            .logs
            .iter()
            .flat_map(|log| &log.finals)
            .map(name)
            .find(|ours| !known.contains(ours));
        // A kind that is rare enough may be missing from a recording.
        let rare = |kind: &String| {
            let all: usize = self.logs.iter().map(|log| log.finals.len()).sum();
            let found = self
                .logs
                .iter()
                .flat_map(|log| &log.finals)
                .filter(|last| name(last) == *kind)
                .count();
            (found as f64 / all as f64) < self.tolerance.status
        };
        let agrees = stranger.as_ref().is_none_or(rare);
        self.expect("flags", agrees, || format!("ours has {stranger:?}"));
    }

    /// Flags are told of all requests together: with the cold round of bursts, which may differ
    /// by one, or with failures whose number depends on phases.
    fn slack_of_flags(&self, total: f64) -> Option<f64> {
        let bursts = self.case.result["rounds"].is_array();
        let outlier = self.setup.outlier.is_some().then_some(0.002);
        outlier.or(bursts.then_some(1.0 / total))
    }

    fn attempts(&mut self, entries: Option<&Map<String, Value>>) {
        let entries = entries.cloned().unwrap_or_default();
        let total: f64 = entries.values().filter_map(Value::as_f64).sum();
        // Whether a retry meets a bad host again depends on what other clients do meanwhile, if
        // hosts are chosen by turn or by load: on how the machine shared its time.
        let by_chance = self.setup.settings.policy == Policy::Random;
        let bad = self
            .setup
            .upstreams
            .iter()
            .any(|upstream| upstream.bad.is_some());
        let interleaving = if bad && !by_chance { 2.0 } else { 1.0 };
        for (attempts, value) in &entries {
            let sought: u32 = attempts.parse().unwrap_or(0);
            let ours: Vec<f64> = self
                .logs
                .iter()
                .map(|log| {
                    let found = log
                        .finals
                        .iter()
                        .filter(|last| last.attempts == sought)
                        .count();
                    found as f64 / log.finals.len().max(1) as f64
                })
                .collect();
            let tolerance = self.tolerance.share * interleaving;
            self.share(
                &format!("attempts {attempts}"),
                value.as_f64().unwrap_or(0.0) / total,
                &ours,
                tolerance,
            );
        }
    }

    /// The order of picks, which may begin anywhere.
    fn first_picks(&mut self, recorded: &str) {
        let agrees = self.logs.iter().any(|log| {
            let picks = log.picks.iter().take(2 * recorded.len());
            let ours: String = picks
                .map(|(_, host)| char::from_digit(*host, 36).unwrap_or('?'))
                .collect();
            ours.contains(recorded)
        });
        self.expect("first_picks", agrees, || format!("recorded {recorded}"));
    }

    fn panic(&mut self, value: &Value) {
        let asked: f64 = self.case.result["status"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, count)| count.as_f64())
            .sum();
        let hosts: Vec<Host> = self
            .setup
            .upstreams
            .iter()
            .map(|upstream| upstream.host)
            .collect();
        let compiled = Hosts::compile(&self.setup.settings, &hosts, |_| "host");
        let panic = compiled.loads().iter().filter(|load| load.panic);
        let ours: u32 = panic.map(|load| load.healthy + load.degraded).sum();
        let recorded = value.as_f64().unwrap_or(f64::NAN) / asked;
        let tolerance = self.tolerance.share;
        self.share(
            "lb_healthy_panic",
            recorded,
            &[f64::from(ours) / 100.0],
            tolerance,
        );
    }

    fn mirrored(&mut self, value: &Value) {
        let asked = self.case.result["main_upstream"]
            .as_f64()
            .unwrap_or(f64::NAN);
        let ours: Vec<f64> = self
            .logs
            .iter()
            .map(|log| {
                log.counters.get("mirrored").copied().unwrap_or(0) as f64 / log.finals.len() as f64
            })
            .collect();
        let tolerance = self.tolerance.share;
        self.share(
            "mirrored",
            value.as_f64().unwrap_or(f64::NAN) / asked,
            &ours,
            tolerance,
        );
    }

    fn connections(&mut self, entries: Option<&Map<String, Value>>) {
        let exact = self.setup.pool.streams_max > 1;
        for (name, value) in entries.into_iter().flatten() {
            let host: usize = name.trim_start_matches('h').parse().unwrap_or(0);
            let slack = if exact {
                0.0
            } else {
                (0.2 * value.as_f64().unwrap_or(0.0)).max(1.0)
            };
            self.range(&format!("connections_opened {name}"), value, slack, |log| {
                f64::from(log.opened[host])
            });
        }
    }

    fn most(&mut self, entries: Option<&Map<String, Value>>) {
        for (name, value) in entries.into_iter().flatten() {
            let host: usize = name.trim_start_matches('h').parse().unwrap_or(0);
            self.range(&format!("max_active_per_host {name}"), value, 0.0, |log| {
                f64::from(log.most[host])
            });
        }
    }

    /// Bursts: exact on warm pools, one more or less on cold ones.
    fn rounds(&mut self, value: &Value) {
        for round in value.as_array().into_iter().flatten() {
            let number = round["round"].as_u64().unwrap_or(0) as u32;
            let slack = if round["cold_pool"] == true { 1.0 } else { 0.0 };
            for (status, count) in round["status"].as_object().into_iter().flatten() {
                let code: u16 = status.parse().unwrap_or(0);
                self.range(
                    &format!("round {number} status {status}"),
                    count,
                    slack,
                    |log| {
                        let of_round = log.finals.iter().filter(|last| last.round == number);
                        of_round.filter(|last| last.status == code).count() as f64
                    },
                );
            }
            self.range(
                &format!("round {number} connections"),
                &round["cx_total"],
                1.0,
                |log| {
                    log.opened_in_round
                        .iter()
                        .filter(|&&opened| opened <= number)
                        .count() as f64
                },
            );
        }
    }

    /// Pauses before retries: 5 %, and what a timer is late by on a busy machine.
    fn gaps(&mut self, entries: Option<&Map<String, Value>>) {
        for (name, value) in entries.into_iter().flatten() {
            let Some(retry) = name
                .strip_prefix("before_retry_")
                .and_then(|retry| retry.parse::<u32>().ok())
            else {
                continue;
            };
            let of_retry = |log: &Log| -> Vec<f64> {
                let gaps = log.gaps.iter().filter(|(number, _)| *number == retry);
                let mut gaps: Vec<f64> = gaps.map(|(_, gap)| gap.as_secs_f64() * 1000.0).collect();
                gaps.sort_by(f64::total_cmp);
                gaps
            };
            let quantile = |gaps: &[f64], at: f64| gaps[((gaps.len() - 1) as f64 * at) as usize];
            let slack = |recorded: &Value| 0.05 * recorded.as_f64().unwrap_or(0.0) + 2.0;
            let what = |figure: &str| format!("{name} {figure}");
            self.range(
                &what("mean"),
                &value["mean"],
                slack(&value["mean"]),
                |log| mean(&of_retry(log)),
            );
            self.range(&what("p10"), &value["p10"], slack(&value["p10"]), |log| {
                quantile(&of_retry(log), 0.1)
            });
            self.range(&what("p50"), &value["p50"], slack(&value["p50"]), |log| {
                quantile(&of_retry(log), 0.5)
            });
            self.range(&what("p90"), &value["p90"], slack(&value["p90"]), |log| {
                quantile(&of_retry(log), 0.9)
            });
        }
    }

    fn stats(&mut self, entries: Option<&Map<String, Value>>) {
        for (name, value) in entries.into_iter().flatten() {
            let short = name.rsplit('.').next().unwrap_or_default();
            let recorded = value.as_f64().unwrap_or(f64::NAN);
            match short {
                "size"
                | "min_hashes_per_host"
                | "max_hashes_per_host"
                | "min_entries_per_host"
                | "max_entries_per_host" => self.placement_stat(short, value),
                "upstream_rq_timeout"
                | "upstream_rq_retry_limit_exceeded"
                | "upstream_rq_retry"
                | "upstream_rq_retry_success"
                | "aborts_injected"
                | "upstream_rq_retry_overflow" => {
                    // Counts of independent trials: five of their standard deviations.
                    self.range(short, value, 5.0 * recorded.sqrt(), |log| {
                        log.counters.get(short).copied().unwrap_or(0) as f64
                    });
                }
                "upstream_cx_destroy" if self.setup.timeout.is_some() => {
                    self.range(short, value, 0.0, |log| {
                        log.counters
                            .get("upstream_cx_destroy")
                            .copied()
                            .unwrap_or(0) as f64
                    });
                }
                _ if name.contains("outlier_detection.") => self.outlier_stat(short, value),
                _ => {}
            }
        }
    }

    fn new_host(&mut self, value: &Value) {
        let last = self.setup.upstreams.len() as u32 - 1;
        let seconds = value.as_array().map_or(0, Vec::len);
        let by_second: Vec<Vec<f64>> = self
            .logs
            .iter()
            .map(|log| {
                let first = log
                    .picks
                    .iter()
                    .find(|&&(_, host)| host == last)
                    .expect("the host is picked")
                    .0;
                let mut counts = vec![(0.0, 0.0); seconds];
                for &(at, host) in log.picks.iter().filter(|&&(at, _)| at >= first) {
                    let second =
                        at.saturating_since(first).as_nanos() / Duration::from_secs(1).as_nanos();
                    if let Some((new, all)) = counts.get_mut(second as usize) {
                        *all += 1.0;
                        *new += f64::from(u8::from(host == last));
                    }
                }
                counts.iter().map(|(new, all)| new / all).collect()
            })
            .collect();
        for (second, recorded) in value.as_array().into_iter().flatten().enumerate() {
            let ours: Vec<f64> = by_second.iter().map(|shares| shares[second]).collect();
            let tolerance = self.tolerance.share;
            self.share(
                &format!("share in second {second}"),
                recorded.as_f64().unwrap_or(f64::NAN),
                &ours,
                tolerance,
            );
        }
    }

    fn last_pick(&mut self, field: &str, value: &Value) {
        let host: u32 = field
            .trim_start_matches('h')
            .split('_')
            .next()
            .and_then(|host| host.parse().ok())
            .unwrap_or(0);
        let failed = self.case.result[format!("h{host}_fails_at_s")]
            .as_f64()
            .unwrap_or(f64::NAN);
        self.range(field, value, 0.12, |log| {
            let last = log.picks.iter().rev().find(|&&(_, picked)| picked == host);
            last.map_or(f64::NAN, |(at, _)| at.as_secs_f64()) - failed
        });
    }

    fn updates(&mut self, entries: Option<&Map<String, Value>>) {
        for (name, value) in entries.into_iter().flatten() {
            let short = name.rsplit('.').next().unwrap_or_default();
            if ["cluster_updated", "cluster_updated_via_merge"].contains(&short) {
                self.range(short, value, 0.0, |log| {
                    log.counters.get(short).copied().unwrap_or(0) as f64
                });
            }
        }
    }
}

fn share_of_finals(log: &Log, wanted: impl Fn(&str) -> bool) -> f64 {
    let found = log
        .finals
        .iter()
        .filter(|last| wanted(&last.flags.to_string()))
        .count();
    found as f64 / log.finals.len().max(1) as f64
}

fn count_of_flag(log: &Log, flag: &str) -> usize {
    log.finals
        .iter()
        .filter(|last| last.flags.to_string() == flag)
        .count()
}

/// Failures up to the first two seconds without any.
fn before_quiet(failures: &[Time]) -> usize {
    let quiet = failures
        .windows(2)
        .position(|pair| pair[1].saturating_since(pair[0]) > Duration::from_secs(2));
    quiet.map_or(failures.len(), |last| last + 1)
}
