//! Every row of `tests/data/closed-forms.csv` is reproduced here to nine digits, or listed with
//! the reason why it belongs elsewhere.

use crate::rows::{self, Row};
use stats::closed_forms::demand::{Sinusoid, token_bucket_rejected};
use stats::closed_forms::levels;
use stats::closed_forms::many_servers::{self, Impatient, Mmc, Mmck, erlang_b};
use stats::closed_forms::matrix::Matrix;
use stats::closed_forms::networks::{self, Closed};
use stats::closed_forms::parallel::{self, Hedge};
use stats::closed_forms::reliability as reliable;
use stats::closed_forms::single_server::{self as single, Gg1, Gm1, Mm1};
use stats::closed_forms::transport::{self, Setup};
use stats::law::{Hyperexponential, Lognormal, bounded_pareto_moment, weibull_moment};
use stats::{fit, sample};

/// Relative difference that is allowed: the arithmetic of a double, with room for sums.
const TOLERANCE: f64 = 1e-9;

/// Rows that statistics cannot reproduce, and who does.
const ELSEWHERE: [(&str, &str); 8] = [
    ("RNG-PHX32-0", "Philox4x32: the engine uses Philox4x64"),
    ("RNG-PHX32-pi", "Philox4x32: the engine uses Philox4x64"),
    (
        "RNG-PHX64-a",
        "known answers of the engine's generator are tested there",
    ),
    (
        "IPT-3-first",
        "how iptables rounds probabilities: a mechanism of kube-proxy",
    ),
    (
        "IPT-7-last",
        "how iptables rounds probabilities: a mechanism of kube-proxy",
    ),
    (
        "HPA-1",
        "the autoscaler's rule: a mechanism of a controller",
    ),
    ("PRIO-70", "priority load of Envoy: a mechanism of a proxy"),
    ("COST-x", "a bill: prices are facts, not statistics"),
];

fn elsewhere(id: &str) -> bool {
    ELSEWHERE.iter().any(|(listed, _)| *listed == id)
}

