//! The cache of signed tokens.
//!
//! The cache key contains everything that determines the token: the identity of the profile, the signing key, the
//! latest possible expiry, the grant, the subject, and the session bytes that the template reads. The bytes are
//! compared, not their digest, because a client chooses many of them.
//!
//! Most of a session is its `extra`, which is equal in all requests of one user. It is cached too, so that equal bytes
//! for the same profile are compared instead of parsed.

use std::fmt;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::outcome::CacheUse;
use crate::json::ReadLimits;
use crate::mint::{CacheKey, Caching, IssueRequest, IssuedToken, Profile, ProfileIdentity};
use crate::session::{CachedExtra, SessionDocument, SessionError, SessionParts};
use crate::time::Timestamp;

/// The memory of an entry without its key and its token: the records of the map, rounded up.
const ENTRY_BYTES: u64 = 256;
/// The size of a typical entry, for the initial size of the maps.
const USUAL_ENTRY_BYTES: usize = 4096;

/// The divisor of the byte limit that gives the share of `extra`.
const EXTRAS_SHARE: u64 = 4;

/// Signed tokens, and the `extra` of their sessions, limited by the bytes of memory that they use.
pub struct TokenCache {
    tokens: Cache<Vec<u8>, Arc<IssuedToken>, Weight>,
    extras: Cache<ExtraKey, Arc<CachedExtra>, Weight>,
}

/// The profile and the beginning of the `extra`: Kratos begins it with the session's id.
type ExtraKey = (ProfileIdentity, [u8; CachedExtra::SHORTEST]);

#[derive(Clone)]
struct Weight;

impl Weighter<Vec<u8>, Arc<IssuedToken>> for Weight {
    fn weight(&self, key: &Vec<u8>, token: &Arc<IssuedToken>) -> u64 {
        (key.len() + token.jws.as_str().len()) as u64 + ENTRY_BYTES
    }
}

impl Weighter<ExtraKey, Arc<CachedExtra>> for Weight {
    fn weight(&self, key: &ExtraKey, extra: &Arc<CachedExtra>) -> u64 {
        (size_of_val(key) + extra.bytes()) as u64 + ENTRY_BYTES
    }
}

impl TokenCache {
    /// Returns a cache of at most `bytes`; 0 turns it off.
    pub fn new(bytes: u64) -> Self {
        let entries = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX) / USUAL_ENTRY_BYTES;
        let (tokens, extras) = shares(bytes);
        Self {
            tokens: Cache::with_weighter(entries(tokens), tokens, Weight),
            extras: Cache::with_weighter(entries(extras), extras, Weight),
        }
    }

    /// Changes the limit to `bytes`.
    pub fn resize(&self, bytes: u64) {
        let (tokens, extras) = shares(bytes);
        if self.tokens.capacity() != tokens {
            self.tokens.set_capacity(tokens);
            self.extras.set_capacity(extras);
        }
    }

    /// Returns the bytes in use.
    pub fn bytes(&self) -> u64 {
        self.tokens.weight() + self.extras.weight()
    }

    /// Returns the number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Returns `true` if the cache has no tokens.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Reads a posted session for `profile`, with the cached `extra` if it has the same bytes.
    ///
    /// # Errors
    /// As [`SessionDocument::parse`].
    pub fn read_posted<'m>(
        &self,
        profile: &'m Profile,
        body: &'m [u8],
        limits: ReadLimits,
    ) -> Result<(IssueRequest<'m>, SessionDocument<'m>), SessionError> {
        if profile.spec().cache == Caching::Off {
            return IssueRequest::posted(profile, body, limits);
        }
        let cached = |extra: &str| self.extras.get(&extra_key(profile, extra)?);
        IssueRequest::posted_with_cache(profile, body, limits, cached)
    }

    /// Reads a session in parts for `profile`, with the cached `extra` if it has the same bytes.
    ///
    /// # Errors
    /// As [`Session::from_parts`](crate::session::Session::from_parts).
    pub(super) fn read_parts<'m>(
        &self,
        profile: &'m Profile,
        parts: SessionParts<'m>,
        limits: ReadLimits,
    ) -> Result<IssueRequest<'m>, SessionError> {
        if profile.spec().cache == Caching::Off {
            return IssueRequest::from_parts(profile, parts, limits);
        }
        let cached = |extra: &str| self.extras.get(&extra_key(profile, extra)?);
        IssueRequest::from_parts_with_cache(profile, parts, limits, cached)
    }

    /// Caches the `extra` of `request`, whose token can be cached.
    pub fn keep_extra(&self, request: &IssueRequest<'_>) {
        if let Some(extra) = request.session().cacheable_extra()
            && let Some(key) = extra_key(request.profile(), extra.text())
        {
            self.extras.insert(key, Arc::new(extra));
        }
    }

    /// Returns the token for `key` if there is a fresh one at `now`.
    pub fn find(&self, key: &CacheKey, now: Timestamp) -> Option<Arc<IssuedToken>> {
        self.tokens.get(key.as_bytes()).filter(|token| is_fresh(token, key, now))
    }

    /// Returns the cached token for `key`, or the token that `make` creates. Concurrent calls for one key share a
    /// single `make`; if it fails, the next caller tries.
    ///
    /// # Errors
    /// The error of `make`.
    pub async fn find_or_make<E>(
        &self,
        key: &CacheKey,
        now: Timestamp,
        make: impl Future<Output = Result<IssuedToken, E>>,
    ) -> Result<(Arc<IssuedToken>, CacheUse), E> {
        let guard = loop {
            match self.tokens.get_value_or_guard_async(key.as_bytes()).await {
                Ok(token) if is_fresh(&token, key, now) => return Ok((token, CacheUse::Hit)),
                Ok(old) => drop(self.tokens.remove_if(key.as_bytes(), |known| Arc::ptr_eq(known, &old))),
                Err(guard) => break guard,
            }
        };
        let token = Arc::new(make.await?);
        // If the entry was removed meanwhile, the token is still valid for this request.
        let _ = guard.insert(Arc::clone(&token));
        Ok((token, CacheUse::Miss))
    }
}

