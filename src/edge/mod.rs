//! Protocol adapters. An adapter translates between its protocol and [`service`](crate::service), and decides nothing.

pub(crate) mod grpc;
pub(crate) mod http;
mod proxied;
