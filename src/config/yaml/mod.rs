//! YAML 1.2 text as a tree in which each value has its source position.
//!
//! The tree is our own because errors name the line and column of a value long after parsing, for example when two sections
//! contradict each other. Deserializers stop at the first error and drop positions. `saphyr-parser` reads the
//! syntax.
//!
//! JSON is YAML, so it is read as well. Anchors are expanded and merge keys (`<<`) are merged, up to the limits of the text.
//! Rejected are: more than one document, duplicate keys, keys that are not scalars, tags, and texts beyond their limits.

mod tree;

use std::collections::HashSet;
use std::sync::Arc;

use super::fault::{Faults, Place};
use tree::{Source, Tree};

use crate::mint::one_line;

/// The limits of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The size in bytes.
    pub(crate) bytes: usize,
    /// The number of values, after the expansion of anchors.
    pub(crate) values: usize,
    /// The size in bytes of the text that anchors and aliases repeat.
    pub(crate) repeated: usize,
}

impl Limits {
    /// The limits of a configuration.
    pub(crate) const CONFIGURATION: Self = Self { bytes: 1 << 20, values: 50_000, repeated: 4 << 20 };
}

/// Which of two equal keys wins, if one of them comes from a merge key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merging {
    /// The key of the mapping itself. A mapping has one merge key at most.
    OwnWins,
    /// The one that is written later, as in Go's `yaml.v2`.
    LaterWins,
}

/// One value with its place. No `Debug`, because it may be a secret.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

#[derive(Clone)]
pub(crate) enum Value {
    /// `is_plain` is `true` without quotes, so that `12` can be a number.
    Scalar {
        text: String,
        is_plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a mapping and its value.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

/// The type of a plain scalar in the core schema of YAML 1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScalarKind {
    Null,
    Bool(bool),
    Number,
    Text,
}

impl Node {
    /// Creates text that was written in quotes.
    pub(crate) fn text(text: impl Into<String>, place: Place) -> Self {
        Self { place, value: Value::Scalar { text: text.into(), is_plain: false } }
    }

    /// Creates a scalar without quotes.
    pub(crate) fn plain(text: impl Into<String>, place: Place) -> Self {
        Self { place, value: Value::Scalar { text: text.into(), is_plain: true } }
    }

    /// Creates an empty mapping.
    pub(crate) fn empty_map(place: Place) -> Self {
        Self { place, value: Value::Map(Vec::new()) }
    }

    /// Returns `true` if this is null.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, is_plain } if scalar_kind(text, *is_plain) == ScalarKind::Null)
    }

