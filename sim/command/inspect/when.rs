//! Which replication to look at, and when.

use anyhow::anyhow;
use cloud::scenario::Scenario;
use engine::{Duration, Seed};

use crate::command::files;
use crate::command::output::Output;
use crate::command::problems::{self, BadInput};
use crate::command::run::choose;

#[derive(clap::Args)]
pub(super) struct When {
    /// Simulated time, as 90s or 5m30s [default: the end of the run]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) at: Option<Duration>,
    /// Inspect this variant of the Scenario instead of the Scenario itself
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// Master seed instead of the Scenario's
    #[arg(long)]
    seed: Option<u64>,
}

/// What is looked at.
pub(super) struct Subject {
    pub(super) scenario: Scenario,
    pub(super) seed: Seed,
    pub(super) at: Duration,
}

fn instant(text: &str) -> Result<Duration, String> {
    loader::parse_duration(text).map_err(|error| error.to_string())
}

impl When {
    /// The first replication of a scenario, and the instant.
    pub(super) fn subject(&self, input: &files::Input, output: &Output) -> anyhow::Result<Subject> {
        let mut loaded = loader::load(&input.files, input.library.as_ref());
        problems::tell(&loaded, output);
        let scenario = choose(&mut loaded, self.variant.as_deref())?;
        let end = scenario.run.duration;
        let at = self.at.unwrap_or(end);
        if at > end {
            let late = BadInput(format!("{at} is after the end of the run at {end}"));
            return Err(anyhow!(late));
        }
        let seed = Seed {
            master: self.seed.unwrap_or(scenario.run.seed),
            replication: 0,
        };
        Ok(Subject { scenario, seed, at })
    }
}