#[test]
fn every_row_is_reproduced_or_accounted_for() {
    let rows = rows::all();
    assert_eq!(rows.len(), 238);
    let problems: Vec<String> = rows
        .iter()
        .filter_map(|row| match (computed(row), elsewhere(&row.id)) {
            (None, true) => None,
            (None, false) => Some(format!("{}: neither reproduced nor accounted for", row.id)),
            (Some(_), true) => Some(format!("{}: reproduced, yet listed as elsewhere", row.id)),
            (Some(value), false) => {
                let close = (value - row.value).abs() <= TOLERANCE * row.value.abs();
                (!close).then(|| format!("{}: {value} instead of {}", row.id, row.value))
            }
        })
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn what_belongs_elsewhere_exists() {
    let rows = rows::all();
    for (id, _) in ELSEWHERE {
        assert!(rows.iter().any(|row| row.id == id), "no row {id}");
    }
}

fn computed(row: &Row) -> Option<f64> {
    one_server(row)
        .or_else(|| general_service(row))
        .or_else(|| several_servers(row))
        .or_else(|| network(row))
        .or_else(|| in_parallel(row))
        .or_else(|| changing_demand(row))
        .or_else(|| reliability(row))
        .or_else(|| protocol(row))
        .or_else(|| statistic(row))
        .or_else(|| test_vector(row))
}

fn one_server(row: &Row) -> Option<f64> {
    Some(match row.family() {
        ("MM1a" | "MM1b" | "MM1c", item) => {
            let queue = Mm1 {
                arrival_rate: row.number("lambda"),
                service_rate: row.number("mu"),
            };
            match item {
                "L" => queue.number_mean(),
                "W" => queue.sojourn_mean(),
                "Wq" => queue.wait_mean(),
                "avL" => queue.number_variance_constant(),
                "avWq" => queue.wait_variance_constant(),
                _ if item.starts_with("Tq") => queue.sojourn_quantile(row.probability()),
                _ if item.starts_with("Wq") => queue.wait_quantile(row.probability()),
                _ => return None,
            }
        }
        ("MM1t", _) => Mm1 {
            arrival_rate: row.number("lambda"),
            service_rate: row.number("mu"),
        }
        .transient_wait_mean(row.count("n") as usize),
        ("RARE", "ruin-0.5-25") => Mm1 {
            arrival_rate: row.number("rho"),
            service_rate: 1.0,
        }
        .overflow_probability(row.count("n")),
        ("PS", item) if item.ends_with("Var") => {
            single::shared_sojourn_variance(row.number("lambda"), row.number("mu"))
        }
        ("PS", item) => {
            let mean = row.number("E[S]");
            let work = if item.ends_with("Ex3") {
                row.number("x")
            } else {
                mean
            };
            single::shared_sojourn_mean(row.number("lambda") * mean, work)
        }
        ("PRIO", "NP-1" | "NP-2") => {
            let rates = [row.number("lambda1"), row.number("lambda2")];
            let class = if row.id.ends_with('1') { 0 } else { 1 };
            single::priority_wait_means(&rates, row.number("mu"))[class]
        }
        ("DM1" | "RR2" | "RR3" | "RR10" | "H2M1", item) => {
            let queue = renewal_queue(row);
            match item {
                "sigma" => queue.waiting_probability,
                "Wq" => queue.wait_mean(),
                "W" => queue.sojourn_mean(),
                "T0.99" => queue.sojourn_quantile(0.99),
                _ => return None,
            }
        }
        ("GG1a" | "GG1b" | "GG1c", item) => {
            let queue = Gg1 {
                arrival_rate: row.number("lambda"),
                service_rate: row.number("mu"),
                arrival_variation: row.number("ca2"),
                service_variation: row.number("cs2"),
            };
            match item {
                "Kingman" => queue.wait_bound(),
                "KingApx" => queue.wait_kingman(),
                "Marchal" => queue.wait_marchal(),
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn renewal_queue(row: &Row) -> Gm1 {
    let service_rate = row.number("mu");
    match row.family().0 {
        "DM1" => Gm1::deterministic(row.number("interarrival"), service_rate),
        "H2M1" => {
            let gap = Hyperexponential::balanced(1.0 / row.number("lambda"), 4.0);
            Gm1::hyperexponential(&gap, service_rate)
        }
        _ => Gm1::erlang(row.count("n"), row.number("lambda_total"), service_rate),
    }
}

fn general_service(row: &Row) -> Option<f64> {
    let (family, item) = row.family();
    match family {
        "MD1" => Some(single::deterministic_wait_quantile(
            row.number("lambda"),
            row.number("D"),
            row.probability(),
        )),
        "MH21" => {
            let service = Hyperexponential {
                probability: row.number("p"),
                first: row.number("mu1"),
                second: row.number("mu2"),
            };
            Some(single::hyperexponential_wait_quantile(
                row.number("lambda"),
                &service,
                row.probability(),
            ))
        }
        "MG1" => pollaczek_khinchine(row, item),
        _ => None,
    }
}

fn pollaczek_khinchine(row: &Row, item: &str) -> Option<f64> {
    let (service, quantity) = item.split_once('-')?;
    let lognormal = Lognormal::from_moments(1.0, 4.0);
    let hyperexponential = Hyperexponential::balanced(1.0, 4.0);
    let pareto = |order| bounded_pareto_moment(1.5, 0.4, 1000.0, order);
    let (mean, second_moment) = match service {
        "D" => (1.0, 1.0),
        "E2" => (1.0, 1.5),
        "G4" => (1.0, 5.0),
        "H2" => (hyperexponential.mean(), hyperexponential.second_moment()),
        "Bi" => (0.9 * 0.5 + 0.1 * 5.5, 0.9 * 0.25 + 0.1 * 30.25),
        "LN" => (lognormal.mean(), lognormal.second_moment()),
        "WB" => (weibull_moment(0.5, 0.5, 1.0), weibull_moment(0.5, 0.5, 2.0)),
        "BP" => (pareto(1.0), pareto(2.0)),
        _ => return None,
    };
    let arrival_rate = match service {
        "BP" => 0.7 / mean,
        _ => row.number("lambda"),
    };
    let wait = single::pollaczek_khinchine_wait(arrival_rate, mean, second_moment);
    match quantity {
        "Wq" => Some(wait),
        "W" => Some(wait + mean),
        "ES" => Some(mean),
        _ => None,
    }
}

fn several_servers(row: &Row) -> Option<f64> {
    Some(match row.family() {
        ("MMc10" | "MMc2" | "MMc100" | "MMc4", item) => {
            let queue = Mmc {
                arrival_rate: row.number("lambda"),
                service_rate: row.number("mu"),
                servers: row.count("c"),
            };
            match item {
                "C" => queue.waiting_probability(),
                "Wq" => queue.wait_mean(),
                "W" => queue.sojourn_mean(),
                _ if item.starts_with("Wq") => queue.wait_quantile(row.probability()),
                _ => queue.sojourn_quantile(row.probability()),
            }
        }
        ("ErlB", _) => erlang_b(row.count("c"), row.number("a")),
        ("MM1K10" | "MM1K10o" | "MMcK", item) => {
            let (servers, capacity) = (row.count("c"), row.count("K"));
            let queue = Mmck::new(row.number("lambda"), row.number("mu"), servers, capacity);
            match item {
                "loss" => queue.loss(),
                "X" => queue.throughput(),
                "W" => queue.sojourn_mean(),
                _ => return None,
            }
        }
        ("ErlA1" | "ErlA2", item) => {
            let (servers, theta) = (row.count("c"), row.number("theta"));
            let queue = Impatient::new(row.number("lambda"), row.number("mu"), servers, theta);
            match item {
                "Pab" => queue.abandoning(),
                "Pw" => queue.waiting_probability(),
                _ => return None,
            }
        }
        ("RETRIALQ1" | "RETRIALQ2", item) => {
            let arrival_rate = row.number("lambda");
            let orbit = many_servers::retrial_orbit_mean(
                arrival_rate,
                row.number("mu"),
                row.number("theta"),
            );
            if item == "wait" {
                orbit / arrival_rate
            } else {
                orbit
            }
        }
        ("OPT", "erlb") => f64::from(many_servers::servers_for_blocking(
            row.number("a"),
            row.number("B"),
        )),
        ("OPT", "rr") => {
            let (rate, service_rate) = (row.number("lambda"), row.number("mu"));
            let enough = |&servers: &u32| {
                let queue = Gm1::erlang(servers, rate, service_rate);
                queue.sojourn_quantile(row.number("p")) <= row.number("T")
            };
            f64::from((91..1000).find(enough)?)
        }
        _ => return None,
    })
}

fn network(row: &Row) -> Option<f64> {
    let closed = |item: &str, result: Closed| match item {
        "X" => result.throughput,
        _ => result.response,
    };
    Some(match row.family() {
        ("JT", item) => {
            let rates = [row.number("mu1"), row.number("mu2"), row.number("mu3")];
            let arrival_rate = row.number("lambda");
            match item {
                "W" => networks::tandem_sojourn_mean(arrival_rate, &rates),
                _ => networks::tandem_sojourn_quantile(arrival_rate, &rates, row.probability()),
            }
        }
        ("JF", _) => networks::feedback_rate(row.number("lambda"), row.number("p_feedback")),
        ("JN", _) => {
            let routing =
                Matrix::from_rows(&[&[0.0, 0.6, 0.4], &[0.0, 0.0, 0.5], &[0.0, 0.1, 0.0]]);
            networks::jackson_sojourn_mean(&[2.0, 0.0, 0.0], &[4.0, 3.0, 3.0], &routing)
        }
        ("CL10" | "CL20" | "CL50", item) => {
            let (users, think, service) = (row.count("N"), row.number("Z"), row.number("S"));
            closed(
                item,
                networks::mean_value_analysis(users, think, &[service]),
            )
        }
        ("CL2", item) => {
            let demands = [row.number("D1"), row.number("D2")];
            let (users, think) = (row.count("N"), row.number("Z"));
            closed(item, networks::mean_value_analysis(users, think, &demands))
        }
        ("CLc", item) => {
            let (users, servers) = (row.count("N"), row.count("c"));
            let (think, service) = (row.number("Z"), row.number("S"));
            closed(
                item,
                networks::machine_repair(users, think, service, servers),
            )
        }
        ("CLb", _) => {
            let (users, think) = (row.count("N"), row.number("Z"));
            networks::closed_throughput_bound(users, think, &[row.number("D")])
        }
        _ => return None,
    })
}

fn in_parallel(row: &Row) -> Option<f64> {
    Some(match row.family() {
        ("FJ", "max2" | "max100") => {
            parallel::ordered_exponential_mean(row.count("n"), row.count("n"), row.number("mu"))
        }
        ("FJ", "quorum") => {
            parallel::ordered_exponential_mean(row.count("n"), row.count("k"), row.number("mu"))
        }
        ("FJ", "p99-2" | "p99-100") => {
            parallel::slowest_exponential_quantile(row.count("n"), row.number("mu"), 0.99)
        }
        ("FJ", "tail100" | "tail2000") => parallel::any_slow(row.count("n"), row.number("p_slow")),
        ("FJ", "leafq") => parallel::leaf_probability(row.count("n"), row.number("p_root")),
        ("FJQ2", _) => parallel::fork_join_two_mean(row.number("lambda"), row.number("mu")),
        ("HEDGE", item) => {
            let hedge = Hedge {
                rate: row.number("mu"),
                delay: libm::log(20.0),
            };
            match item {
                "mean" => hedge.mean(),
                "p999" => hedge.quantile(0.999),
                "load" => hedge.second_copies(),
                _ => return None,
            }
        }
        ("JSQ2", _) => levels::shorter_of_two_sojourn_mean(row.number("lambda"), row.number("mu")),
        ("PO2" | "PO3", _) => parallel::power_of_choices_sojourn_mean(
            row.count("d"),
            row.number("lambda_per_server"),
            row.number("mu"),
        ),
        _ => return None,
    })
}

fn changing_demand(row: &Row) -> Option<f64> {
    let day = Sinusoid {
        mean: 100.0,
        amplitude: 60.0,
        period: 24.0,
    };
    Some(match row.family() {
        ("MMPP" | "MMPP1" | "MMPP2", item) => {
            let rates = [row.number("lambda1"), row.number("lambda2")];
            let switching = [row.number("q12"), row.number("q21")];
            match item {
                "IDC" => levels::modulated_dispersion(rates, switching),
                "P0" => levels::modulated_empty(rates, switching, row.number("mu")),
                _ => {
                    let number = levels::modulated_mean_number(rates, switching, row.number("mu"));
                    number / levels::modulated_mean_rate(rates, switching)
                }
            }
        }
        ("MTINF", _) => day.present_exponential(row.number("mu"), row.number("t")),
        ("MTDINF", _) => day.present_deterministic(row.number("D"), row.number("t")),
        ("NHPP", _) => day.expected(0.0, 12.0),
        ("TB2" | "TB3", _) => token_bucket_rejected(
            row.number("lambda") * row.number("fill_interval"),
            u64::from(row.count("max_tokens")),
        ),
        _ => return None,
    })
}

fn reliability(row: &Row) -> Option<f64> {
    Some(match row.family() {
        ("RET", "2layer-att") => {
            reliable::layered_attempts(row.number("f"), row.count("r"), row.count("layers"))
        }
        ("RET", "dead-indep") => {
            reliable::retry_success(row.number("k") / row.number("n"), row.count("r"))
        }
        ("RET", item) if item.starts_with("att") => {
            reliable::retry_attempts(row.number("f"), row.count("r"))
        }
        ("RET", _) => reliable::retry_success(row.number("f"), row.count("r")),
        ("CONSEC", "time") => reliable::ejection_time_mean(row.number("host_rate"), row.count("k")),
        ("CONSEC", "time-p99") => {
            reliable::ejection_time_quantile(row.number("host_rate"), row.count("k"), 0.99)
        }
        ("CONSEC", _) => reliable::requests_to_ejection(row.number("q"), row.count("k")),
        ("PROBE", _) => reliable::probe_detection_mean(row.number("period"), row.count("k")),
        ("AV", item) => return repaired(row, item),
        ("SLO", _) => reliable::error_budget(row.number("slo"), 30.0 * 24.0 * 60.0),
        ("BURN", _) => {
            let (consumed, hours) = (row.number("budget_consumed"), row.number("alert_window"));
            reliable::burn_rate(consumed, hours, 24.0 * row.number("slo_period"))
        }
        _ => return None,
    })
}

fn repaired(row: &Row, item: &str) -> Option<f64> {
    let failure_rate = || row.number("lambda");
    let repair_rate = || row.number("mu");
    Some(match item {
        "1" => reliable::availability(row.number("MTBF(up mean)"), row.number("MTTR")),
        "pt" => reliable::point_availability(failure_rate(), repair_rate(), row.number("t")),
        "none" => reliable::no_outage(failure_rate(), row.number("T")),
        "8of10" | "1of2" => {
            reliable::needed_of_count(row.count("n"), row.count("k"), row.number("a"))
        }
        "2of3-1crew" => reliable::needed_of_count_one_crew(3, 2, failure_rate(), repair_rate()),
        "mttf23" => reliable::second_failure_mean(3, failure_rate(), repair_rate()),
        "mttf12" => reliable::second_failure_mean(2, failure_rate(), repair_rate()),
        "failover" => {
            let hours = row.number("detect+switch") / 3600.0;
            reliable::failover_availability(row.number("MTBF"), row.number("MTTR"), hours)
        }
        "stale" => {
            reliable::stale_endpoint_failures(row.number("rate"), row.number("D"), row.count("n"))
        }
        _ => return None,
    })
}

fn protocol(row: &Row) -> Option<f64> {
    Some(match row.family() {
        ("RTT", item) => f64::from(
            match item {
                "TCP+TLS1.2-full" => Setup::Tls12,
                "TCP+TLS1.2-resumed" => Setup::Tls12Resumed,
                "TCP+TLS1.3-0-RTT" => Setup::Tls13EarlyData,
                "QUIC-1-RTT" => Setup::Quic,
                "QUIC-0-RTT" => Setup::QuicEarlyData,
                "TCP-plaintext-new-connection" => Setup::Tcp,
                "kept-alive-connection" => Setup::KeptAlive,
                // The hop from the application to its own proxy is free.
                "sidecar-pair" => Setup::Tls13,
                _ => return None,
            }
            .round_trips(),
        ),
        ("SS", _) => f64::from(transport::slow_start_rounds(
            row.number("bytes") as u64,
            1460,
            10,
        )),
        ("SYN", "old") => transport::connect_timeout(row.count("tcp_syn_retries"), 0, 1.0),
        ("SYN", "new") => {
            let linear = row.count("tcp_syn_linear_timeouts");
            transport::connect_timeout(row.count("tcp_syn_retries"), linear, 1.0)
        }
        ("MATHIS", _) => {
            transport::mathis_throughput(row.number("MSS"), row.number("RTT"), row.number("p"))
        }
        ("CFS", "1") => {
            let (work, quota) = (row.number("work"), row.number("quota"));
            transport::throttled_completion(work, 1, quota, row.number("period"))
        }
        ("CFS", "2") => {
            transport::throttled_completion(60.0, 4, row.number("quota"), row.number("period"))
        }
        ("ZONE", _) => transport::zone_crossing_share(row.count("Z")),
        _ => return None,
    })
}

fn statistic(row: &Row) -> Option<f64> {
    Some(match row.family() {
        ("QCI", "nmin-0.999") => {
            sample::draws_for_upper_bound(row.number("p"), row.number("conf")) as f64
        }
        ("QCI", "n2-0.99") => {
            sample::draws_for_two_sided(row.number("p"), row.number("conf")) as f64
        }
        ("QCI", item) => {
            let count = u64::from(row.count("n"));
            let ranks = sample::rank_interval(count, row.number("p"), row.number("conf"));
            match &item[item.len() - 1..] {
                "l" => ranks.lower as f64,
                "u" => ranks.upper as f64,
                _ => ranks.coverage,
            }
        }
        ("T", _) => stats::student_t_quantile(row.number("nu"), row.number("p")),
        ("CHI2", _) => stats::chi_square_quantile(row.number("nu"), row.number("p")),
        ("Z", _) => stats::normal_quantile(row.number("p")),
        ("RULE3", _) => stats::requests_to_claim(row.number("target"), 0.95) as f64,
        ("CP", _) => {
            let (some, all) = (u64::from(row.count("x")), u64::from(row.count("n")));
            stats::clopper_pearson(some, all, row.number("conf")).1
        }
        ("WILSON", item) => {
            let (some, all) = (u64::from(row.count("x")), u64::from(row.count("n")));
            let (low, high) = stats::wilson(some, all, row.number("conf"));
            if item == "lo" { low } else { high }
        }
        ("KN", _) => stats::kim_nelson_eta(row.count("k"), row.count("n0"), row.number("alpha")),
        ("LN", "from-p50p99-sigma") => {
            Lognormal::from_median(row.number("p50"), 0.99, row.number("p99")).sigma
        }
        ("LN", "from-p50p99-mean") => {
            Lognormal::from_median(row.number("p50"), 0.99, row.number("p99")).mean()
        }
        ("LN", "from-mean-p99") => {
            Lognormal::from_mean(row.number("mean"), 0.99, row.number("p99"))?.sigma
        }
        ("LN", _) => Lognormal::greatest_quantile_over_mean(row.number("p")),
        ("RARE", "n-naive") => {
            stats::trials_for_relative_half_width(row.number("p"), row.number("eps"), 0.95)
        }
        ("CANARY", _) => stats::trials_per_arm(row.number("p1"), row.number("p2"), 0.05, 0.8),
        _ => return None,
    })
}

/// s_i/2³¹ of the linear congruential generator of the test vectors.
fn uniform_vector() -> Vec<f64> {
    let mut state = 12_345_u64;
    (0..1000)
        .map(|_| {
            state = (1_103_515_245 * state + 12_345) % (1 << 31);
            state as f64 / (1_u64 << 31) as f64
        })
        .collect()
}

/// x_i = 500/(50 + i) + s_i/2³¹: a transient that dies out, with noise.
fn transient_vector() -> Vec<f64> {
    let noise = uniform_vector();
    (0..1000_u32)
        .zip(noise)
        .map(|(i, noise)| 500.0 / f64::from(50 + i) + noise)
        .collect()
}

fn test_vector(row: &Row) -> Option<f64> {
    let values = transient_vector();
    Some(match row.id.as_str() {
        "TV-mean" => sample::mean(&values)?,
        "TV-var" => sample::variance(&values)?,
        "TV-mser-d" => stats::mser5_unrestricted(&values).truncation as f64,
        "TV-mser-v" => stats::mser5_unrestricted(&values).statistic,
        "TV-mser-dhalf" => stats::mser5(&values).truncation as f64,
        "TV-q99-7" => sample::quantile_type_7(&values, 0.99)?,
        "FIT-exp" => fit::fit_exponential(&values)?.parameters,
        "FIT-ln-mu" => fit::fit_lognormal(&values)?.parameters.mu,
        "FIT-ln-sigma" => fit::fit_lognormal(&values)?.parameters.sigma,
        "FIT-wb-k" => fit::fit_weibull(&values)?.parameters.shape,
        "FIT-ln-aic" => fit::fit_lognormal(&values)?.akaike,
        "KS-D" => sample::kolmogorov_smirnov_distance(&uniform_vector(), |x| x),
        "KS-crit" => sample::kolmogorov_smirnov_critical(1000, 0.05),
        _ => return None,
    })
}

#[test]
fn quantiles_agree_with_statrs() {
    use statrs::distribution::{ContinuousCDF, Gamma, Normal, StudentsT};
    let close = |ours: f64, theirs: f64| (ours - theirs).abs() <= 1e-7 * theirs.abs().max(1.0);
    let normal = Normal::new(0.0, 1.0).unwrap();
    for degrees in [1.0, 2.0, 5.0, 19.0, 200.0] {
        let student = StudentsT::new(0.0, 1.0, degrees).unwrap();
        let gamma = Gamma::new(degrees, 1.0).unwrap();
        for percent in [1.0, 10.0, 50.0, 75.0, 97.5, 99.9] {
            let p = percent / 100.0;
            assert!(
                close(stats::normal_quantile(p), normal.inverse_cdf(p)),
                "normal {p}"
            );
            let t = stats::student_t_quantile(degrees, p);
            assert!(close(student.cdf(t), p), "t {degrees} {p}");
            let x = stats::gamma_quantile(degrees, p);
            assert!(close(gamma.cdf(x), p), "gamma {degrees} {p}");
        }
    }
}
