//! Caller secrets: never shown, compared in constant time, erased when they are dropped.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A password or token, from the configuration or from a request. It has no `Display` and cannot be serialized. `==`
/// takes constant time.
#[derive(Clone)]
pub struct Secret {
    /// Compared instead of the secret, so that the time depends neither on its content nor on its length.
    digest: [u8; 32],
    length: usize,
}

impl Secret {
    /// Returns the secret `bytes`, and erases them.
    pub fn new(mut bytes: Vec<u8>) -> Self {
        let secret = Self { digest: Sha256::digest(&bytes).into(), length: bytes.len() };
        bytes.zeroize();
        secret
    }

    /// Returns the length in bytes.
    pub(crate) fn length(&self) -> usize {
        self.length
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.digest.ct_eq(&other.digest).into()
    }
}

impl Eq for Secret {}

impl Drop for Secret {
    fn drop(&mut self) {
        self.digest.zeroize();
        self.length.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_matches_itself_and_is_never_shown() {
        let secret = Secret::new(b"correct horse".to_vec());
        assert_eq!(secret, Secret::new(b"correct horse".to_vec()));
        assert_ne!(secret, Secret::new(b"correct horse ".to_vec()));
        assert_ne!(secret, Secret::new(Vec::new()));
        assert_eq!(format!("{secret:?}"), "Secret([redacted])");
    }
}
