//! How a run stands: `org status`.
//!
//! Owns the object that scripts read, whose names are fixed, and its text. What has to be observed
//! (who lives, what the disk holds) is an argument. Must not know how it was observed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::figure;
use super::notice::{self, Notice};
use crate::domain::chart::{Agent, Chart};
use crate::domain::event::{Gpu, RunStatus, Status as Claimed};
use crate::domain::state::{AgentState, Assignment, Outage, State};
use crate::domain::{budget, lease, needs, price, protocol, session, standing};

/// What was observed beside the log.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The run's directory.
    pub dir: String,
    /// Whether the supervisor's lock is held.
    pub supervisor: bool,
    /// Who holds each agent's lock, by name; an agent that is missing could not be asked.
    pub agents: BTreeMap<String, Holder>,
    /// Bytes of the run's directory.
    pub disk_bytes: u64,
}

/// Who holds an agent's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// Somebody, whose pid is known or not.
    Process(Option<u32>),
}

/// A run, as `org status --json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Its id.
    pub run: String,
    /// The org's name.
    pub org: String,
    /// Its directory.
    pub dir: String,
    /// `starting running paused done stopped lost`.
    pub state: &'static str,
    /// Why; may be empty.
    pub reason: String,
    /// When it was created.
    pub started: Option<Timestamp>,
    /// The supervisor.
    pub supervisor: Supervisor,
    /// What the kernel enforces on what agents run, right by right: `enforced` or `not`.
    pub sandbox: BTreeMap<String, &'static str>,
    /// Whether models are mocked.
    pub mock: bool,
    /// The office.
    pub tmux: Option<Tmux>,
    /// In chart order.
    pub agents: Vec<AgentRow>,
    /// How many measured runs.
    pub experiments: Experiments,
    /// How many claims, by status.
    pub hypotheses: BTreeMap<&'static str, u32>,
    /// The last promotion that stands.
    pub best: Option<Best>,
    /// Spent, set aside, and caps.
    pub budget: Budgets,
    /// Servers that do not serve, one entry each, however many agents wait.
    pub outages: Vec<OutageRow>,
    /// What waits for a person, oldest first.
    pub needs_you: Vec<Need>,
    /// Claims that wait for a person's look before their first run, the next to start first.
    pub notices: Vec<Notice>,
    /// What was merged, in order.
    pub promotions: Vec<Promotion>,
    /// The re-measured gain.
    pub headline: Option<HeadlineRow>,
    /// What people did.
    pub interventions: u32,
}

/// The supervisor.
#[derive(Debug, Clone, Serialize)]
pub struct Supervisor {
    /// Whether its lock is held now.
    pub alive: bool,
}

/// The office.
#[derive(Debug, Clone, Serialize)]
pub struct Tmux {
    /// Its socket.
    pub socket: String,
    /// Its session.
    pub session: String,
}

/// An agent.
#[derive(Debug, Clone, Serialize)]
pub struct AgentRow {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// The chart's name for its model's server; none where the chart does not say.
    pub provider: Option<String>,
    /// Its model.
    pub model: String,
    /// Index of its GPU.
    pub gpu: Option<u32>,
    /// One of the words of the contract.
    pub state: &'static str,
    /// Why; may be empty.
    pub reason: String,
    /// When its state last changed.
    pub since: Option<Timestamp>,
    /// Its process, where its lock is held now.
    pub pid: Option<u32>,
    /// Its pane.
    pub pane: Option<String>,
    /// Its branch; none before it has a seat.
    pub branch: Option<String>,
    /// Its worktree, likewise.
    pub worktree: Option<String>,
    /// Turns begun.
    pub turns: u64,
    /// Tokens so far.
    pub tokens: Tokens,
    /// US dollars settled.
    pub usd: f64,
    /// Mail not yet taken in.
    pub unread: usize,
    /// Open tasks that it was given.
    pub tasks: Vec<Task>,
}

/// An open task.
#[derive(Debug, Clone, Serialize)]
pub struct Task {
    /// The letter that gave it.
    pub id: String,
    /// Who gave it.
    pub from: String,
    /// Its first line.
    pub task: String,
    /// Since when.
    pub since: Timestamp,
}

/// Tokens of an agent.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Tokens {
    /// Prompt tokens that no cache had.
    pub input: u64,
    /// Reply tokens.
    pub output: u64,
    /// Prompt tokens from a cache.
    pub cache_read: u64,
    /// Prompt tokens into one.
    pub cache_write: u64,
}

