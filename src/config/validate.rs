//! From the tree to the [`Config`]: every section, then what sections say against each other.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use crate::time::Ttl;

use super::callers::callers;
use super::fault::Faults;
use super::raw::{self, ROOT};
use super::read::{Mapping, Misfit, boolean, choice, count, duration, path, port, size, text_as, texts, words};
use super::tells;
use super::values::{HeaderName, Host, ProfileName, is_base_url, is_name, is_token};
use super::yaml::{Node, Value, joined};
use super::{
    Caller, ClientCa, Config, Credential, ExpiresWith, KeySource, Limits, Listener, Log, LogFormat, LogLevel, Profile,
    Rotation, Serve, TlsFiles, UnixSocket,
};
use crate::claims::RegisteredInTemplate;
use crate::keys::{PolicyError, SignatureAlg};
use crate::mint::{Caching, Placement, Validate};
use crate::session::SessionPath;
use crate::templates::Missing;

/// How long it may take until every replica publishes what one wrote: the delay of mounted volumes, the interval of looks,
/// and clocks that are off by a minute either way.
const SEEN_BY_ALL: Duration = Duration::from_secs(240);

/// Reads the whole configuration. `None` only where a fault was added.
pub(super) fn config(
    root: &Node,
    base_dir: &Path,
    given: BTreeMap<ProfileName, Profile>,
    faults: &mut Faults,
    warnings: &mut Vec<String>,
) -> Option<Config> {
    let root = Mapping::open(Some(root), String::new(), root.place.clone(), &ROOT, faults);
    let names_callers = match root.given("callers").map(|node| &node.value) {
        None => false,
        Some(Value::List(items)) => !items.is_empty(),
        Some(_) => true,
    };
    let serve = serve(&root.mapping("serve", faults), base_dir, names_callers, faults);
    let limits = limits(&root.mapping("limits", faults), faults);
    let templates = root.value("templates", faults, path).map(|path| base_dir.join(path));
    let profiles = profiles(&root, base_dir, given, faults);
    let callers = callers(&root, base_dir, &profiles, faults);
    let reload_interval = root.mapping("reload", faults).value("interval", faults, duration);
    let jwks_max_age = root.value("jwks_max_age", faults, duration);
    let rotation_mapping = root.given("rotation").map(|_| root.mapping("rotation", faults));
    let rotation = rotation_mapping.as_ref().map(|mapping| rotation(mapping, faults));
    let log = log(&root.mapping("log", faults), faults);
    let audit = root.given("audit").map(|_| tells::audit(&root.mapping("audit", faults), base_dir, faults));
    let traces = root.given("traces").map(|_| tells::traces(&root.mapping("traces", faults), faults));
    let public_url = root.value(
        "public_url",
        faults,
        text_as(|text| is_base_url(text).then(|| text.trim_end_matches('/').to_owned())),
    );
    let config = Config {
        serve: serve?,
        limits: limits?,
        templates: templates?,
        go_templates: BTreeMap::new(),
        profiles,
        callers,
        reload_interval: reload_interval?,
        rotation: optional(rotation)?,
        jwks_max_age: jwks_max_age?,
        log: log?,
        audit: optional(audit)?,
        traces: optional(traces)?,
        public_url,
    };
    if let (Some(rotation), Some(mapping)) = (&config.rotation, &rotation_mapping) {
        refuse_lost_tokens(&config, rotation, mapping, faults);
    }
    refuse_certificates_without_an_authority(&config, &root, faults);
    warn(&config, warnings);
    Some(config)
}

