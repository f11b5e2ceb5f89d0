//! What a check does with a recorded answer of one of its sources.

use std::fmt;

use super::{admit_session, deny_token, oversized, selected_claims, session_parts};
use crate::checks::{Check, Denial, Finding, OriginalRequest};
use crate::claims::{ClaimsSet, Grant, JwtId, PrivateClaims};
use crate::code::ErrorCode;
use crate::json::ReadLimits;
use crate::keys::CompactJws;
use crate::mint::{IssueError, IssueRequest, Mint, Placement, Profile};
use crate::sources::{CallResult, RecordedAnswer, Rejection, Resolution, ResolvedSession, SourceKind, SourceLimits};
use crate::time::Timestamp;

/// The bytes of a token besides its claims, with ES256.
const HEADER_AND_SIGNATURE: usize = 200;

/// A recorded answer of a source of a check, and the request that it was recorded for.
pub(crate) struct Rehearsal<'r> {
    /// The check.
    pub(crate) check: &'r Check,
    /// The name and the settings of the source.
    pub(crate) source: (&'r str, &'r SourceKind),
    /// Its answer.
    pub(crate) answer: &'r RecordedAnswer,
    /// The request of the client.
    pub(crate) original: OriginalRequest<'r>,
    /// The limits of what a source reads.
    pub(crate) limits: SourceLimits,
    /// The time of the request.
    pub(crate) at: Timestamp,
    /// The identifier of the token.
    pub(crate) jwt_id: JwtId,
    /// Whether a key signs the token.
    pub(crate) is_signed: bool,
}

/// What a check does. `Debug` shows no value of the session.
#[derive(Debug)]
pub(crate) struct Rehearsed {
    /// What the answer says about the session.
    pub(crate) result: SourceResult,
    /// What each requirement says, and the expiry.
    pub(crate) findings: Vec<Finding>,
    /// The decision.
    pub(crate) decision: Result<Passed, Denial>,
}

/// What an answer says about the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceResult {
    /// The metric label.
    pub(crate) result: CallResult,
    /// Why there is no session.
    pub(crate) rejection: Option<Rejection>,
}

/// The response to a request that passes.
pub(crate) struct Passed {
    /// The claims that the template makes.
    pub(crate) private: PrivateClaims,
    /// All claims of the token.
    pub(crate) claims: ClaimsSet,
    /// The header of the token and the scheme before it.
    pub(crate) token_header: (String, Option<String>),
    /// The token, if it is to be signed.
    pub(crate) token: Option<CompactJws>,
    /// The plain headers.
    pub(crate) headers: Vec<(String, String)>,
    /// The dynamic metadata, each with the JSON text of its claim.
    pub(crate) metadata: Vec<(String, String)>,
    /// The values of `Set-Cookie`.
    pub(crate) set_cookies: Vec<String>,
}

impl Passed {
    /// Returns the size of the response head, if it is more than every proxy reads by default.
    pub(crate) fn oversized(&self) -> Option<usize> {
        let estimate = self.claims.as_str().len().div_ceil(3) * 4 + HEADER_AND_SIGNATURE;
        let length = self.token.as_ref().map_or(estimate, |token| token.as_str().len());
        let (name, scheme) = &self.token_header;
        let scheme = scheme.as_ref().map_or(0, |scheme| scheme.len() + 1);
        let token = (name.clone(), "x".repeat(scheme + length));
        let headers: Vec<_> = self.headers.iter().cloned().chain([token]).collect();
        oversized(&headers)
    }
}

impl Rehearsal<'_> {
    /// Decides, with the profiles and keys of `mint`.
    ///
    /// # Errors
    /// Returns what is wrong with the recorded answer.
    pub(crate) fn run(&self, mint: &Mint) -> Result<Rehearsed, String> {
        let (name, kind) = self.source;
        let resolution = kind.read_recorded(self.answer, self.limits, self.at)?;
        let rejection = match resolution {
            Resolution::NoSession(rejection) => Some(rejection),
            _ => None,
        };
        let result = SourceResult { result: resolution.result(), rejection };
        let findings = match &resolution {
            Resolution::Session(session) => self.findings(session),
            _ => Vec::new(),
        };
        // A recorded answer of Kratos can be that of a cookie.
        let is_bearer = matches!(kind, SourceKind::Introspection(_) | SourceKind::Jwt(_));
        let decision = admit_session(self.check, name, resolution, is_bearer, &self.original, self.at)
            .and_then(|session| self.pass(mint, &session));
        Ok(Rehearsed { result, findings, decision })
    }

    fn findings(&self, session: &ResolvedSession) -> Vec<Finding> {
        let expiry = Finding {
            requirement: "expiry",
            expected: format!("after {}", self.at),
            found: session.expires_at.map(|at| at.to_string()),
            is_met: session.expires_at.is_none_or(|at| self.at < at),
        };
        let mut findings = vec![expiry];
        findings.extend(self.check.require.findings(&session.assurance, self.at));
        findings
    }

    fn pass(&self, mint: &Mint, session: &ResolvedSession) -> Result<Passed, Denial> {
        let internal = || Denial::new(ErrorCode::Internal, "");
        let profile = mint.profile(&self.check.profile).ok_or_else(internal)?;
        let Placement::Header { name, scheme } = &profile.spec().placement else { return Err(internal()) };
        let token_header = (name.as_str().to_owned(), scheme.clone());
        let match_context = self.original.match_context();
        let request = self.request(profile, session, &match_context)?;
        let refused = |error: IssueError| deny_token(self.check, &self.original, error.code(), error.to_string());
        let (private, claims) = mint.unsigned_token(&request, self.at, self.jwt_id).map_err(refused)?;
        let token = match self.is_signed {
            true => {
                let params = mint.token_params(&request, self.at).map_err(refused)?;
                let draft = mint.draft(&request, params, || self.jwt_id).map_err(refused)?;
                Some(draft.sign().map_err(refused)?.jws)
            }
            false => None,
        };
        let selected = selected_claims(self.check, claims.as_str().as_bytes(), self.limits.depth);
        let (headers, metadata) = selected.map_err(|_| internal())?;
        let set_cookies = session.set_cookies.clone();
        Ok(Passed { private, claims, token_header, token, headers, metadata, set_cookies })
    }

    fn request<'s>(
        &self,
        profile: &'s Profile,
        session: &'s ResolvedSession,
        match_context: &'s str,
    ) -> Result<IssueRequest<'s>, Denial> {
        let limits = ReadLimits { depth: self.limits.depth };
        let request = IssueRequest::from_parts(profile, session_parts(session, match_context), limits);
        let request = request.map_err(|error| {
            let (code, detail) = (error.code(), error.to_string());
            deny_token(self.check, &self.original, code, detail)
        })?;
        Ok(request.with_grant(Grant { ends_by: session.expires_at, ..Grant::default() }))
    }
}

impl fmt::Debug for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passed").field("headers", &self.headers.len()).finish_non_exhaustive()
    }
}
