//! The JSON Schema of charts, for editors that complete and explain keys.
//!
//! Owns the translation of the table of keys; it adds nothing of its own, so that schema and decoder
//! are equal. What refers to something else is for `check`. Must not know where the schema is shown.

use serde_json::{Map, Value, json};

use super::keys::{self, Key, Kind};

/// The schema, draft 7.
#[must_use]
pub fn schema() -> Value {
    let mut schema = section("");
    if let Value::Object(top) = &mut schema {
        top.insert(
            "$schema".to_owned(),
            json!("http://json-schema.org/draft-07/schema#"),
        );
        top.insert("title".to_owned(), json!("org chart"));
    }
    schema
}

/// The object that a section is.
fn section(name: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in keys::of(name) {
        properties.insert(key.name.to_owned(), property(key));
        if key.required {
            required.push(key.name);
        }
    }
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "required": required,
    })
}

fn property(key: &Key) -> Value {
    let beneath = key.beneath().unwrap_or_default();
    let mut value = match key.kind {
        Kind::Section => section(&beneath),
        Kind::Named => json!({ "type": "object", "additionalProperties": section(&beneath) }),
        Kind::List => json!({ "type": "array", "items": section(&beneath) }),
        kind => leaf(kind),
    };
    if let Value::Object(object) = &mut value {
        let default = match key.default {
            "" => String::new(),
            default => format!(" Default: {default}."),
        };
        object.insert(
            "description".to_owned(),
            json!(format!("{}{default}", key.doc)),
        );
    }
    value
}

fn leaf(kind: Kind) -> Value {
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match kind {
        Kind::Text => json!({ "type": "string", "minLength": 1 }),
        Kind::Free => json!({ "type": "string" }),
        Kind::Texts => json!({ "type": "array", "items": leaf(Kind::Text) }),
        Kind::Words(words) => json!({ "type": "array", "items": leaf(Kind::Word(words)) }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Whole(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
        Kind::Real(from, to) => json!({ "type": "number", "minimum": from, "maximum": to }),
        Kind::Between(from, to) => {
            json!({ "type": "number", "exclusiveMinimum": from, "exclusiveMaximum": to })
        }
        Kind::Span => either(&[text(SPAN), json!({ "type": "number", "minimum": 0 })]),
        Kind::Time => either(&[
            text(SPAN),
            json!({ "type": "number", "exclusiveMinimum": 0 }),
        ]),
        Kind::Size => either(&[
            text("^[0-9]+[KMGT]$"),
            json!({ "type": "integer", "minimum": 1 }),
        ]),
        Kind::Tokens => either(&[
            text("^[0-9]+[kKM]?$"),
            json!({ "type": "integer", "minimum": 1 }),
        ]),
        Kind::Grid => text("^[0-9]+x[0-9]+$"),
        Kind::Auto(other) => either(&[json!({ "const": "auto" }), leaf(*other)]),
        Kind::Env => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Ratios(measures) => json!({
            "type": "object",
            "propertyNames": { "enum": measures },
            "additionalProperties": { "type": "number", "exclusiveMinimum": 0 },
        }),
        Kind::Gpus => either(&[
            json!({ "const": "auto" }),
            text("^simulate:[0-9]+$"),
            json!({ "type": "array", "items": index() }),
            json!({ "type": "array", "items": text(UUID) }),
        ]),
        Kind::GpuHome => either(&[json!({ "const": "auto" }), index(), text(UUID)]),
        Kind::Party => either(&[
            leaf(Kind::Text),
            json!({
                "type": "object",
                "additionalProperties": false,
                "properties": { "role": leaf(Kind::Text), "not": leaf(Kind::Text) },
                "required": ["role"],
            }),
        ]),
        Kind::Section | Kind::Named | Kind::List => json!({}),
    }
}

const SPAN: &str = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$";
const UUID: &str = "^(GPU|MIG)-[A-Za-z0-9/-]+$";

fn index() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": keys::GPUS_MAX - 1 })
}

fn either(kinds: &[Value]) -> Value {
    json!({ "anyOf": kinds })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::schema;
    use crate::domain::decode::fixtures::{FULL, asked};
    use crate::domain::keys::KEYS;

    /// The sections and keys that a schema's objects have.
    fn properties(schema: &Value, section: &str, all: &mut BTreeSet<(String, String)>) {
        let Some(Value::Object(keys)) = schema.get("properties") else {
            return;
        };
        for (key, value) in keys {
            if value.get("anyOf").is_some() {
                continue;
            }
            let dot = if section.is_empty() { "" } else { "." };
            properties(value, &format!("{section}{dot}{key}"), all);
            if let Some(named) = value.get("additionalProperties") {
                properties(named, &format!("{section}{dot}{key}.*"), all);
            }
            if let Some(items) = value.get("items") {
                properties(items, &format!("{section}{dot}{key}[]"), all);
            }
        }
        all.extend(keys.keys().map(|key| (section.to_owned(), key.clone())));
    }

    #[test]
    fn schema_and_decoder_are_equal() {
        let mut offered = BTreeSet::new();
        properties(&schema(), "", &mut offered);
        let read: BTreeSet<(String, String)> = asked(FULL)
            .iter()
            .map(|(section, key)| ((*section).to_owned(), (*key).to_owned()))
            .collect();
        assert_eq!(offered, read);
    }

    #[test]
    fn every_key_is_explained_once() {
        let mut seen = BTreeSet::new();
        for key in KEYS {
            assert!(
                key.doc.ends_with('.') && key.doc.len() > 5,
                "{} is not explained",
                key.name
            );
            assert!(
                seen.insert((key.section, key.name)),
                "{} stands twice",
                key.name
            );
        }
        let schema = schema();
        assert_eq!(
            schema["required"],
            serde_json::json!(["version", "name", "task"])
        );
        assert_eq!(schema["properties"]["version"]["maximum"], 1);
        let alpha = &schema["properties"]["protocol"]["properties"]["alpha"];
        assert_eq!(
            alpha["description"],
            "Level of the one-sided test. Default: 0.01."
        );
    }
}
