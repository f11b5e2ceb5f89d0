//! `POST /hydrate/{profile}`, Oathkeeper's hydrator contract, and `POST /issue/{profile}`, the same for any caller.

use std::panic::{AssertUnwindSafe, catch_unwind};

use actix_web::http::header;
use actix_web::web::{Bytes, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tracing::info_span;
use uuid::Uuid;

use super::problem::Problem;
use super::{Edge, RequestId, Serving, admission, body, refuse};
use crate::code::ErrorCode;
use crate::json;
use crate::mint::{IssuedToken, Placement, Profile};
use crate::session::Session;

/// Answers with the whole session and the token placed in it. Always 200, never compressed: Oathkeeper takes nothing
/// else.
pub(crate) async fn hydrate(
    request: HttpRequest,
    edge: Data<Edge>,
    profile: Path<String>,
    payload: Payload,
) -> HttpResponse {
    answer(request, edge, &profile, payload, |profile, session, token| match &profile.spec().placement {
        Placement::Extra(name) => session.with_extra(name, token.jws.as_str()),
        Placement::Header { name, scheme: None } => session.with_header(name, token.jws.as_str()),
        Placement::Header { name, scheme: Some(scheme) } => {
            session.with_header(name, &format!("{scheme} {}", token.jws.as_str()))
        }
    })
    .await
}

/// Answers with the token alone.
pub(crate) async fn issue(
    request: HttpRequest,
    edge: Data<Edge>,
    profile: Path<String>,
    payload: Payload,
) -> HttpResponse {
    answer(request, edge, &profile, payload, |_, _, token| {
        let mut body = String::from("{\"token\":");
        json::write_string(token.jws.as_str(), &mut body);
        body.push_str(",\"token_type\":\"Bearer\",\"expires_in\":");
        body.push_str(&token.expires_in.to_string());
        body.push_str(",\"jti\":");
        json::write_string(&token.jti, &mut body);
        body.push('}');
        body
    })
    .await
}

async fn answer(
    request: HttpRequest,
    edge: Data<Edge>,
    profile: &str,
    payload: Payload,
    place: impl FnOnce(&Profile, &Session<'_>, &IssuedToken) -> String,
) -> HttpResponse {
    let serving = edge.live.load_full();
    let permit = match admission::admit(&edge, &serving, &request, profile).await {
        Ok(permit) => permit,
        Err(problem) => return refuse(&request, problem),
    };
    let body = body::read(request.headers(), payload, serving.limits.body);
    let body = match tokio::time::timeout(serving.limits.request, body).await {
        Ok(Ok(body)) => body,
        Ok(Err(problem)) => return refuse(&request, problem),
        Err(_) => {
            let detail = format!("expected the whole body within {:?}", serving.limits.request);
            return refuse(&request, Problem::new(ErrorCode::RequestTimeout, detail));
        }
    };
    // A fault in one request must not take the worker and the other requests on it along.
    let result =
        catch_unwind(AssertUnwindSafe(|| issued(&edge, &serving, profile, &body, &RequestId::of(&request), place)));
    match result {
        Ok(Ok(text)) => {
            permit.issued();
            HttpResponse::Ok()
                .content_type("application/json")
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .body(text)
        }
        Ok(Err(problem)) => refuse(&request, problem),
        Err(_) => refuse(&request, Problem::new(ErrorCode::Internal, "")),
    }
}

fn issued(
    edge: &Edge,
    serving: &Serving,
    profile: &str,
    body: &Bytes,
    request_id: &str,
    place: impl FnOnce(&Profile, &Session<'_>, &IssuedToken) -> String,
) -> Result<String, Problem> {
    let Some(profile) = serving.mint.profile(profile) else {
        let detail = "expected the name of a configured profile in the path, found another";
        return Err(Problem::new(ErrorCode::ProfileUnknown, detail));
    };
    let _span = info_span!("issue", profile = %profile.spec().name, %request_id).entered();
    let session = Session::parse(body, serving.limits.read_limits())
        .map_err(|error| Problem::new(error.code(), error.to_string()))?;
    let token = serving
        .mint
        .issue(profile, &session, edge.clock.now(), || Uuid::new_v4().to_string())
        .map_err(|error| Problem::new(error.code(), error.to_string()))?;
    edge.metrics.issued(&profile.spec().name, token.alg.as_str());
    edge.warn_of_overridden(&profile.spec().name, &token.overridden);
    Ok(place(profile, &session, &token))
}
