//! The gRPC adapter: Envoy's `ext_authz` filter, and health checks.
//!
//! [`GrpcServer::serve`] serves one HTTP/2 connection. [`check`] and [`health`] are the methods, [`message`] is what unary
//! calls have in common, and [`proto`] has the messages.

mod check;
mod health;
mod message;
mod proto;
mod server;
mod structs;

pub(crate) use server::GrpcServer;
