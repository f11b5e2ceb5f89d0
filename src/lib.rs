//! claimsmith: an authenticated session comes in over HTTP, a signed JWT goes out.
//!
//! # The map
//! One immutable [`mint::Mint`] holds one proven generation of keys, templates and profiles. A request takes the
//! current mint once, calls [`mint::Mint::issue`], which is pure, and answers. Adapters translate; they decide nothing.
//!
//! The path of one request: [`edge`] (route, bounds, caller) → [`session`] (the body as a typed view) →
//! [`mint`] (issue) → [`templates`] (render over the session) → [`claims`] (add the registered claims, cap the
//! lifetime) → [`keys`] (sign) → [`edge`] (place the token, answer).
//!
//! Modules in layer order; each imports only from the layers before it, and `tests/it/layers.rs` holds them to it:
//!
//! | Layer | Modules | Knows |
//! | --- | --- | --- |
//! | 0 | [`code`], [`json`], [`secret`], [`session`], [`time`] | data |
//! | 1 | [`claims`] | what a token says |
//! | 2 | [`templates`], [`keys`] | handlebars; josekit, openssl |
//! | 3 | [`mint`] | how a token is made |
//! | 4 | [`config`], [`oathkeeper`], [`reload`], [`sources`], [`tls`] | files; the network |
//! | 5 | [`edge`], [`telemetry`] | HTTP, metrics, logs |
//! | 6 | [`app`], [`cli`] | everything |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod app;
pub mod claims;
pub mod cli;
pub mod code;
pub mod config;
pub mod edge;
pub mod json;
pub mod keys;
pub mod mint;
pub mod oathkeeper;
pub mod reload;
pub mod secret;
pub mod session;
pub mod sources;
pub mod telemetry;
pub mod templates;
pub mod time;
pub mod tls;
