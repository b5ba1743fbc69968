//! Scripted organisations for the task whose truth is known: how each comes to a claim.
//!
//! Owns four habits of which each is better than the one before for a reason that can be named, so that
//! their order is known before anything is measured: *random* claims whatever it draws; *greedy* thinks of
//! several things, tries the one that sounds best once and claims it if that looked better; *careful*
//! thinks the FLOPs through as well and leaves the trying to the lab; *reviewed* asks somebody else first.
//! All pass the lab's gate, since nothing in `org` goes past it. Must not know how a claim is judged.

use super::{IDEAS, Kind, PARTS, Settings, idea, normal, uniform};

/// Ideas that are weighed for one claim by whoever thinks, at most.
const WEIGHED: u32 = 8;
/// Spread of a hunch about an idea, in sigmas of the loss: what it sounds like is what it would do on one
/// seed at whatever FLOPs, give or take.
const HUNCH: f64 = 4.0;
/// US dollars of thinking about one idea.
const THOUGHT_USD: f64 = 0.05;
/// Seconds that it takes.
const THOUGHT_S: f64 = 10.0;
/// More FLOPs than this times the baseline's are seen by whoever thinks them through.
const SEEN: f64 = 1.02;

/// A scripted organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Claims whatever it draws: random search.
    Random,
    /// Keeps what looked better once.
    Greedy,
    /// Thinks before it claims.
    Careful,
    /// The same, and a second opinion before anything is claimed.
    Reviewed,
}

/// What is to be claimed.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The change, on top of the champion.
    pub settings: Settings,
    /// In a line.
    pub title: String,
    /// Whether it is tried once first, and claimed only where that looked better than the baseline.
    pub look: bool,
    /// Its size as predicted, in sigmas.
    pub sigmas: f64,
    /// US dollars that went into it.
    pub usd: f64,
    /// Seconds likewise.
    pub seconds: f64,
}

impl Policy {
    /// All of them; each makes more of a GPU-hour than the one before.
    pub const ALL: [Self; 4] = [Self::Random, Self::Greedy, Self::Careful, Self::Reviewed];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Greedy => "greedy",
            Self::Careful => "careful",
            Self::Reviewed => "reviewed",
        }
    }

    /// The policy of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.name() == name)
    }

    /// Its proposal number `count` on top of a champion; `world` is the repeat, in which all of them meet
    /// the same ideas in the same order.
    #[must_use]
    pub fn propose(self, world: u64, count: u64, champion: &Settings) -> Proposal {
        let weighed = match self {
            Self::Random => 1,
            Self::Greedy => 3,
            Self::Careful | Self::Reviewed => WEIGHED,
        };
        let best = (0..weighed)
            .map(|at| self.weigh(world, count * u64::from(WEIGHED) + u64::from(at), champion))
            .max_by(|a, b| a.2.total_cmp(&b.2));
        let (part, number, sounds) = best.unwrap_or((0, 1, 0.0));
        let thoughts = match self {
            Self::Random => 0.0,
            Self::Greedy => f64::from(weighed),
            Self::Careful => 2.0 * f64::from(weighed),
            Self::Reviewed => 3.0 * f64::from(weighed),
        };
        Proposal {
            settings: champion.clone().with(part, number),
            title: format!("idea {number} for {}", PARTS[part]),
            look: self == Self::Greedy,
            sigmas: sounds.clamp(1.0, 5.0),
            usd: thoughts * THOUGHT_USD,
            seconds: thoughts * THOUGHT_S,
        }
    }

    /// An idea, and what it sounds like in sigmas.
    fn weigh(self, world: u64, at: u64, champion: &Settings) -> (usize, u32, f64) {
        let draw = format!("world {world} draw {at}");
        let part = (uniform(&format!("{draw} part")) * PARTS.len() as f64) as usize;
        let number = 1 + (uniform(&format!("{draw} number")) * f64::from(IDEAS)) as u32;
        // What stands in its place already would be lost, and the ledger says what that is worth.
        let lost = idea(PARTS[part], champion.of(part)).effect;
        let idea = idea(PARTS[part], number);
        let hunch = |who: &str| idea.effect + HUNCH * normal(&format!("{draw} {who}"));
        let sounds = match self {
            Self::Random => 0.0,
            Self::Greedy => hunch("author"),
            // What takes more FLOPs is not even weighed.
            Self::Careful | Self::Reviewed if idea.cost > SEEN => f64::MIN,
            Self::Careful => hunch("author") - lost,
            Self::Reviewed => f64::midpoint(hunch("author"), hunch("sceptic")) - lost,
        };
        debug_assert!(idea.kind != Kind::None, "ideas are numbered from one");
        (part, number, sounds)
    }
}
