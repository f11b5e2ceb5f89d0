//! The rest of a configuration that has faults, so that `check` can report the faults of its templates and keys, too; and
//! the positions of keys, for faults that are found later.

use std::path::Path;

use super::fault::{ConfigError, Fault, Faults, Place};
use super::profile::GivenProfiles;
use super::yaml::{self, Entry, Node, Quoting, Value};
use super::{Config, Loaded};

/// How often faults are removed. Without a removed setting, others can be invalid.
const ROUNDS: usize = 6;
/// The values of required settings that are missing.
const STAND_INS: [(&str, &str); 2] = [(".issuer", "https://issuer.invalid/"), (".jwks", STAND_IN_KEYS)];
/// The key file of profiles without one. No such file exists, and its faults are not reported.
pub(crate) const STAND_IN_KEYS: &str = "keys-of-a-profile-without-jwks.invalid";

/// Returns the line and the column of the value at the dotted `path` in the configuration `text`.
pub(crate) fn position_of(text: &str, path: &str) -> Option<(usize, usize)> {
    let mut root = yaml::parse(text, None, Quoting::Shown, &mut Faults::default())?;
    let (entries, index) = owner_of(&mut root, path)?;
    match entries.get(index)?.value.place {
        Place::File { line, column } => Some((line, column)),
        _ => None,
    }
}

impl Config {
    /// Parses the parts of a configuration that have none of the faults in `error`. Only for further checks: what it returns
    /// must not be served.
    pub(crate) fn parse_rest(
        text: &str,
        base_dir: &Path,
        environment: &[(String, String)],
        given: &mut GivenProfiles,
        error: &ConfigError,
    ) -> Option<Loaded> {
        let mut root = yaml::parse(text, None, Quoting::Shown, &mut Faults::default())?;
        let mut environment = environment.to_vec();
        let mut faults = error.faults().to_vec();
        for _ in 0..ROUNDS {
            let mut is_changed = false;
            for fault in &faults {
                is_changed |= remove(&mut root, &mut environment, fault);
            }
            if !is_changed {
                return None;
            }
            match Self::read(root.clone(), base_dir, &environment, given) {
                Ok(loaded) => return Some(loaded),
                Err(found) => faults = found.into_list(),
            }
        }
        None
    }
}

/// Removes the value that has `fault`, or adds a required one. Returns `false` if nothing was changed.
fn remove(root: &mut Node, environment: &mut Vec<(String, String)>, fault: &Fault) -> bool {
    if let Place::Environment(variable) = fault.place() {
        let before = environment.len();
        environment.retain(|(name, _)| **name != **variable);
        return environment.len() < before;
    }
    if let Some((entries, index)) = owner_of(root, fault.path()) {
        entries.remove(index);
        return true;
    }
    let stand_in =
        STAND_INS.iter().find_map(|(suffix, value)| Some((fault.path().strip_suffix(suffix)?, *suffix, value)));
    let Some((owner, suffix, value)) = stand_in else { return false };
    let Some((entries, index)) = owner_of(root, owner) else { return false };
    let Some(Entry { value: Node { value: Value::Map(members), place }, .. }) = entries.get_mut(index) else {
        return false;
    };
    let key = suffix.trim_start_matches('.').to_owned();
    let place = place.clone();
    members.push(Entry { key, place: place.clone(), value: Node::text(*value, place) });
    true
}

/// Returns the entries that have the value at the dotted `path`, and its index. Of a value in a list, it is the entry of the
/// list.
fn owner_of<'n>(node: &'n mut Node, path: &str) -> Option<(&'n mut Vec<Entry>, usize)> {
    let Value::Map(entries) = &mut node.value else { return None };
    let is_on_path = |entry: &Entry| {
        path.strip_prefix(entry.key.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    // Keys can contain dots, so the longest one counts; of duplicates, the last one is the fault.
    let (index, _) =
        entries.iter().enumerate().filter(|(_, entry)| is_on_path(entry)).max_by_key(|(_, entry)| entry.key.len())?;
    let rest = path.get(entries.get(index)?.key.len()..)?;
    match rest.strip_prefix('.') {
        Some(rest) => owner_of(&mut entries.get_mut(index)?.value, rest),
        None => Some((entries, index)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "profiles:\n  a.b:\n    isuer: x\n    ttl: soon\n    jwks: keys.json\nserv: 1\n";

    #[test]
    fn rest_has_defaults_in_place_of_faults() {
        let error = Config::parse(TEXT, Path::new("."), &[]).unwrap_err();
        let rest = Config::parse_rest(TEXT, Path::new("."), &[], &mut GivenProfiles::default(), &error).unwrap();
        let specs = rest.config.profile_specs();
        assert_eq!((specs[0].name.as_str(), specs[0].ttl.seconds()), ("a.b", 900));
    }

    #[test]
    fn rest_has_no_faulty_variables() {
        let text = "profiles: { p: { issuer: https://a.example/, jwks: k } }";
        let environment = [("CLAIMSMITH_PROFILES_P_TTL".to_owned(), "soon".to_owned())];
        let error = Config::parse(text, Path::new("."), &environment).unwrap_err();
        assert!(
            Config::parse_rest(text, Path::new("."), &environment, &mut GivenProfiles::default(), &error).is_some()
        );
    }

    #[test]
    fn position_is_that_of_the_value() {
        assert_eq!(position_of(TEXT, "profiles.a.b.ttl"), Some((4, 10)));
        assert_eq!(position_of(TEXT, "profiles.a.b.alg"), None);
    }
}
