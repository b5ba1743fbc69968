//! One agent's process: follow the log, do what the session says is next, end when told to.
//!
//! Owns the loop and nothing of its own: every decision is `session::next`'s on the fold, every side
//! effect stands behind an intent, so a process that is killed anywhere is replaced by one that goes
//! on at the same place. Must not know which provider it has, nor whether the server is a mock.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::domain::chart::Chart;
use crate::domain::chat::{Head, Raw};
use crate::domain::event::{Actor, Kind};
use crate::domain::needs;
use crate::domain::process as society;
use crate::domain::retry;
use crate::domain::session::{self, Next};
use crate::domain::state::{AgentState, State};
use crate::domain::texts::ToolTexts;
use crate::os::lock::Lock;
use crate::os::{clock, exec, process};
use crate::provider;
use crate::repo;
use crate::run::bell::Bell;
use crate::run::frozen;
use crate::run::log::{Log, LogError};
use crate::run::maildir::Maildir;
use crate::run::paths::RunDir;
use crate::tool::{self, Desk, Tool};

use super::keys::KeyRing;
use super::mind::Mind;
use super::words::Words;
use super::{guard, task};

/// Between two looks at a cap of which the rest is set aside for others, where the log stays still.
const SETTLING: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);

/// Why an agent's process cannot go on. Tool failures are not among them: they are results.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The log.
    #[error("the log failed")]
    Log(#[from] LogError),
    /// The frozen chart.
    #[error("the frozen chart cannot be had")]
    Frozen(#[from] frozen::FrozenError),
    /// The file system.
    #[error("cannot {doing}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why not.
        source: io::Error,
    },
    /// The chart has no such agent, or not its model.
    #[error("the chart of this run has no agent {0} with a known model")]
    Unknown(String),
    /// The frozen prompts.
    #[error("the frozen prompts cannot be read: {0}")]
    Prompts(String),
}

impl AgentError {
    pub(super) fn io(doing: &str) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.to_owned();
        move |source| Self::Io { doing, source }
    }
}

/// One agent at work.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) actor: Actor,
    pub(super) chart: Arc<Chart>,
    pub(super) dir: RunDir,
    pub(super) log: Arc<Mutex<Log>>,
    pub(super) bell: Bell,
    pub(super) term: CancellationToken,
    pub(super) texts: Words,
    pub(super) tools: Vec<Box<dyn Tool>>,
    pub(super) desk: Desk,
    pub(super) mind: Mind,
    pub(super) keys: KeyRing,
    pub(super) client: provider::http::Client,
    /// The conversation's wire items by hash, as far as they were needed.
    pub(super) history: Vec<(String, Raw)>,
    /// Whether the rest of a cap is set aside for others' requests in flight.
    pub(super) settling: bool,
    /// Whether the vendor's compaction did not work here.
    pub(super) own_summary: bool,
    /// Whether a tool may have changed the worktree since it was last saved.
    pub(super) touched: bool,
}

/// Runs an agent until it is told to end.
///
/// # Errors
/// Where the world breaks; the supervisor sees the process die.
pub async fn run(
    dir: RunDir,
    name: String,
    clean: BTreeMap<String, String>,
    keys: KeyRing,
) -> Result<(), AgentError> {
    exec::become_session().map_err(AgentError::io("leave the session"))?;
    process::set_undumpable().map_err(AgentError::io("become undumpable"))?;
    // Before the lock: whoever sees it held may ask us to end.
    let mut terminate =
        signal(SignalKind::terminate()).map_err(AgentError::io("listen for signals"))?;
    let lock = Lock::try_take(&dir.agent_lock(&name)).map_err(AgentError::io("lock"))?;
    let Some(_lock) = lock else { return Ok(()) };
    let mut me = Member::open(dir, name, clean.clone(), keys.clone())?;
    let started = Kind::AgentStarted {
        agent: me.name.clone(),
        pid: std::process::id(),
    };
    me.append(vec![started])?;
    let term = me.term.clone();
    let listener = task::start(async move {
        terminate.recv().await;
        term.cancel();
    });
    let guardian = task::start(guard::watch_supervisor(me.dir.clone(), clean, keys));
    let outcome = me.work().await;
    listener.abort();
    guardian.abort();
    outcome.and_then(|()| me.settle())
}

