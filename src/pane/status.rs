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
    /// Its GPU, as the chart or the inventory names it.
    pub gpu: Option<String>,
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

/// The row at `columns`: state first, then what fits, the least important left out first.
#[must_use]
pub fn status_line(status: &Status, columns: usize) -> Line {
    let mut line = Line::default();
    if status.mock {
        line = line.and(Tone::Warn, "MOCK ");
    }
    let state = clean_line(&status.state);
    let tone = match state.as_str() {
        "held" | "unknown" => Tone::Bad,
        "waiting" | "stopped" | "starting" => Tone::Dim,
        "paused" => Tone::Warn,
        _ => Tone::Strong,
    };
    line = line.and(tone, state);
    if !status.since.is_empty() {
        line = line.and(Tone::Dim, format!(" since {}", clean_line(&status.since)));
    }
    // From the most to the least worth its place; the order on the row is the same.
    let rest = [
        (
            !status.reason.is_empty(),
            Tone::Warn,
            clean_line(&status.reason),
        ),
        (
            status.unread > 0,
            Tone::Mail,
            format!("{} unread", status.unread),
        ),
        (true, Tone::Dim, format!("turn {}", status.turn)),
        (true, Tone::Dim, format!("${:.2}", status.usd)),
        (true, Tone::Dim, format!("{} tok", count(status.tokens))),
        (true, Tone::Dim, clean_line(&status.name)),
        (
            status.gpu.is_some(),
            Tone::Dim,
            format!("GPU {}", gpu(status)),
        ),
        (
            !status.model.is_empty(),
            Tone::Dim,
            clean_line(&status.model),
        ),
        (!status.role.is_empty(), Tone::Dim, clean_line(&status.role)),
    ];
    for (known, tone, text) in rest {
        if !known {
            continue;
        }
        let longer = line.clone().and(Tone::Dim, " · ").and(tone, text);
        // A reason is worth reading even in part; a number is not.
        if longer.width() > columns {
            if tone == Tone::Warn {
                line = longer;
            }
            break;
        }
        line = longer;
    }
    line.clipped(columns)
}

fn gpu(status: &Status) -> String {
    status.gpu.as_deref().map(clean_line).unwrap_or_default()
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
            gpu: Some("3".to_owned()),
            state: "thinking".to_owned(),
            since: "09:14".to_owned(),
            turn: 12,
            tokens: 84_210,
            usd: 1.234,
            unread: 2,
            mock: true,
            ..Status::default()
        };
        let shown = |columns| status_line(&status, columns).text();
        assert_eq!(
            shown(200),
            "MOCK thinking since 09:14 · 2 unread · turn 12 · $1.23 · 84k tok · claude-1 · GPU 3 · \
             claude-opus-5-5 · researcher"
        );
        assert_eq!(shown(51), "MOCK thinking since 09:14 · 2 unread · turn 12");
        assert_eq!(shown(8), "MOCK th…");
        let held = Status {
            state: "held".to_owned(),
            reason: "no key\u{1b}[2J".to_owned(),
            ..status
        };
        assert_eq!(
            status_line(&held, 36).text(),
            "MOCK held since 09:14 · no key"
        );
        assert_eq!(status_line(&held, 27).text(), "MOCK held since 09:14 · no…");
    }
}
