//! Profiles of an Oathkeeper configuration whose keys cannot be used. Oathkeeper serves the other rules, and so does
//! claimsmith.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::code::ErrorCode;
use crate::config::{Config, KeySource, Profile};
use crate::keys::KeySet;
use crate::mint::{BuildFault, GenerationParts, ProfileName, TemplateFiles};
use crate::templates::{Syntax, TemplateText};

/// The bytes of key sets, by their source.
pub(super) type KeyBytes = BTreeMap<KeySource, Zeroizing<Vec<u8>>>;

/// The configuration and the keys of the current generation.
#[derive(Clone, Copy)]
pub(super) struct Current<'c> {
    pub(super) config: Option<&'c Config>,
    pub(super) keys: &'c KeyBytes,
}

/// What [`set_aside`] found.
#[derive(Default)]
pub(super) struct SetAside {
    /// Reasons to serve nothing: the keys of a profile that claimsmith's own configuration defines.
    pub(super) faults: Vec<BuildFault>,
    /// The profiles that are not served, or that keep what they had.
    pub(super) problems: Vec<BuildFault>,
    /// The keys of the generation.
    pub(super) keys: KeyBytes,
}

/// Changes `config` and `parts` so that no profile of an Oathkeeper configuration has keys that cannot be used. Such a
/// profile keeps its current keys, or its current configuration, or it is removed. `unread` has the faults of sources that
/// cannot be read.
pub(super) fn set_aside(
    config: &mut Config,
    parts: &mut GenerationParts,
    mut unread: BTreeMap<KeySource, BuildFault>,
    current: Current<'_>,
) -> SetAside {
    let mut found = SetAside::default();
    let mut removed = BTreeMap::new();
    let names: Vec<(KeySource, String)> = config.key_names().into_iter().map(|(s, name)| (s.clone(), name)).collect();
    for (source, name) in names {
        let users: Vec<ProfileName> =
            config.profiles.iter().filter(|(_, one)| one.jwks == source).map(|(name, _)| name.clone()).collect();
        let is_given = users.iter().all(|user| config.origins.contains_key(user));
        let bytes = parts.key_sets.get(&name).cloned();
        let fault = match (unread.remove(&source), &bytes) {
            (Some(fault), _) => Some(fault),
            // Other faults in key sets are those of the generation.
            (None, Some(bytes)) if is_given && current.keys.get(&source) != Some(bytes) => {
                let error = KeySet::parse(bytes).err();
                error.map(|error| BuildFault::new(ErrorCode::KeySetInvalid, &name, error.to_string()))
            }
            (None, _) => None,
        };
        match (fault, bytes) {
            (None, Some(bytes)) => drop(found.keys.insert(source, bytes)),
            (None, None) => {}
            (Some(fault), _) if !is_given => found.faults.push(fault),
            (Some(fault), _) => {
                let kept = current.keys.get(&source);
                match kept {
                    Some(bytes) => {
                        let outcome = "keeps the keys that it had";
                        found.problems.extend(users.iter().map(|user| problem(config, user, &fault, outcome)));
                        found.keys.insert(source, bytes.clone());
                    }
                    None => {
                        if let KeySource::Remote(remote) = &source {
                            // It is still fetched, so that its profiles are served as soon as it is there.
                            config.unserved_sources.insert(remote.clone());
                        }
                        removed.extend(users.into_iter().map(|user| (user, fault.clone())));
                    }
                }
            }
        }
    }
    for (name, fault) in &removed {
        let outcome = match restore_or_remove(config, parts, name, current, &mut found.keys) {
            true => "keeps the configuration that it had",
            false => "is not served",
        };
        found.problems.push(problem(config, name, fault, outcome));
    }
    if config.profiles.is_empty() {
        found.faults.append(&mut found.problems);
    }
    config.name_key_sets();
    parts.profiles = config.profile_specs();
    let named =
        config.key_names().into_iter().filter_map(|(source, name)| Some((name, found.keys.get(source)?.clone())));
    parts.key_sets = named.collect();
    found
}

