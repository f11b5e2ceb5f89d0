//! The shared steps of the endpoints for posted sessions: caller, body, session and token.

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
use crate::service::{Completion, Delivery, Outcome, Posted, Refusal};
use crate::session::SessionDocument;

/// Issues a token for the posted session; `write` makes the body of the response with it. In shadow mode, the posted
/// session is the response.
///
/// # Errors
/// The errors of [`Issuer::admit`](crate::service::Issuer::admit), of reading the body, and of
/// [`Issuer::issue_posted`](crate::service::Issuer::issue_posted).
pub(super) async fn issue_posted(
    call: Call,
    delivery: Delivery,
    write: impl FnOnce(&Placement, &SessionDocument<'_>, &Outcome) -> String,
) -> Result<Answer, Refusal> {
    let (issuer, generation) = (&call.edge.issuer, &*call.generation);
    let permit = issuer.admit(generation, &peer(&call.request, generation, issuer), &call.profile()).await?;
    Connection::note_authenticated(&call.request);
    let limits = &generation.limits;
    let mut body = pin!(body::read(call.request.headers(), call.payload, limits.body));
    let refuse = permit.refuser();
    let answer = async {
        // Usually the body has arrived already, and no timer is needed.
        let first = std::future::poll_fn(|context| Poll::Ready(body.as_mut().poll(context))).await;
        let body = match first {
            Poll::Ready(body) => body?,
            Poll::Pending => tokio::time::timeout(limits.request, body).await.map_err(|_| {
                let detail = format!("expected the whole body within {:?}", limits.request);
                Refusal::new(ErrorCode::RequestTimeout, detail)
            })??,
        };
        match issuer.issue_posted(permit, &body, delivery).await? {
            Posted::Compared(comparison) => {
                Ok(Answer { completion: Some(Completion::Compared(comparison)), ..json(body).into() })
            }
            Posted::Issued { document, placement, outcome } => {
                let response = json(write(placement, &document, &outcome));
                Ok(Answer { completion: Some(Completion::Issued(outcome)), ..response.into() })
            }
        }
    };
    answer.await.map_err(refuse)
}

fn json(body: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").insert_header((header::CACHE_CONTROL, "no-store")).body(body)
}
