//! What happens to an agent, as lines of text. Pure: the same shows at the same width give the
//! same lines. Must not know where a show comes from nor where the lines go.
//!
//! Whose words they are is told by a mark at a line's beginning, which is then taken from
//! everybody else: what a model or tool prints cannot look like mail, a person or a verdict.

use std::collections::VecDeque;

use super::board::{Standing, standing_lines};
use super::line::{Line, Tone};
use super::text::{Cleaner, clean, clean_line, width, wrap};

/// Before the words of mail, people and the lab.
const BAR: char = '▌';
/// Before a tool call.
const CALL: char = '»';
/// Before what the pane itself says.
const ASIDE: char = '–';

/// Lines of a call's detail, and of a diff; the whole is in the log.
const MOST_DETAIL: usize = 6;
const MOST_DIFF: usize = 16;
/// Lines of a mail or a person's words; the whole is in the inbox.
const MOST_BODY: usize = 40;
/// Rows of the claims that a person asked for.
const MOST_CLAIMS: usize = 60;
/// Calls in flight that are remembered; models make a handful.
const MOST_CALLS: usize = 64;
/// Below this width a blank line between turns is a waste.
const ROOMY: usize = 60;

/// Something to be shown. Texts may be foreign and are cleaned here.
#[derive(Clone, Debug, PartialEq)]
pub enum Show {
    /// A piece of the model's text, as it streams in or whole.
    Said {
        /// The next piece.
        text: String,
    },
    /// A piece of a summary of its thinking.
    Thought {
        /// The next piece.
        text: String,
    },
    /// A tool call begins.
    Call {
        /// The tool's name.
        tool: String,
        /// Its arguments in a few words.
        brief: String,
    },
    /// A tool call has ended.
    CallDone {
        /// The tool's name.
        tool: String,
        /// Whether it did what was asked.
        ok: bool,
        /// The result in a few words.
        brief: String,
        /// Some lines of it; a diff is coloured.
        detail: String,
    },
    /// Mail was taken in.
    Mail {
        /// Sender.
        from: String,
        /// Subject.
        subject: String,
        /// Body.
        body: String,
    },
    /// A person's words were taken in.
    Human {
        /// What was typed.
        text: String,
    },
    /// An experiment or hypothesis has come to a status.
    Result {
        /// `e7`, `h3`.
        id: String,
        /// The status's word.
        status: String,
        /// Metric and interval, or why.
        text: String,
    },
    /// The agent's state changed; shown here only with a reason, since the status row has the word.
    State {
        /// The state's word.
        word: String,
        /// Why; may be empty.
        reason: String,
    },
    /// The pane's own word.
    Notice {
        /// What is to be said.
        text: String,
    },
    /// What a person asked the pane for, in lines.
    Told {
        /// Each line and how it is meant.
        lines: Vec<(Tone, String)>,
    },
    /// The claims, which a person asked the pane for.
    Claims(Standing),
    /// The model's turn is over.
    TurnEnd,
}

/// Whose text is streaming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Voice {
    Said,
    Thought,
}

/// Text that has begun and not ended.
#[derive(Debug)]
struct Flow {
    voice: Voice,
    cleaner: Cleaner,
    /// What is not yet shown of the line that is being written.
    pending: String,
    /// Whether that line has rows that are shown already.
    broken: bool,
}

/// Turns shows into lines, remembering what is unfinished.
#[derive(Debug, Default)]
pub struct Feed {
    flow: Option<Flow>,
    calls: VecDeque<(String, String)>,
    quiet: bool,
}

