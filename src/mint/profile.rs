//! Profiles, compiled from their settings.

use std::sync::Arc;

use super::identity::ProfileIdentity;
use super::schema::ClaimsSchema;
use super::spec::ProfileSpec;
use crate::keys::KeySet;
use crate::session::Selection;
use crate::templates::ClaimTemplate;

/// One kind of token, ready to be issued.
#[derive(Debug)]
pub struct Profile {
    pub(super) spec: ProfileSpec,
    pub(super) keys: Arc<KeySet>,
    pub(super) template: Arc<ClaimTemplate>,
    /// The schema that the claims of every token are validated against.
    pub(super) schema: Option<Arc<ClaimsSchema>>,
    /// The schema beside the template, which its recorded cases were validated against.
    pub(super) recorded_schema: Option<Arc<ClaimsSchema>>,
    pub(super) identity: ProfileIdentity,
}

impl Profile {
    /// Returns the settings of the profile.
    pub fn spec(&self) -> &ProfileSpec {
        &self.spec
    }

    /// Returns the members of a session that its template and its settings read.
    pub fn selection(&self) -> &Selection {
        self.template.selection()
    }

    /// Returns the keys that it signs with.
    pub fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// Returns the digest of everything that determines the claims.
    pub(crate) fn identity(&self) -> &ProfileIdentity {
        &self.identity
    }
}
