//! One request of the API: its limits, its endpoint, its record.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::ConnectionType;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt as _;
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use super::connection::Connection;
use super::routes::{Methods, Route, method_not_allowed};
use super::{Edge, problem};
use crate::code::ErrorCode;
use crate::service::{Completion, Exchange, Refusal, RequestId, ServedGeneration};
use crate::telemetry::{RequestSpan, SpanParent};

/// The header with the identifier of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The input of an endpoint.
pub(super) struct Call {
    pub(super) request: HttpRequest,
    pub(super) payload: Payload,
    pub(super) edge: Data<Edge>,
    pub(super) request_id: RequestId,
    /// The generation that serves the request.
    pub(super) generation: Arc<ServedGeneration>,
    /// The span of the request, if it is recorded.
    pub(super) span: Option<SpanParent>,
    route: &'static Route,
}

/// The response of an endpoint, and the data for its record.
pub(super) struct Answer {
    pub(super) response: HttpResponse,
    pub(super) completion: Option<Completion>,
    /// The reason for a refusal, if the endpoint wrote the response itself.
    pub(super) refused: Option<Refusal>,
}

impl Call {
    /// Returns the name of the profile in the path, decoded.
    pub(super) fn profile(&self) -> Cow<'_, str> {
        name(self.route, &self.request).unwrap_or_default()
    }

    /// Returns the name of the check in the path, decoded.
    pub(super) fn check(&self) -> Cow<'_, str> {
        name(self.route, &self.request).unwrap_or_default()
    }
}

impl From<HttpResponse> for Answer {
    fn from(response: HttpResponse) -> Self {
        Self { response, completion: None, refused: None }
    }
}

/// Answers a request on `route`, which has the metrics at `index`.
pub(super) async fn serve(
    route: &'static Route,
    index: usize,
    request: HttpRequest,
    edge: Data<Edge>,
    payload: Payload,
) -> HttpResponse {
    let start = Instant::now();
    let request_id = request_id(request.headers());
    let span = edge.issuer.recorder().start_span(traceparent(request.headers()));
    let generation = edge.issuer.current();
    let result = match check(&request, &generation, route) {
        Ok(()) => {
            let (request, edge) = (request.clone(), edge.clone());
            let parent = span.as_ref().map(RequestSpan::parent);
            let generation = Arc::clone(&generation);
            let call = Call { request, payload, edge, request_id, generation, span: parent, route };
            // A panic in one request must not end the worker and the other requests on it.
            AssertUnwindSafe(route.call(call)).catch_unwind().await.unwrap_or_else(|_| Err(Refusal::internal()))
        }
        Err(refusal) => Err(refusal),
    };
    let (mut response, result) = match result {
        Ok(Answer { response, refused: Some(refusal), .. }) => (response, Err(refusal)),
        Ok(Answer { response, completion, refused: None }) => (response, Ok(completion)),
        Err(refusal) => (problem::response(&refusal, request_id, route.methods), Err(refusal)),
    };
    // The connection cannot continue if bytes of the request may be left (see body.rs).
    let is_body_read = result.is_ok() && route.methods == Methods::Post;
    let headers = request.headers();
    let is_body_left = headers.contains_key(header::TRANSFER_ENCODING)
        || route.methods == Methods::Proxied && headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if headers.contains_key(header::UPGRADE) || is_body_left && !is_body_read {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    if let Ok(value) = HeaderValue::from_str(request_id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if let Some(metrics) = edge.routes.get(index) {
        let has_details = span.is_some() || result.is_err();
        let asked = has_details.then(|| name(route, &request)).flatten();
        let profile = asked.as_deref().map(|name| profile_of(&generation, route, name));
        let profile = profile.and_then(|name| generation.mint.profile(name));
        let exchange = Exchange {
            request_id,
            route: metrics,
            method: if is_standard(request.method().as_str()) { request.method().as_str() } else { "_OTHER" },
            status: response.status().as_u16(),
            elapsed: start.elapsed(),
            at: edge.issuer.now(),
            peer: request.peer_addr().map(|address| address.ip()),
            asked: asked.as_deref(),
            profile: profile.map(|profile| profile.spec().name.as_str()),
            result: result.as_ref().map(Option::as_ref),
        };
        edge.issuer.recorder().finish(&exchange, span);
    }
    response
}

/// Runs the checks that can refuse a request before the endpoint is called.
fn check(request: &HttpRequest, generation: &ServedGeneration, route: &Route) -> Result<(), Refusal> {
    if let Some(refusal) = Connection::refuse(request) {
        return Err(refusal);
    }
    let header_bytes: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum();
    let most = generation.limits.header;
    if header_bytes > most {
        let detail = format!("expected at most {most} bytes of request headers, found more");
        return Err(Refusal::new(ErrorCode::RequestHeadersTooLarge, detail));
    }
    if !route.methods.allow(request.method()) {
        return Err(method_not_allowed(route.methods));
    }
    Ok(())
}

/// Returns the identifier of a request: the value of its `X-Request-Id` header if it can be adopted, otherwise a new
/// identifier. Several headers are ambiguous, so none of them is adopted.
fn request_id(headers: &HeaderMap) -> RequestId {
    let mut values = headers.get_all(&REQUEST_ID);
    let first = values.next().and_then(|value| RequestId::adopt(value.as_bytes()));
    first.filter(|_| values.next().is_none()).unwrap_or_else(|| RequestId::new(Uuid::new_v4()))
}

/// Returns the `traceparent` header. If there are several, none of them can be right (W3C Trace Context, section 4.3).
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all("traceparent");
    let first = values.next().and_then(|value| value.to_str().ok());
    first.filter(|_| values.next().is_none())
}

/// Returns the decoded name in the path of `request`; `None` if `route` has none.
fn name<'r>(route: &Route, request: &'r HttpRequest) -> Option<Cow<'r, str>> {
    match request.match_info().iter().next() {
        Some((_, name)) => Some(Cow::Borrowed(name)),
        // Routes that are matched by prefix have no path parameter (see routes.rs).
        None => route.name_in(request.path()).map(|name| percent_decode_str(name).decode_utf8_lossy()),
    }
}

/// Returns the name of the requested profile: `name`, or the profile of the check `name`.
fn profile_of<'n>(generation: &'n ServedGeneration, route: &Route, name: &'n str) -> &'n str {
    match route.methods {
        Methods::Proxied => generation.checks.get(name).map_or("", |check| &check.profile),
        _ => name,
    }
}

/// Returns `true` if `method` is in the closed set of OpenTelemetry's conventions; clients can send any other method.
pub(in crate::edge) fn is_standard(method: &str) -> bool {
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"].contains(&method)
}
