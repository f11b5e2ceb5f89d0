//! Profiles of an Oathkeeper configuration whose keys cannot be used. Oathkeeper serves the other rules, and so does
//! claimsmith.

use std::collections::{BTreeMap, BTreeSet};

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
    let mut removed = BTreeSet::new();
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
                found.problems.extend(users.iter().map(|user| problem(config, user, &fault, kept.is_some(), current)));
                match kept {
                    Some(bytes) => drop(found.keys.insert(source, bytes.clone())),
                    None => {
                        if let KeySource::Remote(remote) = &source {
                            // It is still fetched, so that its profiles are served as soon as it is there.
                            config.unserved_sources.insert(remote.clone());
                        }
                        removed.extend(users);
                    }
                }
            }
        }
    }
    for name in &removed {
        restore_or_remove(config, parts, name, current, &mut found.keys);
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

/// Gives the profile `name` the configuration and the keys that it has in the current generation; removes it if there are
/// none.
fn restore_or_remove(
    config: &mut Config,
    parts: &mut GenerationParts,
    name: &ProfileName,
    current: Current<'_>,
    keys: &mut KeyBytes,
) {
    let Some(profile) = config.profiles.remove(name) else { return };
    let template = profile.spec.template;
    // A profile of claimsmith's own configuration can use the template as it is now.
    if config.profiles.values().any(|other| other.spec.template == template) {
        return;
    }
    config.go_templates.remove(&template);
    parts.templates.remove(template.as_str());
    if let Some((profile, text, bytes)) = before(name, current) {
        keys.entry(profile.jwks.clone()).or_insert_with(|| bytes.clone());
        let files = TemplateFiles { syntax: Syntax::Go, text: text.clone(), schema: None, cases: Vec::new() };
        parts.templates.insert(profile.spec.template.to_string(), files);
        config.go_templates.insert(profile.spec.template.clone(), text.clone());
        config.profiles.insert(name.clone(), profile.clone());
    }
}

type Before<'c> = (&'c Profile, &'c TemplateText, &'c Zeroizing<Vec<u8>>);

/// Returns what the current generation has of the profile `name`.
fn before<'c>(name: &ProfileName, current: Current<'c>) -> Option<Before<'c>> {
    let config = current.config?;
    let profile = config.profiles.get(name)?;
    Some((profile, config.go_templates.get(&profile.spec.template)?, current.keys.get(&profile.jwks)?))
}

/// Returns the problem that the keys of `profile` cannot be used.
fn problem(
    config: &Config,
    profile: &ProfileName,
    fault: &BuildFault,
    has_keys: bool,
    current: Current<'_>,
) -> BuildFault {
    let origin = config.origins.get(profile).map(String::as_str).unwrap_or_default();
    let outcome = match (has_keys, before(profile, current)) {
        (true, _) => "keeps the keys that it had",
        (false, Some(_)) => "keeps the configuration that it had",
        (false, None) => "is not served",
    };
    let message = format!("profile {profile}, which serves {origin}, {outcome}: {}", fault.message);
    BuildFault { message, ..fault.clone() }
}
