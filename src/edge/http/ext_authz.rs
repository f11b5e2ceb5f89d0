//! `/ext-authz/{check}/{path}`: for the HTTP service of Envoy's `ext_authz` filter, and for gateways built on Envoy.
//!
//! Envoy sends the request line and the `Host` of the original request itself, with its `path_prefix` before the path. With
//! `path_override`, it sends no path of the client. It passes any response but 200 and 5xx on to the client.

use super::exchange::{Answer, Call};
use super::proxied::{Dialect, Metadata, Redirects, check};
use super::routes;
use crate::checks::OriginalRequest;
use crate::service::Refusal;

static DIALECT: Dialect = Dialect { metadata: &["host"], original, redirects: Redirects::Followed };

/// Responds with 200 and the token if the request passes its check.
pub(super) async fn ext_authz(call: Call) -> Result<Answer, Refusal> {
    check(call, &DIALECT).await
}

/// Reads the request line and `Host`. The scheme stays unknown, because the request to claimsmith has its own.
fn original<'r>(metadata: &Metadata<'r>) -> Result<OriginalRequest<'r>, Refusal> {
    let (method, target) = metadata.request_line()?;
    let host = metadata.host("host")?;
    let uri = routes::path_after_name(target);
    Ok(OriginalRequest { method, scheme: "", host, uri, accepts_html: metadata.accepts_html() })
}
