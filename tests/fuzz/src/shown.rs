//! What messages must not show, and claims that mean nothing.

use claimsmith::claims::{ClaimsSet, JwtId, PrivateClaims, Registered};
use claimsmith::time::Timestamp;
use uuid::Uuid;

/// Returns `true` if `text` can only be a key or a signature: not a word of a message, and not a repeated character.
pub fn is_telling(text: &[u8]) -> bool {
    let mut distinct = text.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    text.len() >= 16
        && distinct.len() >= 8
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_+/=".contains(byte))
        && text.iter().any(u8::is_ascii_digit)
        && text.iter().any(u8::is_ascii_uppercase)
}

/// Counts the positions at which `text` occurs in `data`.
pub fn occurrences(data: &[u8], text: &[u8]) -> usize {
    // Compare byte by byte. From a comparison of slices, libFuzzer would learn to copy messages into private values.
    let is_text = |window: &&[u8]| window.iter().zip(text).all(|(left, right)| left == right);
    data.windows(text.len()).filter(is_text).count()
}

/// Checks that `set` is a JWK Set of public keys, without symmetric keys and without members that are not published.
///
/// # Panics
/// If it is not.
pub fn check_published(set: &str) {
    const PUBLISHED: [&str; 10] = ["alg", "crv", "e", "kid", "kty", "n", "use", "x", "x5c", "y"];
    let set: serde_json::Value = serde_json::from_str(set).expect("a published set is JSON");
    for key in set["keys"].as_array().expect("a published set has keys") {
        let key = key.as_object().expect("a key is an object");
        assert!(key["kty"] != "oct", "a symmetric key is published");
        assert!(key.keys().all(|name| PUBLISHED.contains(&name.as_str())), "{:?}", key.keys());
    }
}

/// Returns the claims of a token, which mean nothing.
pub fn claims() -> ClaimsSet {
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
