//! The section `profiles`: the kinds of tokens.
//!
//! To add a setting of a profile: add its field to [`ProfileSpec`], a row to [`PROFILE`] and a line to [`settings`]. The
//! JSON Schema, the environment variable and the documentation follow from the row.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::fault::Faults;
use super::field::{Kind, NAME, NOT_EMPTY, Presence, Section, Words, field, section};
use super::key_source::KeySource;
use super::read::{Mapping, Misfit, boolean, choice, choice_of, duration, text, text_as, texts, words};
use super::yaml::{Quoting, Value, joined, shortened};
use crate::claims::{Audience, Issuer, RegisteredInTemplate, SessionExpiry};
use crate::keys::{SignatureAlg, TokenType};
use crate::mint::{Caching, HeaderName, Placement, ProfileName, ProfileSpec, Validate, is_token};
use crate::session::SessionPath;
use crate::templates::{Missing, TemplateName};
use crate::time::Ttl;

/// One kind of token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The source of the JWK Set.
    pub jwks: KeySource,
    /// All other settings. `key_set` is the name of `jwks` in [`Config::key_names`](super::Config::key_names).
    pub spec: ProfileSpec,
}

const JWKS: Words = Words {
    expected: KeySource::EXPECTED,
    // Without look-ahead, which the validator of Helm does not have.
    pattern: "^((file|base64|https?|s3|gs|azblob)://.+|[^A-Za-z].*|[A-Za-z][A-Za-z0-9+.-]*([^A-Za-z0-9+.:-].*|:([^/].*|/([^/].*)?)?)?)$",
};
const TOKEN_TYPE: Words = Words {
    expected: "a media type without parameters, such as JWT or at+jwt",
    pattern: "^([A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/)?[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$",
};
const HEADER_NAME: Words = Words {
    expected: "a header name that a token may travel in, such as Authorization or X-Id-Token",
    pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
};
const SCHEME: Words = Words {
    expected: "an authentication scheme such as Bearer, or empty text for none",
    pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]*$",
};
const EXTRA_PATH: Words =
    Words { expected: "a dotted path that starts with `Extra.`, or none", pattern: "^(none|Extra(\\.[^.\\s]+)+)$" };
const SUBJECT_PATH: Words = Words {
    expected: "`Subject`, or a dotted path that starts with `Extra.`",
    pattern: "^(Subject|Extra(\\.[^.\\s]+)+)$",
};

