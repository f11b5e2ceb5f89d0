//! Tokens that may be given out again.
//!
//! A token is found by what decided it: the profile and all that makes its claims, the key that signs now, the subject,
//! the end that caps it, and what its template reads of the session, byte for byte. So a session that differs in nothing
//! of that needs neither rendering nor a signature, and one that differs in anything gets a token of its own. The bytes
//! themselves are compared, not a digest of them: a caller chooses many of them.
//!
//! Most of a session is its `extra`, which is the same in each request of a person. So what was read of it is kept as
//! well, and where the same bytes come again for the same profile, they are compared instead of read.

use std::fmt;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::{Caching, IssuedToken, Profile, Terms};
use crate::json::ReadLimits;
use crate::session::{KnownExtra, Session, SessionError};
use crate::time::Timestamp;

/// What an entry takes beside the bytes of its key and its token: the maps' own records, rounded up.
const ENTRY_BYTES: u64 = 256;
/// About what an entry takes, for the size of the maps at the start.
const USUAL_ENTRY_BYTES: usize = 4096;

/// The part of the bytes that is for what was read of sessions.
const EXTRAS_SHARE: u64 = 4;

/// Signed tokens, and what was read of the sessions that got them, bounded by the bytes that they take.
pub struct TokenCache {
    tokens: Cache<Vec<u8>, Arc<IssuedToken>, Weight>,
    extras: Cache<ExtraKey, Arc<KnownExtra>, Weight>,
}

/// The profile's identity and how the `extra` begins: Kratos begins it with the session's id.
type ExtraKey = ([u8; 32], [u8; KnownExtra::SHORTEST]);

/// Everything that decides a token but the time. `Debug` does not show it.
pub struct TokenKey {
    bytes: Vec<u8>,
    /// No token lives longer, so one that ends then is as good as a new one.
    ends_by: Option<Timestamp>,
}

/// Whether a token was signed for this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was signed for an earlier one.
    Cached,
    /// It was.
    Signed,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Vec<u8>, Arc<IssuedToken>> for Weight {
    fn weight(&self, key: &Vec<u8>, token: &Arc<IssuedToken>) -> u64 {
        (key.len() + token.jws.as_str().len()) as u64 + ENTRY_BYTES
    }
}

impl Weighter<ExtraKey, Arc<KnownExtra>> for Weight {
    fn weight(&self, key: &ExtraKey, extra: &Arc<KnownExtra>) -> u64 {
        (size_of_val(key) + extra.bytes()) as u64 + ENTRY_BYTES
    }
}

impl TokenKey {
    /// What decides the token that `session` gets under `terms`; `None` where each request gets its own: because the
    /// profile wants that, or the template reads the time, or the session was not read for this profile.
    pub fn new(profile: &Profile, session: &Session<'_>, terms: &Terms<'_>) -> Option<Self> {
        let is_cached = profile.spec.cache == Caching::On && !profile.template.reads_clock();
        if !is_cached || !std::ptr::eq(session.selection(), profile.selection()) {
            return None;
        }
        let mut bytes = Vec::with_capacity(128 + terms.subject.len() + session.deciding_length());
        bytes.extend_from_slice(&profile.identity);
        bytes.extend_from_slice(terms.signer.identity());
        let ends_by = terms.lifetime.ends_by;
        bytes.extend_from_slice(&ends_by.map_or(i64::MAX, |end| end.seconds()).to_le_bytes());
        bytes.extend_from_slice(&terms.subject.len().to_le_bytes());
        bytes.extend_from_slice(terms.subject.as_bytes());
        session.write_deciding(&mut bytes);
        Some(Self { bytes, ends_by })
    }
}

