//! The arithmetic of believing: samples, tests, intervals, and how many seeds a question needs.
//!
//! Owns formulas and nothing else. Effects are signed so that positive is better, whatever the
//! metric's goal. Sources: Student 1908 for the paired and pooled t tests, Welch 1947 for unequal
//! variances, and the usual normal approximation with one extra seed for planning. Must not know
//! hypotheses or runs.

use distrs::Normal;
use serde::{Deserialize, Serialize};

use super::student;

/// A candidate whose spread exceeds the pooled one by more than this is tested by Welch instead.
const WELCH_RATIO: f64 = 2.0;
/// Probability of finding an effect of the planned size.
const POWER: f64 = 0.9;

/// A number that JSON can hold: a candidate may print what overflows every sum, and a line of the log
/// that cannot be read back would cost the run.
#[must_use]
pub fn finite(value: f64) -> f64 {
    if value.is_nan() {
        0.0
    } else {
        // Adding nothing makes a zero of what was a negative one.
        value.clamp(f64::MIN, f64::MAX) + 0.0
    }
}

/// Size, mean and standard deviation (n − 1) of some values, in their unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// How many.
    pub n: u32,
    /// Their mean; 0 where there are none.
    pub mean: f64,
    /// Their standard deviation; 0 where there are fewer than two.
    pub sd: f64,
}

impl Sample {
    /// Of these values.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let n = values.len();
        if n == 0 {
            return Self::default();
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let sd = if n > 1 {
            (squares / (n - 1) as f64).sqrt()
        } else {
            0.0
        };
        Self {
            n: u32::try_from(n).unwrap_or(u32::MAX),
            mean: finite(mean),
            // A spread that overflows is a wide one, and not none.
            sd: if sd.is_finite() { sd } else { f64::MAX },
        }
    }

    /// Standard deviation as a share of the mean; 0 where the mean is.
    #[must_use]
    pub fn cv(&self) -> f64 {
        if self.mean == 0.0 {
            0.0
        } else {
            (self.sd / self.mean).abs()
        }
    }
}

/// What a test says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tested {
    /// Mean difference, positive is better, in the metric's unit.
    pub effect: f64,
    /// Two-sided 95 % interval of it.
    pub ci: [f64; 2],
    /// One-sided p of *not better than minus the margin*.
    pub p: f64,
}

/// Paired t test of differences (positive is better) against `-margin`. The values that were subtracted
/// are known to `resolution`: two differences that are equal because both were rounded prove nothing.
///
/// With fewer than two differences nothing can be said: the interval is the whole line and p is 1.
#[must_use]
pub fn paired(differences: &[f64], margin: f64, resolution: f64) -> Tested {
    let sample = Sample::of(differences);
    let n = f64::from(sample.n);
    if sample.n < 2 {
        return nothing(sample.mean);
    }
    let spread = if differences.iter().all(|it| *it == 0.0) {
        0.0
    } else {
        sample.sd.max(rounding(resolution) * 2.0_f64.sqrt())
    };
    from_t(sample.mean, spread / n.sqrt(), n - 1.0, margin)
}

/// Unpaired t test of `candidate` against `baseline` where both are signed so that larger is better.
/// Pooled variance, Welch where the candidate's spread differs too much; `resolution` as in [`paired`].
#[must_use]
pub fn unpaired(baseline: &[f64], candidate: &[f64], margin: f64, resolution: f64) -> Tested {
    let (mut b, mut c) = (Sample::of(baseline), Sample::of(candidate));
    if b.mean != c.mean || b.sd + c.sd > 0.0 {
        b.sd = b.sd.max(rounding(resolution));
        c.sd = c.sd.max(rounding(resolution));
    }
    let effect = c.mean - b.mean;
    if b.n < 2 || c.n < 2 {
        return nothing(effect);
    }
    let (nb, nc) = (f64::from(b.n), f64::from(c.n));
    let nu = nb + nc - 2.0;
    let pooled = (((nb - 1.0) * b.sd.powi(2) + (nc - 1.0) * c.sd.powi(2)) / nu).sqrt();
    if pooled > 0.0 && c.sd / pooled > WELCH_RATIO {
        let (vb, vc) = (b.sd.powi(2) / nb, c.sd.powi(2) / nc);
        let df = (vb + vc).powi(2) / (vb.powi(2) / (nb - 1.0) + vc.powi(2) / (nc - 1.0));
        return from_t(effect, (vb + vc).sqrt(), df, margin);
    }
    from_t(effect, pooled * (1.0 / nb + 1.0 / nc).sqrt(), nu, margin)
}

