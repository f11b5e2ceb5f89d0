//! Times read by a layout.

use super::layout::{Chunk, next_chunk};
use std::rc::Rc;

use super::{DAY, FixedZone, MONTHS, Time, WEEKDAYS, Zone, civil_from_days, days_from_civil};

impl Time {
    /// Go's `time.ParseInLocation` with UTC as the location; `None` where the text does not fit the layout.
    pub(in crate::templates::go) fn parse(layout: &[u8], text: &[u8]) -> Option<Self> {
        let mut read = Reading::default();
        let mut layout = layout;
        let mut text = text;
        loop {
            let (literal, chunk, after) = next_chunk(layout);
            text = skip_literal(text, literal)?;
            let Some(chunk) = chunk else {
                return if text.is_empty() { read.time() } else { None };
            };
            let followed_by_fraction = matches!(next_chunk(after), ([], Some(Chunk::Fraction { .. }), _));
            text = read.chunk(chunk, text, followed_by_fraction)?;
            layout = after;
        }
    }
}

fn skip_literal<'t>(text: &'t [u8], literal: &[u8]) -> Option<&'t [u8]> {
    let (mut text, mut literal) = (text, literal);
    while let Some(byte) = literal.first() {
        if *byte == b' ' {
            if !text.is_empty() && text[0] != b' ' {
                return None;
            }
            literal = &literal[literal.iter().take_while(|byte| **byte == b' ').count()..];
            text = &text[text.iter().take_while(|byte| **byte == b' ').count()..];
            continue;
        }
        if text.first() != Some(byte) {
            return None;
        }
        (text, literal) = (&text[1..], &literal[1..]);
    }
    Some(text)
}

#[derive(Default)]
struct Reading {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: u32,
    pm: Option<bool>,
    offset: Option<i64>,
    zone: String,
    utc: bool,
}

impl Reading {
    fn chunk<'t>(&mut self, chunk: Chunk, text: &'t [u8], followed_by_fraction: bool) -> Option<&'t [u8]> {
        let in_range = |number: i64, low: i64, high: i64| (low..=high).contains(&number).then_some(number);
        let rest = match chunk {
            Chunk::Year => {
                let (number, rest) = digits(text, 2, 2)?;
                self.year = number + if number >= 69 { 1900 } else { 2000 };
                rest
            }
            Chunk::LongYear => {
                let (number, rest) = digits(text, 4, 4)?;
                self.year = number;
                rest
            }
            Chunk::LongMonth => self.named_month(text, 0)?,
            Chunk::Month => self.named_month(text, 3)?,
            Chunk::NumMonth | Chunk::ZeroMonth => {
                let (number, rest) = digits(text, if chunk == Chunk::ZeroMonth { 2 } else { 1 }, 2)?;
                self.month = Some(in_range(number, 1, 12)?);
                rest
            }
            Chunk::LongWeekday | Chunk::Weekday => {
                let length = if chunk == Chunk::Weekday { 3 } else { 0 };
                named(text, &WEEKDAYS, length)?.1
            }
            Chunk::Day | Chunk::UnderDay | Chunk::ZeroDay => {
                let text = if chunk == Chunk::UnderDay { text.strip_prefix(b" ").unwrap_or(text) } else { text };
                let (number, rest) = digits(text, if chunk == Chunk::ZeroDay { 2 } else { 1 }, 2)?;
                self.day = Some(number);
                rest
            }
            Chunk::UnderYearDay | Chunk::ZeroYearDay => {
                let spaces = text.iter().take(2).take_while(|byte| **byte == b' ').count();
                let skipped = if chunk == Chunk::UnderYearDay { spaces } else { 0 };
                let (number, rest) = digits(&text[skipped..], 3 - skipped, 3 - skipped)?;
                self.year_day = Some(number);
                rest
            }
            Chunk::Hour => {
                let (number, rest) = digits(text, 1, 2)?;
                self.hour = in_range(number, 0, 23)?;
                rest
            }
            Chunk::Hour12 | Chunk::ZeroHour12 => {
                let (number, rest) = digits(text, if chunk == Chunk::ZeroHour12 { 2 } else { 1 }, 2)?;
                self.hour = in_range(number, 0, 12)?;
                rest
            }
            Chunk::Minute | Chunk::ZeroMinute => {
                let (number, rest) = digits(text, if chunk == Chunk::ZeroMinute { 2 } else { 1 }, 2)?;
                self.minute = in_range(number, 0, 59)?;
                rest
            }
            Chunk::Second | Chunk::ZeroSecond => {
                let (number, rest) = digits(text, if chunk == Chunk::ZeroSecond { 2 } else { 1 }, 2)?;
                self.second = in_range(number, 0, 59)?;
                // A fraction may follow the seconds where the layout has none.
                match rest {
                    [b'.' | b',', digit, ..] if digit.is_ascii_digit() && !followed_by_fraction => {
                        self.fraction(rest, None)?
                    }
                    _ => rest,
                }
            }
            Chunk::Upper | Chunk::Lower => {
                let (am, pm): (&[u8], &[u8]) = if chunk == Chunk::Upper { (b"AM", b"PM") } else { (b"am", b"pm") };
                self.pm = Some(text.starts_with(pm));
                if !text.starts_with(am) && !text.starts_with(pm) {
                    return None;
                }
                &text[2..]
            }
            Chunk::Offset { z, colon, parts } => self.offset(text, z, colon, parts)?,
            Chunk::ZoneName => {
                if let Some(rest) = text.strip_prefix(b"UTC") {
                    self.utc = true;
                    return Some(rest);
                }
                let (name, rest) = text.split_at(zone_name_length(text)?);
                self.zone = String::from_utf8_lossy(name).into_owned();
                rest
            }
            Chunk::Fraction { digits, trimmed: false, .. } => self.fraction(text, Some(digits))?,
            Chunk::Fraction { .. } => match text {
                [b'.' | b',', digit, ..] if digit.is_ascii_digit() => self.fraction(text, None)?,
                _ => text,
            },
        };
        Some(rest)
    }

    fn named_month<'t>(&mut self, text: &'t [u8], length: usize) -> Option<&'t [u8]> {
        let (index, rest) = named(text, &MONTHS, length)?;
        self.month = Some(index + 1);
        Some(rest)
    }

    fn fraction<'t>(&mut self, text: &'t [u8], exactly: Option<usize>) -> Option<&'t [u8]> {
        let (mark, after) = text.split_first()?;
        let length = exactly.unwrap_or_else(|| after.iter().take_while(|byte| byte.is_ascii_digit()).count());
        let digits = after.get(..length).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        if !matches!(mark, b'.' | b',') {
            return None;
        }
        let mut nanos = 0;
        for index in 0..9 {
            nanos = nanos * 10 + u32::from(digits.get(index).map_or(0, |digit| digit - b'0'));
        }
        self.nanos = nanos;
        Some(&after[length..])
    }

    fn offset<'t>(&mut self, text: &'t [u8], z: bool, colon: bool, parts: u8) -> Option<&'t [u8]> {
        if z && let Some(rest) = text.strip_prefix(b"Z") {
            self.utc = true;
            return Some(rest);
        }
        let (sign, mut rest) = text.split_first()?;
        let factor = match sign {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let mut seconds = 0;
        for (index, (unit, most)) in [(3600, 24), (60, 60), (1, 60)].into_iter().take(usize::from(parts)).enumerate() {
            if index > 0 && colon {
                rest = rest.strip_prefix(b":")?;
            }
            let (number, after) = digits(rest, 2, 2)?;
            if number > most {
                return None;
            }
            seconds += number * unit;
            rest = after;
        }
        self.offset = Some(factor * seconds);
        Some(rest)
    }

    fn time(self) -> Option<Time> {
        let hour = match self.pm {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let (month, day) = match self.year_day {
            Some(year_day) => {
                let first = days_from_civil(self.year, 1, 1);
                let (year, month, day) = civil_from_days(first + year_day - 1);
                let fits = year == self.year
                    && self.month.is_none_or(|given| given == month)
                    && self.day.is_none_or(|given| given == day);
                if year_day < 1 || !fits {
                    return None;
                }
                (month, day)
            }
            None => (self.month.unwrap_or(1), self.day.unwrap_or(1)),
        };
        let date = days_from_civil(self.year, month, day);
        if day < 1 || civil_from_days(date) != (self.year, month, day) {
            return None;
        }
        let local = date * DAY + hour * 3600 + self.minute * 60 + self.second;
        let (seconds, zone) = match self.offset {
            _ if self.utc => (local, Zone::Utc),
            // Go takes its local zone where the offset and the name are the same.
            Some(0) if self.zone.is_empty() => (local, Zone::Local),
            Some(offset) => (local - offset, fixed(i32::try_from(offset).ok()?, self.zone)),
            None if self.zone.is_empty() => (local, Zone::Local),
            // Go does not know what the name means, so the time counts as UTC; its clock shows a zone `GMT+3`.
            None => {
                let hours = self.zone.strip_prefix("GMT").and_then(|hours| hours.parse().ok()).unwrap_or(0);
                (local, fixed(hours * 3600, self.zone))
            }
        };
        Some(Time { seconds, nanos: self.nanos, zone })
    }
}

