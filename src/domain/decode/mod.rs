//! From the text of a chart to the chart, with everything that is wrong in it at once.
//!
//! Owns the reading leaf by leaf, which serde's derive cannot do for it stops at the first problem.
//! What refers to something else (models, roles, files) is judged by `check`. Must not know files:
//! the text, its directory, the home directory and the models there are come in as arguments.

mod agents;
mod extends;
mod item;
mod protocol;
mod roles;
mod search;
mod sheet;
mod syntax;
mod table;
mod task;
pub(in crate::domain) mod text;
mod units;

#[cfg(test)]
pub(in crate::domain) mod fixtures;
#[cfg(test)]
mod tests;

use std::path::Path;

use toml::de::DeTable;

use self::extends::Sources;
pub use self::extends::{CHAIN_MAX, Read};
pub(in crate::domain) use self::item::join as segment;
pub(in crate::domain) use self::sheet::Pile;
use self::sheet::Sheet;
pub use self::sheet::Spans;
use self::table::Table;
pub use self::units::{size as bytes_of, span as seconds_of};
use super::chart::{Chart, Landing, MockSpec};
use super::problem::{Problem, line_column};

/// Largest chart: a hand-written one has a few kilobytes, and what is larger is some other file,
/// refused before a parser spends memory on it.
pub const BYTES_MAX: usize = 1 << 20;

/// What a chart is read against.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The absolute directory of the chart file, to which relative paths are relative.
    pub base: &'a Path,
    /// What `~` stands for.
    pub home: Option<&'a Path>,
    /// The built-in models, each with its provider.
    pub known_models: &'a [(&'a str, &'a str)],
    /// Whether it was accepted before and is only read again, as every process of a run does: patterns
    /// are not compiled anew, which would be a sixth of what a short command takes.
    pub frozen: bool,
}

/// A chart as read, and what was wrong in it.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The chart, where nothing is wrong.
    pub chart: Option<Chart>,
    /// What is wrong, by position.
    pub problems: Vec<Problem>,
    /// What is accepted and worth a word, by position.
    pub warnings: Vec<Problem>,
    /// Where the keys stand.
    pub spans: Spans,
    /// What could be read, for judging the rest of a chart that has problems.
    pub(super) draft: Option<Chart>,
}

/// Decodes the bytes of a file that extends nothing: too large and not UTF-8 are problems too.
#[must_use]
pub fn decode_bytes(bytes: &[u8], context: &Context<'_>) -> Decoded {
    decode_extending(bytes, context, None)
}

/// Decodes the bytes of a file and of what it extends.
#[must_use]
pub fn decode_extending(bytes: &[u8], context: &Context<'_>, read: Option<Read<'_>>) -> Decoded {
    let refused = |text: &str, at: usize, message: String, hint: &str| {
        let (line, column) = line_column(text, at);
        let problem = Problem {
            file: None,
            line,
            column,
            path: String::new(),
            message,
            hint: hint.to_owned(),
        };
        Decoded {
            chart: None,
            problems: vec![problem],
            warnings: Vec::new(),
            spans: Spans::default(),
            draft: None,
        }
    };
    if bytes.len() > BYTES_MAX {
        let message = format!(
            "the file has {} bytes, and a chart at most {BYTES_MAX}",
            bytes.len()
        );
        return refused("", 0, message, "name a chart, such as orgs/demo.toml");
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => decode_asked(text, context, read).0,
        Err(error) => {
            let at = error.valid_up_to();
            let good = std::str::from_utf8(&bytes[..at]).unwrap_or_default();
            let message = format!("byte {at} (0x{:02x}) is not UTF-8", bytes[at]);
            refused(good, at, message, "save the file as UTF-8")
        }
    }
}

/// Decodes a chart's text.
#[must_use]
pub fn decode(text: &str, context: &Context<'_>) -> Decoded {
    decode_asked(text, context, None).0
}

/// Seconds of a time span as charts write it: `10h`, `90s`, `1h30m`.
#[must_use]
pub fn seconds(word: &str) -> Option<f64> {
    units::span(word)
}