/// Gives the profile `name` the configuration and the keys that it has in the current generation. Otherwise removes it and
/// returns `false`.
fn restore_or_remove(
    config: &mut Config,
    parts: &mut GenerationParts,
    name: &ProfileName,
    current: Current<'_>,
    keys: &mut KeyBytes,
) -> bool {
    let Some(profile) = config.profiles.remove(name) else { return false };
    let template = profile.spec.template;
    // A profile of claimsmith's own configuration can use the template as it is now.
    if config.profiles.values().any(|other| other.spec.template == template) {
        return false;
    }
    config.go_templates.remove(&template);
    parts.templates.remove(template.as_str());
    let Some((profile, text, bytes)) = before(name, current) else { return false };
    keys.entry(profile.jwks.clone()).or_insert_with(|| bytes.clone());
    let files = TemplateFiles { syntax: Syntax::Go, text: text.clone(), schema: None, cases: Vec::new() };
    parts.templates.insert(profile.spec.template.to_string(), files);
    config.go_templates.insert(profile.spec.template.clone(), text.clone());
    config.profiles.insert(name.clone(), profile.clone());
    true
}

type Before<'c> = (&'c Profile, &'c TemplateText, &'c Zeroizing<Vec<u8>>);

/// Returns what the current generation has of the profile `name`.
fn before<'c>(name: &ProfileName, current: Current<'c>) -> Option<Before<'c>> {
    let config = current.config?;
    let profile = config.profiles.get(name)?;
    Some((profile, config.go_templates.get(&profile.spec.template)?, current.keys.get(&profile.jwks)?))
}

/// Returns the problem that the keys of `profile` cannot be used; `outcome` is what became of the profile.
fn problem(config: &Config, profile: &ProfileName, fault: &BuildFault, outcome: &str) -> BuildFault {
    let origin = config.origins.get(profile).map(String::as_str).unwrap_or_default();
    let message = format!("profile {profile}, which serves {origin}, {outcome}: {}", fault.message);
    BuildFault { message, ..fault.clone() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::keys::{KeyId, SignatureAlg, generate};

    /// Returns a configuration in which claimsmith's own profile `own` has the template of access rule `rule`, if it `shares` it.
    fn config(jwks: &str, shares: bool) -> Config {
        let template = if shares { "rule" } else { "own" };
        let text = format!(
            "profiles:\n  rule: {{ issuer: i, jwks: {jwks} }}\n  own: {{ issuer: i, jwks: own.json, template: {template} }}\n"
        );
        let mut config = Config::parse(&text, Path::new("/keys"), &[]).unwrap().config;
        let rule = ProfileName::parse("rule").unwrap();
        config.go_templates.insert(rule.default_template(), TemplateText { name: "rule".into(), text: "{}".into() });
        config.origins.insert(rule, "access rule rule".to_owned());
        config
    }

    #[test]
    fn problem_names_what_became_of_a_profile_without_keys() {
        let keys: Zeroizing<Vec<u8>> = generate(SignatureAlg::Es256, None, &KeyId::parse("k").unwrap())
            .unwrap()
            .to_set()
            .as_bytes()
            .to_vec()
            .into();
        for (shares, outcome) in [(false, "keeps the configuration that it had"), (true, "is not served")] {
            let (before, mut config) = (config("before.json", shares), config("gone.json", shares));
            let source = |config: &Config| config.profiles[&ProfileName::parse("rule").unwrap()].jwks.clone();
            let unread = BTreeMap::from([(
                source(&config),
                BuildFault::new(ErrorCode::KeySetInvalid, "gone.json", "no such file"),
            )]);
            let current = KeyBytes::from([(source(&before), keys.clone())]);
            let mut parts = GenerationParts {
                key_sets: config.key_names().into_values().map(|name| (name, keys.clone())).collect(),
                ..GenerationParts::default()
            };
            parts.key_sets.retain(|name, _| !name.contains("gone"));
            let current = Current { config: Some(&before), keys: &current };
            let found = set_aside(&mut config, &mut parts, unread, current);
            let messages: Vec<_> = found.problems.iter().map(|problem| problem.message.as_str()).collect();
            assert_eq!(messages, [format!("profile rule, which serves access rule rule, {outcome}: no such file")]);
            assert_eq!(config.profiles.len(), if shares { 1 } else { 2 });
        }
    }
}
