//! The reader: from text to [`Json`], with limits and errors.

use std::borrow::Cow;
use std::collections::HashSet;

use thiserror::Error;

use super::skip::{Name, plain_length};
use super::{Json, Number, Object, is_beyond_float64, number_length};

/// The limits of a reader.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// The permitted nesting depth of arrays and objects.
    pub depth: usize,
}

impl Default for ReadLimits {
    /// Returns a limit slightly above the deepest known session (181).
    fn default() -> Self {
        Self { depth: 192 }
    }
}

/// A syntax error in JSON text, with its position. Never quotes the text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{fault} (line {line}, column {column})")]
pub struct JsonError {
    offset: usize,
    line: usize,
    column: usize,
    fault: JsonFault,
}

/// The kind of a syntax error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JsonFault {
    /// The text starts with a byte order mark (RFC 8259 section 8.1 forbids it).
    #[error("expected JSON, found a byte order mark; save the text as UTF-8 without it")]
    ByteOrderMark,
    /// Arrays and objects are nested too deeply.
    #[error("expected at most {limit} levels of arrays and objects, found more")]
    Depth {
        /// The exceeded limit.
        limit: usize,
    },
    /// A member name occurs twice in one object.
    #[error("expected unique member names in an object, found a duplicate")]
    DuplicateMember,
    /// The text ended before the value did.
    #[error("expected {expected}, found the end of the text")]
    EndOfText {
        /// The expected syntax.
        expected: &'static str,
    },
    /// An escape sequence that JSON does not have.
    #[error("expected one of \" \\ / b f n r t u after a backslash")]
    Escape,
    /// A UTF-16 surrogate without its pair.
    #[error("expected a pair of surrogate escapes, found only one of them")]
    LoneSurrogate,
    /// Not a JSON number.
    #[error("expected a JSON number, such as 12, -0.5 or 1e3")]
    Number,
    /// A number beyond float64, which most readers reject or turn into infinity.
    #[error("expected a number within the range of a float64, found a larger one")]
    NumberRange,
    /// Text follows the value.
    #[error("expected one JSON value, found more text after it")]
    TrailingText,
    /// An unexpected byte.
    #[error("expected {expected}")]
    Unexpected {
        /// The expected syntax.
        expected: &'static str,
    },
    /// A control character inside a string.
    #[error("expected an escape such as \\n in a string, found an unescaped control character")]
    UnescapedControl,
    /// Bytes that are not UTF-8.
    #[error("expected UTF-8, found an invalid byte sequence")]
    Utf8,
}

impl JsonError {
    /// Returns the byte offset of the error, from 0.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the line of the error, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns the column of the error in bytes, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// Returns the kind of the error.
    pub fn fault(&self) -> JsonFault {
        self.fault
    }
}

