//! Regular expressions: Go's syntax on an engine that is as linear as Go's.

use regex::bytes::{Captures, Regex, RegexBuilder};

use super::{Called, Function, Type, function, int, text};
use crate::templates::go::context::{Context, Problem};
use crate::templates::go::text::Text;
use crate::templates::go::value::{Element, Value};

const TWO: &[Type] = &[Type::String, Type::String];
const THREE: &[Type] = &[Type::String, Type::String, Type::String];
const COUNTED: &[Type] = &[Type::String, Type::String, Type::Int];
/// Bytes of a compiled expression.
const SIZE_LIMIT: usize = 1 << 20;

pub(super) static FUNCTIONS: &[Function] = &[
    // sprig ignores the error of this one.
    function("regexMatch", TWO, |context, values| match matches(context, values) {
        Err(problem) if problem.code != crate::code::ErrorCode::TemplateLimit => Ok(Value::Bool(false)),
        other => other,
    }),
    function("mustRegexMatch", TWO, matches),
    function("regexFind", TWO, find),
    function("mustRegexFind", TWO, find),
    function("regexFindAll", COUNTED, find_all),
    function("mustRegexFindAll", COUNTED, find_all),
    function("regexReplaceAll", THREE, replace_all),
    function("mustRegexReplaceAll", THREE, replace_all),
    function("regexReplaceAllLiteral", THREE, replace_all_literal),
    function("mustRegexReplaceAllLiteral", THREE, replace_all_literal),
    function("regexSplit", COUNTED, split),
    function("mustRegexSplit", COUNTED, split),
    function("regexQuoteMeta", &[Type::String], |context, values| {
        let text = text(values, 0);
        context.charge_bytes(text.len())?;
        Ok(Value::text(text.map(|piece| {
            let mut out = Vec::with_capacity(piece.len());
            for byte in piece {
                if b"\\.+*?()|[]{}^$".contains(byte) {
                    out.push(b'\\');
                }
                out.push(*byte);
            }
            out
        })))
    }),
];

fn compiled(context: &mut Context<'_>, values: &[Value]) -> Result<Regex, Problem> {
    let pattern = text(values, 0);
    let subject = text(values, 1);
    context.charge_bytes(subject.len().saturating_mul(4))?;
    if let Some(known) = context.regexes.get(pattern.bytes()) {
        return Ok(known.clone());
    }
    // A compilation costs much more than its length says.
    context.steps(500 + pattern.len() as u64)?;
    let regex = RegexBuilder::new(&translated(&pattern.to_str()))
        .size_limit(SIZE_LIMIT)
        .dfa_size_limit(SIZE_LIMIT)
        .build()
        .map_err(|_| Problem::wrong_type("expected a regular expression of RE2, found something else"))?;
    context.regexes.insert(pattern.bytes().to_vec(), regex.clone());
    Ok(regex)
}

/// Go's syntax in that of the engine: ASCII classes, literal text between `\Q` and `\E`, braces that stand for
/// themselves, and no set operations in classes.
fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        if first == '\\' {
            let Some(kind) = after.chars().next() else {
                out.push('\\');
                break;
            };
            rest = &after[kind.len_utf8()..];
            if kind == 'Q' && !in_class {
                let (literal, remaining) = rest.split_once("\\E").unwrap_or((rest, ""));
                out.push_str(&regex::escape(literal));
                rest = remaining;
                continue;
            }
            match (kind, in_class) {
                ('d', true) => out.push_str("0-9"),
                ('d', false) => out.push_str("[0-9]"),
                ('D', _) => out.push_str("[^0-9]"),
                ('w', true) => out.push_str("0-9A-Za-z_"),
                ('w', false) => out.push_str("[0-9A-Za-z_]"),
                ('W', _) => out.push_str("[^0-9A-Za-z_]"),
                ('s', true) => out.push_str("\\t\\n\\x0c\\r "),
                ('s', false) => out.push_str("[\\t\\n\\x0c\\r ]"),
                ('S', _) => out.push_str("[^\\t\\n\\x0c\\r ]"),
                ('b', false) => out.push_str("(?-u:\\b)"),
                ('B', false) => out.push_str("(?-u:\\B)"),
                // Engine-only escapes must stay errors, as they are in Go.
                ('<' | '>', false) => out.push_str(&regex::escape(&kind.to_string())),
                _ => {
                    out.push('\\');
                    out.push(kind);
                }
            }
            continue;
        }
        if in_class {
            match first {
                ']' => {
                    in_class = false;
                    out.push(']');
                }
                '[' if after.starts_with(':') => {
                    let end = after.find(":]").map_or(0, |end| end + 2);
                    out.push('[');
                    out.push_str(&after[..end]);
                    rest = &after[end..];
                    continue;
                }
                '[' | '&' | '~' => {
                    out.push('\\');
                    out.push(first);
                }
                '-' if after.starts_with('-') => out.push_str("\\-"),
                other => out.push(other),
            }
        } else {
            match first {
                '[' => {
                    in_class = true;
                    out.push('[');
                    let mut inside = after;
                    if let Some(negated) = inside.strip_prefix('^') {
                        out.push('^');
                        inside = negated;
                    }
                    if let Some(closed) = inside.strip_prefix(']') {
                        out.push_str("\\]");
                        inside = closed;
                    }
                    rest = inside;
                    continue;
                }
                '{' if !is_repetition(after) => out.push_str("\\{"),
                other => out.push(other),
            }
        }
        rest = after;
    }
    out
}

