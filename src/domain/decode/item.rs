//! Leaves: the one place where TOML's values become ours, with a problem for each that is not what
//! its key takes.
//!
//! Owns wrong types and ranges; what a key takes is asked of `keys`. Must not know what any value is
//! for.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::DeValue;

use super::sheet::Sheet;
use super::units;
use crate::domain::keys::{Key, Kind};
use crate::domain::suggest::{meant, quoted};

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Item<'d> {
    pub(super) path: String,
    pub(super) span: Range<usize>,
    pub(super) value: &'d DeValue<'d>,
    pub(super) key: Option<&'static Key>,
}

/// A path with one more segment, quoted as TOML quotes keys where it would not stand bare.
pub(in crate::domain) fn join(path: &str, name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut joined = path.to_owned();
    if !path.is_empty() {
        joined.push('.');
    }
    if !name.is_empty() && name.chars().all(bare) {
        joined.push_str(name);
        return joined;
    }
    joined.push('"');
    for character in name.chars() {
        match character {
            '"' | '\\' => joined.extend(['\\', character]),
            c if c.is_control() => {
                // Controls are below U+00A0: two hexadecimal digits after two zeros.
                joined.push_str("\\u00");
                joined.extend([u32::from(c) >> 4, u32::from(c) & 15].map(|half| {
                    char::from_digit(half, 16)
                        .unwrap_or('0')
                        .to_ascii_uppercase()
                }));
            }
            c => joined.push(c),
        }
    }
    joined.push('"');
    joined
}

impl<'d> Item<'d> {
    /// The offending text.
    pub(super) fn shown(&self, sheet: &Sheet<'_>) -> String {
        sheet
            .text
            .get(self.span.clone())
            .map_or_else(String::new, |text| match self.value {
                DeValue::String(text) => quoted(text),
                _ => quoted(text).trim_matches('"').to_owned(),
            })
    }

    /// The name of the key.
    pub(super) fn name(&self) -> &str {
        self.key.map_or("it", |key| key.name)
    }

    /// A problem with this value.
    pub(super) fn problem(&self, sheet: &mut Sheet<'_>, message: String, hint: String) {
        sheet.problem(&self.path, self.span.start, message, hint);
    }

