//! `arrivals`: when requests start.

use super::distribution::{self, DISTRIBUTION};
use super::forms::{self, RATE, SHARE};
use super::reader::Reader;
use crate::diagnostic::Code;
use crate::shape::{Field, Kind, Shape};
use crate::source::Span;
use crate::sources::Sources;
use crate::tree::Node;
use crate::value::{DURATION, parse_decimal, parse_duration};
use cloud::facts;
use cloud::scenario::{Arrivals, RateProfile};
use engine::{Duration, Time};
use serde_json::json;

/// Most users of a closed population.
const USERS_MAX: i64 = 10_000_000;

pub(super) static ARRIVALS: Shape = Shape::new(
    "Arrivals",
    &[
        Field::modelled("poisson", Kind::Format(&RATE))
            .doc("Independent users: a Poisson process with this rate."),
        Field::modelled("constant", Kind::Format(&RATE))
            .doc("Evenly spaced requests at this rate."),
        Field::modelled("schedule", Kind::List(&Kind::Map(&POINT))).doc(
            "A rate over time: straight lines between points, two points at one time are a step.",
        ),
        Field::modelled("sinusoid", Kind::Map(&SINUSOID)).doc("A rate that goes up and down."),
        Field::modelled("process", Kind::OneOf(&["poisson", "constant"]))
            .doc("How requests follow the rate of `schedule` or `sinusoid`.")
            .default(|| json!("poisson")),
        Field::modelled("renewal", DISTRIBUTION)
            .doc("Independent gaps between requests from one distribution."),
        Field::modelled("modulated", Kind::Map(&MODULATED))
            .doc("A Poisson process whose rate switches between two values at random."),
        Field::modelled("closed", Kind::Map(&CLOSED))
            .doc("A fixed number of users; each waits for its answer, thinks, and asks again."),
        Field::modelled("paced", Kind::Map(&PACED)).doc(
            "A load generator: connections that each send at regular instants, or as soon as \
             they have their answer where that comes later.",
        ),
        Field::modelled("trace", Kind::Text)
            .doc("A CSV file whose first column holds the seconds at which requests start."),
    ],
)
.doc("When requests start: exactly one of these, apart from `process`.");

/// All of them.
const WAYS: &[&str] = &[
    "poisson",
    "constant",
    "schedule",
    "sinusoid",
    "renewal",
    "modulated",
    "closed",
    "paced",
    "trace",
];

static POINT: Shape = Shape::new(
    "RatePoint",
    &[
        Field::modelled("at", Kind::Format(&DURATION)).required().doc("Time since the start."),
        Field::modelled("rate", Kind::Format(&RATE)).required().doc("Rate at that time."),
    ],
)
.doc("A point of a rate over time: straight lines between points, two points at one time are a step.");

static SINUSOID: Shape = Shape::new(
    "Sinusoid",
    &[
        Field::modelled("mean", Kind::Format(&RATE))
            .required()
            .doc("Mean rate."),
        Field::modelled("amplitude", Kind::Format(&RATE))
            .required()
            .doc("How far the rate moves from its mean, at most the mean itself."),
        Field::modelled("period", Kind::Format(&DURATION))
            .required()
            .doc("Time of one turn."),
    ],
);

static MODULATED: Shape = Shape::new(
    "ModulatedArrivals",
    &[
        Field::modelled("rates", Kind::List(&Kind::Format(&RATE)))
            .required()
            .doc("The two rates."),
        Field::modelled("sojourns", Kind::List(&Kind::Format(&DURATION)))
            .required()
            .doc("Mean time at each rate (exponential)."),
    ],
);

static CLOSED: Shape = Shape::new(
    "ClosedPopulation",
    &[
        Field::modelled("users", Kind::Integer(1, USERS_MAX))
            .required()
            .doc("How many users."),
        Field::modelled("think", DISTRIBUTION)
            .required()
            .doc("Time between an answer and the next request."),
    ],
);

static PACED: Shape = Shape::new(
    "PacedPopulation",
    &[
        Field::modelled("connections", Kind::Integer(1, USERS_MAX))
            .required()
            .doc("How many connections."),
        Field::modelled("rate", Kind::Format(&RATE))
            .required()
            .doc("Requests of all together."),
        Field::modelled("together", Kind::Bool)
            .doc("Whether all connections send at the same instants, as Fortio's do by default.")
            .default(|| json!(false)),
        Field::modelled("jitter", Kind::Format(&SHARE))
            .doc("By how much of the time between two requests of a connection one may be late.")
            .default(|| json!(0)),
    ],
);

