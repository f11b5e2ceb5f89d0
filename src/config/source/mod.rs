//! The section `sources`: where claimsmith gets the sessions of requests behind a proxy.
//!
//! To add a type: add its file with `KEYS` and `source`, its keys to [`SOURCE`], and a variant of [`Type`].

mod anonymous;
mod kratos;

use std::collections::BTreeMap;
use std::path::Path;

use super::fault::Faults;
use super::field::{HTTP_URL, Kind, NAME, NOT_EMPTY, Presence, Section, Words, field, section};
use super::read::{Mapping, choice_of};
use super::values::is_name;
use super::yaml::{Quoting, Value, joined};
use crate::sources::SourceKind;

pub(super) static SOURCE: Section = section(&[
    field(
        "type",
        "Type",
        "The type of the source: `kratos` for Ory Kratos and Ory Network, `anonymous` for a session without a login.",
        Kind::Choice(&["anonymous", "kratos"]),
        Presence::Required,
        &["kratos"],
    ),
    field(
        "public",
        "Public URL",
        "The URL of Kratos's public API, or of the Ory Network project. Required by `kratos`.",
        Kind::Text(HTTP_URL),
        Presence::Optional,
        &["http://kratos:4433", "https://project.projects.oryapis.com"],
    ),
    field(
        "cookies",
        "Cookies",
        "The names of session cookies. A `*` at the end stands for any further characters. Only for `kratos`.",
        Kind::Texts,
        Presence::DefaultInWords("`[ory_kratos_session]`"),
        &["[ory_kratos_session]", "[\"ory_session_*\"]"],
    ),
    field(
        "subject",
        "Subject",
        "With `kratos`, the path of the subject in the session; with `anonymous`, the subject.",
        Kind::Text(NOT_EMPTY),
        Presence::DefaultInWords("`identity.id` with `kratos`, `anonymous` with `anonymous`"),
        &["identity.external_id", "guest"],
    ),
    field(
        "timeout",
        "Timeout",
        "How long a call to the source can take. Only for `kratos`.",
        Kind::Duration { least_in_ms: 10 },
        Presence::DefaultInWords("`2s`"),
        &["500ms", "2s"],
    ),
    field(
        "cache",
        "Session cache",
        "Uses a session again without another call. Without it, each request is a call. Only for `kratos`. See \
         docs/sessions.md.",
        Kind::Section(&CACHE),
        Presence::Optional,
        &["{ ttl: 30s, stale_if_error: 5m }"],
    ),
    field(
        "admin",
        "Admin URL",
        "The URL of Kratos's admin API, or of the Ory Network project. Required by `extend`. Only for `kratos`.",
        Kind::Text(HTTP_URL),
        Presence::Optional,
        &["http://kratos:4434"],
    ),
    field(
        "admin_token_file",
        "Admin token file",
        "The file that contains the API key for the admin API, for Ory Network. A trailing newline is ignored. Only \
         for `kratos`.",
        Kind::Path,
        Presence::Optional,
        &["/run/secrets/ory-api-key"],
    ),
    field(
        "extend",
        "Session extension",
        "Extends sessions that are in use. Only for `kratos`.",
        Kind::Section(&EXTEND),
        Presence::Optional,
        &["{ below: 6h }"],
    ),
]);

static CACHE: Section = section(&[
    field(
        "ttl",
        "Time to live",
        "The longest time, in whole seconds, for which a session is used without another call. A session that ended \
         earlier is used until then.",
        Kind::Duration { least_in_ms: 1000 },
        Presence::Required,
        &["30s"],
    ),
    field(
        "stale_if_error",
        "Stale if error",
        "How much longer a session is used while calls fail.",
        Kind::Duration { least_in_ms: 0 },
        Presence::Default("0s"),
        &["5m"],
    ),
    field(
        "size",
        "Size",
        "The memory of the cache.",
        Kind::Size { least: 1 << 16, most: 1 << 40 },
        Presence::Default("16MiB"),
        &["64MiB"],
    ),
]);

static EXTEND: Section = section(&[field(
    "below",
    "Below",
    "A session with less time left is extended, one attempt each minute. Kratos extends it by its own lifespan.",
    Kind::Duration { least_in_ms: 1000 },
    Presence::Required,
    &["6h"],
)]);

/// The type of a source.
#[derive(Clone, Copy)]
enum Type {
    Anonymous,
    Kratos,
}

impl Type {
    /// Returns the keys that a source of this type has besides `type`.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Type::Anonymous => anonymous::KEYS,
            Type::Kratos => kratos::KEYS,
        }
    }
}

/// Reads the section.
pub(super) fn sources(root: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> BTreeMap<String, SourceKind> {
    let mut sources = BTreeMap::new();
    for (name, mapping) in named(root, "sources", &SOURCE, faults) {
        if let (Some(name), Some(kind)) = (name, source(&mapping, base_dir, faults)) {
            sources.insert(name, kind);
        }
    }
    sources
}

fn source(mapping: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<SourceKind> {
    let types = [("anonymous", Type::Anonymous), ("kratos", Type::Kratos)];
    let kind = mapping.value("type", faults, choice_of(&types))?;
    for key in SOURCE.names().filter(|key| *key != "type" && !kind.keys().contains(key)) {
        if mapping.given(key).is_some() {
            let expected = format!("only keys of this type of source (type, {})", kind.keys().join(", "));
            faults.add(mapping.path_of(key), expected, "a key of another type", &mapping.place_of(key));
        }
    }
    match kind {
        Type::Anonymous => anonymous::source(mapping, faults).map(SourceKind::Anonymous),
        Type::Kratos => kratos::source(mapping, base_dir, faults).map(|spec| SourceKind::Kratos(Box::new(spec))),
    }
}

/// Opens each mapping of the section `key`, whose keys are names; `None` for an invalid name.
pub(super) fn named<'n>(
    root: &Mapping<'n>,
    key: &str,
    section: &'static Section,
    faults: &mut Faults,
) -> Vec<(Option<String>, Mapping<'n>)> {
    let path = root.path_of(key);
    let Some(node) = root.given(key) else { return Vec::new() };
    let Value::Map(entries) = &node.value else {
        faults.add(path, "a mapping of names", node.description(Quoting::Shown), &node.place);
        return Vec::new();
    };
    let mut found = Vec::with_capacity(entries.len());
    for entry in entries {
        let path = joined(&path, &entry.key);
        let name = is_name(&entry.key).then(|| entry.key.clone());
        if name.is_none() {
            faults.add(path.clone(), NAME.expected, "an invalid name", &entry.place);
        }
        found.push((name, Mapping::open(Some(&entry.value), path, entry.place.clone(), section, faults)));
    }
    found
}

/// A path in a JSON value.
pub(super) const MEMBER_PATH: Words =
    Words { expected: "a dotted path of names without spaces", pattern: "^[^.\\s]+(\\.[^.\\s]+)*$" };
