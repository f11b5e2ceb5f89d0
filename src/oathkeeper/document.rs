//! The documents that Oathkeeper's configuration is made of: several files, merged as Oathkeeper merges those of its
//! `--config`; and the Kubernetes objects and Helm values that contain a configuration or access rules.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::settings::{Findings, at, scalar};
use crate::config::fault::{Faults, Place};
use crate::config::yaml::{self, Entry, Limits, Merging, Node, Quoting, Value};

/// The limits of access rules: 8 MiB, which is room for 10,000 of them.
const RULES: Limits = Limits { bytes: 8 << 20, values: 1_000_000, repeated: 32 << 20 };
/// Sections of which at least one is in each Oathkeeper configuration.
const SECTIONS: [&str; 6] = ["access_rules", "authenticators", "authorizers", "errors", "mutators", "serve"];

/// Everything that the files of a configuration contain.
#[derive(Default)]
pub(super) struct Documents {
    /// The merged configuration; `None` if no file has one.
    pub(super) root: Option<Node>,
    /// Access rules beside the configuration, with the name of the file in which Oathkeeper finds them.
    pub(super) rules: Vec<(Option<String>, RuleList)>,
    /// A JWK Set beside the configuration, and the name of the file in which Oathkeeper finds it.
    pub(super) keys: Option<(String, Node)>,
}

/// The access rules of one document.
#[derive(Default)]
pub(super) struct RuleList {
    pub(super) items: Vec<RuleItem>,
}

/// One access rule.
pub(super) struct RuleItem {
    /// The path of the rule in its document.
    pub(super) path: String,
    /// The id that Oathkeeper Maester gives to the rule of an object.
    pub(super) id: Option<String>,
    pub(super) node: Node,
}

