//! The functions of text/template itself, and Oathkeeper's `print` and `printIndex`.

use std::cmp::Ordering;

use super::{Called, Function, Type, function, text, value, variadic};
use crate::templates::go::context::{Context, Problem};
use crate::templates::go::fields;
use crate::templates::go::print;
use crate::templates::go::printf;
use crate::templates::go::quoting::is_printable;
use crate::templates::go::text::{Origin, Text, characters};
use crate::templates::go::urls::{self, Part};
use crate::templates::go::value::{UintType, Value};

/// How often escapes read and write each byte.
const READS_TO_ESCAPE: usize = 16;

pub(super) static FUNCTIONS: &[Function] = &[
    // Both are run by the executor, which stops at the first argument that decides.
    variadic("and", &[], Type::Reflect, |_, values| Ok(value(values, 0))),
    variadic("or", &[], Type::Reflect, |_, values| Ok(value(values, 0))),
    function("not", &[Type::Reflect], |_, values| Ok(Value::Bool(!value(values, 0).truth()))),
    variadic("call", &[Type::Reflect], Type::Reflect, |_, values| {
        let found = value(values, 0).type_name();
        Err(Problem::wrong_type(format!("expected a function to call, found {found}")))
    }),
    variadic("eq", &[Type::Reflect], Type::Reflect, |_, values| equal(values).map(Value::Bool)),
    function("ne", &[Type::Reflect, Type::Reflect], |_, values| equal(values).map(|same| Value::Bool(!same))),
    function("lt", &[Type::Reflect, Type::Reflect], |_, values| less(values).map(Value::Bool)),
    function("le", &[Type::Reflect, Type::Reflect], |_, values| less_or_equal(values).map(Value::Bool)),
    function("gt", &[Type::Reflect, Type::Reflect], |_, values| less_or_equal(values).map(|le| Value::Bool(!le))),
    function("ge", &[Type::Reflect, Type::Reflect], |_, values| less(values).map(|less| Value::Bool(!less))),
    variadic("index", &[Type::Reflect], Type::Reflect, index),
    function("len", &[Type::Reflect], len),
    function("print", &[Type::Any], |context, values| match value(values, 0) {
        nil if nil.is_nil() => Ok(Value::text(Text::default())),
        other => print::text_of(context, &other).map(Value::text),
    }),
    function("printIndex", &[Type::Any, Type::Int], print_index),
    variadic("printf", &[Type::String], Type::Any, |context, values| {
        printf::format(context, &text(values, 0), values.get(1..).unwrap_or_default()).map(Value::text)
    }),
    variadic("println", &[], Type::Any, |context, values| {
        let mut out = Text::default();
        for (index, argument) in values.iter().enumerate() {
            if index > 0 {
                out.push(b" ", Origin::Syntax);
            }
            out.push_text(&print::text_of(context, argument)?);
        }
        out.push(b"\n", Origin::Syntax);
        Ok(Value::text(out))
    }),
    variadic("html", &[], Type::Any, |context, values| {
        let text = joined(context, values)?;
        Ok(Value::text(text.map(escape_html)))
    }),
    variadic("js", &[], Type::Any, |context, values| {
        let text = joined(context, values)?;
        let mut escaped = Text::default();
        for (piece, origin) in text.pieces() {
            let origin = if origin == Origin::Template { origin } else { Origin::Quoted };
            escaped.push(&escape_js(piece), origin);
        }
        Ok(Value::text(escaped))
    }),
    variadic("urlquery", &[], Type::Any, |context, values| {
        let text = joined(context, values)?;
        Ok(Value::text(text.map(|piece| urls::escape(piece, Part::Query).into_bytes())))
    }),
];

/// The arguments of an escaping function as one text, as `fmt.Sprint` joins them.
fn joined(context: &mut Context<'_>, values: &[Value]) -> Result<Text, Problem> {
    let mut out = Text::default();
    let mut previous_is_text = true;
    for (index, argument) in values.iter().enumerate() {
        let is_text = matches!(argument, Value::String(_)) || argument.is_nil();
        if index > 0 && !is_text && !previous_is_text {
            out.push(b" ", Origin::Syntax);
        }
        if argument.is_nil() {
            out.push(b"<no value>", Origin::Data);
        } else {
            let text = print::text_of(context, argument)?;
            // What is written is what the pointer points to.
            out.push_text(&text.slice(usize::from(matches!(argument, Value::Session))..text.len()));
        }
        previous_is_text = is_text;
    }
    context.charge_text(&out, READS_TO_ESCAPE)?;
    Ok(out)
}

