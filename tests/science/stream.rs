//! Thousands of hypotheses of known truth, through the real protocol and through *keep if better once*.
//!
//! The ideas are those of examples/synth, as its truth.awk lists them; the protocol is that of
//! orgs/synth.toml. An author predicts about what is true where there is something, and what would be true of
//! a good idea where there is nothing: nobody claims an effect that she does not believe in.

use std::path::Path;
use std::process::Command;

use org::domain::chart::Chart;
use org::domain::decode::{self, Context};
use org::domain::protocol::{self, Cost, Noise};

use super::Broken;
use super::place::project;
use super::table::say;
use super::world::{End, Method, World, mix, normal, uniform};

/// Spread from seed to seed, and the part of it that a seed gives to all alike: as in world.awk.
pub(crate) const SIGMA: f64 = 0.02;
pub(crate) const SHARED: f64 = 0.75;
/// Hypotheses of one organisation: a night's work.
const NIGHT: usize = 50;
/// From how many sigmas a true effect is large: none of these may be missed.
const LARGE: f64 = 4.0;
/// Share of the decidable ones that must be promoted.
const FOUND: f64 = 0.9;
/// Fewest decidable ones of which a share says something.
const ENOUGH: usize = 30;
/// How far predictions are off, as the spread of a factor's logarithm.
const OFF: f64 = 0.3;
/// What an order of seeds is made of: another one gives another stream.
const STREAM: u64 = 20_260_211;

/// A hypothesis and what is true of it.
#[derive(Debug, Clone)]
pub(crate) struct Idea {
    pub(crate) number: u64,
    pub(crate) kind: String,
    /// In sigmas, positive is better.
    pub(crate) effect: f64,
    /// Times the FLOPs.
    pub(crate) cost: f64,
    /// What its author expects, in sigmas.
    pub(crate) predicts: f64,
}

impl Idea {
    /// Whether it is an improvement at equal FLOPs.
    fn is_true(&self) -> bool {
        self.kind == "real"
    }
}

/// What a rule made of a stream.
#[derive(Debug, Default)]
struct Score {
    kept: usize,
    wrong: usize,
    runs: usize,
    /// Sums of sigmas: what is true of all that was kept.
    gain: f64,
}

impl Score {
    fn count(&mut self, idea: &Idea) {
        self.kept += 1;
        self.wrong += usize::from(!idea.is_true());
        self.gain += if idea.is_true() || idea.kind == "harmful" {
            idea.effect
        } else {
            0.0
        };
    }

    /// Share of false ones among what was kept, per cent.
    fn rate(&self) -> f64 {
        100.0 * self.wrong as f64 / self.kept.max(1) as f64
    }
}

/// Plays the stream; says whether the protocol kept its word.
pub(crate) fn play(count: usize) -> Result<bool, Broken> {
    let chart = chart()?;
    let ideas = ideas(count)?;
    let (mut ours, mut once) = (Score::default(), Score::default());
    let mut ends: Vec<End> = Vec::new();
    let mut stated = 0.0;
    for (night, ideas) in (0..).zip(ideas.chunks(NIGHT)) {
        let mut world = World::new(&chart, mix(STREAM ^ mix(night)))?;
        let came = world.play(ideas)?;
        came.iter()
            .filter(|end| end.promoted)
            .for_each(|end| ours.count(&end.idea));
        ours.runs += world.state.experiments.len();
        ends.extend(came);
        stated = protocol::multiplicity(chart.protocol.alpha, &world.state).rate * 100.0;
        keep_if_better(ideas, night, &mut once);
    }
    let found = found(&chart, &ends);
    say("");
    say(&format!(
        "synth, {count} hypotheses of known truth, {} of them true, in nights of {NIGHT}:",
        ideas.iter().filter(|idea| idea.is_true()).count()
    ));
    line("this protocol", &ours);
    line("keep if better once", &once);
    say(&format!(
        "  of {} large true effects ({LARGE} sigmas and more) {} were promoted; of {} that the plan calls decidable \
         ({:.2} sigmas and more) {}",
        found.large.1, found.large.0, found.decidable.1, found.smallest, found.decidable.0
    ));
    let few = found.decidable.1 < ENOUGH;
    let (got, of) = found.decidable;
    let enough = few || got as f64 >= FOUND * of as f64;
    let all = found.large.0 == found.large.1;
    let honest = ours.rate() <= stated;
    for (good, what) in [
        (all, "a large true effect was not promoted"),
        (
            enough,
            "fewer than nine in ten decidable effects were promoted",
        ),
        (
            honest,
            "more false ones were promoted than the protocol states",
        ),
    ] {
        if !good {
            say(&format!("!! {what}"));
        }
    }
    say(&format!(
        "false discovery rate: {:.1} % (this protocol; it states {stated:.0} % at most)",
        ours.rate()
    ));
    say(&format!(
        "false discovery rate: {:.1} % (keep if better once)",
        once.rate()
    ));
    Ok(all && enough && honest)
}

