//! `org wait`: return when something is so.
//!
//! Owns which states can be awaited of a run, an agent, a claim or a measured run, and says at once
//! where one cannot come any more. Must not change anything.

use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::Context;
use super::block_on;
use super::failure::Failure;
use super::place::{self, RunArgs};
use crate::domain::chart::Chart;
use crate::domain::event::Status;
use crate::domain::state::State;
use crate::domain::{decode, needs, standing, suggest};
use crate::os::{clock, lock};
use crate::run::bell::Bell;
use crate::run::log::Log;
use crate::run::paths::RunDir;

/// Between two looks at who lives, which no event tells.
const LOOK: Duration = Duration::from_secs(1);
/// Looks in a row at which a run may be without supervisor before it counts as lost.
const LOST_AFTER: u32 = 15;

/// Wait until something is so
///
/// Exits 0 when it is, 1 when the time is up or it cannot come any more.
#[derive(Debug, Clone, Args)]
pub(super) struct WaitArgs {
    /// A run, or an agent, a claim (h3) or a measured run (e7) of one; the run where it is left out
    #[arg(value_name = "WHO")]
    who: Option<String>,
    #[command(flatten)]
    run: RunArgs,
    /// For what; a run is awaited until done, an agent until idle, the others until they have a result
    #[arg(long = "for", value_name = "STATE")]
    goal: Option<Goal>,
    /// How long at most, as in 90s, 10m or 1h30m; for ever where it is left out
    #[arg(long, value_name = "TIME", value_parser = span)]
    timeout: Option<Duration>,
}

fn span(word: &str) -> Result<Duration, String> {
    let seconds = decode::seconds(word).and_then(|it| Duration::try_from_secs_f64(it).ok());
    seconds.ok_or_else(|| "write a time as in 90s, 10m or 1h30m".to_owned())
}

/// What can be awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Goal {
    /// Nothing is left to do
    Done,
    /// It has ended, as asked
    Stopped,
    /// It works
    Running,
    /// A person paused it
    Paused,
    /// It waits for mail
    Idle,
    /// A measured run or a claim has ended from now on
    Result,
    /// A claim was promoted
    Promoted,
    /// Something needs you
    NeedsYou,
}

impl Goal {
    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Idle => "idle",
            Self::Result => "result",
            Self::Promoted => "promoted",
            Self::NeedsYou => "needs-you",
        }
    }
}

/// Of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    Run,
    Agent(String),
    Claim(u64),
    Experiment(u64),
}

impl Who {
    fn usual(&self) -> Goal {
        match self {
            Self::Run => Goal::Done,
            Self::Agent(_) => Goal::Idle,
            Self::Claim(_) | Self::Experiment(_) => Goal::Result,
        }
    }
}

/// How it stands with what is awaited.
enum Look {
    /// It is so.
    Reached(String),
    /// Not yet, and what is so instead.
    Not(String),
    /// It cannot come any more without a person.
    Never(String),
}

/// Runs the command.
///
/// # Errors
/// Where nobody is called that, the time is up, or it cannot come any more.
pub(super) fn run(context: &Context, args: &WaitArgs) -> Result<(), Failure> {
    let (dir, who) = find(context, args)?;
    let goal = args.goal.unwrap_or_else(|| who.usual());
    let awaited = Awaited {
        chart: place::chart(&dir)?,
        name: args
            .who
            .clone()
            .filter(|_| who != Who::Run)
            .unwrap_or_else(|| dir.id()),
        began: clock::now(),
        dir,
        who,
        goal,
    };
    awaited.possible()?;
    let said = block_on(awaited.wait(args.timeout))?;
    context.ui.out(&format!("{said}\n"))
}

/// What is meant: somebody of a run, or a run.
fn find(context: &Context, args: &WaitArgs) -> Result<(RunDir, Who), Failure> {
    let place = &context.place;
    let Some(name) = args.who.as_deref() else {
        return Ok((place.reading(args.run.name())?, Who::Run));
    };
    let Ok(dir) = place.reading(args.run.name()) else {
        return Ok((place.reading(args.run.name().or(Some(name)))?, Who::Run));
    };
    let chart = place::chart(&dir)?;
    if chart.agent(name).is_some() {
        return Ok((dir, Who::Agent(name.to_owned())));
    }
    let number = |letter: char| name.strip_prefix(letter)?.parse::<u64>().ok();
    if let Some(who) = number('h')
        .map(Who::Claim)
        .or(number('e').map(Who::Experiment))
    {
        return Ok((dir, who));
    }
    if args.run.name().is_none()
        && let Ok(dir) = place.reading(Some(name))
    {
        return Ok((dir, Who::Run));
    }
    let names: Vec<&str> = chart
        .agents
        .iter()
        .map(|agent| agent.name.as_str())
        .collect();
    let near = suggest::nearest(name, names.iter().copied());
    let hint = near.map_or_else(
        || format!("its agents are {}; `org ls` lists runs", names.join(", ")),
        |near| format!("did you mean {near}? `org ls` lists runs"),
    );
    Err(Failure::refused(
        format!(
            "{} has no agent {name:?}, and no run is called that",
            dir.id()
        ),
        hint,
    ))
}

