//! Values as Go's reflection sees them, as far as a claims template can meet them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::dates::{Time, Zone};
use super::text::{Origin, Text};
use super::urls::{Url, User};
use super::versions::Version;
use crate::json::Json;

/// One value. Cheap to copy.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// No value at all: what a pipeline gives for nil.
    Invalid,
    /// A nil that stands in an `interface{}`: what a map gives for a missing key.
    NilInterface,
    Bool(bool),
    Int(IntType, i64),
    Uint(UintType, u64),
    Float(f64),
    Complex(f64, f64),
    String(Rc<Text>),
    List(Rc<List>),
    Map(Rc<Map>),
    Time(Time),
    /// `*url.URL`
    Url(Option<Rc<Url>>),
    /// `*url.Userinfo`
    UserInfo(Option<Rc<User>>),
    /// `*semver.Version`
    Version(Rc<Version>),
    /// `semver.Version`
    PlainVersion(Rc<Version>),
    /// `*time.Location`
    Location(Zone),
    /// The session itself.
    Session,
    /// Its `MatchContext`.
    MatchContext,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntType {
    Int,
    Int64,
    Duration,
    Month,
    Weekday,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UintType {
    Uint8,
    Uint64,
}

/// The element type of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Any,
    Byte,
    Int,
    String,
    /// `[]interface{}`
    Lists,
}

#[derive(Debug)]
pub(super) struct List {
    pub(super) element: Element,
    pub(super) is_nil: bool,
    items: RefCell<Rc<Vec<Value>>>,
}

/// The type of a map; its keys are always strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapType {
    /// `map[string]interface{}`
    Any,
    /// `http.Header`
    Header,
    /// `map[string]string`
    Strings,
    /// `url.Values`
    Values,
}

#[derive(Debug)]
pub(super) struct Map {
    pub(super) kind: MapType,
    pub(super) is_nil: bool,
    pub(super) entries: RefCell<BTreeMap<Vec<u8>, Value>>,
    /// Where the keys come from; `None` if nothing is known yet.
    keys: Cell<Option<Origin>>,
}

impl Map {
    pub(super) fn new(kind: MapType, is_nil: bool, entries: BTreeMap<Vec<u8>, Value>) -> Self {
        Self { kind, is_nil, entries: RefCell::new(entries), keys: Cell::new(None) }
    }

    /// `key` as text.
    pub(super) fn key(&self, key: &[u8]) -> Text {
        Text::new(key, self.keys.get().unwrap_or(Origin::Data))
    }

    /// Notes that a key comes from `origin`.
    pub(super) fn add_key_origin(&self, origin: Origin) {
        self.keys.set(Some(self.keys.get().map_or(origin, |known| known.and(origin))));
    }

    /// Notes that keys come from another map.
    pub(super) fn add_key_origins(&self, other: &Map) {
        if !other.entries.borrow().is_empty() {
            self.add_key_origin(other.keys.get().unwrap_or(Origin::Data));
        }
    }
}

impl Value {
    pub(super) fn int(value: i64) -> Self {
        Value::Int(IntType::Int, value)
    }

    pub(super) fn int64(value: i64) -> Self {
        Value::Int(IntType::Int64, value)
    }

    pub(super) fn text(text: Text) -> Self {
        Value::String(Rc::new(text))
    }

    /// Text that a session holds, or that is made from it.
    pub(super) fn data(text: impl Into<Vec<u8>>) -> Self {
        Value::text(Text::new(text, Origin::Data))
    }

    pub(super) fn list(element: Element, items: Vec<Value>) -> Self {
        Value::List(Rc::new(List::new(element, false, items)))
    }

    pub(super) fn nil_list(element: Element) -> Self {
        Value::List(Rc::new(List::new(element, true, Vec::new())))
    }

    pub(super) fn any_list(items: Vec<Value>) -> Self {
        Value::list(Element::Any, items.into_iter().map(Value::boxed).collect())
    }

    pub(super) fn strings(items: impl IntoIterator<Item = Text>) -> Self {
        Value::list(Element::String, items.into_iter().map(Value::text).collect())
    }

    /// `[]byte`
    pub(super) fn bytes(bytes: &[u8]) -> Self {
        let items = bytes.iter().map(|byte| Value::Uint(UintType::Uint8, u64::from(*byte)));
        Value::list(Element::Byte, items.collect())
    }

    pub(super) fn map(kind: MapType, entries: BTreeMap<Vec<u8>, Value>) -> Self {
        Value::Map(Rc::new(Map::new(kind, false, entries)))
    }

    pub(super) fn any_map(entries: BTreeMap<Vec<u8>, Value>) -> Self {
        Value::map(MapType::Any, entries)
    }

    pub(super) fn nil_map(kind: MapType) -> Self {
        Value::Map(Rc::new(Map::new(kind, true, BTreeMap::new())))
    }

    /// What Go's decoder makes of `json`: every number a float64, every object a map. Texts have `origin`.
    pub(super) fn from_json(json: &Json<'_>, origin: Origin) -> Self {
        match json {
            Json::Null => Value::NilInterface,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Float(number.as_f64()),
            Json::String(text) => Value::text(Text::new(text.as_bytes(), origin)),
            Json::Array(elements) => {
                Value::list(Element::Any, elements.iter().map(|element| Value::from_json(element, origin)).collect())
            }
            Json::Object(object) => {
                let entries = object
                    .iter()
                    .map(|(name, value)| (name.as_bytes().to_vec(), Value::from_json(value, origin)))
                    .collect();
                let map = Map::new(MapType::Any, false, entries);
                map.add_key_origin(origin);
                Value::Map(Rc::new(map))
            }
        }
    }

