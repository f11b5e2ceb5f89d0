//! From one type to another, by the rules of the library that sprig uses.

use super::{Function, Type, function, text, value};
use crate::templates::go::context::Context;
use crate::templates::go::numbers;
use crate::templates::go::print;
use crate::templates::go::value::Value;

const ANY: &[Type] = &[Type::Any];

pub(super) static FUNCTIONS: &[Function] = &[
    function("int", ANY, |_, values| Ok(Value::int(to_int(&value(values, 0))))),
    function("int64", ANY, |_, values| Ok(Value::int64(to_int(&value(values, 0))))),
    function("float64", ANY, |_, values| Ok(Value::Float(to_float(&value(values, 0))))),
    function("toDecimal", ANY, |context: &mut Context<'_>, values| {
        let text = print::text_of(context, &value(values, 0))?;
        Ok(Value::int64(numbers::parse_int(&text.to_str(), 8).unwrap_or(0)))
    }),
    function("atoi", &[Type::String], |_, values| Ok(Value::int(numbers::nearest_int(&text(values, 0).to_str())))),
    function("toString", ANY, |context: &mut Context<'_>, values| {
        print::string_of(context, &value(values, 0)).map(Value::text)
    }),
];

/// A whole number; 0 where there is none in it.
pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Bool(truth) => i64::from(*truth),
        Value::Int(_, number) => *number,
        Value::Uint(_, number) => *number as i64,
        Value::Float(number) => truncated(*number),
        Value::String(text) => text_to_int(&text.to_str()),
        _ => 0,
    }
}

/// A float64 without its fraction. Where an int64 cannot hold it Go gives the smallest one.
pub(super) fn truncated(number: f64) -> i64 {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if (-BOUND..BOUND).contains(&number) { number as i64 } else { i64::MIN }
}

/// The library cuts off a decimal fraction before it reads the rest.
fn text_to_int(text: &str) -> i64 {
    let is_number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    let whole = match text.split_once('.') {
        Some((whole, fraction))
            if is_number(whole.strip_prefix(['+', '-']).unwrap_or(whole)) && is_number(fraction) =>
        {
            whole
        }
        _ => text,
    };
    numbers::parse_int(whole, 0).unwrap_or(0)
}

/// A float64; 0 where there is no number in it.
pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Bool(truth) => f64::from(u8::from(*truth)),
        Value::Int(_, number) => *number as f64,
        Value::Uint(_, number) => *number as f64,
        Value::Float(number) => *number,
        Value::String(text) => numbers::parse_float(&text.to_str()).unwrap_or(0.0),
        _ => 0.0,
    }
}