struct Awaited {
    dir: RunDir,
    chart: Chart,
    who: Who,
    name: String,
    goal: Goal,
    began: Timestamp,
}

impl Awaited {
    /// Refuses what cannot be said of such a thing.
    fn possible(&self) -> Result<(), Failure> {
        let goals: &[Goal] = match self.who {
            Who::Run | Who::Agent(_) => Goal::value_variants(),
            Who::Claim(_) => &[Goal::Result, Goal::Done, Goal::Promoted],
            Who::Experiment(_) => &[Goal::Result, Goal::Done],
        };
        if goals.contains(&self.goal) {
            return Ok(());
        }
        let words: Vec<&str> = goals.iter().map(|goal| goal.word()).collect();
        Err(Failure::usage(
            format!("{} is never {}", self.name, self.goal.word()),
            format!("write --for {}", words.join(" | ")),
        ))
    }

    async fn wait(&self, timeout: Option<Duration>) -> Result<String, Failure> {
        let mut log = Log::open(&self.dir)?;
        let mut bell = Bell::on(&[self.dir.events()]);
        let deadline = timeout.map(|limit| clock::monotonic() + limit);
        let mut unseen = 0;
        loop {
            log.catch_up()?;
            log.drain();
            let supervised = place::supervised(&self.dir);
            let so = match self.look(log.state(), supervised) {
                Look::Reached(said) => return Ok(said),
                Look::Never(why) => return Err(self.failed(why)),
                Look::Not(so) => so,
            };
            unseen = if supervised { 0 } else { unseen + 1 };
            // A supervisor that has said so is about to end, and only then the run has stopped.
            if (log.state().stopped && !supervised) || unseen > LOST_AFTER {
                return Err(self.gone(log.state()));
            }
            let left = deadline.map(|at| at.saturating_duration_since(clock::monotonic()));
            if left == Some(Duration::ZERO) {
                return Err(self.failed(format!("the time is up: {so}")));
            }
            let pause = left.map_or(LOOK, |left| left.min(LOOK));
            tokio::time::timeout(pause, bell.wait()).await.ok();
        }
    }

    fn failed(&self, why: String) -> Failure {
        let message = format!("{} is not {}", self.name, self.goal.word());
        let message = match self.goal {
            Goal::Result => format!("{} has no result", self.name),
            Goal::NeedsYou => format!("nothing of {} needs you", self.name),
            Goal::Promoted if self.who == Who::Run => {
                format!("nothing of {} was promoted", self.name)
            }
            _ => message,
        };
        let id = self.dir.id();
        let mut failure = Failure::refused(message, format!("org status --run {id}"));
        failure.causes.push(why);
        failure
    }

    fn gone(&self, state: &State) -> Failure {
        let id = self.dir.id();
        let mut failure = self.failed(if state.stopped {
            format!("{id} was brought down")
        } else {
            format!("{id} is lost: no supervisor lives")
        });
        failure.hint = format!("org up --resume {id}");
        failure
    }

    fn look(&self, state: &State, supervised: bool) -> Look {
        match &self.who {
            Who::Run => self.look_at_run(state, supervised),
            Who::Agent(name) => self.look_at_agent(state, name),
            Who::Claim(id) => self.look_at_claim(state, *id),
            Who::Experiment(id) => match state.experiments.get(id) {
                None => Look::Not(format!("there is no e{id} yet")),
                Some(run) if run.finished_at.is_some() => {
                    Look::Reached(format!("e{id} {}", run.status.word()))
                }
                Some(run) => Look::Not(format!("e{id} is {}", run.status.word())),
            },
        }
    }

