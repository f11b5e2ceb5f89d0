//! claimsmith from outside: the real service over real sockets, and the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod admin;
mod cache;
mod callers;
mod cli;
#[cfg(unix)]
mod connections;
mod depth;
mod discovery;
mod documents;
#[cfg(unix)]
mod faults;
mod framing;
mod go_corpus;
mod hydrate;
mod key_files;
mod layers;
mod mutations;
mod oathkeeper;
mod operations;
mod overload;
mod playground;
mod problems;
mod proofs;
mod redaction;
mod reload;
mod remote;
mod rotation;
mod shutdown;
mod support;
mod tells;
mod threats;
mod time_travel;
mod tls;
mod traps;
mod unix_socket;