impl Documents {
    /// Reads `files`, each with its name and text. Reasons to serve nothing are added to the findings.
    pub(super) fn read(files: &[(String, String)], findings: &mut Findings) -> Self {
        let mut documents = Self::default();
        for (name, text) in files {
            let Some((name, mut roots)) = parse(name, text, findings) else { continue };
            // A configuration is the first document of its file; Kubernetes objects come one after the other.
            if !roots.iter().any(|root| kind(root).is_some())
                && let Some(second) = roots.get(1)
            {
                let found = "a second document; remove it, or pass it as a file of its own";
                findings.faults.add("", yaml::ONE_DOCUMENT, found, &second.place);
                continue;
            }
            let is_only = roots.len() == 1;
            for root in roots.drain(..) {
                documents.add(&name, root, is_only, findings);
            }
        }
        if documents.root.is_none() && findings.faults.is_empty() {
            let names = files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" --oathkeeper ");
            let expected = "Oathkeeper's configuration";
            let found = match documents.rules.first() {
                Some(_) => format!(
                    "only access rules; pass the configuration too (--oathkeeper oathkeeper.yml --oathkeeper {names}), or \
                     name this file in its access_rules.repositories"
                ),
                None => "none of its sections; pass the file that Oathkeeper reads with --config".to_owned(),
            };
            let place = first_place(files);
            findings.faults.add("", expected, found, &place);
        }
        documents
    }

    /// Adds one document of the file `name`.
    fn add(&mut self, name: &Arc<str>, root: Node, is_only: bool, findings: &mut Findings) {
        if let Some(kind) = kind(&root) {
            match kind {
                "ConfigMap" => return self.add_config_map(name, &root, findings),
                "List" | "Rule" | "RuleList" => {
                    let mut list = RuleList::default();
                    list.add_objects(root, findings);
                    return self.rules.push((None, list));
                }
                _ if is_only => {
                    let found = format!("a Kubernetes object of kind {kind}; extract the configuration from it");
                    return findings.faults.add("", "Oathkeeper's configuration", found, &root.place);
                }
                _ => return,
            }
        }
        if let Value::List(_) = root.value {
            let mut list = RuleList::default();
            list.add(root, findings);
            return self.rules.push((None, list));
        }
        match helm_values(&root) {
            Some((values, path)) => self.add_helm_values(name, &root, values, &path, findings),
            None => self.merge(root),
        }
    }

    /// Merges a further configuration over the others.
    fn merge(&mut self, root: Node) {
        match &mut self.root {
            Some(known) => merge(known, root),
            None => self.root = Some(root),
        }
    }

    /// Adds the values of Oathkeeper's Helm chart: its configuration, its rules and its keys.
    fn add_helm_values(&mut self, name: &Arc<str>, root: &Node, values: &Node, path: &str, findings: &mut Findings) {
        self.merge(match values.entry("config") {
            Some(config) if !config.value.is_null() => config.value.clone(),
            _ => Node::empty_map(values.place.clone()),
        });
        if let Some(rules) = values.entry("accessRules").map(|entry| &entry.value) {
            let mut list = RuleList::default();
            match &rules.value {
                Value::List(_) => list.add(rules.clone(), findings),
                _ if scalar(rules).is_some_and(|text| !text.trim().is_empty()) => {
                    list.add_text(&format!("{name} ({path}.accessRules)"), scalar(rules).unwrap_or_default(), findings);
                }
                _ => {}
            }
            if !list.items.is_empty() {
                self.rules.push((Some("access-rules.json".to_owned()), list));
            }
        }
        if let Some(keys) = values.entry("mutatorIdTokenJWKs").map(|entry| &entry.value)
            && scalar(keys).is_some_and(|text| !text.trim().is_empty())
        {
            let file = at(root, &["secret", "filename"]).and_then(scalar).unwrap_or("mutator.id_token.jwks.json");
            self.keys = Some((file.to_owned(), keys.clone()));
        }
    }

    /// Adds the configuration and the rules that a ConfigMap contains as files.
    fn add_config_map(&mut self, name: &Arc<str>, root: &Node, findings: &mut Findings) {
        let Some(Value::Map(data)) = root.entry("data").map(|entry| &entry.value.value) else {
            let expected = "a ConfigMap with the configuration or access rules in its data";
            return findings.faults.add("data", expected, "no data", &root.place);
        };
        let mut has_found = false;
        for entry in data {
            let Some(text) = scalar(&entry.value) else { continue };
            let Some((_, roots)) = parse(&format!("{name} (data.{})", entry.key), text, findings) else { continue };
            for root in roots {
                match &root.value {
                    Value::List(_) => {
                        let mut list = RuleList::default();
                        list.add(root, findings);
                        self.rules.push((Some(entry.key.clone()), list));
                        has_found = true;
                    }
                    Value::Map(_) if SECTIONS.iter().any(|section| root.entry(section).is_some()) => {
                        self.merge(root);
                        has_found = true;
                    }
                    _ => {}
                }
            }
        }
        if !has_found && findings.faults.is_empty() {
            let expected = "a ConfigMap with Oathkeeper's configuration or access rules in its data";
            findings.faults.add("data", expected, "neither", &root.place);
        }
    }
}

impl RuleList {
    /// Reads the access rules in `text`, which is called `name`. A text that cannot be read is reported as a source that
    /// is not served.
    pub(super) fn add_text(&mut self, name: &str, text: &str, findings: &mut Findings) {
        let name = findings.document(name, text);
        let text = without_surrogates(text);
        let mut faults = Faults::default();
        let roots = yaml::documents(&text, &name, RULES, Merging::LaterWins, &mut faults);
        let faults = faults.into_list();
        if roots.is_none() {
            findings.has_unread_rules = true;
        }
        findings.reject(Vec::new(), "", faults);
        let is_object = |root: &Node| kind(root).is_some();
        for (index, root) in roots.into_iter().flatten().filter(|root| !root.is_null()).enumerate() {
            if index > 0 && !is_object(&root) {
                let found = "a second document, which Oathkeeper ignores; move its rules to the first one";
                findings.reject_source("", yaml::ONE_DOCUMENT, found, &root.place);
                break;
            }
            match kind(&root) {
                Some(_) => self.add_objects(root, findings),
                None => self.add(root, findings),
            }
        }
    }