    fn look_at_run(&self, state: &State, supervised: bool) -> Look {
        let standing = standing::run(&self.chart, state, supervised);
        let word = if standing.reason.is_empty() {
            standing.word.to_owned()
        } else {
            format!("{}: {}", standing.word, standing.reason)
        };
        let is = |so: bool, said: String| {
            if so {
                Look::Reached(said)
            } else {
                Look::Not(format!("{} is {word}", self.name))
            }
        };
        let name = &self.name;
        let goal = self.goal.word();
        match self.goal {
            Goal::Done => is(
                standing::done(&self.chart, state),
                format!("{name} is done"),
            ),
            Goal::Stopped => is(state.stopped && !supervised, format!("{name} is stopped")),
            Goal::Running | Goal::Paused => is(standing.word == goal, format!("{name} is {goal}")),
            Goal::Idle => {
                let idle = |agent: &String| {
                    matches!(
                        self.agent(state, agent).word,
                        "waiting" | "held" | "stopped"
                    )
                };
                let all =
                    state.agents.len() >= self.chart.agents.len() && state.agents.keys().all(idle);
                is(all, format!("all agents of {name} are idle"))
            }
            Goal::Promoted => match state.promotions.last() {
                Some((id, ..)) => Look::Reached(format!("h{id} was promoted")),
                None => is(false, String::new()),
            },
            Goal::Result => self.result(state, None),
            Goal::NeedsYou => self.need(state, None),
        }
    }

    fn look_at_agent(&self, state: &State, name: &str) -> Look {
        let standing = self.agent(state, name);
        let so = format!("{name} is {}, {}", standing.word, standing.reason);
        let is = |so_it_is: bool| {
            if so_it_is {
                Look::Reached(format!("{name} is {}", self.goal.word()))
            } else if standing.word == "held" {
                Look::Never(so.clone())
            } else {
                Look::Not(so.clone())
            }
        };
        match self.goal {
            Goal::Done => is(state.agents.get(name).is_some_and(|agent| agent.done)),
            Goal::Idle => is(standing.word == "waiting"),
            Goal::Running => is(matches!(standing.word, "thinking" | "tool")),
            Goal::Paused | Goal::Stopped => is(standing.word == self.goal.word()),
            Goal::Promoted => {
                let of = |id: &u64| state.hypotheses.get(id).is_some_and(|it| it.agent == name);
                match state.promotions.iter().find(|(id, ..)| of(id)) {
                    Some((id, ..)) => Look::Reached(format!("h{id} of {name} was promoted")),
                    None => is(false),
                }
            }
            Goal::Result => self.result(state, Some(name)),
            Goal::NeedsYou => self.need(state, Some(name)),
        }
    }

    fn look_at_claim(&self, state: &State, id: u64) -> Look {
        let Some(claim) = state.hypotheses.get(&id) else {
            return Look::Not(format!("there is no h{id} yet"));
        };
        let so = format!("h{id} is {}: {}", claim.status.word(), claim.reason);
        let promoted = claim.status == Status::Promoted;
        match (self.goal, claim.is_final()) {
            (Goal::Promoted, true) if !promoted => Look::Never(so),
            (_, true) => Look::Reached(format!("h{id} {}", claim.status.word())),
            (_, false) => Look::Not(so),
        }
    }

    fn agent(&self, state: &State, name: &str) -> standing::Standing {
        let alive = lock::holder(&self.dir.agent_lock(name)).is_some();
        standing::agent(state, name, Some(alive), clock::now())
    }

    /// The first run or claim, of an agent or of all, that ended after we began to wait.
    fn result(&self, state: &State, agent: Option<&str>) -> Look {
        let of = |who: Option<&str>| agent.is_none() || agent == who;
        let author = |id: Option<u64>| Some(state.hypotheses.get(&id?)?.agent.as_str());
        let runs = state.experiments.values().filter_map(|run| {
            let ended = run.finished_at.filter(|at| *at >= self.began)?;
            let whose = run.agent.as_deref().or_else(|| author(run.hypothesis));
            of(whose).then(|| (ended, format!("e{} {}", run.id, run.status.word())))
        });
        let claims = state.hypotheses.values().filter_map(|claim| {
            let ended = claim.is_final() && claim.since >= self.began;
            let said = format!("h{} {}", claim.id, claim.status.word());
            (ended && of(Some(&claim.agent))).then_some((claim.since, said))
        });
        match runs.chain(claims).min() {
            Some((_, said)) => Look::Reached(said),
            None => Look::Not("nothing has ended since".to_owned()),
        }
    }

    fn need(&self, state: &State, agent: Option<&str>) -> Look {
        let needs = needs::needs_you(&self.chart, state, clock::now());
        let mut needs = needs.into_iter();
        match needs.find(|need| agent.is_none() || need.agent.as_deref() == agent) {
            Some(need) => Look::Reached(format!(
                "{}: {}",
                need.agent.as_deref().unwrap_or(&self.name),
                need.reason
            )),
            None => Look::Not("all is well".to_owned()),
        }
    }
}
