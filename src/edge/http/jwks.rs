//! `GET /.well-known/jwks.json` and `GET /{profile}/.well-known/jwks.json`: public keys (RFC 7517 section 5).

use std::collections::BTreeSet;

use super::conditional::cacheable;
use super::exchange::{Answer, Call};
use crate::keys::PublicJwk;
use crate::service::Refusal;

/// Responds with the public keys of all profiles.
pub(super) async fn all(call: Call) -> Result<Answer, Refusal> {
    let (mint, now) = (&call.generation.mint, call.edge.issuer.now());
    let keys = mint.profiles().flat_map(|profile| mint.published(profile, now));
    Ok(key_set(&call, keys))
}

/// Responds with the public keys of one profile.
pub(super) async fn of_profile(call: Call) -> Result<Answer, Refusal> {
    let mint = &call.generation.mint;
    let profile = mint.profile(&call.profile()).ok_or_else(Refusal::unknown_profile)?;
    let keys = mint.published(profile, call.edge.issuer.now());
    Ok(key_set(&call, keys))
}

fn key_set(call: &Call, keys: impl IntoIterator<Item = PublicJwk>) -> Answer {
    // Sorted, so that the document changes only with the keys.
    let texts: BTreeSet<String> = keys.into_iter().map(|key| key.to_json()).collect();
    let texts: Vec<String> = texts.into_iter().collect();
    let body = format!("{{\"keys\":[{}]}}", texts.join(","));
    cacheable(&call.request, "application/jwk-set+json", call.generation.jwks_max_age, body).into()
}