fn escape_html(piece: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(piece.len());
    for byte in piece {
        match byte {
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            other => out.push(*other),
        }
    }
    out
}

fn escape_js(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for (at, character, length) in characters(bytes) {
        match character {
            Some(mark @ ('\\' | '\'' | '"')) => out.extend_from_slice(format!("\\{mark}").as_bytes()),
            Some(mark @ ('<' | '>' | '&' | '=')) => {
                out.extend_from_slice(format!("\\u{:04X}", u32::from(mark)).as_bytes());
            }
            Some(plain) if is_printable(plain) || plain == '\u{7f}' => out.extend_from_slice(&bytes[at..at + length]),
            Some(other) => out.extend_from_slice(format!("\\u{:04X}", u32::from(other)).as_bytes()),
            None => out.extend_from_slice(&bytes[at..at + length]),
        }
    }
    out
}

/// What `eq`, `lt` and their like can compare.
#[derive(PartialEq, Eq)]
enum Basic {
    Bool,
    Complex,
    Float,
    Int,
    Other,
    String,
    Uint,
}

fn basic(value: &Value) -> Basic {
    match value {
        Value::Bool(_) => Basic::Bool,
        Value::Complex(..) => Basic::Complex,
        Value::Float(_) => Basic::Float,
        Value::Int(..) => Basic::Int,
        Value::String(_) => Basic::String,
        Value::Uint(..) => Basic::Uint,
        _ => Basic::Other,
    }
}

fn incompatible(left: &Value, right: &Value) -> Problem {
    let message = format!(
        "expected two values of one type to compare, found {} and {}; numbers of a session are float64, so compare \
         them with 1.0 instead of 1 or use int",
        left.type_name(),
        right.type_name()
    );
    Problem::wrong_type(message)
}

fn equal(values: &[Value]) -> Result<bool, Problem> {
    let [left, others @ ..] = values else {
        return Ok(false);
    };
    if others.is_empty() {
        return Err(Problem::wrong_type("expected a second value to compare, found none"));
    }
    for right in others {
        if equal_to(left, right)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal_to(left: &Value, right: &Value) -> Result<bool, Problem> {
    Ok(match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Complex(a, b), Value::Complex(c, d)) => a == c && b == d,
        (Value::Float(left), Value::Float(right)) => left == right,
        (Value::Int(_, left), Value::Int(_, right)) => left == right,
        (Value::String(left), Value::String(right)) => left.bytes() == right.bytes(),
        (Value::Uint(_, left), Value::Uint(_, right)) => left == right,
        (Value::Int(_, int), Value::Uint(_, uint)) | (Value::Uint(_, uint), Value::Int(_, int)) => {
            u64::try_from(*int).is_ok_and(|int| int == *uint)
        }
        (left, right) if left.is_nil() && right.is_nil() => true,
        (left, nil) | (nil, left) if nil.is_nil() => is_nil_inside(left),
        (left, right) if basic(left) != Basic::Other || left.kind_name() != right.kind_name() => {
            return Err(incompatible(left, right));
        }
        (left, right) if is_nil_inside(left) || is_nil_inside(right) => is_nil_inside(left) == is_nil_inside(right),
        (Value::List(_) | Value::Map(_) | Value::MatchContext, _) => return Err(incompatible(left, right)),
        (Value::Time(left), Value::Time(right)) => {
            (left.seconds, left.nanos) == (right.seconds, right.nanos) && left.zone.is_same(&right.zone)
        }
        (Value::Url(Some(left)), Value::Url(Some(right))) => std::rc::Rc::ptr_eq(left, right),
        (Value::PlainVersion(left), Value::PlainVersion(right)) => left == right,
        (Value::Location(left), Value::Location(right)) => left.is_same(right),
        (Value::Version(left), Value::Version(right)) => std::rc::Rc::ptr_eq(left, right),
        (Value::UserInfo(_), Value::UserInfo(_)) | (Value::Session, Value::Session) => true,
        _ => false,
    })
}

/// Whether a list, a map or a pointer is nil.
fn is_nil_inside(value: &Value) -> bool {
    match value {
        Value::Map(map) => map.is_nil,
        Value::List(list) => list.is_nil,
        Value::Url(url) => url.is_none(),
        Value::UserInfo(user) => user.is_none(),
        _ => false,
    }
}

fn less(values: &[Value]) -> Result<bool, Problem> {
    order(values).map(|order| order == Some(Ordering::Less))
}