    /// Returns the entry `key` of a mapping.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// Describes the value for an error, and quotes it if `quoting` allows.
    pub(crate) fn description(&self, quoting: Quoting) -> String {
        let quoted = |kind: &str, text: &str| match quoting {
            Quoting::Hidden => format!("{kind} that is not shown, because it may be a secret"),
            Quoting::Shown => format!("the {kind} `{}`", shortened(text)),
        };
        match &self.value {
            Value::Scalar { text, is_plain } => match scalar_kind(text, *is_plain) {
                ScalarKind::Null => "nothing".to_owned(),
                ScalarKind::Bool(_) if quoting == Quoting::Hidden => "a boolean".to_owned(),
                ScalarKind::Bool(_) => quoted("boolean", text),
                ScalarKind::Number if quoting == Quoting::Hidden => "a number".to_owned(),
                ScalarKind::Number => quoted("number", text),
                ScalarKind::Text if text.is_empty() => "empty text".to_owned(),
                ScalarKind::Text => quoted("text", text),
            },
            Value::List(items) if items.is_empty() => "an empty list".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Whether an error can quote a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quoting {
    Hidden,
    Shown,
}

/// Returns the kind of a scalar.
pub(crate) fn scalar_kind(text: &str, is_plain: bool) -> ScalarKind {
    if !is_plain {
        return ScalarKind::Text;
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => ScalarKind::Null,
        "true" | "True" | "TRUE" => ScalarKind::Bool(true),
        "false" | "False" | "FALSE" => ScalarKind::Bool(false),
        _ if is_number(text) => ScalarKind::Number,
        _ => ScalarKind::Text,
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN" => true,
        _ if unsigned.starts_with("0x") || unsigned.starts_with("0o") => {
            unsigned.len() > 2 && unsigned.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit())
        }
        _ => {
            unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.')
                && unsigned.contains(|any: char| any.is_ascii_digit())
                && unsigned.parse::<f64>().is_ok()
        }
    }
}

/// Shortens text for one line of an error and replaces control characters.
pub(crate) fn shortened(text: &str) -> String {
    one_line(text, 60)
}

/// Parses `text`, which has one document. An empty text is an empty mapping. Returns `None` after a syntax error, which is
/// added to `faults`.
///
/// If `within` is given, it is the place of each value; otherwise each value has its own line and column.
pub(crate) fn parse(text: &str, within: Option<&Place>, quoting: Quoting, faults: &mut Faults) -> Option<Node> {
    let (limits, merging) = (Limits::CONFIGURATION, Merging::OwnWins);
    let source = Source { within, document: None, quoting, limits, merging };
    let mut tree = Tree::read(text, source, faults)?;
    if let Some(second) = tree.documents.get(1) {
        faults.add("", ONE_DOCUMENT, "a second document; remove it, or move it to a file of its own", &second.place);
        return None;
    }
    let root = match tree.documents.pop() {
        Some(root) if root.is_null() => Node::empty_map(root.place),
        Some(root) => root,
        None => Node::empty_map(within.cloned().unwrap_or(Place::Nowhere)),
    };
    for (path, place) in duplicates(&root, quoting) {
        faults.add(path, "each key once", "a duplicate key; remove one", &place);
    }
    Some(root)
}

/// The expectation of [`parse`] if a text has several documents.
pub(crate) const ONE_DOCUMENT: &str = "one YAML document";

/// Parses the documents in `text`, which is called `document`. Returns `None` after a syntax error, which is added to
/// `faults`. Duplicate keys are not reported; see [`duplicates`].
pub(crate) fn documents(
    text: &str,
    document: &Arc<str>,
    limits: Limits,
    merging: Merging,
    faults: &mut Faults,
) -> Option<Vec<Node>> {
    let source = Source { within: None, document: Some(document), quoting: Quoting::Shown, limits, merging };
    Some(Tree::read(text, source, faults)?.documents)
}

/// Returns the path and the place of each key that its mapping already has.
pub(crate) fn duplicates(root: &Node, quoting: Quoting) -> Vec<(String, Place)> {
    let mut found = Vec::new();
    find_duplicates(root, "", quoting, &mut found);
    found
}

fn find_duplicates(node: &Node, path: &str, quoting: Quoting, found: &mut Vec<(String, Place)>) {
    match &node.value {
        Value::Scalar { .. } => {}
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                if !matches!(item.value, Value::Scalar { .. }) {
                    find_duplicates(item, &format!("{path}[{index}]"), quoting, found);
                }
            }
        }
        Value::Map(entries) => {
            let mut seen = HashSet::new();
            for entry in entries {
                let is_new = seen.insert(entry.key.as_str());
                if is_new && matches!(entry.value.value, Value::Scalar { .. }) {
                    continue;
                }
                let path = match quoting {
                    Quoting::Hidden => path.to_owned(),
                    Quoting::Shown => joined(path, &entry.key),
                };
                if !is_new {
                    found.push((path.clone(), entry.place.clone()));
                }
                find_duplicates(&entry.value, &path, quoting, found);
            }
        }
    }
}

/// Removes each entry whose key a later one has, too.
pub(crate) fn keep_last(node: &mut Node) {
    match &mut node.value {
        Value::Scalar { .. } => {}
        Value::List(items) => items.iter_mut().for_each(keep_last),
        Value::Map(entries) => {
            let mut seen = HashSet::new();
            entries.reverse();
            entries.retain(|entry| seen.insert(entry.key.clone()));
            entries.reverse();
            entries.iter_mut().for_each(|entry| keep_last(&mut entry.value));
        }
    }
}

