//! Queues whose arrivals or balancing have a memory: level and phase, homogeneous above zero.
//!
//! What it models: quasi-birth-death processes, their stationary law by the matrix-geometric
//! method. Leaves out: boundaries thicker than level 0. Sources: Neuts, Matrix-Geometric
//! Solutions in Stochastic Models, 1981; logarithmic reduction of Latouche and Ramaswami 1993.
//! Validated by rows of `tests/data/closed-forms.csv`.

use super::matrix::Matrix;

/// Transition rates of a process on (level, phase) that moves by at most one level.
#[derive(Clone, Debug)]
pub struct Levels {
    /// Rates to the level above.
    pub up: Matrix,
    /// Rates within a level above zero, without the diagonal.
    pub within: Matrix,
    /// Rates to the level below.
    pub down: Matrix,
    /// Rates within level 0, without the diagonal.
    pub within_zero: Matrix,
}

/// Stationary law of [`Levels`]: π_k = π_0 Rᵏ.
#[derive(Clone, Debug)]
pub struct LevelLaw {
    /// Probability of each phase at level 0.
    pub zero: Vec<f64>,
    /// R.
    pub ratio: Matrix,
}

fn off_diagonal_sum(matrix: &Matrix, row: usize) -> f64 {
    (0..matrix.size()).map(|column| matrix[(row, column)]).sum()
}

/// Subtracts each row's total rate out of its state from the diagonal of `within`.
fn with_diagonal(within: &Matrix, others: &[&Matrix]) -> Matrix {
    let mut result = within.clone();
    for row in 0..within.size() {
        let leaving: f64 = others
            .iter()
            .map(|other| off_diagonal_sum(other, row))
            .sum();
        result[(row, row)] -= leaving + off_diagonal_sum(within, row);
    }
    result
}

impl Levels {
    /// Solves for the stationary law; the process must be stable.
    #[must_use]
    pub fn solve(&self) -> LevelLaw {
        let local = with_diagonal(&self.within, &[&self.up, &self.down]);
        let first_passage = first_passage(&self.up, &local, &self.down);
        let returning = &local + &(&self.up * &first_passage);
        let ratio = &self.up * &returning.scaled(-1.0).inverse();
        let local_zero = with_diagonal(&self.within_zero, &[&self.up]);
        let balance = &local_zero + &(&ratio * &self.down);
        let total = above(&ratio).row_sums();
        LevelLaw {
            zero: stationary(&balance, &total),
            ratio,
        }
    }
}

impl LevelLaw {
    /// Mean level: π_0 R (I − R)⁻² 1.
    #[must_use]
    pub fn mean_level(&self) -> f64 {
        let sum = above(&self.ratio);
        let weighted = &(&self.ratio * &sum) * &sum;
        weighted.under(&self.zero).iter().sum()
    }

    /// Probability of each phase, whatever the level.
    #[must_use]
    pub fn phases(&self) -> Vec<f64> {
        above(&self.ratio).under(&self.zero)
    }
}

impl Matrix {
    fn row_sums(&self) -> Vec<f64> {
        (0..self.size())
            .map(|row| off_diagonal_sum(self, row))
            .collect()
    }
}

/// (I − R)⁻¹ = Σ Rᵏ.
fn above(ratio: &Matrix) -> Matrix {
    (&Matrix::identity(ratio.size()) + &ratio.scaled(-1.0)).inverse()
}

/// G: probability of reaching the level below in each phase, by logarithmic reduction.
fn first_passage(up: &Matrix, local: &Matrix, down: &Matrix) -> Matrix {
    let size = up.size();
    let waiting = local.scaled(-1.0).inverse();
    let (mut rise, mut fall) = (&waiting * up, &waiting * down);
    let (mut passage, mut path) = (fall.clone(), rise.clone());
    for _ in 0..64 {
        let both = &(&rise * &fall) + &(&fall * &rise);
        let scale = (&Matrix::identity(size) + &both.scaled(-1.0)).inverse();
        (rise, fall) = (&scale * &(&rise * &rise), &scale * &(&fall * &fall));
        passage = &passage + &(&path * &fall);
        path = &path * &rise;
        let left: f64 = path.row_sums().iter().sum();
        if left < 1e-17 {
            break;
        }
    }
    passage
}

