//! Values while a template is rendered: borrowed from the session, or small results of helpers.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::json::{Json, Number};
use crate::templates::LostMember;

/// A value. Cloning one never copies what the session holds.
#[derive(Clone, Debug)]
pub(super) enum Value<'r> {
    Bool(bool),
    /// Something of the session, or a literal of the template.
    Json(&'r Json<'r>),
    List(Rc<Vec<Value<'r>>>),
    Map(Rc<Vec<(Text<'r>, Value<'r>)>>),
    /// A path that leads nowhere, and why.
    Missing(Absence),
    Number(Number<'r>),
    /// The whole session: names its members, but is no value.
    Root,
    Text(Text<'r>),
}

/// Why something is missing.
#[derive(Clone, Debug)]
pub(super) struct Absence(Rc<(String, Option<LostMember>)>);

impl Absence {
    pub(super) fn new(why: String, lost: Option<LostMember>) -> Self {
        Self(Rc::new((why, lost)))
    }

    pub(super) fn why(&self) -> &str {
        &self.0.0
    }

    /// The path that leads nowhere, if it starts at the top of the session.
    pub(super) fn lost(&self) -> Option<&LostMember> {
        self.0.1.as_ref()
    }
}

impl From<String> for Absence {
    fn from(why: String) -> Self {
        Self::new(why, None)
    }
}

impl From<&str> for Absence {
    fn from(why: &str) -> Self {
        why.to_owned().into()
    }
}

/// A text, borrowed or shared.
#[derive(Clone, Debug)]
pub(super) enum Text<'r> {
    Borrowed(&'r str),
    Shared(Rc<str>),
}

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl<'r> From<String> for Value<'r> {
    fn from(text: String) -> Self {
        Value::Text(Text::Shared(text.into()))
    }
}

/// What a value is, whoever holds it.
pub(super) enum Shape<'v, 'r> {
    Array(Elements<'v, 'r>),
    Bool(bool),
    Missing,
    Null,
    Number(&'v Number<'r>),
    Object(Members<'v, 'r>),
    Text(&'v str),
}

/// The elements of an array.
#[derive(Clone, Copy)]
pub(super) enum Elements<'v, 'r> {
    Json(&'r [Json<'r>]),
    List(&'v [Value<'r>]),
}

/// The members of an object.
#[derive(Clone, Copy)]
pub(super) enum Members<'v, 'r> {
    Json(&'r crate::json::Object<'r>),
    Map(&'v [(Text<'r>, Value<'r>)]),
}

impl<'r> Elements<'_, 'r> {
    pub(super) fn len(&self) -> usize {
        match self {
            Elements::Json(elements) => elements.len(),
            Elements::List(elements) => elements.len(),
        }
    }

    pub(super) fn at(&self, index: usize) -> Option<Value<'r>> {
        match self {
            Elements::Json(elements) => elements.get(index).map(Value::Json),
            Elements::List(elements) => elements.get(index).cloned(),
        }
    }

    pub(super) fn to_vec(self) -> Vec<Value<'r>> {
        match self {
            Elements::Json(elements) => elements.iter().map(Value::Json).collect(),
            Elements::List(elements) => elements.to_vec(),
        }
    }
}

impl<'r> Members<'_, 'r> {
    pub(super) fn len(&self) -> usize {
        match self {
            Members::Json(object) => object.len(),
            Members::Map(members) => members.len(),
        }
    }

    pub(super) fn member(&self, name: &str) -> Option<Value<'r>> {
        match self {
            Members::Json(object) => object.member(name).map(Value::Json),
            Members::Map(members) => {
                members.iter().find(|(known, _)| known.as_str() == name).map(|(_, value)| value.clone())
            }
        }
    }

    pub(super) fn to_vec(self) -> Vec<(Text<'r>, Value<'r>)> {
        match self {
            Members::Json(object) => {
                object.iter().map(|(name, value)| (Text::Borrowed(name), Value::Json(value))).collect()
            }
            Members::Map(members) => members.to_vec(),
        }
    }
}

impl<'r> Value<'r> {
    pub(super) fn list(elements: Vec<Value<'r>>) -> Self {
        Value::List(Rc::new(elements))
    }

