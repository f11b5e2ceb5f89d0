//! The section `rotation`: how keys follow each other in key files.

use std::time::Duration;

use super::fault::Faults;
use super::field::{Kind, Presence, Section, field, section};
use super::read::{Mapping, duration};
use crate::keys::{PolicyError, RotationPolicy};
use crate::time::Ttl;

/// How keys follow each other in key files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// How long a key signs.
    pub every: Duration,
    /// The lead time: how long a key is published before it signs.
    pub lead: Duration,
    /// How long an expired key stays in the file; `None` for the longest `ttl` of the profiles that sign with it.
    pub retire: Option<Duration>,
}

pub(super) static ROTATION: Section = section(&[
    field(
        "every",
        "Every",
        "How long a key signs.",
        Kind::Duration { least_in_ms: 1000 },
        Presence::Default("720h"),
        &["720h", "168h"],
    ),
    field(
        "lead",
        "Lead",
        "How long a key is published before it signs. It must be longer than `jwks_max_age`, otherwise a \
         verifier could meet a key that it does not have.",
        Kind::Duration { least_in_ms: 1000 },
        Presence::Default("1h"),
        &["1h", "24h"],
    ),
    field(
        "retire",
        "Retire",
        "How long an expired key stays in the file, at least the longest `ttl` of the profiles that sign with \
         it.",
        Kind::Duration { least_in_ms: 1000 },
        Presence::DefaultInWords("the longest `ttl` of the profiles"),
        &["24h"],
    ),
]);

impl Rotation {
    /// Returns the policy for keys whose tokens live at most for `longest_ttl` and whose sets verifiers cache for
    /// `jwks_max_age`.
    ///
    /// # Errors
    /// Returns [`PolicyError`] if a verifier could meet a token without its key.
    pub(crate) fn policy(&self, longest_ttl: Ttl, jwks_max_age: Duration) -> Result<RotationPolicy, PolicyError> {
        let retire = self.retire.unwrap_or(Duration::from_secs(longest_ttl.seconds().into()));
        RotationPolicy::new(self.lead, retire, jwks_max_age, longest_ttl)
    }
}

/// Reads the section.
pub(super) fn rotation(rotation: &Mapping<'_>, faults: &mut Faults) -> Option<Rotation> {
    let every = rotation.value("every", faults, duration);
    let lead = rotation.value("lead", faults, duration);
    let retire = rotation.optional("retire", faults, duration);
    Some(Rotation { every: every?, lead: lead?, retire: retire? })
}
