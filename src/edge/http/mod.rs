//! The HTTP adapter: the API listener and the admin listener.
//!
//! [`routes`] is the table of the API: paths, methods, endpoints and error codes. Every request of the API passes through
//! [`exchange`], which limits it, calls its endpoint and records the result. There is one file for each endpoint.

mod admin;
mod auth_request;
mod body;
mod conditional;
mod connection;
pub(super) mod exchange;
mod ext_authz;
mod forward_auth;
mod framing;
mod hydrate;
mod issue;
mod jwks;
mod openapi;
mod openid_configuration;
mod pace;
mod playground;
mod posted;
pub(super) mod problem;
mod proxied;
mod roster;
mod routes;
mod stream;

pub(crate) use admin::configure as admin_routes;
pub(crate) use connection::{Connection, ConnectionGate, ConnectionLimits, close_after_chunks};
pub use openapi::document as openapi_document;
pub(crate) use pace::PacedStream;
pub(crate) use playground::{Playground, configure as playground_routes};
pub(crate) use problem::denial_status;
pub(crate) use routes::{configure as api_routes, metrics as route_metrics};
pub(crate) use stream::TimeoutStream;

use crate::service::{DegradedConditions, Issuer, Readiness};
use crate::telemetry::RouteMetrics;

/// The state that the requests of both listeners share.
#[derive(Debug)]
pub(crate) struct Edge {
    /// The issuing service.
    pub(crate) issuer: Issuer,
    /// The stage of the service.
    pub(crate) readiness: Readiness,
    /// The conditions that degrade it.
    pub(crate) conditions: DegradedConditions,
    /// The shared state of the playground, if it is on.
    pub(crate) playground: Option<Playground>,
    /// The metrics of each route, in the order of the table.
    pub(crate) routes: Vec<RouteMetrics>,
}