    /// Adds the rules of a list.
    fn add(&mut self, root: Node, findings: &mut Findings) {
        let found = root.description(Quoting::Hidden);
        let is_rule = root.entry("mutators").is_some() || root.entry("match").is_some();
        match root.value {
            Value::List(items) => {
                self.items.extend(items.into_iter().enumerate().map(|(index, node)| RuleItem {
                    path: format!("[{index}]"),
                    id: None,
                    node,
                }));
            }
            Value::Map(entries) if entries.is_empty() => {}
            _ => {
                let found = match is_rule {
                    true => {
                        "one rule outside of a list; write `- ` before its first key and indent the others".to_owned()
                    }
                    false => found,
                };
                findings.reject_source("", "a list of access rules", found, &root.place);
            }
        }
    }

    /// Adds the rules of objects that Oathkeeper Maester reads: one `Rule`, or a list of them.
    fn add_objects(&mut self, root: Node, findings: &mut Findings) {
        let Some(kind) = kind(&root).map(str::to_owned) else { return };
        let objects: Vec<(String, &Node)> = match kind.as_str() {
            "Rule" => vec![(String::new(), &root)],
            "List" | "RuleList" => match root.entry("items").map(|entry| &entry.value.value) {
                Some(Value::List(items)) => {
                    items.iter().enumerate().map(|(index, item)| (format!("items[{index}]."), item)).collect()
                }
                _ => Vec::new(),
            },
            _ => {
                let found = format!("a Kubernetes object of kind {kind}; extract the rules from it");
                return findings.reject_source(
                    "",
                    "a list of access rules, or objects of kind Rule",
                    found,
                    &root.place,
                );
            }
        };
        for (path, object) in objects {
            if kind != "RuleList" && at(object, &["kind"]).and_then(scalar) != Some("Rule") {
                continue;
            }
            let text = |key: &str| at(object, &["metadata", key]).and_then(scalar);
            let namespace = text("namespace").unwrap_or("default");
            let id = text("name").map(|name| format!("{name}.{namespace}"));
            let node = object.entry("spec").map_or_else(|| Node::empty_map(object.place.clone()), |e| e.value.clone());
            self.items.push(RuleItem { path: format!("{path}spec"), id, node });
        }
    }
}

/// Parses a file of the configuration and registers its text. Faults are reasons to serve nothing.
fn parse(name: &str, text: &str, findings: &mut Findings) -> Option<(Arc<str>, Vec<Node>)> {
    let name = findings.document(name, text);
    let text = without_surrogates(text);
    // A Helm values file or a ConfigMap contains access rules.
    let is_rules = |root: &Node| matches!(root.value, Value::List(_)) || kind(root).is_some();
    // Oathkeeper reads its configuration with `yaml.v3`. It reads rules with `yaml.v2`, and so do Kubernetes and Helm.
    let is_of_v2 = |root: &Node| is_rules(root) || helm_values(root).is_some();
    let mut faults = Faults::default();
    let mut roots = yaml::documents(&text, &name, RULES, Merging::OwnWins, &mut faults);
    if text.contains("<<") && roots.iter().flatten().any(is_of_v2) {
        faults = Faults::default();
        roots = yaml::documents(&text, &name, RULES, Merging::LaterWins, &mut faults);
    }
    findings.faults.extend(faults.into_list());
    let mut roots = roots?;
    roots.retain(|root| !root.is_null());
    for root in roots.iter().filter(|root| !is_rules(root)) {
        for (path, place) in yaml::duplicates(root, Quoting::Shown) {
            findings.faults.add(path, "each key once", "a duplicate key; remove one", &place);
        }
    }
    Some((name, roots))
}

/// Returns the kind of a Kubernetes object.
fn kind(root: &Node) -> Option<&str> {
    root.entry("apiVersion")?;
    scalar(&root.entry("kind")?.value)
}

/// Returns the section of Oathkeeper's Helm chart that has the configuration, and its path. Charts that contain
/// Oathkeeper's have it one level deeper.
fn helm_values(root: &Node) -> Option<(&Node, String)> {
    let (mut values, mut path) = (&root.entry("oathkeeper")?.value, "oathkeeper".to_owned());
    while let Some(inner) = values.entry("oathkeeper") {
        values = &inner.value;
        path.push_str(".oathkeeper");
    }
    ["config", "accessRules"].iter().any(|key| values.entry(key).is_some()).then_some((values, path))
}

