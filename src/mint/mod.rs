//! The mint: one validated, immutable generation of keys, templates and profiles.
//!
//! A token is made in three steps. [`Mint::token_params`] needs no template and is cheap, [`Mint::draft`] renders the
//! claims, [`Draft::sign`] signs them. A cache can answer after the first. All steps are pure: time and the token's
//! identifier are arguments. This is the only module in which templates and keys meet.

mod build;
mod identity;
mod listing;
mod names;
mod parts;
mod profile;
mod request;
mod schema;
mod spec;
mod token;
mod trial;

pub use build::{BuildError, BuildFault, FaultPointer};
pub(crate) use identity::ProfileIdentity;
pub(crate) use listing::{MOST_LISTED, MOST_NAMED, listed, one_line};
pub(crate) use names::is_token;
pub use names::{HeaderName, ProfileName};
pub use parts::{CheckCaseFile, GenerationParts, TemplateFiles};
pub use profile::Profile;
pub use request::{CacheKey, IssueRequest};
pub use schema::{ClaimsSchema, SchemaError};
pub use spec::{Caching, Placement, ProfileSpec, Validate};
pub use token::{Draft, IssueError, IssuedToken, RenderedClaims, TokenParams, UnsignedClaims};
pub use trial::{TemplateSources, Trial, TrialFault, TrialPart, Tried, UnsignedToken, try_conversion};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::claims::{ClaimsSet, JwtId, Lifetime, LifetimeError, PrivateClaims, Registered, lifetime};
use crate::json::Json;
use crate::keys::{KeySet, PublicJwk};
use crate::templates::{RenderInput, RenderLimits};
use crate::time::{Timestamp, Ttl};

/// A validated generation.
#[derive(Debug)]
pub struct Mint {
    profiles: BTreeMap<ProfileName, Profile>,
    key_sets: BTreeMap<String, ProvenSet>,
    limits: RenderLimits,
    longest_ttl: BTreeMap<String, Ttl>,
}

/// A key set and the digest of the bytes that it was read from.
#[derive(Debug)]
struct ProvenSet {
    digest: [u8; 32],
    set: Arc<KeySet>,
}

impl Mint {
    /// Returns the profile `name`.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(name)
    }

    /// Returns all profiles, ordered by name.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.values()
    }

    /// Returns the subject, signing key and lifetime of a token for `request` at `now`.
    ///
    /// # Errors
    /// The variants of [`IssueError`] that do not concern the template: no subject, no lifetime left, no key.
    pub fn token_params<'m>(&self, request: &IssueRequest<'m>, now: Timestamp) -> Result<TokenParams<'m>, IssueError> {
        let subject = subject(request)?;
        let profile = request.profile();
        let spec = &profile.spec;
        let signer = profile.keys.signer(now, spec.alg)?;
        let key_end = signer.publication_end(self.longest_ttl(profile));
        let lifetime = lifetime_of(request, key_end, now)?;
        Ok(TokenParams { signer, subject, lifetime })
    }

    /// Renders and completes the claims of a token; `jwt_id` is called once.
    ///
    /// # Errors
    /// The variants of [`IssueError`] that concern the template and its claims.
    pub fn draft(
        &self,
        request: &IssueRequest<'_>,
        params: TokenParams<'_>,
        jwt_id: impl FnOnce() -> JwtId,
    ) -> Result<Draft, IssueError> {
        let rendered = self.render(request, params.lifetime.issued_at)?;
        let draft = complete(request, params, rendered, jwt_id());
        draft.claims.check_length(self.limits.output_bytes)?;
        Ok(draft)
    }

    /// Renders the claims of `request` at `now`, whatever the state of its session.
    ///
    /// # Errors
    /// [`IssueError::Render`], [`IssueError::Claims`] and [`IssueError::Schema`].
    pub fn render(&self, request: &IssueRequest<'_>, now: Timestamp) -> Result<RenderedClaims, IssueError> {
        self.render_until(request, now, None)
    }

    /// As [`Mint::render`], until another thread sets `stop`.
    fn render_until(
        &self,
        request: &IssueRequest<'_>,
        now: Timestamp,
        stop: Option<&AtomicBool>,
    ) -> Result<RenderedClaims, IssueError> {
        let (profile, session) = (request.profile(), request.session());
        let spec = &profile.spec;
        let values = session.values();
        let input = RenderInput::new(session, &values, spec.name.as_str(), now).until(stop);
        let rendered = profile.template.render_marked(&input, &self.limits)?;
        let (claims, overridden) = PrivateClaims::parse_marked(
            rendered.as_str(),
            rendered.copied(),
            request.audience(),
            spec.registered_claims,
        )?;
        claims.check_grant(request.grant())?;
        if let Some(schema) = &profile.schema {
            schema.check(&claims)?;
        }
        Ok(RenderedClaims { claims, overridden })
    }

    /// Returns the claims of `request` for a server that signs them itself. No key is needed; the session has to be
    /// valid at `now` as for a token.
    ///
    /// # Errors
    /// Every variant of [`IssueError`] except those about keys.
    pub fn unsigned_claims(&self, request: &IssueRequest<'_>, now: Timestamp) -> Result<UnsignedClaims, IssueError> {
        let subject = subject(request)?;
        let lifetime = lifetime_of(request, None, now)?;
        let RenderedClaims { claims, overridden } = self.render(request, now)?;
        let grant = request.grant().clone();
        Ok(UnsignedClaims { claims, overridden, subject, grant, ends_by: lifetime.ends_by })
    }

    /// Returns the claims of the template and all claims of a token for `request` at `now`, as if a key signed it. The
    /// session has to be valid at `now` as for a token.
    ///
    /// # Errors
    /// Every variant of [`IssueError`] except those about keys.
    pub(crate) fn unsigned_token(
        &self,
        request: &IssueRequest<'_>,
        now: Timestamp,
        jwt_id: JwtId,
    ) -> Result<(PrivateClaims, ClaimsSet), IssueError> {
        let subject = subject(request)?;
        let lifetime = lifetime_of(request, None, now)?;
        let RenderedClaims { claims, .. } = self.render(request, now)?;
        let all = claims_set(request, &subject, lifetime, &claims, jwt_id);
        all.check_length(self.limits.output_bytes)?;
        Ok((claims, all))
    }

    /// Returns the public keys that verifiers of `profile` need at `now`.
    pub fn published<'m>(&self, profile: &'m Profile, now: Timestamp) -> Vec<&'m PublicJwk> {
        profile.keys.published(now, self.longest_ttl(profile))
    }

    /// Returns the longest lifetime of a token of any profile with the key set of `profile`.
    pub fn longest_ttl(&self, profile: &Profile) -> Ttl {
        // Every profile of this generation was counted; a trial has the key set of one of them.
        self.longest_ttl.get(&profile.spec.key_set).copied().unwrap_or(profile.spec.ttl)
    }
}

