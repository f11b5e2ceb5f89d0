//! `grpc.health.v1.Health/Check`: whether the service accepts checks.

use hyper::Response;

use super::message::{Reply, success};
use super::proto::{HealthCheckRequest, HealthCheckResponse, ServingStatus};
use crate::code::ErrorCode;
use crate::service::{Readiness, Refusal, Stage};

/// The name of the service for checks.
const SERVICE: &str = "envoy.service.auth.v3.Authorization";

/// Responds with the state of the service that `request` names; the empty name is that of the whole server.
pub(super) fn check(request: &HealthCheckRequest, readiness: &Readiness) -> Result<Response<Reply>, Refusal> {
    if !request.service.is_empty() && request.service != SERVICE {
        let detail = format!("expected {SERVICE} or no name, found another service");
        // The status of an unknown service is NOT_FOUND.
        return Err(Refusal::new(ErrorCode::ProfileUnknown, detail));
    }
    let status = match readiness.stage() {
        Stage::Ready => ServingStatus::Serving,
        Stage::Starting | Stage::Stopping => ServingStatus::NotServing,
    };
    Ok(success(&HealthCheckResponse { status: status as i32 }))
}
