//! The admin listener: health, version, metrics.

use std::sync::atomic::Ordering;

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpResponse, HttpResponseBuilder};

use super::readings::readings;
use super::{Edge, Stage};
use crate::telemetry::METRICS_CONTENT_TYPE;

/// 200 while the process can answer at all.
pub(crate) async fn alive() -> HttpResponse {
    json(HttpResponse::Ok(), "{\"status\":\"ok\"}".to_owned())
}

/// 200 while requests are welcome, with what is wrong all the same; 503 before and after, with the reason.
pub(crate) async fn ready(edge: Data<Edge>) -> HttpResponse {
    match edge.readiness.stage() {
        Stage::Ready => json(HttpResponse::Ok(), edge.concerns.to_json("\"status\":\"ok\"")),
        Stage::Starting => unready(&edge, "starting"),
        Stage::Stopping => unready(&edge, "stopping"),
    }
}

/// The version that runs.
pub(crate) async fn version() -> HttpResponse {
    json(HttpResponse::Ok(), format!("{{\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION")))
}

/// Everything that is counted, as OpenMetrics text.
pub(crate) async fn metrics(edge: Data<Edge>) -> HttpResponse {
    edge.metrics.token_cache(edge.tokens.len(), edge.tokens.bytes());
    edge.metrics.load(edge.admission.in_flight(), edge.admission.connections.load(Ordering::Relaxed));
    HttpResponse::Ok().content_type(METRICS_CONTENT_TYPE).body(edge.metrics.text(&readings(&edge)))
}

fn unready(edge: &Edge, reason: &str) -> HttpResponse {
    let status = format!("\"status\":\"unavailable\",\"reason\":\"{reason}\"");
    json(HttpResponse::ServiceUnavailable(), edge.concerns.to_json(&status))
}

fn json(mut response: HttpResponseBuilder, body: String) -> HttpResponse {
    response.content_type("application/json").insert_header((header::CACHE_CONTROL, "no-store")).body(body)
}
