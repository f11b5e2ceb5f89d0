//! Whether the service is ready, and the conditions that degrade it although it answers requests.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::json;
use crate::time::Timestamp;

/// The stage of a service: starting, ready, stopping. It never goes back.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

/// A stage of [`Readiness`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The listeners are not open yet.
    Starting,
    /// Requests are accepted.
    Ready,
    /// The service finishes the requests in flight.
    Stopping,
}

impl Readiness {
    /// Returns the current stage.
    pub fn stage(&self) -> Stage {
        match self.0.load(Ordering::Acquire) {
            0 => Stage::Starting,
            1 => Stage::Ready,
            _ => Stage::Stopping,
        }
    }

    /// Advances to `stage`; does nothing if that is an earlier one.
    pub fn advance(&self, stage: Stage) {
        self.0.fetch_max(stage as u8, Ordering::AcqRel);
    }
}

/// A condition that degrades the service; its name is the member of the readiness document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DegradedCondition {
    /// Audit lines cannot be written and are lost.
    Audit,
    /// A remote key set cannot be refreshed; the last good one is in use.
    KeySources,
    /// Parts of an Oathkeeper configuration are not served, or are served as they were before.
    Oathkeeper,
    /// Changed files were rejected; the last good generation is in use.
    Reload,
    /// A key file cannot be rotated.
    Rotation,
    /// Profiles have no key that can sign now.
    SigningKeys,
}

impl DegradedCondition {
    fn as_str(self) -> &'static str {
        match self {
            DegradedCondition::Audit => "audit",
            DegradedCondition::KeySources => "key_sources",
            DegradedCondition::Oathkeeper => "oathkeeper",
            DegradedCondition::Reload => "reload",
            DegradedCondition::Rotation => "rotation",
            DegradedCondition::SigningKeys => "signing_keys",
        }
    }
}

/// The active conditions, each with its start and its errors.
#[derive(Default)]
pub struct DegradedConditions(Mutex<BTreeMap<DegradedCondition, (Timestamp, Vec<String>)>>);

impl DegradedConditions {
    /// Marks `condition` as active since `now`. Returns `true` if it or its errors changed.
    pub fn raise(&self, condition: DegradedCondition, errors: Vec<String>, now: Timestamp) -> bool {
        let mut conditions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match conditions.get_mut(&condition) {
            Some((_, known)) if *known == errors => false,
            Some((_, known)) => {
                *known = errors;
                true
            }
            None => {
                conditions.insert(condition, (now, errors));
                true
            }
        }
    }

    /// Marks `condition` as inactive. Returns `true` if it was active.
    pub fn clear(&self, condition: DegradedCondition) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&condition).is_some()
    }

    /// Returns the readiness document: the members `status`, in JSON, and a member for each condition with `since` and
    /// `faults`.
    pub fn to_json(&self, status: &str) -> String {
        let mut text = format!("{{{status}");
        for (condition, (since, errors)) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            text.push_str(&format!(",\"{}\":{{\"since\":\"{since}\",\"faults\":[", condition.as_str()));
            for (index, error) in errors.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                json::write_string(error, &mut text);
            }
            text.push_str("]}");
        }
        text.push('}');
        text
    }
}

impl fmt::Debug for DegradedConditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json("\"status\":\"unknown\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raised_condition_is_news_once_and_keeps_its_start() {
        let conditions = DegradedConditions::default();
        let raise = |error: &str, now| {
            conditions.raise(DegradedCondition::Reload, vec![error.to_owned()], Timestamp::from_seconds(now))
        };
        assert!(raise("a \"bad\" file", 0));
        assert!(!raise("a \"bad\" file", 1));
        assert!(raise("another", 2));
        assert_eq!(
            conditions.to_json("\"status\":\"ok\""),
            r#"{"status":"ok","reload":{"since":"1970-01-01T00:00:00Z","faults":["another"]}}"#
        );
        let errors = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
        conditions.raise(DegradedCondition::Reload, errors, Timestamp::from_seconds(3));
        assert!(conditions.to_json("").contains(r#""faults":["a","b","c"]"#));
        assert_eq!(format!("{conditions:?}"), conditions.to_json(r#""status":"unknown""#));
        assert!(conditions.clear(DegradedCondition::Reload) && !conditions.clear(DegradedCondition::Reload));
        assert_eq!(conditions.to_json("\"status\":\"ok\""), r#"{"status":"ok"}"#);
    }

    #[test]
    fn readiness_never_goes_back() {
        let readiness = Readiness::default();
        assert_eq!(readiness.stage(), Stage::Starting);
        readiness.advance(Stage::Ready);
        assert_eq!(readiness.stage(), Stage::Ready);
        readiness.advance(Stage::Stopping);
        readiness.advance(Stage::Ready);
        assert_eq!(readiness.stage(), Stage::Stopping);
    }
}
