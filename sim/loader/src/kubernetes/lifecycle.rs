//! How a container is probed, and how it ends.
//!
//! Models: every number of a probe; `preStop` hooks that sleep, said as such or as a command.
//! Approximates: what a probe asks is whether the application serves.
//! Leaves out: hooks that do anything else, and those after the start.
//! Sources: k8s.io/api core/v1 types.go (1.36); kubernetes/kubernetes pkg/apis/core/v1/defaults.go.

use super::pod::natural;
use crate::diagnostic::{Code, Diagnostics};
use crate::shape::{Field, INTEGER, Kind, NATURAL, Shape, TEXT_LIST};
use crate::tree::Node;
use cloud::kubernetes::probe::Probe;
use engine::Duration;

const ASKS: &str =
    "a probe asks whether the application serves: well, with an error, or not at all";
const HOOKS: &str = "hooks that sleep are known";
const POSITIVE: Kind = Kind::Integer(1, i32::MAX as i64);

/// Fields of a probe.
pub(super) static PROBE: Shape = Shape::new(
    "Probe",
    &[
        Field::modelled("initialDelaySeconds", NATURAL),
        Field::modelled("periodSeconds", POSITIVE),
        Field::modelled("timeoutSeconds", POSITIVE),
        Field::modelled("successThreshold", POSITIVE),
        Field::modelled("failureThreshold", POSITIVE),
        Field::ignored(
            "terminationGracePeriodSeconds",
            INTEGER,
            "that of the pod holds",
        ),
        Field::approximated("exec", Kind::Opaque, ASKS),
        Field::approximated("httpGet", Kind::Opaque, ASKS),
        Field::approximated("tcpSocket", Kind::Opaque, ASKS),
        Field::approximated("grpc", Kind::Opaque, ASKS),
    ],
);

static EXEC: Shape = Shape::new(
    "ExecAction",
    &[Field::approximated(
        "command",
        TEXT_LIST,
        "one that sleeps takes so long; any other takes no time",
    )],
);
static SLEEP: Shape = Shape::new(
    "SleepAction",
    &[Field::modelled("seconds", NATURAL).required()],
);
static HOOK: Shape = Shape::new(
    "LifecycleHandler",
    &[
        Field::modelled("sleep", Kind::Map(&SLEEP)),
        Field::modelled("exec", Kind::Map(&EXEC)),
        Field::ignored("httpGet", Kind::Opaque, HOOKS),
        Field::ignored("tcpSocket", Kind::Opaque, HOOKS),
    ],
);
/// Fields of `lifecycle`.
pub(super) static LIFECYCLE: Shape = Shape::new(
    "Lifecycle",
    &[
        Field::modelled("preStop", Kind::Map(&HOOK)),
        Field::ignored("postStart", Kind::Opaque, "containers start without a hook"),
        Field::ignored(
            "stopSignal",
            Kind::Text,
            "what an application does when told to stop is said in `behavior`",
        ),
    ],
);

/// Reports the timings of a container that the API server refuses: a hook that sleeps longer than
/// the pod may take to stop, and probes that ask for several successes where one is enough.
pub(super) fn check(container: &Node, grace: Duration, diagnostics: &mut Diagnostics) {
    let sleep = container.at(&["lifecycle", "preStop", "sleep", "seconds"]);
    if let Some((seconds, node)) = natural(sleep).zip(sleep) {
        let greatest = grace.as_nanos() / 1_000_000_000;
        if u64::from(seconds) > greatest {
            let message = format!(
                "a hook that sleeps for {seconds} s does not fit into a grace period of {greatest} s"
            );
            diagnostics
                .report(Code::OutOfRange, node.span, message)
                .help("make `terminationGracePeriodSeconds` longer than the hook and what comes after it");
        }
    }
    for probe in ["livenessProbe", "startupProbe"] {
        let threshold = container.at(&[probe, "successThreshold"]);
        if let Some((count, node)) = natural(threshold).zip(threshold)
            && count != 1
        {
            let message = format!("the `successThreshold` of a `{probe}` is 1, not {count}");
            diagnostics
                .report(Code::OutOfRange, node.span, message)
                .help("only a `readinessProbe` may wait for several successes");
        }
    }
}

/// A checked probe, with what the API server fills in.
pub(super) fn probe(node: &Node) -> Probe {
    let number = |key| natural(node.get(key));
    let seconds = |key| number(key).map(|seconds| Duration::from_secs(u64::from(seconds)));
    let default = Probe::default();
    Probe {
        initial_delay: seconds("initialDelaySeconds").unwrap_or(default.initial_delay),
        period: seconds("periodSeconds").unwrap_or(default.period),
        timeout: seconds("timeoutSeconds").unwrap_or(default.timeout),
        success_threshold: number("successThreshold").unwrap_or(default.success_threshold),
        failure_threshold: number("failureThreshold").unwrap_or(default.failure_threshold),
    }
}

/// How long the hook before the end of a checked container runs.
pub(super) fn pre_stop(container: &Node) -> Duration {
    let Some(hook) = container.at(&["lifecycle", "preStop"]) else {
        return Duration::ZERO;
    };
    let seconds = natural(hook.at(&["sleep", "seconds"])).map(f64::from);
    let words = hook.at(&["exec", "command"]).map_or(&[][..], Node::items);
    let words: Vec<&str> = words.iter().filter_map(Node::text).collect();
    let seconds = seconds.or_else(|| asleep(&words.join(" ")));
    seconds.map_or(Duration::ZERO, Duration::from_secs_f64)
}

/// How many seconds a command sleeps: all its `sleep N` together.
fn asleep(command: &str) -> Option<f64> {
    let words: Vec<&str> = command
        .split(|letter: char| letter.is_whitespace() || ";&|()".contains(letter))
        .filter(|word| !word.is_empty())
        .collect();
    let sleeps = words
        .windows(2)
        .filter(|pair| pair[0].rsplit('/').next() == Some("sleep"));
    let times: Vec<f64> = sleeps
        .filter_map(|pair| {
            let (number, unit) = match pair[1].strip_suffix(['s', 'm']) {
                Some(number) if pair[1].ends_with('m') => (number, 60.0),
                Some(number) => (number, 1.0),
                None => (pair[1], 1.0),
            };
            number.parse::<f64>().ok().map(|number| number * unit)
        })
        .filter(|seconds| (0.0..=86_400.0).contains(seconds))
        .collect();
    (!times.is_empty()).then(|| times.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::asleep;

    #[test]
    fn commands_that_sleep_are_understood() {
        assert_eq!(asleep("sleep 5"), Some(5.0));
        assert_eq!(asleep("/bin/sh -c sleep 15; nginx -s quit"), Some(15.0));
        assert_eq!(asleep("sh -c /usr/bin/sleep 1.5s && sleep 1m"), Some(61.5));
        assert_eq!(asleep("nginx -s quit"), None);
        assert_eq!(asleep("sleep forever"), None);
        assert_eq!(asleep(""), None);
    }
}
