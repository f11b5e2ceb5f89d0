//! The settings of an `introspection` source.

use std::collections::BTreeSet;
use std::time::Duration;

use url::Url;

use crate::json::MemberPath;
use crate::sources::token_claims::is_own_issuer;
use crate::sources::{AssuranceSpec, CacheSpec, FileSecret};

/// The settings of an `introspection` source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntrospectionSpec {
    /// The URL of the introspection endpoint.
    pub url: Url,
    /// How claimsmith authenticates there; `None` if it does not.
    pub client: Option<ClientCredential>,
    /// Audiences of which a token needs one; empty if its audience does not matter.
    pub audience: Vec<String>,
    /// The path of the subject in the answer.
    pub subject: MemberPath,
    /// The time for one call.
    pub timeout: Duration,
    /// Whether and how long answers are cached.
    pub cache: Option<CacheSpec>,
    /// How an answer says how its person was authenticated.
    pub assurance: AssuranceSpec,
    /// The issuers of the profiles, whose tokens are never sessions.
    pub own_issuers: BTreeSet<String>,
}

/// How claimsmith authenticates at the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCredential {
    /// `client_secret_basic` (RFC 6749 section 2.3.1).
    Basic {
        /// The client identifier.
        username: String,
        /// The client secret.
        password: FileSecret,
    },
    /// An access token (RFC 6750).
    Bearer(FileSecret),
}

impl ClientCredential {
    /// Returns the secret that is sent.
    pub(in crate::sources) fn secret(&self) -> &FileSecret {
        match self {
            ClientCredential::Basic { password: secret, .. } | ClientCredential::Bearer(secret) => secret,
        }
    }
}

impl IntrospectionSpec {
    /// Returns the secret that it sends, with its key in the configuration.
    pub(in crate::sources) fn secret(&mut self) -> Option<(&'static str, &mut FileSecret)> {
        match self.client.as_mut()? {
            ClientCredential::Basic { password, .. } => Some(("basic.password_file", password)),
            ClientCredential::Bearer(token) => Some(("bearer.token_file", token)),
        }
    }

    /// Returns `true` if `later` accepts the answers of `self` and caches them in the same way. A rotated secret makes no
    /// difference. Answers that name an issuer which `later` has in addition are no longer sessions.
    pub(super) fn has_answers_of(&self, later: &Self) -> bool {
        let Self { url, client, audience, subject, timeout: _, cache, assurance, own_issuers } = self;
        let is_same_client = match (client, &later.client) {
            (Some(ClientCredential::Basic { username, .. }), Some(ClientCredential::Basic { username: other, .. })) => {
                username == other
            }
            (Some(ClientCredential::Bearer(_)), Some(ClientCredential::Bearer(_))) | (None, None) => true,
            _ => false,
        };
        is_same_client
            && *url == later.url
            && *audience == later.audience
            && *subject == later.subject
            && *cache == later.cache
            && *assurance == later.assurance
            && own_issuers.is_superset(&later.own_issuers)
    }

    /// Returns `true` if `issuer` is one of ours.
    pub(super) fn is_own(&self, issuer: &str) -> bool {
        is_own_issuer(&self.own_issuers, issuer)
    }
}
