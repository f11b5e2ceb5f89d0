//! What changes of a key file depend on, read without the rest of the configuration. A key must be added and removed in
//! time although a template, a caller or a listener is misconfigured.

use std::path::Path;
use std::time::Duration;

use super::env;
use super::fault::{ConfigError, Fault, Faults, Place, nearest};
use super::key_source::KeySource;
use super::profile::PROFILE;
use super::read::{Mapping, Misfit, duration, words};
use super::root::ROOT;
use super::rotation::{Rotation, rotation};
use super::yaml::{self, Node, Quoting, Value};
use crate::time::Ttl;

/// The keys of the root, and of a profile, that key files depend on.
const ROOT_KEYS: [&str; 3] = ["jwks_max_age", "profiles", "rotation"];
const PROFILE_KEYS: [&str; 2] = ["jwks", "ttl"];

/// The settings of one key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyFileSettings {
    /// How long verifiers may cache a published key set.
    pub(crate) jwks_max_age: Duration,
    /// How keys follow each other; `None` if the service does not rotate keys.
    pub(crate) rotation: Option<Rotation>,
    /// The longest lifetime of a token that is signed with the file; `None` if no profile names it.
    pub(crate) longest_ttl: Option<Ttl>,
}

impl KeyFileSettings {
    /// Reads the settings of the key file that `is_wanted` accepts from `text`, with the variables of `environment` over
    /// it. Paths in `text` are relative to `base_dir`.
    ///
    /// # Errors
    /// Returns the faults that the settings depend on, among them those of misspelled keys: if they were ignored, a key
    /// could be removed while tokens need it.
    pub(crate) fn parse(
        text: &str,
        base_dir: &Path,
        environment: &[(String, String)],
        is_wanted: impl Fn(&Path) -> bool,
    ) -> Result<Self, ConfigError> {
        let mut faults = Faults::default();
        let Some(mut root) = yaml::parse(text, None, Quoting::Shown, &mut faults) else {
            return Err(faults.into_error());
        };
        let mut of_environment = Faults::default();
        env::apply(&mut root, environment, std::iter::empty(), &mut None, &mut of_environment);
        faults.extend(of_environment.into_list().into_iter().filter(is_about_keys));
        refuse_misspelled(&root, "", ROOT_KEYS.into_iter(), &mut faults);
        let mapping = Mapping::open(Some(&root), String::new(), root.place.clone(), &ROOT, &mut Faults::default());
        let jwks_max_age = mapping.value("jwks_max_age", &mut faults, duration);
        let rotation = mapping.optional_mapping("rotation", &mut faults, rotation);
        let longest_ttl = longest_ttl(&mapping, base_dir, is_wanted, &mut faults);
        match (jwks_max_age, rotation) {
            (Some(jwks_max_age), Some(rotation)) if faults.is_empty() => {
                let rotation = rotation.filter(|_| longest_ttl.is_some());
                Ok(Self { jwks_max_age, rotation, longest_ttl })
            }
            _ => Err(faults.into_error()),
        }
    }
}

/// Returns the longest lifetime of a token of the profiles whose key file is wanted. Faults of other profiles are not
/// added, except if their key file cannot be known.
fn longest_ttl(
    root: &Mapping<'_>,
    base_dir: &Path,
    is_wanted: impl Fn(&Path) -> bool,
    faults: &mut Faults,
) -> Option<Ttl> {
    let entries = match root.given("profiles").map(|node| &node.value) {
        Some(Value::Map(entries)) => entries,
        _ => return None,
    };
    let mut longest = None;
    for entry in entries {
        let path = format!("profiles.{}", entry.key);
        let ignored = &mut Faults::default();
        let profile = Mapping::open(Some(&entry.value), path.clone(), entry.place.clone(), &PROFILE, ignored);
        let jwks = profile
            .value("jwks", faults, |node, kind| KeySource::parse(&words(node, kind)?, base_dir).map_err(Misfit::Found));
        if let Some(KeySource::File(file)) = jwks
            && is_wanted(&file)
        {
            refuse_misspelled(&entry.value, &path, PROFILE_KEYS.into_iter(), faults);
            let ttl = profile.value("ttl", faults, |node, kind| Ttl::new(duration(node, kind)?).ok_or(Misfit::Kind));
            longest = longest.max(ttl);
        }
    }
    longest
}

