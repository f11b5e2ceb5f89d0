//! The section `limits`: what one request and one token may cost.

use std::time::Duration;

use super::fault::Faults;
use super::field::{Kind, Presence, Section, field, section};
use super::read::{Mapping, count, duration, size};

/// What one request and one token may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of a request body.
    pub body: usize,
    /// Nesting depth of arrays and objects.
    pub depth: usize,
    /// Bytes of rendered claims.
    pub claims: usize,
    /// Steps of one rendering.
    pub template_work: u64,
    /// Bytes of the header block of a request.
    pub header: usize,
    /// How long a request may take.
    pub request: Duration,
    /// Concurrent connections of the API listener and the gRPC listener together, over all workers.
    pub connections: usize,
    /// Concurrent connections of one address; equal to `connections` if not limited.
    pub connections_per_peer: usize,
    /// The age after which a response is the last one of its connection; zero if there is no limit.
    pub connection_age: Duration,
    /// Bytes of the token cache; 0 disables the cache.
    pub token_cache: usize,
    /// Token requests in progress at once.
    pub in_flight: usize,
    /// Failed authentications of one address per minute before it is throttled.
    pub failed_attempts: u32,
    /// How long the response to a failed authentication is then delayed.
    pub failed_delay: Duration,
    /// How long an idle connection stays open; zero closes after each response.
    pub keep_alive: Duration,
    /// Bytes of a remote key set.
    pub key_set: usize,
    /// How long the fetch of a remote key set may take.
    pub key_fetch: Duration,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

pub(super) static LIMITS: Section = section(&[
    field(
        "body",
        "Body",
        "Bytes of a request body.",
        Kind::Size { least: KIB, most: 256 * MIB },
        Presence::Default("1MiB"),
        &["1MiB", "65536"],
    ),
    field(
        "depth",
        "Depth",
        "Nesting depth of arrays and objects in a session and in rendered claims.",
        Kind::Count { least: 8, most: 512 },
        Presence::Default("192"),
        &["192"],
    ),
    field(
        "claims",
        "Claims",
        "Bytes of the claims of a token, including the registered claims.",
        Kind::Size { least: 256, most: 16 * MIB },
        Presence::Default("64KiB"),
        &["64KiB"],
    ),
    field(
        "template_work",
        "Template work",
        "Steps of one rendering. Each expression, iteration and value that a helper reads is one step; texts and \
         searches cost steps by the bytes that are read. The default is chosen so that no rendering takes 50 ms.",
        Kind::Count { least: 100, most: 1_000_000_000 },
        Presence::Default("100000"),
        &["100000"],
    ),
    field(
        "header",
        "Header",
        "Bytes of the header block of a request.",
        Kind::Size { least: 4 * KIB, most: 120 * KIB },
        Presence::Default("64KiB"),
        &["64KiB"],
    ),
    field(
        "request",
        "Request",
        "How long a request may take, from its first byte to its response. A TLS handshake and reading the \
         response have the same limit.",
        Kind::Duration { least_in_ms: 10 },
        Presence::Default("5s"),
        &["5s", "500ms"],
    ),
    field(
        "connections",
        "Connections",
        "Concurrent connections of the API and gRPC listeners together, over all workers. Requests on further \
         connections get 503.",
        Kind::Count { least: 1, most: 1_000_000 },
        Presence::Default("1024"),
        &["1024"],
    ),
    field(
        "connections_per_peer",
        "Connections per peer",
        "Concurrent connections of one address. Requests on further connections get 429. A gateway is one \
         address, so allow as many as it opens. IPv6 hosts are counted by /64; Unix sockets are not counted.",
        Kind::Count { least: 1, most: 1_000_000 },
        Presence::DefaultInWords("equal to `connections`"),
        &["256"],
    ),
    field(
        "connection_age",
        "Connection age",
        "After how long a response is the last one on its connection, which it announces with `Connection: close`. \
         0s sets no limit.",
        Kind::Duration { least_in_ms: 0 },
        Presence::Default("1h"),
        &["1h", "0s"],
    ),
    field(
        "in_flight",
        "In flight",
        "Token requests in progress at once, over all workers. Further requests get 503 immediately.",
        Kind::Count { least: 1, most: 1_000_000 },
        Presence::Default("1024"),
        &["1024", "256"],
    ),
    field(
        "failed_attempts",
        "Failed attempts",
        "Failed authentications of one address per minute before further failures are throttled. Successful \
         ones are never throttled.",
        Kind::Count { least: 1, most: 1_000_000 },
        Presence::Default("20"),
        &["20"],
    ),
    field(
        "failed_delay",
        "Failed delay",
        "How long the response to a throttled failure is delayed. It must be shorter than the gateway's \
         timeout (Oathkeeper: 1s), otherwise the gateway retries.",
        Kind::Duration { least_in_ms: 0 },
        Presence::Default("250ms"),
        &["250ms", "0s"],
    ),
    field(
        "token_cache",
        "Token cache",
        "Bytes of the token cache: tokens, their cache keys and, in a quarter of the space, parsed sessions. \
         0 disables the cache.",
        Kind::Size { least: 0, most: 64 * 1024 * MIB },
        Presence::Default("32MiB"),
        &["32MiB", "0"],
    ),
    field(
        "key_set",
        "Key set",
        "Bytes of a remote key set. A larger response is rejected, and the last good key set stays in use.",
        Kind::Size { least: KIB, most: 64 * MIB },
        Presence::Default("1MiB"),
        &["1MiB"],
    ),
    field(
        "key_fetch",
        "Key fetch",
        "How long the fetch of a remote key set may take.",
        Kind::Duration { least_in_ms: 10 },
        Presence::Default("10s"),
        &["10s", "2s"],
    ),
    field(
        "keep_alive",
        "Keep-alive",
        "How long an idle connection stays open. It must be longer than in the gateway (Go: 90s), otherwise \
         requests fail on connections that are closing. 0s closes after each response.",
        Kind::Duration { least_in_ms: 0 },
        Presence::Default("2m"),
        &["2m", "0s"],
    ),
]);

