//! Converts the tree of a configuration to typed values. An invalid value becomes a fault, and reading continues.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use crate::time::parse_duration;

use super::fault::{Faults, Place, nearest};
use super::field::{Field, Kind, Presence, Section};
use super::yaml::{self, Node, Quoting, ScalarKind, Value, joined, scalar_kind};

/// A mapping of known keys at its path.
pub(super) struct Mapping<'n> {
    pub(super) path: String,
    pub(super) place: Place,
    /// `None` if there is no mapping; each key then has its default.
    node: Option<&'n Node>,
    section: &'static Section,
    /// Whether there is another value instead of the mapping. Missing keys are then not reported one by one.
    is_broken: bool,
}

/// Why a value is invalid.
pub(super) enum Misfit {
    /// The value is not of the kind of its field.
    Kind,
    /// As `Kind`, with a description of the value that quotes no secret.
    Found(String),
}

impl<'n> Mapping<'n> {
    /// Opens `node` as a mapping of the keys of `section`; other keys are faults. `place` is where missing keys are reported.
    pub(super) fn open(
        node: Option<&'n Node>,
        path: String,
        place: Place,
        section: &'static Section,
        faults: &mut Faults,
    ) -> Self {
        let mut is_broken = false;
        if let Some(node) = node {
            match &node.value {
                Value::Map(entries) => {
                    for entry in entries.iter().filter(|entry| section.field(&entry.key).is_none()) {
                        let known = nearest(&entry.key, section.names()).or_else(|| with_word(&entry.key, section));
                        let (path, expected) = match known {
                            Some(name) => (joined(&path, &entry.key), format!("a known key (did you mean `{name}`?)")),
                            None => {
                                // A secret in place of a mapping looks like a key: `{ token }`.
                                let path = if section.is_secret { path.clone() } else { joined(&path, &entry.key) };
                                let names = section.names().collect::<Vec<_>>().join(", ");
                                (path, format!("one of the keys {names}"))
                            }
                        };
                        faults.add(path, expected, "an unknown one", &entry.place);
                        if known.is_none() && !section.is_secret {
                            faults.mark_unknown_key(&entry.key);
                        }
                    }
                }
                _ => {
                    is_broken = true;
                    let found = node.description(quoting_of(section));
                    faults.add(path.clone(), "a mapping", found, &node.place);
                }
            }
        }
        Self { path, place, node, section, is_broken }
    }

    /// Creates a mapping in which no key is set.
    pub(super) fn empty(section: &'static Section) -> Self {
        Self { path: String::new(), place: Place::Nowhere, node: None, section, is_broken: false }
    }

    /// Returns the mapping under the key `name`.
    pub(super) fn mapping(&self, name: &'static str, faults: &mut Faults) -> Mapping<'n> {
        let path = joined(&self.path, name);
        match self.section.field(name).map(|field| field.kind) {
            Some(Kind::Section(section)) => {
                let place = self.node.and_then(|node| node.entry(name)).map_or(&self.place, |entry| &entry.place);
                let mut inner = Mapping::open(self.given(name), path, place.clone(), section, faults);
                inner.is_broken |= self.is_broken;
                inner
            }
            _ => Mapping { path, place: self.place.clone(), node: None, section: self.section, is_broken: true },
        }
    }

    /// Returns the value under the key `name`.
    pub(super) fn given(&self, name: &str) -> Option<&'n Node> {
        self.node.and_then(|node| node.entry(name)).map(|entry| &entry.value)
    }

    /// Returns `true` if the mapping under the key `section` has the key `name`, valid or not.
    pub(super) fn has_entry(&self, section: &str, name: &str) -> bool {
        self.given(section).is_some_and(|node| node.entry(name).is_some())
    }

    /// Returns the place of the value of `name`, or of this mapping if it is missing.
    pub(super) fn place_of(&self, name: &str) -> Place {
        self.given(name).map_or(&self.place, |node| &node.place).clone()
    }

    /// Returns the path of the key `name`.
    pub(super) fn path_of(&self, name: &str) -> String {
        joined(&self.path, name)
    }

