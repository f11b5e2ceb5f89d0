//! The mint: one proven, immutable generation of keys, templates and profiles, and the one function that makes a token.
//!
//! [`Mint::issue`] is pure: the time and the token's id come in as arguments. Everything that asks for a token, from
//! whatever wire, ends here; the only place where templates and keys meet.
//!
//! Its three steps can be taken one by one: [`Mint::terms`] are what a token is made under and cost little,
//! [`Mint::draft`] renders the claims, [`Draft::sign`] signs them. A [`TokenCache`] stands between the first and the
//! second.

mod build;
mod cache;
mod names;
mod schema;
mod trial;

pub use build::{BuildError, BuildFault, FaultPointer, GenerationParts, TemplateFiles};
pub use cache::{Origin, TokenCache, TokenKey};
pub(crate) use names::is_token;
pub use names::{HeaderName, ProfileName};
pub use schema::{ClaimsSchema, SchemaError};
pub use trial::{TemplateSources, Trial, TrialFault, TrialPart, Tried, UnsignedToken, try_conversion};

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::claims::{
    Audience, ClaimsError, ClaimsSet, Issuer, Lifetime, LifetimeError, PrivateClaims, Registered, RegisteredClaim,
    RegisteredInTemplate, SessionExpiry, lifetime,
};
use crate::code::ErrorCode;
use crate::json::Json;
use crate::keys::{CompactJws, KeyId, KeySet, NoSigner, PublicJwk, SignError, SignatureAlg, SigningKey};
use crate::session::{Selection, Session, SessionPath};
use crate::templates::{ClaimTemplate, Missing, RenderError, RenderInput, RenderLimits, TemplateName};
use crate::time::{Timestamp, Ttl};

/// Everything that decides one kind of token, as the configuration says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileSpec {
    /// The name in the URL path.
    pub name: ProfileName,
    /// `iss`
    pub issuer: Issuer,
    /// The JWK Set, by the name that the sets are handed over under.
    pub key_set: String,
    /// The only algorithm that may sign, if there is to be only one.
    pub alg: Option<SignatureAlg>,
    /// How long a token lives.
    pub ttl: Ttl,
    /// `aud`
    pub audience: Option<Audience>,
    /// The template's name.
    pub template: TemplateName,
    /// Where the token goes in the answer of the hydrator.
    pub placement: Placement,
    /// What a missing value means to the template.
    pub missing: Missing,
    /// Where the session says when it ends.
    pub expires_with: SessionExpiry,
    /// Where the session says whom it is about.
    pub subject: SessionPath,
    /// Whether that may be nobody.
    pub allow_empty_subject: bool,
    /// What happens to a registered claim that the template sets.
    pub registered_claims: RegisteredInTemplate,
    /// When claims are held against the schema beside the template.
    pub validate: Validate,
    /// Whether a token may be given out again.
    pub cache: Caching,
}

impl ProfileSpec {
    /// What the profile itself reads of a session below `Extra`, whatever its template does.
    fn reads(&self) -> impl Iterator<Item = &SessionPath> {
        let expiry = match &self.expires_with {
            SessionExpiry::IfPresent(path) | SessionExpiry::Required(path) => Some(path),
            SessionExpiry::None => None,
        };
        [Some(SessionPath::active()), expiry, Some(&self.subject)].into_iter().flatten()
    }
}

/// Whether a token of a profile may be given out again, to a session that would get the same claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Caching {
    /// Each request gets a token of its own.
    Off,
    /// Until little of its life is left, or its key signs no more.
    #[default]
    On,
}

/// When claims are held against the schema beside their template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validate {
    /// At every issue, and where [`Validate::Recorded`] does.
    Always,
    /// With the recorded cases, when a generation is built.
    #[default]
    Recorded,
}

/// Where the token goes in the answer of the hydrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Into `extra`, under this name.
    Extra(String),
    /// Into `header`, under this canonical name, behind this scheme if any.
    Header {
        /// Such as `Authorization`.
        name: HeaderName,
        /// Such as `Bearer`.
        scheme: Option<String>,
    },
}

impl Default for Placement {
    /// `Authorization: Bearer`
    fn default() -> Self {
        Placement::Header { name: HeaderName::authorization(), scheme: Some("Bearer".to_owned()) }
    }
}

