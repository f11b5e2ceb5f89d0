//! The admin listener: health, version, metrics.

use actix_web::http::header;
use actix_web::web::{self, Data};
use actix_web::{HttpResponse, HttpResponseBuilder, Route, guard};
use serde::Serialize;
use uuid::Uuid;

use super::routes::{Methods, method_not_allowed, not_found};
use super::{Edge, problem};
use crate::service::{RequestId, Stage};
use crate::telemetry::METRICS_CONTENT_TYPE;

/// Returns the route of an endpoint.
type Endpoint = fn() -> Route;

/// The paths of the admin listener, besides the playground.
static PATHS: [(&str, Endpoint); 4] = [
    ("/health/alive", || get_or_head().to(alive)),
    ("/health/ready", || get_or_head().to(ready)),
    ("/version", || get_or_head().to(version)),
    ("/metrics", || get_or_head().to(metrics)),
];

/// Configures the admin listener.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    for (path, route) in PATHS {
        config.service(web::resource(path).route(route()).default_service(web::to(refuse_method)));
    }
    config.default_service(web::to(refuse_path));
}

fn get_or_head() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn refuse_method() -> HttpResponse {
    problem::response(&method_not_allowed(Methods::Read), unrecorded(), Methods::Read)
}

async fn refuse_path() -> HttpResponse {
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
    json(HttpResponse::Ok(), &Status { status: "ok" })
}

/// 200 while requests are accepted, with the conditions that degrade the service; 503 before and after, with the reason.
async fn ready(edge: Data<Edge>) -> HttpResponse {
    let stage = edge.readiness.stage();
    let response = match stage {
        Stage::Ready => HttpResponse::Ok(),
        Stage::Starting | Stage::Stopping => HttpResponse::ServiceUnavailable(),
    };
    json(response, &edge.conditions.report(stage))
}

/// The version that runs.
async fn version() -> HttpResponse {
    json(HttpResponse::Ok(), &Version { version: env!("CARGO_PKG_VERSION") })
}

/// All metrics, as OpenMetrics text.
async fn metrics(edge: Data<Edge>) -> HttpResponse {
    HttpResponse::Ok().content_type(METRICS_CONTENT_TYPE).body(edge.issuer.metrics_text())
}

fn json(mut response: HttpResponseBuilder, document: &impl Serialize) -> HttpResponse {
    response.content_type("application/json").insert_header((header::CACHE_CONTROL, "no-store"));
    response.body(problem::json_text(document))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mint::ProfileName;

    #[test]
    fn first_segment_of_each_path_is_a_reserved_name() {
        for (path, _) in PATHS {
            let first = path.split('/').nth(1).unwrap();
            assert!(ProfileName::is_reserved(first), "{path}");
        }
    }
}
