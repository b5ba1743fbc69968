//! `org check`: everything that is wrong in a chart, at once.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use clap::Args;
use serde::Serialize;

use super::Context;
use super::earlier;
use super::failure::Failure;
use super::place::{self, Place};
use crate::domain::check::{self, Beside, FileFact, Report};
use crate::domain::decode;
use crate::domain::problem::Problem;
use crate::domain::scenario;
use crate::os::files;
use crate::view::paint::Paint;

/// Largest file that is read at all; the decoder refuses a chart long before that, and says so.
const CHART_MAX: u64 = 64 << 20;
/// Largest file beside a chart that is read: prompts and scenarios are written by hand.
const BESIDE_MAX: u64 = 16 << 20;

/// Say everything that is wrong in a chart and the files beside it
#[derive(Debug, Clone, Args)]
pub(super) struct CheckArgs {
    /// The chart
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A judgement, as `org check --json` prints it.
#[derive(Serialize)]
struct Judgement<'a> {
    ok: bool,
    problems: &'a [Problem],
    warnings: &'a [Problem],
}

pub(super) fn run(context: &Context, args: &CheckArgs) -> Result<ExitCode, Failure> {
    let ui = &context.ui;
    let bytes = read(&args.file)?;
    let report = judge(&context.place, &args.file, &bytes);
    let ok = report.problems.is_empty();
    if args.json {
        ui.json(&Judgement {
            ok,
            problems: &report.problems,
            warnings: &report.warnings,
        })?;
    } else {
        // Nobody wants to see a line of a file that was refused for its size.
        let shown = if bytes.len() > decode::BYTES_MAX {
            &[][..]
        } else {
            &bytes
        };
        let text = String::from_utf8_lossy(shown);
        let path = args.file.display().to_string();
        ui.out(&page(&path, &text, &report, ui.paint()))?;
        let words = match (report.problems.len(), report.warnings.len()) {
            (0, 0) => format!("{path} is in order"),
            (0, n) => format!("{path} is in order, with {}", counted(n, "warning")),
            (n, _) => format!("{path} has {}", counted(n, "problem")),
        };
        ui.note(&words);
    }
    Ok(ExitCode::from(if ok { 0 } else { 2 }))
}

fn counted(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// A chart's bytes.
///
/// # Errors
/// Where there is no such file.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let read = files::read_capped(file, CHART_MAX);
    read.map_err(|error| {
        Failure::usage(
            format!("the chart {} cannot be read", file.display()),
            "name a chart, such as orgs/demo.toml; `org init` writes one to start from",
        )
        .because(&error)
    })
}

/// Everything that is wrong in a chart and the files beside it.
pub(super) fn judge(place: &Place, file: &Path, bytes: &[u8]) -> Report {
    let models = place::known_models();
    let base = place.cwd.join(file);
    let base = base.parent().unwrap_or(&place.cwd);
    // A chart behind a link is read where the link stands, as its author sees it.
    let context = decode::Context {
        base,
        home: place.home.as_deref(),
        known_models: &models,
        frozen: false,
    };
    let scenario_problems =
        |text: &str| -> Vec<Problem> { scenario::decode(text).err().unwrap_or_default() };
    let mut report = check::check_all(
        bytes,
        &context,
        &Beside {
            facts: &fact,
            scenario_problems: &scenario_problems,
        },
    );
    if let Some(chart) = &report.chart {
        report.warnings.extend(earlier::undecided(place, chart));
    }
    report
}

fn fact(path: &Path) -> FileFact {
    match std::fs::metadata(path) {
        Err(_) => FileFact::Missing,
        Ok(found) if found.is_dir() => FileFact::Dir,
        Ok(_) => FileFact::File(
            files::read_capped(path, BESIDE_MAX)
                .map_err(|error| error.to_string())
                .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8".into())),
        ),
    }
}

/// All problems and warnings, with carets.
pub(super) fn page(path: &str, text: &str, report: &Report, paint: Paint) -> String {
    let renderer = match paint {
        Paint::Plain => Renderer::plain(),
        Paint::Ansi => Renderer::styled(),
    };
    let mut out = String::new();
    let all = report
        .problems
        .iter()
        .map(|problem| (Level::ERROR, problem))
        .chain(
            report
                .warnings
                .iter()
                .map(|warning| (Level::WARNING, warning)),
        );
    for (level, problem) in all {
        let key = if problem.path.is_empty() {
            String::new()
        } else {
            format!("{}: ", problem.path)
        };
        let title = format!("{key}{}", problem.message);
        // What a chart extends is shown from its own file, as far as it can be read again.
        let other = problem.file.as_deref();
        let (path, text) = match other {
            Some(file) => (file, beneath(file)),
            None => (path, text.to_owned()),
        };
        let group: Group<'_> = level
            .primary_title(title)
            .element(
                Snippet::source(&text)
                    .path(path)
                    .annotation(AnnotationKind::Primary.span(span(&text, problem))),
            )
            .element(Level::HELP.message(problem.hint.as_str()));
        out.push_str(&renderer.render(&[group]));
        out.push_str("\n\n");
    }
    out
}

/// The text of a file that a chart extends; empty where it is gone by now.
fn beneath(file: &str) -> String {
    let bytes = files::read_capped(Path::new(file), CHART_MAX).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Bytes from a problem's place to the end of the word there.
fn span(text: &str, problem: &Problem) -> std::ops::Range<usize> {
    let before: usize = text
        .split_inclusive('\n')
        .take(problem.line.saturating_sub(1))
        .map(str::len)
        .sum();
    let line = text[before..].lines().next().unwrap_or_default();
    let at = |n: usize| {
        line.char_indices()
            .nth(n)
            .map_or(line.len(), |(byte, _)| byte)
    };
    let from = at(problem.column.saturating_sub(1));
    let rest = &line[from..];
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let length = match quote {
        Some(quote) => rest[1..].find(quote).map_or(rest.len(), |end| end + 2),
        None => rest
            .find(|c: char| c.is_whitespace() || matches!(c, '=' | ',' | ']' | '}' | '#'))
            .unwrap_or(rest.len()),
    };
    let start = before + from;
    start..(start + length.max(usize::from(!rest.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: usize, column: usize) -> Problem {
        Problem {
            file: None,
            line,
            column,
            path: String::new(),
            message: String::new(),
            hint: "h".to_owned(),
        }
    }

    #[test]
    fn the_caret_covers_the_word_at_a_place() {
        let text = "é = 1\nname = \"a b\" # x\n";
        let shown = |problem: &Problem| &text[span(text, problem)];
        assert_eq!(shown(&at(1, 1)), "é");
        assert_eq!(shown(&at(2, 8)), "\"a b\"");
        assert_eq!(shown(&at(2, 1)), "name");
        assert_eq!(shown(&at(3, 1)), "");
        assert_eq!(shown(&at(99, 99)), "");
    }

    #[test]
    fn problems_come_with_their_line_and_what_to_write_instead() {
        let text = "version = 1\nnmae = \"x\"\n";
        let problem = Problem {
            file: None,
            line: 2,
            column: 1,
            path: "nmae".to_owned(),
            message: "unknown key".to_owned(),
            hint: "did you mean name?".to_owned(),
        };
        let report = Report {
            chart: None,
            problems: vec![problem],
            warnings: Vec::new(),
        };
        insta::assert_snapshot!(page("orgs/x.toml", text, &report, Paint::Plain));
    }
}