    /// The value inside an `interface{}`.
    pub(super) fn unboxed(self) -> Self {
        match self {
            Value::NilInterface => Value::Invalid,
            other => other,
        }
    }

    /// The value put into an `interface{}`.
    pub(super) fn boxed(self) -> Self {
        match self {
            Value::Invalid => Value::NilInterface,
            other => other,
        }
    }

    pub(super) fn is_nil(&self) -> bool {
        matches!(self, Value::Invalid | Value::NilInterface)
    }

    /// What `if` makes of it.
    pub(super) fn truth(&self) -> bool {
        match self {
            Value::Invalid | Value::NilInterface => false,
            Value::Bool(value) => *value,
            Value::Int(_, value) => *value != 0,
            Value::Uint(_, value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Complex(real, imaginary) => *real != 0.0 || *imaginary != 0.0,
            Value::String(text) => !text.is_empty(),
            Value::List(list) => !list.items().is_empty(),
            Value::Map(map) => !map.entries.borrow().is_empty(),
            Value::Url(url) => url.is_some(),
            Value::UserInfo(user) => user.is_some(),
            Value::Time(_)
            | Value::Version(_)
            | Value::PlainVersion(_)
            | Value::Location(_)
            | Value::Session
            | Value::MatchContext => true,
        }
    }

    /// The name of its type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Invalid => "nil",
            Value::NilInterface => "interface {}",
            Value::Bool(_) => "bool",
            Value::Int(IntType::Int, _) => "int",
            Value::Int(IntType::Int64, _) => "int64",
            Value::Int(IntType::Duration, _) => "time.Duration",
            Value::Int(IntType::Month, _) => "time.Month",
            Value::Int(IntType::Weekday, _) => "time.Weekday",
            Value::Uint(UintType::Uint8, _) => "uint8",
            Value::Uint(UintType::Uint64, _) => "uint64",
            Value::Float(_) => "float64",
            Value::Complex(..) => "complex128",
            Value::String(_) => "string",
            Value::List(list) => match list.element {
                Element::Any => "[]interface {}",
                Element::Byte => "[]uint8",
                Element::Int => "[]int",
                Element::String => "[]string",
                Element::Lists => "[][]interface {}",
            },
            Value::Map(map) => match map.kind {
                MapType::Any => "map[string]interface {}",
                MapType::Header => "http.Header",
                MapType::Strings => "map[string]string",
                MapType::Values => "url.Values",
            },
            Value::Time(_) => "time.Time",
            Value::Url(_) => "*url.URL",
            Value::UserInfo(_) => "*url.Userinfo",
            Value::Version(_) => "*semver.Version",
            Value::PlainVersion(_) => "semver.Version",
            Value::Location(_) => "*time.Location",
            Value::Session => "*authn.AuthenticationSession",
            Value::MatchContext => "authn.MatchContext",
        }
    }

    /// The name of its kind.
    pub(super) fn kind_name(&self) -> &'static str {
        match self {
            Value::Invalid | Value::NilInterface => "invalid",
            Value::Int(IntType::Duration, _) => "int64",
            Value::Int(IntType::Month | IntType::Weekday, _) => "int",
            Value::List(_) => "slice",
            Value::Map(_) => "map",
            Value::Time(_) | Value::PlainVersion(_) | Value::MatchContext => "struct",
            Value::Url(_) | Value::UserInfo(_) | Value::Version(_) | Value::Location(_) | Value::Session => "ptr",
            other => other.type_name(),
        }
    }
}

impl List {
    pub(super) fn new(element: Element, is_nil: bool, items: Vec<Value>) -> Self {
        Self { element, is_nil, items: RefCell::new(Rc::new(items)) }
    }

    pub(super) fn items(&self) -> Rc<Vec<Value>> {
        Rc::clone(&self.items.borrow())
    }

    /// Takes the items in another order, which everyone sees who has the list.
    pub(super) fn reorder(&self, items: Vec<Value>) {
        self.items.replace(Rc::new(items));
    }

    fn take(&mut self) -> Vec<Value> {
        Rc::try_unwrap(std::mem::take(self.items.get_mut())).unwrap_or_default()
    }

    /// The content of a `[]byte`.
    pub(super) fn as_bytes(&self) -> Option<Vec<u8>> {
        let byte = |item: &Value| match item {
            Value::Uint(_, byte) => u8::try_from(*byte).ok(),
            _ => None,
        };
        if self.element == Element::Byte { self.items().iter().map(byte).collect() } else { None }
    }
}

impl Drop for List {
    fn drop(&mut self) {
        release(self.take());
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        release(std::mem::take(self.entries.get_mut()).into_values().collect());
    }
}

/// Drops values one after the other, however deep they stand inside each other, so that no template can exhaust the
/// stack.
fn release(mut waiting: Vec<Value>) {
    while let Some(value) = waiting.pop() {
        match value {
            Value::List(list) => {
                if let Ok(mut list) = Rc::try_unwrap(list) {
                    waiting.append(&mut list.take());
                }
            }
            Value::Map(map) => {
                if let Ok(mut map) = Rc::try_unwrap(map) {
                    waiting.extend(std::mem::take(map.entries.get_mut()).into_values());
                }
            }
            _ => {}
        }
    }
}
