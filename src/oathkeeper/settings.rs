//! The settings of one `id_token` mutator, and the lookups in YAML that reading Oathkeeper's files needs.

use std::sync::Arc;

use crate::config::fault::{Faults, Place, nearest};
use crate::config::yaml::{Entry, Node, Quoting, Value, joined};

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

/// What reading Oathkeeper's files found besides profiles.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) faults: Faults,
    pub(super) warnings: Vec<String>,
}

/// One mapping of settings and the document that contains it.
pub(super) struct Settings {
    /// The name of the document in errors.
    pub(super) document: Arc<str>,
    /// The text of the document.
    pub(super) source: Arc<str>,
    /// The path of the mapping in errors.
    pub(super) path: String,
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
                    faults.add(joined(&self.path, &entry.key), expected, "an unknown key", &entry.place);
                }
            }
            Some((_, node)) => {
                let found = node.description(Quoting::Hidden);
                faults.add(self.path.as_str(), "a mapping", found, &node.place);
            }
        }
    }

    /// Returns the template in `entry`, which is an entry of these settings. An empty text is no template.
    pub(super) fn claims(&self, entry: &Entry, faults: &mut Faults) -> Option<ClaimsText> {
        match scalar(&entry.value) {
            Some("") => None,
            Some(text) => {
                let line = match entry.value.place {
                    Place::File { line, .. } => Some(line),
                    Place::Environment(_) | Place::Nowhere => None,
                };
                let name = format!("{} ({})", self.document, joined(&self.path, "claims"));
                let written = line.and_then(|line| self.source.lines().nth(line.saturating_sub(1)));
                let is_block = written.map(str::trim) == text.lines().next().map(str::trim);
                Some(ClaimsText { name, line, is_block, text: text.to_owned() })
            }
            None if entry.value.is_null() => None,
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

/// Returns the text of a scalar that is not null.
pub(super) fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, .. } if !node.is_null() => Some(text),
        _ => None,
    }
}

/// Returns `true` if `node` is the word `true`, in any case.
pub(super) fn is_true(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar { text, .. } if text.eq_ignore_ascii_case("true"))
}

/// Returns the items of the list `key`; none if there is no such list.
pub(super) fn list<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    match node.entry(key).map(|entry| &entry.value.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// Returns the name of the handler that an item of a pipeline names.
pub(super) fn handler(node: &Node) -> Option<&str> {
    scalar(&node.entry("handler")?.value)
}
