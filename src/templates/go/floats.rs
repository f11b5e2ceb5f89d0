//! float64 as text, by the rules of Go's `strconv.FormatFloat`.

/// `number` (finite, not negative) in format `b`, `e`, `E`, `f`, `g`, `G`, `x` or `X`; without a precision the shortest
/// text that reads back.
pub(super) fn format(number: f64, kind: char, precision: Option<usize>) -> String {
    match kind {
        'b' => {
            let (mantissa, exponent) = parts(number);
            format!("{mantissa}p{exponent:+}")
        }
        'x' => hexadecimal(number, precision),
        'X' => hexadecimal(number, precision).to_ascii_uppercase(),
        'e' | 'E' => exponential(number, precision, kind),
        'g' | 'G' => {
            let precision = precision.map(|precision| precision.max(1));
            let text = exponential(number, precision.map(|precision| precision - 1), 'e');
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let exponent: i32 = exponent.parse().unwrap_or(0);
            let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
            let digits = digits.trim_end_matches('0');
            let significant = i32::try_from(digits.len().max(1)).unwrap_or(i32::MAX);
            let threshold = match precision {
                None => 6,
                Some(precision) => {
                    let precision = i32::try_from(precision).unwrap_or(i32::MAX);
                    if precision > significant && significant > exponent { significant } else { precision }
                }
            };
            if exponent < -4 || exponent >= threshold {
                let mantissa = match mantissa.contains('.') {
                    true => mantissa.trim_end_matches('0').trim_end_matches('.'),
                    false => mantissa,
                };
                let mark = if kind == 'g' { 'e' } else { 'E' };
                return with_exponent(mantissa, mark, exponent);
            }
            let places = usize::try_from(significant - 1 - exponent).unwrap_or(0);
            format!("{number:.places$}")
        }
        _ => match precision {
            Some(precision) => format!("{number:.precision$}"),
            None => format!("{number}"),
        },
    }
}

/// `number` as Go's `encoding/json` writes it.
pub(super) fn json(number: f64) -> String {
    let magnitude = number.abs();
    let sign = if number.is_sign_negative() { "-" } else { "" };
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = exponential(magnitude, None, 'e');
        let text = match text.split_once("e-0") {
            Some((mantissa, digit)) => format!("{mantissa}e-{digit}"),
            None => text,
        };
        return format!("{sign}{text}");
    }
    format!("{sign}{magnitude}")
}

fn exponential(number: f64, precision: Option<usize>, mark: char) -> String {
    let text = match precision {
        Some(precision) => format!("{number:.precision$e}"),
        None => format!("{number:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    with_exponent(mantissa, mark, exponent.parse().unwrap_or(0))
}

fn with_exponent(mantissa: &str, mark: char, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}{mark}{sign}{:02}", exponent.abs())
}

/// A whole number and the power of two that it is multiplied with.
fn parts(number: f64) -> (u64, i64) {
    let bits = number.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    match (bits >> 52 & 0x7ff) as i64 {
        0 => (fraction, -1074),
        exponent => (fraction | 1 << 52, exponent - 1075),
    }
}

/// Hexadecimal digits after a leading 1, and a power of two.
fn hexadecimal(number: f64, precision: Option<usize>) -> String {
    let (mantissa, exponent) = parts(number);
    let shift = mantissa.leading_zeros().saturating_sub(11);
    // The leading digit stands at bit 52, so 13 hexadecimal digits follow it.
    let mut mantissa = mantissa << shift;
    let mut exponent = if mantissa == 0 { 0 } else { exponent - i64::from(shift) + 52 };
    if let Some(places @ 0..13) = precision {
        let cut = 52 - 4 * places;
        let (kept, rest, half) = (mantissa >> cut, mantissa & ((1 << cut) - 1), 1 << (cut - 1));
        let up = rest > half || rest == half && kept & 1 == 1;
        mantissa = (kept + u64::from(up)) << cut;
        if mantissa >> 53 == 1 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let digits = format!("{:013x}", mantissa & ((1 << 52) - 1));
    let digits = match precision {
        None => digits.trim_end_matches('0').to_owned(),
        Some(places) => format!("{digits:0<places$}")[..places].to_owned(),
    };
    let point = if digits.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("0x{}{point}{digits}p{sign}{:02}", mantissa >> 52, exponent.abs())
}

/// What the flag `#` makes of `text`: it has a decimal point, and the zeros at its end that `g` leaves out.
pub(super) fn with_point(text: &str, kind: char, precision: Option<usize>) -> String {
    let is_tail = |mark: char| matches!(mark, 'p' | 'P') || matches!(mark, 'e' | 'E') && !matches!(kind, 'x' | 'X');
    let (number, tail) = text.split_at(text.find(is_tail).unwrap_or(text.len()));
    let wanted = match kind {
        'g' | 'G' | 'x' => precision.unwrap_or(6),
        _ => 0,
    };
    let significant = number.trim_start_matches(['0', '.']).chars().filter(|digit| *digit != '.').count();
    let zeros = wanted.saturating_sub(if number == "0" { 1 } else { significant });
    let point = if number.contains('.') { "" } else { "." };
    format!("{number}{point}{}{tail}", "0".repeat(zeros))
}
