//! The section `callers`: the credentials of each caller, the profiles it can request, and its limits.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fault::{Faults, Place, nearest};
use super::field::{Kind, NAME, NOT_EMPTY, Presence, Section, Words, field, section};
use super::profile::Profile;
use super::read::{Mapping, count, has_control_characters, hidden_texts, path, text_as, words};
use super::values::is_name;
use super::yaml::{Quoting, Value};
use crate::mint::ProfileName;
use crate::secret::Secret;
use crate::tls::CertificateName;

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

/// The credential of a caller, and the sources of its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// HTTP Basic (RFC 7617).
    Basic {
        /// The user name.
        username: String,
        /// The accepted passwords; never empty.
        passwords: Vec<SecretSource>,
    },
    /// A bearer token (RFC 6750).
    Bearer {
        /// The accepted tokens; never empty.
        tokens: Vec<SecretSource>,
    },
    /// A client certificate with this name, from the client CA.
    Certificate(CertificateName),
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SecretSource {
    /// A file that contains it.
    File(PathBuf),
    /// The value of an environment variable.
    Inline(Secret),
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

const SUBJECT_NAME: Words = Words {
    expected: "the whole subject of a certificate as RFC 4514 writes it, such as CN=oathkeeper,O=Example",
    pattern: "^[A-Za-z0-9.]+=.+$",
};

const SPIFFE_ID: Words = Words {
    expected: "a SPIFFE ID, such as spiffe://example.org/ns/auth/sa/oathkeeper",
    pattern: "^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+$",
};

const DNS_NAME: Words = Words {
    expected: "a DNS name without wildcards, such as oathkeeper.auth.svc",
    pattern: "^[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$",
};

const USERNAME: Words = Words { expected: "a user name without a colon", pattern: "^[^:\\x00-\\x1f\\x7f]+$" };

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
            "This caller sends a user name and a password. Exactly one of `basic`, `bearer` and `tls` is \
         required.",
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
    one_of: &["basic", "bearer", "tls"],
    is_secret: true,
};

static CERTIFICATE: Section = Section {
    fields: &[
        field(
            "subject",
            "Subject",
            "The full subject of the certificate in RFC 4514 form, the last part first.",
            Kind::Text(SUBJECT_NAME),
            Presence::Optional,
            &["\"CN=oathkeeper,O=Example\""],
        ),
        field(
            "spiffe",
            "SPIFFE ID",
            "The SPIFFE ID, which must be the only URI among the subject alternative names. Exactly one of the \
         three keys is required.",
            Kind::Text(SPIFFE_ID),
            Presence::Optional,
            &["\"spiffe://example.org/ns/auth/sa/oathkeeper\""],
        ),
        field(
            "dns",
            "DNS name",
            "A DNS name among the subject alternative names.",
            Kind::Text(DNS_NAME),
            Presence::Optional,
            &["oathkeeper.auth.svc"],
        ),
    ],
    one_of: &["subject", "spiffe", "dns"],
    is_secret: false,
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

static BASIC: Section = Section {
    fields: &[
        field("username", "User name", "The user name.", Kind::Text(USERNAME), Presence::Required, &["oathkeeper"]),
        field(
            "password_file",
            "Password file",
            "The file that contains the password. A trailing newline is ignored.",
            Kind::Path,
            Presence::Optional,
            &["/run/secrets/oathkeeper"],
        ),
        field(
            "password_files",
            "Password files",
            "Several files like `password_file`. Each password is accepted, so that the old and the new one work \
         during a change.",
            Kind::Texts,
            Presence::Optional,
            &["[/run/secrets/oathkeeper-next, /run/secrets/oathkeeper]"],
        ),
        field(
            "password",
            "Password",
            "The password itself, only as an environment variable. Exactly one of the four keys is required.",
            Kind::Text(NOT_EMPTY),
            Presence::EnvironmentOnly,
            &[],
        ),
        field(
            "passwords",
            "Passwords",
            "Several accepted passwords, only as an environment variable.",
            Kind::Texts,
            Presence::EnvironmentOnly,
            &[],
        ),
    ],
    one_of: &["password_file", "password_files", "password", "passwords"],
    is_secret: true,
};

static BEARER: Section = Section {
    fields: &[
        field(
            "token_file",
            "Token file",
            "The file that contains the token. A trailing newline is ignored.",
            Kind::Path,
            Presence::Optional,
            &["/run/secrets/caller-token"],
        ),
        field(
            "token_files",
            "Token files",
            "Several files like `token_file`. Each token is accepted, so that the old and the new one work during \
         a change.",
            Kind::Texts,
            Presence::Optional,
            &["[/run/secrets/caller-token-next, /run/secrets/caller-token]"],
        ),
        field(
            "token",
            "Token",
            "The token itself, only as an environment variable. Exactly one of the four keys is required.",
            Kind::Text(NOT_EMPTY),
            Presence::EnvironmentOnly,
            &[],
        ),
        field(
            "tokens",
            "Tokens",
            "Several accepted tokens, only as an environment variable.",
            Kind::Texts,
            Presence::EnvironmentOnly,
            &[],
        ),
    ],
    one_of: &["token_file", "token_files", "token", "tokens"],
    is_secret: true,
};

impl Credential {
    /// Returns the files that contain its secrets.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let sources = match self {
            Credential::Basic { passwords: sources, .. } | Credential::Bearer { tokens: sources } => sources.as_slice(),
            Credential::Certificate(_) => &[],
        };
        sources.iter().filter_map(|source| match source {
            SecretSource::File(path) => Some(path.as_path()),
            SecretSource::Inline(_) => None,
        })
    }
}

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
        mapping.require_one_of(faults);
        let basic =
            mapping.optional_mapping("basic", faults, |basic_mapping, faults| basic(basic_mapping, base_dir, faults));
        let bearer = mapping
            .optional_mapping("bearer", faults, |bearer_mapping, faults| bearer(bearer_mapping, base_dir, faults));
        let tls = mapping.optional_mapping("tls", faults, certificate);
        let profiles = match mapping.given("profiles") {
            Some(_) => caller_profiles(&mapping, &profiles, faults).map(Some),
            None => Some(None),
        };
        let limits = caller_limits(&mapping.mapping("limits", faults), faults);
        let credential = [basic, bearer, tls].into_iter().flatten().flatten().next();
        if let (Some(name), Some(credential), Some(profiles), Some(limits)) = (name, credential, profiles, limits) {
            callers.push(Caller { name, credential, profiles, limits });
        }
    }
    callers
}

