//! `GET /.well-known/jwks.json` and `GET /{profile}/.well-known/jwks.json`: public keys (RFC 7517 section 5).

use super::conditional::cacheable;
use super::exchange::{Answer, Call};
use crate::service::{PublishedProfiles, Refusal};

/// Responds with the public keys of all profiles.
pub(super) async fn all(call: Call) -> Result<Answer, Refusal> {
    key_set(&call, PublishedProfiles::All)
}

/// Responds with the public keys of one profile.
pub(super) async fn of_profile(call: Call) -> Result<Answer, Refusal> {
    key_set(&call, PublishedProfiles::One(&call.profile()))
}

fn key_set(call: &Call, profiles: PublishedProfiles<'_>) -> Result<Answer, Refusal> {
    let keys: Vec<String> = call.edge.issuer.published_keys(&call.generation, profiles)?.into_iter().collect();
    let body = format!("{{\"keys\":[{}]}}", keys.join(","));
    Ok(cacheable(&call.request, "application/jwk-set+json", call.generation.jwks_max_age, body).into())
}
