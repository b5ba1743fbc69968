//! The rows of each panel.
//!
//! Owns what stands in a row and which of it gives way first. Must not know where a panel is drawn.

use ratatui::text::Line;
use unicode_width::UnicodeWidthStr as _;

use super::board::{Board, Device, Run};
use super::choice::Focus;
use super::columns::{Row, Target, cell, lay, number, safe, span};
use crate::domain::event::{RunStatus, Status as Claimed};
use crate::domain::state::{Hypothesis, Mail};
use crate::view::figure;
use crate::view::paint::Tint;
use crate::view::status::AgentRow;

/// Cells of a progress bar.
const BAR: usize = 12;
/// Columns of the runs below which a bar is short and a value stands alone.
const NARROW: usize = 56;
/// Levels of a bar's last cell.
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

impl Board {
    /// What stands in a panel of that width.
    pub(super) fn rows(&self, panel: Focus, width: usize) -> Vec<Row> {
        match panel {
            Focus::Org => self.org(width),
            Focus::Runs => self.runs(width),
            Focus::Claims => self.claims(width),
            Focus::Mail => self.mail(width),
            Focus::News => self.news(width),
            Focus::Needs => self.needs(width),
            Focus::Curve => Vec::new(),
        }
    }

    /// A panel's heading.
    pub(super) fn heading(&self, panel: Focus) -> String {
        let runs = self.status.experiments;
        match panel {
            Focus::Org => format!("org {}", self.tree.len()),
            Focus::Runs => format!(
                "runs {} running {} queued {} ended",
                runs.running, runs.queued, runs.done
            ),
            Focus::Claims => {
                let tally = &self.status.hypotheses;
                let parts: Vec<String> = tally
                    .iter()
                    .map(|(word, n)| format!("{n} {word}"))
                    .collect();
                format!("claims {}", parts.join(" "))
            }
            Focus::Mail => {
                let unread = self
                    .mails
                    .iter()
                    .filter(|mail| unread(mail).is_some())
                    .count();
                format!("mail {} sent {unread} unread", self.mails.len())
            }
            Focus::News => "news".to_owned(),
            Focus::Needs => format!("needs you {}", self.status.needs_you.len()),
            Focus::Curve => self.best(),
        }
    }

    /// The best so far, in words.
    pub(super) fn best(&self) -> String {
        let (metric, _) = &self.metric;
        let best = self.status.best.as_ref();
        match (best, self.curve.best.last()) {
            (Some(best), _) => format!(
                "best {metric} {} by {}",
                figure::number(best.value),
                best.hypothesis
            ),
            (None, Some((_, value))) => format!("baseline {metric} {}", figure::number(*value)),
            (None, None) => format!("{metric} not measured yet"),
        }
    }

    fn org(&self, width: usize) -> Vec<Row> {
        let now = self.moment.now;
        let rows = self.tree.iter().map(|member| {
            let agent: &AgentRow = &self.status.agents[member.row];
            let since = agent.since.map(|since| figure::ago(since, now));
            let claim = member.claim.map(|(id, word)| format!("h{id} {word}"));
            let gpu = agent.gpu.map(|gpu| format!("g{gpu}"));
            let mail = match agent.unread {
                0 => String::new(),
                n => format!("{n} unread"),
            };
            // A reason that only repeats the state is noise here.
            let why = match agent.state {
                "held" | "unknown" | "paused" | "stopped" | "tool" => agent.reason.as_str(),
                "thinking" if agent.reason.contains("waiting") => agent.reason.as_str(),
                _ => "",
            };
            let last = match agent.tasks.first() {
                Some(task) if why.is_empty() => {
                    cell(Tint::Dim, format!("{} {}", task.id, task.task))
                }
                _ => cell(Tint::Notable, why),
            };
            let cells = vec![
                cell(Tint::Bold, format!("{}{}", member.branch, agent.name)),
                cell(state_tint(agent.state), agent.state),
                number(Tint::Dim, since.unwrap_or_default()),
                cell(Tint::None, gpu.unwrap_or_default()),
                cell(Tint::None, claim.unwrap_or_default()),
                number(Tint::Dim, format!("{:.0}%", member.context * 100.0)),
                number(Tint::Dim, format!("${:.2}", agent.usd)),
                cell(Tint::Notable, mail),
                last,
            ];
            (cells, Target::Agent(agent.name.clone()))
        });
        lay(rows.collect(), &[5, 6, 3, 7, 4, 2], width)
    }

