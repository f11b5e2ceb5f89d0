//! The section `checks`: what requests behind a proxy need to get a token.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use super::fault::{Faults, nearest};
use super::field::{HTTP_URL, Kind, NAME, Presence, Section, Words, field, section};
use super::profile::Profile;
use super::read::{Mapping, Misfit, choice, duration, text_as, text_map, texts};
use super::source::{MEMBER_PATH, named};
use super::values::HttpUrl;
use crate::checks::{Check, Login, Origin, OutputHeader, Requirement, carries_token};
use crate::json::MemberPath;
use crate::mint::{Placement, ProfileName};
use crate::session::AssuranceLevel;
use crate::sources::SourceKind;

const OUTPUT_HEADER: Words = Words {
    expected: "header names of letters, digits and dashes that no proxy uses itself, such as X-User-Id",
    pattern: "^[A-Za-z0-9-]+$",
};

const METADATA_NAME: Words = Words {
    expected: "names of at most 128 letters, digits, dashes, underscores and dots",
    pattern: "^[A-Za-z0-9_.-]{1,128}$",
};

pub(super) static CHECK: Section = section(&[
    field(
        "sources",
        "Sources",
        "The session sources, in order. The first one whose credential a request has decides, and its failure is final.",
        Kind::Texts,
        Presence::Required,
        &["[kratos]"],
    ),
    field(
        "profile",
        "Profile",
        "The profile of the token. Its token must be placed in a header.",
        Kind::Text(NAME),
        Presence::Required,
        &["id_token"],
    ),
    field(
        "require",
        "Requirements",
        "How the person of a session must be authenticated.",
        Kind::Section(&REQUIRE),
        Presence::Optional,
        &["{ aal: aal2, max_auth_age: 15m }"],
    ),
    field(
        "login",
        "Login",
        "The URL to which browsers without a sufficient session are redirected. Without it, they get 401.",
        Kind::Text(HTTP_URL),
        Presence::Optional,
        &["https://id.example.org/self-service/login/browser"],
    ),
    field(
        "origins",
        "Origins",
        "The origins that a login can return to. `return_to` is the original URL if its host is one of them. \
         Requests without a known host return to the first one.",
        Kind::Texts,
        Presence::Optional,
        &["[\"https://app.example.org\"]"],
    ),
    field(
        "headers",
        "Headers",
        "Claims of the token that are also sent as plain headers, by the name of the header. All of them are always \
         sent; a missing claim gives an empty value.",
        Kind::TextMap { keys: OUTPUT_HEADER, values: MEMBER_PATH },
        Presence::Optional,
        &["{ X-User-Id: sub, X-User-Email: session.identity.traits.email }"],
    ),
    field(
        "metadata",
        "Dynamic metadata",
        "Claims of the token that Envoy gets as dynamic metadata of its ext_authz filter, by name, for rate limits and \
         access logs. Missing claims are left out. Only over gRPC.",
        Kind::TextMap { keys: METADATA_NAME, values: MEMBER_PATH },
        Presence::Optional,
        &["{ user: sub, token: jti }"],
    ),
]);

static REQUIRE: Section = section(&[
    field(
        "aal",
        "Assurance level",
        "The lowest authenticator assurance level.",
        Kind::Choice(&["aal1", "aal2"]),
        Presence::Optional,
        &["aal2"],
    ),
    field(
        "max_auth_age",
        "Authentication age",
        "The longest time since the last completed factor, in whole seconds.",
        Kind::Duration { least_in_ms: 1000 },
        Presence::Optional,
        &["15m"],
    ),
]);

/// What checks can refer to.
pub(super) struct Known<'c> {
    /// The whole configuration.
    pub(super) root: &'c Mapping<'c>,
    pub(super) sources: &'c BTreeMap<String, SourceKind>,
    pub(super) profiles: &'c BTreeMap<ProfileName, Profile>,
    /// Profiles that are absent for the time being.
    pub(super) absent: &'c BTreeSet<ProfileName>,
    /// Whether a caller can be trusted with what it writes about other requests.
    pub(super) has_trusted_caller: bool,
}

