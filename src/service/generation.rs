//! The generation that serves requests, replaced as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::callers::Callers;
use crate::checks::Check;
use crate::json::ReadLimits;
use crate::mint::{Mint, TemplateSources};
use crate::sources::Sources;
use crate::tls::ClientAuthority;

/// One generation with everything that is reloaded with it. A request takes it once, so a reload does not affect it.
#[derive(Debug)]
pub struct ServedGeneration {
    /// The keys, templates and profiles.
    pub mint: Arc<Mint>,
    /// The texts of its templates, if the playground is on.
    pub sources: Option<Arc<TemplateSources>>,
    /// The callers that can request tokens.
    pub callers: Callers,
    /// The session sources of checks.
    pub session_sources: Sources,
    /// The checks, by name.
    pub checks: BTreeMap<String, Check>,
    /// The authority for client certificates.
    pub client_authority: Option<Arc<ClientAuthority>>,
    /// The limits of a request.
    pub limits: ServiceLimits,
    /// The URL of the API listener for verifiers, without a trailing slash; `None` if it is not configured and cannot
    /// be derived.
    pub public_url: Option<String>,
    /// Seconds for which verifiers can cache a key set.
    pub jwks_max_age: u64,
}

/// The limits of a request.
#[derive(Clone, Copy, Debug)]
pub struct ServiceLimits {
    /// Bytes of a body.
    pub body: usize,
    /// Nested arrays and objects in a session.
    pub depth: usize,
    /// Bytes of the request headers.
    pub header: usize,
    /// Time from the request head to the response.
    pub request: Duration,
    /// Requests for tokens that are processed at once.
    pub in_flight: usize,
    /// Failed authentications from one address in a minute before it is throttled.
    pub failed_attempts: u32,
    /// The delay of a throttled response.
    pub failed_delay: Duration,
}

impl ServiceLimits {
    /// Returns the limits for reading a session.
    pub(crate) fn read_limits(&self) -> ReadLimits {
        ReadLimits { depth: self.depth }
    }
}