    fn runs(&self, width: usize) -> Vec<Row> {
        let rows = self.runs.iter().map(|one| {
            let run = &one.run;
            let claim = run.hypothesis.map(|claim| format!(" h{claim}"));
            let what = format!(
                "{} {}{}",
                figure::word(&run.stage),
                figure::word(&run.arm),
                claim.unwrap_or_default()
            );
            let gpus: Vec<String> = run
                .gpus
                .iter()
                .map(|gpu| format!("g{}", gpu.index))
                .collect();
            let cells = vec![
                cell(Tint::Bold, format!("e{}", run.id)),
                cell(run_tint(run.status), run.status.word()),
                cell(Tint::None, what),
                cell(Tint::Dim, gpus.join(" ")),
                cell(Tint::Dim, run.agent.clone().unwrap_or_default()),
                cell(Tint::None, self.how_far(one, width < NARROW)),
            ];
            (cells, Target::Run(run.id))
        });
        lay(rows.collect(), &[4, 3], width)
    }

    /// A running one's progress, a queued one's place, an ended one's value or why not.
    fn how_far(&self, one: &Run, narrow: bool) -> String {
        let run = &one.run;
        match run.status {
            RunStatus::Running => {
                let cells = if narrow { BAR / 3 } else { BAR };
                let bar = one
                    .done
                    .map(|done| format!("{}{:3.0}% ", bar(done, cells), done * 100.0));
                let gone = run.started_at.map(|at| figure::ago(at, self.moment.now));
                let left = match (one.left_s, one.done) {
                    (Some(left), Some(_)) if narrow => figure::span(left.ceil()),
                    (Some(left), Some(_)) => format!("{} left", figure::span(left.ceil())),
                    (Some(left), None) if left > 0.0 => {
                        format!("about {} left", figure::span(left.ceil()))
                    }
                    (Some(_), None) => "longer than usual".to_owned(),
                    (None, _) => format!("for {}", gone.unwrap_or_default()),
                };
                format!("{}{left}", bar.unwrap_or_default())
            }
            RunStatus::Queued if run.attempt > 0 => format!("no. {}, again", one.place),
            RunStatus::Queued => format!("no. {}", one.place),
            _ => match run.measured.value {
                Some(value) if narrow => figure::number(value),
                Some(value) => format!(
                    "{} in {}",
                    figure::number(value),
                    figure::span(run.measured.wall_s)
                ),
                None => run.reason.clone(),
            },
        }
    }

    fn claims(&self, width: usize) -> Vec<Row> {
        let rows = self.claims.iter().map(|claim| {
            let cells = vec![
                cell(Tint::Bold, format!("h{}", claim.id)),
                cell(claim_tint(claim), claim.status.word()),
                cell(Tint::None, effect(claim)),
                cell(Tint::Dim, &claim.agent),
                cell(Tint::None, &claim.title),
            ];
            (cells, Target::Claim(claim.id))
        });
        lay(rows.collect(), &[3, 2], width)
    }

    fn mail(&self, width: usize) -> Vec<Row> {
        let rows = self.mails.iter().map(|mail| {
            let waits = unread(mail);
            let (mark, tint) = match &waits {
                Some(_) => ("●", Tint::Notable),
                None => (" ", Tint::Dim),
            };
            let to = match mail.to.as_slice() {
                [one] => one.clone(),
                many => format!("{} people", many.len()),
            };
            let cells = vec![
                cell(tint, mark),
                number(Tint::Dim, format!("m{}", mail.id)),
                number(Tint::Dim, figure::ago(mail.at, self.moment.now)),
                cell(Tint::None, format!("{} → {to}", mail.from)),
                cell(Tint::None, &mail.subject),
            ];
            (cells, Target::Mail(mail.id))
        });
        lay(rows.collect(), &[1, 2], width)
    }

    fn news(&self, width: usize) -> Vec<Row> {
        let rows = self.news.iter().map(|news| {
            let cells = vec![
                number(Tint::Dim, figure::ago(news.at, self.moment.now)),
                cell(Tint::Bold, &news.who),
                cell(news.tint, &news.text),
            ];
            (cells, Target::Nothing)
        });
        lay(rows.collect(), &[0], width)
    }

    fn needs(&self, width: usize) -> Vec<Row> {
        let rows = self.status.needs_you.iter().enumerate().map(|(at, need)| {
            let cells = vec![
                number(Tint::Dim, figure::ago(need.since, self.moment.now)),
                cell(Tint::Bad, need.agent.as_deref().unwrap_or("run")),
                cell(Tint::None, &need.reason),
            ];
            (cells, Target::Need(at, need.agent.clone()))
        });
        lay(rows.collect(), &[0], width)
    }