pub(super) static PROFILE: Section = section(&[
    field(
        "issuer",
        "Issuer",
        "The claim `iss`.",
        Kind::Text(NOT_EMPTY),
        Presence::Required,
        &["https://id.example.org/"],
    ),
    field(
        "jwks",
        "JWK Set",
        "The source of the private keys. A path after file:// is relative to the configuration file unless it \
         starts with a slash, as in file:///etc/keys.json. docs/keys.md describes the other URLs.",
        Kind::Text(JWKS),
        Presence::Required,
        &["file://keys/id_token.jwks.json", "keys/id_token.jwks.json", "s3://keys/id_token.jwks.json"],
    ),
    field(
        "alg",
        "Algorithm",
        "The only algorithm to sign with. Without it, the key determines the algorithm.",
        Kind::Choice(&SignatureAlg::NAMES),
        Presence::Optional,
        &["ES256"],
    ),
    field(
        "typ",
        "Token type",
        "The header parameter `typ`. Verifiers that check it reject tokens that were issued for another purpose.",
        Kind::Text(TOKEN_TYPE),
        Presence::Default("JWT"),
        &["at+jwt"],
    ),
    field(
        "ttl",
        "Time to live",
        "How long a token lives, in whole seconds. The session or the key may expire earlier.",
        Kind::Duration { least_in_ms: 1000 },
        Presence::Default("15m"),
        &["15m", "1h30m"],
    ),
    field(
        "audience",
        "Audience",
        "The claim `aud`. Without it, the template can set `aud`.",
        Kind::Texts,
        Presence::Optional,
        &["[orders, billing]", "orders"],
    ),
    field(
        "template",
        "Template",
        "The claims template: `templates/<name>/claims.hbs`, or `claims.gotmpl` for a Go template as in \
         Oathkeeper.",
        Kind::Text(NAME),
        Presence::DefaultInWords("the profile's name"),
        &["session"],
    ),
    field(
        "placement",
        "Placement",
        "Where a hydrated session carries the token: in a request header, or in a member of extra.",
        Kind::Section(&PLACEMENT),
        Presence::Default("{ header: Authorization, scheme: Bearer }"),
        &["{ header: Authorization, scheme: Bearer }", "{ header: X-Id-Token }", "{ extra: token }"],
    ),
    field(
        "missing",
        "Missing values",
        "The value of a path that the session does not have: an error, null, or the member is omitted.",
        Kind::Choice(&["error", "as_null", "omit"]),
        Presence::Default("error"),
        &["as_null"],
    ),
    field(
        "expires_with",
        "Expires with",
        "The path of the session expiry, an RFC 3339 time or a NumericDate. No token outlives it. An explicit \
         path must be present in every session; the default path is optional. `none` disables the check.",
        Kind::Text(EXTRA_PATH),
        Presence::Default("Extra.expires_at"),
        &["Extra.session.expires_at", "none"],
    ),
    field(
        "subject",
        "Subject",
        "The source of the claim `sub`: `Subject`, or a path below `Extra`.",
        Kind::Text(SUBJECT_PATH),
        Presence::Default("Subject"),
        &["Extra.identity.id"],
    ),
    field(
        "allow_empty_subject",
        "Allow an empty subject",
        "Issues tokens for sessions without a subject, such as anonymous ones.",
        Kind::Bool,
        Presence::Default("false"),
        &["true"],
    ),
    field(
        "registered_claims",
        "Registered claims",
        "How registered claims such as `iss`, `sub` and `exp` in a Go template are handled: reject the \
         request, or override them as Oathkeeper does.",
        Kind::Choice(&["refuse", "override"]),
        Presence::Default("refuse"),
        &["override"],
    ),
    field(
        "validate",
        "Validate",
        "When claims are validated against `claims.schema.json` beside the template: in recorded cases at \
         startup, or also before each signature.",
        Kind::Choice(&["recorded", "always"]),
        Presence::Default("recorded"),
        &["always"],
    ),
    field(
        "cache",
        "Cache",
        "Whether sessions with equal claims get the same token, including its `jti`. A token is reused until \
         a tenth of its lifetime is left or its key no longer signs.",
        Kind::Choice(&["on", "off"]),
        Presence::Default("on"),
        &["off"],
    ),
    field(
        "shadow",
        "Shadow mode",
        "Compares instead of issuing at `/hydrate`, which returns the session unchanged, and logs and counts whether \
         the claims are equal to those of the token that the session already has. `/issue` still issues tokens. \
         See docs/migrate-from-oathkeeper.md.",
        Kind::Bool,
        Presence::Default("false"),
        &["true"],
    ),
]);

static PLACEMENT: Section = Section {
    fields: &[
        field(
            "header",
            "Header",
            "The header that carries the token.",
            Kind::Text(HEADER_NAME),
            Presence::Optional,
            &["Authorization", "x-id-token"],
        ),
        field(
            "scheme",
            "Scheme",
            "The authentication scheme before the token in the header.",
            Kind::Text(SCHEME),
            Presence::DefaultInWords("Bearer in Authorization, nothing in other headers"),
            &["Bearer"],
        ),
        field(
            "extra",
            "Extra",
            "The member of extra that carries the token.",
            Kind::Text(NOT_EMPTY),
            Presence::Optional,
            &["token"],
        ),
    ],
    one_of: &["header", "extra"],
    is_secret: false,
};

impl Profile {
    /// Returns a profile whose settings have their defaults, except for the given ones. It is `None` only if the table of
    /// settings has an invalid default.
    pub(crate) fn with_defaults(name: ProfileName, issuer: Issuer, jwks: KeySource) -> Option<Self> {
        let mut faults = Faults::default();
        settings(&Mapping::empty(&PROFILE), Some(name), Some(issuer), Some(jwks), &mut faults)
    }

    /// Returns the file of the JWK Set, if it is a file.
    pub(super) fn key_file(&self) -> Option<&Path> {
        match &self.jwks {
            KeySource::File(path) => Some(path),
            KeySource::Inline(_) | KeySource::Remote(_) => None,
        }
    }
}

