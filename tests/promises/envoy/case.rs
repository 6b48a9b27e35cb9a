//! What a recording was made with, as the rig's setup. Nothing depends on a recording's name.

mod policies;

use crate::envoy::setup::{Badness, Keys, Load, Setup, Upstream};
use cloud::envoy::hash;
use cloud::envoy::hosts::{Health, Host, Localities, Policy, Settings};
use cloud::envoy::least_request::Selection;
use cloud::envoy::pool;
use cloud::envoy::ring;
use cloud::envoy::slow_start::SlowStart;
use cloud::facts;
use engine::{Duration, Time};
use serde_json::Value;

/// Fields of a configuration that are understood. A result that has one of them tells which value
/// of it was tried.
const UNDERSTOOD: [&str; 77] = [
    "abort_pct",
    "abort_status",
    "active_request_bias",
    "aggression",
    "backend",
    "backend_delay_ms",
    "backend_status",
    "bad",
    "bad_kind",
    "bad_recovers_at_s",
    "base_ms",
    "callers_per_locality",
    "choice_count",
    "concurrency",
    "degraded",
    "degraded_p0",
    "degraded_p1",
    "degraded_p2",
    "delay_ms",
    "delay_pct",
    "hash_balance_factor",
    "hash_key",
    "hash_on",
    "health_check_interval_s",
    "healthy",
    "healthy_p0",
    "healthy_p1",
    "healthy_p2",
    "healthy_per_locality",
    "host_selection_retry_max_attempts",
    "hosts",
    "hosts_p0",
    "hosts_p1",
    "hosts_p2",
    "hosts_per_locality",
    "http2_upstream",
    "lb",
    "local_ratelimit",
    "locality_weights",
    "max_concurrent_streams",
    "max_connections",
    "max_ms",
    "max_pending_requests",
    "max_requests",
    "max_requests_per_connection",
    "max_retries",
    "min_cluster_size",
    "min_weight_percent",
    "mirror_backend_delay_ms",
    "mirror_backend_status",
    "note",
    "num_retries",
    "options",
    "outlier",
    "overprovisioning",
    "p_fail",
    "panic_threshold",
    "panic_threshold_zero",
    "pct",
    "per_try_timeout_ms",
    "previous_hosts",
    "previous_priorities",
    "refusing",
    "retriable_status_codes",
    "retries",
    "retry_budget",
    "retry_on",
    "route",
    "selection_method",
    "status",
    "thresholds",
    "timeout_ms",
    "unhealthy_threshold",
    "update_merge_window",
    "weights",
    "window_s",
    "workers",
];

/// Fields whose value is a list; elsewhere a list tells what was tried one after the other.
const LISTS: [&str; 7] = [
    "backend_delay_ms",
    "callers_per_locality",
    "healthy_per_locality",
    "hosts_per_locality",
    "locality_weights",
    "retriable_status_codes",
    "weights",
];

/// Priorities that a recording may tell of.
const PRIORITIES: usize = 3;

/// Whether a result tells by this field what was tried: its `status` is what came out.
fn is_tried(field: &str) -> bool {
    field == "clients" || field != "status" && UNDERSTOOD.contains(&field)
}

/// One result of a recording, with what it was made with.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    pub recording: &'a Value,
    pub result: &'a Value,
}

