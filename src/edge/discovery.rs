//! What verifiers fetch: JWK Sets of public keys (RFC 7517) and discovery documents (OpenID Connect Discovery 1.0).

use std::collections::BTreeSet;

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest as _, Sha256};

use super::problem::Problem;
use super::{Edge, Serving, refuse};
use crate::code::ErrorCode;
use crate::json;
use crate::keys::PublicJwk;
use crate::mint::Profile;

/// The public keys of all profiles.
pub(crate) async fn jwks(request: HttpRequest, edge: Data<Edge>) -> HttpResponse {
    let serving = edge.live.load_full();
    let mint = &serving.mint;
    let now = edge.clock.now();
    key_set(&request, &serving, mint.profiles().flat_map(|profile| mint.published(profile, now)))
}

/// The public keys of one profile.
pub(crate) async fn profile_jwks(request: HttpRequest, edge: Data<Edge>, name: Path<String>) -> HttpResponse {
    let serving = edge.live.load_full();
    let mint = &serving.mint;
    match mint.profile(&name) {
        Some(profile) => key_set(&request, &serving, mint.published(profile, edge.clock.now())),
        None => refuse(&request, unknown_profile()),
    }
}

/// The discovery document of the only issuer; with several there is one for each profile.
pub(crate) async fn configuration(request: HttpRequest, edge: Data<Edge>) -> HttpResponse {
    let serving = edge.live.load_full();
    let mint = &serving.mint;
    let issuers: BTreeSet<&str> = mint.profiles().map(|profile| profile.spec().issuer.as_str()).collect();
    let mut issuers = issuers.into_iter();
    match (issuers.next(), issuers.next()) {
        (Some(issuer), None) => {
            document(&request, &edge, &serving, issuer, &mint.profiles().collect::<Vec<_>>(), "/.well-known/jwks.json")
        }
        _ => {
            let detail = "expected all profiles to have one issuer, found several: each has its document at \
                          /{profile}/.well-known/openid-configuration";
            refuse(&request, Problem::new(ErrorCode::RequestPath, detail))
        }
    }
}

/// The discovery document of one profile.
pub(crate) async fn profile_configuration(request: HttpRequest, edge: Data<Edge>, name: Path<String>) -> HttpResponse {
    let serving = edge.live.load_full();
    let mint = &serving.mint;
    match mint.profile(&name) {
        Some(profile) => {
            let path = format!("/{}/.well-known/jwks.json", profile.spec().name);
            document(&request, &edge, &serving, profile.spec().issuer.as_str(), &[profile], &path)
        }
        None => refuse(&request, unknown_profile()),
    }
}

fn unknown_profile() -> Problem {
    Problem::new(ErrorCode::ProfileUnknown, "expected the name of a configured profile in the path, found another")
}

fn document(
    request: &HttpRequest,
    edge: &Edge,
    serving: &Serving,
    issuer: &str,
    profiles: &[&Profile],
    jwks_path: &str,
) -> HttpResponse {
    let Some(public_url) = &serving.public_url else {
        let detail = "expected `public_url` in the configuration, without which the jwks_uri is not known when the api \
                      listener has no address of its own";
        return refuse(request, Problem::new(ErrorCode::RequestPath, detail));
    };
    let now = edge.clock.now();
    let algs: BTreeSet<&str> = profiles
        .iter()
        .flat_map(|profile| serving.mint.published(profile, now))
        .map(|key| key.alg().as_str())
        .collect();
    let mut body = String::from("{\"issuer\":");
    json::write_string(issuer, &mut body);
    body.push_str(",\"jwks_uri\":");
    json::write_string(&format!("{public_url}{jwks_path}"), &mut body);
    body.push_str(",\"id_token_signing_alg_values_supported\":[");
    for (index, alg) in algs.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        json::write_string(alg, &mut body);
    }
    body.push_str("],\"response_types_supported\":[\"id_token\"],\"subject_types_supported\":[\"public\"]}");
    cacheable(request, "application/json", serving.jwks_max_age, body)
}

fn key_set(request: &HttpRequest, serving: &Serving, keys: impl IntoIterator<Item = PublicJwk>) -> HttpResponse {
    let texts: BTreeSet<String> = keys.into_iter().map(|key| key.to_json()).collect();
    let texts: Vec<String> = texts.into_iter().collect();
    cacheable(request, "application/jwk-set+json", serving.jwks_max_age, format!("{{\"keys\":[{}]}}", texts.join(",")))
}

/// Answers with `body`, or with 304 where the reader has it already (RFC 9110 section 13.1.2).
pub(super) fn cacheable(request: &HttpRequest, content_type: &'static str, max_age: u64, body: String) -> HttpResponse {
    let digest: String = Sha256::digest(body.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("\"{digest}\"");
    let is_known =
        request.headers().get_all(header::IF_NONE_MATCH).filter_map(|value| value.to_str().ok()).any(|value| {
            value.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
        });
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::CACHE_CONTROL, format!("public, max-age={max_age}")));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.insert_header((header::ETAG, etag));
    }
    if is_known { response.finish() } else { response.content_type(content_type).body(body) }
}
