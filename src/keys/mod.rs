//! Keys: JWK Sets in (RFC 7517), signatures out (RFC 7515), public halves for verifiers.
//!
//! A [`KeySet`] is parsed from bytes and proven: every private key has signed something that its own public half
//! verified. Which key signs is a pure function of the set and the time, and a token's `kid` is that of the
//! [`SigningKey`] that signed it, because no other way to write one exists. Private material can be signed with and
//! nothing else: no type here serialises it, and none shows it in `Debug`. josekit, openssl and
//! aws-lc-rs stop at this module.
//!
//! ```
//! use claimsmith::keys::{self, KeyId, KeySet, SignatureAlg};
//! use claimsmith::time::Timestamp;
//!
//! let key = keys::generate(SignatureAlg::Es256, None, &KeyId::new("2026-11")).unwrap();
//! let set = KeySet::parse(key.to_set().as_bytes()).unwrap();
//! let signer = set.signer(Timestamp::from_seconds(0), None).unwrap();
//! let token = signer.sign(r#"{"sub":"zoe"}"#).unwrap();
//! let verified = keys::verify(token.as_str(), set.public_set().as_bytes()).unwrap();
//! assert_eq!(verified.claims(), r#"{"sub":"zoe"}"#);
//! ```

mod alg;
mod edit;
mod generate;
mod jwk;
mod jws;
mod material;
mod pem;
mod primitive;
mod ring;
#[cfg(test)]
mod vectors;
mod x5c;

pub use alg::SignatureAlg;
pub use edit::{
    AddedKey, CLOCK_SKEW, EditError, KeySetText, PolicyError, Rotation, RotationPolicy, add_key, replace_keys, rotate,
};
pub use generate::{GenerateError, GeneratedKey, generate};
pub use jwk::{KeyId, PublicJwk, SigningKey};
pub use jws::{CompactJws, SignError, TimeError, VerifiedToken, VerifyError, check_times, verify};
pub use pem::{NoPem, PemError, import_pem};
pub use ring::{KeySet, KeySetError, KeyState, NoSigner, SkippedKey};