/// Reads checked arrivals; `None` if something was reported.
pub(super) fn read(
    node: Option<&Node>,
    sources: &mut Sources<'_>,
    reader: &mut Reader<'_>,
) -> Option<Arrivals> {
    let Some(node) = node else {
        let rate = reader.fact(&facts::RATE);
        reader.assume(format!(
            "Nothing says how many requests there are: {rate} per second (Poisson) were assumed."
        ));
        return Some(Arrivals::Poisson(RateProfile::Constant(rate)));
    };
    let given: Vec<_> = node
        .entries()
        .iter()
        .filter(|entry| WAYS.contains(&entry.key.as_str()))
        .collect();
    let &[entry] = &given[..] else {
        let message = format!("arrivals follow exactly one law, not {}", given.len());
        reader
            .diagnostics
            .report(Code::NotExactlyOne, node.span, message)
            .help(format!("give one of `{}`", WAYS.join("`, `")));
        return None;
    };
    let body = &entry.value;
    let profile = match entry.key.as_str() {
        "poisson" | "constant" => {
            let rate = forms::read(Some(body), forms::parse_rate);
            rate.map(RateProfile::Constant)
        }
        "schedule" => piecewise(body, reader),
        "sinusoid" => sinusoid(body, reader),
        "renewal" => return renewal(body, reader),
        "modulated" => return modulated(body, reader),
        "closed" => {
            return Some(Arrivals::Closed {
                users: forms::count(body, "users")?,
                think: distribution::read(body.get("think"), reader)?,
            });
        }
        "paced" => return paced(body, reader),
        "trace" => return trace(body, sources, reader),
        _ => None,
    };
    let even = entry.key == "constant" || forms::text(node, "process") == Some("constant");
    Some(if even {
        Arrivals::Constant(profile?)
    } else {
        Arrivals::Poisson(profile?)
    })
}

fn paced(body: &Node, reader: &mut Reader<'_>) -> Option<Arrivals> {
    let users = forms::count(body, "connections")?;
    let rate = forms::read(body.get("rate"), forms::parse_rate)?;
    let seconds = f64::from(users) / rate;
    let period = seconds
        .is_finite()
        .then(|| Duration::from_secs_f64(seconds));
    let Some(period) = period.filter(|period| !period.is_zero()) else {
        reader
            .diagnostics
            .report(
                Code::OutOfRange,
                body.span,
                format!("{users} connections cannot share {rate} requests per second"),
            )
            .help("give a rate above zero, and at most one request per nanosecond and connection");
        return None;
    };
    Some(Arrivals::Paced {
        users,
        period,
        together: body.get("together").and_then(Node::bool).unwrap_or(false),
        jitter: forms::read(body.get("jitter"), forms::parse_share).unwrap_or(0.0),
    })
}

fn renewal(body: &Node, reader: &mut Reader<'_>) -> Option<Arrivals> {
    let gap = distribution::read(Some(body), reader)?;
    if gap.mean() <= 0.0 {
        let message = "gaps between requests must last some time";
        reader
            .diagnostics
            .report(Code::OutOfRange, body.span, message)
            .help("without gaps there would be endlessly many requests at once");
        return None;
    }
    Some(Arrivals::Renewal(gap))
}

fn piecewise(body: &Node, reader: &mut Reader<'_>) -> Option<RateProfile> {
    let mut points: Vec<(Time, f64)> = Vec::new();
    for node in body.items() {
        let at = Time::ZERO.saturating_add(forms::duration(node, "at")?);
        let rate = forms::read(node.get("rate"), forms::parse_rate)?;
        if points.last().is_some_and(|&(before, _)| at < before) {
            reader
                .diagnostics
                .report(
                    Code::OutOfOrder,
                    node.span,
                    "the points of a rate go back in time",
                )
                .help("write them in the order of their times");
            return None;
        }
        points.push((at, rate));
    }
    if points.is_empty() {
        reader
            .diagnostics
            .report(
                Code::MissingField,
                body.span,
                "a rate over time has no points",
            )
            .help("write at least one `{at: 0s, rate: 100/s}`");
        return None;
    }
    Some(RateProfile::Piecewise(points))
}

fn sinusoid(body: &Node, reader: &mut Reader<'_>) -> Option<RateProfile> {
    let rate = |key| forms::read(body.get(key), forms::parse_rate);
    let (mean, amplitude) = (rate("mean")?, rate("amplitude")?);
    let period = forms::duration(body, "period")?;
    if amplitude > mean {
        let message = format!("the amplitude ({amplitude}/s) exceeds the mean ({mean}/s)");
        reader
            .diagnostics
            .report(Code::OutOfRange, body.span, message)
            .help("the rate would be negative for a while; lower the amplitude");
        return None;
    }
    if period.is_zero() {
        reader
            .diagnostics
            .report(Code::OutOfRange, body.span, "the period must be positive")
            .help("write how long one turn takes, as `24h`");
        return None;
    }
    Some(RateProfile::Sinusoid {
        mean,
        amplitude,
        period,
    })
}

