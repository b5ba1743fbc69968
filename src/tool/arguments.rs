//! The arguments of a call: what a tool takes, said once, and read from whatever a model sent.
//!
//! One table per tool makes both the schema that the model sees and the check of what comes back, so
//! they cannot disagree. Must not know what any argument is for.

use serde_json::{Map, Value, json};

use crate::domain::suggest::{meant, quoted};
use crate::domain::texts::ToolText;

/// Most members of a list or object: no call needs more.
const MEMBERS: usize = 64;

/// One argument of a tool.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// Whether a call without it is refused.
    pub required: bool,
}

/// What an argument holds.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Text of at most so many bytes.
    Text(usize),
    /// A whole number in this range.
    Count(u64, u64),
    /// A number.
    Number,
    /// Yes or no.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of texts of at most so many bytes each.
    List(usize),
    /// Texts by name, of at most so many bytes each.
    Table(usize),
    /// Lines of at most so many bytes each: one text, a list, or texts by name, as models write them.
    Lines(usize),
}

/// What is wrong with the arguments of a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// They are no JSON object.
    #[error("they are no JSON object")]
    NoObject,
    /// One that is needed is not there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// One is not known.
    #[error("there is no argument {name}; {hint}")]
    Unknown {
        /// Its name, quoted.
        name: String,
        /// What may be meant.
        hint: String,
    },
    /// One holds something else than it should.
    #[error("`{name}` must be {wanted}")]
    Shape {
        /// Which.
        name: &'static str,
        /// What it should be.
        wanted: String,
    },
}

impl Argument {
    pub(super) const fn needed(name: &'static str, shape: Shape) -> Self {
        Self {
            name,
            shape,
            required: true,
        }
    }

    pub(super) const fn optional(name: &'static str, shape: Shape) -> Self {
        Self {
            name,
            shape,
            required: false,
        }
    }
}

impl Shape {
    fn wanted(self) -> String {
        match self {
            Self::Text(max) => format!("text of at most {max} bytes"),
            Self::Count(min, max) => format!("a whole number from {min} to {max}"),
            Self::Number => "a number".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Word(words) => format!("one of: {}", words.join(", ")),
            Self::List(max) => {
                format!("a list of at most {MEMBERS} texts of at most {max} bytes each")
            }
            Self::Table(max) => {
                format!("an object of at most {MEMBERS} texts of at most {max} bytes each")
            }
            Self::Lines(max) => {
                format!("a text, or a list of at most {MEMBERS} texts, of at most {max} bytes each")
            }
        }
    }

    fn fits(self, value: &Value) -> bool {
        let short = |value: &Value, max: usize| value.as_str().is_some_and(|it| it.len() <= max);
        match self {
            Self::Text(max) => short(value, max),
            Self::Count(min, max) => count(value).is_some_and(|it| (min..=max).contains(&it)),
            Self::Number => value.as_f64().is_some_and(f64::is_finite),
            Self::Flag => value.is_boolean(),
            Self::Word(words) => value.as_str().is_some_and(|it| words.contains(&it)),
            Self::List(max) => value
                .as_array()
                .is_some_and(|all| all.len() <= MEMBERS && all.iter().all(|it| short(it, max))),
            Self::Table(max) => value
                .as_object()
                .is_some_and(|all| all.len() <= MEMBERS && all.values().all(|it| short(it, max))),
            Self::Lines(max) => [Self::Text(max), Self::List(max), Self::Table(max)]
                .into_iter()
                .any(|shape| shape.fits(value)),
        }
    }

    fn schema(self) -> Value {
        match self {
            Self::Text(_) => json!({"type": "string"}),
            Self::Count(min, max) => {
                json!({"type": "integer", "minimum": min, "maximum": max})
            }
            Self::Number => json!({"type": "number"}),
            Self::Flag => json!({"type": "boolean"}),
            Self::Word(words) => json!({"type": "string", "enum": words}),
            Self::List(_) => json!({"type": "array", "items": {"type": "string"}}),
            Self::Table(_) => {
                json!({"type": "object", "additionalProperties": {"type": "string"}})
            }
            Self::Lines(_) => json!({"type": "array", "items": {"type": "string"}}),
        }
    }
}

/// A whole number; models write `120.0` too.
fn count(value: &Value) -> Option<u64> {
    let whole = |it: &f64| it.fract() == 0.0 && (0.0..9e15).contains(it);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, positive and small"
    )]
    let cast = |it: f64| it as u64;
    value
        .as_u64()
        .or_else(|| value.as_f64().filter(whole).map(cast))
}

/// Arguments that were found to fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arguments<'v>(&'v Map<String, Value>);

