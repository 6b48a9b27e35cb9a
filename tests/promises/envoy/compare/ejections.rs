//! Ejections and returns, and the failures around them.

use super::Comparison;
use crate::envoy::setup::{Load, Log};
use cloud::envoy::outlier::{Cause, Happening};
use engine::Time;
use serde_json::Value;

impl Comparison<'_> {
    /// Ejections and returns: what, in this order, and when.
    pub(super) fn events(&mut self, value: &Value) {
        let end = self.load_ends().as_secs_f64();
        let recorded: Vec<(String, f64)> = value
            .as_array()
            .into_iter()
            .flatten()
            .map(|event| {
                let word = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
                let kind = match (word("action").as_str(), event["enforced"] == true) {
                    ("UNEJECT", _) => "return".to_owned(),
                    (_, true) => format!("eject {}", word("type")),
                    (_, false) => format!("observe {}", word("type")),
                };
                (kind, event["t"].as_f64().unwrap_or(f64::NAN))
            })
            .filter(|&(_, at)| at < end)
            .collect();
        let mut ours: Vec<Vec<(String, f64)>> = self.logs.iter().map(events_of).collect();
        for events in &mut ours {
            events.retain(|&(_, at)| at < end);
        }
        let kinds = |events: &[(String, f64)]| -> Vec<String> {
            events.iter().map(|(kind, _)| kind.clone()).collect()
        };
        let sought = kinds(&recorded);
        let alike: Vec<&Vec<(String, f64)>> = ours
            .iter()
            .filter(|events| kinds(events) == sought)
            .collect();
        self.expect("events", !alike.is_empty(), || {
            format!("recorded {recorded:?}, ours {:?}", ours.first())
        });
        for (index, (kind, at)) in recorded.iter().enumerate() {
            let times: Vec<f64> = alike.iter().map(|events| events[index].1).collect();
            let low = times.iter().copied().fold(f64::INFINITY, f64::min);
            let high = times.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let agrees = times.is_empty() || low - 0.2 <= *at && *at <= high + 0.2;
            self.expect(&format!("event {index} {kind}"), agrees, || {
                format!("recorded at {at}, ours {low} to {high}")
            });
        }
    }

    pub(super) fn error_rates(&mut self, value: &Value) {
        let asked = 5.0
            * self
                .case
                .tried("rate")
                .and_then(Value::as_f64)
                .unwrap_or(f64::NAN);
        for (bin, rate) in value.as_array().into_iter().flatten().enumerate() {
            let (from, to) = (5.0 * bin as f64, 5.0 * (bin + 1) as f64);
            self.range(&format!("error rate from {from} s"), rate, 0.02, |log| {
                let within = |at: &&Time| (from..to).contains(&at.as_secs_f64());
                log.failures.iter().filter(within).count() as f64 / asked
            });
        }
    }

    /// When the load is over; some time later it is no longer watched what happens.
    fn load_ends(&self) -> Time {
        match self.setup.load {
            Load::Closed { until, .. } | Load::Open { until, .. } => until,
            Load::Bursts { .. } => Time::from_nanos(u64::MAX),
        }
    }

    pub(super) fn outlier_stat(&mut self, short: &str, value: &Value) {
        let slack = if value.as_f64().unwrap_or(0.0) > 50.0 {
            2.0
        } else {
            0.0
        };
        let (slack, worth): (f64, fn(&Happening) -> f64) = match short {
            "ejections_active" => (0.0, |happening| match happening {
                Happening::Ejected(..) => 1.0,
                Happening::Returned(_) => -1.0,
                Happening::Observed(..) | Happening::Overflowed(..) => 0.0,
            }),
            "ejections_enforced_total" => (slack, |happening| {
                f64::from(u8::from(matches!(happening, Happening::Ejected(..))))
            }),
            // The older total counts two kinds, enforced or not.
            "ejections_total" => (slack, |happening| match happening {
                Happening::Ejected(_, Cause::ServerErrors | Cause::SuccessRate)
                | Happening::Observed(_, Cause::ServerErrors | Cause::SuccessRate) => 1.0,
                _ => 0.0,
            }),
            "ejections_detected_consecutive_5xx" => {
                (slack, |happening| found(happening, Cause::ServerErrors))
            }
            "ejections_detected_consecutive_gateway_failure" => {
                (slack, |happening| found(happening, Cause::GatewayErrors))
            }
            "ejections_detected_consecutive_local_origin_failure" => {
                (slack, |happening| found(happening, Cause::LocalFailures))
            }
            "ejections_overflow" => (slack + 1.0, |happening| {
                f64::from(u8::from(matches!(happening, Happening::Overflowed(..))))
            }),
            // The others say the same under older names, or are not enforced.
            _ => return,
        };
        // Nobody tells how long after the load statistics were read.
        let ends = [self.load_ends(), Time::from_nanos(u64::MAX)];
        let ours = self.logs.iter().flat_map(|log| {
            ends.map(|end| {
                let watched = log.happenings.iter().filter(|&&(at, _)| at < end);
                watched.map(|(_, happening)| worth(happening)).sum()
            })
        });
        let ours: Vec<f64> = ours.collect();
        self.within(short, value, slack, &ours);
    }
}

/// One if a detector found a host, whatever became of it.
fn found(happening: &Happening, sought: Cause) -> f64 {
    let by = match happening {
        Happening::Ejected(_, cause)
        | Happening::Observed(_, cause)
        | Happening::Overflowed(_, cause) => Some(*cause),
        Happening::Returned(_) => None,
    };
    f64::from(u8::from(by == Some(sought)))
}

/// What the detector did, in the words of Envoy's log.
fn events_of(log: &Log) -> Vec<(String, f64)> {
    let word = |cause: Cause| match cause {
        Cause::ServerErrors => "CONSECUTIVE_5XX",
        Cause::GatewayErrors => "CONSECUTIVE_GATEWAY_FAILURE",
        Cause::LocalFailures => "CONSECUTIVE_LOCAL_ORIGIN_FAILURE",
        Cause::SuccessRate => "SUCCESS_RATE",
        Cause::FailureShare => "FAILURE_PERCENTAGE",
    };
    let told = log.happenings.iter().filter_map(|&(at, happening)| {
        let kind = match happening {
            Happening::Ejected(_, cause) => format!("eject {}", word(cause)),
            Happening::Observed(_, cause) => format!("observe {}", word(cause)),
            Happening::Returned(_) => "return".to_owned(),
            Happening::Overflowed(..) => return None,
        };
        Some((kind, at.as_secs_f64()))
    });
    told.collect()
}
