//! The settings of one `id_token` mutator, what reading them found, and the lookups in YAML that this needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::fault::{Fault, Faults, Place, nearest};
use crate::config::yaml::{Entry, Node, Quoting, ScalarKind, Value, joined, scalar_kind};
use crate::mint::{BuildFault, ProfileName};

/// The keys that `mutators.id_token.config` may have.
pub(super) const KEYS: [&str; 4] = ["claims", "issuer_url", "jwks_url", "ttl"];

/// A Go template and where it was written.
#[derive(Clone, Debug)]
pub struct ClaimsText {
    /// The name of the template in errors.
    pub name: String,
    /// The line of the file on which the text begins; `None` if it comes from the environment.
    pub line: Option<usize>,
    /// Whether each line of the text is a line of the file, as in a YAML block. It is not if line breaks are escaped.
    pub is_block: bool,
    /// The template.
    pub text: String,
}

/// A rule, a template or a source of rules that Oathkeeper rejects while it serves the others.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The names that its profile can have had; none if it is no rule.
    pub names: Vec<ProfileName>,
    /// The reasons. Each one names the rule, if there is one.
    pub faults: Vec<BuildFault>,
}

/// What reading Oathkeeper's files found besides profiles.
#[derive(Default)]
pub(super) struct Findings {
    /// The name of the configuration file in errors.
    pub(super) file: String,
    /// Reasons to serve nothing.
    pub(super) faults: Faults,
    pub(super) warnings: Vec<String>,
    pub(super) broken: Vec<Broken>,
    /// Whether a source of rules cannot be read, so that there may be more rules than are known.
    pub(super) has_unread_rules: bool,
    /// The text of each document that was read, by its name.
    pub(super) texts: BTreeMap<Arc<str>, Arc<str>>,
}

impl Findings {
    /// Registers the text of a document. Returns its name, with a number if another document has the same name.
    pub(super) fn document(&mut self, name: &str, text: &str) -> Arc<str> {
        let (mut unique, mut count): (Arc<str>, usize) = (name.into(), 1);
        while self.texts.contains_key(&unique) {
            count += 1;
            unique = format!("{name} ({count})").into();
        }
        self.texts.insert(Arc::clone(&unique), text.into());
        unique
    }

    /// Adds the `faults` of something that Oathkeeper does not serve; `what` names it.
    pub(super) fn reject(&mut self, names: Vec<ProfileName>, what: &str, faults: impl IntoIterator<Item = Fault>) {
        let in_message = |fault: Fault| {
            let mut fault = fault.build_fault(&self.file);
            if !what.is_empty() {
                fault.message = format!("{what}: {}", fault.message);
            }
            fault
        };
        let faults: Vec<_> = faults.into_iter().map(in_message).collect();
        if !faults.is_empty() {
            self.broken.push(Broken { names, faults });
        }
    }

    /// Adds a fault in the source of rules at `place`.
    pub(super) fn reject_source(
        &mut self,
        path: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        place: &Place,
    ) {
        let mut faults = Faults::default();
        faults.add(path, expected, found, place);
        self.reject(Vec::new(), "", faults.into_list());
        self.has_unread_rules = true;
    }
}

/// One mapping of settings.
pub(super) struct Settings {
    /// The path of the mapping in errors.
    pub(super) path: String,
    /// The place of missing settings in errors.
    pub(super) place: Place,
    /// The mapping; `None` if the document has none.
    pub(super) node: Option<Node>,
}

