//! The settings of a profile.

use super::names::{HeaderName, ProfileName};
use crate::claims::{Audience, Issuer, RegisteredInTemplate, SessionExpiry};
use crate::keys::{SignatureAlg, TokenType};
use crate::session::SessionPath;
use crate::templates::{Missing, TemplateName};
use crate::time::Ttl;

/// The settings of one kind of token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileSpec {
    /// The name in the URL path
    pub name: ProfileName,
    /// `iss`
    pub issuer: Issuer,
    /// The name of the JWK Set in [`GenerationParts::key_sets`](super::GenerationParts::key_sets)
    pub key_set: String,
    /// The only algorithm that can sign, if it is restricted
    pub alg: Option<SignatureAlg>,
    /// The `typ` header parameter of its tokens
    pub typ: TokenType,
    /// The lifetime of a token
    pub ttl: Ttl,
    /// `aud`
    pub audience: Option<Audience>,
    /// The name of the template
    pub template: TemplateName,
    /// The position of the token in the hydrator's response
    pub placement: Placement,
    /// The handling of missing values in the template
    pub missing: Missing,
    /// The location of the session expiry
    pub expires_with: SessionExpiry,
    /// The path of the subject in the session
    pub subject: SessionPath,
    /// `true` if the subject can be empty
    pub allow_empty_subject: bool,
    /// The handling of a registered claim that the template sets
    pub registered_claims: RegisteredInTemplate,
    /// The time when claims are validated against the schema beside the template
    pub validate: Validate,
    /// The caching of tokens
    pub cache: Caching,
    /// `true` if the hydrator only compares claims, and returns sessions unchanged
    pub shadow: bool,
}

impl ProfileSpec {
    /// Returns the paths below `Extra` that the profile itself reads, besides its template.
    pub(super) fn reads(&self) -> impl Iterator<Item = &SessionPath> {
        let expiry = match &self.expires_with {
            SessionExpiry::IfPresent(path) | SessionExpiry::Required(path) => Some(path),
            SessionExpiry::None => None,
        };
        [Some(SessionPath::active()), expiry, Some(&self.subject)].into_iter().flatten()
    }
}

/// The caching of tokens for sessions with equal claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Caching {
    /// Each request gets its own token.
    Off,
    /// A token is cached until little of its lifetime is left, or its key no longer signs.
    #[default]
    On,
}

/// The time when claims are validated against the schema beside their template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validate {
    /// For every token, and in the cases of [`Validate::Recorded`].
    Always,
    /// For the recorded cases, when a generation is built.
    #[default]
    Recorded,
}

/// The position of the token in the hydrator's response in its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In `extra`, under this name.
    Extra(String),
    /// In `header`.
    Header {
        /// The canonical name, such as `Authorization`.
        name: HeaderName,
        /// The scheme before the token, such as `Bearer`.
        scheme: Option<String>,
    },
}

impl Default for Placement {
    /// Returns `Authorization: Bearer`.
    fn default() -> Self {
        Placement::Header { name: HeaderName::authorization(), scheme: Some("Bearer".to_owned()) }
    }
}