/// The same, with the keys that were looked for, which the tests hold against the schema.
fn decode_asked(text: &str, context: &Context<'_>, read: Option<Read<'_>>) -> (Decoded, Asked) {
    let (sources, flaws) = match read {
        Some(read) => Sources::follow(text, context, read),
        None => (Sources::one(text, context), Vec::new()),
    };
    let (whole, placed) = (sources.whole(), sources.placed());
    let mut sheet = Sheet::new(&whole, sources, context);
    let mut merged = DeTable::new();
    // The one at the end of the chain first, and each over what it extends.
    for text in placed.iter().rev() {
        let (root, errors) = DeTable::parse_recoverable(text);
        syntax::report(&mut sheet, &errors);
        extends::over(&mut merged, root.into_inner());
    }
    for (at, message, hint) in flaws {
        sheet.problem("extends", at, message, hint);
    }
    let draft = chart(&mut sheet, &merged, read.is_some());
    let asked = std::mem::take(&mut sheet.asked);
    let (problems, warnings, spans) = sheet.finish();
    let chart = problems.is_empty().then(|| draft.clone());
    (
        Decoded {
            chart,
            problems,
            warnings,
            spans,
            draft: Some(draft),
        },
        asked,
    )
}

type Asked = std::collections::BTreeSet<(&'static str, &'static str)>;

fn chart(sheet: &mut Sheet<'_>, root: &DeTable<'_>, extending: bool) -> Chart {
    let mut table = Table::root(root);
    let version = table
        .take(sheet, "version")
        .and_then(|item| item.count(sheet));
    if let Some(item) = table.take(sheet, "extends") {
        let word = item.text(sheet);
        if word.is_some() && !extending {
            let message = "extends cannot be followed here".to_owned();
            let hint = "copy that chart's keys into this one".to_owned();
            item.problem(sheet, message, hint);
        }
    }
    let name = table.take(sheet, "name").and_then(|item| {
        let name = item.text(sheet)?;
        text::name(sheet, &item.path, item.span.start, &name);
        Some(name)
    });
    let chart = Chart {
        version: version.unwrap_or(super::chart::VERSION),
        name: name.unwrap_or_default(),
        mission: table.text(sheet, "mission").unwrap_or_default(),
        task: task::task(sheet, &mut table),
        protocol: protocol::protocol(sheet, &mut table),
        compute: protocol::compute(sheet, &mut table),
        budget: protocol::budget(sheet, &mut table),
        office: protocol::office(sheet, &mut table),
        landing: landing(sheet, &mut table),
        mock: mock(sheet, &mut table),
        providers: roles::providers(sheet, &mut table),
        models: roles::models(sheet, &mut table),
        roles: roles::roles(sheet, &mut table),
        agents: agents::agents(sheet, &mut table),
        processes: agents::processes(sheet, &mut table),
        search: search::search(sheet, &mut table),
    };
    table.finish(sheet);
    let given = sheet.given("protocol.match");
    protocol::default_axis(chart, given)
}

fn landing(sheet: &mut Sheet<'_>, root: &mut Table<'_>) -> Landing {
    let mut table = root.table(sheet, "landing", "landing");
    let run = table.take(sheet, "run").and_then(|item| {
        sheet.idle(&item.path, item.span.start);
        item.text(sheet)
    });
    let gpus = table.take(sheet, "gpus").and_then(|item| item.count(sheet));
    table.finish(sheet);
    Landing { run, gpus }
}

fn mock(sheet: &mut Sheet<'_>, root: &mut Table<'_>) -> MockSpec {
    let mut table = root.table(sheet, "mock", "mock");
    let mock = MockSpec {
        scenario: table
            .take(sheet, "scenario")
            .and_then(|item| text::path(sheet, &item)),
        repo: table
            .take(sheet, "repo")
            .and_then(|item| text::repository(sheet, &item)),
        every: table
            .take(sheet, "every")
            .and_then(|item| item.seconds(sheet)),
        setup: table.text(sheet, "setup"),
        run: table.text(sheet, "run"),
        env: table.take(sheet, "env").and_then(|item| item.env(sheet)),
        share: {
            let items = table.list(sheet, "share");
            text::paths(sheet, items)
        },
        draws: table
            .take(sheet, "draws")
            .and_then(|item| item.count(sheet)),
    };
    table.finish(sheet);
    mock
}