/// Standard deviation of what rounding to `resolution` adds: a uniform error as wide as that.
fn rounding(resolution: f64) -> f64 {
    resolution / 12.0_f64.sqrt()
}

/// How finely values were written: one unit in the last decimal place that any of them has, and at
/// most 1. 0 where there are none.
#[must_use]
pub fn resolution(values: &[f64]) -> f64 {
    let places = |value: &f64| -> Option<i32> {
        // The shortest text that reads back as the same number has no more places than the one it was
        // read from.
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e')?;
        let digits = digits.split_once('.').map_or(0, |(_, places)| places.len());
        Some(i32::try_from(digits).ok()? - exponent.parse::<i32>().ok()?)
    };
    let finite = values.iter().filter(|value| value.is_finite());
    let most = finite.filter_map(places).max();
    most.map_or(0.0, |places| 10.0_f64.powi(-places.max(0)))
}

fn nothing(effect: f64) -> Tested {
    Tested {
        effect: finite(effect),
        ci: [f64::MIN, f64::MAX],
        p: 1.0,
    }
}

fn from_t(effect: f64, error: f64, df: f64, margin: f64) -> Tested {
    if error <= 0.0 {
        // No spread at all: a deterministic task. The difference is what it is.
        let p = if effect + margin > 0.0 { 0.0 } else { 1.0 };
        return Tested {
            effect: finite(effect),
            ci: [effect, effect].map(finite),
            p,
        };
    }
    let half = student::quantile(0.975, df) * error;
    let p = student::above((effect + margin) / error, df);
    Tested {
        effect: finite(effect),
        ci: [effect - half, effect + half].map(finite),
        // What cannot be computed proves nothing.
        p: if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) },
    }
}

/// Seeds an arm needs so that an effect of `delta` is found with probability 0.9 at one-sided
/// level `alpha`, where single runs have spread `sigma` and same-seed runs correlate by `rho`
/// (0 for unpaired arms). The normal approximation, and from there on as many more as the t test
/// takes. At least 2; `u32::MAX` where `delta` is not positive.
#[must_use]
pub fn seeds_needed(alpha: f64, sigma: f64, rho: f64, delta: f64) -> u32 {
    if delta <= 0.0 {
        return u32::MAX;
    }
    let z = Normal::ppf(1.0 - alpha, 0.0, 1.0) + Normal::ppf(POWER, 0.0, 1.0);
    let n = (z * spread(sigma, rho) / delta).powi(2).floor();
    if n >= f64::from(u32::MAX) {
        return u32::MAX;
    }
    let mut n = (n as u32).max(2);
    while smallest_effect(alpha, sigma, rho, n) > delta {
        n += 1;
    }
    n
}

/// The smallest effect that `n` seeds an arm find with probability 0.9 at one-sided `alpha`, in the
/// unit of `sigma`; `rho` is 0 for unpaired arms.
#[must_use]
pub fn smallest_effect(alpha: f64, sigma: f64, rho: f64, n: u32) -> f64 {
    let n = f64::from(n.max(2));
    let df = if rho > 0.0 { n - 1.0 } else { 2.0 * (n - 1.0) };
    let critical = student::quantile(1.0 - alpha, df) + Normal::ppf(POWER, 0.0, 1.0);
    critical * spread(sigma, rho) / n.sqrt()
}

/// The same, where a single pair of runs must first gain `screen` to be looked at further: an effect that `n`
/// seeds would find is not decidable if it is dropped half of the time before.
#[must_use]
pub fn smallest_screened(alpha: f64, sigma: f64, rho: f64, n: u32, screen: f64) -> f64 {
    const STEP: f64 = 1.01;
    let spread = spread(sigma, rho);
    let n = f64::from(n.max(2));
    let df = if rho > 0.0 { n - 1.0 } else { 2.0 * (n - 1.0) };
    let critical = student::quantile(1.0 - alpha, df);
    let found = |delta: f64| {
        let passes = Normal::cdf((delta - screen) / spread, 0.0, 1.0);
        passes * Normal::cdf(delta * n.sqrt() / spread - critical, 0.0, 1.0)
    };
    let mut delta = smallest_effect(alpha, sigma, rho, n as u32);
    // Both probabilities go to one, and without a spread the screen alone is left.
    while spread > 0.0 && delta > 0.0 && found(delta) < POWER {
        delta *= STEP;
    }
    if spread > 0.0 {
        delta
    } else {
        delta.max(screen)
    }
}

