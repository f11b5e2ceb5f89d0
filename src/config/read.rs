//! The tree of a configuration becomes typed values; whatever does not fit becomes a fault, and reading goes on.

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
    /// `None` where there is no mapping: each key then has its default.
    node: Option<&'n Node>,
    section: &'static Section,
    /// Whether something that is no mapping stands here. Its keys are then not missed one by one.
    is_broken: bool,
}

/// Why a value does not fit.
pub(super) enum Misfit {
    /// It is not what the field's kind asks for.
    Kind,
    /// As `Kind`; these words say what was found, and quote nothing that is secret.
    Found(String),
}

impl<'n> Mapping<'n> {
    /// Takes `node` as a mapping of the keys of `section`; other keys are faults. What it lacks is missed at `place`.
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
                        let (path, expected) = match nearest(&entry.key, section.names()) {
                            Some(name) => (joined(&path, &entry.key), format!("a known key (did you mean `{name}`?)")),
                            None => {
                                // A secret that stands where a mapping should looks like a key: `{ token }`.
                                let path = if section.is_secret { path.clone() } else { joined(&path, &entry.key) };
                                (path, format!("one of the keys {}", section.names().collect::<Vec<_>>().join(", ")))
                            }
                        };
                        faults.add(path, expected, "an unknown one", &entry.place);
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

    /// The mapping under the key `name`.
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

    /// What is written under the key `name`.
    pub(super) fn given(&self, name: &str) -> Option<&'n Node> {
        self.node.and_then(|node| node.entry(name)).map(|entry| &entry.value)
    }

    /// Where the key `name` is written, or else where it is missed.
    pub(super) fn place_of(&self, name: &str) -> Place {
        self.given(name).map_or(&self.place, |node| &node.place).clone()
    }

    /// The path of the key `name`.
    pub(super) fn path_of(&self, name: &str) -> String {
        joined(&self.path, name)
    }

    /// The value of `name` or its default, as `read` takes it; `None` where there is neither, or a fault was added.
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
            Err(Misfit::Kind) => node.description(quoting_of(self.section)),
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

    /// Holds the mapping against its rule that exactly one of some keys stands in it.
    pub(super) fn require_one_of(&self, faults: &mut Faults) {
        let names = self.section.one_of;
        let given: Vec<&str> = names.iter().copied().filter(|name| self.given(name).is_some()).collect();
        if given.len() == 1 || self.is_broken {
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

/// Whether errors about a section may show its values.
pub(super) fn quoting_of(section: &Section) -> Quoting {
    if section.is_secret { Quoting::Hidden } else { Quoting::Shown }
}

fn scalar(node: &Node) -> Result<(&str, ScalarKind), Misfit> {
    match &node.value {
        Value::Scalar { text, is_plain } => Ok((text, scalar_kind(text, *is_plain))),
        _ => Err(Misfit::Kind),
    }
}

/// Text, as it is written.
pub(super) fn text(node: &Node, _: Kind) -> Result<String, Misfit> {
    match scalar(node)? {
        (text, ScalarKind::Text) => Ok(text.to_owned()),
        (_, ScalarKind::Null) => Err(Misfit::Kind),
        (_, ScalarKind::Bool(_)) => Err(Misfit::Found("a boolean, which is text only in quotes".into())),
        (_, ScalarKind::Number) => Err(Misfit::Found("a number, which is text only in quotes".into())),
    }
}

/// Text that `take` takes.
pub(super) fn text_as<T>(take: impl FnOnce(&str) -> Option<T>) -> impl FnOnce(&Node, Kind) -> Result<T, Misfit> {
    |node, kind| take(&text(node, kind)?).ok_or(Misfit::Kind)
}

/// Text that is not empty and holds no control characters.
pub(super) fn words(node: &Node, kind: Kind) -> Result<String, Misfit> {
    let text = text(node, kind)?;
    if has_control_characters(&text) {
        return Err(Misfit::Found("control characters".into()));
    }
    if text.is_empty() { Err(Misfit::Kind) } else { Ok(text) }
}

/// `true` or `false`.
pub(super) fn boolean(node: &Node, _: Kind) -> Result<bool, Misfit> {
    match scalar(node)? {
        (_, ScalarKind::Bool(value)) => Ok(value),
        _ => Err(Misfit::Kind),
    }
}

/// One of the words of a [`Kind::Choice`], taken by `choose`.
pub(super) fn choice<T>(choose: impl FnOnce(&str) -> Option<T>) -> impl FnOnce(&Node, Kind) -> Result<T, Misfit> {
    |node, kind| match (scalar(node)?, kind) {
        ((text, ScalarKind::Text), Kind::Choice(words)) if words.contains(&text) => choose(text).ok_or(Misfit::Kind),
        _ => Err(Misfit::Kind),
    }
}

/// A whole number within the field's bounds.
pub(super) fn count(node: &Node, kind: Kind) -> Result<u64, Misfit> {
    let number = whole_number(node)?;
    match kind {
        Kind::Count { least, most } if (least..=most).contains(&number) => Ok(number),
        _ => Err(Misfit::Kind),
    }
}

/// A port.
pub(super) fn port(node: &Node, _: Kind) -> Result<u16, Misfit> {
    u16::try_from(whole_number(node)?).map_err(|_| Misfit::Kind)
}

fn whole_number(node: &Node) -> Result<u64, Misfit> {
    match scalar(node)? {
        (text, ScalarKind::Number) => digits(text).ok_or(Misfit::Kind),
        _ => Err(Misfit::Kind),
    }
}

/// Decimal digits only: what YAML 1.1 readers take as octal, or Rust's sign, is left out.
fn digits(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

/// A number of bytes within the field's bounds.
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

/// A duration within the field's bounds.
pub(super) fn duration(node: &Node, kind: Kind) -> Result<Duration, Misfit> {
    let (text, _) = scalar(node)?;
    let duration = parse_duration(text).ok_or(Misfit::Kind)?;
    match kind {
        Kind::Duration { least_in_ms } if duration >= Duration::from_millis(least_in_ms) => Ok(duration),
        _ => Err(Misfit::Kind),
    }
}

/// A path that is not empty.
pub(super) fn path(node: &Node, kind: Kind) -> Result<PathBuf, Misfit> {
    words(node, kind).map(PathBuf::from)
}

/// A list of text, or one text; never empty, no text twice.
pub(super) fn texts(node: &Node, kind: Kind) -> Result<Vec<String>, Misfit> {
    texts_quoted(node, kind, Quoting::Shown)
}

/// As [`texts`], of secrets or what may be taken for one.
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
            return Err(Misfit::Found("the same text twice".into()));
        }
        texts.push(text);
    }
    if texts.is_empty() { Err(Misfit::Kind) } else { Ok(texts) }
}

/// Whether a text holds what no line of text does.
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
