//! Time as in tokens: whole seconds since 1970 (NumericDate, RFC 7519, section 2), RFC 3339 text, and Go's durations.
//!
//! All other modules get the time from a [`Clock`]. [`SystemClock`] is the only code in this crate that reads the system
//! clock.
//!
//! Calendar arithmetic is jiff's. The layout of RFC 3339 and Go's durations is parsed here: jiff accepts ISO 8601 forms
//! that RFC 3339 does not have, and its durations follow other rules.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::{DateTime, datetime};

const EPOCH: DateTime = datetime(1970, 1, 1, 0, 0, 0, 0);
const SECONDS_IN_400_YEARS: i64 = 146_097 * 86_400;

/// A point in time in whole seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A source of the current time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
}

/// A stopped clock.
impl Clock for Timestamp {
    fn now(&self) -> Timestamp {
        *self
    }
}

/// The system clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// The lifetime of a token: at least one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u32);

impl Timestamp {
    /// Returns the time `seconds` after 1970-01-01T00:00:00Z.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Returns the time of a NumericDate (RFC 7519, section 2). Fractions of a second are rounded down, so that no session
    /// or key lives longer than it should. A number beyond the range becomes the nearest end of the range.
    pub(crate) fn from_numeric_date(seconds: f64) -> Self {
        // `as` saturates, and turns NaN, which JSON does not have, into 1970.
        Self(seconds.floor() as i64)
    }

    /// Returns the seconds since 1970-01-01T00:00:00Z.
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// Returns the time `ttl` after this one.
    pub(crate) fn plus(self, ttl: Ttl) -> Self {
        Self(self.0.saturating_add(i64::from(ttl.0)))
    }

