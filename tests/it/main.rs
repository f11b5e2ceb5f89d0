//! Tests of claimsmith from outside: the real service over real sockets, and the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod admin;
mod cache;
mod callers;
mod chart;
mod check_cases;
mod cli;
mod commands;
#[cfg(unix)]
mod connections;
mod depth;
mod discovery;
mod doc_test_references;
mod documents;
mod eviction;
mod extra_cache;
mod fake_issuer;
mod fake_kratos;
#[cfg(unix)]
mod faults;
mod framing;
mod go_corpus;
mod hints;
mod hostile_headers;
#[cfg(unix)]
mod hostile_output;
mod hydrate;
mod introspection;
mod jwt_sources;
mod key_files;
mod layers;
mod mutations;
mod oathkeeper;
mod openapi;
mod operations;
mod ory_proxy;
mod outgoing_proxies;
mod overload;
mod pipelining;
mod playground;
mod problems;
mod protocols;
mod proxies;

mod redaction;
mod refusals;
mod reload;
mod remote;
mod rotation;
mod session_cache;
mod session_extension;
mod session_sources;
mod shutdown;
mod source_redaction;
mod support;
mod telemetry;
mod threats;
mod time_travel;
mod tls;
mod unix_socket;