/// The access rule that a profile of an Oathkeeper configuration is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RuleOrigin {
    /// The id; empty if the rule has none.
    pub(crate) id: String,
    /// A digest of the requests that the rule matches.
    pub(crate) requests: String,
}

/// Profiles from another source, an Oathkeeper configuration. The section `profiles` can override their settings.
#[derive(Debug, Default)]
pub(crate) struct GivenProfiles {
    /// The profiles that the source defines.
    pub(crate) served: BTreeMap<ProfileName, Profile>,
    /// Profiles that the source no longer defines, with the settings that they had.
    pub(crate) kept: BTreeMap<ProfileName, Profile>,
    /// Profiles that the source cannot define now. Settings for them are ignored.
    pub(crate) absent: BTreeSet<ProfileName>,
    /// Settings that are ignored, because they belong to no profile; `None` if such settings are faults. Rules come and go,
    /// so that their settings can be left over.
    pub(crate) ignored: Option<Faults>,
}

impl GivenProfiles {
    /// Returns the names of all profiles.
    pub(super) fn names(&self) -> impl Iterator<Item = &ProfileName> {
        self.served.keys().chain(self.kept.keys()).chain(&self.absent)
    }

    /// Returns the profile whose settings `mapping` overrides; `None` if `mapping` has to define a profile itself.
    fn base(&mut self, name: &ProfileName, mapping: &Mapping<'_>) -> Option<&Profile> {
        let is_complete = mapping.given("issuer").is_some() && mapping.given("jwks").is_some();
        if is_complete {
            self.kept.remove(name);
        }
        self.served.get(name).or_else(|| self.kept.get(name))
    }

    /// Returns `true` if `mapping` has settings for a profile that is not there. They are ignored.
    fn lacks(&mut self, name: &ProfileName, mapping: &Mapping<'_>) -> bool {
        if mapping.given("issuer").is_some() && mapping.given("jwks").is_some() {
            return false;
        }
        if self.absent.contains(name) {
            return true;
        }
        match &mut self.ignored {
            Some(ignored) if !self.served.contains_key(name) && !self.kept.contains_key(name) => {
                let expected = "a profile that an access rule defines, or its issuer and jwks here";
                let found = "no such rule, so that these settings are ignored; remove them, or add the rule";
                ignored.add(mapping.path.clone(), expected, found, &mapping.place);
                true
            }
            _ => false,
        }
    }
}

/// Reads the section and adds its profiles to `given`.
pub(super) fn profiles(
    root: &Mapping<'_>,
    base_dir: &Path,
    given: &mut GivenProfiles,
    faults: &mut Faults,
) -> BTreeMap<ProfileName, Profile> {
    let mut profiles = BTreeMap::new();
    read_profiles(root, base_dir, given, &mut profiles, faults);
    for (name, profile) in given.served.iter().chain(&given.kept) {
        profiles.entry(name.clone()).or_insert_with(|| profile.clone());
    }
    if profiles.is_empty() && root.given("profiles").is_none() {
        root.miss("profiles", faults);
    }
    profiles
}

fn read_profiles(
    root: &Mapping<'_>,
    base_dir: &Path,
    given: &mut GivenProfiles,
    profiles: &mut BTreeMap<ProfileName, Profile>,
    faults: &mut Faults,
) {
    let path = root.path_of("profiles");
    let Some(node) = root.given("profiles") else { return };
    let entries = match &node.value {
        Value::Map(entries) if !entries.is_empty() => entries,
        _ => {
            let found = match node.value {
                Value::Map(_) => "none".to_owned(),
                _ => node.description(Quoting::Shown),
            };
            return faults.add(path, "a mapping of at least one profile, by name", found, &node.place);
        }
    };
    for entry in entries {
        let path = joined(&path, &entry.key);
        let name = ProfileName::parse(&entry.key);
        if ProfileName::is_reserved(&entry.key) {
            faults.add(
                path.clone(),
                "a name that is not reserved for a path of the service or for partials",
                "a reserved name; choose another name",
                &entry.place,
            );
        } else if name.is_none() {
            faults.add(path.clone(), NAME.expected, "an invalid name", &entry.place);
        }
        let mapping = Mapping::open(Some(&entry.value), path, entry.place.clone(), &PROFILE, faults);
        if name.as_ref().is_some_and(|name| given.lacks(name, &mapping)) {
            continue;
        }
        let base = name.as_ref().and_then(|name| given.base(name, &mapping)).cloned();
        if let Some(profile) = profile(&mapping, name, base_dir, base, faults) {
            profiles.insert(profile.spec.name.clone(), profile);
        }
    }
}

