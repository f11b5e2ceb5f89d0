//! sprig's functions on maps.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::logic::is_empty;
use super::{Called, Function, Type, function, map, text, value, variadic};
use crate::templates::go::context::{Context, Problem};
use crate::templates::go::fields;
use crate::templates::go::print;
use crate::templates::go::text::Text;
use crate::templates::go::urls::Url;
use crate::templates::go::value::{List, Map, MapType, Value};

const MAP: &[Type] = &[Type::Map];
const MAP_KEY: &[Type] = &[Type::Map, Type::String];

pub(super) static FUNCTIONS: &[Function] = &[
    variadic("dict", &[], Type::Any, |context, values| {
        let mut entries = BTreeMap::new();
        let mut origins = Vec::new();
        for pair in values.chunks(2) {
            context.step()?;
            let key = print::string_of(context, &value(pair, 0))?;
            origins.push(key.origin());
            let entry = pair.get(1).cloned().unwrap_or_else(|| Value::text(Text::default()));
            entries.insert(key.bytes().to_vec(), entry.boxed());
        }
        let map = Map::new(MapType::Any, false, entries);
        origins.into_iter().for_each(|origin| map.add_key_origin(origin));
        Ok(Value::Map(Rc::new(map)))
    }),
    function("get", MAP_KEY, |context, values| {
        charge_key(context, values)?;
        let found = map(values, 0)?.entries.borrow().get(text(values, 1).bytes()).cloned();
        Ok(found.unwrap_or_else(|| Value::text(Text::default())))
    }),
    function("set", &[Type::Map, Type::String, Type::Any], |context, values| {
        let target = map(values, 0)?;
        change(context, &target)?;
        charge_key(context, values)?;
        let key = text(values, 1);
        target.add_key_origin(key.origin());
        target.entries.borrow_mut().insert(key.bytes().to_vec(), value(values, 2).boxed());
        Ok(value(values, 0))
    }),
    function("unset", MAP_KEY, |context, values| {
        charge_key(context, values)?;
        let removed = map(values, 0)?.entries.borrow_mut().remove(text(values, 1).bytes());
        drop(removed);
        Ok(value(values, 0))
    }),
    function("hasKey", MAP_KEY, |context, values| {
        charge_key(context, values)?;
        Ok(Value::Bool(map(values, 0)?.entries.borrow().contains_key(text(values, 1).bytes())))
    }),
    variadic("keys", &[], Type::Map, |context, values| {
        let mut keys = Vec::new();
        for index in 0..values.len() {
            let map = map(values, index)?;
            let entries = map.entries.borrow();
            context.charge_entries(&map, 2)?;
            context.steps(entries.len() as u64)?;
            keys.extend(entries.keys().map(|key| Value::text(map.key(key))));
        }
        Ok(Value::list(crate::templates::go::value::Element::String, keys))
    }),
    function("values", MAP, |context, values| {
        let map = map(values, 0)?;
        let entries = map.entries.borrow();
        context.steps(entries.len() as u64)?;
        Ok(Value::any_list(entries.values().cloned().collect()))
    }),
    variadic("pick", MAP, Type::String, |context, values| {
        let source = map(values, 0)?;
        let entries = source.entries.borrow();
        let mut picked = BTreeMap::new();
        for index in 1..values.len() {
            context.step()?;
            let key = text(values, index);
            if let Some(entry) = entries.get(key.bytes()) {
                picked.insert(key.bytes().to_vec(), entry.clone());
            }
        }
        Ok(keyed_like(&source, picked))
    }),
    variadic("omit", MAP, Type::String, |context, values| {
        let source = map(values, 0)?;
        context.charge_entries(&source, 2)?;
        let mut entries = source.entries.borrow().clone();
        for index in 1..values.len() {
            entries.remove(text(values, index).bytes());
        }
        Ok(keyed_like(&source, entries))
    }),
    variadic("pluck", &[Type::String], Type::Map, |context, values| {
        let key = text(values, 0);
        let mut found = Vec::new();
        for index in 1..values.len() {
            context.step()?;
            found.extend(map(values, index)?.entries.borrow().get(key.bytes()).cloned());
        }
        Ok(Value::any_list(found))
    }),
    variadic("merge", MAP, Type::Map, |context, values| merged(context, values, Existing::Kept)),
    variadic("mustMerge", MAP, Type::Map, |context, values| merged(context, values, Existing::Kept)),
    variadic("mergeOverwrite", MAP, Type::Map, |context, values| merged(context, values, Existing::Replaced)),
    variadic("mustMergeOverwrite", MAP, Type::Map, |context, values| merged(context, values, Existing::Replaced)),
    variadic("dig", &[], Type::Any, dig),
    function("deepCopy", &[Type::Any], |context, values| copied(context, &value(values, 0), 0)),
    function("mustDeepCopy", &[Type::Any], |context, values| copied(context, &value(values, 0), 0)),
];

/// Pays for the search of a key.
fn charge_key(context: &mut Context<'_>, values: &[Value]) -> Result<(), Problem> {
    context.charge_lookup(text(values, 1).len(), map(values, 0)?.entries.borrow().len())
}

/// A map with some of the entries of `source`.
fn keyed_like(source: &Map, entries: BTreeMap<Vec<u8>, Value>) -> Value {
    let map = Map::new(MapType::Any, false, entries);
    map.add_key_origins(source);
    Value::Map(Rc::new(map))
}

/// Prepares `target` for being changed.
fn change(context: &mut Context<'_>, target: &Rc<Map>) -> Result<(), Problem> {
    if target.is_nil {
        return Err(Problem::missing("expected a map to put something into, found nil"));
    }
    context.change(target);
    Ok(())
}