impl TokenCache {
    /// A cache of at most `bytes` of keys and tokens; none for 0.
    pub fn new(bytes: u64) -> Self {
        let entries = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX) / USUAL_ENTRY_BYTES;
        let (tokens, extras) = shares(bytes);
        Self {
            tokens: Cache::with_weighter(entries(tokens), tokens, Weight),
            extras: Cache::with_weighter(entries(extras), extras, Weight),
        }
    }

    /// Changes how many bytes it may take.
    pub fn resize(&self, bytes: u64) {
        let (tokens, extras) = shares(bytes);
        if self.tokens.capacity() != tokens {
            self.tokens.set_capacity(tokens);
            self.extras.set_capacity(extras);
        }
    }

    /// How many bytes it takes.
    pub fn bytes(&self) -> u64 {
        self.tokens.weight() + self.extras.weight()
    }

    /// How many tokens it holds.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Reads a session for `profile`, as [`Session::parse_for`] does for its selection.
    ///
    /// # Errors
    /// As [`Session::parse`].
    pub fn read<'b>(
        &self,
        profile: &'b Profile,
        body: &'b [u8],
        limits: ReadLimits,
    ) -> Result<Session<'b>, SessionError> {
        if profile.spec.cache == Caching::Off {
            return Session::parse_for(body, limits, profile.selection());
        }
        let known = |extra: &str| self.extras.get(&extra_key(profile, extra)?);
        Session::parse_knowing(body, limits, profile.selection(), known)
    }

    /// Keeps what was read of `session`, which got a token of `profile` that may be given out again.
    pub fn keep_extra(&self, profile: &Profile, session: &Session<'_>) {
        if let Some(extra) = session.extra_to_know()
            && let Some(key) = extra_key(profile, extra.text())
        {
            self.extras.insert(key, Arc::new(extra));
        }
    }

    /// The token of `key`, if there is one that is still good at `now`.
    pub fn find(&self, key: &TokenKey, now: Timestamp) -> Option<Arc<IssuedToken>> {
        self.tokens.get(key.bytes.as_slice()).filter(|token| is_good(token, key, now))
    }

    /// The token of `key`, or what `make` makes. Where several ask for the same at once, one makes it and the others wait;
    /// where it fails, the next one tries.
    ///
    /// # Errors
    /// That of `make`.
    pub async fn find_or<E>(
        &self,
        key: &TokenKey,
        now: Timestamp,
        make: impl Future<Output = Result<IssuedToken, E>>,
    ) -> Result<(Arc<IssuedToken>, Origin), E> {
        let guard = loop {
            match self.tokens.get_value_or_guard_async(key.bytes.as_slice()).await {
                Ok(token) if is_good(&token, key, now) => return Ok((token, Origin::Cached)),
                Ok(old) => drop(self.tokens.remove_if(key.bytes.as_slice(), |known| Arc::ptr_eq(known, &old))),
                Err(guard) => break guard,
            }
        };
        let token = Arc::new(make.await?);
        // Where the entry is gone meanwhile, the token is no less good for this request.
        let _ = guard.insert(Arc::clone(&token));
        Ok((token, Origin::Signed))
    }
}

/// How many of `bytes` are for tokens and how many for what was read.
fn shares(bytes: u64) -> (u64, u64) {
    let extras = bytes / EXTRAS_SHARE;
    (bytes - extras, extras)
}

fn extra_key(profile: &Profile, extra: &str) -> Option<ExtraKey> {
    Some((profile.identity, *extra.as_bytes().first_chunk()?))
}

/// Whether `token` can be given out at `now`: a tenth of its life is left, and a little more, which each token has
/// chosen by its id, so that a fleet does not sign anew in the same second. One that ends when every other would has
/// no successor to wait for.
fn is_good(token: &IssuedToken, key: &TokenKey, now: Timestamp) -> bool {
    let left = token.expires_at.seconds_since(now);
    let tenth = token.expires_at.seconds_since(token.issued_at) / 10;
    let digits = token.jti.len().checked_sub(4).and_then(|start| token.jti.get(start..));
    let share = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()).unwrap_or(0);
    let margin = tenth + tenth * i64::from(share) / i64::from(u16::MAX);
    left > 0 && token.issued_at <= now && (left > margin || key.ends_by == Some(token.expires_at))
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("tokens", &self.len()).field("bytes", &self.bytes()).finish()
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({} bytes)", self.bytes.len())
    }
}