impl<'v> Arguments<'v> {
    /// Checks what a call carries. An optional argument that is null is not there, which is how some
    /// models leave one out.
    pub(super) fn read(table: &[Argument], value: &'v Value) -> Result<Self, Problem> {
        let object = value.as_object().ok_or(Problem::NoObject)?;
        for (name, _) in object.iter().filter(|(_, value)| !value.is_null()) {
            if !table.iter().any(|it| it.name == name) {
                return Err(Problem::Unknown {
                    name: quoted(name),
                    hint: meant(name, table.iter().map(|it| it.name), "the arguments are"),
                });
            }
        }
        for argument in table {
            match object.get(argument.name).filter(|value| !value.is_null()) {
                None if argument.required => return Err(Problem::Missing(argument.name)),
                Some(value) if !argument.shape.fits(value) => {
                    return Err(Problem::Shape {
                        name: argument.name,
                        wanted: argument.shape.wanted(),
                    });
                }
                _ => {}
            }
        }
        Ok(Self(object))
    }

    /// A text that is there, else nothing.
    pub(super) fn text(&self, name: &str) -> Option<&'v str> {
        self.0.get(name)?.as_str()
    }

    /// A text that the table requires.
    pub(super) fn needed(&self, name: &str) -> &'v str {
        self.text(name).unwrap_or_default()
    }

    /// Lines, whichever way they were written.
    pub(super) fn lines(&self, name: &str) -> Vec<String> {
        match self.0.get(name) {
            Some(Value::String(text)) => text.lines().map(str::to_owned).collect(),
            Some(Value::Array(all)) => {
                let texts = all.iter().filter_map(Value::as_str);
                texts.map(str::to_owned).collect()
            }
            Some(Value::Object(all)) => {
                let lines = all
                    .iter()
                    .filter_map(|(name, it)| Some((name, it.as_str()?)));
                lines
                    .map(|(name, text)| format!("{name}: {text}"))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// A whole number.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        count(self.0.get(name)?)
    }

    /// A number.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64()
    }

    /// Whether a flag is set.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Texts in order; none where the argument is left out.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let items = self.0.get(name).and_then(Value::as_array);
        let texts = items.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    /// Texts by name, in the order of their names.
    pub(super) fn table(&self, name: &str) -> Vec<(&'v str, &'v str)> {
        let all = self.0.get(name).and_then(Value::as_object);
        let mut all: Vec<_> = all
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
            .collect();
        all.sort_unstable();
        all
    }
}

/// The JSON Schema of a tool's arguments.
pub(super) fn schema(table: &[Argument], text: Option<&ToolText>) -> Value {
    let mut properties = Map::new();
    for argument in table {
        let mut schema = argument.shape.schema();
        if let Some(said) = text.and_then(|text| text.args.get(argument.name)) {
            schema["description"] = said.clone().into();
        }
        properties.insert(argument.name.to_owned(), schema);
    }
    let required: Vec<&str> = table
        .iter()
        .filter(|it| it.required)
        .map(|it| it.name)
        .collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: [Argument; 4] = [
        Argument::needed("path", Shape::Text(5)),
        Argument::optional("limit", Shape::Count(1, 10)),
        Argument::optional("env", Shape::Table(3)),
        Argument::optional("kind", Shape::Word(&["a", "b"])),
    ];

    #[test]
    fn what_does_not_fit_is_named() {
        let said = |value: Value| match Arguments::read(&TABLE, &value) {
            Ok(_) => "fits".to_owned(),
            Err(problem) => problem.to_string(),
        };
        for (value, wanted) in [
            (json!({"path": "x"}), "fits"),
            (
                json!({"path": "x", "limit": 3.0, "kind": null, "x": null}),
                "fits",
            ),
            (json!([]), "they are no JSON object"),
            (json!({"limit": 3}), "`path` is missing"),
            (json!({"path": null}), "`path` is missing"),
            (
                json!({"path": "x", "limt": 3}),
                "there is no argument \"limt\"; did you mean \"limit\"?",
            ),
            (
                json!({"path": "x", "limit": 11}),
                "`limit` must be a whole number from 1 to 10",
            ),
            (
                json!({"path": "x", "limit": "3"}),
                "`limit` must be a whole number from 1 to 10",
            ),
            (
                json!({"path": "123456"}),
                "`path` must be text of at most 5 bytes",
            ),
            (
                json!({"path": "x", "kind": "c"}),
                "`kind` must be one of: a, b",
            ),
            (
                json!({"path": "x", "env": {"A": 1}}),
                "`env` must be an object of at most 64 texts of at most 3 bytes each",
            ),
        ] {
            assert_eq!(said(value), wanted);
        }
    }
}
