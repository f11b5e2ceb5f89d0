//! JSON as Go's decoder takes it: a name that comes twice has its last value, half a surrogate pair and bytes that are
//! no UTF-8 become U+FFFD.

use std::borrow::Cow;
use std::collections::HashMap;

use super::output::{Foreign, Output};
use super::text;
use crate::code::ErrorCode;
use crate::json::{Json, JsonFault, Number, Object};

/// Text that Go does not decode. It holds nothing of the text.
#[derive(Debug)]
pub(super) struct NotJson {
    /// What stands there instead, for messages.
    pub(super) found: &'static str,
    pub(super) at: usize,
    /// The code of the error.
    pub(super) code: ErrorCode,
}

/// Decodes exactly one value with at most `depth` arrays and objects inside each other, and numbers that float64 holds.
pub(super) fn decode(text: &[u8], depth: usize) -> Result<Json<'static>, NotJson> {
    decode_all(Decoder { text, at: 0, depth, is_any_number: false, foreign: None })
}

/// Decodes the output of a template. A name that comes twice is an error if the session decided one of the two: its last
/// value would replace a claim of the author. Two names of the author are the author's decision, as in Go.
pub(super) fn decode_output(output: &Output, depth: usize) -> Result<Json<'static>, NotJson> {
    let Output { bytes, foreign } = output;
    decode_all(Decoder { text: bytes, at: 0, depth, is_any_number: false, foreign: Some(foreign) })
}

/// The same, but numbers that float64 cannot hold are null.
pub(super) fn decode_any_number(text: &[u8], depth: usize) -> Result<Json<'static>, NotJson> {
    decode_all(Decoder { text, at: 0, depth, is_any_number: true, foreign: None })
}

fn decode_all(mut decoder: Decoder<'_>) -> Result<Json<'static>, NotJson> {
    let value = decoder.value(0)?;
    match decoder.peek() {
        None => Ok(value),
        Some(_) => decoder.fail("text after the value"),
    }
}

/// Whether `text` can stand between the quotes of a JSON string.
pub(super) fn is_inside_of_string(text: &[u8]) -> bool {
    let mut decoder = Decoder { text, at: 0, depth: 0, is_any_number: true, foreign: None };
    decoder.characters().is_ok() && decoder.at == text.len()
}

/// The names of an object, and whether the session decided any of each.
#[derive(Default)]
struct Names(HashMap<String, bool>);

impl Names {
    /// Adds a name. Returns `true` if it is there already and the session decided one of the two.
    fn is_taken(&mut self, name: &str, is_foreign: bool) -> bool {
        match self.0.get_mut(name) {
            Some(known) => {
                *known |= is_foreign;
                *known
            }
            None => {
                self.0.insert(name.to_owned(), is_foreign);
                false
            }
        }
    }
}

struct Decoder<'t> {
    text: &'t [u8],
    at: usize,
    depth: usize,
    is_any_number: bool,
    /// What the session decided, if names that come twice can be an error.
    foreign: Option<&'t Foreign>,
}

impl Decoder<'_> {
    fn fail<T>(&self, found: &'static str) -> Result<T, NotJson> {
        Err(NotJson { found, at: self.at, code: ErrorCode::ClaimsInvalid })
    }

    /// The next byte after white space.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn value(&mut self, depth: usize) -> Result<Json<'static>, NotJson> {
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Json::String(Cow::Owned(self.string()?))),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(_) => self.fail("a character that starts no JSON value"),
            None => self.fail("the end of the text"),
        }
    }

    fn word(&mut self, word: &str, value: Json<'static>) -> Result<Json<'static>, NotJson> {
        if self.text[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(value);
        }
        self.fail("a word that is no JSON value")
    }

    fn number(&mut self) -> Result<Json<'static>, NotJson> {
        let length = self.text[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E'))
            .count();
        let token = String::from_utf8_lossy(&self.text[self.at..self.at + length]).into_owned();
        match Number::parse(token) {
            Ok(number) => {
                self.at += length;
                Ok(Json::Number(number))
            }
            Err(JsonFault::NumberRange) if self.is_any_number => {
                self.at += length;
                Ok(Json::Null)
            }
            Err(JsonFault::NumberRange) => self.fail("a number that float64 cannot hold"),
            Err(_) => self.fail("a number that is no JSON number"),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json<'static>, NotJson> {
        self.enter(depth)?;
        let mut elements = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Json::Array(elements));
                }
                _ => return self.fail("no comma and no end after an element of an array"),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'static>, NotJson> {
        self.enter(depth)?;
        let mut members = Vec::new();
        let mut names = Names::default();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(Object::default()));
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.fail("no member name in quotes");
            }
            let start = self.at + 1;
            let name = self.string()?;
            if let Some(foreign) = self.foreign
                && names.is_taken(&name, foreign.touches(&(start..self.at - 1)))
            {
                let found = "a member name twice, and the session decides at least one of the two";
                return Err(NotJson { found, at: start, code: ErrorCode::ClaimsDuplicateMember });
            }
            if self.peek() != Some(b':') {
                return self.fail("no colon after a member name");
            }
            self.at += 1;
            members.push((Cow::Owned(name), self.value(depth + 1)?));
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Json::Object(members.into_iter().collect()));
                }
                _ => return self.fail("no comma and no end after a member of an object"),
            }
        }
    }

    fn enter(&mut self, depth: usize) -> Result<(), NotJson> {
        if depth >= self.depth {
            return Err(NotJson {
                found: "arrays and objects nested too deeply",
                at: self.at,
                code: ErrorCode::TemplateLimit,
            });
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<String, NotJson> {
        self.at += 1;
        let content = self.characters()?;
        if self.text.get(self.at) != Some(&b'"') {
            return self.fail("a string without its closing quote");
        }
        self.at += 1;
        Ok(content)
    }

    /// The content of a string, up to its quote or the end of the text.
    fn characters(&mut self) -> Result<String, NotJson> {
        let mut content = String::new();
        loop {
            match self.text.get(self.at) {
                None | Some(b'"') => return Ok(content),
                Some(0x00..=0x1f) => return self.fail("a control character inside a string"),
                Some(b'\\') => self.escape(&mut content)?,
                Some(byte @ 0x20..=0x7f) => {
                    content.push(char::from(*byte));
                    self.at += 1;
                }
                Some(_) => {
                    let (character, length) = text::decode(&self.text[self.at..]);
                    content.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
                    self.at += length;
                }
            }
        }
    }

    fn escape(&mut self, content: &mut String) -> Result<(), NotJson> {
        let character = match self.text.get(self.at + 1) {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(*byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let Some(first) = self.hex(self.at + 2) else {
                    return self.fail("an escape sequence that JSON does not have");
                };
                self.at += 6;
                let second = match self.text.get(self.at..self.at + 2) {
                    Some(b"\\u") if (0xd800..0xdc00).contains(&first) => self.hex(self.at + 2),
                    _ => None,
                };
                content.push(match second.filter(|code| (0xdc00..0xe000).contains(code)) {
                    Some(second) => {
                        self.at += 6;
                        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                    }
                    None => char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER),
                });
                return Ok(());
            }
            _ => return self.fail("an escape sequence that JSON does not have"),
        };
        content.push(character);
        self.at += 2;
        Ok(())
    }

    fn hex(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 4)?;
        digits.iter().try_fold(0, |code, digit| Some(code * 16 + char::from(*digit).to_digit(16)?))
    }
}
