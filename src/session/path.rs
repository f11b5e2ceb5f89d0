//! Paths into a session, as the configuration writes them.

use std::fmt;
use std::sync::LazyLock;

/// A path to one value of a session: `Subject`, or `Extra` and member names or array indexes, joined by dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPath {
    /// The first is `Subject` or `Extra`; after `Extra` there is at least one more.
    segments: Vec<String>,
}

impl SessionPath {
    /// Returns the path `Subject`.
    pub fn subject() -> Self {
        Self { segments: vec!["Subject".to_owned()] }
    }

    /// Returns `Extra.active`, the member of a Kratos session that is `false` once it is revoked.
    pub fn active() -> &'static Self {
        static ACTIVE: LazyLock<SessionPath> =
            LazyLock::new(|| SessionPath { segments: vec!["Extra".to_owned(), "active".to_owned()] });
        &ACTIVE
    }

    /// Parses `Subject` or `Extra.a.b`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_member = |name: &str| !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control());
        let is_path = match text.strip_prefix("Extra.") {
            Some(members) => members.split('.').all(is_member),
            None => text == "Subject",
        };
        is_path.then(|| Self { segments: text.split('.').map(str::to_owned).collect() })
    }

    /// Returns `true` for `Subject`.
    pub fn is_subject(&self) -> bool {
        self.segments.len() == 1
    }

    /// Returns the member names below `Extra`; none for `Subject`.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().skip(1).map(String::as_str)
    }
}

impl fmt::Display for SessionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segments.join("."))
    }
}
