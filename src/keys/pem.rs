//! Imports private keys from PEM files (RFC 7468): PKCS#8, PKCS#1 and SEC 1, as OpenSSL writes them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use josekit::jwk::Jwk;
use openssl::pkey::{Id, PKey, Private};
use thiserror::Error;
use zeroize::Zeroizing;

use super::alg::{self, SignatureAlg};
use super::generate::{GeneratedKey, write_set};
use super::kid::KeyId;
use super::material::{Material, is_product};
use super::ring::{KeySet, KeySetError};

/// The reason why a PEM file cannot be imported. Never quotes the file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PemError {
    /// The key cannot have the requested algorithm.
    #[error("expected an algorithm that the key can have ({}), found {found}", alg::names(expected))]
    Algorithm {
        /// The algorithms that the key can have.
        expected: Vec<SignatureAlg>,
        /// The requested algorithm.
        found: SignatureAlg,
    },
    /// The file has a certificate, but no key.
    #[error(
        "expected a private key, found a certificate, which has the public half only; give the key file that belongs to it"
    )]
    Certificate,
    /// The key is encrypted.
    #[error(
        "expected a private key without a passphrase, found an encrypted one; \
         decrypt it first: openssl pkey -in FILE -out key.pem"
    )]
    Encrypted,
    /// No supported algorithm signs with keys of this type.
    #[error(
        "expected a key of type RSA, EC on P-256, P-384, P-521 or secp256k1, or Ed25519, found {0}; \
         generate one that can sign with `claimsmith keys generate`"
    )]
    KeyType(&'static str),
    /// The file has no PEM of keys or certificates.
    #[error("expected a private key in PEM, text with the line -----BEGIN PRIVATE KEY-----, found {0}")]
    NoPem(NoPem),
    /// The file has a public key, but no private one.
    #[error("expected a private key, found a public one; give the file whose first line ends in PRIVATE KEY-----")]
    PublicKey,
    /// The RSA key is restricted to RSASSA-PSS, which a JWK cannot express.
    #[error(
        "expected an RSA key for any use, found one that is restricted to RSASSA-PSS; \
         generate one for PS256 with `claimsmith keys generate --alg PS256`"
    )]
    Restricted,
    /// The RSA key has this number of bits.
    #[error(
        "expected an RSA key of 2048 to 16384 bits, found {0}; generate one with `claimsmith keys generate --alg RS256`"
    )]
    RsaBits(u32),
    /// The file has this number of private keys.
    #[error("expected one private key, found {0}; give each key a file of its own")]
    SeveralKeys(usize),
    /// The file has a private key in PEM that cannot be decoded.
    #[error(
        "expected a private key in PEM, found its first line and content that is not a key; \
         compare with the original: openssl pkey -in FILE -noout"
    )]
    Unreadable,
    /// The key was decoded, but does not sign.
    #[error("expected a key that signs, found one that does not: {0}")]
    Unusable(KeySetError),
}

/// The content of a file that is not PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPem {
    /// Bytes that look like DER.
    Der,
    /// JSON.
    Json,
    /// PEM that is neither a key nor a certificate.
    OtherPem,
    /// Anything else.
    Other,
}

impl fmt::Display for NoPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoPem::Der => "binary data, perhaps DER; convert it: openssl pkey -inform DER -in FILE -out key.pem",
            NoPem::Json => "JSON; a JWK Set can be used as it is",
            NoPem::OtherPem => "PEM of something else; give the file of the private key",
            NoPem::Other => "something else; give the file of the private key",
        })
    }
}

