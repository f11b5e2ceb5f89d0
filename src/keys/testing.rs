//! Shared test data: key IDs, claims and sets.

use std::time::Duration;

use super::{KeyId, KeySet, SignatureAlg, generate};
use crate::claims::{ClaimsSet, JwtId, PrivateClaims, Registered};
use crate::time::Timestamp;

pub(super) fn kid(text: &str) -> KeyId {
    KeyId::parse(text).unwrap()
}

/// Returns the claims of a token about `subject`.
pub(super) fn claims(subject: &str) -> ClaimsSet {
    let issued_at = Timestamp::from_seconds(1_800_000_000);
    let registered = Registered {
        issuer: "https://id.example.org/",
        subject,
        audience: None,
        issued_at,
        expires_at: issued_at.after(Duration::from_secs(900)),
        jwt_id: JwtId::new(uuid::Uuid::nil()),
        scope: None,
        actor: None,
    };
    ClaimsSet::new(&PrivateClaims::parse("{}", None).unwrap(), &registered)
}

/// Returns a set with one new key.
pub(super) fn signing_set(alg: SignatureAlg, id: &str) -> KeySet {
    KeySet::parse(generate(alg, None, &kid(id)).unwrap().to_set().as_bytes()).unwrap()
}
