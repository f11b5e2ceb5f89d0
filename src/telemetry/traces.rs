//! Data of traces, which does not depend on how spans are exported.

use prometheus_client::metrics::counter::Counter;

use crate::code::ErrorCode;
use crate::sources::CallResult;

/// Counters of exported and lost spans.
#[derive(Clone, Debug, Default)]
pub struct TraceCounts {
    /// Spans that the collector accepted.
    pub exported: Counter,
    /// Spans that were dropped because the queue was full or the export failed.
    pub lost: Counter,
}

/// The attributes that a span gets when its request is answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'t> {
    /// The request ID, the same as in log lines.
    pub request_id: &'t str,
    /// The method, if it is one of the standard ones.
    pub method: &'t str,
    /// The route, a label from a closed set.
    pub route: &'static str,
    /// The name of the span.
    pub name: &'static str,
    /// The status of the response.
    pub status: u16,
    /// The requested profile, if it exists.
    pub profile: Option<&'t str>,
    /// The error code, if the request was rejected.
    pub refused: Option<ErrorCode>,
    /// The returned token, if there is one.
    pub token: Option<TokenFacts<'t>>,
}

/// The attributes of a span that describe the returned token.
#[derive(Clone, Copy, Debug)]
pub struct TokenFacts<'t> {
    /// The `kid` of the signing key.
    pub kid: &'t str,
    /// The signature algorithm.
    pub alg: &'static str,
    /// `true` if the token was signed for an earlier request.
    pub cached: bool,
}

/// The attributes of a span that describes one request to a session source.
#[derive(Clone, Copy, Debug)]
pub struct SourceAnswered<'t> {
    /// The configured name of the source.
    pub source: &'t str,
    /// The result.
    pub result: CallResult,
    /// `true` if the answer is that of an earlier call.
    pub is_cached: bool,
    /// `true` if the request shared the call of another one.
    pub is_shared: bool,
}
