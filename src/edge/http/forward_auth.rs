//! `/forward-auth/{check}`: for Traefik's ForwardAuth and Caddy's `forward_auth`.
//!
//! Both describe the original request in `X-Forwarded-*` and return any response except 2xx to the client.

use super::exchange::{Answer, Call};
use super::proxied::{Dialect, Metadata, Redirects, check};
use crate::checks::OriginalRequest;
use crate::service::Refusal;

static DIALECT: Dialect = Dialect {
    metadata: &["x-forwarded-method", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-uri"],
    original,
    redirects: Redirects::Followed,
};

/// Responds with 200 and the token if the request passes its check.
pub(super) async fn forward_auth(call: Call) -> Result<Answer, Refusal> {
    check(call, &DIALECT).await
}

/// Reads the metadata, all of which Traefik and Caddy always send.
fn original<'r>(metadata: &Metadata<'r>) -> Result<OriginalRequest<'r>, Refusal> {
    Ok(OriginalRequest {
        method: metadata.method("x-forwarded-method")?,
        scheme: metadata.scheme("x-forwarded-proto")?,
        host: metadata.host("x-forwarded-host")?,
        uri: metadata.uri("x-forwarded-uri")?,
        accepts_html: metadata.accepts_html(),
    })
}
