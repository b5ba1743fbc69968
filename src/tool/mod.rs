//! An agent's hands: the tools that a model may call.
//!
//! Owns what each tool does, how its call is treated after a crash, and which tools a role is granted.
//! Knows the run directory, the log and git; must not know models, wires, turns or panes. Whatever
//! depends on the state of the org is decided inside one transaction of the log; whatever is slow
//! happens before it, and can be done again without harm.

mod arguments;
mod diff;
mod edit;
mod experiment;
mod files;
mod hypothesis;
mod ledger;
mod lint;
mod mail;
mod notebook;
mod place;
mod proposal;
mod review;
mod search;
mod shell;
mod shell_spec;
mod suspect;
#[cfg(test)]
mod tests;
mod withdraw;

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::domain::chart::Chart;
use crate::domain::chat::ToolSpec;
use crate::domain::event::{Actor, Class};
use crate::domain::state::{OpenCall, State};
use crate::domain::texts::{Key, Texts, ToolTexts};
use crate::repo::Place;
use crate::run::log::{Decision, Log, LogError};
use crate::run::paths::RunDir;

use arguments::Arguments;
pub use arguments::{Argument, Problem, Shape};

pub use proposal::{Proposal, ProposeError, propose, top_up};
pub use shell::{end_jobs, end_jobs_of, freeze_jobs};
pub use shell_spec::{Seated, seated};

/// Longest line that stands for a call, in characters: it is shown in a pane and kept in the log.
pub const BRIEF_LIMIT: usize = 100;

/// Where an agent works, and with what.
#[derive(Debug, Clone)]
pub struct Desk {
    /// The org.
    pub chart: Arc<Chart>,
    /// The run.
    pub dir: RunDir,
    /// Whose desk it is.
    pub agent: String,
    /// The run's log; locked for a moment at a time.
    pub log: Arc<Mutex<Log>>,
    /// Environment that commands start from: `PATH`, `HOME`, the GPU's variables, `ORG_RUN` and
    /// `ORG_AGENT`.
    pub env: BTreeMap<String, String>,
    /// What the model is told.
    pub texts: Arc<Texts>,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it did what was asked.
    pub ok: bool,
    /// What the model reads.
    pub text: String,
}

impl Outcome {
    fn done(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { ok: true, text }
    }

    fn failed(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { ok: false, text }
    }
}

/// A call that is being carried out. Dropping it stops it: a command is ended with all it started,
/// and nothing is appended to the log after that.
pub type Acting<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Something that a model can do.
pub trait Tool: Send + Sync + std::fmt::Debug {
    /// The name that a call carries.
    fn name(&self) -> &'static str;

    /// What it takes.
    fn arguments(&self) -> &'static [Argument];

    /// How a call may be treated after a crash.
    fn class(&self) -> Class;

    /// The call in one line, for people.
    fn brief(&self, args: &Value) -> String;

    /// SHA-256 of the file that the call is about to change, `absent` where there is none.
    fn pre(&self, _desk: &Desk, _args: &Value) -> Option<String> {
        None
    }

    /// Does it. The intent is in the log; `call` is the call's key, under which it is found again.
    fn run<'a>(&'a self, desk: &'a Desk, call: &'a str, args: &'a Value) -> Acting<'a>;

    /// Finishes a call whose intent is in the log and whose result is not. What reads, and what finds
    /// its own traces by the call's key, is simply run again.
    fn recover<'a>(&'a self, desk: &'a Desk, open: &'a OpenCall, args: &'a Value) -> Acting<'a> {
        let key = open.key();
        Box::pin(async move { self.run(desk, &key, args).await })
    }

    /// The JSON Schema of its arguments.
    fn parameters(&self, texts: &ToolTexts) -> Value {
        arguments::schema(self.arguments(), texts.get(self.name()))
    }
}

/// Every tool with the grants that give it, in the order in which models see them: fixed, since
/// prompt caches are bound to it.
fn all() -> Vec<(&'static [&'static str], Box<dyn Tool>)> {
    vec![
        (&["shell"], Box::new(shell::Shell)),
        (&["files", "files:read"], Box::new(files::Read)),
        (&["files"], Box::new(files::Write)),
        (&["files"], Box::new(edit::Edit)),
        (&["files", "files:read"], Box::new(search::Search)),
        (&["mail"], Box::new(mail::Send)),
        (&["assign"], Box::new(mail::Assign)),
        (&["review"], Box::new(review::Review)),
        (&["ledger"], Box::new(ledger::Ledger)),
        (&["experiment"], Box::new(experiment::Experiment)),
        (&["experiment"], Box::new(hypothesis::Hypothesis)),
        (&["experiment"], Box::new(withdraw::Withdraw)),
        (&["notebook"], Box::new(notebook::Note)),
        (&["done"], Box::new(notebook::Done)),
    ]
}

