//! Reads YAML as a JSON value.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// Parses the one document in `text`. Rejects aliases and keys that are not strings.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut open: Vec<(Value, Option<String>)> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let line = span.start.line();
        let done = match event {
            Event::Scalar(text, style, ..) => match (open.last_mut(), style) {
                (Some((Value::Object(_), key @ None)), _) => {
                    *key = Some(text.into_owned());
                    continue;
                }
                (_, ScalarStyle::Plain) => plain(&text),
                _ => Value::String(text.into_owned()),
            },
            Event::MappingStart(..) => {
                open.push((Value::Object(Map::new()), None));
                continue;
            }
            Event::SequenceStart(..) => {
                open.push((Value::Array(Vec::new()), None));
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => open.pop().ok_or("an end without a start")?.0,
            Event::Alias(_) => return Err(format!("line {line}: an alias")),
            _ => continue,
        };
        match open.last_mut() {
            Some((Value::Array(items), _)) => items.push(done),
            Some((Value::Object(members), key)) => {
                let key = key.take().ok_or_else(|| format!("line {line}: a key that is not a string"))?;
                if members.insert(key.clone(), done).is_some() {
                    return Err(format!("line {line}: `{key}` appears twice"));
                }
            }
            _ if root.is_none() => root = Some(done),
            _ => return Err(format!("line {line}: a second document")),
        }
    }
    root.ok_or_else(|| "no document".to_owned())
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => true.into(),
        "false" => false.into(),
        _ if text.starts_with('0') && text.len() > 1 => text.into(),
        _ => serde_json::from_str(text).ok().filter(Value::is_number).unwrap_or_else(|| text.into()),
    }
}
