//! `org completions`: what a shell needs to complete our commands, and the answers when it asks.
//!
//! Owns which arguments name what there is: a run, an agent, a claim. The script that a shell reads asks
//! this program at every Tab, so that names are those of now. Must not fail aloud: whoever presses Tab
//! reads no words.

use std::ffi::{OsStr, OsString};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};

use super::failure::Failure;
use super::place::{self, Place};
use super::{Context, help};
use crate::domain::chart::Chart;
use crate::domain::model;
use crate::run::log::Log;
use crate::run::paths::RunDir;

/// The variable by which a shell's script asks for completions.
pub(super) const ASKED: &str = "COMPLETE";

/// Print completions for a shell, with the names of agents, runs and claims
///
/// For bash: `org completions bash > ~/.local/share/bash-completion/completions/org`; for zsh put
/// `source <(org completions zsh)` into .zshrc, for fish `org completions fish | source` into
/// config.fish.
#[derive(Debug, Clone, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(context: &Context, args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    let shell = args.shell.to_string();
    if let Some(writer) = Shells::builtins().completer(&shell) {
        writer.write_registration(ASKED, "org", "org", "org", &mut script)?;
    }
    context.ui.out(&String::from_utf8_lossy(&script))
}

/// Answers a shell that asks, and says whether one did.
///
/// # Errors
/// Where the shell is none that we know.
pub(super) fn answer(argv: impl Iterator<Item = OsString>) -> Result<bool, Failure> {
    if place::var(ASKED).is_none_or(|shell| shell.is_empty()) {
        return Ok(false);
    }
    let asked = CompleteEnv::with_factory(|| named(help::command()))
        .var(ASKED)
        .try_complete(argv, None);
    asked.map_err(|error| Failure::usage(error.to_string(), "org completions --help"))
}

/// What an argument names.
#[derive(Debug, Clone, Copy)]
enum Names {
    Runs,
    /// Agents, with these words beside them.
    People(&'static [&'static str]),
    /// Claims, and measured runs where they can be named too.
    Claims {
        runs: bool,
    },
    Models,
}

/// What the argument of a command names, where that is known only now.
fn names(command: &str, argument: &str) -> Option<Names> {
    const ROLES: &[&str] = &["all"];
    const WRITERS: &[&str] = &["human", "lab", "supervisor"];
    Some(match (command, argument) {
        // There it is the task's command.
        ("init", "run") => return None,
        (_, "run" | "place" | "resume" | "more") => Names::Runs,
        ("send" | "pause" | "resume" | "restart", "who") => Names::People(ROLES),
        ("logs" | "replay", "who") => Names::People(WRITERS),
        ("inbox", "who") => Names::People(&["human"]),
        ("take" | "attach" | "prompt", "agent") => Names::People(&[]),
        ("wait", "who") => Names::People(&[]),
        ("restart", "model") => Names::Models,
        ("approve" | "deny", "id") => Names::Claims { runs: false },
        ("cancel" | "show", "id") | ("diff", "from" | "to") => Names::Claims { runs: true },
        _ => return None,
    })
}

/// The command line with what completes its arguments.
fn named(command: Command) -> Command {
    let name = command.get_name().to_owned();
    command
        .mut_args(|argument| match names(&name, argument.get_id().as_str()) {
            Some(names) => argument.add(ArgValueCompleter::new(move |word: &OsStr| {
                candidates(names, &word.to_string_lossy())
            })),
            None => argument,
        })
        .mut_subcommands(named)
}

/// Those that begin with what is typed.
fn candidates(names: Names, word: &str) -> Vec<CompletionCandidate> {
    let place = Place::here();
    let mut all: Vec<(String, String)> = match names {
        Names::Runs => place.runs().iter().rev().map(run_and_state).collect(),
        Names::People(more) => people(&place, more),
        Names::Claims { runs } => claims(&place, runs),
        Names::Models => model::known()
            .into_iter()
            .map(|(name, provider)| (name.to_owned(), provider.to_owned()))
            .collect(),
    };
    all.retain(|(name, _)| name.starts_with(word));
    let candidate = |(name, about): (String, String)| {
        CompletionCandidate::new(name).help((!about.is_empty()).then(|| about.into()))
    };
    all.into_iter().map(candidate).collect()
}

fn run_and_state(dir: &RunDir) -> (String, String) {
    let word = if place::supervised(dir) { "alive" } else { "" };
    (dir.id(), word.to_owned())
}

/// The runs that a command without `--run` may mean: those that live, else the newest.
fn meant(place: &Place) -> Vec<(RunDir, Chart)> {
    let mut runs: Vec<RunDir> = place.runs().into_iter().filter(place::lives).collect();
    if runs.is_empty() {
        runs.extend(place.reading(None));
    }
    let with_chart = |dir: RunDir| {
        let chart = place::chart(&dir).ok()?;
        Some((dir, chart))
    };
    runs.into_iter().filter_map(with_chart).collect()
}

fn people(place: &Place, more: &[&str]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (_, chart) in meant(place) {
        for agent in chart.agents {
            all.push((agent.name, agent.role));
        }
    }
    all.extend(more.iter().map(|word| ((*word).to_owned(), String::new())));
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|(name, _)| seen.insert(name.clone()));
    all
}

fn claims(place: &Place, runs: bool) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (dir, _) in meant(place) {
        let Ok(log) = Log::open(&dir) else { continue };
        let state = log.state();
        for claim in state.hypotheses.values().rev() {
            let about = format!("{}: {}", claim.status.word(), claim.title);
            all.push((format!("h{}", claim.id), about));
        }
        for run in state.experiments.values().rev().filter(|_| runs) {
            all.push((format!("e{}", run.id), run.status.word().to_owned()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every argument that the table names, by command.
    fn found(command: &Command, all: &mut Vec<String>) {
        let name = command.get_name();
        for argument in command.get_arguments() {
            let id = argument.get_id().as_str();
            if names(name, id).is_some() {
                all.push(format!("{name} {id}"));
            }
        }
        for sub in command.get_subcommands() {
            found(sub, all);
        }
    }

    #[test]
    fn the_table_names_arguments_that_exist() {
        let mut all = Vec::new();
        found(&help::command(), &mut all);
        for known in [
            "send who",
            "pause who",
            "resume who",
            "restart who",
            "restart model",
            "logs who",
            "replay who",
            "inbox who",
            "take agent",
            "attach agent",
            "prompt agent",
            "wait who",
            "approve id",
            "deny id",
            "cancel id",
            "show id",
            "diff from",
            "diff to",
            "status place",
            "status run",
            "up resume",
            "try more",
        ] {
            assert!(
                all.iter().any(|it| it == known),
                "{known} is not in {all:?}"
            );
        }
        assert!(!all.iter().any(|it| it == "init run"), "that is a command");
    }
}