/// Reads the profiles of a caller, which must be among the `known` ones.
fn caller_profiles(caller: &Mapping<'_>, known: &BTreeSet<&str>, faults: &mut Faults) -> Option<Vec<String>> {
    let names = caller.value("profiles", faults, hidden_texts)?;
    let unknown = names.iter().position(|name| !known.contains(name.as_str()));
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

fn basic(basic: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<Credential> {
    let is_username = |text: &str| {
        (!text.is_empty() && !text.contains(':') && !has_control_characters(text)).then(|| text.to_owned())
    };
    let username = basic.value("username", faults, text_as(is_username));
    let keys = SecretKeys { file: "password_file", files: "password_files", one: "password", several: "passwords" };
    let passwords = secrets(basic, &keys, base_dir, faults);
    Some(Credential::Basic { username: username?, passwords: passwords? })
}

fn bearer(bearer: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<Credential> {
    let keys = SecretKeys { file: "token_file", files: "token_files", one: "token", several: "tokens" };
    Some(Credential::Bearer { tokens: secrets(bearer, &keys, base_dir, faults)? })
}

fn certificate(tls: &Mapping<'_>, faults: &mut Faults) -> Option<Credential> {
    tls.require_one_of(faults);
    let subject = tls.value("subject", faults, text_as(CertificateName::subject));
    let spiffe = tls.value("spiffe", faults, text_as(CertificateName::spiffe));
    let dns = tls.value("dns", faults, text_as(CertificateName::dns));
    subject.or(spiffe).or(dns).map(Credential::Certificate)
}

/// The keys of the secrets of one kind of credential.
struct SecretKeys {
    file: &'static str,
    files: &'static str,
    one: &'static str,
    several: &'static str,
}

fn secrets(
    mapping: &Mapping<'_>,
    keys: &SecretKeys,
    base_dir: &Path,
    faults: &mut Faults,
) -> Option<Vec<SecretSource>> {
    for inline in [keys.one, keys.several] {
        if let Some(node) = mapping.given(inline).filter(|node| !matches!(node.place, Place::Environment(_))) {
            let expected = format!("a file that `{}` names, or an environment variable", keys.file);
            faults.add(mapping.path_of(inline), expected, "the secret in the configuration file", &node.place);
            return None;
        }
    }
    mapping.require_one_of(faults);
    let in_file = |path: PathBuf| SecretSource::File(base_dir.join(path));
    let inline = |text: String| SecretSource::Inline(Secret::new(text.into_bytes()));
    let file = mapping.value(keys.file, faults, path).map(|path| vec![in_file(path)]);
    let files = mapping.value(keys.files, faults, hidden_texts);
    let files = files.map(|paths| paths.into_iter().map(|path| in_file(PathBuf::from(path))).collect());
    let one = mapping.value(keys.one, faults, words).map(|text| vec![inline(text)]);
    let several = mapping.value(keys.several, faults, hidden_texts);
    let several = several.map(|texts| texts.into_iter().map(inline).collect());
    file.or(files).or(one).or(several)
}
