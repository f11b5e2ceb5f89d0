//! Reads a request body within limits, regardless of headers that the end user sent.
//!
//! Oathkeeper copies its user's headers to the call. Headers such as `Content-Encoding` do not describe this body and
//! are ignored. With `Upgrade: websocket`, the HTTP layer treats everything up to the end of the connection as the
//! body, so only the announced length is read.

use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt as _;

use crate::code::ErrorCode;
use crate::service::Refusal;

/// Returns the body, which can have at most `limit` bytes.
///
/// # Errors
/// `request.body_too_large` as soon as the length exceeds `limit`, `request.body_incomplete` if the peer stops early.
pub(super) async fn read(headers: &HeaderMap, mut payload: Payload, limit: usize) -> Result<Bytes, Refusal> {
    let too_large = || {
        let detail = format!("expected a body of at most {limit} bytes, found a larger one");
        Refusal::new(ErrorCode::RequestBodyTooLarge, detail)
    };
    let incomplete = |detail: &str| Refusal::new(ErrorCode::RequestBodyIncomplete, detail);

    let announced = match headers.get(CONTENT_LENGTH) {
        Some(length) => match length.to_str().ok().and_then(|length| length.trim().parse::<usize>().ok()) {
            Some(length) => Some(length),
            None => return Err(incomplete("expected a content-length in digits, found other text")),
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
        if announced.is_none() && body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        // The usual case: the whole body arrived with the head.
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
