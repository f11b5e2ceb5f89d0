//! Any bytes as a JWK Set: reading never panics, signatures verify, and private values are never shown or published.
#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use claimsmith::keys::{KeySet, SignatureAlg, TokenType, VerifyingSet};
use claimsmith::time::{Timestamp, Ttl};
use claimsmith_fuzz::shown::{check_published, claims, is_telling, occurrences};
use libfuzzer_sys::fuzz_target;

const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];
const TIMES: [i64; 3] = [0, 1_800_000_000, i64::MAX];

fuzz_target!(|data: &[u8]| {
    let mut shown = Vec::new();
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
                let token = key.sign(&claims(), &TokenType::JWT).expect("a verified key pair signs");
                let published = VerifyingSet::parse(public_set.as_bytes(), &SignatureAlg::ALL);
                let verified = published.expect("a published set is a JWK Set").verify(token.as_str());
                assert_eq!(verified.is_ok(), !key.alg().is_symmetric(), "{verified:?}");
                shown.push(format!("{key:?} {token:?} {verified:?}"));
            }
            shown.push(public_set);
        }
    }
    for (text, count) in private_texts(data) {
        // A text that occurs elsewhere in the input too may be shown from there.
        if occurrences(data, text) == count {
            let shows = shown.iter().any(|shown| occurrences(shown.as_bytes(), text) > 0);
            assert!(!shows, "a private value is shown: {}", String::from_utf8_lossy(text));
        }
    }
});

/// Returns the values of private members and how often each occurs, even if the input is not JSON.
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