    /// Returns the value of `name`, or its default, converted by `read`; `None` if there is neither or a fault was added.
    pub(super) fn value<T>(
        &self,
        name: &'static str,
        faults: &mut Faults,
        read: impl FnOnce(&Node, Kind) -> Result<T, Misfit>,
    ) -> Option<T> {
        let field = self.section.field(name)?;
        let node = match self.given(name) {
            Some(node) => Cow::Borrowed(node),
            None => Cow::Owned(self.default_of(field, faults)?),
        };
        let found = match read(&node, field.kind) {
            Ok(value) => return Some(value),
            Err(Misfit::Found(found)) => found,
            Err(Misfit::Kind) => {
                let near = match (&node.value, field.kind) {
                    (Value::Scalar { text, .. }, Kind::Choice(words)) => nearest(text, words.iter().copied()),
                    _ => None,
                };
                let hint = match near {
                    Some(near) => format!("; did you mean `{near}`?"),
                    None if matches!(quoting_of(self.section), Quoting::Shown) => unit_hint(&node, field.kind),
                    None => String::new(),
                };
                format!("{}{hint}", node.description(quoting_of(self.section)))
            }
        };
        faults.add(self.path_of(name), field.kind.expected(), found, &node.place);
        None
    }

    /// As [`Mapping::value`], for a key without a default: `Some(None)` if it is not set.
    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        faults: &mut Faults,
        read: impl FnOnce(&Node, Kind) -> Result<T, Misfit>,
    ) -> Option<Option<T>> {
        match self.given(name) {
            Some(_) => self.value(name, faults, read).map(Some),
            None => Some(None),
        }
    }

    /// Reads the mapping under the key `name`: `Some(None)` if it is not set, `None` if a fault was added.
    pub(super) fn optional_mapping<T>(
        &self,
        name: &'static str,
        faults: &mut Faults,
        read: impl FnOnce(&Mapping<'n>, &mut Faults) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.given(name) {
            Some(_) => {
                let mapping = self.mapping(name, faults);
                read(&mapping, faults).map(Some)
            }
            None => Some(None),
        }
    }

    /// Adds the fault that `name` is missing.
    pub(super) fn miss(&self, name: &str, faults: &mut Faults) {
        if let Some(field) = self.section.field(name).filter(|_| !self.is_broken) {
            faults.add(self.path_of(name), field.kind.expected(), "nothing", &self.place);
        }
    }

    /// Checks that exactly one of the keys of a choice is set.
    pub(super) fn require_one_of(&self, faults: &mut Faults) {
        let names = self.section.one_of;
        let given: Vec<&str> = names.iter().copied().filter(|name| self.given(name).is_some()).collect();
        if given.len() == 1 || self.is_broken || given.is_empty() && self.has_misspelt(names) {
            return;
        }
        let found = if given.is_empty() { "none of them".into() } else { given.join(" and ") };
        let place = given.last().map_or(self.place.clone(), |name| self.place_of(name));
        let known: Vec<String> = names
            .iter()
            .map(|name| match self.section.field(name).map(|field| field.presence) {
                Some(Presence::EnvironmentOnly) => format!("{name} (only in the environment)"),
                _ => (*name).to_owned(),
            })
            .collect();
        faults.add(self.path.clone(), format!("exactly one of {}", known.join(", ")), found, &place);
    }

    /// Returns `true` if an unknown key looks like one of `names`, which its own fault says.
    fn has_misspelt(&self, names: &[&str]) -> bool {
        let Some(Value::Map(entries)) = self.node.map(|node| &node.value) else { return false };
        let mut unknown = entries.iter().filter(|entry| self.section.field(&entry.key).is_none());
        unknown.any(|entry| nearest(&entry.key, self.section.names()).is_some_and(|name| names.contains(&name)))
    }

    fn default_of(&self, field: &Field, faults: &mut Faults) -> Option<Node> {
        match field.presence {
            Presence::Default(text) => yaml::parse(text, Some(&Place::Nowhere), Quoting::Hidden, faults),
            Presence::Required => {
                self.miss(field.name, faults);
                None
            }
            Presence::DefaultInWords(_) | Presence::Optional | Presence::EnvironmentOnly => None,
        }
    }
}

