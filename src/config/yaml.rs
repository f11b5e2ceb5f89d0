//! YAML 1.2 text as a tree in which each value has its source position.
//!
//! The tree is our own because errors name the line and column of a value long after parsing, for example when two sections
//! contradict each other. Deserializers stop at the first error and drop positions. `saphyr-parser` reads the
//! syntax.
//!
//! JSON is YAML, so it is read as well. Anchors are expanded and merge keys (`<<`) are merged, up to the limits of the text.
//! Rejected are: more than one document, duplicate keys, keys that are not scalars, tags, and texts beyond their limits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::fault::{Faults, Place};

/// The deepest nesting of lists and mappings.
const DEEPEST: usize = 32;

/// The limits of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The size in bytes.
    pub(crate) bytes: usize,
    /// The number of values, after the expansion of anchors.
    pub(crate) values: usize,
}

impl Limits {
    /// The limits of a configuration.
    pub(crate) const CONFIGURATION: Self = Self { bytes: 1024 * 1024, values: 50_000 };
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
    const LONGEST: usize = 60;
    let mut short: String = text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

/// Parses `text`, which has one document. An empty text is an empty mapping. Returns `None` after a syntax error, which is
/// added to `faults`.
///
/// If `within` is given, it is the place of each value; otherwise each value has its own line and column.
pub(crate) fn parse(text: &str, within: Option<&Place>, quoting: Quoting, faults: &mut Faults) -> Option<Node> {
    let source = Source { within, document: None, quoting, limits: Limits::CONFIGURATION };
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
pub(crate) fn documents(text: &str, document: &Arc<str>, limits: Limits, faults: &mut Faults) -> Option<Vec<Node>> {
    let source = Source { within: None, document: Some(document), quoting: Quoting::Shown, limits };
    Some(Tree::read(text, source, faults)?.documents)
}

/// What a tree is read from.
#[derive(Clone, Copy)]
struct Source<'s> {
    within: Option<&'s Place>,
    document: Option<&'s Arc<str>>,
    quoting: Quoting,
    limits: Limits,
}

impl Source<'_> {
    fn place(&self, span: &Span) -> Place {
        let (line, column) = (span.start.line(), span.start.col() + 1);
        match (self.within, self.document) {
            (Some(place), _) => place.clone(),
            (None, Some(document)) => Place::In { document: Arc::clone(document), line, column },
            (None, None) => Place::File { line, column },
        }
    }
}

/// A limit that stops the parser.
struct TooMuch {
    expected: String,
    found: String,
}

struct Tree<'s> {
    source: Source<'s>,
    nodes: usize,
    anchors: HashMap<usize, Anchored>,
    open: Vec<Open>,
    documents: Vec<Node>,
}

/// A value that an alias can repeat, with its size.
struct Anchored {
    node: Node,
    nodes: usize,
    depth: usize,
}

/// A list or mapping whose end has not been read.
struct Open {
    anchor: usize,
    node: Node,
    /// The key whose value comes next.
    key: Option<Key>,
    /// The values of merge keys, which are merged at the end of the mapping.
    merged: Vec<Node>,
}

/// A key whose value comes next.
enum Key {
    /// The merge key: `<<` without quotes.
    Merge,
    Name(String, Place),
}

impl<'s> Tree<'s> {
    fn read(text: &str, source: Source<'s>, faults: &mut Faults) -> Option<Self> {
        let Limits { bytes, .. } = source.limits;
        if text.len() > bytes {
            let found = format!("{} bytes; split it into several files, or remove what is not needed", text.len());
            let place = source.place(&Span::empty(Marker::new(0, 1, 0)));
            faults.add("", format!("at most {bytes} bytes"), found, &place);
            return None;
        }
        let mut tree = Self { source, nodes: 0, anchors: HashMap::new(), open: Vec::new(), documents: Vec::new() };
        for event in Parser::new_from_str(text) {
            match event {
                Ok((event, span)) => {
                    let place = source.place(&span);
                    if let Err(TooMuch { expected, found }) = tree.take(event, &place, faults) {
                        faults.add("", expected, found, &place);
                        return None;
                    }
                }
                Err(error) => {
                    let found = match source.quoting {
                        Quoting::Shown => format!("a syntax error: {}", error.info()),
                        Quoting::Hidden => "a syntax error".to_owned(),
                    };
                    faults.add("", "YAML", found, &source.place(&Span::empty(*error.marker())));
                    return None;
                }
            }
        }
        Some(tree)
    }

