//! Points in time, in zones.

mod durations;
mod layout;
mod reading;

use std::rc::Rc;

use jiff::tz::TimeZone;

pub(super) use durations::{duration_text, parse_duration, rounded_duration};

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
    /// The zone of the server, which counts as UTC but is another location.
    Local,
    Fixed(Rc<FixedZone>),
    Named(TimeZone),
}

/// A zone that was read with a time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FixedZone {
    /// In seconds east of Greenwich.
    pub(super) offset: i32,
    /// May be empty.
    pub(super) name: String,
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
            "" | "UTC" => Some(Zone::Utc),
            "Local" => Some(Zone::Local),
            // Go's names are names of files, so their case counts.
            _ => TimeZone::get(name).ok().filter(|zone| zone.iana_name() == Some(name)).map(Zone::Named),
        }
    }

    /// Whether Go has one location for both. Zones without a name that are whole hours away share one.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Zone::Utc, Zone::Utc) | (Zone::Local, Zone::Local) => true,
            (Zone::Fixed(left), Zone::Fixed(right)) => {
                let is_shared = left.name.is_empty() && left.offset % 3600 == 0;
                let is_shared = is_shared && (-12 * 3600..=14 * 3600).contains(&left.offset);
                Rc::ptr_eq(left, right) || is_shared && left == right
            }
            _ => false,
        }
    }

    /// Whether both have the same content.
    pub(super) fn is_equal(&self, other: &Self) -> bool {
        match (self, other) {
            (Zone::Fixed(left), Zone::Fixed(right)) => left == right,
            _ => self.is_same(other),
        }
    }

    /// Go's `Location.String`.
    pub(super) fn name(&self) -> &str {
        match self {
            Zone::Utc | Zone::Local => "UTC",
            Zone::Fixed(zone) => &zone.name,
            Zone::Named(zone) => zone.iana_name().unwrap_or_default(),
        }
    }

    fn at(&self, seconds: i64) -> (i64, String) {
        match self {
            Zone::Utc | Zone::Local => (0, "UTC".to_owned()),
            Zone::Fixed(zone) => (i64::from(zone.offset), zone.name.clone()),
            Zone::Named(zone) => {
                let at = jiff::Timestamp::from_second(seconds).unwrap_or_else(|_| near(seconds));
                let info = zone.to_offset_info(at);
                (i64::from(info.offset().seconds()), info.abbreviation().to_owned())
            }
        }
    }
}

/// A time with the zone rules of `seconds`, which is out of the range that is known. Later years repeat each 400 years;
/// before the earliest one nothing changes.
fn near(seconds: i64) -> jiff::Timestamp {
    const CYCLE: i64 = 146_097 * DAY;
    if seconds < 0 {
        return jiff::Timestamp::MIN;
    }
    jiff::Timestamp::from_second(seconds % CYCLE + 4 * CYCLE).unwrap_or(jiff::Timestamp::MAX)
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

    /// Go's `AddDate`; `None` where one of the numbers is above a thousand million.
    pub(super) fn plus_date(&self, years: i64, months: i64, days: i64) -> Option<Self> {
        let is_small = |number: i64| number.unsigned_abs() <= 1_000_000_000;
        if ![years, months, days].into_iter().all(is_small) {
            return None;
        }
        let parts = self.parts();
        let month = parts.month - 1 + months;
        let year = parts.year + years + month.div_euclid(12);
        let date = days_from_civil(year, month.rem_euclid(12) + 1, 1) + parts.day - 1 + days;
        let clock = parts.hour * 3600 + parts.minute * 60 + parts.second;
        let local = date.saturating_mul(DAY).saturating_add(clock);
        Some(Self { seconds: local_to_unix(local, &self.zone), nanos: self.nanos, zone: self.zone.clone() })
    }

    /// Go's `Truncate`: the last multiple of `step` nanoseconds since the zero time.
    pub(super) fn truncated(&self, step: i64) -> Self {
        self.plus(-self.past_multiple(step))
    }

    /// Go's `Round`: the nearest multiple, the later one where both are as near.
    pub(super) fn rounded(&self, step: i64) -> Self {
        let past = self.past_multiple(step);
        self.plus(if past < step - past || step <= 0 { -past } else { step - past })
    }

    fn past_multiple(&self, step: i64) -> i64 {
        if step <= 0 {
            return 0;
        }
        let nanos = (i128::from(self.seconds) - i128::from(ZERO)) * 1_000_000_000 + i128::from(self.nanos);
        i64::try_from(nanos.rem_euclid(i128::from(step))).unwrap_or(0)
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
