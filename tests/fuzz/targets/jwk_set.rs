//! Parses any bytes as a JWK Set: parsing never panics, signatures verify, and nothing private is shown or published.
#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use claimsmith_fuzz::claims::{ClaimsSet, JwtId, PrivateClaims, Registered};
use claimsmith_fuzz::keys::{KeySet, SignatureAlg, TokenType, VerifyingSet};
use claimsmith_fuzz::time::{Timestamp, Ttl};
use libfuzzer_sys::fuzz_target;

const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];
const PUBLISHED: [&str; 10] = ["alg", "crv", "e", "kid", "kty", "n", "use", "x", "x5c", "y"];
const TIMES: [i64; 3] = [0, 1_800_000_000, i64::MAX];

fuzz_target!(|data: &[u8]| {
    let mut shown = Vec::new();
    if let Ok(set) = VerifyingSet::parse(data, &SignatureAlg::ALL) {
        shown.push(format!("{set:?}"));
    }
    match KeySet::parse(data) {
        Err(error) => shown.extend([error.to_string(), format!("{error:?}")]),
        Ok(set) => {
            shown.push(format!("{set:?}"));
            shown.extend(set.notes().iter().cloned());
            shown.extend(set.skipped().iter().map(ToString::to_string));
            for now in TIMES.map(Timestamp::from_seconds) {
                let ttl = Ttl::new(Duration::from_secs(3600)).expect("an hour is a lifetime");
                let published: Vec<_> = set.published(now, ttl).iter().map(|key| key.to_json()).collect();
                shown.push(format!("{{\"keys\":[{}]}}", published.join(",")));
                check_published(shown.last().expect("it was pushed"));
                shown.extend(set.signer(now, None).err().map(|error| error.to_string()));
            }
            let public_set = set.public_set();
            check_published(&public_set);
            for key in set.signing_keys() {
                let token = key.sign(&claims(), &TokenType::JWT).expect("a verified key signs");
                let published = VerifyingSet::parse(public_set.as_bytes(), &SignatureAlg::ALL);
                let verified = published.expect("a published set is a JWK Set").verify(token.as_str());
                assert_eq!(verified.is_ok(), !key.alg().is_symmetric(), "{verified:?}");
                shown.push(format!("{key:?} {token:?} {verified:?}"));
            }
            shown.push(public_set);
        }
    }
    for (text, count) in private_texts(data) {
        // What stands anywhere else in the input too may be shown from there.
        if occurrences(data, text) == count {
            let shows = shown.iter().any(|shown| occurrences(shown.as_bytes(), text) > 0);
            assert!(!shows, "a private value is shown: {}", String::from_utf8_lossy(text));
        }
    }
});

fn claims() -> ClaimsSet {
    let registered = Registered {
        issuer: "i",
        subject: "s",
        audience: None,
        issued_at: Timestamp::from_seconds(0),
        expires_at: Timestamp::from_seconds(1),
        jwt_id: JwtId::new(Uuid::nil()),
        scope: None,
        actor: None,
    };
    ClaimsSet::new(&PrivateClaims::parse("{}", None).expect("an empty object is a set of claims"), &registered)
}

/// The texts that are values of private members, and how often, whether or not the input is JSON.
fn private_texts(data: &[u8]) -> BTreeMap<&[u8], usize> {
    let mut texts = BTreeMap::new();
    for name in PRIVATE {
        let name = format!("\"{name}\"").into_bytes();
        for start in (0..data.len()).filter(|start| data[*start..].starts_with(&name)) {
            let value = data[start + name.len()..].trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
            let Some(value) = value.and_then(|value| value.strip_prefix(b"\"")) else { continue };
            let text = value.split(|byte| matches!(byte, b'"' | b'\\')).next().unwrap_or_default();
            if is_telling(text) {
                *texts.entry(text).or_insert(0) += 1;
            }
        }
    }
    texts
}

/// Whether `text` can be a key's and nothing else's: no word of a message, and no run of one character.
fn is_telling(text: &[u8]) -> bool {
    let mut distinct = text.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    text.len() >= 16
        && distinct.len() >= 8
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
        && text.iter().any(u8::is_ascii_digit)
        && text.iter().any(u8::is_ascii_uppercase)
}

fn occurrences(data: &[u8], text: &[u8]) -> usize {
    // Byte by byte: libFuzzer would learn from a comparison of slices to write what is shown into the private values.
    let is_text = |window: &&[u8]| window.iter().zip(text).all(|(left, right)| left == right);
    data.windows(text.len()).filter(is_text).count()
}

/// A JWK Set of public keys: no symmetric ones, and no members but those that are meant to be published.
fn check_published(set: &str) {
    let set: serde_json::Value = serde_json::from_str(set).expect("what is published is JSON");
    for key in set["keys"].as_array().expect("what is published is a set") {
        let key = key.as_object().expect("a key is an object");
        assert!(key["kty"] != "oct", "a symmetric key is published");
        assert!(key.keys().all(|name| PUBLISHED.contains(&name.as_str())), "{:?}", key.keys());
    }
}