    /// It is not what it must be.
    pub(super) fn wrong(&self, sheet: &mut Sheet<'_>, wanted: &str) {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!(
            "{} must be {wanted}, not {found}: {}",
            self.path,
            self.shown(sheet)
        );
        let kind = self.key.map(|key| key.kind);
        let hint = match kind {
            Some(Kind::List) => format!("write [[{}]] above each", self.path),
            Some(Kind::Section | Kind::Named) | None => format!("write {} as {wanted}", self.path),
            Some(kind) => format!("write {} = {}", self.name(), kind.example()),
        };
        self.problem(sheet, message, hint);
    }

    /// It is of the right type, and cannot be.
    pub(super) fn refuse(&self, sheet: &mut Sheet<'_>, why: &str) {
        let message = format!("{} = {} {why}", self.path, self.shown(sheet));
        let wanted = self
            .key
            .map_or_else(|| "something else".to_owned(), |key| key.kind.example());
        self.problem(sheet, message, format!("write {} = {wanted}", self.name()));
    }

    /// The word itself, where it is text that may stand in a chart.
    pub(super) fn text(&self, sheet: &mut Sheet<'_>) -> Option<String> {
        let DeValue::String(text) = self.value else {
            self.wrong(sheet, "a string");
            return None;
        };
        // No argument, path or environment variable can carry it.
        if text.contains('\0') {
            let message = format!("{} holds a NUL character: {}", self.path, self.shown(sheet));
            self.problem(sheet, message, "take it out".to_owned());
            return None;
        }
        if text.trim().is_empty() && !matches!(self.key.map(|key| key.kind), Some(Kind::Free)) {
            let hint = self.key.map_or_else(
                || "write a text or leave it out".to_owned(),
                |key| format!("write {} = {}", key.name, key.kind.example()),
            );
            self.problem(sheet, format!("{} is empty", self.path), hint);
            return None;
        }
        Some(text.to_string())
    }

    /// One of the key's words.
    pub(super) fn word(&self, sheet: &mut Sheet<'_>) -> Option<&'static str> {
        let text = self.text(sheet)?;
        let (Some(Kind::Word(words)) | Some(Kind::Words(words))) = self.key.map(|key| key.kind)
        else {
            return None;
        };
        let found = words.iter().find(|word| **word == text);
        if found.is_none() {
            let message = format!("{} cannot be {}", self.path, quoted(&text));
            self.problem(
                sheet,
                message,
                meant(&text, words.iter().copied(), "write one of"),
            );
        }
        found.copied()
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, sheet: &mut Sheet<'_>) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            self.wrong(sheet, "true or false");
        }
        flag
    }

    /// Whether this is the word `auto` of a key that takes it.
    pub(super) fn is_auto(&self) -> bool {
        self.value.as_str() == Some("auto")
    }

    fn kind(&self) -> Option<Kind> {
        match self.key.map(|key| key.kind) {
            Some(Kind::Auto(other)) => Some(*other),
            kind => kind,
        }
    }

    /// A whole number within the key's bounds.
    pub(super) fn whole(&self, sheet: &mut Sheet<'_>) -> Option<i64> {
        let DeValue::Integer(digits) = self.value else {
            self.wrong(sheet, "a whole number");
            return None;
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
        let (from, to) = match self.kind() {
            Some(Kind::Whole(from, to)) => (from, to),
            _ => (0, i64::MAX),
        };
        let fits = number.filter(|number| (from..=to).contains(number));
        if fits.is_none() {
            self.refuse(sheet, "is out of range");
        }
        fits
    }

    /// The same, in 32 bits.
    pub(super) fn count(&self, sheet: &mut Sheet<'_>) -> Option<u32> {
        let number = self.whole(sheet)?;
        let count = u32::try_from(number).ok();
        if count.is_none() {
            self.refuse(sheet, "is out of range");
        }
        count
    }

    /// A finite number, whatever its bounds.
    pub(super) fn number(&self, sheet: &mut Sheet<'_>) -> Option<f64> {
        let number = match self.value {
            DeValue::Float(digits) => digits.as_str().parse::<f64>().ok(),
            #[expect(
                clippy::cast_precision_loss,
                reason = "a chart's numbers are measures, not counts"
            )]
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .ok()
                .map(|number| number as f64),
            _ => {
                self.wrong(sheet, "a number");
                return None;
            }
        };
        let finite = number.filter(|number| number.is_finite());
        if finite.is_none() {
            self.refuse(sheet, "is not a finite number");
        }
        finite
    }

    /// A number within the key's bounds.
    pub(super) fn real(&self, sheet: &mut Sheet<'_>) -> Option<f64> {
        let number = self.number(sheet)?;
        let fits = match self.kind() {
            Some(Kind::Real(from, to)) => (from..=to).contains(&number),
            Some(Kind::Between(from, to)) => from < number && number < to,
            _ => true,
        };
        if !fits {
            self.refuse(sheet, "is out of range");
        }
        // TOML has a negative zero; nobody means it.
        fits.then_some(number + 0.0)
    }

    /// A word with a unit, or a plain number where the key takes one.
    fn measured<T>(
        &self,
        sheet: &mut Sheet<'_>,
        wanted: &str,
        parse: impl Fn(&str) -> Option<T>,
        plain: impl Fn(&Self, &mut Sheet<'_>) -> Option<T>,
    ) -> Option<T> {
        match self.value {
            DeValue::String(word) => {
                let read = parse(word);
                if read.is_none() {
                    self.refuse(sheet, &format!("is not {wanted}"));
                }
                read
            }
            DeValue::Integer(_) | DeValue::Float(_) => plain(self, sheet),
            _ => {
                self.wrong(sheet, wanted);
                None
            }
        }
    }

    /// Seconds.
    pub(super) fn seconds(&self, sheet: &mut Sheet<'_>) -> Option<f64> {
        let span = self.measured(sheet, "a time span", units::span, Self::number)?;
        let above = if self.kind() == Some(Kind::Time) {
            span > 0.0
        } else {
            span >= 0.0
        };
        if !above || span > units::SPAN_MAX {
            self.refuse(sheet, "is out of range");
            return None;
        }
        Some(span + 0.0)
    }

    /// Bytes or tokens, more than none.
    fn amount(
        &self,
        sheet: &mut Sheet<'_>,
        wanted: &str,
        parse: fn(&str) -> Option<u64>,
    ) -> Option<u64> {
        let amount = self.measured(sheet, wanted, parse, |item, sheet| {
            item.whole(sheet)
                .and_then(|number| u64::try_from(number).ok())
        })?;
        if amount == 0 {
            self.refuse(sheet, "is out of range");
        }
        (amount > 0).then_some(amount)
    }

    /// Bytes.
    pub(super) fn bytes(&self, sheet: &mut Sheet<'_>) -> Option<u64> {
        self.amount(sheet, "a size", units::size)
    }

    /// Tokens.
    pub(super) fn tokens(&self, sheet: &mut Sheet<'_>) -> Option<u64> {
        self.amount(sheet, "a number of tokens", units::tokens)
    }

    /// The elements of a list.
    pub(super) fn elements(&self, sheet: &mut Sheet<'_>) -> Option<Vec<Self>> {
        let DeValue::Array(array) = self.value else {
            self.wrong(sheet, "a list");
            return None;
        };
        let elements: Vec<Self> = array
            .iter()
            .enumerate()
            .map(|(index, element)| Self {
                path: format!("{}[{index}]", self.path),
                span: element.span(),
                value: element.get_ref(),
                key: self.key,
            })
            .collect();
        for element in &elements {
            sheet.remember(&element.path, element.span.start);
        }
        Some(elements)
    }

    /// The entries of a table whose keys are the chart's own, in the order of the text.
    pub(super) fn entries(&self, sheet: &mut Sheet<'_>) -> Option<Vec<(String, Self, usize)>> {
        let Some(table) = self.value.as_table() else {
            self.wrong(sheet, "a table");
            return None;
        };
        let mut entries: Vec<(String, Self, usize)> = table
            .iter()
            .map(|(name, value)| {
                let path = join(&self.path, name.get_ref());
                let item = Self {
                    path,
                    span: value.span(),
                    value: value.get_ref(),
                    key: None,
                };
                (name.get_ref().to_string(), item, name.span().start)
            })
            .collect();
        for (_, item, at) in &entries {
            sheet.remember(&item.path, *at);
        }
        entries.sort_by_key(|(_, _, at)| *at);
        Some(entries)
    }

    /// Names with texts, empty texts included.
    pub(super) fn env(&self, sheet: &mut Sheet<'_>) -> Option<BTreeMap<String, String>> {
        let mut env = BTreeMap::new();
        for (name, item, at) in self.entries(sheet)? {
            super::text::env_name(sheet, &item.path, at, &name);
            match item.value {
                DeValue::String(value) if !value.contains('\0') => {
                    env.insert(name, value.to_string());
                }
                DeValue::String(_) => {
                    let message = format!("{} holds a NUL character", item.path);
                    item.problem(sheet, message, "take it out".to_owned());
                }
                _ => {
                    let shown = item.shown(sheet);
                    let message = format!("{} must be a string: {shown}", item.path);
                    item.problem(sheet, message, format!("write {name} = {shown:?}"));
                }
            }
        }
        Some(env)
    }
}
