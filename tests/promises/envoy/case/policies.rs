//! Limits, detectors, retries and faults of a recording.

use super::{Case, duration, milliseconds};
use cloud::envoy::breaker::{Budget, Thresholds};
use cloud::envoy::injection::{Faults, Millionths};
use cloud::envoy::outlier::{self, Cap, Enforcement};
use cloud::envoy::rate_limit::RateLimit;
use cloud::envoy::retry::{RetryOn, RetryPolicy};
use cloud::facts;
use engine::{Duration, Time};
use serde_json::Value;

impl Case<'_> {
    pub(super) fn thresholds(&self) -> Thresholds {
        let nested = self.tried("thresholds").unwrap_or(&Value::Null);
        let limit = |name: &str| {
            nested[name]
                .as_u64()
                .map(|limit| limit as u32)
                .or(self.count(name))
        };
        let default = Thresholds::default();
        let budget = nested["retry_budget"].as_object();
        let budget = budget.or(self.tried("retry_budget").and_then(Value::as_object));
        Thresholds {
            connections: limit("max_connections").unwrap_or(default.connections),
            pending: limit("max_pending_requests").unwrap_or(default.pending),
            requests: limit("max_requests").unwrap_or(default.requests),
            // Recordings of retries that say nothing were made without a limit that shows.
            retries: limit("max_retries").unwrap_or(u32::MAX),
            budget: budget.map(|budget| {
                let number = |name: &str| {
                    budget
                        .get(name)
                        .and_then(|value| value.as_f64().or(value["value"].as_f64()))
                };
                let default = Budget::default();
                Budget {
                    percent: number("budget_percent").unwrap_or(default.percent),
                    min: number("min_retry_concurrency").map_or(default.min, |min| min as u32),
                }
            }),
        }
    }

    pub(super) fn outlier(&self) -> Result<Option<outlier::Settings>, String> {
        let Some(Value::Object(told)) = self.tried("outlier") else {
            return Ok(None);
        };
        let always_one = told.get("always_eject_one_host") == Some(&Value::Bool(true));
        let mut settings = outlier::Settings {
            cap: Cap::of_minor(self.minor(), always_one),
            ..outlier::Settings::default()
        };
        let mut max = None;
        for (name, value) in told {
            let count = value.as_u64().unwrap_or(0) as u32;
            let enforcement = if count > 0 {
                Enforcement::Enforced
            } else {
                Enforcement::Observed
            };
            match name.as_str() {
                "always_eject_one_host" => {}
                "base_ejection_time" => settings.base = duration(value)?,
                "max_ejection_time" => max = Some(duration(value)?),
                "interval" => settings.interval = duration(value)?,
                "max_ejection_time_jitter" => settings.jitter = duration(value)?,
                "max_ejection_percent" => settings.percent_max = count,
                "consecutive_5xx" => settings.server_errors.threshold = count,
                "consecutive_gateway_failure" => settings.gateway_errors.threshold = count,
                "consecutive_local_origin_failure" => settings.local_failures.threshold = count,
                "split_external_local_origin_errors" => {
                    settings.split = value == &Value::Bool(true)
                }
                "enforcing_consecutive_5xx" => settings.server_errors.enforcement = enforcement,
                "enforcing_consecutive_gateway_failure" => {
                    settings.gateway_errors.enforcement = enforcement
                }
                "enforcing_consecutive_local_origin_failure" => {
                    settings.local_failures.enforcement = enforcement
                }
                // A split tells connections apart; their rates are compared like answers'.
                "enforcing_local_origin_success_rate"
                | "enforcing_failure_percentage_local_origin" => {}
                "enforcing_success_rate" => settings.success_rate.enforcement = enforcement,
                "enforcing_failure_percentage" => settings.failure_share.enforcement = enforcement,
                "success_rate_minimum_hosts" => settings.success_rate.hosts_min = count,
                "success_rate_request_volume" => settings.success_rate.volume = count,
                "success_rate_stdev_factor" => settings.success_rate.factor = count,
                "failure_percentage_threshold" => settings.failure_share.percent = count,
                "failure_percentage_minimum_hosts" => settings.failure_share.hosts_min = count,
                "failure_percentage_request_volume" => settings.failure_share.volume = count,
                other => return Err(format!("outlier detection with {other}")),
            }
        }
        settings.max = max.unwrap_or(settings.max).max(settings.base);
        Ok(Some(settings))
    }

    pub(super) fn merge_window(&self) -> Result<Duration, String> {
        let told = self.word("update_merge_window").unwrap_or_default();
        // The first word counts: what follows is a remark.
        match told.split(' ').next().unwrap_or_default() {
            "" => Ok(facts::ENVOY_UPDATE_MERGE_WINDOW.value),
            text => duration(&Value::from(text)),
        }
    }

    /// A field of the route's retry policy, in Envoy's words.
    fn of_policy(&self, field: &str) -> Option<&Value> {
        let told = &self.tried("route")?["retry_policy"][field];
        (!told.is_null()).then_some(told)
    }

    /// The route's timeout, plainly or in Envoy's words; none is zero there.
    pub(super) fn timeout(&self) -> Result<Option<Duration>, String> {
        let plain = self.number("timeout_ms").map(milliseconds);
        let told = self.tried("route").map(|route| &route["timeout"]);
        let told = told.filter(|told| !told.is_null()).map(duration);
        let timeout = plain.or(told.transpose()?);
        Ok(timeout.filter(|timeout| !timeout.is_zero()))
    }

    /// A count of the retry policy, in Envoy's words or plainly.
    fn count_of_policy(&self, field: &str) -> Option<u32> {
        let told = self.of_policy(field).and_then(Value::as_u64);
        told.map(|told| told as u32).or(self.count(field))
    }

    pub(super) fn retry(&self) -> Result<Option<RetryPolicy>, String> {
        let on = self.of_policy("retry_on").and_then(Value::as_str);
        let on = on.or(self.word("retry_on"));
        let Some(on) = on.filter(|on| !on.is_empty()).or(self.implied_retry()) else {
            return Ok(None);
        };
        let unknown = on
            .split(',')
            .find(|name| RetryOn::named(name.trim()).is_none());
        if let Some(unknown) = unknown {
            return Err(format!("retries on {unknown}"));
        }
        let base = RetryPolicy::on(RetryOn::listed(on));
        let paused = |field: &str| {
            self.of_policy("retry_back_off")
                .map(|it| duration(&it[field]))
        };
        let first = self.number("base_ms").map(milliseconds);
        let first = first.or(paused("base_interval").transpose()?);
        let factor = u64::from(facts::ENVOY_RETRY_MAX_FACTOR.value);
        let max = self.number("max_ms").map(milliseconds);
        let max = max.or(paused("max_interval").and_then(Result::ok));
        let time = self
            .of_policy("per_try_timeout")
            .map(duration)
            .transpose()?;
        let codes = self.of_policy("retriable_status_codes");
        let codes = codes.or(self.tried("retriable_status_codes"));
        let codes = codes.and_then(Value::as_array).into_iter().flatten();
        Ok(Some(RetryPolicy {
            retries: self
                .count_of_policy("num_retries")
                .or(self.retries_asked())
                .unwrap_or(base.retries),
            status_codes: codes
                .filter_map(|code| code.as_u64().map(|code| code as u16))
                .collect(),
            base: first.unwrap_or(base.base),
            max: max.unwrap_or(first.unwrap_or(base.base).saturating_mul(factor)),
            previous_hosts: self.tried("previous_hosts") == Some(&Value::Bool(true))
                || self.of_policy("retry_host_predicate").is_some(),
            // Recordings with the predicate were made as Istio sets it.
            host_selections: self
                .count_of_policy("host_selection_retry_max_attempts")
                .unwrap_or(facts::ISTIO_HOST_SELECTIONS.value),
            previous_priorities: self.count("previous_priorities"),
            per_try_timeout: self.number("per_try_timeout_ms").map(milliseconds).or(time),
            ..base
        }))
    }

    /// The question may tell how often is retried where the configuration does not.
    fn retries_asked(&self) -> Option<u32> {
        let question = self.recording["question"].as_str()?;
        let (before, _) = question.split_once(" retries")?;
        before.rsplit(' ').next()?.parse().ok()
    }

    /// A status that every attempt gets and retries of which the question tells.
    fn implied_retry(&self) -> Option<&'static str> {
        let has_none = self.result["retry_on"].is_string();
        (!has_none && self.retries_asked().is_some()).then_some("5xx")
    }

    pub(super) fn faults(&self) -> Faults {
        let share = |name: &str| self.number(name).map(Millionths::of_percent);
        let delay = share("delay_pct").zip(self.number("delay_ms").map(milliseconds));
        Faults {
            delay: delay.filter(|(share, _)| *share > Millionths(0)),
            abort: share("abort_pct").map(|share| {
                let status = self.count("abort_status").unwrap_or(503);
                (share, status as u16)
            }),
        }
    }

    pub(super) fn rate_limit(&self) -> Result<Option<RateLimit>, String> {
        let Some(told) = self.tried("local_ratelimit") else {
            return Ok(None);
        };
        let bucket = &told["token_bucket"];
        let count = |field: &str| bucket[field].as_u64().map(|count| count as u32);
        let max = count("max_tokens").ok_or("a bucket without tokens")?;
        let fill = count("tokens_per_fill").unwrap_or(1);
        let interval = duration(&bucket["fill_interval"])?;
        let steady = self.minor() >= facts::ENVOY_STEADY_LIMIT_FROM_MINOR.value;
        Ok(Some(match steady {
            true => RateLimit::steady(max, fill, interval),
            false => RateLimit::timed(max, fill, interval, Time::ZERO),
        }))
    }

    pub(super) fn mirror(&self) -> Millionths {
        let is_mirrored = self.result["mirrored"].is_u64();
        let share = self
            .number("pct")
            .map_or(Millionths::ALL, Millionths::of_percent);
        if is_mirrored { share } else { Millionths(0) }
    }
}
