//! A page that lies over the panels: what is known of one thing, or the keys.
//!
//! Owns what is told of each. Must not know how a page is scrolled.

use std::io;

use unicode_width::UnicodeWidthStr as _;

use super::board::Board;
use super::columns::{Target, safe};
use crate::domain::event::Text;
use crate::domain::state::{Experiment, Hypothesis, Mail, State};
use crate::view::figure;
use crate::view::paint::Tint;

/// What each key does.
const KEYS: [(&str, &str); 14] = [
    ("Tab ← → 1-7", "another panel"),
    ("↑ ↓ j k PgUp PgDn", "another row"),
    (
        "Enter",
        "an agent's pane; else all that is known of the row",
    ),
    ("o", "all that is known of the row"),
    ("p", "pause the chosen agent, or let it go on"),
    ("P P", "pause all agents, or let all go on"),
    ("n", "what needs you, oldest first"),
    ("a a / d d", "approve or deny what is chosen there"),
    ("c c", "call the chosen run or claim off"),
    ("[ ]", "one thing that happened back or forward"),
    ("{ }", "twenty of them"),
    ("L", "follow the log again"),
    ("?", "this page"),
    ("q", "quit; the run goes on"),
];

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its heading.
    pub title: String,
    /// Its lines, not yet wrapped.
    pub lines: Vec<(Tint, String)>,
}

impl Page {
    /// Rows that it takes at `columns`: at least as many as it is then drawn on.
    pub(super) fn height(&self, columns: usize) -> usize {
        let rows = |text: &String| text.width().div_ceil((columns * 3 / 4).max(1)).max(1);
        self.lines.iter().map(|(_, text)| rows(text)).sum()
    }

    /// The keys.
    #[must_use]
    pub fn help() -> Self {
        let lines = KEYS
            .iter()
            .map(|(key, does)| (Tint::None, format!("{key:<18} {does}")));
        Self {
            title: "keys".to_owned(),
            lines: lines.collect(),
        }
    }
}

/// All that is known of something. `whole` gives a text's full length.
///
/// # Errors
/// Where a text cannot be had.
pub fn page(
    (board, state): (&Board, &State),
    target: &Target,
    mut whole: impl FnMut(&Text) -> io::Result<String>,
) -> io::Result<Option<Page>> {
    Ok(match target {
        Target::Nothing => None,
        Target::Agent(name) => of_agent(board, name),
        Target::Need(at, who) => board.status.needs_you.get(*at).map(|need| Page {
            title: format!("{} needs you", safe(who.as_deref().unwrap_or("the run"))),
            lines: vec![
                (
                    Tint::Dim,
                    format!("since {}", figure::ago(need.since, board.moment.now)),
                ),
                (Tint::None, safe(&need.reason)),
                (Tint::None, format!("type: {}", safe(&need.command))),
            ],
        }),
        Target::Run(id) => match state.experiments.get(id) {
            Some(run) => Some(of_run(run, &whole(&run.tail)?)),
            None => None,
        },
        Target::Claim(id) => state.hypotheses.get(id).map(of_claim),
        Target::Mail(id) => match state.mails.get(id) {
            Some(mail) => Some(of_mail(mail, &whole(&mail.body)?)),
            None => None,
        },
    })
}

fn of_agent(board: &Board, name: &str) -> Option<Page> {
    let agent = board
        .status
        .agents
        .iter()
        .find(|agent| agent.name == name)?;
    let tokens = agent.tokens;
    let mut lines = vec![
        fact("state", agent.state),
        fact("why", &agent.reason),
        fact("role", &agent.role),
        fact("model", &agent.model),
        fact("branch", agent.branch.as_deref().unwrap_or("none yet")),
        fact("worktree", agent.worktree.as_deref().unwrap_or("none yet")),
        fact("turns", agent.turns.to_string()),
        fact(
            "tokens",
            format!(
                "{} in, {} out, {} from cache, {} into cache",
                figure::count(tokens.input),
                figure::count(tokens.output),
                figure::count(tokens.cache_read),
                figure::count(tokens.cache_write)
            ),
        ),
        fact("spent", format!("${:.4}", agent.usd)),
        fact("unread", agent.unread.to_string()),
    ];
    for task in &agent.tasks {
        let since = figure::ago(task.since, board.moment.now);
        let text = format!("on it for {since}, from {}: {}", task.from, task.task);
        lines.push(fact(&task.id, text));
    }
    for claim in board.claims.iter().filter(|claim| claim.agent == name) {
        let id = format!("h{}", claim.id);
        let text = format!("{}: {}", claim.status.word(), claim.title);
        lines.push(fact(&id, text));
    }
    Some(known(safe(name), lines))
}

