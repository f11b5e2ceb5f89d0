//! Signing: a verified key pair that signs a claims set as a compact JWS (RFC 7515 section 3.1).

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jws::{JwsSigner, JwsVerifier};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::alg::SignatureAlg;
use super::kid::KeyId;
use super::period::{KeyState, Period};
use super::public_jwk::PublicJwk;
use super::typ::TokenType;
use crate::claims::ClaimsSet;
use crate::json;
use crate::time::{Timestamp, Ttl};

/// A signed token. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct CompactJws(String);

impl CompactJws {
    /// Returns the compact serialization of the token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CompactJws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompactJws({} bytes)", self.0.len())
    }
}

/// A failed signature.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("key \"{kid}\" failed to sign")]
pub struct SignError {
    kid: KeyId,
}

/// The private and the public key of a member do not match.
#[derive(Debug)]
pub(super) struct PairMismatch;

/// A private key that matches its public key, as a test signature showed when it was loaded.
pub struct SigningKey {
    kid: KeyId,
    alg: SignatureAlg,
    period: Period,
    signer: Box<dyn JwsSigner>,
    /// The encoded header of tokens with the default type.
    default_header: String,
    public: Option<PublicJwk>,
    identity: [u8; 32],
    pace: Pace,
}

/// The shortest time that a signature of a key took, in nanoseconds.
#[derive(Debug)]
struct Pace(AtomicU64);

/// A key whose signatures take longer than this must not sign on the threads that serve requests.
const SLOW: Duration = Duration::from_millis(1);

/// The text that every key signs when it is loaded.
const PROBE: &[u8] = b"claimsmith proves at load that both halves of a key belong together";

impl SigningKey {
    /// Returns the key if `verifier` verifies a signature of `signer`.
    pub(super) fn verified(
        kid: KeyId,
        alg: SignatureAlg,
        period: Period,
        signer: Box<dyn JwsSigner>,
        verifier: &dyn JwsVerifier,
        public: Option<PublicJwk>,
    ) -> Result<Self, PairMismatch> {
        let probe = signer.sign(PROBE).map_err(|_| PairMismatch)?;
        verifier.verify(PROBE, &probe).map_err(|_| PairMismatch)?;
        let default_header = encoded_header(alg, &kid, &TokenType::JWT);
        let mut digest = Sha256::new_with_prefix(&default_header);
        digest.update(".");
        // A symmetric key has no public key, but its signature of the probe is always equal.
        digest.update(public.as_ref().map_or(probe, |public| public.material.to_json().into_bytes()));
        let identity = digest.finalize().into();
        Ok(Self { kid, alg, period, signer, default_header, public, identity, pace: Pace::default() })
    }

    /// Returns the key ID, which is in the header of every token of this key.
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// Returns the algorithm.
    pub fn alg(&self) -> SignatureAlg {
        self.alg
    }

    /// Returns a digest that identifies the key material, algorithm and `kid`.
    pub(crate) fn identity(&self) -> &[u8; 32] {
        &self.identity
    }

    /// Returns the public key. `None` for symmetric keys.
    pub fn public(&self) -> Option<&PublicJwk> {
        self.public.as_ref()
    }

    /// Returns the state at `now`.
    pub(crate) fn state(&self, now: Timestamp) -> KeyState {
        self.period.state(now)
    }

    /// Returns the time from which the key signs. `None` if it has no `nbf`.
    pub fn not_before(&self) -> Option<Timestamp> {
        self.period.not_before
    }