impl Member {
    fn open(
        dir: RunDir,
        name: String,
        env: BTreeMap<String, String>,
        keys: KeyRing,
    ) -> Result<Self, AgentError> {
        let chart = Arc::new(frozen::chart(&dir)?);
        let log = Log::open(&dir)?;
        let agent = chart
            .agent(&name)
            .ok_or_else(|| AgentError::Unknown(name.clone()))?
            .clone();
        let read = |file: &str| {
            std::fs::read_to_string(dir.prompts().join(file))
                .map_err(|error| AgentError::Prompts(format!("{file}: {error}")))
        };
        let texts = Words::of(&dir).map_err(AgentError::Prompts)?;
        let words = ToolTexts::parse(&read("tools.toml")?)
            .map_err(|error| AgentError::Prompts(error.to_string()))?;
        let tools = tool::granted(&society::grants(&chart, &agent));
        let like = Head {
            model: String::new(),
            system: read(&format!("{name}.md"))?,
            tools: tool::specs(&tools, &words),
            effort: None,
            max_output: 0,
            patient: false,
            cache_key: format!("org-{}-{name}", dir.id()),
        };
        let mind = Mind::of(&chart, log.state(), &name, &keys, like)
            .ok_or_else(|| AgentError::Unknown(name.clone()))?;
        let bell = Bell::on(&[dir.events(), Maildir::at(dir.mailbox(&name)).new_dir()]);
        let log = Arc::new(Mutex::new(log));
        let desk = Desk {
            chart: Arc::clone(&chart),
            dir: dir.clone(),
            agent: name.clone(),
            log: Arc::clone(&log),
            env,
            texts: texts.shared(),
        };
        Ok(Self {
            actor: Actor::Agent(name.clone()),
            name,
            chart,
            dir,
            log,
            bell,
            term: CancellationToken::new(),
            texts,
            tools,
            desk,
            mind,
            client: provider::http::Client::behind(keys.detour().clone()),
            keys,
            history: Vec::new(),
            settling: false,
            own_summary: false,
            touched: true,
        })
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn append(&self, kinds: Vec<Kind>) -> Result<(), AgentError> {
        let mut log = self.log();
        log.append(&self.actor, kinds)?;
        log.drain();
        Ok(())
    }

    /// The same for what this agent alone acts on, and only behind an intent or a reservation: it is
    /// on disk with that, or before anything is waited for.
    pub(super) fn append_ahead(&self, kinds: Vec<Kind>) -> Result<(), AgentError> {
        let mut log = self.log();
        log.append_ahead(&self.actor, kinds)?;
        log.drain();
        Ok(())
    }

    /// Has on disk what was appended ahead.
    pub(super) fn settle(&self) -> Result<(), AgentError> {
        Ok(self.log().settle()?)
    }

    /// What is so now, as far as this agent goes.
    pub(super) fn mine(&self) -> AgentState {
        self.log()
            .state()
            .agents
            .get(&self.name)
            .cloned()
            .unwrap_or_default()
    }

    fn catch_up(&self) -> Result<(), AgentError> {
        let mut log = self.log();
        log.catch_up()?;
        log.drain();
        Ok(())
    }

    async fn work(&mut self) -> Result<(), AgentError> {
        loop {
            self.catch_up()?;
            if let Some(reason) = self.must_end() {
                let ended = Kind::AgentEnded {
                    agent: self.name.clone(),
                    reason,
                };
                return self.append(vec![ended]);
            }
            self.make_up_mind();
            let next = session::next(&self.chart, self.log().state(), &self.name);
            if let Next::Ask(at) | Next::Compact(at) = next
                && let Some(until) = self.not_before(at)
            {
                self.wait(Some(until)).await?;
                continue;
            }
            match next {
                Next::Begin(..) if self.has_stood_in() => self.switch(None)?,
                Next::Begin(..) => self.begin()?,
                Next::StandIn(model) => self.switch(Some(model))?,
                Next::Hold(reason) => self.hold(&reason)?,
                Next::Ask(_) if self.asks_nobody() => self.draw()?,
                Next::Ask(_) | Next::Compact(_) if self.mind.lacks_key() => {
                    self.hold(needs::NO_KEY)?;
                }
                Next::Compact(_) => self.compact().await?,
                Next::Ask(_) => self.ask().await?,
                Next::Use => self.use_tools().await?,
                Next::End => self.end_turn(false)?,
                Next::Rest => self.wait(None).await?,
            }
        }
    }

    /// When a request may be made, where that is not now.
    fn not_before(&mut self, own: Option<Timestamp>) -> Option<Timestamp> {
        let now = clock::now();
        let settled = std::mem::take(&mut self.settling).then(|| now + SETTLING);
        // Where the clock was set back, nobody waits a second time for what was waited for already.
        let meant = !retry::set_back(now, self.log().state().at);
        let planned = own.filter(|at| *at > now).max(self.gate());
        let times = [planned.filter(|_| meant), settled];
        times.into_iter().flatten().max()
    }

    /// Why the process must end, if it must.
    fn must_end(&self) -> Option<String> {
        let log = self.log();
        let state = log.state();
        if let Some(why) = &state.down {
            return Some(why.clone());
        }
        if state
            .agents
            .get(&self.name)
            .is_some_and(|agent| agent.restart)
        {
            return Some("restart".to_owned());
        }
        self.term.is_cancelled().then(|| "SIGTERM".to_owned())
    }

    /// Begins a turn with all mail there is, decided under the lock so that none is taken twice.
    fn begin(&mut self) -> Result<(), AgentError> {
        let (chart, name) = (Arc::clone(&self.chart), self.name.clone());
        let decide = |state: &State| -> Result<(Vec<Kind>, Vec<u64>), ()> {
            let Next::Begin(why, mails) = session::next(&chart, state, &name) else {
                return Err(());
            };
            let turn = state.agents.get(&name).map_or(0, |agent| agent.turns) + 1;
            let begun = Kind::TurnStarted {
                agent: name.clone(),
                turn,
                why,
                mails: mails.clone(),
            };
            Ok((vec![begun], mails))
        };
        let taken = self.log().transact(&self.actor, decide)?;
        let mailbox = Maildir::at(self.dir.mailbox(&self.name));
        for id in taken.unwrap_or_default() {
            mailbox.take(id);
        }
        Ok(())
    }

    /// Saves the worktree and closes the turn.
    pub(super) fn end_turn(&mut self, interrupted: bool) -> Result<(), AgentError> {
        let mine = self.mine();
        let mut kinds = Vec::new();
        if self.touched {
            let place = repo::Place {
                repo_git: self.dir.repo_git(),
                agent_git: self.dir.agent_git(&self.name),
                worktree: self.dir.work(&self.name),
                agent: self.name.clone(),
            };
            let message = format!("org: what {} left uncommitted", self.name);
            let saved = repo::snapshot(&place, &message, clock::now().as_second());
            match saved {
                Ok(saved) if mine.commit.as_ref() != Some(&saved.commit) => {
                    kinds.push(Kind::BranchSaved {
                        agent: self.name.clone(),
                        commit: saved.commit,
                    });
                }
                Ok(_) => {}
                // The files are still in the worktree; the next turn tries again.
                Err(error) => tracing::warn!(%error, "the worktree was not saved"),
            }
            self.touched = false;
        }
        let turn = mine.turn.map_or(mine.turns, |turn| turn.turn);
        kinds.push(Kind::TurnEnded {
            agent: self.name.clone(),
            turn,
            interrupted,
        });
        self.append(kinds)
    }

    pub(super) fn hold(&self, reason: &str) -> Result<(), AgentError> {
        let held = Kind::AgentHeld {
            agent: self.name.clone(),
            reason: reason.to_owned(),
            cap: false,
            until: None,
        };
        self.append(vec![held])
    }

    /// Waits for the log, a signal, or a time.
    async fn wait(&mut self, until: Option<Timestamp>) -> Result<(), AgentError> {
        self.settle()?;
        let due = async {
            match until {
                Some(at) => tokio::time::sleep(from_now(at)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.bell.wait() => {}
            () = self.term.cancelled() => {}
            () = due => {}
        }
        Ok(())
    }
}

fn from_now(at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(clock::now())).unwrap_or_default()
}

/// Returns when a person or the supervisor wants the agent's current step stopped: mail that
/// interrupts, its desk taken at once, the run going down, or a restart.
pub(super) async fn interrupted(
    log: &Mutex<Log>,
    bell: &mut Bell,
    term: &CancellationToken,
    name: &str,
) {
    loop {
        {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            // A log that cannot be read stops the loop at its next append, with its error.
            log.catch_up().ok();
            log.drain();
            let state = log.state();
            let restart = state.agents.get(name).is_some_and(|agent| agent.restart);
            if state.down.is_some() || restart || state.is_stopped_by_a_person(name) {
                return;
            }
        }
        tokio::select! {
            () = bell.wait() => {}
            () = term.cancelled() => return,
        }
    }
}
