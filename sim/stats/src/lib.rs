//! Estimators, intervals, warm-up rules and closed forms: the statistics of hybridsim.
//!
//! This room knows neither the engine nor the cloud: numbers go in, [`Estimate`]s come out.
//! Every interval comes from **independent replications**, because the requests of one run
//! depend on each other; where no honest interval can be given there is none.
//!
//! - [`mean_interval`], [`ratio_interval`], [`share_interval`], [`paired_difference`]:
//!   one number (or two) per replication.
//! - [`controlled_interval`]: the same beside a number whose mean is known.
//! - [`quantile_interval`]: one histogram per replication.
//! - [`mser5`] on [`average_series`]: how much of a run's start to discard.
//! - [`SequentialRule`], [`enough_replications`], [`replications_needed`]: when to stop.
//! - [`fisher_exact`], [`rank_sum`]: whether one sample is worse than another.
//! - [`closed_forms`]: what queueing theory knows exactly, to test a simulator against.
//! - [`sample`], [`fit`], [`law`], [`little`]: samples, fitted laws, moments, conservation.
//!
//! All mathematics goes through `libm`, so that results are the same bits on every platform.

pub mod closed_forms;
mod control;
mod distribution;
mod estimate;
pub mod fit;
mod interval;
pub mod law;
pub mod little;
mod precision;
mod proportion;
mod quantile;
pub mod sample;
mod special;
mod two_sample;
mod warm_up;

pub use control::controlled_interval;
pub use distribution::{
    beta_quantile, binomial_cdf, chi_square_quantile, gamma_cdf, gamma_quantile, kolmogorov_cdf,
    kolmogorov_quantile, normal_cdf, normal_quantile, poisson_probability, poisson_tail,
    student_t_cdf, student_t_quantile,
};
pub use estimate::{Estimate, Method};
pub use interval::{FEW_EVENTS, mean_interval, paired_difference, ratio_interval, share_interval};
pub use precision::{
    SequentialRule, Verdict, enough_replications, kim_nelson_eta, replications_needed,
};
pub use proportion::{
    clopper_pearson, requests_to_claim, rule_of_three, trials_for_relative_half_width,
    trials_per_arm, wilson,
};
pub use quantile::{
    EXCEEDANCES_MIN, histogram_quantile, pool, quantile_interval, quantile_intervals,
    section_interval,
};
pub use two_sample::{Failures, fisher_exact, rank_sum};
pub use warm_up::{Mser5, average_series, mser5, mser5_unrestricted};
