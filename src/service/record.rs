//! The record of a request: metrics, log, audit log and traces, all from its result and in one place.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::field::display;
use tracing::{debug, warn};

use super::asked::AskedName;
use super::completion::{Comparison, Completion};
use super::outcome::{CacheUse, Outcome, Refusal};
use super::peer::{CallerName, Requester};
use super::request_id::RequestId;
use super::shadow::ShadowResult;
use super::shadow_log::ShadowLog;
use crate::claims::RegisteredClaim;
use crate::code::ErrorCode;
use crate::sources::{CacheLookup as SessionLookup, Rejection, Resolution, Resolved};
use crate::telemetry::{
    Answered, Audit, CacheLookup, Issued, Metrics, ProfileResult, Refused, RequestSpan, RouteMetrics, SourceAnswered,
    SourceSpan, SpanParent, TokenFacts, Traces, UNKNOWN,
};
use crate::time::Timestamp;

/// The target of log lines about requests. It does not follow the module path, because operators filter by it.
const LOG_TARGET: &str = "claimsmith::edge";

/// Records the requests of a running service.
#[derive(Debug)]
pub struct Recorder {
    metrics: Arc<Metrics>,
    audit: Option<Audit>,
    traces: Option<Traces>,
    /// The profiles whose templates were seen to set registered claims.
    overridden: Mutex<BTreeSet<String>>,
    /// The checks whose responses were seen to be larger than the buffers of some proxies.
    oversized: Mutex<BTreeSet<String>>,
    shadow_log: ShadowLog,
}

/// One request and its result, as the adapter of a protocol saw it.
#[derive(Debug)]
pub struct Exchange<'e> {
    /// The identifier of the request.
    pub request_id: RequestId,
    /// Its route.
    pub route: &'e RouteMetrics,
    /// Its method, if it is one of the standard ones.
    pub method: &'e str,
    /// The status of the response.
    pub status: u16,
    /// The time from the request head to the response.
    pub elapsed: Duration,
    /// The time of the response.
    pub at: Timestamp,
    /// The address of the client; `None` on a Unix socket.
    pub peer: Option<IpAddr>,
    /// The profile that it names, as the client wrote it; only needed with a span or a refusal.
    pub asked: Option<&'e str>,
    /// The same if it is configured.
    pub profile: Option<&'e str>,
    /// Its token or comparison, if it has one, or why it was refused.
    pub result: Result<Option<&'e Completion>, &'e Refusal>,
}

impl Recorder {
    /// Returns a recorder; the audit log and traces are optional.
    pub fn new(metrics: Arc<Metrics>, audit: Option<Audit>, traces: Option<Traces>) -> Self {
        Self {
            metrics,
            audit,
            traces,
            overridden: Mutex::default(),
            oversized: Mutex::default(),
            shadow_log: ShadowLog::default(),
        }
    }

    /// Returns the metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Returns the audit log.
    pub fn audit(&self) -> Option<&Audit> {
        self.audit.as_ref()
    }

    /// Returns the traces.
    pub fn traces(&self) -> Option<&Traces> {
        self.traces.as_ref()
    }

    /// Returns `true` if the audit log records subjects.
    pub(super) fn audits_subject(&self) -> bool {
        self.audit.as_ref().is_some_and(Audit::records_subject)
    }

    /// Starts the span of a request with this `traceparent`; `None` if it is not recorded.
    pub fn start_span(&self, traceparent: Option<&str>) -> Option<RequestSpan> {
        self.traces.as_ref()?.request(traceparent)
    }

    /// Starts the span of a request to a session source; `None` if the request is not recorded.
    pub(super) fn start_source_span(&self, parent: Option<&SpanParent>) -> Option<SourceSpan> {
        self.traces.as_ref().zip(parent).map(|(traces, parent)| traces.source(parent))
    }

