//! The tree of a YAML text, built from the events of the parser.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::{Entry, Limits, Merging, Node, Quoting, Value, joined, shortened};
use crate::config::fault::{Faults, Place};

/// The deepest nesting of lists and mappings.
const DEEPEST: usize = 32;

/// What a tree is read from.
#[derive(Clone, Copy)]
pub(super) struct Source<'s> {
    pub(super) within: Option<&'s Place>,
    pub(super) document: Option<&'s Arc<str>>,
    pub(super) quoting: Quoting,
    pub(super) limits: Limits,
    pub(super) merging: Merging,
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

/// The documents of a text, while they are read.
pub(super) struct Tree<'s> {
    source: Source<'s>,
    nodes: usize,
    /// The bytes of text that were copied for anchors and aliases.
    repeated: usize,
    anchors: HashMap<usize, Anchored>,
    open: Vec<Open>,
    pub(super) documents: Vec<Node>,
}

/// A value that an alias can repeat, with its size.
struct Anchored {
    node: Node,
    size: Size,
}

/// The size of a tree.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    /// The bytes of its text.
    bytes: usize,
    depth: usize,
}

/// A list or mapping whose end has not been read.
struct Open {
    anchor: usize,
    node: Node,
    /// The key whose value comes next.
    key: Option<Key>,
    /// The values of merge keys, which are merged at the end of the mapping, each with the number of entries before it.
    merged: Vec<(usize, Node)>,
}

/// A key whose value comes next.
enum Key {
    /// The merge key: `<<` without quotes.
    Merge,
    Name(String, Place),
}

/// Returns the number of the line that has the error. Where a key has no colon, the parser reports the next line.
fn line_of(text: &str, number: usize, info: &str) -> usize {
    let is_key = |line: &str| line.contains(": ") || line.trim_end().ends_with(':');
    let before = number.checked_sub(2).and_then(|index| text.lines().nth(index));
    let is_before =
        info.starts_with("mapping values") && before.is_some_and(|line| !is_key(line) && !line.trim().is_empty());
    if is_before { number - 1 } else { number }
}

/// Returns the line `number` of `text` for an error. Hides values of keys whose names are those of secrets, and lines that look
/// like encoded secrets.
fn shown_line(text: &str, number: usize) -> Option<String> {
    const SECRET: [&str; 3] = ["password", "secret", "token"];
    const LONGEST_WORD: usize = 32;
    let line = text.lines().nth(number.checked_sub(1)?)?.trim();
    let is_encoded = |word: &str| {
        word.len() > LONGEST_WORD && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_:-".contains(&byte))
    };
    if line.is_empty() || line.split_whitespace().any(is_encoded) {
        return None;
    }
    let lower = line.to_lowercase();
    match line.split_once(':') {
        Some((key, _)) if SECRET.iter().any(|secret| lower.contains(secret)) => Some(format!("{}: …", shortened(key))),
        None if SECRET.iter().any(|secret| lower.contains(secret)) => None,
        _ => Some(shortened(line)),
    }
}

