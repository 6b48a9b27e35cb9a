//! Distribution functions and quantiles of the laws that intervals are made of.
//!
//! What it models: normal, Student's t, chi-square, gamma (Erlang), beta, binomial, Poisson and
//! Kolmogorov laws. Leaves out: non-central laws. Sources: their definitions through the
//! regularised incomplete beta and gamma functions (NIST Digital Library of Mathematical
//! Functions, chapter 8). Validated against published tables in `tests/promises/oracles.rs`, and
//! against the `statrs` crate over a grid.

use crate::special::{
    beta_kernel, bisect, gamma_kernel, incomplete_beta, incomplete_gamma, newton,
};
use core::f64::consts::{PI, SQRT_2};

fn assert_probability(p: f64) {
    assert!(
        p > 0.0 && p < 1.0,
        "a probability inside (0, 1) is needed, not {p}"
    );
}

/// P(Z ≤ z) of the standard normal law.
#[must_use]
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / SQRT_2)
}

/// z with P(Z ≤ z) = `p` of the standard normal law.
///
/// # Panics
/// If `p` is not inside (0, 1).
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    assert_probability(p);
    if p > 0.5 {
        // 1 − p is exact here, and the lower tail is where erfc keeps its digits.
        return -lower_normal_quantile(1.0 - p);
    }
    lower_normal_quantile(p)
}

/// Abramowitz and Stegun 26.2.23 as a start, then Halley's method on erfc.
fn lower_normal_quantile(p: f64) -> f64 {
    let t = libm::sqrt(-2.0 * libm::log(p));
    let mut z = (2.515_517 + t * (0.802_853 + t * 0.010_328))
        / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)))
        - t;
    for _ in 0..4 {
        let density = libm::exp(-0.5 * z * z) / libm::sqrt(2.0 * PI);
        let newton = (normal_cdf(z) - p) / density;
        z -= newton / (1.0 + 0.5 * z * newton);
    }
    z
}

/// P(T > t) of Student's t law for t ≥ 0, and its density there.
fn student_t_tail(degrees: f64, t: f64) -> (f64, f64) {
    let (a, b) = (degrees / 2.0, 0.5);
    let x = degrees / (degrees + t * t);
    let y = t * t / (degrees + t * t);
    let tail = incomplete_beta(a, b, x, y).0 / 2.0;
    // dI_x(a, ½)/dx · |dx/dt| / 2 with the kernel x^a y^½ / B.
    let density = if t == 0.0 {
        libm::exp(libm::lgamma(a + 0.5) - libm::lgamma(a)) / libm::sqrt(PI * degrees)
    } else {
        beta_kernel(a, b, x, y) / t
    };
    (tail, density)
}