/// Reads one profile; `name` is `None` if its name is invalid. Settings that are not set have the value in `base`.
fn profile(
    profile: &Mapping<'_>,
    name: Option<ProfileName>,
    base_dir: &Path,
    base: Option<Profile>,
    faults: &mut Faults,
) -> Option<Profile> {
    let given = base.as_ref().map(|base| (base.spec.issuer.clone(), base.jwks.clone())).unzip();
    let issuer = match given.0.filter(|_| profile.given("issuer").is_none()) {
        Some(issuer) => Some(issuer),
        None => profile.value("issuer", faults, |node, kind| Issuer::parse(&words(node, kind)?).ok_or(Misfit::Kind)),
    };
    let jwks = match given.1.filter(|_| profile.given("jwks").is_none()) {
        Some(jwks) => Some(jwks),
        None => profile
            .value("jwks", faults, |node, kind| KeySource::parse(&words(node, kind)?, base_dir).map_err(Misfit::Found)),
    };
    let mut read = settings(profile, name, issuer, jwks, faults)?;
    if let Some(base) = base {
        inherit(profile, &mut read.spec, base.spec);
    }
    Some(read)
}

/// Sets each setting in `spec` that `profile` does not set to its value in `base`.
fn inherit(profile: &Mapping<'_>, spec: &mut ProfileSpec, base: ProfileSpec) {
    let ProfileSpec {
        name: _,
        issuer: _,
        key_set: _,
        alg,
        typ,
        ttl,
        audience,
        template,
        placement,
        missing,
        expires_with,
        subject,
        allow_empty_subject,
        registered_claims,
        validate,
        cache,
        shadow,
    } = base;
    fn set<T>(profile: &Mapping<'_>, key: &str, setting: &mut T, base: T) {
        if profile.given(key).is_none() {
            *setting = base;
        }
    }
    set(profile, "alg", &mut spec.alg, alg);
    set(profile, "typ", &mut spec.typ, typ);
    set(profile, "ttl", &mut spec.ttl, ttl);
    set(profile, "audience", &mut spec.audience, audience);
    set(profile, "template", &mut spec.template, template);
    set(profile, "placement", &mut spec.placement, placement);
    set(profile, "missing", &mut spec.missing, missing);
    set(profile, "expires_with", &mut spec.expires_with, expires_with);
    set(profile, "subject", &mut spec.subject, subject);
    set(profile, "allow_empty_subject", &mut spec.allow_empty_subject, allow_empty_subject);
    set(profile, "registered_claims", &mut spec.registered_claims, registered_claims);
    set(profile, "validate", &mut spec.validate, validate);
    set(profile, "cache", &mut spec.cache, cache);
    set(profile, "shadow", &mut spec.shadow, shadow);
}