/// Spread of the difference of two runs.
fn spread(sigma: f64, rho: f64) -> f64 {
    sigma * (2.0 * (1.0 - rho)).sqrt()
}

/// Paired t test where the spread of differences is known from `known`, an earlier sample of the same
/// comparison: few new differences then say something already. With fewer than two earlier ones, or
/// no new one, nothing can be said. `resolution` as in [`paired`].
#[must_use]
pub fn known_spread(differences: &[f64], known: Sample, margin: f64, resolution: f64) -> Tested {
    let sample = Sample::of(differences);
    if known.n < 2 || sample.n == 0 {
        return nothing(sample.mean);
    }
    let spread = known.sd.max(rounding(resolution) * 2.0_f64.sqrt());
    let error = spread / f64::from(sample.n).sqrt();
    from_t(sample.mean, error, f64::from(known.n) - 1.0, margin)
}

/// Pearson's correlation of centred pairs; 0 where one side has no spread.
#[must_use]
pub fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
    let both = (sum(&|(a, _)| a * a) * sum(&|(_, b)| b * b)).sqrt();
    if both > 0.0 && both.is_finite() {
        finite(sum(&|(a, b)| a * b) / both)
    } else {
        0.0
    }
}

/// One-sided z of a p value, capped where p is nothing or all.
#[must_use]
pub fn z(p: f64) -> f64 {
    const MOST: f64 = 8.0;
    if p <= 0.0 {
        MOST
    } else if p >= 1.0 {
        -MOST
    } else {
        Normal::ppf(1.0 - p, 0.0, 1.0).clamp(-MOST, MOST)
    }
}

/// Looks at 2, 4 and 8 pairs, each with the part of `alpha` that it spends (1 : 4 : 10). The union
/// bound keeps the whole at `alpha`, whatever the looks have to do with each other.
#[must_use]
pub fn looks(alpha: f64) -> [(u32, f64); 3] {
    const SHARES: [(u32, f64); 3] = [(2, 1.0), (4, 4.0), (8, 10.0)];
    let all: f64 = SHARES.iter().map(|(_, share)| share).sum();
    SHARES.map(|(seeds, share)| (seeds, alpha * share / all))
}

/// Looks at 2, 4, 8, … pairs below `most`, and at `most`, for an effect of unknown size: a large one is
/// found early, and a small one hardly less often than in one look, since the last keeps most of `alpha`.
#[must_use]
pub fn ladder(alpha: f64, most: u32) -> Vec<(u32, f64)> {
    const LAST: f64 = 0.7;
    let rungs = (1..=u32::BITS - 2).map(|step| 1_u32 << step);
    let early: Vec<u32> = rungs.take_while(|seeds| *seeds < most).collect();
    let all: f64 = early.iter().map(|seeds| f64::from(*seeds).powi(2)).sum();
    let spent = if early.is_empty() { 0.0 } else { 1.0 - LAST };
    let level = |seeds: &u32| alpha * spent * f64::from(*seeds).powi(2) / all;
    let early = early.iter().map(|seeds| (*seeds, level(seeds)));
    early.chain([(most, alpha * (1.0 - spent))]).collect()
}

/// Whether looks find an effect of `delta`, where differences have spread `spread`, with fewer pairs
/// on average than `fixed` in one look, and hardly less often. By the usual approximation of the
/// power of a t test: the critical value against a normal of mean `delta`.
#[must_use]
pub fn looks_pay(looks: &[(u32, f64)], spread: f64, delta: f64, fixed: u32) -> bool {
    const POWER_LOST: f64 = 0.02;
    let (mut missed, mut before, mut pairs) = (1.0_f64, 0_u32, 0.0_f64);
    for (seeds, level) in looks {
        pairs += missed * f64::from(seeds - before);
        before = *seeds;
        missed = missed.min(1.0 - power(*level, spread, delta, *seeds));
    }
    missed <= 1.0 - POWER + POWER_LOST && pairs < f64::from(fixed)
}

