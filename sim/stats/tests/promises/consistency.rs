//! Closed forms agree where one is a special case of another.

use proptest::prelude::*;
use stats::closed_forms::levels::{modulated_mean_number, shorter_of_two_sojourn_mean};
use stats::closed_forms::many_servers::{Impatient, Mmc, Mmck, erlang_b};
use stats::closed_forms::matrix::Matrix;
use stats::closed_forms::networks::{
    jackson_sojourn_mean, machine_repair, mean_value_analysis, tandem_sojourn_quantile,
};
use stats::closed_forms::parallel::power_of_choices_sojourn_mean;
use stats::closed_forms::single_server::{
    Gm1, Mm1, deterministic_wait_cdf, hyperexponential_wait_quantile, pollaczek_khinchine_wait,
};
use stats::law::Hyperexponential;
use stats::{poisson_probability, poisson_tail};

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * right.abs().max(1e-3)
}

fn queue(load: f64) -> Mm1 {
    Mm1 {
        arrival_rate: load,
        service_rate: 1.0,
    }
}

proptest! {
    #[test]
    fn every_queue_with_one_exponential_server_is_one_queue(
        load in 0.05_f64..0.95,
        p in 0.01_f64..0.999,
    ) {
        let truth = queue(load);
        let one = Mmc { arrival_rate: load, service_rate: 1.0, servers: 1 };
        prop_assert!(close(one.waiting_probability(), load));
        prop_assert!(close(one.sojourn_mean(), truth.sojourn_mean()));
        prop_assert!(close(one.sojourn_quantile(p), truth.sojourn_quantile(p)));
        prop_assert!(close(one.wait_quantile(p), truth.wait_quantile(p)));
        let renewal = Gm1::erlang(1, load, 1.0);
        prop_assert!(close(renewal.waiting_probability, load));
        prop_assert!(close(pollaczek_khinchine_wait(load, 1.0, 2.0), truth.wait_mean()));
        let mixture = Hyperexponential::balanced(1.0, 1.0);
        let wait = hyperexponential_wait_quantile(load, &mixture, p);
        prop_assert!(close(wait, truth.wait_quantile(p)));
        let number = modulated_mean_number([load, load], [0.3, 0.7], 1.0);
        prop_assert!(close(number, truth.number_mean()));
        prop_assert!(close(tandem_sojourn_quantile(load, &[1.0], p), truth.sojourn_quantile(p)));
        let alone = Matrix::from_rows(&[&[0.0]]);
        prop_assert!(close(jackson_sojourn_mean(&[load], &[1.0], &alone), truth.sojourn_mean()));
    }

    #[test]
    fn bounded_queues_approach_unbounded_ones(load in 0.05_f64..0.9, servers in 1_u32..20) {
        let arrival_rate = load * f64::from(servers);
        let bounded = Mmck::new(arrival_rate, 1.0, servers, servers + 500);
        let unbounded = Mmc { arrival_rate, service_rate: 1.0, servers };
        prop_assert!(close(bounded.sojourn_mean(), unbounded.sojourn_mean()));
        let without_places = Mmck::new(arrival_rate, 1.0, servers, servers);
        prop_assert!(close(without_places.loss(), erlang_b(servers, arrival_rate)));
    }

    #[test]
    fn erlang_b_is_a_truncated_poisson_law(share in 0.1_f64..1.2, servers in 1_u32..60) {
        let load = share * f64::from(servers);
        let at_most = 1.0 - poisson_tail(u64::from(servers), load);
        let truncated = poisson_probability(u64::from(servers), load) / at_most;
        prop_assert!((erlang_b(servers, load) - truncated).abs() <= 1e-9);
    }

    #[test]
    fn whoever_leaves_at_the_rate_of_service_is_served_by_infinitely_many(
        arrival_rate in 0.5_f64..40.0,
        servers in 1_u32..40,
    ) {
        let queue = Impatient::new(arrival_rate, 1.0, servers, 1.0);
        let waiting = poisson_tail(u64::from(servers) - 1, arrival_rate);
        prop_assert!((queue.waiting_probability() - waiting).abs() <= 1e-9);
    }

    #[test]
    fn mean_value_analysis_is_machine_repair_with_one_server(
        users in 1_u32..60,
        think in 0.1_f64..20.0,
        service in 0.1_f64..2.0,
    ) {
        let exact = machine_repair(users, think, service, 1);
        let analysis = mean_value_analysis(users, think, &[service]);
        prop_assert!(close(analysis.throughput, exact.throughput));
        prop_assert!(close(analysis.response, exact.response));
    }
}

#[test]
fn better_balancing_waits_less() {
    for load in [0.1, 0.5, 0.8, 0.95] {
        let random = queue(load).sojourn_mean();
        let two = power_of_choices_sojourn_mean(2, load, 1.0);
        let three = power_of_choices_sojourn_mean(3, load, 1.0);
        assert!(three < two && two < random, "{load}");
        let shorter = shorter_of_two_sojourn_mean(2.0 * load, 1.0);
        let shared = Mmc {
            arrival_rate: 2.0 * load,
            service_rate: 1.0,
            servers: 2,
        };
        assert!(
            shared.sojourn_mean() < shorter && shorter < random,
            "{load}"
        );
    }
}

/// The mean of a wait is the integral of its tail.
#[test]
fn the_law_of_deterministic_waits_has_the_right_mean() {
    for load in [0.3, 0.6, 0.8] {
        let step = 0.02;
        let tail = |index: i32| 1.0 - deterministic_wait_cdf(load, 1.0, f64::from(index) * step);
        let integral: f64 = (0..2_000)
            .map(|index| (tail(index) + tail(index + 1)) / 2.0)
            .sum();
        let mean = pollaczek_khinchine_wait(load, 1.0, 1.0);
        assert!((integral * step / mean - 1.0).abs() < 1e-4, "{load}");
    }
}
