//! Go's layouts, and times written by them.

use std::fmt::Write as _;

use super::super::text::{Origin, Text};
use super::{MONTHS, Parts, Time, WEEKDAYS, ZERO, Zone, month_name};

impl Time {
    /// Go's `Time.String`.
    pub(in crate::templates::go) fn to_go_string(&self) -> String {
        self.format(b"2006-01-02 15:04:05.999999999 -0700 MST")
    }

    /// Go's `time.RFC3339Nano`, as JSON has it; `None` for years and offsets that RFC 3339 does not have.
    pub(in crate::templates::go) fn to_strict_rfc3339(&self) -> Option<String> {
        let parts = self.parts();
        let is_known = (0..=9999).contains(&parts.year) && parts.offset.abs() < 24 * 3600;
        is_known.then(|| self.format(b"2006-01-02T15:04:05.999999999Z07:00"))
    }

    /// Go's `GoString`.
    pub(in crate::templates::go) fn to_go_syntax(&self) -> String {
        let Parts { year, month, day, hour, minute, second, .. } = self.parts();
        let month = month_name(month);
        let zone = match &self.zone {
            Zone::Utc => "time.UTC".to_owned(),
            Zone::Local => "time.Local".to_owned(),
            // Names of zones have no character that is written otherwise.
            other => format!("time.Location(\"{}\")", other.name()),
        };
        format!("time.Date({year}, time.{month}, {day}, {hour}, {minute}, {second}, {}, {zone})", self.nanos)
    }

    /// Go's `MarshalBinary`.
    pub(in crate::templates::go) fn to_binary(&self) -> Vec<u8> {
        let offset = self.parts().offset;
        let minutes = match self.zone {
            Zone::Utc => -1,
            _ => i16::try_from(offset / 60).unwrap_or(0),
        };
        let odd = i8::try_from(offset % 60).unwrap_or(0);
        let mut bytes = vec![if odd == 0 { 1 } else { 2 }];
        bytes.extend(self.seconds.wrapping_sub(ZERO).to_be_bytes());
        bytes.extend(self.nanos.to_be_bytes());
        bytes.extend(minutes.to_be_bytes());
        if odd != 0 {
            bytes.extend(odd.to_be_bytes());
        }
        bytes
    }

    fn format(&self, layout: &[u8]) -> String {
        self.format_text(&Text::new(layout, Origin::Data)).to_str().into_owned()
    }

    /// Go's `Format`.
    pub(in crate::templates::go) fn format_text(&self, layout: &Text) -> Text {
        let parts = self.parts();
        let mut out = Text::default();
        let mut at = 0;
        loop {
            let (literal, chunk, after) = next_chunk(&layout.bytes()[at..]);
            out.push_text(&layout.slice(at..at + literal.len()));
            let Some(chunk) = chunk else {
                return out;
            };
            // A date has no character that means something in JSON, so it counts as a part of its layout.
            let origin = layout.origin_at(at + literal.len());
            let mut written = String::new();
            self.write(chunk, &parts, &mut written);
            out.push(written.as_bytes(), origin);
            at = layout.len() - after.len();
        }
    }

