//! Signatures by aws-lc-rs behind josekit's `JwsSigner`, because aws-lc-rs signs faster than OpenSSL: Ed25519, ES384 and
//! RSA-4096 in a third of the time. See `docs/performance.md`.
//!
//! josekit signs with keys that aws-lc-rs does not accept, such as RSA keys of more than 8192 bits.

use std::fmt;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};
use josekit::JoseError;
use josekit::jws::{JwsAlgorithm, JwsSigner};
use std::sync::Arc;
use zeroize::Zeroizing;

use super::alg::SignatureAlg;

/// Decodes a member of the key.
pub(super) type Bytes<'m> = &'m dyn Fn(&str) -> Option<Zeroizing<Vec<u8>>>;

/// An aws-lc-rs key for one algorithm.
#[derive(Clone)]
struct Primitive {
    alg: SignatureAlg,
    key: Arc<Key>,
}

enum Key {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Hmac(Box<hmac::Key>),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

/// Returns a signer for `alg` with the private key whose members `bytes` decodes. Returns `None` if aws-lc-rs does not
/// accept the key.
pub(super) fn signer(alg: SignatureAlg, bytes: Bytes<'_>) -> Option<Box<dyn JwsSigner>> {
    let key = match alg {
        SignatureAlg::EdDsa => Key::Ed25519(Ed25519KeyPair::from_seed_and_public_key(&bytes("d")?, &bytes("x")?).ok()?),
        SignatureAlg::Es256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, 32, bytes)?,
        SignatureAlg::Es256k => ecdsa(&ECDSA_P256K1_SHA256_FIXED_SIGNING, 32, bytes)?,
        SignatureAlg::Es384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, 48, bytes)?,
        SignatureAlg::Es512 => ecdsa(&ECDSA_P521_SHA512_FIXED_SIGNING, 66, bytes)?,
        SignatureAlg::Hs256 => hmac(hmac::HMAC_SHA256, bytes)?,
        SignatureAlg::Hs384 => hmac(hmac::HMAC_SHA384, bytes)?,
        SignatureAlg::Hs512 => hmac(hmac::HMAC_SHA512, bytes)?,
        SignatureAlg::Ps256 => rsa(&RSA_PSS_SHA256, bytes)?,
        SignatureAlg::Ps384 => rsa(&RSA_PSS_SHA384, bytes)?,
        SignatureAlg::Ps512 => rsa(&RSA_PSS_SHA512, bytes)?,
        SignatureAlg::Rs256 => rsa(&RSA_PKCS1_SHA256, bytes)?,
        SignatureAlg::Rs384 => rsa(&RSA_PKCS1_SHA384, bytes)?,
        SignatureAlg::Rs512 => rsa(&RSA_PKCS1_SHA512, bytes)?,
    };
    Some(Box::new(Primitive { alg, key: Arc::new(key) }))
}

fn hmac(algorithm: hmac::Algorithm, bytes: Bytes<'_>) -> Option<Key> {
    Some(Key::Hmac(Box::new(hmac::Key::new(algorithm, &bytes("k")?))))
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, size: usize, bytes: Bytes<'_>) -> Option<Key> {
    let mut point = vec![4];
    point.extend_from_slice(&bytes("x")?);
    point.extend_from_slice(&bytes("y")?);
    let d = bytes("d")?;
    // RFC 7518 section 6.2.2.1 requires the full length, but some writers omit leading zeros.
    let mut padded = Zeroizing::new(vec![0; size.checked_sub(d.len())?]);
    padded.extend_from_slice(&d);
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, &padded, &point).ok().map(Key::Ecdsa)
}

fn rsa(encoding: &'static dyn RsaEncoding, bytes: Bytes<'_>) -> Option<Key> {
    let significant = |name: &str| {
        let bytes = bytes(name)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Some(Zeroizing::new(bytes[zeros..].to_vec()))
    };
    let (n, e) = (significant("n")?, significant("e")?);
    let (d, p, q, dp, dq, qi) = (bytes("d")?, bytes("p")?, bytes("q")?, bytes("dp")?, bytes("dq")?, bytes("qi")?);
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n: n.as_slice(), e: e.as_slice() },
        d: d.as_slice(),
        p: p.as_slice(),
        q: q.as_slice(),
        dP: dp.as_slice(),
        dQ: dq.as_slice(),
        qInv: qi.as_slice(),
    };
    Some(Key::Rsa(RsaKeyPair::from_components(&components).ok()?, encoding))
}

impl JwsSigner for Primitive {
    fn algorithm(&self) -> &dyn JwsAlgorithm {
        self
    }

    fn key_id(&self) -> Option<&str> {
        None
    }

    fn signature_len(&self) -> usize {
        match self.key.as_ref() {
            Key::Ecdsa(_) if self.alg == SignatureAlg::Es384 => 96,
            Key::Ecdsa(_) if self.alg == SignatureAlg::Es512 => 132,
            Key::Ecdsa(_) | Key::Ed25519(_) => 64,
            Key::Hmac(_) => self.alg.hash_bytes(),
            Key::Rsa(key, _) => key.public_modulus_len(),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, JoseError> {
        let failed = |error: Unspecified| JoseError::InvalidSignature(error.into());
        Ok(match self.key.as_ref() {
            Key::Ecdsa(key) => key.sign(&SystemRandom::new(), message).map_err(failed)?.as_ref().to_vec(),
            Key::Ed25519(key) => key.try_sign(message).map_err(failed)?.as_ref().to_vec(),
            Key::Hmac(key) => hmac::sign(key, message).as_ref().to_vec(),
            Key::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &SystemRandom::new(), message, &mut signature).map_err(failed)?;
                signature
            }
        })
    }

    fn box_clone(&self) -> Box<dyn JwsSigner> {
        Box::new(self.clone())
    }
}

impl JwsAlgorithm for Primitive {
    fn name(&self) -> &str {
        self.alg.as_str()
    }

    fn box_clone(&self) -> Box<dyn JwsAlgorithm> {
        Box::new(self.clone())
    }
}

impl fmt::Debug for Primitive {
    /// Shows the algorithm, but not the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Primitive").field("alg", &self.alg).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::generate;
    use super::super::jwk::{self, Member};
    use super::super::testing::kid;
    use super::*;

    #[test]
    fn every_algorithm_signs_through_aws_lc_and_openssl_verifies() {
        for alg in SignatureAlg::ALL {
            let generated = generate(alg, None, &kid("k")).unwrap();
            let members = jwk::members(generated.to_set().as_bytes()).unwrap();
            let Ok(Member::Signing(key)) = jwk::parse(&members[0], &mut Vec::new()) else {
                panic!("expected a private key")
            };
            assert!(format!("{:?}", key.signer()).starts_with("Primitive"), "josekit signs with {alg}");
            let signature = key.signer().sign(b"message").unwrap();
            assert_eq!(signature.len(), key.signer().signature_len(), "{alg}");
            let verifier = jwk::verifying_key(&members[0]).unwrap().verifier;
            assert!(verifier.verify(b"message", &signature).is_ok(), "{alg}");
            assert!(verifier.verify(b"massage", &signature).is_err(), "{alg}");
        }
    }
}
