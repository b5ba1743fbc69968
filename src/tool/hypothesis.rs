//! Registering a claim before anything of it is measured.
//!
//! The worktree is saved and its diff is looked at first, outside of the log; then one transaction
//! decides on what is so at that moment, so that two agents cannot register the same change at once.
//! If the ledger moved in between, what is new is looked at and the decision is asked for again. A
//! refusal is in the ledger too. Must not judge: that is `lint`'s, and after it the lab's.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::domain::chart::{Axis, Chart};
use crate::domain::event::{Class, Kind, Status};
use crate::domain::likeness::Sketch;
use crate::domain::protocol::Claim;
use crate::domain::state::{self, State};
use crate::repo::{self, Change, DiffText, Misfit, RepoError};
use crate::run::log::LogError;

use super::arguments::{Argument, Arguments, Shape};
use super::experiment::{branch_saved, left_out, save};
use super::lint::{self, DIFF_BYTES, Refused, Words};
use super::{Acting, Desk, Outcome, Tool, aside, bad_arguments, broken, clip, one_line};

/// Longest title, in bytes as it comes in and in characters as it is kept: one line of a table.
const TITLE_BYTES: usize = 1000;
const TITLE: usize = 120;
/// Longest other text: a few sentences.
const TEXT_BYTES: usize = 4000;
/// Longest id.
const ID_BYTES: usize = 20;
/// Commits of a branch that are searched for the champion it builds on.
const HISTORY: usize = 100_000;
/// Looks at a ledger that moves. Whoever is overtaken looks at fewer claims the next time, so that
/// this many are only needed where as many agents register within one second.
const LOOKS: usize = 64;

/// The tool `hypothesis`.
#[derive(Debug)]
pub(super) struct Hypothesis;

impl Tool for Hypothesis {
    fn name(&self) -> &'static str {
        "hypothesis"
    }

    fn arguments(&self) -> &'static [Argument] {
        const {
            &[
                Argument::needed("title", Shape::Text(TITLE_BYTES)),
                Argument::needed("claim", Shape::Word(&Claim::NAMES)),
                Argument::needed("mechanism", Shape::Text(TEXT_BYTES)),
                Argument::needed("predicts", Shape::Number),
                Argument::needed("refuted_by", Shape::Text(TEXT_BYTES)),
                Argument::optional("axis", Shape::Word(&Axis::NAMES)),
                Argument::optional("margin", Shape::Number),
                Argument::optional("replicates", Shape::Text(ID_BYTES)),
                Argument::optional("parts", Shape::List(TEXT_BYTES)),
            ]
        }
    }

    fn class(&self) -> Class {
        Class::Keyed
    }

    fn brief(&self, args: &Value) -> String {
        let text = |name: &str| args[name].as_str().unwrap_or("").to_owned();
        one_line(&format!("{}: {}", text("claim"), text("title")))
    }

    fn run<'a>(&'a self, desk: &'a Desk, call: &'a str, args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            let args = match desk.arguments(self, args) {
                Ok(args) => args,
                Err(outcome) => return outcome,
            };
            match read(&desk.chart, args) {
                Ok(words) => match register(desk, call, &words).await {
                    Ok(outcome) => outcome,
                    Err(error) => broken(&error),
                },
                Err(problem) => bad_arguments(&desk.texts, self.name(), problem),
            }
        })
    }
}

/// The claim that the arguments make.
fn read(chart: &Chart, args: Arguments<'_>) -> Result<Words, &'static str> {
    let claim = Claim::parse(args.needed("claim")).ok_or("`claim` is no claim")?;
    let axis = args
        .text("axis")
        .map_or(Some(chart.protocol.matched), Axis::parse);
    let id = |text: &str| text.trim().strip_prefix('h')?.parse::<u64>().ok();
    let replicates = match args.text("replicates").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(id(text).ok_or("`replicates` must be the id of a claim, like h3")?),
    };
    Ok(Words {
        title: clip(args.needed("title"), TITLE),
        claim,
        mechanism: args.needed("mechanism").to_owned(),
        predicts: args.number("predicts").unwrap_or(f64::NAN),
        refuted_by: args.needed("refuted_by").to_owned(),
        axis: axis.ok_or("`axis` is no axis")?,
        margin: args.number("margin"),
        replicates,
        parts: args.list("parts"),
    })
}

