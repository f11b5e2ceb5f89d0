//! Helpers on arrays and objects.

use std::collections::{HashMap, HashSet};

use super::logic::{are_equal, push_key};
use super::{Arguments, Stop};
use crate::json::Number;
use crate::templates::handlebars::render::{Meter, member_of, steps_to_find};
use crate::templates::handlebars::value::{Decimal, Shape, Text, Value};

pub(super) fn len<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let length = match arguments.present(0)?.shape() {
        Shape::Text(text) => {
            arguments.meter.spend_bytes(text.len())?;
            text.chars().count()
        }
        Shape::Array(elements) => elements.len(),
        Shape::Object(members) => members.len(),
        _ => return Err(arguments.wrong(0, "a string, an array or an object")),
    };
    Ok(Value::Number(Number::from(length)))
}

pub(super) fn index<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let mut value = arguments.present(0)?.clone();
    for position in 1..arguments.len() {
        let key = match arguments.present(position)?.shape() {
            Shape::Text(text) => text.to_owned(),
            Shape::Number(number) => Decimal::of(number).whole().unwrap_or_default(),
            _ => return Err(arguments.wrong(position, "a member name or an element's number")),
        };
        let size = match value.shape() {
            Shape::Object(members) => members.len(),
            Shape::Array(_) => 0,
            _ => {
                let what = (arguments.shown)(0);
                return Err(arguments.fault(format!(
                    "expected an array or an object to look into, {what} is or holds {}",
                    value.kind()
                )));
            }
        };
        arguments.meter.spend_bytes(key.len())?;
        arguments.meter.spend(steps_to_find(&key, size))?;
        value = member_of(&value, &key).ok_or_else(|| {
            let (what, key) = ((arguments.shown)(0), (arguments.shown)(position));
            Stop::Missing(format!("{what} has nothing at the place that {key} names").into())
        })?;
    }
    Ok(value)
}

pub(super) fn first<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    edge(arguments, |_| 0)
}

pub(super) fn last<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    edge(arguments, |length| length.saturating_sub(1))
}

fn edge<'r>(arguments: &mut Arguments<'_, 'r>, at: impl Fn(usize) -> usize) -> Result<Value<'r>, Stop> {
    let Shape::Array(elements) = arguments.present(0)?.shape() else { return Err(arguments.wrong(0, "an array")) };
    elements
        .at(at(elements.len()))
        .ok_or_else(|| Stop::Missing(format!("{} has no elements", (arguments.shown)(0)).into()))
}

pub(super) fn unique<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for element in arguments.elements(0)?.to_vec() {
        let mut key = String::new();
        push_key(&element, &mut key, arguments.meter)?;
        if seen.insert(key) {
            kept.push(element);
        }
    }
    Ok(Value::list(kept))
}

pub(super) fn sort<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let elements = arguments.elements(0)?.to_vec();
    // A comparison per element and doubling.
    arguments.meter.spend(elements.len().saturating_mul(1 + elements.len().checked_ilog2().unwrap_or(0) as usize))?;
    if elements.iter().all(|element| matches!(element.shape(), Shape::Number(_))) {
        let mut keyed = Vec::with_capacity(elements.len());
        for element in elements {
            if let Shape::Number(number) = element.shape() {
                arguments.meter.spend_bytes(number.token().len())?;
                keyed.push((Decimal::of(number), element.clone()));
            }
        }
        keyed.sort_by(|(left, _), (right, _)| left.cmp(right));
        return Ok(Value::list(keyed.into_iter().map(|(_, element)| element).collect()));
    }
    let mut sorted = elements;
    let rounds = 1 + sorted.len().checked_ilog2().unwrap_or(0) as usize;
    for element in &sorted {
        match element.shape() {
            // Each text is compared about as often as their number doubles.
            Shape::Text(text) => arguments.meter.spend_bytes(text.len().saturating_mul(rounds))?,
            _ => {
                let what = (arguments.shown)(0);
                return Err(arguments.fault(format!(
                    "expected an array of strings only or of numbers only to sort, {what} holds {}",
                    element.kind()
                )));
            }
        }
    }
    sorted.sort_by(|left, right| text_of(left).cmp(text_of(right)));
    Ok(Value::list(sorted))
}

fn text_of<'v>(value: &'v Value<'_>) -> &'v str {
    match value.shape() {
        Shape::Text(text) => text,
        _ => "",
    }
}

pub(super) fn contains<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let found = match arguments.present(0)?.shape() {
        Shape::Text(_) => arguments.text(0)?.contains(arguments.text(1)?),
        Shape::Object(_) => {
            let name = arguments.text(1)?;
            let members = arguments.members(0)?;
            arguments.meter.spend(steps_to_find(name, members.len()))?;
            members.member(name).is_some()
        }
        Shape::Array(_) => {
            let wanted = arguments.any(1)?;
            let mut found = false;
            for element in arguments.elements(0)?.to_vec() {
                if are_equal(&element, wanted, arguments.meter)? {
                    found = true;
                    break;
                }
            }
            found
        }
        _ => return Err(arguments.wrong(0, "a string, an array or an object")),
    };
    Ok(Value::Bool(found))
}