fn line(name: &str, score: &Score) {
    say(&format!(
        "  {name:<20} kept {:>5}, {:>5} of them false; true gain {:>+8.1} sigmas; {:>7} runs",
        score.kept, score.wrong, score.gain, score.runs
    ));
}

/// How many of the true ones were found.
struct Found {
    large: (usize, usize),
    decidable: (usize, usize),
    smallest: f64,
}

fn found(chart: &Chart, ends: &[End]) -> Found {
    let cost = Cost {
        wall_s: 0.01,
        gpu_s: 0.0,
    };
    let noise = Noise {
        n: chart.protocol.baseline,
        sigma: SIGMA,
        paired: true,
        same_seed: Some(0.0),
        a_a: None,
    };
    let smallest = protocol::prospect(chart, cost, Some(noise)).smallest.sigmas;
    let from = |least: f64| {
        let of = ends
            .iter()
            .filter(|end| end.idea.is_true() && end.idea.effect >= least);
        (of.clone().filter(|end| end.promoted).count(), of.count())
    };
    Found {
        large: from(LARGE),
        decidable: from(smallest),
        smallest,
    }
}

/// What greedy search does: one run each, and whatever had a lower loss than the best so far is built upon.
fn keep_if_better(ideas: &[Idea], night: u64, score: &mut Score) {
    let mut champion = Method {
        cost: 1.0,
        ..Method::default()
    };
    let seed = |at: usize| mix(STREAM ^ mix(night) ^ mix(at as u64 + 1));
    let mut best = champion.loss(seed(0), "start");
    score.runs += 1 + ideas.len();
    for (at, idea) in (1..).zip(ideas) {
        let method = champion.with(idea);
        let loss = method.loss(seed(at), &idea.number.to_string());
        if method.broken || loss >= best {
            continue;
        }
        (champion, best) = (method, loss);
        score.count(idea);
    }
}

/// The chart of the task.
fn chart() -> Result<Chart, Broken> {
    let path = project().join("orgs/synth.toml");
    let context = Context {
        base: Path::new("/orgs"),
        home: None,
        known_models: &[("claude-opus-5-5", "anthropic"), ("gpt-6.2-sol", "openai")],
        frozen: false,
    };
    let decoded = decode::decode(&std::fs::read_to_string(path)?, &context);
    let problems = decoded
        .problems
        .iter()
        .map(|problem| problem.message.clone());
    let problems: Vec<String> = problems.collect();
    decoded.chart.ok_or_else(|| problems.join("; ").into())
}

/// The first ideas, as the task's own truth lists them.
#[expect(clippy::disallowed_methods, reason = "awk says what is true")]
fn ideas(count: usize) -> Result<Vec<Idea>, Broken> {
    let list = format!("list={count}");
    let said = Command::new("awk")
        .args(["-f", "world.awk", "-f", "../truth.awk", "-v", &list])
        .current_dir(project().join("examples/synth/repo"))
        .output()?;
    let text = String::from_utf8(said.stdout)?;
    let ideas: Option<Vec<Idea>> = text.lines().map(idea).collect();
    let ideas = ideas.ok_or("truth.awk lists something else")?;
    if ideas.len() != count {
        return Err(format!("truth.awk lists {} ideas of {count}", ideas.len()).into());
    }
    Ok(ideas)
}

fn idea(line: &str) -> Option<Idea> {
    let mut words = line.split(' ');
    let number: u64 = words.next()?.parse().ok()?;
    let kind = words.nth(2)?.to_owned();
    let effect: f64 = words.next()?.parse().ok()?;
    let cost: f64 = words.next()?.parse().ok()?;
    let believed = if kind == "real" {
        effect
    } else {
        0.3 - 1.2 * uniform(number ^ 0xA11).ln()
    };
    Some(Idea {
        number,
        kind,
        effect,
        cost,
        predicts: believed * (OFF * normal(number ^ 0xB22)).exp(),
    })
}
