//! A report as one HTML page that needs nothing else: no network, no script, light and dark as the
//! reader's system is, readable on a phone.
//!
//! Owns the writing of each block, and that nobody's words can be markup: all text goes through
//! [`escaped`], and the page forbids itself everything but its own style. Must not know what is
//! reported.

use std::fmt::Write as _;

use super::document::{Block, Document, Inline, Line, Row};
use crate::view::plot::{Axis, Progress};

/// How the page looks.
const STYLE: &str = include_str!("page.css");
/// How the plots in it look.
const PLOT_STYLE: &str = include_str!("plot.css");
/// Nothing may be loaded, run or sent, whatever stands in the page.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// A piece of the page.
macro_rules! put {
    ($out:expr, $($word:tt)*) => {
        write!($out, $($word)*).expect("a string takes everything")
    };
}

/// Text in which nothing is markup.
#[must_use]
pub(in crate::view) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The page; `title` stands in the window's frame, `foot` at its end.
#[must_use]
pub(super) fn page(document: &Document, title: &str, foot: &str) -> String {
    let mut body = String::new();
    let mut first_facts = true;
    for block in document.blocks() {
        let class = if matches!(block, Block::Facts(_)) && first_facts {
            first_facts = false;
            "head"
        } else {
            ""
        };
        body.push_str(&write_block(block, class));
        body.push('\n');
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n\
         <style>\n{STYLE}{PLOT_STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         <footer>{}</footer>\n</body>\n</html>\n",
        escaped(title),
        escaped(foot)
    )
}

fn write_block(block: &Block, class: &str) -> String {
    match block {
        Block::Warning(line) => format!("<p class=\"warning\" role=\"note\">{}</p>", text(line)),
        Block::Title(line) => format!("<h1>{}</h1>", text(line)),
        Block::Section(words, None) => format!("<h2>{words}</h2>"),
        Block::Section(words, Some(id)) => {
            format!("<h2 id=\"{}\">{words}</h2>", escaped(&id.anchor()))
        }
        Block::Part(id, line) => {
            format!("<h3 id=\"{}\">{}</h3>", escaped(&id.anchor()), text(line))
        }
        Block::Text(line) => format!("<p>{}</p>", text(line)),
        Block::List(lines) => {
            let items: Vec<String> = lines
                .iter()
                .map(|line| format!("<li>{}</li>", text(line)))
                .collect();
            format!("<ul>\n{}\n</ul>", items.join("\n"))
        }
        Block::Facts(facts) => {
            let items: Vec<String> = facts
                .iter()
                .map(|(what, line)| format!("<dt>{what}</dt><dd>{}</dd>", text(line)))
                .collect();
            format!("<dl class=\"{class}\">\n{}\n</dl>", items.join("\n"))
        }
        Block::Table(heads, rows) => table(heads, rows),
        Block::Plot(progress) => plots(progress),
    }
}

fn table(heads: &[String], rows: &[Row]) -> String {
    let right: Vec<bool> = heads.iter().map(|head| head.starts_with('>')).collect();
    let mut out = String::from("<div class=\"wide\"><table>\n<thead><tr>");
    for (head, right) in heads.iter().zip(&right) {
        let class = if *right { " class=\"r\"" } else { "" };
        let head = escaped(head.trim_start_matches('>'));
        put!(out, "<th scope=\"col\"{class}>{head}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        let id = row
            .shows
            .as_ref()
            .map(|id| format!(" id=\"{}\"", escaped(&id.anchor())));
        put!(out, "<tr{}>", id.unwrap_or_default());
        for (at, cell) in row.cells.iter().enumerate() {
            let long = cell
                .iter()
                .any(|it| matches!(it, Inline::Quote(quote) if quote.text().len() > 24));
            let class = match right.get(at) {
                Some(true) => " class=\"r\"",
                _ if long => " class=\"words\"",
                _ => "",
            };
            put!(out, "<td{class}>{}</td>", text(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table></div>");
    out
}

/// One plot an axis, of which a reader chooses without a script.
fn plots(progress: &Progress) -> String {
    let mut out = String::from("<div class=\"plot\">\n");
    for (at, axis) in Axis::ALL.into_iter().enumerate() {
        let name = axis.name();
        let checked = if at == 0 { " checked" } else { "" };
        put!(
            out,
            "<input type=\"radio\" name=\"axis\" id=\"axis-{name}\"{checked}>\
             <label for=\"axis-{name}\">{}</label>\n",
            axis.words()
        );
    }
    for axis in Axis::ALL {
        put!(out, "<figure>{}</figure>\n", progress.inline(axis));
    }
    out.push_str("</div>");
    out
}

/// A line of the page.
fn text(line: &Line) -> String {
    let mut out = String::new();
    for inline in line {
        let piece = match inline {
            Inline::Words(words) => escaped(words),
            Inline::Strong(words) => format!("<strong>{}</strong>", escaped(words)),
            Inline::Name(name) => format!("<code>{}</code>", escaped(name)),
            Inline::Date(date) => format!("<time datetime=\"{0}\">{0}</time>", escaped(date)),
            Inline::Quote(quote) => escaped(quote.text()),
            Inline::Number(number) => link(&number.of().anchor(), number.text(), "n"),
            Inline::Figure(number) => link(&number.of().anchor(), number.text(), "n figure"),
            Inline::Entry(id) => link(&id.anchor(), &id.anchor(), ""),
        };
        out.push_str(&piece);
    }
    out
}

fn link(anchor: &str, text: &str, class: &str) -> String {
    format!(
        "<a class=\"{class}\" href=\"#{}\">{}</a>",
        escaped(anchor),
        escaped(text)
    )
}
