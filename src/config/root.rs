//! The whole configuration: its top-level keys, and the rules between sections.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::audit::{self, AUDIT, AuditLog};
use super::caller::{CALLER, Caller, callers};
use super::check::{self, CHECK, checks};
use super::credential::Credential;
use super::fault::Faults;
use super::field::{HTTP_URL, Kind, Presence, Section, field, section};
use super::key_source::KeySource;
use super::limits::{LIMITS, Limits, limits};
use super::log::{LOG, Log, log};
use super::profile::{GivenProfiles, PROFILE, Profile, RuleOrigin, profiles};
use super::read::{Mapping, duration, path, text_as};
use super::rotation::{ROTATION, Rotation, rotation};
use super::serve::{SERVE, Serve, serve};
use super::source::{SOURCE, sources};
use super::traces::{self, TRACES, Traces};
use super::values::HttpUrl;
use super::yaml::{Node, Value, joined, shortened};
use crate::checks::Check;
use crate::keys::{PolicyError, RotationPolicy};
use crate::mint::{ProfileName, ProfileSpec};
use crate::remote::{RemoteSource, distinct_names};
use crate::sources::{KeyOrigin, SourceKind};
use crate::templates::{TemplateName, TemplateText};
use crate::time::Ttl;

/// The time until every replica publishes a key that one of them wrote: the delay of mounted volumes, the reload
/// interval, and clocks that differ by a minute.
const SEEN_BY_ALL: Duration = Duration::from_secs(240);

/// A valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the service listens, and how it starts and stops.
    pub(crate) serve: Serve,
    /// What one request and one token may cost.
    pub(crate) limits: Limits,
    /// The directory of the claims templates.
    pub(crate) templates: PathBuf,
    /// Go templates that are not files but part of an Oathkeeper configuration, by name.
    pub(crate) go_templates: BTreeMap<TemplateName, TemplateText>,
    /// The access rule of each profile that is of one.
    pub(crate) rule_origins: BTreeMap<ProfileName, RuleOrigin>,
    /// The profiles that come from an Oathkeeper configuration, each with the access rules that it serves.
    pub(crate) origins: BTreeMap<ProfileName, String>,
    /// Remote key sets of profiles that are not served until these key sets can be fetched.
    pub(crate) unserved_sources: BTreeSet<RemoteSource>,
    /// The kinds of tokens; at least one.
    pub(crate) profiles: BTreeMap<ProfileName, Profile>,
    /// The callers. If there are none, anyone who can reach the API listener can request tokens.
    pub(crate) callers: Vec<Caller>,
    /// Where sessions of requests behind a proxy come from.
    pub(crate) sources: BTreeMap<String, SourceKind>,
    /// What requests behind a proxy need.
    pub(crate) checks: BTreeMap<String, Check>,
    /// The interval of change checks.
    pub(crate) reload_interval: Duration,
    /// How keys follow each other in key files; `None` if the service does not rotate keys.
    pub(crate) rotation: Option<Rotation>,
    /// How long verifiers may cache a published key set.
    pub(crate) jwks_max_age: Duration,
    /// Which events are logged, and their format.
    pub(crate) log: Log,
    /// The audit log of issued tokens; `None` if there is none.
    pub(crate) audit: Option<AuditLog>,
    /// Where traces are sent; `None` if there are no traces.
    pub(crate) traces: Option<Traces>,
    /// The URL under which verifiers reach the API listener, without a trailing slash.
    pub(crate) public_url: Option<HttpUrl>,
}

