//! YAML 1.2 text as a tree in which each value has its source position.
//!
//! The tree is our own because errors name the line and column of a value long after parsing, for example when two sections
//! contradict each other. Deserializers stop at the first error and drop positions. `saphyr-parser` reads the
//! syntax.
//!
//! JSON is YAML, so it is read as well. Rejected are: more than one document, duplicate keys, keys that are not scalars,
//! tags, and documents larger than any configuration. Anchors are expanded up to that limit.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::fault::{Faults, Place};

/// The largest text, in bytes.
const MOST_BYTES: usize = 1024 * 1024;
/// The most values, after the expansion of anchors.
const MOST_NODES: usize = 50_000;
/// The deepest nesting of lists and mappings.
const DEEPEST: usize = 32;

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
            Quoting::Hidden => kind.to_owned(),
            Quoting::Shown => format!("{kind} `{}`", shortened(text)),
        };
        match &self.value {
            Value::Scalar { text, is_plain } => match scalar_kind(text, *is_plain) {
                ScalarKind::Null => "nothing".to_owned(),
                ScalarKind::Bool(_) => quoted("the boolean", text),
                ScalarKind::Number => quoted("the number", text),
                ScalarKind::Text if text.is_empty() => "empty text".to_owned(),
                ScalarKind::Text => quoted("the text", text),
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

/// Reads `text`. `None` where it is no tree at all, which is then among the faults; an empty text is an empty mapping.
/// Every place is `within` where that is given, the line and column otherwise.
pub(crate) fn parse(text: &str, within: Option<&Place>, quoting: Quoting, faults: &mut Faults) -> Option<Node> {
    let start = within.cloned().unwrap_or(Place::File { line: 1, column: 1 });
    if text.len() > MOST_BYTES {
        faults.add("", format!("at most {MOST_BYTES} bytes"), format!("{} bytes", text.len()), &start);
        return None;
    }
    let mut tree = Tree { within, nodes: 0, anchors: HashMap::new(), open: Vec::new(), root: None, quoting };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => {
                let place = tree.place(&span);
                if let Err(TooMuch { expected, found }) = tree.take(event, &place, faults) {
                    faults.add("", expected, found, &place);
                    return None;
                }
            }
            Err(error) => {
                let marker = *error.marker();
                let place = tree.place(&Span::empty(marker));
                let found = match quoting {
                    Quoting::Shown => format!("what YAML cannot read: {}", error.info()),
                    Quoting::Hidden => "what YAML cannot read".to_owned(),
                };
                faults.add("", "YAML", found, &place);
                return None;
            }
        }
    }
    let root = match tree.root {
        Some(root) if root.is_null() => Node::empty_map(root.place),
        Some(root) => root,
        None => Node::empty_map(within.cloned().unwrap_or(Place::Nowhere)),
    };
    refuse_repeated_keys(&root, "", quoting, faults);
    Some(root)
}

/// A limit that stops the parser.
struct TooMuch {
    expected: String,
    found: String,
}

struct Tree<'p> {
    within: Option<&'p Place>,
    nodes: usize,
    anchors: HashMap<usize, Anchored>,
    open: Vec<Open>,
    root: Option<Node>,
    quoting: Quoting,
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
    key: Option<(String, Place)>,
}

impl Tree<'_> {
    fn place(&self, span: &Span) -> Place {
        match self.within {
            Some(place) => place.clone(),
            None => Place::File { line: span.start.line(), column: span.start.col() + 1 },
        }
    }

    fn take(&mut self, event: Event<'_>, place: &Place, faults: &mut Faults) -> Result<(), TooMuch> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) if self.root.is_some() => {
                return Err(TooMuch { expected: "one YAML document".into(), found: "a second one".into() });
            }
            Event::DocumentStart(_) => {}
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
                if let Some(open) = self.open.pop() {
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
                    faults.add(self.path(), "an alias of a value that is complete above it", "another alias", place);
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
        self.open.push(Open { anchor, node: Node { place: place.clone(), value }, key: None });
        Ok(())
    }

    fn count(&mut self, nodes: usize) -> Result<(), TooMuch> {
        self.nodes += nodes;
        if self.nodes > MOST_NODES {
            return Err(TooMuch { expected: format!("at most {MOST_NODES} values"), found: "more".into() });
        }
        Ok(())
    }

    /// Adds a complete value to the list or mapping that contains it.
    fn put(&mut self, node: Node, anchor: usize, faults: &mut Faults) {
        if anchor > 0 {
            let (nodes, depth) = measure(&node);
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, depth });
        }
        let path = self.path();
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(open) => match (&mut open.node.value, open.key.take()) {
                (Value::List(items), _) => items.push(node),
                (Value::Map(entries), Some((key, place))) => entries.push(Entry { key, place, value: node }),
                (Value::Map(_), None) => {
                    let key = match node.value {
                        Value::Scalar { text, .. } => text,
                        _ => {
                            faults.add(path, "a key that is text", node.description(Quoting::Hidden), &node.place);
                            String::new()
                        }
                    };
                    open.key = Some((key, node.place));
                }
                (Value::Scalar { .. }, _) => {}
            },
        }
    }

    /// Returns the path of the next value.
    fn path(&self) -> String {
        let mut path = String::new();
        if self.quoting == Quoting::Hidden {
            return path;
        }
        for open in &self.open {
            match (&open.node.value, &open.key) {
                (Value::List(items), _) => path.push_str(&format!("[{}]", items.len())),
                (_, Some((key, _))) => path = joined(&path, key),
                _ => {}
            }
        }
        path
    }
}

fn too_deep() -> TooMuch {
    TooMuch { expected: format!("at most {DEEPEST} lists and mappings inside each other"), found: "more".into() }
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

fn refuse_repeated_keys(node: &Node, path: &str, quoting: Quoting, faults: &mut Faults) {
    match &node.value {
        Value::Scalar { .. } => {}
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                refuse_repeated_keys(item, &format!("{path}[{index}]"), quoting, faults);
            }
        }
        Value::Map(entries) => {
            let mut seen = HashSet::new();
            for entry in entries {
                let path = match quoting {
                    Quoting::Hidden => path.to_owned(),
                    Quoting::Shown => joined(path, &entry.key),
                };
                if !seen.insert(entry.key.as_str()) {
                    faults.add(path.clone(), "each key once", "one a second time", &entry.place);
                }
                refuse_repeated_keys(&entry.value, &path, quoting, faults);
            }
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
                "a.b: expected each key once, found one a second time (line 3, column 3)",
                "a: expected each key once, found one a second time (line 4, column 1)"
            ]
        );
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
