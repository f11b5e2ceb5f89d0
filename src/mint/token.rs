//! The stages of a token: parameters, draft and signed token, and the reasons why no token is issued.

use std::fmt;
use std::sync::Arc;

use crate::claims::{ClaimsError, ClaimsSet, Grant, JwtId, Lifetime, LifetimeError, PrivateClaims, RegisteredClaim};
use crate::code::ErrorCode;
use crate::keys::{CompactJws, KeyId, NoSigner, SignError, SignatureAlg, SigningKey, TokenType};
use crate::templates::RenderError;
use crate::time::Timestamp;

use super::names::ProfileName;
use super::schema::SchemaError;

/// The parts of a token that do not depend on its template.
pub struct TokenParams<'m> {
    pub(super) signer: &'m Arc<SigningKey>,
    pub(super) subject: String,
    pub(super) lifetime: Lifetime,
}

/// The claims that a template renders, without the registered claims.
#[derive(Clone, Debug)]
pub struct RenderedClaims {
    /// The claims of the template.
    pub claims: PrivateClaims,
    /// The registered claims that the template set and that were removed.
    pub overridden: Vec<RegisteredClaim>,
}

/// The claims of a session for another server, which signs them itself.
#[derive(Clone)]
pub struct UnsignedClaims {
    /// The claims of the template.
    pub claims: PrivateClaims,
    /// The registered claims that the template set and that were removed.
    pub overridden: Vec<RegisteredClaim>,
    /// `sub`
    pub subject: String,
    /// The grant besides the profile: audience, scope and actor.
    pub grant: Grant,
    /// The session expiry, if the profile reads one.
    pub ends_by: Option<Timestamp>,
}

/// A token without its signature.
#[derive(Debug)]
pub struct Draft {
    pub(super) profile: ProfileName,
    pub(super) signer: Arc<SigningKey>,
    pub(super) typ: TokenType,
    pub(super) claims: ClaimsSet,
    pub(super) lifetime: Lifetime,
    pub(super) jti: JwtId,
    pub(super) overridden: Vec<RegisteredClaim>,
}

/// A signed token and its metadata.
#[derive(Debug)]
pub struct IssuedToken {
    /// The name of its profile.
    pub profile: ProfileName,
    /// The token.
    pub jws: CompactJws,
    /// The algorithm that signed.
    pub alg: SignatureAlg,
    /// The key that signed.
    pub kid: KeyId,
    /// `iat`
    pub issued_at: Timestamp,
    /// `exp`
    pub expires_at: Timestamp,
    /// `jti`
    pub jti: JwtId,
    /// The registered claims that the template set and that claimsmith overrode.
    pub overridden: Vec<RegisteredClaim>,
}

/// The reason why a session gets no token.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The output of the template is not a valid set of claims.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// The session has no subject.
    #[error(
        "expected the session to name its subject at {path}, found none; if tokens without a subject are intended, set \
         allow_empty_subject of the profile (profiles.<name>.allow_empty_subject or \
         CLAIMSMITH_PROFILES_<NAME>_ALLOW_EMPTY_SUBJECT)"
    )]
    EmptySubject {
        /// The path that the profile reads.
        path: String,
    },
    /// The session has expired, is inactive, or does not state its expiry.
    #[error(transparent)]
    Lifetime(#[from] LifetimeError),
    /// No key can sign now.
    #[error(transparent)]
    NoSigner(#[from] NoSigner),
    /// The template rejects the session.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The claims do not match their schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The key failed to sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl IssueError {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            IssueError::Claims(error) => error.code(),
            IssueError::EmptySubject { .. } => ErrorCode::SessionEmptySubject,
            IssueError::Lifetime(error) => error.code(),
            IssueError::NoSigner(_) => ErrorCode::KeyUnavailable,
            IssueError::Render(error) => error.code(),
            IssueError::Schema(error) => error.code(),
            IssueError::Sign(_) => ErrorCode::KeySigningFailed,
        }
    }
}

impl fmt::Debug for TokenParams<'_> {
    /// Shows no value of the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenParams").field("signer", &self.signer).finish_non_exhaustive()
    }
}

impl fmt::Debug for UnsignedClaims {
    /// Shows no value of the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsignedClaims").field("claims", &self.claims).finish_non_exhaustive()
    }
}

impl TokenParams<'_> {
    /// Returns `sub`.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl Draft {
    /// Returns the key that signs the draft.
    pub fn signer(&self) -> &Arc<SigningKey> {
        &self.signer
    }

    /// Returns the claims.
    pub fn claims(&self) -> &ClaimsSet {
        &self.claims
    }

    /// Signs the draft.
    ///
    /// # Errors
    /// [`IssueError::Sign`].
    pub fn sign(self) -> Result<IssuedToken, IssueError> {
        let Self { profile, signer, typ, claims, lifetime, jti, overridden } = self;
        let jws = signer.sign(&claims, &typ)?;
        Ok(IssuedToken {
            jws,
            alg: signer.alg(),
            kid: signer.kid().clone(),
            issued_at: lifetime.issued_at,
            expires_at: lifetime.expires_at,
            jti,
            overridden,
            profile,
        })
    }
}
