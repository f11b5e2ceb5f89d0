//! sprig's functions on text that keep or cut what is there.

use super::lists::STEPS_PER_PART;
use super::{Called, Function, Type, function, int, text, value, variadic};
use crate::templates::go::context::{Context, Problem};
use crate::templates::go::print;
use crate::templates::go::quoting::quote;
use crate::templates::go::text::{Origin, Text, characters, find};
use crate::templates::go::value::Value;

const TEXT: &[Type] = &[Type::String];
const TWO: &[Type] = &[Type::String, Type::String];
const INT_TEXT: &[Type] = &[Type::Int, Type::String];

/// How many copies of a piece of text are made in one step, besides what their bytes cost.
const REPETITIONS_PER_STEP: u64 = 16;
/// How often quotes read and write each byte.
const READS_TO_QUOTE: usize = 16;

pub(super) static FUNCTIONS: &[Function] = &[
    function("trim", TEXT, |_, values| {
        Ok(Value::text(trimmed(&text(values, 0), |c| c.is_some_and(char::is_whitespace))))
    }),
    function("trimAll", TWO, trim_all),
    function("trimall", TWO, trim_all),
    function("trimPrefix", TWO, |_, values| {
        let (prefix, text) = (text(values, 0), text(values, 1));
        let start = if text.bytes().starts_with(prefix.bytes()) { prefix.len() } else { 0 };
        Ok(Value::text(text.slice(start..text.len())))
    }),
    function("trimSuffix", TWO, |_, values| {
        let (suffix, text) = (text(values, 0), text(values, 1));
        let cut = if text.bytes().ends_with(suffix.bytes()) { suffix.len() } else { 0 };
        Ok(Value::text(text.slice(0..text.len() - cut)))
    }),
    function("trunc", INT_TEXT, |_, values| {
        let text = text(values, 1);
        let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
        let range = match int(values, 0) {
            count if count < 0 && length.saturating_add(count) > 0 => offset(length + count)..text.len(),
            count if count >= 0 && length > count => 0..offset(count),
            _ => 0..text.len(),
        };
        Ok(Value::text(text.slice(range)))
    }),
    function("substr", &[Type::Int, Type::Int, Type::String], |_, values| {
        let (start, end, text) = (int(values, 0), int(values, 1), text(values, 2));
        let length = text.len();
        let range = if start < 0 {
            0..if end < 0 { usize::MAX } else { offset(end) }
        } else if end < 0 || offset(end) > length {
            offset(start)..length
        } else {
            offset(start)..offset(end)
        };
        if range.start > range.end || range.end > length {
            return Err(Problem::missing("expected bounds within the text for substr, found others"));
        }
        Ok(Value::text(text.slice(range)))
    }),
    function("contains", TWO, |context, values| {
        let (part, text) = (text(values, 0), text(values, 1));
        context.charge_bytes(text.len())?;
        Ok(Value::Bool(find(text.bytes(), part.bytes()).is_some()))
    }),
    function("hasPrefix", TWO, |_, values| {
        Ok(Value::Bool(text(values, 1).bytes().starts_with(text(values, 0).bytes())))
    }),
    function("hasSuffix", TWO, |_, values| Ok(Value::Bool(text(values, 1).bytes().ends_with(text(values, 0).bytes())))),
    function("replace", &[Type::String, Type::String, Type::String], |context, values| {
        let (old, new, text) = (text(values, 0), text(values, 1), text(values, 2));
        replaced(context, &old, &new, &text).map(Value::text)
    }),
    function("repeat", INT_TEXT, |context, values| {
        let (count, text) = (int(values, 0), text(values, 1));
        let Ok(count) = usize::try_from(count) else {
            return Err(Problem::wrong_type("expected a count of zero or more for repeat, found a negative one"));
        };
        context.charge_bytes(text.len().saturating_mul(count))?;
        context.steps((count as u64).saturating_mul(1 + text.joints() as u64) / REPETITIONS_PER_STEP)?;
        if text.is_empty() {
            return Ok(Value::text(Text::default()));
        }
        let mut out = Text::default();
        for _ in 0..count {
            out.push_text(&text);
        }
        Ok(Value::text(out))
    }),
    function("indent", INT_TEXT, |context, values| indented(context, values, b"")),
    function("nindent", INT_TEXT, |context, values| indented(context, values, b"\n")),
    function("abbrev", INT_TEXT, |_, values| {
        let (width, text) = (int(values, 0), text(values, 1));
        Ok(Value::text(abbreviated(&text, 0, width)))
    }),
    function("abbrevboth", &[Type::Int, Type::Int, Type::String], |_, values| {
        let (left, right, text) = (int(values, 0), int(values, 1), text(values, 2));
        if right < 4 || left > 0 && right < 7 {
            return Ok(Value::text(text.as_ref().clone()));
        }
        Ok(Value::text(abbreviated(&text, offset(left), right)))
    }),
    function("wrap", INT_TEXT, |context, values| {
        wrapped(context, &text(values, 1), int(values, 0), &newline(), LongWords::Whole)
    }),
    function("wrapWith", &[Type::Int, Type::String, Type::String], |context, values| {
        let separator = match text(values, 1) {
            empty if empty.is_empty() => newline(),
            separator => separator.as_ref().clone(),
        };
        wrapped(context, &text(values, 2), int(values, 0), &separator, LongWords::Cut)
    }),
    function("nospace", TEXT, |context, values| {
        let text = text(values, 0);
        context.charge_bytes(text.len())?;
        // sprig's library looks at bytes here, and writes each as a character of Latin-1 where it leaves any out.
        let is_space = |byte: &u8| char::from(*byte).is_whitespace();
        if !text.bytes().iter().any(is_space) {
            return Ok(Value::text(text.as_ref().clone()));
        }
        Ok(Value::text(text.map(|piece| {
            let kept = piece.iter().filter(|byte| !is_space(byte)).map(|byte| char::from(*byte));
            kept.collect::<String>().into_bytes()
        })))
    }),
    variadic("cat", &[], Type::Any, |context, values| {
        let mut out = Text::default();
        for (index, value) in values.iter().filter(|value| !value.is_nil()).enumerate() {
            if index > 0 {
                out.push(b" ", Origin::Syntax);
            }
            let text = print::text_of(context, value)?;
            context.charge_text(&text, 1)?;
            out.push_text(&text);
        }
        Ok(Value::text(out))
    }),
    variadic("quote", &[], Type::Any, |context, values| {
        each(context, values, print::string_of, |text| quote(&text, false))
    }),
    variadic("squote", &[], Type::Any, |context, values| {
        each(context, values, print::text_of, |text| {
            let mut quoted = Text::new("'", Origin::Syntax);
            quoted.push_text(&text);
            quoted.push(b"'", Origin::Syntax);
            quoted
        })
    }),
    function("plural", &[Type::String, Type::String, Type::Int], |_, values| {
        Ok(value(values, if int(values, 2) == 1 { 0 } else { 1 }))
    }),
];

