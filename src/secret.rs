//! Secrets of callers: never shown, compared in constant time, erased when they go.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A password or token, of the configuration or as it was presented. It has no `Display` and cannot be serialised; only
/// `==` looks at it, which takes the same time whatever it finds.
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
        assert_eq!(secret, Secret::new(b"correct horse".to_vec()));
        assert_ne!(secret, Secret::new(b"correct horse ".to_vec()));
        assert_ne!(secret, Secret::new(Vec::new()));
        assert_eq!(format!("{secret:?}"), "Secret([redacted])");
    }
}
