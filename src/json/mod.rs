//! JSON text as exact data (RFC 8259).
//!
//! The reader and the writer are our own because no library has all that sessions need: exact number tokens, duplicate
//! names rejected at every depth, also in skipped values, and the span of each value, so that a token can be spliced
//! into the original text.
//!
//! Sessions and claims pass through claimsmith without a loss. A number keeps its token (`12345678901234567890`, `2.0`,
//! `1e21`), members keep their order, and strings without escapes borrow from the input. Text that a verifier could
//! read differently is rejected: duplicate member names, lone surrogates, bytes that are not UTF-8, numbers beyond
//! float64, text after the value.
//!
//! Errors never quote the text. They give the expected and the found kind of value, and the position.
//!
//! ```
//! use claimsmith::json::{Json, ReadLimits};
//!
//! let value = Json::parse(br#"{"age": 12345678901234567890}"#, ReadLimits::default()).unwrap();
//! assert_eq!(value.member("age").unwrap().to_string(), "12345678901234567890");
//! ```

mod path;
mod read;
mod skip;
mod write;

pub use path::MemberPath;
pub(crate) use read::Reader;
pub use read::{JsonError, JsonFault, ReadLimits};
pub use write::{write_escaped, write_string};

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// One JSON value. It borrows from its text if possible.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as its token.
    Number(Number<'a>),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object: members in document order, names unique.
    Object(Object<'a>),
}

/// The members of an object in document order. No name occurs twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<'a> {
    members: Vec<(Cow<'a, str>, Json<'a>)>,
}

/// A number as its JSON token, so that no digit is lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Number<'a>(Cow<'a, str>);

impl<'a> Json<'a> {
    /// Parses `text` as exactly one JSON value.
    ///
    /// # Errors
    /// Returns the first violation of RFC 8259 or of the rules of this module.
    pub fn parse(text: &'a [u8], limits: ReadLimits) -> Result<Self, JsonError> {
        let mut reader = Reader::new(text, limits)?;
        let value = reader.value(0)?;
        reader.finish()?;
        Ok(value)
    }

    /// Returns the member `name`; `None` if there is none or this is not an object.
    pub fn member(&self, name: &str) -> Option<&Json<'a>> {
        match self {
            Json::Object(object) => object.member(name),
            _ => None,
        }
    }

    /// Returns the element at `index`; `None` if there is none or this is not an array.
    pub fn element(&self, index: usize) -> Option<&Json<'a>> {
        match self {
            Json::Array(elements) => elements.get(index),
            _ => None,
        }
    }

    /// Returns the text of a string; `None` if this is not a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the name of the JSON type with its article, for errors.
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::String(_) => "a string",
            Json::Array(_) => "an array",
            Json::Object(_) => "an object",
        }
    }

    /// Returns a copy that owns its strings, so that it can outlive its text.
    pub fn into_owned(self) -> Json<'static> {
        match self {
            Json::Null => Json::Null,
            Json::Bool(value) => Json::Bool(value),
            Json::Number(number) => Json::Number(Number(Cow::Owned(number.0.into_owned()))),
            Json::String(text) => Json::String(Cow::Owned(text.into_owned())),
            Json::Array(elements) => Json::Array(elements.into_iter().map(Json::into_owned).collect()),
            Json::Object(object) => Json::Object(Object {
                members: object
                    .members
                    .into_iter()
                    .map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned()))
                    .collect(),
            }),
        }
    }

    /// Returns `true` if two values are equivalent. Member order does not matter; `numbers` selects the comparison of
    /// numbers.
    pub fn is_equivalent(&self, other: &Json<'_>, numbers: NumberComparison) -> bool {
        match (self, other) {
            (Json::Null, Json::Null) => true,
            (Json::Bool(left), Json::Bool(right)) => left == right,
            (Json::Number(left), Json::Number(right)) => left.is_equivalent(right, numbers),
            (Json::String(left), Json::String(right)) => left == right,
            (Json::Array(left), Json::Array(right)) => {
                left.len() == right.len()
                    && left.iter().zip(right).all(|(left, right)| left.is_equivalent(right, numbers))
            }
            (Json::Object(left), Json::Object(right)) => {
                left.len() == right.len()
                    && left.iter().all(|(name, value)| {
                        right.member(name).is_some_and(|other| value.is_equivalent(other, numbers))
                    })
            }
            _ => false,
        }
    }
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}

