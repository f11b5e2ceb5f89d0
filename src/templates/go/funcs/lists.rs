//! sprig's functions on lists.

use std::rc::Rc;

use super::logic::{deep_equal, is_empty};
use super::{Called, Function, Type, conversions, function, int, list, text, value, variadic};
use crate::templates::go::context::{Context, Problem};
use crate::templates::go::print;
use crate::templates::go::text::{Origin, Text};
use crate::templates::go::value::{Element, List, MapType, Value};

const ANY: &[Type] = &[Type::Any];
const TWO: &[Type] = &[Type::Any, Type::Any];

pub(super) static FUNCTIONS: &[Function] = &[
    variadic("list", &[], Type::Any, |_, values| Ok(Value::any_list(values.to_vec()))),
    variadic("tuple", &[], Type::Any, |_, values| Ok(Value::any_list(values.to_vec()))),
    function("first", ANY, |_, values| Ok(list(values, 0)?.items().first().cloned().unwrap_or(Value::Invalid))),
    function("mustFirst", ANY, |_, values| Ok(list(values, 0)?.items().first().cloned().unwrap_or(Value::Invalid))),
    function("last", ANY, |_, values| Ok(list(values, 0)?.items().last().cloned().unwrap_or(Value::Invalid))),
    function("mustLast", ANY, |_, values| Ok(list(values, 0)?.items().last().cloned().unwrap_or(Value::Invalid))),
    function("rest", ANY, |context, values| part(context, values, 1, 0)),
    function("mustRest", ANY, |context, values| part(context, values, 1, 0)),
    function("initial", ANY, |context, values| part(context, values, 0, 1)),
    function("mustInitial", ANY, |context, values| part(context, values, 0, 1)),
    function("append", TWO, append),
    function("mustAppend", TWO, append),
    function("push", TWO, append),
    function("mustPush", TWO, append),
    function("prepend", TWO, prepend),
    function("mustPrepend", TWO, prepend),
    variadic("concat", &[], Type::Any, concat),
    function("reverse", ANY, reverse),
    function("mustReverse", ANY, reverse),
    function("uniq", ANY, uniq),
    function("mustUniq", ANY, uniq),
    variadic("without", ANY, Type::Any, without),
    variadic("mustWithout", ANY, Type::Any, without),
    function("has", TWO, has),
    function("mustHas", TWO, has),
    function("compact", ANY, compact),
    function("mustCompact", ANY, compact),
    variadic("slice", ANY, Type::Any, slice),
    variadic("mustSlice", ANY, Type::Any, slice),
    function("chunk", &[Type::Int, Type::Any], chunk),
    function("mustChunk", &[Type::Int, Type::Any], chunk),
    function("sortAlpha", ANY, |context, values| {
        let mut texts = match value(values, 0) {
            Value::List(list) if list.element == Element::String => return sorted_in_place(context, &list),
            list @ Value::List(_) => texts(context, &list)?,
            other => vec![print::string_of(context, &other)?],
        };
        charge_sort(context, texts.len(), texts.iter().map(Text::len).sum())?;
        texts.sort_by(|left, right| left.bytes().cmp(right.bytes()));
        Ok(Value::strings(texts))
    }),
    function("join", &[Type::String, Type::Any], |context, values| {
        let separator = text(values, 0);
        let mut out = Text::default();
        for (index, part) in texts(context, &value(values, 1))?.iter().enumerate() {
            context.charge_text(&separator, 1)?;
            context.charge_text(part, 1)?;
            if index > 0 {
                out.push_text(&separator);
            }
            out.push_text(part);
        }
        Ok(Value::text(out))
    }),
    function("toStrings", ANY, |context, values| match value(values, 0) {
        strings @ Value::List(_) if is_strings(&strings) => Ok(strings),
        other => Ok(Value::strings(texts(context, &other)?)),
    }),
    function("splitList", &[Type::String, Type::String], |context, values| {
        Ok(Value::strings(split(context, &text(values, 0), None, &text(values, 1))?))
    }),
    function("split", &[Type::String, Type::String], |context, values| {
        numbered(split(context, &text(values, 0), None, &text(values, 1))?)
    }),
    function("splitn", &[Type::String, Type::Int, Type::String], |context, values| {
        let limit = int(values, 1);
        numbered(split(context, &text(values, 0), usize::try_from(limit).ok(), &text(values, 2))?)
    }),
];

