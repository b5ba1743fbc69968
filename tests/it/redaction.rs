//! Screens of the office without what differs from run to run: cell by cell, as tmux draws them.
//!
//! The grid, its borders, every status row and input line, and the last card of each pane stay; figures,
//! hashes and ids become zeros. Rows whose order depends on who was faster become `⋮`, and a row that was
//! cut is compared without its last words, since a longer figure cuts it earlier. Nothing is added.

use std::sync::LazyLock;

use regex::Regex;

/// Commits.
static HASH: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[0-9a-f]{12}\b").unwrap());
/// Names that have figures of their own.
static NAMES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:claude|codex|gpt|opus)-[0-9](?:[-.][0-9])?(?:-sol)?").unwrap()
});
static FIGURES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[0-9]+(?:[.][0-9]+)?(?:e-?[0-9]+)?").unwrap());
static SPANS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b0 (?:s|min|h)\b").unwrap());
static GAPS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r" {3,}").unwrap());

/// Words that a cut row loses: a figure may be that much longer.
const LOST: usize = 3;

/// What stays of a screen of the office in which all is at rest.
pub(crate) fn at_rest(screen: &str, run: &str) -> String {
    let org = run.rsplit_once('-').map_or("", |(org, _)| org);
    let screen = screen.replace(run, &format!("{org}-0"));
    let mut out: Vec<String> = Vec::new();
    let mut band: Vec<Vec<char>> = Vec::new();
    for line in screen.lines() {
        if line.starts_with('─') {
            out.extend(cells(&std::mem::take(&mut band)));
            out.push(line.to_owned());
        } else {
            band.push(line.chars().collect());
        }
    }
    // The last row is the office's own.
    let last = (!out.is_empty()).then(|| band.pop()).flatten();
    out.extend(cells(&band));
    out.extend(last.map(|row| masked(&row.iter().collect::<String>())));
    let rows: Vec<&str> = out.iter().map(|row| row.trim_end()).collect();
    rows.join("\n").trim_end().to_owned()
}

/// The rows between two borders, each cell for itself.
fn cells(band: &[Vec<char>]) -> Vec<String> {
    let Some(first) = band.first() else {
        return Vec::new();
    };
    let is_edge = |at: &usize| band.iter().all(|row| row.get(*at) == Some(&'│'));
    let edges: Vec<usize> = (0..first.len()).filter(is_edge).collect();
    let mut rows = vec![String::new(); band.len()];
    let mut from = 0;
    for to in edges.iter().copied().map(Some).chain([None]) {
        let cell: Vec<String> = band
            .iter()
            .map(|row| {
                let to = to.unwrap_or(row.len()).min(row.len());
                row[from.min(to)..to].iter().collect()
            })
            .collect();
        for (row, text) in rows.iter_mut().zip(cell_at_rest(&cell)) {
            row.push_str(&text);
            if let Some(to) = to {
                let pad = (to - from).saturating_sub(text.chars().count());
                row.push_str(&" ".repeat(pad));
                row.push('│');
            }
        }
        from = to.map_or(from, |to| to + 1);
    }
    rows
}

/// One pane.
fn cell_at_rest(rows: &[String]) -> Vec<String> {
    let is_note =
        |row: &String| row.len() > 8 && row.as_bytes()[2] == b':' && row.as_bytes()[5] == b':';
    let is_feed = rows.iter().any(is_note);
    let is_agent = rows.iter().any(|row| row.trim_end() == ">");
    let known = if is_feed {
        // Only how it ended; what came before is in whatever order it came.
        rows.iter().rposition(is_note).unwrap_or(0)
    } else if is_agent {
        let head = |at: &usize| {
            let bar = |row: Option<&String>| row.is_some_and(|row| row.starts_with('▌'));
            bar(rows.get(*at)) && (*at == 0 || !bar(rows.get(*at - 1)))
        };
        let card = (0..rows.len()).rev().find(head);
        // Who gets no letters ends with a call.
        card.or_else(|| rows.iter().position(|row| row.starts_with("The mission")))
            .unwrap_or(0)
    } else {
        0
    };
    let text = |(at, row): (usize, &String)| {
        if at < known {
            "⋮".to_owned()
        } else {
            masked(row)
        }
    };
    rows.iter().enumerate().map(text).collect()
}

/// A row with zeros for figures, hashes and spans of time.
fn masked(row: &str) -> String {
    let row = row.trim_end();
    let row = HASH.replace_all(row, "0");
    // Names keep theirs.
    let mut out = String::new();
    let mut last = 0;
    for name in NAMES.find_iter(&row) {
        out.push_str(&zeros(&row[last..name.start()]));
        out.push_str(name.as_str());
        last = name.end();
    }
    out.push_str(&zeros(&row[last..]));
    let Some(cut) = out.strip_suffix('…') else {
        return out;
    };
    let words: Vec<&str> = cut.split(' ').collect();
    let kept = words.len().saturating_sub(LOST).max(1);
    format!("{} …", words[..kept].join(" "))
}

/// Figures of whatever length as one zero, and so are spans of time and gaps that make up for them.
fn zeros(text: &str) -> String {
    let text = FIGURES.replace_all(text, "0");
    let text = SPANS.replace_all(&text, "0 s");
    GAPS.replace_all(&text, "  ").into_owned()
}

#[test]
fn what_differs_goes_and_the_rest_stays() {
    let screen = "── ana waiting ──┬── feed ─────\n\
                  once so          │06:05:45 lab e24 ok\n\
                  ▌ chief: h4      │06:05:46 lab e25\n\
                  Waiting 12 s.    │\n\
                  >                │\n\
                  ── watch ──────────\n \
                  demo-vc6jy up 3.52 min, and a long tail that was c…\n \
                  demo  hq\n";
    let known = "── ana waiting ──┬── feed ─────\n\
                 ⋮                │⋮\n\
                 ▌ chief: h0      │00:00:00 lab e0\n\
                 Waiting 0 s.     │\n\
                 >                │\n\
                 ── watch ──────────\n \
                 demo-0 up 0 s, and a long tail …\n \
                 demo  hq";
    assert_eq!(
        at_rest(screen, "demo-vc6jy"),
        known.replace("00:00:00", "0:0:0")
    );
}