impl Feed {
    /// The lines that `show` finishes, at `columns`.
    pub fn push(&mut self, show: &Show, columns: usize) -> Vec<Line> {
        match show {
            Show::Said { text } => return self.stream(Voice::Said, text, columns),
            Show::Thought { text } => return self.stream(Voice::Thought, text, columns),
            _ => {}
        }
        let mut lines = self.settle();
        match show {
            Show::Call { tool, brief } => {
                if self.calls.len() == MOST_CALLS {
                    self.calls.pop_front();
                }
                self.calls.push_back((clean_line(tool), clean_line(brief)));
            }
            Show::CallDone {
                tool,
                ok,
                brief,
                detail,
            } => {
                lines.extend(self.done(tool, *ok, brief, detail, columns));
            }
            Show::Mail {
                from,
                subject,
                body,
            } => {
                let head = format!("{}: {}", clean_line(from), clean_line(subject));
                lines.extend(card(Tone::Mail, &head, body, columns));
            }
            Show::Human { text } => {
                let (head, body) = text.trim().split_once('\n').unwrap_or((text, ""));
                let head = format!("you: {}", clean_line(head));
                lines.extend(card(Tone::Human, &head, body, columns));
            }
            Show::Result { id, status, text } => {
                lines.extend(verdict(id, status, text, columns));
            }
            Show::State { word, reason } if !reason.is_empty() => {
                lines.extend(aside(&format!("{word}: {reason}"), columns));
            }
            Show::Notice { text } => lines.extend(aside(text, columns)),
            Show::Told { lines: told } => {
                for (tone, text) in told {
                    lines.extend(asides(*tone, text, columns));
                }
            }
            Show::Claims(standing) => {
                lines.extend(standing_lines(standing, columns, MOST_CLAIMS));
            }
            Show::TurnEnd => lines.extend(self.end_turn(columns)),
            Show::State { .. } | Show::Said { .. } | Show::Thought { .. } => {}
        }
        self.quiet = self.quiet && lines.is_empty();
        lines
    }

    /// The unfinished row: text that is streaming in, or the call that runs.
    #[must_use]
    pub fn tail(&self, columns: usize) -> Option<Line> {
        if let Some(flow) = &self.flow {
            let rows = wrap(&flow.pending, flow.voice.room(columns));
            let row = rows.last().filter(|row| !row.is_empty())?;
            return Some(flow.voice.row(row, flow.broken).clipped(columns));
        }
        let (tool, brief) = self.calls.back()?;
        let call = Line::of(Tone::Tool, format!("{CALL} {tool} "));
        Some(call.and(Tone::Dim, format!("{brief} …")).clipped(columns))
    }

    /// The terminal is `columns` wide now: gives out what of the unfinished text has become full
    /// rows.
    pub fn rewrap(&mut self, columns: usize) -> Vec<Line> {
        match &self.flow {
            Some(flow) => self.stream(flow.voice, "", columns),
            None => Vec::new(),
        }
    }

    /// Takes a piece of streaming text in, and gives out the rows that cannot change any more.
    fn stream(&mut self, voice: Voice, text: &str, columns: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        if self.flow.as_ref().is_some_and(|flow| flow.voice != voice) {
            lines = self.settle();
        }
        let flow = self.flow.get_or_insert_with(|| Flow {
            voice,
            cleaner: Cleaner::default(),
            pending: String::new(),
            broken: false,
        });
        let cleaned = flow.cleaner.clean(text);
        let mut parts = cleaned.split('\n');
        flow.pending.push_str(parts.next().unwrap_or_default());
        for part in parts {
            flow.rows(true, columns, &mut lines);
            flow.pending.push_str(part);
        }
        flow.rows(false, columns, &mut lines);
        self.quiet = self.quiet && lines.is_empty();
        lines
    }

    /// Ends streaming text where it is.
    fn settle(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Some(mut flow) = self.flow.take()
            && !flow.pending.trim().is_empty()
        {
            // At most one row is pending, whatever the width was.
            flow.rows(true, usize::MAX, &mut lines);
        }
        lines
    }

