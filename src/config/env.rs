//! Overrides the tree of a configuration file with environment variables, before it is read.
//!
//! The name of a variable is `CLAIMSMITH_` and the path of a key in upper case, joined by `_`. In the name of a profile, source
//! or check, each character that is not a letter or digit becomes `_`. Text is used as it is. Numbers, booleans, lists and mappings
//! are YAML (`[a, b]`, `{extra: token}`); commas can also separate the items of a list of text.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::fault::{Faults, Place, nearest};
use super::field::{Kind, Presence, Section};
use super::root::ROOT;
use super::yaml::{self, Entry, Node, Quoting, Value};
use crate::mint::{MOST_NAMED, ProfileName};

/// The prefix of each variable.
pub(super) const PREFIX: &str = "CLAIMSMITH_";
/// Variables that other modules read: the path of the file.
const ELSEWHERE: [&str; 1] = ["CLAIMSMITH_CONFIG"];
/// The prefix of variables for tests.
const TESTS: &str = "CLAIMSMITH_TEST_";
/// The variables of a whole list or mapping.
const WHOLES: [&str; 4] = ["CLAIMSMITH_CALLERS", "CLAIMSMITH_CHECKS", "CLAIMSMITH_PROFILES", "CLAIMSMITH_SOURCES"];
/// The most callers that variables can define.
const MOST_CALLERS: usize = 1000;

/// The most names that are suggested for an unknown variable.
const MOST_SIMILAR: usize = 3;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
}

/// A key that a variable can set.
#[derive(Clone, Debug)]
struct Target {
    path: Vec<Step>,
    kind: Kind,
    quoting: Quoting,
}

/// Applies each `CLAIMSMITH_` variable of `environment` to `root`. The profiles `given` need not be in it. Variables of
/// profiles that are not there, or that several profiles could have, are added to `ignored` if that is possible.
pub(super) fn apply<'g>(
    root: &mut Node,
    environment: &[(String, String)],
    given: impl Iterator<Item = &'g ProfileName>,
    ignored: &mut Option<Faults>,
    faults: &mut Faults,
) {
    let variables: BTreeMap<&str, &str> = environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| name.starts_with(PREFIX) && !name.starts_with(TESTS) && !ELSEWHERE.contains(name))
        .collect();
    // Apply whole lists and mappings first, so that other variables can change the profiles in them.
    let (wholes, rest): (Vec<_>, Vec<_>) =
        variables.iter().map(|(name, value)| (*name, *value)).partition(|(name, _)| WHOLES.contains(name));
    let given: Vec<&ProfileName> = given.collect();
    apply_all(root, wholes, &given, &mut None, faults);
    for name in &given {
        let prefix = format!("{PREFIX}PROFILES_{}_", as_variable(name.as_str()));
        let variable = variables.range(prefix.as_str()..).next().map(|(name, _)| *name);
        if let Some(variable) = variable.filter(|name| name.starts_with(&prefix))
            && !profile_names(root).contains(&name.as_str())
        {
            let place = Place::Environment(Arc::from(variable));
            let path = [Step::Key("profiles".to_owned()), Step::Key(name.to_string())];
            put(root, &path, Node::empty_map(place.clone()), &place, faults);
        }
    }
    apply_all(root, rest, &given, ignored, faults);
}

fn apply_all(
    root: &mut Node,
    variables: Vec<(&str, &str)>,
    given: &[&ProfileName],
    ignored: &mut Option<Faults>,
    faults: &mut Faults,
) {
    let targets = targets(root, &variables);
    for (name, value) in variables {
        let place = Place::Environment(Arc::from(name));
        match targets.get(name).map(Vec::as_slice) {
            Some([target]) => {
                if let Some(node) = node_of(target, value, &place, faults) {
                    put(root, &target.path, node, &place, faults);
                }
            }
            Some(several) => {
                let paths: Vec<String> = several.iter().map(|target| path_text(&target.path)).collect();
                let found = format!("{}; set these keys in the file instead", paths.join(" and "));
                let Some(ignored) = ignored else {
                    faults.add("", "a variable that names one key", found, &place);
                    continue;
                };
                // A new rule must not take a setting from the profile whose name the variable spells.
                let mut spelled = several.iter().filter(|target| is_spelled(&target.path));
                if let (Some(target), None) = (spelled.next(), spelled.next())
                    && let Some(node) = node_of(target, value, &place, faults)
                {
                    put(root, &target.path, node, &place, faults);
                }
                ignored.add("", "a variable that names one key", found, &place);
            }
            None => {
                let is_of_profile = name.starts_with("CLAIMSMITH_PROFILES_");
                let faults = ignored.as_mut().filter(|_| is_of_profile).unwrap_or(faults);
                if is_service_link(name, value) {
                    let expected = "the name of a key, such as CLAIMSMITH_SERVE_API_PORT";
                    let found = "a variable that Kubernetes sets for a Service whose name starts with claimsmith; set \
                                 `enableServiceLinks: false` in the Pod";
                    faults.add("", expected, found, &place);
                    continue;
                }
                refuse_unknown(name, root, &targets, given, &place, faults);
            }
        }
    }
}

