//! The result of a posted session: a token, or a comparison in shadow mode.

use super::outcome::Outcome;
use super::shadow::ShadowResult;
use crate::mint::{Placement, ProfileName};
use crate::session::SessionDocument;
use crate::time::Timestamp;

/// The way in which a token reaches the client that posted the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The response has only the token.
    Alone,
    /// The response is the posted session with the token placed in it.
    InSession,
}

/// The result of a posted session.
#[derive(Debug)]
pub(crate) enum Posted<'m> {
    /// The profile is in shadow mode, so the session is returned unchanged.
    Compared(Comparison),
    /// A token was issued.
    Issued {
        /// The posted session.
        document: SessionDocument<'m>,
        /// The position of the token, from the profile.
        placement: &'m Placement,
        /// The token.
        outcome: Outcome,
    },
}

/// One comparison in shadow mode.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The profile.
    pub(super) profile: ProfileName,
    /// The time of the request.
    pub(super) at: Timestamp,
    /// What was found.
    pub(super) result: ShadowResult,
}

/// The record of a successful request, beside its response.
#[derive(Debug)]
pub enum Completion {
    /// Its claims were compared.
    Compared(Comparison),
    /// It got a token.
    Issued(Outcome),
}
