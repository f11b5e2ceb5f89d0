//! Certificates of a key (`x5c`, RFC 7517 section 4.7): published unchanged, after a check that they are certificates and
//! nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::x509::X509;

use super::material::Material;
use crate::json::Json;

/// Returns the certificates in `x5c`, and none if there is no `x5c`. The first certificate must be for the key of
/// `material`.
///
/// # Errors
/// Returns the reason why they cannot be published: the expected and the found value.
pub(super) fn certificates(x5c: Option<&Json<'_>>, material: &Material) -> Result<Vec<String>, String> {
    let Some(x5c) = x5c else { return Ok(Vec::new()) };
    let Json::Array(x5c) = x5c else { return Err(format!("expected an array, found {}", x5c.kind())) };
    let mut texts = Vec::with_capacity(x5c.len());
    for (index, text) in x5c.iter().enumerate() {
        let text = text.as_str().ok_or_else(|| format!("expected x5c[{index}] to be a string, found another type"))?;
        let certificate = certificate(text).ok_or_else(|| {
            format!("expected x5c[{index}] to be a certificate in DER, in base64 with padding, found text that is not")
        })?;
        if index == 0 && certificate.public_key().ok().and_then(|key| Material::of_key(&key)).as_ref() != Some(material)
        {
            return Err("expected the first certificate to be for the key, found one for another key".to_owned());
        }
        texts.push(text.to_owned());
    }
    if texts.is_empty() { Err("expected at least one certificate, found none".to_owned()) } else { Ok(texts) }
}

/// Decodes a certificate. Returns `None` if bytes follow it, because they would be published unchecked.
fn certificate(text: &str) -> Option<X509> {
    let der = STANDARD.decode(text).ok()?;
    let certificate = X509::from_der(&der).ok()?;
    (certificate.to_der().ok()? == der).then_some(certificate)
}

#[cfg(test)]
mod tests {
    use super::super::{KeySet, import_pem};
    use super::*;

    const KEY: &[u8] = include_bytes!("../../tests/fixtures/pem/p256-pkcs8.pem");
    const CERTIFICATE: &str = include_str!("../../tests/fixtures/pem/certificate.pem");

    fn own() -> String {
        CERTIFICATE.lines().filter(|line| !line.starts_with('-')).collect()
    }

    fn parse(key: &[u8], x5c: &serde_json::Value) -> KeySet {
        let mut set: serde_json::Value = serde_json::from_str(import_pem(key, None, None).unwrap().to_set()).unwrap();
        set["keys"][0]["x5c"] = x5c.clone();
        KeySet::parse(set.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn certificates_of_the_key_are_published_as_they_stand() {
        for x5c in [serde_json::json!([own()]), serde_json::json!([own(), own()])] {
            let set = parse(KEY, &x5c);
            assert!(set.notes().is_empty(), "{:?}", set.notes());
            let published: serde_json::Value = serde_json::from_str(&set.public_set()).unwrap();
            assert_eq!(published["keys"][0]["x5c"], x5c);
            assert_eq!(published["keys"][0]["d"], serde_json::Value::Null);
        }
    }

    #[test]
    fn what_is_no_certificate_of_the_key_is_left_out_with_a_note_and_the_key_still_signs() {
        let der = STANDARD.decode(own()).unwrap();
        let with_more = STANDARD.encode([der.as_slice(), b"and more"].concat());
        let private =
            STANDARD.encode(openssl::pkey::PKey::private_key_from_pem(KEY).unwrap().private_key_to_der().unwrap());
        for (x5c, part) in [
            (serde_json::json!(own()), "an array, found a string"),
            (serde_json::json!([]), "at least one"),
            (serde_json::json!([own(), 7]), "x5c[1] to be a string"),
            (serde_json::json!(["AAAA"]), "x5c[0] to be a certificate"),
            (serde_json::json!([own(), with_more]), "x5c[1] to be a certificate"),
            (serde_json::json!([own(), private]), "x5c[1] to be a certificate"),
            (serde_json::json!([own().trim_end_matches('=').to_owned() + "\n"]), "x5c[0] to be a certificate"),
        ] {
            let set = parse(KEY, &x5c);
            assert!(set.notes()[0].contains(part) && set.notes()[0].contains("x5c is left out"), "{:?}", set.notes());
            assert!(!set.public_set().contains("x5c"));
        }
        let set = parse(include_bytes!("../../tests/fixtures/pem/ed25519-pkcs8.pem"), &serde_json::json!([own()]));
        assert!(set.notes()[0].contains("for another key"), "{:?}", set.notes());
        assert!(set.skipped().is_empty() && !set.public_set().contains("x5c"));
    }
}