fn serve(serve: &Mapping<'_>, base_dir: &Path, names_callers: bool, faults: &mut Faults) -> Option<Serve> {
    let (api_mapping, admin_mapping) = (serve.mapping("api", faults), serve.mapping("admin", faults));
    let api = listener(&api_mapping, faults);
    let allow_unauthenticated = api_mapping.value("allow_unauthenticated", faults, boolean);
    let tls = api_mapping.given("tls").map(|_| tls(&api_mapping.mapping("tls", faults), base_dir, faults));
    let unix = api_mapping.given("unix").map(|_| unix(&api_mapping.mapping("unix", faults), base_dir, faults));
    let names_address = ["host", "port", "tls"].iter().any(|key| api_mapping.given(key).is_some());
    let has_api_address = unix.is_none() || names_address;
    let admin = listener(&admin_mapping, faults);
    let playground = admin_mapping.value("playground", faults, boolean);
    if let (Some(api), Some(admin), true) = (&api, &admin, has_api_address) {
        refuse_one_port_for_both(api, admin, &api_mapping, &admin_mapping, faults);
    }
    let (tls, unix) = (optional(tls), optional(unix));
    if let (Some(api), Some(allow_unauthenticated), Some(tls), true) =
        (&api, allow_unauthenticated, &tls, has_api_address)
    {
        let demands_certificates =
            tls.as_ref().and_then(|tls| tls.client.as_ref()).is_some_and(|client| client.is_required);
        let is_decided = names_callers || demands_certificates;
        require_a_decision(api, is_decided, allow_unauthenticated, &api_mapping, faults);
    }
    let shutdown_timeout = serve.value("shutdown_timeout", faults, duration);
    let shutdown_delay = serve.value("shutdown_delay", faults, duration);
    let workers = serve.value("workers", faults, count);
    Some(Serve {
        api: api?,
        has_api_address,
        tls: tls?,
        unix: unix?,
        admin: admin?,
        playground: playground?,
        allow_unauthenticated: allow_unauthenticated?,
        shutdown_timeout: shutdown_timeout?,
        shutdown_delay: shutdown_delay?,
        workers: NonZeroUsize::new(usize::try_from(workers?).ok()?),
    })
}