    /// Records the answer of a session source, and the call that was made for it.
    pub(super) fn source_answered(&self, source: &str, resolved: &Resolved, span: Option<SourceSpan>) {
        if let Some(call) = &resolved.call {
            self.metrics.session_sources().call(source, call.result.as_str(), call.elapsed);
            if let Some(extension) = call.extension {
                self.metrics.session_sources().extension(source, extension.as_str());
            }
        }
        if let Resolution::NoSession(rejection) = resolved.resolution {
            self.rejected(source, rejection);
        }
        if let Some(lookup) = resolved.lookup {
            self.metrics.session_sources().lookup(source, lookup.as_str());
        }
        if let Some(span) = span {
            let is_cached = matches!(resolved.lookup, Some(SessionLookup::Hit | SessionLookup::Stale));
            let is_shared = resolved.is_shared;
            span.end(&SourceAnswered { source, result: resolved.resolution.result(), is_cached, is_shared });
        }
    }

    /// Records that a credential has no session.
    pub(super) fn rejected(&self, source: &str, rejection: Rejection) {
        self.metrics.session_sources().rejection(source, rejection.as_str());
    }

    /// Records a request once its response is known.
    pub fn finish(&self, exchange: &Exchange<'_>, span: Option<RequestSpan>) {
        let Exchange { request_id, route, method, status, elapsed, profile, result, .. } = *exchange;
        self.metrics.request(route, status, elapsed.as_secs_f64());
        match result {
            Ok(completion) => {
                match completion {
                    Some(Completion::Compared(comparison)) => self.compared(exchange, comparison),
                    Some(Completion::Issued(outcome)) => self.issued(request_id, outcome),
                    None => {}
                }
                debug!(target: LOG_TARGET, %request_id, route = route.label(), status, "request answered");
            }
            Err(refusal) => self.refused(exchange, refusal),
        }
        let Some(span) = span else { return };
        let outcome = result.ok().flatten().and_then(|completion| match completion {
            Completion::Compared(_) => None,
            Completion::Issued(outcome) => Some(outcome),
        });
        let token = outcome.map(|outcome| TokenFacts {
            kid: outcome.token.kid.as_str(),
            alg: outcome.token.alg.as_str(),
            cached: outcome.cache == CacheUse::Hit,
        });
        span.end(&Answered {
            request_id: request_id.as_str(),
            method,
            route: route.label(),
            name: route.span(),
            status,
            profile,
            refused: result.err().map(|refusal| refusal.code),
            token,
        });
    }

    /// Counts a comparison, and logs it if no equal one was logged in the last minute.
    fn compared(&self, exchange: &Exchange<'_>, comparison: &Comparison) {
        let Exchange { request_id, route, peer, .. } = *exchange;
        let Comparison { profile, at, caller, result } = comparison;
        let (route, caller, peer) =
            (route.label(), caller.as_ref().map_or(UNKNOWN, CallerName::as_str), peer.map(display));
        self.metrics.shadow_compared(profile.as_str(), result.name());
        let admit = |kind: &str| self.shadow_log.admit(profile, &format!("{} {kind}", result.name()), *at);
        match result {
            ShadowResult::Different(paths) => {
                // A name can contain spaces and dots, so the paths are a JSON array.
                let paths = serde_json::json!(paths).to_string();
                if let Some(suppressed) = admit(&paths) {
                    warn!(target: LOG_TARGET, %request_id, route, %profile, caller, peer, paths, suppressed, "shadow: claims differ from the session's token");
                }
            }
            ShadowResult::Equal => {
                debug!(target: LOG_TARGET, %request_id, route, %profile, caller, peer, "shadow: claims equal")
            }
            ShadowResult::Failed(detail) => {
                if let Some(suppressed) = admit(detail) {
                    warn!(target: LOG_TARGET, %request_id, route, %profile, caller, peer, detail, suppressed, "shadow: nothing to compare with");
                }
            }
            ShadowResult::Refused(Refusal { code, detail, .. }) => {
                if let Some(suppressed) = admit(&format!("{code} {detail}")) {
                    warn!(target: LOG_TARGET, %request_id, route, %profile, caller, peer, %code, %detail, suppressed, "shadow: session would get no token");
                }
            }
        }
    }