/// How [`Json::is_equivalent`] compares numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberComparison {
    /// As float64, like Go decodes them.
    AsFloat64,
    /// Whole numbers digit by digit, others as float64. `2` equals `2.0`, but two large adjacent numbers differ.
    Exact,
}

impl<'a> Object<'a> {
    /// Returns an object of `members`, whose names must be distinct.
    pub(crate) fn of_distinct(members: Vec<(Cow<'a, str>, Json<'a>)>) -> Self {
        Self { members }
    }

    /// Returns the member `name`.
    pub fn member(&self, name: &str) -> Option<&Json<'a>> {
        self.members.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value)
    }

    /// Sets the member `name`. An existing member keeps its position.
    pub fn set(&mut self, name: Cow<'a, str>, value: Json<'a>) {
        match self.members.iter_mut().find(|(candidate, _)| *candidate == name) {
            Some((_, old)) => *old = value,
            None => self.members.push((name, value)),
        }
    }

    /// Removes the member `name` and returns its value.
    pub fn remove(&mut self, name: &str) -> Option<Json<'a>> {
        let index = self.members.iter().position(|(candidate, _)| candidate == name)?;
        Some(self.members.remove(index).1)
    }

    /// Returns the members in document order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Json<'a>)> + DoubleEndedIterator {
        self.members.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// Returns the number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns `true` if there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl<'a> IntoIterator for Object<'a> {
    type Item = (Cow<'a, str>, Json<'a>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.members.into_iter()
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Json<'a>)> for Object<'a> {
    /// Collects members. A repeated name keeps its first position and its last value.
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Json<'a>)>>(members: I) -> Self {
        let mut index_of = HashMap::new();
        let mut kept: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
        for (name, value) in members {
            match index_of.get(&name) {
                Some(&index) => {
                    let slot: &mut (Cow<'a, str>, Json<'a>) = &mut kept[index];
                    slot.1 = value;
                }
                None => {
                    index_of.insert(name.clone(), kept.len());
                    kept.push((name, value));
                }
            }
        }
        Object { members: kept }
    }
}

impl<'a> Number<'a> {
    /// Parses `token` as a number and keeps its text.
    ///
    /// # Errors
    /// Returns [`JsonFault::Number`] if it is not exactly one JSON number, [`JsonFault::NumberRange`] if float64
    /// overflows.
    pub fn parse(token: impl Into<Cow<'a, str>>) -> Result<Self, JsonFault> {
        let token = token.into();
        match number_length(token.as_bytes()) {
            Some(length) if length == token.len() => {}
            _ => return Err(JsonFault::Number),
        }
        if is_beyond_float64(&token) {
            return Err(JsonFault::NumberRange);
        }
        Ok(Self(token))
    }

    /// Returns the text of the number.
    pub fn token(&self) -> &str {
        &self.0
    }

    /// Returns the nearest float64. It is finite, because numbers beyond its range are rejected when they are read.
    pub fn as_f64(&self) -> f64 {
        self.0.parse().unwrap_or(0.0)
    }

    /// Returns the value if it is a whole number within i64. `2`, `2.0` and `20e-1` are all `2`.
    pub fn as_i64(&self) -> Option<i64> {
        let (negative, digits) = self.whole_digits()?;
        let magnitude: i128 = digits.parse().ok()?;
        i64::try_from(if negative { -magnitude } else { magnitude }).ok()
    }

    fn is_equivalent(&self, other: &Number<'_>, numbers: NumberComparison) -> bool {
        if numbers == NumberComparison::Exact
            && let (Some(left), Some(right)) = (self.whole_digits(), other.whole_digits())
        {
            return left == right;
        }
        self.as_f64() == other.as_f64()
    }