    /// Returns the time that is the whole seconds of `duration` after this one.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)))
    }

    /// Returns the seconds from `earlier` to this time; negative if this time is earlier.
    pub(crate) fn seconds_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Parses an RFC 3339 date and time, such as `2026-01-16T09:12:33.104Z`. Fractions of a second are truncated, so that no
    /// session lives longer than it should.
    ///
    /// A leap second counts as the second before it, at any time of day.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |at: usize, length: usize| -> Option<i16> {
            let digits = bytes.get(at..at + length)?.iter();
            digits.copied().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i16::from(byte - b'0')))
        };
        let two_digits = |at: usize| number(at, 2).and_then(|number| i8::try_from(number).ok());
        let separators = [(4, b"-"), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")] as [(usize, &[u8]); 5];
        if !separators.iter().all(|(at, any)| bytes.get(*at).is_some_and(|byte| any.contains(byte))) {
            return None;
        }
        let second = two_digits(17).filter(|second| *second <= 60)?.min(59);
        let (month, day, hour, minute) = (two_digits(5)?, two_digits(8)?, two_digits(11)?, two_digits(14)?);
        let local = DateTime::new(number(0, 4)?, month, day, hour, minute, second, 0).ok()?;
        let mut rest = &bytes[19..];
        if let Some(fraction) = rest.strip_prefix(b".") {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            rest = fraction.get(digits..).filter(|_| digits > 0)?;
        }
        let at = bytes.len() - rest.len();
        let offset = match rest {
            b"Z" | b"z" => 0,
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let (hours, minutes) = (number(at + 1, 2)?, number(at + 4, 2)?);
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let seconds = i64::from(hours) * 3600 + i64::from(minutes) * 60;
                if *sign == b'-' { -seconds } else { seconds }
            }
            _ => return None,
        };
        Some(Self(local.duration_since(EPOCH).as_secs() - offset))
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC, such as `2026-01-16T09:12:33Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The calendar repeats every 400 years. jiff ends with the year 9999, but a JWK Set can contain any number.
        let (cycles, seconds) = (self.0.div_euclid(SECONDS_IN_400_YEARS), self.0.rem_euclid(SECONDS_IN_400_YEARS));
        let time = EPOCH.checked_add(SignedDuration::from_secs(seconds)).map_err(|_| fmt::Error)?;
        let year = i64::from(time.year()) + cycles * 400;
        write!(f, "{year:04}-{}Z", time.strftime("%m-%dT%H:%M:%S"))
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the system clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}

impl Ttl {
    /// The shortest lifetime.
    pub(crate) const ONE_SECOND: Ttl = Ttl(1);

    /// Returns a lifetime of `duration`, truncated to seconds; `None` if that is below one second or above 2^32 - 1 seconds.
    pub fn new(duration: Duration) -> Option<Self> {
        u32::try_from(duration.as_secs()).ok().filter(|seconds| *seconds > 0).map(Self)
    }

    /// Returns the seconds.
    pub fn seconds(self) -> u32 {
        self.0
    }
}

/// Parses a duration in Go's syntax, without a sign: `90s`, `15m`, `1h30m`, `1.5h`, `250ms`. Only `0` needs no unit.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, remaining) = after.split_at(unit_end);
        let nanos_per_unit: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || fraction.len() > 18 {
            return None;
        }
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(nanos_per_unit)?)?;
        if !fraction.is_empty() {
            let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
            total = total.checked_add(fraction.parse::<u128>().ok()?.checked_mul(nanos_per_unit)? / scale)?;
        }
        rest = remaining;
    }
    // Go's durations end at 2^63 - 1 nanoseconds. Use the same limit, so that the same texts are accepted.
    let nanos = u64::try_from(total).ok().filter(|nanos| *nanos <= i64::MAX as u64)?;
    Some(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numeric_date_rounds_down_and_saturates() {
        for (number, seconds) in [
            (0.0, 0),
            (600.999, 600),
            (-0.5, -1),
            (-600.0, -600),
            (1e300, i64::MAX),
            (f64::INFINITY, i64::MAX),
            (f64::NEG_INFINITY, i64::MIN),
            (f64::NAN, 0),
        ] {
            assert_eq!(Timestamp::from_numeric_date(number).seconds(), seconds, "{number}");
        }
    }

    /// RFC 3339 as Go writes it, and similar text. Every row is accepted or rejected on purpose.
    #[test]
    fn rfc3339_parser_accepts_exactly_these_forms() {
        const YEAR_0: i64 = -62_167_219_200;
        const YEAR_10000: i64 = 253_402_300_800;
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1969-12-31T23:59:59Z", Some(-1)),
            ("2026-01-16T09:12:33Z", Some(1_768_554_753)),
            // Fractions of any length are truncated, also before 1970.
            ("2026-01-16T09:12:33.1Z", Some(1_768_554_753)),
            ("2026-01-16T09:12:33.104Z", Some(1_768_554_753)),
            ("2026-01-16T09:12:33.123456789Z", Some(1_768_554_753)),
            ("2026-01-16T09:12:33.9999999999999999999999Z", Some(1_768_554_753)),
            ("1969-12-31T23:59:58.9Z", Some(-2)),
            ("2026-01-16T09:12:33.Z", None),
            ("2026-01-16T09:12:33,5Z", None),
            ("2026-01-16T09:12:33.5.5Z", None),
            // Offsets.
            ("2026-01-16T10:12:33+01:00", Some(1_768_554_753)),
            ("2026-01-16T03:42:33.104-05:30", Some(1_768_554_753)),
            ("2026-01-16T09:12:33+00:00", Some(1_768_554_753)),
            ("2026-01-16T09:12:33-00:00", Some(1_768_554_753)),
            ("2026-01-17T09:11:33+23:59", Some(1_768_554_753)),
            ("2026-01-15T09:13:33-23:59", Some(1_768_554_753)),
            ("2026-01-16T09:12:33+24:00", None),
            ("2026-01-16T09:12:33+01:60", None),
            ("2026-01-16T09:12:33+0100", None),
            ("2026-01-16T09:12:33+01", None),
            ("2026-01-16T09:12:33+1:00", None),
            ("2026-01-16T09:12:33+01:00:00", None),
            ("2026-01-16T09:12:33++1:00", None),
            ("2026-01-16T09:12:33\u{2212}01:00", None),
            ("2026-01-16T09:12:33", None),
            ("2026-01-16T09:12:33ZZ", None),
            ("2026-01-16T09:12:33 Z", None),
            ("2026-01-16T09:12:33Z[UTC]", None),
            ("2026-01-16T09:12:33+01:00[Europe/Berlin]", None),
            // Letters and separators.
            ("2026-01-16t09:12:33z", Some(1_768_554_753)),
            ("2026-01-16 09:12:33Z", Some(1_768_554_753)),
            ("2026-01-16_09:12:33Z", None),
            ("2026/01/16T09:12:33Z", None),
            ("2026-01-16T09.12.33Z", None),
            ("20260116T091233Z", None),
            ("2026-016T09:12:33Z", None),
            ("2026-W03-5T09:12:33Z", None),
            (" 2026-01-16T09:12:33Z", None),
            ("2026-01-16T09:12:33Z ", None),
            ("2026-01-16T09:12:33Z\n", None),
            // Dates.
            ("2024-02-29T00:00:00Z", Some(1_709_164_800)),
            ("2000-02-29T00:00:00Z", Some(951_782_400)),
            ("2026-02-29T00:00:00Z", None),
            ("1900-02-29T00:00:00Z", None),
            ("2026-04-31T00:00:00Z", None),
            ("2026-01-00T00:00:00Z", None),
            ("2026-01-32T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-1-16T09:12:33Z", None),
            ("2026-01-16", None),
            ("2026-01-16Z", None),
            // Years have exactly four digits, but an offset can lead to the year -1 or 10000.
            ("0000-01-01T00:00:00Z", Some(YEAR_0)),
            ("0000-02-29T00:00:00Z", Some(YEAR_0 + 59 * 86_400)),
            ("0000-01-01T00:00:00+23:59", Some(YEAR_0 - 86_340)),
            ("0001-01-01T00:00:00Z", Some(-62_135_596_800)),
            ("9999-12-31T23:59:59Z", Some(YEAR_10000 - 1)),
            ("9999-12-31T23:59:59-23:59", Some(YEAR_10000 - 1 + 86_340)),
            ("10000-01-01T00:00:00Z", None),
            ("026-01-16T09:12:33Z", None),
            ("+026-01-16T09:12:33Z", None),
            ("-0001-01-01T00:00:00Z", None),
            ("+002026-01-16T09:12:33Z", None),
            // Times. A leap second counts as the second before it, at any time of day.
            ("2024-02-29T23:59:59Z", Some(1_709_251_199)),
            ("2024-02-29T23:59:60Z", Some(1_709_251_199)),
            ("2024-02-29T23:59:60.5Z", Some(1_709_251_199)),
            ("2024-02-29T12:00:60Z", Some(1_709_208_059)),
            ("2024-02-29T23:59:61Z", None),
            ("2024-02-29T23:60:00Z", None),
            ("2024-02-29T24:00:00Z", None),
            ("2024-02-29T23:59Z", None),
            ("2024-02-29T23Z", None),
            ("2024-02-29T9:12:33Z", None),
            ("2024-02-29T09:12:3Z", None),
            ("2024-02-29T-9:12:33Z", None),
            // Other text.
            ("", None),
            ("now", None),
            ("1768554753", None),
            ("\u{0662}026-01-16T09:12:33Z", None),
            ("202\u{0665}-01-16T09:12:33Z", None),
            ("2026-01-16T09:12:33\u{1F550}", None),
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text).map(Timestamp::seconds), expected, "{text:?}");
        }
    }

    #[test]
    fn times_of_any_year_are_written_in_utc() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (1_768_554_753, "2026-01-16T09:12:33Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (-62_167_219_200, "0000-01-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "10000-01-01T00:00:00Z"),
            // Milliseconds instead of seconds.
            (1_768_554_753_000, "58013-04-08T17:10:00Z"),
            (-62_167_219_201, "-001-12-31T23:59:59Z"),
            (i64::MAX, "292277026596-12-04T15:30:07Z"),
            (i64::MIN, "-292277022657-01-27T08:29:52Z"),
        ] {
            assert_eq!(Timestamp::from_seconds(seconds).to_string(), expected, "{seconds}");
        }
    }

    #[test]
    fn durations_follow_go() {
        let millis = |text| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(millis("90s"), Some(90_000));
        assert_eq!(millis("1h30m"), Some(5_400_000));
        assert_eq!(millis("1.5h"), Some(5_400_000));
        assert_eq!(millis("250ms"), Some(250));
        assert_eq!(millis("0"), Some(0));
        for wrong in ["", "15", "m", "1d", "-1s", "1.2.3s", ".s", "99999999999h", "1 s"] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn written_time_parses_to_the_same_time(seconds in -62_000_000_000_i64..250_000_000_000) {
            let time = Timestamp::from_seconds(seconds);
            prop_assert_eq!(Timestamp::parse_rfc3339(&time.to_string()), Some(time));
        }
    }
}
