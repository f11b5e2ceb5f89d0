//! What the endpoints for proxies share: the metadata of the original request, its credentials, and the response.
//!
//! A [`Dialect`] reads only its own metadata headers, because a client can send those that its proxy does not overwrite.

use actix_web::http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, COOKIE, HeaderMap, HeaderName, SET_COOKIE};
use actix_web::http::uri::PathAndQuery;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};

use super::connection::{Connection, proxy};
use super::exchange::{Answer, Call};
use super::problem::{self, ProxyResponse};
use crate::checks::OriginalRequest;
use crate::edge::proxied::{
    SESSION_TOKEN, accepts_html, is_host, is_method, is_plain, is_uri, is_usual, metadata_refused, refuse_lookalikes,
};
use crate::service::{Allowed, Completion, Denied, ProxiedRequest, Refusal};
use crate::sources::RequestCredentials;

/// How a kind of proxy describes the original request, and what it does with the response.
pub(super) struct Dialect {
    /// The headers that describe the original request, in lower case.
    pub(super) metadata: &'static [&'static str],
    pub(super) original: for<'r> fn(&Metadata<'r>) -> Result<OriginalRequest<'r>, Refusal>,
    pub(super) redirects: Redirects,
}

/// Whether the proxy passes redirects on to its client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Redirects {
    Followed,
    Never,
}

/// The request of a proxy, read as metadata.
pub(super) struct Metadata<'r>(&'r HttpRequest);

/// Checks the original request of `call`.
///
/// # Errors
/// None: a refusal has the status that its proxy understands.
pub(super) async fn check(call: Call, dialect: &'static Dialect) -> Result<Answer, Refusal> {
    let (issuer, generation) = (&call.edge.issuer, &*call.generation);
    let headers = call.request.headers();
    let name = call.check();
    let unusual: Vec<&str> = headers.keys().map(HeaderName::as_str).filter(|name| !is_usual(name)).collect();
    let original =
        refuse_lookalikes(&unusual, dialect.metadata).and_then(|()| (dialect.original)(&Metadata(&call.request)));
    let request = ProxiedRequest { check: &name, original, credentials: credentials(headers), unusual };
    let peer = proxy(&call.request, generation, issuer);
    let result = async {
        let authenticated = issuer.authenticate(generation, &peer).await?;
        Connection::note_authenticated(&call.request);
        issuer.check(authenticated, request, call.span.as_ref()).await
    };
    match result.await {
        Ok(allowed) => {
            let response = passed(&allowed);
            Ok(Answer { completion: Some(Completion::Issued(allowed.outcome)), ..response.into() })
        }
        Err(denied) => Ok(refused(denied, &call, dialect.redirects)),
    }
}

/// Responds with exactly 200 and no body, because Envoy accepts no other status and no proxy reads the body.
fn passed(allowed: &Allowed) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, "no-store"));
    for (name, value) in &allowed.headers {
        response.insert_header((name.as_str(), value.as_str()));
    }
    for cookie in &allowed.session.set_cookies {
        response.append_header((SET_COOKIE, cookie.as_str()));
    }
    response.body(Bytes::new())
}

fn refused(denied: Denied, call: &Call, redirects: Redirects) -> Answer {
    let Denied { denial, refusal } = denied;
    let response = match ProxyResponse::redirect(&denial).filter(|_| redirects == Redirects::Followed) {
        Some(redirect) => redirect.into_http(),
        None => problem::of_proxy(&denial, call.request_id),
    };
    Answer { refused: Some(refusal), ..response.into() }
}

/// Returns the credentials of the original request, which proxies pass on unchanged.
fn credentials(headers: &HeaderMap) -> RequestCredentials<'_> {
    let values = |name: &str| headers.get_all(name).map(|value| value.as_bytes()).collect();
    RequestCredentials {
        authorization: values(AUTHORIZATION.as_str()),
        cookies: values(COOKIE.as_str()),
        session_tokens: values(SESSION_TOKEN),
        verified: &[],
    }
}

impl<'r> Metadata<'r> {
    /// Returns the only value of the header `name`, which has only visible ASCII.
    pub(super) fn one(&self, name: &'static str) -> Result<Option<&'r str>, Refusal> {
        let mut values = self.0.headers().get_all(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(metadata_refused(&format!("one {name}"), "several"));
        }
        match value.to_str().ok().filter(|text| is_plain(text)) {
            Some(text) => Ok(Some(text)),
            None => Err(metadata_refused(&format!("{name} in visible ASCII"), "another value")),
        }
    }

    fn required(&self, name: &'static str) -> Result<&'r str, Refusal> {
        self.one(name)?.ok_or_else(|| metadata_refused(name, "none"))
    }

    fn valid(
        &self,
        name: &'static str,
        expected: &str,
        is_valid: impl FnOnce(&str) -> bool,
    ) -> Result<&'r str, Refusal> {
        let text = self.required(name)?;
        if is_valid(text) { Ok(text) } else { Err(metadata_refused(&format!("{expected} in {name}"), "another value")) }
    }

    /// Reads a method.
    pub(super) fn method(&self, name: &'static str) -> Result<&'r str, Refusal> {
        self.valid(name, "a method", is_method)
    }

    /// Reads the method and the target of the request itself, for proxies that repeat those of the original request.
    pub(super) fn request_line(&self) -> Result<(&'r str, &'r str), Refusal> {
        let (method, target) =
            (self.0.method().as_str(), self.0.uri().path_and_query().map_or("", PathAndQuery::as_str));
        if !is_method(method) {
            return Err(metadata_refused("the method of the original request", "another value"));
        }
        if !is_plain(target) {
            return Err(metadata_refused("the path of the original request in visible ASCII", "another value"));
        }
        Ok((method, target))
    }

    /// Reads a scheme. Traefik has its own for WebSocket requests.
    pub(super) fn scheme(&self, name: &'static str) -> Result<&'r str, Refusal> {
        self.valid(name, "http or https", |text| matches!(text, "http" | "https" | "ws" | "wss"))
    }

    /// Reads a host with an optional port.
    pub(super) fn host(&self, name: &'static str) -> Result<&'r str, Refusal> {
        self.valid(name, "a host", is_host)
    }

    /// Reads a path and a query as they are. Nothing is decided by a decoded path, because the service behind the proxy could
    /// decode it differently.
    pub(super) fn uri(&self, name: &'static str) -> Result<&'r str, Refusal> {
        self.valid(name, "a path that starts with a slash", is_uri)
    }

    /// Reads an http or https URL as its scheme, its host, and its path with the query.
    pub(super) fn url(&self, name: &'static str) -> Result<(&'r str, &'r str, &'r str), Refusal> {
        let text = self.required(name)?;
        let parts = text.split_once("://").and_then(|(scheme, rest)| {
            let (host, uri) = rest.split_at_checked(rest.find('/')?)?;
            (matches!(scheme, "http" | "https") && is_host(host)).then_some((scheme, host, uri))
        });
        parts.ok_or_else(|| metadata_refused(&format!("an http or https URL in {name}"), "another value"))
    }

    /// Returns `true` if the client accepts HTML by name, as browsers do for pages.
    pub(super) fn accepts_html(&self) -> bool {
        accepts_html(self.0.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok()))
    }
}
