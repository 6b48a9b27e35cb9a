//! Scenarios whose answers are known exactly, one for each model of `closed-forms.csv` that a
//! Scenario can express.

/// What is compared with a row's value.
#[derive(Clone, Copy, Debug)]
pub enum Quantity {
    /// Mean latency of the first traffic source.
    LatencyMean,
    /// Quantile of the same.
    LatencyQuantile(f64),
    /// Mean wait at the first workload.
    WaitMean,
    /// Quantile of the same.
    WaitQuantile(f64),
    /// Mean time in the first workload.
    SojournMean,
    /// Variance of the same.
    SojournVariance,
    /// Mean number in the first workload.
    InSystem,
    /// Share of requests that waited at the first workload.
    Waited,
    /// Share of requests that the first workload turned away.
    Rejected,
    /// Mean number of busy workers of the first workload.
    Busy,
    /// Share of time in which the only worker of the first workload is idle.
    Idle,
    /// Requests answered per second.
    Throughput,
    /// Requests that reach a workload per second.
    Arrivals(usize),
    /// Requests that reach a workload per request that a user sends.
    ArrivalsPerRequest(usize),
    /// Attempts per request.
    Attempts,
    /// Share of requests answered without error.
    Availability,
    /// Requests sent.
    Sent,
    /// Mean number of busy workers of the first workload in a step of the time series.
    BusyInStep(usize),
}

/// A row of the table and what it is compared with.
pub struct Row {
    pub id: &'static str,
    pub quantity: Quantity,
    /// Factor on the table's value, for another unit.
    pub scale: f64,
    /// The value is an upper bound.
    pub bound: bool,
    /// Factor on the greatest accepted standard error.
    pub error_scale: f64,
}

const fn row(id: &'static str, quantity: Quantity) -> Row {
    Row {
        id,
        quantity,
        scale: 1.0,
        bound: false,
        error_scale: 1.0,
    }
}

const fn bound(id: &'static str, quantity: Quantity) -> Row {
    Row {
        bound: true,
        ..row(id, quantity)
    }
}

/// A mean time in the first workload, by how many are in it: none is left out by being cut off.
const fn by_little(id: &'static str, rate_per_s: f64) -> Row {
    Row {
        scale: rate_per_s,
        ..row(id, InSystem)
    }
}

/// One request in a thousand takes longer: to know the time as well as other values, one queue would
/// take as long as half of all others.
const fn rare(id: &'static str, quantity: Quantity) -> Row {
    Row {
        error_scale: 2.0,
        ..row(id, quantity)
    }
}

/// A scenario, how long it runs, and the rows it answers.
pub struct Model {
    pub name: &'static str,
    /// `workloads:` and `traffic:` of a Scenario in flow style; the first workload by name is the
    /// one that is measured. `HUNDRED` stands for a hundred calls of `b`.
    pub workloads: &'static str,
    pub traffic: &'static str,
    pub duration_s: f64,
    pub warm_up_s: f64,
    pub replications: u32,
    /// Width of a step of the time series, where one is measured.
    pub step_s: Option<f64>,
    /// What is known exactly beside the rows, as a control for them.
    pub known: &'static [(Quantity, f64)],
    pub rows: &'static [Row],
}

impl Model {
    /// The same, of which these values are known too.
    const fn knowing(self, known: &'static [(Quantity, f64)]) -> Model {
        Model { known, ..self }
    }

    /// How often it is run, to know `factor` times as much: where a certain moment is measured,
    /// only that tells more.
    pub fn replications(&self, factor: f64) -> u32 {
        match self.step_s {
            Some(_) => (f64::from(self.replications) * factor) as u32,
            None => self.replications,
        }
    }