    fn end_turn(&mut self, columns: usize) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for (tool, brief) in std::mem::take(&mut self.calls) {
            let line = Line::of(Tone::Tool, format!("{CALL} {tool} "));
            lines.push(
                line.and(Tone::Dim, format!("{brief} (no result)"))
                    .clipped(columns),
            );
        }
        if columns >= ROOMY && !self.quiet {
            lines.push(Line::default());
        }
        self.quiet = true;
        lines
    }

    /// A call and its result on one line where they fit, and the detail below.
    fn done(
        &mut self,
        tool: &str,
        ok: bool,
        brief: &str,
        detail: &str,
        columns: usize,
    ) -> Vec<Line> {
        let (tool, brief) = (clean_line(tool), clean_line(brief));
        let at = self.calls.iter().position(|(name, _)| *name == tool);
        let asked = at
            .and_then(|at| self.calls.remove(at))
            .map(|(_, asked)| asked);
        let asked = asked.unwrap_or_default();
        let (tone, sign) = if ok {
            (Tone::Good, "→ ")
        } else {
            (Tone::Bad, "✗ ")
        };
        let head = Line::of(Tone::Tool, format!("{CALL} {tool} ")).and(Tone::Plain, asked);
        let result = format!("{sign}{brief}");
        let mut lines = Vec::new();
        if head.width() + 1 + width(&result) <= columns {
            lines.push(head.and(Tone::Plain, " ").and(tone, result));
        } else {
            lines.push(head.clipped(columns));
            lines.push(Line::of(tone, format!("  {result}")).clipped(columns));
        }
        let detail = clean(detail);
        let diff = is_diff(&detail);
        let (rows, more) = some_rows(&detail, if diff { MOST_DIFF } else { MOST_DETAIL });
        for row in rows {
            lines.push(Line::of(detail_tone(row, diff), format!("  {row}")).clipped(columns));
        }
        if more > 0 {
            lines.push(Line::of(Tone::Dim, format!("  … {more} more lines")).clipped(columns));
        }
        lines
    }
}

impl Voice {
    /// Columns for the text itself.
    fn room(self, columns: usize) -> usize {
        match self {
            Self::Said => columns,
            Self::Thought => columns.saturating_sub(2).max(1),
        }
    }

    /// A row of this voice; `inner` where its line began on an earlier row.
    fn row(self, row: &str, inner: bool) -> Line {
        match self {
            Self::Said => Line::of(
                Tone::Plain,
                if inner { row.to_owned() } else { disarm(row) },
            ),
            Self::Thought => Line::of(Tone::Dim, format!("· {row}")),
        }
    }
}

impl Flow {
    /// Gives out the rows of the pending line that are settled: all of them at its end.
    fn rows(&mut self, ended: bool, columns: usize, lines: &mut Vec<Line>) {
        let mut rows = wrap(&self.pending, self.voice.room(columns));
        let last = rows.pop().unwrap_or_default();
        for row in rows {
            lines.push(self.voice.row(&row, self.broken));
            self.broken = true;
        }
        if ended {
            lines.push(self.voice.row(&last, self.broken));
            self.pending.clear();
            self.broken = false;
        } else {
            self.pending = last;
        }
    }
}

/// A bar, a heading, and the words below it behind the same bar.
fn card(tone: Tone, head: &str, body: &str, columns: usize) -> Vec<Line> {
    let room = columns.saturating_sub(2).max(1);
    let mut lines: Vec<Line> = Vec::new();
    for row in wrap(head, room) {
        lines.push(Line::of(tone, format!("{BAR} ")).and(Tone::Strong, row));
    }
    let body = clean(body);
    let rows: Vec<String> = body
        .trim()
        .lines()
        .flat_map(|line| wrap(line.trim_end(), room))
        .collect();
    let more = rows.len().saturating_sub(MOST_BODY);
    for row in rows
        .into_iter()
        .take(MOST_BODY)
        .filter(|_| !body.trim().is_empty())
    {
        lines.push(Line::of(tone, format!("{BAR} ")).and(Tone::Plain, row));
    }
    if more > 0 {
        lines
            .push(Line::of(tone, format!("{BAR} ")).and(Tone::Dim, format!("… {more} more lines")));
    }
    lines
}

