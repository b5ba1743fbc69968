//! What `org init --repo R --run CMD` writes: the command is run once, in a clean checkout of what is
//! committed, and the starter chart says what that run spoke for.
//!
//! Owns the run and the lines it fills in; the guesses are `domain::propose`'s. The repository is only
//! read, and the checkout is gone afterwards. Must not know the other files of a starter.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::failure::Failure;
use super::place::{self, Place};
use super::ui::Ui;
use crate::domain::chart::{Goal, Take};
use crate::domain::propose::{self, Proposal};
use crate::os::clock;
use crate::os::exec::Exec;
use crate::os::random;
use crate::repo::{self, RepoError};

/// Longest that the one run may take.
const LIMIT: Duration = Duration::from_secs(3600);
/// Lines of a failed command's output that are shown.
const LAST_LINES: usize = 8;
/// Most bytes of source that are searched for the seed's variable.
const SOURCE_CAP: u64 = 1 << 20;
/// A chart's own variable for the seed.
const SEED: &str = "ORG_SEED";
/// Ends of names that programs have.
const SOURCES: [&str; 6] = ["py", "sh", "rs", "jl", "lua", "toml"];

/// What the one run showed.
pub(super) struct Tried {
    repo: PathBuf,
    command: String,
    proposal: Proposal,
    seed: Option<String>,
    wall: Duration,
}

/// Runs a task's command once.
///
/// # Errors
/// Where the repository cannot be used, or the command fails or takes too long.
pub(super) fn tried(place: &Place, ui: &Ui, repo: &Path, command: &str) -> Result<Tried, Failure> {
    let source = place.cwd.join(repo);
    let temp = std::env::temp_dir().join(format!("org-init-{}", random::word(8)?));
    std::fs::create_dir(&temp)?;
    let tried = in_checkout(ui, &source, command, &temp);
    std::fs::remove_dir_all(&temp).ok();
    tried
}