fn newline() -> Text {
    Text::new("\n", Origin::Syntax)
}

fn offset(number: i64) -> usize {
    usize::try_from(number.max(0)).unwrap_or(usize::MAX)
}

fn each(
    context: &mut Context<'_>,
    values: &[Value],
    write: fn(&mut Context<'_>, &Value) -> Result<Text, Problem>,
    change: fn(Text) -> Text,
) -> Called {
    let mut out = Text::default();
    for (index, value) in values.iter().filter(|value| !value.is_nil()).enumerate() {
        if index > 0 {
            out.push(b" ", Origin::Syntax);
        }
        let text = write(context, value)?;
        context.charge_text(&text, READS_TO_QUOTE)?;
        out.push_text(&change(text));
    }
    Ok(Value::text(out))
}

fn trimmed(text: &Text, cut: impl Fn(Option<char>) -> bool) -> Text {
    let mut kept = characters(text.bytes()).filter(|(_, character, _)| !cut(*character));
    let Some((start, _, first_length)) = kept.next() else {
        return Text::default();
    };
    let end = kept.last().map_or(start + first_length, |(at, _, length)| at + length);
    text.slice(start..end)
}

fn trim_all(context: &mut Context<'_>, values: &[Value]) -> Called {
    let (cutset, text) = (text(values, 0), text(values, 1));
    context.charge_bytes(text.len().saturating_mul(cutset.len().max(1)))?;
    let cutset: Vec<Option<char>> = characters(cutset.bytes()).map(|(_, character, _)| character).collect();
    Ok(Value::text(trimmed(&text, |character| cutset.contains(&character))))
}

fn replaced(context: &mut Context<'_>, old: &Text, new: &Text, text: &Text) -> Result<Text, Problem> {
    context.charge_bytes(text.len())?;
    if old.bytes() == new.bytes() && old.is_empty() {
        return Ok(text.clone());
    }
    // A session must not choose where text of the author stands.
    let new = if old.is_of_session() { &new.as_data() } else { new };
    let count = text.count_parts(old.bytes(), None);
    context.steps((count as u64).saturating_mul(STEPS_PER_PART))?;
    context.charge_bytes(new.len().saturating_mul(count + 1))?;
    let parts = if old.is_empty() {
        let mut parts = vec![Text::default()];
        parts.extend(text.split(b"", None));
        parts.push(Text::default());
        parts
    } else {
        text.split(old.bytes(), None)
    };
    let mut out = Text::default();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push_text(new);
        }
        out.push_text(part);
    }
    Ok(out)
}

