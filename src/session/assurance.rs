//! How the person of a session was authenticated.

use crate::time::Timestamp;

/// How well and when the person of a session was authenticated, as far as the source of the session knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Assurance {
    /// The level of the authentication.
    pub level: Option<AssuranceLevel>,
    /// The time of the last completed factor.
    pub authenticated_at: Option<Timestamp>,
}

/// An authenticator assurance level, in Kratos's spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AssuranceLevel {
    /// `aal0`
    Aal0,
    /// `aal1`
    Aal1,
    /// `aal2`
    Aal2,
    /// `aal3`
    Aal3,
}

impl AssuranceLevel {
    /// Parses a level.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Aal0, Self::Aal1, Self::Aal2, Self::Aal3].into_iter().find(|level| level.as_str() == text)
    }

    /// Returns the text of the level.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aal0 => "aal0",
            Self::Aal1 => "aal1",
            Self::Aal2 => "aal2",
            Self::Aal3 => "aal3",
        }
    }
}