    pub(super) fn map(members: Vec<(Text<'r>, Value<'r>)>) -> Self {
        Value::Map(Rc::new(members))
    }

    pub(super) fn shape(&self) -> Shape<'_, 'r> {
        match self {
            Value::Bool(value) => Shape::Bool(*value),
            Value::Json(json) => match json {
                Json::Null => Shape::Null,
                Json::Bool(value) => Shape::Bool(*value),
                Json::Number(number) => Shape::Number(number),
                Json::String(text) => Shape::Text(text),
                Json::Array(elements) => Shape::Array(Elements::Json(elements)),
                Json::Object(object) => Shape::Object(Members::Json(object)),
            },
            Value::List(elements) => Shape::Array(Elements::List(elements)),
            Value::Map(members) => Shape::Object(Members::Map(members)),
            Value::Missing(_) => Shape::Missing,
            Value::Number(number) => Shape::Number(number),
            Value::Root => Shape::Missing,
            Value::Text(text) => Shape::Text(text.as_str()),
        }
    }

    /// The kind with its article, as an error may say it.
    pub(super) fn kind(&self) -> &'static str {
        if matches!(self, Value::Root) {
            return "the whole session";
        }
        match self.shape() {
            Shape::Array(_) => "an array",
            Shape::Bool(_) => "a boolean",
            Shape::Missing => "nothing",
            Shape::Null => "null",
            Shape::Number(_) => "a number",
            Shape::Object(_) => "an object",
            Shape::Text(_) => "a string",
        }
    }

    /// Missing or null.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self.shape(), Shape::Missing | Shape::Null) && !matches!(self, Value::Root)
    }

    /// Whether a test on this holds: false for what is missing, `null`, `false`, any zero, and an empty string, array
    /// or object.
    pub(super) fn is_truthy(&self) -> bool {
        if matches!(self, Value::Root) {
            return true;
        }
        match self.shape() {
            Shape::Missing | Shape::Null => false,
            Shape::Bool(value) => value,
            Shape::Number(number) => !Decimal::of(number).is_zero(),
            Shape::Text(text) => !text.is_empty(),
            Shape::Array(elements) => elements.len() > 0,
            Shape::Object(members) => members.len() > 0,
        }
    }
}

/// A number by its digits: every JSON number compares exactly, however it is written.
///
/// The value is `0.digits * 10^scale`; digits have no zero at either end, and zero has none at all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    digits: String,
    scale: i64,
}

impl Decimal {
    pub(super) fn of(number: &Number<'_>) -> Self {
        let token = number.token();
        let (negative, unsigned) = token.strip_prefix('-').map_or((false, token), |rest| (true, rest));
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        // An exponent beyond i64 belongs to a number that is zero for every reader; the sign is what is left to keep.
        let exponent =
            exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 });
        let exponent = exponent.clamp(i64::MIN / 4, i64::MAX / 4);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let trimmed = all.trim_start_matches('0');
        let leading = all.len() - trimmed.len();
        let digits = trimmed.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Self { negative: false, digits, scale: 0 };
        }
        let whole_len = i64::try_from(whole.len()).unwrap_or(0) - i64::try_from(leading).unwrap_or(0);
        Self { negative, digits, scale: whole_len.saturating_add(exponent) }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// The whole number without exponent or fraction, if this is one of at most 40 digits.
    pub(super) fn whole(&self) -> Option<String> {
        if self.is_zero() {
            return Some("0".to_owned());
        }
        let scale = usize::try_from(self.scale).ok().filter(|scale| *scale <= 40)?;
        if self.digits.len() > scale {
            return None;
        }
        let zeros = scale - self.digits.len();
        Some(format!("{}{}{}", if self.negative { "-" } else { "" }, self.digits, "0".repeat(zeros)))
    }

    /// A text that equal numbers share.
    pub(super) fn key(&self) -> String {
        format!("{}{}e{}", if self.negative { "-" } else { "" }, self.digits, self.scale)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let magnitude = |left: &Self, right: &Self| {
            match (left.is_zero(), right.is_zero()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                // Digits without trailing zeros compare like fractions: byte by byte.
                (false, false) => left.scale.cmp(&right.scale).then_with(|| left.digits.cmp(&right.digits)),
            }
        };
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => magnitude(self, other),
            (true, true) => magnitude(other, self),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