pub(super) static ROOT: Section = section(&[
    field("serve", "Listeners", "The listeners, startup and shutdown.", Kind::Section(&SERVE), Presence::Optional, &[]),
    field(
        "limits",
        "Limits",
        "The limits of requests and tokens; requests beyond them are rejected.",
        Kind::Section(&LIMITS),
        Presence::Optional,
        &[],
    ),
    field(
        "templates",
        "Templates",
        "The directory of the claims templates, relative to the configuration file.",
        Kind::Path,
        Presence::Default("templates"),
        &["templates", "/etc/claimsmith/templates"],
    ),
    field(
        "profiles",
        "Profiles",
        "The kinds of tokens, by name. The name is part of the path, as in `POST /hydrate/{profile}`. At \
         least one is required.",
        Kind::Named(&PROFILE),
        Presence::Required,
        &["{ id_token: { issuer: \"https://id.example.org/\", jwks: file://keys/id_token.jwks.json } }"],
    ),
    field(
        "callers",
        "Callers",
        "The clients that can request tokens. Without callers, anyone who can reach the API listener can \
         request tokens.",
        Kind::Many(&CALLER),
        Presence::Optional,
        &["[{ name: oathkeeper, basic: { username: oathkeeper, password_file: /run/secrets/oathkeeper } }]"],
    ),
    field(
        "sources",
        "Session sources",
        "Where the sessions of requests behind a proxy come from, by name. See docs/sessions.md.",
        Kind::Named(&SOURCE),
        Presence::Optional,
        &["{ kratos: { type: kratos, public: \"http://kratos:4433\" } }"],
    ),
    field(
        "checks",
        "Checks",
        "What requests behind a proxy need to get a token, by name. The name is part of the path, as in \
         `/forward-auth/{check}`. See docs/sessions.md.",
        Kind::Named(&CHECK),
        Presence::Optional,
        &[],
    ),
    field("reload", "Reload", "How file changes are detected.", Kind::Section(&RELOAD), Presence::Optional, &[]),
    field(
        "rotation",
        "Rotation",
        "Adds the next key to each key file before the last one expires, and removes keys past their \
         retention period. Without it, the service does not change key files.",
        Kind::Section(&ROTATION),
        Presence::Optional,
        &["{ every: 720h, lead: 1h }"],
    ),
    field(
        "jwks_max_age",
        "JWKS max-age",
        "How long verifiers may cache a published key set.",
        Kind::Duration { least_in_ms: 1000 },
        Presence::Default("5m"),
        &["5m", "1m"],
    ),
    field("log", "Log", "Which events are logged, and their format.", Kind::Section(&LOG), Presence::Optional, &[]),
    field(
        "audit",
        "Audit log",
        "A line for each issued token. Without it, there is no audit log. See docs/operations.md.",
        Kind::Section(&AUDIT),
        Presence::Optional,
        &["{ to: stdout }"],
    ),
    field(
        "traces",
        "Traces",
        "A span for each request, sent as OpenTelemetry OTLP. Without it, there are no traces. See \
         docs/operations.md.",
        Kind::Section(&TRACES),
        Presence::Optional,
        &["{ endpoint: \"http://127.0.0.1:4318/v1/traces\" }"],
    ),
    field(
        "public_url",
        "Public URL",
        "The URL under which verifiers reach the API listener, for discovery documents. The default is the \
         address of the API listener if there is exactly one.",
        Kind::Text(HTTP_URL),
        Presence::Optional,
        &["https://tokens.example.org"],
    ),
]);

static RELOAD: Section = section(&[field(
    "interval",
    "Interval",
    "The interval of change checks of key files, templates, partials and this configuration. SIGHUP \
         starts a check immediately.",
    Kind::Duration { least_in_ms: 100 },
    Presence::Default("5s"),
    &["5s", "1s"],
)]);

impl Config {
    /// Returns the key files, each once.
    pub(crate) fn key_files(&self) -> BTreeSet<&Path> {
        self.profiles.values().filter_map(Profile::key_file).collect()
    }

    /// Returns the sources of key sets, each once, with a unique name. [`ProfileSpec::key_set`] is this name.
    pub(crate) fn key_names(&self) -> BTreeMap<&KeySource, String> {
        key_names(&self.profiles)
    }