fn less_or_equal(values: &[Value]) -> Result<bool, Problem> {
    order(values).map(|order| matches!(order, Some(Ordering::Less | Ordering::Equal)))
}

fn order(values: &[Value]) -> Result<Option<Ordering>, Problem> {
    Ok(match values {
        [Value::Float(left), Value::Float(right)] => left.partial_cmp(right),
        [Value::Int(_, left), Value::Int(_, right)] => Some(left.cmp(right)),
        [Value::Uint(_, left), Value::Uint(_, right)] => Some(left.cmp(right)),
        [Value::Int(_, left), Value::Uint(_, right)] => Some(i128::from(*left).cmp(&i128::from(*right))),
        [Value::Uint(_, left), Value::Int(_, right)] => Some(i128::from(*left).cmp(&i128::from(*right))),
        [Value::String(left), Value::String(right)] => Some(left.bytes().cmp(right.bytes())),
        [left, right] if basic(left) != basic(right) => return Err(incompatible(left, right)),
        [left, _] => {
            let message = format!("expected values with an order, found {}", left.type_name());
            return Err(Problem::wrong_type(message));
        }
        _ => None,
    })
}

fn index(context: &mut Context<'_>, values: &[Value]) -> Called {
    let [item, keys @ ..] = values else {
        return Ok(Value::Invalid);
    };
    if item.is_nil() {
        return Err(Problem::missing("expected a list or a map for index, found nil"));
    }
    let mut item = item.clone();
    for key in keys {
        context.step()?;
        item = match (&item, key) {
            (Value::Map(map), Value::String(name)) => {
                context.charge_lookup(name.len(), map.entries.borrow().len())?;
                let found = map.entries.borrow().get(name.bytes()).cloned();
                found.unwrap_or_else(|| fields::zero_element(map.kind))
            }
            (Value::Map(_), key) => {
                let message = format!("expected a string as the key of a map, found {}", key.type_name());
                return Err(Problem::wrong_type(message));
            }
            (Value::List(list), key) => {
                list.items().get(position(key)?).cloned().ok_or_else(|| out_of_range(list.items().len()))?
            }
            (Value::String(text), key) => {
                let byte = text.bytes().get(position(key)?).ok_or_else(|| out_of_range(text.len()))?;
                Value::Uint(UintType::Uint8, u64::from(*byte))
            }
            (nil, _) if nil.is_nil() => return Err(Problem::missing("expected a list or a map for index, found nil")),
            (other, _) => {
                let message = format!("expected a list or a map for index, found {}", other.type_name());
                return Err(Problem::wrong_type(message));
            }
        };
    }
    Ok(item)
}

fn position(key: &Value) -> Result<usize, Problem> {
    match key {
        Value::Int(_, number) => usize::try_from(*number)
            .map_err(|_| Problem::missing("expected an index in the list, found a negative one")),
        Value::Uint(_, number) => Ok(usize::try_from(*number).unwrap_or(usize::MAX)),
        other => {
            let message = format!("expected an integer as the index of a list, found {}", other.type_name());
            Err(Problem::wrong_type(message))
        }
    }
}

fn out_of_range(length: usize) -> Problem {
    Problem::missing(format!("expected an index below {length}, found a larger one"))
}

fn len(_: &mut Context<'_>, values: &[Value]) -> Called {
    let length = match value(values, 0) {
        Value::String(text) => text.len(),
        Value::List(list) => list.items().len(),
        Value::Map(map) => map.entries.borrow().len(),
        other if other.is_nil() => {
            return Err(Problem::missing("expected a text, a list or a map for len, found nil"));
        }
        other => {
            let message = format!("expected a text, a list or a map for len, found {}", other.type_name());
            return Err(Problem::wrong_type(message));
        }
    };
    Ok(Value::int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn print_index(context: &mut Context<'_>, values: &[Value]) -> Called {
    let Some(Value::List(list)) = values.first() else {
        return Ok(Value::text(Text::default()));
    };
    let Some(Value::Int(_, index)) = values.get(1) else {
        return Ok(Value::text(Text::default()));
    };
    if *index < 0 {
        return Err(Problem::missing("expected an index in the list, found a negative one"));
    }
    match usize::try_from(*index).ok().and_then(|index| list.items().get(index).cloned()) {
        // Go writes the address of the session in memory.
        Some(item @ Value::Session) => {
            Err(Problem::wrong_type(format!("expected an element that can be written, found {}", item.type_name())))
        }
        Some(item) => print::text_of(context, &item).map(Value::text),
        None => Ok(Value::text(Text::default())),
    }
}
