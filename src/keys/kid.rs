//! Key IDs (`kid`, RFC 7517 section 4.5).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use uuid::Uuid;

/// The ID of a key (`kid`). Never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

/// Why a text is not a key ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyIdError {
    /// The text is empty.
    #[error("expected a key ID of at least one character, found an empty one")]
    Empty,
}

impl KeyId {
    /// Parses `text` as a key ID.
    ///
    /// # Errors
    /// Returns [`KeyIdError::Empty`] if `text` is empty.
    pub fn parse(text: impl Into<String>) -> Result<Self, KeyIdError> {
        let text = text.into();
        if text.is_empty() { Err(KeyIdError::Empty) } else { Ok(Self(text)) }
    }

    /// Returns the ID that a SHA-256 thumbprint gives a key (RFC 7638 section 3).
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
    fn empty_text_is_not_a_key_id() {
        assert_eq!(KeyId::parse(""), Err(KeyIdError::Empty));
        assert_eq!(KeyId::parse("k").unwrap().as_str(), "k");
        assert_eq!(KeyId::from(Uuid::nil()).as_str(), "00000000-0000-0000-0000-000000000000");
    }
}
