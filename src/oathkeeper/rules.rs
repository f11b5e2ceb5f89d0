//! Access rules: where they come from, and what each says about its `id_token` and `hydrator` mutators.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::document::{Documents, RuleItem, RuleList};
use super::names::{Wish, profile_of_url};
use super::settings::{Findings, Settings, at, handler, list, member, scalar, text, variable};
use crate::config::fault::{Fault, Faults, Place, nearest};
use crate::config::yaml::{self, Node, Quoting, Value, joined, shortened};
use crate::mint::{ProfileName, one_line};
use crate::remote::without_secrets;

/// Where access rules are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleSource<'s> {
    /// A file, relative to the working directory as in Oathkeeper.
    File(&'s str),
    /// An http, https, s3, gs or azblob URL.
    Url(&'s str),
}

/// Returns the bytes of a source, or a few words on why they cannot be read.
pub(super) type Fetch<'f> = &'f dyn Fn(RuleSource<'_>) -> Result<Vec<u8>, String>;

/// The key of the sources of rules.
const REPOSITORIES: &str = "access_rules.repositories";
/// The variable that replaces it.
const REPOSITORIES_VARIABLE: &str = "ACCESS_RULES_REPOSITORIES";

/// The most characters of an id or a path in reports.
const LONGEST_LABEL: usize = 200;

/// The handlers of mutators.
const HANDLERS: [&str; 5] = ["cookie", "header", "hydrator", "id_token", "noop"];

/// An access rule.
pub(super) struct Rule {
    /// What the rule is called in reports.
    pub(super) label: String,
    /// The document and the line of the rule.
    pub(super) origin: String,
    /// What the name of its profile is made from.
    pub(super) wish: Wish,
    /// The settings of its `id_token` mutator, if it has one.
    pub(super) id_token: Option<Settings>,
    /// The profile that the URL of its `hydrator` mutator names, and the place of the URL.
    pub(super) hydrated: Option<(ProfileName, Place)>,
    /// Whether a `noop` authenticator lets requests without a subject through.
    pub(super) allow_empty_subject: bool,
    /// Why Oathkeeper rejects the rule; empty if it does not.
    pub(super) faults: Vec<Fault>,
    /// The name of its profile, if the rule defines one; `None` if it has the id and the requests of another rule.
    pub(super) name: Option<ProfileName>,
}

impl Rule {
    /// Returns the names that its profile can have had.
    pub(super) fn names(&self) -> Vec<ProfileName> {
        self.name.clone().map_or_else(|| self.wish.names(), |name| vec![name])
    }

    /// Returns `true` if the rule defines a profile, as far as that is known before its settings are read.
    pub(super) fn is_served(&self) -> bool {
        self.id_token.is_some() && self.faults.is_empty() && self.name.is_some()
    }

    /// Returns `true` if its tokens are those of the global configuration.
    pub(super) fn inherits(&self) -> bool {
        let is_empty = |node: &Node| matches!(&node.value, Value::Map(entries) if entries.is_empty());
        let has_settings = |settings: &Settings| settings.node.as_ref().is_some_and(|node| !is_empty(node));
        !self.allow_empty_subject && !self.id_token.as_ref().is_some_and(has_settings)
    }
}

/// Reads the rules in `documents` and in every repository of their configuration.
pub(super) fn rules(
    documents: Documents,
    environment: &[(String, String)],
    fetch: Fetch<'_>,
    findings: &mut Findings,
) -> Vec<Rule> {
    let Documents { root, rules: embedded, .. } = documents;
    let root = root.unwrap_or_else(|| Node::empty_map(Place::Nowhere));
    let global_url = hydrator_url(&root, environment);
    let mut lists = Vec::new();
    let (mut beside, mut embedded_files) = (Vec::new(), BTreeMap::<String, (Vec<RuleList>, bool)>::new());
    for (name, list) in embedded {
        match name {
            Some(name) => embedded_files.entry(name).or_default().0.push(list),
            None => beside.push(list),
        }
    }
    let mut embedded = embedded_files;
    for (repository, place) in repositories(&root, environment, findings) {
        // The file is a part of what was read already, such as the Helm values that Oathkeeper's chart makes it from.
        if let Some(file_name) = file_name(&repository)
            && let Some((list, is_named)) = embedded.get_mut(file_name)
            && !*is_named
        {
            *is_named = true;
            lists.append(list);
            let shown = label_of_id(&repository);
            findings.warnings.push(format!("access rules of {shown}: read from {file_name} in the given files"));
            continue;
        }
        if let Some((name, bytes)) = repository_bytes(&repository, &place, fetch, findings) {
            match String::from_utf8(bytes) {
                Ok(text) => {
                    let mut list = RuleList::default();
                    list.add_text(&name, &text, findings);
                    lists.push(list);
                }
                Err(_) => {
                    let place = Place::In { document: name.into(), line: 1, column: 1 };
                    findings.reject_source("", "access rules in UTF-8", "other bytes; convert the file", &place);
                }
            }
        }
    }
    for (name, _) in embedded.into_iter().filter(|(_, (_, is_named))| !is_named) {
        let name = label_of_id(&name);
        findings
            .warnings
            .push(format!("{name}: no repository names these access rules, so Oathkeeper does not read them"));
    }
    lists.append(&mut beside);
    let items = lists.into_iter().flat_map(|list| list.items);
    items.map(|item| rule(item, global_url.as_ref(), findings)).collect()
}

/// Returns the name of the file of a repository that is a file.
fn file_name(repository: &str) -> Option<&str> {
    let path = match repository.split_once("://") {
        Some((scheme, path)) => Some(path).filter(|_| scheme.eq_ignore_ascii_case("file")),
        None => Some(repository),
    };
    path?.rsplit('/').next()
}

/// Returns an id or a name from the rules as reports show it.
pub(super) fn label_of_id(id: &str) -> String {
    one_line(id, LONGEST_LABEL)
}

/// Returns the URL of the global `hydrator` mutator.
pub(super) fn hydrator_url(root: &Node, environment: &[(String, String)]) -> Option<(String, Place)> {
    if let Some((url, place)) = variable(environment, "MUTATORS_HYDRATOR_CONFIG_API_URL") {
        return Some((url.to_owned(), place));
    }
    let node = at(root, &["mutators", "hydrator", "config", "api", "url"])?;
    Some((scalar(node)?.to_owned(), node.place.clone()))
}

/// Returns the URLs of the repositories. `ACCESS_RULES_REPOSITORIES` is a JSON array, or has commas between URLs;
/// `ACCESS_RULES_REPOSITORIES_0` is the first URL.
fn repositories(root: &Node, environment: &[(String, String)], findings: &mut Findings) -> Vec<(String, Place)> {
    let mut repositories: Vec<(String, Place)> = match variable(environment, REPOSITORIES_VARIABLE) {
        Some((value, place)) if value.trim_start().starts_with('[') => {
            let mut faults = Faults::default();
            let node = yaml::parse(value, Some(&place), Quoting::Hidden, &mut faults);
            if !faults.is_empty() {
                findings.reject_source("", "a JSON array of URLs, or URLs with commas between them", "neither", &place);
            }
            node.as_ref().map(|node| urls(node, findings)).unwrap_or_default()
        }
        Some((value, place)) => split(value).into_iter().map(|part| (part, place.clone())).collect(),
        None => at(root, &["access_rules", "repositories"]).map(|node| urls(node, findings)).unwrap_or_default(),
    };
    for index in 0.. {
        let Some((value, place)) = variable(environment, &format!("{REPOSITORIES_VARIABLE}_{index}")) else { break };
        let repository = (value.to_owned(), place);
        match repositories.get_mut(index) {
            Some(known) => *known = repository,
            None => repositories.push(repository),
        }
    }
    // Oathkeeper reads a source once, however often it is named.
    let mut known = BTreeSet::new();
    repositories.retain(|(url, _)| !url.is_empty() && known.insert(url.clone()));
    repositories
}

/// Splits a list at its commas. A comma in the password of a URL does not count, otherwise errors would show the rest of the
/// password as a path.
fn split(list: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in list.split(',') {
        let has_user_info = |part: &str| part.split('/').next().is_some_and(|first| first.contains('@'));
        let is_cut = |last: &String| {
            last.split_once("://").is_some_and(|(_, rest)| !rest.contains(['/', '@']) && rest.contains(':'))
        };
        match parts.last_mut().filter(|last| is_cut(last) && !part.contains("://")) {
            Some(last) if has_user_info(part) || !part.contains('/') => {
                last.push(',');
                last.push_str(part.trim_end());
            }
            _ => parts.push(part.trim().to_owned()),
        }
    }
    parts
}

fn urls(node: &Node, findings: &mut Findings) -> Vec<(String, Place)> {
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ if node.is_null() => &[],
        _ => std::slice::from_ref(node),
    };
    let mut repositories = Vec::new();
    for item in items {
        match scalar(item) {
            Some(text) => repositories.push((text.to_owned(), item.place.clone())),
            None => {
                let found = item.description(Quoting::Hidden);
                findings.reject_source(REPOSITORIES, "the URL of access rules", found, &item.place);
            }
        }
    }
    repositories
}

/// Returns the name and the bytes of one repository.
fn repository_bytes(url: &str, place: &Place, fetch: Fetch<'_>, findings: &mut Findings) -> Option<(String, Vec<u8>)> {
    let scheme = url.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
    let (source, name) = match scheme.as_ref().map(|(scheme, rest)| (scheme.as_str(), *rest)) {
        None => (RuleSource::File(url), url.to_owned()),
        Some(("file", file)) => (RuleSource::File(file), file.to_owned()),
        Some(("http" | "https" | "s3" | "gs" | "azblob", _)) => (RuleSource::Url(url), without_secrets(url)),
        Some(("inline", data)) => {
            let data = data.strip_prefix("base64://").unwrap_or(data);
            return match STANDARD.decode(data).or_else(|_| STANDARD_NO_PAD.decode(data)) {
                Ok(bytes) => Some(("inline access rules".to_owned(), bytes)),
                Err(_) => {
                    let found = "invalid base64; encode the rules again";
                    findings.reject_source(REPOSITORIES, "base64 after inline://", found, place);
                    None
                }
            };
        }
        Some((scheme, _)) => {
            let expected = "a path, or a file, inline, http, https, s3, gs or azblob URL";
            let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
            let found = match scheme.len() <= 16 && scheme.bytes().all(is_scheme) {
                true => format!("a {scheme}:// URL; mount the rules as a file"),
                false => "a URL with another scheme; mount the rules as a file".to_owned(),
            };
            findings.reject_source(REPOSITORIES, expected, found, place);
            return None;
        }
    };
    let name = label_of_id(&name);
    match fetch(source) {
        Ok(bytes) => Some((name, bytes)),
        Err(found) => {
            let found = format!("{found}; their rules are not served until they can be read");
            findings.reject_source(REPOSITORIES, format!("readable access rules at {name}"), found, place);
            None
        }
    }
}

/// Reads one rule.
fn rule(item: RuleItem, global_url: Option<&(String, Place)>, findings: &mut Findings) -> Rule {
    let RuleItem { path, id, mut node } = item;
    let duplicates = yaml::duplicates(&node, Quoting::Shown);
    if !duplicates.is_empty() {
        yaml::keep_last(&mut node);
    }
    let (node, path) = (&node, path.as_str());
    let id = id.or_else(|| Some(scalar(&member(node, "id")?.value)?.to_owned())).unwrap_or_default();
    let origin = match &node.place {
        Place::In { document, line, .. } => format!("{document}, line {line}"),
        _ => path.to_owned(),
    };
    let wish = Wish::new(&id, &identity(node).unwrap_or_default());
    let label = match id.is_empty() {
        true => format!("without an id ({origin})"),
        false => label_of_id(&id),
    };
    let mut faults = Faults::default();
    if !matches!(node.value, Value::Map(_)) {
        faults.add(path, "an access rule", node.description(Quoting::Hidden), &node.place);
    }
    for (key, place) in duplicates {
        let line = if let Place::In { line, .. } = place { format!(" (line {line})") } else { String::new() };
        let key = joined(path, &key);
        findings.warnings.push(format!("rule {label}: {key} is there twice{line}; remove one, or the last one counts"));
    }
    if let Some(entry) = member(node, "id")
        && !entry.value.is_null()
        && text(&entry.value).is_none()
    {
        let found = entry.value.description(Quoting::Shown);
        faults.add(joined(path, "id"), "text; put it in quotes", found, &entry.place);
    }
    let mutators = member(node, "mutators").filter(|entry| !entry.value.is_null());
    for legacy in ["mutator", "credentials_issuer"] {
        if let Some(entry) = member(node, legacy) {
            let expected = "the list `mutators`, which Oathkeeper uses since 0.18";
            match mutators {
                Some(_) => findings.warnings.push(format!("rule {label}: Oathkeeper ignores {legacy}; remove it")),
                None => faults.add(joined(path, legacy), expected, "the older form; rename it", &entry.place),
            }
        }
    }
    if let Some(entry) = mutators.filter(|entry| !matches!(entry.value.value, Value::List(_))) {
        let found = entry.value.description(Quoting::Hidden);
        faults.add(joined(path, "mutators"), "a list of mutators", found, &entry.place);
    }
    if !faults.is_empty() {
        let (id_token, hydrated, allow_empty_subject) = (None, None, false);
        let faults = faults.into_list();
        return Rule { label, origin, wish, id_token, hydrated, allow_empty_subject, faults, name: None };
    }
    let mutators: Vec<(usize, &Node)> = list(node, "mutators").iter().enumerate().collect();
    let with_handler = |name: &str| mutators.iter().filter(|(_, one)| handler(one) == Some(name)).collect::<Vec<_>>();
    for name in mutators.iter().filter_map(|(_, one)| handler(one)).filter(|name| !HANDLERS.contains(name)) {
        let hint = nearest(name, HANDLERS.into_iter()).map(|known| format!(" (did you mean {known}?)"));
        let (name, hint) = (shortened(name), hint.unwrap_or_default());
        findings
            .warnings
            .push(format!("rule {label}: Oathkeeper has no mutator `{name}`{hint}, so it rejects this rule"));
    }
    // Every id_token mutator writes the same header, so only the token of the last one reaches the upstream.
    let id_tokens = with_handler("id_token");
    if id_tokens.len() > 1 {
        findings.warnings.push(format!("rule {label} has several id_token mutators; only the last one takes effect"));
    }
    let allow_empty_subject = list(node, "authenticators").iter().any(|one| handler(one) == Some("noop"));
    if allow_empty_subject && !id_tokens.is_empty() {
        findings
            .warnings
            .push(format!("rule {label} accepts requests without a subject (noop): its tokens may have an empty sub"));
    }
    let id_token = id_tokens.last().map(|(index, mutator)| Settings {
        path: format!("{path}.mutators[{index}].config"),
        place: mutator.place.clone(),
        node: member(mutator, "config").map(|entry| entry.value.clone()).filter(|node| !node.is_null()),
    });
    let hydrated = with_handler("hydrator").iter().find_map(|(_, mutator)| {
        let own = member(mutator, "config").and_then(|entry| at(&entry.value, &["api", "url"]));
        match own.and_then(scalar).zip(own) {
            Some((url, node)) => Some((profile_of_url(url)?, node.place.clone())),
            None => global_url.and_then(|(url, place)| Some((profile_of_url(url)?, place.clone()))),
        }
    });
    Rule { label, origin, wish, id_token, hydrated, allow_empty_subject, faults: Vec::new(), name: None }
}

/// Returns what identifies a rule for Oathkeeper: the requests that it matches, in whatever order its keys are.
fn identity(rule: &Node) -> Option<String> {
    fn append(node: &Node, out: &mut String) {
        match &node.value {
            Value::Scalar { text, .. } => out.push_str(&format!("{text:?}")),
            Value::List(items) => {
                out.push('[');
                items.iter().for_each(|item| append(item, out));
                out.push(']');
            }
            Value::Map(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_by(|one, other| one.key.cmp(&other.key));
                for entry in entries {
                    out.push_str(&format!("{:?}:", entry.key));
                    append(&entry.value, out);
                }
            }
        }
        out.push('\n');
    }
    let mut out = String::new();
    append(&member(rule, "match")?.value, &mut out);
    Some(out)
}