/// Imports the private key in `text` as a JWK Set. Skips certificates, public keys and parameters in the same file.
///
/// Without `alg`, an RSA key gets RS256; keys of other types have one algorithm each. Without `kid`, the key gets its
/// RFC 7638 thumbprint.
///
/// # Errors
/// Returns every variant of [`PemError`].
pub fn import_pem(text: &[u8], alg: Option<SignatureAlg>, kid: Option<&KeyId>) -> Result<GeneratedKey, PemError> {
    let blocks = blocks(text)?;
    let key = private_key(text, &blocks)?;
    let (jwk, material) = jwk(&key)?;
    let expected: Vec<_> = SignatureAlg::ALL.into_iter().filter(|alg| alg.key_type() == material.key_type()).collect();
    let alg = match alg {
        Some(found) if !expected.contains(&found) => return Err(PemError::Algorithm { expected, found }),
        Some(alg) => alg,
        None if expected.contains(&SignatureAlg::Rs256) => SignatureAlg::Rs256,
        None => *expected.first().ok_or(PemError::KeyType("another"))?,
    };
    let generated = match kid {
        Some(kid) => write_set(&jwk, kid, alg),
        None => write_set(&jwk, &material.thumbprint(), alg),
    };
    KeySet::parse(generated.to_set().as_bytes()).map_err(PemError::Unusable)?;
    Ok(generated)
}

/// A PEM block: its label, and the lines between its first and its last line.
struct Block<'t> {
    label: &'t str,
    lines: Vec<&'t [u8]>,
}

/// Returns the PEM blocks of `text`. Skips text around them, as RFC 7468 section 2 requires.
fn blocks(text: &[u8]) -> Result<Vec<Block<'_>>, PemError> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii) {
        let label = |opening: &str| {
            let line = std::str::from_utf8(line).ok()?;
            line.strip_prefix(opening)?.strip_suffix("-----")
        };
        match &mut open {
            None => open = label("-----BEGIN ").map(|label| Block { label, lines: Vec::new() }),
            Some(block) if label("-----END ") == Some(block.label) => blocks.extend(open.take()),
            Some(_) if line.starts_with(b"-----") => return Err(PemError::Unreadable),
            Some(block) => block.lines.push(line),
        }
    }
    if open.is_some() { Err(PemError::Unreadable) } else { Ok(blocks) }
}

