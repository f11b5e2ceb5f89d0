//! From the answer of a session source to the decision of a check, without I/O and without a clock.
//!
//! The service decides with these functions, and [`Rehearsal`] decides with them about a recorded answer, so that both
//! always agree.

mod case;
mod rehearsal;

pub(crate) use case::{CaseContext, CaseResult, CheckCase, RecordedRequest, recorded_source, run_case_files};
pub(crate) use rehearsal::{Passed, Rehearsal, Rehearsed};

use std::sync::Arc;

use crate::checks::{Check, Denial, OriginalRequest, Reason, plain_headers};
use crate::code::ErrorCode;
use crate::json::{Json, JsonError, MemberPath, ReadLimits};
use crate::session::SessionParts;
use crate::sources::{Resolution, ResolvedSession};
use crate::time::Timestamp;

/// Returns the session of `resolution`, the answer of `source`, if it satisfies `check` at `now`. `is_bearer` is `true` if the
/// credential was a bearer token.
///
/// # Errors
/// A [`Denial`] of the request `original`.
pub(crate) fn admit_session(
    check: &Check,
    source: &str,
    resolution: Resolution,
    is_bearer: bool,
    original: &OriginalRequest<'_>,
    now: Timestamp,
) -> Result<Arc<ResolvedSession>, Denial> {
    let denied = |reason| check.deny(reason, original);
    let session = match resolution {
        Resolution::Session(session) => session,
        Resolution::NoSession(_) if is_bearer => return Err(denied(Reason::NoSession).of_bearer_token()),
        Resolution::NoSession(_) => return Err(denied(Reason::NoSession)),
        Resolution::StepUp(step_up) => return Err(denied(Reason::StepUp(&step_up.redirect_browser_to))),
        Resolution::RateLimited(limited) => {
            let detail = format!("session source {source}: it limits its callers; try again later");
            let denial = Denial::new(ErrorCode::SourceRateLimited, detail);
            return Err(Denial { headers: limited.headers.clone(), ..denial });
        }
        Resolution::Unavailable(unavailable) => {
            let detail = format!("session source {source}: {}", unavailable.message);
            return Err(Denial::new(ErrorCode::SourceUnavailable, detail));
        }
    };
    match check.require.shortfall(&session.assurance, now) {
        Some(shortfall) => Err(denied(Reason::Shortfall(shortfall))),
        None => Ok(session),
    }
}

/// Returns the parts of a session as templates see them.
pub(crate) fn session_parts<'s>(session: &'s ResolvedSession, match_context: &'s str) -> SessionParts<'s> {
    SessionParts {
        subject: session.subject.as_str().into(),
        extra: Some(&session.extra),
        header: None,
        match_context: Some(match_context),
    }
}

/// Returns the denial of a session that gets no token.
pub(crate) fn deny_token(check: &Check, original: &OriginalRequest<'_>, code: ErrorCode, detail: String) -> Denial {
    match code {
        // The source returned it, so it ended a moment ago or the clocks differ. A plain login would do nothing then.
        ErrorCode::SessionExpired | ErrorCode::SessionInactive => check.deny(Reason::Ended, original),
        _ => Denial::new(code, detail),
    }
}

/// The most bytes of a response head that every proxy reads by default: nginx has 4 KiB on most platforms.
const SMALLEST_BUFFER: usize = 4096;
/// The bytes of a response head besides the headers of a check, rounded up.
const USUAL_HEAD: usize = 256;

/// Returns the size of a response head with `headers`, if it is more than every proxy reads by default.
pub(crate) fn oversized(headers: &[(String, String)]) -> Option<usize> {
    // A colon, a space and a line end belong to each.
    let size: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    Some(size + USUAL_HEAD).filter(|size| *size > SMALLEST_BUFFER)
}

/// Names with texts.
pub(crate) type Pairs = Vec<(String, String)>;

/// Returns the plain headers and the dynamic metadata of `check` for the claims of a token, whose session had at most
/// `depth` levels.
///
/// # Errors
/// Returns an error if the claims are not JSON.
pub(crate) fn selected_claims(check: &Check, claims: &[u8], depth: usize) -> Result<(Pairs, Pairs), JsonError> {
    if check.headers.is_empty() && check.metadata.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    // The template could have more levels than a session.
    let claims = Json::parse(claims, ReadLimits { depth: depth.saturating_add(64) })?;
    let headers = plain_headers(check, &claims).into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    let found = |(name, path): &(String, MemberPath)| Some((name.clone(), path.find(&claims)?.to_string()));
    Ok((headers, check.metadata.iter().filter_map(found).collect()))
}
