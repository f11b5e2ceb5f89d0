//! Responses that clients can cache and revalidate.

use actix_web::body::MessageBody;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest as _, Sha256};

/// Responds with `body`, or with 304 if the client has it already (RFC 9110 section 13.1.2).
pub(super) fn cacheable(
    request: &HttpRequest,
    content_type: &'static str,
    max_age: u64,
    body: impl AsRef<[u8]> + MessageBody + 'static,
) -> HttpResponse {
    let digest: String = Sha256::digest(body.as_ref()).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("\"{digest}\"");
    let is_known =
        request.headers().get_all(header::IF_NONE_MATCH).filter_map(|value| value.to_str().ok()).any(|value| {
            value.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
        });
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::CACHE_CONTROL, format!("public, max-age={max_age}")));
    response.insert_header((header::ETAG, etag));
    if is_known { response.finish() } else { response.content_type(content_type).body(body) }
}