/// Divides `bytes` between tokens and `extra`.
fn shares(bytes: u64) -> (u64, u64) {
    let extras = bytes / EXTRAS_SHARE;
    (bytes - extras, extras)
}

fn extra_key(profile: &Profile, extra: &str) -> Option<ExtraKey> {
    Some((*profile.identity(), *extra.as_bytes().first_chunk()?))
}

fn is_fresh(token: &IssuedToken, key: &CacheKey, now: Timestamp) -> bool {
    Validity { issued_at: token.issued_at, expires_at: token.expires_at, spread: token.jti.spread() }
        .is_fresh(key.ends_by(), now)
}

/// The values that determine how long a token is served from the cache.
struct Validity {
    issued_at: Timestamp,
    expires_at: Timestamp,
    /// A random number of the token.
    spread: u16,
}

impl Validity {
    /// Returns `true` if the token can be served at `now`: at least a tenth of its lifetime is left. Its spread adds up
    /// to another tenth, so that replicas do not all sign again in the same second. A token that expires at `ends_by`
    /// is served until then, because no new token for this key could live longer.
    fn is_fresh(&self, ends_by: Option<Timestamp>, now: Timestamp) -> bool {
        let left = self.expires_at.seconds_since(now);
        let tenth = self.expires_at.seconds_since(self.issued_at) / 10;
        let margin = tenth + tenth * i64::from(self.spread) / i64::from(u16::MAX);
        left > 0 && self.issued_at <= now && (left > margin || ends_by == Some(self.expires_at))
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("tokens", &self.len()).field("bytes", &self.bytes()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_follows_lifetime_spread_and_cap() {
        let at = Timestamp::from_seconds;
        // Issued at 1000, expires at 2000: a tenth is 100 seconds.
        let cases = [
            (0, None, 999, false, "before it was issued"),
            (0, None, 1000, true, "when it was issued"),
            (0, None, 1899, true, "just over a tenth is left"),
            (0, None, 1900, false, "a tenth is left"),
            (u16::MAX, None, 1799, true, "just over two tenths are left, with the largest spread"),
            (u16::MAX, None, 1800, false, "two tenths are left, with the largest spread"),
            (u16::MAX / 2, None, 1850, true, "just over a tenth and half, with half the spread"),
            (u16::MAX / 2, None, 1851, false, "a tenth and half, with half the spread"),
            (0, Some(2000), 1999, true, "a second is left, and no token can live longer"),
            (0, Some(2000), 2000, false, "at its end"),
            (0, Some(2000), 2001, false, "past its end"),
            (0, Some(2500), 1900, false, "another token would live longer"),
            (0, Some(1500), 1900, false, "the cap is another one"),
        ];
        for (spread, ends_by, now, expected, why) in cases {
            let validity = Validity { issued_at: at(1000), expires_at: at(2000), spread };
            assert_eq!(validity.is_fresh(ends_by.map(at), at(now)), expected, "{why}");
        }
    }

    #[test]
    fn a_quarter_of_the_bytes_is_for_extras() {
        for bytes in [0, 3, 4, 100, 1 << 20, u64::MAX] {
            let (tokens, extras) = shares(bytes);
            assert_eq!((tokens + extras, extras), (bytes, bytes / 4));
        }
    }

    #[test]
    fn short_token_is_fresh_to_its_last_second() {
        // A tenth of less than ten seconds rounds to zero.
        let at = Timestamp::from_seconds;
        let validity = Validity { issued_at: at(0), expires_at: at(9), spread: u16::MAX };
        let fresh: Vec<bool> = (0..10).map(|now| validity.is_fresh(None, at(now))).collect();
        assert_eq!(fresh, [true, true, true, true, true, true, true, true, true, false]);
    }
}
