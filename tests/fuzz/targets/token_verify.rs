//! Any token and any JWK Set: verification never panics, and OpenSSL confirms whatever verifies.
//!
//! The first byte chooses the format of the rest. 0: a line with the token, then the JWK Set. Otherwise: a line with the
//! header, a line with the payload, then the JWK Set. One of [`KEYS`] signs, because no fuzzer guesses a signature.
#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use claimsmith::keys::{VerifiedToken, verify};
use claimsmith_fuzz::shown::{is_telling, occurrences};
use libfuzzer_sys::fuzz_target;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer, Verifier};
use serde_json::Value;

macro_rules! pem {
    ($name:literal) => {
        include_bytes!(concat!("../../fixtures/pem/", $name, ".pem"))
    };
}

/// The keys that sign. The seeds contain JWK Sets with their public keys.
static KEYS: LazyLock<Vec<PKey<Private>>> = LazyLock::new(|| {
    let pems: [&[u8]; 6] = [
        pem!("ed25519-pkcs8"),
        pem!("p256-pkcs8"),
        pem!("rsa-pkcs8"),
        pem!("p384-sec1-with-parameters"),
        pem!("p521-sec1"),
        pem!("secp256k1-pkcs8"),
    ];
    pems.map(|pem| PKey::private_key_from_pem(pem).expect("the fixtures are keys")).into()
});

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let mut lines = rest.splitn(if *choice == 0 { 2 } else { 3 }, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let token = match choice.checked_sub(1) {
        None => match std::str::from_utf8(line()) {
            Ok(token) => token.to_owned(),
            Err(_) => return,
        },
        Some(choice) => sign(choice, line(), line()),
    };
    let set = line();
    match verify(&token, set) {
        Ok(verified) => check_verified(&verified, &token, set),
        Err(error) => {
            let message = format!("{error} {error:?}");
            for part in token.split('.').map(str::as_bytes).filter(|part| is_telling(part)) {
                let is_shown = occurrences(message.as_bytes(), part) > 0 && occurrences(set, part) == 0;
                assert!(!is_shown, "the message shows a part of the token: {message}");
            }
        }
    }
});

/// Signs with one of [`KEYS`], or with HMAC and a public key of [`KEYS`] as the secret.
fn sign(choice: u8, header: &[u8], payload: &[u8]) -> String {
    let key = &KEYS[usize::from(choice) % KEYS.len()];
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let header: Value = serde_json::from_slice(header).unwrap_or_default();
    let alg = header["alg"].as_str().unwrap_or_default();
    let signature = if alg.starts_with("HS") {
        let secret = key.public_key_to_pem().expect("the keys have public keys");
        hmac(alg, &secret, signed.as_bytes())
    } else {
        asymmetric(alg, key, signed.as_bytes())
    };
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.expect("the keys sign")))
}

fn asymmetric(alg: &str, key: &PKey<Private>, signed: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    if key.id() == Id::ED25519 {
        return Signer::new_without_digest(key)?.sign_oneshot_to_vec(signed);
    }
    let mut signer = Signer::new(digest(alg), key)?;
    if key.id() == Id::RSA && alg.starts_with("PS") {
        signer.set_rsa_padding(Padding::PKCS1_PSS)?;
        signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
    }
    let signature = signer.sign_oneshot_to_vec(signed)?;
    if key.id() == Id::RSA {
        return Ok(signature);
    }
    let size = i32::try_from(key.bits().div_ceil(8)).expect("a small number");
    let parts = EcdsaSig::from_der(&signature)?;
    Ok([parts.r().to_vec_padded(size)?, parts.s().to_vec_padded(size)?].concat())
}

fn hmac(alg: &str, secret: &[u8], signed: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    Signer::new(digest(alg), &*PKey::hmac(secret)?)?.sign_oneshot_to_vec(signed)
}

