//! A person at an agent's desk: a shell in its worktree, with its environment, its GPU and its confinement,
//! while the agent begins nothing.
//!
//! Held by a lock, as everything that lives: where it is let go without a word, the supervisor says so and
//! the agent stays paused. What was changed is committed as the person's, and told to the agent. Must not
//! speak to the person: that is `cli`'s.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use crate::domain::chart::Chart;
use crate::domain::event::{Actor, Kind};
use crate::domain::state::{AgentState, LEFT, State};
use crate::domain::texts::Key;
use crate::os::exec::{Exec, Input, Output};
use crate::os::lock::Lock;
use crate::os::{clock, process, sandbox};
use crate::repo::{self, ChangeKind, Place, RepoError};
use crate::run::log::{Decision, Log, LogError};
use crate::run::paths::RunDir;
use crate::tool;

use super::spawn;
use super::supervise::{Report, Supervisor};
use super::words::Words;
use super::{guard, task};

/// Whose commits these are.
const PERSON: &str = "human";
/// How long what a person left running may take to end once it was asked to.
const GRACE: Duration = Duration::from_secs(2);
/// Files that are listed in a letter; a longer list is cut, and the commit has all.
const FILES_TOLD: usize = 100;

/// Why a desk cannot be taken, or left.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// Somebody else sits there.
    #[error("{0} is taken already")]
    Held(String),
    /// The agent has no worktree yet.
    #[error("{0} has no worktree yet")]
    NoSeat(String),
    /// The log.
    #[error("the log failed")]
    Log(#[from] LogError),
    /// Git.
    #[error("the worktree could not be saved")]
    Repo(#[from] RepoError),
    /// The frozen prompts.
    #[error("the frozen prompts cannot be read: {0}")]
    Prompts(String),
    /// The file system, the confinement, or a process.
    #[error("cannot {doing}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why not.
        source: io::Error,
    },
}

fn io(doing: &str) -> impl FnOnce(io::Error) -> TakeError {
    let doing = doing.to_owned();
    move |source| TakeError::Io { doing, source }
}

/// A desk that a person has taken; dropped without [`Desk::leave`] or [`Desk::give_up`] it counts as left.
#[derive(Debug)]
pub struct Desk {
    dir: RunDir,
    agent: String,
    log: Log,
    /// Whether somebody sat here before and went without a word: what lies here is that person's.
    again: bool,
    _lock: Lock,
}

/// What a person changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The commit; none where nothing was changed.
    pub commit: Option<String>,
    /// The files, each with what became of it.
    pub files: Vec<String>,
    /// Processes that were still running and were ended.
    pub ended: usize,
}

/// Takes an agent's desk: from here on it begins nothing, and with `now` it stops what it is at.
///
/// # Errors
/// Where somebody has it, or there is none.
pub fn take(dir: &RunDir, agent: &str, now: bool) -> Result<Desk, TakeError> {
    let lock = Lock::try_take(&dir.take_lock(agent)).map_err(io("lock the desk"))?;
    let Some(lock) = lock else {
        return Err(TakeError::Held(agent.to_owned()));
    };
    let mut log = Log::open(dir)?;
    let decide = |state: &State| -> Decision<bool, ()> {
        let seat = state.agents.get(agent).ok_or(())?;
        if seat.worktree.is_empty() {
            return Err(());
        }
        let agent = agent.to_owned();
        Ok((vec![Kind::TakeBegan { agent, now }], seat.taken.is_some()))
    };
    let taken: Result<bool, ()> = log.transact(&Actor::Human, decide)?;
    let again = taken.map_err(|()| TakeError::NoSeat(agent.to_owned()))?;
    Ok(Desk {
        dir: dir.clone(),
        agent: agent.to_owned(),
        log,
        again,
        _lock: lock,
    })
}

/// Clears a desk that a person left without a word: what lies there is committed as the person's and told
/// to the agent, which goes on. None where nobody did.
///
/// # Errors
/// As of [`take`] and [`Desk::leave`].
pub async fn clear(dir: &RunDir, agent: &str) -> Result<Option<Left>, TakeError> {
    let log = Log::open(dir)?;
    let taken = log.state().agents.get(agent).and_then(|agent| agent.taken);
    if taken.is_none_or(|taken| taken.lost.is_none()) {
        return Ok(None);
    }
    let desk = take(dir, agent, false)?;
    let before = desk.before()?;
    desk.leave(&before).await.map(Some)
}

