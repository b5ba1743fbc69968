//! A report before it is written: headings, paragraphs, lists and tables of words, names, quotes and
//! cited numbers.
//!
//! Owns the rule that every number says where it comes from, and that what is cited is shown: a
//! document that breaks it cannot be had. Must not know Markdown, HTML, or what is reported.

use std::collections::BTreeSet;

use super::cite::{Cited, EntryId, Quote, Unresolved};
use crate::view::plot::Progress;

/// The only numbers that our own words may have: the level of every interval here.
const LEVEL: &str = "95 %";

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inline {
    /// Our own words, without numbers.
    Words(&'static str),
    /// Our own words, worth a look.
    Strong(&'static str),
    /// A name: of an agent, a model, a commit, a path.
    Name(String),
    /// A date.
    Date(String),
    /// Somebody else's words.
    Quote(Quote),
    /// A number.
    Number(Cited),
    /// A number worth a look.
    Figure(Cited),
    /// A link to an entry, which reads as its name.
    Entry(EntryId),
}

impl From<&'static str> for Inline {
    fn from(words: &'static str) -> Self {
        Self::Words(words)
    }
}

impl From<Cited> for Inline {
    fn from(number: Cited) -> Self {
        Self::Number(number)
    }
}

impl From<Quote> for Inline {
    fn from(quote: Quote) -> Self {
        Self::Quote(quote)
    }
}

impl From<EntryId> for Inline {
    fn from(entry: EntryId) -> Self {
        Self::Entry(entry)
    }
}

/// A line.
pub type Line = Vec<Inline>;

/// A line of words, names, quotes and numbers.
macro_rules! line {
    ($($part:expr),* $(,)?) => { vec![$(crate::view::report::document::Inline::from($part)),*] };
}
pub(crate) use line;

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The entry that it shows.
    pub shows: Option<EntryId>,
    /// Its cells.
    pub cells: Vec<Line>,
}

/// A part of a page.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// What has to be known before anything else.
    Warning(Line),
    /// The title.
    Title(Line),
    /// A section, and the entry that it shows.
    Section(&'static str, Option<EntryId>),
    /// A part of a section: a claim, say.
    Part(EntryId, Line),
    /// A paragraph.
    Text(Line),
    /// A list.
    List(Vec<Line>),
    /// What each thing is, by its name.
    Facts(Vec<(&'static str, Line)>),
    /// A table; a heading that begins with `>` is of numbers.
    Table(Vec<String>, Vec<Row>),
    /// The plot of progress.
    Plot(Progress),
}

/// A page whose numbers all resolve.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    blocks: Vec<Block>,
}

impl Document {
    /// The page, once every number in it cites an entry that it shows.
    ///
    /// # Errors
    /// [`Unresolved`], naming the first that does not.
    pub fn new(blocks: Vec<Block>) -> Result<Self, Unresolved> {
        let mut shown: BTreeSet<&EntryId> = BTreeSet::new();
        for block in &blocks {
            match block {
                Block::Section(_, shows) => shown.extend(shows),
                Block::Part(id, _) => {
                    shown.insert(id);
                }
                Block::Table(_, rows) => {
                    shown.extend(rows.iter().filter_map(|row| row.shows.as_ref()));
                }
                _ => {}
            }
        }
        for inline in blocks.iter().flat_map(lines).flatten() {
            let cited = match inline {
                Inline::Words(words) | Inline::Strong(words) => {
                    let rest = words.replace(LEVEL, "");
                    if rest.bytes().any(|byte| byte.is_ascii_digit()) {
                        return Err(Unresolved::Uncited(words));
                    }
                    continue;
                }
                Inline::Name(_) | Inline::Date(_) => continue,
                Inline::Quote(quote) => quote.of(),
                Inline::Number(number) | Inline::Figure(number) => number.of(),
                Inline::Entry(id) => id,
            };
            if !shown.contains(cited) {
                return Err(Unresolved::NotShown(cited.anchor()));
            }
        }
        Ok(Self { blocks })
    }

    /// Its parts in order.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }
}

/// All lines of a block.
fn lines(block: &Block) -> Vec<&Line> {
    match block {
        Block::Warning(line) | Block::Title(line) | Block::Part(_, line) | Block::Text(line) => {
            vec![line]
        }
        Block::Section(..) | Block::Plot(_) => Vec::new(),
        Block::List(lines) => lines.iter().collect(),
        Block::Facts(facts) => facts.iter().map(|(_, line)| line).collect(),
        Block::Table(_, rows) => rows.iter().flat_map(|row| &row.cells).collect(),
    }
}
