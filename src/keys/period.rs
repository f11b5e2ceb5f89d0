//! The period in which a key signs (`nbf` and `exp`), and its state at a time.

use std::fmt;

use crate::time::{Timestamp, Ttl};

/// The time in which a key signs (`nbf` and `exp` of the JWK, NumericDate). An absent time means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) not_before: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
}

/// The state of a key at a time: a function of its `nbf` and `exp`, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// The key can sign.
    Active,
    /// The key is published, but does not sign before its `nbf`.
    Pending,
    /// The key no longer signs, because its `exp` has passed.
    Retired,
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            KeyState::Active => "active",
            KeyState::Pending => "pending",
            KeyState::Retired => "retired",
        })
    }
}

impl Period {
    /// Returns the state at `now`.
    pub(super) fn state(self, now: Timestamp) -> KeyState {
        if self.expires_at.is_some_and(|end| now >= end) {
            KeyState::Retired
        } else if self.not_before.is_some_and(|start| now < start) {
            KeyState::Pending
        } else {
            KeyState::Active
        }
    }

    /// Returns the time until which verifiers need the key: the expiry of the last token that it can have signed.
    pub(super) fn publication_end(self, longest_ttl: Ttl) -> Option<Timestamp> {
        self.expires_at.map(|end| end.plus(longest_ttl))
    }
}
