//! One request of the API: its limits, its endpoint, its record.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{ConnectionType, Method};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt as _;
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use super::connection::InFlightGuard;
use super::routes::{Methods, Route, method_not_allowed};
use super::{Edge, problem};
use crate::code::ErrorCode;
use crate::mint::ProfileName;
use crate::service::{Completion, Exchange, Refusal, RequestId, ServedGeneration};

/// A request as its endpoint gets it.
pub(super) struct Call {
    pub(super) request: HttpRequest,
    pub(super) payload: Payload,
    pub(super) edge: Data<Edge>,
    /// The generation that the request is answered from.
    pub(super) generation: Arc<ServedGeneration>,
    route: &'static Route,
}

/// The response of an endpoint, and what is recorded beside it.
pub(super) struct Answer {
    pub(super) response: HttpResponse,
    pub(super) completion: Option<Completion>,
}

impl Call {
    /// Returns the name of the profile in the path, decoded.
    pub(super) fn profile(&self) -> Cow<'_, str> {
        profile_name(self.route, &self.request).unwrap_or_default()
    }
}

impl From<HttpResponse> for Answer {
    fn from(response: HttpResponse) -> Self {
        Self { response, completion: None }
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
    let request_id = RequestId::new(Uuid::new_v4());
    let span = edge.issuer.recorder().start_span(traceparent(request.headers()));
    let in_flight = InFlightGuard::begin(&request);
    let generation = edge.issuer.current();
    let result = match check(&in_flight, &request, &generation, route) {
        Ok(()) => {
            let (request, edge) = (request.clone(), edge.clone());
            let call = Call { request, payload, edge, generation: Arc::clone(&generation), route };
            // A panic in one request must not end the worker and the other requests on it.
            AssertUnwindSafe(route.call(call)).catch_unwind().await.unwrap_or_else(|_| Err(Refusal::internal()))
        }
        Err(refusal) => Err(refusal),
    };
    let (mut response, result) = match result {
        Ok(Answer { response, completion }) => (response, Ok(completion)),
        Err(refusal) => (problem::response(&refusal, request_id, route.methods), Err(refusal)),
    };
    // The connection cannot continue if bytes of the request can be left (see body.rs).
    let is_body_read = result.is_ok() && route.methods == Methods::Post;
    let headers = request.headers();
    if headers.contains_key(header::UPGRADE) || headers.contains_key(header::TRANSFER_ENCODING) && !is_body_read {
        response.head_mut().set_connection_type(ConnectionType::Close);
        in_flight.set_last();
    }
    if in_flight.is_late() {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    if let Some(metrics) = edge.routes.get(index) {
        let profile = span.as_ref().and_then(|_| configured_profile(&generation, route, &request));
        let exchange = Exchange {
            request_id,
            route: metrics,
            method: if is_standard(request.method()) { request.method().as_str() } else { "_OTHER" },
            status: response.status().as_u16(),
            elapsed: start.elapsed(),
            profile: profile.as_ref().map(ProfileName::as_str),
            result: result.as_ref().map(Option::as_ref),
        };
        edge.issuer.recorder().finish(&exchange, span);
    }
    response
}

/// Checks everything that can be refused before the endpoint is called.
fn check(
    in_flight: &InFlightGuard,
    request: &HttpRequest,
    generation: &ServedGeneration,
    route: &Route,
) -> Result<(), Refusal> {
    if let Some(refusal) = in_flight.refuse() {
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

/// Returns the `traceparent` header. If there are several, none of them can be right (W3C Trace Context, section 4.3).
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all("traceparent");
    let first = values.next().and_then(|value| value.to_str().ok());
    first.filter(|_| values.next().is_none())
}

/// Returns the decoded name of the profile in the path of `request`; `None` if `route` has none.
fn profile_name<'r>(route: &Route, request: &'r HttpRequest) -> Option<Cow<'r, str>> {
    match request.match_info().get("profile") {
        Some(name) => Some(Cow::Borrowed(name)),
        // Routes that are matched by prefix have no path parameter (see routes.rs).
        None => route.profile_in(request.path()).map(|name| percent_decode_str(name).decode_utf8_lossy()),
    }
}

/// Returns the profile in the path if it is configured, because a span must not hold what a client made up.
fn configured_profile(generation: &ServedGeneration, route: &Route, request: &HttpRequest) -> Option<ProfileName> {
    let name = profile_name(route, request)?;
    generation.mint.profile(&name).map(|profile| profile.spec().name.clone())
}

/// Returns `true` if `method` is in the closed set of OpenTelemetry's conventions; clients can make up others.
fn is_standard(method: &Method) -> bool {
    [
        Method::CONNECT,
        Method::DELETE,
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::POST,
        Method::PUT,
        Method::TRACE,
    ]
    .contains(method)
}