/// Reads the settings that have defaults.
fn settings(
    profile: &Mapping<'_>,
    name: Option<ProfileName>,
    issuer: Option<Issuer>,
    jwks: Option<KeySource>,
    faults: &mut Faults,
) -> Option<Profile> {
    let alg = profile.optional("alg", faults, choice(SignatureAlg::parse));
    let typ = profile.value("typ", faults, text_as(TokenType::parse));
    let ttl = profile.value("ttl", faults, |node, kind| Ttl::new(duration(node, kind)?).ok_or(Misfit::Kind));
    let audience =
        profile.optional("audience", faults, |node, kind| Audience::new(texts(node, kind)?).ok_or(Misfit::Kind));
    let template = match profile.given("template") {
        Some(_) => profile.value("template", faults, |node, kind| {
            let text = text(node, kind)?;
            TemplateName::parse(&text).filter(|_| !is_template_file(&text)).ok_or_else(|| template_misfit(&text))
        }),
        None => name.as_ref().map(ProfileName::default_template),
    };
    let placement = match profile.given("placement") {
        Some(_) => placement(&profile.mapping("placement", faults), faults),
        None => Some(Placement::default()),
    };
    let missing = profile.value(
        "missing",
        faults,
        choice_of(&[("as_null", Missing::AsNull), ("error", Missing::Error), ("omit", Missing::Omit)]),
    );
    let is_explicit = profile.given("expires_with").is_some();
    let expires_with = profile.value(
        "expires_with",
        faults,
        text_as(|text| match text {
            "none" => Some(SessionExpiry::None),
            _ => SessionPath::parse(text).filter(|path| !path.is_subject()).map(match is_explicit {
                true => SessionExpiry::Required,
                false => SessionExpiry::IfPresent,
            }),
        }),
    );
    let subject = profile.value("subject", faults, text_as(SessionPath::parse));
    let allow_empty_subject = profile.value("allow_empty_subject", faults, boolean);
    let registered_claims = profile.value(
        "registered_claims",
        faults,
        choice_of(&[("refuse", RegisteredInTemplate::Refuse), ("override", RegisteredInTemplate::Override)]),
    );
    let validate =
        profile.value("validate", faults, choice_of(&[("always", Validate::Always), ("recorded", Validate::Recorded)]));
    let cache = profile.value("cache", faults, choice_of(&[("off", Caching::Off), ("on", Caching::On)]));
    let shadow = profile.value("shadow", faults, boolean);
    if let Some(Placement::Extra(member)) = &placement {
        let expiry = match &expires_with {
            Some(SessionExpiry::IfPresent(path) | SessionExpiry::Required(path)) => Some(path),
            Some(SessionExpiry::None) | None => None,
        };
        for (key, path) in [("expires_with", expiry), ("subject", subject.as_ref())] {
            if path.is_some_and(|path| path.members().next() == Some(member.as_str())) {
                let expected = format!("a member of extra that {key} does not read");
                let found = format!("`{member}`, which the token would replace");
                faults.add(profile.path_of("placement"), expected, found, &profile.place_of("placement"));
            }
        }
    }
    let spec = ProfileSpec {
        name: name?,
        issuer: issuer?,
        // The names of key sets depend on each other, so `root` sets them after all profiles are read.
        key_set: String::new(),
        alg: alg?,
        typ: typ?,
        ttl: ttl?,
        audience: audience?,
        template: template?,
        placement: placement?,
        missing: missing?,
        expires_with: expires_with?,
        subject: subject?,
        allow_empty_subject: allow_empty_subject?,
        registered_claims: registered_claims?,
        validate: validate?,
        cache: cache?,
        shadow: shadow?,
    };
    Some(Profile { jwks: jwks?, spec })
}

fn is_template_file(text: &str) -> bool {
    text.ends_with(".hbs") || text.ends_with(".gotmpl")
}

/// Describes a text that is not the name of a template.
fn template_misfit(text: &str) -> Misfit {
    if !text.contains(['/', '\\']) && !is_template_file(text) {
        return Misfit::Kind;
    }
    let directory =
        text.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).find(|part| !is_template_file(part) && !part.is_empty());
    let name = directory.filter(|name| TemplateName::parse(name).is_some()).unwrap_or("session");
    Misfit::Found(format!(
        "a path; write the name of the template, which is its directory below `templates`, such as `{}`",
        shortened(name)
    ))
}

/// Reads the section `placement` of a profile.
fn placement(placement: &Mapping<'_>, faults: &mut Faults) -> Option<Placement> {
    placement.require_one_of(faults);
    let header = placement.value("header", faults, text_as(HeaderName::parse));
    let is_scheme = |text: &str| (text.is_empty() || is_token(text)).then(|| text.to_owned());
    let scheme = placement.value("scheme", faults, text_as(is_scheme));
    let extra = placement.value("extra", faults, words);
    if placement.given("extra").is_some() && placement.given("header").is_none() && placement.given("scheme").is_some()
    {
        let expected = "scheme only with header";
        faults.add(placement.path_of("scheme"), expected, "scheme with extra", &placement.place_of("scheme"));
    }
    match (header, extra) {
        (Some(name), None) => {
            let is_authorization = name == HeaderName::authorization();
            let scheme = scheme.or_else(|| is_authorization.then(|| "Bearer".to_owned()));
            let scheme = scheme.filter(|scheme| !scheme.is_empty());
            Some(Placement::Header { name, scheme })
        }
        (None, Some(member)) => Some(Placement::Extra(member)),
        _ => None,
    }
}
