//! A progress bar on a terminal: replications, events per second, and when it will be over.

use hybridsim::study::{Phase, Progress};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use std::sync::atomic::{AtomicU64, Ordering};

/// The bar of one study.
pub(super) struct Bar {
    bar: ProgressBar,
    events: AtomicU64,
}

impl Bar {
    pub(super) fn new() -> Self {
        let style = ProgressStyle::with_template(
            "{prefix:>11} {wide_bar} {pos}/{len} replications, {msg} events, {eta} left",
        )
        .expect("the template is well-formed");
        let bar = ProgressBar::new(0).with_style(style);
        bar.set_message("0");
        Bar {
            bar,
            events: AtomicU64::new(0),
        }
    }
}

impl Progress for Bar {
    fn planned(&self, phase: Phase, replications: u32) {
        self.bar.set_prefix(match phase {
            Phase::Pilot => "warming up",
            Phase::Measured => "simulating",
        });
        self.bar.set_length(u64::from(replications));
    }

    fn ended(&self, _: Phase, events: u64) {
        let events = self.events.fetch_add(events, Ordering::Relaxed) + events;
        self.bar.set_message(HumanCount(events).to_string());
        self.bar.inc(1);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