/// Adds a fault for each key of `node` that is nearly one of `names`.
fn refuse_misspelled<'n>(node: &Node, path: &str, names: impl Iterator<Item = &'n str> + Clone, faults: &mut Faults) {
    let Value::Map(entries) = &node.value else { return };
    let is_known = |key: &str| ROOT.field(key).is_some() || PROFILE.field(key).is_some();
    for entry in entries.iter().filter(|entry| !is_known(&entry.key)) {
        if let Some(name) = nearest(&entry.key, names.clone()) {
            let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
            faults.add(path, format!("a known key (did you mean `{name}`?)"), "an unknown one", &entry.place);
        }
    }
}

/// Returns `true` if key files can depend on the variable of `fault`.
fn is_about_keys(fault: &Fault) -> bool {
    let Place::Environment(name) = fault.place() else { return true };
    let is_of = |key: &str| name.strip_prefix(env::PREFIX).is_some_and(|name| name.starts_with(key));
    ROOT_KEYS.iter().any(|key| is_of(&key.to_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, environment: &[(&str, &str)]) -> Result<KeyFileSettings, String> {
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let is_wanted = |path: &Path| path == Path::new("/etc/keys.json");
        KeyFileSettings::parse(text, Path::new("/etc"), &environment, is_wanted).map_err(|error| error.to_string())
    }

    const UNRELATED: &str = "serve: { api: { prot: 1 } }\ncallers: 7\nlimits: { body: lots }\nwhatever: 1\n\
                             audit: {}\npublic_url: nonsense\n";

    #[test]
    fn faults_that_key_files_do_not_depend_on_are_ignored() {
        let text = format!(
            "{UNRELATED}jwks_max_age: 10m\nrotation: {{ every: 720h, lead: 2h }}\nprofiles:\n  \
             a: {{ jwks: keys.json, ttl: 30m, template: 'no name', isuer: x }}\n  \
             b: {{ jwks: keys.json, ttl: 2h, alg: none }}\n  \
             c: {{ jwks: other.json, ttl: forever }}\n"
        );
        let settings =
            parse(&text, &[("CLAIMSMITH_PORT", "tcp://10.0.0.1:4477"), ("CLAIMSMITH_LOG_LEVEL", "?")]).unwrap();
        assert_eq!(settings.jwks_max_age, Duration::from_secs(600));
        assert_eq!(settings.longest_ttl, Ttl::new(Duration::from_secs(7200)));
        assert_eq!(settings.rotation.unwrap().lead, Duration::from_secs(7200));
        let changed = parse(&text, &[("CLAIMSMITH_PROFILES_A_TTL", "3h")]).unwrap();
        assert_eq!(changed.longest_ttl, Ttl::new(Duration::from_secs(10800)));
        let other = parse("profiles: { c: { jwks: other.json } }\nrotation: { every: 1h }", &[]).unwrap();
        assert_eq!((other.longest_ttl, other.rotation), (None, None));
    }

    #[test]
    fn faults_that_could_remove_a_key_too_early_are_not_ignored() {
        for (text, expected) in [
            ("profiles: { a: { jwks: keys.json, ttl: forever } }", "profiles.a.ttl: expected"),
            (
                "profiles: { a: { jwks: keys.json, tll: 24h } }",
                "profiles.a.tll: expected a known key (did you mean `ttl`?)",
            ),
            ("profiles: { a: { jwks: 7 } }", "profiles.a.jwks: expected"),
            ("profiles: { a: { ttl: 24h } }", "profiles.a.jwks: expected"),
            ("jwks_max_age: soon", "jwks_max_age: expected"),
            ("jwks_maxage: 24h", "jwks_maxage: expected a known key (did you mean `jwks_max_age`?)"),
            ("rotaton: { lead: 24h }", "rotaton: expected a known key (did you mean `rotation`?)"),
            ("rotation: { leed: 24h }", "rotation.leed: expected a known key"),
            ("profiles: { a: { jwks: keys.json", "expected"),
        ] {
            let found = parse(text, &[]).unwrap_err();
            assert!(found.contains(expected), "{text}: {found}");
        }
        let text = "profiles: { a: { jwks: keys.json } }";
        let found = parse(text, &[("CLAIMSMITH_PROFILES_A_TLL", "24h")]).unwrap_err();
        assert!(found.contains("CLAIMSMITH_PROFILES_A_TLL"), "{found}");
    }
}
