//! `toJson` and its family, as Go's `encoding/json` writes.

use super::encoding::base64;
use super::{Called, Function, Type, function, text, value};
use crate::code::ErrorCode;
use crate::templates::go::context::{Context, Problem};
use crate::templates::go::decode;
use crate::templates::go::floats;
use crate::templates::go::text::{Origin, Text, characters};
use crate::templates::go::value::{Element, Value};

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

/// How often escapes read and write each byte.
const READS_TO_ESCAPE: usize = 8;
/// How often a `[]byte`, whose bytes are values, is read.
const READS_OF_BYTES: usize = 16;

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
        Err(problem) if problem.code != ErrorCode::TemplateLimit => Ok(Value::text(Text::default())),
        other => other,
    }
}

fn write(context: &mut Context<'_>, value: &Value, style: Style) -> Called {
    let mut writer = Writer { context, style, out: Text::default(), syntax: String::new() };
    writer.value(value, 0)?;
    writer.flush();
    let out = writer.out;
    context.charge_bytes(out.len())?;
    Ok(Value::text(out))
}

/// sprig's `fromJson` keeps what Go has decoded in spite of a number that float64 cannot hold, which becomes null.
fn read(context: &mut Context<'_>, text: &Text, is_lenient: bool) -> Called {
    context.charge_bytes(text.len())?;
    match decode::decode_any_number(text.bytes(), context.limits.depth) {
        Ok(json) => {
            if !is_lenient && decode::decode(text.bytes(), context.limits.depth).is_err() {
                return Err(Problem::wrong_type("expected numbers that float64 can hold, found a larger one"));
            }
            Ok(Value::from_json(&json, text.content_origin()))
        }
        Err(fault) if fault.code == ErrorCode::TemplateLimit => {
            Err(Problem::limit("expected JSON that is nested less deeply"))
        }
        Err(_) if is_lenient => Ok(Value::Invalid),
        Err(fault) => Err(Problem::wrong_type(format!("expected JSON, found {} at byte {}", fault.found, fault.at))),
    }
}

struct Writer<'w, 'c> {
    context: &'w mut Context<'c>,
    style: Style,
    out: Text,
    /// What is written next around the content of strings.
    syntax: String,
}

impl Writer<'_, '_> {
    fn flush(&mut self) {
        self.out.push(self.syntax.as_bytes(), Origin::Syntax);
        self.syntax.clear();
    }

    fn scalar(&mut self, text: &str) {
        self.flush();
        self.out.push(text.as_bytes(), Origin::Data);
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Problem> {
        self.context.step()?;
        if self.style == Style::Pretty {
            self.context.charge_bytes(2 * depth)?;
        }
        if depth > self.context.limits.depth {
            return Err(Problem::limit("expected a value that is nested less deeply"));
        }
        match value {
            Value::Invalid | Value::NilInterface => self.scalar("null"),
            Value::Bool(truth) => self.scalar(if *truth { "true" } else { "false" }),
            Value::Int(_, number) => self.scalar(&number.to_string()),
            Value::Uint(_, number) => self.scalar(&number.to_string()),
            Value::Float(number) if number.is_finite() => self.scalar(&floats::json(*number)),
            Value::Float(_) | Value::Complex(..) => {
                return Err(Problem::wrong_type("expected a number that JSON has, found another"));
            }
            Value::String(text) => self.string(text)?,
            Value::List(list) if list.is_nil => self.scalar("null"),
            Value::List(list) if list.element == Element::Byte => {
                self.context.charge_reads(list.items().len(), READS_OF_BYTES)?;
                let bytes = list.as_bytes().unwrap_or_default();
                self.string(&Text::new(base64(&bytes), Origin::Data))?;
            }
            Value::List(list) => {
                self.syntax.push('[');
                for (index, item) in list.items().iter().enumerate() {
                    self.separate(index, depth + 1);
                    self.value(item, depth + 1)?;
                }
                self.close(list.items().is_empty(), depth);
                self.syntax.push(']');
            }
            Value::Map(map) if map.is_nil => self.scalar("null"),
            Value::Map(map) => {
                self.syntax.push('{');
                let entries = map.entries.borrow();
                for (index, (name, item)) in entries.iter().enumerate() {
                    self.member(index, &map.key(name), item, depth)?;
                }
                self.close(entries.is_empty(), depth);
                self.syntax.push('}');
            }
            Value::Time(time) => {
                let text = time.to_strict_rfc3339();
                let text =
                    text.ok_or_else(|| Problem::wrong_type("expected a date that JSON has, found one too far away"))?;
                self.string(&Text::new(text, Origin::Data))?;
            }
            Value::Location(_) => self.syntax.push_str("{}"),
            Value::Version(version) | Value::PlainVersion(version) => {
                self.string(&Text::new(version.to_string(), Origin::Data))?
            }
            Value::Url(None) | Value::UserInfo(None) => self.scalar("null"),
            Value::UserInfo(Some(_)) => self.syntax.push_str("{}"),
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
        self.syntax.push('{');
        for (index, (name, field)) in fields.iter().enumerate() {
            self.member(index, &Text::new(*name, Origin::Data), field, depth)?;
        }
        self.close(fields.is_empty(), depth);
        self.syntax.push('}');
        Ok(())
    }

    fn member(&mut self, index: usize, name: &Text, value: &Value, depth: usize) -> Result<(), Problem> {
        self.context.step()?;
        self.separate(index, depth + 1);
        self.string(name)?;
        self.syntax.push_str(if self.style == Style::Pretty { ": " } else { ":" });
        self.value(value, depth + 1)
    }

    fn separate(&mut self, index: usize, depth: usize) {
        if index > 0 {
            self.syntax.push(',');
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
            self.syntax.push('\n');
            self.syntax.push_str(&"  ".repeat(depth));
        }
    }

    fn string(&mut self, text: &Text) -> Result<(), Problem> {
        self.context.charge_text(text, READS_TO_ESCAPE)?;
        self.syntax.push('"');
        for (piece, origin) in text.pieces() {
            self.flush();
            let origin = if origin == Origin::Template { origin } else { Origin::Encoded };
            self.out.push(escaped(piece, self.style).as_bytes(), origin);
        }
        self.syntax.push('"');
        Ok(())
    }
}

fn escaped(bytes: &[u8], style: Style) -> String {
    let mut out = String::with_capacity(bytes.len());
    for (_, character, _) in characters(bytes) {
        match character {
            None => out.push_str("\\ufffd"),
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\u{c}') => out.push_str("\\f"),
            Some(special @ ('\0'..='\u{1f}' | '\u{2028}' | '\u{2029}')) => escape(special, &mut out),
            Some(special @ ('<' | '>' | '&')) if style != Style::Raw => escape(special, &mut out),
            Some(plain) => out.push(plain),
        }
    }
    out
}

fn escape(character: char, out: &mut String) {
    let code = u32::from(character);
    out.push_str("\\u");
    let digits = [12, 8, 4, 0].map(|shift| char::from_digit(code >> shift & 0xf, 16).unwrap_or('0'));
    out.extend(digits);
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