/// Whether a brace followed by `rest` repeats something: `{2}`, `{2,}` or `{2,3}`.
fn is_repetition(rest: &str) -> bool {
    let Some((inside, _)) = rest.split_once('}') else {
        return false;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match inside.split_once(',') {
        Some((low, high)) => is_number(low) && (high.is_empty() || is_number(high)),
        None => is_number(inside),
    }
}

fn matches(context: &mut Context<'_>, values: &[Value]) -> Called {
    let regex = compiled(context, values)?;
    Ok(Value::Bool(regex.is_match(text(values, 1).bytes())))
}

fn find(context: &mut Context<'_>, values: &[Value]) -> Called {
    let regex = compiled(context, values)?;
    let subject = text(values, 1);
    let found = regex.find(subject.bytes()).map_or_else(Text::default, |found| subject.slice(found.range()));
    Ok(Value::text(found))
}

fn limit(values: &[Value], index: usize) -> usize {
    usize::try_from(int(values, index)).unwrap_or(usize::MAX)
}

fn find_all(context: &mut Context<'_>, values: &[Value]) -> Called {
    let regex = compiled(context, values)?;
    let subject = text(values, 1);
    let mut found = Vec::new();
    for range in ranges(&regex, subject.bytes()).take(limit(values, 2)) {
        context.step()?;
        found.push(subject.slice(range));
    }
    Ok(if found.is_empty() { Value::nil_list(Element::String) } else { Value::strings(found) })
}

/// All matches; an empty one directly after a match does not count, as in Go.
fn ranges<'m>(regex: &'m Regex, subject: &'m [u8]) -> impl Iterator<Item = std::ops::Range<usize>> + 'm {
    let mut previous_end = None;
    regex.find_iter(subject).map(|found| found.range()).filter(move |range| {
        let counts = !range.is_empty() || previous_end != Some(range.start);
        previous_end = Some(range.end);
        counts
    })
}

fn replace_all(context: &mut Context<'_>, values: &[Value]) -> Called {
    let regex = compiled(context, values)?;
    let (subject, replacement) = (text(values, 1), text(values, 2));
    let mut out = Text::default();
    let mut copied = 0;
    let mut previous_end = None;
    for captures in regex.captures_iter(subject.bytes()) {
        let Some(found) = captures.get(0) else {
            continue;
        };
        if found.is_empty() && previous_end == Some(found.start()) {
            continue;
        }
        context.step()?;
        context.charge_bytes(replacement.len().saturating_add(out.len() / 64))?;
        out.push_text(&subject.slice(copied..found.start()));
        expand(&regex, &captures, &subject, &replacement, &mut out);
        context.charge_bytes(found.len())?;
        copied = found.end();
        previous_end = Some(found.end());
    }
    out.push_text(&subject.slice(copied..subject.len()));
    context.charge_bytes(out.len())?;
    Ok(Value::text(out))
}

/// Writes `replacement` with `$1`, `${1}` and `${name}` filled in.
fn expand(regex: &Regex, captures: &Captures<'_>, subject: &Text, replacement: &Text, out: &mut Text) {
    let bytes = replacement.bytes();
    let mut at = 0;
    while at < bytes.len() {
        let literal = bytes[at..].iter().position(|byte| *byte == b'$').unwrap_or(bytes.len() - at);
        out.push_text(&replacement.slice(at..at + literal));
        at += literal;
        if at >= bytes.len() {
            break;
        }
        let rest = &bytes[at + 1..];
        if rest.first() == Some(&b'$') {
            out.push_text(&replacement.slice(at..at + 1));
            at += 2;
            continue;
        }
        let in_braces = rest.first() == Some(&b'{');
        let name_start = usize::from(in_braces);
        let length = rest[name_start..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        let is_closed = !in_braces || rest.get(name_start + length) == Some(&b'}');
        if length == 0 || !is_closed {
            out.push_text(&replacement.slice(at..at + 1));
            at += 1;
            continue;
        }
        let name = String::from_utf8_lossy(&rest[name_start..name_start + length]).into_owned();
        let index = match name.parse::<usize>() {
            Ok(index) => Some(index),
            Err(_) => regex.capture_names().position(|known| known == Some(&name)),
        };
        if let Some(group) = index.and_then(|index| captures.get(index)) {
            out.push_text(&subject.slice(group.range()));
        }
        at += 1 + name_start + length + usize::from(in_braces);
    }
}

fn replace_all_literal(context: &mut Context<'_>, values: &[Value]) -> Called {
    let regex = compiled(context, values)?;
    let (subject, replacement) = (text(values, 1), text(values, 2));
    let mut out = Text::default();
    let mut copied = 0;
    for range in ranges(&regex, subject.bytes()) {
        context.step()?;
        context.charge_bytes(replacement.len())?;
        out.push_text(&subject.slice(copied..range.start));
        out.push_text(&replacement);
        copied = range.end;
    }
    out.push_text(&subject.slice(copied..subject.len()));
    context.charge_bytes(out.len())?;
    Ok(Value::text(out))
}

fn split(context: &mut Context<'_>, values: &[Value]) -> Called {
    let regex = compiled(context, values)?;
    let subject = text(values, 1);
    let limit = match int(values, 2) {
        0 => return Ok(Value::nil_list(Element::String)),
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    if !text(values, 0).is_empty() && subject.is_empty() {
        return Ok(Value::strings(vec![Text::default()]));
    }
    let mut parts = Vec::new();
    let (mut start, mut end) = (0, 0);
    for range in ranges(&regex, subject.bytes()) {
        context.step()?;
        if parts.len() + 1 >= limit {
            break;
        }
        end = range.start;
        if range.end != 0 {
            parts.push(subject.slice(start..end));
        }
        start = range.end;
    }
    if end != subject.len() {
        parts.push(subject.slice(start..subject.len()));
    }
    Ok(Value::strings(parts))
}