/// Returns the only key of `section` that has `word` as one of its words.
fn with_word(word: &str, section: &'static Section) -> Option<&'static str> {
    let mut found = section.names().filter(|name| name.split('_').any(|part| part == word));
    found.next().filter(|_| found.next().is_none())
}

/// Returns a hint for a duration without a unit.
fn unit_hint(node: &Node, kind: Kind) -> String {
    match (&node.value, kind) {
        (Value::Scalar { text, .. }, Kind::Duration { .. }) if digits(text).is_some_and(|number| number > 0) => {
            format!("; add the unit: {text}s, {text}m or {text}h")
        }
        _ => String::new(),
    }
}

/// Returns whether errors about a section can quote its values.
pub(super) fn quoting_of(section: &Section) -> Quoting {
    if section.is_secret { Quoting::Hidden } else { Quoting::Shown }
}

fn scalar(node: &Node) -> Result<(&str, ScalarKind), Misfit> {
    match &node.value {
        Value::Scalar { text, is_plain } => Ok((text, scalar_kind(text, *is_plain))),
        _ => Err(Misfit::Kind),
    }
}

/// Reads text as it is written.
pub(super) fn text(node: &Node, _: Kind) -> Result<String, Misfit> {
    match scalar(node)? {
        (text, ScalarKind::Text) => Ok(text.to_owned()),
        (_, ScalarKind::Null) => Err(Misfit::Kind),
        (_, ScalarKind::Bool(_)) => Err(Misfit::Found("a boolean, which is text only in quotes".into())),
        (_, ScalarKind::Number) => Err(Misfit::Found("a number, which is text only in quotes".into())),
    }
}

/// Reads text that `take` accepts.
pub(super) fn text_as<T>(take: impl FnOnce(&str) -> Option<T>) -> impl FnOnce(&Node, Kind) -> Result<T, Misfit> {
    |node, kind| take(&text(node, kind)?).ok_or(Misfit::Kind)
}

/// Reads text that is not empty and contains no control characters.
pub(super) fn words(node: &Node, kind: Kind) -> Result<String, Misfit> {
    let text = text(node, kind)?;
    if has_control_characters(&text) {
        return Err(Misfit::Found("control characters".into()));
    }
    if text.is_empty() { Err(Misfit::Kind) } else { Ok(text) }
}

/// Reads `true` or `false`.
pub(super) fn boolean(node: &Node, _: Kind) -> Result<bool, Misfit> {
    match scalar(node)? {
        (_, ScalarKind::Bool(value)) => Ok(value),
        _ => Err(Misfit::Kind),
    }
}

/// Reads one of the words of a [`Kind::Choice`], converted by `choose`.
pub(super) fn choice<T>(choose: impl FnOnce(&str) -> Option<T>) -> impl FnOnce(&Node, Kind) -> Result<T, Misfit> {
    |node, kind| match (scalar(node)?, kind) {
        ((text, ScalarKind::Text), Kind::Choice(words)) if words.contains(&text) => choose(text).ok_or(Misfit::Kind),
        _ => Err(Misfit::Kind),
    }
}

/// Like [`choice`], with the value of each word.
pub(super) fn choice_of<T: Copy>(values: &[(&str, T)]) -> impl FnOnce(&Node, Kind) -> Result<T, Misfit> {
    choice(move |word| values.iter().find(|(name, _)| *name == word).map(|(_, value)| *value))
}

/// Reads a whole number within the limits of the field.
pub(super) fn count(node: &Node, kind: Kind) -> Result<u64, Misfit> {
    let number = whole_number(node)?;
    match kind {
        Kind::Count { least, most } if (least..=most).contains(&number) => Ok(number),
        _ => Err(Misfit::Kind),
    }
}

/// Reads a port.
pub(super) fn port(node: &Node, _: Kind) -> Result<u16, Misfit> {
    u16::try_from(whole_number(node)?).map_err(|_| Misfit::Kind)
}

fn whole_number(node: &Node) -> Result<u64, Misfit> {
    match scalar(node)? {
        (text, ScalarKind::Number) => digits(text).ok_or(Misfit::Kind),
        _ => Err(Misfit::Kind),
    }
}

/// Parses decimal digits. A leading zero is octal in YAML 1.1, so it is rejected, as is a sign.
fn digits(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

/// Reads a number of bytes within the limits of the field.
pub(super) fn size(node: &Node, kind: Kind) -> Result<usize, Misfit> {
    let (text, scalar_kind) = scalar(node)?;
    let bytes = match scalar_kind {
        ScalarKind::Number | ScalarKind::Text => bytes_of(text).ok_or(Misfit::Kind)?,
        ScalarKind::Bool(_) | ScalarKind::Null => return Err(Misfit::Kind),
    };
    match kind {
        Kind::Size { least, most } if (least..=most).contains(&bytes) => {
            usize::try_from(bytes).map_err(|_| Misfit::Kind)
        }
        _ => Err(Misfit::Kind),
    }
}

fn bytes_of(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split)?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    if number.is_empty() { None } else { digits(number)?.checked_mul(factor) }
}

/// Reads a duration within the limits of the field.
pub(super) fn duration(node: &Node, kind: Kind) -> Result<Duration, Misfit> {
    let (text, _) = scalar(node)?;
    let duration = parse_duration(text).ok_or(Misfit::Kind)?;
    match kind {
        Kind::Duration { least_in_ms } if duration >= Duration::from_millis(least_in_ms) => Ok(duration),
        _ => Err(Misfit::Kind),
    }
}

/// Reads a path that is not empty.
pub(super) fn path(node: &Node, kind: Kind) -> Result<PathBuf, Misfit> {
    words(node, kind).map(PathBuf::from)
}

/// Reads a list of text, or one text. The list is not empty and has no duplicates.
pub(super) fn texts(node: &Node, kind: Kind) -> Result<Vec<String>, Misfit> {
    texts_quoted(node, kind, Quoting::Shown)
}

/// As [`texts`], for values that are or could be secrets.
pub(super) fn hidden_texts(node: &Node, kind: Kind) -> Result<Vec<String>, Misfit> {
    texts_quoted(node, kind, Quoting::Hidden)
}

fn texts_quoted(node: &Node, kind: Kind, quoting: Quoting) -> Result<Vec<String>, Misfit> {
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut texts: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        let text = match words(item, kind) {
            Ok(text) => text,
            Err(Misfit::Found(found)) => return Err(Misfit::Found(found)),
            Err(Misfit::Kind) => {
                let description = item.description(quoting);
                let is_list = matches!(node.value, Value::List(_));
                return Err(Misfit::Found(if is_list { format!("{description} in the list") } else { description }));
            }
        };
        if texts.contains(&text) {
            return Err(Misfit::Found("a duplicate; remove it".into()));
        }
        texts.push(text);
    }
    if texts.is_empty() { Err(Misfit::Kind) } else { Ok(texts) }
}

