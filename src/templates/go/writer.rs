//! The output of a Go template, which knows at each byte whether it stands inside a JSON string.
//!
//! What the template's author wrote goes out as it is. A session value inside a string is escaped. A session value
//! outside strings has to be exactly one JSON value. What a function such as `toJson` wrote around session values goes
//! out as it is, but what it escaped must stay inside strings, and brackets of a session can only match each other. So
//! a session can never open, close or add anything.

use super::decode;
use super::quoting::to_json_content;
use super::text::{Origin, Text, needs_escape};
use crate::code::ErrorCode;
use crate::json::write_escaped;

/// Why something cannot be written: a code and what was expected.
pub(super) type Refusal = (ErrorCode, String);

pub(super) struct Writer {
    out: Vec<u8>,
    limit: usize,
    depth_limit: usize,
    place: Place,
    /// The open arrays and objects.
    open: Vec<Bracket>,
    /// Whether the next string is a member name, or the current one.
    is_name: bool,
    /// Writes everything as Go does, to compare it.
    #[cfg(test)]
    pub(super) is_raw: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    String,
    /// Inside an escape sequence; how many hexadecimal digits are still to come, or `None` directly after the backslash.
    Escape(Option<u8>),
}

#[derive(Clone, Copy)]
struct Bracket {
    is_object: bool,
    /// Whether a function wrote it around session values.
    is_from_function: bool,
}

/// The brackets that functions wrote in one expression.
#[derive(Default)]
struct Brackets {
    /// Whether one of the author's was closed.
    has_closed: bool,
}