/// One line from the lab.
fn verdict(id: &str, status: &str, text: &str, columns: usize) -> Vec<Line> {
    let status = clean_line(status);
    let tone = match status.as_str() {
        "ok" | "screened" | "confirmed" | "reviewed" | "promoted" => Tone::Good,
        "registered" | "smoke" | "queued" | "running" => Tone::Plain,
        "undecided" | "parked" | "contended" | "withdrawn" | "cancelled" | "interrupted" => {
            Tone::Warn
        }
        _ => Tone::Bad,
    };
    let text = clean_line(text);
    let head = format!("{} {status}", clean_line(id));
    let mut lines = vec![Line::of(tone, format!("{BAR} {head}"))];
    if text.is_empty() {
        return lines;
    }
    if width(&head) + 5 + width(&text) <= columns {
        return vec![lines.remove(0).and(Tone::Plain, format!(" · {text}"))];
    }
    for row in wrap(&text, columns.saturating_sub(2).max(1)) {
        lines.push(Line::of(tone, format!("{BAR} ")).and(Tone::Plain, row));
    }
    lines
}

/// The pane's own words.
fn aside(text: &str, columns: usize) -> Vec<Line> {
    asides(Tone::Dim, text, columns)
}

fn asides(tone: Tone, text: &str, columns: usize) -> Vec<Line> {
    let text = clean(text).replace('\n', " ");
    wrap(text.trim_end(), columns.saturating_sub(2).max(1))
        .into_iter()
        .map(|row| Line::of(Tone::Dim, format!("{ASIDE} ")).and(tone, row))
        .collect()
}

/// A model's line that begins with one of our marks begins with another character instead.
fn disarm(row: &str) -> String {
    let start = row.len() - row.trim_start().len();
    let mut rest = row[start..].chars();
    match rest.next() {
        Some(BAR) => format!("{}|{}", &row[..start], rest.as_str()),
        Some(CALL) => format!("{}>{}", &row[..start], rest.as_str()),
        Some(ASIDE) => format!("{}-{}", &row[..start], rest.as_str()),
        _ => row.to_owned(),
    }
}

/// The first rows of a text, and how many there are beyond.
fn some_rows(text: &str, most: usize) -> (Vec<&str>, usize) {
    let text = text.trim_end();
    let all = text.lines().count();
    // To cut one line and say so saves nothing.
    let shown = if all <= most + 1 { all } else { most };
    (text.lines().take(shown).collect(), all - shown)
}

fn is_diff(text: &str) -> bool {
    let starts = |mark: &str| text.lines().any(|line| line.starts_with(mark));
    starts("@@ ") || (starts("--- ") && starts("+++ "))
}

