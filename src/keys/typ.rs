//! Token types (the `typ` header parameter, RFC 7515 section 4.1.9).

use std::borrow::Cow;
use std::fmt;

/// The type of a token: the `typ` parameter of its header.
///
/// A verifier that checks `typ` rejects tokens that were issued for another purpose (RFC 8725 section 3.11). The value is
/// a media type without parameters, such as `at+jwt` or `application/at+jwt`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenType(Cow<'static, str>);

/// The longest type or subtype name (RFC 6838 section 4.2).
const LONGEST_NAME: usize = 127;

impl TokenType {
    /// The default type, `JWT` (RFC 7519 section 5.1).
    pub const JWT: Self = Self(Cow::Borrowed("JWT"));

    /// Parses a media type; the part before the slash can be absent.
    ///
    /// Returns `None` unless each name is a restricted name of RFC 6838 section 4.2, whose characters need no escape in
    /// JSON.
    pub fn parse(text: &str) -> Option<Self> {
        let (media_type, subtype) = text.split_once('/').map_or((None, text), |(first, rest)| (Some(first), rest));
        let is_valid = media_type.is_none_or(is_restricted_name) && is_restricted_name(subtype);
        is_valid.then(|| Self(Cow::Owned(text.to_owned())))
    }

    /// Returns the value of the `typ` parameter.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TokenType {
    fn default() -> Self {
        Self::JWT
    }
}

impl fmt::Display for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Returns `true` if `text` is a `restricted-name` of RFC 6838 section 4.2.
fn is_restricted_name(text: &str) -> bool {
    text.len() <= LONGEST_NAME
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_token_types() {
        for text in ["JWT", "at+jwt", "application/at+jwt", "a", "vnd.example.v1+jwt"] {
            assert_eq!(TokenType::parse(text).unwrap().as_str(), text);
        }
        assert_eq!(TokenType::parse("JWT"), Some(TokenType::default()));
        assert_eq!(TokenType::parse(&"a".repeat(127)).unwrap().as_str().len(), 127);
    }

    #[test]
    fn other_text_is_not_a_token_type() {
        for text in
            ["", "/", "a/", "/a", "a/b/c", "+jwt", "at jwt", "at+jwt; v=1", "at\"jwt", "at\\jwt", "at\njwt", "jwé"]
        {
            assert_eq!(TokenType::parse(text), None, "{text}");
        }
        assert_eq!(TokenType::parse(&"a".repeat(128)), None);
        assert_eq!(TokenType::parse(&format!("{}/a", "a".repeat(128))), None);
    }
}