fn digest(alg: &str) -> MessageDigest {
    match alg.get(2..5) {
        Some("384") => MessageDigest::sha384(),
        Some("512") => MessageDigest::sha512(),
        _ => MessageDigest::sha256(),
    }
}

/// Checks that a key of the set made the signature, with the algorithm in the header.
fn check_verified(verified: &VerifiedToken, token: &str, set: &[u8]) {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else { panic!("{} parts", parts.len()) };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("the parts are base64url");
    let signed = token[..header.len() + 1 + payload.len()].as_bytes();
    let header: Value = serde_json::from_slice(&decode(header)).expect("the header is JSON");
    let alg = verified.alg().as_str();
    assert_eq!(header["alg"], alg);
    assert!(header.get("crit").is_none(), "a critical extension is ignored");
    assert!(header.get("kid").is_none_or(|kid| kid == verified.kid().as_str()), "another key than the header's");
    assert_eq!(decode(payload), verified.claims().as_bytes());

    let set: Value = serde_json::from_slice(set).expect("the set is JSON");
    let keys = set["keys"].as_array().expect("the set has keys");
    let signed_it = |key: &&Value| {
        let has = |name: &str, value: &str| key.get(name).is_none_or(|found| found == value);
        has("kid", verified.kid().as_str())
            && has("alg", alg)
            && has("use", "sig")
            && confirms(key, alg, signed, &decode(signature)).unwrap_or(false)
    };
    assert!(keys.iter().any(|key| signed_it(&key)), "OpenSSL confirms no key of the set");
}

/// Returns `true` if OpenSSL verifies the signature with the JWK `key`, without any code of claimsmith or josekit.
fn confirms(key: &Value, alg: &str, signed: &[u8], signature: &[u8]) -> Option<bool> {
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok();
    let number = |name: &str| BigNum::from_slice(&bytes(name)?).ok();
    match (key["kty"].as_str()?, key["crv"].as_str(), alg) {
        ("oct", _, "HS256" | "HS384" | "HS512") => Some(hmac(alg, &bytes("k")?, signed).ok()? == signature),
        ("RSA", _, "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512") => {
            let rsa = Rsa::from_public_components(number("n")?, number("e")?).ok()?;
            verify_with_digest(alg, &PKey::from_rsa(rsa).ok()?, signed, signature).ok()
        }
        ("EC", Some(curve), _) => {
            let (curve, size) = match (curve, alg) {
                ("P-256", "ES256") => (Nid::X9_62_PRIME256V1, 32),
                ("secp256k1", "ES256K") => (Nid::SECP256K1, 32),
                ("P-384", "ES384") => (Nid::SECP384R1, 48),
                ("P-521", "ES512") => (Nid::SECP521R1, 66),
                _ => return None,
            };
            let group = EcGroup::from_curve_name(curve).ok()?;
            let key = EcKey::from_public_key_affine_coordinates(&group, &*number("x")?, &*number("y")?).ok()?;
            let (r, s) = signature.split_at_checked(size).filter(|(_, s)| s.len() == size)?;
            let (r, s) = (BigNum::from_slice(r).ok()?, BigNum::from_slice(s).ok()?);
            let der = EcdsaSig::from_private_components(r, s).ok()?.to_der().ok()?;
            verify_with_digest(alg, &PKey::from_ec_key(key).ok()?, signed, &der).ok()
        }
        ("OKP", Some("Ed25519"), "EdDSA") => {
            let key = PKey::public_key_from_raw_bytes(&bytes("x")?, Id::ED25519).ok()?;
            Verifier::new_without_digest(&key).ok()?.verify_oneshot(signature, signed).ok()
        }
        _ => None,
    }
}

fn verify_with_digest(alg: &str, key: &PKey<Public>, signed: &[u8], signature: &[u8]) -> Result<bool, ErrorStack> {
    let mut verifier = Verifier::new(digest(alg), key)?;
    if alg.starts_with("PS") {
        verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
        verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
    }
    verifier.verify_oneshot(signature, signed)
}
