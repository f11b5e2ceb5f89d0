//! Sessions of JWTs that other issuers signed (RFC 7519, RFC 8725). The keys of a source verify only tokens of its issuer.

mod claims;
mod discovery;
mod keys;
mod spec;

pub(crate) use spec::{JwtSpec, KeyFile, KeyOrigin};

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::bearer::LONGEST_TOKEN;
use super::{Credential, CredentialKind, Rejection, Resolution, Resolved, SourceFailure, SourceLimits, Start};
use crate::keys::{VerifiedToken, VerifyError, VerifyingSet};
use crate::time::Timestamp;
use keys::RemoteKeys;

/// An issuer of JWTs.
pub(super) struct Jwt {
    spec: JwtSpec,
    limits: SourceLimits,
    keys: Keys,
}

enum Keys {
    Fixed(Arc<VerifyingSet>),
    Remote(Arc<RemoteKeys>),
}

impl Jwt {
    /// Returns the issuer of `spec`. The keys of `before` are kept if they are of the same issuer and from the same place.
    pub(super) fn new(spec: JwtSpec, start: Start, before: Option<&Self>) -> Self {
        let Start { limits, waiting, seed } = start;
        let chance = f64::from(seed[0]) / f64::from(u8::MAX);
        let keys = match RemoteKeys::new(&spec, limits.body, waiting, chance) {
            Some(keys) => {
                if let Some(Self { keys: Keys::Remote(known), spec: old, .. }) = before
                    && (&old.keys, &old.issuer, &old.algorithms) == (&spec.keys, &spec.issuer, &spec.algorithms)
                {
                    keys.adopt(known);
                }
                Keys::Remote(Arc::new(keys))
            }
            None => Keys::Fixed(Arc::new(fixed_set(&spec))),
        };
        Self { spec, limits, keys }
    }

    pub(super) fn issuer(&self) -> &str {
        &self.spec.issuer
    }

    pub(super) async fn resolve(&self, credential: &Credential, now: Timestamp) -> Resolved {
        let resolution = match &credential.0 {
            CredentialKind::Bearer(token) => self.session(token, now).await,
            _ => Resolution::NoSession(Rejection::Malformed),
        };
        let call = match &self.keys {
            Keys::Fixed(_) => None,
            Keys::Remote(keys) => keys.take_call(),
        };
        Resolved { call, ..Resolved::new(resolution) }
    }

    async fn session(&self, token: &str, now: Timestamp) -> Resolution {
        if token.len() > LONGEST_TOKEN {
            return Resolution::NoSession(Rejection::Malformed);
        }
        match self.verify(token).await {
            Ok(Ok(token)) => self.read(&token, now),
            Ok(Err(rejection)) => Resolution::NoSession(rejection),
            Err(resolution) => resolution,
        }
    }

    fn read(&self, token: &VerifiedToken, now: Timestamp) -> Resolution {
        match claims::session(token, &self.spec, self.limits.depth, now) {
            Ok(session) => Resolution::Session(Arc::new(session)),
            Err(rejection) => Resolution::NoSession(rejection),
        }
    }

    /// Verifies the signature.
    async fn verify(&self, token: &str) -> Result<Result<VerifiedToken, Rejection>, Resolution> {
        let now = Instant::now();
        let set = match &self.keys {
            Keys::Fixed(set) => Arc::clone(set),
            Keys::Remote(keys) => keys.set(now).await.map_err(Resolution::Unavailable)?,
        };
        let (result, set) = match (set.verify(token), &self.keys) {
            // An issuer can use the `kid` of an old key again, and a token needs none.
            (Err(VerifyError::NoKey { .. } | VerifyError::Signature { .. }), Keys::Remote(keys)) => {
                let set = keys.newer(now).await.map_err(Resolution::Unavailable)?;
                (set.verify(token), set)
            }
            (result, _) => (result, set),
        };
        match result {
            Err(VerifyError::NoKey { .. }) if set.is_empty() => {
                let message = "expected a key for its algorithms in the key set of its issuer, found none";
                Err(Resolution::unavailable(SourceFailure::Malformed, message))
            }
            result => Ok(result.map_err(|error| Rejection::from(&error))),
        }
    }
}

/// Returns what the claims of a token say at `now`, whose signature was verified.
pub(super) fn read_claims(text: &str, spec: &JwtSpec, depth: usize, now: Timestamp) -> Resolution {
    match claims::session_of(text, spec, depth, now) {
        Ok(session) => Resolution::Session(Arc::new(session)),
        Err(rejection) => Resolution::NoSession(rejection),
    }
}

/// Returns the key set in the file of `spec`. A file that cannot be used was reported when it was read.
fn fixed_set(spec: &JwtSpec) -> VerifyingSet {
    let bytes = match &spec.keys {
        KeyOrigin::File(file) => file.bytes.as_deref(),
        KeyOrigin::Discovery(_) | KeyOrigin::Url(_) => None,
    };
    let set = bytes.and_then(|bytes| VerifyingSet::parse(bytes, &spec.algorithms).ok());
    set.unwrap_or_else(|| VerifyingSet::empty(&spec.algorithms))
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Jwt").field(&self.spec).finish()
    }
}