fn in_checkout(ui: &Ui, source: &Path, command: &str, temp: &Path) -> Result<Tried, Failure> {
    let unusable = |error: RepoError| {
        let hint = error.hint().to_string();
        let what = format!("{} cannot be used", source.display());
        Failure::refused(what, hint).because(&error)
    };
    let path = source.display().to_string();
    let bare = temp.join("repo.git");
    let founded = repo::found(&path, None, &bare).map_err(unusable)?;
    let (checkout, out) = (temp.join("checkout"), temp.join("out"));
    repo::checkout(&bare, &founded.commit, &checkout).map_err(unusable)?;
    std::fs::create_dir(&out)?;
    let seed = seed_variable(&checkout);
    let variable = seed.as_deref().unwrap_or(SEED);
    ui.note(&format!(
        "runs `{command}` once, in a copy of {path} at {}, with {variable}=1",
        &founded.commit[..12]
    ));
    let began = clock::monotonic();
    let said = Exec::new("sh")
        .args(["-c", command])
        .envs(place::clean_env())
        .env(variable, "1")
        .env("ORG_OUT", out.display().to_string())
        .cwd(&checkout)
        .output(LIMIT)?;
    let wall = clock::monotonic() - began;
    let text = format!(
        "{}\n{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
    if said.timed_out || !said.status.success() {
        let how = if said.timed_out {
            format!("was ended after {} s", LIMIT.as_secs())
        } else {
            format!("ended with {}", said.status)
        };
        let mut failure = Failure::refused(
            format!("`{command}` {how}"),
            "make it work in a fresh clone first, or write the chart by hand: org init",
        );
        let lines: Vec<&str> = text.trim().lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        failure.causes = last.iter().map(|line| (*line).to_owned()).collect();
        return Err(failure);
    }
    Ok(Tried {
        repo: source.canonicalize()?,
        command: command.to_owned(),
        proposal: propose::propose(&text),
        seed,
        wall,
    })
}

/// Looks for the seed's variable in the programs at the top and one level down.
fn seed_variable(checkout: &Path) -> Option<String> {
    let mut dirs = vec![checkout.to_owned()];
    let mut texts = String::new();
    for depth in 0..2 {
        for dir in std::mem::take(&mut dirs) {
            let mut entries: Vec<_> = std::fs::read_dir(dir).ok()?.flatten().collect();
            entries.sort_by_key(std::fs::DirEntry::file_name);
            for entry in entries {
                let path = entry.path();
                let kind = entry.file_type().ok()?;
                let source = path
                    .extension()
                    .is_some_and(|end| SOURCES.iter().any(|source| end == *source));
                if kind.is_dir() && depth == 0 {
                    dirs.push(path);
                } else if kind.is_file() && source {
                    let bytes = crate::os::files::read_capped(&path, SOURCE_CAP);
                    texts.push_str(&String::from_utf8_lossy(&bytes.unwrap_or_default()));
                }
            }
        }
    }
    propose::seed_variable(&texts)
}

impl Tried {
    /// The starter chart with what is known in it.
    pub(super) fn fill(&self, starter: &str) -> String {
        let mut lines: Vec<String> = Vec::new();
        for line in starter.lines() {
            match line.split(['=', ' ']).next().unwrap_or_default() {
                "repo" => lines.push(format!(
                    "repo   = {}",
                    basic(&self.repo.display().to_string())
                )),
                "run" => lines.push(format!("run    = {}", basic(&self.command))),
                "metric" => lines.push(self.metric()),
                _ if line.starts_with("# seed") => lines.push(self.seed_line()),
                _ if line.starts_with("# timeout") => lines.extend(self.timing(line)),
                _ if line.starts_with("# [task.measure]") => lines.extend(self.measures(line)),
                _ if line.starts_with("# flops") && self.has_measures() => {}
                _ if line.starts_with("# match") && self.proposal.flops.is_some() => {
                    lines.push(line.trim_start_matches("# ").to_owned());
                }
                _ => lines.push(line.to_owned()),
            }
        }
        lines.join("\n") + "\n"
    }

    /// What a person should look at first.
    pub(super) fn words(&self) -> String {
        let took = self.wall.as_secs_f64();
        match &self.proposal.metric {
            Some(metric) => format!(
                "it took {took:.1} s and printed {:?}, which is proposed as the metric",
                metric.printed.name
            ),
            None if self.proposal.names.is_empty() => format!(
                "it took {took:.1} s and printed no `name: number`; the chart's metric is a guess"
            ),
            None => format!(
                "it took {took:.1} s; which of these is the metric is for you to say: {}",
                self.proposal.names.join(", ")
            ),
        }
    }

    fn metric(&self) -> String {
        let Some(metric) = &self.proposal.metric else {
            let other = self.proposal.names.first();
            let name = other.map_or("val_loss", String::as_str);
            return format!(
                "metric = {{ name = {}, goal = \"min\", pattern = {} }}  # a guess: nothing that was printed looks like one",
                basic(&word(name)),
                literal(&format!(r"{}\s*[:=]\s*([-+0-9.eE]+)", regex::escape(name))),
            );
        };
        let goal = match metric.goal {
            Goal::Min => "min",
            Goal::Max => "max",
        };
        let take = if metric.take == Take::Only {
            ""
        } else {
            ", take = \"last\""
        };
        let (name, pattern) = (&metric.printed.name, &metric.printed.pattern);
        format!(
            "metric = {{ name = {}, goal = \"{goal}\", pattern = {}{take} }}",
            basic(&word(name)),
            literal(pattern)
        )
    }

    fn seed_line(&self) -> String {
        match &self.seed {
            Some(name) => format!(
                "seed   = {}  # the variable in which a run finds its seed; its source reads it",
                basic(name)
            ),
            None => {
                "# seed = \"ORG_SEED\"  # nothing in the source reads a seed from its environment: \
                     until something does, all runs share one"
                    .to_owned()
            }
        }
    }

    fn timing(&self, line: &str) -> Vec<String> {
        let took = self.wall.as_secs_f64();
        let mut lines = vec![format!("{line}; the one run took {took:.1} s")];
        if let Some(progress) = &self.proposal.progress {
            lines.push(format!(
                "progress = {}  # done and total, for the time left",
                literal(progress)
            ));
        }
        lines
    }

    fn has_measures(&self) -> bool {
        let Proposal {
            flops,
            params,
            tokens,
            ..
        } = &self.proposal;
        flops.is_some() || params.is_some() || tokens.is_some()
    }

    fn measures(&self, line: &str) -> Vec<String> {
        if !self.has_measures() {
            return vec![line.to_owned()];
        }
        let mut lines = vec![line.trim_start_matches("# ").to_owned()];
        for (key, printed) in [
            ("flops ", &self.proposal.flops),
            ("params", &self.proposal.params),
            ("tokens", &self.proposal.tokens),
        ] {
            if let Some(printed) = printed {
                lines.push(format!("{key} = {}", literal(&printed.pattern)));
            }
        }
        lines
    }
}

/// A printed name as a metric's: `Validation bpb` becomes `validation_bpb`.
fn word(name: &str) -> String {
    name.to_lowercase().replace([' ', '/', '-', '.'], "_")
}

fn basic(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

/// A literal TOML string, where the text can be one.
fn literal(text: &str) -> String {
    if text.contains('\'') {
        basic(text)
    } else {
        format!("'{text}'")
    }
}
