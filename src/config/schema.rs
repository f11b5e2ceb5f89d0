//! The JSON Schema (2020-12) of the configuration file, generated from the tables that the reader uses.

use serde_json::{Map, Value, json};

use super::fault::{Faults, Place};
use super::field::{Field, Kind, NAME, Presence, Section};
use super::restart::AT_START;
use super::root::ROOT;
use super::yaml::{self, Node, Quoting, ScalarKind, scalar_kind};

/// Returns the schema as indented JSON text with a trailing newline. `x-restart` marks keys that are read only at startup.
pub fn schema() -> String {
    let mut root = section_schema(&ROOT);
    root.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("title".into(), "claimsmith configuration".into());
    let description = "claimsmith.yaml. Every key can also be set by an environment variable: CLAIMSMITH_ and the path \
                       of the key, upper-cased, joined by underscores.";
    root.insert("description".into(), description.into());
    let mut schema = Value::Object(root);
    for (key, _) in &AT_START {
        let pointer: String = key.split('.').map(|name| format!("/properties/{name}")).collect();
        if let Some(Value::Object(field)) = schema.pointer_mut(&pointer) {
            field.insert("x-restart".into(), true.into());
        }
    }
    format!("{schema:#}\n")
}

fn section_schema(section: &Section) -> Map<String, Value> {
    let in_file = || section.fields.iter().filter(|field| field.presence != Presence::EnvironmentOnly);
    let properties: Map<String, Value> = in_file().map(|field| (field.name.into(), field_schema(field))).collect();
    let mut required: Vec<Value> =
        in_file().filter(|field| field.presence == Presence::Required).map(|field| Value::from(field.name)).collect();
    let one_of: Vec<&str> = in_file().map(|field| field.name).filter(|name| section.one_of.contains(name)).collect();
    let mut schema = Map::new();
    match one_of.as_slice() {
        [] => {}
        // The other keys of the choice are set in the environment, so the file can have none of them.
        several if several.len() < section.one_of.len() => {
            let both = several.iter().enumerate().flat_map(|(index, one)| {
                several.iter().skip(index + 1).map(move |other| json!({ "required": [one, other] }))
            });
            let both: Vec<Value> = both.collect();
            if !both.is_empty() {
                schema.insert("not".into(), json!({ "anyOf": both }));
            }
        }
        several => {
            let choices = several.iter().map(|name| json!({ "required": [name] })).collect();
            schema.insert("oneOf".into(), Value::Array(choices));
        }
    }
    schema.insert("type".into(), "object".into());
    schema.insert("additionalProperties".into(), false.into());
    schema.insert("properties".into(), Value::Object(properties));
    if !required.is_empty() {
        required.sort_by(|left, right| left.as_str().cmp(&right.as_str()));
        schema.insert("required".into(), Value::Array(required));
    }
    schema
}

fn field_schema(field: &Field) -> Value {
    let mut schema = kind_schema(field.kind);
    schema.insert("title".into(), field.title.into());
    let description = match field.presence {
        Presence::DefaultInWords(words) => format!("{} Default: {words}.", field.meaning),
        _ => field.meaning.to_owned(),
    };
    schema.insert("description".into(), description.into());
    if let Presence::Default(text) = field.presence {
        schema.insert("default".into(), value_of(text));
    }
    if !field.examples.is_empty() {
        schema.insert("examples".into(), field.examples.iter().map(|text| value_of(text)).collect());
    }
    Value::Object(schema)
}

fn kind_schema(kind: Kind) -> Map<String, Value> {
    let schema = match kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Count { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Duration { .. } => json!({
            "type": ["string", "integer"],
            "maximum": 0,
            "minimum": 0,
            "pattern": "^(0|([0-9]+(\\.[0-9]*)?(ns|us|µs|μs|ms|s|m|h)|\\.[0-9]+(ns|us|µs|μs|ms|s|m|h))+)$",
        }),
        Kind::Host => json!({ "type": "string", "pattern": "^(\\[[0-9A-Fa-f:.]+\\]|[0-9A-Za-z_.:-]+)$" }),
        Kind::Many(section) => json!({ "type": "array", "items": section_schema(section) }),
        Kind::Named(section) => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": { "pattern": NAME.pattern },
            "additionalProperties": section_schema(section),
        }),
        Kind::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::Port => json!({ "type": "integer", "minimum": 0, "maximum": 65_535 }),
        Kind::Ratio => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Section(section) => return section_schema(section),
        Kind::Size { least, most } => json!({
            "type": ["integer", "string"],
            "minimum": least,
            "maximum": most,
            "pattern": "^(0|[1-9][0-9]*)(B|KiB|MiB|GiB)?$",
        }),
        Kind::Text(words) => json!({ "type": "string", "pattern": words.pattern }),
        Kind::TextMap { keys, values } => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": { "pattern": keys.pattern },
            "additionalProperties": { "type": "string", "pattern": values.pattern },
        }),
        Kind::Texts => json!({
            "anyOf": [
                { "type": "string", "minLength": 1 },
                { "type": "array", "minItems": 1, "uniqueItems": true, "items": { "type": "string", "minLength": 1 } },
            ],
        }),
    };
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

/// Converts YAML text of a table to JSON.
fn value_of(text: &str) -> Value {
    yaml::parse(text, Some(&Place::Nowhere), Quoting::Hidden, &mut Faults::default())
        .map_or(Value::Null, |node| json_of(&node))
}

fn json_of(node: &Node) -> Value {
    match &node.value {
        yaml::Value::Scalar { text, is_plain } => match scalar_kind(text, *is_plain) {
            ScalarKind::Null => Value::Null,
            ScalarKind::Bool(value) => value.into(),
            ScalarKind::Number => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
            ScalarKind::Text => text.as_str().into(),
        },
        yaml::Value::List(items) => items.iter().map(json_of).collect(),
        yaml::Value::Map(entries) => {
            Value::Object(entries.iter().map(|entry| (entry.key.clone(), json_of(&entry.value))).collect())
        }
    }
}