/// Reads the section.
pub(super) fn limits(limits: &Mapping<'_>, faults: &mut Faults) -> Option<Limits> {
    let body = limits.value("body", faults, size);
    let depth = limits.value("depth", faults, count);
    let claims = limits.value("claims", faults, size);
    let template_work = limits.value("template_work", faults, count);
    let header = limits.value("header", faults, size);
    let request = limits.value("request", faults, duration);
    let connections = limits.value("connections", faults, count);
    let token_cache = limits.value("token_cache", faults, size);
    let in_flight = limits.value("in_flight", faults, count);
    let failed_attempts = limits.value("failed_attempts", faults, count);
    let failed_delay = limits.value("failed_delay", faults, duration);
    let connection_age = limits.value("connection_age", faults, duration);
    let keep_alive = limits.value("keep_alive", faults, duration);
    let per_peer = limits.optional("connections_per_peer", faults, count);
    let key_set = limits.value("key_set", faults, size);
    let key_fetch = limits.value("key_fetch", faults, duration);
    let connections = usize::try_from(connections?).ok()?;
    Some(Limits {
        body: body?,
        depth: usize::try_from(depth?).ok()?,
        claims: claims?,
        template_work: template_work?,
        header: header?,
        request: request?,
        connections,
        connections_per_peer: match per_peer? {
            Some(count) => usize::try_from(count).ok()?,
            None => connections,
        },
        connection_age: connection_age?,
        token_cache: token_cache?,
        in_flight: usize::try_from(in_flight?).ok()?,
        failed_attempts: u32::try_from(failed_attempts?).ok()?,
        failed_delay: failed_delay?,
        keep_alive: keep_alive?,
        key_set: key_set?,
        key_fetch: key_fetch?,
    })
}
