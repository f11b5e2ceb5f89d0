//! claimsmith: an authenticated session comes in over HTTP, a signed JWT goes out.
//!
//! # The path of a request
//! 1. [`edge`] (`http/exchange.rs`): names the request, checks its head against the limits, calls the endpoint of its route.
//! 2. [`service`]: [`Issuer::admit`](service::Issuer::admit) authenticates the client and takes a slot.
//! 3. [`session`]: the body is read for the profile in the path, which gives a [`mint::IssueRequest`].
//! 4. [`service`]: [`Issuer::issue`](service::Issuer::issue) looks the token up in its cache. If it is not there:
//! 5. [`mint`]: [`templates`] render the claims, [`claims`] completes them, [`keys`] signs them.
//! 6. [`edge`]: places the token in the response; [`Recorder::finish`](service::Recorder::finish) records the request.
//!
//! One immutable [`mint::Mint`] holds one validated generation of keys, templates and profiles. A request takes the
//! current generation once. [`Issuer`] is the only way to a token; adapters translate a protocol and
//! decide nothing.
//!
//! # Modules
//! A module imports from lower layers only; `tests/it/layers.rs` checks that.
//!
//! | Layer | Modules | Contents |
//! | --- | --- | --- |
//! | 0 | [`code`], [`escape`], [`json`], [`nearest`], [`secret`], [`time`] | error codes and data; text for people |
//! | 1 | [`remote`], [`session`], [`tls`] | files from the network; sessions, and what of them is read; certificates |
//! | 2 | [`claims`] | the claims of a token, and its lifetime |
//! | 3 | [`keys`], [`templates`] | josekit, openssl, aws-lc-rs; handlebars and Go templates |
//! | 4 | [`checks`], [`mint`], [`sources`] | what a request needs; one generation of keys, templates and profiles; sessions of credentials |
//! | 5 | [`config`], [`decision`] | the configuration; from the answer of a source to the decision of a check |
//! | 6 | [`oathkeeper`], [`reload`], [`telemetry`] | Oathkeeper's files; files to generations; metrics, logs, traces |
//! | 7 | [`service`] | admission, cache, signing queue, record |
//! | 8 | [`edge`] | protocol adapters |
//! | 9 | [`app`] | listeners and background tasks |
//! | 10 | [`cli`] | commands |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod app;
pub(crate) mod checks;
pub mod claims;
pub mod cli;
pub mod code;
pub mod config;
pub(crate) mod decision;
pub(crate) mod edge;
#[doc(hidden)]
pub mod escape;
pub mod json;
pub mod keys;
pub mod mint;
pub(crate) mod nearest;
pub(crate) mod oathkeeper;
pub mod reload;
pub mod remote;
pub(crate) mod secret;
pub(crate) mod service;
pub mod session;
pub(crate) mod sources;
pub(crate) mod telemetry;
pub mod templates;
pub mod time;
pub(crate) mod tls;

// A protocol or session source beside HTTP uses parts of this interface that the HTTP adapter does not.
pub use service::{AdmittedRequest, Issuer, Permit};

// Tests, benchmarks and fuzz targets use these items of private modules.
#[doc(hidden)]
pub use edge::http::openapi_document;
#[doc(hidden)]
pub use oathkeeper::{OathkeeperConfig, RuleSource};
#[doc(hidden)]
pub use service::{CacheUse, TokenCache};
#[doc(hidden)]
pub use telemetry::{Gauges, KeySetGauges, Metrics, ProfileGauges, SourceGauges};
