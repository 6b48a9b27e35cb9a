//! A float whose mathematics is the `libm` crate's on every platform.
//!
//! `rand_distr` computes logarithms and powers through `num_traits::Float`. For plain `f64` that is
//! the platform's mathematics library as soon as anything in the dependency graph switches on
//! `num-traits/std`, and then the same seed may give other bits elsewhere. [`LibmFloat`] is beyond
//! the reach of that switch.
//!
//! Validated by golden samples, in all their bits, of every law that passes through here.

use core::num::FpCategory;
use core::ops::{Add, Div, Mul, Neg, Rem, Sub};

use rand_core::Rng;
use rand_distr::num_traits::{Float, Num, NumCast, One, ToPrimitive, Zero};
use rand_distr::{Distribution, Exp1, Open01, OpenClosed01, StandardNormal};

use crate::random::open_unit;
use crate::ziggurat;

/// An `f64` that computes through `libm`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct LibmFloat(pub(crate) f64);

impl Distribution<LibmFloat> for Exp1 {
    #[inline]
    fn sample<R: Rng + ?Sized>(&self, random: &mut R) -> LibmFloat {
        LibmFloat(ziggurat::exponential(random))
    }
}

impl Distribution<LibmFloat> for StandardNormal {
    #[inline]
    fn sample<R: Rng + ?Sized>(&self, random: &mut R) -> LibmFloat {
        LibmFloat(ziggurat::normal(random))
    }
}

impl Distribution<LibmFloat> for Open01 {
    #[inline]
    fn sample<R: Rng + ?Sized>(&self, random: &mut R) -> LibmFloat {
        LibmFloat(open_unit(random.next_u64()))
    }
}

impl Distribution<LibmFloat> for OpenClosed01 {
    #[inline]
    fn sample<R: Rng + ?Sized>(&self, random: &mut R) -> LibmFloat {
        const UNIT: f64 = 1.0 / (1u64 << 53) as f64;
        LibmFloat(((random.next_u64() >> 11) + 1) as f64 * UNIT)
    }
}

macro_rules! operators {
    ($($operator:ident $method:ident),*) => {
        $(impl $operator for LibmFloat {
            type Output = LibmFloat;
            #[inline]
            fn $method(self, other: LibmFloat) -> LibmFloat {
                LibmFloat(self.0.$method(other.0))
            }
        })*
    };
}

operators!(Add add, Sub sub, Mul mul, Div div, Rem rem);

impl Neg for LibmFloat {
    type Output = LibmFloat;
    #[inline]
    fn neg(self) -> LibmFloat {
        LibmFloat(-self.0)
    }
}

impl Zero for LibmFloat {
    fn zero() -> Self {
        LibmFloat(0.0)
    }
    fn is_zero(&self) -> bool {
        self.0 == 0.0
    }
}

impl One for LibmFloat {
    fn one() -> Self {
        LibmFloat(1.0)
    }
}

impl Num for LibmFloat {
    type FromStrRadixErr = <f64 as Num>::FromStrRadixErr;
    fn from_str_radix(digits: &str, radix: u32) -> Result<Self, Self::FromStrRadixErr> {
        f64::from_str_radix(digits, radix).map(LibmFloat)
    }
}

impl ToPrimitive for LibmFloat {
    fn to_i64(&self) -> Option<i64> {
        self.0.to_i64()
    }
    fn to_u64(&self) -> Option<u64> {
        self.0.to_u64()
    }
    fn to_f64(&self) -> Option<f64> {
        Some(self.0)
    }
}

impl NumCast for LibmFloat {
    fn from<T: ToPrimitive>(number: T) -> Option<Self> {
        number.to_f64().map(LibmFloat)
    }
}

macro_rules! constants {
    ($($name:ident = $value:expr),* $(,)?) => {
        $(fn $name() -> Self {
            LibmFloat($value)
        })*
    };
}

macro_rules! properties {
    ($($name:ident -> $answer:ty),* $(,)?) => {
        $(fn $name(self) -> $answer {
            self.0.$name()
        })*
    };
}

macro_rules! functions {
    ($($name:ident = $libm:ident),* $(,)?) => {
        $(#[inline]
        fn $name(self) -> Self {
            LibmFloat(libm::$libm(self.0))
        })*
    };
}

macro_rules! functions_of_two {
    ($($name:ident = $libm:ident),* $(,)?) => {
        $(#[inline]
        fn $name(self, other: Self) -> Self {
            LibmFloat(libm::$libm(self.0, other.0))
        })*
    };
}

impl Float for LibmFloat {
    constants! {
        nan = f64::NAN, infinity = f64::INFINITY, neg_infinity = f64::NEG_INFINITY,
        neg_zero = -0.0, min_value = f64::MIN, min_positive_value = f64::MIN_POSITIVE,
        epsilon = f64::EPSILON, max_value = f64::MAX,
    }
    properties! {
        is_nan -> bool, is_infinite -> bool, is_finite -> bool, is_normal -> bool,
        is_sign_positive -> bool, is_sign_negative -> bool, classify -> FpCategory,
    }
    functions! {
        floor = floor, ceil = ceil, round = round, trunc = trunc, abs = fabs, sqrt = sqrt,
        exp = exp, exp2 = exp2, ln = log, log2 = log2, log10 = log10, cbrt = cbrt, sin = sin,
        cos = cos, tan = tan, asin = asin, acos = acos, atan = atan, exp_m1 = expm1,
        ln_1p = log1p, sinh = sinh, cosh = cosh, tanh = tanh, asinh = asinh, acosh = acosh,
        atanh = atanh,
    }
    functions_of_two! {
        powf = pow, max = fmax, min = fmin, abs_sub = fdim, hypot = hypot, atan2 = atan2,
        copysign = copysign,
    }

    fn fract(self) -> Self {
        self - self.trunc()
    }
    fn signum(self) -> Self {
        LibmFloat(self.0.signum())
    }
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        LibmFloat(libm::fma(self.0, factor.0, addend.0))
    }
    fn recip(self) -> Self {
        LibmFloat(1.0 / self.0)
    }
    fn powi(self, exponent: i32) -> Self {
        LibmFloat(libm::pow(self.0, <f64 as From<i32>>::from(exponent)))
    }
    fn log(self, base: Self) -> Self {
        self.ln() / base.ln()
    }
    fn sin_cos(self) -> (Self, Self) {
        (self.sin(), self.cos())
    }
    fn integer_decode(self) -> (u64, i16, i8) {
        self.0.integer_decode()
    }
}
