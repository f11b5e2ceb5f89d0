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
    /// Where the hydrator places the token
    pub placement: Placement,
    /// How the template treats a missing value
    pub missing: Missing,
    /// Where the session states its expiry
    pub expires_with: SessionExpiry,
    /// Where the session names its subject
    pub subject: SessionPath,
    /// Whether the subject can be empty
    pub allow_empty_subject: bool,
    /// How a registered claim that the template sets is treated
    pub registered_claims: RegisteredInTemplate,
    /// When claims are validated against the schema beside the template
    pub validate: Validate,
    /// Whether a token can be served from the cache
    pub cache: Caching,
    /// Whether the hydrator only compares claims, and returns sessions unchanged
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

/// The setting whether a cached token can be served to a session with equal claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Caching {
    /// Each request gets its own token.
    Off,
    /// A token is cached until little of its lifetime is left, or its key no longer signs.
    #[default]
    On,
}

/// The setting when claims are validated against the schema beside their template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validate {
    /// For every token, and in the cases of [`Validate::Recorded`].
    Always,
    /// For the recorded cases, when a generation is built.
    #[default]
    Recorded,
}

/// Where the hydrator places the token in its response.
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
