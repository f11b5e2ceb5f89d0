//! A request behind a proxy: from its credentials to a session, and from the session to a token. Shared by every proxy
//! protocol.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::admission::{Authenticated, Permit};
use super::generation::ServedGeneration;
use super::issuer::Issuer;
use super::outcome::{Outcome, Refusal};
use crate::checks::{Check, Denial, OriginalRequest, Reason};
use crate::claims::Grant;
use crate::code::ErrorCode;
use crate::decision::{Pairs, admit_session, deny_token, oversized, selected_claims, session_parts};
use crate::mint::Placement;
use crate::sources::{
    CacheLookup, Credential, Rejection, RequestCredentials, Resolution, Resolved, ResolvedSession, Source,
};
use crate::telemetry::{SpanParent, UNKNOWN};

/// A request behind a proxy, as the adapter of the proxy's protocol read it.
#[derive(Debug)]
pub(crate) struct ProxiedRequest<'r> {
    /// The name of the check.
    pub check: &'r str,
    /// The original request, or why it cannot be known. Peers that are not trusted do not learn the reason.
    pub original: Result<OriginalRequest<'r>, Refusal>,
    /// The credentials of the original request.
    pub credentials: RequestCredentials<'r>,
    /// The names of the headers that have a character other than letters, digits and dashes.
    pub unusual: Vec<&'r str>,
}

/// A request that passed its check. `Debug` shows no value of the session.
pub(crate) struct Allowed {
    /// The token.
    pub outcome: Outcome,
    /// The header of the token and every plain header, in lower case, each exactly once.
    pub headers: Vec<(String, String)>,
    /// The dynamic metadata of the check, each with the JSON text of its claim. Missing claims are left out.
    pub metadata: Vec<(String, String)>,
    /// The session, with the values of `Set-Cookie` with which its source renews the session cookie.
    pub session: Arc<ResolvedSession>,
}

/// Why a request that was admitted does not pass.
struct Failure {
    denial: Denial,
    /// Why its credential was rejected, which the client does not learn.
    rejection: Option<Rejection>,
}

/// A request that did not pass, for the response and for the record.
#[derive(Debug)]
pub(crate) struct Denied {
    /// What the client is answered.
    pub denial: Denial,
    /// What is recorded, with who was refused.
    pub refusal: Refusal,
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self { denial: Denial::new(refusal.code, refusal.detail.as_str()), refusal }
    }
}

impl Issuer {
    /// Checks `request`, which the `authenticated` peer describes, and issues its token.
    ///
    /// # Errors
    /// [`Denied`] for the peer, the request, or its session.
    pub(crate) async fn check(
        &self,
        authenticated: Authenticated<'_>,
        request: ProxiedRequest<'_>,
        span: Option<&SpanParent>,
    ) -> Result<Allowed, Denied> {
        let generation = authenticated.generation();
        let check = generation.checks.get(request.check);
        let profile = check.map_or("", |check| check.profile.as_str());
        let permit = self.admit_authenticated(authenticated, profile).await?;
        let refuse = permit.refuser();
        let checked = async { self.check_admitted(permit, check.ok_or_else(unknown_check)?, request, span).await };
        checked.await.map_err(|Failure { denial, rejection }| {
            let refusal = Refusal { rejection, ..Refusal::new(denial.code, denial.detail.as_str()) };
            Denied { denial, refusal: refuse(refusal) }
        })
    }

    async fn check_admitted(
        &self,
        permit: Permit<'_>,
        check: &Check,
        request: ProxiedRequest<'_>,
        span: Option<&SpanParent>,
    ) -> Result<Allowed, Failure> {
        let generation = permit.generation();
        let original = request.original?;
        let token_header = token_header(generation, check)?.0;
        if request.unusual.iter().any(|name| check.is_lookalike(name, token_header)) {
            return Err(lookalike().into());
        }
        let denied = |reason| check.deny(reason, &original);
        let found = generation.session_sources.find(&check.sources, &request.credentials);
        let found = found.map_err(|error| Denial::new(ErrorCode::SessionAmbiguous, error.to_string()))?;
        let Some((source, credential)) = found else {
            let rejection = request.credentials.has_bearer().then_some(Rejection::NoSource);
            if let Some(rejection) = rejection {
                self.recorder().rejected(UNKNOWN, rejection);
            }
            let denial = denied(Reason::NoSession);
            return Err(Failure {
                denial: if rejection.is_some() { denial.of_bearer_token() } else { denial },
                rejection,
            });
        };
        let mut resolved = self.resolve(source, &credential, false, span).await;
        let lacks_login = |resolution: &Resolution| match resolution {
            Resolution::Session(session) => check.require.shortfall(&session.assurance, self.now()).is_some(),
            _ => false,
        };
        if resolved.lookup == Some(CacheLookup::Hit) && lacks_login(&resolved.resolution) {
            // The person can have logged in again since the session was cached.
            resolved = self.resolve(source, &credential, true, span).await;
        }
        let rejection = match resolved.resolution {
            Resolution::NoSession(rejection) => Some(rejection),
            _ => None,
        };
        let (name, is_bearer) = (source.name(), credential.is_bearer());
        let session = admit_session(check, name, resolved.resolution, is_bearer, &original, self.now())
            .map_err(|denial| Failure { denial, rejection })?;
        let match_context = original.match_context();
        let parts = session_parts(&session, &match_context);
        let grant = Grant { ends_by: session.expires_at, ..Grant::default() };
        let issued = async { self.issue(permit.read_parts(parts)?.with_grant(grant)).await };
        let outcome =
            issued.await.map_err(|Refusal { code, detail, .. }| deny_token(check, &original, code, detail))?;
        let (headers, metadata) = outputs(generation, check, &outcome)?;
        if let Some(bytes) = oversized(&headers) {
            self.recorder().warn_of_size(request.check, bytes);
        }
        Ok(Allowed { outcome, headers, metadata, session })
    }
}