/// How many measured runs.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Experiments {
    /// That wait.
    pub queued: u32,
    /// That run, frozen ones included.
    pub running: u32,
    /// That stand still, as a person wanted.
    pub frozen: u32,
    /// That ended, however.
    pub done: u32,
}

/// The last promotion that stands.
#[derive(Debug, Clone, Serialize)]
pub struct Best {
    /// The metric's mean over its confirmation seeds.
    pub value: f64,
    /// `h3`.
    pub hypothesis: String,
}

/// All budgets.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Budgets {
    /// US dollars.
    pub usd: Spending,
    /// GPU seconds.
    pub gpu_seconds: Spending,
    /// Wall seconds.
    pub wall_seconds: Spending,
    /// Bytes.
    pub disk_bytes: Spending,
}

/// One budget.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spending {
    /// Gone.
    pub spent: f64,
    /// Set aside for what is in flight.
    pub reserved: f64,
    /// At most; none means no cap.
    pub cap: Option<f64>,
}

/// A server that does not serve.
#[derive(Debug, Clone, Serialize)]
pub struct OutageRow {
    /// The chart's name for it.
    pub provider: String,
    /// What is wrong, in a few words.
    pub reason: String,
    /// When that was first seen.
    pub since: Timestamp,
    /// When it is tried again.
    pub until: Timestamp,
    /// Who was stopped by it.
    pub agents: Vec<String>,
}

/// What waits for a person.
#[derive(Debug, Clone, Serialize)]
pub struct Need {
    /// Since when.
    pub since: Timestamp,
    /// The agent that it is about; none where it is about the run.
    pub agent: Option<String>,
    /// Why.
    pub reason: String,
    /// What to type about it.
    pub command: String,
}

/// A merge into the programme.
#[derive(Debug, Clone, Serialize)]
pub struct Promotion {
    /// `h3`.
    pub hypothesis: String,
    /// The champion before.
    pub before: String,
    /// The champion after.
    pub after: String,
    /// The claim, in a line.
    pub title: String,
    /// Its gain as confirmed, positive is better.
    pub effect: Option<f64>,
}

/// The re-measured gain.
#[derive(Debug, Clone, Serialize)]
pub struct HeadlineRow {
    /// The commit the run began with.
    pub from: String,
    /// The champion at its end.
    pub to: String,
    /// Mean gain, positive is better.
    pub effect: Option<f64>,
    /// Its 95 % interval.
    pub ci: Option<[f64; 2]>,
    /// One-sided p.
    pub p: Option<f64>,
    /// Seeds.
    pub n: u32,
}

/// How a run stands now.
#[must_use]
pub fn of(chart: &Chart, state: &State, seen: &Seen, now: Timestamp) -> Status {
    let run = standing::run(chart, state, seen.supervisor);
    let word = |enforced: &bool| if *enforced { "enforced" } else { "not" };
    Status {
        run: state.run.clone(),
        org: state.org.clone(),
        dir: seen.dir.clone(),
        state: run.word,
        reason: run.reason,
        started: state.created,
        supervisor: Supervisor {
            alive: seen.supervisor,
        },
        sandbox: state
            .sandbox
            .iter()
            .map(|(right, enforced)| (right.clone(), word(enforced)))
            .collect(),
        mock: state.mock,
        tmux: state.office.as_ref().map(|office| Tmux {
            socket: office.socket.clone(),
            session: office.session.clone(),
        }),
        agents: chart
            .agents
            .iter()
            .map(|agent| row(chart, state, seen, agent, now))
            .collect(),
        experiments: experiments(state),
        hypotheses: protocol::tally(state),
        best: best(state),
        budget: budgets(chart, state, seen, now),
        outages: outages(state),
        notices: notice::of(chart, state, now),
        needs_you: needs::needs_you(chart, state, now)
            .into_iter()
            .map(|need| Need {
                since: need.since,
                agent: need.agent,
                reason: need.reason,
                command: need.command,
            })
            .collect(),
        promotions: promotions(state),
        headline: state.headline.as_ref().map(|headline| HeadlineRow {
            from: headline.from.clone(),
            to: headline.to.clone(),
            effect: headline.verdict.effect,
            ci: figure::bounded(headline.verdict.ci),
            p: headline.verdict.p,
            n: headline.verdict.candidate.n,
        }),
        interventions: state.interventions,
    }
}

/// What was promoted, in order.
fn promotions(state: &State) -> Vec<Promotion> {
    let of = |(claim, before, after): &(u64, String, String)| {
        let claimed = state.hypotheses.get(claim);
        Promotion {
            hypothesis: format!("h{claim}"),
            before: before.clone(),
            after: after.clone(),
            title: claimed.map(|it| it.title.clone()).unwrap_or_default(),
            effect: claimed.and_then(|it| it.verdict.as_ref()?.effect),
        }
    };
    state.promotions.iter().map(of).collect()
}

