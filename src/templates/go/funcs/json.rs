//! `toJson` and its family, as Go's `encoding/json` writes.

use super::{Called, Function, Type, function, text, value};
use crate::templates::go::context::{Context, Problem};
use crate::templates::go::decode;
use crate::templates::go::floats;
use crate::templates::go::text::{Origin, Text, characters};
use crate::templates::go::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    function("toJson", &[Type::Any], |context, values| lenient(write(context, &value(values, 0), Style::Escaped))),
    function("mustToJson", &[Type::Any], |context, values| write(context, &value(values, 0), Style::Escaped)),
    function("toRawJson", &[Type::Any], |context, values| write(context, &value(values, 0), Style::Raw)),
    function("mustToRawJson", &[Type::Any], |context, values| write(context, &value(values, 0), Style::Raw)),
    function("toPrettyJson", &[Type::Any], |context, values| lenient(write(context, &value(values, 0), Style::Pretty))),
    function("mustToPrettyJson", &[Type::Any], |context, values| write(context, &value(values, 0), Style::Pretty)),
    function("fromJson", &[Type::String], |context, values| read(context, &text(values, 0), true)),
    function("mustFromJson", &[Type::String], |context, values| read(context, &text(values, 0), false)),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `<`, `>` and `&` as escapes.
    Escaped,
    Pretty,
    Raw,
}

/// sprig turns errors of these functions into empty text; only limits stay errors.
fn lenient(result: Called) -> Called {
    match result {
        Err(problem) if problem.code != crate::code::ErrorCode::TemplateLimit => Ok(Value::text(Text::default())),
        other => other,
    }
}

fn write(context: &mut Context<'_>, value: &Value, style: Style) -> Called {
    let mut out = String::new();
    Writer { context, style, out: &mut out }.value(value, 0)?;
    context.charge_bytes(out.len())?;
    Ok(Value::text(Text::new(out, Origin::Encoded)))
}

fn read(context: &mut Context<'_>, text: &Text, is_lenient: bool) -> Called {
    context.charge_bytes(text.len())?;
    match decode::decode(text.bytes(), context.limits.depth) {
        Ok(json) => {
            context.steps(text.len() as u64 / 16)?;
            Ok(Value::from_json(&json))
        }
        Err(_) if is_lenient => Ok(Value::Invalid),
        Err(fault) => Err(Problem::wrong_type(format!("expected JSON, found {} at byte {}", fault.found, fault.at))),
    }
}

struct Writer<'w, 'c> {
    context: &'w mut Context<'c>,
    style: Style,
    out: &'w mut String,
}

impl Writer<'_, '_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Problem> {
        self.context.step()?;
        if depth > self.context.limits.depth {
            return Err(Problem::limit("expected a value that is nested less deeply"));
        }
        match value {
            Value::Invalid | Value::NilInterface => self.out.push_str("null"),
            Value::Bool(truth) => self.out.push_str(if *truth { "true" } else { "false" }),
            Value::Int(_, number) => self.out.push_str(&number.to_string()),
            Value::Uint(_, number) => self.out.push_str(&number.to_string()),
            Value::Float(number) if number.is_finite() => self.out.push_str(&floats::json(*number)),
            Value::Float(_) | Value::Complex(..) => {
                return Err(Problem::wrong_type("expected a number that JSON has, found another"));
            }
            Value::String(text) => self.string(text.bytes())?,
            Value::List(list) if list.is_nil => self.out.push_str("null"),
            Value::List(list) => {
                self.out.push('[');
                for (index, item) in list.items.iter().enumerate() {
                    self.separate(index, depth + 1);
                    self.value(item, depth + 1)?;
                }
                self.close(list.items.is_empty(), depth);
                self.out.push(']');
            }
            Value::Map(map) if map.is_nil => self.out.push_str("null"),
            Value::Map(map) => {
                self.out.push('{');
                let entries = map.entries.borrow();
                for (index, (name, item)) in entries.iter().enumerate() {
                    self.member(index, name, item, depth)?;
                }
                self.close(entries.is_empty(), depth);
                self.out.push('}');
            }
            Value::Time(time) => self.string(time.to_rfc3339().as_bytes())?,
            Value::Version(version) => self.string(version.to_string().as_bytes())?,
            Value::Url(None) | Value::UserInfo(None) => self.out.push_str("null"),
            Value::UserInfo(Some(_)) => self.out.push_str("{}"),
            Value::Url(Some(url)) => self.structure(&url.fields(), depth)?,
            Value::Session => {
                let fields = self.context.session_fields();
                self.structure(&renamed(fields), depth)?;
            }
            Value::MatchContext => {
                let fields = self.context.match_context_fields();
                self.structure(&renamed(fields), depth)?;
            }
        }
        Ok(())
    }

    fn structure(&mut self, fields: &[(&str, Value)], depth: usize) -> Result<(), Problem> {
        self.out.push('{');
        for (index, (name, field)) in fields.iter().enumerate() {
            self.member(index, name.as_bytes(), field, depth)?;
        }
        self.close(fields.is_empty(), depth);
        self.out.push('}');
        Ok(())
    }

    fn member(&mut self, index: usize, name: &[u8], value: &Value, depth: usize) -> Result<(), Problem> {
        self.separate(index, depth + 1);
        self.string(name)?;
        self.out.push_str(if self.style == Style::Pretty { ": " } else { ":" });
        self.value(value, depth + 1)
    }

    fn separate(&mut self, index: usize, depth: usize) {
        if index > 0 {
            self.out.push(',');
        }
        self.indent(depth);
    }

    fn close(&mut self, is_empty: bool, depth: usize) {
        if !is_empty {
            self.indent(depth);
        }
    }

    fn indent(&mut self, depth: usize) {
        if self.style == Style::Pretty {
            self.out.push('\n');
            self.out.push_str(&"  ".repeat(depth));
        }
    }

    fn string(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.context.charge_bytes(bytes.len())?;
        self.out.push('"');
        for (_, character, _) in characters(bytes) {
            match character {
                None => self.out.push_str("\\ufffd"),
                Some('"') => self.out.push_str("\\\""),
                Some('\\') => self.out.push_str("\\\\"),
                Some('\n') => self.out.push_str("\\n"),
                Some('\r') => self.out.push_str("\\r"),
                Some('\t') => self.out.push_str("\\t"),
                Some('\u{8}') => self.out.push_str("\\b"),
                Some('\u{c}') => self.out.push_str("\\f"),
                Some(special @ ('\0'..='\u{1f}' | '\u{2028}' | '\u{2029}')) => self.escape(special),
                Some(special @ ('<' | '>' | '&')) if self.style != Style::Raw => self.escape(special),
                Some(plain) => self.out.push(plain),
            }
        }
        self.out.push('"');
        Ok(())
    }

    fn escape(&mut self, character: char) {
        self.out.push_str(&format!("\\u{:04x}", u32::from(character)));
    }
}

/// The names under which the session's fields travel.
fn renamed(fields: Vec<(&'static str, Value)>) -> Vec<(&'static str, Value)> {
    fields
        .into_iter()
        .map(|(name, field)| {
            let name = match name {
                "Subject" => "subject",
                "Extra" => "extra",
                "Header" => "header",
                "MatchContext" => "match_context",
                "RegexpCaptureGroups" => "regexp_capture_groups",
                "URL" => "url",
                "Method" => "method",
                other => other,
            };
            (name, field)
        })
        .collect()
}