    /// Returns the remote key sets, each once.
    pub(crate) fn remote_sources(&self) -> BTreeSet<RemoteSource> {
        let sources = self.profiles.values().map(|profile| &profile.jwks);
        sources
            .filter_map(|source| match source {
                KeySource::Remote(source) => Some(source.clone()),
                KeySource::File(_) | KeySource::Inline(_) => None,
            })
            .chain(self.unserved_sources.iter().cloned())
            .collect()
    }

    /// Names the key sets again, after profiles were changed.
    pub(crate) fn name_key_sets(&mut self) {
        name_key_sets(&mut self.profiles);
    }

    /// Returns the profiles for a generation.
    pub fn profile_specs(&self) -> Vec<ProfileSpec> {
        self.profiles.values().map(|profile| profile.spec.clone()).collect()
    }

    /// Returns the longest lifetime of tokens that are signed with keys of a file for which `is_wanted` returns `true`;
    /// `None` if no profile uses such a file.
    pub(crate) fn longest_ttl(&self, is_wanted: impl Fn(&Path) -> bool) -> Option<Ttl> {
        let has_keys = |profile: &&Profile| profile.key_file().is_some_and(&is_wanted);
        self.profiles.values().filter(has_keys).map(|profile| profile.spec.ttl).max()
    }

    /// Returns the policy of `rotation` for keys whose tokens live at most for `longest_ttl`.
    ///
    /// # Errors
    /// Returns [`PolicyError`] if a verifier could meet a token without its key.
    pub(crate) fn rotation_of(&self, rotation: &Rotation, longest_ttl: Ttl) -> Result<RotationPolicy, PolicyError> {
        rotation.policy(longest_ttl, self.jwks_max_age)
    }
}

fn key_names(profiles: &BTreeMap<ProfileName, Profile>) -> BTreeMap<&KeySource, String> {
    let sources: BTreeSet<&KeySource> = profiles.values().map(|profile| &profile.jwks).collect();
    let names = distinct_names(&sources);
    sources.into_iter().zip(names).collect()
}

/// Sets the name of the key set of each profile.
fn name_key_sets(profiles: &mut BTreeMap<ProfileName, Profile>) {
    let names: BTreeMap<KeySource, String> =
        key_names(profiles).into_iter().map(|(source, name)| (source.clone(), name)).collect();
    for profile in profiles.values_mut() {
        profile.spec.key_set = names.get(&profile.jwks).cloned().unwrap_or_default();
    }
}

/// Reads the whole configuration. Returns `None` only if a fault was added.
pub(super) fn config(
    node: &Node,
    base_dir: &Path,
    given: &mut GivenProfiles,
    faults: &mut Faults,
    warnings: &mut Vec<String>,
) -> Option<Config> {
    let root = Mapping::open(Some(node), String::new(), node.place.clone(), &ROOT, faults);
    let names_callers = match root.given("callers").map(|node| &node.value) {
        None => false,
        Some(Value::List(items)) => !items.is_empty(),
        Some(_) => true,
    };
    let serve = serve(&root.mapping("serve", faults), base_dir, names_callers, faults);
    let limits = limits(&root.mapping("limits", faults), faults);
    let templates = root.value("templates", faults, path).map(|path| base_dir.join(path));
    let mut profiles = profiles(&root, base_dir, given, faults);
    name_key_sets(&mut profiles);
    let callers = callers(&root, base_dir, &profiles, &given.absent, faults);
    let own_issuers = profiles.values().map(|profile| profile.spec.issuer.as_str().to_owned()).collect();
    let sources = sources(&root, base_dir, &own_issuers, faults);
    let known = check::Known {
        sources: &sources,
        profiles: &profiles,
        absent: &given.absent,
        has_trusted_caller: callers.iter().any(|caller| caller.credential.is_of_proxy()),
    };
    let checks = checks(&root, &known, faults);
    let reload_interval = root.mapping("reload", faults).value("interval", faults, duration);
    let jwks_max_age = root.value("jwks_max_age", faults, duration);
    let rotation_mapping = root.given("rotation").map(|_| root.mapping("rotation", faults));
    let rotation = match &rotation_mapping {
        Some(mapping) => rotation(mapping, faults).map(Some),
        None => Some(None),
    };
    let log = log(&root.mapping("log", faults), faults);
    let audit = root.optional_mapping("audit", faults, |mapping, faults| audit::audit(mapping, base_dir, faults));
    let traces = root.optional_mapping("traces", faults, traces::traces);
    let public_url = root.value("public_url", faults, text_as(HttpUrl::parse_base));
    let config = Config {
        serve: serve?,
        limits: limits?,
        templates: templates?,
        go_templates: BTreeMap::new(),
        rule_origins: BTreeMap::new(),
        origins: BTreeMap::new(),
        unserved_sources: BTreeSet::new(),
        profiles,
        callers,
        sources,
        checks,
        reload_interval: reload_interval?,
        rotation: rotation?,
        jwks_max_age: jwks_max_age?,
        log: log?,
        audit: audit?,
        traces: traces?,
        public_url,
    };
    if let (Some(rotation), Some(mapping)) = (&config.rotation, &rotation_mapping) {
        refuse_lost_tokens(&config, rotation, mapping, faults);
    }
    refuse_certificates_without_an_authority(&config, &root, faults);
    warn(&config, warnings);
    unsubstituted(node, "", warnings);
    Some(config)
}

