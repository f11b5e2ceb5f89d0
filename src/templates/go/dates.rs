//! Points in time, Go's layouts, and Go's durations.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

/// Go's `time.Time`.
#[derive(Clone, Debug)]
pub(super) struct Time {
    pub(super) seconds: i64,
    pub(super) nanos: u32,
    pub(super) zone: Zone,
}

/// Go's `*time.Location`.
#[derive(Clone, Debug)]
pub(super) enum Zone {
    Utc,
    /// Seconds east of Greenwich, and a name that may be empty.
    Fixed(i32, String),
    Named(TimeZone),
}

/// A time in its zone, in parts.
pub(super) struct Parts {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) year_day: i64,
    pub(super) weekday: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    offset: i64,
    abbreviation: String,
}

const DAY: i64 = 86_400;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// 0001-01-01T00:00:00Z, Go's zero time.
const ZERO: i64 = -62_135_596_800;

impl Zone {
    /// The zone of that name; `None` where there is none. The machine's own zone counts as UTC.
    pub(super) fn load(name: &str) -> Option<Self> {
        match name {
            "" | "UTC" | "Local" => Some(Zone::Utc),
            // Go's names are names of files, so their case counts.
            _ => TimeZone::get(name).ok().filter(|zone| zone.iana_name() == Some(name)).map(Zone::Named),
        }
    }

    /// Whether Go has one location for both; each time with an offset of its own has a new one.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        matches!((self, other), (Zone::Utc, Zone::Utc))
    }

    fn at(&self, seconds: i64) -> (i64, String) {
        match self {
            Zone::Utc => (0, "UTC".to_owned()),
            Zone::Fixed(offset, name) => (i64::from(*offset), name.clone()),
            Zone::Named(zone) => match jiff::Timestamp::from_second(seconds) {
                Ok(at) => {
                    let info = zone.to_offset_info(at);
                    (i64::from(info.offset().seconds()), info.abbreviation().to_owned())
                }
                Err(_) => (0, "UTC".to_owned()),
            },
        }
    }
}

impl Time {
    pub(super) fn utc(seconds: i64) -> Self {
        Self { seconds, nanos: 0, zone: Zone::Utc }
    }

    pub(super) fn zero() -> Self {
        Self::utc(ZERO)
    }

    pub(super) fn is_zero(&self) -> bool {
        self.seconds == ZERO && self.nanos == 0
    }

    pub(super) fn within(&self, zone: Zone) -> Self {
        Self { zone, ..*self }
    }

    /// This time and `nanos` later.
    pub(super) fn plus(&self, nanos: i64) -> Self {
        let total = i128::from(self.nanos) + i128::from(nanos);
        let seconds = i64::try_from(total.div_euclid(1_000_000_000)).unwrap_or(0);
        Self {
            seconds: self.seconds.saturating_add(seconds),
            nanos: u32::try_from(total.rem_euclid(1_000_000_000)).unwrap_or(0),
            zone: self.zone.clone(),
        }
    }

    /// Go's `Sub`: nanoseconds, cut to what a duration holds.
    pub(super) fn since(&self, earlier: &Self) -> i64 {
        let seconds = i128::from(self.seconds) - i128::from(earlier.seconds);
        let nanos = seconds * 1_000_000_000 + i128::from(self.nanos) - i128::from(earlier.nanos);
        i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
    }

    /// Go's `AddDate`.
    pub(super) fn plus_date(&self, years: i64, months: i64, days: i64) -> Self {
        let parts = self.parts();
        let bounded = |number: i64| number.clamp(-1_000_000, 1_000_000);
        let month = parts.month - 1 + bounded(months);
        let year = parts.year + bounded(years) + month.div_euclid(12);
        let date = days_from_civil(year, month.rem_euclid(12) + 1, 1) + parts.day - 1 + bounded(days);
        let clock = parts.hour * 3600 + parts.minute * 60 + parts.second;
        let local = date.saturating_mul(DAY).saturating_add(clock);
        Self { seconds: local_to_unix(local, &self.zone), nanos: self.nanos, zone: self.zone.clone() }
    }

    pub(super) fn parts(&self) -> Parts {
        let (offset, abbreviation) = self.zone.at(self.seconds);
        let local = self.seconds.saturating_add(offset);
        let days = local.div_euclid(DAY);
        let second = local.rem_euclid(DAY);
        let (year, month, day) = civil_from_days(days);
        Parts {
            year,
            month,
            day,
            year_day: days - days_from_civil(year, 1, 1) + 1,
            weekday: (days + 4).rem_euclid(7),
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            offset,
            abbreviation,
        }
    }