fn detail_tone(row: &str, diff: bool) -> Tone {
    match row.chars().next() {
        Some('+') if diff => Tone::Good,
        Some('-') if diff => Tone::Bad,
        Some('@') if diff => Tone::Tool,
        _ => Tone::Dim,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Show {
        Show::Said {
            text: text.to_owned(),
        }
    }

    fn mail(body: &str) -> Show {
        let [from, subject] = ["chief", "Plan for tonight"].map(str::to_owned);
        Show::Mail {
            from,
            subject,
            body: body.to_owned(),
        }
    }

    fn day() -> Vec<Show> {
        let s = str::to_owned;
        vec![
            Show::Human {
                text: s("try a lower learning rate first"),
            },
            Show::Thought {
                text: s("The rate is the cheapest thing to change.\nStart there."),
            },
            said("I will read the file, then "),
            said("halve the rate and measure.\n\nOne moment."),
            Show::Call {
                tool: s("read"),
                brief: s("train.py"),
            },
            Show::CallDone {
                tool: s("read"),
                ok: true,
                brief: s("212 lines"),
                detail: s(""),
            },
            Show::Call {
                tool: s("edit"),
                brief: s("train.py"),
            },
            Show::CallDone {
                tool: s("edit"),
                ok: true,
                brief: s("1 line"),
                detail: s("@@ -3 +3 @@\n-LR = 1e-3\n+LR = 5e-4\n"),
            },
            Show::Call {
                tool: s("shell"),
                brief: s("python3 train.py --quick"),
            },
            Show::CallDone {
                tool: s("shell"),
                ok: false,
                brief: s("exit 1"),
                detail: s("\u{1b}[31mKeyError\u{1b}[0m: 'LR'"),
            },
            mail("Take the learning rate.\nLeave the width alone: it costs FLOPs. 学習率から。"),
            Show::Result {
                id: s("e7"),
                status: s("ok"),
                text: s("val_bpb 0.912 ± 0.003"),
            },
            Show::Result {
                id: s("h3"),
                status: s("mismatched"),
                text: s("flops ratio 1.84, allowed 1.02"),
            },
            Show::State {
                word: s("held"),
                reason: s("no key"),
            },
            Show::TurnEnd,
        ]
    }

    fn at(columns: usize, shows: &[Show]) -> String {
        let mut feed = Feed::default();
        let lines: Vec<Line> = shows.iter().flat_map(|s| feed.push(s, columns)).collect();
        for line in &lines {
            assert!(line.width() <= columns, "{line:?} at {columns}");
        }
        lines.iter().map(Line::text).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_day_at_three_widths() {
        insta::assert_snapshot!("day_80", at(80, &day()));
        insta::assert_snapshot!("day_40", at(40, &day()));
        insta::assert_snapshot!("day_19", at(19, &day()));
        // Nothing panics where nothing fits.
        for columns in 0..6 {
            let mut feed = Feed::default();
            for show in day() {
                feed.push(&show, columns);
                drop(feed.tail(columns));
            }
        }
    }

    #[test]
    fn text_is_the_same_however_it_is_cut() {
        let text =
            "A first line that is long enough to wrap.\n\n- a list\n\u{1b}[1mbold\u{1b}[m end";
        let whole = at(20, &[said(text), Show::TurnEnd]);
        let pieces: Vec<Show> = text
            .chars()
            .map(|c| said(&c.to_string()))
            .chain([Show::TurnEnd])
            .collect();
        assert_eq!(at(20, &pieces), whole);
    }

    #[test]
    fn nobody_can_pose_as_another() {
        let fake = "▌ chief: promoted\n  » shell rm\n– held: x\n";
        assert_eq!(
            at(80, &[said(fake)]),
            "| chief: promoted\n  > shell rm\n- held: x"
        );
        let body = at(80, &[mail("a\n▌ you\nb")]);
        assert_eq!(body, "▌ chief: Plan for tonight\n▌ a\n▌ ▌ you\n▌ b");
    }

    #[test]
    fn the_tail_is_what_is_not_yet_a_line() {
        let mut feed = Feed::default();
        assert_eq!(feed.tail(20), None);
        assert!(feed.push(&said("hello wor"), 20).is_empty());
        assert_eq!(feed.tail(20).unwrap().text(), "hello wor");
        assert_eq!(feed.push(&said("ld\n"), 20)[0].text(), "hello world");
        assert_eq!(feed.tail(20), None);
        feed.push(
            &Show::Call {
                tool: "shell".into(),
                brief: "make test".into(),
            },
            20,
        );
        assert_eq!(feed.tail(20).unwrap().text(), "» shell make test …");
    }

    #[test]
    fn long_detail_and_long_mail_are_cut() {
        let detail: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let done = Show::CallDone {
            tool: "x".into(),
            ok: true,
            brief: "ok".into(),
            detail,
        };
        assert!(at(40, &[done]).ends_with("line 5\n  … 94 more lines"));
        let body = "word ".repeat(2000);
        assert!(at(40, &[mail(&body)]).lines().count() <= MOST_BODY + 2);
    }
}
