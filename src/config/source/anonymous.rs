//! Sources of the type `anonymous`.

use super::super::fault::Faults;
use super::super::read::{Mapping, words};
use crate::sources::AnonymousSpec;

pub(super) const KEYS: &[&str] = &["subject"];

const SUBJECT: &str = "anonymous";

pub(super) fn source(mapping: &Mapping<'_>, faults: &mut Faults) -> Option<AnonymousSpec> {
    let subject = mapping.optional("subject", faults, words)?;
    Some(AnonymousSpec { subject: subject.unwrap_or_else(|| SUBJECT.to_owned()) })
}
