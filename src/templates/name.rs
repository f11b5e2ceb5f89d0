//! The name of a template.

use std::fmt;

/// The name of a template, which is the name of its directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateName(String);

impl TemplateName {
    /// Parses a name: up to 128 letters, digits, `_`, `-` and `.`, of which the first is a letter, a digit or `_`.
    pub fn parse(text: &str) -> Option<Self> {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let is_name = text.len() <= 128
            && text.bytes().all(is_inner)
            && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_');
        is_name.then(|| Self(text.to_owned()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TemplateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