/// Returns `true` if the variable of `path` has all characters of its keys.
fn is_spelled(path: &[Step]) -> bool {
    path.iter().all(|step| match step {
        Step::Key(key) => key.to_uppercase() == as_variable(key),
        Step::Index(_) => true,
    })
}

/// Returns `true` for a variable that Kubernetes sets in Pods for each Service of their namespace.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_protocol = |text: &str| ["tcp", "udp", "sctp"].contains(&text);
    value.split_once("://").is_some_and(|(scheme, _)| is_protocol(scheme)) && name.contains("_PORT")
        || name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.rsplit_once("_PORT_").is_some_and(|(_, rest)| {
            let mut parts = rest.split('_');
            parts.next().is_some_and(|port| port.parse::<u16>().is_ok())
                && parts.next().is_some_and(|protocol| is_protocol(&protocol.to_lowercase()))
        })
}

fn refuse_unknown(
    name: &str,
    root: &Node,
    targets: &BTreeMap<String, Vec<Target>>,
    given: &[&ProfileName],
    place: &Place,
    faults: &mut Faults,
) {
    let similar = with_all_words(name, targets.keys());
    if !similar.is_empty() {
        let expected = format!("a known variable (did you mean {}?)", similar.join(" or "));
        return faults.add("", expected, "an unknown one", place);
    }
    if let Some(known) = nearest(name, targets.keys().map(String::as_str)) {
        return faults.add("", format!("a known variable (did you mean {known}?)"), "an unknown one", place);
    }
    if name.starts_with("CLAIMSMITH_PROFILES_") {
        let given = given.iter().map(|name| name.as_str()).take(MOST_NAMED);
        let names: BTreeSet<&str> = profile_names(root).into_iter().chain(given).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let known = if names.is_empty() { "there is none".into() } else { format!("known: {}", names.join(", ")) };
        let expected = format!(
            "a key of a profile that the file or CLAIMSMITH_PROFILES has ({known}; other variables cannot add one)"
        );
        return faults.add("", expected, "an unknown variable", place);
    }
    if name.starts_with("CLAIMSMITH_CALLERS_") {
        let expected = "a key of a caller, such as CLAIMSMITH_CALLERS_0_NAME, callers counted from 0 without a gap";
        return faults.add("", expected, "an unknown variable", place);
    }
    for section in ["sources", "checks"] {
        if name.starts_with(&format!("{PREFIX}{}_", section.to_uppercase())) {
            let known = names(root, section).join(", ");
            let expected = format!("a key of one of the {section} in the file ({known})");
            return faults.add("", expected, "an unknown variable", place);
        }
    }
    faults.add("", "the name of a key, such as CLAIMSMITH_SERVE_API_PORT", "an unknown variable", place);
}

/// Returns the shortest of `known` that have all words of `name` in this order, if these are few. A word can be a plural.
fn with_all_words<'k>(name: &str, known: impl Iterator<Item = &'k String>) -> Vec<&'k str> {
    let is_word = |wanted: &str, word: &str| {
        wanted == word || wanted.strip_suffix('S') == Some(word) || word.strip_suffix('S') == Some(wanted)
    };
    let has_all = |known: &&str| {
        let mut words = known.split('_');
        name.split('_').all(|wanted| words.any(|word| is_word(wanted, word)))
    };
    let mut found: Vec<&str> = known.map(String::as_str).filter(has_all).collect();
    let shortest = found.iter().map(|known| known.split('_').count()).min().unwrap_or_default();
    found.retain(|known| known.split('_').count() == shortest);
    if found.len() > MOST_SIMILAR { Vec::new() } else { found }
}

/// Returns each valid name of a variable and the keys that it means.
fn targets(root: &Node, variables: &[(&str, &str)]) -> BTreeMap<String, Vec<Target>> {
    let mut targets = BTreeMap::new();
    let callers = caller_count(root, variables);
    collect(&ROOT, "CLAIMSMITH", &[], root, callers, &mut targets);
    targets
}