    /// Go's `Time.String`.
    pub(super) fn to_go_string(&self) -> String {
        self.format(b"2006-01-02 15:04:05.999999999 -0700 MST")
    }

    /// Go's `time.RFC3339Nano`, as JSON has it.
    pub(super) fn to_rfc3339(&self) -> String {
        self.format(b"2006-01-02T15:04:05.999999999Z07:00")
    }

    /// Go's `Format`.
    pub(super) fn format(&self, layout: &[u8]) -> String {
        let parts = self.parts();
        let mut out = String::new();
        let mut rest = layout;
        loop {
            let (literal, chunk, after) = next_chunk(rest);
            out.push_str(&String::from_utf8_lossy(literal));
            let Some(chunk) = chunk else {
                return out;
            };
            self.write(chunk, &parts, &mut out);
            rest = after;
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
            Chunk::Year => format!("{:02}", parts.year.rem_euclid(100)),
            Chunk::Upper => if parts.hour >= 12 { "PM" } else { "AM" }.to_owned(),
            Chunk::Lower => if parts.hour >= 12 { "pm" } else { "am" }.to_owned(),
            Chunk::ZoneName if !parts.abbreviation.is_empty() => parts.abbreviation.clone(),
            Chunk::ZoneName => {
                let minutes = parts.offset / 60;
                let sign = if minutes < 0 { '-' } else { '+' };
                let minutes = minutes.abs();
                match minutes % 60 {
                    0 => format!("{sign}{:02}", minutes / 60),
                    _ => format!("{sign}{:02}{:02}", minutes / 60, minutes % 60),
                }
            }
            Chunk::Offset { z: true, .. } if parts.offset == 0 => "Z".to_owned(),
            Chunk::Offset { colon, parts: shown, .. } => {
                let sign = if parts.offset < 0 { '-' } else { '+' };
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

    /// Go's `time.ParseInLocation` with UTC as the location; `None` where the text does not fit the layout.
    pub(super) fn parse(layout: &[u8], text: &[u8]) -> Option<Self> {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
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
fn next_chunk(layout: &[u8]) -> (&[u8], Option<Chunk>, &[u8]) {
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
    const SIMPLE: [(&[u8], Chunk); 20] = [
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
        (b"\0", Chunk::Second),
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
    SIMPLE
        .iter()
        .find(|(text, _)| *text != b"\0" && rest.starts_with(text))
        .map(|(text, chunk)| (*chunk, 0, text.len()))
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
                let length = text.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
                if !(3..=5).contains(&length) {
                    return None;
                }
                self.zone = String::from_utf8_lossy(&text[..length]).into_owned();
                &text[length..]
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
            // Go takes its local zone where the offset is the same.
            Some(0) => (local, Zone::Utc),
            Some(offset) => (local - offset, Zone::Fixed(i32::try_from(offset).ok()?, self.zone)),
            None if self.zone.is_empty() => (local, Zone::Utc),
            None => {
                let hours = self.zone.strip_prefix("GMT").and_then(|hours| hours.parse::<i64>().ok()).unwrap_or(0);
                (local - hours * 3600, Zone::Fixed(i32::try_from(hours * 3600).ok()?, self.zone))
            }
        };
        Some(Time { seconds, nanos: self.nanos, zone })
    }
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

fn local_to_unix(local: i64, zone: &Zone) -> i64 {
    let first = zone.at(local).0;
    let guess = local.saturating_sub(first);
    local.saturating_sub(zone.at(guess).0)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

pub(super) fn month_name(month: i64) -> String {
    match usize::try_from(month - 1).ok().and_then(|index| MONTHS.get(index)) {
        Some(name) => (*name).to_owned(),
        None => format!("%!Month({month})"),
    }
}

pub(super) fn weekday_name(day: i64) -> String {
    match usize::try_from(day).ok().and_then(|index| WEEKDAYS.get(index)) {
        Some(name) => (*name).to_owned(),
        None => format!("%!Weekday({day})"),
    }
}

/// Go's `Duration.String`.
pub(super) fn duration_text(nanos: i64) -> String {
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
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let nanos = i64::try_from(crate::time::parse_duration(unsigned)?.as_nanos()).ok()?;
    Some(if negative { -nanos } else { nanos })
}
