//! Access rules: where they come from, and what each says about its `id_token` mutator.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::settings::{Findings, Settings, at, handler, list, scalar};
use crate::config::fault::{Faults, Place};
use crate::config::yaml::{self, Node, Quoting, Value};
use crate::mint::ProfileName;

/// Where access rules are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleSource<'s> {
    /// A file, relative to the working directory as in Oathkeeper.
    File(&'s str),
    /// An http or https URL.
    Url(&'s str),
}

/// Returns the bytes of a source, or a few words on why they cannot be read.
pub(super) type Fetch<'f> = &'f dyn Fn(RuleSource<'_>) -> Result<Vec<u8>, String>;

/// A rule with an `id_token` mutator.
pub(super) struct Rule {
    pub(super) id: String,
    /// The id as far as a URL path allows it.
    pub(super) name: ProfileName,
    /// The mutator's own settings.
    pub(super) settings: Settings,
    /// Whether a `noop` authenticator lets requests without a subject through.
    pub(super) allow_empty_subject: bool,
}

/// Reads the rules with an `id_token` mutator from every repository of the configuration `root`. No rule may have one of
/// the `taken` names.
pub(super) fn rules(
    root: &Node,
    environment: &[(String, String)],
    taken: BTreeSet<ProfileName>,
    fetch: Fetch<'_>,
    findings: &mut Findings,
) -> Vec<Rule> {
    let repositories = match environment.iter().find(|(name, _)| name == "ACCESS_RULES_REPOSITORIES") {
        Some((name, value)) => {
            let place = Place::Environment(Arc::from(name.as_str()));
            value.split(',').map(|part| (part.trim().to_owned(), place.clone())).collect()
        }
        None => repositories(root, &mut findings.faults),
    };
    let mut names = taken;
    let mut rules = Vec::new();
    for (repository, place) in repositories {
        let Some((name, bytes)) = repository_bytes(&repository, &place, fetch, &mut findings.faults) else { continue };
        let Ok(text) = String::from_utf8(bytes) else {
            findings.faults.add(name.as_str(), "access rules in UTF-8", "invalid UTF-8", &Place::Nowhere);
            continue;
        };
        // A file of rules is a list, so the path of a fault starts with the name of the file.
        let mut faults = Faults::default();
        let document = yaml::parse(&text, None, Quoting::Shown, &mut faults);
        findings.faults.append_under(&name, faults);
        let Some(document) = document else { continue };
        let Value::List(items) = &document.value else {
            if !matches!(&document.value, Value::Map(entries) if entries.is_empty()) {
                let found = document.description(Quoting::Hidden);
                findings.faults.add(name.as_str(), "a list of access rules", found, &document.place);
            }
            continue;
        };
        let (name, text): (Arc<str>, Arc<str>) = (name.into(), text.into());
        rules.extend(
            items.iter().enumerate().filter_map(|(index, item)| rule(&name, &text, index, item, &mut names, findings)),
        );
    }
    rules
}

fn repositories(root: &Node, faults: &mut Faults) -> Vec<(String, Place)> {
    let Some(node) = at(root, &["access_rules", "repositories"]) else { return Vec::new() };
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut repositories = Vec::new();
    for item in items {
        match scalar(item) {
            Some(text) => repositories.push((text.to_owned(), item.place.clone())),
            None => {
                let found = item.description(Quoting::Hidden);
                faults.add("access_rules.repositories", "the URL of access rules", found, &item.place);
            }
        }
    }
    repositories
}

/// Returns the name and the bytes of one repository.
fn repository_bytes(url: &str, place: &Place, fetch: Fetch<'_>, faults: &mut Faults) -> Option<(String, Vec<u8>)> {
    let path = "access_rules.repositories";
    let (source, name) = match url.split_once("://") {
        None => (RuleSource::File(url), url.to_owned()),
        Some(("file", file)) => (RuleSource::File(file), file.to_owned()),
        Some(("http" | "https", _)) => (RuleSource::Url(url), url.split(['?', '#']).next().unwrap_or(url).to_owned()),
        Some(("inline", data)) => {
            let data = data.strip_prefix("base64://").unwrap_or(data);
            return match STANDARD.decode(data).or_else(|_| STANDARD_NO_PAD.decode(data)) {
                Ok(bytes) => Some(("inline access rules".to_owned(), bytes)),
                Err(_) => {
                    faults.add(path, "base64 after inline://", "invalid base64", place);
                    None
                }
            };
        }
        Some((scheme, _)) => {
            let found = format!("a {scheme}:// URL, which claimsmith does not read; mount the rules as a file");
            faults.add(path, "a file, inline:// or http(s):// URL", found, place);
            return None;
        }
    };
    match fetch(source) {
        Ok(bytes) => Some((name, bytes)),
        Err(found) => {
            faults.add(path, format!("readable access rules at {name}"), found, place);
            None
        }
    }
}

/// Reads one rule. Returns `None` if it has no `id_token` mutator, or if a fault was added.
fn rule(
    document: &Arc<str>,
    source: &Arc<str>,
    index: usize,
    rule: &Node,
    names: &mut BTreeSet<ProfileName>,
    findings: &mut Findings,
) -> Option<Rule> {
    let path = format!("{document}: [{index}]");
    let Findings { faults, warnings } = findings;
    for legacy in ["mutator", "credentials_issuer"] {
        if rule.entry(legacy).is_some() {
            let expected = "the list `mutators`, which Oathkeeper uses since 0.18";
            faults.add(format!("{path}.{legacy}"), expected, "the older form", &rule.place);
        }
    }
    let id_tokens: Vec<(usize, &Node)> =
        list(rule, "mutators").iter().enumerate().filter(|(_, mutator)| handler(mutator) == Some("id_token")).collect();
    // Every id_token mutator writes the same header, so only the token of the last one reaches the upstream.
    let (place_in_list, mutator) = id_tokens.last()?;
    let Some(id) = rule.entry("id").and_then(|entry| scalar(&entry.value)).filter(|id| !id.is_empty()) else {
        faults.add(format!("{path}.id"), "the rule's id", "none", &rule.place);
        return None;
    };
    if id_tokens.len() > 1 {
        warnings.push(format!("rule {id} has several id_token mutators; only the last one takes effect"));
    }
    let Some(name) = profile_name(id) else {
        faults.add(format!("{path}.id"), "an id with a letter or digit", "an id without one", &rule.place);
        return None;
    };
    if !names.insert(name.clone()) {
        let found = format!("`{name}` a second time");
        faults.add(format!("{path}.id"), "an id that makes a profile of its own", found, &rule.place);
        return None;
    }
    if name.as_str() != id {
        warnings.push(format!("rule {id} is served as profile {name}, because a URL path cannot contain its id"));
    }
    let allow_empty_subject = list(rule, "authenticators").iter().any(|one| handler(one) == Some("noop"));
    if allow_empty_subject {
        warnings.push(format!("rule {id} accepts requests without a subject (noop): its tokens may have an empty sub"));
    }
    let settings = Settings {
        document: Arc::clone(document),
        source: Arc::clone(source),
        path: format!("{path}.mutators[{place_in_list}].config"),
        node: mutator.entry("config").map(|entry| entry.value.clone()).filter(|node| !node.is_null()),
    };
    Some(Rule { id: id.to_owned(), name, settings, allow_empty_subject })
}

/// Returns the name of the profile of a rule: its id, with `-` for each character that a path cannot contain.
fn profile_name(id: &str) -> Option<ProfileName> {
    if let Some(name) = ProfileName::parse(id) {
        return Some(name);
    }
    let mut name = String::new();
    for character in id.chars() {
        if character.is_ascii_alphanumeric() || matches!(character, '_' | '.') {
            name.push(character);
        } else if !name.ends_with('-') {
            name.push('-');
        }
    }
    let name: String = name.trim_matches(['-', '.']).chars().take(120).collect();
    ProfileName::parse(&name).or_else(|| ProfileName::parse(&format!("rule-{name}")).filter(|_| !name.is_empty()))
}