fn fixed(offset: i32, name: String) -> Zone {
    Zone::Fixed(Rc::new(FixedZone { offset, name }))
}

/// How long the abbreviation of a zone is at the start of `text`.
fn zone_name_length(text: &[u8]) -> Option<usize> {
    let large = text.iter().take(6).take_while(|byte| byte.is_ascii_uppercase()).count();
    if text.len() < 3 {
        return None;
    }
    if text.starts_with(b"ChST") || text.starts_with(b"MeST") {
        return Some(4);
    }
    if let Some(after) = text.strip_prefix(b"GMT") {
        return Some(3 + signed_hours_length(after));
    }
    match (text, large) {
        ([b'+' | b'-', ..], _) => Some(signed_hours_length(text)).filter(|length| *length > 0),
        (_, 3) => Some(3),
        ([_, _, _, b'T', ..] | [b'W', b'I', b'T', b'A', ..], 4) => Some(4),
        ([_, _, _, _, b'T', ..], 5) => Some(5),
        _ => None,
    }
}

/// How long a sign with hours below 24 is at the start of `text`; 0 where there is none.
fn signed_hours_length(text: &[u8]) -> usize {
    let Some((b'+' | b'-', hours)) = text.split_first() else {
        return 0;
    };
    let length = hours.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&hours[..length]).ok().and_then(|hours| hours.parse::<u32>().ok());
    if number.is_some_and(|hours| hours < 24) { 1 + length } else { 0 }
}

fn digits(text: &[u8], least: usize, most: usize) -> Option<(i64, &[u8])> {
    let length = text.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
    if length < least {
        return None;
    }
    let number = text[..length].iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    Some((number, &text[length..]))
}

/// Which of `names`, cut to `length` where that is not 0, `text` starts with.
fn named<'t>(text: &'t [u8], names: &[&str], length: usize) -> Option<(i64, &'t [u8])> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = if length == 0 { name } else { &name[..length] };
        let head = text.get(..name.len())?;
        head.eq_ignore_ascii_case(name.as_bytes()).then(|| (i64::try_from(index).unwrap_or(0), &text[name.len()..]))
    })
}