    /// The whole Scenario, to run `factor` times as long where more time tells more.
    pub fn yaml(&self, factor: f64) -> String {
        let lengthened = if self.step_s.is_some() { 1.0 } else { factor };
        let duration_s = self.duration_s * lengthened;
        let Model {
            name,
            workloads,
            traffic,
            ..
        } = self;
        let step = self
            .step_s
            .map_or(String::new(), |step| format!(", seriesStep: {step}s"));
        let workloads = workloads.replace("HUNDRED", &["\"b:80\""; 100].join(", "));
        format!(
            "apiVersion: hybridsim.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: {name}}}\n\
             spec:\n  network: ideal\n  workloads: {{{workloads}}}\n  \
             traffic: [{{name: users, timeout: none, {traffic}}}]\n  \
             run: {{duration: {duration_s:.0}s{step}}}\n"
        )
    }
}

/// A queue in equilibrium: twenty replications, of each of which the start is discarded.
const fn steady(
    name: &'static str,
    workloads: &'static str,
    traffic: &'static str,
    duration_s: f64,
    rows: &'static [Row],
) -> Model {
    Model {
        name,
        workloads,
        traffic,
        duration_s,
        warm_up_s: 2_000.0,
        replications: 20,
        step_s: None,
        known: &[],
        rows,
    }
}

/// A thousand servers: one replication holds many independent ones, so that few are enough. Their
/// load is no control: it would show that they are not infinitely many, and that requests which the
/// end cuts off are left out.
const fn many_servers(
    name: &'static str,
    workloads: &'static str,
    traffic: &'static str,
    duration_s: f64,
    rows: &'static [Row],
) -> Model {
    Model {
        warm_up_s: 100.0,
        replications: 8,
        ..steady(name, workloads, traffic, duration_s, rows)
    }
}

use Quantity::{
    Arrivals, ArrivalsPerRequest, Attempts, Availability, Busy, BusyInStep, Idle, InSystem,
    LatencyMean, LatencyQuantile, Rejected, Sent, SojournMean, SojournVariance, Throughput,
    WaitMean, WaitQuantile, Waited,
};

const ONE: &str = "a: {workers: 1, serviceTime: {exponential: 1s}}";
const RATE_05: &str = "to: \"a:80\", arrivals: {poisson: 0.5/s}";
const RATE_08: &str = "to: \"a:80\", arrivals: {poisson: 0.8/s}";
const RATE_09: &str = "to: \"a:80\", arrivals: {poisson: 0.9/s}";

/// Simulated seconds of one replication that say enough about most queues at load 0.8.
const MEDIUM: f64 = 4e5;