/// Steps to make a text of a part of another one.
pub(super) const STEPS_PER_PART: u64 = 2;

fn is_strings(value: &Value) -> bool {
    matches!(value, Value::List(list) if list.element == Element::String)
}

/// The library sorts a `[]string` where it is, so that the session's own list is sorted from then on.
fn sorted_in_place(context: &mut Context<'_>, list: &Rc<List>) -> Called {
    let lengths = list.items().iter().map(|item| if let Value::String(text) = item { text.len() } else { 0 }).sum();
    charge_sort(context, list.items().len(), lengths)?;
    let mut items = list.items().to_vec();
    let bytes = |value: &Value| match value {
        Value::String(text) => text.bytes().to_vec(),
        _ => Vec::new(),
    };
    items.sort_by_cached_key(bytes);
    list.reorder(items);
    Ok(Value::List(Rc::clone(list)))
}

/// Pays for sorting `count` texts of `bytes` together: each is compared about as often as `count` doubles.
fn charge_sort(context: &mut Context<'_>, count: usize, bytes: usize) -> Result<(), Problem> {
    let rounds = 1 + count.checked_ilog2().unwrap_or(0);
    context.steps((count as u64).saturating_mul(u64::from(rounds)))?;
    context.charge_reads(bytes, rounds as usize)
}

fn split(context: &mut Context<'_>, separator: &Text, limit: Option<usize>, text: &Text) -> Result<Vec<Text>, Problem> {
    context.charge_bytes(text.len())?;
    context.steps(text.count_parts(separator.bytes(), limit) as u64 * STEPS_PER_PART)?;
    Ok(text.split(separator.bytes(), limit))
}

/// The map `_0`, `_1`, … that sprig's `split` gives.
fn numbered(parts: Vec<Text>) -> Called {
    let entries =
        parts.into_iter().enumerate().map(|(index, part)| (format!("_{index}").into_bytes(), Value::text(part)));
    Ok(Value::map(MapType::Strings, entries.collect()))
}

/// sprig's `strslice`: the elements of a list as text, without nils; anything else as one text.
pub(super) fn texts(context: &mut Context<'_>, value: &Value) -> Result<Vec<Text>, Problem> {
    match value {
        Value::List(list) => {
            charged(context, list)?;
            let mut texts = Vec::with_capacity(list.items().len());
            for item in list.items().iter().filter(|item| !item.is_nil()) {
                context.step()?;
                texts.push(print::string_of(context, item)?);
            }
            Ok(texts)
        }
        nil if nil.is_nil() => Ok(Vec::new()),
        other => Ok(vec![print::string_of(context, other)?]),
    }
}

fn charged(context: &mut Context<'_>, list: &List) -> Result<(), Problem> {
    context.steps(list.items().len() as u64)
}

fn part(context: &mut Context<'_>, values: &[Value], from_start: usize, from_end: usize) -> Called {
    let list = list(values, 0)?;
    charged(context, &list)?;
    if list.items().is_empty() {
        return Ok(Value::nil_list(Element::Any));
    }
    let end = list.items().len() - from_end;
    Ok(Value::any_list(list.items().get(from_start..end).unwrap_or_default().to_vec()))
}

fn append(context: &mut Context<'_>, values: &[Value]) -> Called {
    let list = list(values, 0)?;
    charged(context, &list)?;
    let mut items = list.items().to_vec();
    items.push(value(values, 1));
    Ok(Value::any_list(items))
}

fn prepend(context: &mut Context<'_>, values: &[Value]) -> Called {
    let list = list(values, 0)?;
    charged(context, &list)?;
    let mut items = vec![value(values, 1)];
    items.extend(list.items().iter().cloned());
    Ok(Value::any_list(items))
}