    /// Returns the time until which the key signs. `None` if it has no `exp`.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.period.expires_at
    }

    /// Returns the time until which the key is published. No token of the key may live longer than `longest_ttl`.
    /// `None` if the key has no `exp`.
    pub(crate) fn publication_end(&self, longest_ttl: Ttl) -> Option<Timestamp> {
        self.period.publication_end(longest_ttl)
    }

    /// Records the duration of a signature, for [`SigningKey::is_slow`].
    pub(crate) fn note_pace(&self, taken: Duration) {
        self.pace.0.fetch_min(u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns `true` if every recorded signature took longer than a millisecond, and `false` before the first one.
    pub(crate) fn is_slow(&self) -> bool {
        let shortest = self.pace.0.load(Ordering::Relaxed);
        shortest != u64::MAX && Duration::from_nanos(shortest) > SLOW
    }

    /// Signs `claims` as a token of type `typ`. The payload is the text of `claims`, byte for byte.
    ///
    /// # Errors
    /// Returns [`SignError`] if the cryptographic library fails.
    pub fn sign(&self, claims: &ClaimsSet, typ: &TokenType) -> Result<CompactJws, SignError> {
        let (header, payload) = (self.encoded_header(typ), claims.as_str());
        let signature_bytes = self.signer.signature_len();
        let mut token = String::with_capacity(header.len() + (payload.len() + signature_bytes) * 4 / 3 + 8);
        token.push_str(&header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = self.sign_bytes(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(CompactJws(token))
    }

    /// Returns the header of tokens of type `typ`, as JSON text.
    pub(crate) fn header(&self, typ: &TokenType) -> String {
        header(self.alg, &self.kid, typ)
    }

    /// Returns the length of the token that [`SigningKey::sign`] returns for these arguments, without signing.
    pub(crate) fn token_length(&self, claims: &ClaimsSet, typ: &TokenType) -> usize {
        let encoded = |bytes: usize| (bytes * 4).div_ceil(3);
        let header = self.encoded_header(typ).len();
        header + encoded(claims.as_str().len()) + encoded(self.signer.signature_len()) + "..".len()
    }

    /// Returns the signature of `bytes`. Private to this module, so that only a [`ClaimsSet`] can become a token.
    fn sign_bytes(&self, bytes: &[u8]) -> Result<Vec<u8>, SignError> {
        self.signer.sign(bytes).map_err(|_| SignError { kid: self.kid.clone() })
    }

    fn encoded_header(&self, typ: &TokenType) -> Cow<'_, str> {
        if *typ == TokenType::JWT {
            Cow::Borrowed(&self.default_header)
        } else {
            Cow::Owned(encoded_header(self.alg, &self.kid, typ))
        }
    }

    /// Returns the primitive that signs, for tests of signatures themselves.
    #[cfg(test)]
    pub(super) fn signer(&self) -> &dyn JwsSigner {
        self.signer.as_ref()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("alg", &self.alg).finish_non_exhaustive()
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

fn header(alg: SignatureAlg, kid: &KeyId, typ: &TokenType) -> String {
    let mut text = format!("{{\"alg\":\"{alg}\",\"kid\":");
    json::write_string(kid.as_str(), &mut text);
    text.push_str(",\"typ\":\"");
    // The characters of a token type need no escape.
    text.push_str(typ.as_str());
    text.push_str("\"}");
    text
}

fn encoded_header(alg: SignatureAlg, kid: &KeyId, typ: &TokenType) -> String {
    URL_SAFE_NO_PAD.encode(header(alg, kid, typ))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{claims, signing_set};
    use super::*;

    fn decoded_header(token: &CompactJws) -> String {
        let header = token.as_str().split('.').next().unwrap();
        String::from_utf8(URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
    }

    #[test]
    fn header_names_the_key_its_algorithm_and_the_token_type() {
        for alg in SignatureAlg::ALL {
            let set = signing_set(alg, "k\"1");
            let key = set.signing_keys().next().unwrap();
            let claims = claims("zoe");
            for typ in [TokenType::JWT, TokenType::parse("at+jwt").unwrap()] {
                let token = key.sign(&claims, &typ).unwrap();
                let expected = format!(r#"{{"alg":"{alg}","kid":"k\"1","typ":"{typ}"}}"#);
                assert_eq!((decoded_header(&token), key.header(&typ)), (expected.clone(), expected));
                assert_eq!(key.token_length(&claims, &typ), token.as_str().len(), "{alg}");
            }
        }
    }

    #[test]
    fn key_is_slow_only_if_every_signature_was() {
        let set = signing_set(SignatureAlg::EdDsa, "k");
        let key = set.signing_keys().next().unwrap();
        assert!(!key.is_slow());
        key.note_pace(Duration::from_millis(2));
        assert!(key.is_slow());
        key.note_pace(Duration::from_millis(1));
        assert!(!key.is_slow());
    }
}