/// One kind of token, ready to issue.
#[derive(Debug)]
pub struct Profile {
    spec: ProfileSpec,
    keys: Arc<KeySet>,
    template: Arc<ClaimTemplate>,
    /// What claims are held against at every issue.
    schema: Option<Arc<ClaimsSchema>>,
    /// The schema beside the template, which its recorded cases were held against.
    recorded_schema: Option<Arc<ClaimsSchema>>,
    /// A digest of everything that makes claims of a session: two profiles with the same make the same.
    identity: [u8; 32],
}

impl Profile {
    /// What the configuration says of it.
    pub fn spec(&self) -> &ProfileSpec {
        &self.spec
    }

    /// What has to be read of a session for it.
    pub fn selection(&self) -> &Selection {
        self.template.selection()
    }

    /// The keys it signs with.
    pub fn keys(&self) -> &KeySet {
        &self.keys
    }
}

/// A proven generation.
#[derive(Debug)]
pub struct Mint {
    profiles: BTreeMap<ProfileName, Profile>,
    key_sets: BTreeMap<String, ProvenSet>,
    limits: RenderLimits,
    longest_ttl: BTreeMap<String, Ttl>,
}

/// What a token is made under, whatever the template says.
#[derive(Debug)]
pub struct Terms<'m> {
    signer: &'m Arc<SigningKey>,
    subject: String,
    lifetime: Lifetime,
}

/// A token but for its signature.
#[derive(Debug)]
pub struct Draft {
    signer: Arc<SigningKey>,
    claims: ClaimsSet,
    lifetime: Lifetime,
    jti: String,
    overridden: Vec<RegisteredClaim>,
}

/// A key set and the digest of the bytes that it was read from.
#[derive(Debug)]
struct ProvenSet {
    digest: [u8; 32],
    set: Arc<KeySet>,
}

/// A token and what its receiver is told beside it.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub jws: CompactJws,
    /// The algorithm that signed.
    pub alg: SignatureAlg,
    /// The key that signed.
    pub kid: KeyId,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Its `jti`.
    pub jti: String,
    /// The registered claims that the template set and that are claimsmith's own in the token.
    pub overridden: Vec<RegisteredClaim>,
}

/// Why a session gets no token.
#[derive(Debug)]
pub enum IssueError {
    /// The template's output is no set of claims.
    Claims(ClaimsError),
    /// The session names no subject.
    EmptySubject {
        /// Where it should.
        path: String,
    },
    /// The session has ended, or does not say when.
    Lifetime(LifetimeError),
    /// No key may sign now.
    NoSigner(NoSigner),
    /// The template refuses the session.
    Render(RenderError),
    /// The claims do not fit their schema.
    Schema(SchemaError),
    /// The key refuses to sign.
    Sign(SignError),
}

impl IssueError {
    /// The stable code.
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

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IssueError::Claims(error) => error.fmt(f),
            IssueError::EmptySubject { path } => write!(
                f,
                "expected the session to name its subject at {path}, found none; set allow_empty_subject if that is \
                 meant to be"
            ),
            IssueError::Lifetime(error) => error.fmt(f),
            IssueError::NoSigner(error) => error.fmt(f),
            IssueError::Render(error) => error.fmt(f),
            IssueError::Schema(error) => error.fmt(f),
            IssueError::Sign(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for IssueError {}

impl Mint {
    /// The profile called `name`.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(name)
    }

    /// All profiles, by name.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.values()
    }

    /// Makes a token of `profile` for `session` at `now`; `jwt_id` makes its `jti` and is called once, last.
    ///
    /// # Errors
    /// [`IssueError`] for a session or template that gives no claims, and for keys that cannot sign now.
    pub fn issue(
        &self,
        profile: &Profile,
        session: &Session<'_>,
        now: Timestamp,
        jwt_id: impl FnOnce() -> String,
    ) -> Result<IssuedToken, IssueError> {
        let terms = self.terms(profile, session, now)?;
        self.draft(profile, session, terms, jwt_id)?.sign()
    }

