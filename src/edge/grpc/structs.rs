//! `google.protobuf.Struct` from JSON and to JSON.

use super::proto::{Kind, List, Struct, Value, ValueEntry};
use crate::json::{Json, ReadLimits, write_string};

/// The most levels of a claim in dynamic metadata. Decoders of Protocol Buffers have a limit of 100.
const DEPTH: usize = 32;

/// Returns named JSON texts as a structure. A text that is nested too deeply is left out.
pub(super) fn from_pairs(pairs: &[(String, String)]) -> Struct {
    let field = |(name, text): &(String, String)| {
        let json = Json::parse(text.as_bytes(), ReadLimits { depth: DEPTH }).ok()?;
        Some(ValueEntry { key: name.clone(), value: Some(value(&json)) })
    };
    Struct { fields: pairs.iter().filter_map(field).collect() }
}

fn value(json: &Json<'_>) -> Value {
    let kind = match json {
        Json::Null => Kind::Null(0),
        Json::Bool(value) => Kind::Bool(*value),
        Json::Number(number) => Kind::Number(number.as_f64()),
        Json::String(text) => Kind::Text(text.to_string()),
        Json::Array(values) => Kind::List(List { values: values.iter().map(value).collect() }),
        Json::Object(object) => {
            let field = |(name, json): (&str, &Json<'_>)| ValueEntry { key: name.to_owned(), value: Some(value(json)) };
            Kind::Struct(Struct { fields: object.iter().map(field).collect() })
        }
    };
    Value { kind: Some(kind) }
}

/// Returns a structure as JSON text. A name that occurs twice stays so, which readers of the text reject.
pub(super) fn to_json(structure: &Struct) -> String {
    let mut out = String::new();
    write_struct(structure, &mut out);
    out
}

fn write_struct(structure: &Struct, out: &mut String) {
    out.push('{');
    for (index, field) in structure.fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(&field.key, out);
        out.push(':');
        write_value(field.value.as_ref(), out);
    }
    out.push('}');
}

fn write_value(value: Option<&Value>, out: &mut String) {
    match value.and_then(|value| value.kind.as_ref()) {
        None | Some(Kind::Null(_)) => out.push_str("null"),
        Some(Kind::Bool(value)) => out.push_str(if *value { "true" } else { "false" }),
        // `Display` of a float has no exponent and no fraction for whole numbers, so a NumericDate stays one.
        Some(Kind::Number(number)) if number.is_finite() => out.push_str(&number.to_string()),
        Some(Kind::Number(_)) => out.push_str("null"),
        Some(Kind::Text(text)) => write_string(text, out),
        Some(Kind::Struct(structure)) => write_struct(structure, out),
        Some(Kind::List(list)) => {
            out.push('[');
            for (index, value) in list.values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(Some(value), out);
            }
            out.push(']');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_survives_the_way_through_a_structure() {
        let text = r#"{"exp":1795435200,"f":0.5,"s":"a\"\u0000ü","n":null,"t":true,"l":[1,[],{"x":{}}]}"#;
        let structure = from_pairs(&[("claims".to_owned(), text.to_owned())]);
        assert_eq!(to_json(&structure), format!(r#"{{"claims":{text}}}"#));
        let deep = format!("{}{}", "[".repeat(DEPTH + 1), "]".repeat(DEPTH + 1));
        assert_eq!(from_pairs(&[("deep".to_owned(), deep)]).fields, []);
    }
}
