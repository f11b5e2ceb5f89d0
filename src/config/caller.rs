//! The section `callers`: the credentials of each caller, the profiles it can request, and its limits.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use super::credential::{self, BASIC, BEARER, CERTIFICATE, Credential, HEADER};
use super::fault::{Faults, nearest};
use super::field::{Kind, NAME, Presence, Section, Words, field, section};
use super::profile::Profile;
use super::read::{Mapping, count, hidden_texts, text_as};
use super::values::is_name;
use super::yaml::{Quoting, Value};
use crate::mint::ProfileName;

/// A caller that can request tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The unique name of the caller in logs and metrics.
    pub name: String,
    /// The credential that it sends.
    pub credential: Credential,
    /// The profiles that it can request, all of them configured; `None` for every profile.
    pub profiles: Option<Vec<String>>,
    /// The limits of its requests.
    pub limits: CallerLimits,
}

/// The limits of a caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallerLimits {
    /// Requests in progress at once.
    pub concurrency: Option<NonZeroU32>,
    /// Requests over time.
    pub rate: Option<Rate>,
}

/// Requests over time: `burst` at once, and then one each `period`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time after which one more request is allowed; not zero.
    pub period: Duration,
    /// The requests allowed at once.
    pub burst: NonZeroU32,
}

const RATE: Words =
    Words { expected: "requests for each second, minute or hour, such as 100/s", pattern: "^[1-9][0-9]{0,8}/(s|m|h)$" };

pub(super) static CALLER: Section = Section {
    fields: &[
        field(
            "name",
            "Name",
            "The name of this caller in logs and metrics.",
            Kind::Text(NAME),
            Presence::Required,
            &["oathkeeper"],
        ),
        field(
            "basic",
            "HTTP Basic",
            "This caller sends a user name and a password. Exactly one of `basic`, `bearer`, \
         `tls`, `header` and `networks` is required.",
            Kind::Section(&BASIC),
            Presence::Optional,
            &["{ username: oathkeeper, password_file: /run/secrets/oathkeeper }"],
        ),
        field(
            "bearer",
            "Bearer token",
            "This caller sends a fixed bearer token.",
            Kind::Section(&BEARER),
            Presence::Optional,
            &["{ token_file: /run/secrets/caller-token }"],
        ),
        field(
            "tls",
            "Client certificate",
            "This caller presents a client certificate from the CA in `serve.api.tls.client_ca_file`. Its \
         `Authorization` header is ignored, because it may be the end user's.",
            Kind::Section(&CERTIFICATE),
            Presence::Optional,
            &["{ spiffe: \"spiffe://example.org/ns/auth/sa/oathkeeper\" }"],
        ),
        field(
            "header",
            "Secret header",
            "This caller sends a secret in the header `X-Claimsmith-Secret`. Its `Authorization` header can then be the \
         end user's.",
            Kind::Section(&HEADER),
            Presence::Optional,
            &["{ secret_file: /run/secrets/proxy }"],
        ),
        field(
            "networks",
            "Networks",
            "This caller is a proxy that connects from an address in one of these networks. It needs no other credentials \
         at the endpoints for proxies, so anything that runs there is this caller. It cannot post sessions.",
            Kind::Texts,
            Presence::Optional,
            &["[10.0.0.0/8, \"fd00::/8\"]", "127.0.0.1"],
        ),
        field(
            "profiles",
            "Profiles",
            "The profiles that this caller can request. Without it, all profiles.",
            Kind::Texts,
            Presence::Optional,
            &["[id_token]"],
        ),
        field(
            "limits",
            "Limits",
            "The limits of this caller; requests beyond them get 429.",
            Kind::Section(&CALLER_LIMITS),
            Presence::Optional,
            &["{ concurrency: 64, rate: 100/s, burst: 200 }"],
        ),
    ],
    one_of: &["basic", "bearer", "tls", "header", "networks"],
    is_secret: true,
};

static CALLER_LIMITS: Section = section(&[
    field(
        "concurrency",
        "Concurrency",
        "Requests of this caller in progress at once.",
        Kind::Count { least: 1, most: 1_000_000 },
        Presence::Optional,
        &["64"],
    ),
    field(
        "rate",
        "Rate",
        "Sustained rate of requests per second, minute or hour: `100/s`, `600/m`.",
        Kind::Text(RATE),
        Presence::Optional,
        &["100/s", "600/m"],
    ),
    field(
        "burst",
        "Burst",
        "Requests allowed at once before the rate applies. Requires `rate`.",
        Kind::Count { least: 1, most: 1_000_000 },
        Presence::DefaultInWords("the requests of one second, at least one"),
        &["200"],
    ),
]);

