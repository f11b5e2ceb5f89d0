//! Tests with the examples of the RFCs. `tests/fixtures/vectors.json` has their keys, tokens and thumbprints, byte for byte.
//! Each set has the name of the section that its keys are from. Keys without a `kid` get one if a test needs it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::testing::claims;
use super::{KeySet, KeySetError, SigningKey, TokenType, verify};

fn vectors() -> serde_json::Value {
    serde_json::from_str(include_str!("../../tests/fixtures/vectors.json")).unwrap()
}

fn text(kind: &str, name: &str) -> String {
    vectors()[kind][name].as_str().unwrap_or_else(|| panic!("no {name} in {kind}")).to_owned()
}

/// Returns the set `name`, with the text `members` added to its first key.
fn set(name: &str, members: &[(&str, &str)]) -> String {
    let mut set = vectors()["sets"][name].take();
    for (member, value) in members {
        set["keys"][0][member] = (*value).into();
    }
    set.to_string()
}

/// Calls `test` with the only key in `set` that signs.
fn with_signing_key<T>(set: &str, test: impl FnOnce(&SigningKey) -> T) -> T {
    let set = KeySet::parse(set.as_bytes()).unwrap();
    let keys: Vec<_> = set.signing_keys().collect();
    assert_eq!(keys.len(), 1);
    test(keys[0])
}

/// Returns the reasons why no member of `set` signs.
fn skipped(set: &str) -> Vec<String> {
    match KeySet::parse(set.as_bytes()).unwrap_err() {
        KeySetError::NoSigningKey { skipped, .. } => skipped.iter().map(ToString::to_string).collect(),
        error => panic!("{error}"),
    }
}

/// Splits `token` into its signing input and its signature.
fn split(token: &str) -> (&str, Vec<u8>) {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    (signed, URL_SAFE_NO_PAD.decode(signature).unwrap())
}

#[test]
fn the_tokens_of_the_standards_verify_and_fail_when_altered() {
    for (token, key, alg, part) in [
        ("rfc7515-a2", "rfc7515-a2", "RS256", "\"joe\""),
        ("rfc7515-a4", "rfc7515-a4", "ES512", "Payload"),
        ("rfc7520-4.1", "rfc7520-3.3", "RS256", "no knowing where"),
        ("rfc7520-4.2", "rfc7520-3.3", "PS384", "no knowing where"),
        ("rfc7520-4.3", "rfc7520-3.1", "ES512", "no knowing where"),
        ("rfc7520-4.4", "rfc7520-3.5", "HS256", "no knowing where"),
        ("rfc8037-a4", "rfc8037-a2", "EdDSA", "Example of Ed25519"),
    ] {
        // Without `alg`, the RSA key of the set would get RS256 instead of PS384.
        let mut members = vec![("alg", alg)];
        if token == "rfc8037-a4" {
            members.push(("kid", "a2"));
        }
        let set = set(key, &members);
        let token = text("tokens", token);
        let verified = verify(&token, set.as_bytes()).unwrap_or_else(|error| panic!("{key}: {error}"));
        assert_eq!(verified.alg().as_str(), alg);
        assert!(verified.claims().contains(part), "{key}");
        let (signed, mut signature) = split(&token);
        signature[7] ^= 1;
        let altered = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert!(verify(&altered, set.as_bytes()).is_err(), "{key}");
    }
}

#[test]
fn deterministic_algorithms_make_the_signatures_of_the_standards() {
    for (token, key, members) in [
        ("rfc7515-a2", "rfc7515-a2", [].as_slice()),
        ("rfc7520-4.1", "rfc7520-3.4", &[]),
        ("rfc7520-4.4", "rfc7520-3.5", &[]),
        ("rfc8037-a4", "rfc8037-a1", &[("kid", "a1")]),
    ] {
        let token = text("tokens", token);
        let (signed, signature) = split(&token);
        with_signing_key(&set(key, members), |key| {
            assert_eq!(key.signer().sign(signed.as_bytes()).unwrap(), signature, "{token}");
        });
    }
}

#[test]
fn private_keys_of_the_standards_sign_what_their_public_halves_verify() {
    for (private, public) in
        [("rfc7517-a2", "rfc7517-a1"), ("rfc7520-3.2", "rfc7520-3.1"), ("rfc7520-3.4", "rfc7520-3.3")]
    {
        let token = with_signing_key(&set(private, &[]), |key| key.sign(&claims("zoe"), &TokenType::JWT).unwrap());
        assert!(verify(token.as_str(), set(public, &[]).as_bytes()).is_ok(), "{private}");
    }
}

#[test]
fn keys_for_encryption_and_public_keys_do_not_sign() {
    // The first key of RFC 7517 A.1 and A.2, and the key of RFC 7520 section 3.6, are for encryption.
    let reasons = skipped(&set("rfc7517-a1", &[]));
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].contains("(kid \"1\")") && reasons[0].contains("`use` to be \"sig\""), "{reasons:?}");
    let private = KeySet::parse(set("rfc7517-a2", &[]).as_bytes()).unwrap();
    assert_eq!(private.skipped().iter().map(|key| key.index).collect::<Vec<_>>(), [0]);
    assert!(skipped(&set("rfc7520-3.6", &[]))[0].contains("`use` to be \"sig\""));
    for public in ["rfc7520-3.1", "rfc7520-3.3", "rfc7517-b"] {
        assert!(skipped(&set(public, &[])).is_empty(), "{public}");
    }
}

#[test]
fn of_two_symmetric_keys_the_one_that_wraps_keys_is_passed_over() {
    let set = KeySet::parse(set("rfc7517-a3", &[]).as_bytes()).unwrap();
    assert_eq!(set.skipped()[0].index, 0);
    let key = set.signing_keys().next().unwrap();
    // A key of 64 bytes without `alg` gets HS512. RFC 7515 uses this key for HS256, but the set does not specify that.
    assert_eq!((key.kid().as_str(), key.alg().as_str()), ("HMAC key used in JWS A.1 example", "HS512"));
    assert!(set.notes()[0].contains("HS512"));
}

#[test]
fn the_certificate_in_rfc_7517_b_is_that_of_its_key() {
    let mut both = vectors()["sets"]["rfc7517-b"].take();
    let signing = vectors()["sets"]["rfc7520-3.2"]["keys"][0].take();
    both["keys"].as_array_mut().unwrap().push(signing);
    let set = KeySet::parse(both.to_string().as_bytes()).unwrap();
    let key = set.public_keys().next().unwrap();
    let published: serde_json::Value = serde_json::from_str(&key.to_json()).unwrap();
    assert_eq!(published["x5c"], both["keys"][0]["x5c"]);
    assert!(set.notes().iter().all(|note| !note.contains("x5c")), "{:?}", set.notes());
}

#[test]
fn a_key_without_a_name_is_offered_the_thumbprint_of_the_standards() {
    for (key, thumbprint) in [("rfc8037-a1", "rfc8037-a3"), ("rfc8037-a2", "rfc8037-a3")] {
        assert!(skipped(&set(key, &[]))[0].contains(&text("thumbprints", thumbprint)), "{key}");
    }
    // The key of RFC 7638 section 3.1 is the second one of RFC 7517 A.1.
    let mut set = vectors()["sets"]["rfc7517-a1"].take();
    set["keys"][1].as_object_mut().unwrap().remove("kid");
    assert!(skipped(&set.to_string())[1].contains(&text("thumbprints", "rfc7638-3.1")));
}
