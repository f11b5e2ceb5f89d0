//! The settings of a `kratos` source.

use std::time::Duration;

use url::Url;

use super::extend::ExtendSpec;
use crate::json::MemberPath;
use crate::sources::CacheSpec;

/// The settings of a `kratos` source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KratosSpec {
    /// The URL of the public API.
    pub public: Url,
    /// The names of session cookies; not empty.
    pub cookies: Vec<CookieName>,
    /// The path of the subject in the session.
    pub subject: MemberPath,
    /// The time for one call.
    pub timeout: Duration,
    /// Whether and how long sessions are cached.
    pub cache: Option<CacheSpec>,
    /// Whether and when sessions are extended.
    pub extend: Option<ExtendSpec>,
}

impl KratosSpec {
    /// Returns `true` if `other` gets the same answers and caches them in the same way. A rotated secret makes no difference.
    pub(super) fn has_answers_of(&self, other: &Self) -> bool {
        let Self { public, cookies, subject, timeout: _, cache, extend: _ } = self;
        *public == other.public && *cookies == other.cookies && *subject == other.subject && *cache == other.cache
    }
}

/// The name of a session cookie, or the beginning of such names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieName {
    text: String,
    is_prefix: bool,
}

impl CookieName {
    /// Parses a name, or the beginning of names before a `*`, as in `ory_session_*`.
    pub fn parse(text: &str) -> Option<Self> {
        let prefix = text.strip_suffix('*');
        let name = prefix.unwrap_or(text);
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte);
        (!name.is_empty() && name.len() <= 128 && name.bytes().all(is_token))
            .then(|| Self { text: name.to_owned(), is_prefix: prefix.is_some() })
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        if self.is_prefix { name.starts_with(&self.text) } else { name == self.text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_names_can_end_with_a_star() {
        for (text, name, expected) in
            [("a", "a", true), ("a", "ab", false), ("a*", "ab", true), ("a*", "a", true), ("a*", "ba", false)]
        {
            assert_eq!(CookieName::parse(text).unwrap().matches(name), expected, "{text} {name}");
        }
        for wrong in ["", "*", "a b", "a;b", "a=b", "a*b", "é"] {
            assert_eq!(CookieName::parse(wrong), None, "{wrong}");
        }
    }
}