    /// Under which terms `session` gets a token of `profile` at `now`.
    ///
    /// # Errors
    /// Those of [`IssueError`] that have nothing to do with the template: no subject, no life left, no key.
    pub fn terms<'m>(
        &self,
        profile: &'m Profile,
        session: &Session<'_>,
        now: Timestamp,
    ) -> Result<Terms<'m>, IssueError> {
        let spec = &profile.spec;
        let subject = self.subject(spec, session)?;
        let signer = profile.keys.signer(now, spec.alg).map_err(IssueError::NoSigner)?;
        let key_end = signer.publication_end(self.longest_ttl(&spec.key_set));
        let lifetime = lifetime(session, &spec.expires_with, spec.ttl, key_end, now).map_err(IssueError::Lifetime)?;
        Ok(Terms { signer, subject, lifetime })
    }

    /// Renders the claims of a token; `jwt_id` makes its `jti` and is called once, last.
    ///
    /// # Errors
    /// Those of [`IssueError`] that the template or its claims give.
    pub fn draft(
        &self,
        profile: &Profile,
        session: &Session<'_>,
        terms: Terms<'_>,
        jwt_id: impl FnOnce() -> String,
    ) -> Result<Draft, IssueError> {
        let claims = self.claims(profile, session, terms.lifetime.issued_at)?;
        Ok(Self::completed(profile, terms, claims, jwt_id))
    }

    fn completed(
        profile: &Profile,
        terms: Terms<'_>,
        (private, overridden): (PrivateClaims, Vec<RegisteredClaim>),
        jwt_id: impl FnOnce() -> String,
    ) -> Draft {
        let Terms { signer, subject, lifetime } = terms;
        let jti = jwt_id();
        let claims = ClaimsSet::new(
            &private,
            &Registered {
                issuer: profile.spec.issuer.as_str(),
                subject: &subject,
                audience: profile.spec.audience.as_ref(),
                issued_at: lifetime.issued_at,
                expires_at: lifetime.expires_at,
                jwt_id: &jti,
            },
        );
        Draft { signer: Arc::clone(signer), claims, lifetime, jti, overridden }
    }

    /// What the profile's template says of `session`, and the registered claims that it set and that were taken out.
    ///
    /// # Errors
    /// [`IssueError::Render`], [`IssueError::Claims`] and [`IssueError::Schema`].
    pub fn claims(
        &self,
        profile: &Profile,
        session: &Session<'_>,
        now: Timestamp,
    ) -> Result<(PrivateClaims, Vec<RegisteredClaim>), IssueError> {
        let values = session.values();
        let input = RenderInput::new(session, &values, profile.spec.name.as_str(), now);
        let rendered = profile.template.render_marked(&input, &self.limits).map_err(IssueError::Render)?;
        let (audience, registered) = (profile.spec.audience.as_ref(), profile.spec.registered_claims);
        let claims = PrivateClaims::parse_marked(rendered.as_str(), rendered.copied(), audience, registered)
            .map_err(IssueError::Claims)?;
        if let Some(schema) = &profile.schema {
            schema.check(&claims.0).map_err(IssueError::Schema)?;
        }
        Ok(claims)
    }

    /// The public keys that verifiers of `profile` need at `now`.
    pub fn published(&self, profile: &Profile, now: Timestamp) -> Vec<PublicJwk> {
        let longest_ttl = self.longest_ttl(&profile.spec.key_set);
        profile.keys.published(now, longest_ttl).into_iter().cloned().collect()
    }

    /// The longest that a token of any profile with these keys lives.
    fn longest_ttl(&self, key_set: &str) -> Ttl {
        self.longest_ttl.get(key_set).copied().unwrap_or(Ttl::ONE_SECOND)
    }

    fn subject(&self, spec: &ProfileSpec, session: &Session<'_>) -> Result<String, IssueError> {
        let subject = match session.at(&spec.subject) {
            Some(Json::String(subject)) => subject.into_owned(),
            _ => String::new(),
        };
        if subject.is_empty() && !spec.allow_empty_subject {
            return Err(IssueError::EmptySubject { path: spec.subject.to_string() });
        }
        Ok(subject)
    }
}

impl Draft {
    /// The key that signs it.
    pub fn signer(&self) -> &Arc<SigningKey> {
        &self.signer
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`IssueError::Sign`].
    pub fn sign(self) -> Result<IssuedToken, IssueError> {
        let Self { signer, claims, lifetime, jti, overridden } = self;
        let jws = signer.sign(claims.as_str()).map_err(IssueError::Sign)?;
        Ok(IssuedToken {
            jws,
            alg: signer.alg(),
            kid: signer.kid().clone(),
            issued_at: lifetime.issued_at,
            expires_at: lifetime.expires_at,
            jti,
            overridden,
        })
    }
}
