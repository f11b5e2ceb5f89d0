//! The admin listener: health, version, metrics.

use std::sync::atomic::Ordering;

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpResponse, HttpResponseBuilder};

use super::{Edge, Stage};
use crate::telemetry::METRICS_CONTENT_TYPE;

/// 200 while the process can answer at all.
pub(crate) async fn alive() -> HttpResponse {
    json(HttpResponse::Ok(), "{\"status\":\"ok\"}".to_owned())
}

/// 200 while requests are welcome, with what is wrong all the same; 503 before and after, with the reason.
pub(crate) async fn ready(edge: Data<Edge>) -> HttpResponse {
    match edge.readiness.stage() {
        Stage::Ready => json(HttpResponse::Ok(), edge.concerns.to_json()),
        Stage::Starting => unready("starting"),
        Stage::Stopping => unready("stopping"),
    }
}

/// The version that runs.
pub(crate) async fn version() -> HttpResponse {
    json(HttpResponse::Ok(), format!("{{\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION")))
}

/// Everything that is counted, as OpenMetrics text.
pub(crate) async fn metrics(edge: Data<Edge>) -> HttpResponse {
    edge.metrics.load(edge.admission.in_flight(), edge.admission.connections.load(Ordering::Relaxed));
    HttpResponse::Ok().content_type(METRICS_CONTENT_TYPE).body(edge.metrics.text())
}

fn unready(reason: &str) -> HttpResponse {
    json(HttpResponse::ServiceUnavailable(), format!("{{\"status\":\"unavailable\",\"reason\":\"{reason}\"}}"))
}

fn json(mut response: HttpResponseBuilder, body: String) -> HttpResponse {
    response.content_type("application/json").insert_header((header::CACHE_CONTROL, "no-store")).body(body)
}