/// Reads the section.
pub(super) fn checks(root: &Mapping<'_>, known: &Known<'_>, faults: &mut Faults) -> BTreeMap<String, Check> {
    let mut checks = BTreeMap::new();
    for (name, mapping) in named(root, "checks", &CHECK, faults) {
        if let (Some(name), Some(check)) = (name, check(&mapping, known, faults)) {
            checks.insert(name, check);
        }
    }
    if !checks.is_empty() && !known.has_trusted_caller {
        let expected = "a caller with `networks`, `header` or `tls`, because only trusted proxies can use checks";
        faults.add(root.path_of("checks"), expected, "no such caller", &root.place_of("checks"));
    }
    checks
}

fn check(check: &Mapping<'_>, known: &Known<'_>, faults: &mut Faults) -> Option<Check> {
    let sources = check.value("sources", faults, texts).filter(|names| {
        let unknown = names.iter().find(|name| !known.sources.contains_key(*name));
        if let Some(name) = unknown {
            refuse_unknown("sources", name, known.sources.keys().map(String::as_str), check, known, faults);
        }
        unknown.is_none()
    });
    let profile = check.value("profile", faults, text_as(ProfileName::parse));
    let profile = profile.filter(|name| is_served(name, check, known, faults));
    let require = require(&check.mapping("require", faults), faults);
    let origins = check.optional("origins", faults, |node, kind| {
        let parse = |text: &String| {
            let found = || {
                format!("`{text}`, which is no origin; write the scheme and the host, such as https://app.example.org")
            };
            Origin::parse(text).ok_or_else(|| Misfit::Found(found()))
        };
        texts(node, kind)?.iter().map(parse).collect::<Result<Vec<_>, _>>()
    });
    let url = |text: &str| HttpUrl::parse(text).and_then(|_| Url::parse(text).ok());
    let login = check.optional("login", faults, text_as(url));
    if check.given("login").is_none() && check.given("origins").is_some() {
        let place = check.place_of("origins");
        faults.add(check.path_of("origins"), "login beside origins", "origins without login", &place);
    }
    let pair = |name: &str, path: &str| Some((OutputHeader::parse(name)?, MemberPath::parse(path)?));
    let headers = check.optional("headers", faults, text_map(pair));
    let pair = |name: &str, path: &str| Some((metadata_name(name)?, MemberPath::parse(path)?));
    let metadata = check.optional("metadata", faults, text_map(pair));
    let (sources, profile, require) = (sources?, profile?, require?);
    refuse_ignorant_sources(check, &sources, &require, known, faults);
    refuse_ambiguous_sources(check, &sources, known, faults);
    let headers = headers?.unwrap_or_default();
    refuse_token_header(check, &profile, &headers, known, faults);
    let origins = origins?.unwrap_or_default();
    let login = login?.map(|url| Login { url, origins });
    let metadata = metadata?.unwrap_or_default();
    Some(Check { sources, profile: profile.to_string(), require, login, headers, metadata })
}

fn metadata_name(text: &str) -> Option<String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (is_plain && (1..=128).contains(&text.len())).then(|| text.to_owned())
}

fn require(require: &Mapping<'_>, faults: &mut Faults) -> Option<Requirement> {
    let level = require.optional("aal", faults, choice(AssuranceLevel::parse));
    let max_age = require.optional("max_auth_age", faults, duration);
    Some(Requirement { level: level?, max_age: max_age? })
}

/// Returns `true` if there is such a profile.
fn is_served(name: &ProfileName, check: &Mapping<'_>, known: &Known<'_>, faults: &mut Faults) -> bool {
    let is_known = known.profiles.contains_key(name) || known.absent.contains(name);
    if !is_known {
        refuse_unknown("profile", name.as_str(), known.profiles.keys().map(ProfileName::as_str), check, known, faults);
    }
    is_known
}

