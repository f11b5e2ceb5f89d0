//! The admin listener: health, version, metrics.

use actix_web::http::header;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Route, guard};
use serde::Serialize;
use uuid::Uuid;

use super::routes::{Methods, method_not_allowed, not_found};
use super::{Edge, problem};
use crate::service::{RequestId, Stage, gauges};
use crate::telemetry::METRICS_CONTENT_TYPE;

/// Configures the admin listener.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/health/alive").route(get_or_head().to(alive)).default_service(get_or_head_only()))
        .service(web::resource("/health/ready").route(get_or_head().to(ready)).default_service(get_or_head_only()))
        .service(web::resource("/version").route(get_or_head().to(version)).default_service(get_or_head_only()))
        .service(web::resource("/metrics").route(get_or_head().to(metrics)).default_service(get_or_head_only()))
        .default_service(web::to(unknown_path));
}

fn get_or_head() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

fn get_or_head_only() -> Route {
    web::to(|| async { refuse_method(Methods::Read) })
}

fn refuse_method(methods: Methods) -> HttpResponse {
    problem::response(&method_not_allowed(methods), unrecorded(), methods)
}

async fn unknown_path(_: HttpRequest) -> HttpResponse {
    problem::response(&not_found(), unrecorded(), Methods::Any)
}

/// Requests of the admin listener are not recorded, so they have no identifier to be found by.
fn unrecorded() -> RequestId {
    RequestId::new(Uuid::nil())
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
}

/// 200 while the process can answer at all.
async fn alive() -> HttpResponse {
    json(HttpResponse::Ok(), serde_json::to_string(&Status { status: "ok" }).unwrap_or_default())
}

/// 200 while requests are accepted, with the conditions that degrade the service; 503 before and after, with the reason.
async fn ready(edge: Data<Edge>) -> HttpResponse {
    match edge.readiness.stage() {
        Stage::Ready => json(HttpResponse::Ok(), edge.conditions.to_json("\"status\":\"ok\"")),
        Stage::Starting => unready(&edge, "starting"),
        Stage::Stopping => unready(&edge, "stopping"),
    }
}

/// The version that runs.
async fn version() -> HttpResponse {
    let version = Version { version: env!("CARGO_PKG_VERSION") };
    json(HttpResponse::Ok(), serde_json::to_string(&version).unwrap_or_default())
}

/// All metrics, as OpenMetrics text.
async fn metrics(edge: Data<Edge>) -> HttpResponse {
    let issuer = &edge.issuer;
    let metrics = issuer.recorder().metrics();
    metrics.token_cache(issuer.tokens().len(), issuer.tokens().bytes());
    let (in_flight, connections) = issuer.load();
    metrics.load(in_flight, connections);
    let gauges = gauges(&issuer.current().mint, issuer.now());
    HttpResponse::Ok().content_type(METRICS_CONTENT_TYPE).body(metrics.text(&gauges))
}

fn unready(edge: &Edge, reason: &str) -> HttpResponse {
    let status = format!("\"status\":\"unavailable\",\"reason\":\"{reason}\"");
    json(HttpResponse::ServiceUnavailable(), edge.conditions.to_json(&status))
}

fn json(mut response: HttpResponseBuilder, body: String) -> HttpResponse {
    response.content_type("application/json").insert_header((header::CACHE_CONTROL, "no-store")).body(body)
}
