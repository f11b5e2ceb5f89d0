//! Go's durations: nanoseconds and their text.

/// Go's `Duration.String`.
pub(in crate::templates::go) fn duration_text(nanos: i64) -> String {
    if nanos == 0 {
        return "0s".to_owned();
    }
    let sign = if nanos < 0 { "-" } else { "" };
    let magnitude = nanos.unsigned_abs();
    let fraction = |value: u64, unit: u64, digits: usize| {
        let rest = format!("{:0digits$}", value % unit);
        let rest = rest.trim_end_matches('0');
        if rest.is_empty() { (value / unit).to_string() } else { format!("{}.{rest}", value / unit) }
    };
    if magnitude < 1_000 {
        return format!("{sign}{magnitude}ns");
    }
    if magnitude < 1_000_000 {
        return format!("{sign}{}µs", fraction(magnitude, 1_000, 3));
    }
    if magnitude < 1_000_000_000 {
        return format!("{sign}{}ms", fraction(magnitude, 1_000_000, 6));
    }
    let minutes = magnitude / 60_000_000_000;
    let seconds = fraction(magnitude % 60_000_000_000, 1_000_000_000, 9);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// Go's `time.ParseDuration`, in nanoseconds.
pub(in crate::templates::go) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let nanos = i64::try_from(crate::time::parse_duration(unsigned)?.as_nanos()).ok()?;
    Some(if negative { -nanos } else { nanos })
}

/// Go's `Duration.Round`: the nearest multiple of `step`, the one further from zero where both are as near.
pub(in crate::templates::go) fn rounded_duration(nanos: i64, step: i64) -> i64 {
    if step <= 0 {
        return nanos;
    }
    let past = nanos % step;
    if past.unsigned_abs() < step.unsigned_abs() - past.unsigned_abs() {
        return nanos - past;
    }
    (nanos - past).saturating_add(if nanos < 0 { -step } else { step })
}