    /// The devices, flowing over as many lines as they need.
    pub(super) fn strip(&self, width: usize) -> Vec<Line<'static>> {
        let cells: Vec<(String, Tint)> = self.gpus.iter().map(of_device).collect();
        let wide = cells
            .iter()
            .map(|(text, _)| text.width())
            .max()
            .unwrap_or(0)
            + 2;
        let abreast = ((width + 2) / wide).max(1);
        cells
            .chunks(abreast)
            .map(|cells| {
                let spans = cells.iter().map(|(text, tint)| {
                    let pad = " ".repeat(wide - text.width());
                    span(*tint, format!("{text}{pad}"))
                });
                Line::from(spans.collect::<Vec<_>>())
            })
            .collect()
    }

    /// What the strip is called: a simulated device has nothing that could be measured.
    pub(super) fn strip_heading(&self) -> String {
        let busy = self
            .gpus
            .iter()
            .filter(|device| device.run.is_some())
            .count();
        let count = self.gpus.len();
        let simulated = self.gpus.iter().all(|device| device.gpu.simulated);
        if count == 0 {
            "no GPU".to_owned()
        } else if simulated {
            format!("GPUs, simulated: {busy} of {count} leased, no use to measure")
        } else {
            format!("GPUs: {busy} of {count} leased")
        }
    }
}

fn of_device(device: &Device) -> (String, Tint) {
    let index = device.gpu.index;
    let doing = match (device.run, &device.home) {
        (Some(run), _) => format!("e{run}"),
        (None, Some(home)) => safe(home),
        (None, None) => "free".to_owned(),
    };
    let tint = if device.run.is_some() {
        Tint::Good
    } else {
        Tint::Dim
    };
    let used = device.used.map_or_else(String::new, |used| {
        let memory = |mb: u64| format!("{:.0}", mb as f64 / 1024.0);
        let busy = used
            .busy_percent
            .map_or_else(|| "?".to_owned(), |busy| format!("{busy}%"));
        format!(
            " {busy} {}/{}G",
            memory(used.used_mb),
            memory(used.total_mb)
        )
    });
    (format!("{index}:{doing}{used}"), tint)
}

/// A bar of `cells` cells.
pub(super) fn bar(share: f64, cells: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * cells as f64 * 8.0).round() as usize;
    let mut text = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        text.push(EIGHTHS[eighths % 8]);
    }
    let used = eighths.div_ceil(8);
    text + &"░".repeat(cells - used)
}

/// Who has not taken a message in.
fn unread(mail: &Mail) -> Option<String> {
    let waits: Vec<&str> = mail
        .to
        .iter()
        .filter(|to| !mail.read_by.contains(*to))
        .map(String::as_str)
        .collect();
    (!waits.is_empty()).then(|| waits.join(", "))
}

/// What was measured of a claim, or why nothing was.
fn effect(claim: &Hypothesis) -> String {
    match &claim.verdict {
        Some(verdict) => match (verdict.effect, figure::bounded(verdict.ci)) {
            (Some(effect), Some(_)) => format!(
                "{} {}",
                figure::signed(effect),
                figure::interval(figure::bounded(verdict.ci))
            ),
            (Some(effect), None) => figure::signed(effect),
            _ => String::new(),
        },
        None => String::new(),
    }
}

fn claim_tint(claim: &Hypothesis) -> Tint {
    match claim.status {
        Claimed::Promoted => Tint::Good,
        Claimed::Confirmed | Claimed::Reviewed => Tint::Bold,
        Claimed::Undecided | Claimed::Parked | Claimed::Withdrawn | Claimed::Contended => {
            Tint::Notable
        }
        status if status.is_exit() => Tint::Bad,
        _ => Tint::None,
    }
}

fn run_tint(status: RunStatus) -> Tint {
    match status {
        RunStatus::Running => Tint::Good,
        RunStatus::Queued | RunStatus::Ok => Tint::Dim,
        RunStatus::Cancelled | RunStatus::Interrupted | RunStatus::Contended => Tint::Notable,
        _ => Tint::Bad,
    }
}

fn state_tint(state: &str) -> Tint {
    match state {
        "thinking" | "tool" => Tint::Good,
        "held" | "unknown" => Tint::Bad,
        "paused" | "starting" => Tint::Notable,
        _ => Tint::Dim,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_it_says() {
        for (share, text) in [
            (0.0, "░░░░"),
            (0.5, "██░░"),
            (0.53, "██▏░"),
            (1.0, "████"),
            (7.0, "████"),
            (f64::NAN, "░░░░"),
        ] {
            assert_eq!(bar(share, 4), text, "{share}");
        }
    }
}
