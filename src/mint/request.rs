//! What a token is issued for: a profile, a session that was read for it, and a grant.

use std::fmt;
use std::ops::Deref;

use super::profile::Profile;
use super::spec::Caching;
use super::token::TokenParams;
use crate::claims::{Audience, Grant, Lifetime};
use crate::json::ReadLimits;
use crate::session::{CachedExtra, Session, SessionDocument, SessionError, SessionParts};
use crate::time::Timestamp;

/// A profile, a session that was read for it, and what is granted besides. Only this type is rendered and cached for,
/// so that a session is never used with a profile that it was not read for.
pub struct IssueRequest<'m> {
    profile: &'m Profile,
    session: Session<'m>,
    grant: Grant,
}

/// Everything that decides a token except the time. `Debug` does not show it.
pub struct CacheKey {
    bytes: Vec<u8>,
    /// No token for this key can live longer, so one that expires then is as good as a new one.
    ends_by: Option<Timestamp>,
}

impl<'m> IssueRequest<'m> {
    /// Reads the session that a gateway posted. The document comes with it, for adapters that answer with it.
    ///
    /// # Errors
    /// As [`SessionDocument::parse`].
    pub fn posted(
        profile: &'m Profile,
        body: &'m [u8],
        limits: ReadLimits,
    ) -> Result<(Self, SessionDocument<'m>), SessionError> {
        Self::posted_with_cache(profile, body, limits, |_| None::<&CachedExtra>)
    }

    /// Reads the session that a gateway posted, whose `extra` can be one that was read for this profile before.
    ///
    /// # Errors
    /// As [`SessionDocument::parse`].
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
    /// As [`Session::from_parts`].
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

    /// Returns the key under which the token that `params` describe can be cached. `None` if each request gets its own
    /// token, because the profile is configured so or its template reads the time.
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
    /// Returns the key itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the expiry that no token for this key can pass, if there is one.
    pub fn ends_by(&self) -> Option<Timestamp> {
        self.ends_by
    }
}

impl fmt::Debug for IssueRequest<'_> {
    /// Names the profile and shows nothing of the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssueRequest").field("profile", &self.profile.spec.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({} bytes)", self.bytes.len())
    }
}
