//! Laws of random durations: `5ms`, or a map whose only key names the law.

use super::Reader;
use super::forms;
use crate::diagnostic::Code;
use crate::shape::{Field, Kind, Shape};
use crate::tree::{Node, Value};
use crate::value::{DURATION, parse_duration};
use engine::{Distribution, DistributionError};

const A_DURATION: Kind = Kind::Format(&DURATION);
const VARIATION: Kind = Kind::Number(0.0, 1e6);
const SHAPE_PARAMETER: Kind = Kind::Number(0.0, 1e6);

/// A law: a bare duration, or one of the laws.
pub(crate) const DISTRIBUTION: Kind = Kind::Either(&[A_DURATION, Kind::Map(&LAW)]);

static LAW: Shape = Shape::choice(
    "Distribution",
    &[
        Field::modelled("constant", A_DURATION).doc("Always the same."),
        Field::modelled("exponential", A_DURATION).doc("Exponential with this mean."),
        Field::modelled("lognormal", Kind::Map(&LOGNORMAL))
            .doc("Lognormal, by median and 99 % quantile or by mean and coefficient of variation."),
        Field::modelled("gamma", Kind::Map(&MEAN_AND_VARIATION)).doc("Gamma."),
        Field::modelled("weibull", Kind::Map(&WEIBULL)).doc("Weibull."),
        Field::modelled("pareto", Kind::Map(&PARETO))
            .doc("Pareto; with `max` its values are bounded."),
        Field::modelled("uniform", Kind::Map(&UNIFORM)).doc("Uniform between two durations."),
        Field::modelled(
            "hyperexponential",
            Kind::Either(&[Kind::List(&Kind::Map(&BRANCH)), Kind::Map(&MEAN_AND_VARIATION)]),
        )
        .doc("One of several exponential laws, by branches or by mean and coefficient of variation (balanced means)."),
        Field::modelled(
            "empirical",
            Kind::List(&Kind::Either(&[A_DURATION, Kind::Map(&WEIGHTED)])),
        )
        .doc("One of the given values, each with its weight (1 if it has none)."),
    ],
)
.doc("A law of random durations.");

static LOGNORMAL: Shape = Shape::new(
    "Lognormal",
    &[
        Field::modelled("median", A_DURATION).doc("Half of the values are less."),
        Field::modelled("p99", A_DURATION).doc("99 % of the values are less."),
        Field::modelled("mean", A_DURATION).doc("Mean, together with `cv`."),
        Field::modelled("cv", VARIATION).doc("Standard deviation divided by the mean."),
    ],
)
.doc("Give `median` and `p99`, or `mean` and `cv`.");

static MEAN_AND_VARIATION: Shape = Shape::new(
    "MeanAndVariation",
    &[
        Field::modelled("mean", A_DURATION).required().doc("Mean."),
        Field::modelled("cv", VARIATION)
            .required()
            .doc("Standard deviation divided by the mean."),
    ],
);

static WEIBULL: Shape = Shape::new(
    "Weibull",
    &[
        Field::modelled("shape", SHAPE_PARAMETER)
            .required()
            .doc("Shape: 1 is exponential, less has a longer tail."),
        Field::modelled("scale", A_DURATION)
            .required()
            .doc("Scale."),
    ],
);

static PARETO: Shape = Shape::new(
    "Pareto",
    &[
        Field::modelled("shape", SHAPE_PARAMETER)
            .required()
            .doc("Shape: the mean is infinite up to 1, the variance up to 2."),
        Field::modelled("min", A_DURATION)
            .required()
            .doc("Least value."),
        Field::modelled("max", A_DURATION).doc("Greatest value."),
    ],
);

static UNIFORM: Shape = Shape::new(
    "Uniform",
    &[
        Field::modelled("min", A_DURATION)
            .required()
            .doc("Least value."),
        Field::modelled("max", A_DURATION)
            .required()
            .doc("Greatest value."),
    ],
);

static BRANCH: Shape = Shape::new(
    "ExponentialBranch",
    &[
        Field::modelled("probability", Kind::Format(&forms::SHARE))
            .required()
            .doc("How often this branch is taken; all together make 1."),
        Field::modelled("mean", A_DURATION)
            .required()
            .doc("Mean of this branch."),
    ],
);

