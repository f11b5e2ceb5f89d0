//! Conversions. Numbers stay the tokens they are; nothing goes through a float.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::{Arguments, Stop};
use crate::json::Number;
use crate::templates::handlebars::value::{Decimal, Shape, Value};
use crate::time::Timestamp;

/// How often an encoding or a digest reads each byte.
const READS_TO_ENCODE: usize = 4;
/// The longest text that is read as a number.
const NUMBER_BYTES: usize = 512;

pub(super) fn to_json<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    arguments.any(0).cloned()
}

pub(super) fn int<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let whole = match arguments.present(0)?.shape() {
        Shape::Number(number) => {
            arguments.meter.spend_bytes(number.token().len())?;
            whole(number)
        }
        Shape::Text(text) if text.len() <= NUMBER_BYTES => {
            Number::parse(text.trim()).ok().and_then(|number| whole(&number))
        }
        _ => None,
    };
    whole
        .map(Value::Number)
        .ok_or_else(|| arguments.wrong(0, "a whole number of at most 40 digits, or a string that holds one,"))
}

fn whole(number: &Number<'_>) -> Option<Number<'static>> {
    Number::parse(Decimal::of(number).whole()?).ok()
}

pub(super) fn number<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let value = arguments.present(0)?;
    match value.shape() {
        Shape::Number(_) => Ok(value.clone()),
        Shape::Text(text) if text.len() <= NUMBER_BYTES => Number::parse(text.trim().to_owned())
            .map(Value::Number)
            .map_err(|_| arguments.wrong(0, "a number, or a string that holds one as JSON writes it,")),
        _ => Err(arguments.wrong(0, "a number, or a string that holds one,")),
    }
}

pub(super) fn string<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let value = arguments.present(0)?;
    let mut text = String::new();
    arguments.push_scalar(value, 0, &mut text)?;
    Ok(text.into())
}

pub(super) fn bool<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    match arguments.present(0)?.shape() {
        Shape::Bool(value) => Ok(Value::Bool(value)),
        Shape::Text("true") => Ok(Value::Bool(true)),
        Shape::Text("false") => Ok(Value::Bool(false)),
        _ => Err(arguments.wrong(0, "a boolean, or the string true or false,")),
    }
}

pub(super) fn unix<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let seconds = match arguments.present(0)?.shape() {
        // Parts of a second are cut off, as they are where a date is read.
        Shape::Number(number) => {
            arguments.meter.spend_bytes(number.token().len())?;
            floor(number)
        }
        Shape::Text(text) => Timestamp::parse_rfc3339(text).map(|time| Number::from(time.seconds())),
        _ => None,
    };
    seconds
        .map(Value::Number)
        .ok_or_else(|| arguments.wrong(0, "a date and time such as 2026-01-16T09:12:33Z, or seconds since 1970,"))
}

fn floor(number: &Number<'_>) -> Option<Number<'static>> {
    if let Some(whole) = number.as_i64() {
        return Some(Number::from(whole));
    }
    let floor = number.as_f64().floor();
    // Within these bounds every whole float64 is exact.
    (floor.abs() < 9_007_199_254_740_992.0).then(|| Number::from(floor as i64))
}

pub(super) fn sha256<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    let text = arguments.text(0)?;
    arguments.meter.spend_bytes(text.len().saturating_mul(READS_TO_ENCODE))?;
    let digest = Sha256::digest(text.as_bytes());
    let mut hex = String::with_capacity(64);
    for byte in digest {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex.into())
}

pub(super) fn base64url<'r>(arguments: &mut Arguments<'_, 'r>) -> Result<Value<'r>, Stop> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let text = arguments.text(0)?;
    arguments.meter.spend_bytes(text.len().saturating_mul(READS_TO_ENCODE))?;
    let mut encoded = String::with_capacity(text.len().div_ceil(3) * 4);
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for position in 0..=chunk.len() {
            let six = (bits >> (18 - 6 * position)) & 63;
            encoded.push(char::from(ALPHABET[six as usize]));
        }
    }
    Ok(encoded.into())
}
