//! `verify`: the checks that a verifier makes on a token, step by step.

use std::path::Path;

use anyhow::Context as _;

use super::args::VerifyArgs;
use super::http;
use super::output::{self, Failure};
use crate::json::{Json, ReadLimits};
use crate::keys;
use crate::reload::{FileAccess, FileUse};
use crate::time::{Clock as _, SystemClock};

/// The largest JWK Set that is read.
const LARGEST_SET: usize = 1024 * 1024;

pub(super) fn verify(args: &VerifyArgs, as_json: bool) -> Result<(), Failure> {
    let token = output::token(&args.token)?;
    let jwks = if args.jwks.starts_with("http://") || args.jwks.starts_with("https://") {
        http::download(&args.jwks, LARGEST_SET)?
    } else {
        let path = args.jwks.strip_prefix("file://").unwrap_or(&args.jwks);
        FileAccess::default()
            .read(Path::new(path), FileUse::Keys)
            .with_context(|| format!("cannot read the JWK Set {path}"))?
    };

    let verified = keys::verify(&token, &jwks).map_err(|error| Failure::Lines(error.to_string()))?;
    let claims = Json::parse(verified.claims().as_bytes(), ReadLimits::default())
        .map_err(|error| Failure::Refused(format!("cannot read the signed payload: {error}")))?;
    keys::check_times(&claims, SystemClock.now(), 0).map_err(|error| Failure::Refused(error.to_string()))?;
    check_text(&claims, "iss", args.issuer.as_deref())?;
    check_text(&claims, "aud", args.audience.as_deref())?;
    if as_json {
        return output::line(&format!(
            "{{\"kid\":{},\"alg\":\"{}\",\"claims\":{claims}}}",
            Json::String(verified.kid().as_str().into()),
            verified.alg()
        ));
    }
    output::note(&format!("verified: {} with key {}", verified.alg(), verified.kid()));
    output::line(&claims.to_pretty())
}

/// Checks that the claim `name` is `expected`, or an array that contains it.
fn check_text(claims: &Json<'_>, name: &str, expected: Option<&str>) -> Result<(), Failure> {
    let Some(expected) = expected else { return Ok(()) };
    let is_match = match claims.member(name) {
        Some(Json::Array(values)) => values.iter().any(|value| value.as_str() == Some(expected)),
        Some(value) => value.as_str() == Some(expected),
        None => false,
    };
    if is_match {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "the signature is valid, but the claim `{name}` is not `{expected}` and does not contain it"
    )))
}