/// Reads a mapping of texts, converted by `take`. It is not empty, and no two keys are converted to equal ones.
pub(super) fn text_map<K: PartialEq, V>(
    take: impl Fn(&str, &str) -> Option<(K, V)>,
) -> impl FnOnce(&Node, Kind) -> Result<Vec<(K, V)>, Misfit> {
    move |node, kind| {
        let Value::Map(entries) = &node.value else { return Err(Misfit::Kind) };
        let mut pairs: Vec<(K, V)> = Vec::with_capacity(entries.len());
        for entry in entries {
            let invalid = || Misfit::Found(format!("another value at `{}`", entry.key));
            let value = text(&entry.value, kind).map_err(|_| invalid())?;
            let (key, value) = take(&entry.key, &value).ok_or_else(invalid)?;
            if pairs.iter().any(|(other, _)| *other == key) {
                return Err(Misfit::Found(format!("`{}` a second time", entry.key)));
            }
            pairs.push((key, value));
        }
        if pairs.is_empty() { Err(Misfit::Kind) } else { Ok(pairs) }
    }
}

/// Returns `true` if a text contains control characters.
pub(super) fn has_control_characters(text: &str) -> bool {
    text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_have_a_binary_unit() {
        for (text, bytes) in [("0", Some(0)), ("64KiB", Some(65_536)), ("1MiB", Some(1 << 20)), ("12B", Some(12))] {
            assert_eq!(bytes_of(text), bytes, "{text}");
        }
        for wrong in ["", "KiB", "1kb", "1 KiB", "-1", "+1", "010", "1.5MiB", "99999999999999GiB", "1é"] {
            assert_eq!(bytes_of(wrong), None, "{wrong}");
        }
    }
}
