//! Limits the log lines of shadow mode, because a difference in a template affects every request of its profile.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::mint::ProfileName;
use crate::time::Timestamp;

/// The interval in seconds in which equal lines are logged once.
const INTERVAL: i64 = 60;
/// The most kinds of lines that are distinguished for one profile. The others count as one kind, because sessions can
/// have any number of member names.
const MOST_KINDS: usize = 50;

/// The kinds of lines that were logged recently.
#[derive(Debug, Default)]
pub(super) struct ShadowLog(Mutex<BTreeMap<ProfileName, BTreeMap<String, Logged>>>);

#[derive(Debug)]
struct Logged {
    at: Timestamp,
    /// The equal lines since then.
    suppressed: u64,
}

impl Logged {
    fn is_recent(&self, now: Timestamp) -> bool {
        // If the clock was set back, lines are not suppressed until it has caught up.
        (0..INTERVAL).contains(&now.seconds_since(self.at))
    }
}

impl ShadowLog {
    /// Returns the number of lines of this `kind` that were suppressed since the last one, if a line must be logged at
    /// `now`. Returns `None` if this line is suppressed, too.
    pub(super) fn admit(&self, profile: &ProfileName, kind: &str, now: Timestamp) -> Option<u64> {
        let mut profiles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds = profiles.entry(profile.clone()).or_default();
        if !kinds.contains_key(kind) && kinds.len() >= MOST_KINDS {
            kinds.retain(|_, logged| logged.is_recent(now));
        }
        let kind = if kinds.len() < MOST_KINDS || kinds.contains_key(kind) { kind } else { "" };
        match kinds.get_mut(kind) {
            Some(logged) if logged.is_recent(now) => {
                logged.suppressed += 1;
                None
            }
            known => {
                let suppressed = known.map_or(0, |logged| logged.suppressed);
                kinds.insert(kind.to_owned(), Logged { at: now, suppressed: 0 });
                Some(suppressed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_800_000_000;

    fn admit(log: &ShadowLog, profile: &str, kind: &str, second: i64) -> Option<u64> {
        log.admit(&ProfileName::parse(profile).unwrap(), kind, Timestamp::from_seconds(START + second))
    }

    #[test]
    fn equal_lines_are_logged_once_a_minute_with_their_count() {
        let log = ShadowLog::default();
        assert_eq!(admit(&log, "p", "different [\"a\"]", 0), Some(0));
        assert_eq!(admit(&log, "p", "different [\"a\"]", 1), None);
        assert_eq!(admit(&log, "p", "different [\"a\"]", 59), None);
        assert_eq!(admit(&log, "p", "different [\"b\"]", 59), Some(0), "other paths");
        assert_eq!(admit(&log, "q", "different [\"a\"]", 59), Some(0), "another profile");
        assert_eq!(admit(&log, "p", "different [\"a\"]", 60), Some(2));
        assert_eq!(admit(&log, "p", "different [\"a\"]", 61), None);
        assert_eq!(admit(&log, "p", "different [\"a\"]", -10), Some(1), "the clock was set back");
    }

    #[test]
    fn many_kinds_count_as_one() {
        let log = ShadowLog::default();
        let logged = |second| (0..10_000).filter(|kind| admit(&log, "p", &kind.to_string(), second).is_some()).count();
        assert_eq!(logged(0), MOST_KINDS + 1);
        assert_eq!(logged(59), 0);
        assert_eq!(logged(60), MOST_KINDS + 1);
        let kept: usize = log.0.lock().unwrap().values().map(BTreeMap::len).sum();
        assert_eq!(kept, MOST_KINDS + 1);
        assert_eq!(admit(&log, "q", "1", 60), Some(0), "other profiles are not affected");
    }
}
