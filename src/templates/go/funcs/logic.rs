//! Choosing between values, and asking what they are.

use super::{Function, Type, function, text, value, variadic};
use crate::code::ErrorCode;
use crate::templates::go::context::{Context, Problem};
use crate::templates::go::fields;
use crate::templates::go::text::{Origin, Text};
use crate::templates::go::value::Value;

/// The most characters of the message of `fail` that are shown.
const REFUSAL_CHARS: usize = 200;

pub(super) static FUNCTIONS: &[Function] = &[
    variadic("default", &[Type::Any], Type::Any, |_, values| {
        Ok(match values.get(1) {
            Some(given) if !is_empty(given) => given.clone(),
            _ => value(values, 0),
        })
    }),
    function("empty", &[Type::Any], |_, values| Ok(Value::Bool(is_empty(&value(values, 0))))),
    variadic("coalesce", &[], Type::Any, |_, values| {
        Ok(values.iter().find(|value| !is_empty(value)).cloned().unwrap_or(Value::Invalid))
    }),
    variadic("all", &[], Type::Any, |_, values| Ok(Value::Bool(!values.iter().any(is_empty)))),
    variadic("any", &[], Type::Any, |_, values| Ok(Value::Bool(values.iter().any(|value| !is_empty(value))))),
    function("ternary", &[Type::Any, Type::Any, Type::Bool], |_, values| {
        Ok(value(values, if value(values, 2).truth() { 0 } else { 1 }))
    }),
    function("fail", &[Type::String], |_, values| {
        let reason = text(values, 0);
        let shown = reason.to_str();
        let is_literal = matches!(reason.origin(), Origin::Template) && !shown.chars().any(char::is_control);
        let message = match is_literal && !shown.trim().is_empty() {
            true => shown.chars().take(REFUSAL_CHARS).collect(),
            false => {
                "the template refused the session; its message is not shown, because it is not a literal".to_owned()
            }
        };
        Err(Problem::new(ErrorCode::SessionRefused, message))
    }),
    function("typeOf", &[Type::Any], |_, values| Ok(named(type_of(&value(values, 0))))),
    function("typeIs", &[Type::String, Type::Any], |_, values| {
        Ok(Value::Bool(text(values, 0).bytes() == type_of(&value(values, 1)).as_bytes()))
    }),
    function("typeIsLike", &[Type::String, Type::Any], |_, values| {
        let found = type_of(&value(values, 1)).as_bytes();
        let wanted = text(values, 0);
        Ok(Value::Bool(wanted.bytes() == found || found.strip_prefix(b"*") == Some(wanted.bytes())))
    }),
    function("kindOf", &[Type::Any], |_, values| Ok(named(value(values, 0).kind_name()))),
    function("kindIs", &[Type::String, Type::Any], |_, values| {
        Ok(Value::Bool(text(values, 0).bytes() == value(values, 1).kind_name().as_bytes()))
    }),
    function("deepEqual", &[Type::Any, Type::Any], |context, values| {
        deep_equal(context, &value(values, 0), &value(values, 1), 0).map(Value::Bool)
    }),
    function("hello", &[], |_, _| Ok(named("Hello!"))),
];

fn named(name: &'static str) -> Value {
    Value::text(Text::new(name, Origin::Template))
}

fn type_of(value: &Value) -> &'static str {
    if value.is_nil() { "<nil>" } else { value.type_name() }
}

/// What sprig takes for nothing.
pub(super) fn is_empty(value: &Value) -> bool {
    !value.truth()
}

/// Go's `reflect.DeepEqual`: types count, nil lists differ from empty ones.
pub(super) fn deep_equal(
    context: &mut Context<'_>,
    left: &Value,
    right: &Value,
    depth: usize,
) -> Result<bool, Problem> {
    context.step()?;
    context.charge_reads(fields::size(left), 2)?;
    if depth > context.limits.depth {
        return Err(Problem::limit("expected values that are nested less deeply"));
    }
    Ok(match (left, right) {
        (Value::List(left), Value::List(right)) => {
            if std::rc::Rc::ptr_eq(left, right) {
                return Ok(true);
            }
            if left.element != right.element || left.is_nil != right.is_nil || left.items().len() != right.items().len()
            {
                return Ok(false);
            }
            for (left, right) in left.items().iter().zip(right.items().iter()) {
                if !deep_equal(context, left, right, depth + 1)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Map(left), Value::Map(right)) => {
            if std::rc::Rc::ptr_eq(left, right) {
                return Ok(true);
            }
            let (lefts, rights) = (left.entries.borrow(), right.entries.borrow());
            if left.kind != right.kind || left.is_nil != right.is_nil || lefts.len() != rights.len() {
                return Ok(false);
            }
            for ((left_key, left), (right_key, right)) in lefts.iter().zip(rights.iter()) {
                context.charge_bytes(left_key.len())?;
                if left_key != right_key || !deep_equal(context, left, right, depth + 1)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::String(left), Value::String(right)) => {
            context.charge_bytes(left.len())?;
            left.bytes() == right.bytes()
        }
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Float(left), Value::Float(right)) => left == right,
        (Value::Int(left_type, left), Value::Int(right_type, right)) => left_type == right_type && left == right,
        (Value::Uint(left_type, left), Value::Uint(right_type, right)) => left_type == right_type && left == right,
        (Value::Time(left), Value::Time(right)) => {
            (left.seconds, left.nanos) == (right.seconds, right.nanos) && left.zone.is_equal(&right.zone)
        }
        (Value::Complex(a, b), Value::Complex(c, d)) => a == c && b == d,
        (Value::Location(left), Value::Location(right)) => left.is_equal(right),
        (Value::PlainVersion(left), Value::PlainVersion(right)) | (Value::Version(left), Value::Version(right)) => {
            left == right
        }
        (Value::Url(left), Value::Url(right)) => left == right,
        (Value::UserInfo(left), Value::UserInfo(right)) => left == right,
        (Value::Session, Value::Session) | (Value::MatchContext, Value::MatchContext) => true,
        (left, right) => left.is_nil() && right.is_nil(),
    })
}
