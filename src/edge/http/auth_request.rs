//! `/auth-request/{check}`: for nginx's `auth_request`, ingress-nginx and HAProxy's `auth-request`.
//!
//! nginx understands 2xx, 401 and 403 only, so no response is a redirect. Where a browser can log in is in `Location` of a
//! 401, which nginx and HAProxy can read.

use super::exchange::{Answer, Call};
use super::proxied::{Dialect, Metadata, Redirects, check};
use crate::checks::OriginalRequest;
use crate::edge::proxied::metadata_refused;
use crate::service::Refusal;

static DIALECT: Dialect = Dialect {
    metadata: &["x-original-method", "x-original-uri", "x-original-url"],
    original,
    redirects: Redirects::Never,
};

/// Responds with 200 and the token if the request passes its check.
pub(super) async fn auth_request(call: Call) -> Result<Answer, Refusal> {
    check(call, &DIALECT).await
}

/// Reads the metadata: `X-Original-URL` and `X-Original-Method` as ingress-nginx sends them, or `X-Original-URI` as in the
/// documentation of nginx, with `X-Original-Method` if it is there. One of the two forms could come from a client, so both
/// together are refused.
fn original<'r>(metadata: &Metadata<'r>) -> Result<OriginalRequest<'r>, Refusal> {
    let accepts_html = metadata.accepts_html();
    match (metadata.one("x-original-url")?, metadata.one("x-original-uri")?) {
        (Some(_), None) => {
            let (scheme, host, uri) = metadata.url("x-original-url")?;
            let method = metadata.method("x-original-method")?;
            Ok(OriginalRequest { method, scheme, host, uri, accepts_html })
        }
        (None, Some(_)) => {
            let method = match metadata.one("x-original-method")? {
                Some(_) => metadata.method("x-original-method")?,
                None => "",
            };
            let uri = metadata.uri("x-original-uri")?;
            Ok(OriginalRequest { method, scheme: "", host: "", uri, accepts_html })
        }
        (Some(_), Some(_)) => Err(metadata_refused("either X-Original-URL or X-Original-URI", "both")),
        (None, None) => Err(metadata_refused("X-Original-URL or X-Original-URI", "none of them")),
    }
}
