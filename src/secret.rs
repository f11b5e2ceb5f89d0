//! Secrets of callers: never shown, compared in constant time, erased when they go.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// A password or token. It has no `Display` and cannot be serialised; only [`Secret::matches`] looks at it.
#[derive(Clone)]
pub struct Secret {
    /// What is compared, so that neither content nor length of the secret shows in the time it takes.
    digest: [u8; 32],
    length: usize,
}

impl Secret {
    /// Takes over `bytes`, which are erased.
    pub fn new(mut bytes: Vec<u8>) -> Self {
        let secret = Self { digest: Sha256::digest(&bytes).into(), length: bytes.len() };
        bytes.zeroize();
        secret
    }

    /// Whether `presented` is this secret; the time it takes depends on `presented` alone.
    pub fn matches(&self, presented: &[u8]) -> bool {
        let presented = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(presented)));
        self.digest.ct_eq(&*presented).into()
    }

    /// How many bytes it has.
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
    fn a_secret_matches_itself_and_is_never_shown() {
        let secret = Secret::new(b"correct horse".to_vec());
        assert!(secret.matches(b"correct horse"));
        assert!(!secret.matches(b"correct horse "));
        assert!(!secret.matches(b""));
        assert_eq!(format!("{secret:?}"), "Secret([redacted])");
    }
}