impl<'s> Tree<'s> {
    /// Reads all documents. Returns `None` after a syntax error or beyond a limit, which is added to `faults`.
    pub(super) fn read(text: &str, source: Source<'s>, faults: &mut Faults) -> Option<Self> {
        let Limits { bytes, .. } = source.limits;
        if text.len() > bytes {
            let found = format!("{} bytes; split it into several files, or remove what is not needed", text.len());
            let place = source.place(&Span::empty(Marker::new(0, 1, 0)));
            faults.add("", format!("at most {bytes} bytes"), found, &place);
            return None;
        }
        let mut tree =
            Self { source, nodes: 0, repeated: 0, anchors: HashMap::new(), open: Vec::new(), documents: Vec::new() };
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
                        Quoting::Shown => {
                            let number = error.marker().line();
                            let shown = line_of(text, number, error.info());
                            let line =
                                shown_line(text, shown).map_or_else(String::new, |line| format!(", at `{line}`"));
                            let hint = if shown < number {
                                " in the line before; write a colon and a space after a key"
                            } else {
                                ""
                            };
                            format!("a syntax error: {}{line}{hint}", error.info())
                        }
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
                self.put(node, anchor, faults)?;
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
                    self.put(open.node, open.anchor, faults)?;
                }
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(anchored) if self.open.len() + anchored.size.depth > DEEPEST => return Err(too_deep()),
                Some(anchored) => {
                    let Size { nodes, bytes, .. } = anchored.size;
                    self.count(nodes)?;
                    self.count_repeated(bytes)?;
                    if let Some(node) = self.anchors.get(&anchor).map(|anchored| anchored.node.clone()) {
                        self.put(node, 0, faults)?;
                    }
                }
                None => {
                    let found = "an alias without such an anchor; copy the value, or move its anchor up";
                    faults.add(self.path(), "an alias of a value that ends above it", found, place);
                    self.put(Node::plain("", place.clone()), 0, faults)?;
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

    /// Counts text that is copied. The number of values does not limit it, because one value can be as long as the text.
    fn count_repeated(&mut self, bytes: usize) -> Result<(), TooMuch> {
        self.repeated = self.repeated.saturating_add(bytes);
        let most = self.source.limits.repeated;
        if self.repeated > most {
            let found = "more; use fewer or shorter anchors, or split the text into several files".to_owned();
            return Err(TooMuch { expected: format!("at most {most} bytes in repeated values"), found });
        }
        Ok(())
    }

    /// Adds a complete value to the list or mapping that contains it.
    fn put(&mut self, node: Node, anchor: usize, faults: &mut Faults) -> Result<(), TooMuch> {
        if anchor > 0 {
            let size = measure(&node);
            self.count_repeated(size.bytes)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), size });
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
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match (&mut open.node.value, open.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(entries), Some(Key::Name(key, place))) => entries.push(Entry { key, place, value: node }),
            (Value::Map(entries), Some(Key::Merge)) => open.merged.push((entries.len(), node)),
            (Value::Map(_), None) => {
                open.key = Some(match node.value {
                    Value::Scalar { text, is_plain: true } if text == "<<" => Key::Merge,
                    Value::Scalar { text, .. } => Key::Name(text, node.place),
                    Value::List(_) | Value::Map(_) => Key::Name(String::new(), node.place),
                });
            }
            (Value::Scalar { .. }, _) => {}
        }
        Ok(())
    }

    /// Merges the values of merge keys into their mapping.
    fn merge(&self, open: &mut Open, faults: &mut Faults) {
        let merged = std::mem::take(&mut open.merged);
        let Value::Map(entries) = &mut open.node.value else { return };
        let mut mappings = Vec::new();
        for (number, (position, node)) in merged.into_iter().enumerate() {
            if number > 0 && self.source.merging == Merging::OwnWins {
                let found = "a second `<<`; write one list of mappings";
                faults.add(self.path(), "each key once", found, &node.place);
                continue;
            }
            let items = match node.value {
                Value::List(items) => items,
                _ => vec![node],
            };
            let mut maps = Vec::new();
            for node in items {
                let found = node.description(Quoting::Hidden);
                match node.value {
                    Value::Map(more) => maps.push(more),
                    _ => {
                        let expected = "a mapping, or a list of mappings, as the value of `<<`";
                        faults.add(self.path(), expected, found, &node.place);
                    }
                }
            }
            mappings.push((position, maps));
        }
        if mappings.is_empty() {
            return;
        }
        match self.source.merging {
            Merging::OwnWins => {
                let mut known: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
                let more = mappings.into_iter().flat_map(|(_, maps)| maps).flatten();
                entries.extend(more.filter(|entry| known.insert(entry.key.clone())));
            }
            Merging::LaterWins => *entries = later_wins(std::mem::take(entries), mappings),
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

/// Merges mappings into `entries`, each list at its position. Later keys win; in a list of mappings, earlier ones win. Keys
/// that a mapping has twice itself stay, so that they can be reported.
fn later_wins(entries: Vec<Entry>, merged: Vec<(usize, Vec<Vec<Entry>>)>) -> Vec<Entry> {
    let mut ordered: Vec<(Entry, bool)> = Vec::new();
    let mut merged = merged.into_iter().peekable();
    let mut entries = entries.into_iter();
    let mut position = 0;
    loop {
        while let Some((_, maps)) = merged.next_if(|(at, _)| *at == position) {
            ordered.extend(maps.into_iter().rev().flatten().map(|entry| (entry, false)));
        }
        let Some(entry) = entries.next() else { break };
        ordered.push((entry, true));
        position += 1;
    }
    let mut known: HashMap<String, bool> = HashMap::new();
    let mut kept = Vec::new();
    for (entry, is_own) in ordered.into_iter().rev() {
        match known.get(&entry.key) {
            Some(is_known_own) if !(is_own && *is_known_own) => {}
            _ => {
                known.insert(entry.key.clone(), is_own);
                kept.push(entry);
            }
        }
    }
    kept.reverse();
    kept
}

fn too_deep() -> TooMuch {
    TooMuch {
        expected: format!("at most {DEEPEST} lists and mappings inside each other"),
        found: "more; nest fewer".into(),
    }
}

/// Returns the size of a tree.
fn measure(node: &Node) -> Size {
    let add = |size: Size, key: &str, more: &Node| {
        let more = measure(more);
        Size {
            nodes: size.nodes + more.nodes,
            bytes: size.bytes + key.len() + more.bytes,
            depth: size.depth.max(more.depth + 1),
        }
    };
    let size = Size { nodes: 1, bytes: 0, depth: 1 };
    match &node.value {
        Value::Scalar { text, .. } => Size { nodes: 1, bytes: text.len(), depth: 0 },
        Value::List(items) => items.iter().fold(size, |size, item| add(size, "", item)),
        Value::Map(entries) => entries.iter().fold(size, |size, entry| add(size, &entry.key, &entry.value)),
    }
}
