//! A source that gives every request the same session, which nobody authenticated.

use std::sync::Arc;

use super::{Resolution, ResolvedSession};
use crate::session::Assurance;

/// The settings of an `anonymous` source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnonymousSpec {
    /// The subject of the session.
    pub subject: String,
}

/// An anonymous source.
pub(super) struct Anonymous(Arc<ResolvedSession>);

impl Anonymous {
    pub(super) fn new(spec: &AnonymousSpec) -> Self {
        Self(Arc::new(ResolvedSession {
            subject: spec.subject.clone(),
            extra: "{}".to_owned(),
            assurance: Assurance::default(),
            set_cookies: Vec::new(),
            expires_at: None,
            cache_for: None,
        }))
    }

    pub(super) fn resolve(&self) -> Resolution {
        Resolution::Session(Arc::clone(&self.0))
    }
}
