//! Values out of a spanned TOML table, each reported where it is not what it should be.
//!
//! Owns the collecting of problems and the typed access to single keys. Must not know which keys a
//! scenario has.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::domain::problem::{Problem, line_column};

/// Most characters of a file's text that a message repeats.
const MAX_QUOTED: usize = 200;
/// Lowest likeness (Jaro-Winkler, 0 to 1) at which a known key is proposed for an unknown one.
const LIKENESS: f64 = 0.75;

pub(super) struct Decoder<'t> {
    pub(super) text: &'t str,
    pub(super) problems: Vec<Problem>,
}

/// A table and where it stands.
pub(super) struct Node<'n, 't> {
    pub(super) table: &'n DeTable<'t>,
    pub(super) span: Range<usize>,
    pub(super) path: &'n str,
}

/// A value and where it stands.
pub(super) struct Leaf<'n, 't> {
    pub(super) value: &'n Spanned<DeValue<'t>>,
    pub(super) path: String,
}

impl<'n, 't> Node<'n, 't> {
    pub(super) fn leaf(&self, key: &str) -> Option<Leaf<'n, 't>> {
        let value = self.table.get(key)?;
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        Some(Leaf { value, path })
    }
}

impl Leaf<'_, '_> {
    pub(super) fn span(&self) -> Range<usize> {
        self.value.span()
    }
}

impl Decoder<'_> {
    pub(super) fn report(
        &mut self,
        span: Range<usize>,
        path: &str,
        message: impl Into<String>,
        hint: &str,
    ) {
        let (line, column) = line_column(self.text, span.start);
        self.problems.push(Problem {
            file: None,
            line,
            column,
            path: path.to_owned(),
            message: message.into(),
            hint: hint.to_owned(),
        });
    }

    pub(super) fn known_keys(&mut self, node: &Node, known: &[&str]) {
        for key in node.table.keys() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let likeness = |other: &str| strsim::jaro_winkler(name, other);
            let nearest = known
                .iter()
                .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            let hint = match nearest {
                Some(near) if likeness(near) >= LIKENESS => format!("did you mean `{near}`?"),
                _ => format!("known keys here: {}", known.join(", ")),
            };
            let message = format!("unknown key `{}`", shortened(name));
            let path = if node.path.is_empty() {
                name.to_owned()
            } else {
                format!("{}.{name}", node.path)
            };
            self.report(key.span(), &path, message, &hint);
        }
    }
}