/// What happens to a value that both maps have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    Kept,
    Replaced,
}

fn merged(context: &mut Context<'_>, values: &[Value], existing: Existing) -> Called {
    let mut target = map(values, 0)?;
    for index in 1..values.len() {
        let source = map(values, index)?;
        if target.is_nil && !source.is_nil {
            target = Rc::new(Map::new(MapType::Any, false, BTreeMap::new()));
        }
        merge_into(context, &target, &source, existing, 0)?;
    }
    Ok(Value::Map(target))
}

fn merge_into(
    context: &mut Context<'_>,
    target: &Rc<Map>,
    source: &Map,
    existing: Existing,
    depth: usize,
) -> Result<(), Problem> {
    if depth > context.limits.depth {
        return Err(Problem::limit("expected maps that are nested less deeply"));
    }
    if std::ptr::eq(Rc::as_ptr(target), source) {
        return Ok(());
    }
    context.charge_entries(source, 4)?;
    let entries = source.entries.borrow().clone();
    if !entries.is_empty() {
        change(context, target)?;
        target.add_key_origins(source);
    }
    for (key, new) in entries {
        context.step()?;
        let old = target.entries.borrow().get(&key).cloned();
        // The library would merge the fields of structures.
        if old.as_ref().is_some_and(|old| is_structure(&new) || is_structure(old) && matches!(new, Value::Map(_))) {
            return Err(Problem::wrong_type(
                "expected maps of plain values to merge, found dates, addresses or versions",
            ));
        }
        let is_kept = match (&old, &new) {
            (_, new) if new.is_nil() => existing == Existing::Kept,
            (Some(Value::Map(old)), Value::Map(new)) if !old.entries.borrow().is_empty() => {
                merge_into(context, old, new, existing, depth + 1)?;
                true
            }
            (Some(old), _) => existing == Existing::Kept && !is_empty(old),
            (None, _) => false,
        };
        if !is_kept {
            target.entries.borrow_mut().insert(key, new);
        }
    }
    Ok(())
}

fn is_structure(value: &Value) -> bool {
    matches!(value.kind_name(), "ptr" | "struct")
}

fn dig(context: &mut Context<'_>, values: &[Value]) -> Called {
    let [keys @ .., otherwise, start] = values else {
        return Err(Problem::wrong_type("expected keys, a default and a map for dig, found fewer arguments"));
    };
    if keys.is_empty() {
        return Err(Problem::wrong_type("expected keys, a default and a map for dig, found fewer arguments"));
    }
    if let Some(key) = keys.iter().find(|key| !matches!(key, Value::String(_))) {
        return Err(Problem::wrong_type(format!("expected texts as the keys for dig, found {}", key.type_name())));
    }
    let mut current = start.clone();
    for key in keys {
        context.step()?;
        let (Value::Map(map), Value::String(key)) = (&current, key) else {
            let message = format!("expected a map and a text as its key for dig, found {}", current.type_name());
            return Err(Problem::wrong_type(message));
        };
        if map.kind != MapType::Any {
            return Err(Problem::wrong_type(format!("expected a map for dig, found {}", current.type_name())));
        }
        let found = map.entries.borrow().get(key.bytes()).cloned();
        match found {
            Some(value) => current = value,
            None => return Ok(otherwise.clone()),
        }
    }
    Ok(current)
}

fn copied_inside(context: &mut Context<'_>, value: &Value, depth: usize) -> Called {
    if value.is_nil() {
        context.step()?;
        return Ok(value.clone());
    }
    // The library turns a nil pointer inside of a list or map into nil.
    if matches!(value, Value::Url(None) | Value::UserInfo(None)) {
        context.step()?;
        return Ok(Value::NilInterface);
    }
    copied(context, value, depth)
}

pub(in crate::templates::go) fn copied(context: &mut Context<'_>, value: &Value, depth: usize) -> Called {
    context.step()?;
    if depth > context.limits.depth {
        return Err(Problem::limit("expected a value that is nested less deeply"));
    }
    Ok(match value {
        Value::List(list) => {
            let items =
                list.items().iter().map(|item| copied_inside(context, item, depth + 1)).collect::<Result<_, _>>()?;
            Value::List(Rc::new(List::new(list.element, list.is_nil, items)))
        }
        Value::Map(map) if !map.is_nil => {
            let mut entries = BTreeMap::new();
            context.charge_entries(map, 2)?;
            for (key, item) in map.entries.borrow().iter() {
                entries.insert(key.clone(), copied_inside(context, item, depth + 1)?);
            }
            let copy = Map::new(map.kind, false, entries);
            copy.add_key_origins(map);
            Value::Map(Rc::new(copy))
        }
        // The library copies exported fields only.
        Value::Version(_) => Value::Version(Rc::default()),
        Value::PlainVersion(_) => Value::PlainVersion(Rc::default()),
        Value::UserInfo(Some(_)) => Value::UserInfo(Some(Rc::default())),
        Value::Url(Some(url)) => {
            context.charge_reads(fields::size(value), 2)?;
            let user = url.user.as_ref().map(|_| Rc::default());
            Value::Url(Some(Rc::new(Url { user, ..url.as_ref().clone() })))
        }
        Value::Location(_) | Value::Session | Value::MatchContext => {
            return Err(Problem::wrong_type(format!("expected a value to copy, found {}", value.type_name())));
        }
        nil if nil.is_nil() => return Err(Problem::missing("expected a value to copy, found nil")),
        other => other.clone(),
    })
}