/// Appends a key to a path.
pub(crate) fn joined(path: &str, key: &str) -> String {
    let key = shortened(key);
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(text: &str) -> Vec<String> {
        let mut faults = Faults::default();
        parse(text, None, Quoting::Shown, &mut faults);
        faults.into_error().faults().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn values_know_their_line_and_column() {
        let mut faults = Faults::default();
        let root = parse("serve:\n  api: { port: 1 }\n", None, Quoting::Shown, &mut faults).unwrap();
        let port =
            root.entry("serve").and_then(|entry| entry.value.entry("api")).and_then(|entry| entry.value.entry("port"));
        assert_eq!(port.unwrap().value.place, Place::File { line: 2, column: 16 });
        assert!(faults.is_empty());
    }

    #[test]
    fn json_is_read_as_the_yaml_it_is() {
        assert_eq!(
            faults_of("{\"serve\": {\"api\": {\"port\": 1}},\n \"list\": [true, null, 1.5, \"a\\u00e9\"]}"),
            [""; 0]
        );
    }

    #[test]
    fn a_repeated_key_is_refused_at_its_second_place() {
        assert_eq!(
            faults_of("a:\n  b: 1\n  b: 2\na: 3\n"),
            [
                "a.b: expected each key once, found a duplicate key; remove one (line 3, column 3)",
                "a: expected each key once, found a duplicate key; remove one (line 4, column 1)"
            ]
        );
    }

    #[test]
    fn merge_keys_are_merged_and_own_keys_win() {
        let mut faults = Faults::default();
        let text = "a: &a { x: 1, y: 1 }\nb: &b { y: 2, z: 2, w: 2 }\nc:\n  <<: [*a, *b]\n  w: 3\nd: { \"<<\": 4 }\n";
        let root = parse(text, None, Quoting::Shown, &mut faults).unwrap();
        assert!(faults.is_empty());
        let number = |map: &str, key: &str| match &root.entry(map)?.value.entry(key)?.value.value {
            Value::Scalar { text, .. } => Some(text.clone()),
            _ => None,
        };
        for (key, expected) in [("x", "1"), ("y", "1"), ("z", "2"), ("w", "3")] {
            assert_eq!(number("c", key).as_deref(), Some(expected), "{key}");
        }
        assert_eq!(number("c", "<<"), None);
        assert_eq!(number("d", "<<").as_deref(), Some("4"), "a key in quotes is no merge key");
        assert!(faults_of("a: { <<: 1 }\n")[0].contains("as the value of `<<`, found a number (line 1, column 10)"));
        assert!(!faults_of("a: &a { <<: *a }\n").is_empty());
    }

    #[test]
    fn secrets_are_not_shown_but_described() {
        let node = Node::text("canary", Place::Nowhere);
        let description = node.description(Quoting::Hidden);
        assert_eq!(description, "text that is not shown, because it may be a secret");
    }

    #[test]
    fn anchors_are_expanded_but_not_without_bound() {
        let mut faults = Faults::default();
        let root = parse("a: &a { x: 1 }\nb: *a\n", None, Quoting::Shown, &mut faults).unwrap();
        assert!(root.entry("b").and_then(|entry| entry.value.entry("x")).is_some());
        let mut bomb = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..12 {
            let last = level - 1;
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{last}"); 9].join(", ")));
        }
        let found = faults_of(&bomb);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("at most 50000 values"), "{found:?}");
        let mut ladder = "a0: &a0 [x]\n".to_owned();
        for level in 1..200 {
            ladder.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
        }
        assert!(faults_of(&ladder)[0].contains("inside each other"));
        assert!(!faults_of("a: &a [*a]\n").is_empty());
    }

    #[test]
    fn long_text_cannot_be_repeated_without_limit() {
        let text = "x".repeat(1 << 19);
        assert_eq!(faults_of(&format!("a: &a {text}\nb: [{}]\n", ["*a"; 7].join(", "))), [""; 0]);
        let bombs = [
            format!("a: &a {text}\nb: [{}]\n", ["*a"; 20_000].join(", ")),
            format!("a: &a {{ \"{text}\": 1 }}\nb: [{}]\n", ["*a"; 20_000].join(", ")),
            // Each anchor keeps a copy of its own.
            format!("{}{text}{}", (0..20).map(|level| format!("&a{level} [")).collect::<String>(), "]".repeat(20)),
        ];
        for bomb in bombs {
            let found = faults_of(&bomb);
            assert_eq!(found.len(), 1);
            assert!(found[0].contains("at most 4194304 bytes in repeated values"), "{found:?}");
        }
    }

    #[test]
    fn deep_nesting_ends_before_the_stack_does() {
        let found = faults_of(&"[".repeat(100_000));
        // The scanner has its own limit and reads ahead.
        assert!(found[0].contains("recursion limit"), "{found:?}");
        assert!(faults_of(&"[".repeat(60))[0].contains("at most 32"));
        assert!(faults_of(&format!("a: {}", "{b: ".repeat(1000)))[0].contains("at most 32"));
    }

    #[test]
    fn what_a_configuration_does_not_need_is_refused() {
        assert!(faults_of("a: !!binary aGk=\n")[0].starts_with("a: expected a value without a YAML tag"));
        assert!(faults_of("a: 1\n---\nb: 2\n")[0].contains("one YAML document"));
        assert!(faults_of("? [a, b]\n: 1\n")[0].contains("a key that is text"));
        assert!(faults_of("a: [1, 2\n")[0].contains("YAML"));
    }

    #[test]
    fn plain_scalars_have_the_kinds_of_the_core_schema() {
        for (text, kind) in [
            ("", ScalarKind::Null),
            ("~", ScalarKind::Null),
            ("true", ScalarKind::Bool(true)),
            ("yes", ScalarKind::Text),
            ("12", ScalarKind::Number),
            ("-0x1F", ScalarKind::Number),
            ("1e3", ScalarKind::Number),
            ("1.2.3", ScalarKind::Text),
            ("15m", ScalarKind::Text),
            ("inf", ScalarKind::Text),
        ] {
            assert_eq!(scalar_kind(text, true), kind, "{text}");
            assert_eq!(scalar_kind(text, false), ScalarKind::Text);
        }
    }
}
