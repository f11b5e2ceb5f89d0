//! What the endpoints for posted sessions share: who asks, the body, the session, the token.

use std::pin::pin;
use std::task::Poll;

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::http::header;

use super::body;
use super::connection::{Connection, peer};
use super::exchange::{Answer, Call};
use crate::code::ErrorCode;
use crate::mint::Placement;
use crate::service::{Outcome, Refusal};
use crate::session::SessionDocument;

/// Issues a token for the posted session; `write` makes the body of the response. If `shadows`, profiles in shadow mode
/// return the session unchanged.
///
/// # Errors
/// Those of [`Issuer::admit`](crate::service::Issuer::admit), of reading the body and the session, and of
/// [`Issuer::issue`](crate::service::Issuer::issue).
pub(super) async fn issue_posted(
    call: Call,
    shadows: bool,
    write: impl FnOnce(&Placement, &SessionDocument<'_>, &Outcome) -> String,
) -> Result<Answer, Refusal> {
    let (issuer, generation) = (&call.edge.issuer, &*call.generation);
    let profile = call.profile().into_owned();
    let permit = issuer.admit(generation, &peer(&call.request, generation, issuer), &profile).await?;
    Connection::note_authenticated(&call.request);
    let limits = &generation.limits;
    let mut body = pin!(body::read(call.request.headers(), call.payload, limits.body));
    // Usually the body is there already, and no timer is needed.
    let first = std::future::poll_fn(|context| Poll::Ready(body.as_mut().poll(context))).await;
    let body = match first {
        Poll::Ready(body) => body?,
        Poll::Pending => tokio::time::timeout(limits.request, body).await.map_err(|_| {
            let detail = format!("expected the whole body within {:?}", limits.request);
            Refusal::new(ErrorCode::RequestTimeout, detail)
        })??,
    };
    if shadows && generation.mint.profile(&profile).is_some_and(|profile| profile.spec().shadow) {
        let result = issuer.shadow(&body, permit.read_posted(&body).map(|(admitted, _)| admitted));
        issuer.recorder().shadow(call.request_id, &profile, &result);
        return Ok(json(body).into());
    }
    let (admitted, document) = permit.read_posted(&body)?;
    let profile = admitted.request().profile();
    let outcome = issuer.issue(admitted).await?;
    let response = json(write(&profile.spec().placement, &document, &outcome));
    Ok(Answer { response, outcome: Some(outcome) })
}

fn json(body: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").insert_header((header::CACHE_CONTROL, "no-store")).body(body)
}