/// Why a claim could not even be refused.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("write to the log")]
    Log(#[from] LogError),
    #[error("save the worktree")]
    Save(#[source] RepoError),
    #[error("compare the worktree with the baseline")]
    Compare(#[source] RepoError),
    #[error("the ledger moved {LOOKS} times; nothing was registered")]
    Restless,
}

async fn register(desk: &Desk, call: &str, words: &Words) -> Result<Outcome, Failed> {
    let first = desk.look(|state| match earlier(state, &desk.agent, call) {
        Some(answer) => Err(answer),
        None => Ok(lint::words(&desk.chart, state, &desk.agent, words)),
    })?;
    match first {
        Err(answer) => return Ok(answer),
        Ok(Err(refused)) => return Ok(reject(desk, call, words, None, &refused)?),
        Ok(Ok(())) => {}
    }
    let saved = save(desk, &words.title).await.map_err(Failed::Save)?;
    let mut look = Look::new(&saved.commit, words);
    for _ in 0..LOOKS {
        look.at(desk, words).await?;
        let judged = judge(&desk.chart, words, &look);
        if let Err(refused) = judged {
            let commit = Some(saved.commit.clone());
            return Ok(reject(desk, call, words, commit, &refused)?);
        }
        let decided = desk.transact(|state| {
            if let Some(answer) = earlier(state, &desk.agent, call) {
                return Ok((Vec::new(), answer));
            }
            if look.is_old(state) {
                return Err(());
            }
            let id = state.next_hypothesis();
            let mut kinds = branch_saved(desk, state, &saved);
            kinds.push(registered(desk, id, call, words, &look));
            Ok((kinds, answer(id, look.locked())))
        })?;
        if let Ok(mut outcome) = decided {
            outcome.text.push_str(&left_out(desk, &saved));
            return Ok(outcome);
        }
    }
    Err(Failed::Restless)
}

fn judge(chart: &Chart, words: &Words, look: &Look) -> Result<(), Refused> {
    lint::change(chart, &look.base, &look.changes, &look.diff)?;
    if let Some(misfit) = &look.misfit {
        return Err(Refused::Parts(misfit.clone()));
    }
    match look.twin {
        Some(twin) if words.replicates.is_none() => return Err(Refused::Twin(twin)),
        _ => {}
    }
    match look.near {
        Some((id, status)) if words.replicates.is_none() => Err(Refused::DeadEnd { id, status }),
        _ => Ok(()),
    }
}

/// What this call has led to already.
fn earlier(state: &State, agent: &str, call: &str) -> Option<Outcome> {
    let ours =
        |claim: &&state::Hypothesis| claim.agent == agent && claim.call.as_deref() == Some(call);
    let claim = state.hypotheses.values().rev().find(ours)?;
    Some(match (claim.status, &claim.commit) {
        (Status::Rejected, _) | (_, None) => rejected(&claim.reason),
        (_, Some(commit)) => answer(claim.id, commit),
    })
}

fn answer(id: u64, commit: &str) -> Outcome {
    let commit = commit.get(..12).unwrap_or(commit);
    Outcome::done(format!("registered h{id} at {commit}"))
}

fn rejected(reason: &str) -> Outcome {
    Outcome::failed(format!("rejected: {reason}"))
}

fn reject(
    desk: &Desk,
    call: &str,
    words: &Words,
    commit: Option<String>,
    refused: &Refused,
) -> Result<Outcome, LogError> {
    let reason = refused.to_string();
    let written = desk.transact(|state| {
        if let Some(answer) = earlier(state, &desk.agent, call) {
            return Ok::<_, std::convert::Infallible>((Vec::new(), answer));
        }
        let kind = Kind::HypothesisRejected {
            id: state.next_hypothesis(),
            agent: desk.agent.clone(),
            title: words.title.clone(),
            claim: words.claim,
            reason: reason.clone(),
            commit,
            call: Some(call.to_owned()),
        };
        Ok((vec![kind], rejected(&reason)))
    })?;
    match written {
        Ok(outcome) => Ok(outcome),
        Err(never) => match never {},
    }
}

fn registered(desk: &Desk, id: u64, call: &str, words: &Words, look: &Look) -> Kind {
    Kind::HypothesisRegistered {
        id,
        agent: desk.agent.clone(),
        title: words.title.clone(),
        claim: words.claim,
        mechanism: words.mechanism.clone(),
        predicts: words.predicts,
        refuted_by: words.refuted_by.clone(),
        axis: words.axis,
        margin: words.margin,
        commit: look.locked().to_owned(),
        base: look.base.clone(),
        replicates: words.replicates,
        parts: words.parts.clone(),
        call: Some(call.to_owned()),
    }
}

/// A commit beside what the ledger has, as of some moment.
#[derive(Debug, Clone)]
struct Look {
    commit: String,
    /// The commit that it is compared with: the newest champion that it builds on.
    base: String,
    changes: Vec<Change>,
    diff: DiffText,
    /// A claim of the same change.
    twin: Option<u64>,
    /// A dead end of nearly the same change.
    near: Option<(u64, Status)>,
    /// The parts that are named, and why they do not take the change apart.
    parts: Vec<String>,
    misfit: Option<Misfit>,
    /// The claim that is repeated, and its commit where that has the very same files: then it is that
    /// commit which is measured on.
    replicates: Option<u64>,
    same: Option<String>,
    /// The next claim's number, and the champion, when the ledger was looked at.
    next: u64,
    champion: String,
}

/// A claim to compare with.
#[derive(Debug, Clone)]
struct Other {
    id: u64,
    commit: String,
    base: String,
    title: String,
    mechanism: String,
    status: Status,
}

impl Look {
    fn new(commit: &str, words: &Words) -> Self {
        Self {
            commit: commit.to_owned(),
            parts: words.parts.clone(),
            misfit: None,
            replicates: words.replicates,
            same: None,
            base: String::new(),
            changes: Vec::new(),
            diff: DiffText {
                text: String::new(),
                cut: false,
            },
            twin: None,
            near: None,
            next: 0,
            champion: String::new(),
        }
    }

    /// The commit that is locked.
    fn locked(&self) -> &str {
        self.same.as_deref().unwrap_or(&self.commit)
    }

    fn is_old(&self, state: &State) -> bool {
        self.next != state.next_hypothesis() || self.champion != state.champion
    }

    /// Looks at what the ledger has that was not looked at yet.
    async fn at(&mut self, desk: &Desk, words: &Words) -> Result<(), Failed> {
        let (champions, others, next, repeated) = desk.look(|state| {
            let mut champions: Vec<String> = vec![state.start.clone()];
            champions.extend(state.promotions.iter().map(|(_, _, after)| after.clone()));
            let others: Vec<Other> = state
                .hypotheses
                .range(self.next..)
                .filter(|(_, claim)| lint::blocks_twins(claim.status))
                .filter_map(|(id, claim)| {
                    Some(Other {
                        id: *id,
                        commit: claim.commit.clone()?,
                        base: claim.base.clone(),
                        title: claim.title.clone(),
                        mechanism: claim.mechanism.clone(),
                        status: claim.status,
                    })
                })
                .collect();
            let repeated = self.replicates.and_then(|id| state.hypotheses.get(&id));
            let repeated = repeated.and_then(|claim| claim.commit.clone());
            (champions, others, state.next_hypothesis(), repeated)
        })?;
        let repo_git = desk.dir.repo_git();
        let branch = format!("agent/{}", desk.agent);
        let mut look = self.clone();
        let (title, mechanism) = (words.title.clone(), words.mechanism.clone());
        *self = aside(move || -> Result<Self, RepoError> {
            let newest = champions.last().cloned().unwrap_or_default();
            if look.champion != newest {
                look.base = base(&repo_git, &branch, champions)?;
                look.champion = newest;
                look.changes = repo::changed_paths(&repo_git, &look.base, &look.commit)?;
                look.diff = repo::diff_text(&repo_git, &look.base, &look.commit, DIFF_BYTES)?;
                if !look.changes.is_empty() && !look.diff.cut {
                    look.misfit = repo::misfit(&repo_git, &look.base, &look.commit, &look.parts)?;
                }
            }
            if let Some(commit) = repeated {
                let changes = repo::changed_paths(&repo_git, &commit, &look.commit);
                look.same = changes.is_ok_and(|it| it.is_empty()).then_some(commit);
            }
            let own = Sketch::of(&title, &mechanism, &look.diff.text);
            for other in &others {
                look.compare(&repo_git, &own, other);
            }
            look.next = next;
            Ok(look)
        })
        .await
        .map_err(Failed::Compare)?;
        Ok(())
    }

    /// Notes a claim that has the same files, or makes the same change to its own base, and a dead end
    /// that makes nearly the same one. A claim that cannot be read is neither.
    fn compare(&mut self, repo_git: &std::path::Path, own: &Sketch, other: &Other) {
        let same_files = || {
            let changes = repo::changed_paths(repo_git, &other.commit, &self.commit);
            changes.is_ok_and(|changes| changes.is_empty())
        };
        if other.commit == self.commit || same_files() {
            self.twin.get_or_insert(other.id);
            return;
        }
        let diff = repo::diff_text(repo_git, &other.base, &other.commit, DIFF_BYTES);
        let Ok(diff) = diff else { return };
        let theirs = Sketch::of(&other.title, &other.mechanism, &diff.text);
        if own.is_same_change(&theirs) {
            self.twin.get_or_insert(other.id);
        } else if lint::is_dead_end(other.status) && own.is_near(&theirs) {
            self.near = Some((other.id, other.status));
        }
    }
}

/// The newest of the champions, oldest first, that the branch builds on.
fn base(
    repo_git: &std::path::Path,
    branch: &str,
    champions: Vec<String>,
) -> Result<String, RepoError> {
    if let [only] = champions.as_slice() {
        return Ok(only.clone());
    }
    let history: BTreeSet<String> = repo::log(repo_git, branch, HISTORY)?
        .into_iter()
        .map(|entry| entry.commit)
        .collect();
    let start = champions.first().cloned().unwrap_or_default();
    let newest = champions.into_iter().rev().find(|it| history.contains(it));
    Ok(newest.unwrap_or(start))
}
