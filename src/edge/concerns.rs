//! What is wrong although requests are answered: the detail of readiness, and what keeps a fault from being told twice.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::json;
use crate::time::Timestamp;

/// What a concern is about; its name is the member of the readiness document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// Audit lines cannot be written, and are lost.
    Audit,
    /// A remote key set cannot be refreshed; its last good state is in use.
    KeySources,
    /// A change of files cannot be used; the last good generation is.
    Reload,
    /// A key file cannot be rotated.
    Rotation,
    /// Profiles have no key that may sign now.
    SigningKeys,
}

impl Concern {
    fn as_str(self) -> &'static str {
        match self {
            Concern::Audit => "audit",
            Concern::KeySources => "key_sources",
            Concern::Reload => "reload",
            Concern::Rotation => "rotation",
            Concern::SigningKeys => "signing_keys",
        }
    }
}

/// The concerns there are, each with the time since when and what it is.
#[derive(Default)]
pub struct Concerns(Mutex<BTreeMap<Concern, (Timestamp, Vec<String>)>>);

impl Concerns {
    /// There is this concern at `now`; whether that is news.
    pub fn raise(&self, concern: Concern, faults: Vec<String>, now: Timestamp) -> bool {
        let mut concerns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match concerns.get_mut(&concern) {
            Some((_, known)) if *known == faults => false,
            Some((_, known)) => {
                *known = faults;
                true
            }
            None => {
                concerns.insert(concern, (now, faults));
                true
            }
        }
    }

    /// There is this concern no more; whether that is news.
    pub fn clear(&self, concern: Concern) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&concern).is_some()
    }

    /// The readiness document: the members `status`, in JSON, and for each concern a member with `since` and `faults`.
    pub fn to_json(&self, status: &str) -> String {
        let mut text = format!("{{{status}");
        for (concern, (since, faults)) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            text.push_str(&format!(",\"{}\":{{\"since\":\"{since}\",\"faults\":[", concern.as_str()));
            for (index, fault) in faults.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                json::write_string(fault, &mut text);
            }
            text.push_str("]}");
        }
        text.push('}');
        text
    }
}

impl fmt::Debug for Concerns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json("\"status\":\"unknown\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_concern_is_news_once_and_keeps_its_beginning() {
        let concerns = Concerns::default();
        let raise =
            |fault: &str, now| concerns.raise(Concern::Reload, vec![fault.to_owned()], Timestamp::from_seconds(now));
        assert!(raise("a \"bad\" file", 0));
        assert!(!raise("a \"bad\" file", 1));
        assert!(raise("another", 2));
        assert_eq!(
            concerns.to_json("\"status\":\"ok\""),
            r#"{"status":"ok","reload":{"since":"1970-01-01T00:00:00Z","faults":["another"]}}"#
        );
        assert!(concerns.clear(Concern::Reload) && !concerns.clear(Concern::Reload));
        assert_eq!(concerns.to_json("\"status\":\"ok\""), r#"{"status":"ok"}"#);
    }
}
