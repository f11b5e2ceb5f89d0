//! The section `sources`: where claimsmith gets the sessions of requests behind a proxy.
//!
//! To add a type: add its file with `KEYS` and `source`, its keys to [`SOURCE`], and a variant of [`Type`].

mod anonymous;
mod assurance;
mod envoy_metadata;
mod introspection;
mod jwt;
mod kratos;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use url::Url;

use super::fault::Faults;
use super::field::{HTTP_URL, Kind, NAME, NOT_EMPTY, Presence, Section, Words, field, section};
use super::read::{Mapping, Misfit, choice_of, duration, size, text_as};
use super::values::{HttpUrl, is_name};
use super::yaml::{Quoting, Value, joined};
use crate::json::MemberPath;
use crate::sources::{CacheSpec, SourceKind};

pub(super) static SOURCE: Section = section(&[
    field(
        "type",
        "Type",
        "The type of the source: `kratos` for Ory Kratos and Ory Network, `introspection` for access tokens that a \
         server knows, `jwt` for tokens of another issuer, `envoy_metadata` for tokens that Envoy verified, `anonymous` for a session without a login.",
        Kind::Choice(&["anonymous", "envoy_metadata", "introspection", "jwt", "kratos"]),
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
        "With `anonymous`, the subject; otherwise the path of the subject in the session.",
        Kind::Text(NOT_EMPTY),
        Presence::DefaultInWords("`identity.id` with `kratos`, `anonymous` with `anonymous`, otherwise `sub`"),
        &["identity.external_id", "guest"],
    ),
    field(
        "timeout",
        "Timeout",
        "How long a call to the source can take. Not for `anonymous` and `envoy_metadata`.",
        Kind::Duration { least_in_ms: 10 },
        Presence::DefaultInWords("`2s`"),
        &["500ms", "2s"],
    ),
    field(
        "cache",
        "Session cache",
        "Uses a session again without another call. Without it, each request is a call. Only for `kratos` and \
         `introspection`. See \
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
    field(
        "url",
        "Introspection URL",
        "The URL of the introspection endpoint. Required by `introspection`, and only for it.",
        Kind::Text(HTTP_URL),
        Presence::Optional,
        &["http://hydra:4445/admin/oauth2/introspect"],
    ),
    field(
        "basic",
        "Client secret",
        "How claimsmith authenticates at the introspection endpoint: with a client secret. Only for `introspection`.",
        Kind::Section(&introspection::BASIC),
        Presence::Optional,
        &["{ username: claimsmith, password_file: /run/secrets/introspection }"],
    ),
    field(
        "bearer",
        "Client token",
        "How claimsmith authenticates at the introspection endpoint: with a bearer token. Only for `introspection`.",
        Kind::Section(&introspection::BEARER),
        Presence::Optional,
        &["{ token_file: /run/secrets/introspection-token }"],
    ),
    field(
        "issuer",
        "Issuer",
        "The exact `iss` of the tokens. Required by `jwt`, optional for `envoy_metadata`, and only for these.",
        Kind::Text(NOT_EMPTY),
        Presence::Optional,
        &["https://idp.example"],
    ),
    field(
        "audience",
        "Audience",
        "The audiences that claimsmith accepts; a token needs one of them. Required by `jwt`, optional for \
         `introspection`.",
        Kind::Texts,
        Presence::Optional,
        &["[orders]"],
    ),
    field(
        "algorithms",
        "Algorithms",
        "The signature algorithms that claimsmith accepts: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES256K, \
         ES384, ES512 and EdDSA. Required by `jwt`, and only for it.",
        Kind::Texts,
        Presence::Optional,
        &["[ES256, EdDSA]"],
    ),
    field(
        "typ",
        "Token type",
        "The required `typ` in the header of a token. Without it, `typ` is absent, `JWT` or `at+jwt`. Only for `jwt`.",
        Kind::Text(NOT_EMPTY),
        Presence::Optional,
        &["at+jwt"],
    ),
    field(
        "jwks",
        "JWK Set",
        "The public keys of the issuer: a path, or a file, http or https URL. Without it, discovery finds them. Only for \
         `jwt`.",
        Kind::Text(NOT_EMPTY),
        Presence::Optional,
        &["https://idp.example/jwks.json", "keys/partner.jwks.json"],
    ),
    field(
        "leeway",
        "Leeway",
        "How far `nbf` and `iat` of a token can be ahead because clocks differ, at most `5m`. Only for `jwt`.",
        Kind::Duration { least_in_ms: 0 },
        Presence::DefaultInWords("`30s`"),
        &["10s"],
    ),
    field(
        "assurance",
        "Assurance",
        "How sessions say how their people were authenticated, for `require` of checks. Only for `introspection`, \
         `jwt` and `envoy_metadata`.",
        Kind::Section(&assurance::ASSURANCE),
        Presence::Optional,
        &["{ authenticated_at: auth_time, level: acr, aal2: [mfa] }"],
    ),
    field(
        "filter",
        "Filter",
        "The filter of Envoy whose metadata has the claims. Only for `envoy_metadata`.",
        Kind::Text(NOT_EMPTY),
        Presence::DefaultInWords("`envoy.filters.http.jwt_authn`"),
        &["envoy.filters.http.jwt_authn"],
    ),
    field(
        "key",
        "Metadata key",
        "The member of the metadata with the claims: `payload_in_metadata` of the provider. Required by `envoy_metadata`, \
         and only for it.",
        Kind::Text(NOT_EMPTY),
        Presence::Optional,
        &["jwt_payload"],
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
    EnvoyMetadata,
    Introspection,
    Jwt,
    Kratos,
}

impl Type {
    /// Returns the keys that a source of this type has besides `type`.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Type::Anonymous => anonymous::KEYS,
            Type::EnvoyMetadata => envoy_metadata::KEYS,
            Type::Introspection => introspection::KEYS,
            Type::Jwt => jwt::KEYS,
            Type::Kratos => kratos::KEYS,
        }
    }
}

/// Reads the section. `own_issuers` are those of the profiles.
pub(super) fn sources(
    root: &Mapping<'_>,
    base_dir: &Path,
    own_issuers: &BTreeSet<String>,
    faults: &mut Faults,
) -> BTreeMap<String, SourceKind> {
    let mut sources = BTreeMap::new();
    for (name, mapping) in named(root, "sources", &SOURCE, faults) {
        if let (Some(name), Some(kind)) = (name, source(&mapping, base_dir, own_issuers, faults)) {
            sources.insert(name, kind);
        }
    }
    sources
}

fn source(
    mapping: &Mapping<'_>,
    base_dir: &Path,
    own_issuers: &BTreeSet<String>,
    faults: &mut Faults,
) -> Option<SourceKind> {
    let types = [
        ("anonymous", Type::Anonymous),
        ("envoy_metadata", Type::EnvoyMetadata),
        ("introspection", Type::Introspection),
        ("jwt", Type::Jwt),
        ("kratos", Type::Kratos),
    ];
    let kind = mapping.value("type", faults, choice_of(&types))?;
    for key in SOURCE.names().filter(|key| *key != "type" && !kind.keys().contains(key)) {
        if mapping.given(key).is_some() {
            let expected = format!("only keys of this type of source (type, {})", kind.keys().join(", "));
            faults.add(mapping.path_of(key), expected, "a key of another type", &mapping.place_of(key));
        }
    }
    match kind {
        Type::Anonymous => anonymous::source(mapping, faults).map(SourceKind::Anonymous),
        Type::EnvoyMetadata => {
            envoy_metadata::source(mapping, own_issuers, faults).map(|spec| SourceKind::EnvoyMetadata(Box::new(spec)))
        }
        Type::Introspection => introspection::source(mapping, base_dir, own_issuers, faults)
            .map(|spec| SourceKind::Introspection(Box::new(spec))),
        Type::Jwt => jwt::source(mapping, base_dir, faults).map(|spec| SourceKind::Jwt(Box::new(spec))),
        Type::Kratos => kratos::source(mapping, base_dir, faults).map(|spec| SourceKind::Kratos(Box::new(spec))),
    }
}

/// How long a call can take.
const TIMEOUT: Duration = Duration::from_secs(2);

fn url(text: &str) -> Option<Url> {
    HttpUrl::parse(text).and_then(|_| Url::parse(text).ok())
}

fn cache(cache: &Mapping<'_>, faults: &mut Faults) -> Option<CacheSpec> {
    let ttl = cache.value("ttl", faults, duration);
    let stale_if_error = cache.value("stale_if_error", faults, duration);
    let size = cache.value("size", faults, size);
    Some(CacheSpec { ttl: ttl?, stale_if_error: stale_if_error?, size: size? })
}

/// Reads a path in a session under `key`, or `default`.
fn member_path(mapping: &Mapping<'_>, key: &'static str, default: &str, faults: &mut Faults) -> Option<MemberPath> {
    if mapping.given(key).is_none() {
        return MemberPath::parse(default);
    }
    mapping.value(key, faults, |node, kind| {
        let path = text_as(MemberPath::parse)(node, kind);
        path.map_err(|_| Misfit::Found(format!("text that is not {}", MEMBER_PATH.expected)))
    })
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
        faults.add(path, "a mapping of names, such as `kratos: { … }`", node.description(Quoting::Shown), &node.place);
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