fn modulated(body: &Node, reader: &mut Reader<'_>) -> Option<Arrivals> {
    let rates: Option<Vec<f64>> = body
        .list("rates")
        .iter()
        .map(|rate| forms::read(Some(rate), forms::parse_rate))
        .collect();
    let sojourns: Option<Vec<Duration>> = body
        .list("sojourns")
        .iter()
        .map(|time| forms::read(Some(time), parse_duration))
        .collect();
    match (&rates?[..], &sojourns?[..]) {
        (&[low, high], &[one, other]) if !one.is_zero() && !other.is_zero() => {
            Some(Arrivals::Modulated {
                rates: [low, high],
                sojourns: [one, other],
            })
        }
        _ => {
            let message = "modulated arrivals need two rates and two positive sojourns";
            reader
                .diagnostics
                .report(Code::WrongValue, body.span, message)
                .help("write `{rates: [300/s, 20/s], sojourns: [10s, 60s]}`");
            None
        }
    }
}

fn trace(body: &Node, sources: &mut Sources<'_>, reader: &mut Reader<'_>) -> Option<Arrivals> {
    let path = body.str()?;
    let found = sources.open(path, body.span, reader.diagnostics)?;
    let &[position] = &found[..] else {
        let message = format!("`{path}` is not a single file");
        reader
            .diagnostics
            .report(Code::BadTrace, body.span, message)
            .help("name the CSV file itself");
        return None;
    };
    match parse_trace(&sources.files()[position].text) {
        Ok(instants) => Some(Arrivals::Trace(instants)),
        Err(problem) => {
            let span = Span {
                file: position as u32,
                start: problem.bytes.start as u32,
                end: problem.bytes.end as u32,
                line: problem.line,
                column: 1,
            };
            reader
                .diagnostics
                .report(Code::BadTrace, span, problem.message)
                .help("the first column holds seconds since the start, ascending; one header line is allowed");
            None
        }
    }
}

struct TraceProblem {
    message: String,
    line: u32,
    bytes: std::ops::Range<usize>,
}

/// The instants of a trace: first column, seconds, ascending.
fn parse_trace(text: &str) -> Result<Vec<Time>, TraceProblem> {
    let mut instants: Vec<Time> = Vec::new();
    let mut position = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let bytes = position..position + line.trim_end().len();
        position += line.len();
        let problem = |message: String| TraceProblem {
            message,
            line: number as u32 + 1,
            bytes: bytes.clone(),
        };
        let cell = line.split([',', ';', '\t']).next().unwrap_or_default();
        let cell = cell.trim().trim_matches('"');
        if cell.is_empty() || cell.starts_with('#') {
            continue;
        }
        let shown: String = cell.chars().take(40).collect();
        let at = match parse_decimal(cell) {
            Some(seconds) if seconds <= 1e9 => Time::from_secs_f64(seconds),
            Some(_) => return Err(problem(format!("`{shown}` seconds are too many"))),
            None if instants.is_empty() && number == 0 => continue,
            None => return Err(problem(format!("`{shown}` is no number of seconds"))),
        };
        if instants.last().is_some_and(|before| at < *before) {
            return Err(problem(format!("the trace goes back in time to {shown} s")));
        }
        instants.push(at);
    }
    if instants.is_empty() {
        return Err(TraceProblem {
            message: "the trace holds no requests".to_owned(),
            line: 1,
            bytes: 0..0,
        });
    }
    Ok(instants)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_read_and_their_problems_have_lines() {
        let nanos = |text| {
            parse_trace(text)
                .map(|instants| instants.iter().map(|at| at.as_nanos()).collect::<Vec<_>>())
                .map_err(|problem| (problem.line, problem.message))
        };
        assert_eq!(
            nanos("seconds,url\n0.5,/a\n# pause\n\n\"1\",/b\n1,/c\n"),
            Ok(vec![500_000_000, 1_000_000_000, 1_000_000_000])
        );
        assert_eq!(
            nanos("1\n0.5\n"),
            Err((2, "the trace goes back in time to 0.5 s".to_owned()))
        );
        assert_eq!(
            nanos("1\nx\n"),
            Err((2, "`x` is no number of seconds".to_owned()))
        );
        assert_eq!(
            nanos("at\n"),
            Err((1, "the trace holds no requests".to_owned()))
        );
    }
}