impl Issuer {
    /// Resolves the credential of `credentials` with the source `name`, for an operator. The call is recorded like one for a
    /// request behind a proxy.
    ///
    /// # Errors
    /// `session.ambiguous`, and `request.malformed` if there is no such source, or no credential for it.
    pub(crate) async fn resolve_session(
        &self,
        generation: &ServedGeneration,
        name: &str,
        credentials: &RequestCredentials<'_>,
    ) -> Result<Resolution, Refusal> {
        let names = [name.to_owned()];
        let found = generation.session_sources.find(&names, credentials);
        let found = found.map_err(|error| Refusal::new(ErrorCode::SessionAmbiguous, error.to_string()))?;
        let Some((source, credential)) = found else {
            let detail = "expected a configured source and a credential that it takes, found another";
            return Err(Refusal::new(ErrorCode::RequestMalformed, detail));
        };
        Ok(self.resolve(source, &credential, false, None).await.resolution)
    }

    /// Resolves a credential, without the answers of earlier calls if `is_anew`, and records the answer.
    async fn resolve(
        &self,
        source: &Source,
        credential: &Credential,
        is_anew: bool,
        span: Option<&SpanParent>,
    ) -> Resolved {
        let source_span = self.recorder().start_source_span(span);
        let now = self.now();
        let resolved = match is_anew {
            true => source.resolve_anew(credential, now).await,
            false => source.resolve(credential, now).await,
        };
        self.recorder().source_answered(source.name(), &resolved, source_span);
        resolved
    }
}

/// Returns the name of the header of the token, and the scheme before the token.
fn token_header<'g>(generation: &'g ServedGeneration, check: &Check) -> Result<(&'g str, Option<&'g str>), Refusal> {
    let profile = generation.mint.profile(&check.profile).ok_or_else(Refusal::unknown_profile)?;
    match &profile.spec().placement {
        Placement::Header { name, scheme } => Ok((name.as_str(), scheme.as_deref())),
        // The configuration rejects other placements.
        Placement::Extra(_) => Err(Refusal::internal()),
    }
}

/// Returns the header of the token and every plain header, and the dynamic metadata.
fn outputs(generation: &ServedGeneration, check: &Check, outcome: &Outcome) -> Result<(Pairs, Pairs), Refusal> {
    let (name, scheme) = token_header(generation, check)?;
    let token = outcome.token.jws.as_str();
    let value = scheme.as_ref().map_or_else(|| token.to_owned(), |scheme| format!("{scheme} {token}"));
    let mut headers = vec![(name.to_ascii_lowercase(), value)];
    if check.headers.is_empty() && check.metadata.is_empty() {
        return Ok((headers, Vec::new()));
    }
    let payload = token.split('.').nth(1).and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
    let payload = payload.ok_or_else(Refusal::internal)?;
    let selected = selected_claims(check, &payload, generation.limits.depth).map_err(|_| Refusal::internal())?;
    headers.extend(selected.0);
    Ok((headers, selected.1))
}

fn unknown_check() -> Denial {
    let detail = "expected the name of a configured check, found a name that is not configured";
    Denial::new(ErrorCode::CheckUnknown, detail)
}

fn lookalike() -> Denial {
    let detail = "expected no header whose name is one of the check's headers with other characters for its dashes, found \
                  one; some services cannot tell the two apart";
    Denial::new(ErrorCode::RequestLookalike, detail)
}

impl From<Denial> for Failure {
    fn from(denial: Denial) -> Self {
        Self { denial, rejection: None }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Denial::from(refusal).into()
    }
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code, refusal.detail)
    }
}

impl fmt::Debug for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allowed").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}