    /// Returns the sign and the digits without leading zeros, if this is a whole number of at most 40 digits. Zero has
    /// no sign.
    fn whole_digits(&self) -> Option<(bool, String)> {
        let (negative, unsigned) = match self.0.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, self.0.as_ref()),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let fraction = fraction.trim_end_matches('0');
        let mut digits = format!("{whole}{fraction}");
        let shift = i64::from(exponent) - i64::try_from(fraction.len()).ok()?;
        if shift >= 0 {
            if digits.len() as i64 + shift > 40 {
                return None;
            }
            digits.extend(std::iter::repeat_n('0', usize::try_from(shift).ok()?));
        } else {
            let cut = usize::try_from(-shift).ok()?;
            let kept = digits.len().checked_sub(cut)?;
            if digits[kept..].bytes().any(|digit| digit != b'0') {
                return None;
            }
            digits.truncate(kept);
        }
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return Some((false, "0".to_owned()));
        }
        (digits.len() <= 40).then(|| (negative, digits.to_owned()))
    }
}

impl From<i64> for Number<'_> {
    fn from(value: i64) -> Self {
        Self(Cow::Owned(value.to_string()))
    }
}

impl From<u64> for Number<'_> {
    fn from(value: u64) -> Self {
        Self(Cow::Owned(value.to_string()))
    }
}

impl From<usize> for Number<'_> {
    fn from(value: usize) -> Self {
        Self(Cow::Owned(value.to_string()))
    }
}

/// Returns the length of the JSON number at the start of `bytes`.
fn number_length(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    match bytes.get(at) {
        Some(b'0') => at += 1,
        Some(b'1'..=b'9') => at += digits(at),
        _ => return None,
    }
    if bytes.get(at) == Some(&b'.') {
        let count = digits(at + 1);
        if count == 0 {
            return None;
        }
        at += 1 + count;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let count = digits(at + 1 + sign);
        if count == 0 {
            return None;
        }
        at += 1 + sign + count;
    }
    Some(at)
}