fn refuse_unknown<'k>(
    key: &'static str,
    name: &str,
    names: impl Iterator<Item = &'k str> + Clone,
    check: &Mapping<'_>,
    known: &Known<'_>,
    faults: &mut Faults,
) {
    let section = if key == "sources" { key } else { "profiles" };
    if known.root.has_entry(section, name) {
        // Its own faults are reported already.
        return;
    }
    let advice = nearest(name, names.clone()).map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
    let kind = if key == "sources" { "source" } else { key };
    let names: Vec<&str> = names.collect();
    let names = if names.is_empty() { "there is none".to_owned() } else { names.join(", ") };
    let expected = format!("a configured {kind} ({names}{advice})");
    faults.add(check.path_of(key), expected, format!("`{name}`"), &check.place_of(key));
}

/// Rejects requirements that the sessions of a source never meet, because they do not say how people logged in.
fn refuse_ignorant_sources(
    check: &Mapping<'_>,
    sources: &[String],
    require: &Requirement,
    known: &Known<'_>,
    faults: &mut Faults,
) {
    let given = sources.iter().filter_map(|name| Some((name, known.sources.get(name)?)));
    for (name, source) in given {
        let lacking: Vec<&str> = [
            (require.level.is_some() && !source.knows_level(), "aal"),
            (require.max_age.is_some() && !source.knows_age(), "max_auth_age"),
        ]
        .into_iter()
        .filter_map(|(is_lacking, key)| is_lacking.then_some(key))
        .collect();
        if lacking.is_empty() {
            continue;
        }
        let expected = match source {
            SourceKind::Anonymous(_) => {
                "no requirements in a check with an anonymous source, because nobody logged in there".to_owned()
            }
            _ => format!(
                "sources whose sessions say what {} is compared with; set assurance of the source",
                lacking.join(" and ")
            ),
        };
        faults.add(check.path_of("require"), expected, format!("the source `{name}`"), &check.place_of("require"));
    }
}

/// Rejects an order in which a source is never reached, and sources that a credential cannot be told apart for.
fn refuse_ambiguous_sources(check: &Mapping<'_>, sources: &[String], known: &Known<'_>, faults: &mut Faults) {
    let place = check.place_of("sources");
    let takes_everyone = |name: &&String| known.sources.get(*name).is_some_and(SourceKind::takes_everyone);
    if let Some(name) = sources.iter().rev().skip(1).find(takes_everyone) {
        let expected = "an anonymous source only as the last one, because it decides every request";
        faults.add(check.path_of("sources"), expected, format!("`{name}` before others"), &place);
    }
    let mut takers: BTreeMap<String, &str> = BTreeMap::new();
    for name in sources {
        let Some(credential) = known.sources.get(name).and_then(SourceKind::exclusive_credential) else { continue };
        if let Some(other) = takers.get(&credential) {
            let expected = format!("one source for {credential}, because they do not say to which source they belong");
            faults.add(check.path_of("sources"), expected, format!("`{other}` and `{name}`"), &place);
        }
        takers.insert(credential, name);
    }
}

/// Rejects a profile whose token cannot be sent in a header, or whose header is also a plain header.
fn refuse_token_header(
    check: &Mapping<'_>,
    profile: &ProfileName,
    headers: &[(OutputHeader, MemberPath)],
    known: &Known<'_>,
    faults: &mut Faults,
) {
    let Some(profile) = known.profiles.get(profile) else { return };
    let Placement::Header { name, .. } = &profile.spec.placement else {
        let expected = "a profile whose placement is a header";
        let found = format!("`{}`, whose placement is a member of extra", profile.spec.name);
        return faults.add(check.path_of("profile"), expected, found, &check.place_of("profile"));
    };
    if name.as_str().contains('_') {
        let expected = "a profile whose header has no underscore, because some services read it as a dash";
        let found = format!("`{name}`, the header of `{}`", profile.spec.name);
        faults.add(check.path_of("profile"), expected, found, &check.place_of("profile"));
    }
    if !carries_token(name.as_str()) {
        let expected = "a profile whose header has no other meaning for a proxy, such as Authorization";
        let found = format!("`{name}`, the header of `{}`", profile.spec.name);
        faults.add(check.path_of("profile"), expected, found, &check.place_of("profile"));
    }
    if headers.iter().any(|(header, _)| header.as_str().eq_ignore_ascii_case(name.as_str())) {
        let expected = "plain headers other than the header of the token";
        faults.add(check.path_of("headers"), expected, format!("`{name}`"), &check.place_of("headers"));
    }
}
