//! The types of sources, and what they differ in before a request comes.

use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::keys::SignatureAlg;

use super::{
    AnonymousSpec, ClientCredential, EnvoyMetadataSpec, FileSecret, IntrospectionSpec, JwtSpec, KeyFile, KeyOrigin,
    KratosSpec,
};

/// The settings of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A session that nobody authenticated.
    Anonymous(AnonymousSpec),
    /// JWTs that Envoy verified.
    EnvoyMetadata(Box<EnvoyMetadataSpec>),
    /// Access tokens that an authorization server knows.
    Introspection(Box<IntrospectionSpec>),
    /// JWTs of another issuer.
    Jwt(Box<JwtSpec>),
    /// Sessions of Ory Kratos or Ory Network.
    Kratos(Box<KratosSpec>),
}

impl SourceKind {
    /// Returns the word for the type in the configuration.
    pub fn type_name(&self) -> &'static str {
        match self {
            SourceKind::Anonymous(_) => "anonymous",
            SourceKind::EnvoyMetadata(_) => "envoy_metadata",
            SourceKind::Introspection(_) => "introspection",
            SourceKind::Jwt(_) => "jwt",
            SourceKind::Kratos(_) => "kratos",
        }
    }

    /// Returns `true` if its credential is a bearer token that another program verified.
    pub(super) fn reads_bearer_elsewhere(&self) -> bool {
        matches!(self, SourceKind::EnvoyMetadata(_))
    }

    /// Returns the secrets that it sends, each with its key in the configuration.
    pub(crate) fn secrets(&mut self) -> Vec<(&'static str, &mut FileSecret)> {
        match self {
            SourceKind::Anonymous(_) | SourceKind::EnvoyMetadata(_) | SourceKind::Jwt(_) => Vec::new(),
            SourceKind::Introspection(spec) => spec.secret().into_iter().collect(),
            SourceKind::Kratos(spec) => {
                let token = spec.extend.as_mut().and_then(|extend| extend.token.as_mut());
                token.into_iter().map(|token| ("admin_token_file", token)).collect()
            }
        }
    }

    /// Returns the file with the keys of its issuer.
    pub(crate) fn key_file(&mut self) -> Option<&mut KeyFile> {
        match self {
            SourceKind::Jwt(spec) => match &mut spec.keys {
                KeyOrigin::File(file) => Some(file),
                KeyOrigin::Discovery(_) | KeyOrigin::Url(_) => None,
            },
            _ => None,
        }
    }

    /// Returns the files of its secrets.
    pub(crate) fn secret_files(&self) -> impl Iterator<Item = &Path> {
        self.secret().map(|secret| secret.file.as_path()).into_iter()
    }

    /// Returns the secret of `file`, if it is one that this source sends and it was read.
    pub(crate) fn secret_of(&self, file: &Path) -> Option<Zeroizing<String>> {
        self.secret().filter(|secret| secret.file == file).and_then(|secret| secret.text.clone())
    }

    fn secret(&self) -> Option<&FileSecret> {
        match self {
            SourceKind::Anonymous(_) | SourceKind::EnvoyMetadata(_) | SourceKind::Jwt(_) => None,
            SourceKind::Introspection(spec) => spec.client.as_ref().map(ClientCredential::secret),
            SourceKind::Kratos(spec) => spec.extend.as_ref().and_then(|extend| extend.token.as_ref()),
        }
    }

    /// Returns the key set in `file`, if it is the one of its issuer and it was read.
    pub(crate) fn keys_of(&self, file: &Path) -> Option<Arc<[u8]>> {
        match self {
            SourceKind::Jwt(spec) => match &spec.keys {
                KeyOrigin::File(keys) if keys.path == file => keys.bytes.clone(),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the signature algorithms that it accepts; empty if it verifies no signatures.
    pub(crate) fn algorithms(&self) -> &[SignatureAlg] {
        match self {
            SourceKind::Jwt(spec) => &spec.algorithms,
            _ => &[],
        }
    }

    /// Returns `true` if every request has its credential.
    pub fn takes_everyone(&self) -> bool {
        matches!(self, SourceKind::Anonymous(_))
    }

    /// Returns `true` if a session of this source can say how well its person was authenticated.
    pub fn knows_level(&self) -> bool {
        match self {
            SourceKind::Anonymous(_) => false,
            SourceKind::EnvoyMetadata(spec) => spec.assurance.level.is_some(),
            SourceKind::Introspection(spec) => spec.assurance.level.is_some(),
            SourceKind::Jwt(spec) => spec.assurance.level.is_some(),
            SourceKind::Kratos(_) => true,
        }
    }

    /// Returns `true` if a session of this source can say when its person was authenticated.
    pub fn knows_age(&self) -> bool {
        match self {
            SourceKind::Anonymous(_) => false,
            SourceKind::EnvoyMetadata(spec) => spec.assurance.authenticated_at.is_some(),
            SourceKind::Introspection(spec) => spec.assurance.authenticated_at.is_some(),
            SourceKind::Jwt(spec) => spec.assurance.authenticated_at.is_some(),
            SourceKind::Kratos(_) => true,
        }
    }

    /// Returns what two sources of one check cannot both take, because a bearer token does not say to which of them it
    /// belongs.
    pub(crate) fn exclusive_credential(&self) -> Option<String> {
        match self {
            SourceKind::Anonymous(_) => None,
            SourceKind::EnvoyMetadata(spec) => Some(format!("metadata of {} at {}", spec.filter, spec.key)),
            SourceKind::Introspection(_) => Some("access tokens".to_owned()),
            SourceKind::Jwt(spec) => Some(format!("JWTs of {}", spec.issuer)),
            SourceKind::Kratos(_) => Some("session tokens of Kratos".to_owned()),
        }
    }
}