pub(super) fn keys<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let members = arguments.members(0)?.to_vec();
    Ok(Value::list(members.into_iter().map(|(name, _)| Value::Text(name)).collect()))
}

pub(super) fn values<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let members = arguments.members(0)?.to_vec();
    Ok(Value::list(members.into_iter().map(|(_, value)| value).collect()))
}

pub(super) fn merge<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let mut merged: Vec<(Text<'r>, Value<'r>)> = Vec::new();
    let mut place_of: HashMap<String, usize> = HashMap::new();
    for index in 0..arguments.len() {
        for (name, value) in arguments.members(index)?.to_vec() {
            arguments.meter.spend_bytes(name.as_str().len())?;
            match place_of.get(name.as_str()) {
                Some(place) => {
                    if let Some(slot) = merged.get_mut(*place) {
                        slot.1 = value;
                    }
                }
                None => {
                    place_of.insert(name.as_str().to_owned(), merged.len());
                    merged.push((name, value));
                }
            }
        }
    }
    Ok(Value::map(merged))
}

pub(super) fn pluck<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let elements = arguments.elements(0)?.to_vec();
    let steps = path_steps(arguments.text(1)?).ok_or_else(|| arguments.wrong(1, "a dotted path"))?;
    let mut plucked = Vec::new();
    for element in elements {
        let mut value = Some(element);
        for step in &steps {
            arguments.meter.spend(1)?;
            value = match value {
                Some(value) => {
                    if let Shape::Object(members) = value.shape() {
                        arguments.meter.spend(steps_to_find(step, members.len()))?;
                    }
                    member_of(&value, step)
                }
                None => None,
            };
        }
        plucked.extend(value);
    }
    Ok(Value::list(plucked))
}

pub(super) fn pick<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let paths = paths(arguments)?;
    arguments.members(0)?;
    let value = arguments.present(0)?;
    Ok(kept(value, &paths, arguments.meter)?.unwrap_or_else(|| Value::map(Vec::new())))
}

pub(super) fn omit<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let paths = paths(arguments)?;
    arguments.members(0)?;
    let value = arguments.present(0)?;
    without(value, &paths, arguments.meter)
}

/// Paths, put together by their steps.
#[derive(Default)]
struct Paths {
    ends: bool,
    next: HashMap<String, Paths>,
}

fn paths(arguments: &mut Arguments<'_, '_>) -> Result<Paths, Stop> {
    let mut paths = Paths::default();
    for index in 1..arguments.len() {
        let steps = path_steps(arguments.text(index)?).ok_or_else(|| arguments.wrong(index, "a dotted path"))?;
        if steps.len() > 32 {
            return Err(arguments.wrong(index, "a path of at most 32 steps"));
        }
        let mut node = &mut paths;
        for step in steps {
            node = node.next.entry(step).or_default();
        }
        node.ends = true;
    }
    Ok(paths)
}

/// The steps of `a.b.[c.d]`; `None` where one is empty or a bracket is left open.
fn path_steps(path: &str) -> Option<Vec<String>> {
    let mut steps = Vec::new();
    let mut rest = path;
    loop {
        let (step, after) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']')?,
            None => rest.split_at(rest.find('.').unwrap_or(rest.len())),
        };
        if step.is_empty() {
            return None;
        }
        steps.push(step.to_owned());
        if after.is_empty() {
            return Some(steps);
        }
        rest = after.strip_prefix('.')?;
    }
}

fn kept<'r>(value: &Value<'r>, paths: &Paths, meter: &mut Meter<'_>) -> Result<Option<Value<'r>>, Stop> {
    if paths.ends {
        return Ok(Some(value.clone()));
    }
    match value.shape() {
        Shape::Object(members) => {
            meter.spend(1 + members.len())?;
            let mut chosen = Vec::new();
            for (name, member) in members.to_vec() {
                meter.spend(name.as_str().len() / 64)?;
                if let Some(next) = paths.next.get(name.as_str())
                    && let Some(member) = kept(&member, next, meter)?
                {
                    chosen.push((name, member));
                }
            }
            Ok(Some(Value::map(chosen)))
        }
        Shape::Array(elements) => {
            meter.spend(1 + elements.len())?;
            let mut chosen = Vec::new();
            for element in elements.to_vec() {
                chosen.extend(kept(&element, paths, meter)?);
            }
            Ok(Some(Value::list(chosen)))
        }
        _ => Ok(None),
    }
}

fn without<'r>(value: &Value<'r>, paths: &Paths, meter: &mut Meter<'_>) -> Result<Value<'r>, Stop> {
    match value.shape() {
        Shape::Object(members) => {
            meter.spend(1 + members.len())?;
            let mut left = Vec::new();
            for (name, member) in members.to_vec() {
                meter.spend(name.as_str().len() / 64)?;
                match paths.next.get(name.as_str()) {
                    Some(next) if next.ends => {}
                    Some(next) => left.push((name, without(&member, next, meter)?)),
                    None => left.push((name, member)),
                }
            }
            Ok(Value::map(left))
        }
        Shape::Array(elements) => {
            meter.spend(1 + elements.len())?;
            let mut left = Vec::new();
            for element in elements.to_vec() {
                left.push(without(&element, paths, meter)?);
            }
            Ok(Value::list(left))
        }
        _ => Ok(value.clone()),
    }
}