/// What an agent still has to finish before a person can work in its worktree, if anything.
#[must_use]
pub fn busy(agent: &AgentState) -> Option<String> {
    if agent.request.is_some() {
        return Some("its model's answer".to_owned());
    }
    let mut calls = agent.calls.iter();
    let open = calls.find(|open| open.intent && open.result.is_none())?;
    Some(format!("its call of {}", open.call.name))
}

impl Desk {
    /// What the agent still has to finish, by the log now.
    ///
    /// # Errors
    /// The log's.
    pub fn waits_for(&mut self) -> Result<Option<String>, TakeError> {
        self.log.catch_up()?;
        self.log.drain();
        Ok(self.log.state().agents.get(&self.agent).and_then(busy))
    }

    fn place(&self) -> Place {
        Place {
            repo_git: self.dir.repo_git(),
            agent_git: self.dir.agent_git(&self.agent),
            worktree: self.dir.work(&self.agent),
            agent: self.agent.clone(),
        }
    }

    /// The commit before a person's work; what the agent left uncommitted is saved as its own first.
    fn before(&self) -> Result<String, TakeError> {
        if self.again {
            let branch = format!("agent/{}", self.agent);
            return Ok(repo::tip(&self.dir.repo_git(), &branch)?);
        }
        let message = format!("org: what {} left uncommitted", self.agent);
        Ok(repo::snapshot(&self.place(), &message, clock::now().as_second())?.commit)
    }

    fn marker(&self) -> String {
        marker(&self.dir, &self.agent)
    }

    /// Saves what the agent left, and runs a shell at its desk to its end. Blocks the thread.
    ///
    /// # Errors
    /// Where it cannot be saved, confined or started.
    pub fn sit(
        &self,
        chart: &Chart,
        clean: &BTreeMap<String, String>,
        terminal: bool,
    ) -> Result<String, TakeError> {
        let before = self.before()?;
        let seat = self.log.state().agents.get(&self.agent);
        let gpu = seat.and_then(|seat| seat.gpu.as_ref());
        let env = spawn::agent_env(clean, &self.dir, &self.agent, gpu);
        let mut seated = tool::seated(chart, &self.dir, &self.agent, &env, gpu);
        for dir in &seated.dirs {
            fs::create_dir_all(dir).map_err(io("make a directory"))?;
        }
        // A person has a terminal, and signs what it commits.
        seated.policy.devices.push("/dev/tty".into());
        for name in ["PAGER", "GIT_PAGER"] {
            seated.env.remove(name);
        }
        let mut set =
            |name: &str, value: &str| seated.env.insert(name.to_owned(), value.to_owned());
        if let Some(term) = clean.get("TERM") {
            set("TERM", term);
        }
        for whose in ["AUTHOR", "COMMITTER"] {
            set(&format!("GIT_{whose}_NAME"), PERSON);
            set(&format!("GIT_{whose}_EMAIL"), &format!("{PERSON}@org"));
        }
        set("PS1", &format!("{} (taken) \\w $ ", self.agent));
        set(process::MARK, &self.marker());
        let shell = std::thread::scope(|scope| {
            let thread = scope.spawn(|| confined(&seated, terminal));
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
        });
        shell.map_err(io("run a shell"))?;
        Ok(before)
    }

    /// Ends what still runs, commits what was changed as the person's, tells the agent, and lets it go
    /// on.
    ///
    /// # Errors
    /// Where it cannot be saved; the desk then stays taken, and nothing is lost.
    pub async fn leave(mut self, before: &str) -> Result<Left, TakeError> {
        let ended = process::kill_tree(&self.marker(), GRACE).await;
        let words = Words::of(&self.dir).map_err(TakeError::Prompts)?;
        let message = format!("a person's work at the desk of {}", self.agent);
        let at = clock::now().as_second();
        let after = repo::snapshot_by(PERSON, &self.place(), &message, at)?;
        let changed = after.commit != before;
        let mut files = Vec::new();
        if changed {
            for change in repo::changed_paths(&self.dir.repo_git(), before, &after.commit)? {
                let what = match change.kind {
                    ChangeKind::Added => "added",
                    ChangeKind::Deleted => "deleted",
                    _ => "changed",
                };
                files.push(format!("{} ({what})", change.path));
            }
        }
        let commit = changed.then_some(after.commit);
        let mut kinds = vec![Kind::TakeEnded {
            agent: self.agent.clone(),
            commit: commit.clone(),
            files: files.clone(),
        }];
        let state = self.log.state();
        let taken = state.agents.get(&self.agent).and_then(|it| it.taken);
        if let Some(commit) = &commit {
            kinds.push(self.letter(&words, commit, &files)?);
        } else if taken.is_some_and(|taken| taken.now) {
            // It was stopped in the middle of something, which nobody else would tell it to go on with.
            let body = words.shared().get(Key::GivenBack).render(&[]);
            kinds.push(self.mail("I was at your desk", &body)?);
        }
        self.log.append(&Actor::Human, kinds)?;
        Ok(Left {
            commit,
            files,
            ended: ended.found,
        })
    }

