//! `POST /hydrate/{profile}`, Oathkeeper's hydrator contract, and `POST /issue/{profile}`, the same for any caller.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use actix_web::http::{Method, header};
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt as _;
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use super::problem::Problem;
use super::told::Told;
use super::{Edge, Serving, admission, asked_profile, body, other_method, refuse};
use crate::code::ErrorCode;
use crate::json;
use crate::mint::{IssueError, IssuedToken, Origin, Placement, Profile, TokenKey};
use crate::session::Session;
use crate::time::Timestamp;

/// Answers with the whole session and the token placed in it. Always 200, never compressed: Oathkeeper takes nothing
/// else.
pub(crate) async fn hydrate(request: HttpRequest, edge: Data<Edge>, payload: Payload) -> HttpResponse {
    answer(request, edge, payload, |profile, session, token, _| match &profile.spec().placement {
        Placement::Extra(name) => session.with_extra(name, token.jws.as_str()),
        Placement::Header { name, scheme: None } => session.with_header(name.as_str(), &[token.jws.as_str()]),
        Placement::Header { name, scheme: Some(scheme) } => {
            session.with_header(name.as_str(), &[scheme, " ", token.jws.as_str()])
        }
    })
    .await
}

/// Answers with the token alone.
pub(crate) async fn issue(request: HttpRequest, edge: Data<Edge>, payload: Payload) -> HttpResponse {
    answer(request, edge, payload, |_, _, token, now| {
        let mut body = String::from("{\"token\":");
        json::write_string(token.jws.as_str(), &mut body);
        body.push_str(",\"token_type\":\"Bearer\",\"expires_in\":");
        body.push_str(&token.expires_at.seconds_since(now).to_string());
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
    payload: Payload,
    place: impl FnOnce(&Profile, &Session<'_>, &IssuedToken, Timestamp) -> String,
) -> HttpResponse {
    if request.method() != Method::POST {
        return refuse(&request, other_method("POST"));
    }
    let profile = asked_profile(request.path()).unwrap_or_default();
    let profile = percent_decode_str(profile).decode_utf8_lossy();
    let serving = edge.live.load_full();
    let permit = match admission::admit(&edge, &serving, &request, &profile).await {
        Ok(permit) => permit,
        Err(problem) => return refuse(&request, problem),
    };
    let mut body = pin!(body::read(request.headers(), payload, serving.limits.body));
    // Mostly it is there already, and no timer has to be set.
    let first = std::future::poll_fn(|context| Poll::Ready(body.as_mut().poll(context))).await;
    let body = match first {
        Poll::Ready(body) => Ok(body),
        Poll::Pending => tokio::time::timeout(serving.limits.request, body).await,
    };
    let body = match body {
        Ok(Ok(body)) => body,
        Ok(Err(problem)) => return refuse(&request, problem),
        Err(_) => {
            let detail = format!("expected the whole body within {:?}", serving.limits.request);
            return refuse(&request, Problem::new(ErrorCode::RequestTimeout, detail));
        }
    };
    let mut told = Told::new(&edge, &request, permit.caller());
    // A fault in one request must not take the worker and the other requests on it along.
    match AssertUnwindSafe(issued(&edge, &serving, &profile, &body, &mut told, place)).catch_unwind().await {
        Ok(Ok(text)) => {
            let mut response = HttpResponse::Ok()
                .content_type("application/json")
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .body(text);
            told.leave_in(&mut response);
            permit.issued();
            response
        }
        Ok(Err(problem)) => refuse(&request, problem),
        Err(_) => refuse(&request, Problem::new(ErrorCode::Internal, "")),
    }
}

async fn issued(
    edge: &Edge,
    serving: &Serving,
    profile: &str,
    body: &Bytes,
    told: &mut Told<'_>,
    place: impl FnOnce(&Profile, &Session<'_>, &IssuedToken, Timestamp) -> String,
) -> Result<String, Problem> {
    let Some(profile) = serving.mint.profile(profile) else {
        let detail = "expected the name of a configured profile in the path, found another";
        return Err(Problem::new(ErrorCode::ProfileUnknown, detail));
    };
    let limits = serving.limits.read_limits();
    let session =
        edge.tokens.read(profile, body, limits).map_err(|error| Problem::new(error.code(), error.to_string()))?;
    let now = edge.clock.now();
    let refused = |error: IssueError| Problem::new(error.code(), error.to_string());
    let terms = serving.mint.terms(profile, &session, now).map_err(refused)?;
    let key = TokenKey::new(profile, &session, &terms);
    let made = async {
        let draft = serving.mint.draft(profile, &session, terms, || Uuid::new_v4().to_string()).map_err(refused)?;
        let token = edge.signing.sign(draft).await?;
        edge.metrics.issued(profile.spec().name.as_str(), token.alg.as_str());
        edge.warn_of_overridden(profile.spec().name.as_str(), &token.overridden);
        Ok(token)
    };
    let (token, origin) = match &key {
        None => (Arc::new(made.await?), Origin::Signed),
        Some(key) => {
            let found = match edge.tokens.find(key, now) {
                Some(token) => (token, Origin::Cached),
                None => edge.tokens.find_or(key, now, made).await?,
            };
            edge.metrics.looked_up(found.1);
            edge.tokens.keep_extra(profile, &session);
            found
        }
    };
    told.issued(profile, &session, &token, now, origin);
    Ok(place(profile, &session, &token, now))
}
