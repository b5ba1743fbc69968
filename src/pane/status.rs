//! The status row: what one agent is doing, in one line of whatever width. Pure; must not know
//! where the numbers come from.

use super::line::{Line, Tone};
use super::text::clean_line;

/// What is known about the agent now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// The agent's name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Its model.
    pub model: String,
    /// Its GPU, and what that does.
    pub gpu: Option<String>,
    /// The claim that it is at, with its status.
    pub claim: Option<String>,
    /// Share of its model's context in use, in percent, where that is known.
    pub context: Option<u64>,
    /// Its state's word.
    pub state: String,
    /// Why it is in that state; may be empty.
    pub reason: String,
    /// Since when, as a clock shows it: a span would be wrong as soon as nothing wakes the pane.
    pub since: String,
    /// Turns taken.
    pub turn: u64,
    /// Tokens used.
    pub tokens: u64,
    /// Dollars spent.
    pub usd: f64,
    /// Mail not yet taken in.
    pub unread: u32,
    /// Nothing here is real.
    pub mock: bool,
}

/// Facts that may open another row; those after them stand on the pane's border as well.
const WORTH_A_ROW: usize = 8;

/// The status at `columns`, on as many rows as it needs and `most` allows: state first, then what
/// fits, the least important left out first.
#[must_use]
pub fn status_rows(status: &Status, columns: usize, most: usize) -> Vec<Line> {
    let mut rows = vec![first(status, columns)];
    for (number, (tone, text)) in facts(status).into_iter().enumerate() {
        let Some(text) = text else { continue };
        let row = rows.last().cloned().unwrap_or_default();
        let longer = if row.width() == 0 {
            row.and(tone, text.clone())
        } else {
            row.and(Tone::Dim, " · ").and(tone, text.clone())
        };
        let fits = longer.width() <= columns;
        if !fits && rows.len() < most && number < WORTH_A_ROW {
            rows.push(Line::of(tone, text));
            continue;
        }
        // A reason is worth reading even in part; a number is not.
        if fits || tone == Tone::Warn {
            let last = rows.len() - 1;
            rows[last] = longer;
        }
        if !fits {
            break;
        }
    }
    rows.into_iter().map(|row| row.clipped(columns)).collect()
}

/// The state and since when; where that does not fit, the state alone, which is what one looks for.
fn first(status: &Status, columns: usize) -> Line {
    let state = clean_line(&status.state);
    let tone = match state.as_str() {
        "held" | "unknown" => Tone::Bad,
        "waiting" | "stopped" | "starting" => Tone::Dim,
        "paused" => Tone::Warn,
        _ => Tone::Strong,
    };
    let mut whole = Line::default();
    let mut short = Line::of(tone, state.clone());
    if status.mock {
        whole = whole.and(Tone::Warn, "MOCK ");
        short = short.and(Tone::Warn, " MOCK");
    }
    whole = whole.and(tone, state);
    if !status.since.is_empty() {
        whole = whole.and(Tone::Dim, format!(" since {}", clean_line(&status.since)));
    }
    if whole.width() <= columns {
        whole
    } else {
        short
    }
}

/// The rest that is known, from the most to the least worth its place.
fn facts(status: &Status) -> Vec<(Tone, Option<String>)> {
    let unread = (status.unread > 0).then(|| format!("{} unread", status.unread));
    let claim = status.claim.as_deref().map(clean_line);
    let context = status.context.map(|share| format!("ctx {share}%"));
    let gpu = status.gpu.as_deref().map(clean_line);
    let text = |text: &str| Some(clean_line(text)).filter(|text| !text.is_empty());
    let all = [
        (Tone::Warn, text(&status.reason)),
        (Tone::Mail, unread),
        (Tone::Plain, claim),
        (Tone::Dim, Some(format!("turn {}", status.turn))),
        (Tone::Dim, context),
        (Tone::Dim, Some(format!("${:.2}", status.usd))),
        (Tone::Dim, gpu.map(|gpu| format!("GPU {gpu}"))),
        (Tone::Dim, Some(format!("{} tok", count(status.tokens)))),
        (Tone::Dim, text(&status.name)),
        (Tone::Dim, text(&status.model)),
        (Tone::Dim, text(&status.role)),
    ];
    all.into()
}

/// `950`, `12k`, `3.4M`.
fn count(n: u64) -> String {
    match n {
        0..1000 => n.to_string(),
        1000..1_000_000 => format!("{}k", n / 1000),
        _ => format!("{}.{}M", n / 1_000_000, n / 100_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_comes_first_and_the_rest_gives_way() {
        let status = Status {
            name: "claude-1".to_owned(),
            role: "researcher".to_owned(),
            model: "claude-opus-5-5".to_owned(),
            gpu: Some("3 e7 87%".to_owned()),
            claim: Some("h4 smoke".to_owned()),
            context: Some(12),
            state: "thinking".to_owned(),
            since: "09:14".to_owned(),
            turn: 12,
            tokens: 84_210,
            usd: 1.234,
            unread: 2,
            mock: true,
            ..Status::default()
        };
        let shown = |columns, most| {
            let rows = status_rows(&status, columns, most);
            rows.iter().map(Line::text).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(200, 2),
            [
                "MOCK thinking since 09:14 · 2 unread · h4 smoke · turn 12 · ctx 12% · $1.23 · GPU 3 e7 87% · \
              84k tok · claude-1 · claude-opus-5-5 · researcher"
            ]
        );
        assert_eq!(
            shown(53, 1),
            ["MOCK thinking since 09:14 · 2 unread · h4 smoke"]
        );
        assert_eq!(
            shown(53, 2),
            [
                "MOCK thinking since 09:14 · 2 unread · h4 smoke",
                "turn 12 · ctx 12% · $1.23 · GPU 3 e7 87% · 84k tok"
            ]
        );
        assert_eq!(shown(18, 1), ["thinking MOCK"]);
        assert_eq!(shown(8, 1), ["thinkin…"]);
        assert_eq!(
            shown(100, 2).len(),
            1,
            "a model's name alone is not worth a row"
        );
        let held = Status {
            state: "held".to_owned(),
            reason: "no key\u{1b}[2J".to_owned(),
            ..status
        };
        let held = |columns| status_rows(&held, columns, 1)[0].text();
        assert_eq!(held(36), "MOCK held since 09:14 · no key");
        assert_eq!(held(27), "MOCK held since 09:14 · no…");
    }
}
