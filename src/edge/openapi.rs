//! The OpenAPI 3.1 document of the api listener. A test holds it against the routes and against real answers.

use actix_web::{HttpRequest, HttpResponse};

use super::discovery::cacheable;

/// The document changes with the version alone.
const MAX_AGE_SECONDS: u64 = 300;

/// The document, with the version that runs.
pub fn document() -> String {
    include_str!("openapi.json").replacen(
        "\"version\": \"0.0.0\"",
        concat!("\"version\": \"", env!("CARGO_PKG_VERSION"), "\""),
        1,
    )
}

/// `GET /openapi.json`
pub(crate) async fn serve(request: HttpRequest) -> HttpResponse {
    cacheable(&request, "application/json", MAX_AGE_SECONDS, document())
}
