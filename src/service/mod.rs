//! The issuing service, shared by every protocol. It does not use HTTP types.
//!
//! [`Issuer`] is the only way to a token:
//!
//! 1. [`Issuer::admit`] authenticates a [`Peer`] and takes a slot: a [`Permit`] for one profile.
//! 2. [`Permit::read_posted`] or [`Permit::read_parts`] reads the session for that profile: an [`AdmittedRequest`].
//! 3. [`Issuer::issue`] turns it into an [`Outcome`], from the cache or with a new signature. [`Issuer::issue_posted`] does
//!    steps 2 and 3 for a posted session, or compares if the profile is in shadow mode.
//!
//! [`Issuer::check`] does all of this for a request behind a proxy, whose session comes from a source. Its peer is
//! authenticated before, with [`Issuer::authenticate`].
//!
//! [`Issuer::published_keys`] and [`Issuer::discovery`] return the keys and metadata for verifiers.
//!
//! Each step can end in a [`Refusal`]. An adapter translates its protocol into these calls and their results back, and
//! passes both to [`Recorder::finish`]. No other code counts, logs, audits or traces a request.

mod admission;
mod asked;
mod attempts;
mod cache;
mod callers;
mod check;
mod completion;
mod gauges;
mod generation;
mod health;
mod issuer;
mod outcome;
mod peer;
mod published;
mod queue;
mod record;
mod request_id;
mod shadow;
mod shadow_log;
mod signing_queue;
mod slot;
mod sync;

pub(crate) use admission::Authenticated;
pub use admission::{AdmittedRequest, Permit};
pub(crate) use attempts::Origin as PeerOrigin;
pub use cache::TokenCache;
pub(crate) use callers::Callers;
pub(crate) use check::{Allowed, Denied, ProxiedRequest};
pub(crate) use completion::{Completion, Delivery, Posted};
pub(crate) use generation::{ServedGeneration, ServiceLimits};
pub(crate) use health::{DegradedCondition, DegradedConditions, Readiness, Stage};
pub use issuer::Issuer;
pub(crate) use issuer::IssuerParts;
pub use outcome::CacheUse;
pub(crate) use outcome::{Outcome, Refusal};
pub(crate) use peer::{Credentials, Peer, SECRET_HEADER, Transport};
pub(crate) use published::{Discovery, PublishedProfiles};
pub(crate) use record::{Exchange, Recorder};
pub(crate) use request_id::RequestId;

#[cfg(test)]
mod tests;