    /// Counts, logs and audits a refusal. Labels are configured names, because clients can make up others.
    fn refused(&self, exchange: &Exchange<'_>, refusal: &Refusal) {
        let Exchange { request_id, route, status, at, peer, asked, profile, .. } = *exchange;
        let Refusal { code, detail, rejection, requester } = refusal;
        let caller = requester.caller().map(CallerName::as_str);
        let (profile_label, caller_label) = (profile.unwrap_or(UNKNOWN), caller.unwrap_or(UNKNOWN));
        self.metrics.failure(*code, profile_label, caller_label);
        if *requester != Requester::Unauthenticated {
            let result = if code.is_about_login() { ProfileResult::Login } else { ProfileResult::Refused };
            self.metrics.profile_request(profile_label, result);
        }
        // With other codes the name was not looked up, or the client may not be a gateway.
        let is_about_profile = matches!(code, ErrorCode::CallerForbidden | ErrorCode::ProfileUnknown);
        let asked = asked.filter(|_| is_about_profile && profile.is_none()).map(|name| display(AskedName(name)));
        // Requests without a session are part of the usual traffic behind a proxy.
        let reason = rejection.map(Rejection::as_str);
        if code.is_about_login() && rejection.is_none_or(Rejection::is_usual) {
            debug!(
                target: LOG_TARGET, %request_id, route = route.label(), status, profile = profile_label,
                caller = caller_label, peer = peer.map(display), reason, %code, %detail, "request refused"
            );
        } else {
            warn!(
                target: LOG_TARGET, %request_id, route = route.label(), status, profile = profile_label,
                caller = caller_label, peer = peer.map(display), asked, reason, %code, %detail, "request refused"
            );
        }
        if let Some(audit) = &self.audit
            && route.issues_tokens()
        {
            audit.refused(&Refused { at, request_id: request_id.as_str(), caller, profile, peer, status, code: *code });
        }
    }

    fn issued(&self, request_id: RequestId, outcome: &Outcome) {
        let Outcome { token, cache, at, caller, subject } = outcome;
        self.metrics.profile_request(token.profile.as_str(), ProfileResult::Issued);
        if *cache != CacheUse::Hit {
            self.metrics.issued(token.profile.as_str(), token.alg.as_str());
            self.warn_of_overridden(token.profile.as_str(), &token.overridden);
        }
        match cache {
            CacheUse::Hit => self.metrics.cache_lookup(CacheLookup::Hit),
            CacheUse::Miss => self.metrics.cache_lookup(CacheLookup::Miss),
            CacheUse::Off => {}
        }
        if let Some(audit) = &self.audit {
            audit.issued(&Issued {
                at: *at,
                request_id: request_id.as_str(),
                caller: caller.as_ref().map(|caller| caller.as_str()),
                profile: token.profile.as_str(),
                jti: &token.jti.to_string(),
                subject: subject.as_deref().unwrap_or_default(),
                kid: token.kid.as_str(),
                alg: token.alg.as_str(),
                expires_at: token.expires_at,
                cached: *cache == CacheUse::Hit,
            });
        }
    }

    /// Logs once for each check that its response head has so many bytes, more than some proxies read by default.
    pub(super) fn warn_of_size(&self, check: &str, bytes: usize) {
        let mut known = self.oversized.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(check) {
            known.insert(check.to_owned());
            drop(known);
            let advice =
                "raise the header buffer of the proxy, such as proxy_buffer_size of nginx, or make the claims smaller";
            warn!(target: LOG_TARGET, check, bytes, advice, "response head larger than the default buffers of proxies");
        }
    }

    /// Logs once for each profile that its template sets registered claims.
    fn warn_of_overridden(&self, profile: &str, claims: &[RegisteredClaim]) {
        if claims.is_empty() {
            return;
        }
        let mut known = self.overridden.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(profile) {
            known.insert(profile.to_owned());
            drop(known);
            let claims: Vec<_> = claims.iter().map(|claim| claim.name()).collect();
            warn!(target: LOG_TARGET, profile, claims = claims.join(" "), "the template sets registered claims, which are overridden");
        }
    }
}