impl Settings {
    /// Returns the entry `key`.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.node.as_ref()?.entry(key)
    }

    /// Adds a fault for each unknown key, because Oathkeeper rejects them too.
    pub(super) fn check(&self, faults: &mut Faults) {
        match self.node.as_ref().map(|node| (&node.value, node)) {
            None => {}
            Some((Value::Map(entries), _)) => {
                for entry in entries.iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
                    let expected = match nearest(&entry.key, KEYS.into_iter()) {
                        Some(known) => format!("a key that Oathkeeper knows (did you mean `{known}`?)"),
                        None => format!("one of {}, as in Oathkeeper", KEYS.join(", ")),
                    };
                    faults.add(joined(&self.path, &entry.key), expected, "an unknown key; remove it", &entry.place);
                }
            }
            Some((_, node)) => {
                let found = node.description(Quoting::Hidden);
                faults.add(self.path.as_str(), "a mapping", found, &node.place);
            }
        }
    }

    /// Returns the template in `entry`, which is an entry of these settings. An empty text is no template.
    pub(super) fn claims(
        &self,
        entry: &Entry,
        texts: &BTreeMap<Arc<str>, Arc<str>>,
        faults: &mut Faults,
    ) -> Option<ClaimsText> {
        match text(&entry.value) {
            Some("") => None,
            Some(text) => {
                let (document, line) = match &entry.value.place {
                    Place::In { document, line, .. } => (Some(document), Some(*line)),
                    Place::File { line, .. } => (None, Some(*line)),
                    Place::Environment(_) | Place::Nowhere => (None, None),
                };
                let origin = match &entry.value.place {
                    Place::In { document, .. } => document,
                    Place::Environment(variable) => variable,
                    Place::File { .. } | Place::Nowhere => "",
                };
                let name = format!("{origin} ({})", joined(&self.path, "claims"));
                let source = document.and_then(|document| texts.get(document));
                let written = source.zip(line).and_then(|(text, line)| text.lines().nth(line.saturating_sub(1)));
                let is_block = written.map(str::trim) == text.lines().next().map(str::trim);
                Some(ClaimsText { name, line, is_block, text: text.to_owned() })
            }
            None => {
                let found = entry.value.description(Quoting::Hidden);
                faults.add(joined(&self.path, "claims"), "a Go template as text", found, &entry.place);
                None
            }
        }
    }
}

/// Returns the node at `path` below `node`.
pub(super) fn at<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, key| node.entry(key).map(|entry| &entry.value))
}

/// Returns the entry `key`, in any case if there is none in this case, because Go reads members of rules so.
pub(super) fn member<'n>(node: &'n Node, key: &str) -> Option<&'n Entry> {
    node.entry(key).or_else(|| match &node.value {
        Value::Map(entries) => entries.iter().find(|entry| entry.key.eq_ignore_ascii_case(key)),
        _ => None,
    })
}

/// Returns the text of a scalar that is not null.
pub(super) fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, .. } if !node.is_null() => Some(text),
        _ => None,
    }
}

/// Returns the text of a scalar that is text for Oathkeeper, too. Its YAML 1.1 takes more words for booleans.
pub(super) fn text(node: &Node) -> Option<&str> {
    const BOOLEANS: [&str; 8] = ["y", "yes", "on", "n", "no", "off", "true", "false"];
    match &node.value {
        Value::Scalar { text, is_plain } if scalar_kind(text, *is_plain) == ScalarKind::Text => {
            let is_boolean = *is_plain && BOOLEANS.iter().any(|word| text.eq_ignore_ascii_case(word));
            (!is_boolean).then_some(text)
        }
        _ => None,
    }
}

/// Returns `true` if Go's `strconv.ParseBool` returns `true` for `text`.
pub(super) fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

/// Returns the items of the list `key`; none if there is no such list.
pub(super) fn list<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    match member(node, key).map(|entry| &entry.value.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// Returns the name of the handler that an item of a pipeline names.
pub(super) fn handler(node: &Node) -> Option<&str> {
    scalar(&member(node, "handler")?.value)
}

/// Returns the value and the place of an environment variable.
pub(super) fn variable<'e>(environment: &'e [(String, String)], name: &str) -> Option<(&'e str, Place)> {
    let (name, value) = environment.iter().find(|(known, _)| known == name)?;
    Some((value, Place::Environment(Arc::from(name.as_str()))))
}
