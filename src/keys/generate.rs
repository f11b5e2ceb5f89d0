//! New keys, in the format of Oathkeeper's `credentials generate`: a JWK Set with one private key.

use std::fmt;

use josekit::jwk::Jwk;
use josekit::jwk::alg::ec::EcCurve;
use josekit::jwk::alg::ed::EdCurve;
use thiserror::Error;
use zeroize::Zeroizing;

use super::alg::SignatureAlg;
use super::kid::KeyId;
use crate::json;

/// A new private key. Its JWK Set, for a key file, is the only form in which it exposes private members.
pub struct GeneratedKey {
    set: Zeroizing<String>,
}

impl GeneratedKey {
    /// Returns the JWK Set with the private key, as the text of a key file.
    pub fn to_set(&self) -> &str {
        &self.set
    }
}

impl fmt::Debug for GeneratedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GeneratedKey([redacted])")
    }
}

/// The reason why no key was generated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GenerateError {
    /// Keys for the algorithm do not have this size.
    #[error("expected {expected} bits, found {found}")]
    Bits {
        /// The possible sizes.
        expected: &'static str,
        /// The requested size.
        found: u32,
    },
    /// The generator failed.
    #[error("the key generator failed")]
    Failed,
}

/// Generates a key for `alg` with the ID `kid`.
///
/// RSA keys have 2048 bits by default. HMAC keys have the size of the hash by default, and 1024 bits for HS512, as in
/// Oathkeeper. Keys for other algorithms have a fixed size.
///
/// # Errors
/// Returns [`GenerateError::Bits`] if keys for `alg` cannot have `bits`, and [`GenerateError::Failed`] if OpenSSL fails.
pub fn generate(alg: SignatureAlg, bits: Option<u32>, kid: &KeyId) -> Result<GeneratedKey, GenerateError> {
    let jwk = match alg {
        SignatureAlg::EdDsa => only(bits, 256, "256").map(|()| Jwk::generate_ed_key(EdCurve::Ed25519))?,
        SignatureAlg::Es256 => only(bits, 256, "256").map(|()| Jwk::generate_ec_key(EcCurve::P256))?,
        SignatureAlg::Es256k => only(bits, 256, "256").map(|()| Jwk::generate_ec_key(EcCurve::Secp256k1))?,
        SignatureAlg::Es384 => only(bits, 384, "384").map(|()| Jwk::generate_ec_key(EcCurve::P384))?,
        SignatureAlg::Es512 => only(bits, 521, "521").map(|()| Jwk::generate_ec_key(EcCurve::P521))?,
        SignatureAlg::Hs256 => Jwk::generate_oct_key(secret_bytes(bits.unwrap_or(256), 256)?),
        SignatureAlg::Hs384 => Jwk::generate_oct_key(secret_bytes(bits.unwrap_or(384), 384)?),
        SignatureAlg::Hs512 => Jwk::generate_oct_key(secret_bytes(bits.unwrap_or(1024), 512)?),
        SignatureAlg::Ps256
        | SignatureAlg::Ps384
        | SignatureAlg::Ps512
        | SignatureAlg::Rs256
        | SignatureAlg::Rs384
        | SignatureAlg::Rs512 => match bits.unwrap_or(2048) {
            bits @ 2048..=8192 if bits.is_multiple_of(8) => Jwk::generate_rsa_key(bits),
            found => return Err(GenerateError::Bits { expected: "a multiple of 8 from 2048 to 8192", found }),
        },
    }
    .map_err(|_| GenerateError::Failed)?;
    Ok(write_set(&jwk, kid, alg))
}

/// Returns a key file with the private key `jwk` only.
pub(super) fn write_set(jwk: &Jwk, kid: &KeyId, alg: SignatureAlg) -> GeneratedKey {
    let mut set = Zeroizing::new(String::with_capacity(4096));
    set.push_str("{\n  \"keys\": [\n    {\n      \"use\": \"sig\",\n      \"kty\": ");
    json::write_string(jwk.key_type(), &mut set);
    set.push_str(",\n      \"kid\": ");
    json::write_string(kid.as_str(), &mut set);
    set.push_str(",\n      \"alg\": ");
    json::write_string(alg.as_str(), &mut set);
    for name in ["crv", "x", "y", "n", "e", "d", "p", "q", "dp", "dq", "qi", "k"] {
        if let Some(value) = jwk.parameter(name).and_then(|value| value.as_str()) {
            set.push_str(",\n      ");
            json::write_string(name, &mut set);
            set.push_str(": ");
            json::write_string(value, &mut set);
        }
    }
    set.push_str("\n    }\n  ]\n}\n");
    GeneratedKey { set }
}

/// Checks that `bits`, if given, is the only possible `size`.
fn only(bits: Option<u32>, size: u32, expected: &'static str) -> Result<(), GenerateError> {
    match bits {
        Some(found) if found != size => Err(GenerateError::Bits { expected, found }),
        _ => Ok(()),
    }
}

/// Returns the length of a symmetric key of `bits`, of which there must be at least `least`.
fn secret_bytes(bits: u32, least: u32) -> Result<u8, GenerateError> {
    match u8::try_from(bits / 8) {
        Ok(bytes) if bits >= least && bits.is_multiple_of(8) => Ok(bytes),
        _ => Err(GenerateError::Bits { expected: "a multiple of 8 from the size of the hash to 2040", found: bits }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::kid;
    use super::*;

    #[test]
    fn impossible_key_sizes_are_rejected() {
        let refused = |alg, bits| generate(alg, Some(bits), &kid("k")).unwrap_err();
        for (alg, bits) in [
            (SignatureAlg::Rs256, 1024),
            (SignatureAlg::Rs256, 2049),
            (SignatureAlg::Es256, 384),
            (SignatureAlg::Hs256, 128),
            (SignatureAlg::Hs512, 4096),
        ] {
            assert!(matches!(refused(alg, bits), GenerateError::Bits { found, .. } if found == bits));
        }
        for (alg, bits) in [(SignatureAlg::Es256, 256), (SignatureAlg::Es384, 384), (SignatureAlg::Hs256, 256)] {
            assert!(generate(alg, Some(bits), &kid("k")).is_ok(), "{alg}");
        }
    }

    #[test]
    fn debug_of_a_generated_key_shows_no_key() {
        let key = generate(SignatureAlg::Hs256, None, &kid("k")).unwrap();
        let set: serde_json::Value = serde_json::from_str(key.to_set()).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains("GeneratedKey") && !shown.contains(set["keys"][0]["k"].as_str().unwrap()), "{shown}");
    }
}