fn collect(
    section: &'static Section,
    name: &str,
    path: &[Step],
    root: &Node,
    callers: usize,
    targets: &mut BTreeMap<String, Vec<Target>>,
) {
    for field in section.fields {
        let name = format!("{name}_{}", field.name.to_uppercase());
        let path = [path, &[Step::Key(field.name.into())]].concat();
        match field.kind {
            Kind::Section(inner) => collect(inner, &name, &path, root, callers, targets),
            Kind::Named(inner) => {
                // Only top-level sections have names.
                for key in names(root, field.name) {
                    let path = [path.as_slice(), &[Step::Key(key.into())]].concat();
                    collect(inner, &format!("{name}_{}", as_variable(key)), &path, root, callers, targets);
                }
            }
            Kind::Many(inner) => {
                for index in 0..callers {
                    let path = [path.as_slice(), &[Step::Index(index)]].concat();
                    collect(inner, &format!("{name}_{index}"), &path, root, callers, targets);
                }
            }
            _ => {}
        }
        let quoting = match field.kind {
            Kind::Many(inner) | Kind::Named(inner) | Kind::Section(inner) if inner.is_secret => Quoting::Hidden,
            _ if section.is_secret || field.presence == Presence::EnvironmentOnly => Quoting::Hidden,
            _ => Quoting::Shown,
        };
        targets.entry(name).or_default().push(Target { path, kind: field.kind, quoting });
    }
}

fn profile_names(root: &Node) -> Vec<&str> {
    names(root, "profiles")
}

/// Returns the names in the top-level section `section`.
fn names<'n>(root: &'n Node, section: &str) -> Vec<&'n str> {
    match root.entry(section).map(|entry| &entry.value.value) {
        Some(Value::Map(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// Returns the number of callers in the file and in variables. Variables count only up to the first gap.
fn caller_count(root: &Node, variables: &[(&str, &str)]) -> usize {
    let mut count = match root.entry("callers").map(|entry| &entry.value.value) {
        Some(Value::List(callers)) => callers.len(),
        _ => 0,
    };
    let indexes: BTreeSet<usize> = variables
        .iter()
        .filter_map(|(name, _)| name.strip_prefix("CLAIMSMITH_CALLERS_")?.split('_').next()?.parse().ok())
        .collect();
    while count < MOST_CALLERS && indexes.contains(&count) {
        count += 1;
    }
    count
}

fn as_variable(profile: &str) -> String {
    profile.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Converts the value of a variable to a node of the kind of its key.
fn node_of(target: &Target, value: &str, place: &Place, faults: &mut Faults) -> Option<Node> {
    match target.kind {
        Kind::Choice(_) | Kind::Duration { .. } | Kind::Host | Kind::Path | Kind::Text(_) => {
            Some(Node::text(value, place.clone()))
        }
        Kind::Bool | Kind::Count { .. } | Kind::Port | Kind::Ratio | Kind::Size { .. } => {
            Some(Node::plain(value.trim(), place.clone()))
        }
        Kind::Texts if !value.trim_start().starts_with('[') => {
            let items = value.split(',').map(|item| Node::text(item.trim(), place.clone())).collect();
            Some(Node { place: place.clone(), value: Value::List(items) })
        }
        Kind::Many(_) | Kind::Named(_) | Kind::Section(_) | Kind::TextMap { .. } | Kind::Texts => {
            yaml::parse(value, Some(place), target.quoting, faults)
        }
    }
}

/// Sets `node` at `path` and creates the mappings and list items above it.
fn put(root: &mut Node, path: &[Step], node: Node, place: &Place, faults: &mut Faults) {
    let mut at = root;
    for step in path {
        if let (Step::Index(_), Value::Map(entries)) = (step, &at.value)
            && entries.is_empty()
            && at.place == *place
        {
            at.value = Value::List(Vec::new());
        }
        let next = match (step, &mut at.value) {
            (Step::Key(key), Value::Map(entries)) => match entries.iter().position(|entry| entry.key == *key) {
                Some(index) => entries.get_mut(index).map(|entry| &mut entry.value),
                None => {
                    let value = Node::empty_map(place.clone());
                    entries.push(Entry { key: key.clone(), place: place.clone(), value });
                    entries.last_mut().map(|entry| &mut entry.value)
                }
            },
            (Step::Index(index), Value::List(items)) => {
                if *index == items.len() {
                    items.push(Node::empty_map(place.clone()));
                }
                items.get_mut(*index)
            }
            _ => None,
        };
        match next {
            Some(next) => at = next,
            None => {
                let expected = "only mappings and lists above this key";
                let found = "a value of another type; correct the configuration or remove the variable";
                return faults.add(path_text(path), expected, found, place);
            }
        }
    }
    *at = node;
}

fn path_text(path: &[Step]) -> String {
    path.iter().fold(String::new(), |path, step| match step {
        Step::Key(key) => yaml::joined(&path, key),
        Step::Index(index) => format!("{path}[{index}]"),
    })
}
