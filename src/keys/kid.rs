//! Key IDs (`kid`, RFC 7517 section 4.5).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use uuid::Uuid;

use crate::escape;

/// The longest key ID in bytes. Names of keys in vaults, certificate thumbprints and SPIFFE IDs are shorter.
const LONGEST: usize = 256;

/// The ID of a key (`kid`). Never empty and at most 256 bytes. It has no characters that change the display of text,
/// because a `kid` is part of log lines, tables and token headers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

/// The reason why a text is not a key ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyIdError {
    /// The text is empty.
    #[error("expected a key ID of at least one character, found an empty one")]
    Empty,
    /// The text is too long.
    #[error("expected a key ID of at most {LONGEST} bytes, found {0}")]
    TooLong(usize),
    /// The text has a character that is not shown as itself.
    #[error("expected a key ID without control characters, found {0}")]
    Character(UnsafeCharacter),
}

/// A character that is not shown as itself. `Display` is its code point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsafeCharacter(char);

impl fmt::Display for UnsafeCharacter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "U+{:04X}", u32::from(self.0))
    }
}

impl KeyId {
    /// Parses `text` as a key ID.
    ///
    /// # Errors
    /// Returns [`KeyIdError`] if `text` is empty, too long, or has a character that is not shown as itself.
    pub fn parse(text: impl Into<String>) -> Result<Self, KeyIdError> {
        let text = text.into();
        match text.len() {
            0 => Err(KeyIdError::Empty),
            length if length > LONGEST => Err(KeyIdError::TooLong(length)),
            _ => match text.chars().find(|&char| escape::is_unsafe(char)) {
                Some(char) => Err(KeyIdError::Character(UnsafeCharacter(char))),
                None => Ok(Self(text)),
            },
        }
    }

    /// Returns the ID of a key with this SHA-256 thumbprint (RFC 7638 section 3).
    pub(super) fn from_thumbprint(digest: &[u8; 32]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(digest))
    }

    /// Returns the ID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Uuid> for KeyId {
    fn from(id: Uuid) -> Self {
        Self(id.to_string())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_could_forge_a_line_is_not_a_key_id() {
        for (text, found) in [
            ("a\nb", "expected a key ID without control characters, found U+000A"),
            ("\u{1b}[31m", "expected a key ID without control characters, found U+001B"),
            ("a\u{9b}1m", "expected a key ID without control characters, found U+009B"),
            ("a\u{202e}b", "expected a key ID without control characters, found U+202E"),
        ] {
            assert_eq!(KeyId::parse(text).unwrap_err().to_string(), found);
        }
        let long = KeyId::parse("k".repeat(500_000)).unwrap_err().to_string();
        assert_eq!(long, "expected a key ID of at most 256 bytes, found 500000");
    }

    #[test]
    fn empty_text_is_not_a_key_id() {
        assert_eq!(KeyId::parse(""), Err(KeyIdError::Empty));
        assert_eq!(KeyId::parse("k").unwrap().as_str(), "k");
        assert_eq!(KeyId::parse("ü/".repeat(85)).unwrap().as_str().len(), 255);
        assert_eq!(KeyId::from(Uuid::nil()).as_str(), "00000000-0000-0000-0000-000000000000");
    }
}
