//! A report as Markdown.
//!
//! Owns the writing of each block, and that nobody's words can be markup. Must not know what is
//! reported.

use std::fmt::Write as _;

use super::document::{Block, Document, Inline, Line, Row};
use crate::view::plot::Axis;

/// Somebody's words on one line of Markdown, in which nothing of them is markup.
#[must_use]
pub(super) fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '|' | '*' | '`' | '[' | ']' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// The page.
#[must_use]
pub(super) fn page(document: &Document) -> String {
    let mut out = String::new();
    for (at, block) in document.blocks().iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        write_block(&mut out, block);
    }
    out
}

/// A line of the page.
macro_rules! say {
    ($out:expr, $($word:tt)*) => {
        writeln!($out, $($word)*).expect("a string takes everything")
    };
}

fn write_block(out: &mut String, block: &Block) {
    match block {
        Block::Warning(line) => say!(out, "> **{}**", text(line)),
        Block::Title(line) => say!(out, "# {}", text(line)),
        Block::Section(words, None) => say!(out, "## {words}"),
        Block::Section(words, Some(id)) => {
            say!(out, "## <a id=\"{}\"></a>{words}", id.anchor());
        }
        Block::Part(id, line) => say!(out, "### <a id=\"{}\"></a>{}", id.anchor(), text(line)),
        Block::Text(line) => say!(out, "{}", text(line)),
        Block::List(lines) => {
            for line in lines {
                say!(out, "- {}", text(line));
            }
        }
        Block::Facts(facts) => {
            for (what, line) in facts {
                say!(out, "- **{what}**: {}", text(line));
            }
        }
        Block::Table(heads, rows) => table(out, heads, rows),
        Block::Plot(_) => {
            let links = Axis::ALL.map(|axis| format!("[{}]({})", axis.words(), axis.file()));
            say!(out, "Plots: {}.", links.join(", "));
        }
    }
}

fn table(out: &mut String, heads: &[String], rows: &[Row]) {
    let names: Vec<String> = heads
        .iter()
        .map(|head| plain(head.trim_start_matches('>')))
        .collect();
    let rules: Vec<&str> = heads
        .iter()
        .map(|head| if head.starts_with('>') { "--:" } else { "---" })
        .collect();
    say!(out, "| {} |", names.join(" | "));
    say!(out, "|{}|", rules.join("|"));
    for row in rows {
        let cells: Vec<String> = row.cells.iter().map(text).collect();
        let anchor = row
            .shows
            .as_ref()
            .map(|id| format!("<a id=\"{}\"></a>", id.anchor()));
        say!(
            out,
            "| {}{} |",
            anchor.unwrap_or_default(),
            cells.join(" | ")
        );
    }
}

/// A line of the page.
fn text(line: &Line) -> String {
    let mut out = String::new();
    for inline in line {
        match inline {
            Inline::Words(words) => out.push_str(words),
            Inline::Strong(words) => {
                write!(out, "**{words}**").expect("a string takes everything");
            }
            Inline::Name(name) => {
                write!(out, "`{}`", name.replace('`', "'").replace('|', "/"))
                    .expect("a string takes everything");
            }
            Inline::Date(date) => out.push_str(date),
            Inline::Quote(quote) => out.push_str(&plain(quote.text())),
            Inline::Number(number) => {
                write!(out, "[{}](#{})", number.text(), number.of().anchor())
                    .expect("a string takes everything");
            }
            Inline::Figure(number) => {
                write!(out, "**[{}](#{})**", number.text(), number.of().anchor())
                    .expect("a string takes everything");
            }
            Inline::Entry(id) => {
                write!(out, "[{0}](#{0})", id.anchor()).expect("a string takes everything");
            }
        }
    }
    out
}