impl Writer {
    pub(super) fn new(limit: usize, depth_limit: usize) -> Self {
        Self {
            out: Vec::new(),
            limit,
            depth_limit,
            place: Place::Outside,
            open: Vec::new(),
            is_name: false,
            #[cfg(test)]
            is_raw: false,
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Writes what the template's author wrote.
    pub(super) fn literal(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.written(bytes, None)
    }

    /// Writes bytes as they are; those of a function come with the brackets of its expression.
    fn written(&mut self, bytes: &[u8], mut brackets: Option<&mut Brackets>) -> Result<(), Refusal> {
        self.reserve(bytes.len())?;
        for byte in bytes {
            if self.place == Place::Outside {
                self.follow(*byte, brackets.as_deref_mut())?;
            }
            self.place = match (self.place, *byte) {
                (Place::Outside, b'"') => Place::String,
                (Place::Outside, _) => Place::Outside,
                (Place::String, b'"') => Place::Outside,
                (Place::String, b'\\') => Place::Escape(None),
                (Place::String, _) => Place::String,
                (Place::Escape(None), b'u') => Place::Escape(Some(4)),
                (Place::Escape(Some(left @ 2..)), _) => Place::Escape(Some(left - 1)),
                (Place::Escape(_), _) => Place::String,
            };
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// Keeps track of where member names stand, and of brackets. A function's brackets match each other, except that
    /// one may be cut off at the start or at the end, where the author writes it.
    fn follow(&mut self, byte: u8, brackets: Option<&mut Brackets>) -> Result<(), Refusal> {
        let is_from_function = brackets.is_some();
        if let Some(brackets) = brackets
            && !byte.is_ascii_whitespace()
        {
            if brackets.has_closed {
                return Err(cut_brackets());
            }
            let closes_own = self.open.last().is_some_and(|bracket| bracket.is_from_function);
            brackets.has_closed = matches!(byte, b'}' | b']') && !closes_own;
        }
        match byte {
            b'{' | b'[' => {
                self.open.push(Bracket { is_object: byte == b'{', is_from_function });
                self.is_name = byte == b'{';
            }
            b'}' | b']' => {
                self.open.pop();
                self.is_name = false;
            }
            b',' => self.is_name = self.open.last().is_some_and(|bracket| bracket.is_object),
            b':' => self.is_name = false,
            _ => {}
        }
        Ok(())
    }

    /// Writes what an expression gave.
    pub(super) fn expression(&mut self, text: &Text) -> Result<(), Refusal> {
        #[cfg(test)]
        if self.is_raw {
            self.reserve(text.len())?;
            self.out.extend_from_slice(text.bytes());
            return Ok(());
        }
        if self.place == Place::Outside && !text.has(&[Origin::Template]) {
            let is_value = decode::decode(text.bytes(), self.depth_limit).is_ok();
            if is_value || text.bytes().trim_ascii().is_empty() {
                self.reserve(text.len())?;
                self.out.extend_from_slice(text.bytes());
                return Ok(());
            }
            if !text.has(&[Origin::Syntax, Origin::Encoded, Origin::Quoted]) {
                return Err(no_value());
            }
        }
        let was_in_string = self.place != Place::Outside;
        let open_before = self.open_from_functions();
        let mut brackets = Brackets::default();
        for (piece, origin) in text.pieces() {
            match (origin, self.place) {
                (Origin::Template, _) => self.literal(piece)?,
                (Origin::Syntax, _) => self.written(piece, Some(&mut brackets))?,
                (_, Place::Escape(_)) => {
                    let message = "expected the rest of an escape sequence, found a value of the session";
                    return Err((ErrorCode::TemplatePosition, message.to_owned()));
                }
                (Origin::Data, Place::String) => self.escaped(piece)?,
                (Origin::Encoded, Place::String) => self.encoded(piece)?,
                (Origin::Quoted, Place::String) => {
                    let content = to_json_content(piece).ok_or_else(quotes_inside)?;
                    self.encoded(&content)?;
                }
                (Origin::Mixed, Place::String) => self.unchanged(piece)?,
                (Origin::Encoded | Origin::Quoted, Place::Outside) if was_in_string => return Err(quotes_inside()),
                (_, Place::Outside) if brackets.has_closed => return Err(cut_brackets()),
                (Origin::Encoded | Origin::Quoted, Place::Outside) => return Err(no_value()),
                (Origin::Data | Origin::Mixed, Place::Outside) => self.value(piece)?,
            }
        }
        if self.open_from_functions() > open_before + 1 { Err(cut_brackets()) } else { Ok(()) }
    }

    fn open_from_functions(&self) -> usize {
        self.open.iter().filter(|bracket| bracket.is_from_function).count()
    }

    fn escaped(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        if self.is_name {
            if needs_escape(piece) {
                let message = "expected a value of the session that can be a member name as it is, found one with \
                               quotes, backslashes or control characters";
                return Err((ErrorCode::TemplatePosition, message.to_owned()));
            }
            return self.encoded(piece);
        }
        for chunk in piece.utf8_chunks() {
            let mut written = String::with_capacity(chunk.valid().len());
            write_escaped(chunk.valid(), &mut written);
            self.reserve(written.len() + chunk.invalid().len())?;
            self.out.extend_from_slice(written.as_bytes());
            self.out.extend_from_slice(chunk.invalid());
        }
        Ok(())
    }

    fn encoded(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        if !decode::is_inside_of_string(piece) {
            return Err(quotes_inside());
        }
        self.reserve(piece.len())?;
        self.out.extend_from_slice(piece);
        Ok(())
    }

    /// Text whose quotes may be the author's or the session's.
    fn unchanged(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        if needs_escape(piece) {
            let message = "expected text without quotes, backslashes and control characters, because text of the \
                           template and of the session were changed together; change them one by one";
            return Err((ErrorCode::TemplatePosition, message.to_owned()));
        }
        self.encoded(piece)
    }

    fn value(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        let trimmed = piece.trim_ascii();
        if trimmed.is_empty() {
            return Ok(());
        }
        if decode::decode(trimmed, self.depth_limit).is_err() {
            return Err(no_value());
        }
        self.reserve(piece.len())?;
        self.out.extend_from_slice(piece);
        Ok(())
    }

    fn reserve(&self, more: usize) -> Result<(), Refusal> {
        if self.out.len().saturating_add(more) > self.limit {
            let message = format!("expected at most {} bytes of claims, found more", self.limit);
            return Err((ErrorCode::TemplateLimit, message));
        }
        Ok(())
    }
}

fn no_value() -> Refusal {
    let message = "expected exactly one JSON value outside of quotes, found other text; put quotes around the \
                   expression or pipe it to toJson";
    (ErrorCode::TemplateWrongType, message.to_owned())
}

fn quotes_inside() -> Refusal {
    let message = "expected text that can stand inside a JSON string, found JSON or Go syntax with quotes; \
                   write the expression without the quotes around it";
    (ErrorCode::TemplatePosition, message.to_owned())
}

fn cut_brackets() -> Refusal {
    let message = "expected JSON from which at most one bracket was cut off at the start or at the end, found other \
                   brackets without their counterparts; use merge or concat before toJson";
    (ErrorCode::TemplatePosition, message.to_owned())
}