impl Case<'_> {
    /// A field of what was tried: of the result, the load or the configuration.
    pub fn tried(&self, field: &str) -> Option<&Value> {
        let of_result = is_tried(field).then(|| &self.result[field]);
        let places = [
            of_result,
            Some(&self.recording["load"][field]),
            Some(&self.recording["config"][field]),
        ];
        places
            .into_iter()
            .flatten()
            .find(|value| !value.is_null() && (!value.is_array() || LISTS.contains(&field)))
    }

    fn number(&self, field: &str) -> Option<f64> {
        self.tried(field).and_then(Value::as_f64)
    }

    fn count(&self, field: &str) -> Option<u32> {
        self.tried(field)
            .and_then(Value::as_u64)
            .map(|count| count as u32)
    }

    fn word(&self, field: &str) -> Option<&str> {
        self.tried(field).and_then(Value::as_str)
    }

    fn list(&self, field: &str) -> Option<&Vec<Value>> {
        self.tried(field).and_then(Value::as_array)
    }

    fn counts(&self, field: &str) -> Option<Vec<u32>> {
        let count = |value: &Value| value.as_u64().unwrap_or(0) as u32;
        Some(self.list(field)?.iter().map(count).collect())
    }

    /// What was tried; repetitions have it in common.
    pub fn parameters(&self) -> String {
        let told = self.result.as_object().into_iter().flatten();
        let tried = told.filter(|(field, _)| is_tried(field));
        tried
            .map(|(field, value)| format!("{field}={value} "))
            .collect()
    }

    /// When sweeps come: their grid begins with the cluster, which a recording shows only by its
    /// first return. Without one the cluster begins with the load.
    fn sweep_phase(&self, interval: Duration) -> Duration {
        let events = self.result["events_t0_is_load_start"].as_array();
        let returns = events
            .into_iter()
            .flatten()
            .find(|event| event["action"] == "UNEJECT");
        let returned = returns
            .and_then(|event| event["t"].as_f64())
            .map(Duration::from_secs_f64);
        let phase = returned.map_or(0, |returned| returned.as_nanos() % interval.as_nanos());
        Duration::from_nanos(if phase == 0 {
            interval.as_nanos()
        } else {
            phase
        })
    }

    /// Half of the time that hosts' delays do not explain, for machines that were busy.
    fn overhead(&self) -> Duration {
        let shares = self.result["shares"].as_object();
        let delays = self.tried("backend_delay_ms");
        let mean = self.result["latency_ms"]["mean"].as_f64();
        let (Some(shares), Some(delays), Some(mean)) = (shares, delays, mean) else {
            return OVERHEAD;
        };
        let delay = |index| delays.get(index).unwrap_or(delays).as_f64().unwrap_or(0.0);
        let explained = shares.values().enumerate();
        let explained =
            explained.map(|(index, share)| share.as_f64().unwrap_or(0.0) * delay(index));
        Duration::from_secs_f64((mean - explained.sum::<f64>()).max(0.0) / 2000.0)
    }

    /// The rig's setup.
    ///
    /// # Errors
    /// What it does not understand.
    pub fn setup(&self) -> Result<Setup, String> {
        self.understand("config", &UNDERSTOOD)?;
        let of_load = ["kind", "clients", "requests", "rate", "seconds", "keys"];
        self.understand("load", &of_load)?;
        if self
            .word("retries")
            .is_some_and(|retries| retries != "none")
        {
            return Err("retries in words".to_owned());
        }
        let settings = self.settings()?;
        let load = self.load()?;
        let outlier = self.outlier()?;
        Ok(Setup {
            first_sweep: outlier
                .map_or(Duration::ZERO, |outlier| self.sweep_phase(outlier.interval)),
            upstreams: self.upstreams()?,
            settings,
            workers: self
                .count("concurrency")
                .or(self.count("workers"))
                .unwrap_or(1),
            inside: self.overhead(),
            outside: self.overhead(),
            connect: CONNECT,
            late: LATE,
            pool: self.pool(),
            thresholds: self.thresholds(),
            outlier,
            merge_window: self.merge_window()?,
            retry: self.retry()?,
            timeout: self.timeout()?,
            faults: self.faults(),
            rate_limit: self.rate_limit()?,
            mirror: self.mirror(),
            checks: self.checks(),
            load,
            keys: self.keys(),
        })
    }

    /// Whether all fields of a part of the recording are known.
    fn understand(&self, part: &str, known: &[&str]) -> Result<(), String> {
        let fields = self.recording[part]
            .as_object()
            .ok_or(format!("no {part}"))?;
        let strange = fields.keys().find(|field| !known.contains(&field.as_str()));
        strange.map_or(Ok(()), |strange| Err(format!("a {part} with {strange}")))
    }

    fn settings(&self) -> Result<Settings, String> {
        let options = self.tried("options");
        let strange = options.and_then(Value::as_object).and_then(|options| {
            let known = ["minimum_ring_size", "maximum_ring_size", "table_size"];
            options
                .keys()
                .find(|option| !known.contains(&option.as_str()))
        });
        if let Some(strange) = strange {
            return Err(format!("the option {strange}"));
        }
        let option = |name: &str| options.and_then(|options| options[name].as_u64());
        let policy = match self.word("lb").unwrap_or("ROUND_ROBIN") {
            "ROUND_ROBIN" => Policy::RoundRobin,
            "RANDOM" => Policy::Random,
            "LEAST_REQUEST" => Policy::LeastRequest {
                selection: match self.word("selection_method").unwrap_or("N_CHOICES") {
                    "FULL_SCAN" => Selection::FullScan,
                    "N_CHOICES" => Selection::Choices(
                        self.count("choice_count")
                            .unwrap_or(facts::ENVOY_LEAST_REQUEST_CHOICES.value),
                    ),
                    other => return Err(format!("a selection by {other}")),
                },
                bias: self
                    .number("active_request_bias")
                    .unwrap_or(facts::ENVOY_LEAST_REQUEST_BIAS.value),
            },
            "RING_HASH" => Policy::RingHash(ring::Size {
                min: option("minimum_ring_size").unwrap_or(facts::ENVOY_RING_MIN.value),
                max: option("maximum_ring_size").unwrap_or(facts::ENVOY_RING_MAX.value),
            }),
            "MAGLEV" => {
                Policy::Maglev(option("table_size").unwrap_or(facts::ENVOY_MAGLEV_TABLE.value))
            }
            other => return Err(format!("the balancer {other}")),
        };
        let window = self.number("window_s").map(Duration::from_secs_f64);
        let zero = self.tried("panic_threshold_zero") == Some(&Value::Bool(true));
        let panic = if zero {
            Some(0)
        } else {
            self.count("panic_threshold")
        };
        Ok(Settings {
            overprovisioning: self
                .count("overprovisioning")
                .unwrap_or(facts::ENVOY_OVERPROVISIONING.value),
            panic_threshold: panic.unwrap_or(facts::ENVOY_PANIC_THRESHOLD.value),
            slow_start: window.map(|window| SlowStart {
                aggression: self
                    .number("aggression")
                    .unwrap_or(facts::ENVOY_SLOW_START_AGGRESSION.value),
                share_min: self
                    .number("min_weight_percent")
                    .map_or(facts::ENVOY_SLOW_START_MIN.value, |percent| percent / 100.0),
                ..SlowStart::over(window)
            }),
            localities: match (
                self.counts("locality_weights"),
                self.counts("callers_per_locality"),
            ) {
                (Some(weights), _) => Localities::Weighted(vec![weights]),
                (None, Some(callers)) => Localities::ZoneAware {
                    callers,
                    hosts_min: self
                        .count("min_cluster_size")
                        .unwrap_or(facts::ENVOY_ZONE_ROUTING_HOSTS_MIN.value),
                },
                (None, None) => Localities::Ignored,
            },
            bounded_load: self.count("hash_balance_factor"),
            ..Settings::of(policy)
        })
    }

    /// How many hosts there are, as far as the recording tells.
    fn hosts(&self) -> u32 {
        let listed = ["weights", "backend_delay_ms"].iter();
        let listed = listed.filter_map(|field| self.list(field));
        let listed = listed.map(|list| list.len() as u32).max();
        let named = self.result["hosts_in_config_order"]
            .as_array()
            .map(|list| list.len() as u32);
        let spilled = self.sizes().map(|sizes| sizes.iter().sum());
        let by_locality = self.counts("hosts_per_locality");
        let by_locality = by_locality.map(|counts| counts.iter().sum());
        let seen = ["shares", "upstream", "upstream_requests"]
            .iter()
            .filter_map(|field| self.result[*field].as_object());
        let seen = seen.map(|shares| shares.len() as u32).max();
        let told = self
            .result
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(field, _)| {
                let number = field.strip_prefix('h')?.strip_suffix("_fails_at_s")?;
                number.parse::<u32>().ok().map(|number| number + 1)
            });
        self.count("hosts")
            .or(named)
            .or(spilled)
            .or(by_locality)
            .or(listed)
            .or(seen)
            .or(told.max())
            .unwrap_or(1)
    }

    fn upstreams(&self) -> Result<Vec<Upstream>, String> {
        let count = self.hosts();
        let bad = self.count("bad").or(self.count("refusing")).unwrap_or(0);
        let kind = match self.tried("refusing") {
            Some(_) => "refuse",
            None => self.word("bad_kind").unwrap_or("500"),
        };
        let badness = match kind {
            "refuse" => Badness::Refuses,
            "reset" | "close" => Badness::Cuts,
            "hang" | "timeout" => Badness::Silent,
            status => Badness::Status(status.parse().map_err(|_| format!("hosts that {status}"))?),
        };
        let always = match (self.number("backend_status"), self.word("backend")) {
            (Some(status), _) => Some(status as u16),
            (None, Some(text)) => text.split(' ').find_map(|word| word.parse().ok()),
            (None, None) => None,
        };
        let during = self.bad_during();
        Ok((0..count)
            .map(|index| Upstream {
                host: self.host(index),
                key: self.key(index),
                delay: self.delay(index),
                bad: always
                    .map(Badness::Status)
                    .or((index < bad).then_some(badness)),
                bad_during: if always.is_some() {
                    vec![ALWAYS]
                } else {
                    during.clone()
                },
                failing: self.number("p_fail").unwrap_or(0.0),
            })
            .collect())
    }

    /// How many hosts each priority has, if there are several.
    fn sizes(&self) -> Option<[u32; PRIORITIES]> {
        self.count("hosts_p0")?;
        Some([0, 1, 2].map(|priority| self.count(&format!("hosts_p{priority}")).unwrap_or(0)))
    }

    /// A priority or a locality, and a place in it.
    fn place(sizes: &[u32], index: u32) -> (usize, u32) {
        let mut place = index;
        for (part, &size) in sizes.iter().enumerate() {
            if place < size {
                return (part, place);
            }
            place -= size;
        }
        (0, index)
    }

    fn host(&self, index: u32) -> Host {
        // A short list goes round.
        let weights = self.list("weights");
        let weight = weights.and_then(|weights| weights[index as usize % weights.len()].as_u64());
        let (priority, mut place) = Case::place(&self.sizes().unwrap_or_default(), index);
        let of = |what: &str| {
            let whole = (priority == 0).then(|| self.count(what)).flatten();
            whole.or(self.count(&format!("{what}_p{priority}")))
        };
        let (mut healthy, degraded) = (of("healthy"), of("degraded").unwrap_or(0));
        let mut locality = 0;
        if let Some(sizes) = self.counts("hosts_per_locality") {
            (locality, place) = Case::place(&sizes, index);
            let counts = self.counts("healthy_per_locality");
            healthy = healthy.or(counts.and_then(|counts| counts.get(locality).copied()));
        }
        let joins = self.tried("window_s").is_some() && index + 1 == self.hosts();
        let healthy = if joins { Some(0) } else { healthy };
        Host {
            weight: weight.unwrap_or(1) as u32,
            priority: priority as u32,
            locality: locality as u32,
            health: match healthy {
                Some(healthy) if place >= healthy + degraded => Health::Unhealthy,
                Some(healthy) if place >= healthy => Health::Degraded,
                Some(_) | None => Health::Healthy,
            },
            healthy_since: Time::ZERO,
        }
    }

    fn key(&self, index: u32) -> String {
        let named = &self.result["hosts_in_config_order"][index as usize];
        named
            .as_str()
            .map_or_else(|| format!("host {index}"), str::to_owned)
    }

    fn delay(&self, index: u32) -> Duration {
        let delay = self.tried("backend_delay_ms");
        let each = delay.map(|delay| delay.get(index as usize).unwrap_or(delay));
        milliseconds(each.and_then(Value::as_f64).unwrap_or(0.0))
    }

    /// When bad hosts are bad: until they recover, or as the question says.
    fn bad_during(&self) -> Vec<(Time, Time)> {
        let begin = self.load_begins();
        let told = phases(self.recording["question"].as_str().unwrap_or_default());
        if !told.is_empty() {
            let instant = |seconds: f64| begin + Duration::from_secs_f64(seconds);
            return told
                .iter()
                .map(|&(from, to)| (instant(from), instant(to)))
                .collect();
        }
        match self.number("bad_recovers_at_s") {
            Some(seconds) if seconds > 0.0 => {
                vec![(Time::ZERO, begin + Duration::from_secs_f64(seconds))]
            }
            Some(_) | None => vec![ALWAYS],
        }
    }

    /// Slow start is watched when the other hosts have had theirs.
    fn load_begins(&self) -> Time {
        match self.number("window_s") {
            Some(window) => Time::from_secs_f64(2.0 * window),
            None => Time::ZERO,
        }
    }

    fn load(&self) -> Result<Load, String> {
        let kind = self.word("kind").unwrap_or_default();
        let seconds = self.number("seconds");
        let begin = self.load_begins();
        if let Some(keys) = self.result["key_to_host"].as_object() {
            // Where nothing is retried, a key's place tells all.
            let asked = self.result["attempts"].is_object();
            return Ok(Load::Closed {
                clients: 1,
                requests: if asked { keys.len() as u32 } else { 0 },
                until: Time::from_secs_f64(1_000.0),
            });
        }
        if kind.starts_with("closed loop") {
            let clients = self.result["clients"]
                .as_u64()
                .map(|clients| clients as u32);
            return Ok(Load::Closed {
                clients: clients
                    .or(self.count("clients"))
                    .ok_or("a load without clients")?,
                requests: self.count("requests").unwrap_or(u32::MAX),
                until: Time::from_secs_f64(seconds.unwrap_or(1_000_000.0)),
            });
        }
        if kind.starts_with("open loop") {
            // Where the end is not told, what is watched is over by then.
            let watched = seconds.unwrap_or(
                self.number("window_s")
                    .map_or(12.0, |window| 2.0 * window + 4.0),
            );
            return Ok(Load::Open {
                rate: self.number("rate").ok_or("a load without a rate")?,
                poisson: kind.contains("Poisson"),
                from: begin,
                until: begin + Duration::from_secs_f64(watched),
            });
        }
        if kind.starts_with("bursts") {
            let numbers: Vec<u32> = kind
                .split(|letter: char| !letter.is_ascii_digit())
                .filter_map(|number| number.parse().ok())
                .collect();
            if let [size, rounds] = numbers[..] {
                return Ok(Load::Bursts { size, rounds });
            }
        }
        Err(format!("a load of {kind:?}"))
    }

    fn keys(&self) -> Keys {
        match self.word("hash_key") {
            Some(key) => Keys::Same(hash::of(key)),
            None if self.result["key_to_host"].is_object() => Keys::Numbered,
            None => Keys::Absent,
        }
    }

    fn pool(&self) -> pool::Settings {
        let http2 = self.tried("http2_upstream") == Some(&Value::Bool(true));
        let settings = if http2 {
            pool::Settings::http2(self.minor())
        } else {
            pool::Settings::http1()
        };
        pool::Settings {
            streams_max: match self.count("max_concurrent_streams") {
                Some(streams) if http2 => streams,
                Some(_) | None => settings.streams_max,
            },
            requests_max: self
                .count("max_requests_per_connection")
                .filter(|&max| max > 0),
            ..settings
        }
    }

    fn minor(&self) -> u32 {
        let version = self.recording["envoy"].as_str().unwrap_or_default();
        let minor = version
            .split('.')
            .nth(1)
            .and_then(|minor| minor.parse().ok());
        minor.unwrap_or(40)
    }

    /// What health checks find: hosts that fail at a time of the result, and hosts that join.
    fn checks(&self) -> Vec<(Time, u32, Health)> {
        let interval = self.number("health_check_interval_s").unwrap_or(0.0);
        let threshold = self.number("unhealthy_threshold").unwrap_or(1.0);
        let mut checks: Vec<(Time, u32, Health)> = (0..self.hosts())
            .filter_map(|host| {
                let failed = self.result[format!("h{host}_fails_at_s")].as_f64()?;
                // On average half an interval passes until the first check that fails.
                let found = failed + interval * (threshold - 0.5);
                Some((Time::from_secs_f64(found), host, Health::Unhealthy))
            })
            .collect();
        if self.tried("window_s").is_some() {
            let joins = self.load_begins() + Duration::from_secs(3);
            checks.push((joins, self.hosts() - 1, Health::Healthy));
        }
        checks.sort_by_key(|&(at, host, _)| (at, host));
        checks
    }
}

