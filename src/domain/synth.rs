//! A task whose truth is known: what `examples/synth` computes, as pure values.
//!
//! Owns the world of that example: settings, the loss that is true of them, the noise that a seed adds,
//! and what each idea is worth. The files beside the example's chart are what organisations see and what
//! the lab measures by; this is the same arithmetic, number by number, for whoever asks thousands of
//! times or wants to know whether a promotion was true. Must not know who asks.

pub mod play;
pub mod policy;

use std::fmt::Write as _;

/// The file by which the example is known, as it is there.
pub const WORLD: (&str, &str) = (
    "world.awk",
    include_str!("../../examples/synth/repo/world.awk"),
);
/// The file that describes a method.
pub const SETTINGS: &str = "settings.txt";
/// The modulus of the example's chance, a prime.
const M: u64 = 2_147_483_647;
/// Spread of the loss from seed to seed.
pub const SIGMA: f64 = 0.02;
/// Part of its variance that a seed gives to every method alike.
const SHARED: f64 = 0.75;
/// The parts of a method, each of which takes an idea by number.
pub const PARTS: [&str; 8] = [
    "optimiser",
    "schedule",
    "init",
    "attention",
    "mlp",
    "norm",
    "data",
    "embedding",
];
/// The other settings, each with its value at the start.
const PLAIN: [(&str, f64); 9] = [
    ("lr", 0.01),
    ("warmup", 0.0),
    ("clip", 1.0),
    ("dropout", 0.0),
    ("width", 64.0),
    ("steps", 100.0),
    ("memorise", 0.0),
    ("luck", 0.0),
    ("wait", 0.0),
];
/// Ideas of a part are numbered from 1 to this.
pub const IDEAS: u32 = 9_999;

/// What an idea is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No idea.
    None,
    /// Better.
    Real,
    /// Neither better nor worse.
    Null,
    /// Worse.
    Harmful,
    /// Better for more FLOPs, by less than the same FLOPs would buy otherwise.
    Budget,
    /// Ignores its seed, and always has the same good draw.
    Lucky,
    /// Does not run.
    Broken,
}

/// What is true of an idea.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Idea {
    /// Its kind.
    pub kind: Kind,
    /// Its effect on the loss in sigmas, positive is better.
    pub effect: f64,
    /// How many times the FLOPs it takes.
    pub cost: f64,
}

/// A method: what settings.txt says.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    ideas: [u32; 8],
    plain: [f64; 9],
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ideas: [0; 8],
            plain: PLAIN.map(|(_, value)| value),
        }
    }
}

/// What a run of a method gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Given {
    /// The loss, as the lab measures it.
    pub loss: f64,
    /// Floating-point operations.
    pub flops: f64,
}

/// A number of 31 bits that is a function of a text.
fn hash(text: &str) -> u64 {
    let mut h = 7_u64;
    for byte in text.bytes() {
        let code = if (32..127).contains(&byte) { byte } else { 0 };
        h = (h * 131 + u64::from(code)) % M;
    }
    for _ in 0..4 {
        let square = h * h % M;
        h = (square * square % M * h + 1_013_904_223) % M;
    }
    h
}

/// Between 0 and 1, a function of a text.
#[must_use]
pub fn uniform(text: &str) -> f64 {
    (hash(text) as f64 + 0.5) / M as f64
}

/// A standard normal number, a function of a text (Box and Muller 1958).
#[must_use]
pub fn normal(text: &str) -> f64 {
    let radius = (-2.0 * uniform(&format!("{text} r")).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(&format!("{text} a"))).cos()
}

fn exponential(text: &str) -> f64 {
    -uniform(text).ln()
}

/// What is true of an idea for a part.
#[must_use]
pub fn idea(part: &str, number: u32) -> Idea {
    let of = |kind, effect, cost| Idea { kind, effect, cost };
    if number == 0 {
        return of(Kind::None, 0.0, 1.0);
    }
    let name = format!("{part} {number}");
    let size = || 0.3 + 1.2 * exponential(&format!("{name} size"));
    match uniform(&format!("{name} kind")) {
        u if u < 0.12 => of(Kind::Real, size(), 1.0),
        u if u < 0.72 => of(Kind::Null, 0.0, 1.0),
        u if u < 0.90 => of(Kind::Harmful, -size(), 1.0),
        u if u < 0.96 => {
            let cost = 1.3 + 1.7 * uniform(&format!("{name} cost"));
            of(Kind::Budget, 5.0 * cost.ln(), cost)
        }
        u if u < 0.98 => of(Kind::Lucky, 0.0, 1.0),
        _ => of(Kind::Broken, 0.0, 1.0),
    }
}