/// Merges `over` into `under`: mappings by key, everything else as a whole.
fn merge(under: &mut Node, over: Node) {
    match (&mut under.value, over.value) {
        (Value::Map(known), Value::Map(entries)) => {
            let mut indices: HashMap<String, usize> = HashMap::new();
            for (index, entry) in known.iter().enumerate() {
                indices.entry(entry.key.clone()).or_insert(index);
            }
            for entry in entries {
                match indices.get(&entry.key).and_then(|index| known.get_mut(*index)) {
                    Some(known) => merge(&mut known.value, entry.value),
                    None => {
                        indices.insert(entry.key.clone(), known.len());
                        known.push(entry);
                    }
                }
            }
        }
        (value, over_value) => (*value, under.place) = (over_value, over.place),
    }
}

/// Puts `value` at `path` below `node`.
pub(super) fn put(node: &mut Node, path: &[&str], value: Node) {
    let place = value.place.clone();
    let nested = path.iter().rev().fold(value, |value, key| {
        let entry = Entry { key: (*key).to_owned(), place: place.clone(), value };
        Node { place: place.clone(), value: Value::Map(vec![entry]) }
    });
    merge(node, nested);
}

/// Returns `text` with the surrogate pairs of JSON strings as characters, because YAML has no surrogates.
fn without_surrogates(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u") || serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return Cow::Borrowed(text);
    }
    let unit = |at: usize| -> Option<u16> {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    while let Some(next) = text[at..].find('\\') {
        out.push_str(&text[at..at + next]);
        at += next;
        let units = [unit(at), unit(at + 6)];
        let known = units.iter().flatten().copied();
        let decoded = char::decode_utf16(known).next();
        match (units[0], decoded) {
            (Some(0xD800..=0xDFFF), Some(Ok(character))) => {
                out.push(character);
                at += 12;
            }
            (Some(0xD800..=0xDFFF), _) => {
                out.push(char::REPLACEMENT_CHARACTER);
                at += 6;
            }
            _ => {
                // An escape, such as `\\`, whose second character starts no other escape.
                let escape = text[at..].chars().nth(1).map_or(1, |character| 1 + character.len_utf8());
                out.push_str(&text[at..at + escape]);
                at += escape;
            }
        }
    }
    out.push_str(&text[at..]);
    Cow::Owned(out)
}

fn first_place(files: &[(String, String)]) -> Place {
    match files.first() {
        Some((name, _)) => Place::In { document: name.as_str().into(), line: 1, column: 1 },
        None => Place::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrogate_pairs_of_json_become_characters() {
        for (text, expected) in [
            (r#"["\ud83d\ude80"]"#, "[\"🚀\"]"),
            (r#"["\\ud83d\\ude80 \u003c"]"#, r#"["\\ud83d\\ude80 \u003c"]"#),
            (r#"["\ud83dx"]"#, "[\"\u{fffd}x\"]"),
            ("- \"\\ud83d\"", "- \"\\ud83d\""),
        ] {
            assert_eq!(without_surrogates(text), expected, "{text}");
        }
    }

    #[test]
    fn later_files_win_and_lists_are_replaced() {
        let mut findings = Findings::default();
        let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let files = [
            file("a.yml", "mutators: { id_token: { enabled: false, config: { ttl: 1m } } }\nserve: { x: [1, 2] }\n"),
            file("b.yml", "mutators: { id_token: { enabled: true } }\nserve: { x: [3] }\n"),
        ];
        let root = Documents::read(&files, &mut findings).root.unwrap();
        assert_eq!(at(&root, &["mutators", "id_token", "enabled"]).and_then(scalar), Some("true"));
        assert_eq!(at(&root, &["mutators", "id_token", "config", "ttl"]).and_then(scalar), Some("1m"));
        let Some(Value::List(items)) = at(&root, &["serve", "x"]).map(|node| &node.value) else { panic!("no list") };
        assert_eq!(items.len(), 1);
        assert_eq!(
            at(&root, &["mutators"]).unwrap().place,
            Place::In { document: "a.yml".into(), line: 1, column: 11 }
        );
    }
}
