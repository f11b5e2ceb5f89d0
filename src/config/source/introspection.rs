//! Sources of the type `introspection`.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::fault::Faults;
use super::super::field::{Kind, NOT_EMPTY, Presence, Section, field};
use super::super::read::{Mapping, duration, path, text_as, texts, words};
use super::assurance::assurance;
use super::{TIMEOUT, cache, member_path, url};
use crate::sources::{ClientCredential, FileSecret, IntrospectionSpec};

pub(super) const KEYS: &[&str] = &["url", "basic", "bearer", "audience", "subject", "timeout", "cache", "assurance"];

const SUBJECT: &str = "sub";

pub(super) static BASIC: Section = Section {
    fields: &[
        field(
            "username",
            "Client",
            "The client identifier.",
            Kind::Text(NOT_EMPTY),
            Presence::Required,
            &["claimsmith"],
        ),
        field(
            "password_file",
            "Client secret file",
            "The file that contains the client secret. A trailing newline is ignored.",
            Kind::Path,
            Presence::Required,
            &["/run/secrets/introspection"],
        ),
    ],
    one_of: &[],
    is_secret: true,
};

pub(super) static BEARER: Section = Section {
    fields: &[field(
        "token_file",
        "Token file",
        "The file that contains the token. A trailing newline is ignored.",
        Kind::Path,
        Presence::Required,
        &["/run/secrets/introspection-token"],
    )],
    one_of: &[],
    is_secret: true,
};

pub(super) fn source(
    mapping: &Mapping<'_>,
    base_dir: &Path,
    own_issuers: &BTreeSet<String>,
    faults: &mut Faults,
) -> Option<IntrospectionSpec> {
    if mapping.given("url").is_none() {
        mapping.miss("url", faults);
    }
    let endpoint = mapping.value("url", faults, text_as(url));
    let client = client(mapping, base_dir, faults);
    let audience = mapping.optional("audience", faults, texts);
    let subject = member_path(mapping, "subject", SUBJECT, faults);
    let timeout = mapping.optional("timeout", faults, duration);
    let cache = mapping.optional_mapping("cache", faults, cache);
    let assurance = assurance(mapping, faults);
    Some(IntrospectionSpec {
        url: endpoint?,
        client: client?,
        audience: audience?.unwrap_or_default(),
        subject: subject?,
        timeout: timeout?.unwrap_or(TIMEOUT),
        cache: cache?,
        assurance: assurance?,
        own_issuers: own_issuers.clone(),
    })
}

fn client(mapping: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<Option<ClientCredential>> {
    let secret = |file| FileSecret { file: base_dir.join(file), text: None };
    let basic = mapping.optional_mapping("basic", faults, |basic, faults| {
        let username = basic.value("username", faults, words);
        let password = basic.value("password_file", faults, path);
        Some(ClientCredential::Basic { username: username?, password: secret(password?) })
    });
    let bearer = mapping.optional_mapping("bearer", faults, |bearer, faults| {
        Some(ClientCredential::Bearer(secret(bearer.value("token_file", faults, path)?)))
    });
    match (basic?, bearer?) {
        (Some(_), Some(_)) => {
            let expected = "either basic or bearer";
            faults.add(mapping.path_of("bearer"), expected, "both", &mapping.place_of("bearer"));
            None
        }
        (basic, bearer) => Some(basic.or(bearer)),
    }
}