/// A number as POSIX awk writes it.
fn written(value: f64) -> String {
    if value.fract() == 0.0 {
        return format!("{value:.0}");
    }
    let digits = (5 - value.abs().log10().floor() as i32).max(0) as usize;
    let text = format!("{value:.digits$}");
    text.trim_end_matches('0').to_owned()
}

impl Settings {
    /// What a settings.txt says; none where it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut settings = Self::default();
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, value) = line.split_once('=')?;
            let (name, value) = (name.trim(), value.trim().parse::<f64>().ok()?);
            if let Some(at) = PARTS.iter().position(|part| *part == name) {
                let whole = value.fract() == 0.0 && (0.0..=f64::from(IDEAS)).contains(&value);
                settings.ideas[at] = whole.then_some(value as u32)?;
            } else {
                let at = PLAIN.iter().position(|(plain, _)| *plain == name)?;
                settings.plain[at] = value;
            }
        }
        Some(settings)
    }

    /// The same with an idea in a part's place.
    #[must_use]
    pub fn with(mut self, part: usize, number: u32) -> Self {
        self.ideas[part] = number;
        self
    }

    /// The number of a part's idea.
    #[must_use]
    pub fn of(&self, part: usize) -> u32 {
        self.ideas[part]
    }

    fn plain(&self, name: &str) -> f64 {
        let at = PLAIN.iter().position(|(plain, _)| *plain == name);
        at.map_or(0.0, |at| self.plain[at])
    }

    /// The method as one text, which its own part of the noise hangs on.
    #[must_use]
    pub fn method(&self) -> String {
        let ideas = PARTS.iter().zip(self.ideas.map(f64::from));
        let plain = PLAIN.iter().map(|(name, _)| name).zip(self.plain);
        ideas
            .chain(plain)
            .fold(String::new(), |mut text, (name, value)| {
                writeln!(text, "{name} = {}", written(value)).expect("a string takes everything");
                text
            })
    }

    /// The ideas that are in it.
    fn ideas(&self) -> impl Iterator<Item = Idea> + '_ {
        PARTS.iter().zip(self.ideas).map(|(part, n)| idea(part, n))
    }

    /// The loss without noise, whatever FLOPs it took: what the lab would measure on endless seeds. None
    /// of a method that does not run.
    #[must_use]
    pub fn true_loss(&self) -> Option<f64> {
        let square_of_log = |ratio: f64| ratio.ln() * ratio.ln();
        let warmup = self.plain("warmup") - 10.0;
        let plain = 4.0
            + 0.0416 * (square_of_log(self.plain("lr") / 0.04) - square_of_log(0.25))
            + 0.016 * (warmup * warmup / 100.0 - 1.0)
            + self.plain("dropout")
            - 0.12 * (self.plain("width") / 64.0).ln()
            - 0.2 * (self.plain("steps") / 100.0).ln();
        let mut loss = plain;
        for idea in self.ideas() {
            if idea.kind == Kind::Broken {
                return None;
            }
            loss -= SIGMA * idea.effect;
        }
        Some(loss)
    }

    /// Floating-point operations of a run.
    #[must_use]
    pub fn flops(&self) -> f64 {
        let cost: f64 = self.ideas().map(|idea| idea.cost).product();
        (6000.0 * self.plain("width") * self.plain("steps") * cost).round()
    }

    /// Whether it has the same luck on every seed.
    #[must_use]
    pub fn is_lucky(&self) -> bool {
        self.plain("luck") > 0.0 || self.ideas().any(|idea| idea.kind == Kind::Lucky)
    }

    /// What a run on a seed gives; none where it does not run.
    #[must_use]
    pub fn run(&self, seed: u64) -> Option<Given> {
        let loss = self.true_loss()?
            + if self.is_lucky() {
                -2.0 * SIGMA
            } else {
                let (all, own) = (
                    normal(&format!("seed {seed}")),
                    normal(&format!("seed {seed} of {}", self.method())),
                );
                SIGMA * (SHARED.sqrt() * all + (1.0 - SHARED).sqrt() * own)
            };
        Some(Given {
            // As it is printed.
            loss: (loss * 1e6).round() / 1e6,
            flops: self.flops(),
        })
    }

    /// Whether a promotion of another method in this one's place was wrong: what takes other FLOPs or does
    /// not run is no improvement, and what may be worse by a margin is wrong beyond it.
    #[must_use]
    pub fn wrongly(&self, promoted: &Self, margin: Option<f64>, tolerance: f64) -> bool {
        /// What is nothing but rounding.
        const ROUNDING: f64 = 1e-9;
        let gain = self.gain_to(promoted, tolerance);
        gain.is_none_or(|gain| match margin {
            None => gain <= ROUNDING,
            Some(margin) => gain < -margin - ROUNDING,
        })
    }

    /// How much better another method is, in the loss's unit, where both take the same FLOPs within a
    /// tolerance; none where they do not, or one does not run: then no gain is true.
    #[must_use]
    pub fn gain_to(&self, other: &Self, tolerance: f64) -> Option<f64> {
        let alike = (other.flops() / self.flops() - 1.0).abs() <= tolerance;
        let gain = self.true_loss()? - other.true_loss()?;
        alike.then_some(gain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the example's awk prints them.
    const BASE_7: f64 = 4.001_875;
    const OTHER_12: (f64, f64) = (3.800_041, 102_747_853.0);
    const LISTED: [(&str, u32, Kind, f64, f64); 6] = [
        ("optimiser", 1, Kind::Null, 0.0, 1.0),
        ("mlp", 1, Kind::Harmful, -0.540_003, 1.0),
        ("embedding", 1, Kind::Real, 0.506_642, 1.0),
        ("norm", 2, Kind::Lucky, 0.0, 1.0),
        ("mlp", 3, Kind::Budget, 4.921_103, 2.675_725),
        ("schedule", 10, Kind::Broken, 0.0, 1.0),
    ];

    #[test]
    fn is_the_example_number_by_number() {
        // ORG_SEED=7 ORG_OUT=. sh evaluate.sh, in a copy of examples/synth/repo with truth.awk.
        let base = Settings::default();
        let given = base.run(7).expect("runs");
        assert_eq!((given.loss, given.flops), (BASE_7, 38_400_000.0));
        let text = "mlp = 3\nlr = 0.04\n# a word\n\nwarmup = 2.5\n";
        let other = Settings::parse(text).expect("settings");
        let given = other.run(12).expect("runs");
        assert_eq!((given.loss, given.flops), OTHER_12);
        // awk -f repo/world.awk -f truth.awk -v list=…: number, part, idea, kind, effect, FLOPs.
        for (part, number, kind, effect, cost) in LISTED {
            let found = idea(part, number);
            assert_eq!(found.kind, kind, "{part} {number}");
            assert!((found.effect - effect).abs() < 1e-6, "{found:?}");
            assert!((found.cost - cost).abs() < 1e-6, "{found:?}");
        }
    }

    #[test]
    fn has_the_shares_and_the_noise_that_it_states() {
        let mut real = 0;
        for number in 1..=1250 {
            real += PARTS
                .iter()
                .filter(|part| idea(part, number).kind == Kind::Real)
                .count();
        }
        assert_eq!(real, 1142, "of 10,000, as the example's README counts");
        let losses: Vec<f64> = (0..2000)
            .filter_map(|seed| Some(Settings::default().run(seed)?.loss))
            .collect();
        let sample = crate::domain::stats::Sample::of(&losses);
        assert!((sample.sd / SIGMA - 1.0).abs() < 0.06, "{sample:?}");
        assert!((sample.mean - 4.0).abs() < 0.002, "{sample:?}");
    }

    #[test]
    fn a_gain_that_was_bought_is_none() {
        let base = Settings::default();
        let better = Settings::parse("lr = 0.04").expect("settings");
        assert!((base.gain_to(&better, 0.02).expect("alike") / SIGMA - 4.0).abs() < 0.01);
        let wider = Settings::parse("width = 128").expect("settings");
        assert_eq!(base.gain_to(&wider, 0.02), None);
        assert!(base.wrongly(&wider, None, 0.02) && !base.wrongly(&better, None, 0.02));
        let same = Settings::parse("clip = 0.5").expect("settings");
        assert!(base.wrongly(&same, None, 0.02) && !base.wrongly(&same, Some(SIGMA), 0.02));
        assert!(
            Settings::parse("width = wide").is_none() && Settings::parse("mlp = 1.5").is_none()
        );
    }
}