pub static MODELS: &[Model] = &[
    // One server.
    steady(
        "mm1-05",
        ONE,
        RATE_05,
        4e5,
        &[
            row("MM1c-W", LatencyMean),
            row("MM1c-Wq", WaitMean),
            row("MM1c-Tq0.5", LatencyQuantile(0.5)),
            row("MM1c-Wq0.99", WaitQuantile(0.99)),
        ],
    )
    .knowing(&[(Busy, 0.5)]),
    steady(
        "mm1-08",
        ONE,
        RATE_08,
        8e5,
        &[
            row("MM1a-Tq0.5", LatencyQuantile(0.5)),
            row("MM1a-Tq0.99", LatencyQuantile(0.99)),
            row("MM1a-Wq0.99", WaitQuantile(0.99)),
        ],
    )
    .knowing(&[(Busy, 0.8), (WaitMean, 4.0)]),
    steady(
        "mm1-09",
        ONE,
        RATE_09,
        2e6,
        &[
            row("MM1b-L", InSystem),
            row("MM1b-W", LatencyMean),
            row("MM1b-Wq", WaitMean),
            row("MM1b-Tq0.95", LatencyQuantile(0.95)),
            row("MM1b-Tq0.99", LatencyQuantile(0.99)),
            rare("MM1b-Tq0.999", LatencyQuantile(0.999)),
        ],
    )
    .knowing(&[(Busy, 0.9)]),
    // Several servers.
    steady(
        "mm10",
        "a: {workers: 10, serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 8/s}",
        1.2e5,
        &[
            row("MMc10-Wq", WaitMean),
            row("MMc10-W", LatencyMean),
            row("MMc10-Wq0.99", WaitQuantile(0.99)),
            row("MMc10-T0.99", LatencyQuantile(0.99)),
        ],
    )
    .knowing(&[(Busy, 8.0)]),
    steady(
        "mm2",
        "a: {workers: 2, serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 1.6/s}",
        2.8e5,
        &[
            row("MMc2-C", Waited),
            row("MMc2-Wq", WaitMean),
            row("MMc2-Wq0.95", WaitQuantile(0.95)),
            row("MMc2-T0.99", LatencyQuantile(0.99)),
        ],
    )
    .knowing(&[(Busy, 1.6)]),
    steady(
        "mm100",
        "a: {workers: 100, serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 90/s}",
        4e4,
        &[
            row("MMc100-C", Waited),
            row("MMc100-Wq", WaitMean),
            row("MMc100-W", LatencyMean),
            row("MMc100-Wq0.95", WaitQuantile(0.95)),
            row("MMc100-T0.95", LatencyQuantile(0.95)),
            row("MMc100-T0.99", LatencyQuantile(0.99)),
        ],
    )
    .knowing(&[(Busy, 90.0)]),
    steady(
        "mm4",
        "a: {workers: 4, serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 3.6/s}",
        4.5e5,
        &[
            row("MMc4-C", Waited),
            row("MMc4-T0.95", LatencyQuantile(0.95)),
            row("MMc4-Wq0.99", WaitQuantile(0.99)),
        ],
    )
    .knowing(&[(Busy, 3.6), (WaitMean, 1.969_383_160_738_406)]),
    // Bounded queues.
    steady(
        "erlang-b",
        "a: {workers: 20, queue: 0, serviceTime: {lognormal: {mean: 1s, cv: 2}}}",
        "to: \"a:80\", arrivals: {poisson: 25/s}",
        6e3,
        &[row("ErlB-20-25.0", Rejected)],
    ),
    steady(
        "mm1k",
        "a: {workers: 1, queue: 9, serviceTime: {exponential: 1s}}",
        RATE_08,
        1e5,
        &[row("MM1K10-X", Throughput), row("MM1K10-W", SojournMean)],
    ),
    steady(
        "mm1k-overload",
        "a: {workers: 1, queue: 9, serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 1.2/s}",
        2e5,
        &[row("MM1K10o-loss", Rejected), row("MM1K10o-X", Throughput)],
    ),
    steady(
        "mmck",
        "a: {workers: 10, queue: 5, serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 12/s}",
        1e4,
        &[row("MMcK-loss", Rejected), row("MMcK-X", Throughput)],
    ),
    // Other service times.
    steady(
        "md1",
        "a: {workers: 1, serviceTime: 1s}",
        RATE_08,
        6.5e5,
        &[
            row("MG1-D-Wq", WaitMean),
            row("MG1-D-W", LatencyMean),
            row("MD1-Wq0.5", WaitQuantile(0.5)),
            row("MD1-Wq0.9", WaitQuantile(0.9)),
            row("MD1-Wq0.95", WaitQuantile(0.95)),
            row("MD1-Wq0.99", WaitQuantile(0.99)),
        ],
    )
    .knowing(&[(Busy, 0.8)]),
    steady(
        "me21",
        "a: {workers: 1, serviceTime: {gamma: {mean: 1s, cv: 0.7071067811865476}}}",
        RATE_08,
        2.2e5,
        &[row("MG1-E2-Wq", WaitMean), row("MG1-E2-W", LatencyMean)],
    )
    .knowing(&[(Busy, 0.8)]),
    steady(
        "mgamma1",
        "a: {workers: 1, serviceTime: {gamma: {mean: 1s, cv: 2}}}",
        RATE_08,
        3.3e5,
        &[row("MG1-G4-Wq", WaitMean), row("MG1-G4-W", LatencyMean)],
    )
    .knowing(&[(Busy, 0.8)]),
    steady(
        "mh21",
        "a: {workers: 1, serviceTime: {hyperexponential: {mean: 1s, cv: 2}}}",
        RATE_08,
        1.5e6,
        &[
            row("MG1-H2-W", LatencyMean),
            row("MH21-Wq0.95", WaitQuantile(0.95)),
            row("MH21-Wq0.99", WaitQuantile(0.99)),
            rare("MH21-Wq0.999", WaitQuantile(0.999)),
        ],
    )
    .knowing(&[(Busy, 0.8)]),
    steady(
        "two-point",
        "a: {workers: 1, serviceTime: {empirical: [{value: 500ms, weight: 9}, \
        {value: 5500ms, weight: 1}]}}",
        RATE_08,
        1.6e5,
        &[row("MG1-Bi-W", LatencyMean)],
    )
    .knowing(&[(Busy, 0.8)]),
    steady(
        "mlognormal1",
        "a: {workers: 1, serviceTime: {lognormal: {mean: 1s, cv: 2}}}",
        RATE_08,
        2.2e6,
        &[row("MG1-LN-Wq", WaitMean)],
    )
    .knowing(&[(Busy, 0.8)]),
    steady(
        "mweibull1",
        "a: {workers: 1, serviceTime: {weibull: {shape: 0.5, scale: 500ms}}}",
        RATE_08,
        5.5e5,
        &[row("MG1-WB-Wq", WaitMean)],
    )
    .knowing(&[(Busy, 0.8)]),
    // Other arrivals.
    steady(
        "dm1",
        ONE,
        "to: \"a:80\", arrivals: {constant: 0.8/s}",
        MEDIUM,
        &[
            row("DM1-sigma", Waited),
            row("DM1-Wq", WaitMean),
            row("DM1-W", LatencyMean),
            row("DM1-T0.99", LatencyQuantile(0.99)),
        ],
    )
    .knowing(&[(Busy, 0.8)]),
    steady(
        "h2m1",
        ONE,
        "to: \"a:80\", arrivals: {renewal: {hyperexponential: {mean: 1250ms, cv: 2}}}",
        1.4e6,
        &[
            row("H2M1-Wq", WaitMean),
            row("H2M1-W", LatencyMean),
            row("H2M1-T0.99", LatencyQuantile(0.99)),
        ],
    )
    .knowing(&[(Busy, 0.8)]),
    steady(
        "mmpp1",
        ONE,
        "to: \"a:80\", arrivals: {modulated: {rates: [1.5/s, 0.1/s], \
        sojourns: [10s, 10s]}}",
        6.5e5,
        &[row("MMPP1-W", LatencyMean), row("MMPP1-P0", Idle)],
    )
    .knowing(&[(Busy, 0.8)]),
    steady(
        "mmpp2",
        ONE,
        "to: \"a:80\", arrivals: {modulated: {rates: [2/s, 0.4/s], \
        sojourns: [12500ms, 50s]}}",
        1.3e6,
        &[row("MMPP2-W", LatencyMean), row("MMPP2-P0", Idle)],
    )
    .knowing(&[(Busy, 0.72)]),
    steady(
        "gg1a",
        "a: {workers: 1, serviceTime: {gamma: {mean: 1s, cv: 0.7071067811865476}}}",
        "to: \"a:80\", arrivals: {renewal: {gamma: {mean: 1250ms, cv: 0.7071067811865476}}}",
        1e5,
        &[bound("GG1a-Kingman", WaitMean)],
    ),
    steady(
        "gg1b",
        ONE,
        "to: \"a:80\", arrivals: {renewal: {gamma: {mean: 1250ms, cv: 2}}}",
        2e5,
        &[bound("GG1b-Kingman", WaitMean)],
    ),
    // Several replicas behind a balancer.
    steady(
        "rr2",
        "a: {replicas: 2, workers: 1, balance: round-robin, \
        serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 1.6/s}",
        2e5,
        &[
            row("RR2-sigma", Waited),
            row("RR2-W", LatencyMean),
            row("RR2-T0.99", LatencyQuantile(0.99)),
        ],
    )
    .knowing(&[(Busy, 1.6)]),
    steady(
        "rr3",
        "a: {replicas: 3, workers: 1, balance: round-robin, \
        serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 2.4/s}",
        6e4,
        &[row("RR3-Wq", WaitMean)],
    )
    .knowing(&[(Busy, 2.4)]),
    steady(
        "rr10",
        "a: {replicas: 10, workers: 1, balance: round-robin, \
        serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 8/s}",
        4.2e4,
        &[
            row("RR10-sigma", Waited),
            row("RR10-Wq", WaitMean),
            row("RR10-W", LatencyMean),
            row("RR10-T0.99", LatencyQuantile(0.99)),
        ],
    )
    .knowing(&[(Busy, 8.0)]),
    steady(
        "jsq2-10",
        "a: {replicas: 2, workers: 1, balance: shortest-queue, \
        serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 1/s}",
        1.5e4,
        &[row("JSQ2-1.0", LatencyMean)],
    )
    .knowing(&[(Busy, 1.0)]),
    steady(
        "jsq2-16",
        "a: {replicas: 2, workers: 1, balance: shortest-queue, \
        serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 1.6/s}",
        7.5e4,
        &[row("JSQ2-1.6", LatencyMean)],
    )
    .knowing(&[(Busy, 1.6)]),
    steady(
        "jsq2-18",
        "a: {replicas: 2, workers: 1, balance: shortest-queue, \
        serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 1.8/s}",
        3.2e5,
        &[row("JSQ2-1.8", LatencyMean)],
    )
    .knowing(&[(Busy, 1.8)]),
    many_servers(
        "po2-07",
        "a: {replicas: 1000, workers: 1, balance: {least-request: {choices: 2}}, \
        serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 700/s}",
        600.0,
        &[row("PO2-0.7", LatencyMean)],
    ),
    many_servers(
        "po2-09",
        "a: {replicas: 1000, workers: 1, balance: {least-request: {choices: 2}}, \
        serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 900/s}",
        600.0,
        &[row("PO2-0.9", LatencyMean)],
    ),
    Model {
        // So near to saturation, five thousand servers take minutes to settle.
        warm_up_s: 400.0,
        ..many_servers(
            "po2-099",
            "a: {replicas: 5000, workers: 1, balance: {least-request: {choices: 2}}, \
             serviceTime: {exponential: 1s}}",
            "to: \"a:80\", arrivals: {poisson: 4950/s}",
            600.0,
            &[by_little("PO2-0.99", 4950.0)],
        )
        .knowing(&[(Busy, 4950.0)])
    },
    many_servers(
        "po3-07",
        "a: {replicas: 1000, workers: 1, balance: {least-request: {choices: 3}}, \
        serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 700/s}",
        600.0,
        &[row("PO3-0.7", LatencyMean)],
    ),
    many_servers(
        "po3-08",
        "a: {replicas: 1000, workers: 1, balance: {least-request: {choices: 3}}, \
        serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 800/s}",
        600.0,
        &[row("PO3-0.8", LatencyMean)],
    ),
    many_servers(
        "po3-09",
        "a: {replicas: 1000, workers: 1, balance: {least-request: {choices: 3}}, \
        serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 900/s}",
        600.0,
        &[row("PO3-0.9", LatencyMean)],
    ),
    many_servers(
        "po3-095",
        "a: {replicas: 1000, workers: 1, balance: {least-request: {choices: 3}}, \
        serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 950/s}",
        900.0,
        &[row("PO3-0.95", LatencyMean)],
    ),
    // Processor sharing.
    steady(
        "ps-05",
        "a: {cpu: 1, serviceTime: {exponential: 1s}}",
        RATE_05,
        2.6e5,
        &[
            row("PS-0.5-W", LatencyMean),
            row("PS-0.5-Var", SojournVariance),
        ],
    )
    .knowing(&[(Busy, 0.5)]),
    steady(
        "ps-08",
        "a: {cpu: 1, serviceTime: {exponential: 1s}}",
        RATE_08,
        8e5,
        &[row("PS-0.8-Var", SojournVariance)],
    )
    .knowing(&[(Busy, 0.8), (LatencyMean, 5.0)]),
    // Networks.
    steady(
        "tandem",
        "a: {workers: 1, asynchronous: true, serviceTime: {exponential: 1s}, \
        calls: [\"b:80\", \"c:80\"]}, b: {workers: 1, serviceTime: {exponential: 666666667ns}}, \
        c: {workers: 1, serviceTime: {exponential: 1111111111ns}}",
        "to: \"a:80\", arrivals: {poisson: 0.7/s}",
        4.8e5,
        &[
            row("JT-W", LatencyMean),
            row("JT-T0.99", LatencyQuantile(0.99)),
        ],
    )
    .knowing(&[(Busy, 0.7)]),
    steady(
        "feedback",
        "a: {workers: 1, errorRate: 30%, serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 0.5/s}, \
        retries: {attempts: 100, backoff: 0s, maxBackoff: 0s}",
        1e5,
        &[row("JF-lam", Arrivals(0))],
    ),
    steady(
        "closed-10",
        ONE,
        "to: \"a:80\", arrivals: {closed: {users: 10, think: {exponential: 5s}}}",
        5e4,
        &[row("CL10-X", Throughput), row("CL10-R", LatencyMean)],
    ),
    steady(
        "closed-20",
        "a: {workers: 1, serviceTime: {exponential: 800ms}}",
        "to: \"a:80\", arrivals: {closed: {users: 20, think: {exponential: 10s}}}",
        5e4,
        &[row("CL20-X", Throughput)],
    ),
    steady(
        "closed-50",
        "a: {workers: 1, serviceTime: {exponential: 250ms}}",
        "to: \"a:80\", arrivals: {closed: {users: 50, think: {exponential: 10s}}}",
        2e4,
        &[row("CL50-R", LatencyMean), bound("CLb-X", Throughput)],
    ),
    steady(
        "closed-2-stations",
        "a: {workers: 1, asynchronous: true, \
        serviceTime: {exponential: 500ms}, calls: [\"b:80\"]}, \
        b: {workers: 1, serviceTime: {exponential: 300ms}}",
        "to: \"a:80\", arrivals: {closed: {users: 8, think: {exponential: 2s}}}",
        2e4,
        &[row("CL2-X", Throughput)],
    ),
    steady(
        "closed-5-workers",
        "a: {workers: 5, serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {closed: {users: 30, think: {exponential: 4s}}}",
        1e4,
        &[row("CLc-X", Throughput)],
    ),
    steady(
        "fork-2",
        "a: {workers: unlimited, serviceTime: 0s, \
        calls: [{parallel: [\"b:80\", \"b:80\"]}]}, \
        b: {workers: unlimited, serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 10/s}",
        6e3,
        &[
            row("FJ-max2", LatencyMean),
            row("FJ-p99-2", LatencyQuantile(0.99)),
        ],
    ),
    steady(
        "fork-100",
        "a: {workers: unlimited, serviceTime: 0s, calls: [{parallel: [HUNDRED]}]}, \
         b: {workers: unlimited, serviceTime: {exponential: 1s}}",
        "to: \"a:80\", arrivals: {poisson: 1/s}",
        8e3,
        &[
            row("FJ-max100", LatencyMean),
            row("FJ-p99-100", LatencyQuantile(0.99)),
        ],
    ),
    steady(
        "fork-join-queues",
        "a: {workers: unlimited, serviceTime: 0s, \
        calls: [{parallel: [\"b:80\", \"c:80\"]}]}, b: {workers: 1, serviceTime: {exponential: 1s}}, \
        c: {workers: 1, serviceTime: {exponential: 1s}}",
        RATE_08,
        2.6e5,
        &[row("FJQ2-0.8", LatencyMean)],
    ),
    // Time of day: an hour is a second here.
    Model {
        name: "diurnal",
        workloads: "a: {workers: unlimited, serviceTime: {exponential: 500ms}}",
        traffic: "to: \"a:80\", arrivals: {sinusoid: {mean: 100, amplitude: 60, period: 24s}, \
            process: poisson}",
        duration_s: 25.0,
        warm_up_s: 0.0,
        replications: 1_200,
        step_s: Some(0.02),
        known: &[],
        rows: &[row("MTINF-0", BusyInStep(1_200))],
    },
    Model {
        name: "diurnal-constant",
        workloads: "a: {workers: unlimited, serviceTime: 500ms}",
        traffic: "to: \"a:80\", arrivals: {sinusoid: {mean: 100, amplitude: 60, period: 24s}, \
            process: poisson}",
        duration_s: 31.0,
        warm_up_s: 0.0,
        replications: 900,
        step_s: Some(0.02),
        known: &[],
        rows: &[row("MTDINF-6", BusyInStep(1_500))],
    },
    Model {
        name: "diurnal-count",
        workloads: "a: {workers: unlimited, serviceTime: 500ms}",
        traffic: "to: \"a:80\", arrivals: {sinusoid: {mean: 100, amplitude: 60, period: 24s}, \
            process: poisson}",
        duration_s: 12.0,
        warm_up_s: 0.0,
        replications: 200,
        step_s: Some(1.0),
        known: &[],
        rows: &[row("NHPP-count", Sent)],
    },
    // Retries.
    steady(
        "retries-01-2",
        "a: {workers: unlimited, errorRate: 10%, serviceTime: 1ms}",
        "to: \"a:80\", arrivals: {poisson: 10/s}, retries: {attempts: 2, backoff: 1ms}",
        1e4,
        &[
            row("RET-att-0.1-2", Attempts),
            row("RET-avail-0.1-2", Availability),
        ],
    ),
    steady(
        "retries-001-2",
        "a: {workers: unlimited, errorRate: 1%, serviceTime: 1ms}",
        "to: \"a:80\", arrivals: {poisson: 100/s}, retries: {attempts: 2, backoff: 1ms}",
        1e4,
        &[
            row("RET-att-0.01-2", Attempts),
            row("RET-avail-0.01-2", Availability),
        ],
    ),
    steady(
        "retries-03-3",
        "a: {workers: unlimited, errorRate: 30%, serviceTime: 1ms}",
        "to: \"a:80\", arrivals: {poisson: 10/s}, retries: {attempts: 3, backoff: 1ms}",
        1e4,
        &[
            row("RET-att-0.3-3", Attempts),
            row("RET-avail-0.3-3", Availability),
        ],
    ),
    steady(
        "retries-005-1",
        "a: {workers: unlimited, errorRate: 5%, serviceTime: 1ms}",
        "to: \"a:80\", arrivals: {poisson: 10/s}, retries: {attempts: 1, backoff: 1ms}",
        1e4,
        &[row("RET-att-0.05-1", Attempts)],
    ),
    steady(
        "retries-in-two-layers",
        "a: {workers: unlimited, serviceTime: 1ms, \
        calls: [{to: \"b:80\", retries: {attempts: 1, backoff: 1ms}}]}, \
        b: {workers: unlimited, errorRate: 20%, serviceTime: 1ms}",
        "to: \"a:80\", arrivals: {poisson: 10/s}, retries: {attempts: 1, backoff: 1ms}",
        1e4,
        &[row("RET-2layer-att", ArrivalsPerRequest(1))],
    ),
];