static WEIGHTED: Shape = Shape::new(
    "WeightedValue",
    &[
        Field::modelled("value", A_DURATION)
            .required()
            .doc("The value."),
        Field::modelled("weight", Kind::Number(0.0, 1e12))
            .doc("How often, relative to the others."),
    ],
);

/// Reads a checked law; what its parameters cannot make is reported.
pub(crate) fn read(node: Option<&Node>, reader: &mut Reader<'_>) -> Option<Distribution> {
    let node = node?;
    if let Some(text) = node.text() {
        return parse_duration(text).ok().map(Distribution::constant);
    }
    let entry = node.entries().first()?;
    match law(&entry.key, &entry.value)? {
        Ok(distribution) => Some(distribution),
        Err(problem) => {
            let (message, help) = match problem {
                Problem::Law(error) => (error.to_string(), HELP),
                Problem::Parameters => (
                    "it takes either `median` and `p99`, or `mean` and `cv`".to_owned(),
                    "write `{lognormal: {median: 4ms, p99: 30ms}}`",
                ),
            };
            let message = format!("there is no such {} law: {message}", entry.key);
            reader
                .diagnostics
                .report(Code::ImpossibleDistribution, entry.key_span, message)
                .help(help);
            None
        }
    }
}

const HELP: &str = "durations in the message are in seconds";

enum Problem {
    Law(DistributionError),
    Parameters,
}

impl From<DistributionError> for Problem {
    fn from(error: DistributionError) -> Self {
        Problem::Law(error)
    }
}

/// `None` if a part of it was reported already.
fn law(name: &str, body: &Node) -> Option<Result<Distribution, Problem>> {
    let seconds = |key: &str| forms::duration(body, key).map(engine::Duration::as_secs_f64);
    let number = |key: &str| body.get(key).and_then(Node::number);
    let own = || Some(parse_duration(body.text()?).ok()?.as_secs_f64());
    let distribution = match name {
        "constant" => {
            return parse_duration(body.text()?)
                .ok()
                .map(|value| Ok(Distribution::constant(value)));
        }
        "exponential" => Distribution::exponential(own()?),
        "lognormal" => return lognormal(body),
        "gamma" => Distribution::gamma(seconds("mean")?, number("cv")?),
        "weibull" => Distribution::weibull(number("shape")?, seconds("scale")?),
        "pareto" => match seconds("max") {
            Some(greatest) => {
                Distribution::bounded_pareto(number("shape")?, seconds("min")?, greatest)
            }
            None => Distribution::pareto(number("shape")?, seconds("min")?),
        },
        "uniform" => Distribution::uniform(seconds("min")?, seconds("max")?),
        "hyperexponential" => match &body.value {
            Value::Sequence(branches) => {
                let branches: Option<Vec<_>> = branches.iter().map(branch).collect();
                Distribution::hyperexponential(branches?)
            }
            _ => Distribution::hyperexponential_balanced(seconds("mean")?, number("cv")?),
        },
        "empirical" => {
            let values: Option<Vec<_>> = body.items().iter().map(weighted).collect();
            Distribution::empirical(values?)
        }
        _ => return None,
    };
    Some(distribution.map_err(Problem::Law))
}

fn lognormal(body: &Node) -> Option<Result<Distribution, Problem>> {
    let seconds = |key: &str| forms::duration(body, key).map(engine::Duration::as_secs_f64);
    let given = |key: &str| body.get(key).is_some();
    let forms = (given("median"), given("p99"), given("mean"), given("cv"));
    let distribution = match forms {
        (true, true, false, false) => {
            Distribution::lognormal_from_median(seconds("median")?, seconds("p99")?)
        }
        (false, false, true, true) => {
            Distribution::lognormal_from_mean(seconds("mean")?, body.get("cv")?.number()?)
        }
        _ => return Some(Err(Problem::Parameters)),
    };
    Some(distribution.map_err(Problem::Law))
}

fn branch(node: &Node) -> Option<(f64, f64)> {
    let probability = forms::read(node.get("probability"), forms::parse_share)?;
    Some((probability, forms::duration(node, "mean")?.as_secs_f64()))
}

fn weighted(node: &Node) -> Option<(f64, f64)> {
    if let Some(text) = node.text() {
        return Some((parse_duration(text).ok()?.as_secs_f64(), 1.0));
    }
    let weight = node.get("weight").map_or(Some(1.0), Node::number)?;
    Some((forms::duration(node, "value")?.as_secs_f64(), weight))
}
