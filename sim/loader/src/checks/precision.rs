//! Replications that cannot show what is asked of them.
//!
//! The bound is that of independent requests with a coefficient of variation of 1, which is the
//! best there is; requests that share queues need more.

use super::{Whole, flow};
use crate::diagnostic::{Code, Diagnostics};

/// Two-sided 95 % quantile of the standard normal law.
const NORMAL: f64 = 1.96;

pub(super) fn check(whole: &Whole<'_>, diagnostics: &mut Diagnostics) {
    let run = &whole.scenario.run;
    if run.replications.max == 1 {
        diagnostics
            .report(
                Code::NoInterval,
                whole.places.run,
                "one replication has no confidence interval",
            )
            .help("write `replications: 8` or more to see how certain the results are");
    }
    let Some(precision) = run
        .replications
        .precision
        .filter(|precision| *precision > 0.0)
    else {
        return;
    };
    for traffic in &whole.scenario.traffic {
        let Some(rate) = flow::mean_rate(&traffic.arrivals, run.duration) else {
            continue;
        };
        let requests = rate * run.duration.as_secs_f64() * f64::from(run.replications.max);
        let best = NORMAL / libm::sqrt(requests.max(1.0));
        if best > precision {
            let message = format!(
                "{} replications of `{}` reach a precision of {:.1}% at best, not {:.1}%",
                run.replications.max,
                traffic.name,
                best * 100.0,
                precision * 100.0
            );
            let needed = (NORMAL / precision) * (NORMAL / precision);
            diagnostics
                .report(Code::PrecisionUnreachable, whole.places.run, message)
                .help(format!(
                    "it takes about {needed:.0} requests, and there are {requests:.0}: raise `max` or `duration`"
                ));
        }
    }
}