/// Returns the lifetime of a token for `request` at `now`, whose key is published until `key_end`.
fn lifetime_of(
    request: &IssueRequest<'_>,
    key_end: Option<Timestamp>,
    now: Timestamp,
) -> Result<Lifetime, LifetimeError> {
    let (spec, granted_end) = (&request.profile().spec, request.grant().ends_by);
    if granted_end.is_some_and(|end| end <= now) {
        return Err(LifetimeError::Expired { path: "exp of the session source".to_owned() });
    }
    let end = [key_end, granted_end].into_iter().flatten().min();
    lifetime(request.session(), &spec.expires_with, spec.ttl, end, now)
}

fn subject(request: &IssueRequest<'_>) -> Result<String, IssueError> {
    let spec = &request.profile().spec;
    let subject = match request.session().at(&spec.subject) {
        Some(Json::String(subject)) => subject.into_owned(),
        _ => String::new(),
    };
    if subject.is_empty() && !spec.allow_empty_subject {
        return Err(IssueError::EmptySubject { path: spec.subject.to_string() });
    }
    Ok(subject)
}

fn complete(request: &IssueRequest<'_>, params: TokenParams<'_>, rendered: RenderedClaims, jti: JwtId) -> Draft {
    let TokenParams { signer, subject, lifetime } = params;
    let RenderedClaims { claims, overridden } = rendered;
    let claims = claims_set(request, &subject, lifetime, &claims, jti);
    let ProfileSpec { name, typ, .. } = &request.profile().spec;
    let (profile, typ) = (name.clone(), typ.clone());
    Draft { profile, signer: Arc::clone(signer), typ, claims, lifetime, jti, overridden }
}

fn claims_set(
    request: &IssueRequest<'_>,
    subject: &str,
    lifetime: Lifetime,
    claims: &PrivateClaims,
    jwt_id: JwtId,
) -> ClaimsSet {
    let grant = request.grant();
    let registered = Registered {
        issuer: request.profile().spec.issuer.as_str(),
        subject,
        audience: request.audience(),
        issued_at: lifetime.issued_at,
        expires_at: lifetime.expires_at,
        jwt_id,
        scope: grant.scope.as_ref(),
        actor: grant.actor.as_ref(),
    };
    ClaimsSet::new(claims, &registered)
}

#[cfg(test)]
mod tests;