/// Values of one type, reported where they are of another.
impl Decoder<'_> {
    pub(super) fn mistyped(&mut self, leaf: &Leaf, wanted: &str, hint: &str) {
        let message = format!("{} is not {wanted}", self.quote(leaf));
        self.report(leaf.span(), &leaf.path, message, hint);
    }

    pub(super) fn quote(&self, leaf: &Leaf) -> String {
        shortened(self.text.get(leaf.span()).unwrap_or_default())
    }

    pub(super) fn string(&mut self, leaf: &Leaf) -> Option<String> {
        let text = leaf.value.get_ref().as_str();
        if text.is_none() {
            self.mistyped(leaf, "text", "put it in quotes");
        }
        text.map(str::to_owned)
    }

    pub(super) fn number(&mut self, leaf: &Leaf) -> Option<u64> {
        let number = leaf
            .value
            .get_ref()
            .as_integer()
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        if number.is_none() {
            self.mistyped(leaf, "a whole number from 0", "write digits without quotes");
        }
        number
    }

    pub(super) fn number_at(&mut self, node: &Node, key: &str) -> Option<u64> {
        node.leaf(key).and_then(|leaf| self.number(&leaf))
    }

    pub(super) fn at_least(&mut self, node: &Node, key: &str, least: u64) -> Option<u64> {
        let leaf = node.leaf(key)?;
        let number = self.number(&leaf)?;
        if number < least {
            let message = format!("`{key}` is {number}");
            self.report(
                leaf.span(),
                &leaf.path,
                message,
                &format!("write at least {least}"),
            );
            return None;
        }
        Some(number)
    }

    pub(super) fn seconds(&mut self, leaf: &Leaf) -> Option<f64> {
        let seconds = match leaf.value.get_ref() {
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            DeValue::Integer(number) => number.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        if seconds.is_none() {
            self.mistyped(
                leaf,
                "a number of seconds",
                "write seconds, as in `retry_after = 0.5`",
            );
        }
        seconds
    }

    pub(super) fn flag(&mut self, node: &Node, key: &str) -> bool {
        let Some(leaf) = node.leaf(key) else {
            return false;
        };
        let flag = leaf.value.get_ref().as_bool();
        if flag.is_none() {
            self.mistyped(&leaf, "true or false", "write true or false without quotes");
        }
        flag.unwrap_or(false)
    }

    /// Each table of an array of tables.
    pub(super) fn tables<T>(
        &mut self,
        leaf: &Leaf,
        header: &str,
        mut each: impl FnMut(&mut Self, &Node) -> T,
    ) -> Vec<T> {
        let hint = format!("write one {header} for each");
        let Some(items) = leaf.value.get_ref().as_array() else {
            self.mistyped(leaf, "a list of tables", &hint);
            return Vec::new();
        };
        let mut decoded = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", leaf.path);
            match item.get_ref().as_table() {
                Some(table) => decoded.push(each(
                    self,
                    &Node {
                        table,
                        span: item.span(),
                        path: &path,
                    },
                )),
                None => self.mistyped(&Leaf { value: item, path }, "a table", &hint),
            }
        }
        decoded
    }

    pub(super) fn table_at<'n, 't>(
        &mut self,
        node: &Node<'n, 't>,
        key: &str,
    ) -> Option<OwnNode<'n, 't>> {
        let leaf = node.leaf(key)?;
        let Some(table) = leaf.value.get_ref().as_table() else {
            self.mistyped(
                &leaf,
                "a table",
                &format!("write {key} = {{ key = value }}"),
            );
            return None;
        };
        Some(OwnNode {
            table,
            span: leaf.span(),
            path: leaf.path,
        })
    }

    /// Any TOML value as an argument of a tool; dates become text.
    pub(super) fn json(&mut self, leaf: &Leaf) -> Value {
        match leaf.value.get_ref() {
            DeValue::String(text) => Value::from(text.as_ref()),
            DeValue::Boolean(flag) => Value::from(*flag),
            DeValue::Datetime(at) => Value::from(at.to_string()),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Value::from(number),
                    Err(_) => self.unfit(leaf, "a number that JSON can hold"),
                }
            }
            DeValue::Float(float) => {
                let number = float.as_str().parse::<f64>().ok();
                match number.and_then(serde_json::Number::from_f64) {
                    Some(number) => Value::Number(number),
                    None => self.unfit(leaf, "a number that JSON can hold"),
                }
            }
            DeValue::Array(items) => self.json_array(items, &leaf.path),
            DeValue::Table(table) => {
                let mut members = serde_json::Map::new();
                for (key, value) in table {
                    let key = key.get_ref().as_ref();
                    let leaf = Leaf {
                        value,
                        path: format!("{}.{key}", leaf.path),
                    };
                    members.insert(key.to_owned(), self.json(&leaf));
                }
                Value::Object(members)
            }
        }
    }

    pub(super) fn json_array(&mut self, items: &DeArray, path: &str) -> Value {
        let leaves = items.iter().enumerate();
        leaves
            .map(|(index, value)| {
                self.json(&Leaf {
                    value,
                    path: format!("{path}[{index}]"),
                })
            })
            .collect()
    }

    pub(super) fn unfit(&mut self, leaf: &Leaf, wanted: &str) -> Value {
        self.mistyped(leaf, wanted, "write it in quotes, or a smaller number");
        Value::Null
    }
}

/// A node that owns its path.
pub(super) struct OwnNode<'n, 't> {
    pub(super) table: &'n DeTable<'t>,
    pub(super) span: Range<usize>,
    pub(super) path: String,
}

impl<'t> OwnNode<'_, 't> {
    pub(super) fn borrow(&self) -> Node<'_, 't> {
        Node {
            table: self.table,
            span: self.span.clone(),
            path: &self.path,
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
