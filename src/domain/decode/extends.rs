//! A chart that takes another one first: `extends`, followed to the end of the chain.
//!
//! Owns which files a chart is made of, and the one rule by which they become one: tables are merged
//! key by key, and everything else, lists included, is replaced whole by the later word. All files
//! stand behind each other in one text, each parsed at its place there, so that a key keeps its own
//! file and line whatever it is merged into. Must not know files: what stands at a path is asked of
//! the caller.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::text::absolute;
use super::{BYTES_MAX, Context};
use crate::domain::suggest::quoted;

/// Longest chain of charts, the first one included: a person must be able to follow it.
pub const CHAIN_MAX: usize = 8;

/// What is at a path: the text of a file, or why there is none, in words.
pub type Read<'a> = &'a dyn Fn(&Path) -> Result<String, String>;

/// A file of a chart.
#[derive(Debug, Clone, Default)]
pub(super) struct Source {
    /// Its path; empty for the chart itself, which whoever asks can name.
    pub(super) path: PathBuf,
    /// The directory to which its paths are relative.
    pub(super) base: PathBuf,
    /// Where it begins in the text of all.
    pub(super) start: usize,
    /// Its own text.
    pub(super) text: String,
}

/// The files of a chart, the chart itself first.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources(pub(super) Vec<Source>);

/// Something wrong with an `extends`: where in the text of all, what, and what to do.
pub(super) type Flaw = (usize, String, String);

impl Sources {
    /// A chart alone.
    pub(super) fn one(text: &str, context: &Context<'_>) -> Self {
        Self(vec![Source {
            path: PathBuf::new(),
            base: context.base.to_path_buf(),
            start: 0,
            text: text.to_owned(),
        }])
    }

    /// The chart and all that it extends.
    pub(super) fn follow(text: &str, context: &Context<'_>, read: Read<'_>) -> (Self, Vec<Flaw>) {
        let mut all = Self::one(text, context);
        let mut flaws = Vec::new();
        while let Some(last) = all.0.last() {
            let Some((word, at)) = extended(&last.text) else {
                break;
            };
            let at = last.start + at;
            match all.next(&word, context, read) {
                Ok(source) => all.0.push(source),
                Err((why, hint)) => {
                    flaws.push((at, format!("extends = {} {why}", quoted(&word)), hint));
                    break;
                }
            }
        }
        (all, flaws)
    }

    /// The file that the last one extends.
    fn next(
        &self,
        word: &str,
        context: &Context<'_>,
        read: Read<'_>,
    ) -> Result<Source, (String, String)> {
        let last = self.0.last().expect("the chart itself is there");
        let hint = "name a chart, by a path relative to this one".to_owned();
        let path = absolute(word, &last.base, context.home);
        let path = path.map_err(|why| (why.to_owned(), hint.clone()))?;
        if self.0.iter().any(|source| source.path == path) {
            let chain = self.0.iter().skip(1).map(|it| it.path.as_path());
            let names: Vec<String> = chain.chain([path.as_path()]).map(name).collect();
            let why = format!("goes in a circle: {}", names.join(" → "));
            return Err((why, "let one of them extend nothing".to_owned()));
        }
        if self.0.len() >= CHAIN_MAX {
            let why = format!("makes a chain of more than {CHAIN_MAX} charts");
            return Err((why, "write what they have in common into one".to_owned()));
        }
        let text = read(&path).map_err(|why| (why, hint))?;
        if text.len() > BYTES_MAX {
            let why = format!("has {} bytes, and a chart at most {BYTES_MAX}", text.len());
            return Err((why, "name a chart".to_owned()));
        }
        Ok(Source {
            base: path.parent().unwrap_or(Path::new("/")).to_path_buf(),
            path,
            start: last.start + last.text.len() + 1,
            text,
        })
    }

    /// The text of all, one behind the other.
    pub(super) fn whole(&self) -> String {
        let texts: Vec<&str> = self.0.iter().map(|it| it.text.as_str()).collect();
        texts.join("\n")
    }

    /// Each text at its place, what stands before it left blank.
    pub(super) fn placed(&self) -> Vec<String> {
        let sources = self.0.iter();
        sources
            .map(|it| format!("{}{}", " ".repeat(it.start), it.text))
            .collect()
    }

    /// The file around a place in the text of all, and the place in it.
    pub(super) fn find(&self, offset: usize) -> Option<(&Source, usize)> {
        let source = self.0.iter().rev().find(|it| it.start <= offset)?;
        Some((source, offset - source.start))
    }
}

/// What a chart's text extends, and where it says so.
fn extended(text: &str) -> Option<(String, usize)> {
    let (root, _) = DeTable::parse_recoverable(text);
    let value = root.get_ref().get("extends")?;
    let word = value.get_ref().as_str()?;
    Some((word.to_owned(), value.span().start))
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Puts a chart's keys over those of the one it extends.
pub(super) fn over<'i>(under: &mut DeTable<'i>, top: DeTable<'i>) {
    for (key, value) in top {
        let merged = match (under.remove(key.get_ref().as_ref()), value.get_ref()) {
            (Some(mut old), DeValue::Table(_)) if old.get_ref().is_table() => {
                let span = value.span();
                if let (DeValue::Table(below), DeValue::Table(above)) =
                    (old.get_mut(), value.into_inner())
                {
                    over(below, above);
                }
                Spanned::new(span, old.into_inner())
            }
            _ => value,
        };
        under.insert(key, merged);
    }
}
