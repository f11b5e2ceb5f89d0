//! Signature algorithms (RFC 7518 section 3.1, RFC 8037, RFC 8812): a closed list without `none`.

use std::fmt;

use josekit::JoseError;
use josekit::jwk::Jwk;
use josekit::jws::{self, JwsSigner, JwsVerifier};

/// A signature algorithm that claimsmith supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the standards' own")]
pub enum SignatureAlg {
    EdDsa,
    Es256,
    Es256k,
    Es384,
    Es512,
    Hs256,
    Hs384,
    Hs512,
    Ps256,
    Ps384,
    Ps512,
    Rs256,
    Rs384,
    Rs512,
}

impl SignatureAlg {
    /// All algorithms.
    pub const ALL: [SignatureAlg; 14] = [
        SignatureAlg::EdDsa,
        SignatureAlg::Es256,
        SignatureAlg::Es256k,
        SignatureAlg::Es384,
        SignatureAlg::Es512,
        SignatureAlg::Hs256,
        SignatureAlg::Hs384,
        SignatureAlg::Hs512,
        SignatureAlg::Ps256,
        SignatureAlg::Ps384,
        SignatureAlg::Ps512,
        SignatureAlg::Rs256,
        SignatureAlg::Rs384,
        SignatureAlg::Rs512,
    ];

    /// The names of [`SignatureAlg::ALL`], in the same order.
    pub const NAMES: [&str; 14] = [
        "EdDSA", "ES256", "ES256K", "ES384", "ES512", "HS256", "HS384", "HS512", "PS256", "PS384", "PS512", "RS256",
        "RS384", "RS512",
    ];

    /// Returns the value of `alg`.
    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Parses the value of `alg`, which is case-sensitive.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.as_str() == name)
    }

    /// Returns `true` if the verifying key can also sign. Such keys are never published.
    pub fn is_symmetric(self) -> bool {
        matches!(self, SignatureAlg::Hs256 | SignatureAlg::Hs384 | SignatureAlg::Hs512)
    }

    /// Returns the `kty` of the algorithm's keys, and their `crv` if they have one.
    pub(super) fn key_type(self) -> (&'static str, Option<&'static str>) {
        match self {
            SignatureAlg::EdDsa => ("OKP", Some("Ed25519")),
            SignatureAlg::Es256 => ("EC", Some("P-256")),
            SignatureAlg::Es256k => ("EC", Some("secp256k1")),
            SignatureAlg::Es384 => ("EC", Some("P-384")),
            SignatureAlg::Es512 => ("EC", Some("P-521")),
            SignatureAlg::Hs256 | SignatureAlg::Hs384 | SignatureAlg::Hs512 => ("oct", None),
            SignatureAlg::Ps256
            | SignatureAlg::Ps384
            | SignatureAlg::Ps512
            | SignatureAlg::Rs256
            | SignatureAlg::Rs384
            | SignatureAlg::Rs512 => ("RSA", None),
        }
    }

    /// Returns the length of its hash in bytes. An HMAC key must not be shorter (RFC 7518 section 3.2).
    pub(super) fn hash_bytes(self) -> usize {
        match self {
            SignatureAlg::Es384 | SignatureAlg::Hs384 | SignatureAlg::Ps384 | SignatureAlg::Rs384 => 48,
            SignatureAlg::EdDsa
            | SignatureAlg::Es512
            | SignatureAlg::Hs512
            | SignatureAlg::Ps512
            | SignatureAlg::Rs512 => 64,
            SignatureAlg::Es256
            | SignatureAlg::Es256k
            | SignatureAlg::Hs256
            | SignatureAlg::Ps256
            | SignatureAlg::Rs256 => 32,
        }
    }

    /// Returns a josekit signer.
    pub(super) fn signer(self, key: &Jwk) -> Result<Box<dyn JwsSigner>, JoseError> {
        Ok(match self {
            SignatureAlg::EdDsa => Box::new(jws::EdDSA.signer_from_jwk(key)?),
            SignatureAlg::Es256 => Box::new(jws::ES256.signer_from_jwk(key)?),
            SignatureAlg::Es256k => Box::new(jws::ES256K.signer_from_jwk(key)?),
            SignatureAlg::Es384 => Box::new(jws::ES384.signer_from_jwk(key)?),
            SignatureAlg::Es512 => Box::new(jws::ES512.signer_from_jwk(key)?),
            SignatureAlg::Hs256 => Box::new(jws::HS256.signer_from_jwk(key)?),
            SignatureAlg::Hs384 => Box::new(jws::HS384.signer_from_jwk(key)?),
            SignatureAlg::Hs512 => Box::new(jws::HS512.signer_from_jwk(key)?),
            SignatureAlg::Ps256 => Box::new(jws::PS256.signer_from_jwk(key)?),
            SignatureAlg::Ps384 => Box::new(jws::PS384.signer_from_jwk(key)?),
            SignatureAlg::Ps512 => Box::new(jws::PS512.signer_from_jwk(key)?),
            SignatureAlg::Rs256 => Box::new(jws::RS256.signer_from_jwk(key)?),
            SignatureAlg::Rs384 => Box::new(jws::RS384.signer_from_jwk(key)?),
            SignatureAlg::Rs512 => Box::new(jws::RS512.signer_from_jwk(key)?),
        })
    }

    /// Returns a josekit verifier.
    pub(super) fn verifier(self, key: &Jwk) -> Result<Box<dyn JwsVerifier>, JoseError> {
        Ok(match self {
            SignatureAlg::EdDsa => Box::new(jws::EdDSA.verifier_from_jwk(key)?),
            SignatureAlg::Es256 => Box::new(jws::ES256.verifier_from_jwk(key)?),
            SignatureAlg::Es256k => Box::new(jws::ES256K.verifier_from_jwk(key)?),
            SignatureAlg::Es384 => Box::new(jws::ES384.verifier_from_jwk(key)?),
            SignatureAlg::Es512 => Box::new(jws::ES512.verifier_from_jwk(key)?),
            SignatureAlg::Hs256 => Box::new(jws::HS256.verifier_from_jwk(key)?),
            SignatureAlg::Hs384 => Box::new(jws::HS384.verifier_from_jwk(key)?),
            SignatureAlg::Hs512 => Box::new(jws::HS512.verifier_from_jwk(key)?),
            SignatureAlg::Ps256 => Box::new(jws::PS256.verifier_from_jwk(key)?),
            SignatureAlg::Ps384 => Box::new(jws::PS384.verifier_from_jwk(key)?),
            SignatureAlg::Ps512 => Box::new(jws::PS512.verifier_from_jwk(key)?),
            SignatureAlg::Rs256 => Box::new(jws::RS256.verifier_from_jwk(key)?),
            SignatureAlg::Rs384 => Box::new(jws::RS384.verifier_from_jwk(key)?),
            SignatureAlg::Rs512 => Box::new(jws::RS512.verifier_from_jwk(key)?),
        })
    }
}

/// Returns the names of `algs`, separated by commas.
pub(super) fn names(algs: &[SignatureAlg]) -> String {
    algs.iter().map(|alg| alg.as_str()).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for SignatureAlg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_as_its_algorithm() {
        for alg in SignatureAlg::ALL {
            assert_eq!(SignatureAlg::parse(alg.as_str()), Some(alg));
            assert_eq!(format!("{alg:?}").to_uppercase(), alg.as_str().to_uppercase());
        }
    }
}