fn of_run(run: &Experiment, tail: &str) -> Page {
    let measured = &run.measured;
    let some = |value: Option<f64>| value.map_or_else(|| "not measured".to_owned(), figure::number);
    let mut lines = vec![
        fact("status", run.status.word()),
        fact("why", &run.reason),
        fact(
            "what",
            format!("{} {}", figure::word(&run.stage), figure::word(&run.arm)),
        ),
        fact("by", run.agent.as_deref().unwrap_or("lab")),
        fact("commit", figure::commit(&run.commit)),
        fact("seed", run.seed.to_string()),
        fact("note", &run.note),
    ];
    if run.finished_at.is_some() {
        lines.extend([
            fact("metric", some(measured.value)),
            fact("wall", figure::span(measured.wall_s)),
            fact("GPU", figure::span(measured.gpu_s)),
            fact("peak memory", format!("{:.0} MiB", measured.peak_mem_mb)),
            fact("FLOPs", some(measured.flops)),
        ]);
    }
    if let Some(claim) = run.hypothesis {
        lines.insert(3, fact("claim", format!("h{claim}")));
    }
    if !tail.trim().is_empty() {
        lines.push(Some((Tint::Bold, "its last lines".to_owned())));
        lines.extend(tail.lines().map(|line| Some((Tint::None, safe(line)))));
    }
    known(format!("e{}", run.id), lines)
}

fn of_claim(claim: &Hypothesis) -> Page {
    let mut lines = vec![
        fact("status", claim.status.word()),
        fact("why", &claim.reason),
        fact("by", &claim.agent),
        fact(
            "claim",
            format!("{} on {}", claim.claim.word(), figure::word(&claim.axis)),
        ),
        fact("mechanism", &claim.mechanism),
        fact("predicts", figure::signed(claim.predicts)),
        fact("refuted by", &claim.refuted_by),
        fact(
            "commit",
            claim.commit.as_deref().map_or("none", figure::commit),
        ),
    ];
    if let Some(found) = &claim.verdict {
        let effect = found.effect.map(figure::signed);
        let p = found.p.map(figure::probability);
        lines.push(fact("effect", effect.unwrap_or_default()));
        lines.push(fact(
            "interval",
            figure::interval(figure::bounded(found.ci)),
        ));
        lines.push(fact("p", p.unwrap_or_default()));
        for (name, arm) in [
            ("baseline", &found.baseline),
            ("candidate", &found.candidate),
        ] {
            let text = format!(
                "{} sd {} (n {})",
                figure::number(arm.mean),
                figure::number(arm.sd),
                arm.n
            );
            lines.push(fact(name, text));
        }
        let runs: Vec<String> = found.runs.iter().map(|run| format!("e{run}")).collect();
        lines.push(fact("runs", runs.join(" ")));
    }
    known(format!("h{} {}", claim.id, safe(&claim.title)), lines)
}

fn of_mail(mail: &Mail, body: &str) -> Page {
    let read: Vec<&str> = mail.read_by.iter().map(String::as_str).collect();
    let read = if read.is_empty() {
        "nobody yet".to_owned()
    } else {
        read.join(", ")
    };
    let mut lines = vec![
        fact("from", &mail.from),
        fact("to", mail.to.join(", ")),
        fact("taken in by", read),
        Some((Tint::None, String::new())),
    ];
    lines.extend(body.lines().map(|line| Some((Tint::None, safe(line)))));
    known(format!("m{} {}", mail.id, safe(&mail.subject)), lines)
}

/// A line of what is known; none where nothing is.
fn fact(name: &str, value: impl AsRef<str>) -> Option<(Tint, String)> {
    let value = safe(value.as_ref());
    (!value.is_empty()).then(|| (Tint::None, format!("{name:<12} {value}")))
}

fn known(title: String, lines: Vec<Option<(Tint, String)>>) -> Page {
    let lines = lines.into_iter().flatten().collect();
    Page { title, lines }
}
