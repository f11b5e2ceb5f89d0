//! Reads a request body within bounds, whatever the end user's headers say of it.
//!
//! Oathkeeper copies its user's headers onto the call. `Content-Encoding` and the like say nothing about this body and
//! are not looked at. With `Upgrade: websocket` the HTTP layer takes everything up to the end of the connection for
//! the body, so this reads the announced length and no further.

use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt as _;

use super::problem::Problem;
use crate::code::ErrorCode;

/// The body, at most `limit` bytes of it.
///
/// # Errors
/// `request.body_too_large` as soon as that is known, `request.body_incomplete` where the peer stops early.
pub(crate) async fn read(headers: &HeaderMap, mut payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("expected a body of at most {limit} bytes, found a larger one");
        Problem::new(ErrorCode::RequestBodyTooLarge, detail)
    };
    let incomplete = |detail: &str| Problem::new(ErrorCode::RequestBodyIncomplete, detail);

    let announced = match headers.get(CONTENT_LENGTH) {
        Some(length) => match length.to_str().ok().and_then(|length| length.trim().parse::<usize>().ok()) {
            Some(length) => Some(length),
            None => return Err(incomplete("expected a content-length in digits, found something else")),
        },
        None if headers.contains_key(TRANSFER_ENCODING) => None,
        None => Some(0),
    };
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while announced.is_none_or(|length| body.len() < length) {
        let Some(chunk) = payload.next().await else { break };
        let chunk = chunk.map_err(|_| incomplete("expected the whole body, found the connection closed within it"))?;
        if body.len() + chunk.len() > limit.max(announced.unwrap_or(0)) && announced.is_none() {
            return Err(too_large());
        }
        // The usual case: all of it came with the head.
        if body.is_empty() && announced == Some(chunk.len()) {
            return Ok(chunk);
        }
        let wanted = announced.map_or(chunk.len(), |length| chunk.len().min(length - body.len()));
        body.extend_from_slice(&chunk[..wanted]);
    }
    match announced {
        Some(length) if body.len() < length => {
            Err(incomplete("expected as many bytes as content-length announces, found the body to end before"))
        }
        _ => Ok(body.freeze()),
    }
}
