//! `GET /.well-known/openid-configuration` and the same of each profile: issuer and `jwks_uri` for verifiers that discover
//! them (OpenID Connect Discovery 1.0).

use std::collections::BTreeSet;

use serde::Serialize;

use super::conditional::cacheable;
use super::exchange::{Answer, Call};
use crate::code::ErrorCode;
use crate::mint::Profile;
use crate::service::Refusal;

/// The discovery document.
#[derive(Serialize)]
struct Document<'d> {
    issuer: &'d str,
    jwks_uri: String,
    id_token_signing_alg_values_supported: BTreeSet<&'d str>,
    response_types_supported: [&'d str; 1],
    subject_types_supported: [&'d str; 1],
}

/// Responds with the document of the only issuer; with several issuers, each profile has its own document.
pub(super) async fn all(call: Call) -> Result<Answer, Refusal> {
    let profiles: Vec<&Profile> = call.generation.mint.profiles().collect();
    let issuers: BTreeSet<&str> = profiles.iter().map(|profile| profile.spec().issuer.as_str()).collect();
    let mut issuers = issuers.into_iter();
    match (issuers.next(), issuers.next()) {
        (Some(issuer), None) => document(&call, issuer, &profiles, "/.well-known/jwks.json"),
        _ => {
            let detail = "the profiles have several issuers, and each has its document at \
                          /{profile}/.well-known/openid-configuration";
            Err(Refusal::new(ErrorCode::RequestPath, detail))
        }
    }
}

/// Responds with the document of one profile.
pub(super) async fn of_profile(call: Call) -> Result<Answer, Refusal> {
    let profile = call.generation.mint.profile(&call.profile()).ok_or_else(Refusal::unknown_profile)?;
    let path = format!("/{}/.well-known/jwks.json", profile.spec().name);
    document(&call, profile.spec().issuer.as_str(), &[profile], &path)
}

fn document(call: &Call, issuer: &str, profiles: &[&Profile], jwks_path: &str) -> Result<Answer, Refusal> {
    let generation = &call.generation;
    let Some(public_url) = &generation.public_url else {
        let detail = "the jwks_uri is unknown, because the api listener has no address of its own; set `public_url` in \
                      the configuration";
        return Err(Refusal::new(ErrorCode::RequestPath, detail));
    };
    let now = call.edge.issuer.now();
    let keys: Vec<_> = profiles.iter().flat_map(|profile| generation.mint.published(profile, now)).collect();
    let document = Document {
        issuer,
        jwks_uri: format!("{public_url}{jwks_path}"),
        id_token_signing_alg_values_supported: keys.iter().map(|key| key.alg().as_str()).collect(),
        response_types_supported: ["id_token"],
        subject_types_supported: ["public"],
    };
    let body = serde_json::to_string(&document).map_err(|_| Refusal::internal())?;
    Ok(cacheable(&call.request, "application/json", generation.jwks_max_age, body).into())
}
