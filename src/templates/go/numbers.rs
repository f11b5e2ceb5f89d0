//! Numbers as Go reads them: constants of a template, and text that is converted.

use super::ast::Number;

/// Reads a number constant; `None` where Go refuses it.
pub(super) fn constant(text: &str) -> Option<Number> {
    if let Some(imaginary) = text.strip_suffix('i') {
        let split = imaginary
            .char_indices()
            .skip(1)
            .find(|(index, sign)| matches!(sign, '+' | '-') && !imaginary[..*index].ends_with(['e', 'E', 'p', 'P']));
        let (real, imaginary) = match split {
            Some((index, _)) => (parse_float(&imaginary[..index])?, parse_float(&imaginary[index..])?),
            None => (0.0, parse_float(imaginary)?),
        };
        return Some(Number { complex: Some((real, imaginary)), ..Number::default() });
    }
    let mut number = Number { int: parse_int(text, 0), uint: parse_uint(text, 0), ..Number::default() };
    let looks_float = text.contains(['.', 'e', 'E', 'p', 'P']);
    if let Some(int) = number.int {
        number.float = Some(int as f64);
        if int == 0 {
            number.uint = Some(0);
        }
    } else if let Some(uint) = number.uint {
        number.float = Some(uint as f64);
    } else {
        let float = parse_float(text).filter(|float| looks_float && float.is_finite())?;
        number.float = Some(float);
        if float.fract() == 0.0 && float.abs() < 9.3e18 && (float as i64) as f64 == float {
            number.int = Some(float as i64);
        }
    }
    let is_hex = text.starts_with("0x") || text.starts_with("0X");
    number.is_float = looks_float && (!is_hex || text.contains(['p', 'P']));
    Some(number)
}

/// Go's `strconv.ParseInt` with 64 bits; base 0 reads the prefix and allows underscores.
pub(super) fn parse_int(text: &str, base: u32) -> Option<i64> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = i128::from(parse_uint(unsigned, base)?);
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// Go's `strconv.ParseInt` to the base 10 where its errors are ignored: the nearest number where there is none in range.
pub(super) fn nearest_int(text: &str) -> i64 {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    let outside = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    parse_int(text, 10).unwrap_or(outside)
}

/// Go's `strconv.ParseUint` with 64 bits.
pub(super) fn parse_uint(text: &str, base: u32) -> Option<u64> {
    if text.starts_with(['+', '-']) || text.is_empty() {
        return None;
    }
    if base != 0 {
        return u64::from_str_radix(text, base).ok();
    }
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = if let Some(digits) = lower.strip_prefix("0x") {
        (16, digits)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (2, digits)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (8, digits)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if !underscores_are_right(&lower) {
        return None;
    }
    let plain: String = digits.chars().filter(|digit| *digit != '_').collect();
    if !plain.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    u64::from_str_radix(&plain, radix).ok()
}

/// Go's `strconv.ParseFloat` with 64 bits; infinite only where the text says so.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = unsigned.to_ascii_lowercase();
    let negative = text.starts_with('-');
    let sign = if negative { -1.0 } else { 1.0 };
    match lower.as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        "nan" if unsigned.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    if let Some(hex) = lower.strip_prefix("0x") {
        if !underscores_are_right(&lower) {
            return None;
        }
        return parse_hex_float(hex).filter(|float| float.is_finite()).map(|float| sign * float);
    }
    if lower.contains('_') && !underscores_are_right(&lower) {
        return None;
    }
    let plain: String = lower.chars().filter(|digit| *digit != '_').collect();
    if !plain.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'+' | b'-')) {
        return None;
    }
    if !plain.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    plain.parse::<f64>().ok().filter(|float| float.is_finite()).map(|float| sign * float)
}

fn parse_hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = [whole, fraction].concat().chars().filter(|digit| *digit != '_').collect();
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    let mantissa = u64::from_str_radix(&digits, 16).ok()? as f64;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let exponent: i32 = exponent.chars().filter(|digit| *digit != '_').collect::<String>().parse().ok()?;
    let shift = i32::try_from(fraction.chars().filter(|digit| *digit != '_').count()).ok()? * 4;
    Some(mantissa * 2f64.powi(exponent.saturating_sub(shift)))
}

/// Underscores stand only between digits, or between a prefix and a digit.
fn underscores_are_right(text: &str) -> bool {
    let body = ["0x", "0b", "0o"].iter().find_map(|prefix| text.strip_prefix(prefix));
    let is_hex = text.starts_with("0x");
    let mut previous_is_digit = body.is_some();
    let mut after_underscore = false;
    for character in body.unwrap_or(text).chars() {
        let is_digit = character.is_ascii_digit() || is_hex && character.is_ascii_hexdigit();
        if character == '_' {
            if !previous_is_digit {
                return false;
            }
            after_underscore = true;
            previous_is_digit = false;
            continue;
        }
        if after_underscore && !is_digit {
            return false;
        }
        after_underscore = false;
        previous_is_digit = is_digit;
    }
    !after_underscore
}
