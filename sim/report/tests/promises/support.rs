//! A made-up summary of a shop in two regions that loses one of them: everything a report can
//! say, without a simulation. Deterministic; no number in it is a result.

use cloud::summary::*;
use hybridsim_report::{Extras, Input, Tool};
use stats::{Estimate, Method};

/// A cheap deterministic stand-in for chance: a share in [0, 1) from two numbers.
fn noise(stream: u64, index: u64) -> f64 {
    let mut bits = stream.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ index.wrapping_add(0x2545_F491);
    for _ in 0..3 {
        bits ^= bits >> 31;
        bits = bits.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    }
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// A value with `relative` half of its interval on both sides.
pub fn around(value: f64, relative: f64) -> Estimate {
    Estimate {
        value,
        low: Some(value * (1.0 - relative)),
        high: Some(value * (1.0 + relative)),
        samples: 20,
        method: Method::StudentT,
    }
}

/// A value between two ends.
pub fn between(value: f64, low: f64, high: f64, method: Method) -> Estimate {
    Estimate {
        value,
        low: Some(low),
        high: Some(high),
        samples: 20,
        method,
    }
}

/// Nothing was measured.
pub fn nothing() -> Estimate {
    Estimate {
        samples: 0,
        ..Estimate::point(0.0)
    }
}

/// The fault begins here.
const DOWN_S: f64 = 120.0;
/// It ends here.
const UP_S: f64 = 300.0;
/// Length of a run.
const END_S: f64 = 480.0;

struct Group {
    name: &'static str,
    rate: f64,
    /// Median latency before, during and after.
    p50: [f64; 2],
    /// Until the last failure after the fault; zero if it is not felt.
    felt_s: f64,
}

const GROUPS: [Group; 3] = [
    Group {
        name: "frankfurt",
        rate: 18.0,
        p50: [0.062, 0.066],
        felt_s: 0.0,
    },
    Group {
        name: "new-york",
        rate: 26.0,
        p50: [0.054, 0.148],
        felt_s: 46.0,
    },
    Group {
        name: "sao-paulo",
        rate: 12.0,
        p50: [0.176, 0.262],
        felt_s: 51.0,
    },
];

fn series(group: &Group, stream: u64) -> Vec<SeriesPoint> {
    (0..240)
        .map(|step| {
            let time_s = step as f64 * 2.0;
            let wobble = |part: u64| noise(stream * 7 + part, step) - 0.5;
            let since = time_s - DOWN_S;
            let failing = group.felt_s > 0.0 && (0.0..group.felt_s + 14.0).contains(&since);
            let availability = match since {
                _ if !failing => 1.0,
                since if since < group.felt_s - 22.0 => 0.0,
                since => ((since - group.felt_s + 22.0) / 36.0).min(1.0),
            };
            let away = group.felt_s > 0.0 && since >= 24.0 && time_s < UP_S + 40.0;
            let p50 = group.p50[usize::from(away)] * (1.0 + 0.04 * wobble(1));
            let answered = availability > 0.0;
            SeriesPoint {
                time_s,
                rate: group.rate * (1.0 + 0.1 * wobble(2)),
                availability: Some(availability),
                availability_range: Some((
                    (availability - 0.12 * f64::from(u8::from(failing && answered))).max(0.0),
                    (availability + 0.12 * f64::from(u8::from(failing && answered))).min(1.0),
                )),
                p50: answered.then_some(p50),
                p99: answered
                    .then_some(p50 * (2.4 + 0.5 * wobble(3)) + if failing { 1.9 } else { 0.0 }),
            }
        })
        .collect()
}

fn curve(p50: f64, stretch: f64, requests: u64) -> Vec<CurvePoint> {
    (0..5)
        .flat_map(|decade| (1..=9).map(move |part| (10 - part, 10_u64.pow(decade + 1))))
        .take_while(|&(beyond, scale)| requests * beyond >= scale)
        .map(|(beyond, scale)| {
            let probability = (scale - beyond) as f64 / scale as f64;
            let rarity = -libm_log10(beyond as f64 / scale as f64);
            let latency = p50 * (0.7 + rarity * rarity * stretch);
            let wide = 0.01 + 0.015 * rarity * rarity;
            CurvePoint {
                probability,
                latency,
                interval: (requests * beyond >= scale * 1000)
                    .then_some((latency * (1.0 - wide), latency * (1.0 + wide))),
            }
        })
        .collect()
}

/// Good enough for a made-up curve: log10 by its exponent and a line between powers.
fn libm_log10(value: f64) -> f64 {
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap();
    let (mantissa, exponent): (f64, f64) = (mantissa.parse().unwrap(), exponent.parse().unwrap());
    exponent + (mantissa - 1.0) / 9.0 * (1.0 + 0.5 * (10.0 - mantissa) / 9.0)
}

fn latency(p50: f64, stretch: f64) -> Latency {
    Latency {
        mean: around(p50 * 1.21, 0.012),
        p50: between(p50, p50 * 0.992, p50 * 1.008, Method::Sectioning),
        p90: between(p50 * 1.9, p50 * 1.87, p50 * 1.93, Method::Sectioning),
        p95: between(p50 * 2.3, p50 * 2.24, p50 * 2.36, Method::Sectioning),
        p99: between(
            p50 * (0.7 + 4.0 * stretch),
            p50 * (0.64 + 3.8 * stretch),
            p50 * (0.76 + 4.2 * stretch),
            Method::Sectioning,
        ),
        p999: Estimate {
            samples: 20,
            ..Estimate::point(p50 * (0.7 + 9.0 * stretch))
        },
        max: p50 * (0.7 + 14.0 * stretch),
    }
}

fn traffic(group: &Group, stream: u64) -> TrafficSummary {
    let requests = (group.rate * END_S * 20.0) as u64;
    let failed = (group.rate * 0.8 * group.felt_s * 20.0) as u64;
    let share = 1.0 - failed as f64 / requests as f64;
    let felt = group.felt_s > 0.0;
    let stretch = if felt { 1.1 } else { 0.45 };
    TrafficSummary {
        name: group.name.to_owned(),
        requests,
        succeeded: requests - failed - 4 * u64::from(felt),
        failures: if felt {
            vec![
                Failure {
                    reason: "UT",
                    meaning: "no answer within the caller's timeout",
                    count: failed - failed / 7,
                },
                Failure {
                    reason: "UF",
                    meaning: "connection refused",
                    count: failed / 7,
                },
            ]
        } else {
            Vec::new()
        },
        in_flight: 4 * u64::from(felt),
        availability: if felt {
            between(share, share - 0.004, share + 0.004, Method::StudentT)
        } else {
            between(
                1.0,
                1.0 - 3.0 / requests as f64,
                1.0,
                Method::ClopperPearson,
            )
        },
        throughput: around(group.rate * share, 0.004),
        attempts: around(if felt { 1.04 } else { 1.0 }, 0.002),
        latency: latency(group.p50[0], stretch),
        series: series(group, stream),
        percentile_curve: curve(group.p50[0], stretch, requests),
    }
}

fn all_traffic(sources: &[TrafficSummary]) -> TrafficSummary {
    let sum = |count: fn(&TrafficSummary) -> u64| sources.iter().map(count).sum::<u64>();
    let share = sum(|source| source.succeeded) as f64 / sum(|source| source.requests) as f64;
    TrafficSummary {
        name: "all".to_owned(),
        requests: sum(|source| source.requests),
        succeeded: sum(|source| source.succeeded),
        failures: sources[1].failures.clone(),
        in_flight: sum(|source| source.in_flight),
        availability: between(share, share - 0.003, share + 0.003, Method::StudentT),
        throughput: around(56.0 * share, 0.003),
        attempts: around(1.03, 0.001),
        latency: latency(0.081, 0.9),
        series: sources[1].series.clone(),
        percentile_curve: curve(0.081, 0.9, sum(|source| source.requests)),
    }
}

/// Name, version, replicas, utilization, wait.
const WORKLOADS: [(&str, Option<&str>, u32, f64, f64); 5] = [
    ("gateway", None, 2, 0.11, 0.000_02),
    ("frontend", None, 3, 0.34, 0.0012),
    ("catalog-v1", Some("v1"), 3, 0.52, 0.0049),
    ("cart", None, 2, 0.18, 0.000_21),
    ("database", None, 1, 0.71, 0.0114),
];

fn workload(cluster: &str, row: usize) -> WorkloadSummary {
    let (name, version, replicas, utilization, wait) = WORKLOADS[row];
    let dies = cluster == "america";
    let busy = move |time_s: f64, index: u64| {
        let away = (DOWN_S + 30.0..UP_S + 30.0).contains(&time_s);
        let factor = match (dies, away) {
            (true, _) if (DOWN_S..UP_S).contains(&time_s) => 0.0,
            (false, true) => 1.4,
            _ => 0.9,
        };
        let wobble = 0.9 + 0.2 * noise(row as u64 + 40 * u64::from(dies), index);
        (utilization * factor * wobble).min(1.0)
    };
    WorkloadSummary {
        cluster: cluster.to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        version: version.map(str::to_owned),
        replicas,
        pending: u32::from(name == "database" && dies),
        utilization: around(utilization, 0.012),
        in_system: around(utilization * 4.0, 0.02),
        wait_mean: around(wait, 0.05),
        wait_p95: around(wait * 3.1, 0.06),
        wait_p99: around(wait * 6.4, 0.09),
        waited: around(utilization * utilization, 0.02),
        sojourn_mean: around(0.02 + wait, 0.01),
        sojourn_p99: around(0.11 + wait * 6.4, 0.04),
        sojourn_variance: around(0.0004, 0.05),
        arrivals: around(28.0, 0.004),
        rejected: around(0.0, 0.0),
        utilization_series: (0..240)
            .map(|step| (step as f64 * 2.0, busy(step as f64 * 2.0, step)))
            .collect(),
    }
}

fn call(source: (&str, &str), destination: (&str, &str), scale: f64) -> CallSummary {
    CallSummary {
        source: source.0.to_owned(),
        source_zone: source.1.to_owned(),
        destination: destination.0.to_owned(),
        version: destination.0.ends_with("v1").then(|| "v1".to_owned()),
        destination_zone: destination.1.to_owned(),
        attempts: (40_000.0 * scale) as u64,
        succeeded: (39_700.0 * scale) as u64,
        failures: vec![Failure {
            reason: "UT",
            meaning: "no answer within the caller's timeout",
            count: (300.0 * scale) as u64,
        }],
        latency_mean: 0.021 / scale,
        latency_p99: 0.13 / scale,
    }
}

fn calls() -> Vec<CallSummary> {
    let mut calls = vec![
        call(("new-york", ""), ("america/shop/gateway", "a"), 2.0),
        call(("new-york", ""), ("europe/shop/gateway", "b"), 0.8),
        call(("frankfurt", ""), ("europe/shop/gateway", "a"), 1.4),
        call(("sao-paulo", ""), ("america/shop/gateway", "c"), 0.9),
    ];
    for cluster in ["america", "europe"] {
        let path = |name: &str| format!("{cluster}/shop/{name}");
        for (from, to, scale) in [
            ("gateway", "frontend", 2.2),
            ("frontend", "catalog-v1", 2.0),
            ("frontend", "cart", 0.7),
            ("catalog-v1", "database", 1.9),
        ] {
            calls.push(call((&path(from), "a"), (&path(to), "b"), scale));
        }
    }
    calls
}

fn cluster(name: &str, region: &str) -> ClusterSummary {
    let pods: Vec<String> = WORKLOADS
        .iter()
        .flat_map(|row| (0..row.2).map(|_| format!("shop/{}", row.0)))
        .collect();
    let nodes = (0..6)
        .map(|index| NodeSummary {
            name: format!("general-{index}"),
            zone: ["a", "b", "c"][index % 3].to_owned(),
            pods: pods.iter().skip(index).step_by(6).cloned().collect(),
            cpu_requested: 0.2 + 0.1 * index as f64,
        })
        .collect();
    let pending = (name == "america").then(|| {
        let why = "0/6 nodes: 6 have too little memory (64Gi wanted)".to_owned();
        ("shop/database".to_owned(), why)
    });
    ClusterSummary {
        name: name.to_owned(),
        region: region.to_owned(),
        nodes,
        pending: pending.into_iter().collect(),
    }
}

fn topology() -> TopologySummary {
    let both = || vec!["america".to_owned(), "europe".to_owned()];
    let edges = [
        ("gateway", "frontend", vec!["frontend"]),
        ("frontend", "catalog", vec!["catalog-v1"]),
        ("frontend", "cart", vec!["cart"]),
        ("catalog-v1", "database", vec!["database"]),
        ("cart", "database", vec!["database"]),
    ];
    let path = |name: &str| format!("shop/{name}");
    TopologySummary {
        clusters: vec![
            cluster("america", "aws/us-east-1"),
            cluster("europe", "aws/eu-west-1"),
        ],
        user_networks: [
            ("frankfurt", "aws/eu-central-1"),
            ("new-york", "aws/us-east-1"),
            ("sao-paulo", "aws/sa-east-1"),
        ]
        .map(|(name, region)| (name.to_owned(), region.to_owned()))
        .to_vec(),
        entries: GROUPS
            .iter()
            .map(|group| (group.name.to_owned(), group.name.to_owned(), both()))
            .collect(),
        calls: both()
            .into_iter()
            .flat_map(|cluster| {
                edges.clone().map(|(from, service, to)| {
                    let callees = to.into_iter().map(path).collect();
                    (cluster.clone(), path(from), path(service), callees)
                })
            })
            .collect(),
    }
}

fn recovery() -> Vec<RecoverySummary> {
    GROUPS
        .iter()
        .enumerate()
        .map(|(stream, group)| {
            let mut values: Vec<f64> = (0..20)
                .filter(|_| group.felt_s > 0.0)
                .map(|index| group.felt_s + 26.0 * (noise(90 + stream as u64, index) - 0.5))
                .collect();
            values.sort_by(f64::total_cmp);
            RecoverySummary {
                unfinished: 0,
                unclear: 0,
                fault: "region-down aws/us-east-1".to_owned(),
                traffic: group.name.to_owned(),
                felt: values.len() as u32,
                recovery: (!values.is_empty())
                    .then(|| around(values.iter().sum::<f64>() / values.len() as f64, 0.07)),
                range: values.first().copied().zip(values.last().copied()),
                values,
            }
        })
        .collect()
}

fn verdicts() -> Vec<Verdict> {
    let verdict = |statement: &str, found, unit, outcome| Verdict {
        kind: "objective",
        statement: statement.to_owned(),
        because: None,
        found,
        unit,
        outcome,
    };
    vec![
        verdict(
            "availability of all traffic at least 99.9 %",
            Some(between(0.9325, 0.9296, 0.9354, Method::StudentT)),
            Unit::Share,
            Outcome::Missed,
        ),
        verdict(
            "p99 of all traffic at most 400 ms",
            Some(between(0.348, 0.29, 0.406, Method::Sectioning)),
            Unit::Time,
            Outcome::Undecided,
        ),
        Verdict {
            kind: "expectation",
            because: Some(
                "up to 10 s to the first failed check, 20 s to the third, 4 s for its timeout, \
                 up to 30 s that a resolver keeps the old answer"
                    .to_owned(),
            ),
            ..verdict(
                "recovery of new-york from region-down aws/us-east-1 between 24 s and 65 s",
                Some(between(46.1, 43.0, 49.2, Method::StudentT)),
                Unit::Time,
                Outcome::Met,
            )
        },
        Verdict {
            kind: "expectation",
            ..verdict(
                "availability of frankfurt at least 99.9 %",
                Some(between(1.0, 0.999_982_6, 1.0, Method::ClopperPearson)),
                Unit::Share,
                Outcome::Met,
            )
        },
    ]
}

/// The whole summary.
pub fn shop() -> Summary {
    let mut sources: Vec<TrafficSummary> =
        GROUPS.iter().zip(1..).map(|(g, s)| traffic(g, s)).collect();
    sources.push(all_traffic(&sources));
    Summary {
        scenario: "region-loss".to_owned(),
        question: Some(
            "A shop runs in two regions behind a global DNS. What do its users see when one \
             region disappears for three minutes, and when is it over?"
                .to_owned(),
        ),
        seed: 42,
        replications: 20,
        interrupted: false,
        precision_reached: None,
        analysis: "terminating",
        duration_s: END_S,
        warm_up_s: 0.0,
        warm_up_method: "none",
        confidence: 0.95,
        digest: "5a0c1f6e93b7d284".to_owned(),
        events: 41_223_518,
        traffic: sources,
        workloads: ["america", "europe"]
            .iter()
            .flat_map(|cluster| (0..WORKLOADS.len()).map(|row| workload(cluster, row)))
            .collect(),
        sidecars: Vec::new(),
        ztunnels: Vec::new(),
        calls: calls(),
        flags: Vec::new(),
        views: [
            ("kube-proxy", "america", 1240, 1.32, 4.9),
            ("kube-proxy", "europe", 980, 1.29, 4.2),
            ("global dns", "global dns", 80, 24.6, 33.9),
            ("resolver", "new-york", 520, 38.2, 63.4),
        ]
        .map(|(kind, place, updates, mean, max)| ViewSummary {
            kind,
            place: place.to_owned(),
            updates,
            staleness_mean: mean,
            staleness_max: max,
        })
        .to_vec(),
        proxies: Vec::new(),
        recovery: recovery(),
        canaries: Vec::new(),
        verdicts: verdicts(),
        measures: vec![MeasureSummary {
            statement: "p99 of network programming latency".to_owned(),
            found: Some(between(1.041, 0.96, 1.122, Method::Sectioning)),
            unit: Unit::Time,
        }],
        marks: vec![Mark {
            start_s: DOWN_S,
            end_s: Some(UP_S),
            label: "region-down aws/us-east-1".to_owned(),
        }],
        topology: topology(),
        facts: vec![
            FactUse {
                id: "network.region-rtt.aws",
                value: "69 regions, all pairs".to_owned(),
                grade: "measurement",
                citation: "CloudPing, median of a year, https://www.cloudping.co",
            },
            FactUse {
                id: "kubernetes.kube-proxy.sync-period-min",
                value: "1 s".to_owned(),
                grade: "source",
                citation: "kubernetes/kubernetes v1.33, pkg/proxy/apis/config/v1alpha1/defaults.go",
            },
            FactUse {
                id: "default.workers",
                value: "16".to_owned(),
                grade: "assumption",
                citation: "nothing published fits; set behavior.<workload>.workers",
            },
        ],
        assumptions: vec![
            "Nothing says how large answers of `database` are: 1 kB is assumed.".to_owned(),
            "Access networks of users add 10 ms of round trip.".to_owned(),
        ],
    }
}

/// The shop with a ztunnel.
pub fn ambient() -> Summary {
    let mut summary = shop();
    summary.ztunnels = vec![ZtunnelSummary {
        cluster: "america".to_owned(),
        node: "a-1".to_owned(),
        utilization: around(0.25, 0.02),
        wait_mean: around(12e-6, 0.1),
        wait_p99: around(150e-6, 0.1),
        opened: around(120.0, 0.05),
        taken: around(80.0, 0.05),
        tunnels: around(0.5, 0.2),
    }];
    summary
}

/// The shop with two releases: a bad one that is found, and a good one of which nobody said that.
pub fn releases() -> Summary {
    let mut summary = shop();
    let release = CanarySummary {
        name: "new prices".to_owned(),
        cluster: "america".to_owned(),
        route: "prices".to_owned(),
        stable: "v1".to_owned(),
        canary: "v2".to_owned(),
        truth: Some("bad"),
        promoted: 1,
        rolled_back: 18,
        undecided: 1,
        wrong: Some(between(0.05, 0.0013, 0.2487, Method::ClopperPearson)),
        detection: Some(around(94.0, 0.1)),
        detection_range: Some((60.0, 180.0)),
        looks: around(3.1, 0.2),
        inconclusive: around(0.4, 0.9),
        requests: around(412.0, 0.05),
        failed: around(21.4, 0.1),
        slow: between(-0.8, -2.4, 0.8, Method::StudentT),
        harmed: around(20.6, 0.1),
        budget_spent: Some(around(1.34, 0.1)),
    };
    summary.canaries = vec![
        release.clone(),
        CanarySummary {
            name: "new colours".to_owned(),
            truth: None,
            promoted: 20,
            rolled_back: 0,
            undecided: 0,
            wrong: None,
            detection: None,
            detection_range: None,
            budget_spent: None,
            ..release
        },
    ];
    summary
}

/// The shop with proxies of so many workloads, of which each is behind for longer than the one
/// before it; nothing was changed for the first.
pub fn proxies(workloads: u32) -> Summary {
    let mut summary = shop();
    let of = |number: u32| {
        let share = f64::from(number) / 100.0;
        ProxySummary {
            cluster: "america".to_owned(),
            namespace: "shop".to_owned(),
            name: format!("web-{number}"),
            kind: "sidecar",
            proxies: 1_000.0,
            updates: around(f64::from(number), 0.1),
            behind: around(share, 0.1),
            spread: Spread {
                least: 0.2 * share,
                p10: 0.5 * share,
                median: share,
                p90: 1.5 * share,
                greatest: 2.0 * share,
            },
            lag_mean: around(share, 0.1),
            lag_max: 12.5,
            stalest: StalestProxy {
                name: format!("web-{number}-5d8f7-x2k9q"),
                replication: 3,
                behind: 2.0 * share,
                lag_max: 12.5,
            },
        }
    };
    summary.proxies = (0..workloads).map(of).collect();
    summary
}

/// One M/M/1 queue in steady state: one source, one workload, no cluster to draw, no fault.
pub fn queue() -> Summary {
    let mut summary = shop();
    summary.scenario = "queue".to_owned();
    summary.question = None;
    summary.analysis = "steady-state";
    summary.warm_up_s = 64.0;
    summary.warm_up_method = "mser-5: run too short";
    summary.precision_reached = Some(false);
    summary.traffic.truncate(1);
    summary.workloads.truncate(1);
    summary.calls.truncate(1);
    summary.views.clear();
    summary.recovery.clear();
    summary.verdicts.clear();
    summary.measures.clear();
    summary.marks.clear();
    summary.facts.clear();
    summary.assumptions.clear();
    summary.topology.user_networks.clear();
    summary.topology.calls.clear();
    summary.topology.clusters.truncate(1);
    summary.topology.clusters[0].pending.clear();
    summary.topology.entries = vec![(
        "frankfurt".to_owned(),
        "america".to_owned(),
        vec!["america".to_owned()],
    )];
    summary
}

/// Nobody was answered: everything that can be empty is.
pub fn silence() -> Summary {
    let mut summary = queue();
    summary.replications = 1;
    let source = &mut summary.traffic[0];
    source.requests = 12;
    source.succeeded = 0;
    source.in_flight = 12;
    source.availability = nothing();
    source.throughput = nothing();
    source.attempts = nothing();
    let none = nothing();
    source.latency = Latency {
        mean: none,
        p50: none,
        p90: none,
        p95: none,
        p99: none,
        p999: none,
        max: 0.0,
    };
    source.percentile_curve.clear();
    source.series.truncate(1);
    source.series[0].availability = None;
    source.series[0].availability_range = None;
    source.series[0].p50 = None;
    source.series[0].p99 = None;
    summary.workloads[0].utilization_series.truncate(1);
    summary
}

/// Names that would break a careless format.
pub fn hostile() -> Summary {
    let mut summary = releases();
    summary.proxies = proxies(2).proxies;
    let evil = "<script>alert(\"x\")</script>&'{{7*7}},\n\u{1b}[31m=1+1";
    summary.scenario = evil.to_owned();
    summary.question = Some(evil.to_owned());
    summary.traffic[0].name = evil.to_owned();
    summary.workloads[0].name = evil.to_owned();
    summary.topology.clusters[0].name = evil.to_owned();
    summary.topology.clusters[0].nodes[0].pods = vec![evil.to_owned()];
    summary.topology.user_networks[0].0 = evil.to_owned();
    summary.topology.entries[0].1 = evil.to_owned();
    summary.marks[0].label = evil.to_owned();
    summary.recovery[1].fault = evil.to_owned();
    summary.canaries[0].name = evil.to_owned();
    summary.canaries[0].route = evil.to_owned();
    summary.verdicts[0].statement = evil.to_owned();
    summary.assumptions[0] = evil.to_owned();
    summary.calls[0].source = evil.to_owned();
    summary.proxies[1].name = evil.to_owned();
    summary.proxies[1].stalest.name = evil.to_owned();
    summary
}

/// Thirty workloads with long names in one cluster, twelve traffic sources, many faults.
pub fn crowd() -> Summary {
    let mut summary = shop();
    summary.workloads = (0..30)
        .map(|index| WorkloadSummary {
            name: format!("service-with-a-rather-long-name-{index}"),
            ..workload("europe", index % WORKLOADS.len())
        })
        .collect();
    let path = |index: usize| format!("shop/service-with-a-rather-long-name-{index}");
    summary.topology.calls = (1..30)
        .map(|index| {
            let to = path(index);
            (
                "europe".to_owned(),
                path((index - 1) / 3),
                to.clone(),
                vec![to],
            )
        })
        .collect();
    summary.topology.clusters[1].nodes = (0..24)
        .map(|index| NodeSummary {
            name: format!("general-{index}"),
            zone: ["a", "b", "c"][index % 3].to_owned(),
            pods: (0..5).map(|pod| path((index * 5 + pod) % 30)).collect(),
            cpu_requested: 0.4,
        })
        .collect();
    let all = summary.traffic.pop().unwrap();
    summary.traffic = (0..12)
        .map(|index| TrafficSummary {
            name: format!("users-of-a-far-away-place-{index}"),
            ..traffic(&GROUPS[index % 3], index as u64)
        })
        .collect();
    summary.traffic.push(all);
    summary.marks = (0..5)
        .map(|index| Mark {
            start_s: 60.0 + 30.0 * index as f64,
            end_s: (index % 2 == 0).then_some(80.0 + 60.0 * index as f64),
            label: format!("link-cut europe america number {index}"),
        })
        .collect();
    summary
}

/// What a command line would hand over.
pub fn extras() -> Extras {
    let entry = |path: &str, standing: &str, note: &str| {
        serde_json::json!({
            "path": path, "standing": standing, "note": note, "count": 2, "line": 12,
        })
    };
    Extras {
        tool: Tool {
            name: "hybridsim".to_owned(),
            version: "0.1.0".to_owned(),
        },
        command: Some("hybridsim run region-loss.yaml --seed 42".to_owned()),
        inputs: vec![
            Input {
                name: "region-loss.yaml".to_owned(),
                hash: "0d3f2a7c55e18b90".to_owned(),
            },
            Input {
                name: "shop/catalog.yaml".to_owned(),
                hash: "e7719d20c4f6a3b1".to_owned(),
            },
        ],
        ledger: serde_json::json!({
            "documents": [{
                "file": "shop/catalog.yaml",
                "line": 1,
                "api_version": "apps/v1",
                "kind": "Deployment",
                "namespace": "shop",
                "name": "catalog-v1",
                "entries": [
                    entry("spec.replicas", "modelled", ""),
                    entry("spec.template.spec.containers[].resources.limits.memory",
                        "ignored", "memory does not run out"),
                    entry("spec.strategy", "approximated", "pods are replaced one at a time"),
                    entry("spec.stratgey", "unknown", "did you mean `strategy`?"),
                ],
            }],
        }),
    }
}