/// x with x · `balance` = 0 and x · `total` = 1.
fn stationary(balance: &Matrix, total: &[f64]) -> Vec<f64> {
    // The last balance equation follows from the others; normalisation takes its place.
    let mut system = balance.clone();
    let last = system.size() - 1;
    for (row, &weight) in total.iter().enumerate() {
        system[(row, last)] = weight;
    }
    let mut right = vec![0.0; last + 1];
    right[last] = 1.0;
    system.inverse().under(&right)
}

/// Mean number in an M/M/1 whose arrival rate switches between two values: `rates` per state,
/// `switching` the rates of leaving each state.
#[must_use]
pub fn modulated_mean_number(rates: [f64; 2], switching: [f64; 2], service_rate: f64) -> f64 {
    modulated(rates, switching, service_rate).mean_level()
}

/// Probability that the same queue is empty.
#[must_use]
pub fn modulated_empty(rates: [f64; 2], switching: [f64; 2], service_rate: f64) -> f64 {
    modulated(rates, switching, service_rate).zero.iter().sum()
}

fn modulated(rates: [f64; 2], switching: [f64; 2], service_rate: f64) -> LevelLaw {
    let switch = Matrix::from_rows(&[&[0.0, switching[0]], &[switching[1], 0.0]]);
    Levels {
        up: Matrix::from_rows(&[&[rates[0], 0.0], &[0.0, rates[1]]]),
        within: switch.clone(),
        down: Matrix::identity(2).scaled(service_rate),
        within_zero: switch,
    }
    .solve()
}

/// Mean rate of a two-state modulated Poisson process.
#[must_use]
pub fn modulated_mean_rate(rates: [f64; 2], switching: [f64; 2]) -> f64 {
    (rates[0] * switching[1] + rates[1] * switching[0]) / (switching[0] + switching[1])
}

/// Limit of Var N(t)/E N(t) of a two-state modulated Poisson process:
/// 1 + 2 q₁ q₂ (λ₁ − λ₂)²/((q₁ + q₂)² (λ₁ q₂ + λ₂ q₁)).
#[must_use]
pub fn modulated_dispersion(rates: [f64; 2], switching: [f64; 2]) -> f64 {
    let difference = rates[0] - rates[1];
    let sum = switching[0] + switching[1];
    1.0 + 2.0 * switching[0] * switching[1] * difference * difference
        / (sum * sum * (rates[0] * switching[1] + rates[1] * switching[0]))
}

/// Differences between the two queues that are kept; their law falls by a factor of about
/// three with each, so that the rest is below rounding.
const DIFFERENCES: usize = 48;

/// Mean sojourn where each arrival joins the shorter of two M/M/1 queues, ties at random.
/// Level is the shorter queue's length, phase the difference.
#[must_use]
pub fn shorter_of_two_sojourn_mean(arrival_rate: f64, service_rate: f64) -> f64 {
    let mut levels = Levels {
        up: Matrix::zero(DIFFERENCES),
        within: Matrix::zero(DIFFERENCES),
        down: Matrix::zero(DIFFERENCES),
        within_zero: Matrix::zero(DIFFERENCES),
    };
    for difference in 0..DIFFERENCES {
        if difference == 0 {
            levels.within[(0, 1)] = arrival_rate;
            levels.within_zero[(0, 1)] = arrival_rate;
            levels.down[(0, 1)] = 2.0 * service_rate;
            continue;
        }
        levels.up[(difference, difference - 1)] = arrival_rate;
        levels.within[(difference, difference - 1)] = service_rate;
        levels.within_zero[(difference, difference - 1)] = service_rate;
        if difference + 1 < DIFFERENCES {
            levels.down[(difference, difference + 1)] = service_rate;
        }
    }
    let law = levels.solve();
    let difference_mean: f64 = law
        .phases()
        .iter()
        .enumerate()
        .map(|(difference, probability)| difference as f64 * probability)
        .sum();
    (2.0 * law.mean_level() + difference_mean) / arrival_rate
}