/// Rejects a rotation with which a verifier could meet a token without its key.
fn refuse_lost_tokens(config: &Config, rotation: &Rotation, mapping: &Mapping<'_>, faults: &mut Faults) {
    let seconds = |duration: Duration| format!("{}s", duration.as_secs());
    let longest_ttl = config.longest_ttl(|_| true);
    if longest_ttl.is_none() {
        let found = "no such profile; remove `rotation` or set `jwks` to a file";
        faults.add(mapping.path.clone(), "a profile whose `jwks` is a file", found, &mapping.place);
    }
    match config.rotation_of(rotation, longest_ttl.unwrap_or(Ttl::ONE_SECOND)) {
        Err(PolicyError::Lead { lead, max_age }) => {
            let expected = format!("longer than jwks_max_age, which is {}", seconds(max_age));
            faults.add(mapping.path_of("lead"), expected, seconds(lead), &mapping.place_of("lead"));
        }
        Err(PolicyError::Retire { retire, longest_ttl }) => {
            let expected = format!("at least the longest ttl of the profiles, which is {}s", longest_ttl.seconds());
            faults.add(mapping.path_of("retire"), expected, seconds(retire), &mapping.place_of("retire"));
        }
        Ok(_) => {}
    }
    if rotation.every <= rotation.lead {
        let expected = format!("longer than lead, which is {}", seconds(rotation.lead));
        faults.add(mapping.path_of("every"), expected, seconds(rotation.every), &mapping.place_of("every"));
    }
}

/// Rejects callers with client certificates if there is no client CA.
fn refuse_certificates_without_an_authority(config: &Config, root: &Mapping<'_>, faults: &mut Faults) {
    let has_authority = config.serve.tls.as_ref().is_some_and(|tls| tls.client.is_some());
    let is_certificate = |caller: &Caller| matches!(caller.credential, Credential::Certificate(_));
    if let Some(index) = config.callers.iter().position(is_certificate).filter(|_| !has_authority) {
        let path = format!("{}[{index}].tls", root.path_of("callers"));
        let place = root.place_of("callers");
        let expected = "serve.api.tls.client_ca_file for the client certificate of this caller";
        faults.add(path, expected, "no such file; set it to the CA that issues client certificates", &place);
    }
}

