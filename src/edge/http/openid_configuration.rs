//! `GET /.well-known/openid-configuration` and `GET /{profile}/.well-known/openid-configuration`: issuer and `jwks_uri`
//! for verifiers that use discovery (OpenID Connect Discovery 1.0).

use std::collections::BTreeSet;

use serde::Serialize;

use super::conditional::cacheable;
use super::exchange::{Answer, Call};
use crate::service::{Discovery, PublishedProfiles, Refusal};

/// The discovery document.
#[derive(Serialize)]
struct Document<'d> {
    issuer: &'d str,
    jwks_uri: String,
    id_token_signing_alg_values_supported: BTreeSet<&'static str>,
    response_types_supported: [&'static str; 1],
    subject_types_supported: [&'static str; 1],
}

/// Responds with the document of the only issuer. With several issuers, only the profiles have documents.
pub(super) async fn all(call: Call) -> Result<Answer, Refusal> {
    document(&call, PublishedProfiles::All, "/.well-known/jwks.json")
}

/// Responds with the document of one profile.
pub(super) async fn of_profile(call: Call) -> Result<Answer, Refusal> {
    let name = call.profile();
    document(&call, PublishedProfiles::One(&name), &format!("/{name}/.well-known/jwks.json"))
}

fn document(call: &Call, profiles: PublishedProfiles<'_>, jwks_path: &str) -> Result<Answer, Refusal> {
    let generation = &call.generation;
    let Discovery { issuer, public_url, algorithms } = call.edge.issuer.discovery(generation, profiles)?;
    let document = Document {
        issuer,
        jwks_uri: format!("{public_url}{jwks_path}"),
        id_token_signing_alg_values_supported: algorithms,
        response_types_supported: ["id_token"],
        subject_types_supported: ["public"],
    };
    let body = serde_json::to_string(&document).map_err(|_| Refusal::internal())?;
    Ok(cacheable(&call.request, "application/json", generation.jwks_max_age, body).into())
}