fn concat(context: &mut Context<'_>, values: &[Value]) -> Called {
    let mut items = Vec::new();
    for index in 0..values.len() {
        let list = list(values, index)?;
        charged(context, &list)?;
        items.extend(list.items().iter().cloned());
    }
    Ok(if items.is_empty() { Value::nil_list(Element::Any) } else { Value::any_list(items) })
}

fn reverse(context: &mut Context<'_>, values: &[Value]) -> Called {
    let list = list(values, 0)?;
    charged(context, &list)?;
    Ok(Value::any_list(list.items().iter().rev().cloned().collect()))
}

fn holds(context: &mut Context<'_>, items: &[Value], wanted: &Value) -> Result<bool, Problem> {
    for item in items {
        if deep_equal(context, item, wanted, 0)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn uniq(context: &mut Context<'_>, values: &[Value]) -> Called {
    let list = list(values, 0)?;
    charged(context, &list)?;
    let mut items = Vec::new();
    for item in list.items().iter() {
        if !holds(context, &items, item)? {
            items.push(item.clone());
        }
    }
    Ok(Value::any_list(items))
}

fn without(context: &mut Context<'_>, values: &[Value]) -> Called {
    let list = list(values, 0)?;
    charged(context, &list)?;
    let mut items = Vec::new();
    for item in list.items().iter() {
        if !holds(context, &values[1..], item)? {
            items.push(item.clone());
        }
    }
    Ok(Value::any_list(items))
}

fn has(context: &mut Context<'_>, values: &[Value]) -> Called {
    if value(values, 1).is_nil() {
        return Ok(Value::Bool(false));
    }
    let list = list(values, 1)?;
    holds(context, &list.items(), &value(values, 0)).map(Value::Bool)
}

fn compact(context: &mut Context<'_>, values: &[Value]) -> Called {
    let list = list(values, 0)?;
    charged(context, &list)?;
    Ok(Value::any_list(list.items().iter().filter(|item| !is_empty(item)).cloned().collect()))
}

fn slice(context: &mut Context<'_>, values: &[Value]) -> Called {
    let list = list(values, 0)?;
    charged(context, &list)?;
    if list.items().is_empty() {
        return Ok(Value::Invalid);
    }
    let bound = |index: usize, otherwise: usize| match values.get(index) {
        Some(value) => usize::try_from(conversions::to_int(value)).unwrap_or(usize::MAX),
        None => otherwise,
    };
    let range = bound(1, 0)..bound(2, list.items().len());
    match list.items().get(range) {
        Some(items) => Ok(Value::list(list.element, items.to_vec())),
        None => Err(Problem::missing("expected bounds within the list for slice, found others")),
    }
}

fn chunk(context: &mut Context<'_>, values: &[Value]) -> Called {
    let list = list(values, 1)?;
    charged(context, &list)?;
    match usize::try_from(int(values, 0)) {
        Ok(size @ 1..) => {
            context.steps((list.items().len() as u64).div_ceil(size as u64).saturating_mul(STEPS_PER_PART))?;
            let chunks = list.items().chunks(size).map(|chunk| Value::any_list(chunk.to_vec())).collect();
            Ok(Value::list(Element::Lists, chunks))
        }
        // The size of the last chunk is a remainder, which is that of one element here.
        Err(_) if list.items().len() == 1 && int(values, 0) < -1 => {
            Ok(Value::list(Element::Lists, vec![Value::any_list(list.items().to_vec())]))
        }
        // The library counts chunks before it looks at their size, and finds none here.
        Err(_) if list.items().len() >= 2 && list.items().len() as u64 - 1 <= int(values, 0).unsigned_abs() => {
            Ok(Value::list(Element::Lists, Vec::new()))
        }
        _ => Err(Problem::wrong_type("expected a size above zero for chunk, found another")),
    }
}

/// Integers one after the other as text, as `seq` writes them.
pub(super) fn spaced(numbers: &[i64]) -> Text {
    let texts: Vec<_> = numbers.iter().map(i64::to_string).collect();
    Text::new(texts.join(" "), Origin::Data)
}