fn row(chart: &Chart, state: &State, seen: &Seen, agent: &Agent, now: Timestamp) -> AgentRow {
    let name = agent.name.as_str();
    let holder = seen.agents.get(name).copied();
    let alive = holder.map(|holder| holder != Holder::Nobody);
    let standing = standing::agent(state, name, alive, now);
    let blank = AgentState::default();
    let so_far = state.agents.get(name).unwrap_or(&blank);
    let model = session::model_of(chart, so_far, name).unwrap_or_default();
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    AgentRow {
        name: name.to_owned(),
        role: agent.role.clone(),
        provider: provider(chart, model),
        model: model.to_owned(),
        gpu: so_far.gpu.as_ref().map(|Gpu { index, .. }| *index),
        state: standing.word,
        reason: standing.reason,
        since: so_far.since.or(state.created),
        pid: match holder {
            Some(Holder::Process(pid)) => pid,
            _ => None,
        },
        pane: state
            .office
            .as_ref()
            .and_then(|office| office.panes.get(name).cloned()),
        branch: text(&so_far.branch),
        worktree: text(&so_far.worktree),
        turns: so_far.turns,
        tokens: Tokens {
            input: so_far.usage.input,
            output: so_far.usage.output,
            cache_read: so_far.usage.cache_read,
            cache_write: so_far.usage.cache_write,
        },
        usd: so_far.usd,
        unread: so_far.unread.len(),
        tasks: state.tasks_of(name).map(task).collect(),
    }
}

fn task(task: &Assignment) -> Task {
    Task {
        id: format!("m{}", task.id),
        from: task.from.clone(),
        task: task.task.clone(),
        since: task.at,
    }
}

/// The chart's name for a model's server.
#[must_use]
pub fn provider(chart: &Chart, model: &str) -> Option<String> {
    let described = chart.models.get(model).map(|spec| spec.provider.clone());
    described.or_else(|| Some(price::builtin(model)?.provider.to_owned()))
}

fn outages(state: &State) -> Vec<OutageRow> {
    let certain = state.outages.iter().filter(|(_, it)| it.certain());
    let row = |(provider, outage): (&String, &Outage)| OutageRow {
        provider: provider.clone(),
        reason: standing::plight(&outage.what).to_owned(),
        since: outage.since,
        until: outage.until,
        agents: outage.agents.iter().cloned().collect(),
    };
    certain.map(row).collect()
}

fn experiments(state: &State) -> Experiments {
    let mut counts = Experiments::default();
    for run in state.experiments.values() {
        match run.status {
            RunStatus::Queued => counts.queued += 1,
            RunStatus::Running => {
                counts.running += 1;
                counts.frozen += u32::from(run.frozen);
            }
            _ => counts.done += 1,
        }
    }
    counts
}

fn best(state: &State) -> Option<Best> {
    let standing = |id: &u64| {
        let claim = state.hypotheses.get(id)?;
        (claim.status == Claimed::Promoted).then_some(claim)
    };
    let claim = state
        .promotions
        .iter()
        .rev()
        .find_map(|(id, _, _)| standing(id))?;
    Some(Best {
        value: state.value_of(claim.id)?,
        hypothesis: format!("h{}", claim.id),
    })
}

fn budgets(chart: &Chart, state: &State, seen: &Seen, now: Timestamp) -> Budgets {
    let (usd, usd_reserved) = state.usd();
    let (gpu, gpu_reserved) = lease::gpu_seconds(chart, state);
    let cap = |name: &str, own: Option<f64>| state.caps.get(name).copied().or(own);
    // A stopped run's clock stands still.
    let until = if state.stopped {
        state.at.unwrap_or(now)
    } else {
        now
    };
    let wall = state.created.map_or(0.0, |from| {
        until.duration_since(from).as_secs_f64().max(0.0)
    });
    Budgets {
        usd: Spending {
            spent: usd,
            reserved: usd_reserved,
            cap: budget::usd_cap(chart, state),
        },
        gpu_seconds: Spending {
            spent: gpu,
            reserved: gpu_reserved,
            cap: lease::gpu_cap(chart, state),
        },
        wall_seconds: Spending {
            spent: wall,
            reserved: 0.0,
            cap: budget::wall_cap(chart, state),
        },
        disk_bytes: Spending {
            spent: seen.disk_bytes as f64,
            reserved: 0.0,
            cap: cap("disk", chart.budget.disk.map(|bytes| bytes as f64)),
        },
    }
}