/// Decodes the only private key among `blocks`.
fn private_key(text: &[u8], blocks: &[Block<'_>]) -> Result<PKey<Private>, PemError> {
    let private: Vec<_> = blocks.iter().filter(|block| block.label.ends_with("PRIVATE KEY")).collect();
    let block = match private.as_slice() {
        [] => return Err(without_private_key(text, blocks)),
        [block] => block,
        several => return Err(PemError::SeveralKeys(several.len())),
    };
    let is_encrypted = block.lines.iter().any(|line| line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED"));
    match block.label {
        _ if is_encrypted => return Err(PemError::Encrypted),
        "ENCRYPTED PRIVATE KEY" => return Err(PemError::Encrypted),
        "OPENSSH PRIVATE KEY" => {
            return Err(PemError::KeyType(
                "one in OpenSSH's own format (ssh-keygen -p -m PKCS8 -f COPY rewrites RSA and EC keys as PEM)",
            ));
        }
        _ => {}
    }
    let base64 = Zeroizing::new(block.lines.concat());
    let der = Zeroizing::new(STANDARD.decode(base64.as_slice()).map_err(|_| PemError::Unreadable)?);
    PKey::private_key_from_der(&der).map_err(|_| PemError::Unreadable)
}

/// Returns the error for a file without a private key.
fn without_private_key(text: &[u8], blocks: &[Block<'_>]) -> PemError {
    let has = |end: &str| blocks.iter().any(|block| block.label.ends_with(end));
    let first = text.trim_ascii_start().first();
    if has("PUBLIC KEY") {
        PemError::PublicKey
    } else if has("CERTIFICATE") {
        PemError::Certificate
    } else if !blocks.is_empty() {
        PemError::NoPem(NoPem::OtherPem)
    } else if first == Some(&b'{') {
        PemError::NoPem(NoPem::Json)
    } else if text.first() == Some(&0x30) && std::str::from_utf8(text).is_err() {
        PemError::NoPem(NoPem::Der)
    } else {
        PemError::NoPem(NoPem::Other)
    }
}

/// Returns the key as a JWK, and its public members.
fn jwk(key: &PKey<Private>) -> Result<(Jwk, Material), PemError> {
    let other = match key.id() {
        Id::EC => "one on another curve",
        Id::DH => "DH",
        Id::DSA => "DSA",
        Id::ED448 => "Ed448",
        Id::X25519 => "X25519, which agrees on keys and does not sign",
        Id::X448 => "X448, which agrees on keys and does not sign",
        Id::RSA_PSS => return Err(PemError::Restricted),
        Id::RSA if !(2048..=16384).contains(&key.bits()) => return Err(PemError::RsaBits(key.bits())),
        _ => "another",
    };
    let material = Material::of_key(key).ok_or(PemError::KeyType(other))?;
    let mut members: Vec<_> = material.members().into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    members.extend(private_members(key, &material)?);
    let map: serde_json::Map<_, _> =
        members.into_iter().map(|(name, value)| (name.to_owned(), serde_json::Value::String(value))).collect();
    Ok((Jwk::from_map(map).map_err(|_| PemError::Unreadable)?, material))
}

fn private_members(key: &PKey<Private>, material: &Material) -> Result<Vec<(&'static str, String)>, PemError> {
    let unreadable = |_| PemError::Unreadable;
    let encode = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(Zeroizing::new(bytes));
    match material {
        Material::Ec { crv, .. } => {
            let size = match *crv {
                "P-384" => 48,
                "P-521" => 66,
                _ => 32,
            };
            let key = key.ec_key().map_err(unreadable)?;
            Ok(vec![("d", encode(key.private_key().to_vec_padded(size).map_err(unreadable)?))])
        }
        Material::Okp { .. } => Ok(vec![("d", encode(key.raw_private_key().map_err(unreadable)?))]),
        Material::Rsa { .. } => {
            let key = key.rsa().map_err(unreadable)?;
            let (Some(p), Some(q), Some(dp), Some(dq), Some(qi)) =
                (key.p(), key.q(), key.dmp1(), key.dmq1(), key.iqmp())
            else {
                return Err(PemError::Unreadable);
            };
            if !is_product(key.n(), p, q).map_err(unreadable)? {
                return Err(PemError::KeyType("an RSA key that does not have two primes"));
            }
            Ok([("d", key.d()), ("p", p), ("q", q), ("dp", dp), ("dq", dq), ("qi", qi)]
                .map(|(name, number)| (name, encode(number.to_vec())))
                .to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, claims};
    use super::super::{TokenType, verify};
    use super::*;
    use crate::time::Timestamp;

    macro_rules! pem {
        ($name:literal) => {
            include_bytes!(concat!("../../tests/fixtures/pem/", $name, ".pem")).as_slice()
        };
    }

    const READABLE: [(&str, &[u8], SignatureAlg); 7] = [
        ("RSA in PKCS#8", pem!("rsa-pkcs8"), SignatureAlg::Rs256),
        ("RSA in PKCS#1", pem!("rsa-pkcs1"), SignatureAlg::Rs256),
        ("P-256 in PKCS#8", pem!("p256-pkcs8"), SignatureAlg::Es256),
        ("P-384 in SEC 1 after its parameters", pem!("p384-sec1-with-parameters"), SignatureAlg::Es384),
        ("P-521 in SEC 1", pem!("p521-sec1"), SignatureAlg::Es512),
        ("secp256k1 in PKCS#8", pem!("secp256k1-pkcs8"), SignatureAlg::Es256k),
        ("Ed25519 in PKCS#8", pem!("ed25519-pkcs8"), SignatureAlg::EdDsa),
    ];

    const REFUSED: [(&[u8], &str); 13] = [
        (pem!("brainpool"), "another curve"),
        (pem!("certificate"), "found a certificate"),
        (pem!("dsa"), "found DSA"),
        (pem!("ed448"), "found Ed448"),
        (pem!("encrypted-pkcs1"), "openssl pkey -in FILE"),
        (pem!("encrypted-pkcs8"), "openssl pkey -in FILE"),
        (pem!("public"), "found a public one"),
        (pem!("rsa-1024"), "found 1024"),
        (pem!("rsa-pss"), "--alg PS256"),
        (pem!("rsa-three-primes"), "two primes"),
        (pem!("x25519"), "does not sign"),
        (b"{\"keys\":[]}", "found JSON"),
        (b"\n", "found something else"),
    ];

    fn refused(text: &[u8]) -> PemError {
        import_pem(text, None, None).unwrap_err()
    }

    fn lines(text: &[u8]) -> Vec<&str> {
        std::str::from_utf8(text).unwrap().lines().collect()
    }

    #[test]
    fn every_form_that_openssl_writes_becomes_a_set_that_signs() {
        for (form, text, alg) in READABLE {
            let set = import_pem(text, None, None).unwrap_or_else(|error| panic!("{form}: {error}"));
            let keys = KeySet::parse(set.to_set().as_bytes()).unwrap();
            assert!(keys.skipped().is_empty() && keys.notes().is_empty(), "{form}");
            let key = keys.signer(Timestamp::from_seconds(0), None).unwrap();
            assert_eq!(key.alg(), alg, "{form}");
            let token = key.sign(&claims("zoe"), &TokenType::JWT).unwrap();
            assert_eq!(verify(token.as_str(), keys.public_set().as_bytes()).unwrap().kid(), key.kid(), "{form}");
        }
    }

    #[test]
    fn the_name_is_the_thumbprint_where_none_is_given() {
        let kid = |text, kid: Option<&KeyId>| {
            let set = import_pem(text, None, kid).unwrap();
            KeySet::parse(set.to_set().as_bytes()).unwrap().signing_keys().next().unwrap().kid().clone()
        };
        assert_eq!(kid(pem!("rsa-pkcs1"), None), kid(pem!("rsa-pkcs8"), None));
        assert_eq!(kid(pem!("rsa-pkcs1"), None).as_str().len(), 43);
        assert_eq!(kid(pem!("rsa-pkcs1"), Some(&testing::kid("2026-11"))).as_str(), "2026-11");
    }

    #[test]
    fn an_algorithm_that_the_key_can_have_is_taken_and_another_refused() {
        let set = import_pem(pem!("rsa-pkcs8"), Some(SignatureAlg::Ps384), None).unwrap();
        assert!(set.to_set().contains("\"PS384\""));
        let refused = |text, alg| import_pem(text, Some(alg), None).unwrap_err().to_string();
        let message = refused(pem!("p256-pkcs8"), SignatureAlg::Es384);
        assert!(message.contains("(ES256), found ES384"), "{message}");
        let message = refused(pem!("rsa-pkcs8"), SignatureAlg::Hs256);
        assert!(message.contains("(PS256, PS384, PS512, RS256, RS384, RS512), found HS256"), "{message}");
    }

    #[test]
    fn what_is_no_key_that_signs_is_refused_with_what_to_do() {
        for (text, part) in REFUSED {
            let message = refused(text).to_string();
            assert!(message.contains(part) && message.starts_with("expected "), "{part}: {message}");
        }
        let der = STANDARD.decode(lines(pem!("p256-pkcs8"))[1..4].concat()).unwrap();
        assert_eq!(refused(&der), PemError::NoPem(NoPem::Der));
        assert_eq!(refused(b""), PemError::NoPem(NoPem::Other));
        let parameters = lines(pem!("p384-sec1-with-parameters"))[..3].join("\n");
        assert_eq!(refused(parameters.as_bytes()), PemError::NoPem(NoPem::OtherPem));
        let openssh = b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
        assert!(refused(openssh).to_string().contains("ssh-keygen"));
    }

    #[test]
    fn one_key_among_other_things_is_found_and_two_are_not_chosen_between() {
        let bundle = [b"Bag Attributes\r\n", pem!("certificate"), pem!("p256-pkcs8"), pem!("public")].concat();
        let windows = std::str::from_utf8(&bundle).unwrap().replace('\n', "\r\n");
        assert_eq!(
            import_pem(windows.as_bytes(), None, None).unwrap().to_set(),
            import_pem(pem!("p256-pkcs8"), None, None).unwrap().to_set()
        );
        let two = [pem!("p256-pkcs8"), pem!("ed25519-pkcs8")].concat();
        assert_eq!(refused(&two), PemError::SeveralKeys(2));
    }

    #[test]
    fn a_file_that_was_cut_or_altered_is_unreadable() {
        let text = lines(pem!("rsa-pkcs8"));
        let without_end = text[..text.len() - 1].join("\n");
        let without_a_line = [&text[..5], &text[6..]].concat().join("\n");
        let with_another_end = without_end.clone() + "\n-----END RSA PRIVATE KEY-----";
        for text in [without_end, without_a_line, with_another_end] {
            assert_eq!(refused(text.as_bytes()), PemError::Unreadable);
        }
    }

    #[test]
    fn halves_that_do_not_belong_together_make_no_set() {
        let key = openssl::ec::EcKey::private_key_from_pem(pem!("p256-pkcs8")).unwrap();
        let other = openssl::ec::EcKey::generate(key.group()).unwrap();
        let mixed =
            openssl::ec::EcKey::from_private_components(key.group(), key.private_key(), other.public_key()).unwrap();
        let text = mixed.private_key_to_pem().unwrap();
        assert!(matches!(refused(&text), PemError::Unreadable | PemError::Unusable(_)));
    }

    #[test]
    fn whichever_byte_is_altered_there_is_a_set_that_signs_or_an_error() {
        for (form, text, _) in READABLE {
            // RSA keys are long and slow.
            let step = if form.starts_with("RSA") { 29 } else { 1 };
            let lines = lines(text);
            let begin = lines.iter().rposition(|line| line.starts_with("-----BEGIN")).unwrap();
            let der = STANDARD.decode(lines[begin + 1..lines.len() - 1].concat()).unwrap();
            for index in (0..der.len()).step_by(step) {
                for flip in [0x01, 0x80] {
                    let mut altered = der.clone();
                    altered[index] ^= flip;
                    let base64 = STANDARD.encode(altered);
                    let text = [lines[begin], &base64, lines[lines.len() - 1]].join("\n");
                    let unreadable = import_pem(text.as_bytes(), None, None).err().map(|error| error.to_string());
                    assert!(unreadable.is_none_or(|message| message.starts_with("expected ")), "{form}, byte {index}");
                }
            }
        }
    }

    #[test]
    fn no_error_shows_text_of_the_key() {
        let readable = READABLE.iter().flat_map(|(_, text, _)| {
            let lines = lines(text);
            let last = lines.len() - 1;
            // Each file without its last line, without one in the middle, and for an algorithm of another type.
            [lines[..last].join("\n"), [&lines[..2], &lines[3..]].concat().join("\n"), lines.join("\n")]
        });
        let refused = REFUSED.iter().map(|(text, _)| String::from_utf8_lossy(text).into_owned());
        for text in readable.chain(refused) {
            let Err(error) = import_pem(text.as_bytes(), Some(SignatureAlg::Hs512), None) else { continue };
            let shown = format!("{error} {error:?}");
            for line in text.lines().filter(|line| line.len() >= 16 && !line.starts_with("-----")) {
                for part in line.as_bytes().chunks_exact(8) {
                    assert!(!shown.contains(std::str::from_utf8(part).unwrap()), "{shown}");
                }
            }
        }
    }
}
