//! The input of a token: a profile, a session that was read for it, and a grant.

use std::fmt;
use std::ops::Deref;

use super::profile::Profile;
use super::spec::Caching;
use super::token::TokenParams;
use crate::claims::{Audience, Grant, Lifetime};
use crate::json::ReadLimits;
use crate::session::{CachedExtra, Session, SessionDocument, SessionError, SessionParts};
use crate::time::Timestamp;

/// A profile, a session that was read for this profile, and a grant. Rendering and caching accept only this type, so
/// that a session is never used with another profile.
pub struct IssueRequest<'m> {
    profile: &'m Profile,
    session: Session<'m>,
    grant: Grant,
}

/// Everything that determines a token except the time. `Debug` does not show it.
pub struct CacheKey {
    bytes: Vec<u8>,
    /// The latest expiry of all tokens for this key. A token that expires then is equivalent to a new one.
    ends_by: Option<Timestamp>,
}

impl<'m> IssueRequest<'m> {
    /// Reads the session that a gateway posted. Also returns the document, for adapters that return it to the client.
    ///
    /// # Errors
    /// Returns the errors of [`SessionDocument::parse`].
    pub fn posted(
        profile: &'m Profile,
        body: &'m [u8],
        limits: ReadLimits,
    ) -> Result<(Self, SessionDocument<'m>), SessionError> {
        Self::posted_with_cache(profile, body, limits, |_| None::<&CachedExtra>)
    }

    /// Reads the session that a gateway posted. `extra` can be cached from an earlier request for this profile.
    ///
    /// # Errors
    /// Returns the errors of [`SessionDocument::parse`].
    pub fn posted_with_cache<K: Deref<Target = CachedExtra>>(
        profile: &'m Profile,
        body: &'m [u8],
        limits: ReadLimits,
        cached: impl Fn(&str) -> Option<K>,
    ) -> Result<(Self, SessionDocument<'m>), SessionError> {
        let (document, session) = SessionDocument::parse_with_cache(body, limits, profile.selection(), cached)?;
        Ok((Self { profile, session, grant: Grant::default() }, document))
    }

    /// Reads a session that came in parts.
    ///
    /// # Errors
    /// Returns the errors of [`Session::from_parts`].
    pub fn from_parts(profile: &'m Profile, parts: SessionParts<'m>, limits: ReadLimits) -> Result<Self, SessionError> {
        let session = Session::from_parts(parts, limits, profile.selection())?;
        Ok(Self { profile, session, grant: Grant::default() })
    }

    /// Reads a session that came in parts, whose `extra` can be one that was read for this profile before.
    ///
    /// # Errors
    /// As [`Session::from_parts`].
    pub fn from_parts_with_cache<K: Deref<Target = CachedExtra>>(
        profile: &'m Profile,
        parts: SessionParts<'m>,
        limits: ReadLimits,
        cached: impl Fn(&str) -> Option<K>,
    ) -> Result<Self, SessionError> {
        let session = Session::from_parts_with_cache(parts, limits, profile.selection(), cached)?;
        Ok(Self { profile, session, grant: Grant::default() })
    }

    /// Returns the same request with `grant`.
    #[must_use]
    pub fn with_grant(self, grant: Grant) -> Self {
        Self { grant, ..self }
    }

    /// Returns the profile.
    pub fn profile(&self) -> &'m Profile {
        self.profile
    }

    /// Returns the session.
    pub fn session(&self) -> &Session<'m> {
        &self.session
    }

    /// Returns the grant.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Returns the audience of the token, if the grant or the profile has one.
    pub(super) fn audience(&self) -> Option<&Audience> {
        self.grant.audience.as_ref().or(self.profile.spec.audience.as_ref())
    }

    /// Returns the cache key of the token with these `params`. Returns `None` if each request gets its own token,
    /// because caching is off for the profile or its template reads the time.
    pub fn cache_key(&self, params: &TokenParams<'_>) -> Option<CacheKey> {
        let Self { profile, session, grant } = self;
        if profile.spec.cache == Caching::Off || profile.template.reads_clock() {
            return None;
        }
        let TokenParams { signer, subject, lifetime } = params;
        // The other times follow from the time of the request and the profile.
        let Lifetime { issued_at: _, expires_at: _, ends_by } = *lifetime;
        let mut bytes = Vec::with_capacity(192 + subject.len() + session.cache_key_len());
        bytes.extend_from_slice(profile.identity.as_bytes());
        bytes.extend_from_slice(signer.identity());
        bytes.extend_from_slice(&ends_by.map_or(i64::MAX, |end| end.seconds()).to_le_bytes());
        grant.append_cache_key(&mut bytes);
        bytes.extend_from_slice(&subject.len().to_le_bytes());
        bytes.extend_from_slice(subject.as_bytes());
        session.append_cache_key(&mut bytes);
        Some(CacheKey { bytes, ends_by })
    }
}

impl CacheKey {
    /// Returns the bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the latest expiry of all tokens for this key, if it is limited.
    pub fn ends_by(&self) -> Option<Timestamp> {
        self.ends_by
    }
}

impl fmt::Debug for IssueRequest<'_> {
    /// Shows the name of the profile, and no part of the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssueRequest").field("profile", &self.profile.spec.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({} bytes)", self.bytes.len())
    }
}
