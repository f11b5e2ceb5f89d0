//! Comparison and logic.

use std::cmp::Ordering;

use super::{Arguments, Stop};
use crate::code::ErrorCode;
use crate::templates::RenderError;
use crate::templates::handlebars::render::{Meter, steps_to_find};
use crate::templates::handlebars::value::{Decimal, Shape, Value};

pub(super) fn eq<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let equal = are_equal(arguments.raw(0), arguments.raw(1), arguments.meter)?;
    Ok(Value::Bool(equal))
}

pub(super) fn ne<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let equal = are_equal(arguments.raw(0), arguments.raw(1), arguments.meter)?;
    Ok(Value::Bool(!equal))
}

pub(super) fn lt<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    Ok(Value::Bool(order(arguments)? == Ordering::Less))
}

pub(super) fn le<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    Ok(Value::Bool(order(arguments)? != Ordering::Greater))
}

pub(super) fn gt<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    Ok(Value::Bool(order(arguments)? == Ordering::Greater))
}

pub(super) fn ge<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    Ok(Value::Bool(order(arguments)? != Ordering::Less))
}

pub(super) fn not<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let value = arguments.raw(0);
    if let Shape::Number(number) = value.shape() {
        arguments.meter.spend_bytes(number.token().len())?;
    }
    Ok(Value::Bool(!value.is_truthy()))
}

pub(super) fn has<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    Ok(Value::Bool(!arguments.raw(0).is_absent()))
}

pub(super) fn fail<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    // The compiler accepts literals only, so the message contains nothing of the session.
    let message = arguments.text(0)?;
    Err(RenderError::new(ErrorCode::SessionRefused, message).into())
}

fn order(arguments: &mut Arguments<'_, '_>) -> Result<Ordering, Stop> {
    if matches!(arguments.present(0)?.shape(), Shape::Text(_)) {
        return Ok(arguments.text(0)?.cmp(arguments.text(1)?));
    }
    let left = arguments.number(0)?;
    let right = arguments.number(1)?;
    arguments.meter.spend_bytes(left.token().len() + right.token().len())?;
    Ok(Decimal::of(left).cmp(&Decimal::of(right)))
}

/// Whether two values say the same. Numbers compare exactly, member order does not count, what is missing equals null.
pub(super) fn are_equal(left: &Value<'_>, right: &Value<'_>, meter: &mut Meter<'_>) -> Result<bool, Stop> {
    meter.spend(1)?;
    match (left.shape(), right.shape()) {
        (Shape::Missing | Shape::Null, Shape::Missing | Shape::Null) => Ok(true),
        (Shape::Bool(left), Shape::Bool(right)) => Ok(left == right),
        (Shape::Number(left), Shape::Number(right)) => {
            meter.spend_bytes(left.token().len() + right.token().len())?;
            Ok(left.token() == right.token() || Decimal::of(left) == Decimal::of(right))
        }
        (Shape::Text(left), Shape::Text(right)) => {
            meter.spend_bytes(left.len())?;
            Ok(left == right)
        }
        (Shape::Array(left), Shape::Array(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            meter.spend(left.len())?;
            for (left, right) in left.to_vec().iter().zip(&right.to_vec()) {
                if !are_equal(left, right, meter)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Shape::Object(left), Shape::Object(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            meter.spend(left.len())?;
            for (name, value) in left.to_vec() {
                meter.spend(steps_to_find(name.as_str(), right.len()))?;
                let Some(other) = right.member(name.as_str()) else { return Ok(false) };
                if !are_equal(&value, &other, meter)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Appends a text that equal values share and others do not.
pub(super) fn push_key(value: &Value<'_>, out: &mut String, meter: &mut Meter<'_>) -> Result<(), Stop> {
    let before = out.len();
    match value.shape() {
        Shape::Missing | Shape::Null => out.push('n'),
        Shape::Bool(value) => out.push(if value { 't' } else { 'f' }),
        Shape::Number(number) => out.push_str(&Decimal::of(number).key()),
        Shape::Text(text) => crate::json::write_string(text, out),
        Shape::Array(elements) => {
            out.push('[');
            for element in elements.to_vec() {
                push_key(&element, out, meter)?;
                out.push(',');
            }
            out.push(']');
        }
        Shape::Object(members) => {
            let mut members = members.to_vec();
            // Each name is compared about as often as their number doubles.
            let rounds = 1 + members.len().checked_ilog2().unwrap_or(0) as usize;
            let names: usize = members.iter().map(|(name, _)| name.as_str().len()).sum();
            meter.spend(members.len().saturating_mul(rounds) / 4)?;
            meter.spend_bytes(names.saturating_mul(rounds))?;
            members.sort_by(|(left, _), (right, _)| left.as_str().cmp(right.as_str()));
            out.push('{');
            for (name, value) in &members {
                crate::json::write_string(name.as_str(), out);
                push_key(value, out, meter)?;
                out.push(',');
            }
            out.push('}');
        }
    }
    meter.spend_bytes(out.len() - before)?;
    Ok(())
}