/// Adds a warning for each text below `node` that looks like a variable. Shows the name of the variable, and no other part of
/// the text, which can be a secret.
fn unsubstituted(node: &Node, path: &str, warnings: &mut Vec<String>) {
    match &node.value {
        Value::Scalar { text, .. } => {
            let name = text.split_once("${").and_then(|(_, rest)| rest.split_once('}')).map(|(name, _)| name);
            let is_name =
                |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if let Some(name) = name.filter(is_name) {
                let variable = path.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
                warnings.push(format!(
                    "{path}: contains `${{{name}}}`, and claimsmith substitutes no variables in this file; set \
                     CLAIMSMITH_{variable} in the environment, or substitute it before claimsmith reads the file"
                ));
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                unsubstituted(item, &format!("{path}[{index}]"), warnings);
            }
        }
        Value::Map(entries) => {
            entries.iter().for_each(|entry| unsubstituted(&entry.value, &joined(path, &entry.key), warnings))
        }
    }
}

/// Adds a warning for each setting that is valid but risky.
fn warn(config: &Config, warnings: &mut Vec<String>) {
    let api = &config.serve.api;
    let is_open = config.serve.has_api_address && !api.host.is_loopback();
    if is_open && config.serve.tls.is_none() && !config.callers.is_empty() {
        warnings.push(format!(
            "serve.api.tls: not set, so the secrets of callers and the tokens are sent to {}:{} unencrypted",
            api.host, api.port
        ));
    }
    if config.serve.allow_unauthenticated && is_open {
        warnings.push(format!(
            "serve.api.allow_unauthenticated: anyone who can reach {}:{} can request a token for any session",
            api.host, api.port
        ));
    }
    for source in config.remote_sources().iter().filter(|source| source.is_in_the_clear()) {
        warnings.push(format!(
            "jwks: private keys are fetched from {source} without TLS, so an attacker on the network can read and replace \
             them; use an https URL"
        ));
    }
    for (name, source) in &config.sources {
        if let SourceKind::Jwt(spec) = source
            && let KeyOrigin::Discovery(url) | KeyOrigin::Url(url) = &spec.keys
            && url.is_in_the_clear()
        {
            warnings.push(format!(
                "sources.{name}: public keys are fetched from {url} without TLS, so an attacker on the network can replace \
                 them and write sessions; use an https URL"
            ));
        }
    }
    for (name, source) in &config.sources {
        if let SourceKind::Jwt(spec) = source {
            let is_own = |profile: &&Profile| profile.spec.issuer.as_str() == spec.issuer;
            if let Some(profile) = config.profiles.values().find(is_own) {
                warnings.push(format!(
                    "sources.{name}: its issuer is the one of the profile {}, so tokens of claimsmith are sessions for it; each \
                     service that gets such a token can use it here",
                    profile.spec.name
                ));
            }
        }
    }
    let admin = &config.serve.admin;
    if config.serve.playground && !admin.host.is_loopback() {
        warnings.push(format!(
            "serve.admin.playground: anyone who can reach {}:{} can see the templates and their recorded cases, and run \
             templates of their own on this host",
            admin.host, admin.port
        ));
    }
    if let Some(rotation) = &config.rotation
        && rotation.lead < config.jwks_max_age + SEEN_BY_ALL
    {
        warnings.push(format!(
            "rotation.lead: {}s is less than {}s above jwks_max_age: a mounted volume can take 90s to show a new key, and \
             clocks differ, so a verifier could get a token before it has the key",
            rotation.lead.as_secs(),
            SEEN_BY_ALL.as_secs()
        ));
    }
    if config.public_url.is_none()
        && config.serve.has_api_address
        && matches!(api.host.text().as_str(), "0.0.0.0" | "::")
    {
        warnings.push(format!(
            "public_url: not set, and serve.api.host is {}, so discovery documents cannot contain the URL of the keys",
            api.host
        ));
    }
    for (name, profile) in &config.profiles {
        let issuer = profile.spec.issuer.as_str();
        if !issuer.starts_with("https://") && !issuer.starts_with("http://") {
            warnings.push(format!(
                "profiles.{name}.issuer: `{}` is not an https URL, so verifiers that use OpenID Connect discovery cannot find \
                 the keys",
                shortened(issuer)
            ));
        }
    }
}