    fn write(&self, chunk: Chunk, parts: &Parts, out: &mut String) {
        let name = |names: &[&str], index: i64| {
            usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or_default().to_owned()
        };
        let hour12 = if parts.hour % 12 == 0 { 12 } else { parts.hour % 12 };
        let text = match chunk {
            Chunk::LongMonth => name(&MONTHS, parts.month - 1),
            Chunk::Month => name(&MONTHS, parts.month - 1).chars().take(3).collect(),
            Chunk::NumMonth => parts.month.to_string(),
            Chunk::ZeroMonth => format!("{:02}", parts.month),
            Chunk::LongWeekday => name(&WEEKDAYS, parts.weekday),
            Chunk::Weekday => name(&WEEKDAYS, parts.weekday).chars().take(3).collect(),
            Chunk::Day => parts.day.to_string(),
            Chunk::UnderDay => format!("{:2}", parts.day),
            Chunk::ZeroDay => format!("{:02}", parts.day),
            Chunk::UnderYearDay => format!("{:3}", parts.year_day),
            Chunk::ZeroYearDay => format!("{:03}", parts.year_day),
            Chunk::Hour => format!("{:02}", parts.hour),
            Chunk::Hour12 => hour12.to_string(),
            Chunk::ZeroHour12 => format!("{hour12:02}"),
            Chunk::Minute => parts.minute.to_string(),
            Chunk::ZeroMinute => format!("{:02}", parts.minute),
            Chunk::Second => parts.second.to_string(),
            Chunk::ZeroSecond => format!("{:02}", parts.second),
            Chunk::LongYear if parts.year < 0 => format!("-{:04}", -parts.year),
            Chunk::LongYear => format!("{:04}", parts.year),
            Chunk::Year => format!("{:02}", parts.year.unsigned_abs() % 100),
            Chunk::Upper => if parts.hour >= 12 { "PM" } else { "AM" }.to_owned(),
            Chunk::Lower => if parts.hour >= 12 { "pm" } else { "am" }.to_owned(),
            Chunk::ZoneName if !parts.abbreviation.is_empty() => parts.abbreviation.clone(),
            Chunk::ZoneName => {
                let minutes = parts.offset / 60;
                let sign = if minutes < 0 { '-' } else { '+' };
                let minutes = minutes.abs();
                format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
            }
            Chunk::Offset { z: true, .. } if parts.offset == 0 => "Z".to_owned(),
            Chunk::Offset { colon, parts: shown, .. } => {
                let sign = if parts.offset <= -60 { '-' } else { '+' };
                let seconds = parts.offset.abs();
                let mut text = format!("{sign}{:02}", seconds / 3600);
                let mark = if colon { ":" } else { "" };
                if shown > 1 {
                    let _ = write!(text, "{mark}{:02}", seconds / 60 % 60);
                }
                if shown > 2 {
                    let _ = write!(text, "{mark}{:02}", seconds % 60);
                }
                text
            }
            Chunk::Fraction { digits, mark, trimmed } => {
                let mut fraction = format!("{:09}", self.nanos);
                fraction.extend(std::iter::repeat_n('0', digits.saturating_sub(9)));
                fraction.truncate(digits);
                let fraction = if trimmed { fraction.trim_end_matches('0') } else { &fraction };
                if fraction.is_empty() { String::new() } else { format!("{}{fraction}", char::from(mark)) }
            }
        };
        out.push_str(&text);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    Upper,
    Lower,
    ZoneName,
    Offset { z: bool, colon: bool, parts: u8 },
    Fraction { digits: usize, mark: u8, trimmed: bool },
}

/// The text before the next element of a layout, the element, and what follows it.
pub(super) fn next_chunk(layout: &[u8]) -> (&[u8], Option<Chunk>, &[u8]) {
    for at in 0..layout.len() {
        if let Some((chunk, skipped, length)) = chunk_at(&layout[at..]) {
            return (&layout[..at + skipped], Some(chunk), &layout[at + skipped + length..]);
        }
    }
    (layout, None, &[])
}

/// The element at the start of `rest`, how many literal bytes stand before it, and its length.
fn chunk_at(rest: &[u8]) -> Option<(Chunk, usize, usize)> {
    const OFFSETS: [(&[u8], bool, u8); 5] =
        [(b"07:00:00", true, 3), (b"070000", false, 3), (b"07:00", true, 2), (b"0700", false, 2), (b"07", false, 1)];
    const SIMPLE: [(&[u8], Chunk); 19] = [
        (b"2006", Chunk::LongYear),
        (b"002", Chunk::ZeroYearDay),
        (b"__2", Chunk::UnderYearDay),
        (b"MST", Chunk::ZoneName),
        (b"01", Chunk::ZeroMonth),
        (b"02", Chunk::ZeroDay),
        (b"03", Chunk::ZeroHour12),
        (b"04", Chunk::ZeroMinute),
        (b"05", Chunk::ZeroSecond),
        (b"06", Chunk::Year),
        (b"15", Chunk::Hour),
        (b"PM", Chunk::Upper),
        (b"pm", Chunk::Lower),
        (b"_2", Chunk::UnderDay),
        (b"1", Chunk::NumMonth),
        (b"2", Chunk::Day),
        (b"3", Chunk::Hour12),
        (b"4", Chunk::Minute),
        (b"5", Chunk::Second),
    ];
    let lower_after = |length: usize| rest.get(length).is_some_and(u8::is_ascii_lowercase);
    if rest.starts_with(b"January") {
        return Some((Chunk::LongMonth, 0, 7));
    }
    if rest.starts_with(b"Jan") && !lower_after(3) {
        return Some((Chunk::Month, 0, 3));
    }
    if rest.starts_with(b"Monday") {
        return Some((Chunk::LongWeekday, 0, 6));
    }
    if rest.starts_with(b"Mon") && !lower_after(3) {
        return Some((Chunk::Weekday, 0, 3));
    }
    if rest.starts_with(b"_2006") {
        return Some((Chunk::LongYear, 1, 4));
    }
    if let Some(first @ (b'-' | b'Z')) = rest.first() {
        for (text, colon, parts) in OFFSETS {
            if rest[1..].starts_with(text) {
                return Some((Chunk::Offset { z: *first == b'Z', colon, parts }, 0, 1 + text.len()));
            }
        }
    }
    if let [mark @ (b'.' | b','), digit @ (b'0' | b'9'), ..] = rest {
        let digits = rest[1..].iter().take_while(|byte| *byte == digit).count();
        if !rest.get(1 + digits).is_some_and(u8::is_ascii_digit) {
            let chunk = Chunk::Fraction { digits, mark: *mark, trimmed: *digit == b'9' };
            return Some((chunk, 0, 1 + digits));
        }
    }
    SIMPLE.iter().find(|(text, _)| rest.starts_with(text)).map(|(text, chunk)| (*chunk, 0, text.len()))
}
