//! How the sessions of a source say how their people were authenticated.

use super::super::fault::Faults;
use super::super::field::{Kind, Presence, Section, field, section};
use super::super::read::{Mapping, text_as, texts};
use super::MEMBER_PATH;
use crate::json::MemberPath;
use crate::sources::{AssuranceSpec, LevelSpec};

pub(super) static ASSURANCE: Section = section(&[
    field(
        "authenticated_at",
        "Authentication time",
        "The path of the time of the login, a NumericDate or an RFC 3339 time, such as `auth_time`.",
        Kind::Text(MEMBER_PATH),
        Presence::Optional,
        &["auth_time"],
    ),
    field(
        "level",
        "Level",
        "The path of a text or a list of texts that says how well the person was authenticated, such as `acr` or `amr`.",
        Kind::Text(MEMBER_PATH),
        Presence::Optional,
        &["acr", "amr"],
    ),
    field(
        "aal1",
        "First level",
        "The values at `level` that mean `aal1`. Other values mean nothing.",
        Kind::Texts,
        Presence::Optional,
        &["[pwd]"],
    ),
    field(
        "aal2",
        "Second level",
        "The values at `level` that mean `aal2`. Required beside `level`.",
        Kind::Texts,
        Presence::Optional,
        &["[mfa, otp]"],
    ),
]);

/// Reads the key `assurance` of a source.
pub(super) fn assurance(source: &Mapping<'_>, faults: &mut Faults) -> Option<AssuranceSpec> {
    let spec = source.optional_mapping("assurance", faults, |mapping, faults| {
        let authenticated_at = mapping.optional("authenticated_at", faults, text_as(MemberPath::parse));
        let path = mapping.optional("level", faults, text_as(MemberPath::parse));
        let aal1 = mapping.optional("aal1", faults, texts);
        let aal2 = mapping.optional("aal2", faults, texts);
        let (path, aal1, aal2) = (path?, aal1?.unwrap_or_default(), aal2?.unwrap_or_default());
        let level = match path {
            Some(path) if !aal2.is_empty() => Some(LevelSpec { path, aal1, aal2 }),
            Some(_) => {
                mapping.miss("aal2", faults);
                return None;
            }
            None if aal1.is_empty() && aal2.is_empty() => None,
            None => {
                mapping.miss("level", faults);
                return None;
            }
        };
        Some(AssuranceSpec { authenticated_at: authenticated_at?, level })
    });
    spec.map(Option::unwrap_or_default)
}
