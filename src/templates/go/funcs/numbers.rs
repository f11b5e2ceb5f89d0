//! sprig's arithmetic: whole numbers in int64, the `f` functions in decimals.

use super::conversions::{to_float, to_int};
use super::decimal::Decimal;
use super::lists::spaced;
use super::{Called, Function, Type, function, int, value, variadic};
use crate::templates::go::context::{Context, Problem};
use crate::templates::go::text::Text;
use crate::templates::go::value::{Element, Value};

const ANY: &[Type] = &[Type::Any];
const TWO: &[Type] = &[Type::Any, Type::Any];

/// How many pairs of digits of two decimals one step calculates with.
const PRODUCTS_PER_STEP: u64 = 64;

pub(super) static FUNCTIONS: &[Function] = &[
    variadic("add", &[], Type::Any, |_, values| {
        Ok(Value::int64(values.iter().fold(0, |sum: i64, value| sum.wrapping_add(to_int(value)))))
    }),
    function("add1", ANY, |_, values| Ok(Value::int64(to_int(&value(values, 0)).wrapping_add(1)))),
    function("sub", TWO, |_, values| {
        Ok(Value::int64(to_int(&value(values, 0)).wrapping_sub(to_int(&value(values, 1)))))
    }),
    variadic("mul", ANY, Type::Any, |_, values| {
        Ok(Value::int64(values.iter().fold(1, |product: i64, value| product.wrapping_mul(to_int(value)))))
    }),
    function("div", TWO, |_, values| divided(values, i64::wrapping_div)),
    function("mod", TWO, |_, values| divided(values, i64::wrapping_rem)),
    variadic("max", ANY, Type::Any, |_, values| Ok(Value::int64(values.iter().map(to_int).max().unwrap_or(0)))),
    variadic("biggest", ANY, Type::Any, |_, values| Ok(Value::int64(values.iter().map(to_int).max().unwrap_or(0)))),
    variadic("min", ANY, Type::Any, |_, values| Ok(Value::int64(values.iter().map(to_int).min().unwrap_or(0)))),
    variadic("maxf", ANY, Type::Any, |_, values| Ok(Value::Float(extreme(values, |new, best| new > best)))),
    variadic("minf", ANY, Type::Any, |_, values| Ok(Value::Float(extreme(values, |new, best| new < best)))),
    variadic("addf", &[], Type::Any, |context, values| decimals(context, 0.0, values, Decimal::plus)),
    function("add1f", ANY, |context, values| decimals(context, 1.0, values, Decimal::plus)),
    variadic("subf", ANY, Type::Any, |context, values| {
        decimals(context, to_float(&value(values, 0)), &values[1..], Decimal::minus)
    }),
    variadic("mulf", ANY, Type::Any, |context, values| {
        decimals(context, to_float(&value(values, 0)), &values[1..], Decimal::times)
    }),
    variadic("divf", ANY, Type::Any, |context, values| {
        if values[1..].iter().any(|divisor| to_float(divisor) == 0.0) {
            return Err(zero_divisor());
        }
        decimals(context, to_float(&value(values, 0)), &values[1..], Decimal::over)
    }),
    function("ceil", ANY, |_, values| Ok(Value::Float(to_float(&value(values, 0)).ceil()))),
    function("floor", ANY, |_, values| Ok(Value::Float(to_float(&value(values, 0)).floor()))),
    variadic("round", &[Type::Any, Type::Int], Type::Float, |_, values| {
        let threshold = if values.len() > 2 { to_float(&value(values, 2)) } else { 0.5 };
        let scale = match int(values, 1) {
            places @ -22..=22 => 10f64.powi(places as i32),
            places => 10f64.powf(places as f64),
        };
        let scaled = scale * to_float(&value(values, 0));
        let rounded = if scaled.fract() >= threshold { scaled.ceil() } else { scaled.floor() };
        Ok(Value::Float(rounded / scale))
    }),
    function("until", &[Type::Int], |context, values| {
        let stop = int(values, 0);
        ints(steps(context, 0, stop, if stop < 0 { -1 } else { 1 })?)
    }),
    function("untilStep", &[Type::Int, Type::Int, Type::Int], |context, values| {
        ints(steps(context, int(values, 0), int(values, 1), int(values, 2))?)
    }),
    variadic("seq", &[], Type::Int, seq),
];

fn zero_divisor() -> Problem {
    Problem::wrong_type("expected a divisor other than zero, found zero")
}

fn divided(values: &[Value], divide: fn(i64, i64) -> i64) -> Called {
    match to_int(&value(values, 1)) {
        0 => Err(zero_divisor()),
        divisor => Ok(Value::int64(divide(to_int(&value(values, 0)), divisor))),
    }
}

fn extreme(values: &[Value], is_better: fn(f64, f64) -> bool) -> f64 {
    let mut best = to_float(&value(values, 0));
    for value in values.iter().skip(1).map(to_float) {
        if value.is_nan() || is_better(value, best) {
            best = value;
        }
    }
    best
}

/// The numbers from `start` to before `stop`.
fn steps(context: &mut Context<'_>, start: i64, stop: i64, step: i64) -> Result<Vec<i64>, Problem> {
    let mut numbers = Vec::new();
    let mut number = start;
    let is_up = stop >= start;
    if is_up && step <= 0 || !is_up && step >= 0 {
        return Ok(numbers);
    }
    while if is_up { number < stop } else { number > stop } {
        context.step()?;
        numbers.push(number);
        number = number.saturating_add(step);
        if number == i64::MAX || number == i64::MIN {
            break;
        }
    }
    Ok(numbers)
}

fn ints(numbers: Vec<i64>) -> Called {
    Ok(Value::list(Element::Int, numbers.into_iter().map(Value::int).collect()))
}

fn seq(context: &mut Context<'_>, values: &[Value]) -> Called {
    let numbers = match values.len() {
        1 => {
            let end = int(values, 0);
            let step = if end < 1 { -1 } else { 1 };
            steps(context, 1, end.saturating_add(step), step)?
        }
        2 => {
            let (start, end) = (int(values, 0), int(values, 1));
            let step = if end < start { -1 } else { 1 };
            steps(context, start, end.saturating_add(step), step)?
        }
        3 => {
            let (start, step, end) = (int(values, 0), int(values, 1), int(values, 2));
            if end < start && step > 0 {
                return Ok(Value::text(Text::default()));
            }
            let past = if end < start { -1 } else { 1 };
            steps(context, start, end.saturating_add(past), step)?
        }
        _ => return Ok(Value::text(Text::default())),
    };
    Ok(Value::text(spaced(&numbers)))
}

/// Applies `operation` from left to right.
fn decimals(
    context: &mut Context<'_>,
    first: f64,
    others: &[Value],
    operation: fn(&Decimal, &Decimal) -> Decimal,
) -> Called {
    let infinite = || Problem::wrong_type("expected a finite number, found another");
    let mut result = Decimal::from_float(first).ok_or_else(infinite)?;
    for other in others.iter().map(to_float) {
        let other = Decimal::from_float(other).ok_or_else(infinite)?;
        // Numbers have up to 330 digits before and after the point.
        context.steps(32 + 4 * result.span(&other) + result.products(&other) / PRODUCTS_PER_STEP)?;
        result = operation(&result, &other);
    }
    Ok(Value::Float(result.to_float()))
}