/// The tools that a role's `tools` list grants; `done` always.
#[must_use]
pub fn granted(grants: &[String]) -> Vec<Box<dyn Tool>> {
    let has = |by: &[&str]| by.contains(&"done") || grants.iter().any(|it| by.contains(&&**it));
    all()
        .into_iter()
        .filter(|(by, _)| has(by))
        .map(|(_, tool)| tool)
        .collect()
}

/// The tools as a model is told of them.
#[must_use]
pub fn specs(tools: &[Box<dyn Tool>], texts: &ToolTexts) -> Vec<ToolSpec> {
    let spec = |tool: &dyn Tool| ToolSpec {
        name: tool.name().to_owned(),
        description: texts
            .get(tool.name())
            .map_or_else(String::new, |text| text.description.clone()),
        parameters: tool.parameters(texts),
    };
    tools.iter().map(|tool| spec(&**tool)).collect()
}

/// The answer to a call whose arguments are not JSON, or do not fit.
#[must_use]
pub fn bad_arguments(texts: &Texts, tool: &str, problem: &str) -> Outcome {
    let values = [("tool", tool), ("problem", problem)];
    Outcome::failed(texts.get(Key::BadArguments).render(&values))
}

/// The answer to a call of a tool that the agent lacks.
#[must_use]
pub fn unknown_tool(texts: &Texts, name: &str, tools: &[Box<dyn Tool>]) -> Outcome {
    let names: Vec<&str> = tools.iter().map(|tool| tool.name()).collect();
    let (name, names) = (one_line(name), names.join(", "));
    let values = [("tool", name.as_str()), ("tools", names.as_str())];
    Outcome::failed(texts.get(Key::UnknownTool).render(&values))
}

impl Desk {
    fn actor(&self) -> Actor {
        Actor::Agent(self.agent.clone())
    }

    fn place(&self) -> Place {
        Place {
            repo_git: self.dir.repo_git(),
            agent_git: self.dir.agent_git(&self.agent),
            worktree: self.dir.work(&self.agent),
            agent: self.agent.clone(),
        }
    }

    /// Looks at what is so now.
    fn look<R>(&self, look: impl FnOnce(&State) -> R) -> Result<R, LogError> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.catch_up()?;
        Ok(look(log.state()))
    }

    /// Decides and appends as this agent.
    fn transact<R, E>(
        &self,
        decide: impl FnOnce(&State) -> Decision<R, E>,
    ) -> Result<Result<R, E>, LogError> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.transact(&self.actor(), decide)
    }

    /// Text as an event carries it.
    fn text(&self, text: &str) -> std::io::Result<crate::domain::event::Text> {
        crate::run::blobs::Blobs::at(self.dir.blobs()).text(text)
    }

    /// The arguments of a call, or the answer that says what is wrong with them.
    fn arguments<'v>(&self, tool: &dyn Tool, args: &'v Value) -> Result<Arguments<'v>, Outcome> {
        Arguments::read(tool.arguments(), args)
            .map_err(|problem| bad_arguments(&self.texts, tool.name(), &problem.to_string()))
    }

    fn unknown_outcome(&self, tool: &str, partial: &str) -> Outcome {
        let values = [("tool", tool), ("partial", partial)];
        Outcome::failed(self.texts.get(Key::UnknownOutcome).render(&values))
    }
}

/// An error with its causes, in one line.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn broken(error: &dyn Error) -> Outcome {
    Outcome::failed(told(error))
}

/// Does what blocks on a thread of its own.
async fn aside<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Text on one line of at most [`BRIEF_LIMIT`] characters, with nothing that a terminal obeys.
fn one_line(text: &str) -> String {
    clip(text, BRIEF_LIMIT)
}

/// Text on one line, without control characters, cut with `…` at `limit` characters.
fn clip(text: &str, limit: usize) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    // A little more than is kept, so that runs of blanks do not eat the line.
    let head: String = text.chars().take(limit * 8).map(plain).collect();
    let words = head.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= limit {
        return words;
    }
    let mut cut: String = words.chars().take(limit - 1).collect();
    cut.push('…');
    cut
}

/// SHA-256 in hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