/// Reads the section. Each profile of a caller must be one of `profiles`, or be `absent` for the time being.
pub(super) fn callers(
    root: &Mapping<'_>,
    base_dir: &Path,
    profiles: &BTreeMap<ProfileName, Profile>,
    absent: &BTreeSet<ProfileName>,
    faults: &mut Faults,
) -> Vec<Caller> {
    let path = root.path_of("callers");
    let Some(node) = root.given("callers") else { return Vec::new() };
    let profiles: BTreeSet<&str> = profiles.keys().chain(absent).map(ProfileName::as_str).collect();
    let Value::List(items) = &node.value else {
        let found = node.description(Quoting::Hidden);
        faults.add(path, "a list of callers", found, &node.place);
        return Vec::new();
    };
    let mut callers: Vec<Caller> = Vec::with_capacity(items.len());
    let mut names = HashSet::new();
    for (index, item) in items.iter().enumerate() {
        let mapping = Mapping::open(Some(item), format!("{path}[{index}]"), item.place.clone(), &CALLER, faults);
        let name = mapping.value("name", faults, text_as(|text| is_name(text).then(|| text.to_owned())));
        if let Some(name) = name.as_ref().filter(|name| !names.insert((*name).clone())) {
            let found = format!("`{name}` a second time");
            faults.add(mapping.path_of("name"), "each name once", found, &mapping.place_of("name"));
        }
        let credential = credential::credential(&mapping, base_dir, faults);
        let profiles = match mapping.given("profiles") {
            Some(_) => caller_profiles(&mapping, root, &profiles, faults).map(Some),
            None => Some(None),
        };
        let limits = caller_limits(&mapping.mapping("limits", faults), faults);
        if let (Some(name), Some(credential), Some(profiles), Some(limits)) = (name, credential, profiles, limits) {
            callers.push(Caller { name, credential, profiles, limits });
        }
    }
    callers
}

/// Reads the profiles of a caller, which must be among the `known` ones.
fn caller_profiles(
    caller: &Mapping<'_>,
    root: &Mapping<'_>,
    known: &BTreeSet<&str>,
    faults: &mut Faults,
) -> Option<Vec<String>> {
    let names = caller.value("profiles", faults, hidden_texts)?;
    // A profile with faults of its own is not in `known`.
    let unknown = names.iter().position(|name| !known.contains(name.as_str()) && !root.has_entry("profiles", name));
    let Some(index) = unknown else { return Some(names) };
    let known: Vec<&str> = known.iter().copied().collect();
    let advice = names
        .get(index)
        .and_then(|name| nearest(name, known.iter().copied()))
        .map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"));
    let expected = format!("names of configured profiles ({}){advice}", known.join(", "));
    let found = format!("an unknown name at position {}", index + 1);
    faults.add(caller.path_of("profiles"), expected, found, &caller.place_of("profiles"));
    None
}

fn caller_limits(limits: &Mapping<'_>, faults: &mut Faults) -> Option<CallerLimits> {
    let mut number = |name| {
        limits
            .optional(name, faults, count)
            .map(|value| value.and_then(|value| NonZeroU32::new(u32::try_from(value).ok()?)))
    };
    let (concurrency, burst) = (number("concurrency"), number("burst"));
    let rate = limits.optional("rate", faults, text_as(rate_of))?;
    let (concurrency, burst) = (concurrency?, burst?);
    if let (Some(_), None) = (burst, rate) {
        let place = limits.place_of("burst");
        faults.add(limits.path_of("burst"), "rate beside burst", "burst without rate", &place);
        return None;
    }
    let rate = rate.map(|(period, of_one_second)| Rate { period, burst: burst.unwrap_or(of_one_second) });
    Some(CallerLimits { concurrency, rate })
}

/// Parses a rate: the time between two requests, and the requests of one second, at least one.
fn rate_of(text: &str) -> Option<(Duration, NonZeroU32)> {
    let (number, unit) = text.split_once('/')?;
    let is_plain = number.len() <= 9 && number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let number: u32 = number.parse().ok().filter(|_| is_plain)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let period = Duration::from_secs(seconds).checked_div(number)?;
    let of_one_second = NonZeroU32::new(number / u32::try_from(seconds).ok()?).unwrap_or(NonZeroU32::MIN);
    Some((period.max(Duration::from_nanos(1)), of_one_second))
}