fn indented(context: &mut Context<'_>, values: &[Value], before: &[u8]) -> Called {
    let Ok(width) = usize::try_from(int(values, 0)) else {
        return Err(Problem::wrong_type("expected an indentation of zero or more, found a negative one"));
    };
    let text = text(values, 1);
    let lines = text.bytes().iter().filter(|byte| **byte == b'\n').count() + 1;
    context.steps((lines as u64).saturating_mul(STEPS_PER_PART))?;
    context.charge_bytes(width.saturating_mul(lines))?;
    let padding = " ".repeat(width);
    let mut out = Text::new(before, Origin::Syntax);
    let mut at = 0;
    for (index, line) in text.split(b"\n", None).iter().enumerate() {
        // A line break of the session stays the session's.
        if index > 0 {
            out.push_text(&text.slice(at..at + 1));
            at += 1;
        }
        out.push(padding.as_bytes(), Origin::Syntax);
        out.push_text(line);
        at += line.len();
    }
    Ok(Value::text(out))
}

/// Cuts `text` to `width` bytes with dots where something is missing; `skipped` bytes may go at the start.
fn abbreviated(text: &Text, skipped: usize, width: i64) -> Text {
    let length = text.len();
    let width = offset(width);
    if width < 4 || length <= width {
        return text.clone();
    }
    let kept = width - 3;
    let mut skipped = skipped.min(length);
    if length - skipped < kept {
        skipped = length - kept;
    }
    if skipped <= 4 {
        let mut out = text.slice(0..kept);
        out.push(b"...", Origin::Data);
        return out;
    }
    if width < 7 {
        return Text::default();
    }
    let mut out = Text::new("...", Origin::Data);
    if skipped + kept < length {
        let rest = text.slice(skipped..length);
        out.push_text(&abbreviated(&rest, 0, i64::try_from(kept).unwrap_or(i64::MAX)));
    } else {
        out.push_text(&text.slice(length - kept..length));
    }
    out
}

/// What happens to words that are longer than a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LongWords {
    Cut,
    Whole,
}

fn wrapped(context: &mut Context<'_>, text: &Text, width: i64, separator: &Text, long_words: LongWords) -> Called {
    let width = offset(width).max(1);
    let bytes = text.bytes();
    let mut out = Text::default();
    let mut at = 0;
    context.charge_bytes(bytes.len())?;
    while bytes.len() - at > width {
        context.steps(STEPS_PER_PART)?;
        if bytes[at] == b' ' {
            at += 1;
            continue;
        }
        let (end, next) = match bytes[at..=at + width].iter().rposition(|byte| *byte == b' ') {
            Some(space) => (at + space, at + space + 1),
            None if long_words == LongWords::Cut => (at + width, at + width),
            None => match bytes[at + width..].iter().position(|byte| *byte == b' ') {
                Some(space) => (at + width + space, at + width + space + 1),
                None => break,
            },
        };
        out.push_text(&text.slice(at..end));
        out.push_text(separator);
        context.charge_bytes(separator.len())?;
        at = next;
    }
    out.push_text(&text.slice(at..bytes.len()));
    Ok(Value::text(out))
}
