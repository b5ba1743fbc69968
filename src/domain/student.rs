//! Student's t distribution: what the tests of `stats` are read from.
//!
//! Owns the distribution function and its inverse, for any positive degrees of freedom. By the
//! regularised incomplete beta function: Lentz's continued fraction, and the logarithm of the gamma
//! function after Lanczos 1964. (The crate that the normal distribution comes from has a t as well,
//! which loops for ever on some arguments.) Must not know what is tested.

use std::f64::consts::PI;

/// Steps of the continued fraction: it needs about the square root of the degrees of freedom.
const STEPS: u32 = 10_000;
/// Halvings of an interval until a double is exhausted.
const HALVINGS: u32 = 200;
/// Relative precision at which the fraction ends.
const PRECISION: f64 = 1e-15;

/// Probability of a value up to `t` at `df` degrees of freedom; NaN where one of them is.
#[must_use]
pub fn cdf(t: f64, df: f64) -> f64 {
    let tail = tail(t.abs(), df);
    if t < 0.0 { tail } else { 1.0 - tail }
}

/// Probability of a value above `t`, exact far out as well.
#[must_use]
pub fn above(t: f64, df: f64) -> f64 {
    if t < 0.0 {
        1.0 - tail(-t, df)
    } else {
        tail(t, df)
    }
}

/// The value up to which lies the probability `p`; infinite at 0 and 1.
#[must_use]
pub fn quantile(p: f64, df: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) || df.is_nan() || df <= 0.0 {
        return f64::NAN;
    }
    if p < 0.5 {
        return -quantile(1.0 - p, df);
    }
    let wanted = 1.0 - p;
    if wanted <= 0.0 {
        return f64::INFINITY;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while tail(high, df) > wanted {
        low = high;
        high *= 2.0;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if high - low <= PRECISION * high {
            break;
        }
        if tail(middle, df) > wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Probability that the ratio of two sample variances of equal spread, of `one` and `other` degrees of
/// freedom, is at most `ratio` (Fisher and Snedecor's F); NaN where one of them is.
#[must_use]
pub fn variances(ratio: f64, one: f64, other: f64) -> f64 {
    if ratio.is_nan() || !(one > 0.0 && other > 0.0) {
        return f64::NAN;
    }
    if ratio.is_infinite() {
        return 1.0;
    }
    incomplete_beta(one / 2.0, other / 2.0, one * ratio / (one * ratio + other))
}

/// Probability of a value above `t`, which is not negative.
fn tail(t: f64, df: f64) -> f64 {
    if t.is_nan() || df.is_nan() || df <= 0.0 {
        return f64::NAN;
    }
    if t.is_infinite() {
        return 0.0;
    }
    let x = df / (df + t * t);
    incomplete_beta(df / 2.0, 0.5, x) / 2.0
}

/// The regularised incomplete beta function.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln();
    // The fraction converges fast on one side of the mean only.
    if x < (a + 1.0) / (a + b + 2.0) {
        front.exp() * fraction(a, b, x) / a
    } else {
        1.0 - front.exp() * fraction(b, a, 1.0 - x) / b
    }
}

/// Lentz's evaluation of the continued fraction of the incomplete beta function.
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let floor = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / floor(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..STEPS {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / floor(1.0 + even * d);
        c = floor(1.0 + even / c);
        value *= d * c;
        d = 1.0 / floor(1.0 + odd * d);
        c = floor(1.0 + odd / c);
        let step = d * c;
        value *= step;
        if (step - 1.0).abs() < PRECISION {
            break;
        }
    }
    value
}

/// The logarithm of the gamma function of a positive number.
fn ln_gamma(x: f64) -> f64 {
    const G: f64 = 7.0;
    const LANCZOS: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let mut sum = LANCZOS[0];
    for (at, term) in (1..).zip(&LANCZOS[1..]) {
        sum += term / (x + f64::from(at));
    }
    let t = x + G + 0.5;
    (2.0 * PI).sqrt().ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_tables() {
        // Critical values of Student's t, as printed in any textbook: upper tail, df, value.
        for (upper, df, value) in [
            (0.05, 1.0, 6.314),
            (0.025, 2.0, 4.303),
            (0.01, 3.0, 4.541),
            (0.005, 4.0, 4.604),
            (0.01, 5.0, 3.365),
            (0.025, 10.0, 2.228),
            (0.001, 20.0, 3.552),
            (0.01, 30.0, 2.457),
            (0.025, 60.0, 2.000),
            (0.05, 120.0, 1.658),
            (0.025, 1e6, 1.960),
        ] {
            let found = quantile(1.0 - upper, df);
            assert!((found - value).abs() < 6e-4, "{upper} {df}: {found}");
            assert!((above(found, df) - upper).abs() < 1e-12);
            assert!((cdf(-found, df) - upper).abs() < 1e-12);
        }
        // Of F, upper 5 % at these degrees of freedom.
        for (one, other, value) in [(4.0, 10.0, 3.478), (2.0, 8.0, 4.459), (10.0, 10.0, 2.978)] {
            assert!((variances(value, one, other) - 0.95).abs() < 2e-4);
        }
        // scipy.stats.t.sf(2, 5)
        assert!((above(2.0, 5.0) - 0.050_969_7).abs() < 1e-6);
    }

    #[test]
    fn answers_everywhere() {
        for df in [0.5, 1.0, 2.3, 7.0, 19.0, 20.0, 63.0, 199.0, 5e4] {
            let mut last = 1.0;
            for t in [
                -1e9,
                -40.0,
                -1.0,
                -1e-9,
                0.0,
                1e-9,
                0.3,
                4.0,
                1e3,
                1e12,
                f64::MAX,
            ] {
                let p = above(t, df);
                assert!((0.0..=1.0).contains(&p) && p <= last, "{t} {df}: {p}");
                last = p;
            }
        }
        assert!(above(f64::NAN, 3.0).is_nan() && quantile(2.0, 3.0).is_nan());
        assert!(quantile(1.0, 3.0).is_infinite());
    }
}