fn tls(tls: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<TlsFiles> {
    let cert_file = tls.value("cert_file", faults, path);
    let key_file = tls.value("key_file", faults, path);
    let client_ca = tls.given("client_ca_file").map(|_| tls.value("client_ca_file", faults, path));
    let is_wanted = |word: &str| match word {
        "none" => Some(None),
        "optional" => Some(Some(false)),
        "required" => Some(Some(true)),
        _ => None,
    };
    let client_auth = match tls.given("client_auth") {
        Some(_) => tls.value("client_auth", faults, choice(is_wanted)),
        None => Some(client_ca.is_some().then_some(true)),
    };
    let client = match (optional(client_ca)?, client_auth?) {
        (Some(file), Some(is_required)) => Some(ClientCa { file: base_dir.join(file), is_required }),
        (None, None) => None,
        (ca, _) => {
            let (expected, found) = match ca {
                Some(_) => ("optional or required beside client_ca_file", "none"),
                None => ("none, or client_ca_file beside it", "it without client_ca_file"),
            };
            faults.add(tls.path_of("client_auth"), expected, found, &tls.place_of("client_auth"));
            return None;
        }
    };
    Some(TlsFiles { cert_file: base_dir.join(cert_file?), key_file: base_dir.join(key_file?), client })
}

fn unix(unix: &Mapping<'_>, base_dir: &Path, faults: &mut Faults) -> Option<UnixSocket> {
    let path = unix.value("path", faults, path);
    let is_octal = |text: &str| {
        let digits = text.strip_prefix('0').filter(|rest| rest.len() == 3).unwrap_or(text);
        let is_plain = digits.len() == 3 && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        is_plain.then(|| u32::from_str_radix(digits, 8).ok()).flatten()
    };
    let mode = unix.value("mode", faults, text_as(is_octal));
    Some(UnixSocket { path: base_dir.join(path?), mode: mode? })
}

fn listener(listener: &Mapping<'_>, faults: &mut Faults) -> Option<Listener> {
    let host = listener.value("host", faults, text_as(Host::parse));
    let port = listener.value("port", faults, port);
    Some(Listener { host: host?, port: port? })
}

fn refuse_one_port_for_both(
    api: &Listener,
    admin: &Listener,
    api_mapping: &Mapping<'_>,
    admin_mapping: &Mapping<'_>,
    faults: &mut Faults,
) {
    if api.port != 0 && api.port == admin.port && api.host.overlaps(&admin.host) {
        let place = match admin_mapping.given("port") {
            Some(port) => port.place.clone(),
            None => api_mapping.place_of("port"),
        };
        let found = format!("{} for both", api.port);
        faults.add(admin_mapping.path_of("port"), "a port other than that of serve.api", found, &place);
    }
}

/// Who may ask is never left open by accident.
fn require_a_decision(
    api: &Listener,
    is_decided: bool,
    allow_unauthenticated: bool,
    mapping: &Mapping<'_>,
    faults: &mut Faults,
) {
    if !is_decided && !allow_unauthenticated && !api.host.is_loopback() {
        let expected = "a loopback address such as 127.0.0.1, or `callers` who may ask for tokens, or \
                        `client_auth: required` below `tls`, or `allow_unauthenticated: true` where something in \
                        front decides who may";
        let found = format!("`{}`, which everyone may reach, without callers", api.host);
        faults.add(mapping.path_of("host"), expected, found, &mapping.place_of("host"));
    }
    if is_decided && allow_unauthenticated {
        let expected = "false where there are callers or client_auth is required";
        let place = mapping.place_of("allow_unauthenticated");
        faults.add(mapping.path_of("allow_unauthenticated"), expected, "true beside them", &place);
    }
}

fn limits(limits: &Mapping<'_>, faults: &mut Faults) -> Option<Limits> {
    let body = limits.value("body", faults, size);
    let depth = limits.value("depth", faults, count);
    let claims = limits.value("claims", faults, size);
    let template_work = limits.value("template_work", faults, count);
    let header = limits.value("header", faults, size);
    let request = limits.value("request", faults, duration);
    let connections = limits.value("connections", faults, count);
    let token_cache = limits.value("token_cache", faults, size);
    let in_flight = limits.value("in_flight", faults, count);
    let failed_attempts = limits.value("failed_attempts", faults, count);
    let failed_delay = limits.value("failed_delay", faults, duration);
    let keep_alive = limits.value("keep_alive", faults, duration);
    let per_peer = limits.given("connections_per_peer").map(|_| limits.value("connections_per_peer", faults, count));
    let key_set = limits.value("key_set", faults, size);
    let key_fetch = limits.value("key_fetch", faults, duration);
    let connections = usize::try_from(connections?).ok()?;
    Some(Limits {
        body: body?,
        depth: usize::try_from(depth?).ok()?,
        claims: claims?,
        template_work: template_work?,
        header: header?,
        request: request?,
        connections,
        connections_per_peer: match optional(per_peer)? {
            Some(count) => usize::try_from(count).ok()?,
            None => connections,
        },
        token_cache: token_cache?,
        in_flight: usize::try_from(in_flight?).ok()?,
        failed_attempts: u32::try_from(failed_attempts?).ok()?,
        failed_delay: failed_delay?,
        keep_alive: keep_alive?,
        key_set: key_set?,
        key_fetch: key_fetch?,
    })
}

fn rotation(rotation: &Mapping<'_>, faults: &mut Faults) -> Option<Rotation> {
    let every = rotation.value("every", faults, duration);
    let lead = rotation.value("lead", faults, duration);
    let retire = rotation.given("retire").map(|_| rotation.value("retire", faults, duration));
    Some(Rotation { every: every?, lead: lead?, retire: optional(retire)? })
}

/// A rotation that would let a verifier meet a token without its key is no configuration.
fn refuse_lost_tokens(config: &Config, rotation: &Rotation, mapping: &Mapping<'_>, faults: &mut Faults) {
    let seconds = |duration: Duration| format!("{}s", duration.as_secs());
    let files = config.key_files();
    if files.is_empty() {
        faults.add(mapping.path.clone(), "a profile whose keys are in a file", "none", &mapping.place);
    }
    let longest_ttl = files.iter().filter_map(|file| config.longest_ttl(file)).max().unwrap_or(Ttl::ONE_SECOND);
    match config.rotation_of(rotation, longest_ttl) {
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

fn log(log: &Mapping<'_>, faults: &mut Faults) -> Option<Log> {
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    let level = log.value("level", faults, choice(|word| levels.into_iter().find(|level| level.as_str() == word)));
    let format = log.value(
        "format",
        faults,
        choice(|word| match word {
            "json" => Some(LogFormat::Json),
            "text" => Some(LogFormat::Text),
            _ => None,
        }),
    );
    Some(Log { level: level?, format: format? })
}

/// The profiles of the file beside those that were `given`.
fn profiles(
    root: &Mapping<'_>,
    base_dir: &Path,
    given: BTreeMap<ProfileName, Profile>,
    faults: &mut Faults,
) -> BTreeMap<ProfileName, Profile> {
    let mut profiles = given;
    let path = root.path_of("profiles");
    let Some(node) = root.given("profiles") else {
        if profiles.is_empty() {
            root.miss("profiles", faults);
        }
        return profiles;
    };
    let entries = match &node.value {
        Value::Map(entries) if !entries.is_empty() => entries,
        _ => {
            let found = match node.value {
                Value::Map(_) => "none".to_owned(),
                _ => node.description(super::yaml::Quoting::Shown),
            };
            faults.add(path, "a mapping of at least one profile, by name", found, &node.place);
            return profiles;
        }
    };
    for entry in entries {
        let path = joined(&path, &entry.key);
        let name = ProfileName::parse(&entry.key);
        if ProfileName::is_reserved(&entry.key) {
            faults.add(
                path.clone(),
                "a name that no path of the service has, nor the folder of partials",
                "that one",
                &entry.place,
            );
        } else if name.is_none() {
            faults.add(path.clone(), raw::PROFILE_NAME.expected, "another one", &entry.place);
        }
        let mapping = Mapping::open(Some(&entry.value), path, entry.place.clone(), &raw::PROFILE, faults);
        if let (Some(profile), Some(name)) = (profile(&mapping, &entry.key, base_dir, faults), name)
            && profiles.insert(name, profile).is_some()
        {
            let expected = "a name that no profile of the Oathkeeper configuration has";
            faults.add(joined("profiles", &entry.key), expected, "one that has it", &entry.place);
        }
    }
    profiles
}

fn profile(profile: &Mapping<'_>, name: &str, base_dir: &Path, faults: &mut Faults) -> Option<Profile> {
    let issuer = profile.value("issuer", faults, words);
    let jwks = profile
        .value("jwks", faults, |node, kind| KeySource::parse(&words(node, kind)?, base_dir).map_err(Misfit::Found));
    let alg = profile.given("alg").map(|_| profile.value("alg", faults, choice(SignatureAlg::parse)));
    let ttl = profile.value("ttl", faults, |node, kind| Ttl::new(duration(node, kind)?).ok_or(Misfit::Kind));
    let audience = profile.given("audience").map(|_| profile.value("audience", faults, texts));
    let is_template = |text: &str| is_name(text).then(|| text.to_owned());
    let template = match profile.given("template") {
        Some(_) => profile.value("template", faults, text_as(is_template)),
        None => Some(name.to_owned()),
    };
    let placement = match profile.given("placement") {
        Some(_) => placement(&profile.mapping("placement", faults), faults),
        None => Some(Placement::Header { name: "Authorization".to_owned(), scheme: Some("Bearer".to_owned()) }),
    };
    let missing = profile.value(
        "missing",
        faults,
        choice(|word| match word {
            "as_null" => Some(Missing::AsNull),
            "error" => Some(Missing::Error),
            "omit" => Some(Missing::Omit),
            _ => None,
        }),
    );
    let is_explicit = profile.given("expires_with").is_some();
    let expires_with = profile.value(
        "expires_with",
        faults,
        text_as(|text| match text {
            "none" => Some(ExpiresWith::Never),
            _ => SessionPath::parse(text)
                .filter(|path| !path.is_subject())
                .map(|path| ExpiresWith::Path { path, is_explicit }),
        }),
    );
    let subject = profile.value("subject", faults, text_as(SessionPath::parse));
    let allow_empty_subject = profile.value("allow_empty_subject", faults, boolean);
    let registered_claims = profile.value(
        "registered_claims",
        faults,
        choice(|word| match word {
            "refuse" => Some(RegisteredInTemplate::Refuse),
            "override" => Some(RegisteredInTemplate::Override),
            _ => None,
        }),
    );
    let validate = profile.value(
        "validate",
        faults,
        choice(|word| match word {
            "always" => Some(Validate::Always),
            "recorded" => Some(Validate::Recorded),
            _ => None,
        }),
    );
    let cache = profile.value(
        "cache",
        faults,
        choice(|word| match word {
            "off" => Some(Caching::Off),
            "on" => Some(Caching::On),
            _ => None,
        }),
    );
    if let Some(Placement::Extra(member)) = &placement {
        let expiry = match &expires_with {
            Some(ExpiresWith::Path { path, .. }) => Some(path),
            Some(ExpiresWith::Never) | None => None,
        };
        for (key, path) in [("expires_with", expiry), ("subject", subject.as_ref())] {
            if path.is_some_and(|path| path.members().next() == Some(member.as_str())) {
                let expected = format!("a member of extra that {key} does not read");
                let found = format!("`{member}`, which the token would replace");
                faults.add(profile.path_of("placement"), expected, found, &profile.place_of("placement"));
            }
        }
    }
    Some(Profile {
        issuer: issuer?,
        jwks: jwks?,
        alg: optional(alg)?,
        ttl: ttl?,
        audience: optional(audience)?,
        template: template?,
        placement: placement?,
        missing: missing?,
        expires_with: expires_with?,
        subject: subject?,
        allow_empty_subject: allow_empty_subject?,
        registered_claims: registered_claims?,
        validate: validate?,
        cache: cache?,
    })
}

/// A key that may be absent: `Some(None)` where it is, `None` where it stands there with a fault.
pub(super) fn optional<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(Some(value)) => Some(Some(value)),
        Some(None) => None,
    }
}

fn placement(placement: &Mapping<'_>, faults: &mut Faults) -> Option<Placement> {
    placement.require_one_of(faults);
    let header = placement.value("header", faults, text_as(HeaderName::parse));
    let is_scheme = |text: &str| (text.is_empty() || is_token(text)).then(|| text.to_owned());
    let scheme = placement.value("scheme", faults, text_as(is_scheme));
    let extra = placement.value("extra", faults, words);
    if placement.given("extra").is_some() && placement.given("header").is_none() && placement.given("scheme").is_some()
    {
        let expected = "scheme only beside header";
        faults.add(placement.path_of("scheme"), expected, "it beside extra", &placement.place_of("scheme"));
    }
    match (header, extra) {
        (Some(name), None) => {
            let is_authorization = name.as_str() == "Authorization";
            let scheme = scheme.or_else(|| is_authorization.then(|| "Bearer".to_owned()));
            let scheme = scheme.filter(|scheme| !scheme.is_empty());
            Some(Placement::Header { name: name.as_str().to_owned(), scheme })
        }
        (None, Some(member)) => Some(Placement::Extra(member)),
        _ => None,
    }
}

/// A caller that is known by its certificate needs somebody who vouches for that.
fn refuse_certificates_without_an_authority(config: &Config, root: &Mapping<'_>, faults: &mut Faults) {
    let has_authority = config.serve.tls.as_ref().is_some_and(|tls| tls.client.is_some());
    let is_certificate = |caller: &Caller| matches!(caller.credential, Credential::Certificate(_));
    if let Some(index) = config.callers.iter().position(is_certificate).filter(|_| !has_authority) {
        let path = format!("{}[{index}].tls", root.path_of("callers"));
        let place = root.place_of("callers");
        faults.add(path, "serve.api.tls.client_ca_file, which vouches for callers", "none", &place);
    }
}

fn warn(config: &Config, warnings: &mut Vec<String>) {
    let api = &config.serve.api;
    let is_open = config.serve.has_api_address && !api.host.is_loopback();
    if is_open && config.serve.tls.is_none() && !config.callers.is_empty() {
        warnings.push(format!(
            "serve.api.tls: not set, so the secrets of callers and the tokens travel to {}:{} in the clear",
            api.host, api.port
        ));
    }
    if config.serve.allow_unauthenticated && is_open {
        warnings.push(format!(
            "serve.api.allow_unauthenticated: everyone who reaches {}:{} gets a token for any session",
            api.host, api.port
        ));
    }
    for source in config.remote_sources().iter().filter(|source| source.is_in_the_clear()) {
        warnings.push(format!(
            "jwks: private keys come from {source} in the clear, and whoever is on the way can put others in their \
             place; name an https URL"
        ));
    }
    let admin = &config.serve.admin;
    if config.serve.playground && !admin.host.is_loopback() {
        warnings.push(format!(
            "serve.admin.playground: everyone who reaches {}:{} sees the templates and their recorded cases, and may \
             spend this machine's time on templates of their own",
            admin.host, admin.port
        ));
    }
    if let Some(rotation) = &config.rotation
        && rotation.lead < config.jwks_max_age + SEEN_BY_ALL
    {
        warnings.push(format!(
            "rotation.lead: {}s is less than {}s above jwks_max_age: a mounted volume may take 90s to show a new key, and \
             clocks differ, so a verifier may meet a token of a key that it does not have yet",
            rotation.lead.as_secs(),
            SEEN_BY_ALL.as_secs()
        ));
    }
    if config.public_url.is_none()
        && config.serve.has_api_address
        && matches!(api.host.text().as_str(), "0.0.0.0" | "::")
    {
        warnings.push(format!(
            "public_url: not set, and serve.api.host is {}, so discovery documents cannot say where the keys are",
            api.host
        ));
    }
}
