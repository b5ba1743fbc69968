//! `org ledger diff FROM TO`: what two attempts differ in.

use serde::Serialize;

use super::attempt;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::domain::state::State;
use crate::repo::{self, RepoError};
use crate::run::log::Log;
use crate::run::paths::RunDir;
use crate::view::attempt::Attempt;
use crate::view::figure;
use crate::view::paint::{Paint, Tint};

/// Longest diff that is printed, in bytes; what is longer is cut, and said to be.
const DIFF_BYTES: usize = 64 << 20;

/// One side.
#[derive(Debug, Clone, Serialize)]
struct Side {
    /// What was named, as an id; `base` for what the other was built on.
    id: String,
    commit: String,
}

/// The difference, as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
struct Difference {
    from: Side,
    to: Side,
    files: Vec<String>,
    diff: String,
    cut: bool,
}

pub(super) fn run(
    ui: &Ui,
    log: &Log,
    from: &str,
    to: Option<&str>,
    json: bool,
) -> Result<(), Failure> {
    let (state, dir) = (log.state(), log.dir());
    let first = attempt(state, dir, from)?;
    let (from, to) = match to {
        Some(to) => (side(&first)?, side(&attempt(state, dir, to)?)?),
        None => (base(state, &first), side(&first)?),
    };
    let repo_git = dir.repo_git();
    let broken = |error: RepoError| unreadable(dir, &error);
    let files = repo::changed_paths(&repo_git, &from.commit, &to.commit).map_err(broken)?;
    let text = repo::diff_text(&repo_git, &from.commit, &to.commit, DIFF_BYTES).map_err(broken)?;
    if json {
        return ui.json(&Difference {
            from,
            to,
            files: files.into_iter().map(|change| change.path).collect(),
            diff: text.text,
            cut: text.cut,
        });
    }
    if files.is_empty() {
        ui.note(&format!("{} and {} are the same files", from.id, to.id));
        return Ok(());
    }
    ui.note(&format!(
        "from {} ({}) to {} ({})",
        from.id,
        figure::commit(&from.commit),
        to.id,
        figure::commit(&to.commit)
    ));
    ui.out(&painted(&text.text, ui.paint(), ui.shows()))?;
    if text.cut {
        ui.note(&format!(
            "cut at {DIFF_BYTES} bytes; `git -C {} diff {} {}` has all",
            repo_git.display(),
            from.commit,
            to.commit
        ));
    }
    Ok(())
}

fn side(attempt: &Attempt<'_>) -> Result<Side, Failure> {
    let id = attempt.id();
    let commit = attempt.commit().ok_or_else(|| {
        let why = match attempt {
            Attempt::Claim(claim) => figure::one_line(&claim.reason),
            Attempt::Run(_) => String::new(),
        };
        Failure::refused(
            format!("{id} has no commit: it was refused before anything was saved ({why})"),
            format!("`org ledger show {id}` shows what is known of it"),
        )
    })?;
    Ok(Side {
        commit: commit.to_owned(),
        id,
    })
}

/// What an attempt was built on: for a claim the champion that it is compared with, for a look around
/// where the programme began.
fn base(state: &State, attempt: &Attempt<'_>) -> Side {
    let commit = match attempt {
        Attempt::Claim(claim) => claim.base.clone(),
        Attempt::Run(_) => state.start.clone(),
    };
    Side {
        id: "base".to_owned(),
        commit,
    }
}

/// A diff as it is: bytes for a program; for a terminal in colours, and unable to do more than to be read.
fn painted(diff: &str, paint: Paint, terminal: bool) -> String {
    if !terminal {
        return diff.to_owned();
    }
    let mut out = String::with_capacity(diff.len() * 2);
    for line in diff.lines() {
        let head = ["diff ", "index ", "--- ", "+++ ", "new ", "deleted "];
        let tint = match line.as_bytes().first() {
            _ if head.iter().any(|head| line.starts_with(head)) => Tint::Bold,
            Some(b'+') => Tint::Good,
            Some(b'-') => Tint::Bad,
            Some(b'@') => Tint::Notable,
            _ => Tint::None,
        };
        out.push_str(&paint.tint(tint, &figure::harmless(line)));
        out.push('\n');
    }
    out
}

/// The run's repository cannot be read.
pub(super) fn unreadable(dir: &RunDir, error: &RepoError) -> Failure {
    Failure::refused(
        format!("the repository of {} cannot be read", dir.id()),
        format!(
            "look at {}; the ledger itself is in the log: `org ledger`",
            dir.repo_git().display()
        ),
    )
    .because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_harmlessness_are_for_terminals() {
        let diff = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\x1b[2J\n+b\n c\n";
        assert_eq!(painted(diff, Paint::Plain, false), diff);
        let shown = painted(diff, Paint::Ansi, true);
        assert!(shown.contains("\x1b[32m+b\x1b[0m") && shown.contains("\x1b[1m+++ b/x\x1b[0m"));
        assert!(!shown.contains("\x1b[2J"), "{shown:?}");
        assert!(!painted(diff, Paint::Plain, true).contains('\x1b'));
    }
}