/// Reads JSON step by step. Most code uses [`Json::parse`]; the session reader uses the steps, because it keeps spans.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    limits: ReadLimits,
    /// The bytes of white space that were skipped.
    spaces: usize,
    /// The member names of the objects that are being skipped, with their offsets.
    pub(super) names: Vec<Name<'a>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a [u8], limits: ReadLimits) -> Result<Self, JsonError> {
        if text.starts_with(b"\xef\xbb\xbf") {
            return Err(error_at(text, 0, JsonFault::ByteOrderMark));
        }
        match std::str::from_utf8(text) {
            Ok(valid) => Ok(Self::of_text(valid, limits)),
            Err(error) => Err(error_at(text, error.valid_up_to(), JsonFault::Utf8)),
        }
    }

    /// Returns a reader of `text`, which must not start with a byte order mark.
    pub(crate) fn of_text(text: &'a str, limits: ReadLimits) -> Self {
        Self { text, at: 0, limits, spaces: 0, names: Vec::new() }
    }

    /// Reserves capacity for `count` names of skipped members.
    pub(crate) fn expecting_names(mut self, count: usize) -> Self {
        self.names.reserve(count);
        self
    }

    /// Returns the current offset in bytes.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// Returns the whole text.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// Returns the text from the current offset on.
    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Returns the text from `start` to the current offset.
    pub(crate) fn text_since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    pub(crate) fn error(&self, at: usize, fault: JsonFault) -> JsonError {
        error_at(self.text.as_bytes(), at, fault)
    }

    /// Skips white space and returns the next byte without consuming it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => {
                    self.at += 1;
                    self.spaces += 1;
                }
                found => return found,
            }
        }
    }

    /// Returns the bytes of white space that were skipped so far.
    pub(crate) fn spaces(&self) -> usize {
        self.spaces
    }

    /// Returns the next byte, including white space.
    #[inline]
    pub(super) fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn pass(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Skips characters of a string that need no escape.
    #[inline]
    pub(super) fn pass_plain(&mut self) {
        self.at += plain_length(&self.text.as_bytes()[self.at..]);
    }

    /// Consumes `byte`, or fails with `expected`.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8, expected: &'static str) -> Result<(), JsonError> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            found => Err(self.unexpected(found, expected)),
        }
    }

    /// Fails if text other than white space is left.
    pub(crate) fn finish(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error(self.at, JsonFault::TrailingText)),
        }
    }

    /// Reads one value inside `depth` arrays and objects.
    pub(crate) fn value(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Json::String(self.string("a string")?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            found => Err(self.unexpected(found, "a JSON value")),
        }
    }

    /// Reads the members of an object. `member` gets each name with its offset, and reads the value.
    pub(crate) fn members<E: From<JsonError>>(
        &mut self,
        depth: usize,
        mut member: impl FnMut(&mut Self, Cow<'a, str>, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        if depth >= self.limits.depth {
            return Err(self.error(self.at, JsonFault::Depth { limit: self.limits.depth }).into());
        }
        self.take(b'{', "an object")?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.peek();
            let start = self.at;
            let name = self.string("a member name in quotes")?;
            self.take(b':', "a colon after the member name")?;
            member(self, name, start)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                found => return Err(self.unexpected(found, "a comma or the end of the object").into()),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        let mut members: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
        let mut starts = Vec::new();
        self.members::<JsonError>(depth, |reader, name, start| {
            let value = reader.value(depth + 1)?;
            members.push((name, value));
            starts.push(start);
            Ok(())
        })?;
        if let Some(index) = first_duplicate(&members) {
            return Err(self.error(starts[index], JsonFault::DuplicateMember));
        }
        Ok(Json::Object(Object { members }))
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        let mut elements = Vec::new();
        self.elements::<JsonError>(depth, |reader| {
            elements.push(reader.value(depth + 1)?);
            Ok(())
        })?;
        Ok(Json::Array(elements))
    }

    /// Reads the elements of an array; `element` reads each value.
    pub(super) fn elements<E: From<JsonError>>(
        &mut self,
        depth: usize,
        mut element: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        if depth >= self.limits.depth {
            return Err(self.error(self.at, JsonFault::Depth { limit: self.limits.depth }).into());
        }
        self.take(b'[', "an array")?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            element(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                found => return Err(self.unexpected(found, "a comma or the end of the array").into()),
            }
        }
    }

    fn word(&mut self, word: &'static str, value: Json<'a>) -> Result<Json<'a>, JsonError> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(value);
        }
        Err(self.error(self.at, JsonFault::Unexpected { expected: "a JSON value" }))
    }

    fn number(&mut self) -> Result<Json<'a>, JsonError> {
        let start = self.at;
        let rest = &self.text[start..];
        let Some(length) = number_length(rest.as_bytes()) else {
            return Err(self.error(start, JsonFault::Number));
        };
        let token = &rest[..length];
        if matches!(rest.as_bytes().get(length), Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
            return Err(self.error(start, JsonFault::Number));
        }
        if is_beyond_float64(token) {
            return Err(self.error(start, JsonFault::NumberRange));
        }
        self.at += length;
        Ok(Json::Number(Number(Cow::Borrowed(token))))
    }

    fn string(&mut self, expected: &'static str) -> Result<Cow<'a, str>, JsonError> {
        self.take(b'"', expected)?;
        let start = self.at;
        let mut owned: Option<String> = None;
        let mut copied = start;
        loop {
            self.pass_plain();
            match self.byte() {
                Some(b'"') => {
                    let tail = &self.text[copied..self.at];
                    self.at += 1;
                    return Ok(match owned {
                        Some(mut text) => {
                            text.push_str(tail);
                            Cow::Owned(text)
                        }
                        None => Cow::Borrowed(tail),
                    });
                }
                Some(b'\\') => {
                    let text = owned.get_or_insert_with(String::new);
                    text.push_str(&self.text[copied..self.at]);
                    let character = self.escape()?;
                    text.push(character);
                    copied = self.at;
                }
                other => return Err(self.no_string(other)),
            }
        }
    }

    /// Returns the error of a string that contains `found`; `None` is the end of the text.
    pub(super) fn no_string(&self, found: Option<u8>) -> JsonError {
        let fault = match found {
            Some(_) => JsonFault::UnescapedControl,
            None => JsonFault::EndOfText { expected: "the closing quote of a string" },
        };
        self.error(self.at, fault)
    }

    /// Reads one escape, starting at its backslash.
    pub(super) fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        let character = match self.text.as_bytes().get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.hex4(start + 2)?;
                self.at = start + 6;
                return match first {
                    0xd800..=0xdbff => {
                        if !self.text[self.at..].starts_with("\\u") {
                            return Err(self.error(start, JsonFault::LoneSurrogate));
                        }
                        let second = self.hex4(self.at + 2)?;
                        if !(0xdc00..=0xdfff).contains(&second) {
                            return Err(self.error(start, JsonFault::LoneSurrogate));
                        }
                        self.at += 6;
                        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        char::from_u32(code).ok_or_else(|| self.error(start, JsonFault::LoneSurrogate))
                    }
                    code => char::from_u32(code).ok_or_else(|| self.error(start, JsonFault::LoneSurrogate)),
                };
            }
            Some(_) => return Err(self.error(start, JsonFault::Escape)),
            None => {
                let expected = "the rest of an escape";
                return Err(self.error(start + 1, JsonFault::EndOfText { expected }));
            }
        };
        self.at = start + 2;
        Ok(character)
    }

    fn hex4(&self, start: usize) -> Result<u32, JsonError> {
        let digits = self.text.as_bytes().get(start..start + 4);
        let Some(digits) = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit)) else {
            return Err(self.error(start, JsonFault::Escape));
        };
        Ok(digits.iter().fold(0, |code, digit| code * 16 + (*digit as char).to_digit(16).unwrap_or(0)))
    }

    fn unexpected(&self, found: Option<u8>, expected: &'static str) -> JsonError {
        let fault = match found {
            Some(_) => JsonFault::Unexpected { expected },
            None => JsonFault::EndOfText { expected },
        };
        self.error(self.at, fault)
    }
}

/// Returns the first member with the name of an earlier one. Compares small objects pair by pair. Large objects use a
/// set with a random seed, so that no sender can make the check slow.
fn first_duplicate(members: &[(Cow<'_, str>, Json<'_>)]) -> Option<usize> {
    if members.len() <= 16 {
        return (1..members.len()).find(|&index| members[..index].iter().any(|(name, _)| *name == members[index].0));
    }
    let mut seen = HashSet::with_capacity(members.len());
    members.iter().position(|(name, _)| !seen.insert(name.as_ref()))
}

fn error_at(text: &[u8], offset: usize, fault: JsonFault) -> JsonError {
    let before = &text[..offset.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    JsonError { offset, line, column, fault }
}
