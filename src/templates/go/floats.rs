//! float64 as text, by the rules of Go's `strconv.FormatFloat`.

/// `number` (finite, not negative) in format `e`, `E`, `f`, `g` or `G`; without a precision the shortest text that
/// reads back.
pub(super) fn format(number: f64, kind: char, precision: Option<usize>) -> String {
    match kind {
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