/// Probability that a paired t test of `n` differences at one-sided `level` finds an effect of `delta`.
fn power(level: f64, spread: f64, delta: f64, n: u32) -> f64 {
    if delta <= 0.0 || n < 2 {
        return 0.0;
    }
    if spread <= 0.0 {
        return 1.0;
    }
    let critical = student::quantile(1.0 - level, f64::from(n) - 1.0);
    Normal::cdf(delta * f64::from(n).sqrt() / spread - critical, 0.0, 1.0)
}

/// P values adjusted for each other's company, in the order given: the smallest false discovery rate
/// at which each would be called a discovery (Benjamini and Hochberg 1995).
#[must_use]
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*b].total_cmp(&p[*a]));
    let mut adjusted = vec![1.0; p.len()];
    let mut least: f64 = 1.0;
    for (above, at) in order.into_iter().enumerate() {
        let rank = (p.len() - above) as f64;
        least = least.min(p[at] * p.len() as f64 / rank);
        adjusted[at] = least;
    }
    adjusted
}

/// A number with four significant digits, as people compare them: neither `0.0000` for a small
/// difference nor `-0`.
#[must_use]
pub fn figure(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e6).contains(&size) {
        return format!("{value:.3e}");
    }
    let digits = 3 - size.log10().floor() as i32;
    format!(
        "{value:.*}",
        usize::try_from(digits.max(0)).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_screen_drops_is_not_decidable() {
        let alone = smallest_effect(0.01, 1.0, 0.5, 32);
        let screened = smallest_screened(0.01, 1.0, 0.5, 32, 0.5);
        // 32 seeds find 0.66 sigma, which one seed shows more than half a sigma of in six of ten cases.
        assert!((0.64..0.68).contains(&alone), "{alone}");
        assert!((1.75..1.85).contains(&screened), "{screened}");
        let few = smallest_screened(0.01, 1.0, 0.5, 2, 0.5);
        let two = smallest_effect(0.01, 1.0, 0.5, 2);
        assert!(
            (few / two - 1.0).abs() < 0.02,
            "two seeds are the narrower gate"
        );
        assert_eq!(smallest_screened(0.01, 0.0, 0.5, 8, 0.0), 0.0);
    }

    #[test]
    fn whatever_is_printed_the_log_can_hold_it() {
        let wild = [f64::MAX, f64::MIN, 1e308, 0.0];
        let calm = [1.0, 2.0, 3.0, 4.0];
        for tested in [
            paired(&wild, 0.0, 0.0),
            unpaired(&wild, &calm, 0.0, 0.0),
            unpaired(&calm, &wild, 0.0, 0.0),
            paired(&[f64::INFINITY, f64::INFINITY], 0.0, 0.0),
        ] {
            let text = serde_json::to_string(&tested.ci).expect("numbers");
            assert!(!text.contains("null"), "{tested:?}");
            assert!(tested.effect.is_finite() && tested.p >= 0.01, "{tested:?}");
        }
    }

    #[test]
    fn figures_are_short_and_say_something() {
        for (value, text) in [
            (-0.0, "0"),
            (0.025_43, "0.02543"),
            (-0.631_81, "-0.6318"),
            (4.019_9, "4.020"),
            (73_531_538.0, "7.353e7"),
            (0.000_002_2, "2.200e-6"),
        ] {
            assert_eq!(figure(value), text);
        }
    }

    #[test]
    fn agrees_with_published_values() {
        // Student's sleep data (1908), group 2 minus group 1: t = 4.0621, df = 9, two-sided
        // p = 0.002833.
        let differences = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];
        let tested = paired(&differences, 0.0, 0.0);
        assert!((tested.p - 0.002_833 / 2.0).abs() < 1e-5, "{tested:?}");
        assert!((tested.ci[0] - 0.700_1).abs() < 1e-3 && (tested.ci[1] - 2.459_9).abs() < 1e-3);
        // The same data unpaired and pooled: t = 1.8608, df = 18, two-sided p = 0.07919.
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let tested = unpaired(&first, &second, 0.0, 0.0);
        assert!((tested.p - 0.079_19 / 2.0).abs() < 1e-4, "{tested:?}");
    }

    #[test]
    fn says_nothing_of_one_pair_and_everything_of_no_spread() {
        assert!(paired(&[1.0], 0.0, 0.0).p >= 1.0);
        assert!(
            paired(&[0.0, 0.0, 0.0], 0.0, 0.0).p >= 1.0,
            "exactly nothing is no improvement"
        );
        assert!(
            paired(&[0.0, 0.0, 0.0], 0.1, 0.0).p <= 0.0,
            "and it is no regression"
        );
    }

    /// SplitMix64 and Box-Muller: seeded noise, the same on every machine.
    struct Noise(u64);

    impl Noise {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }

        fn normal(&mut self) -> f64 {
            let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
            radius * (std::f64::consts::TAU * self.uniform()).cos()
        }

        fn sample(&mut self, n: usize, mean: f64) -> Vec<f64> {
            (0..n).map(|_| mean + self.normal()).collect()
        }
    }

    /// Share of `rounds` in which something is found.
    fn found(rounds: u32, mut round: impl FnMut(&mut Noise) -> bool) -> f64 {
        let mut noise = Noise(20_260_213);
        let hits = (0..rounds).filter(|_| round(&mut noise)).count();
        hits as f64 / f64::from(rounds)
    }

    fn by_looks(looks: &[(u32, f64)], differences: &[f64]) -> bool {
        looks
            .iter()
            .any(|(n, level)| paired(&differences[..*n as usize], 0.0, 0.0).p < *level)
    }

    #[test]
    fn nothing_is_found_where_nothing_is_no_oftener_than_the_level_says() {
        let alpha = 0.05;
        // Three standard errors of 4,000 rounds.
        let most = alpha + 3.0 * (alpha * (1.0 - alpha) / 4000.0_f64).sqrt();
        for n in [2, 4, 8] {
            let rate = found(4000, |noise| {
                paired(&noise.sample(n, 0.0), 0.0, 0.0).p < alpha
            });
            assert!(rate <= most && rate > 0.03, "paired, {n}: {rate}");
            let rate = found(4000, |noise| {
                unpaired(&noise.sample(n, 0.0), &noise.sample(n, 0.0), 0.0, 0.0).p < alpha
            });
            assert!(rate <= most, "unpaired, {n}: {rate}");
        }
        let three = looks(alpha);
        let rate = found(4000, |noise| by_looks(&three, &noise.sample(8, 0.0)));
        assert!(rate <= most, "three looks: {rate}");
        let five = ladder(alpha, 28);
        let rate = found(4000, |noise| by_looks(&five, &noise.sample(28, 0.0)));
        assert!(rate <= most, "five looks: {rate}");
        let naive = found(4000, |noise| {
            let differences = noise.sample(16, 0.0);
            (3..=16).any(|n| paired(&differences[..n], 0.0, 0.0).p < alpha)
        });
        assert!(naive > 2.0 * alpha, "peeking without a price: {naive}");
        let rate = found(4000, |noise| {
            let known = Sample::of(&noise.sample(4, 5.0));
            known_spread(&noise.sample(2, 0.0), known, 0.0, 0.0).p < alpha
        });
        assert!(rate <= most, "a refresh: {rate}");
        // An effect of exactly minus the margin is a regression.
        let rate = found(4000, |noise| {
            paired(&noise.sample(6, -0.5), 0.5, 0.0).p < alpha
        });
        assert!(rate <= most, "no_worse: {rate}");
    }

    #[test]
    fn what_is_planned_for_is_found_nine_times_in_ten() {
        let alpha = 0.01;
        for delta in [0.8, 1.2, 2.0] {
            // Differences of spread one: sigma of one at a correlation of one half.
            let n = seeds_needed(alpha, 1.0, 0.5, delta) as usize;
            let rate = found(2000, |noise| {
                paired(&noise.sample(n, delta), 0.0, 0.0).p < alpha
            });
            assert!(rate > 0.8, "{delta} with {n}: {rate}");
            let back = smallest_effect(alpha, 1.0, 0.5, u32::try_from(n).expect("few"));
            assert!(back <= delta, "{back} and {delta}");
        }
        assert!(
            looks_pay(&looks(alpha), 0.0, 1.0, 4),
            "without noise two pairs do"
        );
        assert!(looks_pay(&looks(alpha), 1.0, 1.6, 9));
        assert!(!looks_pay(&looks(alpha), 1.0, 0.5, 32), "eight are too few");
        assert!(!looks_pay(&looks(alpha), 1.0, 3.0, 4), "no fewer than four");
    }

    #[test]
    fn a_ladder_finds_the_large_early_and_the_small_in_the_end() {
        let alpha = 0.01;
        assert_eq!(ladder(alpha, 2), [(2, alpha)]);
        let n = seeds_needed(alpha, 1.0, 0.5, 1.0);
        let rungs = ladder(alpha, n);
        let seeds: Vec<u32> = rungs.iter().map(|(seeds, _)| *seeds).collect();
        assert_eq!(seeds, [2, 4, 8, 16]);
        let spent: f64 = rungs.iter().map(|(_, level)| level).sum();
        assert!((spent - alpha).abs() < 1e-12, "{spent}");
        let small = found(2000, |noise| by_looks(&rungs, &noise.sample(16, 1.0)));
        assert!(small > 0.85, "one standard deviation: {small}");
        let large = found(2000, |noise| by_looks(&rungs[..3], &noise.sample(8, 3.0)));
        assert!(large > 0.95, "three, with half of the pairs: {large}");
    }

    #[test]
    fn what_was_rounded_alike_is_no_proof() {
        assert_eq!(resolution(&[0.87, 0.9]), 0.01);
        assert_eq!(resolution(&[3.3787, 12.0, f64::NAN]), 0.0001);
        assert_eq!(resolution(&[1200.0, 1.3e5]), 1.0);
        assert_eq!(resolution(&[2.5e-7, 0.0]), 1e-8);
        assert_eq!(resolution(&[]), 0.0);
        // Nothing but noise, written to two places, of which it moves the last.
        let rounded = |noise: &mut Noise| -> Vec<f64> {
            let values = noise.sample(4, 0.0).into_iter();
            values.map(|it| (0.6 * it).round() * 0.01).collect()
        };
        let rate = |resolution: f64| {
            let rungs = looks(0.01);
            found(4000, |noise| {
                let differences = rounded(noise);
                let small = rungs.iter().take(2);
                small.clone().any(|(n, level)| {
                    paired(&differences[..*n as usize], 0.0, resolution).p < *level
                })
            })
        };
        assert!(rate(0.0) > 0.03, "{}", rate(0.0));
        assert!(rate(0.01) < 0.005, "{}", rate(0.01));
        // The same to the last digit, everywhere, is the same.
        assert_eq!(paired(&[0.0, 0.0], 1e-9, 0.01).p, 0.0);
        // A large effect without noise needs no more than before.
        assert!(paired(&[0.25, 0.25], 0.0, 1e-5).p < 1e-4);
        assert!(unpaired(&[1.0, 1.0], &[1.25, 1.25], 0.0, 1e-5).p < 1e-4);
        assert!(unpaired(&[0.5, 0.5], &[0.6, 0.6], 0.0, 0.1).p > 0.03);
    }

    #[test]
    fn adjusts_like_r() {
        // R 4.3: p.adjust(c(0.01, 0.04, 0.03, 0.005, 0.5), "BH")
        let adjusted = benjamini_hochberg(&[0.01, 0.04, 0.03, 0.005, 0.5]);
        let wanted = [0.025, 0.05, 0.05, 0.025, 0.5];
        for (found, wanted) in adjusted.iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-12, "{adjusted:?}");
        }
        assert!(benjamini_hochberg(&[]).is_empty());
    }

    #[test]
    fn plans_like_the_textbook() {
        // alpha .01, power .9, effect of one sigma, unpaired: 27 seeds, plus one for t.
        assert_eq!(seeds_needed(0.01, 1.0, 0.0, 1.0), 28);
        // Paired, differences of spread 0.447: the exact power of 5 is .82, of 6 it is .94.
        assert_eq!(seeds_needed(0.01, 1.0, 0.9, 1.0), 6);
        // A margin of two thirds of sigma, as in nanochat's softcap: 58 by the normal formula, plus t.
        assert_eq!(seeds_needed(0.01, 0.0015, 0.0, 0.001), 60);
        assert_eq!(seeds_needed(0.01, 0.0, 0.5, 1.0), 2);
        assert_eq!(seeds_needed(0.01, 1.0, 0.0, 0.0), u32::MAX);
    }
}