fn is_beyond_float64(token: &str) -> bool {
    token.len() > 300 && token.parse::<f64>().is_ok_and(f64::is_infinite)
        || token.contains(['e', 'E']) && token.parse::<f64>().is_ok_and(f64::is_infinite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Json<'_>, JsonFault> {
        Json::parse(text.as_bytes(), ReadLimits::default()).map_err(|error| error.fault())
    }

    #[test]
    fn number_tokens_are_kept() {
        for token in ["0", "-0", "12345678901234567890", "1e21", "1E+21", "2.0", "-1.50e-3"] {
            assert_eq!(parse(token).unwrap().to_string(), token);
        }
    }

    #[test]
    fn invalid_json_is_rejected_with_its_fault() {
        use JsonFault::*;
        let cases: [(&str, JsonFault); 14] = [
            ("", EndOfText { expected: "a JSON value" }),
            ("{\"a\":1", EndOfText { expected: "a comma or the end of the object" }),
            ("[1,]", Unexpected { expected: "a JSON value" }),
            ("{\"a\":1,\"a\":2}", DuplicateMember),
            ("{\"a\":1,\"\\u0061\":2}", DuplicateMember),
            ("1 2", TrailingText),
            ("01", Number),
            ("1.", Number),
            ("1e999", NumberRange),
            ("\"\\ud800\"", LoneSurrogate),
            ("\"\\udc00\"", LoneSurrogate),
            ("\"\\ud800\\u0041\"", LoneSurrogate),
            ("\"\\x\"", Escape),
            ("\"a\nb\"", UnescapedControl),
        ];
        for (text, fault) in cases {
            assert_eq!(parse(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn invalid_utf8_and_byte_order_marks_are_rejected() {
        let fault = |text: &[u8]| Json::parse(text, ReadLimits::default()).map_err(|error| error.fault()).unwrap_err();
        assert_eq!(fault(b"\"\xff\""), JsonFault::Utf8);
        assert_eq!(fault(b"\xef\xbb\xbf{}"), JsonFault::ByteOrderMark);
    }

    #[test]
    fn depth_counts_arrays_and_objects() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(192)).is_ok());
        assert_eq!(parse(&nested(193)), Err(JsonFault::Depth { limit: 192 }));
        assert_eq!(parse(&nested(100_000)), Err(JsonFault::Depth { limit: 192 }));
    }

    #[test]
    fn error_has_line_and_column_and_quotes_nothing() {
        let error = Json::parse(b"{\n  \"secret\": s3cr3t }", ReadLimits::default()).unwrap_err();
        assert_eq!((error.line(), error.column()), (2, 13));
        assert!(!error.to_string().contains("s3cr3t") && !error.to_string().contains("secret"));
    }

    #[test]
    fn whole_numbers_compare_digit_by_digit() {
        let number = |token: &'static str| Number::parse(token).unwrap();
        let same = |left, right| number(left).is_equivalent(&number(right), NumberComparison::Exact);
        assert!(same("2", "2.0") && same("20e-1", "2") && same("-0", "0") && same("0.5", "5e-1"));
        assert!(!same("12345678901234567890", "12345678901234567891"));
        assert_eq!(number("-9223372036854775808").as_i64(), Some(i64::MIN));
        assert_eq!(number("9223372036854775808").as_i64(), None);
        assert_eq!(number("1.5").as_i64(), None);
    }

    #[test]
    fn whole_numbers_have_at_most_forty_digits() {
        let digits = |token: &str| Number::parse(token).unwrap().whole_digits();
        let (zeros, nines) = ("0".repeat(39), "9".repeat(40));
        for (token, expected) in [
            ("1e39", Some((false, format!("1{zeros}")))),
            ("12e38", Some((false, format!("12{}", &zeros[1..])))),
            ("12e39", None),
            ("1e40", None),
            (&nines, Some((false, nines.clone()))),
            (&format!("{nines}0"), None),
            (&format!("{nines}.0"), Some((false, nines.clone()))),
            ("-20e-1", Some((true, "2".to_owned()))),
            ("0.5e1", Some((false, "5".to_owned()))),
            ("25e-1", None),
            ("2e-2", None),
            ("-0.0", Some((false, "0".to_owned()))),
        ] {
            assert_eq!(digits(token), expected, "{token}");
        }
    }

    #[test]
    fn values_are_compared_by_content_and_not_by_member_order() {
        let same = |left, right| parse(left).unwrap().is_equivalent(&parse(right).unwrap(), NumberComparison::Exact);
        for (left, right) in [
            (r#"{"a":[1,true],"b":null}"#, r#"{"b":null,"a":[1.0,true]}"#),
            ("[]", "[]"),
            ("{}", "{}"),
            (r#""a""#, r#""\u0061""#),
        ] {
            assert!(same(left, right) && same(right, left), "{left} {right}");
        }
        for (left, right) in [
            ("[1]", "[1,2]"),
            ("[1,2]", "[2,1]"),
            ("[1]", "[2]"),
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":1}"#, r#"{"b":1}"#),
            (r#"{"a":1}"#, r#"{"a":2}"#),
            ("null", "false"),
            ("false", "true"),
            ("[]", "{}"),
            (r#""1""#, "1"),
        ] {
            assert!(!same(left, right) && !same(right, left), "{left} {right}");
        }
    }

    #[test]
    fn object_gives_its_members_in_their_order() {
        let object = |text| match parse(text) {
            Ok(Json::Object(object)) => object,
            other => panic!("{other:?}"),
        };
        assert!(object("{}").is_empty() && !object(r#"{"a":1}"#).is_empty());
        let members: Vec<_> = object(r#"{"b":1,"a":2}"#).into_iter().collect();
        let shown: Vec<_> = members.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(shown, ["b=1", "a=2"]);
    }

    proptest! {
        #[test]
        fn written_string_is_read_back(text in any::<String>()) {
            let mut written = String::new();
            write_string(&text, &mut written);
            let read = Json::parse(written.as_bytes(), ReadLimits::default()).unwrap();
            prop_assert_eq!(read.as_str(), Some(text.as_str()));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }

        #[test]
        fn value_equals_the_one_of_serde_json(text in "[\\[\\]{}\",:0-9a-c\\\\.eE+ -]{0,24}") {
            let ours = Json::parse(text.as_bytes(), ReadLimits::default());
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            match (&ours, &theirs) {
                (Ok(ours), Ok(theirs)) => {
                    let again: serde_json::Value = serde_json::from_str(&ours.to_string()).unwrap();
                    prop_assert_eq!(&again, theirs);
                }
                (Err(error), Ok(_)) => prop_assert!(
                    matches!(error.fault(), JsonFault::DuplicateMember | JsonFault::NumberRange), "{:?}", error
                ),
                (Ok(_), Err(error)) => prop_assert!(false, "accepted text that serde_json rejects: {}", error),
                (Err(_), Err(_)) => {}
            }
        }
    }
}