/// P(T ≤ t) of Student's t law with `degrees` degrees of freedom.
#[must_use]
pub fn student_t_cdf(degrees: f64, t: f64) -> f64 {
    let tail = student_t_tail(degrees, t.abs()).0;
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// t with P(T ≤ t) = `p` of Student's t law with `degrees` degrees of freedom.
///
/// # Panics
/// If `p` is not inside (0, 1) or `degrees` is not positive.
#[must_use]
pub fn student_t_quantile(degrees: f64, p: f64) -> f64 {
    assert_probability(p);
    assert!(degrees > 0.0, "degrees of freedom must be positive");
    let tail = p.min(1.0 - p);
    if tail == 0.5 {
        return 0.0;
    }
    // The distribution function is concave above zero and its quantiles lie above the normal
    // ones, so Newton's method climbs to the root from there and never passes it.
    let mut t = -lower_normal_quantile(tail);
    for _ in 0..2000 {
        let (value, density) = student_t_tail(degrees, t);
        let step = (value - tail) / density;
        t += step;
        if step.abs() <= 1e-15 * t {
            break;
        }
    }
    if p < 0.5 { -t } else { t }
}

/// P(X ≤ x) of the gamma law with `shape` and scale 1 (Erlang's law for a whole `shape`).
#[must_use]
pub fn gamma_cdf(shape: f64, x: f64) -> f64 {
    incomplete_gamma(shape, x).0
}

/// x with P(X ≤ x) = `p` of the gamma law with `shape` and scale 1.
///
/// # Panics
/// If `p` is not inside (0, 1) or `shape` is not positive.
#[must_use]
pub fn gamma_quantile(shape: f64, p: f64) -> f64 {
    assert_probability(p);
    assert!(shape > 0.0, "a shape must be positive");
    let mut high = shape.max(1.0);
    while incomplete_gamma(shape, high).1 > 1.0 - p {
        high *= 2.0;
    }
    // Wilson and Hilferty's cube of a normal.
    let ninth = 1.0 / (9.0 * shape);
    let root = 1.0 - ninth + normal_quantile(p) * libm::sqrt(ninth);
    newton(0.0, high, shape * root * root * root, |x| {
        let (lower, upper) = incomplete_gamma(shape, x);
        let difference = if p < 0.5 {
            lower - p
        } else {
            (1.0 - p) - upper
        };
        (difference, shape * gamma_kernel(shape, x) / x)
    })
}

/// x with P(X ≤ x) = `p` of the chi-square law with `degrees` degrees of freedom.
///
/// # Panics
/// If `p` is not inside (0, 1) or `degrees` is not positive.
#[must_use]
pub fn chi_square_quantile(degrees: f64, p: f64) -> f64 {
    2.0 * gamma_quantile(degrees / 2.0, p)
}

/// x with P(X ≤ x) = `p` of the beta law with parameters `a` and `b`.
///
/// # Panics
/// If `p` is not inside (0, 1) or a parameter is not positive.
#[must_use]
pub fn beta_quantile(a: f64, b: f64, p: f64) -> f64 {
    assert_probability(p);
    assert!(
        a > 0.0 && b > 0.0,
        "parameters of a beta law must be positive"
    );
    if a > b {
        // Solve where the root is small and keeps its relative precision.
        return 1.0 - beta_quantile(b, a, 1.0 - p);
    }
    newton(0.0, 1.0, a / (a + b), |x| {
        let (lower, upper) = incomplete_beta(a, b, x, 1.0 - x);
        let difference = if p < 0.5 {
            lower - p
        } else {
            (1.0 - p) - upper
        };
        (difference, beta_kernel(a, b, x, 1.0 - x) / (x * (1.0 - x)))
    })
}

/// P(X ≤ `k`) for X binomial with `n` trials of probability `p`; zero for negative `k`.
#[must_use]
pub fn binomial_cdf(k: i64, n: u64, p: f64) -> f64 {
    if k < 0 {
        return 0.0;
    }
    if k.unsigned_abs() >= n {
        return 1.0;
    }
    let k = k as f64;
    incomplete_beta(n as f64 - k, k + 1.0, 1.0 - p, p).0
}

/// P(N > `k`) for N Poisson with the given mean.
#[must_use]
pub fn poisson_tail(k: u64, mean: f64) -> f64 {
    incomplete_gamma(k as f64 + 1.0, mean).0
}

/// P(N = `k`) for N Poisson with the given mean.
#[must_use]
pub fn poisson_probability(k: u64, mean: f64) -> f64 {
    if k == 0 || mean == 0.0 {
        return if k == 0 { libm::exp(-mean) } else { 0.0 };
    }
    gamma_kernel(k as f64, mean)
}

/// P(K ≤ x) of Kolmogorov's law, the limit of √n times the Kolmogorov-Smirnov distance.
#[must_use]
pub fn kolmogorov_cdf(x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x < 1.0 {
        // The theta-function twin converges fast where the usual series does not.
        let sum: f64 = (0..20)
            .map(|j| {
                let odd = f64::from(2 * j + 1);
                libm::exp(-odd * odd * PI * PI / (8.0 * x * x))
            })
            .sum();
        return libm::sqrt(2.0 * PI) / x * sum;
    }
    let mut sign = 1.0;
    let mut sum = 0.0;
    for j in 1..=20 {
        let j = f64::from(j);
        sum += sign * libm::exp(-2.0 * j * j * x * x);
        sign = -sign;
    }
    1.0 - 2.0 * sum
}

/// x with P(K ≤ x) = `p` of Kolmogorov's law; over √n it is the critical distance at 1 − `p`.
///
/// # Panics
/// If `p` is not inside (0, 1).
#[must_use]
pub fn kolmogorov_quantile(p: f64) -> f64 {
    assert_probability(p);
    bisect(0.0, 10.0, |x| kolmogorov_cdf(x) < p)
}