/// Rows that no model above answers, by the start of their names, and why.
pub static NOT_SIMULATED: &[(&str, &str)] = &[
    (
        "MM1a-av",
        "a variance in the limit: known to half a percent after 80 000 replications only",
    ),
    (
        "MM1b-av",
        "a variance in the limit: known to half a percent after 80 000 replications only",
    ),
    (
        "MM1t-",
        "the wait of the n-th request alone is not measured",
    ),
    ("MG1-BP-ES", "arithmetic: held by the formulas of `stats`"),
    (
        "MG1-BP-Wq",
        "so heavy a tail that half a percent takes some 10^9 requests",
    ),
    ("GG1a-Marchal", "an approximation"),
    ("GG1c-", "an approximation"),
    ("PS-0.5-Ex3", "requests are not told apart by their size"),
    ("PS-0.8-Ex3", "requests are not told apart by their size"),
    ("PRIO-NP", "stations have no priorities"),
    ("ErlA", "nobody leaves a queue after a random time"),
    ("RETRIAL", "pauses before retries are not random"),
    ("JN-W", "calls may not go in circles"),
    ("FJ-tail", "arithmetic: held by the formulas of `stats`"),
    ("FJ-leafq", "arithmetic: held by the formulas of `stats`"),
    ("FJ-quorum", "a step waits for all of its calls"),
    ("HEDGE", "requests are not hedged"),
    (
        "MMPP-IDC",
        "a variance in the limit; the arrivals' own test leans on it",
    ),
    ("TB", "in `policies`: a bucket of a sidecar"),
    ("RET-dead-indep", "in `network`: a dead node among five"),
    ("CONSEC-0.5", "in `policies`: a pod that sidecars leave out"),
    ("CONSEC-0.9", "in `policies`: a pod that sidecars leave out"),
    (
        "CONSEC-0.2",
        "in `cloud`: the detector alone, as requests through sidecars take too long",
    ),
    ("CONSEC-time", "in `cloud`: the detector alone"),
    ("PROBE-mean", "part of the closed form in `recovery`"),
    (
        "AV-",
        "failures and repairs in turn come with studies of availability",
    ),
    ("SLO-", "arithmetic: held by the formulas of `stats`"),
    ("BURN-", "arithmetic: held by the formulas of `stats`"),
    ("QCI-", "a statistic: held by `stats`"),
    ("T-", "a statistic: held by `stats`"),
    ("CHI2-", "a statistic: held by `stats`"),
    ("Z-", "a statistic: held by `stats`"),
    ("RULE3-", "a statistic: held by `stats`"),
    ("CP-", "a statistic: held by `stats`"),
    ("WILSON-", "a statistic: held by `stats`"),
    ("KN-", "a statistic: held by `stats`"),
    ("LN-", "a law's arithmetic: held by `stats`"),
    ("RARE-", "rare events need splitting"),
    ("RTT-TCP-plaintext", "in `network`"),
    ("RTT-kept-alive", "in `network`"),
    ("RTT-", "TLS and QUIC are not modelled yet"),
    ("SS-", "slow start is left out"),
    ("SYN-new", "in `network`"),
    ("SYN-old", "the facts are those of current kernels"),
    ("MATHIS", "an approximation"),
    ("CFS-", "CPU limits share continuously, not by periods"),
    ("ZONE-x", "in `network`"),
    ("COST-x", "prices are not modelled yet"),
    ("IPT-", "kube-proxy's own rounding comes with its rules"),
    ("CANARY-n", "arithmetic: held by the formulas of `stats`"),
    ("HPA-", "autoscalers are not acted on yet"),
    (
        "PRIO-70",
        "in `policies`: a zone with three failing pods of ten",
    ),
    ("OPT-", "searches over replicas come with capacity planning"),
    ("TV-", "a statistic: held by `stats`"),
    ("FIT-", "a statistic: held by `stats`"),
    ("KS-", "a statistic: held by `stats`"),
    ("RNG-", "the engine's own test"),
];
