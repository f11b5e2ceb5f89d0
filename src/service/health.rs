//! Readiness of the service, and the conditions that degrade it while it serves requests.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Serialize, Serializer};

use crate::time::Timestamp;

/// The stage of a service: starting, ready, stopping. It never goes back.
#[derive(Debug, Default)]
pub(crate) struct Readiness(AtomicU8);

/// A stage of [`Readiness`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The listeners are not open yet.
    Starting,
    /// Requests are accepted.
    Ready,
    /// The service finishes the requests in flight.
    Stopping,
}

impl Readiness {
    /// Returns the current stage.
    pub(crate) fn stage(&self) -> Stage {
        match self.0.load(Ordering::Acquire) {
            0 => Stage::Starting,
            1 => Stage::Ready,
            _ => Stage::Stopping,
        }
    }

    /// Advances to `stage`. Does nothing if `stage` is earlier than the current stage.
    pub(crate) fn advance(&self, stage: Stage) {
        self.0.fetch_max(stage as u8, Ordering::AcqRel);
    }
}

/// A condition that degrades the service. Its name in snake case is its member in the readiness document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DegradedCondition {
    /// Audit lines cannot be written and are lost.
    Audit,
    /// Files cannot be read; their last good content is in use.
    Files,
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

/// The active conditions.
#[derive(Debug, Default)]
pub(crate) struct DegradedConditions(Mutex<BTreeMap<DegradedCondition, ActiveCondition>>);

/// The readiness document: the stage of the service, and a member for each active condition.
#[derive(Debug, Serialize)]
pub(crate) struct ReadinessReport {
    status: &'static str,
    /// The reason why the service is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(flatten)]
    conditions: BTreeMap<DegradedCondition, ActiveCondition>,
}

#[derive(Clone, Debug, Serialize)]
struct ActiveCondition {
    #[serde(serialize_with = "rfc_3339")]
    since: Timestamp,
    /// The errors.
    faults: Vec<String>,
}

fn rfc_3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

impl DegradedConditions {
    /// Marks `condition` as active since `now`. Returns `true` if it or its errors changed.
    pub(crate) fn raise(&self, condition: DegradedCondition, errors: Vec<String>, now: Timestamp) -> bool {
        match self.active().entry(condition) {
            Entry::Occupied(entry) if entry.get().faults == errors => return false,
            Entry::Occupied(mut entry) => entry.get_mut().faults = errors,
            Entry::Vacant(entry) => {
                entry.insert(ActiveCondition { since: now, faults: errors });
            }
        }
        true
    }

    /// Marks `condition` as inactive. Returns `true` if it was active.
    pub(crate) fn clear(&self, condition: DegradedCondition) -> bool {
        self.active().remove(&condition).is_some()
    }

    /// Returns the readiness document of a service in `stage` with these conditions.
    pub(crate) fn report(&self, stage: Stage) -> ReadinessReport {
        let (status, reason) = match stage {
            Stage::Ready => ("ok", None),
            Stage::Starting => ("unavailable", Some("starting")),
            Stage::Stopping => ("unavailable", Some("stopping")),
        };
        ReadinessReport { status, reason, conditions: self.active().clone() }
    }

    fn active(&self) -> MutexGuard<'_, BTreeMap<DegradedCondition, ActiveCondition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(conditions: &DegradedConditions, stage: Stage) -> String {
        serde_json::to_string(&conditions.report(stage)).unwrap()
    }

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
            json(&conditions, Stage::Ready),
            r#"{"status":"ok","reload":{"since":"1970-01-01T00:00:00Z","faults":["another"]}}"#
        );
        let errors = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
        conditions.raise(DegradedCondition::Reload, errors, Timestamp::from_seconds(3));
        assert!(json(&conditions, Stage::Ready).contains(r#""faults":["a","b","c"]"#));
        assert!(conditions.clear(DegradedCondition::Reload) && !conditions.clear(DegradedCondition::Reload));
        assert_eq!(json(&conditions, Stage::Ready), r#"{"status":"ok"}"#);
    }

    #[test]
    fn readiness_document_has_the_reason_and_each_condition_in_order() {
        let conditions = DegradedConditions::default();
        let all = [
            DegradedCondition::SigningKeys,
            DegradedCondition::Rotation,
            DegradedCondition::Reload,
            DegradedCondition::Oathkeeper,
            DegradedCondition::KeySources,
            DegradedCondition::Audit,
        ];
        for condition in all {
            conditions.raise(condition, vec!["a \"bad\" file".to_owned()], Timestamp::from_seconds(0));
        }
        let active = ["audit", "key_sources", "oathkeeper", "reload", "rotation", "signing_keys"]
            .map(|name| format!(r#""{name}":{{"since":"1970-01-01T00:00:00Z","faults":["a \"bad\" file"]}}"#))
            .join(",");
        for (stage, status) in [
            (Stage::Starting, r#""status":"unavailable","reason":"starting""#),
            (Stage::Ready, r#""status":"ok""#),
            (Stage::Stopping, r#""status":"unavailable","reason":"stopping""#),
        ] {
            assert_eq!(json(&conditions, stage), format!("{{{status},{active}}}"));
        }
        assert!(format!("{conditions:?}").contains("Rotation"));
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