    /// Leaves before having sat down.
    ///
    /// # Errors
    /// The log's.
    pub fn give_up(mut self) -> Result<(), TakeError> {
        let ended = Kind::TakeEnded {
            agent: self.agent.clone(),
            commit: None,
            files: Vec::new(),
        };
        Ok(self.log.append(&Actor::Human, vec![ended])?)
    }

    fn letter(&self, words: &Words, commit: &str, files: &[String]) -> Result<Kind, TakeError> {
        let mut list: Vec<String> = files.iter().take(FILES_TOLD).cloned().collect();
        if files.len() > FILES_TOLD {
            list.push(format!("and {} more", files.len() - FILES_TOLD));
        }
        let (list, commit) = (list.join("\n"), commit.get(..12).unwrap_or(commit));
        let body = words
            .shared()
            .get(Key::Taken)
            .render(&[("files", &list), ("commit", commit)]);
        self.mail("I changed your worktree", &body)
    }

    fn mail(&self, subject: &str, body: &str) -> Result<Kind, TakeError> {
        let body = self.log.blobs().text(body).map_err(io("keep a letter"))?;
        Ok(Kind::MailSent {
            id: 0,
            from: Actor::Human.name().to_owned(),
            to: vec![self.agent.clone()],
            subject: subject.to_owned(),
            body,
            now: false,
            assignment: false,
            call: Some(format!("{LEFT}{}", self.log.state().seq)),
        })
    }
}

/// The mark of everything that a person starts at an agent's desk.
fn marker(dir: &RunDir, agent: &str) -> String {
    format!("{}-take-{agent}", dir.path().display())
}

/// A shell of this thread, which confines itself first: its processes inherit that, ours stay free.
fn confined(seated: &tool::Seated, terminal: bool) -> io::Result<()> {
    sandbox::enforce(&seated.policy).map_err(io::Error::other)?;
    let bash = ["/bin/bash", "/usr/bin/bash"]
        .into_iter()
        .find(|path| fs::exists(path).unwrap_or(false));
    let mut shell = match bash {
        Some(bash) => Exec::new(bash).args(["--noprofile", "--norc"]),
        None => Exec::new("sh"),
    };
    if terminal {
        shell = shell.arg("-i");
    }
    let mut child = shell
        .envs(seated.env.clone())
        .cwd(&seated.cwd)
        .stdin(Input::Inherit)
        .stdout(Output::Inherit)
        .stderr(Output::Inherit)
        .spawn_detached()?;
    child.wait().map(drop)
}

impl Supervisor {
    /// Watches the desks that people have taken.
    pub(super) fn watch_desks(&mut self) {
        let taken = self.log.state().agents.iter().filter_map(|(name, agent)| {
            let taken = agent.taken.filter(|taken| taken.lost.is_none())?;
            Some((name.clone(), taken.seq))
        });
        for (name, seq) in taken.collect::<Vec<_>>() {
            if !self.desks.insert((name.clone(), seq)) {
                continue;
            }
            let (path, report) = (self.dir.take_lock(&name), self.report.clone());
            let marker = marker(&self.dir, &name);
            task::start(async move {
                guard::let_go(&path).await;
                let left = Report::DeskLeft { name, seq, marker };
                report.send(left).ok();
            });
        }
    }

    /// A person's lock was let go: on its own word, or the terminal is gone.
    pub(super) fn desk_left(
        &mut self,
        name: &str,
        seq: u64,
        marker: String,
    ) -> Result<(), LogError> {
        let decide = |state: &State| -> Decision<(), ()> {
            let taken = state.agents.get(name).and_then(|agent| agent.taken);
            let lost = taken.is_some_and(|taken| taken.seq == seq && taken.lost.is_none());
            let agent = name.to_owned();
            lost.then(|| (vec![Kind::TakeLost { agent }], ())).ok_or(())
        };
        let lost: Result<(), ()> = self.log.transact(&Actor::Supervisor, decide)?;
        if lost.is_ok() {
            task::start(async move {
                process::kill_tree(&marker, GRACE).await;
            });
        }
        Ok(())
    }
}
