//! sprig's functions on dates. The time now is the one that the rendering was given.

use super::{Function, Type, function, text, value};
use crate::templates::go::context::{Context, Problem};
use crate::templates::go::dates::{Time, Zone, duration_text, parse_duration};
use crate::templates::go::numbers;
use crate::templates::go::text::{Origin, Text};
use crate::templates::go::value::{IntType, Value};

const ANY: &[Type] = &[Type::Any];
const IN_ZONE: &[Type] = &[Type::String, Type::Any, Type::String];
const LAYOUT: &[Type] = &[Type::String, Type::Any];
const PARSE: &[Type] = &[Type::String, Type::String];
const SHIFT: &[Type] = &[Type::String, Type::Time];
const SECOND: i64 = 1_000_000_000;

pub(super) static FUNCTIONS: &[Function] = &[
    function("now", &[], |context, _| Ok(Value::Time(Time::utc(context.now).within(Zone::Local)))),
    function("ago", ANY, |context, values| {
        let nanos = Time::utc(context.now).since(&time_of(context, &value(values, 0)));
        let rounded = nanos.saturating_add(if nanos < 0 { -SECOND / 2 } else { SECOND / 2 }) / SECOND * SECOND;
        Ok(Value::data(duration_text(rounded)))
    }),
    function("date", LAYOUT, |context, values| Ok(formatted(context, &text(values, 0), &value(values, 1), "Local"))),
    function("dateInZone", IN_ZONE, |context, values| {
        Ok(formatted(context, &text(values, 0), &value(values, 1), &text(values, 2).to_str()))
    }),
    function("date_in_zone", IN_ZONE, |context, values| {
        Ok(formatted(context, &text(values, 0), &value(values, 1), &text(values, 2).to_str()))
    }),
    function("dateModify", SHIFT, |_, values| Ok(shifted(values).unwrap_or_else(|| value(values, 1)))),
    function("date_modify", SHIFT, |_, values| Ok(shifted(values).unwrap_or_else(|| value(values, 1)))),
    function("mustDateModify", SHIFT, |_, values| shifted(values).ok_or_else(no_duration)),
    function("must_date_modify", SHIFT, |_, values| shifted(values).ok_or_else(no_duration)),
    function("duration", ANY, |_, values| {
        let seconds = match value(values, 0) {
            Value::String(text) => numbers::nearest_int(&text.to_str()),
            Value::Int(IntType::Int64, number) => number,
            _ => 0,
        };
        Ok(Value::data(duration_text(seconds.wrapping_mul(SECOND))))
    }),
    function("durationRound", ANY, |context, values| {
        let nanos = match value(values, 0) {
            Value::String(text) => parse_duration(&text.to_str()).unwrap_or(0),
            Value::Int(IntType::Int64, number) => number,
            Value::Time(time) => Time::utc(context.now).since(&time),
            _ => 0,
        };
        Ok(Value::data(rounded(nanos.unsigned_abs())))
    }),
    function("htmlDate", ANY, |context, values| Ok(formatted(context, &day(), &value(values, 0), "Local"))),
    function("htmlDateInZone", &[Type::Any, Type::String], |context, values| {
        Ok(formatted(context, &day(), &value(values, 0), &text(values, 1).to_str()))
    }),
    function("toDate", PARSE, |_, values| {
        let time = Time::parse(text(values, 0).bytes(), text(values, 1).bytes());
        Ok(Value::Time(time.unwrap_or_else(Time::zero)))
    }),
    function("mustToDate", PARSE, |_, values| {
        let time = Time::parse(text(values, 0).bytes(), text(values, 1).bytes());
        time.map(Value::Time)
            .ok_or_else(|| Problem::wrong_type("expected a date of the given layout, found other text"))
    }),
    function("unixEpoch", &[Type::Time], |_, values| match value(values, 0) {
        Value::Time(time) => Ok(Value::data(time.seconds.to_string())),
        other => Err(Problem::wrong_type(format!("expected time.Time, found {}", other.type_name()))),
    }),
];

fn day() -> Text {
    Text::new("2006-01-02", Origin::Template)
}

fn no_duration() -> Problem {
    Problem::wrong_type("expected a duration such as \"15m\", found other text")
}

/// The time that `value` stands for; anything but a time or whole seconds counts as now.
fn time_of(context: &Context<'_>, value: &Value) -> Time {
    match value {
        Value::Time(time) => time.clone(),
        Value::Int(IntType::Int | IntType::Int64, seconds) => Time::utc(*seconds),
        _ => Time::utc(context.now),
    }
}

fn formatted(context: &Context<'_>, layout: &Text, value: &Value, zone: &str) -> Value {
    let zone = Zone::load(zone).unwrap_or(Zone::Utc);
    Value::text(time_of(context, value).within(zone).format_text(layout))
}

fn shifted(values: &[Value]) -> Option<Value> {
    let nanos = parse_duration(&text(values, 0).to_str())?;
    match value(values, 1) {
        Value::Time(time) => Some(Value::Time(time.plus(nanos))),
        _ => None,
    }
}

fn rounded(nanos: u64) -> String {
    const UNITS: [(u64, &str); 6] =
        [(31_536_000, "y"), (2_592_000, "mo"), (86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    for (seconds, unit) in UNITS {
        let length = seconds * SECOND.unsigned_abs();
        if nanos > length {
            return format!("{}{unit}", nanos / length);
        }
    }
    "0s".to_owned()
}