/// Always.
const ALWAYS: (Time, Time) = (Time::ZERO, Time::from_nanos(u64::MAX));
/// What a connection takes to come up, on the loopback of a busy machine.
const CONNECT: Duration = Duration::from_micros(200);
/// What an exchange costs beyond the host's delay, and what lies before the proxy.
const OVERHEAD: Duration = Duration::from_micros(800);
/// How late timers fire there.
const LATE: Duration = Duration::from_millis(2);

fn milliseconds(number: f64) -> Duration {
    Duration::from_secs_f64(number / 1000.0)
}

/// As Envoy writes them: `30s`, `0.5s`.
fn duration(value: &Value) -> Result<Duration, String> {
    let text = value.as_str().unwrap_or_default();
    let seconds = text
        .strip_suffix('s')
        .and_then(|number| number.parse().ok());
    seconds
        .map(Duration::from_secs_f64)
        .ok_or(format!("a duration of {value}"))
}

/// Phases of failure that a question tells: "fails 0-45 s, fine 45-63 s, fails again 63-70 s".
fn phases(question: &str) -> Vec<(f64, f64)> {
    let told = question
        .split(',')
        .filter(|part| part.contains("fails ") && part.contains(" s"));
    told.filter_map(|part| {
        let span = part.split(' ').find_map(|word| word.split_once('-'))?;
        Some((span.0.parse().ok()?, span.1.parse().ok()?))
    })
    .collect()
}
