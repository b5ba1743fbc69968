//! Claims, true and false, before the lab: what it promotes must be true, and what is true and large must
//! be promoted.
//!
//! Two proofs. *Claims*: scripted agents try on real tasks, with the real program, whatever has been seen to
//! fool a laboratory. *Stream*: thousands of hypotheses of known truth go through the real protocol, without
//! programs, and beside it through the rule that keeps whatever was better once. The exit status is a
//! failure where a false claim is promoted, a large true one is not, too few of the decidable ones are, or
//! the false discovery rate is above what the protocol states.
//!
//! `make science` is `--all`: 10,000 hypotheses and every claim. Without it, as in `make test`, a handful of the
//! claims and some hundred hypotheses. Words name chapters: `science claims`, `science stream tinylm`.

mod claims;
mod codespeed;
mod place;
mod script;
mod stream;
mod synth;
mod table;
mod tinylm;
mod world;

use std::process::ExitCode;

/// What a chapter may fail with: whatever stands against trying at all.
type Broken = Box<dyn std::error::Error>;

/// Hypotheses of the stream, in whole and in short.
const HYPOTHESES: (usize, usize) = (10_000, 300);

fn words() -> Vec<String> {
    std::env::args().skip(1).collect()
}

fn main() -> ExitCode {
    let words = words();
    let all = words.iter().any(|word| word == "--all");
    // Test runners ask what there is; this is one test to them.
    if words.iter().any(|word| word == "--list") {
        table::say("science: test");
        return ExitCode::SUCCESS;
    }
    let named: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let known = ["claims", "stream", "tinylm", "codespeed", "synth"];
    let ours: Vec<&str> = named
        .iter()
        .copied()
        .filter(|it| known.contains(it))
        .collect();
    // A filter that is meant for other tests.
    if !named.is_empty() && ours.is_empty() && named != ["science"] {
        return ExitCode::SUCCESS;
    }
    let wanted = |chapter: &str| ours.is_empty() || ours.contains(&chapter);
    let mut good = true;
    let tasks = ["tinylm", "codespeed", "synth"];
    let tasks: Vec<&str> = tasks
        .into_iter()
        .filter(|task| wanted("claims") || wanted(task))
        .collect();
    if !tasks.is_empty() {
        good &= told("the claims", claims::play(&tasks, all));
    }
    if wanted("stream") {
        let count = if all { HYPOTHESES.0 } else { HYPOTHESES.1 };
        good &= told("the stream", stream::play(count));
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn told(what: &str, came: Result<bool, Broken>) -> bool {
    came.unwrap_or_else(|error| {
        table::say(&format!("{what} could not be played: {error}"));
        false
    })
}