    fn take(&mut self, event: Event<'_>, place: &Place, faults: &mut Faults) -> Result<(), TooMuch> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
            Event::Scalar(text, style, anchor, tag) => {
                let is_text_tag = tag.as_deref().is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                if tag.is_some() && !is_text_tag {
                    faults.add(self.path(), "a value without a YAML tag", "a tag", place);
                }
                let is_plain = style == ScalarStyle::Plain && !is_text_tag;
                let node = Node { place: place.clone(), value: Value::Scalar { text: text.into_owned(), is_plain } };
                self.count(1)?;
                self.put(node, anchor, faults);
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(Value::List(Vec::new()), anchor, tag.is_some(), place, faults)?
            }
            Event::MappingStart(anchor, tag) => {
                self.begin(Value::Map(Vec::new()), anchor, tag.is_some(), place, faults)?
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(mut open) = self.open.pop() {
                    self.merge(&mut open, faults);
                    self.put(open.node, open.anchor, faults);
                }
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(anchored) if self.open.len() + anchored.depth > DEEPEST => return Err(too_deep()),
                Some(anchored) => {
                    let (node, nodes) = (anchored.node.clone(), anchored.nodes);
                    self.count(nodes)?;
                    self.put(node, 0, faults);
                }
                None => {
                    let found = "an alias without such an anchor; copy the value, or move its anchor up";
                    faults.add(self.path(), "an alias of a value that ends above it", found, place);
                    self.put(Node::plain("", place.clone()), 0, faults);
                }
            },
        }
        Ok(())
    }

    fn begin(
        &mut self,
        value: Value,
        anchor: usize,
        has_tag: bool,
        place: &Place,
        faults: &mut Faults,
    ) -> Result<(), TooMuch> {
        if has_tag {
            faults.add(self.path(), "a value without a YAML tag", "a tag", place);
        }
        self.count(1)?;
        if self.open.len() >= DEEPEST {
            return Err(too_deep());
        }
        let node = Node { place: place.clone(), value };
        self.open.push(Open { anchor, node, key: None, merged: Vec::new() });
        Ok(())
    }

    fn count(&mut self, nodes: usize) -> Result<(), TooMuch> {
        self.nodes += nodes;
        let most = self.source.limits.values;
        if self.nodes > most {
            let found = "more; split the text into several files, or use fewer aliases".to_owned();
            return Err(TooMuch { expected: format!("at most {most} values"), found });
        }
        Ok(())
    }

    /// Adds a complete value to the list or mapping that contains it.
    fn put(&mut self, node: Node, anchor: usize, faults: &mut Faults) {
        if anchor > 0 {
            let (nodes, depth) = measure(&node);
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, depth });
        }
        let is_key_of_wrong_kind = match self.open.last() {
            Some(Open { node: Node { value: Value::Map(_), .. }, key: None, .. }) => {
                !matches!(node.value, Value::Scalar { .. })
            }
            _ => false,
        };
        if is_key_of_wrong_kind {
            faults.add(self.path(), "a key that is text", node.description(Quoting::Hidden), &node.place);
        }
        let Some(open) = self.open.last_mut() else { return self.documents.push(node) };
        match (&mut open.node.value, open.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(entries), Some(Key::Name(key, place))) => entries.push(Entry { key, place, value: node }),
            (Value::Map(_), Some(Key::Merge)) => open.merged.push(node),
            (Value::Map(_), None) => {
                open.key = Some(match node.value {
                    Value::Scalar { text, is_plain: true } if text == "<<" => Key::Merge,
                    Value::Scalar { text, .. } => Key::Name(text, node.place),
                    Value::List(_) | Value::Map(_) => Key::Name(String::new(), node.place),
                });
            }
            (Value::Scalar { .. }, _) => {}
        }
    }

    /// Merges the values of merge keys into their mapping. Its own keys win, then those of earlier values.
    fn merge(&self, open: &mut Open, faults: &mut Faults) {
        if open.merged.is_empty() {
            return;
        }
        let Value::Map(entries) = &mut open.node.value else { return };
        let mut known: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        let merged = std::mem::take(&mut open.merged).into_iter().flat_map(|node| match node.value {
            Value::List(items) => items,
            _ => vec![node],
        });
        for node in merged {
            let found = node.description(Quoting::Hidden);
            match node.value {
                Value::Map(more) => {
                    entries.extend(more.into_iter().filter(|entry| known.insert(entry.key.clone())));
                }
                _ => {
                    let expected = "a mapping, or a list of mappings, as the value of `<<`";
                    faults.add(self.path(), expected, found, &node.place);
                }
            }
        }
    }

    /// Returns the path of the next value.
    fn path(&self) -> String {
        let mut path = String::new();
        if self.source.quoting == Quoting::Hidden {
            return path;
        }
        for open in &self.open {
            match (&open.node.value, &open.key) {
                (Value::List(items), _) => path.push_str(&format!("[{}]", items.len())),
                (_, Some(Key::Name(key, _))) => path = joined(&path, key),
                (_, Some(Key::Merge)) => path = joined(&path, "<<"),
                _ => {}
            }
        }
        path
    }
}

fn too_deep() -> TooMuch {
    TooMuch {
        expected: format!("at most {DEEPEST} lists and mappings inside each other"),
        found: "more; nest fewer".into(),
    }
}

/// Returns the number of values in a tree and its depth.
fn measure(node: &Node) -> (usize, usize) {
    let children: Vec<&Node> = match &node.value {
        Value::Scalar { .. } => return (1, 0),
        Value::List(items) => items.iter().collect(),
        Value::Map(entries) => entries.iter().map(|entry| &entry.value).collect(),
    };
    let (nodes, depth) =
        children.into_iter().map(measure).fold((0, 0), |(nodes, depth), (more, deep)| (nodes + more, depth.max(deep)));
    (nodes + 1, depth + 1)
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
