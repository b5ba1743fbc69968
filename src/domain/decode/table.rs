//! Tables: which keys they have, which they lack, and which nobody knows.
//!
//! Owns unknown and missing keys; what keys there are is asked of `keys`. Must not know what any
//! value is for.

use toml::de::DeTable;

use super::item::{Item, join};
use super::sheet::Sheet;
use crate::domain::keys;
use crate::domain::suggest::{meant, quoted};

/// A table being read; every key asked for is known, all others are wrong.
pub(super) struct Table<'d> {
    pub(super) path: String,
    pub(super) at: usize,
    section: &'static str,
    entries: Option<&'d DeTable<'d>>,
    /// Nothing is missing from what is not a table at all.
    quiet: bool,
    taken: Vec<&'static str>,
}

impl<'d> Table<'d> {
    /// The document.
    pub(super) fn root(entries: &'d DeTable<'d>) -> Self {
        Self {
            path: String::new(),
            at: 0,
            section: "",
            entries: Some(entries),
            quiet: false,
            taken: Vec::new(),
        }
    }

    /// The table that an item is; an empty one, and a problem, where it is something else.
    pub(super) fn of(sheet: &mut Sheet<'_>, item: &Item<'d>, section: &'static str) -> Self {
        let entries = item.value.as_table();
        if entries.is_none() {
            item.wrong(sheet, "a table");
        }
        Self {
            path: item.path.clone(),
            at: item.span.start,
            section,
            entries,
            quiet: entries.is_none(),
            taken: Vec::new(),
        }
    }

    /// The value of a key; a problem where it must be there and is not.
    pub(super) fn take(&mut self, sheet: &mut Sheet<'_>, name: &'static str) -> Option<Item<'d>> {
        sheet.asked.insert((self.section, name));
        self.taken.push(name);
        let key = keys::find(self.section, name);
        let path = join(&self.path, name);
        let Some(value) = self.entries.and_then(|entries| entries.get(name)) else {
            if key.is_some_and(|key| key.required) && !self.quiet {
                let hint = key.map(keys::Key::advice).unwrap_or_default();
                sheet.missing(&path, self.at, hint);
            }
            return None;
        };
        sheet.remember(&path, value.span().start);
        Some(Item {
            path,
            span: value.span(),
            value: value.get_ref(),
            key,
        })
    }

    /// The same, of a key that is needed here though not everywhere.
    pub(super) fn need(&mut self, sheet: &mut Sheet<'_>, name: &'static str) -> Option<Item<'d>> {
        let item = self.take(sheet, name);
        if item.is_none() && !self.quiet {
            let hint = keys::find(self.section, name)
                .map(keys::Key::advice)
                .unwrap_or_default();
            sheet.missing(&join(&self.path, name), self.at, hint);
        }
        item
    }

    /// A table beneath; an empty one where it is not given.
    pub(super) fn table(
        &mut self,
        sheet: &mut Sheet<'_>,
        name: &'static str,
        section: &'static str,
    ) -> Self {
        match self.take(sheet, name) {
            Some(item) => Self::of(sheet, &item, section),
            None => Self {
                path: join(&self.path, name),
                at: self.at,
                section,
                entries: None,
                // A table that is missing as a whole is one problem, not one for each of its keys.
                quiet: true,
                taken: Vec::new(),
            },
        }
    }

    /// The tables by name beneath a key.
    pub(super) fn named(
        &mut self,
        sheet: &mut Sheet<'_>,
        name: &'static str,
    ) -> Vec<(String, Item<'d>)> {
        let Some(item) = self.take(sheet, name) else {
            return Vec::new();
        };
        let Some(entries) = item.value.as_table() else {
            item.wrong(sheet, "a table of tables");
            return Vec::new();
        };
        let mut all: Vec<(String, Item<'d>)> = entries
            .iter()
            .map(|(name, value)| {
                let path = join(&item.path, name.get_ref());
                let span = value.span();
                (
                    name.get_ref().to_string(),
                    Item {
                        path,
                        span,
                        value: value.get_ref(),
                        key: None,
                    },
                )
            })
            .collect();
        for (_, item) in &all {
            sheet.remember(&item.path, item.span.start);
        }
        all.sort_by_key(|(_, item)| item.span.start);
        all
    }

    /// The elements of a list beneath a key.
    pub(super) fn list(
        &mut self,
        sheet: &mut Sheet<'_>,
        name: &'static str,
    ) -> Option<Vec<Item<'d>>> {
        let item = self.take(sheet, name)?;
        item.elements(sheet)
    }

    /// Text.
    pub(super) fn text(&mut self, sheet: &mut Sheet<'_>, name: &'static str) -> Option<String> {
        self.take(sheet, name)?.text(sheet)
    }

    /// A number.
    pub(super) fn real(&mut self, sheet: &mut Sheet<'_>, name: &'static str) -> Option<f64> {
        self.take(sheet, name)?.real(sheet)
    }

    /// One of the key's words.
    pub(super) fn word(
        &mut self,
        sheet: &mut Sheet<'_>,
        name: &'static str,
    ) -> Option<&'static str> {
        self.take(sheet, name)?.word(sheet)
    }

    /// The texts of a list.
    pub(super) fn texts(
        &mut self,
        sheet: &mut Sheet<'_>,
        name: &'static str,
    ) -> Option<Vec<String>> {
        let items = self.list(sheet, name)?;
        Some(items.iter().filter_map(|item| item.text(sheet)).collect())
    }

    /// Whether any of these keys is given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries
            .is_some_and(|entries| entries.contains_key(name))
    }

    /// Ends the reading: whatever was not asked for is unknown.
    pub(super) fn finish(self, sheet: &mut Sheet<'_>) {
        let Some(entries) = self.entries else { return };
        for (key, _) in entries {
            let name: &str = key.get_ref();
            if self.taken.contains(&name) {
                continue;
            }
            let place = if self.path.is_empty() {
                "the chart".to_owned()
            } else {
                self.path.clone()
            };
            let hint = if name.contains("key") && self.section == "providers.*" {
                "a key never stands in a chart: write key_env = \"NAME\", key_file or key_cmd"
                    .to_owned()
            } else {
                let known = keys::of(self.section).map(|key| key.name);
                meant(name, known, &format!("{place} knows"))
            };
            let path = join(&self.path, name);
            sheet.problem(
                &path,
                key.span().start,
                format!("unknown key {} in {place}", quoted(name)),
                hint,
            );
        }
    }
}
